"""What is forwarded because the options say so: begun once the user is in, and with each session.

Nothing is to a host that may be another than the one that is meant (`Connection.unsafe`).
"""

from __future__ import annotations

from pyssh_cli.client.connection import Connection
from pyssh_cli.config.options import Options
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch


def start_forwards(options: Options, log: Log, loop: Loop, connection: Connection) -> None:
    """-L, -R, -D and -w, for when the user is in. Raises PysshError when ExitOnForwardFailure is set and one of
    them cannot be."""
    if connection.unsafe:
        return
    if options.local_forwards or options.remote_forwards:
        connection.forwards.start()
    if options.tunnel != "no":
        from pyssh_cli.client.forwarding.tun import start_tunnel

        connection.tunnel = start_tunnel(options, log, loop, connection)


def ask_with_session(options: Options, log: Log, loop: Loop, connection: Connection, channel: ch.Channel) -> None:
    """-X, -Y and -A: what is asked for together with the session on `channel`."""
    if connection.unsafe:
        return
    from pyssh_cli.client.forwarding.context import Context
    from pyssh_cli.net.resolve import Resolver

    context = Context(options, log, loop, connection, Resolver(loop))
    if options.forward_x11:
        from pyssh_cli.client.forwarding.x11 import X11Forwarding

        if connection.x11 is None:
            connection.x11 = X11Forwarding(context)
        connection.x11.request(channel)
    if options.forward_agent:
        from pyssh_cli.client.forwarding.agent import AgentForwarding

        path = options.identity_agent if options.forward_agent == "yes" else options.forward_agent
        if path:
            AgentForwarding(context, path).request(channel)
        else:
            log.debug1("no agent to forward: neither SSH_AUTH_SOCK nor IdentityAgent names one")
