"""Signals at any moment, and the three standard descriptors: closed ones, shared ones, and how they are left."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyssh_cli.protocol import messages as m
from tests.system.clients import Client
from tests.system.scripted_server import ScriptedServer, Talk, data, ending, error_data
from tests.system.servers import free_port
from tests.system.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.beyond_ssh

StartScripted = Callable[..., ScriptedServer]


def aim(pyssh: Client, server: ScriptedServer) -> None:
    """Let "box" be the server, its host key known."""
    pyssh.aim_at_port(server.port)
    pyssh.known_hosts.write_text(server.known_hosts_line)


def stay(talk: Talk) -> None:
    """A command that says that it runs, and goes on running."""
    talk.say(data(b"ready"), error_data(b"ready"))
    talk.until_gone()


class Pipes:
    """Pipes for stdin, stdout and stderr, whose clients' ends the test keeps open too."""

    def __init__(self) -> None:
        self.stdin, self.to_stdin = os.pipe()
        self.from_stdout, self.stdout = os.pipe()
        self.from_stderr, self.stderr = os.pipe()

    @property
    def blocking(self) -> list[bool]:
        """Whether each of the client's ends blocks."""
        return [os.get_blocking(fd) for fd in (self.stdin, self.stdout, self.stderr)]

    def close(self) -> bytes:
        """Close all of them; what was left in stderr."""
        os.close(self.stderr)
        with open(self.from_stderr, "rb") as rest:
            told = rest.read()
        for fd in (self.stdin, self.to_stdin, self.from_stdout, self.stdout):
            os.close(fd)
        return told


@contextlib.contextmanager
def running(pyssh: Client, pipes: Pipes) -> Iterator[subprocess.Popen[bytes]]:
    """The client on these pipes, once its command has said that it runs."""
    with pyssh.start("box", "run", stdin=pipes.stdin, stdout=pipes.stdout, stderr=pipes.stderr) as client:
        assert os.read(pipes.from_stdout, 5) == b"ready"
        assert os.read(pipes.from_stderr, 5) == b"ready"
        assert pipes.blocking == [False] * 3  # or there would be nothing to put back in order
        yield client


def finish(talk: Talk) -> None:
    """A command that says that it runs, and ends when it is told something."""
    talk.say(data(b"ready"), error_data(b"ready"))
    talk.expect(m.CHANNEL_DATA)
    talk.say(*ending(4))
    talk.until_gone()


def vanish(talk: Talk) -> None:
    """A command that says that it runs, and a connection that ends when something is told."""
    talk.say(data(b"ready"), error_data(b"ready"))
    talk.expect(m.CHANNEL_DATA)


@pytest.mark.parametrize(
    ("script", "number", "status"),
    [(finish, None, 4), (vanish, None, 255), (stay, signal.SIGTERM, 255), (stay, signal.SIGHUP, 255)],
)
def test_descriptors_block_again_afterwards(
    pyssh: Client,
    scripted: StartScripted,
    script: Callable[[Talk], None],
    number: signal.Signals | None,
    status: int,
) -> None:
    aim(pyssh, scripted(script))
    pipes = Pipes()
    with running(pyssh, pipes) as client:
        if number is None:
            os.write(pipes.to_stdin, b"go")
        else:
            client.send_signal(number)
        assert client.wait(PATIENCE) == status
    assert pipes.blocking == [True] * 3
    assert b"Traceback" not in pipes.close()


def is_stopped(pid: int) -> bool:
    """Whether the process has been stopped by SIGSTOP."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("gap", [None, 0.0, 0.0003, 0.0007, 0.0015, 0.003])
def test_a_second_signal_does_not_disturb_the_end(
    pyssh: Client, scripted: StartScripted, gap: float | None
) -> None:
    aim(pyssh, scripted(stay))
    pipes = Pipes()
    with running(pyssh, pipes) as client:
        if gap is None:  # both are there before the first is looked at
            client.send_signal(signal.SIGSTOP)
            wait_until(lambda: is_stopped(client.pid), "the client to stop")
        client.send_signal(signal.SIGHUP)
        time.sleep(gap or 0.0)
        client.send_signal(signal.SIGTERM)
        client.send_signal(signal.SIGCONT)
        assert client.wait(PATIENCE) == 255
    assert pipes.blocking == [True] * 3
    assert pipes.close() == b""


STALL = """
import os, sys, time

