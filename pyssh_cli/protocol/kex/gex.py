"""diffie-hellman-group-exchange-* (RFC 4419): Diffie-Hellman in a group that the server picks, of the size we ask.

The client sends REQUEST with the smallest, preferred and largest size of the prime, the server answers with GROUP,
the prime and the generator; then INIT and REPLY are what they are with a fixed group, with other numbers.
"""

from __future__ import annotations

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.kex import KexResult, kex_failed
from pyssh_cli.protocol.kex.dh import Share, read_reply
from pyssh_cli.protocol.messages import KEX_FIRST, name_of
from pyssh_cli.wire import Reader, mpint, uint32

# The numbers of SSH_MSG_KEX_DH_GEX_* (RFC 4419 section 5).
GROUP = KEX_FIRST + 1
INIT = KEX_FIRST + 2
REPLY = KEX_FIRST + 3
REQUEST = KEX_FIRST + 4

MIN_BITS = 2048
"""No smaller group is asked for or taken (RFC 8270)."""
MAX_BITS = 8192

_SIZES = ((112, 2048), (128, 3072), (192, 7680))


def group_bits(strength: int) -> int:
    """How large a prime goes with keys of `strength` bits (NIST SP 800-57, as OpenSSH asks for it)."""
    return next((size for most, size in _SIZES if strength <= most), MAX_BITS)


class GroupExchange:
    """One run on the client's side, for keys of `strength` bits."""

    def __init__(self, strength: int) -> None:
        self._sizes = uint32(MIN_BITS) + uint32(group_bits(strength)) + uint32(MAX_BITS)
        self._share: Share | None = None
        self._group = b""

    def start(self) -> bytes:
        return bytes((REQUEST,)) + self._sizes

    def receive(self, payload: memoryview) -> KexResult | bytes:
        if self._share is None:
            return self._receive_group(payload)
        host_key, peer, signature = read_reply(payload, REPLY)
        shared = self._share.agree(peer)
        hashed = self._sizes + self._group + mpint(self._share.public) + mpint(peer)
        return KexResult(host_key, signature, hashed, mpint(shared))

    def _receive_group(self, payload: memoryview) -> bytes:
        """Take the group and answer with our public value.

        Whether the prime is prime is not looked into, nor does ssh: that takes seconds, and a server that wants
        the secret known need not go that way.
        """
        reader = Reader(payload)
        number = reader.byte()
        if number != GROUP:
            raise ProtocolError(f"Unexpected {name_of(number)} during key exchange")
        prime, generator = reader.mpint(), reader.mpint()
        reader.end()
        if not MIN_BITS <= prime.bit_length() <= MAX_BITS:
            raise kex_failed(
                f"Bad Diffie-Hellman group: a prime of {prime.bit_length()} bits, not {MIN_BITS} to {MAX_BITS}"
            )
        if not prime & 1:
            raise kex_failed("Bad Diffie-Hellman group: its prime is even")
        if not 1 < generator < prime - 1:
            raise kex_failed("Bad Diffie-Hellman group: its generator is out of range")
        self._group = mpint(prime) + mpint(generator)
        self._share = Share(prime, generator)
        return bytes((INIT,)) + mpint(self._share.public)
