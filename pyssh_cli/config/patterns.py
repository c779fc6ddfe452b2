"""Wildcard patterns and lists of them, as ssh_config(5) section PATTERNS says. No files, no host look-ups."""

from __future__ import annotations

from pyssh_cli.config.reader import ascii_lower
from pyssh_cli.keys.host_patterns import wildcard_match


def matches_pattern(text: str, pattern: str) -> bool:
    """Whether the whole of `text` fits `pattern`, where `*` stands for anything and `?` for one byte."""
    if "?" not in pattern:
        head, star, tail = pattern.partition("*")
        if not star:
            return text == pattern
        if not text.startswith(head):
            return False
        if "*" not in tail:
            return len(text) >= len(head) + len(tail) and text.endswith(tail)
    elif pattern[0] not in {"?", "*"} and pattern[0] != text[:1]:
        return False
    return wildcard_match(pattern.encode("utf-8", "surrogateescape"), text.encode("utf-8", "surrogateescape"))


def judge_list(text: str, patterns: str, *, fold_case: bool = False) -> int:
    """1 when `text` fits a comma-separated list, -1 when a pattern with a `!` in front refuses it, 0 for neither.

    `fold_case` compares in lower case, which is how host names are compared by Match.
    """
    if fold_case:
        text, patterns = ascii_lower(text), ascii_lower(patterns)
    found = 0
    for pattern in patterns.split(","):
        if pattern.startswith("!"):
            if matches_pattern(text, pattern[1:]):
                return -1
        elif not found and matches_pattern(text, pattern):
            found = 1
    return found


def matches_list(text: str, patterns: str, *, fold_case: bool = False) -> bool:
    """Whether `text` fits a comma-separated list: some pattern matches and no pattern with a `!` does."""
    return judge_list(text, patterns, fold_case=fold_case) == 1
