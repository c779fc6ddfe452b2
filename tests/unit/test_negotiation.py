"""KEXINIT: its bytes, what both offers come to (RFC 4253 section 7.1), guesses, and nothing in common."""

from __future__ import annotations

from random import Random

import pytest

from pyssh_cli.errors import NegotiationError, ProtocolError
from pyssh_cli.log import printable
from pyssh_cli.protocol.negotiation import MAX_NAMES, Proposal, agree
from pyssh_cli.wire import boolean, name_list, uint32
from tests.unit.peer import ALL_CIPHERS, ALL_HOST_KEYS, ALL_KEX, ALL_MACS, client_offer

GCM, CHACHA, CTR = "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"


def proposal(
    kex: tuple[str, ...] = ("k1", "k2", "k3"),
    host_key: tuple[str, ...] = ("h1", "h2"),
    c2s: tuple[str, ...] = (GCM, CHACHA, CTR),
    s2c: tuple[str, ...] = (GCM, CHACHA, CTR),
    mac_c2s: tuple[str, ...] = ("m1", "m2"),
    mac_s2c: tuple[str, ...] = ("m1", "m2"),
    zip_c2s: tuple[str, ...] = ("none", "zlib@openssh.com"),
    zip_s2c: tuple[str, ...] = ("none", "zlib@openssh.com"),
    guess: bool = False,
) -> Proposal:
    return Proposal(kex, host_key, c2s, s2c, mac_c2s, mac_s2c, zip_c2s, zip_s2c, guess)


def test_encoding() -> None:
    encoded = proposal(guess=True).encode()
    assert encoded[0] == 20
    lists = ("k1,k2,k3", "h1,h2", *[f"{GCM},{CHACHA},{CTR}"] * 2, *["m1,m2"] * 2, *["none,zlib@openssh.com"] * 2)
    expected = b"".join(name_list((names,)) for names in lists) + bytes(8) + b"\1" + bytes(4)
    assert encoded[17:] == expected
    assert Proposal.parse(encoded) == proposal(guess=True)
    assert encoded[1:17] != proposal().encode()[1:17]


def test_every_shorter_kexinit_is_refused() -> None:
    encoded = proposal().encode()
    for length in range(1, len(encoded)):
        with pytest.raises(ProtocolError):
            Proposal.parse(encoded[:length])
    with pytest.raises(ProtocolError, match="too many"):
        Proposal.parse(encoded + b"\0")


def test_absurd_lists_are_refused() -> None:
    many = tuple(f"k{i}" for i in range(MAX_NAMES))
    assert Proposal.parse(proposal(kex=many).encode()).kex == many
    with pytest.raises(ProtocolError, match="absurd"):
        Proposal.parse(proposal(kex=(*many, "one more")).encode())
    languages = name_list(()) * 8 + name_list(many + many) + name_list(())
    with pytest.raises(ProtocolError, match="absurd"):
        Proposal.parse(bytes((20,)) + bytes(16) + languages + boolean(False) + uint32(0))


def test_the_clients_order_decides() -> None:
    server = proposal(("k3", "k2"), ("h2", "h1"), (CTR, CHACHA), (CHACHA,), ("m2", "m1"), ("m2",))
    a = agree(proposal(), server)
    assert (a.kex, a.host_key) == ("k2", "h1")
    assert (a.cipher_c2s, a.cipher_s2c) == (CHACHA, CHACHA)
    assert (a.mac_c2s, a.mac_s2c) == (None, None)
    assert (a.compression_c2s, a.compression_s2c) == ("none", "none")


def test_directions_are_apart() -> None:
    server = proposal(
        c2s=(CTR,), s2c=(GCM,), mac_c2s=("m2",), mac_s2c=(), zip_c2s=("zlib@openssh.com",), zip_s2c=("none",)
    )
    a = agree(proposal(), server)
    assert (a.cipher_c2s, a.mac_c2s, a.compression_c2s) == (CTR, "m2", "zlib@openssh.com")
    assert (a.cipher_s2c, a.mac_s2c, a.compression_s2c) == (GCM, None, "none")


