"""What is said about a host's key that is not as it should be. Only the words: what follows is for `trust`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyssh_cli.keys.known_hosts import KnownHost
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import printable

if TYPE_CHECKING:
    from pyssh_cli.keys.certificates import Certificate

_EDGE = "@" * 59

SHOWN_PRINCIPALS = 4
"""How many of the names that a certificate is for are shown."""


def _framed(title: str) -> str:
    """The banner that scripts and people look for; `title` is as long as ssh's."""
    return f"{_EDGE}\n{title}\n{_EDGE}\n"


def changed_key(key: PublicKey, fingerprint: str) -> str:
    """The host shows another key than the one that is known, or than the DNS has."""
    return (
        _framed("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @")
        + "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n"
        "Somebody may be listening in on this connection (man-in-the-middle attack).\n"
        "Or the host was set up anew, and has another key since.\n"
        f"The fingerprint for the {key.short_name} key sent by the remote host is\n{fingerprint}.\n"
        "Ask whoever runs the host whether that is its key."
    )


def offending(entry: KnownHost, name: str, writable: str | None, *, by_command: bool) -> str:
    """Which line disagrees, and how to be rid of it; `writable` is the file that a new key belongs in."""
    text = f"Add correct host key in {writable} to get rid of this message.\n" if writable else ""
    text += f"Offending {entry.key.short_name} key in {entry.file}:{entry.line}"
    return text if by_command else text + _removal(entry, name)


def _removal(entry: KnownHost, name: str) -> str:
    from shutil import which

    if which("ssh-keygen") is None:
        return "\n  once you are sure, delete that line"
    return f'\n  once you are sure, remove with:\n  ssh-keygen -f "{entry.file}" -R "{name}"'


def nobody_asked(key: PublicKey, fingerprint: str, name: str, why: str) -> str:
    """The key is new, and whether it is the host's cannot be asked: `why` tells what keeps us from it."""
    return (
        f"No {key.short_name} host key is known for {name}, and nobody can be asked ({why}).\n"
        f"It shows {fingerprint}:\nconnect once on a terminal and compare that,"
        " or let StrictHostKeyChecking accept-new take it unseen."
    )


def certificate_hint(certificate: Certificate, reason: str, name: str) -> str:
    """What belongs behind the reason why a host's certificate is not taken: the times, or the names."""
    fit = certificate_fit(certificate, reason, name)
    if reason.endswith(("expired", "not yet valid")):
        cure = "have it renewed" if reason.endswith("expired") else "wait"
        return f" ({fit}: {cure}, or set the wrong clock)"
    return f" ({fit})" if fit else ""


def certificate_fit(certificate: Certificate, reason: str, name: str) -> str:
    """How a host's certificate misses the time or the name, if that is the reason why it is not taken."""
    import time

    if reason.endswith(("expired", "not yet valid")):
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime())
        return f"it is valid {certificate.validity()}; the clock here says {now}"
    if reason.endswith("not a listed principal"):
        return f"it is for {shown_principals(certificate)}, not for {printable(name)}"
    return ""


def shown_principals(certificate: Certificate) -> str:
    """Whom a certificate is for, cleaned; of many only the first."""
    names = certificate.principals
    more = f" and {len(names) - SHOWN_PRINCIPALS} more" if len(names) > SHOWN_PRINCIPALS else ""
    return printable(", ".join(names[:SHOWN_PRINCIPALS])[:200]) + more


def revoked_key(key: PublicKey, name: str, entry: KnownHost) -> str:
    """A @revoked line takes the key back."""
    return (
        _framed("@       WARNING: REVOKED HOST KEY DETECTED!               @")
        + f"The {key.short_name} host key for {name} is marked as revoked.\n"
        "Somebody may be using a stolen key to pass for this host.\n"
        f"Revoked by {entry.file}:{entry.line}"
    )


def address_disagrees(key: PublicKey, name: str, address: str, status: str, entry: KnownHost | None) -> str:
    """The key has changed for the name, but not in the same way for the address (CheckHostIP). `status` is the
    verdict on the key for the address, `entry` the line that it rests on."""
    known_as = {"new": "is not known", "match": "is unchanged"}.get(status, "is known with another key")
    text = (
        _framed("@       WARNING: POSSIBLE DNS SPOOFING DETECTED!          @")
        + f"The {key.short_name} host key for {name} has changed, and the IP address {address}\n{known_as}."
        " Either the DNS is being lied about (DNS SPOOFING),\n"
        "or the host's address and its key have changed at the same time."
    )
    if entry is not None:
        text += f"\nOffending key for IP in {entry.file}:{entry.line}" + _removal(entry, address)
    return text


def address_differs(key: PublicKey, name: str, address: str, entry: KnownHost, own: KnownHost | None) -> str:
    """The key is the name's, `own`, but another is known for the address."""
    text = (
        f"Warning: the {key.short_name} host key for '{name}'"
        f" differs from the key for the IP address '{address}'\n"
        f"Offending key for IP in {entry.file}:{entry.line}"
    )
    return text + (f"\nMatching host key in {own.file}:{own.line}" if own else "")


NOT_POST_QUANTUM = (
    "** WARNING: connection is not using a post-quantum key exchange algorithm.\n"
    '** Whoever records this session may read it once there are quantum computers ("store now, decrypt later").\n'
    "** The server may need to be upgraded; WarnWeakCrypto=no-pq-kex silences this. See https://openssh.com/pq.html"
)
"""WarnWeakCrypto's (ssh_config(5))."""
