"""Which keys to try, and in which order (ssh_config(5), IdentityFile and what it refers to).

The order is ssh's: the certificates of CertificateFile; the agent's keys that the configuration names; the agent's
others; keys of PKCS#11 tokens that the configuration names; then the other tokens' keys and the files as they are
named, each with the certificate beside it.
"""

from __future__ import annotations

import os
import stat
from time import localtime, strftime, time
from typing import TYPE_CHECKING

from pyssh_cli.client.candidates import (
    AgentCandidate,
    Candidate,
    CertificateCandidate,
    FileCandidate,
    UnfitKey,
    Unusable,
    is_security_key,
)
from pyssh_cli.client.outcomes import Kind, Outcome, Skipped
from pyssh_cli.config.options import Identity, Options
from pyssh_cli.errors import AgentError, KeyFileError, NoAgent, ProtocolError, PysshError
from pyssh_cli.keys.agent import AgentKey
from pyssh_cli.keys.algorithms import CERTIFICATE_TYPES, KEY_ALGORITHMS, KEY_TYPES, algorithms_of, plain_type
from pyssh_cli.keys.private import MAX_KEY_FILE_SIZE, KeyFilePermissions, peek_public, read_key_file
from pyssh_cli.keys.public import PublicKey, parse_public_file
from pyssh_cli.keys.reading import read_regular_file
from pyssh_cli.log import DEBUG1, DEBUG3, ERROR, INFO, Log, printable
from pyssh_cli.terminal.questions import Questions

if TYPE_CHECKING:
    import socket

    from pyssh_cli.client.agent_link import AgentLink, HostProof, KeyAdder


LEFT_OUT = Outcome("IdentitiesOnly leaves out what no IdentityFile names", "left out")
"""Why keys of the agent's and of tokens' are not tried."""


