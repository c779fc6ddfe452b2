"""The tables of key types and of the signature algorithms that go with them: names, hashes, sizes.

Not the arithmetic: `public` and `private` do that, and load the cryptography package when they have to. Reading
these tables costs nothing, so key exchange offers, configuration and -Q may all do it at start-up.
"""

from __future__ import annotations

from typing import NamedTuple


class KeyType(NamedTuple):
    """A kind of key, as the first string of its blob names it.

    `short_name` is what ssh calls it in messages and ssh-keygen -l in parentheses. `curve` is the NIST curve by
    its SSH name (RFC 5656 section 6.1) or empty; `bits` is the size of such a key, 0 where each key has its own.
    """

    name: str
    short_name: str
    curve: str = ""
    bits: int = 0


class KeyAlgorithm(NamedTuple):
    """A signature algorithm, as HostKeyAlgorithms, PubkeyAcceptedAlgorithms and signature blobs name it.

    `key_type` is the type of the keys that make such signatures. `hash_name` is hashlib's name of the hash that
    the signature is over, or empty where the scheme hashes by itself. `agent_flags` are the flags which ask an
    agent for this algorithm (draft-ietf-sshm-ssh-agent, section "Signature flags").
    """

    name: str
    key_type: str
    hash_name: str
    agent_flags: int = 0


KEY_TYPES: dict[str, KeyType] = {
    row.name: row
    for row in (
        KeyType("ssh-ed25519", "ED25519", bits=256),
        KeyType("ecdsa-sha2-nistp256", "ECDSA", "nistp256", 256),
        KeyType("ecdsa-sha2-nistp384", "ECDSA", "nistp384", 384),
        KeyType("ecdsa-sha2-nistp521", "ECDSA", "nistp521", 521),
        KeyType("sk-ssh-ed25519@openssh.com", "ED25519-SK", bits=256),
        KeyType("sk-ecdsa-sha2-nistp256@openssh.com", "ECDSA-SK", "nistp256", 256),
        KeyType("ssh-rsa", "RSA"),
    )
}
"""Every kind of plain key by its name in a blob. Those without a row in `KEY_ALGORITHMS`, and kinds that are not
here at all, can be listed and compared but not used for signatures."""

KEY_ALGORITHMS: dict[str, KeyAlgorithm] = {
    row.name: row
    for row in (
        KeyAlgorithm("ssh-ed25519", "ssh-ed25519", ""),
        KeyAlgorithm("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "sha256"),
        KeyAlgorithm("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "sha384"),
        KeyAlgorithm("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "sha512"),
        KeyAlgorithm("rsa-sha2-512", "ssh-rsa", "sha512", agent_flags=4),
        KeyAlgorithm("rsa-sha2-256", "ssh-rsa", "sha256", agent_flags=2),
    )
}
"""Signature algorithm name to its row, in the order of OpenSSH's default HostKeyAlgorithms (ssh_config(5))."""


def key_type_of(algorithm: str) -> str | None:
    """The type of key that makes signatures of `algorithm`, or None for an algorithm we do not have."""
    row = KEY_ALGORITHMS.get(algorithm)
    return row.key_type if row else None


def algorithms_of(key_type: str) -> tuple[str, ...]:
    """The signature algorithms that keys of `key_type` can make, best first; none for a type we do not have."""
    return tuple(row.name for row in KEY_ALGORITHMS.values() if row.key_type == key_type)
