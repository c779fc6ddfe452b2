"""Every cipher with every MAC: round trips, tampering, sequence numbers, lengths, and packets built from the
primitives in the test itself."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from random import Random

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.poly1305 import Poly1305

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.ciphers import CIPHERS, default_ciphers
from pyssh_cli.protocol.macs import MACS
from pyssh_cli.protocol.packet import MAX_PACKET_LENGTH, Opener, Sealer
from tests.unit.peer import ALL_CIPHERS, ALL_MACS, open_packet, seal_payload

AEAD = ALL_CIPHERS[:3]
CTR_CIPHERS = ALL_CIPHERS[3:]
COMBINATIONS = [(name, "") for name in AEAD] + [(name, mac) for name in CTR_CIPHERS for mac in ALL_MACS]
KEY = bytes(range(1, 65))
IV = bytes(range(100, 116))
MAC_KEY = bytes(range(150, 214))

each = pytest.mark.parametrize(("cipher", "mac"), COMBINATIONS)


def sealer(cipher: str, mac: str) -> Sealer:
    spec = CIPHERS[cipher]
    made = MACS[mac].make(MAC_KEY[: MACS[mac].key_size]) if mac else None
    return spec.sealer(KEY[: spec.key_size], IV[: spec.iv_size], made)


def opener(cipher: str, mac: str) -> Opener:
    spec = CIPHERS[cipher]
    made = MACS[mac].make(MAC_KEY[: MACS[mac].key_size]) if mac else None
    return spec.opener(KEY[: spec.key_size], IV[: spec.iv_size], made)


def test_tables() -> None:
    assert set(CIPHERS) == set(ALL_CIPHERS)
    assert set(MACS) == set(ALL_MACS)
    sizes = {name: (spec.key_size, spec.iv_size, spec.block_size) for name, spec in CIPHERS.items()}
    assert sizes == {
        "aes128-gcm@openssh.com": (16, 12, 16),
        "aes256-gcm@openssh.com": (32, 12, 16),
        "chacha20-poly1305@openssh.com": (64, 0, 8),
        "aes128-ctr": (16, 16, 16),
        "aes192-ctr": (24, 16, 16),
        "aes256-ctr": (32, 16, 16),
    }
    assert all(name == spec.name for name, spec in CIPHERS.items())


def test_default_order() -> None:
    assert default_ciphers()[0] == "aes128-gcm@openssh.com"
    assert default_ciphers(aes_in_hardware=False)[0] == "chacha20-poly1305@openssh.com"
    assert sorted(default_ciphers(aes_in_hardware=False)) == sorted(default_ciphers()) == sorted(ALL_CIPHERS)


@each
def test_round_trip_of_all_sizes(cipher: str, mac: str) -> None:
    out, back = sealer(cipher, mac), opener(cipher, mac)
    random = Random(7)
    block = CIPHERS[cipher].block_size
    clear = 4 if CIPHERS[cipher].aead or MACS[mac].etm else 0
    tag = 16 if CIPHERS[cipher].aead else {"256": 32, "512": 64}[mac.removeprefix("hmac-sha2-")[:3]]
    for sequence, size in enumerate([*range(1, 601), 32 * 1024, 1]):
        payload = random.randbytes(size)
        packet = seal_payload(out, payload, sequence)
        assert len(packet) == out.sealed_size(size)
        assert (len(packet) - tag - clear) % block == 0
        if size > 8:
            assert payload not in packet
        assert open_packet(back, packet, sequence) == payload


@each
@pytest.mark.parametrize("step", [1, 3, 16])
def test_split_deliveries(cipher: str, mac: str, step: int) -> None:
    out, back = sealer(cipher, mac), opener(cipher, mac)
    payloads = [bytes((i,)) * (i * 37 + 1) for i in range(8)]
    stream = b"".join(seal_payload(out, payload, sequence) for sequence, payload in enumerate(payloads))
    buffer = memoryview(bytearray(len(stream)))
    start = end = sequence = 0
    seen = []
    while end < len(stream):
        piece = stream[end : end + step]
        buffer[end : end + len(piece)] = piece
        end += len(piece)
        while (size := back.packet_size(buffer, start, end, sequence)) and size <= end - start:
            seen.append(bytes(back.open(buffer, start, size, sequence)))
            start += size
            sequence += 1
    assert seen == payloads
    assert start == len(stream)


def refused(cipher: str, mac: str, packet: bytes, sequence: int = 3) -> None:
    """The packet, after three good ones, gives nothing but an error, or waits for more than was sent."""
    out, back = sealer(cipher, mac), opener(cipher, mac)
    for before in range(3):
        assert open_packet(back, seal_payload(out, b"good", before), before) == b"good"
    try:
        assert open_packet(back, packet, sequence) is None
    except ProtocolError:
        return
    # A length that grew asks for bytes that do not come; with them, the packet must fail.
    out, back = sealer(cipher, mac), opener(cipher, mac)
    for before in range(3):
        open_packet(back, seal_payload(out, b"good", before), before)
    with pytest.raises(ProtocolError):
        open_packet(back, packet + bytes(MAX_PACKET_LENGTH + 100), sequence)


def fourth(cipher: str, mac: str, payload: bytes) -> bytes:
    out = sealer(cipher, mac)
    for before in range(3):
        seal_payload(out, b"good", before)
    return seal_payload(out, payload, 3)


@each
def test_every_changed_bit_is_refused(cipher: str, mac: str) -> None:
    packet = fourth(cipher, mac, b"a payload worth changing")
    for at in range(len(packet)):
        for bit in range(8) if at < 8 else (at % 8,):
            changed = bytearray(packet)
            changed[at] ^= 1 << bit
            refused(cipher, mac, bytes(changed))


@each
def test_every_changed_byte_is_refused(cipher: str, mac: str) -> None:
    random = Random(8)
    packet = fourth(cipher, mac, b"a payload worth changing")
    for at in range(len(packet)):
        changed = bytearray(packet)
        changed[at] ^= random.randint(1, 255)
        refused(cipher, mac, bytes(changed))


@each
def test_wrong_sequence_is_refused(cipher: str, mac: str) -> None:
    packet = fourth(cipher, mac, b"payload")
    spec = CIPHERS[cipher]
    if "gcm" in cipher:  # its counter is its own: a packet replayed or left out shows there
        back = opener(cipher, mac)
        with pytest.raises(ProtocolError, match="Corrupted MAC"):
            open_packet(back, packet, 3)
        out = sealer(cipher, mac)
        first = seal_payload(out, b"first", 0)
        back = opener(cipher, mac)
        assert open_packet(back, first, 0) == b"first"
        with pytest.raises(ProtocolError, match="Corrupted MAC"):
            open_packet(back, first, 1)
    else:
        assert spec.name == cipher
        for sequence in (0, 2, 4, 2**32 - 1):
            refused(cipher, mac, packet, sequence)


@each
def test_mac_failure_has_its_reason(cipher: str, mac: str) -> None:
    packet = bytearray(seal_payload(sealer(cipher, mac), b"payload", 0))
    packet[-1] ^= 1
    with pytest.raises(ProtocolError, match="Corrupted MAC on input") as caught:
        open_packet(opener(cipher, mac), bytes(packet), 0)
    assert caught.value.reason == 5


def header_encryptor(cipher: str, mac: str) -> Callable[[bytes], bytes]:
    """What encrypts a first block with a packet_length of the test's choice."""
    if cipher.startswith("chacha20"):
        return Cipher(ChaCha20(KEY[32:], bytes(16)), None).encryptor().update
    if cipher.endswith("-ctr") and not MACS[mac].etm:
        return Cipher(AES(KEY[: CIPHERS[cipher].key_size]), CTR(IV)).encryptor().update
    return lambda data: data


