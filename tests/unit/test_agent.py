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

from pyssh_cli.client import agent_link
from pyssh_cli.errors import AgentError, KeyFileError, NetworkError
from pyssh_cli.keys.agent import (
    MAX_IDENTITIES,
    MAX_LIFETIME,
    MAX_REPLY_SIZE,
    AgentClient,
    Constraints,
    add_request,
    session_bind_request,
)
from pyssh_cli.keys.algorithms import SK_ED25519, algorithms_of
from pyssh_cli.keys.private import PrivateKey, load_private_key
from pyssh_cli.keys.public import PublicKey, parse_public_file
from pyssh_cli.log import Log
from pyssh_cli.net.unix import AgentSocket
from pyssh_cli.wire import string, text, uint32
from tests.unit.keygen import SECURITY_KEY_KINDS, Authenticator, certify, make, public

KINDS = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048")
DATA = b"what is signed"


@pytest.fixture
def agent_socket() -> Iterator[Path]:
    """A running ssh-agent's socket, in a folder whose path is short enough for one."""
    folder = Path(tempfile.mkdtemp(prefix="pyssh-agent-"))
    path = folder / "agent"
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SSH_ASKPASS": "/bin/false"},
    )
    try:
        deadline = time.monotonic() + 60
        while not _is_heard(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield path
    finally:
        agent.terminate()
        agent.wait()
        shutil.rmtree(folder)


def _is_heard(path: Path) -> bool:
    """Whether somebody listens: the path is there a moment before."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


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
        path = tmp_path / f"{kind}.pub"
        assert key.public == parse_public_file(path.read_bytes())[0]
        for algorithm in algorithms_of(key.public.type):
            signature = agent.sign(key.public.blob, DATA, algorithm)
            assert key.public.verify(algorithm, DATA, signature)
            assert asyncssh.read_public_key(path).verify(DATA, signature)
    with pytest.raises(AgentError, match="asked for"):
        agent.sign(keys[0].public.blob, DATA, "rsa-sha2-256")
    with pytest.raises(AgentError, match="refused to sign"):
        agent.sign(string(b"ssh-ed25519") + string(bytes(32)), DATA, "ssh-ed25519")


def load(path: Path) -> PrivateKey:
    return load_private_key(path.read_bytes(), None, str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_certificates_that_are_added_sign(agent_socket: Path, tmp_path: Path, kind: str) -> None:
    agent = AgentClient(exchange_over(agent_socket))
    make(tmp_path / "ca", "ed25519")
    make(tmp_path / "key", kind)
    key, certificate = load(tmp_path / "key"), certify(tmp_path / "ca", tmp_path / "key", "-n", "user")
    agent.add(key, "plain")
    agent.add(key, "certified", certificate=certificate)
    agent.add(key, "plain again", Constraints(lifetime=MAX_LIFETIME // 4))
    held = agent.identities()
    assert [(k.public, k.comment) for k in held] == [(key.public, "plain again"), (certificate, "certified")]
    for identity in held:
        for algorithm in algorithms_of(identity.public.type):
            signature = agent.sign(identity.public.blob, DATA, algorithm)
            assert identity.public.verify(algorithm, DATA, signature)


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_security_keys_are_held_for_whoever_reaches_the_authenticator(
    agent_socket: Path, tmp_path: Path, kind: str
) -> None:
    agent = AgentClient(exchange_over(agent_socket))
    make(tmp_path / "ca", "ed25519")
    authenticator = Authenticator(kind)
    (tmp_path / "key.pub").write_text(authenticator.public.line() + "\n")
    certificate = certify(tmp_path / "ca", tmp_path / "key", "-n", "user")
    key = load_private_key(authenticator.key_file(), None, "key")
    internal = Constraints(confirm=True, security_key_provider="internal")
    with pytest.raises(AgentError, match="refused to hold"):
        agent.add(key, "no provider", Constraints(security_key_provider="/no/such/provider.so"))
    agent.add(key, "plain", internal)
    agent.add(key, "certified", internal, certificate)
    assert [k.public for k in agent.identities()] == [authenticator.public, certificate]


def test_constraints_are_heeded(agent_socket: Path, tmp_path: Path) -> None:
    agent = AgentClient(exchange_over(agent_socket))
    key, other = make(tmp_path / "key", "ed25519"), make(tmp_path / "other", "ed25519")
    agent.add(load(tmp_path / "key"), "asks", Constraints(confirm=True))
    with pytest.raises(AgentError, match="refused to sign"):  # it has nobody to ask
        agent.sign(key.blob, DATA, "ssh-ed25519")
    agent.add(load(tmp_path / "other"), "goes", Constraints(lifetime=1))
    end = time.monotonic() + 30
    while other in [k.public for k in agent.identities()] and time.monotonic() < end:
        time.sleep(0.05)
    assert [k.public for k in agent.identities()] == [key]


def test_an_agent_is_bound_to_a_session(agent_socket: Path, tmp_path: Path) -> None:
    agent = AgentClient(exchange_over(agent_socket))
    host_key = make(tmp_path / "host", "ecdsa-256")
    session_id = b"exchange hash of the first key exchange"
    signature = load(tmp_path / "host").sign("ecdsa-sha2-nistp256", session_id)
    agent.bind_session(host_key.blob, session_id, signature, forwarding=False)
    agent.bind_session(host_key.blob, session_id, signature, forwarding=True)
    with pytest.raises(AgentError, match="refused to bind"):
        agent.bind_session(host_key.blob, b"another", signature, forwarding=False)


def test_requests_that_add_and_bind(tmp_path: Path) -> None:
    make(tmp_path / "key", "ed25519")
    key = load(tmp_path / "key")
    plain = key.serialized() + text("note")
    assert plain.startswith(key.public.blob)
    assert add_request(key, "note", Constraints(), None) == b"\x11" + plain
    limits = b"\x01" + uint32(9) + b"\x02" + b"\xff" + text("sk-provider@openssh.com") + text("p")
    assert add_request(key, "note", Constraints(9, True, "p"), None) == b"\x19" + plain + limits
    with pytest.raises(ValueError, match="seconds"):
        add_request(key, "note", Constraints(MAX_LIFETIME + 1), None)
    bound = b"\x1b" + text("session-bind@openssh.com") + string(b"h") + string(b"s") + string(b"g") + b"\x01"
    assert session_bind_request(b"h", b"s", b"g", forwarding=True) == bound


def test_certificates_of_other_keys_are_not_added(tmp_path: Path) -> None:
    for name in ("ca", "key", "other"):
        make(tmp_path / name, "ed25519")
    certificate = certify(tmp_path / "ca", tmp_path / "other", "-n", "user")
    for wrong in (certificate, public(tmp_path / "key")):
        with pytest.raises(KeyFileError, match="not of this private key"):
            answering(b"\x06").add(load(tmp_path / "key"), "", certificate=wrong)


TOO_LONG = pytest.param(bytes(MAX_REPLY_SIZE + 1), id="too long")


@pytest.mark.parametrize("reply", [b"\x05", b"\x1c", b"\x06x", b"\x0c", b"", TOO_LONG])
def test_answers_other_than_success(tmp_path: Path, reply: bytes) -> None:
    make(tmp_path / "key", "ed25519")
    with pytest.raises(AgentError):
        answering(reply).add(load(tmp_path / "key"), "")
    with pytest.raises(AgentError):
        answering(reply).bind_session(b"h", b"s", b"g", forwarding=False)
    answering(b"\x06").add(load(tmp_path / "key"), "")


def test_a_malformed_certificate_is_left_out_of_the_list(tmp_path: Path) -> None:
    make(tmp_path / "ca", "ed25519")
    make(tmp_path / "key", "ed25519")
    blob = certify(tmp_path / "ca", tmp_path / "key", "-n", "user").blob
    reply = b"\x0c" + uint32(2) + string(blob[:-1]) + text("cut") + string(blob) + text("good")
    assert answering(reply).identities() == [(PublicKey.parse(blob), "good")]


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
    certified = "rsa-sha2-256-cert-v01@openssh.com"
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519", SK_ED25519, "ssh-rsa", certified):
        with pytest.raises(AgentError, match="refused to sign"):
            agent.sign(b"blob", b"data", algorithm)
    sign = b"\x0d" + string(b"blob") + string(b"data")
    assert requests == [string(b"\x0b")] + [string(sign + uint32(flags)) for flags in (2, 4, 0, 0, 0, 2)]


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
        TOO_LONG,
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


def test_names_that_an_agent_makes_up_are_cleaned() -> None:
    reply = b"\x0e" + string(text("ssh-rsa\nann's password: \x1b[2J") + string(b""))
    with pytest.raises(AgentError) as refused:
        answering(reply).sign(b"blob", DATA, "rsa-sha2-512")
    assert str(refused.value).isprintable()


# Its socket ------------------------------------------------------------------------------------------------------


@pytest.fixture
def mute() -> Iterator[str]:
    """Where an agent listens that never answers."""
    with tempfile.TemporaryDirectory(prefix="pyssh-agent-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/mute")
        listener.listen()
        yield f"{folder}/mute"


def test_a_mute_agent_is_waited_for_no_longer_than_the_server_waits(mute: str) -> None:
    agent = AgentSocket(mute, 10)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"something to be read yet")
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(NetworkError, match="the server hung up while the agent"):
            agent.exchange(string(b"\x0d"), None, ours)
        assert ours.recv(100) == b"something to be read yet"
    assert not agent.is_open
    assert not agent.hung_up


def test_a_mute_agent_is_given_up_in_batch_mode(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_link, "BATCH_SECONDS", 0.05)
    link = agent_link.AgentLink(mute, Log(), None, batch_mode=True)
    with pytest.raises(AgentError, match=r"does not answer within 0\.05 seconds"):
        link.sign(b"blob", DATA, "ssh-ed25519")
    link.close()
