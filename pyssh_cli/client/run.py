"""From resolved options to an exit status: one connection with one session on it."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from pyssh_cli.config.options import Options
from pyssh_cli.log import Log

if TYPE_CHECKING:
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


def run(options: Options, log: Log) -> int:
    """Connect, prove who is who, run the session; return what pyssh should exit with. Raises PysshError."""
    from pyssh_cli.net.tcp import connect

    timeout = options.connect_timeout
    deadline = monotonic() + timeout if timeout else None
    sock, address = connect(options, log, deadline, _meanwhile)
    log.debug1("Connection established.")
    from pyssh_cli.client.connection import Connection
    from pyssh_cli.net.loop import Loop
    from pyssh_cli.terminal.questions import Questions

    loop = Loop()
    connection = Connection(options, log, loop, sock, address, Questions(log, options.batch_mode))
    session: Session | None = None
    try:
        connection.start()
        _meanwhile()
        log.debug1(f"Authenticating to {options.hostname}:{options.port} as '{options.user}'")
        from pyssh_cli.client.session import Session

        session = Session(options, log, loop, connection)
        connection.owner = session
        connection.when_authenticated = _after_login(options, log, loop, session)
        loop.run_once(monotonic())  # the server may have spoken already: then it is not waited for
        connection.transport.prepare()
        connection.run_until(connection.keys_judged, deadline, connection.timeout_message)
        connection.run_until(connection.is_authenticated, None, str)
        from pyssh_cli.terminal.signals import guard_terminal

        _end_on_signals()
        guard_terminal(session.raw, lambda: loop.call_soon(session.window_changed))
        signal.signal(signal.SIGWINCH, lambda _number, _frame: loop.call_soon(session.window_changed))
        loop.wake_on_signals()
        gc.freeze()
        gc.enable()
        connection.run_until(session.finished, None, str)
        return session.exit_status()
    except Killed as killed:
        if killed.number == signal.SIGTERM and options.session_type == "none":
            return 0  # the ordinary end of a tunnel
        log.verbose(f"Killed by signal {killed.number}.")
        return 255
    finally:
        _ignore_signals()
        if session:
            session.close()
        connection.close()
        loop.close()


def _after_login(options: Options, log: Log, loop: Loop, session: Session) -> Callable[[], None] | None:
    """What is done once the user is in and before the session begins: LocalCommand, then -f; None for nothing."""
    local_command = options.local_command is not None and options.permit_local_command
    if not local_command and not options.fork_after_authentication:
        return None
    from pyssh_cli.client.background import Background
    from pyssh_cli.client.local_command import run_local_command

    background = Background(options, log, loop, session.raw.leave)

    def logged_in() -> None:
        run_local_command(options, log)
        background.ready()

    return logged_in


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def _end_on_signals() -> None:
    """Let the signals that end a program raise Killed, but those that the caller has us ignore."""

    def end(number: int, _frame: FrameType | None) -> None:
        _ignore_signals()  # putting things in order is not to be interrupted
        raise Killed(number)

    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _ignore_signals() -> None:
    """Let nothing come of further signals. Not by SIG_IGN: one that has arrived already would be an error then."""
    for number in _ENDING:
        signal.signal(number, lambda _number, _frame: None)
