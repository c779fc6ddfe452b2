"""Reading files: Include, blocks, ownership, odd bytes, what bad lines are told, and the record of blocks."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.config import files as files_module
from pyssh_cli.config.files import FileReader, UnknownKeyword, UnreadableFile, assign
from pyssh_cli.config.globs import paths
from pyssh_cli.config.keywords import KEYWORDS
from pyssh_cli.config.match import Conditions, Destination
from pyssh_cli.config.settings import Block, Settings
from pyssh_cli.config.tokens import TOKEN_RULES, Tokens
from pyssh_cli.config.values import BadValue, FatalValue, Line
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG3, INFO, Log
from tests.unit.hinted import bare

IS_ROOT = os.getuid() == 0
only_root = pytest.mark.skipif(not IS_ROOT, reason="gives files away")


class Reading:
    """One pass over a file of `directory` for "host", with the settings it gives."""

    def __init__(
        self, directory: Path, *, level: int = INFO, host: str = "host", final_pass: bool = False
    ) -> None:
        self.directory = directory
        self.settings = Settings()
        log = Log(level)
        tokens = Tokens({"d": str(directory), "h": host, "n": "host", "p": "22", "j": ""})
        self.conditions = Conditions(
            Destination(host, "host", "me", None, final_pass), self.settings, log, lambda hostname, user: tokens
        )
        self.reader = FileReader(self.settings, self.conditions, log, str(directory))

    def read(self, content: str | bytes, *, user_file: bool = True, check_owner: bool = False) -> Settings:
        path = self.directory / "config"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.reader.read(str(path), user_file=user_file, check_owner=check_owner)
        return self.settings


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return Reading(tmp_path)


@pytest.fixture
def told(reading: Reading, capsys: pytest.CaptureFixture[str]) -> Callable[[str | bytes], list[str]]:
    """What reading a bad file says, the last line being what it ends with; the directory is left out."""

    def read(content: str | bytes) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            reading.read(content)
        lines = [*capsys.readouterr().err.splitlines(), str(caught.value)]
        return [bare(line.replace(f"{reading.directory}/", "")) for line in lines]

    return read


# --- Include ---


def test_include_takes_paths_patterns_and_quotes(reading: Reading) -> None:
    directory = reading.directory
    (directory / "a b").write_text("Port 1\n")
    (directory / "x1.conf").write_text("User one\n")
    (directory / "x2.conf").write_text("User two\nHostname two\n")
    (directory / ".hidden").write_text("Port 9\n")
    settings = reading.read(
        f'Include "{directory}/a b" {directory}/*.conf # more\nInclude ~/.ssh/none {directory}/nope\n'
    )
    assert (settings.get("port"), settings.get("user"), settings.get("hostname")) == (1, "one", "two")
    assert settings.origin("port") == f"{directory}/a b:1"


def test_include_is_anchored_by_whose_file_it_stands_in(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".ssh" / "mine").write_text("User mine\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "mine").write_text("User system\n")
    monkeypatch.setattr(files_module, "SYSTEM_DIRECTORY", str(tmp_path / "etc"))
    assert reading.read("Include mine\n").get("user") == "mine"
    assert Reading(tmp_path).read("Include mine\n", user_file=False).get("user") == "system"


def test_only_the_person_s_file_may_name_homes(reading: Reading, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="terminating, 1 bad"):
        reading.read("Include ~/x\n", user_file=False)
    assert "line 1: bad include path ~/x." in capsys.readouterr().err


def test_homes_of_others(reading: Reading, capsys: pytest.CaptureFixture[str]) -> None:
    noisy = Reading(reading.directory, level=DEBUG3)
    noisy.read("Include ~nobody-of-that-name/* ~root/nothing-of-that-name*\n")
    debug = capsys.readouterr().err
    assert "include ~nobody-of-that-name/* matched no files" in debug
    assert "include ~root/nothing-of-that-name* matched no files" in debug


def test_include_takes_tokens_and_variables(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = reading.directory
    (directory / "for-host-22").write_text("User token\n")
    (directory / "100%").write_text("Port 100\n")
    monkeypatch.setenv("PYSSH_X", str(directory))
    monkeypatch.delenv("PYSSH_NONE", raising=False)
    settings = reading.read("Include ${PYSSH_X}/for-%h-%p ${PYSSH_NONE}/x %d/100%%\n")
    assert (settings.get("user"), settings.get("port")) == ("token", 100)
    assert "Include: env var ${PYSSH_NONE} has no value" in capsys.readouterr().err


def test_bad_tokens_of_include_end_the_reading(told: Callable[[str | bytes], list[str]]) -> None:
    assert told("Include /x/%z\nFoo 1\n") == ['config line 1: Include: unknown key %z in "/x/%z"']


def test_include_does_not_leak_blocks(reading: Reading) -> None:
    (reading.directory / "in").write_text("Host host\nUser in\nHost other\n")
    settings = reading.read(f"Host *\nInclude {reading.directory}/in\nPort 5\n")
    assert (settings.get("user"), settings.get("port")) == ("in", 5)
    nothing = Reading(reading.directory).read(f"Match host x\nInclude {reading.directory}/in\nPort 5\n")
    assert nothing.values == {}


def test_what_is_included_where_nothing_applies_is_still_read(
    told: Callable[[str | bytes], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("Host *\nFoo 1\n")
    assert told(f"Host x\nInclude {tmp_path}/in\n") == [
        "in: line 2: Bad configuration option: foo",
        "in: terminating, 1 bad configuration options",
    ]


def test_include_nests_so_deep(reading: Reading) -> None:
    directory = reading.directory
    for number in range(18):
        (directory / f"n{number}").write_text(f"Include {directory}/n{number + 1}\n")
    (directory / "n15").write_text("Port 15\n")
    assert reading.read(f"Include {directory}/n0\n").get("port") == 15
    (directory / "n15").write_text(f"Include {directory}/n16\n")
    with pytest.raises(ConfigError, match="Too many recursive configuration includes"):
        reading.read(f"Include {directory}/n0\n")


def test_what_include_passes_over_and_what_not(told: Callable[[str | bytes], list[str]], tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "good").write_text("Foo 1\n")
    assert told(f"Include {tmp_path}/directory {tmp_path}/dangling {tmp_path}/loop {tmp_path}/good\nBar 1\n") == [
        "Can't open user config file loop: Too many levels of symbolic links",
        "config: line 2: Bad configuration option: bar",
        "config: terminating, 2 bad configuration options",
    ]


def test_debug_output_of_include(reading: Reading, capsys: pytest.CaptureFixture[str]) -> None:
    directory = reading.directory
    (directory / "in").write_text("Port 1\n")
    Reading(directory, level=DEBUG3).read(
        f"Include {directory}/in\nHost x\nInclude {directory}/in {directory}/*x\n"
    )
    assert capsys.readouterr().err.replace(f"{directory}/", "").splitlines() == [
        "debug1: Reading configuration data config",
        "debug3: config line 1: Including file in depth 0",
        "debug1: Reading configuration data in",
        "debug3: config line 3: Including file in depth 0 (parse only)",
        "debug1: Reading configuration data in",
        "debug1: config line 3: include *x matched no files",
    ]


# --- Globs ---

TREE = (
    "a1",
    "a2",
    "b1",
    ".dot",
    ".dotted",
    "[x]",
    "x",
    "a b",
    "é",
    "A",
    "d/one",
    "d/.two",
    "e/one",
    "e/three",
    "-",
    "^",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a1", ["a1"]),
        ("nope", []),
        ("a?", ["a1", "a2"]),
        ("a*", ["a b", "a1", "a2"]),
        ("[ab]1", ["a1", "b1"]),
        ("[!b]1", ["a1"]),
        ("[^b]1", ["a1"]),
        ("a[0-9]", ["a1", "a2"]),
        ("a[2-1]", []),
        ("[[:lower:]][[:digit:]]", ["a1", "a2", "b1"]),
        ("[[:upper:]]", ["A"]),
        ("[[:nothing:]]", []),
        ("[x", []),
        ("[x]", ["x"]),
        ("\\[x]", ["[x]"]),
        ("[[]x*", ["[x]"]),
        ("[]x]", ["x"]),
        ("[\\]x]", ["x"]),
        ("[-]", ["-"]),
        ("[a^]", ["^"]),
        ("a\\ b", ["a b"]),
        ("a\\*", []),
        (".d*", [".dot", ".dotted"]),
        ("?dot", []),
        ("[.]dot", []),
        ("\\.dot*", [".dot", ".dotted"]),
        ("*/one", ["d/one", "e/one"]),
        ("[de]/*", ["d/one", "e/one", "e/three"]),
        ("d/", ["d/"]),
        ("[d]/", ["d/"]),
        ("a1/", []),
        ("a1/*", []),
        ("{a1,a2}", []),
        ("[é]", ["é"]),
        ("?", ["-", "A", "^", "d", "e", "x", "é"]),
    ],
)
def test_globs(tree: Path, pattern: str, found: list[str]) -> None:
    assert [path.removeprefix(f"{tree}/") for path in paths(f"{tree}/{pattern}")] == found


def test_globs_are_sorted_by_bytes(tmp_path: Path) -> None:
    names = [b"B", b"a", b"\xff", "é".encode(), "\U0001f600".encode()]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert [os.fsencode(path)[len(os.fsencode(tmp_path)) + 1 :] for path in paths(f"{tmp_path}/*")] == sorted(
        names
    )


# --- Ownership ---


@pytest.mark.parametrize(
    ("mode", "safe"), [(0o600, True), (0o644, True), (0o602, False), (0o666, False), (0o777, False)]
)
def test_nobody_else_may_write_the_person_s_files(reading: Reading, mode: int, safe: bool) -> None:
    included = reading.directory / "in"
    included.write_text("Port 5\n")
    included.chmod(mode)
    if safe:
        assert reading.read(f"Include {included}\n").get("port") == 5
        reading.reader.read(str(included), user_file=True, check_owner=True)
        return
    for read in (
        lambda: reading.read(f"Include {included}\n"),
        lambda: reading.reader.read(str(included), user_file=True, check_owner=True),
    ):
        told = f"^Bad owner or permissions on {included} \\(only you .*: chmod go-w {included}\\)$"
        with pytest.raises(ConfigError, match=told):
            read()
    reading.reader.read(str(included), user_file=True, check_owner=False)  # -F's own file is not looked at
    assert reading.settings.get("port") == 5


@only_root
def test_a_file_of_somebody_else_is_refused(reading: Reading) -> None:
    included = reading.directory / "in"
    included.write_text("Port 5\n")
    os.chown(included, 12345, 0)
    with pytest.raises(ConfigError, match="Bad owner or permissions"):
        reading.read(f"Include {included}\n")


@only_root
def test_the_group_may_write_when_the_person_is_all_of_it(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grp

    included = reading.directory / "in"
    included.write_text("Port 5\n")
    included.chmod(0o660)
    me = pwd.getpwuid(os.getuid())
    other = pwd.struct_passwd(("other", "x", 4711, 4242, "", "/", "/bin/sh"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pwd, "getpwall", lambda: [me, other])
        for gid, members, safe in (
            (me.pw_gid, [], True),
            (me.pw_gid, [me.pw_name], True),
            (me.pw_gid, ["other"], False),
            (4243, [], False),
            (4243, [me.pw_name], True),
            (4242, [me.pw_name], False),
        ):
            group = grp.struct_group(("g", "x", gid, members))
            patch.setattr(grp, "getgrgid", lambda _, group=group: group)
            os.chown(included, -1, gid)
            fresh = Reading(reading.directory)
            if safe:
                assert fresh.read(f"Include {included}\n").get("port") == 5
            else:
                with pytest.raises(ConfigError, match="Bad owner or permissions"):
                    fresh.read(f"Include {included}\n")
    os.chown(included, -1, 54321)  # a group of no name
    with pytest.raises(ConfigError, match="Bad owner or permissions"):
        Reading(reading.directory).read(f"Include {included}\n")


def test_a_directory_that_others_may_write_is_refused_like_a_file(reading: Reading) -> None:
    shared = reading.directory / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match="Bad owner or permissions"):
        reading.read(f"Include {shared}\n")


# --- Odd files ---


@pytest.mark.parametrize(
    ("content", "given"),
    [
        (b"", {}),
        (b"User a\0b\nPort 5\n", {"user": "a", "port": 5}),
        (b"\0User a\n", {}),
        (b"User a\r\nPort 5\r\n", {"user": "a", "port": 5}),
        (b"User a", {"user": "a"}),
        (b"User a\f\f \r\f\n", {"user": "a"}),
        (b"User a\fb\n", {"user": "a\fb"}),
        (b"User a\vb\n", {"user": "a\vb"}),
        (b'""\n"\n"Port 5\n', {}),
        (b'"" "" Port\n', {}),
        (b"User \xff\xfe\n", {"user": "\udcff\udcfe"}),
        (b"User " + b"a" * 1_000_000 + b"\n", {"user": "a" * 1_000_000}),
        (b"Host #\nPort 5\n", {}),
        (b"  \t\r\n \n#\n", {}),
    ],
)
def test_odd_files(reading: Reading, content: bytes, given: dict[str, object]) -> None:
    assert reading.read(content).values == given


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\xef\xbb\xbfUser a\n", "config: line 1: Bad configuration option: \\ufeffuser"),
        (b"\f\n", 'config line 1: no argument after keyword "\\014"'),
        (b"\fUser a\n", "config: line 1: Bad configuration option: \\014user"),
        (b"User\0 a\n", 'config line 1: no argument after keyword "user"'),
        (b"User a\rPort 6\n", "config line 1: keyword user extra arguments at end of line"),
        (b"''\n", "config line 1: no argument after keyword \"''\""),
        (b"\x7fELF\x01\x02\n", 'config line 1: no argument after keyword "\\177elf\\001\\002"'),
        (b'Port"5"\n', 'config line 1: no argument after keyword "port5"'),
        (b"K\xe2\x84\xaaeepAlive no\n", "config: line 1: Bad configuration option: k\u212aeepalive"),
        (b"KeepAlive no no\n", "config line 1: keyword keepalive extra arguments at end of line"),
        (b"Protocol\n", 'config line 1: no argument after keyword "protocol"'),
        (b'Cipher "\n', "config line 1: invalid quotes"),
        (b'Host ""\n', "config line 1: keyword host empty argument"),
        (b'Include ""\n', "config line 1: keyword include empty argument"),
        (b'Match host "x\n', "config line 1: invalid quotes"),
    ],
)
def test_odd_lines_are_refused(told: Callable[[str | bytes], list[str]], content: bytes, complaint: str) -> None:
    assert told(content) == [complaint, "config: terminating, 1 bad configuration options"]


def test_every_bad_line_is_told(told: Callable[[str | bytes], list[str]]) -> None:
    assert told('Foo "\nFoo 1\nHost x\nPort x\nPort x\nBar\nIgnoreUnknown baz\nMatch\nInclude\nBaz 1\n') == [
        "config: line 1: Bad configuration option: foo",
        "config line 1: invalid quotes",
        "config: line 2: Bad configuration option: foo",
        "config line 4: Bad port 'x'.",
        "config line 5: Bad port 'x'.",
        'config line 6: no argument after keyword "bar"',
        'config line 8: no argument after keyword "match"',
        'config line 9: no argument after keyword "include"',
        "config: line 10: Bad configuration option: baz",
        "config: terminating, 8 bad configuration options",
    ]


def test_some_mistakes_end_the_reading(
    told: Callable[[str | bytes], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(line: Line) -> None:
        raise FatalValue(f"no {line.keyword} specified")

    monkeypatch.setitem(KEYWORDS, "user", KEYWORDS["user"]._replace(parse=parse))
    assert told("Foo 1\nHost x\nUser a\nBar 2\n") == [
        "config: line 1: Bad configuration option: foo",
        "config line 3: no user specified",
    ]


def test_notes_on_values_are_debug_output(
    reading: Reading, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(line: Line) -> str:
        line.notes.append(f"{line.keyword} noted")
        return line.required()

    monkeypatch.setitem(KEYWORDS, "user", KEYWORDS["user"]._replace(parse=parse))
    Reading(reading.directory, level=DEBUG3).read("Host x\nUser a\nUser a\n")
    assert capsys.readouterr().err.replace(f"{reading.directory}/", "").splitlines()[1:] == [
        "debug1: config line 2: user noted",
        "debug1: config line 3: user noted",
    ]


def test_unknown_keywords_may_be_ignored(reading: Reading, capsys: pytest.CaptureFixture[str]) -> None:
    noisy = Reading(reading.directory, level=DEBUG3)
    noisy.read(
        "IgnoreUnknown FOO*,!foobar\nFoo 1 2 3\nfoox\ty\nUseRoaming no\nProtocol 1 2\nRSAAuthentication x y\n"
    )
    assert capsys.readouterr().err.replace(f"{reading.directory}/", "").splitlines() == [
        "debug1: Reading configuration data config",
        'debug1: config line 2: Ignored unknown option "foo"',
        'debug1: config line 3: Ignored unknown option "foox"',
        'debug1: config line 4: Deprecated option "useroaming"',
        'config line 6: Unsupported option "rsaauthentication"',
    ]
    with pytest.raises(ConfigError, match="1 bad"):
        reading.read("IgnoreUnknown FOO*,!foobar\nFooBar 1\n")


def test_files_that_cannot_be_read(tmp_path: Path, reading: Reading) -> None:
    with pytest.raises(UnreadableFile, match="Can't open user config file /nonexistent: No such file") as caught:
        reading.reader.read("/nonexistent", user_file=True, check_owner=False)
    assert caught.value.missing
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UnreadableFile) as caught:
        reading.reader.read(f"{tmp_path}/loop", user_file=True, check_owner=False)
    assert not caught.value.missing
    reading.reader.read(str(tmp_path), user_file=True, check_owner=False)  # a directory is an empty file


def test_a_fifo_is_read_to_its_end(tmp_path: Path, reading: Reading) -> None:
    import threading

    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(
        target=lambda: (tmp_path / "fifo").write_text("User piped\n" + "#\n" * 100_000 + "Port 5\n")
    )
    writer.start()
    reading.reader.read(str(tmp_path / "fifo"), user_file=True, check_owner=False)
    writer.join()
    assert (reading.settings.get("user"), reading.settings.get("port")) == ("piped", 5)


def test_assign_says_what_is_unknown() -> None:
    with pytest.raises(UnknownKeyword) as caught:
        assign(Settings(), Log(), "foo", 'x "', ("command-line", 0), active=True)
    assert caught.value.bad_quotes
    with pytest.raises(BadValue, match='no argument after keyword "foo"'):
        assign(Settings(), Log(), "foo", "", ("command-line", 0), active=True)


# --- Blocks ---


def test_blocks_are_taken_down_when_wanted(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    directory = reading.directory
    (directory / "in").write_text("HOST *\nMatch all\n")
    reading.settings.wants_blocks = True
    reading.read(
        f'host web* h* # c\nHost * !host\nMatch user "a b",c exec true\nInclude {directory}/in\n'
        'Match exec "exit 7"\nMatch final\n'
    )
    config, included = f"{directory}/config", f"{directory}/in"
    enclosing = "the enclosing block does not apply"
    assert reading.settings.blocks == [
        Block(config, 1, "Host web* h* # c", True, "", False),
        Block(config, 2, "Host * !host", False, "negated pattern !host matches", False),
        Block(config, 3, 'Match user "a b",c exec true', False, 'user "me" is not in "a b,c"', False),
        Block(included, 1, "Host *", False, enclosing, False, (config, 4)),
        Block(included, 2, "Match all", False, enclosing, False, (config, 4)),
        Block(config, 5, 'Match exec "exit 7"', False, "exec failed with 7", False),
        Block(config, 6, "Match final", False, "only in the final pass", False),
    ]


def test_blocks_of_the_final_pass(tmp_path: Path) -> None:
    second = Reading(tmp_path, host="real", final_pass=True)
    second.settings.wants_blocks = True
    second.read("Match final host real\nHost host\n")
    assert [(block.applies, block.reason, block.final_pass) for block in second.settings.blocks] == [
        (True, "", True),
        (False, 'no pattern matches "real"', True),
    ]


def test_blocks_are_not_taken_down_unasked(reading: Reading) -> None:
    assert reading.read("Host host\nMatch all\n").blocks == []


# --- The rules of tokens ---


def test_token_rules_are_for_keywords_there_are() -> None:
    assert set(TOKEN_RULES) - set(KEYWORDS) == {"include", "match exec"}
    for rule in TOKEN_RULES.values():
        assert set(rule.letters or "") <= set("CdfHhIijKkLlnprTtu")