class Identities:
    """Gathers the candidates of one connection: from the agent, from tokens and from files.

    `proof` is what the agent is bound to, if the connection has come that far, and `server` the connection's
    socket, if it has one of its own. `skipped` has, once they are gathered, the keys that are not tried.
    """

    def __init__(
        self,
        options: Options,
        log: Log,
        questions: Questions,
        proof: HostProof | None = None,
        server: socket.socket | None = None,
    ) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._proof = proof
        self._server = server
        self._link: AgentLink | None = None
        self._adder: KeyAdder | None = None
        self._candidates: list[Candidate] | None = None
        self.skipped: list[Skipped] = []

    def candidates(self) -> list[Candidate]:
        """All keys to try, best first. Gathered once."""
        if self._candidates is None:
            self._candidates = self._gather()
        return self._candidates

    def close(self) -> None:
        """Hang up on the agent, and forget the keys."""
        if self._link:
            self._link.close()
        for candidate in self._candidates or ():
            candidate.forget()
        self._candidates = []

    def _gather(self) -> list[Candidate]:
        if self._options.identity_agent:
            from pyssh_cli.client.agent_link import AgentLink, KeyAdder

            self._link = AgentLink(
                self._options.identity_agent,
                self._log,
                self._proof,
                self._server,
                batch_mode=self._questions.asks_nobody,
            )
            if self._options.add_keys_to_agent[0] != "no":
                self._adder = KeyAdder(self._link, self._options, self._log)
        files = [*self._tokens(), *self._files()]
        certificates = self._listed_certificates()
        preferred: list[Candidate] = []
        others: list[Candidate] = []
        left_out = 0
        for key in self._agent_keys():
            same = next((f for f in files if f.public == key.public), None)
            assert self._link is not None
            if same:
                files.remove(same)
                found = AgentCandidate(self._link, key, same.name, same.explicit, chosen=True)
                found.before = same.before
                preferred.append(found)
            elif not self._options.identities_only:
                others.append(AgentCandidate(self._link, key, key.comment, explicit=False, chosen=False))
            else:
                left_out += 1
        self._leave_out(left_out, "the agent's")
        listed = [*preferred, *others, *self._ordered(files)]
        found_all = self._linked([*certificates, *listed])
        ordered = _with_unusable_ones_behind([c for c in found_all if self._is_acceptable(c)])
        for candidate in ordered if self._log.enabled(DEBUG1) else ():
            for one in (*candidate.before, candidate):
                self._log.debug1(f"Will attempt key: {one.describe(self._options.fingerprint_hash)}")
        return ordered

    def _leave_out(self, count: int, whose: str) -> None:
        """Note how many keys of the agent's or of tokens' are not tried."""
        if count:
            self.skipped.append(Skipped(f"{count} of {whose} keys", LEFT_OUT))

    def _skip(self, name: str, reason: str, kind: Kind = "other", *, line: str = "") -> None:
        """Note a key that is not tried, and say so by `line` in the debug log."""
        self.skipped.append(Skipped(name, Outcome(reason, kind)))
        if line:
            self._log.debug1(line)

    # The agent ---------------------------------------------------------------------------------------------------

    def _agent_keys(self) -> list[AgentKey]:
        if self._link is None:
            return []
        try:
            found = self._link.keys()
        except AgentError as error:
            if isinstance(error, NoAgent):  # it is not running, which is nobody's mistake
                self._log.debug1(f"ssh_get_authentication_socket: {error}")
            else:
                self._log.info(f"Warning: {printable(str(error))}; none of its keys are used")
            self._skip("agent", str(error), "no agent" if isinstance(error, NoAgent) else "sick agent")
            return []
        self._log.debug1(f"agent returned {len(found)} keys")
        if not found:
            self._skip("agent", "it holds no key, or is locked", "empty agent")
        return [key for key in found if self._is_usable(key)]

    def _is_usable(self, key: AgentKey) -> bool:
        public = key.public
        if public.type not in KEY_TYPES and public.type not in CERTIFICATE_TYPES:
            line = f"ignoring agent key of unknown type {public.type}"
            self._skip(key.comment, "its type is unknown", line=line)
            return False
        return self._is_long_enough(key.comment, public, f"ignoring {public.type} agent key")

    # PKCS#11 -----------------------------------------------------------------------------------------------------

    def _tokens(self) -> list[Candidate]:
        provider = self._options.pkcs11_provider
        if not provider:
            return []
        from pyssh_cli.client.pkcs11 import token_candidates

        try:
            return token_candidates(provider, self._options, self._log, self._questions, self.skipped)
        except PysshError as error:
            self._log.error(str(error))
            self._skip(provider, str(error).replace(f"provider {provider} is", "it is"), _kind_of(error))
            return []

    def _ordered(self, files: list[Candidate]) -> list[Candidate]:
        """Files and tokens' keys in order: first those tokens' keys that a file's public half names; with
        IdentitiesOnly the others are left out."""
        tokens = [f for f in files if f.source == "token"]
        if not tokens:
            return files
        named = [f.public for f in files if f not in tokens]
        chosen = [t for t in tokens if t.public in named]
        if self._options.identities_only:
            files = [f for f in files if f not in tokens]
            self._leave_out(len(tokens) - len(chosen), "the tokens'")
        return [*chosen, *(f for f in files if f not in chosen)]

    # Files -------------------------------------------------------------------------------------------------------

    def _files(self) -> list[Candidate]:
        found: list[Candidate] = []
        for identity in self._options.identities:
            candidate = self._file(identity)
            self._log.debug1(
                f"identity file {identity.path} type {candidate.public.type if candidate.public else -1}"
            )
            named = candidate.public
            if (
                named
                and named.is_certificate
                and not self._is_user_certificate(identity.path, identity.path, named)
            ):
                continue
            found.append(candidate)
            if self._options.certificate_files:
                continue
            path = f"{identity.path}-cert"
            public = _load_public(path)
            self._log.debug1(f"identity file {path} type {public.type if public else -1}")
            if public is None or not self._is_user_certificate(identity.path, f"{path}.pub", public):
                continue
            if not self._lacks_provider(identity.path, public):
                found.append(Candidate(identity.path, public, identity.explicit))
        return [f for f in found if f.public is None or not self._lacks_provider(f.name, f.public)]

    def _file(self, identity: Identity) -> Candidate:
        """The file of an identity; a bare `Candidate` where only the public half is there, for the agent."""
        path, explicit = identity
        public = _load_public(path)
        content: bytes | KeyFileError
        try:
            content = read_key_file(path)
        except KeyFileError as error:
            content = error
        if isinstance(content, bytes) and public is None:
            public = peek_public(content)
        if public and _is_bare(path, content):
            return Candidate(path, public, explicit)
        missing = _why_missing(path)
        if missing:
            if explicit:
                self._skip(path, missing)
            rank = INFO if explicit else DEBUG3
            line = f"no such identity: {path}: {missing}"
            return Unusable(path, explicit, self._log, rank, line, present=False)
        public = public.plain if public else None
        candidate = FileCandidate(
            path, content, public, explicit, self._options, self._log, self._questions, self._adder
        )
        try:
            candidate.look()
        except PysshError as error:
            if public is None or isinstance(error, KeyFilePermissions):
                reason = str(error).rpartition("\n")[2].removeprefix(f'Load key "{path}": ')
                self._skip(path, reason, _kind_of(error))
            if public is None:
                return Unusable(path, explicit, self._log, ERROR, str(error), present=True)
        return candidate

    def _lacks_provider(self, name: str, public: PublicKey) -> bool:
        if not is_security_key(public) or self._options.security_key_provider:
            return False
        line = f"ignoring authenticator-hosted key {name} as no SecurityKeyProvider has been specified"
        self._skip(name, "no SecurityKeyProvider has been specified", "no provider", line=line)
        return True

    def _listed_certificates(self) -> list[Candidate]:
        found: list[Candidate] = []
        for path in self._options.certificate_files:
            public = _load_public(path)
            self._log.debug1(f"certificate file {path} type {public.type if public else -1}")
            if public is None:
                self._skip(path, "it cannot be read, or holds no certificate", "no certificate")
            elif self._is_user_certificate(path, path, public) and not self._lacks_provider(path, public):
                found.append(Candidate(path, public, explicit=True))
        return found

    def _is_user_certificate(self, name: str, path: str, public: PublicKey) -> bool:
        """Whether this is a certificate that a server could take, as far as can be told here."""
        if not public.is_certificate:
            line = f"{path}: key {name} type {public.type} is not a certificate"
            self._skip(path, "it is not a certificate", line=line)
            return False
        certificate, now = public.certificate(), time()
        kind: Kind
        if certificate.kind != "user":
            kind, reason = "not a user's", "not a user certificate"
        elif now >= certificate.valid_before:
            kind = reason = "expired"
        elif now < certificate.valid_after:
            kind = reason = "not yet valid"
        else:
            return True
        times = ""
        if certificate.kind == "user":
            clock = strftime("%Y-%m-%dT%H:%M:%S", localtime(now))
            times = f": it is valid {certificate.validity()}, and the clock here says {clock}"
        line = f"ignoring certificate {name}: {reason}"
        self._skip(path, f"the certificate is {reason}{times}", kind, line=line)
        return False

    # What is tried in the end ------------------------------------------------------------------------------------

    def _linked(self, listed: list[Candidate]) -> list[Candidate]:
        """The same with a signer for every certificate of a file; what nobody here can sign for is left out."""
        found: list[Candidate] = []
        for candidate in listed:
            if type(candidate) is not Candidate:
                found.append(candidate)
                continue
            public = candidate.public
            assert public is not None
            if public.is_certificate:
                signer = _signer_of(candidate, public, listed)
                if signer:
                    found.append(CertificateCandidate(candidate.name, public, candidate.explicit, signer))
                    continue
                line = f'no separate private key for certificate "{candidate.name}"'
            elif any(one.public == public and type(one) is not Candidate for one in listed):
                continue  # a token has it
            else:
                line = f"{candidate.name} is a public key, and its private key is not in the agent"
            reason = "there is no private key for it, neither in a file nor in the agent"
            self._skip(candidate.name, reason, "no private key", line=line)
        return found

    def _is_acceptable(self, candidate: Candidate) -> bool:
        public = candidate.public
        if public is None:
            return True
        if choose_algorithm(public, self._options.pubkey_accepted_algorithms, _ALL_SIGNATURES) is None:
            reason = f"{public.type} is not in PubkeyAcceptedAlgorithms"
            line = f"Skipping {public.type} key {candidate.name} - corresponding algo not in"
            self._skip(candidate.name, reason, "algorithm", line=f"{line} PubkeyAcceptedAlgorithms")
            return False
        return self._is_long_enough(candidate.name, public, f"Skipping key {candidate.name}")

    def _is_long_enough(self, name: str, public: PublicKey, told: str) -> bool:
        """RequiredRSASize."""
        if not public.is_smaller_rsa_than(self._options.required_rsa_size):
            return True
        reason = f"{public.bits} bits are fewer than RequiredRSASize"
        self._skip(name, reason, "too short", line=f"{told}: Invalid key length")
        return False


