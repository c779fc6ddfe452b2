"""The client's side of HTTP and SOCKS proxies: from a socket connected to the proxy to one that leads to the host.

HTTP is CONNECT (RFC 9110 section 9.3.6) with Basic authentication (RFC 7617); SOCKS is version 5 (RFC 1928), with
a user's name and password (RFC 1929). Not a byte more is read than the proxy says: what follows is the host's.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from time import monotonic

from pyssh_cli.config.proxies import ProxyServer
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log, printable
from pyssh_cli.net.names import socket_address
from pyssh_cli.net.tcp import ready

MAX_HEAD = 64 * 1024
"""Bytes of an HTTP response's head, and of interim responses before it."""

MAX_PAGE = 16 * 1024
"""Bytes that are read of the page that comes with an error."""

PAGE_SECONDS = 2.0
"""How long that page is waited for."""

MAX_SAID = 200
"""Characters of it that are shown."""


_HTTP = b"HTTP/1."
"""What an answer begins with."""


class _Gone(Exception):
    """The proxy hung up."""


class _Stream:
    """Exact reads and whole writes on a non-blocking socket, until a point in time. `log` tells a person who waits
    long for `what`."""

    def __init__(self, sock: socket.socket, deadline: float | None, log: Log, what: str) -> None:
        self._socket = sock
        self.deadline = deadline
        self._log = log
        self._what = what

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        if not ready(poll, self.deadline, self._log, lambda: self._what):
            raise TimeoutError

    def write(self, data: bytes) -> None:
        """Send all of it."""
        while data:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:
                self._wait(select.POLLOUT)

    def some(self, count: int, flags: int = 0) -> bytes:
        """At most `count` bytes, as soon as there are any."""
        while True:
            try:
                data = self._socket.recv(count, flags)
            except BlockingIOError:
                self._wait(select.POLLIN)
                continue
            if not data:
                raise _Gone
            return data

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        data = b""
        while len(data) < count:
            data += self.some(count - len(data))
        return data

    def head(self, most: int) -> bytes:
        """The head of an HTTP response, its empty line included, and not a byte behind it; its lines may end in LF
        alone (RFC 9112 section 2.2)."""
        data = b""
        while True:
            ahead = self.some(4096, socket.MSG_PEEK)
            seen = data + ahead
            if not seen.startswith(_HTTP[: len(seen)]):
                raise NetworkError(f'no HTTP proxy: it says "{_shown(seen.splitlines()[0])}"')
            ends = [at + len(mark) for mark in (b"\n\r\n", b"\n\n") if (at := seen.find(mark)) >= 0]
            data += self.read(min(ends) - len(data) if ends else len(ahead))
            if len(data) > most:
                raise NetworkError(f"its answer has no end within {MAX_HEAD} bytes")
            if ends:
                return data


def open_tunnel(
    sock: socket.socket, proxy: ProxyServer, host: str, port: int, deadline: float | None, log: Log
) -> None:
    """Let the proxy that `sock` is connected to connect it on to `host`. Raises NetworkError, which names both."""
    log.debug1(f"Asking the proxy {proxy.place} ({proxy.scheme}) for {host} port {port}.")
    ask = _connect_http if proxy.scheme == "http" else _connect_socks
    try:
        what = f"Waiting for the proxy {proxy.place} to connect to {host} port {port}"
        ask(_Stream(sock, deadline, log, what), proxy, host, port)
    except TimeoutError:
        reason = "Connection timed out (it does not answer; a longer ConnectTimeout gives it more time)"
    except _Gone:
        reason = "it closed the connection"
    except NetworkError as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        return
    raise NetworkError(f"ssh: connect to host {host} port {port}: proxy {proxy.place}: {reason}")


# HTTP -----------------------------------------------------------------------------------------------------------


def _connect_http(stream: _Stream, proxy: ProxyServer, host: str, port: int) -> None:
    place = _bytes(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if any(byte <= 32 or byte == 127 for byte in place):
        raise NetworkError("the host's name has characters that HTTP has no room for")
    lines = [b"CONNECT " + place + b" HTTP/1.1", b"Host: " + place]
    if proxy.user is not None:
        from base64 import b64encode

        login = b64encode(_bytes(f"{proxy.user}:{proxy.password}"))
        lines.append(b"Proxy-Authorization: Basic " + login)
    stream.write(b"\r\n".join((*lines, b"", b"")))
    taken = 0
    while True:
        head = stream.head(MAX_HEAD - taken)
        taken += len(head)
        status_line, *fields = head.splitlines()
        version, _, rest = status_line.partition(b" ")
        code = rest[:3]
        if not version.startswith(_HTTP) or not code.isdigit() or len(code) < 3:
            raise NetworkError(f'no HTTP proxy: it says "{_shown(status_line)}"')
        if code[:1] != b"1":
            break
    if code[:1] == b"2":
        return
    said, page = _shown(rest), _page(stream, fields)
    told = "" if page in {f": {said}", f": {said[4:]}"} else page
    raise NetworkError(f"{said}{_hint(code, proxy, port)}{told}")


def _hint(code: bytes, proxy: ProxyServer, port: int) -> str:
    """What to do about a refusal."""
    if code in {b"401", b"407"} and proxy.user is None:
        return " (it wants to know who asks: Proxy http://USER:PASSWORD@HOST:PORT)"
    if code in {b"401", b"407"}:
        return " (it does not take this user and password, or wants another way than Basic)"
    if code in {b"403", b"405", b"501"}:
        return f" (it does not connect to port {port}; many let port 443 pass, where sshd can listen too)"
    if code in {b"502", b"503", b"504"}:
        return " (it cannot reach the host)"
    return ""


def _page(stream: _Stream, fields: list[bytes]) -> str:
    """What an error's page says, without its markup: captive portals explain themselves there."""
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (field.partition(b":") for field in fields)
    }
    said = ""
    target = headers.get(b"location")
    if target:
        said = f": it sends us to {_shown(target)}"
    length = headers.get(b"content-length", b"")
    wanted = min(int(length[:8]), MAX_PAGE) if length.isdigit() else MAX_PAGE
    page = b""
    until = monotonic() + PAGE_SECONDS
    stream.deadline = until if stream.deadline is None else min(until, stream.deadline)
    try:
        while len(page) < wanted:
            page += stream.some(wanted - len(page))
    except (_Gone, OSError):
        pass
    text = text_of(page)
    return f"{said}: {text}" if text else said


