"""User authentication (RFC 4252, RFC 4256): requests out, the server's answers in. Which to try is the owner's.

Requests may be sent without waiting for the answer to the one before; the server answers them in order, so what
is outstanding is a queue. Until success, the answers allowed are FAILURE and SUCCESS, BANNER at any time, and the
messages 60 to 79 of the method at the head of the queue; anything else is refused, and all of it after success.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, boolean, name_list, string, text, uint32

MAX_PROMPTS = 128
"""More questions than this in one keyboard-interactive round are no honest server's."""

Method = Literal["none", "publickey-query", "publickey", "password", "keyboard-interactive"]


class Success(NamedTuple):
    """The server lets the user in."""


class Failure(NamedTuple):
    """The request `method` did not suffice. `methods` can continue; `partial` says that it counted."""

    method: Method
    methods: tuple[str, ...]
    partial: bool


class Banner(NamedTuple):
    """Text for the person, not cleaned (RFC 4252 section 5.4)."""

    message: str


class KeyAccepted(NamedTuple):
    """The server would take a signature by this key (the answer to a query, RFC 4252 section 7)."""

    algorithm: str
    blob: bytes


class PasswordChangeWanted(NamedTuple):
    """The password has expired (RFC 4252 section 8); `prompt` is not cleaned."""

    prompt: str


class Prompt(NamedTuple):
    """One question of a round; `echo` says whether the answer may be shown. The text is not cleaned."""

    text: str
    echo: bool


class AnswersWanted(NamedTuple):
    """One round of keyboard-interactive (RFC 4256 section 3.2)."""

    name: str
    instruction: str
    prompts: tuple[Prompt, ...]


Event = Success | Failure | Banner | KeyAccepted | PasswordChangeWanted | AnswersWanted


class UserAuth:
    """User authentication for the service ssh-connection, as `user`. `send` sends a payload given in parts."""

    def __init__(self, user: str, send: Callable[..., None]) -> None:
        self._user = user
        self._send = send
        self._outstanding: list[Method] = []
        self._service_requested = False
        self._service_accepted = False
        self._answers_due = False
        self.done = False

    @property
    def awaits_proof(self) -> bool:
        """Whether the request sent last was a proof, which may succeed."""
        return self._outstanding[-1:] == ["publickey"]

    def request_service(self) -> None:
        """Ask for the service; requests may follow at once (RFC 4253 section 10)."""
        self._service_requested = True
        self._send(bytes((m.SERVICE_REQUEST,)), string(b"ssh-userauth"))

    def _request(self, method: Method, name: str, fields: bytes) -> None:
        self._outstanding.append(method)
        self._send(self._head(name), fields)

    def _head(self, name: str) -> bytes:
        user, service = text(self._user), string(b"ssh-connection")
        return bytes((m.USERAUTH_REQUEST,)) + user + service + string(name.encode("ascii"))

    def none(self) -> None:
        """The request that fails, and so tells which methods can continue."""
        self._request("none", "none", b"")

    def query_publickey(self, algorithm: str, blob: bytes) -> None:
        """Ask whether a signature by this key would do."""
        fields = boolean(False) + string(algorithm.encode("ascii")) + string(blob)
        self._request("publickey-query", "publickey", fields)

    def publickey(self, algorithm: str, blob: bytes, session_id: bytes, sign: Callable[[bytes], bytes]) -> None:
        """Prove the key: `sign` is given what is to be signed (RFC 4252 section 7), returns the signature blob."""
        fields = boolean(True) + string(algorithm.encode("ascii")) + string(blob)
        signature = sign(string(session_id) + self._head("publickey") + fields)
        self._request("publickey", "publickey", fields + string(signature))

    def password(self, password: str, new_password: str | None = None) -> None:
        """Send a password, or with `new_password` change it (RFC 4252 section 8)."""
        fields = boolean(new_password is not None) + text(password)
        if new_password is not None:
            fields += text(new_password)
        self._request("password", "password", fields)

    def keyboard_interactive(self, devices: tuple[str, ...] = ()) -> None:
        """Begin RFC 4256; the language tag is empty, `devices` are hints."""
        self._request("keyboard-interactive", "keyboard-interactive", string(b"") + name_list(devices))

    def answer(self, answers: list[str]) -> None:
        """The answers to the round asked for last, one each prompt."""
        self._answers_due = False
        encoded = b"".join(text(answer) for answer in answers)
        self._send(bytes((m.USERAUTH_INFO_RESPONSE,)), uint32(len(answers)), encoded)

    def receive(self, payload: memoryview) -> Event | None:
        """Take one message of the server's. Raises ProtocolError for what may not come now."""
        number = payload[0]
        reader = Reader(payload, 1)
        if number == m.SERVICE_ACCEPT and self._service_requested and not self._service_accepted:
            if reader.string() != b"ssh-userauth":
                raise ProtocolError("The server accepted a service that was not asked for")
            self._service_accepted = True
            return None
        if number == m.USERAUTH_BANNER and not self.done:
            message = reader.text()
            return Banner(message)
        if not self._service_accepted or not self._outstanding:
            raise ProtocolError(f"Unexpected {m.name_of(number)} during user authentication")
        method = self._outstanding[0]
        if number == m.USERAUTH_SUCCESS:
            self._outstanding.clear()
            self._answers_due = False
            self.done = True
            return Success()
        if number == m.USERAUTH_FAILURE:
            del self._outstanding[0]
            self._answers_due = False
            methods, partial = reader.name_list(), reader.boolean()
            return Failure(method, methods, partial)
        if number == m.USERAUTH_PK_OK and method == "publickey-query":
            del self._outstanding[0]
            return KeyAccepted(reader.text(), reader.string())
        if number == m.USERAUTH_PASSWD_CHANGEREQ and method == "password":
            del self._outstanding[0]
            return PasswordChangeWanted(reader.text())
        if number == m.USERAUTH_INFO_REQUEST and method == "keyboard-interactive" and not self._answers_due:
            wanted = self._info_request(reader)
            self._answers_due = True
            return wanted
        raise ProtocolError(f"Unexpected {m.name_of(number)} during user authentication")

    @staticmethod
    def _info_request(reader: Reader) -> AnswersWanted:
        name, instruction = reader.text(), reader.text()
        reader.string()  # the language tag, deprecated
        count = reader.uint32()
        if count > MAX_PROMPTS:
            raise ProtocolError(f"keyboard-interactive asks {count} questions at once")
        prompts = []
        for _ in range(count):
            question = reader.text()
            prompts.append(Prompt(question, reader.boolean()))
        return AnswersWanted(name, instruction, tuple(prompts))
