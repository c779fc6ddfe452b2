"""UMAC with AES-128 and tags of 64 or 128 bits (RFC 4418): umac-64@openssh.com and umac-128@openssh.com.

The nonce is the packet's sequence number, as eight bytes. All the work is in NH, 32-bit products summed over each
KiB, done here by what Python has in C: keys are added to all words of a packet at once, as lanes of one big
integer, and `map` multiplies. That makes about 45 MB/s with tags of 64 bits, and half of it with 128.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from itertools import islice
from operator import mul

from pyssh_cli.protocol.macs import Mac

_BLOCK = 1024  # bytes that NH takes at a time
_HALF = _BLOCK // 2  # bytes of the first, and of the second, factors of a block's products
_PAIRS = _HALF // 4  # products in a block
_WIDTHS = (1, 8, 32)  # blocks that are hashed by one call: the keys are laid out for these
_MASK_64 = (1 << 64) - 1
_P36 = (1 << 36) - 5
_P64 = (1 << 64) - 59
_LARGE = (1 << 64) - (1 << 32)  # from here on the polynomial hash takes a word as two (RFC 4418 section 5.3.2)

_Keys = tuple[int, list[tuple[int, int]]]


class Umac(Mac):
    """One direction's UMAC under one key; `size` of its tag is 8 or 16.

    The tag is made of 32-bit pieces, each a hash of the whole packet under keys of its own ("iterations" in the
    RFC), and masked by a pad made of the nonce. Packets are never longer than 16 MiB, where the hash changes.
    """

    def __init__(self, key: bytes, size: int, etm: bool) -> None:
        super().__init__(size, etm)
        count = size // 4
        self._encrypt_pad = _aes(_derive(key, 0, 16))
        nh_words = array("I", _derive(key, 1, _BLOCK + 16 * (count - 1)))
        nh_words.byteswap()  # they are written big end first, those of a message little end first
        nh_key = nh_words.tobytes()
        # Each iteration starts four words further, where the one before has its second factors.
        self._nh_keys = [_first_factors(nh_key[16 * i : 16 * i + _BLOCK]) for i in range(count)]
        self._nh_keys.append(_second_factors(nh_key[16 * (count - 1) :]))
        self._laid_out: dict[int, _Keys] = {}
        poly = _derive(key, 2, 24 * count)
        inner = _derive(key, 3, 64 * count)
        last = _derive(key, 4, 4 * count)
        self._poly_keys = [_uint(poly[24 * i : 24 * i + 8]) & 0x01FFFFFF01FFFFFF for i in range(count)]
        # Of the eight factors of the inner product hash four meet data that are always zero in packets so short.
        self._inner_keys = [
            tuple(_uint(inner[at : at + 8]) % _P36 for at in range(64 * i + 32, 64 * i + 64, 8))
            for i in range(count)
        ]
        self._last = _uint(last)

    def tag(self, sequence: int, packet: memoryview | bytes) -> bytes:
        """The tag of `packet` under the nonce `sequence`, of 64 bits."""
        hashed = self._last ^ self._hash(packet)
        if self.size == 16:
            pad = self._encrypt_pad(sequence.to_bytes(8, "big") + bytes(8))
        else:  # two nonces share a block, half of it each (RFC 4418 section 3.3.1)
            half = 8 * (sequence & 1)
            pad = self._encrypt_pad((sequence & ~1).to_bytes(8, "big") + bytes(8))[half : half + 8]
        return (hashed ^ _uint(pad)).to_bytes(self.size, "big")

    def _hash(self, message: memoryview | bytes) -> int:
        """UHASH (RFC 4418 section 5), but for the last key's XOR: the iterations' results side by side."""
        hashed = 0
        sums = self._nh(message)
        for words, poly_key, inner_keys in zip(sums, self._poly_keys, self._inner_keys, strict=True):
            word = _poly(words, poly_key) if len(words) > 1 else words[0]
            k0, k1, k2, k3 = inner_keys
            inner = (
                (word >> 48) * k0 + (word >> 32 & 0xFFFF) * k1 + (word >> 16 & 0xFFFF) * k2 + (word & 0xFFFF) * k3
            )
            hashed = hashed << 32 | inner % _P36 & 0xFFFFFFFF
        return hashed

    def _nh(self, message: memoryview | bytes) -> list[list[int]]:
        """For each iteration, the NH sum of each block of the message (RFC 4418 section 5.2)."""
        length = len(message)
        sums: list[list[int]] = [[] for _ in range(self.size // 4)]
        at = 0
        while at < length or not at:
            left = length - at
            blocks = min(-(-left // _BLOCK) or 1, _WIDTHS[-1])
            padded = bytearray(blocks * _BLOCK)
            padded[: min(left, len(padded))] = message[at : at + len(padded)]
            at += len(padded)
            bits = [8 * _BLOCK] * blocks
            pairs = [_PAIRS] * blocks
            if at >= length:
                # The last block is summed as far as it goes, in steps of 32 bytes.
                short = left - (blocks - 1) * _BLOCK
                bits[-1] = 8 * short
                pairs[-1] = 4 * (-(-short // 32) or 1)
            self._nh_blocks(padded, bits, pairs, sums)
        return sums

    def _nh_blocks(self, padded: bytearray, bits: list[int], pairs: list[int], sums: list[list[int]]) -> None:
        """Append to `sums` those of some blocks, which have so many bits of message and count so many products."""
        width = next(width for width in _WIDTHS if width >= len(bits))
        if width not in self._laid_out:
            self._laid_out[width] = self._lay_out(width)
        low, keys = self._laid_out[width]
        size = width * _HALF
        # The sum of two lanes modulo 2^32: the lower 31 bits are added, and the top bits, which have no lane to
        # carry into, are XORed.
        first, second = _first_factors(padded), _second_factors(padded)
        first_low, second_low = first & low, second & low
        first_top, second_top = first ^ first_low, second ^ second_low
        for i, words in enumerate(sums):
            key_low, key_top = keys[i]
            a = _lanes((first_low + key_low) ^ first_top ^ key_top, size)
            key_low, key_top = keys[i + 1]
            b = _lanes((second_low + key_low) ^ second_top ^ key_top, size)
            products = map(mul, a, b)
            for length, count in zip(bits, pairs, strict=True):
                words.append(sum(islice(products, count), length) & _MASK_64)

    def _lay_out(self, width: int) -> _Keys:
        """A mask of the lower 31 bits in all lanes of so many blocks, and for each key its lower and top bits."""
        low = int.from_bytes(b"\xff\xff\xff\x7f" * (width * _PAIRS), "little")
        keys = [int.from_bytes(key.to_bytes(_HALF, "little") * width, "little") for key in self._nh_keys]
        return low, [(key & low, key & ~low) for key in keys]


def _first_factors(words: bytes | bytearray) -> int:
    """Of every eight 32-bit words the first four, as lanes of an integer, little end first."""
    return _every_other_sixteen_bytes(words, 0)


def _second_factors(words: bytes | bytearray) -> int:
    """Of every eight 32-bit words the last four."""
    return _every_other_sixteen_bytes(words, 2)


def _every_other_sixteen_bytes(words: bytes | bytearray, start: int) -> int:
    source = memoryview(words).cast("Q")
    memory = bytearray(len(source) * 4)
    target = memoryview(memory).cast("Q")
    target[::2] = source[start::4]
    target[1::2] = source[start + 1 :: 4]
    return int.from_bytes(memory, "little")


def _lanes(number: int, size: int) -> array[int]:
    """The 32-bit lanes of a number of `size` bytes."""
    words = array("I", number.to_bytes(size, "little"))
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _poly(words: list[int], key: int) -> int:
    """The polynomial hash of 64-bit words modulo 2^64 - 59 (RFC 4418 section 5.3.2)."""
    y = 1
    for word in words:
        if word >= _LARGE:
            y = (y * key + _P64 - 1) % _P64
            y = (y * key + word - 59) % _P64
        else:
            y = (y * key + word) % _P64
    return y


def _uint(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _aes(key: bytes) -> Callable[[bytes], bytes]:
    """AES-128 of single blocks."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import ECB

    encrypt: Callable[[bytes], bytes] = Cipher(AES(key), ECB()).encryptor().update  # noqa: S305  (single blocks)
    return encrypt


def _derive(key: bytes, index: int, size: int) -> bytes:
    """The RFC's KDF: `size` bytes of key for the purpose `index` (RFC 4418 section 3.2.1)."""
    counted = (index.to_bytes(8, "big") + i.to_bytes(8, "big") for i in range(1, -(-size // 16) + 1))
    return _aes(key)(b"".join(counted))[:size]
