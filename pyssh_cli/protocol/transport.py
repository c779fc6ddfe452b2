"""The transport layer (RFC 4253): versions, key exchange, and the packets in between, for one client connection.

Bytes in, events out. The owner puts what the socket delivers into `receive_room()`, reports it with `received()`,
and calls `next_event()` until it says None; what is to be sent gathers in `outgoing`.

The state machine. Each side may begin a key exchange at any time after the first; while one runs, what the layers
above want to send is held back (RFC 4253 section 7.1).

    state          what may come from the peer besides IGNORE, DEBUG, UNIMPLEMENTED, DISCONNECT (*)
    VERSION        its version line
    KEXINIT        its KEXINIT (we have sent ours); in a rekeying also everything it sent before
    REPLY          the messages 30 to 49 of the method in use
    JUDGING        nothing is read until the owner says `accept_host_key()`
    NEWKEYS        its NEWKEYS
    OPEN           everything: messages of the layers above, or KEXINIT, which leads back to REPLY

    (*) during the first key exchange, strict key exchange lets none of these through (OpenSSH's PROTOCOL 1.10).

The host key is never trusted here: `HostKeyOffered` hands it out with the signature and what was signed, and
nothing goes on until somebody who checked both has said so.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from pyssh_cli.errors import PeerDisconnected, ProtocolError
from pyssh_cli.log import DEBUG1, DEBUG2, DEBUG3, printable
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.key_exchange import Debug, KeyExchange, Offer, tell_agreement, tell_proposals
from pyssh_cli.protocol.negotiation import EXT_INFO_SERVER, STRICT_SERVER, Agreement, Proposal
from pyssh_cli.protocol.packet_streams import ReceivedPackets, SentPackets
from pyssh_cli.protocol.rekeying import KeyAge
from pyssh_cli.protocol.version import VersionExchange
from pyssh_cli.wire import Reader, string, uint32

READ_SIZE = 1024 * 1024
"""How much one read of the socket may bring; measured in benchmarks/."""

MAX_EXT_INFOS = 16
"""SSH_MSG_EXT_INFO in one connection; RFC 8308 section 2.4 gives a server two occasions."""

MAX_HELD = 2 * 1024 * 1024
"""Bytes of memory that answers may take up while a key exchange runs; bulk data is not even asked for then."""

HELD_OVERHEAD = 64
"""Bytes that holding a payload takes beside its own."""

MAX_PING = 32 * 1024
"""Bytes of data in a transport ping that is answered."""


class State(Enum):
    """See the table at the top."""

    VERSION = auto()
    KEXINIT = auto()
    REPLY = auto()
    JUDGING = auto()
    NEWKEYS = auto()
    OPEN = auto()


class HostKeyOffered(NamedTuple):
    """The server proved with `signature` over `exchange_hash` that it holds `host_key`: if both are right.

    The owner checks the signature (made by `algorithm`), judges the key, and calls `accept_host_key()`.
    """

    host_key: bytes
    algorithm: str
    exchange_hash: bytes
    signature: bytes


class KeysTaken(NamedTuple):
    """A key exchange is done in both directions; `first` says that it was the connection's first."""

    first: bool


class ExtensionInfo(NamedTuple):
    """SSH_MSG_EXT_INFO (RFC 8308): extension names and values."""

    extensions: dict[str, bytes]


class Unimplemented(NamedTuple):
    """The peer did not know the packet of ours with that sequence number (RFC 4253 section 11.4)."""

    sequence: int


class Pong(NamedTuple):
    """The answer to a transport ping (OpenSSH's PROTOCOL 1.9)."""

    data: bytes


Event = HostKeyOffered | KeysTaken | ExtensionInfo | Unimplemented | Pong


