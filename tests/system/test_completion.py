"""Tab in real shells: what completions/ show of what pyssh knows, typed as a person types."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pyssh_cli.completion import SCRIPTS
from pyssh_cli.completion.tables import FLAGS
from tests.system.terminals import Screen
from tests.system.waiting import wait_until

ROOT = Path(__file__).parents[2]
COMPLETIONS = ROOT / "completions"
PYSSH = Path(sys.executable).with_name("pyssh")
LIBRARY = Path("/usr/share/bash-completion/bash_completion")
TOUCHING = ("$(touch x)", "$(touch${IFS}x)", ";touch x", "`touch x`", "&touch x", "\\$(touch x)", "';touch x;'")

CONFIG = """\
Host zebra-1
    HostName 192.0.2.7
    UserKnownHostsFile {directory}/known_hosts
Include {directory}/more/*
"""

ARGV = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--private", "--no-config", "-i"],
}
PROMPT = {
    "bash": "PS1='ready'\\>' '",
    "zsh": "PS1='ready'\\>' '",
    "fish": "set -g fish_autosuggestion_enabled 0; function fish_prompt; echo 'ready''> '; end",
}
LOAD = {
    "bash": f". {COMPLETIONS}/pyssh.bash",
    "zsh": f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D",
    "fish": f"source {COMPLETIONS}/pyssh.fish",
}

OpenShell = Callable[..., Screen]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory to be in: with a configuration, known hosts that would do harm, and a file."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "included").write_text("Host quagga\n")
    (tmp_path / "config").write_text(CONFIG.format(directory=tmp_path))
    harm = "".join(f"zebra-1{harm} ssh-ed25519 AAAA\n{harm} ssh-ed25519 AAAA\n" for harm in TOUCHING)
    (tmp_path / "known_hosts").write_text(f"{harm}known-host,known-\x1b]0;x\x07 ssh-ed25519 AAAA\n")
    (tmp_path / "some-identity").touch()
    return tmp_path


@pytest.fixture
def shell(place: Path) -> Iterator[OpenShell]:
    """Starts a shell with completion loaded: `shell("zsh")`; other ways to load it are `load`."""
    with ExitStack() as opened:

        def start(
            name: str, load: str | None = None, *, path: str = f"{PYSSH.parent}:", **variables: str
        ) -> Screen:
            environment = {
                "HOME": str(place),
                "LANG": "C.UTF-8",
                "PATH": f"{path}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "PYTHONDONTWRITEBYTECODE": "1",
                "TERM": "screen",
                **variables,
            }
            made = Screen(ARGV[name], environment, rows=100, columns=160)
            opened.callback(made.close)
            made.type(f"cd {place}; {LOAD[name] if load is None else load}; {PROMPT[name]}", "Enter")
            made.wait_for("ready>")
            return made

        yield start


def tab(screen: Screen, typed: str, wanted: str) -> str:
    """Type, press Tab, and wait for the line that is wanted; what the screen shows then. The line is cleared."""
    screen.type(typed, "Tab")
    shown = screen.wait_for(f"ready> {wanted}")
    clear(screen)
    return shown


def clear(screen: Screen) -> None:
    """Empty the line and the screen. What is typed while a shell completes, it may lose: so more than once."""

    def is_empty() -> bool:
        screen.type("C-u", "C-l")
        return screen.text().strip() == "ready>"

    wait_until(is_empty, "an empty line")


@pytest.mark.parametrize("name", ARGV)
def test_tab(name: str, shell: OpenShell, place: Path) -> None:
    screen = shell(name)
    for typed, wanted in {
        "pyssh -F config zeb": "pyssh -F config zebra-1",
        "pyssh -F config me@zeb": "pyssh -F config me@zebra-1",
        "pyssh -F config me@quagg": "pyssh -F config me@quagga",
        "pyssh -c aes128-gcm@op": "pyssh -c aes128-gcm@openssh.com",
        "pyssh -F config -J quag": "pyssh -F config -J quagga",
        "pyssh -F config -J zebra-1,known": "pyssh -F config -J zebra-1,known-host",
        "pyssh -F config ssh://me@known": "pyssh -F config ssh://me@known-host",
        "pyssh -F config -L 8080:zeb": "pyssh -F config -L 8080:zebra-1:",
        "pyssh -F config -W quag": "pyssh -F config -W quagga:",
        "pyssh -o stricth": "pyssh -o StrictHostKeyChecking=",
        "pyssh -o StrictHostKeyChecking=acc": "pyssh -o StrictHostKeyChecking=accept-new",
        "pyssh -o Ciphers=^aes128-ctr,cha": "pyssh -o Ciphers=^aes128-ctr,chacha20-poly1305@openssh.com",
        "pyssh -o IdentityFile=some-i": "pyssh -o IdentityFile=some-identity",
        "pyssh -c aes128-ct": "pyssh -c aes128-ctr",
        "pyssh -i some-i": "pyssh -i some-identity",
        "pyssh -i ~/some-i": "pyssh -i ~/some-identity",
        "pyssh -vN -p 22 host ls some-i": "pyssh -vN -p 22 host ls some-identity",
        "pyssh host mkfif": "pyssh host mkfifo",
        f"{PYSSH} -Q cipher-a": f"{PYSSH} -Q cipher-auth",
        "pyssh --vers": "pyssh --version",
        "pyssh -O conn": "pyssh -O conninfo",
        "pyssh -F $(touch x) -Q cipher-a": "pyssh -F $(touch x) -Q cipher-auth",
    }.items():
        tab(screen, typed, wanted)
    assert not (place / "x").exists()


@pytest.mark.parametrize("name", ARGV)
def test_names_that_would_do_harm(name: str, shell: OpenShell, place: Path) -> None:
    """known_hosts has names that begin as a good one does, and hold what a shell acts on."""
    screen = shell(name)
    for typed in ("pyssh -F config ", "pyssh -F config -o ProxyJump=", "pyssh -F config -L 1:"):
        screen.type(typed, "Tab", "Tab")
        shown = screen.wait_for("quagga")
        assert "touch" not in shown
        clear(screen)
        screen.type("cat some-identity", "Enter")
        screen.wait_for("ready> cat some-identity\nready>")
    assert not (place / "x").exists()
    assert sorted(path.name for path in place.iterdir() if not path.name.startswith(".")) == [
        "config",
        "known_hosts",
        "more",
        "some-identity",
    ]


@pytest.mark.parametrize("name", ARGV)
def test_quotes_are_kept_and_files_are_quoted(name: str, shell: OpenShell, place: Path) -> None:
    (place / "evil$(touch x)").touch()
    screen = shell(name)
    for typed, wanted in {
        r"pyssh -F config -J a\$\(touch\ x\),zeb": r"pyssh -F config -J a\$\(touch\ x\),zebra-1",
        r'pyssh -F config -J "a\$(touch x),zeb': r'pyssh -F config -J "a\$(touch x),zebra-1',
        "pyssh -F config -J 'a$(touch x),zeb": "pyssh -F config -J 'a$(touch x),zebra-1",
        r"pyssh -F config x\$\(id\)@zeb": r"pyssh -F config x\$\(id\)@zebra-1",
        "pyssh -iev": r"pyssh -ievil\$\(touch\ x\)",
        "pyssh -i ev": r"pyssh -i evil\$\(touch\ x\)",
        f"pyssh -L 80:{place}/ev": rf"pyssh -L 80:{place}/evil\$\(touch\ x\)",
    }.items():
        tab(screen, typed, wanted)
    assert not (place / "x").exists()


@pytest.mark.parametrize("name", ARGV)
def test_without_pyssh_nothing_happens(name: str, shell: OpenShell) -> None:
    screen = shell(name, path="")
    screen.type("C-l", "pyssh -o StrictH", "Tab", "x")
    screen.wait_for("ready> pyssh -o StrictHx")
    assert screen.text().strip() == "ready> pyssh -o StrictHx"


@pytest.mark.skipif(not LIBRARY.exists(), reason="no bash-completion")
def test_bash_finds_it_where_it_is_installed(shell: OpenShell, place: Path) -> None:
    """And the library completes the remote command as one typed here."""
    target = place / "share" / "bash-completion" / "completions"
    target.mkdir(parents=True)
    shutil.copy(COMPLETIONS / "pyssh.bash", target / "pyssh")
    screen = shell("bash", f". {LIBRARY}", XDG_DATA_DIRS=f"{place}/share:/usr/share")
    tab(screen, "pyssh -o stricth", "pyssh -o StrictHostKeyChecking=")
    tab(screen, "pyssh -o StrictHostKeyChecking=acc", "pyssh -o StrictHostKeyChecking=accept-new")
    tab(screen, "pyssh -F config -l me zeb", "pyssh -F config -l me zebra-1")
    tab(screen, "pyssh -o Port=22 host pyssh -Q cipher-a", "pyssh -o Port=22 host pyssh -Q cipher-auth")
    tab(screen, "pyssh host >some-i", "pyssh host >some-identity")


def test_fish_finds_it_where_it_is_installed(shell: OpenShell, place: Path) -> None:
    target = place / "share" / "fish" / "vendor_completions.d"
    target.mkdir(parents=True)
    shutil.copy(COMPLETIONS / "pyssh.fish", target)
    load = f"set -g fish_complete_path {target}"
    tab(shell("fish", load), "pyssh -o stricth", "pyssh -o StrictHostKeyChecking=")


@pytest.mark.parametrize("name", ARGV)
def test_what_pyssh_prints_can_be_loaded(name: str, shell: OpenShell) -> None:
    loads = {
        "bash": "source <(pyssh --complete bash)",
        "zsh": "autoload -Uz compinit; compinit -u -D; source <(pyssh --complete zsh)",
        "fish": "pyssh --complete fish | source",
    }
    assert set(loads) == set(SCRIPTS)
    tab(shell(name, loads[name]), "pyssh -Q cipher-a", "pyssh -Q cipher-auth")


def test_zsh_lists_all_flags_with_descriptions(shell: OpenShell) -> None:
    screen = shell("zsh")
    screen.type("pyssh -", "Tab")
    for flag, (_, told) in FLAGS.items():
        wait_for_line(screen, rf"{flag} +-- {re.escape(told)}")


def test_zsh_lists_what_is_not_whole_with_descriptions(shell: OpenShell) -> None:
    screen = shell("zsh")
    screen.type("pyssh -F config -W ", "Tab")
    wait_for_line(screen, r"localhost: +-- the remote side itself")
    wait_for_line(screen, r"zebra-1: +-- 192\.0\.2\.7")
    clear(screen)
    tab(screen, "pyssh -o VisualH", "pyssh -o VisualHostKey=")
    screen.type("pyssh -o Canonical", "Tab")
    wait_for_line(screen, r"CanonicalDomains= .*CanonicalizeMaxDots=.*")


@pytest.mark.parametrize(
    ("verbose", "wanted"), [("yes", r"zebra-1 +-- 192\.0\.2\.7"), ("no", r".*quagga +zebra-1")]
)
def test_zsh_shows_descriptions_to_those_who_want_them(verbose: str, wanted: str, shell: OpenShell) -> None:
    screen = shell("zsh", f"{LOAD['zsh']}; zstyle ':completion:*' verbose {verbose}")
    screen.type("C-l", "pyssh -F config ", "Tab")
    wait_for_line(screen, wanted)


def wait_for_line(screen: Screen, pattern: str) -> None:
    """Wait until a line of the screen matches."""
    expression = re.compile(rf"^{pattern}$", re.MULTILINE)
    wait_until(lambda: expression.search(screen.text()), f"{pattern!r} on the screen")


def test_fish_lists_all_flags_with_descriptions(tmp_path: Path) -> None:
    assert dict(line.split("\t") for line in _fish("pyssh -", tmp_path).splitlines()) == {
        flag: told for flag, (_, told) in FLAGS.items()
    }
    assert "-vN\tRun no remote command" in _fish("pyssh -v", tmp_path).splitlines()


def _fish(line: str, home: Path) -> str:
    environment = {"PATH": f"{PYSSH.parent}:{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8"}
    script = f"source {COMPLETIONS}/pyssh.fish; complete -C $argv[1]"
    argv = ["fish", "--private", "--no-config", "-c", script, line]
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout


def test_bash_lists_all_flags() -> None:
    script = (
        f". {COMPLETIONS}/pyssh.bash; compopt() {{ :; }}\n"
        "COMP_WORDS=(pyssh -) COMP_CWORD=1 COMP_LINE='pyssh -' COMP_POINT=7\n"
        "_pyssh pyssh - pyssh; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    environment = {"PATH": f"{PYSSH.parent}:{os.environ['PATH']}"}
    argv = ["bash", "--norc", "--noprofile", "-c", script]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == list(FLAGS)
    assert not done.stderr
