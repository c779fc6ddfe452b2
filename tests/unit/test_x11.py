"""X11 forwarding without an X server: displays, cookies, and the first bytes of connections."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

import pytest

from pyssh_cli.client.forwarding.x11 import (
    BadDisplay,
    Cookie,
    Place,
    WrongCookie,
    cookie_in,
    place_of,
    screen_of,
    with_real_cookie,
)

MAGIC = "MIT-MAGIC-COOKIE-1"
FAKE = Cookie(MAGIC, bytes(range(16)))
REAL = Cookie(MAGIC, bytes(range(100, 116)))

Order = Literal["big", "little"]


def first_bytes(order: Order, name: bytes = MAGIC.encode(), data: bytes = FAKE.data) -> bytes:
    """What an X client begins with (the X protocol, Connection Setup)."""
    head = (b"B" if order == "big" else b"l") + b"\0"
    for number in (11, 0, len(name), len(data), 0):
        head += number.to_bytes(2, order)
    return head + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)


@pytest.mark.parametrize(
    ("display", "place", "screen"),
    [
        (":0", Place(None, None, 0), 0),
        (":12.3", Place(None, None, 12), 3),
        ("unix:7", Place(None, None, 7), 0),
        ("unix:7.1", Place(None, None, 7), 1),
        ("::1.2", Place(None, None, 1), 2),
        ("host:0", Place(None, "host", 0), 0),
        ("localhost:10.0", Place(None, "localhost", 10), 0),
        ("host.example.org:2.1", Place(None, "host.example.org", 2), 1),
        ("10.0.0.1:3", Place(None, "10.0.0.1", 3), 0),
        (":0.400", Place(None, None, 0), 400),
        (":0.401", Place(None, None, 0), 0),
        (":0.x", Place(None, None, 0), 0),
        (":0.", Place(None, None, 0), 0),
        ("host:59535", Place(None, "host", 59535), 0),
    ],
)
def test_displays(display: str, place: Place, screen: int) -> None:
    assert place_of(display) == place
    assert screen_of(display) == screen


@pytest.mark.parametrize("display", ["", "host", ":", "unix:", ":x", "host:", "host:x", "host:-1", "host:59536"])
def test_displays_that_lead_nowhere(display: str) -> None:
    with pytest.raises(BadDisplay, match="DISPLAY"):
        place_of(display)


def test_a_display_that_is_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "org.xquartz:0"
    path.touch()
    assert place_of(str(path)).path == str(path)
    assert place_of(f"{path}.1").path == str(path)
    assert screen_of(f"{path}.1") == 1
    assert place_of("/nowhere:0.x").path == "/nowhere:0.x"


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_real_cookie_takes_the_place_of_the_fake_one(order: Order) -> None:
    begin = first_bytes(order)
    for size in range(len(begin)):
        assert with_real_cookie(begin[:size], FAKE, REAL) is None
    assert with_real_cookie(begin, FAKE, REAL) == first_bytes(order, data=REAL.data)
    assert with_real_cookie(begin + b"more", FAKE, REAL) == first_bytes(order, data=REAL.data) + b"more"


def test_a_cookie_of_an_odd_length() -> None:
    fake, real = Cookie("XDM", b"12345"), Cookie("XDM", b"abcde")
    begin = first_bytes("little", b"XDM", b"12345")
    assert with_real_cookie(begin + b"!", fake, real) == first_bytes("little", b"XDM", b"abcde") + b"!"


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        (b"\0", "byte order byte: 0x0"),
        (b"b" + first_bytes("big")[1:], "byte order byte: 0x62"),
        (b"l" + first_bytes("big")[1:], "different authentication protocol"),
        (first_bytes("big", b"", b""), "different authentication protocol"),
        (first_bytes("big", b"MIT-MAGIC-COOKIE-2"), "different authentication protocol"),
        (first_bytes("big", data=b""), "does not match"),
        (first_bytes("big", data=FAKE.data[:-1]), "does not match"),
        (first_bytes("big", data=FAKE.data + b"\0"), "does not match"),
        (first_bytes("big", data=REAL.data), "does not match"),
        (first_bytes("big", data=FAKE.data[:-1] + b"\0"), "does not match"),
        (first_bytes("big", b"\xff" * 65535, b"\xff" * 65535)[:12], "different authentication protocol"),
    ],
)
def test_whoever_does_not_show_the_fake_cookie_is_turned_away(begin: bytes, why: str) -> None:
    with pytest.raises(WrongCookie, match=why):
        with_real_cookie(begin, FAKE, REAL)


def test_chance_gets_nobody_in() -> None:
    generator = random.Random(11)
    for _ in range(2000):
        begin = bytearray(first_bytes(generator.choice(("big", "little"))))
        start = 12 if generator.random() < 0.5 else 0
        for _ in range(generator.randrange(1, 4)):
            begin[generator.randrange(start, len(begin))] ^= generator.randrange(1, 256)
        try:
            passed = with_real_cookie(bytes(begin), FAKE, REAL)
        except WrongCookie:
            continue
        if passed is not None:  # only what is no part of the proof was changed
            assert begin[32:48] == FAKE.data
            assert passed[32:48] == REAL.data


@pytest.mark.parametrize(
    ("listing", "cookie"),
    [
        (f"box/unix:0  {MAGIC}  00ff\n", Cookie(MAGIC, b"\x00\xff")),
        (f"box:0 {MAGIC} 01\nbox/unix:0 {MAGIC} 02\n", Cookie(MAGIC, b"\x01")),
        ("box:0 XDM-AUTHORIZATION-1 0102", Cookie("XDM-AUTHORIZATION-1", b"\x01\x02")),
        ("", None),
        ("\n", None),
        (f"box:0 {MAGIC}\n", None),
        (f"box:0 {MAGIC} 0\n", None),
        (f"box:0 {MAGIC} xy\n", None),
        ("box:0 M\N{BULLET}C 00\n", None),
        (f"box:0 {MAGIC} {'00' * 256}\n", None),
    ],
)
def test_what_xauth_lists(listing: str, cookie: Cookie | None) -> None:
    assert cookie_in(listing) == cookie
