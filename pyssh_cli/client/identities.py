"""The keys to try, in ssh's order, and what it takes to sign with each."""

from __future__ import annotations

from typing import Literal

from pyssh_cli.config.options import Identity, Options
from pyssh_cli.errors import AgentError, KeyFileError, PassphraseNeeded, PysshError, WrongPassphrase
from pyssh_cli.keys.agent import AgentClient, AgentKey
from pyssh_cli.keys.algorithms import algorithms_of
from pyssh_cli.keys.private import KeyFilePermissions, PrivateKey, load_private_key, peek_public, read_key_file
from pyssh_cli.keys.public import PublicKey, parse_public_file
from pyssh_cli.log import DEBUG1, Log
from pyssh_cli.net.unix import AgentSocket
from pyssh_cli.terminal.questions import Questions


class Candidate:
    """One key that may be tried. `public` is None for a file that must be opened to know."""

    def __init__(self, name: str, public: PublicKey | None, explicit: bool) -> None:
        self.name = name
        self.public = public
        self.explicit = explicit

    asks: Literal["never", "perhaps", "surely"] = "never"
    """Whether signing bothers the person, so that the server is better asked before."""

    def prepare(self) -> None:
        """See to it that `public` is known, asking the person if need be. Raises PysshError."""

    def sign(self, algorithm: str, data: bytes) -> bytes:  # noqa: ARG002
        """The signature blob. Raises PysshError when it cannot be made."""
        raise KeyFileError(f"{self.name}: there is no private key for it, neither in a file nor in the agent")

    def describe(self, fingerprint_hash: str) -> str:
        """What -v calls the key."""
        if self.public is None:
            return self.name
        words = [self.name, self.public.short_name, self.public.fingerprint(fingerprint_hash)]
        return " ".join(words + (["explicit"] if self.explicit else []))


class AgentCandidate(Candidate):
    """A key that the agent holds. `chosen` says that the configuration names it."""

    def __init__(self, agent: AgentClient, key: AgentKey, name: str, explicit: bool, chosen: bool) -> None:
        super().__init__(name, key.public, explicit)
        self._agent = agent
        # An agent may ask for confirmation: for a key that nobody chose, only when the server takes it.
        self.asks = "never" if chosen else "perhaps"

    def sign(self, algorithm: str, data: bytes) -> bytes:
        assert self.public is not None
        return self._agent.sign(self.public.blob, data, algorithm)

    def describe(self, fingerprint_hash: str) -> str:
        return super().describe(fingerprint_hash) + " agent"


class FileCandidate(Candidate):
    """A private key file, opened when it is first needed."""

    def __init__(
        self, path: str, content: bytes, public: PublicKey | None, explicit: bool, questions: Questions, tries: int
    ) -> None:
        super().__init__(path, public, explicit)
        self._content = content
        self._questions = questions
        self._tries = tries
        self._key: PrivateKey | None = None

    def open(self) -> None:
        """Open it if that takes no passphrase; raises KeyFileError for a broken file."""
        try:
            self._key = load_private_key(self._content, None, self.name)
        except PassphraseNeeded:
            self.asks = "surely"
        else:
            self.public = self._key.public

    def prepare(self) -> None:
        if self.public is None:
            self.ask_and_open()

    def ask_and_open(self) -> None:
        """Open it with the passphrase that the person knows, as often as NumberOfPasswordPrompts lets it be
        asked. Raises KeyFileError."""
        for _ in range(self._tries):
            passphrase = self._questions.ask_secret(f"Enter passphrase for key '{self.name}': ")
            if not passphrase:
                break
            try:
                self._key = load_private_key(self._content, passphrase, self.name)
            except WrongPassphrase:
                continue
            self.public = self._key.public
            self.asks = "never"
            return
        raise KeyFileError(f'Load key "{self.name}": no passphrase that opens it was given')

    def sign(self, algorithm: str, data: bytes) -> bytes:
        if self._key is None:
            self.ask_and_open()
        assert self._key is not None
        return self._key.sign(algorithm, data)


