"""The way of a byte between a socket and a channel, in both directions.

From the socket: one `readv` fills the memory in which the packets are then sealed; nothing is read while the
channel's window is shut, or while the connection has enough to send. From the channel: all that came in one read
of the connection is written with one call, straight from where it was decrypted; what the socket does not take is
copied and kept, and the window, which opens only by what was written, bounds how much that can be.

The two directions end apart. The socket's end of file becomes the channel's EOF, the channel's EOF a shutdown for
writing once all is written; a socket that takes no more ends the writing, and what still comes is dropped. When
both have ended the channel is closed, and likewise when the socket is found to be reset: whoever holds on to the
other end hears of it, while ssh has it believe that only one half is over.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from time import monotonic

from pyssh_cli.client.connection import Connection
from pyssh_cli.log import Log, printable
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import string

MAX_PACKETS_A_READ = 16
"""Packets that one read of a socket may fill."""

FLUSH_AT = 64 * 1024
"""Bytes read at once that are sent on at once; less waits for what else is ready now."""

MAX_PIECES = 512
"""Buffers given to one writev; below the limit of every system."""

KEPT_SIZE = 64 * 1024
"""What waits is kept in pieces of about this size, however small the packets were that it came in."""

INSPECT_MAX = 64 * 1024
"""Bytes that `inspect` may ask to see before it says what is to become of them."""


class Relay:
    """One channel joined to one socket, or to two descriptors.

    `what` is for the log. Callbacks, all optional: `inspect` (see the package); `opened` and `refused` tell what
    became of `open`; `ended` is called once, when the channel is closed and nothing waits.
    """

    __slots__ = (
        "_asked_at", "_channels", "_connection", "_eof", "_first", "_gone", "_head", "_kept", "_log", "_loop",
        "_over", "_packets", "_pieces", "_read", "_reading", "_sink", "_socket", "_source", "_source_ended",
        "_turned_away", "_writing", "_written", "channel", "ended", "inspect", "lingers", "opened", "refused",
        "what",
    )  # fmt: skip

    def __init__(self, connection: Connection, loop: Loop, log: Log, what: str) -> None:
        self._connection = connection
        self._channels = connection.channels
        self._loop = loop
        self._log = log
        self.what = what
        self.channel: ch.Channel | None = None
        self.inspect: Callable[[bytes], bytes | None] | None = None
        self.opened: Callable[[], None] | None = None
        self.refused: Callable[[ch.OpenRefused], None] | None = None
        self.ended: Callable[[], None] | None = None
        self.lingers: float | None = None
        self._socket: socket.socket | None = None
        self._source = self._sink = -1
        self._read: Callable[[list[memoryview]], int] = _nothing
        self._asked_at = 0.0
        self._head = b""  # what a packet of data begins with
        self._first = b""  # to be sent down the channel before anything is read
        self._packets = 1  # how many the next read may fill
        self._reading = False
        self._writing = False
        self._turned_away = False
        self._source_ended = False  # nothing more will go down the channel
        self._eof = False  # nothing more will come up the channel
        self._gone = False  # the sink takes no more
        self._over = False
        self._pieces: list[memoryview] = []
        self._kept: deque[bytearray] = deque()
        self._written = 0  # of the first piece kept

    # Joining ----------------------------------------------------------------------------------------------------

    def connect(self, sock: socket.socket) -> None:
        """The socket's side: a connected one, from now on this relay's to close."""
        if self._over:
            sock.close()
            return
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # some systems say so when it has been reset already
                pass
        self._socket = sock
        self.connect_descriptors(sock.fileno(), sock.fileno())

    def connect_descriptors(self, source: int, sink: int) -> None:
        """The same for what is read from one descriptor and written to another; they are not closed."""
        self._source, self._sink = source, sink
        self._read = partial(os.readv, source)
        self._pump()
        self._watch_source()

    def open(self, kind: str, fields: bytes) -> None:
        """The channel's side: ask the server for one. The socket is not read before it is there."""
        self._asked_at = monotonic()
        self.channel = self._connection.open_channel(kind, fields, self, self._channels.first_window())
        self._log.debug1(f"channel {self.channel.local_id}: new {kind} [{self.what}]")

    def accept(self, request: ch.OpenRequested) -> None:
        """The channel's side: confirm the one that the server asks for."""
        self.channel = self._connection.accept_channel(request, self, self._channels.first_window())
        self._log.debug1(f"channel {self.channel.local_id}: new {request.kind} [{self.what}]")
        self._connection.flush_soon()
        self._begin()

    def say(self, data: bytes) -> None:
        """Send bytes of our own down the channel, before anything from the socket."""
        self._first += data
        self._send_first()

    def _begin(self) -> None:
        assert self.channel is not None
        self._head = self._channels.data_prefix(self.channel)
        self._send_first()
        self._watch_source()

    def _send_first(self) -> None:
        channel = self.channel
        if channel is None or not channel.open:
            return
        while self._first and channel.sendable:
            size = min(len(self._first), channel.sendable, channel.remote_max_packet)
            self._connection.transport.send(self._head, string(self._first[:size]))
            self._channels.now = monotonic()
            self._channels.sent(channel, size)
            self._first = self._first[size:]
            self._connection.flush_soon()

    # What the connection tells us -------------------------------------------------------------------------------

    def on_channel_event(self, event: ch.Event) -> None:
        kind = type(event)
        if type(event) is ch.Data:
            if event.stream == 0 and not self._gone:
                self._pieces.append(event.data)
            else:
                self._channels.consumed(event.channel, len(event.data), monotonic())
        elif kind is ch.WindowOpened:
            if self._first:
                self._send_first()
            self._watch_source()
        elif kind is ch.Eof:
            self._log.debug2(f"channel {self._number}: rcvd eof")
            self._eof = True
            self._finish_writing()
        elif kind is ch.Closed:
            self._log.debug2(f"channel {self._number}: rcvd close")
            self._eof = self._source_ended = True
            self._watch_source()
            self._finish_writing()
            self._check_over()
        elif isinstance(event, ch.Opened):
            if self._over:
                self._channels.close(event.channel)
                return
            self._channels.note_round_trip(monotonic() - self._asked_at)
            if self.opened:
                self.opened()
            self._begin()
        elif isinstance(event, ch.OpenRefused):
            self._on_refused(event)
        elif isinstance(event, ch.ChannelRequest) and event.want_reply:
            self._channels.reply(event.channel, False)

    @property
    def _number(self) -> int:
        return self.channel.local_id if self.channel else -1

    def _on_refused(self, event: ch.OpenRefused) -> None:
        reason = ch.OPEN_FAILURES.get(event.reason, "unknown reason")
        why = f": {printable(event.message)}" if event.message else ""
        from pyssh_cli.client.hints import channel_refused

        self._log.info(f"channel {self._number}: open failed: {reason}{why}{channel_refused(event, self.what)}")
        self.channel = None
        if self.refused:
            self.refused(event)
        self.abort()

    def may_send(self) -> None:
        self._turned_away = False
        self._watch_source()

    def timed_out(self, channel: ch.Channel) -> None:  # noqa: ARG002
        self.abort()

    def connection_ended(self) -> None:
        self.channel = None
        self.abort()

    # From the socket to the channel -----------------------------------------------------------------------------

    def _watch_source(self) -> None:
        """Watch the source exactly while there is a use for what it says."""
        channel = self.channel
        wanted = (
            self._source >= 0
            and not self._source_ended
            and not self._turned_away
            and not self._first
            and self.inspect is None
            and channel is not None
            and channel.sendable > 0
        )
        if wanted != self._reading:
            self._reading = wanted
            self._watch()

    def _watch(self) -> None:
        readable = self._on_readable if self._reading else None
        writable = self._pump if self._writing else None
        if self._source == self._sink:
            self._loop.watch(self._source, readable, writable)
        else:
            self._loop.watch(self._source, readable)
            self._loop.watch(self._sink, None, writable)

    def _on_readable(self) -> None:
        channel = self.channel
        connection = self._connection
        assert channel is not None
        if not connection.takes_data(self):
            self._turned_away = True
            self._watch_source()
            return
        size = min(channel.remote_max_packet, ch.MAX_PACKET)
        count = self._packets
        window = channel.remote_window
        if window < size * count:
            size = min(size, window)
            count = max(1, window // size)
        try:
            done = connection.transport.send_read(self._head, size, count, self._read)
        except BlockingIOError:
            return
        except OSError as error:
            self._log.debug2(f"channel {channel.local_id}: read failed: {error.strerror}")
            if self._socket is not None:
                self.abort()
                return
            done = 0
        if not done:
            self._end_source()
            return
        self._packets = min(MAX_PACKETS_A_READ, 2 * count) if done == size * count else max(1, count // 2)
        self._channels.now = monotonic()
        self._channels.sent(channel, done)
        if done >= FLUSH_AT:
            connection.flush()
        else:
            connection.flush_soon()
        if done == window:
            self._watch_source()

    def _end_source(self) -> None:
        self._source_ended = True
        self._watch_source()
        if self.channel:
            self._log.debug2(f"channel {self._number}: send eof")
            self._channels.eof(self.channel)
            self._connection.flush_soon()
        self._check_over()

    # From the channel to the socket -----------------------------------------------------------------------------

    def batch_done(self) -> None:
        pieces = self._pieces
        if not pieces:
            return
        self._pieces = []
        if self.inspect is not None or self._sink < 0 or self._kept:
            self._keep(pieces)
            if self.inspect is not None:
                self._show()
        else:
            self._write(pieces)
        if self._eof or self._gone:
            self._finish_writing()

    def _write(self, pieces: list[memoryview]) -> None:
        """Write what the sink takes now, and keep the rest."""
        total = sum(map(len, pieces))
        written = self._write_some(pieces)
        if written < total and not self._gone:
            left = written
            for index, piece in enumerate(pieces):
                if left < len(piece):
                    self._keep([piece[left:], *pieces[index + 1 :]])
                    break
                left -= len(piece)
            self._writing = True
            self._watch()
        else:
            written = total
        self._consumed(written)

    def _write_some(self, pieces: list[memoryview]) -> int:
        try:
            if len(pieces) == 1:
                return os.write(self._sink, pieces[0])
            return os.writev(self._sink, pieces[:MAX_PIECES])
        except BlockingIOError:
            return 0
        except OSError as error:
            self._log.debug2(f"channel {self._number}: write failed: {error.strerror}")
            self._gone = True
            return 0

    def _consumed(self, count: int) -> None:
        if self.channel and count:
            self._channels.consumed(self.channel, count, monotonic())

    def _keep(self, pieces: list[memoryview]) -> None:
        kept = self._kept
        for piece in pieces:
            if not kept or len(kept[-1]) + len(piece) > KEPT_SIZE:
                kept.append(bytearray(piece))
            else:
                kept[-1] += piece

    def _show(self) -> None:
        """Have `inspect` look at what came so far."""
        seen = b"".join(self._kept)
        assert self.inspect is not None
        passed = self.inspect(seen)
        if self._over:
            return
        if passed is None:
            if len(seen) > INSPECT_MAX or self._eof:
                self.abort()
            return
        self.inspect = None
        self._kept.clear()
        self._consumed(max(0, len(seen) - len(passed)))
        if passed:
            self._kept.append(bytearray(passed))
        self._pump()
        self._watch_source()

    def _pump(self) -> None:
        """Write what was kept."""
        if self._sink < 0 or self.inspect is not None:
            return
        count = 0
        if self._kept:
            first = memoryview(self._kept[0])[self._written :]
            rest = [memoryview(piece) for piece in islice(self._kept, 1, MAX_PIECES)]
            count = self._write_some([first, *rest])
            del first, rest  # a piece that is looked at cannot grow
            if self._gone:
                count = sum(map(len, self._kept)) - self._written
            self._written += count
            while self._kept and self._written >= len(self._kept[0]):
                self._written -= len(self._kept.popleft())
        waits = bool(self._kept)
        if waits != self._writing:
            self._writing = waits
            self._watch()
        if count:
            self._consumed(count)
            self._connection.flush_soon()
        self._finish_writing()

    def _finish_writing(self) -> None:
        """Once all that came is written, and no more will come, the sink hears so."""
        if self._gone:
            self._check_over()
            return
        if self._eof and self.inspect is not None and not self._pieces:
            self.abort()  # it ended before it has said what it wants
            return
        if not self._eof or self._kept or self._pieces or self._sink < 0 or self.inspect is not None:
            return
        self._gone = True
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        else:
            _end_output(self._sink)
        self._check_over()
        if self.lingers is not None and not self._over:
            self._loop.call_at(monotonic() + self.lingers, self.abort)

    # The end ----------------------------------------------------------------------------------------------------

    def _check_over(self) -> None:
        """Close what is done with: the channel when both directions have ended, then the socket."""
        if self._over:
            return
        if self._source_ended and self._gone:
            self.abort()
        elif self._source_ended and self.channel and self.channel.close_received:
            self._connection.draining.add(self)  # not the connection's any more, but bytes wait to be written

    def abort(self) -> None:
        """Close the channel and the socket now, whatever waits."""
        if self._over:
            return
        self._over = True
        channel = self.channel
        if self._source >= 0:
            self._reading = self._writing = False
            self._watch()
        if channel:
            self._log.debug1(f"channel {channel.local_id}: free: {self.what}")
            self._channels.close(channel)
            self._connection.flush_soon()
        self._gone = self._source_ended = True
        self._kept.clear()
        self._pieces = []
        if self._socket is not None:
            self._socket.close()
        self._source = self._sink = -1
        self._read = _nothing
        self._connection.draining.discard(self)
        if self.ended:
            self.ended()


def _nothing(_views: list[memoryview]) -> int:
    return 0


def _end_output(fd: int) -> None:
    """Let whoever reads what we wrote to `fd` see its end, and leave the number taken."""
    try:
        copy = socket.socket(fileno=os.dup(fd))
    except OSError:
        pass
    else:
        with copy:
            try:
                copy.shutdown(socket.SHUT_WR)
            except OSError:
                pass
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)
