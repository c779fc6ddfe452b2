"""How the first connection of all is made: straight, by a ProxyCommand, or through the proxy of Proxy."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.config.options import Options
from pyssh_cli.config.tokens import TOKEN_RULES
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log

if TYPE_CHECKING:
    import socket

    from pyssh_cli.client.link import Carrier
    from pyssh_cli.config.proxies import ProxyServer
    from pyssh_cli.net.loop import Loop


def reach(
    options: Options,
    log: Log,
    deadline: float | None,
    meanwhile: Callable[[], None],
    loop: Loop | None = None,
) -> tuple[Carrier, Loop]:
    """What carries a connection to the host, and the loop that waits for it: a new one, or that which is given.
    ProxyJump is `jump`'s.

    `meanwhile` is called once, as soon as something is under way. Raises NetworkError.
    """
    if options.proxy_command:
        return _by_command(options, log, deadline, meanwhile, loop)
    if options.proxy:
        return _by_proxy(options, log, deadline, meanwhile, loop)
    from pyssh_cli.net.tcp import SocketCarrier, connect

    sock, address = connect(options, log, deadline, meanwhile)
    log.debug1("Connection established.")
    from pyssh_cli.net.loop import Loop

    loop = loop or Loop()
    return SocketCarrier(loop, sock, address, f"{address} port {options.port}"), loop


def _by_command(
    options: Options, log: Log, deadline: float | None, meanwhile: Callable[[], None], loop: Loop | None
) -> tuple[Carrier, Loop]:
    from pyssh_cli.net import process
    from pyssh_cli.net.loop import Loop

    loop = loop or Loop()
    configured = options.proxy_command or ""
    if configured == "-":
        log.debug1("Using stdin and stdout for the connection (ProxyCommand -)")
        return process.standard_streams(loop), loop
    letters = TOKEN_RULES["proxycommand"].letters or ""
    command = options.tokens.expand(configured, allowed=letters, where="ProxyCommand")
    log.clear()  # it may have something to ask on the terminal
    if options.proxy_use_fdpass:
        from pyssh_cli.net.tcp import SocketCarrier

        log.debug1(f"Executing proxy dialer command: exec {command}")
        sock = process.receive_socket(command, deadline)
        return SocketCarrier(loop, sock, "", _peer_of(sock.getpeername)), loop
    log.debug1(f"Executing proxy command: exec {command}")
    carrier = process.run_command(loop, command)
    meanwhile()
    return carrier, loop


def _peer_of(getpeername: Callable[[], object]) -> str:
    """What messages call the peer of a socket that somebody else connected."""
    from pyssh_cli.net.process import UNKNOWN_PEER

    try:
        name = getpeername()
    except OSError:
        return UNKNOWN_PEER
    return f"{name[0]} port {name[1]}" if isinstance(name, tuple) else UNKNOWN_PEER


def _by_proxy(
    options: Options, log: Log, deadline: float | None, meanwhile: Callable[[], None], loop: Loop | None
) -> tuple[Carrier, Loop]:
    from pyssh_cli.config.proxies import parse_proxy
    from pyssh_cli.net.loop import Loop
    from pyssh_cli.net.tcp import SocketCarrier, look_up

    proxy = parse_proxy(options.proxy or "")
    if proxy.scheme != "socks5":
        sock = _through(proxy, options.hostname, options, log, deadline, meanwhile)
        loop = loop or Loop()
        return SocketCarrier(loop, sock, "", f"{options.hostname} port {options.port} by way of the proxy"), loop
    failure: NetworkError | None = None
    for address in look_up(options, log):
        try:
            sock = _through(proxy, address, options, log, deadline, meanwhile)
        except NetworkError as error:
            if deadline is not None and monotonic() >= deadline:
                raise
            log.debug1(str(error))
            failure = error
            continue
        loop = loop or Loop()
        return SocketCarrier(loop, sock, address, f"{address} port {options.port}"), loop
    raise failure or NetworkError(f"ssh: Could not resolve hostname {options.hostname}: no address")


def _through(
    proxy: ProxyServer,
    host: str,
    options: Options,
    log: Log,
    deadline: float | None,
    meanwhile: Callable[[], None],
) -> socket.socket:
    """A socket, non-blocking, that leads to `host` by way of the proxy. Raises NetworkError."""
    from pyssh_cli.net.proxy import open_tunnel
    from pyssh_cli.net.tcp import Place, addresses_for, connect_to

    addresses = addresses_for(proxy.host, proxy.port, options, log, "the host in Proxy")
    place = Place("proxy", proxy.host, proxy.port, addresses)
    sock, _ = connect_to(place, options, log, deadline, meanwhile)
    try:
        open_tunnel(sock, proxy, host, options.port, deadline, log)
    except BaseException:
        sock.close()
        raise
    log.debug1("Connection established.")
    return sock
