"""Going to the background with -f and ForkAfterAuthentication: when, as what, and what stays, as with ssh."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client, is_logged_in
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.forwarded import connect, echo, fetch, website
from tests.system.servers import FakeServer, KeyRing, Server, free_port
from tests.system.waiting import PATIENCE, wait_until


class Left:
    """The processes that a client leaves behind, known by a mark in their environment."""

    def __init__(self, client: Client) -> None:
        self._mark = f"LEFT_BEHIND={secrets.token_hex(8)}"
        name, _, value = self._mark.partition("=")
        client.environment[name] = value

    def pids(self) -> list[int]:
        """All that run now, without the leader of a terminal's session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    marked = self._mark.encode() in (entry / "environ").read_bytes().split(b"\0")
                    if marked and b"session_leader" not in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found

    def pid(self) -> int:
        """The only one."""
        (found,) = self.pids()
        return found

    def target(self, fd: int) -> str:
        """What its descriptor stands for."""
        return os.readlink(f"/proc/{self.pid()}/fd/{fd}")


@pytest.fixture
def left(client: Client) -> Iterator[Left]:
    """What the client left behind; it is gone after the test."""
    made = Left(client)
    yield made
    for pid in made.pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def gate(openssh: Server, shared_directory: Path) -> Iterator[Path]:
    """A file that remote commands wait for."""
    path = shared_directory / f"gate-{secrets.token_hex(6)}"
    yield path
    path.unlink(missing_ok=True)


def waits_for(gate: Path) -> str:
    """A remote command that ends when the gate is there."""
    return f"while ! test -e {gate}; do sleep 0.02; done"


def test_the_command_runs_on_behind_a_caller_that_is_told_of_success(
    client: Client, openssh: Server, left: Left, gate: Path, tmp_path: Path
) -> None:
    client.aim(openssh)
    out, err = tmp_path / "out", tmp_path / "err"
    command = f"{waits_for(gate)}; echo late; echo later >&2; exit 3"
    with (
        out.open("wb") as stdout,
        err.open("wb") as stderr,
        client.start("-f", "box", command, stdout=stdout, stderr=stderr) as process,
    ):
        assert process.wait(PATIENCE) == 0
    pid = left.pid()
    assert pid != process.pid
    wait_until(
        lambda: os.getsid(pid) == os.getpgid(pid) == pid, "a session of its own"
    )  # ssh forks, ends, then asks
    assert os.readlink(f"/proc/{pid}/cwd") == str(Path.cwd())
    wait_until(lambda: left.target(0) == "/dev/null", "no stdin any more")
    assert out.read_bytes() == b""
    gate.touch()
    wait_until(lambda: not left.pids(), "the end of it")
    assert (out.read_bytes(), err.read_bytes()) == (b"late\n", b"later\n")


def test_all_flags_and_keywords_that_lead_there(client: Client, openssh: Server, left: Left, gate: Path) -> None:
    client.aim(openssh, f"RemoteCommand {waits_for(gate)}")
    gate.touch()
    for words in (["-f"], ["-o", "ForkAfterAuthentication=yes"], ["-f", "-n", "-T"], ["-f", "-tt"]):
        assert client.run(*words, "box").returncode == 0
        wait_until(lambda: not left.pids(), "the end of it")


def test_stdin_stays_at_home(client: Client, openssh: Server, left: Left, tmp_path: Path) -> None:
    client.aim(openssh)
    done = client.run("-f", "box", "cat; echo done", send=b"not for it")
    assert (done.returncode, done.stdout) == (0, b"done\n")
    wait_until(lambda: not left.pids(), "the end of it")


def test_whoever_waits_for_the_output_of_a_tunnel_goes_on(client: Client, openssh: Server, left: Left) -> None:
    client.aim(openssh)
    done = client.run("-f", "-N", "box")  # would wait for the end of stdout and stderr
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    pid = left.pid()
    assert {left.target(fd) for fd in (0, 1, 2)} == {"/dev/null"}
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not left.pids(), "the end of it")


