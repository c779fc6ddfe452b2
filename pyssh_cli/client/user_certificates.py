"""A user's certificate that was refused: what the server may have had against it, as far as that shows here, and
what helps."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from pyssh_cli.client.outcomes import Kind, Outcome

if TYPE_CHECKING:
    from pyssh_cli.keys.certificates import Certificate

MOMENTS = 300
"""Seconds from the edge of a certificate's time within which two clocks may well disagree about it."""

CURES: dict[Kind, str] = {
    "refused: other principals": (
        "log in as one of those the certificate is for (-l), or have {user} put into a new one"
    ),
    "refused: edge of time": ("have the clock of the server set, or wait until its time fits the certificate's"),
    "refused: signed with SHA-1": (
        "have the certificate signed by something newer (ssh-keygen -s CA -t rsa-sha2-512)"
    ),
}
"""What helps a certificate that was refused, what is surest first; {user} is who would log in."""


def suspicion(certificate: Certificate, user: str) -> Outcome | None:
    """What a server may not like about the certificate, cleaned for a terminal; None where nothing shows."""
    from pyssh_cli.client.host_key_warnings import shown_principals

    if certificate.principals and user not in certificate.principals:
        whom = shown_principals(certificate)
        return Outcome(f"its certificate is for {whom}", "refused: other principals")
    now = time()
    clock = ""
    if 0 <= now - certificate.valid_after < MOMENTS:
        clock = "behind"
    elif 0 <= certificate.valid_before - now < MOMENTS:
        clock = "ahead"
    if clock:
        text = (
            f"its certificate is only just valid: {certificate.validity()}, and the server's clock may be {clock}"
        )
        return Outcome(text, "refused: edge of time")
    if certificate.signature_algorithm == "ssh-rsa":
        return Outcome("its certificate is signed with SHA-1", "refused: signed with SHA-1")
    return None
