"""The authenticator without a network: what it remembers, and which answers it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.client.authenticate import Authenticator
from pyssh_cli.client.candidates import FileCandidate
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import AuthenticationError
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.protocol import messages as m
from pyssh_cli.terminal.questions import Questions
from pyssh_cli.wire import boolean, name_list, string, text
from tests.unit import keygen
from tests.unit.peer import Link, connected

ACCEPT = bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth")
FAILURE = bytes((m.USERAUTH_FAILURE,)) + name_list(("publickey",)) + boolean(False)
SUCCESS = bytes((m.USERAUTH_SUCCESS,))

Make = Callable[[str], Authenticator]


@pytest.fixture
def link() -> Link:
    return connected(authenticated=False)


@pytest.fixture
def make(tmp_path: Path, link: Link) -> Make:
    """Makes an Authenticator with a key of this kind."""

    def start(kind: str) -> Authenticator:
        keygen.make(tmp_path / "key", kind)
        lines = f"IdentityFile {tmp_path}/key\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\n"
        (tmp_path / "config").write_text(lines)
        log = Log()
        options = resolve(Settings(), "box", SystemNetwork(), log, config_file=str(tmp_path / "config"))
        return Authenticator(options, log, Questions(log, batch_mode=True), link.transport, unsafe=False)

    return start


def files(one: Authenticator) -> list[FileCandidate]:
    return [c for c in one._identities.candidates() if isinstance(c, FileCandidate)]


def take(one: Authenticator, *payloads: bytes) -> bool:
    return [one.receive(memoryview(payload)) for payload in payloads][-1]


@pytest.mark.parametrize("let_in", [True, False])
def test_keys_are_forgotten_once_the_server_has_decided(make: Make, let_in: bool) -> None:
    one = make("ed25519")
    assert one.start()
    assert not one.start()  # nothing is sent twice
    [key] = files(one)
    assert key._key is not None
    if let_in:
        assert take(one, ACCEPT, SUCCESS)
    else:
        with pytest.raises(AuthenticationError, match="Permission denied"):
            take(one, ACCEPT, FAILURE, FAILURE)
    assert not key._key
    assert key._content == b""
    assert files(one) == []
    assert one._keys.key is None
    assert not one._keys.attempt()


@pytest.mark.parametrize(
    ("algorithm", "taken"), [("rsa-sha2-512", True), ("ssh-rsa", True), ("ssh-ed25519", False), ("", False)]
)
def test_a_key_may_be_accepted_by_what_was_offered_only(
    make: Make, tmp_path: Path, link: Link, monkeypatch: pytest.MonkeyPatch, algorithm: str, taken: bool
) -> None:
    monkeypatch.setattr(FileCandidate, "asks", "surely")  # the server is asked first
    one = make("rsa-2048")
    assert not one.start()
    public = keygen.public(tmp_path / "key")
    accepted = bytes((m.USERAUTH_PK_OK,)) + text(algorithm) + string(public.blob)
    if not taken:
        with pytest.raises(AuthenticationError, match="by an algorithm that was not offered"):
            take(one, ACCEPT, accepted)
        return
    take(one, ACCEPT, accepted)
    link.pump()
    request = link.peer.received[-1]
    assert request[0] == m.USERAUTH_REQUEST
    assert boolean(True) + text("rsa-sha2-512") + string(public.blob) in request
