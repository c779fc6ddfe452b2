"""The escape keys of an interactive session (ssh(1), ESCAPE CHARACTERS): which typed bytes are for us.

A pure state machine: it reads no terminal and does nothing of what an escape asks for; `client/` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

_LINE_ENDS = b"\r\n"


class Action(Enum):
    """What an escape key asks for."""

    DISCONNECT = auto()
    BREAK = auto()
    REKEY = auto()
    LESS_VERBOSE = auto()
    MORE_VERBOSE = auto()
    SUSPEND = auto()
    LIST_CONNECTIONS = auto()
    CONNECTION_INFO = auto()
    BACKGROUND = auto()
    COMMAND_LINE = auto()
    HELP = auto()


_LAST = frozenset({Action.DISCONNECT, Action.BACKGROUND})
"""After these, nothing that is typed is for the remote side any more."""


class Escape(NamedTuple):
    """One row of the table: the byte typed after the escape character, what it asks for, its line in the help."""

    key: int
    action: Action
    help: str


ESCAPES: dict[int, Escape] = {
    row.key: row
    for row in (
        Escape(ord("."), Action.DISCONNECT, "disconnect, with every session that shares the connection"),
        Escape(ord("B"), Action.BREAK, "send a BREAK to the remote side"),
        Escape(ord("C"), Action.COMMAND_LINE, "open a command line"),
        Escape(ord("I"), Action.CONNECTION_INFO, "show what is known of the connection"),
        Escape(ord("R"), Action.REKEY, "exchange new keys"),
        Escape(ord("V"), Action.LESS_VERBOSE, "say less (lower LogLevel)"),
        Escape(ord("v"), Action.MORE_VERBOSE, "say more (raise LogLevel)"),
        Escape(ord("Z") - 64, Action.SUSPEND, "suspend pyssh"),
        Escape(ord("#"), Action.LIST_CONNECTIONS, "list the open channels"),
        Escape(ord("&"), Action.BACKGROUND, "end the input, and wait for what is still open in the background"),
        Escape(ord("?"), Action.HELP, "show this list"),
    )
}
"""Byte after the escape character to its row, in the order of the help. A byte without a row goes to the remote
side with the escape character before it."""


def spelled(char: int) -> str:
    """One typed byte as a person writes it: `~`, `^Z`, and octal for bytes that are not ASCII."""
    if char < 0x20 or char == 0x7F:
        return "^" + chr(char ^ 0x40)
    return chr(char) if char < 0x7F else f"\\{char:03o}"


def help_text(escape_char: int, *, command_line: bool = True) -> str:
    """What `~?` shows, made from the table; lines end in CR LF because the terminal is raw then.

    Without `command_line` its key is left out, as it is when EnableEscapeCommandline is off.
    """
    escape = spelled(escape_char)
    lines = [f"{escape}?", "Escape keys, at the start of a line:"]
    lines += [
        f"  {escape + spelled(row.key):<5} {row.help}"
        for row in ESCAPES.values()
        if command_line or row.action is not Action.COMMAND_LINE
    ]
    lines.append(f"  {escape + escape:<5} send {escape} itself")
    return "".join(line + "\r\n" for line in lines)


class EscapeFilter:
    """Picks the escapes out of what is typed in one session.

    `escape_char` is the byte that starts an escape at the start of a line (EscapeChar, -e), None for no escapes.
    A session begins at the start of a line; so does whatever follows a CR, a LF, or an escape that was acted on.
    An escape may be split over any number of calls.
    """

    __slots__ = ("_at_line_start", "_escape_char", "_pending")

    def __init__(self, escape_char: int | None) -> None:
        self._escape_char = escape_char
        self._at_line_start = True
        self._pending = False

    def feed(self, data: bytes) -> tuple[bytes, Sequence[Escape]]:
        """What of the typed `data` is for the remote side, and the escapes in it, in the order they were typed.

        Like ssh, do what the escapes ask for before the bytes are sent. After a disconnect nothing more is read
        of `data`, nor after the input has ended for the background. Without an escape character in it, `data`
        itself comes back.
        """
        escape_char = self._escape_char
        if escape_char is None:
            return data, ()
        if not self._pending and escape_char not in data:
            if data:
                self._at_line_start = data[-1] in _LINE_ENDS
            return data, ()

        out = bytearray()
        escapes: list[Escape] = []
        position, end = 0, len(data)
        while position < end:
            char = data[position]
            if self._pending:
                self._pending = False
                position += 1
                row = ESCAPES.get(char)
                if row is not None:
                    escapes.append(row)
                    if row.action in _LAST:
                        break
                    continue
                if char != escape_char:
                    out.append(escape_char)
                out.append(char)
                self._at_line_start = char in _LINE_ENDS
            elif self._at_line_start and char == escape_char:
                self._pending = True
                position += 1
            else:
                stop = _next_at_line_start(data, escape_char, position + 1)
                out += data[position:stop]
                self._at_line_start = data[stop - 1] in _LINE_ENDS
                position = stop
        return bytes(out), escapes


def _next_at_line_start(data: bytes, escape_char: int, start: int) -> int:
    """Where, from `start` (at least 1) on, the escape character next follows a line's end; the end if nowhere."""
    found = data.find(escape_char, start)
    while found >= 0 and data[found - 1] not in _LINE_ENDS:
        found = data.find(escape_char, found + 1)
    return found if found >= 0 else len(data)
