"""Questions of a whole client: where they are asked, by whom they are, and how they end, as with ssh."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, boolean, string, text, uint32
from tests.system.clients import Client, OpenSSHClient
from tests.system.conftest import OpenTerminal
from tests.system.scripted_server import ScriptedServer, Talk, ending, failure
from tests.system.servers import PASSPHRASE, Server
from tests.system.terminals import JOB
from tests.system.waiting import PATIENCE, wait_until

StartScripted = Callable[..., ScriptedServer]

PASSWORD = "PreferredAuthentications password,keyboard-interactive"


def aim_at(client: Client, server: Server, question: str) -> None:
    """Let a login at the server begin with this question, and at most one other follow."""
    if question == "passphrase":
        client.aim(server, keys=[client.keys.variant("ed25519", "ed25519-asked", passphrase=PASSPHRASE)])
    else:
        client.aim(server, PASSWORD, "NumberOfPasswordPrompts 1", keys=[])
    if question == "host key":
        client.known_hosts.write_text("")


PROMPTS = {
    "password": "assword: ",
    "passphrase": "passphrase for key '[^']*': ",
    "host key": r"fingerprint\]\)\? ",
}


@pytest.mark.parametrize("question", PROMPTS)
@pytest.mark.parametrize("number", [None, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_any_question(
    client: Client, password_server: Server, terminal: OpenTerminal, question: str, number: signal.Signals | None
) -> None:
    aim_at(client, password_server, question)
    shown = terminal("box", "echo never", argv=client.argv)
    before = shown.modes()
    shown.expect(PROMPTS[question])
    wait_until(lambda: is_reading(shown.pid), "the client to read")
    if number is None:
        shown.send("half an answer\x03")
    else:
        shown.kill(number)
    assert shown.wait() == -(number or signal.SIGINT)
    assert shown.modes() == before
    assert b"never" not in shown.seen
    assert b"Traceback" not in shown.seen


def is_reading(pid: int) -> bool:
    """Whether a process waits for something."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize("question", PROMPTS)
def test_ctrl_d_ends_any_question(
    client: Client, password_server: Server, terminal: OpenTerminal, question: str
) -> None:
    aim_at(client, password_server, question)
    shown = terminal(
        "-o",
        "PasswordAuthentication=" + ("no" if question == "passphrase" else "yes"),
        "box",
        "echo never",
        argv=client.argv,
    )
    before = shown.modes()
    shown.expect(PROMPTS[question])
    shown.send("\x04")
    assert shown.wait() == 255
    assert shown.modes() == before
    assert b"never" not in shown.seen
    assert shown.seen.count(b"assword: ") == (question == "password")
    assert b"SSH_ASKPASS" not in shown.seen  # there was a terminal


@pytest.mark.parametrize("question", PROMPTS)
def test_asked_on_the_terminal_while_stdin_and_stdout_are_others(
    client: Client, password_server: Server, terminal: OpenTerminal, tmp_path: Path, question: str
) -> None:
    aim_at(client, password_server, question)
    out = tmp_path / "out"
    command = f"echo 'no answer' | {shlex.join(client.argv)} box cat >{out} 2>&1"
    shown = terminal(argv=["sh", "-c", command])
    found = shown.expect(PROMPTS[question])
    assert shown.echoes() == (question == "host key")
    if question == "host key":
        shown.send("yes\n")
        shown.expect(PROMPTS["password"])
        assert not shown.echoes()
    secret = PASSPHRASE if question == "passphrase" else password_server.password
    shown.send(f"{secret}\n")
    assert shown.wait() == 0
    assert out.read_text().endswith("no answer\n")
    assert found[0] not in out.read_bytes()
    assert str(secret).encode() not in shown.seen


