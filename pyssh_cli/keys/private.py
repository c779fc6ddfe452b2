"""Private keys: reading them from files, and signing with them.

Not keys that an agent holds (`agent`), nor asking for a passphrase, which `client/` does. The formats are in
`openssh_format` and `pem`; this file tells them apart and makes one kind of key of both.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from pyssh_cli.errors import KeyFileError, PassphraseNeeded, ProtocolError
from pyssh_cli.keys import openssh_format
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, KEY_TYPES, MLDSA44_ED25519, algorithms_of, plain_type
from pyssh_cli.keys.numbers import (
    CompositeNumbers,
    EcdsaNumbers,
    Ed25519Numbers,
    KeyNumbers,
    RsaNumbers,
    SecurityKeyNumbers,
)
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.keys.reading import opened, read_all
from pyssh_cli.wire import mpint, string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MAX_KEY_FILE_SIZE = 1 << 20
"""OpenSSH's bound on a key file, in bytes."""

_BANNER = "@" * 59


class KeyFilePermissions(KeyFileError):
    """Others than its owner may open the key file, so it is not used. The message is ssh's warning, several lines
    with newlines between them."""


class KeyFileDenied(KeyFileError):
    """The key file is there, and we may not read it."""


class PrivateKey:
    """A private key that can sign. `public` is its public half, `comment` what its file calls it (uncleaned).

    Of a security key (`security_key`) there is only what an authenticator has to be told; whoever talks to one, or
    an agent that is given the key, signs with it. The repr shows the public half only.
    """

    __slots__ = ("_numbers", "_signer", "comment", "public")

    def __init__(self, numbers: KeyNumbers, comment: str = "") -> None:
        """Raises KeyFileError or ProtocolError for numbers that are out of range or no key together."""
        self.public = PublicKey.parse(numbers.public_blob())
        self.comment = comment
        self._numbers = numbers
        self._signer = None if isinstance(numbers, SecurityKeyNumbers) else _signer(numbers)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.type}, {self.public.fingerprint()})"

    def algorithms(self) -> tuple[str, ...]:
        """The signature algorithms this key can make, best first."""
        return algorithms_of(self.public.type)

    @property
    def security_key(self) -> SecurityKeyNumbers | None:
        """What the authenticator has to be told to sign with this key; None for a key that signs by itself."""
        return self._numbers if isinstance(self._numbers, SecurityKeyNumbers) else None

    def serialized(self, certificate: PublicKey | None = None) -> bytes:
        """The secret key as an agent is given it: type and fields (draft-ietf-sshm-ssh-agent, section "Adding
        keys to the agent"), with a `certificate` of this key as OpenSSH has it. KeyFileError where the
        certificate is of another key."""
        if certificate is None:
            return string(self.public.type.encode("ascii")) + self._numbers.private_fields(certified=False)
        if not certificate.is_certificate or certificate.plain != self.public:
            raise KeyFileError("the certificate is not of this private key")
        head = string(certificate.type.encode("ascii")) + string(certificate.blob)
        return head + self._numbers.private_fields(certified=True)

    def sign(self, algorithm: str, data: bytes) -> bytes:
        """The whole SSH signature blob of `data`: string of `algorithm`, string of the signature (RFC 4253
        section 6.6). With an algorithm of certificates the signature is the plain one, as with the certificate
        of this key. KeyFileError for an algorithm of other keys, for a security key, which does not sign by
        itself, and where this build of the cryptography package lacks the algorithm."""
        row = KEY_ALGORITHMS.get(algorithm)
        if row is None or plain_type(row.key_type) != self.public.type:
            raise KeyFileError(f"a key of type {self.public.type} cannot sign with {algorithm}")
        if self._signer is None:
            raise KeyFileError(f"a key of type {self.public.type} signs by its security key only")
        return string(row.signature.encode("ascii")) + string(self._signer.sign(data, row.hash_name))


class _Ed25519Signer:
    """RFC 8709 section 6."""

    __slots__ = ("_key",)

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes, _hash_name: str) -> bytes:
        return self._key.sign(data)


