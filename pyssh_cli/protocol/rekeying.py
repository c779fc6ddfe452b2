"""When the keys of a connection grow old: by data, by packets, by time (RFC 4253 section 9, RFC 4344)."""

from __future__ import annotations

MAX_PACKETS = 1 << 31
"""Packets under one set of keys before a rekeying (RFC 4344 section 3.1)."""


class KeyAge:
    """The limits on one set of keys after the other. It is told the connection's totals, and remembers where each
    set began; `now` is a clock in seconds that only goes forward."""

    def __init__(self) -> None:
        self._max_bytes = 0
        self._max_seconds = 0
        self._byte_limit = 1 << 62
        self._since = 0.0
        self._sent_before = 0
        self._received_before = 0
        self._packets_before = 0

    def limit(self, size: int, seconds: int) -> None:
        """RekeyLimit: bytes in either direction (0: what the cipher allows) and seconds (0: no limit)."""
        self._max_bytes = size
        self._max_seconds = seconds

    def sends_anew(self, bytes_sent: int, packets: int) -> None:
        """Our packets are under new keys from now on."""
        self._sent_before = bytes_sent
        self._packets_before = packets

    def receives_anew(self, bytes_received: int, byte_limit: int) -> None:
        """So are the peer's. `byte_limit` is how much the cipher may be used for."""
        self._received_before = bytes_received
        self._byte_limit = min(byte_limit, self._max_bytes or byte_limit)
        self._since = 0.0

    def deadline(self) -> float | None:
        """When time asks for new keys; None for never and for not known yet."""
        return self._since + self._max_seconds if self._max_seconds and self._since else None

    def is_over(self, now: float, bytes_sent: int, bytes_received: int, packets: int) -> bool:
        """Whether it is time for new keys. The time of the present ones is counted from the first call on."""
        if not self._since:
            self._since = now
        return (
            bytes_sent - self._sent_before >= self._byte_limit
            or bytes_received - self._received_before >= self._byte_limit
            or packets - self._packets_before >= MAX_PACKETS
            or (self._max_seconds > 0 and now - self._since >= self._max_seconds)
        )
