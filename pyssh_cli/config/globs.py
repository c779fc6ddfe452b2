"""The files that an Include pattern stands for, glob(7)'s way. `patterns` is for host names and has no brackets.

The glob module takes longer to load than most configurations to read, and has no backslash.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyssh_cli.config.patterns import matches_pattern

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9",
    "graph": r"\x21-\x7e", "lower": "a-z", "print": r"\x20-\x7e", "punct": r"!-/:-@\[-`{-~", "space": r" \t-\r",
    "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
"""Named classes of characters, as they stand between brackets of a regular expression."""


def paths(pattern: str) -> list[str]:
    """The paths that fit an absolute `pattern`, sorted by their bytes. A path without wildcards has to be there.

    `*`, `?` and brackets stay within one part of the path, and fit no dot at its beginning; a backslash takes
    away the meaning of what follows.
    """
    if not any(char in pattern for char in "*?[\\"):
        return [pattern] if os.path.lexists(pattern) else []
    found = [""]
    for part in pattern.split("/")[1:]:
        literal = _literal(part)
        if literal is not None:
            found = [f"{directory}/{literal}" for directory in found]
        else:
            fits = _matcher(part)
            found = [f"{directory}/{name}" for directory in found for name in _names(directory) if fits(name)]
    return sorted((path for path in found if os.path.lexists(path)), key=os.fsencode)


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory or "/")
    except OSError:
        return []


def _literal(part: str) -> str | None:
    """What a part of the path says when it holds no wildcard; None when it does."""
    out = ""
    at = 0
    while at < len(part):
        if part[at] in "*?" or (part[at] == "[" and _bracket_end(part, at) > 0):
            return None
        if part[at] == "\\" and at + 1 < len(part):
            at += 1
        out += part[at]
        at += 1
    return out


def _matcher(part: str) -> Callable[[str], bool]:
    """A test whether a name fits a part of the pattern."""
    hidden = part.startswith((".", "\\."))
    if not any(char in part for char in "?[\\"):  # `?` is one byte there, and one character here
        return lambda name: (name[0] != "." or hidden) and matches_pattern(name, part)
    import re

    expression = re.compile(_expression(part), re.DOTALL)
    return lambda name: (name[0] != "." or hidden) and expression.fullmatch(name) is not None


def _expression(part: str) -> str:
    """A part of the pattern as a regular expression."""
    import re

    out = ""
    at = 0
    while at < len(part):
        char = part[at]
        end = _bracket_end(part, at) if char == "[" else 0
        if end:
            out += _set(part[at + 1 : end])
            at = end
        elif char in "*?":
            out += ".*" if char == "*" else "."
        else:
            if char == "\\" and at + 1 < len(part):
                at += 1
            out += re.escape(part[at])
        at += 1
    return out


def _bracket_end(part: str, at: int) -> int:
    """Where the `]` is that closes the bracket at `at`; 0 when there is none, and the bracket means itself."""
    at += 1
    at += part[at : at + 1] in {"!", "^"}
    at += part[at : at + 1] == "]"
    while at < len(part):
        if part[at] == "]":
            return at
        if part.startswith("[:", at) and ":]" in part[at + 2 :]:
            at = part.index(":]", at + 2) + 1
        elif part[at] == "\\":
            at += 1
        at += 1
    return 0


def _set(inside: str) -> str:
    """What stands between brackets, as a regular expression for one character."""
    import re

    negated = inside[0] in "!^"
    inside = inside[negated:]
    out = ""
    at = 0
    while at < len(inside):
        if inside.startswith("[:", at) and ":]" in inside[at:]:
            name, _, _ = inside[at + 2 :].partition(":]")
            out += _CLASSES.get(name, "")
            at += len(name) + 4
            continue
        first, at = _member(inside, at)
        if inside[at : at + 1] == "-" and at + 1 < len(inside):
            last, at = _member(inside, at + 1)
            if first <= last:
                out += f"{re.escape(first)}-{re.escape(last)}"
        else:
            out += re.escape(first)
    if not out:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{out}]"


def _member(inside: str, at: int) -> tuple[str, int]:
    """One character of a set and where the next begins; a backslash takes away its meaning."""
    if inside[at] == "\\" and at + 1 < len(inside):
        at += 1
    return inside[at], at + 1
