"""Reconnect: tunnels that come back by themselves, shells that are offered again, what is never tried again."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyssh_cli.client.reconnect import LEAVE_MODES
from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import text, uint32
from tests.system.clients import Client
from tests.system.conftest import OpenScreen, OpenTerminal, StartServer
from tests.system.forwarded import connect, echo, fetch, free_port, greet, listens, read_all, tunnel, website
from tests.system.relays import relay_command
from tests.system.scripted_server import ScriptedServer, Talk
from tests.system.servers import Account, FakeServer, KeyRing, Server
from tests.system.terminals import Screen, Terminal
from tests.system.test_background import Left
from tests.system.test_recording import Cast
from tests.system.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.beyond_ssh

AGAIN = rb"connecting to 127\.0\.0\.1 again in \d+\.\d seconds\.\n"
HOW = (
    rb"(Connection to 127\.0\.0\.1 closed by remote host"
    rb"|Read from remote host 127\.0\.0\.1: Connection reset by peer)"
)
"""How a connection ends whose server is killed: politely, if it had read all that we said."""
LOST = HOW + b"; " + AGAIN
QUESTION = r"Reconnect to 127\.0\.0\.1\? \[Y/n\] "


@pytest.fixture
def server(sshd: StartServer) -> Server:
    """An sshd of the test's own, to be stopped and started again."""
    return sshd()


@pytest.fixture
def web() -> Iterator[int]:
    with website() as port:
        yield port


def read_line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line that the client says; it is killed when it says none."""
    assert process.stderr is not None
    patience = threading.Timer(PATIENCE, process.kill)
    patience.start()
    try:
        return process.stderr.readline()
    finally:
        patience.cancel()


def lose(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Stop the server, and wait until the client has said that it connects again."""
    server.stop()
    assert re.fullmatch(LOST, read_line(process))


# Tunnels


def test_the_same_process_forwards_again(pyssh: Client, server: Server, web: int) -> None:
    port = free_port()
    pyssh.aim(server, "Reconnect yes")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        for path in ("/one", "/two"):
            assert fetch(f"http://127.0.0.1:{port}{path}") == f"found {path}"
            server.hang_up()
            assert re.fullmatch(LOST, read_line(process))
            assert read_line(process) == b"Connected to 127.0.0.1 again.\n"
        assert fetch(f"http://127.0.0.1:{port}/three") == "found /three"
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_nothing_of_it_without_the_keyword(pyssh: Client, server: Server, web: int) -> None:
    port = free_port()
    pyssh.aim(server)
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        server.hang_up()
        assert process.wait(PATIENCE) == 255
        assert re.fullmatch(HOW + rb"\.?\n", read_line(process))


@pytest.mark.parametrize("kind", ["-L", "-D", "socket"])
def test_listeners_stay_and_clients_wait(
    pyssh: Client, server: Server, web: int, tmp_path: Path, kind: str
) -> None:
    port, path = free_port(), tmp_path / "socket"
    place: int | Path = path if kind == "socket" else port
    words, how = {
        "-L": (["-L", f"{port}:127.0.0.1:{web}"], [f"http://127.0.0.1:{port}/in"]),
        "-D": (["-D", str(port)], ["--socks5", f"127.0.0.1:{port}", f"http://127.0.0.1:{web}/in"]),
        "socket": (["-L", f"{path}:127.0.0.1:{web}"], ["--unix-socket", str(path), "http://box/in"]),
    }[kind]
    pyssh.aim(server, "Reconnect yes")
    with tunnel(pyssh, *words, ready=place) as process:
        lose(server, process)
        assert listens(place)
        refused = read_line(process)
        assert refused.startswith(b"ssh: connect to host 127.0.0.1 port ")
        assert re.search(AGAIN, refused)
        client = subprocess.Popen(["curl", "-s", "--noproxy", "", *how], stdout=subprocess.PIPE, env={})
        try:
            read_line(process)
            assert listens(place)
            assert client.poll() is None
            server.start_again()
            assert client.communicate(timeout=PATIENCE)[0] == b"found /in"
        finally:
            client.kill()
            client.wait()
        assert process.poll() is None


