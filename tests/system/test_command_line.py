"""The command line of `~C` in real sessions: forwards that come and go, local commands, and the terminal."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.forwarded import connect, echo, fetch, listens, website
from tests.system.servers import FakeServer, Server, free_port
from tests.system.sessions import SHOW, WATCH, in_session, open_cat
from tests.system.terminals import JOB, Terminal
from tests.system.waiting import wait_until

StartFake = Callable[..., FakeServer]


def test_command_line_is_off_unless_enabled(client: Client, openssh: Server, terminal: OpenTerminal) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client)
    shown.send("~C")
    shown.expect("commandline disabled[^\n]*\r\n")
    shown.send("after|")
    shown.expect(r"after\|")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("-L\r", "Bad local forwarding specification."),
        ("-KL\r", "Bad forwarding close specification."),
        ("what\r", "Invalid command."),
        ("help\r", "Commands:"),
        ("\r", ""),
        ("\x04", ""),
    ],
)
def test_command_line_answers_and_gives_the_terminal_back(
    client: Client, openssh: Server, terminal: OpenTerminal, line: str, answer: str
) -> None:
    client.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, client)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send(line)
    shown.expect(re.escape(answer))
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("after|")
    shown.expect(r"after\|")


def ask(shown: Terminal, line: str, answer: str) -> None:
    """Give the command line one line; wait for the answer, and for the session."""
    shown.send("\r~C")
    shown.expect("ssh>")
    shown.send(f"{line}\r")
    shown.expect(f"{answer}\r")
    wait_until(lambda: in_session(shown), "raw mode again")


def passes(entrance: int) -> bool:
    """Whether a connection to that port comes to where things are echoed."""
    try:
        with connect(entrance) as connection:
            connection.sendall(b"through")
            return connection.recv(100) == b"through"
    except ConnectionError:
        return False


@pytest.mark.parametrize("kind", ["L", "R"])
def test_command_line_begins_and_ends_forwards(
    client: Client, openssh: Server, terminal: OpenTerminal, fake_server: StartFake, kind: str
) -> None:
    client.aim(openssh, "EnableEscapeCommandline yes")
    entrance, target = free_port(), fake_server(echo)
    shown = open_cat(terminal, client)
    assert not passes(entrance)
    ask(shown, f"-{kind} {entrance}:127.0.0.1:{target.port}", r"Forwarding port\.")
    wait_until(lambda: listens(entrance), "the forward")
    assert passes(entrance)
    with connect(entrance) as open_before:
        open_before.sendall(b"one")
        assert open_before.recv(100) == b"one"
        ask(shown, f"-K{kind} {entrance}", r"Canceled forwarding\.")
        wait_until(lambda: not listens(entrance), "the end of the forward")
        open_before.sendall(b"two")
        assert open_before.recv(100) == b"two"
    ask(shown, f"-K{kind} {entrance}", r"Unknown port forwarding\.")
    shown.send("after|")
    shown.expect(r"after\|")


@pytest.mark.parametrize(
    "kind", ["L", pytest.param("R", marks=pytest.mark.beyond_ssh)]
)  # ssh knows them by the very same name only
@pytest.mark.parametrize(("added", "cancelled"), [("", "localhost:"), ("localhost:", ""), ("*:", ":")])
def test_command_line_knows_an_address_by_its_other_names(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, kind: str, added: str, cancelled: str
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    entrance = free_port()
    shown = open_cat(terminal, pyssh)
    ask(shown, f"-{kind} {added}{entrance}:127.0.0.1:1", r"Forwarding port\.")
    wait_until(lambda: listens(entrance), "the forward")
    ask(shown, f"-K{kind} 127.0.0.1:{entrance}", r"Unknown port forwarding\.")
    ask(shown, f"-K{kind} {cancelled}{entrance}", r"Canceled forwarding\.")
    wait_until(lambda: not listens(entrance), "the end of the forward")


@pytest.mark.beyond_ssh  # which tells less
def test_command_line_takes_no_place_for_another_target(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    """Each port 0 is one more; a port that leads elsewhere already is refused."""
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    entrance = free_port()
    shown = open_cat(terminal, pyssh, "-R", f"{entrance}:127.0.0.1:1", "-R", "0:127.0.0.1:1")
    ask(shown, "-R 0:127.0.0.1:2", r"Forwarding port\.")
    shown.expect("Allocated port [0-9]+ for remote forward to 127.0.0.1:2")
    ask(shown, f"-R {entrance}:127.0.0.1:2", r"Forwarding port\.")
    shown.expect(f"remote port forwarding failed for listen port {entrance}")
    ask(shown, f"-KR {entrance}", r"Canceled forwarding\.")
    wait_until(lambda: not listens(entrance), "the end of the first")


def test_command_line_begins_and_ends_a_socks_proxy(
    client: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    client.aim(openssh, "EnableEscapeCommandline yes")
    entrance = free_port()
    shown = open_cat(terminal, client)
    ask(shown, f"-D {entrance}", r"Forwarding port\.")
    with website() as port:
        assert fetch("--socks5", f"127.0.0.1:{entrance}", f"http://127.0.0.1:{port}/x") == "found /x"
    ask(shown, f"-KD {entrance}", r"Canceled forwarding\.")
    wait_until(lambda: not listens(entrance), "the end of the proxy")


def test_forwards_of_the_command_line_and_of_the_options_are_one(
    client: Client, openssh: Server, terminal: OpenTerminal, fake_server: StartFake
) -> None:
    client.aim(openssh, "EnableEscapeCommandline yes")
    entrance, target = free_port(), fake_server(echo)
    shown = open_cat(terminal, client, "-L", f"{entrance}:127.0.0.1:{target.port}")
    assert passes(entrance)
    ask(shown, f"-KL {entrance}", r"Canceled forwarding\.")
    wait_until(lambda: not listens(entrance), "the end of the forward")


def test_command_line_says_when_a_port_is_taken(
    client: Client, openssh: Server, terminal: OpenTerminal, fake_server: StartFake
) -> None:
    client.aim(openssh, "EnableEscapeCommandline yes")
    taken = fake_server(echo)
    shown = open_cat(terminal, client)
    ask(shown, f"-L 127.0.0.1:{taken.port}:127.0.0.1:1", r"Port forwarding failed\.")


def test_command_line_says_when_the_server_refuses(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, pyssh)
    ask(shown, "-R 81:127.0.0.1:1", r"Forwarding port\.")  # a port that is root's
    shown.expect("Warning: remote port forwarding failed for listen port 81\r\n")


def test_command_line_runs_local_commands(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes", "PermitLocalCommand yes")
    shown = open_cat(terminal, pyssh)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("!test -t 0 && echo $((6 * 7)) here\r")
    shown.expect("42 here\r\n")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("after|")
    shown.expect(r"after\|")


def test_local_command_is_interrupted_without_harm(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes", "PermitLocalCommand yes")
    shown = open_cat(terminal, pyssh)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send('!echo wait""ing; exec sleep 1000\r')
    shown.expect("waiting\r\n")
    shown.send("\x03")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("after|")
    shown.expect(r"after\|")


def test_command_line_is_edited(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes", "PermitLocalCommand yes")
    shown = open_cat(terminal, pyssh)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("echo tw\x7f\x7fone\x1b[H!\r")  # rubbed out, and Home
    shown.expect("one\r\n")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("\x1b[A too\r")  # Up
    shown.expect("one too\r\n")
    wait_until(lambda: in_session(shown), "raw mode again")
    assert b"\x1b[6n" not in shown.seen  # its answer would reach the remote side


def test_ctrl_c_leaves_the_command_line_and_nothing_else(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, pyssh)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("-L some\x03")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.resize(30, 90)  # the handler of SIGWINCH is ours again
    shown.send("after|")
    shown.expect(r"after\|")
    shown.kill(signal.SIGINT)
    assert shown.wait() == 255
    assert shown.echoes()
    assert b"Traceback" not in shown.seen


def test_window_is_followed_after_the_command_line(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, pyssh, command=WATCH)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("\r")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.resize(33, 77)
    shown.expect("33 77\r\n")


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 255),
        (signal.SIGHUP, 255),
        (signal.SIGINT, 255),
        (signal.SIGQUIT, 255),
        (signal.SIGUSR1, -signal.SIGUSR1),
    ],
)
@pytest.mark.parametrize("typed", ["", "-L 80"])
def test_killed_at_the_command_line_restores_the_terminal(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, number: signal.Signals, status: int, typed: str
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, pyssh)
    found = shown.modes()
    shown.send("~C")
    shown.expect("ssh>")
    shown.send(typed)
    shown.expect(typed)
    shown.kill(number)
    assert shown.wait() == status
    assert shown.echoes()
    assert not shown.is_raw()
    assert shown.modes() != found
    assert b"Traceback" not in shown.seen


def test_killed_as_soon_as_the_command_line_is_asked_for(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    for pause in range(10):
        shown = open_cat(terminal, pyssh)
        before = len(shown.seen)
        shown.send("~C")
        time.sleep(pause * 0.03)  # at another moment of its coming each time
        shown.kill(signal.SIGTERM)
        assert shown.wait() == 255
        assert shown.echoes()
        assert b"Traceback" not in shown.seen[before:]


def test_stopped_at_the_command_line_and_continued(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes", "PermitLocalCommand yes")
    shown = terminal(argv=[sys.executable, "-c", JOB, *pyssh.argv, "-tt", "box", SHOW])
    job = int(shown.expect(r"job (\d+)")[1])
    found = shown.modes()
    shown.expect("up\r?\n")
    wait_until(lambda: in_session(shown), "raw mode")
    for by_key in (False, True):
        shown.send("~C")
        shown.expect("ssh>")
        shown.send("!echo o")
        shown.expect("!echo o")
        if by_key:
            shown.send("\x1a")
        else:
            os.kill(job, signal.SIGTSTP)
        wait_until(lambda: state(job) == "T", "the stop")
        assert shown.modes() == found
        os.kill(job, signal.SIGCONT)
        shown.expect("!echo o")  # drawn again
        shown.send("ne\r")
        shown.expect("one\r\n")
        wait_until(lambda: in_session(shown), "raw mode again")


def state(pid: int) -> str:
    """What a process does, in a letter of proc(5)'s."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_is_typed_behind_the_line_is_for_the_session(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes", "PermitLocalCommand yes")
    shown = open_cat(terminal, pyssh)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("!echo here\rund \u00e4hnlich|\r~#")
    shown.expect("here\r\n")
    shown.expect("The following connections are open")  # what escapes ask for comes first, as it always does
    shown.expect(r"und M-CM-\$hnlich\|")