@pytest.mark.parametrize(
    "words", [["-o", "BatchMode=yes"], ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=ask"]]
)
@pytest.mark.parametrize("question", PROMPTS)
def test_batch_mode_asks_nothing(
    client: Client,
    password_server: Server,
    terminal: OpenTerminal,
    tmp_path: Path,
    question: str,
    words: list[str],
) -> None:
    asked = askpass(client, tmp_path, "echo yes")
    client.environment |= {"SSH_ASKPASS_REQUIRE": "force"}
    aim_at(client, password_server, question)
    shown = terminal(*words, "box", "echo never", argv=client.argv)
    assert shown.wait() == 255
    assert not asked.exists()
    assert b"assword:" not in shown.seen
    assert b"Enter passphrase" not in shown.seen
    assert b"Are you sure" not in shown.seen


@pytest.mark.parametrize("question", PROMPTS)
def test_without_a_terminal_and_askpass_nobody_is_asked(
    client: Client, password_server: Server, question: str
) -> None:
    aim_at(client, password_server, question)
    done = client.run("box", "echo never", send=b"yes\nno answer\n")
    assert (done.returncode, done.stdout) == (255, b"")
    assert b"denied" in done.stderr or b"verification failed" in done.stderr
    if question == "password" and not isinstance(client, OpenSSHClient):
        assert b"run it on a terminal or set SSH_ASKPASS" in done.stderr


# SSH_ASKPASS.


def askpass(client: Client, directory: Path, script: str) -> Path:
    """Let SSH_ASKPASS be a script; the file in which it notes what it was asked."""
    asked, path = directory / "asked", directory / "askpass"
    path.write_text(f'#!/bin/sh\nprintf "%s|%s\\n" "$1" "$SSH_ASKPASS_PROMPT" >>{asked}\n{script}\n')
    path.chmod(0o755)
    client.environment["SSH_ASKPASS"] = str(path)
    return asked


DISPLAYS: tuple[dict[str, str], ...] = ({}, {"DISPLAY": ""}, {"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"})
REQUIRE = (None, "force", "FORCE", "prefer", "never", "", "other")


@pytest.mark.parametrize("display", DISPLAYS, ids=str)
@pytest.mark.parametrize("require", REQUIRE)
@pytest.mark.parametrize("place", ["terminal", "pipes"])
def test_askpass_is_asked_by_ssh_s_rules(
    client: Client,
    asyncssh_server: Server,
    terminal: OpenTerminal,
    tmp_path: Path,
    place: str,
    require: str | None,
    display: dict[str, str],
) -> None:
    aim_at(client, asyncssh_server, "password")
    asked = askpass(client, tmp_path, f"echo '{asyncssh_server.password}'")
    client.environment |= display
    if require is not None:
        client.environment["SSH_ASKPASS_REQUIRE"] = require
    # OpenSSH 9.2 does not know of Wayland yet.
    has_display = any(
        value for name, value in display.items() if name == "DISPLAY" or not isinstance(client, OpenSSHClient)
    )
    forced = (require or "").lower() == "force"
    preferred = forced or (require == "prefer" and has_display)
    allowed = forced or (has_display and require != "never")
    if place == "terminal":
        shown = terminal("box", "echo in", argv=client.argv)
        if not preferred:
            shown.expect("assword: ")
            shown.send(f"{asyncssh_server.password}\n")
        shown.expect("in\r\n")
        assert asked.exists() == preferred
    else:
        done = client.run("box", "echo in")
        assert done.stdout == (b"in\n" if allowed else b"")
        assert asked.exists() == allowed
    if asked.exists():
        assert asked.read_text() == f"{asyncssh_server.user}@127.0.0.1's password: |\n"


@pytest.mark.parametrize("script", ["exit 1", "echo wrong; exit 1", "echo wrong"])
def test_askpass_that_does_not_know(client: Client, asyncssh_server: Server, tmp_path: Path, script: str) -> None:
    aim_at(client, asyncssh_server, "password")
    asked = askpass(client, tmp_path, script)
    client.environment["SSH_ASKPASS_REQUIRE"] = "force"
    done = client.run("box", "echo never")
    assert (done.returncode, done.stdout) == (255, b"")
    assert len(asked.read_text().splitlines()) == 1
    assert b"Permission denied" in done.stderr


def test_askpass_judges_the_host_too(client: Client, openssh: Server, tmp_path: Path) -> None:
    client.aim(openssh, trust=False)
    client.known_hosts.write_text("")
    asked = askpass(client, tmp_path, "echo yes")
    client.environment["SSH_ASKPASS_REQUIRE"] = "force"
    assert client.run("box", "echo in").stdout == b"in\n"
    assert "(yes/no/[fingerprint])? |\n" in asked.read_text()


# Whose words they are.


def ask_evil_things(talk: Talk) -> list[str]:
    """Ask by keyboard-interactive in words that would drive a terminal; the answers."""
    talk.expect(m.SERVICE_REQUEST)
    talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
    talk.expect(m.USERAUTH_REQUEST)
    banner = string(b"\x1b[2JWelcome\x1b]0;title\x07\x9b6n\r\nline two\x08\x08\n") + text("")
    talk.say(bytes((m.USERAUTH_BANNER,)) + banner, failure("keyboard-interactive"))
    while b"keyboard-interactive" not in talk.expect(m.USERAUTH_REQUEST):
        talk.say(failure("keyboard-interactive"))
    prompts = (
        string(b"root@trusted's password: \x1b[1A") + boolean(False) + string(b"\x1b[8mcode: ") + boolean(True)
    )
    talk.say(
        bytes((m.USERAUTH_INFO_REQUEST,))
        + string(b"\x1b[31mname")
        + string(b"do \x1b[5n this\n")
        + string(b"")
        + uint32(2)
        + prompts
    )
    reader = Reader(talk.expect(m.USERAUTH_INFO_RESPONSE), 1)
    return [reader.text() for _ in range(reader.uint32())]


def test_a_servers_words_are_marked_and_harmless(
    client: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    server = scripted(ask_evil_things, stage="login")
    client.environment["NO_COLOR"] = "1"
    client.aim_at_port(server.port)
    client.known_hosts.write_text(server.known_hosts_line)
    shown = terminal("box", "run", argv=client.argv)
    shown.expect(r"\r\(nobody@127\.0\.0\.1\) root@trusted's password: \\033\[1A")
    assert not shown.echoes()
    shown.send("h\xc3\xbcte\n".encode("latin-1"))
    shown.expect(r"\r\(nobody@127\.0\.0\.1\) \\033\[8mcode: ")
    assert shown.echoes()
    shown.send("123\n")
    assert shown.wait() == 255
    assert server.result() == ["hüte", "123"]
    assert b"\x1b" not in shown.said
    assert b"\x9b" not in shown.seen
    assert b"\x07" not in shown.seen
    assert b"h\xc3\xbcte" not in shown.seen


def test_answers_are_not_called_right_for_a_server_that_only_hangs_up(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    def ask_once(talk: Talk) -> None:
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
        while b"keyboard-interactive" not in talk.expect(m.USERAUTH_REQUEST):
            talk.say(failure("keyboard-interactive"))
        prompt = string(b"Code: ") + boolean(False)
        talk.say(bytes((m.USERAUTH_INFO_REQUEST,)) + text("") + text("") + text("") + uint32(1) + prompt)
        talk.expect(m.USERAUTH_INFO_RESPONSE)
        talk.say(failure("keyboard-interactive"))
        talk.expect(m.USERAUTH_REQUEST)

    server = scripted(ask_once, stage="login")
    pyssh.aim_at_port(server.port)
    pyssh.known_hosts.write_text(server.known_hosts_line)
    shown = terminal("box", "run")
    shown.expect("Code: ")
    shown.send("wrong\n")
    assert shown.wait() == 255
    assert b"while nobody was logging in" in shown.seen
    assert b"seems right" not in shown.seen


CROWDED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (1200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
while os.open("/dev/null", os.O_RDONLY) < 1100:
    pass
for number in range(3, 1101):
    os.set_inheritable(number, True)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Runs a program with more descriptors open than select(2) knows."""


@pytest.mark.skipif(0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 1200, reason="no so many descriptors")
def test_asked_in_spite_of_many_descriptors(
    client: Client, asyncssh_server: Server, terminal: OpenTerminal
) -> None:
    aim_at(client, asyncssh_server, "password")
    shown = terminal("box", "echo in", argv=[sys.executable, "-c", CROWDED, *client.argv])
    shown.expect("assword: ")
    shown.send(f"{asyncssh_server.password}\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


# Stopping, and unusual answers.


def test_a_stop_gives_the_terminal_back_and_the_question_comes_again(
    client: Client, asyncssh_server: Server, terminal: OpenTerminal
) -> None:
    aim_at(client, asyncssh_server, "password")
    shown = terminal("box", "echo in", argv=[sys.executable, "-c", JOB, *client.argv])
    before = shown.modes()
    job = int(shown.expect(r"job (\d+)")[1])
    shown.expect("assword: ")
    assert not shown.echoes()
    wait_until(lambda: is_reading(job), "the client to read")
    shown.send("half\x1a")
    wait_until(lambda: state_of(job) == "T", "the client to stop")
    assert shown.modes() == before
    os.kill(job, signal.SIGCONT)
    shown.expect("assword: ")
    assert not shown.echoes()
    shown.send(f"{asyncssh_server.password}\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert shown.modes() == before


def state_of(pid: int) -> str:
    """The letter that says what a process is doing (proc(5)): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


ENDED_JOB = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
assert os.WIFSTOPPED(os.waitpid(job, os.WUNTRACED)[1])
os.killpg(job, signal.SIGTERM)
os.killpg(job, signal.SIGCONT)
status = os.waitpid(job, os.WUNTRACED)[1]
os.killpg(job, signal.SIGKILL) if os.WIFSTOPPED(status) else None
os._exit(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 100)
"""
"""A shell that starts a program in the background and ends it (kill %1) when it has stopped there."""


def test_a_question_in_the_background_can_be_ended(
    client: Client, password_server: Server, terminal: OpenTerminal
) -> None:
    client.aim(password_server, "PreferredAuthentications password,keyboard-interactive", keys=[])
    shown = terminal("box", "true", argv=[sys.executable, "-c", ENDED_JOB, *client.argv])
    before = shown.modes()
    assert shown.wait() == signal.SIGTERM
    assert shown.modes() == before


@pytest.mark.parametrize("answer", [b"x" * 1000, "Ünicöde €\U0001f511".encode(), b"  ", b"a\x16\x03b", b"\t"])
def test_answers_of_all_sorts_arrive_as_typed(
    client: Client, scripted: StartScripted, terminal: OpenTerminal, answer: bytes
) -> None:
    def take_a_password(talk: Talk) -> bytes:
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
        while True:
            reader = Reader(talk.expect(m.USERAUTH_REQUEST), 1)
            reader.text(), reader.text()
            if reader.text() == "password":
                reader.boolean()
                password = bytes(reader.string())
                break
            talk.say(failure("password"))
        talk.say(bytes((m.USERAUTH_SUCCESS,)))
        talk.peer.authenticated()
        talk.open_session(1 << 20)
        talk.say(*ending(4))
        talk.until_gone()
        return password

    server = scripted(take_a_password, stage="login")
    client.aim_at_port(server.port)
    client.known_hosts.write_text(server.known_hosts_line)
    shown = terminal("box", "run", argv=client.argv)
    shown.expect("assword: ")
    shown.send(answer + b"\n")
    assert shown.wait(PATIENCE) == 4
    assert server.result() == answer.replace(b"\x16\x03", b"\x03")


def test_the_usual_tools_answer_for_a_person(
    client: Client, password_server: Server, terminal: OpenTerminal
) -> None:
    aim_at(client, password_server, "password")
    shown = terminal("-p", str(password_server.password), *client.argv, "box", "echo in", argv=["sshpass"])
    shown.expect("in\r\n")
    assert shown.wait() == 0


@pytest.mark.beyond_ssh
def test_type_ahead_reaches_the_session(pyssh: Client, asyncssh_server: Server, terminal: OpenTerminal) -> None:
    aim_at(pyssh, asyncssh_server, "password")
    shown = terminal("box", 'read line; echo "<$line>"')
    shown.expect("assword: ")
    shown.send(f"{asyncssh_server.password}\nmore\n")
    shown.expect("<more>\r\n")
    assert shown.wait() == 0
