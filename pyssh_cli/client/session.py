"""A session channel: a command, a subsystem or a shell, joined to our standard streams (RFC 4254 section 6)."""

from __future__ import annotations

import os
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
from pyssh_cli.client.stdin import STDIN, Stdin
from pyssh_cli.config.options import Options
from pyssh_cli.errors import PysshError
from pyssh_cli.log import NEVER, Log, printable
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol.messages import EXTENDED_DATA_STDERR
from pyssh_cli.protocol.version import is_openssh
from pyssh_cli.terminal.raw import RawMode, await_foreground, in_background, window_size
from pyssh_cli.wire import Reader, uint32

if TYPE_CHECKING:
    from pyssh_cli.client.command_line import ForwardControl
    from pyssh_cli.client.escape_keys import EscapeKeys
    from pyssh_cli.client.keyboard import Keyboard
    from pyssh_cli.client.recording import Recording
    from pyssh_cli.terminal.escapes import Escape

STDOUT, STDERR = 1, 2

TTY_WINDOW = 64 * 1024
"""Bytes of output that may be on their way to a terminal: what stops a flood stops it when they are shown."""

TTY_MAX_WINDOW = 1024 * 1024
"""How far that may widen while the terminal keeps up, on a long path; what OpenSSH grants."""

FAILURE = 255
"""ssh's exit status when something of its own went wrong, or the command was ended by a signal."""


