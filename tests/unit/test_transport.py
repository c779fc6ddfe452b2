"""Whole connections in memory: key exchange with every algorithm, strict ordering, rekeying while data flows,
EXT_INFO, pings, and what a client has to refuse in each state."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from pyssh_cli.errors import NegotiationError, PeerDisconnected, ProtocolError
from pyssh_cli.log import DEBUG1, DEBUG2
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol import rekeying
from pyssh_cli.protocol import transport as t
from pyssh_cli.protocol.packet import PlainSealer
from pyssh_cli.wire import Reader, boolean, string, text, uint32
from tests.unit.peer import (
    ALL_CIPHERS,
    ALL_HOST_KEYS,
    ALL_KEX,
    ALL_MACS,
    Link,
    PeerOptions,
    Split,
    byte_by_byte,
    channel_data,
    connected,
    debug,
    deliver,
    disconnect,
    ext_info,
    ignore,
    random_splits,
    seal_payload,
    whole,
)

SPLITS = [whole, byte_by_byte, random_splits(21)]
COMBINATIONS = [(name, ALL_MACS[0]) for name in ALL_CIPHERS[:3]]
COMBINATIONS += [(name, mac) for name in ALL_CIPHERS[3:] for mac in ALL_MACS]
CHACHA = "chacha20-poly1305@openssh.com"

each_cipher = pytest.mark.parametrize(("cipher", "mac"), COMBINATIONS)
each_split = pytest.mark.parametrize("split", SPLITS, ids=["whole", "bytes", "random"])
strict_or_not = pytest.mark.parametrize("strict", [True, False], ids=["strict", "loose"])


def data(number: int, size: int = 20) -> bytes:
    """A message for the layers above that can be told from every other."""
    return channel_data(0, number.to_bytes(4, "big") + bytes(size))


def state_of(link: Link) -> t.State:
    """The client's state, read anew."""
    return link.transport.state


def check_order(received: list[bytes]) -> None:
    """RFC 4253 section 7.1: between a KEXINIT and NEWKEYS goes nothing but what belongs to the key exchange."""
    running = False
    for payload in received:
        number = payload[0]
        if number == m.KEXINIT:
            assert not running
            running = True
        elif number == m.NEWKEYS:
            assert running
            running = False
        elif running:
            assert number in {m.DISCONNECT, m.IGNORE, m.UNIMPLEMENTED, m.DEBUG} or 30 <= number <= 49


def exchange_data(link: Link, count: int = 3) -> None:
    """Messages both ways, which arrive as they were sent."""
    before, before_peer = len(link.payloads()), len(link.peer.above(50))
    for number in range(count):
        link.transport.send(data(number)[:5], data(number)[5:])
        link.peer.send(data(number, 40))
    link.pump()
    assert link.payloads()[before:] == [data(number, 40) for number in range(count)]
    assert link.peer.above(50)[before_peer:] == [data(number) for number in range(count)]


# The first key exchange ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kex", ALL_KEX)
@strict_or_not
def test_every_kex(kex: str, strict: bool) -> None:
    link = connected(PeerOptions(kex=(kex,), strict=strict))
    assert link.transport.agreement is not None
    assert link.transport.agreement.kex == kex
    assert link.transport.strict is strict
    assert [event for event in link.events if isinstance(event, t.KeysTaken)] == [t.KeysTaken(first=True)]
    exchange_data(link)


@each_cipher
@strict_or_not
def test_every_cipher(cipher: str, mac: str, strict: bool) -> None:
    link = connected(PeerOptions(ciphers=(cipher,), macs=(mac,), strict=strict))
    agreement = link.transport.agreement
    assert agreement is not None
    assert agreement.cipher_c2s == agreement.cipher_s2c == cipher
    assert agreement.mac_c2s == (mac if cipher.endswith("-ctr") else None)
    exchange_data(link)
    link.transport.rekey()
    link.pump()
    exchange_data(link)
    assert link.peer.key_exchanges == 2


@pytest.mark.parametrize("algorithm", ALL_HOST_KEYS)
def test_every_host_key(algorithm: str) -> None:
    link = connected(PeerOptions(host_key=algorithm))
    assert [offered.algorithm for offered in link.offered] == [algorithm]


