"""The line that says what is being waited for: on a terminal, after a while, and gone before anything else."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.doors import Door, DoorServer
from tests.system.relays import join
from tests.system.sandbox import POSSIBLE, Sandbox
from tests.system.servers import Account, FakeServer, KeyRing, Server
from tests.system.terminals import JOB, Screen, Terminal
from tests.system.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.beyond_ssh

ERASED = rb"\r\x1b\[K"
"""What takes the line off."""

StartFake = Callable[..., FakeServer]


def silence(connection: socket.socket) -> None:
    """Take a connection and say nothing on it."""
    while connection.recv(4096):
        pass


class Gate:
    """A relay to a server that lets nothing through from a certain number of bytes of the server's on, until it is
    opened."""

    def __init__(self, fake_server: StartFake, server: Server, first: Callable[[socket.socket], bytes]) -> None:
        self._open = threading.Event()
        self._server = server
        self._first = first
        self.port = fake_server(self._serve).port

    def open(self) -> None:
        """Let everything through."""
        self._open.set()

    def _serve(self, near: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._server.port)) as far:
            near.sendall(self._first(far))
            self._open.wait(PATIENCE)
            join(near, far)


def version_line(far: socket.socket) -> bytes:
    """The server's first line."""
    line = b""
    while not line.endswith(b"\n"):
        line += far.recv(1)
    return line


def check_erased(seen: bytes, then: bytes) -> None:
    """The line was shown, and taken off before `then`, with nothing between the two."""
    assert then in seen
    shown = seen[: seen.index(then)] if then else seen
    assert re.fullmatch(rb"(?:" + ERASED + rb"[ -~]+)+" + ERASED, shown), seen


def aim(pyssh: Client, openssh: Server, port: int, *lines: str) -> None:
    pyssh.aim(openssh, *lines)
    pyssh.config.write_text(pyssh.config.read_text().replace(f"Port {openssh.port}", f"Port {port}"))
    pyssh.known_hosts.write_text(pyssh.known_hosts.read_text().replace(f":{openssh.port} ", f":{port} "))


def test_a_server_that_says_nothing(pyssh: Client, fake_server: StartFake) -> None:
    port = fake_server(silence).port
    pyssh.aim_at_port(port, "ConnectTimeout 4")
    line = '"$@"; echo after; exec cat'
    argv = ["sh", "-c", line, "sh", *pyssh.argv, "box"]
    with contextlib.closing(Screen(argv, pyssh.environment, columns=100)) as window:
        window.wait_for(f"Waiting for the SSH server at 127.0.0.1 port {port} to answer")
        window.resize(24, 30)  # what stood on one line stands on three then
        shown = window.wait_for("after").splitlines()
    assert shown[0] == "Connection timed out during ba"
    assert "Waiting" not in "".join(shown)


@pytest.mark.parametrize(("first", "said"), [
    (lambda far: b"", "Waiting for the SSH server at 127.0.0.1 port [0-9]+ to answer"),
    (version_line, "Key exchange with box"),
], ids=["version", "key-exchange"])  # fmt: skip
def test_a_slow_server(
    first: Callable[[socket.socket], bytes], said: str, pyssh: Client, openssh: Server,
    fake_server: StartFake, terminal: OpenTerminal,
) -> None:  # fmt: skip
    gate = Gate(fake_server, openssh, first)
    aim(pyssh, openssh, gate.port)
    session = terminal("box", "echo ready; cat")
    session.expect(said)
    session.expect(r"\(\d+ s\)")
    gate.open()
    session.expect("ready")
    check_erased(session.seen, b"ready")
    # In the session no such line comes, however little happens.
    seen = session.seen
    session.send("typed\r")
    session.expect("typed\r\ntyped\r\n")
    assert session.seen[len(seen) :].lstrip(b"\r\n") == b"typed\r\ntyped\r\n"


class SlowDoor(Door):
    """A door that lets nobody in by name alone; and takes its time to say so."""

    opened: threading.Event

    def begin_auth(self, username: str) -> bool:
        self.opened.wait(PATIENCE)
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == "secret"


def test_a_question_takes_its_place(pyssh: Client, keys: KeyRing, terminal: OpenTerminal) -> None:
    opened = threading.Event()

    class Made(SlowDoor):
        pass

    Made.opened = opened
    server = DoorServer(Made, keys.path("ed25519"))
    try:
        pyssh.aim_at_port(server.port, "StrictHostKeyChecking no", "PreferredAuthentications password", user="me")
        session = terminal("box", "run")
        session.expect("Authenticating to box as me")
        opened.set()
        session.expect("me@127.0.0.1's password: ")
        check_erased(session.seen.partition(b"known hosts.\r\n")[2], b"\rme@127.0.0.1's password: ")
        session.send("secret\r")
        session.expect("ran run")
        assert session.wait() == 0
    finally:
        opened.set()
        server.close()


