"""Agents: what they are told, what they are given to hold, and those that are slow, dead or lie."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyssh_cli.wire import Reader, string, text, uint32
from tests.system.clients import Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.scripted_server import ScriptedServer, Talk
from tests.system.servers import PASSPHRASE, Server, program, public_directory
from tests.system.waiting import PATIENCE, wait_until
from tests.unit.keygen import certify, make

BATCH = ("BatchMode yes", "PreferredAuthentications publickey")

LIST, LISTED, SIGN, EXTENSION, FAILURE, SUCCESS = 11, 12, 13, 27, 5, 6

Answer = Callable[[bytes], bytes | None]
"""A whole request without its length to a whole answer with it; None hangs up."""


class ScriptedAgent:
    """An agent that answers as a function says. `requests` are all that it was asked."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError), peer.makefile("rb") as stream:
            while length := stream.read(4):
                request = stream.read(int.from_bytes(length, "big"))
                self.requests.append(request)
                answer = self._answer(request)
                if answer is None:
                    return
                peer.sendall(answer)

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def scripted_agent(pyssh: Client) -> Iterator[Callable[[Answer], ScriptedAgent]]:
    """Starts such agents, which the client finds at SSH_AUTH_SOCK."""
    directory = public_directory()
    made: list[ScriptedAgent] = []

    def start(answer: Answer) -> ScriptedAgent:
        path = directory / f"agent{len(made)}"
        made.append(ScriptedAgent(path, answer))
        pyssh.environment["SSH_AUTH_SOCK"] = str(path)
        return made[-1]

    yield start
    for one in made:
        one.close()
    shutil.rmtree(directory, ignore_errors=True)