@each_split
@pytest.mark.parametrize("cipher", [ALL_CIPHERS[0], CHACHA, "aes128-ctr"])
@pytest.mark.parametrize("mac", [ALL_MACS[0], ALL_MACS[2]])
def test_however_the_bytes_are_cut(split: Split, cipher: str, mac: str) -> None:
    link = connected(PeerOptions(ciphers=(cipher,), macs=(mac,), extensions={"a": b"b"}), split=split)
    exchange_data(link)
    link.transport.rekey()
    link.pump()
    exchange_data(link)


def test_first_segment_holds_version_and_kexinit() -> None:
    link = Link()
    link.transport.start()
    sent = bytes(link.transport.outgoing.unsent())
    assert sent.startswith(b"SSH-2.0-test_1\r\n")
    link.to_peer()
    assert link.peer.numbers() == [m.KEXINIT]
    assert link.peer.client_offer[0][-2:] == ("ext-info-c", "kex-strict-c-v00@openssh.com")


def test_version_is_hashed_as_it_was_sent() -> None:
    options = PeerOptions(version=b"SSH-2.0-odd one  with spaces ", lines_before=b"Welcome\r\nall\n")
    link = connected(options)
    assert link.transport.server_version == b"SSH-2.0-odd one  with spaces "


@pytest.mark.parametrize("guess", ["right", "wrong"])
@strict_or_not
def test_guesses(guess: str, strict: bool) -> None:
    link = connected(PeerOptions(guess=guess, strict=strict, ciphers=(CHACHA,)))
    exchange_data(link)
    link.peer.rekey()
    link.pump()
    exchange_data(link)
    assert link.peer.key_exchanges == 2


@pytest.mark.parametrize(
    "options",
    [
        PeerOptions(kex=("unknown-kex",)),
        PeerOptions(ciphers=("unknown-cipher",)),
        PeerOptions(ciphers=("aes128-ctr",), macs=("unknown-mac",)),
        PeerOptions(compression=("unknown-compression",)),
    ],
)
def test_nothing_in_common(options: PeerOptions) -> None:
    link = Link(options)
    with pytest.raises(NegotiationError, match=r"no matching .* found\. Their offer: .*unknown-") as refusal:
        link.start()
    assert refusal.value.reason == m.DISCONNECT_KEY_EXCHANGE_FAILED
    link.to_peer()
    assert link.peer.numbers() == [m.KEXINIT]


# A host key waits to be judged -----------------------------------------------------------------------------------


def test_nothing_goes_on_while_a_host_key_is_judged() -> None:
    link = Link(PeerOptions(extensions={"name": b"value"}), judge=False)
    link.start()
    transport = link.transport
    assert transport.state is t.State.JUDGING
    (offered,) = link.events
    assert isinstance(offered, t.HostKeyOffered)
    assert link.peer.numbers() == [m.KEXINIT, m.KEX_FIRST]
    transport.send(data(1))
    assert not transport.can_send
    assert not len(transport.outgoing)
    assert transport.next_event() is None
    assert transport.session_id == b""
    assert transport.agreement is None
    assert transport.extensions == {}
    link.accept(offered)
    link.pump()
    assert link.events[1:] == [t.KeysTaken(first=True), t.ExtensionInfo({"name": b"value"})]
    assert link.peer.numbers() == [m.KEXINIT, m.KEX_FIRST, m.NEWKEYS, m.EXT_INFO, m.CHANNEL_DATA]
    with pytest.raises(AssertionError):
        transport.accept_host_key()


def test_a_rekeying_is_judged_too() -> None:
    link = connected()
    link.judge = False
    link.peer.rekey()
    link.pump()
    assert state_of(link) is t.State.JUDGING
    link.accept(link.offered[-1])
    link.pump()
    assert state_of(link) is t.State.OPEN
    assert link.transport.session_id != link.offered[-1].exchange_hash


# Strict key exchange ---------------------------------------------------------------------------------------------

EARLY = [ignore(b"x"), debug("x"), bytes((m.UNIMPLEMENTED,)) + uint32(0)]
PLACES = ["before_kexinit", "before_reply", "before_newkeys"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("early", EARLY, ids=["ignore", "debug", "unimplemented"])
def test_strict_lets_nothing_in(place: str, early: bytes) -> None:
    link = Link(PeerOptions(**{place: [early]}))  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="Strict key exchange broken"):
        link.start()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("early", EARLY, ids=["ignore", "debug", "unimplemented"])
