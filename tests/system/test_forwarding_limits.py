"""Many connections at once, bursts, and readers that never read: nothing lost, little held, nobody held up."""

from __future__ import annotations

import contextlib
import re
import resource
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.forwarded import (
    connect,
    descriptors,
    echo,
    ended,
    free_port,
    greet,
    listens,
    read_all,
    tunnel,
)
from tests.system.servers import FakeServer, Server
from tests.system.sessions import open_cat
from tests.system.test_streams import peak_memory
from tests.system.waiting import PATIENCE, wait_until

StartFake = Callable[..., FakeServer]

MEMORY_KIB = 150 * 1024


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    """Room for both ends of a thousand connections in the tests' own process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_each_moving_data(
    pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake
) -> None:
    target, port = fake_server(echo), free_port()
    pyssh.aim(sshd("LogLevel ERROR"))
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port) as process:
        with contextlib.ExitStack() as opened:
            socks = [opened.enter_context(connect(port)) for _ in range(1000)]
            for round_ in range(3):
                for index, sock in enumerate(socks):
                    sock.sendall(f"{round_} {index:04} ".encode() * 200)
                for index, sock in enumerate(socks):
                    wanted = f"{round_} {index:04} ".encode() * 200
                    assert sock.recv(len(wanted), socket.MSG_WAITALL) == wanted
        assert peak_memory(process.pid) < MEMORY_KIB


@pytest.mark.beyond_ssh  # which tells less
@pytest.mark.parametrize(("rows", "columns"), [(24, 24), (0, 0)])
def test_a_thousand_connections_are_listed(
    pyssh: Client,
    sshd: Callable[..., Server],
    terminal: OpenTerminal,
    fake_server: StartFake,
    rows: int,
    columns: int,
) -> None:
    """In windows that are small, or of no known size, what matters most comes last, and lines fit."""
    target, port = fake_server(echo), free_port()
    pyssh.aim(sshd("LogLevel ERROR"))
    forward = f"{port}:127.0.0.1:{target.port}"
    shown = open_cat(terminal, pyssh, "-L", forward, rows=rows, columns=columns)
    with contextlib.ExitStack() as opened:
        socks = [opened.enter_context(connect(port)) for _ in range(1000)]
        for sock in socks:
            sock.sendall(b"x")
        for sock in socks:
            assert sock.recv(1) == b"x"
        for key, facts in (("#", b""), ("I", rb"  to\s+\S+@.*overhead\r\n")):
            begin = len(shown.seen)
            shown.send(f"\r~{key}")
            shown.expect(r"\r\n  round trip [\d.]+ ms\r\n")
            told = shown.seen[begin:]
            assert len(re.findall(rb"(?m)^  #\d+ ", told)) == 1001
            end = told[told.rindex(b"  #1000 ") :]
            assert re.search(rb"  1001\s+channels:\s+sent[^;]*?B\r\n" + facts + rb"  round trip", end, re.DOTALL)
            assert [line for line in told.splitlines() if len(line) > columns > 0 and b" " in line.strip()] == []
            shown.send("still here")
            shown.expect("still here")


def test_many_readers_that_never_read(pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake) -> None:
    def pour(connection: socket.socket) -> None:
        if connection.recv(1) == b"1":
            connection.sendall(b"hello")
            return
        while True:
            connection.sendall(bytes(65536))

    target, port = fake_server(pour), free_port()
    pyssh.aim(sshd("LogLevel ERROR"))
    forward = f"{port}:127.0.0.1:{target.port}"
    with tunnel(pyssh, "-L", forward, ready=port) as process, contextlib.ExitStack() as opened:
        for _ in range(300):
            sock = opened.enter_context(connect(port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"0")
            select.select([sock], [], [], PATIENCE)
        with connect(port) as sock:
            sock.sendall(b"1")
            assert read_all(sock) == b"hello"
        assert peak_memory(process.pid) < MEMORY_KIB


def test_nothing_is_left_of_a_thousand_connections(
    pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake
) -> None:
    target, nobody = fake_server(echo), free_port()
    ports = [free_port() for _ in range(5)]
    here, refused, socks, back, nowhere = ports
    pyssh.aim(sshd("LogLevel ERROR"), "LogLevel FATAL")
    words = [
        *("-L", f"{here}:127.0.0.1:{target.port}", "-L", f"{refused}:127.0.0.1:{nobody}", "-D", str(socks)),
        *("-R", f"{back}:127.0.0.1:{target.port}", "-R", f"{nowhere}:127.0.0.1:{nobody}"),
    ]
    with tunnel(pyssh, *words, ready=nowhere) as process:
        for port in ports:
            connect(port).close()
        with connect(here) as sock:  # all that is made once has been made
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        before = descriptors(process.pid)
        for index in range(200):
            for port, said in ((here, b"x"), (refused, b""), (socks, b"garbage"), (back, b"x"), (nowhere, b"")):
                with connect(port) as sock, contextlib.suppress(ConnectionResetError):
                    sock.sendall(said)
                    got = sock.recv(10)
                    assert got == (b"x" if port in {here, back} else b"")
                    if index % 2:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: descriptors(process.pid) <= before, "all descriptors to be given back")
        assert ended(process) == ""


@pytest.mark.beyond_ssh  # ssh listens with room for 128
def test_a_burst_of_connections(pyssh: Client, sshd: Callable[..., Server]) -> None:
    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    greet(connection)

    port = free_port()
    pyssh.aim(sshd("LogLevel ERROR"))
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        target = listener.getsockname()[1]
        with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target}", ready=port), contextlib.ExitStack() as opened:
            socks: list[socket.socket] = []
            for _ in range(2000):
                sock = opened.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
                socks.append(sock)
            for sock in socks:
                sock.settimeout(PATIENCE)
                assert read_all(sock) == b"hello"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.beyond_ssh  # ssh takes the limit as it finds it
def test_more_descriptors_than_the_shell_gives(
    pyssh: Client, sshd: Callable[..., Server], fake_server: StartFake
) -> None:
    target, port = fake_server(echo), free_port()
    pyssh.aim(sshd("LogLevel ERROR"))
    command = " ".join(["exec", *pyssh.argv, "-N", "-L", f"{port}:127.0.0.1:{target.port}", "box"])
    with pyssh.start(argv=["bash", "-c", f"ulimit -Sn 64; {command}", "sh"]) as process:
        opened = contextlib.ExitStack()
        with opened:
            while process.poll() is None:
                with contextlib.suppress(OSError):
                    opened.enter_context(connect(port))
                    break
            socks = [opened.enter_context(connect(port)) for _ in range(100)]
            for sock in socks:
                sock.sendall(b"x")
            assert [sock.recv(1) for sock in socks] == [b"x"] * 100


def test_refusals_when_all_descriptors_are_taken(pyssh: Client, sshd: Callable[..., Server]) -> None:
    """What tells of the first one is loaded when it comes, and needs a descriptor itself."""
    nobody, port = free_port(), free_port()
    pyssh.aim(sshd("LogLevel ERROR"))
    command = " ".join(["exec", *pyssh.argv, "-N", "-L", f"{port}:127.0.0.1:{nobody}", "box"])
    with pyssh.start(argv=["bash", "-c", f"ulimit -n 64; {command}", "sh"]) as process:
        wait_until(lambda: listens(port) or process.poll() is not None, "the tunnel")
        with contextlib.ExitStack() as opened:
            socks = [opened.enter_context(connect(port)) for _ in range(150)]
            for sock in socks:
                with contextlib.suppress(ConnectionResetError):
                    assert read_all(sock) == b""
        assert process.poll() is None
        assert "connect failed: Connection refused" in ended(process)
