"""The tables of key types and of the signature algorithms that go with them: names, hashes, sizes.

Not the arithmetic: `public` and `private` do that, and load the cryptography package when they have to. Reading
these tables costs nothing, so key exchange offers, configuration and -Q may all do it at start-up.
"""

from __future__ import annotations

from typing import NamedTuple

CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
"""What names the certificate of a key type, in place of "@openssh.com" where the type has that itself."""

MLDSA44_ED25519 = "ssh-mldsa44-ed25519@openssh.com"
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
WEBAUTHN_SK_ECDSA = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"


class KeyType(NamedTuple):
    """A kind of key, as the first string of its blob names it.

    `short_name` is what ssh calls it in messages and ssh-keygen -l in parentheses. `curve` is the NIST curve by
    its SSH name (RFC 5656 section 6.1) or empty; `bits` is the size of such a key, 0 where each key has its own.
    `security_key` says that the private half lives in a FIDO authenticator (OpenSSH's PROTOCOL.u2f): the blob
    then ends with the application's name, and a signature tells flags and a counter.
    """

    name: str
    short_name: str
    curve: str = ""
    bits: int = 0
    security_key: bool = False


class KeyAlgorithm(NamedTuple):
    """A signature algorithm, as HostKeyAlgorithms, PubkeyAcceptedAlgorithms and signature blobs name it.

    `key_type` is the type of the keys that make such signatures, a certificate's type for an algorithm of
    certificates. `hash_name` is hashlib's name of the hash that the signature is over, or empty where the scheme
    hashes by itself. `agent_flags` are the flags which ask an agent for this algorithm
    (draft-ietf-sshm-ssh-agent, section "Signature flags"). `signature` is the name that the signature itself
    bears: for certificates that of the plain algorithm.
    """

    name: str
    key_type: str
    hash_name: str
    agent_flags: int = 0
    signature: str = ""


def certificate_name(name: str) -> str:
    """What the certificate of a plain key type, or the algorithm of one, is called."""
    return name.removesuffix("@openssh.com") + CERTIFICATE_SUFFIX


KEY_TYPES: dict[str, KeyType] = {
    row.name: row
    for row in (
        KeyType("ssh-ed25519", "ED25519", bits=256),
        KeyType(SK_ED25519, "ED25519-SK", bits=256, security_key=True),
        KeyType("ecdsa-sha2-nistp256", "ECDSA", "nistp256", 256),
        KeyType("ecdsa-sha2-nistp384", "ECDSA", "nistp384", 384),
        KeyType("ecdsa-sha2-nistp521", "ECDSA", "nistp521", 521),
        KeyType(SK_ECDSA, "ECDSA-SK", "nistp256", 256, security_key=True),
        KeyType("ssh-rsa", "RSA"),
        KeyType(MLDSA44_ED25519, "MLDSA44-ED25519", bits=256),
    )
}
"""Every kind of plain key by its name in a blob, in the order of ssh -Q key."""

CERTIFICATE_TYPES: dict[str, str] = {certificate_name(name): name for name in KEY_TYPES}
"""The name of every kind of certificate to that of the plain key in it (OpenSSH's PROTOCOL.certkeys)."""


_PLAIN_ALGORITHMS = (
    KeyAlgorithm("ssh-ed25519", "ssh-ed25519", "", 0, "ssh-ed25519"),
    KeyAlgorithm("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "sha256", 0, "ecdsa-sha2-nistp256"),
    KeyAlgorithm("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "sha384", 0, "ecdsa-sha2-nistp384"),
    KeyAlgorithm("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "sha512", 0, "ecdsa-sha2-nistp521"),
    KeyAlgorithm(SK_ED25519, SK_ED25519, "", 0, SK_ED25519),
    KeyAlgorithm(SK_ECDSA, SK_ECDSA, "sha256", 0, SK_ECDSA),
    KeyAlgorithm(WEBAUTHN_SK_ECDSA, SK_ECDSA, "sha256", 0, WEBAUTHN_SK_ECDSA),
    KeyAlgorithm("rsa-sha2-512", "ssh-rsa", "sha512", 4, "rsa-sha2-512"),
    KeyAlgorithm("rsa-sha2-256", "ssh-rsa", "sha256", 2, "rsa-sha2-256"),
    KeyAlgorithm("ssh-rsa", "ssh-rsa", "sha1", 0, "ssh-rsa"),
    KeyAlgorithm(MLDSA44_ED25519, MLDSA44_ED25519, "sha512", 0, MLDSA44_ED25519),
)

KEY_ALGORITHMS: dict[str, KeyAlgorithm] = {
    row.name: row
    for row in (
        *(
            row._replace(name=certificate_name(row.name), key_type=certificate_name(row.key_type))
            for row in _PLAIN_ALGORITHMS
        ),
        *_PLAIN_ALGORITHMS,
    )
}
"""Signature algorithm name to its row, in the order of OpenSSH's default HostKeyAlgorithms (ssh_config(5)), the
best of a key type first, with those that are not in the default at the end of each half."""

PLAIN_KEY_ALGORITHMS: tuple[str, ...] = tuple(row.name for row in _PLAIN_ALGORITHMS)
"""The algorithms of keys that are no certificates: what a certificate's own signature may be by."""

_NOT_BY_DEFAULT = frozenset(
    name for plain in ("ssh-rsa", MLDSA44_ED25519) for name in (plain, certificate_name(plain))
)

DEFAULT_HOST_KEY_ALGORITHMS: tuple[str, ...] = tuple(n for n in KEY_ALGORITHMS if n not in _NOT_BY_DEFAULT)
"""HostKeyAlgorithms when the configuration is silent, as in OpenSSH 10.5; SHA-1 and the experimental
post-quantum composite have to be asked for."""

DEFAULT_PUBKEY_ACCEPTED_ALGORITHMS = DEFAULT_HOST_KEY_ALGORITHMS
DEFAULT_HOSTBASED_ACCEPTED_ALGORITHMS = DEFAULT_HOST_KEY_ALGORITHMS

DEFAULT_CA_SIGNATURE_ALGORITHMS: tuple[str, ...] = tuple(
    name for name in PLAIN_KEY_ALGORITHMS if name not in _NOT_BY_DEFAULT and name != WEBAUTHN_SK_ECDSA
)
"""CASignatureAlgorithms when the configuration is silent."""


def plain_type(key_type: str) -> str:
    """The type of the key in a certificate of type `key_type`; a plain key's type is its own."""
    return CERTIFICATE_TYPES.get(key_type, key_type)


def key_type_of(algorithm: str) -> str | None:
    """The type of key that makes signatures of `algorithm`, or None for an algorithm we do not have."""
    row = KEY_ALGORITHMS.get(algorithm)
    return row.key_type if row else None


def algorithms_of(key_type: str) -> tuple[str, ...]:
    """The signature algorithms of keys, or of certificates, of type `key_type`, best first; none for a type we do
    not have. SHA-1 comes last, and is used only where a list of the configuration's has it."""
    return tuple(row.name for row in KEY_ALGORITHMS.values() if row.key_type == key_type)
