"""What pyssh says about itself: levels, prefixes, line ends, and text that cannot drive a terminal."""

from __future__ import annotations

import io
import os
import sys
import syslog
import unicodedata
from pathlib import Path
from random import Random

import pytest

from pyssh_cli import log as lg
from pyssh_cli.log import LOG_LEVELS, Log, printable


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("\x1b]0;title\x07", "\\033]0;title\\007"),
        ("a\rb", "a\\015b"),
        ("\0\x7f", "\\000\\177"),
        ("\x9b31m", "\\23331m"),  # CSI as one C1 character
        ("\x85", "\\205"),
        (b"\x9b31m", "\\23331m"),
        (b"\xff\xfe", "\\377\\376"),
        (b"\xc3\xa9\xe2\x98\x82", "é☂"),
        (b"\xc2\x9b", "\\233"),
        (b"\xc3(", "\\303("),
        (b"\xf0\x9f\x98", "\\360\\237\\230"),
        (b"\xed\xa0\x80", "\\355\\240\\200"),  # a surrogate in UTF-8 is not UTF-8
        ("\u202etxt", "\\u202etxt"),
        ("\u2066\u2069\u200f", "\\u2066\\u2069\\u200f"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("日本語 😀", "日本語 😀"),
    ],
)
def test_printable(value: str | bytes, shown: str) -> None:
    assert printable(value) == shown
    assert printable(value, newlines=True) == shown


def test_newlines_and_tabs_only_when_asked() -> None:
    assert printable("a\nb\tc") == "a\\012b\\011c"
    assert printable("a\nb\tc\r\n", newlines=True) == "a\nb\tc\\015\n"


def test_nothing_that_controls_comes_through() -> None:
    for code in range(0x110000):
        shown = printable(chr(code), newlines=False)
        assert all(unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in shown), code


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("refused (is the server running?)", "(is the server running?)"),
        ("denied (publickey,password). (see -v (or -vv) for more)", "(see -v (or -vv) for more)"),
        ("denied (publickey,password).", ""),
        ("a smile :)", ""),
        ("call()", ""),
        ("(nothing else)", ""),
        ("", ""),
    ],
)
def test_the_parenthesis_at_the_end(line: str, rest: str) -> None:
    assert line[lg._last_parenthesis(line) :] == rest


def test_any_bytes() -> None:
    random = Random(3)
    for _ in range(500):
        shown = printable(random.randbytes(40))
        assert shown.isprintable()
        shown.encode("utf-8")


def test_level_names() -> None:
    assert list(LOG_LEVELS) == [
        "QUIET",
        "FATAL",
        "ERROR",
        "INFO",
        "VERBOSE",
        "DEBUG",
        "DEBUG1",
        "DEBUG2",
        "DEBUG3",
    ]
    assert LOG_LEVELS["DEBUG"] == LOG_LEVELS["DEBUG1"]
    ranks = [LOG_LEVELS[name] for name in LOG_LEVELS if name != "DEBUG"]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize("name", list(LOG_LEVELS))
def test_levels(capsys: pytest.CaptureFixture[str], name: str) -> None:
    log = Log(LOG_LEVELS[name])
    log.error("error")
    log.info("info")
    log.verbose("verbose")
    log.debug1("one")
    log.debug2("two")
    log.debug3("three")
    lines = ["error", "info", "verbose", "debug1: one", "debug2: two", "debug3: three"]
    ranks = (lg.ERROR, lg.INFO, lg.VERBOSE, lg.DEBUG1, lg.DEBUG2, lg.DEBUG3)
    expected = [line for rank, line in zip(ranks, lines, strict=True) if rank <= LOG_LEVELS[name]]
    assert capsys.readouterr().err == "".join(line + "\n" for line in expected)
    assert [log.enabled(rank) for rank in ranks] == [rank <= LOG_LEVELS[name] for rank in ranks]


def test_lines_end_for_a_raw_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log()
    log.raw = True
    log.info("one\ntwo")
    assert capsys.readouterr().err == "one\r\ntwo\r\n"


