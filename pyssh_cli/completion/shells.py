"""How each shell is told what may stand at the cursor, and how its words are read. The other end: completions/.

An answer is lines; the first says what the shell is to do, the rest are what to offer. Its words come with their
quotes, as they stand on the command line, and nothing in them is ever evaluated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from pyssh_cli.completion.places import Reply, reply

MAX_WORDS = 20_000
"""How many words are offered at most."""

MAX_WIDTH = 40
"""Columns that words take at most in zsh's lists before their descriptions begin."""

CONTINUED = "=:@,/"
"""Words that end in one of these are not whole: no space is to follow."""

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:%+/=@,")


def bash(words: list[str]) -> str:
    """For bash: the first line is `words`, `nospace`, `files`, `mixed` (words and names of files) or `command N`;
    words are what takes the place of the last piece.

    A piece is what stands behind the last `=`, `:` or `@` of a word, or behind a quote that is still open. The
    part before such a sign comes first in `words`. What is kept of the piece stays as it was typed: its quotes may
    keep a shell from acting on it, and what has none may be meant to be acted on.
    """
    plain, places = _without_redirections([unquoted(word)[0] for word in words[1:]])
    typed = words[-1]
    current, quote, ends, opened = _read(typed)
    if not places:
        return "files\n"
    found = reply(plain, current, extending=False)
    if found.command:
        return f"command {places[found.command]}\n"
    begin = max(len(words[0]), opened)
    before = len(unquoted(typed[:begin])[0])
    if found.files and found.start > before:
        # Behind a flag in the same word: readline would take all of it for one name, which is no file's, and leave
        # alone what may be a variable there or a command.
        _list_files(found, current[found.start :])
    text = current[found.start :]
    names = [name for name, _ in found.words if _fits(name, text, ignores_case=found.ignores_case)]
    whole = len(names) == 1 and names[0][-1] not in CONTINUED and not found.joined
    if len(names) > 1 and found.ignores_case and len({name[: len(text)] for name in names}) > 1:
        names = [text + name[len(text) :] for name in names]  # else bash would take back what they differ in
    cut = max(before - found.start, 0)
    end = max(ends[found.start - 1] if found.start else 0, begin)
    kept = typed[begin:end]
    if not quote:
        kept += unquoted(typed[:end])[1]  # a quote that was closed further on
    lines = [kept + _quoted(name[cut:], quote) for name in names[:MAX_WORDS]]
    if whole and quote and lines[0].endswith(quote):
        lines[0] += quote  # readline leaves it open where it sees one at the end
    first = "words" if whole or len(names) > 1 else "nospace"
    if found.files:
        first = "mixed" if names else "files"
    return "".join(f"{line}\n" for line in [first, *lines])


def _list_files(found: Reply, text: str) -> None:
    """Offer the names of the files that begin with `text`, of which what stands before the last slash stays; in
    words, so that a shell has none to look for."""
    found.files = found.ignores_case = False
    directory = text[: text.rfind("/") + 1]
    begin = text[len(directory) :]
    found.start += len(directory)
    if directory:
        found.words = []
    try:
        with os.scandir(os.path.expanduser(directory) or ".") as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(begin) and name.isprintable() and (begin or name[0] != "."):
                    found.words.append((f"{name}/" if entry.is_dir() else name, ""))
                if len(found.words) >= MAX_WORDS:
                    break
    except (OSError, ValueError):
        return


