"""Choosing a signature algorithm, and the limits with which keys go to an agent."""

from __future__ import annotations

import os
from pathlib import Path
from time import time

import pytest

from pyssh_cli.client import identities
from pyssh_cli.client.agent_link import GRACE_SECONDS, AgentLink, KeyAdder
from pyssh_cli.client.identities import choose_algorithm
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.keys.agent import Constraints
from pyssh_cli.keys.algorithms import (
    DEFAULT_PUBKEY_ACCEPTED_ALGORITHMS,
    SK_ECDSA,
    WEBAUTHN_SK_ECDSA,
    certificate_name,
)
from pyssh_cli.keys.private import load_private_key
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork
from tests.unit.keygen import certify, make, public

ACCEPTED = DEFAULT_PUBKEY_ACCEPTED_ALGORITHMS
RSA = PublicKey("ssh-rsa", b"", 3072)
ED25519 = PublicKey("ssh-ed25519", b"", 256)


def certified(key: PublicKey) -> PublicKey:
    return key._replace(type=certificate_name(key.type))


@pytest.mark.parametrize(
    ("key", "accepted", "server", "chosen"),
    [
        (ED25519, ACCEPTED, None, "ssh-ed25519"),
        (ED25519, ACCEPTED, ("rsa-sha2-256",), "ssh-ed25519"),  # servers that tell of RSA only
        (ED25519, ("rsa-sha2-256",), None, None),
        (certified(ED25519), ACCEPTED, ("ssh-ed25519",), "ssh-ed25519-cert-v01@openssh.com"),
        (certified(ED25519), ("ssh-ed25519",), None, None),
        (RSA, ACCEPTED, None, "rsa-sha2-512"),
        (RSA, ACCEPTED, ("rsa-sha2-256", "rsa-sha2-512"), "rsa-sha2-512"),
        (RSA, ("rsa-sha2-256", "rsa-sha2-512"), ("rsa-sha2-512", "rsa-sha2-256"), "rsa-sha2-256"),
        (RSA, ACCEPTED, ("rsa-sha2-256",), "rsa-sha2-256"),
        (RSA, ACCEPTED, ("ssh-rsa",), None),
        (RSA, (*ACCEPTED, "ssh-rsa"), ("ssh-rsa",), "ssh-rsa"),
        (RSA, (*ACCEPTED, "ssh-rsa"), None, "ssh-rsa"),  # a server that knows no extensions
        (RSA, (*ACCEPTED, "ssh-rsa"), ("rsa-sha2-256",), "rsa-sha2-256"),
        (certified(RSA), ACCEPTED, ("rsa-sha2-256",), "rsa-sha2-256-cert-v01@openssh.com"),
        (certified(RSA), ("rsa-sha2-512",), ("rsa-sha2-512",), None),
        (PublicKey(SK_ECDSA, b"", 256), (WEBAUTHN_SK_ECDSA, SK_ECDSA), None, SK_ECDSA),
        (PublicKey(SK_ECDSA, b"", 256), (WEBAUTHN_SK_ECDSA,), None, None),
        (PublicKey("ssh-strange", b""), ACCEPTED, None, None),
    ],
)
def test_algorithm_is_chosen(
    key: PublicKey, accepted: tuple[str, ...], server: tuple[str, ...] | None, chosen: str | None
) -> None:
    assert choose_algorithm(key, accepted, server) == chosen


def test_agent_keeps_a_certificate_little_longer_than_it_lasts(tmp_path: Path) -> None:
    make(tmp_path / "ca", "ed25519")
    make(tmp_path / "key", "ed25519")
    an_hour = certify(tmp_path / "ca", tmp_path / "key", "-n", "user", "-V", "+1h")
    limits = Constraints(confirm=True)
    kept = KeyAdder.shortened(limits, an_hour)
    assert kept.confirm
    assert abs(kept.lifetime - (an_hour.certificate().valid_before - time() + GRACE_SECONDS)) < 30
    assert KeyAdder.shortened(limits._replace(lifetime=60), an_hour).lifetime == 60
    for_ever = certify(tmp_path / "ca", tmp_path / "key", "-n", "user")
    assert KeyAdder.shortened(limits, for_ever) == limits
    assert KeyAdder.shortened(limits._replace(lifetime=60), for_ever).lifetime == 60


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_fifo_is_not_waited_for_as_a_public_key(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    make(path, "ed25519")
    path.unlink()
    os.mkfifo(path)
    path.chmod(mode)
    assert not identities._holds_public(str(path))
    found = identities._load_public(str(path))
    assert found == public(path)  # of the file beside it
    path.with_name("key.pub").unlink()
    os.mkfifo(path.with_name("key.pub"))
    assert identities._load_public(str(path)) is None


def test_a_fifo_that_takes_a_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "key", "ed25519")
    ordinary = (tmp_path / "key").stat()
    os.mkfifo(tmp_path / "fifo")
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda _path: ordinary)
        with pytest.raises(OSError, match="not a regular file"):
            identities._read_ordinary(str(tmp_path / "fifo"))


def test_what_a_person_is_asked_before_a_key_is_added_is_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "key", "ed25519", "caf\udce9)\nEnter passphrase (\x1b[2J")
    key = load_private_key((tmp_path / "key").read_bytes(), None, "key")
    program = tmp_path / "askpass"
    program.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {tmp_path}/asked\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    options = resolve(Settings(), "box", SystemNetwork(), Log(), config_file="none")
    link = AgentLink(str(tmp_path / "nobody"), Log(), None)
    KeyAdder(link, options._replace(add_keys_to_agent=("ask", None)), Log()).add("key", key, None)
    asked = (tmp_path / "asked").read_text()
    assert asked == "Add key key (caf\\351)\\012Enter passphrase (\\033[2J) to agent?"
