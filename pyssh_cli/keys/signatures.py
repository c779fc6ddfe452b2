"""Judging signatures: for every signature algorithm the function that does it.

Not which algorithms are allowed, which is the caller's list. `public` imports this when the first signature is
judged; each function loads the part of the cryptography package that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.keys.algorithms import (
    KEY_TYPES,
    MLDSA44_ED25519,
    SK_ECDSA,
    SK_ED25519,
    WEBAUTHN_SK_ECDSA,
    KeyAlgorithm,
)
from pyssh_cli.wire import Reader, uint32

MLDSA44_PUBLIC_SIZE = 1312
MLDSA44_SIGNATURE_SIZE = 2420
"""FIPS 204 section 4, table 2: bytes."""

_COMPOSITE_PREFIX = b"CompositeAlgorithmSignatures2025"
COMPOSITE_LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"
"""draft-ietf-lamps-pq-composite-sigs: what both halves sign begins with the prefix and this label, and the label
is ML-DSA's context."""

_ATTESTED_DATA = 0x40
_EXTENSION_DATA = 0x80
"""Flags of authenticator data (WebAuthn section 6.1)."""


def verify(row: KeyAlgorithm, blob: bytes, data: bytes, signature_blob: bytes) -> bool:
    """Whether `signature_blob` is a signature of `data` with the plain key of `blob` by the algorithm of `row`.

    Raises WireError for one that is cut off or too long.
    """
    reader = Reader(signature_blob)
    if reader.view() != row.signature.encode("ascii"):
        return False
    fields = Reader(blob)
    fields.view()
    return _VERIFIERS[row.signature](row, fields, data, reader)


def composite_message(data: bytes) -> bytes:
    """What both halves of an ML-DSA-44 with Ed25519 signature of `data` sign, with no application context."""
    import hashlib

    return _COMPOSITE_PREFIX + COMPOSITE_LABEL + b"\0" + hashlib.sha512(data).digest()


def _bare(reader: Reader) -> bytes:
    """The one string that a signature consists of."""
    signature = reader.string()
    reader.end()
    return signature


def _verify_ed25519(_row: KeyAlgorithm, key: Reader, data: bytes, signature: Reader) -> bool:
    """RFC 8709 section 6."""
    return _ed25519_holds(key.string(), _bare(signature), data)


