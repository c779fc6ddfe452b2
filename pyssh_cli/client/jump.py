"""ProxyJump's connections: each inside a channel of the one before, in one process. `way` tells which they are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from pyssh_cli.client.connection import Connection
from pyssh_cli.client.way import Leg, Patience
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log, printable
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol.version import is_openssh
from pyssh_cli.terminal.questions import Questions
from pyssh_cli.wire import text, uint32

ORIGINATOR = ("127.0.0.1", 65535)
"""Where we say that the forwarded connection comes from (RFC 4254 section 7.2): what ssh says of none."""


class HopQuestions(Questions):
    """A hop's questions. Those that do not name its host say which hop asks; what answers take is given back to
    ConnectTimeout."""

    def __init__(self, log: Log, options: Options, patience: Patience) -> None:
        super().__init__(log, options.batch_mode)
        self._options = options
        self._patience = patience

    def _ask(self, prompt: str, *, echo: bool, fresh: bool, hint: str = "") -> str | None:
        o = self._options
        if f"@{o.hostname}" not in prompt and not prompt.startswith("The authenticity of host"):
            prompt = f"({o.original_host}) {prompt}"
        before = monotonic()
        try:
            return super()._ask(prompt, echo=echo, fresh=fresh, hint=hint)
        finally:
            self._patience.more(monotonic() - before)


class JumpChannel:
    """The channel of the connection `by` that leads on to `target`: it owns the channel there, and carries the
    connection inside. Everything that arrives at once is handed over at once; the window is given back as it is
    taken."""

    socket = None
    address = ""
    hint = " (it may refuse us, or be too busy: see its log)"

    def __init__(self, loop: Loop, by: Connection, hop: Leg, target: Options) -> None:
        self._loop = loop
        self._by = by
        self._channels = by.channels
        self._hop = hop
        self._target = f"{target.hostname} port {target.port}"
        self.peer = f"{self._target} by way of {hop.name}"
        where, port = ORIGINATOR
        self._fields = text(target.hostname) + uint32(target.port) + text(where) + uint32(port)
        self._channel: ch.Channel | None = None
        self._opened_early = False
        self._asked_at = 0.0
        self._pieces: deque[memoryview] = deque()
        self._ended = False
        self._readable: Callable[[], None] | None = None
        self._writable: Callable[[], None] | None = None

    # The owner of the channel -----------------------------------------------------------------------------------

    def open_early(self) -> None:
        self._open()
        self._opened_early = True

    def authenticated(self) -> None:
        options = self._hop.options
        if options.local_command is not None and options.permit_local_command:
            from pyssh_cli.client.local_command import run_local_command

            run_local_command(options, self._hop.log, apart=True)
        if not self._opened_early:
            self._open()

    def early_open_refused(self) -> None:
        self._opened_early = False

    def _open(self) -> None:
        if self._channel is None:
            self._hop.log.debug1(f"channel 0: new direct-tcpip to {self._target}")
            self._channel = self._by.open_channel("direct-tcpip", self._fields, self)
        else:
            self._channels.open_again(self._channel, self._fields)

    def on_channel_event(self, event: ch.Event) -> None:
        if isinstance(event, ch.Data):
            if event.stream == 0:
                self._pieces.append(event.data)
            else:  # no such thing in a forwarded connection
                self._channels.consumed(event.channel, len(event.data), monotonic())
        elif isinstance(event, ch.WindowOpened):
            self.may_send()
        elif isinstance(event, ch.Opened):
            self._begin()
        elif isinstance(event, ch.OpenRefused):
            raise self._refused(event)
        elif isinstance(event, ch.Eof | ch.Closed):
            self._end()
        elif isinstance(event, ch.ChannelRequest) and event.want_reply:
            self._channels.reply(event.channel, False)

    def _begin(self) -> None:
        """The channel leads to the next host: what the connection inside has to say first goes out at once."""
        self._hop.log.debug1(f"channel 0: connected to {self._target}")
        if is_openssh(self._by.transport.server_version):
            self._asked_at = monotonic()
            self._by.global_request("no-more-sessions@openssh.com", answered=self._note_round_trip)
        self.may_send()

    def _note_round_trip(self, _success: bool, _fields: bytes) -> None:
        self._channels.round_trip = monotonic() - self._asked_at

    def _refused(self, event: ch.OpenRefused) -> NetworkError:
        """ssh's two lines, and who has refused what."""
        reason = ch.OPEN_FAILURES.get(event.reason, "unknown reason")
        if event.reason == 1:
            advice = (
                f"{self._hop.name} does not let us connect to {self._target}: its sshd_config has the say,"
                " by AllowTcpForwarding and PermitOpen"
            )
        else:
            advice = f"{self._hop.name} cannot connect to {self._target}, which it looks up and reaches by itself"
        return NetworkError(
            f"channel 0: open failed: {reason}: {printable(event.message)}\nstdio forwarding failed ({advice})"
        )

    def batch_done(self) -> None:
        """Hand over what has come. What the connection inside does not take now is kept, for the window bounds it,
        but as a copy: the views go stale."""
        self._deliver()
        if self._pieces:  # only what is a view into the buffer of the connection around us can be written to
            kept = (piece if piece.readonly else memoryview(bytes(piece)) for piece in self._pieces)
            self._pieces = deque(kept)

    def _deliver(self) -> None:
        while self._readable and (self._pieces or self._ended):
            self._readable()

    def _deliver_soon(self) -> None:
        """Not from inside this call."""
        self._loop.call_soon(self._deliver)

    def may_send(self) -> None:
        if self._writable:
            self._writable()

    def is_over(self) -> bool:
        return self._ended

    def timed_out(self, channel: ch.Channel) -> None:
        self._channels.close(channel)
        self._end()

    def connection_ended(self) -> None:
        self._end()

    def _end(self) -> None:
        """Nothing more comes. The connection inside hears of it when all that came before has been dealt with."""
        self._ended = True
        self._deliver_soon()

    # The carrier of the connection inside -----------------------------------------------------------------------

    def send(self, data: memoryview) -> int:
        """Put into the channel what it and the connection around it take now."""
        channel = self._channel
        if self._ended:
            raise BrokenPipeError
        if channel is None or not channel.sendable or not self._by.takes_data(self):
            raise BlockingIOError
        prefix = self._channels.data_prefix(channel)
        done = 0
        while done < len(data) and channel.sendable and self._by.takes_data(self):
            size = min(len(data) - done, channel.sendable, channel.remote_max_packet, ch.MAX_PACKET)
            self._by.transport.send(prefix, uint32(size), data[done : done + size])
            self._channels.sent(channel, size)
            done += size
        self._by.flush()
        return done

    def recv_into(self, room: memoryview) -> int:
        """Copy what has come, and grant the sender as much again."""
        done = 0
        while self._pieces and done < len(room):
            piece = self._pieces.popleft()
            size = min(len(piece), len(room) - done)
            room[done : done + size] = piece[:size]
            if size < len(piece):
                self._pieces.appendleft(piece[size:])
            done += size
        if done:
            assert self._channel is not None
            self._channels.consumed(self._channel, done, monotonic())
            self._by.flush_soon()
        elif not self._ended:
            raise BlockingIOError
        return done

    def watch(self, readable: Callable[[], None] | None, writable: Callable[[], None] | None) -> None:
        """Whom to call when something has come, and when there is room."""
        self._readable, self._writable = readable, writable
        if readable and (self._pieces or self._ended):
            self._deliver_soon()

    def close(self) -> None:
        """Close the channel; the connection around it stays."""
        self._readable = self._writable = None
        if self._channel is not None and not self._ended:
            self._channels.close(self._channel)
            self._by.flush()
