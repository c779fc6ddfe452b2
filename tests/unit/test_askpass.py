"""When a display counts for SSH_ASKPASS, as ssh has it."""

from __future__ import annotations

import pytest

from pyssh_cli.terminal.askpass import askpass_policy


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
