"""Choosing one of many names on a few lines of the terminal, below what stands there, and gone when it is done.

What the names are, and which of them fit what is typed, is the caller's. There are no colours: what is chosen is
shown in reverse and behind a mark, what was typed of it underlined.
"""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.input.posix_utils import PosixStdinReader
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.input.vt100 import Vt100Input, raw_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import get_cwidth

from pyssh_cli.errors import PysshError
from pyssh_cli.terminal.prompt import TERMINAL
from pyssh_cli.terminal.raw import await_foreground, restore, set_attributes
from pyssh_cli.terminal.signals import KILLING, SignalsAsFound, stop

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

MAX_ROWS = 10
"""Names that are shown at once."""

ESCAPE_SECONDS = 0.05
"""How long after an escape character what makes it the beginning of a key may still come."""

_ENDING = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, *KILLING)


class Choices(NamedTuple):
    """`names` are clean; `find` has the places of those that fit what was typed, best first; `typed` which of a
    name's characters those were; `describe` more about the name at a place, clean as well."""

    names: Sequence[str]
    find: Callable[[str], Sequence[int]]
    typed: Callable[[str, str], Collection[int]]
    describe: Callable[[int], str]


def choose(choices: Choices, start: str) -> int | None:
    """The place of the name that the person chose; None when they would rather not. `start` is typed already.

    Blocks. Whatever prompt_toolkit's event loop does to signals is undone; those that end a process do so once the
    terminal is as it was. Raises KeyboardInterrupt for Ctrl-C, and PysshError where there is no terminal to choose
    on.
    """
    if os.environ.get("TERM", "dumb") in {"", "dumb"}:
        raise PysshError("pyssh: --pick needs a terminal that can move its cursor (check $TERM)")
    with ExitStack() as opened:
        source = _terminal((sys.stdin,), "r", opened)
        sink = _terminal((sys.stderr, sys.stdout), "w", opened)
        try:
            await_foreground(source.fileno())
        except termios.error:  # we are in the background for good
            raise PysshError("pyssh: --pick needs a terminal to choose on") from None
        with SignalsAsFound():
            return _Picker(choices, start, source, sink).run()


def _terminal(streams: Sequence[TextIO | None], mode: Literal["r", "w"], opened: ExitStack) -> TextIO:
    """The first of the streams that is a terminal, or else the controlling one, opened until `opened` ends."""
    for stream in streams:
        if stream is not None and not stream.closed and stream.isatty():
            return stream
    try:
        return opened.enter_context(open(TERMINAL, mode, encoding="utf-8"))
    except OSError:
        raise PysshError("pyssh: --pick needs a terminal to choose on") from None


class _Keys(Vt100Input):
    """The keys of a choice. What is typed behind the one that ends it stays with the terminal, for whoever reads
    there next: a question, or the remote shell."""

    def __init__(self, terminal: TextIO, is_over: Callable[[], bool]) -> None:
        super().__init__(terminal)
        self.stdin_reader = _ByteReader(self.fileno(), is_over)

    def raw_mode(self) -> raw_mode:
        """Byte by byte and without echo; but Enter is translated as it was found, for those who read next."""
        return _RawMode(self.fileno())


class _RawMode(raw_mode):
    @classmethod
    def _patch_iflag(cls, attrs: int) -> int:
        return attrs & ~(termios.IXON | termios.IXOFF)


class _ByteReader(PosixStdinReader):
    """Reads a byte whenever there is one, so that none is read before it is known what the last one did."""

    def __init__(self, fd: int, is_over: Callable[[], bool]) -> None:
        super().__init__(fd)
        self._is_over = is_over

    def read(self, count: int = 1) -> str:
        """The character that the next byte completes; nothing when the choice is over."""
        return "" if self._is_over() else super().read(count)


