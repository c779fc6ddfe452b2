"""The packets of one connection, a stream each way (RFC 4253 section 6): sequence numbers, compression, counts,
and the keys in use. When keys are exchanged, and what payloads mean, is for `transport`.
"""

from __future__ import annotations

from collections.abc import Callable

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.compression import COMPRESSIONS, Compressor, Decompressor
from pyssh_cli.protocol.packet import (
    HEADER,
    MAX_OVERHEAD,
    Opener,
    PlainOpener,
    PlainSealer,
    ReceiveBuffer,
    Sealer,
    SendBuffer,
)
from pyssh_cli.wire import uint32

MAX_OUTGOING = 32 * 1024 * 1024
"""Bytes waiting to be sent; what we send by ourselves stays far below, so more are answers nobody fetches."""


class SentPackets:
    """What we send: payloads in, packets into `buffer`. `bytes_sent` and `packets` count since the beginning."""

    def __init__(self) -> None:
        self.buffer = SendBuffer()
        self.bytes_sent = 0
        self.packets = 0
        self._sealer: Sealer = PlainSealer()
        self._sequence = 0
        self._compressor: Compressor | None = None

    def take_keys(self, sealer: Sealer, strict: bool) -> None:
        """Seal with new keys from now on; strict key exchange begins to count anew."""
        self._sealer = sealer
        if strict:
            self._sequence = 0

    def compress(self, method: str) -> None:
        """Compress from now on, or not: compression begins anew with each set of keys (RFC 4253 section 6.2)."""
        self._compressor = Compressor() if COMPRESSIONS[method] else None

    def send(self, parts: tuple[bytes | memoryview, ...]) -> None:
        """Send one payload, given in parts."""
        if self._compressor:
            parts = (self._compressor.compress(b"".join(parts)),)
        length = sum(map(len, parts))
        outgoing = self.buffer
        if len(outgoing) > MAX_OUTGOING:
            raise ProtocolError("The server asks for answers without end and does not fetch them")
        buffer = outgoing.reserve(length + MAX_OVERHEAD)
        start = outgoing.end
        position = start + HEADER
        for part in parts:
            buffer[position : position + len(part)] = part
            position += len(part)
        self._seal_in_place(buffer, start, length)

    def send_read(self, prefix: bytes, size: int, count: int, read: Callable[[list[memoryview]], int]) -> int:
        """Send what `read` reads, without a copy: it fills memory in which the packets are then sealed.

        Up to `count` packets, each `prefix`, a uint32 with the length, and at most `size` bytes of data. `read`
        is given views to fill in order and returns how many bytes it filled in all; so does this.
        """
        head = len(prefix) + 4
        if self._compressor:
            memory = memoryview(bytearray(size))
            done = read([memory])
            if done:
                self.send((prefix, uint32(done), memory[:done]))
            return done
        stride = self._sealer.sealed_size(head + size)
        outgoing = self.buffer
        buffer = outgoing.reserve(count * stride + MAX_OVERHEAD)
        first = outgoing.end + HEADER + head
        done = read([buffer[at : at + size] for at in range(first, first + count * stride, stride)])
        left = done
        while left > 0:
            start = outgoing.end
            length = min(left, size)
            data = start + HEADER + head
            buffer[start + HEADER : data] = prefix + length.to_bytes(4, "big")
            self._seal_in_place(buffer, start, head + length)
            left -= length
        return done

    def _seal_in_place(self, buffer: memoryview, start: int, length: int) -> None:
        end = self._sealer.seal(buffer, start, length, self._sequence)
        self.buffer.end = end
        self.bytes_sent += end - start
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self.packets += 1


class ReceivedPackets:
    """What the server sends: bytes into `buffer`, payloads out. The counts are as with `SentPackets`."""

    def __init__(self, read_size: int) -> None:
        self.buffer = ReceiveBuffer(read_size)
        self.bytes_received = 0
        self.packets = 0
        self._opener: Opener = PlainOpener()
        self._sequence = 0
        self._decompressor: Decompressor | None = None

    def take_keys(self, opener: Opener, strict: bool) -> None:
        """Open with new keys from now on; strict key exchange begins to count anew."""
        self._opener = opener
        if strict:
            self._sequence = 0

    def decompress(self, method: str) -> None:
        """Decompress from now on, or not; as with `SentPackets`."""
        self._decompressor = Decompressor() if COMPRESSIONS[method] else None

    @property
    def last(self) -> int:
        """The sequence number of the packet that was opened last."""
        return (self._sequence - 1) & 0xFFFFFFFF

    def next(self) -> memoryview | None:
        """Open the next packet: its payload, or None while it is not all there. Raises ProtocolError."""
        incoming = self.buffer
        buffer, start = incoming.view, incoming.start
        waiting = incoming.end - start
        sequence = self._sequence
        size = self._opener.packet_size(buffer, start, incoming.end, sequence)
        if not size or size > waiting:
            return None
        payload = self._opener.open(buffer, start, size, sequence)
        incoming.start = start + size
        self.bytes_received += size
        self.packets += 1
        self._sequence = (sequence + 1) & 0xFFFFFFFF
        return self._decompressor.decompress(payload) if self._decompressor else payload
