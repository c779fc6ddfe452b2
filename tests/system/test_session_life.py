"""The life of a session, with ssh and pyssh alike: what is asked of the server, LocalCommand, and what is said."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, text, uint32
from tests.system.clients import Client, OpenSSHClient, is_logged_in
from tests.system.conftest import OpenTerminal
from tests.system.scripted_server import ScriptedServer, Talk, data, ending, grant_a_channel, requests
from tests.system.servers import Server, free_port
from tests.system.waiting import PATIENCE, wait_until

StartScripted = Callable[..., ScriptedServer]


def aim(client: Client, server: ScriptedServer, *lines: str) -> None:
    """Let "box" be the server, its host key known."""
    client.aim_at_port(server.port, *lines)
    client.known_hosts.write_text(server.known_hosts_line)


# What is asked of the server.


def asked_by(
    client: Client, scripted: StartScripted, run: Callable[[Client], object], *lines: str
) -> list[tuple[str, bool, bytes]]:
    """What the client asks of a session's channel when `run` runs it, and whatever it runs ends with status 5."""

    def note(talk: Talk) -> list[bytes]:
        grant_a_channel(talk, shell=True)
        talk.say(*ending(5))
        return talk.until_gone()

    server = scripted(note, stage="channel")
    aim(client, server, *lines)
    run(client)
    received = server.result()
    assert isinstance(received, list)
    return requests(received)


def both_ask(
    pyssh: Client, scripted: StartScripted, run: Callable[[Client], object], *lines: str
) -> list[tuple[str, bool, bytes]]:
    """The same, after a check that ssh asks exactly the same in the same order."""
    ours = asked_by(pyssh, scripted, run, *lines)
    assert ours == asked_by(OpenSSHClient(pyssh.home, pyssh.keys, pyssh.environment), scripted, run, *lines)
    return ours


def on_terminal(
    terminal: OpenTerminal, *words: str, before: str = ":", rows: int = 24, columns: int = 80
) -> Callable[[Client], object]:
    """Runs a client with these words on a terminal, after the shell command `before`."""

    def run(client: Client) -> int:
        shell = ["sh", "-c", f'read go; {before}; "$@"; stty sane; exit', "-", *client.argv]
        shown = terminal(*words, argv=shell)
        shown.resize(rows, columns)
        shown.send("\n")
        return shown.wait()

    return run


@pytest.mark.parametrize(
    "before",
    [
        "stty sane",
        "stty raw -echo",
        "stty intr ^G quit undef erase ^H kill ^X eof ^B start ^A stop ^E susp ^Y lnext ^K werase ^L rprnt ^N",
        "stty eol ^J eol2 ^O discard ^P",
        "stty ignpar parmrk inpck istrip inlcr igncr -icrnl iuclc -ixon ixany ixoff imaxbel -iutf8",
        "stty iutf8 iuclc -imaxbel -brkint",
        "stty -isig -iexten -echo -echoe -echok echonl noflsh tostop xcase echoprt -echoctl -echoke pendin",
        "stty -opost olcuc -onlcr ocrnl onocr onlret",
        "stty cs7 parenb parodd",
        "stty cs8 -parenb",
        "stty speed 9600",
        "stty speed 115200",
        "stty ispeed 300 ospeed 1200",
    ],
)
def test_terminal_modes_are_sent_as_ssh_sends_them(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, before: str
) -> None:
    asked = both_ask(pyssh, scripted, on_terminal(terminal, "-t", "box", "run", before=f"{before} >/dev/null"))
    assert [name for name, _, _ in asked] == ["pty-req", "exec"]


@pytest.mark.parametrize("kind", [None, "", "xterm-256color", "t" * 4096])
@pytest.mark.parametrize("setting", [None, "SetEnv TERM=vt52"])
def test_term_and_the_size_of_the_window(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, kind: str | None, setting: str | None
) -> None:
    pyssh.environment.pop("TERM")
    if kind is not None:
        pyssh.environment["TERM"] = kind
    lines = [setting] if setting else []
    asked = both_ask(pyssh, scripted, on_terminal(terminal, "-t", "box", "run", rows=33, columns=111), *lines)
    reader = Reader(asked[0][2])
    assert reader.text() == ("vt52" if setting else kind or "")
    assert (reader.uint32(), reader.uint32()) == (111, 33)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (10000, 10000), (1, 65535)])
