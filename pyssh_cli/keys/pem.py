"""Private keys in PEM: PKCS#1 RSA, SEC1 EC and PKCS#8, plain or encrypted (RFC 8017, RFC 5915, RFC 5958).

Not OpenSSH's own format. This is the one file of the room that loads cryptography's serialization, which is
slow to import; so it is imported only once a file is seen to be PEM.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pyssh_cli.errors import KeyFileError, WrongPassphrase
from pyssh_cli.keys.numbers import EcdsaNumbers, Ed25519Numbers, KeyNumbers, RsaNumbers

_CURVES = {"secp256r1": "nistp256", "secp384r1": "nistp384", "secp521r1": "nistp521"}
"""cryptography's (SEC 2) names of the curves to SSH's (RFC 5656 section 10.1)."""


def load(data: bytes, passphrase: str | None, encrypted: bool) -> KeyNumbers:
    """The numbers of the first private key in `data`; `passphrase` is used if it is `encrypted`.

    Raises WrongPassphrase when an encrypted key does not open, KeyFileError when the file is damaged or holds a
    key that SSH has no use for.
    """
    password = passphrase.encode("utf-8", "surrogateescape") if encrypted and passphrase is not None else None
    try:
        # The primes are not proved again: RsaNumbers.check says why.
        key = load_pem_private_key(data, password, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, RSAPrivateKey):
            rsa = key.private_numbers()
            public = rsa.public_numbers
            return RsaNumbers(public.n, public.e, rsa.d, rsa.iqmp, rsa.p, rsa.q)
        if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
            numbers = key.private_numbers()
            size = (key.key_size + 7) // 8
            x, y = numbers.public_numbers.x, numbers.public_numbers.y
            point = b"\x04" + x.to_bytes(size, "big") + y.to_bytes(size, "big")
            return EcdsaNumbers(_CURVES[key.curve.name], point, numbers.private_value)
        if isinstance(key, Ed25519PrivateKey):
            return Ed25519Numbers(key.private_bytes_raw(), key.public_key().public_bytes_raw())
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError):
        # What the library says is in OpenSSL's words and may quote the content; a wrong passphrase and damage
        # look the same to it.
        if encrypted:
            raise WrongPassphrase("the passphrase is wrong, or the key file is damaged") from None
        raise KeyFileError("the key file is damaged, or of a kind that is not supported") from None
    raise KeyFileError("the file holds a key of a kind that SSH does not use or that is not supported")
