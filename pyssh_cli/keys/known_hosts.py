"""known_hosts files: which key belongs to which host, read and added to as ssh does (sshd(8), SSH_KNOWN_HOSTS
FILE FORMAT).

It judges a key by the files; what to do about the verdict, and the words for it, are `client/`'s.
"""

from __future__ import annotations

import binascii
import os
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys.algorithms import KEY_TYPES, key_type_of
from pyssh_cli.keys.host_patterns import (
    ascii_lower,
    hash_name,
    known_hosts_name,
    matches,
    may_match,
)
from pyssh_cli.keys.public import PublicKey, decode_key

__all__ = [
    "HASHED_NAME",
    "KnownHost",
    "KnownHosts",
    "Verdict",
    "add",
    "known_hosts_name",
    "prefer_known",
]

MAX_FILE_SIZE = 64 << 20
"""Bytes. A longer file is none that a person or a fleet keeps; /dev/zero is one."""

HASHED_NAME = "[hashed name]"
"""What ssh shows in place of the name of a hashed entry."""

Marker = Literal["", "@cert-authority", "@revoked"]
_MARKERS: dict[bytes, Marker] = {b"@cert-authority": "@cert-authority", b"@revoked": "@revoked"}


class KnownHost(NamedTuple):
    """One line of a known_hosts file. `line` counts from 1; `names` is its first field, uncleaned."""

    file: str
    line: int
    marker: Marker
    names: str
    key: PublicKey

    @property
    def shown_names(self) -> str:
        """`names`, or `HASHED_NAME` where they cannot be read."""
        return HASHED_NAME if self.names.startswith("|") else self.names


class Verdict(NamedTuple):
    """What the files say of a host's key.

    - "match": `entry` is the line that holds this key for this host.
    - "changed": the host is known with other keys only, of whatever type; `entry` is the last such line, the
      one ssh calls offending.
    - "revoked": a @revoked line, `entry`, holds this key for this host, whatever other lines say.
    - "new": nothing is known; `entry` is None.

    `name` is the host's name as it was looked up. `entries` are all lines that speak of the host, in order.
    """

    status: Literal["match", "changed", "new", "revoked"]
    name: str
    entry: KnownHost | None = None
    entries: tuple[KnownHost, ...] = ()

    @property
    def other_types(self) -> tuple[KnownHost, ...]:
        """The trusted lines of this host whose keys are of another type than `entry`'s."""
        if self.entry is None:
            return ()
        own = self.entry.key.type
        return tuple(e for e in self.entries if not e.marker and e.key.type != own)


class KnownHosts:
    """The known_hosts files of one connection, in the order they are given; read when first asked.

    Files that are missing or unreadable, and lines that are malformed, count as absent, as for ssh; `notes` says
    which they were, a line each for the debug log.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files = tuple(files)
        self.notes: list[str] = []
        self._lines: list[tuple[str, list[bytes]]] | None = None
        self._found: dict[bytes, tuple[KnownHost, ...]] = {}

    def lookup(self, host_names: Sequence[str], key: PublicKey) -> Verdict:
        """Judge a plain key for the host called `host_names[0]` (as `known_hosts_name` makes it).

        Further names can only add trust or revocation: ssh takes a key that is known for the bare name when
        nothing is known for "[host]:port", and thinks nothing of one that differs. Raises KeyFileError for a
        file beyond `MAX_FILE_SIZE`.
        """
        first = self._judge(host_names[0], key)
        if first.status != "new":
            return first
        for name in host_names[1:]:
            verdict = self._judge(name, key)
            if verdict.status in {"match", "revoked"}:
                return verdict
        return first

    def key_types(self, host_name: str) -> tuple[str, ...]:
        """The types of the keys trusted for `host_name`, each once, in the files' order."""
        return tuple(dict.fromkeys(e.key.type for e in self.entries(host_name) if not e.marker))

    def entries(self, host_name: str) -> tuple[KnownHost, ...]:
        """All lines, @cert-authority and @revoked ones too, whose names match `host_name`."""
        name = ascii_lower(host_name).encode("utf-8", "surrogateescape")
        if name in self._found:  # asked for the order of algorithms first, for the verdict later
            return self._found[name]
        found: list[KnownHost] = []
        for path, lines in self._all_lines():
            for index in may_match(lines, name):
                fields = _split(lines[index])
                if fields is not None and matches(fields.names, name):
                    self._keep(found, path, index, fields)
        self._found[name] = tuple(found)
        return self._found[name]

    def entries_of(self, key: PublicKey) -> tuple[KnownHost, ...]:
        """The trusted lines that hold `key` under any name, for the question about a new host."""
        encoded = binascii.b2a_base64(key.blob, newline=False)
        found: list[KnownHost] = []
        for path, lines in self._all_lines():
            for index, line in enumerate(lines):
                if encoded in line and (fields := _split(line)) is not None:
                    self._keep(found, path, index, fields)
        return tuple(e for e in found if not e.marker and e.key.blob == key.blob)

    def _judge(self, host_name: str, key: PublicKey) -> Verdict:
        entries = self.entries(host_name)
        name = ascii_lower(host_name)
        match = changed = None
        for entry in entries:
            same = entry.key.blob == key.blob
            if entry.marker == "@revoked" and same:
                return Verdict("revoked", name, entry, entries)
            if entry.marker:
                continue
            if same:
                match = match or entry
            elif entry.key.type in KEY_TYPES:
                changed = entry
        if match:
            return Verdict("match", name, match, entries)
        return Verdict("changed" if changed else "new", name, changed, entries)

    def _keep(self, found: list[KnownHost], path: str, index: int, fields: _Fields) -> None:
        """Add the line to `found` if its key can be read, else to `notes`."""
        try:
            key = decode_key(fields.key_type.decode("ascii"), fields.key)
        except (KeyFileError, UnicodeDecodeError):
            note = f"{path}:{index + 1}: parse error in hostkeys file"
            if note not in self.notes:
                self.notes.append(note)
            return
        names = fields.names.decode("utf-8", "surrogateescape")
        found.append(KnownHost(path, index + 1, fields.marker, names, key))

    def _all_lines(self) -> list[tuple[str, list[bytes]]]:
        if self._lines is None:
            self._lines = [(path, lines) for path in self.files if (lines := self._read(path)) is not None]
        return self._lines

    def _read(self, path: str) -> list[bytes] | None:
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_FILE_SIZE + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "the path holds a NUL"
            self.notes.append(f"hostkeys file {path} not read: {reason}")
            return None
        if len(data) > MAX_FILE_SIZE:
            raise KeyFileError(f"{path}: larger than 64 MiB, so not a known_hosts file")
        lines = data.split(b"\n")
        if b"\0" in data:  # to ssh a line ends there
            lines = [line.partition(b"\0")[0] for line in lines]
        return lines


