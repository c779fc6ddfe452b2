"""Signals that stop or kill us, with the terminal as it was found meanwhile or afterwards.

Not those that end a session in good order: `client/` sees to them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyssh_cli.terminal.raw import RawMode


def suspend(raw: RawMode) -> None:
    """Leave raw mode, stop this process as Ctrl-Z would (SIGTSTP), and come back in the mode it was in.

    Returns when the process has been continued; the window may have another size by then. Returns at once when
    nobody is there to continue it (an orphaned process group, where the kernel drops SIGTSTP).
    """
    was_active = raw.active
    raw.leave()
    try:
        stop()
    finally:
        if was_active:
            raw.enter()


def stop() -> None:
    """Stop this process as Ctrl-Z would, whatever SIGTSTP means to us; returns when it is continued."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, handler)


KILLING = (signal.SIGABRT, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
"""Signals that mean nothing to us and kill."""


def guard_terminal(raw: RawMode, resumed: Callable[[], None]) -> None:
    """From now on no signal leaves raw mode behind: SIGTSTP, and those that mean nothing to us and kill. SIGCONT
    brings it back, whatever has stopped us.

    Ignored ones stay ignored. `resumed` is called, in a signal handler, when we were stopped and are continued.
    """

    def stop_and_resume(_number: int, _frame: FrameType | None) -> None:
        suspend(raw)
        resumed()

    def die(number: int, _frame: FrameType | None) -> None:
        raw.leave()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def go_on(_number: int, _frame: FrameType | None) -> None:
        raw.renew()

    handlers = ((signal.SIGTSTP, stop_and_resume), (signal.SIGCONT, go_on))
    for number, handler in (*handlers, *((number, die) for number in KILLING)):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, handler)


class SignalsAsFound:
    """Puts the handlers of signals, and the descriptor that is woken by them, back as they were: an event loop of
    somebody else's changes them."""

    _NUMBERS = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)

    def __enter__(self) -> None:
        self._handlers = [(number, signal.getsignal(number)) for number in self._NUMBERS]
        self._wakeup = signal.set_wakeup_fd(-1)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers:
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
