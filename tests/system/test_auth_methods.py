"""The less common ways in: PAM's rounds of questions, passwords that expired, host-based, proofs bound to the
host's key, several proofs in a row; and what the person is told when none of them will do."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, text, uint32
from tests.system.clients import STAND_IN, Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.doors import Door, DoorServer
from tests.system.enclosure import CAN_ENCLOSE, EnclosedPark, Enclosure
from tests.system.scripted_server import ScriptedServer, Talk, failure
from tests.system.servers import KEY_TYPES, PASSPHRASE, KeyRing, Park, Server, fingerprint
from tests.unit.peer import PeerOptions

StartDoors = Callable[[Callable[[], Door]], DoorServer]


@pytest.fixture
def doors(pyssh: Client, park: Park) -> Iterator[StartDoors]:
    """Starts AsyncSSH with a door of the test's own, and aims the client at it."""
    made: list[DoorServer] = []

    def start(door: Callable[[], Door]) -> DoorServer:
        made.append(DoorServer(door, park.host_keys.path("ed25519")))
        port = made[-1].port
        pyssh.aim_at_port(port, user="guest")
        pyssh.known_hosts.write_text(f"[127.0.0.1]:{port} {park.host_keys.public('ed25519')}\n")
        return made[-1]

    yield start
    for server in made:
        server.close()


def add_lines(pyssh: Client, *lines: str) -> None:
    """Put lines at the top of the configuration, where they win."""
    pyssh.config.write_text("".join(f"{line}\n" for line in lines) + pyssh.config.read_text())


# Proofs that are bound to the host's key -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "method"),
    [
        ("yes", "publickey-hostbound-v00@openssh.com"),
        ("host-bound", "publickey-hostbound-v00@openssh.com"),
        ("unbound", "publickey"),
    ],
)
def test_proof_is_bound_to_the_host_key(pyssh: Client, sshd: StartServer, setting: str, method: str) -> None:
    server = sshd()
    pyssh.aim(server, f"PubkeyAuthentication {setting}")
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"service ssh-connection method {method} [preauth]" in server.log_text()


@pytest.mark.parametrize("name", KEY_TYPES)
def test_every_key_signs_bound_proofs_by_file_and_agent(
    pyssh: Client, sshd: StartServer, agent: Agent, name: str
) -> None:
    server = sshd("PasswordAuthentication no")
    pyssh.aim(server, keys=[name])
    assert pyssh.run("-o", "IdentityAgent=none", "box", "echo in").stdout == b"in\n"
    agent.add(pyssh.keys.path(name))
    pyssh.aim(server, "IdentitiesOnly no", keys=())
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert server.log_text().count("method publickey-hostbound-v00@openssh.com [preauth]") >= 2
    if not STAND_IN:  # ssh queries before it proves
        assert "method publickey [preauth]" not in server.log_text()


def test_proof_is_not_bound_where_the_server_did_not_ask(pyssh: Client, full_server: Server) -> None:
    if full_server.kind == "openssh":
        return  # it does ask
    pyssh.aim(full_server)
    done = pyssh.run("-vvv", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert b"publickey-hostbound-v00@openssh.com" not in done.stderr


def signature_algorithm(request: bytes) -> tuple[bool, str]:
    """(whether it holds a signature, the algorithm) of a USERAUTH_REQUEST by key."""
    reader = Reader(request, 1)
    for _ in range(3):
        reader.string()
    return reader.boolean(), reader.text()


@pytest.mark.beyond_ssh  # which is older here than the extension
def test_signature_algorithms_may_change_during_authentication(
    pyssh: Client, scripted: Callable[..., ScriptedServer], strange_keys: KeyRing
) -> None:
    def script(talk: Talk) -> list[str]:
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + text("ssh-userauth"))
        found: list[str] = []
        later = bytes((m.EXT_INFO,)) + uint32(1) + text("server-sig-algs") + text("rsa-sha2-512")
        while len(found) < 2:
            has_signature, algorithm = signature_algorithm(talk.expect(m.USERAUTH_REQUEST))
            assert has_signature
            found.append(algorithm)
            talk.say(later, failure("publickey"))
        return found

    server = scripted(script, PeerOptions(extensions={"server-sig-algs": b"rsa-sha2-256"}), stage="login")
    pyssh.aim_at_port(server.port, keys=["rsa-3072", strange_keys.path("rsa-3072")])
    pyssh.known_hosts.write_text(server.known_hosts_line)
    assert pyssh.run("box", "true").returncode == 255
    assert server.result() == ["rsa-sha2-256", "rsa-sha2-512"]