def test_modes_that_the_remote_program_has_set_stay(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, pyssh)
    before = len(shown.seen)
    shown.send("~C")
    shown.expect("ssh>")
    shown.send("\r")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("after|")
    shown.expect(r"after\|")
    changed = set(re.findall(rb"\x1b\[\?([\d;]+)[hl]", shown.seen[before:]))
    assert changed <= {b"7", b"12", b"25"}  # what is on again at the end: wrapping, and the cursor


def test_command_line_without_a_terminal_says_so(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    done = pyssh.run("-tt", "box", "stty -echo; echo up; cat", send=b"~C-KL 1\r\nafter\n\x04")
    assert done.returncode == 0
    assert b"There is no terminal to ask on" in done.stderr
    assert b"after" in done.stdout


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (1, 1), (10000, 10000)])
@pytest.mark.parametrize("kind", ["", "dumb", "t" * 4096])
def test_command_line_on_terminals_of_all_sorts(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, rows: int, columns: int, kind: str
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes", "PermitLocalCommand yes")
    pyssh.environment["TERM"] = kind
    shown = terminal("-tt", "box", SHOW, rows=rows, columns=columns)
    shown.expect("up\r?\n")
    wait_until(shown.is_raw, "raw mode")
    shown.send("~C")
    wait_until(lambda: not in_session(shown), "the command line")
    shown.send("!echo o$((6 * 7))o\r")
    shown.expect("o42o\r?\n")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("after|")
    shown.expect(r"after\|")


def test_terminal_that_goes_away_at_the_command_line(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, tmp_path: Path
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    status = tmp_path / "status"
    status.write_text("")
    shell = ["sh", "-c", f'trap : HUP; "$@"; echo $? >{status}', "sh", *pyssh.argv]
    shown = terminal("-tt", "box", SHOW, argv=shell)
    shown.expect("up\r?\n")
    wait_until(lambda: in_session(shown), "raw mode")
    shown.send("~C")
    shown.expect("ssh>")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), shown.master)  # which closes it
    assert wait_until(status.read_text, "the end of the client") == "255\n"
