"""Ciphers and MACs: round trips, tampering, sequence numbers, lengths, and packets built from the primitives in
the test itself."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR
from cryptography.hazmat.primitives.poly1305 import Poly1305

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.ciphers import CIPHERS, default_ciphers
from pyssh_cli.protocol.macs import DEFAULT_MACS, MACS
from pyssh_cli.protocol.packet import MAX_OVERHEAD, MAX_PACKET_LENGTH, Opener, Sealer
from tests.unit.peer import open_packet, seal_payload

AEAD = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
CTR_CIPHERS = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
CBC_CIPHERS = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
PAIRED = CTR_CIPHERS + CBC_CIPHERS  # with a MAC
TAG_SIZES = {
    "hmac-sha2-256": 32,
    "hmac-sha2-512": 64,
    "umac-64@openssh.com": 8,
    "umac-128@openssh.com": 16,
    "hmac-sha1": 20,
    "hmac-sha1-96": 12,
    "hmac-md5": 16,
    "hmac-md5-96": 12,
}


def etm_form(mac: str) -> str:
    return f"{mac.partition('@')[0]}-etm@openssh.com"


TAG_SIZES |= {etm_form(name): size for name, size in TAG_SIZES.items()}
HMACS = [name for name in TAG_SIZES if name.startswith("hmac")]


def combinations() -> Iterator[tuple[str, str]]:
    """Every cipher with two MACs, and every MAC with two ciphers."""
    for cipher in AEAD:
        yield cipher, ""
    for cipher in PAIRED:
        for mac in TAG_SIZES:
            if mac.startswith("hmac-sha2-256") or cipher in {"aes128-ctr", "aes128-cbc"}:
                yield cipher, mac


COMBINATIONS = list(combinations())
KEY = bytes(range(1, 65))
IV = bytes(range(100, 116))
MAC_KEY = bytes(range(150, 214))


def cbc(cipher: str) -> Cipher[Any]:
    """From the primitives alone."""
    if cipher == "3des-cbc":
        return Cipher(TripleDES(KEY[:24]), CBC(IV[:8]))
    return Cipher(AES(KEY[: CIPHERS[cipher].key_size]), CBC(IV))


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
    assert set(CIPHERS) == {*AEAD, *PAIRED}
    assert {name: spec.size for name, spec in MACS.items()} == TAG_SIZES
    assert {name for name, spec in MACS.items() if spec.etm} == {name for name in TAG_SIZES if "-etm@" in name}
    assert all(name == spec.name for name, spec in MACS.items())
    sizes = {name: (spec.key_size, spec.iv_size, spec.block_size) for name, spec in CIPHERS.items()}
    assert sizes == {
        "aes128-gcm@openssh.com": (16, 12, 16),
        "aes256-gcm@openssh.com": (32, 12, 16),
        "chacha20-poly1305@openssh.com": (64, 0, 8),
        "aes128-ctr": (16, 16, 16),
        "aes192-ctr": (24, 16, 16),
        "aes256-ctr": (32, 16, 16),
        "aes128-cbc": (16, 16, 16),
        "aes192-cbc": (24, 16, 16),
        "aes256-cbc": (32, 16, 16),
        "3des-cbc": (24, 8, 8),
    }
    assert all(name == spec.name for name, spec in CIPHERS.items())


def test_default_order() -> None:
    assert default_ciphers()[0] == "aes128-gcm@openssh.com"
    assert default_ciphers(aes_in_hardware=False)[0] == "chacha20-poly1305@openssh.com"
    assert sorted(default_ciphers(aes_in_hardware=False)) == sorted(default_ciphers())
    assert sorted(default_ciphers()) == sorted(AEAD + CTR_CIPHERS)


def test_default_macs_leave_out_the_weak() -> None:
    assert DEFAULT_MACS[:2] == ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
    assert DEFAULT_MACS[-1] == "hmac-sha1"
    assert {name for name in TAG_SIZES if "md5" not in name and "-96" not in name} == set(DEFAULT_MACS)


@pytest.mark.parametrize("mac", TAG_SIZES)
def test_size_of_a_tag(mac: str) -> None:
    made = MACS[mac].make(MAC_KEY[: MACS[mac].key_size])
    assert (made.size, made.etm) == (TAG_SIZES[mac], "-etm@" in mac)
    assert len(made.tag(1, memoryview(b"packet"))) == made.size
    assert made.size <= 64 <= MAX_OVERHEAD  # room for it is laid out in packets


@each
def test_round_trip_of_all_sizes(cipher: str, mac: str) -> None:
    out, back = sealer(cipher, mac), opener(cipher, mac)
    random = Random(7)
    block = CIPHERS[cipher].block_size
    clear = 4 if CIPHERS[cipher].aead or MACS[mac].etm else 0
    tag = 16 if CIPHERS[cipher].aead else TAG_SIZES[mac]
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


def waits_to_refuse(cipher: str, mac: str) -> bool:
    """Whether a packet that is not authentic is refused after as many bytes as the longest one has."""
    return CIPHERS[cipher].cbc and not MACS[mac].etm


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
    more = bytes(MAX_PACKET_LENGTH) if waits_to_refuse(cipher, mac) else b""
    with pytest.raises(ProtocolError, match="Corrupted MAC on input") as caught:
        open_packet(opener(cipher, mac), bytes(packet) + more, 0)
    assert caught.value.reason == 5


def header_encryptor(cipher: str, mac: str) -> Callable[[bytes], bytes]:
    """What encrypts a first block with a packet_length of the test's choice."""
    if cipher.startswith("chacha20"):
        return Cipher(ChaCha20(KEY[32:], bytes(16)), None).encryptor().update
    if cipher.endswith("-ctr") and not MACS[mac].etm:
        return Cipher(AES(KEY[: CIPHERS[cipher].key_size]), CTR(IV)).encryptor().update
    if cipher.endswith("-cbc") and not MACS[mac].etm:
        return cbc(cipher).encryptor().update
    return lambda data: data