# Passwords -------------------------------------------------------------------------------------------------------


class Expired(Door):
    """The password "old" must be changed; one of fewer than six letters is turned down."""

    def __init__(self) -> None:
        super().__init__()
        self.password = "old"

    def password_auth_supported(self) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return False

    def validate_password(self, username: str, password: str) -> bool:
        self.seen.append(password)
        if password == "old":
            raise asyncssh.PasswordChangeRequired("Your password\x1b[2J has expired.")
        return password == self.password

    def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        self.seen.append((old_password, new_password))
        if len(new_password) < 6:
            raise asyncssh.PasswordChangeRequired("Too short.")
        return old_password == "old"


def test_expired_password_is_changed(pyssh: Client, doors: StartDoors, terminal: OpenTerminal) -> None:
    server = doors(Expired)
    shown = terminal("box", "command")
    shown.expect("guest@127.0.0.1's password: ")
    shown.send("old\n")
    shown.expect("has expired")

    def change(new: str, again: str) -> None:
        shown.expect("Enter guest@127.0.0.1's new password: ")
        assert not shown.echoes()
        shown.send(f"{new}\n")
        shown.expect("Retype guest@127.0.0.1's new password: ")
        assert not shown.echoes()
        shown.send(f"{again}\n")

    shown.expect("Enter guest@127.0.0.1's old password: ")
    assert not shown.echoes()
    shown.send("old\n")
    change("new password", "another")
    shown.expect("Mismatch; try again, EOF to quit.")
    change("short", "short")
    shown.expect("Too short.")
    shown.expect("Enter guest@127.0.0.1's old password: ")
    shown.send("old\n")
    change("new password", "new password")
    shown.expect("ran command")
    assert shown.wait() == 0
    assert server.doors[-1].seen == ["old", ("old", "short"), ("old", "new password")]
    assert b"\x1b[2J" not in shown.seen


@pytest.mark.beyond_ssh  # for which Ctrl-D is an empty password
def test_change_that_is_given_up_ends_in_a_refusal(
    pyssh: Client, doors: StartDoors, terminal: OpenTerminal
) -> None:
    doors(Expired)
    shown = terminal("box", "command")
    shown.expect("password: ")
    shown.send("old\n")
    shown.expect("old password: ")
    shown.send("old\n")
    shown.expect("new password: ")
    shown.send("\x04")
    shown.expect("guest@127.0.0.1: Permission denied")
    assert shown.wait() == 255


