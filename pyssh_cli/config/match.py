"""The conditions of Host and Match lines: does this block apply to this connection?

Not the reading of files: `files` calls in here for each such line. `Match exec` runs the person's own command.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from pyssh_cli.config.patterns import matches_list, matches_pattern
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import Tokens
from pyssh_cli.config.values import BadValue
from pyssh_cli.log import Log


class Destination(NamedTuple):
    """What is known of the connection before any file is read.

    `host` is what Host lines compare: the host as typed, or after the first pass the name it came to.
    `original_host` is always the host as typed. `command` is the remote command or the subsystem, or None.
    """

    host: str
    original_host: str
    local_user: str
    command: str | None = None
    final_pass: bool = False


class Conditions:
    """Judges Host and Match lines for one pass over the files.

    `tokens_of` makes the tokens of Match exec from what is settled so far. `final_wanted` becomes true when a
    `Match final` asks for a second pass.
    """

    def __init__(
        self,
        destination: Destination,
        settings: Settings,
        log: Log,
        tokens_of: Callable[[str, str], Tokens],
    ) -> None:
        self._destination = destination
        self._settings = settings
        self._log = log
        self._tokens_of = tokens_of
        self.final_wanted = False

    def host(self, patterns: list[str], where: str) -> bool:
        """Whether a Host line applies: some pattern matches and no negated one does."""
        host = self._destination.host
        applies = ""
        for word in patterns:
            if not word:
                raise BadValue("keyword host empty argument")
            if word[0] == "!" and matches_pattern(host, word[1:]):
                self._log.debug1(f"{where}: Skipping Host block because of negated match for {word[1:]}")
                return False
            if word[0] != "!" and not applies and matches_pattern(host, word):
                applies = word
        if applies:
            self._log.debug1(f"{where}: Applying options for {applies}")
        return bool(applies)

    def match(self, words: list[str], where: str, *, enabled: bool) -> bool:
        """Whether a Match line applies; every criterion is checked for sense even when one has failed.

        With `enabled` false nothing applies, and no command is run. Raises BadValue after saying what is wrong.
        """
        if not words:
            self._wrong("One or more attributes required for Match")
        result = enabled
        queue = list(reversed(words))
        seen = 0
        while queue:
            criterion, equals, argument = queue.pop().partition("=")
            negated = criterion.startswith("!")
            name = criterion[negated:].lower()
            if name == "all":
                if seen > 1 or queue:
                    self._wrong(f"{where}: 'all' cannot be combined with other Match attributes")
                return result and not negated
            seen += 1
            if name in {"canonical", "final"}:
                if name == "final" and not negated:
                    self.final_wanted = True
                outcome = self._destination.final_pass
                shown = f"'{criterion}'"
            else:
                if not equals:
                    if not queue:
                        self._wrong(f"Missing Match criteria for {name}")
                    argument = queue.pop()
                if name == "exec" and not result:
                    self._log.debug3(f'{where}: skipped exec "{argument}"')
                    continue
                outcome = self._criterion(name, argument, where)
                shown = f"'{criterion} \"{argument}\"'"
            holds = outcome != negated
            self._log.debug3(f"{where}: {'' if holds else 'not '}matched {shown}")
            result = result and holds
        return result

    def _wrong(self, message: str) -> None:
        self._log.error(message)
        raise BadValue("Bad Match condition")

    def _criterion(self, name: str, argument: str, where: str) -> bool:
        given = self._destination
        if name == "host":
            return matches_list(self._hostname(), argument, fold_case=True)
        if name == "originalhost":
            return matches_list(given.original_host, argument, fold_case=True)
        if name == "user":
            return matches_list(self._settings.get("user") or given.local_user, argument)
        if name == "localuser":
            return matches_list(given.local_user, argument)
        if name == "tagged":
            return matches_list(self._settings.get("tag") or "", argument)
        if name == "command":
            command = given.command or self._settings.get("remotecommand") or ""
            return matches_list(command, argument) if command or not argument else False
        if name == "sessiontype":
            return matches_list(self._session(), argument)
        if name == "exec":
            return self._runs(argument, where)
        if name in {"localnetwork", "version"}:
            self._wrong(f"{where}: Match {name} is not supported yet")
        self._wrong(f"Unsupported Match attribute {name}")
        return False

    def _hostname(self) -> str:
        """The name to connect to, as far as it is settled."""
        given = self._destination
        name: str | None = self._settings.get("hostname")
        if given.final_pass:
            return given.host
        if name is None:
            return given.original_host
        return Tokens({"h": given.original_host}).expand(name, allowed="h", where="Hostname")

    def _session(self) -> str:
        kind = self._settings.get("sessiontype")
        if kind in {"none", "subsystem"}:
            return str(kind)
        return "exec" if self._destination.command or self._settings.get("remotecommand") else "shell"

    def _runs(self, command: str, where: str) -> bool:
        """Run `command` by the person's shell, its output kept from ours; whether it exits with 0."""
        import signal

        user = self._settings.get("user") or self._destination.local_user
        expanded = self._tokens_of(self._hostname(), user).expand(command, where=f"{where}: Match exec")
        self._log.debug1(f"Executing command: '{expanded}'")
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            child = os.posix_spawn(
                shell,
                [shell, "-c", expanded],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                ],
                setsigdef=[signal.SIGPIPE],
            )
        except OSError as error:
            self._wrong(f"{where}: match exec '{expanded}' error: cannot run {shell}: {error.strerror}")
            return False
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        self._log.debug3(f"command returned status {code}")
        return code == 0
