"""The event loop: what is called when, what is waited for, and what ends a wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pyssh_cli.net.loop import Loop


class Rounds(Loop):
    """A loop that keeps how long each of its waits was meant to be, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self.waits.append(timeout)
        return super()._wait(0.0)


@pytest.fixture
def rounds() -> Iterator[Rounds]:
    made = Rounds()
    yield made
    made.close()


def test_what_is_called_soon_is_not_followed_by_a_wait(rounds: Rounds) -> None:
    called: list[str] = []
    rounds.call_soon(lambda: called.append("soon"))
    rounds.run_once()
    assert (called, rounds.waits) == (["soon"], [0.0])
    rounds.run_once()
    assert (called, rounds.waits) == (["soon"], [0.0, None])


def test_no_wait_is_longer_than_the_system_counts() -> None:
    loop, reader_writer = Loop(), os.pipe()
    loop.watch(reader_writer[0], lambda: None)
    os.write(reader_writer[1], b"x")
    loop.call_at(1e12, lambda: None)
    loop.run_once(1e12)
    loop.close()
    for fd in reader_writer:
        os.close(fd)


def test_what_a_callback_asks_for_is_called_in_the_same_round(rounds: Rounds) -> None:
    called: list[str] = []
    reader, writer = os.pipe()
    os.write(writer, b"x")

    def on_readable() -> None:
        called.append(os.read(reader, 1).decode())
        rounds.call_soon(lambda: called.append("soon"))

    rounds.watch(reader, on_readable)
    rounds.call_at(0.0, lambda: rounds.call_soon(lambda: called.append("soon after the timer")))
    rounds.run_once()
    assert called == ["x", "soon", "soon after the timer"]
    assert len(rounds.waits) == 1
    rounds.watch(reader)
    os.close(reader)
    os.close(writer)


def test_who_asks_again_and_again_lets_others_have_their_turn(rounds: Rounds) -> None:
    called: list[str] = []

    def again() -> None:
        called.append("again")
        rounds.call_soon(again)

    rounds.call_soon(again)
    for _ in range(3):
        rounds.run_once()
    assert (called, rounds.waits) == (["again"] * 3, [0.0] * 3)


def test_a_signals_handler_ends_the_wait() -> None:
    loop, called = Loop(), list[str]()
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: loop.call_soon(lambda: called.append("soon")))
    try:
        loop.wake_on_signals()
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while not called:
            loop.run_once()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.close()
        signal.signal(signal.SIGALRM, before)
    assert called == ["soon"]


class Mistake(Exception):
    """What a callback of a test raises."""


def test_an_error_comes_out_and_the_others_are_called_all_the_same(rounds: Rounds) -> None:
    called: list[str] = []

    def fail() -> None:
        rounds.call_soon(lambda: called.append("asked for since"))
        raise Mistake

    for one in (lambda: called.append("before"), fail, lambda: called.append("behind"), fail):
        rounds.call_soon(one)
    rounds.call_soon(lambda: called.append("last"))
    with pytest.raises(Mistake):
        rounds.run_once()
    assert called == ["before"]
    with pytest.raises(Mistake):
        rounds.run_once()
    assert called == ["before", "behind"]
    rounds.run_once()
    assert called == ["before", "behind", "last", "asked for since", "asked for since"]
    assert rounds.waits == [0.0] * 3
    rounds.run_once()
    assert (len(called), rounds.waits[3:]) == (5, [None])


def test_an_error_of_what_a_thread_asked_for_keeps_nothing_from_being_called(rounds: Rounds) -> None:
    called: list[str] = []

    def fail() -> None:
        raise Mistake

    rounds.prepare_for_threads()
    for one in (fail, lambda: called.append("behind"), fail, lambda: called.append("last")):
        rounds.call_from_thread(one)
    for _ in range(2):
        with pytest.raises(Mistake):
            rounds.run_once()
    rounds.run_once()
    assert called == ["behind", "last"]
    rounds.run_once()
    assert rounds.waits[-1] is None
