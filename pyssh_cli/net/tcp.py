"""TCP: name look-up and connecting, address after address, as ssh does it."""

from __future__ import annotations

import errno
import math
import os
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import NEVER, Log
from pyssh_cli.net import LONGEST_WAIT
from pyssh_cli.net.names import addresses_of, socket_address, why_not_found

if TYPE_CHECKING:
    from pyssh_cli.net.loop import Loop

_HINTS = {
    errno.ECONNREFUSED: "nothing listens there: check the port, and that the {server} runs",
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


def look_up(options: Options, log: Log) -> tuple[str, ...]:
    """The numeric addresses of the host, with scope: those that canonicalization found. Raises NetworkError."""
    if options.addresses:
        return options.addresses
    return addresses_for(options.hostname, options.port, options, log, "HostName in the configuration")


def addresses_for(name: str, port: int, options: Options, log: Log, where: str) -> tuple[str, ...]:
    """The numeric addresses of `name`, of AddressFamily; `where` is where it comes from, for the NetworkError."""
    try:
        return addresses_of(name, port, options.address_family, log=log).addresses
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
    place = Place("host", options.hostname, options.port, look_up(options, log))
    return connect_to(place, options, log, deadline, meanwhile)


class Place(NamedTuple):
    """Where to connect to: "host" or "proxy", its name and port, and the addresses to try in turn."""

    kind: str
    name: str
    port: int
    addresses: tuple[str, ...]

    def waits_for(self, number: int) -> str:
        """What is waited for while the address of this number, from 1, does not answer."""
        address, count = self.addresses[number - 1], len(self.addresses)
        named = "" if address == self.name else f"{self.name}, "
        named = f"the proxy {named}" if self.kind == "proxy" else named
        which = f" (address {number} of {count})" if count > 1 else ""
        return f"Connecting to {named}{address} port {self.port}{which}"


def connect_to(
    place: Place, options: Options, log: Log, deadline: float | None, meanwhile: Callable[[], None]
) -> tuple[socket.socket, str]:
    """The same for any place; of the options, those count that tell how to connect. An address of a family that
    BindAddress has none of is passed over, as ssh does."""
    failure = ""
    unbound: NetworkError | None = None
    for attempt in range(max(1, options.connection_attempts)):
        if attempt:
            log.debug1("Trying again...")
            select.select((), (), (), 1)
        for number, address in enumerate(place.addresses, 1):
            log.debug1(f"Connecting to {place.name} [{address}] port {place.port}.")
            try:
                return _connect_one(options, log, place, number, deadline, meanwhile), address
            except NetworkError as error:
                log.debug1(str(error))
                unbound = error
            except OSError as error:
                code = error.errno or errno.ETIMEDOUT
                log.debug1(f"connect to address {address} port {place.port}: {os.strerror(code)}")
                hints = [hint_for(code, "proxy" if place.kind == "proxy" else "SSH server", address)]
                if len(place.addresses) > 1:
                    hints.append(f"the last of {len(place.addresses)} addresses, -v tells of each")
                hint = "; ".join(filter(None, hints))
                failure = os.strerror(code) + (f" ({hint})" if hint else "")
            meanwhile = _nothing
    if unbound and not failure:
        raise unbound
    raise NetworkError(f"ssh: connect to {place.kind} {place.name} port {place.port}: {failure}")


def ready(poll: select.poll, deadline: float | None, log: Log, what: Callable[[], str]) -> list[tuple[int, int]]:
    """What is ready of what `poll` watches, as soon as anything is; nothing once `deadline` has passed.

    A person who waits long is told for what.
    """
    while True:
        until = log.tell_at() if deadline is None else min(deadline, log.tell_at())
        left = None if until == NEVER else max(0.0, min(until - monotonic(), LONGEST_WAIT))
        found = poll.poll(None if left is None else math.ceil(left * 1000))
        if found or (deadline is not None and monotonic() >= deadline):
            return found
        if monotonic() >= log.tell_at():
            log.waits_for(what())


def _nothing() -> None:
    pass


def _connect_one(
    options: Options,
    log: Log,
    place: Place,
    number: int,
    deadline: float | None,
    meanwhile: Callable[[], None],
) -> socket.socket:
    """A socket connected to the address of this number, from 1. Raises OSError."""
    sock, error = _begin(options, log, place.addresses[number - 1], place.port)
    try:
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        if error in {0, errno.EINPROGRESS} and not poll.poll(0):
            meanwhile()
        if error == errno.EINPROGRESS:
            found = ready(poll, deadline, log, lambda: place.waits_for(number))
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if found else errno.ETIMEDOUT
        if error:
            raise OSError(error, os.strerror(error))
        return sock
    except BaseException:
        sock.close()
        raise


def _begin(options: Options, log: Log, address: str, port: int) -> tuple[socket.socket, int]:
    """A socket, non-blocking, that begins to connect, and what connect(2) said: 0, EINPROGRESS or an error."""
    family, where = socket_address(address, port)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        set_service_class(sock, options.ip_qos[0], log)  # a handshake is waited for
        if options.bind_interface is not None:
            _bind_interface(sock, options.bind_interface)
        if options.bind_address is not None:
            sock.bind(_bind_to(options.bind_address, family))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.tcp_keep_alive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock, sock.connect_ex(where)
    except BaseException:
        sock.close()
        raise


class Attempt(NamedTuple):
    """How connecting to one address went: the socket, or the number of the error; and the seconds it took."""

    address: str
    sock: socket.socket | None
    error: int
    seconds: float


def try_each(place: Place, options: Options, log: Log, deadline: float) -> list[Attempt]:
    """Connect to all addresses of a place at the same time, and wait for all until `deadline`: in their order, how
    each went. Raises NetworkError where BindAddress or BindInterface cannot be."""
    attempts: dict[str, Attempt] = {}
    unbound: NetworkError | None = None
    waiting: dict[int, tuple[str, socket.socket, float]] = {}
    poll = select.poll()
    try:
        for address in dict.fromkeys(place.addresses):
            began = monotonic()
            try:
                sock, error = _begin(options, log, address, place.port)
            except NetworkError as failed:
                unbound = failed
                attempts[address] = Attempt(address, None, errno.EAFNOSUPPORT, monotonic() - began)
                continue
            except OSError as failed:
                attempts[address] = Attempt(address, None, failed.errno or errno.EINVAL, monotonic() - began)
                continue
            waiting[sock.fileno()] = address, sock, began
            if error in {0, errno.EINPROGRESS}:
                poll.register(sock, select.POLLOUT)
            else:
                attempts[address] = _ended(waiting, sock.fileno(), error)
        if unbound and all(attempt.error == errno.EAFNOSUPPORT for attempt in attempts.values()) and not waiting:
            raise unbound
        while waiting and (left := deadline - monotonic()) > 0:
            for number, _ in poll.poll(int(left * 1000) + 1):
                address, sock, _ = waiting[number]
                poll.unregister(number)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                attempts[address] = _ended(waiting, number, error)
        for number, (address, _, _) in list(waiting.items()):
            attempts[address] = _ended(waiting, number, errno.ETIMEDOUT)
    except BaseException:
        for _, sock, _ in waiting.values():
            sock.close()
        for attempt in attempts.values():
            if attempt.sock:
                attempt.sock.close()
        raise
    return [attempts[address] for address in dict.fromkeys(place.addresses)]


def _ended(waiting: dict[int, tuple[str, socket.socket, float]], number: int, error: int) -> Attempt:
    address, sock, began = waiting.pop(number)
    if error:
        sock.close()
    return Attempt(address, None if error else sock, error, monotonic() - began)


def hint_for(code: int, server: str = "SSH server", address: str = "") -> str:
    """What to do about an error of connect(2); empty where there is nothing to say. `server` is what was to be
    there, and `address` where, if that is known."""
    if code == errno.EINVAL and not address.startswith("fe80:"):
        return ""
    return _HINTS.get(code, "").format(server=server)


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
    if not name:  # the kernel would take it for all
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    sock.setsockopt(socket.SOL_SOCKET, option, os.fsencode(name) + b"\0")
