"""Reconnect: how long to wait, what to try again, who may wait meanwhile, and what is asked of the next server."""

from __future__ import annotations

import select
import signal
import socket
import struct
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.cli.acts import Invocation
from pyssh_cli.client import reconnect, run
from pyssh_cli.client.forwarding import manager, remote, waiting
from pyssh_cli.client.forwarding.manager import TRIES_FOR_A_PORT, Forwards
from pyssh_cli.client.forwarding.waiting import MOST, PATIENCE, WaitingRoom
from pyssh_cli.client.reconnect import LONGEST_WAIT, Reconnecting, Waits, can_reconnect, worth_another_try
from pyssh_cli.client.way import Leg, Patience
from pyssh_cli.config.forwards import parse_forward
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import resolve
from pyssh_cli.errors import (
    AuthenticationError,
    ConfigError,
    HostKeyError,
    NegotiationError,
    NetworkError,
    PeerDisconnected,
    ProtocolError,
    PysshError,
    WireError,
)
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.protocol.channels import OpenRequested
from pyssh_cli.wire import Reader, text, uint32
from tests.unit.test_idle import Clock

# Waits


def test_waits_double_up_to_the_longest() -> None:
    waits = Waits(lambda: 1.0)
    assert [waits.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert waits.taken == 8
    waits.restart()
    assert (waits.taken, waits.next()) == (0, 1)


def test_chance_shortens_them_by_up_to_a_half() -> None:
    chances = iter((0.0, 0.5, 1.0))
    waits = Waits(lambda: next(chances))
    assert [waits.next() for _ in range(3)] == [0.5, 1.5, 4.0]


def test_waits_of_their_own_chance_stay_in_bounds() -> None:
    waits = Waits()
    lengths = [waits.next() for _ in range(3000)]
    assert 0.5 <= lengths[0] <= 1
    assert all(LONGEST_WAIT / 2 <= length <= LONGEST_WAIT for length in lengths[6:])
    assert len({*lengths}) > 2000


# Decisions


@pytest.mark.parametrize(
    ("error", "worth"),
    [
        (NetworkError("refused"), True),
        (ProtocolError("nonsense"), True),
        (WireError("nonsense"), True),
        (PeerDisconnected("bye", 11), True),
        (PeerDisconnected("too many connections", 12), True),
        (PeerDisconnected("no more methods", 14), False),
        (PeerDisconnected("not you", 1), False),
        (NegotiationError("no cipher"), False),
        (HostKeyError("changed"), False),
        (AuthenticationError("denied"), False),
        (ConfigError("bad"), False),
        (PysshError("a forward failed"), False),
    ],
)
def test_what_is_worth_another_try(error: PysshError, worth: bool) -> None:
    assert worth_another_try(error) is worth


def options_of(directory: Path, lines: str = "", command: str | None = None) -> Options:
    config = directory / "config"
    config.write_text(f"Reconnect yes\n{lines}")
    log = Log()
    settings = Invocation(log).settings
    return resolve(settings, "box", SystemNetwork(), log, config_file=str(config), command=command)


@pytest.mark.parametrize(
    ("lines", "command", "tty", "can"),
    [
        ("SessionType none", None, False, True),
        ("SessionType none\nForkAfterAuthentication yes\nBatchMode yes", None, False, True),
        ("SessionType none\nProxyCommand -", None, False, False),
        ("", None, True, True),
        ("", "run", True, True),
        ("", "run", False, False),
        ("", None, False, False),
        ("BatchMode yes", None, True, False),
        ("ForkAfterAuthentication yes", "run", True, False),
    ],
)
def test_which_sessions_can_be_followed_by_another(
    tmp_path: Path, lines: str, command: str | None, tty: bool, can: bool
) -> None:
    options = options_of(tmp_path, lines, command)
    assert can_reconnect(options, options, tty=tty) is can


def test_a_stream_cannot(tmp_path: Path) -> None:
    options = options_of(tmp_path)._replace(stdio_forward=parse_forward("box:1", kind="dynamic"))
    assert not can_reconnect(options, options, tty=True)


@pytest.mark.parametrize("foreground", [True, False])
def test_what_counts_for_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreground: bool
) -> None:
    monkeypatch.setattr(reconnect, "in_foreground", lambda: foreground)
    lines = "LocalCommand true\nForkAfterAuthentication yes\nConnectTimeout {}\n"
    options = options_of(tmp_path, lines.format("none"), "run")._replace(addresses=("192.0.2.1",))
    following = Reconnecting._next_options(options)
    assert following.batch_mode is not foreground
    assert following.connect_timeout == reconnect.CONNECT_TIMEOUT
    assert following == options._replace(
        addresses=(),
        batch_mode=not foreground,
        connect_timeout=following.connect_timeout,
        local_command=None,
        fork_after_authentication=False,
    )
    assert Reconnecting._next_options(options_of(tmp_path, lines.format(7), "run")).connect_timeout == 7


