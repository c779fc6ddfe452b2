"""-R: listeners on the server, whose connections are made from here, or are SOCKS clients of ours.

RFC 4254 section 7.1 and OpenSSH's PROTOCOL 2.4. The server is let open only what was asked of it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic

from pyssh_cli.client.forwarding.context import Context
from pyssh_cli.client.forwarding.relay import Relay
from pyssh_cli.client.forwarding.socks import NOT_ALLOWED, Handshake, Malformed, reply_for
from pyssh_cli.config.forwards import Forward
from pyssh_cli.errors import WireError
from pyssh_cli.log import DEBUG1, printable
from pyssh_cli.net.dial import dial_tcp, dial_unix
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import Reader, text, uint32

SOCKS_SECONDS = 30.0
"""How long the far side may take for its SOCKS request."""

TCP, STREAMLOCAL = "forwarded-tcpip", "forwarded-streamlocal@openssh.com"
"""The kinds of channel that the server opens for us."""

_PROHIBITED, _CONNECT_FAILED = 1, 2

Settled = Callable[[bool], None]


class RemoteForward:
    """One -R. `settled` is told once whether the server listens."""

    def __init__(self, context: Context, forward: Forward, settled: Settled) -> None:
        self._context = context
        self._settled = settled
        self.forward = forward
        self.host = asked_host(forward.listen_host)
        """The address as it was asked for, which is how the server names the listener."""
        self.port = forward.listen_port
        """The port, the allocated one once it is known."""
        self.stands = False

    @property
    def path(self) -> str | None:
        """The listening socket's path on the server, None for a port."""
        return self.forward.listen_path

    def target(self) -> str:
        """Where to, for the log."""
        f = self.forward
        if f.socks:
            return "socks:0"
        return f"{f.host}:{f.port}" if f.path is None else f"{f.path}:-2"

    def request(self) -> None:
        """Ask the server to listen."""
        f, connection = self.forward, self._context.connection
        listens = f.listen_path or f"{'LOCALHOST' if f.listen_host is None else f.listen_host}:{f.listen_port}"
        self._context.log.debug1(f"Remote connections from {listens} forwarded to local address {self.target()}")
        if f.listen_path is not None:
            connection.global_request("streamlocal-forward@openssh.com", text(f.listen_path), self._on_answer)
        else:
            fields = text(self.host) + uint32(self.port)
            connection.global_request("tcpip-forward", fields, self._on_answer)
        connection.flush_soon()

    def _on_answer(self, success: bool, fields: bytes) -> None:
        f, log = self.forward, self._context.log
        place = f.listen_host if f.listen_path is None else f.listen_path
        port = f.listen_port if f.listen_path is None else -2
        log.debug1(
            f"remote forward {'success' if success else 'failure'} for: listen"
            f" {'' if place is None else f'{place}:'}{port}, connect {self.target()}"
        )
        if success and f.listen_path is None and not self.port:
            try:
                port = Reader(fields).uint32()
            except WireError:
                port = 0
            if not 0 < port <= 0xFFFF:
                log.error("the server does not say which port it has allocated")
                success = False
            else:
                self.port = port
                log.info(f"Allocated port {port} for remote forward to {self.target()}")
        self.stands = success
        self._settled(success)

    def cancel(self) -> None:
        """Ask the server to listen no more. The connections that are there stay."""
        connection = self._context.connection
        self.stands = False
        if self.forward.listen_path is not None:
            connection.global_request("cancel-streamlocal-forward@openssh.com", text(self.forward.listen_path))
        else:
            connection.global_request("cancel-tcpip-forward", text(self.host) + uint32(self.port))
        connection.flush_soon()

    def open(self, request: ch.OpenRequested) -> None:
        """Connect from here, and accept the channel when that worked."""
        context, f = self._context, self.forward
        if context.log.enabled(DEBUG1):
            context.log.debug1(_who_connects(request))
        connection = context.connection  # there may be another when this has come to an end
        if f.socks:
            _SocksChannel(context, request)
            return
        name = f.path if f.path is not None else f"{f.host} port {f.port}"

        def done(sock: socket.socket | None, error: OSError | None) -> None:
            if sock is None:
                reason = _why_not(context, f.host, name, error)
                connection.refuse_channel(request, _CONNECT_FAILED, reason)
                connection.flush_soon()
                return
            relay = Relay(connection, context.loop, context.log, name)
            relay.accept(request)
            relay.connect(sock)

        _dial(context, f.host, f.port, f.path, done)


def _dial(
    context: Context,
    host: str | None,
    port: int,
    path: str | None,
    done: Callable[[socket.socket | None, OSError | None], None],
) -> None:
    if path is not None:
        dial_unix(context.loop, path, done)
    else:
        assert host is not None
        dial_tcp(context.loop, context.resolver, host, port, context.options.address_family, done)


