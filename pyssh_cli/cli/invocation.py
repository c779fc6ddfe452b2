"""The command line as one value, and ssh's grammar that makes it: what stands where, before any file is read.

Not what a flag does to it: that is the flags' table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pyssh_cli.cli.destination import BadDestination, is_valid_host, is_valid_user, split_destination
from pyssh_cli.cli.flags import FLAGS, Invocation, usage
from pyssh_cli.errors import PysshError
from pyssh_cli.log import Log


class UsageError(PysshError):
    """A command line that does not parse; the message is shown above the usage."""

    def __init__(self, complaint: str = "") -> None:
        super().__init__(f"{complaint}\n{usage()}" if complaint else usage())


class LongFlag(Exception):
    """--help or --version stands where a flag may stand; the argument says which."""

    def __init__(self, name: Literal["help", "version"]) -> None:
        super().__init__(name)
        self.name = name


def parse(arguments: Sequence[str], log: Log) -> Invocation:
    """Read a command line, without the program's name.

    Flags stand before or behind the destination, up to the first word of the command; `--` ends them. Flags act
    in the order they stand in, as ssh's do. Raises UsageError, other PysshErrors for bad arguments, and LongFlag.
    """
    invocation = Invocation(log)
    words, ended = _take_flags(list(arguments), invocation)
    if not words:
        raise UsageError
    _take_destination(words.pop(0), invocation)
    if not ended:
        words, _ = _take_flags(words, invocation)
    if words:
        invocation.command = " ".join(words)
    elif invocation.settings.get("sessiontype") == "subsystem":
        raise UsageError("You must specify a subsystem to invoke.")
    if invocation.unsupported:
        raise PysshError(f"pyssh: -{invocation.unsupported} is not supported yet")
    if not is_valid_host(invocation.host):
        raise PysshError("hostname contains invalid characters")
    user = invocation.settings.get("user")
    if user is not None and not is_valid_user(user):
        raise PysshError("remote username contains invalid characters")
    return invocation


def _take_flags(words: list[str], invocation: Invocation) -> tuple[list[str], bool]:
    """Act on the flags that `words` begin with; what is left, and whether `--` ended them."""
    queue = words[::-1]
    while queue:
        word = queue.pop()
        if word == "--":
            return queue[::-1], True
        if len(word) < 2 or word[0] != "-":
            queue.append(word)
            break
        if word == "--help":
            raise LongFlag("help")
        if word == "--version":
            raise LongFlag("version")
        at = 1
        while at < len(word):
            letter = word[at]
            at += 1
            flag = FLAGS.get(letter)
            if flag is None:
                raise UsageError(f"unknown option -- {letter}")
            argument = ""
            if flag.argument:
                if at < len(word):
                    argument, at = word[at:], len(word)
                elif queue:
                    argument = queue.pop()
                else:
                    raise UsageError(f"option requires an argument -- {letter}")
            if flag.act is None:
                invocation.unsupported = invocation.unsupported or letter
            else:
                flag.act(invocation, argument)
    return queue[::-1], False


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
