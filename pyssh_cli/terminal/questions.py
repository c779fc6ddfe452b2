"""The questions to the person: passwords, passphrases, lines, yes or no.

They are asked on the controlling terminal, which works while stdin and stdout are redirected, or through askpass
by ssh's rules; never in BatchMode. How a line is read off the terminal is `prompt`.
"""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING

from pyssh_cli.log import printable
from pyssh_cli.terminal.askpass import CONFIRM, askpass_policy, run_askpass
from pyssh_cli.terminal.prompt import TERMINAL, open_terminal, read_answer

if TYPE_CHECKING:
    from pyssh_cli.log import Log

_HOST_KEY_QUESTION = "Are you sure you want to continue connecting (yes/no/[fingerprint])? "
_HOST_KEY_AGAIN = "Please type 'yes', 'no' or the fingerprint: "
_CONFIRMATION_AGAIN = "Please type 'yes' or 'no': "


class Questions:
    """Asks the person. With `batch_mode` nobody is there, and nothing is asked.

    Prompts may hold what a server sent: everything that could drive the terminal is shown as an escape, newlines
    and tabs stay. Answers are text of UTF-8; bytes that are none come as surrogate escapes, which `wire.text`
    sends as they were typed. Every method raises KeyboardInterrupt for Ctrl-C.
    """

    def __init__(self, log: Log, batch_mode: bool) -> None:
        self._log = log
        self._batch_mode = batch_mode
        self.unasked = ""
        """Why nobody could be asked the last question; empty where somebody was."""

    @property
    def asks_nobody(self) -> bool:
        """Whether nobody is asked anything, by whomever: neither here nor on a token's own keypad."""
        return self._batch_mode

    def ask_secret(self, prompt: str) -> str | None:
        """What is typed, unseen, after `prompt`; None for no answer (Ctrl-D, BatchMode, nowhere to ask)."""
        return self._ask(prompt, echo=False, fresh=False)

    def ask_line(self, prompt: str, echo: bool = True, *, fresh: bool = False) -> str | None:
        """What is typed after `prompt`, and not before it when it is to be `fresh`; None for no answer (Ctrl-D,
        BatchMode, nowhere to ask)."""
        return self._ask(prompt, echo=echo, fresh=fresh)

    def ask_confirmation(self, question: str) -> bool:
        """Whether the person answers `question` with "yes"; it is asked until the answer is yes or no.

        An empty line, no answer, and BatchMode are a no. An askpass program may leave it at its exit status.
        """
        return self._confirm(question, _CONFIRMATION_AGAIN, None, CONFIRM)

    def confirm_host_key(self, text: str, fingerprint: str | None) -> bool:
        """Whether the person trusts the host key that `text` (whole lines) tells of.

        A yes is the word "yes", in any case, or `fingerprint` exactly as it was shown ("SHA256:..."). An empty
        line, no answer, and BatchMode are a no; anything else and the question comes again.
        """
        if text and not text.endswith("\n"):
            text += "\n"
        return self._confirm(text + _HOST_KEY_QUESTION, _HOST_KEY_AGAIN, fingerprint)

    def _confirm(self, question: str, again: str, fingerprint: str | None, hint: str = "") -> bool:
        while True:
            # Fresh: a line typed before the question was on the screen is no answer to it.
            answer = self._ask(question, echo=True, fresh=True, hint=hint)
            words = answer.split(maxsplit=1) if answer else []
            if not words or words[0].lower() == "no":
                return False
            if words[0].lower() == "yes" or words[0] == fingerprint:
                return True
            question = again

    def _ask(self, prompt: str, *, echo: bool, fresh: bool, hint: str = "") -> str | None:
        self.unasked = "BatchMode" if self._batch_mode else ""
        if self._batch_mode:
            return None
        self._log.clear()
        try:
            return self._answer(printable(prompt.replace("\r\n", "\n"), newlines=True), echo, fresh, hint)
        finally:
            self._log.clear()  # the time that was thought about the answer is nobody's waiting

    def _answer(self, prompt: str, echo: bool, fresh: bool, hint: str) -> str | None:
        policy = askpass_policy(os.environ)
        if policy == "first":
            return self._ask_elsewhere(prompt, hint)
        try:
            fd = open_terminal()
        except OSError as e:
            self._log.debug1(f"cannot open {TERMINAL}: {e.strerror}")
            if policy == "fallback":
                return self._ask_elsewhere(prompt, hint)
            self.unasked = "no terminal"
            return None
        try:
            answer = read_answer(fd, prompt.encode(), echo=echo, fresh=fresh)
        except (OSError, termios.error) as e:
            self._log.debug1(f"cannot ask on {TERMINAL}: {e.args[-1]}")
            return None
        finally:
            os.close(fd)
        return None if answer is None else answer.decode("utf-8", "surrogateescape")

    def _ask_elsewhere(self, prompt: str, hint: str) -> str | None:
        answer = run_askpass(prompt, os.environ, self._log, hint)
        return "yes" if answer == "" and hint == CONFIRM else answer
