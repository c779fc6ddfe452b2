"""Whether the host is the one it claims to be: its signature, known_hosts, and the question to the person."""

from __future__ import annotations

from pyssh_cli.config.options import Options
from pyssh_cli.errors import HostKeyError, KeyFileError
from pyssh_cli.keys.algorithms import key_type_of
from pyssh_cli.keys.known_hosts import KnownHosts, Verdict, add, known_hosts_name, prefer_known
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import Log, printable
from pyssh_cli.protocol.transport import HostKeyOffered
from pyssh_cli.terminal.questions import Questions

_BANNER = "@" * 59
_FAILED = "Host key verification failed."


class HostTrust:
    """Judges the keys of one host. `address` is the numeric address that is connected to."""

    def __init__(self, options: Options, log: Log, questions: Questions, address: str) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._address = known_hosts_name(address, options.port) if address else "<no hostip for proxy command>"
        self._name = options.host_key_alias or known_hosts_name(options.hostname, options.port)
        self._lookup_names = [self._name]
        if not options.host_key_alias and options.port != 22:
            self._lookup_names.append(known_hosts_name(options.hostname, 22))
        self._known_hosts = KnownHosts((*options.user_known_hosts_files, *options.global_known_hosts_files))
        self._accepted = b""
        self.unsafe = False
        """The connection goes on although the key is not the host's (StrictHostKeyChecking no): no secret that
        could be stolen may be sent."""

    def algorithms(self) -> tuple[str, ...]:
        """The host key algorithms to offer: those whose keys are known for the host lead (HostKeyAlgorithms)."""
        names = self._options.host_key_algorithms
        if not self._options.host_key_algorithms_default:
            return names
        types = self._known_hosts.key_types(self._name)
        if not types and len(self._lookup_names) > 1:
            types = self._known_hosts.key_types(self._lookup_names[1])
        return prefer_known(names, types)

    def judge(self, offered: HostKeyOffered) -> None:
        """Return if the key is to be trusted; raise HostKeyError if not.

        The signature is checked before anything is asked or written (RFC 4253 section 8).
        """
        key = PublicKey.parse(offered.host_key)
        fingerprint = key.fingerprint(self._options.fingerprint_hash)
        self._log.debug1(f"Server host key: {key.type} {fingerprint}")
        if key_type_of(offered.algorithm) != key.type:
            raise HostKeyError(
                f"The server's host key is of type {printable(key.type)}, not the {offered.algorithm} agreed on"
            )
        if key.type == "ssh-rsa" and key.bits < self._options.required_rsa_size:
            raise HostKeyError(
                f"The server's RSA host key has {key.bits} bits, fewer than RequiredRSASize"
                f" {self._options.required_rsa_size}: choose another type by HostKeyAlgorithms"
            )
        if not key.verify(offered.algorithm, offered.exchange_hash, offered.signature):
            raise HostKeyError(
                "incorrect signature: the server does not hold the host key it shows, or somebody is in between"
            )
        if offered.host_key == self._accepted:
            return  # a rekeying by the same key
        if self._accepted:
            raise HostKeyError("The server shows another host key than at the beginning of the connection")
        self._judge_by_files(key, fingerprint)
        self._accepted = offered.host_key

    def _judge_by_files(self, key: PublicKey, fingerprint: str) -> None:
        verdict = self._known_hosts.lookup(self._lookup_names, key)
        for note in self._known_hosts.notes:
            self._log.debug1(note)
        if verdict.status == "match":
            assert verdict.entry is not None
            self._log.debug1(f"Host '{self._name}' is known and matches the {key.short_name} host key.")
            self._log.debug1(f"Found key in {verdict.entry.file}:{verdict.entry.line}")
        elif verdict.status == "new":
            self._judge_new(key, fingerprint)
        elif verdict.status == "revoked":
            self._refuse_revoked(verdict, key)
        else:
            self._refuse_changed(verdict, key, fingerprint)

    def _judge_new(self, key: PublicKey, fingerprint: str) -> None:
        strict = self._options.strict_host_key_checking
        if strict == "yes":
            self._log.error(
                f"No {key.short_name} host key is known for {self._name} and you have requested strict checking."
            )
            raise HostKeyError(_FAILED)
        if strict == "ask":
            text = (
                f"The authenticity of host '{self._name} ({self._address})' can't be established.\n"
                f"{key.short_name} key fingerprint is {fingerprint}.\n"
            )
            others = self._known_hosts.entries_of(key)
            if others:
                text += "This host key is known by the following other names/addresses:\n"
                text += "".join(f"    {e.file}:{e.line}: {e.shown_names}\n" for e in others[:8])
            else:
                text += "This key is not known by any other names.\n"
            if not self._questions.confirm_host_key(text, fingerprint):
                raise HostKeyError(_FAILED)
        self._remember(key)

    def _remember(self, key: PublicKey) -> None:
        if not self._options.user_known_hosts_files:
            return
        path = self._options.user_known_hosts_files[0]
        try:
            add(path, [self._name], key, self._options.hash_known_hosts)
        except KeyFileError as error:
            self._log.error(str(error))
            return
        self._log.info(f"Warning: Permanently added '{self._name}' ({key.short_name}) to the list of known hosts.")

    def _refuse_revoked(self, verdict: Verdict, key: PublicKey) -> None:
        assert verdict.entry is not None
        self._log.error(
            f"{_BANNER}\n@       WARNING: REVOKED HOST KEY DETECTED!               @\n{_BANNER}\n"
            f"The {key.short_name} host key for {self._name} is marked as revoked.\n"
            "This could mean that a stolen key is being used to impersonate this host.\n"
            f"Revoked by {verdict.entry.file}:{verdict.entry.line}"
        )
        self._go_on_unsafely(f"Host key for {self._name} was revoked")

    def _refuse_changed(self, verdict: Verdict, key: PublicKey, fingerprint: str) -> None:
        entry = verdict.entry
        assert entry is not None
        self._log.error(
            f"{_BANNER}\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n{_BANNER}\n"
            "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n"
            "Somebody may be listening in on this connection (man-in-the-middle attack).\n"
            "Or the host was set up anew, and has another key since.\n"
            f"The fingerprint for the {key.short_name} key sent by the remote host is\n{fingerprint}.\n"
            "Ask whoever runs the host whether that is its key.\n"
            f"Offending {entry.key.short_name} key in {entry.file}:{entry.line}\n"
            f'  once you are sure, remove it with:\n  ssh-keygen -f "{entry.file}" -R "{self._name}"'
        )
        self._go_on_unsafely(f"Host key for {self._name} has changed")

    def _go_on_unsafely(self, what: str) -> None:
        """Refuse, or with StrictHostKeyChecking no go on without sending what could be stolen, as ssh does."""
        if self._options.strict_host_key_checking != "no":
            self._log.error(f"{what} and you have requested strict checking.")
            raise HostKeyError(_FAILED)
        self.unsafe = True
        for method in ("Password", "Keyboard-interactive"):
            self._log.error(f"{method} authentication is disabled to avoid man-in-the-middle attacks.")
