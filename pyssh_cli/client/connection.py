"""One connection's life: a socket, the protocol's layers on it, and who is told what they say.

The order of things, with as few round trips as the protocol allows: version and KEXINIT leave together; when the
server's key exchange reply has been judged, NEWKEYS, the service request, the first proof of the user and the
channel all leave together. Each of them may be refused, and is then done again in the ordinary order.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from pyssh_cli import __version__
from pyssh_cli.client.link import Link
from pyssh_cli.client.trust import HostTrust
from pyssh_cli.config.options import Options
from pyssh_cli.errors import (
    HostKeyError,
    NegotiationError,
    NetworkError,
    PeerDisconnected,
    ProtocolError,
    PysshError,
)
from pyssh_cli.log import Log, printable
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.kex import KEX
from pyssh_cli.protocol.key_exchange import Offer
from pyssh_cli.protocol.transport import HostKeyOffered, KeysTaken, State, Transport
from pyssh_cli.protocol.version import is_openssh
from pyssh_cli.terminal.questions import Questions

if TYPE_CHECKING:
    from pyssh_cli.client.authenticate import Authenticator
    from pyssh_cli.client.update_host_keys import UpdateHostKeys


class ChannelOwner(Protocol):
    """Who is told what happens on channels; a session, later forwards."""

    def open_early(self) -> None:
        """The user may be let in by what was just sent: ask for the channel behind it."""

    def authenticated(self) -> None:
        """The user is in: open channels, unless they were and the server took them."""

    def early_open_refused(self) -> None:
        """What was asked for early was passed over."""

    def on_channel_event(self, event: ch.Event) -> None:
        """Something happened on a channel of yours."""

    def batch_done(self) -> None:
        """All that arrived at once has been handed out: views into it go stale after this."""

    def may_send(self) -> None:
        """The connection takes data again."""

    def is_over(self) -> bool:
        """Whether all channels have come and gone, so that nothing is lost with the connection."""

    def connection_ended(self) -> None:
        """Nothing more will come: finish with what there is."""


class Connection:
    """A connection on a connected, non-blocking socket. `address` is the peer's, numeric."""

    def __init__(
        self, options: Options, log: Log, loop: Loop, sock: socket.socket, address: str, questions: Questions
    ) -> None:
        self._options = options
        self._log = log
        self._loop = loop
        self._peer = f"{address} port {options.port}"
        self._questions = questions
        self._trust = HostTrust(options, log, questions, address)
        compression = ("zlib@openssh.com", "none") if options.compression else ("none", "zlib@openssh.com")
        offer = Offer(options.kex_algorithms, self._trust.algorithms(), options.ciphers, options.macs, compression)
        self.transport = Transport(offer, f"pyssh_{__version__}", log.say)
        self.transport.set_rekey_limit(*options.rekey_limit)
        self.channels = ch.Channels(self.transport.send)
        self.owner: ChannelOwner | None = None
        self._authenticator: Authenticator | None = None
        self._socket = sock
        self._host_keys: UpdateHostKeys | None = None
        self._keys_judged = False
        self.authenticated = False
        self._rekey_timer: Timer | None = None
        self._last_heard = 0.0
        self._alive_unanswered = 0
        self._said_goodbye = False
        self._closed = False
        self._link = Link(loop, sock, self.transport, self._process, self._on_end, self._on_room)
        self.flush = self._link.flush
        self.takes_data = self._link.takes_data

    def start(self) -> None:
        """Send the first segment, and watch the socket from now on."""
        self.transport.start()
        self.flush()

    def _on_room(self) -> None:
        if self.owner and not self._closed:
            self.owner.may_send()
            self.flush()

    def _on_end(self, error: OSError | None) -> None:
        """The socket delivers no more. Raises NetworkError if that is too early."""
        if self.owner and self.owner.is_over():
            return
        host = self._options.hostname
        if self.authenticated and self.owner:
            how = f"lost: {error.strerror}" if error else "closed by remote host."
            self._log.error(f"Connection to {host} {how}")
            self.owner.connection_ended()
            return
        if error:
            raise NetworkError(
                f"Connection to {self._peer} lost during {self._stage()} exchange: {error.strerror}"
            )
        if self.transport.state is State.VERSION:
            said = [printable(line) for line in self.transport.lines_before_version if line.strip()]
            raise NetworkError(
                f"Connection closed by {self._peer} before it said its version"
                + (f', but: "{said[-1]}"' if said else " (it may refuse us, or be too busy: see its log)")
            )
        raise NetworkError(f"Connection closed by {self._peer}")

    # What arrives -----------------------------------------------------------------------------------------------

    def _process(self) -> None:
        """Deal with all that has arrived, then with what follows from it."""
        self._last_heard = monotonic()
        self._alive_unanswered = 0
        try:
            self._dispatch()
        except (PeerDisconnected, ProtocolError) as error:
            if self.owner:
                self.owner.batch_done()  # what came before counts
                if self.owner.is_over():
                    self._link.stop()
                    return
            raise self._told(error) from None
        if self._keys_judged and not self.authenticated:
            self._authenticate()
        if self.owner:
            self.owner.batch_done()
        self._rekey_if_due()
        self.flush()
        if not self.authenticated:
            self._last_heard = monotonic()  # a person may have thought about an answer meanwhile

    def _dispatch(self) -> None:
        while (event := self.transport.next_event()) is not None:
            if type(event) is memoryview:
                self._on_payload(event)
            elif isinstance(event, HostKeyOffered):
                self._on_host_key(event)
            elif isinstance(event, KeysTaken) and not event.first:
                self._log.debug1("rekeying done")

    def _told(self, error: PeerDisconnected | ProtocolError) -> PysshError:
        """The error in words for the person; the server is told as well, if it is to know."""
        if isinstance(error, PeerDisconnected):
            if self._authenticator and not self.authenticated:
                self._authenticator.disconnected(str(error))
            text = f"Received disconnect from {self._peer}:{error.reason}: {printable(str(error))}"
            return PeerDisconnected(text, error.reason)
        if isinstance(error, NegotiationError):
            self._say_goodbye(error.reason, "no algorithm in common")
            return NegotiationError(f"Unable to negotiate with {self._peer}: {error}")
        self._say_goodbye(error.reason, str(error))
        return ProtocolError(f"Connection to {self._peer}: {error}", error.reason)

    def _on_host_key(self, offered: HostKeyOffered) -> None:
        try:
            self._trust.judge(offered)
        except HostKeyError:
            self._say_goodbye(m.DISCONNECT_HOST_KEY_NOT_VERIFIABLE, "host key not verifiable")
            raise
        self.transport.accept_host_key()
        if not self._keys_judged:
            self._warn_of_weak_crypto()
        self._keys_judged = True

    def _warn_of_weak_crypto(self) -> None:
        """WarnWeakCrypto: of a key exchange that a quantum computer could undo, once a connection."""
        agreed = self.transport.agreement_we_send_by
        if self._options.warn_weak_crypto == "yes" and agreed and not KEX[agreed.kex].post_quantum:
            from pyssh_cli.client.host_key_warnings import NOT_POST_QUANTUM

            self._log.info(NOT_POST_QUANTUM)

    def _authenticate(self) -> None:
        """Begin, or go on with what has waited for what has arrived now."""
        if self._authenticator is None:
            from pyssh_cli.client.authenticate import Authenticator

            self._authenticator = Authenticator(
                self._options,
                self._log,
                self._questions,
                self.transport,
                unsafe=self._trust.unsafe,
                sock=self._socket,
            )
            self._keep_alive()
        if self._authenticator.start() and self._takes_early_channels() and self.owner:
            self.owner.open_early()

    def _takes_early_channels(self) -> bool:
        """Whether the server deals with requests strictly in order, and passes over what comes too early.

        OpenSSH does both. Dropbear hangs up on a channel request that a refused key leaves too early, and
        AsyncSSH looks at the next message while it is still checking a key; nothing is known of others. With
        delayed compression, what is sent before success and read after it would be taken for compressed.
        """
        agreement = self.transport.agreement_we_send_by
        if agreement is None or agreement.compression_c2s != "none":
            return False
        return is_openssh(self.transport.server_version)

    def _on_payload(self, payload: memoryview) -> None:
        number = payload[0]
        if self.authenticated:
            if ch.understands(number):
                event = self.channels.receive(payload)
                if type(event) is ch.Data and self.owner:  # the way of a byte comes first
                    self.owner.on_channel_event(event)
                elif event is not None:
                    self._on_channel_event(event)
            elif number >= m.GLOBAL_REQUEST:
                self.transport.unimplemented()
            elif number != m.USERAUTH_BANNER:
                # RFC 4252 section 5.1: requests after success are ignored; so are late answers to ours.
                self._log.debug2(f"ignoring {m.name_of(number)} after authentication")
            return
        if number >= m.GLOBAL_REQUEST or self._authenticator is None:
            raise ProtocolError(f"Unexpected {m.name_of(number)} before user authentication is done")
        if self._authenticator.receive(payload):
            self.authenticated = True
            self._authenticator = None
            self.transport.authenticated()
            if self.owner:
                self.owner.authenticated()
        elif number == m.USERAUTH_FAILURE and self.owner:
            self.owner.early_open_refused()

    def _on_channel_event(self, event: ch.Event) -> None:
        if isinstance(event, ch.GlobalRequest):
            self._log.debug1(f"client_input_global_request: rtype {event.name} want_reply {int(event.want_reply)}")
            if self._trust.update_host_keys != "no":
                self._on_host_keys(event)
            if event.want_reply:
                self.channels.reply_global(False)
        elif isinstance(event, ch.RequestAnswered) and event.channel is None and self._is_proof(event.name):
            assert self._host_keys is not None
            self._host_keys.server_proves(event.success, event.fields)
        elif isinstance(event, ch.OpenRequested):
            self._log.debug1(f"the server asks for a channel {event.kind}, which was not offered to it")
            self.channels.refuse(event, 1, "not asked for")
        elif self.owner:
            self.owner.on_channel_event(event)

    @staticmethod
    def _is_proof(name: str) -> bool:
        from pyssh_cli.client.update_host_keys import PROVE

        return name == PROVE

    def _on_host_keys(self, request: ch.GlobalRequest) -> None:
        """The server may tell its host keys, once: what comes of it is UpdateHostKeys'."""
        from pyssh_cli.client.update_host_keys import HOST_KEYS, PROVE, UpdateHostKeys

        def prove(keys: bytes) -> None:
            self.channels.global_request(PROVE, keys, want_reply=True)

        if self._host_keys is None and request.name == HOST_KEYS:
            self._host_keys = UpdateHostKeys(
                self._options, self._log, self._questions, self._trust, self.transport.session_id, prove
            )
            self._host_keys.server_has(request.fields)

    # Time -------------------------------------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        """ServerAliveInterval and ServerAliveCountMax (ssh_config(5))."""
        interval = self._options.server_alive_interval
        if interval > 0:
            self._loop.call_at(monotonic() + interval, self._on_alive_due)

    def _on_alive_due(self) -> None:
        if self._closed or (self.owner and self.owner.is_over()):
            return
        interval = self._options.server_alive_interval
        if not self.authenticated:  # nothing may be asked yet: a silence of the whole length is the end
            interval *= self._options.server_alive_count_max
            if monotonic() >= self._last_heard + interval:
                raise NetworkError(f"Connection to {self._peer} timed out")
        due = self._last_heard + interval
        if not self._alive_unanswered and monotonic() < due:  # it has said something since
            self._loop.call_at(due, self._on_alive_due)
            return
        if self._alive_unanswered >= self._options.server_alive_count_max:
            raise NetworkError(
                f"Timeout, server {self._options.hostname} not responding"
                f" ({self._alive_unanswered} keep-alive messages were not answered)."
            )
        self._alive_unanswered += 1
        self.channels.global_request("keepalive@openssh.com", want_reply=True)
        self.flush()
        self._loop.call_at(monotonic() + interval, self._on_alive_due)

    def _rekey_if_due(self) -> None:
        self.transport.rekey_if_due(monotonic())
        deadline = self.transport.rekey_deadline()
        if deadline is not None and self._rekey_timer is None:
            self._rekey_timer = self._loop.call_at(deadline, self._on_rekey_due)

    def _on_rekey_due(self) -> None:
        self._rekey_timer = None
        if not self._closed:
            self._rekey_if_due()
            self.flush()

    def run_until(self, done: Callable[[], bool], deadline: float | None, what: Callable[[], str]) -> None:
        """Run the loop until `done()`. NetworkError with the words of `what()` once `deadline` has passed."""
        while not done():
            if deadline is not None and monotonic() >= deadline:
                raise NetworkError(what())
            self._loop.run_once(deadline)

    def is_authenticated(self) -> bool:
        """Whether the server has let the user in."""
        return self.authenticated

    def keys_judged(self) -> bool:
        """Whether the first key exchange has come so far that ConnectTimeout is met."""
        return self._keys_judged

    def timeout_message(self) -> str:
        """What ConnectTimeout says when it has run out on the established TCP connection."""
        return (
            f"Connection timed out during {self._stage()} exchange with {self._peer}"
            " (it is slow or stuck; a longer ConnectTimeout gives it more time)"
        )

    def _stage(self) -> str:
        """What the handshake is at, in ssh's words."""
        return "banner" if self.transport.state is State.VERSION else "key"

    # The end ----------------------------------------------------------------------------------------------------

    def _say_goodbye(self, reason: int, description: str) -> None:
        """Tell the server why, once, if it still listens: nobody waits for it."""
        if not self._said_goodbye:
            self._said_goodbye = True
            self.transport.disconnect(reason, description)
            self.flush()

    def close(self) -> None:
        """Disconnect in good order (RFC 4253 section 11.1) and give the socket back."""
        if self._closed:
            return
        self._closed = True
        if self.authenticated:
            self._say_goodbye(m.DISCONNECT_BY_APPLICATION, "disconnected by user")
        self._link.close()
