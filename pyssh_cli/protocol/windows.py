"""Receive windows (RFC 4254 section 5.2): what a server may send on a channel, and when it is granted more.

We grant the server a window, give back what was consumed in pieces of some size, and widen it fourfold, up to a
limit, when the sender turns out to be held back by it: when a whole window arrived within a few of the round trips
that it takes to grant it, and no faster than both ends can do anyway, while the reader keeps up. A window larger
than the path needs would only cost memory and time, and that at both ends: what sshd may send and cannot yet, it
reads already, and moves about in memory. One that began small, because what is under way to a person should not be
much, narrows again when the reader falls behind.
"""

from __future__ import annotations

INITIAL_WINDOW = 2 * 1024 * 1024
"""Bytes; what OpenSSH grants and never changes."""

MAX_WINDOW = 32 * 1024 * 1024
"""Bytes: enough to fill 2.5 Gbit/s over 100 ms, and the most that a stalled reader can make us hold."""

ALL_FIRST_WINDOWS = 16 * 1024 * 1024
"""Bytes that the first windows of many channels share, so that a thousand readers who all stall can not make us
hold gigabytes; MIN_WINDOW is what each gets in any case."""

MIN_WINDOW = 64 * 1024

ALL_WINDOWS = 128 * 1024 * 1024
"""Bytes that all windows together may grow to."""

HELD_BACK = 4
"""Round trips within which a whole window goes by when the window, and not the path, is what holds the sender.
It takes one at least; bursts and the time that both ends need make it more."""

UNHELD_RATE = 512 * 1024 * 1024
"""Bytes a second at which the two ends have all they can do, and no window holds them. Without it windows grew on
loopback, where round trips are measured while an end is busy, and sshd took a seventh more CPU for every byte, in
memory that it got and moved."""


class AllWindows:
    """What the windows of one connection have in common."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0
        """Bytes of all windows together."""

    def first(self, channels: int) -> int:
        """The first window for one more channel among so many that are there."""
        return max(MIN_WINDOW, min(INITIAL_WINDOW, ALL_FIRST_WINDOWS // (channels + 1)))


class ReceiveWindow:
    """The window of one channel. All but the times are bytes.

    - `left`: what the server may still send; `size`: how far that is refilled.
    - `held`: received, and not consumed yet; `unreturned`: consumed, and not granted again yet.
    - `first`, `most`: its size at first, and what that may become.
    - `all`: what it has in common with the others of the connection.
    """

    __slots__ = ("_marked_at", "_until_marker", "all", "first", "held", "left", "most", "size", "unreturned")

    def __init__(self, windows: AllWindows, size: int, most: int) -> None:
        self.all = windows
        self.left = self.size = self.first = size
        self.most = most
        self.held = 0
        self.unreturned = 0
        self._marked_at = 0.0
        self._until_marker = size  # bytes to come until the last of the window as it was then
        windows.total += size

    def granted(self, now: float) -> None:
        """The server knows of it since now."""
        self._marked_at = now
        self._until_marker = self.left

    def give_up(self) -> None:
        """The channel is gone."""
        self.all.total -= self.size

    def received(self, count: int) -> bool:
        """So much has come; False if it is more than was granted."""
        if count > self.left:
            return False
        self.left -= count
        self._until_marker -= count
        self.held += count
        return True

    def consumed(self, count: int, now: float, round_trip: float) -> int:
        """So much of it has been dealt with: how much is to be granted again now, often nothing.

        `now` is in seconds, on the clock of `granted`; `round_trip` is the seconds that one takes at
        least, as far as known, and 0 for unknown.
        """
        self.held -= count
        self.unreturned += count
        if self.unreturned < _adjust_at(self.size):
            return 0
        if self._until_marker <= 0:
            if self._holds_back(now - self._marked_at, round_trip):
                most = min(self.most - self.size, ALL_WINDOWS - self.all.total)
                self._resize(max(0, min(3 * self.size, most)))
            elif self._falls_behind():
                self._resize(max(self.first, self.size // 4) - self.size)
            self._marked_at = now
            self._until_marker = self.left + self.unreturned
        if self.unreturned <= 0:
            return 0
        grant, self.unreturned = self.unreturned, 0
        self.left += grant
        return grant

    def _resize(self, more: int) -> None:
        self.size += more
        self.all.total += more
        self.unreturned += more

    def _holds_back(self, took: float, round_trip: float) -> bool:
        """Whether the window, used up so many seconds after it was granted, went by as fast as a round trip
        allows, and no faster than the ends allow."""
        return (
            round_trip > 0
            and self.held * 4 <= self.size
            and self.size <= took * UNHELD_RATE
            and took <= HELD_BACK * round_trip
        )

    def _falls_behind(self) -> bool:
        """Whether the reader is what holds a channel that began with a small window, now that it is wider."""
        return self.first < INITIAL_WINDOW and self.size > self.first and self.held * 4 > self.size


def _adjust_at(size: int) -> int:
    """How much is consumed before it is granted again: half of a window up to the usual first size, and of larger
    ones an eighth, so that a long path does not run half empty."""
    return max(min(INITIAL_WINDOW, size) // 2, size // 8)
