"""The flags' table: every flag of ssh(1), its argument, its line of help, and what it does.

Parsing, the usage, --help, and whatever lists flags go by this table.
"""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.cli import acts
from pyssh_cli.config.algorithms import CIPHER, MAC


class Flag(NamedTuple):
    """One row: `argument` is the name of its argument, empty for none; `act` is what it does to an Invocation.
    Those of LONG_FLAGS, which ssh does not have, have a name in place of a letter.

    `group` is the heading it stands under in --help. A flag that is not `ready` is read and shown by -G, but no
    connection is made with it yet.
    """

    letter: str
    argument: str
    group: str
    help: str
    act: acts.Act
    ready: bool = True

    @property
    def spelled(self) -> str:
        """The flag as it is typed: ours are whole words, and leave the letters to ssh."""
        return f"-{self.letter}" if len(self.letter) == 1 else f"--{self.letter}"


_CONNECTION = "Connection"
_TRUST = "Authentication"
_SESSION = "Session"
_FORWARDING = "Forwarding"
_SHARING = "Connection sharing"
_CONFIGURATION = "Configuration and queries"
_MESSAGES = "Messages"
_HELP = "Help"

GROUPS = (_CONNECTION, _TRUST, _SESSION, _FORWARDING, _SHARING, _CONFIGURATION, _MESSAGES, _HELP)
"""The headings of --help, in its order."""

_ROWS = (
    Flag("1", "", _CONNECTION, "Protocol version 1, which is no longer supported.", acts.version_1),
    Flag("2", "", _CONNECTION, "Protocol version 2, the only one there is.", acts.nothing),
    Flag("4", "", _CONNECTION, "Use IPv4 addresses only.", acts.sets("-4", addressfamily="inet")),
    Flag("6", "", _CONNECTION, "Use IPv6 addresses only.", acts.sets("-6", addressfamily="inet6")),
    Flag("A", "", _FORWARDING, "Forward the agent.", acts.sets("-A", forwardagent="yes")),
    Flag("a", "", _FORWARDING, "Do not forward the agent.", acts.sets("-a", forwardagent="no")),
    Flag("B", "bind_interface", _CONNECTION, "Connect through this network interface.",
         acts.takes("-B", "bindinterface")),
    Flag("b", "bind_address", _CONNECTION, "Connect from this local address.", acts.takes("-b", "bindaddress")),
    Flag("C", "", _CONNECTION, "Compress.", acts.sets("-C", compression=True)),
    Flag("c", "cipher_spec", _CONNECTION, "Ciphers, best first; + adds, ^ puts first.",
         acts.algorithms("ciphers", CIPHER, "-c")),
    Flag("D", "[bind_address:]port", _FORWARDING, "A SOCKS server here that connects from there.",
         acts.forward("-D", "dynamic")),
    Flag("E", "log_file", _MESSAGES, "Append messages to this file instead of stderr.", acts.log_file),
    Flag("e", "escape_char", _SESSION, "The escape character, ^ and a letter, or none (default ~).", acts.escape),
    Flag("F", "configfile", _CONFIGURATION, "Read this configuration file only; none reads no file.",
         acts.config_file),
    Flag("f", "", _SESSION, "Go to the background before the command runs.",
         acts.sets("-f", forkafterauthentication=True, stdinnull=True)),
    Flag("G", "", _CONFIGURATION, "Print the configuration; with -v, where it comes from.", acts.dump),
    Flag("g", "", _FORWARDING, "Let other hosts connect to forwarded ports.", acts.sets("-g", gatewayports=True)),
    Flag("I", "pkcs11", _TRUST, "A PKCS#11 library with keys.",
         acts.takes("-I", "pkcs11provider", or_none=True)),
    Flag("i", "identity_file", _TRUST, "A private key to authenticate with; may be repeated.", acts.identity),
    Flag("J", "[user@]host[:port]", _CONNECTION, "Connect through these hosts, commas between them.",
         acts.jump),
    Flag("K", "", _TRUST, "Authenticate and delegate by GSSAPI.",
         acts.sets("-K", gssapiauthentication=True, gssapidelegatecredentials=True)),
    Flag("k", "", _TRUST, "Do not delegate GSSAPI credentials.", acts.sets("-k", gssapidelegatecredentials=False)),
    Flag("L", "address", _FORWARDING, "Forward a local port or socket.", acts.forward("-L", "local")),
    Flag("l", "login_name", _CONNECTION, "The user to log in as.", acts.login),
    Flag("M", "", _SHARING, "Be the master of a shared connection.", acts.master, ready=False),
    Flag("m", "mac_spec", _CONNECTION, "MACs, best first.", acts.algorithms("macs", MAC, "-m")),
    Flag("N", "", _SESSION, "Run no remote command.", acts.no_command),
    Flag("n", "", _SESSION, "Take stdin from /dev/null.", acts.sets("-n", stdinnull=True)),
    Flag("O", "ctl_cmd", _SHARING, "Control the master of a shared connection.", acts.control, ready=False),
    Flag("o", "option", _CONFIGURATION, "A line of configuration, as in -o Port=2200; repeatable.",
         acts.option),
    Flag("P", "tag", _CONFIGURATION, "The tag that Match tagged compares.", acts.tag),
    Flag("p", "port", _CONNECTION, "The port to connect to.", acts.port),
    Flag("Q", "query_option", _CONFIGURATION, "List what is supported: cipher, mac, kex, key, ... or help.",
         acts.query),
    Flag("q", "", _MESSAGES, "Say nothing but what the remote side says.", acts.quiet),
    Flag("R", "address", _FORWARDING, "Forward a remote port or socket.",
         acts.forward("-R", "remote")),
    Flag("S", "ctl_path", _SHARING, "The socket of a shared connection.",
         acts.takes("-S", "controlpath", or_none=True)),
    Flag("s", "", _SESSION, "The command is a subsystem's name.", acts.subsystem),
    Flag("T", "", _SESSION, "Ask for no terminal.", acts.sets("-T", requesttty="no")),
    Flag("t", "", _SESSION, "Ask for a terminal; twice, even without one here.", acts.terminal),
    Flag("V", "", _CONFIGURATION, "Print the version on stderr, as ssh does, and exit.", acts.version),
    Flag("v", "", _MESSAGES, "Say what happens; up to three times.", acts.verbose),
    Flag("W", "host:port", _FORWARDING, "Connect stdin and stdout to a place over there.",
         acts.stdio_forward),
    Flag("w", "local_tun[:remote_tun]", _FORWARDING, "A tunnel between network devices.",
         acts.tunnel),
    Flag("X", "", _FORWARDING, "Forward X11.",
         acts.sets("-X", forwardx11=True)),
    Flag("x", "", _FORWARDING, "Do not forward X11.", acts.sets("-x", forwardx11=False)),
    Flag("Y", "", _FORWARDING, "Forward X11 and trust it.",
         acts.sets("-Y", forwardx11=True, forwardx11trusted=True)),
    Flag("y", "", _MESSAGES, "Send messages to syslog.", acts.syslog),
    Flag("Z", "", _CONFIGURATION, "List the keys that would be tried and exit.", acts.list_keys),
)  # fmt: skip

