"""Forwards without a network: whose channel is whose, windows of many channels, what the far side may ask for."""

from __future__ import annotations

import pytest

from pyssh_cli.client.forwarding.local import direct_channel
from pyssh_cli.client.forwarding.remote import permitted
from pyssh_cli.client.owners import Owners
from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol.windows import MIN_WINDOW
from pyssh_cli.wire import string, text, uint32


class Owner:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_channel_event(self, event: ch.Event) -> None:
        self.told.append(type(event).__name__)

    def batch_done(self) -> None:
        self.told.append("batch")

    def may_send(self) -> None:
        self.told.append("room")

    def timed_out(self, channel: ch.Channel) -> None:
        self.told.append(channel)

    def connection_ended(self) -> None:
        self.told.append("end")


def test_each_owner_hears_of_its_own_channels() -> None:
    owners, one, other = Owners(), Owner(), Owner()
    first, second = ch.Channel(0, "a"), ch.Channel(1, "b")
    owners.add(first, one)
    owners.add(second, other)
    assert owners.tell(ch.Data(first, 0, memoryview(b"x")), first)
    assert owners.tell(ch.Data(first, 0, memoryview(b"y")), first)
    assert owners.tell(ch.Eof(second), second)
    owners.batch_done()
    owners.batch_done()
    assert one.told == ["Data", "Data", "batch"]
    assert other.told == ["Eof"]


def test_a_closed_channel_is_nobodys() -> None:
    owners, one = Owners(), Owner()
    channel = ch.Channel(0, "a")
    owners.add(channel, one)
    assert owners.others(None)
    assert not owners.others(one)
    assert owners.tell(ch.Closed(channel), channel)
    assert not owners.others(None)
    assert not owners.tell(ch.Eof(channel), channel)
    assert one.told == ["Closed"]


def test_those_turned_away_are_invited_in_turn_as_long_as_there_is_room() -> None:
    owners, waiting = Owners(), [Owner(), Owner(), Owner()]
    for owner in waiting:
        owners.turn_away(owner)
    room = iter([True, True, False])
    owners.invite(lambda: next(room))
    assert [owner.told for owner in waiting] == [["room"], ["room"], []]
    owners.invite(lambda: True)
    assert [owner.told for owner in waiting] == [["room"], ["room"], ["room"]]


def test_everybody_hears_of_the_end_once() -> None:
    owners, one = Owners(), Owner()
    owners.add(ch.Channel(0, "a"), one)
    owners.add(ch.Channel(1, "a"), one)
    owners.connection_ended()
    owners.connection_ended()
    assert one.told == ["end"]


def test_nobody_is_taken_after_the_end() -> None:
    owners, late = Owners(), Owner()
    owners.connection_ended()
    assert not owners.add(ch.Channel(0, "a"), late)
    assert not owners.others(None)
    assert owners.of(ch.Channel(0, "a")) is None


def test_a_channel_of_the_servers_is_confirmed_with_what_it_may_send() -> None:
    sent: list[bytes] = []
    channels = ch.Channels(lambda *parts: sent.append(b"".join(parts)))
    fields = text("localhost") + uint32(80) + text("1.2.3.4") + uint32(5)
    payload = bytes((90,)) + text("forwarded-tcpip") + uint32(7) + uint32(1000) + uint32(500) + fields
    request = channels.receive(memoryview(payload))
    assert request == ch.OpenRequested("forwarded-tcpip", 7, 1000, 500, fields)
    assert isinstance(request, ch.OpenRequested)
    channel = channels.accept(request, 65536)
    assert sent == [bytes((91,)) + uint32(7) + uint32(channel.local_id) + uint32(65536) + uint32(ch.MAX_PACKET)]
    assert (channel.sendable, channel.remote_max_packet, channel.open) == (1000, 500, True)
    got = channels.receive(memoryview(bytes((94,)) + uint32(channel.local_id) + string(b"abc")))
    assert isinstance(got, ch.Data)
    assert bytes(got.data) == b"abc"


def test_a_channel_with_packets_of_no_size_is_a_protocol_error() -> None:
    channels = ch.Channels(lambda *_parts: None)
    with pytest.raises(ProtocolError, match="maximum packet size of 0"):
        channels.receive(memoryview(bytes((90,)) + text("x11") + uint32(7) + uint32(1000) + uint32(0)))


def test_the_first_windows_of_many_channels_are_bounded_together() -> None:
    channels = ch.Channels(lambda *_parts: None)
    windows = []
    for _ in range(1000):
        windows.append(channels.first_window())
        channels.open("direct-tcpip", b"", windows[-1])
    assert windows[0] == ch.INITIAL_WINDOW
    assert windows[-1] == MIN_WINDOW
    assert sum(windows) < 160 * 1024 * 1024


def test_a_small_window_opens_again_before_it_is_used_up() -> None:
    sent: list[bytes] = []
    channels = ch.Channels(lambda *parts: sent.append(b"".join(parts)))
    channel = channels.open("direct-tcpip", b"", MIN_WINDOW)
    channels.receive(memoryview(bytes((91,)) + uint32(0) + uint32(3) + uint32(1000) + uint32(1000)))
    sent.clear()
    half = MIN_WINDOW // 2
    channels.receive(memoryview(bytes((94,)) + uint32(0) + string(bytes(half))))
    channels.consumed(channel, half, 1.0)
    assert sent == [bytes((93,)) + uint32(3) + uint32(half)]


def test_a_global_requests_reply_brings_back_what_was_given_with_it() -> None:
    channels = ch.Channels(lambda *_parts: None)
    channels.global_request("one", want_reply=True, context="first")
    channels.global_request("two", want_reply=True)
    assert channels.receive(memoryview(b"\x51\x00\x00\x00\x07")) == ch.RequestAnswered(
        None, "one", True, b"\0\0\0\x07", "first"
    )
    assert channels.receive(memoryview(b"\x52")) == ch.RequestAnswered(None, "two", False)


@pytest.mark.parametrize(
    ("places", "host", "port", "allowed"),
    [
        (("any",), "anything", 1, True),
        (("none",), "localhost", 80, False),
        (("localhost:80",), "localhost", 80, True),
        (("localhost:80",), "LOCALHOST", 80, True),
        (("localhost:80",), "localhost", 81, False),
        (("localhost:80",), "127.0.0.1", 80, False),
        (("*:80",), "whatever", 80, True),
        (("a:*",), "a", 9, True),
        (("a:*",), "b", 9, False),
        (("[::1]:22", "x:1"), "::1", 22, True),
        (("[::1]:22", "x:1"), "x", 1, True),
        ((), "x", 1, False),
    ],
)
def test_permit_remote_open(places: tuple[str, ...], host: str, port: int, allowed: bool) -> None:
    assert permitted(places, host, port) is allowed


def test_the_channel_that_connects_from_the_server() -> None:
    kind, fields = direct_channel("h", 80, None, ("1.2.3.4", 5))
    assert (kind, fields) == ("direct-tcpip", text("h") + uint32(80) + text("1.2.3.4") + uint32(5))
    kind, fields = direct_channel(None, 0, "/run/x", ("1.2.3.4", 5))
    assert (kind, fields) == ("direct-streamlocal@openssh.com", text("/run/x") + text("") + uint32(0))
