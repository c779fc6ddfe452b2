"""What every forward is given."""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.client.connection import Connection
from pyssh_cli.client.forwarding.relay import Relay
from pyssh_cli.config.options import Options
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.resolve import Resolver


class Context(NamedTuple):
    """The connection it runs over, and the world around it."""

    options: Options
    log: Log
    loop: Loop
    connection: Connection
    resolver: Resolver

    def relay(self, what: str) -> Relay:
        """A new relay."""
        return Relay(self.connection, self.loop, self.log, what)
