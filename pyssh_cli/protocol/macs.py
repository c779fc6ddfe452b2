"""Message authentication codes (RFC 4253 section 6.4, RFC 6668; the -etm forms are OpenSSH's PROTOCOL 1.5)."""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.messages import DISCONNECT_MAC_ERROR


class Mac:
    """One direction's MAC under one key. `size` is the tag's length in bytes; `etm` says what it covers."""

    __slots__ = ("_equal", "_keyed", "etm", "size")

    def __init__(self, hash_name: str, key: bytes, etm: bool) -> None:
        import hmac

        self._keyed = hmac.new(key, digestmod=hash_name)
        self._equal = hmac.compare_digest
        self.size = self._keyed.digest_size
        self.etm = etm

    def tag(self, sequence: int, packet: memoryview) -> bytes:
        """The tag of `packet` with the sequence number before it."""
        h = self._keyed.copy()
        h.update(sequence.to_bytes(4, "big"))
        h.update(packet)
        return h.digest()

    def check(self, sequence: int, packet: memoryview, tag: memoryview, refusal: str) -> None:
        """Raise ProtocolError with the text `refusal` unless `tag` is the packet's."""
        if not self._equal(self.tag(sequence, packet), tag):
            raise ProtocolError(refusal, DISCONNECT_MAC_ERROR)


class MacSpec(NamedTuple):
    """One row of the table; `key_size` in bytes."""

    name: str
    hash_name: str
    key_size: int
    etm: bool

    def make(self, key: bytes) -> Mac:
        """The MAC under `key`."""
        return Mac(self.hash_name, key, self.etm)


MACS: dict[str, MacSpec] = {
    spec.name: spec
    for spec in (
        MacSpec("hmac-sha2-256-etm@openssh.com", "sha256", 32, etm=True),
        MacSpec("hmac-sha2-512-etm@openssh.com", "sha512", 64, etm=True),
        MacSpec("hmac-sha2-256", "sha256", 32, etm=False),
        MacSpec("hmac-sha2-512", "sha512", 64, etm=False),
    )
}
"""Every MAC, in the order of the default list."""
