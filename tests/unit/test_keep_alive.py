"""ServerAliveInterval: when a server is asked for a word, and when it is given up."""

from __future__ import annotations

import heapq
from typing import Any

import pytest

from pyssh_cli.client import keep_alive
from pyssh_cli.client.keep_alive import KeepAlive
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork


class World:
    """A connection and a loop whose time passes as a test wishes; `asked` are the times of keep-alive messages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, options: Options) -> None:
        self.now = self.last_heard = 100.0
        self.authenticated = True
        self.peer = "192.0.2.1 port 22"
        self.asked: list[float] = []
        self.round_trip = self
        self._timers: list[tuple[float, int, Any]] = []
        monkeypatch.setattr(keep_alive, "monotonic", lambda: self.now)
        one: Any = self
        self.keep = KeepAlive(options, one, one)

    def call_at(self, when: float, callback: Any) -> Any:
        heapq.heappush(self._timers, (when, len(self._timers), callback))

    def pass_until(self, then: float) -> None:
        while self._timers and self._timers[0][0] <= then:
            self.now, _, callback = heapq.heappop(self._timers)
            callback()
        self.now = then

    def hear(self) -> None:
        self.last_heard = self.now

    def is_over(self) -> bool:
        return False

    def keep_alive(self) -> None:
        self.asked.append(self.now)

    def flush(self) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    options = resolve(Settings(), "box", SystemNetwork(), Log(), config_file="none")
    return World(monkeypatch, options._replace(server_alive_interval=10, server_alive_count_max=2))


def test_a_server_that_talks_is_not_asked(world: World) -> None:
    for when in range(101, 150):
        world.pass_until(when)
        world.hear()
    assert world.asked == []
    world.pass_until(158)
    assert world.asked == []
    world.pass_until(160)
    assert world.asked == [159]


def test_any_word_is_an_answer(world: World) -> None:
    world.pass_until(110)
    world.pass_until(119)
    assert world.asked == [110]
    world.hear()
    world.pass_until(135)
    assert world.asked == [110, 129]


def test_one_that_never_answers_is_given_up(world: World) -> None:
    with pytest.raises(
        NetworkError, match=r"Timeout, server box not .* \(2 keep-alive messages were not answered\)"
    ):
        world.pass_until(1000)
    assert (world.asked, world.now) == ([110, 120], 130)


def test_before_the_user_is_in_nothing_is_asked(world: World) -> None:
    world.authenticated = False
    world.pass_until(115)
    world.hear()
    world.pass_until(134)
    with pytest.raises(NetworkError, match=r"Connection to 192\.0\.2\.1 port 22 timed out"):
        world.pass_until(1000)
    assert (world.asked, world.now) == ([], 135)