class Stall:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["STALL_AT"]:
            os.write(2, b"loading")
            time.sleep(600)

sys.meta_path.insert(0, Stall())
"""
"""A sitecustomize module that stops for long when a certain module is to be loaded."""


@pytest.mark.parametrize(
    "module",
    ["typing", "pyssh_cli.cli", "pyssh_cli.errors", "click", "pyssh_cli.client.run", "pyssh_cli.client.session"],
)
def test_ctrl_c_while_a_module_loads(pyssh: Client, scripted: StartScripted, tmp_path: Path, module: str) -> None:
    aim(pyssh, scripted(stay))
    (tmp_path / "sitecustomize.py").write_text(STALL)
    pyssh.environment |= {"PYTHONPATH": str(tmp_path), "STALL_AT": module}
    with pyssh.start("box", "run") as client:
        assert client.stderr is not None
        assert client.stderr.read(7) == b"loading"
        client.send_signal(signal.SIGINT)
        assert client.communicate(timeout=PATIENCE) == (b"", b"")
        assert client.returncode == -signal.SIGINT


def test_ctrl_c_at_any_moment_is_no_traceback(pyssh: Client, scripted: StartScripted) -> None:
    aim(pyssh, scripted(stay))
    # What is loaded tells when our first lines have run: before that, only the interpreter has a say.
    pyssh.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    generator = random.Random(20)
    moments = [0.3 * generator.random() ** 2 for _ in range(20)]  # most of them early, where most goes on

    def interrupt(moment: float) -> tuple[int, bytes]:
        with pyssh.start("box", "run") as client:
            assert client.stderr is not None
            loaded = b""
            while b" pyssh_cli." not in loaded:
                piece = os.read(client.stderr.fileno(), 4096)
                assert piece, loaded
                loaded += piece
            time.sleep(moment)
            client.send_signal(signal.SIGINT)
            _, told = client.communicate(timeout=PATIENCE)
            return client.returncode, loaded + told

    with ThreadPoolExecutor(4) as pool:
        for status, told in pool.map(interrupt, moments):
            assert status in {-signal.SIGINT, 255}, told
            assert b"Traceback" not in told
            assert b"KeyboardInterrupt" not in told


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_or_socket_takes_the_place_of_a_closed_descriptor(
    pyssh: Client, scripted: StartScripted, tmp_path: Path, closed: str
) -> None:
    def talk_to_both(talk: Talk) -> None:
        talk.expect(m.CHANNEL_EOF)
        talk.say(data(b"REMOTE output\n"), error_data(b"REMOTE errors\n"), *ending(3))
        talk.until_gone()

    aim(pyssh, scripted(talk_to_both))
    log = tmp_path / "log"
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    with pyssh.start("-v", "-E", str(log), "box", "run", argv=shell, stdin=subprocess.DEVNULL) as client:
        out, err = client.communicate(timeout=PATIENCE)
    assert client.returncode == 3
    assert out == (b"" if ">&-" in closed.split() else b"REMOTE output\n")
    assert err == (b"" if "2>&-" in closed else b"REMOTE errors\n")
    told = log.read_text()
    assert "REMOTE" not in told
    assert "Exit status 3" in told


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_an_error_with_a_closed_descriptor_is_an_error(pyssh: Client, closed: str) -> None:
    pyssh.aim_at_port(free_port())
    command = f"exec {shlex.join(pyssh.argv)} box run {closed}"
    done = subprocess.run(
        ["sh", "-c", command], env=pyssh.environment, capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (255, b"")
    assert len(done.stderr.splitlines()) == (0 if "2>&-" in closed else 1)


@pytest.mark.parametrize("words", [["-z"], ["-V"], ["-G", "box"], ["-Q", "cipher"], []])
def test_closed_descriptors_do_not_crash_what_only_prints(pyssh: Client, words: list[str]) -> None:
    pyssh.aim_at_port(22)
    status = pyssh.run(*words).returncode
    for closed in (">&-", "2>&-", "<&- >&- 2>&-"):
        with pyssh.start(*words, argv=["sh", "-c", f'exec "$@" {closed}', "sh"]) as client:
            _, told = client.communicate(timeout=PATIENCE)
            assert client.returncode == status
            assert b"Traceback" not in told
