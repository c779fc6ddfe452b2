"""What goes to the remote side of a session: our stdin as it comes, as far as the channel's window takes it.

What is typed on a terminal goes by `keyboard`, which stands on this.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.output import block_again, unblock
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.protocol.channels import MAX_PACKET, Channel

if TYPE_CHECKING:
    from pyssh_cli.client.connection import Connection

STDIN = 0

MAX_PACKETS_A_READ = 16
"""Packets that one read of stdin may fill."""


class Stdin:
    """Our stdin on its way to `channel`. Nothing is read before `start`, nor when there is no use for it."""

    def __init__(self, log: Log, loop: Loop, connection: Connection, channel: Channel) -> None:
        self._log = log
        self._loop = loop
        self._connection = connection
        self._channels = connection.channels
        self._channel = channel
        self._watched = False
        self._ended = False
        self._unblocked = False
        self._packets_a_read = 1

    def start(self) -> None:
        """Read from now on, and never wait for it."""
        self._unblocked = unblock(STDIN)
        self.watch()

    def watch(self) -> None:
        """Watch stdin exactly while there is a use for what it says."""
        wanted = self._is_wanted()
        if wanted != self._watched:
            self._watched = wanted
            self._loop.watch(STDIN, self._on_readable if wanted else None)

    def _is_wanted(self) -> bool:
        return not self._ended and self._channel.sendable > 0 and self._connection.takes_data()

    def may_send(self) -> None:
        """There is room again."""
        self.watch()

    def _on_readable(self) -> None:
        """What stdin says is read into the packets that it leaves in."""
        channel = self._channel
        if not self._connection.takes_data():  # a key exchange has begun since
            self.watch()
            return
        size = min(channel.remote_max_packet, MAX_PACKET)
        count = self._packets_a_read
        if channel.sendable < size * count:
            size = min(size, channel.sendable)
            count = max(1, channel.sendable // size)
        try:
            done = self._connection.transport.send_read(
                self._channels.data_prefix(channel), size, count, _read_stdin
            )
        except BlockingIOError:
            return
        except OSError as error:
            self._log.debug1(f"read from stdin failed: {error.strerror}")
            done = 0
        if not done:
            self.end()
            return
        self._packets_a_read = min(MAX_PACKETS_A_READ, 2 * count) if done == size * count else max(1, count // 2)
        self._channels.now = monotonic()
        self._channels.sent(channel, done)
        self._connection.flush()
        self.watch()

    def end(self) -> None:
        """Nothing more comes from here, and the remote side is told so."""
        self.stop()
        self._tell_end()

    def _tell_end(self) -> None:
        self._log.debug2("channel 0: send eof")
        self._channels.eof(self._channel)
        self._connection.flush()

    def stop(self) -> None:
        """Read no more: the channel is closed, or nobody there reads (eow@openssh.com)."""
        self._ended = True
        self.watch()

    def close(self) -> None:
        """Leave our descriptor as it was found."""
        if self._watched:
            self._loop.watch(STDIN)
        if self._unblocked:
            block_again(STDIN)


def _read_stdin(views: list[memoryview]) -> int:
    return os.readv(STDIN, views)
