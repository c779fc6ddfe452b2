"""Binary packets before encryption, the rules for lengths and padding, and the buffers packets lie in."""

from __future__ import annotations

from random import Random

import pytest

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.macs import MACS
from pyssh_cli.protocol.packet import (
    HEADER,
    MAX_OVERHEAD,
    MAX_PACKET_LENGTH,
    PlainOpener,
    PlainSealer,
    ReceiveBuffer,
    SendBuffer,
    check_length,
    padding_for,
    payload_of,
)
from tests.unit.peer import open_packet, seal_payload


@pytest.mark.parametrize("block", [8, 16])
def test_padding(block: int) -> None:
    for length in range(200):
        padding = padding_for(length, block)
        assert 4 <= padding < 4 + block
        assert (length + padding) % block == 0


def test_plain_round_trip() -> None:
    sealer = PlainSealer()
    for length in [*range(1, 100), 32 * 1024]:
        payload = bytes(i % 251 for i in range(length))
        packet = seal_payload(sealer, payload, 0)
        assert len(packet) == sealer.sealed_size(length)
        assert len(packet) % 8 == 0
        assert len(packet) >= 16
        assert packet[:4] == (len(packet) - 4).to_bytes(4, "big")
        assert packet[4] >= 4
        assert open_packet(PlainOpener(), packet, 0) == payload
        assert open_packet(PlainOpener(), packet[:-1], 0) is None


def test_padding_is_random() -> None:
    assert len({seal_payload(PlainSealer(), b"x", 0) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "length", [0, 1, 3, 4, 11, 13, 35_001, MAX_PACKET_LENGTH + 4, 2**31, 2**32 - 4, 2**32 - 1]
)
def test_lengths_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match="Bad packet length"):
        open_packet(PlainOpener(), length.to_bytes(4, "big") + bytes(64), 0)


def test_longest_packet() -> None:
    assert check_length(MAX_PACKET_LENGTH, MAX_PACKET_LENGTH, 16) == MAX_PACKET_LENGTH
    with pytest.raises(ProtocolError):
        check_length(MAX_PACKET_LENGTH + 16, MAX_PACKET_LENGTH + 16, 16)


def test_paddings_refused() -> None:
    for padding in range(256):
        packet = memoryview((12).to_bytes(4, "big") + bytes((padding,)) + b"payload1234")
        if 4 <= padding <= 10:
            assert len(payload_of(packet, 0, 12)) == 11 - padding
        else:  # too short, or no byte of payload is left
            with pytest.raises(ProtocolError, match="Corrupted padding"):
                payload_of(packet, 0, 12)


def test_send_buffer_keeps_order_and_bytes() -> None:
    random = Random(5)
    buffer = SendBuffer(64)
    given, taken = b"", b""
    for _ in range(3000):
        data = random.randbytes(random.randrange(50))
        if random.random() < 0.5:
            buffer.append(data)
        else:
            view = buffer.reserve(len(data) + 7)
            view[buffer.end : buffer.end + len(data)] = data
            buffer.end += len(data)
        given += data
        assert len(buffer) == len(given) - len(taken)
        count = random.randrange(len(buffer) + 1) if random.random() < 0.6 else 0
        taken += bytes(buffer.unsent()[:count])
        buffer.sent(count)
    taken += bytes(buffer.unsent())
    assert taken == given


def test_send_buffer_does_not_grow_when_it_is_emptied() -> None:
    buffer = SendBuffer(100)
    for _ in range(1000):
        buffer.append(bytes(60))
        buffer.sent(60)
    assert len(buffer.reserve(1)) == 100


@pytest.mark.parametrize("read_size", [1, 7, 4096])
def test_receive_buffer_keeps_what_is_left(read_size: int) -> None:
    random = Random(6)
    buffer = ReceiveBuffer(read_size)
    stream = random.randbytes(60_000)
    given, taken = 0, b""
    while len(taken) < len(stream):
        room = buffer.room()
        assert len(room) == read_size
        count = min(random.randint(1, read_size), len(stream) - given)
        room[:count] = stream[given : given + count]
        buffer.end += count
        given += count
        # All but the part of a packet is taken at once, as the transport does.
        waiting = buffer.end - buffer.start
        keep = min(waiting, random.randrange(3000)) if given < len(stream) else 0
        taken += bytes(buffer.view[buffer.start : buffer.end - keep])
        buffer.start = buffer.end - keep
    assert taken == stream


def test_receive_buffer_has_room_behind_the_largest_packet() -> None:
    buffer = ReceiveBuffer(1000)
    buffer.end = MAX_PACKET_LENGTH + 4 + 64 - 1
    assert len(buffer.room()) == 1000
    assert HEADER + 255 + 64 == MAX_OVERHEAD


@pytest.mark.parametrize("mac", ["umac-64@openssh.com", "hmac-sha2-512"])
def test_receive_buffer_holds_what_is_waited_for_to_be_refused(mac: str) -> None:
    """A length under CBC that cannot be is read on for, as long as the longest packet; and no further."""
    opener = CIPHERS["aes128-cbc"].opener(bytes(16), bytes(16), MACS[mac].make(bytes(MACS[mac].key_size)))
    buffer = ReceiveBuffer(1000)
    received = 0
    while not (size := opener.packet_size(buffer.view, buffer.start, buffer.end, 0)) or size > buffer.end:
        room = buffer.room()
        room[:] = b"\x55" * len(room)
        buffer.end += len(room)
        received += len(room)
    assert size == 4 + MAX_PACKET_LENGTH + MACS[mac].size
    assert size <= received < size + 1000
    with pytest.raises(ProtocolError, match="Corrupted MAC"):
        opener.open(buffer.view, buffer.start, size, 0)