def test_without_strict_it_may_come(place: str, early: bytes) -> None:
    link = connected(PeerOptions(strict=False, ciphers=(CHACHA,), **{place: [early]}))  # type: ignore[arg-type]
    exchange_data(link)


@pytest.mark.parametrize("place", PLACES)
def test_disconnect_may_always_come(place: str) -> None:
    link = Link(PeerOptions(**{place: [disconnect(11, "bye")]}))  # type: ignore[arg-type]
    with pytest.raises(PeerDisconnected, match="bye"):
        link.start()


@strict_or_not
def test_sequence_numbers_begin_anew_only_when_strict(strict: bool) -> None:
    link = connected(PeerOptions(strict=strict, ciphers=(CHACHA,), takes_ext_info=False))
    after_first = link.peer.receive_sequence, link.peer.send_sequence
    assert after_first == ((0, 0) if strict else (3, 3))
    exchange_data(link)
    link.transport.rekey()
    link.pump()
    exchange_data(link, 1)
    assert link.peer.receive_sequence == (1 if strict else 3 + 3 + 3 + 1)


def test_during_a_strict_rekeying_ignore_may_come() -> None:
    link = connected()
    link.peer.options.before_reply.append(ignore(b"x"))
    link.peer.options.before_newkeys.append(debug("x"))
    link.peer.rekey()
    link.pump()
    exchange_data(link)


def test_strict_is_agreed_in_the_first_key_exchange_only() -> None:
    link = connected(PeerOptions(strict=False, ciphers=(CHACHA,)))
    link.peer.options.kex = (*link.peer.options.kex, "kex-strict-s-v00@openssh.com")
    link.peer.rekey()
    link.pump()
    assert not link.transport.strict
    exchange_data(link)


# Rekeying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["client", "peer", "both"])
@pytest.mark.parametrize("compression", ["none", "zlib@openssh.com"])
@each_split
def test_rekeying_while_data_flows(who: str, compression: str, split: Split) -> None:
    link = connected(PeerOptions(ciphers=(CHACHA,), compression=(compression,)), split=split)
    transport, peer = link.transport, link.peer
    session_id = transport.session_id
    for number in range(3):
        transport.send(data(number))
        peer.send(data(number))
    if who != "client":
        peer.rekey()
    else:
        for number in range(3, 6):  # the peer has not seen our KEXINIT yet
            peer.send(data(number))
    if who != "peer":
        transport.rekey()
        assert not transport.can_send
    for number in range(3, 6):
        transport.send(data(number))
    link.pump()
    assert peer.key_exchanges == 2
    assert transport.state is t.State.OPEN
    assert transport.session_id == session_id == peer.session_id
    assert peer.exchange_hash != session_id
    assert peer.above(50) == [data(number) for number in range(6)]
    assert link.payloads() == [data(number) for number in range(3 if who != "client" else 6)]
    check_order(peer.received)
    assert [event for event in link.events if isinstance(event, t.KeysTaken)][1:] == [t.KeysTaken(first=False)]
    exchange_data(link)


def test_held_messages_come_right_behind_newkeys() -> None:
    link = connected()
    transport = link.transport
    transport.rekey()
    for number in range(5):
        transport.send(bytes((m.CHANNEL_DATA,)), memoryview(data(number))[1:])
    link.pump()
    at = link.peer.numbers().index(m.NEWKEYS, 4)
    assert link.peer.received[at + 1 :] == [data(number) for number in range(5)]


def test_what_is_held_is_copied() -> None:
    link = connected()
    link.transport.rekey()
    message = bytearray(data(1))
    link.transport.send(memoryview(message))
    message[:] = bytes(len(message))
    link.pump()
    assert link.peer.received[-1] == data(1)


