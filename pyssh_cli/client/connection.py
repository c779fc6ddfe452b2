"""One connection's life: what carries it, the protocol's layers on it, and who is told what they say.

The order of things, with as few round trips as the protocol allows: version and KEXINIT leave together; when the
server's key exchange reply has been judged, NEWKEYS, the service request, the first proof of the user and the
channel all leave together. Each of them may be refused, and is then done again in the ordinary order. `handshake`
knows when.

What sessions and forwards use of a connection is described in `owners`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli import __version__
from pyssh_cli.client.handshake import Handshake
from pyssh_cli.client.link import Carrier, Link, acknowledger
from pyssh_cli.client.owners import Answered, ChannelOwner, Doorkeeper, MainOwner, Owners
from pyssh_cli.client.round_trip import KEEP_ALIVE, RoundTrip
from pyssh_cli.client.service_class import ServiceClass
from pyssh_cli.client.trust import HostTrust
from pyssh_cli.config.options import Options
from pyssh_cli.errors import (
    HostKeyError,
    NegotiationError,
    NetworkError,
    PeerDisconnected,
    ProtocolError,
    PysshError,
)
from pyssh_cli.log import Log, printable
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.key_exchange import Offer
from pyssh_cli.protocol.transport import HostKeyOffered, KeysTaken, Pong, Transport
from pyssh_cli.terminal.questions import Questions

if TYPE_CHECKING:
    from pyssh_cli.client.forwarding.manager import Forwards
    from pyssh_cli.client.forwarding.tun import Tunnel
    from pyssh_cli.client.forwarding.x11 import X11Forwarding
    from pyssh_cli.client.keep_alive import KeepAlive
    from pyssh_cli.client.update_host_keys import UpdateHostKeys


STDERR = 2

MAX_SOFTWARE = 255 - len("SSH-2.0-\r\n")
"""Bytes of a version line that are ours to choose (RFC 4253 section 4.2)."""


class Connection:
    """A connection to the host that `options` are for, on what `carrier` carries."""

    def __init__(self, options: Options, log: Log, loop: Loop, carrier: Carrier, questions: Questions) -> None:
        self._options = options
        self._log = log
        self._loop = loop
        self.socket = carrier.socket
        self.peer = carrier.peer
        self.since = monotonic()
        self._questions = questions
        self._trust = HostTrust(options, log, questions, carrier.address)
        compression = ("zlib@openssh.com", "none") if options.compression else ("none", "zlib@openssh.com")
        self.offer = Offer(
            options.kex_algorithms, self._trust.algorithms(), options.ciphers, options.macs, compression
        )
        self.transport = Transport(self.offer, _software(options), log.say)
        self.transport.set_rekey_limit(*options.rekey_limit)
        self.handshake = Handshake(options, log, questions, self.transport, self._trust, carrier)
        self.channels = ch.Channels(self.transport.send)
        self.round_trip = RoundTrip(self.transport, self.channels)
        self.service_class = ServiceClass(self.socket, options.ip_qos, log)
        self._owners = Owners()
        self._doors = doors = Doorkeeper(log, loop, self.channels, self._owners, self.service_class)
        self.openers, self.open_channel = doors.openers, doors.open
        self.accept_channel, self.refuse_channel = doors.accept, doors.refuse
        self.draining: set[ChannelOwner] = set()
        """Owners whose channel is closed, but who are still writing what came."""
        self.owner: MainOwner | None = None
        self.when_authenticated: list[Callable[[], None]] = []
        self.say_lost: Callable[[str], None] = log.error
        """Told in a line when a connection that stood has ended, however much its owners had still to do."""
        self.may_open_early = True
        """Whether the main owner may ask for its channel before the user is known to be let in."""
        self._forwards: Forwards | None = None
        self.tunnel: Tunnel | None = None
        self.x11: X11Forwarding | None = None
        self._flush_due = False
        self._host_keys: UpdateHostKeys | None = None
        self.authenticated = False
        self._rekey_timer: Timer | None = None
        self._alive: KeepAlive | None = None
        self.last_heard = 0.0
        """When the server said something last, on the clock of `monotonic`."""
        self._said_goodbye = False
        self._closed = False
        self._acknowledge = acknowledger(carrier)
        self._link = Link(loop, carrier, self.transport, self._process, self._on_end, self._on_room)
        self.flush = self._link.flush

    def start(self) -> None:
        """Send the first segment, and watch the socket from now on."""
        self.transport.start()
        self.flush()

    # What owners of channels use (see `owners`) ----------------------------------------------------------------

    def global_request(self, name: str, fields: bytes = b"", answered: Answered | None = None) -> None:
        """Send a global request, which wants a reply if there is someone to hear it."""
        context = (answered, monotonic()) if answered else None
        self.channels.global_request(name, fields, want_reply=answered is not None, context=context)

    def still_open(self, owner: ChannelOwner | None) -> bool:
        """Whether there are channels of others than `owner`, which ssh waits for before it ends."""
        return bool(self.draining) or self._owners.others(owner)

    @property
    def forwards(self) -> Forwards:
        """All forwards over this connection, for whoever adds, cancels or lists them."""
        if self._forwards is None:
            from pyssh_cli.client.forwarding.manager import Forwards

            self._forwards = Forwards(self._options, self._log, self._loop, self)
        return self._forwards

    @property
    def unsafe(self) -> bool:
        """Whether the host may be another than the one that is meant: nothing is forwarded to it then."""
        return self._trust.unsafe

    def takes_data(self, owner: ChannelOwner | None = None) -> bool:
        """Whether bulk data should be handed to the transport now. If not, the owner's `may_send` is called once
        it should; ask once for each time. None stands for the main owner."""
        takes = self._link.takes_data()
        if not takes and owner is not None and owner is not self.owner:
            self._owners.turn_away(owner)
        return takes

    def flush_soon(self) -> None:
        """Send what is waiting once all that is ready now has been dealt with: one system call for all of it."""
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_due = False
        if not self._closed:
            self._rekey_if_due()
            self.flush()

    def _on_room(self) -> None:
        if not self._closed:
            if self.owner:
                self.owner.may_send()
            self._owners.invite(self._link.takes_data)
            self.flush()

    def _on_end(self, error: OSError | None) -> None:
        """The socket delivers no more. Raises NetworkError if that is too early."""
        if self.is_over():
            return
        if not self.authenticated or not self.owner:
            raise self.handshake.hung_up(error)
        host = self._options.hostname
        told = f"Connection to {host} closed by remote host."
        if error:
            from pyssh_cli.client.hints import lost

            hint = lost(error, monotonic() - self.last_heard, self._options.server_alive_interval)
            told = f"Read from remote host {host}: {error.strerror}{hint}"
        self.say_lost(told)
        self.owner.connection_ended()
        self._owners.connection_ended()
        for one in tuple(self.draining):  # whoever does not read now cannot hold up the news
            one.connection_ended()

    def is_over(self) -> bool:
        """Whether nothing is lost with the connection any more."""
        return self.owner is not None and self.owner.is_over() and not self._owners.others(self.owner)

    # What arrives -----------------------------------------------------------------------------------------------

    def _process(self) -> None:
        """Deal with all that has arrived, then with what follows from it."""
        self.channels.now = self.last_heard = monotonic()
        try:
            self._dispatch()
        except (PeerDisconnected, ProtocolError) as error:
            self._owners.batch_done()  # what came before counts
            if self.is_over():
                self._link.stop()
                return
            raise self._told(error) from None
        if not self.authenticated and self.handshake.keys_judged:
            self._authenticate()
        self._owners.batch_done()
        self._rekey_if_due()
        self.flush()
        if self._acknowledge and self._owners.others(self.owner):
            self._acknowledge()
        if not self.authenticated:
            self.last_heard = monotonic()  # a person may have thought about an answer meanwhile
            self._watch_for_silence()

    def _authenticate(self) -> None:
        """Begin with the user, or go on with what has waited for what has arrived now."""
        if self.handshake.authenticate() and self.may_open_early and self.owner:
            self.owner.open_early()

    def _dispatch(self) -> None:
        while (event := self.transport.next_event()) is not None:
            if type(event) is memoryview:
                self._on_payload(event)
            elif isinstance(event, HostKeyOffered):
                self._on_host_key(event)
            elif isinstance(event, Pong):
                self.round_trip.on_pong(event.data)
            elif isinstance(event, KeysTaken) and not event.first:
                self._log.debug1("rekeying done")

    def _told(self, error: PeerDisconnected | ProtocolError) -> PysshError:
        """The error in words for the person; the server is told as well, if it is to know."""
        if isinstance(error, PeerDisconnected):
            hint = "" if self.authenticated else self.handshake.disconnected(str(error))
            text = f"Received disconnect from {self.peer}:{error.reason}: {printable(str(error))}{hint}"
            return PeerDisconnected(text, error.reason)
        if isinstance(error, NegotiationError):
            from pyssh_cli.client.hints import no_algorithm

            self._say_goodbye(error.reason, "no algorithm in common")
            return NegotiationError(f"Unable to negotiate with {self.peer}: {error}{no_algorithm(error)}")
        self._say_goodbye(error.reason, str(error))
        if self.handshake.in_version:
            what = str(error)
            text = f"banner exchange: Connection to {self.peer}: invalid format ({what[:1].lower()}{what[1:]})"
            return ProtocolError(text, error.reason)
        return ProtocolError(f"Connection to {self.peer}: {error}", error.reason)

    def _on_host_key(self, offered: HostKeyOffered) -> None:
        try:
            self.handshake.judge(offered)
        except HostKeyError:
            self._say_goodbye(m.DISCONNECT_HOST_KEY_NOT_VERIFIABLE, "host key not verifiable")
            raise

    def _on_payload(self, payload: memoryview) -> None:
        number = payload[0]
        if self.authenticated:
            if ch.understands(number):
                event = self.channels.receive(payload)
                if type(event) is ch.Data:  # the way of a byte comes first
                    self._owners.tell(event, event.channel)
                elif event is not None:
                    self._on_channel_event(event)
            elif number >= m.GLOBAL_REQUEST:
                self.transport.unimplemented()
            elif number != m.USERAUTH_BANNER:
                # RFC 4252 section 5.1: requests after success are ignored; so are late answers to ours.
                self._log.debug2(f"ignoring {m.name_of(number)} after authentication")
            return
        if self.handshake.receive(payload):
            self.authenticated = True
            self._watch_for_idle()
            for callback in self.when_authenticated:
                callback()
            if self.owner:
                self.owner.authenticated()
        elif self.owner and self.handshake.has_refused(payload):
            self.owner.early_open_refused()

    def _on_channel_event(self, event: ch.Event) -> None:
        if isinstance(event, ch.GlobalRequest):
            self._log.debug1(f"client_input_global_request: rtype {event.name} want_reply {int(event.want_reply)}")
            if self._trust.update_host_keys != "no":
                self._on_host_keys(event)
            if event.want_reply:
                self.channels.reply_global(False)
        elif isinstance(event, ch.OpenRequested):
            self._doors.on_open_requested(event)
        elif isinstance(event, ch.RequestAnswered) and event.channel is None:
            if event.name == KEEP_ALIVE:
                self.round_trip.on_keep_alive_answered()
            elif event.context is not None:
                answered, asked_at = event.context
                self.channels.note_round_trip(monotonic() - asked_at)
                answered(event.success, event.fields)
        else:
            channel = event.channel
            assert channel is not None
            self._owners.tell(event, channel)
            if isinstance(event, ch.Opened):
                self._doors.opened(channel)
            elif isinstance(event, ch.Closed):
                self._doors.closed(channel)

    def _on_host_keys(self, request: ch.GlobalRequest) -> None:
        """The server may tell its host keys, once: what comes of it is UpdateHostKeys'."""
        from pyssh_cli.client.update_host_keys import HOST_KEYS, UpdateHostKeys

        if self._host_keys is None and request.name == HOST_KEYS:
            self._host_keys = UpdateHostKeys(
                self._options,
                self._log,
                self._questions,
                self._trust,
                self.transport.session_id,
                self.global_request,
            )
            self._host_keys.server_has(request.fields)

    # Time -------------------------------------------------------------------------------------------------------

    def _watch_for_silence(self) -> None:
        """ServerAliveInterval (ssh_config(5)), once the host is the right one."""
        if self._options.server_alive_interval > 0 and self._alive is None and self.handshake.keys_judged:
            from pyssh_cli.client.keep_alive import KeepAlive

            self._alive = KeepAlive(self._options, self._loop, self)

    def _watch_for_idle(self) -> None:
        """ChannelTimeout (ssh_config(5))."""
        if self._options.channel_timeouts:
            from pyssh_cli.client.idle import IdleTimeouts

            rules = self._options.channel_timeouts
            self._doors.idle = IdleTimeouts(self._loop, self.channels, rules, self._on_idle)

    def _on_idle(self, channel: ch.Channel, seconds: int) -> None:
        owner = self._owners.of(channel)
        told = f"channel {channel.local_id}: closing after {seconds} seconds of inactivity (ChannelTimeout)"
        # ssh says it with -v only; a person would be left with a session that ends for no reason.
        (self._log.info if owner is self.owner and os.isatty(STDERR) else self._log.verbose)(told)
        if owner:
            owner.timed_out(channel)

    def _rekey_if_due(self) -> None:
        self.transport.rekey_if_due(monotonic())
        deadline = self.transport.rekey_deadline()
        if deadline is not None and self._rekey_timer is None:
            self._rekey_timer = self._loop.call_at(deadline, self._on_rekey_due)

    def _on_rekey_due(self) -> None:
        self._rekey_timer = None
        if not self._closed:
            self._rekey_if_due()
            self.flush()

    def run_until(self, done: Callable[[], bool], deadline: float | None, what: Callable[[], str]) -> None:
        """Run the loop until `done()`. NetworkError with the words of `what()` once `deadline` has passed."""
        while not done():
            if deadline is not None and monotonic() >= deadline:
                raise NetworkError(what())
            self._loop.run_once(deadline)

    # The end ----------------------------------------------------------------------------------------------------

    def _say_goodbye(self, reason: int, description: str) -> None:
        """Tell the server why, once, if it still listens: nobody waits for it."""
        if not self._said_goodbye:
            self._said_goodbye = True
            self.transport.disconnect(reason, description)
            self.flush()

    def hand_on(self) -> tuple[Forwards | None, Tunnel | None]:
        """The connection is lost and another is to follow: what came over this one is closed, and what it does not
        take along, listeners and a network device, is the caller's now (`take_over`)."""
        forwards, tunnel = self._forwards, self.tunnel
        self._forwards = self.tunnel = None
        if forwards:
            forwards.pause()
        self._owners.connection_ended()
        self.close()
        return forwards, tunnel

    def take_over(self, forwards: Forwards | None, tunnel: Tunnel | None) -> None:
        """Go on with what a lost connection has handed on, now that the user is in."""
        self._forwards, self.tunnel = forwards, tunnel
        if forwards:
            forwards.go_on(self)
        if tunnel:
            tunnel.go_on(self)

    def close(self) -> None:
        """Disconnect in good order (RFC 4253 section 11.1) and give the socket back."""
        if self._closed:
            return
        self._closed = True
        # A loop that goes on would keep us, with all our buffers, until a timer is due.
        if self._rekey_timer:
            self._rekey_timer.cancel()
        if self._alive:
            self._alive.stop()
        if self._doors.idle:
            self._doors.idle.stop()
        if self._forwards:
            self._forwards.close()
        if self.tunnel:
            self.tunnel.close()
        if self.authenticated:
            self._say_goodbye(m.DISCONNECT_BY_APPLICATION, "disconnected by user")
        self._link.close()


def _software(options: Options) -> str:
    """What our version line says of us, with VersionAddendum behind it (RFC 4253 section 4.2)."""
    if not options.version_addendum:
        return f"pyssh_{__version__}"
    software = f"pyssh_{__version__} {options.version_addendum}"
    if not software.isprintable() or len(software.encode("utf-8", "replace")) > MAX_SOFTWARE:
        raise PysshError("VersionAddendum does not fit into a version line: it is too long, or not all printable")
    return software
