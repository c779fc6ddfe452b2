"""Sessions whose remote side shows what arrives, and how to tell that keys go to it."""

from __future__ import annotations

import termios

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.terminals import Terminal
from tests.system.waiting import wait_until

WATCH = """exec bash -c 'trap "stty size" WINCH; echo up; while :; do read -t 0.1 x && echo got $x; done'"""
"""A command that tells of each change of the window, and of each line."""

SHOW = "stty -echo -icanon; echo up; exec cat -v"


def open_cat(
    terminal: OpenTerminal, client: Client, *words: str, command: str = SHOW, rows: int = 24, columns: int = 80
) -> Terminal:
    """A session whose command shows what arrives; waits until keys go to it one by one."""
    shown = terminal(*words, "-tt", "box", command, argv=client.argv, rows=rows, columns=columns)
    shown.expect("up\r?\n")
    wait_until(shown.is_raw, "raw mode")
    return shown


def in_session(shown: Terminal) -> bool:
    """Whether the terminal is as raw as a session needs it; a line editor leaves its output as it is."""
    return shown.is_raw() and not shown.modes()[1] & termios.OPOST
