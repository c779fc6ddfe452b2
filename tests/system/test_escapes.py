"""Escape keys in real sessions: what they do, what they show, and when they are nothing but keys."""

from __future__ import annotations

import re
import shlex
import signal
import termios
from pathlib import Path

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader
from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.scripted_server import Talk
from tests.system.servers import Account, Server
from tests.system.terminals import Terminal
from tests.system.waiting import wait_until

WATCH = """exec bash -c 'trap "stty size" WINCH; echo up; while :; do read -t 0.1 x && echo got $x; done'"""
"""A command that tells of each change of the window, and of each line."""

SHOW = "stty -echo -icanon; echo up; exec cat -v"


def open_cat(terminal: OpenTerminal, client: Client, *words: str, command: str = SHOW) -> Terminal:
    """A session whose command shows what arrives; waits until keys go to it one by one."""
    shown = terminal(*words, "-tt", "box", command, argv=client.argv)
    shown.expect("up\r?\n")
    wait_until(shown.is_raw, "raw mode")
    return shown


def in_session(shown: Terminal) -> bool:
    """Whether the terminal is as raw as a session needs it; a line editor leaves its output as it is."""
    return shown.is_raw() and not shown.modes()[1] & termios.OPOST


@pytest.mark.parametrize(
    ("words", "typed", "arrives"),
    [
        ((), "~~", "~"),
        ((), "~~.", "~."),
        ((), "~x", "~x"),
        ((), "~\x02", "~^B"),
        ((), "a~.", "a~."),
        ((), "a~?", "a~?"),
        ((), "~x~.", "~x~."),
        (("-e", "none"), "~.", "~."),
        (("-e", "^B"), "~.", "~."),
        (("-e", "^B"), "\x02\x02", "^B"),
        (("-e", "%"), "%%", "%"),
        (("-o", "EscapeChar=none"), "~?", "~?"),
    ],
)
def test_what_is_no_escape_arrives(
    client: Client, openssh: Server, terminal: OpenTerminal, words: tuple[str, ...], typed: str, arrives: str
) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client, *words)
    shown.send(typed + "|")
    assert shown.expect(r"(.*)\|")[1].decode() == arrives


@pytest.mark.parametrize(("words", "char"), [((), "~"), (("-e", "%"), "%"), (("-e", "^B"), "\x02")])
@pytest.mark.parametrize("before", ["", "text\r", "text\n", "~?"])
def test_disconnect_at_the_start_of_a_line(
    client: Client, openssh: Server, terminal: OpenTerminal, words: tuple[str, ...], char: str, before: str
) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client, *words)
    shown.send(before.replace("~", char))
    shown.send(f"{char}.")
    shown.expect("Connection to 127.0.0.1 closed.")
    assert shown.wait() == 255
    assert shown.echoes()


def test_without_a_remote_terminal_there_are_no_escapes(
    client: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    client.aim(openssh)
    assert client.run("box", "cat", send=b"~.\n~?\n").stdout == b"~.\n~?\n"
    shown = terminal("-T", "box", "echo up; cat -v; exit 3", argv=client.argv)
    shown.expect("up\r?\n")
    shown.send("~.\n~?\n\x04")
    assert shown.wait() == 3
    assert b"~.\r\n~?\r\n" in shown.seen.rpartition(b"up\r\n")[2]


def test_a_forced_terminal_has_escapes_even_with_a_pipe_for_stdin(client: Client, openssh: Server) -> None:
    client.aim(openssh)
    done = client.run("-tt", "box", "cat", send=b"text\n~.\n")
    assert done.returncode == 255


def test_help_lists_the_keys(client: Client, openssh: Server, terminal: OpenTerminal) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client)
    shown.send("~?")
    listed = shown.expect(r"~\?\r\n(.*~~[^\n]*\n)")[1].decode()
    keys = set(re.findall(r"^ +(~\S+)", listed, re.MULTILINE))
    assert keys >= {"~.", "~B", "~R", "~^Z", "~#", "~&", "~?", "~~"}
    assert "~C" not in keys or client.argv[0].endswith("ssh")  # 9.2's ssh lists it though it is disabled


def test_open_channels_are_listed(client: Client, openssh: Server, terminal: OpenTerminal) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client)
    shown.send("~#")
    shown.expect(r"~#\r\nThe following connections are open:\r\n  #0 client-session \([^\n]*\r\n")


