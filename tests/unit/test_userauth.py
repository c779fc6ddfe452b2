"""User authentication: the bytes of each request, the answers each state allows, and pipelined requests."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from pyssh_cli.errors import ProtocolError
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.wire import Reader, boolean, name_list, string, text, uint32

HEAD = bytes((50,)) + text("user") + text("ssh-connection")
SERVICE_ACCEPT = bytes((6,)) + text("ssh-userauth")
SUCCESS = bytes((52,))
FAILURE = bytes((51,)) + name_list(("publickey", "password")) + boolean(False)
BANNER = bytes((53,)) + text("hello\n") + text("en")
PK_OK = bytes((60,)) + text("ssh-ed25519") + string(b"blob")
CHANGE = bytes((60,)) + text("new one, please") + text("")
INFO = bytes((60,)) + text("name") + text("do this") + text("") + uint32(1) + text("Password: ") + boolean(False)


class Session:
    """A UserAuth whose messages gather in `sent`."""

    def __init__(self, *, accepted: bool = True) -> None:
        self.sent: list[bytes] = []
        self.auth = ua.UserAuth("user", lambda *parts: self.sent.append(b"".join(parts)))
        self.auth.request_service()
        if accepted:
            assert self.receive(SERVICE_ACCEPT) is None

    def receive(self, payload: bytes) -> ua.Event | None:
        return self.auth.receive(memoryview(payload))


def sign(data: bytes) -> bytes:
    return text("ssh-ed25519") + string(b"S" * 64)


REQUESTS: dict[str, Callable[[ua.UserAuth], None]] = {
    "none": lambda auth: auth.none(),
    "publickey-query": lambda auth: auth.query_publickey("ssh-ed25519", b"blob"),
    "publickey": lambda auth: auth.publickey("ssh-ed25519", b"blob", b"session", sign),
    "password": lambda auth: auth.password("secret"),
    "keyboard-interactive": lambda auth: auth.keyboard_interactive(),
}

# What may come with that request at the head of the queue, besides a banner.
ALLOWED: dict[str, dict[int, bytes]] = {
    "none": {51: FAILURE, 52: SUCCESS},
    "publickey-query": {51: FAILURE, 52: SUCCESS, 60: PK_OK},
    "publickey": {51: FAILURE, 52: SUCCESS},
    "password": {51: FAILURE, 52: SUCCESS, 60: CHANGE},
    "keyboard-interactive": {51: FAILURE, 52: SUCCESS, 60: INFO},
}

each_method = pytest.mark.parametrize("method", list(REQUESTS))


# What is sent ----------------------------------------------------------------------------------------------------


def test_request_bytes() -> None:
    session = Session()
    auth = session.auth
    auth.none()
    auth.query_publickey("rsa-sha2-256", b"the blob")
    auth.password("pässword")
    auth.password("old", "new")
    auth.keyboard_interactive()
    auth.keyboard_interactive("pam,otp")
    auth.answer(["one", "", "dréi"])
    auth.answer([])
    assert session.sent == [
        bytes((5,)) + text("ssh-userauth"),
        HEAD + text("none"),
        HEAD + text("publickey") + b"\0" + text("rsa-sha2-256") + string(b"the blob"),
        HEAD + text("password") + b"\0" + text("pässword"),
        HEAD + text("password") + b"\1" + text("old") + text("new"),
        HEAD + text("keyboard-interactive") + text("") + text(""),
        HEAD + text("keyboard-interactive") + text("") + text("pam,otp"),
        bytes((61,)) + uint32(3) + text("one") + text("") + text("dréi"),
        bytes((61,)) + uint32(0),
    ]


def test_signature_data() -> None:
    """RFC 4252 section 7: the session identifier as a string, then the request up to the signature."""
    session = Session()
    signed = []

    def note(data: bytes) -> bytes:
        signed.append(data)
        return b"the signature blob"

    session.auth.publickey("ecdsa-sha2-nistp256", b"the blob", b"H" * 32, note)
    request = HEAD + text("publickey") + b"\1" + text("ecdsa-sha2-nistp256") + string(b"the blob")
    assert signed == [uint32(32) + b"H" * 32 + request]
    assert session.sent[-1] == request + string(b"the signature blob")


def test_user_of_any_bytes() -> None:
    sent: list[bytes] = []
    name = b"b\xf6se".decode("utf-8", "surrogateescape")
    ua.UserAuth(name, lambda *parts: sent.append(b"".join(parts))).none()
    assert Reader(sent[0], 1).string() == b"b\xf6se"


def test_a_signature_that_fails_sends_nothing() -> None:
    def refuse(data: bytes) -> bytes:
        raise KeyError

    session = Session()
    with pytest.raises(KeyError):
        session.auth.publickey("a", b"b", b"c", refuse)
    assert len(session.sent) == 1
    with pytest.raises(ProtocolError):  # and nothing is outstanding
        session.receive(FAILURE)


# What comes ------------------------------------------------------------------------------------------------------


@each_method
def test_success(method: str) -> None:
    session = Session()
    REQUESTS[method](session.auth)
    assert session.receive(SUCCESS) == ua.Success()
    assert session.auth.done


@each_method
@pytest.mark.parametrize("partial", [False, True])
def test_failure(method: str, partial: bool) -> None:
    session = Session()
    REQUESTS[method](session.auth)
    event = session.receive(bytes((51,)) + name_list(("password", "x")) + boolean(partial))
    assert event == ua.Failure(method, ("password", "x"), partial)  # type: ignore[arg-type]
    assert not session.auth.done


def test_partial_success_goes_on() -> None:
    session = Session()
    REQUESTS["publickey"](session.auth)
    assert session.receive(bytes((51,)) + name_list(("password",)) + boolean(True)) == ua.Failure(
        "publickey", ("password",), True
    )
    session.auth.password("secret")
    assert session.receive(SUCCESS) == ua.Success()


def test_answers_of_methods() -> None:
    session = Session()
    REQUESTS["publickey-query"](session.auth)
    assert session.receive(PK_OK) == ua.KeyAccepted("ssh-ed25519", b"blob")
    session.auth.password("secret")
    assert session.receive(CHANGE) == ua.PasswordChangeWanted("new one, please")
    session.auth.keyboard_interactive()
    expected = ua.AnswersWanted("name", "do this", (ua.Prompt("Password: ", False),))
    assert session.receive(INFO) == expected
    session.auth.answer(["secret"])
    assert session.receive(INFO) == expected
    session.auth.answer(["more"])
    assert session.receive(bytes((60,)) + text("") * 3 + uint32(0)) == ua.AnswersWanted("", "", ())
    session.auth.answer([])
    assert session.receive(SUCCESS) == ua.Success()


def test_banners_at_any_time_before_success() -> None:
    session = Session(accepted=False)
    assert session.receive(BANNER) == ua.Banner("hello\n")
    session.receive(SERVICE_ACCEPT)
    assert session.receive(BANNER) == ua.Banner("hello\n")
    session.auth.none()
    assert session.receive(BANNER) == ua.Banner("hello\n")
    session.receive(SUCCESS)
    with pytest.raises(ProtocolError):
        session.receive(BANNER)


# What may not come -----------------------------------------------------------------------------------------------


def refused(session: Session, number: int, payload: bytes) -> None:
    with pytest.raises(ProtocolError, match=f"Unexpected .*{m.name_of(number)}"):
        session.receive(payload)


SOME = {51: FAILURE, 52: SUCCESS, 60: PK_OK}


@pytest.mark.parametrize("number", [n for n in range(50, 80) if n != 53])
def test_before_the_service_is_accepted(number: int) -> None:
    session = Session(accepted=False)
    REQUESTS["password"](session.auth)
    refused(session, number, SOME.get(number, bytes((number,))))
    assert not session.auth.done


@pytest.mark.parametrize("number", [n for n in range(50, 80) if n != 53])
def test_when_nothing_was_asked(number: int) -> None:
    session = Session()
    refused(session, number, SOME.get(number, bytes((number,))))
    assert not session.auth.done


@each_method
def test_everything_else_while_a_request_is_out(method: str) -> None:
    for number in set(range(50, 80)) - {53} - set(ALLOWED[method]):
        session = Session()
        REQUESTS[method](session.auth)
        refused(session, number, SOME.get(number, bytes((number,))))
        assert not session.auth.done
    for payload in ALLOWED[method].values():
        session = Session()
        REQUESTS[method](session.auth)
        assert session.receive(payload) is not None


@pytest.mark.parametrize("number", range(50, 80))
def test_after_success(number: int) -> None:
    session = Session()
    session.auth.none()
    session.auth.password("pipelined")
    session.receive(SUCCESS)
    with pytest.raises(ProtocolError):
        session.receive(SOME.get(number, BANNER if number == 53 else bytes((number,))))


def test_service_accept() -> None:
    session = Session(accepted=False)
    with pytest.raises(ProtocolError, match="not asked for"):
        session.receive(bytes((6,)) + text("ssh-connection"))
    session.receive(SERVICE_ACCEPT)
    refused(session, 6, SERVICE_ACCEPT)


def test_service_accept_that_was_not_asked_for() -> None:
    auth = ua.UserAuth("user", lambda *parts: None)
    with pytest.raises(ProtocolError):
        auth.receive(memoryview(SERVICE_ACCEPT))


@pytest.mark.parametrize("answer", [bytes((51,)), FAILURE[:-1], bytes((53,)), BANNER[:-1]])
def test_malformed_answers(answer: bytes) -> None:
    session = Session()
    session.auth.none()
    with pytest.raises(ProtocolError):
        session.receive(answer)
    assert not session.auth.done


@each_method
def test_bytes_behind_an_answer_are_refused(method: str) -> None:
    for answer in (*ALLOWED[method].values(), BANNER):
        session = Session()
        REQUESTS[method](session.auth)
        with pytest.raises(ProtocolError):
            session.receive(answer + b"x")
        assert not session.auth.done
    session = Session(accepted=False)
    with pytest.raises(ProtocolError):
        session.receive(SERVICE_ACCEPT + b"x")
    assert not session.auth.service_accepted


@pytest.mark.parametrize(
    ("method", "answer"),
    [("publickey-query", PK_OK), ("password", CHANGE), ("keyboard-interactive", INFO)],
)
def test_every_shorter_answer_is_refused(method: str, answer: bytes) -> None:
    for length in range(1, len(answer)):
        session = Session()
        REQUESTS[method](session.auth)
        with pytest.raises(ProtocolError):
            session.receive(answer[:length])


def info(count: int, prompts: int) -> bytes:
    return bytes((60,)) + text("") * 3 + uint32(count) + (text("?") + boolean(True)) * prompts


def test_bounds_of_an_info_request() -> None:
    session = Session()
    session.auth.keyboard_interactive()
    event = session.receive(info(ua.MAX_PROMPTS, ua.MAX_PROMPTS))
    assert isinstance(event, ua.AnswersWanted)
    assert event.prompts == (ua.Prompt("?", True),) * ua.MAX_PROMPTS
    for count in (ua.MAX_PROMPTS + 1, 2**31, 2**32 - 1):
        session = Session()
        session.auth.keyboard_interactive()
        with pytest.raises(ProtocolError, match=f"asks {count} questions"):
            session.receive(info(count, 3))
    for count in (2, ua.MAX_PROMPTS):
        session = Session()
        session.auth.keyboard_interactive()
        with pytest.raises(ProtocolError, match="too early"):
            session.receive(info(count, 1))


def test_a_second_round_before_the_first_is_answered() -> None:
    """RFC 4256 section 3.2: the server may not ask again before it has its answers."""
    session = Session()
    session.auth.keyboard_interactive()
    session.receive(INFO)
    with pytest.raises(ProtocolError):
        session.receive(INFO)


def test_failure_ends_a_round() -> None:
    session = Session()
    session.auth.keyboard_interactive()
    session.receive(INFO)
    assert session.receive(FAILURE) == ua.Failure("keyboard-interactive", ("publickey", "password"), False)
    session.auth.keyboard_interactive()
    assert isinstance(session.receive(INFO), ua.AnswersWanted)


# Pipelining ------------------------------------------------------------------------------------------------------


def test_pipelined_answers_are_matched_in_order() -> None:
    session = Session(accepted=False)
    for method in ("publickey-query", "publickey", "none", "password", "keyboard-interactive"):
        REQUESTS[method](session.auth)
    session.receive(SERVICE_ACCEPT)
    assert session.receive(PK_OK) == ua.KeyAccepted("ssh-ed25519", b"blob")
    methods = ("publickey", "password")
    assert session.receive(FAILURE) == ua.Failure("publickey", methods, False)
    assert session.receive(BANNER) == ua.Banner("hello\n")
    assert session.receive(FAILURE) == ua.Failure("none", methods, False)
    assert session.receive(CHANGE) == ua.PasswordChangeWanted("new one, please")
    assert isinstance(session.receive(INFO), ua.AnswersWanted)
    session.auth.answer(["x"])
    assert session.receive(SUCCESS) == ua.Success()
    assert session.auth.done


def test_success_answers_all_that_is_out() -> None:
    session = Session()
    REQUESTS["publickey"](session.auth)
    REQUESTS["publickey"](session.auth)
    assert session.receive(SUCCESS) == ua.Success()
    refused(session, 51, FAILURE)


def test_awaits_proof() -> None:
    session = Session()
    seen = [session.auth.awaits_proof]
    for step in (REQUESTS["publickey-query"], REQUESTS["publickey"]):
        step(session.auth)
        seen.append(session.auth.awaits_proof)
    for _ in range(2):
        session.receive(FAILURE)
        seen.append(session.auth.awaits_proof)
    assert seen == [False, False, True, True, False]


def test_any_bytes_give_a_protocol_error_or_an_event() -> None:
    random = Random(31)
    good = [SUCCESS, FAILURE, BANNER, PK_OK, CHANGE, INFO, SERVICE_ACCEPT]
    for _ in range(4000):
        session = Session(accepted=random.random() < 0.9)
        for _ in range(random.randrange(3)):
            REQUESTS[random.choice(list(REQUESTS))](session.auth)
        for _ in range(4):
            payload = bytearray(random.choice(good))
            for _ in range(random.randrange(4)):
                payload[random.randrange(len(payload))] = random.choice((0, 1, 60, 127, 128, 255))
            try:
                session.receive(bytes(payload[: random.randint(1, len(payload))]))
            except ProtocolError:
                break


# Proofs by hosts ------------------------------------------------------------------------------------------------


def test_proof_bound_to_the_host_key() -> None:
    """OpenSSH's PROTOCOL, publickey-hostbound@openssh.com: the host key follows the key, and is signed with it."""
    session = Session()
    signed = []

    def note(data: bytes) -> bytes:
        signed.append(data)
        return b"the signature blob"

    session.auth.publickey("ssh-ed25519", b"the blob", b"H" * 32, note, host_key=b"the host's")
    request = (
        HEAD + text("publickey-hostbound-v00@openssh.com") + b"\1" + text("ssh-ed25519") + string(b"the blob")
    )
    request += string(b"the host's")
    assert signed == [string(b"H" * 32) + request]
    assert session.sent[-1] == request + string(b"the signature blob")
    assert session.auth.awaits_proof
    assert session.receive(FAILURE) == ua.Failure("publickey", ("publickey", "password"), False)


