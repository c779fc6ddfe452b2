"""A session channel: a command, a subsystem or a shell, joined to our standard streams (RFC 4254 section 6)."""

from __future__ import annotations

import os
import stat
import termios
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.connection import Connection
from pyssh_cli.client.output import Output
from pyssh_cli.client.session_request import (
    purpose_of,
    request_program,
    request_pty,
    terminal_type,
    wants_tty,
)
from pyssh_cli.config.options import Options
from pyssh_cli.errors import PysshError
from pyssh_cli.log import NEVER, Log, printable
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol.messages import EXTENDED_DATA_STDERR
from pyssh_cli.terminal.escapes import Escape, EscapeFilter
from pyssh_cli.terminal.raw import RawMode, await_foreground, in_background, window_size
from pyssh_cli.wire import Reader, string, uint32

if TYPE_CHECKING:
    from pyssh_cli.client.command_line import ForwardControl
    from pyssh_cli.client.escape_keys import EscapeKeys
    from pyssh_cli.client.keystrokes import ObscuredTyping
    from pyssh_cli.client.recording import Recording

STDIN, STDOUT, STDERR = 0, 1, 2

TYPED_SIZE = 16 * 1024
"""Bytes read from a terminal at once."""

TYPED_AHEAD = 64 * 1024
"""Bytes typed that may wait until the connection takes them; then nothing more is read, and no escape heard."""

TTY_WINDOW = 64 * 1024
"""Bytes of output that may be on their way to a terminal: what stops a flood stops it when they are shown."""

TTY_MAX_WINDOW = 1024 * 1024
"""How far that may widen while the terminal keeps up, on a long path; what OpenSSH grants."""

MAX_PACKETS_A_READ = 16
"""Packets that one read of stdin may fill."""

FAILURE = 255
"""ssh's exit status when something of its own went wrong, or the command was ended by a signal."""


