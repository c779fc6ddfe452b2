"""Listeners: where programs on this machine, or others, connect to us. Opening, accepting, closing."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log
from pyssh_cli.net.descriptors import left_for_connections, out_of_descriptors
from pyssh_cli.net.loop import Loop, Timer

BACKLOG = 4096
"""Connections that the kernel keeps for us until they are accepted, if its own limit (somaxconn) allows. What does
not fit has to try again, a second later at the earliest; OpenSSH's 128 makes bursts slow."""

ACCEPTS_AT_ONCE = 128
"""Connections taken in a row before others get their turn."""

PAUSE = 1.0
"""Seconds without accepting when there are no descriptors left."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Accepted = Callable[[socket.socket, Any], None]
"""Given the connection, non-blocking, and the address of who connected (as Python's socket has it)."""


def open_tcp(
    host: str | None, port: int, family: str, log: Log, said: Callable[[str, int], None]
) -> list[socket.socket]:
    """Listen on `port` of all addresses of `host`: None is the loopback's, "" all that there are.

    `family` is AddressFamily's value. `said` is called with each address and port that is tried. An address that
    is taken is told in the log; one that can be had is enough. Raises NetworkError when there is none.
    """
    families = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
    flags = socket.AI_PASSIVE if host == "" else 0
    raw = host.encode("utf-8", "surrogateescape") if host else None
    try:
        if raw is not None and b"\0" in raw:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = socket.getaddrinfo(raw, str(port), families[family], socket.SOCK_STREAM, 0, flags)
    except OSError as error:
        raise NetworkError(f"channel_setup_fwd_listener_tcpip: getaddrinfo({host}): {error.strerror}") from None
    listeners: list[socket.socket] = []
    for number, (kind, _, _, _, where) in enumerate(found):
        address = str(where[0])
        try:
            sock = socket.socket(kind, socket.SOCK_STREAM)
        except OSError as error:  # a kernel without IPv6
            log.verbose(f"socket: {error.strerror}")
            continue
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if kind == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            said(address, port)
            sock.bind(where)
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            last = number == len(found) - 1
            why = os.strerror(error.errno or 0) + _hint(error, port)
            (log.error if last else log.verbose)(f"bind [{address}]:{port}: {why}")
        else:
            listeners.append(sock)
    if not listeners:
        raise NetworkError(f"channel_setup_fwd_listener_tcpip: cannot listen to port: {port}")
    return listeners


def _hint(error: OSError, port: int) -> str:
    """What to do about a port that cannot be had."""
    if error.errno == errno.EADDRINUSE:
        return " (another program listens there, maybe another ssh: end it, or choose another port)"
    if error.errno == errno.EACCES and port < 1024:
        return " (ports below 1024 are root's: choose a higher one)"
    if error.errno == errno.EADDRNOTAVAIL:
        return " (this machine has no such address)"
    return ""


def open_unix(path: str, mask: int, log: Log, *, unlink: bool) -> socket.socket:
    """Listen on the Unix socket `path`, made with the umask `mask`; `unlink` removes what is there first.

    Raises NetworkError.
    """
    raw = os.fsencode(path)
    if unlink:
        try:
            os.unlink(raw)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.error(f"unlink({path}): {error.strerror}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    before = os.umask(mask)
    try:
        sock.bind(raw)
        sock.listen(BACKLOG)
    except (OSError, ValueError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        hint = ""
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            hint = " (it is there already: StreamLocalBindUnlink yes removes it first)"
        raise NetworkError(f"unix_listener: cannot bind to path {path}: {reason}{hint}") from None
    finally:
        os.umask(before)
    return sock


class Listener:
    """Accepts what comes to some listening sockets, and calls `accepted` for each, until it is closed."""

    def __init__(self, loop: Loop, log: Log, sockets: Sequence[socket.socket], accepted: Accepted) -> None:
        self._loop = loop
        self._log = log
        self._sockets = list(sockets)
        self._accepted = accepted
        self._pause: Timer | None = None
        self._closed = False
        self._paths = [_file(sock) for sock in self._sockets if sock.family == socket.AF_UNIX]
        self._watch()

    def _watch(self) -> None:
        self._pause = None
        for sock in self._sockets:
            self._loop.watch(sock, self._callback(sock))

    def _callback(self, sock: socket.socket) -> Callable[[], None]:
        return lambda: self._on_readable(sock)

    def _on_readable(self, listener: socket.socket) -> None:
        try:
            room = _room(listener)
        except OSError as error:
            self._on_failure(error)
            return
        for _ in range(min(ACCEPTS_AT_ONCE, room)):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                self._on_failure(error)
                return
            sock.setblocking(False)
            self._accepted(sock, address)
            if self._closed:
                return

    def _on_failure(self, error: OSError) -> None:
        self._log.error(f"accept: {error.strerror}")
        if error.errno in _EXHAUSTED:  # it would be reported again and again
            for one in self._sockets:
                self._loop.watch(one)
            self._pause = self._loop.call_at(monotonic() + PAUSE, self._watch)

    def close(self) -> None:
        """Listen no more, and remove the Unix sockets that are still ours."""
        self._closed = True
        if self._pause:
            self._pause.cancel()
        for sock in self._sockets:
            self._loop.watch(sock)
            if sock.family == socket.AF_UNIX and (file := _file(sock)) and file in self._paths:
                try:
                    os.unlink(sock.getsockname())
                except OSError as error:  # the directory is not ours to change any more
                    self._log.debug1(f"unlink {sock.getsockname()}: {error.strerror}")
            sock.close()
        self._sockets = []


def _room(listener: socket.socket) -> int:
    """How many connections there are descriptors for, at least one. Raises OSError when there are none."""
    probe = os.dup(listener.fileno())
    os.close(probe)
    room = left_for_connections(probe)
    if room <= 0:
        raise out_of_descriptors()
    return room


def _file(sock: socket.socket) -> tuple[int, int] | None:
    """The device and inode of a Unix socket's path; None when it is gone."""
    try:
        status = os.stat(sock.getsockname())
    except OSError:
        return None
    return status.st_dev, status.st_ino
