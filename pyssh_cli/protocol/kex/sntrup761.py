"""sntrup761, Streamlined NTRU Prime with p = 761: a key pair, and the secret that came to it in a ciphertext.

The scheme is that of the NTRU Prime submission (ntruprime.cr.yp.to), round 3, which is also what
draft-josefsson-ntruprime-streamlined tells. Only what a client needs is here: encapsulation is the server's.

A polynomial is a list of its 761 coefficients, the constant one first. To multiply, the coefficients are laid into
lanes of 32 bits of one integer: Python's multiplication of integers is then that of polynomials.

The time all this takes depends on the secrets; in Python that cannot be helped. A key pair is made for one
exchange, used once and forgotten, so that nobody can measure the same secret twice.
"""

from __future__ import annotations

from hashlib import sha512
from hmac import compare_digest
from os import urandom
from struct import pack, unpack
from typing import NamedTuple

P = 761
"""Coefficients of a polynomial. The ring is that of the polynomials modulo x^P - x - 1."""
Q = 4591
"""The modulus of the coefficients of public keys and ciphertexts."""
WEIGHT = 286
"""How many coefficients of a short polynomial are not 0."""

PUBLIC_KEY_SIZE = 1158
CIPHERTEXT_SIZE = 1039
ROUNDED_SIZE = 1007
"""Bytes of a ciphertext before the hash that confirms it."""
SMALL_SIZE = 191
"""Bytes of an encoded polynomial with coefficients -1, 0 and 1."""
HASH_SIZE = 32

_HALF = (Q - 1) // 2
_ROUNDED = (Q + 2) // 3
"""How many values a rounded coefficient can have: the multiples of 3 from -_HALF to _HALF."""

_LANE = 32
_LANE_MASK = (1 << _LANE) - 1
_LAYOUT = f"<{P}I"
_SIZE = P * 4


# The ring --------------------------------------------------------------------------------------------------------


def _all_lanes(value: int, count: int = P) -> int:
    return int.from_bytes(value.to_bytes(4, "little") * count, "little")


_ONES = _all_lanes(1)


def multiply(left: list[int], small: list[int], modulus: int) -> list[int]:
    """The product in the ring, coefficients from 0 to modulus - 1.

    Those of `left` are in that range as well, those of `small` are -1, 0 and 1; `modulus` is at most Q.
    """
    packed = int.from_bytes(pack(_LAYOUT, *left), "little")
    signed = int.from_bytes(pack(_LAYOUT, *[c + 1 for c in small]), "little") - _ONES
    # A coefficient of the product lies between -P and P times the modulus: what is added keeps it from borrowing.
    product = packed * signed + _all_lanes(P * modulus, 2 * P - 1)
    low, high = product & ((1 << P * _LANE) - 1), product >> P * _LANE
    folded = low + high + (high << _LANE)  # x^P is x + 1; a lane holds less than 6 * P * Q here
    return [c % modulus for c in unpack(_LAYOUT, folded.to_bytes(_SIZE, "little"))]


def _bits(values: list[int], wanted: int) -> int:
    """Bit i is set where coefficient i is `wanted`."""
    return int("".join(["1" if value == wanted else "0" for value in reversed(values)]), 2)


def invert_mod_3(small: list[int]) -> list[int] | None:
    """The inverse in the ring modulo 3, coefficients -1, 0 and 1 on both sides; None where there is none.

    Euclid's algorithm. The coefficients are in two integers, a bit each: one for those that are 1, one for those
    that are -1. The cofactor stands below its polynomial in the same two, as it is treated in the same way.
    """
    below = P + 7
    a_plus, a_minus = 1 << (below + P), 0b11 << below
    b_plus, b_minus = _bits(small, 1) << below | 1, _bits(small, -1) << below
    a_length, b_length = below + P + 1, max(b_plus, b_minus).bit_length()
    while b_length > below + 1:
        distance = a_length - b_length
        plus, minus = b_plus << distance, b_minus << distance
        if (a_plus > a_minus) == (b_plus > b_minus):
            plus, minus = minus, plus
        mixed = (a_plus | minus) ^ (a_minus | plus)
        a_plus, a_minus = (a_minus | minus) ^ mixed, (a_plus | plus) ^ mixed
        a_length = max(a_plus, a_minus).bit_length()
        if a_length < b_length:
            a_plus, a_minus, b_plus, b_minus = b_plus, b_minus, a_plus, a_minus
            a_length, b_length = b_length, a_length
    if b_length <= below:
        return None
    if b_minus > b_plus:
        b_plus, b_minus = b_minus, b_plus
    ones, minus_ones = (f"{plane & ((1 << P) - 1):0{P}b}"[::-1] for plane in (b_plus, b_minus))
    return [(one == "1") - (minus_one == "1") for one, minus_one in zip(ones, minus_ones, strict=True)]


