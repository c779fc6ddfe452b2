"""What the connections of a way are at while the user is not in yet, in a few words for who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyssh_cli.client.connection import Connection
    from pyssh_cli.client.way import Leg


def stage(way: list[Leg], connections: list[Connection]) -> str:
    """What is being waited for: of the connections, one inside the other, the first that is not done.

    Empty where nothing may be said, for a ProxyCommand that has carried nothing yet may be asking the person
    something, on the same terminal.
    """
    at = next((at for at, connection in enumerate(connections) if not connection.authenticated), None)
    if at is None:
        return ""
    (options, _, name), connection = way[at], connections[at]
    through = way[at - 1].name if at else ""
    if connection.handshake.in_version:
        if through:
            return f"Connecting to {name} ({options.hostname} port {options.port}) via {through}"
        return "" if options.proxy_command else f"Waiting for the SSH server at {connection.peer} to answer"
    judged = connection.handshake.keys_judged
    what = f"Authenticating to {name} as {options.user}" if judged else f"Key exchange with {name}"
    if through:
        return f"{what} via {through}"
    return what if connection is connections[-1] else f"{what}, on the way to {way[-1].name}"
