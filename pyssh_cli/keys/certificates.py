"""OpenSSH's certificates of keys: what they say, and whether they hold (OpenSSH's PROTOCOL.certkeys and
draft-miller-ssh-cert).

Not which authorities are trusted for which host: `known_hosts` knows that, and `client/` puts both together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import CERTIFICATE_TYPES, KEY_ALGORITHMS, KEY_TYPES
from pyssh_cli.keys.host_patterns import wildcard_match
from pyssh_cli.keys.public import PublicKey, parse_public_file, read_fields, read_type
from pyssh_cli.wire import Reader, string

MAX_SIZE = 256 * 1024
"""Bytes of a certificate: as much as a packet holds."""

MAX_PRINCIPALS = 256
MAX_OPTIONS = 256
"""OpenSSH's bound on principals, and ours on options of a kind: a certificate with more is malformed."""

FOREVER = (1 << 64) - 1
"""`valid_before` of a certificate that never expires."""

_KINDS: dict[int, Literal["user", "host"]] = {1: "user", 2: "host"}

_LAST_SHOWN = 253402214400
"""30 December 9999 in seconds: what a calendar can show in every time zone."""


class Certificate(NamedTuple):
    """What a certificate says; made by `parse`, and true only if `refusal` finds nothing.

    `key` is the plain key that it is about and `ca` the one that signed it, `signature` the whole signature over
    `signed`. `valid_after` and `valid_before` are seconds since 1970, the latter no longer within. Names and
    identities are not cleaned for a terminal. `critical_options` and `extensions` are pairs of name and data.
    """

    key: PublicKey
    kind: Literal["user", "host"]
    serial: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: tuple[tuple[str, bytes], ...]
    extensions: tuple[tuple[str, bytes], ...]
    ca: PublicKey
    signed: bytes
    signature: bytes

    def __repr__(self) -> str:
        return f"Certificate({self.kind}, {self.key_id!r}, {self.key.type} by {self.ca.type})"

    @classmethod
    def parse(cls, blob: bytes) -> Certificate:
        """Read a certificate's blob, to its end. Raises ProtocolError for a plain key's, for a malformed one, and
        where the authority's key is itself a certificate or of a type we do not have."""
        if len(blob) > MAX_SIZE:
            raise ProtocolError(f"certificate is larger than {MAX_SIZE} bytes")
        reader = Reader(blob)
        plain_name = CERTIFICATE_TYPES.get(read_type(reader))
        if plain_name is None:
            raise ProtocolError("the key is not a certificate")
        reader.view()  # the nonce
        start = len(blob) - reader.remaining()
        bits = read_fields(reader, KEY_TYPES[plain_name])
        fields = bytes(blob[start : len(blob) - reader.remaining()])
        key = PublicKey(plain_name, string(plain_name.encode("ascii")) + fields, bits)
        serial, kind = reader.uint64(), _KINDS.get(reader.uint32())
        if kind is None:
            raise ProtocolError("certificate is neither of a user nor of a host")
        key_id = _name(reader)
        principals = _principals(reader.string())
        valid_after, valid_before = reader.uint64(), reader.uint64()
        critical_options, extensions = _options(reader.string()), _options(reader.string())
        reader.view()  # reserved
        ca_blob = reader.string()
        if read_type(Reader(ca_blob)) not in KEY_TYPES:
            raise ProtocolError("certificate is signed by a key of a type that cannot sign certificates")
        signed = bytes(blob[: len(blob) - reader.remaining()])
        signature = reader.string()
        reader.end()
        return cls(
            key,
            kind,
            serial,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            PublicKey.parse(ca_blob),
            signed,
            signature,
        )

    @property
    def signature_algorithm(self) -> str:
        """The algorithm of the authority's signature, by its own word; empty where that cannot be read."""
        try:
            name = Reader(self.signature).text()
        except ProtocolError:
            return ""
        row = KEY_ALGORITHMS.get(name)
        return name if row is not None and row.key_type == self.ca.type else ""

    def is_signed(self) -> bool:
        """Whether the authority's signature holds."""
        return self.ca.verify(self.signature_algorithm, self.signed, self.signature)

    def refusal(
        self, kind: Literal["user", "host"], name: str | None, now: float, algorithms: Iterable[str]
    ) -> str | None:
        """Why the certificate is not to be taken, in ssh's words; None if it is to be.

        `name` is whom it has to be for: of a host's principals one has to match it as a pattern, of a user's one
        has to be it; None asks for anybody. `now` is in seconds since 1970; `algorithms` are those that an
        authority may sign by (CASignatureAlgorithms). No principals at all are for nobody, as since OpenSSH 10.3.
        A host's certificate may have no critical options, since there are none that we could heed; those of a
        user's are the server's to judge.
        """
        if not self.is_signed():  # first, so that nothing else is worth an attacker's while
            return "Certificate invalid: the signature is not its authority's"
        if self.kind != kind:
            return f"Certificate invalid: not a {kind} certificate"
        if now < self.valid_after:
            return "Certificate invalid: not yet valid"
        if now >= self.valid_before:
            return "Certificate invalid: expired"
        if not self.principals:
            return "Certificate lacks principal list"
        if name is not None and not self._is_for(name):
            return "Certificate invalid: name is not a listed principal"
        if kind == "host" and self.critical_options:
            return "Certificate contains unsupported critical options"
        if self.signature_algorithm not in set(algorithms):
            return "Certificate signed with disallowed algorithm"
        return None

    def _is_for(self, name: str) -> bool:
        if self.kind == "user":
            return name in self.principals
        wanted = _encoded(name)
        return any(wildcard_match(_encoded(principal), wanted) for principal in self.principals)

    def validity(self) -> str:
        """When it is valid, in local time and as ssh-keygen -L says it: "forever", "from ... to ..."."""
        if self.valid_after == 0 and self.valid_before == FOREVER:
            return "forever"
        if self.valid_after == 0:
            return f"before {_local_time(self.valid_before)}"
        if self.valid_before == FOREVER:
            return f"after {_local_time(self.valid_after)}"
        return f"from {_local_time(self.valid_after)} to {_local_time(self.valid_before)}"

    def describe(self, fingerprint_hash: str = "sha256") -> str:
        """What ssh -v tells of a host's certificate, after its type. Not cleaned for a terminal."""
        return (
            f'{self.key.fingerprint(fingerprint_hash)}, serial {self.serial} ID "{self.key_id}"'
            f" CA {self.ca.type} {self.ca.fingerprint(fingerprint_hash)} valid {self.validity()}"
        )