class Session:
    """One session on `connection`. `finished` once its channel is closed and all output is written."""

    def __init__(self, options: Options, log: Log, loop: Loop, connection: Connection) -> None:
        self.options = options
        self.log = log
        self.loop = loop
        self.connection = connection
        self._channels = connection.channels
        self._channel: ch.Channel | None = None
        self._opened_early = False
        self.tty = self._asked_for_tty = wants_tty(options, log)
        self.raw = RawMode(STDIN, log)
        self._input: Stdin | None = None
        self._unread = False
        """The remote side reads no more (eow@openssh.com)."""
        self._escape_keys: EscapeKeys | None = None
        self._recording: Recording | None = None
        self._outputs: dict[int, Output] = {}
        self._pieces: dict[int, list[memoryview]] = {}
        self._exit_status: int | None = None
        self._closed = False
        self._started = False
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
        return self.connection.forwards

    def leave_terminal(self) -> None:
        """Leave the terminal as it was found."""
        self.raw.leave()

    # What the connection tells us -------------------------------------------------------------------------------

    def open_early(self) -> None:
        if self.options.session_type != "none":
            self._open()
            self._opened_early = True

    def authenticated(self) -> None:
        if self.options.session_type != "none" and not self._opened_early:
            self._open()

    def early_open_refused(self) -> None:
        self._opened_early = False

    def _open(self) -> None:
        if self._channel is None:
            self.log.debug1("channel 0: new session [client-session]")
            windows = (TTY_WINDOW, TTY_MAX_WINDOW) if self.tty else (ch.INITIAL_WINDOW, ch.MAX_WINDOW)
            self._channel = self.connection.open_channel("session", b"", self, *windows)
            self._channel.told = "client-session"
            self._channel.purpose = purpose_of(self.options)
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
            self.log.debug2("channel 0: rcvd eof")
        elif isinstance(event, ch.Closed):
            self.log.debug2("channel 0: rcvd close")
            self._closed = True
            self._stop_input()

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
        if self._input:
            self._input.may_send()

    # Starting what is to run ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """The channel is open: ask for everything at once; the replies come in order."""
        o, channel = self.options, self._channel
        assert channel is not None
        self._asked_at = monotonic()
        if is_openssh(self.connection.transport.server_version):
            self.log.debug1("Requesting no-more-sessions@openssh.com")
            self.connection.global_request("no-more-sessions@openssh.com", answered=self._on_global_answer)
        if o.forward_x11 or o.forward_agent:
            from pyssh_cli.client.forwarding.start import ask_with_session

            ask_with_session(o, self.log, self.loop, self.connection, channel)
        if self.tty:
            if not o.stdin_null:
                self._await_foreground()
            self._size_told = request_pty(o, self._channels, channel)
        request_program(o, self.log, self._channels, channel)

    @staticmethod
    def _await_foreground() -> None:
        """Started in the background, we have to wait here: the modes that the server is to be told of are those of
        the shell's line editor until we are brought to the foreground."""
        try:
            await_foreground(STDIN)
        except termios.error:  # nobody will: raw mode says what becomes of that
            pass

    def _record(self) -> None:
        """Record what the terminal shows from now on, if that is wanted (SessionRecord)."""
        path = self.options.session_record
        if self._recording:
            self._recording.resized(*window_size(STDIN)[:2])
        elif path is not None:
            from pyssh_cli.client.recording import Recording

            env = {"TERM": terminal_type(self.options), "SHELL": os.environ.get("SHELL", "")}
            self._recording = Recording(path, self.log, self.loop, window_size(STDIN)[:2], env)

    def _on_answer(self, answer: ch.RequestAnswered) -> None:
        if answer.success:
            self._note_round_trip()
        self.log.debug2(f"{answer.name} request {'accepted' if answer.success else 'failed'} on channel 0")
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
        told = f"{told} request failed on channel 0{request_refused(name, self.options.command)}"
        if name == "x11-req":
            self.log.info(told)
        elif name == "pty-req" and self.options.request_tty not in {"yes", "force"}:
            self.tty = False
            self.channel.interactive = False
            self.connection.service_class.consider(self.channel)
            self.log.info(told)
        else:
            raise PysshError(told)

    def _on_global_answer(self, _success: bool, _fields: bytes) -> None:
        self._note_round_trip()

    def _note_round_trip(self) -> None:
        self._channels.note_round_trip(monotonic() - self._asked_at)

    # Input ------------------------------------------------------------------------------------------------------

    def _start_input(self) -> None:
        o, channel = self.options, self.channel
        # Where nothing is typed, raw mode is for what is shown: no reason to stop in the background.
        if self.tty and os.isatty(STDIN) and not (o.stdin_null and in_background(STDIN)):
            self.raw.enter()
        if not self.tty or o.stdin_null:
            self._input = Stdin(self.log, self.loop, self.connection, channel)
        else:
            from pyssh_cli.client.keyboard import Keyboard

            record = self._recording.typed if self._recording and o.session_record_input else None
            self._input = Keyboard(o, self.log, self.loop, self.connection, channel, self._act, record)
        if self._unread:
            self._input.stop()
        if o.stdin_null:
            self._input.end()
        else:
            self._input.start()

    def _stop_input(self) -> None:
        if self._input:
            self._input.stop()

    def _act(self, keyboard: Keyboard, escape: Escape) -> None:
        """Do what an escape key asks for (ssh(1), ESCAPE CHARACTERS)."""
        if self._escape_keys is None:
            from pyssh_cli.client.escape_keys import EscapeKeys

            self._escape_keys = EscapeKeys(self, keyboard, self.options.escape_char or 0)
        self._escape_keys.act(escape)

    def window_changed(self) -> None:
        """The terminal's window has another size now (RFC 4254 section 6.7): that of stdin, if it is one."""
        if self.tty and self._started and self._channel and os.isatty(STDIN):
            found = window_size(STDIN)
            self._channels.request(self._channel, "window-change", b"".join(map(uint32, found)))
            if self._recording:
                self._recording.resized(*found[:2])
            self.connection.flush()

    # Output and the end -----------------------------------------------------------------------------------------

    def _output(self, stream: int) -> Output | None:
        """Where a stream goes; None for streams that nobody has defined."""
        if stream not in self._outputs and stream in {0, EXTENDED_DATA_STDERR}:
            fd, name = (STDERR, None) if stream else (STDOUT, "stdout")
            gone = None if stream else self._on_reader_gone
            self._outputs[stream] = Output(fd, name, self.loop, self._on_drained, gone)
        return self._outputs.get(stream)

    def _on_reader_gone(self) -> None:
        """Nobody reads our stdout any more: an OpenSSH server is told, so that the command hears of it too.

        Its PROTOCOL, section 2.1 (eow@openssh.com). Other servers go on until the command ends, and so do we.
        """
        self.log.debug1("stdout: whoever read it has gone")
        if self._channel and not self._closed and is_openssh(self.connection.transport.server_version):
            self._channels.request(self._channel, "eow@openssh.com")
            self.connection.flush()

    def _on_drained(self, count: int) -> None:
        assert self._channel is not None
        self._channels.consumed(self._channel, count, monotonic())
        self.connection.flush()

    def _on_request(self, request: ch.ChannelRequest) -> None:
        self.log.debug1(
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
            self.log.verbose(f"Remote command ended by signal {signal_name} {message}".rstrip())
            if not self._timed_out and self._exit_status is None:
                self._exit_status = FAILURE
        elif request.name == "eow@openssh.com":
            self._unread = True
            self._stop_input()
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
        self.connection.flush()

    def connection_ended(self) -> None:
        self._closed = True
        self._stop_input()

    def finished(self) -> bool:
        """Whether the session is over, all that it printed has been written, and nothing else is open any more."""
        if self.ended_by_user:
            return True
        if not self._closed or not (self._timed_out or self.all_written()):
            return False
        if self.connection.still_open(self):
            self._leave_to_others()
            return False
        return True

    def _leave_to_others(self) -> None:
        """The session is over, and forwarded connections hold the end up: Ctrl-C ends them, as with ssh."""
        if self.raw.active:
            self.raw.leave()
            self.log.clear()
            self._tell_of_others()

    def _tell_of_others(self) -> None:
        """Say what is being waited for to who might take it for a session that hangs."""
        if self.connection.still_open(self):
            if monotonic() >= self.log.tell_at():
                self.log.waits_for("Forwarded connections are still open (Ctrl-C ends them)")
            if self.log.tell_at() != NEVER:
                self.loop.call_at(self.log.tell_at(), self._tell_of_others)

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
            self.log.info(f"Connection to {self.options.hostname} closed.")
        status = FAILURE if self._exit_status is None or self.ended_by_user else self._exit_status & 0xFF
        self._tell_transferred()
        self.log.debug1(f"Exit status {status}")
        return status

    def _tell_transferred(self) -> None:
        """For -v: what has gone over the whole connection, in ssh's words."""
        transport, seconds = self.connection.transport, max(monotonic() - self.connection.since, 0.001)
        sent, received = transport.bytes_sent, transport.bytes_received
        self.log.verbose(f"Transferred: sent {sent}, received {received} bytes, in {seconds:.1f} seconds")
        self.log.verbose(f"Bytes per second: sent {sent / seconds:.1f}, received {received / seconds:.1f}")

    def hand_on(self) -> tuple[RawMode, Recording | None]:
        """The connection is lost, and another session is to follow: leave the terminal, and give away what that
        one needs to go on with it (`take_over`)."""
        recording, self._recording = self._recording, None
        self.close()
        return self.raw, recording

    def take_over(self, raw: RawMode, recording: Recording | None) -> None:
        """Go on with the terminal of a session that has handed it on."""
        self.raw = raw
        self._recording = recording

    def close(self) -> None:
        """Leave the terminal and our descriptors as they were found."""
        self.raw.leave()  # first: nothing below may keep it from that
        if self._input:
            self._input.close()
        for output in self._outputs.values():
            output.close()
        if self._recording:
            self._recording.close()
