"""-L and -D: listeners on this machine, whose connections are made from the server (RFC 4254 section 7.2)."""

from __future__ import annotations

import socket
from functools import partial
from time import monotonic
from typing import Any

from pyssh_cli.client.forwarding.context import Context
from pyssh_cli.client.forwarding.socks import Handshake, Malformed, refusal
from pyssh_cli.config.forwards import Forward
from pyssh_cli.log import printable
from pyssh_cli.net.listen import Listener, open_tcp, open_unix
from pyssh_cli.net.loop import Timer
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import string, text, uint32

SOCKS_SECONDS = 30.0
"""How long a client may take for its SOCKS request."""

_NOWHERE = ("127.0.0.1", 65535)
"""The originator that servers are told of when it has no address: some refuse what does not look like one."""


def direct_channel(
    host: str | None, port: int, path: str | None, originator: tuple[str, int]
) -> tuple[str, bytes]:
    """The kind and fields of the channel that connects from the server to a host and port, or to a socket."""
    if path is not None:  # OpenSSH's PROTOCOL 2.4
        return "direct-streamlocal@openssh.com", text(path) + string(b"") + uint32(0)
    assert host is not None
    return "direct-tcpip", text(host) + uint32(port) + text(originator[0]) + uint32(originator[1])


class LocalForward:
    """One -L or -D. Raises NetworkError when nothing can be listened on; the log tells why."""

    def __init__(self, context: Context, forward: Forward) -> None:
        self._context = context
        self._forward = forward
        o, log = context.options, context.log
        kind = forward
        if kind.socks:
            target = "socks:0"
        else:
            target = f"{kind.host}:{kind.port}" if kind.path is None else f"{kind.path}:-2"
        if kind.listen_path is not None:
            log.debug1(f"Local connections to {kind.listen_path} forwarded to remote address {target}")
            unlink = o.stream_local_bind_unlink
            sockets = [open_unix(kind.listen_path, o.stream_local_bind_mask, log, unlink=unlink)]
            log.debug1(f"Local forwarding listening on path {kind.listen_path}.")
        else:
            shown = kind.listen_host or ("*" if o.gateway_ports or kind.listen_host == "" else "LOCALHOST")
            log.debug1(f"Local connections to {shown}:{kind.listen_port} forwarded to remote address {target}")
            sockets = open_tcp(
                bind_host(kind.listen_host, gateway_ports=o.gateway_ports),
                kind.listen_port,
                o.address_family,
                log,
                lambda address, port: log.debug1(f"Local forwarding listening on {address} port {port}."),
            )
        self._listener = Listener(context.loop, log, sockets, self._accepted)

    def close(self) -> None:
        """Listen no more. The connections that are there stay."""
        self._listener.close()

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        forward = self._forward
        listens = forward.listen_path or f"port {forward.listen_port}"
        to = forward.path or f"{forward.host or 'socks'} port {forward.port}"
        self._context.log.debug1(f"Connection to {listens} forwarding to {to} requested.")
        originator = _NOWHERE if sock.family == socket.AF_UNIX else (str(address[0]), int(address[1]))
        if forward.socks:
            _SocksClient(self._context, sock, originator)
        else:
            self._context.serve(sock, partial(self._open, sock, originator, f"{listens} for {to}"))

    def _open(self, sock: socket.socket, originator: tuple[str, int], what: str) -> None:
        forward = self._forward
        relay = self._context.relay(what)
        relay.connect(sock)
        relay.open(*direct_channel(forward.host, forward.port, forward.path, originator))
        self._context.connection.flush_soon()


def bind_host(listen_host: str | None, *, gateway_ports: bool) -> str | None:
    """Where to listen (ssh(1), -L and -g): None is the loopback's addresses, "" all."""
    if listen_host is None:
        return "" if gateway_ports else None
    if listen_host in {"", "*"}:
        return ""
    return None if listen_host == "localhost" else listen_host


class _SocksClient:
    """A connection to -D that has not said yet where it wants to go."""

    def __init__(self, context: Context, sock: socket.socket, originator: tuple[str, int]) -> None:
        self._context = context
        self._socket = sock
        self._originator = originator
        self._handshake = Handshake()
        self._timer: Timer | None = context.loop.call_at(monotonic() + SOCKS_SECONDS, self._on_silence)
        context.loop.watch(sock, self._on_readable)

    def _on_silence(self) -> None:
        self._timer = None
        self._context.log.debug1("a SOCKS client did not say where it wants to go")
        self._close()

    def _close(self) -> None:
        self._leave()
        self._socket.close()

    def _leave(self) -> None:
        """Watch the connection no more."""
        self._context.loop.watch(self._socket)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _on_readable(self) -> None:
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        try:
            self._answer(self._handshake.feed(data))
        except Malformed as error:
            self._context.log.debug1(f"SOCKS request refused: {error}")
            self._answer(error.answer)
            self._close()
            return
        if self._handshake.target is not None:
            self._leave()
            self._context.serve(self._socket, partial(self._open, *self._handshake.target))

    def _answer(self, answer: bytes) -> None:
        """A few bytes, which a socket has room for; one that has none is in nobody's use."""
        if answer:
            try:
                self._socket.send(answer)
            except OSError:
                pass

    def _open(self, host: str, port: int) -> None:
        context = self._context
        version = self._handshake.version
        context.log.debug1(f"dynamic request: socks{version} host {printable(host)} port {port}")
        relay = context.relay(f"socks for {printable(host)} port {port}")
        relay.opened = self._granted
        relay.refused = self._denied
        relay.say(self._handshake.rest)
        relay.connect(self._socket)
        relay.open(*direct_channel(host, port, None, self._originator))
        context.connection.flush_soon()

    def _granted(self) -> None:
        self._answer(self._handshake.granted())

    def _denied(self, event: ch.OpenRefused) -> None:
        self._answer(self._handshake.denied(refusal(event)))
