"""Whom to trust: the question, its answers, what is written, and the refusals."""

from __future__ import annotations

import subprocess

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.servers import KeyRing, Park, Server, fingerprint

QUESTION = r"Are you sure you want to continue connecting \(yes/no/\[fingerprint\]\)\? "


def host_field(server: Server) -> str:
    """How known_hosts names the server."""
    return f"[127.0.0.1]:{server.port}"


def test_yes_connects_and_remembers(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, trust=False)
    shown = terminal("box", "echo in")
    shown.expect(f"The authenticity of host '\\[127.0.0.1\\]:{openssh.port}[^']*' can't be established")
    shown.expect(QUESTION)
    shown.send("yes\n")
    shown.expect("Permanently added ")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    line = pyssh.known_hosts.read_text().splitlines()[0]
    assert line.split()[0] == host_field(openssh)
    assert " ".join(line.split()[1:3]) in openssh.host_keys
    again = pyssh.run("-o", "StrictHostKeyChecking=yes", "box", "echo again")
    assert (again.stdout, again.stderr) == (b"again\n", b"")


def test_question_shows_the_fingerprint(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "HostKeyAlgorithms ssh-ed25519", trust=False)
    shown = terminal("box", "echo in")
    shown.expect(QUESTION)
    assert f"ED25519 key fingerprint is {fingerprint(openssh.host_keys[0])}".encode() in shown.seen


@pytest.mark.parametrize("answer", ["no", "NO", ""])
def test_no_refuses_and_remembers_nothing(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, answer: str
) -> None:
    pyssh.aim(openssh, trust=False)
    shown = terminal("box", "echo in")
    shown.expect(QUESTION)
    shown.send(answer + "\n")
    shown.expect("Host key verification failed.")
    assert shown.wait() == 255
    assert not pyssh.known_hosts.exists() or pyssh.known_hosts.read_text() == ""


