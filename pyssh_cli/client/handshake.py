"""From the first segment to the user being let in: whether the host is the right one, what proves the user, and
what to say of a server with which it does not come that far."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.link import Carrier
from pyssh_cli.client.trust import HostTrust
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError, ProtocolError
from pyssh_cli.log import Log
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.kex import KEX
from pyssh_cli.protocol.transport import HostKeyOffered, State, Transport
from pyssh_cli.protocol.version import is_openssh
from pyssh_cli.terminal.questions import Questions

if TYPE_CHECKING:
    from typing import TypeVar

    from pyssh_cli.client.authenticate import Authenticator

    Kind = TypeVar("Kind", bound=Authenticator)


class Handshake:
    """The handshake on `transport`, with the host that `trust` judges. `carrier` is what carries it."""

    def __init__(
        self,
        options: Options,
        log: Log,
        questions: Questions,
        transport: Transport,
        trust: HostTrust,
        carrier: Carrier,
    ) -> None:
        self._options = options
        self._log = log
        self._questions = questions
        self._transport = transport
        self._trust = trust
        self._carrier = carrier
        self._peer = carrier.peer
        self._socket = carrier.socket
        self._began = monotonic()
        self._authenticator: Authenticator | None = None
        self.keys_judged = False
        """Whether the first key exchange has come so far that ConnectTimeout is met."""

    @property
    def in_version(self) -> bool:
        """Whether the server has not even said its version."""
        return self._transport.state is State.VERSION

    def judge(self, offered: HostKeyOffered) -> None:
        """The host has shown its key. Raises HostKeyError where it is not to be trusted."""
        self._trust.judge(offered)
        self._transport.accept_host_key()
        if not self.keys_judged:
            self._warn_of_weak_crypto()
        self.keys_judged = True

    def _warn_of_weak_crypto(self) -> None:
        """WarnWeakCrypto: of a key exchange that a quantum computer could undo, once a connection."""
        agreed = self._transport.agreement_we_send_by
        if self._options.warn_weak_crypto == "yes" and agreed and not KEX[agreed.kex].post_quantum:
            from pyssh_cli.client.host_key_warnings import NOT_POST_QUANTUM

            self._log.info(NOT_POST_QUANTUM)

    # The user ---------------------------------------------------------------------------------------------------

    def authenticate(self) -> bool:
        """Begin with the user, or go on with what has waited for what has arrived now. True once, when what was
        sent may well be enough, and more may be sent behind it."""
        if self._authenticator is None:
            from pyssh_cli.client.authenticate import Authenticator

            self._authenticator = self._made(Authenticator)
        return self._authenticator.start() and self._takes_early_channels()

    def _made(self, kind: type[Kind]) -> Kind:
        """An authenticator of this class, for this connection."""
        return kind(
            self._options,
            self._log,
            self._questions,
            self._transport,
            unsafe=self._trust.unsafe,
            sock=self._socket,
        )

    def _takes_early_channels(self) -> bool:
        """Whether the server deals with requests strictly in order, and passes over what comes too early.

        OpenSSH does both. Dropbear hangs up on a channel request that a refused key leaves too early, and
        AsyncSSH looks at the next message while it is still checking a key; nothing is known of others. With
        delayed compression, what is sent before success and read after it would be taken for compressed.
        """
        agreement = self._transport.agreement_we_send_by
        if agreement is None or agreement.compression_c2s != "none":
            return False
        return is_openssh(self._transport.server_version)

    def receive(self, payload: memoryview) -> bool:
        """Take a message about the user; True once that one is in. Raises AuthenticationError in the end."""
        number = payload[0]
        if number >= m.GLOBAL_REQUEST or self._authenticator is None:
            raise ProtocolError(f"Unexpected {m.name_of(number)} before user authentication is done")
        if not self._authenticator.receive(payload):
            return False
        self._authenticator = None
        self._transport.authenticated()
        return True

    def has_refused(self, payload: memoryview) -> bool:
        """Whether that message passes over what was sent behind the proof."""
        return payload[0] == m.USERAUTH_FAILURE and not (self._authenticator and self._authenticator.goes_on)

    # What is told of a handshake that does not come to its end --------------------------------------------------

    def disconnected(self, words: str) -> str:
        """The server hangs up with these words (SSH_MSG_DISCONNECT). What helps, for the end of the line."""
        return self._authenticator.disconnected(words) if self._authenticator else ""

    def hung_up(self, error: OSError | None) -> NetworkError:
        """The carrier delivers no more, because of `error`, or in good order."""
        from pyssh_cli.client import hints

        stage = self._stage()
        if stage == "banner":
            hint = hints.in_place_of_a_version(self._transport.lines_before_version, self._carrier.hint)
        else:
            clue = self._authenticator.clue() if self._authenticator else ""
            seconds = monotonic() - self._began
            hint = hints.closed_in(stage, self._options.user, self._socket, clue, seconds)
        return NetworkError(hints.hung_up(self._peer, error, stage, hint))

    def timed_out(self) -> NetworkError:
        """ConnectTimeout is over on the established TCP connection."""
        from pyssh_cli.client import hints

        stage = self._stage()
        hint = hints.stuck(stage, self._socket)
        hint = hints.in_place_of_a_version(self._transport.lines_before_version, hint)
        first = f"Connection timed out during {stage} exchange"
        return NetworkError(f"{first}\nConnection to {self._peer} timed out{hint}")

    def _stage(self) -> str:
        """What it is at: the "banner" or "key" exchange, in ssh's words, or "authentication"."""
        if self.keys_judged:
            return "authentication"
        return "banner" if self.in_version else "key"