class _Fields(NamedTuple):
    """A line taken apart, nothing decoded yet."""

    marker: Marker
    names: bytes
    key_type: bytes
    key: bytes


def _split(line: bytes) -> _Fields | None:
    """Take a line apart at blanks and tabs; None for a comment and for one that lacks a field, has a marker
    that is not ours, or has two."""
    words = [word for word in line.replace(b"\t", b" ").split(b" ") if word]
    if not words or words[0].startswith(b"#"):
        return None
    marker: Marker = ""
    if words[0].startswith(b"@"):
        found = _MARKERS.get(words.pop(0))
        if found is None:
            return None
        marker = found
    if len(words) < 3 or words[0].startswith(b"@"):
        return None
    return _Fields(marker, words[0], words[1], words[2].strip(b"\r"))


def prefer_known(algorithms: Sequence[str], known_types: Iterable[str]) -> tuple[str, ...]:
    """`algorithms`, those whose keys are known for the host moved to the front, so that a server with several
    keys shows one we can check (HostKeyAlgorithms in ssh_config(5)).

    The order stays as it is when the first algorithm's key is known already.
    """
    known = set(known_types)
    if algorithms and key_type_of(algorithms[0]) in known:
        return tuple(algorithms)
    ours = tuple(name for name in algorithms if key_type_of(name) in known)
    return ours + tuple(name for name in algorithms if name not in ours)


def add(path: str, names: Sequence[str], key: PublicKey, hashed: bool) -> None:
    """Append a line (or with `hashed` a line a name, as HashKnownHosts wants) that trusts `key` for `names`.

    A ~/.ssh that is missing is made with mode 0700, a file with 0600. The file's last line is ended first if it
    is not. One append carries all, so that several clients can add at once. Raises KeyFileError when the file
    cannot be written, or a name cannot stand in a known_hosts file for itself alone.
    """
    lowered = [ascii_lower(name) for name in names]
    for name in lowered:
        if not name or not name.isprintable() or (not hashed and not set(name).isdisjoint(" ,*?!#|@")):
            raise KeyFileError(f"{path}: the name {name} cannot be written to a known_hosts file")
    fields = [hash_name(name) for name in lowered] if hashed else [",".join(lowered)]
    text = "".join(f"{field} {key.line()}\n" for field in fields).encode("utf-8", "surrogateescape")
    try:
        _append(path, text)
    except OSError as error:
        raise KeyFileError(
            f"Failed to add the host to the list of known hosts ({path}): {error.strerror or error}"
        ) from None


def _append(path: str, text: bytes) -> None:
    folder = os.path.dirname(path)
    if os.path.basename(folder) == ".ssh" and not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "rb+", buffering=0) as file:
        if file.seekable() and file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = b"\n" + text
        written = file.write(text)
        if written != len(text):
            raise OSError(f"only {written} of {len(text)} bytes were written")
