"""What may be done about a failure, in words for the end of ssh's own line: loaded when something has failed.

A hint is a parenthesis with a blank before it, or empty: nothing is said that is not known to be so. What comes
from the server is cleaned here.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from pyssh_cli.log import printable

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from pyssh_cli.config.forwards import Forward
    from pyssh_cli.errors import NegotiationError
    from pyssh_cli.protocol.channels import OpenRefused

MAX_SAID = 200
"""Characters that are shown of what a server says in place of its version."""

IDLE = 60.0
"""Seconds of silence after which something on the way may have forgotten a connection."""

MOMENT = 1.0
"""Seconds within which no login takes too long for a server."""

PROHIBITED, CONNECT_FAILED = 1, 2
"""Reasons not to open a channel (RFC 4254 section 5.1)."""


# The handshake --------------------------------------------------------------------------------------------------


def hung_up(peer: str, error: OSError | None, stage: str, hint: str) -> str:
    """ssh's words for a connection that ends before the user is in, by `error` or in order; `stage` is "banner",
    "key" or "authentication", and `hint` goes to their end."""
    reason = os.strerror(error.errno) if error and error.errno else str(error or "")
    if error is None:
        first, how = "Connection closed by remote host", f"Connection closed by {peer}"
    elif error.errno == errno.ECONNRESET:
        first, how = f"read: {reason}", f"Connection reset by {peer}"
    else:
        first, how = f"read: {reason}", f"Connection to {peer}: {reason}"
    lead = f"kex_exchange_identification: {first}\n" if stage == "banner" else ""
    return f"{lead}{how}{hint}"


_TURNED_AWAY = {
    b"Exceeded MaxStartups": "too many are logging in there at once: try again in a while",
    b"Not allowed at this time": "it keeps this address out for a while (PerSourcePenalties): try again later",
}
"""What OpenSSH's sshd says in place of its version, and what that means."""


def in_place_of_a_version(said: Sequence[bytes], otherwise: str) -> str:
    """What to make of what a server has said before it hung up; `otherwise` if that is nothing."""
    lines = [line for line in said if line.strip()]
    if not lines:
        return otherwise
    last = lines[-1]
    if is_tls(last):
        return " (it speaks TLS: an HTTPS server, or one like it, listens there; check the port)"
    if any(line.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")) for line in lines):
        from pyssh_cli.net.proxy import text_of

        words = text_of(b"\n".join(lines))
        return f' (it answers with a page of HTML, "{words}": an HTTP server listens there; check the port)'
    meaning = _TURNED_AWAY.get(last.strip())
    return f' (it said "{printable(last.strip()[:MAX_SAID])}"{f": {meaning}" if meaning else ""})'


def is_tls(data: bytes) -> bool:
    """Whether these are the first bytes of a TLS record: an alert, or of a handshake (RFC 8446 section 5.1)."""
    return data[:1] in {b"\x15", b"\x16"} and data[1:2] == b"\x03"


_TCP_INFO_HEAD = struct.Struct("=8B6I")
"""The beginning of Linux's struct tcp_info: states, how often in a row something was sent again, options; then
timeouts, the sizes of segments, and how many of ours are not acknowledged."""

_AGAIN, _TIMESTAMPS = 2, 1


def unacknowledged(sock: socket.socket | None) -> int:
    """The largest size of packets, with the headers of IP and TCP, when the other side does not acknowledge what
    it is sent, however often; 0 when it does, or nobody can tell."""
    import socket
    import sys

    if sock is None or sys.platform != "linux" or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return 0
    try:
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_HEAD.size)
        _, _, again, _, _, options, *_, segment, _, waiting, _ = _TCP_INFO_HEAD.unpack(told)
    except (OSError, struct.error):
        return 0
    headers = (40 if sock.family == socket.AF_INET else 60) + (12 if options & _TIMESTAMPS else 0)
    return segment + headers if again >= _AGAIN and waiting else 0


def stuck(stage: str, sock: socket.socket | None) -> str:
    """What may be the matter when a handshake does not go on in its time."""
    if stage == "banner":
        return " (nothing has come from it: it is slow, stuck, or no SSH server; see ConnectTimeout)"
    size = unacknowledged(sock)
    if size:
        return (
            f" (packets of up to {size} bytes are not acknowledged: the network is gone, or lets only smaller ones"
            " through; then a lower MTU here helps, such as 1280)"
        )
    if stage == "key":
        return (
            " (its version has come, and nothing since: it is slow or stuck, or its large packets get lost;"
            " see ConnectTimeout, and the MTU on its side)"
        )
    return " (it is slow or stuck; a longer ConnectTimeout gives it more time)"


ACCOUNT = "the account may be expired or locked, or kept out by /etc/nologin or access rules"
"""What a server with PAM may have against a user whose proof it takes."""


