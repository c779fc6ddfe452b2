"""One prompt written to a terminal and one line read from it, with the terminal as it was afterwards.

The terminal's own line editing (erase, kill, literal next) is all the editing there is, and nothing but the prompt
is written: programs that answer for a person (expect, sshpass) look for it byte by byte, and a line editor would
break it with escape sequences, drop its last blank, and write it again with every key typed. What is asked, and
whether, is up to `questions`.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
from typing import TYPE_CHECKING, Any, Self

from pyssh_cli.terminal.raw import await_foreground, restore, set_attributes

if TYPE_CHECKING:
    from types import FrameType, TracebackType

TERMINAL = "/dev/tty"
"""The controlling terminal, whatever stdin and stdout are (tty(4))."""

_ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM)
_PAUSING = (signal.SIGTSTP, signal.SIGCONT)
"""After these the question is asked again. SIGCONT alone comes when somebody else stopped us (kill -STOP): the
shell has changed the modes by then, and a secret would be echoed."""

_IFLAG, _OFLAG, _LFLAG = 0, 1, 3  # places in tcgetattr's list


def open_terminal() -> int:
    """A new file descriptor of the controlling terminal. Raises OSError when there is none."""
    return os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def in_foreground() -> bool:
    """Whether there is a controlling terminal, and this process in its foreground: somebody may be asked there."""
    try:
        fd = open_terminal()
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)


def read_answer(fd: int, prompt: bytes, *, echo: bool, fresh: bool) -> bytes | None:
    """The line typed on terminal `fd` after `prompt`, without its end; None for Ctrl-D on an empty line.

    The prompt starts at the left margin, over whatever was typed and echoed before it. What was typed before is
    part of the answer, unless `fresh` asks for one that was typed after the question could be read. CR and LF
    both end the line.

    A signal that would end or stop the process is held back until the terminal is restored, and then takes its
    course. After a stop the question is asked again; if the process survives another signal, the answer is None.
    Raises KeyboardInterrupt for Ctrl-C, and OSError or termios.error when the terminal fails. For the main thread
    only, as signals are.
    """
    while True:
        await_foreground(fd)  # where signals still end us
        answer, failure = None, None
        with _HeldSignals() as held:
            try:
                answer = _ask_once(fd, prompt, echo, fresh, held)
            except (termios.error, OSError) as error:  # SIGHUP comes with the end of a terminal
                failure = error
        for number in held.caught:
            signal.raise_signal(number)
        if signal.SIGINT in held.caught:  # whoever handles it otherwise was called just now
            raise KeyboardInterrupt
        if failure:
            raise failure
        if any(number in _ENDING for number in held.caught):
            return None
        if not held.caught or answer is not None:
            return answer


def _ask_once(fd: int, prompt: bytes, echo: bool, fresh: bool, held: _HeldSignals) -> bytes | None:
    found = termios.tcgetattr(fd)
    ours = _question_attributes(found, echo)
    try:
        set_attributes(fd, ours)
        if fresh:
            termios.tcflush(fd, termios.TCIFLUSH)
        _write(fd, b"\r" + prompt)
        answer, ended = _read_line(fd, held)
        if not (ended and echo):  # the terminal has not echoed an end of line
            _write(fd, b"\n")
    finally:
        restore(fd, found, ours)
    return answer


def _question_attributes(found: list[Any], echo: bool) -> list[Any]:
    """The attributes for a line typed by a person, from whatever is set (raw mode, perhaps)."""
    attributes = found.copy()
    attributes[_IFLAG] = (found[_IFLAG] | termios.ICRNL) & ~(termios.IGNCR | termios.INLCR)
    attributes[_OFLAG] = found[_OFLAG] | termios.OPOST | termios.ONLCR
    local = found[_LFLAG] | termios.ICANON | termios.ISIG | termios.IEXTEN | termios.ECHOE | termios.ECHOK
    local &= ~(termios.ECHO | termios.ECHONL)
    attributes[_LFLAG] = local | termios.ECHO if echo else local
    return attributes


def _read_line(fd: int, held: _HeldSignals) -> tuple[bytes | None, bool]:
    """(the line, whether an end of line was typed); the line is None after a signal or an end of file."""
    answer = bytearray()
    while True:
        ready = _readable(fd, held.fileno())
        if held.fileno() in ready:
            held.collect()
            if held.caught:
                return None, False
            continue
        char = os.read(fd, 1)  # one by one: what follows the line belongs to the next reader
        if not char:
            return bytes(answer) if answer else None, False
        if char in b"\r\n":
            return bytes(answer), True
        answer += char


def _readable(*descriptors: int) -> list[int]:
    """Wait until one of them can be read: those that can."""
    if sys.platform == "darwin":  # whose poll refuses /dev/tty
        return select.select(descriptors, [], [])[0]
    poll = select.poll()  # while select takes no descriptor above 1023
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll()]


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


class _HeldSignals:
    """While entered, the signals that end or stop a process are only noted, in `caught`, oldest first.

    Ignored ones stay ignored. A byte for each arrives at `fileno()`, so that waiting for one misses none; other
    signals go their way, and their bytes to whoever had set a wake-up descriptor (signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self.caught: list[int] = []
        self._handlers: dict[int, Any] = {}
        self._previous_wakeup = -1
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def fileno(self) -> int:
        """Where a signal makes a byte readable."""
        return self._read_end

    def collect(self) -> None:
        """Sort the signals that have arrived."""
        try:
            numbers = os.read(self._read_end, 4096)
        except BlockingIOError:
            return
        for number in numbers:
            if number in self._handlers:
                self.caught.append(number)
            elif self._previous_wakeup >= 0:
                with contextlib.suppress(OSError):  # full or gone; a full one wakes its reader anyway
                    os.write(self._previous_wakeup, bytes([number]))

    def __enter__(self) -> Self:
        self._previous_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in (*_ENDING, *_PAUSING):
            handler = signal.getsignal(number)
            if handler not in {signal.SIG_IGN, None}:  # None: not Python's, so not ours to put back
                self._handlers[number] = handler
                signal.signal(number, _note_nothing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.collect()
        signal.set_wakeup_fd(self._previous_wakeup, warn_on_full_buffer=False)
        os.close(self._read_end)
        os.close(self._write_end)


def _note_nothing(_number: int, _frame: FrameType | None) -> None:
    """The handler while signals are held: the byte in the pipe says it all."""
