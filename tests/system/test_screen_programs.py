"""Programs that own the screen: what reaches the terminal is what ssh would let reach it, byte for byte."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.system.clients import Client, OpenSSHClient
from tests.system.conftest import OpenTerminal
from tests.system.servers import Server
from tests.system.terminals import Screen
from tests.system.waiting import wait_until

COLOURS = r"""awk 'BEGIN { for (i = 0; i < 256; i++) printf "\033[48;5;%dm %3d \033[0m", i, i; print "" }'"""
TRUE_COLOURS = r"""awk 'BEGIN { for (i = 0; i < 256; i++) printf "\033[38;2;%d;0;99mX", i; print "\033[0m" }'"""
REDRAWS = (
    r"""awk 'BEGIN { for (i = 0; i < 3000; i++) printf "\033[%d;%dH%d\033[K", i % 24, i % 70, i; print "" }'"""
)
STEADY = {
    "256 colours": COLOURS,
    "24-bit colours": TRUE_COLOURS,
    "redraws": REDRAWS,
    "line drawing": r"printf '\033(0lqqk\nx  x\nmqqj\033(B\n'",
    "wide characters": r"printf '\343\202\253\346\274\242 \360\237\220\215 e\314\201\n'",
    "alternate screen": r"printf '\033[?1049h\033[2Jinside\033[?1049l'",
    "a title and a bell": r"printf '\033]0;title\007\a'",
    "no newline at the end": "printf abc",
    "nothing": "true",
    "every byte": "stty -opost; printf '" + "".join(f"\\{n:03o}" for n in range(256)) + "'; stty opost",
}
"""Commands whose output depends on nothing but themselves."""


def both(pyssh: Client) -> tuple[Client, Client]:
    """pyssh and ssh, with one home."""
    return pyssh, OpenSSHClient(pyssh.home, pyssh.keys, pyssh.environment)


@pytest.mark.parametrize("name", STEADY)
def test_bytes_on_the_way_to_the_terminal(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, name: str
) -> None:
    pyssh.aim(openssh)
    seen = []
    for client in both(pyssh):
        shown = terminal("-q", "-tt", "box", STEADY[name], argv=client.argv)
        assert shown.wait() == 0
        seen.append(shown.seen)
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("command", "typed", "shows"),
    [
        ("vi -u NONE -i NONE -n /dev/null", ["ihello", "Enter", "world", "Escape", ":%s/o/0/g", "Enter"], "w0rld"),
        ("less -R /etc/services", ["Space", "g", "/ssh", "Enter"], "ssh"),
        ("top -d 100 -p 1", ["l", "t", "t", "t", "m", "m", "m"], "PID"),
        (
            "tmux -L $$ -f /dev/null new -n name 'tmux set -g status-right x; exec cat'",
            ["text", "Enter"],
            "text\ntext",
        ),
    ],
    ids=["vi", "less", "top", "tmux"],
)
def test_programs_on_the_whole_screen_look_alike(
    pyssh: Client, openssh: Server, command: str, typed: list[str], shows: str
) -> None:
    """A tmux capture with colours, after the same keys."""
    pyssh.aim(openssh, "SetEnv LC_ALL=C.UTF-8")
    captures = []
    for client in both(pyssh):
        shown = Screen([*client.argv, "-q", "-tt", "box", command], client.environment)
        try:
            settled(shown)
            for key in typed:
                shown.type(key)
                settled(shown)  # top takes keys that come together for one
            shown.wait_for(shows)
            captures.append(re.sub(r"\d(?![\d;]*m)", "n", settled(shown)))  # what top counts, but no colours
        finally:
            shown.close()
    assert captures[0] == captures[1]


def settled(shown: Screen) -> str:
    """The screen with its colours, once it stays the same."""
    last: list[str] = []

    def same() -> str:
        last.append(shown.coloured())
        return last[-1] if last[-1].strip() and len(last) > 20 and len(set(last[-20:])) == 1 else ""

    return wait_until(same, "the screen to settle")


# Speed -----------------------------------------------------------------------------------------------------------


def test_a_large_paste_arrives_whole_while_it_is_echoed(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    """5 MB, typed by a terminal that reads what is shown meanwhile, as terminals do."""
    pyssh.aim(openssh)
    line = b"0123456789" * 7 + b"\r"
    count = 5_000_000 // len(line)
    command = f"stty -echoctl; echo up; head -n {count} | sha256sum; cat >/dev/null"
    shown = terminal("-e", "none", "-tt", "box", command)
    shown.expect("up\r?\n")
    wait_until(shown.is_raw, "raw mode")
    shown.type_all(line * count)
    digest = hashlib.sha256(line.replace(b"\r", b"\n") * count).hexdigest()
    shown.expect(digest)


@pytest.mark.beyond_ssh
def test_a_flood_stops_soon_after_the_key_that_stops_it(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    """What still comes to a terminal that had stopped reading is little; ssh's window alone is a megabyte."""
    pyssh.aim(openssh)
    shown = terminal("-tt", "box", "trap : INT; echo up; yes; echo sto''pped")
    shown.expect("up\r?\n")
    wait_until(shown.is_raw, "raw mode")
    shown.expect("(y\r\n){20000}")
    counts: list[int] = []

    def full() -> bool:
        counts.append(shown.unread())
        return len(counts) > 50 and len(set(counts[-50:])) == 1

    wait_until(full, "everything on the way to be full")
    before = len(shown.seen)
    shown.send("\x03")
    shown.expect("stopped")
    assert len(shown.seen) - before < 400_000
