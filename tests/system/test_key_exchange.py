"""Key exchange methods that are not everywhere: post-quantum, with groups that the server brings, and old ones."""

from __future__ import annotations

import pytest

from tests.system.clients import Client
from tests.system.conftest import StartServer
from tests.system.servers import Park, Server

SNTRUP = ("sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com")
GROUP_EXCHANGE = ("diffie-hellman-group-exchange-sha256", "diffie-hellman-group-exchange-sha1")
OLD = ("diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1")
ON_REQUEST = (*SNTRUP, *GROUP_EXCHANGE, *OLD)


def passes_data(pyssh: Client, kex: str, *words: str) -> None:
    """A session whose key exchange can only be `kex`."""
    done = pyssh.run("-o", f"KexAlgorithms={kex}", *words, "box", "cat", send=b"through")
    assert (done.returncode, done.stdout) == (0, b"through"), done.stderr


@pytest.mark.parametrize("kex", ON_REQUEST)
def test_openssh(pyssh: Client, sshd: StartServer, kex: str) -> None:
    server = sshd(f"KexAlgorithms {kex}", "LogLevel DEBUG1")
    pyssh.aim(server)
    passes_data(pyssh, kex)
    assert f"kex: algorithm: {kex} " in server.log_text()


@pytest.mark.parametrize("kex", [*GROUP_EXCHANGE, *OLD])
def test_asyncssh(pyssh: Client, own_park: Park, kex: str) -> None:
    pyssh.aim(own_park.asyncssh(kex=[kex]))
    passes_data(pyssh, kex)


def test_dropbear(pyssh: Client, dropbear: Server) -> None:
    pyssh.aim(dropbear)
    passes_data(pyssh, "diffie-hellman-group14-sha1")


def test_tinyssh(pyssh: Client, own_park: Park) -> None:
    pyssh.aim(own_park.start("tinyssh"))
    passes_data(pyssh, SNTRUP[1])


@pytest.mark.parametrize("kex", [SNTRUP[0], GROUP_EXCHANGE[0]])
def test_rekeying(pyssh: Client, sshd: StartServer, kex: str) -> None:
    server = sshd(f"KexAlgorithms {kex}", "LogLevel DEBUG1")
    pyssh.aim(server)
    sent = bytes(range(256)) * (16 << 10)
    done = pyssh.run(
        "-o",
        f"KexAlgorithms={kex}",
        "-o",
        "RekeyLimit=1M",
        "-c",
        "aes128-gcm@openssh.com",
        "box",
        "cat",
        send=sent,
    )
    assert (done.returncode, done.stdout) == (0, sent), done.stderr
    assert server.log_text().count(f"kex: algorithm: {kex}") > 2


def test_group_sizes_go_with_the_cipher(pyssh: Client, sshd: StartServer) -> None:
    server = sshd(f"KexAlgorithms {GROUP_EXCHANGE[0]}", "LogLevel DEBUG3")
    pyssh.aim(server)
    passes_data(pyssh, GROUP_EXCHANGE[0], "-c", "aes128-gcm@openssh.com")
    assert "got parameters: 2048 3072 8192" in server.log_text()
