"""What each flag of ssh(1) does: functions from an argument to a changed Invocation.

Which flags there are is the table of `flags`. No file is read here but for -i's look whether its file is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pyssh_cli import __version__
from pyssh_cli.cli.destination import is_valid_host, is_valid_user
from pyssh_cli.config.algorithms import AlgorithmKind, is_valid_list
from pyssh_cli.config.files import MAX_IDENTITIES, UnknownKeyword, assign, line_of, meant
from pyssh_cli.config.jumps import parse_hops, proxy_jump
from pyssh_cli.config.passes import local_person
from pyssh_cli.config.reader import split_keyword
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import expand_tilde
from pyssh_cli.config.values import BadValue, escape_character, port_number
from pyssh_cli.errors import PysshError
from pyssh_cli.log import DEBUG1, DEBUG3, QUIET, Log

if TYPE_CHECKING:
    from pyssh_cli.config.forwards import Forward


class Invocation:
    """What the command line says.

    `settings` has what flags and destination give to keywords, with the flag as origin. `command` is the words
    of the command, joined, or None. `diagnoses` and `json` are --diagnose and --json, `syslog` is -y,
    `control_command` -O's, `stdio_forward` -W's. `unsupported` is the first flag that no connection is made with
    yet. With `picks`, `host` is what is looked for.
    """

    __slots__ = (
        "command", "config_file", "control_command", "debugging", "diagnoses", "dump", "host", "json",
        "lists_keys", "log", "log_file", "picks", "settings", "stdio_forward", "syslog", "unsupported",
    )  # fmt: skip

    def __init__(self, log: Log) -> None:
        self.log = log
        self.settings = Settings()
        self.host = ""
        self.command: str | None = None
        self.config_file: str | None = None
        self.log_file: str | None = None
        self.syslog = False
        self.dump = False
        self.lists_keys = False
        self.picks = False
        self.diagnoses = False
        self.json = False
        self.debugging = False
        self.control_command: str | None = None
        self.stdio_forward: Forward | None = None
        self.unsupported = ""


class Answered(Exception):
    """A flag that is answered at once (-V, -Q, --help): what to print, and whether on stderr."""

    def __init__(self, text: str, *, to_stderr: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.to_stderr = to_stderr


Act = Callable[[Invocation, str], None]


def version_line() -> str:
    """What -V prints, and -v first."""
    python = sys.version_info
    return f"pyssh_{__version__}, Python {python.major}.{python.minor}.{python.micro}"


def sets(flag: str, **values: Any) -> Act:
    """A flag that sets keywords whatever was there; the last such flag wins, and no -o can outdo it."""

    def act(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
        for keyword, value in values.items():
            invocation.settings.replace(keyword, value, flag)

    return act


def takes(flag: str, keyword: str, *, or_none: bool = False) -> Act:
    """A flag whose argument is a keyword's value as it is; the last such flag wins.

    `or_none` makes `none` no value.
    """

    def act(invocation: Invocation, argument: str) -> None:
        unset = or_none and argument.lower() == "none"
        invocation.settings.replace(keyword, None if unset else argument, flag)

    return act


def nothing(invocation: Invocation, argument: str) -> None:
    """A flag that asks for what is so anyway."""


def version_1(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    raise PysshError("SSH protocol v.1 is no longer supported")


def algorithms(keyword: str, kind: AlgorithmKind, flag: str) -> Act:
    def act(invocation: Invocation, argument: str) -> None:
        signs = "-" if keyword == "ciphers" else "+-^"
        if not argument or argument[0] in signs or not is_valid_list(kind, argument):
            raise PysshError(f"Unknown {kind.noun.lower()} type '{argument}'")
        invocation.settings.replace(keyword, argument, flag)

    return act


def escape(invocation: Invocation, argument: str) -> None:
    try:
        value = escape_character(argument)
    except ValueError:
        raise PysshError(f"Bad escape character '{argument}'.") from None
    invocation.settings.replace("escapechar", value, "-e")


def config_file(invocation: Invocation, argument: str) -> None:
    invocation.config_file = argument


def log_file(invocation: Invocation, argument: str) -> None:
    invocation.log_file = argument


def syslog(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    invocation.syslog = True


def dump(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    invocation.dump = True


def list_keys(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """-Z: print the public keys that would be tried."""
    invocation.lists_keys = True


def pick(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """--pick: the person chooses the host."""
    invocation.picks = True


def diagnose(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """--diagnose: tell how a login would go."""
    invocation.diagnoses = True


def json(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """--json: what --diagnose finds, for programs."""
    invocation.json = True


def identity(invocation: Invocation, argument: str) -> None:
    path = expand_tilde(argument, local_person().pw_dir, "-i")
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        invocation.log.info(f"Warning: Identity file {path} not accessible: {reason}.")
        return
    held = invocation.settings.get("identityfile") or ()
    if len(held) >= MAX_IDENTITIES and argument not in held:
        raise PysshError(f"Too many identity files specified (max {MAX_IDENTITIES})")
    invocation.settings.add("identityfile", [argument], "-i")


def login(invocation: Invocation, argument: str) -> None:
    invocation.settings.set_first("user", argument, "-l")


def port(invocation: Invocation, argument: str) -> None:
    if "port" in invocation.settings.values:
        return
    number = port_number(argument)
    if number is None:
        raise PysshError(f"Bad port '{argument}'")
    invocation.settings.set_first("port", number, "-p")


_BLOCKS = {"host": "Host", "match": "Host", "include": "Include"}


def option(invocation: Invocation, argument: str) -> None:
    keyword, text = split_keyword(argument)
    if not keyword:
        return
    try:
        if keyword in _BLOCKS:
            line_of(keyword, text)
            raise PysshError(f"{_BLOCKS[keyword]} directive not supported as a command-line option")
        if keyword == "proxyjump":
            _check_hops(text)
        assign(invocation.settings, invocation.log, keyword, text, ("command-line", 0), active=True)
    except BadValue as problem:
        raise PysshError(f"command-line line 0: {problem}") from None
    except UnknownKeyword:
        raise PysshError(f"command-line: line 0: Bad configuration option: {keyword}{meant(keyword)}") from None


def quiet(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    invocation.settings.replace("loglevel", QUIET, "-q")


def verbose(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    level = invocation.settings.get("loglevel")
    if not invocation.debugging or level is None:
        invocation.debugging = True
        level = DEBUG1
    else:
        level = min(level + 1, DEBUG3)
    invocation.settings.replace("loglevel", level, "-v")


def no_command(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """-N: no session; it does not go with -s."""
    if invocation.settings.get("sessiontype") == "subsystem":
        raise PysshError("Cannot specify -N with -s/SessionType")
    sets("-N", sessiontype="none", requesttty="no")(invocation, "")


def subsystem(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """-s: the command is a subsystem's name."""
    if invocation.settings.get("sessiontype") == "none":
        raise PysshError("Cannot specify -s with -N/SessionType")
    sets("-s", sessiontype="subsystem")(invocation, "")


