"""The command line of `~C`: how a line is read, and what is done and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.client.command_line import Command, CommandLine, parse
from pyssh_cli.config.forwards import Forward


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command("nothing")),
        ("   ", Command("nothing")),
        ("-", Command("nothing")),
        ("help", Command("help")),
        ("-h", Command("help")),
        ("?", Command("help")),
        ("-L 8080:a:80", Command("add", "8080:a:80", "local")),
        ("L8080:a:80", Command("add", "8080:a:80", "local")),
        ("  -R8080:a:80  ", Command("add", "8080:a:80", "remote")),
        ("-D1080", Command("add", "1080", "dynamic")),
        ("-KL 8080", Command("cancel", "8080", "local")),
        ("-KR8080", Command("cancel", "8080", "remote")),
        ("KD 1080", Command("cancel", "1080", "dynamic")),
        ("!ls -l", Command("run", "ls -l")),
        ("-!ls", Command("run", "ls")),
        ("-K 8080", Command("invalid")),
        ("-X", Command("invalid")),
        ("-K", Command("invalid")),
        ("~.", Command("invalid")),
    ],
)
def test_lines_are_read_as_by_ssh(line: str, command: Command) -> None:
    assert parse(line) == command


class Forwards:
    """Notes what is asked of it, and says that it could."""

    def __init__(self, outcome: bool = True) -> None:
        self.asked: list[tuple[str, Forward]] = []
        self.outcome = outcome

    def add(self, forward: Forward, done: Callable[[bool, int], None] | None = None) -> bool:
        self.asked.append(("add", forward))
        return self.outcome

    def cancel(self, forward: Forward) -> bool:
        self.asked.append(("cancel", forward))
        return self.outcome

    def stop_listening(self) -> None:
        raise AssertionError


def told(line: str, forwards: Forwards | None = None, *, local_commands: bool = False) -> list[str]:
    """What is shown after a line."""
    lines: list[str] = []
    CommandLine(lines.append, forwards, local_commands=local_commands).do(line)
    return lines


@pytest.mark.parametrize(
    ("line", "verb", "forward"),
    [
        ("-L 8080:a:80", "add", Forward("local", None, 8080, None, "a", 80)),
        ("-L *:8080:[::1]:80", "add", Forward("local", "*", 8080, None, "::1", 80)),
        ("-R /tmp/a:/tmp/b", "add", Forward("remote", listen_path="/tmp/a", path="/tmp/b")),
        ("-R 0", "add", Forward("remote")),
        ("-D here:1080", "add", Forward("dynamic", "here", 1080)),
        ("-KL 8080", "cancel", Forward("local", None, 8080)),
        ("-KR here:8080", "cancel", Forward("remote", "here", 8080)),
        ("-KD 1080", "cancel", Forward("dynamic", None, 1080)),
    ],
)
def test_forwards_are_made_and_ended(line: str, verb: str, forward: Forward) -> None:
    forwards = Forwards()
    assert told(line, forwards) == ["Forwarding port." if verb == "add" else "Canceled forwarding."]
    assert forwards.asked == [(verb, forward)]
    assert told(line, Forwards(False)) == [
        "Port forwarding failed." if verb == "add" else "Unknown port forwarding."
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-L", "Bad local forwarding specification."),
        ("-L 8080", "Bad local forwarding specification."),
        ("-L 0:a:80", "Bad local forwarding specification."),
        ("-D 99999", "Bad local forwarding specification."),
        ("-R a:b:c:d:e", "Bad remote forwarding specification."),
        ("-KL", "Bad forwarding close specification."),
        ("-KL 8080:a:80", "Bad forwarding close specification."),
    ],
)
def test_bad_specifications_are_named(line: str, message: str) -> None:
    forwards = Forwards()
    assert told(line, forwards) == [message]
    assert not forwards.asked


def test_without_forwards_it_says_so() -> None:
    assert told("-L 8080:a:80") == ["Port forwarding cannot be changed in this session."]


def test_help_names_local_commands_only_where_they_are_allowed() -> None:
    assert not any("!" in line for line in told("help"))
    assert any("!command" in line for line in told("help", local_commands=True))


def test_local_command_runs_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    mark = tmp_path / "mark"
    assert told(f"!echo $((6 * 7)) >{mark}") != []
    assert not mark.exists()
    assert told(f"!echo $((6 * 7)) >{mark}", local_commands=True) == []
    assert mark.read_text() == "42\n"


def test_unknown_command_is_told() -> None:
    assert told("what")[0].startswith("Invalid command.")
    assert told("  ") == []
