"""Key exchange methods against a server side computed apart from them, and shares that have to be refused."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.kex import DEFAULT_KEX, KEX, KexResult
from pyssh_cli.protocol.kex.dh import GENERATOR, PRIMES
from pyssh_cli.wire import Reader, mpint, string
from tests.unit.peer import ALL_KEX, server_kex, uncompressed

HASHES = {
    "mlkem768x25519-sha256": "sha256",
    "sntrup761x25519-sha512": "sha512",
    "sntrup761x25519-sha512@openssh.com": "sha512",
    "curve25519-sha256": "sha256",
    "curve25519-sha256@libssh.org": "sha256",
    "ecdh-sha2-nistp256": "sha256",
    "ecdh-sha2-nistp384": "sha384",
    "ecdh-sha2-nistp521": "sha512",
    "diffie-hellman-group-exchange-sha256": "sha256",
    "diffie-hellman-group16-sha512": "sha512",
    "diffie-hellman-group18-sha512": "sha512",
    "diffie-hellman-group14-sha256": "sha256",
    "diffie-hellman-group-exchange-sha1": "sha1",
    "diffie-hellman-group14-sha1": "sha1",
    "diffie-hellman-group1-sha1": "sha1",
}


def reply(share: bytes) -> memoryview:
    """The server's message with that share, encoded already."""
    return memoryview(bytes((31,)) + string(b"host key") + share + string(b"signature"))


def test_table() -> None:
    assert {name: spec.hash_name for name, spec in KEX.items()} == HASHES
    assert list(KEX) == list(HASHES)
    assert set(ALL_KEX) < set(KEX)
    assert all(spec.name == name for name, spec in KEX.items())


def test_default_is_post_quantum_first_and_without_sha1() -> None:
    assert [name for name in KEX if name not in DEFAULT_KEX] == list(KEX)[-3:]
    assert tuple(KEX)[:-3] == DEFAULT_KEX
    assert not any(KEX[name].hash_name == "sha1" for name in DEFAULT_KEX)
    assert [name for name, spec in KEX.items() if spec.post_quantum] == list(DEFAULT_KEX[:3])


@pytest.mark.parametrize("method", ALL_KEX)
def test_both_sides_agree(method: str) -> None:
    secrets = set()
    for _ in range(2):
        kex = KEX[method].begin(256)
        init = kex.start()
        assert init[0] == m.KEX_FIRST
        server = server_kex(method, init)
        assert server.hash_name == HASHES[method]
        result = kex.receive(reply(server.server_share))
        assert isinstance(result, KexResult)
        assert result.host_key == b"host key"
        assert result.signature == b"signature"
        assert result.hashed == server.client_share + server.server_share
        assert result.shared_secret == server.shared_secret
        secrets.add(result.shared_secret)
    assert len(secrets) == 2


def test_a_result_shows_no_secret() -> None:
    result = KexResult(b"key", b"signature", b"hashed", b"the secret")
    assert "secret" not in repr(result)


def test_shared_secret_with_leading_zeros() -> None:
    """About every 256th secret begins with a zero byte, which an mpint leaves out (RFC 8731 section 3.1)."""
    seen = False
    for _ in range(4000):
        kex = KEX["curve25519-sha256"].begin(256)
        server = server_kex("curve25519-sha256", kex.start())
        result = kex.receive(reply(server.server_share))
        assert isinstance(result, KexResult)
        assert result.shared_secret == server.shared_secret
        if len(result.shared_secret) < 4 + 32:
            seen = True
            break
    assert seen


# The groups of RFC 3526 ------------------------------------------------------------------------------------------


def pi_bits(bits: int) -> int:
    """floor(pi * 2^bits), by Machin's formula in integers."""
    guard = 64
    one = 1 << (bits + guard)

    def arctan_of_inverse(n: int) -> int:
        total = term = one // n
        k = 1
        while term:
            term //= n * n
            k += 2
            total += -(term // k) if k % 4 == 3 else term // k
        return total

    return (4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))) >> guard


@pytest.mark.parametrize(
    ("group", "bits", "offset"), [(14, 2048, 124476), (16, 4096, 240904), (18, 8192, 4743158)]
)
def test_primes(group: int, bits: int, offset: int) -> None:
    """RFC 3526: 2^bits - 2^(bits-64) - 1 + 2^64 * (floor(2^(bits-130) * pi) + offset)."""
    prime = 2**bits - 2 ** (bits - 64) - 1 + 2**64 * (pi_bits(bits - 130) + offset)
    assert PRIMES[group] == prime
    assert prime.bit_length() == bits


def test_prime_of_group_1() -> None:
    """RFC 2409 section 6.2: 2^1024 - 2^960 - 1 + 2^64 * (floor(2^894 * pi) + 129093)."""
    assert PRIMES[1] == 2**1024 - 2**960 - 1 + 2**64 * (pi_bits(894) + 129093)


