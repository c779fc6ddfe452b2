"""sntrup761x25519-sha512 (draft-ietf-sshm-ntruprime-ssh): sntrup761 and X25519 together, as in `mlkem`."""

from __future__ import annotations

from hashlib import sha512

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pyssh_cli.protocol.kex import KexResult, kex_failed
from pyssh_cli.protocol.kex.curve25519 import KEY_SIZE, exchange
from pyssh_cli.protocol.kex.ecdh import ecdh_init, read_reply
from pyssh_cli.protocol.kex.sntrup761 import CIPHERTEXT_SIZE, KeyPair
from pyssh_cli.wire import string


class Sntrup761X25519:
    """One run on the client's side."""

    def __init__(self) -> None:
        self._sntrup = KeyPair()
        self._x25519 = X25519PrivateKey.generate()
        self._public = self._sntrup.public + self._x25519.public_key().public_bytes_raw()

    def start(self) -> bytes:
        return ecdh_init(self._public)

    def receive(self, payload: memoryview) -> KexResult:
        host_key, share, signature = read_reply(payload)
        if len(share) != CIPHERTEXT_SIZE + KEY_SIZE:
            raise kex_failed(f"Bad sntrup761x25519 reply: {len(share)} bytes, not {CIPHERTEXT_SIZE + KEY_SIZE}")
        x25519_secret = exchange(self._x25519, share[CIPHERTEXT_SIZE:])
        secret = self._sntrup.decapsulate(share[:CIPHERTEXT_SIZE]) + x25519_secret
        return KexResult(
            host_key,
            signature,
            string(self._public) + string(share),
            string(sha512(secret).digest()),
        )
