"""What a server may have had against a user's certificate, as far as that shows here: for one that was refused."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyssh_cli.keys.certificates import Certificate

MOMENTS = 300
"""Seconds from the edge of a certificate's time within which two clocks may well disagree about it."""

OTHER_PRINCIPALS = "its certificate is for "
EDGE_OF_TIME = "its certificate is only just valid: "
BY_SHA1 = "its certificate is signed with SHA-1"
"""How `suspicion` begins: `refusal` and --diagnose know what helps."""


def suspicion(certificate: Certificate, user: str) -> str:
    """What a server may not like about the certificate; empty where nothing shows, cleaned for a terminal."""
    from pyssh_cli.client.host_key_warnings import shown_principals

    if certificate.principals and user not in certificate.principals:
        return f"{OTHER_PRINCIPALS}{shown_principals(certificate)}"
    now = time()
    if 0 <= now - certificate.valid_after < MOMENTS:
        return f"{EDGE_OF_TIME}{certificate.validity()}, and the server's clock may be behind"
    if 0 <= certificate.valid_before - now < MOMENTS:
        return f"{EDGE_OF_TIME}{certificate.validity()}, and the server's clock may be ahead"
    return BY_SHA1 if certificate.signature_algorithm == "ssh-rsa" else ""
