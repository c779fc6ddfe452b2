"""Our stdout and stderr: what the remote side printed, written as it came, without ever holding up the rest."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from itertools import islice

from pyssh_cli.errors import OutputError
from pyssh_cli.net.loop import Loop

TTY_PIECE = 8 * 1024
"""Bytes a terminal is given at once: a write to one may wait, and a key typed meanwhile should not wait long."""

MAX_PIECES = 512
"""Buffers given to one writev; below the limit of every system."""

KEPT_SIZE = 64 * 1024
"""What waits is kept in pieces of about this size, however small the packets were that it came in."""

_GONE = {errno.EPIPE, errno.ECONNRESET}
"""Whoever read it has gone: no loss for anybody. Of a terminal, EIO says so."""

_HINTS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file may not grow further",
}


def unblock(fd: int) -> bool:
    """Have a pipe or a socket of ours never wait, which it could do in the middle of a write; a file never does so
    for long, and a terminal is left alone. Whether that is a change: `block_again` undoes it."""
    if os.isatty(fd) or stat.S_ISREG(os.fstat(fd).st_mode) or not os.get_blocking(fd):
        return False
    os.set_blocking(fd, False)
    return True


def block_again(fd: int) -> None:
    """Leave it as it was found, for whoever else has it."""
    try:
        os.set_blocking(fd, True)
    except OSError:
        pass


class Output:
    """One output descriptor. Not written to while it is not ready: what waits is kept, and `drained` is called
    with the number of bytes when some of it went.

    When whoever read it has gone, `gone` is called, and all that comes from then on is dropped, as ssh does.
    `name` is what to call it when it takes no more for another reason, a full disk for one; without a name that
    is no error either.
    """

    def __init__(
        self,
        fd: int,
        name: str | None,
        loop: Loop,
        drained: Callable[[int], None],
        gone: Callable[[], None] | None = None,
    ) -> None:
        self._fd = fd
        self._name = name
        self._loop = loop
        self._drained = drained
        self._gone = gone
        self._dropping = False
        self._waiting: deque[bytearray] = deque()
        self._written = 0  # of the first piece that waits
        self._tty = os.isatty(fd)
        self._reopened = _own_description(fd) if self._tty else None
        if self._reopened is not None:
            self._fd = self._reopened
        self._unblocked = unblock(fd)

    @property
    def waiting(self) -> bool:
        """Whether something is not written yet."""
        return bool(self._waiting)

    def write(self, pieces: list[memoryview]) -> int:
        """Write what can be written now; returns how many bytes went. What did not is copied and kept.

        Raises OutputError when a descriptor that has a name takes no more, though somebody is still there.
        """
        if self._dropping:
            return sum(map(len, pieces))
        if self._waiting:
            self._keep(pieces)
            return 0
        total = sum(map(len, pieces))
        written = 0
        while written < total:
            count = self._write_some(pieces)
            written += count
            if written == total:
                break
            pieces = _after(pieces, count)
            if not count or (self._tty and self._reopened is None):
                self._keep(pieces)
                self._loop.watch(self._fd, None, self._on_writable)
                break
        return written

    def _keep(self, pieces: list[memoryview]) -> None:
        for piece in pieces:
            if not self._waiting or len(self._waiting[-1]) + len(piece) > KEPT_SIZE:
                self._waiting.append(bytearray())
            self._waiting[-1] += piece

    def _write_some(self, pieces: list[memoryview]) -> int:
        try:
            if self._tty and self._reopened is None:
                return os.write(self._fd, pieces[0][:TTY_PIECE])
            return os.writev(self._fd, pieces[:MAX_PIECES])
        except BlockingIOError:
            return 0
        except OSError as error:
            number = error.errno or 0
            if self._name is None or number in _GONE or (number == errno.EIO and self._tty):
                self._drop()
                return sum(map(len, pieces))
            hint = f" ({_HINTS[number]})" if number in _HINTS else ""
            raise OutputError(f"pyssh: write to {self._name} failed: {os.strerror(number)}{hint}") from None

    def _drop(self) -> None:
        """Nobody reads: let go of what comes."""
        if not self._dropping:
            self._dropping = True
            if self._gone:
                self._gone()

    def _on_writable(self) -> None:
        first = memoryview(self._waiting[0])[self._written :]
        rest = [memoryview(piece) for piece in islice(self._waiting, 1, MAX_PIECES)]
        count = self._write_some([first, *rest])
        del first, rest  # a piece that is looked at cannot grow
        self._written += count
        while self._waiting and self._written >= len(self._waiting[0]):
            self._written -= len(self._waiting.popleft())
        if not self._waiting:
            self._loop.watch(self._fd)
        self._drained(count)

    def close(self) -> None:
        """Leave the descriptor as it was found."""
        self._loop.watch(self._fd)
        if self._reopened is not None:
            os.close(self._reopened)
            self._reopened = None
        if self._unblocked:
            block_again(self._fd)


def _own_description(fd: int) -> int | None:
    """The terminal of `fd`, opened once more so that writing never waits: set on `fd`, the flag that says so would
    hold for every program that shares it. None where that cannot be had."""
    try:
        own = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    if os.fstat(own).st_rdev == os.fstat(fd).st_rdev:
        return own
    os.close(own)
    return None


def _after(pieces: list[memoryview], count: int) -> list[memoryview]:
    """`pieces` without their first `count` bytes."""
    for index, piece in enumerate(pieces):
        if count < len(piece):
            return [piece[count:], *pieces[index + 1 :]]
        count -= len(piece)
    return []
