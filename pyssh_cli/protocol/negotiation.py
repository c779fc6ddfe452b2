"""SSH_MSG_KEXINIT (RFC 4253 section 7.1): what each side offers, and what follows from both.

Also decided here: strict key exchange (OpenSSH's PROTOCOL 1.10), whether the server takes EXT_INFO (RFC 8308), and
whether a first packet that the server sent on a guess is to be thrown away.
"""

from __future__ import annotations

from os import urandom
from typing import NamedTuple

from pyssh_cli.errors import NegotiationError, ProtocolError
from pyssh_cli.log import printable
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.messages import KEXINIT
from pyssh_cli.wire import Reader, boolean, name_list, uint32

STRICT_CLIENT = "kex-strict-c-v00@openssh.com"
STRICT_SERVER = "kex-strict-s-v00@openssh.com"
EXT_INFO_CLIENT = "ext-info-c"
EXT_INFO_SERVER = "ext-info-s"

MAX_NAMES = 1024
"""More names than this in one list are no honest offer."""


class Proposal(NamedTuple):
    """What one side offers, each list in order of preference.

    `_c2s` is client to server, `_s2c` server to client; languages are left out, as everybody does.
    """

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    cipher_c2s: tuple[str, ...]
    cipher_s2c: tuple[str, ...]
    mac_c2s: tuple[str, ...]
    mac_s2c: tuple[str, ...]
    compression_c2s: tuple[str, ...]
    compression_s2c: tuple[str, ...]
    guess_follows: bool = False

    def encode(self) -> bytes:
        """The payload of SSH_MSG_KEXINIT, with a fresh cookie."""
        lists = (
            self.kex,
            self.host_key,
            self.cipher_c2s,
            self.cipher_s2c,
            self.mac_c2s,
            self.mac_s2c,
            self.compression_c2s,
            self.compression_s2c,
            (),
            (),
        )
        encoded = b"".join(map(name_list, lists))
        return bytes((KEXINIT,)) + urandom(16) + encoded + boolean(self.guess_follows) + uint32(0)

    @classmethod
    def parse(cls, payload: memoryview | bytes) -> Proposal:
        """The other side's offer. Raises ProtocolError."""
        reader = Reader(payload, 1)
        reader.take(16)
        lists = [reader.name_list() for _ in range(10)]
        guess_follows = reader.boolean()
        reader.uint32()
        reader.end()
        if any(len(names) > MAX_NAMES for names in lists):
            raise ProtocolError("KEXINIT offers an absurd number of algorithms")
        kex, host_key, cipher_c2s, cipher_s2c, mac_c2s, mac_s2c, compression_c2s, compression_s2c = lists[:8]
        return cls(
            kex,
            host_key,
            cipher_c2s,
            cipher_s2c,
            mac_c2s,
            mac_s2c,
            compression_c2s,
            compression_s2c,
            guess_follows,
        )


class Agreement(NamedTuple):
    """What both offers come to. A MAC is None where the cipher needs none."""

    kex: str
    host_key: str
    cipher_c2s: str
    cipher_s2c: str
    mac_c2s: str | None
    mac_s2c: str | None
    compression_c2s: str
    compression_s2c: str
    guess_was_wrong: bool
    """The server sent a first key exchange packet on a guess that does not hold: ignore that packet."""


def _choose(what: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """The first of ours that is among theirs (RFC 4253 section 7.1)."""
    for name in ours:
        if name in theirs:
            return name
    offer = printable(",".join(theirs)) or "(none)"
    raise NegotiationError(f"no matching {what} found. Their offer: {offer}", what, theirs)


def _choose_mac(cipher: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> str | None:
    return None if CIPHERS[cipher].aead else _choose("MAC", ours, theirs)


def agree(client: Proposal, server: Proposal) -> Agreement:
    """What RFC 4253 section 7.1 makes of both offers. Raises NegotiationError with their list in its text."""
    marks = {STRICT_CLIENT, EXT_INFO_CLIENT}  # not methods: they only tell the server something
    kex = _choose("key exchange method", tuple(n for n in client.kex if n not in marks), server.kex)
    host_key = _choose("host key type", client.host_key, server.host_key)
    cipher_c2s = _choose("cipher", client.cipher_c2s, server.cipher_c2s)
    cipher_s2c = _choose("cipher", client.cipher_s2c, server.cipher_s2c)
    guess_holds = server.kex[:1] == client.kex[:1] and server.host_key[:1] == client.host_key[:1]
    return Agreement(
        kex,
        host_key,
        cipher_c2s,
        cipher_s2c,
        _choose_mac(cipher_c2s, client.mac_c2s, server.mac_c2s),
        _choose_mac(cipher_s2c, client.mac_s2c, server.mac_s2c),
        _choose("compression method", client.compression_c2s, server.compression_c2s),
        _choose("compression method", client.compression_s2c, server.compression_s2c),
        guess_was_wrong=server.guess_follows and not guess_holds,
    )
