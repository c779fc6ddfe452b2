"""Both ends of forwarded connections: what they lead to, and clients that stand as tunnels."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.system.clients import Client
from tests.system.servers import free_port
from tests.system.waiting import PATIENCE, wait_until


def echo(connection: socket.socket) -> None:
    """Send back what comes, in pieces as it comes, until its end."""
    while data := connection.recv(65536):
        connection.sendall(data)


def answer_at_the_end(connection: socket.socket) -> None:
    """Read until the client has ended its half, then say how much it was."""
    count = 0
    while data := connection.recv(65536):
        count += len(data)
    connection.sendall(f"{count} bytes".encode())


def greet(connection: socket.socket) -> None:
    """Say hello and hang up."""
    connection.sendall(b"hello")


@contextlib.contextmanager
def website() -> Iterator[int]:
    """An HTTP server that answers every GET with "found /path"; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"found {self.path}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def fetch(*arguments: str) -> str:
    """What curl prints for these arguments; nothing when it fails."""
    command = ["curl", "--silent", "--noproxy", "", "--max-time", str(PATIENCE), *arguments]
    return subprocess.run(command, capture_output=True, check=False, env={}).stdout.decode()


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A connection to a port of this machine that gives up in time."""
    return socket.create_connection((host, port), timeout=PATIENCE)


def listens(place: int | Path, host: str = "127.0.0.1") -> bool:
    """Whether something takes connections at a port, or at a Unix socket."""
    family = socket.AF_UNIX if isinstance(place, Path) else socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(str(place) if isinstance(place, Path) else (host, place)) == 0


def descriptors(pid: int) -> int:
    """How many descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def read_all(sock: socket.socket) -> bytes:
    """Everything until the end."""
    got = bytearray()
    while data := sock.recv(65536):
        got += data
    return bytes(got)


@contextlib.contextmanager
def tunnel(client: Client, *words: str, ready: int | Path) -> Iterator[subprocess.Popen[bytes]]:
    """The client with -N and these words, once something listens at `ready`."""
    with client.start("-N", *words, "box", stdin=subprocess.DEVNULL) as process:
        wait_until(lambda: listens(ready) or process.poll() is not None, "the tunnel")
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield process


def ended(process: subprocess.Popen[bytes]) -> str:
    """Terminate it, and return what it said on stderr."""
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    return err.decode()


__all__ = ["free_port"]
