"""An SSH server in memory for tests: the other side of the key exchange, and raw messages; and what carries bytes
between it and a client's Transport. It computes every secret itself and borrows only the packet layer."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import new as new_hash
from hashlib import sha256
from os import urandom
from random import Random
from secrets import randbits
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol import transport as t
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.kex.dh import PRIMES
from pyssh_cli.protocol.key_exchange import Offer
from pyssh_cli.protocol.macs import MACS
from pyssh_cli.protocol.packet import HEADER, MAX_OVERHEAD, Opener, PlainOpener, PlainSealer, ReceiveBuffer, Sealer
from pyssh_cli.wire import Reader, boolean, mpint, name_list, string, text, uint32

ALL_KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "mlkem768x25519-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
)
ALL_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
ALL_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
ALL_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)

STRICT_SERVER = "kex-strict-s-v00@openssh.com"

_CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}


# Packets outside of a connection ---------------------------------------------------------------------------------


def seal_payload(sealer: Sealer, payload: bytes, sequence: int) -> bytes:
    """One sealed packet."""
    buffer = memoryview(bytearray(len(payload) + MAX_OVERHEAD))
    buffer[HEADER : HEADER + len(payload)] = payload
    return bytes(buffer[: sealer.seal(buffer, 0, len(payload), sequence)])


def open_packet(opener: Opener, packet: bytes, sequence: int) -> bytes | None:
    """The payload of one packet; None while it is not complete."""
    buffer = memoryview(bytearray(packet))
    size = opener.packet_size(buffer, 0, len(packet), sequence)
    if not size or size > len(packet):
        return None
    return bytes(opener.open(buffer, 0, size, sequence))


# Host keys -------------------------------------------------------------------------------------------------------


class HostKey:
    """A host key and its signatures, straight from the primitives."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self._key: Any
        if algorithm == "ssh-ed25519":
            self._key = ed25519.Ed25519PrivateKey.generate()
            self.blob = string(b"ssh-ed25519") + string(self._key.public_key().public_bytes_raw())
        elif algorithm.startswith("ecdsa-sha2-"):
            curve = algorithm.removeprefix("ecdsa-sha2-")
            self._key = ec.generate_private_key(_CURVES[curve][0])
            point = uncompressed(self._key.public_key())
            self.blob = text(algorithm) + text(curve) + string(point)
        else:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            numbers = self._key.public_key().public_numbers()
            self.blob = string(b"ssh-rsa") + mpint(numbers.e) + mpint(numbers.n)

    def sign(self, data: bytes) -> bytes:
        """The signature blob of `data`."""
        if self.algorithm == "ssh-ed25519":
            signature = self._key.sign(data)
        elif self.algorithm.startswith("ecdsa-sha2-"):
            hash_algorithm = _CURVES[self.algorithm.removeprefix("ecdsa-sha2-")][1]
            r, s = utils.decode_dss_signature(self._key.sign(data, ec.ECDSA(hash_algorithm)))
            signature = mpint(r) + mpint(s)
        else:
            rsa_hash = hashes.SHA256() if self.algorithm == "rsa-sha2-256" else hashes.SHA512()
            signature = self._key.sign(data, padding.PKCS1v15(), rsa_hash)
        return text(self.algorithm) + string(signature)


_HOST_KEYS: dict[str, HostKey] = {}


def host_key(algorithm: str) -> HostKey:
    """One host key of each algorithm, made once for all tests."""
    if algorithm not in _HOST_KEYS:
        _HOST_KEYS[algorithm] = HostKey(algorithm)
    return _HOST_KEYS[algorithm]


def uncompressed(public: ec.EllipticCurvePublicKey) -> bytes:
    """A point as SEC 1 writes it without compression."""
    numbers = public.public_numbers()
    size = (public.curve.key_size + 7) // 8
    return b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


# The server's side of each key exchange --------------------------------------------------------------------------


@dataclass
class ServerKex:
    """What the server makes of the client's first message. All encoded as they enter the exchange hash."""

    hash_name: str
    client_share: bytes
    server_share: bytes
    shared_secret: bytes