@pytest.mark.parametrize("kind", ["-L", "-D", "socket"])
def test_a_client_that_only_listens_any_more_is_served(
    pyssh: Client, server: Server, fake_server: Callable[..., FakeServer], tmp_path: Path, kind: str
) -> None:
    """It has said all that it has to say, and ended its half, while the connection was lost."""
    port, path, target = free_port(), tmp_path / "socket", fake_server(greet)
    place: int | Path = path if kind == "socket" else port
    forward = str(port) if kind == "-D" else f"{place}:127.0.0.1:{target.port}"
    pyssh.aim(server, "Reconnect yes")
    with tunnel(pyssh, "-D" if kind == "-D" else "-L", forward, ready=place) as process:
        lose(server, process)
        with socket.socket(socket.AF_UNIX) if kind == "socket" else connect(port) as one:
            one.settimeout(PATIENCE)
            if kind == "socket":
                one.connect(str(path))
            elif kind == "-D":
                one.sendall(b"\4\1" + target.port.to_bytes(2) + bytes((127, 0, 0, 1)) + b"\0")  # SOCKS 4
            one.shutdown(socket.SHUT_WR)
            server.start_again()
            assert read_all(one)[8 if kind == "-D" else 0 :] == b"hello"
        assert process.poll() is None


def test_connections_end_with_the_one_that_carried_them(
    pyssh: Client, server: Server, fake_server: Callable[..., FakeServer]
) -> None:
    port = free_port()
    pyssh.aim(server, "Reconnect yes")
    target = fake_server(echo)
    with (
        tunnel(pyssh, "-L", f"{port}:127.0.0.1:{target.port}", ready=port) as process,
        connect(port) as one,
    ):
        one.sendall(b"there")
        assert one.recv(5) == b"there"
        lose(server, process)
        assert one.recv(1) == b""


def test_remote_forwards_are_asked_for_again(pyssh: Client, server: Server, web: int) -> None:
    port = free_port()
    pyssh.aim(server, "Reconnect yes")
    with tunnel(pyssh, "-R", f"{port}:127.0.0.1:{web}", ready=port) as process:
        lose(server, process)
        assert not listens(port)
        server.start_again()
        wait_until(lambda: listens(port), "the forward to come back")
        assert fetch(f"http://127.0.0.1:{port}/x") == "found /x"


def test_an_allocated_port_stays_the_same(pyssh: Client, server: Server, web: int) -> None:
    pyssh.aim(server, "Reconnect yes")
    with pyssh.start("-N", "-R", f"0:127.0.0.1:{web}", "box") as process:
        found = re.fullmatch(rb"Allocated port (\d+) for remote forward to .*\n", read_line(process))
        assert found
        port = int(found[1])
        wait_until(lambda: listens(port), "the forward")
        lose(server, process)
        server.start_again()
        wait_until(lambda: listens(port), "the forward to come back")
        assert fetch(f"http://127.0.0.1:{port}/x") == "found /x"


@pytest.mark.parametrize("exits", ["yes", "no"])
def test_a_port_that_the_lost_connection_still_holds(pyssh: Client, server: Server, web: int, exits: str) -> None:
    """The server does not notice: its end is stopped, and goes on to listen until it is killed."""
    port = free_port()
    lines = ("Reconnect yes", "ServerAliveInterval 1", f"ExitOnForwardFailure {exits}")
    pyssh.aim(server, *lines)
    with tunnel(pyssh, "-R", f"{port}:127.0.0.1:{web}", ready=port) as process:
        held = server.sessions()
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        said = read_line(process)
        assert said.startswith(b"Timeout, server 127.0.0.1 not responding (3 keep-alive messages")
        assert re.search(AGAIN, said)
        assert read_line(process) == b"Connected to 127.0.0.1 again.\n"
        said = read_line(process)
        assert said.startswith(b"Warning: remote port forwarding failed for listen port %d (" % port)
        for pid in held:
            os.kill(pid, signal.SIGKILL)
        assert read_line(process) == b"Remote forwarding for listen port %d stands again.\n" % port
        assert fetch(f"http://127.0.0.1:{port}/x") == "found /x"


