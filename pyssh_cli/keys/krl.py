"""Files of revoked keys: OpenSSH's key revocation lists, and plain lists of public keys (RevokedHostKeys in
ssh_config(5); ssh-keygen(1), KEY REVOCATION LISTS; OpenSSH's PROTOCOL.krl).

Only what the file says of a key. That a file which cannot be read revokes everything is the caller's to heed.
"""

from __future__ import annotations

from typing import NamedTuple

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import KEY_TYPES
from pyssh_cli.keys.certificates import Certificate
from pyssh_cli.keys.public import PublicKey, parse_public_line
from pyssh_cli.keys.reading import read_file
from pyssh_cli.wire import Reader

MAX_FILE_SIZE = 64 << 20
"""Bytes. A longer file is none that a person or a fleet keeps."""

_MAGIC = b"SSHKRL\n\0"
_FORMAT_VERSION = 1

_CERTIFICATES = 1
_EXPLICIT_KEY = 2
_FINGERPRINT_SHA1 = 3
_SIGNATURE = 4
_FINGERPRINT_SHA256 = 5
_EXTENSION = 255

_SERIAL_LIST = 0x20
_SERIAL_RANGE = 0x21
_SERIAL_BITMAP = 0x22
_KEY_ID = 0x23
_CERTIFICATE_EXTENSION = 0x39

MAX_BITMAP_SIZE = 1 << 21
"""Bytes of one bitmap of serial numbers; OpenSSH's bound is 16 million bits, this."""


class _Revoked:
    """What one authority took back: serial numbers and key identities.

    `ranges` are first and last serial numbers, `bitmaps` the serial number of an integer's lowest bit and the
    integer.
    """

    __slots__ = ("bitmaps", "key_ids", "ranges", "serials")

    def __init__(self) -> None:
        self.serials: set[int] = set()
        self.ranges: list[tuple[int, int]] = []
        self.bitmaps: list[tuple[int, int]] = []
        self.key_ids: set[str] = set()

    def holds(self, certificate: Certificate) -> bool:
        """Whether the certificate is taken back, by its key identity or its serial number. 0 stands for no number,
        and no list holds it (`_serial`, `_bitmap`)."""
        serial = certificate.serial
        if certificate.key_id in self.key_ids or serial in self.serials:
            return True
        if any(first <= serial <= last for first, last in self.ranges):
            return True
        for start, bits in self.bitmaps:
            if 0 <= serial - start < bits.bit_length() and bits >> (serial - start) & 1:
                return True
        return False


class RevocationList(NamedTuple):
    """A file of revoked keys. Made by `parse`.

    `version`, `generated` (seconds since 1970) and `comment` are what the list says of itself, 0 and empty for a
    plain one. `keys` are blobs of plain keys, `sha1` and `sha256` digests of such blobs. `authorities` has what
    each authority took back by the blob of its key; under the empty one is what holds for all.
    """

    version: int
    generated: int
    comment: str
    keys: set[bytes]
    sha1: set[bytes]
    sha256: set[bytes]
    authorities: dict[bytes, _Revoked]

    @classmethod
    def parse(cls, data: bytes) -> RevocationList:
        """Read a file's content, of either kind. Raises KeyFileError for one that is malformed or says something
        critical that we do not understand: then nobody knows which keys it means."""
        if not data.startswith(_MAGIC):
            return cls(0, 0, "", _plain_list(data), set(), set(), {})
        try:
            return _parse(data)
        except ProtocolError as error:
            raise KeyFileError(f"key revocation list is malformed: {error}") from None

    @classmethod
    def load(cls, path: str) -> RevocationList:
        """Read the file. Raises KeyFileError, also where it cannot be read."""
        try:
            return cls.parse(read_file(path, MAX_FILE_SIZE))
        except OSError as error:
            raise KeyFileError(f"{path}: {error.strerror or error}") from None
        except KeyFileError as error:
            raise KeyFileError(f"{path}: {error}") from None

    def is_revoked(self, key: PublicKey) -> bool:
        """Whether the key is revoked; of a certificate whether it, its key, or its authority's key is."""
        if not key.is_certificate:
            return self._has(key)
        certificate = key.certificate()
        if self._has(certificate.key) or self._has(certificate.ca):
            return True
        scopes = (self.authorities.get(certificate.ca.blob), self.authorities.get(b""))
        return any(scope.holds(certificate) for scope in scopes if scope is not None)

    def _has(self, key: PublicKey) -> bool:
        if key.blob in self.keys:
            return True
        if not self.sha1 and not self.sha256:
            return False
        import hashlib

        # SHA-1 finds a key that the list's maker had; nothing rests on its strength.
        return (
            hashlib.sha1(key.blob, usedforsecurity=False).digest() in self.sha1
            or hashlib.sha256(key.blob).digest() in self.sha256
        )


