"""Host-based authentication without a server: the helper's protocol, and what may be wrong with it or the keys."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyssh_cli.client import hostbased
from pyssh_cli.client.hostbased import Hostbased
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.protocol.userauth import UserAuth
from pyssh_cli.wire import Reader, string, text
from tests.unit import keygen

HELPER = f"""#!{sys.executable}
import os, sys
message = sys.stdin.buffer.read()
open(sys.argv[0] + ".asked", "wb").write(message)
os.fstat(int.from_bytes(message[5:9], "big"))
"""
GOOD = "sys.stdout.buffer.write(bytes.fromhex('0000000e0200000009') + b'signature')\n"

Make = Callable[..., Hostbased]


@pytest.fixture
def sent() -> list[bytes]:
    return []


@pytest.fixture
def helper(tmp_path: Path) -> Path:
    return tmp_path / "ssh-keysign"


@pytest.fixture
def make(tmp_path: Path, sent: list[bytes], helper: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a Hostbased on a connected socket, with keys of these kinds and a helper that ends so."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    paths = {kind: tmp_path / f"key-{kind}" for kind in ("ecdsa-256", "ed25519", "rsa-2048")}
    monkeypatch.setattr(hostbased, "HOST_KEYS", tuple(map(str, paths.values())))
    monkeypatch.setattr(hostbased, "KEYSIGN", (str(helper),))

    def start(*kinds: str, script: str | None = GOOD, config: str = "", connected: bool = True) -> Hostbased:
        for kind in kinds:
            keygen.make(paths[kind], kind)
        if script is not None:
            helper.write_text(HELPER + script)
            helper.chmod(0o755)
        (tmp_path / "config").write_text(config)
        options = resolve(Settings(), "host.test", SystemNetwork(), Log(), config_file=str(tmp_path / "config"))
        auth = UserAuth("ann", lambda *parts: sent.append(b"".join(parts)))
        return Hostbased(options, Log(), auth, b"S" * 32, client if connected else None)

    yield start
    client.close()
    listener.close()


def fields(request: bytes) -> list[bytes]:
    reader = Reader(request, 1)
    found = []
    while reader.remaining():
        found.append(reader.string())
    return found


def test_keys_are_proved_in_the_order_of_the_algorithms(
    make: Make, sent: list[bytes], helper: Path, tmp_path: Path
) -> None:
    config = "HostbasedAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512,ssh-ed25519\n"
    one = make("ecdsa-256", "ed25519", "rsa-2048", config=config)
    for algorithm, kind in (("rsa-sha2-256", "rsa-2048"), ("ssh-ed25519", "ed25519")):
        assert one.attempt()
        user, service, method, name, blob, host, _local, signature = fields(sent[-1])
        assert (user, service, method) == (b"ann", b"ssh-connection", b"hostbased")
        assert (name.decode(), blob) == (algorithm, keygen.public(tmp_path / f"key-{kind}").blob)
        assert host.endswith(b".")
        assert signature == b"signature"
        message = Reader(helper.with_name("ssh-keysign.asked").read_bytes())
        body = Reader(message.string())
        assert body.byte() == 2
        assert body.uint32() > 2
        asked = sent[-1][: -len(string(signature))]
        assert body.string() == string(b"S" * 32) + asked
    assert not one.attempt()
    assert len(sent) == 2


def test_certificates_come_first_where_they_are_accepted(make: Make, sent: list[bytes], tmp_path: Path) -> None:
    one = make("ed25519")
    keygen.make(tmp_path / "authority", "ed25519")
    keygen.certify(tmp_path / "authority", tmp_path / "key-ed25519", "-h", "-n", "client.test")
    assert one.attempt()
    assert fields(sent[-1])[3] == b"ssh-ed25519-cert-v01@openssh.com"
    assert one.attempt()
    assert fields(sent[-1])[3] == b"ssh-ed25519"
    assert not one.attempt()


@pytest.mark.parametrize(
    "script",
    [
        None,
        "sys.exit(1)\n",
        "",
        "sys.stdout.buffer.write(bytes.fromhex('0000000e0300000009') + b'signature')\n",
        "sys.stdout.buffer.write(bytes.fromhex('0000000e0200000009') + b'signatur')\n",
        "sys.stdout.buffer.write(bytes.fromhex('0000000e0200000008') + b'signature')\n",
        "sys.stdout.buffer.write(bytes.fromhex('0000000e0200000009') + b'signaturex')\n",
        "sys.stdout.buffer.write(bytes.fromhex('ffffffff0200000009') + b'signature')\n",
    ],
)
def test_helper_that_does_not_sign(
    make: Make, sent: list[bytes], script: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    one = make("ed25519", script=script)
    assert not one.attempt()
    assert sent == []
    assert one.problem
    assert "sign using hostkey ssh-ed25519" in capsys.readouterr().err


def test_without_keys_or_socket_nothing_is_sent(
    make: Make, sent: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    one = make()
    assert not one.attempt()
    assert "no host keys" in one.problem
    assert capsys.readouterr().err == ""
    assert not make("ed25519", connected=False).attempt()
    assert sent == []


def test_local_name_is_a_name() -> None:
    assert text(hostbased._local_name(None)) == text(socket.gethostname())


def test_what_keeps_this_host_from_vouching(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: Path
) -> None:
    system = tmp_path / "ssh_config"
    monkeypatch.setattr(hostbased, "SYSTEM_FILE", str(system))
    one = make("ed25519")
    options, log, sock = one._options, Log(), one._socket

    def obstacle(lines: str) -> str:
        system.write_text(lines)
        return hostbased.obstacle(options, log, sock)

    assert obstacle("EnableSSHKeysign yes\n") == ""
    assert obstacle("Host *\n  EnableSSHKeysign yes\n") == ""
    for lines in ("", "EnableSSHKeysign no\n", "Host other.test\n  EnableSSHKeysign yes\n"):
        assert obstacle(lines).startswith("EnableSSHKeysign is not set in ")
    assert "socket of its own" in hostbased.obstacle(options, log, None)
    helper.unlink()
    assert "ssh-keysign is not installed" in obstacle("EnableSSHKeysign yes\n")
    (tmp_path / "key-ed25519.pub").unlink()
    assert "no host keys" in obstacle("EnableSSHKeysign yes\n")