def server_kex(method: str, init: bytes) -> ServerKex:
    """Run `method` on the client's message `init` (its number included)."""
    reader = Reader(init)
    assert reader.byte() == 30
    if method.startswith("diffie-hellman-group"):
        group = int(method.removeprefix("diffie-hellman-group")[:2])
        prime = PRIMES[group]
        e = reader.mpint()
        reader.end()
        assert 1 < e < prime - 1
        secret = randbits(256) | 1 << 255
        return ServerKex(method[-6:], mpint(e), mpint(pow(2, secret, prime)), mpint(pow(e, secret, prime)))
    share = reader.string()
    reader.end()
    if method.startswith("ecdh-sha2-"):
        curve = _CURVES[method.removeprefix("ecdh-sha2-")][0]
        private = ec.generate_private_key(curve)
        agreed = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, share))
        hash_name = {256: "sha256", 384: "sha384", 521: "sha512"}[curve.key_size]
        return ServerKex(
            hash_name,
            string(share),
            string(uncompressed(private.public_key())),
            mpint(int.from_bytes(agreed, "big")),
        )
    x25519 = X25519PrivateKey.generate()
    public = x25519.public_key().public_bytes_raw()
    if method == "mlkem768x25519-sha256":
        assert len(share) == 1184 + 32
        mlkem_secret, ciphertext = MLKEM768PublicKey.from_public_bytes(share[:1184]).encapsulate()
        x25519_secret = x25519.exchange(X25519PublicKey.from_public_bytes(share[1184:]))
        agreed = sha256(mlkem_secret + x25519_secret).digest()
        return ServerKex("sha256", string(share), string(ciphertext + public), string(agreed))
    assert method in {"curve25519-sha256", "curve25519-sha256@libssh.org"}
    agreed = x25519.exchange(X25519PublicKey.from_public_bytes(share))
    return ServerKex("sha256", string(share), string(public), mpint(int.from_bytes(agreed, "big")))


# The server ------------------------------------------------------------------------------------------------------


@dataclass
class PeerOptions:
    """How the server behaves. The lists are what it offers."""

    kex: tuple[str, ...] = ("curve25519-sha256",)
    host_key: str = "ssh-ed25519"
    ciphers: tuple[str, ...] = ("aes128-gcm@openssh.com",)
    macs: tuple[str, ...] = ("hmac-sha2-256-etm@openssh.com",)
    compression: tuple[str, ...] = ("none",)
    strict: bool = True
    takes_ext_info: bool = True
    extensions: dict[str, bytes] | None = None
    guess: str = ""
    """"right" or "wrong": it says first_kex_packet_follows, and for a wrong guess sends a packet."""
    version: bytes = b"SSH-2.0-peer_1"
    lines_before: bytes = b""
    before_kexinit: list[bytes] = field(default_factory=list)
    before_reply: list[bytes] = field(default_factory=list)
    before_newkeys: list[bytes] = field(default_factory=list)
    after_newkeys: list[bytes] = field(default_factory=list)
    """Payloads that are sent at those points of every key exchange."""
    answers_kex: bool = True
    answers_pings: bool = False