class Identities:
    """Gathers the candidates of one connection: from the agent and from files."""

    def __init__(self, options: Options, log: Log, questions: Questions) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._agent_socket: AgentSocket | None = None
        self._candidates: list[Candidate] | None = None

    def candidates(self) -> list[Candidate]:
        """All keys to try: agent keys that the configuration names, the agent's others unless IdentitiesOnly,
        then files (IdentityFile in ssh_config(5)). Gathered once."""
        if self._candidates is None:
            self._candidates = self._gather()
        return self._candidates

    def _gather(self) -> list[Candidate]:
        files = [f for f in (self._file(identity) for identity in self._options.identities) if f]
        preferred: list[Candidate] = []
        others: list[Candidate] = []
        for agent, key in self._agent_keys():
            same = next((f for f in files if f.public and f.public.blob == key.public.blob), None)
            if same:
                files.remove(same)
                preferred.append(AgentCandidate(agent, key, same.name, same.explicit, chosen=True))
            elif not self._options.identities_only:
                others.append(AgentCandidate(agent, key, key.comment, explicit=False, chosen=False))
        opened = [f for f in files if isinstance(f, FileCandidate)]
        found = [*preferred, *others, *opened]
        for candidate in found if self._log.enabled(DEBUG1) else ():
            self._log.debug1(f"Will attempt key: {candidate.describe(self._options.fingerprint_hash)}")
        return found

    def _file(self, identity: Identity) -> Candidate | None:
        """The file of an identity; a bare `Candidate` where only the public half is there, for the agent."""
        try:
            content = read_key_file(identity.path)
        except KeyFileError as error:
            # A public key, which anybody may read, stands for a private one that the agent holds.
            bare = identity.path + ".pub" if _is_missing(error) else identity.path
            public = self._public_file(bare)
            if public:
                return Candidate(identity.path, public, identity.explicit)
            if _is_missing(error):
                self._tell_missing(identity)
            elif identity.explicit or isinstance(error, KeyFilePermissions):
                self._log.error(str(error))
            else:
                self._log.debug1(str(error))
            return None
        public = peek_public(content)
        if public is None and b"PRIVATE KEY" not in content:
            try:  # a public key stands for the agent's private one
                return Candidate(identity.path, parse_public_file(content)[0], identity.explicit)
            except PysshError:
                pass
        candidate = FileCandidate(
            identity.path,
            content,
            public or self._public_file(identity.path + ".pub"),
            identity.explicit,
            self._questions,
            self._options.number_of_password_prompts,
        )
        try:
            candidate.open()
        except PysshError as error:
            self._log.error(str(error))
            return None
        self._log.debug1(f"identity file {identity.path} type {candidate.public.type if candidate.public else -1}")
        return candidate

    def _tell_missing(self, identity: Identity) -> None:
        line = f"Identity file {identity.path} not accessible: No such file or directory."
        if identity.explicit:
            self._log.info(f"Warning: {line} Check -i and IdentityFile.")
        else:
            self._log.debug1(line)

    @staticmethod
    def _public_file(path: str) -> PublicKey | None:
        try:
            with open(path, "rb") as file:
                return parse_public_file(file.read(1 << 20))[0]
        except (OSError, PysshError):
            return None

    def _agent_keys(self) -> list[tuple[AgentClient, AgentKey]]:
        path = self._options.identity_agent
        if not path:
            return []
        try:
            self._agent_socket = AgentSocket(path)
            agent = AgentClient(self._agent_socket.exchange)
            return [(agent, key) for key in agent.identities()]
        except AgentError as error:
            self._log.debug1(str(error))
            return []

    def close(self) -> None:
        """Hang up on the agent."""
        if self._agent_socket:
            self._agent_socket.close()


def _is_missing(error: KeyFileError) -> bool:
    return str(error).endswith("No such file or directory")


def choose_algorithm(
    public: PublicKey, accepted: tuple[str, ...], server_sig_algs: tuple[str, ...] | None
) -> str | None:
    """The signature algorithm to use with a key: the best of ours that PubkeyAcceptedAlgorithms has and, where
    the server has said (RFC 8308 section 3.1), the server takes. None when there is none."""
    for name in algorithms_of(public.type):
        if name in accepted and (server_sig_algs is None or name in server_sig_algs):
            return name
    return None