def test_what_is_lost_is_let_go_of_at_once(tmp_path: Path) -> None:
    class Lost:
        def __init__(self) -> None:
            self.itself = self

        def hand_on(self) -> tuple[None, None]:
            return None, None

    class Life:
        loop = session = None

        def __init__(self) -> None:
            self.connections = [Lost()]

        def close(self) -> None:
            self.connections = []

    life: Any = Life()
    gone = weakref.ref(life.connections[0])
    Reconnecting(life, [Leg(options_of(tmp_path), Log(), "box")])._leave()
    assert gone() is None


# Those who wait


class Pair:
    """A client's socket and ours, and whether it has been served."""

    def __init__(self, room: WaitingRoom, ends: tuple[socket.socket, socket.socket] | None = None) -> None:
        self.theirs, self.ours = ends or socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.settimeout(10)
        self.served = False
        room.add(self.ours, self._serve)

    def _serve(self) -> None:
        self.served = True

    def hung_up(self) -> bool:
        return self.ours.fileno() < 0

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    for module in (waiting, manager):
        monkeypatch.setattr(module, "monotonic", lambda: made.now)
    yield made
    made.close()


@pytest.fixture
def room(clock: Clock) -> WaitingRoom:
    return WaitingRoom(clock, Log())


def over_tcp() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        return theirs, listener.accept()[0]


@pytest.fixture
def join(room: WaitingRoom) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def one(ends: tuple[socket.socket, socket.socket] | None = None) -> Pair:
        made.append(Pair(room, ends))
        return made[-1]

    yield one
    for pair in made:
        pair.close()


def test_those_who_wait_are_served_once(room: WaitingRoom, clock: Clock, join: Callable[..., Pair]) -> None:
    silent, talking, half_closed = join(), join(), join()
    talking.theirs.sendall(b"GET")
    half_closed.theirs.sendall(b"GET")
    half_closed.theirs.shutdown(socket.SHUT_WR)
    room.serve_all()
    assert all(pair.served and not pair.hung_up() for pair in (silent, talking, half_closed))
    clock.move_to(clock.now + 10 * PATIENCE)
    room.close()
    assert not silent.hung_up()


def test_those_who_have_gone_are_not_served(room: WaitingRoom, join: Callable[..., Pair]) -> None:
    gone = join()
    gone.theirs.close()
    room.serve_all()
    assert gone.hung_up()
    assert not gone.served


def reset(pair: Pair) -> None:
    """Close their end rudely."""
    pair.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.theirs.close()


@pytest.mark.parametrize("make", [socket.socketpair, over_tcp])
def test_those_who_only_listen_any_more_are_served(
    room: WaitingRoom, join: Callable[..., Pair], make: Callable[[], tuple[socket.socket, socket.socket]]
) -> None:
    silent, talking = join(make()), join(make())
    talking.theirs.sendall(b"GET")
    for pair in (silent, talking):
        pair.theirs.shutdown(socket.SHUT_WR)
        assert select.select([pair.ours], [], [], 10)[0]
    room.serve_all()
    assert silent.served
    assert talking.served


def test_what_was_said_before_closing_counts(room: WaitingRoom, join: Callable[..., Pair]) -> None:
    pair = join()
    pair.theirs.sendall(b"one line for a log")
    pair.theirs.close()
    room.serve_all()
    assert pair.served


@pytest.mark.parametrize("said", [b"", b"GET"])
def test_those_who_have_reset_the_connection_are_not_served(
    room: WaitingRoom, join: Callable[..., Pair], said: bytes
) -> None:
    pair = join(over_tcp())
    pair.theirs.sendall(said)
    reset(pair)
    poll = select.poll()
    poll.register(pair.ours, select.POLLOUT)
    while not poll.poll(10_000)[0][1] & select.POLLHUP:
        pass
    room.serve_all()
    assert pair.hung_up()
    assert not pair.served


