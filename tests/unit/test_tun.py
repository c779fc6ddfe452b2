"""A tunnel's packets without a network: framing, what is too big, windows, and a device that goes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from pyssh_cli.client.forwarding import tun
from pyssh_cli.errors import NetworkError, PysshError
from pyssh_cli.log import DEBUG3, Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.tun import open_device
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import Reader, uint32

PACKET4 = b"\x45" + bytes(30)
PACKET6 = b"\x60" + bytes(50)


class Options:
    """What a tunnel needs of the options."""

    def __init__(self, mode: str, *, strict: bool = False) -> None:
        self.tunnel = mode
        self.tunnel_device = (3, None)
        self.exit_on_forward_failure = strict


class FakeConnection:
    """A connection that writes down what is sent."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.channels = ch.Channels(self.send)
        self.transport = self
        self.takes = True

    def send(self, *parts: bytes) -> None:
        self.sent.append(b"".join(parts))

    def open_channel(self, kind: str, fields: bytes, _owner: object) -> ch.Channel:
        return self.channels.open(kind, fields)

    def takes_data(self, _owner: object) -> bool:
        return self.takes

    def flush_soon(self) -> None:
        pass


class World:
    """A tunnel whose device is a pair of sockets: `wire` is the network's end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, options: Options) -> None:
        self.device, self.wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.device.setblocking(False)
        self.wire.setblocking(False)

        def opened(*, ethernet: bool, number: int | None) -> tuple[int, str]:
            return self.device.detach(), f"{'tap' if ethernet else 'tun'}{number}"

        monkeypatch.setattr(tun, "open_device", opened)
        self.loop = Loop()
        self.connection: Any = FakeConnection()
        self.tunnel = tun.Tunnel(options, Log(DEBUG3), self.loop, self.connection)  # type: ignore[arg-type]
        (self.channel,) = self.connection.channels
        self.asked = self.connection.sent.pop()

    def confirm(self, window: int = 1 << 20, most: int = 32768) -> None:
        """The server opens the channel."""
        event = self.connection.channels.receive(
            memoryview(b"\x5b" + uint32(0) + uint32(7) + uint32(window) + uint32(most))
        )
        self.tunnel.on_channel_event(event)

    def run(self) -> list[bytes]:
        """What was sent as data since the last time."""
        for _ in range(5):
            self.loop.run_once(monotonic())
        sent, self.connection.sent[:] = list(self.connection.sent), []
        return [Reader(payload, 5).string() for payload in sent if payload[0] == 94]

    def receive(self, data: bytes) -> None:
        """Data from the server."""
        self.tunnel.on_channel_event(ch.Data(self.channel, 0, memoryview(data)))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch, Options("point-to-point"))
    yield made
    made.tunnel.close()
    made.wire.close()
    made.loop.close()


def test_what_the_server_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.asked.endswith(uint32(1) + uint32(0x7FFFFFFF))
    assert b"tun@openssh.com" in world.asked
    assert world.tunnel.device == "tun3"
    assert not world.tunnel.settled
    options = Options("ethernet")
    options.tunnel_device = (3, 5)  # type: ignore[assignment]
    other = World(monkeypatch, options)
    assert other.asked.endswith(uint32(2) + uint32(5))
    assert other.tunnel.device == "tap3"


def test_packets_have_their_family_before_them(world: World) -> None:
    world.wire.send(PACKET4)
    assert world.run() == []  # nothing is read before the channel is open
    world.confirm()
    world.wire.send(PACKET6)
    assert world.run() == [uint32(2) + PACKET4, uint32(24) + PACKET6]
    world.receive(uint32(2) + PACKET4)
    world.receive(uint32(24) + PACKET6)
    assert world.wire.recv(100) == PACKET4
    assert world.wire.recv(100) == PACKET6
    assert world.tunnel.settled


def test_frames_travel_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, Options("ethernet"))
    world.confirm()
    world.wire.send(PACKET4)
    assert world.run() == [PACKET4]
    world.receive(b"frame")
    assert world.wire.recv(100) == b"frame"


@pytest.mark.parametrize("data", [b"\0", b"\0\0\0", b"\0\0\0\x02"])
def test_what_is_no_packet_is_dropped(world: World, data: bytes) -> None:
    world.confirm()
    world.receive(data)
    with pytest.raises(BlockingIOError):
        world.wire.recv(100)


def test_packets_larger_than_the_server_takes_are_dropped(world: World) -> None:
    world.confirm(most=40)
    world.wire.send(PACKET6)
    world.wire.send(PACKET4)
    assert world.run() == [uint32(2) + PACKET4]


def test_a_window_that_is_full(world: World) -> None:
    world.confirm(window=len(PACKET4) + 4 + 10)
    for _ in range(3):
        world.wire.send(PACKET4)
    assert world.run() == [uint32(2) + PACKET4]
    assert world.run() == []
    world.channel.remote_window += 1000
    world.tunnel.on_channel_event(ch.WindowOpened(world.channel))
    assert world.run() == [uint32(2) + PACKET4] * 2


def test_a_connection_that_has_enough_to_send(world: World) -> None:
    world.confirm()
    world.connection.takes = False
    world.wire.send(PACKET4)
    assert world.run() == []
    world.connection.takes = True
    world.tunnel.may_send()
    assert world.run() == [uint32(2) + PACKET4]


def test_a_device_that_takes_no_more(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.confirm()
    for _ in range(10_000):  # some are lost, and nothing waits
        world.receive(uint32(2) + bytes(1400))
    assert "packet of 1400 bytes lost" in capfd.readouterr().err


def test_a_device_that_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.confirm()
    world.wire.send(PACKET4)

    def fail(_fd: int, _size: int) -> bytes:
        raise OSError(77, "File descriptor in bad state")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", fail)
        world.loop.run_once(monotonic())
    assert world.channel.close_sent
    world.receive(uint32(2) + PACKET4)  # on its way already
    assert world.run() == []


def test_a_server_that_opens_no_tunnel(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.tunnel.on_channel_event(ch.OpenRefused(world.channel, 1, "no"))
    told = capfd.readouterr().err
    assert (
        "open failed: administratively prohibited: no\nTunnel forwarding failed (the server: see PermitTunnel"
        in told
    )
    assert world.tunnel.settled
    assert world.wire.recv(1) == b""  # the device is given back


def test_exit_on_forward_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, Options("ethernet", strict=True))
    with pytest.raises(PysshError, match=r"^Tunnel forwarding failed \("):
        world.tunnel.on_channel_event(ch.OpenRefused(world.channel, 1, "no"))


@pytest.mark.parametrize("strict", [False, True])
def test_no_device_here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], strict: bool) -> None:
    def fail(**_: object) -> tuple[int, str]:
        raise NetworkError("/dev/net/tun: Operation not permitted")

    monkeypatch.setattr(tun, "open_device", fail)
    options: Any = Options("ethernet", strict=strict)
    connection: Any = FakeConnection()
    if strict:
        with pytest.raises(PysshError, match=r"^Could not request tunnel forwarding\.$"):
            tun.start_tunnel(options, Log(), Loop(), connection)
    else:
        assert tun.start_tunnel(options, Log(), Loop(), connection) is None
        assert "Could not request tunnel forwarding." in capfd.readouterr().err
    assert not connection.sent


def test_a_number_that_no_device_can_have() -> None:
    with pytest.raises(NetworkError, match="no device can have such a number"):
        open_device(ethernet=False, number=10**13)
