"""Sessions recorded by SessionRecord: what the terminal got is in the file, what was typed is not."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.servers import Server
from tests.system.terminals import Terminal
from tests.system.waiting import wait_until

pytestmark = pytest.mark.beyond_ssh

CLOSED = b"Connection to 127.0.0.1 closed.\r\n"
"""What the terminal gets from us, not from the other side."""

SECRET = "correct-horse"


class Cast:
    """A recording, read as strictly as the format's description has it."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").split("\n")
        assert lines.pop() == ""
        self.header: dict[str, Any] = json.loads(lines[0])
        assert self.header["version"] == 2
        assert all(isinstance(self.header[name], int) for name in ("width", "height", "timestamp"))
        assert all(isinstance(value, str) for value in self.header["env"].values())
        self.events: list[tuple[float, str, str]] = []
        for line in lines[1:]:
            time, code, data = json.loads(line)
            assert isinstance(time, int | float)
            assert code in {"o", "i", "r"}
            assert isinstance(data, str)
            self.events.append((time, code, data))
        times = [event[0] for event in self.events]
        assert times == sorted(times)
        assert all(time >= 0 for time in times)

    def all_of(self, code: str) -> str:
        return "".join(data for _, kind, data in self.events if kind == code)


@pytest.fixture
def path(pyssh: Client) -> Path:
    return pyssh.home / "a cast"


def read_secret(shown: Terminal) -> None:
    """Answer the question of a command like READ_SECRET."""
    shown.expect("secret: ")
    wait_until(shown.is_raw, "raw mode")
    shown.send(f"{SECRET}\r")
    shown.expect(f"got {len(SECRET)}\r\n")


READ_SECRET = "bash -c 'read -s -p \"secret: \" it; echo; echo got ${#it}'"


