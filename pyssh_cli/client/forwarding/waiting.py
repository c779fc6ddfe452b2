"""Those who connect to our listeners while the connection is lost: they wait for the next (Reconnect)."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic

from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop, Timer

MOST = 128
"""Clients that wait at once; more are hung up on."""

PATIENCE = 60.0
"""Seconds that one waits before it is hung up on: most clients have given up by then."""


class WaitingRoom:
    """Clients of ours, on sockets that do not block, connected and not served yet."""

    def __init__(self, loop: Loop, log: Log) -> None:
        self._loop = loop
        self._log = log
        self._waiting: dict[socket.socket, tuple[Callable[[], None], Timer]] = {}

    def add(self, sock: socket.socket, serve: Callable[[], None]) -> None:
        """Let a client wait until `serve` may be called for it."""
        if len(self._waiting) >= MOST:
            self._log.debug1("too many wait for the connection: hanging up on one")
            sock.close()
            return
        timer = self._loop.call_at(monotonic() + PATIENCE, partial(self._on_timeout, sock))
        self._waiting[sock] = serve, timer

    def _on_timeout(self, sock: socket.socket) -> None:
        self._log.debug1("the connection did not come back in time: hanging up on one who waits for it")
        del self._waiting[sock]
        sock.close()

    def serve_all(self) -> None:
        """There is a connection: serve those who are still there."""
        for sock, serve in self._leaving():
            if _has_gone(sock):
                sock.close()
            else:
                serve()

    def close(self) -> None:
        """Hang up on all."""
        for sock, _ in self._leaving():
            sock.close()

    def _leaving(self) -> list[tuple[socket.socket, Callable[[], None]]]:
        waiting, self._waiting = self._waiting, {}
        for _, timer in waiting.values():
            timer.cancel()
        return [(sock, serve) for sock, (serve, _) in waiting.items()]


def _has_gone(sock: socket.socket) -> bool:
    """Whether the client has reset the connection, or closed it without having left anything to be read.

    One that has ended only its own half still listens for an answer, and has not gone. A Unix socket tells it from
    one that has closed. With TCP both have sent the same FIN, and both are served: an answer to nobody is reset.
    """
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return True
    poll = select.poll()
    poll.register(sock, select.POLLOUT)  # POLLIN would have macOS report half a hang-up as a whole one
    if not any(events & select.POLLHUP for _, events in poll.poll(0)):
        return False
    try:
        return not sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