@pytest.fixture
def own_keys(sshd: StartServer, shared_directory: Path, keys: KeyRing) -> Iterator[tuple[Server, Path, Path]]:
    """An sshd, the file of the keys that it lets in, and that of its host key, which it reads when it starts."""
    mark = secrets.token_hex(6)
    let_in, host_key = shared_directory / f"let-in-{mark}", shared_directory / f"host-key-{mark}"
    let_in.write_text(keys.public("ed25519") + "\n")
    shutil.copy(keys.path("ed25519"), host_key)
    host_key.chmod(0o600)
    server = sshd(f"AuthorizedKeysFile {let_in}", f"HostKey {host_key}", host_keys=())
    server.host_keys = [keys.public("ed25519")]
    yield server, let_in, host_key
    let_in.unlink()
    host_key.unlink()


def test_a_key_that_is_not_let_in_any_more_is_the_end(
    pyssh: Client, own_keys: tuple[Server, Path, Path], web: int, tmp_path: Path
) -> None:
    server, let_in, _ = own_keys
    port, asked, askpass = free_port(), tmp_path / "asked", tmp_path / "askpass"
    askpass.write_text(f'#!/bin/sh\necho "$1" >>{asked}\necho secret\n')
    askpass.chmod(0o755)
    pyssh.environment |= {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    pyssh.aim(server, "Reconnect yes")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        let_in.write_text("")
        server.hang_up()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    lost, *_, last = err.splitlines(keepends=True)
    assert re.fullmatch(LOST, lost)
    assert re.fullmatch(rb"\S+@127\.0\.0\.1: Permission denied \(publickey,password\)\..*\n", last)
    assert not asked.exists()
    assert not listens(port)


@pytest.mark.parametrize("change", ["another", "unknown", "unchecked"])
def test_a_host_key_that_is_not_trusted_is_the_end(
    pyssh: Client, own_keys: tuple[Server, Path, Path], keys: KeyRing, web: int, change: str
) -> None:
    server, _, host_key = own_keys
    port = free_port()
    checking = "no" if change == "unchecked" else "ask"
    pyssh.aim(server, "Reconnect yes", "UpdateHostKeys no", f"StrictHostKeyChecking {checking}")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        server.stop()
        if change != "unknown":
            host_key.write_bytes(keys.path("ecdsa-256").read_bytes())
        else:
            pyssh.known_hosts.write_text("")
        server.start_again()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 255
    assert re.match(LOST, err)
    assert err.rstrip().endswith(b"Host key verification failed.") or b"Host key verification failed. (" in err
    assert (b"REMOTE HOST IDENTIFICATION HAS CHANGED!" in err) == (change != "unknown")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 255), (signal.SIGHUP, 255)])
def test_signals_end_the_wait(
    pyssh: Client, server: Server, web: int, number: signal.Signals, status: int
) -> None:
    port = free_port()
    pyssh.aim(server, "Reconnect yes")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        lose(server, process)
        read_line(process)
        process.send_signal(number)
        assert process.wait(PATIENCE) == status
        assert not listens(port)


@pytest.mark.parametrize("passes", ["no", "yes"])
def test_signals_end_what_does_not_get_through(
    pyssh: Client, server: Server, web: int, tmp_path: Path, passes: str
) -> None:
    """With ProxyUseFdpass it is the connecting that waits, without the handshake."""
    port, stuck = free_port(), tmp_path / "stuck"
    relay = f"{relay_command(*['--pass'][: passes == 'yes'])} 127.0.0.1 {server.port}"
    command = f"sh -c 'if test -e {stuck}; then echo >>{stuck}; exec cat >/dev/null; fi; exec {relay}'"
    lines = ("Reconnect yes", "ConnectTimeout 1000", f"HostKeyAlias [127.0.0.1]:{server.port}")
    pyssh.aim(server, *lines, f"ProxyCommand {command}", f"ProxyUseFdpass {passes}")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        stuck.touch()
        server.hang_up()
        wait_until(lambda: stuck.read_text(), "the next try")
        assert listens(port)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_failures_of_the_first_connection_are_as_ever(pyssh: Client, server: Server) -> None:
    pyssh.aim(server, "Reconnect yes")
    server.stop()
    done = pyssh.run("-N", "box")
    assert done.returncode == 255
    assert done.stderr.startswith(b"ssh: connect to host 127.0.0.1 port ")
    assert done.stderr.count(b"\n") == 1
    assert b"again" not in done.stderr


