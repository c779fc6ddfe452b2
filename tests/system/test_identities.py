"""The keys that are tried: which, and in which order; certificates; files that are no keys; -Z."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.system.clients import PROGRAM, Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.servers import PASSPHRASE, Account, KeyRing, Server
from tests.unit.keygen import certify, make

BATCH = ("BatchMode yes", "PreferredAuthentications publickey")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory with keys of one test's own: a, b and c, and ca to certify them."""
    directory = tmp_path / "own"
    directory.mkdir()
    for name, kind in (("a", "ed25519"), ("b", "ecdsa-256"), ("c", "rsa-2048"), ("ca", "ed25519")):
        make(directory / name, kind, f"comment {name}")
    return directory


def planned(client: Client, program: list[str], *words: str) -> list[str]:
    """The keys that `program` says it will attempt, and those that it skips for their algorithm."""
    done = subprocess.run(
        [*program, "-v", "-F", str(client.config), *words, "box", "true"],
        env=client.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    lines = done.stderr.decode().replace("\r", "").splitlines()
    told = [line for line in lines if line.startswith(("debug1: Will attempt key: ", "debug1: Skipping "))]
    at_home = f"{Path.home()}/.ssh/id_"  # ssh has defaults of its own, which nobody has here
    return [line.rstrip() for line in told if at_home not in line]


COMBINATIONS = {
    "nothing": (),
    "file": ("-i", "{own}/a"),
    "files": ("-i", "{own}/c", "-i", "{own}/b", "-i", "{own}/a"),
    "only files": ("-i", "{own}/b", "-o", "IdentitiesOnly=yes"),
    "none": ("-o", "IdentityFile=none"),
    "none and only": ("-o", "IdentityFile=none", "-o", "IdentitiesOnly=yes"),
    "missing": ("-o", "IdentityFile={own}/missing", "-o", "IdentityFile={own}/a"),
    "directory": ("-o", "IdentityFile={own}", "-o", "IdentityFile={own}/c"),
    "public half": ("-i", "{own}/a.pub", "-o", "IdentitiesOnly=yes"),
    "certificate": ("-o", "CertificateFile={own}/b-cert.pub", "-i", "{own}/a", "-i", "{own}/b"),
    "certificates": ("-o", "CertificateFile={own}/b-cert.pub", "-o", "CertificateFile={own}/a-cert.pub",
                     "-i", "{own}/a", "-i", "{own}/b", "-o", "IdentitiesOnly=yes"),
    "missing certificate": ("-o", "CertificateFile={own}/missing", "-i", "{own}/a"),
    "no certificate": ("-o", "CertificateFile={own}/a.pub", "-i", "{own}/a"),
    "host certificate": ("-i", "{own}/h", "-i", "{own}/a"),
    "no agent": ("-o", "IdentityAgent=none", "-i", "{own}/b"),
    "agent of a variable": ("-o", "IdentityAgent=$OTHER_AGENT", "-i", "{own}/b"),
    "agent of a missing variable": ("-o", "IdentityAgent=$NO_AGENT", "-i", "{own}/b"),
    "agent by name": ("-o", "IdentityAgent=SSH_AUTH_SOCK", "-i", "{own}/b"),
    "agent by an expanded variable": ("-o", "IdentityAgent=${{OTHER_AGENT}}", "-i", "{own}/b"),
    "agent that is not there": ("-o", "IdentityAgent=/nonexistent", "-i", "{own}/b"),
    "accepted": ("-o", "PubkeyAcceptedAlgorithms=ssh-ed25519", "-i", "{own}/b", "-i", "{own}/a"),
    "accepted certificates": ("-o", "PubkeyAcceptedAlgorithms=*-cert-v01@openssh.com", "-i", "{own}/b"),
    "accepted RSA": ("-o", "PubkeyAcceptedAlgorithms=rsa-sha2-256", "-i", "{own}/c", "-i", "{own}/a"),
    "large RSA in the agent": ("-o", "RequiredRSASize=3072", "-i", "{own}/a"),
    "no security keys": ("-o", "SecurityKeyProvider=none", "-i", "{own}/a"),
}  # fmt: skip


@pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh to compare with")
@pytest.mark.parametrize("held", [(), ("c", "b"), ("a", "b", "c")], ids=lambda held: "".join(held) or "-")
def test_keys_are_planned_as_by_ssh(
    pyssh: Client, sshd: StartServer, agent: Agent, own: Path, held: tuple[str, ...]
) -> None:
    make(own / "h", "ed25519")
    certify(own / "ca", own / "h", "-h", "-n", "host")
    certify(own / "ca", own / "b", "-n", "nobody")
    for name in held:  # with its certificate, where there is one
        agent.add(own / name)
    certify(own / "ca", own / "a", "-n", "nobody")
    server = sshd("MaxAuthTries 30")
    pyssh.trust(server)
    lines = ("HostName 127.0.0.1", f"Port {server.port}", "User nobody", f"UserKnownHostsFile {pyssh.known_hosts}")
    pyssh.config.write_text("".join(f"{line}\n" for line in ("Host box", *lines, *BATCH)))
    pyssh.environment["OTHER_AGENT"] = str(agent.socket)
    for name, words in COMBINATIONS.items():
        if name == "public half" and "a" not in held:
            continue  # ssh offers it, and finds out then that it cannot sign
        filled = [word.format(own=own) for word in words]
        assert planned(pyssh, PROGRAM, *filled) == planned(pyssh, ["ssh"], *filled), name


@pytest.fixture
def certified(sshd: StartServer, own: Path) -> Server:
    """A server that lets in whom the key ca certifies, and by certificate only."""
    return sshd(f"TrustedUserCAKeys {own}/ca.pub", "PasswordAuthentication no", "AuthorizedKeysFile none")


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_certificate_beside_a_key(pyssh: Client, certified: Server, own: Path, name: str) -> None:
    pyssh.aim(certified, *BATCH, keys=[own / name])
    assert pyssh.run("box", "true").returncode == 255
    certify(own / "ca", own / name, "-n", certified.user)
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"])
def test_certified_rsa_signatures(pyssh: Client, certified: Server, own: Path, algorithm: str) -> None:
    certify(own / "ca", own / "c", "-n", certified.user)
    pyssh.aim(certified, *BATCH, f"PubkeyAcceptedAlgorithms {algorithm}", keys=[own / "c"])
    assert pyssh.run("box", "echo in").stdout == b"in\n"


@pytest.mark.parametrize("lives", ["file", "agent", "agent with its certificate"])
def test_certificate_of_certificate_file(
    pyssh: Client, certified: Server, own: Path, agent: Agent, lives: str
) -> None:
    if lives == "agent":
        agent.add(own / "b")
    certify(own / "ca", own / "b", "-n", certified.user)
    if lives == "agent with its certificate":
        agent.add(own / "b")
    elsewhere = own / "elsewhere"
    (own / "b-cert.pub").rename(elsewhere)
    if lives != "file":
        (own / "b").unlink()
    pyssh.aim(certified, *BATCH, f"CertificateFile {elsewhere}", keys=[own / "a", own / "b"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def test_certificate_as_an_identity(pyssh: Client, certified: Server, own: Path) -> None:
    certify(own / "ca", own / "a", "-n", certified.user)
    (own / "a-cert.pub").rename(own / "proof")
    pyssh.aim(certified, *BATCH, keys=[own / "proof", own / "a"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.beyond_ssh
def test_public_key_alone_is_not_offered(pyssh: Client, sshd: StartServer, own: Path) -> None:
    pyssh.aim(sshd("PasswordAuthentication no"), *BATCH, keys=[own / "a.pub"])
    done = pyssh.run("-v", "box", "true")
    assert done.returncode == 255
    assert b"Offering public key" not in done.stderr
    assert f"{own / 'a.pub'} is a public key, and its private key is not in the agent" in done.stderr.decode()


def test_certificate_that_the_agent_holds(pyssh: Client, certified: Server, own: Path, agent: Agent) -> None:
    certify(own / "ca", own / "a", "-n", certified.user)
    agent.add(own / "a")
    pyssh.aim(certified, *BATCH, "IdentitiesOnly no", keys=())
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.beyond_ssh
def test_certificate_of_a_locked_key(pyssh: Client, certified: Server, own: Path, terminal: OpenTerminal) -> None:
    certify(own / "ca", own / "c", "-n", certified.user)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-m", "PEM", "-f", own / "c"], check=True
    )
    (own / "c.pub").unlink()
    pyssh.aim(certified, "PreferredAuthentications publickey", keys=[own / "c"])
    shown = terminal("box", "echo in")
    shown.expect(f"Enter passphrase for key '{own / 'c'}': ")
    shown.send(PASSPHRASE + "\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-h", "-n", "host"), "not a user certificate"),
        pytest.param(("-n", "x", "-V", "20000101:20010101"), "expired", marks=pytest.mark.beyond_ssh),
        pytest.param(("-n", "x", "-V", "20990101:20990102"), "not yet valid", marks=pytest.mark.beyond_ssh),
    ],
)
def test_certificate_that_cannot_do_is_passed_over(
    pyssh: Client, openssh: Server, own: Path, options: tuple[str, ...], reason: str
) -> None:
    certify(own / "ca", own / "a", *options)
    pyssh.aim(openssh, *BATCH, keys=[own / "a", "ed25519"])
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"ignoring certificate {own / 'a'}: {reason}" in done.stderr.decode()
    assert b"ED25519-CERT" not in done.stderr


@pytest.mark.beyond_ssh
def test_certificate_of_another_key_is_passed_over(pyssh: Client, openssh: Server, own: Path) -> None:
    certify(own / "ca", own / "b", "-n", openssh.user)
    (own / "b-cert.pub").rename(own / "a-cert.pub")
    pyssh.aim(openssh, *BATCH, keys=[own / "a", "ed25519"])
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f'no separate private key for certificate "{own / "a"}"' in done.stderr.decode()


def test_public_half_of_another_key_is_told(pyssh: Client, openssh: Server, own: Path) -> None:
    (own / "a.pub").write_text(pyssh.keys.public("ed25519") + "\n")
    pyssh.aim(openssh, *BATCH, keys=[own / "a", "ecdsa-256"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"private key {own / 'a'} contents do not match public" in done.stderr.decode()


def test_small_rsa_key_is_passed_over(pyssh: Client, openssh: Server, own: Path) -> None:
    pyssh.aim(openssh, *BATCH, "RequiredRSASize 3072", keys=[own / "c", "ed25519"])
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"Offering public key: {own / 'c'}" not in done.stderr.decode()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def with_more_behind(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"-----END", b"AAAA\n-----END"))


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo_without_a_writer(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.beyond_ssh
def test_fifo_that_others_may_read_is_not_waited_for(pyssh: Client, openssh: Server, own: Path) -> None:
    fifo_without_a_writer(own / "a")
    (own / "a").chmod(0o644)
    pyssh.aim(openssh, *BATCH, keys=[own / "a", "ed25519"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"Permissions 0644 for '{own / 'a'}' are too open." in done.stderr.decode()


@pytest.mark.parametrize(
    "ruin",
    [
        cut_off,
        with_more_behind,
        pytest.param(directory, marks=pytest.mark.beyond_ssh),
        pytest.param(fifo_without_a_writer, marks=pytest.mark.beyond_ssh),
    ],
)
def test_file_that_is_no_key_is_told_and_passed_over(
    pyssh: Client, openssh: Server, own: Path, ruin: object
) -> None:
    assert callable(ruin)
    (own / "a.pub").unlink()
    ruin(own / "a")
    pyssh.aim(openssh, *BATCH, keys=[own / "a", "ed25519"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f'Load key "{own / "a"}": ' in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_missing_file_is_told_when_its_turn_comes(pyssh: Client, openssh: Server, own: Path) -> None:
    pyssh.aim(openssh, *BATCH, keys=["ed25519", own / "missing"])
    assert pyssh.run("box", "echo in").stderr == b""
    pyssh.aim(openssh, *BATCH, keys=[own / "missing", "ed25519"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    told = f"no such identity: {own / 'missing'}: No such file or directory"
    assert done.stderr.decode().splitlines() == [told]


def test_link_to_nowhere_is_told(pyssh: Client, openssh: Server, own: Path) -> None:
    (own / "link").symlink_to(own / "link")
    pyssh.aim(openssh, *BATCH, keys=[own / "link", "ed25519"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    told = f"no such identity: {own / 'link'}: Too many levels of symbolic links"
    assert done.stderr.decode().splitlines() == [told]


@pytest.mark.beyond_ssh
def test_key_that_comes_through_a_fifo(pyssh: Client, openssh: Server, own: Path) -> None:
    fifo = own / "fifo"
    os.mkfifo(fifo, 0o600)
    content = pyssh.keys.path("ed25519").read_bytes()
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    pyssh.aim(openssh, *BATCH, keys=[fifo])
    done = pyssh.run("box", "echo in")
    writer.join()
    assert done.stdout == b"in\n", done.stderr


def listed(client: Client, *words: str) -> list[str]:
    done = client.run("-Z", *words, "box")
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


@pytest.mark.beyond_ssh
def test_keys_that_would_be_tried_are_listed(pyssh: Client, agent: Agent, own: Path) -> None:
    certify(own / "ca", own / "b", "-n", "nobody")
    agent.add(own / "a")
    pyssh.aim_at_port(9, "IdentitiesOnly no", keys=[own / "b", own / "missing"])  # nobody is asked
    public = [" ".join((own / f"{name}.pub").read_text().split()[:2]) for name in ("a", "b", "b-cert")]
    assert listed(pyssh) == [f"{public[0]} comment a", f"{public[1]} {own}/b", f"{public[2]} {own}/b"]
    assert listed(pyssh, "-o", "IdentitiesOnly=yes", "-o", "PubkeyAcceptedAlgorithms=ecdsa-sha2-*") == [
        f"{public[1]} {own}/b",
        f"{public[2]} {own}/b",
    ]
    assert listed(pyssh, "-o", "PubkeyAuthentication=no") == []
    done = subprocess.run(
        ["ssh-keygen", "-l", "-f", "-"], input="\n".join(listed(pyssh)), text=True, capture_output=True, check=True
    )
    assert len(done.stdout.splitlines()) == 3


def test_refused_keys_are_named_with_those_not_tried(
    pyssh: Client, sshd: StartServer, own: Path, account: Account, strange_keys: KeyRing
) -> None:
    certify(own / "ca", own / "a", "-n", "nobody", "-V", "20000101:20010101")
    pyssh.aim(sshd("PasswordAuthentication no"), *BATCH, keys=[own / "a", strange_keys.path("rsa-3072")])
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr
    assert sys.executable.encode() not in done.stderr
