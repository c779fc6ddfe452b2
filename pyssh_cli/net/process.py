"""ProxyCommand: a command, run by the person's shell, that carries a connection on its stdin and stdout, or hands
us a connected socket (ssh_config(5), ProxyCommand and ProxyUseFdpass)."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from time import monotonic

from pyssh_cli.errors import NetworkError
from pyssh_cli.net import LONGEST_WAIT
from pyssh_cli.net.loop import Loop

UNKNOWN_PEER = "UNKNOWN port 65535"
"""What ssh's messages call a server that somebody else connected us to."""

_left: list[int] = []
"""Processes whose status nobody has fetched, and that the system remembers until somebody does: where one
connection follows another, the next command sees to it."""

LAST_WORDS = 0.2
"""Seconds to wait for the status of a command that has just closed its stdout: it is about to end, if it does."""


_SHELL_SAYS = {126: ": it may not be executed", 127: ": there is no such program"}
"""Exit statuses by which a shell tells that it cannot run a command (POSIX, Shell Command Language 2.8.2)."""


class Command:
    """A command that runs beside us, started by the shell's `exec`. Raises NetworkError when there is no shell."""

    def __init__(self, command: str, descriptors: tuple[int, int]) -> None:
        _forget_ended()
        shell = os.environ.get("SHELL") or "/bin/sh"
        actions: Sequence[tuple[int, int, int]] = [
            (os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(descriptors)
        ]
        argv = [shell, "-c", f"exec {command}"]
        try:
            # Python has these ignored, which a command would inherit.
            ignored = [signal.SIGPIPE, signal.SIGXFSZ]
            self._pid = os.posix_spawn(shell, argv, os.environ, file_actions=actions, setsigdef=ignored)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise NetworkError(f"{shell}: {reason} (the shell for ProxyCommand: check $SHELL)") from None
        self._status: int | None = None

    def status(self, seconds: float = 0.0) -> int | None:
        """Its exit status once it has ended, negative for a signal; None if it has not within these seconds."""
        until = monotonic() + seconds
        while self._status is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:  # somebody has SIGCHLD ignored
                break
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif monotonic() >= until:
                break
            else:
                select.select((), (), (), 0.005)
        return self._status

    def how_it_ended(self) -> str:
        """What became of it, for the end of a message."""
        status = self.status(LAST_WORDS)
        if status is None:
            return " (its ProxyCommand has closed its output, but still runs)"
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
        return f" (its ProxyCommand {how}{_SHELL_SAYS.get(status, '')})"

    def hang_up(self) -> None:
        """Tell it to end, as ssh does; nobody waits until it has."""
        if self.status() is None:
            try:
                os.kill(self._pid, signal.SIGHUP)
            except OSError:
                pass
            self.leave()

    def leave(self) -> None:
        """Let it go on by itself."""
        _left.append(self._pid)


def _forget_ended() -> None:
    for pid in tuple(_left):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # somebody has SIGCHLD ignored, or it is the foreground's that we have left
            ended = pid
        if ended:
            _left.remove(pid)


class PipeCarrier:
    """Two descriptors that carry a connection: of the pipes to a command, or our own stdin and stdout.

    They are made non-blocking; those of others (`command` None) are put back at the end.
    """

    socket: socket.socket | None = None
    address = ""
    peer = UNKNOWN_PEER

    def __init__(self, loop: Loop, source: int, sink: int, command: Command | None) -> None:
        self._loop = loop
        self._source = source
        self._sink = sink
        self._command = command
        self._were_blocking = [fd for fd in (source, sink) if os.get_blocking(fd)]
        for fd in self._were_blocking:
            os.set_blocking(fd, False)

    @property
    def hint(self) -> str:
        """What became of the command."""
        return self._command.how_it_ended() if self._command else ""

    def send(self, data: memoryview) -> int:
        """Write what the pipe takes."""
        return os.write(self._sink, data)

    def recv_into(self, room: memoryview) -> int:
        """Read what there is."""
        return os.readv(self._source, [room])

    def watch(self, readable: Callable[[], None] | None, writable: Callable[[], None] | None) -> None:
        """Call back whenever one of the two can be done."""
        self._loop.watch(self._source, readable)
        self._loop.watch(self._sink, None, writable)

    def close(self) -> None:
        """Close both, and let the command end."""
        if self._command is None:
            for fd in self._were_blocking:
                os.set_blocking(fd, True)
        os.close(self._source)
        os.close(self._sink)
        if self._command:
            self._command.hang_up()


def run_command(loop: Loop, command: str) -> PipeCarrier:
    """Run a ProxyCommand, its tokens expanded. Raises NetworkError."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    try:
        running = Command(command, (theirs_in, theirs_out))
    except NetworkError:
        os.close(ours_in)
        os.close(ours_out)
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return PipeCarrier(loop, ours_in, ours_out, running)


def standard_streams(loop: Loop) -> PipeCarrier:
    """ProxyCommand `-`: our own stdin and stdout carry the connection, and /dev/null stands in their place."""
    carrier = PipeCarrier(loop, os.dup(0), os.dup(1), None)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.close(null)
    return carrier


def receive_socket(command: str, deadline: float | None) -> socket.socket:
    """Run a ProxyCommand that connects and hands us the socket (ProxyUseFdpass): it, non-blocking.

    Raises NetworkError when none comes, or none until `deadline`.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            running = Command(command, (theirs.fileno(), theirs.fileno()))
        poll = select.poll()
        poll.register(ours, select.POLLIN)
        left = None if deadline is None else max(0, int(min(deadline - monotonic(), LONGEST_WAIT) * 1000))
        try:
            if not poll.poll(left):
                raise NetworkError("Connection timed out: the ProxyCommand passed no descriptor back")
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        except BaseException:
            running.hang_up()
            raise
    if not descriptors:
        why = running.how_it_ended()
        running.hang_up()
        raise NetworkError(f"proxy dialer did not pass back a connection{why}")
    running.leave()
    os.set_inheritable(descriptors[0], False)
    try:
        sock = socket.socket(fileno=descriptors[0])
    except OSError as error:
        os.close(descriptors[0])
        raise NetworkError(f"proxy dialer passed back what is no socket: {error.strerror}") from None
    sock.setblocking(False)
    return sock
