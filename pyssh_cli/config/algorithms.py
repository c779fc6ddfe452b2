"""Algorithm lists of ssh_config(5): which names there are, and what `+`, `-`, `^` and wildcards make of a list.

The names that pyssh can do come from the tables of `protocol/` and `keys/`. Beside them stand the names that
OpenSSH knows and pyssh does not, so that a configuration written for ssh is not taken for a mistyped one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from pyssh_cli.config.patterns import matches_pattern
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS
from pyssh_cli.protocol.ciphers import CIPHERS, default_ciphers
from pyssh_cli.protocol.kex import KEX
from pyssh_cli.protocol.macs import MACS


class AlgorithmKind(NamedTuple):
    """One kind of algorithm: what it is called in messages, and its names.

    `supported` is what pyssh can do, `foreign` what only OpenSSH knows, `default` the list used when the
    configuration is silent. `wildcards` tells whether an explicit list may hold patterns. `complaint` is ssh's
    message for a list with a name nobody knows, with `{}` for the list.
    """

    noun: str
    supported: tuple[str, ...]
    default: tuple[str, ...]
    foreign: tuple[str, ...]
    wildcards: bool
    complaint: str


_FOREIGN_CIPHERS = (
    "3des-cbc", "aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-ctr", "aes192-ctr", "aes256-ctr",
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com",
)  # fmt: skip
_FOREIGN_MACS = (
    *(
        f"{name}{etm}"
        for name in ("hmac-sha1", "hmac-sha1-96", "hmac-sha2-256", "hmac-sha2-512", "hmac-md5", "hmac-md5-96")
        for etm in ("", "-etm@openssh.com")
    ),
    "umac-64@openssh.com", "umac-128@openssh.com", "umac-64-etm@openssh.com", "umac-128-etm@openssh.com",
)  # fmt: skip
_FOREIGN_KEX = (
    "diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512", "diffie-hellman-group18-sha512", "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
    "curve25519-sha256", "curve25519-sha256@libssh.org", "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com", "mlkem768x25519-sha256",
)  # fmt: skip
PLAIN_KEY_TYPES = (
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521", "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-rsa", "ssh-dss",
    "ssh-mldsa44-ed25519@openssh.com",
)  # fmt: skip
CERTIFICATE_KEY_TYPES = (
    "ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com",
    "ssh-mldsa44-ed25519-cert-v01@openssh.com",
)  # fmt: skip
_FOREIGN_KEY_ALGORITHMS = (
    *PLAIN_KEY_TYPES,
    *CERTIFICATE_KEY_TYPES,
    "rsa-sha2-256", "rsa-sha2-512", "rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
)  # fmt: skip


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


CIPHER = AlgorithmKind(
    "cipher",
    tuple(CIPHERS),
    default_ciphers(aes_in_hardware()),
    _FOREIGN_CIPHERS,
    False,
    "Bad SSH2 cipher spec '{}'.",
)
MAC = AlgorithmKind("MAC", tuple(MACS), tuple(MACS), _FOREIGN_MACS, False, "Bad SSH2 MAC spec '{}'.")
KEX_METHOD = AlgorithmKind(
    "key exchange method", tuple(KEX), tuple(KEX), _FOREIGN_KEX, False, "Bad SSH2 KexAlgorithms '{}'."
)
KEY_ALGORITHM = AlgorithmKind(
    "key algorithm",
    tuple(KEY_ALGORITHMS),
    tuple(KEY_ALGORITHMS),
    _FOREIGN_KEY_ALGORITHMS,
    True,
    "Bad key types '{}'.",
)


def is_valid_list(kind: AlgorithmKind, value: str) -> bool:
    """Whether every name in `value` is known, to pyssh or to OpenSSH.

    A list to take away (`-`) may hold anything; patterns are allowed where ssh allows them, and have to match
    a known name.
    """
    if value.startswith("-"):
        return True
    known = kind.supported + kind.foreign
    names = value[1:].split(",") if value[:1] in ("+", "^") else value.split(",")
    if "" in names:
        names = names[: names.index("")]  # ssh stops reading a list at an empty name
    if not names:
        return False
    for name in names:
        if name in known:
            continue
        pattern = name.removeprefix("!")
        if not kind.wildcards or not any(matches_pattern(other, pattern) for other in known):
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
        patterns = names.split(",")
        kept = tuple(name for name in kind.default if not any(matches_pattern(name, p) for p in patterns))
        return kept, ()
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
    known = kind.supported + kind.foreign
    out: list[str] = []
    for name in names.split(","):
        if not name:
            break
        if name[0] == "!":
            out = [other for other in out if not matches_pattern(other, name[1:])]
        elif "*" in name or "?" in name:
            out += [other for other in known if matches_pattern(other, name)]
        else:
            out.append(name)
    return out
