"""Escape keys in real sessions: what they do, what they show, and when they are nothing but keys."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from threading import Event

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader
from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.scripted_server import Talk
from tests.system.servers import Account, Server
from tests.system.sessions import SHOW, WATCH, in_session, open_cat
from tests.system.waiting import PATIENCE, wait_until


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
    shown = open_cat(terminal, pyssh, columns=200)
    shown.send("12345678")
    shown.expect("12345678")
    shown.send("\r")
    shown.expect("\n")
    shown.send("~#")
    shown.expect(r"sent 9 B, [^,]*/s, window [^;]*iB; received \d+ B, [^,]*/s, window [^\r]*iB\r\n")
    shown.expect(r"  round trip [\d.]+ ms\r\n")


def test_connection_is_described(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "Ciphers aes256-gcm@openssh.com", "KexAlgorithms curve25519-sha256")
    shown = open_cat(terminal, pyssh, columns=200)
    shown.send("~I")
    shown.expect(rf"~I\r\nConnection information, process {shown.pid}:\r\n")
    shown.expect(rf"  to {openssh.user}@127.0.0.1, 127.0.0.1 port {openssh.port} from 127.0.0.1 port \d+, for ")
    shown.expect(r"SSH-2.0-OpenSSH_.*curve25519-sha256, host key ssh-ed25519")
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


def test_escapes_are_heard_while_a_key_exchange_hangs(
    client: Client, scripted: object, terminal: OpenTerminal
) -> None:
    gone = Event()
    server = scripted(lambda _talk: gone.wait(PATIENCE))  # type: ignore[operator]
    client.aim_at_port(server.port)
    client.known_hosts.write_text(server.known_hosts_line)
    shown = terminal("-tt", "box", argv=client.argv)
    wait_until(shown.is_raw, "raw mode")
    shown.send("~R")
    for level in ("VERBOSE", "DEBUG", "DEBUG2"):
        shown.send("text\r~v")
        shown.expect(rf"~v \[LogLevel {level}\]\r\n")
    shown.send("~.")
    shown.expect("Connection to 127.0.0.1 closed.")
    assert shown.wait() == 255
    gone.set()


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
