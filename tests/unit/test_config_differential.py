"""Generated configurations and command lines through OpenSSH's `ssh -G` and ours; both have to say the same.

The cases come from `config_generator`, a fixed seed of them each run. To hunt for more:

    PYSSH_DIFFERENTIAL_SEED=7 PYSSH_DIFFERENTIAL_COUNT=5000 pytest tests/unit/test_config_differential.py

What differs by intent stands in the tables below, each with its reason.
"""

from __future__ import annotations

import functools
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import pytest

from pyssh_cli.cli import main
from pyssh_cli.config.algorithms import CIPHER, KEX_METHOD, KEY_ALGORITHM, MAC
from pyssh_cli.config.keywords import ALIASES, DEPRECATED, IGNORED, KEYWORDS, UNSUPPORTED
from tests.unit.config_generator import (
    CRITERIA,
    DIRECTORY,
    ENVIRONMENT,
    FEATURES,
    FLAGS,
    NEWER,
    OLD_NAMES,
    VALUES,
    Case,
    generate,
)  # fmt: skip
from tests.unit.hinted import bare

SEED = int(os.environ.get("PYSSH_DIFFERENTIAL_SEED", "1"))

COUNT = int(os.environ.get("PYSSH_DIFFERENTIAL_COUNT", "800"))
CHUNK = 50

SSH = shutil.which("ssh")
VERSION = subprocess.run([SSH, "-V"], capture_output=True, text=True, check=False).stderr if SSH else "no ssh"
pytestmark = pytest.mark.skipif(
    not VERSION.startswith("OpenSSH_9.2"),
    reason=f"what differs by intent is written down for OpenSSH 9.2, and here is {VERSION.strip()}",
)


class Outcome(NamedTuple):
    """What one program made of a case: status, the values it printed, and its messages."""

    status: int
    values: list[str]
    messages: list[str]


def write(case: Case, directory: Path, *, for_ssh: bool) -> list[str]:
    """Write the case's files; its arguments. For ssh, keywords that are newer than it become comments."""
    newer = re.compile(rf'\s*"?({"|".join(NEWER)})\b', re.IGNORECASE)
    for name, lines in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join("#" + line if for_ssh and newer.match(line) else line for line in lines)
        path.write_bytes(text.replace(DIRECTORY, str(directory)).encode("utf-8", "surrogateescape"))
    return [word.replace(DIRECTORY, str(directory)) for word in case.words()]


def outcome(status: int, stdout: bytes, stderr: bytes, directory: Path) -> Outcome:
    log = directory / "log"  # of -E
    if log.exists():
        stderr += log.read_bytes()
        log.unlink()
    return Outcome(status, stdout.decode("utf-8", "surrogateescape").splitlines(), list(messages(stderr)))


def messages(stderr: bytes) -> Iterator[str]:
    """The lines of stderr that are about the configuration, without ssh's escapes for what is not ASCII."""
    for line in re.sub(rb"\\(\\|[0-7]{3})", _unescaped, stderr).decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("usage:"):
            yield "usage"
            return
        if line and not ASIDE.match(line):
            yield bare(line)


ASIDE = re.compile(
    r"OpenSSH_|pyssh_|Pseudo-terminal|debug|\S+ \(pid="
    r"|Values that are not defaults|Host and Match lines|  "  # what ours explains with -v
)


def _unescaped(found: re.Match[bytes]) -> bytes:
    return b"\\" if found[1] == b"\\" else bytes([int(found[1], 8)])


def ssh(case: Case, directory: Path) -> Outcome:
    directory.mkdir(parents=True, exist_ok=True)
    words = [str(SSH), "-G", *write(case, directory, for_ssh=True)]
    done = subprocess.run(
        words, capture_output=True, stdin=subprocess.DEVNULL, check=False, env=ENVIRONMENT, timeout=60
    )
    return outcome(done.returncode, done.stdout, done.stderr, directory)


def pyssh(case: Case, directory: Path) -> Outcome:
    words = write(case, directory, for_ssh=False)
    raw = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(buffer, "utf-8", "surrogateescape", write_through=True) for buffer in raw]
    with (
        mock.patch.object(sys, "stdout", streams[0]),
        mock.patch.object(sys, "stderr", streams[1]),
        mock.patch.dict(os.environ, ENVIRONMENT, clear=True),
    ):
        status = main(["-G", *words])
    return outcome(status, raw[0].getvalue(), raw[1].getvalue(), directory)


# --- What differs by intent ---

Weigh = Callable[[list[str], list[str], Case], tuple[list[str], list[str]]]
"""Takes a keyword's lines, ssh's and ours, and leaves of them what has to be equal all the same."""


