"""What every forward is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyssh_cli.client.connection import Connection
from pyssh_cli.client.forwarding.relay import Relay
from pyssh_cli.config.options import Options
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.resolve import Resolver

if TYPE_CHECKING:
    import socket

    from pyssh_cli.client.forwarding.waiting import WaitingRoom


class Context:
    """The connection it runs over, and the world around it.

    `waiting` is where those who connect to us wait while the connection is lost and the next does not stand yet;
    None while there is one.
    """

    __slots__ = ("connection", "log", "loop", "options", "resolver", "waiting")

    def __init__(self, options: Options, log: Log, loop: Loop, connection: Connection, resolver: Resolver) -> None:
        self.options = options
        self.log = log
        self.loop = loop
        self.connection = connection
        self.resolver = resolver
        self.waiting: WaitingRoom | None = None

    def relay(self, what: str) -> Relay:
        """A new relay."""
        return Relay(self.connection, self.loop, self.log, what)

    def serve(self, sock: socket.socket, serve: Callable[[], None]) -> None:
        """Serve a client of ours as soon as there is a connection: now, as a rule."""
        if self.waiting is None:
            serve()
        else:
            self.waiting.add(sock, serve)
