"""What a login that fails says: keys, agents, certificates, passwords and accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests.system.clients import Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.doors import Door, DoorServer
from tests.system.messages import as_ssh, says
from tests.system.scripted_server import ScriptedServer, Talk
from tests.system.servers import IS_ROOT, KEY_TYPES, PASSPHRASE, Account, KeyRing, Park, Server
from tests.unit.keygen import certify, keygen

pytestmark = pytest.mark.beyond_ssh
only_root = pytest.mark.skipif(not IS_ROOT, reason="changes an account that root made")

NO_PASSWORD = ("-o", "PasswordAuthentication=no")
BATCH = ("-o", "BatchMode=yes")
DENIED = "Permission denied (publickey,password)."


def advice(done: subprocess.CompletedProcess[bytes]) -> str:
    """The line of the block that tells what may help."""
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("What may help: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def denied(pyssh: Client, server: Server, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Fail to log in as ssh does, with ssh's last line as the last one; with BatchMode help stands at its end."""
    done = as_ssh(pyssh, *words, "box", "true", passing=("Permission denied, please",))
    line, _, help_ = done.stderr.decode().splitlines()[-1].partition(f"@127.0.0.1: {DENIED}")
    assert line == server.user
    assert bool(help_) == (BATCH[1] in words)
    return done


# Keys ------------------------------------------------------------------------------------------------------------


