"""A TCP relay that delays: every byte arrives a fixed time after it was sent, however many are under way.

It stands for a long path without a limit of its own: what a program loses through it, it loses to round trips
and to its windows. Run as a script: `relay.py MILLISECONDS TARGET_PORT` relays a free port of 127.0.0.1, whose
number it prints, to TARGET_PORT, each way later by MILLISECONDS, until it is killed.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time
from collections import deque

_CHUNK = 1 << 20
_SOCKET_BUFFER = 8 << 20


class _Way:
    """One direction of one connection: read from `source` at once, written to `sink` when due."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.under_way: deque[tuple[float, memoryview]] = deque()
        """When each piece is due, and its bytes; an empty piece is the end."""
        self.ended = False
        self.blocked = False

    def take(self, delay: float) -> None:
        """Read what has arrived; an error ends the direction like a proper end."""
        try:
            data = self.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.ended = not data
        self.under_way.append((time.monotonic() + delay, memoryview(data)))

    def give(self, now: float) -> None:
        """Write all that is due; raises OSError when the receiver has gone."""
        self.blocked = False
        while self.under_way and self.under_way[0][0] <= now:
            due, data = self.under_way[0]
            if not data:
                self.under_way.popleft()
                self.sink.shutdown(socket.SHUT_WR)
                continue
            try:
                sent = self.sink.send(data)
            except BlockingIOError:
                self.blocked = True
                return
            if sent < len(data):
                self.under_way[0] = (due, data[sent:])
            else:
                self.under_way.popleft()

    @property
    def finished(self) -> bool:
        """Whether the end has been passed on."""
        return self.ended and not self.under_way


class Relay:
    """Relays connections to `target_port`, each byte `delay` seconds later, in one thread."""

    def __init__(self, delay: float, target_port: int) -> None:
        self._delay = delay
        self._target_port = target_port
        self._listener = _listener()
        self.port: int = self._listener.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._sources: dict[int, _Way] = {}
        self._sinks: dict[int, _Way] = {}
        self._arrivals: deque[tuple[float, socket.socket]] = deque()
        """Connections whose beginning is still on its way to the target."""

    def serve(self) -> None:
        """Relay for ever."""
        while True:
            for fd, events in self._poll.poll(self._until_due()):
                if fd == self._listener.fileno():
                    self._accept()
                    continue
                way = self._sources.get(fd)
                if way and not way.ended and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    way.take(self._delay)
                    if way.ended:
                        self._watch(fd)
                if fd in self._sinks:
                    self._sinks[fd].blocked = False
            self._deliver()

    def _until_due(self) -> float:
        """Seconds until the next piece or beginning is due, -1 for none."""
        due = [way.under_way[0][0] for way in self._sources.values() if way.under_way and not way.blocked]
        if self._arrivals:
            due.append(self._arrivals[0][0])
        return max(min(due) - time.monotonic(), 0) if due else -1

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        self._arrivals.append((time.monotonic() + 2 * self._delay, near))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._arrivals and self._arrivals[0][0] <= now:
            self._connect(self._arrivals.popleft()[1])
        for way in list(self._sources.values()):
            if way.under_way and not way.blocked:
                was_blocked = way.blocked
                try:
                    way.give(now)
                except OSError:
                    self._close(way)
                    continue
                if way.blocked != was_blocked:
                    self._watch(way.sink.fileno())
            if way.finished and self._sources[way.sink.fileno()].finished:
                self._close(way)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            way = _Way(one, other)
            self._sources[one.fileno()] = way
            self._sinks[other.fileno()] = way
        for one in (near, far):
            self._poll.register(one.fileno(), 0)
            self._watch(one.fileno())

    def _watch(self, fd: int) -> None:
        """Wait for what the connection's two directions want of this socket."""
        reads = select.EPOLLIN if not self._sources[fd].ended else 0
        writes = select.EPOLLOUT if self._sinks[fd].blocked else 0
        self._poll.modify(fd, reads | writes)

    def _close(self, way: _Way) -> None:
        for one in (way.source, way.sink):
            with contextlib.suppress(OSError):
                self._poll.unregister(one.fileno())
            self._sources.pop(one.fileno(), None)
            self._sinks.pop(one.fileno(), None)
        way.source.close()
        way.sink.close()


def _listener() -> socket.socket:
    listener = socket.socket()
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        listener.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    return listener


if __name__ == "__main__":
    relay = Relay(int(sys.argv[1]) / 1000, int(sys.argv[2]))
    print(relay.port, flush=True)
    relay.serve()