@pytest.mark.parametrize(("cipher", "mac"), [pair for pair in COMBINATIONS if not waits_to_refuse(*pair)])
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
    assert len(block) == 16
    back = opener(cipher, mac)
    buffer = memoryview(bytearray(block))
    tag = 16 if CIPHERS[cipher].aead else TAG_SIZES[mac]
    assert back.packet_size(buffer, 0, 16, 0) == 4 + length + tag
    assert back.packet_size(buffer, 0, 16, 0) == 4 + length + tag  # asking twice decrypts once


@pytest.mark.parametrize("mac", [name for name in TAG_SIZES if "-etm@" not in name])
@pytest.mark.parametrize("cipher", CBC_CIPHERS)
@pytest.mark.parametrize("length", [0, 1, 4, 13, 28, 5000 - 4, 35_000 - 1, MAX_PACKET_LENGTH, 2**31, 2**32 - 1])
def test_cbc_tells_nothing_of_a_length_that_an_attacker_chose(cipher: str, mac: str, length: int) -> None:
    """Whatever it is, and however the bytes come, the packet is refused after the same number of them."""
    first = header_encryptor(cipher, mac)(length.to_bytes(4, "big") + bytes(12))
    longest = 4 + MAX_PACKET_LENGTH + TAG_SIZES[mac]
    stream = memoryview(bytearray(first + Random(9).randbytes(longest - len(first))))
    back = opener(cipher, mac)
    for end in (1, 7, 8, 15, 16, 17, 100, 4096, 40_000, 200_000, longest - 1):
        size = back.packet_size(stream, 0, end, 0)
        assert size == 0 or size > end
    assert back.packet_size(stream, 0, longest, 0) == longest
    with pytest.raises(ProtocolError) as caught:
        back.open(stream, 0, longest, 0)
    assert str(caught.value) == "Corrupted MAC on input: what arrived is not what the server sent"
    assert caught.value.reason == 5


@pytest.mark.parametrize("cipher", CBC_CIPHERS)
def test_cbc_refuses_a_changed_packet_late(cipher: str) -> None:
    packet = bytearray(fourth(cipher, "hmac-sha2-256", bytes(100)))
    packet[60] ^= 1
    longest = 4 + MAX_PACKET_LENGTH + 32
    out, back = sealer(cipher, "hmac-sha2-256"), opener(cipher, "hmac-sha2-256")
    for before in range(3):
        open_packet(back, seal_payload(out, b"good", before), before)
    buffer = memoryview(packet + bytes(longest - len(packet)))
    for end in (len(packet) - 1, len(packet), longest - 1):
        assert back.packet_size(buffer, 0, end, 3) > end
    assert back.packet_size(buffer, 0, longest, 3) == longest
    with pytest.raises(ProtocolError, match="Corrupted MAC"):
        back.open(buffer, 0, longest, 3)


