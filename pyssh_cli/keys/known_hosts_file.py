"""One known_hosts file: its lines, and writing to it without losing what others write at the same time.

What the lines mean for a host is `known_hosts`'.
"""

from __future__ import annotations

import binascii
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal, NamedTuple

from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys.host_patterns import (
    HASH_MAGIC,
    ascii_lower,
    hash_name,
    is_address,
    match_hashes,
    matches,
    may_match,
)
from pyssh_cli.keys.public import PublicKey, decode_key
from pyssh_cli.keys.reading import EndlessFileError, read_all, read_file

MAX_FILE_SIZE = 64 << 20
"""Bytes. A longer file is none that a person or a fleet keeps; /dev/zero is one."""

HASHED_NAME = "[hashed name]"
"""What ssh shows in place of the name of a hashed entry."""

PIECE = 1 << 20
"""Bytes of a file that are looked through at once."""

LOCK_PATIENCE = 2.0
"""Seconds to wait for another pyssh that writes to the file. It takes milliseconds; who holds the lock longer
wants to keep us, and ssh itself takes none, so then we write all the same."""

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


class Fields(NamedTuple):
    """A line taken apart, nothing decoded yet."""

    marker: Marker
    names: bytes
    key_type: bytes
    key: bytes


class HostFile:
    """The content of a known_hosts file, `data`, as it was read. `bad_lines` are the numbers of those lines that
    were looked at and whose key cannot be read."""

    __slots__ = ("bad_lines", "data", "path")

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = _cut_at_nul(data)
        self.bad_lines: set[int] = set()

    @classmethod
    def read(cls, path: str) -> HostFile:
        """Read the file. Raises OSError, and KeyFileError for one with no end in sight: what it says of revoked
        keys must not be passed over."""
        try:
            return cls(path, read_file(path, MAX_FILE_SIZE))
        except EndlessFileError as error:
            raise KeyFileError(f"{path}: {error.strerror}") from None

    @property
    def has_hashes(self) -> bool:
        """Whether some names are hashed, so that looking for one takes a while in a large file."""
        return HASH_MAGIC in self.data

    def has_hashes_of_others(self, key_type: str) -> bool:
        """Whether some hashed names have keys of another type than `key_type`."""
        return self.data.count(HASH_MAGIC) > self.data.count(f" {key_type} ".encode("ascii"))

    def entries(self, name: bytes, hashes_of: str | None = "") -> list[KnownHost]:
        """All lines whose names match `name`, which is in lower case; of the hashed ones perhaps only those with
        keys of the type `hashes_of`, or with None none."""
        holding = f" {hashes_of} ".encode("ascii") if hashes_of else b""
        found: set[tuple[int, bytes]] = set()
        for start, piece in _pieces(self.data):
            near = may_match(piece, name)
            if hashes_of is not None and HASH_MAGIC in piece:
                near += match_hashes(piece.split(b"\n"), name, holding)
            if near:
                above = self.data.count(b"\n", 0, start)
                found.update((above + number, line) for number, line in near)
        return self._decoded((n, f) for n, f in _split(sorted(found)) if matches(f.names, name))

    def is_known(self, name: bytes, key: PublicKey) -> KnownHost | None:
        """The first line without marker that holds `key` for `name`, found without looking for the name."""
        for number, fields in self._holding(key):
            if not fields.marker and matches(fields.names, name):
                return self._entry(number, fields, key)
        return None

    def entries_of(self, key: PublicKey) -> list[KnownHost]:
        """All lines that hold `key`."""
        return [self._entry(number, fields, key) for number, fields in self._holding(key)]

    def _holding(self, key: PublicKey) -> Iterator[tuple[int, Fields]]:
        """The lines that hold `key`, in order."""
        encoded = binascii.b2a_base64(key.blob, newline=False)
        tail = encoded[-16:]  # sooner found than the whole, whose beginning all keys of a type share
        number, counted, at = 1, 0, self.data.find(tail)
        while at >= 0:
            start, end = self.data.rfind(b"\n", 0, at) + 1, self.data.find(b"\n", at)
            number += self.data.count(b"\n", counted, start)
            counted = start
            fields = split_line(self.data[start : end if end >= 0 else len(self.data)])
            if fields is not None and fields.key == encoded and fields.key_type == key.type.encode("ascii"):
                yield number, fields
            at = self.data.find(tail, end + 1) if end >= 0 else -1

    def _entry(self, number: int, fields: Fields, key: PublicKey) -> KnownHost:
        return KnownHost(self.path, number, fields.marker, fields.names.decode("utf-8", "surrogateescape"), key)

    def _decoded(self, lines: Iterable[tuple[int, Fields]]) -> list[KnownHost]:
        entries: list[KnownHost] = []
        for number, fields in lines:
            try:
                key = decode_key(fields.key_type.decode("ascii"), fields.key)
            except (KeyFileError, UnicodeDecodeError):
                self.bad_lines.add(number)
                continue
            entries.append(self._entry(number, fields, key))
        return entries


