"""The manual pages against the tables they are about, both ways; their form, by mandoc; and where they go.

The pages are read as mdoc(7) source: what a list is about stands in its `.It` lines, and a default behind the
words "The default is", as a `.Cm` or as a display below.
"""

from __future__ import annotations

import ast
import errno
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from pyssh_cli.cli.acts import CONTROL_COMMANDS
from pyssh_cli.cli.command import pyssh
from pyssh_cli.cli.flags import FLAGS, LONG_FLAGS
from pyssh_cli.cli.query import QUERIES
from pyssh_cli.client import command_line, hostbased, idle
from pyssh_cli.client.diagnose import facts
from pyssh_cli.client.diagnose.stages import STAGES
from pyssh_cli.config import dump, grammars, match
from pyssh_cli.config.algorithms import CIPHER
from pyssh_cli.config.keywords import (
    ALGORITHM_LISTS,
    ALIASES,
    DEPRECATED,
    IGNORED,
    KEYWORDS,
    UNSUPPORTED,
)
from pyssh_cli.config.network import Found
from pyssh_cli.config.options import Options
from pyssh_cli.config.passes import SYSTEM_FILE, local_person
from pyssh_cli.config.resolve import DEFAULT_AUTHENTICATIONS, DEFAULT_IDENTITIES, resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import TOKEN_RULES, Tokens
from pyssh_cli.config.values import BadValue, Choice
from pyssh_cli.log import LOG_LEVELS, Log
from pyssh_cli.protocol.ciphers import default_ciphers
from pyssh_cli.terminal.escapes import ESCAPES, spelled

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "man" / "pyssh.1", ROOT / "man" / "pyssh_config.5")
PROGRAM, CONFIG = (page.read_text(encoding="ascii") for page in PAGES)

PYSSH_ONLY, NOT_YET = "pyssh only", "not yet"


class Item(NamedTuple):
    """One item of a list: what stands behind `.It`, and the lines below it."""

    head: str
    body: list[str]

    @property
    def text(self) -> str:
        return plain("\n".join(self.body))

    @property
    def words(self) -> set[str]:
        """All words of it, without what punctuation stands around them."""
        return {word.strip(".,;:()") for word in self.text.split()} | set(self.text.split())


def plain(source: str) -> str:
    """Source of mdoc with its escapes replaced."""
    for escape, char in ((r"\(ti", "~"), (r"\(ha", "^"), (r"\e", "\\"), (r"\&", ""), ('""', '"')):
        source = source.replace(escape, char)
    return source


def section(page: str, title: str, mark: str = "Sh") -> list[str]:
    """The lines of a section, or with `mark` "Ss" of a subsection."""
    lines = page.split("\n")
    start = lines.index(f".{mark} {title}") + 1
    ends = (number for number in range(start, len(lines)) if lines[number].startswith((".Sh ", f".{mark} ")))
    return lines[start : next(ends, len(lines))]


def items(lines: list[str]) -> Iterator[Item]:
    """The items of the outermost lists; of lists inside them, the text."""
    depth = 0
    found: Item | None = None
    for line in lines:
        depth += line.startswith(".Bl ")
        if depth == 1 and line.startswith(".It"):
            if found:
                yield found
            found = Item(plain(line[4:]), [])
        elif found:
            found.body.append(line)
        if line == ".El":
            depth -= 1
            if not depth and found:
                yield found
                found = None


def marked(found: list[Item], mark: str) -> set[str]:
    """The names of the items that have such a mark, in lower case."""
    return {item.head.split()[1].lower() for item in found if item.head.endswith(f" Pq {mark}")}


def settled_options() -> tuple[Options, Settings]:
    settings = Settings()
    options = resolve(settings, "host", NoNetwork(), Log(), config_file="none", printing=True)
    return options, settings


class NoNetwork:
    """A network in which there is nothing."""

    def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
        raise OSError(name)

    def local_addresses(self) -> list[str]:
        return []


