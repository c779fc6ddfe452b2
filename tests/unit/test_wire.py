"""The data types of RFC 4251: its own examples, round trips, and refusal of what does not fit."""

from __future__ import annotations

from random import Random

import pytest

from pyssh_cli.errors import WireError
from pyssh_cli.wire import Reader, boolean, mpint, name_list, string, text, uint32, uint64

# RFC 4251 section 5.
MPINTS = {
    0: "00000000",
    0x9A378F9B2E332A7: "0000000809a378f9b2e332a7",
    0x80: "000000020080",
    0x7F: "000000017f",
    0xFF: "0000000200ff",
    0x100: "000000020100",
}


@pytest.mark.parametrize(("value", "encoded"), MPINTS.items())
def test_mpint_examples(value: int, encoded: str) -> None:
    assert mpint(value).hex() == encoded
    reader = Reader(bytes.fromhex(encoded))
    assert reader.mpint() == value
    reader.end()


def test_mpint_round_trip() -> None:
    random = Random(1)
    for bits in range(1, 600):
        value = random.getrandbits(bits) | 1 << (bits - 1)
        encoded = mpint(value)
        assert encoded[4] < 0x80
        assert Reader(encoded).mpint() == value


def test_negative_mpint() -> None:
    with pytest.raises(ValueError, match="negative"):
        mpint(-1)
    with pytest.raises(WireError, match="negative"):
        Reader(bytes.fromhex("00000002edcc")).mpint()  # RFC 4251: -1234


@pytest.mark.parametrize("encoded", ["0000000100", "00000002007f", "00000003000001"])
def test_mpint_with_leading_zeros(encoded: str) -> None:
    with pytest.raises(WireError, match="leading zeros"):
        Reader(bytes.fromhex(encoded)).mpint()


def test_integers_and_booleans() -> None:
    encoded = uint32(699921578) + uint64(2**63 + 5) + boolean(True) + boolean(False) + b"\x07"
    assert encoded[:4].hex() == "29b7f4aa"
    reader = Reader(encoded)
    assert reader.uint32() == 699921578
    assert reader.uint64() == 2**63 + 5
    assert [reader.boolean() for _ in range(3)] == [True, False, True]
    reader.end()


@pytest.mark.parametrize("value", [-1, 2**32])
def test_uint32_out_of_range(value: int) -> None:
    with pytest.raises(OverflowError):
        uint32(value)


def test_strings() -> None:
    assert string(b"testing").hex() == "0000000774657374696e67"
    assert string(memoryview(b"ab")) == string(bytearray(b"ab")) == b"\0\0\0\2ab"
    assert isinstance(string(bytearray(b"ab")), bytes)
    reader = Reader(string(b"one") + string(b"") + string(b"three"))
    assert reader.string() == b"one"
    assert bytes(reader.view()) == b""
    assert reader.remaining() == 9
    assert bytes(reader.view()) == b"three"
    assert reader.remaining() == 0


def test_text_keeps_what_is_not_utf8() -> None:
    for raw in (b"plain", "grüße ☂".encode(), b"\xff\xfe broken \x80"):
        value = Reader(string(raw)).text()
        assert text(value) == string(raw)


def test_name_lists() -> None:
    # RFC 4251 section 5.
    for names, encoded in (
        ((), "00000000"),
        (("zlib",), "000000047a6c6962"),
        (("zlib", "none"), "000000097a6c69622c6e6f6e65"),
    ):
        assert name_list(names).hex() == encoded
        assert Reader(bytes.fromhex(encoded)).name_list() == names
    with pytest.raises(WireError, match="US-ASCII"):
        Reader(string("zlïb".encode())).name_list()


@pytest.mark.parametrize(
    "method", ["byte", "boolean", "uint32", "uint64", "view", "string", "text", "name_list", "mpint"]
)
def test_every_prefix_is_refused(method: str) -> None:
    complete = {
        "byte": b"\1",
        "boolean": b"\1",
        "uint32": uint32(5),
        "uint64": uint64(5),
        "view": string(b"abc"),
        "string": string(b"abc"),
        "text": text("abc"),
        "name_list": name_list(("a", "b")),
        "mpint": mpint(0xABCDEF),
    }[method]
    for length in range(len(complete)):
        with pytest.raises(WireError, match="too early"):
            getattr(Reader(complete[:length]), method)()
    getattr(Reader(complete), method)()


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1])
def test_huge_length_costs_nothing(length: int) -> None:
    for method in ("view", "string", "text", "name_list", "mpint"):
        with pytest.raises(WireError):
            getattr(Reader(uint32(length) + b"abc"), method)()


def test_a_refused_value_is_not_taken_off() -> None:
    reader = Reader(b"\1\2")
    with pytest.raises(WireError):
        reader.uint32()
    assert bytes(reader.rest()) == b"\1\2"


def test_rest_and_end() -> None:
    reader = Reader(b"\x05abc", 1)
    assert reader.remaining() == 3
    with pytest.raises(WireError, match="3 bytes too many"):
        reader.end()
    assert bytes(reader.take(1)) == b"a"
    assert bytes(reader.rest()) == b"bc"
    reader.end()


def test_reader_never_fails_otherwise() -> None:
    random = Random(2)
    methods = ("byte", "boolean", "uint32", "uint64", "view", "string", "text", "name_list", "mpint", "end")
    for _ in range(5000):
        reader = Reader(bytes(random.choice((0, 0, 0, 1, 3, 97, 200)) for _ in range(random.randrange(24))))
        try:
            for _ in range(8):
                getattr(reader, random.choice(methods))()
        except WireError:
            pass
        assert reader.remaining() >= 0
