"""Every way to log in, with every server that has it, and every way to be turned away."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.servers import IS_ROOT, KEY_TYPES, PASSPHRASE, KeyRing, Park, Server


@pytest.mark.parametrize("name", KEY_TYPES)
def test_key_of_each_type(pyssh: Client, full_server: Server, name: str) -> None:
    pyssh.aim(full_server, keys=[name])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_rsa_signature_of_each_hash(pyssh: Client, openssh: Server, algorithm: str) -> None:
    pyssh.aim(openssh, f"PubkeyAcceptedAlgorithms {algorithm}", keys=["rsa-3072"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.parametrize("name", ["rsa-3072", "ecdsa-256", "ecdsa-384", "ecdsa-521"])
@pytest.mark.parametrize("form", ["PEM", "PKCS8"])
def test_key_file_in_other_formats(pyssh: Client, openssh: Server, name: str, form: str) -> None:
    pyssh.aim(openssh, keys=[pyssh.keys.variant(name, f"{name}-{form}", form=form)])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def test_keys_are_found_by_flag(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, keys=())
    path = str(pyssh.keys.path("ed25519"))
    assert pyssh.run("-i", path, "box", "echo in").stdout == b"in\n"


def test_refused_key_is_followed_by_the_next(pyssh: Client, server: Server, strange_keys: KeyRing) -> None:
    pyssh.aim(server, keys=[strange_keys.path("ed25519"), "ed25519"])
    done = pyssh.run("box", "cat", send=b"whole")
    assert done.stdout == b"whole", done.stderr


def test_many_refused_keys_are_followed_by_the_right_one(
    pyssh: Client, full_server: Server, strange_keys: KeyRing
) -> None:
    refused = [strange_keys.path(name) for name in ("rsa-3072", "ecdsa-256", "ed25519")]
    pyssh.aim(full_server, keys=[*refused, "ecdsa-256"])
    done = pyssh.run("box", "cat", send=b"whole")
    assert done.stdout == b"whole", done.stderr


@pytest.mark.parametrize("name", ["ed25519", "rsa-3072", "ecdsa-384"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM", "PKCS8"])
def test_passphrase_is_asked_without_echo(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, name: str, form: str
) -> None:
    key = pyssh.keys.variant(name, f"{name}-{form}-locked", passphrase=PASSPHRASE, form=form)
    pyssh.aim(openssh, keys=[key])
    shown = terminal("box", "echo in")
    shown.expect(f"Enter passphrase for key '{key}': ")
    assert not shown.echoes()
    shown.send(PASSPHRASE + "\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert shown.echoes()
    assert PASSPHRASE.encode() not in shown.seen


def test_wrong_passphrase_may_be_corrected(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    key = pyssh.keys.variant("ed25519", "ed25519-locked", passphrase=PASSPHRASE)
    pyssh.aim(openssh, keys=[key])
    shown = terminal("box", "echo in")
    shown.expect("Enter passphrase for key ")
    shown.send("nonsense\n")
    shown.expect("Enter passphrase for key ")
    shown.send(PASSPHRASE + "\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_wrong_passphrases_end_in_a_refusal(pyssh: Client, sshd: StartServer, terminal: OpenTerminal) -> None:
    key = pyssh.keys.variant("ed25519", "ed25519-locked", passphrase=PASSPHRASE)
    pyssh.aim(sshd("PasswordAuthentication no"), keys=[key])
    shown = terminal("box", "echo in")
    for _ in range(3):
        shown.expect("Enter passphrase for key ")
        shown.send("nonsense\n")
    shown.expect(r"Permission denied \(publickey\)")
    assert shown.wait() == 255


def test_locked_key_without_a_terminal_is_passed_over(pyssh: Client, sshd: StartServer) -> None:
    key = pyssh.keys.variant("ed25519", "ed25519-locked", passphrase=PASSPHRASE)
    pyssh.aim(sshd("PasswordAuthentication no"), "BatchMode yes", keys=[key])
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("name", KEY_TYPES)
def test_agent_signs_with_each_type(pyssh: Client, openssh: Server, agent: Agent, name: str) -> None:
    agent.add(pyssh.keys.path(name))
    pyssh.aim(openssh, "IdentitiesOnly no", "BatchMode yes", keys=())
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def test_agents_keys_are_tried_in_turn(pyssh: Client, server: Server, agent: Agent, strange_keys: KeyRing) -> None:
    agent.add(strange_keys.path("rsa-3072"), strange_keys.path("ed25519"), pyssh.keys.path("ed25519"))
    pyssh.aim(server, "IdentitiesOnly no", "BatchMode yes", keys=())
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def test_identities_only_passes_over_the_agents_other_keys(pyssh: Client, openssh: Server, agent: Agent) -> None:
    agent.add(pyssh.keys.path("ed25519"))
    pyssh.aim(openssh, "IdentitiesOnly yes", "BatchMode yes", keys=())
    assert pyssh.run("box", "true").returncode == 255


def test_agent_holds_the_private_half_of_a_public_key_file(
    pyssh: Client, openssh: Server, agent: Agent, tmp_path: Path
) -> None:
    agent.add(pyssh.keys.path("ecdsa-256"))
    only = tmp_path / "only"
    (tmp_path / "only.pub").write_text(pyssh.keys.public("ecdsa-256") + "\n")
    pyssh.aim(openssh, "IdentitiesOnly yes", "BatchMode yes", keys=[only])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def test_agent_that_is_gone_does_not_matter(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.environment["SSH_AUTH_SOCK"] = str(tmp_path / "nobody")
    pyssh.aim(openssh, "IdentitiesOnly no")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_too_many_keys_of_the_agent_end_in_the_servers_words(
    pyssh: Client, sshd: StartServer, agent: Agent, strange_keys: KeyRing
) -> None:
    agent.add(*(strange_keys.path(name) for name in KEY_TYPES))
    pyssh.aim(sshd("MaxAuthTries 3"), "IdentitiesOnly no", "BatchMode yes", keys=())
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Too many authentication failures" in done.stderr
    assert b"Traceback" not in done.stderr


def test_password_is_asked_without_echo(pyssh: Client, password_server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(password_server, keys=())
    assert password_server.password is not None
    shown = terminal("box", "echo in")
    shown.expect(f"{password_server.user}@127.0.0.1's password: ")
    assert not shown.echoes()
    shown.send(password_server.password + "\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert shown.echoes()
    assert password_server.password.encode() not in shown.seen


def test_wrong_password_may_be_corrected(pyssh: Client, password_server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(password_server, keys=())
    shown = terminal("box", "echo in")
    shown.expect("password: ")
    shown.send("wrong\n")
    shown.expect("Permission denied, please try again.\r")
    shown.expect("password: ")
    shown.send(f"{password_server.password}\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_three_wrong_passwords_are_the_end(pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(asyncssh_server, keys=())
    shown = terminal("box", "echo in")
    for _ in range(3):
        shown.expect("password: ")
        shown.send("wrong\n")
    shown.expect(r"guest@127.0.0.1: Permission denied \([a-z,-]*password[a-z,-]*\)")
    assert shown.wait() == 255


def test_password_prompts_are_as_many_as_configured(
    pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(asyncssh_server, "NumberOfPasswordPrompts 1", keys=())
    shown = terminal("box", "echo in")
    shown.expect("password: ")
    shown.send("wrong\n")
    shown.expect("Permission denied")
    assert shown.wait() == 255
    assert shown.seen.count(b"password: ") == 1


@pytest.mark.beyond_ssh  # which loses a Ctrl-C that comes between its prompt and its reading
def test_ctrl_c_at_the_password_leaves_the_terminal_as_it_was(
    pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(asyncssh_server, keys=())
    shown = terminal("box")
    shown.expect("password: ")
    assert not shown.echoes()
    shown.send("\x03")
    assert shown.wait() != 0
    assert shown.echoes()
    assert b"Traceback" not in shown.seen


def test_batch_mode_never_asks(pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(asyncssh_server, "BatchMode yes", keys=())
    shown = terminal("box", "true")
    assert shown.wait() == 255
    assert b"Permission denied" in shown.seen
    assert b"password: " not in shown.seen


def test_password_in_another_alphabet(pyssh: Client, own_park: Park, terminal: OpenTerminal) -> None:
    pyssh.aim(own_park.asyncssh(passwords={"guest": "pässwörd 密码"}), keys=())
    shown = terminal("box", "echo in")
    shown.expect("password: ")
    shown.send("pässwörd 密码\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_keyboard_interactive_asks_round_after_round(
    pyssh: Client, own_park: Park, terminal: OpenTerminal
) -> None:
    rounds = [
        [["Colour: ", True, "blue"], ["Secret: ", False, "hidden"]],
        [["One-time code: ", False, "123456"]],
        [],
    ]
    pyssh.aim(own_park.asyncssh(passwords={}, rounds=rounds, instructions="Answer well."), keys=())
    shown = terminal("box", "echo in")
    shown.expect("Answer well.")
    shown.expect("Colour: ")
    assert shown.echoes()
    shown.send("blue\n")
    shown.expect("Secret: ")
    assert not shown.echoes()
    shown.send("hidden\n")
    shown.expect("One-time code: ")
    assert not shown.echoes()
    shown.send("123456\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert shown.seen.count(b"blue") == 1
    assert b"hidden" not in shown.seen


def test_keyboard_interactive_may_be_tried_again(pyssh: Client, own_park: Park, terminal: OpenTerminal) -> None:
    pyssh.aim(own_park.asyncssh(passwords={}, rounds=[[["Code: ", False, "right"]]]), keys=())
    shown = terminal("box", "echo in")
    shown.expect("Code: ")
    shown.send("wrong\n")
    shown.expect("Code: ")
    shown.send("right\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_preferred_authentications_choose_the_method(
    pyssh: Client, own_park: Park, terminal: OpenTerminal
) -> None:
    server = own_park.asyncssh(rounds=[[["Code: ", False, "right"]]])
    pyssh.aim(server, "PreferredAuthentications password,keyboard-interactive")
    shown = terminal("box", "echo in")
    shown.expect("'s password: ")
    shown.send(f"{server.password}\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert b"Code: " not in shown.seen


if IS_ROOT:  # only root's servers know a password of the account

    @pytest.mark.parametrize("methods", ["publickey,password", "password,publickey"])
    def test_openssh_wants_a_key_and_a_password(
        pyssh: Client, sshd: StartServer, terminal: OpenTerminal, methods: str
    ) -> None:
        server = sshd(f"AuthenticationMethods {methods}")
        pyssh.aim(server)
        shown = terminal("box", "echo in")
        shown.expect("password: ")
        shown.send(f"{server.password}\n")
        shown.expect("in\r\n")
        assert shown.wait() == 0

    def test_dropbear_wants_a_key_and_a_password(pyssh: Client, own_park: Park, terminal: OpenTerminal) -> None:
        server = own_park.dropbear("-t")
        pyssh.aim(server)
        shown = terminal("box", "echo in")
        shown.expect("password: ")
        shown.send(f"{server.password}\n")
        shown.expect("in\r\n")
        assert shown.wait() == 0


def test_openssh_wants_two_keys(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("AuthenticationMethods publickey,publickey"), keys=["ed25519", "ecdsa-256"])
    done = pyssh.run("box", "cat", send=b"whole")
    assert done.stdout == b"whole", done.stderr


def test_one_key_where_two_are_wanted_says_partial_success(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("AuthenticationMethods publickey,publickey"))
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_key_file_that_others_can_read_is_refused(
    pyssh: Client, sshd: StartServer, tmp_path: Path, mode: int
) -> None:
    key = tmp_path / "open"
    shutil.copy(pyssh.keys.path("ed25519"), key)
    key.chmod(mode)
    pyssh.aim(sshd("PasswordAuthentication no"), keys=[key])
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"WARNING: UNPROTECTED PRIVATE KEY FILE!" in done.stderr
    assert f"Permissions 0{mode:o} for '{key}' are too open.".encode() in done.stderr
    assert b"Permission denied (publickey)" in done.stderr


def test_missing_key_file_is_told_and_passed_over(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    missing = tmp_path / "missing"
    done = pyssh.run("-i", str(missing), "box", "echo in")
    assert (done.returncode, done.stdout) == (0, b"in\n")
    assert str(missing).encode() in done.stderr
    assert b"No such file or directory" in done.stderr


@pytest.mark.parametrize("content", [b"", b"not a key\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_broken_key_file_is_told_and_passed_over(
    pyssh: Client, openssh: Server, tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    broken.chmod(0o600)
    pyssh.aim(openssh, keys=[broken, "ed25519"])
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (0, b"in\n")
    assert str(broken).encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_key_that_the_server_does_not_know_is_refused(
    pyssh: Client, sshd: StartServer, strange_keys: KeyRing
) -> None:
    server = sshd("PasswordAuthentication no")
    pyssh.aim(server, keys=[strange_keys.path("ed25519")])
    done = pyssh.run("box", "true")
    assert (done.returncode, done.stdout) == (255, b"")
    lines = done.stderr.decode().splitlines()
    assert lines[-1] == f"{server.user}@127.0.0.1: Permission denied (publickey)."


def test_unknown_user_is_refused_like_any_other(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("PasswordAuthentication no"), "User nobody-of-that-name")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"nobody-of-that-name@127.0.0.1: Permission denied (publickey)" in done.stderr


def test_openssh_banner_is_shown_on_stderr(pyssh: Client, sshd: StartServer, shared_directory: Path) -> None:
    banner = shared_directory / "banner"
    banner.write_text("Welcome to the box.\nBehave.\n")
    pyssh.aim(sshd(f"Banner {banner}"))
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"Welcome to the box.\nBehave.\n")
    assert pyssh.run("-q", "box", "echo in").stderr == b""


def test_asyncssh_banner_is_shown_on_stderr(pyssh: Client, own_park: Park) -> None:
    pyssh.aim(own_park.asyncssh(banner="Welcome.\n"))
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert b"Welcome." in done.stderr


def test_banner_cannot_drive_the_terminal(pyssh: Client, own_park: Park) -> None:
    pyssh.aim(own_park.asyncssh(banner="\x1b]0;mine\x07hello\x1b[2J\n"))
    done = pyssh.run("box", "echo in")
    assert b"hello" in done.stderr
    assert b"\x1b" not in done.stderr
    assert b"\x07" not in done.stderr
