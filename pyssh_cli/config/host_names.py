"""The names that a person is likely to mean: hosts, users, ports and tags, as the configuration and known_hosts
hold them. For choosing from: by a Tab (`completion`), or from a list (`cli.pick`).

A light reader of its own, for each Tab starts Python anew: no value is judged, no block applies or does not, and
no Match command is run. What a file holds may be a stranger's words, and ends up in a shell: only names of
harmless characters are taken.
"""

from __future__ import annotations

import os
from pwd import getpwuid
from stat import S_ISREG

from pyssh_cli.config.reader import InvalidQuotesError, split_keyword, split_words

SYSTEM_DIRECTORY = "/etc/ssh"
MAX_DEPTH = 16
"""How deep Include may nest."""
MAX_FILES = 1000
"""How many configuration files are read."""
MAX_SIZE = 1 << 24
"""Bytes that are read of a file."""
MAX_LENGTH = 255
"""Characters of a name, as in the DNS. Longer ones are left out."""

_SEPARATORS = frozenset(("", " ", "\t", "="))
_NO_LETTERS = str.maketrans("", "", "._-:%+/")
_FIRST = frozenset("-.%+/")
_USUAL = 22


def is_plain(name: str) -> bool:
    """Whether a name is one that no shell gives a meaning of its own: letters, digits, and `._-:%+/` behind them.

    So it holds no wildcard, quote, white space or control character, and is no flag.
    """
    harmless = name.isalnum() or name.translate(_NO_LETTERS).isalnum()
    return harmless and name[0] not in _FIRST and len(name) <= MAX_LENGTH


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 1 << 16


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


