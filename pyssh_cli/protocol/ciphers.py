"""Ciphers: one table of names, and what seals and opens packets under each.

Authenticated ciphers protect a packet alone; the others pair with a MAC of `macs`. The primitives are
`cryptography`'s, imported when a key is first made; keeping the table costs no import.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import TYPE_CHECKING, Any, NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.macs import MAC_FAILED
from pyssh_cli.protocol.messages import DISCONNECT_MAC_ERROR
from pyssh_cli.protocol.packet import HEADER, Opener, Sealer, check_length, padding_for, payload_of

if TYPE_CHECKING:
    from pyssh_cli.protocol.macs import Mac


class AesGcmSealer:
    """aes*-gcm@openssh.com: AES-GCM as in RFC 5647, packet_length in the clear and authenticated."""

    TAG = 16

    def __init__(self, key: bytes, iv: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._encrypt_into = AESGCM(key).encrypt_into
        self._fixed = iv[:4]
        self._invocation = int.from_bytes(iv[4:], "big")

    def sealed_size(self, length: int) -> int:
        return HEADER + length + padding_for(1 + length, 16) + self.TAG

    def seal(self, buffer: memoryview, start: int, length: int, sequence: int) -> int:  # noqa: ARG002
        padding = padding_for(1 + length, 16)
        body = start + 4
        end = start + HEADER + length + padding
        buffer[start:body] = aad = (end - body).to_bytes(4, "big")
        buffer[body] = padding
        buffer[end - padding : end] = urandom(padding)
        nonce = self._fixed + self._invocation.to_bytes(8, "big")
        self._invocation = (self._invocation + 1) & 0xFFFFFFFFFFFFFFFF
        self._encrypt_into(nonce, buffer[body:end], aad, buffer[body : end + 16])
        return end + 16


class AesGcmOpener:
    """The counterpart of `AesGcmSealer`."""

    TAG = 16

    def __init__(self, key: bytes, iv: bytes) -> None:
        from struct import Struct  # as late as the package: -Q and -G need neither

        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._decrypt_into = AESGCM(key).decrypt_into
        self._invalid = InvalidTag
        self._uint32_at = Struct(">I").unpack_from
        self._fixed = iv[:4]
        self._invocation = int.from_bytes(iv[4:], "big")

    def packet_size(self, buffer: memoryview, start: int, end: int, sequence: int) -> int:  # noqa: ARG002
        if end - start < 4:
            return 0
        (packet_length,) = self._uint32_at(buffer, start)  # a view and from_bytes take three times as long
        return 20 + check_length(packet_length, packet_length, 16)

    def open(self, buffer: memoryview, start: int, size: int, sequence: int) -> memoryview:  # noqa: ARG002
        body = start + 4
        end = start + size
        nonce = self._fixed + self._invocation.to_bytes(8, "big")
        self._invocation = (self._invocation + 1) & 0xFFFFFFFFFFFFFFFF
        try:
            self._decrypt_into(nonce, buffer[body:end], buffer[start:body], buffer[body : end - 16])
        except self._invalid:
            raise ProtocolError(MAC_FAILED, DISCONNECT_MAC_ERROR) from None
        return payload_of(buffer, start, size - 20)


_ZEROS = bytes(64)
_BLOCK_0 = bytes(8)


class _ChaCha20Poly1305:
    """What both directions of chacha20-poly1305@openssh.com share (OpenSSH's PROTOCOL.chacha20poly1305).

    Two ChaCha20 keys: the second half of the key material encrypts packet_length alone, the first half the
    rest. The nonce is the sequence number; block 0 of the main key stream makes the Poly1305 key, the payload
    starts with block 1.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:  # noqa: ARG002  (this cipher has no IV)
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        self._main: Any = Cipher(ChaCha20(key[:32], bytes(16)), None).encryptor()
        self._header: Any = Cipher(ChaCha20(key[32:], bytes(16)), None).encryptor()
        self._poly1305 = Poly1305


class ChaCha20Poly1305Sealer(_ChaCha20Poly1305):
    """Seals under chacha20-poly1305@openssh.com."""

    def sealed_size(self, length: int) -> int:
        return HEADER + length + padding_for(1 + length, 8) + 16

    def seal(self, buffer: memoryview, start: int, length: int, sequence: int) -> int:
        padding = padding_for(1 + length, 8)
        body = start + 4
        end = start + HEADER + length + padding
        buffer[body] = padding
        buffer[end - padding : end] = urandom(padding)
        nonce = _BLOCK_0 + sequence.to_bytes(8, "big")
        self._header.reset_nonce(nonce)
        buffer[start:body] = self._header.update((end - body).to_bytes(4, "big"))
        main = self._main
        main.reset_nonce(nonce)
        poly_key = main.update(_ZEROS)[:32]
        main.update_into(buffer[body:end], buffer[body:end])
        buffer[end : end + 16] = self._poly1305.generate_tag(poly_key, buffer[start:end])
        return end + 16


class ChaCha20Poly1305Opener(_ChaCha20Poly1305):
    """Opens under chacha20-poly1305@openssh.com."""

    def __init__(self, key: bytes, iv: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        super().__init__(key, iv)
        self._invalid = InvalidSignature

    def packet_size(self, buffer: memoryview, start: int, end: int, sequence: int) -> int:
        if end - start < 4:
            return 0
        self._header.reset_nonce(_BLOCK_0 + sequence.to_bytes(8, "big"))
        packet_length = int.from_bytes(self._header.update(buffer[start : start + 4]), "big")
        return 20 + check_length(packet_length, packet_length, 8)

    def open(self, buffer: memoryview, start: int, size: int, sequence: int) -> memoryview:
        main = self._main
        main.reset_nonce(_BLOCK_0 + sequence.to_bytes(8, "big"))
        poly_key = main.update(_ZEROS)[:32]
        end = start + size - 16
        try:
            self._poly1305.verify_tag(poly_key, buffer[start:end], bytes(buffer[end : end + 16]))
        except self._invalid:
            raise ProtocolError(MAC_FAILED, DISCONNECT_MAC_ERROR) from None
        main.update_into(buffer[start + 4 : end], buffer[start + 4 : end])
        return payload_of(buffer, start, size - 20)


def _aes_ctr(key: bytes, iv: bytes) -> Any:
    """A running AES-CTR key stream (RFC 4344 section 4); the same for both directions."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    return Cipher(AES(key), CTR(iv)).encryptor()


def _cbc_encryptor(key: bytes, iv: bytes) -> Any:
    from pyssh_cli.protocol.cbc import encryptor

    return encryptor(key, iv)


def _cbc_decryptor(key: bytes, iv: bytes) -> Any:
    from pyssh_cli.protocol.cbc import decryptor

    return decryptor(key, iv)


class CipherAndMacSealer:
    """A stream of blocks and a MAC over sequence number and packet (RFC 4253 sections 6.3 and 6.4).

    The MAC covers the plain packet, or with an -etm MAC the encrypted one with packet_length in the clear.
    """

    def __init__(self, stream: Any, block: int, mac: Mac) -> None:
        self._stream = stream
        self._block = block
        self._mac = mac
        self._clear = 4 if mac.etm else 0  # bytes at the front that are not encrypted, nor padded for

    def sealed_size(self, length: int) -> int:
        padding = padding_for(HEADER - self._clear + length, self._block)
        return HEADER + length + padding + self._mac.size

    def seal(self, buffer: memoryview, start: int, length: int, sequence: int) -> int:
        padding = padding_for(HEADER - self._clear + length, self._block)
        end = start + HEADER + length + padding
        buffer[start : start + 4] = (end - start - 4).to_bytes(4, "big")
        buffer[start + 4] = padding
        buffer[end - padding : end] = urandom(padding)
        mac = self._mac
        secret = buffer[start + self._clear : end]
        if mac.etm:
            self._stream.update_into(secret, secret)
            tag = mac.tag(sequence, buffer[start:end])
        else:
            tag = mac.tag(sequence, buffer[start:end])
            self._stream.update_into(secret, secret)
        buffer[end : end + mac.size] = tag
        return end + mac.size


class CipherAndMacOpener:
    """The counterpart of `CipherAndMacSealer`."""

    def __init__(self, stream: Any, block: int, mac: Mac) -> None:
        self._stream = stream
        self._block = block
        self._mac = mac
        self._packet_length = 0  # of the packet whose first block has been decrypted already

    def packet_size(self, buffer: memoryview, start: int, end: int, sequence: int) -> int:  # noqa: ARG002
        if self._mac.etm:
            if end - start < 4:
                return 0
            packet_length = int.from_bytes(buffer[start : start + 4], "big")
            check_length(packet_length, packet_length, self._block)
        else:
            if not self._packet_length:
                if end - start < self._block:
                    return 0
                first = buffer[start : start + self._block]
                self._stream.update_into(first, first)
                packet_length = int.from_bytes(first[:4], "big")
                self._packet_length = check_length(packet_length, packet_length + 4, self._block)
            packet_length = self._packet_length
        return 4 + packet_length + self._mac.size

    def open(self, buffer: memoryview, start: int, size: int, sequence: int) -> memoryview:
        mac = self._mac
        end = start + size - mac.size
        if mac.etm:
            mac.check(sequence, buffer[start:end], buffer[end : end + mac.size])
            secret = buffer[start + 4 : end]
            self._stream.update_into(secret, secret)
        else:
            secret = buffer[start + self._block : end]
            self._stream.update_into(secret, secret)
            self._packet_length = 0
            mac.check(sequence, buffer[start:end], buffer[end : end + mac.size])
        return payload_of(buffer, start, end - start - 4)


class CipherSpec(NamedTuple):
    """One row of the table; sizes in bytes.

    A cipher with `aead` needs no MAC; one without has `encrypt` and `decrypt`, which make what turns one block
    after another. `cbc` marks ciphers whose packets need care while they are not authenticated. `default` tells
    whether the cipher is offered without being asked for.
    """

    name: str
    key_size: int
    iv_size: int
    block_size: int
    aead: tuple[Callable[[bytes, bytes], Sealer], Callable[[bytes, bytes], Opener]] | None = None
    encrypt: Callable[[bytes, bytes], Any] | None = None
    decrypt: Callable[[bytes, bytes], Any] | None = None
    cbc: bool = False
    default: bool = True

    def sealer(self, key: bytes, iv: bytes, mac: Mac | None) -> Sealer:
        """What seals packets under this cipher; `mac` is None with an AEAD cipher and needed with another."""
        if self.aead:
            return self.aead[0](key, iv)
        assert self.encrypt is not None
        assert mac is not None
        return CipherAndMacSealer(self.encrypt(key, iv), self.block_size, mac)

    def opener(self, key: bytes, iv: bytes, mac: Mac | None) -> Opener:
        """What opens packets under this cipher; as `sealer`."""
        if self.aead:
            return self.aead[1](key, iv)
        assert self.decrypt is not None
        assert mac is not None
        if self.cbc and not mac.etm:
            from pyssh_cli.protocol.cbc import CbcAndMacOpener

            return CbcAndMacOpener(self.decrypt(key, iv), self.block_size, mac)
        return CipherAndMacOpener(self.decrypt(key, iv), self.block_size, mac)


def _ctr(bits: int) -> CipherSpec:
    return CipherSpec(f"aes{bits}-ctr", bits // 8, 16, 16, encrypt=_aes_ctr, decrypt=_aes_ctr)


def _gcm(bits: int) -> CipherSpec:
    return CipherSpec(f"aes{bits}-gcm@openssh.com", bits // 8, 12, 16, aead=(AesGcmSealer, AesGcmOpener))


def _cbc(name: str, key_size: int, block_size: int) -> CipherSpec:
    return CipherSpec(
        name,
        key_size,
        block_size,
        block_size,
        encrypt=_cbc_encryptor,
        decrypt=_cbc_decryptor,
        cbc=True,
        default=False,
    )


_CHACHA = "chacha20-poly1305@openssh.com"

CIPHERS: dict[str, CipherSpec] = {
    spec.name: spec
    for spec in (
        _gcm(128),
        _gcm(256),
        CipherSpec(_CHACHA, 64, 0, 8, aead=(ChaCha20Poly1305Sealer, ChaCha20Poly1305Opener)),
        _ctr(128),
        _ctr(192),
        _ctr(256),
        _cbc("aes128-cbc", 16, 16),
        _cbc("aes192-cbc", 24, 16),
        _cbc("aes256-cbc", 32, 16),
        _cbc("3des-cbc", 24, 8),
    )
}
"""Every cipher, in the order of the default list where AES is quick; then those used only when asked for."""


def default_ciphers(aes_in_hardware: bool = True) -> tuple[str, ...]:
    """The default of Ciphers: AES-GCM leads unless the CPU is known to have no AES instructions."""
    names = tuple(name for name, spec in CIPHERS.items() if spec.default)
    if aes_in_hardware:
        return names
    return (_CHACHA, *(name for name in names if name != _CHACHA))
