"""gssapi-with-mic without Kerberos: a library of the test's own, and servers that misbehave."""

from __future__ import annotations

import importlib.machinery
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.client import gssapi
from pyssh_cli.client.gssapi import Gssapi
from pyssh_cli.client.outcomes import Outcome
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.log import DEBUG1, Log
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.wire import string, text, uint32

HEAD = bytes((50,)) + text("ann") + text("ssh-connection") + text("gssapi-with-mic")


class GSSError(Exception):
    def __init__(self, words: str, token: bytes | None = None) -> None:
        super().__init__(words)
        self.token = token


class Oid:
    def __init__(self, dotted_form: str, elements: bytes) -> None:
        self.dotted_form = dotted_form
        self.elements = elements

    def __bytes__(self) -> bytes:
        return self.elements


KERBEROS = Oid("1.2.840.113554.1.2.2", b"kerberos")
OTHER = Oid("1.1", b"other")
SPNEGO = Oid("1.3.6.1.5.5.2", b"spnego")


class Context:
    """Gives the tokens of `steps` in turn, or raises them."""

    def __init__(self, library: Any, mech: Oid, **given: Any) -> None:
        self.steps = list(library.steps[mech.dotted_form])
        self.complete = False
        self.actual_flags = set(given["flags"])
        library.contexts.append((given["name"], given["creds"], self))
        self.taken: list[bytes | None] = []

    def step(self, token: bytes | None = None) -> bytes | None:
        self.taken.append(token)
        found = self.steps.pop(0)
        if isinstance(found, GSSError):
            raise found
        self.complete = not self.steps
        assert found is None or isinstance(found, bytes)
        return found

    def get_signature(self, data: bytes) -> bytes:
        return b"MIC of " + data


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A gssapi module in whose `steps` each mechanism's tokens are set."""
    made: Any = types.ModuleType("gssapi")
    made.__spec__ = importlib.machinery.ModuleSpec("gssapi", None)
    made.exceptions = types.ModuleType("gssapi.exceptions")
    made.exceptions.GSSError = GSSError
    made.raw = types.SimpleNamespace(indicate_mechs=lambda: {SPNEGO, OTHER, KERBEROS})
    made.steps = {KERBEROS.dotted_form: [b"first", None], OTHER.dotted_form: [GSSError("no credentials")]}
    made.contexts = []
    made.Name = lambda name, _kind: name
    made.NameType = types.SimpleNamespace(hostbased_service=1, user=2)
    made.Credentials = lambda **given: given["name"]
    made.RequirementFlag = types.SimpleNamespace(mutual_authentication=2, integrity=32, delegate_to_peer=1)
    made.SecurityContext = lambda mech, **given: Context(made, mech, **given)
    monkeypatch.setitem(sys.modules, "gssapi", made)
    monkeypatch.setitem(sys.modules, "gssapi.exceptions", made.exceptions)
    return made


@pytest.fixture
def sent() -> list[bytes]:
    return []


@pytest.fixture
def start(tmp_path: Path, sent: list[bytes]) -> Callable[..., Gssapi]:
    def make(config: str = "", *, delegate: bool = False) -> Gssapi:
        (tmp_path / "config").write_text(config)
        options = resolve(Settings(), "host.test", SystemNetwork(), Log(), config_file=str(tmp_path / "config"))
        auth = ua.UserAuth("ann", lambda *parts: sent.append(b"".join(parts)))
        return Gssapi(options, Log(DEBUG1), auth, b"session", delegate=delegate, sock=None)

    return make


CHOSEN = ua.MechanismChosen(b"\x06\x08kerberos")


def test_an_exchange(library: Any, start: Callable[..., Gssapi], sent: list[bytes]) -> None:
    one = start(delegate=True)
    assert one.attempt()
    assert sent == [HEAD + uint32(1) + string(b"\x06\x08kerberos")]
    assert one.receive(CHOSEN)
    assert sent[1:] == [bytes((61,)) + string(b"first")]
    assert one.receive(ua.TokenReceived(b"theirs", False))
    mic = b"MIC of " + string(b"session") + HEAD
    assert sent[2:] == [bytes((66,)) + string(mic)]
    name, credentials, context = library.contexts[0]
    assert (name, credentials, context.taken) == ("host@host.test", None, [None, b"theirs"])
    assert context.actual_flags == {1, 2, 32}
    assert not one.attempt()  # the other mechanism has no credentials, and SPNEGO is not for this
    assert one.problem == Outcome("no credentials", "no ticket")


def test_names_of_the_configuration(library: Any, start: Callable[..., Gssapi]) -> None:
    assert start("GSSAPIServerIdentity other.test\nGSSAPIClientIdentity bob@REALM\n").attempt()
    name, credentials, context = library.contexts[0]
    assert (name, credentials) == ("host@other.test", "bob@REALM")
    assert context.actual_flags == {2, 32}


@pytest.mark.parametrize("mechanism", [b"", b"\x06\x05other", b"\x06\x08kerberosx", b"kerberos"])
def test_another_mechanism_than_asked_for(
    library: Any, start: Callable[..., Gssapi], sent: list[bytes], mechanism: bytes
) -> None:
    one = start()
    assert one.attempt()
    assert not one.receive(ua.MechanismChosen(mechanism))
    assert len(sent) == 1


