"""zlib@openssh.com: streams across packets, and refusal of bombs, garbage and streams that end."""

from __future__ import annotations

import zlib
from random import Random

import pytest

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.compression import COMPRESSIONS, Compressor, Decompressor
from pyssh_cli.protocol.packet import MAX_PACKET_LENGTH


def test_table() -> None:
    assert COMPRESSIONS == {"none": False, "zlib@openssh.com": True}


def test_round_trip_is_one_stream() -> None:
    random = Random(9)
    compressor, decompressor = Compressor(), Decompressor()
    text = random.randbytes(2000)
    sizes = []
    for payload in (text, b"x", text, random.randbytes(32 * 1024), bytes(32 * 1024), text):
        compressed = compressor.compress(payload)
        sizes.append(len(compressed))
        assert bytes(decompressor.decompress(memoryview(compressed))) == payload
    assert sizes[2] < sizes[0] // 10  # what was sent before is remembered


def test_zlib_reads_ours() -> None:
    compressor, reader = Compressor(), zlib.decompressobj()
    for payload in (b"one", b"two" * 1000):
        assert reader.decompress(compressor.compress(memoryview(payload))) == payload


@pytest.mark.parametrize("flush", [zlib.Z_PARTIAL_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
def test_every_flush_of_a_peer_is_read(flush: int) -> None:
    writer, decompressor = zlib.compressobj(), Decompressor()
    for payload in (b"one", b"two" * 1000, bytes(100_000)):
        assert bytes(decompressor.decompress(writer.compress(payload) + writer.flush(flush))) == payload


@pytest.mark.parametrize("size", [MAX_PACKET_LENGTH, MAX_PACKET_LENGTH + 1, MAX_PACKET_LENGTH + 200, 1 << 24])
def test_bomb(size: int) -> None:
    writer = zlib.compressobj()
    packet = writer.compress(bytes(size)) + writer.flush(zlib.Z_SYNC_FLUSH)
    assert len(packet) < 35_000
    with pytest.raises(ProtocolError, match="too large") as caught:
        Decompressor().decompress(packet)
    assert caught.value.reason == 6


@pytest.mark.parametrize(
    "packet", [b"\0", b"garbage that is no zlib stream", b"\x78\x9c\xff\xff\xff\xff", b"\x78\x9c"]
)
def test_garbage(packet: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        Decompressor().decompress(packet)
    assert caught.value.reason == 6


def test_empty() -> None:
    with pytest.raises(ProtocolError):
        Decompressor().decompress(b"")


def test_stream_that_ends() -> None:
    """A stream that ends leaves no way to go on; what lies behind its end is in no payload."""
    for tail in (b"", b"smuggled"):
        with pytest.raises(ProtocolError):
            Decompressor().decompress(zlib.compress(b"payload") + tail)


def test_random_packets() -> None:
    random = Random(10)
    good = Compressor().compress(b"a payload of some length " * 20)
    for _ in range(500):
        packet = bytearray(good)
        for _ in range(random.randint(1, 4)):
            packet[random.randrange(len(packet))] = random.randrange(256)
        try:
            plain = Decompressor().decompress(bytes(packet[: random.randint(1, len(packet))]))
        except ProtocolError:
            continue
        assert 0 < len(plain) < MAX_PACKET_LENGTH
