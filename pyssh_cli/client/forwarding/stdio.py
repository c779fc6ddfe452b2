"""-W: one channel to a host and port, or to a Unix socket, on our stdin and stdout, in the session's place."""

from __future__ import annotations

import os
import stat

from pyssh_cli.client.connection import Connection
from pyssh_cli.client.forwarding.local import direct_channel
from pyssh_cli.client.forwarding.relay import Relay
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch

STDIN, STDOUT = 0, 1


class StdioForward:
    """The connection's main owner for -W. `finished` once the channel is closed and all is written."""

    tty = False

    def __init__(self, options: Options, log: Log, loop: Loop, connection: Connection) -> None:
        forward = options.stdio_forward
        assert forward is not None
        self._connection = connection
        self._log = log
        target = forward.listen_path or f"{forward.listen_host} port {forward.listen_port}"
        self._relay = Relay(connection, loop, log, f"stdin and stdout for {target}")
        self._relay.opened = self._begin
        self._relay.refused = self._on_refused
        self._relay.ended = self._on_end
        # -W's argument is read as a place to listen at; it is one to connect to.
        self._kind, self._fields = direct_channel(
            forward.listen_host, forward.listen_port, forward.listen_path, ("127.0.0.1", 65535)
        )
        self._asked_early = False
        self._over = False
        self._lost = False
        self._blocking: list[int] = []

    def open_early(self) -> None:
        self._asked_early = True
        self._open()

    def authenticated(self) -> None:
        if not self._asked_early:
            self._open()

    def early_open_refused(self) -> None:
        self._asked_early = False

    def _open(self) -> None:
        if self._relay.channel is None:
            self._relay.open(self._kind, self._fields)
        else:
            self._connection.channels.open_again(self._relay.channel, self._fields)

    def _begin(self) -> None:
        for fd in (STDIN, STDOUT):
            mode = os.fstat(fd).st_mode
            if not os.isatty(fd) and not stat.S_ISREG(mode) and os.get_blocking(fd):
                os.set_blocking(fd, False)
                self._blocking.append(fd)
        self._relay.connect_descriptors(STDIN, STDOUT)

    def _on_refused(self, _event: ch.OpenRefused) -> None:
        raise NetworkError("stdio forwarding failed")

    def _on_end(self) -> None:
        self._over = True

    # The relay owns the channel; what the connection tells its main owner besides has nothing to do here.

    def on_channel_event(self, event: ch.Event) -> None:
        """The channel is the relay's."""

    def batch_done(self) -> None:
        """Likewise."""

    def may_send(self) -> None:
        """Likewise."""

    def timed_out(self, channel: ch.Channel) -> None:
        """Likewise."""

    def connection_ended(self) -> None:
        self._over = self._lost = True

    raw = None
    """No terminal of ours is in raw mode."""

    def leave_terminal(self) -> None:
        """It is as it was found."""

    def window_changed(self) -> None:
        """There is no terminal on the other side."""

    def is_over(self) -> bool:
        channel = self._relay.channel
        return self._over or (channel is not None and channel.close_received)

    def finished(self) -> bool:
        """Whether the channel is closed, and all that came is written."""
        return self._over

    def exit_status(self) -> int:
        """0 once the channel has been closed in order; 255 when the connection was lost before."""
        return 255 if self._lost else 0

    def close(self) -> None:
        """Leave our descriptors as they were found."""
        self._relay.abort()
        for fd in self._blocking:
            try:
                os.set_blocking(fd, True)
            except OSError:
                pass
        self._blocking = []
