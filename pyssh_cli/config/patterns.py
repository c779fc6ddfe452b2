"""Wildcard patterns and lists of them, as ssh_config(5) section PATTERNS says. No files, no host look-ups."""

from __future__ import annotations


def matches_pattern(text: str, pattern: str) -> bool:
    """Whether the whole of `text` fits `pattern`, where `*` stands for anything and `?` for one character."""
    if "*" not in pattern and "?" not in pattern:
        return text == pattern
    at_text = at_pattern = 0
    star = resume = -1
    while at_text < len(text):
        char = pattern[at_pattern] if at_pattern < len(pattern) else ""
        if char == "*":
            star, resume = at_pattern, at_text
            at_pattern += 1
        elif char and char in ("?", text[at_text]):
            at_text += 1
            at_pattern += 1
        elif star >= 0:  # let the last star swallow one character more
            resume += 1
            at_text, at_pattern = resume, star + 1
        else:
            return False
    return not pattern[at_pattern:].strip("*")


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
