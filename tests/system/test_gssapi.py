"""Logging in by Kerberos tickets, through a KDC and an sshd of our own (gssapi-with-mic, RFC 4462)."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.diagnosed import diagnosis, report, stages
from tests.system.enclosure import EnclosedPark
from tests.system.kerberos import Realm
from tests.system.servers import FakeServer, Park, Server, free_port, public_directory

Kerberized = Callable[..., Server]


@pytest.fixture(scope="module")
def realm(park: Park) -> Iterator[Realm]:
    """A realm with the account and another person in it, and keys of "127.0.0.1" and "other.test"."""
    directory = public_directory()
    made = Realm(directory / "realm")
    try:
        for name in (park.account.name, "somebody"):
            made.add(name)
        for host in ("127.0.0.1", "other.test"):
            made.add(f"host/{host}", made.directory / "keytab")
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def kerberized(park: Park, realm: Realm) -> Iterator[Kerberized]:
    """Starts an sshd of the realm with these lines of configuration."""
    prefix = ["env", f"KRB5_CONFIG={realm.config}", f"KRB5_KTNAME={realm.directory / 'keytab'}"]
    made = EnclosedPark(park.directory, park.account, park.host_keys, prefix)

    def start(*lines: str) -> Server:
        return made.openssh(*lines, "GSSAPIAuthentication yes", "GSSAPIStrictAcceptorCheck no")

    yield start
    made.stop()


@pytest.fixture
def tickets(pyssh: Client, realm: Realm, tmp_path: Path) -> Callable[..., None]:
    """Gives the client a ticket of a principal's, or none; its realm is ours in any case."""

    def log_in(principal: str = "") -> None:
        cache = tmp_path / "tickets"
        pyssh.environment |= {"KRB5_CONFIG": str(realm.config), "KRB5CCNAME": f"FILE:{cache}"}
        if principal:
            realm.log_in(principal, cache)

    return log_in


ON = "GSSAPIAuthentication yes"


def test_ticket_lets_in(pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]) -> None:
    server = kerberized("AuthenticationMethods gssapi-with-mic")
    tickets(server.user)
    pyssh.aim(server, ON, keys=())
    done = pyssh.run("-v", "box", "echo in; klist; true")
    assert done.stdout == b"in\n", done.stderr
    assert b'using "gssapi-with-mic"' in done.stderr


def test_ticket_goes_before_a_key(pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]) -> None:
    server = kerberized()
    tickets(server.user)
    pyssh.aim(server, ON)
    assert b'using "gssapi-with-mic"' in pyssh.run("-v", "box", "true").stderr
    pyssh.aim(server, ON, "PreferredAuthentications publickey,gssapi-with-mic")
    assert b'using "publickey"' in pyssh.run("-v", "box", "true").stderr


@pytest.mark.parametrize("flags", [(), ("-K",), ("-K", "-k"), ("-o", "GSSAPIDelegateCredentials=yes")])
def test_tickets_are_delegated_when_asked_for(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], realm: Realm, flags: tuple[str, ...]
) -> None:
    server = kerberized("AuthenticationMethods gssapi-with-mic")
    tickets(server.user)
    pyssh.aim(server, *([] if "-K" in flags else [ON]), keys=())
    done = pyssh.run(*flags, "box", f"echo in; KRB5_CONFIG={realm.config} klist")
    assert done.stdout.startswith(b"in\n"), done.stderr
    delegated = flags in {("-K",), ("-o", "GSSAPIDelegateCredentials=yes")}
    assert (f"krbtgt/{'PYSSH.TEST'}" in done.stdout.decode()) == delegated


def test_server_identity_names_the_ticket(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], tmp_path: Path, realm: Realm
) -> None:
    import subprocess

    server = kerberized("AuthenticationMethods gssapi-with-mic")
    tickets(server.user)
    pyssh.aim(server, ON, "GSSAPIServerIdentity other.test", keys=())
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    held = subprocess.run(
        ["klist", "-c", str(tmp_path / "tickets")], env=realm.environment, capture_output=True, check=True
    )
    assert re.search(rb"host/other\.test@", held.stdout)


