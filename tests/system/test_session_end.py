"""How a session ends, as with ssh: exit codes, signals, broken connections, and the terminal on every way out."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import boolean, string, text, uint32
from tests.system import forwarded
from tests.system.clients import Client, is_logged_in
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.scripted_server import (
    CLOSE,
    EOF,
    ScriptedServer,
    Talk,
    channel_request,
    data,
    ending,
    exit_status,
    grant_a_channel,
)
from tests.system.servers import FakeServer, Server, free_port
from tests.system.terminals import JOB, Terminal
from tests.system.waiting import PATIENCE, wait_until

StartScripted = Callable[..., ScriptedServer]


def aim(client: Client, server: ScriptedServer, *lines: str) -> None:
    """Let "box" be the server, its host key known."""
    client.aim_at_port(server.port, *lines)
    client.known_hosts.write_text(server.known_hosts_line)


def stay(talk: Talk) -> None:
    """A command that says that it runs, and goes on running."""
    talk.say(data(b"ready"))
    talk.until_gone()


def state_of(pid: int) -> str:
    """The letter that says what a process is doing (proc(5)): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_reader_that_has_had_enough(client: Client, openssh: Server) -> None:
    client.aim(openssh)
    command = "trap '' PIPE; echo one; read go; echo two; exit 7"
    with client.start("box", command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        process.stdout.close()
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.stderr is not None
        assert process.wait(PATIENCE) == 7
        assert b"stdout" not in process.stderr.read()


def test_the_remote_command_hears_that_the_reader_has_gone(client: Client, openssh: Server) -> None:
    client.aim(openssh)
    with client.start("box", "yes") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(PATIENCE) == 255  # what a command that a signal ended gives
        assert process.stderr.read() == b""


def test_much_output_for_nobody(client: Client, scripted: StartScripted) -> None:
    def go_on(talk: Talk) -> None:
        talk.say(data(b"one\n"))
        talk.expect(m.CHANNEL_DATA)  # the reader has gone
        for _ in range(200):
            talk.say(data(bytes(32 * 1024)))
            talk.settle()
        talk.say(*ending(9))
        talk.until_gone()

    server = scripted(go_on)
    aim(client, server)
    with client.start("box", "run") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"one\n"
        process.stdout.close()
        process.stdin.write(b"gone")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 9


def test_refused_pty_and_a_shell_that_runs_all_the_same(
    client: Client, sshd: StartServer, terminal: OpenTerminal
) -> None:
    client.aim(sshd("PermitTTY no"))
    shown = terminal("box", argv=client.argv)
    shown.expect(r"PTY allocation request failed on channel 0( \([^\r]*\))?\r\n")
    shown.send("exit 3\n")
    assert shown.wait() == 3
    assert shown.echoes()
    assert shown.seen.rstrip().endswith(b"Connection to 127.0.0.1 closed.")


def test_refused_pty_that_was_insisted_on(client: Client, sshd: StartServer, terminal: OpenTerminal) -> None:
    client.aim(sshd("PermitTTY no"))
    shown = terminal("-t", "box", "echo never", argv=client.argv)
    assert shown.wait() == 255
    assert shown.echoes()
    assert b"PTY allocation request failed on channel 0" in shown.seen


def refuse_to_run(talk: Talk) -> None:
    """Grant a pty, and nothing else."""
    grant_a_channel(talk, shell=False)
    talk.until_gone()


@pytest.mark.parametrize("words", [["box"], ["-t", "box", "run"]])
def test_refused_shell(client: Client, scripted: StartScripted, terminal: OpenTerminal, words: list[str]) -> None:
    aim(client, scripted(refuse_to_run, stage="channel"))
    shown = terminal(*words, argv=client.argv)
    assert shown.wait() == 255
    assert shown.echoes()
    assert not shown.is_raw()
    assert b"request failed on channel 0" in shown.seen


KILLED = channel_request("exit-signal", text("KILL") + boolean(False) + text("") + text(""))


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ((exit_status(3), exit_status(4), EOF, CLOSE), 4),
        ((exit_status(0x1FF), EOF, CLOSE), 255),
        ((exit_status(256), EOF, CLOSE), 0),
        ((EOF, CLOSE), 255),
        ((CLOSE,), 255),
        ((exit_status(5), CLOSE), 5),
        ((EOF, exit_status(6), CLOSE), 6),
        ((KILLED, EOF, CLOSE), 255),
        ((exit_status(7), KILLED, EOF, CLOSE), 7),
        ((KILLED, exit_status(8), EOF, CLOSE), 8),
    ],
)
def test_exit_codes_of_all_sorts(
    client: Client, scripted: StartScripted, told: tuple[bytes, ...], status: int
) -> None:
    def end(talk: Talk) -> None:
        talk.say(*told)
        talk.until_gone()

    aim(client, scripted(end))
    assert client.run("box", "run").returncode == status


