"""TCP: name look-up and connecting, address after address, as ssh does it."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log
from pyssh_cli.net.names import addresses_of, socket_address, why_not_found

if TYPE_CHECKING:
    from pyssh_cli.net.loop import Loop

_HINTS = {
    errno.ECONNREFUSED: "nothing listens there: check the port, and that the SSH server runs",
    errno.ETIMEDOUT: "no answer: check the address, and that no firewall drops the packets",
    errno.EHOSTUNREACH: "check the address and the route to it",
    errno.ENETUNREACH: "this machine has no route there: check its network, or -4 and -6",
    errno.EADDRNOTAVAIL: "this machine has no such address: check -b",
    errno.ENODEV: "this machine has no such interface: check -B and BindInterface",
    errno.EACCES: "this machine forbids it: a rule of its firewall or its routes",
    errno.EPERM: "this machine forbids it: a rule of its firewall, or a sandbox",
    errno.EINVAL: "an address of a link wants its interface, as in fe80::1%eth0",
}


class SocketCarrier:
    """A connected, non-blocking socket that carries a connection. `address` is the peer's, numeric, or empty where
    somebody else connected it; `peer` is what messages call it."""

    hint = " (it may refuse us, or be too busy: see its log)"

    def __init__(self, loop: Loop, sock: socket.socket, address: str, peer: str) -> None:
        self.socket = sock
        self.address = address
        self.peer = peer
        self._loop = loop
        self.send = sock.send
        self.recv_into = sock.recv_into
        self.close = sock.close

    def watch(self, readable: Callable[[], None] | None, writable: Callable[[], None] | None) -> None:
        """Call back whenever the socket is so; None for neither stops watching."""
        self._loop.watch(self.socket, readable, writable)


def look_up(options: Options) -> tuple[str, ...]:
    """The numeric addresses of the host, with scope: those that canonicalization found. Raises NetworkError."""
    if options.addresses:
        return options.addresses
    return addresses_for(options.hostname, options.port, options, "HostName in the configuration")


def addresses_for(name: str, port: int, options: Options, where: str) -> tuple[str, ...]:
    """The numeric addresses of `name`, of AddressFamily; `where` is where it comes from, for the NetworkError."""
    try:
        return addresses_of(name, port, options.address_family).addresses
    except OSError as error:
        raise NetworkError(f"ssh: Could not resolve hostname {name}: {why_not_found(error, where)}") from None


def connect(
    options: Options, log: Log, deadline: float | None, meanwhile: Callable[[], None]
) -> tuple[socket.socket, str]:
    """Connect to the host: (the socket, non-blocking; the numeric address it is connected to).

    `meanwhile` is called once, as soon as the first connection is under way: time that is waited anyway.
    Raises NetworkError with ssh's line for the last address tried.
    """
    log.debug3(f"resolving {options.hostname} port {options.port}")
    place = Place("host", options.hostname, options.port, look_up(options))
    return connect_to(place, options, log, deadline, meanwhile)


class Place(NamedTuple):
    """Where to connect to: "host" or "proxy", its name and port, and the addresses to try in turn."""

    kind: str
    name: str
    port: int
    addresses: tuple[str, ...]


def connect_to(
    place: Place, options: Options, log: Log, deadline: float | None, meanwhile: Callable[[], None]
) -> tuple[socket.socket, str]:
    """The same for any place; of the options, those count that tell how to connect."""
    failure = ""
    for attempt in range(max(1, options.connection_attempts)):
        if attempt:
            log.debug1("Trying again...")
            select.select((), (), (), 1)
        for address in place.addresses:
            log.debug1(f"Connecting to {place.name} [{address}] port {place.port}.")
            try:
                return _connect_one(options, log, address, place.port, deadline, meanwhile), address
            except OSError as error:
                number = error.errno or errno.ETIMEDOUT
                log.debug1(f"connect to address {address} port {place.port}: {os.strerror(number)}")
                failure = os.strerror(number)
                if number != errno.EINVAL or address.startswith("fe80:"):
                    hint = _HINTS.get(number, "")
                    of_many = len(place.addresses) > 1
                    hint += (
                        f"{'; ' if hint else ''}the last of {len(place.addresses)} addresses, -v tells of each"
                        if of_many
                        else ""
                    )
                    failure += f" ({hint})" if hint else ""
            meanwhile = _nothing
    raise NetworkError(f"ssh: connect to {place.kind} {place.name} port {place.port}: {failure}")


def _nothing() -> None:
    pass


def _connect_one(
    options: Options,
    log: Log,
    address: str,
    port: int,
    deadline: float | None,
    meanwhile: Callable[[], None],
) -> socket.socket:
    family, where = socket_address(address, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        set_service_class(sock, options.ip_qos[0], log)  # a handshake is waited for
        if options.bind_interface:
            _bind_interface(sock, options.bind_interface)
        if options.bind_address:
            sock.bind(_bind_to(options.bind_address, family))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.tcp_keep_alive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        error = sock.connect_ex(where)
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        if error in {0, errno.EINPROGRESS} and not poll.poll(0):
            meanwhile()
        waited = None if deadline is None else max(0, int((deadline - monotonic()) * 1000))
        if error == errno.EINPROGRESS:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if poll.poll(waited) else errno.ETIMEDOUT
        if error:
            raise OSError(error, os.strerror(error))
        return sock
    except BaseException:
        sock.close()
        raise


def set_service_class(sock: socket.socket, field: int | None, log: Log) -> None:
    """Mark the packets of a TCP socket with a differentiated services field (IPQoS, RFC 2474); None leaves the
    system's. A system that will not have it is no error."""
    if field is None:
        return
    level, option = {
        socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS),
        socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    }.get(sock.family, (0, 0))
    if not option:
        return
    log.debug3(f"setting {'TCLASS' if sock.family == socket.AF_INET6 else 'TOS'} 0x{field:02x}")
    try:
        sock.setsockopt(level, option, field)
    except OSError as error:
        log.debug1(f"the service class 0x{field:02x} cannot be set: {error.strerror}")


def _bind_to(name: str, family: int) -> Any:
    """BindAddress as an address. Raises NetworkError for a name that means nothing."""
    try:
        return socket.getaddrinfo(name, 0, family, socket.SOCK_STREAM)[0][4]
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a valid host name"
        raise NetworkError(f"getaddrinfo: {name}: {reason} (check -b and BindAddress)") from None


def _bind_interface(sock: socket.socket, name: str) -> None:
    """BindInterface: on Linux by device, which any user may."""
    option = getattr(socket, "SO_BINDTODEVICE", None)
    if option is None:
        raise NetworkError("BindInterface is not supported on this system")
    sock.setsockopt(socket.SOL_SOCKET, option, name.encode() + b"\0")
