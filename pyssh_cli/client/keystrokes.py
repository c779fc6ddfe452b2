"""Typed keys on their way out, at once or on the ticks that hide their rhythm (`terminal.keystrokes`)."""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from time import monotonic

from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.protocol.transport import Transport
from pyssh_cli.terminal.keystrokes import FAKE_KEY, FEW, KeyClock


def _random() -> float:
    """From 0 up to 1, so that nobody can tell what comes next."""
    return int.from_bytes(urandom(6), "big") / (1 << 48)


class ObscuredTyping:
    """Holds typed keys for the next tick and sends fake ones between, by transport pings.

    `send` sends keys; `flush` what the transport has been given. `milliseconds` is the interval between ticks.
    """

    def __init__(
        self,
        loop: Loop,
        log: Log,
        transport: Transport,
        milliseconds: int,
        send: Callable[[bytes], None],
        flush: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._transport = transport
        self._milliseconds = milliseconds
        self._send = send
        self._flush = flush
        self._clock = KeyClock(milliseconds / 1000, _random)
        self._held = b""
        self._timer: Timer | None = None
        self._fakes = 0

    def type(self, data: bytes) -> None:
        """Send what was typed, when it is time to. A paste goes at once, as does all while keys are exchanged."""
        data = self._held + data
        if len(data) >= FEW or not self._transport.can_send:
            self.stop("much to send" if self._transport.can_send else "rekeying started")
            self._send(data)
            return
        if self._clock.typed(monotonic()):
            self._log.debug3(f"obscuring keystroke timing: starting, interval ~{self._milliseconds}ms")
            self._fakes = 0
            self._send(data)
            self._schedule()
        else:
            self._held = data

    def _schedule(self) -> None:
        if self._clock.next_tick is not None:
            self._timer = self._loop.call_at(self._clock.next_tick, self._on_tick)

    def _on_tick(self) -> None:
        if not self._transport.can_send:
            self.release("rekeying started")
            return
        held, self._held = self._held, b""
        fake = self._clock.tick(monotonic(), keys=bool(held))
        if held:
            self._send(held)
        elif fake:
            self._fakes += 1
            self._transport.ping(FAKE_KEY)
            self._flush()
        else:
            self._told("the last key was long ago")
            return
        self._schedule()

    def release(self, why: str) -> None:
        """Stop, and send what is held."""
        held = self._held
        self.stop(why)
        if held:
            self._send(held)

    def stop(self, why: str) -> None:
        """Send no more fake keys, and forget what is held."""
        self._held = b""
        if self._clock.next_tick is not None:
            self._clock.stop()
            self._told(why)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _told(self, why: str) -> None:
        self._log.debug3(f"obscuring keystroke timing: stopping, {why} ({self._fakes} fake keys sent)")
