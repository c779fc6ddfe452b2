"""The command line that the escape key `~C` opens (ssh(1), ESCAPE CHARACTERS): forwards come and go, and local
commands run, in the middle of a session.

The line is read in one go while everything else waits, as ssh does it, with prompt_toolkit's editing and a history
that lasts as long as the session.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyssh_cli.config.forwards import Forward, ForwardKind, parse_forward
from pyssh_cli.terminal.signals import SignalsAsFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from prompt_toolkit.history import InMemoryHistory

PROMPT = "ssh> "

_KINDS: dict[str, ForwardKind] = {"L": "local", "R": "remote", "D": "dynamic"}

_HELP = (
    ("-L[bind_address:]port:host:hostport", "forward a local port"),
    ("-R[bind_address:]port:host:hostport", "forward a remote port"),
    ("-D[bind_address:]port", "forward a local port to wherever SOCKS says"),
    ("-KL[bind_address:]port", "end a local forward"),
    ("-KR[bind_address:]port", "end a remote forward"),
    ("-KD[bind_address:]port", "end a dynamic forward"),
)
_HELP_COMMAND = ("!command", "run a command here")


class ForwardControl(Protocol):
    """What makes and ends forwards on a connection that stands."""

    def add(self, forward: Forward) -> bool:
        """Begin to forward; whether it could be begun. A remote one may still be refused by the server."""

    def cancel(self, forward: Forward) -> bool:
        """End the forward of this kind that listens there; whether there was one."""

    def stop_listening(self) -> None:
        """Take no more connections; those that stand go on."""


class Command(NamedTuple):
    """A line read: what to do (a method of `CommandLine`, or nothing), and with what."""

    verb: str
    rest: str = ""
    kind: ForwardKind = "local"


def parse(line: str) -> Command:
    """Read a line as ssh does: blanks and one `-` in front do not matter."""
    text = line.lstrip().removeprefix("-")
    if not text:
        return Command("nothing")
    if text[0] in "hH?":
        return Command("help")
    if text[0] == "!":
        return Command("run", text[1:])
    verb = "cancel" if text[0] == "K" else "add"
    text = text.removeprefix("K")
    if text[:1] not in _KINDS or not text:
        return Command("invalid")
    return Command(verb, text[1:].strip(), _KINDS[text[0]])


class CommandLine:
    """Reads lines and does what they ask for.

    `tell` shows a line of text; `forwards` is None where nothing can be forwarded; `local_commands` is
    PermitLocalCommand.
    """

    def __init__(
        self, tell: Callable[[str], None], forwards: ForwardControl | None, *, local_commands: bool
    ) -> None:
        self._tell = tell
        self.forwards = forwards
        self._local_commands = local_commands
        self._history: InMemoryHistory | None = None

    def run(self) -> None:
        """Ask for a line and do it. The terminal must not be raw."""
        if self._history is None:
            from prompt_toolkit.history import InMemoryHistory

            self._history = InMemoryHistory()
        line = read_line(PROMPT, self._history)
        if line is not None:
            self.do(line)

    def do(self, line: str) -> None:
        """Do what `line` says, and tell how it went."""
        command = parse(line)
        if command.verb == "help":
            self._help()
        elif command.verb == "run" and self._local_commands:
            if command.rest.strip():
                run_locally(command.rest)
        elif command.verb in {"add", "cancel"}:
            self._forward(command)
        elif command.verb == "run":
            self._tell("Local commands are not allowed (see PermitLocalCommand).")
        elif command.verb == "invalid":
            self._tell("Invalid command. (help lists what there is)")

    def _help(self) -> None:
        self._tell("Commands:")
        for form, what in (*_HELP, _HELP_COMMAND) if self._local_commands else _HELP:
            self._tell(f"      {form:<37}  {what}")

    def _forward(self, command: Command) -> None:
        adding = command.verb == "add"
        try:
            forward = (
                parse_forward(command.rest, kind=command.kind)
                if adding
                else parse_forward(command.rest, kind="dynamic")._replace(kind=command.kind)
            )
        except ValueError:
            which = "remote" if command.kind == "remote" else "local"
            self._tell(
                f"Bad {which} forwarding specification." if adding else "Bad forwarding close specification."
            )
            return
        if self.forwards is None:
            self._tell("Port forwarding cannot be changed in this session.")
        elif adding:
            self._tell("Forwarding port." if self.forwards.add(forward) else "Port forwarding failed.")
        else:
            self._tell("Canceled forwarding." if self.forwards.cancel(forward) else "Unknown port forwarding.")


def read_line(prompt: str, history: InMemoryHistory) -> str | None:
    """A line typed on the terminal, edited; None when Ctrl-C or Ctrl-D ended it.

    Blocks. Whatever prompt_toolkit's event loop does to signals is undone.
    """
    import sys

    from prompt_toolkit import PromptSession
    from prompt_toolkit.input import create_input
    from prompt_toolkit.output.vt100 import Vt100_Output

    stream = sys.stdout if sys.stdout and sys.stdout.isatty() else sys.stderr
    # No questions about the cursor: a late answer would go to the remote side as if it had been typed.
    output = Vt100_Output.from_pty(stream, term=os.environ.get("TERM"))
    output.enable_cpr = False
    terminal = create_input(always_prefer_tty=True)
    with SignalsAsFound():
        try:
            return PromptSession[str](history=history, input=terminal, output=output).prompt(prompt)
        except (KeyboardInterrupt, EOFError):
            return None


def run_locally(command: str) -> None:
    """Run a command with the person's shell on our terminal, and wait for its end (PermitLocalCommand)."""
    import subprocess

    shell = os.environ.get("SHELL") or "/bin/sh"
    with SignalsAsFound():
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda _number, _frame: None)  # they are for the command
        try:
            subprocess.run([shell, "-c", command], check=False)
        except OSError as error:
            os.write(2, f"{shell}: {error.strerror}\n".encode("utf-8", "backslashreplace"))
