"""A terminal's screen as an SVG picture: text with the escape sequences of its colours in, a framed window out.

It knows what tmux's `capture-pane -e` writes: SGR sequences (ECMA-48, and xterm's 256 and 24-bit colours), and OSC
sequences, which it leaves out. The window is dark whatever the page around it is, so that one picture suits both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

FOREGROUND, BACKGROUND, FRAME = "#d6deeb", "#16202c", "#3b4a5c"
PALETTE = (
    *("#45535f", "#f27983", "#9ece8a", "#e5c07b", "#7aa9f7", "#c792ea", "#6fd3d3", "#d6deeb"),
    *("#708090", "#ff9aa2", "#b9e4a7", "#f5d79a", "#9cc2ff", "#dcb0f5", "#93e6e6", "#ffffff"),
)
"""The colours 0 to 15, soft enough to read on BACKGROUND."""

SIZE, WIDTH, HEIGHT = 14, 8.43, 19.0
"""Of the font, and of a cell, in pixels."""

BAR, MARGIN = 34, 14
"""The height of the title bar, and the room around the text."""

_SEQUENCE = re.compile(r"\x1b\[([\d;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|[\x0e\x0f]")


class Style(NamedTuple):
    """How a piece of text looks; a colour of None is the terminal's own."""

    foreground: str | None = None
    background: str | None = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underlined: bool = False
    reversed: bool = False

    def colours(self) -> tuple[str, str | None]:
        """What to draw with, and on; None is the window's own ground."""
        if self.reversed:
            return self.background or BACKGROUND, self.foreground or FOREGROUND
        return self.foreground or FOREGROUND, self.background


_SWITCHES: dict[int, dict[str, Any]] = {
    1: {"bold": True},
    2: {"faint": True},
    3: {"italic": True},
    4: {"underlined": True},
    7: {"reversed": True},
    22: {"bold": False, "faint": False},
    23: {"italic": False},
    24: {"underlined": False},
    27: {"reversed": False},
}


def indexed(number: int) -> str:
    """A colour of xterm's 256."""
    if number < 16:
        return PALETTE[number]
    if number < 232:
        levels = (0, 95, 135, 175, 215, 255)
        red, rest = divmod(number - 16, 36)
        return "#{:02x}{:02x}{:02x}".format(*(levels[step] for step in (red, *divmod(rest, 6))))
    grey = 8 + 10 * (number - 232)
    return f"#{grey:02x}{grey:02x}{grey:02x}"


def changed(style: Style, parameters: str) -> Style:
    """The style after an SGR sequence with these parameters."""
    codes = iter([int(code or 0) for code in re.split("[;:]", parameters)])
    for code in codes:
        if code == 0:
            style = Style()
        elif code in _SWITCHES:
            style = style._replace(**_SWITCHES[code])
        elif code in {38, 48}:
            kind = next(codes, 5)
            colour = indexed(next(codes, 0)) if kind == 5 else "#{:02x}{:02x}{:02x}".format(*_take(codes, 3))
            style = style._replace(foreground=colour) if code == 38 else style._replace(background=colour)
        elif 30 <= code <= 39 or 90 <= code <= 97:
            style = style._replace(foreground=_plain(code, 30))
        elif 40 <= code <= 49 or 100 <= code <= 107:
            style = style._replace(background=_plain(code, 40))
    return style


def _plain(code: int, base: int) -> str | None:
    number = code - base
    return None if number == 9 else PALETTE[number - 52 if number >= 60 else number]


def _take(codes: Iterator[int], count: int) -> list[int]:
    return [next(codes, 0) for _ in range(count)]


class Piece(NamedTuple):
    """Text of one style in one line; `column` is where it begins and `cells` how wide it is."""

    text: str
    style: Style
    column: int
    cells: int


def pieces(screen: str) -> Iterator[list[Piece]]:
    """The pieces of each line of a screen."""
    style = Style()
    for line in screen.splitlines():
        found: list[Piece] = []
        column = position = 0
        for sequence in [*_SEQUENCE.finditer(line), None]:
            text = line[position : sequence.start() if sequence else len(line)]
            if text:
                found.append(Piece(text, style, column, _cells(text)))
                column += found[-1].cells
            if sequence:
                position = sequence.end()
                style = style if sequence[1] is None else changed(style, sequence[1])
        yield found


def _cells(text: str) -> int:
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def render(screen: str, *, columns: int, title: str) -> str:
    """The picture. `screen` is text with its escape sequences, `columns` the width to draw, in cells."""
    lines = list(pieces(screen.rstrip("\n")))
    width = round(columns * WIDTH + 2 * MARGIN)
    height = round(len(lines) * HEIGHT + BAR + 2 * MARGIN)
    drawn = [_drawn(piece, row) for row, line in enumerate(lines) for piece in line]
    lights = (f'<circle cx="{20 + 18 * at}" cy="{BAR / 2:g}" r="5" fill="{FRAME}"/>' for at in range(3))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">',
            f"<title>{escape(title)}</title>",
            f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="9" fill="{BACKGROUND}"'
            f' stroke="{FRAME}"/>',
            *lights,
            f'<text x="{width / 2:g}" y="{BAR / 2 + 4.5:g}" text-anchor="middle" fill="{PALETTE[8]}"'
            f' font-family="system-ui, sans-serif" font-size="13">{escape(title)}</text>',
            '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"'
            f' font-size="{SIZE}" style="white-space: pre" xml:space="preserve">',
            *(part for part in drawn if part),
            "</g>",
            "</svg>\n",
        ]
    )


def _drawn(piece: Piece, row: int) -> str:
    colour, ground = piece.style.colours()
    x, top = MARGIN + piece.column * WIDTH, BAR + MARGIN + row * HEIGHT - 4
    parts = []
    if ground:
        wide = piece.cells * WIDTH
        parts.append(f'<rect x="{x:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{HEIGHT:g}" fill="{ground}"/>')
    text = piece.text.strip(" ")
    if text:
        x += (len(piece.text) - len(piece.text.lstrip(" "))) * WIDTH
        wide = _cells(text) * WIDTH
        looks = {
            "font-weight": "bold" if piece.style.bold else "",
            "font-style": "italic" if piece.style.italic else "",
            "text-decoration": "underline" if piece.style.underlined else "",
            "opacity": "0.65" if piece.style.faint else "",
        }
        more = "".join(f' {name}="{value}"' for name, value in looks.items() if value)
        # Whatever font a viewer has, a piece is as wide as its cells.
        parts.append(
            f'<text x="{x:.2f}" y="{top + 14:.2f}" textLength="{wide:.2f}" lengthAdjust="spacingAndGlyphs"'
            f' fill="{colour}"{more}>{escape(text)}</text>'
        )
    return "".join(parts)
