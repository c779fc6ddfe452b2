"""What the person is told of a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.client.outcomes import REFUSED, Attempt, Attempts, Kind, Outcome, Skipped
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


KEY = Attempt("publickey", "/home/ann/.ssh/id_rsa RSA SHA256:abc")
KEY_2 = KEY._replace(what="/home/ann/.ssh/id_2 RSA SHA256:def")
CERTIFIED = Attempt("publickey", "/k ED25519-CERT SHA256:x", certified=True)
PASSWORD = Attempt("password", "password")
INTERACTIVE = Attempt("keyboard-interactive", "keyboard-interactive")
KERBEROS = Attempt("gssapi-with-mic", "gssapi-with-mic")


def of(*kinds: Kind) -> list[Outcome]:
    """Outcomes of these kinds, in words that nobody may look at."""
    return [Outcome("?", kind) for kind in kinds]


def skip(kind: Kind, name: str = "/c") -> list[Skipped]:
    return [Skipped(name, Outcome("?", kind))]


def test_the_whole_block(options: Options) -> None:
    block = refusal(
        options,
        tried={KEY: [REFUSED], PASSWORD: [REFUSED, REFUSED, Outcome("no answer")]},
        skipped=[
            Skipped("id_old", Outcome("No such file or directory")),
            Skipped("agent", Outcome("cannot connect", "no agent")),
        ],
        offered=("publickey", "password"),
    )
    assert block.text().split("\n") == [
        f"Tried: {KEY.what} (refused)",
        "       password (refused 2 times, no answer)",
        "Skipped: id_old (No such file or directory)",
        "         agent (cannot connect)",
        "The server takes: publickey, password",
        "What may help: check the user (ann; User or -l gives another), and that the key's public half is in"
        " ~/.ssh/authorized_keys there (ssh-copy-id puts it there); check the password of ann; else the server's"
        " log says why: a locked account, AllowUsers, a missing shell",
    ]


def test_many_keys_are_counted(options: Options) -> None:
    tried = {KEY._replace(what=f"{KEY.what}{number}"): [REFUSED] for number in range(30)}
    lines = refusal(options, tried=tried).text().split("\n")
    assert len(lines) == 10
    assert lines[7] == "       ... and 23 more (-v tells all)"


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({}, "name a private key by -i or IdentityFile"),
        ({"tried": {KEY: of("refused")}}, "authorized_keys"),
        ({"tried": {Attempt("hostbased", "host key /etc/x"): of("refused")}}, "name a private key"),
        ({"tried": {Attempt("new password", "new password"): of("refused")}}, "name a private key"),
        ({"offered": ("password",), "tried": {PASSWORD: of("refused")}}, "check the password of ann"),
        ({"offered": ("password",), "tried": {PASSWORD: of("nobody to ask")}}, "SSH_ASKPASS"),
        ({"offered": ("password",), "tried": {PASSWORD: of("other")}}, "check that the user is right"),
        ({"offered": ("password",), "enabled": {"publickey"}}, "switched off here (PasswordAuthentication"),
        ({"offered": ("magic",)}, "check that the user is right (ann"),
        ({"tried": {KEY: of("wants more", "refused")}}, "another proof"),
        (
            {"offered": ("gssapi-with-mic",), "tried": {KERBEROS: of("no GSSAPI package")}},
            "install the Python package gssapi where pyssh is (its extra gssapi)",
        ),
        ({"offered": ("gssapi-with-mic",), "tried": {KERBEROS: of("no ticket")}}, "get a Kerberos ticket with"),
        (
            {"offered": ("gssapi-with-mic", "password"), "tried": {KERBEROS: of("expired ticket")}},
            "get a new Kerberos ticket with kinit",
        ),
        ({"offered": ("gssapi-with-mic",), "tried": {KERBEROS: of("refused", "other")}}, "~/.k5login there"),
        ({"offered": ("gssapi-with-mic",), "tried": {KERBEROS: of("clock skew")}}, "set the clock here"),
        ({"offered": ("gssapi-with-mic",), "tried": {KERBEROS: of("no KDC")}}, "reaches the realm's KDC"),
        (
            {"offered": ("gssapi-with-mic",), "tried": {KERBEROS: of("host unknown to the KDC")}},
            "GSSAPIServerIdentity gives another",
        ),
        (
            {"skipped": skip("expired"), "tried": {KEY: of("refused")}},
            "have /c renewed, unless the clock here is wrong",
        ),
        (
            {"skipped": skip("not yet valid"), "tried": {KEY: of("refused")}},
            "set the clock here, if it is wrong",
        ),
        ({"skipped": skip("not a user's")}, "have /c signed as a user's"),
        ({"tried": {CERTIFIED: of("refused: other principals")}}, "have ann put into a new one"),
        ({"tried": {CERTIFIED: of("refused: edge of time")}}, "have the clock of the server set"),
        ({"tried": {CERTIFIED: of("refused: signed with SHA-1")}}, "rsa-sha2-512"),
        ({"tried": {CERTIFIED: of("refused")}}, "authority in TrustedUserCAKeys"),
        ({"tried": {KEY: of("refused: old server")}}, "PubkeyAcceptedAlgorithms +ssh-rsa"),
        ({"skipped": skip("empty agent")}, "ssh-add -X"),
        ({"skipped": skip("open to others"), "tried": {KEY: of("unusable")}}, "chmod 600"),
        ({"skipped": skip("too short")}, "take a longer RSA key"),
        ({"skipped": skip("algorithm")}, "let PubkeyAcceptedAlgorithms have its type"),
        ({"skipped": skip("no PKCS#11 library")}, "correct PKCS11Provider"),
        ({"skipped": skip("no PKCS#11 package")}, "python-pkcs11"),
        ({"tried": {KEY: of("unusable")}}, "ssh-add"),
        ({"tried": {KEY: of("too short")}}, "take a longer RSA key"),
        ({"tried": {KEY: of("no provider")}}, "set SecurityKeyProvider"),
        (
            {"offered": ("keyboard-interactive",), "tried": {INTERACTIVE: of("refused", "refused: account")}},
            "the answer seems right, but the account may be expired or locked",
        ),
        ({"tried": {KEY: of("unreadable")}}, "chmod 600"),
        (
            {"offered": ("keyboard-interactive",), "tried": {INTERACTIVE: of("other")}},
            "check that the user is right",
        ),
        (
            {
                "offered": ("password", "keyboard-interactive"),
                "tried": {INTERACTIVE: of("other"), PASSWORD: of("nobody to ask")},
            },
            "SSH_ASKPASS",
        ),
        (
            {
                "offered": ("keyboard-interactive",),
                "tried": {INTERACTIVE: of("refused", "refused: account", "refused")},
            },
            "check the password of ann",
        ),
        (
            {"tried": {KEY: of("refused")}, "skipped": skip("no private key", "/x.pub")},
            "put the private key of /x.pub beside it, or into the agent; or check the user (ann",
        ),
        ({"too_many": True, "offered": ()}, "IdentitiesOnly yes"),
        ({"too_many": True, "tried": {KEY: of("refused")}}, "authorized_keys"),
        ({"too_many": True, "tried": {KEY: of("refused"), KEY_2: of("refused")}}, "IdentitiesOnly yes"),
        (
            {
                "too_many": True,
                "offered": ("publickey", "password"),
                "tried": {KEY: of("refused"), KEY_2: of("refused"), PASSWORD: of("refused", "refused")},
            },
            "check the password of ann",
        ),
        ({"too_many": True, "offered": ("password",)}, "PreferredAuthentications password"),
    ],
)
def test_the_next_step(options: Options, given: dict[str, Any], advice: str) -> None:
    assert advice in refusal(options, **given).advice()


def test_what_was_tried_keeps_its_order_and_all_that_came_of_it() -> None:
    attempts = Attempts()
    attempts.end(REFUSED)  # nothing was begun: a server that refuses "none"
    attempts.begin("publickey", "/k", certified=True)
    attempts.end(REFUSED)
    attempts.end(REFUSED)
    attempts.fail("password", Outcome("no answer"))
    attempts.begin("publickey", "/k", certified=True)
    attempts.end(Outcome("not answered"))
    assert [(each.what, [said.text for said in outcomes]) for each, outcomes in attempts.made.items()] == [
        ("/k", ["refused", "not answered"]),
        ("password", ["no answer"]),
    ]


def test_nobody_forges_a_line(options: Options) -> None:
    evil = "x\nThe server takes: you\x1b[2J"
    tried, skipped = {Attempt("publickey", evil): [Outcome(evil)]}, [Skipped(evil, Outcome(evil))]
    text = refusal(options, tried=tried, skipped=skipped, offered=(evil,)).text()
    assert len(text.split("\n")) == 4
    assert text.replace("\n", "").isprintable()


def test_no_program_takes_it_for_a_prompt(options: Options) -> None:
    outcomes = [REFUSED, Outcome("no answer"), Outcome("expired")]
    every = dict.fromkeys([KEY, *(Attempt(name, name) for name in (*ALL, "new password"))], outcomes)
    text = refusal(options, tried=every, offered=tuple(ALL)).text().lower()
    assert "assword:" not in text
    assert "assphrase" not in text
