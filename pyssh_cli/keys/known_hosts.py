"""known_hosts files: which key belongs to which host, as ssh judges it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

It judges a key by the files; what to do about the verdict, and the words for it, are `client/`'s. The files
themselves, and writing to them, are in `known_hosts_file`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pyssh_cli.keys.algorithms import CERTIFICATE_TYPES, KEY_TYPES, key_type_of, plain_type
from pyssh_cli.keys.host_patterns import ascii_lower, known_hosts_name
from pyssh_cli.keys.known_hosts_file import (
    HASHED_NAME,
    MAX_FILE_SIZE,
    HostFile,
    KnownHost,
    Update,
    add,
    is_only_for,
    update,
)
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.keys.reading import read_regular_file

__all__ = [
    "HASHED_NAME",
    "MAX_FILE_SIZE",
    "HostFile",
    "KnownHost",
    "KnownHosts",
    "Update",
    "Verdict",
    "add",
    "is_only_for",
    "known_hosts_name",
    "update",
]


class Verdict(NamedTuple):
    """What the files say of the key of the host called `name`.

    - "match": `entry` is the line that holds this key for this host, or the @cert-authority line with the key that
      this certificate is signed by: then it is left to see whether the certificate holds.
    - "changed": the host is known with other keys only, of whatever type; `entry` is the last such line, the
      one ssh calls offending. Never for a certificate.
    - "revoked": a @revoked line, `entry`, holds this key for this host, whatever other lines say; of a certificate
      its key, or its authority's.
    - "new": nothing is known, or no authority of a certificate's; `entry` is None.
    """

    status: Literal["match", "changed", "new", "revoked"]
    name: str
    entry: KnownHost | None = None


class KnownHosts:
    """The known_hosts files of one connection, in the order they are given; read when first asked.

    Files that are missing or unreadable, and lines that are malformed, count as absent, as for ssh; `notes` says
    which they were, a line each for the debug log.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files = tuple(files)
        self._unread: list[str] = []
        self._read: list[HostFile] | None = None
        self._found: dict[str, tuple[KnownHost, ...]] = {}

    @property
    def notes(self) -> list[str]:
        """A line for each file that cannot be read, and each line looked at that cannot."""
        bad = [
            f"{f.path}:{n}: parse error in hostkeys file" for f in self._read or () for n in sorted(f.bad_lines)
        ]
        return self._unread + bad

    def judge(self, host_name: str, key: PublicKey, more: HostFile | None = None) -> Verdict:
        """Judge a key or a certificate for the host called `host_name` (as `known_hosts_name` makes it).

        `more` is read after the files, as if it were one of them. Raises KeyFileError for a file with no end in
        sight, ProtocolError for a certificate that is malformed.
        """
        name = ascii_lower(host_name)
        if more is None and not key.is_certificate and (known := self._known_at_once(name, key)):
            return Verdict("match", name, known)
        certificate = key.certificate() if key.is_certificate else None
        trusted = certificate.ca if certificate else key
        refused = {key.blob} if certificate is None else {certificate.key.blob, certificate.ca.blob}
        marker = "@cert-authority" if certificate else ""
        match = changed = None
        for entry in self.entries(name, more):
            if entry.marker == "@revoked" and entry.key.plain.blob in refused:
                return Verdict("revoked", name, entry)
            if entry.marker != marker:
                continue
            if entry.key.blob == trusted.blob:
                match = match or entry
            elif not marker and plain_type(entry.key.type) in KEY_TYPES:
                changed = entry
        if match:
            return Verdict("match", name, match)
        return Verdict("changed" if changed else "new", name, changed)

    def _known_at_once(self, name: str, key: PublicKey) -> KnownHost | None:
        """The line that trusts `key` for `name`, where that can be told without going through thousands of hashes:
        in large hashed files it is sooner found by the key."""
        if name in self._found or not self._has_hashes():
            return None
        if any(b"@revoked" in file.data for file in self._all()):
            return None
        encoded = name.encode("utf-8", "surrogateescape")
        return next((known for file in self._all() if (known := file.is_known(encoded, key))), None)

    def prefer_known(
        self, algorithms: Sequence[str], host_names: Sequence[str], more: HostFile | None = None
    ) -> tuple[str, ...]:
        """`algorithms`, those whose keys are known for the host moved to the front, so that a server with several
        keys shows one we can check (HostKeyAlgorithms in ssh_config(5)). The first of `host_names` of which
        anything is known is the one that counts.

        With an authority that speaks for the host all certificates come to the front too. The order stays as it
        is when the first algorithm's key, or that of its certificate, is known already.
        """
        if not algorithms:
            return ()
        types = {name: plain_type(key_type_of(name) or "") for name in algorithms}
        first = types[algorithms[0]]
        if self._can_know_only(first, host_names, more):
            return tuple(algorithms)
        entries: tuple[KnownHost, ...] = ()
        for host_name in host_names:
            if self._has_type(host_name, first, more):
                return tuple(algorithms)
            entries = self.entries(host_name, more)
            if entries:
                break
        known = {entry.key.type for entry in entries if not entry.marker}
        authority = any(entry.marker == "@cert-authority" for entry in entries)
        ours = tuple(
            name
            for name in algorithms
            if types[name] in known or (authority and key_type_of(name) in CERTIFICATE_TYPES)
        )
        return ours + tuple(name for name in algorithms if name not in ours)

    def _has_type(self, host_name: str, key_type: str, more: HostFile | None) -> bool:
        """Whether a key of `key_type` is trusted for the host."""
        name = ascii_lower(host_name)
        if name in self._found or not self._has_hashes():
            return any(e.key.type == key_type and not e.marker for e in self.entries(name, more))
        encoded = name.encode("utf-8", "surrogateescape")  # most of the hashes need not be looked at
        files = (*self._all(), more) if more else self._all()
        return any(e.key.type == key_type and not e.marker for f in files for e in f.entries(encoded, key_type))

    def _can_know_only(self, key_type: str, host_names: Sequence[str], more: HostFile | None) -> bool:
        """Whether, without looking at any hash, no key of another type can be known for the host."""
        if more or not self._has_hashes() or any(f.has_hashes_of_others(key_type) for f in self._all()):
            return False
        names = [ascii_lower(name).encode("utf-8", "surrogateescape") for name in host_names]
        return not any(file.entries(name, None) for file in self._all() for name in names)

    def _has_hashes(self) -> bool:
        """Whether looking for a name may take a while."""
        return any(file.has_hashes for file in self._all())

    def entries(self, host_name: str, more: HostFile | None = None) -> tuple[KnownHost, ...]:
        """All lines, @cert-authority and @revoked ones too, whose names match `host_name`."""
        name = ascii_lower(host_name)
        encoded = name.encode("utf-8", "surrogateescape")
        if name not in self._found:  # asked for the order of algorithms first, for the verdict later
            self._found[name] = tuple(entry for file in self._all() for entry in file.entries(encoded))
        return (*self._found[name], *more.entries(encoded)) if more else self._found[name]

    def entries_of(self, key: PublicKey) -> tuple[KnownHost, ...]:
        """All lines that hold `key`, or the key of a certificate, under any name."""
        return tuple(entry for file in self._all() for entry in file.entries_of(key.plain))

    def _all(self) -> list[HostFile]:
        if self._read is None:
            found: list[HostFile] = []
            for path in self.files:
                try:
                    found.append(HostFile.read(path))
                except OSError as error:
                    self._unread.append(f"hostkeys file {path} not read: {error.strerror or error}")
            self._read = found  # all of them, or a KeyFileError
        return self._read

    def read_again(self, path: str) -> None:
        """One of the files was written to. It counts as it is now, the others as they were read: what came through
        a pipe does not come again."""
        try:
            written = HostFile(path, read_regular_file(path, MAX_FILE_SIZE))
        except OSError:
            return
        others = {file.path: file for file in self._all()}
        self._read = [file for name in self.files if (file := written if name == path else others.get(name))]
        self._found.clear()