def test_windows_of_any_size(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, rows: int, columns: int
) -> None:
    asked = both_ask(pyssh, scripted, on_terminal(terminal, "-t", "box", "run", rows=rows, columns=columns))
    reader = Reader(asked[0][2])
    reader.text()
    assert (reader.uint32(), reader.uint32()) == (columns, rows)


FLAGS: tuple[list[str], ...] = (
    [],
    ["-t"],
    ["-tt"],
    ["-T"],
    ["-T", "-t"],
    ["-t", "-T"],
    ["-n"],
    ["-n", "-t"],
    ["-n", "-tt"],
)
KINDS = (["box"], ["box", "run"], ["-s", "box", "sftp"])
TTY_LINES = ((), ("RequestTTY yes",), ("RequestTTY force",), ("RequestTTY auto",), ("RequestTTY no",))


@pytest.mark.parametrize("place", ["terminal", "pipes"])
@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_a_pty_is_asked_for_when_ssh_asks_for_one(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, flags: list[str], place: str
) -> None:
    def asks(words: list[str]) -> bool:
        run = on_terminal(terminal, *words) if place == "terminal" else lambda client: client.run(*words)
        return any(name == "pty-req" for name, _, _ in both_ask(pyssh, scripted, run))

    wanted = [asks([*flags, *kind]) for kind in KINDS]
    last = flags[-1:] and flags[-1]
    if place == "terminal" and not flags:
        assert wanted == [True, False, False]
    elif last == "-tt" or (place == "terminal" and last == "-t" and "-n" not in flags):
        assert all(wanted)
    elif last != "-t":
        assert not any(wanted)


@pytest.mark.parametrize("line", TTY_LINES, ids="".join)
@pytest.mark.parametrize("kind", [*KINDS, "RemoteCommand", "subsystem"], ids=str)
def test_request_tty_with_every_kind_of_session(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, kind: list[str] | str, line: tuple[str, ...]
) -> None:
    lines, words = list(line), kind
    if isinstance(kind, str):
        lines.append("RemoteCommand run %h as %r")
        lines += ["SessionType subsystem"] if kind == "subsystem" else []
        words = ["box"]
    asked = both_ask(pyssh, scripted, on_terminal(terminal, *words), *lines)
    assert asked[-1][0] == {"box": "shell", "run": "exec", "sftp": "subsystem"}.get(
        words[-1] if isinstance(kind, list) else "", "subsystem" if kind == "subsystem" else "exec"
    )
    if kind == "RemoteCommand":
        assert asked[-1][2] == text("run 127.0.0.1 as nobody")


def test_environment_in_ssh_s_order(pyssh: Client, scripted: StartScripted) -> None:
    pyssh.environment |= {"LC_A": "a", "LANG": "de_DE.UTF-8", "LC_B": "sent", "X": "not sent", "LC_EMPTY": ""}
    lines = ["SendEnv LANG LC_*", "SendEnv -LC_A*", "SetEnv LC_B=set Y=more"]
    asked = both_ask(pyssh, scripted, lambda client: client.run("box", "run"), *lines)
    env = [fields for name, _, fields in asked if name == "env"]
    assert text("LANG") + text("de_DE.UTF-8") in env
    assert env[-2:] == [text("LC_B") + text("set"), text("Y") + text("more")]


