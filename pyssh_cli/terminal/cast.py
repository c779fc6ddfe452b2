"""The lines of a recording in asciinema's format, asciicast version 2 (docs.asciinema.org): JSON, a line each.

A pure unit: bytes and times in, lines out. `client.recording` writes them to a file.
"""

from __future__ import annotations

import json
from codecs import getincrementaldecoder
from collections.abc import Mapping

USUAL_SIZE = 80, 24
"""Columns and rows for a player, where nobody has said what the terminal has."""

_Utf8 = getincrementaldecoder("utf-8")


class Cast:
    """The lines of one recording, in UTF-8 and with their ends.

    Times are seconds of any clock that does not go backwards; `started` is the moment that players count from.
    A character whose bytes come in several pieces is in the event of its last one; what is not UTF-8 becomes
    U+FFFD, for JSON holds nothing else.
    """

    __slots__ = ("_shown", "_size", "_started", "_typed")

    def __init__(self, started: float) -> None:
        self._started = started
        self._size = USUAL_SIZE
        self._shown = _Utf8("replace")
        self._typed = _Utf8("replace")

    def header(self, columns: int, rows: int, timestamp: int, environment: Mapping[str, str]) -> bytes:
        """The first line. `timestamp` is in seconds of the Unix epoch; zeros are a size that nobody knows."""
        if columns and rows:
            self._size = columns, rows
        width, height = self._size
        clean = {
            name: value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            for name, value in environment.items()
        }
        return _line({"version": 2, "width": width, "height": height, "timestamp": timestamp, "env": clean})

    def output(self, data: bytes, now: float) -> bytes:
        """The event of what the terminal is given; empty when `data` only begins a character."""
        return self._event(now, "o", self._shown.decode(data))

    def typed(self, data: bytes, now: float) -> bytes:
        """The event of keys."""
        return self._event(now, "i", self._typed.decode(data))

    def resized(self, columns: int, rows: int, now: float) -> bytes:
        """The event of a window's new size; empty when it is the old one, or not known."""
        if not (columns and rows) or (columns, rows) == self._size:
            return b""
        self._size = columns, rows
        return self._event(now, "r", f"{columns}x{rows}")

    def finish(self, now: float) -> bytes:
        """The events of characters that will not be completed any more."""
        shown, typed = self._shown.decode(b"", final=True), self._typed.decode(b"", final=True)
        return self._event(now, "o", shown) + self._event(now, "i", typed)

    def _event(self, now: float, code: str, text: str) -> bytes:
        return _line([round(now - self._started, 6), code, text]) if text else b""


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
