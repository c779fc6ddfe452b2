"""How long a round trip to the server takes: measured with transport pings, or with keep-alive requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from os import urandom
from time import monotonic

from pyssh_cli.protocol.channels import Channels
from pyssh_cli.protocol.transport import Transport

KEEP_ALIVE = "keepalive@openssh.com"
"""A global request that no server knows, and every one answers (OpenSSH's PROTOCOL says the same of its own)."""

MAX_UNDER_WAY = 16
"""Measurements under way; further ones are not begun."""

Done = Callable[[float], None]


class RoundTrip:
    """Measures round trips on one connection. `last` is in seconds, 0 for not measured yet."""

    def __init__(self, transport: Transport, channels: Channels) -> None:
        self._transport = transport
        self._channels = channels
        self._pings: dict[bytes, tuple[float, Done]] = {}
        self._keep_alives: deque[tuple[float, Done | None]] = deque()
        self.last = 0.0

    def measure(self, done: Done) -> None:
        """Ask the server something, and call `done` with the seconds that the answer took."""
        if len(self._pings) + len(self._keep_alives) >= MAX_UNDER_WAY:
            return
        marker = urandom(8)
        if self._transport.ping(marker):
            self._pings[marker] = monotonic(), done
        else:
            self.keep_alive(done)

    def keep_alive(self, done: Done | None = None) -> None:
        """Send a keep-alive request (ServerAliveInterval), whose answer is measured as well."""
        self._keep_alives.append((monotonic(), done))
        self._channels.global_request(KEEP_ALIVE, want_reply=True)

    def on_pong(self, data: bytes) -> None:
        """A transport ping has been answered; one that was no measurement is passed over."""
        if data in self._pings:
            self._answered(*self._pings.pop(data))

    def on_keep_alive_answered(self) -> None:
        """A keep-alive request has been answered, whether with success or with failure."""
        if self._keep_alives:
            self._answered(*self._keep_alives.popleft())

    def _answered(self, asked_at: float, done: Done | None) -> None:
        self.last = took = monotonic() - asked_at
        if not self._channels.round_trip or took < self._channels.round_trip:
            self._channels.round_trip = took
        if done:
            done(took)
