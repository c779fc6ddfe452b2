"""What pyssh puts behind ssh's own lines about a configuration, for tests that compare those lines."""

from __future__ import annotations

import re

_HINT = re.compile(
    r" \((did you mean |one of: |pyssh -Q |seconds, or |only you |it has to |\S+ line \d+ includes)[^\n]*\)$"
)


def bare(line: str) -> str:
    """A line without the hint in parentheses at its end."""
    return _HINT.sub("", line)
