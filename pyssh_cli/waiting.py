"""The line that says what is being waited for: one, on a terminal, gone before anything else is said there.

When there is to be one is up to `log`; this file is loaded when somebody has waited that long.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
from time import monotonic
from types import FrameType
from typing import Any

from pyssh_cli.log import printable, write_all

STDERR = 2

_ENDING = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP)
"""Signals whose default would leave the line behind. SIGINT becomes KeyboardInterrupt."""

_ERASE_LINE = "\r\x1b[K"
_ERASE_LINES = "\r\x1b[%dA\x1b[J"


class WaitingLine:
    """The last line of the terminal that stderr is, while it is ours."""

    __slots__ = ("_cells", "_handlers", "_since", "_what")

    def __init__(self, since: float) -> None:
        """`since` is when the waiting began (time.monotonic)."""
        self._what = ""
        self._since = since
        self._cells = 0
        self._handlers: list[int] = []

    def show(self, what: str) -> None:
        """Say that this is being waited for, and for how many seconds. In the background nothing is shown."""
        now = monotonic()
        if what != self._what:
            if self._what:
                self._since = now
            self._what = what
        if not _in_foreground():
            return
        seconds = int(now - self._since)
        line, cells = _cut(printable(what), f" ({seconds} s)" if seconds else "", _columns() - 1)
        before = self._off()
        self._cells = cells  # before a signal may have to erase it
        self._catch_signals()
        write_all(STDERR, f"{before}{line}".encode("utf-8", "backslashreplace"))

    def erase(self) -> None:
        """Leave the terminal's line empty, and the cursor at its beginning."""
        if self._cells:
            off = self._off()
            self._cells = 0
            if _in_foreground():
                write_all(STDERR, off.encode())
        while self._handlers:
            signal.signal(self._handlers.pop(), signal.SIG_DFL)

    def _off(self) -> str:
        """What takes the line off. In a window that has become narrower it stands on several, as nearly all
        terminals have it."""
        more = max(self._cells - 1, 0) // _columns()
        return _ERASE_LINES % more if more else _ERASE_LINE

    def _catch_signals(self) -> None:
        if self._handlers:
            return
        for number in _ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:
                self._handlers.append(number)  # first: it may arrive at once
                try:
                    signal.signal(number, self._on_signal)
                except ValueError:  # only the main thread has a say
                    self._handlers.clear()
                    return

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.erase()
        signal.signal(number, signal.SIG_DFL)  # whatever this has interrupted
        signal.raise_signal(number)


def _in_foreground() -> bool:
    """Whether the terminal is ours to write to, and not that of a shell that has us in the background."""
    try:
        return os.tcgetpgrp(STDERR) == os.getpgrp()
    except OSError:
        return False


def _columns() -> int:
    """How wide the terminal is."""
    try:
        answer = fcntl.ioctl(STDERR, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return 80
    columns: Any = struct.unpack("HHHH", answer)[1]
    return int(columns) or 80


def _cut(text: str, end: str, most: int) -> tuple[str, int]:
    """`text` and `end` in at most so many cells, and how many they take: `text` gives way."""
    from unicodedata import combining, east_asian_width

    left = most - len(end)
    if left < 1:
        end, left = "", max(most, 0)
    used = 0
    for at, char in enumerate(text):
        width = 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1
        if used + width > left:
            text = text[:at]
            break
        used += width
    return text + end, used + len(end)
