"""The pictures of fingerprints are those of ssh-keygen -lv."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyssh_cli.keys.public import PublicKey
from pyssh_cli.keys.random_art import random_art
from pyssh_cli.wire import string, text
from tests.unit.keygen import KINDS, SECURITY_KEY_KINDS, Authenticator, certify, keygen, make


def assert_same(path: Path, key: PublicKey) -> None:
    for hash_name in ("sha256", "md5"):
        line, _, picture = keygen("-l", "-v", "-E", hash_name, "-f", path).partition("\n")
        assert line.split()[:2] == [str(key.bits), key.fingerprint(hash_name)]
        assert line.endswith(f"({key.short_name})")
        assert random_art(key, hash_name) == picture.rstrip("\n")


@pytest.mark.parametrize("kind", [*KINDS, "rsa-1024"])
def test_of_keys_and_certificates(tmp_path: Path, kind: str) -> None:
    make(tmp_path / "ca", "ed25519")
    assert_same(tmp_path / "key.pub", make(tmp_path / "key", kind))
    assert_same(tmp_path / "key-cert.pub", certify(tmp_path / "ca", tmp_path / "key", "-n", "u"))


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_of_security_keys(tmp_path: Path, kind: str) -> None:
    make(tmp_path / "ca", "ed25519")
    key = Authenticator(kind).public
    (tmp_path / "key.pub").write_text(key.line() + "\n")
    assert_same(tmp_path / "key.pub", key)
    assert_same(tmp_path / "key-cert.pub", certify(tmp_path / "ca", tmp_path / "key", "-n", "u"))


def test_of_many_keys(tmp_path: Path) -> None:
    """Made up: whether a point is on its curve nobody asks here."""
    path = tmp_path / "keys"
    keys = [PublicKey.parse(text("ssh-ed25519") + string(bytes([number]) * 32)) for number in range(200)]
    path.write_text("".join(key.line() + "\n" for key in keys))
    pictures = keygen("-l", "-v", "-f", path).split("(ED25519)\n")[1:]
    assert len(pictures) == len(keys)
    for key, picture in zip(keys, pictures, strict=True):
        assert random_art(key) == "\n".join(picture.split("\n")[:11])


def test_of_no_other_hash() -> None:
    with pytest.raises(ValueError, match="sha1"):
        random_art(PublicKey.parse(text("ssh-ed25519") + string(bytes(32))), "sha1")
