"""Which class the packets of a connection travel in, as its channels come and go (IPQoS, ssh_config(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyssh_cli.log import Log
from pyssh_cli.protocol.channels import Channel

if TYPE_CHECKING:
    from socket import socket

_OF_THE_SYSTEM = 0
"""The field that packets have when nobody sets one."""


class ServiceClass:
    """That of interactive sessions, with which `sock` was made, unless a channel is open that is not interactive.

    So OpenSSH 10.1 and later do it: networks take only so much traffic of the better class. `sock` is None where
    the connection has no socket of its own.
    """

    def __init__(self, sock: socket | None, fields: tuple[int | None, int | None], log: Log) -> None:
        self._sock = sock
        self._fields = fields
        self._log = log
        self._bulk: set[Channel] = set()
        self._is_bulk = False

    def consider(self, channel: Channel) -> None:
        """The channel has opened or closed, or lost what makes it interactive."""
        if channel.open and not channel.interactive:
            self._bulk.add(channel)
        else:
            self._bulk.discard(channel)
        if bool(self._bulk) is not self._is_bulk:
            self._is_bulk = not self._is_bulk
            self._set()

    def _set(self) -> None:
        left, entered = self._fields if self._is_bulk else reversed(self._fields)
        if self._sock is not None and left != entered:
            from pyssh_cli.net.tcp import set_service_class

            set_service_class(self._sock, _OF_THE_SYSTEM if entered is None else entered, self._log)