def text_of(page: bytes) -> str:
    """The words of a page of HTML, or of plain text: its title, if it has one."""
    import re
    from html import unescape

    text = page.decode("utf-8", "replace")
    title = re.search(r"(?is)<title[^>]{0,99}>(.{1,999}?)</title", text)
    if title:
        text = title[1]
    else:
        text = re.sub(r"(?is)<(script|style)\b.*?(</\1[^>]{0,99}>|\Z)", " ", text)
        text = re.sub(r"(?s)<[^>]{0,2000}>", " ", text)
    words = " ".join(unescape(text).split())
    return printable(words[:MAX_SAID] + ("..." if len(words) > MAX_SAID else ""))


def _shown(raw: bytes) -> str:
    return printable(raw.strip()[:MAX_SAID])


# SOCKS ----------------------------------------------------------------------------------------------------------

_VERSION = 5
_NO_LOGIN, _PASSWORD, _NONE_FITS = 0, 2, 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4

_REFUSALS = {
    1: "general failure (it does not say why)",
    2: "not allowed by its rules",
    3: "Network is unreachable (from there)",
    4: "No route to host (from there)",
    5: "Connection refused (by the host; the proxy itself works)",
    6: "Connection timed out (from there to the host)",
    7: "it does not connect to hosts at all",
    8: "it does not take addresses of this kind",
}
"""Replies of RFC 1928 section 6, in the system's words where there are some."""


def _connect_socks(stream: _Stream, proxy: ProxyServer, host: str, port: int) -> None:
    methods = bytes((_NO_LOGIN,) if proxy.user is None else (_NO_LOGIN, _PASSWORD))
    stream.write(bytes((_VERSION, len(methods))) + methods)
    version, method = stream.read(2)
    if version != _VERSION:
        raise NetworkError(f"no SOCKS proxy of version 5: it begins with the byte {version}")
    if method == _PASSWORD and proxy.user is not None:
        _log_in(stream, proxy.user, proxy.password)
    elif method == _NONE_FITS and proxy.user is None:
        raise NetworkError("it wants to know who asks (Proxy socks5://USER:PASSWORD@HOST:PORT)")
    elif method != _NO_LOGIN:
        raise NetworkError("it takes no user and password, and does without neither")
    stream.write(bytes((_VERSION, _CONNECT, 0)) + _socks_address(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = stream.read(4)
    if version != _VERSION:
        raise NetworkError(f"its reply is of version {version}, which is none of SOCKS 5")
    if reply:
        raise NetworkError(_REFUSALS.get(reply, f"refused for the reason {reply}, which RFC 1928 does not have"))
    # Where it connects from means nothing to us.
    lengths: dict[int, Callable[[], int]] = {
        _IPV4: lambda: 4,
        _IPV6: lambda: 16,
        _NAME: lambda: stream.read(1)[0],
    }
    if kind not in lengths:
        raise NetworkError(f"its reply has an address of the kind {kind}, which RFC 1928 does not have")
    stream.read(lengths[kind]() + 2)


def _log_in(stream: _Stream, user: str, password: str) -> None:
    """RFC 1929."""
    names = [_bytes(user), _bytes(password)]
    stream.write(b"\x01" + b"".join(bytes((len(name),)) + name for name in names))
    if stream.read(2)[1]:
        raise NetworkError("it does not take this user and password")


def _socks_address(host: str) -> bytes:
    try:
        family, where = socket_address(host, 0)
    except OSError:
        name = _bytes(host)
        if not 0 < len(name) <= 255:
            raise NetworkError("the host's name is longer than SOCKS has room for") from None
        return bytes((_NAME, len(name))) + name
    kind = _IPV6 if family == socket.AF_INET6 else _IPV4
    return bytes((kind,)) + socket.inet_pton(family, where[0].partition("%")[0])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