class _EcdsaSigner:
    """RFC 5656 section 3.1.2."""

    __slots__ = ("_key",)

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes, hash_name: str) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        from pyssh_cli.keys.primitives import hash_of

        r, s = decode_dss_signature(self._key.sign(data, ECDSA(hash_of(hash_name))))
        return mpint(r) + mpint(s)


class _RsaSigner:
    """RFC 8332 section 3."""

    __slots__ = ("_key",)

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key

    def sign(self, data: bytes, hash_name: str) -> bytes:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        from pyssh_cli.keys.primitives import hash_of

        try:
            return self._key.sign(data, PKCS1v15(), hash_of(hash_name))
        except (UnsupportedAlgorithm, ValueError):  # a policy against SHA-1
            raise KeyFileError(f"RSA signatures with {hash_name} are not supported here") from None


class _CompositeSigner:
    """draft-ietf-sshm-composite-sigs."""

    __slots__ = ("_ed25519", "_mldsa")

    def __init__(self, mldsa: MLDSA44PrivateKey, ed25519: Ed25519PrivateKey) -> None:
        self._mldsa = mldsa
        self._ed25519 = ed25519

    def sign(self, data: bytes, _hash_name: str) -> bytes:
        from pyssh_cli.keys.signatures import COMPOSITE_LABEL, composite_message

        message = composite_message(data)
        return self._mldsa.sign(message, COMPOSITE_LABEL) + self._ed25519.sign(message)


_Signer = _Ed25519Signer | _EcdsaSigner | _RsaSigner | _CompositeSigner


def _signer(numbers: Ed25519Numbers | EcdsaNumbers | RsaNumbers | CompositeNumbers) -> _Signer:
    """The key of the cryptography package for `numbers`. KeyFileError when they do not belong together."""
    if isinstance(numbers, CompositeNumbers):
        return _composite_signer(numbers)
    if isinstance(numbers, Ed25519Numbers):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        ed25519_key = Ed25519PrivateKey.from_private_bytes(numbers.seed)
        if ed25519_key.public_key().public_bytes_raw() != numbers.point:
            raise KeyFileError("the public half does not belong to the private half")
        return _Ed25519Signer(ed25519_key)
    if isinstance(numbers, EcdsaNumbers):
        from cryptography.hazmat.primitives.asymmetric import ec

        from pyssh_cli.keys.primitives import CURVES

        bits = KEY_TYPES[f"ecdsa-sha2-{numbers.curve}"].bits
        if not 0 < numbers.scalar < 1 << bits:
            raise KeyFileError("the private scalar is out of range")
        try:
            ec_key = ec.derive_private_key(numbers.scalar, CURVES[numbers.curve]())
        except ValueError:
            raise KeyFileError("the private scalar is out of range") from None
        public = ec_key.public_key().public_numbers()
        size = (bits + 7) // 8
        if numbers.point != b"\x04" + public.x.to_bytes(size, "big") + public.y.to_bytes(size, "big"):
            raise KeyFileError("the public half does not belong to the private half")
        return _EcdsaSigner(ec_key)
    return _RsaSigner(_rsa_key(numbers))


def _composite_signer(numbers: CompositeNumbers) -> _CompositeSigner:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    try:
        mldsa = MLDSA44PrivateKey.from_seed_bytes(numbers.seeds[:32])
    except (UnsupportedAlgorithm, ValueError):
        raise KeyFileError(f"keys of type {MLDSA44_ED25519} are not supported here") from None
    ed25519 = Ed25519PrivateKey.from_private_bytes(numbers.seeds[32:])
    points = mldsa.public_key().public_bytes_raw() + ed25519.public_key().public_bytes_raw()
    if points != numbers.points:
        raise KeyFileError("the public half does not belong to the private half")
    return _CompositeSigner(mldsa, ed25519)


def _rsa_key(numbers: RsaNumbers) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    numbers.check()
    d, p, q = numbers.private_exponent, numbers.p, numbers.q
    try:
        return rsa.RSAPrivateNumbers(
            p=p,
            q=q,
            d=d,
            dmp1=d % (p - 1),
            dmq1=d % (q - 1),
            iqmp=numbers.iqmp,
            public_numbers=rsa.RSAPublicNumbers(numbers.public_exponent, numbers.modulus),
        ).private_key(unsafe_skip_rsa_key_validation=True)
    except ValueError:
        raise KeyFileError("RSA numbers do not belong together") from None


