"""The agent's Unix socket: one framed request out, one framed answer in, within a time."""

from __future__ import annotations

import math
import os
import select
import socket
from time import monotonic

from pyssh_cli.errors import AgentError, NetworkError, NoAgent
from pyssh_cli.keys.agent import MAX_REPLY_SIZE
from pyssh_cli.log import Log

_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""What poll tells of a socket whose other end sends no more, whatever has arrived before: on Linux when one
direction is closed, elsewhere when both are."""


class AgentSocket:
    """A connection to the agent at `path`. Raises NoAgent when nobody listens there within `seconds`."""

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._patience = seconds
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
            raise NoAgent(f"cannot connect to the agent at {path}: {reason or error}") from None

    def exchange(
        self,
        request: bytes,
        seconds: float | None,
        server: socket.socket | None = None,
        told: tuple[Log, str] | None = None,
    ) -> bytes:
        """Send a request, which begins with its length, and return the body of the answer.

        `seconds` are for all of it; None waits for as long as it takes, as for a person who has to confirm. That
        one is `told`, by a log and in these words. `server` is a connection without which nobody needs the answer.
        Raises AgentError, or NetworkError when the server hangs up first, and is closed then: a late answer must
        not be taken for that to another request.
        """
        if not self.is_open:
            raise AgentError(self._failure)
        deadline = None if seconds is None else monotonic() + seconds
        try:
            self._socket.settimeout(self._patience)
            self._socket.sendall(request)
            length = int.from_bytes(self._read(4, deadline, server, told), "big")
            if not 0 < length <= MAX_REPLY_SIZE:
                raise AgentError(f"the agent at {self._path} answers with {length} bytes, which cannot be")
            return self._read(length, deadline, server, told)
        except TimeoutError:
            self._fail(f"the agent at {self._path} does not answer within {seconds or self._patience:g} seconds")
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

    def _read(
        self, count: int, deadline: float | None, server: socket.socket | None, told: tuple[Log, str] | None
    ) -> bytes:
        received = bytearray()
        while len(received) < count:
            self._wait(deadline, server, told)
            piece = self._socket.recv(count - len(received))
            if not piece:
                self.hung_up = True
                raise AgentError(f"the agent at {self._path} closed the connection")
            received += piece
        return bytes(received)

    def _wait(self, deadline: float | None, server: socket.socket | None, told: tuple[Log, str] | None) -> None:
        """Wait until there is something to read. TimeoutError when the time is up, NetworkError when the server
        hangs up first."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if server is not None:
            poll.register(server, _GONE)
        if told:
            from pyssh_cli.net.tcp import ready as wait_until_ready

            found = wait_until_ready(poll, deadline, told[0], lambda: told[1])
        else:
            left = None if deadline is None else max(0, math.ceil((deadline - monotonic()) * 1000))
            found = poll.poll(left)
        ready = [number for number, _ in found]
        if not ready:
            raise TimeoutError
        if self._socket.fileno() not in ready:
            raise NetworkError(f"the server hung up while the agent at {self._path} was waited for")

    def close(self) -> None:
        """Hang up."""
        self.is_open = False
        self._socket.close()