@each
@pytest.mark.parametrize(
    "length", [0, 1, 4, 35_000 - 1, MAX_PACKET_LENGTH + 1, MAX_PACKET_LENGTH + 16, 2**31, 2**32 - 1]
)
def test_lengths_refused(cipher: str, mac: str, length: int) -> None:
    block = header_encryptor(cipher, mac)(length.to_bytes(4, "big") + bytes(12))
    with pytest.raises(ProtocolError, match=f"Bad packet length {length}:"):
        open_packet(opener(cipher, mac), block, 0)


@each
def test_large_lengths_wait_for_their_bytes(cipher: str, mac: str) -> None:
    clear = 4 if CIPHERS[cipher].aead or MACS[mac].etm else 0
    length = 35_008 - 4 + clear  # a multiple of the block in either way of counting: 35008 = 2188 * 16
    encrypt = header_encryptor(cipher, mac)
    block = encrypt(length.to_bytes(4, "big") + bytes(12))
    back = opener(cipher, mac)
    buffer = memoryview(bytearray(block))
    tag = 16 if CIPHERS[cipher].aead else MACS[mac].make(b"").size
    assert back.packet_size(buffer, 0, 16, 0) == 4 + length + tag
    assert back.packet_size(buffer, 0, 16, 0) == 4 + length + tag  # asking twice decrypts once


