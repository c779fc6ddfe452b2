"""An SSH server on a real socket that lets anybody in and then does what the script of a test says."""

from __future__ import annotations

import base64
import contextlib
import queue
import select
import socket
from collections.abc import Callable
from threading import Event

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, boolean, name_list, string, text, uint32
from tests.system.servers import FakeServer
from tests.system.waiting import PATIENCE
from tests.unit.peer import Peer, PeerOptions, channel_data

EOF = bytes((m.CHANNEL_EOF,)) + uint32(0)
CLOSE = bytes((m.CHANNEL_CLOSE,)) + uint32(0)


def data(content: bytes) -> bytes:
    """Something for the client's stdout."""
    return channel_data(0, content)


def error_data(content: bytes) -> bytes:
    """Something for the client's stderr."""
    return bytes((m.CHANNEL_EXTENDED_DATA,)) + uint32(0) + uint32(m.EXTENDED_DATA_STDERR) + string(content)


def channel_request(name: str, fields: bytes = b"", *, want_reply: bool = False) -> bytes:
    """SSH_MSG_CHANNEL_REQUEST on the session's channel."""
    return bytes((m.CHANNEL_REQUEST,)) + uint32(0) + text(name) + boolean(want_reply) + fields


def exit_status(status: int) -> bytes:
    """The command has ended."""
    return channel_request("exit-status", uint32(status))


def ending(status: int) -> tuple[bytes, ...]:
    """All that a server says in good order when a command has ended."""
    return exit_status(status), EOF, CLOSE


def failure(*methods: str, partial: bool = False) -> bytes:
    """SSH_MSG_USERAUTH_FAILURE."""
    return bytes((m.USERAUTH_FAILURE,)) + name_list(methods) + boolean(partial)


class Talk:
    """One client's connection, seen from the server."""

    def __init__(self, sock: socket.socket, options: PeerOptions) -> None:
        self.socket = sock
        self.peer = Peer(options)
        self._passed = 0  # of `peer.received`
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self, *payloads: bytes) -> None:
        """Send these messages, all in one piece."""
        for payload in payloads:
            self.peer.send(payload)
        self.flush()

    def flush(self) -> None:
        """Send what the peer wants to say."""
        self.socket.sendall(self.peer.take())

    def listen(self, size: int = 1 << 18) -> bool:
        """Take up to `size` bytes of the client's, after waiting for them; False when nothing more will come."""
        received = self.socket.recv(size)
        self.peer.feed(received)
        return bool(received)

    def expect(self, number: int) -> bytes:
        """The next message of that number; those before it are passed over. Raises ConnectionResetError."""
        while True:
            while self._passed < len(self.peer.received):
                payload = self.peer.received[self._passed]
                self._passed += 1
                if payload[0] == number:
                    return payload
            if not self.listen():
                raise ConnectionResetError(f"the client has gone without {m.name_of(number)}")
            self.flush()

    def expect_keys(self) -> None:
        """Listen until the client's part of the key exchange is there. What the peer then says is not sent."""
        while not self.peer.key_exchanges:
            if not self.listen():
                raise ConnectionResetError("the client has gone before the key exchange")

    def until_gone(self) -> list[bytes]:
        """Listen until the client has gone; every message it ever sent."""
        with contextlib.suppress(ConnectionError):
            while self.listen():
                with contextlib.suppress(ConnectionError):
                    self.flush()
        return self.peer.received

    def flood(self, payload: bytes, enough: Event, total: int) -> int:
        """Send the message again and again without reading, until `total` are sent or the event is set.

        Returns how many were sent. None is left half sent: what the client did not take yet waits in the peer.
        """
        count = 0
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # nor does the system hold much
        self.socket.setblocking(False)
        while not enough.is_set() and (count < total or self.peer.outgoing):
            while count < total and len(self.peer.outgoing) < 1 << 18:
                self.peer.send(payload)
                count += 1
            if select.select([], [self.socket], [], 0.05)[1]:
                sent = self.socket.send(self.peer.outgoing)
                del self.peer.outgoing[:sent]
        self.socket.settimeout(PATIENCE)
        return count

    def settle(self) -> None:
        """Read while there is still something to be sent, so that neither side waits for the other."""
        while self.peer.outgoing:
            readable, writable, _ = select.select([self.socket], [self.socket], [], PATIENCE)
            if readable and not self.listen():
                raise ConnectionResetError
            if writable:
                sent = self.socket.send(self.peer.outgoing[: 1 << 14])
                del self.peer.outgoing[:sent]

    def let_in(self) -> None:
        """Let the client in, whoever it is."""
        self.expect(m.SERVICE_REQUEST)
        self.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
        self.expect(m.USERAUTH_REQUEST)
        self.say(bytes((m.USERAUTH_SUCCESS,)))
        self.peer.authenticated()

    def open_session(self, window: int) -> None:
        """Open the channel that the client asks for, and start what it wants to run."""
        self.expect(m.CHANNEL_OPEN)
        numbers = uint32(0) + uint32(0) + uint32(window) + uint32(32 * 1024)
        self.say(bytes((m.CHANNEL_OPEN_CONFIRMATION,)) + numbers)
        name = ""
        while name not in {"exec", "shell"}:
            request = Reader(self.expect(m.CHANNEL_REQUEST), 1)
            request.uint32()
            name = request.text()
            if request.boolean():
                self.say(bytes((m.CHANNEL_SUCCESS,)) + uint32(0))