def test_a_jump_host_that_waits_for_its_target(
    pyssh: Client, openssh: Server, fake_server: StartFake, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh)
    port = fake_server(silence).port
    pyssh.config.write_text(f"Host far\n    HostName 127.0.0.1\n    Port {port}\n{pyssh.config.read_text()}")
    session = terminal("-J", "box", "far")
    session.expect(rf"Connecting to far \(127.0.0.1 port {port}\) via box \(\d+ s\)")
    session.send("\x03")
    assert session.wait() == -signal.SIGINT
    check_erased(session.seen.replace(b"^C", b""), b"")


def test_a_proxy_that_takes_its_time(pyssh: Client, fake_server: StartFake, terminal: OpenTerminal) -> None:
    port = fake_server(silence).port
    pyssh.aim_at_port(22, f"Proxy socks5h://127.0.0.1:{port}")
    session = terminal("box", columns=40)
    shown = session.expect(r"\x1b\[K(Waiting for the proxy 127.0.0.1[ -~]+\(\d+ s\))")[1]
    assert len(shown) == 39  # cut, so that it never takes two lines
    session.send("\x03")
    assert session.wait() == -signal.SIGINT


def test_where_nobody_is_told(pyssh: Client, fake_server: StartFake, terminal: OpenTerminal) -> None:
    pyssh.aim_at_port(fake_server(silence).port, "ConnectTimeout 3")
    pyssh.environment["NO_COLOR"] = "1"
    commanded = "ProxyCommand=exec sleep 1000"  # it may be asking on the same terminal
    flags = (["-q"], ["-v"], ["-oBatchMode=yes"], ["-oLogLevel=ERROR"], ["-E", os.devnull], ["-o", commanded])
    sessions = [terminal(*words, "box") for words in flags]
    with pyssh.start("box", "true") as piped:
        for session in sessions:
            assert session.wait() == 255
            assert b"Waiting" not in session.seen
            assert b"\x1b" not in session.seen
        _, err = piped.communicate(timeout=PATIENCE)
    assert err.startswith(b"Connection timed out")
    assert err.count(b"\n") == 2
    pyssh.environment["TERM"] = "dumb"
    session = terminal("box")
    assert session.wait() == 255
    assert b"\x1b" not in session.seen


def test_signals_leave_no_line_behind(pyssh: Client, fake_server: StartFake, terminal: OpenTerminal) -> None:
    pyssh.aim_at_port(fake_server(silence).port)
    session = terminal("box", argv=[sys.executable, "-c", JOB, *pyssh.argv])
    job = int(session.expect(r"job (\d+)")[1])
    session.expect(r"Waiting for[ -~]+")
    session.send("\x1a")
    wait_until(lambda: _state(job) == "T", "the job to stop")
    session.expect(ERASED.decode() + r"$")
    os.kill(job, signal.SIGCONT)
    session.expect(r"Waiting for[ -~]+")
    os.kill(job, signal.SIGTERM)
    session.wait()
    assert re.search(ERASED + rb"$", session.seen.rpartition(b"Waiting")[2])


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture
def sandbox(tmp_path: Path, account: Account, keys: KeyRing) -> Iterator[Sandbox]:
    if not POSSIBLE:
        pytest.skip("a resolver of the tests' own takes namespaces, which are Linux's, and refused here")
    made = Sandbox(tmp_path, "mute.example.com SILENT\n", account, [keys.path("ed25519")])
    yield made
    made.close()


@pytest.mark.parametrize("lines", [(), ("CanonicalizeHostname yes", "CanonicalDomains example.com")])
def test_a_name_server_that_does_not_answer(
    lines: tuple[str, ...], pyssh: Client, sandbox: Sandbox, terminal: OpenTerminal
) -> None:
    name = "mute" if lines else "mute.example.com"
    pyssh.config.write_text("".join(f"{line}\n" for line in lines))
    pyssh.environment["RES_OPTIONS"] = "timeout:30 attempts:1"  # far longer than anybody wants to wait

    def start() -> Terminal:
        session = terminal(name, argv=[*sandbox.enter, *pyssh.argv])
        session.expect(r"Looking up mute\.example\.com[.]? \(\d+ s\)")
        return session

    session = start()
    session.send("\x03")
    assert session.wait() in {-signal.SIGINT, 128 + signal.SIGINT}
    assert re.search(ERASED + rb"$", session.seen)
    assert b"Traceback" not in session.seen


def test_a_name_that_is_found_after_a_while(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, tmp_path: Path
) -> None:
    """What the look-up comes to counts as ever: here with a resolver that needs no waiting at all."""
    pyssh.aim(openssh)
    pyssh.config.write_text(pyssh.config.read_text().replace("HostName 127.0.0.1", "HostName localhost"))
    pyssh.known_hosts.write_text(pyssh.known_hosts.read_text().replace("[127.0.0.1]", "[localhost]"))
    session = terminal("-4", "box", "echo ready")
    session.expect("ready")
    assert session.wait() == 0
    session = terminal("-4", "-oHostName=no-such-name.invalid", "box")
    session.expect("ssh: Could not resolve hostname no-such-name.invalid: ")
    assert session.wait() == 255
