"""The kinds of keys that may be tried: an agent's, those of files, certificates, and what turns out to be none.

Which there are, and in which order, is up to `identities`; keys on PKCS#11 tokens are in `pkcs11`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pyssh_cli.errors import AgentError, KeyFileError, PassphraseNeeded, WrongPassphrase
from pyssh_cli.keys.agent import AgentKey
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, KEY_TYPES, plain_type
from pyssh_cli.keys.private import PrivateKey, is_encrypted, load_private_key
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import Log

if TYPE_CHECKING:
    from pyssh_cli.client.agent_link import AgentLink, KeyAdder
    from pyssh_cli.client.outcomes import Kind
    from pyssh_cli.config.options import Options
    from pyssh_cli.terminal.questions import Questions

Bother = Literal["never", "perhaps", "surely"]
Need = Literal["nothing", "passphrase", "touch", "pin"]
Source = Literal["file", "agent", "certificate", "token"]

SK_VERIFICATION = 0x04
"""The flag of a security key that wants a PIN for each signature (OpenSSH's PROTOCOL.u2f)."""


class UnfitKey(KeyFileError):
    """A key, or where keys are kept, that cannot be used here; by the `kind` of it is known what helps."""

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind = kind


class Candidate:
    """One key that may be tried. `public` is None for a file that must be opened to know, or that is no key."""

    note = ""
    """What `describe` says of where the key lives, with a blank before it."""
    source: Source = "file"
    problem = ""
    """Why no signature can be made, as far as that is known without a try."""

    def __init__(self, name: str, public: PublicKey | None, explicit: bool) -> None:
        self.name = name
        self.public = public
        self.explicit = explicit
        self.before: list[Candidate] = []
        """Files that come before this one and turned out to be no keys: what is to be said of them is said when
        this one is prepared."""

    @property
    def asks(self) -> Bother:
        """Whether signing bothers the person or anybody else, so that the server is better asked before."""
        return "never"

    @property
    def needs(self) -> Need:
        """What the person has to give for a signature, as far as can be told."""
        return "touch" if self.public and is_security_key(self.public) else "nothing"

    def prepare(self) -> None:
        """See to it that `public` is known if it can be, asking the person if need be. Raises PysshError."""
        for candidate in self.before:
            candidate.prepare()
        self.before.clear()

    def examine(self) -> None:
        """See whether it could sign, as far as that shows without asking anybody. Raises PysshError."""

    def sign(self, algorithm: str, data: bytes) -> bytes:  # noqa: ARG002
        """The signature blob. Raises PysshError when it cannot be made."""
        raise KeyFileError(f"{self.name}: there is no private key for it, neither in a file nor in the agent")

    def forget(self) -> None:
        """Let go of what is secret; no more signatures are made."""
        for candidate in self.before:
            candidate.forget()

    def describe(self, fingerprint_hash: str) -> str:
        """What -v calls the key, in ssh's words."""
        key = f"{self.public.short_name} {self.public.fingerprint(fingerprint_hash)}" if self.public else ""
        explicit = " explicit" if self.explicit else ""
        authenticator = " authenticator" if self.public and is_security_key(self.public) else ""
        return f"{self.name} {key}{explicit}{authenticator}{self.note}"


class Unusable(Candidate):
    """A file that was named and is no key, or is not even `present`; `rank` and `line` are what is said when its
    turn comes."""

    def __init__(self, name: str, explicit: bool, log: Log, rank: int, line: str, *, present: bool) -> None:
        super().__init__(name, None, explicit)
        self.present = present
        self._log = log
        self._rank = rank
        self.problem = line

    def prepare(self) -> None:
        super().prepare()
        self._log.say(self._rank, self.problem)


class AgentCandidate(Candidate):
    """A key that the agent holds. `chosen` says that the configuration names it."""

    note = " agent"
    source: Source = "agent"

    def __init__(self, agent: AgentLink, key: AgentKey, name: str, explicit: bool, chosen: bool) -> None:
        super().__init__(name, key.public, explicit)
        self._agent = agent
        self._chosen = chosen

    @property
    def asks(self) -> Bother:
        """An agent may ask for confirmation: for a key that nobody chose, only when the server takes it, and a
        security key has to be touched."""
        if self.public and is_security_key(self.public):
            return "surely"
        return "never" if self._chosen else "perhaps"

    def sign(self, algorithm: str, data: bytes) -> bytes:
        assert self.public is not None
        return self._agent.sign(self.public.blob, data, algorithm)


class FileCandidate(Candidate):
    """A private key file, opened when it is first needed.

    `content` is the file's. `public` is its public half as far as that is known without opening it. Once the key
    is loaded it is given to `adder`, if there is one, with the `certificate` that is being proved.
    """

    def __init__(
        self,
        name: str,
        content: bytes | KeyFileError,
        public: PublicKey | None,
        explicit: bool,
        options: Options,
        log: Log,
        questions: Questions,
        adder: KeyAdder | None,
    ) -> None:
        super().__init__(name, public, explicit)
        self._content = content
        self.problem = str(content) if isinstance(content, KeyFileError) else ""
        self._options = options
        self._log = log
        self._questions = questions
        self._adder = adder
        self._added: list[PublicKey | None] = []
        self._key: PrivateKey | None = None
        self._locked = False

    @property
    def asks(self) -> Bother:
        """A locked file asks for its passphrase, and a security key for a touch; a key that is to be added to the
        agent should be one that the server takes."""
        if self._locked or self._adder or (self.public and is_security_key(self.public)):
            return "surely"
        return "never"

    @property
    def needs(self) -> Need:
        """For a security key a PIN, too, as its file tells once it is loaded."""
        if self._locked:
            return "passphrase"
        security_key = self._key.security_key if self._key else None
        return "pin" if security_key and security_key.flags & SK_VERIFICATION else super().needs

    def examine(self) -> None:
        """Load it, if it is not locked."""
        if self._locked:
            return
        key = self.load()
        if key.security_key:
            from pyssh_cli.client.security_keys import check_provider

            check_provider(self._options)

    def forget(self) -> None:
        super().forget()
        self._content, self._key = b"", None

    def look(self) -> None:
        """See whether a passphrase is needed, and learn the public half if it is not. Raises KeyFileError for a
        broken file."""
        if isinstance(self._content, KeyFileError):
            raise self._content
        self._locked = is_encrypted(self._content, self.name)
        if self.public is None and not self._locked:
            self.public = self.load().public

    def prepare(self) -> None:
        super().prepare()
        if self.public is None:
            self.public = self.load().public

    def load(self) -> PrivateKey:
        """The private key, for which the person may be asked for the passphrase. Raises KeyFileError."""
        if self._key is None:
            self._key = self._opened()
        return self._key

    def _opened(self) -> PrivateKey:
        if isinstance(self._content, KeyFileError):
            raise self._content
        try:
            key = load_private_key(self._content, None, self.name)
        except PassphraseNeeded:
            key = self._unlocked(self._content)
        self._locked = False
        if self.public is not None and key.public != self.public:
            raise KeyFileError(f"private key {self.name} contents do not match public")
        if key.public.is_smaller_rsa_than(self._options.required_rsa_size):
            line = f"Skipping key {self.name}: Invalid key length (see RequiredRSASize)"
            raise UnfitKey(line, "too short")
        if key.security_key and not self._options.security_key_provider:
            line = (
                f'key "{self.name}" is an authenticator-hosted key, but no provider specified'
                " (see SecurityKeyProvider)"
            )
            raise UnfitKey(line, "no provider")
        return key

    def _unlocked(self, content: bytes) -> PrivateKey:
        """Open it with the passphrase that the person knows, as often as NumberOfPasswordPrompts lets it be
        asked. Raises KeyFileError."""
        for _ in range(self._options.number_of_password_prompts):
            passphrase = self._questions.ask_secret(f"Enter passphrase for key '{self.name}': ")
            if self._questions.unasked:
                why = f"nobody can be asked for its passphrase ({self._questions.unasked})"
                raise KeyFileError(f'Load key "{self.name}": {why}; ssh-add gives it to an agent')
            if not passphrase:
                break
            try:
                return load_private_key(content, passphrase, self.name)
            except WrongPassphrase:
                self._log.debug2("bad passphrase given, try again...")
        raise KeyFileError(f'Load key "{self.name}": no passphrase that opens it was given')

    def sign(self, algorithm: str, data: bytes) -> bytes:
        return self.sign_as(None, algorithm, data)

    def sign_as(self, certificate: PublicKey | None, algorithm: str, data: bytes) -> bytes:
        """Sign for the plain key, or for a certificate of it."""
        key = self.load()
        if self._adder and certificate not in self._added:
            self._added.append(certificate)
            self._adder.add(self.name, key, certificate)
        if key.security_key is None:
            return key.sign(algorithm, data)
        from pyssh_cli.client.security_keys import Signer

        assert self._options.security_key_provider is not None
        signer = Signer(self._options, self._log, self._questions)
        return signer.sign(self.name, key, algorithm, data)


class CertificateCandidate(Candidate):
    """A certificate of a file; `signer` has the private key that it is about."""

    source: Source = "certificate"

    def __init__(self, name: str, public: PublicKey, explicit: bool, signer: Candidate) -> None:
        super().__init__(name, public, explicit)
        self._signer = signer

    def forget(self) -> None:
        super().forget()
        self._signer.forget()

    @property
    def asks(self) -> Bother:
        """What the private key does."""
        return self._signer.asks

    @property
    def needs(self) -> Need:
        return self._signer.needs

    def examine(self) -> None:
        self._signer.examine()

    def sign(self, algorithm: str, data: bytes) -> bytes:
        assert self.public is not None
        if isinstance(self._signer, FileCandidate):
            return self._signer.sign_as(self.public, algorithm, data)
        plain = KEY_ALGORITHMS[algorithm].signature
        try:
            return self._signer.sign(plain, data)
        except AgentError as error:
            raise AgentError(f"for its certificate {self.name}: {error}") from None


def is_security_key(public: PublicKey) -> bool:
    """Whether the private half lives in a FIDO authenticator; for certificates too."""
    row = KEY_TYPES.get(plain_type(public.type))
    return row is not None and row.security_key
