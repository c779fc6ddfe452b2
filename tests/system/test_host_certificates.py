"""Hosts that show a certificate: whose authority counts, what makes one worthless, and the plain key behind it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.diagnosed import diagnosis, failed, report, stages
from tests.system.messages import bare, says
from tests.system.servers import KeyRing, Park, Server
from tests.unit.keygen import keygen

Certified = Callable[..., Server]

NAMES = "-n", "127.0.0.1,box.example"


@pytest.fixture
def certified(own_park: Park, strange_keys: KeyRing, tmp_path: Path) -> Certified:
    """Starts an sshd whose ED25519 key has a certificate by these options of ssh-keygen."""

    def start(*options: str, authority: str = "ed25519", host_keys: tuple[str, ...] = ("ed25519",)) -> Server:
        path = tmp_path / "host.pub"
        shutil.copy(f"{own_park.host_keys.path('ed25519')}.pub", path)
        keygen("-q", "-s", strange_keys.path(authority), "-I", "the box", *options, path)
        return own_park.openssh(f"HostCertificate {tmp_path / 'host-cert.pub'}", host_keys=host_keys)

    return start


def authority(strange_keys: KeyRing, names: str = "*", name: str = "ed25519") -> str:
    return f"@cert-authority {names} {strange_keys.public(name)}\n"


def host_field(server: Server) -> str:
    return f"[127.0.0.1]:{server.port}"


def test_an_authority_speaks_for_its_hosts(pyssh: Client, certified: Certified, strange_keys: KeyRing) -> None:
    server = certified("-h", *NAMES)
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    for names in (host_field(server), "127.0.0.1", "[127.0.0.1]:*", "*", "127.0.0.*"):
        pyssh.known_hosts.write_text(authority(strange_keys, names))
        done = pyssh.run("box", "echo in")
        assert (done.stdout, done.stderr) == (b"in\n", b""), names
    assert pyssh.known_hosts.read_text() == authority(strange_keys, "127.0.0.*")
    pyssh.known_hosts.write_text(authority(strange_keys, "other.example"))
    assert pyssh.run("box", "echo in").returncode == 255


def test_what_the_certificate_says_is_told(pyssh: Client, certified: Certified, strange_keys: KeyRing) -> None:
    server = certified("-h", *NAMES, "-z", "7")
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    told = pyssh.run("-v", "box", "echo in").stderr.decode()
    assert "Server host certificate: ssh-ed25519-cert-v01@openssh.com SHA256:" in told
    assert 'serial 7 ID "the box" CA ssh-ed25519 SHA256:' in told
    assert "is known and matches the ED25519-CERT host certificate." in told
    assert f"Found CA key in {pyssh.known_hosts}:1" in told


WORTHLESS = {
    "expired": (("-h", *NAMES, "-V", "20200101:20200102"), "Certificate invalid: expired"),
    "future": (("-h", *NAMES, "-V", "20400101:20410102"), "Certificate invalid: not yet valid"),
    "another host's": (("-h", "-n", "other.example"), "Certificate invalid: name is not a listed principal"),
    "a user's": (NAMES, "Certificate invalid: not a host certificate"),
    "critical": (
        ("-h", *NAMES, "-O", "critical:new@example.com=1"),
        "Certificate contains unsupported critical options",
    ),
}


@pytest.mark.parametrize(("options", "reason"), WORTHLESS.values(), ids=list(WORTHLESS))
def test_a_worthless_certificate_leaves_the_plain_key(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, options: tuple[str, ...], reason: str
) -> None:
    server = certified(*options)
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert bare(done.stderr) == [
        reason,
        f"No ED25519 host key is known for {host_field(server)} and you have requested strict checking.",
        "Host key verification failed.",
    ]
    with pyssh.known_hosts.open("a") as file:
        file.write(f"{host_field(server)} {server.host_keys[0]}\n")
    done = pyssh.run("box", "echo in")
    assert (done.stdout, bare(done.stderr)) == (b"in\n", [reason])


@pytest.mark.beyond_ssh
def test_a_certificate_for_nobody_is_worthless(pyssh: Client, certified: Certified, strange_keys: KeyRing) -> None:
    """Since OpenSSH 10.3; before, no name at all meant every host."""
    pyssh.aim(certified("-h"), "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    done = pyssh.run("box", "echo in")
    assert done.stderr.decode().splitlines()[0] == "Certificate lacks principal list"
    assert done.returncode == 255


def test_an_authority_may_sign_by_some_algorithms_only(
    pyssh: Client, certified: Certified, strange_keys: KeyRing
) -> None:
    server = certified("-h", *NAMES)
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    done = pyssh.run("-o", "CASignatureAlgorithms=rsa-sha2-512", "box", "echo in")
    assert done.returncode == 255
    assert done.stderr.decode().splitlines()[0] == "Certificate signed with disallowed algorithm"
    assert pyssh.run("-o", "CASignatureAlgorithms=ssh-ed25519", "box", "echo in").stdout == b"in\n"


@pytest.mark.parametrize(
    ("algorithm", "taken"), [("rsa-sha2-256", True), ("rsa-sha2-512", True), ("ssh-rsa", False)]
)
def test_authorities_with_rsa_keys(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, algorithm: str, taken: bool
) -> None:
    server = certified("-t", algorithm, "-h", *NAMES, authority="rsa-3072")
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys, name="rsa-3072"))
    assert (pyssh.run("box", "echo in").stdout == b"in\n") == taken


@pytest.mark.beyond_ssh
def test_an_authoritys_rsa_key_may_be_too_small(
    pyssh: Client, certified: Certified, strange_keys: KeyRing
) -> None:
    server = certified("-h", *NAMES, authority="rsa-3072")
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys, name="rsa-3072"))
    assert pyssh.run("-o", "RequiredRSASize=3072", "box", "echo in").stdout == b"in\n"
    done = pyssh.run("-o", "RequiredRSASize=3073", "box", "echo in")
    assert done.returncode == 255
    assert b"RequiredRSASize 3073" in done.stderr


@pytest.mark.parametrize("revoked", ["authority", "key"])
@pytest.mark.parametrize("how", ["line", "list"])
def test_what_is_revoked_stays_so_with_a_certificate(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, revoked: str, how: str
) -> None:
    server = certified("-h", *NAMES)
    key = strange_keys.public("ed25519") if revoked == "authority" else server.host_keys[0]
    known = authority(strange_keys) + f"{host_field(server)} {server.host_keys[0]}\n"
    if how == "line":
        pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
        pyssh.known_hosts.write_text(f"{known}@revoked * {key}\n")
    else:
        pyssh.aim(server, "StrictHostKeyChecking yes", f"RevokedHostKeys {pyssh.home / 'revoked'}", trust=False)
        pyssh.known_hosts.write_text(known)
        (pyssh.home / "revoked").write_text(f"{key}\n")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"revoked" in done.stderr
    assert b"ED25519-CERT" in done.stderr


def test_a_serial_number_may_be_revoked(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, tmp_path: Path
) -> None:
    server = certified("-h", *NAMES, "-z", "7")
    pyssh.aim(server, "StrictHostKeyChecking yes", f"RevokedHostKeys {tmp_path / 'krl'}", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    for serial, in_force in (("8", True), ("5-9", False)):
        (tmp_path / "revoked").write_text(f"serial: {serial}\n")
        authority_file = f"{strange_keys.path('ed25519')}.pub"
        keygen("-q", "-k", "-f", tmp_path / "krl", "-s", authority_file, tmp_path / "revoked")
        assert (pyssh.run("box", "echo in").stdout == b"in\n") == in_force


def test_the_alias_is_who_the_certificate_has_to_be_for(
    pyssh: Client, certified: Certified, strange_keys: KeyRing
) -> None:
    server = certified("-h", *NAMES)
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys, "*.example"))
    assert pyssh.run("-o", "HostKeyAlias=box.example", "box", "echo in").stdout == b"in\n"
    done = pyssh.run("-o", "HostKeyAlias=else.example", "box", "echo in")
    assert bare(done.stderr)[0] == "Certificate invalid: name is not a listed principal"
    assert done.returncode == 255


def test_an_unknown_authority_leaves_a_new_plain_key(
    pyssh: Client, certified: Certified, strange_keys: KeyRing
) -> None:
    server = certified("-h", *NAMES)
    pyssh.aim(server, "StrictHostKeyChecking accept-new", trust=False)
    other = authority(strange_keys, name="ecdsa-256")
    pyssh.known_hosts.write_text(other)
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert b"(ED25519) to the list of known hosts" in done.stderr
    assert pyssh.known_hosts.read_text() == f"{other}{host_field(server)} {server.host_keys[0]}\n"


def test_the_certificate_is_preferred_where_an_authority_is_known(
    pyssh: Client, certified: Certified, strange_keys: KeyRing
) -> None:
    """The server's other key comes first in our list, but only the certificate can be checked."""
    server = certified("-h", *NAMES, host_keys=("ecdsa-256", "ed25519"))
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    algorithms = "-o", "HostKeyAlgorithms=-ssh-ed25519"
    assert pyssh.run(*algorithms, "box", "echo in").stdout == b"in\n"
    assert pyssh.run("-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256", "box", "echo in").returncode == 255