class Peer:
    """The server's end. What the client sends is opened at once and gathers in `received`."""

    def __init__(self, options: PeerOptions | None = None) -> None:
        self.options = options or PeerOptions()
        self.host_key = host_key(self.options.host_key)
        self.outgoing = bytearray()
        self.packets: list[int] = []
        """The offset in all that was ever sent at which each packet begins."""
        self.received: list[bytes] = []
        """Every payload of the client's, in order."""
        self.sequences: list[int] = []
        """The sequence number of each of them."""
        self.client_version = b""
        self.client_offer: list[tuple[str, ...]] = []
        self.session_id = b""
        self.exchange_hash = b""
        self.signature = b""
        self.key_exchanges = 0
        self.send_sequence = 0
        self.receive_sequence = 0
        self.strict = False
        self._sealer: Sealer = PlainSealer()
        self._opener: Opener = PlainOpener()
        self._incoming = ReceiveBuffer(64 * 1024)
        self._sent_total = 0
        self._client_kexinit = b""
        self._server_kexinit = b""
        self._chosen: dict[str, str] = {}
        self._secret = b""
        self._hash_name = ""
        self._authenticated = False
        self._deflate: Any = None
        self._inflate: Any = None

    # Out

    def start(self) -> None:
        """Say the version and KEXINIT."""
        self._put(self.options.lines_before + self.options.version + b"\r\n")
        for payload in self.options.before_kexinit:
            self.send(payload)
        self.rekey()

    def _put(self, data: bytes) -> None:
        self.outgoing += data
        self._sent_total += len(data)

    def take(self) -> bytes:
        """What waits to be delivered to the client."""
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data

    def send(self, *parts: bytes) -> None:
        """Send one payload under the keys of the moment."""
        payload = b"".join(parts)
        if self._deflate:
            payload = self._deflate.compress(payload) + self._deflate.flush(zlib.Z_PARTIAL_FLUSH)
        self.packets.append(self._sent_total)
        self._put(seal_payload(self._sealer, payload, self.send_sequence))
        self.send_sequence = (self.send_sequence + 1) & 0xFFFFFFFF

    def rekey(self) -> None:
        """Begin a key exchange, or take part in one that the client began."""
        o = self.options
        marks: tuple[str, ...] = ()
        if not self.session_id:
            marks += (STRICT_SERVER,) if o.strict else ()
            marks += ("ext-info-s",) if o.takes_ext_info else ()
        first = ("guessed-wrong@test",) if o.guess == "wrong" else ()
        lists: tuple[tuple[str, ...], ...] = (
            first + o.kex + marks,
            (o.host_key,),
            o.ciphers,
            o.ciphers,
            o.macs,
            o.macs,
            o.compression,
            o.compression,
            (),
            (),
        )
        encoded = b"".join(name_list(names) for names in lists)
        self._server_kexinit = bytes((m.KEXINIT,)) + urandom(16) + encoded + boolean(bool(o.guess)) + uint32(0)
        self.send(self._server_kexinit)
        if o.guess == "wrong":
            self.send(bytes((31,)), string(b"a guess that does not hold"))

    # In

    def feed(self, data: bytes) -> None:
        """Take bytes of the client's."""
        while data:
            room = self._incoming.room()
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self._incoming.end += count
            data = data[count:]
            self._open_all()

    def _open_all(self) -> None:
        incoming = self._incoming
        if not self.client_version:
            line, newline, _ = bytes(incoming.view[incoming.start : incoming.end]).partition(b"\r\n")
            if not newline:
                return
            self.client_version = line
            incoming.start += len(line) + 2
        while True:
            start, end = incoming.start, incoming.end
            size = self._opener.packet_size(incoming.view, start, end, self.receive_sequence)
            if not size or size > end - start:
                return
            payload = bytes(self._opener.open(incoming.view, start, size, self.receive_sequence))
            incoming.start += size
            if self._inflate:
                payload = self._inflate.decompress(payload)
            self.received.append(payload)
            self.sequences.append(self.receive_sequence)
            self.receive_sequence = (self.receive_sequence + 1) & 0xFFFFFFFF
            self._on_message(payload)

    def _on_message(self, payload: bytes) -> None:
        number = payload[0]
        if number == m.KEXINIT:
            self._on_kexinit(payload)
        elif number == m.KEX_FIRST and self.options.answers_kex:
            self.reply(payload)
        elif number == m.NEWKEYS:
            self._on_newkeys()
        elif number == m.PING and self.options.answers_pings:
            self.send(bytes((m.PONG,)), payload[1:])

    def _on_kexinit(self, payload: bytes) -> None:
        if not self._server_kexinit:
            self.rekey()
        self._client_kexinit = payload
        reader = Reader(payload, 17)
        offer = [reader.name_list() for _ in range(10)]
        self.client_offer = offer
        assert reader.boolean() is False
        assert reader.uint32() == 0
        reader.end()
        o = self.options
        if not self.session_id:
            self.strict = o.strict and "kex-strict-c-v00@openssh.com" in offer[0]
        mine = {
            "kex": (offer[0], o.kex),
            "c2s": (offer[2], o.ciphers),
            "s2c": (offer[3], o.ciphers),
            "mac_c2s": (offer[4], o.macs),
            "mac_s2c": (offer[5], o.macs),
            "zip_c2s": (offer[6], o.compression),
            "zip_s2c": (offer[7], o.compression),
        }
        self._chosen = {
            what: next((name for name in theirs if name in ours), "") for what, (theirs, ours) in mine.items()
        }

    def reply(self, init: bytes) -> None:
        """Answer the client's key exchange message, and take our new keys."""
        o = self.options
        run = server_kex(self._chosen["kex"], init)
        h = new_hash(run.hash_name)
        for part in (self.client_version, o.version, self._client_kexinit, self._server_kexinit):
            h.update(string(part))
        h.update(string(self.host_key.blob) + run.client_share + run.server_share + run.shared_secret)
        self.exchange_hash = h.digest()
        self.session_id = self.session_id or self.exchange_hash
        self.signature = self.host_key.sign(self.exchange_hash)
        self._secret, self._hash_name = run.shared_secret, run.hash_name
        for payload in o.before_reply:
            self.send(payload)
        self.send(bytes((31,)), string(self.host_key.blob), run.server_share, string(self.signature))
        for payload in o.before_newkeys:
            self.send(payload)
        self.send(bytes((m.NEWKEYS,)))
        cipher = CIPHERS[self._chosen["s2c"]]
        mac = None
        if not cipher.aead:
            spec = MACS[self._chosen["mac_s2c"]]
            mac = spec.make(self.derive(b"F", spec.key_size))
        self._sealer = cipher.sealer(self.derive(b"D", cipher.key_size), self.derive(b"B", cipher.iv_size), mac)
        if self.strict:
            self.send_sequence = 0
        if self._authenticated:
            self._start_deflate()
        if not self.key_exchanges and o.extensions is not None and "ext-info-c" in self.client_offer[0]:
            self.send(ext_info(o.extensions))
        for payload in o.after_newkeys:
            self.send(payload)
        self.key_exchanges += 1
        self._server_kexinit = b""

    def _on_newkeys(self) -> None:
        cipher = CIPHERS[self._chosen["c2s"]]
        mac = None
        if not cipher.aead:
            spec = MACS[self._chosen["mac_c2s"]]
            mac = spec.make(self.derive(b"E", spec.key_size))
        self._opener = cipher.opener(self.derive(b"C", cipher.key_size), self.derive(b"A", cipher.iv_size), mac)
        if self.strict:
            self.receive_sequence = 0
        if self._authenticated:
            self._start_inflate()

    def derive(self, letter: bytes, size: int) -> bytes:
        """RFC 4253 section 7.2, written down once more."""
        blocks: list[bytes] = []
        while sum(map(len, blocks)) < size:
            tail = b"".join(blocks) if blocks else letter + self.session_id
            blocks.append(new_hash(self._hash_name, self._secret + self.exchange_hash + tail).digest())
        return b"".join(blocks)[:size]

    def authenticated(self) -> None:
        """Delayed compression begins, in both directions."""
        self._authenticated = True
        self._start_deflate()
        self._start_inflate()

    def _start_deflate(self) -> None:
        self._deflate = zlib.compressobj() if self._chosen["zip_s2c"] == "zlib@openssh.com" else None

    def _start_inflate(self) -> None:
        self._inflate = zlib.decompressobj() if self._chosen["zip_c2s"] == "zlib@openssh.com" else None

    # What tests ask

    @property
    def unread(self) -> int:
        """Bytes of a packet of the client's that is not complete."""
        return self._incoming.end - self._incoming.start

    def numbers(self) -> list[int]:
        """The message numbers of all that the client sent."""
        return [payload[0] for payload in self.received]

    def above(self, number: int) -> list[bytes]:
        """The client's payloads with message numbers of at least `number`."""
        return [payload for payload in self.received if payload[0] >= number]