def test_patience_ends(room: WaitingRoom, clock: Clock, join: Callable[..., Pair]) -> None:
    first = join()
    clock.move_to(clock.now + PATIENCE - 1)
    second = join()
    assert not first.hung_up()
    clock.move_to(clock.now + 1)
    assert first.hung_up()
    assert not second.hung_up()
    room.serve_all()
    assert (first.served, second.served) == (False, True)


def test_there_is_room_for_so_many(room: WaitingRoom, join: Callable[..., Pair]) -> None:
    pairs = [join() for _ in range(MOST + 1)]
    assert [pair.hung_up() for pair in pairs] == [False] * MOST + [True]
    room.close()
    assert all(pair.hung_up() for pair in pairs)
    room.serve_all()
    assert not any(pair.served for pair in pairs)


# Remote forwards


class Next:
    """A connection whose server answers when the test says so."""

    def __init__(self) -> None:
        self.openers: dict[str, Any] = {}
        self.asked: list[tuple[str, int, Any]] = []
        self.refused: list[str] = []

    def global_request(self, name: str, fields: bytes, answered: Any = None) -> None:
        assert name in {"tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com"}
        reader = Reader(fields)
        self.asked.append((reader.text(), 0 if "streamlocal" in name else reader.uint32(), answered))

    def flush_soon(self) -> None:
        """Nothing is sent."""

    def refuse_channel(self, request: OpenRequested, reason: int, why: str) -> None:
        """The server hears that a channel cannot be."""
        self.refused.append(why)

    def answer(self, success: bool, port: int = 0) -> int:
        """Answer what was asked last; the port that it was asked for."""
        _, asked, answered = self.asked[-1]
        answered(success, uint32(port) if port else b"")
        return asked


@pytest.fixture
def forwards(tmp_path: Path, clock: Clock) -> Forwards:
    """Those of a connection that had a remote forward on a port that the server chose, 4711, and is lost."""
    options = options_of(tmp_path, "RemoteForward 0 box:1\n")
    first = Next()
    made = Forwards(options, Log(), clock, first)  # type: ignore[arg-type]
    made.start()
    assert first.answer(True, 4711) == 0
    made.pause()
    return made


def test_the_port_of_the_lost_connection_is_asked_for(forwards: Forwards) -> None:
    following = Next()
    forwards.go_on(following)  # type: ignore[arg-type]
    assert following.answer(True) == 4711
    assert [port for _, port in forwards.active()] == [4711]
    assert set(following.openers) == {"forwarded-tcpip", "forwarded-streamlocal@openssh.com"}
    forwards.close()


def test_any_port_is_taken_in_the_end(forwards: Forwards, clock: Clock) -> None:
    following = Next()
    forwards.go_on(following)  # type: ignore[arg-type]
    for number in range(1, TRIES_FOR_A_PORT + 1):
        assert following.answer(False) == 4711
        assert not forwards.active()
        clock.move_to(clock.now + LONGEST_WAIT)
        assert len(following.asked) == number + 1
    assert following.answer(True, 4712) == 0
    assert [port for _, port in forwards.active()] == [4712]
    forwards.pause()
    last = Next()
    forwards.go_on(last)  # type: ignore[arg-type]
    assert last.answer(True) == 4712
    forwards.close()


def test_nothing_more_is_asked_once_that_connection_is_lost_too(forwards: Forwards, clock: Clock) -> None:
    following, last = Next(), Next()
    forwards.go_on(following)  # type: ignore[arg-type]
    following.answer(False)
    forwards.pause()
    clock.move_to(clock.now + LONGEST_WAIT)
    assert len(following.asked) == 1
    forwards.go_on(last)  # type: ignore[arg-type]
    clock.move_to(clock.now + LONGEST_WAIT)
    assert (len(following.asked), len(last.asked)) == (1, 1)
    forwards.close()


def test_a_forward_that_is_cancelled_is_not_asked_for(forwards: Forwards, clock: Clock) -> None:
    following = Next()
    forwards.go_on(following)  # type: ignore[arg-type]
    following.answer(False)
    assert forwards.cancel(parse_forward("4711", kind="dynamic")._replace(kind="remote"))
    clock.move_to(clock.now + LONGEST_WAIT)
    assert len(following.asked) == 1
    assert not forwards.cancel(parse_forward("4711", kind="dynamic")._replace(kind="remote"))
    forwards.close()


