"""What the person is told of a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.client.refusal import Refusal
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork

ALL = {"gssapi-with-mic", "hostbased", "publickey", "keyboard-interactive", "password"}


@pytest.fixture
def options(tmp_path: Path) -> Options:
    config = tmp_path / "config"
    config.write_text("User ann\n")
    return resolve(Settings(), "host.test", SystemNetwork(), Log(), config_file=str(config))


def refusal(options: Options, **given: Any) -> Refusal:
    fields: dict[str, Any] = {"tried": {}, "skipped": (), "offered": ("publickey",), "enabled": ALL, **given}
    return Refusal(options, **fields)


KEY = "/home/ann/.ssh/id_rsa RSA SHA256:abc"


def test_the_whole_block(options: Options) -> None:
    block = refusal(
        options,
        tried={KEY: ["refused"], "password": ["refused", "refused", "no answer"]},
        skipped=[("id_old", "No such file or directory"), ("agent", "cannot connect")],
        offered=("publickey", "password"),
    )
    assert block.text().split("\n") == [
        f"Tried: {KEY} (refused)",
        "       password (refused 2 times, no answer)",
        "Skipped: id_old (No such file or directory)",
        "         agent (cannot connect)",
        "The server takes: publickey, password",
        "What may help: check the user (ann; User or -l gives another), and that the key's public half is in"
        " ~/.ssh/authorized_keys there (ssh-copy-id puts it there); check the password of ann; else the server's"
        " log says why: a locked account, AllowUsers, a missing shell",
    ]


def test_many_keys_are_counted(options: Options) -> None:
    tried = {f"{KEY}{number}": ["refused"] for number in range(30)}
    lines = refusal(options, tried=tried).text().split("\n")
    assert len(lines) == 10
    assert lines[7] == "       ... and 23 more (-v tells all)"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({}, "name a private key by -i or IdentityFile"),
        ({"tried": {KEY: ["refused"]}}, "authorized_keys"),
        ({"tried": {"host key /etc/x": ["refused"]}}, "name a private key"),
        ({"offered": ("password",), "tried": {"password": ["refused"]}}, "check the password of ann"),
        ({"offered": ("password",), "tried": {"password": ["nowhere to ask for it"]}}, "SSH_ASKPASS"),
        ({"offered": ("password",), "tried": {"password": ["no answer"]}}, "check that the user is right"),
        ({"offered": ("password",), "enabled": {"publickey"}}, "switched off here (PasswordAuthentication"),
        ({"offered": ("magic",)}, "check that the user is right (ann"),
        ({"tried": {KEY: ["accepted, but the server wants more", "refused"]}}, "another proof"),
        (
            {
                "offered": ("gssapi-with-mic",),
                "tried": {"gssapi-with-mic": ["no Python package gssapi"]},
            },
            "install the Python package gssapi where pyssh is (its extra gssapi)",
        ),
        ({"offered": ("gssapi-with-mic",), "tried": {"gssapi-with-mic": ["not tried: no ticket"]}}, "kinit"),
        (
            {
                "offered": ("gssapi-with-mic", "password"),
                "tried": {"gssapi-with-mic": ["not tried: Ticket expired"]},
            },
            "get a new Kerberos ticket with kinit",
        ),
        (
            {"offered": ("gssapi-with-mic",), "tried": {"gssapi-with-mic": ["refused", "not tried: other"]}},
            "~/.k5login there",
        ),
        (
            {"offered": ("gssapi-with-mic",), "tried": {"gssapi-with-mic": ["not tried: Clock skew too great"]}},
            "set the clock here",
        ),
        (
            {"skipped": [("/c", "the certificate is expired: x")], "tried": {KEY: ["refused"]}},
            "have /c renewed, unless the clock here is wrong",
        ),
        (
            {"skipped": [("/c", "the certificate is not yet valid: x")], "tried": {KEY: ["refused"]}},
            "set the clock here, if it is wrong",
        ),
        (
            {
                "tried": {
                    "/k ED25519-CERT SHA256:x": ["refused; its certificate is only just valid: x, clock may be"]
                }
            },
            "have the clock of the server set",
        ),
        (
            {"tried": {"/k RSA-CERT SHA256:x": ["refused; its certificate is signed with SHA-1"]}},
            "rsa-sha2-512",
        ),
        ({"tried": {"/k ED25519-CERT SHA256:x": ["refused"]}}, "authority in TrustedUserCAKeys"),
        ({"skipped": [("agent", "it holds no key, or is locked")]}, "ssh-add -X"),
        (
            {"skipped": [("/k", "bad permissions")], "tried": {"/k": ["not tried: it could not be opened"]}},
            "chmod 600",
        ),
        ({"tried": {"/k": ["not tried: it could not be opened"]}}, "ssh-add"),
        (
            {
                "offered": ("keyboard-interactive",),
                "tried": {"keyboard-interactive": ["refused", "refused without another question"]},
            },
            "the answer seems right, but the account may be expired or locked",
        ),
        ({"tried": {"/k": ["not tried: it may not be read"]}}, "chmod 600"),
        (
            {
                "offered": ("keyboard-interactive",),
                "tried": {"keyboard-interactive": ["the server asked nothing"]},
            },
            "check that the user is right",
        ),
        (
            {
                "offered": ("password", "keyboard-interactive"),
                "tried": {
                    "keyboard-interactive": ["the server asked nothing"],
                    "password": ["nowhere to ask for it"],
                },
            },
            "SSH_ASKPASS",
        ),
        (
            {
                "offered": ("keyboard-interactive",),
                "tried": {"keyboard-interactive": ["refused", "refused without another question", "refused"]},
            },
            "check the password of ann",
        ),
        (
            {"tried": {KEY: ["refused"]}, "skipped": [("/x.pub", "there is no private key for it")]},
            "put the private key of /x.pub beside it, or into the agent; or check the user (ann",
        ),
        ({"too_many": True, "offered": ()}, "IdentitiesOnly yes"),
        ({"too_many": True, "tried": {KEY: ["refused"]}}, "authorized_keys"),
        ({"too_many": True, "tried": {KEY: ["refused"], f"{KEY}2": ["refused"]}}, "IdentitiesOnly yes"),
        (
            {
                "too_many": True,
                "offered": ("publickey", "password"),
                "tried": {f"{KEY}{n}": ["refused"] for n in range(3)} | {"password": ["refused", "refused"]},
            },
            "check the password of ann",
        ),
        ({"too_many": True, "offered": ("password",)}, "PreferredAuthentications password"),
    ],
)
def test_the_next_step(options: Options, given: dict[str, Any], advice: str) -> None:
    assert advice in refusal(options, **given).advice()


def test_nobody_forges_a_line(options: Options) -> None:
    evil = "x\nThe server takes: you\x1b[2J"
    text = refusal(options, tried={evil: ["refused"]}, skipped=[(evil, evil)], offered=(evil,)).text()
    assert len(text.split("\n")) == 4
    assert text.replace("\n", "").isprintable()


def test_no_program_takes_it_for_a_prompt(options: Options) -> None:
    every = {name: ["refused", "no answer", "expired"] for name in (*ALL, "new password", KEY)}
    text = refusal(options, tried=every, offered=tuple(ALL)).text().lower()
    assert "assword:" not in text
    assert "assphrase" not in text