def test_listing_shows_bytes_rate_window_and_round_trip(
    pyssh: Client, full_server: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(full_server)
    shown = open_cat(terminal, pyssh)
    shown.send("12345678")
    shown.expect("12345678")
    shown.send("\r")
    shown.expect("\n")
    shown.send("~#")
    shown.expect(r"sent 9 B, [^,]*/s, window [^;]*iB; received \d+ B, [^,]*/s, window [^\r]*iB\r\n")
    shown.expect(r"  round trip [\d.]+ ms\r\n")


def test_connection_is_described(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "Ciphers aes256-gcm@openssh.com", "KexAlgorithms curve25519-sha256")
    shown = open_cat(terminal, pyssh)
    shown.send("~I")
    shown.expect(rf"~I\r\nConnection information, process {shown.pid}:\r\n")
    shown.expect(rf"127.0.0.1 port {openssh.port}.*SSH-2.0-OpenSSH_.*curve25519-sha256, host key ssh-ed25519")
    shown.expect(r"aes256-gcm@openssh.com, MAC implicit, compression none")
    shown.expect(r"  round trip [\d.]+ ms\r\n")


def test_level_goes_up_and_down(client: Client, openssh: Server, terminal: OpenTerminal) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client)
    shown.send("~v~v~V~V~V")
    for key, level in (("v", "VERBOSE"), ("v", "DEBUG"), ("V", "VERBOSE"), ("V", "INFO"), ("V", "ERROR")):
        shown.expect(rf"~{key} \[LogLevel {level}\]\r\n")
    shown.send("~V~V~V~V")
    shown.expect(r"~V \[LogLevel SILENT\]\r\n~V \[LogLevel SILENT\]\r\n")


def test_break_is_sent(client: Client, scripted: object, terminal: OpenTerminal) -> None:
    def script(talk: Talk) -> bytes:
        while True:
            request = talk.expect(m.CHANNEL_REQUEST)
            reader = Reader(request, 5)
            if reader.text() == "break":
                return bytes(reader.rest())

    server = scripted(script)  # type: ignore[operator]
    client.aim_at_port(server.port)
    client.known_hosts.write_text(server.known_hosts_line)
    shown = terminal("-tt", "box", argv=client.argv)
    wait_until(shown.is_raw, "raw mode")
    shown.send("~B")
    shown.expect("~B\r\n")
    assert server.result() == b"\x00" + (1000).to_bytes(4, "big")


def test_rekeying_on_demand(client: Client, openssh: Server, terminal: OpenTerminal) -> None:
    client.aim(openssh)
    shown = open_cat(terminal, client, "-v")
    exchanges = shown.seen.count(b"SSH2_MSG_NEWKEYS received")
    shown.send("~R")
    shown.expect("SSH2_MSG_NEWKEYS received")
    shown.send("after|")
    shown.expect(r"after\|")
    assert exchanges == 1


def test_suspended_and_brought_back(client: Client, openssh: Server, terminal: OpenTerminal) -> None:
    client.aim(openssh)
    client.environment["PS1"] = "LOCAL> "
    shown = terminal(argv=["bash", "--norc", "--noprofile", "--noediting", "-i"])
    shown.expect("LOCAL> ")
    shown.send(f"{shlex.join([*client.argv, '-tt', 'box', WATCH])}\n")
    shown.expect("\r\nup\r\n")
    wait_until(lambda: in_session(shown), "raw mode")
    shown.send("\r~\x1a")
    shown.expect(r"~\^Z \[suspend \w+\]\r\n.*LOCAL> ")
    assert shown.echoes()
    shown.resize(41, 123)
    shown.send("fg\n")
    shown.expect("41 123\r\n")
    wait_until(lambda: in_session(shown), "raw mode again")
    shown.send("more\r")
    shown.expect("got more\r\n")
    shown.send("~.")
    shown.expect("LOCAL> ")
    shown.send("echo status $?\n")
    shown.expect("status 255\r\n")


def test_background_at_logout(
    client: Client, openssh: Server, account: Account, shared_directory: Path, terminal: OpenTerminal
) -> None:
    client.aim(openssh)
    mark = shared_directory / f"mark-{client.home.parent.name}"
    mark.write_text("")
    mark.chmod(0o666)
    command = f"echo up; cat >/dev/null; sleep 0.5; echo done >{mark}"
    shown = open_cat(terminal, client, command=command)
    shown.send("text\r~&")
    assert shown.wait() == 0
    assert shown.echoes()
    assert wait_until(mark.read_text, "the command to end with its input") == "done\n"


def test_keys_are_doubled_for_a_session_in_a_session(
    pyssh: Client, asyncssh_server: Server, openssh: Server, tmp_path: Path, terminal: OpenTerminal
) -> None:
    inner = Client(tmp_path / "inner", pyssh.keys)
    inner.aim(openssh)
    pyssh.aim(asyncssh_server)
    shown = terminal("-tt", "box", f"cd {Path.cwd()}; {' '.join(inner.argv)} -tt box '{SHOW}'; echo inner $?; cat")
    shown.expect("up\r?\n")
    shown.send("|")
    shown.expect(r"\|")
    shown.send("\r~~.")
    shown.expect("inner 255\r\n")
    shown.send("\r~.")
    assert shown.wait() == 255


# The command line ------------------------------------------------------------------------------------------------


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


def test_killed_at_the_command_line_restores_the_terminal(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh, "EnableEscapeCommandline yes")
    shown = open_cat(terminal, pyssh)
    shown.send("~C")
    shown.expect("ssh>")
    shown.kill(signal.SIGTERM)
    assert shown.wait() == 255
    assert shown.echoes()
    assert b"Traceback" not in shown.seen
