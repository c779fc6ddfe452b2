"""What may stand at the cursor: ssh's grammar as far as a Tab needs it, and a kind of word for each place.

What is offered there is found here too, by `config.host_names` where files hold it. How a shell is told is up to
`shells`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyssh_cli.completion.tables import ALIASES, DEFAULTS, FLAGS, KEYWORDS, LISTS, WORDS
from pyssh_cli.config.host_names import Names, is_plain


class Reply:
    """What may stand at the cursor.

    `words` are the candidates, each with a description or "". They take the place of the current word from `start`
    on. `tag` and `title` are what they are, for shells that show it, in one word and in any. `ignores_case` tells
    that case does not matter in what was typed; `joined` that more may follow behind a comma. With `files`, names
    of files may stand here too. `command` is where in the words a remote command begins, or 0: of that the shell
    knows more than we. `hint` is what there is to say when there is nothing to offer.
    """

    __slots__ = ("command", "files", "hint", "ignores_case", "joined", "start", "tag", "title", "words")

    def __init__(
        self,
        words: list[tuple[str, str]] | None = None,
        *,
        start: int = 0,
        tag: str = "values",
        title: str = "value",
        ignores_case: bool = True,
        joined: bool = False,
        files: bool = False,
        command: int = 0,
        hint: str = "",
    ) -> None:
        self.words = words or []
        self.start = start
        self.tag = tag
        self.title = title
        self.ignores_case = ignores_case
        self.joined = joined
        self.files = files
        self.command = command
        self.hint = hint


class Before:
    """What the words before the cursor say, as far as it matters for what may follow."""

    __slots__ = ("config_file", "host", "options", "subsystem")

    def __init__(self) -> None:
        self.config_file = ""
        self.host = ""
        self.subsystem = False
        self.options: dict[str, str] = {}

    def take(self, flag: str, argument: str) -> None:
        """Take note of a flag."""
        if flag == "-F":
            self.config_file = os.path.expanduser(argument)
        elif flag == "-o":
            keyword, _, value = _split_option(argument)
            self.options.setdefault(keyword.lower(), value)
        elif flag == "-s":
            self.subsystem = True

    def names(self) -> Names:
        """Where names are to be looked for."""
        user, system = (self.options.get(name) for name in ("userknownhostsfile", "globalknownhostsfile"))
        return Names(
            self.config_file,
            None if user is None else user.split(),
            None if system is None else system.split(),
        )


def reply(words: list[str], current: str, *, extending: bool = True) -> Reply:
    """What may stand where `current` does, behind `words`, the first of which is pyssh itself.

    `extending` offers more flags behind those that `current` already holds, as in -vN.
    """
    before = Before()
    ended = False
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--" and not ended:
            ended = True
        elif word[:1] == "-" and len(word) > 1 and not ended:
            flag, argument = _take_flags(before, word)
            if flag and argument is None:
                if at == len(words):
                    return of_flag(before, flag, current)
                before.take(flag, words[at])
                at += 1
        elif not before.host:
            before.host = word
        else:
            return _command(before, at - 1)
    if current[:1] == "-" and not ended:
        return _flags(before, current, extending=extending)
    if not before.host:
        return _destination(before, current)
    return _command(before, at)


def _take_flags(before: Before, word: str) -> tuple[str, str | None]:
    """Take note of the flags of one word. The last of them when it takes an argument, else "", and the argument,
    None when that is the next word."""
    if word[:2] == "--":
        name, equals, value = word.partition("=")
        takes = FLAGS.get(name, ("", ""))[0]
        return (name, value if equals else None) if takes else ("", None)
    for at, letter in enumerate(word[1:], 2):
        flag = f"-{letter}"
        if FLAGS.get(flag, ("", ""))[0]:
            argument = word[at:] or None
            if argument is not None:
                before.take(flag, argument)
            return flag, argument
        before.take(flag, "")
    return "", None


def _flags(before: Before, current: str, *, extending: bool) -> Reply:
    """Flags, or the argument of one that stands in the same word."""
    flag, argument = _take_flags(Before(), current)
    if flag and argument is not None:
        found = of_flag(before, flag, argument)
        found.start += len(current) - len(argument)
        return found
    words = [(name, told) for name, (_, told) in FLAGS.items()]
    given = current[1:]
    if given and given[0] != "-" and all(f"-{letter}" in FLAGS for letter in given):
        words = [(current, FLAGS[f"-{given[-1]}"][1])]
        if extending and not flag:
            words += [
                (current + name[1], told)
                for name, (_, told) in FLAGS.items()
                if len(name) == 2 and (name[1] not in given or name in _MORE_THAN_ONCE)
            ]
    return Reply(words, tag="options", title="option", ignores_case=False)


_MORE_THAN_ONCE = frozenset(("-M", "-t", "-v"))


def _command(before: Before, at: int) -> Reply:
    if before.subsystem:
        return Reply([("sftp", "file transfer")], tag="subsystems", title="subsystem")
    return Reply(command=at)


OF_FLAG = {
    "--complete": "bash zsh fish",
    "-B": "<interface>",
    "-b": "<address>",
    "-c": "<+^cipher>",
    "-D": "",
    "-E": "<file>",
    "-e": "<escape>",
    "-F": "none <file>",
    "-I": "none <file>",
    "-i": "<file>",
    "-J": "none <hops>",
    "-L": "<forward>",
    "-l": "<user>",
    "-m": "<mac>",
    "-O": WORDS["control"],
    "-o": "<option>",
    "-P": "<tag>",
    "-p": "<port>",
    "-Q": WORDS["query"],
    "-R": "<forward>",
    "-S": "none <file>",
    "-W": "<place>",
    "-w": "<device>",
}
"""What flags take: words, and in angle brackets kinds of `_FOUND` or lists of `LISTS`; the signs that may stand in
front of a list come before its name."""


def of_flag(before: Before, flag: str, text: str) -> Reply:
    """What may stand as a flag's argument that begins with `text`."""
    return _taken(before, OF_FLAG.get(flag, ""), text, FLAGS[flag][0])


