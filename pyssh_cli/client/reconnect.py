"""Reconnect: when a connection that stood is lost, the next one, unattended or as the person wishes.

What is worth another try is a table, how long to wait first a formula. Listeners and network devices go from one
connection to the next; sessions begin anew. A command without a terminal is never run twice, for nobody knows how
far it came.
"""

from __future__ import annotations

import gc
import os
import termios
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.proxy import reach
from pyssh_cli.client.way import Leg, Patience
from pyssh_cli.config.options import Options
from pyssh_cli.errors import (
    HostKeyError,
    NegotiationError,
    NetworkError,
    PeerDisconnected,
    ProtocolError,
    PysshError,
)
from pyssh_cli.log import printable, write_all
from pyssh_cli.terminal.prompt import in_foreground, open_terminal, read_answer

if TYPE_CHECKING:
    from pyssh_cli.client.connection import Connection
    from pyssh_cli.client.forwarding.manager import Forwards
    from pyssh_cli.client.forwarding.tun import Tunnel
    from pyssh_cli.client.link import Carrier
    from pyssh_cli.client.recording import Recording
    from pyssh_cli.client.run import Life
    from pyssh_cli.client.session import Session
    from pyssh_cli.terminal.raw import RawMode

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
"""Seconds before the first new try, and those that the waits grow to."""

LIVED = 30.0
"""Seconds after which a connection has lived: the waits begin anew when it is lost."""

CONNECT_TIMEOUT = 60
"""Seconds of ConnectTimeout where none is set: nobody is there to notice that a new connection is stuck."""

STDOUT = 1

WORTH_ANOTHER_TRY: dict[type[PysshError], bool] = {
    NetworkError: True,  # a name that is not found, a refused connection, one that is closed or times out
    ProtocolError: True,  # something else answers there, for now
    NegotiationError: False,
    PysshError: False,  # refused proofs, host keys that are not to be trusted, configurations that cannot be
}
"""What a new connection may fail of and be tried again, by the error's class or the nearest one above it."""

REFUSALS = frozenset((1, 7, 13, 14, 15))
"""Reasons to disconnect (RFC 4253 section 11.1) that another try would only meet again: the host, the service, the
user's proof or name are not welcome."""

LEAVE_MODES = (
    b"\x1b[?2026l\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>"
    b"\x1b[=0u\x1b[>4m\x1b7\x1b[r\x1b8\x1b[?7h\x1b[?25h\x1b(B\x0f\x1b[m\r\n"
)
"""Takes a terminal out of what programs on the other side may have set and cannot undo any more: an update that is
held until it is whole (mode 2026), the alternate screen, reports of the mouse, of the focus and of pastes,
application keys and other ways to tell of keys, margins, lines that do not wrap, a hidden cursor, drawing
characters, colours (xterm's ctlseqs, kitty's keyboard protocol).
"""


def _chance() -> float:
    """A random number from 0 to 1, without the module that would have to be loaded for it."""
    return int.from_bytes(os.urandom(4), "big") / 0xFFFFFFFF


class Waits:
    """Waits that double, each shortened by chance by up to a half, so that not all come back at once.

    `taken` is how many there were. `chance` gives numbers from 0 to 1.
    """

    def __init__(self, chance: Callable[[], float] = _chance) -> None:
        self._chance = chance
        self.taken = 0

    def next(self) -> float:
        """Seconds to wait now."""
        longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self.taken, 16))
        self.taken += 1
        return longest * (1 + self._chance()) / 2

    def restart(self) -> None:
        """Begin anew with a short one."""
        self.taken = 0


def worth_another_try(error: PysshError) -> bool:
    """Whether what failed so may succeed later."""
    if isinstance(error, PeerDisconnected) and error.reason in REFUSALS:
        return False
    return next(WORTH_ANOTHER_TRY[kind] for kind in type(error).__mro__ if kind in WORTH_ANOTHER_TRY)


