"""Escape keys: what goes out, what is for us, whatever the pieces the bytes come in."""

from __future__ import annotations

import itertools

import pytest

from pyssh_cli.terminal.escapes import ESCAPES, Action, EscapeFilter, help_text, spelled

TILDE = ord("~")


def through(*chunks: bytes, escape_char: int | None = TILDE) -> tuple[bytes, list[Action]]:
    """All that comes out of a new filter for the chunks."""
    escapes = EscapeFilter(escape_char)
    sent, actions = b"", []
    for chunk in chunks:
        out, rows = escapes.feed(chunk)
        sent += out
        actions += [row.action for row in rows]
    return sent, actions


@pytest.mark.parametrize(
    ("typed", "sent", "actions"),
    [
        (b"~.", b"", [Action.DISCONNECT]),
        (b"~.rest\r~B", b"", [Action.DISCONNECT]),
        (b"~\x1a", b"", [Action.SUSPEND]),
        (b"~?", b"", [Action.HELP]),
        (b"~B", b"", [Action.BREAK]),
        (b"~R", b"", [Action.REKEY]),
        (b"~V~v", b"", [Action.LESS_VERBOSE, Action.MORE_VERBOSE]),
        (b"~#", b"", [Action.LIST_CONNECTIONS]),
        (b"~I~C", b"", [Action.CONNECTION_INFO, Action.COMMAND_LINE]),
        (b"~&", b"", [Action.BACKGROUND]),
        (b"a\r~&rest\r~?", b"a\r", [Action.BACKGROUND]),
        (b"~~", b"~", []),
        (b"~~.", b"~.", []),
        (b"~~~", b"~~", []),
        (b"~x", b"~x", []),
        (b"~x~.", b"~x~.", []),
        (b"~b", b"~b", []),
        (b"~\r~.", b"~\r", [Action.DISCONNECT]),
        (b"a~.", b"a~.", []),
        (b"a\r~.", b"a\r", [Action.DISCONNECT]),
        (b"a\n~.", b"a\n", [Action.DISCONNECT]),
        (b"a\r\n~?b", b"a\r\nb", [Action.HELP]),
        (b"a~\r~~b~.", b"a~\r~b~.", []),
        (b"~?~?~.", b"", [Action.HELP, Action.HELP, Action.DISCONNECT]),
        (b"~?x~.", b"x~.", [Action.HELP]),
        (b"ls\r~#pwd\r~Bx", b"ls\rpwd\rx", [Action.LIST_CONNECTIONS, Action.BREAK]),
        (b"\r", b"\r", []),
        (b"~", b"", []),
        (b"\xc3\xa4~.\r~B", b"\xc3\xa4~.\r", [Action.BREAK]),
    ],
)
def test_typed_in_any_pieces(typed: bytes, sent: bytes, actions: list[Action]) -> None:
    assert through(typed) == (sent, actions)
    assert through(*(bytes([c]) for c in typed))[0].startswith(sent)
    for cuts in itertools.combinations(range(len(typed) + 1), 2):
        pieces = typed[: cuts[0]], typed[cuts[0] : cuts[1]], typed[cuts[1] :]
        if not {Action.DISCONNECT, Action.BACKGROUND} & set(actions):  # afterwards nobody feeds any more
            assert through(*pieces) == (sent, actions)
        else:
            assert through(*pieces)[1][: len(actions)] == actions


def test_the_same_object_comes_back_when_there_is_nothing_to_find() -> None:
    escapes = EscapeFilter(TILDE)
    data = b"plain text\r"
    assert escapes.feed(data)[0] is data
    assert escapes.feed(data)[1] == ()
    assert [row.action for row in escapes.feed(b"~.")[1]] == [Action.DISCONNECT]


def test_a_plain_chunk_after_the_escape_character_is_looked_at() -> None:
    escapes = EscapeFilter(TILDE)
    assert escapes.feed(b"~") == (b"", [])
    assert [row.action for row in escapes.feed(b"?")[1]] == [Action.HELP]


def test_empty_input_changes_nothing() -> None:
    escapes = EscapeFilter(TILDE)
    escapes.feed(b"a\r")
    assert escapes.feed(b"") == (b"", ())
    assert escapes.feed(b"~")[0] == b""


def test_no_escape_character_means_no_escapes() -> None:
    data = b"~.\r~."
    sent, rows = EscapeFilter(None).feed(data)
    assert sent is data
    assert rows == ()


def test_another_escape_character() -> None:
    assert through(b"~.\r\x1d.", escape_char=0x1D) == (b"~.\r", [Action.DISCONNECT])
    assert through(b"\x1d\x1d", escape_char=0x1D) == (b"\x1d", [])
    assert through(b"\xff.", escape_char=0xFF) == (b"", [Action.DISCONNECT])


def test_a_large_paste_arrives_whole() -> None:
    paste = b"a ~ line ~. of text\r" * 50_000
    assert through(paste) == (paste, [])


def test_the_help_has_a_line_for_every_row() -> None:
    lines = help_text(TILDE).split("\r\n")
    for row in ESCAPES.values():
        assert any(line.split(maxsplit=1) == ["~" + spelled(row.key), row.help] for line in lines)
    assert any(line.strip().startswith("~~ ") for line in lines)
    assert "\n" not in help_text(TILDE).replace("\r\n", "")


def test_the_help_leaves_out_a_command_line_that_is_not_enabled() -> None:
    assert "~C" in help_text(TILDE)
    assert "~C" not in help_text(TILDE, command_line=False)


def test_nested_sessions_share_the_keys_by_doubling_them() -> None:
    outer, inner = EscapeFilter(TILDE), EscapeFilter(TILDE)
    passed, rows = outer.feed(b"~~.")
    assert (passed, rows) == (b"~.", [])
    assert [row.action for row in inner.feed(passed)[1]] == [Action.DISCONNECT]
    third = EscapeFilter(TILDE)
    passed, _ = EscapeFilter(TILDE).feed(b"~~~?")  # ~~ is one, and what follows is not at the start of a line
    assert passed == b"~~?"
    assert third.feed(passed) == (b"~?", [])


@pytest.mark.parametrize(("char", "text"), [(TILDE, "~"), (0x1A, "^Z"), (0x7F, "^?"), (0xFF, "\\377")])
def test_spelling(char: int, text: str) -> None:
    assert spelled(char) == text
