"""Colour for what we say ourselves: only on a terminal, and not where NO_COLOR or TERM=dumb ask for none.

Text goes in clean (`log.printable`) and comes out with the sequences of ECMA-48 (SGR) around it, or as it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, Literal

Role = Literal["good", "warning", "bad", "strong", "quiet"]

_SGR: dict[Role, str] = {"good": "32", "warning": "33", "bad": "1;31", "strong": "1", "quiet": "2"}
"""What each role looks like: the terminal's own colours, which the person has chosen."""


def wants_colour(stream: IO[str] | None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written to `stream` may be coloured (https://no-color.org)."""
    if stream is None or environment.get("NO_COLOR") or environment.get("TERM", "dumb") == "dumb":
        return False
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


class Paint:
    """Colours text by what it means; with `on` false it leaves text alone."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, role: Role | None, text: str) -> str:
        """The text in the colour of that role; None has none."""
        if not self.on or role is None or not text:
            return text
        return f"\x1b[{_SGR[role]}m{text}\x1b[0m"
