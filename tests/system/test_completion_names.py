"""Tab among names of files that a shell would act on: nothing is run, and what is inserted is the name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.terminals import Terminal
from tests.system.test_completion import ARGV, LIBRARY, LOAD, PROMPT, PYSSH

NAMES = [
    "$(touch z)", "`touch z`", "$(touch${IFS}z)", ";touch z", "&touch z;", "|touch z|", "'$(touch z)'",
    '"$(touch z)"', "\\$(touch z)", "';touch z;'", '";touch z;"', "'", '"', "\\", "a b", " lead", "trail ",
    "~", "-oX=touch z", "*", "?", "[a]", "{a,b}", "!touch", "#c", "<(touch z)", ">z", "(touch z)", "$HOME",
    "${a[$(touch z)]}", "$((a[$(touch z)]))", "=touch", "a:b", "a=b", "a@b", "a,b", "ü€", "^", "%", "$'x'",
]  # fmt: skip
"""What names of files hold, or are."""

UNSHOWN = ["\n", "\ntouch z\n", "\t", "\x1b[31m", "x\x7f"]
"""The same; not all shells offer these, and then nothing is inserted."""

QUOTED = [
    "host cat '$(touch z)", "host cat '$(touch z) ", "host '$(touch z)", "host '`touch z`", 'host "(touch z)',
    "host cat '$x;touch z;", "host 'a$(touch z)", "host ls '$(touch z)' '$(touch z)", "-E '|touch z;",
    "host cat ';touch z;", "-o 'IdentityFile=; (touch z)", '-o "IdentityFile=; (touch z)', "-J '$(touch z)",
    "-o 'IdentityFile=$(touch z)", "-i '; (touch z)", "-i '$(touch z)", "-F '`touch z`", "-L '80:$(touch z)",
    "-L '80:./$(touch z)", "'$(touch z)@", "-i '$(touch z)/", "-i'$(touch z)/", "-o 'ControlPath=`touch z`/",
    "host cat '$(touch z)/",
]  # fmt: skip
"""Words in quotes that are still open: nobody has asked for what stands in them to be done here."""

RECORD = {
    "bash": 'bind -x \'"\\C-x\\C-p": printf %s "$READLINE_LINE" >$OUT; READLINE_LINE=; echo "<""told>"\';'
    ' bind \'"\\C-x\\C-t": "\\t\\C-x\\C-p"\'; set +o histexpand',
    "zsh": 'told() { print -rn -- "$BUFFER" >$OUT; BUFFER=; print "<""told>" }; zle -N told; bindkey "^X^P" told;'
    ' bindkey -s "^X^T" "\\t^X^P"',
    "fish": "function told; commandline >$OUT; commandline ''; echo '<''told>'; end; bind \\cx\\cp told",
}
"""Makes C-x C-p write the line that has been typed to $OUT, and clear it; C-x C-t is a Tab and that."""

TAB = {"bash": "\x18\x14", "zsh": "\x18\x14", "fish": "\t\x18\x10"}

BACK = "\x02"
"""C-b, a character to the left."""

EVALUATE = {
    "bash": ["bash", "--norc", "-c", 'pyssh() { printf \'%s\\0\' "$@"; }; eval "$LINE"'],
    "zsh": ["zsh", "-f", "-c", 'pyssh() { printf \'%s\\0\' "$@"; }; eval "$LINE"'],
    "fish": ["fish", "--no-config", "-c", "function pyssh; printf '%s\\0' $argv; end; eval $LINE"],
}
"""Prints the arguments that a line comes to."""


class Shell:
    """A shell with completion loaded, in a directory of its own."""

    def __init__(self, name: str, load: str, home: Path) -> None:
        self.name = name
        self.place = home / "place"
        self.place.mkdir(parents=True)
        self._out = home / "out"
        self._environment = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "OUT": str(self._out),
            "PATH": f"{PYSSH.parent}:/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TERM": "xterm",
        }
        self.terminal = Terminal(ARGV[name], self._environment, rows=100, columns=1000)
        self.terminal.send(f"cd {self.place}; {load}; {RECORD[name]}; {PROMPT[name]}\r")
        self.terminal.expect("ready>")

    def tab(self, typed: str) -> str:
        """The line as it is after a Tab behind what is typed."""
        self.terminal.send(typed + TAB[self.name])
        self.terminal.expect("<told>")
        return self._out.read_text("utf-8", "surrogateescape").removesuffix("\n" if self.name == "fish" else "")

    def arguments(self, line: str) -> list[str]:
        """What the line comes to, once its quotes are closed; nothing when it is no whole line."""
        environment = {**self._environment, "LINE": line}
        done = subprocess.run(
            EVALUATE[self.name], env=environment, cwd=self.place, check=False, capture_output=True
        )
        return [word.decode("utf-8", "surrogateescape") for word in done.stdout.split(b"\0")[:-1]]


OpenShell = Callable[[str], Shell]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[OpenShell]:
    """Starts a shell; `bash with library` is one that has bash-completion, too."""
    opened: list[Shell] = []

    def start(kind: str) -> Shell:
        name, _, library = kind.partition(" ")
        if library and not LIBRARY.exists():
            pytest.skip("no bash-completion")
        opened.append(Shell(name, f". {LIBRARY}; {LOAD[name]}" if library else LOAD[name], tmp_path / "home"))
        return opened[-1]

    yield start
    for one in opened:
        one.terminal.close()


KINDS = ["bash", "bash with library", "zsh", "fish"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("before", "stem", "quote"),
    [
        ("-i ", "", ""),
        ("-o 'IdentityFile=", "IdentityFile=", "'"),
        ('host cat "', "", '"'),
        ("-L 80:./", "80:./", ""),
    ],
    ids=["file", "part of a word", "command", "socket"],
)
def test_a_name_is_inserted_and_nothing_else(
    kind: str, before: str, stem: str, quote: str, shell: OpenShell
) -> None:
    at = shell(kind)
    for number, name in enumerate(NAMES + UNSHOWN):
        alone = at.place / f"d{number:02}"
        alone.mkdir()
        (alone / name).touch()
        (at.place / f"f{number:02}{name}").touch()
    made = sorted(os.listdir(at.place))
    *words, _ = before.split(" ")
    for number, name in enumerate(NAMES + UNSHOWN):
        for start in (f"d{number:02}/", f"f{number:02}"):
            typed = f"pyssh {before}{start}"
            line = at.tab(typed)
            wanted = [*words, f"{stem}{start}{name}"]
            found = at.arguments(line) or at.arguments(line + quote)
            if found != wanted and line.endswith(" ") and quote == '"' and at.name == "zsh":
                found = at.arguments(line.replace("\\!", "!"))  # interactive shells take that backslash away
            assert found == wanted or (name in UNSHOWN and line.rstrip().removesuffix(quote) == typed), (
                typed,
                line,
                found,
            )
            assert sorted(os.listdir(at.place)) == made, (typed, line)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_an_open_quote_is_not_run(kind: str, shell: OpenShell) -> None:
    at = shell(kind)
    for typed in QUOTED:
        if at.name != "zsh" or '"' not in typed:  # zsh's own Tab expands what is typed between quotation marks
            assert at.tab(f"pyssh {typed}").rstrip() == f"pyssh {typed}".rstrip()
            at.tab(f"pyssh {typed}xx{BACK}{BACK}")
        assert os.listdir(at.place) == [], typed