def test_asked_for_messages_go_on(client: Client, openssh: Server, left: Left, tmp_path: Path) -> None:
    client.aim(openssh)
    err, log = tmp_path / "err", tmp_path / "log"
    with err.open("wb") as stderr, client.start("-v", "-f", "-N", "box", stderr=stderr) as process:
        assert process.wait(PATIENCE) == 0
    assert left.target(2) == str(err)
    wait_until(lambda: is_logged_in(left.pid()), "the handlers of signals")
    os.kill(left.pid(), signal.SIGINT)
    wait_until(lambda: not left.pids(), "the end of it")
    assert b"Killed by signal 2." in err.read_bytes()
    assert client.run("-E", str(log), "-o", "LogLevel=VERBOSE", "-f", "-N", "box").returncode == 0
    wait_until(lambda: is_logged_in(left.pid()), "the handlers of signals")
    os.kill(left.pid(), signal.SIGINT)
    wait_until(lambda: not left.pids(), "the end of it")
    assert "Killed by signal 2." in log.read_text()


def test_nothing_is_said_of_a_connection_that_breaks_behind_the_scenes(
    client: Client, sshd: StartServer, left: Left, tmp_path: Path
) -> None:
    server = sshd()
    client.aim(server)
    err = tmp_path / "err"
    with err.open("wb") as stderr, client.start("-f", "box", "sleep 1000", stderr=stderr) as process:
        assert process.wait(PATIENCE) == 0
    left.pid()
    server.stop()
    wait_until(lambda: not left.pids(), "the end of it")
    assert err.read_bytes() == b""


def test_who_is_not_let_in_stays_in_the_foreground(
    client: Client, openssh: Server, left: Left, strange_keys: KeyRing
) -> None:
    client.aim(openssh, "BatchMode yes", keys=[strange_keys.path("ed25519")])
    done = client.run("-f", "box", "true")
    assert done.returncode == 255
    assert b"Permission denied" in done.stderr
    assert not left.pids()


@pytest.mark.parametrize(
    "words", [["-f", "box"], ["-o", "ForkAfterAuthentication=yes", "box"], ["-f", "-t", "box"]]
)
def test_a_shell_cannot_be_sent_there(client: Client, openssh: Server, words: list[str]) -> None:
    client.aim(openssh)
    done = client.run(*words)
    assert done.returncode == 255
    assert done.stderr.rstrip() == b"Cannot fork into background without a command to execute."


