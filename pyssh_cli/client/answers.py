"""What the person gives as proof: a password, and answers to the server's questions. Loaded when it comes to that.

What is asked of whom is told by the prompts; what came of it, by `refusal`.
"""

from __future__ import annotations

from collections.abc import Callable

from pyssh_cli.client.outcomes import REFUSED, Attempts, Outcome
from pyssh_cli.config.options import Options
from pyssh_cli.errors import AuthenticationError
from pyssh_cli.log import Log
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.terminal.questions import Questions

MAX_EMPTY_ROUNDS = 16
"""Rounds of keyboard-interactive without a question, which nobody would notice."""

MAX_ROUNDS = 100
"""Rounds of keyboard-interactive in one connection, which a program that answers for a person might not notice."""

MAX_PASSWORD_CHANGES = 16
"""New passwords that a server may turn down."""

UNASKED = Outcome("nowhere to ask for it", "nobody to ask")
ASKED_NOTHING = Outcome("the server asked nothing")
NOT_ASKED_AGAIN = Outcome("refused without another question", "refused: account")
"""What came of a password, or of answers: OpenSSH asks again, but not where it is the account that it refuses."""


class Answers:
    """Asks the person, by `questions`, and sends what is answered.

    `accounts` tells that a server which asks no more has nothing against the answers, but against the account:
    OpenSSH's, with PAM. `attempts` keeps what is tried; `show` is told what the server says to the person.
    """

    def __init__(
        self,
        options: Options,
        log: Log,
        questions: Questions,
        auth: ua.UserAuth,
        attempts: Attempts,
        *,
        accounts: bool,
        show: Callable[[str], None],
    ) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._auth = auth
        self._accounts = accounts
        self._attempts = attempts
        self._show = show
        self._person = f"{options.user}@{options.hostname}"
        self._asker = f"{options.user}@{options.host_key_alias or options.hostname}"
        self._password_tries = 0
        self._password_changes = 0
        self._interactive_tries = 0
        self._rounds = 0
        self._empty_rounds = 0
        self._asked = self._asked_now = False
        """Whether the server has asked anything by keyboard-interactive, ever and since it was last tried."""
        self._unasked = False
        """There was nobody to ask."""
        self.has_said = False
        """Whether the server has said something about answers that it was given."""

    def begin_again(self) -> None:
        """The server has taken a proof and wants more: all may be tried again."""
        self._password_tries = self._interactive_tries = 0

    def outcome(self, method: str) -> Outcome:
        """What came of the last attempt, which was refused."""
        if method != "keyboard-interactive":
            return REFUSED
        if self._unasked:
            return UNASKED
        if not self._asked:
            return ASKED_NOTHING
        return NOT_ASKED_AGAIN if self.are_right() else REFUSED

    def are_right(self) -> bool:
        """Whether keyboard-interactive was tried anew and asks nothing any more: what was answered seems right."""
        return self._accounts and self._asked and not self._asked_now

    # password (RFC 4252 section 8) ------------------------------------------------------------------------------

    def try_password(self) -> bool:
        """Ask for the password and send it; False when it is not to be asked for again, or nobody answers."""
        if self._password_tries >= self._options.number_of_password_prompts:
            return False
        if self._password_tries:
            self._log.error("Permission denied, please try again.")
        self._password_tries += 1
        password = self._questions.ask_secret(f"{self._asker}'s password: ")
        if password is None:
            self._attempts.fail("password", UNASKED if self._questions.unasked else Outcome("no answer"))
            return False
        self._attempts.begin("password")
        self._auth.password(password)
        return True

    def change_password(self, wanted: ua.PasswordChangeWanted) -> bool:
        """Ask for a new password and send it; False when there is none. Raises AuthenticationError."""
        self._show(wanted.prompt)
        self._password_changes += 1
        if self._password_changes > MAX_PASSWORD_CHANGES:
            raise AuthenticationError(f"{self._person}: the server is content with no new password")
        self._attempts.end(Outcome("expired"))
        old = self._questions.ask_secret(f"Enter {self._asker}'s old password: ")
        while old is not None:
            new = self._questions.ask_secret(f"Enter {self._asker}'s new password: ")
            again = None if new is None else self._questions.ask_secret(f"Retype {self._asker}'s new password: ")
            if new is None or again is None:
                break
            if new == again:
                self._attempts.begin("new password")
                self._auth.password(old, new)
                return True
            self._log.error("Mismatch; try again, EOF to quit.")
        return False

    # keyboard-interactive (RFC 4256) ----------------------------------------------------------------------------

    def try_interactive(self) -> bool:
        """Let the server ask its questions; False when it is not to do so again, or has none."""
        if self._interactive_tries >= self._options.number_of_password_prompts or self._unasked:
            return False
        if self._interactive_tries and not self._asked:
            return False
        self._interactive_tries += 1
        self._asked_now = False
        self._attempts.begin("keyboard-interactive")
        self._auth.keyboard_interactive(self._options.kbd_interactive_devices)
        return True

    def answer(self, wanted: ua.AnswersWanted) -> None:
        """Ask what the server asks, and send the answers. Raises AuthenticationError if there is no end to it."""
        words = not wanted.prompts and bool((wanted.name + wanted.instruction).strip())
        self.has_said |= words and self._asked_now  # PAM's, of an answer
        self._asked = self._asked_now = True
        for text in (wanted.name, wanted.instruction):
            self._show(text)
        self._rounds += 1
        self._empty_rounds += not wanted.prompts
        if self._empty_rounds > MAX_EMPTY_ROUNDS:
            raise AuthenticationError(f"{self._person}: the server asks nothing, without end")
        if self._rounds > MAX_ROUNDS:
            raise AuthenticationError(f"{self._person}: the server asks without end")
        answers = []
        for prompt in wanted.prompts:
            # Every line says who asks, so that a server cannot pass for a question of our own.
            question = "\n".join(f"({self._asker}) {line}" for line in prompt.text.split("\n"))
            ask = self._questions.ask_line if prompt.echo else self._questions.ask_secret
            answers.append(ask(question) or "")
            self._unasked = bool(self._questions.unasked)
        self._auth.answer(answers)
