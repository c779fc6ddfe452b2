"""publickey (RFC 4252 section 7): one key after the other, each by the signature that the server takes.

A key is proved at once, without a question whether it would do, unless the signature would bother somebody. What
the server tells later of the signatures it takes may give a key that it has refused another try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyssh_cli.client.candidates import Candidate, UnfitKey
from pyssh_cli.client.identities import Identities, choose_algorithm
from pyssh_cli.client.outcomes import REFUSED, Attempts, Kind, Outcome
from pyssh_cli.config.options import Options
from pyssh_cli.errors import AgentError, AuthenticationError, NetworkError, PysshError
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, plain_type
from pyssh_cli.keys.private import KeyFileDenied
from pyssh_cli.log import Log, printable
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.protocol.version import is_openssh

if TYPE_CHECKING:
    from pyssh_cli.protocol.transport import Transport


class KeyProofs:
    """publickey on one connection, with the keys of `identities`. `attempts` keeps what is tried."""

    def __init__(
        self,
        options: Options,
        log: Log,
        auth: ua.UserAuth,
        transport: Transport,
        identities: Identities,
        attempts: Attempts,
    ) -> None:
        self._options = options
        self._log = log
        self._auth = auth
        self._transport = transport
        self._identities = identities
        self._attempts = attempts
        self._left: list[Candidate] | None = None
        self.key: Candidate | None = None
        self.algorithm = ""
        """What was offered last, and by which algorithm."""
        self._ways: list[tuple[Candidate, str, bytes | None]] = []
        """How keys were tried in vain: by which algorithm ("": there was none), and bound to which host key (None:
        the server was asked only)."""
        self._terms: tuple[tuple[str, ...] | None, bytes] = None, b""
        """What the server had said when these were last looked at: its algorithms, and the host key to bind to."""

    def attempt(self, *, first: bool = False) -> bool:
        """Offer the next key that can be offered; False when none is left. The `first` goes out before the server
        has said what it takes."""
        keys = self._to_try()
        if first and keys and keys[0].public is None:
            return False  # a question to the person comes only after the server has said what it takes
        while keys:
            if self._offer(keys.pop(0), first):
                return True
        return False

    def _to_try(self) -> list[Candidate]:
        """The keys that have not been tried yet, best first."""
        if self._left is None:
            self._left = list(self._identities.candidates())
        return self._left

    def knows_how_to_prove(self) -> bool:
        """Whether the server has said which signatures it takes and what to bind them to, or may never say it.

        That is in its EXT_INFO, right behind its NEWKEYS (RFC 8308 section 2.4); both may come in a later segment
        than its key exchange reply. OpenSSH always sends it, so that it is waited for; of others only NEWKEYS are,
        unless the signature might be one with SHA-1. With SERVICE_ACCEPT, all of it would have come.
        """
        if self._transport.extensions or self._auth.service_accepted:
            return True
        if self._transport.agreement is None or is_openssh(self._transport.server_version):
            return False
        accepted = self._options.pubkey_accepted_algorithms
        if not any(KEY_ALGORITHMS[name].signature == "ssh-rsa" for name in accepted if name in KEY_ALGORITHMS):
            return True
        return not any(c.public is None or plain_type(c.public.type) == "ssh-rsa" for c in self._to_try())

    def begin_again(self) -> None:
        """The server has taken a proof and wants more: a key refused before may be what is wanted now."""
        self._left = None
        self._ways.clear()

    def close(self) -> None:
        """Forget every key: no more are tried."""
        self._left, self.key = [], None
        self._ways.clear()

    # What the server says ---------------------------------------------------------------------------------------

    def on_accepted(self, accepted: ua.KeyAccepted) -> bool:
        """The server would take a signature; False when there is none. Raises AuthenticationError for a key that
        it was not asked about."""
        key = self.key
        if key is None or key.public is None or accepted.blob != key.public.blob:
            raise AuthenticationError("The server accepts a key that was not offered to it")
        # Some servers name the type of a key where RFC 4252 section 7 wants the algorithm; ssh takes that as well.
        if accepted.algorithm not in {self.algorithm, key.public.type}:
            raise AuthenticationError("The server accepts a key by an algorithm that was not offered to it")
        self._log.debug1(f"Server accepts key: {key.describe(self._options.fingerprint_hash)}")
        return self.prove()

    def outcome(self) -> Outcome:
        """What came of the key offered last, which was refused: with what the server may not have liked of it."""
        public = self.key.public if self.key else None
        if public is None:
            return REFUSED
        if public.is_certificate:
            from pyssh_cli.client.user_certificates import suspicion

            if found := suspicion(public.certificate(), self._options.user):
                return Outcome(f"{REFUSED.text}; {found.text}", found.kind)
        old = self._server_sig_algs() is None and "ssh-rsa" not in self._options.pubkey_accepted_algorithms
        if old and public.type == "ssh-rsa":
            return Outcome(f"{REFUSED.text}; signed with SHA-2", "refused: old server")
        return REFUSED

    def note_refused_query(self) -> None:
        """The server does not want the key that it was asked about."""
        if self.key:
            self._ways.append((self.key, self.algorithm, None))

    def recall(self) -> bool:
        """Queue again what was tried in vain and would be proved in another way, now that the server has said more
        in an EXT_INFO; whether that is anything. Each way of a key is tried once."""
        terms = self._server_sig_algs(), self._host_key()
        if terms == self._terms:
            return False
        self._terms = terms
        again: list[Candidate] = []
        for key, _, _ in self._ways:
            algorithm = self.algorithm_for(key)
            known = [(key, algorithm, None), (key, algorithm, terms[1])]
            if algorithm and key not in again and not any(way in known for way in self._ways):
                again.append(key)
        if again:
            self._log.debug2("the server has told more of the signatures it takes: trying keys again")
            self._left = again + self._to_try()
        return bool(again)

    def _server_sig_algs(self) -> tuple[str, ...] | None:
        names = self._transport.extensions.get("server-sig-algs")
        return None if names is None else tuple(names.decode("ascii", "replace").split(","))

    def _host_key(self) -> bytes:
        """The host key to bind a proof to; empty where the server or PubkeyAuthentication does not want that."""
        announced = self._transport.extensions.get("publickey-hostbound@openssh.com")
        return self._transport.host_key if announced == b"0" and self._options.pubkey_host_bound else b""

    # What is sent -----------------------------------------------------------------------------------------------

    def algorithm_for(self, key: Candidate) -> str:
        """The signature algorithm to prove a key by; empty for none."""
        accepted = self._options.pubkey_accepted_algorithms
        return (key.public and choose_algorithm(key.public, accepted, self._server_sig_algs())) or ""

    def _offer(self, key: Candidate, first: bool) -> bool:
        try:
            key.prepare()
        except PysshError as error:
            self._log.error(str(error))
            self._fail(key, "not tried", "it could not be opened", error)
            return False
        if key.public is None:
            return False
        algorithm = self.algorithm_for(key)
        if not algorithm:
            self._ways.append((key, "", None))
            self._log.debug1(f"no mutual signature algorithm for {key.name}: see PubkeyAcceptedAlgorithms")
            why = "not tried: no signature algorithm in common (PubkeyAcceptedAlgorithms)"
            self._begin(key)
            self._attempts.end(Outcome(why))
            return False
        self._log.debug1(f"Offering public key: {key.describe(self._options.fingerprint_hash)}")
        # The first key is proved at once even if an agent may ask about it: it is most likely the right one.
        if key.asks == "surely" or (key.asks == "perhaps" and not first):
            self._begin(key)
            self.query(key, algorithm)
            return True
        self.key, self.algorithm = key, algorithm
        return self.prove()

    def query(self, key: Candidate, algorithm: str) -> None:
        """Ask the server whether it would take the key, without a signature."""
        assert key.public is not None
        self.key, self.algorithm = key, algorithm
        self._auth.query_publickey(algorithm, key.public.blob)

    def prove(self) -> bool:
        """Sign with the key that was offered last; False when it does not sign."""
        key, algorithm = self.key, self.algorithm
        assert key is not None
        if key.public is None:
            return False
        host_key = self._host_key()
        self._ways.append((key, algorithm, host_key))
        method = "publickey-hostbound-v00@openssh.com" if host_key else "publickey"
        self._log.debug3(f"signing by {method}: {self._name_of(key)}")
        try:
            self._auth.publickey(
                algorithm,
                key.public.blob,
                self._transport.session_id,
                lambda data: key.sign(algorithm, data),
                host_key=host_key,
            )
        except NetworkError as error:  # what the server said at last is read next
            self._log.info(printable(str(error)))
            return True
        except AgentError as error:
            self._log.error(f'signing failed for key "{printable(key.name)}" from agent: {printable(str(error))}')
            self._fail(key, "not proved", "it could not sign", error)
        except PysshError as error:
            self._log.error(str(error))
            self._fail(key, "not proved", "it could not sign", error)
        else:
            self._begin(key)
            return True
        return False

    @property
    def has_proved(self) -> bool:
        """Whether the server was given more than names of keys."""
        return any(host_key is not None for _, _, host_key in self._ways)

    # What came of it, for the person ----------------------------------------------------------------------------

    def _name_of(self, key: Candidate) -> str:
        """Where the key is from, and which it is."""
        public = key.public
        known = f" {public.short_name} {public.fingerprint(self._options.fingerprint_hash)}" if public else ""
        return f"{key.name}{known}{key.note}"

    def _begin(self, key: Candidate) -> None:
        certified = key.public is not None and key.public.is_certificate
        self._attempts.begin("publickey", self._name_of(key), certified=certified)

    def _fail(self, key: Candidate, what: str, otherwise: str, error: PysshError) -> None:
        """Note that nothing was sent, and why."""
        kind: Kind
        why, kind = otherwise, "unusable"
        if isinstance(error, KeyFileDenied):
            why, kind = "it may not be read", "unreadable"
        elif isinstance(error, UnfitKey):
            kind = error.kind
        self._begin(key)
        self._attempts.end(Outcome(f"{what}: {why}", kind))
