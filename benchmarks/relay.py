"""A TCP relay that delays: every byte arrives a fixed time after it was sent, however many are under way.

It stands for a long path without a limit of its own: what a program loses through it, it loses to round trips
and to its windows. Run as a script: `relay.py MILLISECONDS TARGET_PORT` relays a free port of 127.0.0.1, whose
number it prints, to TARGET_PORT, each way later by MILLISECONDS, until it is killed.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque

_CHUNK = 1 << 20


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
    """Relays connections to `target_port`, each byte `delay` seconds later, in one thread.

    Connecting itself is not delayed: the kernel answers for the relay.
    """

    def __init__(self, delay: float, target_port: int) -> None:
        self._delay = delay
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._from: dict[int, _Way] = {}
        self._to: dict[int, _Way] = {}
        self._watched: dict[int, int] = {}

    def serve(self) -> None:
        """Relay for ever."""
        while True:
            for fd, events in self._poll.poll(self._until_due()):
                if fd == self._listener.fileno():
                    self._accept()
                elif events & select.EPOLLOUT:
                    self._to[fd].blocked = False
                if events & ~select.EPOLLOUT and fd in self._from and not self._from[fd].ended:
                    self._from[fd].take(self._delay)
            now = time.monotonic()
            for way in list(self._from.values()):
                if way.source.fileno() in self._from:  # its other direction may have ended the connection
                    self._deliver(way, now)

    def _until_due(self) -> float:
        """Seconds until the next piece is due, -1 for none."""
        due = [way.under_way[0][0] for way in self._from.values() if way.under_way and not way.blocked]
        return max(min(due) - time.monotonic(), 0) if due else -1

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target_port))
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._from[one.fileno()] = self._to[other.fileno()] = _Way(one, other)
            self._watched[one.fileno()] = select.EPOLLIN
            self._poll.register(one.fileno(), select.EPOLLIN)

    def _deliver(self, way: _Way, now: float) -> None:
        try:
            if not way.blocked:
                way.give(now)
        except OSError:
            self._close(way)
            return
        if way.finished and self._from[way.sink.fileno()].finished:
            self._close(way)
            return
        for fd in (way.source.fileno(), way.sink.fileno()):
            wanted = 0 if self._from[fd].ended else select.EPOLLIN
            wanted |= select.EPOLLOUT if self._to[fd].blocked else 0
            if wanted != self._watched[fd]:
                self._poll.modify(fd, wanted)
                self._watched[fd] = wanted

    def _close(self, way: _Way) -> None:
        for one in (way.source, way.sink):
            fd = one.fileno()
            del self._from[fd], self._to[fd], self._watched[fd]
            self._poll.unregister(fd)
            one.close()


if __name__ == "__main__":
    relay = Relay(int(sys.argv[1]) / 1000, int(sys.argv[2]))
    print(relay.port, flush=True)
    relay.serve()
