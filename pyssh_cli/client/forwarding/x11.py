"""-X and -Y: windows of programs on the server open on the display here (ssh(1), X11 FORWARDING; RFC 4254
section 6.3).

The server never learns the cookie that opens the display. It is given one of our own making, of which each
connection has to show the whole in its first bytes, where the right one is put in its place. With untrusted
forwarding the right one is a cookie that xauth has the X server make, for what its SECURITY extension lets
strangers do.
"""

from __future__ import annotations

import os
import re
import socket
from functools import partial
from time import monotonic
from typing import Literal, NamedTuple

from pyssh_cli.client.forwarding.context import Context
from pyssh_cli.client.forwarding.relay import Relay
from pyssh_cli.errors import WireError
from pyssh_cli.log import printable
from pyssh_cli.net.dial import Dial, dial_tcp, dial_unix
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import Reader, boolean, text, uint32

CHANNEL = "x11"
"""The kind of channel that the server opens to the display."""

MAGIC_COOKIE = "MIT-MAGIC-COOKIE-1"
COOKIE_SIZE = 16
"""Bytes of a magic cookie."""

MAX_COOKIE = 255
"""Bytes; more than any X server's."""

BASE_PORT = 6000
"""The TCP port of display 0."""

LOCAL_SOCKET = "/tmp/.X11-unix/X{}"  # noqa: S108

MAX_SCREEN = 400
"""Larger screen numbers are taken for 0, as ssh does."""

TIMEOUT_SLACK = 60
"""Seconds for which an untrusted cookie outlives our refusing: X servers let in who has none at all."""

XAUTH_SECONDS = 60.0
"""How long xauth may take: it waits for locks of its file."""

SETUP_SECONDS = 60.0
"""How long a connection may take for its first bytes."""

_HEAD_SIZE = 12
_ORDERS: dict[int, Literal["big", "little"]] = {0x42: "big", 0x6C: "little"}
"""The first byte of a connection, and the order of the bytes in its numbers (the X protocol, Connection Setup)."""

_STRANGE = re.compile(r"[^A-Za-z0-9:/.\-_]")
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)

_CONNECT_FAILED = 2


class BadDisplay(ValueError):
    """A DISPLAY that leads nowhere."""


class WrongCookie(ValueError):
    """A connection that does not show the cookie that it was given."""


class Place(NamedTuple):
    """Where the X server is: at a path, at the local socket of display `number` (no `host`), or at a host."""

    path: str | None
    host: str | None
    number: int


class Cookie(NamedTuple):
    """What opens a display: the name of the protocol, and its data."""

    protocol: str
    data: bytes


def place_of(display: str) -> Place:
    """Where a DISPLAY leads: ":0", ":0.1", "unix:0", "host:0", or the path of a socket, as on macOS.

    Raises BadDisplay.
    """
    if display.startswith("/"):
        return Place(_socket_path(display), None, 0)
    local = display.startswith(("unix:", ":"))
    host, colon, rest = display.rpartition(":") if local else display.partition(":")
    if not colon:
        raise BadDisplay(f"Could not find ':' in DISPLAY: {display}")
    number = _NUMBER.match(rest)
    if number is None:
        raise BadDisplay(f"Could not parse display number from DISPLAY: {display}")
    found = int(number[0])
    if not local and found > 0xFFFF - BASE_PORT:
        raise BadDisplay(f"No port for the display number in DISPLAY: {display}")
    return Place(None, None if local else host, found)


def _socket_path(display: str) -> str:
    """The socket that is named, which may have a screen's number behind it."""
    if not os.path.exists(display):
        shorter, dot, screen = display.rpartition(".")
        if dot and screen.isdecimal() and os.path.exists(shorter):
            return shorter
    return display


def screen_of(display: str) -> int:
    """The screen's number, which follows the first dot behind the colon; 0 without one."""
    _, _, screen = display.partition(":")[2].partition(".")
    number = _NUMBER.fullmatch(screen)
    return int(number[0]) if number and int(number[0]) <= MAX_SCREEN else 0


