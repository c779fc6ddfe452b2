"""UMAC: the answers of RFC 4418's appendix, and the same tags from its definition written down plainly."""

from __future__ import annotations

from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.umac import Umac

KEY = b"abcdefghijklmnop"
NONCE = int.from_bytes(b"bcdefghi", "big")


@pytest.mark.parametrize(
    ("message", "tag_64", "tag_128"),
    [
        (b"", "6e155fad26900be1", "32fedb100c79ad58f07ff7643cc60465"),
        (b"a" * 3, "44b5cb542f220104", "185e4fe905cba7bd85e4c2dc3d117d8d"),
        (b"a" * 2**10, "26bf2f5d60118bd9", "7a54abe04af82d60fb298c3cbd195bcb"),
        (b"a" * 2**15, "27f8ef643b0d118d", "7b136bd911e4b734286ef2be501f2c3c"),
        (b"a" * 2**20, "a4477e87e9f55853", "f8acfa3ac31cfeea047f7b115b03bef5"),
        (b"abc", "d4d7b9f6bd4fbfcf", "883c3d4b97a61976ffcf232308cba5a5"),
        (b"abc" * 500, "d4cf26ddefd5c01a", "8824a260c53c66a36c9260a62cb83aa1"),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, bytes) else "",
)
def test_answers_of_the_rfc(message: bytes, tag_64: str, tag_128: str) -> None:
    assert Umac(KEY, 8, etm=False).tag(NONCE, message).hex() == tag_64
    assert Umac(KEY, 16, etm=False).tag(NONCE, message).hex() == tag_128


# The definition, a word at a time --------------------------------------------------------------------------------


def aes(key: bytes, block: bytes) -> bytes:
    return Cipher(AES(key), ECB()).encryptor().update(block)


def kdf(key: bytes, index: int, size: int) -> bytes:
    blocks = (index.to_bytes(8, "big") + i.to_bytes(8, "big") for i in range(1, size // 16 + 2))
    return b"".join(aes(key, block) for block in blocks)[:size]


def nh(key: bytes, block: bytes) -> int:
    padded = block + bytes(-len(block) % 32 or (0 if block else 32))
    m = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, len(padded), 4)]
    k = [int.from_bytes(key[i : i + 4], "big") for i in range(0, len(key), 4)]
    y = 8 * len(block)
    for i in range(0, len(m), 8):
        for j in range(i, i + 4):
            y += ((m[j] + k[j]) % 2**32) * ((m[j + 4] + k[j + 4]) % 2**32)
    return y % 2**64


def poly(key: int, words: list[int]) -> int:
    prime = 2**64 - 59
    y = 1
    for word in words:
        if word >= 2**64 - 2**32:
            y = (key * y + prime - 1) % prime
            y = (key * y + word - 59) % prime
        else:
            y = (key * y + word) % prime
    return y


def plain_umac(key: bytes, size: int, nonce: int, message: bytes) -> bytes:
    count = size // 4
    l1, l2 = kdf(key, 1, 1024 + 16 * (count - 1)), kdf(key, 2, 24 * count)
    l3, l4 = kdf(key, 3, 64 * count), kdf(key, 4, 4 * count)
    hashed = b""
    for i in range(count):
        blocks = [message[at : at + 1024] for at in range(0, len(message), 1024)] or [b""]
        words = [nh(l1[16 * i : 16 * i + 1024], block) for block in blocks]
        poly_key = int.from_bytes(l2[24 * i : 24 * i + 8], "big") & 0x01FFFFFF01FFFFFF
        wide = (poly(poly_key, words) if len(message) > 1024 else words[0]).to_bytes(16, "big")
        y = sum(
            int.from_bytes(wide[2 * j : 2 * j + 2], "big")
            * (int.from_bytes(l3[64 * i + 8 * j : 64 * i + 8 * j + 8], "big") % (2**36 - 5))
            for j in range(8)
        )
        y = y % (2**36 - 5) % 2**32 ^ int.from_bytes(l4[4 * i : 4 * i + 4], "big")
        hashed += y.to_bytes(4, "big")
    pad_key = kdf(key, 0, 16)
    if size == 16:
        pad = aes(pad_key, nonce.to_bytes(8, "big") + bytes(8))
    else:
        pad = aes(pad_key, (nonce - nonce % 2).to_bytes(8, "big") + bytes(8))[8 * (nonce % 2) :][:8]
    return bytes(a ^ b for a, b in zip(hashed, pad, strict=True))


SIZES = [
    *range(70),
    *(
        1024 * blocks + more
        for blocks in (1, 2, 7, 8, 9, 31, 32, 33, 40, 64, 65)
        for more in (-33, -1, 0, 1, 31, 33)
    ),
    256 * 1024 + 4,
]


@pytest.mark.parametrize("size", [8, 16])
def test_all_lengths_and_nonces(size: int) -> None:
    random = Random(size)
    for length in SIZES:
        key, message = random.randbytes(16), random.randbytes(length)
        made = Umac(key, size, etm=False)
        for nonce in (0, 1, random.randrange(2**32), 2**32 - 1) if length < 20 else (random.randrange(2**32),):
            assert made.tag(nonce, message) == plain_umac(key, size, nonce, message), length


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("byte", [b"\xff", b"\x7f", b"\x80", b"\x00"])
def test_words_that_carry(size: int, byte: bytes) -> None:
    for length in (40, 1024, 5000, 34_000):
        message = byte * length
        assert Umac(KEY, size, etm=False).tag(7, message) == plain_umac(KEY, size, 7, message)


def test_words_too_large_for_the_polynomial_are_taken_as_two() -> None:
    from pyssh_cli.protocol.umac import _poly

    words = [2**64 - 1, 5, 2**64 - 2**32, 2**64 - 2**32 - 1, 0, 2**64 - 59]
    assert _poly(words, 0x01FFFFFF01FFFFFF) == poly(0x01FFFFFF01FFFFFF, words)


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("length", [40, 1500])
def test_tag_depends_on_every_byte_and_the_nonce(size: int, length: int) -> None:
    made = Umac(KEY, size, etm=True)
    message = Random(1).randbytes(length)
    tag = made.tag(5, message)
    for at in range(length):
        changed = bytearray(message)
        changed[at] ^= 1
        assert made.tag(5, bytes(changed)) != tag
    assert tag not in {made.tag(nonce, message) for nonce in (4, 6, 7, 5 + 2**31)}
    assert made.tag(5, message[:-1]) != tag
    assert made.tag(5, message + b"\0") != tag
    assert Umac(bytes(16), size, etm=True).tag(5, message) != tag


def test_check() -> None:
    made = Umac(KEY, 8, etm=True)
    packet = memoryview(b"packet")
    tag = made.tag(1, packet)
    made.check(1, packet, memoryview(tag))
    for wrong in (bytes(8), tag[:-1], tag + b"\0", b""):
        with pytest.raises(ProtocolError, match="Corrupted MAC"):
            made.check(1, packet, memoryview(wrong))
