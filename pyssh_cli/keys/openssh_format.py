"""OpenSSH's own private key files: "openssh-key-v1", plain or encrypted (OpenSSH's PROTOCOL.key).

Bytes in, numbers out. Not PEM and PKCS#8, which `pem` reads.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import NamedTuple

from pyssh_cli.errors import KeyFileError, PassphraseNeeded, ProtocolError, WrongPassphrase
from pyssh_cli.keys.algorithms import KEY_TYPES, MLDSA44_ED25519
from pyssh_cli.keys.numbers import (
    CompositeNumbers,
    EcdsaNumbers,
    Ed25519Numbers,
    KeyNumbers,
    RsaNumbers,
    SecurityKeyNumbers,
)
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import printable
from pyssh_cli.wire import Reader

BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"

MAX_BCRYPT_ROUNDS = 1 << 16
"""About ten minutes of work. ssh-keygen -a takes more, but a file that asks for it is damaged or a trap."""


class KeyFileCipher(NamedTuple):
    """How a key file's private section is sealed: sizes in bytes, and `unseal(key, iv, sealed, tag)`.

    `unseal` returns the plain section, or raises WrongPassphrase where the cipher can tell.
    """

    key_size: int
    iv_size: int
    block_size: int
    tag_size: int
    unseal: Callable[[bytes, bytes, bytes, bytes], bytes]


class KeyFile(NamedTuple):
    """The outer layer of a file: all of it can be read without the passphrase."""

    cipher: str
    kdf: str
    kdf_options: bytes
    public: PublicKey
    sealed: bytes
    tag: bytes

    def __repr__(self) -> str:
        return f"KeyFile({self.cipher}, {self.kdf}, {self.public})"  # nothing of what is sealed

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return self.cipher != "none"


def parse(data: bytes) -> KeyFile:
    """Read the outer layer of a file that begins with `BEGIN`. Raises KeyFileError."""
    try:
        return _parse(_body(data))
    except ProtocolError as error:
        raise KeyFileError(f"the key file is damaged: {error}") from None


def open_sealed(file: KeyFile, passphrase: str | None) -> tuple[KeyNumbers, str]:
    """The private numbers and the comment within `file`.

    `passphrase` is not looked at where the file is not encrypted. Raises PassphraseNeeded, WrongPassphrase, or
    KeyFileError for what is damaged or not ours.
    """
    if file.encrypted:
        if passphrase is None:
            raise PassphraseNeeded("the private key is encrypted and there is no passphrase for it")
        section = _unseal(file, passphrase)
    else:
        section = file.sealed
    try:
        return _private_section(section, file)
    except ProtocolError as error:
        raise KeyFileError(f"the private part is damaged: {error}") from None


def _body(data: bytes) -> bytes:
    start = data.index(BEGIN) + len(BEGIN)
    end = data.find(_END, start)
    if end < 0:
        raise KeyFileError("the key file is cut off: its END line is missing")
    try:
        return binascii.a2b_base64(b"".join(data[start:end].split()), strict_mode=True)
    except binascii.Error:
        raise KeyFileError("the key file is damaged: its content is not base64") from None


def _parse(body: bytes) -> KeyFile:
    reader = Reader(body)
    if reader.take(min(len(_MAGIC), reader.remaining())) != _MAGIC:
        raise KeyFileError("the key file is damaged: it does not hold an openssh-key-v1")
    cipher, kdf = reader.text(), reader.text()
    kdf_options = reader.string()
    if reader.uint32() != 1:
        raise KeyFileError("the key file does not hold exactly one key")
    public = PublicKey.parse(reader.string())
    row = KEY_FILE_CIPHERS.get(cipher)
    if row is None and cipher != "none":
        raise KeyFileError(f"the key file is encrypted with {printable(cipher)}, which is not supported")
    if kdf != ("bcrypt" if row else "none"):
        raise KeyFileError(f"the key file derives its key with {printable(kdf)}, which is not supported")
    sealed = reader.string()
    tag = bytes(reader.take(row.tag_size if row else 0))
    reader.end()
    block_size = row.block_size if row else 8
    if len(sealed) < block_size or len(sealed) % block_size:
        raise KeyFileError("the key file is damaged: its private part is not whole cipher blocks")
    return KeyFile(cipher, kdf, kdf_options, public, sealed, tag)


def _unseal(file: KeyFile, passphrase: str) -> bytes:
    import bcrypt

    row = KEY_FILE_CIPHERS[file.cipher]
    options = Reader(file.kdf_options)
    try:
        salt, rounds = options.string(), options.uint32()
        options.end()
    except ProtocolError:
        raise KeyFileError("the key file is damaged: its bcrypt options are malformed") from None
    if not 1 <= rounds <= MAX_BCRYPT_ROUNDS or not 1 <= len(salt) <= 1024:
        raise KeyFileError("the key file is damaged: its bcrypt options are out of range")
    if not passphrase:
        raise WrongPassphrase("the passphrase is wrong")  # an encrypted file never has an empty one
    material = bcrypt.kdf(
        password=passphrase.encode("utf-8", "surrogateescape"),
        salt=salt,
        desired_key_bytes=row.key_size + row.iv_size,
        rounds=rounds,
        ignore_few_rounds=True,  # the file's owner chose them; a warning would not change the file
    )
    return row.unseal(material[: row.key_size], material[row.key_size :], file.sealed, file.tag)


def _private_section(section: bytes, file: KeyFile) -> tuple[KeyNumbers, str]:
    """PROTOCOL.key section 3: two equal check integers, the key, its comment, padding of 1, 2, 3 and so on."""
    reader = Reader(section)
    if reader.uint32() != reader.uint32():
        if file.encrypted:
            raise WrongPassphrase("the passphrase is wrong")
        raise KeyFileError("the private part is damaged: its check integers differ")
    numbers = _numbers(reader)
    comment = reader.text()
    padding = reader.rest()
    if len(padding) >= 256 or padding != bytes(range(1, len(padding) + 1)):
        raise KeyFileError("the private part is damaged: its padding is wrong")
    if numbers.public_blob() != file.public.blob:
        raise KeyFileError("the private and the public part of the file are of different keys")
    return numbers, comment


def _numbers(reader: Reader) -> KeyNumbers:
    type_name = reader.text()
    row = KEY_TYPES.get(type_name)
    if type_name == "ssh-ed25519":
        point, secret = reader.string(), reader.string()
        if len(point) != 32 or len(secret) != 64 or secret[32:] != point:
            raise KeyFileError("the private part is damaged: its Ed25519 key is malformed")
        return Ed25519Numbers(secret[:32], point)
    if type_name == "ssh-rsa":
        modulus, exponent, private_exponent = reader.mpint(), reader.mpint(), reader.mpint()
        return RsaNumbers(modulus, exponent, private_exponent, reader.mpint(), reader.mpint(), reader.mpint())
    if type_name == MLDSA44_ED25519:
        points, seeds = reader.string(), reader.string()
        if len(seeds) != 64:
            raise KeyFileError("the private part is damaged: its seeds are not 64 bytes long")
        return CompositeNumbers(seeds, points)
    if row is not None and row.security_key:
        curve = reader.text() if row.curve else ""
        if curve != row.curve:
            raise KeyFileError("the private part is damaged: its curve is not the one of its type")
        return SecurityKeyNumbers(
            row.name, curve, reader.string(), reader.string(), reader.byte(), reader.string(), reader.string()
        )
    if row is not None and type_name == f"ecdsa-sha2-{row.curve}":
        if reader.text() != row.curve:
            raise KeyFileError("the private part is damaged: its curve is not the one of its type")
        return EcdsaNumbers(row.curve, reader.string(), reader.mpint())
    raise KeyFileError(f"private keys of type {printable(type_name)} are not supported")


def _unseal_ctr(key: bytes, iv: bytes, sealed: bytes, _tag: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.CTR(iv)).decryptor().update(sealed)


def _unseal_cbc(key: bytes, iv: bytes, sealed: bytes, _tag: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(sealed)


def _unseal_3des(key: bytes, iv: bytes, sealed: bytes, _tag: bytes) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher, modes

    try:
        return Cipher(TripleDES(key), modes.CBC(iv)).decryptor().update(sealed)
    except UnsupportedAlgorithm:
        raise KeyFileError("the key file is encrypted with 3des-cbc, which this OpenSSL lacks") from None


def _unseal_gcm(key: bytes, iv: bytes, sealed: bytes, tag: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(iv, sealed + tag, None)
    except InvalidTag:
        raise WrongPassphrase("the passphrase is wrong") from None


def _unseal_chacha20_poly1305(key: bytes, _iv: bytes, sealed: bytes, tag: bytes) -> bytes:
    """PROTOCOL.chacha20poly1305 with sequence number 0 and no length field: only the first half of the key
    is used, block 0 keys Poly1305 and the text starts at block 1."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    def stream(block: int) -> Cipher[None]:
        return Cipher(algorithms.ChaCha20(key[:32], block.to_bytes(16, "little")), mode=None)

    poly_key = stream(0).encryptor().update(bytes(32))
    try:
        Poly1305.verify_tag(poly_key, sealed, tag)
    except InvalidSignature:
        raise WrongPassphrase("the passphrase is wrong") from None
    return stream(1).decryptor().update(sealed)


KEY_FILE_CIPHERS: dict[str, KeyFileCipher] = {
    "aes128-ctr": KeyFileCipher(16, 16, 16, 0, _unseal_ctr),
    "aes192-ctr": KeyFileCipher(24, 16, 16, 0, _unseal_ctr),
    "aes256-ctr": KeyFileCipher(32, 16, 16, 0, _unseal_ctr),
    "aes128-cbc": KeyFileCipher(16, 16, 16, 0, _unseal_cbc),
    "aes192-cbc": KeyFileCipher(24, 16, 16, 0, _unseal_cbc),
    "aes256-cbc": KeyFileCipher(32, 16, 16, 0, _unseal_cbc),
    "3des-cbc": KeyFileCipher(24, 8, 8, 0, _unseal_3des),
    "aes128-gcm@openssh.com": KeyFileCipher(16, 12, 16, 16, _unseal_gcm),
    "aes256-gcm@openssh.com": KeyFileCipher(32, 12, 16, 16, _unseal_gcm),
    "chacha20-poly1305@openssh.com": KeyFileCipher(64, 0, 8, 16, _unseal_chacha20_poly1305),
}
"""ssh-keygen -Z takes these names, all that ssh -Q cipher lists."""
