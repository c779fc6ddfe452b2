"""When typed keys leave: on which ticks, with what fake ones between and after, on a clock that the test moves."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest

from pyssh_cli.terminal.keystrokes import FAKE_AT_LEAST, FAKE_KEY, FAKE_SPREAD, FUZZ, KeyClock
from pyssh_cli.wire import string, uint32

INTERVAL = 0.02


def numbers(seed: int) -> Callable[[], float]:
    """Random numbers from 0 up to 1, the same in every run."""
    return random.Random(seed).random


def play(keys: list[float], until: float, seed: int = 1) -> tuple[list[tuple[float, float]], list[float]]:
    """Type at these times: (when typed, when it left) of each key, and when fake keys left."""
    clock = KeyClock(INTERVAL, numbers(seed))
    left: list[tuple[float, float]] = []
    fakes: list[float] = []
    held: list[float] = []
    upcoming = sorted(keys)
    now = 0.0
    while now < until:
        key = upcoming[0] if upcoming else until
        tick = clock.next_tick if clock.next_tick is not None else until
        now = min(key, tick, until)
        if now == key < until:
            upcoming.pop(0)
            if clock.typed(now):
                left.append((now, now))
            else:
                held.append(now)
        elif now == tick < until:
            if clock.tick(now, keys=bool(held)):
                fakes.append(now)
            left += [(typed, now) for typed in held]
            held = []
    assert not held
    return left, fakes


def test_first_key_leaves_at_once() -> None:
    assert play([1.0], 1.01)[0] == [(1.0, 1.0)]


@pytest.mark.parametrize("seed", range(20))
def test_no_key_waits_longer_than_the_interval(seed: int) -> None:
    source = numbers(seed)
    keys, now = [], 0.0
    for _ in range(300):
        now += source() * 0.3
        keys.append(now)
    left, _ = play(keys, now + 10, seed)
    assert len(left) == len(keys)
    assert max(at - typed for typed, at in left) <= INTERVAL


@pytest.mark.parametrize("seed", range(20))
def test_something_leaves_on_every_tick_whatever_was_typed(seed: int) -> None:
    quiet = play([1.0], 1.9, seed)
    busy = play([1.0, 1.05, 1.1, 1.11, 1.5], 1.9, seed)
    for left, fakes in (quiet, busy):
        departures = sorted({at for _, at in left} | set(fakes))
        gaps = [after - before for before, after in itertools.pairwise(departures)]
        assert all(INTERVAL * (1 - FUZZ) - 1e-9 <= gap <= INTERVAL + 1e-9 for gap in gaps)
        assert len(gaps) >= 0.8 / INTERVAL


@pytest.mark.parametrize("seed", range(20))
def test_fake_keys_go_on_for_a_while_after_the_last_key_and_then_stop(seed: int) -> None:
    _, fakes = play([1.0, 1.3], 20.0, seed)
    assert 1.3 + FAKE_AT_LEAST - INTERVAL <= fakes[-1] <= 1.3 + FAKE_AT_LEAST + FAKE_SPREAD + INTERVAL


def test_how_long_they_go_on_is_random() -> None:
    assert len({round(play([1.0], 20.0, seed)[1][-1], 1) for seed in range(20)}) > 5


def test_ticks_are_not_all_of_one_length_nor_are_two_bursts() -> None:
    _, fakes = play([1.0, 10.0], 20.0)
    gaps = [round(after - before, 6) for before, after in itertools.pairwise(fakes)]
    assert len(set(gaps)) > len(gaps) // 2
    assert sum(gaps[:40]) != sum(gaps[-40:])


def test_a_key_after_a_rest_leaves_at_once_again() -> None:
    assert play([1.0, 10.0], 20.0)[0] == [(1.0, 1.0), (10.0, 10.0)]


def test_missed_ticks_are_passed_over() -> None:
    clock = KeyClock(INTERVAL, numbers(1))
    assert clock.typed(1.0)
    assert clock.tick(1.5, keys=False)
    assert clock.next_tick is not None
    assert 1.5 < clock.next_tick <= 1.5 + INTERVAL


def test_stopped_clock_begins_anew() -> None:
    clock = KeyClock(INTERVAL, numbers(1))
    assert clock.typed(1.0)
    assert not clock.typed(1.001)
    clock.stop()
    assert clock.next_tick is None
    assert clock.typed(1.002)


def test_a_fake_key_is_as_long_as_a_real_one() -> None:
    real = bytes(1) + uint32(0) + string(b"x")
    fake = bytes(1) + string(FAKE_KEY)
    assert len(fake) == len(real)