def _ed25519_holds(point: bytes, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(point).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_ecdsa(row: KeyAlgorithm, key: Reader, data: bytes, signature: Reader) -> bool:
    """RFC 5656 section 3.1.2."""
    return _ecdsa_holds(row, key.text(), key.string(), _bare(signature), data)


def _ecdsa_holds(row: KeyAlgorithm, curve: str, point: bytes, signature: bytes, data: bytes) -> bool:
    """`signature` is mpint r, mpint s."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    from pyssh_cli.keys.primitives import CURVES, hash_of

    numbers = Reader(signature)
    r, s = numbers.mpint(), numbers.mpint()
    numbers.end()
    bits = next(kind.bits for kind in KEY_TYPES.values() if kind.curve == curve)
    if not r or not s or max(r, s).bit_length() > bits:
        return False
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[curve](), point)
        public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hash_of(row.hash_name)))
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_rsa(row: KeyAlgorithm, key: Reader, data: bytes, signature: Reader) -> bool:
    """RFC 8332 section 3, and RFC 4253 section 6.6 for SHA-1: RSASSA-PKCS1-v1_5, as long as the modulus; leading
    zeros may have been left out by old signers, as OpenSSH allows too. False as well where the cryptography
    package or its policy has no SHA-1."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    from pyssh_cli.keys.primitives import hash_of

    exponent, modulus = key.mpint(), key.mpint()
    bare = _bare(signature)
    size = (modulus.bit_length() + 7) // 8
    if not bare or len(bare) > size:
        return False
    try:
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        public.verify(bare.rjust(size, b"\0"), data, padding.PKCS1v15(), hash_of(row.hash_name))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


class SecurityKeySignature(NamedTuple):
    """What a FIDO authenticator's signature says beside the signature itself (OpenSSH's PROTOCOL.u2f).

    `flags` are those of the authenticator data: 1 for a touch, 4 for a verified person. `counter` counts the
    authenticator's signatures. `origin`, `client_data` and `extensions` are of signatures that a browser asked
    for, and None else.
    """

    bare: bytes
    flags: int
    counter: int
    origin: bytes | None = None
    client_data: bytes | None = None
    extensions: bytes | None = None

    @classmethod
    def read(cls, reader: Reader, webauthn: bool) -> SecurityKeySignature:
        """Read what follows the algorithm's name, to the end."""
        bare, flags, counter = reader.string(), reader.byte(), reader.uint32()
        browser = (reader.string(), reader.string(), reader.string()) if webauthn else (None, None, None)
        reader.end()
        return cls(bare, flags, counter, *browser)

    def signed_data(self, application: bytes, data: bytes) -> bytes | None:
        """What the authenticator signed for `application`, if it was asked for `data`; None where a browser's
        words show that it was asked for something else."""
        import hashlib

        message = data
        if self.client_data is not None:
            if not self._is_of_a_browser(data):
                return None
            message = self.client_data
        authenticator_data = hashlib.sha256(application).digest() + bytes([self.flags]) + uint32(self.counter)
        return authenticator_data + (self.extensions or b"") + hashlib.sha256(message).digest()

    def _is_of_a_browser(self, data: bytes) -> bool:
        """Whether the browser's JSON, whose beginning WebAuthn section 5.8.1.1 lays down, holds `data` as its
        challenge, and the flags agree with what is there."""
        from base64 import urlsafe_b64encode

        assert self.origin is not None
        assert self.client_data is not None
        if b'"' in self.origin or b"\0" in self.origin:
            return False
        if self.flags & _ATTESTED_DATA or bool(self.flags & _EXTENSION_DATA) != bool(self.extensions):
            return False
        challenge = urlsafe_b64encode(data).rstrip(b"=")
        expected = b'{"type":"webauthn.get","challenge":"%b","origin":"%b"' % (challenge, self.origin)
        return self.client_data.startswith(expected)


def _verify_sk_ed25519(_row: KeyAlgorithm, key: Reader, data: bytes, signature: Reader) -> bool:
    point, application = key.string(), key.string()
    read = SecurityKeySignature.read(signature, webauthn=False)
    signed = read.signed_data(application, data)
    return signed is not None and _ed25519_holds(point, read.bare, signed)


def _verify_sk_ecdsa(row: KeyAlgorithm, key: Reader, data: bytes, signature: Reader) -> bool:
    curve, point, application = key.text(), key.string(), key.string()
    read = SecurityKeySignature.read(signature, webauthn=row.signature == WEBAUTHN_SK_ECDSA)
    signed = read.signed_data(application, data)
    return signed is not None and _ecdsa_holds(row, curve, point, read.bare, signed)


def _verify_mldsa44_ed25519(_row: KeyAlgorithm, key: Reader, data: bytes, signature: Reader) -> bool:
    """draft-ietf-sshm-composite-sigs: both signatures have to hold."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    points, bare = key.string(), _bare(signature)
    if len(bare) != MLDSA44_SIGNATURE_SIZE + 64:
        return False
    message = composite_message(data)
    try:
        public = MLDSA44PublicKey.from_public_bytes(points[:MLDSA44_PUBLIC_SIZE])
        public.verify(bare[:MLDSA44_SIGNATURE_SIZE], message, COMPOSITE_LABEL)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return _ed25519_holds(points[MLDSA44_PUBLIC_SIZE:], bare[MLDSA44_SIGNATURE_SIZE:], message)


_VERIFIERS: dict[str, Callable[[KeyAlgorithm, Reader, bytes, Reader], bool]] = {
    "ssh-ed25519": _verify_ed25519,
    "ecdsa-sha2-nistp256": _verify_ecdsa,
    "ecdsa-sha2-nistp384": _verify_ecdsa,
    "ecdsa-sha2-nistp521": _verify_ecdsa,
    SK_ED25519: _verify_sk_ed25519,
    SK_ECDSA: _verify_sk_ecdsa,
    WEBAUTHN_SK_ECDSA: _verify_sk_ecdsa,
    "rsa-sha2-512": _verify_rsa,
    "rsa-sha2-256": _verify_rsa,
    "ssh-rsa": _verify_rsa,
    MLDSA44_ED25519: _verify_mldsa44_ed25519,
}
"""The name in a signature to the function that judges it: (algorithm row, the key's fields after its type, what is
signed, the signature's fields after its name)."""


def read_security_key_signature(signature_blob: bytes) -> SecurityKeySignature:
    """The parts of a whole signature by a security key. Raises ProtocolError for any other."""
    reader = Reader(signature_blob)
    name = reader.text()
    if name not in {SK_ED25519, SK_ECDSA, WEBAUTHN_SK_ECDSA}:
        raise ProtocolError("the signature is not by a security key")
    return SecurityKeySignature.read(reader, webauthn=name == WEBAUTHN_SK_ECDSA)