def test_output_is_what_the_terminal_got(
    pyssh: Client, full_server: Server, terminal: OpenTerminal, path: Path
) -> None:
    pyssh.environment["SHELL"] = "/bin/sh"
    pyssh.aim(full_server, f'SessionRecord "{path}"')
    script = (
        "printf 'a\\033[1mb\\tä€😀 \\000\\177\\n'; i=0; while [ $i -lt 3000 ]; do echo 😀€ä $i; i=$((i+1)); done"
    )
    shown = terminal("-t", "box", script, rows=33, columns=111)
    assert shown.wait() == 0
    cast = Cast(path)
    assert shown.said == cast.all_of("o").encode() + CLOSED
    assert "\ufffd" not in cast.all_of("o")
    assert {name: cast.header[name] for name in ("width", "height", "env")} == {
        "width": 111,
        "height": 33,
        "env": {"TERM": "xterm", "SHELL": "/bin/sh"},
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cast.all_of("i") == cast.all_of("r") == ""


@pytest.mark.skipif(not importlib.util.find_spec("asciinema"), reason="asciinema is not installed")
def test_asciinema_shows_the_same(pyssh: Client, openssh: Server, terminal: OpenTerminal, path: Path) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    shown = terminal("-t", "box", "echo up; read line; echo ä€😀; stty size")
    shown.expect("up\r\n")
    shown.resize(44, 99)
    shown.send("\r")
    assert shown.wait() == 0
    shows = subprocess.run(
        [sys.executable, "-m", "asciinema", "cat", path],
        check=True,
        capture_output=True,
        env={**os.environ, **pyssh.environment},
        start_new_session=True,
    )
    assert shows.stdout + CLOSED == shown.said


def test_new_sizes(pyssh: Client, openssh: Server, terminal: OpenTerminal, path: Path) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    program = "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"
    shown = terminal("-t", "box", f'bash -c "{program}"')
    shown.expect("up\r\n")
    wait_until(shown.is_raw, "raw mode")
    shown.resize(44, 99)
    shown.expect("44 99\r\n")
    shown.send("\x03")
    shown.wait()
    cast = Cast(path)
    assert [data for _, code, data in cast.events if code == "r"] == ["99x44"]
    order = [data for _, code, data in cast.events if code == "r" or "44 99" in data]
    assert order[:2] == ["99x44", "44 99\r\n"]


def test_what_is_typed_is_not_in_it(pyssh: Client, openssh: Server, terminal: OpenTerminal, path: Path) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    shown = terminal("-t", "box", READ_SECRET)
    read_secret(shown)
    assert shown.wait() == 0
    assert f"got {len(SECRET)}" in Cast(path).all_of("o")
    assert SECRET not in path.read_text()
    assert Cast(path).all_of("i") == ""


def test_keys_are_recorded_when_asked_for(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, path: Path
) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"', "SessionRecordInput yes")
    shown = terminal("-t", "box", f"{READ_SECRET}; cat")
    read_secret(shown)
    shown.send("~V")
    shown.expect("LogLevel")
    shown.send("ä\x04\x04")
    assert shown.wait() == 0
    assert Cast(path).all_of("i") == f"{SECRET}\rä\x04\x04"


def test_password_of_the_login_is_never_recorded(
    pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal, path: Path
) -> None:
    lines = (f'SessionRecord "{path}"', "SessionRecordInput yes", "PreferredAuthentications password")
    pyssh.aim(asyncssh_server, *lines, keys=())
    shown = terminal("-t", "box", "echo in")
    shown.expect("password: ")
    assert not path.exists()
    shown.send(f"{asyncssh_server.password}\r")
    assert shown.wait() == 0
    assert Cast(path).all_of("o") == "in\r\n"
    assert str(asyncssh_server.password) not in path.read_text()


def test_events_are_written_while_the_session_runs(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, path: Path
) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    shown = terminal("-t", "box", "echo up; read line")
    shown.expect("up\r\n")
    wait_until(lambda: "up" in path.read_text(), "the event in the file")
    shown.kill(signal.SIGTERM)
    assert shown.wait() == 255
    assert Cast(path).all_of("o") == "up\r\n"


def test_nothing_is_recorded_without_a_remote_terminal(pyssh: Client, openssh: Server, path: Path) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    assert pyssh.run("box", "echo up").stdout == b"up\n"
    assert not path.exists()
    assert b"up" in pyssh.run("-tt", "box", "echo up").stdout
    cast = Cast(path)
    assert (cast.header["width"], cast.header["height"]) == (80, 24)
    assert cast.all_of("o") == "up\r\n"


def test_tokens_of_the_path(pyssh: Client, openssh: Server) -> None:
    pyssh.environment["T_DAY"] = "today"
    pyssh.aim(openssh)
    path = pyssh.home / f"%-127.0.0.1-{openssh.port}-today.cast"
    assert (
        pyssh.run("-tt", f"-oSessionRecord={pyssh.home}/%%-%h-%p-${{T_DAY}}.cast", "box", "echo up").returncode
        == 0
    )
    assert Cast(path).all_of("o") == "up\r\n"


@pytest.mark.parametrize("link", [False, True])
def test_nothing_is_overwritten_and_the_session_goes_on(
    pyssh: Client, openssh: Server, path: Path, link: bool
) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    target = pyssh.home / "target"
    target.write_text("mine")
    if link:
        path.symlink_to(target)
    else:
        target.rename(path)
    done = pyssh.run("-tt", "box", "echo up; exit 7")
    assert (done.returncode, done.stdout) == (7, b"up\r\n")
    assert done.stderr.count(b"SessionRecord") == 1
    assert b"exists already" in done.stderr
    assert path.read_text() == "mine"


def test_full_disk_ends_the_recording_and_not_the_session(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, path: Path
) -> None:
    pyssh.aim(openssh, f'SessionRecord "{path}"')
    words = ["-t", "box", "seq 100000; echo over; exit 7"]
    shown = terminal(argv=["bash", "-c", 'ulimit -f 16; exec "$@"', "-", *pyssh.argv, *words])
    shown.expect("\r\nover\r\n")
    assert shown.wait() == 7
    assert shown.seen.count(b"SessionRecord") == 1
    assert b"File too large; the recording ends here\r\n" in shown.seen
    assert path.stat().st_size <= 16 * 1024
    assert shown.said.startswith(Cast(path).all_of("o").encode())
