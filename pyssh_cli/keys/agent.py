"""The agent's protocol from the client's side: which keys it holds, signatures by them, keys for it to hold, and
the connection that it is asked for.

Not the socket: `net/` brings each request to the agent and its answer back (OpenSSH's PROTOCOL.agent and
draft-ietf-sshm-ssh-agent).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pyssh_cli.errors import AgentError, ProtocolError
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, SK_ECDSA, WEBAUTHN_SK_ECDSA
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import printable
from pyssh_cli.wire import Reader, boolean, string, text, uint32

if TYPE_CHECKING:
    from pyssh_cli.keys.private import PrivateKey

MAX_REPLY_SIZE = 256 * 1024
"""OpenSSH's bound on one agent message, in bytes."""

MAX_IDENTITIES = 2048
"""OpenSSH's bound on the keys that an agent may list."""

_FAILURE = 5
_SUCCESS = 6
_REQUEST_IDENTITIES = 11
_IDENTITIES_ANSWER = 12
_SIGN_REQUEST = 13
_SIGN_RESPONSE = 14
_ADD_IDENTITY = 17
_ADD_IDENTITY_CONSTRAINED = 25
_EXTENSION = 27
_EXTENSION_FAILURE = 28

_CONSTRAIN_LIFETIME = 1
_CONSTRAIN_CONFIRM = 2
_CONSTRAIN_EXTENSION = 255

MAX_LIFETIME = (1 << 32) - 1
"""Seconds for which an agent can be told to hold a key."""


class AgentKey(NamedTuple):
    """A key that the agent holds, with the comment that the agent gives it (not cleaned for a terminal)."""

    public: PublicKey
    comment: str


class Constraints(NamedTuple):
    """How an agent is to hold a key (AddKeysToAgent in ssh_config(5)).

    `lifetime` is in seconds, 0 for as long as the agent runs; `confirm` has it ask the person each time.
    `security_key_provider` is the library or the word "internal" by which the agent reaches the authenticator of a
    security key.
    """

    lifetime: int = 0
    confirm: bool = False
    security_key_provider: str = ""

    def encoded(self) -> bytes:
        """The constraints as they follow a key; empty for none. ValueError for a lifetime out of range."""
        if not 0 <= self.lifetime <= MAX_LIFETIME:
            raise ValueError(f"an agent cannot hold a key for {self.lifetime} seconds")
        out = bytes([_CONSTRAIN_LIFETIME]) + uint32(self.lifetime) if self.lifetime else b""
        if self.confirm:
            out += bytes([_CONSTRAIN_CONFIRM])
        if self.security_key_provider:
            provider = text("sk-provider@openssh.com") + text(self.security_key_provider)
            out += bytes([_CONSTRAIN_EXTENSION]) + provider
        return out


_UNCONSTRAINED = Constraints()


def add_request(key: PrivateKey, comment: str, constraints: Constraints, certificate: PublicKey | None) -> bytes:
    """The message, without its length, that gives `key` to an agent, as its `certificate` where there is one.

    It holds the secret key. Raises KeyFileError where the certificate is not the key's.
    """
    limits = constraints.encoded()
    number = _ADD_IDENTITY_CONSTRAINED if limits else _ADD_IDENTITY
    return bytes([number]) + key.serialized(certificate) + text(comment) + limits


def session_bind_request(host_key: bytes, session_id: bytes, signature: bytes, forwarding: bool) -> bytes:
    """The message, without its length, that tells an agent which connection it is going to be asked for
    (OpenSSH's PROTOCOL.agent, session-bind@openssh.com).

    `host_key` and `signature` are the blobs of the first key exchange, whose exchange hash is `session_id`.
    """
    parts = string(host_key) + string(session_id) + string(signature) + boolean(forwarding)
    return bytes([_EXTENSION]) + text("session-bind@openssh.com") + parts


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
        wanted = row.signature if row else algorithm
        if made != wanted and (wanted, made) != (SK_ECDSA, WEBAUTHN_SK_ECDSA):  # a browser's is as good
            raise AgentError(f"agent signed with {printable(made)} where {algorithm} was asked for")
        return signature

    def add(
        self,
        key: PrivateKey,
        comment: str,
        constraints: Constraints = _UNCONSTRAINED,
        certificate: PublicKey | None = None,
    ) -> None:
        """Give `key` to the agent, under `comment`; with a `certificate` that is what it will list.

        Raises AgentError when the agent refuses, KeyFileError where the certificate is not the key's.
        """
        self._succeed(add_request(key, comment, constraints, certificate), "to hold the key")

    def bind_session(self, host_key: bytes, session_id: bytes, signature: bytes, *, forwarding: bool) -> None:
        """Tell the agent which connection the requests on this connection to it are for, before the first of them.

        `forwarding` says that they will be a remote host's. Raises AgentError when the agent refuses or does not
        know of this, which ssh only notes in its debug log.
        """
        self._succeed(session_bind_request(host_key, session_id, signature, forwarding), "to bind to the session")

    def _succeed(self, body: bytes, what: str) -> None:
        reader = self._request(body, _SUCCESS, what)
        if reader.remaining():
            raise AgentError(f"agent's answer is too long when asked {what}")

    def _request(self, body: bytes, expected: int, what: str) -> Reader:
        """Send one request; the answer after its message number, which has to be `expected`."""
        reply = self._exchange(string(body))
        if not 1 <= len(reply) <= MAX_REPLY_SIZE:
            raise AgentError(f"agent's answer is {len(reply)} bytes long")
        reader = Reader(reply)
        number = reader.byte()
        if number in {_FAILURE, _EXTENSION_FAILURE}:
            raise AgentError(f"agent refused {what}")
        if number != expected:
            raise AgentError(f"agent answered with message {number} when asked {what}")
        return reader
