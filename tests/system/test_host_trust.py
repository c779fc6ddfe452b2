"""Further ways to trust a host or not: a command, lists of revoked keys, aliases, localhost, odd files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.system.clients import STAND_IN, Client
from tests.system.conftest import OpenTerminal
from tests.system.servers import KeyRing, Park, Server, fingerprint
from tests.system.test_known_hosts import QUESTION, host_field
from tests.system.waiting import wait_until
from tests.unit.keygen import keygen


def plain(told: bytes) -> list[str]:
    """The lines of stderr."""
    return told.decode().splitlines()


# KnownHostsCommand ----------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A program that writes its arguments to "asked", prints "said", and ends with the status in "status"."""
    path = tmp_path / "command"
    path.write_text(f'#!/bin/sh\ncd {tmp_path}\necho "$@" >> asked\ncat said\nexit $(cat status)\n')
    path.chmod(0o755)
    (tmp_path / "said").write_text("")
    (tmp_path / "status").write_text("0\n")
    return path


def test_a_command_knows_the_host(pyssh: Client, openssh: Server, command: Path) -> None:
    tokens = "%I %H %t %f %K %h %p %n"
    pyssh.aim(openssh, "StrictHostKeyChecking yes", f"KnownHostsCommand {command} {tokens}", trust=False)
    key = openssh.host_keys[0]
    (command.parent / "said").write_text(f"nonsense\n{host_field(openssh)} {key}\n")
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")
    type_name, blob = key.split()
    rest = f"127.0.0.1 {openssh.port} box"
    assert (command.parent / "asked").read_text().splitlines() == [
        f"ORDER 127.0.0.1 NONE NONE NONE {rest}",
        f"HOSTNAME {host_field(openssh)} {type_name} {fingerprint(key)} {blob} {rest}",
    ]
    assert not pyssh.known_hosts.exists()


def test_a_command_is_not_asked_for_an_order_that_is_given(pyssh: Client, openssh: Server, command: Path) -> None:
    pyssh.aim(openssh, f"KnownHostsCommand {command} %I", "HostKeyAlgorithms ssh-ed25519")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert (command.parent / "asked").read_text() == "HOSTNAME\n"


def test_what_a_command_knows_of_another_key_is_a_changed_key(
    pyssh: Client, openssh: Server, command: Path, strange_keys: KeyRing
) -> None:
    pyssh.aim(openssh, f"KnownHostsCommand {command} %I", trust=False)
    (command.parent / "said").write_text(f"{host_field(openssh)} {strange_keys.public('ed25519')}\n")
    done = pyssh.run("box", "echo in")
    assert done.returncode == 255
    assert "Offending ED25519 key in KnownHostsCommand-HOSTNAME:1" in plain(done.stderr)


@pytest.mark.beyond_ssh
def test_a_commands_keys_order_our_offer(pyssh: Client, openssh: Server, command: Path) -> None:
    """ssh asks for the name without port there, and passes over lines that have it."""
    pyssh.aim(openssh, "StrictHostKeyChecking yes", f"KnownHostsCommand {command} %I", trust=False)
    rsa = next(key for key in openssh.host_keys if key.startswith("ssh-rsa"))
    (command.parent / "said").write_text(f"{host_field(openssh)} {rsa}\n")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_a_command_that_fails_ends_it_all(pyssh: Client, openssh: Server, command: Path) -> None:
    pyssh.aim(openssh, f"KnownHostsCommand {command} %I")
    (command.parent / "status").write_text("3\n")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert plain(done.stderr) == [
        f"KnownHostsCommand-ORDER {command} ORDER failed, status 3",
        "KnownHostsCommand failed",
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/nowhere %I", 'Could not stat KnownHostsCommand-{} "/nowhere": No such file or directory'),
        ("relative %I", "KnownHostsCommand-{} path is not absolute"),
    ],
)
def test_a_command_that_is_not_there_knows_nothing(pyssh: Client, openssh: Server, line: str, told: str) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes", f"KnownHostsCommand {line}")
    done = pyssh.run("box", "echo in")
    assert (done.stdout, plain(done.stderr)) == (b"in\n", [told.format("ORDER"), told.format("HOSTNAME")])


