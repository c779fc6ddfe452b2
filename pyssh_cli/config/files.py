"""Configuration files, read line by line into `Settings`: Host and Match blocks, Include, checks of ownership.

What a value means is the keyword table's; what a block's condition means is `match`'s. Complaints about lines are
said as they are found; the ConfigError at the end of a file with bad lines is the sum.
"""

from __future__ import annotations

import os
from stat import S_ISDIR, S_IWGRP, S_IWOTH
from typing import Any

from pyssh_cli.config import globs
from pyssh_cli.config.keywords import ALIASES, DEPRECATED, IGNORED, KEYWORDS, UNSUPPORTED, Keyword
from pyssh_cli.config.match import NOT_JUDGED, Conditions
from pyssh_cli.config.patterns import matches_list, matches_pattern
from pyssh_cli.config.reader import InvalidQuotesError, ascii_lower, split_keyword, split_words
from pyssh_cli.config.settings import Block, Settings
from pyssh_cli.config.tokens import TOKEN_RULES, MissingVariable, expand_tilde
from pyssh_cli.config.values import UNSET, BadValue, FatalValue, Line
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import Log

SYSTEM_DIRECTORY = "/etc/ssh"
MAX_DEPTH = 16
"""How deep Include may nest."""
LARGE = 1 << 16
"""From how many characters on it pays to make the expression of `skipping` for a file."""


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
        self._includes: list[tuple[str, int]] = []
        self._fine: set[str] = set()

    def read(self, path: str, *, user_file: bool, check_owner: bool, enabled: bool = True, depth: int = 0) -> None:
        """Read one file and what it includes.

        `user_file` tells whose rules hold for Include; `check_owner` refuses files that others could have
        written; with `enabled` false nothing in it applies, and only mistakes are looked for. Raises
        UnreadableFile, and ConfigError for a file with bad lines.
        """
        if depth > MAX_DEPTH:
            raise ConfigError(f"Too many recursive configuration includes{self._chain()}")
        content = self._content(path, check_owner)
        if content is None:
            return
        host = self._conditions.destination.host
        skippable = None
        if len(content) >= LARGE and host and host.isascii() and not self._settings.wants_blocks:
            from pyssh_cli.config import skipping

            skippable = skipping.skippable(host)
        active = enabled
        at = number = bad = 0
        while at < len(content):
            if skippable is not None and not active:
                skipped = skippable.match(content, at)
                if skipped is not None:
                    number += content.count("\n", at, skipped.end())
                    at = skipped.end()
            end = content.find("\n", at)
            line = content[at:] if end < 0 else content[at:end]
            at += len(line) + 1
            number += 1
            if not active and line in self._fine:
                continue
            keyword, text = split_keyword(line)
            if not keyword:
                continue
            try:
                if keyword in {"host", "match"}:
                    active = False
                    active = self._block(keyword, text, (path, number), enabled=enabled)
                elif keyword == "include":
                    place = (path, number)
                    self._include(line_of(keyword, text), place, user_file=user_file, active=active, depth=depth)
                elif assign(self._settings, self._log, keyword, text, (path, number), active=active):
                    self._fine.add(line)
            except FatalValue as problem:
                raise ConfigError(f"{path} line {number}: {problem}") from None
            except BadValue as problem:
                self._log.error(f"{path} line {number}: {problem}")
                bad += 1
            except UnknownKeyword as problem:
                self._log.error(f"{path}: line {number}: Bad configuration option: {keyword}{meant(keyword)}")
                if problem.bad_quotes:
                    self._log.error(f"{path} line {number}: invalid quotes")
                bad += 1
            except UnreadableFile as problem:
                self._log.error(str(problem))
                bad += 1
        if bad:
            raise ConfigError(f"{path}: terminating, {bad} bad configuration options")

    def _chain(self) -> str:
        """Where a file was included last, for the end of a message."""
        if not self._includes:
            return ""
        path, number = self._includes[-1]
        again = " once more, in a circle" if any(place[0] == path for place in self._includes[:-1]) else ""
        return f" ({path} line {number} includes{again})"

    def _content(self, path: str, check_owner: bool) -> str | None:
        """The text of a file; None for a directory, which ssh takes for an empty file."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UnreadableFile(path, error) from None
        try:
            status = os.fstat(fd)
            if check_owner and not _is_safe(status):
                raise ConfigError(f"Bad owner or permissions on {path}{_cure(status, path)}")
            self._log.debug1(f"Reading configuration data {path}")
            if S_ISDIR(status.st_mode):
                return None
            pieces = []
            while piece := os.read(fd, max(status.st_size + 1, 1 << 16)):
                pieces.append(piece)
            content = b"".join(pieces)
        except OSError as error:
            raise UnreadableFile(path, error) from None
        finally:
            os.close(fd)
        if b"\0" in content:  # ssh takes a NUL for the end of its line
            content = b"\n".join(line.partition(b"\0")[0] for line in content.split(b"\n"))
        return content.decode("utf-8", "surrogateescape")

    def _block(self, keyword: str, text: str, place: tuple[str, int], *, enabled: bool) -> bool:
        """Judge a Host or Match line, and take it down when somebody wants to see the blocks."""
        words = line_of(keyword, text).rest()
        conditions = self._conditions
        where = f"{place[0]} line {place[1]}"
        if keyword == "match":
            applies = conditions.match(words, where, enabled=enabled, text=text)
            reason = conditions.reason
        elif enabled:
            applies = conditions.host(words, where)
            reason = conditions.reason
        else:
            if words and not words[0]:
                raise BadValue("keyword host empty argument")
            applies, reason = False, NOT_JUDGED
        if self._settings.wants_blocks:
            shown = f"{keyword.capitalize()} {text}"
            final_pass = conditions.destination.final_pass
            included = self._includes[-1] if self._includes else None
            self._settings.blocks.append(Block(*place, shown, applies, reason, final_pass, included))
        return applies

    def _include(self, line: Line, place: tuple[str, int], *, user_file: bool, active: bool, depth: int) -> None:
        where = f"{place[0]} line {place[1]}"
        for word in line.rest():
            if not word:
                raise BadValue("keyword include empty argument")
            pattern = self._include_pattern(word, where, user_file=user_file)
            if pattern is None:
                continue
            try:
                found = globs.paths(expand_tilde(pattern, os.environ.get("HOME") or self._home, where))
            except ConfigError:
                found = []
            if not found:
                self._log.debug1(f"{where}: include {pattern} matched no files")
            for path in found:
                parse_only = "" if active else " (parse only)"
                self._log.debug3(f"{where}: Including file {path} depth {depth}{parse_only}")
                if active and self._settings.wants_blocks:
                    self._settings.includes[path] = place
                self._includes.append(place)
                try:
                    self.read(path, user_file=user_file, check_owner=True, enabled=active, depth=depth + 1)
                except UnreadableFile as problem:
                    if not problem.missing:
                        raise
                finally:
                    self._includes.pop()

    def _include_pattern(self, word: str, where: str, *, user_file: bool) -> str | None:
        """The pattern of an Include with its tokens replaced, and anchored; None when a variable is missing.

        A missing variable is told and the word passed over, as ssh does; other bad tokens raise ConfigError.
        """
        if "%" in word or "${" in word:
            rule = TOKEN_RULES["include"]
            try:
                word = self._conditions.tokens().expand(
                    word, allowed=rule.letters or "", environment=True, where=f"{where}: Include"
                )
            except MissingVariable as problem:
                self._log.error(str(problem))
                return None
        if word.startswith("~") and not user_file:
            raise BadValue(f"bad include path {word}.")
        if word.startswith(("/", "~")):
            return word
        return f"{'~/.ssh' if user_file else SYSTEM_DIRECTORY}/{word}"


def meant(keyword: str) -> str:
    """The keyword that a mistyped one is close to, for the end of a message."""
    if not (3 <= len(keyword) <= 40 and keyword.isascii() and keyword.isalnum()):
        return ""
    from difflib import get_close_matches

    found = get_close_matches(keyword, [*KEYWORDS, "host", "match", "include"], 1, 0.8)
    if not found:
        return ""
    row = KEYWORDS.get(found[0])
    return f" (did you mean {row.name if row else found[0].capitalize()}?)"


def _cure(status: os.stat_result, path: str) -> str:
    """What makes a file one that nobody else could have written."""
    from shlex import quote

    if status.st_uid not in {0, os.getuid()}:
        return (
            f" (it has to belong to you or root, and be yours alone to write: chown {os.getuid()} {quote(path)})"
        )
    return f" (only you may be able to write to it: chmod go-w {quote(path)})"


def _is_safe(status: os.stat_result) -> bool:
    """Whether nobody but root and the person could have written a file (ssh_config(5), FILES).

    The group may, when the person is all of it, as Debian has it for its one group a person.
    """
    if status.st_uid not in {0, os.getuid()} or status.st_mode & S_IWOTH:
        return False
    return not status.st_mode & S_IWGRP or _is_alone_in_group(status.st_uid, status.st_gid)


def _is_alone_in_group(owner: int, gid: int) -> bool:
    """Whether the group has one member at least, and none but the owner of a file who is the person running us."""
    import grp
    import pwd

    try:
        named = set(grp.getgrgid(gid).gr_mem)
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        return False
    by_entry = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    return bool(named or by_entry) and named <= {name} and by_entry <= {os.getuid()}


class UnknownKeyword(Exception):
    """A keyword that neither ssh nor pyssh knows; `bad_quotes` when its arguments leave a quote open, too."""

    def __init__(self, keyword: str, *, bad_quotes: bool = False) -> None:
        super().__init__(keyword)
        self.bad_quotes = bad_quotes


def assign(settings: Settings, log: Log, keyword: str, text: str, place: tuple[str, int], *, active: bool) -> bool:
    """Read the arguments of one keyword and, when `active`, let `settings` have them.

    `place` is the file, or "command-line", and the line. Whether the same line needs no other look where it does
    not apply: it was fine, and there is nothing to say of it. Raises BadValue or UnknownKeyword.
    """
    row = KEYWORDS.get(keyword) or KEYWORDS.get(ALIASES.get(keyword, ""))
    if row is None:
        _without_value(settings, log, keyword, text, place)
        return False
    line = line_of(keyword, text)
    value = row.parse(line)
    if active:  # before the end of the line is looked at: what IgnoreUnknown says holds for the lines below
        offer(settings, row, value, f"{place[0]}:{place[1]}" if place[1] else f"-o {row.name}")
    line.end()
    for note in line.notes:
        log.debug1(f"{place[0]} line {place[1]}: {note}")
    return not line.notes


def _without_value(settings: Settings, log: Log, keyword: str, text: str, place: tuple[str, int]) -> None:
    """What there is to say of a keyword that is not in the table. Raises BadValue or UnknownKeyword."""
    where = f"{place[0]} line {place[1]}"
    if not text:
        raise BadValue(f'no argument after keyword "{keyword}"')
    known = keyword in DEPRECATED or keyword in UNSUPPORTED or keyword in IGNORED
    ignored = not known and matches_list(keyword, ascii_lower(settings.get("ignoreunknown") or ""))
    try:
        split_words(text)
    except InvalidQuotesError:
        if known or ignored:
            raise BadValue("invalid quotes") from None
        raise UnknownKeyword(keyword, bad_quotes=True) from None
    if keyword in DEPRECATED:
        log.debug1(f'{where}: Deprecated option "{keyword}"')
    elif keyword in UNSUPPORTED:
        log.error(f'{where}: Unsupported option "{keyword}"')
    elif ignored:
        log.debug1(f'{where}: Ignored unknown option "{keyword}"')
    elif not known:
        raise UnknownKeyword(keyword)


MAX_IDENTITIES = 100
_MOST = {"identityfile": ("identity", MAX_IDENTITIES), "certificatefile": ("certificate", 100)}
"""How many of these there may be: what each of them is called, and the number."""


def offer(settings: Settings, row: Keyword, value: Any, origin: str) -> None:
    """Let `settings` have a value by the rules of its keyword. Raises BadValue where there are too many."""
    keyword = row.name.lower()
    if keyword == "sendenv":
        _send_env(settings, value, origin)
    elif row.adds:
        if keyword in _MOST and len(settings.get(keyword) or ()) >= _MOST[keyword][1]:
            what, most = _MOST[keyword]
            raise BadValue(f"Too many {what} files specified (max {most}).")
        settings.add(keyword, [value], origin)
    elif keyword == "proxyjump" and "proxycommand" in settings.values:
        pass  # the two share one place, and whoever comes first has it (ssh_config(5), ProxyJump)
    elif any(settings.get(other) for other in _INSTEAD.get(keyword, ())):
        pass
    elif keyword == "rekeylimit" and keyword in settings.values:
        settings.values[keyword] = _filled(settings.values[keyword], value)
    elif keyword == "forwardagent" and settings.get(keyword) == "yes" and value != "no":
        settings.replace(keyword, value, origin)  # which agent, where it is settled that one is forwarded
    elif keyword == "refuseconnection":
        raise FatalValue(f"RefuseConnection: {value}")
    elif value is not UNSET:
        settings.set_first(keyword, value, origin)


_INSTEAD = {"proxycommand": ("proxyjump", "proxy"), "proxy": ("proxycommand",)}
"""What leaves a keyword without effect when it came first."""


def _filled(held: tuple[int, Any], value: tuple[int, Any]) -> tuple[int, Any]:
    """RekeyLimit's bytes are the first given; so are its seconds, which may come from a later line."""
    return held[0], value[1] if held[1] is UNSET else held[1]


def _send_env(settings: Settings, names: list[str], origin: str) -> None:
    for name in names:
        if not name.startswith("-"):
            settings.append("sendenv", name, origin)
            continue
        held = settings.get("sendenv") or []
        for index in reversed(range(len(held))):
            if matches_pattern(held[index], name[1:]):
                settings.remove("sendenv", index)


def line_of(keyword: str, text: str) -> Line:
    """The arguments of a keyword as words. Raises BadValue where there are none, or a quote is left open."""
    if not text:
        raise BadValue(f'no argument after keyword "{keyword}"')
    try:
        return Line(keyword, text, split_words(text))
    except InvalidQuotesError:
        raise BadValue("invalid quotes") from None
