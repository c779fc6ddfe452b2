"""When typed keys leave, so that their rhythm tells nothing (ObscureKeystrokeTiming, ssh_config(5)).

Who watches the wire sees when packets go, and from the pauses between keys a good deal of what was typed can be
guessed. So keys leave on the ticks of a clock, and when typing stops, packets that look like keys go on a while.
A pure unit: it knows times, not packets. `client.keystrokes` sends what is due.
"""

from __future__ import annotations

from collections.abc import Callable

FUZZ = 0.1
"""By how much of the interval ticks may come early, so that neither a clock of ours nor of the kernel shows."""

FAKE_AT_LEAST = 1.024
FAKE_SPREAD = 2.048
"""Fake keys go on for so many seconds after the last key, and for a random part of so many more, as in OpenSSH."""

FEW = 256
"""From so many bytes on that wait together, it is not keys but a paste, and not to be held up."""

FAKE_KEY = b"fake!"
"""The data of a ping that is as long as a packet with one key, and so is its answer as one echoed key."""


class KeyClock:
    """The ticks on which keys leave. Times are seconds of any clock; `random` gives numbers from 0 up to 1.

    It stands still until a key is typed. That one leaves at once and starts the clock; keys that follow wait for
    the next tick, never longer than `interval`. Ticks without a key are for a fake one, until typing has ended for
    some random seconds.
    """

    __slots__ = ("_fake_until", "_interval", "_random", "_slower", "next_tick")

    def __init__(self, interval: float, random: Callable[[], float]) -> None:
        self._interval = interval
        self._random = random
        self._slower = 0.0
        self._fake_until = 0.0
        self.next_tick: float | None = None
        """When the next tick is; None while the clock stands still."""

    def typed(self, now: float) -> bool:
        """Keys were typed. Returns whether they leave at once; the others leave at the next tick."""
        self._fake_until = now + FAKE_AT_LEAST + FAKE_SPREAD * self._random()
        if self.next_tick is not None:
            return False
        self._slower = self._random()  # each burst has a rate of its own
        self.next_tick = now + self._length()
        return True

    def tick(self, now: float, *, keys: bool) -> bool:
        """The tick is there; `keys` says that keys leave on it. Returns whether a fake key should leave instead.

        Keeps the clock going, or stops it when typing has ended long enough ago. Ticks that a busy machine has
        missed are passed over.
        """
        if not keys and now >= self._fake_until:
            self.next_tick = None
            return False
        self.next_tick = now + self._length()
        return not keys

    def stop(self) -> None:
        """Stand still until the next key."""
        self.next_tick = None

    def _length(self) -> float:
        """Of one tick: the interval less some fuzz, half of it the burst's and half the tick's own."""
        return self._interval * (1 - FUZZ * (self._slower + self._random()) / 2)
