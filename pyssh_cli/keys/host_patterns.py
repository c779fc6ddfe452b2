"""How the first field of a known_hosts line names hosts: patterns, negation and hashes (sshd(8),
SSH_KNOWN_HOSTS FILE FORMAT). Bytes throughout, because a file may hold any.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Sequence

HASH_MAGIC = b"|1|"
"""What a hashed first field begins with."""

_SALT_SIZE = 20
_HASHED_LENGTH = 60
_KEY_TYPE_END = 128
_LEADS = (b"@", b" ", b"\t")
"""What may stand before a first field: a marker, or blanks."""

_XOR_36 = bytes(byte ^ 0x36 for byte in range(256))
_XOR_5C = bytes(byte ^ 0x5C for byte in range(256))


def known_hosts_name(host: str, port: int) -> str:
    """The name that known_hosts has for a host: lower case, and "[host]:port" for a port other than 22."""
    name = ascii_lower(host)
    return name if port in {0, 22} else f"[{name}]:{port}"


def ascii_lower(name: str) -> str:
    """`name` with A to Z in lower case and all else as it is, which is how ssh compares host names."""
    return name.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def is_address(name: str) -> bool:
    """Whether a name of known_hosts is an IP address, perhaps with a port, or a hash, which may be of one."""
    if name.startswith("|"):
        return True
    from ipaddress import ip_address

    try:
        ip_address(name[1:].partition("]")[0] if name.startswith("[") else name)
    except ValueError:
        return False
    return True


def hash_name(name: str) -> str:
    """`name` as a hashed entry, with a fresh salt: "|1|", base64 of the salt, "|", base64 of HMAC-SHA1."""
    import hmac

    salt = os.urandom(_SALT_SIZE)
    digest = hmac.digest(salt, name.encode("utf-8", "surrogateescape"), "sha1")
    parts = (binascii.b2a_base64(part, newline=False).decode("ascii") for part in (salt, digest))
    return HASH_MAGIC.decode("ascii") + "|".join(parts)


def matches(field: bytes, name: bytes) -> bool:
    """Whether `field`, a whole first field, stands for `name` (in lower case, with its port if that is not 22).

    A name matches when a pattern of the list does and no negated one does. A hashed field is one hash.
    """
    if field[:1] == b"|":
        return _matches_hash(field, name)
    found = False
    for part in field.lower().split(b","):
        if part[:1] == b"!":
            if wildcard_match(part[1:], name):
                return False
        elif not found and wildcard_match(part, name):
            found = True
    return found


def wildcard_match(pattern: bytes, name: bytes) -> bool:
    """Whether `pattern` fits all of `name`: "*" for any bytes, "?" for one, all else for itself.

    Time is at most the product of the lengths, whatever the pattern.
    """
    at, star, resume = 0, -1, 0
    position = 0
    while position < len(name):
        if at < len(pattern) and pattern[at] == 0x2A:
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in {0x3F, name[position]}:
            at += 1
            position += 1
        elif star >= 0:  # let the last star take one byte more
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return not pattern[at:].strip(b"*")


def may_match(data: bytes, name: bytes) -> list[tuple[int, bytes]]:
    """The lines of a whole known_hosts file whose first field is no hash and might match `name`, with their
    numbers from 1; `matches` has to confirm each.

    Files may have hundreds of thousands of lines, so nothing is looked at that need not be: names are found by
    searching the whole.
    """
    starts: set[int] = set()
    # Names are compared in lower case; an entry without any of these three is for another host, or a hash.
    for text, where in ((name, data.lower()), (b"*", data), (b"?", data)):
        at = where.find(text)
        while at >= 0:
            start = data.rfind(b"\n", 0, at) + 1
            lead = data[start : start + 1]
            if lead in _LEADS or (lead != b"|" and data.find(b" ", start, at) < 0):
                starts.add(start)  # else the line is hashed, or what was found stands behind the names
            end = data.find(b"\n", at)
            at = where.find(text, end + 1) if end >= 0 else -1
    found: list[tuple[int, bytes]] = []
    number, counted = 1, 0
    for start in sorted(starts):
        number += data.count(b"\n", counted, start)
        counted = start
        end = data.find(b"\n", start)
        found.append((number, data[start:end] if end >= 0 else data[start:]))
    return found


def match_hashes(lines: Sequence[bytes], name: bytes, holding: bytes = b"") -> list[tuple[int, bytes]]:
    """Those of the lines whose first field might be a hash of `name`, with their numbers from 1; `matches` has to
    confirm each. Of those that begin with a hash only what has `holding` right behind it is looked at.

    It spells HMAC out (RFC 2104: a salt of 20 bytes, filled up to SHA-1's block of 64): `hmac.digest` takes half
    as long again, and this is most of what a large hashed file takes.
    """
    import hashlib

    decode, sha1 = binascii.a2b_base64, hashlib.sha1
    inner_rest, outer_rest = b"\x36" * 44 + name, b"\x5c" * 44
    found: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines, 1):
        if line[:3] == HASH_MAGIC and line.find(holding, _HASHED_LENGTH, _KEY_TYPE_END) >= 0:
            try:
                salt = decode(line[3:31])
                wanted = decode(line[32:60])
            except binascii.Error:
                continue
            inner = sha1(salt.translate(_XOR_36) + inner_rest).digest()
            if sha1(salt.translate(_XOR_5C) + outer_rest + inner).digest() == wanted:
                found.append((number, line))
        elif line[:1] in _LEADS and HASH_MAGIC in line:
            found.append((number, line))
    return found


def _matches_hash(field: bytes, name: bytes) -> bool:
    """Salt and hash are 20 bytes, 28 in base64, so their places are fixed: "|1|", 3 to 31, "|", 32 to 60."""
    if len(field) != _HASHED_LENGTH or not field.startswith(HASH_MAGIC):
        return False
    try:
        salt = binascii.a2b_base64(field[3:31])
    except binascii.Error:
        return False
    import hmac

    return binascii.b2a_base64(hmac.digest(salt, name, "sha1"), newline=False) == field[32:]