# Known answers, from the primitives alone ------------------------------------------------------------------------


def plain_packet(payload: bytes, block: int, covered_header: int) -> bytes:
    """packet_length, padding_length, payload and padding of 0xAA."""
    padding = block - (covered_header + 1 + len(payload)) % block
    padding += block if padding < 4 else 0
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes((padding,)) + payload + b"\xaa" * padding


@pytest.mark.parametrize("sequence", [0, 1, 77, 2**32 - 1])
def test_chacha20_poly1305_known_answer(sequence: int) -> None:
    payload = b"\x5e" + bytes(range(90))
    plain = plain_packet(payload, 8, 0)
    nonce = sequence.to_bytes(8, "big")

    def stream(key: bytes, counter: int, data: bytes) -> bytes:
        return Cipher(ChaCha20(key, counter.to_bytes(8, "little") + nonce), None).encryptor().update(data)

    sealed = stream(KEY[32:], 0, plain[:4]) + stream(KEY[:32], 1, plain[4:])
    sealed += Poly1305.generate_tag(stream(KEY[:32], 0, bytes(32)), sealed)
    name = "chacha20-poly1305@openssh.com"
    assert open_packet(opener(name, ""), sealed, sequence) == payload

    ours = seal_payload(sealer(name, ""), payload, sequence)
    assert len(ours) == len(sealed)
    assert stream(KEY[32:], 0, ours[:4]) == plain[:4]
    opened = stream(KEY[:32], 1, ours[4:-16])
    assert opened[: 1 + len(payload)] == plain[4 : 5 + len(payload)]
    Poly1305.verify_tag(stream(KEY[:32], 0, bytes(32)), ours[:-16], ours[-16:])


@pytest.mark.parametrize(("name", "size"), [("aes128-gcm@openssh.com", 16), ("aes256-gcm@openssh.com", 32)])
def test_aes_gcm_known_answer(name: str, size: int) -> None:
    iv = IV[:4] + (2**64 - 2).to_bytes(8, "big")  # the invocation counter runs over its end
    spec = CIPHERS[name]
    out, back = spec.sealer(KEY[:size], iv, None), spec.opener(KEY[:size], iv, None)
    for packet in range(5):
        payload = bytes((94 + packet,)) * (packet * 20 + 1)
        plain = plain_packet(payload, 16, 0)
        nonce = IV[:4] + ((2**64 - 2 + packet) % 2**64).to_bytes(8, "big")
        sealed = plain[:4] + AESGCM(KEY[:size]).encrypt(nonce, plain[4:], plain[:4])
        assert open_packet(back, sealed, 1000) == payload
        ours = seal_payload(out, payload, 1000)
        assert ours[:4] == plain[:4]
        opened = AESGCM(KEY[:size]).decrypt(nonce, ours[4:], ours[:4])
        assert opened[: 1 + len(payload)] == plain[4 : 5 + len(payload)]


@pytest.mark.parametrize("cipher", CTR_CIPHERS)
@pytest.mark.parametrize("mac", ALL_MACS)
def test_ctr_and_mac_known_answer(cipher: str, mac: str) -> None:
    key_size = {"aes128-ctr": 16, "aes192-ctr": 24, "aes256-ctr": 32}[cipher]
    hash_name = "sha512" if "512" in mac else "sha256"
    mac_key = MAC_KEY[: 64 if "512" in mac else 32]
    etm = "etm" in mac
    stream = Cipher(AES(KEY[:key_size]), CTR(IV)).encryptor()
    back, out = opener(cipher, mac), sealer(cipher, mac)
    ours_stream = Cipher(AES(KEY[:key_size]), CTR(IV)).decryptor()
    for sequence in (0, 1, 2**32 - 1):
        payload = b"\x5e" * (sequence % 50 + 1)
        plain = plain_packet(payload, 16, 0 if etm else 4)
        sealed = plain[:4] + stream.update(plain[4:]) if etm else stream.update(plain)
        covered = sealed if etm else plain
        sealed += hmac.digest(mac_key, sequence.to_bytes(4, "big") + covered, hash_name)
        assert open_packet(back, sealed, sequence) == payload

        ours = seal_payload(out, payload, sequence)
        size = 64 if "512" in mac else 32
        body, tag = ours[:-size], ours[-size:]
        opened = body[:4] + ours_stream.update(body[4:]) if etm else ours_stream.update(body)
        assert opened[: 5 + len(payload)] == plain[: 5 + len(payload)]
        assert tag == hmac.digest(mac_key, sequence.to_bytes(4, "big") + (body if etm else opened), hash_name)
