"""The one family of exceptions. `cli/` turns each into one line on stderr and an exit code.

The message of each says what happened, where, and what to do about it, in words for the person who typed the
command. It may hold text that a server sent: whoever prints it cleans it (`log.printable`).
"""

from __future__ import annotations


class PysshError(Exception):
    """Anything that ends pyssh with a line for the person; `exit_status` is ssh's 255 unless said."""

    exit_status = 255


class ConfigError(PysshError):
    """A configuration file or an option that cannot be read; the message names the file and line."""


class NetworkError(PysshError):
    """The peer cannot be found, reached, or is gone."""


class ProtocolError(PysshError):
    """The peer said something that SSH-2 does not allow at this point.

    `reason` is the code of RFC 4253 section 11.1 to send with SSH_MSG_DISCONNECT.
    """

    def __init__(self, message: str, reason: int = 2) -> None:
        super().__init__(message)
        self.reason = reason


class WireError(ProtocolError):
    """Bytes that are not the RFC 4251 data type expected there."""


class NegotiationError(ProtocolError):
    """No algorithm in common: `what` is the kind that is missing, `theirs` the server's offer."""

    def __init__(self, message: str, what: str = "", theirs: tuple[str, ...] = ()) -> None:
        super().__init__(message, reason=3)
        self.what = what
        self.theirs = theirs


class PeerDisconnected(NetworkError):
    """The peer sent SSH_MSG_DISCONNECT; `reason` is its code (RFC 4253 section 11.1)."""

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason


class KeyFileError(PysshError):
    """A key file that is missing, broken, of an unknown kind, or not to be opened with this passphrase."""


class PassphraseNeeded(KeyFileError):
    """The private key is encrypted and no passphrase was given."""


class WrongPassphrase(KeyFileError):
    """The private key does not open with the passphrase given."""


class AgentError(PysshError):
    """The agent cannot be reached, refused, or answered nonsense."""


class NoAgent(AgentError):
    """Nobody listens where the agent should be."""


class HostKeyError(PysshError):
    """The host's key is not to be trusted: unknown, changed, revoked, or its signature is wrong."""


class AuthenticationError(PysshError):
    """The server let none of our attempts through."""


class OutputError(PysshError):
    """Our own stdout or stderr cannot be written to."""
