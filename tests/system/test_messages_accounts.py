"""What a login says that the server ends for the account's sake, by PAM or by itself, beside what ssh says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client, OpenSSHClient
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.enclosure import CAN_ENCLOSE, EnclosedPark, Enclosure
from tests.system.messages import as_ssh, says
from tests.system.servers import Park, Server

pytestmark = [
    pytest.mark.beyond_ssh,
    pytest.mark.skipif(not CAN_ENCLOSE, reason="needs an /etc of its own"),
]

PAM = """\
auth     required   pam_unix.so nodelay
account  required   pam_nologin.so
account  required   pam_access.so
account  required   pam_unix.so
password required   pam_unix.so minlen=4
session  required   pam_permit.so
"""

Change = Callable[[Enclosure, str], None]


@pytest.fixture
def enclosure(tmp_path: Path) -> Enclosure:
    """A private copy of /etc, in which PAM has rules of its own for sshd, which let everybody in."""
    made = Enclosure(tmp_path)
    made.write("pam.d/sshd", PAM)
    made.write("security/access.conf", "+:ALL:ALL\n")
    return made


@pytest.fixture
def pam(enclosure: Enclosure, park: Park) -> Iterator[StartServer]:
    """Starts an sshd by these rules."""
    made = EnclosedPark(park.directory, park.account, park.host_keys, enclosure.argv)

    def start(*lines: str) -> Server:
        return made.openssh(*lines, "UsePAM yes")

    yield start
    made.stop()


WAYS = {
    "key": (),
    "password": ("PubkeyAuthentication no",),
    "answers": ("PubkeyAuthentication no", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"),
}
"""How one logs in, by what the sshd leaves."""


def expired(etc: Enclosure, user: str) -> None:
    etc.change_shadow(user, 7, "1")


def password_long_expired(etc: Enclosure, user: str) -> None:
    for number, days in ((2, "100"), (4, "10"), (6, "5")):  # changed, to be changed after, and no more after
        etc.change_shadow(user, number, days)


def maintenance(etc: Enclosure, _user: str) -> None:
    etc.write("nologin", "Back at noon.\n")


def kept_out(etc: Enclosure, user: str) -> None:
    etc.write("security/access.conf", f"-:{user}:ALL\n")


def logged_in(client: Client, server: Server, terminal: OpenTerminal, way: str) -> tuple[int, list[str]]:
    """How it ends and what is shown on a terminal, the right password typed where one is asked for."""
    shown = terminal("box", "true", argv=client.argv)
    if way != "key":
        shown.expect("[Pp]assword: ")
        shown.send(f"{server.password}\n")
    status = shown.wait()
    return status, [line for line in shown.said.decode().replace("\r", "").splitlines() if line]


@pytest.mark.parametrize(("change", "said"), [
    (expired, "Your account has expired"), (password_long_expired, "Your account has expired"),
    (maintenance, "Back at noon."), (kept_out, ""),
])  # fmt: skip
@pytest.mark.parametrize("way", WAYS)
def test_an_account_that_is_turned_away(
    pyssh: Client,
    pam: StartServer,
    enclosure: Enclosure,
    terminal: OpenTerminal,
    way: str,
    change: Change,
    said: str,
) -> None:
    server = pam(*WAYS[way])
    change(enclosure, server.user)
    pyssh.aim(server, keys=["ed25519"] if way == "key" else [])
    pyssh.environment["NO_COLOR"] = "1"
    ssh = OpenSSHClient(pyssh.home, pyssh.keys, pyssh.environment)
    line = f"Connection closed by 127.0.0.1 port {server.port}"
    status, theirs = logged_in(ssh, server, terminal, way)
    assert (status, theirs[-1]) == (255, line)
    status, ours = logged_in(pyssh, server, terminal, way)
    assert status == 255
    assert ours[:-1] == theirs[:-1]
    assert ours[-1].startswith(f"{line} (while {server.user} was logging in: ")
    if said:
        assert any(one.startswith(said) for one in ours)
        assert ours[-1].endswith("what the server says above is why)")
    else:
        assert "kept out by /etc/nologin or access rules; the server's log says why)" in ours[-1]
        assert ("the answer seems right" in ours[-1]) == (way == "answers")
    if way == "key":
        as_ssh(pyssh, "-oBatchMode=yes", "box", "true")
        assert pyssh.run("-q", "box", "true").stderr == b""


def test_a_password_that_has_to_be_changed_by_who_has_a_key(
    pyssh: Client, pam: StartServer, enclosure: Enclosure, terminal: OpenTerminal
) -> None:
    server = pam()
    enclosure.change_shadow(server.user, 2, "0")
    pyssh.aim(server)
    done = as_ssh(pyssh, "box", "echo in")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"Password change required but no TTY available." in done.stderr
    shown = terminal("box")
    shown.expect("You must change your password now and login again!")
    for prompt, answer in (
        ("Current password: ", server.password), ("New password: ", "another one"),
        ("Retype new password: ", "another one"),
    ):  # fmt: skip
        shown.expect(prompt)
        shown.send(f"{answer}\n")
    shown.expect("Connection to 127.0.0.1 closed.")
    assert shown.wait() == 0
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_a_session_that_pam_refuses(pyssh: Client, pam: StartServer, enclosure: Enclosure) -> None:
    enclosure.write("pam.d/sshd", PAM.replace("pam_permit.so", "pam_deny.so"))
    pyssh.aim(pam())
    as_ssh(pyssh, "box", "true")


def shell_gone(etc: Enclosure, user: str) -> None:
    etc.change_passwd(user, 6, "/bin/no-such-shell")


def no_program(etc: Enclosure, user: str) -> None:
    etc.change_passwd(user, 6, "/etc/hostname")


def no_shell(etc: Enclosure, user: str) -> None:
    etc.change_passwd(user, 6, "/bin/false")


def no_home(etc: Enclosure, user: str) -> None:
    etc.change_passwd(user, 5, "/nonexistent/home")


@pytest.mark.parametrize("change", [no_program, no_shell, no_home])
def test_a_session_without_a_shell_or_home(
    pyssh: Client, pam: StartServer, enclosure: Enclosure, change: Change
) -> None:
    server = pam()
    change(enclosure, server.user)
    pyssh.aim(server)
    done = as_ssh(pyssh, "box", "echo in")
    assert (done.stdout == b"in\n") == (change is no_home)


WHY = "else the server's log says why: a locked account, AllowUsers, a missing shell"


def test_an_account_that_the_server_takes_for_none(pyssh: Client, pam: StartServer, enclosure: Enclosure) -> None:
    server = pam("PasswordAuthentication no")
    shell_gone(enclosure, server.user)
    pyssh.aim(server)
    done = as_ssh(pyssh, "box", "true")
    assert WHY in done.stderr.decode()


@pytest.mark.parametrize("line", ["AllowUsers somebody", "DenyUsers *", "AllowGroups nobody"])
def test_a_user_who_may_not_log_in(pyssh: Client, sshd: StartServer, line: str) -> None:
    server = sshd(line, "PasswordAuthentication no")
    pyssh.aim(server)
    done = as_ssh(pyssh, "box", "true")
    assert WHY in done.stderr.decode()
    says(done, f"{server.user}@127.0.0.1: Permission denied (publickey).")


def test_a_locked_account(pyssh: Client, pam: StartServer, enclosure: Enclosure, terminal: OpenTerminal) -> None:
    """With PAM its password is worth nothing, but its key is; without, sshd lets nobody in."""
    server = pam("PubkeyAuthentication no")
    enclosure.change_shadow(server.user, 1, "!")
    pyssh.aim(server, "NumberOfPasswordPrompts 1", keys=())
    shown = terminal("box", "true")
    shown.expect("'s password: ")
    shown.send(f"{server.password}\n")
    assert shown.wait() == 255
    assert f"check the password of {server.user}; {WHY}".encode() in shown.seen
    pyssh.aim(pam())
    assert as_ssh(pyssh, "box", "echo in").stdout == b"in\n"
    pyssh.aim(pam("UsePAM no", "PasswordAuthentication no"))
    done = as_ssh(pyssh, "box", "true")
    assert (done.returncode, WHY in done.stderr.decode()) == (255, True)


def test_questions_that_nobody_is_there_for(pyssh: Client, pam: StartServer) -> None:
    """One answer is all that is given for nobody: more of them may lock the account (pam_faillock(8))."""
    server = pam(*WAYS["answers"])
    pyssh.aim(server, keys=())
    done = as_ssh(pyssh, "box", "true")
    assert "keyboard-interactive (nowhere to ask for it)\n" in done.stderr.decode()
    assert "run it on a terminal or set SSH_ASKPASS" in done.stderr.decode()
    told = pyssh.run("-v", "box", "true").stderr
    assert told.count(b"Authentications that can continue") == 2  # "none" was refused, and one answer
