"""When a display counts for SSH_ASKPASS, as ssh has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyssh_cli.log import Log
from pyssh_cli.terminal.askpass import askpass_policy, run_askpass


@pytest.mark.parametrize(
    ("environment", "policy"),
    [
        ({"DISPLAY": ""}, "never"),
        ({"WAYLAND_DISPLAY": ""}, "never"),
        ({"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, "fallback"),
        ({"DISPLAY": "", "SSH_ASKPASS_REQUIRE": "prefer"}, "never"),
        ({"DISPLAY": "", "SSH_ASKPASS_REQUIRE": "force"}, "first"),
        ({"DISPLAY": ":0", "SSH_ASKPASS_REQUIRE": ""}, "fallback"),
    ],
)
def test_an_empty_display_is_none(environment: dict[str, str], policy: str) -> None:
    assert askpass_policy(environment) == policy


@pytest.mark.parametrize("prompt", ["a\0b", "half \ud800 a pair"])
def test_a_prompt_that_cannot_be_passed_on_is_not_asked(
    prompt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "askpass"
    program.write_text("#!/bin/sh\necho yes\n")
    program.chmod(0o755)
    assert run_askpass(prompt, {**os.environ, "SSH_ASKPASS": str(program)}, Log()) is None
    assert "cannot run askpass program" in capsys.readouterr().err


def test_a_prompt_of_any_bytes_is_passed_on(tmp_path: Path) -> None:
    program = tmp_path / "askpass"
    program.write_text('#!/bin/sh\nprintf "%s" "$1"\n')
    program.chmod(0o755)
    prompt = b"caf\xe9?".decode("utf-8", "surrogateescape")
    assert run_askpass(prompt, {**os.environ, "SSH_ASKPASS": str(program)}, Log()) == prompt