def test_what_the_caller_had_open_is_let_go_of(
    client: Client, openssh: Server, left: Left, gate: Path, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    client.aim(openssh)
    with client.start("-f", "box", waits_for(gate), argv=["sh", "-c", 'exec "$@" 9>"$0"', str(lock)]) as process:
        assert process.wait(PATIENCE) == 0
    held = [os.readlink(entry) for entry in Path(f"/proc/{left.pid()}/fd").iterdir()]
    assert str(lock) not in held
    gate.touch()
    wait_until(lambda: not left.pids(), "the end of it")


@pytest.mark.parametrize(("settle", "status"), [("", 0), ("os._exit(3)", 255), ("1 / 0", 255)])
def test_the_foreground_tells_of_success_only_when_something_goes_on(settle: str, status: int) -> None:
    script = (
        "import os\n"
        "from pyssh_cli.client.background import detach\n"
        "from pyssh_cli.net.loop import Loop\n"
        f"detach(Loop(), lambda: exec({settle!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    assert done.returncode == status


def test_the_password_is_asked_before(
    client: Client, password_server: Server, left: Left, gate: Path, terminal: OpenTerminal, tmp_path: Path
) -> None:
    client.aim(password_server, "PreferredAuthentications password,keyboard-interactive", keys=[])
    out = tmp_path / "out"
    shell = ["sh", "-c", f'exec "$@" >{out}', "sh", *client.argv]
    shown = terminal("-f", "box", f"{waits_for(gate)}; echo late", argv=shell)
    before = shown.modes()
    shown.expect("assword: ")
    assert password_server.password is not None
    shown.send(password_server.password + "\n")
    assert shown.wait() == 0
    assert shown.modes() == before
    wait_until(lambda: terminal_of(left.pid()) == 0, "the terminal to be left")
    gate.touch()
    wait_until(lambda: not left.pids(), "the end of it")
    assert out.read_bytes() == b"late\n"


def terminal_of(pid: int) -> int:
    """The number of a process's controlling terminal, 0 for none (proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[4])


@pytest.mark.beyond_ssh
def test_all_is_settled_when_the_caller_goes_on(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    left = Left(pyssh)
    pyssh.aim(openssh)
    shown = terminal("-f", "-N", "box")
    assert shown.wait() == 0
    pid = left.pid()
    try:
        assert (terminal_of(pid), os.getsid(pid), left.target(1)) == (0, pid, "/dev/null")
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_local_command_is_still_in_the_foreground(
    client: Client, openssh: Server, left: Left, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    client.aim(openssh, f"LocalCommand echo $PPID >{mark}", "PermitLocalCommand yes")
    with client.start("-f", "-N", "box") as process:
        assert process.wait(PATIENCE) == 0
        assert int(mark.read_text()) == process.pid
    assert left.pid() != process.pid


def test_forwards_stand_when_the_caller_goes_on(
    client: Client, openssh: Server, left: Left, fake_server: Callable[..., FakeServer]
) -> None:
    client.aim(openssh, "ExitOnForwardFailure yes")
    target, local, remote, socks = fake_server(echo), free_port(), free_port(), free_port()
    forwards = ["-L", f"{local}:127.0.0.1:{target.port}", "-R", f"{remote}:127.0.0.1:{target.port}"]
    done = client.run("-f", "-N", *forwards, "-D", str(socks), "box")
    assert (done.returncode, done.stderr) == (0, b"")
    for port in (local, remote):
        with connect(port) as connection:
            connection.sendall(b"through")
            assert connection.recv(100) == b"through"
    with website() as port:
        assert fetch("--socks5", f"127.0.0.1:{socks}", f"http://127.0.0.1:{port}/x") == "found /x"
    os.kill(left.pid(), signal.SIGTERM)
    wait_until(lambda: not left.pids(), "the end of it")


@pytest.mark.parametrize("words", [["-N", "box"], ["box", "echo ran"]], ids=["tunnel", "command"])
@pytest.mark.parametrize("where", ["local", "remote", "socks"])
def test_a_forward_that_cannot_stand_is_the_caller_s_to_know(
    client: Client,
    openssh: Server,
    left: Left,
    fake_server: Callable[..., FakeServer],
    where: str,
    words: list[str],
) -> None:
    client.aim(openssh, "ExitOnForwardFailure yes")
    taken = f"127.0.0.1:{fake_server(echo).port}"
    forward = {
        "local": ["-L", f"{taken}:127.0.0.1:1"],
        "remote": ["-R", "81:127.0.0.1:1"],  # a port that is root's
        "socks": ["-D", taken],
    }[where]
    done = client.run("-f", *forward, *words)
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"forward" in done.stderr
    assert not left.pids()


@pytest.mark.parametrize("forward", ["-L", "-R"])
def test_a_forward_that_may_fail_keeps_nobody(
    client: Client, openssh: Server, left: Left, fake_server: Callable[..., FakeServer], forward: str
) -> None:
    client.aim(openssh)
    entrance = f"127.0.0.1:{fake_server(echo).port}" if forward == "-L" else "81"
    assert client.run("-f", "-N", forward, f"{entrance}:127.0.0.1:1", "box").returncode == 0
    os.kill(left.pid(), signal.SIGTERM)
    wait_until(lambda: not left.pids(), "the end of it")


WAITING = """
import os, sys, time
from pyssh_cli.cli.acts import Invocation
from pyssh_cli.client.background import Background
from pyssh_cli.config.resolve import resolve
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop
from pyssh_cli.net.names import SystemNetwork

def tell(what):
    os.write(1, what.encode() + b" ")

log = Log()
settings = Invocation(log).settings
settings.replace("forkafterauthentication", sys.argv[1] == "yes", "-f")
options = resolve(settings, "box", SystemNetwork(), log, config_file="none", command="run")
loop = Loop()
reader, writer = os.pipe()
loop.watch(reader, lambda: tell("read-" + os.read(reader, 9).decode()))
first = os.getpid()
background = Background(options, log, loop, lambda: tell("terminal"))
background.hold()
background.hold()
for _ in range(3):
    tell("same" if os.getpid() == first else "other")
    background.ready()
tell("same" if os.getpid() == first else "other")
os.write(writer, b"pipe")
loop.run_once()
"""


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(
    ("forks", "told"),
    [("yes", "same same same terminal other read-pipe"), ("no", "same same same same read-pipe")],
)
def test_whatever_must_stand_first_is_waited_for(forks: str, told: str) -> None:
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", WAITING, forks],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": root, "HOME": "/nonexistent"},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout.decode().strip(), done.stderr) == (0, told, b"")
