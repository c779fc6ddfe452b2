"""Telling what is being waited for: when, to whom, and how the line looks and goes."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyssh_cli import log as lg
from pyssh_cli import waiting
from pyssh_cli.client.way import HopLog
from pyssh_cli.errors import AgentError
from pyssh_cli.log import NEVER, Log
from pyssh_cli.net import names
from pyssh_cli.net.tcp import Place, ready
from pyssh_cli.net.unix import AgentSocket


class Told(Log):
    """A log that tells at once, and notes what it was given to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.when_told: Callable[[], None] = lambda: None

    def tell_at(self) -> float:
        return 1.0  # long ago

    def waits_for(self, what: str) -> None:
        self.told.append(what)
        self.when_told()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What goes to the terminal, which has 40 columns and is ours."""
    pieces: list[str] = []
    monkeypatch.setattr(waiting, "write_all", lambda fd, data: pieces.append(data.decode()))
    monkeypatch.setattr(waiting, "_in_foreground", lambda: True)
    monkeypatch.setattr(waiting, "_columns", lambda: 40)
    monkeypatch.setattr(os, "isatty", lambda fd: fd == 2)
    monkeypatch.setenv("TERM", "xterm")
    before = [signal.getsignal(number) for number in waiting._ENDING]
    yield pieces
    assert [signal.getsignal(number) for number in waiting._ENDING] == before


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(lg, "monotonic", lambda: now[0])
    monkeypatch.setattr(waiting, "monotonic", lambda: now[0])
    return now


def test_the_line_comes_after_a_while_and_goes_before_anything_is_said(
    written: list[str], time: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log()
    log.tells_waits = True
    assert log.tell_at() == 101.5
    time[0] = 101.5
    log.waits_for("One")
    time[0] = log.tell_at()
    assert time[0] == 102.5
    log.waits_for("One")
    log.waits_for("Two \x1b[31m")
    assert written == ["\r\x1b[KOne (1 s)", "\r\x1b[KOne (2 s)", "\r\x1b[KTwo \\033[31m"]
    log.info("said")
    assert written[3:] == ["\r\x1b[K"]
    assert log.tell_at() == 104.0  # it may come back
    log.clear()
    assert len(written) == 4
    log.waits_for("Three")
    log.waits_for("")
    log.raw = True
    log.waits_for("Four")
    assert written[4:] == ["\r\x1b[KThree (1 s)", "\r\x1b[K"]


def test_who_is_not_told(written: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Log().tell_at() == NEVER
    for spoil in ("raw", "_silent", "_syslog"):
        log = Log()
        log.tells_waits = True
        setattr(log, spoil, True)
        assert log.tell_at() == NEVER
    log = Log()
    log.tells_waits = True
    log.open_file(str(tmp_path / "log"))
    assert log.tell_at() == NEVER
    monkeypatch.setenv("TERM", "dumb")
    log = Log()
    log.tells_waits = True
    assert log.tell_at() == NEVER
    log.clear()
    assert log.tell_at() == NEVER


def test_a_hop_tells_by_the_log_of_the_destination() -> None:
    log = Told()
    hop = HopLog(log, lg.QUIET, "gate")
    assert hop.tell_at() == 1.0
    hop.waits_for("it")
    hop.clear()
    assert log.told == ["it"]


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("hello\nyou", "hello (at gate)\nyou"),
        ("\n\nhello\nyou", "\n\nhello (at gate)\nyou"),
        ("@ of box", "@ of box (at gate)"),
        ("welcome to gate", "welcome to gate (at gate)"),
    ],
)
def test_what_a_hop_s_server_says_is_marked_whatever_it_is(
    quoted: str, shown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    hop = HopLog(Log(), lg.INFO, "gate")
    hop.quote(quoted)
    assert capfd.readouterr().err == f"{shown}\n"
    hop.info("gate is ours to name")
    assert capfd.readouterr().err == "gate is ours to name\n"


def test_the_line_is_cut_and_goes_from_a_narrower_window_as_well(
    written: list[str], time: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = waiting.WaitingLine(98.0)
    line.show("x" * 50)
    assert written == ["\r\x1b[K" + "x" * 33 + " (2 s)"]
    monkeypatch.setattr(waiting, "_columns", lambda: 13)
    line.erase()
    assert written[1:] == ["\r\x1b[2A\x1b[J"]
    line.erase()
    assert len(written) == 2
    line.show("\u4f60" * 20)
    assert written[2:] == ["\r\x1b[K" + "\u4f60" * 6]
    monkeypatch.setattr(waiting, "_columns", lambda: 4)
    line.show("abcdef")
    line.erase()
    assert written[-2].endswith("abc")


def test_in_the_background_nothing_is_written(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = waiting.WaitingLine(0.0)
    monkeypatch.setattr(waiting, "_in_foreground", lambda: False)
    line.show("it")
    line.erase()
    assert written == []


def test_a_signal_that_comes_before_the_line_takes_its_course(
    written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[tuple[int, object]] = []
    monkeypatch.setattr(signal, "raise_signal", lambda number: raised.append((number, signal.getsignal(number))))
    line = waiting.WaitingLine(0.0)
    line._catch_signals()
    line._on_signal(signal.SIGTERM, None)
    assert raised == [(signal.SIGTERM, signal.SIG_DFL)]  # once: nothing catches it again
    assert written == []


def test_waiting_for_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Told()
    near, far = socket.socketpair()
    with near, far:
        poll = select.poll()
        poll.register(near, select.POLLIN)
        assert ready(poll, 0.0, log, lambda: "it") == []
        assert log.told == []
        log.when_told = lambda: None if len(log.told) < 3 else far.close()
        assert ready(poll, None, log, lambda: "it")
        assert log.told == ["it"] * 3
        assert ready(poll, None, Log(), lambda: "it")
        assert ready(poll, 1e12, Log(), lambda: "it")


def test_what_connecting_is_called() -> None:
    place = Place("host", "box", 22, ("192.0.2.1", "192.0.2.2"))
    assert place.waits_for(2) == "Connecting to box, 192.0.2.2 port 22 (address 2 of 2)"
    assert Place("host", "192.0.2.1", 22, ("192.0.2.1",)).waits_for(1) == "Connecting to 192.0.2.1 port 22"
    place = Place("proxy", "p", 1080, ("192.0.2.1",))
    assert place.waits_for(1) == "Connecting to the proxy p, 192.0.2.1 port 1080"


def test_a_slow_look_up_is_told_and_comes_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Told()
    told = threading.Event()
    log.when_told = told.set
    real = socket.getaddrinfo

    def slow(host: bytes, port: str, family: int, kind: int, protocol: int, flags: int) -> object:
        if flags & socket.AI_NUMERICHOST and host == b"slow.test":
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        if host == b"slow.test":
            assert told.wait(60)
            return real("192.0.2.1", port, family, kind, protocol, flags)
        raise socket.gaierror(socket.EAI_AGAIN, "never")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    assert names.addresses_of("slow.test", 22, "any", log=log).addresses == ("192.0.2.1",)
    assert set(log.told) == {"Looking up slow.test"}
    with pytest.raises(socket.gaierror, match="never"):
        names.addresses_of("other.test", 22, "any", log=log)


def test_where_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    log = Told()
    assert names.addresses_of("localhost", 22, "inet", log=log).addresses == ("127.0.0.1",)
    assert log.told == []


def test_an_agent_that_waits_for_a_touch(tmp_path: Path) -> None:
    log = Told()
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        agent = AgentSocket(path, 60.0)
        near, _ = listener.accept()
        with near:
            log.when_told = near.close
            with pytest.raises(AgentError):
                agent.exchange(b"\0\0\0\1x", None, told=(log, "touch it"))
    assert log.told
    assert set(log.told) == {"touch it"}
