"""What --help prints: every flag of the table under its heading. Loaded when somebody asks for it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from textwrap import wrap

from pyssh_cli.cli.flags import FLAGS, GROUPS, LONG_FLAGS, Flag

WIDTH = 79
"""Columns that a line may have."""

_HEAD = """\
Usage: pyssh [option ...] destination [command [argument ...]]

Log in to a remote machine, or run a command there, over SSH. The destination
is [user@]host or ssh://[user@]host[:port]; without a command you get a shell.
"""
_FOOT = """\
Flags may stand before and behind the destination, up to the command. What is
not said here comes from ~/.ssh/config and /etc/ssh/ssh_config.
The whole story:{pages}"""

_PAGES = ("man1/pyssh.1", "man5/pyssh_config.5")
_MAN = ("/usr", "/usr/local")
"""Prefixes under whose share/man everybody's man looks."""


def help_text() -> str:
    """The help, without an end of line."""
    flags = (*FLAGS.values(), *LONG_FLAGS.values())
    groups = ("\n".join(_group(name, [flag for flag in flags if flag.group == name])) for name in GROUPS)
    return "\n".join((_HEAD, *(f"{group}\n" for group in groups), _FOOT.format(pages=_pages())))


def _pages() -> str:
    """How to see the manual pages: by path where they lie in an environment that man knows nothing of."""
    if sys.prefix not in _MAN and all(os.path.isfile(f"{sys.prefix}/share/man/{page}") for page in _PAGES):
        return "".join(f"\n  man {shlex.quote(f'{sys.prefix}/share/man/{page}')}" for page in _PAGES)
    return " man pyssh, man pyssh_config."


def _group(name: str, flags: list[Flag]) -> Iterator[str]:
    """One heading and its flags, a line each unless its help is longer than that."""
    yield f"{name}:"
    spelled = [f"{flag.spelled} {flag.argument}".rstrip() for flag in flags]
    width = max(map(len, spelled), default=0)
    for left, flag in zip(spelled, flags, strict=True):
        told = flag.help if flag.ready else f"{flag.help} Not supported yet."
        for number, line in enumerate(wrap(told, WIDTH - width - 4)):
            yield f"  {'' if number else left:<{width}}  {line}"
