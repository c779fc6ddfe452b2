"""Which server software is known to be old, by what its version line says.

A version line is only a claim, and distributions mend old versions without changing it; so the bounds are such
that what is below them is out of support nearly everywhere.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_NUMBER = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


class Bound(NamedTuple):
    """Versions of one software, from `since` to below `until`, and why they should be left behind."""

    name: str
    since: tuple[int, ...]
    until: tuple[int, ...]
    why: str


BOUNDS = (
    Bound("OpenSSH_", (0,), (7, 4), "OpenSSH before 7.4 (2016) has known holes"),
    Bound("OpenSSH_", (7, 4), (8, 0), "OpenSSH before 8.0 (2019) is out of support nearly everywhere"),
    Bound("OpenSSH_for_Windows_", (0,), (8, 1), "OpenSSH for Windows before 8.1 is out of support"),
    Bound("dropbear_", (0,), (2016, 74), "Dropbear before 2016.74 can be broken into"),
    Bound(
        "dropbear_", (2016, 74), (2020, 79), "Dropbear before 2020.79 has no Ed25519, and signs by RSA with SHA-1"
    ),
    Bound("libssh_", (0, 6), (0, 7, 6), "libssh 0.6 to 0.7.5 lets anybody in (CVE-2018-10933)"),
    Bound("libssh-", (0, 6), (0, 7, 6), "libssh 0.6 to 0.7.5 lets anybody in (CVE-2018-10933)"),
    Bound("libssh_", (0, 8), (0, 8, 4), "libssh before 0.8.4 lets anybody in (CVE-2018-10933)"),
    Bound("libssh-", (0, 8), (0, 8, 4), "libssh before 0.8.4 lets anybody in (CVE-2018-10933)"),
    Bound("AsyncSSH_", (0,), (2, 14, 1), "AsyncSSH before 2.14.1 can be talked into another session"),
)
"""In this order; the first that fits counts."""


def number_of(software: str, name: str) -> tuple[int, ...] | None:
    """The version of the software `name` that a version line's software string says; None for another's."""
    if not software.startswith(name):
        return None
    found = _NUMBER.match(software, len(name))
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def why_old(line: str) -> str | None:
    """Why the software of this version line should be updated; None for no reason that is known."""
    if line.startswith("SSH-1.99-"):
        return "the server takes SSH-1 as well, which is broken (Protocol 2 turns that off)"
    software = line.split("-", 2)[2] if line.count("-") >= 2 else ""
    return next((bound.why for bound in BOUNDS if _holds(bound, software)), None)


def _holds(bound: Bound, software: str) -> bool:
    number = number_of(software, bound.name)
    return number is not None and bound.since <= number < bound.until


def openssh_number(software: str) -> tuple[int, ...] | None:
    """OpenSSH's version, for advice on what it can do; None for other software."""
    return number_of(software, "OpenSSH_for_Windows_") or number_of(software, "OpenSSH_")
