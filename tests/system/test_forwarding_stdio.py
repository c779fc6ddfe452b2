"""-W: a host and port or a socket on our stdin and stdout, by itself and as ssh's ProxyCommand."""

from __future__ import annotations

import shlex
import socket
import subprocess
from collections.abc import Callable

import pytest

from tests.system.clients import Client
from tests.system.forwarded import answer_at_the_end, echo, free_port, website
from tests.system.servers import Account, FakeServer, Server, program
from tests.system.waiting import PATIENCE

StartFake = Callable[..., FakeServer]


@pytest.mark.parametrize("kind", ["openssh", "dropbear"])
def test_a_port(pyssh: Client, standing: Callable[[str], Server], kind: str) -> None:
    pyssh.aim(standing(kind))
    with website() as web:
        done = pyssh.run("-W", f"localhost:{web}", "box", send=b"GET /x HTTP/1.0\r\n\r\n")
    assert (done.returncode, done.stdout.endswith(b"found /x"), done.stderr) == (0, True, b"")


def test_much_both_ways(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    pyssh.aim(openssh)
    sent = bytes(range(256)) * 40_000
    done = pyssh.run("-W", f"127.0.0.1:{fake_server(echo).port}", "box", send=sent)
    assert (done.returncode, done.stdout == sent) == (0, True)


def test_stdin_ends_first(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("-W", f"127.0.0.1:{fake_server(answer_at_the_end).port}", "box", send=bytes(100_000))
    assert (done.returncode, done.stdout) == (0, b"100000 bytes")


@pytest.mark.beyond_ssh  # Debian's 9.2 waits without end
def test_a_unix_socket(pyssh: Client, openssh: Server, account: Account) -> None:
    path = account.home / f"there-{free_port()}"
    pyssh.aim(openssh)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        with pyssh.start("-W", str(path), "box") as process:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"hello")
            out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, b"hello", b"")


def test_a_refused_connection(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("-W", f"127.0.0.1:{free_port()}", "box")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"open failed: connect failed: Connection refused" in done.stderr
    assert done.stderr.splitlines()[-1] == b"stdio forwarding failed"


def test_a_connection_that_is_lost(client: Client, sshd: Callable[..., Server], fake_server: StartFake) -> None:
    server = sshd()
    client.aim(server)
    with client.start("-W", f"127.0.0.1:{fake_server(echo).port}", "box") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"
        server.stop()
        assert process.wait(PATIENCE) == 255


def test_no_other_forward_stands(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    taken = fake_server(echo)
    pyssh.aim(openssh, f"LocalForward {taken.port} localhost:1")
    done = pyssh.run("-W", f"127.0.0.1:{taken.port}", "box", send=b"x")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x", b"")


def test_ssh_goes_through_pyssh(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    command = f"{shlex.join(pyssh.argv)} -W %h:%p box"
    argv = [program("ssh"), "-F", str(pyssh.config), "-o", f"ProxyCommand {command}", "box", "echo through"]
    done = subprocess.run(argv, env=pyssh.environment, capture_output=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"through\n", b"")
