"""What pyssh says about itself, in ssh's style, on stderr, in the file of -E or to syslog, and how text is made
safe to say.

Not for what the remote side prints: that goes to stdout and stderr untouched, by `client/`.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from pyssh_cli.waiting import WaitingLine

QUIET, FATAL, ERROR, INFO, VERBOSE, DEBUG1, DEBUG2, DEBUG3 = range(-1, 7)

LOG_LEVELS = {
    "QUIET": QUIET,
    "FATAL": FATAL,
    "ERROR": ERROR,
    "INFO": INFO,
    "VERBOSE": VERBOSE,
    "DEBUG": DEBUG1,
    "DEBUG1": DEBUG1,
    "DEBUG2": DEBUG2,
    "DEBUG3": DEBUG3,
}
"""LogLevel's names (ssh_config(5)) and their rank; a message shows when its rank is not above the level."""

_PREFIX = {DEBUG1: "debug1: ", DEBUG2: "debug2: ", DEBUG3: "debug3: "}

_SYSLOG = {
    FATAL: ("LOG_CRIT", "fatal: "),
    ERROR: ("LOG_ERR", "error: "),
    INFO: ("LOG_INFO", ""),
    VERBOSE: ("LOG_INFO", ""),
}
"""Rank to syslog's priority and what the message starts with there; all others are LOG_DEBUG, and as on stderr."""

SYSLOG_SIZE = 900
"""Characters of a message that syslog gets: with what is put before them, a line of RFC 3164 has 1024 bytes."""

PATIENCE = 2000
"""Milliseconds that a line may wait for a stderr that is full."""

TELL_AFTER = 1.5
"""Seconds after which a person at a terminal is told what is being waited for."""

TELL_AGAIN = 1.0
"""Seconds between two such looks, for the time shown and for what is waited for by then."""

NEVER = float("inf")

LONGEST = 1021
"""Characters of a line of an error that are shown, as by ssh: a file may have lines of any length."""


def printable(value: str | bytes, *, newlines: bool = False) -> str:
    """`value` with everything that could drive a terminal shown as a backslash escape.

    Control characters (C0, DEL, C1), bytes that are not UTF-8, and the Unicode characters that reorder or
    hide text become escapes; newline and tab pass when `newlines` is set (banners, instructions). Text that a
    server or a file holds goes through here before it reaches a terminal or a log.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if value.isascii() and value.isprintable():
        return value
    return "".join(_escape(c, newlines) for c in value)


def _escape(char: str, newlines: bool) -> str:
    if char.isprintable() or (newlines and char in "\n\t"):
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        return f"\\{code - 0xDC00:03o}"
    if code < 0x100:
        return f"\\{code:03o}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _with_hints(text: str, stream: TextIO) -> str:
    """`text` with the parenthesis that a line ends with, where we say what to do (`client.hints`), in bold; as it
    was where colour is not welcome."""
    from pyssh_cli.colour import Paint, wants_colour

    if not wants_colour(stream):
        return text
    paint, lines = Paint(True), []
    for line in text.split("\n"):
        at = _last_parenthesis(line)
        lines.append(line[:at] + paint("strong", line[at:]))
    return "\n".join(lines)


def _last_parenthesis(line: str) -> int:
    """Where the parenthesis begins that the line ends with; its length when there is none."""
    depth = 0
    for at in range(len(line) - 1, 0, -1) if line.endswith(")") else ():
        depth += (line[at] == ")") - (line[at] == "(")
        if not depth and line[at - 1] == " ":
            return at
    return len(line)


def write_all(fd: int, data: bytes) -> None:
    """Write `data`, past the fullness of a pipe that does not block, for `PATIENCE` at most.

    A descriptor that takes no more must not end the session: what cannot be said is dropped.
    """
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            if not poll.poll(PATIENCE):
                return
        except OSError:
            return


def _is_raw(fd: int) -> bool:
    """Whether `fd` is a terminal on which a LF only steps down: another program's session is on it, perhaps one
    that we are the ProxyCommand of."""
    if not os.isatty(fd):
        return False
    import termios

    try:
        return not termios.tcgetattr(fd)[1] & termios.OPOST
    except termios.error:
        return False


def _place() -> str:
    """Where in the program the message being said comes from: "file:function():line"."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_code.co_filename == _place.__code__.co_filename or frame.f_code.co_name == "say"
    ):
        frame = frame.f_back
    code = frame.f_code
    return f"{os.path.basename(code.co_filename)}:{code.co_name}():{frame.f_lineno}"


def _say_to_syslog(rank: int, message: str) -> None:
    import syslog

    priority, prefix = _SYSLOG.get(rank, ("LOG_DEBUG", _PREFIX.get(rank, "")))
    syslog.syslog(getattr(syslog, priority), (prefix + printable(message))[:SYSLOG_SIZE])