KEYWORD_ITEMS = list(items(section(CONFIG, "KEYWORDS")))
FLAG_ITEMS = list(items(section(PROGRAM, "DESCRIPTION")))

# The program -----------------------------------------------------------------------------------------------------


def documented_flags() -> set[str]:
    return {item.head.split()[1].removeprefix("-") for item in FLAG_ITEMS}


def test_every_flag_has_an_item_and_nothing_else_has() -> None:
    assert documented_flags() == {*FLAGS, *LONG_FLAGS}
    assert {*FLAGS, *LONG_FLAGS} <= documented_flags()


def test_flags_say_whether_they_have_an_argument() -> None:
    for item in FLAG_ITEMS:
        flag = FLAGS.get(item.head.split()[1])
        if flag:
            has_argument = "Ar" in item.head or item.head.endswith("Xo")
            assert has_argument == bool(flag.argument), item.head


def test_synopsis_has_every_flag() -> None:
    synopsis = "\n".join(section(PROGRAM, "SYNOPSIS"))
    bundled = re.search(r"^\.Op Fl (\w+)$", synopsis, re.MULTILINE)
    assert bundled
    assert set(bundled[1]) == {letter for letter, flag in FLAGS.items() if not flag.argument} - {"1", "2"}
    assert re.findall(r"^\.Op Fl (\w) ", synopsis, re.MULTILINE) == [
        letter for letter, flag in FLAGS.items() if flag.argument
    ]
    long = set(re.findall(r"(?:Fl|\|) -(\w+)", synopsis))
    assert long == set(LONG_FLAGS)


def test_marks_of_flags() -> None:
    not_ready = {f.letter.lower() for f in FLAGS.values() if not f.ready}
    assert marked(FLAG_ITEMS, NOT_YET) == not_ready | ({"s"} if not_ready else set())  # -S needs the others
    ours = {name.removeprefix("-") for name in marked(FLAG_ITEMS, PYSSH_ONLY)}
    assert ours == set(LONG_FLAGS)


def test_words_that_flags_take() -> None:
    queries = next(item for item in FLAG_ITEMS if item.head.startswith("Fl Q"))
    listed = re.findall(r"^\.Cm (.*)$", queries.text, re.MULTILINE)
    assert set(" ".join(listed).split()) - {",", ".", "Ciphers"} == {*QUERIES, "help"}
    sharing = "\n".join(section(PROGRAM, "CONNECTION SHARING"))
    listed = re.findall(r"has to be one of\n\.Cm (.*)\nor\n\.Cm (.*)\n", sharing)[0]
    assert set(" ".join(listed).split()) - {",", "."} == set(CONTROL_COMMANDS)


def test_every_escape_has_an_item_and_nothing_else_has() -> None:
    found = {item.head.split()[1] for item in items(section(PROGRAM, "ESCAPE CHARACTERS"))}
    of_line = {item.head.split()[1] for item in items(section(PROGRAM, "The command line", "Ss"))}
    assert found - of_line == {f"~{spelled(key)}" for key in ESCAPES} | {"~~"}


def test_every_command_of_the_escape_command_line() -> None:
    heads = [item.head for item in items(section(PROGRAM, "The command line", "Ss"))]
    forms = [form for form, _ in (*command_line._HELP, command_line._HELP_COMMAND)]
    known = {found[0] for form in forms if (found := re.match(r"-K?[A-Z]|!", form))}
    assert {re.sub(r"^Fl (\w+).*|^Ic (!).*", r"-\1\2", head).replace("-!", "!") for head in heads} == known | {
        "-h"
    }
    assert command_line.parse("-h").verb == "help"


def test_environment_variables() -> None:
    in_page = {word for item in items(section(PROGRAM, "ENVIRONMENT")) for word in item.head.split()[1:]} - {","}
    read = {"LC_CTYPE"}  # only to take out again what Python puts there
    for text in sources():
        read |= set(re.findall(r'environ(?:ment)?(?:\.get\(|\[)"([A-Z][A-Z0-9_]+)"', text))
        read |= set(re.findall(r'"([A-Z][A-Z0-9_]+)" in (?:os\.)?environ', text))
        read |= set(re.findall(r'\*\*(?:os\.)?environ(?:ment)?, "([A-Z][A-Z0-9_]+)":', text))
    assert in_page == read - {"LC_CTYPE"}