def can_reconnect(options: Options, first: Options, *, tty: bool) -> bool:
    """Whether a session of these options can be followed by another: not a stream, nor a command that nobody sees.

    `first` are the options of the first connection on the way; `tty` is whether there is a terminal at both ends.
    """
    if options.stdio_forward is not None or first.proxy_command == "-":
        return False
    if options.session_type == "none":
        return True
    return tty and not (options.fork_after_authentication or options.batch_mode)


class Reconnecting:
    """Runs the session of `life`, whose connections were made by `way`, and those that follow it."""

    def __init__(self, life: Life, way: list[Leg]) -> None:
        self._life = life
        self._way = way
        self._options, self._log, _ = way[-1]
        self._loop = life.loop
        self._waits = Waits()
        self._unattended = self._options.session_type == "none"
        self._lost: PysshError | None = None
        self._forwards: Forwards | None = None
        self._tunnel: Tunnel | None = None
        self._raw: RawMode | None = None
        self._recording: Recording | None = None

    def run(self) -> int:
        """What pyssh should exit with. Raises PysshError when there is no use in another try."""
        self._log.tell_no_waits()  # the lines that are said here tell as much
        try:
            while True:
                began = monotonic()
                lost = self._until_lost()
                if lost is None:
                    return self._session.exit_status()
                if monotonic() - began >= LIVED or not self._unattended:
                    self._waits.restart()
                self._leave()
                if self._unattended:
                    self._wait(lost)
                elif not self._is_wished(lost):
                    return lost.exit_status
                self._connect()
        finally:
            if self._forwards:
                self._forwards.close()
            if self._tunnel:
                self._tunnel.close()
            if self._recording:
                self._recording.close()

    @property
    def _session(self) -> Session:
        session = self._life.session
        assert session is not None
        return session  # type: ignore[return-value]  # -W is not run here

    # The end of one ---------------------------------------------------------------------------------------------

    def _until_lost(self) -> PysshError | None:
        """Run until the session is over; why its connection is lost, if it is not over in good order. Raises what
        is no loss, or is one that nothing can follow."""
        session, connection = self._session, self._life.connections[-1]
        connection.say_lost = self._note
        try:
            connection.run_until(
                lambda: session.finished() or (self._lost is not None and session.all_written()), None, str
            )
        except (NetworkError, ProtocolError) as error:
            if not worth_another_try(error):
                raise
            self._lost = error
        if self._lost is None or session.ended:
            if self._lost:
                self._log.error(str(self._lost))
            return None
        if not (self._unattended or session.tty) or self._is_awaited(connection):
            raise self._lost
        return self._lost

    def _note(self, line: str) -> None:
        self._lost = NetworkError(line)

    def _is_awaited(self, connection: Connection) -> bool:
        """Whether -f still holds the foreground for remote forwards: its caller is to hear that they failed."""
        o = self._options
        waits = o.fork_after_authentication and o.exit_on_forward_failure and o.remote_forwards
        return bool(waits) and not connection.forwards.settled

    def _leave(self) -> None:
        """Let go of the connections, and keep what goes on."""
        life = self._life
        if life.connections:
            forwards, tunnel = life.connections[-1].hand_on()
            if self._forwards and forwards:  # of `~C`, to a host that those which are kept were not for
                forwards.close()
            self._forwards = self._forwards or forwards
            self._tunnel = self._tunnel or tunnel
        if life.session:
            raw, recording = self._session.hand_on()
            self._raw = self._raw or raw
            self._recording = recording or self._recording
        life.close()
        # What is left of a connection is circles of few objects with large buffers: hundreds of them would pile up
        # before Python thought of collecting them.
        gc.collect()

    # Between two ------------------------------------------------------------------------------------------------

    def _wait(self, why: PysshError) -> None:
        """Say why, and wait a little longer than the last time."""
        seconds = self._waits.next()
        said = "; ".join(str(why).split("\n")).removesuffix(".")
        self._log.error(f"{said}; connecting to {self._options.hostname} again in {seconds:.1f} seconds.")
        due = monotonic() + seconds
        while monotonic() < due:
            self._loop.run_once(due)

    def _is_wished(self, lost: PysshError) -> bool:
        """Say that the connection is lost, and ask whether to connect again; Enter says yes. From the background
        nobody is asked."""
        if not in_foreground():
            self._log.error(str(lost))
            return False
        if os.isatty(STDOUT) and os.environ.get("TERM", "dumb") != "dumb":
            write_all(STDOUT, LEAVE_MODES)
            if self._recording:
                self._recording.output([memoryview(LEAVE_MODES)])
        self._log.error(str(lost))
        question = f"Reconnect to {printable(self._options.hostname)}? [Y/n] ".encode()
        try:
            terminal = open_terminal()
        except OSError:
            return False
        try:
            while True:
                answer = read_answer(terminal, question, echo=True, fresh=True)
                if answer is None or answer.strip().lower() in {b"n", b"no"}:
                    return False
                if answer.strip().lower() in {b"", b"y", b"yes"}:
                    return True
        except (OSError, termios.error):
            return False
        finally:
            os.close(terminal)

    # The next one -----------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Connect, and try again until it succeeds. Raises PysshError when it is of no use."""
        while True:
            try:
                way = [leg._replace(options=self._next_options(leg.options)) for leg in self._way]
                patience = Patience(leg.options.connect_timeout for leg in way)
                self._lost = None
                self._life.begin(way, self._reach(way[0], patience), patience, self._restore)
            except (NetworkError, ProtocolError) as error:
                if not worth_another_try(error) or self._is_turned_away(error):
                    raise
                self._leave()
                self._wait(error)
            else:
                self._log.info(f"Connected to {self._options.hostname} again.")
                return

    @staticmethod
    def _next_options(options: Options) -> Options:
        """What counts from the second connection on: addresses may be others, and what is done once is done."""
        return options._replace(
            addresses=(),
            batch_mode=options.batch_mode or not in_foreground(),
            connect_timeout=options.connect_timeout or CONNECT_TIMEOUT,
            local_command=None,
            fork_after_authentication=False,
        )

    def _is_turned_away(self, error: PysshError) -> bool:
        """Whether the server has hung up in the middle of the login: what OpenSSH's does after too many proofs."""
        at = next((one for one in self._life.connections if not one.authenticated), None)
        return isinstance(error, PeerDisconnected) and at is not None and at.handshake.keys_judged

    def _reach(self, leg: Leg, patience: Patience) -> Carrier:
        """Connect to the first host of the way. What looks up and connects waits, and does so in a thread: the
        loop goes on, with all who listen here, and signals end it at once."""
        import threading

        found: list[Carrier] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                found.append(reach(leg.options, leg.log, patience.deadline(), _nothing, self._loop)[0])
            except BaseException as error:  # raised where it is waited for
                failed.append(error)
            self._loop.call_from_thread(_nothing)

        self._loop.prepare_for_threads()
        try:
            threading.Thread(target=work, daemon=True).start()
        except RuntimeError as error:  # RLIMIT_NPROC, or no memory for its stack
            raise NetworkError(f"ssh: connect to host {leg.options.hostname}: {error}") from None
        while not (found or failed):
            self._loop.run_once()
        if failed:
            raise failed[0]
        return found[0]

    def _restore(self, connection: Connection) -> None:
        """The user is in: go on with what is kept. A host that is let in only because nothing is forwarded to it
        (StrictHostKeyChecking no) is of no use to a tunnel, and a shell goes on without."""
        connection.say_lost = self._note
        forwards, tunnel = self._forwards, self._tunnel
        if connection.unsafe:
            if self._unattended:
                raise HostKeyError("Host key verification failed. (it is not the host of the lost connection)")
        else:
            self._forwards = self._tunnel = None
            connection.take_over(forwards, tunnel)
        if self._raw:
            self._session.take_over(self._raw, self._recording)
            self._recording = None


def _nothing() -> None:
    pass
