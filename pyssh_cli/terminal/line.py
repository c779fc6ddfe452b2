"""A line typed on the terminal in the middle of a session, edited with prompt_toolkit.

prompt_toolkit runs asyncio's event loop, which an exception out of a signal handler can tear apart at any point of
it. So signals that mean something to us are held back while it runs: they end the line in good order, and are
acted upon when the terminal is as it was.
"""

from __future__ import annotations

import os
import signal
import termios
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.typeahead import get_typeahead
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output.vt100 import Vt100_Output

from pyssh_cli.terminal.raw import await_foreground, restore, set_attributes
from pyssh_cli.terminal.signals import KILLING, stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from prompt_toolkit.application import Application
    from prompt_toolkit.key_binding import KeyPressEvent

_STDIN, _STDOUT, _STDERR = 0, 1, 2

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, *KILLING)

_FLUSH = "_Flush"
"""What prompt_toolkit puts among the keys when none has come for a while."""


class LineEditor:
    """Asks for lines, with a history that lasts as long as it does."""

    def __init__(self) -> None:
        self._history = InMemoryHistory()

    def ask(self, prompt: str) -> tuple[str | None, bytes]:
        """A line, None when Ctrl-C or Ctrl-D ended it; and what was typed behind its end and read with it.

        Blocks. The terminal is left as it was found. Raises OSError when there is none.
        """
        opened = []
        try:
            typed_on, shown_on = _STDIN, next((fd for fd in (_STDOUT, _STDERR) if os.isatty(fd)), -1)
            if shown_on < 0 or not os.isatty(typed_on):
                opened.append(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
                typed_on = typed_on if os.isatty(typed_on) else opened[0]
                shown_on = opened[0] if shown_on < 0 else shown_on
            # Around all that may fail: whatever comes of a terminal that has gone, the signal that says so counts.
            with _HeldSignals(typed_on) as held:
                try:
                    return self._edit(prompt, typed_on, shown_on, held)
                except OSError:
                    return None, b""
        finally:
            for fd in opened:
                os.close(fd)

    def _edit(self, prompt: str, typed_on: int, shown_on: int, held: _HeldSignals) -> tuple[str | None, bytes]:
        with (
            open(typed_on, closefd=False, encoding="utf-8") as stdin,
            open(shown_on, "w", closefd=False, encoding="utf-8") as stdout,
        ):
            terminal = Vt100Input(stdin)
            screen = _Screen.from_pty(stdout, os.environ.get("TERM"))
            screen.enable_cpr = False  # a late answer would go to the remote side as if it had been typed
            session = PromptSession[str](
                history=self._history,
                input=terminal,
                output=screen,
                key_bindings=_bindings(),
                enable_suspend=False,
            )
            held.app = session.app
            try:
                line = session.prompt(
                    prompt, pre_run=held.end_if_due, handle_sigint=False, set_exception_handler=False
                )
            except (KeyboardInterrupt, EOFError):
                line = None
            ahead = "".join(key.data for key in get_typeahead(terminal) if key.data != _FLUSH)
            return line, ahead.encode("utf-8", "surrogateescape")


class _Screen(Vt100_Output):
    """The terminal, without the modes of it that are the remote program's, which go on when the line is done."""

    def enable_bracketed_paste(self) -> None:
        """Leave it as it is, and so the three below."""

    def disable_bracketed_paste(self) -> None:
        pass

    def reset_cursor_key_mode(self) -> None:
        pass

    def disable_mouse_support(self) -> None:
        pass


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("c-z")
    def _(_event: KeyPressEvent) -> None:
        os.kill(0, signal.SIGTSTP)  # as the terminal itself sends it

    return bindings


class _HeldSignals:
    """While `app` asks on the terminal `fd`, signals that we have handlers for do no more than end its line.

    The first of them is handed to its handler at the end. SIGTSTP stops us at once, with the terminal as it was
    found. Whatever the event loop does to handlers, and to the descriptor that is woken by signals, is undone, and
    so is what it may leave of its own modes on the terminal.
    """

    def __init__(self, fd: int) -> None:
        self.app: Application[str] | None = None
        self._fd = fd
        self._number = 0
        self._found: list[Any] = []

    def __enter__(self) -> _HeldSignals:
        try:
            self._found = termios.tcgetattr(self._fd)
        except termios.error as error:
            raise OSError(*error.args) from None
        self._wakeup = signal.set_wakeup_fd(-1)
        self._handlers: dict[int, Any] = {
            number: signal.getsignal(number) for number in (*_ENDING, signal.SIGTSTP, signal.SIGWINCH)
        }
        for number in _ENDING:
            if callable(self._handlers[number]):
                signal.signal(number, self._note)
        if callable(self._handlers[signal.SIGTSTP]):
            signal.signal(signal.SIGTSTP, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        restore(self._fd, self._found, self._found)
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        if self._number:
            self._handlers[self._number](self._number, None)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._number = self._number or number
        self._soon(self.end_if_due)

    def end_if_due(self) -> None:
        """End the line if a signal has come. Called when the line begins, too: it may have come before that."""
        if self._number and self.app and self.app.is_running and not self.app.is_done:
            self.app.exit(exception=EOFError())

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        try:
            editing = termios.tcgetattr(self._fd)
            restore(self._fd, self._found, editing)
            stop()
            await_foreground(self._fd)
            set_attributes(self._fd, editing)
        except termios.error:  # the terminal has gone, which the event loop will hear of
            return
        self._soon(self._draw_again)

    def _draw_again(self) -> None:
        if self.app and self.app.is_running and not self.app.is_done:
            self.app.renderer.reset()
            self.app.invalidate()

    def _soon(self, callback: Callable[[], None]) -> None:
        """Have the event loop call back, if it runs."""
        if self.app and self.app.loop is not None:
            self.app.loop.call_soon_threadsafe(callback)