def terminal(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    again = invocation.settings.get("requesttty") == "yes"
    invocation.settings.replace("requesttty", "force" if again else "yes", "-t")


def query(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    from pyssh_cli.cli.query import answer

    raise Answered(answer(argument))


def version(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    raise Answered(version_line(), to_stderr=True)


def plain_version(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """--version: the program's name and version, as most programs have it."""
    raise Answered(f"pyssh {__version__}")


def complete(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """--complete: answered before any flag is read (`__main__`), where the shell is one that we know."""
    from pyssh_cli.cli.invocation import UsageError

    raise UsageError("--complete takes bash, zsh or fish, and is the first word")


def help_(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """--help."""
    from pyssh_cli.cli.help import help_text

    raise Answered(help_text())


def tag(invocation: Invocation, argument: str) -> None:
    """-P: the first counts."""
    invocation.settings.set_first("tag", argument, "-P")


def master(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    """-M: be the master; twice, and each use of the connection is asked about."""
    again = invocation.settings.get("controlmaster") == "yes"
    invocation.settings.replace("controlmaster", "ask" if again else "yes", "-M")


CONTROL_COMMANDS = ("cancel", "check", "exit", "forward", "proxy", "stop", "conninfo", "channels")
"""What -O takes."""


def control(invocation: Invocation, argument: str) -> None:
    """-O: a command for the master of a shared connection."""
    if invocation.stdio_forward is not None:
        raise PysshError("Cannot specify multiplexing command with -W")
    if invocation.control_command is not None:
        raise PysshError("Multiplexing command already specified")
    if argument not in CONTROL_COMMANDS:
        raise PysshError("Invalid multiplex command.")
    invocation.control_command = argument


def forward(flag: str, kind: Literal["local", "remote", "dynamic"]) -> Act:
    """-L, -R and -D."""

    def act(invocation: Invocation, argument: str) -> None:
        from pyssh_cli.config.forwards import parse_forward

        try:
            value = parse_forward(argument, kind=kind)
        except ValueError:
            raise PysshError(f"Bad {kind} forwarding specification '{argument}'") from None
        invocation.settings.add(f"{kind}forward", [value], flag)

    return act


def stdio_forward(invocation: Invocation, argument: str) -> None:
    """-W: stdin and stdout are one forwarded connection, and there is no session."""
    from pyssh_cli.config.forwards import parse_forward

    if invocation.stdio_forward is not None:
        raise PysshError("stdio forward already specified")
    if invocation.control_command is not None:
        raise PysshError("Cannot specify stdio forward with -O")
    try:
        value = parse_forward(argument, kind="dynamic")
    except ValueError:
        raise PysshError(f"Bad stdio forwarding specification '{argument}'") from None
    invocation.stdio_forward = value
    sets("-W", requesttty="no", sessiontype="none")(invocation, "")


def tunnel(invocation: Invocation, argument: str) -> None:
    """-w: a tunnel between these devices; its kind is Tunnel's, point-to-point when nothing has said."""
    from pyssh_cli.config.grammars import device_pair

    try:
        device = device_pair(argument)
    except ValueError:
        raise PysshError(f"Bad tun device '{argument}'") from None
    invocation.settings.set_first("tunnel", "point-to-point", "-w")
    invocation.settings.replace("tunneldevice", device, "-w")


def jump(invocation: Invocation, argument: str) -> None:
    """-J: the hosts on the way."""
    settings = invocation.settings
    if "proxyjump" in settings.values:
        raise PysshError("Only a single -J option is permitted (use commas to separate multiple jump hops)")
    if "proxycommand" in settings.values:
        raise PysshError("Cannot specify -J with ProxyCommand")
    try:
        _check_hops(argument)
        assign(settings, invocation.log, "proxyjump", argument, ("command-line", 0), active=True)
    except BadValue:
        raise PysshError("Invalid -J argument") from None
    settings.origins["proxyjump"] = ["-J"]


def _check_hops(text: str) -> None:
    """Refuse hops that hold what a shell could act on, or that look like flags, as destinations are refused.

    What reaches the command line may come from a stranger: a script, or a URI that was clicked on. What a file
    says is its owner's word, and is not held to this. Raises BadValue.
    """
    jump = proxy_jump(line_of("proxyjump", text))
    for hop in parse_hops(jump) if jump else ():
        if not is_valid_host(hop.host) or (hop.user is not None and not is_valid_user(hop.user)):
            raise BadValue(f'Invalid ProxyJump "{text}"')