def _why_not(context: Context, host: str | None, name: str, error: OSError | None) -> str:
    """Tell why a place cannot be connected to, in ssh's words; returns the reason alone."""
    reason = (error.strerror or str(error)) if error else "no address"
    if isinstance(error, socket.gaierror):
        context.log.error(f"connect_to {host}: unknown host ({reason})")
    else:
        context.log.error(f"connect_to {name}: failed: {reason}")
    return reason


def asked_host(listen_host: str | None) -> str:
    """What the server is asked for (RFC 4254 section 7.1): "" is all addresses, "localhost" the loopback's."""
    if listen_host is None:
        return "localhost"
    return "" if listen_host == "*" else listen_host


def find(forwards: list[RemoteForward], request: ch.OpenRequested) -> RemoteForward | None:
    """The forward that a channel of the server's belongs to. Raises WireError.

    Servers differ in what they call the address that we asked for; a port that only one forward has is enough.
    """
    reader = Reader(request.fields)
    if request.kind == STREAMLOCAL:
        path = reader.text()
        return next((one for one in forwards if one.stands and one.path == path), None)
    host, port = reader.text(), reader.uint32()
    reader.text()  # where the connection comes from
    reader.uint32()
    fitting = [one for one in forwards if one.stands and one.path is None and one.port == port]
    exact = next((one for one in fitting if one.host == host), None)
    return exact or (fitting[0] if len(fitting) == 1 else None)


def _who_connects(request: ch.OpenRequested) -> str:
    """What `request` says of the listener and of who has connected to it, in ssh's words; `find` has read it."""
    reader = Reader(request.fields)
    if request.kind == STREAMLOCAL:
        return f"client_request_forwarded_streamlocal: request: {printable(reader.text())}"
    listens = f"listen {printable(reader.text())} port {reader.uint32()}"
    originator = f"originator {printable(reader.text())} port {reader.uint32()}"
    return f"client_request_forwarded_tcpip: {listens}, {originator}"


def refuse_unknown(context: Context, request: ch.OpenRequested) -> None:
    """The server opens what it was not asked to, or not any more."""
    context.log.error(f"WARNING: Server requests a {request.kind} channel for an unknown listener.")
    context.connection.refuse_channel(request, _PROHIBITED, "not asked for")


def permitted(places: tuple[str, ...], host: str, port: int) -> bool:
    """PermitRemoteOpen (ssh_config(5)): whether the far side may have us connect to `host`, as it names it."""
    for place in places:
        word = place.lower()
        if word == "any":
            return True
        if word == "none":
            return False
        name, _, number = word.rpartition(":")
        name = name.removeprefix("[").removesuffix("]")
        if name in {"*", host.lower()} and (number == "*" or number == str(port)):
            return True
    return False


class _SocksChannel:
    """A channel whose other end says by SOCKS where it wants to go."""

    def __init__(self, context: Context, request: ch.OpenRequested) -> None:
        self._context = context
        self._handshake = Handshake()
        self._seen = 0
        self._relay: Relay = context.relay("socks from the server")
        self._relay.inspect = self._inspect
        self._relay.ended = self._on_end
        self._relay.accept(request)
        self._timer = context.loop.call_at(monotonic() + SOCKS_SECONDS, self._on_silence)

    def _on_silence(self) -> None:
        if self._handshake.target is None:
            self._context.log.debug1("the far side did not say where it wants to go")
            self._relay.abort()

    def _on_end(self) -> None:
        self._timer.cancel()

    def _inspect(self, data: bytes) -> bytes | None:
        """See `Relay.inspect`: `data` is all that came so far."""
        new, self._seen = data[self._seen :], len(data)
        try:
            answer = self._handshake.feed(new)
        except Malformed as error:
            self._context.log.debug1(f"SOCKS request of the far side refused: {error}")
            self._relay.say(error.answer)
            self._relay.abort()
            return None
        if answer:
            self._relay.say(answer)
        if self._handshake.target is None:
            return None
        self._timer.cancel()
        rest = self._handshake.rest
        self._connect(*self._handshake.target)
        return rest

    def _connect(self, host: str, port: int) -> None:
        context = self._context
        name = f"{printable(host)} port {port}"
        context.log.debug1(f"dynamic request: socks{self._handshake.version} host {name}")
        if not permitted(context.options.permit_remote_open, host, port):
            context.log.error(f"connect_to {name}: not permitted by PermitRemoteOpen")
            self._deny(NOT_ALLOWED)
            return

        def done(sock: socket.socket | None, error: OSError | None) -> None:
            if sock is None:
                reason = _why_not(context, printable(host), name, error)
                self._deny(reply_for(_CONNECT_FAILED, reason))
                return
            self._relay.say(self._handshake.granted())
            self._relay.connect(sock)

        _dial(context, host, port, None, done)

    def _deny(self, reply: int) -> None:
        self._relay.say(self._handshake.denied(reply))
        self._relay.abort()
