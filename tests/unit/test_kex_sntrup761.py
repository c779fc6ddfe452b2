"""sntrup761: known answers of libntruprime, a server side in plain lists, and shares that have to be refused."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.kex import KEX, KexResult
from pyssh_cli.protocol.kex import sntrup761 as s
from pyssh_cli.wire import Reader, string

P, Q = 761, 4591


# Apart from the code under test ----------------------------------------------------------------------------------


def plain_multiply(left: list[int], right: list[int], modulus: int) -> list[int]:
    """The product modulo x^761 - x - 1, coefficient by coefficient."""
    product = [0] * (2 * P)
    for i, factor in enumerate(left):
        if factor:
            for j, c in enumerate(right):
                product[i + j] += factor * c
    for i in range(2 * P - 1, P - 1, -1):
        product[i - P] += product[i]
        product[i - P + 1] += product[i]
    return [c % modulus for c in product[:P]]


def plain_encode(values: list[int], moduli: list[int]) -> bytes:
    """The encoding as the submission defines it, with a modulus for each value."""
    if len(values) == 1:
        out, value, modulus = b"", values[0], moduli[0]
        while modulus > 1:
            out, value, modulus = out + bytes((value & 255,)), value >> 8, (modulus + 255) >> 8
        return out
    out, merged, merged_moduli = b"", [], []
    for i in range(0, len(values) - 1, 2):
        value, modulus = values[i] + values[i + 1] * moduli[i], moduli[i] * moduli[i + 1]
        while modulus >= 16384:
            out, value, modulus = out + bytes((value & 255,)), value >> 8, (modulus + 255) >> 8
        merged.append(value)
        merged_moduli.append(modulus)
    if len(values) % 2:
        merged.append(values[-1])
        merged_moduli.append(moduli[-1])
    return out + plain_encode(merged, merged_moduli)


def plain_hash(prefix: int, data: bytes) -> bytes:
    return hashlib.sha512(bytes((prefix,)) + data).digest()[:32]


def encapsulate(public: bytes, short: list[int]) -> tuple[bytes, bytes]:
    """The server's side: the ciphertext of `short`, and the secret."""
    key = [c - 2295 for c in s.decode(public, Q)]
    assert plain_encode([c + 2295 for c in key], [Q] * P) == public
    centred = [(c + 2295) % Q - 2295 for c in plain_multiply(short, key, Q)]
    rounded = [min((c - 1, c, c + 1), key=lambda near: near % 3) for c in centred]
    encoded_short = bytes(sum((c + 1) << 2 * i for i, c in enumerate(short[at : at + 4])) for at in range(0, P, 4))
    confirmation = plain_hash(2, plain_hash(3, encoded_short) + plain_hash(4, public))
    ciphertext = plain_encode([(c + 2295) // 3 for c in rounded], [1531] * P) + confirmation
    return ciphertext, plain_hash(1, plain_hash(3, encoded_short) + ciphertext)


def secret_key(pair: s.KeyPair) -> bytes:
    """The secret key as the submission writes it."""
    small = s.encode_small(pair._f) + s.encode_small(pair._g_inverse)
    return small + pair.public + pair._fallback + pair._public_hash


def some_short(seed: int) -> list[int]:
    rng = random.Random(seed)
    short = [rng.choice((-1, 1)) for _ in range(286)] + [0] * (P - 286)
    rng.shuffle(short)
    return short


# Known answers ---------------------------------------------------------------------------------------------------


def chacha_stream(byte: int) -> Callable[[int], bytes]:
    """In place of urandom: the ChaCha20 stream under a key of that byte repeated."""
    stream = Cipher(ChaCha20(bytes((byte,)) * 32, bytes(16)), None).encryptor()
    return lambda size: stream.update(bytes(size))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> tuple[s.KeyPair, bytes, bytes]:
    """A key pair, ciphertext and secret from the random streams that libntruprime was given."""
    monkeypatch.setattr(s, "urandom", chacha_stream(0x22))
    pair = s.KeyPair()
    monkeypatch.setattr(s, "urandom", chacha_stream(0xA2))
    return pair, *encapsulate(pair.public, s.random_short())


def test_known_answers(known: tuple[s.KeyPair, bytes, bytes]) -> None:
    """SHA-512 of what libntruprime 20260717 makes of the same random bytes, and its secret."""
    pair, ciphertext, secret = known
    assert hashlib.sha512(pair.public).hexdigest() == (
        "bc92de57574ba7c825bf7f310546295278f0486e9e363a72c9dfc85df1d2a415"
        "8935c45e4feeb40c4ca091f9babdf0fdadd3d6e522e4e0313b98375a3415d503"
    )
    assert hashlib.sha512(secret_key(pair)).hexdigest() == (
        "015335858d8eb42323834c8ef4c87df577c260afc1faea0c7c2339031c8c7cf7"
        "89378f4abd8e466eaafbaf20ef8439c4d61755651413794c815bdb47545db067"
    )
    assert hashlib.sha512(ciphertext).hexdigest() == (
        "2e5f3e01f88df0b161159852daf2c360b7c1fc92207b8b01d0bfd9a1e6889083"
        "63032e791789e0e9e376695a965644a5a762c3045ba0866f13ef16d9e8514e56"
    )
    assert secret.hex() == "cd2045e12ff3cb8e277d8250ce720e293dc43f90f1435d242b09f96206bfefdf"
    assert pair.decapsulate(ciphertext) == secret


def test_known_answers_to_what_nobody_encapsulated(known: tuple[s.KeyPair, bytes, bytes]) -> None:
    """libntruprime's secrets for ciphertexts that were changed: implicit rejection."""
    pair, ciphertext, _ = known

    def changed(at: int, bits: int) -> bytes:
        return ciphertext[:at] + bytes((ciphertext[at] ^ bits,)) + ciphertext[at + 1 :]

    for given, secret in (
        (changed(1038, 1), "f03d66ff75cedf82d5995d6213fc2f01319b99c196df511c934b5d3895e3e67f"),
        (changed(0, 1), "29dde5fad812d21c84f0f90944541118039162cded20c72f1498fae96cb85b98"),
        (bytes(1039), "21f3272cef8967619f4b4e9239d4937cb4e3dc7d96db5ff4bd745d6bb4b81606"),
        (b"\xff" * 1039, "7d75962a76e96905fb639840e70993ef126f0358290fc90d634c515dfef382bb"),
        (changed(1006, 0x80), "c77053ae0ff0444ecc5ac19291a728efb183d67a999994a298e100623db51635"),
    ):
        assert pair.decapsulate(given).hex() == secret


@pytest.mark.parametrize("seed", range(5))
def test_any_key_pair_gets_the_secret(seed: int) -> None:
    pair = s.KeyPair()
    assert len(pair.public) == s.PUBLIC_KEY_SIZE
    ciphertext, secret = encapsulate(pair.public, some_short(seed))
    assert pair.decapsulate(ciphertext) == secret
    assert s.KeyPair().decapsulate(ciphertext) != secret


@pytest.mark.parametrize("size", [0, 1007, 1038, 1040])
def test_ciphertext_of_a_wrong_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"1039 bytes, not {size}"):
        s.KeyPair().decapsulate(bytes(size))


# Arithmetic ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", [3, Q])
def test_multiply(modulus: int) -> None:
    rng = random.Random(modulus)
    for left, small in (
        ([modulus - 1] * P, [-1] * P),  # the largest sums there are
        ([modulus - 1] * P, [1] * P),
        ([rng.randrange(modulus) for _ in range(P)], [rng.choice((-1, 0, 1)) for _ in range(P)]),
        ([0] * P, [1] * P),
    ):
        assert s.multiply(left, small, modulus) == plain_multiply(left, small, modulus)


ONE = [1] + [0] * (P - 1)


def test_inverse_modulo_q() -> None:
    rng = random.Random(1)
    cases = [some_short(seed) for seed in range(5)]
    cases += [[0] * i + [c] + [0] * (P - 1 - i) for i, c in ((0, 1), (0, -1), (1, 1), (400, -1), (760, 1))]
    cases += [[1] * P, [-1] * P, [0] * 300 + [1, 1] + [0] * 459]
    cases += [[rng.choice((-1, 0, 0, 1)) for _ in range(P)] for _ in range(3)]
    for small in cases:
        inverse = s.invert_mod_q([3 * c % Q for c in small])
        assert len(inverse) == P
        assert all(0 <= c < Q for c in inverse)
        assert s.multiply(inverse, list(small), Q) == [pow(3, -1, Q), *ONE[1:]]


def test_inverse_modulo_q_of_any_polynomial() -> None:
    rng = random.Random(2)
    for _ in range(3):
        values = [rng.randrange(Q) for _ in range(P)]
        assert plain_multiply(values, s.invert_mod_q(values), Q) == ONE
    assert s.invert_mod_q([5, *ONE[1:]]) == [pow(5, -1, Q), *ONE[1:]]
    sparse = [0] * P
    sparse[700], sparse[3] = 4590, 17  # quotients of high degree
    assert plain_multiply(sparse, s.invert_mod_q(sparse), Q) == ONE


def test_reduction_in_lanes_at_its_limits() -> None:
    largest = 3 * Q * (1 + 2 * (Q - 1))
    assert largest < 1 << 27
    for value in (0, 1, Q - 1, Q, Q + 1, 2 * Q, 3 * Q - 1, largest - 1, largest, (1 << 27) - 1, 29234 * Q - 1):
        reduced = s._reduce(s._all_lanes(value))
        assert reduced == s._all_lanes(reduced & 0xFFFFFFFF)
        assert (reduced & 0xFFFFFFFF) % Q == value % Q
        assert reduced & 0xFFFFFFFF < 3 * Q


def test_inverse_modulo_3() -> None:
    rng = random.Random(3)
    cases = [[rng.choice((-1, 0, 1)) for _ in range(P)] for _ in range(5)]
    cases += [ONE, [-1, *ONE[1:]], [0, 1] + [0] * 759, [0] * 760 + [1], [0] * 760 + [-1]]
    for small in cases:
        inverse = s.invert_mod_3(small)
        assert inverse is not None
        assert set(inverse) <= {-1, 0, 1}
        assert s.multiply([c % 3 for c in inverse], small, 3) == ONE


FACTOR = [1, 1, 0, 1, 1, 1, -1, 1, -1, 1, 0, 1, -1, -1, -1, -1, 1, 0, -1, -1]
"""The factor of lowest degree that x^761 - x - 1 has modulo 3."""


def test_what_has_no_inverse_modulo_3() -> None:
    assert s.invert_mod_3([0] * P) is None
    factor = FACTOR + [0] * (P - len(FACTOR))
    assert s.invert_mod_3(factor) is None
    for seed in range(3):
        multiple = s.multiply([c % 3 for c in some_short(seed)], factor, 3)
        assert s.invert_mod_3([c - 3 * (c == 2) for c in multiple]) is None


def test_key_pair_takes_another_g_when_one_has_no_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    good = s.random_small()
    tried = [[0] * P, good]
    monkeypatch.setattr(s, "random_small", lambda: tried.pop(0))
    pair = s.KeyPair()
    assert not tried
    assert s.multiply([c % 3 for c in pair._g_inverse], good, 3) == ONE


# Encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("modulus", "size"), [(Q, 1158), (1531, 1007)])
def test_encoding(modulus: int, size: int) -> None:
    rng = random.Random(modulus)
    for values in (
        [0] * P,
        [modulus - 1] * P,
        *([rng.randrange(modulus) for _ in range(P)] for _ in range(5)),
    ):
        encoded = s.encode(values, modulus)
        assert len(encoded) == size
        assert encoded == plain_encode(values, [modulus] * P)
        assert s.decode(encoded, modulus) == values
    for data in (b"\xff" * size, rng.randbytes(size)):  # nothing encodes to these
        assert all(0 <= c < modulus for c in s.decode(data, modulus))


def test_randomness() -> None:
    short, other = s.random_short(), s.random_short()
    assert short != other
    assert len(short) == P
    assert short.count(0) == P - 286
    assert 80 < short.count(1) < 206
    assert 80 < sum(map(abs, short[: P // 2])) < 206
    small = s.random_small()
    assert all(150 < small.count(c) < 360 for c in (-1, 0, 1))


# The method ------------------------------------------------------------------------------------------------------


def reply(share: bytes) -> memoryview:
    return memoryview(bytes((31,)) + string(b"host key") + string(share) + string(b"signature"))


@pytest.mark.parametrize("method", ["sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"])
def test_both_sides_agree(method: str) -> None:
    kex = KEX[method].begin(256)
    init = kex.start()
    assert init[0] == 30
    share = Reader(init, 1).string()
    assert len(share) == 1158 + 32
    x25519 = X25519PrivateKey.generate()
    ciphertext, secret = encapsulate(share[:1158], some_short(9))
    secret += x25519.exchange(X25519PublicKey.from_public_bytes(share[1158:]))
    theirs = ciphertext + x25519.public_key().public_bytes_raw()
    result = kex.receive(reply(theirs))
    assert isinstance(result, KexResult)
    assert (result.host_key, result.signature) == (b"host key", b"signature")
    assert result.hashed == string(share) + string(theirs)
    assert result.shared_secret == string(hashlib.sha512(secret).digest())


def test_refusals() -> None:
    kex = KEX["sntrup761x25519-sha512"].begin(256)
    kex.start()
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    for bad in (b"", public, bytes(1039), bytes(1038) + public, bytes(1040) + public):
        with pytest.raises(
            ProtocolError, match=f"Bad sntrup761x25519 reply: {len(bad)} bytes, not 1071"
        ) as caught:
            kex.receive(reply(bad))
        assert caught.value.reason == 3
    for point in (bytes(32), bytes((1,)) + bytes(31)):
        with pytest.raises(ProtocolError, match="small order"):
            kex.receive(reply(bytes(1039) + point))
    good = bytes(reply(bytes(1039) + public))
    for length in range(1, len(good), 97):
        with pytest.raises(ProtocolError):
            kex.receive(memoryview(good[:length]))
    with pytest.raises(ProtocolError, match="too many"):
        kex.receive(memoryview(good + b"\0"))
    for number in (30, 32, 49):
        with pytest.raises(ProtocolError, match="Unexpected"):
            kex.receive(memoryview(bytes((number,)) + good[1:]))
    result = kex.receive(memoryview(good))  # some secret, but no one's
    assert isinstance(result, KexResult)
    assert len(result.shared_secret) == 4 + 64