@pytest.mark.parametrize("stands", [True, False])
def test_one_that_is_cancelled_before_the_server_answers_stays_so(
    forwards: Forwards, clock: Clock, stands: bool
) -> None:
    following, last = Next(), Next()
    forwards.go_on(following)  # type: ignore[arg-type]
    added = parse_forward("4712:box:1", kind="remote")
    assert forwards.add(added)
    requests = [answered for _, _, answered in following.asked]
    for port in ("4711", "4712"):
        assert forwards.cancel(parse_forward(port, kind="dynamic")._replace(kind="remote"))
    for answered in requests:
        answered(stands, b"")
    assert not forwards.active()
    forwards.pause()
    forwards.go_on(last)  # type: ignore[arg-type]
    clock.move_to(clock.now + LONGEST_WAIT)
    assert not last.asked
    forwards.close()


def test_a_channel_is_answered_where_it_was_asked_for(forwards: Forwards, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting may take longer than the connection lives, and the next has channels of the same numbers."""
    dialed: list[Callable[[None, OSError], None]] = []
    monkeypatch.setattr(remote, "dial_tcp", lambda *arguments: dialed.append(arguments[-1]))
    first, following = Next(), Next()
    forwards.go_on(first)  # type: ignore[arg-type]
    first.answer(True)
    place = text("localhost") + uint32(4711) + text("192.0.2.1") + uint32(1)
    first.openers["forwarded-tcpip"](OpenRequested("forwarded-tcpip", 0, 1 << 20, 1 << 15, place))
    forwards.pause()
    forwards.go_on(following)  # type: ignore[arg-type]
    dialed[0](None, OSError(111, "refused"))
    assert (first.refused, following.refused) == (["refused"], [])
    forwards.close()


# Signals


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_in_a_finalizer_ends_the_wait_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    handlers = [(number, signal.getsignal(number)) for number in run._ENDING]
    loop = Loop()
    try:
        run._end_on_signals(loop)
        Finalized()
        with pytest.raises(run.Killed):
            loop.run_once()
    finally:
        loop.close()
        for number, handler in handlers:
            signal.signal(number, handler)


# What is kept


class Lost:
    """A connection that is lost, with the forwards that it hands on."""

    def __init__(self, forwards: Any) -> None:
        self._forwards = forwards

    def hand_on(self) -> tuple[Any, None]:
        """What goes on."""
        return self._forwards, None


class Kept:
    """Forwards that tell whether they are closed."""

    closed = False

    def close(self) -> None:
        """Listen no more."""
        self.closed = True


class Life:
    """What runs one connection after the other."""

    session = None

    def __init__(self, loop: Clock) -> None:
        self.loop = loop
        self.connections: list[Any] = []

    def close(self) -> None:
        """It is over."""


@pytest.fixture
def reconnecting(tmp_path: Path, clock: Clock) -> Reconnecting:
    leg = Leg(options_of(tmp_path), Log(), "box")
    return Reconnecting(Life(clock), [leg])  # type: ignore[arg-type]


def test_forwards_that_an_untrusted_host_does_not_get_outlive_those_made_there(
    reconnecting: Reconnecting,
) -> None:
    life: Any = reconnecting._life
    kept: Any = Kept()
    made: Any = Kept()
    for forwards in (kept, made, None):
        life.connections = [Lost(forwards)]
        reconnecting._leave()
    assert (kept.closed, made.closed) == (False, True)
    assert reconnecting._forwards is kept


def test_a_system_without_a_thread_to_spare_is_asked_again(
    reconnecting: Reconnecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(NetworkError, match="can't start new thread") as failed:
        reconnecting._reach(reconnecting._way[0], Patience([1]))
    assert worth_another_try(failed.value)


def test_a_socket_that_the_lost_connection_left_there(
    tmp_path: Path, clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    first, following = Next(), Next()
    options = options_of(tmp_path, "RemoteForward /run/x box:1\n")
    forwards = Forwards(options, Log(), clock, first)  # type: ignore[arg-type]
    forwards.start()
    first.answer(True)
    forwards.pause()
    forwards.go_on(following)  # type: ignore[arg-type]
    following.answer(False)
    told = capfd.readouterr().err
    assert "failed for listen path /run/x (" in told
    assert "StreamLocalBindUnlink" in told
    clock.move_to(clock.now + LONGEST_WAIT)
    following.answer(True)
    assert "listen path /run/x stands again" in capfd.readouterr().err
    forwards.close()
