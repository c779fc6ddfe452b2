"""The agent's Unix socket: one framed request out, one framed answer in, within a time."""

from __future__ import annotations

import os
import socket
from time import monotonic

from pyssh_cli.errors import AgentError

MAX_REPLY = 256 * 1024
"""Bytes; what OpenSSH's client reads at most."""


class AgentSocket:
    """A connection to the agent at `path`. Raises AgentError when nobody listens there within `seconds`."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        self.is_open = True
        """Whether requests can be sent; after a failure they cannot, and that failure is told again."""
        self._failure = f"the agent at {path} was hung up on"
        self.hung_up = False
        """Whether the failure was that the agent closed the connection."""
        try:
            self._socket.connect(os.fsencode(path))
        except (OSError, ValueError) as error:
            self.close()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise AgentError(f"cannot connect to the agent at {path}: {reason or error}") from None

    def exchange(self, request: bytes, seconds: float | None) -> bytes:
        """Send a request, which begins with its length, and return the body of the answer.

        `seconds` are for all of it; None waits for as long as it takes, as for a person who has to confirm. Raises
        AgentError, and is closed then: a late answer must not be taken for that to another request.
        """
        if not self.is_open:
            raise AgentError(self._failure)
        deadline = None if seconds is None else monotonic() + seconds
        try:
            self._wait(deadline)
            self._socket.sendall(request)
            length = int.from_bytes(self._read(4, deadline), "big")
            if not 0 < length <= MAX_REPLY:
                raise AgentError(f"the agent at {self._path} answers with {length} bytes, which cannot be")
            return self._read(length, deadline)
        except TimeoutError:
            self._fail(f"the agent at {self._path} does not answer within {seconds:g} seconds")
            raise AgentError(self._failure) from None
        except OSError as error:
            self.hung_up = True
            self._fail(f"the agent at {self._path} is gone: {error.strerror or error}")
            raise AgentError(self._failure) from None
        except BaseException as error:
            self._fail(str(error))
            raise

    def _fail(self, words: str) -> None:
        self._failure = words
        self.close()

    def _read(self, count: int, deadline: float | None) -> bytes:
        received = bytearray()
        while len(received) < count:
            self._wait(deadline)
            piece = self._socket.recv(count - len(received))
            if not piece:
                self.hung_up = True
                raise AgentError(f"the agent at {self._path} closed the connection")
            received += piece
        return bytes(received)

    def _wait(self, deadline: float | None) -> None:
        """Bound the next call by what is left of the time; TimeoutError when that is nothing."""
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def close(self) -> None:
        """Hang up."""
        self.is_open = False
        self._socket.close()
