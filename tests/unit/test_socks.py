"""SOCKS 4, 4a and 5 as a server speaks them: requests whole and in pieces, garbage, and answers."""

from __future__ import annotations

from random import Random

import pytest

from pyssh_cli.client.forwarding.socks import (
    ADDRESS_NOT_SUPPORTED,
    COMMAND_NOT_SUPPORTED,
    GENERAL_FAILURE,
    HOST_UNREACHABLE,
    MAX_REQUEST,
    NET_UNREACHABLE,
    NOT_ALLOWED,
    REFUSED,
    Handshake,
    Malformed,
    reply_for,
)

GREETING = b"\x05\x01\x00"
IPV6 = bytes(15) + b"\x01"

REQUESTS = {
    "4": (b"\x04\x01\x00\x50\x0a\x00\x00\x01me\x00", b"", ("10.0.0.1", 80)),
    "4, no user": (b"\x04\x01\xff\xff\x7f\x00\x00\x01\x00", b"", ("127.0.0.1", 65535)),
    "4, address 0.0.0.0": (b"\x04\x01\x00\x50\x00\x00\x00\x00\x00", b"", ("0.0.0.0", 80)),
    "4a": (b"\x04\x01\x00\x50\x00\x00\x00\x07me\x00a.example\x00", b"", ("a.example", 80)),
    "5, IPv4": (GREETING + b"\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50", b"\x05\x00", ("10.0.0.1", 80)),
    "5, name": (GREETING + b"\x05\x01\x00\x03\x09a.example\x01\xbb", b"\x05\x00", ("a.example", 443)),
    "5, IPv6": (GREETING + b"\x05\x01\x00\x04" + IPV6 + b"\x00\x50", b"\x05\x00", ("::1", 80)),
    "5, methods": (b"\x05\x03\x02\x01\x00\x05\x01\x00\x03\x01h\x00\x01", b"\x05\x00", ("h", 1)),
    "5, longest name": (
        GREETING + b"\x05\x01\x00\x03\xff" + b"n" * 255 + b"\x00\x01", b"\x05\x00", ("n" * 255, 1)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_in_one_piece_with_data_behind_it(name: str) -> None:
    request, answer, target = REQUESTS[name]
    handshake = Handshake()
    assert handshake.feed(request + b"GET /") == answer
    assert (handshake.target, handshake.rest, handshake.version) == (target, b"GET /", int(name[0]))


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_byte_by_byte(name: str) -> None:
    request, answer, target = REQUESTS[name]
    handshake = Handshake()
    answers = b""
    for index in range(len(request)):
        assert handshake.target is None
        answers += handshake.feed(request[index : index + 1])
    assert (answers, handshake.target, handshake.rest) == (answer, target, b"")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.1\r\n", b""),
        (b"\x00", b""),
        (b"\x04\x02\x00\x50\x0a\x00\x00\x01\x00", b"\x00\x5b" + bytes(6)),  # BIND
        (b"\x04\x01\x00\x50\x00\x00\x00\x07\x00\x00", b"\x00\x5b" + bytes(6)),  # a name of no letters
        (b"\x04\x01\x00\x50\x0a\x00\x00\x01" + b"u" * 300, b"\x00\x5b" + bytes(6)),
        (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00" + b"h" * 300, b"\x00\x5b" + bytes(6)),
        (b"\x05\x01\x02", b"\x05\xff"),  # only with a password
        (b"\x05\x00", b"\x05\xff"),
        (GREETING + b"\x05\x02\x00\x01\x0a", b"\x05\x00\x05\x07\x00\x01" + bytes(6)),  # BIND
        (GREETING + b"\x05\x03\x00\x01\x0a", b"\x05\x00\x05\x07\x00\x01" + bytes(6)),  # UDP ASSOCIATE
        (GREETING + b"\x05\x01\x00\x02\x0a", b"\x05\x00\x05\x08\x00\x01" + bytes(6)),
        (GREETING + b"\x05\x01\x00\x03\x00\x00\x50", b"\x05\x00\x05\x01\x00\x01" + bytes(6)),
        (GREETING + b"\x05\x01\x00\x03\x02a\x00\x00\x50", b"\x05\x00\x05\x01\x00\x01" + bytes(6)),
        (GREETING + b"\x04\x01\x00\x50\x0a", b"\x05\x00\x05\x01\x00\x01" + bytes(6)),
    ],
)
def test_what_is_not_in_order_is_answered_and_ends(request_: bytes, answer: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        Handshake().feed(request_)
    assert refused.value.answer == answer


def test_garbage_ends_within_bounds() -> None:
    random = Random(6)
    for _ in range(3000):
        handshake = Handshake()
        fed = 0
        try:
            while handshake.target is None and fed <= 2 * MAX_REQUEST:
                piece = random.choice((b"\x04", b"\x05\x01\x00\x05\x01", b"")) if not fed else b""
                piece += random.randbytes(random.randrange(1, 600))
                fed += len(piece)
                handshake.feed(piece)
        except Malformed:
            continue
        assert handshake.target is not None
        assert 0 <= handshake.target[1] <= 0xFFFF


def test_answers() -> None:
    four, five = Handshake(), Handshake()
    four.feed(REQUESTS["4"][0])
    five.feed(REQUESTS["5, name"][0])
    assert four.granted() == b"\x00\x5a" + bytes(6)
    assert four.denied(REFUSED) == b"\x00\x5b" + bytes(6)
    assert five.granted() == b"\x05\x00\x00\x01" + bytes(6)
    assert five.denied(REFUSED) == b"\x05\x05\x00\x01" + bytes(6)


@pytest.mark.parametrize(
    ("reason", "message", "reply"),
    [
        (1, "open failed", NOT_ALLOWED),
        (2, "Connection refused", REFUSED),
        (2, "Network is unreachable", NET_UNREACHABLE),
        (2, "No route to host", HOST_UNREACHABLE),
        (2, "Connection timed out", HOST_UNREACHABLE),
        (2, "Name or service not known", HOST_UNREACHABLE),
        (2, "", GENERAL_FAILURE),
        (4, "", GENERAL_FAILURE),
    ],
)
def test_the_reply_says_why_a_channel_was_refused(reason: int, message: str, reply: int) -> None:
    assert reply_for(reason, message) == reply
    assert reply not in {COMMAND_NOT_SUPPORTED, ADDRESS_NOT_SUPPORTED}