@pytest.mark.parametrize("group", [1, 14, 16])
def test_primes_are_safe(group: int) -> None:
    prime = PRIMES[group]
    assert pow(2, prime - 1, prime) == 1
    assert pow(3, (prime - 1) // 2 - 1, (prime - 1) // 2) == 1
    assert GENERATOR == 2
    assert pow(2, (prime - 1) // 2, prime) == 1  # 2 generates the subgroup of prime order


DH = [
    ("diffie-hellman-group1-sha1", 1),
    ("diffie-hellman-group14-sha1", 14),
    ("diffie-hellman-group14-sha256", 14),
    ("diffie-hellman-group16-sha512", 16),
    ("diffie-hellman-group18-sha512", 18),
]


@pytest.mark.parametrize(("method", "group"), DH)
def test_dh_share_out_of_range(method: str, group: int) -> None:
    prime = PRIMES[group]
    kex = KEX[method].begin(256)
    share = Reader(kex.start(), 1).mpint()
    assert 1 < share < prime - 1
    for bad in (0, 1, prime - 1, prime, prime + 1, prime + 2, prime * 2, 1 << 9000):
        with pytest.raises(ProtocolError, match="out of range") as caught:
            kex.receive(reply(mpint(bad)))
        assert caught.value.reason == m.DISCONNECT_KEY_EXCHANGE_FAILED
    for bad in (2, 3, 1 << 1000, 1 | 2 << 300 | 4 << 900):
        with pytest.raises(ProtocolError, match=r"only \d bits are set"):
            kex.receive(reply(mpint(bad)))
    for raw in (b"\xff", b"\0\1", b"\0"):
        with pytest.raises(ProtocolError, match="mpint"):
            kex.receive(reply(string(raw)))


@pytest.mark.parametrize(("method", "group"), DH[:2])
def test_both_sides_agree_with_sha1(method: str, group: int) -> None:
    kex = KEX[method].begin(256)
    ours = Reader(kex.start(), 1).mpint()
    result = kex.receive(reply(mpint(pow(2, 1 << 255 | 5, PRIMES[group]))))
    assert isinstance(result, KexResult)
    assert result.shared_secret == mpint(pow(ours, 1 << 255 | 5, PRIMES[group]))


def test_dh_exponents_are_large_and_differ() -> None:
    kexes: list[Any] = [KEX[method].begin(256) for method, _ in DH for _ in range(2)]
    secrets = [kex._share._secret for kex in kexes]
    assert [secret.bit_length() for secret in secrets] == [512] * 8 + [768] * 2
    assert len(set(secrets)) == 10


# Curves ----------------------------------------------------------------------------------------------------------

# Points of small order on Curve25519 and its twist (RFC 7748 section 6.1; the list is Bernstein's).
SMALL_ORDER = [
    bytes(32),
    bytes((1,)) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]


@pytest.mark.parametrize("method", ["curve25519-sha256", "curve25519-sha256@libssh.org"])
def test_curve25519_refusals(method: str) -> None:
    kex = KEX[method].begin(256)
    assert len(kex.start()) == 1 + 4 + 32
    for point in SMALL_ORDER:
        with pytest.raises(ProtocolError, match="small order") as caught:
            kex.receive(reply(string(point)))
        assert caught.value.reason == 3
    for size in (0, 31, 33, 64):
        with pytest.raises(ProtocolError, match=f"{size} bytes, not 32"):
            kex.receive(reply(string(b"\x09" * size)))


@pytest.mark.parametrize(("method", "curve"), [
    ("ecdh-sha2-nistp256", ec.SECP256R1()),
    ("ecdh-sha2-nistp384", ec.SECP384R1()),
    ("ecdh-sha2-nistp521", ec.SECP521R1()),
])  # fmt: skip
def test_ecdh_refusals(method: str, curve: ec.EllipticCurve) -> None:
    kex = KEX[method].begin(256)
    good = uncompressed(ec.generate_private_key(curve).public_key())
    assert len(Reader(kex.start(), 1).string()) == len(good)
    x = good[1 : 1 + len(good) // 2]
    bad = [
        b"",
        b"\0",  # the point at infinity
        b"\0" * len(good),
        good[:-1],
        good + b"\0",
        bytes((2 + (good[-1] & 1),)) + x,  # compressed: RFC 5656 leaves it to the two sides, nobody sends it
        b"\x06" + good[1:],  # hybrid
        good[:-1] + bytes((good[-1] ^ 1,)),  # not on the curve
        b"\x04" + bytes(len(good) - 1),
        b"\x04" + b"\xff" * (len(good) - 1),
    ]
    for share in bad:
        with pytest.raises(ProtocolError, match="Bad ECDH public key") as caught:
            kex.receive(reply(string(share)))
        assert caught.value.reason == 3
    assert isinstance(kex.receive(reply(string(good))), KexResult)


def test_mlkem_refusals() -> None:
    kex = KEX["mlkem768x25519-sha256"].begin(256)
    share = Reader(kex.start(), 1).string()
    assert len(share) == 1184 + 32
    secret, ciphertext = MLKEM768PublicKey.from_public_bytes(share[:1184]).encapsulate()
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    for bad in (b"", ciphertext, public, ciphertext + public[:-1], ciphertext + public + b"\0"):
        with pytest.raises(ProtocolError, match="Bad mlkem768x25519 reply"):
            kex.receive(reply(string(bad)))
    for point in SMALL_ORDER:
        with pytest.raises(ProtocolError, match="small order"):
            kex.receive(reply(string(ciphertext + point)))
    result = kex.receive(reply(string(bytes(1088) + public)))  # implicit rejection: some secret, but not the one
    assert isinstance(result, KexResult)
    assert len(result.shared_secret) == 4 + 32
    assert result.shared_secret != string(sha256(secret).digest())


@pytest.mark.parametrize("method", ALL_KEX[:-2])
def test_malformed_replies(method: str) -> None:
    kex = KEX[method].begin(256)
    good = bytes(reply(server_kex(method, kex.start()).server_share))
    for length in range(1, len(good), 7):
        with pytest.raises(ProtocolError):
            kex.receive(memoryview(good[:length]))
    with pytest.raises(ProtocolError, match="too many"):
        kex.receive(memoryview(good + b"\0"))
    for number in (30, 32, 49):
        with pytest.raises(ProtocolError, match="Unexpected"):
            kex.receive(memoryview(bytes((number,)) + good[1:]))
    assert isinstance(kex.receive(memoryview(good)), KexResult)