def load_private_key(data: bytes, passphrase: str | None, name: str) -> PrivateKey:
    """The private key in a file's content: OpenSSH's format, PEM (PKCS#1, SEC1) or PKCS#8.

    `passphrase` is not looked at where the key is not encrypted. `name` is the file's, for messages. Raises
    PassphraseNeeded, WrongPassphrase, or KeyFileError.
    """
    try:
        if openssh_format.BEGIN in data:
            return PrivateKey(*openssh_format.open_sealed(openssh_format.parse(data), passphrase))
        encrypted = _is_encrypted_pem(data)
        if encrypted and passphrase is None:
            raise PassphraseNeeded("the private key is encrypted and there is no passphrase for it")
        from pyssh_cli.keys import pem

        return PrivateKey(pem.load(data, passphrase, encrypted))
    except KeyFileError as error:
        raise type(error)(f'Load key "{name}": {error}') from None
    except ProtocolError as error:
        raise KeyFileError(f'Load key "{name}": the key file is damaged: {error}') from None


def is_encrypted(data: bytes, name: str) -> bool:
    """Whether a private key file's content takes a passphrase to open; `name` is the file's, for messages. Raises
    KeyFileError for what is no private key, as far as that can be seen from outside."""
    try:
        return openssh_format.parse(data).encrypted if openssh_format.BEGIN in data else _is_encrypted_pem(data)
    except KeyFileError as error:
        raise KeyFileError(f'Load key "{name}": {error}') from None


def _is_encrypted_pem(data: bytes) -> bool:
    if b"-----BEGIN " not in data or b"PRIVATE KEY-----" not in data:
        raise KeyFileError("it does not hold a private key in a format that is known")
    return b"BEGIN ENCRYPTED PRIVATE KEY" in data or b"Proc-Type: 4,ENCRYPTED" in data


def peek_public(data: bytes) -> PublicKey | None:
    """The public half of a private key file, which OpenSSH's format leaves readable without the passphrase.

    None for other formats and for files that are damaged; `load_private_key` says what is wrong with them.
    """
    if openssh_format.BEGIN not in data:
        return None
    try:
        return openssh_format.parse(data).public
    except KeyFileError:
        return None


def read_key_file(path: str) -> bytes:
    """The content of a private key file, which may be a FIFO or a /dev/fd of process substitution.

    Raises KeyFilePermissions when the file is ours and others may open it, as ssh demands (ssh(1), FILES,
    ~/.ssh/id_*), KeyFileDenied when we may not read it, and KeyFileError when it cannot be read otherwise, or is
    larger than `MAX_KEY_FILE_SIZE`.
    """
    try:
        with opened(path) as fd:
            status = os.fstat(fd)
            if status.st_uid == os.getuid() and status.st_mode & 0o077:
                is_key = stat.S_ISREG(status.st_mode) and b"PRIVATE KEY" in os.pread(fd, 4096, 0)
                raise KeyFilePermissions(_permissions_warning(path, stat.S_IMODE(status.st_mode), is_key))
            return read_all(fd, MAX_KEY_FILE_SIZE)
    except OSError as error:
        kind = KeyFileDenied if error.errno == errno.EACCES else KeyFileError
        raise kind(f'Load key "{path}": {error.strerror or error}') from None


def _permissions_warning(path: str, mode: int, is_key: bool) -> str:
    """The words ssh has for it; people and programs know them."""
    from shlex import quote

    advice = f"chmod 600 {quote(path)}" if is_key else "it does not look like a private key"
    return "\n".join(
        (
            _BANNER,
            "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @",
            _BANNER,
            f"Permissions 0{mode & 0o777:03o} for '{path}' are too open.",
            "It is required that your private key files are NOT accessible by others.",
            "This private key will be ignored.",
            f'Load key "{path}": bad permissions ({advice})',
        )
    )