_SHIFT_1, _FACTOR, _SHIFT_2 = 12, (1 << 29) // Q, 17
_MASK_1 = _all_lanes(_LANE_MASK >> _SHIFT_1, P + 1)
_MASK_2 = _all_lanes(_LANE_MASK >> _SHIFT_2, P + 1)


def _reduce(packed: int) -> int:
    """Bring each lane, below 2^27, below 3 * Q: Barrett's reduction in all lanes at once.

    What a linear quotient adds up to, 3 * Q * (1 + 2 * (Q - 1)), is below 2^27 again.
    """
    return packed - Q * (((((packed >> _SHIFT_1) & _MASK_1) * _FACTOR) >> _SHIFT_2) & _MASK_2)


def invert_mod_q(values: list[int]) -> list[int]:
    """The inverse in the ring modulo Q, which is a field: of anything but 0. Coefficients from 0 to Q - 1.

    Euclid's algorithm on packed polynomials, the lanes not wholly reduced (see `_reduce`).
    """
    a, a_degree = 1 << P * _LANE | (Q - 1) << _LANE | (Q - 1), P
    b, b_degree = int.from_bytes(pack(_LAYOUT, *values), "little"), P - 1
    while not values[b_degree]:
        b_degree -= 1
    a_cofactor, b_cofactor = 0, 1
    while b_degree:
        inverse = -pow(b >> b_degree * _LANE, -1, Q)
        if a_degree == b_degree + 1:  # nearly always: the quotient is linear, taken in one step
            top_a, top_b = a >> b_degree * _LANE, b >> (b_degree - 1) * _LANE
            linear = (top_a >> _LANE) * inverse % Q
            constant = ((top_a & _LANE_MASK) + linear * (top_b & _LANE_MASK)) * inverse % Q
            quotient = linear << _LANE | constant
            a_degree = b_degree
        else:
            quotient = (a >> a_degree * _LANE) * inverse % Q << (a_degree - b_degree) * _LANE
        a = _reduce((a + quotient * b) & ((1 << a_degree * _LANE) - 1))
        a_cofactor = _reduce(a_cofactor + quotient * b_cofactor)
        a_degree -= 1
        while not (a >> a_degree * _LANE) % Q:
            a &= (1 << a_degree * _LANE) - 1
            a_degree -= 1
        if a_degree < b_degree:
            a, a_degree, a_cofactor, b, b_degree, b_cofactor = b, b_degree, b_cofactor, a, a_degree, a_cofactor
    scale = pow(b, -1, Q)
    return [c * scale % Q for c in unpack(_LAYOUT, b_cofactor.to_bytes(_SIZE, "little"))]


# Encodings -------------------------------------------------------------------------------------------------------


class _Level(NamedTuple):
    """One level of the encoding: `length` values below `modulus`, the last one below `last`; and how many bytes
    go out for a pair of them, and for the last pair."""

    modulus: int
    last: int
    length: int
    pair_bytes: int
    last_pair_bytes: int


_LIMIT = 1 << 14


def _shed(modulus: int) -> tuple[int, int]:
    """How many bytes a value below `modulus` gives away to get below the limit, and what it is below then."""
    size = 0
    while modulus >= _LIMIT:
        modulus = (modulus + 255) >> 8
        size += 1
    return size, modulus


def _levels(modulus: int) -> tuple[list[_Level], int]:
    """The levels from P values below `modulus` to one value, and what that is below."""
    levels = []
    count, last = P, modulus
    while count > 1:
        pair_bytes, merged = _shed(modulus * modulus)
        last_pair_bytes, merged_last = (pair_bytes, last) if count % 2 else _shed(modulus * last)
        levels.append(_Level(modulus, last, count, pair_bytes, last_pair_bytes))
        count, modulus, last = (count + 1) // 2, merged, merged_last
    return levels, last


