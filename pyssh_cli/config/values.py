"""The arguments of keywords: parsers from words to values, with ssh's own complaints about bad ones.

A parser takes a `Line`, reads as many words as the keyword has arguments, and raises BadValue. It looks at no
other keyword and at nothing outside the line, but for the table of TCP services and the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from pyssh_cli.config.algorithms import AlgorithmKind, is_valid_list

Parser = Callable[["Line"], Any]

INT_MAX = 2**31 - 1


class BadValue(Exception):
    """An argument that ssh refuses; the message is what follows "FILE line N: "."""


class FatalValue(BadValue):
    """The same where ssh reads no further."""


class Line:
    """The arguments of one keyword: `words`, read one after the other, and `text`, as they stand in the file.

    `notes` collects what is worth a debug line once they have been read.
    """

    __slots__ = ("_at", "keyword", "notes", "text", "words")

    def __init__(self, keyword: str, text: str, words: list[str]) -> None:
        self.keyword = keyword
        self.text = text
        self.words = words
        self.notes: list[str] = []
        self._at = 0

    def next(self) -> str | None:
        """The next word, or None at the end."""
        if self._at >= len(self.words):
            return None
        self._at += 1
        return self.words[self._at - 1]

    def has_more(self) -> bool:
        """Whether words are left."""
        return self._at < len(self.words)

    def required(self, complaint: str = "Missing argument.") -> str:
        """The next word, which has to be there and not to be empty."""
        word = self.next()
        if not word:
            raise BadValue(complaint)
        return word

    def rest(self) -> list[str]:
        """All words that are left."""
        words = self.words[self._at :]
        self._at = len(self.words)
        return words

    def end(self) -> None:
        """Refuse words that are left over."""
        if self.has_more():
            raise BadValue(f"keyword {self.keyword} extra arguments at end of line")


def text(line: Line) -> str:
    """One word, as it is."""
    return line.required()


def text_or_none(line: Line) -> str | None:
    """One word, or None for `none`."""
    word = line.required()
    return None if word.lower() == "none" else word


def lower_text(line: Line) -> str:
    """One word, in lower case."""
    return line.required().lower()


def command(line: Line) -> str | None:
    """The rest of the line as it stands, quotes and all, for a shell to read; None for `none`."""
    line.rest()
    text = line.text.lstrip(" \t\r\n=")
    return None if text.lower() == "none" else text


def _one_of(names: Mapping[str, Any]) -> str:
    """The words there are, for the end of a message; "true" and "false" only stand for others."""
    return f" (one of: {', '.join(name for name in names if name not in {'true', 'false'})})"


class Choice:
    """A parser for one word of a set, in any case; `names` gives each word's value."""

    __slots__ = ("names",)

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names

    def __call__(self, line: Line) -> Any:
        word = line.required("missing argument.")
        try:
            return self.names[word.lower()]
        except KeyError:
            raise BadValue(f'unsupported option "{word}".{_one_of(self.names)}') from None


def choice(names: Mapping[str, Any]) -> Parser:
    """The parser for one of `names`."""
    return Choice(names)


BOOLEAN: Mapping[str, bool] = {"yes": True, "no": False, "true": True, "false": False}
flag = choice(BOOLEAN)
YES_NO_ASK: Mapping[str, str] = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "ask": "ask"}


def integer(line: Line) -> int:
    """A decimal number of 0 to 2^31 - 1."""
    word = line.next()
    if not word:
        raise BadValue("integer value missing.")
    return decimal(word)


def decimal(word: str) -> int:
    """`word` as a number, strtonum(3)'s way: leading white space and a sign are allowed, nothing behind it."""
    digits = word.lstrip(" \t")
    bare = digits[1:] if digits[:1] in ("+", "-") else digits
    if not (bare.isascii() and bare.isdigit()):
        raise BadValue("integer value invalid.")
    if digits[0] == "-" and bare.strip("0"):
        raise BadValue("integer value too small.")
    number = int(bare[:20])
    if number > INT_MAX:
        raise BadValue("integer value too large.")
    return number


def tcp_port(word: str) -> int | None:
    """`word` as a port of 0 to 65535, or the name of a TCP service; None for anything else."""
    try:
        number = decimal(word)
    except BadValue:
        import socket

        try:
            number = socket.getservbyname(word, "tcp")
        except (OSError, ValueError):
            return None
    return number if number < 65536 else None


def port_number(word: str) -> int | None:
    """The same for a port that may not be 0."""
    return tcp_port(word) or None


def port(line: Line) -> int:
    """The argument of Port."""
    word = line.required()
    number = port_number(word)
    if number is None:
        raise BadValue(f"Bad port '{word}'.")
    return number


def c_number(word: str, base: int) -> tuple[int, str] | None:
    """The number at the front of `word`, as strtol(3) reads it, and what stands behind it; None without one.

    `base` 0 takes 0x for hexadecimal and a leading 0 for octal.
    """
    rest = word.lstrip(" \t\r\n\v\f")
    negative = rest[:1] == "-"
    rest = rest[rest[:1] in {"+", "-"} :]
    if base == 0:
        base = 10
        if rest[:2] in {"0x", "0X"} and rest[2:3] and rest[2] in "0123456789abcdefABCDEF":
            rest, base = rest[2:], 16
        elif rest[:1] == "0":
            base = 8
    digits = "0123456789abcdef"[:base]
    behind = rest.lstrip(digits + digits.upper())
    number = rest[: len(rest) - len(behind)]
    if not number:
        return None
    value = int(number[:40], base)
    return -value if negative else value, behind


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(word: str) -> int | None:
    """`word` in sshd_config(5)'s TIME FORMATS, such as "90", "1h30m"; None when it is not."""
    total = 0
    rest = word
    while rest or not word:
        found = c_number(rest, 10)
        if found is None or found[0] < 0:
            return None
        number, rest = found
        unit, rest = rest[:1].lower(), rest[1:]
        if unit not in _SECONDS:
            return None
        total += number * _SECONDS[unit]
    return total if total <= INT_MAX else None


