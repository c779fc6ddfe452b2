"""Listening, connecting and looking names up without waiting: when the system says no, or not yet."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log
from pyssh_cli.net import dial, listen
from pyssh_cli.net.descriptors import RESERVED
from pyssh_cli.net.dial import Dial, dial_tcp, dial_unix
from pyssh_cli.net.listen import Listener, open_unix
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.process import run_command
from pyssh_cli.net.resolve import Resolver

Told = list[tuple[socket.socket | None, OSError | None]]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


# Connecting -----------------------------------------------------------------------------------------------------


@pytest.fixture
def full(tmp_path: Path) -> Iterator[socket.socket]:
    """A Unix socket at "full" with as many connections waiting as it has room for."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "full"))
        listener.listen(0)
        waiting = []
        while True:
            one = socket.socket(socket.AF_UNIX)
            one.setblocking(False)
            waiting.append(one)
            if one.connect_ex(str(tmp_path / "full")) == errno.EAGAIN:
                break
        yield listener
        for one in waiting:
            one.close()


def test_a_unix_socket_with_too_many_waiting_is_waited_for(
    loop: Loop, full: socket.socket, tmp_path: Path
) -> None:
    told: Told = []
    dial_unix(loop, str(tmp_path / "full"), lambda *answer: told.append(answer))
    assert not told
    full.accept()[0].close()
    while not told:
        loop.run_once()
    sock, error = told[0]
    assert (error, len(told)) == (None, 1)
    assert sock is not None
    with sock:
        assert not sock.getblocking()
        assert sock.getpeername() == str(tmp_path / "full")


def test_it_is_not_waited_for_without_end(
    loop: Loop, full: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "PATIENCE", 0.0)
    told: Told = []
    dial_unix(loop, full.getsockname(), lambda *answer: told.append(answer))
    assert [(sock, error and error.errno) for sock, error in told] == [(None, errno.EAGAIN)]


def test_whoever_gives_up_is_not_called_back(loop: Loop, full: socket.socket, tmp_path: Path) -> None:
    told: Told = []
    path = os.fsencode(tmp_path / "full")
    one = Dial(loop, [(socket.AF_UNIX, path)], lambda *answer: told.append(answer))
    one.cancel()
    full.accept()[0].close()
    loop.run_once(monotonic() + 3 * dial.ROOM_SECONDS)
    assert not told


def test_the_next_place_is_tried(loop: Loop, tmp_path: Path) -> None:
    told: Told = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "here"))
        listener.listen()
        places = [os.fsencode(tmp_path / name) for name in ("nowhere", "x" * 200, "here")]
        Dial(loop, [(socket.AF_UNIX, place) for place in places], lambda *answer: told.append(answer))
        ((sock, error),) = told
        assert error is None
        assert sock is not None
        sock.close()


def test_no_thread_to_look_a_name_up(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    told: Told = []
    resolver = Resolver(loop)
    for _ in range(20):
        dial_tcp(loop, resolver, "name.invalid", 1, "any", lambda *answer: told.append(answer))
    loop.run_once()
    assert [(sock, error and error.strerror) for sock, error in told] == [(None, "can't start new thread")] * 20


# Listening ------------------------------------------------------------------------------------------------------


class Exhausted(socket.socket):
    """A listener whose process has no descriptor left for what comes first."""

    failures = 1

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, and then do."""
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@pytest.fixture
def exhausted() -> Iterator[Exhausted]:
    with Exhausted() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        made.setblocking(False)
        yield made


@pytest.mark.parametrize(("pause", "comes"), [(1000.0, False), (0.0, True)])
def test_nothing_is_accepted_for_a_time_when_there_are_no_descriptors(
    loop: Loop,
    exhausted: Exhausted,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    pause: float,
    comes: bool,
) -> None:
    monkeypatch.setattr(listen, "PAUSE", pause)
    accepted: list[socket.socket] = []
    listener = Listener(loop, Log(), [exhausted], lambda one, _address: accepted.append(one))
    with socket.create_connection(exhausted.getsockname()):
        for _ in range(10):  # however often the loop looks
            loop.run_once(monotonic())
        assert bool(accepted) is comes
        assert capfd.readouterr().err.split() == ["accept:", *os.strerror(errno.EMFILE).split()]
    listener.close()
    for one in accepted:
        one.close()


@pytest.fixture
def twelve_left() -> Iterator[Callable[[], None]]:
    """Sets the limit so that twelve more descriptors can be had at most."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit() -> None:
        probe = os.dup(0)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 12, limits[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_connections_leave_the_last_descriptors_to_others(
    loop: Loop, twelve_left: Callable[[], None], capfd: pytest.CaptureFixture[str]
) -> None:
    accepted: list[socket.socket] = []
    told: Told = []
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(open(os.devnull)) for _ in range(40)]  # the limit is above thirty-two
        place = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        place.setblocking(False)
        for _ in range(12):
            opened.enter_context(socket.create_connection(place.getsockname()))
        listener = Listener(loop, Log(), [place], lambda one, _address: accepted.append(one))
        twelve_left()
        for _ in range(30):
            loop.run_once(monotonic())
        Dial(loop, [(socket.AF_INET, place.getsockname())], lambda *answer: told.append(answer))
        assert 0 < len(accepted) <= 12 - RESERVED
        assert [(sock, error and error.errno) for sock, error in told] == [(None, errno.EMFILE)]
        for _ in range(RESERVED):
            held.append(opened.enter_context(open(os.devnull)))
        listener.close()
    for one in accepted:
        one.close()
    assert capfd.readouterr().err.split() == ["accept:", *os.strerror(errno.EMFILE).split()]


def test_our_unix_sockets_are_removed_and_no_others(loop: Loop, tmp_path: Path) -> None:
    ours, replaced, gone = (tmp_path / name for name in ("ours", "replaced", "gone"))
    sockets = [open_unix(str(path), 0o177, Log(), unlink=False) for path in (ours, replaced, gone)]
    listener = Listener(loop, Log(), sockets, lambda one, _address: one.close())
    replaced.unlink()
    replaced.write_text("somebody else's")
    gone.unlink()
    listener.close()
    assert [path.name for path in tmp_path.iterdir()] == ["replaced"]


def test_a_socket_that_cannot_be_removed_is_left(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "here"
    listener = Listener(
        loop, Log(), [open_unix(str(path), 0o177, Log(), unlink=False)], lambda one, _address: one.close()
    )

    def refuse(_path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        listener.close()
    assert path.exists()


def test_proxy_commands_that_follow_each_other_leave_no_processes_behind(loop: Loop) -> None:
    def children() -> set[str]:
        tasks = Path(f"/proc/{os.getpid()}/task")
        return {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}

    before = children()
    run_command(loop, "cat").close()
    (first,) = children() - before
    os.waitid(os.P_PID, int(first), os.WEXITED | os.WNOWAIT)
    run_command(loop, "cat").close()
    (second,) = children() - before
    assert second != first
    os.waitpid(int(second), 0)


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    """As one may become when its tokens are replaced."""
    with pytest.raises(NetworkError, match=r"cannot bind to path .*too long"):
        open_unix(str(tmp_path / ("x" * 120)), 0o177, Log(), unlink=True)


def test_the_umask_is_put_back(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with open_unix(str(tmp_path / "one"), 0o177, Log(), unlink=False), pytest.raises(NetworkError):
            open_unix(str(tmp_path / "one"), 0o177, Log(), unlink=False)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
