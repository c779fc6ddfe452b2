"""A connection without a server: who may open how many channels, and what becomes of those who come too late."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from pyssh_cli.client import owners
from pyssh_cli.client.connection import Connection
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol import messages as m
from pyssh_cli.terminal.questions import Questions
from pyssh_cli.wire import string, uint32


class Nowhere:
    """A carrier that takes everything and brings nothing."""

    socket = None
    address = ""
    peer = "nowhere"
    hint = ""

    def send(self, data: memoryview) -> int:
        return len(data)

    def recv_into(self, _room: memoryview) -> int:
        raise BlockingIOError

    def watch(self, *_callbacks: object) -> None:
        pass

    def close(self) -> None:
        pass


class Owner:
    """Writes down that it was told of the end."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def connection_ended(self) -> None:
        self.told.append("end")


class World:
    """A connection on which the user is in; `sent` are the numbers of the messages that its channels send."""

    def __init__(self, **fields: object) -> None:
        """`fields` are those of the options that are not the defaults."""
        log = Log()
        options = resolve(Settings(), "box", SystemNetwork(), log, config_file="none")._replace(**fields)  # type: ignore[arg-type]
        self.loop = Loop()
        self.connection: Any = Connection(options, log, self.loop, Nowhere(), Questions(log, True))
        self.sent: list[int] = []
        self.connection.channels._send = lambda *parts: self.sent.append(b"".join(parts)[0])
        self.connection.authenticated = True

    def asks(self, number: int) -> None:
        """The server wants to open a channel."""
        payload = bytes((m.CHANNEL_OPEN,)) + string(b"x") + uint32(number) + uint32(1000) + uint32(1000)
        self.connection._on_payload(memoryview(payload))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def test_channels_that_wait_for_an_answer_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "MAX_CHANNELS", 3)
    requests: list[ch.OpenRequested] = []
    world.connection.openers["x"] = requests.append
    for number in range(4):
        world.asks(number)
    assert (len(requests), world.sent) == (3, [m.CHANNEL_OPEN_FAILURE])
    world.connection.refuse_channel(requests[0], 2, "no")
    world.connection.accept_channel(requests[1], Owner())
    world.asks(4)
    world.asks(5)
    assert [request.remote_id for request in requests] == [0, 1, 2, 4]
    assert world.sent[-1] == m.CHANNEL_OPEN_FAILURE


def test_who_comes_after_the_end_is_told_of_it(world: World) -> None:
    requests: list[ch.OpenRequested] = []
    world.connection.openers["x"] = requests.append
    world.asks(0)
    main, late, later = Owner(), Owner(), Owner()
    world.connection.owner = main
    main.is_over = lambda: False  # type: ignore[attr-defined]
    world.connection._on_end(None)
    assert main.told == ["end"]
    world.connection.accept_channel(requests[0], late)
    world.connection.open_channel("y", b"", later)
    assert (late.told, later.told) == ([], [])  # not before they know their channel
    assert not world.connection.still_open(main)
    world.loop.run_once()
    assert (late.told, later.told) == (["end"], ["end"])


def test_what_is_still_written_is_given_up_at_the_end(world: World) -> None:
    main, slow = Owner(), Owner()
    main.is_over = lambda: False  # type: ignore[attr-defined]
    world.connection.owner = main
    world.connection.draining.add(slow)
    world.connection._on_end(None)
    assert slow.told == ["end"]


def test_a_loop_that_goes_on_keeps_no_closed_connection() -> None:
    world = World(server_alive_interval=1000, channel_timeouts=(("*", 1000),))
    connection = world.connection
    connection.handshake.keys_judged = True
    connection._watch_for_silence()
    connection._watch_for_idle()
    connection.accept_channel(ch.OpenRequested("x", 0, 1000, 1000, b""), Owner())
    connection.close()
    gone = weakref.ref(connection)
    del connection, world.connection
    gc.collect()
    assert gone() is None
    world.loop.close()
