"""The command line that the escape key `~C` opens (ssh(1), ESCAPE CHARACTERS): forwards come and go, and local
commands run, in the middle of a session.

The line is read in one go while everything else waits, as ssh does it, with prompt_toolkit's editing and a history
that lasts as long as the session.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyssh_cli.client.local_command import person_s_shell, run_in_shell
from pyssh_cli.config.forwards import Forward, ForwardKind, parse_forward

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pyssh_cli.terminal.line import LineEditor

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

    def add(self, forward: Forward, done: Callable[[bool, int], None] | None = None) -> bool:
        """Begin to forward; whether it could be begun. A remote one may still be refused by the server: `done` is
        told whether it stands, and the port, now or later."""

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

    `tell` shows a line of text, at any time; `forwards` is None where nothing can be forwarded; `local_commands`
    is PermitLocalCommand.
    """

    def __init__(
        self, tell: Callable[[str], None], forwards: ForwardControl | None, *, local_commands: bool
    ) -> None:
        self._tell = tell
        self.forwards = forwards
        self._local_commands = local_commands
        self._editor: LineEditor | None = None

    def run(self) -> bytes:
        """Ask for a line and do it. The terminal must not be raw. What was typed ahead of the session's next
        keys comes back."""
        if self._editor is None:
            from pyssh_cli.terminal.line import LineEditor

            self._editor = LineEditor()
        try:
            line, typed_ahead = self._editor.ask(PROMPT)
        except OSError as error:
            self._tell(f"There is no terminal to ask on: {error.strerror}.")
            return b""
        if line is not None:
            self.do(line)
        return typed_ahead

    def do(self, line: str) -> None:
        """Do what `line` says, and tell how it went."""
        command = parse(line)
        if command.verb == "help":
            self._help()
        elif command.verb == "run" and self._local_commands:
            if command.rest.strip():
                run_locally(command.rest, self._tell)
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
            begun = self.forwards.add(forward, lambda stands, _port: self._settled(forward, stands))
            self._tell("Forwarding port." if begun else "Port forwarding failed.")
        else:
            self._tell("Canceled forwarding." if self.forwards.cancel(forward) else "Unknown port forwarding.")

    def _settled(self, forward: Forward, stands: bool) -> None:
        """The server has answered, in the middle of the session. Of what fails here there is a message already."""
        if not stands and forward.kind == "remote":
            listens = f"path {forward.listen_path}" if forward.listen_path else f"port {forward.listen_port}"
            self._tell(f"Warning: remote port forwarding failed for listen {listens}")


def run_locally(command: str, tell: Callable[[str], None]) -> None:
    """Run a command with the person's shell on our terminal, and wait for its end (PermitLocalCommand)."""
    # What the keys of the terminal send is for the command. Not by SIG_IGN, which it would inherit.
    handlers = [(number, signal.signal(number, _nothing)) for number in (signal.SIGINT, signal.SIGQUIT)]
    try:
        run_in_shell(command)
    except OSError as error:
        tell(f"{person_s_shell()}: {error.strerror}")
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
