"""The arguments of keywords: parsers from words to values, with ssh's own complaints about bad ones.

A parser takes a `Line`, reads as many words as the keyword has arguments, and raises BadValue. It looks at no
other keyword and at nothing outside the line, but for the table of TCP services.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyssh_cli.config.algorithms import AlgorithmKind, is_valid_list

Parser = Callable[["Line"], Any]

INT_MAX = 2**31 - 1


class BadValue(Exception):
    """An argument that ssh refuses; the message is what follows "FILE line N: "."""


class Line:
    """The arguments of one keyword: `words`, read one after the other, and `text`, as they stand in the file."""

    __slots__ = ("_at", "keyword", "text", "words")

    def __init__(self, keyword: str, text: str, words: list[str]) -> None:
        self.keyword = keyword
        self.text = text
        self.words = words
        self._at = 0

    def next(self) -> str | None:
        """The next word, or None at the end."""
        if self._at >= len(self.words):
            return None
        self._at += 1
        return self.words[self._at - 1]

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
        if self._at < len(self.words):
            raise BadValue(f"keyword {self.keyword} extra arguments at end of line")


def text(line: Line) -> str:
    """One word, as it is."""
    return line.required()


def lower_text(line: Line) -> str:
    """One word, in lower case."""
    return line.required().lower()


def command(line: Line) -> str:
    """The rest of the line as it stands, quotes and all; it is for a shell to read."""
    line.rest()
    return line.text.lstrip(" \t=")


def choice(names: Mapping[str, Any]) -> Parser:
    """A parser for one word of a set, in any case; `names` gives each word's value."""

    def parse(line: Line) -> Any:
        word = line.required("missing argument.")
        try:
            return names[word.lower()]
        except KeyError:
            raise BadValue(f'unsupported option "{word}".') from None

    return parse


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


def port_number(word: str) -> int | None:
    """`word` as a port of 1 to 65535, or the name of a TCP service; None for anything else."""
    try:
        number = decimal(word)
    except BadValue:
        import socket

        try:
            number = socket.getservbyname(word, "tcp")
        except (OSError, UnicodeError):
            return None
    return number if 0 < number < 65536 else None


def port(line: Line) -> int:
    """The argument of Port."""
    word = line.required()
    number = port_number(word)
    if number is None:
        raise BadValue(f"Bad port '{word}'.")
    return number


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(word: str) -> int | None:
    """`word` in sshd_config(5)'s TIME FORMATS, such as "90", "1h30m"; None when it is not."""
    total = 0
    digits = ""
    for char in word.lower():
        if "0" <= char <= "9":
            digits += char
        elif char in _SECONDS and digits:
            total += int(digits[:20]) * _SECONDS[char]
            digits = ""
        else:
            return None
    if not word:
        return None
    total += int(digits[:20] or "0")
    return total if total <= INT_MAX else None


def time(line: Line) -> int | None:
    """A time in seconds; None for `none`."""
    word = line.required("missing time value.")
    if word == "none":
        return None
    value = seconds(word)
    if value is None:
        raise BadValue("invalid time value.")
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


def rekey_limit(line: Line) -> tuple[int, int]:
    """Bytes and seconds of RekeyLimit; 0 is the default of the first and "never" of the second."""
    word = line.required()
    size = 0 if word == "default" else scaled(word)
    if size and size < 16:
        raise BadValue("RekeyLimit too small")
    word = line.next() or ""
    if not word or word == "none":
        return size, 0
    limit = seconds(word)
    if limit is None:
        raise BadValue("invalid time value.")
    return size, limit


def algorithms(kind: AlgorithmKind) -> Parser:
    """A parser for a list of algorithms of one kind."""

    def parse(line: Line) -> str:
        word = line.required()
        if not is_valid_list(kind, word):
            raise BadValue(kind.complaint.format(word))
        return word

    return parse


def files(line: Line) -> tuple[str, ...]:
    """File names, or `none` alone."""
    words = line.rest()
    for word in words:
        if not word:
            raise BadValue(f"keyword {line.keyword} empty argument")
        if word.lower() == "none" and len(words) > 1:
            raise BadValue(f'keyword {line.keyword} "none" argument must appear alone.')
    return tuple(words)


def words(line: Line) -> tuple[str, ...]:
    """Any number of words."""
    out = line.rest()
    if "" in out:
        raise BadValue(f"keyword {line.keyword} empty argument")
    return tuple(out)


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
    return names


def set_env(line: Line) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE pairs; the first of a name counts."""
    pairs: dict[str, str] = {}
    for word in line.rest():
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadValue("Invalid SetEnv.")
        pairs.setdefault(name, value)
    return tuple(pairs.items())


def named(names: Mapping[str, Any], complaint: str) -> Parser:
    """A parser for one word of a set with a complaint of its own; `{}` in it is the word."""

    def parse(line: Line) -> Any:
        word = line.next() or ""
        try:
            return names[word.lower()]
        except KeyError:
            raise BadValue(complaint.format(word)) from None

    return parse
