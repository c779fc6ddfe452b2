"""Reading a whole file that the configuration names, bounded in size and in time: a key, known_hosts, a list of
revoked keys. It may be a FIFO or a /dev/fd of process substitution, with a writer late, slow or never there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

SILENCE = 5.0
"""Seconds for which a pipe may say nothing."""

PATIENCE = 60.0
"""Seconds in which a pipe has to come to its end."""

_PIECE = 1 << 16


class EndlessFileError(OSError):
    """A file with no end in sight: larger than its bound, or a pipe that nobody writes to, or closes. Nobody knows
    what it would have said, so it is not the same as one that is not there."""


def read_file(path: str, limit: int) -> bytes:
    """The content of the file. Raises OSError; EndlessFileError beyond `limit` bytes (whole MiB), or the time
    that a pipe is given."""
    with opened(path) as fd:
        return read_all(fd, limit)


def read_regular_file(path: str, limit: int) -> bytes:
    """The same of a regular file only, and OSError for any other, of which nothing is taken: what comes through a
    pipe comes once."""
    with opened(path) as fd:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return read_all(fd, limit)


@contextmanager
def opened(path: str) -> Iterator[int]:
    """The file, no directory, open for reading. A FIFO is not waited for. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except ValueError:
        raise OSError(errno.EINVAL, "the path holds a NUL") from None
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        yield fd
    finally:
        os.close(fd)


def read_all(fd: int, limit: int) -> bytes:
    """All there is of a file of `opened`; errors as of `read_file`."""
    status = os.fstat(fd)
    at_once = min(max(status.st_size + 1, _PIECE), limit + 1)
    pieces: list[bytes] = []
    size = 0
    for piece in _regular(fd, at_once) if stat.S_ISREG(status.st_mode) else _trickle(fd, at_once):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise EndlessFileError(errno.EFBIG, f"larger than {limit >> 20} MiB")
    return b"".join(pieces)


def _regular(fd: int, at_once: int) -> Iterator[bytes]:
    while piece := os.read(fd, at_once):
        yield piece


def _trickle(fd: int, at_once: int) -> Iterator[bytes]:
    """The pieces of what may have to be waited for. A FIFO that no writer has opened yet is not ready, while one
    that the last has closed is at its end."""
    from select import POLLIN, poll
    from time import monotonic

    waiting = poll()
    waiting.register(fd, POLLIN)
    end = monotonic() + PATIENCE
    while True:
        seconds = min(SILENCE, end - monotonic())
        if seconds <= 0 or not waiting.poll(seconds * 1000):
            raise EndlessFileError(errno.ETIMEDOUT, "the pipe did not come to its end in time")
        try:
            piece = os.read(fd, at_once)
        except BlockingIOError:
            continue
        if not piece:
            return
        yield piece
