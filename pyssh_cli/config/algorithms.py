"""Algorithm lists of ssh_config(5): which names there are, and what `+`, `-`, `^` and wildcards make of a list.

The names that pyssh can do come from the tables of `protocol/` and `keys/`. Beside them stand the names that
OpenSSH knows and pyssh does not, so that a configuration written for ssh is not taken for a mistyped one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from pyssh_cli.config.patterns import matches_list, matches_pattern
from pyssh_cli.keys.algorithms import (
    DEFAULT_CA_SIGNATURE_ALGORITHMS,
    DEFAULT_HOST_KEY_ALGORITHMS,
    DEFAULT_PUBKEY_ACCEPTED_ALGORITHMS,
    KEY_ALGORITHMS,
    PLAIN_KEY_ALGORITHMS,
)
from pyssh_cli.protocol.ciphers import CIPHERS, default_ciphers
from pyssh_cli.protocol.kex import DEFAULT_KEX, KEX
from pyssh_cli.protocol.macs import DEFAULT_MACS, MACS


class AlgorithmKind(NamedTuple):
    """One kind of algorithm: what it is called in messages, and its names.

    `known` is every name that OpenSSH or pyssh knows, in the order of ssh -Q, in which wildcards are expanded;
    `supported` those of them that pyssh can do; `default` the list used when the configuration is silent.
    `wildcards` tells whether an explicit list may hold patterns. `complaint` is ssh's message for a list with a
    name nobody knows, with `{}` for the list.
    """

    noun: str
    known: tuple[str, ...]
    supported: tuple[str, ...]
    default: tuple[str, ...]
    wildcards: bool
    complaint: str


_CIPHERS = (
    "3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr",
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
)  # fmt: skip
_MACS = (
    "hmac-sha1", "hmac-sha1-96", "hmac-sha2-256", "hmac-sha2-512", "hmac-md5", "hmac-md5-96",
    "umac-64@openssh.com", "umac-128@openssh.com",
    "hmac-sha1-etm@openssh.com", "hmac-sha1-96-etm@openssh.com", "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com", "hmac-md5-etm@openssh.com", "hmac-md5-96-etm@openssh.com",
    "umac-64-etm@openssh.com", "umac-128-etm@openssh.com",
)  # fmt: skip
_KEX = (
    "diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
    "curve25519-sha256", "curve25519-sha256@libssh.org", "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com", "mlkem768x25519-sha256",
)  # fmt: skip
KEY_NAMES = (
    "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-dss", "ssh-dss-cert-v01@openssh.com", "ssh-rsa", "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com",
    "ssh-mldsa44-ed25519@openssh.com", "ssh-mldsa44-ed25519-cert-v01@openssh.com",
)  # fmt: skip
"""Types of keys and certificates, and signature algorithms, in the order of ssh -Q key-sig."""
_PLAIN_KEY_NAMES = tuple(name for name in KEY_NAMES if "-cert-" not in name)


def aes_in_hardware() -> bool:
    """Whether the CPU has AES instructions; True where that cannot be told (Linux tells in /proc/cpuinfo)."""
    try:
        fd = os.open("/proc/cpuinfo", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        start = os.read(fd, 8192)  # the first CPU is enough
    except OSError:
        return True
    finally:
        os.close(fd)
    for line in start.splitlines():
        label, _, features = line.partition(b":")
        if label.strip() in {b"flags", b"Features"}:
            return b"aes" in features.split()
    return True


def in_order(names: Iterable[str], order: tuple[str, ...]) -> tuple[str, ...]:
    """`names` in the order of `order`; those it does not have come last."""
    wanted = dict.fromkeys(names)
    return (*(name for name in order if name in wanted), *(name for name in wanted if name not in order))


def _kind(
    noun: str,
    known: tuple[str, ...],
    supported: Iterable[str],
    default: Iterable[str],
    complaint: str,
    *,
    wildcards: bool = False,
) -> AlgorithmKind:
    able = in_order(supported, known)
    default = tuple(name for name in default if name in able)
    return AlgorithmKind(noun, in_order((*known, *able), known), able, default, wildcards, complaint)


_BAD_KEY_TYPES = "Bad key types '{}'."

CIPHER = _kind("cipher", _CIPHERS, CIPHERS, default_ciphers(aes_in_hardware()), "Bad SSH2 cipher spec '{}'.")
MAC = _kind("MAC", _MACS, MACS, DEFAULT_MACS, "Bad SSH2 MAC spec '{}'.")
KEX_METHOD = _kind("key exchange method", _KEX, KEX, DEFAULT_KEX, "Bad SSH2 KexAlgorithms '{}'.")
KEY_ALGORITHM = _kind(
    "key algorithm", KEY_NAMES, KEY_ALGORITHMS, DEFAULT_HOST_KEY_ALGORITHMS, _BAD_KEY_TYPES, wildcards=True
)
USER_KEY_ALGORITHM = _kind(
    "key algorithm",
    KEY_NAMES,
    KEY_ALGORITHMS,
    DEFAULT_PUBKEY_ACCEPTED_ALGORITHMS,
    _BAD_KEY_TYPES,
    wildcards=True,
)
"""What the person proves to be by: keys and certificates."""
CA_ALGORITHM = _kind(
    "signature algorithm",
    _PLAIN_KEY_NAMES,
    PLAIN_KEY_ALGORITHMS,
    DEFAULT_CA_SIGNATURE_ALGORITHMS,
    _BAD_KEY_TYPES,
    wildcards=True,
)
"""What signs certificates: no certificate does."""


def is_valid_list(kind: AlgorithmKind, value: str) -> bool:
    """Whether every name in `value` is known, to pyssh or to OpenSSH.

    A list to take away (`-`) may hold anything; patterns are allowed where ssh allows them, and have to match
    a known name.
    """
    if value.startswith("-"):
        return True
    adds = value.startswith(("+", "^"))
    names = value[adds:].split(",")
    if "" in names:
        names = names[: names.index("")]  # ssh stops reading a list at an empty name
    if not names and (not adds or len(value) == 1):
        return False
    for name in names:
        if name in kind.known:
            continue
        pattern = name.removeprefix("!")
        if not kind.wildcards or not any(matches_pattern(other, pattern) for other in kind.known):
            return False
    return True


def assemble(kind: AlgorithmKind, value: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the list `value` comes to: the names to use, in order, and the known names dropped as unsupported.

    None is a configuration that does not speak of the list. `value` has passed `is_valid_list`.
    """
    if value is None:
        return kind.default, ()
    sign, names = (value[0], value[1:]) if value[0] in "+-^" else ("", value)
    if sign == "-":
        return tuple(name for name in kind.default if not matches_list(name, names)), ()
    wanted = _expand(kind, names)
    if sign == "+":
        wanted = [*kind.default, *wanted]
    elif sign == "^":
        wanted = [*wanted, *kind.default]
    unique = tuple(dict.fromkeys(wanted))
    return (
        tuple(name for name in unique if name in kind.supported),
        tuple(name for name in unique if name not in kind.supported),
    )


def _expand(kind: AlgorithmKind, names: str) -> list[str]:
    """The names of a list in order, with patterns replaced by the known names that they match."""
    out: list[str] = []
    for name in names.split(","):
        if not name:
            break
        if name[0] == "!":
            out = [other for other in out if not matches_pattern(other, name[1:])]
        elif "*" in name or "?" in name:
            out += [other for other in kind.known if matches_pattern(other, name)]
        else:
            out.append(name)
    return out