def test_files() -> None:
    in_page = {word for item in items(section(PROGRAM, "FILES")) for word in item.head.split()[1:]}
    named = {*DEFAULT_IDENTITIES, *hostbased.HOST_KEYS, hostbased.KEYSIGN[0], SYSTEM_FILE, "~/.ssh/config"}
    for keyword in ("globalknownhostsfile", "userknownhostsfile"):
        named |= set(KEYWORDS[keyword].default)
    assert named <= in_page


# What it says ----------------------------------------------------------------------------------------------------

_PLACEHOLDERS = "ADDRESS|FILE|HOST|KEYWORD|KIND|METHODS|NAME|NUMBER|PATH|PEER|PORT|PROXY|REASON|TYPE|USER"
_SYSTEM = "|".join(
    os.strerror(number)
    for number in (
        errno.EADDRINUSE,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    )
)


def sources() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted((ROOT / "pyssh_cli").rglob("*.py"))]


@cache
def said() -> str:
    """All texts of the program, a line each, with a NUL where something is put in."""
    texts: list[str] = []
    for source in sources():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts).lower()


def diagnostics() -> list[str]:
    return [item.head.removeprefix("Sy ").strip('"') for item in items(section(PROGRAM, "DIAGNOSTICS"))]


@pytest.mark.parametrize("message", diagnostics())
def test_messages_are_what_is_said(message: str) -> None:
    # What is put in at run time: by the system, by a server, or by a table.
    text = re.sub(
        rf"{_SYSTEM}|Connection timed out$|(PTY allocation|X11 forwarding|subsystem)(?= request)"
        r"|banner|key(?= exchange)|stdout|port(?= PORT$)",
        "REASON",
        message,
    )
    pieces = [piece.strip(' :."()[]@') for piece in re.split(rf"\b(?:{_PLACEHOLDERS})\b|: ", text)]
    pieces = [piece for piece in pieces if len(piece) > 3]
    assert pieces
    assert [piece for piece in pieces if piece.lower() not in said()] == []


def test_there_are_enough_of_them() -> None:
    assert len(diagnostics()) >= 30


# The configuration -----------------------------------------------------------------------------------------------


def test_every_keyword_has_an_item_and_nothing_else_has() -> None:
    found = [item.head.split()[1] for item in KEYWORD_ITEMS]
    assert found == sorted(found, key=str.lower)
    assert {name.lower() for name in found} == {*KEYWORDS, "host", "match", "include"}
    assert {row.name for row in KEYWORDS.values()} <= set(found), "spelled as the table has them"


def test_marks_of_keywords() -> None:
    assert marked(KEYWORD_ITEMS, NOT_YET) == {name for name, row in KEYWORDS.items() if row.care != "done"}
    assert marked(KEYWORD_ITEMS, PYSSH_ONLY) == ({*dump._OURS, "proxy"} & set(KEYWORDS))


def test_old_names() -> None:
    rows = [item.head.replace("Cm ", "").lower().split(" ta ") for item in items(section(CONFIG, "OTHER NAMES"))]
    assert dict(rows) == ALIASES
    text = plain("\n".join(section(CONFIG, "OLD KEYWORDS"))).lower()
    quiet, _, rest = text.partition(".pp")
    told, _, complained = rest.partition(".pp")
    for found, names in ((quiet, IGNORED), (told, DEPRECATED), (complained, UNSUPPORTED)):
        assert set(re.findall(r"\w+", " ".join(re.findall(r"^\.cm (.*)$", found, re.MULTILINE)))) == names


