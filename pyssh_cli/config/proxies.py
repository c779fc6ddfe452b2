"""Proxy, a keyword of our own: the HTTP or SOCKS proxy that a connection begins at. Nothing is connected here."""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.config.values import BadValue, Line, port_number

_DEFAULT_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
"""The kinds of proxies, and where each listens when nothing says: RFC 9110 section 4.2.1, RFC 1928 section 3."""

MAX_NAME = 255
"""Bytes of a user's name or a password that SOCKS has room for (RFC 1929 section 2)."""


class ProxyServer(NamedTuple):
    """A proxy. `scheme` is "http" (CONNECT, RFC 9110 section 9.3.6), "socks5" (RFC 1928; names are looked up here)
    or "socks5h" (the proxy looks them up). `user` is None where no name is to be given."""

    scheme: str
    user: str | None
    password: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """Where it is, for messages: without the password."""
        return f"{self.host} port {self.port}"


def proxy(line: Line) -> str | None:
    """Proxy: SCHEME://[USER[:PASSWORD]@]HOST[:PORT], or None for `none`. What is refused is not repeated: it may
    hold a password."""
    value = line.required()
    if value.lower() == "none":
        return None
    try:
        parse_proxy(value)
    except ValueError as error:
        raise BadValue(f"Bad proxy: {error}") from None
    return value


def parse_proxy(text: str) -> ProxyServer:
    """The parts of a proxy's URI, with %XX in user and password replaced. ValueError tells which part is wrong."""
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError(f"it begins with none of {', '.join(f'{kind}://' for kind in _DEFAULT_PORTS)}")
    login, at, place = rest.rpartition("@")
    place = place.removesuffix("/")
    if place.startswith("["):
        host, closed, after = place[1:].partition("]")
        if not closed or after[:1] not in {"", ":"}:
            raise ValueError("its address has no closing bracket")
    else:
        host, colon, number = place.partition(":")
        after = colon + number
    if not host or any(char <= " " or char == "\x7f" for char in host) or "/" in host + after:
        raise ValueError("it is SCHEME://[USER[:PASSWORD]@]HOST[:PORT]")
    port = port_number(after[1:]) if after else _DEFAULT_PORTS[scheme]
    if port is None:
        raise ValueError("its port is no number of 1 to 65535")
    user, _, password = login.partition(":")
    user, password = _decoded(user), _decoded(password)
    if at and not user:
        raise ValueError("its user is empty")
    if ":" in user and scheme == "http":
        raise ValueError("HTTP has no way to say a user's name with a colon")
    if max(map(_size, (user, password))) > MAX_NAME:
        raise ValueError(f"user and password have at most {MAX_NAME} bytes")
    return ProxyServer(scheme, user if at else None, password, host, port)


def looks_up_names(text: str) -> bool:
    """Whether the proxy looks up the names of hosts, and not we."""
    return not text.lower().startswith("socks5:")


def shown(text: str) -> str:
    """What -G prints: everything but the password."""
    _, user, password, _, _ = parse_proxy(text)
    if user is None or not password:
        return text
    scheme, _, rest = text.partition("://")
    login, _, place = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}:***@{place}"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _decoded(text: str) -> str:
    """`text` with %XX replaced by that byte (RFC 3986 section 2.1); control characters are refused."""
    head, *tail = text.split("%")
    out = head.encode("utf-8", "surrogateescape")
    for piece in tail:
        digits = piece[:2]
        if len(digits) < 2 or not all(char in "0123456789abcdefABCDEF" for char in digits):
            raise ValueError("a % in user and password is followed by two hexadecimal digits (%25 is a %)")
        out += bytes.fromhex(digits) + piece[2:].encode("utf-8", "surrogateescape")
    if any(byte < 32 or byte == 127 for byte in out):
        raise ValueError("control characters are not taken")
    return out.decode("utf-8", "surrogateescape")