def test_debug_output_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(lg.DEBUG3)
    log.verbose("a\nb")
    log.debug1("Remote: x\ndebug1: y")
    assert capsys.readouterr().err == "a\\012b\ndebug1: Remote: x\\012debug1: y\n"


def test_what_a_server_says_is_cleaned(capsys: pytest.CaptureFixture[str]) -> None:
    Log().info("Remote: \x1b[2J\u202e")
    assert capsys.readouterr().err == "Remote: \\033[2J\\u202e\n"


def test_file_gets_lines_appended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    log = Log(lg.DEBUG1)
    log.open_file(str(path))
    log.raw = True
    log.info("grüße\nsecond")
    assert path.read_bytes() == "before\ngrüße\nsecond\n".encode()
    assert capsys.readouterr().err == ""


def test_new_file_is_ours_alone(tmp_path: Path) -> None:
    Log().open_file(str(tmp_path / "new"))
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Log().open_file(str(tmp_path / "missing" / "log"))


def test_closed_stderr_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    Log().error("heard")
    assert stream.getvalue() == "heard\n"
    stream.close()
    Log().error("nobody hears this")


def test_long_lines_of_errors_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log()
    log.error("a" * 5000 + "\nb\n" + "c" * 5000)
    assert capsys.readouterr().err == "a" * lg.LONGEST + "\nb\n" + "c" * lg.LONGEST + "\n"
    log.info("a" * 5000)
    assert capsys.readouterr().err == "a" * 5000 + "\n"


def test_a_place_may_speak_whatever_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log()
    asked: list[str] = []

    def forced(place: str) -> bool:
        asked.append(place)
        return ":a_place():" in place

    def a_place() -> None:
        log.debug3("heard")
        log.say(lg.DEBUG1, "heard too")

    log.forced = forced
    assert log.enabled(lg.DEBUG3)
    a_place()
    log.debug1("unheard")
    log.info("as usual")
    lines = capsys.readouterr().err.splitlines()
    line = a_place.__code__.co_firstlineno + 1
    pid = os.getpid()
    assert lines == [
        f"debug3: test_log.py:a_place():{line} (pid={pid}): heard",
        f"debug1: test_log.py:a_place():{line + 1} (pid={pid}): heard too",
        "as usual",
    ]
    assert len(asked) == 4


def test_syslog_gets_priorities_and_nothing_that_could_forge_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[tuple[int, str]] = []
    opened: list[tuple[str, int, int]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *given: opened.append(given))
    monkeypatch.setattr(syslog, "syslog", lambda *given: said.append(given))
    log = Log(lg.DEBUG1)
    log.open_syslog("LOCAL3")
    log.say(lg.FATAL, "the end")
    log.error("one\ntwo %s")
    log.info("told")
    log.verbose("more")
    log.debug1("\x1b[2J")
    log.debug2("too much")
    log.info("x" * 5000)
    assert opened == [("pyssh", syslog.LOG_PID, syslog.LOG_LOCAL3)]
    assert said == [
        (syslog.LOG_CRIT, "fatal: the end"),
        (syslog.LOG_ERR, "error: one\\012two %s"),
        (syslog.LOG_INFO, "told"),
        (syslog.LOG_INFO, "more"),
        (syslog.LOG_DEBUG, "debug1: \\033[2J"),
        (syslog.LOG_INFO, "x" * lg.SYSLOG_SIZE),
    ]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("level", "silent"), [(lg.INFO, True), (lg.VERBOSE, True), (lg.DEBUG1, False)])
def test_in_the_background_stderr_is_for_debugging(
    capsys: pytest.CaptureFixture[str], level: int, silent: bool
) -> None:
    log = Log(level)
    assert log.leave_stderr() is silent
    log.error("something")
    assert capsys.readouterr().err == ("" if silent else "something\n")


def test_in_the_background_a_file_goes_on(tmp_path: Path) -> None:
    log = Log()
    log.open_file(str(tmp_path / "log"))
    assert log.leave_stderr()
    log.error("something")
    assert (tmp_path / "log").read_text() == "something\n"
