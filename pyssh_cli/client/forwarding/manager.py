"""All forwards of one connection: those of the options, and those that are added and cancelled while it lives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.connection import Connection
from pyssh_cli.client.forwarding.context import Context
from pyssh_cli.client.forwarding.local import LocalForward, bind_host
from pyssh_cli.client.forwarding.remote import STREAMLOCAL, TCP, RemoteForward, asked_host, find, refuse_unknown
from pyssh_cli.config.forwards import Forward
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError, PysshError, WireError
from pyssh_cli.log import Log
from pyssh_cli.net.descriptors import raise_descriptor_limit
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.resolve import Resolver
from pyssh_cli.protocol import channels as ch

if TYPE_CHECKING:
    from pyssh_cli.client.reconnect import Waits

TRIES_FOR_A_PORT = 6
"""How often the next connection asks for the port that the server has allocated for the one before, three
quarters of a minute, until it takes any."""

_HELD = "the server may still hold it for the lost connection"
_STALE_SOCKET = (
    "the lost connection's socket may be left there: remove it, or have StreamLocalBindUnlink yes in sshd_config"
)

Done = Callable[[bool, int], None]
"""Told whether a forward stands, and the port it listens on (0 for a socket)."""


class Forwards:
    """The forwards of `connection`. `start` is for the moment when the user is in.

    They outlive a connection that is lost when another follows: between `pause` and `go_on` listeners stay, and
    who connects to them waits.
    """

    def __init__(self, options: Options, log: Log, loop: Loop, connection: Connection) -> None:
        self._options = options
        self._log = log
        self._context = Context(options, log, loop, connection, Resolver(loop))
        self._local: dict[Forward, LocalForward] = {}
        self._remote: list[RemoteForward] = []
        self._wanted: dict[Forward, int] = {}
        """The remote ones that the next connection asks for again, and the port that each had."""
        self._unsettled = 0
        self.when_settled: Callable[[], None] | None = None
        """Called once the server has answered for all the remote forwards of the options."""

    @property
    def settled(self) -> bool:
        """Whether the server has answered all that it was asked: before that, -f does not go to the background."""
        return not self._unsettled

    def start(self) -> None:
        """Set up what the options ask for (ssh(1), -L -R -D). Raises PysshError when ExitOnForwardFailure is set
        and one of them cannot be."""
        raise_descriptor_limit()
        stand = [self._add_local(forward) for forward in self._options.local_forwards]
        if not all(stand) and self._options.exit_on_forward_failure:
            raise PysshError("Could not request local forwarding.")
        if stand and not any(stand):
            self._log.error("Could not request local forwarding.")
        for forward in self._options.remote_forwards:
            self._wanted[forward] = forward.listen_port
            self._add_remote(forward, self._on_first_settled)

    def _on_first_settled(self, forward: Forward, stands: bool) -> None:
        if stands:
            return
        from pyssh_cli.client.hints import remote_forward_refused

        message = f"remote port forwarding failed for listen {_listens(forward)}{remote_forward_refused(forward)}"
        if self._options.exit_on_forward_failure:
            raise PysshError(f"Error: {message}")
        self._log.info(f"Warning: {message}")

    def add(self, forward: Forward, done: Done | None = None) -> bool:
        """One more, while the connection lives; whether it could be begun. What is there already is success, and
        the server may still refuse a remote one: `done` is told what came of it."""
        if forward.kind != "remote":
            stands = self._add_local(forward)
            if done:
                done(stands, forward.listen_port)
            return stands
        there = self._same_remote(forward)
        if there:
            if done:
                done(True, there.port)
            return True

        def settled(forward: Forward, stands: bool) -> None:
            there = self._same_remote(forward)
            if done:
                done(stands, there.port if there else 0)

        self._add_remote(forward, settled)
        return True

    def stop_listening(self) -> None:
        """Take no more connections; those that stand go on."""
        for forward, _ in self.active():
            self.cancel(forward)

    def cancel(self, forward: Forward) -> bool:
        """Let one go: nothing new comes through it, and what is open stays. False when there is none like it.

        A forward is known by where it listens; the target need not be said.
        """
        if forward.kind == "remote":
            there = self._find_remote(forward)
            wanted = there.forward if there else self._find_wanted(forward)
            if wanted:
                self._wanted.pop(wanted, None)
            if there:
                self._remote.remove(there)
                there.cancel()
            return wanted is not None
        gateway_ports = self._options.gateway_ports
        place = _place(forward, gateway_ports=gateway_ports)
        known = next((one for one in self._local if _place(one, gateway_ports=gateway_ports) == place), None)
        if known is None:
            return False
        self._local.pop(known).close()
        return True

    def active(self) -> list[tuple[Forward, int]]:
        """What stands now, each with the port that it listens on."""
        local = [(forward, forward.listen_port) for forward in self._local]
        return local + [(one.forward, one.port) for one in self._remote if one.stands]

    def close(self) -> None:
        """Listen no more."""
        for one in self._local.values():
            one.close()
        self._local.clear()
        if self._context.waiting:
            self._context.waiting.close()

    # From one connection to the next ----------------------------------------------------------------------------

    def pause(self) -> None:
        """The connection is lost: who connects to us waits for the next one."""
        from pyssh_cli.client.forwarding.waiting import WaitingRoom

        context = self._context
        context.waiting = context.waiting or WaitingRoom(context.loop, self._log)
        self._remote.clear()
        self._unsettled = 0

    def go_on(self, connection: Connection) -> None:
        """Forward over another connection, now that the user is in: who waits is served, and the server is asked
        for all remote forwards again, until it grants them."""
        from pyssh_cli.client.reconnect import Waits

        context = self._context
        context.connection = connection
        waiting, context.waiting = context.waiting, None
        for forward, port in list(self._wanted.items()):
            self._ask_again(connection, forward, port, Waits())
        if waiting:
            waiting.serve_all()

    def _ask_again(self, connection: Connection, forward: Forward, port: int, waits: Waits) -> None:
        context = self._context
        if connection is not context.connection or context.waiting or forward not in self._wanted:
            return

        def answered(stands: bool) -> None:
            if one not in self._remote:  # cancelled meanwhile
                return
            if stands:
                self._wanted[forward] = one.port
                if waits.taken:
                    self._log.info(f"Remote forwarding for listen {_listens(forward)} stands again.")
                return
            self._remote.remove(one)
            if not waits.taken:
                why = _STALE_SOCKET if forward.listen_path else _HELD
                self._log.info(
                    f"Warning: remote port forwarding failed for listen {_listens(forward)}"
                    f" ({why}); asking again until it succeeds"
                )
            when = monotonic() + waits.next()
            asked = forward.listen_port if waits.taken >= TRIES_FOR_A_PORT else port
            context.loop.call_at(when, partial(self._ask_again, connection, forward, asked, waits))

        one = RemoteForward(context, forward, answered)
        one.port = port
        self._register(one)

    def _add_local(self, forward: Forward) -> bool:
        if forward in self._local:
            return True
        try:
            self._local[forward] = LocalForward(self._context, forward)
        except NetworkError as error:
            self._log.error(str(error))
            return False
        return True

    def _same_remote(self, forward: Forward) -> RemoteForward | None:
        """The very one, of those that may lead from the same place to others."""
        return next((one for one in self._remote if one.forward == forward), None)

    def _find_remote(self, forward: Forward) -> RemoteForward | None:
        place = _place(forward)
        return next((one for one in self._remote if _is_at(one.forward, one.port, place)), None)

    def _find_wanted(self, forward: Forward) -> Forward | None:
        place = _place(forward)
        return next((one for one, port in self._wanted.items() if _is_at(one, port, place)), None)

    def _add_remote(self, forward: Forward, settled: Callable[[Forward, bool], None]) -> None:
        if self._same_remote(forward):
            return
        self._unsettled += 1

        def answered(stands: bool) -> None:
            self._unsettled -= 1
            if stands and one in self._remote:  # not cancelled meanwhile
                self._wanted[forward] = one.port
            settled(forward, stands)
            if not self._unsettled and self.when_settled:
                ready, self.when_settled = self.when_settled, None
                ready()
            if not stands and one in self._remote:
                self._remote.remove(one)

        one = RemoteForward(self._context, forward, answered)
        self._register(one)

    def _register(self, one: RemoteForward) -> None:
        for kind in (TCP, STREAMLOCAL):
            self._context.connection.openers[kind] = self._on_open
        self._remote.append(one)
        one.request()

    def _on_open(self, request: ch.OpenRequested) -> None:
        try:
            forward = find(self._remote, request)
        except WireError:
            forward = None
        if forward is None:
            refuse_unknown(self._context, request)
        else:
            forward.open(request)


def _listens(forward: Forward) -> str:
    return f"path {forward.listen_path}" if forward.listen_path else f"port {forward.listen_port}"


def _place(forward: Forward, *, gateway_ports: bool = False) -> tuple[str, str | None, int, str | None]:
    """Where it listens, and on which side: what means the same is the same, such as "localhost" and nothing."""
    if forward.listen_path is not None:
        host = None
    elif forward.kind == "remote":
        host = asked_host(forward.listen_host)
    else:
        host = bind_host(forward.listen_host, gateway_ports=gateway_ports)
    side = "remote" if forward.kind == "remote" else "local"
    return side, host, forward.listen_port, forward.listen_path


def _is_at(forward: Forward, port: int, place: tuple[str, str | None, int, str | None]) -> bool:
    """Whether a remote forward, which the server has given `port` if it asked for any, is the one at `place`."""
    return _place(forward) == place or (
        forward.listen_path is None
        and not forward.listen_port
        and _place(forward._replace(listen_port=port)) == place
    )
