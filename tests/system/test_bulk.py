"""A hundred mebibytes up and down every server, whole, and rekeying while data flows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import Payload, StartServer
from tests.system.servers import Park, Server
from tests.system.waiting import PATIENCE, wait_until

MIB = 1 << 20


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_exchanges(server: Server, start: int) -> int:
    """How many key exchanges sshd has logged after the first `start` characters of its log."""
    return server.log_text()[start:].count("SSH2_MSG_NEWKEYS received")


@pytest.fixture
def data(payload: Callable[[int], Payload]) -> Payload:
    """100 MiB of random bytes."""
    return payload(100 * MIB)


def test_upload_of_100_mib(pyssh: Client, server: Server, data: Payload) -> None:
    pyssh.aim(server)
    with data.path.open("rb") as stdin:
        done = pyssh.run("box", "sha256sum", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0].decode() == data.sha256


def test_download_of_100_mib(pyssh: Client, server: Server, data: Payload, tmp_path: Path) -> None:
    pyssh.aim(server)
    with (tmp_path / "got").open("wb") as stdout:
        done = pyssh.run("box", f"cat {data.path}", stdout=stdout)
    assert done.returncode == 0, done.stderr
    assert file_sha256(tmp_path / "got") == data.sha256


def test_100_mib_both_ways_at_once(pyssh: Client, openssh: Server, data: Payload, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    with (tmp_path / "got").open("wb") as stdout, data.path.open("rb") as stdin:
        done = pyssh.run("box", "cat", stdin=stdin, stdout=stdout)
    assert done.returncode == 0, done.stderr
    assert file_sha256(tmp_path / "got") == data.sha256


@pytest.mark.parametrize("who", ["client", "server", "both"])
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"])
def test_rekeying_while_data_flows_both_ways(
    pyssh: Client, sshd: StartServer, payload: Callable[[int], Payload], who: str, cipher: str
) -> None:
    server = sshd(*(["RekeyLimit 1M"] if who != "client" else []))
    pyssh.aim(server, *(["RekeyLimit 1M"] if who != "server" else []))
    sent = payload(8 * MIB)
    start = len(server.log_text())
    with sent.path.open("rb") as stdin:
        done = pyssh.run("-c", cipher, "box", "cat", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).hexdigest() == sent.sha256
    assert key_exchanges(server, start) >= 4


def test_client_rekeys_with_every_server(pyssh: Client, server: Server, payload: Callable[[int], Payload]) -> None:
    pyssh.aim(server, "RekeyLimit 1M")
    sent = payload(8 * MIB)
    with sent.path.open("rb") as stdin:
        done = pyssh.run("-v", "box", "cat", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).hexdigest() == sent.sha256
    assert done.stderr.count(b"SSH2_MSG_NEWKEYS received") >= 4


def test_rekeying_with_compression(pyssh: Client, sshd: StartServer, payload: Callable[[int], Payload]) -> None:
    pyssh.aim(sshd("RekeyLimit 1M"), "RekeyLimit 1M", "Compression yes")
    sent = payload(8 * MIB)
    with sent.path.open("rb") as stdin:
        done = pyssh.run("box", "cat", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).hexdigest() == sent.sha256


def test_rekeying_that_the_asyncssh_server_starts(
    pyssh: Client, own_park: Park, payload: Callable[[int], Payload]
) -> None:
    pyssh.aim(own_park.asyncssh(rekey_bytes=MIB))
    sent = payload(8 * MIB)
    with sent.path.open("rb") as stdin:
        done = pyssh.run("box", "cat", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).hexdigest() == sent.sha256


def test_rekeying_by_time(pyssh: Client, sshd: StartServer) -> None:
    server = sshd()
    pyssh.aim(server, "RekeyLimit default 1")
    with pyssh.start("box", "cat") as client:
        assert client.stdin is not None
        assert client.stdout is not None

        def exchanged_twice() -> bool:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write(b"still there?\n")
            client.stdin.flush()
            assert client.stdout.readline() == b"still there?\n"
            return key_exchanges(server, 0) >= 2

        wait_until(exchanged_twice, "a key exchange by time")
        client.stdin.close()
        assert client.wait(PATIENCE) == 0