def requests(received: list[bytes]) -> list[tuple[str, bool, bytes]]:
    """The channel requests among what a client sent: name, whether a reply is wanted, and what belongs to it."""
    found = []
    for payload in received:
        if payload[0] == m.CHANNEL_REQUEST:
            reader = Reader(payload, 1)
            reader.uint32()
            found.append((reader.text(), reader.boolean(), bytes(reader.rest())))
    return found


def grant_a_channel(talk: Talk, *, shell: bool) -> None:
    """Open a session's channel and grant a pty; whatever is to run there runs if `shell` says so."""
    talk.expect(m.CHANNEL_OPEN)
    numbers = uint32(0) + uint32(0) + uint32(1 << 20) + uint32(1 << 15)
    talk.say(bytes((m.CHANNEL_OPEN_CONFIRMATION,)) + numbers)
    name = ""
    while name not in {"shell", "exec", "subsystem"}:
        ((name, wants, _),) = requests([talk.expect(m.CHANNEL_REQUEST)])
        if wants:
            granted = shell or name == "pty-req"
            talk.say(bytes((m.CHANNEL_SUCCESS if granted else m.CHANNEL_FAILURE,)) + uint32(0))


Script = Callable[[Talk], object]


class ScriptedServer:
    """Plays `script` to each client, in a thread: once its command runs (`stage` "session"), its login is over
    ("channel"), or the keys are agreed on ("login"). The connection ends when the script returns.

    A script need not mind that the client is gone: OSErrors are swallowed.
    """

    def __init__(
        self,
        script: Script,
        options: PeerOptions | None = None,
        *,
        stage: str = "session",
        window: int = 2 * 1024 * 1024,
    ) -> None:
        self._script = script
        self._options = options or PeerOptions()
        self._stage = stage
        self._window = window
        self._outcomes: queue.Queue[tuple[object, BaseException | None]] = queue.Queue()
        self._listener = FakeServer(self._serve)
        self.port = self._listener.port

    @property
    def accepted(self) -> int:
        """How many clients have connected."""
        return self._listener.accepted

    @property
    def known_hosts_line(self) -> str:
        """The host key as a line of known_hosts."""
        blob = Peer(self._options).host_key.blob
        return f"[127.0.0.1]:{self.port} {self._options.host_key} {base64.b64encode(blob).decode()}\n"

    def result(self) -> object:
        """Wait for a script to end: what it returned, or None if the client went first; raises what it raised."""
        returned, raised = self._outcomes.get(timeout=PATIENCE)
        if raised is not None:
            raise raised
        return returned

    def close(self) -> None:
        """Take no more clients."""
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        talk = Talk(connection, self._options)
        try:
            talk.peer.start()
            talk.flush()
            if self._stage != "login":
                talk.let_in()
            if self._stage == "session":
                talk.open_session(self._window)
            self._outcomes.put((self._script(talk), None))
        except OSError:
            self._outcomes.put((None, None))
        except BaseException as error:
            self._outcomes.put((None, error))
