"""The agent's Unix socket: one framed request out, one framed answer in, within a time."""

from __future__ import annotations

import os
import socket

from pyssh_cli.errors import AgentError

MAX_REPLY = 256 * 1024
"""Bytes; what OpenSSH's client reads at most."""

ANSWER_SECONDS = 120
"""How long an agent may take to answer: a person may have to confirm, or to touch a key."""

FIRST_ANSWER_SECONDS = 10
"""How long it may take to answer the first request, which nobody has to confirm."""


class AgentSocket:
    """A connection to the agent at `path`. Raises AgentError when there is none, or it does not answer."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(FIRST_ANSWER_SECONDS)
        try:
            self._socket.connect(os.fsencode(path))
        except (OSError, ValueError) as error:
            self._socket.close()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise AgentError(f"cannot connect to the agent at {path}: {reason or error}") from None

    def exchange(self, request: bytes) -> bytes:
        """Send a request with its length before it; return the body of the answer."""
        try:
            self._socket.sendall(request)
            length = int.from_bytes(self._read(4), "big")
            if not 0 < length <= MAX_REPLY:
                raise AgentError(f"the agent at {self._path} answers with {length} bytes, which cannot be")
            reply = self._read(length)
        except OSError as error:
            self.close()  # a late answer must not be taken for that to another request
            raise AgentError(f"the agent at {self._path} does not answer: {error.strerror or error}") from None
        except AgentError:
            self.close()
            raise
        self._socket.settimeout(ANSWER_SECONDS)
        return reply

    def _read(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count:
            piece = self._socket.recv(count - len(received))
            if not piece:
                raise AgentError(f"the agent at {self._path} closed the connection")
            received += piece
        return bytes(received)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