def test_choice_is_the_rule_for_any_lists() -> None:
    random = Random(12)
    names = [f"n{i}" for i in range(6)]
    for _ in range(300):
        ours, theirs = (tuple(random.sample(names, random.randint(1, 6))) for _ in range(2))
        common = [name for name in ours if name in theirs]
        if common:
            assert agree(proposal(kex=ours), proposal(kex=theirs)).kex == common[0]
        else:
            with pytest.raises(NegotiationError):
                agree(proposal(kex=ours), proposal(kex=theirs))


@pytest.mark.parametrize(
    ("server", "what", "theirs"),
    [
        (proposal(kex=("x1", "x2")), "key exchange method", "x1,x2"),
        (proposal(host_key=("x1",)), "host key type", "x1"),
        (proposal(c2s=("x1", "x2")), "cipher", "x1,x2"),
        (proposal(s2c=("x1",)), "cipher", "x1"),
        (proposal(c2s=(CTR,), mac_c2s=("x1",)), "MAC", "x1"),
        (proposal(s2c=(CTR,), mac_s2c=("x1",)), "MAC", "x1"),
        (proposal(zip_c2s=("zlib",)), "compression method", "zlib"),
        (proposal(zip_s2c=("zlib",)), "compression method", "zlib"),
        (proposal(kex=()), "key exchange method", "(none)"),
    ],
)
def test_nothing_in_common(server: Proposal, what: str, theirs: str) -> None:
    with pytest.raises(NegotiationError) as caught:
        agree(proposal(), server)
    assert str(caught.value) == f"no matching {what} found. Their offer: {theirs}"
    assert (caught.value.what, printable(",".join(caught.value.theirs)) or "(none)") == (what, theirs)
    assert caught.value.reason == 3


def test_their_names_cannot_forge_lines() -> None:
    with pytest.raises(NegotiationError) as caught:
        agree(proposal(), proposal(kex=("a\nPassword:", "\x1b[2J")))
    assert str(caught.value).endswith("Their offer: a\\012Password:,\\033[2J")


MARKS = ("ext-info-c", "kex-strict-c-v00@openssh.com", "ext-info-s", "kex-strict-s-v00@openssh.com")


def test_marks_are_never_methods() -> None:
    ours = client_offer().proposal(first=True)
    assert ours.kex == (*ALL_KEX, "ext-info-c", "kex-strict-c-v00@openssh.com")
    with pytest.raises(NegotiationError) as caught:
        agree(ours, ours._replace(kex=MARKS))
    assert caught.value.what == "key exchange method"
    mirrored = agree(ours, ours._replace(kex=(*MARKS, ALL_KEX[-1])))
    assert mirrored.kex == ALL_KEX[-1]


def test_marks_only_in_the_first_kexinit() -> None:
    later = client_offer().proposal(first=False)
    assert later.kex == ALL_KEX
    assert (later.host_key, later.cipher_c2s, later.mac_s2c) == (ALL_HOST_KEYS, ALL_CIPHERS, ALL_MACS)
    assert later.guess_follows is False


@pytest.mark.parametrize(
    ("server", "wrong"),
    [
        (proposal(guess=True), False),
        (proposal(guess=False), False),
        (proposal(kex=("k2", "k1"), guess=True), True),
        (proposal(kex=("k2", "k1"), guess=False), False),
        (proposal(host_key=("h2", "h1"), guess=True), True),
        (proposal(kex=("unknown", "k1"), guess=True), True),
        (proposal(c2s=(CTR, GCM), guess=True), False),  # only kex and host key make a guess
    ],
)
def test_guesses(server: Proposal, wrong: bool) -> None:
    assert agree(proposal(), server).guess_was_wrong is wrong
