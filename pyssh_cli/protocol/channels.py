"""The connection protocol (RFC 4254): channels, their windows and requests, and global requests.

Payloads in, events out. A channel's data is handed out as a view, with no copy; its window opens again by what
the owner says has been dealt with (`consumed`), so that a slow reader slows the sender and nothing else.

A channel's life. It is opened by us (`open`) and confirmed or refused by the server, or the other way round. Each
side may send EOF, after which it sends no more data, and must send CLOSE, after which it sends nothing; the
channel is gone when both have. A server's CLOSE is answered at once (RFC 4254 section 5.3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol import windows
from pyssh_cli.protocol.windows import AllWindows, ReceiveWindow
from pyssh_cli.wire import Reader, boolean, string, text, uint32

INITIAL_WINDOW, MAX_WINDOW = windows.INITIAL_WINDOW, windows.MAX_WINDOW
"""Bytes of a channel's window at first, and at most, where nothing else is asked for."""

MAX_PACKET = 32 * 1024
"""The maximum packet size we ask for, in bytes of data; OpenSSH never sends more."""

DATA_HEAD = 9
"""Bytes before the data in CHANNEL_DATA: the message number, and the two of `_DATA_FIELDS`."""

_DATA_FIELDS = Struct(">II").unpack_from
"""recipient channel and length of the data (RFC 4254 section 5.2)"""

AGENT_KINDS = frozenset({"auth-agent@openssh.com", "agent-connect"})
"""Channels to the person's agent, by OpenSSH's name and by that of draft-ietf-sshm-ssh-agent."""


class Channel:
    """One channel, seen from our side.

    - `remote_id`: -1 until the server has confirmed the channel.
    - `window`: what the server may send us; `remote_window`: the bytes that we may send it.
    - `replies`: our requests that want a reply, oldest first.
    - `opened_at`, `last_used`: by `Channels.now`, when it was confirmed and when data last went either way.
    - `purpose`: what it is for, more closely than its kind says, as in "session:shell"; `told`: what we call it.
    - `interactive`: whether it carries little, and that is waited for: a terminal, or an agent.
    """

    def __init__(self, local_id: int, kind: str, window: ReceiveWindow | None = None) -> None:
        self.local_id = local_id
        self.kind = kind
        self.purpose = kind
        self.told = kind
        self.interactive = kind in AGENT_KINDS
        self.remote_id = -1
        self.window = window or ReceiveWindow(AllWindows(), INITIAL_WINDOW, MAX_WINDOW)
        self.remote_window = 0
        self.remote_max_packet = 0
        self.eof_sent = False
        self.eof_received = False
        self.close_sent = False
        self.close_received = False
        self.replies: deque[str] = deque()
        self.bytes_received = 0
        self.bytes_sent = 0
        self.opened_at = 0.0
        self.last_used = 0.0

    @property
    def open(self) -> bool:
        """Whether the server has confirmed it and it is not closed."""
        return self.remote_id >= 0 and not self.close_sent

    @property
    def sendable(self) -> int:
        """How many bytes of data the server would take now."""
        return self.remote_window if self.open and not self.eof_sent else 0


class Opened(NamedTuple):
    """The server confirmed the channel."""

    channel: Channel


class OpenRefused(NamedTuple):
    """The server refused the channel, for the reason code of RFC 4254 section 5.1; `message` is not cleaned."""

    channel: Channel
    reason: int
    message: str


class Data(NamedTuple):
    """Bytes for one stream of the channel: 0, or a data_type_code such as 1 for stderr.

    `data` is a view that holds until the transport is given room to receive more.
    """

    channel: Channel
    stream: int
    data: memoryview


class WindowOpened(NamedTuple):
    """The server takes more data."""

    channel: Channel


class Eof(NamedTuple):
    """The server sends no more data on the channel."""

    channel: Channel


class Closed(NamedTuple):
    """The server closed the channel; ours is closed too now."""

    channel: Channel


class ChannelRequest(NamedTuple):
    """A request of the server's, such as exit-status; `fields` holds what is specific to it."""

    channel: Channel
    name: str
    want_reply: bool
    fields: bytes


class RequestAnswered(NamedTuple):
    """The reply to a request of ours, in order; `channel` is None for a global request, whose `context` is what
    was given with it."""

    channel: Channel | None
    name: str
    success: bool
    fields: bytes = b""
    context: Any = None


class GlobalRequest(NamedTuple):
    """A global request of the server's; one that wants a reply gets one by `reply_global`."""

    name: str
    want_reply: bool
    fields: bytes


