"""Whether the host is the one it claims to be: its signature, its certificate, known_hosts, and the question to
the person (ssh(1), VERIFYING HOST KEYS).

What is asked and said is here, in the order in which ssh looks at things: the lists of revoked keys, the DNS, the
files, the person. Reading the files is `keys.known_hosts`'.
"""

from __future__ import annotations

import os
from typing import Literal

from pyssh_cli.config.options import Options
from pyssh_cli.errors import HostKeyError, KeyFileError
from pyssh_cli.keys.algorithms import key_type_of
from pyssh_cli.keys.known_hosts import HostFile, KnownHost, KnownHosts, Verdict, add, known_hosts_name
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import Log, printable
from pyssh_cli.protocol.transport import HostKeyOffered
from pyssh_cli.terminal.questions import Questions

_FAILED = "Host key verification failed."

_NO_ADDRESS = "<no hostip for proxy command>"
"""What stands for the address where somebody else connects for us."""

SHOWN_NAMES = 8
"""How many of the other names of a key are shown in the question."""


class ListUnreadable(HostKeyError):
    """A list of revoked keys cannot be read, which refuses every host."""


class HostTrust:
    """Judges the keys of one host. `address` is the numeric address that is connected to, empty where a proxy does
    that."""

    def __init__(self, options: Options, log: Log, questions: Questions, address: str) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._is_local = address.startswith("127.") or address == "::1"
        self.address = known_hosts_name(address, options.port) if address else _NO_ADDRESS
        """How known_hosts calls the address."""
        self.name = options.host_key_alias or known_hosts_name(options.hostname, options.port)
        """How known_hosts calls the host."""
        self._bare_name = ""
        if not options.host_key_alias and options.port != 22:
            self._bare_name = known_hosts_name(options.hostname, 22)
        self.checks_address = (
            options.check_host_ip
            and bool(address)
            and not self._is_local
            and self.address not in {self.name, options.hostname}
        )
        """Whether CheckHostIP applies: not to a host that is local, or has no name beside its address."""
        self.known_hosts = KnownHosts((*options.user_known_hosts_files, *options.global_known_hosts_files))
        self._said: dict[str, HostFile | None] = {}
        self._accepted = b""
        self._dns_note = ""
        self.unsafe = False
        """The connection goes on although the key is not the host's (StrictHostKeyChecking no): no secret that
        could be stolen may be sent, and nothing forwarded."""
        self.update_host_keys: Literal["yes", "no", "ask"] = options.update_host_keys
        """What UpdateHostKeys comes to once the key has been judged."""
        if options.update_host_keys == "ask" and not self._is_interactive():
            self.update_host_keys = "no"

    def _is_interactive(self) -> bool:
        """Whether a person logs in, who may be asked while the session runs."""
        o = self._options
        return o.session_type == "default" and o.command is None and o.request_tty != "no" and not o.batch_mode

    def algorithms(self) -> tuple[str, ...]:
        """The host key algorithms to offer: those whose keys are known for the host lead (HostKeyAlgorithms)."""
        names = self._options.host_key_algorithms
        if not self._options.host_key_algorithms_default:
            return names
        # ssh asks the command for the name without port here; a key may be known by that alone, too.
        more = self._command("ORDER", self._options.hostname, None)
        known_as = [self.name, self._bare_name] if self._bare_name else [self.name]
        return self.known_hosts.prefer_known(names, known_as, more)

    def _command(
        self, invocation: Literal["ORDER", "HOSTNAME", "ADDRESS"], name: str, key: PublicKey | None
    ) -> HostFile | None:
        """What KnownHostsCommand says, if there is one."""
        if not self._options.known_hosts_command:
            return None
        from pyssh_cli.client import known_hosts_command

        return known_hosts_command.run(self._options, self._log, invocation, name, key)

    def _command_on(
        self, invocation: Literal["HOSTNAME", "ADDRESS"], name: str, key: PublicKey
    ) -> HostFile | None:
        """The same, asked once: what is said of a certificate counts for its key."""
        if invocation not in self._said:
            self._said[invocation] = self._command(invocation, name, key)
        return self._said[invocation]

    # The key itself ---------------------------------------------------------------------------------------------

    def judge(self, offered: HostKeyOffered) -> None:
        """Return if the key is to be trusted; raise HostKeyError if not.

        The signature is checked before anything is asked or written (RFC 4253 section 8).
        """
        key = PublicKey.parse(offered.host_key)
        if key_type_of(offered.algorithm) != key.type:
            raise HostKeyError(
                f"The server's host key is of type {printable(key.type)}, not the {offered.algorithm} agreed on"
            )
        if key.is_smaller_rsa_than(self._options.required_rsa_size):
            raise HostKeyError(
                f"Bad server host key: Invalid key length ({key.bits} bits of RSA, fewer than RequiredRSASize"
                f" {self._options.required_rsa_size}: choose another type by HostKeyAlgorithms)"
            )
        if not key.verify(offered.algorithm, offered.exchange_hash, offered.signature):
            raise HostKeyError(
                "incorrect signature: the server does not hold the host key it shows, or somebody is in between"
            )
        if offered.host_key == self._accepted:
            return  # a rekeying by the same key
        if self._accepted:
            raise HostKeyError("The server shows another host key than at the beginning of the connection")
        self._describe(key)
        self._check_revoked(key)
        if not self._is_trusted_by_dns(key):
            self._judge_by_files(key)
        self._accepted = offered.host_key

    def _fingerprint(self, key: PublicKey) -> str:
        return key.fingerprint(self._options.fingerprint_hash)

    def _describe(self, key: PublicKey) -> None:
        if not key.is_certificate:
            self._log.debug1(f"Server host key: {key.type} {self._fingerprint(key)}")
            return
        certificate = key.certificate()
        if not certificate.is_signed():
            raise HostKeyError("The server's host certificate is not signed by the authority that it names")
        said = certificate.describe(self._options.fingerprint_hash)
        self._log.debug1(f"Server host certificate: {key.type} {said}")
        for principal in certificate.principals:
            self._log.debug2(f"Server host certificate hostname: {principal}")

    def _check_revoked(self, key: PublicKey) -> None:
        """RevokedHostKeys: a list that cannot be read refuses every host."""
        if not self._options.revoked_host_keys:
            return
        from pyssh_cli.keys.krl import RevocationList

        shown = f"{key.short_name} {self._fingerprint(key)}"
        for path in self._options.revoked_host_keys:
            try:
                revoked = RevocationList.load(path).is_revoked(key)
            except KeyFileError as error:
                self._log.error(f"Error checking host key {shown} in revoked keys file {error}")
                raise ListUnreadable(_FAILED) from None
            if revoked:
                self._log.error(f"Host key {shown} revoked by file {path}")
                raise HostKeyError(_FAILED)

    def _is_trusted_by_dns(self, key: PublicKey) -> bool:
        """VerifyHostKeyDNS: True where a signed answer of the DNS has the key, and that is enough."""
        if self._options.verify_host_key_dns == "no":
            return False
        from pyssh_cli.client import sshfp

        plain = key.plain
        answer = sshfp.look_up(self._options.hostname, self._log)
        matches = answer.matches(plain)
        if matches and answer.secure and self._options.verify_host_key_dns == "yes":
            self._log.debug1("matching host key fingerprint found in DNS")
            # ssh looks no further; but whom the person has revoked, the DNS cannot bring back.
            if any(verdict.status == "revoked" for verdict in self._verdicts(key)):
                return False
            self.update_host_keys = "no"  # no line of the files vouches for the key
            return True
        self._dns_note = f"{'Matching' if matches else 'No matching'} host key fingerprint found in DNS.\n"
        if answer.records and not matches:
            from pyssh_cli.client.host_key_warnings import changed_key

            self._log.error(changed_key(plain, self._fingerprint(plain)))
            self._log.error("Update the SSHFP RR in DNS with the new host key to get rid of this message.")
        return False

    # The files --------------------------------------------------------------------------------------------------

    def _judge_by_files(self, key: PublicKey) -> None:
        if self._is_local and self._options.no_host_authentication_for_localhost:
            self._log.debug1("Forcing accepting of host key for loopback/localhost.")
            self.update_host_keys = "no"
            return
        try:
            self._judge_key(key)
        finally:
            for note in self.known_hosts.notes:
                self._log.debug1(note)

    def _verdicts(self, key: PublicKey) -> list[Verdict]:
        """What is known of the key under the host's name, and with CheckHostIP under its address."""
        more = self._command_on("HOSTNAME", self.name, key)
        verdicts = [self.known_hosts.judge(self.name, key, more)]
        if self.checks_address:
            more = self._command_on("ADDRESS", self.address, key)
            verdicts.append(self.known_hosts.judge(self.address, key, more))
        return verdicts

    def _judge_key(self, key: PublicKey) -> None:
        verdicts = self._verdicts(key)
        verdict, *rest = verdicts
        by_address = rest[0] if rest and not key.is_certificate else None
        without_port = self._judge_without_port(key) if verdict.status == "new" else None
        for each in (*verdicts, without_port):
            if each and each.status == "revoked":
                self._refuse_revoked(each, key)
                return
        if without_port and without_port.status == "match" and (not key.is_certificate or self._holds(key)):
            self._log.debug1("found matching key w/out port")
            self.update_host_keys = "no"
        elif key.is_certificate:
            if verdict.status == "match" and self._holds(key):
                self._accept_known(key, verdict, None)
                return
            self._log.debug1("No matching CA found. Retry with plain key")
            self._judge_key(key.plain)
            return
        elif verdict.status == "match":
            self._accept_known(key, verdict, by_address)
        elif verdict.status == "new":
            self._judge_new(key, by_address)
        else:
            self._refuse_changed(verdict, key, by_address)
            return
        if by_address and by_address.status == "changed":
            self._judge_address(key, by_address, verdict.entry)

    def _judge_without_port(self, key: PublicKey) -> Verdict | None:
        """What is known of the key under the host's bare name, if nothing is of its name with the port: of a
        certificate's key neither, or anybody's certificate would do away with the key that is known.

        ssh takes a match then, and thinks nothing of a key that differs. A revoked one it would ask about; we
        refuse it.
        """
        if not self._bare_name:
            return None
        said = self._said["HOSTNAME"]
        if key.is_certificate and self.known_hosts.judge(self.name, key.plain, said).status != "new":
            return None
        self._log.debug1("checking without port identifier")
        return self.known_hosts.judge(self._bare_name, key)

    def _holds(self, key: PublicKey) -> bool:
        """Whether the certificate, whose authority is trusted for the host, is good for it now."""
        reason = self._flaw_of(key)
        if reason:
            from pyssh_cli.client.host_key_warnings import certificate_hint

            o = self._options
            self._log.error(reason + certificate_hint(key.certificate(), reason, o.host_key_alias or o.hostname))
        return reason is None

    def _flaw_of(self, key: PublicKey) -> str | None:
        """Why the certificate is not good for the host now, None if it is."""
        import time

        o = self._options
        certificate = key.certificate()
        reason = certificate.refusal(
            "host", o.host_key_alias or o.hostname, time.time(), o.ca_signature_algorithms
        )
        if reason is None and certificate.ca.is_smaller_rsa_than(o.required_rsa_size):
            return f"Certificate signed by an RSA key of fewer bits than RequiredRSASize {o.required_rsa_size}"
        return reason

    def _accept_known(self, key: PublicKey, verdict: Verdict, by_address: Verdict | None) -> None:
        entry = verdict.entry
        assert entry is not None
        what, found = ("certificate", "CA key") if key.is_certificate else ("key", "key")
        self._log.debug1(f"Host '{self.name}' is known and matches the {key.short_name} host {what}.")
        self._log.debug1(f"Found {found} in {entry.file}:{entry.line}")
        by_command = self._is_by_command(entry)
        known_in = [entry.file]
        if by_address and by_address.status == "match" and by_address.entry:
            known_in.append(by_address.entry.file)
        if key.is_certificate or by_command or set(known_in) & set(self._options.global_known_hosts_files):
            self.update_host_keys = "no"
        if by_address and by_address.status == "new":
            self._remember_address(key, read_only=by_command)
        elif self._options.visual_host_key:
            from pyssh_cli.keys.random_art import random_art

            art = random_art(key, self._options.fingerprint_hash)
            self._log.info(f"Host key fingerprint is {self._fingerprint(key)}\n{art}")

    def _is_by_command(self, entry: KnownHost) -> bool:
        """Whether KnownHostsCommand said this line of the host's name."""
        said = self._said.get("HOSTNAME")
        return said is not None and entry.file == said.path

    def _judge_address(self, key: PublicKey, by_address: Verdict, own: KnownHost | None) -> None:
        """The key is good for the name, but another is known for the address (CheckHostIP)."""
        from pyssh_cli.client.host_key_warnings import address_differs

        assert by_address.entry is not None
        text = address_differs(key, self.name, self.address, by_address.entry, own)
        strict = self._options.strict_host_key_checking
        if strict == "ask":
            question = f"{text}\nAre you sure you want to continue connecting (yes/no)? "
            if not self._questions.ask_confirmation(question):
                raise HostKeyError(_FAILED)
            return
        self._log.info(text)
        if strict != "no":
            self._log.error("Exiting, you have requested strict checking.")
            raise HostKeyError(_FAILED)

    # A key that nobody knows ------------------------------------------------------------------------------------

    def _judge_new(self, key: PublicKey, by_address: Verdict | None) -> None:
        o = self._options
        if not o.user_known_hosts_files:  # nothing can be learned: only what is known is taken
            self._log.error(
                f"No {key.short_name} host key is known for {self.name}, and UserKnownHostsFile keeps none."
            )
            raise HostKeyError(_FAILED)
        if o.strict_host_key_checking == "yes":
            self._log.error(
                f"No {key.short_name} host key is known for {self.name} and you have requested strict checking."
                f" (the host shows {self._fingerprint(key)})"
            )
            raise HostKeyError(_FAILED)
        if o.strict_host_key_checking == "ask":
            if not self._questions.confirm_host_key(self._question(key), self._fingerprint(key)):
                if self._questions.unasked:
                    from pyssh_cli.client.host_key_warnings import nobody_asked

                    why = self._questions.unasked
                    self._log.error(nobody_asked(key, self._fingerprint(key), self.name, why))
                raise HostKeyError(_FAILED)
        else:
            self.update_host_keys = "no"  # nobody has said that the key is the host's
        self._remember(key, with_address=bool(by_address and by_address.status == "new"))

    def _question(self, key: PublicKey) -> str:
        """What the person is told before being asked."""
        text = (
            f"The authenticity of host '{self.name} ({self.address})' can't be established.\n"
            f"{key.short_name} key fingerprint is {self._fingerprint(key)}.\n"
        )
        if self._options.visual_host_key:
            from pyssh_cli.keys.random_art import random_art

            text += random_art(key, self._options.fingerprint_hash) + "\n"
        text += self._dns_note
        others = [entry for entry in self.known_hosts.entries_of(key) if not entry.marker]
        if not others:
            return text + "This key is not known by any other names.\n"
        text += "This host key is known by the following other names/addresses:\n"
        text += "".join(f"    {_at_home(e.file)}:{e.line}: {e.shown_names}\n" for e in others[:SHOWN_NAMES])
        if len(others) > SHOWN_NAMES:
            text += f"    ({len(others) - SHOWN_NAMES} additional names omitted)\n"
        return text

    def _remember(self, key: PublicKey, *, with_address: bool) -> None:
        names = [self.name, self.address] if with_address else [self.name]
        try:
            path = self._options.user_known_hosts_files[0]
            add(path, names, key, self._options.hash_known_hosts)
        except KeyFileError as error:
            self._log.info(str(error))
            return
        self.known_hosts.read_again(path)
        shown = ",".join(names)
        self._log.info(f"Warning: Permanently added '{shown}' ({key.short_name}) to the list of known hosts.")

    def _remember_address(self, key: PublicKey, *, read_only: bool) -> None:
        """The name's key is known, and now is the address's."""
        files = self._options.user_known_hosts_files
        what = f"the {key.short_name} host key for IP address '{self.address}'"
        if read_only or not files:
            self._log.info(f"{what.removeprefix('the ')} not in list of known hosts.")
            return
        try:
            add(files[0], [self.address], key, self._options.hash_known_hosts)
        except KeyFileError as error:
            self._log.info(f"Failed to add {what}: {error}")
            return
        self._log.info(f"Warning: Permanently added {what} to the list of known hosts.")

    # A key that is not to be trusted ----------------------------------------------------------------------------

    def _refuse_revoked(self, verdict: Verdict, key: PublicKey) -> None:
        from pyssh_cli.client.host_key_warnings import revoked_key

        assert verdict.entry is not None
        self._log.error(revoked_key(key, verdict.name, verdict.entry))
        self._go_on_unsafely(f"{key.short_name} host key for {verdict.name} was revoked")

    def _refuse_changed(self, verdict: Verdict, key: PublicKey, by_address: Verdict | None) -> None:
        from pyssh_cli.client import host_key_warnings as warnings

        entry = verdict.entry
        assert entry is not None
        if by_address and (by_address.entry is None or by_address.entry.key != entry.key):
            self._log.error(
                warnings.address_disagrees(key, self.name, self.address, by_address.status, by_address.entry)
            )
        self._log.error(warnings.changed_key(key, self._fingerprint(key)))
        files = self._options.user_known_hosts_files or self._options.global_known_hosts_files
        writable = files[0] if files else None
        self._log.error(warnings.offending(entry, self.name, writable, by_command=self._is_by_command(entry)))
        self._go_on_unsafely(f"Host key for {self.name} has changed")

    def _go_on_unsafely(self, what: str) -> None:
        """Refuse, or with StrictHostKeyChecking no go on without what somebody in between could make use of."""
        o = self._options
        if o.strict_host_key_checking != "no":
            self._log.error(f"{what} and you have requested strict checking.")
            raise HostKeyError(_FAILED)
        self.unsafe = True
        off = [
            name
            for name, wanted in (
                ("Password authentication", o.password_authentication),
                ("Keyboard-interactive authentication", o.kbd_interactive_authentication),
                ("Agent forwarding", o.forward_agent is not None),
                ("X11 forwarding", o.forward_x11),
                ("Port forwarding", o.local_forwards or o.remote_forwards),
                ("Tunnel forwarding", o.tunnel != "no"),
            )
            if wanted
        ]
        for name in off:
            self._log.error(f"{name} is disabled to avoid man-in-the-middle attacks.")
        if self.update_host_keys != "no":
            self._log.error("UpdateHostkeys is disabled because the host key is not trusted.")
            self.update_host_keys = "no"
        if o.exit_on_forward_failure and off:
            raise HostKeyError("Error: forwarding disabled due to host key check failure")


def _at_home(path: str) -> str:
    """A path below the person's home directory with `~` for that, as ssh shows it."""
    home = os.environ.get("HOME", "").rstrip("/") + "/"
    return "~/" + path[len(home) :] if home != "/" and path.startswith(home) else path
