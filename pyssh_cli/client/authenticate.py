"""Which proof of the user to offer next, and what to ask the person for it (RFC 4252; ssh(1), AUTHENTICATION).

The first flight needs no answer: the service is asked for and the key most likely to be right is proved at once.
What the server refuses is then tried in the order of PreferredAuthentications, as ssh does.
"""

from __future__ import annotations

from collections.abc import Callable

from pyssh_cli.client.identities import Candidate, Identities, choose_algorithm
from pyssh_cli.config.options import Options
from pyssh_cli.errors import AgentError, AuthenticationError, PysshError
from pyssh_cli.log import INFO, Log, printable
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.protocol.transport import Transport
from pyssh_cli.terminal.questions import Questions

MAX_PARTIAL_SUCCESSES = 16
"""Methods that a server may ask for one after the other."""

MAX_EMPTY_ROUNDS = 16
"""Rounds of keyboard-interactive without a question, which nobody would notice."""


class Authenticator:
    """Drives `UserAuth` for one connection until the server is satisfied or nothing is left to try."""

    def __init__(
        self, options: Options, log: Log, questions: Questions, transport: Transport, *, unsafe: bool
    ) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._transport = transport
        self._auth = ua.UserAuth(options.user, transport.send)
        self._identities = Identities(options, log, questions)
        self._keys: list[Candidate] | None = None
        self._key: Candidate | None = None
        self._algorithm = ""
        self._method = "none"
        self._none_tried = False
        self._partial_successes = 0
        self._empty_rounds = 0
        self._password_tries = 0
        self._interactive_tries = 0
        self._interactive_asked = True
        self._asked_for_change = False
        self._person = f"{options.user}@{options.hostname}"
        interactive = not options.batch_mode and not unsafe
        self._methods: dict[str, tuple[bool, Callable[[], bool]]] = {
            "publickey": (options.pubkey_authentication, self._try_key),
            "keyboard-interactive": (
                options.kbd_interactive_authentication and interactive,
                self._try_interactive,
            ),
            "password": (options.password_authentication and interactive, self._try_password),
        }
        self._order = [name for name in options.preferred_authentications if name in self._methods]

    def start(self) -> bool:
        """Send the first flight: the service request, and with it the first key or the question what would do.

        True when it may well be all the proof that is needed.
        """
        self._auth.request_service()
        self._log.debug1(f"Next authentication method: {self._order[0] if self._order else 'none'}")
        if self._order[:1] == ["publickey"] and self._methods["publickey"][0] and self._try_key(first=True):
            return self._auth.awaits_proof
        self._ask_for_nothing()
        return False

    def _ask_for_nothing(self) -> None:
        """The request "none": it tells what could continue, and a few servers are content with it."""
        self._none_tried = True
        self._auth.none()

    def receive(self, payload: memoryview) -> bool:
        """Take a message of the server's; True once the user is in. Raises AuthenticationError in the end."""
        event = self._auth.receive(payload)
        if isinstance(event, ua.Success):
            self._tell_success()
            self._identities.close()
            return True
        if isinstance(event, ua.Banner):
            self._show(event.message)
        elif isinstance(event, ua.Failure):
            self._on_failure(event)
        elif isinstance(event, ua.KeyAccepted):
            self._on_key_accepted(event)
        elif isinstance(event, ua.AnswersWanted):
            self._on_questions(event)
        elif isinstance(event, ua.PasswordChangeWanted):
            self._on_password_change(event)
        return False

    def _show(self, message: str) -> None:
        """The banner, to stderr, unless -q (RFC 4252 section 5.4)."""
        if message:
            self._log.say(INFO, printable(message.rstrip("\n").replace("\r", ""), newlines=True))

    def _tell_success(self) -> None:
        o = self._options
        self._log.verbose(f'Authenticated to {o.hostname} ([{o.hostname}]:{o.port}) using "{self._method}".')

    def _on_failure(self, failure: ua.Failure) -> None:
        if failure.partial:
            self._log.verbose(f'Authenticated using "{self._method}" with partial success.')
            self._partial_successes += 1
            if self._partial_successes > MAX_PARTIAL_SUCCESSES:
                raise AuthenticationError(f"{self._person}: the server finds no end of partial successes")
            self._password_tries = self._interactive_tries = 0
            self._keys = None  # a key refused before may be what is wanted now
        self._log.debug1(f"Authentications that can continue: {','.join(failure.methods)}")
        for name in self._order:
            enabled, attempt = self._methods[name]
            if enabled and name in failure.methods:
                if name != "publickey" and not self._none_tried:
                    self._ask_for_nothing()  # before the person is asked for anything
                    return
                if name != self._method:
                    self._log.debug1(f"Next authentication method: {name}")
                if attempt():
                    return
        if not self._none_tried:
            self._ask_for_nothing()
            return
        self._identities.close()
        self._log.debug1("No more authentication methods to try.")
        raise AuthenticationError(f"{self._person}: Permission denied ({printable(','.join(failure.methods))}).")

    # publickey (RFC 4252 section 7) -----------------------------------------------------------------------------

    def _try_key(self, *, first: bool = False) -> bool:
        """Offer the next key that can be offered; False when none is left."""
        if self._keys is None:
            self._keys = list(self._identities.candidates())
        if first and self._keys and self._keys[0].public is None:
            return False  # a question to the person comes only after the server has said what it takes
        while self._keys:
            key = self._keys.pop(0)
            if self._offer(key, first):
                self._method = "publickey"
                return True
        return False

    def _offer(self, key: Candidate, first: bool) -> bool:
        try:
            key.prepare()
        except PysshError as error:
            self._log.error(str(error))
            return False
        if key.public is None:
            return False
        algorithm = choose_algorithm(key.public, self._options.pubkey_accepted_algorithms, self._server_sig_algs())
        if algorithm is None:
            self._log.debug1(f"no mutual signature algorithm for {key.name}: see PubkeyAcceptedAlgorithms")
            return False
        if key.public.type == "ssh-rsa" and key.public.bits < self._options.required_rsa_size:
            self._log.error(f"{key.name}: RSA key of {key.public.bits} bits is smaller than RequiredRSASize")
            return False
        self._log.debug1(f"Offering public key: {key.describe(self._options.fingerprint_hash)}")
        self._key, self._algorithm = key, algorithm
        # The first key is proved at once even if an agent may ask about it: it is most likely the right one.
        if key.asks == "surely" or (key.asks == "perhaps" and not first):
            self._auth.query_publickey(algorithm, key.public.blob)
            return True
        return self._prove()

    def _server_sig_algs(self) -> tuple[str, ...] | None:
        names = self._transport.extensions.get("server-sig-algs")
        return None if names is None else tuple(names.decode("ascii", "replace").split(","))

    def _prove(self) -> bool:
        key, algorithm = self._key, self._algorithm
        assert key is not None
        try:
            if key.public is None:
                return False
            self._auth.publickey(
                algorithm, key.public.blob, self._transport.session_id, lambda data: key.sign(algorithm, data)
            )
        except AgentError as error:
            self._log.error(f'signing failed for key "{printable(key.name)}" from agent: {error}')
            return False
        except PysshError as error:
            self._log.error(str(error))
            return False
        return True

    def _on_key_accepted(self, accepted: ua.KeyAccepted) -> None:
        key = self._key
        if key is None or key.public is None or accepted.blob != key.public.blob:
            raise AuthenticationError("The server accepts a key that was not offered to it")
        self._log.debug1(f"Server accepts key: {key.describe(self._options.fingerprint_hash)}")
        if not self._prove() and not self._try_key():
            self._ask_for_nothing()

    # password (RFC 4252 section 8) ------------------------------------------------------------------------------

    def _try_password(self) -> bool:
        if self._password_tries >= self._options.number_of_password_prompts:
            return False
        if self._password_tries:
            self._log.error("Permission denied, please try again.")
        self._password_tries += 1
        password = self._questions.ask_secret(f"{self._person}'s password: ")
        if password is None:
            return False
        self._method = "password"
        self._auth.password(password)
        return True

    def _on_password_change(self, wanted: ua.PasswordChangeWanted) -> None:
        self._show(wanted.prompt)
        old = self._questions.ask_secret(f"Enter {self._person}'s old password: ")
        while old is not None:
            new = self._questions.ask_secret(f"Enter {self._person}'s new password: ")
            again = self._questions.ask_secret(f"Retype {self._person}'s new password: ")
            if new is None or again is None:
                break
            if new == again:
                self._auth.password(old, new)
                return
            self._log.error("Mismatch; try again, EOF to quit.")
        self._ask_for_nothing()

    # keyboard-interactive (RFC 4256) ----------------------------------------------------------------------------

    def _try_interactive(self) -> bool:
        if self._interactive_tries >= self._options.number_of_password_prompts or not self._interactive_asked:
            return False
        self._interactive_tries += 1
        self._interactive_asked = False
        self._method = "keyboard-interactive"
        self._auth.keyboard_interactive()
        return True

    def _on_questions(self, wanted: ua.AnswersWanted) -> None:
        self._interactive_asked = True
        for text in (wanted.name, wanted.instruction):
            self._show(text)
        self._empty_rounds += not wanted.prompts
        if self._empty_rounds > MAX_EMPTY_ROUNDS:
            raise AuthenticationError(f"{self._person}: the server asks nothing, without end")
        answers = []
        for prompt in wanted.prompts:
            # Every line says who asks, so that a server cannot pass for a question of our own.
            question = "\n".join(f"({self._person}) {line}" for line in prompt.text.split("\n"))
            ask = self._questions.ask_line if prompt.echo else self._questions.ask_secret
            answers.append(ask(question) or "")
        self._auth.answer(answers)