class OpenRequested(NamedTuple):
    """The server wants to open a channel; the owner accepts or refuses it."""

    kind: str
    remote_id: int
    window: int
    max_packet: int
    fields: bytes


Event = (
    Opened
    | OpenRefused
    | Data
    | WindowOpened
    | Eof
    | Closed
    | ChannelRequest
    | RequestAnswered
    | GlobalRequest
    | OpenRequested
)


class Channels:
    """All channels of one connection. `send` sends a payload given in parts."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._channels: dict[int, Channel] = {}
        self._next_id = 0
        self._windows = AllWindows()
        self._global_replies: deque[tuple[str, Any]] = deque()
        self.round_trip = 0.0
        """Seconds that a round trip takes at least, as far as known; 0 for unknown. Set by the owner."""
        self.now = 0.0
        """The time, which the owner sets before it hands in what arrived or reports what was sent. Seconds, on
        any clock that only goes forward."""

    def __len__(self) -> int:
        return len(self._channels)

    def note_round_trip(self, seconds: float) -> None:
        """A request has been answered after so long: no round trip takes longer than the shortest of these."""
        if not self.round_trip or seconds < self.round_trip:
            self.round_trip = seconds

    def __iter__(self) -> Iterator[Channel]:
        """All channels that are not gone, those still being opened or closed among them."""
        return iter(tuple(self._channels.values()))

    # Ours to do -------------------------------------------------------------------------------------------------

    def open(
        self, kind: str, fields: bytes = b"", window: int = INITIAL_WINDOW, max_window: int = MAX_WINDOW
    ) -> Channel:
        """Ask for a channel (RFC 4254 section 5.1); `fields` is what its kind adds.

        Its window is `window` bytes at first, and may widen to `max_window`.
        """
        channel = self._new(kind, window, max_window)
        self._send_open(channel, fields)
        return channel

    def _new(self, kind: str, window: int, max_window: int = MAX_WINDOW) -> Channel:
        channel = Channel(self._next_id, kind, ReceiveWindow(self._windows, window, max_window))
        self._next_id += 1
        self._channels[channel.local_id] = channel
        return channel

    def _forget(self, channel: Channel) -> None:
        del self._channels[channel.local_id]
        channel.window.give_up()

    def first_window(self) -> int:
        """The first window for one more channel among those that are there."""
        return self._windows.first(len(self._channels))

    def accept(self, request: OpenRequested, window: int = INITIAL_WINDOW) -> Channel:
        """Confirm a channel that the server wants to open; it is open at once."""
        channel = self._new(request.kind, window)
        channel.remote_id, channel.remote_window = request.remote_id, request.window
        channel.remote_max_packet = request.max_packet
        channel.opened_at = channel.last_used = self.now
        channel.window.granted(self.now)
        sizes = uint32(channel.local_id) + uint32(window) + uint32(MAX_PACKET)
        self._send(bytes((m.CHANNEL_OPEN_CONFIRMATION,)), uint32(request.remote_id), sizes)
        return channel

    def _send_open(self, channel: Channel, fields: bytes) -> None:
        sizes = uint32(channel.local_id) + uint32(channel.window.left) + uint32(MAX_PACKET)
        self._send(bytes((m.CHANNEL_OPEN,)), string(channel.kind.encode("ascii")), sizes, fields)

    def open_again(self, channel: Channel, fields: bytes = b"") -> None:
        """Ask once more for a channel whose request the server passed over, as it may before it knows the user."""
        self._send_open(channel, fields)

    def request(self, channel: Channel, name: str, fields: bytes = b"", *, want_reply: bool = False) -> None:
        """Send a channel request (RFC 4254 section 5.4)."""
        if not channel.open:
            return
        if want_reply:
            channel.replies.append(name)
        head = bytes((m.CHANNEL_REQUEST,)) + uint32(channel.remote_id) + string(name.encode("ascii"))
        self._send(head, boolean(want_reply), fields)

    def global_request(
        self, name: str, fields: bytes = b"", *, want_reply: bool = False, context: Any = None
    ) -> None:
        """Send a global request (RFC 4254 section 4); the reply brings `context` back."""
        if want_reply:
            self._global_replies.append((name, context))
        self._send(bytes((m.GLOBAL_REQUEST,)), string(name.encode("ascii")), boolean(want_reply), fields)

    def reply(self, channel: Channel, success: bool) -> None:
        """Answer a `ChannelRequest` that wants a reply."""
        if channel.open:
            number = m.CHANNEL_SUCCESS if success else m.CHANNEL_FAILURE
            self._send(bytes((number,)), uint32(channel.remote_id))

    def reply_global(self, success: bool, fields: bytes = b"") -> None:
        """Answer a `GlobalRequest` that wants a reply."""
        self._send(bytes((m.REQUEST_SUCCESS if success else m.REQUEST_FAILURE,)), fields)

    def refuse(self, request: OpenRequested, reason: int, message: str) -> None:
        """Refuse a channel that the server wants to open (reason: RFC 4254 section 5.1)."""
        head = bytes((m.CHANNEL_OPEN_FAILURE,)) + uint32(request.remote_id) + uint32(reason)
        self._send(head, text(message), string(b""))

    def data_prefix(self, channel: Channel) -> bytes:
        """What a payload of channel data begins with, before the length and the bytes."""
        return bytes((m.CHANNEL_DATA,)) + uint32(channel.remote_id)

    def sent(self, channel: Channel, count: int) -> None:
        """Account for data that was sent behind a `data_prefix`."""
        channel.remote_window -= count
        channel.bytes_sent += count
        channel.last_used = self.now

    def eof(self, channel: Channel) -> None:
        """Say that we send no more data."""
        if channel.open and not channel.eof_sent:
            channel.eof_sent = True
            self._send(bytes((m.CHANNEL_EOF,)), uint32(channel.remote_id))

    def close(self, channel: Channel) -> None:
        """Close our side, and with it the channel once the server has closed its own."""
        if channel.open:
            channel.close_sent = True
            self._send(bytes((m.CHANNEL_CLOSE,)), uint32(channel.remote_id))

    def consumed(self, channel: Channel, count: int, now: float) -> None:
        """`count` bytes of the channel's data have been dealt with: grant them again when it is time to.

        `now` is in seconds, on the clock of `Channels.now`.
        """
        if not channel.open or channel.eof_received:  # nothing is granted any more
            channel.window.held -= count
            return
        grant = channel.window.consumed(count, now, self.round_trip)
        if grant:
            self._send(bytes((m.CHANNEL_WINDOW_ADJUST,)), uint32(channel.remote_id), uint32(grant))

    # The server's to do -----------------------------------------------------------------------------------------

    def receive(self, payload: memoryview) -> Event | None:
        """Take one message of numbers 80 to 127. Raises ProtocolError for what breaks RFC 4254."""
        number = payload[0]
        if number == m.CHANNEL_DATA:
            # The way of a byte: no Reader here.
            if len(payload) < DATA_HEAD:
                raise ProtocolError("Channel data of another length than it says")
            local_id, length = _DATA_FIELDS(payload, 1)
            channel = self._find(local_id, number)
            data = payload[DATA_HEAD:]
            if length != len(data):
                raise ProtocolError("Channel data of another length than it says")
            return self._data(channel, 0, data)
        reader = Reader(payload, 1)
        if number == m.GLOBAL_REQUEST:
            name, want_reply = reader.text(), reader.boolean()
            return GlobalRequest(name, want_reply, bytes(reader.rest()))
        if number in {m.REQUEST_SUCCESS, m.REQUEST_FAILURE}:
            if not self._global_replies:
                raise ProtocolError("The server answers a global request that was not made")
            name, context = self._global_replies.popleft()
            return RequestAnswered(None, name, number == m.REQUEST_SUCCESS, bytes(reader.rest()), context)
        if number == m.CHANNEL_OPEN:
            kind, remote_id, window, packet = reader.text(), reader.uint32(), reader.uint32(), reader.uint32()
            if not packet:
                raise ProtocolError("The server opens a channel with a maximum packet size of 0")
            return OpenRequested(kind, remote_id, window, packet, bytes(reader.rest()))
        local_id = reader.uint32()
        if number == m.CHANNEL_WINDOW_ADJUST and local_id not in self._channels and local_id < self._next_id:
            return None  # crossed our CLOSE on the way; harmless
        channel = self._find(local_id, number)
        handler = _HANDLERS.get(number)
        if handler is None:
            raise ProtocolError(f"Unexpected {m.name_of(number)}")
        return handler(self, channel, reader)

    def _find(self, local_id: int, number: int) -> Channel:
        channel = self._channels.get(local_id)
        if channel is None:
            raise ProtocolError(f"{m.name_of(number)} for channel {local_id}, which does not exist")
        if channel.remote_id < 0 and number not in {m.CHANNEL_OPEN_CONFIRMATION, m.CHANNEL_OPEN_FAILURE}:
            raise ProtocolError(f"{m.name_of(number)} for channel {local_id}, which is not open")
        return channel

    def _data(self, channel: Channel, stream: int, data: memoryview) -> Data | None:
        count = len(data)
        if not channel.window.received(count):
            raise ProtocolError("The server sends more than the channel's window")
        if channel.eof_received or channel.close_received:
            raise ProtocolError("The server sends data after it said that it would not")
        if not count:
            return None
        channel.bytes_received += count
        channel.last_used = self.now
        return Data(channel, stream, data)

    def _on_confirmation(self, channel: Channel, reader: Reader) -> Event:
        if channel.remote_id >= 0:
            raise ProtocolError("The server confirms a channel twice")
        remote_id, window, packet = reader.uint32(), reader.uint32(), reader.uint32()
        if not packet:
            raise ProtocolError("The server opens a channel with a maximum packet size of 0")
        channel.remote_id, channel.remote_window, channel.remote_max_packet = remote_id, window, packet
        channel.opened_at = channel.last_used = self.now
        channel.window.granted(self.now)
        return Opened(channel)

    def _on_failure_to_open(self, channel: Channel, reader: Reader) -> Event:
        if channel.remote_id >= 0:
            raise ProtocolError("The server refuses a channel that it had opened")
        reason, message = reader.uint32(), reader.text()
        self._forget(channel)
        return OpenRefused(channel, reason, message)

    def _on_window_adjust(self, channel: Channel, reader: Reader) -> Event:
        channel.remote_window += reader.uint32()
        if channel.remote_window > 0xFFFFFFFF:
            raise ProtocolError("The server opens the channel's window wider than 2^32-1")
        return WindowOpened(channel)

    def _on_extended_data(self, channel: Channel, reader: Reader) -> Event | None:
        stream = reader.uint32()
        data = reader.view()
        reader.end()
        return self._data(channel, stream or -1, data)

    def _on_eof(self, channel: Channel, reader: Reader) -> Event | None:
        reader.end()
        if channel.eof_received:
            return None
        channel.eof_received = True
        return Eof(channel)

    def _on_close(self, channel: Channel, reader: Reader) -> Event:
        reader.end()
        self.close(channel)
        channel.close_received = True
        self._forget(channel)
        return Closed(channel)

    def _on_request(self, channel: Channel, reader: Reader) -> Event:
        name, want_reply = reader.text(), reader.boolean()
        return ChannelRequest(channel, name, want_reply, bytes(reader.rest()))

    def _on_success(self, channel: Channel, reader: Reader) -> Event:
        return self._on_reply(channel, reader, success=True)

    def _on_failure(self, channel: Channel, reader: Reader) -> Event:
        return self._on_reply(channel, reader, success=False)

    def _on_reply(self, channel: Channel, reader: Reader, *, success: bool) -> Event:
        reader.end()
        if not channel.replies:
            raise ProtocolError("The server answers a channel request that was not made")
        return RequestAnswered(channel, channel.replies.popleft(), success)


OPEN_FAILURES = {
    1: "administratively prohibited",
    2: "connect failed",
    3: "unknown channel type",
    4: "resource shortage",
}
"""Reason codes of RFC 4254 section 5.1, in ssh's words."""


def understands(number: int) -> bool:
    """Whether a message number is the connection protocol's (RFC 4254 section 9)."""
    return m.GLOBAL_REQUEST <= number <= m.REQUEST_FAILURE or m.CHANNEL_OPEN <= number <= m.CHANNEL_FAILURE


_HANDLERS: dict[int, Callable[[Channels, Channel, Reader], Event | None]] = {
    m.CHANNEL_OPEN_CONFIRMATION: Channels._on_confirmation,
    m.CHANNEL_OPEN_FAILURE: Channels._on_failure_to_open,
    m.CHANNEL_WINDOW_ADJUST: Channels._on_window_adjust,
    m.CHANNEL_EXTENDED_DATA: Channels._on_extended_data,
    m.CHANNEL_EOF: Channels._on_eof,
    m.CHANNEL_CLOSE: Channels._on_close,
    m.CHANNEL_REQUEST: Channels._on_request,
    m.CHANNEL_SUCCESS: Channels._on_success,
    m.CHANNEL_FAILURE: Channels._on_failure,
}