def closed_in(stage: str, user: str, sock: socket.socket | None, clue: str, seconds: float) -> str:
    """What may be the matter when the server hangs up after its version, without a word: `clue` is the
    authenticator's, `seconds` how long the connection stood."""
    size = unacknowledged(sock)
    if size:
        return f" (it never got our packets of up to {size} bytes; a lower MTU here may help, such as 1280)"
    if stage == "key":
        return " (in the key exchange: its log may say why)"
    name = printable(user)
    if clue == "told":
        return f" (while {name} was logging in: what the server says above is why)"
    right = "the answer seems right, but " if clue == "account" else ""
    late = ", or it took too long" if seconds >= MOMENT and not right else ""
    return f" (while {name} was logging in: {right}{ACCOUNT}{late}; the server's log says why)"


# Algorithms -----------------------------------------------------------------------------------------------------

_PRICES = (
    ("group1-sha1", "1024 bits and SHA-1 are weak"),
    ("sha1", "SHA-1 is weak"),
    ("ssh-rsa", "SHA-1 is weak"),
    ("3des", "3DES is weak"),
    ("cbc", "CBC is weaker than what it stands for"),
    ("md5", "MD5 is weak"),
)
"""What is in the name of an algorithm, and what it costs to use it."""


def _table_of(what: str) -> tuple[str, Mapping[str, object]]:
    """The keyword of an algorithm list, and the table of those that we can do."""
    from pyssh_cli.keys.algorithms import KEY_ALGORITHMS
    from pyssh_cli.protocol.ciphers import CIPHERS
    from pyssh_cli.protocol.kex import KEX
    from pyssh_cli.protocol.macs import MACS

    tables: dict[str, tuple[str, Mapping[str, object]]] = {
        "key exchange method": ("KexAlgorithms", KEX),
        "host key type": ("HostKeyAlgorithms", KEY_ALGORITHMS),
        "cipher": ("Ciphers", CIPHERS),
        "MAC": ("MACs", MACS),
    }
    return tables.get(what, ("", {}))


def price_of(name: str) -> str:
    """What is to be said against an algorithm; empty for nothing."""
    return next((price for part, price in _PRICES if part in name), "")


def no_algorithm(error: NegotiationError) -> str:
    """The option that would let us agree with the server, and what it costs."""
    keyword, table = _table_of(error.what)
    usable = [name for name in table if name in error.theirs]
    if not keyword:
        return ""
    if not usable:
        return " (pyssh has none of these: the server needs an update, or other settings)"
    name = usable[0]
    price = price_of(name)
    but = f"; but {price}: better update the server" if price else ""
    return f" (-o {keyword}=+{name} allows it{but})"


# Channels -------------------------------------------------------------------------------------------------------


def channel_refused(event: OpenRefused, what: str) -> str:
    """Why a connection over the server was not made; `what` is the forward and its target."""
    if event.reason == PROHIBITED:
        return f" ({what}: the server does not allow it; see AllowTcpForwarding and PermitOpen there)"
    return f" ({what}: the server cannot connect to that)" if event.reason == CONNECT_FAILED else f" ({what})"


def remote_forward_refused(forward: Forward) -> str:
    """Why a server may not listen for us. It never says."""
    if forward.listen_path:
        return " (the server gives no reason: the path may exist there already, or forwarding is not allowed)"
    low = "ports below 1024 are root's there, " if 0 < forward.listen_port < 1024 else ""
    taken = "it may be taken, " if forward.listen_port else ""
    either = "or " if low or taken else ""
    return f" (the server gives no reason: {low}{taken}{either}AllowTcpForwarding or PermitListen forbids it)"


_REQUESTS = {
    "pty-req": "the server gives no terminal: PermitTTY, a key's restrictions, or none is left; -T does without",
    "shell": "the server starts no shell for this user",
    "exec": "the server runs no commands for this user",
    "x11-req": "the server does not forward X11: its X11Forwarding is off, or xauth is not installed there",
}


def request_refused(name: str, subsystem: str | None = None) -> str:
    """What may be the matter when a session is refused something."""
    if name == "subsystem":
        advice = "; scp -O does without" if subsystem == "sftp" else ""
        return f" (the server starts no subsystem {printable(subsystem or '')}: see Subsystem there{advice})"
    return f" ({_REQUESTS[name]})" if name in _REQUESTS else ""


NO_SESSION = " (the server opens no session: see MaxSessions there; -N does without one)"


def lost(error: OSError, silence: float, alive_interval: int) -> str:
    """What may be the matter when a connection that stood is lost, after so many seconds without a word."""
    forgotten = error.errno in {errno.ETIMEDOUT, errno.ECONNRESET, errno.EPIPE}
    if forgotten and silence >= IDLE and not alive_interval:
        return (
            f" (after {int(silence)} seconds of silence: a firewall may have forgotten the connection;"
            " ServerAliveInterval 30 keeps it in use)"
        )
    return ""
