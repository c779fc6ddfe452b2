"""-A: programs on the server ask the person's own agent (ssh(1), -A; ssh_config(5), ForwardAgent).

The request is auth-agent-req@openssh.com; servers that offer it are asked by the name agent-req, which
draft-ietf-sshm-ssh-agent gives it. Each channel that comes of it is a connection of its own to the agent, and
begins with our word of which host the questions on it are from: an agent that holds keys for some hosts only goes
by that (OpenSSH's PROTOCOL.agent, session-bind@openssh.com, with is_forwarding set).
"""

from __future__ import annotations

import socket
from functools import partial

from pyssh_cli.client.forwarding.context import Context
from pyssh_cli.keys.agent import MAX_REPLY_SIZE, session_bind_request
from pyssh_cli.net.dial import dial_unix
from pyssh_cli.net.framed import Exchange, listens
from pyssh_cli.protocol import channels as ch

CHANNEL, STANDARD_CHANNEL = "auth-agent@openssh.com", "agent-connect"
"""The kinds of channel that the server opens to the agent."""

_REQUEST, _STANDARD_REQUEST = "auth-agent-req@openssh.com", "agent-req"
_OFFER = "agent-forward"
"""The extension (RFC 8308) by which a server offers the standard names."""

BIND_SECONDS = 10.0
"""How long the agent may take to hear whom its questions are from."""

LAST_ANSWER_SECONDS = 5.0
"""How long the agent may take for what it was asked last, once who has asked has ended its half. Not all agents
hang up then; ssh hangs up at once."""

MAX_PENDING = 64
"""Connections to the agent under way at once; more are refused."""

_SUCCESS = 6
_CONNECT_FAILED, _SHORTAGE = 2, 4


class AgentForwarding:
    """The agent at the Unix socket `path`, for one connection's server."""

    def __init__(self, context: Context, path: str) -> None:
        self._context = context
        self._path = path
        self._pending = 0

    def request(self, channel: ch.Channel) -> bool:
        """Ask for it with the session on `channel`, and let the server open channels. False when no agent is
        there, which ssh only notes in its debug log."""
        context = self._context
        if not listens(self._path):
            context.log.debug1(f"no agent to forward at {self._path}")
            return False
        context.log.debug1("Requesting authentication agent forwarding.")
        offered = context.connection.transport.extensions.get(_OFFER) == b"0"
        context.connection.channels.request(channel, _STANDARD_REQUEST if offered else _REQUEST)
        for kind in (CHANNEL, STANDARD_CHANNEL):
            context.connection.openers[kind] = self._on_open
        return True

    def _on_open(self, request: ch.OpenRequested) -> None:
        if self._pending >= MAX_PENDING:
            self._refuse(request, _SHORTAGE, "too many at once")
            return
        self._pending += 1
        dial_unix(self._context.loop, self._path, partial(self._dialed, request))

    def _dialed(self, request: ch.OpenRequested, sock: socket.socket | None, error: OSError | None) -> None:
        if sock is None:
            self._pending -= 1
            reason = (error.strerror or str(error)) if error else "no agent"
            self._context.log.debug1(f"client_request_agent: {self._path}: {reason}")
            self._refuse(request, _CONNECT_FAILED, "open failed")
            return
        transport = self._context.connection.transport
        binding = session_bind_request(
            transport.host_key, transport.session_id, transport.host_signature, forwarding=True
        )
        answered = partial(self._bound, request, sock)
        Exchange(self._context.loop, sock, binding, BIND_SECONDS, MAX_REPLY_SIZE, answered)

    def _bound(self, request: ch.OpenRequested, sock: socket.socket, answer: bytes | None, why: str) -> None:
        """An agent that does not know of bindings is used all the same, as ssh does; one that hangs up on them is
        not: on an unbound connection it would take the server's questions for ours."""
        self._pending -= 1
        log = self._context.log
        if answer is None:
            log.debug1(f"client_request_agent: {self._path}: {why}")
            sock.close()
            self._refuse(request, _CONNECT_FAILED, "open failed")
            return
        if answer[0] == _SUCCESS:
            log.debug1("client_request_agent: bound agent to hostkey")
        else:
            log.debug2("client_request_agent: the agent refuses to be bound to the host key")
        relay = self._context.relay("authentication agent connection")
        relay.lingers = LAST_ANSWER_SECONDS
        relay.accept(request)
        relay.connect(sock)

    def _refuse(self, request: ch.OpenRequested, reason: int, why: str) -> None:
        self._context.connection.refuse_channel(request, reason, why)
        self._context.connection.flush_soon()
