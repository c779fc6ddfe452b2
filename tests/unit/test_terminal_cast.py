"""The lines of a recording: times, whole characters, and JSON that any player takes."""

from __future__ import annotations

import json
import re
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.client import recording
from pyssh_cli.client.recording import FLUSH_AFTER, FLUSH_SIZE, Recording
from pyssh_cli.config.keywords import KEYWORDS
from pyssh_cli.log import Log
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.terminal.cast import Cast


def events(lines: bytes) -> list[Any]:
    return [json.loads(line) for line in lines.splitlines()]


# --- The lines ---


def test_header() -> None:
    line = Cast(0).header(132, 50, 1700000000, {"TERM": "vt220", "SHELL": "/bin/sh\udcff"})
    assert line.endswith(b"}\n")
    assert events(line) == [
        {
            "version": 2,
            "width": 132,
            "height": 50,
            "timestamp": 1700000000,
            "env": {"TERM": "vt220", "SHELL": "/bin/sh\ufffd"},
        }
    ]


def test_size_that_nobody_knows() -> None:
    cast = Cast(0)
    assert events(cast.header(0, 0, 1, {}))[0] | {"env": {}} == {
        "version": 2, "width": 80, "height": 24, "timestamp": 1, "env": {},
    }  # fmt: skip
    assert cast.resized(0, 0, 1) == b""


def test_events_count_from_the_start() -> None:
    cast = Cast(100.0)
    cast.header(80, 24, 1, {})
    lines = (
        cast.output(b'a\r\n\x1b[1m"\\\x00\x7f', 100.25)
        + cast.typed(b"k\r", 101)
        + cast.resized(99, 44, 102.0000004)
    )
    assert events(lines) == [
        [0.25, "o", 'a\r\n\x1b[1m"\\\x00\x7f'],
        [1.0, "i", "k\r"],
        [2.0, "r", "99x44"],
    ]


def test_same_size_is_no_event() -> None:
    cast = Cast(0)
    cast.header(80, 24, 1, {})
    assert cast.resized(80, 24, 1) == b""
    assert events(cast.resized(81, 24, 1)) == [[1, "r", "81x24"]]
    assert cast.resized(81, 24, 2) == b""
    assert events(cast.resized(80, 24, 3)) == [[3, "r", "80x24"]]


@pytest.mark.parametrize("text", ["ä", "€", "😀", "aä€😀\u2028z"])
def test_characters_stay_whole_wherever_reads_end(text: str) -> None:
    data = text.encode()
    for end in range(len(data) + 1):
        cast = Cast(0)
        lines = cast.output(data[:end], 1) + cast.output(data[end:], 2) + cast.finish(3)
        assert "".join(event[2] for event in events(lines)) == text
        assert "\ufffd" not in lines.decode()


def test_beginning_of_a_character_is_no_event_yet() -> None:
    cast = Cast(0)
    assert cast.output(b"\xe2\x82", 1) == b""
    assert cast.typed(b"\xc3", 1) == b""
    assert events(cast.output(b"\xac!", 2)) == [[2, "o", "€!"]]
    assert events(cast.typed(b"\xa4", 3)) == [[3, "i", "ä"]]
    assert cast.finish(4) == b""


def test_what_is_no_utf_8_is_replaced() -> None:
    cast = Cast(0)
    assert events(cast.output(b"a\xffb\xed\xa0\x80\xe2\x82", 1)) == [[1, "o", "a\ufffdb\ufffd\ufffd\ufffd"]]
    assert events(cast.finish(2)) == [[2, "o", "\ufffd"]]


# --- The file ---


class FakeLoop(Loop):
    """A loop whose clock stands until `pass_time` moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.due: list[tuple[float, Timer]] = []

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self.due.append((when, timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        due, self.due = self.due, []
        for when, timer in due:
            if when > self.now:
                self.due.append((when, timer))
            elif timer.callback:
                timer.callback()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLoop]:
    made = FakeLoop()
    monkeypatch.setattr(recording, "monotonic", lambda: made.now)
    yield made
    made.close()


def record(path: Path, loop: Loop) -> Recording:
    return Recording(str(path), Log(), loop, (80, 24), {"TERM": "xterm"})


def test_header_is_there_at_once_and_events_after_a_second(tmp_path: Path, loop: FakeLoop) -> None:
    path = tmp_path / "cast"
    made = record(path, loop)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line["version"] for line in events(path.read_bytes())] == [2]
    made.output([memoryview(b"one "), memoryview(b"event")])
    loop.pass_time(FLUSH_AFTER / 2)
    made.output([memoryview(b"another")])
    assert len(events(path.read_bytes())) == 1
    loop.pass_time(FLUSH_AFTER / 2)
    assert events(path.read_bytes())[1:] == [[0, "o", "one event"], [FLUSH_AFTER / 2, "o", "another"]]
    assert not loop.due
    made.resized(81, 25)
    made.typed(b"k")
    made.close()
    made.close()
    assert events(path.read_bytes())[3:] == [[FLUSH_AFTER, "r", "81x25"], [FLUSH_AFTER, "i", "k"]]
    made.output([memoryview(b"too late")])
    loop.pass_time(9)
    assert b"late" not in path.read_bytes()


def test_much_is_written_at_once_and_the_rest_of_a_character_at_the_end(tmp_path: Path, loop: FakeLoop) -> None:
    path = tmp_path / "cast"
    made = record(path, loop)
    made.output([memoryview(b"x" * FLUSH_SIZE + b"\xe2")])
    assert len(events(path.read_bytes())) == 2
    made.close()
    assert events(path.read_bytes())[2] == [0, "o", "\ufffd"]


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_nothing_is_overwritten(
    tmp_path: Path, loop: FakeLoop, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = tmp_path / "cast", tmp_path / "target"
    if kind != "dangling":
        (path if kind == "file" else target).write_text("mine")
    if kind != "file":
        path.symlink_to(target)
    made = record(path, loop)
    made.output([memoryview(b"x")])
    made.close()
    said = capsys.readouterr().err
    assert said == f"SessionRecord: {path} exists already; this session is not recorded (name a new file)\n"
    assert target.exists() if kind == "link" else not target.exists()
    if kind != "dangling":
        assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "reason"), [("none/cast", "No such file or directory"), ("a\0b", "embedded null byte")]
)
def test_file_that_cannot_be_made(
    tmp_path: Path, loop: FakeLoop, name: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = record(tmp_path / name, loop)
    made.output([memoryview(b"x")])
    made.close()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith(f"{reason}; this session is not recorded")


def test_write_error_ends_the_recording_with_one_line(
    tmp_path: Path, loop: FakeLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cast"
    made = record(path, loop)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 70, before[1]))
    try:
        made.output([memoryview(b"first")])
        made.output([memoryview(b"second " * 20)])
        loop.pass_time(FLUSH_AFTER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    made.output([memoryview(b"third")])
    loop.pass_time(FLUSH_AFTER)
    made.close()
    assert events(path.read_bytes())[1:] == [[0, "o", "first"]]
    assert re.fullmatch(
        r"SessionRecord: .*/cast: File too large; the recording ends here\n", capsys.readouterr().err
    )
    assert made._fd is None


def test_keys_are_not_recorded_unless_asked() -> None:
    assert KEYWORDS["sessionrecordinput"].default is False
    assert KEYWORDS["sessionrecord"].default is None
