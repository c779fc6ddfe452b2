"""Unix sockets of services that take framed requests, such as the agent: one question without waiting for it."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from time import monotonic

from pyssh_cli.net.loop import Loop

Answered = Callable[[bytes | None, str], None]
"""Told the body of the answer; or None and why there is none."""


def listens(path: str) -> bool:
    """Whether anybody takes connections at the Unix socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            return probe.connect_ex(os.fsencode(path)) in {0, errno.EAGAIN, errno.EINPROGRESS}
        except (OSError, ValueError):  # a path that no socket can have
            return False


class Exchange:
    """Sends `request`, whose length goes before it, on a connected socket, and reads one answer, not a byte more.

    `answered` is called once, within `seconds`; the socket is not watched any more then, and is the caller's to
    close. An answer longer than `most` bytes is none.
    """

    def __init__(
        self, loop: Loop, sock: socket.socket, request: bytes, seconds: float, most: int, answered: Answered
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._unsent = len(request).to_bytes(4, "big") + request
        self._most = most
        self._answered = answered
        self._received = bytearray()
        sock.setblocking(False)
        self._timer = loop.call_at(monotonic() + seconds, self._on_timeout)
        loop.watch(sock, None, self._on_writable)

    def _on_timeout(self) -> None:
        self._end(None, "it does not answer in time")

    def _on_writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(None, error.strerror or str(error))
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.watch(self._socket, self._on_readable)

    def _on_readable(self) -> None:
        wanted = 4 if len(self._received) < 4 else 4 + self._length()
        try:
            data = self._socket.recv(wanted - len(self._received))
        except BlockingIOError:
            return
        except OSError as error:
            self._end(None, error.strerror or str(error))
            return
        if not data:
            self._end(None, "it hangs up")
            return
        self._received += data
        if len(self._received) < 4:
            return
        length = self._length()
        if not 0 < length <= self._most:
            self._end(None, f"it answers with {length} bytes, which cannot be")
        elif len(self._received) == 4 + length:
            self._end(bytes(self._received[4:]), "")

    def _length(self) -> int:
        return int.from_bytes(self._received[:4], "big")

    def _end(self, body: bytes | None, why: str) -> None:
        self._timer.cancel()
        self._loop.watch(self._socket)
        self._answered(body, why)