def encode(values: list[int], modulus: int) -> bytes:
    """P values below `modulus` as bytes: pairs are merged level by level, and what is too large goes out."""
    out = bytearray()
    levels, top = _levels(modulus)
    for level in levels:
        pairs = [low + level.modulus * high for low, high in zip(values[::2], values[1::2], strict=False)]
        sizes = [level.pair_bytes] * (len(pairs) - 1) + [level.last_pair_bytes]
        for pair, size in zip(pairs, sizes, strict=True):
            out += pair.to_bytes(4, "little")[:size]
        merged = [pair >> 8 * size for pair, size in zip(pairs, sizes, strict=True)]
        values = merged + values[-1:] if level.length % 2 else merged
    return bytes(out) + values[0].to_bytes((top.bit_length() + 7) // 8, "little")


def decode(data: bytes, modulus: int) -> list[int]:
    """The counterpart of `encode`, for data of the right size; what no list encodes to gives some list too."""
    levels, top = _levels(modulus)
    end = len(data) - (top.bit_length() + 7) // 8
    values = [int.from_bytes(data[end:], "little") % top]
    for level in reversed(levels):
        unpaired = [values.pop()] if level.length % 2 else []
        sizes = [level.pair_bytes] * (len(values) - 1) + [level.last_pair_bytes]
        limits = [level.modulus] * (len(values) - 1) + [level.modulus if unpaired else level.last]
        end -= sum(sizes)
        start = end
        lower: list[int] = []
        for value, size, limit in zip(values, sizes, limits, strict=True):
            pair = value << 8 * size | int.from_bytes(data[start : start + size], "little")
            lower += (pair % level.modulus, pair // level.modulus % limit)
            start += size
        values = lower + unpaired
    return values


def encode_small(small: list[int]) -> bytes:
    """Coefficients -1, 0 and 1, four in a byte."""
    padded = [c + 1 for c in small] + [0, 0, 0]
    fours = zip(padded[::4], padded[1::4], padded[2::4], padded[3::4], strict=True)
    return bytes([a | b << 2 | c << 4 | d << 6 for a, b, c, d in fours])


# Randomness and hashes -------------------------------------------------------------------------------------------


def _random_numbers() -> tuple[int, ...]:
    return unpack(_LAYOUT, urandom(_SIZE))


def random_small() -> list[int]:
    """Coefficients -1, 0 and 1, each as likely as the others (but for 2^-30)."""
    return [((number & 0x3FFFFFFF) * 3 >> 30) - 1 for number in _random_numbers()]


def random_short() -> list[int]:
    """WEIGHT coefficients that are 1 or -1, in random places: random numbers are marked and sorted."""
    numbers = _random_numbers()
    marked = [number & ~1 for number in numbers[:WEIGHT]] + [number & ~3 | 1 for number in numbers[WEIGHT:]]
    return [(number & 3) - 1 for number in sorted(marked)]


def hash_of(prefix: int, *parts: bytes) -> bytes:
    """The hash of the scheme, with a byte in front that tells what is hashed."""
    return sha512(bytes((prefix,)) + b"".join(parts)).digest()[:HASH_SIZE]


# The key pair ----------------------------------------------------------------------------------------------------


class KeyPair:
    """A fresh key pair; `public` is the public key, encoded."""

    def __init__(self) -> None:
        inverse = None
        while inverse is None:  # nearly every one has an inverse
            g = random_small()
            inverse = invert_mod_3(g)
        self._g_inverse = inverse
        self._f = random_short()
        self._h = multiply(invert_mod_q([3 * c % Q for c in self._f]), g, Q)
        self.public = encode([(c + _HALF) % Q for c in self._h], Q)
        self._fallback = urandom(SMALL_SIZE)
        self._public_hash = hash_of(4, self.public)

    def _encrypt(self, short: list[int]) -> bytes:
        """The one ciphertext that `short` has under this public key, the confirmation included."""
        rounded = [((c + _HALF) % Q + 1) // 3 for c in multiply(self._h, short, Q)]
        confirmation = hash_of(2, hash_of(3, encode_small(short)), self._public_hash)
        return encode(rounded, _ROUNDED) + confirmation

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The secret in the ciphertext, of CIPHERTEXT_SIZE bytes.

        A ciphertext that nobody made with this public key yields a secret that nobody else knows, as every one
        does: it is not told apart here (implicit rejection), but the exchange will come to nothing.
        """
        if len(ciphertext) != CIPHERTEXT_SIZE:
            raise ValueError(f"an sntrup761 ciphertext has {CIPHERTEXT_SIZE} bytes, not {len(ciphertext)}")
        rounded = [(3 * c - _HALF) % Q for c in decode(ciphertext[:ROUNDED_SIZE], _ROUNDED)]
        product = [3 * c % Q for c in multiply(rounded, self._f, Q)]
        centred = [(c if c <= _HALF else c - Q) % 3 for c in product]
        short = [c - 3 * (c == 2) for c in multiply(centred, self._g_inverse, 3)]
        if short.count(0) != P - WEIGHT:
            short = [1] * WEIGHT + [0] * (P - WEIGHT)
        genuine = compare_digest(self._encrypt(short), ciphertext)
        entropy = encode_small(short) if genuine else self._fallback
        return hash_of(1 if genuine else 0, hash_of(3, entropy), ciphertext)