def zsh(words: list[str]) -> str:
    """For zsh: six lines, then words, and how each is listed when some have descriptions.

    The lines are how many characters of the current word stay; what to do (`words`, `joined`, `files`, or
    `command N`); the tag; the title; what to say when there is nothing to offer; and how many words are whole, how
    many are not and come behind those, and `1` for descriptions. It is made for slicing: to take thousands of
    words apart, or to have _describe put hosts of one description together, takes zsh longer than all of this.
    """
    current, _, ends, _ = _read(words[-1])
    found = reply([unquoted(word)[0] for word in words[:-1]], current)
    if found.command:
        return f"0\ncommand {found.command}\n"
    offered = found.words[:MAX_WORDS]
    ordered = [pair for pair in offered if pair[0][-1] not in CONTINUED]
    whole = len(ordered)
    ordered += [pair for pair in offered if pair[0][-1] in CONTINUED]
    width = min(max((len(name) for name, told in ordered if told), default=0), MAX_WIDTH)
    lines = [
        str(ends[found.start - 1] if found.start else 0),
        "files" if found.files else "joined" if found.joined else "words",
        found.tag if found.ignores_case else f"{found.tag} exact",
        found.title,
        found.hint,
        f"{whole} {len(ordered) - whole} {int(width > 0)}",
        *(name for name, _ in ordered),
    ]
    if width:
        lines += [f"{name:{width}}  -- {told}" if told else name for name, told in ordered]
    return "".join(f"{line}\n" for line in lines)


def fish(words: list[str]) -> str:
    """For fish: the first line is `words`, or `command N`, or `files`, how many characters stand before the file's
    name, and what is typed, without its quotes; words are whole, with a description behind a tab."""
    current = unquoted(words[-1])[0]
    found = reply([unquoted(word)[0] for word in words[:-1]], current)
    if found.command:
        return f"command {found.command}\n"
    kept = current[: found.start]
    lines = [f"files {found.start} {current}" if found.files and current.isprintable() else "words"]
    if kept.isprintable():
        lines += [f"{kept}{name}\t{told}" if told else f"{kept}{name}" for name, told in found.words[:MAX_WORDS]]
    return "".join(f"{line}\n" for line in lines)


RENDERERS: dict[str, Callable[[list[str]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _fits(name: str, text: str, *, ignores_case: bool) -> bool:
    return name.startswith(text) or (ignores_case and name.lower().startswith(text.lower()))


def _quoted(name: str, quote: str) -> str:
    """`name` so that it means nothing to a shell but itself, behind that open quote or none."""
    if _SAFE.issuperset(name):
        return name
    if quote == "'":
        return name.replace("'", "'\\''")
    if quote:
        return "".join(f"\\{char}" if char in _ALIVE else char for char in name)
    return "".join(char if char in _SAFE or char.isalnum() else f"\\{char}" for char in name)


_ALIVE = frozenset('"\\$`')
"""What has a meaning between quotation marks (POSIX, Shell Command Language 2.2.3)."""


def unquoted(word: str) -> tuple[str, str]:
    """`word` without its quotes and backslashes, and the quote that is left open at its end, or ""."""
    plain, quote, _, _ = _read(word)
    return plain, quote


def _read(word: str) -> tuple[str, str, Sequence[int], int]:
    """The same; where in `word` each character of it ends; and where what is in the open quote begins, or 0."""
    if not any(char in word for char in "'\"\\"):
        return word, "", range(1, len(word) + 1), 0
    out: list[str] = []
    ends: list[int] = []
    quote = ""
    opened = 0
    at = 0
    while at < len(word):
        char = word[at]
        at += 1
        if char == "\\" and quote != "'":
            following = word[at : at + 1]
            at += 1
            char = following if not quote or following in {'"', "\\", "$", "`"} else char + following
        elif char == quote:
            quote, opened = "", 0
            continue
        elif char in "'\"" and not quote:
            quote, opened = char, at
            continue
        out.append(char)
        ends += [min(at, len(word))] * len(char)
    return "".join(out), quote, ends, opened


def _without_redirections(words: list[str]) -> tuple[list[str], list[int]]:
    """The words before the last without `>file` and the like, and where each stood; the last place is the last
    word's own. No places at all say that the last word is a file's name behind such a sign."""
    plain: list[str] = []
    places: list[int] = []
    at = 0
    while at < len(words):
        if words[at] and words[at].strip("<>&|0123456789") == "" and words[at].strip("0123456789"):
            at += 2
            if at == len(words):
                return [], []
            continue
        places.append(at)
        if at < len(words) - 1:
            plain.append(words[at])
        at += 1
    return plain, places