class Log:
    """One place to say things, with ssh's levels. `level` is a rank of `LOG_LEVELS`.

    Lines end in CR LF while the terminal is raw (`raw` is set by `terminal/`, or another program has made it so),
    because a bare LF would only step down there.
    """

    def __init__(self, level: int = INFO) -> None:
        self.level = level
        self.raw = False
        self.forced: Callable[[str], bool] | None = None
        """Whether a message of this place, "file:function():line", is shown whatever its rank (LogVerbose)."""
        self._file: TextIO | None = None
        self._syslog = False
        self._silent = False
        self.tells_waits = False
        """Whether somebody may be there to be told what is being waited for (not -q, not -v, not BatchMode)."""
        self._tell_at = 0.0
        self._waiting: WaitingLine | None = None

    def open_file(self, path: str) -> None:
        """Append to `path` instead of stderr (-E). Raises OSError."""
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = open(fd, "w", encoding="utf-8")  # noqa: SIM115

    def open_syslog(self, facility: str) -> None:
        """Say all further things to syslog, under this name of SyslogFacility (-y)."""
        import syslog

        syslog.openlog("pyssh", syslog.LOG_PID, getattr(syslog, f"LOG_{facility}"))
        self._syslog = True

    def leave_stderr(self) -> bool:
        """In the background nothing is said on stderr any more, unless it was asked for by -v; whether that is so.

        A file and syslog go on.
        """
        if not self._syslog and self._file is None:
            self._silent = self.level < DEBUG1
            return self._silent
        return True

    # What is being waited for -----------------------------------------------------------------------------------

    def tell_at(self) -> float:
        """When to call `waits_for`, should there be something to wait for until then (time.monotonic); NEVER where
        nobody is to be told, as without a terminal. The first call begins the time."""
        if not self._tell_at:
            self._tell_at = monotonic() + TELL_AFTER if self._has_reader() else NEVER
        return self._tell_at

    def tell_no_waits(self) -> None:
        """From now on nobody is told what is waited for."""
        self.clear()
        self._tell_at = NEVER

    def _has_reader(self) -> bool:
        plain = self._file is None and not (self._syslog or self._silent or self.raw)
        return plain and self.tells_waits and os.isatty(2) and os.environ.get("TERM", "dumb") not in {"", "dumb"}

    def waits_for(self, what: str) -> None:
        """Show what is being waited for, on a line that is gone before anything else is said there (`clear`).

        To be called again at `tell_at`. Names in it may be anybody's: it is cleaned. Nothing is shown of nothing,
        nor while the terminal is raw.
        """
        now = monotonic()
        if not what or self.raw or self._silent:
            self.clear()
        elif self._waiting is None:
            from pyssh_cli.waiting import WaitingLine

            self._waiting = WaitingLine(now - TELL_AFTER)
        if self._waiting is not None:
            self._waiting.show(what)
        self._tell_at = now + TELL_AGAIN

    def clear(self) -> None:
        """Take that line off, for something else is to be on the terminal; it may come back after a while."""
        if self._waiting is not None:
            self._waiting.erase()
            self._waiting = None
        if self._tell_at and self._tell_at != NEVER:
            self._tell_at = monotonic() + TELL_AFTER

    def enabled(self, rank: int) -> bool:
        """Whether a message of this rank may be shown: ask before making a costly one."""
        return rank <= self.level or self.forced is not None

    def say(self, rank: int, message: str) -> None:
        """Say `message`, cleaned, if the level lets it through.

        Newlines stay in what the person is told, and not in debug output: no server can forge a line of that.
        Callers clean what a server says (`printable`) before they put it into a message of INFO and above.
        """
        if rank > self.level and self.forced is None:
            return
        if self.forced is not None:
            place = _place()
            if self.forced(place):
                message = f"{place} (pid={os.getpid()}): {message}"
            elif rank > self.level:
                return
        if self._syslog:
            _say_to_syslog(rank, message)
            return
        if self._silent:
            return
        self.clear()
        body = printable(message, newlines=rank <= INFO)
        if rank <= ERROR and len(body) > LONGEST:
            body = "\n".join(line[:LONGEST] for line in body.split("\n"))
        stream = self._file or sys.stderr
        if stream is None:  # stderr was closed before we were started
            return
        if rank <= ERROR and self._file is None and body.endswith(")"):
            body = _with_hints(body, stream)
        try:
            fd = stream.fileno()
        except (OSError, ValueError):  # something that stands for stderr, or a closed one
            fd = -1
        end = "\r\n" if self._file is None and (self.raw or _is_raw(fd)) else "\n"
        line = _PREFIX.get(rank, "") + body.replace("\n", end) + end
        if fd >= 0:
            write_all(fd, line.encode("utf-8", "backslashreplace"))
        elif not stream.closed:
            stream.write(line)

    def error(self, message: str) -> None:
        """Something went wrong."""
        self.say(ERROR, message)

    def info(self, message: str) -> None:
        """Something the person should know, shown unless -q."""
        self.say(INFO, message)

    def quote(self, message: str) -> None:
        """What a server says to the person: shown as `info` is, and never taken for words of ours."""
        self.say(INFO, message)

    def verbose(self, message: str) -> None:
        """Shown with -v and LogLevel VERBOSE."""
        self.say(VERBOSE, message)

    def debug1(self, message: str) -> None:
        """Shown with -v."""
        self.say(DEBUG1, message)

    def debug2(self, message: str) -> None:
        """Shown with -vv."""
        self.say(DEBUG2, message)

    def debug3(self, message: str) -> None:
        """Shown with -vvv."""
        self.say(DEBUG3, message)
