"""Connecting without waiting: to a host and port, address after address, or to a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from pyssh_cli.net.descriptors import left_for_connections, out_of_descriptors
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.net.names import socket_address
from pyssh_cli.net.resolve import Resolver

Dialed = Callable[[socket.socket | None, OSError | None], None]
"""Told the connected, non-blocking socket; or None and the last error."""

PATIENCE = 127.0
"""Seconds that one address may take to answer: what Linux gives it by itself."""

ROOM_SECONDS = 0.05
"""How long until a Unix socket that has too many waiting is tried again: nothing tells when there is room."""


class Dial:
    """Tries places, each the family and address of a socket, until one takes the connection."""

    def __init__(self, loop: Loop, places: list[tuple[int, Any]], done: Dialed) -> None:
        """`done` may be called before this returns."""
        self._loop = loop
        self._places = places
        self._done = done
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None
        self._full_until: float | None = None
        self._error = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        self._next()

    def cancel(self) -> None:
        """Give up; `done` is not called."""
        self._places = []
        self._stop()

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.watch(self._socket)
            self._socket.close()
            self._socket = None

    def _next(self) -> None:
        self._timer = None
        while self._places:
            family, where = self._places.pop(0)
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                self._error = error
                continue
            if left_for_connections(sock.fileno()) <= 0:
                sock.close()
                self._error = out_of_descriptors()
                continue
            sock.setblocking(False)
            try:
                number = sock.connect_ex(where)
            except (OSError, ValueError) as error:  # a path that no socket can have
                sock.close()
                self._error = error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
                continue
            if number == 0:
                self._done(sock, None)
                return
            if number == errno.EINPROGRESS:
                self._socket = sock
                self._loop.watch(sock, None, self._on_writable)
                self._timer = self._loop.call_at(monotonic() + PATIENCE, self._on_timeout)
                return
            sock.close()
            self._error = OSError(number, os.strerror(number))
            if number == errno.EAGAIN and family == socket.AF_UNIX and self._wait_for_room():
                self._places.insert(0, (family, where))
                return
        self._done(None, self._error)

    def _wait_for_room(self) -> bool:
        """Come back to a socket whose backlog is full; False when that has gone on for too long."""
        now = monotonic()
        if self._full_until is None:
            self._full_until = now + PATIENCE
        if now >= self._full_until:
            return False
        self._timer = self._loop.call_at(now + ROOM_SECONDS, self._next)
        return True

    def _on_writable(self) -> None:
        sock = self._socket
        assert sock is not None
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not number:
            try:
                sock.getpeername()
            except OSError:  # what was reported was about another socket with this number
                return
            self._loop.watch(sock)
            self._socket = None
            self._stop()
            self._done(sock, None)
            return
        self._failed(number)

    def _on_timeout(self) -> None:
        self._failed(errno.ETIMEDOUT)

    def _failed(self, number: int) -> None:
        self._error = OSError(number, os.strerror(number))
        self._stop()
        self._next()


def dial_unix(loop: Loop, path: str, done: Dialed) -> None:
    """Connect to the Unix socket at `path`."""
    Dial(loop, [(socket.AF_UNIX, os.fsencode(path))], done)


def dial_tcp(loop: Loop, resolver: Resolver, host: str, port: int, family: str, done: Dialed) -> None:
    """Connect to `host`, whose name is looked up here. `family` is AddressFamily's value."""

    def found(addresses: tuple[str, ...], error: OSError | None) -> None:
        if error is not None:
            done(None, error)
            return
        places = []
        for address in addresses:
            try:
                places.append(socket_address(address, port))
            except OSError:
                continue
        Dial(loop, places, done)

    resolver.look_up(host, port, family, found)