def test_a_jump_host_that_is_lost(pyssh: Client, server: Server, sshd: StartServer, web: int) -> None:
    hop, port = sshd(), free_port()
    known = (f"[127.0.0.1]:{one.port} {key}\n" for one in (hop, server) for key in one.host_keys)
    pyssh.known_hosts.write_text("".join(known))
    jump = f"{hop.user}@127.0.0.1:{hop.port}"
    pyssh.aim(server, "Reconnect yes", f"ProxyJump {jump}", trust=False)
    with pyssh.config.open("a") as config:
        config.write(f"IdentityFile {pyssh.keys.path('ed25519')}\n")
    with tunnel(pyssh, "-L", f"{port}:127.0.0.1:{web}", ready=port) as process:
        assert fetch(f"http://127.0.0.1:{port}/one") == "found /one"
        hop.hang_up()
        while not re.fullmatch(LOST, line := read_line(process)):
            assert re.fullmatch(HOW + rb"\.?\n", line)  # the hop's
        assert read_line(process) == b"Connected to 127.0.0.1 again.\n"
        assert fetch(f"http://127.0.0.1:{port}/two") == "found /two"


def test_a_tunnel_in_the_background(pyssh: Client, server: Server, web: int, tmp_path: Path) -> None:
    port, mark = free_port(), tmp_path / "mark"
    left = Left(pyssh)
    pyssh.aim(server, "Reconnect yes", "PermitLocalCommand yes", f"LocalCommand echo once >>{mark}")
    words = ["-f", "-N", "-L", f"{port}:127.0.0.1:{web}", "-o", "ExitOnForwardFailure=yes"]
    done = pyssh.run(*words, "-R", f"{free_port()}:127.0.0.1:1", "box")
    assert (done.returncode, done.stderr) == (0, b"")
    pid = left.pid()
    try:
        assert fetch(f"http://127.0.0.1:{port}/one") == "found /one"
        lost = {*server.sessions()}
        server.hang_up()
        wait_until(lambda: lost.isdisjoint(server.sessions()), "the connection to be gone")
        # Who comes at the very moment of the loss may be hung up on.
        wait_until(lambda: fetch(f"http://127.0.0.1:{port}/two") == "found /two", "the tunnel to be back")
        assert left.pid() == pid
        assert mark.read_text() == "once\n"
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not left.pids(), "the end of it")


def hang_up(reason: int, words: str) -> bytes:
    """SSH_MSG_DISCONNECT."""
    return bytes((m.DISCONNECT,)) + uint32(reason) + text(words) + text("")


@pytest.mark.parametrize(
    ("proofs", "then", "lost", "end"),
    [
        ("", hang_up(11, "bye"), b"Received disconnect from 127.0.0.1 port ", b":14: no use"),
        ("", b"\x1enonsense", b"Connection to 127.0.0.1 port ", b":14: no use"),
        ("", None, b"Connection to 127.0.0.1 closed by remote host; ", b":14: no use"),
        ("many", None, b"Connection to ", b"Too many authentication"),
    ],
)
def test_what_is_a_loss_and_what_a_refusal(
    pyssh: Client,
    scripted: Callable[..., ScriptedServer],
    proofs: str,
    then: bytes | None,
    lost: bytes,
    end: bytes,
) -> None:
    talks: list[Talk] = []

    def script(talk: Talk) -> None:
        talks.append(talk)
        if len(talks) == 1:
            talk.let_in()
            talk.expect(m.GLOBAL_REQUEST)  # a keep-alive message: the connection stands
            if then:
                talk.say(then)
        elif proofs:
            talk.expect(m.SERVICE_REQUEST)
            talk.say(hang_up(2, "Too many authentication failures"))
        else:
            talk.let_in()
            talk.say(hang_up(14, "no use"))
        if then or len(talks) > 1:
            talk.until_gone()

    server = scripted(script, stage="login")
    pyssh.aim_at_port(server.port, "Reconnect yes", "ServerAliveInterval 1")
    pyssh.known_hosts.write_text(server.known_hosts_line)
    done = pyssh.run("-N", "box")
    assert done.returncode == 255
    said = done.stderr.splitlines()
    assert said[0].startswith(lost)
    assert b" again in " in said[0]
    assert end in said[-1]
    assert len(talks) == 2


