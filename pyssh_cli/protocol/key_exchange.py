"""One key exchange, from two KEXINITs to keys (RFC 4253 sections 7 and 8), on the client's side.

What is agreed on, the exchange hash, and the keys made from it. Not when a key exchange happens, nor its packets,
which are `transport`'s; nor the methods, which are `kex`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyssh_cli.log import DEBUG1, DEBUG2, printable
from pyssh_cli.protocol import negotiation as n
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.kex import KEX, Kex, KexResult
from pyssh_cli.protocol.macs import MACS, Mac
from pyssh_cli.protocol.packet import Opener, Sealer
from pyssh_cli.wire import string

Debug = Callable[[int, str], None]
"""Says something in the debug output: the rank (`log.DEBUG1` and on) and the line."""


class Offer(NamedTuple):
    """What we offer in a key exchange: algorithm names in order of preference."""

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    ciphers: tuple[str, ...]
    macs: tuple[str, ...]
    compression: tuple[str, ...]

    def proposal(self, *, first: bool) -> n.Proposal:
        """As a KEXINIT; the first one also carries the marks for strict key exchange and EXT_INFO."""
        marks = (n.EXT_INFO_CLIENT, n.STRICT_CLIENT) if first else ()
        both = self.ciphers, self.ciphers, self.macs, self.macs, self.compression, self.compression
        return n.Proposal(self.kex + marks, self.host_key, *both)


class KeyExchange:
    """One running key exchange. `exchange_hash` is there once `result` is."""

    def __init__(self, proposal: n.Proposal) -> None:
        self.proposal = proposal
        self.client_kexinit = proposal.encode()
        self.result: KexResult | None = None
        self.exchange_hash = b""
        self._server_kexinit = b""
        self._agreement: n.Agreement | None = None
        self._method: Kex | None = None
        self._prepared: tuple[Callable[[int], Kex], Kex] | None = None
        self._skip = False

    @property
    def agreed(self) -> n.Agreement:
        """What both sides agreed on, once `begin` has been called."""
        assert self._agreement is not None
        return self._agreement

    def prepare(self) -> None:
        """Begin the first method of ours that is slow to begin, in case the server chooses it: to be called while
        its KEXINIT is waited for anyway."""
        for name in self.proposal.kex:
            if name in KEX and KEX[name].slow:
                self._prepared = KEX[name].begin, KEX[name].begin(0)
                return

    def begin(self, server_kexinit: memoryview, server: n.Proposal) -> bytes:
        """The server's KEXINIT is there: agree, and begin the method. Returns the payload of its first message.

        Raises NegotiationError.
        """
        self._server_kexinit = bytes(server_kexinit)
        self._agreement = n.agree(self.proposal, server)
        self._skip = self._agreement.guess_was_wrong
        begin = KEX[self._agreement.kex].begin
        made_by, prepared = self._prepared or (None, None)
        self._method = prepared if prepared and made_by == begin else begin(self._strength())
        self._prepared = None
        return self._method.start()

    def _strength(self) -> int:
        """How many bits the longest key or MAC key has that is to be made, for the methods that ask."""
        agreed = self.agreed
        ciphers = [CIPHERS[name] for name in (agreed.cipher_c2s, agreed.cipher_s2c)]
        macs = [MACS[name].key_size for name in (agreed.mac_c2s, agreed.mac_s2c) if name]
        return 8 * max(*(max(c.key_size, c.iv_size, c.block_size) for c in ciphers), *macs)

    def receive(self, payload: memoryview, client_version: bytes, server_version: bytes) -> bytes | None:
        """Take a message of the method's: a payload to answer with, or None. The last one makes `result`.

        Raises ProtocolError.
        """
        assert self._method is not None
        if self._skip:  # sent on a guess that did not hold (RFC 4253 section 7.1)
            self._skip = False
            return None
        answer = self._method.receive(payload)
        if isinstance(answer, bytes):
            return answer
        from hashlib import new

        h = new(KEX[self.agreed.kex].hash_name)
        for part in (client_version, server_version, self.client_kexinit, self._server_kexinit, answer.host_key):
            h.update(string(part))
        h.update(answer.hashed)
        h.update(answer.shared_secret)
        self.exchange_hash = h.digest()
        self.result = answer
        return None

    def _derive(self, letter: str, size: int, session_id: bytes) -> bytes:
        """Key material of `size` bytes (RFC 4253 section 7.2)."""
        from hashlib import new

        assert self.result is not None
        hash_name = KEX[self.agreed.kex].hash_name
        seed = self.result.shared_secret + self.exchange_hash
        key = new(hash_name, seed + letter.encode("ascii") + session_id).digest()
        while len(key) < size:
            key += new(hash_name, seed + key).digest()
        return key[:size]

    def _mac(self, name: str | None, letter: str, session_id: bytes) -> Mac | None:
        return MACS[name].make(self._derive(letter, MACS[name].key_size, session_id)) if name else None

    def sealer(self, session_id: bytes) -> Sealer:
        """What seals our packets under the new keys."""
        cipher = CIPHERS[self.agreed.cipher_c2s]
        key, iv = self._derive("C", cipher.key_size, session_id), self._derive("A", cipher.iv_size, session_id)
        return cipher.sealer(key, iv, self._mac(self.agreed.mac_c2s, "E", session_id))

    def opener(self, session_id: bytes) -> Opener:
        """What opens the server's packets under the new keys."""
        cipher = CIPHERS[self.agreed.cipher_s2c]
        key, iv = self._derive("D", cipher.key_size, session_id), self._derive("B", cipher.iv_size, session_id)
        return cipher.opener(key, iv, self._mac(self.agreed.mac_s2c, "F", session_id))

    def byte_limit(self) -> int:
        """How many bytes may pass under these keys in one direction (RFC 4344 section 3.2): 2^(L/4) blocks of L
        bits, and 1 GiB where blocks are small."""
        block = min(CIPHERS[name].block_size for name in (self.agreed.cipher_c2s, self.agreed.cipher_s2c))
        return (1 << (2 * block)) * block if block >= 16 else 1 << 30


def tell_proposals(ours: n.Proposal, theirs: n.Proposal, debug: Debug) -> None:
    """Both offers, for -vv."""
    for who, proposal in (("local client", ours), ("peer server", theirs)):
        debug(DEBUG2, f"{who} KEXINIT proposal")
        for what, names in (
            ("KEX algorithms", proposal.kex),
            ("host key algorithms", proposal.host_key),
            ("ciphers ctos", proposal.cipher_c2s),
            ("ciphers stoc", proposal.cipher_s2c),
            ("MACs ctos", proposal.mac_c2s),
            ("MACs stoc", proposal.mac_s2c),
            ("compression ctos", proposal.compression_c2s),
            ("compression stoc", proposal.compression_s2c),
        ):
            debug(DEBUG2, f"{what}: {printable(','.join(names))}")


def tell_agreement(agreement: n.Agreement, debug: Debug) -> None:
    """What both offers came to, for -v."""
    debug(DEBUG1, f"kex: algorithm: {agreement.kex}")
    debug(DEBUG1, f"kex: host key algorithm: {agreement.host_key}")
    for way, cipher, mac, compression in (
        ("server->client", agreement.cipher_s2c, agreement.mac_s2c, agreement.compression_s2c),
        ("client->server", agreement.cipher_c2s, agreement.mac_c2s, agreement.compression_c2s),
    ):
        debug(DEBUG1, f"kex: {way} cipher: {cipher} MAC: {mac or '<implicit>'} compression: {compression}")