def test_typed_fingerprint_is_an_answer(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "HostKeyAlgorithms ssh-ed25519", trust=False)
    shown = terminal("box", "echo in")
    shown.expect(QUESTION)
    shown.send(fingerprint(openssh.host_keys[0]) + "\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_wrong_fingerprint_and_other_words_are_asked_again(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "HostKeyAlgorithms ssh-ed25519", trust=False)
    shown = terminal("box", "echo in")
    shown.expect(QUESTION)
    for answer in ("y", "maybe", fingerprint(openssh.host_keys[1])):
        shown.send(answer + "\n")
        shown.expect("Please type 'yes', 'no' or the fingerprint: ")
    shown.send("yes\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_accept_new_remembers_without_asking(pyssh: Client, server: Server) -> None:
    pyssh.aim(server, "StrictHostKeyChecking accept-new", trust=False)
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert b"Permanently added" in done.stderr
    assert pyssh.known_hosts.read_text().startswith(host_field(server) + " ")
    assert pyssh.run("-o", "StrictHostKeyChecking=yes", "box", "echo in").stdout == b"in\n"


def test_strict_refuses_an_unknown_host(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes", trust=False)
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert f"{host_field(openssh)}".encode() in done.stderr
    assert b"Host key verification failed." in done.stderr
    assert not pyssh.known_hosts.exists()


def test_unknown_host_without_a_terminal_is_refused(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, trust=False)
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"Host key verification failed." in done.stderr


@pytest.mark.parametrize("checking", ["yes", "ask", "accept-new"])
def test_changed_key_is_refused_loudly(
    pyssh: Client, openssh: Server, strange_keys: KeyRing, checking: str
) -> None:
    pyssh.aim(openssh, f"StrictHostKeyChecking {checking}")
    pyssh.known_hosts.write_text(f"# a comment\n{host_field(openssh)} {strange_keys.public('ed25519')}\n")
    before = pyssh.known_hosts.read_text()
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in done.stderr
    assert f"{pyssh.known_hosts}:2".encode() in done.stderr
    assert b"Host key verification failed." in done.stderr
    assert pyssh.known_hosts.read_text() == before


def test_changed_key_without_checking_connects_but_gives_no_password(
    pyssh: Client, password_server: Server, strange_keys: KeyRing, terminal: OpenTerminal
) -> None:
    pyssh.aim(password_server, "StrictHostKeyChecking no", keys=())
    pyssh.known_hosts.write_text(f"{host_field(password_server)} {strange_keys.public('ed25519')}\n")
    shown = terminal("box", "echo in")
    shown.expect("REMOTE HOST IDENTIFICATION HAS CHANGED")
    assert shown.wait() == 255
    assert b"Password authentication is disabled" in shown.seen
    assert b"'s password: " not in shown.seen


def test_hashed_entries_are_read(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", pyssh.known_hosts], check=True, capture_output=True)
    assert pyssh.known_hosts.read_text().startswith("|1|")
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_hashed_entries_are_written(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking accept-new", "HashKnownHosts yes", trust=False)
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text().startswith("|1|")
    found = subprocess.run(
        ["ssh-keygen", "-F", host_field(openssh), "-f", pyssh.known_hosts], capture_output=True, check=False
    )
    assert found.returncode == 0


@pytest.mark.parametrize(
    "names", ["[127.0.0.1]:*", "[127.0.0.?]:{port}", "other,[127.0.0.1]:{port}", "[127.*]:{port},![10.*]:{port}"]
)
def test_patterns_are_read(pyssh: Client, openssh: Server, names: str) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes")
    field = names.format(port=openssh.port)
    pyssh.known_hosts.write_text(f"{field} {openssh.host_keys[0]} a comment\n")
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def test_entry_of_another_port_does_not_count(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes")
    pyssh.known_hosts.write_text(f"[127.0.0.1]:{openssh.port + 1} {openssh.host_keys[0]}\n")
    assert pyssh.run("box", "echo in").returncode == 255


def test_second_file_is_read_too(pyssh: Client, openssh: Server) -> None:
    second = pyssh.home / "second"
    pyssh.aim(openssh, "StrictHostKeyChecking yes", f"UserKnownHostsFile {pyssh.home / 'none'} {second}")
    pyssh.known_hosts.rename(second)
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_global_file_is_read_too(pyssh: Client, openssh: Server) -> None:
    system = pyssh.home / "system"
    pyssh.aim(openssh, "StrictHostKeyChecking yes", f"GlobalKnownHostsFile {system}")
    pyssh.known_hosts.rename(system)
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_revoked_key_is_refused(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "HostKeyAlgorithms ssh-ed25519")
    with pyssh.known_hosts.open("a") as file:
        file.write(f"@revoked * {openssh.host_keys[0]}\n")
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"revoked" in done.stderr.lower()


@pytest.mark.beyond_ssh
def test_new_entry_goes_below_a_last_line_without_an_end(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking accept-new", trust=False)
    kept = f"other.example {openssh.host_keys[0]}"
    pyssh.known_hosts.write_text(kept)
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    lines = pyssh.known_hosts.read_text().splitlines()
    assert lines[0] == kept
    assert lines[1].startswith(host_field(openssh) + " ")


def test_broken_lines_are_passed_over(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking yes")
    good = pyssh.known_hosts.read_text()
    pyssh.known_hosts.write_bytes(
        b"nonsense\n\n# \xff\xfe\n" + b"x" * 5000 + b"\n|1|zz|zz ssh-rsa A\n" + good.encode()
    )
    assert pyssh.run("box", "echo in").stdout == b"in\n"


def test_server_with_an_unknown_type_beside_a_known_one_is_trusted_by_the_known(
    pyssh: Client, own_park: Park
) -> None:
    server = own_park.openssh()
    pyssh.aim(server, "StrictHostKeyChecking yes")
    ecdsa = next(key for key in server.host_keys if "nistp384" in key)
    pyssh.known_hosts.write_text(f"{host_field(server)} {ecdsa}\n")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