def ext_info(extensions: dict[str, bytes]) -> bytes:
    """SSH_MSG_EXT_INFO."""
    encoded = b"".join(text(name) + string(value) for name, value in extensions.items())
    return bytes((m.EXT_INFO,)) + uint32(len(extensions)) + encoded


def disconnect(reason: int, message: str) -> bytes:
    """SSH_MSG_DISCONNECT."""
    return bytes((m.DISCONNECT,)) + uint32(reason) + text(message) + string(b"")


def ignore(data: bytes = b"") -> bytes:
    """SSH_MSG_IGNORE."""
    return bytes((m.IGNORE,)) + string(data)


def debug(message: str, always: bool = False) -> bytes:
    """SSH_MSG_DEBUG."""
    return bytes((m.DEBUG,)) + boolean(always) + text(message) + string(b"")


def channel_data(channel: int, data: bytes) -> bytes:
    """SSH_MSG_CHANNEL_DATA."""
    return bytes((m.CHANNEL_DATA,)) + uint32(channel) + string(data)


# Between the two -------------------------------------------------------------------------------------------------

Split = Callable[[bytes], Iterator[bytes]]


def whole(data: bytes) -> Iterator[bytes]:
    """All in one piece."""
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    """Every byte by itself."""
    for at in range(len(data)):
        yield data[at : at + 1]