def test_what_python_sets_for_itself_is_not_sent(pyssh: Client, scripted: StartScripted) -> None:
    for name in ("LANG", "LC_ALL"):
        pyssh.environment.pop(name, None)
    lines = ["SendEnv LC_*", "LocalCommand echo ${LC_CTYPE-none}", "PermitLocalCommand yes"]
    told: list[bytes] = []
    asked = both_ask(pyssh, scripted, lambda client: told.append(client.run("box", "run").stdout), *lines)
    assert [name for name, _, _ in asked] == ["exec"]
    assert told == [b"none\n"] * 2
    pyssh.environment["LC_CTYPE"] = "C.UTF-8"
    asked = both_ask(pyssh, scripted, lambda client: client.run("box", "run"), *lines)
    assert asked[0] == ("env", False, text("LC_CTYPE") + text("C.UTF-8"))


def test_changes_of_the_window_are_told_as_they_come(
    client: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    def watch(talk: Talk) -> list[bytes]:
        talk.say(data(b"ready"))
        seen: list[bytes] = []
        while len(seen) < 3:
            payload = talk.expect(m.CHANNEL_REQUEST)
            if b"window-change" in payload:
                seen.append(payload)
                talk.say(data(b"%d seen" % len(seen)))
        talk.say(*ending(0))
        return seen

    server = scripted(watch)
    aim(client, server)
    shown = terminal("-t", "box", "run", argv=client.argv)
    shown.expect("ready")
    wait_until(shown.is_raw, "raw mode")
    for count, (rows, columns) in enumerate([(50, 132), (0, 0), (10000, 10000)], 1):
        shown.resize(rows, columns)
        shown.expect(f"{count} seen")
    assert shown.wait() == 0
    fields = [fields for _, _, fields in requests(server.result())]  # type: ignore[arg-type]
    assert fields == [
        b"".join(map(uint32, size)) for size in ((132, 50, 0, 0), (0, 0, 0, 0), (10000, 10000, 0, 0))
    ]


def test_a_change_of_the_window_before_the_shell_is_there(
    client: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    asked, changed = Event(), Event()

    def start_late(talk: Talk) -> bytes:
        numbers = uint32(0) + uint32(0) + uint32(1 << 20) + uint32(1 << 15)
        talk.expect(m.CHANNEL_OPEN)
        talk.say(bytes((m.CHANNEL_OPEN_CONFIRMATION,)) + numbers)
        while requests([talk.expect(m.CHANNEL_REQUEST)])[0][0] != "exec":
            pass
        asked.set()
        assert changed.wait(PATIENCE)
        talk.say(*[bytes((m.CHANNEL_SUCCESS,)) + uint32(0)] * 2)
        told = talk.expect(m.CHANNEL_REQUEST)
        talk.say(*ending(0))
        return told

    server = scripted(start_late, stage="channel")
    aim(client, server)
    shown = terminal("-t", "box", "run", argv=client.argv)
    assert asked.wait(PATIENCE)
    wait_until(lambda: is_logged_in(shown.pid), "the client to mind the window")
    shown.resize(50, 132)
    changed.set()
    assert shown.wait() == 0
    told = b"".join(map(uint32, (132, 50, 0, 0)))
    assert requests([server.result()]) == [("window-change", False, told)]  # type: ignore[list-item]


def test_without_a_terminal_for_stdin_no_window_is_told(
    client: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    def see(talk: Talk) -> list[bytes]:
        talk.say(data(b"ready"))
        talk.expect(m.CHANNEL_DATA)
        talk.say(*ending(0))
        return talk.until_gone()

    server = scripted(see)
    aim(client, server)
    shown = terminal("-tt", "box", "run", argv=["sh", "-c", '(read go; echo go) | "$@"', "-", *client.argv])
    shown.expect("ready")
    shown.resize(50, 132)
    shown.send("\n")
    shown.wait()
    asked = requests(server.result())  # type: ignore[arg-type]
    assert [name for name, _, _ in asked] == ["pty-req", "exec"]


LATE_JOB = """
import os, signal, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
found = termios.tcgetattr(0)
modes = termios.tcgetattr(0)
modes[0] &= ~termios.ICRNL
modes[3] &= ~(termios.ICANON | termios.ECHO)
termios.tcsetattr(0, termios.TCSADRAIN, modes)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
for _ in range(2):
    assert os.WIFSTOPPED(os.waitpid(job, os.WUNTRACED)[1])
    os.killpg(job, signal.SIGCONT)
assert os.WIFSTOPPED(os.waitpid(job, os.WUNTRACED)[1])
termios.tcsetattr(0, termios.TCSADRAIN, found)
os.tcsetpgrp(0, job)
os.killpg(job, signal.SIGCONT)
os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
"""
"""A shell that starts a program in the background, says `bg` twice, and then `fg`; its line editor has modes of
its own."""


@pytest.mark.beyond_ssh
def test_a_session_begun_in_the_background_has_the_modes_of_the_foreground(
    pyssh: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    pyssh.aim(openssh)
    shown = terminal("-t", "box", "stty -a; exit 3", argv=[sys.executable, "-c", LATE_JOB, *pyssh.argv])
    before = shown.modes()
    assert shown.wait() == 3
    assert b" icrnl" in shown.seen
    assert b" icanon" in shown.seen
    assert shown.modes() == before


@pytest.mark.parametrize("words", [["-n", "box", "cat"], ["-o", "StdinNull=yes", "box", "cat"]])
def test_stdin_null(client: Client, openssh: Server, words: list[str]) -> None:
    client.aim(openssh)
    done = client.run(*words, send=b"not for the remote side")
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_terminal_without_input_shows_what_comes_as_it_came(
    client: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    client.aim(openssh)
    shown = terminal("-tt", "-n", "box", "echo one; sleep 0.2; echo two; exit 3", argv=client.argv)
    before = shown.modes()
    assert shown.wait() == 3
    assert shown.seen.startswith(b"one\r\ntwo\r\nConnection to ")
    assert shown.modes() == before


def test_without_a_session_nothing_is_opened_and_stdin_is_left_alone(
    client: Client, scripted: StartScripted
) -> None:
    def see(talk: Talk) -> list[bytes]:
        return talk.until_gone()

    server = scripted(see, stage="channel")
    aim(client, server)
    mine, theirs = socket.socketpair()
    with mine, theirs, client.start("-N", "box", stdin=theirs.fileno()) as process:
        mine.sendall(b"typed")
        wait_until(lambda: is_logged_in(process.pid), "the login")
        mine.sendall(b" ahead")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        theirs.setblocking(False)
        assert theirs.recv(100) == b"typed ahead"
    received = server.result()
    assert isinstance(received, list)
    assert not [payload for payload in received if payload[0] in {m.CHANNEL_OPEN, m.CHANNEL_REQUEST}]


# LocalCommand.


def test_local_command_runs_before_the_remote_one(client: Client, openssh: Server) -> None:
    client.environment["SHELL"] = "/bin/bash"
    told = "echo local $0 $BASH_VERSINFO %n %h %p %r %T %%; cat; exit 3"
    client.aim(openssh, f"LocalCommand {told}", "PermitLocalCommand yes")
    done = client.run("box", "echo remote; cat; exit 4", send=b"for the local one\n")
    first, second, third = done.stdout.decode().splitlines()
    assert first.split()[:2] == ["local", "/bin/bash"]
    assert first.split()[3:] == ["box", "127.0.0.1", str(openssh.port), openssh.user, "NONE", "%"]
    assert (second, third) == ("for the local one", "remote")
    assert done.returncode == 4


@pytest.mark.parametrize(
    ("lines", "runs"),
    [
        (["LocalCommand echo local"], False),
        (["LocalCommand echo local", "PermitLocalCommand no"], False),
        (["PermitLocalCommand yes"], False),
        (["LocalCommand echo local", "PermitLocalCommand yes"], True),
    ],
)
def test_local_command_needs_a_permission(client: Client, openssh: Server, lines: list[str], runs: bool) -> None:
    client.aim(openssh, *lines)
    done = client.run("box", "echo remote")
    assert (done.returncode, done.stdout) == (0, b"local\nremote\n" if runs else b"remote\n")


@pytest.mark.parametrize("shell", [None, ""])
def test_without_a_shell_the_local_command_has_sh(client: Client, openssh: Server, shell: str | None) -> None:
    client.environment |= {} if shell is None else {"SHELL": shell}
    client.aim(openssh, "LocalCommand echo $0", "PermitLocalCommand yes")
    assert client.run("box", "true").stdout == b"/bin/sh\n"


def test_a_shell_that_is_not_there_costs_a_line(client: Client, openssh: Server) -> None:
    client.environment["SHELL"] = "/no/such/shell"
    client.aim(openssh, "LocalCommand true", "PermitLocalCommand yes")
    done = client.run("box", "echo remote; exit 6")
    assert (done.returncode, done.stdout) == (6, b"remote\n")
    assert b"/no/such/shell -c" in done.stderr


def test_local_command_is_told_of_closed_pipes(client: Client, openssh: Server, tmp_path: Path) -> None:
    mark = tmp_path / "status"
    script = f"set -o pipefail; yes | head -1 >/dev/null; echo ${{PIPESTATUS[0]}} >{mark}"
    client.environment["SHELL"] = "/bin/bash"
    client.aim(openssh, f"LocalCommand {script}", "PermitLocalCommand yes")
    assert client.run("box", "true").returncode == 0
    assert mark.read_text() == "141\n"


IGNORING_CHILDREN = (
    "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
)


def test_a_caller_that_ignores_its_children_costs_nothing(client: Client, openssh: Server) -> None:
    client.aim(openssh, "LocalCommand echo local; exit 3", "PermitLocalCommand yes")
    with client.start("box", "echo remote", argv=[sys.executable, "-c", IGNORING_CHILDREN]) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, b"local\nremote\n", b"")
    broken = ("-o", f"UserKnownHostsFile {os.devnull}", "-o", "KnownHostsCommand /bin/sh -c 'exit 3'")
    with client.start(*broken, "box", "true", argv=[sys.executable, "-c", IGNORING_CHILDREN]) as process:
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    assert b"failed, status 3" in err


def test_what_is_started_has_no_descriptor_of_the_caller_s(
    client: Client, openssh: Server, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    shell = ["sh", "-c", 'exec "$@" 9>"$0"', str(lock)]
    client.aim(
        openssh, "LocalCommand if echo held >&9; then echo open; else echo closed; fi", "PermitLocalCommand yes"
    )
    with client.start("box", "true", argv=shell) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, lock.read_bytes()) == (0, b"closed\n", b"")


@pytest.mark.beyond_ssh
def test_a_configuration_may_come_from_a_descriptor(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    script = 'c=$1; shift; exec "$@" -F /dev/fd/9 box "echo in" 9<"$c"'
    done = subprocess.run(
        ["sh", "-c", script, "-", str(pyssh.config), *pyssh.argv[:-2]],
        env=pyssh.environment,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"in\n")


@pytest.mark.parametrize("reason", ["refused", "unknown host"])
def test_local_command_does_not_run_without_a_login(
    client: Client, openssh: Server, strange_keys: object, tmp_path: Path, reason: str
) -> None:
    mark = tmp_path / "mark"
    lines = [f"LocalCommand touch {mark}", "PermitLocalCommand yes", "BatchMode yes"]
    key = strange_keys.path("ed25519") if reason == "refused" else "ed25519"  # type: ignore[attr-defined]
    client.aim(openssh, *lines, keys=[key], trust=reason == "refused")
    if reason == "unknown host":
        client.known_hosts.write_text("")
    assert client.run("box", "true").returncode == 255
    assert not mark.exists()


# What we say, and where.


@pytest.mark.parametrize("words", [["-q"], ["-o", "LogLevel=QUIET"]])
def test_quiet_is_quiet(client: Client, openssh: Server, words: list[str]) -> None:
    client.aim_at_port(free_port())
    done = client.run(*words, "box", "true")
    assert (done.returncode, done.stderr) == (255, b"")
    client.aim(openssh)
    done = client.run(*words, "box", "echo told >&2; exit 3")
    assert (done.returncode, done.stderr) == (3, b"told\n")


def test_messages_go_to_the_file_of_e_and_what_is_remote_does_not(
    client: Client, openssh: Server, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.write_text("kept\n")
    client.aim(openssh)
    done = client.run("-E", str(log), "-o", "LogLevel=DEBUG2", "box", "echo told >&2; exit 3")
    assert (done.returncode, done.stderr) == (3, b"told\n")
    written = log.read_text()
    assert written.startswith("kept\n")
    assert "debug1: Exit status 3" in written
    assert re.search(r"^Transferred: sent \d+, received \d+ bytes, in \d+\.\d seconds\r?$", written, re.MULTILINE)
    assert "debug2: " in written
    done = client.run("-E", str(tmp_path / "no" / "log"), "box", "true")
    assert done.returncode != 0
    assert b"logfile" in done.stderr
    assert client.run("-y", "-E", str(log), "box", "true").returncode == 255


SYSLOG = """
real=$(mktemp -d) && mount --rbind /dev $real && mount -t tmpfs none /dev || exit 99
for name in null zero random urandom tty full pts ptmx fd; do ln -s $real/$name /dev/$name; done
ln -s "$SYSLOG" /dev/log
exec "$@"
"""
"""Runs a program that finds the socket $SYSLOG at /dev/log, where nobody else sees it."""


@pytest.mark.parametrize(
    ("words", "facility"), [([], 1), (["-o", "SyslogFacility=LOCAL3"], 19), (["-o", "SyslogFacility=AUTH"], 4)]
)
def test_messages_go_to_syslog(client: Client, tmp_path: Path, words: list[str], facility: int) -> None:
    client.aim_at_port(free_port())
    client.environment["SYSLOG"] = str(tmp_path / "syslog")
    private = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", SYSLOG, "sh"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(client.environment["SYSLOG"])
        listener.settimeout(PATIENCE)
        with client.start("-y", "-v", *words, "box", "true", argv=private) as process:
            _, told = process.communicate(timeout=PATIENCE)
        if process.returncode == 99:
            pytest.skip(f"no mount namespace here: {told.decode()}")
        assert (process.returncode, told) == (255, b"")
        received = []
        listener.setblocking(False)
        while True:
            try:
                received.append(listener.recv(65536).decode())
            except BlockingIOError:
                break
    assert all("ssh[" in line for line in received)
    assert any(line.startswith(f"<{8 * facility + 7}>") and "debug1: Connecting to" in line for line in received)
    assert received[-1].startswith((f"<{8 * facility + 2}>", f"<{8 * facility + 3}>"))
    assert "Connection refused" in received[-1]


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [("*:*:*", True), ("session*:*", True), ("clientloop.c:*,session.py:*", True), ("no-such-file:*", False)],
)
def test_log_verbose_shows_what_comes_from_a_place(
    client: Client, openssh: Server, pattern: str, shown: bool
) -> None:
    if isinstance(client, OpenSSHClient) and pattern == "session*:*":
        pattern = "channels*:*"
    client.aim(openssh, f"LogVerbose {pattern}")
    done = client.run("box", "exit 3")
    assert done.returncode == 3
    lines = done.stderr.decode().splitlines()
    assert all("():" in line and "(pid=" in line for line in lines)
    assert bool(lines) == shown


def test_lines_are_whole_on_a_terminal_that_somebody_else_has_made_raw(
    client: Client, terminal: OpenTerminal
) -> None:
    client.aim_at_port(free_port())
    shown = terminal("box", argv=["sh", "-c", 'stty -opost; "$@"; stty sane', "-", *client.argv])
    shown.wait()
    assert b"Connection refused" in shown.seen
    assert shown.seen.count(b"\n") == shown.seen.count(b"\r\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_a_session_with_closed_descriptors(client: Client, openssh: Server, closed: str) -> None:
    client.aim(openssh)
    command = f"{shlex.join(client.argv)} box 'echo told; exit 3' {closed}"
    done = subprocess.run(
        ["sh", "-c", command], env=client.environment, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 3
    assert done.stdout == (b"" if ">&-" in closed.split() else b"told\n")
