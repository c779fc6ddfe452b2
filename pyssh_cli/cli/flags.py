"""The flags' table: every flag of ssh(1), its argument, its line of help, and what it does to an Invocation.

Parsing, the usage, --help, and whatever lists flags go by this table. No file is read here but for -i's look
whether its file is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from pyssh_cli import __version__
from pyssh_cli.config.algorithms import CIPHER, MAC, AlgorithmKind, is_valid_list
from pyssh_cli.config.files import UnknownKeyword, assign
from pyssh_cli.config.reader import split_keyword
from pyssh_cli.config.resolve import local_person
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import expand_tilde
from pyssh_cli.config.values import BadValue, escape_character, port_number
from pyssh_cli.errors import PysshError
from pyssh_cli.log import DEBUG1, DEBUG3, QUIET, Log


class Invocation:
    """What the command line says.

    `settings` has what flags and destination give to keywords, with the flag as origin. `command` is the words
    of the command, joined, or None. `unsupported` is the first flag that pyssh does not have yet.
    """

    __slots__ = (
        "command", "config_file", "debugging", "dump", "host", "log",
        "log_file", "settings", "unsupported",
    )  # fmt: skip

    def __init__(self, log: Log) -> None:
        self.log = log
        self.settings = Settings()
        self.host = ""
        self.command: str | None = None
        self.config_file: str | None = None
        self.log_file: str | None = None
        self.dump = False
        self.debugging = False
        self.unsupported = ""


class Answered(Exception):
    """A flag that is answered at once (-V, -Q): what to print, and whether on stderr."""

    def __init__(self, text: str, *, to_stderr: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.to_stderr = to_stderr


Act = Callable[[Invocation, str], None]


class Flag(NamedTuple):
    """One row: `argument` is the name of its argument, empty for none; `act` is None while it is not supported.

    `group` is the heading it stands under in --help.
    """

    letter: str
    argument: str
    group: str
    help: str
    act: Act | None = None


def version_line() -> str:
    """What -V prints, and -v first."""
    python = sys.version_info
    return f"pyssh_{__version__}, Python {python.major}.{python.minor}.{python.micro}"


def _sets(flag: str, keyword: str, value: Any) -> Act:
    """A flag that sets a keyword whatever was there; the last such flag wins, and no -o can outdo it."""

    def act(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
        invocation.settings.replace(keyword, value, flag)

    return act


def _nothing(invocation: Invocation, argument: str) -> None:
    """A flag that asks for what is so anyway."""


def _version_1(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    raise PysshError("SSH protocol v.1 is no longer supported")


def _bind_address(invocation: Invocation, argument: str) -> None:
    invocation.settings.replace("bindaddress", argument, "-b")


def _bind_interface(invocation: Invocation, argument: str) -> None:
    invocation.settings.replace("bindinterface", argument, "-B")


def _algorithms(keyword: str, kind: AlgorithmKind, flag: str) -> Act:
    def act(invocation: Invocation, argument: str) -> None:
        if not argument or argument[0] == "-" or not is_valid_list(kind, argument):
            raise PysshError(f"Unknown {kind.noun.lower()} type '{argument}'")
        invocation.settings.replace(keyword, argument, flag)

    return act


def _escape(invocation: Invocation, argument: str) -> None:
    try:
        value = escape_character(argument)
    except ValueError:
        raise PysshError(f"Bad escape character '{argument}'.") from None
    invocation.settings.replace("escapechar", value, "-e")


def _config_file(invocation: Invocation, argument: str) -> None:
    invocation.config_file = argument


def _log_file(invocation: Invocation, argument: str) -> None:
    invocation.log_file = argument


def _dump(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    invocation.dump = True


def _identity(invocation: Invocation, argument: str) -> None:
    path = expand_tilde(argument, local_person().pw_dir, "-i")
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        invocation.log.info(f"Warning: Identity file {path} not accessible: {reason}.")
        return
    invocation.settings.add("identityfile", [argument], "-i")


def _login(invocation: Invocation, argument: str) -> None:
    invocation.settings.set_first("user", argument, "-l")


def _port(invocation: Invocation, argument: str) -> None:
    if "port" in invocation.settings.values:
        return
    number = port_number(argument)
    if number is None:
        raise PysshError(f"Bad port '{argument}'")
    invocation.settings.set_first("port", number, "-p")


def _option(invocation: Invocation, argument: str) -> None:
    keyword, text = split_keyword(argument)
    if not keyword:
        return
    if keyword in {"host", "match"}:
        raise PysshError("Host directive not supported as a command-line option")
    if keyword == "include":
        raise PysshError("Include directive not supported as a command-line option")
    try:
        assign(invocation.settings, invocation.log, keyword, text, ("command-line", 0), active=True)
    except BadValue as problem:
        raise PysshError(f"command-line line 0: {problem}") from None
    except UnknownKeyword:
        raise PysshError(f"command-line: line 0: Bad configuration option: {keyword}") from None


def _quiet(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    invocation.settings.replace("loglevel", QUIET, "-q")


def _verbose(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    level = invocation.settings.get("loglevel")
    if not invocation.debugging or level is None:
        invocation.debugging = True
        level = DEBUG1
    else:
        level = min(level + 1, DEBUG3)
    invocation.settings.replace("loglevel", level, "-v")


def _no_command(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    invocation.settings.replace("sessiontype", "none", "-N")
    invocation.settings.replace("requesttty", "no", "-N")


def _terminal(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    again = invocation.settings.get("requesttty") == "yes"
    invocation.settings.replace("requesttty", "force" if again else "yes", "-t")


def _query(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    from pyssh_cli.cli.query import answer

    raise Answered(answer(argument))


def _version(invocation: Invocation, argument: str) -> None:  # noqa: ARG001
    raise Answered(version_line(), to_stderr=True)


_CONNECTION = "Connection"
_TRUST = "Identity and algorithms"
_SESSION = "Session"
_FORWARDING = "Forwarding"
_SHARING = "Connection sharing"
_CONFIGURATION = "Configuration and diagnosis"

GROUPS = (_CONNECTION, _TRUST, _SESSION, _FORWARDING, _SHARING, _CONFIGURATION)

_ROWS = (
    Flag("1", "", _CONNECTION, "Protocol version 1, which is no longer supported.", _version_1),
    Flag("2", "", _CONNECTION, "Protocol version 2, the only one there is.", _nothing),
    Flag("4", "", _CONNECTION, "Use IPv4 addresses only.", _sets("-4", "addressfamily", "inet")),
    Flag("6", "", _CONNECTION, "Use IPv6 addresses only.", _sets("-6", "addressfamily", "inet6")),
    Flag("A", "", _FORWARDING, "Forward the agent."),
    Flag("a", "", _FORWARDING, "Do not forward the agent.", _sets("-a", "forwardagent", "no")),
    Flag("B", "bind_interface", _CONNECTION, "Connect from this interface's address.", _bind_interface),
    Flag("b", "bind_address", _CONNECTION, "Connect from this local address.", _bind_address),
    Flag("C", "", _CONNECTION, "Compress.", _sets("-C", "compression", True)),
    Flag("c", "cipher_spec", _TRUST, "Ciphers, best first; + adds, ^ puts first.",
         _algorithms("ciphers", CIPHER, "-c")),
    Flag("D", "[bind_address:]port", _FORWARDING, "A SOCKS server here that connects from there."),
    Flag("E", "log_file", _CONFIGURATION, "Append messages to this file instead of stderr.", _log_file),
    Flag("e", "escape_char", _SESSION, "The escape character, ^ and a letter, or none (default ~).", _escape),
    Flag("F", "configfile", _CONFIGURATION, "Read this configuration file only; none reads no file.",
         _config_file),
    Flag("f", "", _SESSION, "Go to the background before the command runs."),
    Flag("G", "", _CONFIGURATION, "Print the resulting configuration and exit.", _dump),
    Flag("g", "", _FORWARDING, "Let other hosts connect to forwarded ports."),
    Flag("I", "pkcs11", _TRUST, "A PKCS#11 library with keys."),
    Flag("i", "identity_file", _TRUST, "A private key to authenticate with; may be repeated.", _identity),
    Flag("J", "[user@]host[:port]", _CONNECTION, "Connect through these hosts, commas between them."),
    Flag("K", "", _TRUST, "Authenticate and delegate by GSSAPI."),
    Flag("k", "", _TRUST, "Do not delegate GSSAPI credentials.", _sets("-k", "gssapidelegatecredentials", False)),
    Flag("L", "address", _FORWARDING, "Forward a local port or socket."),
    Flag("l", "login_name", _CONNECTION, "The user to log in as.", _login),
    Flag("M", "", _SHARING, "Be the master of a shared connection."),
    Flag("m", "mac_spec", _TRUST, "MACs, best first.", _algorithms("macs", MAC, "-m")),
    Flag("N", "", _SESSION, "Run no remote command.", _no_command),
    Flag("n", "", _SESSION, "Take stdin from /dev/null.", _sets("-n", "stdinnull", True)),
    Flag("O", "ctl_cmd", _SHARING, "Tell the master of a shared connection something."),
    Flag("o", "option", _CONFIGURATION, "A line of configuration, such as -o Port=2200; may be repeated.",
         _option),
    Flag("P", "tag", _CONFIGURATION, "The tag that Match tagged compares."),
    Flag("p", "port", _CONNECTION, "The port to connect to.", _port),
    Flag("Q", "query_option", _CONFIGURATION, "List what is supported: cipher, mac, kex, key, ... or help.",
         _query),
    Flag("q", "", _CONFIGURATION, "Say nothing but what the remote side says.", _quiet),
    Flag("R", "address", _FORWARDING, "Forward a remote port or socket."),
    Flag("S", "ctl_path", _SHARING, "The socket of a shared connection."),
    Flag("s", "", _SESSION, "The command is a subsystem's name.", _sets("-s", "sessiontype", "subsystem")),
    Flag("T", "", _SESSION, "Ask for no terminal.", _sets("-T", "requesttty", "no")),
    Flag("t", "", _SESSION, "Ask for a terminal; twice, even without one here.", _terminal),
    Flag("V", "", _CONFIGURATION, "Print the version and exit.", _version),
    Flag("v", "", _CONFIGURATION, "Say what happens; up to three times.", _verbose),
    Flag("W", "host:port", _FORWARDING, "Connect stdin and stdout to a place as seen from there."),
    Flag("w", "local_tun[:remote_tun]", _FORWARDING, "A tunnel between network devices."),
    Flag("X", "", _FORWARDING, "Forward X11."),
    Flag("x", "", _FORWARDING, "Do not forward X11.", _sets("-x", "forwardx11", False)),
    Flag("Y", "", _FORWARDING, "Forward X11 and trust it."),
    Flag("y", "", _CONFIGURATION, "Send messages to syslog."),
    Flag("Z", "", _CONFIGURATION, "List the keys that would be tried and exit."),
)  # fmt: skip

FLAGS: dict[str, Flag] = {row.letter: row for row in _ROWS}
"""Every flag by its letter."""


def usage() -> str:
    """The usage, in the shape of ssh's."""
    plain = "".join(sorted(row.letter for row in _ROWS if not row.argument and row.letter not in "12"))
    items = [f"[-{plain}]", *(f"[-{row.letter} {row.argument}]" for row in _ROWS if row.argument)]
    items += ["destination", "[command [argument ...]]"]
    lines = ["usage: pyssh"]
    for item in items:
        if len(lines[-1]) + 1 + len(item) > 79:
            lines.append(" " * 11)
        lines[-1] += f" {item}"
    return "\n".join(lines)