def test_known_keys_stay_the_ones_to_ask_for(pyssh: Client, certified: Certified) -> None:
    server = certified("-h", *NAMES, host_keys=("ecdsa-256", "ed25519"))
    pyssh.aim(server, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(f"{host_field(server)} {server.host_keys[0]}\n")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


# What is said of the clock, and by --diagnose --------------------------------------------------------------------


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(
    ("name", "bound", "cure"),
    [("expired", "to 2020-01-02T", "have it renewed"), ("future", "from 2040-01-01T", "wait")],
)
def test_a_certificate_out_of_its_time_names_the_clock(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, name: str, bound: str, cure: str
) -> None:
    options, reason = WORTHLESS[name]
    pyssh.aim(certified(*options), "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    done = pyssh.run("box", "true")
    says(done, reason, bound, "; the clock here says ", f": {cure}, or set the wrong clock)")


@pytest.mark.beyond_ssh
def test_diagnosis_of_a_host_with_a_certificate(
    pyssh: Client, certified: Certified, strange_keys: KeyRing
) -> None:
    pyssh.aim(certified("-h", *NAMES), trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    found = diagnosis(pyssh, "box")
    host_key = stages(found)["host_key"]
    assert (host_key["status"], found["login"], found["asks"]) == ("ok", "yes", [])
    facts = host_key["facts"]
    assert (facts["known"], facts["line"], facts["outcome"], facts["flaw"]) == ("certificate", 1, "accepted", None)
    assert facts["certificate"].startswith('serial 0 ID "the box" CA ssh-ed25519 SHA256:')
    assert "its authority is known" in report(pyssh, "box").text
    pyssh.known_hosts.write_text(authority(strange_keys, name="ecdsa-256"))
    found = diagnosis(pyssh, "box")
    assert (found["login"], found["asks"]) == ("asks", ["to confirm the host key"])
    assert "its authority is not known here" in " ".join(report(pyssh, "box").text.split())


FLAWS = {
    "expired": ("expired, it is valid from 2020-01-01T", "renew its certificate; or set the clock here"),
    "future": ("not yet valid, it is valid from 2040-01-01T", "set the clock here, if it is wrong"),
    "another host's": ("it is for other.example, not for 127.0.0.1", "have its authority add 127.0.0.1"),
    "a user's": ("not a host certificate", "ssh-keygen -h"),
    "critical": ("contains unsupported critical options", "without options that are for users"),
}


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("name", FLAWS)
def test_diagnosis_of_a_worthless_certificate(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, name: str
) -> None:
    flaw, advice = FLAWS[name]
    server = certified(*WORTHLESS[name][0])
    pyssh.aim(server, trust=False)
    pyssh.known_hosts.write_text(authority(strange_keys))
    found = diagnosis(pyssh, "box")
    host_key = stages(found)["host_key"]
    assert (host_key["status"], found["login"]) == ("warning", "asks")
    assert flaw in host_key["facts"]["flaw"]
    assert advice in host_key["advice"]
    for setting in ("StrictHostKeyChecking=yes", "BatchMode=yes"):
        found = diagnosis(pyssh, "-o", setting, "box")
        assert (failed(found)["name"], found["advice"]) == ("host_key", host_key["advice"])
        assert pyssh.run("-o", setting, "box", "true").returncode == 255
    with pyssh.known_hosts.open("a") as file:
        file.write(f"{host_field(server)} {server.host_keys[0]}\n")
    found = diagnosis(pyssh, "-oBatchMode=yes", "box")
    assert (stages(found)["host_key"]["status"], found["login"]) == ("warning", "yes")
    told = " ".join(report(pyssh, "box").text.split())
    assert told.count("the certificate does not count: ") == 1


@pytest.mark.beyond_ssh
def test_diagnosis_of_what_is_revoked(
    pyssh: Client, certified: Certified, strange_keys: KeyRing, tmp_path: Path
) -> None:
    server = certified("-h", *NAMES)
    pyssh.aim(server, trust=False)
    for key, whose in (
        (strange_keys.public("ed25519"), "the authority of its certificate is revoked by "),
        (server.host_keys[0], "the key is revoked by "),
    ):
        pyssh.known_hosts.write_text(f"@revoked * {key}\n" + authority(strange_keys))
        assert failed(diagnosis(pyssh, "box"))["problem"] == f"{whose}{pyssh.known_hosts}:1"
    pyssh.known_hosts.write_text(authority(strange_keys))
    (tmp_path / "revoked").write_text(f"{strange_keys.public('ed25519')}\n")
    found = failed(diagnosis(pyssh, "-o", f"RevokedHostKeys={tmp_path / 'revoked'}", "box"))
    assert (found["facts"]["known"], "RevokedHostKeys" in found["problem"]) == ("revoked", True)
    found = failed(diagnosis(pyssh, "-o", f"RevokedHostKeys={tmp_path / 'gone'}", "box"))
    assert found["facts"]["known"] == "unchecked"
    assert found["problem"].endswith(f"refuses every host: {tmp_path / 'gone'}: No such file or directory")
    assert "RevokedHostKeys" in found["advice"]
