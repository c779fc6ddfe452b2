"""The picture of a fingerprint, for eyes that know the host's (VisualHostKey in ssh_config(5), ssh-keygen -lv).

A bishop walks over the board as the fingerprint's bits send it, two a step and the lowest of a byte first; how
often it has been on a field chooses the character there ("The drunken bishop", Loss, Limmer, von Gernler, 2009).
"""

from __future__ import annotations

from pyssh_cli.keys.public import PublicKey

_COLUMNS = 17
_ROWS = 9
_VISITS = " .o+=*BOX@%&#/^"
_START = "S"
_END = "E"


def random_art(key: PublicKey, hash_name: str = "sha256") -> str:
    """The picture of `key` with its frame, lines with newlines between them. ValueError for a hash that there is
    no fingerprint of."""
    visits = [[0] * _COLUMNS for _ in range(_ROWS)]
    start = column, row = _COLUMNS // 2, _ROWS // 2
    for byte in key.digest(hash_name):
        for shift in (0, 2, 4, 6):
            step = byte >> shift
            column = min(max(column + (1 if step & 1 else -1), 0), _COLUMNS - 1)
            row = min(max(row + (1 if step & 2 else -1), 0), _ROWS - 1)
            visits[row][column] += 1
    board = [[_VISITS[min(count, len(_VISITS) - 1)] for count in line] for line in visits]
    board[start[1]][start[0]] = _START
    board[row][column] = _END
    title = f"[{key.short_name} {key.bits}]"
    if len(title) > _COLUMNS:
        title = f"[{key.short_name}]"
    return "\n".join(
        (
            _edge(title),
            *(f"|{''.join(line)}|" for line in board),
            _edge(f"[{hash_name.upper()}]"),
        )
    )


def _edge(title: str) -> str:
    """A line of the frame with `title` in its middle, the larger half of what is left behind it."""
    title = title[: _COLUMNS - 1]  # as ssh cuts one that is too long
    before = (_COLUMNS - len(title)) // 2
    return f"+{'-' * before}{title}{'-' * (_COLUMNS - len(title) - before)}+"