def _taken(before: Before, taken: str, text: str, what: str) -> Reply:
    """What a place takes, in the words of `OF_FLAG` and of the table of keywords; `what` is what it is called."""
    found = Reply(title=what)
    plain = []
    for word in taken.split():
        if word[0] != "<":
            plain.append((word, ""))
            continue
        kind = word[1:-1]
        name = kind.lstrip("+-^")
        signs = kind[: len(kind) - len(name)]
        found = _listed(name, signs, text) if name in LISTS else _FOUND[name](before, text)
    if not found.start:
        found.words = plain + found.words
    found.hint = found.hint or what
    return found


def _listed(name: str, signs: str, text: str) -> Reply:
    """Names with commas between them, none of them twice."""
    sign = text[:1] if text and text[0] in signs else ""
    given = text[len(sign) :].split(",")
    words = dict.fromkeys(LISTS[name].split())
    default = DEFAULTS.get(name, "").split()
    if sign == "-":
        words = {word: None for word in words if word in default}
    elif sign == "+":
        words = {word: None for word in words if word not in default}
    for word in given[:-1]:
        words.pop(word, None)
    start = len(text) - len(given[-1])
    return Reply([(word, "") for word in words], start=start, joined=True, tag="algorithms", title="algorithm")


def _split_option(text: str) -> tuple[str, str, str]:
    """Keyword, separator and value of -o; the separator is an `=`, or white space."""
    at = next((at for at, char in enumerate(text) if char in "= \t"), len(text))
    value = text[at:].lstrip("= \t")
    return text[:at], text[at : len(text) - len(value)], value


def _option(before: Before, text: str) -> Reply:
    """Keywords in the manual's spelling, or what the one takes that stands there."""
    keyword, separator, value = _split_option(text)
    if not separator:
        words = [(f"{name}=", "") for name in KEYWORDS]
        return Reply(words, tag="keywords", title="configuration keyword")
    name = ALIASES.get(keyword.lower(), keyword.lower())
    name = next((known for known in KEYWORDS if known.lower() == name.lower()), "")
    if not name:
        return Reply()
    found = _taken(before, KEYWORDS[name], value, name)
    found.start += len(text) - len(value)
    return found


def _hosts(names: Names, text: str) -> list[tuple[str, str]]:
    """The hosts of the configuration and of known_hosts; addresses that stand beside names only when asked for."""
    words = [(name, hostname or "configuration") for name, hostname in names.configured().items()]
    configured = names.configured()
    words += [(name, "known_hosts") for name in names.known(addresses=bool(text)) if name not in configured]
    return words


def _host(before: Before, text: str) -> Reply:
    return Reply(_hosts(before.names(), text), tag="hosts", title="host")


def _destination(before: Before, text: str) -> Reply:
    """[user@]host, or ssh://[user@]host[:port]."""
    start = text.rfind("@") + 1
    if text[:6].lower() == "ssh://":
        start = max(start, 6)
        host, colon, _ = text[start:].rpartition(":")
        if colon:
            return _ports(before, host, start + len(host) + 1)
    found = _host(before, text[start:])
    found.start = start
    found.hint = "destination"
    return found


def _hops(before: Before, text: str) -> Reply:
    """[user@]host[:port], or URIs, with commas between them."""
    start = text.rfind(",") + 1
    if text[start : start + 6].lower() == "ssh://":
        start += 6
    start = max(start, text.rfind("@") + 1)
    host, colon, _ = text[start:].rpartition(":")
    if colon:
        return _ports(before, host, start + len(host) + 1)
    found = _host(before, text[start:])
    found.words = [(name, told) for name, told in found.words if ":" not in name]
    found.start, found.joined = start, True
    return found