@pytest.mark.parametrize("item", KEYWORD_ITEMS, ids=lambda item: item.head.split()[1])
def test_words_that_keywords_take(item: Item) -> None:
    row = KEYWORDS.get(item.head.split()[1].lower())
    if row is None or not isinstance(row.parse, Choice):
        return
    other_names = {"true", "false"}  # which the page has in one place for all
    wanted = set(row.parse.names) - other_names
    if wanted != {"yes", "no"}:
        assert wanted <= item.words, "every word"
    elif not {"yes", "no"} & item.words:
        assert re.search(r"[Ww]hether", item.text)


def test_other_words_that_keywords_take() -> None:
    by_name = {item.head.split()[1]: item for item in KEYWORD_ITEMS}
    assert set(LOG_LEVELS) <= by_name["LogLevel"].words
    classes = set(grammars._DSCP) - {f"cs{number}" for number in range(1, 7)}  # "cs0 to cs7"
    assert classes <= by_name["IPQoS"].words
    types = {*idle.TYPES.values(), idle.GLOBAL}
    assert types <= by_name["ChannelTimeout"].words


def stated_default(item: Item) -> str | None:
    """The default that an item states, in a line; None for none at all."""
    displayed = re.search(r"default[^.]*?is:\n\.Bd [^\n]*\n(.*?)\.Ed", item.text, re.DOTALL)
    if displayed:
        return "".join(displayed[1].split())
    inline = re.findall(r"The default is\n\.Cm (.*?)(?: [.,])?$", item.text, re.MULTILINE)
    assert len(inline) < 2
    return inline[0] if inline else None


@pytest.mark.parametrize("item", KEYWORD_ITEMS, ids=lambda item: item.head.split()[1])
def test_defaults_are_those_of_dump(item: Item) -> None:
    keyword = item.head.split()[1].lower()
    if keyword not in KEYWORDS:
        return
    options, settings = settled_options()
    shown = {
        label.lower(): value for label, _, value in (line.partition(" ") for line in dump.lines(options, settings))
    }
    stated = stated_default(item)
    if keyword == "ciphers":
        assert stated == ",".join(default_ciphers(True))
        assert set(CIPHER.default) == set(stated.split(","))
    elif keyword == "preferredauthentications":
        assert stated == ",".join(DEFAULT_AUTHENTICATIONS)
    elif "It has the default of\n.Cm HostKeyAlgorithms" in item.text:
        assert shown[keyword] == shown["hostkeyalgorithms"]
    elif keyword in {"user", "hostname", "identityfile"}:  # what these come to depends on others
        assert "There is no default" in item.text or "The default files" in item.text
    elif keyword in shown:
        assert stated is not None, f"it is {shown[keyword]}"
        words = {"true": "yes", "false": "no"}
        home = local_person().pw_dir
        expected = words.get(shown[keyword], shown[keyword]).replace(f"{home}/", "~/")
        assert stated.lower() == expected.lower()
    else:
        assert stated is None or keyword in dump._OURS
        assert stated is not None or "There is no default" in item.text
    if keyword in ALGORITHM_LISTS:
        assert "ALGORITHM LISTS" in item.text


def test_tokens() -> None:
    listed = {item.head.split()[1] for item in items(section(CONFIG, "TOKENS")) if item.head.startswith("Cm %")}
    known = {letter for rule in TOKEN_RULES.values() for letter in rule.letters or ""}
    assert listed == {f"%{letter}" for letter in known | {"%"}}


def test_which_values_take_which_tokens() -> None:
    rows = {}
    common = {*"CdhijkLlnpru", "%"}
    for item in items(section(CONFIG, "TOKENS")):
        if " Ta " not in item.head or item.head.startswith("Em"):
            continue
        name, tokens, environment, tilde = item.head.removeprefix("Cm ").lower().split(" ta ")
        tokens = item.head.split(" Ta ")[1]
        letters = {token[1:] for token in tokens.split() if token.startswith("%")}
        if tokens.startswith("all but"):
            letters = common - letters
        elif tokens.startswith("all"):
            letters |= common
        rows[name] = (None if tokens == "none" else letters - {"%"}, environment == "yes", tilde == "yes")
    assert rows == {
        name: (None if rule.letters is None else set(rule.letters), rule.environment, rule.tilde)
        for name, rule in TOKEN_RULES.items()
    }


