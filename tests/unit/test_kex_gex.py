"""Group exchange (RFC 4419): sizes, groups and public values that have to be refused; and what is begun early."""

from __future__ import annotations

from hashlib import new

import pytest

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.kex import KEX, Kex, KexResult, sntrup761x25519
from pyssh_cli.protocol.kex.dh import PRIMES
from pyssh_cli.protocol.kex.gex import group_bits
from pyssh_cli.protocol.key_exchange import KeyExchange
from pyssh_cli.protocol.negotiation import Proposal
from pyssh_cli.wire import Reader, mpint, string, uint32
from tests.unit.peer import Link, client_offer

METHODS = ("diffie-hellman-group-exchange-sha256", "diffie-hellman-group-exchange-sha1")


def group(prime: int, generator: int = 2) -> memoryview:
    """SSH_MSG_KEX_DH_GEX_GROUP."""
    return memoryview(bytes((31,)) + mpint(prime) + mpint(generator))


def reply(public: int) -> memoryview:
    """SSH_MSG_KEX_DH_GEX_REPLY."""
    return memoryview(bytes((33,)) + string(b"host key") + mpint(public) + string(b"signature"))


def in_group(kex: Kex, prime: int, generator: int = 2) -> int:
    """Bring a run as far as its INIT; the client's public value."""
    kex.start()
    answer = kex.receive(group(prime, generator))
    assert isinstance(answer, bytes)
    assert answer[0] == 32
    reader = Reader(answer, 1)
    public = reader.mpint()
    reader.end()
    return public


def test_sizes_go_with_the_strength_of_the_keys() -> None:
    wanted = {0: 2048, 112: 2048, 113: 3072, 128: 3072, 129: 7680, 192: 7680, 193: 8192, 256: 8192, 512: 8192}
    assert {strength: group_bits(strength) for strength in wanted} == wanted


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("prime", "generator"), [(PRIMES[14], 2), (PRIMES[16], 5), (PRIMES[18], 2)])
def test_both_sides_agree(method: str, prime: int, generator: int) -> None:
    kex = KEX[method].begin(128)
    assert kex.start() == bytes((34,)) + uint32(2048) + uint32(3072) + uint32(8192)
    public = in_group(kex, prime, generator)
    secret = 1 << 255 | 12345
    theirs = pow(generator, secret, prime)
    result = kex.receive(reply(theirs))
    assert isinstance(result, KexResult)
    assert (result.host_key, result.signature) == (b"host key", b"signature")
    assert result.hashed == (
        uint32(2048) + uint32(3072) + uint32(8192)
        + mpint(prime) + mpint(generator) + mpint(public) + mpint(theirs)
    )  # fmt: skip
    assert result.shared_secret == mpint(pow(public, secret, prime))


@pytest.mark.parametrize("prime", [0, 1, 23, PRIMES[1], (1 << 2047) - 1, (1 << 8192) + 1])
def test_group_of_a_size_out_of_bounds(prime: int) -> None:
    kex = KEX[METHODS[0]].begin(256)
    kex.start()
    with pytest.raises(ProtocolError, match=f"a prime of {prime.bit_length()} bits, not 2048 to 8192") as caught:
        kex.receive(group(prime))
    assert caught.value.reason == 3


def test_bad_groups() -> None:
    prime = PRIMES[14]
    kex = KEX[METHODS[0]].begin(256)
    kex.start()
    with pytest.raises(ProtocolError, match="its prime is even"):
        kex.receive(group(prime - 1))
    for generator in (0, 1, prime - 1, prime, prime + 1, prime + 2):
        with pytest.raises(ProtocolError, match="its generator is out of range"):
            kex.receive(group(prime, generator))
    good = bytes(group(prime))
    for length in range(1, len(good), 13):
        with pytest.raises(ProtocolError):
            kex.receive(memoryview(good[:length]))
    with pytest.raises(ProtocolError, match="too many"):
        kex.receive(memoryview(good + b"\0"))
    with pytest.raises(ProtocolError, match="mpint"):
        kex.receive(memoryview(bytes((31,)) + string(b"\xff" * 256) + mpint(2)))
    for number in (30, 32, 33, 34, 49):
        with pytest.raises(ProtocolError, match="Unexpected"):
            kex.receive(memoryview(bytes((number,)) + good[1:]))


def test_bad_public_values() -> None:
    prime = PRIMES[14]
    kex = KEX[METHODS[0]].begin(256)
    in_group(kex, prime)
    for bad in (0, 1, prime - 1, prime, prime + 1, 1 << 9000):
        with pytest.raises(ProtocolError, match="out of range"):
            kex.receive(reply(bad))
    for bad in (2, 3, 1 << 2000, 7 << 100):
        with pytest.raises(ProtocolError, match="bits are set"):
            kex.receive(reply(bad))
    good = bytes(reply(pow(2, 1 << 255 | 3, prime)))
    for length in range(1, len(good), 13):
        with pytest.raises(ProtocolError):
            kex.receive(memoryview(good[:length]))
    for number in (30, 31, 32, 34):  # a second group, too
        with pytest.raises(ProtocolError, match="Unexpected"):
            kex.receive(memoryview(bytes((number,)) + good[1:]))
    assert isinstance(kex.receive(memoryview(good)), KexResult)


