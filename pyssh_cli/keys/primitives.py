"""Which class of the cryptography package stands behind each curve and hash that the key tables name.

Importing this loads the package, so `public` and `private` do it only when they make or judge a signature.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "nistp256": ec.SECP256R1,
    "nistp384": ec.SECP384R1,
    "nistp521": ec.SECP521R1,
}
"""SSH's curve names (RFC 5656 section 10.1) to classes."""

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def hash_of(name: str) -> hashes.HashAlgorithm:
    """A fresh hash by the name `KeyAlgorithm.hash_name` has for it. KeyError for a name not in the tables."""
    return _HASHES[name]()
