"""Who may have channels of a connection, whose each is, and who is told of what: the seam that sessions and
forwards stand on.

A connection has one main owner, its session (`Connection.owner`), and any number of others: each channel has an
owner, given when it is opened or accepted, and forgotten when it is closed or refused.

    connection.open_channel(kind, fields, owner)       we open one; `ch.Opened` or `ch.OpenRefused` follows
    connection.openers[kind] = opener                  the server may open channels of this kind from now on;
                                                       `opener(request)` accepts or refuses, now or later:
    connection.accept_channel(request, owner)              confirms it, gives the channel
    connection.refuse_channel(request, reason, why)        refuses it; what nobody has an opener for is refused
    connection.global_request(name, fields, answered)  `answered(success, fields)` is called with the reply
    connection.takes_data(owner)                       whether bulk data may be sent now; if not, the owner's
                                                       `may_send` is called once there is room, in turn
    connection.flush_soon()                            what was sent leaves once this round of callbacks is over
    connection.when_authenticated.append(callback)     called once the user is in, before the session opens
    connection.still_open(owner)                       whether channels of others than `owner` hold up the end

Who opens or accepts a channel when the connection has ended, as after a look-up that took long, gets one on which
nothing happens, and is told of the end like the others (`connection_ended`), from the loop.

Payloads that arrive are handed out one by one (`on_channel_event`), and when all that came in one read has been
dealt with, `batch_done` of those that got data: views into the read go stale after that. An owner of many channels
tells them apart by `event.channel`; usually each channel has one of its own, such as `forwarding.relay.Relay`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.log import Log, printable
from pyssh_cli.protocol import channels as ch

if TYPE_CHECKING:
    from typing import Protocol

    from pyssh_cli.client.idle import IdleTimeouts
    from pyssh_cli.client.service_class import ServiceClass
    from pyssh_cli.net.loop import Loop
else:
    Protocol = object  # typing's costs a tenth of a millisecond for each class

MAX_CHANNELS = 65536
"""Channels at once, those among them that wait for our answer, above which the server is let open no more: as many
as there are ports."""

_NEVER_UNASKED = {"auth-agent@openssh.com": "agent", "agent-connect": "agent", "x11": "X11"}
"""Kinds of channel that an honest server asks for only when they were offered to it."""


class ChannelOwner(Protocol):
    """Who is told what happens on a channel."""

    def on_channel_event(self, event: ch.Event) -> None:
        """Something happened on a channel of yours. After `Closed` and `OpenRefused` it is not yours any more."""

    def batch_done(self) -> None:
        """All that arrived at once has been handed out: views into it go stale after this.

        Only called when `Data` was among it.
        """

    def may_send(self) -> None:
        """The connection takes data again, after `takes_data` said that it does not."""

    def timed_out(self, channel: ch.Channel) -> None:
        """ChannelTimeout is over for an idle channel: close it at once, whatever waits."""

    def connection_ended(self) -> None:
        """Nothing more will come: finish with what there is."""


class MainOwner(ChannelOwner, Protocol):
    """The owner that the connection is there for: a session, or what stands in its place (-N, -W)."""

    def open_early(self) -> None:
        """The user may be let in by what was just sent: ask for the channel behind it."""

    def authenticated(self) -> None:
        """The user is in: open channels, unless they were and the server took them."""

    def early_open_refused(self) -> None:
        """What was asked for early was passed over."""

    def is_over(self) -> bool:
        """Whether all channels have come and gone, so that nothing is lost with the connection."""


Opener = Callable[[ch.OpenRequested], None]
"""Deals with a channel that the server wants to open: accepts or refuses it, now or when it knows. It may raise
ProtocolError for fields that make no sense."""

Answered = Callable[[bool, bytes], None]
"""Told whether a global request succeeded, and what came with the reply."""


class Owners:
    """The register of one connection's channels."""

    def __init__(self) -> None:
        self._by_channel: dict[int, ChannelOwner] = {}
        self._fed: dict[int, ChannelOwner] = {}
        self._waiting: deque[ChannelOwner] = deque()
        self._ended = False

    def add(self, channel: ch.Channel, owner: ChannelOwner) -> bool:
        """From now on the channel's events are for this owner. False, and nothing is kept, when the connection has
        ended: it should be told so, once it is ready to hear it."""
        if not self._ended:
            self._by_channel[channel.local_id] = owner
        return not self._ended

    def of(self, channel: ch.Channel) -> ChannelOwner | None:
        """Whose the channel is."""
        return self._by_channel.get(channel.local_id)

    def tell(self, event: ch.Event, channel: ch.Channel) -> bool:
        """Hand an event of a channel's to its owner; False when it has none."""
        local_id = channel.local_id
        owner = self._by_channel.get(local_id)
        if owner is None:
            return False
        kind = type(event)
        if kind is ch.Data:
            self._fed[local_id] = owner
        elif kind is ch.Closed or kind is ch.OpenRefused:
            del self._by_channel[local_id]
        owner.on_channel_event(event)
        return True

    def batch_done(self) -> None:
        """Tell it those that got data since the last time."""
        if self._fed:
            fed, self._fed = self._fed, {}
            for owner in dict.fromkeys(fed.values()):
                owner.batch_done()

    def turn_away(self, owner: ChannelOwner) -> None:
        """The owner has something to send and there is no room for it."""
        self._waiting.append(owner)

    def invite(self, has_room: Callable[[], bool]) -> None:
        """There is room again: let those that were turned away send, in turn, until there is none."""
        for _ in range(len(self._waiting)):
            if not has_room():
                break
            self._waiting.popleft().may_send()

    def connection_ended(self) -> None:
        """Tell everybody, once; nobody is taken any more."""
        self._ended = True
        owners, self._by_channel = self._by_channel, {}
        for owner in dict.fromkeys(owners.values()):
            owner.connection_ended()

    def others(self, owner: ChannelOwner | None) -> bool:
        """Whether there are channels of others than this one."""
        return any(other is not owner for other in self._by_channel.values())


