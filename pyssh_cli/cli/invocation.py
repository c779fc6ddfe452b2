"""The command line as one value, and ssh's grammar that makes it: what stands where, before any file is read.

Not what a flag does to it: that is the flags' table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyssh_cli.cli.acts import Invocation
from pyssh_cli.cli.destination import BadDestination, is_valid_host, is_valid_user, split_destination
from pyssh_cli.cli.flags import Flag, usage
from pyssh_cli.errors import PysshError
from pyssh_cli.log import Log


class UsageError(PysshError):
    """A command line that does not parse; the message is shown above the usage."""

    def __init__(self, complaint: str = "") -> None:
        super().__init__(f"{complaint}\n{usage()}" if complaint else usage())


ReadFlags = Callable[[list[str]], tuple[list[tuple[Flag, str]], list[str], bool]]
"""Takes the flags off the front of a list of words: the flags in their order, each with its argument; the words
that are left; whether `--` ended them. Raises UsageError."""


def parse(arguments: Sequence[str], log: Log, read_flags: ReadFlags) -> Invocation:
    """Read a command line, without the program's name. What a flag looks like is up to `read_flags`.

    Flags stand before or behind the destination, up to the first word of the command; `--` ends them. Flags act
    in the order they stand in, as ssh's do. Raises UsageError, other PysshErrors for bad arguments, and Answered.
    """
    invocation = Invocation(log)
    words, ended = _act_on_flags(list(arguments), invocation, read_flags)
    if not words and not invocation.picks:
        raise UsageError
    if words:
        _take_destination(words.pop(0), invocation)
    if not ended:
        words, _ = _act_on_flags(words, invocation, read_flags)
    if words:
        invocation.command = " ".join(words)
        if not invocation.command and invocation.settings.get("sessiontype") != "subsystem":
            invocation.command = None  # empty words ask for a shell, as with ssh
    elif invocation.settings.get("sessiontype") == "subsystem":
        raise UsageError("You must specify a subsystem to invoke.")
    if invocation.json and not invocation.diagnoses:
        raise UsageError("--json goes with --diagnose.")
    user = invocation.settings.get("user")
    if user is not None and not is_valid_user(user):
        raise PysshError("remote username contains invalid characters")
    if not is_valid_host(invocation.host):
        raise PysshError("hostname contains invalid characters")
    return invocation


def _act_on_flags(words: list[str], invocation: Invocation, read_flags: ReadFlags) -> tuple[list[str], bool]:
    """Act on the flags that `words` begin with; what is left, and whether `--` ended them."""
    flags, rest, ended = read_flags(words)
    for flag, argument in flags:
        flag.act(invocation, argument)
        if not flag.ready:
            invocation.unsupported = invocation.unsupported or flag.letter
    return rest, ended


def _take_destination(word: str, invocation: Invocation) -> None:
    try:
        user, host, port = split_destination(word)
    except BadDestination:
        raise UsageError from None
    invocation.host = host
    if user is not None:
        invocation.settings.set_first("user", user, "destination")
    if port is not None:
        invocation.settings.set_first("port", port, "destination")