def list_keys(options: Options, log: Log) -> list[str]:
    """The public keys that would be tried, a line each as authorized_keys has them (-Z). No server is asked, and
    nobody for a passphrase: a key of which the public half is locked away is not among them."""
    identities = Identities(options, log, Questions(log, batch_mode=True))
    try:
        found = identities.candidates() if options.pubkey_authentication else []
    finally:
        identities.close()
    return [c.public.line(printable(c.name)) for c in found if c.public]


def choose_algorithm(
    public: PublicKey, accepted: tuple[str, ...], server_sig_algs: tuple[str, ...] | None
) -> str | None:
    """The signature algorithm to use with a key or certificate, or None when there is none.

    For all but RSA that is the key's own, if PubkeyAcceptedAlgorithms has it. For RSA it is the first of that list
    which the server said that it takes (RFC 8308 section 3.1). Of a server that said nothing, SHA-1 is known if
    the list has it; else the first may do.
    """
    if plain_type(public.type) != "ssh-rsa":
        return public.type if public.type in accepted else None
    mine = [name for name in accepted if name in algorithms_of(public.type)]
    if server_sig_algs is None:
        return public.type if public.type in mine else next(iter(mine), None)
    return next((name for name in mine if KEY_ALGORITHMS[name].signature in server_sig_algs), None)


