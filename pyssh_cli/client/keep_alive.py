"""Asking the server whether it is still there (ServerAliveInterval and ServerAliveCountMax, ssh_config(5))."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError
from pyssh_cli.net.loop import Loop, Timer

if TYPE_CHECKING:
    from pyssh_cli.client.connection import Connection


class KeepAlive:
    """Asks the server at the other end of `connection` for a word whenever it has said nothing for the interval.
    Raises NetworkError, from the loop, when it has not answered so many times."""

    def __init__(self, options: Options, loop: Loop, connection: Connection) -> None:
        self._loop = loop
        self._connection = connection
        self._hostname = options.hostname
        self._interval = options.server_alive_interval
        self._most = options.server_alive_count_max
        self._unanswered = 0
        self._asked_at = 0.0
        self._timer: Timer | None = None
        self._come_back(monotonic() + self._interval)

    def _come_back(self, when: float) -> None:
        self._timer = self._loop.call_at(when, self._on_due)

    def _on_due(self) -> None:
        connection, interval = self._connection, self._interval
        if connection.is_over():
            return
        heard = connection.last_heard
        if not connection.authenticated:  # nothing may be asked yet: a silence of the whole length is the end
            interval *= self._most
            if monotonic() >= heard + interval:
                raise NetworkError(f"Connection to {connection.peer} timed out")
        if heard > self._asked_at:
            self._unanswered = 0
        due = heard + interval
        if not self._unanswered and monotonic() < due:  # it has said something since
            self._come_back(due)
            return
        if self._unanswered >= self._most:
            asked = self._unanswered
            were = "keep-alive message was" if asked == 1 else "keep-alive messages were"
            raise NetworkError(f"Timeout, server {self._hostname} not responding ({asked} {were} not answered).")
        self._unanswered += 1
        self._asked_at = monotonic()
        connection.round_trip.keep_alive()
        connection.flush()
        self._come_back(monotonic() + interval)

    def stop(self) -> None:
        """Ask no more."""
        if self._timer:
            self._timer.cancel()