_LONG_ROWS = (
    Flag("pick", "", _CONNECTION, "Choose the host from a list, by typing a part of it.", acts.pick),
    Flag("diagnose", "", _MESSAGES, "Tell how a login would go, and what to change.", acts.diagnose),
    Flag("json", "", _MESSAGES, "With --diagnose: print one JSON object.", acts.json),
    Flag("complete", "shell", _HELP, "Print what sets up Tab completion in bash, zsh or fish.", acts.complete),
    Flag("help", "", _HELP, "Show this and exit.", acts.help_),
    Flag("version", "", _HELP, "Show the version and exit.", acts.plain_version),
)  # fmt: skip

LONG_FLAGS: dict[str, Flag] = {row.letter: row for row in _LONG_ROWS}
"""The flags that ssh does not have, by name."""

FLAGS: dict[str, Flag] = {row.letter: row for row in _ROWS}
"""Every flag by its letter."""


def usage() -> str:
    """The usage, in the shape of ssh's."""
    letters = (row.letter for row in _ROWS if not row.argument and row.letter not in "12")
    plain = "".join(sorted(letters, key=lambda letter: (letter.lower(), letter)))
    items = [f"[-{plain}]", *(f"[-{row.letter} {row.argument}]" for row in _ROWS if row.argument)]
    items += ["destination", "[command [argument ...]]"]
    lines = ["usage: pyssh"]
    for item in items:
        if len(lines[-1]) + 1 + len(item) > 79:
            lines.append(" " * 11)
        lines[-1] += f" {item}"
    return "\n".join(lines)
