"""-L: every form of it, halves of connections, refusals, taken ports, sockets, and what happens at the end."""

from __future__ import annotations

import socket
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.forwarded import (
    answer_at_the_end,
    connect,
    descriptors,
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
from tests.system.servers import IS_ROOT, FakeServer, Server
from tests.system.waiting import PATIENCE, wait_until

StartFake = Callable[..., FakeServer]


def test_an_http_server_and_an_echo_behind_a_bastion(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    target, web, database = fake_server(echo), free_port(), free_port()
    pyssh.aim(openssh)
    with website() as port:
        forwards = ["-L", f"{web}:127.0.0.1:{port}", "-L", f"{database}:localhost:{target.port}"]
        with tunnel(pyssh, *forwards, ready=database):
            assert fetch(f"http://127.0.0.1:{web}/a", f"http://127.0.0.1:{web}/b") == "found /afound /b"
            with connect(database) as one, connect(database) as other:
                for sock in (one, other, one):
                    sock.sendall(b"SELECT 1;")
                    assert sock.recv(100) == b"SELECT 1;"


@pytest.mark.parametrize("form", ["{port}", "127.0.0.1:{port}", "localhost:{port}", "*:{port}", ":{port}"])
def test_where_it_listens(pyssh: Client, openssh: Server, fake_server: StartFake, form: str) -> None:
    target, port = fake_server(greet), free_port()
    pyssh.aim(openssh)
    spec = f"{form.format(port=port)}:127.0.0.1:{target.port}"
    with tunnel(pyssh, "-L", spec, ready=port), connect(port) as sock:
        assert read_all(sock) == b"hello"
        with socket.socket() as other:  # 127.0.0.2 is this machine, and not the loopback address
            reached = other.connect_ex(("127.0.0.2", port)) == 0
        assert reached is form.startswith(("*", ":"))


def test_ipv6(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, port = fake_server(greet), free_port()
    pyssh.aim(openssh)
    with pyssh.start("-N", "-L", f"[::1]:{port}:127.0.0.1:{target.port}", "box"):
        wait_until(lambda: listens(port, "::1"), "the forward")
        with connect(port, "::1") as sock:
            assert read_all(sock) == b"hello"
        assert not listens(port)


@pytest.mark.parametrize("words", [("-g",), ("-o", "GatewayPorts=yes")])
def test_gateway_ports(pyssh: Client, openssh: Server, fake_server: StartFake, words: tuple[str, ...]) -> None:
    target, port = fake_server(greet), free_port()
    pyssh.aim(openssh)
    forward = f"{port}:127.0.0.1:{target.port}"
    with tunnel(pyssh, *words, "-L", forward, ready=port), connect(port, "127.0.0.2") as sock:
        assert read_all(sock) == b"hello"


def test_address_family(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, port = fake_server(greet), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-4", "-L", f"{port}:127.0.0.1:{target.port}", ready=port):
        assert not listens(port, "::1")


def test_unix_sockets_at_both_ends(pyssh: Client, sshd: Callable[..., Server], tmp_path: Path) -> None:
    there, here, port = tmp_path / "there", tmp_path / "here", free_port()
    tmp_path.chmod(0o755)
    pyssh.aim(sshd("AllowStreamLocalForwarding yes"))
    directory = tmp_path
    while directory != directory.parent:  # the account has to come to the socket
        directory.chmod(directory.stat().st_mode | 0o111)
        directory = directory.parent
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(there))
        there.chmod(0o777)
        listener.listen()
        words = ["-L", f"{here}:{there}", "-L", f"{port}:{there}"]
        with tunnel(pyssh, *words, ready=port):
            for family, place in ((socket.AF_UNIX, str(here)), (socket.AF_INET, ("127.0.0.1", port))):
                # the probe of the port has been accepted, too
                with socket.socket(family) as sock:
                    sock.settimeout(PATIENCE)
                    sock.connect(place)
                    sock.sendall(b"question")
                    while True:
                        peer, _ = listener.accept()
                        with peer:
                            if peer.recv(100) == b"question":
                                peer.sendall(b"answer")
                                break
                    assert read_all(sock) == b"answer"
            assert stat.S_IMODE(here.stat().st_mode) == 0o600


def test_the_mask_of_a_unix_socket(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    here = tmp_path / "here"
    pyssh.aim(openssh)
    with tunnel(pyssh, "-o", "StreamLocalBindMask=0111", "-L", f"{here}:localhost:1", ready=here):
        assert stat.S_IMODE(here.stat().st_mode) == 0o666


def test_a_unix_socket_that_exists(client: Client, openssh: Server, tmp_path: Path) -> None:
    here = tmp_path / "here"
    client.aim(openssh)
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(here))
    forward = ("-o", "ExitOnForwardFailure=yes", "-L", f"{here}:localhost:1")
    done = client.run(*forward, "box", "echo ran")
    assert (done.returncode, done.stdout) == (255, b"")
    assert bare(done.stderr) == [
        f"unix_listener: cannot bind to path {here}: Address already in use",
        "Could not request local forwarding.",
    ]
    with tunnel(client, "-o", "StreamLocalBindUnlink=yes", *forward, ready=here):
        assert stat.S_ISSOCK(here.stat().st_mode)


def test_what_cannot_be_removed_is_told(client: Client, openssh: Server, tmp_path: Path) -> None:
    client.aim(openssh)
    done = client.run("-o", "StreamLocalBindUnlink=yes", "-L", f"{tmp_path}:localhost:1", "box", "echo ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    assert bare(done.stderr) == [
        f"unlink({tmp_path}): Is a directory",
        f"unix_listener: cannot bind to path {tmp_path}: Address already in use",
        "Could not request local forwarding.",
    ]


def test_half_closed_connections(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, port = fake_server(answer_at_the_end), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port), connect(port) as sock:
        sock.sendall(bytes(300_000))
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == b"300000 bytes"


def test_a_target_that_ends_its_half_still_hears_the_client(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    heard: list[bytes] = []

    def end_first(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            heard.append(data)

    target, port = fake_server(end_first), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port), connect(port) as sock:
        assert read_all(sock) == b""
        sock.sendall(b"still here")
        sock.shutdown(socket.SHUT_WR)
        wait_until(lambda: b"".join(heard) == b"still here", "the target to hear it")


def test_a_client_that_resets_ends_the_connection(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    gone: list[bytes] = []

    def wait_for_end(connection: socket.socket) -> None:
        gone.append(connection.recv(10))

    target, port = fake_server(wait_for_end), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port):
        wait_until(lambda: gone == [b""], "the probe")
        sock = connect(port)
        wait_until(lambda: target.accepted == 2, "the connection")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        wait_until(lambda: gone == [b"", b""], "the target to see the end")


@pytest.mark.beyond_ssh  # which says no more than that the client has sent all
def test_a_client_that_resets_is_gone_for_the_target_as_well(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    def hold_on(connection: socket.socket) -> None:
        connection.recv(1)
        target.closing.wait()

    target, port = fake_server(hold_on), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port) as process:
        wait_until(lambda: target.accepted == 1, "the probe")
        before = descriptors(process.pid)
        sock = connect(port)
        sock.sendall(b"x")
        wait_until(lambda: target.accepted == 2, "the connection")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        wait_until(lambda: descriptors(process.pid) <= before, "the connection to be closed")


def test_a_reader_that_never_reads_cannot_hold_up_the_end(
    client: Client, sshd: Callable[..., Server], fake_server: StartFake, tmp_path: Path
) -> None:
    def pour(connection: socket.socket) -> None:
        connection.sendall(bytes(3 << 19))  # more than the kernel takes for the reader, less than the window

    server, target, here = sshd(), fake_server(pour), tmp_path / "here"
    client.aim(server)
    forward = f"{here}:127.0.0.1:{target.port}"
    with tunnel(client, "-vv", "-L", forward, ready=here) as process, socket.socket(socket.AF_UNIX) as lazy:
        lazy.connect(str(here))
        lazy.shutdown(socket.SHUT_WR)
        assert process.stderr
        ends = 0  # the probe's connection is the first to be closed
        while ends < 2:
            ends += b"rcvd close" in process.stderr.readline()
        server.stop()
        assert process.wait(PATIENCE) == 255
        assert b"Traceback" not in process.stderr.read()


def test_a_refused_connection_is_closed_with_the_reason(pyssh: Client, openssh: Server) -> None:
    port, nobody = free_port(), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{nobody}", ready=port) as process:
        with connect(port) as sock:
            assert read_all(sock) == b""
        assert "open failed: connect failed: Connection refused" in ended(process)


def test_what_permit_open_does_not_allow(
    pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake
) -> None:
    allowed, other, ports = fake_server(greet), fake_server(greet), (free_port(), free_port())
    pyssh.aim(sshd(f"PermitOpen 127.0.0.1:{allowed.port}"))
    targets = (allowed.port, other.port)
    words = [f"-L{port}:127.0.0.1:{target}" for port, target in zip(ports, targets, strict=True)]
    with tunnel(pyssh, *words, ready=ports[1]) as process:
        answers = []
        for port in ports:
            with connect(port) as sock:
                answers.append(read_all(sock))
        assert answers == [b"hello", b""]
        assert "open failed: administratively prohibited: open failed" in ended(process)


def test_a_taken_port_is_a_warning(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    taken = fake_server(greet)
    pyssh.aim(openssh)
    done = pyssh.run("-L", f"127.0.0.1:{taken.port}:localhost:1", "box", "echo ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    assert bare(done.stderr) == [
        f"bind [127.0.0.1]:{taken.port}: Address already in use",
        f"channel_setup_fwd_listener_tcpip: cannot listen to port: {taken.port}",
        "Could not request local forwarding.",
    ]


def test_a_taken_port_ends_it_with_exit_on_forward_failure(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    taken = fake_server(greet)
    pyssh.aim(openssh, "ExitOnForwardFailure yes", f"LocalForward 127.0.0.1:{taken.port} localhost:1")
    done = pyssh.run("box", "echo ran")
    assert (done.returncode, done.stdout) == (255, b"")
    assert done.stderr.splitlines()[-1] == b"Could not request local forwarding."
    done = pyssh.run("-o", "ClearAllForwardings=yes", "box", "echo ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")


@pytest.mark.parametrize(
    ("flag", "what", "specs"),
    [
        (
            "-L",
            "local",
            ["", ":", "x", "1", "1:a", "0:a:1", "1:a:0", "70000:a:1", "1:a:70000", "1:::1:2", "[::1:1:a:2"],
        ),
        ("-D", "dynamic", ["", "x", "0", "70000", "1:2:3"]),
        ("-R", "remote", ["", "x", "70000:a:1", "-1:a:1", "0:a:0", "1:a:b:c:d", "/" + 200 * "x" + ":a:1"]),
        ("-W", "stdio", ["", "a", "a:0", "a:70000", "a:x", "1:2:3"]),
    ],
)
def test_malformed_forwards_are_refused_in_the_same_words(
    client: Client, flag: str, what: str, specs: list[str]
) -> None:
    client.aim_at_port(1)
    for spec in specs:
        done = client.run(flag, spec, "box", *([] if flag == "-W" else ["true"]))
        assert done.returncode == 255, spec
        assert done.stderr.decode().splitlines() == [f"Bad {what} forwarding specification '{spec}'"]


def test_duplicates(client: Client, openssh: Server) -> None:
    port = free_port()
    client.aim(openssh)
    for flag, one in (("-L", f"{port}:a:1"), ("-R", f"{port}:a:1"), ("-D", str(port))):
        done = client.run(flag, one, flag, one, "box", "echo ran")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"ran\n", b"")
    done = client.run("-L", f"127.0.0.1:{port}:a:1", "-L", f"127.0.0.1:{port}:a:2", "box", "echo ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")
    assert bare(done.stderr) == [
        f"bind [127.0.0.1]:{port}: Address already in use",
        f"channel_setup_fwd_listener_tcpip: cannot listen to port: {port}",
    ]


@pytest.mark.beyond_ssh  # ssh goes by the user's number, not by what the kernel allows
def test_a_privileged_port(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    words = ["-o", "ExitOnForwardFailure=yes", "-L", "127.0.0.1:81:localhost:1", "box", "echo ran"]
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if IS_ROOT else []
    with pyssh.start(*words, argv=drop) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (255, b"")
    assert b"bind [127.0.0.1]:81: Permission denied" in err


@pytest.mark.parametrize("spec", ["x", "1:2", "0:a:1", "1:a:b:c:d", "99999:a:1", "1:a:0", "[::1:a:1"])
def test_malformed_forwards(pyssh: Client, spec: str) -> None:
    pyssh.aim_at_port(1)
    done = pyssh.run("-L", spec, "box", "true")
    assert done.returncode == 255
    assert f"Bad local forwarding specification '{spec}'".encode() in done.stderr


def test_the_same_forward_twice_is_one(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    pyssh.aim(openssh)
    done = pyssh.run("-L", f"{port}:localhost:1", "-L", f"{port}:localhost:1", "box", "echo ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"ran\n", b"")


def test_it_ends_when_the_session_and_the_last_connection_have(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    target, port = fake_server(echo), free_port()
    pyssh.aim(openssh)
    with pyssh.start("-L", f"{port}:127.0.0.1:{target.port}", "box", "read line; exit 7") as process:
        wait_until(lambda: listens(port), "the forward")
        with connect(port) as sock:
            sock.sendall(b"one")
            assert sock.recv(10) == b"one"
            assert process.stdin
            process.stdin.write(b"\n")
            process.stdin.close()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            sock.sendall(b"two")
            assert sock.recv(10) == b"two"
        assert process.wait(PATIENCE) == 7


def test_a_terminated_tunnel_ends_with_0(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-L", f"{port}:localhost:1", ready=port) as process:
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.beyond_ssh  # before 9.6
@pytest.mark.parametrize("kind", ["direct-tcpip", "direct-*", "global"])
def test_channel_timeout(pyssh: Client, openssh: Server, fake_server: StartFake, kind: str) -> None:
    target, port = fake_server(echo), free_port()
    pyssh.aim(openssh, f"ChannelTimeout {kind}=1")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port), connect(port) as sock:
        sock.sendall(b"x")
        assert read_all(sock) == b"x"


def test_rekeying_goes_on_beneath(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, port = fake_server(answer_at_the_end), free_port()
    pyssh.aim(openssh, "RekeyLimit 1M")
    size = 8 << 20
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port), connect(port) as sock:
        sock.sendall(bytes(size))
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == f"{size} bytes".encode()
