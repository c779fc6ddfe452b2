"""`--diagnose` on the way to a host: several addresses, of which some do not answer, and what nobody is asked."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.local import StageProblem, configuration, forwards
from pyssh_cli.client.diagnose.probe import MAX_LINES, Nobody, Notes
from pyssh_cli.client.diagnose.reach import reach
from pyssh_cli.client.diagnose.trip import Trip
from pyssh_cli.client.identities import Identities
from pyssh_cli.client.outcomes import Outcome
from pyssh_cli.client.way import Leg
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import NetworkError
from pyssh_cli.keys.algorithms import SK_ED25519
from pyssh_cli.log import DEBUG1, ERROR, INFO, Log
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.net.tcp import Place, connect_to, try_each
from tests.unit.keygen import Authenticator, certify, keygen, make

GOOD, FULL, CLOSED = "127.0.0.1", "127.0.0.2", "127.0.0.3"
"""Addresses of this machine: one where somebody listens, one where nobody accepts, one where nobody is."""


def options_of(tmp_path: Path, *lines: str, settings: Settings | None = None) -> Options:
    path = tmp_path / "config"
    path.write_text("".join(f"{line}\n" for line in lines))
    return resolve(settings or Settings(), "box", SystemNetwork(), Log(), config_file=str(path))


@pytest.fixture
def port() -> Iterator[int]:
    """The port at all three."""
    with socket.create_server((GOOD, 0)) as good, socket.socket() as full:
        port: int = good.getsockname()[1]
        try:
            full.bind((FULL, port))
        except OSError as error:
            pytest.skip(f"{FULL}: {error.strerror}")
        full.listen(0)
        waiting = []
        for _ in range(4):  # what does not fit into its queue is not answered
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((FULL, port))
            waiting.append(one)
        yield port
        for one in waiting:
            one.close()


def test_each_address_is_tried(tmp_path: Path, port: int) -> None:
    place = Place("host", "box", port, (FULL, CLOSED, GOOD, GOOD))
    tried = try_each(place, options_of(tmp_path), Log(), monotonic() + 0.3)
    assert [(each.address, each.error) for each in tried] == [
        (FULL, errno.ETIMEDOUT), (CLOSED, errno.ECONNREFUSED), (GOOD, 0),
    ]  # fmt: skip
    assert [each.sock is not None for each in tried] == [False, False, True]
    assert tried[0].seconds >= 0.3
    assert tried[2].sock is not None
    tried[2].sock.close()


def test_only_addresses_of_the_kind_to_connect_from_are_tried(tmp_path: Path, port: int) -> None:
    """The others are passed over; when none is left, that is the reason."""
    options = options_of(tmp_path, f"BindAddress {GOOD}")
    place = Place("host", "box", port, ("::1", GOOD))
    sock, address = connect_to(place, options, Log(), monotonic() + 60, lambda: None)
    with sock:
        assert (address, sock.getsockname()[0]) == (GOOD, GOOD)
    tried = try_each(place, options, Log(), monotonic() + 60)
    assert [(each.address, each.error) for each in tried] == [("::1", errno.EAFNOSUPPORT), (GOOD, 0)]
    assert tried[1].sock is not None
    tried[1].sock.close()
    nowhere = place._replace(addresses=("::1",))
    with pytest.raises(NetworkError, match=f"getaddrinfo: {GOOD}: .*BindAddress"):
        connect_to(nowhere, options, Log(), monotonic() + 60, lambda: None)
    with pytest.raises(NetworkError, match=f"getaddrinfo: {GOOD}: .*BindAddress"):
        try_each(nowhere, options, Log(), monotonic() + 60)
    closed = Place("host", "box", port, (CLOSED, "::1"))
    with pytest.raises(NetworkError, match="refused"):  # the last one's is no better
        connect_to(closed, options, Log(), monotonic() + 60, lambda: None)


def trip(options: Options, port: int, *addresses: str, limit: float = 60.0) -> Trip:
    made = Trip(Leg(options._replace(port=port), Log(), "box"), Notes(Log()), None, is_last=True)
    made.addresses = addresses
    made.limit = limit
    return made


def test_an_address_that_answers_behind_one_that_does_not(tmp_path: Path, port: int) -> None:
    made = trip(options_of(tmp_path, "ConnectTimeout 7"), port, FULL, GOOD, limit=0.3)
    with pytest.raises(StageProblem) as raised:
        reach(made)
    assert raised.value.status == "warning"
    assert "ConnectTimeout (7 s) ends it there" in raised.value.problem
    assert isinstance(raised.value.facts, f.Way)
    assert [each.used for each in raised.value.facts.attempts] == [False, True]
    assert made.carrier is not None
    assert made.carrier.address == GOOD
    made.close()


def test_no_address_answers(tmp_path: Path, port: int) -> None:
    made = trip(options_of(tmp_path), port, FULL, CLOSED, limit=0.3)
    with pytest.raises(StageProblem) as raised:
        reach(made)
    assert (raised.value.status, made.carrier) == ("failed", None)
    assert "nothing listens there" in raised.value.advice
    made.close()


def test_what_a_hop_must_not_do_is_taken_out(tmp_path: Path) -> None:
    lines = ("UpdateHostKeys yes", "PermitLocalCommand yes", "LocalCommand x", "AddKeysToAgent yes")
    made = trip(options_of(tmp_path, *lines), 22)
    assert made.options.update_host_keys == "no"
    assert not made.options.permit_local_command
    assert made.options.add_keys_to_agent[0] == "no"


def test_an_agent_that_did_not_answer_is_not_asked_again(tmp_path: Path) -> None:
    options = options_of(tmp_path, "IdentityAgent /a")
    leg = Leg(options, Notes(Log()), "box")
    sick = f.Stage("agent", "warning", 1.0, "it hangs", None, None, f.Agent("/a", None))
    made = Trip(leg, Notes(Log()), None, is_last=True, agent=sick)
    assert (made.options.identity_agent, made.agent_problem) == (None, Outcome("it hangs", "sick agent"))
    for other in (sick._replace(facts=f.Agent("/b", None)), sick._replace(status="ok"), None):
        made = Trip(leg, Notes(Log()), None, is_last=True, agent=other)
        assert (made.options.identity_agent, made.agent_problem) == ("/a", None)


def test_nobody_is_asked() -> None:
    nobody = Nobody(Log())
    assert nobody.asks_nobody
    assert nobody.ask_secret("password: ") is None
    assert nobody.ask_line("code: ") is None
    assert not nobody.confirmed
    assert nobody.confirm_host_key("?", None)
    assert nobody.confirmed


def test_notes_are_kept_and_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    notes = Notes(Log(DEBUG1))
    for _ in range(2 * MAX_LINES):
        notes.say(ERROR, "an error")
    notes.say(INFO, "one too many")
    notes.say(DEBUG1, "for -v")
    assert len(notes.take()) == MAX_LINES
    assert notes.take() == []
    assert capfd.readouterr().err == "debug1: for -v\n"


def test_what_a_key_needs(tmp_path: Path) -> None:
    plain, locked, security = (tmp_path / name for name in ("plain", "locked", "security"))
    for path in (plain, locked):
        make(path, "ed25519")
    certify(plain, locked)
    keygen("-q", "-p", "-P", "", "-N", "a passphrase", "-f", locked)
    key = Authenticator(SK_ED25519)
    security.write_bytes(key.key_file())
    security.chmod(0o600)
    lines = (*(f"IdentityFile {path}" for path in (plain, locked, security)), "SecurityKeyProvider internal")
    found = Identities(options_of(tmp_path, *lines), Log(), Nobody(Log())).candidates()
    assert [(Path(each.name).name, each.source, each.needs) for each in found] == [
        ("plain", "file", "nothing"),
        ("locked", "file", "passphrase"),
        ("locked", "certificate", "passphrase"),
        ("security", "file", "touch"),
    ]


def test_forwards_and_unix_sockets(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    lines = (f"LocalForward {there} web:80", f"LocalForward {tmp_path}/none/x web:80")
    with pytest.raises(StageProblem) as raised:
        forwards(options_of(tmp_path, *lines), Log())
    assert isinstance(raised.value.facts, f.Forwards)
    problems = [each.problem or "" for each in raised.value.facts.forwards]
    assert "StreamLocalBindUnlink" in problems[0]
    assert "no directory" in problems[1]
    unlinking = forwards(options_of(tmp_path, lines[0], "StreamLocalBindUnlink yes"), Log())
    assert unlinking.forwards[0].possible
    assert there.exists()


def test_which_files_were_read(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.write_text("Host b*\n  Port 22\nHost other\n  Port 23\n")
    settings = Settings()
    settings.wants_blocks = True
    options_of(tmp_path, f"Include {more}", "Host box", "  User ann", settings=settings)
    found = configuration(settings, str(tmp_path / "config"), "/home/ann")
    assert [(Path(file.path).name, file.present, file.blocks) for file in found.files] == [
        ("config", True, ("2: Host box",)), ("more", True, ("1: Host b*",)),
    ]  # fmt: skip
    assert configuration(Settings(), "none", "/home/ann").files == ()
