"""What is between one transport and what carries its bytes: what arrives goes in, sealed packets go out, and who
was turned away for want of room hears when there is some again. What any of it means is for `connection`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol.transport import Transport

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # typing's costs a tenth of a millisecond for each class

HIGH_WATER = 1024 * 1024
"""Bytes waiting for the carrier above which nobody should give us more to send."""

FLOOD = 8 * HIGH_WATER
"""Bytes waiting for the carrier above which nothing is read: a server that asks and asks and never listens."""


class Carrier(Protocol):
    """What carries the bytes of a connection: a socket (`net.tcp`), the pipes of a ProxyCommand (`net.process`),
    or a channel of another connection (`jump`)."""

    address: str
    """The server's address, numeric; empty where only a proxy knows it."""
    peer: str
    """What messages call the server."""

    @property
    def socket(self) -> socket.socket | None:
        """The TCP socket, where it is one."""

    @property
    def hint(self) -> str:
        """What may be the reason when the server hangs up before it has said anything, in parentheses."""

    def send(self, data: memoryview, /) -> int:
        """How many of these bytes it takes now. Raises BlockingIOError for none, OSError when it never will."""

    def recv_into(self, room: memoryview, /) -> int:
        """Put what has come into `room`; how many bytes, 0 at the end. Raises BlockingIOError, OSError."""

    def watch(self, readable: Callable[[], None] | None, writable: Callable[[], None] | None) -> None:
        """Call back whenever one of the two above would do something; None for neither stops that."""

    def close(self) -> None:
        """Give it back."""


class Link:
    """The bytes of one transport on its carrier.

    `received` is called when the transport has been given bytes; `ended` with the error, or None, when no more
    will come; `room`, never from inside another call, when `takes_data` was False and is True again.
    """

    def __init__(
        self,
        loop: Loop,
        carrier: Carrier,
        transport: Transport,
        received: Callable[[], None],
        ended: Callable[[OSError | None], None],
        room: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._carrier = carrier
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
        """Give the carrier what is waiting; what it does not take goes when it can."""
        outgoing = self._transport.outgoing
        if len(outgoing) and not self._closed:
            try:
                outgoing.sent(len(outgoing) if self._deaf else self._carrier.send(outgoing.unsent()))
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
            self._carrier.watch(self._on_readable if reading else None, self.flush if writing else None)

    def _on_readable(self) -> None:
        try:
            count = self._carrier.recv_into(self._transport.receive_room())
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
            self._carrier.watch(None, None)

    def close(self) -> None:
        """Make a last try to send what is waiting, without waiting for it, and give the carrier back."""
        outgoing = self._transport.outgoing
        if len(outgoing) and not self._deaf:
            try:
                outgoing.sent(self._carrier.send(outgoing.unsent()))
            except OSError:
                pass
        self.stop()
        self._carrier.close()


def acknowledger(carrier: Carrier) -> Callable[[], None] | None:
    """What has the kernel acknowledge what has come so far, where it can be told to; None where not.

    For forwarded connections: sshd sends the last bytes of one and its end as two packets, the second of which
    waits in the server's kernel (Nagle's algorithm) until the first is acknowledged; ours puts that off for 40 ms.
    """
    sock = carrier.socket
    option = getattr(socket, "TCP_QUICKACK", None)
    if sock is None or option is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return None

    def acknowledge() -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, option, 1)
        except OSError:  # the connection is gone; whoever reads it will see
            pass

    return acknowledge
