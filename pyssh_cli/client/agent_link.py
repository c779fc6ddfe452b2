"""The agent on the person's side: its keys, its signatures, and the keys it is given to hold.

It is told which connection it is asked for before anything else, so that it can refuse keys that are not for that
host (OpenSSH's PROTOCOL.agent, session-bind@openssh.com).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyssh_cli.errors import AgentError, PysshError
from pyssh_cli.keys.agent import AgentClient, AgentKey, Constraints
from pyssh_cli.log import Log, printable

if TYPE_CHECKING:
    import socket

    from pyssh_cli.config.options import Options
    from pyssh_cli.keys.private import PrivateKey
    from pyssh_cli.keys.public import PublicKey
    from pyssh_cli.net.unix import AgentSocket

ANSWER_SECONDS = 10.0
"""How long an agent may take for what nobody has to confirm. A signature may take as long as the server waits for
it: somebody may have to be asked, or to touch a key."""

BATCH_SECONDS = 60.0
"""How long a signature may take in BatchMode, where nobody watches."""

TOUCH = "Waiting for the agent to sign: touch the security key"
"""What nobody else says where the agent has no window to say it in."""

GRACE_SECONDS = 300
"""How long after its end an agent keeps a certificate, as OpenSSH's tools have it."""


class HostProof(NamedTuple):
    """What the first key exchange proved: the host key's blob, and its whole signature of the session id."""

    host_key: bytes
    session_id: bytes
    signature: bytes


class AgentLink:
    """A connection to the agent at `path`, made when it is first needed. `proof` is what it is bound to, `server`
    the socket of the connection that its signatures are for, if there is one."""

    def __init__(
        self,
        path: str,
        log: Log,
        proof: HostProof | None,
        server: socket.socket | None = None,
        *,
        batch_mode: bool = False,
    ) -> None:
        self._path = path
        self._log = log
        self._proof = proof
        self._server = server
        self._sign_seconds = BATCH_SECONDS if batch_mode else None
        self._socket: AgentSocket | None = None
        self._client = AgentClient(self._exchange)
        self._signing = False
        self._told: tuple[Log, str] | None = None

    def keys(self) -> list[AgentKey]:
        """The keys it holds. Raises AgentError."""
        return self._client.identities()

    def sign(self, blob: bytes, data: bytes, algorithm: str) -> bytes:
        """Its signature of `data` with the key of `blob`, however long that takes unless in BatchMode. Raises
        AgentError, and NetworkError when the server hangs up meanwhile."""
        self._signing = True
        self._told = (self._log, TOUCH) if blob[4:7] == b"sk-" else None
        self._log.clear()  # the agent may have a question of its own on the terminal
        try:
            return self._client.sign(blob, data, algorithm)
        finally:
            self._signing = False

    def add(self, key: PrivateKey, comment: str, constraints: Constraints, certificate: PublicKey | None) -> None:
        """Give it a key, on a connection that is bound to none of ours: agents take some keys only there. Raises
        AgentError, and KeyFileError where the certificate is not the key's."""
        from pyssh_cli.net.unix import AgentSocket

        connection = AgentSocket(self._path, ANSWER_SECONDS)
        try:
            client = AgentClient(lambda request: connection.exchange(request, ANSWER_SECONDS))
            client.add(key, comment, constraints, certificate)
        finally:
            connection.close()

    def _exchange(self, request: bytes) -> bytes:
        if self._socket is None:
            self._socket = self._connected()
        if self._signing:
            return self._socket.exchange(request, self._sign_seconds, self._server, self._told)
        return self._socket.exchange(request, ANSWER_SECONDS)

    def _connected(self) -> AgentSocket:
        from pyssh_cli.net.unix import AgentSocket

        connection = AgentSocket(self._path, ANSWER_SECONDS)
        if self._proof is None:
            return connection
        client = AgentClient(lambda request: connection.exchange(request, ANSWER_SECONDS))
        try:
            client.bind_session(*self._proof, forwarding=False)
        except AgentError as error:
            self._log.debug2(f"ssh_agent_bind_hostkey: {error}")
        else:
            self._log.debug1("bound agent to hostkey")
        if connection.hung_up:  # there are agents that hang up on what they do not know
            connection = AgentSocket(self._path, ANSWER_SECONDS)
        return connection

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()


class KeyAdder:
    """Gives keys that were loaded from files to the agent (AddKeysToAgent in ssh_config(5))."""

    def __init__(self, link: AgentLink, options: Options, log: Log) -> None:
        self._link = link
        self._log = log
        self._mode, self._lifetime = options.add_keys_to_agent
        self._provider = options.security_key_provider or ""
        self._batch_mode = options.batch_mode

    def add(self, path: str, key: PrivateKey, certificate: PublicKey | None) -> None:
        """Add the key of the file `path`, and its certificate where there is one. What does not work is of no
        matter to the connection, and only in the debug log."""
        question = f"Add key {printable(path)} ({printable(key.comment)}) to agent?"
        if self._mode == "ask" and not self._may(question):
            self._log.debug3("user denied adding this key")
            return
        constraints = Constraints(
            lifetime=self._lifetime or 0,
            confirm=self._mode == "confirm",
            security_key_provider=self._provider if key.security_key else "",
        )
        self._add(path, key, constraints, None)
        if certificate is not None:
            self._add(path, key, self.shortened(constraints, certificate), certificate)

    def _add(self, path: str, key: PrivateKey, constraints: Constraints, certificate: PublicKey | None) -> None:
        try:
            self._link.add(key, key.comment or path, constraints, certificate)
        except (PysshError, ValueError) as error:
            self._log.debug1(f"could not add identity to agent: {path} ({error})")
        else:
            self._log.debug1(f"identity added to agent: {path}")

    @staticmethod
    def shortened(constraints: Constraints, certificate: PublicKey) -> Constraints:
        """The constraints, with a lifetime that ends soon after the certificate's."""
        from time import time

        left = certificate.certificate().valid_before - int(time()) + GRACE_SECONDS
        lifetime = min(left, constraints.lifetime) if constraints.lifetime else left
        return constraints._replace(lifetime=max(1, lifetime) if lifetime < 1 << 31 else 0)

    def _may(self, question: str) -> bool:
        """Ask by askpass, as ssh does, on whose terminal a question at this point would come as a surprise."""
        import os

        from pyssh_cli.terminal.askpass import askpass_policy, run_askpass

        environment = {**os.environ, "SSH_ASKPASS_PROMPT": "confirm"}
        if self._batch_mode or askpass_policy(environment) == "never":
            return False
        answer = run_askpass(question, environment, self._log)
        return answer is not None and answer.lower() in {"", "yes"}