def with_real_cookie(seen: bytes, fake: Cookie, real: Cookie) -> bytes | None:
    """The first bytes of a connection with `real` in place of `fake`; None while they are too few to say.

    Raises WrongCookie, as soon as it is sure, for what does not show `fake`.
    """
    if seen and seen[0] not in _ORDERS:
        raise WrongCookie(f"Initial X11 packet contains bad byte order byte: 0x{seen[0]:x}")
    if len(seen) < _HEAD_SIZE:
        return None
    order = _ORDERS[seen[0]]
    name = fake.protocol.encode("ascii")
    name_size = int.from_bytes(seen[6:8], order)
    data_size = int.from_bytes(seen[8:10], order)
    if name_size != len(name):
        raise WrongCookie("X11 connection uses different authentication protocol.")
    if data_size != len(fake.data):
        raise WrongCookie("X11 auth data does not match fake data.")
    start = _HEAD_SIZE + _padded(name_size)
    if len(seen) < start + _padded(data_size):
        return None
    from hmac import compare_digest

    if not compare_digest(seen[_HEAD_SIZE : _HEAD_SIZE + name_size], name):
        raise WrongCookie("X11 connection uses different authentication protocol.")
    if not compare_digest(seen[start : start + data_size], fake.data):
        raise WrongCookie("X11 auth data does not match fake data.")
    return seen[:start] + real.data + seen[start + data_size :]


def _padded(size: int) -> int:
    return size + -size % 4


def cookie_in(listing: str) -> Cookie | None:
    """The cookie in the first line of what `xauth list` prints: a display, a protocol, and data in hexadecimal."""
    words = listing.partition("\n")[0].split()
    if len(words) < 3:
        return None
    protocol, digits = words[1], words[2]
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    if not protocol.isascii() or not 0 < len(data) <= MAX_COOKIE:
        return None
    return Cookie(protocol, data)


