"""The data types of RFC 4251 section 5, in which every packet, key and agent message is written.

Writing is plain functions that return bytes; reading is a `Reader` that walks over one message and refuses
whatever does not fit. Nothing here knows what a message means.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyssh_cli.errors import WireError

Buffer = bytes | bytearray | memoryview


def boolean(value: bool) -> bytes:
    """One byte, 0 or 1."""
    return b"\x01" if value else b"\x00"


def uint32(value: int) -> bytes:
    """Four bytes, most significant first."""
    return value.to_bytes(4, "big")


def uint64(value: int) -> bytes:
    """Eight bytes, most significant first."""
    return value.to_bytes(8, "big")


def string(value: Buffer) -> bytes:
    """A length as uint32 and that many bytes."""
    return len(value).to_bytes(4, "big") + value


def text(value: str) -> bytes:
    """A string that holds `value` in UTF-8; bytes that came in as surrogate escapes go out as they were."""
    return string(value.encode("utf-8", "surrogateescape"))


def name_list(names: Iterable[str]) -> bytes:
    """A string that holds the names with commas between them."""
    return string(",".join(names).encode("ascii"))


def mpint(value: int) -> bytes:
    """A non-negative integer in two's complement, as short as can be (zero is the empty string)."""
    if value < 0:
        raise ValueError("SSH has no use for negative integers")
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


class Reader:
    """Walks over one message, from its first byte to its last.

    Every method takes the next value off and raises `WireError` when the message is too short for it or the
    value is not of its type. `end()` refuses bytes left over.
    """

    __slots__ = ("_data", "_offset")

    def __init__(self, data: Buffer, offset: int = 0) -> None:
        self._data = memoryview(data)
        self._offset = offset

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, as a view into the message."""
        start = self._offset
        end = start + count
        if end > len(self._data):
            raise WireError(f"message ends {end - len(self._data)} bytes too early")
        self._offset = end
        return self._data[start:end]

    def byte(self) -> int:
        """One byte as an integer of 0 to 255."""
        return self.take(1)[0]

    def boolean(self) -> bool:
        """One byte; anything but 0 is true (RFC 4251 section 5)."""
        return self.take(1)[0] != 0

    def uint32(self) -> int:
        """Four bytes, most significant first."""
        return int.from_bytes(self.take(4), "big")

    def uint64(self) -> int:
        """Eight bytes, most significant first."""
        return int.from_bytes(self.take(8), "big")

    def view(self) -> memoryview:
        """A string, as a view into the message."""
        return self.take(int.from_bytes(self.take(4), "big"))

    def string(self) -> bytes:
        """A string, copied out."""
        return bytes(self.view())

    def text(self) -> str:
        """A string in UTF-8; what is not UTF-8 becomes surrogate escapes. Not cleaned for a terminal."""
        return self.string().decode("utf-8", "surrogateescape")

    def name_list(self) -> tuple[str, ...]:
        """Names of US-ASCII with commas between them; an empty string holds no name."""
        raw = self.string()
        if not raw:
            return ()
        try:
            return tuple(raw.decode("ascii").split(","))
        except UnicodeDecodeError:
            raise WireError("name-list is not US-ASCII") from None

    def mpint(self) -> int:
        """A non-negative integer. Negative or needlessly long ones are refused."""
        raw = self.view()
        if len(raw) and raw[0] & 0x80:
            raise WireError("negative mpint")
        if len(raw) and raw[0] == 0 and (len(raw) == 1 or not raw[1] & 0x80):
            raise WireError("mpint with leading zeros")
        return int.from_bytes(raw, "big")

    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._offset

    def rest(self) -> memoryview:
        """All bytes that are left, as a view."""
        return self.take(self.remaining())

    def end(self) -> None:
        """Refuse a message that goes on where it should have ended."""
        if self.remaining():
            raise WireError(f"{self.remaining()} bytes too many in message")
