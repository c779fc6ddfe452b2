"""ML-DSA-44 with Ed25519: both halves have to hold, over what draft-ietf-sshm-composite-sigs says."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import DEFAULT_HOST_KEY_ALGORITHMS, MLDSA44_ED25519, algorithms_of, certificate_name
from pyssh_cli.keys.numbers import CompositeNumbers
from pyssh_cli.keys.private import PrivateKey, load_private_key
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import Reader, string, text, uint32
from tests.unit.keygen import armored, certificate_body

DATA = b"what is signed"
SEEDS = bytes(range(64))
MLDSA = MLDSA44PrivateKey.from_seed_bytes(SEEDS[:32])
ED25519 = Ed25519PrivateKey.from_private_bytes(SEEDS[32:])
POINTS = MLDSA.public_key().public_bytes_raw() + ED25519.public_key().public_bytes_raw()
LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"
MESSAGE = b"CompositeAlgorithmSignatures2025" + LABEL + b"\0" + hashlib.sha512(DATA).digest()
KEY = PrivateKey(CompositeNumbers(SEEDS, POINTS))


def signature_of(mldsa: bytes, ed25519: bytes) -> bytes:
    return text(MLDSA44_ED25519) + string(mldsa + ed25519)


def test_the_key_and_its_names() -> None:
    assert KEY.public.blob == text(MLDSA44_ED25519) + string(POINTS)
    assert (KEY.public.type, KEY.public.short_name, KEY.public.bits) == (MLDSA44_ED25519, "MLDSA44-ED25519", 256)
    assert KEY.algorithms() == (MLDSA44_ED25519,)
    assert not set(DEFAULT_HOST_KEY_ALGORITHMS) & {MLDSA44_ED25519, certificate_name(MLDSA44_ED25519)}


def test_our_signature_is_two_over_one_message() -> None:
    reader = Reader(KEY.sign(MLDSA44_ED25519, DATA))
    assert reader.text() == MLDSA44_ED25519
    bare = reader.string()
    reader.end()
    assert len(bare) == 2420 + 64
    MLDSA.public_key().verify(bare[:2420], MESSAGE, LABEL)
    ED25519.public_key().verify(bare[2420:], MESSAGE)
    with pytest.raises(InvalidSignature):
        MLDSA.public_key().verify(bare[:2420], MESSAGE)


def test_both_halves_have_to_hold() -> None:
    mldsa, ed25519 = MLDSA.sign(MESSAGE, LABEL), ED25519.sign(MESSAGE)
    assert KEY.public.verify(MLDSA44_ED25519, DATA, signature_of(mldsa, ed25519))
    for bad in (
        signature_of(mldsa, bytes(64)),
        signature_of(bytes(2420), ed25519),
        signature_of(MLDSA.sign(MESSAGE), ed25519),
        signature_of(MLDSA.sign(DATA, LABEL), ED25519.sign(DATA)),
        signature_of(mldsa, ed25519[:-1]),
        signature_of(mldsa, ed25519 + b"\0"),
        signature_of(ed25519, mldsa),
        signature_of(mldsa, ed25519) + b"\0",
        text("ssh-ed25519") + string(ed25519),
    ):
        assert not KEY.public.verify(MLDSA44_ED25519, DATA, bad)
    assert not KEY.public.verify(MLDSA44_ED25519, DATA + b"x", signature_of(mldsa, ed25519))


def test_keys_of_another_size_are_refused() -> None:
    for points in (POINTS[:-1], POINTS + b"\0", b""):
        with pytest.raises(ProtocolError, match="1344 bytes"):
            PublicKey.parse(text(MLDSA44_ED25519) + string(points))


def key_file(seeds: bytes, points: bytes) -> bytes:
    section = uint32(5) * 2 + text(MLDSA44_ED25519) + string(points) + string(seeds) + text("note")
    section += bytes(range(1, 9 - len(section) % 8)) if len(section) % 8 else b""
    public = text(MLDSA44_ED25519) + string(POINTS)
    head = b"openssh-key-v1\0" + text("none") * 2 + string(b"") + uint32(1) + string(public)
    return armored(head + string(section))


def test_key_files() -> None:
    key = load_private_key(key_file(SEEDS, POINTS), None, "key")
    assert (key.public, key.comment) == (KEY.public, "note")
    assert KEY.public.verify(MLDSA44_ED25519, DATA, key.sign(MLDSA44_ED25519, DATA))
    for seeds in (SEEDS[:-1], SEEDS[::-1]):
        with pytest.raises(KeyFileError, match=r"seeds|public half"):
            load_private_key(key_file(seeds, POINTS), None, "key")


def test_certificates_and_what_an_agent_is_given() -> None:
    body = certificate_body(KEY.public, KEY.public.blob)
    certificate = PublicKey.parse(body + string(KEY.sign(MLDSA44_ED25519, body)))
    assert certificate.certificate().refusal("host", "host", 1.0, [MLDSA44_ED25519]) is None
    assert certificate.certificate().refusal("host", "host", 1.0, ["ssh-ed25519"])
    (algorithm,) = algorithms_of(certificate.type)
    assert certificate.verify(algorithm, DATA, KEY.sign(algorithm, DATA))
    assert KEY.serialized() == text(MLDSA44_ED25519) + string(POINTS) + string(SEEDS)
    assert KEY.serialized(certificate) == text(algorithm) + string(certificate.blob) + string(SEEDS)
