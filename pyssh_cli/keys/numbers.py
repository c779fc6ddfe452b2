"""What a private key is made of, a class for each kind, whatever file it came from.

Only the numbers and whether they belong together: `openssh_format` and `pem` read them out of files, `private`
signs with them. None of it shows in a repr.
"""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.errors import KeyFileError
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


KeyNumbers = Ed25519Numbers | EcdsaNumbers | RsaNumbers
