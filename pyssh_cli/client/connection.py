"""One connection's life: a socket, the protocol's layers on it, and who is told what they say.

The order of things, with as few round trips as the protocol allows: version and KEXINIT leave together; when the
server's key exchange reply has been judged, NEWKEYS, the service request, the first proof of the user and the
channel all leave together. Each of them may be refused, and is then done again in the ordinary order.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from pyssh_cli import __version__
from pyssh_cli.client.authenticate import Authenticator
from pyssh_cli.client.trust import HostTrust
from pyssh_cli.config.options import Options
from pyssh_cli.errors import HostKeyError, NegotiationError, NetworkError, PeerDisconnected, ProtocolError
from pyssh_cli.log import Log, printable
from pyssh_cli.net.loop import Loop, Timer
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.key_exchange import Offer
from pyssh_cli.protocol.transport import HostKeyOffered, KeysTaken, State, Transport
from pyssh_cli.terminal.questions import Questions

HIGH_WATER = 1024 * 1024
"""Bytes waiting for the socket above which nobody should give us more to send."""

FLOOD = 8 * HIGH_WATER
"""Bytes waiting for the socket above which nothing is read: a server that asks and asks and never listens."""


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


class Connection:
    """A connection on a connected, non-blocking socket. `address` is the peer's, numeric."""

    def __init__(
        self, options: Options, log: Log, loop: Loop, sock: socket.socket, address: str, questions: Questions
    ) -> None:
        self._options = options
        self._log = log
        self._loop = loop
        self._socket = sock
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
        self._keys_judged = False
        self.authenticated = False
        self._watched = (False, True)  # for writing, for reading
        self._rekey_timer: Timer | None = None
        self._alive_unanswered = 0
        self._closed = False

    # The socket -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Send the first segment, and watch the socket from now on."""
        self._loop.watch(self._socket, self._on_readable)
        self.transport.start()
        self.flush()

    def flush(self) -> None:
        """Give the socket what is waiting; what it does not take goes when it can."""
        outgoing = self.transport.outgoing
        if len(outgoing):
            try:
                outgoing.sent(self._socket.send(outgoing.unsent()))
            except BlockingIOError:
                pass
            except OSError as error:
                self._lost(error)
                return
        watched = bool(len(outgoing)), len(outgoing) < FLOOD
        if watched != self._watched:
            self._watched = writing, reading = watched
            self._loop.watch(
                self._socket, self._on_readable if reading else None, self._on_writable if writing else None
            )

    @property
    def takes_data(self) -> bool:
        """Whether bulk data should be handed to the transport now."""
        return self.transport.can_send and len(self.transport.outgoing) < HIGH_WATER

    def _on_writable(self) -> None:
        was_full = not self.takes_data
        self.flush()
        if was_full and self.takes_data and self.owner:
            self.owner.may_send()
            self.flush()

    def _on_readable(self) -> None:
        try:
            count = self._socket.recv_into(self.transport.receive_room())
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error)
            return
        if not count:
            self._on_end()
            return
        self.transport.received(count)
        self._process()

    def _lost(self, error: OSError) -> None:
        if self.owner and self.owner.is_over():
            self._loop.watch(self._socket)
            return
        reason = error.strerror or str(error)
        if self.authenticated:
            raise NetworkError(f"Connection to {self._options.hostname} lost: {reason}") from None
        raise NetworkError(f"Connection to {self._peer} lost during {self._stage()} exchange: {reason}") from None

    def _on_end(self) -> None:
        if self.owner and self.owner.is_over():
            self._loop.watch(self._socket)
            return
        if self.authenticated:
            raise NetworkError(f"Connection to {self._options.hostname} closed by remote host.")
        if self.transport.state is State.VERSION:
            raise NetworkError(
                f"Connection closed by {self._peer} before it said its version"
                " (it may refuse this address, or be too busy: see the server's log)"
            )
        raise NetworkError(f"Connection closed by {self._peer}")

    # What arrives -----------------------------------------------------------------------------------------------

    def _process(self) -> None:
        transport = self.transport
        could_send = transport.can_send
        try:
            while (event := transport.next_event()) is not None:
                if type(event) is memoryview:
                    self._on_payload(event)
                elif isinstance(event, HostKeyOffered):
                    self._on_host_key(event)
                elif isinstance(event, KeysTaken) and not event.first:
                    self._log.debug1("rekeying done")
        except NegotiationError as error:
            self.flush()
            raise NegotiationError(f"Unable to negotiate with {self._peer}: {error}") from None
        except PeerDisconnected as error:
            raise PeerDisconnected(
                f"Received disconnect from {self._peer}:{error.reason}: {printable(str(error))}",
                error.reason,
            ) from None
        except ProtocolError as error:
            self._say_goodbye(error.reason, str(error))
            raise ProtocolError(
                f"ssh_dispatch_run_fatal: Connection to {self._peer}: {error}", error.reason
            ) from None
        if self._keys_judged and not self._authenticator:
            self._start_authentication()
        if self.owner:
            self.owner.batch_done()
            if transport.can_send and not could_send:
                self.owner.may_send()
        self._rekey_if_due()
        self.flush()

    def _on_host_key(self, offered: HostKeyOffered) -> None:
        try:
            self._trust.judge(offered)
        except HostKeyError:
            self._say_goodbye(m.DISCONNECT_HOST_KEY_NOT_VERIFIABLE, "host key not verifiable")
            raise
        self.transport.accept_host_key()
        self._keys_judged = True

    def _start_authentication(self) -> None:
        self._authenticator = Authenticator(
            self._options, self._log, self._questions, self.transport, unsafe=self._trust.unsafe
        )
        if self._authenticator.start() and self._takes_early_channels() and self.owner:
            self.owner.open_early()

    def _takes_early_channels(self) -> bool:
        """Whether the server deals with requests strictly in order, and passes over what comes too early.

        OpenSSH does both. Dropbear hangs up on a channel request that a refused key leaves too early, and
        AsyncSSH looks at the next message while it is still checking a key; nothing is known of others. With
        delayed compression, what is sent before success and read after it would be taken for compressed.
        """
        agreement = self.transport.agreement
        if agreement is None or agreement.compression_c2s != "none":
            return False
        return self.transport.server_version.startswith(b"SSH-2.0-OpenSSH_")

    def _on_payload(self, payload: memoryview) -> None:
        number = payload[0]
        if self.authenticated:
            if ch.understands(number):
                event = self.channels.receive(payload)
                if event is not None:
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
            self.transport.authenticated()
            self._keep_alive()
            if self.owner:
                self.owner.authenticated()
        elif number == m.USERAUTH_FAILURE and self.owner:
            self.owner.early_open_refused()

    def _on_channel_event(self, event: ch.Event) -> None:
        if isinstance(event, ch.GlobalRequest):
            self._log.debug1(f"client_input_global_request: rtype {event.name} want_reply {int(event.want_reply)}")
            if event.want_reply:
                self.channels.reply_global(False)
        elif isinstance(event, ch.OpenRequested):
            self._log.debug1(f"the server asks for a channel {event.kind}, which was not offered to it")
            self.channels.refuse(event, 1, "not asked for")
        elif isinstance(event, ch.RequestAnswered) and event.channel is None:
            self._alive_unanswered = 0
            if self.owner:
                self.owner.on_channel_event(event)
        elif self.owner:
            self.owner.on_channel_event(event)

    # Time -------------------------------------------------------------------------------------------------------

    def _keep_alive(self) -> None:
        """ServerAliveInterval and ServerAliveCountMax (ssh_config(5))."""
        interval = self._options.server_alive_interval
        if interval > 0:
            self._loop.call_at(monotonic() + interval, self._on_alive_due)

    def _on_alive_due(self) -> None:
        if self._closed:
            return
        if self._alive_unanswered >= self._options.server_alive_count_max:
            raise NetworkError(
                f"Timeout, server {self._options.hostname} not responding"
                f" ({self._alive_unanswered} keep-alive messages were not answered)."
            )
        self._alive_unanswered += 1
        self.channels.global_request("keepalive@openssh.com", want_reply=True)
        self.flush()
        self._loop.call_at(monotonic() + self._options.server_alive_interval, self._on_alive_due)

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
        """Tell the server why, if it still listens: nobody waits for it."""
        try:
            self.transport.disconnect(reason, description)
            self._socket.send(self.transport.outgoing.unsent())
        except OSError:
            pass

    def close(self) -> None:
        """Disconnect in good order (RFC 4253 section 11.1) and give the socket back."""
        if self._closed:
            return
        self._closed = True
        self._loop.watch(self._socket)
        if self.authenticated:
            self._say_goodbye(m.DISCONNECT_BY_APPLICATION, "disconnected by user")
        self._socket.close()