def _plain_list(data: bytes) -> set[bytes]:
    """One public key a line, comments apart; a line that is none makes the whole file unusable, as for ssh."""
    keys: set[bytes] = set()
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.decode("utf-8", "surrogateescape").lstrip(" \t")
        if not text or text.startswith("#"):
            continue
        try:
            keys.add(parse_public_line(text)[0].plain.blob)
        except KeyFileError as error:
            raise KeyFileError(f"line {number}: {error}") from None
    return keys


def _parse(data: bytes) -> RevocationList:
    reader = Reader(data, len(_MAGIC))
    if (found := reader.uint32()) != _FORMAT_VERSION:
        raise ProtocolError(f"format version {found} is not known")
    version, generated = reader.uint64(), reader.uint64()
    reader.uint64()  # flags: none are defined
    reader.view()  # reserved
    comment = reader.text()
    revoked = RevocationList(version, generated, comment, set(), set(), set(), {})
    while reader.remaining():
        kind, section = reader.byte(), Reader(reader.view())
        if kind == _CERTIFICATES:
            _read_certificates(section, revoked.authorities)
        elif kind == _EXPLICIT_KEY:
            _read_blobs(section, revoked.keys, 0)
        elif kind == _FINGERPRINT_SHA1:
            _read_blobs(section, revoked.sha1, 20)
        elif kind == _FINGERPRINT_SHA256:
            _read_blobs(section, revoked.sha256, 32)
        elif kind == _EXTENSION:
            _read_extension(section)
        elif kind == _SIGNATURE:
            reader.view()  # the section was the signer's key; OpenSSH has given signatures up and skips them
        else:
            raise ProtocolError(f"section of kind {kind} is not known")
    return revoked


def _read_blobs(section: Reader, into: set[bytes], size: int) -> None:
    """Strings to the end, of `size` bytes each unless that is 0."""
    while section.remaining():
        blob = section.string()
        if size and len(blob) != size:
            raise ProtocolError(f"fingerprint is {len(blob)} bytes long, not {size}")
        into.add(blob)


def _read_extension(section: Reader) -> None:
    """None is known, so one that says it is critical cannot be heeded."""
    name, critical = section.text(), section.boolean()
    section.view()
    section.end()
    if critical:
        raise ProtocolError(f'critical extension "{name}" is not known')


def _read_certificates(section: Reader, authorities: dict[bytes, _Revoked]) -> None:
    authority = section.string()
    section.view()  # reserved
    if authority and PublicKey.parse(authority).type not in KEY_TYPES:
        raise ProtocolError("an authority's key is of a type that cannot sign certificates")
    scope = authorities.setdefault(authority, _Revoked())
    while section.remaining():
        kind, part = section.byte(), Reader(section.view())
        if kind == _SERIAL_LIST:
            while part.remaining():
                scope.serials.add(_serial(part))
        elif kind == _SERIAL_RANGE:
            first, last = _serial(part), part.uint64()
            if last < first:
                raise ProtocolError("range of serial numbers ends before it begins")
            scope.ranges.append((first, last))
        elif kind == _SERIAL_BITMAP:
            scope.bitmaps.append(_bitmap(part))
        elif kind == _KEY_ID:
            while part.remaining():
                scope.key_ids.add(part.text())
        elif kind == _CERTIFICATE_EXTENSION:
            _read_extension(part)
        else:
            raise ProtocolError(f"certificate section of kind {kind} is not known")
        part.end()


def _serial(part: Reader) -> int:
    """A serial number. ProtocolError for 0, which is no number."""
    serial = part.uint64()
    if serial == 0:
        raise ProtocolError("serial number 0 cannot be revoked")
    return serial


def _bitmap(part: Reader) -> tuple[int, int]:
    """A serial number to count from, and an mpint whose bits, the lowest first, are the numbers from there."""
    start = part.uint64()
    if part.remaining() > 4 + 1 + MAX_BITMAP_SIZE:
        raise ProtocolError(f"bitmap of serial numbers is larger than {MAX_BITMAP_SIZE} bytes")
    bits = part.mpint()
    if start + bits.bit_length() > 1 << 64:
        raise ProtocolError("bitmap of serial numbers goes beyond 64 bits")
    if start == 0 and bits & 1:
        raise ProtocolError("serial number 0 cannot be revoked")
    return start, bits
