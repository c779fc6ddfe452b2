"""Which proof of the user to offer next, and what to ask the person for it (RFC 4252; ssh(1), AUTHENTICATION).

The first flight needs no answer: the service is asked for, and the key most likely to be right is proved as soon
as the server has said how it wants keys proved, which it does without being asked. What the server refuses is then
tried in the order of PreferredAuthentications, as ssh does. The methods are in files of their own: `publickey`,
and `gssapi`, `hostbased` and `answers`, which are loaded when their turn comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyssh_cli.client.agent_link import HostProof
from pyssh_cli.client.identities import Identities
from pyssh_cli.client.outcomes import REFUSED, Attempts, Outcome
from pyssh_cli.client.publickey import KeyProofs
from pyssh_cli.config.options import Options
from pyssh_cli.errors import AuthenticationError
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

_ASKING = frozenset({"keyboard-interactive", "password"})
"""Methods that ask the person."""


def _numeric_peer(sock: socket.socket | None) -> str:
    """The address at the other end; empty where that has none (a pipe, a socket that a proxy has passed)."""
    if sock is None:
        return ""
    try:
        where = sock.getpeername()
    except OSError:
        return ""
    return str(where[0]) if isinstance(where, tuple) else ""


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
        self._attempts = Attempts()
        self._keys = KeyProofs(options, log, self._auth, transport, self._identities, self._attempts)
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
        self.goes_on = False
        """The failure that came last was of the "none" ahead of a key, which has not been answered yet."""
        self._person = f"{options.user}@{options.hostname}"
        interactive = not options.batch_mode and not unsafe
        self._ways: dict[str, tuple[bool, Callable[[], bool]]] = {
            "gssapi-with-mic": (options.gssapi_authentication, self._try_gssapi),
            "hostbased": (options.hostbased_authentication, self._try_hostbased),
            "publickey": (options.pubkey_authentication, self._try_key),
            "keyboard-interactive": (
                options.kbd_interactive_authentication and interactive,
                self._try_interactive,
            ),
            "password": (options.password_authentication and interactive, self._try_password),
        }
        self._order = [name for name in options.preferred_authentications if self._ways.get(name, (False,))[0]]

    def start(self) -> bool:
        """Send what can be sent of the first flight: the service request, and then the first key, or the question
        what would do. To be called again whenever something has arrived, until the user is in.

        True once, when what was sent now may well be all the proof that is needed.
        """
        if not self._auth.service_requested:
            self._auth.request_service()
            self._first = self._first_method()
        if self._begun or not (self._first != "publickey" or self._keys.knows_how_to_prove()):
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
            if not self._keys.on_accepted(event):
                self._proceed()
        elif isinstance(event, ua.AnswersWanted):
            self._asked().answer(event)
        elif isinstance(event, ua.PasswordChangeWanted):
            self._on_password_change(event)
        elif event is not None and self._gssapi and not self._gssapi.receive(event):
            self._attempts.end(Outcome("gave up: see -v"))
            self._auth.abandon()
            self._proceed()
        return False

    def close(self) -> None:
        """Hang up on the agent, and forget every key: what comes after authentication has no use for them."""
        self._identities.close()
        self._keys.close()
        self._gssapi = self._hostbased = self._answers = None
        self._ways.clear()  # these refer back to here

    def _show(self, message: str) -> None:
        """The banner, to stderr, unless -q (RFC 4252 section 5.4)."""
        if message:
            self._log.quote(printable(message.rstrip("\n").replace("\r", ""), newlines=True))

    def _tell_success(self) -> None:
        address = _numeric_peer(self._socket)
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
            self._keys.begin_again()
            self._given_up.clear()
            self._attempts.end(Outcome("accepted, but the server wants more", "wants more"))
        else:
            self._attempts.end(self._outcome_of(failure.method))
            if failure.method == "publickey-query":
                self._keys.note_refused_query()
            if self._keys.recall():
                self._given_up.discard("publickey")
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
            if self._ways[name][1]():
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

    def _outcome_of(self, method: str) -> Outcome:
        """What came of the last attempt, which was refused."""
        if method.startswith("publickey"):
            return self._keys.outcome()
        return self._answers.outcome(method) if self._answers else REFUSED

    def _note_untried(self, method: str, why: Outcome) -> None:
        self._attempts.fail(method, why._replace(text=f"not tried: {why.text}"))

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

        self._attempts.end(Outcome("the server hung up" if too_many else "not answered"))
        tried, skipped = self._attempts.made, self._identities.skipped
        refusal = Refusal(self._options, tried, skipped, self._offered or (), set(self._order), too_many)
        if self._options.batch_mode or not self._log.enabled(INFO):
            return refusal.hint()
        self._log.info(refusal.text())
        return ""

    # publickey, GSSAPI and host-based (RFC 4252 sections 7 and 9, RFC 4462) --------------------------------------

    def _try_key(self, *, first: bool = False) -> bool:
        if not self._keys.attempt(first=first):
            return False
        self._method = "publickey"
        return True

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
                self._note_untried("gssapi-with-mic", self._gssapi.problem)
            return False
        self._method = "gssapi-with-mic"
        self._attempts.begin("gssapi-with-mic")
        return True

    def _try_hostbased(self) -> bool:
        if self._hostbased is None:
            from pyssh_cli.client.hostbased import Hostbased

            self._hostbased = Hostbased(
                self._options, self._log, self._auth, self._transport.session_id, self._socket
            )
        if not self._hostbased.attempt():
            if self._hostbased.problem:
                self._note_untried("hostbased", Outcome(self._hostbased.problem))
            return False
        self._method = "hostbased"
        self._attempts.begin("hostbased", f"host key {self._hostbased.name}")
        return True

    # What the person is asked for: password and keyboard-interactive --------------------------------------------

    def _asked(self) -> Answers:
        if self._answers is None:
            from pyssh_cli.client.answers import Answers

            self._answers = Answers(
                self._options,
                self._log,
                self._questions,
                self._auth,
                self._attempts,
                accounts=is_openssh(self._transport.server_version),
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
