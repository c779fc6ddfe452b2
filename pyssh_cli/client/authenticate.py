"""Which proof of the user to offer next, and what to ask the person for it (RFC 4252; ssh(1), AUTHENTICATION).

The first flight needs no answer: the service is asked for, and the key most likely to be right is proved as soon
as the server has said how it wants keys proved, which it does without being asked. What the server refuses is then
tried in the order of PreferredAuthentications, as ssh does. GSSAPI and host-based authentication are in files of
their own, loaded when their turn comes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyssh_cli.client.agent_link import HostProof
from pyssh_cli.client.candidates import Candidate
from pyssh_cli.client.identities import Identities, choose_algorithm
from pyssh_cli.config.options import Options
from pyssh_cli.errors import AgentError, AuthenticationError, KeyFileError, NetworkError, PysshError
from pyssh_cli.keys.algorithms import KEY_ALGORITHMS, plain_type
from pyssh_cli.log import INFO, Log, printable
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.protocol.transport import Transport
from pyssh_cli.protocol.version import is_openssh
from pyssh_cli.terminal.questions import Questions

if TYPE_CHECKING:
    import socket

    from pyssh_cli.client.answers import Answers
    from pyssh_cli.client.gssapi import Gssapi
    from pyssh_cli.client.hostbased import Hostbased

MAX_PARTIAL_SUCCESSES = 16
"""Methods that a server may ask for one after the other."""

REFUSED = "refused"
BY_SHA2 = "; signed with SHA-2"
"""What came of a key, and what may be the reason: `refusal` knows what helps."""

UNREADABLE = "it may not be read"
"""What came of a key whose file we may not open."""

_ASKING = frozenset({"keyboard-interactive", "password"})
"""Methods that ask the person."""


def numeric_peer(sock: socket.socket | None) -> str:
    """The address at the other end; empty where that has none (a pipe, a socket that a proxy has passed)."""
    if sock is None:
        return ""
    try:
        where = sock.getpeername()
    except OSError:
        return ""
    return str(where[0]) if isinstance(where, tuple) else ""


def _is_denied(error: PysshError) -> bool:
    return isinstance(error, KeyFileError) and str(error).endswith(f": {os.strerror(errno.EACCES)}")


class Authenticator:
    """Drives `UserAuth` for one connection until the server is satisfied or nothing is left to try.

    With `unsafe`, the host is not known to be the right one: no secret may be sent to it. `sock` is the
    connection's socket, where it has one of its own.
    """

    def __init__(
        self,
        options: Options,
        log: Log,
        questions: Questions,
        transport: Transport,
        *,
        unsafe: bool,
        sock: socket.socket | None = None,
    ) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._transport = transport
        self._unsafe = unsafe
        self._socket = sock
        self._auth = ua.UserAuth(options.user, transport.send)
        proof = HostProof(transport.host_key, transport.session_id, transport.host_signature)
        self._identities = Identities(options, log, questions, proof, sock)
        self._keys: list[Candidate] | None = None
        self._key: Candidate | None = None
        self._algorithm = ""
        self._ways: list[tuple[Candidate, str, bytes | None]] = []
        """How keys were tried in vain: by which algorithm ("": there was none), and bound to which host key (None:
        the server was asked only)."""
        self._terms: tuple[tuple[str, ...] | None, bytes] = None, b""
        """What the server had said when these were last looked at: its algorithms, and the host key to bind to."""
        self._first = ""
        self._begun = False
        self._has_answered = self._has_said = self._told = False
        """Whether the server has answered anything, has said something for the person since, or even last."""
        self._gssapi: Gssapi | None = None
        self._hostbased: Hostbased | None = None
        self._method = "none"
        self._offered: tuple[str, ...] | None = None
        self._given_up: set[str] = set()
        self._none_tried = False
        self._partial_successes = 0
        self._answers: Answers | None = None
        self._tried: dict[str, list[str]] = {}
        """What was tried, and what came of it each time: for the person, should it all be in vain."""
        self._pending = ""
        self.goes_on = False
        """The failure that came last was of the "none" ahead of a key, which has not been answered yet."""
        self._person = f"{options.user}@{options.hostname}"
        interactive = not options.batch_mode and not unsafe
        self._attempts: dict[str, tuple[bool, Callable[[], bool]]] = {
            "gssapi-with-mic": (options.gssapi_authentication, self._try_gssapi),
            "hostbased": (options.hostbased_authentication, self._try_hostbased),
            "publickey": (options.pubkey_authentication, self._try_key),
            "keyboard-interactive": (
                options.kbd_interactive_authentication and interactive,
                self._try_interactive,
            ),
            "password": (options.password_authentication and interactive, self._try_password),
        }
        self._order = [name for name in options.preferred_authentications if self._attempts.get(name, (False,))[0]]

    def start(self) -> bool:
        """Send what can be sent of the first flight: the service request, and then the first key, or the question
        what would do. To be called again whenever something has arrived, until the user is in.

        True once, when what was sent now may well be all the proof that is needed.
        """
        if not self._auth.service_requested:
            self._auth.request_service()
            self._first = self._first_method()
        if self._begun or not (self._first != "publickey" or self._knows_how_to_prove()):
            return False
        self._begun = True
        if self._first == "publickey":
            self._log.debug1("Next authentication method: publickey")
            if is_openssh(self._transport.server_version):
                # OpenSSH counts "none" as a failure unless it comes first; so it goes ahead of the key.
                self._ask_for_nothing()
            if self._try_key(first=True):
                return self._auth.awaits_proof
        if not self._none_tried:
            self._ask_for_nothing()
        return False

    def _knows_how_to_prove(self) -> bool:
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

    def _first_method(self) -> str:
        """The method that ssh would begin with, if the server took them all.

        GSSAPI is passed over where it can come to nothing: Debian's ssh_config has it on for everybody.
        """
        for name in self._order:
            if name == "gssapi-with-mic":
                from pyssh_cli.client.gssapi import is_likely

                if not is_likely(self._options):
                    continue
            return name
        return ""

    def _ask_for_nothing(self) -> None:
        """The request "none": it tells what could continue, and a few servers are content with it."""
        self._none_tried = True
        self._method = "none"
        self._auth.none()

    def receive(self, payload: memoryview) -> bool:
        """Take a message of the server's; True once the user is in. Raises AuthenticationError in the end."""
        event = self._auth.receive(payload)
        if isinstance(event, ua.Success):
            self._tell_success()
            self.close()
            return True
        if isinstance(event, ua.Banner):
            self._show(event.message)
            self._told = self._has_answered and bool(event.message.strip())
            self._has_said |= self._told
        elif isinstance(event, ua.Failure):
            self._has_answered, self._told = True, False
            self.goes_on = event.method == "none" and self._auth.is_waiting
            if not self.goes_on:
                self._on_failure(event)
        elif isinstance(event, ua.KeyAccepted):
            self._on_key_accepted(event)
        elif isinstance(event, ua.AnswersWanted):
            self._asked().answer(event)
        elif isinstance(event, ua.PasswordChangeWanted):
            self._on_password_change(event)
        elif event is not None and self._gssapi and not self._gssapi.receive(event):
            self._note("gave up: see -v")
            self._auth.abandon()
            self._proceed()
        return False

    def close(self) -> None:
        """Hang up on the agent, and forget every key: what comes after authentication has no use for them."""
        self._identities.close()
        self._keys, self._key = [], None
        self._ways.clear()
        self._gssapi = self._hostbased = self._answers = None
        self._attempts.clear()  # these refer back to here

    def _show(self, message: str) -> None:
        """The banner, to stderr, unless -q (RFC 4252 section 5.4)."""
        if message:
            self._log.say(INFO, printable(message.rstrip("\n").replace("\r", ""), newlines=True))

    def _tell_success(self) -> None:
        address = numeric_peer(self._socket)
        place = f"[{address}]:{self._options.port}" if address else "via proxy"
        self._log.verbose(f'Authenticated to {self._options.hostname} ({place}) using "{self._method}".')

    def _on_failure(self, failure: ua.Failure) -> None:
        if failure.partial:
            self._log.verbose(f'Authenticated using "{self._method}" with partial success.')
            self._partial_successes += 1
            if self._partial_successes > MAX_PARTIAL_SUCCESSES:
                raise AuthenticationError(f"{self._person}: the server finds no end of partial successes")
            if self._answers:
                self._answers.begin_again()
            self._keys = None  # a key refused before may be what is wanted now
            self._ways.clear()
            self._given_up.clear()
            self._note("accepted, but the server wants more")
        else:
            self._note(self._how_refused(failure.method))
            if failure.method == "publickey-query" and self._key:
                self._ways.append((self._key, self._algorithm, None))
            self._recall_keys()
        self._offered = failure.methods
        self._log.debug1(f"Authentications that can continue: {','.join(failure.methods)}")
        self._proceed()

    def _proceed(self) -> None:
        """Try the next that the server would take and we may. Raises AuthenticationError when nothing is left."""
        if self._offered is None:
            self._ask_for_nothing()
            return
        for name in self._order:
            if name in self._given_up or name not in self._offered:
                continue
            if name in _ASKING and not self._none_tried:
                self._ask_for_nothing()  # before the person is asked for anything
                return
            if name != self._method:
                self._log.debug1(f"Next authentication method: {name}")
            if self._attempts[name][1]():
                return
            self._given_up.add(name)
        if not self._none_tried:
            self._ask_for_nothing()
            return
        self._log.debug1("No more authentication methods to try.")
        hint = self._explain()
        self.close()
        offered = printable(",".join(self._offered))
        raise AuthenticationError(f"{self._person}: Permission denied ({offered}).{hint}")

    # What the person is told of a refusal -----------------------------------------------------------------------

    def _attempt(self, what: str) -> None:
        """`what` is tried from now on; `_note` tells what came of it."""
        self._pending = what

    def _note(self, outcome: str, what: str = "") -> None:
        what = what or self._pending
        if what:
            self._tried.setdefault(what, []).append(outcome)
        self._pending = ""

    def _how_refused(self, method: str) -> str:
        """What came of the last attempt: of a key, what of it the server may not have liked."""
        public = self._key.public if self._key and method.startswith("publickey") else None
        if public is None:
            return self._answers.outcome(method) if self._answers else REFUSED
        if public.is_certificate:
            from pyssh_cli.client.user_certificates import suspicion

            reason = suspicion(public.certificate(), self._options.user)
            if reason:
                return f"{REFUSED}; {reason}"
        old = self._server_sig_algs() is None and "ssh-rsa" not in self._options.pubkey_accepted_algorithms
        return f"{REFUSED}{BY_SHA2}" if old and public.type == "ssh-rsa" else REFUSED

    def clue(self) -> str:
        """What it may mean that the server hangs up now, without a word, for `hints.closed_in`: "told" if it has
        said why, "account" if it took what proves the user, empty for nothing."""
        answers = self._answers if self._method == "keyboard-interactive" else None
        account = answers is not None and answers.are_right()
        if self._told or (account and (self._has_said or (answers and answers.has_said))):
            return "told"
        return "account" if account else ""

    def disconnected(self, words: str) -> str:
        """The server hangs up with these words (SSH_MSG_DISCONNECT) before it has let the user in. What helps, as
        by `_explain`."""
        return self._explain(too_many=True) if "too many authentication failures" in words.lower() else ""

    def _explain(self, *, too_many: bool = False) -> str:
        """Say what was tried and what may help, before the line that ends it all. Where that is for a program's
        log (BatchMode, LogLevel ERROR), return what is likeliest to help, for the end of that line."""
        from pyssh_cli.client.refusal import Refusal

        self._note("the server hung up" if too_many else "not answered")
        refusal = Refusal(
            self._options, self._tried, self._identities.skipped, self._offered or (), set(self._order), too_many
        )
        if self._options.batch_mode or not self._log.enabled(INFO):
            return refusal.hint()
        self._log.info(refusal.text())
        return ""

    # gssapi-with-mic (RFC 4462) and hostbased (RFC 4252 section 9) ----------------------------------------------

    def _try_gssapi(self) -> bool:
        if self._gssapi is None:
            from pyssh_cli.client.gssapi import Gssapi

            self._gssapi = Gssapi(
                self._options,
                self._log,
                self._auth,
                self._transport.session_id,
                delegate=self._options.gssapi_delegate_credentials and not self._unsafe,
                sock=self._socket,
            )
        if not self._gssapi.attempt():
            if self._gssapi.problem:
                self._note(self._gssapi.problem, "gssapi-with-mic")
            return False
        self._method = "gssapi-with-mic"
        self._attempt("gssapi-with-mic")
        return True

    def _try_hostbased(self) -> bool:
        if self._hostbased is None:
            from pyssh_cli.client.hostbased import Hostbased

            self._hostbased = Hostbased(
                self._options, self._log, self._auth, self._transport.session_id, self._socket
            )
        if not self._hostbased.attempt():
            if self._hostbased.problem:
                self._note(self._hostbased.problem, "hostbased")
            return False
        self._method = "hostbased"
        self._attempt(f"host key {self._hostbased.name}")
        return True

    # publickey (RFC 4252 section 7) -----------------------------------------------------------------------------

    def _try_key(self, *, first: bool = False) -> bool:
        """Offer the next key that can be offered; False when none is left."""
        keys = self._to_try()
        if first and keys and keys[0].public is None:
            return False  # a question to the person comes only after the server has said what it takes
        while keys:
            key = keys.pop(0)
            if self._offer(key, first):
                self._method = "publickey"
                return True
        return False

    def _to_try(self) -> list[Candidate]:
        """The keys that have not been tried yet, best first."""
        if self._keys is None:
            self._keys = list(self._identities.candidates())
        return self._keys

    def _recall_keys(self) -> None:
        """Queue again what was tried in vain and would be proved in another way, now that the server has said more
        in an EXT_INFO. Each way of a key is tried once."""
        terms = self._server_sig_algs(), self._host_key()
        if terms == self._terms:
            return
        self._terms = terms
        again: list[Candidate] = []
        for key, _, _ in self._ways:
            algorithm = self._algorithm_for(key)
            known = [(key, algorithm, None), (key, algorithm, terms[1])]
            if algorithm and key not in again and not any(way in known for way in self._ways):
                again.append(key)
        if again:
            self._log.debug2("the server has told more of the signatures it takes: trying keys again")
            self._keys = again + self._to_try()
            self._given_up.discard("publickey")

    def _algorithm_for(self, key: Candidate) -> str:
        """The signature algorithm to prove a key by; empty for none."""
        accepted = self._options.pubkey_accepted_algorithms
        return (key.public and choose_algorithm(key.public, accepted, self._server_sig_algs())) or ""

    def _offer(self, key: Candidate, first: bool) -> bool:
        try:
            key.prepare()
        except PysshError as error:
            self._log.error(str(error))
            self._note(f"not tried: {UNREADABLE if _is_denied(error) else 'it could not be opened'}", key.name)
            return False
        if key.public is None:
            return False
        name = self._name_of(key)
        algorithm = self._algorithm_for(key)
        if not algorithm:
            self._ways.append((key, "", None))
            self._log.debug1(f"no mutual signature algorithm for {key.name}: see PubkeyAcceptedAlgorithms")
            self._note("not tried: no signature algorithm in common (PubkeyAcceptedAlgorithms)", name)
            return False
        self._log.debug1(f"Offering public key: {key.describe(self._options.fingerprint_hash)}")
        self._key, self._algorithm = key, algorithm
        # The first key is proved at once even if an agent may ask about it: it is most likely the right one.
        if key.asks == "surely" or (key.asks == "perhaps" and not first):
            self._attempt(name)
            self._auth.query_publickey(algorithm, key.public.blob)
            return True
        return self._prove()

    def _name_of(self, key: Candidate) -> str:
        """Where the key is from, and which it is, for what is told of a refusal."""
        public = key.public
        known = f" {public.short_name} {public.fingerprint(self._options.fingerprint_hash)}" if public else ""
        return f"{key.name}{known}{key.note}"

    def _server_sig_algs(self) -> tuple[str, ...] | None:
        names = self._transport.extensions.get("server-sig-algs")
        return None if names is None else tuple(names.decode("ascii", "replace").split(","))

    def _host_key(self) -> bytes:
        """The host key to bind a proof to; empty where the server or PubkeyAuthentication does not want that."""
        announced = self._transport.extensions.get("publickey-hostbound@openssh.com")
        return self._transport.host_key if announced == b"0" and self._options.pubkey_host_bound else b""

    def _prove(self) -> bool:
        key, algorithm = self._key, self._algorithm
        assert key is not None
        if key.public is None:
            return False
        name = self._name_of(key)
        host_key = self._host_key()
        self._ways.append((key, algorithm, host_key))
        self._log.debug3(
            f"signing by {'publickey-hostbound-v00@openssh.com' if host_key else 'publickey'}: {name}"
        )
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
        except PysshError as error:
            self._log.error(str(error))
            if _is_denied(error):
                self._note(f"not proved: {UNREADABLE}", name)
                return False
        else:
            self._attempt(name)
            return True
        self._note("not proved: it could not sign", name)
        return False

    def _on_key_accepted(self, accepted: ua.KeyAccepted) -> None:
        key = self._key
        if key is None or key.public is None or accepted.blob != key.public.blob:
            raise AuthenticationError("The server accepts a key that was not offered to it")
        # Some servers name the type of a key where RFC 4252 section 7 wants the algorithm; ssh takes that as well.
        if accepted.algorithm not in {self._algorithm, key.public.type}:
            raise AuthenticationError("The server accepts a key by an algorithm that was not offered to it")
        self._log.debug1(f"Server accepts key: {key.describe(self._options.fingerprint_hash)}")
        if not self._prove():
            self._proceed()

    # What the person is asked for: password and keyboard-interactive --------------------------------------------

    def _asked(self) -> Answers:
        if self._answers is None:
            from pyssh_cli.client.answers import Answers

            self._answers = Answers(
                self._options,
                self._log,
                self._questions,
                self._auth,
                accounts=is_openssh(self._transport.server_version),
                attempt=self._attempt,
                note=self._note,
                show=self._show,
            )
        return self._answers

    def _try_password(self) -> bool:
        if not self._asked().try_password():
            return False
        self._method = "password"
        return True

    def _try_interactive(self) -> bool:
        if not self._asked().try_interactive():
            return False
        self._method = "keyboard-interactive"
        return True

    def _on_password_change(self, wanted: ua.PasswordChangeWanted) -> None:
        if not self._asked().change_password(wanted):
            self._given_up.add("password")
            self._proceed()
