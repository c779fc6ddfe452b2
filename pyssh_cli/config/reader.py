"""One line of ssh_config(5): its keyword, and the words of its arguments. What they mean is not known here."""

from __future__ import annotations

WHITESPACE = " \t\r\n"


class InvalidQuotesError(ValueError):
    """A quote is opened and not closed on its line."""


def split_keyword(line: str) -> tuple[str, str]:
    """The keyword in lower case, and the text of its arguments with the separator taken off.

    Keyword and arguments stand apart by white space, or by one `=` with or without white space around it; the
    keyword may be quoted. Empty lines, comments, and a keyword with an open quote, give ("", "").
    """
    line = line.strip(WHITESPACE + "\f")
    keyword, _, rest = line.partition(" ")
    if keyword.isalnum() and rest[:1] not in {" ", "\t", "="}:  # nearly every line
        return keyword.lower(), rest
    if line[:1] == "=":
        line = line[1:].lstrip(WHITESPACE)
    if not line or line[0] == "#":
        return "", ""
    if line[0] == '"':
        keyword, closed, rest = line[1:].partition('"')
        if not closed:
            return "", ""
        return keyword.lower(), rest.lstrip(WHITESPACE)
    for end, char in enumerate(line):  # noqa: B007
        if char in ' \t\r\n"=':
            break
    else:
        return line.lower(), ""
    keyword, rest = line[:end].lower(), line[end:]
    rest = rest.lstrip(WHITESPACE)
    if rest[:1] == "=":
        rest = rest[1:].lstrip(WHITESPACE)
    return keyword, rest


def split_words(text: str) -> list[str]:
    """The words of `text`, up to a `#` that begins a word.

    Single and double quotes keep white space; a backslash takes away the meaning of a quote, of a backslash,
    and of a space outside quotes. Raises InvalidQuotesError for a quote left open.
    """
    if '"' not in text and "'" not in text and "\\" not in text:
        words = text.replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if "#" in text:
            for index, word in enumerate(words):
                if word[0] == "#":
                    return words[:index]
        return words
    words = []
    at, end = 0, len(text)
    while at < end:
        if text[at] in " \t":
            at += 1
            continue
        if text[at] == "#":
            break
        word, at = _quoted_word(text, at)
        words.append(word)
    return words


def _quoted_word(text: str, at: int) -> tuple[str, int]:
    """The word that begins at `at`, without its quotes and escapes, and where it ends."""
    word: list[str] = []
    quote = ""
    while at < len(text):
        char = text[at]
        following = text[at + 1 : at + 2]
        if char == "\\" and following and (following in "'\"\\" or (following == " " and not quote)):
            word.append(following)
            at += 2
            continue
        if not quote and char in " \t":
            break
        if not quote and char in "'\"":
            quote = char
        elif char == quote:
            quote = ""
        else:
            word.append(char)
        at += 1
    if quote:
        raise InvalidQuotesError
    return "".join(word), at
