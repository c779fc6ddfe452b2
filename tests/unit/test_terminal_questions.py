"""What a question does without a terminal: BatchMode, askpass and its rules, yes and no."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from pyssh_cli.log import DEBUG1, Log
from pyssh_cli.terminal import questions as questions_module
from pyssh_cli.terminal.askpass import askpass_policy
from pyssh_cli.terminal.questions import Questions

QUESTION = "Are you sure you want to continue connecting (yes/no/[fingerprint])? "


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """No controlling terminal and no askpass variable, wherever the tests run."""

    def refuse() -> int:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr(questions_module, "open_terminal", refuse)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"):
        monkeypatch.delenv(name, raising=False)


def askpass(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an askpass program and require it; returns where it writes its argument."""
    program = directory / "askpass"
    program.write_text(f'#!/bin/sh\nprintf "%s" "$1" >> "{directory}/asked"\n{script}\n')
    program.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    return directory / "asked"


@pytest.mark.parametrize(
    ("environment", "policy"),
    [
        ({}, "never"),
        ({"SSH_ASKPASS": "/bin/true"}, "never"),
        ({"DISPLAY": ":0"}, "fallback"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "fallback"),
        ({"SSH_ASKPASS_REQUIRE": "force"}, "first"),
        ({"SSH_ASKPASS_REQUIRE": "FORCE", "DISPLAY": ":0"}, "first"),
        ({"SSH_ASKPASS_REQUIRE": "prefer"}, "never"),
        ({"SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"}, "first"),
        ({"SSH_ASKPASS_REQUIRE": "never", "DISPLAY": ":0"}, "never"),
        ({"SSH_ASKPASS_REQUIRE": "perhaps", "DISPLAY": ":0"}, "fallback"),
    ],
)
def test_when_askpass_is_asked(environment: dict[str, str], policy: str) -> None:
    assert askpass_policy(environment) == policy


def test_no_terminal_is_no_answer_and_a_debug_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert Questions(Log(DEBUG1), batch_mode=False).ask_secret("password: ") is None
    assert capsys.readouterr().err == "debug1: cannot open /dev/tty: No such device or address\n"


def test_batch_mode_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = askpass(tmp_path, "echo yes", monkeypatch)
    questions = Questions(Log(), batch_mode=True)
    assert questions.ask_secret("password: ") is None
    assert questions.ask_line("name: ") is None
    assert questions.ask_confirmation("sure? ") is False
    assert questions.confirm_host_key("text\n", "SHA256:abc") is False
    assert not asked.exists()


def test_askpass_gets_the_cleaned_prompt_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = askpass(tmp_path, r"printf ' pa ss\303\274 \nmore\n'", monkeypatch)
    answer = Questions(Log(), batch_mode=False).ask_secret("\x1b]0;evil\x07pässword: ")
    assert answer == " pa ssü "
    assert asked.read_text() == "\\033]0;evil\\007pässword: "


@pytest.mark.parametrize(
    ("script", "yes"),
    [("", True), ("echo yes", True), ("echo no", False), ("exit 1", False), ("echo; exit 1", False)],
)
def test_askpass_is_told_that_a_yes_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, yes: bool
) -> None:
    hint = tmp_path / "hint"
    askpass(tmp_path, f'echo "$SSH_ASKPASS_PROMPT" >{hint}; {script}', monkeypatch)
    questions = Questions(Log(), batch_mode=False)
    assert questions.ask_confirmation("Really? ") is yes
    assert hint.read_text() == "confirm\n"
    assert questions.confirm_host_key("New key.\n", None) is (script == "echo yes")
    assert hint.read_text() == "\n"


def test_askpass_as_the_fallback_of_a_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    askpass(tmp_path, "printf hidden", monkeypatch)
    monkeypatch.delenv("SSH_ASKPASS_REQUIRE")
    questions = Questions(Log(), batch_mode=False)
    assert questions.ask_secret("password: ") is None
    monkeypatch.setenv("DISPLAY", ":0")
    assert questions.ask_secret("password: ") == "hidden"


def test_askpass_that_fails_is_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    askpass(tmp_path, "echo secret; exit 1", monkeypatch)
    questions = Questions(Log(DEBUG1), batch_mode=False)
    assert questions.ask_secret("password: ") is None
    assert "secret" not in capsys.readouterr().err
    monkeypatch.setenv("SSH_ASKPASS", str(tmp_path / "absent"))
    assert questions.ask_secret("password: ") is None
    assert f"cannot run askpass program {tmp_path}/absent: No such file" in capsys.readouterr().err


class Scripted(Questions):
    """Questions whose person answers from a list and remembers what was asked."""

    def __init__(self, answers: Iterable[str | None]) -> None:
        super().__init__(Log(), batch_mode=False)
        self.answers = list(answers)
        self.asked: list[str] = []

    def _ask(self, prompt: str, *, echo: bool, fresh: bool, hint: str = "") -> str | None:
        assert echo
        assert fresh
        self.asked.append(prompt)
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("answers", "trusted"),
    [
        (["yes"], True),
        (["YES"], True),
        (["  yes \t"], True),
        (["no"], False),
        (["No"], False),
        ([""], False),
        ([" "], False),
        ([None], False),
        (["SHA256:AbC"], True),
        (["sha256:abc", "no"], False),
        (["SHA256:AbCd", "ye", "y", "yes"], True),
        (["AbC", None], False),
    ],
)
def test_the_host_key_question(answers: list[str | None], trusted: bool) -> None:
    person = Scripted(answers)
    assert person.confirm_host_key("Never seen this key.", "SHA256:AbC") is trusted
    assert person.answers == []
    assert person.asked[0] == "Never seen this key.\n" + QUESTION
    assert set(person.asked[1:]) <= {"Please type 'yes', 'no' or the fingerprint: "}


def test_a_confirmation_wants_yes_or_no() -> None:
    person = Scripted(["perhaps", "yes"])
    assert person.ask_confirmation("Sure (yes/no)? ") is True
    assert person.asked == ["Sure (yes/no)? ", "Please type 'yes' or 'no': "]