# In a key exchange -----------------------------------------------------------------------------------------------


def proposal(kex: str, cipher: str = "aes128-ctr", mac: str = "hmac-sha2-256") -> Proposal:
    """An offer with one algorithm of each sort."""
    each = (cipher,), (cipher,), (mac,), (mac,), ("none",), ("none",)
    return Proposal((kex,), ("ssh-ed25519",), *each)


@pytest.mark.parametrize(("cipher", "mac", "preferred"), [
    ("aes128-gcm@openssh.com", "hmac-sha2-256", 3072),  # its MAC is not used
    ("aes256-gcm@openssh.com", "hmac-sha2-256", 8192),
    ("aes128-ctr", "hmac-sha1", 7680),  # a key of 160 bits
    ("aes128-ctr", "hmac-sha2-256", 8192),
    ("aes192-ctr", "hmac-sha1", 7680),
])  # fmt: skip
def test_preferred_size_follows_from_what_was_agreed(cipher: str, mac: str, preferred: int) -> None:
    offer = proposal(METHODS[0], cipher, mac)
    exchange = KeyExchange(offer)
    first = exchange.begin(memoryview(offer.encode()), offer)
    assert first == bytes((34,)) + uint32(2048) + uint32(preferred) + uint32(8192)


def test_exchange_hash_over_all_messages() -> None:
    offer = proposal(METHODS[0])
    exchange = KeyExchange(offer)
    server_kexinit = offer.encode()
    sizes = exchange.begin(memoryview(server_kexinit), offer)[1:]
    prime = PRIMES[14]
    answer = exchange.receive(group(prime), b"client", b"server")
    assert answer is not None
    theirs = pow(2, 1 << 255 | 77, prime)
    assert exchange.receive(reply(theirs), b"client", b"server") is None
    shared = mpint(pow(Reader(answer, 1).mpint(), 1 << 255 | 77, prime))
    parts = (b"client", b"server", exchange.client_kexinit, server_kexinit, b"host key")
    hashed = b"".join(map(string, parts)) + sizes + mpint(prime) + mpint(2) + answer[1:] + mpint(theirs) + shared
    assert exchange.exchange_hash == new("sha256", hashed).digest()


# Beginning before the server has spoken --------------------------------------------------------------------------


class Counted(sntrup761x25519.Sntrup761X25519):
    """Tells how many were begun."""

    begun = 0

    def __init__(self) -> None:
        Counted.begun += 1
        super().__init__()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    Counted.begun = 0
    monkeypatch.setattr(sntrup761x25519, "Sntrup761X25519", Counted)
    return Counted


SLOW = ("sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com")


@pytest.mark.parametrize("chosen", SLOW)
def test_prepared_method_is_used_once(counted: type[Counted], chosen: str) -> None:
    offer = proposal("curve25519-sha256")._replace(kex=("curve25519-sha256", *SLOW))
    exchange = KeyExchange(offer)
    exchange.prepare()
    assert counted.begun == 1
    server = offer._replace(kex=(chosen,))
    first = exchange.begin(memoryview(server.encode()), server)
    assert counted.begun == 1
    assert len(first) == 1 + 4 + 1158 + 32
    again = KeyExchange(offer)
    assert again.begin(memoryview(server.encode()), server) != first
    assert counted.begun == 2


def test_prepared_method_is_dropped_when_another_is_chosen(counted: type[Counted]) -> None:
    offer = proposal("curve25519-sha256")._replace(kex=("curve25519-sha256", *SLOW))
    exchange = KeyExchange(offer)
    exchange.prepare()
    server = proposal("curve25519-sha256")
    assert len(exchange.begin(memoryview(server.encode()), server)) == 1 + 4 + 32
    assert counted.begun == 1


def test_nothing_is_prepared_that_is_quick_or_not_offered(counted: type[Counted]) -> None:
    offer = proposal("curve25519-sha256")._replace(kex=("curve25519-sha256", METHODS[0], "ext-info-c"))
    exchange = KeyExchange(offer)
    exchange.prepare()
    assert exchange._prepared is None
    assert counted.begun == 0


def test_transport_prepares_only_while_the_server_is_waited_for(counted: type[Counted]) -> None:
    link = Link(offer=client_offer(kex=("curve25519-sha256", *SLOW)))
    link.transport.prepare()
    assert counted.begun == 0  # nothing is under way yet
    link.transport.start()
    link.peer.start()
    link.transport.prepare()
    assert counted.begun == 1
    link.pump()
    assert link.transport.agreement is not None
    link.transport.prepare()
    assert counted.begun == 1
