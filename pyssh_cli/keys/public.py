"""Public keys: reading their blobs and lines, fingerprints, and judging signatures.

Not whom a key belongs to: `known_hosts` knows that. Reading, comparing and fingerprints need no cryptography
package; the first `verify` loads the part of it that the key's type needs.
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, KEY_TYPES, KeyAlgorithm, KeyType
from pyssh_cli.wire import Reader

RSA_MODULUS_BITS = range(1024, 16384 + 1)
"""What OpenSSH takes for an RSA modulus; RequiredRSASize may ask for more, not less."""


class PublicKey(NamedTuple):
    """A public key in its wire form (RFC 4253 section 6.6). Made by `parse`; equal when the blobs are.

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
        RFC 8709 section 4); whether a point lies on its curve shows when the key is used.
        """
        reader = Reader(blob)
        try:
            type_name = reader.string().decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("key type is not US-ASCII") from None
        if not type_name or not type_name.isprintable() or " " in type_name or len(type_name) > 64:
            raise ProtocolError("key type is not a name")
        row = KEY_TYPES.get(type_name)
        if row is None or type_name not in _VERIFIERS:
            return cls(type_name, bytes(blob), row.bits if row else 0)
        bits = row.bits
        if type_name == "ssh-rsa":
            bits = _check_rsa(reader.mpint(), reader.mpint())
        elif row.curve:
            _check_point(row, reader.string(), reader.string())
        elif len(reader.view()) != 32:
            raise ProtocolError("Ed25519 public key is not 32 bytes long")
        reader.end()
        return cls(type_name, bytes(blob), bits)

    @property
    def short_name(self) -> str:
        """What ssh calls the type in messages: "ED25519", "ECDSA", "RSA"; the type itself for one we lack."""
        row = KEY_TYPES.get(self.type)
        return row.short_name if row else self.type

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """The fingerprint as ssh-keygen -l prints it: "SHA256:" and base64 without padding, or "MD5:" and hex
        pairs with colons (FingerprintHash in ssh_config(5)). ValueError for any other hash."""
        import hashlib

        if hash_name == "sha256":
            digest = hashlib.sha256(self.blob).digest()
            return "SHA256:" + binascii.b2a_base64(digest, newline=False).decode("ascii").rstrip("=")
        if hash_name == "md5":
            # A name for a person to compare, not a protection: FIPS builds allow it when told so.
            return "MD5:" + hashlib.md5(self.blob, usedforsecurity=False).digest().hex(":")
        raise ValueError(f"no fingerprint of hash {hash_name}")

    def line(self, comment: str = "") -> str:
        """The key as a .pub file or known_hosts holds it: type, base64 and perhaps a comment, no newline."""
        encoded = binascii.b2a_base64(self.blob, newline=False).decode("ascii")
        return f"{self.type} {encoded} {comment}".rstrip(" ")

    def verify(self, algorithm: str, data: bytes, signature_blob: bytes) -> bool:
        """Whether `signature_blob` is this key's signature of `data` by `algorithm`.

        `signature_blob` is the whole SSH signature: string of the algorithm's name, string of the signature (RFC
        4253 section 6.6). False, never an exception, when it names another algorithm, does not fit the key's
        type, is malformed, or is wrong.
        """
        row = KEY_ALGORITHMS.get(algorithm)
        if row is None or row.key_type != self.type:
            return False
        try:
            reader = Reader(signature_blob)
            if reader.view() != algorithm.encode("ascii"):
                return False
            signature = reader.string()
            reader.end()
            return _VERIFIERS[self.type](row, self.blob, data, signature)
        except ProtocolError:
            return False


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


def _verify_ed25519(_row: KeyAlgorithm, blob: bytes, data: bytes, signature: bytes) -> bool:
    """RFC 8709 section 6: the signature is 64 bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(blob[-32:]).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_ecdsa(row: KeyAlgorithm, blob: bytes, data: bytes, signature: bytes) -> bool:
    """RFC 5656 section 3.1.2: the signature is mpint r, mpint s."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    from pyssh_cli.keys.primitives import CURVES, hash_of

    numbers = Reader(signature)
    r, s = numbers.mpint(), numbers.mpint()
    numbers.end()
    reader = Reader(blob)
    reader.view()
    curve, point = reader.string().decode("ascii"), reader.string()
    if not r or not s or max(r, s).bit_length() > KEY_TYPES[row.key_type].bits:
        return False
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[curve](), point)
        key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hash_of(row.hash_name)))
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_rsa(row: KeyAlgorithm, blob: bytes, data: bytes, signature: bytes) -> bool:
    """RFC 8332 section 3: RSASSA-PKCS1-v1_5, as long as the modulus; leading zeros may have been left out
    by old signers, as OpenSSH allows too."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    from pyssh_cli.keys.primitives import hash_of

    reader = Reader(blob)
    reader.view()
    exponent, modulus = reader.mpint(), reader.mpint()
    size = (modulus.bit_length() + 7) // 8
    if not signature or len(signature) > size:
        return False
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        key.verify(signature.rjust(size, b"\0"), data, padding.PKCS1v15(), hash_of(row.hash_name))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


_VERIFIERS = {
    "ssh-ed25519": _verify_ed25519,
    "ecdsa-sha2-nistp256": _verify_ecdsa,
    "ecdsa-sha2-nistp384": _verify_ecdsa,
    "ecdsa-sha2-nistp521": _verify_ecdsa,
    "ssh-rsa": _verify_rsa,
}
"""Key type to the function that judges its signatures: (algorithm row, key blob, data, bare signature)."""