UNSET: Any = object()
"""What a parser gives for an argument that is the same as leaving the keyword away: later lines still count."""


def time(line: Line) -> Any:
    """A time in seconds; UNSET for `none`."""
    word = line.required("missing time value.")
    if word == "none":
        return UNSET
    value = seconds(word)
    if value is None:
        raise BadValue("invalid time value. (seconds, or numbers with s, m, h, d or w, as in 1h30m)")
    return value


_SCALES = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50, "e": 2**60}


def scaled(word: str) -> int:
    """A size such as "1G" or "1.5M" in bytes; raises BadValue as ssh words it."""
    number = word.strip(" \t")
    scale = 1
    if number and number[-1].lower() in _SCALES:
        scale = _SCALES[number[-1].lower()]
        number = number[:-1]
    negative = number.startswith("-")
    whole, _, fraction = number[number[:1] in ("+", "-") :].partition(".")
    if not (whole + fraction).isascii() or not (whole + fraction).isdigit():
        raise BadValue(f"Bad number '{word}': Invalid argument")
    size: int = int(whole or "0") * scale + int(fraction or "0") * scale // int("1" + "0" * len(fraction))
    if size >= 2**63:
        raise BadValue(f"Bad number '{word}': Numerical result out of range")
    return -size if negative else size


def rekey_limit(line: Line) -> tuple[int, Any]:
    """Bytes and seconds of RekeyLimit; 0 bytes are the cipher's limit, and UNSET seconds leave them to others."""
    word = line.required()
    size = 0 if word == "default" else scaled(word)
    if size and size < 16:
        raise BadValue("RekeyLimit too small")
    return size, time(line) if line.has_more() else UNSET


def algorithms(kind: AlgorithmKind) -> Parser:
    """A parser for a list of algorithms of one kind."""

    def parse(line: Line) -> str:
        word = line.required()
        if not is_valid_list(kind, word):
            raise BadValue(f"{kind.complaint.format(word)} (pyssh -Q {line.keyword} lists what there is)")
        return word

    return parse


MAX_FILES = 32
"""How many files UserKnownHostsFile and GlobalKnownHostsFile take."""


def some(line: Line) -> list[str]:
    """All words that are left, at least one, where `none` may only stand alone."""
    words = any_words(line)
    if not words:
        raise FatalValue(f"no {line.keyword} specified")
    return words


def any_words(line: Line) -> list[str]:
    """The same where there may be none (behind the keyword stands a comment)."""
    words = line.rest()
    if len(words) > 1:
        for word in words:
            if not word:
                break
            if word.lower() == "none":
                raise BadValue(f'keyword {line.keyword} "none" argument must appear alone.')
    if "" in words:
        raise BadValue(f"keyword {line.keyword} empty argument")
    return words


def files(line: Line) -> tuple[str, ...]:
    """File names, or `none` alone; no file at all is the default."""
    words = any_words(line)
    if len(words) > MAX_FILES:
        raise BadValue(f"too many {line.keyword} entries.")
    return tuple(words)


def escape_character(word: str) -> int | None:
    """The byte that `word` of EscapeChar or -e stands for: "none", a character, or `^` and a letter.

    Raises ValueError for anything else.
    """
    if word == "none":
        return None
    raw = word.encode("utf-8", "surrogateescape")
    if len(raw) == 1:
        return raw[0]
    if len(raw) == 2 and raw[:1] == b"^" and 64 <= raw[1] < 128:
        return raw[1] & 31
    raise ValueError(word)


def escape_char(line: Line) -> int | None:
    """The argument of EscapeChar."""
    try:
        return escape_character(line.required())
    except ValueError:
        raise BadValue("Bad escape character.") from None


def send_env(line: Line) -> list[str]:
    """Patterns of names of variables; with `-` in front, patterns to take back."""
    names = line.rest()
    if any(not name or "=" in name for name in names):
        raise BadValue("Invalid environment name.")
    if not names:
        raise FatalValue(f"no {line.keyword} specified")
    return names


def set_env(line: Line) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE pairs; the first of a name counts."""
    pairs: dict[str, str] = {}
    for word in line.rest():
        name, equals, value = word.partition("=")
        if not equals:
            raise BadValue("Invalid SetEnv.")
        pairs.setdefault(name, value)
    if not pairs:
        raise FatalValue(f"no {line.keyword} specified")
    return tuple(pairs.items())


def expand_environment(text: str) -> str:
    """`text` with each ${NAME} replaced by that variable. ValueError where one is not set, or is not closed."""
    head, *tail = text.split("${")
    out = [head]
    for piece in tail:
        name, closed, rest = piece.partition("}")
        if not closed or not name or name not in os.environ:
            raise ValueError(text)
        out += (os.environ[name], rest)
    return "".join(out)


def named(names: Mapping[str, Any], complaint: str) -> Parser:
    """A parser for one word of a set with a complaint of its own; `{}` in it is the word."""

    def parse(line: Line) -> Any:
        word = line.next()
        try:
            return names[(word or "").lower()]
        except KeyError:
            told = complaint.format("<NONE>" if word is None else word)
            raise BadValue(told + _one_of(names)) from None

    return parse


_HASHES = frozenset(("sha256", "md5", "sha1", "sha384", "sha512"))


def hash_name(line: Line) -> str:
    """The argument of FingerprintHash, in lower case."""
    word = line.required()
    if word.lower() not in _HASHES:
        raise BadValue(f'Invalid hash algorithm "{word}".')
    return word.lower()