def test_failure_here_is_told_and_given_up(library: Any, start: Callable[..., Gssapi], sent: list[bytes]) -> None:
    library.steps[KERBEROS.dotted_form] = [b"first", GSSError("clocks differ", b"sorry")]
    one = start()
    assert one.attempt()
    assert one.receive(CHOSEN)
    assert not one.receive(ua.TokenReceived(b"theirs", False))
    assert sent[2:] == [bytes((65,)) + string(b"sorry")]


def test_failure_there_is_waited_for(
    library: Any, start: Callable[..., Gssapi], sent: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    library.steps[KERBEROS.dotted_form] = [b"first", GSSError("they say no", b"x")]
    one = start()
    assert one.attempt()
    assert one.receive(CHOSEN)
    assert one.receive(ua.GssapiError("no\x1b[2J\nsuch luck"))
    assert one.receive(ua.TokenReceived(b"theirs", True))
    assert len(sent) == 2
    told = capsys.readouterr().err
    assert r"Server GSSAPI Error: no\033[2J\012such luck" in told
    assert "they say no" in told


def test_mechanism_without_integrity(library: Any, start: Callable[..., Gssapi], sent: list[bytes]) -> None:
    library.steps[KERBEROS.dotted_form] = [b"all"]
    one = start()
    assert one.attempt()
    library.contexts[0][2].actual_flags = set()
    assert one.receive(CHOSEN)
    assert sent[1:] == [bytes((61,)) + string(b"all"), bytes((63,))]


def test_without_the_library(
    start: Callable[..., Gssapi], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    one = start()
    assert not one.attempt()
    assert not one.attempt()
    assert capsys.readouterr().err.count("debug1: GSSAPI is passed over") == 1


@pytest.mark.parametrize(
    ("environment", "files", "found"),
    [
        ({}, {}, False),
        ({"KRB5CCNAME": "FILE:{}/cache"}, {}, False),
        ({"KRB5CCNAME": "FILE:{}/cache"}, {"cache": "x"}, True),
        ({"KRB5CCNAME": "{}/cache"}, {"cache": "x"}, True),
        ({"KRB5CCNAME": "KEYRING:persistent:1"}, {}, True),
        ({"KRB5_CLIENT_KTNAME": "{}/keytab"}, {}, True),
        ({"KRB5_CONFIG": "{}/absent:{}/krb5.conf"}, {"krb5.conf": "[libdefaults]\n"}, False),
        ({"KRB5_CONFIG": "{}/absent:{}/krb5.conf"}, {"krb5.conf": "default_ccache_name = KCM:\n"}, True),
    ],
)
def test_tickets_are_looked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    files: dict[str, str],
    found: bool,
) -> None:
    for name in ("KRB5CCNAME", "KRB5_CLIENT_KTNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("os.getuid", lambda: 4242424242)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("{}", str(tmp_path)))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert gssapi._may_have_tickets() is found


def test_name_of_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"127.0.0.1": "Loop.Test", "loop.test": "127.0.0.1"}

    def getnameinfo(where: tuple[str, int], flags: int) -> tuple[str, str]:
        return (where[0] if flags & socket.NI_NUMERICHOST else names["127.0.0.1"], "")

    def getaddrinfo(name: str, *_: object) -> list[Any]:
        return [(0, 0, 0, "", (names[name], 0))]

    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client:
        monkeypatch.setattr(socket, "getnameinfo", getnameinfo)
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert gssapi.name_of_peer(client) == "loop.test"
        names["loop.test"] = "127.0.0.2"  # whoever owns the address may call it what they like
        assert gssapi.name_of_peer(client) == "127.0.0.1"
    here, there = socket.socketpair()
    with here, there:
        assert gssapi.name_of_peer(here) == ""


def test_a_library_that_cannot_say_what_it_knows(
    library: Any, start: Callable[..., Gssapi], sent: list[bytes]
) -> None:
    def fail() -> None:
        raise GSSError("no\nconfiguration")

    library.raw.indicate_mechs = fail
    one = start()
    assert not one.attempt()
    assert one.problem == Outcome("no configuration", "no ticket")
    assert sent == []


@pytest.mark.parametrize(("words", "kind"), [
    ("Major (851968): Unspecified, Minor (2529639053): Cannot contact any KDC for realm 'R'", "no KDC"),
    ("Major (851968): Unspecified, Minor (1): Server host/x@R not found in Kerberos database",
     "host unknown to the KDC"),
    ("Major (851968): Unspecified, Minor (1): Clock skew too great", "clock skew"),
    ("Major (851968): Unspecified, Minor (1): Ticket expired", "expired ticket"),
    ("Major (720896): The referenced credential has expired, Minor (0): Success", "expired ticket"),
    ("Major (458752): No credentials were supplied, Minor (1): No Kerberos credentials available", "no ticket"),
])  # fmt: skip
def test_what_is_the_matter_with_the_ticket(words: str, kind: str) -> None:
    assert gssapi.reason_of(words).kind == kind


def test_a_name_that_is_no_utf8_is_told(library: Any, start: Callable[..., Gssapi], sent: list[bytes]) -> None:
    library.Name = lambda name, _kind: name.encode()
    one = start()
    one._options = one._options._replace(gssapi_server_identity="b\udcf6se")
    assert not one.attempt()
    assert one.problem
    assert "surrogates not allowed" in one.problem.text
    assert sent == []
