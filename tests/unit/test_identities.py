"""Choosing a signature algorithm, and the limits with which keys go to an agent."""

from __future__ import annotations

from pathlib import Path
from time import time

import pytest

from pyssh_cli.client.agent_link import GRACE_SECONDS, KeyAdder
from pyssh_cli.client.identities import choose_algorithm
from pyssh_cli.keys.agent import Constraints
from pyssh_cli.keys.algorithms import (
    DEFAULT_PUBKEY_ACCEPTED_ALGORITHMS,
    SK_ECDSA,
    WEBAUTHN_SK_ECDSA,
    certificate_name,
)
from pyssh_cli.keys.public import PublicKey
from tests.unit.keygen import certify, make

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
