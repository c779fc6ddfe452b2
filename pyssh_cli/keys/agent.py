"""The agent's protocol from the client's side: which keys it holds, and signatures by them.

Not the socket: `net/` brings each request to the agent and its answer back (OpenSSH's PROTOCOL.agent and
draft-ietf-sshm-ssh-agent).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyssh_cli.errors import AgentError, ProtocolError
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import Reader, string, uint32

MAX_REPLY_SIZE = 256 * 1024
"""OpenSSH's bound on one agent message, in bytes."""

MAX_IDENTITIES = 2048
"""OpenSSH's bound on the keys that an agent may list."""

_FAILURE = 5
_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_SIGN_RESPONSE = 14


class AgentKey(NamedTuple):
    """A key that the agent holds, with the comment that the agent gives it (not cleaned for a terminal)."""

    public: PublicKey
    comment: str


class AgentClient:
    """Asks an agent, one request and one answer at a time.

    `exchange` is given a whole request, its uint32 length first, and returns the body of the answer without its
    length. What it raises passes through.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Callable[[bytes], bytes]) -> None:
        self._exchange = exchange

    def identities(self) -> list[AgentKey]:
        """The keys that the agent holds, in its order; malformed ones are left out, as ssh does.

        Raises AgentError when the agent refuses or its answer is nonsense.
        """
        reader = self._request(bytes([_REQUEST_IDENTITIES]), _IDENTITIES_ANSWER, "to list its keys")
        keys: list[AgentKey] = []
        try:
            count = reader.uint32()
            if count > MAX_IDENTITIES:
                raise AgentError(f"agent lists {count} keys, more than the {MAX_IDENTITIES} that are sensible")
            for _ in range(count):
                blob, comment = reader.string(), reader.text()
                try:
                    keys.append(AgentKey(PublicKey.parse(blob), comment))
                except ProtocolError:
                    continue
            reader.end()
        except ProtocolError as error:
            raise AgentError(f"agent's list of keys is malformed: {error}") from None
        return keys

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        """The agent's signature of `data` with the key of `blob`: the whole SSH signature blob.

        Raises AgentError when the agent refuses, or answers with nonsense or with a signature of another
        algorithm (agents without the flags of RFC 8332 make SHA-1 ones).
        """
        row = KEY_ALGORITHMS.get(algorithm)
        body = string(blob) + string(data) + uint32(row.agent_flags if row else 0)
        reader = self._request(bytes([_SIGN_REQUEST]) + body, _SIGN_RESPONSE, "to sign")
        try:
            signature = reader.string()
            reader.end()
            made = Reader(signature).text()
        except ProtocolError as error:
            raise AgentError(f"agent's signature is malformed: {error}") from None
        if made != algorithm:
            raise AgentError(f"agent signed with {made} where {algorithm} was asked for")
        return signature

    def _request(self, body: bytes, expected: int, what: str) -> Reader:
        """Send one request; the answer after its message number, which has to be `expected`."""
        reply = self._exchange(string(body))
        if not 1 <= len(reply) <= MAX_REPLY_SIZE:
            raise AgentError(f"agent's answer is {len(reply)} bytes long")
        reader = Reader(reply)
        number = reader.byte()
        if number == _FAILURE:
            raise AgentError(f"agent refused {what}")
        if number != expected:
            raise AgentError(f"agent answered with message {number} when asked {what}")
        return reader