def test_trusting_the_dns(pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]) -> None:
    """The address's name is the machine's affair; whatever it is, the next method is tried if it does not do."""
    server = kerberized()
    tickets(server.user)
    pyssh.aim(server, ON, "GSSAPITrustDns yes")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_client_identity_must_be_there(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]
) -> None:
    server = kerberized("AuthenticationMethods gssapi-with-mic")
    tickets(server.user)
    pyssh.aim(server, ON, f"GSSAPIClientIdentity {server.user}@PYSSH.TEST", keys=())
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    pyssh.aim(server, ON, "GSSAPIClientIdentity nobody@PYSSH.TEST", keys=())
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"Permission denied (gssapi-with-mic)" in done.stderr


def test_ticket_of_somebody_else_is_refused(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]
) -> None:
    server = kerberized()
    tickets("somebody")
    pyssh.aim(server, ON)
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert b'using "publickey"' in done.stderr


def test_without_a_ticket_the_next_method_is_tried(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], terminal: OpenTerminal
) -> None:
    server = kerberized("AuthenticationMethods gssapi-with-mic publickey", "LogLevel DEBUG3")
    tickets()
    pyssh.aim(server, ON)
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")


def test_ticket_and_key(pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]) -> None:
    server = kerberized("AuthenticationMethods gssapi-with-mic,publickey")
    tickets(server.user)
    pyssh.aim(server, ON)
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert b'Authenticated using "gssapi-with-mic" with partial success.' in done.stderr


@pytest.mark.beyond_ssh  # in which the library is not optional
def test_without_the_library_nothing_is_said(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], tmp_path: Path
) -> None:
    server = kerberized()
    tickets(server.user)
    (tmp_path / "gssapi.py").write_text("raise ImportError('not here')\n")
    pyssh.environment["PYTHONPATH"] = str(tmp_path)
    pyssh.aim(server, ON)
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")
    assert b"debug1: GSSAPI is passed over" in pyssh.run("-v", "box", "true").stderr


@pytest.mark.beyond_ssh
def test_library_is_not_loaded_unless_the_server_offers_it(
    pyssh: Client, openssh: Server, tickets: Callable[..., None], tmp_path: Path
) -> None:
    tickets(openssh.user)
    (tmp_path / "gssapi.py").write_text("raise SystemExit('loaded')\n")
    pyssh.environment["PYTHONPATH"] = str(tmp_path)
    pyssh.aim(openssh, ON)
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")


# What --diagnose finds -------------------------------------------------------------------------------------------

ONLY = "AuthenticationMethods gssapi-with-mic"


def voucher(found: dict[str, Any]) -> dict[str, Any]:
    """What is told of Kerberos."""
    (made,) = stages(found)["authentication"]["facts"]["vouchers"]
    assert made["method"] == "gssapi-with-mic"
    return dict(made)


@pytest.mark.beyond_ssh
def test_diagnosis_with_a_ticket(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], tmp_path: Path
) -> None:
    server = kerberized(ONLY)
    tickets(server.user)
    cache = (tmp_path / "tickets").read_bytes()
    pyssh.aim(server, ON, keys=())
    found = diagnosis(pyssh, "box")
    told = voucher(found)
    assert (told["by"], told["problem"], told["advice"]) == (f"{server.user}@PYSSH.TEST", None, None)
    assert 0 < told["seconds"] <= 86400
    assert (found["login"], found["asks"]) == ("perhaps", [])
    assert f"by Kerberos, as {server.user}@PYSSH.TEST" in found["summary"]
    assert f"Kerberos: {server.user}@PYSSH.TEST, for 24 h more" in " ".join(report(pyssh, "box").text.split())
    # stderr may be a file, which the process that asks the KDC cannot write to.
    with (tmp_path / "log").open("wb") as log, pyssh.start("--diagnose", "-vvv", "box", stderr=log) as process:
        assert b"for 24 h more" in process.communicate()[0]
    # The ticket for the host was only got into memory, and proved to nobody.
    assert (tmp_path / "tickets").read_bytes() == cache
    assert "method gssapi-with-mic" not in server.log_text()
    assert diagnosis(pyssh, "-oGSSAPIAuthentication=no", "box")["login"] == "no"
    pyssh.aim(kerberized(), ON)
    assert diagnosis(pyssh, "box")["login"] == "yes"


