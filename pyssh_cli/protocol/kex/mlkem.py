"""mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex): ML-KEM-768 and X25519 together.

The shared secret holds as long as either of the two does. Both shares travel in one string, ML-KEM's first; the
secrets are hashed together, and the result enters the exchange hash as a string.
"""

from __future__ import annotations

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pyssh_cli.protocol.kex import KexResult, kex_failed
from pyssh_cli.protocol.kex.curve25519 import KEY_SIZE, exchange
from pyssh_cli.protocol.kex.ecdh import ecdh_init, read_reply
from pyssh_cli.wire import string

CIPHERTEXT_SIZE = 1088


class MlKem768X25519:
    """One run on the client's side."""

    def __init__(self) -> None:
        self._mlkem = MLKEM768PrivateKey.generate()
        self._x25519 = X25519PrivateKey.generate()
        self._public = self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()

    def start(self) -> bytes:
        return ecdh_init(self._public)

    def receive(self, payload: memoryview) -> KexResult:
        host_key, share, signature = read_reply(payload)
        if len(share) != CIPHERTEXT_SIZE + KEY_SIZE:
            raise kex_failed(f"Bad mlkem768x25519 reply: {len(share)} bytes, not {CIPHERTEXT_SIZE + KEY_SIZE}")
        try:
            secret = self._mlkem.decapsulate(share[:CIPHERTEXT_SIZE])
        except ValueError:
            raise kex_failed("Bad ML-KEM ciphertext") from None
        secret += exchange(self._x25519, share[CIPHERTEXT_SIZE:])
        return KexResult(
            host_key,
            signature,
            string(self._public) + string(share),
            string(sha256(secret).digest()),
        )