class Names:
    """What the files hold. Nothing is read before it is asked for.

    `config_file` is -F: a file that takes the place of both usual ones, "none", or "". `user_files` and
    `global_files` are the known_hosts files of the command line, None where it names none.
    """

    def __init__(
        self,
        config_file: str = "",
        user_files: list[str] | None = None,
        global_files: list[str] | None = None,
    ) -> None:
        try:
            person = getpwuid(os.getuid())
            self._home, self._user = person.pw_dir, person.pw_name
        except KeyError:
            self._home, self._user = os.environ.get("HOME", "/"), ""
        self._config_file = config_file
        self._known_hosts = (
            [f"{self._home}/.ssh/known_hosts", f"{self._home}/.ssh/known_hosts2"]
            if user_files is None
            else [self._path(name) for name in user_files]
        )
        self._known_hosts += (
            [f"{SYSTEM_DIRECTORY}/ssh_known_hosts", f"{SYSTEM_DIRECTORY}/ssh_known_hosts2"]
            if global_files is None
            else [self._path(name) for name in global_files]
        )
        self._with_configured = (user_files is None, global_files is None)
        self._seen: set[str] = set()
        self._hosts: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._ports: dict[tuple[str, str], None] = {}
        self._known_ports: dict[str, dict[str, None]] = {}
        self._heads = {"": ""}  # what begins lines, with the keyword that it is, or "" for one of no concern
        self._read = False

    def configured(self) -> dict[str, str]:
        """The hosts that the configuration names, each with the Hostname behind it, or ""."""
        self._read_config()
        return self._hosts

    def users(self) -> dict[str, str]:
        """The users that the configuration names, each with the first host it is for, or ""."""
        self._read_config()
        return self._users

    def tags(self) -> dict[str, str]:
        """The tags that Match tagged compares and Tag gives."""
        self._read_config()
        return self._tags

    def known(self, *, addresses: bool = True) -> dict[str, bool]:
        """The hosts of known_hosts that are neither hashed nor revoked (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT),
        each with whether it is known under the usual port: `known_ports` has the others. Without `addresses`,
        those are left out that stand beside a name."""
        self._read_config()
        hosts: dict[str, bool] = {}
        for path in dict.fromkeys(self._known_hosts):
            last = ""
            for line in _content(path).split("\n"):
                names, _, rest = line.partition(" ")
                if names and (names == last or names[0] in "|#"):  # hosts have a line for each of their keys
                    continue
                last = names if rest else ""
                if " " in rest and is_plain(names):
                    hosts[names] = True
                else:
                    self._take_names(line, hosts, addresses=addresses)
        return hosts

    def known_ports(self, host: str) -> list[str]:
        """The ports that `known` has found beside the usual one."""
        return list(self._known_ports.get(host, ()))

    def ports(self, host: str = "") -> dict[str, str]:
        """Port numbers that the configuration and known_hosts have, for this host or for any, each with a host."""
        self.known()
        found: dict[str, str] = {}
        for name, port in self._ports:
            if not host or name == host:
                found.setdefault(port, name)
        for name in [host] if host else self._known_ports:
            for port in self._known_ports.get(name, ()):
                found.setdefault(port, name)
        return found

    def _take_names(self, line: str, hosts: dict[str, bool], *, addresses: bool) -> None:
        """Add the names of one line of known_hosts: its first field, or the one behind @cert-authority."""
        words = line.split(None, 2)
        if words and words[0] == "@cert-authority":
            words = line.split(None, 3)[1:]
        if len(words) < 3 or words[0][0] in "@|#":
            return
        names: list[str] = []
        ports: list[tuple[str, str]] = []
        for part in words[0].split(","):
            if part[:1] != "[":
                if is_plain(part):
                    names.append(part)
                continue
            name, _, port = part[1:].partition("]:")
            if is_plain(name) and _is_port(port):
                if int(port) == _USUAL:
                    names.append(name)
                else:
                    ports.append((name, str(int(port))))
        if not addresses and not all(map(_is_address, (*names, *(name for name, _ in ports)))):
            names = [name for name in names if not _is_address(name)]
            ports = [place for place in ports if not _is_address(place[0])]
        for name in names:
            hosts[name] = True
        for name, port in ports:
            hosts.setdefault(name, False)
            self._known_ports.setdefault(name, {})[port] = None

    def _read_config(self) -> None:
        if self._read:
            return
        self._read = True
        if self._config_file:
            if self._config_file.lower() != "none":
                self._read_file(self._config_file, f"{self._home}/.ssh", 0)
            return
        self._read_file(f"{self._home}/.ssh/config", f"{self._home}/.ssh", 0)
        self._read_file(f"{SYSTEM_DIRECTORY}/ssh_config", SYSTEM_DIRECTORY, 0)

    def _read_file(self, path: str, directory: str, depth: int) -> None:
        """Read one file and what it includes; relative names there are below `directory`."""
        if path in self._seen or len(self._seen) >= MAX_FILES:
            return
        self._seen.add(path)
        block: list[str] = []
        heads = self._heads
        for line in _content(path).split("\n"):
            head, _, text = line.strip().partition(" ")
            keyword = heads.get(head)
            if keyword == "":
                continue
            if keyword is None or text[:1] in _SEPARATORS:
                keyword, text = split_keyword(line)
                wanted = keyword in _WANTED
                if head.isalnum():
                    heads[head] = keyword if wanted else ""
                if not wanted:
                    continue
            words = [text] if is_plain(text) else _words(text)
            if keyword == "host":
                block = [word for word in words if is_plain(word)]
                for name in block:
                    self._hosts.setdefault(name, "")
            elif keyword == "match":
                block = self._match(words)
            elif keyword == "include":
                for word in words if depth < MAX_DEPTH else ():
                    for found in self._included(word, directory):
                        self._read_file(found, directory, depth + 1)
            else:
                self._take(keyword, words, block)

    def _match(self, words: list[str]) -> list[str]:
        """The hosts of a Match line; its users and tags are taken too. Nothing is looked at but plain words."""
        hosts: list[str] = []
        queue = list(reversed(words))
        while queue:
            criterion, _, argument = queue.pop().partition("=")
            criterion = criterion.lower()
            if criterion.lstrip("!") in {"all", "canonical", "final"}:
                continue
            while queue and argument in {"", "="}:
                argument = queue.pop()
            plain = [name for name in argument.removeprefix("=").split(",") if is_plain(name)]
            if criterion in {"host", "originalhost"}:
                hosts += plain
            elif criterion in {"user", "tagged"}:
                held = self._users if criterion == "user" else self._tags
                for name in plain:
                    held.setdefault(name, "")
        for name in hosts:
            self._hosts.setdefault(name, "")
        return hosts

    def _take(self, keyword: str, words: list[str], block: list[str]) -> None:
        """What a line of a block says of its hosts."""
        first = words[0] if words else ""
        if keyword == "hostname":
            for name in block:
                shown = first.replace("%h", name)
                if not self._hosts[name] and is_plain(shown) and shown != name:
                    self._hosts[name] = shown
        elif keyword == "user":
            if is_plain(first) and "%" not in first:
                self._users.setdefault(first, block[0] if block else "")
        elif keyword == "tag":
            if is_plain(first):
                self._tags.setdefault(first, block[0] if block else "")
        elif keyword == "port":
            if _is_port(first):
                for name in block or [""]:
                    self._ports[name, first] = None
        elif self._with_configured[keyword == "globalknownhostsfile"]:
            self._known_hosts += [self._path(word) for word in words]

    def _included(self, word: str, directory: str) -> list[str]:
        """The files that a word of Include stands for."""
        pattern = self._expanded(word)
        if not pattern:
            return []
        if pattern.startswith("~"):
            pattern = os.path.expanduser(pattern)
        if not pattern.startswith("/"):
            pattern = f"{directory}/{pattern}"
        if not any(char in pattern for char in "*?[\\"):
            return [pattern]
        from pyssh_cli.config import globs

        return globs.paths(pattern)

    def _path(self, name: str) -> str:
        """A file's name with `~` and tokens replaced; "" where one is not known."""
        name = self._expanded(name)
        if name == "~" or name.startswith("~/"):
            return self._home + name[1:]
        return os.path.expanduser(name)

    def _expanded(self, word: str) -> str:
        """`word` with the tokens that do not depend on a host, and ${ENV}, replaced; "" where it holds others."""
        if "%" not in word and "${" not in word:
            return word
        tokens = {"%": "%", "d": self._home, "u": self._user, "i": str(os.getuid())}
        out = []
        at = 0
        while at < len(word):
            if word[at] == "%":
                out.append(tokens.get(word[at + 1 : at + 2], "\0"))
                at += 2
            elif word.startswith("${", at):
                name, closed, _ = word[at + 2 :].partition("}")
                out.append(os.environ.get(name, "\0") if closed else "\0")
                at += len(name) + 3
            else:
                out.append(word[at])
                at += 1
        expanded = "".join(out)
        return "" if "\0" in expanded else expanded


_WANTED = frozenset((
    "host", "match", "include", "hostname", "user", "tag", "port", "userknownhostsfile", "globalknownhostsfile",
))  # fmt: skip


def _words(text: str) -> list[str]:
    """The words of a line; none where a quote is left open."""
    try:
        return split_words(text)
    except InvalidQuotesError:
        return []


def _content(path: str) -> str:
    """The text of a regular file, as far as it is read; nothing of what cannot be read, or is something else."""
    if not path or path.lower() == "none":
        return ""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return ""
    try:
        if not S_ISREG(os.fstat(fd).st_mode):
            return ""
        pieces = []
        left = MAX_SIZE
        while left > 0 and (piece := os.read(fd, min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(fd)