def test_hostbased() -> None:
    """RFC 4252 section 9."""
    session = Session()
    signed = []

    def note(data: bytes) -> bytes:
        signed.append(data)
        return b"the signature blob"

    session.auth.hostbased("rsa-sha2-512", b"the blob", ("client.test.", "jörg"), b"H" * 64, note)
    request = HEAD + text("hostbased") + text("rsa-sha2-512") + string(b"the blob")
    request += text("client.test.") + text("jörg")
    assert signed == [string(b"H" * 64) + request]
    assert session.sent[-1] == request + string(b"the signature blob")
    for number in set(range(50, 80)) - {51, 52, 53}:
        other = Session()
        other.auth.hostbased("ssh-ed25519", b"b", ("c.", "u"), b"s", note)
        refused(other, number, SOME.get(number, bytes((number,))))
    assert session.receive(SUCCESS) == ua.Success()


# gssapi-with-mic (RFC 4462 section 3) ---------------------------------------------------------------------------

RESPONSE = bytes((60,)) + string(b"\x06\x03oid")
TOKEN = bytes((61,)) + string(b"from the server")
ERRTOK = bytes((65,)) + string(b"it failed")
ERROR = bytes((64,)) + uint32(1) + uint32(2) + text("no such luck") + text("en")


def gssapi_session(*received: bytes) -> Session:
    session = Session()
    session.auth.gssapi(b"\x06\x03oid")
    for payload in received:
        session.receive(payload)
    return session