class Session:
    """One session on `connection`. `finished` once its channel is closed and all output is written."""

    def __init__(self, options: Options, log: Log, loop: Loop, connection: Connection) -> None:
        self.options = self._options = options
        self.log = self._log = log
        self.loop = self._loop = loop
        self.connection = self._connection = connection
        self._channels = connection.channels
        self._channel: ch.Channel | None = None
        self._opened_early = False
        self.tty = self._asked_for_tty = wants_tty(options, log)
        self.raw = self._raw = RawMode(STDIN, log)
        self._escapes = EscapeFilter(options.escape_char if self.tty else None)
        self._escape_keys: EscapeKeys | None = None
        self._typing: ObscuredTyping | None = None
        self._recording: Recording | None = None
        self._outputs: dict[int, Output] = {}
        self._pieces: dict[int, list[memoryview]] = {}
        self._exit_status: int | None = None
        self._closed = False
        self._started = False
        self._stdin_watched = False
        self._stdin_ended = False
        self._stdin_blocking = True
        self._typed = b""
        self._packets_a_read = 1
        self._asked_at = 0.0
        self._size_told = (0, 0, 0, 0)
        self.ended_by_user = False
        self._timed_out = False

    @property
    def channel(self) -> ch.Channel:
        """The session's channel, once it has been asked for."""
        assert self._channel is not None
        return self._channel

    @property
    def forwards(self) -> ForwardControl:
        """What the command line of `~C` makes and ends forwards with."""
        return self._connection.forwards

    def leave_terminal(self) -> None:
        """Leave the terminal as it was found."""
        self.raw.leave()

    # What the connection tells us -------------------------------------------------------------------------------

    def open_early(self) -> None:
        if self._options.session_type != "none":
            self._open()
            self._opened_early = True

    def authenticated(self) -> None:
        if self._options.session_type != "none" and not self._opened_early:
            self._open()

    def early_open_refused(self) -> None:
        self._opened_early = False

    def _open(self) -> None:
        if self._channel is None:
            self._log.debug1("channel 0: new session [client-session]")
            windows = (TTY_WINDOW, TTY_MAX_WINDOW) if self.tty else (ch.INITIAL_WINDOW, ch.MAX_WINDOW)
            self._channel = self._connection.open_channel("session", b"", self, *windows)
            self._channel.told = "client-session"
            self._channel.purpose = purpose_of(self._options)
            self._channel.interactive = self.tty
        else:
            self._channels.open_again(self._channel)

    def on_channel_event(self, event: ch.Event) -> None:
        if isinstance(event, ch.Data):
            self._pieces.setdefault(event.stream, []).append(event.data)
        elif isinstance(event, ch.WindowOpened):
            self.may_send()
        elif isinstance(event, ch.Opened):
            self._begin()
        elif isinstance(event, ch.RequestAnswered):
            self._on_answer(event)
        elif isinstance(event, ch.ChannelRequest):
            self._on_request(event)
        elif isinstance(event, ch.OpenRefused):
            reason = ch.OPEN_FAILURES.get(event.reason, "unknown reason")
            from pyssh_cli.client.hints import NO_SESSION

            raise PysshError(f"channel 0: open failed: {reason}: {printable(event.message)}{NO_SESSION}")
        elif isinstance(event, ch.Eof):
            self._log.debug2("channel 0: rcvd eof")
        elif isinstance(event, ch.Closed):
            self._log.debug2("channel 0: rcvd close")
            self._closed = True
            self._watch_stdin(False)

    def batch_done(self) -> None:
        if not self._pieces:
            return
        channel = self._channel
        assert channel is not None
        pieces, self._pieces = self._pieces, {}
        for stream, views in pieces.items():
            output = self._output(stream)
            written = output.write(views) if output else sum(map(len, views))
            if self._recording and output:
                self._recording.output(views)
            self._channels.consumed(channel, written, monotonic())

    def may_send(self) -> None:
        if self._typed:
            self._send_typed(b"")
            if self._stdin_ended:
                self._end_input()
        self._watch_stdin(True)

    # Starting what is to run ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """The channel is open: ask for everything at once; the replies come in order."""
        o, channel = self._options, self._channel
        assert channel is not None
        self._asked_at = monotonic()
        if self._speaks_openssh():
            self._log.debug1("Requesting no-more-sessions@openssh.com")
            self._connection.global_request("no-more-sessions@openssh.com", answered=self._on_global_answer)
        if o.forward_x11 or o.forward_agent:
            from pyssh_cli.client.forwarding.start import ask_with_session

            ask_with_session(o, self._log, self._loop, self._connection, channel)
        if self.tty:
            if not o.stdin_null:
                self._await_foreground()
            self._size_told = request_pty(o, self._channels, channel)
        request_program(o, self._log, self._channels, channel)

    @staticmethod
    def _await_foreground() -> None:
        """Started in the background, we have to wait here: the modes that the server is to be told of are those of
        the shell's line editor until we are brought to the foreground."""
        try:
            await_foreground(STDIN)
        except termios.error:  # nobody will: raw mode says what becomes of that
            pass

    def _speaks_openssh(self) -> bool:
        return self._connection.transport.server_version.startswith(b"SSH-2.0-OpenSSH_")

    def _record(self) -> None:
        """Record what the terminal shows from now on, if that is wanted (SessionRecord)."""
        path = self._options.session_record
        if self._recording:
            self._recording.resized(*window_size(STDIN)[:2])
        elif path is not None:
            from pyssh_cli.client.recording import Recording

            env = {"TERM": terminal_type(self._options), "SHELL": os.environ.get("SHELL", "")}
            self._recording = Recording(path, self._log, self._loop, window_size(STDIN)[:2], env)

    def _on_answer(self, answer: ch.RequestAnswered) -> None:
        if answer.success:
            self._note_round_trip()
        self._log.debug2(f"{answer.name} request {'accepted' if answer.success else 'failed'} on channel 0")
        if not answer.success:
            self._on_request_refused(answer.name)
        elif answer.name == "pty-req":
            self._record()
        elif answer.name != "x11-req":
            self._started = True
            if self.tty and self._size_told != window_size(STDIN):  # changed since, and told to nobody
                self.window_changed()
            self._start_input()

    def _on_request_refused(self, name: str) -> None:
        """Go on without, where that is of use. Raises PysshError where it is not."""
        from pyssh_cli.client.hints import request_refused

        told = {"pty-req": "PTY allocation", "x11-req": "X11 forwarding"}.get(name, name)
        told = f"{told} request failed on channel 0{request_refused(name, self._options.command)}"
        if name == "x11-req":
            self._log.info(told)
        elif name == "pty-req" and self._options.request_tty not in {"yes", "force"}:
            self.tty = False
            self._escapes = EscapeFilter(None)
            self.channel.interactive = False
            self._connection.service_class.consider(self.channel)
            self._log.info(told)
        else:
            raise PysshError(told)

    def _on_global_answer(self, _success: bool, _fields: bytes) -> None:
        self._note_round_trip()

    def _note_round_trip(self) -> None:
        self._channels.note_round_trip(monotonic() - self._asked_at)

    # Input ------------------------------------------------------------------------------------------------------

    def _start_input(self) -> None:
        # Where nothing is typed, raw mode is for what is shown: no reason to stop in the background.
        if self.tty and os.isatty(STDIN) and not (self._options.stdin_null and in_background(STDIN)):
            self._raw.enter()
        if self.tty and not self._options.stdin_null:
            self._obscure_typing()
        if self._options.stdin_null:
            self._end_input()
            return
        mode = os.fstat(STDIN).st_mode
        if not os.isatty(STDIN) and not stat.S_ISREG(mode) and os.get_blocking(STDIN):
            os.set_blocking(STDIN, False)
            self._stdin_blocking = False
        self._watch_stdin(True)

    def _obscure_typing(self) -> None:
        """Hide the rhythm of typing, if that is wanted and the server answers what stands for keys."""
        interval, transport = self._options.obscure_keystroke_timing, self._connection.transport
        if interval and "ping@openssh.com" in transport.extensions:
            from pyssh_cli.client.keystrokes import ObscuredTyping

            self._typing = ObscuredTyping(
                self._loop, self._log, transport, interval, self._send_typed, self._connection.flush
            )

    def _watch_stdin(self, wanted: bool) -> None:
        """Watch stdin exactly while there is a use for what it says."""
        channel = self._channel
        if channel is None or not self._started or self._stdin_ended or self._closed:
            wanted = False
        elif self.tty:
            # Keys are read while none can leave, as in a key exchange: there may be escapes among them.
            wanted = wanted and len(self._typed) < min(channel.sendable, TYPED_AHEAD)
        else:
            wanted = wanted and channel.sendable > 0 and self._connection.takes_data()
        if wanted != self._stdin_watched:
            self._stdin_watched = wanted
            self._loop.watch(STDIN, (self._on_typed if self.tty else self._on_stdin) if wanted else None)

    def _on_stdin(self) -> None:
        """Bulk: what stdin says is read into the packets that it leaves in."""
        channel = self._channel
        assert channel is not None
        if not self._connection.takes_data():  # a key exchange has begun since
            self._watch_stdin(False)
            return
        size = min(channel.remote_max_packet, ch.MAX_PACKET)
        count = self._packets_a_read
        if channel.sendable < size * count:
            size = min(size, channel.sendable)
            count = max(1, channel.sendable // size)
        try:
            done = self._connection.transport.send_read(
                self._channels.data_prefix(channel), size, count, _read_stdin
            )
        except BlockingIOError:
            return
        except OSError as error:
            self._log.debug1(f"read from stdin failed: {error.strerror}")
            done = 0
        if not done:
            self._end_input()
            return
        self._packets_a_read = min(MAX_PACKETS_A_READ, 2 * count) if done == size * count else max(1, count // 2)
        self._channels.now = monotonic()
        self._channels.sent(channel, done)
        self._connection.flush()
        self._watch_stdin(True)

    def _on_typed(self) -> None:
        """Keys: escapes are picked out, the rest is sent at once."""
        try:
            typed = os.read(STDIN, TYPED_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._log.debug1(f"read from the terminal failed: {error.strerror}")
            typed = b""
        if typed:
            self.typed(typed)
        else:
            self._end_input()

    def typed(self, typed: bytes) -> None:
        """This was typed on the terminal."""
        data, escapes = self._escapes.feed(typed)
        for escape in escapes:
            self._act(escape)
        if not data or self._stdin_ended:
            return
        if self._recording and self._options.session_record_input:
            self._recording.typed(data)
        if self._typing:
            self._typing.type(data)
        else:
            self._send_typed(data)

    def _send_typed(self, data: bytes) -> None:
        """Send what was typed as far as the window goes; the rest waits, and stdin with it."""
        channel = self._channel
        assert channel is not None
        data = self._typed + data
        self._channels.now = monotonic()
        while data and channel.sendable and self._connection.takes_data():
            size = min(len(data), channel.sendable, channel.remote_max_packet)
            self._connection.transport.send(self._channels.data_prefix(channel), string(data[:size]))
            self._channels.sent(channel, size)
            data = data[size:]
        self._typed = data
        self._connection.flush()
        if data or not self._stdin_watched:
            self._watch_stdin(True)

    def send_last(self, data: bytes) -> None:
        """Send `data`, and nothing that is typed after it."""
        if self._typing:
            self._typing.release("the input has ended")
        self._send_typed(data)
        self._end_input()

    def _end_input(self) -> None:
        self._stdin_ended = True
        self._watch_stdin(False)
        if self._typing:
            self._typing.release("the input has ended")
        if self._channel and not self._typed:
            self._log.debug2("channel 0: send eof")
            self._channels.eof(self._channel)
            self._connection.flush()

    def _act(self, escape: Escape) -> None:
        """Do what an escape key asks for (ssh(1), ESCAPE CHARACTERS)."""
        if self._escape_keys is None:
            from pyssh_cli.client.escape_keys import EscapeKeys

            self._escape_keys = EscapeKeys(self, self._options.escape_char or 0)
        self._escape_keys.act(escape)

    def window_changed(self) -> None:
        """The terminal's window has another size now (RFC 4254 section 6.7): that of stdin, if it is one."""
        if self.tty and self._started and self._channel and os.isatty(STDIN):
            found = window_size(STDIN)
            self._channels.request(self._channel, "window-change", b"".join(map(uint32, found)))
            if self._recording:
                self._recording.resized(*found[:2])
            self._connection.flush()

    # Output and the end -----------------------------------------------------------------------------------------

    def _output(self, stream: int) -> Output | None:
        """Where a stream goes; None for streams that nobody has defined."""
        if stream not in self._outputs and stream in {0, EXTENDED_DATA_STDERR}:
            fd, name = (STDERR, None) if stream else (STDOUT, "stdout")
            gone = None if stream else self._on_reader_gone
            self._outputs[stream] = Output(fd, name, self._loop, self._on_drained, gone)
        return self._outputs.get(stream)

    def _on_reader_gone(self) -> None:
        """Nobody reads our stdout any more: an OpenSSH server is told, so that the command hears of it too.

        Its PROTOCOL, section 2.1 (eow@openssh.com). Other servers go on until the command ends, and so do we.
        """
        self._log.debug1("stdout: whoever read it has gone")
        if self._channel and not self._closed and self._speaks_openssh():
            self._channels.request(self._channel, "eow@openssh.com")
            self._connection.flush()

    def _on_drained(self, count: int) -> None:
        assert self._channel is not None
        self._channels.consumed(self._channel, count, monotonic())
        self._connection.flush()

    def _on_request(self, request: ch.ChannelRequest) -> None:
        self._log.debug1(
            f"client_input_channel_req: channel 0 rtype {request.name} reply {int(request.want_reply)}"
        )
        known = True
        if request.name == "exit-status":
            status = Reader(request.fields).uint32()
            if not self._timed_out:  # else it comes too late
                self._exit_status = status
        elif request.name == "exit-signal":
            reader = Reader(request.fields)
            signal_name, _, message = reader.text(), reader.boolean(), reader.text()
            self._log.verbose(f"Remote command ended by signal {signal_name} {message}".rstrip())
            if not self._timed_out and self._exit_status is None:
                self._exit_status = FAILURE
        elif request.name == "eow@openssh.com":
            self._stdin_ended = True
            self._watch_stdin(False)
        else:
            known = False
        if request.want_reply:
            self._channels.reply(request.channel, known)

    def is_over(self) -> bool:
        return self._closed

    def timed_out(self, channel: ch.Channel) -> None:
        self._channels.close(channel)
        if self._exit_status is None:
            self._exit_status = FAILURE
        self._timed_out = True
        self.connection_ended()
        self._connection.flush()

    def connection_ended(self) -> None:
        self._closed = True
        self._watch_stdin(False)

    def finished(self) -> bool:
        """Whether the session is over, all that it printed has been written, and nothing else is open any more."""
        if self.ended_by_user:
            return True
        if not self._closed or not (self._timed_out or self.all_written()):
            return False
        if self._connection.still_open(self):
            self._leave_to_others()
            return False
        return True

    def _leave_to_others(self) -> None:
        """The session is over, and forwarded connections hold the end up: Ctrl-C ends them, as with ssh."""
        if self._raw.active:
            self._raw.leave()
            self._log.clear()
            self._tell_of_others()

    def _tell_of_others(self) -> None:
        """Say what is being waited for to who might take it for a session that hangs."""
        if self._connection.still_open(self):
            if monotonic() >= self._log.tell_at():
                self._log.waits_for("Forwarded connections are still open (Ctrl-C ends them)")
            if self._log.tell_at() != NEVER:
                self._loop.call_at(self._log.tell_at(), self._tell_of_others)

    def all_written(self) -> bool:
        """Whether what came has gone to our descriptors."""
        return not any(output.waiting for output in self._outputs.values())

    @property
    def ended(self) -> bool:
        """Whether the session has come to an end of its own, whatever becomes of the connection."""
        return self._exit_status is not None or self.ended_by_user or self._timed_out

    def exit_status(self) -> int:
        """What pyssh should end with (ssh(1), EXIT STATUS); the terminal is told that the session is over."""
        self.close()
        if self._asked_for_tty and self._started:
            self._log.info(f"Connection to {self._options.hostname} closed.")
        status = FAILURE if self._exit_status is None or self.ended_by_user else self._exit_status & 0xFF
        self._tell_transferred()
        self._log.debug1(f"Exit status {status}")
        return status

    def _tell_transferred(self) -> None:
        """For -v: what has gone over the whole connection, in ssh's words."""
        transport, seconds = self._connection.transport, max(monotonic() - self._connection.since, 0.001)
        sent, received = transport.bytes_sent, transport.bytes_received
        self._log.verbose(f"Transferred: sent {sent}, received {received} bytes, in {seconds:.1f} seconds")
        self._log.verbose(f"Bytes per second: sent {sent / seconds:.1f}, received {received / seconds:.1f}")

    def hand_on(self) -> tuple[RawMode, Recording | None]:
        """The connection is lost, and another session is to follow: leave the terminal, and give away what that
        one needs to go on with it (`take_over`)."""
        recording, self._recording = self._recording, None
        self.close()
        return self._raw, recording

    def take_over(self, raw: RawMode, recording: Recording | None) -> None:
        """Go on with the terminal of a session that has handed it on."""
        self.raw = self._raw = raw
        self._recording = recording

    def close(self) -> None:
        """Leave the terminal and our descriptors as they were found."""
        if self._typing:
            self._typing.stop("the session is over")
        self._raw.leave()
        if self._stdin_watched:
            self._loop.watch(STDIN)
        if not self._stdin_blocking:
            try:
                os.set_blocking(STDIN, True)
            except OSError:
                pass
        for output in self._outputs.values():
            output.close()
        if self._recording:
            self._recording.close()


def _read_stdin(views: list[memoryview]) -> int:
    return os.readv(STDIN, views)
