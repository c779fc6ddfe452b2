"""Raw mode of the local terminal, and its size.

Raw mode is entered for an interactive session and left on every way out of it. Questions set their own modes, in
`questions`; what the remote side is told of the modes is `modes`.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import signal
import struct
import termios
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from pyssh_cli.log import Log

_IFLAG, _OFLAG, _LFLAG, _CC = 0, 1, 3, 6  # places in tcgetattr's list

_INPUT_OFF = (
    termios.ISTRIP
    | termios.INLCR
    | termios.IGNCR
    | termios.ICRNL
    | termios.IXON
    | termios.IXANY
    | termios.IXOFF
    | getattr(termios, "IUCLC", 0)  # not on macOS
)
_LOCAL_OFF = (
    termios.ISIG | termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHONL | termios.IEXTEN
)


def raw_attributes(found: list[Any]) -> list[Any]:
    """The attributes (as of `termios.tcgetattr`) that OpenSSH's raw mode makes of those found; `found` stays."""
    attributes = found.copy()
    attributes[_IFLAG] = (found[_IFLAG] | termios.IGNPAR) & ~_INPUT_OFF
    attributes[_OFLAG] = found[_OFLAG] & ~termios.OPOST
    attributes[_LFLAG] = found[_LFLAG] & ~_LOCAL_OFF
    attributes[_CC] = found[_CC].copy()
    attributes[_CC][termios.VMIN] = 1
    attributes[_CC][termios.VTIME] = 0
    return attributes


def set_attributes(fd: int, attributes: list[Any]) -> None:
    """tcsetattr once the output has drained, begun again when a signal interrupts it. Raises termios.error."""
    while True:
        try:
            termios.tcsetattr(fd, termios.TCSADRAIN, attributes)
        except termios.error as e:
            if e.args[0] != errno.EINTR:
                raise
        else:
            return


def restore(fd: int, found: list[Any], ours: list[Any]) -> None:
    """Give the terminal back the attributes `found` on it, in place of `ours`. Never raises, never stops us.

    From the background this happens only while the terminal still has `ours`: a shell that took the terminal
    over has set what it needs, and must not find it changed under its hands.
    """
    # In the background SIGTTOU would stop the process in the middle of this (tcsetattr(3), termios(4)).
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        if in_background(fd) and not _same(termios.tcgetattr(fd), ours):
            return
        set_attributes(fd, found)
    except (termios.error, OSError, ValueError):  # the terminal has gone, and its modes with it
        pass
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def await_foreground(fd: int) -> None:
    """Stop, when this process is in the background, until it is brought to the foreground of terminal `fd`.

    To be called before the terminal's attributes are read: until then they are those of the shell's line editor,
    and no good to be restored later. Raises termios.error where nobody could continue us (an orphaned process
    group).
    """
    while in_background(fd):
        try:
            termios.tcdrain(fd)  # changes nothing; the kernel stops us before it, as often as the shell says `bg`
        except termios.error as e:
            if e.args[0] != errno.EINTR:
                raise
        else:
            return  # or SIGTTOU is ignored, and we may do as we like


def in_background(fd: int) -> bool:
    """Whether the terminal belongs to another process group than ours (termios(4), job control)."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not our controlling terminal: no job control on it
        return False


def _same(one: list[Any], other: list[Any]) -> bool:
    """Whether two sets of attributes agree in their flags; control characters come in two shapes (bytes, int)."""
    return one[:_CC] == other[:_CC]


class RawMode:
    """The local terminal's raw mode, entered and left any number of times.

    `fd` is the terminal, stdin as a rule. `log` is told (`log.raw`), so that its lines end in CR LF meanwhile.
    All methods may be called twice, in any order, and from a Python signal handler that interrupts another.
    What was found is restored at the interpreter's exit too, but a signal's default action does not come by here:
    who wants the terminal back after a SIGTERM handles SIGTERM.
    """

    def __init__(self, fd: int, log: Log) -> None:
        self._fd = fd
        self._log = log
        self._found: list[Any] | None = None
        self._registered = False
        self._leaving = False

    @property
    def active(self) -> bool:
        """Whether raw mode is on."""
        return self._found is not None

    def enter(self) -> None:
        """Set raw mode as OpenSSH does. Nothing happens, beside a debug line, when `fd` is no terminal.

        A process in the background stops here until it is brought to the foreground, as every program does that
        wants the terminal.
        """
        if self._found is not None:
            return
        try:
            await_foreground(self._fd)
            found = termios.tcgetattr(self._fd)
        except (termios.error, OSError, ValueError) as e:
            self._log.debug1(f"no raw mode on fd {self._fd}: {e.args[-1]}")
            return
        if not self._registered:
            self._registered = True
            atexit.register(self.leave)
        # Noted first: a signal handler that leaves raw mode in the middle of this has what it needs.
        self._found = found
        self._log.raw = True
        ours = raw_attributes(found)
        try:
            set_attributes(self._fd, ours)
        except termios.error as e:
            self._found = None
            self._log.raw = False
            self._log.debug1(f"no raw mode on fd {self._fd}: {e.args[-1]}")
            return
        if not self.active:  # such a handler ran, and its word was the later one
            restore(self._fd, found, ours)

    def leave(self) -> None:
        """Restore what `enter` found. Nothing happens when raw mode is off or the terminal has gone."""
        found = self._found
        if found is None:
            return
        self._leaving = True
        restore(self._fd, found, raw_attributes(found))
        self._found = None
        self._leaving = False
        self._log.raw = False

    def renew(self) -> None:
        """Set raw mode once more, if it is on and the terminal ours: a shell may have changed the modes while
        somebody had us stopped (SIGSTOP, which nobody hears of). Never raises, and waits for nothing."""
        found = self._found
        if found is None or self._leaving or in_background(self._fd):
            return
        try:
            termios.tcsetattr(self._fd, termios.TCSANOW, raw_attributes(found))
        except termios.error:  # the terminal has gone
            pass

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


def window_size(fd: int) -> tuple[int, int, int, int]:
    """(columns, rows, width, height) of the terminal, the last two in pixels, for RFC 4254 sections 6.2 and 6.7.

    Zeros stand for what is not known; all four when `fd` is no terminal.
    """
    try:
        answer = fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8))
    except (OSError, ValueError):
        return 0, 0, 0, 0
    rows, columns, width, height = struct.unpack("HHHH", answer)
    return columns, rows, width, height