def certificate_path(key_path: str) -> str:
    """Where the certificate of a private key file lies: beside it (ssh(1), -i)."""
    return f"{key_path}-cert.pub"


def parse_certificate_file(data: bytes) -> tuple[PublicKey, str]:
    """The certificate in a file's content, and its comment. Raises KeyFileError, for a plain key too."""
    key, comment = parse_public_file(data)
    if not key.is_certificate:
        raise KeyFileError(f"not a certificate but a key of type {key.type}")
    return key, comment


def _principals(data: bytes) -> tuple[str, ...]:
    reader = Reader(data)
    names: list[str] = []
    while reader.remaining():
        if len(names) == MAX_PRINCIPALS:
            raise ProtocolError(f"certificate has more than {MAX_PRINCIPALS} principals")
        names.append(_name(reader))
    return tuple(names)


def _options(data: bytes) -> tuple[tuple[str, bytes], ...]:
    reader = Reader(data)
    options: list[tuple[str, bytes]] = []
    while reader.remaining():
        if len(options) == MAX_OPTIONS:
            raise ProtocolError(f"certificate has more than {MAX_OPTIONS} options")
        options.append((_name(reader), reader.string()))
    return tuple(options)


def _name(reader: Reader) -> str:
    """A string that may hold no NUL, as a name in C cannot."""
    name = reader.text()
    if "\0" in name:
        raise ProtocolError("a name in the certificate holds a NUL")
    return name


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _local_time(seconds: int) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(min(seconds, _LAST_SHOWN)))
