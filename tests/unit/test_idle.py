"""ChannelTimeout: which rule is for which channel, and when a channel has been idle for long enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pyssh_cli.client import idle
from pyssh_cli.client.idle import IdleTimeouts, global_limit, idle_limit
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.channels import Channel, Channels
from pyssh_cli.wire import uint32


@pytest.mark.parametrize(
    ("rules", "names", "limit"),
    [
        ((), ("session",), 0),
        ((("session", 5),), ("session", "session:shell"), 5),
        ((("session:shell", 5),), ("session", "session:shell"), 5),
        ((("session:command", 5),), ("session", "session:shell"), 0),
        ((("*", 5),), ("session",), 5),
        ((("direct-*", 3), ("*", 5)), ("direct-tcpip",), 3),
        ((("direct-*", 3), ("*", 5)), ("session",), 5),
        ((("session", 0), ("*", 5)), ("session",), 0),
        ((("global", 5),), ("global",), 0),
        ((("global", 5), ("*", 7)), ("session",), 7),
    ],
)
def test_the_first_rule_that_fits_wins(
    rules: tuple[tuple[str, int], ...], names: tuple[str, ...], limit: int
) -> None:
    assert idle_limit(rules, *names) == limit


@pytest.mark.parametrize(
    ("rules", "limit"), [((), 0), ((("*", 5),), 0), ((("*", 5), ("global", 7)), 7), ((("global", 0),), 0)]
)
def test_no_wildcard_stands_for_all_channels_at_once(rules: tuple[tuple[str, int], ...], limit: int) -> None:
    assert global_limit(rules) == limit


class Clock(Loop):
    """A loop whose timers run when the test moves the time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.timers: list[tuple[float, Timer]] = []

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self.timers.append((when, timer))
        return timer

    def move_to(self, when: float) -> None:
        """Run what is due until then."""
        while due := [entry for entry in self.timers if entry[0] <= when and entry[1].callback]:
            first = min(due, key=lambda entry: entry[0])
            self.timers.remove(first)
            self.now = max(self.now, first[0])
            assert first[1].callback is not None
            first[1].callback()
        self.now = when


class Watched:
    """Channels that are open, and a watch over them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *rules: tuple[str, int]) -> None:
        self.clock = Clock()
        monkeypatch.setattr(idle, "monotonic", lambda: self.clock.now)
        self.channels = Channels(lambda *_: None)
        self.expired: list[tuple[int, int]] = []
        self.watch = IdleTimeouts(self.clock, self.channels, rules, self._expire)

    def _expire(self, channel: Channel, seconds: int) -> None:
        self.expired.append((channel.local_id, seconds))
        self.channels.close(channel)

    def open(self, kind: str) -> Channel:
        channel = self.channels.open(kind)
        self.channels.now = self.clock.now
        numbers = uint32(channel.local_id) + uint32(7) + uint32(1 << 20) + uint32(1 << 15)
        self.channels.receive(memoryview(bytes((m.CHANNEL_OPEN_CONFIRMATION,)) + numbers))
        self.watch.add(channel)
        return channel

    def use(self, channel: Channel) -> None:
        self.channels.now = self.clock.now
        self.channels.sent(channel, 1)


def test_idle_channel_is_closed_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("session", 10))
    watched.open("session")
    watched.clock.move_to(109.9)
    assert not watched.expired
    watched.clock.move_to(110.0)
    assert watched.expired == [(0, 10)]


def test_use_puts_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("session", 10))
    channel = watched.open("session")
    watched.clock.move_to(109)
    watched.use(channel)
    watched.clock.move_to(118.9)
    assert not watched.expired
    watched.clock.move_to(119)
    assert watched.expired == [(0, 10)]


def test_received_data_is_use_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("session", 10))
    watched.open("session")
    watched.clock.move_to(105)
    watched.channels.now = 105
    watched.channels.receive(memoryview(bytes((m.CHANNEL_DATA,)) + uint32(0) + uint32(1) + b"x"))
    watched.clock.move_to(114.9)
    assert not watched.expired


def test_each_channel_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("session", 10), ("direct-tcpip", 3))
    watched.open("session")
    watched.clock.move_to(104)
    watched.open("direct-tcpip")
    watched.clock.move_to(120)
    assert watched.expired == [(1, 3), (0, 10)]


def test_all_at_once_only_when_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("global", 10))
    watched.open("session")
    forward = watched.open("direct-tcpip")
    watched.clock.move_to(108)
    watched.use(forward)
    watched.clock.move_to(117)
    assert not watched.expired
    watched.clock.move_to(118)
    assert watched.expired == [(0, 10), (1, 10)]


def test_kinds_go_by_the_names_of_the_manual(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("x11-connection", 1), ("agent-connection", 2))
    watched.open("x11")
    watched.open("auth-agent@openssh.com")
    watched.clock.move_to(200)
    assert watched.expired == [(0, 1), (1, 2)]


def test_a_new_one_may_be_due_before_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("session", 100), ("direct-tcpip", 3))
    watched.open("session")
    watched.clock.move_to(110)
    watched.open("direct-tcpip")
    watched.clock.move_to(112.9)
    assert not watched.expired
    watched.clock.move_to(113)
    assert watched.expired == [(1, 3)]
    watched.clock.move_to(200)
    assert watched.expired == [(1, 3), (0, 100)]


def test_what_opens_after_all_were_closed_is_watched_too(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, ("global", 10))
    watched.open("direct-tcpip")
    watched.clock.move_to(120)
    watched.open("direct-tcpip")
    watched.clock.move_to(129.9)
    assert watched.expired == [(0, 10)]
    watched.clock.move_to(130)
    assert watched.expired == [(0, 10), (1, 10)]


def test_a_thousand_that_open_do_not_make_each_other_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    looks = 0

    def limit(_rules: tuple[tuple[str, int], ...], *names: str) -> int:
        asked.append(names)
        return 5

    def look(_channels: Channels) -> Iterator[Channel]:
        nonlocal looks
        looks += 1
        return iter(())

    watched = Watched(monkeypatch, ("direct-*", 5))
    monkeypatch.setattr(idle, "idle_limit", limit)
    monkeypatch.setattr(Channels, "__iter__", look)
    for _ in range(1000):
        watched.open("direct-tcpip")
    assert asked == [("direct-tcpip", "direct-tcpip")]
    assert looks == 0
    assert len(watched.clock.timers) == 1
