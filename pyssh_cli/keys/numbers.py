"""What a private key is made of, a class for each kind, whatever file it came from.

Only the numbers and whether they belong together: `openssh_format` and `pem` read them out of files, `private`
signs with them. None of it shows in a repr. `private_fields` of each is what follows the type where OpenSSH
writes a private key down, in a file as for an agent; beside a certificate, which has the public half, some leave
that out.
"""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys.algorithms import MLDSA44_ED25519, SK_ED25519
from pyssh_cli.wire import mpint, string


class Ed25519Numbers(NamedTuple):
    """RFC 8032 section 5.1.5: `seed` and the `point` that follows from it, 32 bytes each."""

    seed: bytes
    point: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"  # the numbers are secret

    def public_blob(self) -> bytes:
        """RFC 8709 section 4."""
        return string(b"ssh-ed25519") + string(self.point)

    def private_fields(self, *, certified: bool) -> bytes:  # noqa: ARG002
        """The public half is there twice, and stays beside a certificate."""
        return string(self.point) + string(self.seed + self.point)


class EcdsaNumbers(NamedTuple):
    """`curve` by SSH's name, the uncompressed public `point` (SEC1 section 2.3.3), and the `scalar`."""

    curve: str
    point: bytes
    scalar: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"  # the numbers are secret

    def public_blob(self) -> bytes:
        """RFC 5656 section 3.1."""
        curve = self.curve.encode("ascii")
        return string(b"ecdsa-sha2-" + curve) + string(curve) + string(self.point)

    def private_fields(self, *, certified: bool) -> bytes:
        """The scalar, after the curve and the point."""
        public = b"" if certified else string(self.curve.encode("ascii")) + string(self.point)
        return public + mpint(self.scalar)


class RsaNumbers(NamedTuple):
    """RFC 8017 section 3.2, with `iqmp` the inverse of `q` modulo `p`."""

    modulus: int
    public_exponent: int
    private_exponent: int
    iqmp: int
    p: int
    q: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"  # the numbers are secret

    def public_blob(self) -> bytes:
        """RFC 4253 section 6.6."""
        return string(b"ssh-rsa") + mpint(self.public_exponent) + mpint(self.modulus)

    def private_fields(self, *, certified: bool) -> bytes:
        """The modulus comes before the exponent here, unlike in the public blob."""
        public = b"" if certified else mpint(self.modulus) + mpint(self.public_exponent)
        return public + mpint(self.private_exponent) + mpint(self.iqmp) + mpint(self.p) + mpint(self.q)

    def check(self) -> None:
        """Refuse numbers that do not make one key: KeyFileError.

        This stands in for OpenSSL's own check, which proves both primes anew and takes 94 ms for 3072 bits. Only
        a key's owner could be harmed by a composite factor, and its maker has tested that.
        """
        p, q, d = self.p, self.q, self.private_exponent
        if p < 3 or q < 3 or p % 2 == 0 or q % 2 == 0 or p * q != self.modulus or not 1 < d < self.modulus:
            raise KeyFileError("RSA numbers do not belong together")
        product = self.public_exponent * d
        if product % (p - 1) != 1 or product % (q - 1) != 1 or not 0 < self.iqmp < p or self.iqmp * q % p != 1:
            raise KeyFileError("RSA numbers do not belong together")


class CompositeNumbers(NamedTuple):
    """ML-DSA-44 with Ed25519 (draft-ietf-sshm-composite-sigs): `points` are both public keys one after the other,
    `seeds` both seeds of 32 bytes."""

    seeds: bytes
    points: bytes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"  # the numbers are secret

    def public_blob(self) -> bytes:
        """OpenSSH's name, then one string."""
        return string(MLDSA44_ED25519.encode("ascii")) + string(self.points)

    def private_fields(self, *, certified: bool) -> bytes:
        """The seeds, after the public keys."""
        return (b"" if certified else string(self.points)) + string(self.seeds)


class SecurityKeyNumbers(NamedTuple):
    """What a key file holds of a key that lives in a FIDO authenticator (OpenSSH's PROTOCOL.u2f).

    `type` is the key's, `curve` empty or "nistp256", `point` the public key. `application` is what the
    authenticator was asked to make a key for, `handle` what it knows the key by, and `flags` how it wants to be
    asked: 1 for a touch, 4 for a PIN, 0x20 for a key that it keeps itself. `reserved` is kept as it is.
    """

    type: str
    curve: str
    point: bytes
    application: bytes
    flags: int
    handle: bytes
    reserved: bytes = b""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"  # the handle is best kept

    def public_blob(self) -> bytes:
        """PROTOCOL.u2f, "SSH U2F Key formats"."""
        return string(self.type.encode("ascii")) + self._point_fields() + string(self.application)

    def private_fields(self, *, certified: bool) -> bytes:
        """Beside a certificate only the Ed25519 kind keeps its point."""
        public = self._point_fields() if not certified or self.type == SK_ED25519 else b""
        return (
            public + string(self.application) + bytes([self.flags]) + string(self.handle) + string(self.reserved)
        )

    def _point_fields(self) -> bytes:
        curve = string(self.curve.encode("ascii")) if self.curve else b""
        return curve + string(self.point)


KeyNumbers = Ed25519Numbers | EcdsaNumbers | RsaNumbers | CompositeNumbers | SecurityKeyNumbers