@pytest.mark.beyond_ssh
def test_diagnosis_without_a_ticket(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], tmp_path: Path
) -> None:
    server = kerberized(ONLY)
    pyssh.aim(server, ON, keys=())
    tickets()
    found = diagnosis(pyssh, "box")
    assert (voucher(found)["problem"], found["login"]) == ("there is no ticket", "no")
    assert found["advice"] == "there is no ticket: get a Kerberos ticket with kinit"
    tickets(server.user)
    found = diagnosis(pyssh, "-oGSSAPIClientIdentity=nobody@PYSSH.TEST", "box")
    assert voucher(found)["problem"] == "there is no ticket of nobody@PYSSH.TEST (GSSAPIClientIdentity)"
    found = diagnosis(pyssh, "-oGSSAPIServerIdentity=nowhere.test", "box")
    assert voucher(found)["problem"].endswith("not found in Kerberos database")
    assert "GSSAPIServerIdentity" in found["advice"]
    (tmp_path / "gssapi.py").write_text("raise ImportError('not here')\n")
    pyssh.environment["PYTHONPATH"] = str(tmp_path)
    assert "install the Python package gssapi" in diagnosis(pyssh, "box")["advice"]


@pytest.mark.beyond_ssh
def test_an_expired_ticket(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None], realm: Realm, tmp_path: Path
) -> None:
    server = kerberized(ONLY)
    tickets(server.user)
    realm.expire(tmp_path / "tickets")
    cache = (tmp_path / "tickets").read_bytes()
    pyssh.aim(server, ON, keys=())
    found = diagnosis(pyssh, "box")
    assert (tmp_path / "tickets").read_bytes() == cache
    told = voucher(found)
    assert (told["seconds"], told["problem"]) == (None, "the ticket has expired")
    assert (found["login"], found["advice"]) == (
        "no", "the ticket has expired: get a new Kerberos ticket with kinit"
    )  # fmt: skip
    done = pyssh.run("box", "true")
    assert b"Tried: gssapi-with-mic (not tried: Ticket expired)\n" in done.stderr
    assert b"What may help: get a new Kerberos ticket with kinit\n" in done.stderr


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("silent", [False, True])
def test_diagnosis_without_the_kdc(
    pyssh: Client,
    kerberized: Kerberized,
    tickets: Callable[..., None],
    realm: Realm,
    tmp_path: Path,
    fake_server: Callable[..., FakeServer],
    silent: bool,
) -> None:
    """It is gone, or it takes connections and says nothing."""
    server = kerberized(ONLY)
    tickets(server.user)
    port = fake_server(say_nothing).port if silent else free_port()
    config = re.sub(r"(kdc = 127\.0\.0\.1:)\d+", rf"\g<1>{port}", realm.config.read_text())
    (tmp_path / "krb5.conf").write_text(config)
    pyssh.environment["KRB5_CONFIG"] = str(tmp_path / "krb5.conf")
    pyssh.aim(server, ON, "ConnectTimeout 2", keys=())
    found = diagnosis(pyssh, "box")
    problem = voucher(found)["problem"]
    if silent:
        assert problem == "cannot contact any KDC: none has answered within 2 seconds"
    else:
        assert problem == "Cannot contact any KDC for realm 'PYSSH.TEST'"
    assert (found["login"], "the realm's KDC (krb5.conf, network, VPN)" in found["advice"]) == ("no", True)


@pytest.mark.beyond_ssh
def test_diagnosis_ends_at_a_jump_host_that_wants_a_ticket(
    pyssh: Client, kerberized: Kerberized, openssh: Server, tickets: Callable[..., None]
) -> None:
    server = kerberized(ONLY)
    tickets(server.user)
    pyssh.aim(server, ON, keys=())
    found = diagnosis(pyssh, "-J", "box", f"{openssh.user}@127.0.0.1")
    assert [hop["name"] for hop in found["hops"]] == ["box"]
    assert (stages(found)["authentication"]["status"], found["login"]) == ("asks", "perhaps")
    assert found["summary"].startswith("beyond box nothing is known: a login may work by Kerberos, as ")
    assert found["advice"] == "log in to box to see whether it does"


@pytest.mark.beyond_ssh
def test_a_ticket_of_somebody_else_is_told(
    pyssh: Client, kerberized: Kerberized, tickets: Callable[..., None]
) -> None:
    server = kerberized(ONLY)
    tickets("somebody")
    pyssh.aim(server, ON, keys=())
    found = diagnosis(pyssh, "box")
    assert (found["login"], "as somebody@PYSSH.TEST" in found["summary"]) == ("perhaps", True)
    done = pyssh.run("box", "true")
    assert f"does not let the ticket's owner in as {server.user}: see ~/.k5login there" in done.stderr.decode()
