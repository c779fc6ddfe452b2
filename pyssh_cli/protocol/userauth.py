"""User authentication (RFC 4252, 4256, 4462): requests out, the server's answers in. Which to try is the owner's.

Requests may be sent without waiting for the answer to the one before; the server answers them in order, so what
is outstanding is a queue. Until success, the answers allowed are FAILURE and SUCCESS, BANNER at any time, and the
messages 60 to 79 of the method at the head of the queue; anything else is refused, and all of it after success.

Methods of several rounds have a stage beside it: while answers or a proof are due, the server may ask nothing.

    method                  stage        what may come
    publickey-query                      PK_OK, which ends the request
    password                             PASSWD_CHANGEREQ, which ends it too
    keyboard-interactive    ASKED        INFO_REQUEST, then ANSWERING until `answer()`
    gssapi-with-mic         ASKED        GSSAPI_RESPONSE, then TOKENS; GSSAPI_ERROR
                            TOKENS       GSSAPI_TOKEN, GSSAPI_ERRTOK, GSSAPI_ERROR, until `gssapi_mic()`
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Literal, NamedTuple

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, boolean, string, text, uint32

MAX_PROMPTS = 128
"""More questions than this in one keyboard-interactive round are no honest server's."""

MAX_TOKENS = 64
"""GSSAPI tokens of one exchange; Kerberos has one or two."""

GSSAPI_RESPONSE = 60
"""The messages of gssapi-with-mic (RFC 4462 section 3); 60 and 61 mean something else in other methods."""
GSSAPI_TOKEN = 61
GSSAPI_EXCHANGE_COMPLETE = 63
GSSAPI_ERROR = 64
GSSAPI_ERRTOK = 65
GSSAPI_MIC = 66

PUBLICKEY_HOST_BOUND = "publickey-hostbound-v00@openssh.com"
"""A proof by key that also signs the server's host key (OpenSSH's PROTOCOL)."""

Method = Literal[
    "none",
    "publickey-query",
    "publickey",
    "password",
    "keyboard-interactive",
    "hostbased",
    "gssapi-with-mic",
]


class Stage(Enum):
    """Where a method of several rounds is; see the table at the top."""

    ASKED = auto()
    ANSWERING = auto()
    TOKENS = auto()
    PROVEN = auto()


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


class MechanismChosen(NamedTuple):
    """The server takes a GSSAPI mechanism (RFC 4462 section 3.3): its OID in DER, not checked."""

    mechanism: bytes


class TokenReceived(NamedTuple):
    """A token for the GSSAPI; `error` says that it tells of a failure, and a FAILURE follows it."""

    token: bytes
    error: bool


class GssapiError(NamedTuple):
    """What the server's GSSAPI has to complain of (RFC 4462 section 3.8), not cleaned; a FAILURE follows it."""

    message: str


Event = (
    Success
    | Failure
    | Banner
    | KeyAccepted
    | PasswordChangeWanted
    | AnswersWanted
    | MechanismChosen
    | TokenReceived
    | GssapiError
)