def test_gssapi_exchange() -> None:
    session = gssapi_session()
    assert session.sent[-1] == HEAD + text("gssapi-with-mic") + uint32(1) + string(b"\x06\x03oid")
    assert session.receive(RESPONSE) == ua.MechanismChosen(b"\x06\x03oid")
    session.auth.gssapi_token(b"ours")
    assert session.sent[-1] == bytes((61,)) + string(b"ours")
    assert session.receive(TOKEN) == ua.TokenReceived(b"from the server", False)
    signed = session.auth.gssapi_signed(b"session")
    assert signed == string(b"session") + HEAD + text("gssapi-with-mic")
    session.auth.gssapi_mic(b"mic")
    assert session.sent[-1] == bytes((66,)) + string(b"mic")
    assert session.receive(SUCCESS) == ua.Success()


def test_gssapi_without_integrity() -> None:
    session = gssapi_session(RESPONSE)
    session.auth.gssapi_mic(None)
    assert session.sent[-1] == bytes((63,))
    assert session.receive(FAILURE) == ua.Failure("gssapi-with-mic", ("publickey", "password"), False)


def test_gssapi_errors() -> None:
    session = gssapi_session(RESPONSE)
    session.auth.gssapi_token(b"what failed", error=True)
    assert session.sent[-1] == bytes((65,)) + string(b"what failed")
    assert session.receive(ERROR) == ua.GssapiError("no such luck")
    assert session.receive(ERRTOK) == ua.TokenReceived(b"it failed", True)
    assert session.receive(FAILURE) == ua.Failure("gssapi-with-mic", ("publickey", "password"), False)


