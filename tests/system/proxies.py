"""An HTTP and a SOCKS5 proxy for tests, in threads of their own: they connect on what they let through, and keep
what they were asked."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping

from tests.system.relays import join


def read(peer: socket.socket, count: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data


class Proxy(ABC):
    """A listener on 127.0.0.1. `names` maps host names to the ports of 127.0.0.1 that they mean; `login` is the
    user and password it wants, if any; `asked` is what clients have asked to be connected to."""

    def __init__(self, names: Mapping[str, int] | None = None, login: tuple[str, str] | None = None) -> None:
        self.names = dict(names or {})
        self.login = login
        self.asked: list[tuple[str, int]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            self.serve(peer)

    @abstractmethod
    def serve(self, peer: socket.socket) -> None:
        """Deal with one client."""

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to what a client asked for."""
        self.asked.append((host, port))
        port = self.names.get(host, port)
        return socket.create_connection(("127.0.0.1", port))


class HttpProxy(Proxy):
    """CONNECT. `answer` takes the place of the answer that lets a client through, `page` that of the tunnel."""

    answer = b"HTTP/1.1 200 Connection established\r\nProxy-Agent: a test\r\n\r\n"
    page: bytes | None = None

    def serve(self, peer: socket.socket) -> None:
        """Read a head, byte for byte, and join."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += read(peer, 1)
        request, *fields = head.decode().split("\r\n")
        method, target, version = request.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        assert f"Host: {target}" in fields
        if self.login is not None:
            login = base64.b64encode(":".join(self.login).encode()).decode()
            if f"Proxy-Authorization: Basic {login}" not in fields:
                peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nNo")
                return
        host, _, port = target.rpartition(":")
        if self.page is not None:
            self.asked.append((host, int(port)))
            peer.sendall(self.page)
            return
        with self.connect(host.strip("[]"), int(port)) as far:
            # The answer and the server's first words in one segment: not a byte of either may be lost.
            peer.sendall(self.answer + far.recv(1 << 16))
            join(peer, far)


class SocksProxy(Proxy):
    """SOCKS 5, CONNECT. `reply` is the reply that it gives; another than 0 connects nothing."""

    reply = 0
    choice: int | None = None
    """The method it chooses, whatever was offered."""

    def serve(self, peer: socket.socket) -> None:
        """Shake hands, log in, join."""
        version, count = read(peer, 2)
        assert version == 5
        methods = read(peer, count)
        method = 2 if self.login is not None else 0
        if self.choice is not None or method not in methods:
            peer.sendall(bytes((5, 0xFF if self.choice is None else self.choice)))
            return
        peer.sendall(bytes((5, method)))
        if self.login is not None:
            assert read(peer, 1) == b"\1"
            given = tuple(read(peer, read(peer, 1)[0]).decode() for _ in range(2))
            peer.sendall(b"\1\0" if given == self.login else b"\1\1")
            if given != self.login:
                return
        version, command, _, kind = read(peer, 4)
        assert (version, command) == (5, 1)
        if kind == 3:
            host = read(peer, read(peer, 1)[0]).decode()
        else:
            host = str(ipaddress.ip_address(read(peer, 4 if kind == 1 else 16)))
        port = int.from_bytes(read(peer, 2), "big")
        if self.reply:
            self.asked.append((host, port))
            peer.sendall(bytes((5, self.reply, 0, 1)) + bytes(6))
            return
        with self.connect(host, port) as far:
            peer.sendall(b"\5\0\0\3\4name\0\0" + far.recv(1 << 16))
            join(peer, far)