def test_what_is_held_has_an_end() -> None:
    link = connected()
    link.transport.rekey()
    for _ in range(t.MAX_HELD // 30_001):
        link.transport.send(bytes((m.CHANNEL_DATA,)), bytes(30_000))
    with pytest.raises(ProtocolError, match="does not finish a key exchange"):
        link.transport.send(bytes((m.CHANNEL_DATA,)), bytes(30_000))


def test_rekey_is_asked_once() -> None:
    link = connected()
    link.transport.rekey()
    link.transport.rekey()
    link.transport.rekey_if_due(1e9)
    link.to_peer()
    assert link.peer.numbers().count(m.KEXINIT) == 2


def test_rekey_before_the_first_key_exchange_is_done() -> None:
    link = Link()
    link.transport.rekey()
    assert not len(link.transport.outgoing)
    link.transport.start()
    link.transport.rekey()
    link.peer.start()
    link.pump()
    assert link.peer.numbers().count(m.KEXINIT) == 1


def begun(link: Link) -> bool:
    """Whether the client has begun a key exchange that is not done."""
    return link.transport.state is t.State.KEXINIT


@pytest.mark.parametrize("way", ["out", "in"])
def test_rekey_by_bytes(way: str) -> None:
    link = Link()
    link.transport.set_rekey_limit(10_000, 0)
    link.start()
    link.transport.authenticated()
    link.peer.authenticated()
    for round_number in range(3):
        for _ in range(20):
            link.transport.rekey_if_due(1.0)
            assert not begun(link)
            if way == "out":
                link.transport.send(data(0, 400))
            else:
                link.peer.send(data(0, 400))
            link.pump()
        for _ in range(4):
            (link.transport if way == "out" else link.peer).send(data(0, 400))
        link.pump()
        link.transport.rekey_if_due(1.0)
        assert begun(link)
        link.pump()
        assert link.peer.key_exchanges == round_number + 2


@pytest.mark.parametrize(
    ("cipher", "limit"), [(CHACHA, 1 << 30), ("aes128-gcm@openssh.com", 1 << 36), ("aes256-ctr", 1 << 36)]
)
@pytest.mark.parametrize("asked", [0, 1 << 40])
def test_rekey_by_what_the_cipher_allows(cipher: str, limit: int, asked: int) -> None:
    link = Link(PeerOptions(ciphers=(cipher,)))
    link.transport.set_rekey_limit(asked, 0)
    link.start()
    link.transport.authenticated()
    link.peer.authenticated()
    link.transport._received.bytes_received += limit - 1000
    link.transport.rekey_if_due(1.0)
    assert not begun(link)
    link.transport._received.bytes_received += 1000
    link.transport.rekey_if_due(1.0)
    assert begun(link)


def test_rekey_by_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rekeying.MAX_PACKETS == 1 << 31
    monkeypatch.setattr(rekeying, "MAX_PACKETS", 20)
    link = connected()
    link.transport.rekey_if_due(1.0)
    assert not begun(link)
    for _ in range(10):
        link.peer.send(ignore())
        link.transport.send(ignore())
    link.pump()
    link.transport.rekey_if_due(1.0)
    assert begun(link)
    link.pump()
    link.transport.rekey_if_due(1.0)
    assert not begun(link)


def test_rekey_by_time() -> None:
    link = Link()
    link.transport.set_rekey_limit(0, 60)
    assert link.transport.rekey_deadline() is None
    link.start()
    link.transport.rekey_if_due(5000.0)
    assert not begun(link)
    assert link.transport.rekey_deadline() is None  # the keys' age is not known yet
    link.transport.authenticated()
    link.peer.authenticated()
    link.transport.rekey_if_due(1000.0)
    assert link.transport.rekey_deadline() == 1060.0
    link.transport.rekey_if_due(1059.9)
    assert not begun(link)
    link.transport.rekey_if_due(1060.0)
    assert begun(link)
    assert link.transport.rekey_deadline() is None
    link.pump()
    link.transport.rekey_if_due(2000.0)
    assert not begun(link)
    assert link.transport.rekey_deadline() == 2060.0


def test_no_rekey_of_ours_before_authentication() -> None:
    link = Link()
    link.transport.set_rekey_limit(1, 1)
    link.start()
    link.transport.rekey_if_due(1.0)
    link.transport.rekey_if_due(100.0)
    assert not begun(link)


def test_peer_may_rekey_before_authentication() -> None:
    link = connected(authenticated=False)
    link.peer.rekey()
    link.pump()
    exchange_data(link)


@pytest.mark.parametrize("seed", range(25))
def test_rekeying_at_any_moment(seed: int) -> None:
    """Both sides send, rekey and deliver in any order; every message arrives once and in order."""
    random = Random(seed)
    cipher, mac = random.choice(COMBINATIONS)
    options = PeerOptions(
        ciphers=(cipher,),
        macs=(mac,),
        strict=random.random() < 0.5,
        compression=(random.choice(("none", "zlib@openssh.com")),),
    )
    link = connected(options)
    transport, peer = link.transport, link.peer
    ours = theirs = 0
    wire = b""
    for _ in range(300):
        action = random.randrange(8)
        if action <= 1:
            transport.send(data(ours, random.randrange(300)))
            ours += 1
        elif action <= 3 and not peer._server_kexinit:
            peer.send(data(theirs, random.randrange(300)))
            theirs += 1
        elif action == 4:
            link.to_peer()
        elif action == 5 and random.random() < 0.3:
            transport.rekey()
        elif action == 6 and random.random() < 0.3 and not peer._server_kexinit and not begun(link):
            peer.rekey()
        else:
            wire += peer.take()
            count = random.randrange(len(wire) + 1)
            deliver(transport, wire[:count])
            link.drain()
            wire = wire[count:]
    deliver(transport, wire)
    link.drain()
    link.pump()
    assert [int.from_bytes(p[9:13], "big") for p in link.payloads()] == list(range(theirs))
    assert [int.from_bytes(p[9:13], "big") for p in peer.above(50)] == list(range(ours))
    check_order(peer.received)
    assert peer.key_exchanges > 2


def test_compression_begins_after_authentication() -> None:
    link = connected(PeerOptions(compression=("zlib@openssh.com",)), authenticated=False)
    before = link.transport.bytes_sent
    link.transport.send(data(0, 10_000))
    assert link.transport.bytes_sent - before > 10_000
    link.pump()
    link.transport.authenticated()
    link.peer.authenticated()
    before = link.transport.bytes_sent
    link.transport.send(data(0, 10_000))
    assert link.transport.bytes_sent - before < 200
    link.pump()
    assert link.peer.received[-1] == data(0, 10_000)
    exchange_data(link)


# EXT_INFO --------------------------------------------------------------------------------------------------------


def test_ext_info_of_the_servers() -> None:
    link = connected(PeerOptions(extensions={"server-sig-algs": b"ssh-ed25519,rsa-sha2-256", "x": b"\xff\0"}))
    expected = {"server-sig-algs": b"ssh-ed25519,rsa-sha2-256", "x": b"\xff\0"}
    assert link.transport.extensions == expected
    assert t.ExtensionInfo(expected) in link.events
    link.peer.send(ext_info({"x": b"new"}))
    link.pump()
    assert link.events[-1] == t.ExtensionInfo({"x": b"new"})
    assert link.transport.extensions == expected | {"x": b"new"}


@strict_or_not
def test_ext_info_of_ours_is_the_first_packet_under_keys(strict: bool) -> None:
    link = Link(PeerOptions(strict=strict), judge=False)
    link.start()
    link.transport.send(bytes((m.SERVICE_REQUEST,)), text("ssh-userauth"))
    link.accept(link.offered[0])
    link.pump()
    assert link.peer.numbers()[2:] == [m.NEWKEYS, m.EXT_INFO, m.SERVICE_REQUEST]
    reader = Reader(link.peer.received[3], 1)
    assert reader.uint32() == 1
    assert (reader.text(), reader.string()) == ("ext-info-in-auth@openssh.com", b"0")
    reader.end()
    link.judge = True
    link.peer.rekey()
    link.pump()
    assert link.peer.numbers().count(m.EXT_INFO) == 1


def test_ext_info_only_to_those_who_take_it() -> None:
    link = connected(PeerOptions(takes_ext_info=False))
    assert m.EXT_INFO not in link.peer.numbers()


@pytest.mark.parametrize(
    "payload",
    [
        bytes((m.EXT_INFO,)),
        bytes((m.EXT_INFO,)) + uint32(1),
        bytes((m.EXT_INFO,)) + uint32(2) + text("a") + text("b"),
        bytes((m.EXT_INFO,)) + uint32(1025) + string(b"") * 2050,
        bytes((m.EXT_INFO,)) + uint32(2**32 - 1),
    ],
)
def test_ext_info_refused(payload: bytes) -> None:
    link = connected()
    link.peer.send(payload)
    with pytest.raises(ProtocolError):
        link.pump()


# Pings, and messages that only pass ------------------------------------------------------------------------------


@pytest.mark.parametrize("question", [b"", b"x", bytes(range(256)) * 100])
def test_pong_has_the_same_data(question: bytes) -> None:
    link = connected()
    link.peer.send(bytes((m.PING,)), string(question))
    assert link.pump() == []
    assert link.peer.received[-1] == bytes((m.PONG,)) + string(question)


def test_ping_during_our_rekeying_is_answered_behind_it() -> None:
    link = connected()
    link.transport.rekey()
    for number in range(3):
        link.peer.send(bytes((m.PING,)), string(b"%d" % number))
        link.peer.send(data(number))
    link.to_client()
    link.transport.send(data(9))
    link.pump()
    assert link.peer.above(50) == [bytes((m.PONG,)) + string(b"%d" % n) for n in range(3)] + [data(9)]
    assert link.payloads() == [data(number) for number in range(3)]
    check_order(link.peer.received)


def test_ping_of_ours() -> None:
    link = connected(PeerOptions(answers_pings=True))
    assert not link.transport.ping(b"1")
    link.peer.send(ext_info({"ping@openssh.com": b"0"}))
    link.pump()
    assert link.transport.ping(b"2")
    assert link.pump() == [t.Pong(b"2")]
    assert link.peer.above(50) == [bytes((m.PING,)) + string(b"2")]


@pytest.mark.parametrize("payload", [bytes((m.PING,)), bytes((m.PING,)) + uint32(5) + b"abc", bytes((m.PONG,))])
def test_malformed_pings(payload: bytes) -> None:
    link = connected()
    link.peer.send(payload)
    with pytest.raises(ProtocolError):
        link.pump()


def test_debug_is_told() -> None:
    link = connected()
    link.peer.send(debug("shown", always=True))
    link.peer.send(debug("hidden"))
    link.peer.send(ignore(bytes(5000)))
    assert link.pump() == []
    assert link.said[-2:] == [(DEBUG1, "Remote: shown"), (DEBUG2, "Remote: hidden")]
    link.peer.send(bytes((m.DEBUG,)) + boolean(True) + uint32(9))
    with pytest.raises(ProtocolError):
        link.pump()


def test_what_is_told_cannot_forge_lines() -> None:
    options = PeerOptions(
        version=b"SSH-2.0-x\ry\x1b",
        lines_before=b"a\rb\n",
        extensions={"x\ny": b"a\nb"},
        kex=("curve25519-sha256", "a\nb"),
    )
    link = connected(options)
    link.peer.send(debug("one\ntwo"))
    link.pump()
    assert [words for _, words in link.said if not words.isprintable()] == []
    assert link.said[-1] == (DEBUG2, "Remote: one\\012two")


@strict_or_not
def test_unimplemented_answers(strict: bool) -> None:
    link = connected(PeerOptions(strict=strict))
    for number in (0, 8, 19, 22, 29, 194, 255):
        link.peer.send(data(1))
        sequence = link.peer.send_sequence
        link.peer.send(bytes((number,)) + b"whatever")
        link.pump()
        assert link.peer.received[-1] == bytes((m.UNIMPLEMENTED,)) + uint32(sequence)
    sequence = link.peer.send_sequence
    link.peer.send(bytes((150,)))
    assert link.pump() == [bytes((150,))]
    link.transport.unimplemented()
    link.pump()
    assert link.peer.received[-1] == bytes((m.UNIMPLEMENTED,)) + uint32(sequence)


def test_unimplemented_of_the_peers() -> None:
    link = connected()
    link.peer.send(bytes((m.UNIMPLEMENTED,)) + uint32(7))
    assert link.pump() == [t.Unimplemented(7)]
    link.peer.send(bytes((m.UNIMPLEMENTED,)) + b"\0")
    with pytest.raises(ProtocolError):
        link.pump()


def test_disconnect_of_the_peers() -> None:
    link = connected()
    link.peer.send(data(1))
    link.peer.send(disconnect(2, "too many \x1b things"))
    with pytest.raises(PeerDisconnected) as caught:
        link.pump()
    assert caught.value.reason == 2
    assert str(caught.value) == "too many \x1b things"
    assert link.payloads() == [data(1)]


def test_malformed_disconnect() -> None:
    link = connected()
    link.peer.send(bytes((m.DISCONNECT,)))
    with pytest.raises(ProtocolError):
        link.pump()


def test_disconnect_of_ours_does_not_wait() -> None:
    link = connected()
    link.transport.rekey()
    link.transport.disconnect(11, "bye")
    link.to_peer()
    assert link.peer.received[-1] == disconnect(11, "bye")


# What is out of state --------------------------------------------------------------------------------------------

ALWAYS = {m.DISCONNECT, m.IGNORE, m.UNIMPLEMENTED, m.DEBUG}


def message(number: int) -> bytes:
    """Some message of that number that a receiver could read."""
    return bytes((number,)) + uint32(0) + string(b"") + string(b"")


@strict_or_not
@pytest.mark.parametrize(("place", "but"), [("before_kexinit", 20), ("before_newkeys", 21)])
def test_first_key_exchange_lets_in_only_its_own(place: str, but: int, strict: bool) -> None:
    for number in set(range(256)) - {but} - ALWAYS:
        link = Link(PeerOptions(strict=strict, **{place: [message(number)]}))  # type: ignore[arg-type]
        with pytest.raises(ProtocolError):
            link.start()
        assert link.payloads() == []


@strict_or_not
def test_waiting_for_the_reply_only_method_messages_come(strict: bool) -> None:
    for number in set(range(256)) - ALWAYS:
        link = Link(PeerOptions(strict=strict, before_reply=[message(number)]))
        with pytest.raises(ProtocolError):
            link.start()
        assert not link.offered


def test_newkeys_is_one_byte() -> None:
    link = Link(PeerOptions(before_newkeys=[bytes((m.NEWKEYS, 0))]))
    with pytest.raises(ProtocolError, match="Unexpected SSH_MSG_NEWKEYS"):
        link.start()


@pytest.mark.parametrize("place", ["before_reply", "before_newkeys"])
@pytest.mark.parametrize("number", [5, 6, 7, 20, 50, 52, 80, 94, 127, 128, 191, 192, 193, 255])
def test_peer_breaks_its_own_rekeying(place: str, number: int) -> None:
    """What a side may not send between its KEXINIT and its NEWKEYS is not taken from it."""
    link = connected()
    getattr(link.peer.options, place).append(message(number))
    link.peer.rekey()
    with pytest.raises(ProtocolError, match="Unexpected"):
        link.pump()
    assert link.payloads() == []


def test_open_state() -> None:
    for number in [5, 21, *range(30, 50)]:
        link = connected()
        link.peer.send(message(number))
        with pytest.raises(ProtocolError, match="Unexpected"):
            link.pump()
    link = connected()
    for number in [6, *range(50, 192)]:
        link.peer.send(message(number))
    assert link.pump() == [message(number) for number in [6, *range(50, 192)]]


@pytest.mark.parametrize("number", [5, 21, 30, 31, 49])
def test_while_we_wait_for_the_peers_kexinit(number: int) -> None:
    link = connected()
    link.transport.rekey()
    link.peer.send(message(number))
    with pytest.raises(ProtocolError, match="Unexpected"):
        link.to_client()


@pytest.mark.parametrize("cut", [1, 16, 17, 30, 60])
def test_malformed_kexinit(cut: int) -> None:
    link = Link()
    link.transport.start()
    link.peer.start()
    link.to_peer()
    kexinit = link.peer._server_kexinit[:cut]
    deliver(link.transport, b"SSH-2.0-x\r\n" + seal_payload(PlainSealer(), kexinit, 0))
    with pytest.raises(ProtocolError):
        link.drain()


# Peers that are not SSH ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", SPLITS, ids=["whole", "bytes", "random"])
@pytest.mark.parametrize(
    ("said", "match"),
    [
        (b"SSH-1.5-OpenSSH_1.2\r\n", "only SSH version 1"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "HTTP"),
        (b"SSH-2.0-x\r\nthis is no packet at all", "Bad packet length"),
        (b"SSH-2.0-x\r\n" + bytes(64), "Bad packet length 0"),
        (b"SSH-2.0-x\r\n" + b"\xff" * 64, "Bad packet length 4294967295"),
        (b"SSH-2.0-x\r\n\0\0\0\x0c\0" + bytes(11), "Corrupted padding"),
        (b"SSH-2.0-x\r\n\0\0\0\x0c\xff" + bytes(11), "Corrupted padding"),
        (b"SSH-" + b"x" * 300, "longer than 255"),
        (b"a" * 70_000, "not an SSH server"),
        (b"welcome\r\n" * 2000, "not an SSH server"),
        (b"\0\1\2\3\n", "binary"),
    ],
)
def test_other_peers(said: bytes, match: str, split: Split) -> None:
    link = Link(split=split)
    link.transport.start()
    link.peer._put(said)
    with pytest.raises(ProtocolError, match=match):
        link.to_client()
    assert link.events == []


def test_random_peers() -> None:
    random = Random(22)
    for _ in range(50):
        link = Link()
        link.transport.start()
        deliver(link.transport, b"SSH-2.0-x\r\n" + random.randbytes(400))
        with pytest.raises(ProtocolError):
            link.drain()


# send_read -------------------------------------------------------------------------------------------------------


def reader_of(source: bytes) -> Callable[[list[memoryview]], int]:
    """Fills views in order, as readv does."""

    def read(views: list[memoryview]) -> int:
        done = 0
        for view in views:
            piece = source[done : done + len(view)]
            view[: len(piece)] = piece
            done += len(piece)
        return done

    return read


@each_cipher
def test_send_read_is_send(cipher: str, mac: str) -> None:
    link, other = (connected(PeerOptions(ciphers=(cipher,), macs=(mac,))) for _ in range(2))
    random = Random(23)
    prefix = bytes((m.CHANNEL_DATA,)) + uint32(7)
    for size, count, length in (
        (1, 1, 1),
        (100, 4, 400),
        (100, 4, 399),
        (100, 4, 301),
        (100, 4, 300),
        (100, 4, 1),
        (32 * 1024, 8, 8 * 32 * 1024),
        (32 * 1024, 8, 100_001),
        (17, 3, 40),
    ):
        source = random.randbytes(length)
        link.transport.send(data(1))
        other.transport.send(data(1))
        assert link.transport.send_read(prefix, size, count, reader_of(source)) == length
        for at in range(0, length, size):
            other.transport.send(prefix, string(source[at : at + size]))
        assert len(link.transport.outgoing) == len(other.transport.outgoing)
        assert link.transport.bytes_sent == other.transport.bytes_sent
        if random.random() < 0.5:
            link.pump()
            other.pump()
    link.pump()
    other.pump()
    assert link.peer.received[4:] == other.peer.received[4:]
    assert link.peer.sequences == other.peer.sequences
    exchange_data(link)


def test_send_read_of_nothing() -> None:
    link = connected()
    before = link.transport.bytes_sent
    assert link.transport.send_read(b"prefix", 100, 4, lambda views: 0) == 0
    assert not len(link.transport.outgoing)
    assert link.transport.bytes_sent == before


def test_send_read_whose_read_fails() -> None:
    def read(views: list[memoryview]) -> int:
        views[0][:3] = b"abc"
        raise BlockingIOError

    link = connected()
    link.transport.send(data(1))
    with pytest.raises(BlockingIOError):
        link.transport.send_read(b"prefix", 100, 4, read)
    link.pump()
    assert link.peer.above(50) == [data(1)]
    exchange_data(link)


def test_send_read_compressed() -> None:
    link = connected(PeerOptions(compression=("zlib@openssh.com",)))
    prefix = bytes((m.CHANNEL_DATA,)) + uint32(0)
    source = bytes(range(200))
    assert link.transport.send_read(prefix, 150, 4, reader_of(source)) == 150
    assert link.transport.send_read(prefix, 150, 4, lambda views: 0) == 0
    link.pump()
    assert link.peer.received[-1] == prefix + string(source[:150])


# Sizes -----------------------------------------------------------------------------------------------------------


@each_cipher
def test_largest_packets(cipher: str, mac: str) -> None:
    link = connected(PeerOptions(ciphers=(cipher,), macs=(mac,)), split=random_splits(24))
    payload = bytes((m.CHANNEL_DATA,)) + bytes(200_000)
    link.peer.send(payload)
    link.transport.send(payload[:100_000])
    link.pump()
    assert link.payloads() == [payload]
    assert link.peer.received[-1] == payload[:100_000]


def test_payload_views_hold_until_the_next_room() -> None:
    link = connected()
    for number in range(50):
        link.peer.send(data(number, 1000))
    deliver(link.transport, link.peer.take())
    views = []
    while (event := link.transport.next_event()) is not None:
        assert isinstance(event, memoryview)
        views.append(event)
    assert [bytes(view) for view in views] == [data(number, 1000) for number in range(50)]