def test_match_criteria(capsys: pytest.CaptureFixture[str]) -> None:
    found = {item.head.split()[1] for item in items(section(CONFIG, "MATCH CRITERIA"))}
    without_argument = {"all", "canonical", "final"}
    assert found == {*match._SETTLED, *without_argument, "exec", "localnetwork", "version"}
    for name in sorted(found):
        word = name if name in without_argument else f"{name}=127.0.0.1"
        assert not conditions().match([word], "F line 1", enabled=False)  # known to the parser
    with pytest.raises(BadValue):
        conditions().match(["nope=127.0.0.1"], "F line 1", enabled=False)
    assert "Unsupported Match attribute nope" in capsys.readouterr().err


def conditions() -> match.Conditions:
    destination = match.Destination("host", "host", "me")
    return match.Conditions(destination, Settings(), Log(), lambda host, user: Tokens({"h": host, "r": user}))


def displays(page: str, title: str) -> list[str]:
    """The displayed blocks of a section."""
    return re.findall(
        r"^\.Bd [^\n]*\n(.*?)^\.Ed", plain("\n".join(section(page, title))), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("text", displays(CONFIG, "EXAMPLES"))
def test_examples_of_configuration(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config"
    file.write_text(text, encoding="ascii")
    resolve(Settings(), "host", NoNetwork(), Log(), config_file=str(file), printing=True)
    assert capsys.readouterr().err == ""


def commands() -> list[list[str]]:
    """The examples that call the program, each as the words behind its name."""
    lines = "".join(displays(PROGRAM, "EXAMPLES")).replace("\\\n", "").splitlines()
    return [shlex.split(line.partition(" > ")[0])[2:] for line in lines if line.startswith("$ pyssh ")]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_examples_of_commands(words: list[str]) -> None:
    context = pyssh.make_context("pyssh", words, obj=Log())
    assert context.obj.host


# The form --------------------------------------------------------------------------------------------------------

needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
ACCEPTED = ("referenced manual not found", "outdated mandoc.db")
"""What says more about the machine than about the page."""


@needs_mandoc
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_nothing_to_say(page: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "style", page], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stdout.splitlines() if not any(words in line for words in ACCEPTED)]
    assert complaints == []


@needs_mandoc
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_fit_80_columns(page: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "utf8", "-O", "width=80", page], capture_output=True, text=True, check=True
    )
    shown = re.sub(".\b", "", done.stdout)
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert shown.startswith(page.stem.upper())


def test_pages_are_ascii_and_have_no_blanks_at_the_end_of_lines() -> None:
    for page in (PROGRAM, CONFIG):
        assert page.endswith("\n")
        assert not re.search(r"[ \t]$", page, re.MULTILINE)


def test_pages_are_installed_where_man_finds_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    targets = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for page in PAGES:
        assert targets[f"man/{page.name}"] == f"share/man/man{page.suffix[1:]}/{page.name}"


def test_all_fields_of_json_are_told_of() -> None:
    """And the values of those that have a few."""
    _, _, part = PROGRAM.partition(".Ss The object that --json prints\n")
    part, _, _ = part.partition("\n.Sh ")
    told = set(re.findall(r"\w+", " ".join(re.findall(r"\bLi ([^(]+?)(?:\bNo\b|$)", part, re.MULTILINE))))
    fields = {
        name
        for made in vars(facts).values()
        if isinstance(made, type) and issubclass(made, tuple) and made.__module__ == facts.__name__
        if made is not facts.Verdict
        for name in made._fields  # type: ignore[attr-defined]
    }
    values = {
        value for kind in (facts.Status, facts.Weakness.__annotations__["severity"]) for value in words(kind)
    }
    assert fields | {*STAGES, "configuration", "agent", "forwards"} <= told
    assert values <= told


def words(kind: object) -> set[str]:
    """The strings of a Literal, also where it is a text still."""
    return set(re.findall(r"['\"](\w+)['\"]", str(kind)))