class Intent(NamedTuple):
    """Keywords whose values may differ, why, and what is compared of them."""

    keywords: str
    reason: str
    weigh: Weigh


KINDS = {
    "ciphers": (CIPHER, "cipher"),
    "macs": (MAC, "mac"),
    "kexalgorithms": (KEX_METHOD, "kex"),
    **dict.fromkeys(
        ("casignaturealgorithms", "hostbasedacceptedalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms"),
        (KEY_ALGORITHM, "HostKeyAlgorithms"),
    ),
}


@functools.cache
def known_to_ssh(query: str) -> frozenset[str]:
    done = subprocess.run([str(SSH), "-Q", query], capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


@functools.cache
def default_of_ssh() -> dict[str, list[str]]:
    done = subprocess.run([str(SSH), "-GF", "none", "h"], capture_output=True, text=True, check=True)
    return by_keyword(done.stdout.splitlines())


def _algorithms(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    """The names that both know: as a set when most of the default is among them, else in their order."""
    keyword = (theirs or ours)[0].partition(" ")[0]
    kind, query = KINDS[keyword]
    both = known_to_ssh(query).intersection(kind.supported) - {"webauthn-sk-ecdsa-sha2-nistp256@openssh.com"}
    left, right = (
        [name for line in lines for name in line.partition(" ")[2].split(",") if name in both]
        for lines in (theirs, ours)
    )
    default = both.intersection(default_of_ssh()[keyword][0].partition(" ")[2].split(","))
    if len(default.intersection(left)) * 2 >= len(default):
        return sorted({*left} - {*right}), sorted({*right} - {*left})
    return left, right


def _without(*lines: str) -> Weigh:
    """What is left beside lines, of ssh's or of ours, that only stand for another default."""

    def weigh(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
        return [line for line in theirs if line not in lines], [line for line in ours if line not in lines]

    return weigh


def _nothing(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    return [], []


def _without_reconnect(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    """Everything when nothing may connect again, nothing otherwise."""
    return ([], []) if "reconnect" in str(case).lower() else (theirs, ours)


def _beginning(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    """Nothing when our line begins as ssh's does, everything otherwise."""
    return ([], []) if theirs and ours and ours[0].startswith(theirs[0].lower()) else (theirs, ours)


def _said_once(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    """Everything when the case has no Host and no Match line and says the keyword once, nothing otherwise."""
    keyword = (theirs or ours)[0].partition(" ")[0]
    lines = [line.lower() for lines in case.files.values() for line in lines]
    if any(re.match(r"\W*(host|match)\b", line) for line in lines) or str(case).lower().count(keyword) > 1:
        return [], []
    return theirs, ours


def _not_local(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    """Everything when no local port may lead to a socket, nothing otherwise."""
    return ([], []) if re.search(r"localforward.*/|'-L.*/", str(case), re.IGNORECASE) else (theirs, ours)


def _classes_of_traffic(theirs: list[str], ours: list[str], case: Case) -> tuple[list[str], list[str]]:
    """The classes, with the names that 10.5 has dropped as the numbers they stood for."""
    dropped = {"lowdelay": "0x10", "throughput": "0x08"}
    if theirs == ["ipqos lowdelay throughput"]:
        return (theirs, ours) if ours != ["ipqos ef cs0"] else ([], [])
    return [" ".join(dropped.get(word, word) for word in line.split()) for line in theirs], ours


class Wording(NamedTuple):
    """Messages that say the same in other words: patterns for ssh's and for ours, and why."""

    theirs: str
    ours: str
    reason: str


UNSAID = re.compile(
    r"vdollar_percent_expand: .*|Unsupported KEX algorithm \".*\"|parse_jump: invalid (host|user)name .*"
    r"|.* line \d+: (unsupported option \"(\(null\))?\"\.|Bad IPQoS value: (\(null\))?)"
)
"""Lines of ssh's that add nothing to the line beside them: one complaint a mistake is enough."""


class Apart(NamedTuple):
    """Cases with something on which both part ways altogether: only that ours does not crash is looked at.

    `pattern` is searched in the words and lines of a case, each on a line of its own, in lower case.
    """

    pattern: str
    reason: str


class Beside(NamedTuple):
    """What no row of the kinds above can take: the command line and file that show it, and why.

    `theirs` and `ours` are searched in the status and stderr of each.
    """

    words: tuple[str, ...]
    text: str
    theirs: str
    ours: str
    reason: str


INTENDED: tuple[Intent | Wording | Apart | Beside, ...] = (
    Intent(" ".join(KINDS), "each program has its own algorithms, and its own order of its defaults", _algorithms),
    Intent("identityfile", "10.5 has neither XMSS nor DSA keys",
           _without("identityfile ~/.ssh/id_xmss", "identityfile ~/.ssh/id_dsa")),
    Intent("identityagent", "an empty path is no agent, and is not printed", _without("identityagent ")),
    Intent("ipqos", "the default is 10.5's, and so are the names", _classes_of_traffic),
    Intent("syslogfacility streamlocalbindmask",
           "ssh takes them from blocks that do not apply, too, and the mask from the last line", _said_once),
    Intent("dynamicforward", "ssh prints one for each local port that leads to a socket, too", _not_local),
    Intent("logverbose", "ssh keeps the first word only", _beginning),
    Intent("warnweakcrypto obscurekeystroketiming channeltimeout tag versionaddendum refuseconnection",
           "newer than 9.2", _nothing),
    Intent("sessionrecord sessionrecordinput", "ssh records nothing", _nothing),
    Intent("reconnect", "ssh does not connect again", _nothing),
    Intent("serveraliveinterval", "Reconnect has a default of its own", _without_reconnect),

    Wording(
        r"percent_expand: failed|percent_dollar_expand: failed|invalid environment variable expansion"
        r"|tilde_expand: No such user .*",
        r".*(unknown key|invalid format|no such user|No such user|environment variable|has no value).*",
        "ssh names its own functions, pyssh the place and the keyword",
    ),
    Wording(
        r"ssh: Could not resolve hostname .*",
        r"ssh: Could not resolve hostname .* \(.*\)",
        "pyssh adds what to do",
    ),

    Apart(r"ssh://(\S*@)?\[", "9.2 does not read IPv6 addresses in URIs; pyssh does"),
    Apart(r"(?s)%c.*(proxyjump|\n-j)|(proxyjump|\n-j).*%c", "%C is a hash of %j, too, in 10.5"),
    Apart(r"\nssh://[^@\n]*\n(.*\n)*\W*user\W.*[;\\]", "9.2 checks a file's User only for URIs without one"),
    Apart(
        r"""revokedhostkeys("\s*=|"?[\s=]+(''|""|[^#\s]+ [^#\s]))""", "10.5 takes several files, and words it so"
    ),
    Apart(
        r"\n(-o)?\W*(canonical|channel|globalk|logverbose|permitremoteopen|revoked|sendenv|setenv|userk)\w*\W+#",
        "10.5 wants at least one word for these lists",
    ),
    Apart(r"refuseconnection", "newer than 9.2, and the end of it"),
    Apart(r"match.*!final", "9.2 reads the files again for !final, too"),
    Apart(r"proxyjump\W+none\s+#", "9.2 takes the comment for more of the jump's name"),
    Apart(r"ciphers[\s=]+,", "9.2 takes an empty list, and then has no ciphers at all"),
    Apart(
        r"""addkeystoagent[\s="]*(''|""|#)""",
        "ssh says the same thing twice, once in words that other errors have",
    ),
    Apart(r"(algorithms|keytypes)[\s=\"]*[+^]?,", "9.2 takes an empty name for the end of a list of keys"),
    Apart(r"casignaturealgorithms.*-cert-", "10.5 refuses certificates as CA keys already here"),
    Apart(
        r"""match\b.*(''|\\['" ]|[\s=]'|\s"[^"]*"[^\s"])""",
        "10.5 splits the words of Match as all others; 9.2 knows no escapes and no single quotes there, and ends a"
        " word at its closing quote",
    ),
    Apart(r"match\b.*(host|user|exec)[ \t=]+[^\s=]*=\S", "the same: 9.2 takes an = inside a word for a space"),
    Apart(
        r"canonical(domains|izepermittedcnames)([\s=\"]+[^\s#]+){33}", "10.5 has no maximum, 9.2 takes 32 of them"
    ),
    Apart(r"\n-s\n\n", "an empty ControlPath is none"),
    Apart(r"\n-w\n?/", "9.2 does not read sockets' paths here"),
    Apart(r"canonicaldomains.*[\s\"]=", "9.2 words it by the first of several mistakes"),
    Apart(r"\n-j\n?-", "ssh looks at the hops before it looks whether there is a host"),
    Apart(r"rekeylimit.*\\", "9.2 takes a sign for the letter of a scale"),
    Apart(r"(?s)hostname\W+\S*%[^h%\n].*\n\W*match\b", "9.2 ends in the middle of the file, at the Match line"),
    Apart(r"(?s)\n-[a-z]*a[a-z]*\n.*forwardagent\W+[^yn\s]", "9.2 prints the socket that -a leaves unused"),
    Apart(r"(?s)forwardagent\W+(no|false)\b.*forwardagent\W+[^yn\s]", "the same of a line that says no first"),
    Apart(r"forwardagent\W+\$[a-z]", "9.2 takes the name of a variable for a path"),
    Apart(r"\n-[a-z]*y", "with -y ssh speaks to the system log"),

    Beside((), "Port 5\n", r"^0 Pseudo-terminal will not", r"^0 $",
           "-G asks for no terminal, so there is nothing to say of one"),
    Beside((), "Port \u00e4\x01\n", r"'\\303\\244\\001'", "'\u00e4\\\\001'",
           "ssh escapes what is not ASCII, pyssh only what is not UTF-8 or could drive a terminal"),
    Beside(("-F", "/proc/self/mem"), "", r"^0 ", r"^255 .*Input/output error",
           "ssh takes a file that cannot be read to its end for its beginning"),
    Beside(("-J", "a;b"), "", r"^255 parse_jump: invalid hostname", r"^255 Invalid -J argument",
           "one complaint a mistake is enough"),
)  # fmt: skip
"""All differences that remain by intent, each with its reason: values, wordings, and whole cases."""
INTENTS = [row for row in INTENDED if isinstance(row, Intent)]
WORDINGS = [row for row in INTENDED if isinstance(row, Wording)]
BESIDE = [row for row in INTENDED if isinstance(row, Beside)]
APART = [row for row in INTENDED if isinstance(row, Apart)]

# --- The comparison ---


def differences(case: Case, theirs: Outcome, ours: Outcome) -> list[str]:
    """What is not as it should be, an entry each; none when all is well."""
    found = [f"crash:\n    {line}" for line in ours.messages if "internal error" in line]
    lines = [line.rstrip() for lines in case.files.values() for line in lines]
    text = "\n".join(["", *case.words(), *lines]).lower()
    if any(re.search(apart.pattern, text) for apart in APART):
        return found
    theirs = theirs._replace(messages=reworded(theirs.messages, 0))
    ours = ours._replace(messages=reworded(ours.messages, 1))
    if theirs.status != ours.status:
        found.append(f"status: ssh {theirs.status}, pyssh {ours.status}")
    if theirs.messages != ours.messages:
        only = (
            [line for line in one.messages if line not in other.messages]
            for one, other in ((theirs, ours), (ours, theirs))
        )
        said = [lines or both.messages for lines, both in zip(only, (theirs, ours), strict=True)]
        found.append(f"messages:\n    ssh   {said[0]}\n    pyssh {said[1]}")
    if not theirs.status == ours.status == 0:
        return found
    left, right = by_keyword(theirs.values), by_keyword(ours.values)
    weigh = {keyword: intent.weigh for intent in INTENTS for keyword in intent.keywords.split()}
    for keyword in dict.fromkeys((*left, *right)):
        pair = left.get(keyword, []), right.get(keyword, [])
        if keyword in weigh:
            pair = weigh[keyword](*pair, case)
        if pair[0] != pair[1]:
            found.append(f"{keyword}:\n    ssh   {pair[0]}\n    pyssh {pair[1]}")
    order = [[keyword for keyword in values if keyword in left and keyword in right] for values in (left, right)]
    if order[0] != order[1]:
        found.append(f"order:\n    ssh   {order[0]}\n    pyssh {order[1]}")
    return found


def reworded(lines: list[str], side: int) -> list[str]:
    """Messages with those of `WORDINGS` under one name; `side` is 0 for ssh's and 1 for ours."""
    out: list[str] = []
    for line in lines:
        if UNSAID.fullmatch(line):
            continue
        shown = line
        for number, wording in enumerate(WORDINGS):
            if re.fullmatch(wording[side], line):
                shown = f"(wording {number})"
        if not (out[-1:] == [shown] and shown.startswith("(wording")):
            out.append(shown)
    return out


def by_keyword(values: list[str]) -> dict[str, list[str]]:
    """The lines of -G by their first word, in their order."""
    found: dict[str, list[str]] = {}
    for line in values:
        found.setdefault(line.partition(" ")[0], []).append(line)
    return found


def without_one(case: Case) -> Iterator[Case]:
    """The case less a line, or less a group of arguments, or less a file."""
    for name, lines in case.files.items():
        for index in range(len(lines)):
            yield case._replace(files={**case.files, name: [*lines[:index], *lines[index + 1 :]]})
        yield case._replace(files={other: kept for other, kept in case.files.items() if other != name})
    for index in range(len(case.arguments)):
        yield case._replace(arguments=[*case.arguments[:index], *case.arguments[index + 1 :]])


def minimised(case: Case, found: list[str], directory: Path) -> tuple[Case, list[str]]:
    """A smaller case that still shows the first difference, and what it shows."""

    def kinds(entries: list[str]) -> set[str]:
        return {
            re.sub(r"\d+|'.*?'", "", entry) if entry.startswith("messages:") else entry.partition(":\n")[0]
            for entry in entries
        }

    kind = sorted(kinds(found))[0]
    for _ in range(40):
        for smaller in without_one(case):
            less = differences(smaller, ssh(smaller, directory), pyssh(smaller, directory))
            if kind in kinds(less):
                case, found = smaller, less
                break
        else:
            break
    return case, found


# --- The tests ---


@pytest.mark.parametrize("first", range(0, COUNT, CHUNK))
def test_generated_cases(tmp_path: Path, first: int) -> None:
    cases = [generate(SEED, number) for number in range(first, min(first + CHUNK, COUNT))]
    places = [tmp_path / str(number) for number in range(len(cases))]
    with ThreadPoolExecutor(2) as pool:
        expected = list(pool.map(ssh, cases, places))
    report: list[str] = []
    for case, place, theirs in zip(cases, places, expected, strict=True):
        found = differences(case, theirs, pyssh(case, place))
        if found:
            smaller, found = minimised(case, found, place) if len(report) < 3 else (case, found)
            report.append("\n".join([str(smaller), *found]))
    assert not report, f"{len(report)} of {len(cases)} cases differ\n\n" + "\n\n".join(report)


@pytest.mark.parametrize("row", BESIDE, ids=lambda row: row.reason)
def test_what_differs_beside_the_cases(
    tmp_path: Path, row: Beside, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    config = tmp_path / "config"
    config.write_text(row.text)
    words = ["-G", "-F", str(config), *row.words, "host"]
    done = subprocess.run([str(SSH), *words], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert re.search(row.theirs, f"{done.returncode} {done.stderr.decode()}")
    status = main(words)
    assert re.search(row.ours, f"{status} {capfdbinary.readouterr().err.decode()}")


def test_cases_cover_everything() -> None:
    known = {row.name for row in KEYWORDS.values()} - {"Proxy"}  # which is ours alone
    assert known == set(VALUES)
    old = {*ALIASES, *DEPRECATED, *IGNORED, *UNSUPPORTED}
    assert old <= {name.lower() for name in OLD_NAMES}
    assert set(FLAGS) >= set("oplicLRDJWwAaXxYgKkMSTtNnfsmbBeCqvy46FE")
    covered = {feature for number in range(COUNT) for feature in generate(SEED, number).covers}
    assert covered >= {*FEATURES, *(f"Match {criterion}" for criterion in CRITERIA)}
    assert covered >= known


def test_cases_repeat() -> None:
    assert [generate(SEED, number) for number in range(100)] == [generate(SEED, number) for number in range(100)]
    assert len({str(generate(SEED, number)) for number in range(100)}) == 100
    assert generate(SEED, 7) != generate(SEED + 1, 7)


def test_both_outcomes_are_common(tmp_path: Path) -> None:
    """A generator whose cases all fail, or all succeed, would compare little."""
    statuses = [ssh(generate(SEED, number), tmp_path / str(number)).status for number in range(0, 400, 4)]
    assert statuses.count(0) >= 25
    assert statuses.count(255) >= 25


@pytest.mark.parametrize(
    ("criterion", "holds", "fails"),
    [
        ("tagged", "blue", "green"),
        ("command", "l?", "date"),
        ("sessiontype", "exec", "shell,subsystem"),
        ("version", "*", "nothing"),
        ("localnetwork", "127.0.0.0/8", "255.255.255.255/32"),
    ],
)
def test_criteria_newer_than_ssh(tmp_path: Path, criterion: str, holds: str, fails: str) -> None:
    for line, port in (
        (f"Match {criterion} {holds}", 7),
        (f"Match {criterion} {fails}", 22),
        (f"Match !{criterion}={holds}", 22),
        (f"match host host !{criterion.upper()} {fails}", 7),
    ):
        words = ["-F", f"{DIRECTORY}/config", "-P", "blue", "host", "ls"]
        case = Case("none", {"config": [f"{line}\n", "Port 7\n"]}, [words], frozenset())
        status, values, said = pyssh(case, tmp_path)
        assert (status, said) == (0, [])
        assert f"port {port}" in values, line
