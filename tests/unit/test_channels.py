"""Channels: their life, windows in both directions, requests and replies, and what a server may not do."""

from __future__ import annotations

from random import Random

import pytest

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol.windows import UNHELD_RATE
from pyssh_cli.wire import boolean, string, text, uint32

REMOTE = 42


class Connection:
    """Channels whose messages gather in `sent`."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.channels = ch.Channels(lambda *parts: self.sent.append(b"".join(parts)))

    def receive(self, *parts: bytes) -> ch.Event | None:
        return self.channels.receive(memoryview(b"".join(parts)))

    def take(self) -> list[bytes]:
        sent, self.sent = self.sent, []
        return sent

    def opened(self, window: int = 1 << 20, packet: int = 32768, remote: int = REMOTE) -> ch.Channel:
        """A channel that the server has confirmed."""
        channel = self.channels.open("session")
        assert self.receive(confirm(channel.local_id, remote, window, packet)) == ch.Opened(channel)
        self.take()
        return channel

    def refuse(self, *parts: bytes, match: str | None = None) -> None:
        """The message is refused, and nothing is sent for it."""
        with pytest.raises(ProtocolError, match=match):
            self.receive(*parts)
        assert self.sent == []


def confirm(local: int, remote: int = REMOTE, window: int = 1 << 20, packet: int = 32768) -> bytes:
    return bytes((91,)) + uint32(local) + uint32(remote) + uint32(window) + uint32(packet)


def refusal(local: int, reason: int = 2, message: str = "no") -> bytes:
    return bytes((92,)) + uint32(local) + uint32(reason) + text(message) + text("")


def adjust(local: int, count: int) -> bytes:
    return bytes((93,)) + uint32(local) + uint32(count)


def data(local: int, content: bytes) -> bytes:
    return bytes((94,)) + uint32(local) + string(content)


def extended(local: int, stream: int, content: bytes) -> bytes:
    return bytes((95,)) + uint32(local) + uint32(stream) + string(content)


def eof(local: int) -> bytes:
    return bytes((96,)) + uint32(local)


def close(local: int) -> bytes:
    return bytes((97,)) + uint32(local)


def request(local: int, name: str, want_reply: bool = False, fields: bytes = b"") -> bytes:
    return bytes((98,)) + uint32(local) + text(name) + boolean(want_reply) + fields


def answer(local: int, success: bool) -> bytes:
    return bytes((99 if success else 100,)) + uint32(local)


def bulk(connection: Connection, channel: ch.Channel, count: int) -> None:
    """The server sends `count` bytes in packets of 32 KiB."""
    while count:
        piece = min(count, ch.MAX_PACKET)
        assert connection.receive(data(channel.local_id, bytes(piece))) is not None
        count -= piece


def grants(connection: Connection) -> list[int]:
    """The window adjusts that were sent, and nothing else was."""
    sent = connection.take()
    assert all(payload[:5] == bytes((93,)) + uint32(REMOTE) and len(payload) == 9 for payload in sent)
    return [int.from_bytes(payload[5:], "big") for payload in sent]


# Opening ---------------------------------------------------------------------------------------------------------


def test_open() -> None:
    connection = Connection()
    channel = connection.channels.open("session")
    other = connection.channels.open("direct-tcpip", b"fields")
    sizes = uint32(ch.INITIAL_WINDOW) + uint32(ch.MAX_PACKET)
    assert connection.take() == [
        bytes((90,)) + text("session") + uint32(0) + sizes,
        bytes((90,)) + text("direct-tcpip") + uint32(1) + sizes + b"fields",
    ]
    assert not channel.open
    assert channel.sendable == 0
    assert connection.receive(confirm(1, 7, 1000, 100)) == ch.Opened(other)
    assert (other.remote_id, other.remote_window, other.remote_max_packet) == (7, 1000, 100)
    assert other.open
    assert other.sendable == 1000
    assert len(connection.channels) == 2


def test_open_refused() -> None:
    connection = Connection()
    channel = connection.channels.open("session")
    assert connection.receive(refusal(0, 4, "out of \x1b things")) == ch.OpenRefused(
        channel, 4, "out of \x1b things"
    )
    assert len(connection.channels) == 0
    assert not channel.open
    connection.take()
    connection.refuse(refusal(0))
    connection.refuse(confirm(0))


def test_confirmed_or_refused_twice() -> None:
    connection = Connection()
    channel = connection.opened()
    connection.refuse(confirm(channel.local_id), match="twice")
    connection.refuse(refusal(channel.local_id), match="had opened")


def test_numbers_are_not_used_again() -> None:
    connection = Connection()
    for number in range(5):
        channel = connection.opened()
        assert channel.local_id == number
        connection.receive(close(number))
        connection.take()
        connection.refuse(data(number, b"late"), match="does not exist")


def test_open_again_is_the_same_channel() -> None:
    connection = Connection()
    channel = connection.channels.open("session")
    connection.channels.open_again(channel)
    first, second = connection.take()
    assert first == second
    assert connection.receive(confirm(0)) == ch.Opened(channel)


def test_a_channel_that_takes_no_data_at_all_is_refused() -> None:
    """With a maximum packet size of 0 no byte could ever be sent, however wide the window."""
    connection = Connection()
    connection.channels.open("session")
    connection.take()
    connection.refuse(confirm(0, packet=0), match="packet size")


@pytest.mark.parametrize("message", [adjust(0, 5), data(0, b"x"), extended(0, 1, b"x"), eof(0), close(0),
                                     request(0, "exit-status"), answer(0, True), answer(0, False)])  # fmt: skip
def test_before_it_is_confirmed(message: bytes) -> None:
    connection = Connection()
    connection.channels.open("session")
    connection.take()
    connection.refuse(message, match="not open")


@pytest.mark.parametrize("number", [*range(91, 101)])
def test_unknown_channels(number: int) -> None:
    connection = Connection()
    connection.opened()
    for channel in (1, REMOTE, 2**31, 2**32 - 1):
        connection.refuse(bytes((number,)) + uint32(channel) + bytes(20), match="does not exist")


# Data from the server --------------------------------------------------------------------------------------------


def test_data() -> None:
    connection = Connection()
    channel = connection.opened()
    event = connection.receive(data(0, b"hello"))
    assert event == ch.Data(channel, 0, memoryview(b"hello"))
    assert connection.receive(data(0, b"")) is None
    assert connection.receive(extended(0, 1, b"oops")) == ch.Data(channel, 1, memoryview(b"oops"))
    event = connection.receive(extended(0, 2**32 - 1, b"?"))
    assert isinstance(event, ch.Data)
    assert event.stream == 2**32 - 1
    event = connection.receive(extended(0, 0, b"odd"))  # not to be taken for stdout
    assert isinstance(event, ch.Data)
    assert event.stream != 0
    assert channel.bytes_received == 5 + 4 + 1 + 3
    assert channel.window.left == ch.INITIAL_WINDOW - 13


def test_data_is_a_view() -> None:
    connection = Connection()
    connection.opened()
    payload = bytearray(data(0, b"hello"))
    event = connection.channels.receive(memoryview(payload))
    assert isinstance(event, ch.Data)
    payload[-1:] = b"!"
    assert bytes(event.data) == b"hell!"


@pytest.mark.parametrize("good", [data(0, b"abc"), extended(0, 1, b"abc")])
def test_data_of_another_length(good: bytes) -> None:
    connection = Connection()
    channel = connection.opened()
    for length in range(1, len(good)):
        connection.refuse(good[:length])
    connection.refuse(good, b"x")
    assert channel.window.left == ch.INITIAL_WINDOW


@pytest.mark.parametrize("kind", ["data", "extended"])
def test_more_than_the_window(kind: str) -> None:
    def message(count: int) -> bytes:
        return data(0, bytes(count)) if kind == "data" else extended(0, 1, bytes(count))

    connection = Connection()
    channel = connection.opened()
    bulk(connection, channel, ch.INITIAL_WINDOW - 10)
    connection.refuse(message(11), match="window")
    assert connection.receive(message(10)) is not None
    assert channel.window.left == 0
    connection.refuse(message(1), match="window")
    assert connection.receive(message(0)) is None


def test_data_after_eof() -> None:
    connection = Connection()
    channel = connection.opened()
    connection.receive(data(0, b"last"))
    assert connection.receive(eof(0)) == ch.Eof(channel)
    connection.refuse(data(0, b"x"), match="would not")
    connection.refuse(extended(0, 1, b"x"), match="would not")
    # Requests, replies, adjusts and CLOSE may still come (RFC 4254 section 5.3).
    assert isinstance(connection.receive(request(0, "exit-status", fields=uint32(3))), ch.ChannelRequest)
    assert connection.receive(adjust(0, 5)) == ch.WindowOpened(channel)
    assert connection.receive(close(0)) == ch.Closed(channel)


def test_eof_is_told_once() -> None:
    connection = Connection()
    channel = connection.opened()
    assert connection.receive(eof(0)) == ch.Eof(channel)
    assert connection.receive(eof(0)) is None


@pytest.mark.parametrize("message", [eof(0), close(0), answer(0, True), answer(0, False)])
def test_bytes_too_many(message: bytes) -> None:
    connection = Connection()
    channel = connection.opened()
    connection.channels.request(channel, "x", want_reply=True)
    connection.take()
    connection.refuse(message, b"\0", match="too many")


# Our window ------------------------------------------------------------------------------------------------------


def test_half_of_the_window_is_given_back() -> None:
    connection = Connection()
    channel = connection.opened()
    half = ch.INITIAL_WINDOW // 2
    bulk(connection, channel, ch.INITIAL_WINDOW)
    connection.channels.consumed(channel, half - 1, 1.0)
    assert grants(connection) == []
    connection.channels.consumed(channel, 1, 1.0)
    assert grants(connection) == [half]
    assert channel.window.left == half
    connection.channels.consumed(channel, half, 2.0)
    assert grants(connection) == [half]
    assert channel.window.left == ch.INITIAL_WINDOW
    assert channel.window.unreturned == channel.window.held == 0


def test_accounts_are_exact() -> None:
    random = Random(41)
    connection = Connection()
    channel = connection.opened()
    connection.channels.round_trip = 0.1
    granted, received, waiting, now = ch.INITIAL_WINDOW, 0, 0, 1.0
    for _ in range(20_000):
        count = min(random.randrange(40_000), granted - received)
        connection.receive(data(0, bytes(count)))
        received += count
        waiting += count
        if random.random() < 0.5:
            done = random.randint(0, waiting)
            waiting -= done
            now += random.random() / 10
            connection.channels.consumed(channel, done, now)
            granted += sum(grants(connection))
        assert channel.window.left == granted - received
        assert channel.window.held == waiting
        assert channel.window.left + channel.window.held + channel.window.unreturned == channel.window.size
        assert ch.INITIAL_WINDOW <= channel.window.size <= ch.MAX_WINDOW
    assert channel.bytes_received == received
    if granted > received:
        connection.refuse(data(0, bytes(granted - received + 1)), match="window")


def run(
    round_trip: float, seconds_for_a_window: float, *, known: float, lag: int = 0, rounds: int = 12
) -> ch.Channel:
    """A server that fills each window in a given time; the reader stays `lag` bytes behind."""
    connection = Connection()
    channel = connection.opened()
    connection.channels.round_trip = known
    now, behind = 100.0, 0
    for _ in range(rounds * 16):
        piece = channel.window.size // 16
        if piece > channel.window.left:
            break
        now += max(seconds_for_a_window, round_trip) / 16
        bulk(connection, channel, piece)
        behind += piece
        done = max(0, behind - lag)
        behind -= done
        connection.channels.consumed(channel, done, now)
    return channel


def test_window_grows_when_it_holds_the_sender_back() -> None:
    channel = run(0.1, 0.1, known=0.1)
    assert channel.window.size == ch.MAX_WINDOW


def test_window_does_not_grow_when_the_sender_is_slow() -> None:
    assert run(0.1, 1.0, known=0.1).window.size == ch.INITIAL_WINDOW


def test_window_does_not_grow_when_the_path_is_what_takes_long() -> None:
    assert run(0.1, 0.38, known=0.1).window.size == ch.MAX_WINDOW
    assert run(0.1, 0.44, known=0.1).window.size == ch.INITIAL_WINDOW


def test_window_does_not_grow_when_both_ends_do_all_they_can() -> None:
    """As on loopback, where the answer that was measured came late."""
    at_full_rate = ch.INITIAL_WINDOW / UNHELD_RATE
    assert run(0.0001, at_full_rate * 0.9, known=0.01).window.size == ch.INITIAL_WINDOW
    assert run(0.0001, at_full_rate * 1.2, known=0.01).window.size > ch.INITIAL_WINDOW


def test_first_window_counts_from_its_grant() -> None:
    """A whole one that comes in one burst, a round trip after it was granted, was held back."""
    connection = Connection()
    connection.channels.now = 5.0
    channel = connection.opened()
    connection.channels.round_trip = 0.1
    for _ in range(2):
        bulk(connection, channel, ch.INITIAL_WINDOW // 2)
        connection.channels.consumed(channel, ch.INITIAL_WINDOW // 2, 5.1)
    bulk(connection, channel, ch.INITIAL_WINDOW // 2)
    connection.channels.consumed(channel, ch.INITIAL_WINDOW // 2, 5.2)
    assert channel.window.size > ch.INITIAL_WINDOW


def test_window_of_a_channel_that_is_gone_stays_as_it_is() -> None:
    connection = Connection()
    channel, other = connection.opened(), connection.opened()
    connection.channels.round_trip = 10.0
    bulk(connection, channel, ch.INITIAL_WINDOW)
    connection.channels.consumed(channel, 1, 1.0)
    connection.receive(bytes((97,)), uint32(channel.local_id))
    connection.take()
    connection.channels.consumed(channel, ch.INITIAL_WINDOW - 1, 2.0)
    assert connection.take() == []
    assert (channel.window.size, channel.window.held) == (ch.INITIAL_WINDOW, 0)
    assert channel.window.all.total == other.window.size


def test_window_does_not_grow_when_no_round_trip_is_known() -> None:
    assert run(0.1, 0.1, known=0.0).window.size == ch.INITIAL_WINDOW


def test_window_does_not_grow_when_the_reader_is_slow() -> None:
    assert run(0.1, 0.1, known=0.1, lag=ch.INITIAL_WINDOW * 5 // 8).window.size == ch.INITIAL_WINDOW


def test_window_does_not_grow_at_once() -> None:
    """It takes a whole window, not the first half of one."""
    connection = Connection()
    channel = connection.opened()
    connection.channels.round_trip = 0.1
    bulk(connection, channel, ch.INITIAL_WINDOW // 2)
    connection.channels.consumed(channel, ch.INITIAL_WINDOW // 2, 1.0)
    assert grants(connection) == [ch.INITIAL_WINDOW // 2]
    assert channel.window.size == ch.INITIAL_WINDOW


def test_growth_is_granted_and_bounded() -> None:
    connection = Connection()
    channel = connection.opened()
    connection.channels.round_trip = 10.0
    sizes, now = [], 1.0
    for _ in range(40):
        count = channel.window.left // 2
        bulk(connection, channel, count)
        now += 0.01
        connection.channels.consumed(channel, count, now)
        sizes.append(channel.window.size)
        assert channel.window.left + channel.window.unreturned == channel.window.size
    assert sizes == sorted(sizes)
    assert sorted(set(sizes)) == [ch.INITIAL_WINDOW, 4 * ch.INITIAL_WINDOW, ch.MAX_WINDOW]


def small(connection: Connection) -> ch.Channel:
    """A channel for a person to look at: its window begins small."""
    channel = connection.channels.open("session", window=1000, max_window=5000)
    connection.receive(confirm(channel.local_id))
    assert connection.take()[0].endswith(uint32(1000) + uint32(ch.MAX_PACKET))
    return channel


def test_small_window_grows_to_its_own_limit() -> None:
    connection = Connection()
    channel = small(connection)
    connection.channels.round_trip = 10.0
    sizes = []
    for now in range(1, 40):
        count = channel.window.left // 2
        bulk(connection, channel, count)
        connection.channels.consumed(channel, count, now / 100)
        sizes.append(channel.window.size)
    assert sorted(set(sizes)) == [1000, 4000, 5000]


def test_small_window_narrows_again_when_the_reader_falls_behind() -> None:
    connection = Connection()
    channel = small(connection)
    connection.channels.round_trip = 10.0
    now = 1.0
    while channel.window.size < 5000:
        count = channel.window.left // 2
        bulk(connection, channel, count)
        now += 0.01
        connection.channels.consumed(channel, count, now)
    connection.channels.round_trip = 0.0001
    for _ in range(200):
        bulk(connection, channel, channel.window.left)
        now += 1.0
        connection.channels.consumed(channel, min(100, channel.window.held), now)
        assert channel.window.left + channel.window.held + channel.window.unreturned == channel.window.size
        assert channel.window.left + channel.window.held <= 5000
    assert channel.window.size == 1000
    assert channel.window.left + channel.window.held <= 1000


def test_times_of_use_are_those_of_the_owner() -> None:
    connection = Connection()
    connection.channels.now = 5.0
    channel = connection.opened()
    assert (channel.opened_at, channel.last_used) == (5.0, 5.0)
    connection.channels.now = 6.0
    connection.receive(data(0, b"x"))
    assert channel.last_used == 6.0
    connection.channels.now = 7.0
    connection.channels.sent(channel, 1)
    assert (channel.opened_at, channel.last_used) == (5.0, 7.0)
    assert list(connection.channels) == [channel]


def test_a_channel_of_the_servers_is_used_from_when_it_is_accepted() -> None:
    connection = Connection()
    connection.channels.now = 5.0
    channel = connection.channels.accept(ch.OpenRequested("x11", 9, 1000, 100, b""))
    assert (channel.opened_at, channel.last_used) == (5.0, 5.0)


def test_no_grant_when_no_data_can_come() -> None:
    for end in (eof(0), close(0)):
        connection = Connection()
        channel = connection.opened()
        bulk(connection, channel, ch.INITIAL_WINDOW)
        connection.receive(end)
        connection.take()
        connection.channels.consumed(channel, ch.INITIAL_WINDOW, 1.0)
        assert connection.sent == []
    connection = Connection()
    channel = connection.opened()
    bulk(connection, channel, ch.INITIAL_WINDOW)
    connection.channels.close(channel)
    connection.take()
    connection.channels.consumed(channel, ch.INITIAL_WINDOW, 1.0)
    assert connection.sent == []


# The server's window ---------------------------------------------------------------------------------------------


def test_sending() -> None:
    connection = Connection()
    channel = connection.opened(window=100)
    assert connection.channels.data_prefix(channel) == bytes((94,)) + uint32(REMOTE)
    connection.channels.sent(channel, 60)
    assert channel.sendable == 40
    assert connection.receive(adjust(0, 10)) == ch.WindowOpened(channel)
    assert channel.sendable == 50
    assert channel.bytes_sent == 60
    connection.channels.eof(channel)
    assert channel.sendable == 0
    connection.channels.eof(channel)
    assert connection.take() == [bytes((96,)) + uint32(REMOTE)]


def test_window_has_32_bits() -> None:
    connection = Connection()
    channel = connection.opened(window=100)
    connection.receive(adjust(0, 2**32 - 1 - 100))
    assert channel.sendable == 2**32 - 1
    connection.receive(adjust(0, 0))
    connection.refuse(adjust(0, 1), match="wider")
    connection = Connection()
    connection.opened(window=2**32 - 1)
    connection.refuse(adjust(0, 2**32 - 1), match="wider")


# Requests and replies --------------------------------------------------------------------------------------------


def test_requests_of_ours() -> None:
    connection = Connection()
    channel = connection.opened()
    connection.channels.request(channel, "env", text("A") + text("b"))
    connection.channels.request(channel, "exec", text("true"), want_reply=True)
    assert connection.take() == [
        bytes((98,)) + uint32(REMOTE) + text("env") + b"\0" + text("A") + text("b"),
        bytes((98,)) + uint32(REMOTE) + text("exec") + b"\1" + text("true"),
    ]
    assert connection.receive(answer(0, True)) == ch.RequestAnswered(channel, "exec", True)
    connection.refuse(answer(0, True), match="not made")
    connection.refuse(answer(0, False), match="not made")


def test_replies_come_in_order_by_channel() -> None:
    connection = Connection()
    one, two = connection.opened(), connection.opened(remote=43)
    for name in ("a", "b", "c"):
        connection.channels.request(one, name, want_reply=True)
        connection.channels.request(two, name + "2", want_reply=True)
        connection.channels.global_request(name + "3", want_reply=True)
        connection.channels.request(one, "silent")
        connection.channels.global_request("silent")
    for name, success in (("a", True), ("b", False), ("c", True)):
        assert connection.receive(answer(1, success)) == ch.RequestAnswered(two, name + "2", success)
        assert connection.receive(answer(0, not success)) == ch.RequestAnswered(one, name, not success)
        expected = ch.RequestAnswered(None, name + "3", True, b"port")
        assert connection.receive(bytes((81,)), b"port") == expected
    connection.take()
    connection.refuse(answer(0, True))
    connection.refuse(bytes((81,)), match="not made")
    connection.refuse(bytes((82,)), match="not made")


def test_global_requests() -> None:
    connection = Connection()
    connection.channels.global_request("keepalive@openssh.com", want_reply=True)
    connection.channels.global_request("x", b"fields")
    assert connection.take() == [
        bytes((80,)) + text("keepalive@openssh.com") + b"\1",
        bytes((80,)) + text("x") + b"\0fields",
    ]
    assert connection.receive(bytes((82,))) == ch.RequestAnswered(None, "keepalive@openssh.com", False)
    event = connection.receive(bytes((80,)), text("hostkeys-00@openssh.com"), boolean(False), b"keys")
    assert event == ch.GlobalRequest("hostkeys-00@openssh.com", False, b"keys")
    connection.channels.reply_global(True, b"fields")
    connection.channels.reply_global(False)
    assert connection.take() == [bytes((81,)) + b"fields", bytes((82,))]
    connection.refuse(bytes((80,)), text("x"))


def test_requests_of_the_servers() -> None:
    connection = Connection()
    channel = connection.opened()
    event = connection.receive(request(0, "exit-status", fields=uint32(3)))
    assert event == ch.ChannelRequest(channel, "exit-status", False, uint32(3))
    event = connection.receive(request(0, "keepalive@openssh.com", want_reply=True))
    assert event == ch.ChannelRequest(channel, "keepalive@openssh.com", True, b"")
    connection.channels.reply(channel, True)
    connection.channels.reply(channel, False)
    assert connection.take() == [bytes((99,)) + uint32(REMOTE), bytes((100,)) + uint32(REMOTE)]
    connection.refuse(request(0, "exit-status")[:-1])
    connection.channels.close(channel)
    connection.take()
    connection.channels.reply(channel, True)
    assert connection.sent == []


def test_channels_of_the_servers() -> None:
    connection = Connection()
    event = connection.receive(bytes((90,)), text("x11"), uint32(9), uint32(1000), uint32(100), b"fields")
    assert event == ch.OpenRequested("x11", 9, 1000, 100, b"fields")
    assert isinstance(event, ch.OpenRequested)
    connection.channels.refuse(event, 1, "not asked for")
    expected = bytes((92,)) + uint32(9) + uint32(1) + text("not asked for") + text("")
    assert connection.take() == [expected]
    assert len(connection.channels) == 0
    connection.refuse(bytes((90,)), text("x11"), uint32(9), uint32(1000), b"\0")


# Closing ---------------------------------------------------------------------------------------------------------


def test_server_closes_first() -> None:
    connection = Connection()
    channel = connection.opened()
    assert connection.receive(close(0)) == ch.Closed(channel)
    assert connection.take() == [bytes((97,)) + uint32(REMOTE)]
    assert channel.close_sent
    assert channel.close_received
    assert not channel.open
    assert len(connection.channels) == 0
    for message in (close(0), eof(0), data(0, b""), request(0, "x"), answer(0, True), confirm(0)):
        connection.refuse(message, match="does not exist")


def test_an_adjust_that_comes_late_is_passed_over() -> None:
    """A channel that was, and is closed; one that never was is another matter."""
    connection = Connection()
    channel = connection.opened()
    connection.receive(close(0))
    connection.take()
    before = channel.remote_window
    assert connection.receive(adjust(0, 1)) is None
    assert connection.sent == []
    assert channel.remote_window == before
    connection.refuse(adjust(1, 1), match="does not exist")


def test_we_close_first() -> None:
    connection = Connection()
    channel = connection.opened()
    connection.channels.request(channel, "slow", want_reply=True)
    connection.take()
    connection.channels.close(channel)
    connection.channels.close(channel)
    assert connection.take() == [bytes((97,)) + uint32(REMOTE)]
    assert channel.sendable == 0
    # Until its CLOSE, what the server sent before it saw ours still comes.
    assert connection.receive(data(0, b"late")) == ch.Data(channel, 0, memoryview(b"late"))
    assert connection.receive(adjust(0, 5)) == ch.WindowOpened(channel)
    assert connection.receive(answer(0, True)) == ch.RequestAnswered(channel, "slow", True)
    assert connection.receive(eof(0)) == ch.Eof(channel)
    assert connection.receive(close(0)) == ch.Closed(channel)
    assert connection.sent == []
    assert len(connection.channels) == 0


def test_nothing_is_sent_after_close() -> None:
    connection = Connection()
    channel = connection.opened()
    connection.channels.close(channel)
    connection.take()
    connection.channels.request(channel, "signal", text("TERM"), want_reply=True)
    connection.channels.eof(channel)
    connection.channels.reply(channel, True)
    assert connection.sent == []
    assert not channel.replies


def test_closing_before_confirmation() -> None:
    """There is no number yet to close by; the channel stays until the server has answered."""
    connection = Connection()
    channel = connection.channels.open("session")
    connection.take()
    connection.channels.close(channel)
    connection.channels.eof(channel)
    connection.channels.request(channel, "exec", want_reply=True)
    assert connection.sent == []
    assert connection.receive(confirm(0)) == ch.Opened(channel)
    connection.channels.close(channel)
    assert connection.take() == [bytes((97,)) + uint32(REMOTE)]


# Anything --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [*range(83, 90), *range(101, 128)])
def test_numbers_without_a_meaning(number: int) -> None:
    connection = Connection()
    connection.opened()
    connection.refuse(bytes((number,)) + uint32(0) + bytes(20))


def test_any_bytes_give_a_protocol_error_or_an_event() -> None:
    random = Random(42)
    for _ in range(400):
        connection = Connection()
        channel = connection.opened()
        connection.channels.open("session")
        connection.channels.request(channel, "x", want_reply=True)
        good = [data(0, b"abc"), extended(0, 1, b"abc"), adjust(0, 9), eof(0), close(0), request(0, "a", True),
                answer(0, True), answer(0, False), confirm(1), refusal(1), bytes((81,)),
                bytes((80,)) + text("x") + b"\1", bytes((90,)) + text("x") + bytes(12)]  # fmt: skip
        for _ in range(30):
            payload = bytearray(random.choice(good))
            for _ in range(random.randrange(3)):
                payload[random.randrange(len(payload))] = random.choice((0, 1, 2, 94, 127, 128, 255))
            try:
                connection.receive(bytes(payload[: random.randint(1, len(payload))]))
            except ProtocolError:
                pass
            assert channel.window.left + channel.window.held == ch.INITIAL_WINDOW
            assert 0 <= channel.remote_window < 2**32
