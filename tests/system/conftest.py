"""Fixtures of the system tests: servers, keys and an account for the whole run, a client for each test."""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.system.clients import STAND_IN, Client, OpenSSHClient
from tests.system.scripted_server import ScriptedServer
from tests.system.servers import (
    IS_ROOT,
    SERVER_KINDS,
    Account,
    FakeServer,
    KeyRing,
    Park,
    Server,
    program,
    public_directory,
    throwaway_account,
)
from tests.system.terminals import Screen, Terminal
from tests.system.waiting import wait_until

StartServer = Callable[..., Server]
OpenTerminal = Callable[..., Terminal]
OpenScreen = Callable[..., Screen]


@pytest.fixture(scope="session")
def shared_directory() -> Iterator[Path]:
    """A directory that the servers' account can enter too."""
    path = public_directory()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def account(shared_directory: Path) -> Iterator[Account]:
    """The account that commands run as; not root's own when root runs the tests."""
    with throwaway_account(shared_directory) as made:
        yield made


@pytest.fixture(scope="session")
def keys(shared_directory: Path, account: Account) -> KeyRing:
    """The person's keys, all of which the account lets in."""
    ring = KeyRing(shared_directory / "keys")
    account.authorize(ring.public_lines())
    return ring


@pytest.fixture(scope="session")
def strange_keys(shared_directory: Path) -> KeyRing:
    """Keys that no server lets in."""
    return KeyRing(shared_directory / "strange-keys")


@pytest.fixture(scope="session")
def park(shared_directory: Path, account: Account, keys: KeyRing) -> Iterator[Park]:
    """The servers that live as long as the run."""
    made = Park(shared_directory, account, KeyRing(shared_directory / "host-keys"))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def standing(park: Park) -> Callable[[str], Server]:
    """The server of a kind, without special settings, that all tests of a run share."""
    servers: dict[str, Server] = {}

    def get(kind: str) -> Server:
        if kind not in servers:
            servers[kind] = park.start(kind)
        return servers[kind]

    return get


@pytest.fixture(params=SERVER_KINDS)
def server(request: pytest.FixtureRequest, standing: Callable[[str], Server]) -> Server:
    """Each kind of server in turn."""
    return standing(request.param)


@pytest.fixture
def openssh(standing: Callable[[str], Server]) -> Server:
    """OpenSSH's sshd alone, where the server's kind does not matter."""
    return standing("openssh")


@pytest.fixture
def asyncssh_server(standing: Callable[[str], Server]) -> Server:
    """The AsyncSSH server alone."""
    return standing("asyncssh")


@pytest.fixture(params=[kind for kind in SERVER_KINDS if kind == "dropbear"] or ["asyncssh"])
def dropbear(request: pytest.FixtureRequest, standing: Callable[[str], Server]) -> Server:
    """Dropbear alone; AsyncSSH in its place where Dropbear cannot serve us."""
    return standing(request.param)


@pytest.fixture(params=[kind for kind in SERVER_KINDS if kind != "tinyssh"])
def full_server(request: pytest.FixtureRequest, standing: Callable[[str], Server]) -> Server:
    """Each kind of server but TinySSH, which has no compression and dies of commands that end early."""
    return standing(request.param)


@pytest.fixture(params=[kind for kind in SERVER_KINDS if kind == "asyncssh" or (IS_ROOT and kind != "tinyssh")])
def password_server(request: pytest.FixtureRequest, standing: Callable[[str], Server]) -> Server:
    """Each kind of server where the account has a password."""
    return standing(request.param)


@pytest.fixture
def own_park(park: Park) -> Iterator[Park]:
    """Starts servers with settings of one test's own, with the host keys of the others; they end with it."""
    made = Park(park.directory, park.account, park.host_keys)
    yield made
    made.stop()


@pytest.fixture
def sshd(own_park: Park) -> Callable[..., Server]:
    """Starts an sshd with these lines of configuration."""
    return own_park.openssh


@pytest.fixture
def fake_server() -> Iterator[Callable[..., FakeServer]]:
    """Starts listeners that behave as a function says."""
    made: list[FakeServer] = []

    def start(*arguments: object) -> FakeServer:
        made.append(FakeServer(*arguments))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Starts servers that play a script: `scripted(script)`, with the arguments of `ScriptedServer`."""
    with contextlib.ExitStack() as opened:

        def start(*arguments: Any, **settings: Any) -> ScriptedServer:
            made = ScriptedServer(*arguments, **settings)
            opened.callback(made.close)
            return made

        yield start


@pytest.fixture
def pyssh(tmp_path: Path, keys: KeyRing) -> Client:
    """The client under test, with nothing but the ring's keys to its name."""
    return Client(tmp_path / "home", keys)