def test_a_command_that_cannot_be_run_or_is_killed_ends_it_all(
    pyssh: Client, openssh: Server, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("text\n")
    pyssh.aim(openssh, f"KnownHostsCommand {tmp_path / 'text'}")
    done = pyssh.run("box", "echo in")
    assert done.returncode == 255
    assert plain(done.stderr)[-1] == "KnownHostsCommand failed"
    pyssh.aim(openssh, "KnownHostsCommand /bin/sh -c 'kill $$'")
    done = pyssh.run("box", "echo in")
    assert done.returncode == 255
    assert plain(done.stderr) == [
        'KnownHostsCommand-ORDER /bin/sh -c "kill $$" exited on signal 15',
        "KnownHostsCommand failed",
    ]


def test_ctrl_c_ends_a_command_that_hangs(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    pyssh.aim(openssh, f"KnownHostsCommand /bin/sh -c 'echo $$ > {ran}; exec sleep 1000'")
    shown = terminal("box", "echo in")
    wait_until(lambda: ran.exists() and ran.read_text().endswith("\n"), "the command to run")
    shown.send(b"\x03")
    assert shown.wait() != 0
    assert b"in\r\n" not in shown.seen

    def is_gone() -> bool:
        status = Path(f"/proc/{ran.read_text().strip()}/stat")
        return not status.exists() or status.read_text().split()[2] == "Z"

    wait_until(is_gone, "the command to be gone")


@pytest.mark.beyond_ssh
def test_a_signal_ends_a_command_that_hangs(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    pyssh.aim(openssh, f"KnownHostsCommand /bin/sh -c 'echo $$ > {ran}; exec sleep 1000'")
    with pyssh.start("box", "echo in") as process:
        wait_until(lambda: ran.exists() and ran.read_text().endswith("\n"), "the command to run")
        process.send_signal(signal.SIGINT)
        process.wait(30)
    with pytest.raises(ProcessLookupError):
        os.kill(int(ran.read_text()), 0)


@pytest.mark.beyond_ssh
def test_a_command_has_as_long_as_connecting(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ConnectTimeout 2", "KnownHostsCommand /bin/sleep 1000")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    told = "KnownHostsCommand-ORDER /bin/sleep 1000 did not end within 2 seconds"
    assert plain(done.stderr) == [told, "KnownHostsCommand failed"]


@pytest.mark.beyond_ssh
def test_a_command_may_leave_something_in_the_background(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    """It has the pipe that its parent wrote to, but not our stderr, which the test reads to its end."""
    key = f"{host_field(openssh)} {openssh.host_keys[0]}"
    (tmp_path / "command").write_text(f"sleep 1000 2>/dev/null & echo $! >> {tmp_path / 'left'}; echo '{key}'\n")
    pyssh.aim(
        openssh, "StrictHostKeyChecking yes", f"KnownHostsCommand /bin/sh {tmp_path / 'command'}", trust=False
    )
    try:
        assert pyssh.run("box", "echo in").stdout == b"in\n"
    finally:
        for number in (tmp_path / "left").read_text().split():
            os.kill(int(number), signal.SIGKILL)


# Revoked keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "krl", "sha256"])
@pytest.mark.parametrize("checking", ["yes", "no"])
def test_a_key_on_a_list_of_revoked_ones_is_refused(
    pyssh: Client, openssh: Server, park: Park, tmp_path: Path, kind: str, checking: str
) -> None:
    path = tmp_path / "revoked"
    if kind == "list":
        path.write_text(f"# stolen\n\n{openssh.host_keys[0]} the box\n")
    elif kind == "krl":
        keygen("-q", "-k", "-f", path, f"{park.host_keys.path('ed25519')}.pub")
    else:
        (tmp_path / "rules").write_text(f"hash: {fingerprint(openssh.host_keys[0])}\n")
        keygen("-q", "-k", "-f", path, tmp_path / "rules")
    options = f"StrictHostKeyChecking {checking}", "HostKeyAlgorithms ssh-ed25519"
    pyssh.aim(openssh, *options, f"RevokedHostKeys {path}")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert plain(done.stderr) == [
        f"Host key ED25519 {fingerprint(openssh.host_keys[0])} revoked by file {path}",
        "Host key verification failed.",
    ]


def test_keys_that_are_not_on_the_list_pass(
    pyssh: Client, openssh: Server, strange_keys: KeyRing, tmp_path: Path
) -> None:
    (tmp_path / "revoked").write_text(f"{strange_keys.public('ed25519')}\n")
    pyssh.aim(openssh, f"RevokedHostKeys {tmp_path / 'revoked'}")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


@pytest.mark.parametrize("content", [None, "nonsense\n"])
def test_a_list_that_cannot_be_read_refuses_every_host(
    pyssh: Client, openssh: Server, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "revoked"
    if content:
        path.write_text(content)
    pyssh.aim(openssh, "HostKeyAlgorithms ssh-ed25519", f"RevokedHostKeys {path}")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    shown = f"ED25519 {fingerprint(openssh.host_keys[0])}"
    assert plain(done.stderr)[0].startswith(f"Error checking host key {shown} in revoked keys file {path}: ")
    assert plain(done.stderr)[1:] == ["Host key verification failed."]


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("option", ["RevokedHostKeys", "GlobalKnownHostsFile"])
def test_a_pipe_that_nobody_writes_to_does_not_hold_us(
    pyssh: Client, openssh: Server, tmp_path: Path, option: str
) -> None:
    """What it would have revoked, nobody knows."""
    os.mkfifo(tmp_path / "pipe")
    pyssh.aim(openssh, f"{option} {tmp_path / 'pipe'}")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert f"{tmp_path / 'pipe'}: the pipe did not come to its end in time" in plain(done.stderr)[0]


@pytest.mark.beyond_ssh
def test_several_lists_all_count(pyssh: Client, openssh: Server, strange_keys: KeyRing, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{strange_keys.public('ed25519')}\n")
    (tmp_path / "b").write_text(f"{openssh.host_keys[0]}\n")
    options = "HostKeyAlgorithms ssh-ed25519", f"RevokedHostKeys {tmp_path / 'a'} {tmp_path / 'b'}"
    pyssh.aim(openssh, *options)
    done = pyssh.run("box", "echo in")
    assert done.returncode == 255
    assert plain(done.stderr)[0].endswith(f"revoked by file {tmp_path / 'b'}")


@pytest.mark.beyond_ssh
def test_a_key_revoked_for_the_bare_name_is_not_asked_about(pyssh: Client, openssh: Server) -> None:
    """ssh says so, too, and then goes on as if it had never heard of the key."""
    pyssh.aim(openssh, "StrictHostKeyChecking accept-new", "HostKeyAlgorithms ssh-ed25519", trust=False)
    pyssh.known_hosts.write_text(f"@revoked 127.0.0.1 {openssh.host_keys[0]}\n")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"REVOKED HOST KEY DETECTED" in done.stderr


# Names ----------------------------------------------------------------------------------------------------------


def test_an_alias_stands_for_the_host(pyssh: Client, openssh: Server) -> None:
    options = "HostKeyAlias Farm.Example", "HostKeyAlgorithms ssh-ed25519"
    pyssh.aim(openssh, *options, "StrictHostKeyChecking accept-new", trust=False)
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == f"farm.example {openssh.host_keys[0]}\n"
    assert pyssh.run("-o", "StrictHostKeyChecking=yes", "box", "echo in").stdout == b"in\n"


def test_the_bare_name_is_good_for_every_port(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes", trust=False)
    pyssh.known_hosts.write_text(f"127.0.0.1 {openssh.host_keys[0]}\n")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_localhost_may_be_anybody(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes", "NoHostAuthenticationForLocalhost yes", trust=False)
    pyssh.known_hosts.write_text(f"{host_field(openssh)} {strange_keys.public('ed25519')}\n")
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")


def test_without_a_file_only_what_is_known_is_taken(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking accept-new", "UserKnownHostsFile none", trust=False)
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert plain(done.stderr)[-1] == "Host key verification failed."
    (tmp_path / "system").write_text(f"{host_field(openssh)} {openssh.host_keys[0]}\n")
    done = pyssh.run("-o", f"GlobalKnownHostsFile={tmp_path / 'system'}", "box", "echo in")
    assert done.stdout == b"in\n"


def test_a_file_that_cannot_be_written_is_no_hindrance(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking accept-new", f"UserKnownHostsFile {tmp_path}", trust=False)
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    told = f"Failed to add the host to the list of known hosts ({tmp_path})"
    assert plain(done.stderr)[0].startswith(told)


@pytest.mark.beyond_ssh
def test_a_pipe_may_say_who_is_known(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes", trust=False)
    script = 'exec "$@" -o UserKnownHostsFile=<(echo "$LINE") box "echo in"'
    environment = {**pyssh.environment, "LINE": f"{host_field(openssh)} {openssh.host_keys[-1]}"}
    argv = ["bash", "-c", script, "bash", *pyssh.argv]
    done = subprocess.run(argv, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.stdout == b"in\n", done.stderr


# What is shown --------------------------------------------------------------------------------------------------

PICTURE = r"\+--\[ED25519 256\]--\+\r?\n(\|.{17}\|\r?\n){9}\+----\[SHA256\]-----\+\r?\n"


def test_the_picture_is_shown_with_a_key_that_is_known(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "VisualHostKey yes", "HostKeyAlgorithms ssh-ed25519")
    done = pyssh.run("box", "echo in")
    shown = done.stderr.decode()
    first, _, picture = shown.partition("\n")
    assert first.strip() == f"Host key fingerprint is {fingerprint(openssh.host_keys[0])}"
    assert re.fullmatch(PICTURE, picture)
    assert pyssh.run("-q", "box", "echo in").stderr == b""


def test_the_question_has_the_picture_and_the_other_names(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "VisualHostKey yes", "HostKeyAlgorithms ssh-ed25519", trust=False)
    key = openssh.host_keys[0]
    lines = [f"name{number} {key}\n" for number in range(10)]
    pyssh.known_hosts.write_text(f"@revoked other {key}\n@cert-authority x {key}\n{''.join(lines)}")
    shown = terminal("box", "echo in")
    shown.expect(r"fingerprint is SHA256:\S+\.\r\n" + PICTURE)
    shown.expect("This host key is known by the following other names/addresses:\r\n")
    names = "".join(f"    ~/.ssh/known_hosts:{number + 3}: name{number}\r\n" for number in range(8))
    shown.expect(f"{re.escape(names)}    \\(2 additional names omitted\\)\r\n{QUESTION}")


def test_fingerprints_may_be_of_md5(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "FingerprintHash md5", "HostKeyAlgorithms ssh-ed25519", trust=False)
    shown = terminal("box", "echo in")
    told = shown.expect(r"ED25519 key fingerprint is (MD5:([0-9a-f]{2}:){15}[0-9a-f]{2})\.\r\n")
    shown.expect(QUESTION)
    shown.send(told[1] + b"\n")
    shown.expect("in\r\n")


def test_batch_mode_never_asks(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, trust=False)
    shown = terminal("-o", "BatchMode=yes", "box", "echo in")
    shown.expect("Host key verification failed.")
    assert shown.wait() == 255
    assert b"Are you sure" not in shown.seen


def test_a_host_that_is_not_trusted_gets_no_secrets_and_no_forwards(
    pyssh: Client, openssh: Server, strange_keys: KeyRing
) -> None:
    options = "StrictHostKeyChecking no", "HostKeyAlgorithms ssh-ed25519", "UpdateHostKeys yes"
    pyssh.aim(openssh, *options, "ForwardAgent yes", trust=False)
    pyssh.known_hosts.write_text(f"{host_field(openssh)} {strange_keys.public('ed25519')}\n")
    before = pyssh.known_hosts.read_text()
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert [line for line in plain(done.stderr) if "disabled" in line] == [
        "Password authentication is disabled to avoid man-in-the-middle attacks.",
        "Keyboard-interactive authentication is disabled to avoid man-in-the-middle attacks.",
        "Agent forwarding is disabled to avoid man-in-the-middle attacks.",
        "UpdateHostkeys is disabled because the host key is not trusted.",
    ]
    assert pyssh.known_hosts.read_text() == before
    done = pyssh.run("-o", "ExitOnForwardFailure=yes", "box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert plain(done.stderr)[-1] == "Error: forwarding disabled due to host key check failure"


def test_small_rsa_keys_are_refused(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "HostKeyAlgorithms rsa-sha2-256", "RequiredRSASize 4096")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"Bad server host key: Invalid key length" in done.stderr


@pytest.mark.beyond_ssh
def test_a_key_exchange_that_is_not_post_quantum_is_warned_of(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "WarnWeakCrypto yes")
    weak = "-o", "KexAlgorithms=curve25519-sha256"
    done = pyssh.run(*weak, "box", "echo in")
    told = plain(done.stderr)
    assert done.stdout == b"in\n"
    assert told[0] == "** WARNING: connection is not using a post-quantum key exchange algorithm."
    assert all(line.startswith("** ") for line in told)
    assert len(told) == 3
    assert pyssh.run("-q", *weak, "box", "echo in").stderr == b""
    for setting in ("no", "no-pq-kex"):
        assert pyssh.run(*weak, "-o", f"WarnWeakCrypto={setting}", "box", "echo in").stderr == b""
    hybrid = "-o", "KexAlgorithms=sntrup761x25519-sha512@openssh.com"
    assert pyssh.run(*hybrid, "box", "echo in").stderr == b""


@pytest.mark.parametrize("sign", ["+", "-", "^", ""])
def test_known_keys_order_a_list_that_is_only_added_to_or_taken_from(
    pyssh: Client, openssh: Server, sign: str
) -> None:
    algorithms = {
        "+": "+ssh-rsa",
        "-": "-ecdsa-sha2-nistp521",
        "^": "^ssh-ed25519",
        "": "ssh-ed25519,rsa-sha2-512",
    }[sign]
    pyssh.aim(openssh, "StrictHostKeyChecking yes", f"HostKeyAlgorithms {algorithms}", trust=False)
    rsa = next(key for key in openssh.host_keys if key.startswith("ssh-rsa"))
    pyssh.known_hosts.write_text(f"{host_field(openssh)} {rsa}\n")
    assert (pyssh.run("box", "echo in").stdout == b"in\n") == (sign in {"+", "-"})


def test_rekeying_keeps_the_key_that_was_accepted(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking accept-new", "RekeyLimit 1M", trust=False)
    done = pyssh.run("box", "head -c 5000000 /dev/zero")
    assert len(done.stdout) == 5_000_000
    assert len(plain(done.stderr)) == 1
    assert STAND_IN or len(pyssh.known_hosts.read_text().splitlines()) == 1
