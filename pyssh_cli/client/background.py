"""Going to the background once the user is in and all that must stand stands (-f, ForkAfterAuthentication).

Not a daemon's whole life: what runs there is the same loop with the same connection as before.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyssh_cli import INHERITED
from pyssh_cli.config.options import Options
from pyssh_cli.errors import PysshError
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop

STDIN, STDOUT, STDERR = 0, 1, 2

FAILED = 255
"""What the foreground ends with when nothing goes on behind it."""


class Background:
    """The moment to leave the foreground of one connection.

    Whatever has to stand first calls `hold` before the user is in, and `ready` when it does; the login itself is
    the first of them. Nothing comes of any of it unless the options ask for the background. `leave_terminal` is
    called just before, and leaves the terminal as it was found.
    """

    def __init__(self, options: Options, log: Log, loop: Loop, leave_terminal: Callable[[], None]) -> None:
        self._options = options
        self._log = log
        self._loop = loop
        self._leave_terminal = leave_terminal
        self._awaited = 1
        self._due = options.fork_after_authentication

    def hold(self) -> None:
        """One thing more is waited for: a remote forward's confirmation, under ExitOnForwardFailure."""
        self._awaited += 1
        if self._due:
            self._log.debug2(f"going to the background waits for {self._awaited} things")

    def ready(self) -> None:
        """One of the things waited for stands. With the last of them the foreground is left.

        In the foreground this does not return: that process ends here, with status 0. Raises PysshError when the
        system lets us have no other.
        """
        self._awaited -= 1
        if self._due and self._awaited == 0:
            self._due = False
            self._log.debug1("forking to background")
            self._leave_terminal()
            detach(self._loop, self._let_go)

    def _let_go(self) -> None:
        """Hold nothing of the foreground's but what the session's command reads and writes.

        A stdout that nobody needs any more is given up: whoever waits for its end (`$(ssh -fN host)`) goes on.
        """
        options = self._options
        session = options.session_type != "none"
        null = os.open(os.devnull, os.O_RDWR)
        if options.stdin_null or not session or os.isatty(STDIN):
            os.dup2(null, STDIN)
        if not session and options.stdio_forward is None:
            os.dup2(null, STDOUT)
        if self._log.leave_stderr() and not session:
            os.dup2(null, STDERR)
        os.close(null)


def detach(loop: Loop, settle: Callable[[], None] | None = None) -> None:
    """Go on in a process of its own session, and end the one in the foreground with status 0 (daemon(3)); with
    `FAILED` if the new one does not come so far.

    `settle` is called in the new one, if it is given. The foreground stays until all of this is done: a terminal
    that is closed as soon as the caller's prompt is back hangs up nobody. The working directory and our
    descriptors stay; what the caller had open beside them is let go of. Raises PysshError when no process can be
    had.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise PysshError(f"daemon() failed: {error.strerror}") from None
    if child:
        status = FAILED
        try:
            os.close(writer)
            status = 0 if os.read(reader, 1) else FAILED
        finally:  # Ctrl-C as well: nothing is put in order, for all of it belongs to the child now
            os._exit(status)
    os.close(reader)
    os.setsid()
    while INHERITED:
        try:
            os.close(INHERITED.pop())
        except OSError:  # whatever its last write has come to is nothing of ours
            pass
    loop.renew()
    if settle:
        settle()
    try:
        os.write(writer, b"!")
    except OSError:  # somebody has ended the foreground already
        pass
    os.close(writer)