@pytest.mark.parametrize("mac", ["hmac-sha2-256", "hmac-sha2-256-etm@openssh.com"])
@pytest.mark.parametrize("cipher", CBC_CIPHERS)
def test_cbc_packets_asked_for_twice(cipher: str, mac: str) -> None:
    """Asking for the size decrypts once, also when the packet has moved to the front in between."""
    out, back = sealer(cipher, mac), opener(cipher, mac)
    for sequence in range(4):
        packet = seal_payload(out, b"payload" * 9, sequence)
        buffer = memoryview(bytearray(50) + packet)
        assert back.packet_size(buffer, 50, 66, sequence) == len(packet)
        moved = memoryview(bytearray(buffer[50:]))
        for _ in range(3):
            assert back.packet_size(moved, 0, len(packet), sequence) == len(packet)
        assert bytes(back.open(moved, 0, len(packet), sequence)) == b"payload" * 9


@pytest.mark.parametrize("mac", ["hmac-sha2-256", "hmac-sha1-etm@openssh.com"])
@pytest.mark.parametrize("cipher", CBC_CIPHERS)
def test_cbc_padding_refused(cipher: str, mac: str) -> None:
    """A packet that is authentic and yet has a padding that cannot be is refused at once."""
    made = MACS[mac].make(MAC_KEY[: MACS[mac].key_size])
    plain = (28).to_bytes(4, "big") + b"\x1c" + bytes(27) if not made.etm else (32).to_bytes(4, "big") + b"\x20"
    plain = plain.ljust(36 if made.etm else 32, b"\0")
    context = cbc(cipher).encryptor()
    packet = plain[:4] + context.update(plain[4:]) if made.etm else context.update(plain)
    packet += made.tag(0, memoryview(packet if made.etm else plain))
    with pytest.raises(ProtocolError, match="Corrupted padding length"):
        open_packet(opener(cipher, mac), packet, 0)


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


def stream_of(cipher: str) -> Cipher[Any]:
    return cbc(cipher) if cipher in CBC_CIPHERS else Cipher(AES(KEY[: CIPHERS[cipher].key_size]), CTR(IV))


@pytest.mark.parametrize("cipher", PAIRED)
@pytest.mark.parametrize("mac", HMACS)
def test_cipher_and_hmac_known_answer(cipher: str, mac: str) -> None:
    hash_name = mac.split("-")[1] if "sha2" not in mac else "sha" + mac.split("-")[2].partition("@")[0]
    mac_key = MAC_KEY[: {"sha1": 20, "md5": 16, "sha256": 32, "sha512": 64}[hash_name]]
    etm = "etm" in mac
    size = TAG_SIZES[mac]
    block = 8 if cipher == "3des-cbc" else 16
    stream, ours_stream = stream_of(cipher).encryptor(), stream_of(cipher).decryptor()
    back, out = opener(cipher, mac), sealer(cipher, mac)
    for sequence in (0, 1, 2**32 - 1):
        payload = b"\x5e" * (sequence % 50 + 1)
        plain = plain_packet(payload, block, 0 if etm else 4)
        sealed = plain[:4] + stream.update(plain[4:]) if etm else stream.update(plain)
        covered = sealed if etm else plain
        sealed += hmac.digest(mac_key, sequence.to_bytes(4, "big") + covered, hash_name)[:size]
        assert open_packet(back, sealed, sequence) == payload

        ours = seal_payload(out, payload, sequence)
        body, tag = ours[:-size], ours[-size:]
        opened = body[:4] + ours_stream.update(body[4:]) if etm else ours_stream.update(body)
        assert opened[: 5 + len(payload)] == plain[: 5 + len(payload)]
        covered = body if etm else opened
        assert tag == hmac.digest(mac_key, sequence.to_bytes(4, "big") + covered, hash_name)[:size]
