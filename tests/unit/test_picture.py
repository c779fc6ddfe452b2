"""The picture in README.md: `scripts.svg`, which draws it, and the one that is there."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from scripts.svg import BACKGROUND, FOREGROUND, PALETTE, Style, indexed, pieces, render

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = Path(__file__).parents[2] / "docs" / "session.svg"


def texts(picture: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(picture)
    group = root.find(f"{SVG}g")
    assert group is not None
    return group.findall(f"{SVG}text")


def test_pieces_know_their_columns_and_styles() -> None:
    first, second = pieces("ab\x1b[1;31mcd\x1b[39me\n\x1b[0m\u4e2d\x1b[7mf")
    assert [(piece.text, piece.column, piece.cells) for piece in first] == [
        ("ab", 0, 2),
        ("cd", 2, 2),
        ("e", 4, 1),
    ]
    assert [piece.style for piece in first] == [
        Style(),
        Style(foreground=PALETTE[1], bold=True),
        Style(bold=True),
    ]
    assert [(piece.text, piece.column, piece.cells) for piece in second] == [("\u4e2d", 0, 2), ("f", 2, 1)]
    assert second[1].style.colours() == (BACKGROUND, FOREGROUND)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("97", Style(foreground=PALETTE[15])),
        ("42", Style(background=PALETTE[2])),
        ("100", Style(background=PALETTE[8])),
        ("38;5;196", Style(foreground="#ff0000")),
        ("48;5;232", Style(background="#080808")),
        ("38;2;1;2;3", Style(foreground="#010203")),
        ("1;2;3;4;22;23;24", Style()),
        ("31;49;39", Style()),
        ("", Style()),
    ],
)
def test_sequences(parameters: str, expected: Style) -> None:
    ((piece,),) = pieces(f"\x1b[{parameters}mx")
    assert piece.style == expected


def test_other_sequences_are_left_out() -> None:
    ((piece,),) = pieces("\x1b]8;;http://example.org\x1b\\x")
    assert piece.text == "x"
    assert indexed(15) == PALETTE[15]


def test_a_picture_is_xml_with_all_the_text() -> None:
    drawn = texts(render('$ <a & "b">\n\n  \x1b[4mlast  \x1b[0m\n', columns=20, title='A "title" & more'))
    assert [text.text for text in drawn] == ['$ <a & "b">', "last"]
    assert drawn[1].attrib["text-decoration"] == "underline"
    assert float(drawn[1].attrib["x"]) > float(drawn[0].attrib["x"])


def test_the_picture_of_the_readme_shows_a_session() -> None:
    lines = [text.text or "" for text in texts(PICTURE.read_text())]
    assert any("pyssh -J bastion db1" in line for line in lines)
    assert not any("/tmp/" in line or "/root" in line or "/work" in line for line in lines)
