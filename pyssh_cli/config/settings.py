"""The values that flags and files have given so far, and where each came from.

The weighing of one source against another is this: whoever comes first wins, lists that add up grow. Defaults
are not here; they are the keyword table's.
"""

from __future__ import annotations

from typing import Any


class Settings:
    """Values by keyword, in lower case. `origins` has the places that gave each: "FILE:LINE" or a flag."""

    __slots__ = ("origins", "values")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, list[str]] = {}

    def set_first(self, keyword: str, value: Any, origin: str) -> bool:
        """Take `value` unless the keyword has one already; tells whether it was taken."""
        if keyword in self.values:
            return False
        self.values[keyword] = value
        self.origins[keyword] = [origin]
        return True

    def replace(self, keyword: str, value: Any, origin: str) -> None:
        """Take `value` whatever stood there: some flags (-4, -T, -c ...) do that."""
        self.values[keyword] = value
        self.origins[keyword] = [origin]

    def add(self, keyword: str, values: list[Any], origin: str) -> None:
        """Append to a list what it does not hold yet."""
        held = self.values.setdefault(keyword, [])
        origins = self.origins.setdefault(keyword, [])
        for value in values:
            if value not in held:
                held.append(value)
                origins.append(origin)

    def remove(self, keyword: str, index: int) -> None:
        """Take one value off a list."""
        del self.values[keyword][index]
        del self.origins[keyword][index]

    def get(self, keyword: str) -> Any:
        """The value, or None."""
        return self.values.get(keyword)

    def origin(self, keyword: str) -> str:
        """Where the value (of a list: its first) came from, or "default"."""
        origins = self.origins.get(keyword)
        return origins[0] if origins else "default"
