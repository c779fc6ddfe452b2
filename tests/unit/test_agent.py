"""The agent's protocol: against a real ssh-agent, and against agents that lie."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from pyssh_cli.errors import AgentError
from pyssh_cli.keys.agent import MAX_IDENTITIES, MAX_REPLY_SIZE, AgentClient
from pyssh_cli.keys.algorithms import algorithms_of
from pyssh_cli.keys.public import parse_public_file
from pyssh_cli.wire import string, uint32

KINDS = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048")
DATA = b"what is signed"


@pytest.fixture
def agent_socket() -> Iterator[Path]:
    """A running ssh-agent's socket, in a folder whose path is short enough for one."""
    folder = Path(tempfile.mkdtemp(prefix="pyssh-agent-"))
    path = folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if path.exists():
                break
            time.sleep(0.01)
        yield path
    finally:
        agent.terminate()
        agent.wait()
        shutil.rmtree(folder)


def exchange_over(path: Path) -> Callable[[bytes], bytes]:
    """One connection a request, as `AgentClient` wants to be given."""

    def exchange(request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                return stream.read(int.from_bytes(stream.read(4), "big"))

    return exchange


def test_a_real_agent_lists_and_signs(agent_socket: Path, tmp_path: Path) -> None:
    agent = AgentClient(exchange_over(agent_socket))
    assert agent.identities() == []
    environment = {**os.environ, "SSH_AUTH_SOCK": str(agent_socket)}
    for kind in KINDS:
        name, _, bits = kind.partition("-")
        size = ["-b", bits] if bits else []
        path = tmp_path / kind
        make = ["ssh-keygen", "-q", "-t", name, *size, "-N", "", "-C", f"my {kind}", "-f", str(path)]
        subprocess.run(make, check=True)
        subprocess.run(["ssh-add", "-q", path], check=True, env=environment, capture_output=True)
    keys = agent.identities()
    assert [key.comment for key in keys] == [f"my {kind}" for kind in KINDS]
    for key, kind in zip(keys, KINDS, strict=True):
        public = tmp_path / f"{kind}.pub"
        assert key.public == parse_public_file(public.read_bytes())[0]
        for algorithm in algorithms_of(key.public.type):
            signature = agent.sign(key.public.blob, DATA, algorithm)
            assert key.public.verify(algorithm, DATA, signature)
            assert asyncssh.read_public_key(public).verify(DATA, signature)
    with pytest.raises(AgentError, match="asked for"):
        agent.sign(keys[0].public.blob, DATA, "rsa-sha2-256")
    with pytest.raises(AgentError, match="refused to sign"):
        agent.sign(string(b"ssh-ed25519") + string(bytes(32)), DATA, "ssh-ed25519")


def answering(reply: bytes) -> AgentClient:
    return AgentClient(lambda _request: reply)


ED25519 = string(b"ssh-ed25519") + string(bytes(32))


def test_requests_are_framed_and_flagged() -> None:
    requests: list[bytes] = []

    def exchange(request: bytes) -> bytes:
        requests.append(request)
        return b"\x05"

    agent = AgentClient(exchange)
    with pytest.raises(AgentError, match="refused to list"):
        agent.identities()
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519", "sk-ssh-ed25519@openssh.com"):
        with pytest.raises(AgentError, match="refused to sign"):
            agent.sign(b"blob", b"data", algorithm)
    sign = b"\x0d" + string(b"blob") + string(b"data")
    assert requests == [string(b"\x0b")] + [string(sign + uint32(flags)) for flags in (2, 4, 0, 0)]


def test_keys_that_are_malformed_are_left_out_and_unknown_ones_stay() -> None:
    strange = string(b"ssh-strange") + b"x"
    pairs = ((b"", b"empty"), (ED25519[:-1], b"cut"), (strange, b"\x1b[2J\xff"), (ED25519, b"good"))
    reply = b"\x0c" + uint32(len(pairs)) + b"".join(string(blob) + string(comment) for blob, comment in pairs)
    keys = answering(reply).identities()
    assert [(key.public.blob, key.comment) for key in keys] == [(strange, "\x1b[2J\udcff"), (ED25519, "good")]


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x06",
        b"\x0c",
        b"\x0c" + uint32(1),
        b"\x0c" + uint32(0) + b"x",
        b"\x0c" + uint32(MAX_IDENTITIES + 1),
        b"\x0c" + uint32(0xFFFFFFFF),
        b"\x0c" + uint32(1) + uint32(0xFFFFFFFF),
        bytes(MAX_REPLY_SIZE + 1),
    ],
)
def test_lists_that_are_nonsense(reply: bytes) -> None:
    with pytest.raises(AgentError):
        answering(reply).identities()


def test_every_truncation_of_answers() -> None:
    listed = b"\x0c" + uint32(1) + string(ED25519) + string(b"comment")
    signed = b"\x0e" + string(string(b"ssh-ed25519") + string(bytes(64)))
    assert answering(signed).sign(ED25519, DATA, "ssh-ed25519") == signed[5:]
    for end in range(len(listed)):
        with pytest.raises(AgentError):
            answering(listed[:end]).identities()
    for end in range(len(signed)):
        with pytest.raises(AgentError):
            answering(signed[:end]).sign(ED25519, DATA, "ssh-ed25519")
    with pytest.raises(AgentError):
        answering(signed + b"x").sign(ED25519, DATA, "ssh-ed25519")


def test_a_signature_by_another_algorithm_is_refused() -> None:
    reply = b"\x0e" + string(string(b"ssh-rsa") + string(bytes(256)))
    with pytest.raises(AgentError, match="signed with ssh-rsa where rsa-sha2-512"):
        answering(reply).sign(b"blob", DATA, "rsa-sha2-512")
