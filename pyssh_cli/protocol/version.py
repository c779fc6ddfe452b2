"""The version exchange (RFC 4253 section 4.2): the two lines before the first packet."""

from __future__ import annotations

from pyssh_cli.errors import ProtocolError
from pyssh_cli.wire import Buffer

MAX_LINE = 255
"""Bytes of the version line, CR LF included (RFC 4253 section 4.2)."""

MAX_LINES_BEFORE = 1024
MAX_BYTES_BEFORE = 64 * 1024
"""How much a server may say before its version line."""


def is_openssh(version: bytes) -> bool:
    """Whether a version line says that it is OpenSSH's; whoever wrote it may lie."""
    return version.startswith(b"SSH-2.0-OpenSSH_")


class VersionExchange:
    """Waits for the server's version line, past the lines that may come before it."""

    def __init__(self) -> None:
        self._bytes = 0
        self.lines_before: list[bytes] = []

    def take(self, data: Buffer) -> tuple[int, bytes | None]:
        """Look at what has arrived: (bytes used up, the version without CR LF or None for not yet).

        Raises ProtocolError when this is no SSH-2 server; the text says what it is instead, where that shows.
        """
        used = 0
        received = bytes(data)
        while (newline := received.find(b"\n", used)) >= 0:
            line = received[used : newline + 1]
            used = newline + 1
            if line.startswith(b"SSH-"):
                return used, _checked(line)
            self._refuse_other_protocols(line)
            self.lines_before.append(line.rstrip(b"\r\n"))
            self._bytes += len(line)
            self._refuse_too_much(0)
        waiting = received[used:]
        if not waiting.startswith(b"SSH-"):
            self._refuse_other_protocols(waiting)
        if waiting.startswith(b"SSH-") and len(waiting) > MAX_LINE:
            raise ProtocolError(f"Bad version line: longer than {MAX_LINE} bytes")
        self._refuse_too_much(len(waiting))
        return used, None

    def _refuse_too_much(self, waiting: int) -> None:
        if len(self.lines_before) > MAX_LINES_BEFORE or self._bytes + waiting > MAX_BYTES_BEFORE:
            raise ProtocolError("No SSH version line in what the server says: this is not an SSH server")

    @staticmethod
    def _refuse_other_protocols(line: bytes) -> None:
        if line[:1] in {b"\x15", b"\x16"} and line[1:2] == b"\x03":  # a record of RFC 8446 section 5.1
            raise ProtocolError("The server answers in TLS: this is an HTTPS server's port or the like, not SSH")
        if b"\0" in line:
            raise ProtocolError("No SSH version line, but binary data: this is not an SSH server")
        if line.startswith(b"HTTP/"):
            raise ProtocolError("The server answers in HTTP: this is a web server's port, not SSH")


def _checked(line: bytes) -> bytes:
    if len(line) > MAX_LINE:
        raise ProtocolError(f"Bad version line: longer than {MAX_LINE} bytes")
    version = line.rstrip(b"\r\n")
    if b"\0" in version:
        raise ProtocolError("Bad version line: it holds a zero byte")
    protocol = version.split(b"-", 2)[1]
    if protocol == b"1.99" or protocol.startswith(b"2."):
        return version
    if protocol.startswith(b"1."):
        raise ProtocolError("The server speaks only SSH version 1, which is not safe and not supported")
    raise ProtocolError(f"Protocol major versions differ: 2 vs. {protocol.decode('ascii', 'replace')}")
