"""The socket under one transport: what it delivers goes in, sealed packets go out, and who was turned away for
want of room hears when there is some again. What any of it means is for `connection`."""

from __future__ import annotations

import socket
from collections.abc import Callable

from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol.transport import Transport

HIGH_WATER = 1024 * 1024
"""Bytes waiting for the socket above which nobody should give us more to send."""

FLOOD = 8 * HIGH_WATER
"""Bytes waiting for the socket above which nothing is read: a server that asks and asks and never listens."""


class Link:
    """A connected, non-blocking socket.

    `received` is called when the transport has been given bytes; `ended` with the error, or None, when no more
    will come; `room`, never from inside another call, when `takes_data` was False and is True again.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        transport: Transport,
        received: Callable[[], None],
        ended: Callable[[OSError | None], None],
        room: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._transport = transport
        self._received = received
        self._ended = ended
        self._room = room
        self._turned_away = False
        self._deaf = False  # the peer takes no more; what it said before is still read
        self._closed = False
        self._watched = (False, False)

    def takes_data(self) -> bool:
        """Whether bulk data should be handed to the transport now; if not, `room` is called when it should."""
        takes = self._has_room()
        if not takes:
            self._turned_away = True
        return takes

    def _has_room(self) -> bool:
        return self._transport.can_send and len(self._transport.outgoing) < HIGH_WATER

    def flush(self) -> None:
        """Give the socket what is waiting; what it does not take goes when it can."""
        outgoing = self._transport.outgoing
        if len(outgoing) and not self._closed:
            try:
                outgoing.sent(len(outgoing) if self._deaf else self._socket.send(outgoing.unsent()))
            except BlockingIOError:
                pass
            except OSError:
                self._deaf = True
                outgoing.sent(len(outgoing))
        if self._turned_away and self._has_room():
            self._turned_away = False
            self._loop.call_soon(self._room)
        self._watch()

    def _watch(self) -> None:
        if self._closed:
            return
        waiting = len(self._transport.outgoing)
        wanted = waiting < FLOOD, waiting > 0
        if wanted != self._watched:
            self._watched = reading, writing = wanted
            self._loop.watch(self._socket, self._on_readable if reading else None, self.flush if writing else None)

    def _on_readable(self) -> None:
        try:
            count = self._socket.recv_into(self._transport.receive_room())
        except BlockingIOError:
            return
        except OSError as error:
            self.stop()
            self._ended(error)
            return
        if not count:
            self.stop()
            self._ended(None)
            return
        self._transport.received(count)
        self._received()

    def stop(self) -> None:
        """Neither read nor write any more."""
        if not self._closed:
            self._closed = True
            self._loop.watch(self._socket)

    def close(self) -> None:
        """Make a last try to send what is waiting, without waiting for it, and give the socket back."""
        outgoing = self._transport.outgoing
        if len(outgoing) and not self._deaf:
            try:
                outgoing.sent(self._socket.send(outgoing.unsent()))
            except OSError:
                pass
        self.stop()
        self._socket.close()