# The terminal, on every way out.


def vanish(talk: Talk) -> None:
    """Close the connection in the middle of drawing."""
    talk.say(data(b"\x1b[?25l\x1b[31"))


def talk_nonsense(talk: Talk) -> None:
    """Break the protocol."""
    talk.socket.sendall(os.urandom(256))
    talk.until_gone()


def reset(talk: Talk) -> None:
    """Close the connection rudely."""
    talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    talk.socket.close()


def hang_up(talk: Talk) -> None:
    """Say good-bye in a way that would clear the screen and ask for an answer."""
    message = string(b"\x1b[2J\x1b[6n evil\r\nConnection fine\x9b") + string(b"")
    talk.say(bytes((m.DISCONNECT,)) + uint32(11) + message)
    talk.until_gone()


@pytest.mark.parametrize("script", [vanish, talk_nonsense, reset, hang_up])
def test_the_terminal_after_a_connection_that_breaks(
    client: Client, scripted: StartScripted, terminal: OpenTerminal, script: Callable[[Talk], None]
) -> None:
    def begin(talk: Talk) -> None:
        talk.say(data(b"ready"))
        talk.expect(m.CHANNEL_DATA)
        script(talk)

    aim(client, scripted(begin))
    shown = terminal("-t", "box", "run", argv=client.argv)
    before = shown.modes()
    shown.expect("ready")
    wait_until(shown.is_raw, "raw mode")
    shown.send("x")
    assert shown.wait() == 255
    assert shown.modes() == before
    assert b"Traceback" not in shown.seen
    assert b"\x1b[2J" not in shown.seen
    assert b"\x1b[6n" not in shown.seen


def test_forwarded_connections_outlive_the_session(
    client: Client, openssh: Server, terminal: OpenTerminal, fake_server: Callable[..., FakeServer]
) -> None:
    """They are waited for, with a terminal on which Ctrl-C ends that."""
    client.aim(openssh)
    entrance, target = free_port(), fake_server(forwarded.echo)
    shown = terminal("-L", f"{entrance}:127.0.0.1:{target.port}", "box", argv=client.argv)
    before = shown.modes()
    shown.expect("ready> ")
    wait_until(shown.is_raw, "raw mode")
    with forwarded.connect(entrance) as connection:
        connection.sendall(b"before")
        assert connection.recv(100) == b"before"
        shown.send("exit 3\r")
        wait_until(lambda: shown.modes() == before, "the terminal to be as it was")
        connection.sendall(b"after")
        assert connection.recv(100) == b"after"
        shown.send("\x03")
        assert shown.wait() == 255
        assert connection.recv(100) == b""
    assert shown.modes() == before