def test_what_gssapi_does_not_allow() -> None:
    asked = {60, 64}
    exchanging = {61, 64, 65}
    samples = {60: RESPONSE, 61: TOKEN, 64: ERROR, 65: ERRTOK}
    for before, allowed in (((), asked), ((RESPONSE,), exchanging), ((RESPONSE, TOKEN), exchanging)):
        for number in set(range(50, 80)) - {51, 52, 53}:
            session = gssapi_session(*before)
            payload = samples.get(number, bytes((number,)))
            if number in allowed:
                assert session.receive(payload) is not None
            else:
                refused(session, number, payload)
    for payload in (RESPONSE, TOKEN, ERRTOK):  # what is proven is not to be talked about
        session = gssapi_session(RESPONSE)
        session.auth.gssapi_mic(b"mic")
        refused(session, payload[0], payload)


@pytest.mark.parametrize("payload", [RESPONSE, TOKEN, ERRTOK, ERROR])
def test_every_shorter_gssapi_message_is_refused(payload: bytes) -> None:
    before = () if payload[0] == 60 else (RESPONSE,)
    for length in range(1, len(payload)):
        with pytest.raises(ProtocolError):
            gssapi_session(*before, payload[:length])
    with pytest.raises(ProtocolError):
        gssapi_session(*before, payload + b"x")


@pytest.mark.parametrize("payload", [TOKEN, ERRTOK, ERROR])
def test_gssapi_tokens_come_to_an_end(payload: bytes) -> None:
    session = gssapi_session(RESPONSE, *[payload] * ua.MAX_TOKENS)
    with pytest.raises(ProtocolError, match="no end"):
        session.receive(payload)


def test_abandoned_request_is_not_answered() -> None:
    """RFC 4252 section 5.1: with the next request the server forgets the one before."""
    session = gssapi_session(RESPONSE, TOKEN)
    session.auth.abandon()
    session.auth.keyboard_interactive()
    refused(session, 61, TOKEN)
    assert isinstance(session.receive(INFO), ua.AnswersWanted)
    session.auth.answer(["x"])
    assert session.receive(FAILURE) == ua.Failure("keyboard-interactive", ("publickey", "password"), False)
    refused(session, 51, FAILURE)
