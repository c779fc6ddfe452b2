"""ecdh-sha2-nistp* (RFC 5656 section 4), and the two messages that every elliptic and hybrid method shares."""

from __future__ import annotations

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.kex import KexResult, kex_failed
from pyssh_cli.protocol.messages import KEX_FIRST, name_of
from pyssh_cli.wire import Reader, mpint, string

INIT = KEX_FIRST
REPLY = KEX_FIRST + 1


def ecdh_init(public: bytes) -> bytes:
    """SSH_MSG_KEX_ECDH_INIT (RFC 5656 section 4) with the client's share."""
    return bytes((INIT,)) + string(public)


def read_reply(payload: memoryview) -> tuple[bytes, bytes, bytes]:
    """SSH_MSG_KEX_ECDH_REPLY: host key, the server's share, signature."""
    reader = Reader(payload)
    number = reader.byte()
    if number != REPLY:
        raise ProtocolError(f"Unexpected {name_of(number)} during key exchange")
    host_key, share, signature = reader.string(), reader.string(), reader.string()
    reader.end()
    return host_key, share, signature


class Ecdh:
    """One run on the client's side, on the curve of that name (nistp256, nistp384 or nistp521)."""

    def __init__(self, curve: str) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        curves: dict[str, ec.EllipticCurve] = {
            "nistp256": ec.SECP256R1(),
            "nistp384": ec.SECP384R1(),
            "nistp521": ec.SECP521R1(),
        }
        self._curve = curves[curve]
        self._private = ec.generate_private_key(self._curve)
        numbers = self._private.public_key().public_numbers()
        size = (self._curve.key_size + 7) // 8
        self._public = b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def start(self) -> bytes:
        return ecdh_init(self._public)

    def receive(self, payload: memoryview) -> KexResult:
        from cryptography.hazmat.primitives.asymmetric import ec

        host_key, share, signature = read_reply(payload)
        if len(share) != len(self._public) or share[0] != 4:
            raise kex_failed("Bad ECDH public key: not an uncompressed point of the curve")
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, share)
            shared = self._private.exchange(ec.ECDH(), peer)
        except ValueError:
            raise kex_failed("Bad ECDH public key: the point is not on the curve") from None
        return KexResult(
            host_key,
            signature,
            string(self._public) + string(share),
            mpint(int.from_bytes(shared, "big")),
        )