def random_splits(seed: int) -> Split:
    """Pieces of 1 to 100 bytes, and now and then a large one."""
    random = Random(seed)

    def split(data: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = random.randint(1, 100) if random.random() < 0.8 else random.randint(100, 40_000)
            yield data[at : at + size]
            at += size

    return split


Seen = bytes | t.Event


def client_offer(
    kex: tuple[str, ...] = ALL_KEX,
    host_key_algorithms: tuple[str, ...] = ALL_HOST_KEYS,
    ciphers: tuple[str, ...] = ALL_CIPHERS,
    macs: tuple[str, ...] = ALL_MACS,
    compression: tuple[str, ...] = ("none", "zlib@openssh.com"),
) -> Offer:
    """What the client offers."""
    return Offer(kex, host_key_algorithms, ciphers, macs, compression)


def deliver(transport: t.Transport, data: bytes) -> None:
    """Put bytes into the transport's buffer, and do not look at them yet."""
    while data:
        room = transport.receive_room()
        count = min(len(room), len(data))
        assert count
        room[:count] = data[:count]
        transport.received(count)
        data = data[count:]


def events_of(transport: t.Transport) -> Iterator[Seen]:
    """Everything that waits, payloads copied."""
    while (event := transport.next_event()) is not None:
        yield bytes(event) if isinstance(event, memoryview) else event


class Link:
    """A client's Transport and a Peer, and the way between them. `judge` accepts the host key when it is right."""

    def __init__(
        self,
        options: PeerOptions | None = None,
        offer: Offer | None = None,
        split: Split = whole,
        *,
        judge: bool = True,
    ) -> None:
        self.peer = Peer(options)
        self.said: list[tuple[int, str]] = []
        self.transport = t.Transport(
            offer or client_offer(), "test_1", lambda rank, words: self.said.append((rank, words))
        )
        self.split = split
        self.judge = judge
        self.offered: list[t.HostKeyOffered] = []
        self.events: list[Seen] = []

    def start(self) -> list[Seen]:
        """Both sides begin; returns what the first key exchange came to."""
        self.transport.start()
        self.peer.start()
        return self.pump()

    def to_peer(self) -> bool:
        """Carry what the client wants to send; whether there was anything."""
        outgoing = self.transport.outgoing
        data = bytes(outgoing.unsent())
        outgoing.sent(len(data))
        for piece in self.split(data):
            self.peer.feed(piece)
        return bool(data)

    def to_client(self) -> bool:
        """Carry what the peer wants to send; whether there was anything."""
        data = self.peer.take()
        for piece in self.split(data):
            deliver(self.transport, piece)
            self.drain()
        return bool(data)

    def drain(self) -> None:
        """Look at everything the client has received."""
        for event in events_of(self.transport):
            self.events.append(event)
            if isinstance(event, t.HostKeyOffered):
                self.offered.append(event)
                if self.judge:
                    self.accept(event)

    def accept(self, event: t.HostKeyOffered) -> None:
        """Check that the client saw what the peer computed, and go on."""
        assert event.exchange_hash == self.peer.exchange_hash
        assert event.host_key == self.peer.host_key.blob
        assert event.signature == self.peer.signature
        assert event.algorithm == self.peer.options.host_key
        self.transport.accept_host_key()

    def pump(self) -> list[Seen]:
        """Carry bytes both ways until nothing moves; returns the new events."""
        before = len(self.events)
        while self.to_peer() | self.to_client():
            pass
        return self.events[before:]

    def payloads(self) -> list[bytes]:
        """The payloads that the client has handed up."""
        return [event for event in self.events if isinstance(event, bytes)]


def connected(
    options: PeerOptions | None = None,
    offer: Offer | None = None,
    split: Split = whole,
    *,
    authenticated: bool = True,
) -> Link:
    """A link with the first key exchange behind it."""
    link = Link(options, offer, split)
    link.start()
    assert link.transport.state is t.State.OPEN
    assert link.transport.session_id == link.peer.session_id
    if authenticated:
        link.transport.authenticated()
        link.peer.authenticated()
    return link
