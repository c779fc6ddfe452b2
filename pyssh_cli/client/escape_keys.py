"""What the escape keys of a session do (ssh(1), ESCAPE CHARACTERS); which they are is `terminal.escapes`."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.log import LOG_LEVELS, QUIET, write_all
from pyssh_cli.terminal.escapes import Action, Escape, help_text, spelled
from pyssh_cli.terminal.raw import window_size
from pyssh_cli.wire import uint32

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyssh_cli.client.command_line import CommandLine, ForwardControl
    from pyssh_cli.client.connection_info import ChannelList
    from pyssh_cli.client.keyboard import Keyboard
    from pyssh_cli.client.session import Session

STDERR = 2

_NAMED_LEVELS = (("SILENT", QUIET), *LOG_LEVELS.items())
"""What a level is called; ssh has another name for QUIET here."""

BREAK_MILLISECONDS = 1000
"""How long a BREAK lasts, as in OpenSSH (RFC 4335 section 3)."""

END_OF_INPUT = b"\x04"
"""Ctrl-D: what ends a shell that is left behind by `~&`."""


class EscapeKeys:
    """Does what escape keys ask for in one session, whose keys come from `keyboard`."""

    def __init__(self, session: Session, keyboard: Keyboard, escape_char: int) -> None:
        self._session = session
        self._keyboard = keyboard
        self._escape_char = escape_char
        self._channel_list: ChannelList | None = None
        self._command_line: CommandLine | None = None

    def act(self, escape: Escape) -> None:
        """Do what the key asks for."""
        _ACTS[escape.action](self, spelled(self._escape_char) + spelled(escape.key))

    @staticmethod
    def _say(message: str) -> None:
        """Show something of ours on the terminal, between what the remote side shows."""
        write_all(STDERR, (message + "\r\n").encode("utf-8", "backslashreplace"))

    def _disconnect(self, keys: str) -> None:
        self._say(keys)
        self._session.ended_by_user = True

    def _break(self, keys: str) -> None:
        self._say(keys)
        session = self._session
        session.connection.channels.request(session.channel, "break", uint32(BREAK_MILLISECONDS))
        session.connection.flush()

    def _rekey(self, _keys: str) -> None:
        self._session.connection.transport.rekey()
        self._session.connection.flush()

    def _change_level(self, keys: str, step: int) -> None:
        log = self._session.log
        log.level = max(-1, min(max(LOG_LEVELS.values()), log.level + step))
        name = next(name for name, rank in _NAMED_LEVELS if rank == log.level)
        self._say(f"{keys} [LogLevel {name}]")

    def _less_verbose(self, keys: str) -> None:
        self._change_level(keys, -1)

    def _more_verbose(self, keys: str) -> None:
        self._change_level(keys, 1)

    def _suspend(self, keys: str) -> None:
        self._say(f"{keys} [suspend pyssh]")
        from pyssh_cli.terminal.signals import suspend

        suspend(self._session.raw)
        self._session.window_changed()

    def _list_connections(self, keys: str) -> None:
        self._show_channels([keys, "The following connections are open:"], [])

    def _connection_info(self, keys: str) -> None:
        from pyssh_cli.client.connection_info import connection_lines, ends

        connection, options = self._session.connection, self._session.options
        login, between = f"{options.user}@{options.hostname}", ends(connection.peer, connection.socket)
        lines = connection_lines(connection.transport, login, between, monotonic(), connection.since)
        self._show_channels([keys, f"Connection information, process {os.getpid()}:"], lines)

    def _show_channels(self, head: list[str], facts: list[str]) -> None:
        """Show all channels, below this; the round-trip time follows when it has been measured."""
        from pyssh_cli.client.connection_info import ChannelList, page, shown_seconds

        connection = self._session.connection
        if self._channel_list is None:
            self._channel_list = ChannelList()
        lines = self._channel_list.lines(connection.channels, monotonic())
        size = window_size(STDERR)[:2]
        self._say("\r\n".join(page(head, facts, lines, self._channel_list.total(), size)))
        connection.round_trip.measure(lambda took: self._say(f"  round trip {shown_seconds(took)}"))
        connection.flush()

    def _background(self, keys: str) -> None:
        """Leave the terminal to the shell, and go on in the background until nothing is open any more."""
        session = self._session
        session.raw.leave()
        if self.forwards:
            self.forwards.stop_listening()
        write_all(STDERR, f"{keys} [backgrounded]\n".encode())
        from pyssh_cli.client.background import detach

        detach(session.loop)
        self._keyboard.send_last(END_OF_INPUT)

    def _open_command_line(self, _keys: str) -> None:
        session = self._session
        options = session.options
        if not options.enable_escape_commandline:
            self._say("commandline disabled (EnableEscapeCommandline enables it)")
            return
        if self._command_line is None:
            from pyssh_cli.client.command_line import CommandLine

            self._command_line = CommandLine(
                self._say,
                self.forwards,
                local_commands=options.permit_local_command,
            )
        self._command_line.forwards = self.forwards
        was_raw = session.raw.active
        session.raw.leave()
        write_all(STDERR, b"\r\n")
        typed_ahead = b""
        try:
            typed_ahead = self._command_line.run()
        finally:
            if was_raw:
                session.raw.enter()
        if typed_ahead:
            session.loop.call_soon(lambda: self._keyboard.typed(typed_ahead))
        session.window_changed()  # it may have changed meanwhile, unheard
        session.connection.flush()

    def _help(self, _keys: str) -> None:
        write_all(
            STDERR,
            help_text(self._escape_char, command_line=self._session.options.enable_escape_commandline).encode(),
        )

    @property
    def forwards(self) -> ForwardControl | None:
        """What makes and ends forwards here, if anything does."""
        return self._session.forwards


_ACTS: dict[Action, Callable[[EscapeKeys, str], None]] = {
    Action.DISCONNECT: EscapeKeys._disconnect,
    Action.BREAK: EscapeKeys._break,
    Action.REKEY: EscapeKeys._rekey,
    Action.LESS_VERBOSE: EscapeKeys._less_verbose,
    Action.MORE_VERBOSE: EscapeKeys._more_verbose,
    Action.SUSPEND: EscapeKeys._suspend,
    Action.LIST_CONNECTIONS: EscapeKeys._list_connections,
    Action.CONNECTION_INFO: EscapeKeys._connection_info,
    Action.BACKGROUND: EscapeKeys._background,
    Action.COMMAND_LINE: EscapeKeys._open_command_line,
    Action.HELP: EscapeKeys._help,
}