class Transport:
    """The client's end of one SSH-2 connection. `software` is what follows "SSH-2.0-" in our version line."""

    def __init__(self, offer: Offer, software: str, debug: Debug) -> None:
        self._offer = offer
        self._debug = debug
        self.client_version = f"SSH-2.0-{software}".encode("utf-8", "surrogateescape")
        self.server_version = b""
        self.session_id = b""
        """The first exchange hash, once it is there (RFC 4253 section 7.2)."""
        self.host_key = b""
        """The host key, or certificate, of the first key exchange, once it has been accepted."""
        self.host_signature = b""
        """That key's signature of the session_id."""
        self.server_offer: Proposal | None = None
        """What the server's last KEXINIT offered."""
        self.agreement: Agreement | None = None
        """What the last finished key exchange agreed on."""
        self.agreement_we_send_by: Agreement | None = None
        """The same, from the moment on when our own packets are under its keys."""
        self.extensions: dict[str, bytes] = {}
        """What EXT_INFO has told so far."""
        self.strict = False
        self._sent = SentPackets()
        self._received = ReceivedPackets(READ_SIZE)
        self.outgoing = self._sent.buffer
        self._version_exchange: VersionExchange | None = VersionExchange()
        self.state = State.VERSION
        self._kex: KeyExchange | None = None
        self._held: list[bytes] = []
        self._held_size = 0
        self._authenticated = False
        self._key_age = KeyAge()
        self._server_takes_ext_info = False
        self._ext_infos = 0

    @property
    def bytes_sent(self) -> int:
        """On the wire, packets only."""
        return self._sent.bytes_sent

    @property
    def bytes_received(self) -> int:
        """On the wire, packets only."""
        return self._received.bytes_received

    @property
    def _packets(self) -> int:
        return self._sent.packets + self._received.packets

    # The way out ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Put our version line and KEXINIT into `outgoing`: both travel in the first segment."""
        self.outgoing.append(self.client_version + b"\r\n")
        self._begin_kex()

    @property
    def can_send(self) -> bool:
        """Whether what the layers above send goes out at once, and is not held back by a key exchange."""
        return self._kex is None or self.state is State.NEWKEYS

    def send(self, *parts: bytes | memoryview) -> None:
        """Send one payload, given in parts. Held back while a key exchange runs."""
        if self.can_send:
            self._sent.send(parts)
            return
        payload = b"".join(parts)
        self._held_size += len(payload) + HELD_OVERHEAD
        if self._held_size > MAX_HELD:
            raise ProtocolError("The server does not finish a key exchange while much waits to be sent")
        self._held.append(payload)

    def send_read(self, prefix: bytes, size: int, count: int, read: Callable[[list[memoryview]], int]) -> int:
        """Send what `read` reads, without a copy: it fills memory in which the packets are then sealed.

        Up to `count` packets, each `prefix`, a uint32 with the length, and at most `size` bytes of data. `read`
        is given views to fill in order and returns how many bytes it filled in all; so does this. Not to be
        called unless `can_send`.
        """
        if not self.can_send:
            raise AssertionError("bulk data was sent while a key exchange runs")
        return self._sent.send_read(prefix, size, count, read)

    def ping(self, data: bytes) -> bool:
        """Ask the server for a pong with the same data; False when it has not said that it answers."""
        if "ping@openssh.com" not in self.extensions:
            return False
        self.send(bytes((m.PING,)), string(data))
        return True

    def disconnect(self, reason: int, description: str) -> None:
        """Tell the server that this is the end, and why (RFC 4253 section 11.1)."""
        self._sent.send(
            (
                bytes((m.DISCONNECT,)),
                uint32(reason),
                string(description.encode("utf-8", "backslashreplace")),
                string(b""),
            )
        )

    # Key exchange -----------------------------------------------------------------------------------------------

    def set_rekey_limit(self, size: int, seconds: int) -> None:
        """RekeyLimit: bytes in either direction (0: what the cipher allows) and seconds (0: no limit)."""
        self._key_age.limit(size, seconds)

    def rekey_deadline(self) -> float | None:
        """When the keys grow too old, on the clock of `rekey_if_due`; None for never and for not known yet."""
        return self._key_age.deadline() if self._kex is None else None

    def rekey_if_due(self, now: float) -> None:
        """Begin a key exchange if the limits of data, packets or time ask for it."""
        if self.state is not State.OPEN or not self._authenticated:
            return  # servers do not expect a second key exchange before user authentication is done
        if self._key_age.is_over(now, self.bytes_sent, self.bytes_received, self._packets):
            self.rekey()

    def rekey(self) -> None:
        """Begin a key exchange, if none runs."""
        if self._kex is None and self.state is State.OPEN:
            self._debug(DEBUG1, "rekeying")
            self._begin_kex()
            self.state = State.KEXINIT

    def prepare(self) -> None:
        """Do now, while the server's KEXINIT is waited for, what may take long once it is there."""
        if self._kex is not None and self.state in {State.VERSION, State.KEXINIT}:
            self._kex.prepare()

    def _begin_kex(self) -> None:
        self._kex = KeyExchange(self._offer.proposal(first=not self.session_id))
        self._sent.send((self._kex.client_kexinit,))
        self._debug(DEBUG1, "SSH2_MSG_KEXINIT sent")

    def _on_kexinit(self, payload: memoryview) -> None:
        if self._kex is None:
            self._begin_kex()
        kex = self._kex
        assert kex is not None
        self._debug(DEBUG1, "SSH2_MSG_KEXINIT received")
        self.server_offer = server = Proposal.parse(payload)
        tell_proposals(kex.proposal, server, self._debug)
        if not self.session_id:
            self.strict = STRICT_SERVER in server.kex
            self._server_takes_ext_info = EXT_INFO_SERVER in server.kex
            if self.strict:
                self._debug(DEBUG3, "will use strict KEX ordering")
                if self._received.packets != 1:
                    raise ProtocolError("Strict key exchange broken: KEXINIT was not the server's first packet")
        first_message = kex.begin(payload, server)
        tell_agreement(kex.agreed, self._debug)
        self._sent.send((first_message,))
        self.state = State.REPLY
        self._debug(DEBUG1, "expecting the server's key exchange reply")

    def _on_kex_message(self, payload: memoryview) -> HostKeyOffered | None:
        kex = self._kex
        assert kex is not None
        answer = kex.receive(payload, self.client_version, self.server_version)
        if isinstance(answer, bytes):
            self._sent.send((answer,))
        if kex.result is None:
            return None
        self.state = State.JUDGING
        result = kex.result
        return HostKeyOffered(result.host_key, kex.agreed.host_key, kex.exchange_hash, result.signature)

    def accept_host_key(self) -> None:
        """The owner has checked the signature and trusts the key: go on, and send NEWKEYS."""
        if self.state is not State.JUDGING:
            raise AssertionError("no host key is waiting to be judged")
        kex = self._kex
        assert kex is not None
        if not self.session_id:
            self.session_id = kex.exchange_hash
            assert kex.result is not None
            self.host_key = kex.result.host_key
            self.host_signature = kex.result.signature
        self._sent.send((bytes((m.NEWKEYS,)),))
        self._debug(DEBUG1, "SSH2_MSG_NEWKEYS sent")
        self._sent.take_keys(kex.sealer(self.session_id), self.strict)
        self.agreement_we_send_by = kex.agreed
        self._key_age.sends_anew(self.bytes_sent, self._packets)
        if self._server_takes_ext_info and self.agreement is None:
            # An empty value says that a second EXT_INFO may come during user authentication.
            extension = string(b"ext-info-in-auth@openssh.com") + string(b"0")
            self._sent.send((bytes((m.EXT_INFO,)), uint32(1), extension))
        self.state = State.NEWKEYS
        if self._authenticated:
            self._sent.compress(kex.agreed.compression_c2s)
        held, self._held, self._held_size = self._held, [], 0
        for payload in held:
            self._sent.send((payload,))

    def _on_newkeys(self) -> KeysTaken:
        kex = self._kex
        assert kex is not None
        agreement = kex.agreed
        self._received.take_keys(kex.opener(self.session_id), self.strict)
        self._key_age.receives_anew(self.bytes_received, kex.byte_limit())
        if self._authenticated:
            self._received.decompress(agreement.compression_s2c)
        first = self.agreement is None
        self.agreement = agreement
        self._kex = None
        self.state = State.OPEN
        self._debug(DEBUG1, "SSH2_MSG_NEWKEYS received")
        return KeysTaken(first)

    def authenticated(self) -> None:
        """User authentication succeeded: delayed compression starts now (zlib@openssh.com)."""
        self._authenticated = True
        assert self.agreement is not None
        self._sent.compress(self.agreement.compression_c2s)
        self._received.decompress(self.agreement.compression_s2c)

    @property
    def lines_before_version(self) -> list[bytes]:
        """What the server has said in place of its version line so far (RFC 4253 section 4.2), the last line maybe
        without its end."""
        if self._version_exchange is None:
            return []
        incoming = self._received.buffer
        return [*self._version_exchange.lines_before, bytes(incoming.view[incoming.start : incoming.end])]

    # The way in -------------------------------------------------------------------------------------------------

    def receive_room(self) -> memoryview:
        """Where to put what the socket delivers. Payloads handed out before are stale after this call."""
        return self._received.buffer.room()

    def received(self, count: int) -> None:
        """`count` bytes were put there."""
        self._received.buffer.end += count

    def next_event(self) -> memoryview | Event | None:
        """What the bytes received so far come to, one thing at a time; None when more are needed.

        A memoryview is a payload for the layers above (message number 50 and up, or SERVICE_ACCEPT). Raises
        ProtocolError for what SSH-2 does not allow, PeerDisconnected when the peer ended the connection.
        """
        while self.state is not State.JUDGING:
            if self.state is State.VERSION:
                if not self._on_version():
                    return None
                continue
            payload = self._received.next()
            if payload is None:
                return None
            number = payload[0]
            if m.USERAUTH_REQUEST <= number < m.PING and self.state is State.OPEN:
                return payload
            event = self._on_transport_message(payload)
            if event is not None:
                return event
        return None

    def _on_version(self) -> bool:
        exchange = self._version_exchange
        assert exchange is not None
        incoming = self._received.buffer
        used, version = exchange.take(incoming.view[incoming.start : incoming.end])
        incoming.start += used
        if version is None:
            return False
        for line in exchange.lines_before:
            self._debug(DEBUG1, f"the server said before its version: {printable(line)}")
        self._version_exchange = None
        self.server_version = version
        self.state = State.KEXINIT
        ours, theirs = printable(self.client_version), printable(version)
        self._debug(DEBUG1, f"Local version string {ours}")
        self._debug(DEBUG1, f"Remote protocol version {theirs[4:].replace('-', ', remote software version ', 1)}")
        return True

    def _on_transport_message(self, payload: memoryview) -> memoryview | Event | None:
        number = payload[0]
        first = not self.agreement
        if first and self.strict and number < m.KEXINIT and number != m.DISCONNECT:
            raise ProtocolError(f"Strict key exchange broken: {m.name_of(number)} during the first key exchange")
        if number in _ALWAYS:
            return self._on_common(number, payload)
        if self.state is State.KEXINIT and number == m.KEXINIT:
            self._on_kexinit(payload)
            return None
        if self.state is State.REPLY and m.KEX_FIRST <= number <= m.KEX_LAST:
            return self._on_kex_message(payload)
        if self.state is State.NEWKEYS and number == m.NEWKEYS and len(payload) == 1:
            return self._on_newkeys()
        if self.state is State.OPEN or (self.state is State.KEXINIT and not first):
            return self._on_open_message(number, payload)
        raise ProtocolError(f"Unexpected {m.name_of(number)} during key exchange")

    def _on_common(self, number: int, payload: memoryview) -> Event | None:
        if number == m.DISCONNECT:
            reader = Reader(payload, 1)
            reason, text = reader.uint32(), reader.text()
            raise PeerDisconnected(text, reason)
        if number == m.UNIMPLEMENTED:
            sequence = Reader(payload, 1).uint32()
            self._debug(DEBUG3, f"server did not know our packet {sequence}")
            return Unimplemented(sequence)
        if number == m.DEBUG:
            reader = Reader(payload, 1)
            always, text = reader.boolean(), reader.text()
            self._debug(DEBUG1 if always else DEBUG2, f"Remote: {printable(text)}")
        return None

    def _on_open_message(self, number: int, payload: memoryview) -> memoryview | Event | None:
        """A message outside key exchange, or one the peer sent before it saw our KEXINIT."""
        if number == m.KEXINIT:
            self._on_kexinit(payload)
        elif number == m.SERVICE_ACCEPT or m.USERAUTH_REQUEST <= number < m.PING:
            return payload
        elif number == m.EXT_INFO:
            return self._on_ext_info(payload)
        elif number == m.PING:
            self._on_ping(Reader(payload, 1).view())
        elif number == m.PONG:
            return Pong(Reader(payload, 1).string())
        elif number in {m.NEWKEYS, m.SERVICE_REQUEST} or m.KEX_FIRST <= number <= m.KEX_LAST:
            raise ProtocolError(f"Unexpected {m.name_of(number)}")
        else:
            self.unimplemented()
        return None

    def _on_ping(self, data: memoryview) -> None:
        if len(data) > MAX_PING:
            raise ProtocolError(f"A ping of {len(data)} bytes")
        self.send(bytes((m.PONG,)), string(data))

    def unimplemented(self) -> None:
        """Answer the packet that `next_event` gave last with SSH_MSG_UNIMPLEMENTED (RFC 4253 section 11.4)."""
        self.send(bytes((m.UNIMPLEMENTED,)), uint32(self._received.last))

    def _on_ext_info(self, payload: memoryview) -> ExtensionInfo:
        reader = Reader(payload, 1)
        count = reader.uint32()
        self._ext_infos += 1
        if count > 1024 or self._ext_infos > MAX_EXT_INFOS:
            raise ProtocolError(f"EXT_INFO too often, or with an absurd number of extensions: {count}")
        extensions = {}
        for _ in range(count):
            name, value = reader.text(), reader.string()
            extensions[name] = value
            self._debug(DEBUG1, f"server extension {printable(name)}={printable(value)}")
        self.extensions |= extensions
        return ExtensionInfo(extensions)


_ALWAYS = frozenset({m.DISCONNECT, m.IGNORE, m.UNIMPLEMENTED, m.DEBUG})
