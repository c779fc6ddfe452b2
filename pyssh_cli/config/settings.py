"""The values that flags and files have given so far, and where each came from.

The weighing of one source against another is this: whoever comes first wins, lists that add up grow. Defaults
are not here; they are the keyword table's.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Block(NamedTuple):
    """One Host or Match line that was read: where it stands, its text, whether it applied, and why if not.

    `text` is the line as it stands in the file ("Host web* !web3"). `reason` is empty when the block applied.
    `included` is the place of the Include that brought the file in.
    """

    path: str
    line: int
    text: str
    applies: bool
    reason: str
    final_pass: bool
    included: tuple[str, int] | None = None


class Settings:
    """Values by keyword, in lower case. `origins` has the places that gave each: "FILE:LINE" or a flag.

    `blocks` collects the Host and Match lines in the order they were judged in, `includes` has for each included
    file the place of its Include line; both stay empty unless `wants_blocks` is set, for most runs have no use for
    them. With `previewing` nothing is run: a Match exec does not apply, and `exec_left_out` tells of it.
    """

    __slots__ = ("blocks", "exec_left_out", "includes", "origins", "previewing", "values", "wants_blocks")

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, list[str]] = {}
        self.blocks: list[Block] = []
        self.includes: dict[str, tuple[str, int]] = {}
        self.wants_blocks = False
        self.previewing = False
        self.exec_left_out = False

    def preview(self) -> Settings:
        """A copy for a look at what the files would say, without running anything."""
        copy = Settings()
        copy.values = {key: [*value] if isinstance(value, list) else value for key, value in self.values.items()}
        copy.origins = {key: [*value] for key, value in self.origins.items()}
        copy.previewing = True
        return copy

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

    def append(self, keyword: str, value: Any, origin: str) -> None:
        """Append to a list whether it holds the same or not."""
        self.values.setdefault(keyword, []).append(value)
        self.origins.setdefault(keyword, []).append(origin)

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
