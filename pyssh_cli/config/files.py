"""Configuration files, read line by line into `Settings`: Host and Match blocks, Include, checks of ownership.

What a value means is the keyword table's; what a block's condition means is `match`'s. Complaints about lines are
said as they are found; the ConfigError at the end of a file with bad lines is the sum.
"""

from __future__ import annotations

import os
from stat import S_ISDIR
from typing import Any

from pyssh_cli.config.keywords import ALIASES, DEPRECATED, IGNORED, KEYWORDS, UNSUPPORTED, Keyword
from pyssh_cli.config.match import Conditions
from pyssh_cli.config.patterns import matches_list, matches_pattern
from pyssh_cli.config.reader import InvalidQuotesError, split_keyword, split_words
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import expand_tilde
from pyssh_cli.config.values import BadValue, Line
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import Log

SYSTEM_DIRECTORY = "/etc/ssh"
MAX_DEPTH = 16
"""How deep Include may nest."""


class UnreadableFile(ConfigError):
    """A file that could not be opened or read; `missing` when there is none of that name."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f"Can't open user config file {path}: {error.strerror}")
        self.missing = isinstance(error, FileNotFoundError)


class FileReader:
    """Reads files for one pass. `home` is the local user's home directory."""

    def __init__(self, settings: Settings, conditions: Conditions, log: Log, home: str) -> None:
        self._settings = settings
        self._conditions = conditions
        self._log = log
        self._home = home

    def read(self, path: str, *, user_file: bool, check_owner: bool, enabled: bool = True, depth: int = 0) -> None:
        """Read one file and what it includes.

        `user_file` tells whose rules hold for Include; `check_owner` refuses files that others could have
        written; with `enabled` false nothing in it applies, and only mistakes are looked for. Raises
        UnreadableFile, and ConfigError for a file with bad lines.
        """
        if depth > MAX_DEPTH:
            raise ConfigError("Too many recursive configuration includes.")
        content = self._content(path, check_owner)
        if content is None:
            return
        active = enabled
        bad = 0
        for number, raw in enumerate(content.split("\n"), 1):
            keyword, text = split_keyword(raw)
            if not keyword:
                continue
            try:
                if keyword in {"host", "match"}:
                    active = False
                    active = self._block(keyword, text, f"{path} line {number}", enabled=enabled)
                elif keyword == "include":
                    where = f"{path} line {number}"
                    self._include(_line(keyword, text), where, user_file=user_file, active=active, depth=depth)
                else:
                    assign(self._settings, self._log, keyword, text, (path, number), active=active)
            except BadValue as problem:
                self._log.error(f"{path} line {number}: {problem}")
                bad += 1
            except UnknownKeyword:
                self._log.error(f"{path}: line {number}: Bad configuration option: {keyword}")
                bad += 1
            except UnreadableFile as problem:
                self._log.error(str(problem))
                bad += 1
        if bad:
            raise ConfigError(f"{path}: terminating, {bad} bad configuration options")

    def _content(self, path: str, check_owner: bool) -> str | None:
        """The text of a file; None for a directory, which ssh takes for an empty file."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UnreadableFile(path, error) from None
        try:
            status = os.fstat(fd)
            if check_owner and (status.st_uid not in {0, os.getuid()} or status.st_mode & 0o022):
                raise ConfigError(f"Bad owner or permissions on {path}")
            self._log.debug1(f"Reading configuration data {path}")
            if S_ISDIR(status.st_mode):
                return None
            with open(fd, "rb", closefd=False) as file:
                content = file.read()
        except OSError as error:
            raise UnreadableFile(path, error) from None
        finally:
            os.close(fd)
        if b"\0" in content:  # ssh takes a NUL for the end of its line
            content = b"\n".join(line.partition(b"\0")[0] for line in content.split(b"\n"))
        return content.decode("utf-8", "surrogateescape")

    def _block(self, keyword: str, text: str, where: str, *, enabled: bool) -> bool:
        line = _line(keyword, text)
        if keyword == "match":
            return self._conditions.match(line.rest(), where, enabled=enabled)
        return enabled and self._conditions.host(line.rest(), where)

    def _include(self, line: Line, where: str, *, user_file: bool, active: bool, depth: int) -> None:
        for word in line.rest():
            if not word:
                raise BadValue("keyword include empty argument")
            if word.startswith("~") and not user_file:
                raise BadValue(f"bad include path {word}.")
            pattern = word
            if not word.startswith(("/", "~")):
                pattern = f"{'~/.ssh' if user_file else SYSTEM_DIRECTORY}/{word}"
            try:
                paths = _glob(expand_tilde(pattern, os.environ.get("HOME") or self._home, where))
            except ConfigError:
                paths = []
            if not paths:
                self._log.debug1(f"{where}: include {pattern} matched no files")
            for path in paths:
                self._log.debug3(f"{where}: Including file {path} depth {depth}")
                try:
                    self.read(path, user_file=user_file, check_owner=True, enabled=active, depth=depth + 1)
                except UnreadableFile as problem:
                    if not problem.missing:
                        raise


class UnknownKeyword(Exception):
    """A keyword that neither ssh nor pyssh knows."""


def assign(settings: Settings, log: Log, keyword: str, text: str, place: tuple[str, int], *, active: bool) -> None:
    """Read the arguments of one keyword and, when `active`, let `settings` have them.

    `place` is the file, or "command-line", and the line. Raises BadValue or UnknownKeyword.
    """
    keyword = ALIASES.get(keyword, keyword)
    line = _line(keyword, text)
    row = KEYWORDS.get(keyword)
    if row is None:
        where = f"{place[0]} line {place[1]}"
        if keyword in DEPRECATED:
            log.debug1(f'{where}: Deprecated option "{keyword}"')
        elif keyword in UNSUPPORTED:
            log.error(f'{where}: Unsupported option "{keyword}"')
        elif matches_list(keyword, (settings.get("ignoreunknown") or "").lower()):
            log.debug1(f'{where}: Ignored unknown option "{keyword}"')
        elif keyword not in IGNORED:
            raise UnknownKeyword(keyword)
        return
    value = row.parse(line)
    line.end()
    if active:
        offer(settings, row, value, f"{place[0]}:{place[1]}" if place[1] else f"-o {row.name}")


def offer(settings: Settings, row: Keyword, value: Any, origin: str) -> None:
    """Let `settings` have a value by the rules of its keyword."""
    keyword = row.name.lower()
    if keyword == "sendenv":
        _send_env(settings, value, origin)
    elif row.adds:
        settings.add(keyword, [value], origin)
    elif keyword == "proxyjump" and "proxycommand" in settings.values:
        pass  # the two share one place, and whoever comes first has it (ssh_config(5), ProxyJump)
    elif keyword == "proxycommand" and "proxyjump" in settings.values:
        pass
    else:
        settings.set_first(keyword, value, origin)


def _send_env(settings: Settings, names: list[str], origin: str) -> None:
    for name in names:
        if not name.startswith("-"):
            settings.add("sendenv", [name], origin)
            continue
        held = settings.get("sendenv") or []
        for index in reversed(range(len(held))):
            if matches_pattern(held[index], name[1:]):
                settings.remove("sendenv", index)


def _line(keyword: str, text: str) -> Line:
    if not text:
        raise BadValue(f'no argument after keyword "{keyword}"')
    try:
        return Line(keyword, text, split_words(text))
    except InvalidQuotesError:
        raise BadValue("invalid quotes") from None


def _glob(pattern: str) -> list[str]:
    """The paths that fit `pattern`, sorted. The usual `directory/*.conf` is done without the glob module."""
    directory, _, name = pattern.rpartition("/")
    if not any(char in pattern for char in "*?["):
        return [pattern] if os.path.lexists(pattern) else []
    if any(char in directory for char in "*?[") or "[" in name:
        import glob

        return sorted(glob.glob(pattern))
    try:
        names = os.listdir(directory or "/")
    except OSError:
        return []
    return sorted(
        f"{directory}/{entry}"
        for entry in names
        if matches_pattern(entry, name) and (entry[0] != "." or name[0] == ".")
    )