def test_a_key_that_others_may_read(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    path = tmp_path / "a key"
    shutil.copy(pyssh.keys.path("ed25519"), path)
    path.chmod(0o644)
    pyssh.aim(openssh)
    pyssh.config.write_text(pyssh.config.read_text().replace(str(pyssh.keys.path("ed25519")), f'"{path}"'))
    done = denied(pyssh, openssh, *NO_PASSWORD)
    told = done.stderr.decode()
    assert f"Load key \"{path}\": bad permissions (chmod 600 '{path}')\n" in told
    assert "chmod 600" in advice(done)
    subprocess.run(["sh", "-c", f"chmod 600 '{path}'"], check=True)
    assert pyssh.run("box", "echo in").stdout == b"in\n"


@pytest.mark.parametrize("batch", [True, False])
def test_a_locked_key_and_nobody_to_ask(pyssh: Client, openssh: Server, batch: bool) -> None:
    path = pyssh.keys.variant("ed25519", "locked for messages", passphrase=PASSPHRASE)
    pyssh.aim(openssh)
    pyssh.config.write_text(pyssh.config.read_text().replace(str(pyssh.keys.path("ed25519")), f'"{path}"'))
    done = denied(pyssh, openssh, *(BATCH if batch else NO_PASSWORD))
    why = "BatchMode" if batch else "no terminal"
    line = f'Load key "{path}": nobody can be asked for its passphrase ({why}); ssh-add gives it to an agent\n'
    assert line in done.stderr.decode()
    if batch:
        assert len(done.stderr.splitlines()) == 2
        assert b"ssh-add, so that an agent has it, or go without BatchMode)\n" in done.stderr
    else:
        assert "ssh-add" in advice(done)


def test_a_wrong_passphrase(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    path = pyssh.keys.variant("ed25519", "locked-for-messages", passphrase=PASSPHRASE)
    pyssh.aim(openssh, "PasswordAuthentication no", keys=[path])
    shown = terminal("box", "true")
    for _ in range(3):
        shown.expect("Enter passphrase for key '[^']+': ")
        shown.send("wrong\n")
    assert shown.wait() == 255
    assert f'Load key "{path}": no passphrase that opens it was given'.encode() in shown.seen
    assert b"What may help: open the key once with ssh-add" in shown.seen


@pytest.mark.parametrize("how", ["SSH_AUTH_SOCK", "IdentityAgent"])
def test_an_agent_that_is_gone(pyssh: Client, openssh: Server, tmp_path: Path, how: str) -> None:
    words: tuple[str, ...] = NO_PASSWORD
    if how == "SSH_AUTH_SOCK":
        pyssh.environment[how] = f"{tmp_path}/gone"
    else:
        words = (*words, "-o", f"IdentityAgent={tmp_path}/gone")
    pyssh.aim(openssh, "IdentitiesOnly no", keys=())
    done = denied(pyssh, openssh, *words)
    told = done.stderr.decode()
    assert f"Skipped: agent (cannot connect to the agent at {tmp_path}/gone: No such file or directory)" in told
    assert "start the agent (ssh-agent) and ssh-add one" in advice(done)
    assert denied(pyssh, openssh, *BATCH).stderr.count(b"\n") == 1
    # With a key that does, nobody hears of it.
    pyssh.aim(openssh, "IdentitiesOnly no")
    assert as_ssh(pyssh, *words, "box", "true").stderr == b""


def test_a_key_that_the_server_does_not_know(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    pyssh.aim(openssh, keys=[strange_keys.path("ed25519")])
    done = denied(pyssh, openssh, *NO_PASSWORD)
    for words in (
        f"check the user ({openssh.user}; User or -l gives another)",
        "~/.ssh/authorized_keys",
        "ssh-copy-id",
    ):
        assert words in advice(done)
    assert denied(pyssh, openssh, *BATCH).stderr.count(b"\n") == 1
    assert pyssh.run("-q", *NO_PASSWORD, "box", "true").stderr == b""


def test_more_keys_than_the_server_takes(pyssh: Client, sshd: StartServer, strange_keys: KeyRing) -> None:
    server = sshd("MaxAuthTries 3")
    pyssh.aim(server, keys=[strange_keys.path(name) for name in KEY_TYPES])
    done = as_ssh(pyssh, "box", "true", passing=("Disconnected from",))
    says(done, f"Received disconnect from 127.0.0.1 port {server.port}:2: Too many authentication failures")
    assert "IdentitiesOnly yes" in advice(done)


def test_an_rsa_key_and_a_server_of_sha_1(
    pyssh: Client, scripted: Callable[..., ScriptedServer], strange_keys: KeyRing
) -> None:
    from pyssh_cli.protocol import messages as m
    from pyssh_cli.wire import text
    from tests.system.scripted_server import failure

    def script(talk: Talk) -> None:  # no EXT_INFO: nobody hears of rsa-sha2-256
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + text("ssh-userauth"))
        while True:
            talk.expect(m.USERAUTH_REQUEST)
            talk.say(failure("publickey"))

    server = scripted(script, stage="login")
    pyssh.aim_at_port(server.port, keys=[strange_keys.path("rsa-3072")])
    pyssh.known_hosts.write_text(server.known_hosts_line)
    done = pyssh.run("box", "true")
    assert "(refused; signed with SHA-2" in done.stderr.decode()
    assert "PubkeyAcceptedAlgorithms +ssh-rsa" in advice(done)
    assert "SHA-1 is weak" in advice(done)
    done = pyssh.run("-o", "PubkeyAcceptedAlgorithms=+ssh-rsa", "box", "true")
    assert "SHA-1" not in advice(done)


# Certificates ----------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, sshd: StartServer, pyssh: Client) -> tuple[Path, Server]:
    """A key that only its certificate lets in, and the sshd that trusts the authority beside it."""
    for name in ("ca", "id"):
        keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    server = sshd(f"TrustedUserCAKeys {tmp_path / 'ca.pub'}", "PasswordAuthentication no")
    pyssh.aim(server, keys=[tmp_path / "id"])
    return tmp_path, server


@pytest.mark.parametrize(
    ("span", "reason", "bound", "help_"),
    [
        ("20200101:20200102", "expired", "to 2020-01-02T", "id-cert.pub renewed, unless the clock here is wrong"),
        ("20900101:20910102", "not yet valid", "from 2090-01-01T", "set the clock here, if it is wrong"),
    ],
)
def test_a_user_certificate_out_of_its_time(
    pyssh: Client, own: tuple[Path, Server], span: str, reason: str, bound: str, help_: str
) -> None:
    directory, server = own
    certify(directory / "ca", directory / "id", "-n", server.user, "-V", span)
    done = as_ssh(pyssh, "box", "true")
    told = done.stderr.decode()
    assert f"Skipped: {directory / 'id'}-cert.pub (the certificate is {reason}: it is valid from " in told
    assert bound in told
    assert f"the clock here says {time.strftime('%Y-%m-')}" in told
    assert help_ in advice(done)


@pytest.mark.parametrize(("span", "whose"), [("-1m:+1h", "may be behind"), ("-1h:+1m", "may be ahead")])
def test_a_user_certificate_at_the_edge_of_its_time(
    pyssh: Client, own: tuple[Path, Server], span: str, whose: str
) -> None:
    """The server's clock may be the wrong one, which it does not say."""
    directory, server = own
    certify(pyssh.keys.path("ed25519"), directory / "id", "-n", server.user, "-V", span)
    done = as_ssh(pyssh, "box", "true")
    assert f"(refused; its certificate is only just valid: from {time.strftime('%Y-')}" in done.stderr.decode()
    assert f", and the server's clock {whose})" in done.stderr.decode()
    assert "have the clock of the server set" in advice(done)


def test_a_user_certificate_by_another_authority(pyssh: Client, own: tuple[Path, Server]) -> None:
    directory, server = own
    certify(pyssh.keys.path("ed25519"), directory / "id", "-n", server.user)
    done = as_ssh(pyssh, "box", "true")
    assert "or its certificate's authority in TrustedUserCAKeys" in advice(done)


def test_a_certificate_file_that_is_not_there(pyssh: Client, own: tuple[Path, Server]) -> None:
    directory, _ = own
    done = as_ssh(pyssh, "-o", f"CertificateFile={directory}/gone.pub", "box", "true")
    assert f"correct CertificateFile: there is no certificate in {directory}/gone.pub" in advice(done)


def test_keys_that_identities_only_leaves_out(pyssh: Client, openssh: Server, agent: Agent) -> None:
    agent.add(pyssh.keys.path("ed25519"), pyssh.keys.path("ecdsa-256"))
    pyssh.aim(openssh, keys=())
    done = denied(pyssh, openssh, *NO_PASSWORD)
    assert "Skipped: 2 of the agent's keys (IdentitiesOnly leaves out what no IdentityFile names)" in (
        done.stderr.decode()
    )
    assert "set IdentitiesOnly no" in advice(done)
    assert denied(pyssh, openssh, *BATCH).stderr.count(b"\n") == 1


def test_an_agent_without_keys(pyssh: Client, openssh: Server, agent: Agent) -> None:
    pyssh.aim(openssh, "IdentitiesOnly no", keys=())
    done = denied(pyssh, openssh, *NO_PASSWORD)
    assert "Skipped: agent (it holds no key, or is locked)" in done.stderr.decode()
    assert agent.socket.exists()
    assert "ssh-add" in advice(done)


def test_a_user_certificate_for_others(pyssh: Client, own: tuple[Path, Server]) -> None:
    directory, server = own
    certify(directory / "ca", directory / "id", "-n", "ann,bob")
    done = as_ssh(pyssh, "box", "true")
    assert "(refused; its certificate is for ann, bob)" in done.stderr.decode()
    assert f"have {server.user} put into a new one" in advice(done)
    # One of the right names needs no advice.
    certify(directory / "ca", directory / "id", "-n", f"ann,{server.user}")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


# Passwords and accounts ------------------------------------------------------------------------------------------


@only_root
def test_a_wrong_password(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, keys=())
    shown = terminal("box", "true")
    for _ in range(3):
        shown.expect("'s password: ")
        shown.send("wrong\n")
    assert shown.wait() == 255
    assert f"check the password of {openssh.user}; else the server's log says why: ".encode() in shown.seen
    assert shown.seen.count(b"Permission denied, please try again.\r\n") == 2
    assert shown.seen.endswith(f"{openssh.user}@127.0.0.1: {DENIED}\r\n".encode())


def test_a_password_and_nobody_to_ask(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, keys=())
    done = denied(pyssh, openssh)
    assert "run it on a terminal or set SSH_ASKPASS" in advice(done)


@only_root
def test_an_account_that_has_expired(pyssh: Client, sshd: StartServer, account: Account) -> None:
    server = sshd("UsePAM yes")
    pyssh.aim(server)
    subprocess.run(["usermod", "--expiredate", "1", account.name], check=True)
    try:
        done = as_ssh(pyssh, *NO_PASSWORD, "box", "true")
    finally:
        subprocess.run(["usermod", "--expiredate", "", account.name], check=True)
    line = f"Connection closed by 127.0.0.1 port {server.port}"
    says(done, line, f"while {server.user} was logging in", "what the server says above is why")


def test_a_login_that_takes_too_long(pyssh: Client, sshd: StartServer, terminal: OpenTerminal) -> None:
    server = sshd("LoginGraceTime 2")
    pyssh.aim(server, keys=())
    pyssh.environment["NO_COLOR"] = "1"
    shown = terminal("box", "true")
    shown.expect("'s password: ")
    # sshd hangs up in its own time; until the answer is there, nobody looks.
    while server.sessions():
        time.sleep(0.05)
    shown.send("late\n")
    assert shown.wait() == 255
    assert f" 127.0.0.1 port {server.port} (while {server.user} was logging in".encode() in shown.seen


@only_root
def test_a_shell_that_says_no(pyssh: Client, openssh: Server, account: Account) -> None:
    nologin = shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin")
    assert nologin
    pyssh.aim(openssh)
    subprocess.run(["usermod", "--shell", nologin, account.name], check=True)
    try:
        done = as_ssh(pyssh, "box", "true")
    finally:
        subprocess.run(["usermod", "--shell", "/bin/bash", account.name], check=True)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"not available" in done.stdout


# Tokens and extras -----------------------------------------------------------------------------------------------


def test_a_library_that_is_not_there(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("-I", "/nonexistent/lib.so", "box", "echo in")
    assert (done.returncode, done.stdout) == (0, b"in\n")
    told = done.stderr.decode()
    assert told.startswith(
        ("provider /nonexistent/lib.so is not a PKCS11 library", "/nonexistent/lib.so", "PKCS11")
    )
    assert len(told.splitlines()) == 1


class Silent(Door):
    """Nobody is let in, and the server hangs up in the middle of it."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn

    def begin_auth(self, _username: str) -> bool:
        self._conn.abort()
        return True


def test_hung_up_on_in_the_login(pyssh: Client, park: Park) -> None:
    server = DoorServer(Silent, park.host_keys.path("ed25519"))
    try:
        pyssh.aim_at_port(server.port, user="guest")
        pyssh.known_hosts.write_text(f"[127.0.0.1]:{server.port} {park.host_keys.public('ed25519')}\n")
        done = pyssh.run("box", "true")
    finally:
        server.close()
    assert done.returncode == 255
    told = done.stderr.decode()
    assert f" 127.0.0.1 port {server.port} (while guest was logging in: " in told
    assert len(told.splitlines()) == 1


def test_no_secret_of_ours_is_told(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    pyssh.aim(openssh, keys=[strange_keys.path("ed25519")])
    done = pyssh.run("-vvv", *NO_PASSWORD, "box", "true")
    private = strange_keys.path("ed25519").read_text().splitlines()[3]
    assert private.encode() not in done.stderr
    assert os.environ.get("HOME", "/root") not in advice(done)
