"""The version exchange: which first lines are an SSH-2 server's, and how much else is put up with."""

from __future__ import annotations

import pytest

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.version import MAX_BYTES_BEFORE, MAX_LINES_BEFORE, VersionExchange
from tests.unit.peer import Split, byte_by_byte, random_splits, whole

SPLITS = [whole, byte_by_byte, random_splits(11)]
IDS = ["whole", "bytes", "random"]


def feed(data: bytes, split: Split) -> tuple[bytes | None, int, list[bytes]]:
    """The version, how many bytes were used up to it, and the lines before."""
    exchange = VersionExchange()
    waiting = b""
    total = 0
    for piece in split(data):
        waiting += piece
        used, version = exchange.take(memoryview(waiting))
        total += used
        waiting = waiting[used:]
        if version is not None:
            return version, total, exchange.lines_before
    return None, total, exchange.lines_before


splits = pytest.mark.parametrize("split", SPLITS, ids=IDS)


@splits
@pytest.mark.parametrize(
    ("line", "version"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        (b"SSH-2.0-x\n", b"SSH-2.0-x"),
        (b"SSH-1.99-Cisco-1.25\r\n", b"SSH-1.99-Cisco-1.25"),
        (b"SSH-2.0-" + b"x" * 245 + b"\r\n", b"SSH-2.0-" + b"x" * 245),
        (b"SSH-2.0-caf\xe9\r\n", b"SSH-2.0-caf\xe9"),
    ],
)
def test_versions(line: bytes, version: bytes, split: Split) -> None:
    assert feed(line + b"\0\0\0\x0crest", split)[:2] == (version, len(line))


@splits
def test_lines_before(split: Split) -> None:
    before = b"Welcome\r\n\r\nplease do not\nSSH is spoken here\r\n"
    version, used, lines = feed(before + b"SSH-2.0-x\r\n", split)
    assert version == b"SSH-2.0-x"
    assert used == len(before) + 11
    assert lines == [b"Welcome", b"", b"please do not", b"SSH is spoken here"]


@splits
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-1.5-OpenSSH_1.2\r\n", "only SSH version 1"),
        (b"SSH-3.0-future\r\n", "2 vs. 3.0"),
        (b"SSH-\r\n", "versions differ"),
        (b"SSH-two-x\r\n", "versions differ"),
        (b"SSH-2.0-a\0b\r\n", "zero byte"),
        (b"SSH-2.0-" + b"x" * 246 + b"\r\n", "longer than 255"),
        (b"SSH-2.0-" + b"x" * 10_000, "longer than 255"),
        (b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "HTTP"),
        (b"\x15\x03\x01\0\x02\x02\n", "answers in TLS"),
        (b"\x15\x02\0\n", "binary"),
        (b"line\n" * (MAX_LINES_BEFORE + 1), "not an SSH server"),
        (b"x" * (MAX_BYTES_BEFORE + 1), "not an SSH server"),
        ((b"y" * 1000 + b"\n") * 70, "not an SSH server"),
    ],
)
def test_refused(data: bytes, message: str, split: Split) -> None:
    with pytest.raises(ProtocolError, match=message):
        feed(data, split)


@splits
@pytest.mark.parametrize("before", [b"line\n" * (MAX_LINES_BEFORE + 1), b"y" * MAX_BYTES_BEFORE + b"\n"])
def test_too_much_before_a_version(before: bytes, split: Split) -> None:
    """What is too much is too much however it is cut, and though a version follows."""
    with pytest.raises(ProtocolError, match="not an SSH server"):
        feed(before + b"SSH-2.0-x\r\n", split)


@splits
def test_most_allowed_before_a_version(split: Split) -> None:
    assert feed(b"line\n" * MAX_LINES_BEFORE + b"SSH-2.0-x\r\n", split)[0] == b"SSH-2.0-x"


@pytest.mark.parametrize("data", [b"", b"S", b"SSH-2.0-OpenSSH", b"Welcome\r\nSSH-2.0"])
def test_not_yet(data: bytes) -> None:
    assert feed(data, whole)[0] is None