class Doorkeeper:
    """Opens channels of one connection, and lets the server open those that it may: `openers` deal with what it
    asks for, by the kind of channel."""

    def __init__(
        self, log: Log, loop: Loop, channels: ch.Channels, owners: Owners, service_class: ServiceClass
    ) -> None:
        self._log = log
        self._loop = loop
        self._channels = channels
        self._owners = owners
        self._service_class = service_class
        self.openers: dict[str, Opener] = {}
        self.idle: IdleTimeouts | None = None
        """Who closes channels on which nothing happens, if anybody does."""
        self._unanswered = 0  # channels that the server wants to open, and has not been told of yet

    def open(
        self,
        kind: str,
        fields: bytes,
        owner: ChannelOwner,
        window: int = ch.INITIAL_WINDOW,
        max_window: int = ch.MAX_WINDOW,
    ) -> ch.Channel:
        """Ask for a channel of this kind; `window` is how much of it may come before anything is consumed, and
        `max_window` how much that may become."""
        channel = self._channels.open(kind, fields, window, max_window)
        self._own(channel, owner)
        return channel

    def _own(self, channel: ch.Channel, owner: ChannelOwner) -> None:
        if not self._owners.add(channel, owner):
            self._loop.call_soon(owner.connection_ended)

    def on_open_requested(self, request: ch.OpenRequested) -> None:
        """The server wants to open a channel."""
        self._log.debug1(
            f"client_input_channel_open: ctype {request.kind} rchan {request.remote_id} win {request.window}"
            f" max {request.max_packet}"
        )
        opener = self.openers.get(request.kind)
        if opener is None:
            what = _NEVER_UNASKED.get(request.kind)
            if what:
                self._log.error(f"Warning: ssh server tried {what} forwarding.")
                self._log.error("Warning: this is probably a break-in attempt by a malicious server.")
            kind = printable(request.kind)
            self._log.debug1(f"the server asks for a channel {kind}, which was not offered to it")
            self._channels.refuse(request, 1, "not asked for")
        elif len(self._channels) + self._unanswered >= MAX_CHANNELS:
            self._channels.refuse(request, 4, "too many channels")
        else:
            self._unanswered += 1
            opener(request)

    def accept(
        self, request: ch.OpenRequested, owner: ChannelOwner, window: int = ch.INITIAL_WINDOW
    ) -> ch.Channel:
        """Confirm a channel that the server asks for. Outside its opener, `flush_soon` must follow."""
        self._unanswered -= 1
        self._channels.now = monotonic()
        channel = self._channels.accept(request, window)
        self._own(channel, owner)
        self.opened(channel)
        return channel

    def refuse(self, request: ch.OpenRequested, reason: int, why: str) -> None:
        """Refuse it, with a reason code of RFC 4254 section 5.1. Likewise."""
        self._unanswered -= 1
        self._channels.refuse(request, reason, why)

    def opened(self, channel: ch.Channel) -> None:
        """A channel has opened."""
        if self.idle:
            self.idle.add(channel)
        self._service_class.consider(channel)

    def closed(self, channel: ch.Channel) -> None:
        """A channel has closed."""
        self._service_class.consider(channel)
