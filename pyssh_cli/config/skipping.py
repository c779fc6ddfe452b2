"""Lines of a configuration file that mean nothing while no block applies, and hold no mistake.

A file with thousands of blocks is mostly such lines, and to pass over them in one go takes a tenth of the time.
One expression, made for the host in question, knows the usual shapes; what it leaves is read line by line, and
comes to the same. So a shape may be missing here, but none may be here that the keyword's own parser could refuse,
or have a note on.
"""

from __future__ import annotations

import re

from pyssh_cli.config import grammars, jumps, values
from pyssh_cli.config.keywords import KEYWORDS, Keyword
from pyssh_cli.config.values import Choice

_DEPTH = 40
"""How many characters of a host name are compared: expressions cannot nest without end."""

_SEPARATOR = r"(?:[ \t]++(?:=[ \t]*+)?+|=[ \t]*+)"
_CHAR = r"""[^\s"'\\]"""
_QUOTED = r""""[^"'\\\r\n\f]++\""""
_WORD = rf"(?:(?![=#]){_CHAR}++|{_QUOTED})"
_NAME = r"""[^\s"'\\=#]++"""
_NUMBER = "(?:[1-5][0-9]{4}+|[1-9][0-9]{0,3}+)"
_SPAN = "(?:(?:[0-9]{1,3}[smhdwSMHDW]){1,3}+|[0-9]{1,9}+)"
_PLACE = rf"[A-Za-z0-9_.-]++:{_NUMBER}"
_HOP = rf"(?:[A-Za-z0-9_.-]++@)?+[A-Za-z0-9_.-]++(?::{_NUMBER})?+"
_FLAG = "(?i:yes|no|true|false)"

_BY_PARSER: dict[values.Parser, str] = {
    values.text: _WORD,
    values.text_or_none: _WORD,
    values.lower_text: _WORD,
    values.files: _WORD,
    values.integer: "[0-9]{1,9}+",
    values.port: _NUMBER,
    values.time: f"(?:none|{_SPAN})",
    values.command: r"""[^\s"'\\=#][^"'\\\r\n\f]*+""",
    values.send_env: rf"{_NAME}(?:[ \t]++{_NAME})*+",
    values.set_env: rf"{_NAME}={_CHAR}*+",
    grammars.add_keys_to_agent: "(?i:yes|no|ask|confirm)",
    grammars.control_persist: f"(?:yes|no|true|false|{_SPAN})",
    grammars.forward_agent: _FLAG,
    grammars.identity_agent: r"[A-Za-z0-9_.~/-]++",
    jumps.proxy_jump: rf"{_HOP}(?:,{_HOP})*+",
}
_BY_NAME = {
    "DynamicForward": _NUMBER,
    "LocalForward": rf"{_NUMBER}[ \t]++{_PLACE}",
    "RemoteForward": rf"{_NUMBER}[ \t]++{_PLACE}",
}
"""The arguments that are fine for certain, as an expression."""


def skippable(host: str) -> re.Pattern[str]:
    """An expression for a run of lines that can be passed over when the host of the Host lines is `host`.

    It matches at the beginning of any line, and where there is nothing to skip the empty string.
    """
    other = _other_than(host)
    word = rf"""(?:!?+{other}|"!?+{other}")(?![^\s])"""
    shapes = {"host": rf"{word}(?:[ \t]++{word})*+"}
    for row in KEYWORDS.values():
        arguments = _arguments(row)
        if arguments:
            shapes.update(dict.fromkeys((row.name.lower(), *row.aliases), arguments))
    comment = r"(?:(?<![^\s])#[^\r\n\f]*+)?+"
    kinds = f"{_by_letter(shapes)}|(?=[#\r\n])"
    return re.compile(rf"(?:[ \t]*+(?:{kinds})[ \t]*+{comment}\r?+\n)*+", re.ASCII)


def _arguments(row: Keyword) -> str | None:
    """The arguments of a keyword that are fine for certain."""
    if isinstance(row.parse, Choice):
        return f"(?i:{'|'.join(sorted(row.parse.names, reverse=True))})(?![^\\s])"
    return _BY_NAME.get(row.name) or _BY_PARSER.get(row.parse)


def _other_than(host: str) -> str:
    """An expression for patterns that cannot fit `host`.

    What stands before the first wildcard is not what `host` begins with, or the last character is neither a
    wildcard nor what `host` ends in.
    """
    alike = r'(?:[*?]|(?![^\s"]))' if len(host) <= _DEPTH else ""
    for char in reversed(host[:_DEPTH]):
        alike = f"(?:[*?]|{re.escape(char)}{alike})"
    return rf"(?:(?!{alike}|[=#!]){_CHAR}++|(?![=#!]){_CHAR}++(?<=[^*?{re.escape(host[-1])}]))"


def _by_letter(shapes: dict[str, str]) -> str:
    """An expression for each keyword of `shapes`, in any case, with its arguments behind it.

    It goes by the first letter, then by what the arguments are, which is quicker than to try one keyword after the
    other.
    """
    sorted_out: dict[str, dict[str, list[str]]] = {}
    for name, arguments in shapes.items():
        sorted_out.setdefault(name[0], {}).setdefault(arguments, []).append(name[1:])
    return "|".join(
        f"[{letter}{letter.upper()}](?:"
        + "|".join(f"(?i:{'|'.join(rests)}){_SEPARATOR}{arguments}" for arguments, rests in kinds.items())
        + ")"
        for letter, kinds in sorted_out.items()
    )