_ALL_SIGNATURES = tuple({row.signature for row in KEY_ALGORITHMS.values()})


def _kind_of(error: PysshError) -> Kind:
    """What is the matter with a key, or a library of tokens, that fails so."""
    if isinstance(error, UnfitKey):
        return error.kind
    return "open to others" if isinstance(error, KeyFilePermissions) else "other"


def _signer_of(candidate: Candidate, public: PublicKey, listed: list[Candidate]) -> Candidate | None:
    """Who signs for a certificate: the first that has its plain key, or a file of its name that must be opened to
    know."""
    plain = public.plain
    for other in listed:
        if other.public == plain and type(other) is not Candidate:
            return other
    names = {candidate.name, candidate.name.removesuffix(".pub"), candidate.name.removesuffix("-cert.pub")}
    for other in listed:
        if isinstance(other, FileCandidate) and other.public is None and other.name in names:
            return other
    return None


def _with_unusable_ones_behind(candidates: list[Candidate]) -> list[Candidate]:
    """The same without files that are no keys where a key follows: what is to be said of them is said before that
    key's turn. Then the first of the list is a key, if there is any, and may be proved at once."""
    found: list[Candidate] = []
    waiting: list[Candidate] = []
    for candidate in candidates:
        if isinstance(candidate, Unusable):
            waiting.append(candidate)
            continue
        candidate.before = [*waiting, *candidate.before]
        waiting = []
        found.append(candidate)
    return found + waiting


def _is_bare(path: str, content: bytes | KeyFileError) -> bool:
    """Whether there is no private key in a file of which the public half is known."""
    if isinstance(content, bytes):
        return b"PRIVATE KEY" not in content
    return bool(_why_missing(path)) or (isinstance(content, KeyFilePermissions) and _holds_public(path))


def _why_missing(path: str) -> str:
    """Why a file cannot even be looked at; empty where it can."""
    try:
        os.stat(path)
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # a NUL
        return str(error)
    return ""


def _holds_public(path: str) -> bool:
    """Whether the file itself, not another beside it, is that of a public key, which others may well read."""
    try:
        parse_public_file(_read_ordinary(path))
    except (OSError, ValueError, KeyFileError, ProtocolError):
        return False
    return True


def _read_ordinary(path: str) -> bytes:
    """The content of an ordinary file, which can always be read. OSError for what is none: what comes through a
    FIFO comes once, and the private key may be in it; nor is one waited for that takes its place just now."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # else its writer would think that it had been heard
        raise OSError(f"{path} is not a regular file")
    return read_regular_file(path, MAX_KEY_FILE_SIZE)


def _load_public(path: str) -> PublicKey | None:
    """The public key or certificate in the file `path`, or in the one with .pub after that."""
    for name in (path, f"{path}.pub"):
        try:
            return parse_public_file(_read_ordinary(name))[0]
        except (OSError, ValueError, KeyFileError, ProtocolError):
            continue
    return None
