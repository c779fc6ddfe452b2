"""The hosts that were picked, most recent first, in a small file of our own: $XDG_STATE_HOME/pyssh/recent.

Only what `--pick` chose is in it, a name a line. Two that write at once are of no harm: one of two picks is lost.
"""

from __future__ import annotations

import os

from pyssh_cli.keys.reading import read_regular_file

MAX_ENTRIES = 200
MAX_SIZE = 1 << 20
"""Bytes of the file, whoever wrote it."""


def path(home: str) -> str:
    """Where the file is; `home` is for those without a $HOME. A relative XDG_STATE_HOME counts as none, as its
    specification has it."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):
        state = f"{os.environ.get('HOME') or home}/.local/state"
    return f"{state}/pyssh/recent"


def read(file: str) -> list[str]:
    """The entries, most recent first; none where there is no such file. They may hold anything."""
    try:
        lines = read_regular_file(file, MAX_SIZE).decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    return [line for line in dict.fromkeys(lines) if line][:MAX_ENTRIES]


def note(file: str, entry: str) -> None:
    """Put an entry, of one line, first. Raises OSError."""
    entries = [entry, *(other for other in read(file) if other != entry)][:MAX_ENTRIES]
    directory = os.path.dirname(file)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fresh = f"{file}.{os.getpid()}.{os.urandom(4).hex()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="utf-8", errors="replace") as stream:
            stream.write("".join(f"{line}\n" for line in entries))
        os.replace(fresh, file)
    except BaseException:
        os.unlink(fresh)
        raise
