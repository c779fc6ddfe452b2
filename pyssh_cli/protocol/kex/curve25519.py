"""curve25519-sha256 (RFC 8731): X25519 with the messages of ECDH."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from pyssh_cli.protocol.kex import KexResult, kex_failed
from pyssh_cli.protocol.kex.ecdh import ecdh_init, read_reply
from pyssh_cli.wire import mpint, string

KEY_SIZE = 32


def exchange(private: X25519PrivateKey, peer: bytes) -> bytes:
    """The 32 bytes both sides share. Raises ProtocolError for a point that yields nothing (RFC 7748)."""
    if len(peer) != KEY_SIZE:
        raise kex_failed(f"Bad X25519 public key: {len(peer)} bytes, not {KEY_SIZE}")
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError:  # an all-zero result: a point of small order
        raise kex_failed("Bad X25519 public key: a point of small order") from None


class Curve25519:
    """One run on the client's side."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self._public = self._private.public_key().public_bytes_raw()

    def start(self) -> bytes:
        return ecdh_init(self._public)

    def receive(self, payload: memoryview) -> KexResult:
        host_key, peer, signature = read_reply(payload)
        shared = exchange(self._private, peer)
        return KexResult(
            host_key,
            signature,
            string(self._public) + string(peer),
            mpint(int.from_bytes(shared, "big")),
        )
