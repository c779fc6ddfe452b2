"""-R: ports and sockets on the server, allocated ports, what the server's configuration lets be, and refusals."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.forwarded import (
    answer_at_the_end,
    connect,
    ended,
    fetch,
    free_port,
    greet,
    listens,
    read_all,
    tunnel,
    website,
)
from tests.system.messages import bare
from tests.system.servers import Account, FakeServer, Server
from tests.system.waiting import PATIENCE, wait_until

StartFake = Callable[..., FakeServer]


@pytest.mark.parametrize("kind", ["openssh", "dropbear", "asyncssh"])
def test_a_port_of_the_server(pyssh: Client, standing: Callable[[str], Server], kind: str) -> None:
    port = free_port()
    pyssh.aim(standing(kind))
    with website() as web, tunnel(pyssh, "-R", f"127.0.0.1:{port}:localhost:{web}", ready=port):
        assert fetch(f"http://127.0.0.1:{port}/x") == "found /x"


@pytest.mark.parametrize(
    ("host", "outside"), [("", True), ("*:", True), ("127.0.0.1:", False), ("localhost:", False)]
)
def test_gateway_ports_clientspecified(
    pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake, host: str, outside: bool
) -> None:
    target, port = fake_server(greet), free_port()
    pyssh.aim(sshd("GatewayPorts clientspecified"))
    spec = f"{host or ':'}{port}:127.0.0.1:{target.port}"
    with tunnel(pyssh, "-R", spec, ready=port), connect(port) as sock:
        assert read_all(sock) == b"hello"
        assert listens(port, "127.0.0.2") is outside


def test_allocated_ports(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    one, other = fake_server(greet), fake_server(answer_at_the_end)
    pyssh.aim(openssh)
    words = ["-R", f"0:127.0.0.1:{one.port}", "-R", f"0:127.0.0.1:{other.port}"]
    with pyssh.start(*words, "box", "read line") as process:
        assert process.stderr
        ports = []
        for target in (one.port, other.port):
            line = process.stderr.readline().decode()
            found = re.fullmatch(rf"Allocated port (\d+) for remote forward to 127.0.0.1:{target}\s+", line)
            assert found, line
            ports.append(int(found[1]))
        with connect(ports[0]) as sock:
            assert read_all(sock) == b"hello"
        with connect(ports[1]) as sock:
            sock.sendall(b"1234")
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b"4 bytes"


def test_unix_sockets_at_both_ends(pyssh: Client, openssh: Server, account: Account, tmp_path: Path) -> None:
    here, there = tmp_path / "here", account.home / f"there-{free_port()}"
    pyssh.aim(openssh)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here))
        listener.listen()
        with tunnel(pyssh, "-R", f"{there}:{here}", ready=there), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(there))
            listener.accept()[0].close()  # the probe
            sock.sendall(b"question")
            peer, _ = listener.accept()
            with peer:
                assert peer.recv(100) == b"question"
                peer.sendall(b"answer")
            assert read_all(sock) == b"answer"


def test_half_closed_connections(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, port = fake_server(answer_at_the_end), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-R", f"{port}:127.0.0.1:{target.port}", ready=port), connect(port) as sock:
        sock.sendall(bytes(3_000_000))
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"3000000 bytes"


@pytest.mark.parametrize("target", ["127.0.0.1:{port}", "no-such-name.invalid:80", "/nonexistent"])
def test_a_target_that_cannot_be_reached(pyssh: Client, openssh: Server, target: str) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-R", f"{port}:{target.format(port=free_port())}", ready=port) as process:
        with connect(port) as sock:
            assert read_all(sock) == b""
        assert process.poll() is None
        assert "connect" in ended(process)


def test_a_taken_port_is_a_warning_or_the_end(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    taken = fake_server(greet)
    pyssh.aim(openssh)
    failed = f"remote port forwarding failed for listen port {taken.port}"
    words = ["-R", f"127.0.0.1:{taken.port}:localhost:1", "box", "echo ran"]
    done = pyssh.run(*words)
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    assert bare(done.stderr) == [f"Warning: {failed}"]
    done = pyssh.run("-o", "ExitOnForwardFailure=yes", *words)
    assert (done.returncode, done.stdout) == (255, b"")
    assert bare(done.stderr) == [f"Error: {failed}"]


def test_what_permit_listen_does_not_allow(
    pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake
) -> None:
    target, allowed, other = fake_server(greet), free_port(), free_port()
    pyssh.aim(sshd(f"PermitListen localhost:{allowed}"))
    words = [f"-R{port}:127.0.0.1:{target.port}" for port in (other, allowed)]
    with tunnel(pyssh, *words, ready=allowed) as process, connect(allowed) as sock:
        assert read_all(sock) == b"hello"
        assert not listens(other)
        told = ended(process).strip().encode()
        assert bare(told) == [f"Warning: remote port forwarding failed for listen port {other}"]


def test_a_socket_that_exists_on_the_server(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("-o", "ExitOnForwardFailure=yes", "-R", "/nonexistent/x:localhost:1", "box", "echo ran")
    assert (done.returncode, done.stdout) == (255, b"")
    assert bare(done.stderr) == ["Error: remote port forwarding failed for listen path /nonexistent/x"]


def test_the_command_finds_the_forward_there(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, port = fake_server(greet), free_port()
    pyssh.aim(openssh)
    command = f"exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3"
    done = pyssh.run("-R", f"127.0.0.1:{port}:127.0.0.1:{target.port}", "box", f"bash -c '{command}'")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello", b"")


def test_malformed_forwards(pyssh: Client) -> None:
    pyssh.aim_at_port(1)
    done = pyssh.run("-R", "1:a:b:c:d", "box", "true")
    assert done.returncode == 255
    assert b"Bad remote forwarding specification '1:a:b:c:d'" in done.stderr


def test_clear_all_forwardings(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    pyssh.aim(openssh, f"RemoteForward {port} localhost:1")
    with pyssh.start("-o", "ClearAllForwardings=yes", "box", "echo ran; read line") as process:
        assert process.stdout
        assert process.stdout.readline() == b"ran\n"
        assert not listens(port)


def test_the_connections_end_with_the_server(pyssh: Client, sshd: Callable[..., Server]) -> None:
    server, port = sshd(), free_port()
    pyssh.aim(server)
    with pyssh.start("-N", "-R", f"{port}:localhost:1", "box", stdin=subprocess.DEVNULL) as process:
        wait_until(lambda: listens(port), "the forward")
        server.stop()
        assert process.wait(PATIENCE) == 255
