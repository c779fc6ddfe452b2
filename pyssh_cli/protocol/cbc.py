"""Block ciphers in CBC mode (RFC 4253 section 6.3): old, weak beside the others, and used only when asked for.

One chain of blocks runs through all packets of a direction. With a MAC over the plain packet, a length has to be
decrypted and believed before anything is authentic; `CbcAndMacOpener` keeps attackers from learning by it.
"""

from __future__ import annotations

from typing import Any

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.macs import MAC_FAILED, Mac
from pyssh_cli.protocol.messages import DISCONNECT_MAC_ERROR
from pyssh_cli.protocol.packet import MAX_PACKET_LENGTH, check_length, payload_of


class BlockChain:
    """One direction of a cipher in CBC mode; takes whole blocks."""

    def __init__(self, context: Any) -> None:
        self._update = context.update

    def update_into(self, data: memoryview, into: memoryview) -> None:
        """Turn `data` and put the result where `into` is, which may be the same place.

        The method of this name in `cryptography` wants room for another block behind, which a packet has not.
        """
        into[:] = self._update(data)


def encryptor(key: bytes, iv: bytes) -> BlockChain:
    """A chain of AES, or of triple DES where the IV, a block, is 8 bytes long."""
    return BlockChain(_cipher(key, iv).encryptor())


def decryptor(key: bytes, iv: bytes) -> BlockChain:
    """The counterpart of `encryptor`."""
    return BlockChain(_cipher(key, iv).decryptor())


def _cipher(key: bytes, iv: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    if len(iv) == 8:
        from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

        return Cipher(TripleDES(key), CBC(iv))
    from cryptography.hazmat.primitives.ciphers.algorithms import AES

    return Cipher(AES(key), CBC(iv))


class CbcAndMacOpener:
    """Opens packets under a cipher in CBC mode and a MAC over the plain packet.

    An attacker can put a block from elsewhere where a packet begins. When we would hang up then, after how many
    bytes and with which words, depends on the length that the block decrypts to, and would tell some of its bits.
    So every packet that is not authentic is refused at the same place, after as many bytes as the longest packet
    has, and in the same words, whether its length could not be or its MAC was wrong.
    """

    def __init__(self, chain: BlockChain, block: int, mac: Mac) -> None:
        self._chain = chain
        self._block = block
        self._mac = mac
        self._longest = 4 + MAX_PACKET_LENGTH + mac.size
        self._size = 0  # of the packet whose first block has been decrypted already
        self._authentic = False  # and whose rest has been as well, and its MAC is right
        self._refused = False  # or which is waited for to its end only to be refused

    def packet_size(self, buffer: memoryview, start: int, end: int, sequence: int) -> int:
        """The size of the packet at `start`, or 0; of one that is not authentic, the longest size there is."""
        if not self._size:
            if end - start < self._block:
                return 0
            first = buffer[start : start + self._block]
            self._chain.update_into(first, first)
            packet_length = int.from_bytes(first[:4], "big")
            try:
                self._size = 4 + check_length(packet_length, packet_length + 4, self._block) + self._mac.size
            except ProtocolError:
                self._refuse()
        if not self._authentic and not self._refused and self._size <= end - start:
            self._decrypt(buffer, start, sequence)
        return self._size

    def _decrypt(self, buffer: memoryview, start: int, sequence: int) -> None:
        """All of the packet is there."""
        end = start + self._size - self._mac.size
        secret = buffer[start + self._block : end]
        self._chain.update_into(secret, secret)
        try:
            self._mac.check(sequence, buffer[start:end], buffer[end : end + self._mac.size])
        except ProtocolError:
            self._refuse()
        else:
            self._authentic = True

    def _refuse(self) -> None:
        self._refused = True
        self._size = self._longest

    def open(self, buffer: memoryview, start: int, size: int, sequence: int) -> memoryview:
        """The payload of the packet that `packet_size` has found whole."""
        if not self._authentic:
            self._mac.tag(sequence, buffer[start : start + size])  # about as long as a whole packet would take
            raise ProtocolError(MAC_FAILED, DISCONNECT_MAC_ERROR)
        self._authentic = False
        self._size = 0
        return payload_of(buffer, start, size - 4 - self._mac.size)
