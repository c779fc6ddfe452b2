"""Key exchange methods: one table of names; a file for each family beside this one.

A method is run by `transport`: it makes the client's first message, is fed the server's, and ends with a
`KexResult`. It knows neither versions nor KEXINITs nor host keys: what they add to the exchange hash is
`transport`'s (RFC 4253 section 8).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.messages import DISCONNECT_KEY_EXCHANGE_FAILED


def kex_failed(message: str) -> ProtocolError:
    """The error for a key exchange message that is not acceptable."""
    return ProtocolError(message, DISCONNECT_KEY_EXCHANGE_FAILED)


class KexResult:
    """What a key exchange came to; it has no repr of its own, so that no secret shows in one.

    `host_key` is K_S, the server's public key blob; `signature` the server's of the exchange hash; `hashed` what
    stands between K_S and the shared secret in the exchange hash, encoded; `shared_secret` is K, encoded as it is
    hashed: an mpint, or a string with the hybrid methods.
    """

    __slots__ = ("hashed", "host_key", "shared_secret", "signature")

    def __init__(self, host_key: bytes, signature: bytes, hashed: bytes, shared_secret: bytes) -> None:
        self.host_key = host_key
        self.signature = signature
        self.hashed = hashed
        self.shared_secret = shared_secret


class Kex(Protocol):
    """One run of a key exchange method, on the client's side."""

    def start(self) -> bytes:
        """The payload of the client's first message."""

    def receive(self, payload: memoryview) -> KexResult | bytes:
        """Take the server's message: the result, or the payload to answer with. Raises ProtocolError."""


def _curve25519(_strength: int) -> Kex:
    from pyssh_cli.protocol.kex.curve25519 import Curve25519

    return Curve25519()


def _mlkem768x25519(_strength: int) -> Kex:
    from pyssh_cli.protocol.kex.mlkem import MlKem768X25519

    return MlKem768X25519()


def _sntrup761x25519(_strength: int) -> Kex:
    from pyssh_cli.protocol.kex.sntrup761x25519 import Sntrup761X25519

    return Sntrup761X25519()


def _ecdh(curve: str) -> Callable[[int], Kex]:
    def make(_strength: int) -> Kex:
        from pyssh_cli.protocol.kex.ecdh import Ecdh

        return Ecdh(curve)

    return make


def _dh(group: int) -> Callable[[int], Kex]:
    def make(_strength: int) -> Kex:
        from pyssh_cli.protocol.kex.dh import DiffieHellman

        return DiffieHellman(group)

    return make


def _group_exchange(strength: int) -> Kex:
    from pyssh_cli.protocol.kex.gex import GroupExchange

    return GroupExchange(strength)


class KexSpec(NamedTuple):
    """One row of the table: the method's name, the hash it uses (hashlib's name), and how to begin a run.

    `begin` is given how strong the keys have to be, in bits: only a group exchange asks. `post_quantum` tells
    whether recorded traffic stays secret when there are quantum computers; `default` whether the method is in
    the list that is used when the configuration is silent; `slow` whether beginning takes so long (milliseconds)
    that it is better done while the server is waited for, which only a method that does not ask may be.
    """

    name: str
    hash_name: str
    begin: Callable[[int], Kex]
    post_quantum: bool = False
    default: bool = True
    slow: bool = False


KEX: dict[str, KexSpec] = {
    spec.name: spec
    for spec in (
        KexSpec("mlkem768x25519-sha256", "sha256", _mlkem768x25519, post_quantum=True),
        KexSpec("sntrup761x25519-sha512", "sha512", _sntrup761x25519, post_quantum=True, slow=True),
        KexSpec("sntrup761x25519-sha512@openssh.com", "sha512", _sntrup761x25519, post_quantum=True, slow=True),
        KexSpec("curve25519-sha256", "sha256", _curve25519),
        KexSpec("curve25519-sha256@libssh.org", "sha256", _curve25519),
        KexSpec("ecdh-sha2-nistp256", "sha256", _ecdh("nistp256")),
        KexSpec("ecdh-sha2-nistp384", "sha384", _ecdh("nistp384")),
        KexSpec("ecdh-sha2-nistp521", "sha512", _ecdh("nistp521")),
        KexSpec("diffie-hellman-group-exchange-sha256", "sha256", _group_exchange),
        KexSpec("diffie-hellman-group16-sha512", "sha512", _dh(16)),
        KexSpec("diffie-hellman-group18-sha512", "sha512", _dh(18)),
        KexSpec("diffie-hellman-group14-sha256", "sha256", _dh(14)),
        KexSpec("diffie-hellman-group-exchange-sha1", "sha1", _group_exchange, default=False),
        KexSpec("diffie-hellman-group14-sha1", "sha1", _dh(14), default=False),
        KexSpec("diffie-hellman-group1-sha1", "sha1", _dh(1), default=False),
    )
}
"""Every key exchange method; those of the default list first, in its order."""

DEFAULT_KEX = tuple(spec.name for spec in KEX.values() if spec.default)
"""KexAlgorithms when the configuration is silent."""