def test_host_key_alias_is_what_prompts_call_the_host(
    pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(asyncssh_server, "HostKeyAlias the-box", "StrictHostKeyChecking no", keys=())
    shown = terminal("box", "echo in")
    shown.expect("guest@the-box's password: ")
    shown.send(f"{asyncssh_server.password}\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


@pytest.mark.parametrize("prompt", ["password", "passphrase"])
def test_no_secret_is_in_what_vvv_tells(
    pyssh: Client, asyncssh_server: Server, tmp_path: Path, prompt: str
) -> None:
    secret = asyncssh_server.password if prompt == "password" else PASSPHRASE
    assert secret is not None
    keys = [] if prompt == "password" else [pyssh.keys.variant("ed25519", "ed25519-vvv", passphrase=PASSPHRASE)]
    pyssh.aim(asyncssh_server, keys=keys)
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\necho '{secret}'\n")
    program.chmod(0o755)
    pyssh.environment |= {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
    done = pyssh.run("-vvv", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert secret.encode() not in done.stderr


class Open(Door):
    """Everybody comes in."""

    def begin_auth(self, username: str) -> bool:
        return False


def test_server_that_asks_for_nothing(pyssh: Client, doors: StartDoors) -> None:
    doors(Open)
    done = pyssh.run("-v", "box", "command")
    assert done.stdout == b"ran command\n", done.stderr
    assert b'using "none"' in done.stderr


# keyboard-interactive --------------------------------------------------------------------------------------------


class Odd(Door):
    """Questions of odd shapes, round after round; `rounds` are (name, instruction, prompts), and the answers."""

    rounds: tuple[tuple[str, str, list[tuple[str, bool]], list[str]], ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._round = 0

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        self.seen.append(submethods)
        self._round = 0
        return self._challenge()

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        self.seen.append(list(responses))
        if list(responses) != self.rounds[self._round][3]:
            return False
        self._round += 1
        return True if self._round == len(self.rounds) else self._challenge()

    def _challenge(self) -> Any:
        name, instruction, prompts, _ = self.rounds[self._round]
        return name, instruction, "", prompts


def odd(*rounds: tuple[str, str, list[tuple[str, bool]], list[str]]) -> Callable[[], Door]:
    """A door with these rounds."""

    class Made(Odd):
        pass

    Made.rounds = rounds
    return Made


@pytest.mark.beyond_ssh  # which tells whose the first line of a prompt is, and no more
def test_names_and_instructions_are_shown_and_cleaned(
    pyssh: Client, doors: StartDoors, terminal: OpenTerminal
) -> None:
    doors(
        odd(
            ("Only words\x1b]0;x\x07", "First line.\nSecond\x1b[2J line.\n", [], []),
            ("", "", [("Who? \x1b[31m", True), ("", False), ("two\nlines: ", False)], ["me", "", "3"]),
        )
    )
    shown = terminal("box", "command")
    shown.expect(r"Only words\\033\]0;x\\007\r\n")
    shown.expect(r"First line.\r\nSecond\\033\[2J line.\r\n")
    shown.expect(r"\(guest@127.0.0.1\) Who\? \\033\[31m")
    assert shown.echoes()
    shown.send("me\n")
    shown.expect(r"\(guest@127.0.0.1\) ")
    shown.send("\n")
    shown.expect(r"\(guest@127.0.0.1\) two\r\n\(guest@127.0.0.1\) lines: ")
    assert not shown.echoes()
    shown.send("3\n")
    shown.expect("ran command")
    assert shown.wait() == 0
    assert b"\x1b" not in shown.said


def test_devices_are_sent(pyssh: Client, doors: StartDoors, terminal: OpenTerminal) -> None:
    server = doors(odd(("", "", [("Code: ", False)], ["right"])))
    add_lines(pyssh, "KbdInteractiveDevices skey,bsdauth")
    shown = terminal("box", "command")
    shown.expect("Code: ")
    shown.send("right\n")
    shown.expect("ran command")
    assert shown.wait() == 0
    assert server.doors[-1].seen == ["skey,bsdauth", ["right"]]


def test_questions_end_with_the_number_of_prompts(
    pyssh: Client, doors: StartDoors, terminal: OpenTerminal
) -> None:
    server = doors(odd(("", "", [("Code: ", False)], ["right"])))
    add_lines(pyssh, "NumberOfPasswordPrompts 2")
    shown = terminal("box", "command")
    for _ in range(2):
        shown.expect("Code: ")
        shown.send("wrong\n")
    shown.expect(r"guest@127.0.0.1: Permission denied \(keyboard-interactive\)")
    assert shown.wait() == 255
    assert server.doors[-1].seen == ["", ["wrong"], "", ["wrong"]]


@pytest.mark.beyond_ssh  # which goes on as long as the server does
def test_rounds_without_end_end(pyssh: Client, doors: StartDoors, tmp_path: Path) -> None:
    class Endless(Odd):
        def _challenge(self) -> Any:
            return "", "", "", [("More: ", False)]

        def validate_kbdint_response(self, username: str, responses: Any) -> Any:
            return self._challenge()

    doors(Endless)
    program = tmp_path / "askpass"
    program.write_text("#!/bin/sh\necho more\n")
    program.chmod(0o755)
    pyssh.environment |= {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"the server asks without end" in done.stderr


# PAM -------------------------------------------------------------------------------------------------------------

if CAN_ENCLOSE:
    PAM = """\
auth     optional   pam_echo.so Hello from PAM.
auth     required   pam_unix.so
account  required   pam_unix.so
password required   pam_unix.so minlen=4
session  required   pam_permit.so
"""

    @pytest.fixture
    def enclosure(tmp_path: Path, park: Park) -> Enclosure:
        """A private copy of /etc, in which PAM has rules of its own for sshd."""
        made = Enclosure(tmp_path)
        made.write("pam.d/sshd", PAM)
        return made

    @pytest.fixture
    def pam(enclosure: Enclosure, park: Park) -> Iterator[StartServer]:
        """Starts an sshd that asks through PAM."""
        made = EnclosedPark(park.directory, park.account, park.host_keys, enclosure.argv)

        def start(*lines: str) -> Server:
            return made.openssh(*lines, "UsePAM yes", "KbdInteractiveAuthentication yes")

        yield start
        made.stop()

    def test_pam_asks_for_the_password(pyssh: Client, pam: StartServer, terminal: OpenTerminal) -> None:
        server = pam("PasswordAuthentication no")
        pyssh.aim(server, keys=())
        shown = terminal("box", "echo in")
        shown.expect("Hello from PAM.")
        shown.expect("Password: ")
        assert not shown.echoes()
        shown.send("wrong\n")
        shown.expect(rf"\({server.user}@127.0.0.1\) .*Password: ")
        shown.send(f"{server.password}\n")
        shown.expect("in\r\n")
        assert shown.wait() == 0
        assert shown.echoes()

    def test_pam_has_an_expired_password_changed(
        pyssh: Client, pam: StartServer, enclosure: Enclosure, terminal: OpenTerminal
    ) -> None:
        server = pam("PasswordAuthentication no")
        enclosure.change_shadow(server.user, 2, "0")
        pyssh.aim(server, keys=())
        shown = terminal("box", "echo in")
        shown.expect("Password: ")
        shown.send(f"{server.password}\n")
        shown.expect("You are required to change your password immediately")
        for prompt, answer in (
            ("Current password: ", server.password),
            ("New password: ", "a new one for PAM"),
            ("Retype new password: ", "a new one for PAM"),
        ):
            shown.expect(prompt)
            assert not shown.echoes()
            shown.send(f"{answer}\n")
        shown.expect("in\r\n")
        assert shown.wait() == 0

    @pytest.mark.parametrize(
        "methods",
        ["publickey,keyboard-interactive:pam", "keyboard-interactive:pam,publickey", "password,publickey"],
    )
    def test_pam_and_a_key(pyssh: Client, pam: StartServer, terminal: OpenTerminal, methods: str) -> None:
        server = pam(f"AuthenticationMethods {methods}")
        pyssh.aim(server)
        shown = terminal("-v", "box", "echo in")
        shown.expect("assword: ")
        shown.send(f"{server.password}\n")
        shown.expect("in\r\n")
        assert shown.wait() == 0
        assert b"with partial success" in shown.seen

    def test_device_that_the_server_does_not_have(pyssh: Client, pam: StartServer, terminal: OpenTerminal) -> None:
        pyssh.aim(pam("PasswordAuthentication no"), "KbdInteractiveDevices nonsense", keys=())
        shown = terminal("box", "echo in")
        shown.expect(r"Permission denied \(publickey,keyboard-interactive\)")
        assert shown.wait() == 255
        assert b"Password: " not in shown.seen

    # Host-based --------------------------------------------------------------------------------------------------

    @pytest.fixture
    def vouching(enclosure: Enclosure) -> Enclosure:
        """An /etc in which this host has keys, its helper may sign, and "localhost" is trusted."""
        for old in (enclosure.etc / "ssh").glob("ssh_host_*"):
            old.unlink()
        ring = KeyRing(enclosure.etc / "host-keys")
        lines = []
        for kind, name in (("ed25519", "ed25519"), ("ecdsa", "ecdsa-256"), ("rsa", "rsa-3072")):
            enclosure.write(f"ssh/ssh_host_{kind}_key", ring.path(name).read_text(), 0o600)
            enclosure.write(f"ssh/ssh_host_{kind}_key.pub", ring.public(name) + "\n")
            lines.append(f"client.test {ring.public(name)}\n")
        enclosure.write("ssh/ssh_known_hosts", "".join(lines))
        enclosure.write("ssh/ssh_config", "EnableSSHKeysign yes\n")
        enclosure.write("ssh/shosts.equiv", f"client.test {pwd.getpwuid(os.getuid()).pw_name}\n")
        enclosure.write("hosts", "127.0.0.1 client.test\n")
        enclosure.write("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
        return enclosure

    HOSTBASED = (
        "HostbasedAuthentication yes",
        "HostbasedUsesNameFromPacketOnly yes",
        "IgnoreRhosts no",
        "AuthenticationMethods hostbased",
    )

    @pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", ""])
    def test_the_clients_host_vouches(pyssh: Client, vouching: Enclosure, park: Park, algorithm: str) -> None:
        made = EnclosedPark(park.directory, park.account, park.host_keys, vouching.argv)
        try:
            server = made.openssh(*HOSTBASED)
            # The account is another than root's, which would not be let in by shosts.equiv anyway.
            lines = [f"HostbasedAcceptedAlgorithms {algorithm}"] if algorithm else []
            home = park.account.home / ".shosts"
            home.write_text(f"client.test {pwd.getpwuid(os.getuid()).pw_name}\n")
            pyssh.aim(server, "HostbasedAuthentication yes", *lines, keys=())
            with pyssh.start("-v", "box", "echo in", argv=vouching.argv) as client:
                out, err = client.communicate(timeout=60)
            assert out == b"in\n", err
            assert b'using "hostbased"' in err
        finally:
            made.stop()

    def test_without_the_helper_the_next_method_is_tried(pyssh: Client, vouching: Enclosure, park: Park) -> None:
        vouching.write("ssh/ssh_config", "\n")
        made = EnclosedPark(park.directory, park.account, park.host_keys, vouching.argv)
        try:
            pyssh.aim(made.openssh("HostbasedAuthentication yes"), "HostbasedAuthentication yes")
            with pyssh.start("box", "echo in", argv=vouching.argv) as client:
                out, err = client.communicate(timeout=60)
            assert out == b"in\n", err
            assert b"ssh-keysign not enabled in" in err
        finally:
            made.stop()


# What is told of a refusal ---------------------------------------------------------------------------------------


def last_line(done: Any) -> str:
    return str(done.stderr.decode().splitlines()[-1])


@pytest.mark.beyond_ssh
def test_refusal_tells_what_was_tried_and_what_may_help(
    pyssh: Client, sshd: StartServer, strange_keys: KeyRing, tmp_path: Path
) -> None:
    server = sshd("PasswordAuthentication no")
    refused = strange_keys.path("ed25519")
    pyssh.aim(server, keys=[refused, tmp_path / "missing"])
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    told = done.stderr.decode()
    assert f"{refused} ED25519 {fingerprint(strange_keys.public('ed25519'))}" in told
    assert "(refused)" in told
    assert f"{tmp_path / 'missing'} (No such file or directory)" in told
    assert "The server takes: publickey" in told
    assert "authorized_keys" in told
    assert last_line(done) == f"{server.user}@127.0.0.1: Permission denied (publickey)."


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("quiet", [("-q",), ("-o", "BatchMode=yes"), ("-o", "LogLevel=ERROR")])
def test_refusal_is_short_for_programs(
    pyssh: Client, sshd: StartServer, strange_keys: KeyRing, quiet: tuple[str, ...]
) -> None:
    server = sshd("PasswordAuthentication no")
    pyssh.aim(server, keys=[strange_keys.path("ed25519")])
    done = pyssh.run(*quiet, "box", "true")
    assert done.returncode == 255
    if quiet == ("-q",):
        assert done.stderr == b""
        return
    (line,) = done.stderr.decode().splitlines()
    user = server.user
    assert line.startswith(f"{user}@127.0.0.1: Permission denied (publickey). (check the user ({user};")
    assert "authorized_keys" in line


@pytest.mark.beyond_ssh
def test_too_many_failures_come_with_a_hint(
    pyssh: Client, sshd: StartServer, agent: Agent, strange_keys: KeyRing
) -> None:
    agent.add(*(strange_keys.path(name) for name in KEY_TYPES))
    server = sshd("MaxAuthTries 3", "PasswordAuthentication no")
    pyssh.aim(server, "IdentitiesOnly no", keys=())
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"IdentitiesOnly yes" in done.stderr
    assert last_line(done).endswith(": Too many authentication failures")
    (line,) = pyssh.run("-o", "BatchMode=yes", "box", "true").stderr.decode().splitlines()
    assert ": Too many authentication failures (the server gives up after a few keys; name" in line


def test_nobody_to_ask_for_a_password(pyssh: Client, asyncssh_server: Server) -> None:
    pyssh.aim(asyncssh_server, keys=())
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert "Permission denied" in last_line(done)
    if not STAND_IN:
        assert b"SSH_ASKPASS" in done.stderr
    assert b"password: " not in done.stderr


def test_keys_are_not_offered_to_a_host_that_is_refused(
    pyssh: Client, sshd: StartServer, strange_keys: KeyRing
) -> None:
    server = sshd()
    pyssh.aim(server)
    pyssh.known_hosts.write_text(f"[127.0.0.1]:{server.port} {strange_keys.public('ed25519')}\n")
    assert pyssh.run("box", "true").returncode == 255
    assert "userauth-request" not in server.log_text()
