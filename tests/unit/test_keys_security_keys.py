"""Keys in FIDO authenticators: their signatures, their files, and what a browser adds."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import SK_ECDSA, SK_ED25519, WEBAUTHN_SK_ECDSA, algorithms_of
from pyssh_cli.keys.private import load_private_key, peek_public
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.keys.signatures import read_security_key_signature
from pyssh_cli.wire import string, text
from tests.unit.keygen import SECURITY_KEY_KINDS, Authenticator, keygen

DATA = b"what is signed"


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_signatures_hold_and_damaged_ones_do_not(kind: str) -> None:
    authenticator = Authenticator(kind)
    signature = authenticator.sign(DATA)
    key = authenticator.public
    assert key.verify(kind, DATA, signature)
    assert asyncssh.import_public_key(key.line()).verify(DATA, signature)
    assert not key.verify(kind, DATA + b"x", signature)
    assert not Authenticator(kind).public.verify(kind, DATA, signature)
    for name in (SK_ED25519, SK_ECDSA, WEBAUTHN_SK_ECDSA, "ssh-ed25519", "ecdsa-sha2-nistp256"):
        assert key.verify(name, DATA, signature) == (name == kind)
    for end in range(len(signature)):
        assert not key.verify(kind, DATA, signature[:end])
    assert not key.verify(kind, DATA, signature + b"\0")
    for index in range(len(signature)):
        damaged = bytearray(signature)
        damaged[index] ^= 0x40
        assert not key.verify(kind, DATA, bytes(damaged))


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_flags_counter_and_application_are_signed(kind: str) -> None:
    authenticator = Authenticator(kind)
    authenticator.flags, authenticator.counter = 5, 0xFFFFFFFF
    signature = authenticator.sign(DATA)
    assert authenticator.public.verify(kind, DATA, signature)
    read = read_security_key_signature(signature)
    assert (read.flags, read.counter, read.origin) == (5, 0xFFFFFFFF, None)
    other = PublicKey.parse(authenticator.public.blob.replace(string(b"ssh:"), string(b"ssh;")))
    assert not other.verify(kind, DATA, signature)


def test_other_signatures_have_no_flags() -> None:
    with pytest.raises(ProtocolError, match="security key"):
        read_security_key_signature(text("ssh-ed25519") + string(bytes(64)))


def test_webauthn_signatures() -> None:
    authenticator = Authenticator(SK_ECDSA)
    key = authenticator.public
    signature = authenticator.sign_webauthn(DATA)
    assert key.verify(WEBAUTHN_SK_ECDSA, DATA, signature)  # and ssh-keygen takes them in certificates
    assert not key.verify(SK_ECDSA, DATA, signature)
    assert not key.verify(WEBAUTHN_SK_ECDSA, b"other", signature)
    read = read_security_key_signature(signature)
    assert (read.origin, read.extensions) == (b"https://example.com", b"")
    for end in range(len(signature)):
        assert not key.verify(WEBAUTHN_SK_ECDSA, DATA, signature[:end])
    assert not key.verify(WEBAUTHN_SK_ECDSA, DATA, signature + b"\0")


def test_webauthn_extensions_and_flags_agree() -> None:
    authenticator = Authenticator(SK_ECDSA)
    for flags, extensions, holds in ((1, b"", True), (0x81, b"x", True), (0x81, b"", False), (1, b"x", False)):
        authenticator.flags = flags
        signature = authenticator.sign_webauthn(DATA, extensions=extensions)
        assert authenticator.public.verify(WEBAUTHN_SK_ECDSA, DATA, signature) == holds
    authenticator.flags = 0x41  # attested data would follow, and does not
    assert not authenticator.public.verify(WEBAUTHN_SK_ECDSA, DATA, authenticator.sign_webauthn(DATA))


def test_webauthn_json_that_is_not_for_this() -> None:
    authenticator = Authenticator(SK_ECDSA)
    for signature in (
        authenticator.sign_webauthn(DATA, kind=b"webauthn.create"),
        authenticator.sign_webauthn(DATA, origin=b"https://evil.example"),
        authenticator.sign_webauthn(DATA, told_origin=b"https://evil.example"),
        authenticator.sign_webauthn(DATA, origin=b'a","x":"', told_origin=b'a","x":"'),
        authenticator.sign_webauthn(DATA, origin=b"a\0", told_origin=b"a\0"),
    ):
        assert not authenticator.public.verify(WEBAUTHN_SK_ECDSA, DATA, signature)


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_malformed_keys_are_refused(kind: str) -> None:
    blob = Authenticator(kind).public.blob
    for end in range(len(blob)):
        with pytest.raises(ProtocolError):
            PublicKey.parse(blob[:end])
    for bad in (blob + b"\0", blob.replace(string(b"ssh:"), string(b"s\0h:"))):
        with pytest.raises(ProtocolError):
            PublicKey.parse(bad)


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_key_files_tell_the_handle_and_sign_nothing(tmp_path: Path, kind: str) -> None:
    authenticator = Authenticator(kind, b"ssh:mine")
    path = tmp_path / "key"
    path.write_bytes(authenticator.key_file())
    path.chmod(0o600)
    assert keygen("-y", "-f", path).split() == authenticator.public.line("a comment").split()
    key = load_private_key(path.read_bytes(), None, "key")
    assert key.public == authenticator.public == peek_public(path.read_bytes())
    assert key.comment == "a comment"
    told = key.security_key
    assert told is not None
    assert (told.application, told.flags, told.handle) == (b"ssh:mine", 1, b"handle")
    assert "handle" not in repr(told)
    for algorithm in algorithms_of(kind):
        with pytest.raises(KeyFileError, match="by its security key only"):
            key.sign(algorithm, DATA)


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_encrypted_key_files(tmp_path: Path, kind: str) -> None:
    authenticator = Authenticator(kind)
    path = tmp_path / "key"
    path.write_bytes(authenticator.key_file())
    path.chmod(0o600)
    keygen("-q", "-p", "-N", "passphrase", "-a", "2", "-f", path)
    key = load_private_key(path.read_bytes(), "passphrase", "key")
    assert key.public == authenticator.public
    assert key.security_key is not None


def test_files_with_parts_of_different_keys(tmp_path: Path) -> None:
    content = Authenticator(SK_ED25519)
    content.handle = b""
    good = content.key_file()
    assert load_private_key(good, None, "key").security_key is not None
    other = Authenticator(SK_ED25519)
    other.public = content.public
    with pytest.raises(KeyFileError, match="different keys"):
        load_private_key(other.key_file(), None, "key")
