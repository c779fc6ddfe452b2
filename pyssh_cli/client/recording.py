"""A session with a terminal, recorded into a file (SessionRecord). What its lines look like is `terminal.cast`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from time import monotonic

from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.terminal.cast import Cast

FLUSH_AFTER = 1.0
"""Seconds that an event may wait to be written."""

FLUSH_SIZE = 64 * 1024
"""Bytes of events that are written without waiting."""


class Recording:
    """The recording of one session in the file `path`, which it makes and which must not be there yet.

    Whatever goes wrong with the file is told in one line and ends the recording, never the session. What has been
    written by then ends with a whole line, so that players take it.
    """

    def __init__(self, path: str, log: Log, loop: Loop, size: tuple[int, int], env: Mapping[str, str]) -> None:
        """`size` is the terminal's in columns and rows, `env` what the header tells of the environment."""
        self._path = path
        self._log = log
        self._loop = loop
        self._cast = Cast(monotonic())
        self._waiting = bytearray()
        self._timer: Timer | None = None
        self._fd: int | None = None
        try:
            # What is there already is somebody's recording, or a link to somebody's file: O_EXCL follows none.
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            log.error(f"SessionRecord: {path} exists already; this session is not recorded (name a new file)")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            log.error(f"SessionRecord: {path}: {reason}; this session is not recorded")
        else:
            self._waiting += self._cast.header(*size, int(time.time()), env)
            self._flush()

    def output(self, pieces: list[memoryview]) -> None:
        """The terminal was given these."""
        if self._fd is not None:
            self._add(self._cast.output(b"".join(pieces), monotonic()))

    def typed(self, data: bytes) -> None:
        """These keys go to the server."""
        if self._fd is not None:
            self._add(self._cast.typed(data, monotonic()))

    def resized(self, columns: int, rows: int) -> None:
        """The window has this size now."""
        if self._fd is not None:
            self._add(self._cast.resized(columns, rows, monotonic()))

    def close(self) -> None:
        """Write what waits, and let go of the file; the recording is over."""
        if self._fd is not None:
            self._waiting += self._cast.finish(monotonic())
            self._flush()
        self._let_go()

    def _add(self, lines: bytes) -> None:
        self._waiting += lines
        if len(self._waiting) >= FLUSH_SIZE:
            self._flush()
        elif self._waiting and self._timer is None:
            self._timer = self._loop.call_at(monotonic() + FLUSH_AFTER, self._flush)

    def _flush(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._fd is None:
            return
        lines, self._waiting = self._waiting, bytearray()
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._fd, memoryview(lines)[written:])
        except OSError as error:
            self._fail(error, written - (lines.rfind(b"\n", 0, written) + 1))

    def _fail(self, error: OSError, torn: int) -> None:
        """End the recording after an error; the last `torn` bytes of the file are the beginning of a line."""
        assert self._fd is not None
        if torn:
            try:
                os.ftruncate(self._fd, os.lseek(self._fd, 0, os.SEEK_CUR) - torn)
            except OSError as second:
                self._log.debug1(f"SessionRecord: {self._path}: its last line stays torn: {second.strerror}")
        self._log.error(f"SessionRecord: {self._path}: {error.strerror}; the recording ends here")
        self._let_go()

    def _let_go(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            try:
                os.close(fd)
            except OSError as error:  # where writes are late (NFS, quotas), this is where they fail
                self._log.error(f"SessionRecord: {self._path}: {error.strerror}; its end may be missing")
