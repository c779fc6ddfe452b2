"""The destination on the command line: `[user@]host` or `ssh://[user@]host[:port]`. Nothing is looked up."""

from __future__ import annotations

from pyssh_cli.config.values import port_number

_HOST_FORBIDS = frozenset("'`\"$\\;&<>|(){}")
_USER_FORBIDS = frozenset("'`\";&<>|(){}")


class BadDestination(ValueError):
    """A destination that ssh answers with its usage."""


def split_destination(text: str) -> tuple[str | None, str, int | None]:
    """User, host and port; None for what is not said. Raises BadDestination.

    The last `@` ends the user, so that user names may hold one (`me@corp@host`).
    """
    if text.lower().startswith("ssh://"):
        return _split_uri(text[6:])
    user, at, host = text.rpartition("@")
    if at and not user:
        raise BadDestination(text)
    return (user if at else None), host, None


def _split_uri(rest: str) -> tuple[str | None, str, int | None]:
    """What follows `ssh://`, percent-decoded; connection parameters behind the user's `;` are left out."""
    rest = rest.removesuffix("/")
    if "/" in rest:
        raise BadDestination(rest)
    user, at, place = rest.rpartition("@")
    user = _decode(user.partition(";")[0])
    if at and not user:
        raise BadDestination(rest)
    if place.startswith("["):
        host, closed, after = place[1:].partition("]")
        if not closed or (after and after[0] != ":"):
            raise BadDestination(rest)
        number = after[1:] if after else None
    else:
        host, colon, after = place.partition(":")
        number = after if colon else None
    host = _decode(host)
    port = None
    if number is not None:
        port = port_number(number)
        if port is None:
            raise BadDestination(rest)
    if not host:
        raise BadDestination(rest)
    return (user if at else None), host, port


def _decode(text: str) -> str:
    """`text` with %XX replaced by that byte (RFC 3986 section 2.1)."""
    if "%" not in text:
        return text
    head, *tail = text.split("%")
    out = head.encode("utf-8", "surrogateescape")
    for piece in tail:
        digits = piece[:2]
        if len(digits) < 2 or any(digit not in "0123456789abcdefABCDEF" for digit in digits) or digits == "00":
            raise BadDestination(text)
        out += bytes.fromhex(digits) + piece[2:].encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def is_valid_host(host: str) -> bool:
    """Whether a host may stand on the command line: nothing that a shell behind ProxyCommand could act on."""
    return not host.startswith("-") and not any(
        char in _HOST_FORBIDS or char.isspace() or _is_control(char) for char in host
    )


def is_valid_user(user: str) -> bool:
    """Whether a user may stand on the command line. Spaces and backslashes inside are allowed (DOMAIN\\user)."""
    if user.startswith("-") or user.endswith("\\"):
        return False
    if any(char in _USER_FORBIDS or _is_control(char) for char in user):
        return False
    return not any(char.isspace() and user[index + 1 : index + 2] == "-" for index, char in enumerate(user))


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char < "\xa0"
