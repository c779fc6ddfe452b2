"""A login shell on a terminal: what is typed, shown, resized and interrupted, and how the terminal is left."""

from __future__ import annotations

import re
import signal

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenScreen, OpenTerminal, StartServer
from tests.system.servers import Server
from tests.system.terminals import Terminal
from tests.system.waiting import wait_until

PROMPT = r"[#$>] "


def open_shell(terminal: OpenTerminal, *words: str, rows: int = 24, columns: int = 80) -> Terminal:
    """A login shell on the box that has run a command and waits at its prompt."""
    shown = terminal(*(words or ("box",)), rows=rows, columns=columns)
    shown.expect(PROMPT)
    shown.send("echo here'we'are\r")
    shown.expect("hereweare\r\n")
    shown.expect(PROMPT)  # before it, keys would meet a line discipline that is about to change
    return shown


def answer(shown: Terminal, command: str) -> str:
    """What a command prints in the shell, which waits at its prompt before and after."""
    shown.send(f"echo beg''in; {command}; echo en''d\r")
    printed = shown.expect("begin\r\n(.*?)end\r\n")[1]
    shown.expect(PROMPT)
    return printed.decode().replace("\r\n", "\n")


def test_shell_with_every_server(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(server)
    shown = open_shell(terminal)
    assert answer(shown, "echo $((6 * 7))") == "42\n"
    shown.send("exit 5\r")
    assert shown.wait() == 5
    assert shown.echoes()


def test_shell_is_a_login_shell_with_our_term(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.environment["TERM"] = "vt220"
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    assert answer(shown, "echo $TERM; shopt -q login_shell && echo login") == "vt220\nlogin\n"
    assert answer(shown, "tty").startswith("/dev/pts/")


def test_local_terminal_is_raw_while_the_shell_runs_and_restored_after(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh)
    shown = terminal("box", "-t", "echo up; read line; exit 7")
    shown.expect("up\r\n")
    wait_until(shown.is_raw, "raw mode")
    shown.send("\r")
    assert shown.wait() == 7
    assert shown.echoes()
    assert not shown.is_raw()


def test_modes_are_restored_exactly(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    plain = terminal(argv=["sh", "-c", "read line"])
    modes = plain.modes()
    modes[6][2] = b"\x07"  # VEOF
    shown = terminal(argv=["sh", "-c", 'read line; "$@"; read line', "-", *pyssh.argv, "-t", "box", "true"])
    shown.set_modes(modes)
    shown.send("\r")
    shown.expect("Connection to 127.0.0.1 closed.")
    wait_until(lambda: shown.modes() == modes, "the modes as they were")


@pytest.mark.parametrize("change", ["", "stty -echo erase ^H", "stty intr ^G -ixon", "stty raw"])
def test_remote_terminal_has_the_modes_of_the_local_one(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, change: str
) -> None:
    pyssh.aim(openssh)
    script = f'{change or ":"}; stty -a; echo here; "$@"; echo there'
    shown = terminal(argv=["sh", "-c", script, "-", *pyssh.argv, "-q", "-t", "box", "stty -a"])
    pattern = "^(.*)here\r?\n(.*)there" if "raw" in change else "^(.*)here\r\n(.*)there\r\n"
    found = shown.expect(pattern)
    here, there = (" ".join(part.decode().split()) for part in found.groups())
    assert there == here


def test_speed_is_passed(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    argv = ["sh", "-c", 'stty speed 9600 >/dev/null; exec "$@"', "-", *pyssh.argv, "-t", "box", "stty speed"]
    shown = terminal(argv=argv)
    shown.expect("9600\r\n")


def test_window_size_and_its_changes(pyssh: Client, full_server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(full_server)
    shown = open_shell(terminal, rows=33, columns=111)
    assert answer(shown, "stty size") == "33 111\n"
    shown.resize(44, 99)
    wait_until(lambda: answer(shown, "stty size") == "44 99\n", "the new size")


def test_screen_of_a_full_screen_program_follows_the_window(
    pyssh: Client, openssh: Server, screen: OpenScreen
) -> None:
    pyssh.aim(openssh)
    program = "trap 'tput clear; stty size' WINCH; tput cup 10 20; echo middle; while :; do sleep 0.05; done"
    shown = screen("-t", "box", f'bash -c "{program}"')
    text = shown.wait_for("middle")
    assert text.splitlines()[10] == " " * 20 + "middle"
    shown.resize(30, 90)
    shown.wait_for("30 90")
    shown.type("C-c")
    shown.wait_for("Connection to 127.0.0.1 closed.")


def test_line_editing_reaches_the_remote_shell(pyssh: Client, openssh: Server, screen: OpenScreen) -> None:
    pyssh.aim(openssh)
    shown = screen("box")
    wait_until(lambda: re.search(r"[#$>] *\n", shown.text()), "a prompt")
    shown.type("echo wxrld", "Left", "Left", "Left", "BSpace", "o", "C-a", "C-k", "C-y", "Enter")
    shown.wait_for("\nworld")


def test_ctrl_c_goes_to_the_remote_command(pyssh: Client, full_server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(full_server)
    shown = open_shell(terminal)
    shown.send("sh -c 'echo wait\"\"ing; exec sleep 1000'\r")
    shown.expect("waiting\r\n")
    shown.send("\x03")
    shown.expect(rf"\^C.*{PROMPT}")
    assert answer(shown, "echo still here") == "still here\n"


@pytest.mark.parametrize(("key", "effect"), [("\x1a", "Stopped"), ("\x1c", "Quit")])
def test_ctrl_z_and_ctrl_backslash_go_to_the_remote_too(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, key: str, effect: str
) -> None:
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    shown.send("sh -c 'echo wait\"\"ing; exec sleep 1000'\r")
    shown.expect("waiting\r\n")
    shown.send(key)
    shown.expect(effect)


def test_ctrl_d_ends_the_shell(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    shown.send("\x04")
    shown.expect("Connection to 127.0.0.1 closed.")
    assert shown.wait() == 0


def test_every_byte_typed_arrives(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, "EscapeChar none")
    shown = terminal("-t", "box", "stty raw -echo; echo up; head -c 256 | od -An -v -tu1; stty sane; echo down")
    shown.expect("up")
    wait_until(shown.is_raw, "raw mode")
    shown.send(bytes(range(256)))
    printed = shown.expect("\n(.*)down")[1]
    assert [int(word) for word in printed.split()] == list(range(256))


def test_every_byte_shown_arrives(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    octal = "".join(f"\\{n:03o}" for n in range(256))
    shown = terminal("-t", "box", f"stty raw; printf '{octal}'; printf down")
    shown.expect("down")
    assert bytes(range(256)) in shown.seen


def test_long_paste_arrives_whole(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    shown = terminal("-t", "box", "stty raw -echo; echo up; head -c 60000 | sha256sum; head -c 60000 | wc -c")
    shown.expect("up")
    wait_until(shown.is_raw, "raw mode")
    for _ in range(120):
        shown.send(b"0123456789" * 100)
    shown.expect("60000")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_killed_client_restores_the_terminal(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, number: signal.Signals
) -> None:
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    wait_until(shown.is_raw, "raw mode")
    shown.kill(number)
    assert shown.wait() != 0
    assert shown.echoes()
    assert not shown.is_raw()
    assert b"Traceback" not in shown.seen


def test_server_that_dies_restores_the_terminal(pyssh: Client, sshd: StartServer, terminal: OpenTerminal) -> None:
    server = sshd()
    pyssh.aim(server)
    shown = open_shell(terminal)
    wait_until(shown.is_raw, "raw mode")
    server.stop()
    assert shown.wait() == 255
    assert shown.echoes()
    assert not shown.is_raw()
    assert b"127.0.0.1" in shown.seen
    assert b"Traceback" not in shown.seen


def test_ctrl_c_ends_a_command_without_a_remote_terminal(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh)
    shown = terminal("box", "echo up; sleep 1000")
    shown.expect("up\r\n")
    assert not shown.is_raw()
    shown.send("\x03")
    assert shown.wait() != 0
    assert b"Traceback" not in shown.seen


@pytest.mark.parametrize(("flags", "expected"), [([], "no"), (["-t"], "yes"), (["-T"], "no")])
def test_terminal_is_asked_for_as_the_flags_say(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, flags: list[str], expected: str
) -> None:
    pyssh.aim(openssh)
    shown = terminal(*flags, "box", "if test -t 0; then echo is-yes; else echo is-no; fi")
    shown.expect(f"is-{expected}")
    assert shown.wait() == 0


def test_forced_terminal_without_a_local_one(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    once = pyssh.run("-t", "box", "tty")
    assert b"not a tty" in once.stdout
    assert b"Pseudo-terminal will not be allocated because stdin is not a terminal." in once.stderr
    twice = pyssh.run("-tt", "box", "tty")
    assert twice.stdout.startswith(b"/dev/pts/")


def test_shell_without_a_terminal_reads_commands_from_stdin(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("box", send=b"echo one\necho two >&2\nexit 8\n")
    assert (done.returncode, done.stdout) == (8, b"one\n")
    assert b"two\n" in done.stderr
    assert b"Pseudo-terminal will not be allocated because stdin is not a terminal." in done.stderr


def test_tilde_dot_ends_the_connection(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    shown.send("~.")
    shown.expect("Connection to 127.0.0.1 closed.")
    assert shown.wait() == 255
    assert shown.echoes()


def test_two_tildes_send_one(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    shown.send("~~. ; echo go''ne\r")
    shown.expect("gone\r\n")


def test_environment_is_sent_as_configured(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "SendEnv LC_S* LC_[B]", "SetEnv LC_SET=here LC_OTHER=there")
    pyssh.environment["LC_SENT"] = "along"
    pyssh.environment["LC_B"] = "only * and ? are wildcards"
    pyssh.environment["UNSENT"] = "no"
    done = pyssh.run("box", 'echo "$LC_SENT $LC_SET $LC_OTHER $LC_B$UNSENT."')
    assert done.stdout == b"along here there .\n"


def test_stopped_client_goes_on_when_continued(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    shown = open_shell(terminal)
    shown.kill(signal.SIGSTOP)
    shown.kill(signal.SIGCONT)
    assert answer(shown, "echo still here") == "still here\n"