class _Picker:
    """One choice on its way."""

    def __init__(self, choices: Choices, start: str, source: TextIO, sink: TextIO) -> None:
        self._choices = choices
        self._found: Sequence[int] = ()
        self._at = self._top = 0
        self._described: dict[int, str] = {}
        self._ended_by = 0
        self._fd = source.fileno()
        self._found_modes = termios.tcgetattr(self._fd)
        self._line = Buffer(on_text_changed=lambda _: self._look(), multiline=False)
        self._line.insert_text(start)
        self._look()
        # No questions about the cursor: a late answer would go to the remote side as if it had been typed.
        output = Vt100_Output.from_pty(sink, term=os.environ.get("TERM"))
        output.enable_cpr = False
        self._output = output
        control = BufferControl(self._line, input_processors=[BeforeInput(self._count)])
        self._application: Application[int | None] = Application(
            Layout(
                # What is typed stands first: from there on everything can be erased, however the terminal has
                # broken the lines below anew for another width.
                HSplit(
                    [
                        Window(control, height=1, dont_extend_height=True),
                        self._shown_from(2, Window(FormattedTextControl(self._rows), height=self._height)),
                        self._shown_from(3, Window(FormattedTextControl(self._details), height=1)),
                    ]
                )
            ),
            key_bindings=self._keys(),
            input=_Keys(source, lambda: self._application.is_done),
            output=output,
            color_depth=ColorDepth.DEPTH_1_BIT,
            erase_when_done=True,
        )
        self._application.ttimeoutlen = ESCAPE_SECONDS

    def run(self) -> int | None:
        """Let the person choose."""
        handlers = {**dict.fromkeys(_ENDING, self._on_signal), signal.SIGTSTP: self._on_stop}
        for number, handler in handlers.items():
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, handler)
        try:
            return self._application.run(pre_run=self._end_if_due, set_exception_handler=False)
        except EOFError:  # the terminal is gone
            return None
        finally:
            clear_typeahead(self._application.input)  # keys that were one with the last, as Alt and another
            for number, handler in handlers.items():
                if signal.getsignal(number) == handler:
                    signal.signal(number, signal.SIG_DFL)
            if self._ended_by:
                signal.raise_signal(self._ended_by)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._ended_by = number
        loop = self._application.loop
        if loop is not None:
            loop.call_soon_threadsafe(self._end_if_due)

    def _end_if_due(self) -> None:
        """Leave if a signal has come. Called when the choice begins, too: it may have come before that."""
        if self._ended_by and not self._application.is_done:
            self._application.exit(result=None)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        loop = self._application.loop
        if loop is None:
            stop()
        else:
            loop.call_soon_threadsafe(lambda: self._application.is_done or run_in_terminal(self._stop))

    def _stop(self) -> None:
        """Stop with the terminal as it was found, and go on there once somebody continues us."""
        try:
            before = termios.tcgetattr(self._fd)
            restore(self._fd, self._found_modes, before)
            stop()
            await_foreground(self._fd)
            set_attributes(self._fd, before)
        except termios.error:  # the terminal has gone, which the event loop will hear of
            pass

    # What is shown ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        self._found = self._choices.find(self._line.text)
        self._at = self._top = 0

    def _size(self) -> tuple[int, int]:
        size = self._output.get_size()
        return size.rows, size.columns

    def _shown_from(self, rows: int, window: Window) -> ConditionalContainer:
        """A window that is there in a terminal of so many rows at least."""
        return ConditionalContainer(window, Condition(lambda: self._size()[0] >= rows))

    def _height(self) -> int:
        rows = self._size()[0]
        return max(1, min(MAX_ROWS, len(self._choices.names), rows - (2 if rows >= 3 else 1)))

    def _count(self) -> StyleAndTextTuples:
        return [("", f"{len(self._found)}/{len(self._choices.names)} > ")]

    def _rows(self) -> StyleAndTextTuples:
        height, columns = self._height(), self._size()[1]
        self._top = max(min(self._top, self._at), self._at - height + 1)
        if not self._found:
            return [("", _cut("  nothing fits (Esc leaves)", columns - 1))]
        shown: StyleAndTextTuples = []
        query = self._line.text
        for at in range(self._top, min(self._top + height, len(self._found))):
            chosen = at == self._at
            style = "reverse" if chosen else ""
            name = self._choices.names[self._found[at]]
            typed = self._choices.typed(query, name)
            shown.append((style, "> " if chosen else "  "))
            for place, char in enumerate(_cut(name, columns - 3)):
                shown.append((f"{style} underline" if place in typed else style, char))
            shown.append(("", "\n"))
        return shown[:-1]

    def _details(self) -> StyleAndTextTuples:
        if not self._found:
            return []
        place = self._found[self._at]
        if place not in self._described:
            self._described[place] = self._choices.describe(place)
        return [("", _cut(f"  {self._described[place]}", self._size()[1] - 1))]

    # Keys -------------------------------------------------------------------------------------------------------

    def _move(self, step: int) -> None:
        self._at = max(0, min(self._at + step, len(self._found) - 1))

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        def bind(act: Callable[[KeyPressEvent], Any], *names: str, eager: bool = False) -> None:
            for name in names:
                keys.add(name, eager=eager)(act)

        def take(event: KeyPressEvent) -> None:
            if self._found:
                event.app.exit(result=self._found[self._at])
            else:
                event.app.output.bell()

        def end_of_input(event: KeyPressEvent) -> None:
            if self._line.text:
                self._line.delete()
            else:
                event.app.exit(result=None)

        def paste(event: KeyPressEvent) -> None:
            self._line.insert_text(" ".join(event.data.split()))  # on the one line that there is

        bind(paste, "<bracketed-paste>")
        bind(lambda _: self._move(-1), "up", "c-p", "s-tab")
        bind(lambda _: self._move(1), "down", "c-n", "tab")
        bind(lambda _: self._move(-self._height()), "pageup")
        bind(lambda _: self._move(self._height()), "pagedown")
        bind(take, "enter")
        bind(end_of_input, "c-d")
        bind(lambda event: event.app.exit(result=None), "escape", eager=True)
        bind(lambda event: event.app.exit(exception=KeyboardInterrupt()), "c-c", "<sigint>")
        bind(lambda _: os.kill(0, signal.SIGTSTP), "c-z")  # as the terminal itself sends it
        return keys


def _cut(text: str, cells: int) -> str:
    """As much of `text` as so many cells of the terminal take."""
    used = 0
    for at, char in enumerate(text):
        used += get_cwidth(char)
        if used > cells:
            return text[:at]
    return text
