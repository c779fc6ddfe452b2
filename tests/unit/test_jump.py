"""The channel of a jump host as the carrier of the connection inside, without either connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pyssh_cli.client.jump import JumpChannel
from pyssh_cli.errors import NetworkError
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import uint32

HOP = SimpleNamespace(
    name="gate", options=SimpleNamespace(local_command=None), log=SimpleNamespace(debug1=lambda _message: None)
)

OPENED = bytes((91,)) + uint32(0) + uint32(7) + uint32(100) + uint32(60)


class Outer:
    """What a JumpChannel asks of the connection around it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.channels = ch.Channels(self._send)
        self.transport = SimpleNamespace(server_version=b"SSH-2.0-other", send=self._send)
        self.room = True

    def _send(self, *parts: bytes | memoryview) -> None:
        self.sent.append(b"".join(parts))

    def open_channel(self, kind: str, fields: bytes, _owner: object) -> ch.Channel:
        return self.channels.open(kind, fields)

    def takes_data(self, _owner: object) -> bool:
        return self.room

    def flush(self) -> None:
        pass

    flush_soon = flush


def jump(outer: Outer, loop: Loop) -> JumpChannel:
    target = SimpleNamespace(hostname="db", port=22)
    made = JumpChannel(loop, outer, HOP, target)  # type: ignore[arg-type]
    made.authenticated()
    return made


def tell(channel: JumpChannel, outer: Outer, payload: bytes) -> None:
    """A message of the hop's."""
    event = outer.channels.receive(memoryview(bytearray(payload)))
    if event is not None:
        channel.on_channel_event(event)


def data(text: bytes) -> bytes:
    return bytes((94,)) + uint32(0) + uint32(len(text)) + text


def test_the_channel_is_ssh_s() -> None:
    outer = Outer()
    jump(outer, Loop())
    fields = b"\0\0\0\2db" + uint32(22) + b"\0\0\0\x09127.0.0.1" + uint32(65535)
    assert outer.sent[0].startswith(bytes((90,)) + b"\0\0\0\x0cdirect-tcpip")
    assert outer.sent[0].endswith(fields)


def test_what_came_too_early_is_asked_for_again() -> None:
    outer = Outer()
    channel = JumpChannel(
        Loop(),
        outer,  # type: ignore[arg-type]
        HOP,  # type: ignore[arg-type]
        SimpleNamespace(hostname="db", port=22),  # type: ignore[arg-type]
    )
    channel.open_early()
    channel.early_open_refused()
    channel.authenticated()
    assert len(outer.sent) == 2
    assert outer.sent[0] == outer.sent[1]


def test_nothing_goes_out_before_the_channel_stands_nor_beyond_its_window() -> None:
    outer = Outer()
    channel = jump(outer, Loop())
    left = memoryview(b"x" * 150)
    calls: list[int] = []
    channel.watch(None, lambda: calls.append(1))
    with pytest.raises(BlockingIOError):
        channel.send(left)
    tell(channel, outer, OPENED)
    assert calls == [1]
    assert channel.send(left) == 100
    assert [len(sent) for sent in outer.sent[1:]] == [9 + 60, 9 + 40]
    with pytest.raises(BlockingIOError):
        channel.send(left[100:])
    outer.room = False
    tell(channel, outer, bytes((93,)) + uint32(0) + uint32(500))
    with pytest.raises(BlockingIOError):
        channel.send(left[100:])
    outer.room = True
    assert channel.send(left[100:]) == 50


def test_what_is_not_taken_is_kept_as_a_copy_and_not_granted_again() -> None:
    outer, loop = Outer(), Loop()
    channel = jump(outer, loop)
    tell(channel, outer, OPENED)
    payload = memoryview(bytearray(data(b"hello")))
    event: Any = outer.channels.receive(payload)
    channel.on_channel_event(event)
    channel.batch_done()
    payload[:] = bytes(len(payload))  # the buffer is used again
    assert event.channel.window.held == 5
    room = memoryview(bytearray(3))
    assert (channel.recv_into(room), bytes(room)) == (3, b"hel")
    assert event.channel.window.held == 2
    assert (channel.recv_into(room), bytes(room[:2])) == (2, b"lo")
    with pytest.raises(BlockingIOError):
        channel.recv_into(room)


def test_the_end_comes_after_all_that_came_before() -> None:
    outer, loop = Outer(), Loop()
    channel = jump(outer, loop)
    got: list[bytes] = []

    def read() -> None:
        room = memoryview(bytearray(4))
        count = channel.recv_into(room)
        got.append(bytes(room[:count]))
        if not count:
            channel.watch(None, None)

    channel.watch(read, None)
    tell(channel, outer, OPENED)
    tell(channel, outer, data(b"sixsix"))
    tell(channel, outer, bytes((96,)) + uint32(0))
    tell(channel, outer, bytes((97,)) + uint32(0))
    assert got == []
    loop.run_once(0)
    assert got == [b"sixs", b"ix", b""]
    assert channel.is_over()
    with pytest.raises(BrokenPipeError):
        channel.send(memoryview(b"x"))
    loop.close()


def test_data_of_no_known_stream_is_let_go() -> None:
    outer = Outer()
    channel = jump(outer, Loop())
    tell(channel, outer, OPENED)
    tell(channel, outer, bytes((95,)) + uint32(0) + uint32(1) + uint32(2) + b"no")
    with pytest.raises(BlockingIOError):
        channel.recv_into(memoryview(bytearray(9)))


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (1, r"administratively prohibited: no\\033\nstdio forwarding failed \(gate does not let us connect to db"),
        (2, r"connect failed: no\\033\nstdio forwarding failed \(gate cannot connect to db port 22"),
        (99, r"unknown reason: no"),
    ],
)
def test_a_refusal_names_the_hop(reason: int, wanted: str) -> None:
    outer = Outer()
    channel = jump(outer, Loop())
    refusal = bytes((92,)) + uint32(0) + uint32(reason) + b"\0\0\0\3no\x1b" + uint32(0)
    with pytest.raises(NetworkError, match=r"^channel 0: open failed: " + wanted):
        tell(channel, outer, refusal)
