"""How each shell is told what may stand at the cursor, and how its words are read. The other end: completions/.

An answer is lines; the first says what the shell is to do, the rest are what to offer. Its words come with their
quotes, as they stand on the command line, and nothing in them is ever evaluated.
"""

from __future__ import annotations

from collections.abc import Callable

from pyssh_cli.completion.places import reply

MAX_WORDS = 20_000
"""How many words are offered at most."""

MAX_WIDTH = 40
"""Columns that words take at most in zsh's lists before their descriptions begin."""

CONTINUED = "=:@,/"
"""Words that end in one of these are not whole: no space is to follow."""

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:%+/=@,")


def bash(words: list[str]) -> str:
    """For bash: the first line is `words`, `nospace`, `files N` or `mixed N` (for names of files from the N-th
    character of the last piece on), or `command N`; words are what takes the place of the last piece.

    A piece is what stands behind the last `=`, `:` or `@` of a word. The part before it comes first in `words`.
    """
    lead = unquoted(words[0])[0]
    plain, places = _without_redirections([unquoted(word)[0] for word in words[1:]])
    current, quote = unquoted(words[-1])
    if not places:
        return "files 0\n"
    found = reply(plain, current, extending=False)
    if found.command:
        return f"command {places[found.command]}\n"
    text = current[found.start :]
    names = [name for name, _ in found.words if _fits(name, text, ignores_case=found.ignores_case)]
    whole = len(names) == 1 and names[0][-1] not in CONTINUED and not found.joined
    if len(names) > 1 and found.ignores_case and len({name[: len(text)] for name in names}) > 1:
        names = [text + name[len(text) :] for name in names]  # else bash would take back what they differ in
    cut = max(len(lead) - found.start, 0)
    kept = current[len(lead) : found.start]
    lines = [kept + (name[cut:] if quote else _escaped(name[cut:])) for name in names[:MAX_WORDS]]
    first = "words" if whole or len(names) > 1 else "nospace"
    if found.files:
        first = f"{'mixed' if names else 'files'} {max(found.start - len(lead), 0)}"
    return "".join(f"{line}\n" for line in [first, *lines])


def zsh(words: list[str]) -> str:
    """For zsh: six lines, then words, and how each is listed when some have descriptions.

    The lines are how many characters of the current word stay; what to do (`words`, `joined`, `files`, or
    `command N`); the tag; the title; what to say when there is nothing to offer; and how many words are whole, how
    many are not and come behind those, and `1` for descriptions. It is made for slicing: to take thousands of
    words apart, or to have _describe put hosts of one description together, takes zsh longer than all of this.
    """
    current = unquoted(words[-1])[0]
    found = reply([unquoted(word)[0] for word in words[:-1]], current)
    if found.command:
        return f"0\ncommand {found.command}\n"
    offered = found.words[:MAX_WORDS]
    ordered = [pair for pair in offered if pair[0][-1] not in CONTINUED]
    whole = len(ordered)
    ordered += [pair for pair in offered if pair[0][-1] in CONTINUED]
    width = min(max((len(name) for name, told in ordered if told), default=0), MAX_WIDTH)
    lines = [
        str(found.start),
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
    """For fish: the first line is `words`, `files` with what stands before the file's name, or `command N`; words
    are whole, with a description behind a tab."""
    current = unquoted(words[-1])[0]
    found = reply([unquoted(word)[0] for word in words[:-1]], current)
    if found.command:
        return f"command {found.command}\n"
    kept = current[: found.start]
    lines = [f"files {kept}" if found.files else "words"]
    if kept.isprintable():
        lines += [f"{kept}{name}\t{told}" if told else f"{kept}{name}" for name, told in found.words[:MAX_WORDS]]
    return "".join(f"{line}\n" for line in lines)


RENDERERS: dict[str, Callable[[list[str]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _fits(name: str, text: str, *, ignores_case: bool) -> bool:
    return name.startswith(text) or (ignores_case and name.lower().startswith(text.lower()))


def _escaped(name: str) -> str:
    """`name` with a backslash before whatever means something to a shell."""
    if _SAFE.issuperset(name):
        return name
    return "".join(char if char in _SAFE or char.isalnum() else f"\\{char}" for char in name)


def unquoted(word: str) -> tuple[str, str]:
    """`word` without its quotes and backslashes, and the quote that is left open at its end, or ""."""
    if not any(char in word for char in "'\"\\"):
        return word, ""
    out = []
    quote = ""
    at = 0
    while at < len(word):
        char = word[at]
        at += 1
        if char == "\\" and quote != "'":
            following = word[at : at + 1]
            out.append(following if not quote or following in {'"', "\\", "$", "`"} else char + following)
            at += 1
        elif char == quote:
            quote = ""
        elif char in "'\"" and not quote:
            quote = char
        else:
            out.append(char)
    return "".join(out), quote


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
