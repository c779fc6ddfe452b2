"""Compression of payloads: none, and zlib@openssh.com, which starts once the user is authenticated.

zlib keeps one stream a direction from one key exchange to the next (RFC 4253 section 6.2).
"""

from __future__ import annotations

from typing import Any

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol.messages import DISCONNECT_COMPRESSION_ERROR
from pyssh_cli.protocol.packet import MAX_PACKET_LENGTH
from pyssh_cli.wire import Buffer

COMPRESSIONS: dict[str, bool] = {"none": False, "zlib@openssh.com": True}
"""Every compression method: whether it compresses."""


class Compressor:
    """Deflates payloads, each flushed so that the peer can read it at once."""

    __slots__ = ("_flush", "_stream")

    def __init__(self) -> None:
        import zlib

        self._stream: Any = zlib.compressobj()
        self._flush = zlib.Z_PARTIAL_FLUSH

    def compress(self, payload: Buffer) -> bytes:
        """The compressed payload."""
        compressed: bytes = self._stream.compress(payload)
        return compressed + bytes(self._stream.flush(self._flush))


class Decompressor:
    """Inflates payloads, none of them to more than a packet may hold."""

    __slots__ = ("_error", "_stream")

    def __init__(self) -> None:
        import zlib

        self._stream: Any = zlib.decompressobj()
        self._error = zlib.error

    def decompress(self, payload: Buffer) -> memoryview:
        """The payload as it was. Raises ProtocolError for what is not zlib's, and for a bomb."""
        try:
            plain = self._stream.decompress(payload, MAX_PACKET_LENGTH)
        except self._error as error:
            raise ProtocolError(f"Bad compressed packet: {error}", DISCONNECT_COMPRESSION_ERROR) from None
        # What fills the limit may have more behind it inside zlib; a stream that ends leaves no way to go on.
        if not plain or len(plain) >= MAX_PACKET_LENGTH or self._stream.eof:
            raise ProtocolError(
                "Compressed packet too large, empty, or the last of its stream", DISCONNECT_COMPRESSION_ERROR
            )
        return memoryview(plain)