@pytest.fixture(params=["pyssh", "ssh"])
def client(request: pytest.FixtureRequest, pyssh: Client) -> Client:
    """The client under test, and OpenSSH's in its place: what the test asks, both do."""
    if request.param == "pyssh" and not STAND_IN:
        return pyssh
    return OpenSSHClient(pyssh.home, pyssh.keys, pyssh.environment)


@pytest.fixture
def terminal(pyssh: Client) -> Iterator[OpenTerminal]:
    """Runs the client on a pseudo-terminal: `terminal("box", "command")`."""
    with contextlib.ExitStack() as opened:

        def open_one(
            *words: str, argv: Sequence[str] | None = None, rows: int = 24, columns: int = 80
        ) -> Terminal:
            command = [*(argv or pyssh.argv), *words]
            made = Terminal(command, pyssh.environment, rows=rows, columns=columns)
            opened.callback(made.close)
            return made

        yield open_one


@pytest.fixture
def screen(pyssh: Client) -> Iterator[OpenScreen]:
    """Runs the client in tmux: `screen("box")`."""
    with contextlib.ExitStack() as opened:

        def open_one(*words: str, rows: int = 24, columns: int = 80) -> Screen:
            made = Screen([*pyssh.argv, *words], pyssh.environment, rows=rows, columns=columns)
            opened.callback(made.close)
            return made

        yield open_one


class Agent:
    """An ssh-agent of the tests' own."""

    def __init__(self, directory: Path, *options: str) -> None:
        """Start it; the client finds it by `socket`, which listens when this is done."""
        self.socket = directory / "agent"
        argv = [program("ssh-agent"), "-D", "-a", str(self.socket), *options]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True)
        wait_until(self._listens, "the agent to listen")

    def add(self, *paths: Path) -> None:
        """Give the agent these private keys."""
        subprocess.run([program("ssh-add"), "-q", *paths], env={"SSH_AUTH_SOCK": str(self.socket)}, check=True)

    def lock(self) -> None:
        """Have it show and use no key any more, as ssh-add -x does (SSH_AGENTC_LOCK)."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            connection.sendall(bytes.fromhex("000000061600000001") + b"x")
            assert connection.recv(5) == bytes.fromhex("0000000106")

    def stop(self) -> None:
        """End the agent."""
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0


@pytest.fixture
def agent(pyssh: Client) -> Iterator[Agent]:
    """An agent that holds no key yet, which the client finds at SSH_AUTH_SOCK."""
    directory = public_directory()
    made = Agent(directory)
    pyssh.environment["SSH_AUTH_SOCK"] = str(made.socket)
    yield made
    made.stop()
    shutil.rmtree(directory, ignore_errors=True)


class Payload:
    """A file of random bytes that both sides can read."""

    def __init__(self, path: Path, size: int) -> None:
        """Write it; the same bytes in every run."""
        generator = random.Random(size)
        digest = hashlib.sha256()
        self.path = path
        self.size = size
        with path.open("wb") as file:
            for start in range(0, size, 1 << 20):
                piece = generator.randbytes(min(1 << 20, size - start))
                digest.update(piece)
                file.write(piece)
        path.chmod(0o644)
        self.sha256 = digest.hexdigest()


@pytest.fixture(scope="session")
def payload(shared_directory: Path) -> Callable[[int], Payload]:
    """Random data of so many bytes."""
    made: dict[int, Payload] = {}

    def get(size: int) -> Payload:
        if size not in made:
            made[size] = Payload(shared_directory / f"payload-{size}", size)
        return made[size]

    return get


def pytest_configure(config: pytest.Config) -> None:
    """Register our marker."""
    config.addinivalue_line("markers", "beyond_ssh: pyssh promises more here than ssh keeps")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what ssh itself does not keep when ssh stands in for pyssh, which only proves the tests."""
    if STAND_IN:
        left_out = [item for item in items if item.get_closest_marker("beyond_ssh")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the logs of the servers that run when a test fails."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        for running in Server.running:
            tail = "\n".join(running.log_text().splitlines()[-60:])
            report.sections.append((f"{running.kind} on port {running.port}", tail))
    return report  # type: ignore[return-value]