# Sessions


def lost_shell(shown: Terminal, server: Server) -> None:
    """Have a shell, and lose it; the question is on the screen."""
    shown.expect("ready> ")
    wait_until(shown.is_raw, "raw mode")
    server.hang_up()
    shown.expect(HOW.decode() + r"\.?\r\n.*" + QUESTION)
    assert not shown.is_raw()
    assert shown.echoes()


def test_a_shell_is_offered_again(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    port = free_port()
    pyssh.aim(server, "Reconnect yes")
    shown = terminal("-L", f"{port}:127.0.0.1:1", "box")
    before = shown.modes()
    for *others, answer in (["\n"], ["Y\n"], ["what?\n", "yes\n"]):
        lost_shell(shown, server)
        assert listens(port)
        for other in others:
            shown.send(other)
            shown.expect(QUESTION)
        shown.send(answer)
        shown.expect(r"Connected to 127\.0\.0\.1 again\.")
    shown.expect("ready> ")
    wait_until(shown.is_raw, "raw mode again")
    shown.resize(33, 77)
    shown.send("until test $(stty size | tr -d ' ') = 3377; do sleep 0.05; done; exit 3\n")
    assert shown.wait() == 3
    assert shown.modes() == before


@pytest.mark.parametrize("answer", ["n\n", "no\n", "\x03", "\x04"])
def test_a_shell_that_is_not_wished_again(
    pyssh: Client, server: Server, terminal: OpenTerminal, answer: str
) -> None:
    pyssh.aim(server, "Reconnect yes")
    shown = terminal("box")
    before = shown.modes()
    lost_shell(shown, server)
    shown.send(answer)
    assert shown.wait() == 255
    assert shown.modes() == before
    assert b"again" not in shown.seen


def test_the_remote_command_runs_again(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(server, "Reconnect yes", "RemoteCommand echo begun; read line; exit 4", "RequestTTY yes")
    shown = terminal("box")
    shown.expect("begun")
    server.hang_up()
    shown.expect(QUESTION)
    shown.send("\n")
    shown.expect("begun")
    wait_until(shown.is_raw, "raw mode again")
    shown.send("\n")
    assert shown.wait() == 4


def test_a_wish_lasts_until_the_host_is_back(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(server, "Reconnect yes")
    shown = terminal("box")
    shown.expect("ready> ")
    server.stop()
    shown.expect(QUESTION)
    shown.send("\n")
    shown.expect(r"ssh: connect to host .*; connecting to 127\.0\.0\.1 again in ")
    server.start_again()
    shown.expect("ready> ")
    shown.send("exit 6\n")
    assert shown.wait() == 6


def test_ctrl_c_ends_the_wait_for_a_shell(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(server, "Reconnect yes")
    shown = terminal("box")
    before = shown.modes()
    shown.expect("ready> ")
    server.stop()
    shown.expect(QUESTION)
    shown.send("\n")
    shown.expect("again in ")
    shown.send("\x03")
    assert shown.wait() == 255
    assert shown.modes() == before


@pytest.mark.parametrize(("typed", "status"), [("\r~.", 255), ("exit 5\r", 5)])
def test_an_end_in_good_order_is_none(
    pyssh: Client, server: Server, terminal: OpenTerminal, typed: str, status: int
) -> None:
    pyssh.aim(server, "Reconnect yes")
    shown = terminal("box")
    shown.expect("ready> ")
    wait_until(shown.is_raw, "raw mode")
    shown.send(typed)
    assert shown.wait() == status
    assert b"econnect" not in shown.seen


@pytest.mark.parametrize("flags", [(), ("-tt",), ("-o", "BatchMode=yes")])
def test_a_command_without_a_person_is_not_run_twice(
    pyssh: Client, server: Server, account: Account, flags: tuple[str, ...]
) -> None:
    mark = account.home / f"ran-{secrets.token_hex(6)}"
    pyssh.aim(server, "Reconnect yes")
    with pyssh.start(*flags, "box", f"echo ran >> {mark}; echo ran; cat") as process:
        assert process.stdout is not None
        assert process.stdout.readline().rstrip() == b"ran"
        server.hang_up()
        assert process.wait(PATIENCE) == 255
        assert process.stderr is not None
        assert b"again" not in process.stderr.read()
    assert mark.read_text() == "ran\n"


def test_a_stream_is_not_resumed(pyssh: Client, server: Server, fake_server: Callable[..., FakeServer]) -> None:
    target = fake_server(echo)
    pyssh.aim(server, "Reconnect yes")
    with pyssh.start("-W", f"127.0.0.1:{target.port}", "box") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"there")
        process.stdin.flush()
        assert process.stdout.read(5) == b"there"
        server.hang_up()
        process.wait(PATIENCE)
        assert b"again" not in read_line(process)
        assert target.accepted == 1


def test_a_recording_goes_on(pyssh: Client, server: Server, terminal: OpenTerminal, tmp_path: Path) -> None:
    path = tmp_path / "cast"
    pyssh.aim(server, "Reconnect yes", f"SessionRecord {path}")
    shown = terminal("-t", "box", "echo begun; read line; echo over")
    shown.expect("begun")
    server.hang_up()
    shown.expect(QUESTION)
    shown.send("\n")
    shown.expect("begun")
    wait_until(shown.is_raw, "raw mode again")
    shown.send("\n")
    assert shown.wait() == 0
    assert Cast(path).all_of("o") == f"begun\r\n{LEAVE_MODES.decode()}begun\r\n\r\nover\r\n"
    assert shown.seen.count(LEAVE_MODES.rstrip()) == 1
    assert b"SessionRecord" not in shown.seen


SET_MODES = r"\033[?1049h\033[?1003h\033[?1006h\033[?2004h\033[?1h\033=\033[?25l\033[?7l\033[3;7r\033[31m\033(0"
"""What a program may have done to the terminal when the connection is lost, for printf(1)."""


def test_the_terminal_is_as_it_was(pyssh: Client, server: Server, screen: OpenScreen, tmp_path: Path) -> None:
    """And so is the one that the recording is played on."""
    path = tmp_path / "cast"
    pyssh.aim(server, "Reconnect yes", f"SessionRecord {path}")
    shown = screen("-t", "box", f"echo up; read line; printf '{SET_MODES}'; echo drawn; read line")
    shown.wait_for("up")
    before = shown.modes()
    shown.type("Enter")
    wait_until(lambda: shown.modes()["scroll_region_upper"] == "2", "the modes")
    changed = {name for name, value in shown.modes().items() if value != before[name]}
    assert changed > {"alternate_on", "cursor_flag", "keypad_flag", "mouse_any_flag", "wrap_flag"}
    server.hang_up()
    shown.wait_for("Reconnect to 127.0.0.1? [Y/n]")
    assert shown.modes() == before
    shown.type("n", "Enter")
    wait_until(lambda: LEAVE_MODES.decode() in Cast(path).all_of("o"), "the end of the recording")
    text = tmp_path / "text"
    text.write_text(Cast(path).all_of("o"))
    played = Screen(["sh", "-c", 'cat "$0"; echo legible; exec cat', str(text)], pyssh.environment)
    with contextlib.closing(played):
        played.wait_for("legible")
        assert played.modes() == before
