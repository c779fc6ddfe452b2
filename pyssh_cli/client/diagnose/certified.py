"""What is wrong with a host's certificate, in words, and what to change on which side."""

from __future__ import annotations

from pyssh_cli.client.host_key_warnings import certificate_fit
from pyssh_cli.keys.certificates import Certificate

_CURES = (
    ("expired", "have whoever runs the host renew its certificate; or set the clock here, if it is wrong"),
    ("not yet valid", "set the clock here, if it is wrong; else the host's authority has signed it for later"),
    ("not a listed principal", "connect by a name that it is for, or have its authority add {name}"),
    ("lacks principal list", "have the host's authority sign it for names (ssh-keygen -n); none is for nobody"),
    ("not a host certificate", "have the host's authority sign it as a host's (ssh-keygen -h)"),
    ("unsupported critical options", "have the host's authority sign it without options that are for users"),
    ("disallowed algorithm", "have the host's authority sign it by something newer; CASignatureAlgorithms tells"),
    ("RequiredRSASize", "have the host's authority take a longer RSA key, or an Ed25519 one"),
)
"""How the reasons of `Certificate.refusal` end, or what is in them, and what helps."""


def flaw(certificate: Certificate, reason: str, name: str) -> str:
    """Why the certificate does not count for the host of this name, from ssh's words for it."""
    fit = certificate_fit(certificate, reason, name)
    short = reason.removeprefix("Certificate ").removeprefix("invalid: ")
    return f"the certificate does not count: {short}{f', {fit}' if fit else ''}"


def cure(flaw: str, name: str) -> str:
    """What helps against such a flaw."""
    found = next((help_ for sign, help_ in _CURES if sign in flaw), "ask whoever runs the host")
    return found.format(name=name)
