"""The conditions of Host and Match lines: does this block apply to this connection?

Not the reading of files: `files` calls in here for each such line. `Match exec` runs the person's own command.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from pyssh_cli import __version__
from pyssh_cli.config.network import Network
from pyssh_cli.config.patterns import judge_list, matches_pattern
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import TOKEN_RULES, Tokens
from pyssh_cli.config.values import BadValue
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG1, DEBUG2, Log

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

LANGUAGE = "OpenSSH_10.5p1"
"""The release whose ssh_config(5) is read here: one of the two names that Match version compares."""

NOT_JUDGED = "the enclosing block does not apply"
"""Why a block in a file does not apply when the Include line of that file does not."""


class Destination(NamedTuple):
    """What is known of the connection before any file is read.

    `host` is what Host lines compare: the host as typed, or after the first pass the name it came to.
    `original_host` is always the host as typed. `command` is the command or the subsystem of the command line,
    or None: what RemoteCommand says is not compared. `final_pass` is true in the second pass over the files,
    whichever of Match final and CanonicalizeHostname it is there for.
    """

    host: str
    original_host: str
    local_user: str
    command: str | None = None
    final_pass: bool = False


class Conditions:
    """Judges Host and Match lines for one pass over the files.

    `tokens_of` makes the tokens of Match exec and Include from the host name and the user settled so far.
    `network` knows the local addresses, for Match localnetwork; without it none matches. `final_wanted` becomes
    true when a `Match final` asks for a second pass. `reason` tells why the last line judged does not apply, and
    is empty when it does.
    """

    def __init__(
        self,
        destination: Destination,
        settings: Settings,
        log: Log,
        tokens_of: Callable[[str, str], Tokens],
        *,
        network: Network | None = None,
    ) -> None:
        self._destination = destination
        self._settings = settings
        self._log = log
        self._tokens_of = tokens_of
        self._network = network
        self.final_wanted = False
        self.reason = ""

    @property
    def destination(self) -> Destination:
        """What the lines are compared with."""
        return self._destination

    def host(self, patterns: list[str], where: str) -> bool:
        """Whether a Host line applies: some pattern matches and no negated one does. Raises BadValue."""
        host = self._destination.host
        applies = ""
        for word in patterns:
            if not word:
                raise BadValue("keyword host empty argument")
            if word[0] == "!":
                if matches_pattern(host, word[1:]):
                    self._log.debug1(f"{where}: Skipping Host block because of negated match for {word[1:]}")
                    self.reason = f"negated pattern {word} matches"
                    return False
            elif not applies and matches_pattern(host, word):
                applies = word
        if applies:
            if self._log.enabled(DEBUG1):
                self._log.debug1(f"{where}: Applying options for {applies}")
            self.reason = ""
            return True
        self.reason = f'no pattern matches "{host}"'
        return False

    def match(self, words: list[str], where: str, *, enabled: bool, text: str = "") -> bool:
        """Whether a Match line applies; every criterion is checked for sense even when one has failed.

        With `enabled` false nothing applies, and no command is run. `text` is the line as it stands, for debug
        output. Raises BadValue after saying what is wrong, and ConfigError where ssh ends at once.
        """
        debugging = self._log.enabled(DEBUG2)
        if debugging:
            original = self._destination.original_host
            shown = f"'{text}' host {self._hostname()} originally {original}"
            self._log.debug2(f"checking match for {shown}")
        reason = self._judge(words, where, enabled=enabled)
        if debugging:
            self._log.debug2(f"match {'not ' if reason else ''}found")
        self.reason = reason if enabled else NOT_JUDGED
        return not self.reason

    def _judge(self, words: list[str], where: str, *, enabled: bool) -> str:
        """Why a Match line does not apply, by its first criterion that failed; "" when it does."""
        reason = ""
        queue = list(reversed(words))
        seen = 0
        while queue and queue[-1] and queue[-1][0] != "#":
            criterion, equals, argument = queue.pop().partition("=")
            negated = criterion.startswith("!")
            criterion = criterion[negated:]
            name = criterion.lower()
            if name in {"all", "canonical", "final"} and argument:
                queue.append(argument)
            if name == "all":
                if seen > 1 or (queue and queue[-1]):
                    sign = "!" if negated else ""
                    self._wrong(f"{where}: '{sign}{criterion}' cannot be combined with other Match attributes")
                return reason or ("!all never applies" if negated else "")
            seen += 1
            if name in {"canonical", "final"}:
                if name == "final" and not negated:
                    self.final_wanted = True
                final = self._destination.final_pass
                outcome = Outcome(final, "", "only in the final pass", "not in the final pass")
            else:
                if not equals or (not argument and name not in _MAY_BE_EMPTY):
                    argument = self._argument(queue, criterion)
                if name == "exec":
                    command = self._expanded(argument, where)
                    if reason or not enabled:
                        self._log.debug3(f'{where}: skipped exec "{command}"')
                        continue
                    if self._settings.previewing:
                        self._settings.exec_left_out = True
                        reason = "nothing is run for a preview"
                        continue
                    self._log.clear()  # it may have something to say on the terminal
                    outcome = self._execute(command, where)
                else:
                    outcome = self._compare(name, criterion, argument)
            holds = outcome.matches != negated
            sign = "!" if negated else ""
            self._log.debug3(f"{where}: {'' if holds else 'not '}matched '{sign}{criterion}{outcome.shown}' ")
            if not holds:
                reason = reason or (outcome.negated_reason if negated else outcome.reason)
        if not seen:
            self._wrong("One or more attributes required for Match")
        if len(queue) > 1 and not queue[-1]:  # an empty word ends the criteria, and nothing may follow
            raise BadValue("keyword match extra arguments at end of line")
        return reason

    def _argument(self, queue: list[str], criterion: str) -> str:
        """The argument of a criterion, taken off `queue`; an `=` may stand apart in front of it."""
        argument = queue.pop() if queue else None
        if argument is not None and argument.startswith("="):
            argument = argument[1:] or (queue.pop() if queue else None)
        if (
            argument is None
            or argument.startswith("#")
            or (not argument and criterion.lower() not in _MAY_BE_EMPTY)
        ):
            self._wrong(f"Missing Match criteria for {criterion}")
        return argument

    def _wrong(self, message: str) -> NoReturn:
        self._log.error(message)
        raise BadValue("Bad Match condition")

    def _compare(self, name: str, criterion: str, argument: str) -> Outcome:
        """What comes of a criterion that compares something with a list."""
        if name == "localnetwork":
            return self._local_network(argument)
        if name == "version":
            return _version(argument)
        settled = _SETTLED.get(name)
        if settled is None:
            self._wrong(f"Unsupported Match attribute {criterion}")
        value = settled(self)
        fold_case = name in {"host", "originalhost"}
        if name in _MAY_BE_EMPTY and not value:
            matches = not argument
        else:
            matches = judge_list(value, argument, fold_case=fold_case) == 1
        return Outcome(
            matches,
            f' "{value}"',
            f'{name} "{value}" is not in "{argument}"',
            f'{name} "{value}" is in "{argument}"',
        )

    def _hostname(self) -> str:
        """The name to connect to, as far as it is settled."""
        given = self._destination
        if given.final_pass:
            return given.host
        name: str | None = self._settings.get("hostname")
        if name is None:
            return given.host
        return Tokens({"h": given.host}).expand(name, allowed="h", where="Hostname")

    def _user(self) -> str:
        user: str | None = self._settings.get("user")
        return self._destination.local_user if user is None else user

    def _session(self) -> str:
        kind = self._settings.get("sessiontype")
        if kind in {"none", "subsystem"}:
            return str(kind)
        return "exec" if self._destination.command else "shell"

    def tokens(self) -> Tokens:
        """The tokens of Match exec and Include, from what is settled so far.

        %k is the host name here when there is no HostKeyAlias; it is the host as typed everywhere else.
        """
        hostname = self._hostname()
        known = self._tokens_of(hostname, self._user())
        return known.extended(k=self._settings.get("hostkeyalias") or hostname)

    def _expanded(self, command: str, where: str) -> str:
        letters = TOKEN_RULES["match exec"].letters or ""
        return self.tokens().expand(command, allowed=letters, where=f"{where}: Match exec")

    def _execute(self, command: str, where: str) -> Outcome:
        """What comes of Match exec: `command` is run, and 0 matches."""
        code = self._status(command, where)
        return Outcome(code == 0, f' "{command}"', f"exec failed with {code}", "exec succeeded")

    def _status(self, command: str, where: str) -> int:
        """Run `command` by the person's shell, its output kept from ours; the status it exits with.

        Raises ConfigError for a shell that cannot be run, and for a command that a signal ended.
        """
        import signal

        shell = os.environ.get("SHELL", "/bin/sh")
        if not os.access(shell, os.X_OK):
            why = "Permission denied" if os.path.exists(shell) else "No such file or directory"
            raise ConfigError(f'{where}: Shell "{shell}" is not executable: {why}')
        self._log.debug1(f"Executing command: '{command}'")
        try:
            child = os.posix_spawn(
                shell,
                [shell, "-c", command],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                ],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # which Python ignores
            )
        except OSError as error:
            raise ConfigError(f"{where}: Unable to execute '{command}': {error.strerror}") from None
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            self._log.error(f"command '{command}' exited abnormally")
            raise ConfigError(f"{where}: match exec '{command}' error")
        self._log.debug3(f"command returned status {code}")
        return code

    def _local_network(self, argument: str) -> Outcome:
        """What comes of Match localnetwork. Every entry of the list is checked, whatever matches."""
        from ipaddress import ip_address

        networks = [self._network_entry(entry, argument) for entry in argument.split(",")]
        found = False
        try:
            addresses = [] if self._network is None else self._network.local_addresses()
        except OSError as error:
            self._log.error(f"match localnetwork: getifaddrs failed: {error.strerror}")
            addresses = []
        for text in addresses:
            address = ip_address(text)
            if any(network.version == address.version and address in network for network in networks):
                self._log.debug3(f"localnetwork: address {text} is in {argument}")
                found = True
                break
        return Outcome(found, "", f'no local address is in "{argument}"', f'a local address is in "{argument}"')

    def _network_entry(self, entry: str, argument: str) -> IPv4Network | IPv6Network:
        """One network of a list: an address, or an address with no host bits, `/` and the length of its prefix."""
        from ipaddress import ip_address, ip_network

        if not entry:
            self._wrong(f'empty entry in list "{argument}"')
        text, slash, length = entry.partition("/")
        try:
            address = ip_address(text)
            if "%" in text or (slash and not (length.isascii() and length.isdigit() and len(length) <= 3)):
                raise ValueError
        except ValueError:
            self._wrong(f'Invalid network entry "{entry}"')
        try:
            return ip_network(f"{address}/{length}" if slash else address)
        except ValueError:
            self._wrong(f'Inconsistent mask length for network "{entry}"')


class Outcome(NamedTuple):
    """What came of one criterion: whether it matches, what debug output shows behind its name, and for the two
    ways to fail (it did not match; it did, and is negated) the reasons.
    """

    matches: bool
    shown: str
    reason: str
    negated_reason: str


_MAY_BE_EMPTY = {"tagged", "command"}
"""Criteria whose empty argument matches the empty value, and nothing else does."""

_SETTLED: dict[str, Callable[[Conditions], str]] = {
    "host": Conditions._hostname,
    "originalhost": lambda conditions: conditions.destination.original_host,
    "user": Conditions._user,
    "localuser": lambda conditions: conditions.destination.local_user,
    "tagged": lambda conditions: conditions._settings.get("tag") or "",
    "command": lambda conditions: conditions.destination.command or "",
    "sessiontype": Conditions._session,
}
"""The values that criteria compare with a list of patterns."""


def _version(argument: str) -> Outcome:
    """What comes of Match version.

    It holds when the list of patterns fits the release whose files are read here ("OpenSSH_10.5p1"), so that files
    made for ssh do the same, or our own ("pyssh_1.0"), so that a file can tell the two apart; and neither is
    refused by a pattern with `!`.
    """
    names = (LANGUAGE, f"pyssh_{__version__}")
    verdicts = {judge_list(name, argument) for name in names}
    shown = " or ".join(names)
    return Outcome(
        1 in verdicts and -1 not in verdicts,
        f' "{shown}"',
        f'version "{shown}" is not in "{argument}"',
        f'version "{shown}" is in "{argument}"',
    )
