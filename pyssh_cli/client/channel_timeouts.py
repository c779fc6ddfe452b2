"""ChannelTimeout (ssh_config(5)): channels on which nothing happens for too long are closed."""

from __future__ import annotations

from time import monotonic

from pyssh_cli.client.owners import Owners
from pyssh_cli.config.patterns import matches_pattern
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol import channels as ch

GLOBAL = "global"
"""Not a type of channels: all of them together. No wildcard stands for it."""

_NAMES = {
    "auth-agent@openssh.com": "agent-connection",
    "tun@openssh.com": "tun-connection",
    "x11": "x11-connection",
}
"""What ChannelTimeout calls a channel type, where that is not the type's own name."""


class ChannelTimeouts:
    """Looks at all channels now and then, at least ten times in the shortest timeout; so a channel may live a
    tenth longer than said."""

    def __init__(
        self, timeouts: tuple[tuple[str, int], ...], log: Log, loop: Loop, channels: ch.Channels, owners: Owners
    ) -> None:
        self._timeouts = timeouts
        self._log = log
        self._loop = loop
        self._channels = channels
        self._owners = owners
        self._seen: dict[int, tuple[int, float]] = {}  # bytes so far, and since when it has been these
        self._global = next((seconds for name, seconds in timeouts if name == GLOBAL), 0)
        self._all_seen = (0, monotonic())
        lengths = [seconds for _, seconds in timeouts if seconds]
        self._step = min(1.0, min(lengths) / 10) if lengths else 0.0
        if self._step:
            self._loop.call_at(monotonic() + self._step, self._look)

    def _seconds_of(self, channel: ch.Channel) -> int:
        name = _NAMES.get(channel.kind, channel.kind)
        for pattern, seconds in self._timeouts:
            if pattern != GLOBAL and matches_pattern(name, pattern):
                return seconds
        return 0

    def _look(self) -> None:
        now = monotonic()
        before, self._seen = self._seen, {}
        total = 0
        for channel in self._channels:
            count = channel.bytes_received + channel.bytes_sent
            total += count + 1
            last, since = before.get(channel.local_id, (-1, now))
            if count != last:
                since = now
            self._seen[channel.local_id] = count, since
            seconds = self._seconds_of(channel)
            if seconds and now - since >= seconds and channel.open:
                self._close(channel, f"inactive for {seconds} seconds")
        last, since = self._all_seen
        if total != last:
            since = now
        self._all_seen = total, since
        if self._global and total and now - since >= self._global:
            for channel in self._channels:
                if channel.open:
                    self._close(channel, f"nothing on any channel for {self._global} seconds")
        self._loop.call_at(monotonic() + self._step, self._look)

    def _close(self, channel: ch.Channel, why: str) -> None:
        self._log.verbose(f"channel {channel.local_id}: {channel.kind} timed out: {why}")
        owner = self._owners.of(channel)
        if owner:
            owner.timed_out(channel)
