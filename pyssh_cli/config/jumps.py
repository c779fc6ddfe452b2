"""ProxyJump and -J: the hosts on the way to a destination. Nothing is looked up or connected to here."""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.config.grammars import domain
from pyssh_cli.config.values import BadValue, Line, port_number


class Hop(NamedTuple):
    """One host on the way, without the brackets of an address; None for what the configuration is to say."""

    user: str | None
    host: str
    port: int | None


def proxy_jump(line: Line) -> str | None:
    """ProxyJump: hops between commas, or None for `none`.

    Quotes mean nothing here; what follows white space, or a `#`, is left out. As with ssh, a file's hops may hold
    anything: whoever hands them to a shell has to quote them.
    """
    line.rest()
    text = line.text.lstrip(" \t\r\n=")
    value = (text.partition("#")[0].split() or [""])[0]
    if value.lower() == "none":
        return None
    try:
        parse_hops(value)
    except ValueError:
        raise BadValue(f'Invalid ProxyJump "{text}"') from None
    return value


def parse_hops(text: str) -> tuple[Hop, ...]:
    """The hops of ProxyJump in the order they are passed through. ValueError for a bad one.

    A hop is [user@]host[:port] or ssh://[user@]host[:port], an address in brackets where it has colons.
    """
    return tuple(_hop(word) for word in text.split(","))


def shown(text: str) -> str:
    """What -G prints for a ProxyJump: the last hop in its parts, those before it as they were given."""
    before, comma, _ = text.rpartition(",")
    user, host, port = parse_hops(text)[-1]
    numeric = ":" in host or not host.strip("1234567890.")
    place = f"[{host}]" if numeric else host
    return "".join((
        before, comma, "" if user is None else f"{user}@", place, "" if port is None else f":{port}"
    ))  # fmt: skip


def _hop(word: str) -> Hop:
    if word.startswith("ssh://"):
        return _uri(word[6:])
    user, at, place = word.rpartition("@")
    if at and not user:
        raise ValueError(word)
    host, port, slash = _place(place)
    if slash:
        raise ValueError(word)
    return Hop(user if at else None, host, port)


def _uri(text: str) -> Hop:
    """What follows `ssh://`: connection parameters behind the user's `;` are left out, and there is no path."""
    user, at, place = text.rpartition("@")
    user = user.partition(";")[0]
    if at and (not user or "@" in user):
        raise ValueError(text)
    host, port, _ = _place(place.removesuffix("/"))
    return Hop(_decoded(user) if at else None, domain(host), port)


def _decoded(text: str) -> str:
    """`text` with %XX replaced by that byte (RFC 3986 section 2.1)."""
    head, *tail = text.split("%")
    out = head.encode("utf-8", "surrogateescape")
    for piece in tail:
        if len(piece) < 2 or piece[:2] == "00":
            raise ValueError(text)
        out += bytes.fromhex(piece[:2]) + piece[2:].encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def _place(text: str) -> tuple[str, int | None, bool]:
    """Host, port, and whether a slash stands where the host ends."""
    if text.startswith("["):
        host, closed, after = text[1:].partition("]")
        if not closed:
            raise ValueError(text)
    else:
        host = text.partition(":")[0].partition("/")[0]
        after = text[len(host) :]
    if not host or after[:1] not in {"", ":", "/"}:
        raise ValueError(text)
    if not after[1:]:
        return host, None, after == "/"
    port = port_number(after[1:])
    if port is None:
        raise ValueError(text)
    return host, port, after[0] == "/"
