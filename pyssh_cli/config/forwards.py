"""Forwards: -L, -R and -D, and LocalForward, RemoteForward and DynamicForward of ssh_config(5).

From text to `Forward` and back to the line that -G prints. Nothing is opened or looked up here, but for the names
of TCP services and of environment variables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from pyssh_cli.config.values import BadValue, Line, Parser, expand_environment, tcp_port

ForwardKind = Literal["local", "remote", "dynamic"]

MAX_HOST = 1024
"""The longest name of a host, in bytes (NI_MAXHOST)."""
MAX_PATH = 107
"""The longest path of a Unix socket, in bytes (unix(7))."""


class Forward(NamedTuple):
    """One forward: where to listen, and where to connect to for each connection that comes in.

    `listen_host` None means that nobody said: GatewayPorts decides. "" and "*" are all addresses. A socket's path,
    here or there, takes the place of host and port. A remote forward to nowhere (`socks`) is one where the
    other end speaks SOCKS to us; in a dynamic one we speak it to programs here.
    """

    kind: ForwardKind
    listen_host: str | None = None
    listen_port: int = 0
    listen_path: str | None = None
    host: str | None = None
    port: int = 0
    path: str | None = None

    @property
    def socks(self) -> bool:
        """Whether each connection names its own target, by SOCKS."""
        return self.host is None and self.path is None

    def shown(self) -> str:
        """The arguments as -G prints them."""
        listen = self.listen_path
        if listen is None:
            listen = _place(self.listen_host, self.listen_port)
        if self.kind == "dynamic":
            return listen
        target = "[socks]:0" if self.socks else self.path
        return f"{listen} {_place(self.host, self.port) if target is None else target}"

    def expanded(self, expand: Callable[[str], str]) -> Forward:
        """The same with `expand` done to its sockets' paths, which take tokens."""
        listen, target = self.listen_path, self.path
        if listen is None and target is None:
            return self
        return self._replace(
            listen_path=None if listen is None else expand(listen),
            path=None if target is None else expand(target),
        )


def parse_forward(spec: str, *, kind: ForwardKind) -> Forward:
    """The argument of -L, -R or -D: all forms of ssh(1). ValueError for one that is none of them.

    Environment variables (`${NAME}`) are expanded first. Brackets around a field, and a backslash before a
    character, take away the meaning of colons; a field with a slash is the path of a socket.
    """
    if kind != "remote":
        return _parse(spec, kind, socks=kind == "dynamic")
    try:
        return _parse(spec, kind, socks=False)
    except ValueError:
        return _parse(spec, kind, socks=True)


def argument(kind: ForwardKind) -> Parser:
    """A parser for a keyword's arguments: where to listen, and the target unless SOCKS tells it."""

    def parse(line: Line) -> Forward:
        spec = line.required()
        target = None if kind == "dynamic" else line.next()
        if kind == "local" and not target:
            raise BadValue("Missing target argument.")
        try:
            return _parse(f"{spec}:{target}" if target else spec, kind, socks=not target)
        except ValueError:
            raise BadValue("Bad forwarding specification.") from None

    return parse


def _parse(spec: str, kind: ForwardKind, *, socks: bool) -> Forward:
    """`spec` as a forward with a target, or with `socks` as one without."""
    fields = _fields(expand_environment(spec).lstrip(" \t\r\n\v\f"))
    words = [word for word, _ in fields]
    paths = [is_path for _, is_path in fields]
    count = len(fields)
    if count not in ({1, 2} if socks else {2, 3, 4}):
        raise ValueError(spec)
    if socks:
        if paths == [True]:
            forward = Forward(kind, listen_path=words[0])
        else:
            forward = Forward(kind, words[0] if count == 2 else None, _port(words[-1]))
    else:
        if paths[-1]:
            target, rest = Forward(kind, path=words[-1]), count - 1
        else:
            target, rest = Forward(kind, host=words[-2], port=_port(words[-1])), count - 2
        if rest == 1 and paths[0]:
            forward = target._replace(listen_path=words[0])
        elif rest in {1, 2}:
            forward = target._replace(
                listen_host=words[0] if rest == 2 else None, listen_port=_port(words[rest - 1])
            )
        else:
            raise ValueError(spec)
        if forward.path is None and not forward.port:
            raise ValueError(spec)
    if forward.listen_path is None and not forward.listen_port and kind != "remote":
        raise ValueError(spec)
    for text, longest in (
        (forward.listen_host, MAX_HOST),
        (forward.host, MAX_HOST),
        (forward.listen_path, MAX_PATH),
        (forward.path, MAX_PATH),
    ):
        if text is not None and len(text.encode("utf-8", "surrogateescape")) > longest:
            raise ValueError(spec)
    return forward


def _port(word: str) -> int:
    number = tcp_port(word)
    if number is None:
        raise ValueError(word)
    return number


def _fields(text: str) -> list[tuple[str, bool]]:
    """The fields between colons, up to four, each with whether it is a path. ValueError for bad brackets."""
    fields: list[tuple[str, bool]] = []
    at = 0
    while at < len(text):
        if len(fields) == 4:
            raise ValueError(text)
        if text[at] == "[":
            end = text.find("]", at)
            if end < 0 or text[end + 1 : end + 2] not in {"", ":"}:
                raise ValueError(text)
            word = text[at + 1 : end]
            fields.append((word, "/" in word))
            at = end + 2
            continue
        letters: list[str] = []
        is_path = False
        while at < len(text) and text[at] != ":":
            if text[at] == "\\":
                at += 1
                if at == len(text):
                    raise ValueError(text)
            elif text[at] == "/":
                is_path = True
            letters.append(text[at])
            at += 1
        fields.append(("".join(letters), is_path))
        at += 1
    return fields


def _place(host: str | None, port: int) -> str:
    return str(port) if host is None else f"[{host}]:{port}"
