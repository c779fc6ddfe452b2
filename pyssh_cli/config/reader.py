"""One line of ssh_config(5): its keyword, and the words of its arguments. What they mean is not known here."""

from __future__ import annotations

WHITESPACE = " \t\r\n"


class InvalidQuotesError(ValueError):
    """A quote is opened and not closed on its line."""


def ascii_lower(text: str) -> str:
    """`text` with A to Z in lower case and all else as it is: ssh knows no other letters here."""
    return (
        text.lower()
        if text.isascii()
        else text.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")
    )


def split_keyword(line: str) -> tuple[str, str]:
    """The keyword in lower case, and the text of its arguments with the separator taken off.

    Keyword and arguments stand apart by white space, or by one `=` with or without white space around it; the
    keyword, or a part of it, may be quoted. White space, and form feeds, may end the line. Empty lines,
    comments, and a keyword with an open quote, give ("", "").
    """
    if "\f" not in line:
        line = line.strip(WHITESPACE)
        keyword, _, rest = line.partition(" ")
        if keyword.isalnum() and rest[:1] not in {"", " ", "\t", "="} and keyword.isascii():  # nearly every line
            return keyword.lower(), rest
        if not line or line[0] == "#":
            return "", ""
    else:
        line = line[:1] + line[1:].rstrip(WHITESPACE + "\f")
    word, following = _delimited(line)
    if not word and following is not None:  # white space or one `=` in front
        word, following = _delimited(following)
    if not word or word[0] == "#":
        return "", ""
    return ascii_lower(word), (following or "").lstrip(WHITESPACE)


def _delimited(text: str) -> tuple[str, str | None]:
    """The first word of `text` and what follows its separator; None for what follows when the text ends there."""
    at = next((at for at, char in enumerate(text) if char in ' \t\r\n"='), -1)
    if at < 0:
        return text, None
    if text[at] == '"':
        quoted, closed, following = text[at + 1 :].partition('"')
        return (text[:at] + quoted, following.lstrip(WHITESPACE)) if closed else ("", None)
    following = text[at + 1 :].lstrip(WHITESPACE)
    if text[at] != "=" and following[:1] == "=":
        following = following[1:].lstrip(WHITESPACE)
    return text[:at], following


def split_words(text: str, *, comments: bool = True) -> list[str]:
    """The words of `text`, with `comments` up to a `#` that begins a word.

    Single and double quotes keep white space; a backslash takes away the meaning of a quote, of a backslash,
    and of a space outside quotes. Raises InvalidQuotesError for a quote left open.
    """
    if '"' not in text and "'" not in text and "\\" not in text:
        words = text.replace("\t", " ").split(" ")
        if "" in words:
            words = [word for word in words if word]
        if comments and "#" in text:
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
        if comments and text[at] == "#":
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
