"""-R: ports and sockets on the server, allocated ports, what the server's configuration lets be, and refusals."""

from __future__ import annotations

import array
import contextlib
import fcntl
import re
import socket
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.forwarded import (
    answer_at_the_end,
    connect,
    echo,
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


@pytest.mark.parametrize(
    ("listen", "target", "lines"),
    [
        (
            "{port}",
            "127.0.0.1:{taken}",
            "listen {port}, connect 127.0.0.1:{taken}|listen localhost port {port}, orig",
        ),
        (
            "127.0.0.1:{port}",
            "127.0.0.1:{taken}",
            "listen 127.0.0.1:{port}, connect 127.0.0.1:{taken}|new forwarded",
        ),
        ("{port}", "no-such-name.invalid:80", "connect_to no-such-name.invalid: unknown host ("),
        ("{port}", "127.0.0.1:1", "connect_to 127.0.0.1 port 1: failed"),
    ],
)
def test_what_v_tells(
    client: Client, openssh: Server, fake_server: StartFake, listen: str, target: str, lines: str
) -> None:
    """Programs look for ssh's own words."""
    port, taken = free_port(), fake_server(greet).port
    client.aim(openssh)
    spec = f"{listen}:{target}".format(port=port, taken=taken)
    with tunnel(client, "-v", "-R", spec, ready=port) as process:
        with connect(port) as sock:
            read_all(sock)
        told = ended(process)
        assert "originator 127.0.0.1 port" in told
        for line in lines.format(port=port, taken=taken).split("|"):
            assert line in told


@pytest.mark.beyond_ssh  # which ends at once, whatever it has not written
def test_a_target_that_answers_when_the_connection_has_ended(pyssh: Client, sshd: Callable[..., Server]) -> None:
    server, port = sshd(), free_port()
    pyssh.aim(server)
    with socket.socket() as target, contextlib.ExitStack() as opened:
        target.bind(("127.0.0.1", 0))
        target.listen(0)
        target.settimeout(PATIENCE)
        place = target.getsockname()
        waiting = opened.enter_context(socket.create_connection(place))  # the only one there is room for
        words = ["-R", f"{port}:127.0.0.1:{place[1]}", "box", "yes"]
        process = opened.enter_context(pyssh.start(*words, stdin=subprocess.DEVNULL))
        assert process.stdout
        assert process.stderr
        wait_until(lambda: listens(port), "the forward")
        wait_until(lambda: is_being_dialed(place[1]), "the target to be dialed")
        wait_until(lambda: is_full(process), "more output than anybody reads")
        server.stop()
        assert process.stderr.readline() == b"Connection to 127.0.0.1 closed by remote host.\n"
        accepted = target.accept()[0]
        assert accepted.getpeername() == waiting.getsockname()
        accepted.close()
        late = opened.enter_context(target.accept()[0])
        late.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            assert late.recv(1) == b""
        rest, _ = process.communicate(timeout=PATIENCE)
        assert rest.startswith(b"y\ny\n")
        assert process.returncode == 255


def is_being_dialed(port: int) -> bool:
    """Whether somebody has asked for a connection to a port of 127.0.0.1, and got no answer yet."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2] == f"0100007F:{port:04X}" and row[3] == "02" for row in rows)  # SYN_SENT


def is_full(process: subprocess.Popen[bytes]) -> bool:
    """Whether its stdout, a pipe, takes no more of its output."""
    assert process.stdout
    held = array.array("i", [0])
    fcntl.ioctl(process.stdout, termios.FIONREAD, held)
    return held[0] >= fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ) - 4096


@pytest.mark.beyond_ssh  # before 9.6
@pytest.mark.parametrize("kind", ["forwarded-tcpip", "forwarded-*"])
def test_channel_timeout(pyssh: Client, openssh: Server, fake_server: StartFake, kind: str) -> None:
    target, port = fake_server(echo), free_port()
    pyssh.aim(openssh, f"ChannelTimeout {kind}=1")
    forward = f"{port}:127.0.0.1:{target.port}"
    with tunnel(pyssh, "-R", forward, ready=port), connect(port) as idle, connect(port) as used:
        used.sendall(b"x")
        assert read_all(used) == b"x"
        assert read_all(idle) == b""


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