@pytest.mark.beyond_ssh
def test_what_holds_up_the_end_is_told(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, fake_server: Callable[..., FakeServer]
) -> None:
    pyssh.aim(openssh)
    entrance, target = free_port(), fake_server(forwarded.echo)
    shown = terminal("-L", f"{entrance}:127.0.0.1:{target.port}", "box")
    shown.expect("ready> ")
    with forwarded.connect(entrance) as connection:
        connection.sendall(b"through")
        assert connection.recv(100) == b"through"
        shown.send("exit 3\r")
        shown.expect(r"\r\x1b\[KForwarded connections are still open \(Ctrl-C ends them\)")
    assert shown.wait() == 3
    assert shown.seen.endswith(b"\r\x1b[KConnection to 127.0.0.1 closed.\r\n")


BROKEN = """
import sys
import pyssh_cli.client.session
from pyssh_cli.__main__ import main

def fail(self):
    raise RuntimeError("a mistake of ours")

pyssh_cli.client.session.Session.window_changed = fail
main()
"""
"""pyssh with a mistake in it that shows when the window changes."""


@pytest.mark.beyond_ssh
def test_the_terminal_after_an_error_of_our_own(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    aim(pyssh, scripted(stay))
    shown = terminal("-t", "box", "run", argv=[sys.executable, "-c", BROKEN, "-F", str(pyssh.config)])
    before = shown.modes()
    shown.expect("ready")
    wait_until(shown.is_raw, "raw mode")
    shown.resize(30, 90)
    assert shown.wait() == 255
    assert shown.modes() == before
    assert b"a mistake of ours" in shown.seen


def echo(talk: Talk) -> None:
    """A command that says that it runs, and ends when it is told something."""
    talk.say(data(b"ready"))
    talk.expect(m.CHANNEL_DATA)
    talk.say(data(b"still here"), *ending(8))
    talk.until_gone()


ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
OTHERS = (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG)


@pytest.mark.parametrize("flag", ["-t", "-T"])
@pytest.mark.parametrize("number", ENDING)
def test_signals_that_end_a_session(
    client: Client, scripted: StartScripted, terminal: OpenTerminal, flag: str, number: signal.Signals
) -> None:
    aim(client, scripted(stay))
    shown = terminal("-o", "LogLevel=VERBOSE", flag, "box", "run", argv=client.argv)
    before = shown.modes()
    shown.expect("ready")
    if flag == "-t":
        wait_until(shown.is_raw, "raw mode")
    shown.kill(number)
    assert shown.wait() == 255
    assert shown.modes() == before
    assert shown.seen.count(b"Killed by signal %d." % number) == 1


@pytest.mark.parametrize("flag", ["-t", "-T"])
@pytest.mark.parametrize("number", OTHERS)
def test_signals_that_do_nothing(
    client: Client, scripted: StartScripted, terminal: OpenTerminal, flag: str, number: signal.Signals
) -> None:
    aim(client, scripted(echo))
    shown = terminal(flag, "box", "run", argv=client.argv)
    shown.expect("ready")
    shown.kill(number)
    shown.send("go\n")
    shown.expect("still here")
    assert shown.wait() == 8


def stopped_job(
    client: Client, server: ScriptedServer, terminal: OpenTerminal, flag: str
) -> tuple[Terminal, int, list[Any]]:
    """A session as a job that was stopped by SIGTSTP: its terminal, its process, and the modes before it began."""
    aim(client, server)
    shown = terminal(flag, "box", "run", argv=[sys.executable, "-c", JOB, *client.argv])
    before = shown.modes()
    job = int(shown.expect(r"job (\d+)")[1])
    shown.expect("ready")
    if flag == "-t":
        wait_until(shown.is_raw, "raw mode")
    os.kill(job, signal.SIGTSTP)
    wait_until(lambda: state_of(job) == "T", "the client to stop")
    return shown, job, before


@pytest.mark.parametrize("flag", ["-t", "-T"])
def test_a_stopped_session_goes_on(
    client: Client, scripted: StartScripted, terminal: OpenTerminal, flag: str
) -> None:
    shown, job, before = stopped_job(client, scripted(echo), terminal, flag)
    os.kill(job, signal.SIGCONT)
    wait_until(lambda: state_of(job) != "T", "the client to go on")
    if flag == "-t":
        wait_until(shown.is_raw, "raw mode again")
    shown.send("go\n")
    shown.expect("still here")
    assert shown.wait() == 8
    assert shown.modes() == before


@pytest.mark.beyond_ssh
def test_a_session_that_was_stopped_unheard_has_a_raw_terminal_again(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    aim(pyssh, scripted(echo))
    shown = terminal("-t", "box", "run", argv=[sys.executable, "-c", JOB, *pyssh.argv])
    before = shown.modes()
    job = int(shown.expect(r"job (\d+)")[1])
    shown.expect("ready")
    wait_until(shown.is_raw, "raw mode")
    os.kill(job, signal.SIGSTOP)
    wait_until(lambda: state_of(job) == "T", "the client to stop")
    shown.set_modes(before)  # as a shell does
    os.kill(job, signal.SIGCONT)
    wait_until(shown.is_raw, "raw mode again")
    shown.send("go\n")
    shown.expect("still here")
    assert shown.wait() == 8
    assert shown.modes() == before


@pytest.mark.beyond_ssh
def test_a_stop_leaves_the_terminal_as_it_was(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    shown, _, before = stopped_job(pyssh, scripted(stay), terminal, "-t")
    assert shown.modes() == before


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGALRM, signal.SIGXCPU])
def test_a_signal_that_kills_leaves_the_terminal_as_it_was(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, number: signal.Signals
) -> None:
    aim(pyssh, scripted(stay))
    shown = terminal("-t", "box", "run")
    before = shown.modes()
    shown.expect("ready")
    wait_until(shown.is_raw, "raw mode")
    shown.kill(number)
    assert shown.wait() == -number
    assert shown.modes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("words", [["box", "run"], ["-N", "box"]])
def test_signals_before_the_login(
    client: Client, fake_server: Callable[..., FakeServer], number: signal.Signals, words: list[str]
) -> None:
    reached: list[bytes] = []

    def listen(peer: socket.socket) -> None:
        reached.append(peer.recv(4))
        while peer.recv(4096):
            pass

    client.aim_at_port(fake_server(listen).port)
    with client.start(*words) as process:
        wait_until(lambda: reached, "the client's version")
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number


INTERRUPTED = """
import os, signal
import pyssh_cli.client.run as run
from pyssh_cli.__main__ import main

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

real = run._meanwhile

def meanwhile():
    Dying()
    real()

run._meanwhile = meanwhile
main()
"""
"""pyssh that SIGINT reaches where Python lets no exception through."""


@pytest.mark.beyond_ssh
def test_an_interrupt_does_not_get_lost(
    pyssh: Client, terminal: OpenTerminal, fake_server: Callable[..., FakeServer]
) -> None:
    pyssh.aim_at_port(fake_server(forwarded.answer_at_the_end).port)
    shown = terminal("-N", "box", argv=[sys.executable, "-c", INTERRUPTED, "-F", str(pyssh.config)])
    assert shown.wait() == -signal.SIGINT
    assert shown.said == b""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGHUP, 255), (signal.SIGINT, 255)])
def test_signals_that_end_a_tunnel(client: Client, openssh: Server, number: signal.Signals, status: int) -> None:
    client.aim(openssh)
    with client.start("-N", "box") as process:
        wait_until(lambda: is_logged_in(process.pid), "the login")
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == status


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_signals_that_were_ignored_before_stay_so(
    client: Client, scripted: StartScripted, number: signal.Signals
) -> None:
    aim(client, scripted(echo))
    shell = ["sh", "-c", f'trap "" {number.name[3:]}; exec "$@"', "sh"]
    with client.start("box", "run", argv=shell) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read(5) == b"ready"
        process.send_signal(number)
        process.stdin.write(b"go")
        process.stdin.close()
        assert process.wait(PATIENCE) == 8
