"""Public keys and the certificates of some: reading their blobs and lines, and fingerprints.

Not whom a key belongs to, which `known_hosts` knows, nor what a certificate says, which `certificates` does.
Reading, comparing and fingerprints need no cryptography package; the first `verify` imports `signatures`.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, NamedTuple

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import (
    CERTIFICATE_TYPES,
    KEY_ALGORITHMS,
    KEY_TYPES,
    MLDSA44_ED25519,
    SK_ED25519,
    KeyType,
    plain_type,
)
from pyssh_cli.wire import Reader

if TYPE_CHECKING:
    from pyssh_cli.keys.certificates import Certificate

RSA_MODULUS_BITS = range(1024, 16384 + 1)
"""What OpenSSH takes for an RSA modulus; RequiredRSASize may ask for more, not less."""

_POINT_SIZES = {"ssh-ed25519": 32, SK_ED25519: 32, MLDSA44_ED25519: 1312 + 32}
"""Bytes of the keys that are one string."""


class PublicKey(NamedTuple):
    """A public key, or a certificate of one, in its wire form (RFC 4253 section 6.6). Made by `parse`; equal when
    the blobs are.

    `type` is the first string of `blob`. `bits` is the size as ssh-keygen -l tells it, 0 for a type we do not
    know.
    """

    type: str
    blob: bytes
    bits: int = 0

    def __repr__(self) -> str:
        return f"PublicKey({self.type}, {self.bits} bits)"

    @classmethod
    def parse(cls, blob: bytes) -> PublicKey:
        """Read a complete blob: strings of type, then of what the type asks for, and nothing after them.

        A type that is not ours gives a key that can be listed, compared and fingerprinted only. Raises
        ProtocolError for a blob of a known type that is malformed (RFC 4253 section 6.6, RFC 5656 section 3.1,
        RFC 8709 section 4, OpenSSH's PROTOCOL.u2f and PROTOCOL.certkeys); whether a point lies on its curve shows
        when the key is used, and a certificate's signature is not checked here.
        """
        reader = Reader(blob)
        type_name = read_type(reader)
        if type_name in CERTIFICATE_TYPES:
            from pyssh_cli.keys.certificates import Certificate

            return cls(type_name, bytes(blob), Certificate.parse(blob).key.bits)
        row = KEY_TYPES.get(type_name)
        if row is None:
            return cls(type_name, bytes(blob))
        bits = read_fields(reader, row)
        reader.end()
        return cls(type_name, bytes(blob), bits)

    @property
    def is_certificate(self) -> bool:
        """Whether this is a certificate, and so has another `plain` than itself."""
        return self.type in CERTIFICATE_TYPES

    @property
    def plain(self) -> PublicKey:
        """The key without what a certificate says of it."""
        return self.certificate().key if self.is_certificate else self

    def certificate(self) -> Certificate:
        """What the certificate says. ProtocolError for a plain key."""
        from pyssh_cli.keys.certificates import Certificate

        return Certificate.parse(self.blob)

    def is_smaller_rsa_than(self, bits: int) -> bool:
        """Whether this is an RSA key, certified or not, of fewer than `bits` (RequiredRSASize)."""
        return plain_type(self.type) == "ssh-rsa" and self.bits < bits

    @property
    def short_name(self) -> str:
        """What ssh calls the type in messages: "ED25519", "ECDSA", "RSA-CERT"; the type itself for one we
        lack."""
        row = KEY_TYPES.get(plain_type(self.type))
        if row is None:
            return self.type
        return row.short_name + ("-CERT" if self.is_certificate else "")

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """The fingerprint as ssh-keygen -l prints it: "SHA256:" and base64 without padding, or "MD5:" and hex
        pairs with colons (FingerprintHash in ssh_config(5)). A certificate has its key's. ValueError for any
        other hash."""
        digest = self.digest(hash_name)
        if hash_name == "md5":
            return "MD5:" + digest.hex(":")
        return f"{hash_name.upper()}:" + binascii.b2a_base64(digest, newline=False).decode("ascii").rstrip("=")

    def digest(self, hash_name: str) -> bytes:
        """The bytes of a fingerprint. ValueError for a hash that is not "sha256" or "md5"."""
        import hashlib

        if hash_name == "sha256":
            return hashlib.sha256(self.plain.blob).digest()
        if hash_name == "md5":
            # A name for a person to compare, not a protection: FIPS builds allow it when told so.
            return hashlib.md5(self.plain.blob, usedforsecurity=False).digest()
        raise ValueError(f"no fingerprint of hash {hash_name}")

    def line(self, comment: str = "") -> str:
        """The key as a .pub file or known_hosts holds it: type, base64 and perhaps a comment, no newline."""
        encoded = binascii.b2a_base64(self.blob, newline=False).decode("ascii")
        return f"{self.type} {encoded} {comment}".rstrip(" ")

    def verify(self, algorithm: str, data: bytes, signature_blob: bytes) -> bool:
        """Whether `signature_blob` is this key's signature of `data` by `algorithm`.

        `signature_blob` is the whole SSH signature: string of the algorithm's name (the plain one's for a
        certificate's), string of the signature (RFC 4253 section 6.6), and more for a security key. False, never
        an exception, when it names another algorithm, does not fit the key's type, is malformed, or is wrong.
        """
        row = KEY_ALGORITHMS.get(algorithm)
        if row is None or row.key_type != self.type:
            return False
        from pyssh_cli.keys import signatures

        try:
            return signatures.verify(row, self.plain.blob, data, signature_blob)
        except ProtocolError:
            return False


def read_type(reader: Reader) -> str:
    """The first string of a blob, which names the key's type. Raises ProtocolError for what is no name."""
    try:
        name = reader.string().decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError("key type is not US-ASCII") from None
    if not name or not name.isprintable() or " " in name or len(name) > 64:
        raise ProtocolError("key type is not a name")
    return name


def read_fields(reader: Reader, row: KeyType) -> int:
    """Walk over what makes a key of the type `row`, which in a blob follows the type and in a certificate the
    nonce; returns the key's size in bits. Raises ProtocolError."""
    bits = row.bits
    if row.name == "ssh-rsa":
        bits = _check_rsa(reader.mpint(), reader.mpint())
    elif row.curve:
        _check_point(row, reader.string(), reader.string())
    elif len(reader.view()) != _POINT_SIZES[row.name]:
        raise ProtocolError(f"{row.short_name} public key is not {_POINT_SIZES[row.name]} bytes long")
    if row.security_key and b"\0" in reader.string():
        raise ProtocolError("the application's name of a security key holds a NUL")
    return bits


def parse_public_line(line: str) -> tuple[PublicKey, str]:
    """Read one line of a .pub file: type, base64 of the blob, and the comment (sshd(8), AUTHORIZED_KEYS
    FILE FORMAT, without options).

    Returns the key and the comment, which is not cleaned for a terminal. Raises KeyFileError.
    """
    fields = line.strip(" \t\r\n").split(None, 2)
    if len(fields) < 2:
        raise KeyFileError("not a public key: a line needs a type and a key in base64")
    key = decode_key(fields[0], fields[1].encode("utf-8", "surrogateescape"))
    return key, fields[2] if len(fields) == 3 else ""


def parse_public_file(data: bytes) -> tuple[PublicKey, str]:
    """The first key of a .pub file's content, and its comment. Raises KeyFileError when no line holds one."""
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            return parse_public_line(line)
    raise KeyFileError("no public key in the file")


def decode_key(type_name: str, encoded: bytes) -> PublicKey:
    """The key whose blob is `encoded` in base64, and which has to be of type `type_name`. Raises KeyFileError."""
    try:
        key = PublicKey.parse(binascii.a2b_base64(encoded, strict_mode=True))
    except binascii.Error:
        raise KeyFileError("public key is not base64") from None
    except ProtocolError as error:
        raise KeyFileError(f"public key is malformed: {error}") from None
    if key.type != type_name:
        raise KeyFileError("public key is not of the type that its line says")
    return key


def _check_rsa(exponent: int, modulus: int) -> int:
    """Refuse numbers that are no RSA key worth the name; the modulus' size in bits."""
    bits = modulus.bit_length()
    if bits not in RSA_MODULUS_BITS:
        raise ProtocolError(f"RSA modulus of {bits} bits, outside of 1024 to 16384")
    if exponent < 3 or exponent % 2 == 0 or exponent >= modulus:
        raise ProtocolError("RSA public exponent is even or out of range")
    if modulus % 2 == 0:
        raise ProtocolError("RSA modulus is even")
    return bits


def _check_point(row: KeyType, curve: bytes, point: bytes) -> None:
    """Refuse a curve other than the type's, and anything but an uncompressed point of its size."""
    if curve != row.curve.encode("ascii"):
        raise ProtocolError("ECDSA key names another curve than its type")
    if len(point) != 1 + 2 * ((row.bits + 7) // 8) or point[0] != 4:
        raise ProtocolError("ECDSA public point is not an uncompressed point of its curve")