class UserAuth:
    """User authentication for the service ssh-connection, as `user`. `send` sends a payload given in parts."""

    def __init__(self, user: str, send: Callable[..., None]) -> None:
        self._user = user
        self._send = send
        self._outstanding: list[Method] = []
        self.service_requested = False
        self.service_accepted = False
        self._stage = Stage.ASKED
        self._tokens = 0
        self.done = False

    @property
    def awaits_proof(self) -> bool:
        """Whether the request sent last was a proof, which may succeed."""
        return self._outstanding[-1:] == ["publickey"]

    @property
    def is_waiting(self) -> bool:
        """Whether a request has not been answered yet."""
        return bool(self._outstanding)

    def request_service(self) -> None:
        """Ask for the service; requests may follow at once (RFC 4253 section 10)."""
        self.service_requested = True
        self._send(bytes((m.SERVICE_REQUEST,)), string(b"ssh-userauth"))

    def _request(self, method: Method, name: str, fields: bytes) -> None:
        self._outstanding.append(method)
        if len(self._outstanding) == 1:
            self._stage = Stage.ASKED
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

    def publickey(
        self,
        algorithm: str,
        blob: bytes,
        session_id: bytes,
        sign: Callable[[bytes], bytes],
        *,
        host_key: bytes = b"",
    ) -> None:
        """Prove the key: `sign` is given what is to be signed (RFC 4252 section 7), returns the signature blob.

        With `host_key`, for servers that announce publickey-hostbound@openssh.com, the proof holds for the server
        with that host key only.
        """
        fields = boolean(True) + string(algorithm.encode("ascii")) + string(blob)
        name = "publickey"
        if host_key:
            name = PUBLICKEY_HOST_BOUND
            fields += string(host_key)
        signature = sign(string(session_id) + self._head(name) + fields)
        self._request("publickey", name, fields + string(signature))

    def hostbased(
        self,
        algorithm: str,
        blob: bytes,
        client: tuple[str, str],
        session_id: bytes,
        sign: Callable[[bytes], bytes],
    ) -> None:
        """Prove that the client's host vouches for the user (RFC 4252 section 9), with a key of that host's.

        `client` is the host's name, as a domain name with its last dot, and the user's name there.
        """
        host, user = client
        fields = string(algorithm.encode("ascii")) + string(blob) + text(host) + text(user)
        signature = sign(string(session_id) + self._head("hostbased") + fields)
        self._request("hostbased", "hostbased", fields + string(signature))

    def password(self, password: str, new_password: str | None = None) -> None:
        """Send a password, or with `new_password` change it (RFC 4252 section 8)."""
        fields = boolean(new_password is not None) + text(password)
        if new_password is not None:
            fields += text(new_password)
        self._request("password", "password", fields)

    def keyboard_interactive(self, devices: str = "") -> None:
        """Begin RFC 4256; the language tag is empty, `devices` are hints with commas between them."""
        self._request("keyboard-interactive", "keyboard-interactive", string(b"") + text(devices))

    def answer(self, answers: list[str]) -> None:
        """The answers to the round asked for last, one each prompt."""
        self._stage = Stage.ASKED
        encoded = b"".join(text(answer) for answer in answers)
        self._send(bytes((m.USERAUTH_INFO_RESPONSE,)), uint32(len(answers)), encoded)

    def gssapi(self, mechanism: bytes) -> None:
        """Begin RFC 4462 with one mechanism: its OID in DER."""
        self._tokens = 0
        self._request("gssapi-with-mic", "gssapi-with-mic", uint32(1) + string(mechanism))

    def gssapi_token(self, token: bytes, *, error: bool = False) -> None:
        """A token of our GSSAPI's for the server's, or one that tells it of a failure here."""
        number = GSSAPI_ERRTOK if error else GSSAPI_TOKEN
        self._send(bytes((number,)), string(token))

    def gssapi_signed(self, session_id: bytes) -> bytes:
        """What the MIC is to be of (RFC 4462 section 3.5)."""
        return string(session_id) + self._head("gssapi-with-mic")

    def gssapi_mic(self, mic: bytes | None) -> None:
        """The exchange is complete here; `mic` proves it, None where the mechanism protects no integrity."""
        self._stage = Stage.PROVEN
        if mic is None:
            self._send(bytes((GSSAPI_EXCHANGE_COMPLETE,)))
        else:
            self._send(bytes((GSSAPI_MIC,)), string(mic))

    def abandon(self) -> None:
        """Give up the request whose turn it is: with the next one, the server forgets it and does not answer it
        any more (RFC 4252 section 5.1). Only while the server waits for us."""
        del self._outstanding[0]
        self._stage = Stage.ASKED

    def receive(self, payload: memoryview) -> Event | None:
        """Take one message of the server's. Raises ProtocolError for what may not come now."""
        number = payload[0]
        reader = Reader(payload, 1)
        if number == m.SERVICE_ACCEPT and self.service_requested and not self.service_accepted:
            if reader.string() != b"ssh-userauth":
                raise ProtocolError("The server accepted a service that was not asked for")
            reader.end()
            self.service_accepted = True
            return None
        if number == m.USERAUTH_BANNER and not self.done:
            return Banner(self._told(reader))
        if not self.service_accepted or not self._outstanding:
            raise ProtocolError(f"Unexpected {m.name_of(number)} during user authentication")
        method = self._outstanding[0]
        if number == m.USERAUTH_SUCCESS:
            reader.end()
            self._outstanding.clear()
            self.done = True
            return Success()
        if number == m.USERAUTH_FAILURE:
            del self._outstanding[0]
            self._stage = Stage.ASKED
            methods, partial = reader.name_list(), reader.boolean()
            reader.end()
            return Failure(method, methods, partial)
        if number == m.USERAUTH_PK_OK and method == "publickey-query":
            del self._outstanding[0]
            accepted = KeyAccepted(reader.text(), reader.string())
            reader.end()
            return accepted
        if number == m.USERAUTH_PASSWD_CHANGEREQ and method == "password":
            del self._outstanding[0]
            return PasswordChangeWanted(self._told(reader))
        if number == m.USERAUTH_INFO_REQUEST and method == "keyboard-interactive" and self._stage is Stage.ASKED:
            wanted = self._info_request(reader)
            self._stage = Stage.ANSWERING
            return wanted
        if method == "gssapi-with-mic":
            event = self._gssapi_message(number, reader)
            if event is not None:
                return event
        raise ProtocolError(f"Unexpected {m.name_of(number)} during user authentication")

    def _gssapi_message(self, number: int, reader: Reader) -> Event | None:
        if number == GSSAPI_RESPONSE and self._stage is Stage.ASKED:
            self._stage = Stage.TOKENS
            chosen = MechanismChosen(reader.string())
            reader.end()
            return chosen
        if number in {GSSAPI_TOKEN, GSSAPI_ERRTOK} and self._stage is Stage.TOKENS:
            self._tokens += 1
            if self._tokens > MAX_TOKENS:
                raise ProtocolError("The server finds no end of GSSAPI tokens")
            received = TokenReceived(reader.string(), number == GSSAPI_ERRTOK)
            reader.end()
            return received
        if number == GSSAPI_ERROR:
            self._tokens += 1
            if self._tokens > MAX_TOKENS:
                raise ProtocolError("The server finds no end of GSSAPI errors")
            reader.uint32()
            reader.uint32()
            return GssapiError(self._told(reader))
        return None

    @staticmethod
    def _told(reader: Reader) -> str:
        """Text for the person at the end of a message, where a language tag, which nobody heeds, follows it."""
        words = reader.text()
        reader.string()
        reader.end()
        return words

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
        reader.end()
        return AnswersWanted(name, instruction, tuple(prompts))