class X11Forwarding:
    """The display of $DISPLAY, for one connection's server and all its sessions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._display: str | None = None
        self._real: Cookie | None = None
        self._fake: Cookie | None = None
        self._refuses_from: float | None = None

    def request(self, channel: ch.Channel) -> bool:
        """Ask for it with the session on `channel`, and let the server open channels. False when that cannot be;
        what is the matter is told."""
        context, log = self._context, self._context.log
        display = os.environ.get("DISPLAY")
        if not display:
            log.debug1("X11 forwarding requested but DISPLAY not set")
            return False
        if self._display not in {None, display}:
            log.error("x11_request_forwarding_with_spoofing: different $DISPLAY already forwarded")
            return False
        strange = _STRANGE.search(display)
        if strange:
            log.debug1(f"Invalid character '{printable(strange[0])}' in DISPLAY")
            log.info(f'DISPLAY "{printable(display)}" invalid; disabling X11 forwarding')
            return False
        if self._fake is None and not self._make_cookies(display):
            return False
        fake = self._fake
        assert fake is not None
        log.debug1("Requesting X11 forwarding with authentication spoofing.")
        fields = boolean(False) + text(fake.protocol) + text(fake.data.hex()) + uint32(screen_of(display))
        context.connection.channels.request(channel, "x11-req", fields, want_reply=True)
        context.connection.openers[CHANNEL] = self._on_open
        self._display = display
        return True

    # Cookies ----------------------------------------------------------------------------------------------------

    def _make_cookies(self, display: str) -> bool:
        trusted, log = self._context.options.forward_x11_trusted, self._context.log
        real = self._listed(display) if trusted else self._generated(display)
        if real is None:
            hint = ""
            program = self._context.options.xauth_location
            if not os.path.exists(program):
                hint = f" (there is no {printable(program)} here: install xauth, or set XAuthLocation)"
            if not trusted:
                hint = hint or " (-Y does without, and trusts the remote programs)"
                told = "Warning: untrusted X11 forwarding setup failed: xauth key data not generated"
                log.error(told + hint)
                return False
            log.info(f"Warning: No xauth data; using fake authentication data for X11 forwarding.{hint}")
            real = Cookie(MAGIC_COOKIE, os.urandom(COOKIE_SIZE))
        self._real = real
        self._fake = Cookie(real.protocol, os.urandom(len(real.data)))
        return True

    def _listed(self, display: str, *from_file: str) -> Cookie | None:
        """The cookie that xauth has for the display."""
        listing = self._xauth(*from_file, "list", _known_as(display))
        return None if listing is None else cookie_in(listing)

    def _generated(self, display: str) -> Cookie | None:
        """A new cookie of the X server's, for clients that are not trusted and for a time."""
        from shutil import rmtree
        from tempfile import mkdtemp

        timeout = self._context.options.forward_x11_timeout
        words = ["generate", _known_as(display), MAGIC_COOKIE, "untrusted"]
        if timeout:
            words += ["timeout", str(min(timeout + TIMEOUT_SLACK, 0xFFFFFFFF))]
            self._refuses_from = monotonic() + 1 + timeout
        try:
            directory = mkdtemp(prefix="pyssh-")
        except OSError as error:
            self._context.log.error(f"no temporary directory for xauth: {error.strerror}")
            return None
        try:
            file = os.path.join(directory, "xauthfile")
            if self._xauth("-f", file, *words) is None:
                return None
            return self._listed(display, "-f", file)
        finally:
            rmtree(directory, ignore_errors=True)

    def _xauth(self, *words: str) -> str | None:
        """What xauth prints; None when it fails."""
        from subprocess import DEVNULL, PIPE, SubprocessError, run

        program = self._context.options.xauth_location
        if not os.path.exists(program):
            self._context.log.debug1("No xauth program.")
            return None
        self._context.log.debug2(f"xauth command: {' '.join((program, *words))}")
        try:
            done = run(
                [program, *words], stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, timeout=XAUTH_SECONDS, check=True
            )
        except (OSError, SubprocessError) as error:
            self._context.log.debug1(f"{program}: {error}")
            return None
        return done.stdout.decode("ascii", "replace")

    # Connections ------------------------------------------------------------------------------------------------

    def _is_too_late(self) -> bool:
        late = self._refuses_from is not None and monotonic() >= self._refuses_from
        if late:
            self._context.log.verbose("Rejected X11 connection after ForwardX11Timeout expired")
        return late

    def _on_open(self, request: ch.OpenRequested) -> None:
        context = self._context
        if self._is_too_late():
            self._refuse(request)
            return
        reader = Reader(request.fields)
        try:
            originator, port = reader.text(), reader.uint32()
        except WireError:
            self._refuse(request)
            return
        context.log.debug1(f"client_request_x11: request from {printable(originator)} {port}")
        assert self._display is not None
        done = partial(self._dialed, request)
        try:
            place = place_of(self._display)
        except BadDisplay as error:
            context.log.error(printable(str(error)))
            self._refuse(request)
            return
        if place.path is not None:
            dial_unix(context.loop, place.path, done)
        elif place.host is not None:
            port = BASE_PORT + place.number
            dial_tcp(context.loop, context.resolver, place.host, port, context.options.address_family, done)
        else:
            path = LOCAL_SOCKET.format(place.number).encode("ascii")
            # Linux has one without a file besides, which is there for who sees another /tmp.
            Dial(context.loop, [(socket.AF_UNIX, b"\0" + path), (socket.AF_UNIX, path)], done)

    def _dialed(self, request: ch.OpenRequested, sock: socket.socket | None, error: OSError | None) -> None:
        if sock is None:
            reason = (error.strerror or str(error)) if error else "no address"
            hint = "no X server listens at DISPLAY here" if error and error.errno else "check DISPLAY here"
            self._context.log.error(f"connect {self._display}: {reason} ({hint})")
            self._refuse(request)
            return
        relay = self._context.relay("x11")
        timer = self._context.loop.call_at(monotonic() + SETUP_SECONDS, partial(self._on_silence, relay))
        relay.inspect = partial(self._inspect, relay)
        relay.ended = timer.cancel
        relay.lingers = 0.0  # the program has gone: no matter what the display would still tell it
        relay.accept(request)
        relay.connect(sock)

    def _on_silence(self, relay: Relay) -> None:
        if relay.inspect is not None:
            self._context.log.debug1("an X11 connection did not begin in time")
            relay.abort()

    def _inspect(self, relay: Relay, seen: bytes) -> bytes | None:
        """See `Relay.inspect`."""
        assert self._fake is not None
        assert self._real is not None
        log = self._context.log
        try:
            if not self._is_too_late():
                return with_real_cookie(seen, self._fake, self._real)
        except WrongCookie as error:
            log.debug2(str(error))
        log.info("X11 connection rejected because of wrong authentication.")
        relay.abort()
        return None

    def _refuse(self, request: ch.OpenRequested) -> None:
        self._context.connection.refuse_channel(request, _CONNECT_FAILED, "open failed")
        self._context.connection.flush_soon()


def _known_as(display: str) -> str:
    """What xauth calls the display: its file has no entries for "localhost"."""
    return f"unix:{display.removeprefix('localhost:')}" if display.startswith("localhost:") else display