def forward_to(agent: Agent, request: bytes) -> bytes:
    """A real agent's answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(agent.socket))
        connection.sendall(string(request))
        with connection.makefile("rb") as stream:
            length = stream.read(4)
            return length + stream.read(int.from_bytes(length, "big"))


def held(agent: Agent) -> list[str]:
    """Size, fingerprint, comment and type of each key that the agent holds."""
    environment = {"SSH_AUTH_SOCK": str(agent.socket)}
    done = subprocess.run([program("ssh-add"), "-l"], env=environment, capture_output=True, text=True, check=False)
    return [] if done.returncode else done.stdout.splitlines()


# What it is told -------------------------------------------------------------------------------------------------


def test_agent_is_bound_to_the_connection(
    pyssh: Client, openssh: Server, agent: Agent, scripted_agent: Callable[[Answer], ScriptedAgent]
) -> None:
    agent.add(pyssh.keys.path("ed25519"))
    between = scripted_agent(lambda request: forward_to(agent, request))
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no", keys=())
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert [request[0] for request in between.requests] == [EXTENSION, LIST, SIGN]
    reader = Reader(between.requests[0], 1)
    assert reader.text() == "session-bind@openssh.com"
    host_key, session_id, signature = reader.string(), reader.string(), reader.string()
    assert any(string(host_key) in string(_blob(line)) for line in openssh.host_keys)
    assert reader.boolean() is False
    assert Reader(signature).text()
    signed = Reader(between.requests[2], 1)
    signed.string()
    assert Reader(signed.string()).string() == session_id
    assert forward_to(agent, between.requests[0]) == string(bytes([SUCCESS]))  # it checks the signature


def _blob(line: str) -> bytes:
    from base64 import b64decode

    return b64decode(line.split()[1])


def test_agent_refuses_a_key_for_another_host(
    pyssh: Client, openssh: Server, agent: Agent, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.write_text("".join(f"elsewhere {key}\n" for key in _other_host_keys(tmp_path)))
    add = [program("ssh-add"), "-q", "-H", str(known), "-h", "elsewhere", str(pyssh.keys.path("ed25519"))]
    subprocess.run(add, env={"SSH_AUTH_SOCK": str(agent.socket)}, check=True)
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no", keys=())
    assert pyssh.run("box", "true").returncode == 255


def _other_host_keys(directory: Path) -> list[str]:
    make(directory / "other-host", "ed25519")
    return [(directory / "other-host.pub").read_text().rpartition(" ")[0]]


def test_agent_lends_a_key_for_this_host(pyssh: Client, openssh: Server, agent: Agent, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("".join(f"here {key}\n" for key in openssh.host_keys))
    add = [program("ssh-add"), "-q", "-H", str(known), "-h", "here", str(pyssh.keys.path("ed25519"))]
    subprocess.run(add, env={"SSH_AUTH_SOCK": str(agent.socket)}, check=True)
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no", keys=())
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.skipif(shutil.which("gpg-agent") is None, reason="gnupg is not installed")
def test_gpg_agent(pyssh: Client, openssh: Server) -> None:
    directory = public_directory()
    directory.chmod(0o700)
    environment = {**pyssh.environment, "GNUPGHOME": str(directory)}
    (directory / "gpg-agent.conf").write_text("enable-ssh-support\n")
    try:
        subprocess.run(["gpgconf", "--launch", "gpg-agent"], env=environment, check=True)
        where = subprocess.run(
            ["gpgconf", "--list-dirs", "agent-ssh-socket"],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        pyssh.environment["SSH_AUTH_SOCK"] = where.stdout.strip()
        pyssh.aim(openssh, *BATCH, "IdentitiesOnly no", keys=())
        done = pyssh.run("-v", "box", "true")
        assert done.returncode == 255
        assert b"Offering public key" not in done.stderr
        make(directory / "key", "ed25519")
        _give_to_gpg_agent(directory / "key", environment)
        done = pyssh.run("-v", "box", "true")
        assert b"Offering public key" in done.stderr
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=environment, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def _give_to_gpg_agent(path: Path, environment: dict[str, str]) -> None:
    """As ssh-add would, which has gpg-agent ask for a new passphrase: a pinentry that gives none."""
    directory = Path(environment["GNUPGHOME"])
    pinentry = directory / "pinentry"
    pinentry.write_text("#!/bin/sh\necho OK\nwhile read -r word rest; do echo OK; [ $word = BYE ] && exit; done\n")
    pinentry.chmod(0o755)
    with (directory / "gpg-agent.conf").open("a") as file:
        file.write(f"pinentry-program {pinentry}\n")
    subprocess.run(["gpgconf", "--reload", "gpg-agent"], env=environment, check=True)
    listing = ["gpgconf", "--list-dirs", "agent-ssh-socket"]
    where = subprocess.run(listing, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([program("ssh-add"), "-q", path], env={**environment, "SSH_AUTH_SOCK": where}, check=True)


# What it is given ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["yes", "confirm", "1h", "confirm 5m"])
def test_loaded_key_is_added(pyssh: Client, openssh: Server, agent: Agent, value: str) -> None:
    key = pyssh.keys.path("ed25519")
    pyssh.aim(openssh, *BATCH, f"AddKeysToAgent {value}", keys=[key])
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"identity added to agent: {key}".encode() in done.stderr
    assert [line.split(None, 2)[2] for line in held(agent)] == ["ed25519 (ED25519)"]


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        ("yes", b""),
        ("confirm", b"\x02"),
        ("1h", b"\x01" + uint32(3600)),
        ("confirm 5m", b"\x01" + uint32(300) + b"\x02"),
    ],
)
def test_added_keys_are_constrained(
    pyssh: Client,
    openssh: Server,
    scripted_agent: Callable[[Answer], ScriptedAgent],
    value: str,
    limits: bytes,
) -> None:
    nothing = string(bytes([LISTED]) + uint32(0))
    spy = scripted_agent(lambda request: nothing if request[0] == LIST else string(bytes([SUCCESS])))
    pyssh.aim(openssh, *BATCH, f"AddKeysToAgent {value}", keys=["ed25519"])
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    added = [request for request in spy.requests if request[0] in {17, 25}]
    assert len(added) == 1
    assert added[0][0] == (25 if limits else 17)
    assert added[0].endswith(text("ed25519") + limits)


@pytest.mark.parametrize("answer", ["exit 0", "echo yes", "exit 1", "echo no"])
def test_person_is_asked_before_a_key_is_added(
    pyssh: Client, openssh: Server, agent: Agent, tmp_path: Path, answer: str
) -> None:
    askpass = tmp_path / "askpass"
    askpass.write_text(f'#!/bin/sh\necho "$SSH_ASKPASS_PROMPT: $1" > {tmp_path}/asked\n{answer}\n')
    askpass.chmod(0o755)
    pyssh.environment.update(SSH_ASKPASS=str(askpass), SSH_ASKPASS_REQUIRE="force")
    key = pyssh.keys.path("ed25519")
    pyssh.aim(openssh, "AddKeysToAgent ask", keys=[key])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert (tmp_path / "asked").read_text() == f"confirm: Add key {key} (ed25519) to agent?\n"
    assert len(held(agent)) == (answer in {"exit 0", "echo yes"})


def test_nobody_to_ask_is_a_no(pyssh: Client, openssh: Server, agent: Agent) -> None:
    pyssh.aim(openssh, "AddKeysToAgent ask", keys=["ed25519"])
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert held(agent) == []


def test_locked_key_is_asked_for_once(
    pyssh: Client, openssh: Server, agent: Agent, terminal: OpenTerminal
) -> None:
    key = pyssh.keys.variant("ed25519", "ed25519-locked", passphrase=PASSPHRASE)
    pyssh.aim(openssh, "AddKeysToAgent yes", keys=[key])
    shown = terminal("box", "echo in")
    shown.expect("Enter passphrase for key ")
    shown.send(PASSPHRASE + "\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert len(held(agent)) == 1
    assert pyssh.run("-o", "BatchMode=yes", "box", "echo in").stdout == b"in\n"


def test_only_keys_that_the_server_takes_are_added(
    pyssh: Client, openssh: Server, agent: Agent, tmp_path: Path
) -> None:
    make(tmp_path / "strange", "ed25519")
    pyssh.aim(openssh, *BATCH, "AddKeysToAgent yes", keys=[tmp_path / "strange", "ecdsa-256"])
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert [line.rpartition(" ")[2] for line in held(agent)] == ["(ECDSA)"]


def test_key_is_added_without_an_agent_to_no_effect(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh, *BATCH, "AddKeysToAgent yes")
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")
    pyssh.environment["SSH_AUTH_SOCK"] = str(tmp_path / "nobody")
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")


@pytest.mark.beyond_ssh
def test_certificate_is_added_with_its_key(pyssh: Client, sshd: StartServer, agent: Agent, tmp_path: Path) -> None:
    for name in ("ca", "key"):
        make(tmp_path / name, "ed25519")
    server = sshd(f"TrustedUserCAKeys {tmp_path}/ca.pub")
    certify(tmp_path / "ca", tmp_path / "key", "-n", server.user)
    pyssh.aim(server, *BATCH, "AddKeysToAgent yes", keys=[tmp_path / "key"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert {line.rpartition(" ")[2] for line in held(agent)} == {"(ED25519)", "(ED25519-CERT)"}


# Those that fail -------------------------------------------------------------------------------------------------


def listing(*pairs: tuple[bytes, bytes]) -> bytes:
    return string(bytes([LISTED]) + uint32(len(pairs)) + b"".join(string(b) + string(c) for b, c in pairs))


LIES: dict[str, Answer] = {
    "hangs up": lambda request: None,
    "refuses": lambda request: string(bytes([FAILURE])),
    "huge length": lambda request: b"\xff\xff\xff\xff" + bytes(64),
    "no length": lambda request: bytes(4),
    "cut off": lambda request: uint32(100) + bytes([LISTED]) if request[0] == EXTENSION else None,
    "wrong message": lambda request: string(bytes([99]) + b"rubbish"),
    "success": lambda request: string(bytes([SUCCESS])),
    "count of keys": lambda request: string(bytes([LISTED]) + uint32(2**31)),
    "rubbish": lambda request: string(bytes([LISTED]) + os.urandom(200)),
    "strange keys": lambda request: listing(
        (string(b"ssh-strange"), b"\x1b[31mred"), (b"", b""), (b"x" * 40, b"")
    ),
}


@pytest.mark.parametrize(
    "lie", [pytest.param(lie, marks=pytest.mark.beyond_ssh) if lie == "cut off" else lie for lie in LIES]
)
def test_lying_agent_is_done_without(
    pyssh: Client, openssh: Server, scripted_agent: Callable[[Answer], ScriptedAgent], lie: str
) -> None:
    scripted_agent(LIES[lie])
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


@pytest.mark.parametrize(
    "lie", [b"\x0e" + string(b"rubbish"), b"\x0e", bytes([FAILURE]), b"\x0c" + uint32(0), None]
)
def test_agent_that_lists_and_does_not_sign(
    pyssh: Client,
    openssh: Server,
    scripted_agent: Callable[[Answer], ScriptedAgent],
    lie: bytes | None,
) -> None:
    key = _blob(pyssh.keys.public("ecdsa-256"))

    def answer(request: bytes) -> bytes | None:
        if request[0] == LIST:
            return listing((key, b"\x1b[31mcomment"))
        if request[0] == SIGN:
            return None if lie is None else string(lie)
        return string(bytes([FAILURE]))

    scripted_agent(answer)
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    assert b"signing failed" in done.stderr
    assert b"\x1b" not in done.stderr


@pytest.mark.beyond_ssh
def test_agent_that_hangs_up_on_what_it_does_not_know_is_used(
    pyssh: Client, openssh: Server, agent: Agent, scripted_agent: Callable[[Answer], ScriptedAgent]
) -> None:
    agent.add(pyssh.keys.path("ed25519"))
    scripted_agent(lambda request: None if request[0] == EXTENSION else forward_to(agent, request))
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no", keys=())
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.beyond_ssh
def test_agent_that_says_nothing_is_done_without(
    pyssh: Client, openssh: Server, scripted_agent: Callable[[Answer], ScriptedAgent]
) -> None:
    never = threading.Event()

    def answer(_request: bytes) -> bytes | None:
        never.wait()
        return None

    scripted_agent(answer)
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no")
    done = pyssh.run("box", "echo in")
    never.set()
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    assert b"does not answer within 10 seconds" in done.stderr


def test_person_may_take_as_long_as_it_takes_and_ctrl_c_ends_it(
    pyssh: Client, openssh: Server, scripted_agent: Callable[[Answer], ScriptedAgent]
) -> None:
    key = _blob(pyssh.keys.public("ecdsa-256"))
    never = threading.Event()

    def answer(request: bytes) -> bytes | None:
        if request[0] == LIST:
            return listing((key, b"comment"))
        if request[0] == SIGN:
            never.wait()
            return None
        return string(bytes([FAILURE]))

    asked = scripted_agent(answer)
    pyssh.aim(openssh, *BATCH, "IdentitiesOnly no", keys=())
    with pyssh.start("box", "true") as process:
        wait_until(lambda: asked.requests[-1:] != [] and asked.requests[-1][0] == SIGN, "a request to sign")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in {-signal.SIGINT, 255}
    never.set()


@pytest.mark.beyond_ssh
def test_agent_that_never_signs_is_waited_for_no_longer_than_the_server_waits(
    pyssh: Client,
    scripted: Callable[..., ScriptedServer],
    scripted_agent: Callable[[Answer], ScriptedAgent],
) -> None:
    key = _blob(pyssh.keys.public("ecdsa-256"))
    asked, never = threading.Event(), threading.Event()

    def answer(request: bytes) -> bytes | None:
        if request[0] == LIST:
            return listing((key, b"comment"))
        if request[0] == SIGN:
            asked.set()
            never.wait()
            return None
        return string(bytes([FAILURE]))

    def hang_up(talk: Talk) -> None:
        talk.expect_keys()
        talk.flush()
        assert asked.wait(PATIENCE)

    scripted_agent(answer)
    server = scripted(hang_up, stage="login")
    pyssh.aim_at_port(server.port, "IdentitiesOnly no")
    pyssh.known_hosts.write_text(server.known_hosts_line)
    done = pyssh.run("box", "true")
    never.set()
    assert done.returncode == 255
    assert b"the server hung up while the agent at " in done.stderr
    assert b"Connection closed by 127.0.0.1 port " in done.stderr
