"""Closing channels on which nothing happens any more (ChannelTimeout, ssh_config(5))."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from pyssh_cli.config.patterns import matches_pattern
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.protocol.channels import AGENT_KINDS, Channel, Channels

GLOBAL = "global"
"""Stands for all channels at once; no wildcard matches it."""

TYPES = {
    **dict.fromkeys(AGENT_KINDS, "agent-connection"),
    "tun@openssh.com": "tun-connection",
    "x11": "x11-connection",
}
"""Where ChannelTimeout calls a kind of channel by another name than the protocol."""


def idle_limit(rules: tuple[tuple[str, int], ...], *names: str) -> int:
    """Seconds after which a channel that goes by one of `names` is closed; 0 for never. The first rule wins."""
    for pattern, seconds in rules:
        if pattern != GLOBAL and any(matches_pattern(name, pattern) for name in names):
            return seconds
    return 0


def global_limit(rules: tuple[tuple[str, int], ...]) -> int:
    """Seconds after which all channels are closed when none of them is in use; 0 for never."""
    return next((seconds for pattern, seconds in rules if pattern == GLOBAL), 0)


class IdleTimeouts:
    """Watches the channels of one connection, and calls `expire` with one that is to be closed and the seconds.

    `expire` must see to it that the channel closes. `add` is to be called when a channel has opened.
    """

    def __init__(
        self,
        loop: Loop,
        channels: Channels,
        rules: tuple[tuple[str, int], ...],
        expire: Callable[[Channel, int], None],
    ) -> None:
        self._loop = loop
        self._channels = channels
        self._rules = rules
        self._global = global_limit(rules)
        self._expire = expire
        self._limits: dict[tuple[str, str], int] = {}
        self._timer: Timer | None = None
        self._due = 0.0

    def _limit(self, channel: Channel) -> int:
        names = TYPES.get(channel.kind, channel.kind), channel.purpose
        limit = self._limits.get(names)
        if limit is None:
            limit = self._limits[names] = idle_limit(self._rules, *names)
        return limit

    def add(self, channel: Channel) -> None:
        """This one has opened: come back in time for it, too. The others are not looked at, who may be many."""
        limits = [limit for limit in (self._limit(channel), self._global) if limit]
        if limits:
            self._come_back(channel.last_used + min(limits))

    def _come_back(self, when: float) -> None:
        if self._timer is None or when < self._due:
            self.stop()
            self._due = when
            self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """Close what is due, and come back when the next channel may be."""
        self.stop()
        now = monotonic()
        live = [channel for channel in self._channels if channel.open]
        dues = []
        if self._global and live:
            due = max(channel.last_used for channel in live) + self._global
            if due <= now:
                for channel in live:
                    self._expire(channel, self._global)
                return
            dues.append(due)
        for channel in live:
            limit = self._limit(channel)
            if limit and channel.last_used + limit <= now:
                self._expire(channel, limit)
            elif limit:
                dues.append(channel.last_used + limit)
        if dues:
            self._come_back(min(dues))

    def stop(self) -> None:
        """Watch no more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
