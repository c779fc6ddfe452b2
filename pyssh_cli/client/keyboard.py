"""What is typed on the terminal of a session: escapes are picked out, and the rest goes to the remote side, at
once or on the ticks that hide its rhythm."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.stdin import STDIN, Stdin
from pyssh_cli.config.options import Options
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol.channels import Channel
from pyssh_cli.terminal.escapes import Escape, EscapeFilter
from pyssh_cli.wire import string

if TYPE_CHECKING:
    from pyssh_cli.client.connection import Connection
    from pyssh_cli.client.keystrokes import ObscuredTyping

TYPED_SIZE = 16 * 1024
"""Bytes read from a terminal at once."""

TYPED_AHEAD = 64 * 1024
"""Bytes typed that may wait until the connection takes them; then nothing more is read, and no escape heard."""


class Keyboard(Stdin):
    """Keys on their way to `channel`. `act` does what an escape asks for; `record` is given what is sent."""

    def __init__(
        self,
        options: Options,
        log: Log,
        loop: Loop,
        connection: Connection,
        channel: Channel,
        act: Callable[[Keyboard, Escape], None],
        record: Callable[[bytes], None] | None,
    ) -> None:
        super().__init__(log, loop, connection, channel)
        self._interval = options.obscure_keystroke_timing
        self._escapes = EscapeFilter(options.escape_char)
        self._act = act
        self._record = record
        self._waiting = b""  # for room in the window
        self._typing: ObscuredTyping | None = None

    def start(self) -> None:
        """Read from now on; hide the rhythm, if that is wanted and the server answers what stands for keys."""
        transport = self._connection.transport
        if self._interval and "ping@openssh.com" in transport.extensions:
            from pyssh_cli.client.keystrokes import ObscuredTyping

            self._typing = ObscuredTyping(
                self._loop, self._log, transport, self._interval, self._send, self._connection.flush
            )
        super().start()

    def _is_wanted(self) -> bool:
        # Keys are read while none can leave, as in a key exchange: there may be escapes among them.
        return not self._ended and len(self._waiting) < min(self._channel.sendable, TYPED_AHEAD)

    def may_send(self) -> None:
        if self._waiting:
            self._send(b"")
            if self._ended and not self._waiting:
                self._tell_end()
        self.watch()

    def _on_readable(self) -> None:
        try:
            typed = os.read(STDIN, TYPED_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._log.debug1(f"read from the terminal failed: {error.strerror}")
            typed = b""
        if typed:
            self.typed(typed)
        else:
            self.end()

    def typed(self, typed: bytes) -> None:
        """This was typed."""
        data, escapes = self._escapes.feed(typed)
        for escape in escapes:
            self._act(self, escape)
        if not data or self._ended:
            return
        if self._record:
            self._record(data)
        if self._typing:
            self._typing.type(data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        """Send what was typed as far as the window goes; the rest waits."""
        channel = self._channel
        data = self._waiting + data
        self._channels.now = monotonic()
        while data and channel.sendable and self._connection.takes_data():
            size = min(len(data), channel.sendable, channel.remote_max_packet)
            self._connection.transport.send(self._channels.data_prefix(channel), string(data[:size]))
            self._channels.sent(channel, size)
            data = data[size:]
        self._waiting = data
        self._connection.flush()
        if data or not self._watched:
            self.watch()

    def send_last(self, data: bytes) -> None:
        """Send `data`, and nothing that is typed after it."""
        if self._typing:
            self._typing.release("the input has ended")
        self._send(data)
        self.end()

    def end(self) -> None:
        self.stop()
        if self._typing:
            self._typing.release("the input has ended")
        if not self._waiting:
            self._tell_end()

    def close(self) -> None:
        if self._typing:
            self._typing.stop("the session is over")
        super().close()
