"""SOCKS as a server speaks it: version 4, its extension 4a (names instead of addresses), and 5 (RFC 1928).

Bytes in; a target, or an answer that says why not, out. CONNECT is the only command, and no authentication the
only method: whoever can reach the listener may use it, as with ssh.
"""

from __future__ import annotations

import socket

from pyssh_cli.protocol import channels as ch

MAX_REQUEST = 4096
"""Bytes that a request may take; all that are in order are far shorter."""

MAX_NAME = 255
"""Bytes of a user's or a host's name."""

GENERAL_FAILURE, NOT_ALLOWED, NET_UNREACHABLE, HOST_UNREACHABLE, REFUSED = 1, 2, 3, 4, 5
COMMAND_NOT_SUPPORTED, ADDRESS_NOT_SUPPORTED = 7, 8
"""Replies of RFC 1928 section 6. Version 4 knows only "rejected or failed"."""

_NO_AUTHENTICATION, _NO_METHOD = 0, 0xFF
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4


class Malformed(Exception):
    """Not SOCKS, or a request that is not in order; `answer` is what to say before hanging up."""

    def __init__(self, why: str, answer: bytes = b"") -> None:
        super().__init__(why)
        self.answer = answer


class Handshake:
    """One connection's, from its first byte until the target is known.

    `version` is 0 until the first byte came. `target` is the host, a name or an address in text, and the port.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._greeted = False
        self.version = 0
        self.target: tuple[str, int] | None = None

    @property
    def rest(self) -> bytes:
        """What came after the request: the first bytes for the target."""
        return bytes(self._data)

    def feed(self, data: bytes) -> bytes:
        """Take what the client said; returns what it is to be answered now. Raises Malformed."""
        if self.target is not None:
            raise AssertionError("the request is complete")
        self._data += data
        answer = b""
        if self._data:
            self.version = self._data[0]
            if self.version == 4:
                self._version_4()
            elif self.version == 5:
                if not self._greeted:
                    answer = self._greeting()
                if self._greeted:
                    try:
                        self._version_5()
                    except Malformed as error:
                        raise Malformed(str(error), answer + error.answer) from None
            else:
                raise Malformed(f"version {self.version} is not SOCKS")
        if self.target is None and len(self._data) > MAX_REQUEST:
            raise Malformed("an endless request")
        return answer

    def granted(self) -> bytes:
        """The answer once the connection to the target stands. What it is bound to there is not known."""
        return _reply_4(granted=True) if self.version == 4 else _reply_5(0)

    def denied(self, reply: int) -> bytes:
        """The answer when it cannot be had; `reply` is version 5's."""
        return _reply_4(granted=False) if self.version == 4 else _reply_5(reply)

    def _version_4(self) -> None:
        data = self._data
        if len(data) < 9:
            return
        end = data.find(0, 8)
        if end < 0 or end > 8 + MAX_NAME:
            if len(data) > 8 + MAX_NAME:
                raise Malformed("the user's name is too long", _reply_4(granted=False))
            return
        if data[1] != _CONNECT:
            raise Malformed(f"command {data[1]} is not supported", _reply_4(granted=False))
        port = int.from_bytes(data[2:4], "big")
        host = socket.inet_ntop(socket.AF_INET, data[4:8])
        if data[4:7] == b"\0\0\0" and data[7]:  # 4a: the name follows
            start, end = end + 1, data.find(0, end + 1)
            if end < 0 or end > start + MAX_NAME:
                if len(data) > start + MAX_NAME:
                    raise Malformed("the host's name is too long", _reply_4(granted=False))
                return
            if end == start:
                raise Malformed("the host's name is empty", _reply_4(granted=False))
            host = _text(data[start:end])
        self._found(host, port, end + 1)

    def _greeting(self) -> bytes:
        data = self._data
        if len(data) < 2 or len(data) < 2 + data[1]:
            return b""
        methods = data[2 : 2 + data[1]]
        if _NO_AUTHENTICATION not in methods:
            raise Malformed("no authentication is not among the methods", bytes((5, _NO_METHOD)))
        del data[: 2 + len(methods)]
        self._greeted = True
        return bytes((5, _NO_AUTHENTICATION))

    def _version_5(self) -> None:
        data = self._data
        self.version = 5
        if len(data) < 5:
            return
        if data[0] != 5:
            raise Malformed(f"version {data[0]} after version 5", _reply_5(GENERAL_FAILURE))
        if data[1] != _CONNECT:
            raise Malformed(f"command {data[1]} is not supported", _reply_5(COMMAND_NOT_SUPPORTED))
        kind = data[3]
        if kind not in {_IPV4, _NAME, _IPV6}:
            raise Malformed(f"address type {kind} is not supported", _reply_5(ADDRESS_NOT_SUPPORTED))
        start = 5 if kind == _NAME else 4
        length = {_IPV4: 4, _IPV6: 16}.get(kind, data[4])
        end = start + length
        if len(data) < end + 2:
            return
        raw = data[start:end]
        if kind == _NAME:
            if not raw or 0 in raw:
                raise Malformed("not a host's name", _reply_5(GENERAL_FAILURE))
            host = _text(raw)
        else:
            host = socket.inet_ntop(socket.AF_INET if kind == _IPV4 else socket.AF_INET6, raw)
        self._found(host, int.from_bytes(data[end : end + 2], "big"), end + 2)

    def _found(self, host: str, port: int, used: int) -> None:
        self.target = host, port
        del self._data[:used]


def _text(raw: bytearray) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _reply_4(*, granted: bool) -> bytes:
    return bytes((0, 90 if granted else 91)) + bytes(6)


def _reply_5(reply: int) -> bytes:
    return bytes((5, reply, 0, _IPV4)) + bytes(6)


_WORDS = (
    ("refused", REFUSED),
    ("network is unreachable", NET_UNREACHABLE),
    ("unreachable", HOST_UNREACHABLE),
    ("no route", HOST_UNREACHABLE),
    ("timed out", HOST_UNREACHABLE),
    ("not known", HOST_UNREACHABLE),
    ("resol", HOST_UNREACHABLE),
)


def reply_for(reason: int, message: str) -> int:
    """The reply for a channel that was refused: by the reason code of RFC 4254 section 5.1, and by what the server
    says where the code does not tell."""
    if reason == 1:
        return NOT_ALLOWED
    lowered = message.lower()
    return next((reply for words, reply in _WORDS if words in lowered), GENERAL_FAILURE)


def refusal(event: ch.OpenRefused) -> int:
    """The same for the event."""
    return reply_for(event.reason, event.message)
