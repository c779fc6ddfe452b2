"""A hostile wire: the peer's bytes are changed, cut, repeated and put out of order at random, from fixed seeds.

Only a PysshError may come of it, it must come to an end, and nothing tampered with under keys is taken.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from pyssh_cli.errors import PysshError
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol import transport as t
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.wire import string, text, uint32
from tests.unit.peer import (
    ALL_CIPHERS,
    ALL_MACS,
    Link,
    PeerOptions,
    channel_data,
    connected,
    debug,
    deliver,
    events_of,
    ext_info,
    ignore,
)

KINDS = ("flip", "byte", "insert", "delete", "cut", "repeat", "swap", "zeros")

EXTENSIONS = {"server-sig-algs": b"ssh-ed25519", "ping@openssh.com": b"0"}


def mangle(data: bytes, kind: str, random: Random) -> bytes:
    """`data` changed somewhere; the same bytes only by chance."""
    at = random.randrange(len(data))
    size = random.randint(1, 40)
    if kind == "flip":
        return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]
    if kind == "byte":
        return data[:at] + random.randbytes(1) + data[at + 1 :]
    if kind == "insert":
        return data[:at] + random.randbytes(size) + data[at:]
    if kind == "delete":
        return data[:at] + data[at + size :]
    if kind == "cut":
        return data[:at]
    if kind == "repeat":
        return data[: at + size] + data[at:]
    if kind == "swap":
        return data[:at] + data[at + size : at + 2 * size] + data[at : at + size] + data[at + 2 * size :]
    return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]


def options_of(random: Random) -> PeerOptions:
    return PeerOptions(
        kex=(random.choice(("curve25519-sha256", "mlkem768x25519-sha256", "ecdh-sha2-nistp256")),),
        ciphers=(random.choice(ALL_CIPHERS),),
        macs=(random.choice(ALL_MACS),),
        compression=(random.choice(("none", "zlib@openssh.com")),),
        strict=random.random() < 0.5,
        extensions=EXTENSIONS,
        guess=random.choice(("", "wrong")),
        lines_before=random.choice((b"", b"Welcome\r\n")),
    )


def drain(link: Link) -> list[bytes]:
    """All that has arrived; a host key is accepted only when the signature could be right."""
    payloads: list[bytes] = []
    for event in events_of(link.transport):
        if isinstance(event, t.HostKeyOffered):
            true = (link.peer.exchange_hash, link.peer.host_key.blob, link.peer.signature)
            if (event.exchange_hash, event.host_key, event.signature) != true:
                return payloads
            link.transport.accept_host_key()
        elif isinstance(event, bytes):
            payloads.append(event)
        assert len(payloads) < 1000
    return payloads


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(20))
def test_first_key_exchange(kind: str, seed: int) -> None:
    random = Random(f"{kind} {seed}")
    link = Link(options_of(random))
    link.transport.start()
    link.peer.start()
    link.to_peer()
    turn = random.randrange(2)
    try:
        for at in range(4):
            data = link.peer.take()
            if data and at == turn:
                data = mangle(data, kind, random)
            deliver(link.transport, data)
            assert drain(link) == []
            try:
                link.to_peer()
            except Exception:  # the peer is in its right not to understand what follows from a changed KEXINIT
                return
    except PysshError:
        return
    if link.transport.state is t.State.OPEN:  # it can only have been where it does not matter
        assert link.transport.session_id == link.peer.session_id


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(25))
def test_under_keys(kind: str, seed: int) -> None:
    """What is handed up is what the peer sent, from its beginning up to at most the place of the change."""
    random = Random(f"{seed} {kind}")
    link = connected(options_of(random))
    true = []
    for number in range(random.randint(1, 20)):
        true.append(channel_data(0, uint32(number) + random.randbytes(random.randrange(200))))
        link.peer.send(random.choice((ignore(b"x"), debug("y"), ext_info({"a": b"b"}))))
        link.peer.send(true[-1])
        if random.random() < 0.2:
            link.transport.rekey()
    good = link.peer.take()
    bad = mangle(good, kind, random)
    if bad == good:
        return
    same = next((i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), min(len(good), len(bad)))
    payloads = []
    failed = False
    while bad:
        size = random.choice((1, 7, 100, 5000))
        deliver(link.transport, bad[:size])
        bad = bad[size:]
        try:
            for event in events_of(link.transport):
                if isinstance(event, bytes):
                    payloads.append(event)
        except PysshError:
            failed = True
            break
    assert payloads == true[: len(payloads)]
    if not failed:  # then it waits for the rest of a packet that was cut off or whose length was made larger
        assert len(payloads) < len(true) or same >= len(good) - 400
    assert len(payloads) <= len(true)


@pytest.mark.parametrize("seed", range(60))
def test_packets_left_out_repeated_or_swapped(seed: int) -> None:
    random = Random(seed)
    link = connected(options_of(random))
    first = len(link.peer.packets)
    total = link.peer._sent_total
    true = []
    for number in range(8):
        true.append(channel_data(0, uint32(number) + bytes(random.randrange(50))))
        link.peer.send(true[-1])
    stream = link.peer.take()
    ends = [at - total for at in link.peer.packets[first:]] + [len(stream)]
    packets = [stream[a:b] for a, b in pairwise(ends)]
    at = random.randrange(7)
    action = seed % 3
    if action == 0:
        del packets[at]
    elif action == 1:
        packets.insert(at, packets[at])
        at += 1
    else:
        packets[at], packets[at + 1] = packets[at + 1], packets[at]
    deliver(link.transport, b"".join(packets) + stream)
    with pytest.raises(PysshError):
        link.drain()
    assert link.payloads() == true[:at]


@pytest.mark.parametrize("seed", range(40))
def test_rekeying(seed: int) -> None:
    random = Random(seed)
    link = connected(options_of(random))
    if random.random() < 0.5:
        link.transport.rekey()
    link.peer.rekey()
    try:
        turn = random.randrange(3)
        for at in range(4):
            link.to_peer()
            data = link.peer.take()
            if data and at == turn:
                data = mangle(data, random.choice(KINDS), random)
            deliver(link.transport, data)
            assert drain(link) == []
    except PysshError:
        return
    link.to_peer()
    assert link.transport.session_id == link.peer.session_id


class Stack:
    """A connection under keys with both upper layers on it, in the middle of things."""

    def __init__(self, random: Random) -> None:
        self.link = connected(options_of(random))
        self.auth = ua.UserAuth("user", self.link.transport.send)
        self.channels = ch.Channels(self.link.transport.send)
        self.auth.request_service()
        self.auth.none()
        self.auth.query_publickey("ssh-ed25519", b"blob")
        self.auth.keyboard_interactive()
        self.channel = self.channels.open("session")

    def deliver(self) -> int:
        """Hand everything up to its layer; returns how many messages that were."""
        self.link.to_client()
        payloads = self.link.payloads()
        self.link.events.clear()
        for payload in payloads:
            view = memoryview(payload)
            event = self.channels.receive(view) if payload[0] >= 80 else self.auth.receive(view)
            if isinstance(event, ch.Data):
                self.channels.consumed(event.channel, len(event.data), 1.0)
            elif isinstance(event, ua.AnswersWanted):
                self.auth.answer(["x"] * len(event.prompts))
            elif isinstance(event, ch.ChannelRequest) and event.want_reply:
                self.channels.reply(event.channel, False)
            elif isinstance(event, ch.GlobalRequest) and event.want_reply:
                self.channels.reply_global(False)
            elif isinstance(event, ch.OpenRequested):
                self.channels.refuse(event, 1, "no")
        self.link.to_peer()
        return len(payloads)


GOOD = [
    bytes((6,)) + text("ssh-userauth"),
    bytes((51,)) + text("publickey") + b"\0",
    bytes((52,)),
    bytes((53,)) + text("x") + text(""),
    bytes((60,)) + text("") * 3 + uint32(1) + text("?") + b"\0",
    bytes((91,)) + uint32(0) + uint32(1) + uint32(100) + uint32(100),
    bytes((93,)) + uint32(0) + uint32(100),
    channel_data(0, b"abc"),
    bytes((95,)) + uint32(0) + uint32(1) + string(b"abc"),
    bytes((98,)) + uint32(0) + text("exit-status") + b"\0" + uint32(1),
    bytes((80,)) + text("keepalive@openssh.com") + b"\1",
    bytes((90,)) + text("x11") + bytes(12),
    bytes((192,)) + string(b"ping"),
    bytes((4, 1)) + text("x") + text(""),
    ext_info({"a": b"b"}),
    ignore(b"x"),
]


@pytest.mark.parametrize("seed", range(30))
def test_any_messages_of_a_server_with_keys(seed: int) -> None:
    """A server that seals properly and says anything at all, to all layers as they stand on each other."""
    random = Random(seed)
    stack = Stack(random)
    taken = 0
    for _ in range(200):
        payload = random.choice(GOOD)
        if random.random() < 0.1:
            payload = mangle(payload, random.choice(KINDS), random) or payload
        elif random.random() < 0.05:
            payload = bytes((random.choice((*range(6, 20), *range(22, 30), *range(50, 256))),)) + payload[1:]
        stack.link.peer.send(payload)
        try:
            taken += stack.deliver()
        except PysshError:
            stack = Stack(random)
    assert taken > 20
