"""Which names fit what was typed, best first: the letters have to be there in their order, with others between."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_QUERY = 64
"""Characters of what was typed that count."""

_WORD_START = re.compile(r"(?<![^\W_])[^\W_]")
"""A letter or digit that stands behind none, as behind a dot or a hyphen."""

_WHOLE, _BEGINNING, _WORD, _INSIDE, _INITIALS, _FROM_WORD, _SCATTERED = range(7)
"""How well a name fits, best first: it is what was typed; begins with it; has it at the start of a word, or in the
middle of one; the words' first letters are it; its letters are scattered, from the start of a word on, or not."""


def folded(query: str) -> str:
    """What counts of what was typed: without case and blanks."""
    return "".join(query.lower().split())[:MAX_QUERY]


class Finder:
    """Finds names by what was typed of them. Of two that fit alike, the one that comes first is first."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.lower() for name in names]
        self._initials = ["".join(_WORD_START.findall(name)) for name in self._names]
        self._query = ""
        self._found: list[int] = list(range(len(names)))

    def find(self, query: str) -> list[int]:
        """The places of the names that fit, best first; all of them for an empty query."""
        query = folded(query)
        if query == self._query:
            return self._found
        # What does not fit a query fits no longer one.
        pool = self._found if query.startswith(self._query) else range(len(self._names))
        self._query = query
        self._found = self._ranked(query, sorted(pool)) if query else list(range(len(self._names)))
        return self._found

    def _ranked(self, query: str, pool: Sequence[int]) -> list[int]:
        names, initials = self._names, self._initials
        in_order = _expression(query).match
        most = max(map(len, names), default=0) + 1
        ranks: list[tuple[int, int]] = []
        for place in pool:
            name = names[place]
            at = name.find(query)
            if at >= 0:
                kind = _WORD if _starts_word(name, at) else _INSIDE
                if not at:
                    kind = _WHOLE if name == query else _BEGINNING
                ranks.append((kind * most, place))
            elif len(query) > 1:
                if query in initials[place]:
                    ranks.append((_INITIALS * most, place))
                elif found := in_order(name):
                    begin, end = found.span(1)
                    kind = _FROM_WORD if _starts_word(name, begin) else _SCATTERED
                    ranks.append((kind * most + end - begin, place))
        ranks.sort()
        return [place for _, place in ranks]


def positions(query: str, name: str) -> frozenset[int]:
    """Which characters of a name that fits were typed."""
    query, name = folded(query), name.lower()
    at = name.find(query)
    if at >= 0:
        return frozenset(range(at, at + len(query)))
    starts = [match.start() for match in _WORD_START.finditer(name)]
    at = "".join(name[start] for start in starts).find(query)
    if at >= 0:
        return frozenset(starts[at : at + len(query)])
    found = []
    at = -1
    for char in query:
        at = name.find(char, at + 1)
        if at < 0:
            return frozenset()
        found.append(at)
    return frozenset(found)


def _starts_word(name: str, at: int) -> bool:
    return not at or not name[at - 1].isalnum()


def _expression(query: str) -> re.Pattern[str]:
    """Matches names with the letters of the query in their order, in time that grows with the name only."""
    first, *rest = (re.escape(char) for char in query)
    gaps = "".join(f"[^{char}]*+{char}" for char in rest)
    return re.compile(f"[^{first}]*+({first}{gaps})", re.DOTALL)
