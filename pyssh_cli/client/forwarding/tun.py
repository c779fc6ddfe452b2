"""-w: a network device here joined to one on the server (ssh(1), SSH-BASED VIRTUAL PRIVATE NETWORKS).

OpenSSH's PROTOCOL 2.3, tun@openssh.com: each message of the channel's data is one packet, or one frame. A packet
of a point-to-point device has its address family before it, by the numbers that OpenBSD gives them.
"""

from __future__ import annotations

import os
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.connection import Connection
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError, PysshError
from pyssh_cli.log import Log, printable
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.tun import MAX_FRAME, open_device
from pyssh_cli.protocol import channels as ch
from pyssh_cli.wire import string, uint32

if TYPE_CHECKING:
    from pyssh_cli.client.reconnect import Waits

KIND = "tun@openssh.com"

MODES = {"point-to-point": 1, "ethernet": 2}
ANY_UNIT = 0x7FFFFFFF
"""How the server is asked for the first device that is free."""

FAMILY_SIZE = 4
IPV4, IPV6 = uint32(2), uint32(24)

PACKETS_AT_ONCE = 64
"""How many are read before others have their turn."""


class Tunnel:
    """One -w. `device` is the name of the device here, `settled` whether the server has answered."""

    def __init__(self, options: Options, log: Log, loop: Loop, connection: Connection) -> None:
        """Open the device and ask the server for its own. Raises NetworkError when there is none here."""
        self._options = options
        self._log = log
        self._loop = loop
        self._connection = connection
        self._ethernet = options.tunnel == "ethernet"
        self._reading = False
        self._turned_away = False
        self._waiting = b""  # a packet that is larger than the rest of the window
        self.settled = False
        self._waits: Waits | None = None
        local, _ = options.tunnel_device
        mode = MODES[options.tunnel]
        log.debug1(f"Requesting tun unit {ANY_UNIT if local is None else local} in mode {mode}")
        self._fd, self.device = open_device(ethernet=self._ethernet, number=local)
        log.debug1(f"Tunnel forwarding using interface {self.device}")
        self._ask()

    def _ask(self) -> None:
        """Ask the server for its device."""
        _, remote = self._options.tunnel_device
        fields = uint32(MODES[self._options.tunnel]) + uint32(ANY_UNIT if remote is None else remote)
        self._head = b""
        self._channel = self._connection.open_channel(KIND, fields, self)
        self._connection.flush_soon()

    def go_on(self, connection: Connection) -> None:
        """Use another connection, after one that was lost: what is set up on the device here stays. The server may
        hold its own for the lost one yet, and is asked until it does not."""
        from pyssh_cli.client.reconnect import Waits

        self._connection = connection
        self._waits = Waits()
        self._turned_away = False
        self._waiting = b""
        if self._fd >= 0:
            self._ask()

    def _ask_again(self, connection: Connection) -> None:
        if connection is self._connection and self._fd >= 0:
            self._ask()

    # What the connection tells us -------------------------------------------------------------------------------

    def on_channel_event(self, event: ch.Event) -> None:
        if isinstance(event, ch.Data):
            self._write(event.data)
            self._connection.channels.consumed(event.channel, len(event.data), monotonic())
        elif isinstance(event, ch.WindowOpened):
            self._watch()
        elif isinstance(event, ch.Opened):
            self.settled = True
            self._log.debug1(f"tunnel forward established, id={event.channel.local_id}")
            self._head = self._connection.channels.data_prefix(event.channel)
            self._watch()
        elif isinstance(event, ch.OpenRefused):
            self._on_refused(event)
        elif isinstance(event, ch.Closed):
            self._log.debug1("the server has closed the tunnel")
            self.close()
        elif isinstance(event, ch.ChannelRequest) and event.want_reply:
            self._connection.channels.reply(event.channel, False)

    def _on_refused(self, event: ch.OpenRefused) -> None:
        reason = ch.OPEN_FAILURES.get(event.reason, "unknown reason")
        why = f"channel {self._channel.local_id}: open failed: {reason}: {printable(event.message)}"
        message = "Tunnel forwarding failed"
        if self._waits:
            self._log.debug1(why)
            if not self._waits.taken:
                self._log.error(f"{message}; asking again until it succeeds")
            self._loop.call_at(monotonic() + self._waits.next(), partial(self._ask_again, self._connection))
            return
        self._log.info(why)
        self.settled = True
        self.close()
        message += " (the server: see PermitTunnel there; its device may be taken, or not be its user's)"
        if self._options.exit_on_forward_failure:
            raise PysshError(message)
        self._log.error(message)

    def batch_done(self) -> None:
        """Everything was written as it came."""

    def may_send(self) -> None:
        self._turned_away = False
        self._watch()

    def timed_out(self, channel: ch.Channel) -> None:
        self._connection.channels.close(channel)
        self._connection.flush_soon()
        self.close()

    def connection_ended(self) -> None:
        if self._options.reconnect:
            self._read_no_more()
        else:
            self.close()

    def _read_no_more(self) -> None:
        if self._reading:
            self._loop.watch(self._fd)
            self._reading = False

    def close(self) -> None:
        """Give the device back."""
        if self._fd >= 0:
            self._read_no_more()
            os.close(self._fd)
            self._fd = -1

    # Packets ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Read the device exactly while what it says can be sent; what does not fit its queue it drops itself."""
        if self._waiting and len(self._waiting) <= self._channel.sendable:
            packet, self._waiting = self._waiting, b""
            self._send(packet)
            self._connection.flush_soon()
        wanted = (
            self._fd >= 0 and not self._turned_away and not self._waiting and self._channel.sendable > FAMILY_SIZE
        )
        if wanted != self._reading:
            self._reading = wanted
            self._loop.watch(self._fd, self._on_readable if wanted else None)

    def _on_readable(self) -> None:
        for _ in range(PACKETS_AT_ONCE):
            if not self._connection.takes_data(self):
                self._turned_away = True
                break
            try:
                packet = os.read(self._fd, MAX_FRAME)
            except BlockingIOError:
                break
            except OSError as error:  # it has been deleted
                self._log.error(f"tunnel device {self.device} is gone: {error.strerror}")
                self.timed_out(self._channel)
                return
            if packet and not self._ethernet:
                packet = (IPV6 if packet[0] >> 4 == 6 else IPV4) + packet
            if len(packet) > self._channel.remote_max_packet:
                self._log.debug1(f"channel {self._channel.local_id}: datagram too big")
            elif len(packet) > self._channel.sendable:
                self._waiting = packet
                break
            else:
                self._send(packet)
        self._connection.flush_soon()
        self._watch()

    def _send(self, packet: bytes) -> None:
        self._connection.transport.send(self._head, string(packet))
        self._connection.channels.now = monotonic()
        self._connection.channels.sent(self._channel, len(packet))

    def _write(self, data: memoryview) -> None:
        """A packet that the device does not take is lost, as on any network."""
        packet = data if self._ethernet else data[FAMILY_SIZE:]
        if not packet or self._fd < 0:
            return
        try:
            os.write(self._fd, packet)
        except OSError as error:
            self._log.debug3(f"{self.device}: packet of {len(packet)} bytes lost: {error.strerror}")


def start_tunnel(options: Options, log: Log, loop: Loop, connection: Connection) -> Tunnel | None:
    """The tunnel that the options ask for; None when there is no device. Raises PysshError in that case when
    ExitOnForwardFailure is set."""
    try:
        return Tunnel(options, log, loop, connection)
    except NetworkError as error:
        log.error(f"Tunnel device open failed. ({error})")
    if options.exit_on_forward_failure:
        raise PysshError("Could not request tunnel forwarding.")
    log.error("Could not request tunnel forwarding.")
    return None
