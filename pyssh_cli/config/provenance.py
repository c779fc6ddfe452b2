"""Where each value came from, and which Host and Match lines applied: what -G -v says beside the values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyssh_cli.config.settings import Block, Settings


def lines(dump: Iterable[str], settings: Settings, home: str) -> Iterator[str]:
    """For each line of -G that is not a default: the line and its origin. Then the blocks, as they were judged.

    `dump` is what -G prints; `home` is shortened to `~`.
    """
    by_keyword: dict[str, list[str]] = {}
    for line in dump:
        by_keyword.setdefault(line.partition(" ")[0].lower(), []).append(line)
    rows = [
        (line, _place(origin, settings, home))
        for keyword, shown in by_keyword.items()
        for line, origin in _paired(shown, settings.origins.get(keyword, []))
    ]
    yield "Values that are not defaults, and where they come from:"
    yield from _columns(rows)
    for heading, final_pass in _PASSES:
        blocks = [block for block in settings.blocks if block.final_pass == final_pass]
        if blocks:
            yield heading
            yield from _columns([_judged(block, home) for block in blocks])


_PASSES = (
    ("Host and Match lines, in the order they were read:", False),
    ("Host and Match lines in the second pass:", True),
)


def _paired(shown: list[str], origins: list[str]) -> Iterator[tuple[str, str]]:
    """Each shown line with its origin; a line that came from several places names them all."""
    if not origins or origins == ["default"]:
        return
    if len(shown) == len(origins):
        yield from zip(shown, origins, strict=True)
        return
    for line in shown:
        yield line, ", ".join(dict.fromkeys(origins))


def _place(origin: str, settings: Settings, home: str, seen: frozenset[str] = frozenset()) -> str:
    """An origin as it is shown: with the block it stands in, and the Include that brought its file in.

    `seen` are the files that have been told of: two may include each other, each under a condition.
    """
    path, _, number = origin.rpartition(":")
    if not path or not number.isdigit():
        return origin
    inside = [block for block in settings.blocks if block.path == path and block.line < int(number)]
    around = ""
    if inside:
        around = f" ({max(inside, key=lambda block: block.line).text})"
    if path in settings.includes and path not in seen:
        file, line = settings.includes[path]
        around += f", included at {_place(f'{file}:{line}', settings, home, seen | {path})}"
    return _short(origin, home) + around


def _judged(block: Block, home: str) -> tuple[str, str]:
    where = f"{_short(block.path, home)}:{block.line} {block.text}"
    verdict = "applies" if block.applies else f"does not apply: {block.reason}"
    if block.included:
        path, line = block.included
        verdict += f"; included at {_short(path, home)}:{line}"
    return where, verdict


def _short(path: str, home: str) -> str:
    return f"~{path[len(home) :]}" if home != "/" and path.startswith(f"{home}/") else path


def _columns(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Two columns, the second beginning behind the longest of the first that is not too long."""
    width = max((len(left) for left, _ in rows if len(left) <= 50), default=0)
    for left, right in rows:
        yield f"  {left:<{width}}    {right}"
