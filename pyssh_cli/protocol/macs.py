"""Message authentication codes (RFC 4253 section 6.4, RFC 6668; the -etm forms are OpenSSH's PROTOCOL 1.5).

HMACs are here, UMAC is `umac`'s.
"""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.messages import DISCONNECT_MAC_ERROR

MAC_FAILED = "Corrupted MAC on input: what arrived is not what the server sent"
"""What every cipher says of a packet that is not authentic."""


class Mac:
    """One direction's MAC under one key. `size` is the tag's length in bytes; `etm` says what it covers."""

    __slots__ = ("_equal", "etm", "size")

    def __init__(self, size: int, etm: bool) -> None:
        from hmac import compare_digest

        self._equal = compare_digest
        self.size = size
        self.etm = etm

    def tag(self, sequence: int, packet: memoryview) -> bytes:
        """The tag of `packet`, which is the one with that sequence number."""
        raise NotImplementedError

    def check(self, sequence: int, packet: memoryview, tag: memoryview) -> None:
        """Raise ProtocolError unless `tag` is the packet's."""
        if not self._equal(self.tag(sequence, packet), tag):
            raise ProtocolError(MAC_FAILED, DISCONNECT_MAC_ERROR)


class Hmac(Mac):
    """HMAC over the sequence number and the packet, cut to the first `size` bytes."""

    __slots__ = ("_keyed",)

    def __init__(self, hash_name: str, key: bytes, size: int, etm: bool) -> None:
        import hmac

        super().__init__(size, etm)
        self._keyed = hmac.new(key, digestmod=hash_name)

    def tag(self, sequence: int, packet: memoryview) -> bytes:
        h = self._keyed.copy()
        h.update(sequence.to_bytes(4, "big"))
        h.update(packet)
        return h.digest()[: self.size]


class MacSpec(NamedTuple):
    """One row of the table; sizes in bytes. `hash_name` is HMAC's hash, or empty for UMAC.

    `default` tells whether the MAC is offered without being asked for.
    """

    name: str
    hash_name: str
    key_size: int
    size: int
    etm: bool
    default: bool

    def make(self, key: bytes) -> Mac:
        """The MAC under `key`."""
        if self.hash_name:
            return Hmac(self.hash_name, key, self.size, self.etm)
        from pyssh_cli.protocol.umac import Umac

        return Umac(key, self.size, self.etm)


def _both(name: str, hash_name: str, key_size: int, size: int, default: bool = True) -> tuple[MacSpec, MacSpec]:
    """A MAC's -etm form, and the plain one."""
    plain, _, vendor = name.partition("@")
    return (
        MacSpec(f"{plain}-etm@{vendor or 'openssh.com'}", hash_name, key_size, size, etm=True, default=default),
        MacSpec(name, hash_name, key_size, size, etm=False, default=default),
    )


def _etm_first(*pairs: tuple[MacSpec, MacSpec]) -> tuple[MacSpec, ...]:
    return (*(etm for etm, _ in pairs), *(plain for _, plain in pairs))


MACS: dict[str, MacSpec] = {
    spec.name: spec
    for spec in (
        *_etm_first(_both("hmac-sha2-256", "sha256", 32, 32), _both("hmac-sha2-512", "sha512", 64, 64)),
        *_etm_first(_both("umac-64@openssh.com", "", 16, 8), _both("umac-128@openssh.com", "", 16, 16)),
        *_both("hmac-sha1", "sha1", 20, 20),
        *_both("hmac-sha1-96", "sha1", 20, 12, default=False),
        *_both("hmac-md5", "md5", 16, 16, default=False),
        *_both("hmac-md5-96", "md5", 16, 12, default=False),
    )
}
"""Every MAC, in the order of the default list, then those used only when asked for. UMAC stands behind HMAC with
SHA-2, which is several times faster here."""

DEFAULT_MACS = tuple(name for name, spec in MACS.items() if spec.default)
"""The default of MACs."""