def _ports(before: Before, host: str, start: int) -> Reply:
    words = list(before.names().ports(host).items())
    return Reply(words, start=start, tag="ports", title="port", hint="port")


def _port(before: Before, text: str) -> Reply:  # noqa: ARG001
    return _ports(before, before.host.rpartition("@")[2], 0)


def _forward(before: Before, text: str) -> Reply:
    """[bind_address:]port:host:hostport, where a socket's path may stand on either side."""
    fields = _fields(text)
    last = fields[-1]
    start = len(text) - len(last)
    path = last[:1] in {"/", "~", "."}
    if len(fields) == 1:
        return Reply(files=path, hint="[bind_address:]port:host:hostport, or sockets' paths")
    if not fields[-2].isdigit() and "/" not in fields[-2]:
        return Reply(start=start, hint="port")
    found = _places(before, last)
    found.start, found.files = start, path
    return found


def _place(before: Before, text: str) -> Reply:
    """host:port."""
    fields = _fields(text)
    if len(fields) > 1:
        return Reply(start=len(text) - len(fields[-1]), hint="port")
    return _places(before, text)


def _places(before: Before, text: str) -> Reply:
    """Hosts with a port to follow, as seen from the remote side, which may well know them by the same names."""
    hosts = [("localhost", "the remote side itself"), *_hosts(before.names(), text)]
    words = [(f"{name}:", told) for name, told in hosts if ":" not in name]
    return Reply(words, tag="hosts", title="host", hint="host:port")


def _fields(text: str) -> list[str]:
    """What stands between colons; those in brackets separate nothing."""
    fields = [""]
    inside = False
    for char in text:
        inside = (inside or char == "[") and char != "]"
        if char == ":" and not inside:
            fields.append("")
        else:
            fields[-1] += char
    return fields


def _user(before: Before, text: str) -> Reply:  # noqa: ARG001
    """The configuration's users, and those of this machine."""
    from pwd import getpwall

    words = {name: f"as on {host}" if host else "configuration" for name, host in before.names().users().items()}
    for person in getpwall():
        if is_plain(person.pw_name):
            words.setdefault(person.pw_name, "local user")
    return Reply(list(words.items()), tag="users", title="user", ignores_case=False)


def _tag(before: Before, text: str) -> Reply:  # noqa: ARG001
    words = [(name, f"as on {host}" if host else "") for name, host in before.names().tags().items()]
    return Reply(words, tag="tags", title="tag", ignores_case=False)


def _file(before: Before, text: str) -> Reply:  # noqa: ARG001
    return Reply(files=True)


def _interface(before: Before, text: str) -> Reply:  # noqa: ARG001
    import socket

    words = [(name, "") for _, name in socket.if_nameindex() if is_plain(name)]
    return Reply(words, tag="interfaces", title="network interface")


def _address(before: Before, text: str) -> Reply:  # noqa: ARG001
    from pyssh_cli.net.names import local_addresses

    return Reply([(name, "") for name in local_addresses()], tag="addresses", title="local address")


def _escape(before: Before, text: str) -> Reply:  # noqa: ARG001
    words = [("~", "the default"), ("none", "no escape character"), ("^]", "Ctrl-]"), ("%", "")]
    return Reply(words, tag="characters", title="escape character", hint="a character, or ^ and a letter")


def _device(before: Before, text: str) -> Reply:  # noqa: ARG001
    start = text.rfind(":") + 1
    words = [("any", "the next device that is free")]
    if not start:
        words.append(("any:any", "the next on both sides"))
    return Reply(words, start=start, tag="devices", title="tunnel device", hint="local_tun[:remote_tun]")


def _variable(before: Before, text: str) -> Reply:  # noqa: ARG001
    words = [(name, "") for name in os.environ if is_plain(name.lstrip("_"))]
    return Reply(words, tag="parameters", title="environment variable", ignores_case=False)


def _setting(before: Before, text: str) -> Reply:
    found = _variable(before, text)
    found.words = [(f"{name}=", "") for name, _ in found.words] if "=" not in text else []
    return found


_FOUND: dict[str, Callable[[Before, str], Reply]] = {
    "address": _address,
    "device": _device,
    "escape": _escape,
    "file": _file,
    "forward": _forward,
    "hops": _hops,
    "host": _host,
    "interface": _interface,
    "option": _option,
    "place": _place,
    "port": _port,
    "setting": _setting,
    "tag": _tag,
    "user": _user,
    "variable": _variable,
}
"""What is to be found, by the kinds of `OF_FLAG` and of the table of keywords."""
