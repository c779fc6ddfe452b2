"""From resolved options to an exit status: one connection, inside those of jump hosts if need be, with one session
on it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from pyssh_cli.client.way import HandedOn, Leg, Patience, way_to
from pyssh_cli.config.options import Options
from pyssh_cli.errors import PysshError
from pyssh_cli.log import NEVER, Log

if TYPE_CHECKING:
    from pyssh_cli.client.connection import Connection
    from pyssh_cli.client.forwarding.stdio import StdioForward
    from pyssh_cli.client.link import Carrier
    from pyssh_cli.client.session import Session
    from pyssh_cli.net.loop import Loop


class Killed(BaseException):
    """A signal that ends the session arrived; raised wherever the program was, so that all is put in order."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_NEEDED_LATER = (
    "pyssh_cli.client.session",
    "pyssh_cli.client.authenticate",
    "pyssh_cli.terminal.signals",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "hmac",
)
"""What most handshakes import in the end, and loads in time that would be waited for otherwise."""


def _meanwhile() -> None:
    """Load what the handshake needs while the server is being waited for."""
    for name in _NEEDED_LATER:
        import_module(name)


def run(options: Options, log: Log, handed_on: HandedOn | None = None) -> int:
    """Connect, prove who is who, run the session; return what pyssh should exit with. Raises PysshError."""
    from pyssh_cli.client.proxy import reach

    way = [Leg(options, log, options.original_host)]
    if options.proxy_jump:
        way = way_to(way[0], handed_on or HandedOn())
    patience = Patience(leg.options.connect_timeout for leg in way)
    try:
        carrier, loop = reach(way[0].options, way[0].log, patience.deadline(), _meanwhile)
    except PysshError as error:
        name_hop(error, way, way[0])
        raise
    life = Life(loop)
    try:
        loop.wake_on_signals()  # one that came just before a wait would not be seen otherwise
        life.begin(way, carrier, patience)
        session = life.session
        assert session is not None
        from pyssh_cli.terminal.signals import guard_terminal

        _end_on_signals(loop)
        if session.raw:
            guard_terminal(session.raw, lambda: loop.call_soon(life.window_changed))
        signal.signal(signal.SIGWINCH, lambda _number, _frame: loop.call_soon(life.window_changed))
        gc.freeze()
        gc.enable()
        if options.reconnect:
            from pyssh_cli.client.reconnect import Reconnecting, can_reconnect

            if can_reconnect(options, way[0].options, tty=session.tty and os.isatty(0)):
                return Reconnecting(life, way).run()
        life.connections[-1].run_until(session.finished, None, str)
        return session.exit_status()
    except Killed as killed:
        log.clear()
        if killed.number == signal.SIGTERM and options.session_type == "none":
            return 0  # the ordinary end of a tunnel
        log.verbose(f"Killed by signal {killed.number}.")
        return 255
    finally:
        _ignore_signals()
        life.close()
        loop.close()


class Life:
    """One connection's life, inside those of jump hosts if need be, and its session's. It can be begun again once
    it is closed."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.connections: list[Connection] = []
        self.session: Session | StdioForward | None = None
        self._carrier: Carrier | None = None

    def begin(
        self,
        way: list[Leg],
        carrier: Carrier,
        patience: Patience,
        restore: Callable[[Connection], None] | None = None,
    ) -> None:
        """Make the connections of `way`, on `carrier`, and let the user in. Raises PysshError.

        The forwards of the options are begun, or those of a connection before this one: `restore` is called for
        that in their place.
        """
        self._carrier = carrier
        options, log, _ = way[-1]
        _connect(way, self.loop, carrier, patience, self.connections)
        connection = self.connections[-1]
        _meanwhile()
        log.debug1(f"Authenticating to {options.hostname}:{options.port} as '{options.user}'")
        if restore:
            connection.when_authenticated.append(lambda: restore(connection))
        else:
            _begin_forwards(options, log, self.loop, connection)
        self.session = connection.owner = _main_owner(options, log, self.loop, connection)
        _after_login(options, log, self.loop, self.session, connection)
        _establish(way, self.connections, self.loop, patience)

    def window_changed(self) -> None:
        """The terminal's window has another size now."""
        if self.session:
            self.session.window_changed()

    def close(self) -> None:
        """End the session and the connections, as far as they are not at an end."""
        if self.session:
            self.session.close()
        for one in reversed(self.connections):  # the innermost first: its farewell travels in the others
            one.close()
        if self._carrier and not self.connections:
            self._carrier.close()
        self.connections = []
        self.session = self._carrier = None


