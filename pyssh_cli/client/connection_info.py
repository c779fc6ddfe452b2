"""What the escape keys `~#` and `~I` show: the open channels, and all that is known of the connection.

Texts from facts, for a raw terminal: lines end in CR LF.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from pyssh_cli.log import printable
from pyssh_cli.protocol.channels import Channel
from pyssh_cli.protocol.transport import Transport

if TYPE_CHECKING:
    from socket import socket

_UNITS = "KMGT"

USUAL_ROWS = 24
"""Lines of a window, where nobody has said how many it has."""


def shown_size(count: float) -> str:
    """A number of bytes as people read it: 999 B, 1.5 KiB, 20 MiB."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in _UNITS:
        count /= 1024
        if count < 1024 or unit == _UNITS[-1]:
            break
    return f"{count:.1f} {unit}iB" if count < 10 else f"{count:.0f} {unit}iB"


def shown_seconds(seconds: float) -> str:
    """A time as people read it: 0.42 ms, 12.0 s, 2 h 05 min."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


class _Look(NamedTuple):
    """What a channel had carried when it was looked at last."""

    at: float
    sent: int
    received: int


class ChannelList:
    """Tells of channels. The rate is that since the last look at the channel, or since it was opened."""

    def __init__(self) -> None:
        self._looks: dict[Channel, _Look] = {}

    def lines(self, channels: Iterable[Channel], now: float) -> list[str]:
        """Two lines for each channel; `now` is on the clock of the channels' times."""
        looks, lines = {}, []
        for channel in channels:
            last = self._looks.get(channel) or _Look(channel.opened_at or now, 0, 0)
            looks[channel] = _Look(now, channel.bytes_sent, channel.bytes_received)
            lines += self._tell(channel, last, now)
        self._looks = looks
        return lines

    def total(self) -> str:
        """How many there were at the last look, and what they had carried together."""
        sent, received = (sum(look[way] for look in self._looks.values()) for way in (1, 2))
        return f"  {len(self._looks)} channels: sent {shown_size(sent)}, received {shown_size(received)}"

    @staticmethod
    def _tell(channel: Channel, last: _Look, now: float) -> list[str]:
        state = "" if channel.open else ", closing" if channel.close_sent else ", opening"
        took = max(now - last.at, 1e-6)
        ways = [
            (
                f"{what} {shown_size(total)}, {shown_size((total - before) / took)}/s,"
                f" window {shown_size(window)}{', ended' if ended else ''}"
            )
            for what, total, before, window, ended in (
                ("sent", channel.bytes_sent, last.sent, channel.remote_window, channel.eof_sent),
                ("received", channel.bytes_received, last.received, channel.window.left, channel.eof_received),
            )
        ]
        idle = f"idle for {shown_seconds(now - channel.last_used)}" if channel.last_used else "never used"
        return [
            f"  #{channel.local_id} {printable(channel.told)} ({printable(channel.kind)}"
            f" r{channel.remote_id}{state}), {idle}",
            f"     {'; '.join(ways)}",
        ]


def folded(line: str, columns: int) -> Iterator[str]:
    """A line for a terminal so wide, broken at spaces where it is longer; 0 is a width that nobody knows.

    What a line goes on with stands a little deeper. A word that is too long is left to the terminal.
    """
    indent = len(line) - len(line.lstrip(" ")) + 2
    while columns and len(line) > columns:
        at = line.rfind(" ", indent, columns + 1)
        if at < 0:
            at = line.find(" ", max(indent, columns))
        if at < 0:
            break
        yield line[:at]
        line = " " * indent + line[at + 1 :]
    yield line


def page(head: list[str], facts: list[str], channels: list[str], total: str, size: tuple[int, int]) -> list[str]:
    """What is shown in a window of `size`, columns and rows, as far as they are known.

    The beginning of what is longer than the window is seen by who scrolls back; then what is known of the
    connection and of all channels together comes at the end.
    """
    columns, rows = size
    lines = [part for line in (*head, *facts, *channels) for part in folded(line, columns)]
    if len(lines) < (rows or USUAL_ROWS):
        return lines
    return [part for line in (*head, *channels, total, *facts) for part in folded(line, columns)]


def ends(peer: str, sock: socket | None) -> str:
    """Between what the connection is: the server's end, and ours where we have a TCP socket."""
    try:
        name = sock.getsockname() if sock is not None else ()
    except OSError:
        name = ()
    return f"{peer} from {name[0]} port {name[1]}" if isinstance(name, tuple) and len(name) >= 2 else peer


def connection_lines(transport: Transport, login: str, between: str, now: float, since: float) -> list[str]:
    """What is known of the connection, as `login` and between these `ends`, which is up `since` that time."""
    lines = [
        f"  to {printable(login)}, {between}, for {shown_seconds(now - since)}",
        f"  server {printable(transport.server_version)}",
    ]
    agreed = transport.agreement
    if agreed:
        lines += [
            f"  key exchange {agreed.kex}, host key {agreed.host_key}",
            f"  cipher {_both(agreed.cipher_c2s, agreed.cipher_s2c)},"
            f" MAC {_both(agreed.mac_c2s or 'implicit', agreed.mac_s2c or 'implicit')},"
            f" compression {_both(agreed.compression_c2s, agreed.compression_s2c)}",
        ]
    sent, received = transport.bytes_sent, transport.bytes_received
    lines.append(f"  sent {shown_size(sent)}, received {shown_size(received)}, with all overhead")
    return lines


def _both(out: str, back: str) -> str:
    return out if out == back else f"{out} out and {back} back"
