"""Wildcard patterns and lists of them, as ssh_config(5) section PATTERNS says. No files, no host look-ups."""

from __future__ import annotations

from pyssh_cli.keys.host_patterns import wildcard_match


def matches_pattern(text: str, pattern: str) -> bool:
    """Whether the whole of `text` fits `pattern`, where `*` stands for anything and `?` for one byte."""
    if "*" not in pattern and "?" not in pattern:
        return text == pattern
    return wildcard_match(pattern.encode("utf-8", "surrogateescape"), text.encode("utf-8", "surrogateescape"))


def matches_list(text: str, patterns: str, *, fold_case: bool = False) -> bool:
    """Whether `text` fits a comma-separated list: some pattern matches and no pattern with a `!` does.

    `fold_case` compares in lower case, which is how host names are compared by Match.
    """
    if fold_case:
        text, patterns = text.lower(), patterns.lower()
    found = False
    for pattern in patterns.split(","):
        if pattern.startswith("!"):
            if matches_pattern(text, pattern[1:]):
                return False
        elif matches_pattern(text, pattern):
            found = True
    return found
