"""Binary packets (RFC 4253 section 6): the buffers they lie in, and the seam to what protects them.

A packet on the wire is `uint32 packet_length, byte padding_length, payload, padding, mac`. It is sealed and
opened where it lies: on the way out the payload is put behind room for the five bytes before it, on the way in
the payload is a view into the bytes that the socket delivered. What a payload means is for others.
"""

from __future__ import annotations

from os import urandom
from typing import Protocol

from pyssh_cli.errors import ProtocolError

MAX_PACKET_LENGTH = 256 * 1024
"""The longest packet_length accepted. RFC 4253 section 6.1 asks for 35,000; OpenSSH reads up to this."""

HEADER = 5
"""Bytes before the payload: packet_length and padding_length."""

MAX_OVERHEAD = HEADER + 255 + 64
"""At most this many bytes lie around a payload: the header, padding, and the longest MAC or tag."""


class Sealer(Protocol):
    """Turns payloads into packets, in one direction, under one set of keys."""

    def sealed_size(self, length: int) -> int:
        """The size on the wire of a packet with a payload of `length` bytes."""

    def seal(self, buffer: memoryview, start: int, length: int, sequence: int) -> int:
        """Seal the payload that lies at `buffer[start + HEADER:]`, `length` bytes long; return the packet's end.

        `sequence` is the packet's sequence number (RFC 4253 section 6.4).
        """


class Opener(Protocol):
    """Turns packets into payloads, in one direction, under one set of keys."""

    def packet_size(self, buffer: memoryview, start: int, end: int, sequence: int) -> int:
        """The size on the wire of the packet at `start`, or 0 while too few bytes lie before `end` to tell.

        Raises ProtocolError for a length that cannot be.
        """

    def open(self, buffer: memoryview, start: int, size: int, sequence: int) -> memoryview:
        """Check and decrypt the packet in place; return its payload as a view. Raises ProtocolError."""


def padding_for(length: int, block: int) -> int:
    """How many bytes of padding, at least 4, bring `length` to a multiple of `block` (RFC 4253 section 6)."""
    padding = block - length % block
    return padding if padding >= 4 else padding + block


def check_length(packet_length: int, covered: int, block: int) -> int:
    """Refuse a packet_length that RFC 4253 section 6 does not allow.

    `covered` is how many of its bytes must be a multiple of `block`. Returns `packet_length`.
    """
    if packet_length < 5 or packet_length > MAX_PACKET_LENGTH or covered % block:
        raise ProtocolError(f"Bad packet length {packet_length}: corrupt data, or the peer does not speak SSH")
    return packet_length


def payload_of(buffer: memoryview, start: int, packet_length: int) -> memoryview:
    """The payload of the decrypted packet at `start`, its padding checked and left off."""
    padding = buffer[start + 4]
    if padding < 4 or padding + 1 >= packet_length:
        raise ProtocolError(f"Corrupted padding length {padding} in a packet of {packet_length} bytes")
    return buffer[start + HEADER : start + 4 + packet_length - padding]


class PlainSealer:
    """Packets before the first key exchange is done: no encryption, no MAC."""

    def sealed_size(self, length: int) -> int:
        return HEADER + length + padding_for(HEADER + length, 8)

    def seal(self, buffer: memoryview, start: int, length: int, sequence: int) -> int:  # noqa: ARG002
        padding = padding_for(HEADER + length, 8)
        end = start + HEADER + length + padding
        buffer[start : start + 4] = (end - start - 4).to_bytes(4, "big")
        buffer[start + 4] = padding
        buffer[end - padding : end] = urandom(padding)
        return end


class PlainOpener:
    """The counterpart of `PlainSealer`."""

    def packet_size(self, buffer: memoryview, start: int, end: int, sequence: int) -> int:  # noqa: ARG002
        if end - start < 4:
            return 0
        packet_length = int.from_bytes(buffer[start : start + 4], "big")
        return 4 + check_length(packet_length, packet_length + 4, 8)

    def open(self, buffer: memoryview, start: int, size: int, sequence: int) -> memoryview:  # noqa: ARG002
        return payload_of(buffer, start, size - 4)


class SendBuffer:
    """Sealed packets on their way to the socket: the bytes `start` to `end` of one piece of memory.

    New packets are sealed right behind the last one, so that one `send` takes them all.
    """

    __slots__ = ("_view", "end", "start")

    def __init__(self, size: int = 64 * 1024) -> None:
        self._view = memoryview(bytearray(size))
        self.start = 0
        self.end = 0

    def __len__(self) -> int:
        return self.end - self.start

    def reserve(self, count: int) -> memoryview:
        """Memory with room for `count` bytes at `end`; views handed out earlier are stale."""
        if self.start == self.end:
            self.start = self.end = 0
        if self.end + count > len(self._view):
            waiting = self.end - self.start
            view = self._view
            if waiting + count > len(view):
                view = memoryview(bytearray(max(waiting + count, 2 * len(view))))
            view[:waiting] = self._view[self.start : self.end]
            self._view, self.start, self.end = view, 0, waiting
        return self._view

    def append(self, data: bytes) -> None:
        """Put bytes that are no packet (the version line) behind what is there."""
        view = self.reserve(len(data))
        view[self.end : self.end + len(data)] = data
        self.end += len(data)

    def unsent(self) -> memoryview:
        """What the socket has not taken yet."""
        return self._view[self.start : self.end]

    def sent(self, count: int) -> None:
        """The socket took `count` bytes."""
        self.start += count


class ReceiveBuffer:
    """What the socket delivered and nobody has opened yet: the bytes `start` to `end` of one piece of memory.

    Large reads into one place cost one system call and no copy for many packets; only the part of a packet that
    is left at the end of a read is moved, to the front, before the next. Payloads are views into it: they hold
    until `room()` is called again.
    """

    __slots__ = ("_read_size", "end", "start", "view")

    def __init__(self, read_size: int) -> None:
        self._read_size = read_size
        # One packet of the largest size may be waiting for its last bytes while a full read goes on.
        self.view = memoryview(bytearray(read_size + MAX_PACKET_LENGTH + MAX_OVERHEAD))
        self.start = 0
        self.end = 0

    def room(self) -> memoryview:
        """Where the socket should put its next bytes."""
        if self.start:
            waiting = self.end - self.start
            if waiting:
                self.view[:waiting] = self.view[self.start : self.end]
            self.start, self.end = 0, waiting
        return self.view[self.end : self.end + self._read_size]