def _after_login(
    options: Options, log: Log, loop: Loop, owner: Session | StdioForward, connection: Connection
) -> None:
    """Arrange what is done once the user is in and the forwards stand: LocalCommand, then -f."""
    local_command = options.local_command is not None and options.permit_local_command
    if not local_command and not options.fork_after_authentication:
        return
    from pyssh_cli.client.background import Background
    from pyssh_cli.client.local_command import NO_TUNNEL, run_local_command

    background = Background(options, log, loop, owner.leave_terminal)
    if options.remote_forwards and options.exit_on_forward_failure:
        background.hold()
        connection.forwards.when_settled = background.ready

    def logged_in() -> None:
        run_local_command(options, log, connection.tunnel.device if connection.tunnel else NO_TUNNEL)
        background.ready()

    connection.when_authenticated.append(logged_in)


def _connect(
    way: list[Leg], loop: Loop, carrier: Carrier, patience: Patience, connections: list[Connection]
) -> None:
    """Start all connections of the way, and add them to `connections`. The first has `carrier`, each of the others
    a channel of the one before, and its first words ready for when that opens."""
    from pyssh_cli.client.connection import Connection
    from pyssh_cli.terminal.questions import Questions

    for leg, target in pairwise(way):
        from pyssh_cli.client.jump import HopQuestions, JumpChannel

        questions = HopQuestions(leg.log, leg.options, patience)
        connection = Connection(leg.options, leg.log, loop, carrier, questions)
        connection.owner = carrier = JumpChannel(loop, connection, leg, target.options)
        connections.append(connection)
        connection.start()
    options, log, _ = way[-1]
    connections.append(Connection(options, log, loop, carrier, Questions(log, options.batch_mode)))
    connections[-1].when_authenticated.append(log.clear)
    connections[-1].start()


def _establish(way: list[Leg], connections: list[Connection], loop: Loop, patience: Patience) -> None:
    """Run until the destination has let the user in. Raises PysshError, which names the hop that it is about."""
    try:
        for connection in connections:
            loop.run_once(monotonic())  # the server may have spoken already: then it is not waited for
            connection.transport.prepare()
        _tell_waiting_later(way, loop, connections)
        while not connections[-1].authenticated:
            judged = sum(connection.handshake.keys_judged for connection in connections)
            due = patience.deadline(judged)
            if due is not None and monotonic() >= due:
                raise connections[judged].handshake.timed_out()
            loop.run_once(due)
    except PysshError as error:
        name_hop(error, way, way[sum(connection.authenticated for connection in connections[:-1])])
        raise


def _tell_waiting_later(way: list[Leg], loop: Loop, connections: list[Connection]) -> None:
    """Until the user is in, tell a person at a terminal who has waited for a while what for."""
    log = way[-1].log

    def tell() -> None:
        if not connections[-1].authenticated:
            if monotonic() >= log.tell_at():
                from pyssh_cli.client.stages import stage

                log.waits_for(stage(way, connections))
            loop.call_at(log.tell_at(), tell)

    if log.tell_at() != NEVER:
        loop.call_at(log.tell_at(), tell)


def name_hop(error: PysshError, way: list[Leg], at: Leg) -> None:
    """Have an error say which jump host it is about, unless it does, or is about the destination."""
    if at is not way[-1] and not at.is_named_in(str(error)):
        error.args = (f"{error} (on the way, at {at.name})", *error.args[1:])


def _begin_forwards(options: Options, log: Log, loop: Loop, connection: Connection) -> None:
    """Arrange that forwards begin once the user is in."""
    if options.local_forwards or options.remote_forwards or options.tunnel != "no":
        from pyssh_cli.client.forwarding.start import start_forwards

        connection.when_authenticated.append(lambda: start_forwards(options, log, loop, connection))
        # A command that must not run when a forward fails is not asked for before that is known.
        connection.may_open_early = not options.exit_on_forward_failure


def _main_owner(options: Options, log: Log, loop: Loop, connection: Connection) -> Session | StdioForward:
    """The session, or -W's channel in its place."""
    if options.stdio_forward:
        from pyssh_cli.client.forwarding.stdio import StdioForward

        return StdioForward(options, log, loop, connection)
    from pyssh_cli.client.session import Session

    return Session(options, log, loop, connection)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def _end_on_signals(loop: Loop) -> None:
    """Let the signals that end a program raise Killed, but those that the caller has us ignore."""

    def end(number: int, _frame: FrameType | None) -> None:
        def kill() -> None:
            raise Killed(number)

        _ignore_signals()  # putting things in order is not to be interrupted
        loop.call_soon(kill)  # for where Python lets no exception through, as in a finalizer
        kill()

    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _ignore_signals() -> None:
    """Let nothing come of further signals. Not by SIG_IGN: one that has arrived already would be an error then."""
    for number in _ENDING:
        signal.signal(number, lambda _number, _frame: None)