def _cut_at_nul(data: bytes) -> bytes:
    """To ssh a line ends at a NUL."""
    if b"\0" not in data:
        return data
    return b"\n".join(line.partition(b"\0")[0] for line in data.split(b"\n"))


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """`data` in pieces of whole lines, and where they begin. They fit into a processor's cache: going through
    each several times is faster than going through the whole."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + PIECE) + 1 or data.find(b"\n", start) + 1 or len(data)
        yield start, data[start:end]
        start = end


def _split(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, Fields]]:
    """The lines that are no comment and can be taken apart."""
    for number, line in lines:
        fields = split_line(line)
        if fields is not None:
            yield number, fields


def split_line(line: bytes) -> Fields | None:
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
    return Fields(marker, words[0], words[1], words[2].strip(b"\r"))


def add(path: str, names: Sequence[str], key: PublicKey, hashed: bool) -> None:
    """Append a line (or with `hashed` a line a name, as HashKnownHosts wants) that trusts `key` for `names`.

    A ~/.ssh that is missing is made with mode 0700, a file with 0600. The file's last line is ended first if it
    is not. One append carries all, so that several clients can add at once. Raises KeyFileError when the file
    cannot be written, or a name cannot stand in a known_hosts file for itself alone.
    """
    text = _lines(path, names, [key], hashed)
    try:
        with _locked(path) as fd:
            _append(fd, text)
    except OSError as error:
        raise KeyFileError(
            f"Failed to add the host to the list of known hosts ({path}): {error.strerror or error}"
        ) from None


class Update(NamedTuple):
    """What `update` did: the keys it added, the lines it took out, and those it would have taken out if they were
    not for other hosts as well."""

    added: tuple[PublicKey, ...]
    removed: tuple[KnownHost, ...]
    kept: tuple[KnownHost, ...]


def update(
    path: str, names: Sequence[str], keys: Sequence[PublicKey], obsolete: Sequence[PublicKey], hashed: bool
) -> Update:
    """Let the file trust all `keys` for `names`, and no longer the `obsolete` ones (UpdateHostKeys).

    A key is added unless a line without marker has it for the first name already. Only lines without marker, and
    that are for no other host, are taken out; all others stay as they are, to the byte. The file is replaced in
    one step, its owner and permissions kept, behind a symbolic link too, and what it was is left beside it with
    ".old" at its name, as by ssh. Nothing is written when nothing changes. Raises KeyFileError.
    """
    lowered = [ascii_lower(name).encode("utf-8", "surrogateescape") for name in names]
    try:
        with _locked(path) as fd:
            old = _read_all(fd, path)
            file = HostFile(path, old)
            found = {entry.line: entry for name in lowered for entry in file.entries(name) if not entry.marker}
            known = {entry.key for entry in file.entries(lowered[0]) if not entry.marker}
            added = tuple(key for key in dict.fromkeys(keys) if key not in known)
            out = [entry for line, entry in sorted(found.items()) if entry.key in obsolete]
            removed = tuple(entry for entry in out if is_only_for(entry, names))
            kept = tuple(entry for entry in out if entry not in removed)
            text = _lines(path, names, added, hashed) if added else b""
            if removed:
                gone = {entry.line for entry in removed}
                lines = old.split(b"\n")  # only newlines end them
                rest = b"\n".join(line for number, line in enumerate(lines, 1) if number not in gone)
                _replace(path, fd, _joined(rest, text))
            elif text:
                _append(fd, text)
    except OSError as error:
        raise KeyFileError(f"{path}: the host's keys cannot be updated: {error.strerror or error}") from None
    return Update(added, removed, kept)


def is_only_for(entry: KnownHost, names: Sequence[str]) -> bool:
    """Whether a line is for these names alone, but for an address that may stand beside one, as ssh writes it."""
    lowered = {ascii_lower(name) for name in names}
    return all(part in lowered or is_address(part) for part in ascii_lower(entry.names).split(",") if part)


def _lines(path: str, names: Sequence[str], keys: Sequence[PublicKey], hashed: bool) -> bytes:
    """The lines that trust each of `keys` for `names`. KeyFileError for a name that cannot be written."""
    lowered = [ascii_lower(name) for name in names]
    for name in lowered:
        if not name or not name.isprintable() or (not hashed and not set(name).isdisjoint(" ,*?!#|@")):
            raise KeyFileError(f"{path}: the name {name} cannot be written to a known_hosts file")
    text = ""
    for key in keys:
        fields = [hash_name(name) for name in lowered] if hashed else [",".join(lowered)]
        text += "".join(f"{field} {key.line()}\n" for field in fields)
    return text.encode("utf-8", "surrogateescape")


def _joined(before: bytes, text: bytes) -> bytes:
    """`text` after `before`, whose last line is ended."""
    return before + (b"\n" if before and text and not before.endswith(b"\n") else b"") + text


@contextmanager
def _locked(path: str) -> Iterator[int]:
    """The file at `path`, made if it is missing, open for reading and appending, and locked against other pysshs.

    The lock is the file's own, so it has to be taken anew when another pyssh has put a new file in its place.
    """
    folder = os.path.dirname(path)
    if os.path.basename(folder) == ".ssh" and not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600)
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):  # /dev/null belongs to everybody
                _wait_for_lock(fd)
                if not _is_at(status, path):
                    continue
            yield fd
            return
        finally:
            os.close(fd)


def _is_at(status: os.stat_result, path: str) -> bool:
    try:
        return os.path.samestat(status, os.stat(path))
    except FileNotFoundError:
        return False


def _wait_for_lock(fd: int) -> None:
    """Return with the lock, or without it after `LOCK_PATIENCE` or where the file system has none."""
    import errno
    import fcntl
    import time

    end = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EINTR} or time.monotonic() > end:
                return
            time.sleep(0.01)
        else:
            return


def _read_all(fd: int, path: str) -> bytes:
    """The content of a regular file; of anything else nothing is known."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return b""
    try:
        return read_all(fd, MAX_FILE_SIZE)
    except EndlessFileError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None


def _append(fd: int, text: bytes) -> None:
    with open(fd, "rb+", buffering=0, closefd=False) as file:
        if file.seekable() and file.seek(0, os.SEEK_END) > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                text = b"\n" + text
        written = file.write(text)
        if written != len(text):
            raise OSError(f"only {written} of {len(text)} bytes were written")


def _replace(path: str, fd: int, content: bytes) -> None:
    """Put a file with `content` where the one open as `fd` is, behind all symbolic links."""
    real = os.path.realpath(path)
    status = os.fstat(fd)
    new = f"{real}.{os.getpid()}.{os.urandom(6).hex()}"
    out = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(out, "wb") as file:
            file.write(content)
            file.flush()
            made = os.fstat(out)
            if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
                os.fchown(out, status.st_uid, status.st_gid)
            os.fchmod(out, stat.S_IMODE(status.st_mode))
            os.fsync(out)
        with suppress(FileNotFoundError):
            os.unlink(f"{real}.old")
        with suppress(OSError):  # some file systems have no hard links
            os.link(real, f"{real}.old")
        os.replace(new, real)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
