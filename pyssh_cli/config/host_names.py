"""The names of hosts that a person is likely to mean: those on Host lines and in known_hosts. For choosing from.

Nothing is judged here: Host blocks are not compared with anything, and what is included under one that may not
apply counts as well. Names are as the files have them, which anybody may have written: to be checked and cleaned.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pwd import getpwuid
from typing import NamedTuple

from pyssh_cli.config import globs
from pyssh_cli.config.reader import InvalidQuotesError, split_keyword, split_words
from pyssh_cli.config.tokens import Tokens, expand_tilde
from pyssh_cli.errors import ConfigError
from pyssh_cli.keys.reading import read_regular_file

MAX_FILE_SIZE = 64 << 20
"""Bytes of a file."""

MAX_FILES = 1024
"""Files of configuration, with those that they include."""

MAX_NAMES = 100_000
"""Names from all files: more than anybody can choose from."""

MAX_LENGTH = 255
"""Characters of a name, as in the DNS. Longer ones are left out."""

SYSTEM_FILE = "/etc/ssh/ssh_config"

_OF_INTEREST = re.compile(r'^[ \t\r\f="]*(?:host|include)\b.*', re.IGNORECASE | re.MULTILINE | re.ASCII)
_PATTERN = frozenset("*?!")
_NUMERIC = re.compile(rb"[0-9.]+|.*:.*")


class HostName(NamedTuple):
    """A name, and the port it is known under, None for the usual one."""

    name: str
    port: int | None = None


def host_names(config_files: Iterable[tuple[str, bool]], known_hosts_files: Iterable[str]) -> list[HostName]:
    """All names in the order of the files, each once.

    `config_files` are paths with whether they are the person's own, which is whose rules hold for Include. What
    cannot be read is passed over.
    """
    found: dict[HostName, None] = {}
    reader = _ConfigReader()
    for path, own in config_files:
        for name in reader.names(path, own):
            found[HostName(name)] = None
    for path in known_hosts_files:
        for known in known_names(path):
            found[known] = None
            if len(found) > MAX_NAMES:
                return list(found)
    return list(found)


def usual_config_files(home: str) -> tuple[tuple[str, bool], ...]:
    """The files of configuration where no other is named."""
    return (f"{home}/.ssh/config", True), (SYSTEM_FILE, False)


class _ConfigReader:
    """Goes through files of configuration, each once."""

    def __init__(self) -> None:
        person = getpwuid(os.getuid())
        here = os.uname().nodename
        self._home = os.environ.get("HOME") or person.pw_dir
        self._read: set[str] = set()
        self._tokens = Tokens({
            "d": person.pw_dir,
            "i": str(person.pw_uid),
            "L": here.partition(".")[0],
            "l": here,
            "u": person.pw_name,
        })  # fmt: skip

    def names(self, path: str, own: bool) -> Iterator[str]:
        """The names without a wildcard on the file's Host lines, and on those of the files it includes."""
        if path in self._read or len(self._read) >= MAX_FILES:
            return
        self._read.add(path)
        try:
            content = read_regular_file(path, MAX_FILE_SIZE).decode("utf-8", "surrogateescape")
        except OSError:
            return
        for match in _OF_INTEREST.finditer(content):
            keyword, text = split_keyword(match[0])
            try:
                words = split_words(text)
            except InvalidQuotesError:
                continue
            if keyword == "host":
                for word in words:
                    if word and len(word) <= MAX_LENGTH and _PATTERN.isdisjoint(word):
                        yield word
            elif keyword == "include":
                for word in words:
                    for included in self._paths(word, own):
                        yield from self.names(included, own)

    def _paths(self, word: str, own: bool) -> list[str]:
        """The files of an Include; none where its tokens depend on the host."""
        try:
            word = self._tokens.expand(word, allowed="diLlu", environment=True, where="Include")
            if not word.startswith(("/", "~")):
                word = f"~/.ssh/{word}" if own else f"{os.path.dirname(SYSTEM_FILE)}/{word}"
            return globs.paths(expand_tilde(word, self._home, "Include"))
        except (ConfigError, ValueError):
            return []


def known_names(path: str) -> Iterator[HostName]:
    """The names in a known_hosts file that are no hash, no pattern and not revoked, "[host]:port" with its port.

    Addresses are left out where a name stands beside them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
    """
    try:
        data = read_regular_file(path, MAX_FILE_SIZE)
    except OSError:
        return
    for line in data.split(b"\n"):
        fields = line.split(None, 2)
        if len(fields) < 3:
            continue
        field = fields[0]
        if field == b"@cert-authority":
            field = fields[1]
        if field[:1] in {b"@", b"#", b"|"}:
            continue
        names = [name for name in field.split(b",") if not (b"*" in name or b"?" in name or name[:1] == b"!")]
        if len(names) > 1:
            names = [name for name in names if not _NUMERIC.fullmatch(_bare(name))] or names
        for name in names:
            bare = _bare(name)
            port = name[len(bare) + 3 :] if bare is not name else b""
            if not bare or len(bare) > MAX_LENGTH or (port and not (port.isdigit() and len(port) <= 5)):
                continue
            number = int(port) if port else 22
            if 0 < number < 1 << 16:
                yield HostName(bare.decode("utf-8", "surrogateescape"), None if number == 22 else number)


def _bare(name: bytes) -> bytes:
    """A name of known_hosts without its brackets and its port; itself where it has none."""
    if name[:1] == b"[":
        host, closed, after = name[1:].partition(b"]")
        if closed and after[:1] == b":":
            return host
    return name
