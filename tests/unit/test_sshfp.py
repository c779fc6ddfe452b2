"""Fingerprints of host keys in the DNS: which records speak for a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pyssh_cli.client import sshfp
from pyssh_cli.client.sshfp import Answer, Fingerprint
from pyssh_cli.keys.public import PublicKey
from tests.unit.keygen import make

NUMBERS = {"rsa-2048": 1, "ecdsa-256": 3, "ecdsa-521": 3, "ed25519": 4}


def record(key: PublicKey, algorithm: int, hash_type: int = 2) -> Fingerprint:
    name = {1: "sha1", 2: "sha256"}[hash_type]
    return Fingerprint(algorithm, hash_type, hashlib.new(name, key.blob).digest())


@pytest.mark.parametrize(("kind", "number"), NUMBERS.items())
def test_a_record_is_of_a_type_and_a_hash(tmp_path: Path, kind: str, number: int) -> None:
    key = make(tmp_path / "key", kind)
    for hash_type in (1, 2):
        assert Answer((record(key, number, hash_type),)).matches(key)
    for other in {1, 2, 3, 4, 5} - {number}:
        assert not Answer((record(key, other),)).matches(key)


def test_one_of_another_key_spoils_them_all(tmp_path: Path) -> None:
    key, other = make(tmp_path / "key", "ed25519"), make(tmp_path / "other", "ed25519")
    assert not Answer(()).matches(key)
    assert not Answer((record(other, 4),)).matches(key)
    assert Answer((record(key, 4), record(key, 4, 1), record(other, 1))).matches(key)
    for spoilt in ((record(key, 4), record(other, 4)), (record(other, 4, 1), record(key, 4))):
        assert not Answer(spoilt).matches(key)
    short = Fingerprint(4, 2, record(key, 4).digest[:-1])
    assert not Answer((short,)).matches(key)
    assert not Answer((record(key, 4), short)).matches(key)


def test_the_resolver_has_to_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resolv.conf"
    monkeypatch.setattr(sshfp, "RESOLV_CONF", str(path))
    monkeypatch.delenv("RES_OPTIONS", raising=False)
    assert not sshfp._trusts_resolver()
    for text, trusted in (
        ("nameserver 127.0.0.1\n", False),
        ("#options trust-ad\noptions edns0\n", False),
        ("options edns0 trust-ad\n", True),
        ("options ndots:2\n\n\xff\noptions\ttrust-ad", True),
    ):
        path.write_text(text, encoding="latin-1")
        assert sshfp._trusts_resolver() == trusted, text
    path.unlink()
    monkeypatch.setenv("RES_OPTIONS", "ndots:1 trust-ad")
    assert sshfp._trusts_resolver()
