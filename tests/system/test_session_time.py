"""What a session does with time: the rhythm of typing, idle channels, keep-alive, keys that grow old."""

from __future__ import annotations

import contextlib
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader
from tests.system import forwarded
from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.scripted_server import ScriptedServer, Talk, data
from tests.system.servers import Account, FakeServer, Server, free_port, program
from tests.system.terminals import Terminal
from tests.system.waiting import wait_until
from tests.unit.peer import PeerOptions

StartScripted = Callable[..., ScriptedServer]
PINGED = PeerOptions(extensions={"ping@openssh.com": b"0"}, answers_pings=True)


# Typing ----------------------------------------------------------------------------------------------------------


def echo(talk: Talk) -> list[bytes]:
    """Echo what is typed until the client has gone; all channel data and pings, in order."""
    told = 0
    with contextlib.suppress(ConnectionError):
        while talk.listen():
            talk.flush()
            for payload in talk.peer.received[told:]:
                told += 1
                if payload[0] == m.CHANNEL_DATA:
                    talk.say(data(Reader(payload, 5).string()))
    return [payload for payload in talk.peer.received if payload[0] in {m.CHANNEL_DATA, m.PING}]


def open_shell(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, options: PeerOptions, *words: str
) -> tuple[Terminal, ScriptedServer]:
    """A shell on a server that echoes, and the server."""
    server = scripted(echo, options)
    pyssh.aim_at_port(server.port)
    pyssh.known_hosts.write_text(server.known_hosts_line)
    shown = terminal("-vvv", "-tt", *words, "box")
    shown.expect("shell request accepted on channel 0\r?\n")
    wait_until(shown.is_raw, "raw mode")
    return shown, server


def type_slowly(shown: Terminal, keys: str) -> None:
    """Each key once the one before it is back."""
    for key in keys:
        shown.send(key)
        shown.expect(key)


def result(shown: Terminal, server: ScriptedServer) -> list[bytes]:
    """What the server saw in all; the session is ended."""
    shown.send("\r~.")
    assert shown.wait() == 255
    seen = server.result()
    assert isinstance(seen, list)
    return seen


def content(seen: list[bytes]) -> bytes:
    """The keys among it."""
    return b"".join(bytes(Reader(payload, 5).string()) for payload in seen if payload[0] == m.CHANNEL_DATA)


def test_fake_keys_go_between_real_ones_and_after_them(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    shown, server = open_shell(pyssh, scripted, terminal, PINGED)
    type_slowly(shown, "xyz")
    sent = shown.expect(
        r"obscuring keystroke timing: stopping, the last key was long ago \((\d+) fake keys sent\)"
    )
    seen = result(shown, server)
    fakes = [payload for payload in seen if payload[0] == m.PING]
    assert content(seen).startswith(b"xyz")
    assert len(fakes) >= int(sent[1]) >= 1.024 / 0.02 / 2  # half of them: the machine may be busy
    first_key = next(payload for payload in seen if payload[0] == m.CHANNEL_DATA)
    assert {len(payload) for payload in fakes} == {len(first_key)}


def test_interval_is_configured(pyssh: Client, scripted: StartScripted, terminal: OpenTerminal) -> None:
    shown, server = open_shell(pyssh, scripted, terminal, PINGED, "-o", "ObscureKeystrokeTiming=interval:500")
    shown.send("x")
    shown.expect(r"starting, interval ~500ms")
    sent = shown.expect(r"stopping, the last key was long ago \((\d+) fake keys sent\)")
    assert 1 <= int(sent[1]) <= 7
    result(shown, server)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (PINGED, ("-o", "ObscureKeystrokeTiming=no")),
        (PeerOptions(), ()),
        (PeerOptions(extensions={"other@example.com": b"0"}), ()),
    ],
)
def test_typing_is_not_obscured_unless_wanted_and_possible(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal, options: PeerOptions, words: tuple[str, ...]
) -> None:
    shown, server = open_shell(pyssh, scripted, terminal, options, *words)
    type_slowly(shown, "xyz")
    seen = result(shown, server)
    assert content(seen).startswith(b"xyz")
    assert all(payload[0] == m.CHANNEL_DATA for payload in seen)
    assert b"obscuring" not in shown.seen


def test_a_paste_is_not_held_up_and_arrives_in_order(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    shown, server = open_shell(pyssh, scripted, terminal, PINGED, "-e", "none")
    type_slowly(shown, "x")
    paste = b"".join(b"%05d." % n for n in range(300))
    shown.send("ab")
    shown.send(paste)
    shown.expect("much to send")
    shown.expect("00299")
    shown.kill(signal.SIGTERM)
    shown.wait()
    seen = server.result()
    assert isinstance(seen, list)
    assert content(seen) == b"xab" + paste


def test_keys_typed_during_a_key_exchange_are_not_lost(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    shown, server = open_shell(pyssh, scripted, terminal, PINGED)
    shown.send("a\r~Rb~c")
    shown.expect("rekeying done")
    shown.send("d")
    shown.expect("d")
    assert content(result(shown, server)).startswith(b"a\rb~cd")


# Idle channels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["session=1", "*=1", "global=1", "session:shell=1", "direct-tcpip=9 session=1"])
def test_idle_session_is_closed(pyssh: Client, openssh: Server, terminal: OpenTerminal, rule: str) -> None:
    pyssh.aim(openssh, f"ChannelTimeout {rule}")
    shown = terminal("-v", "box")
    assert shown.wait() == 255
    assert b"closing after 1 seconds of inactivity" in shown.seen
    assert shown.echoes()


def test_a_status_that_came_before_the_end_of_time_counts(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ChannelTimeout session=1")
    # What it leaves behind holds the channel open, without a word.
    done = pyssh.run("box", "cat /dev/null; (exec sleep 60) & exit 3")
    assert done.returncode == 3


def test_session_in_use_is_not_closed(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ChannelTimeout session=2 session:shell=1")
    done = pyssh.run("box", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done")
    assert (done.returncode, done.stdout.split()[-1]) == (0, b"8")


@pytest.mark.parametrize("rule", ["none", "session=0", "direct-tcpip=1", "session:shell=1"])
def test_other_timeouts_leave_it_alone(pyssh: Client, openssh: Server, rule: str) -> None:
    pyssh.aim(openssh, f"ChannelTimeout {rule}")
    assert pyssh.run("box", "sleep 2; echo still").stdout == b"still\n"


@pytest.mark.beyond_ssh  # which says it with -v only
def test_idle_session_says_why_it_ends(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    """On a terminal; elsewhere it says as little as ssh's."""
    pyssh.aim(openssh, "ChannelTimeout session=1")
    shown = terminal("box")
    assert shown.wait() == 255
    why = rb"channel 0: closing after 1 seconds of inactivity \(ChannelTimeout\)"
    assert re.search(why + rb"\r\nConnection to 127.0.0.1 closed.\r\n$", shown.seen)
    shown = terminal("box", "cat")
    assert shown.wait() == 255
    assert re.search(why + rb"\r\n$", shown.said)
    done = pyssh.run("box", "sleep 100")
    assert (done.returncode, done.stderr) == (255, b"")


@pytest.mark.parametrize("words", [("-q",), ("-o", "LogLevel=ERROR")])
def test_idle_session_says_nothing_when_it_is_to_be_quiet(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, words: tuple[str, ...]
) -> None:
    pyssh.aim(openssh, "ChannelTimeout session=1")
    shown = terminal(*words, "box", "cat")
    assert shown.wait() == 255
    assert shown.said == b""


def test_idle_session_leaves_forwarded_connections_open(
    pyssh: Client,
    openssh: Server,
    terminal: OpenTerminal,
    fake_server: Callable[..., FakeServer],
    account: Account,
) -> None:
    pyssh.aim(openssh, "ChannelTimeout session=3")
    entrance, target = free_port(), fake_server(forwarded.echo)
    mark = account.home / f"mark-{secrets.token_hex(6)}"
    command = f"until test -e {mark}; do echo waiting; sleep 0.2; done; cat"
    shown = terminal("-v", "-t", "-L", f"{entrance}:127.0.0.1:{target.port}", "box", command)
    shown.expect("waiting")
    with forwarded.connect(entrance) as connection:
        mark.touch()
        shown.expect("closing after 3 seconds of inactivity")
        wait_until(shown.echoes, "the terminal to be as it was")
        connection.sendall(b"through")
        assert connection.recv(100) == b"through"
    assert shown.wait() == 255


def test_global_timeout_closes_all_at_once(
    pyssh: Client, openssh: Server, fake_server: Callable[..., FakeServer], tmp_path: Path
) -> None:
    """And the connection stays, for -N: who comes then is served."""
    pyssh.aim(openssh, "ChannelTimeout global=1")
    entrance, target = free_port(), fake_server(forwarded.echo)
    log = tmp_path / "log"
    words = ("-v", "-E", str(log), "-L", f"{entrance}:127.0.0.1:{target.port}")
    with forwarded.tunnel(pyssh, *words, ready=entrance) as process:
        for _ in range(2):
            log.write_text("")
            with forwarded.connect(entrance) as one, forwarded.connect(entrance) as other:
                for connection in (one, other):
                    connection.sendall(b"through")
                    assert connection.recv(100) == b"through"
                assert [connection.recv(100) for connection in (one, other)] == [b"", b""]
            wait_until(lambda: log.read_text().count("closing after 1 seconds") >= 2, "the log")
        assert process.poll() is None


# Keep-alive ------------------------------------------------------------------------------------------------------


def test_silent_server_is_given_up(client: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> int:
        return sum(payload[0] == m.GLOBAL_REQUEST for payload in talk.until_gone())

    server = scripted(script)
    client.aim_at_port(server.port, "ServerAliveInterval 1", "ServerAliveCountMax 2")
    client.known_hosts.write_text(server.known_hosts_line)
    done = client.run("box", "true")
    assert done.returncode == 255
    assert b"Timeout, server 127.0.0.1 not responding" in done.stderr
    asked = server.result()
    assert isinstance(asked, int)
    assert asked >= 2


def test_answers_keep_it_alive(client: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> int:
        answered = 0
        while answered < 4:
            request = Reader(talk.expect(m.GLOBAL_REQUEST), 1)
            if request.text() == "keepalive@openssh.com":
                answered += 1
                talk.say(bytes((m.REQUEST_FAILURE,)))
        return answered

    server = scripted(script)
    client.aim_at_port(server.port, "ServerAliveInterval 1", "ServerAliveCountMax 1")
    client.known_hosts.write_text(server.known_hosts_line)
    client.run("box", "true")
    assert server.result() == 4


@pytest.mark.parametrize("wanted", ["yes", "no"])
def test_keep_alive_of_tcp(client: Client, openssh: Server, wanted: str) -> None:
    client.aim(openssh, f"TCPKeepAlive {wanted}")
    with client.start("box", "echo up; cat") as process:
        assert process.stdout is not None
        process.stdout.readline()
        shown = sockets(openssh.port)
    assert ("timer:(keepalive" in shown) == (wanted == "yes")


def sockets(port: int, *flags: str) -> str:
    """What the system says of connections to that port."""
    return subprocess.run(
        [program("ss"), "-tnoe", *flags, "state", "established", f"dport = :{port}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_keys_are_exchanged_again_when_they_are_old(
    client: Client, openssh: Server, terminal: OpenTerminal
) -> None:
    client.aim(openssh, "RekeyLimit default 1")
    shown = terminal("-v", "-tt", "box", "while :; do echo tick; sleep 0.2; done", argv=client.argv)
    for _ in range(3):
        shown.expect("SSH2_MSG_NEWKEYS received")
    shown.expect("tick")


# Connecting ------------------------------------------------------------------------------------------------------


def test_attempts_are_counted(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client.aim_at_port(port, "ConnectionAttempts 3")
    done = client.run("-v", "box", "true")
    assert done.returncode == 255
    assert done.stderr.count(b"Connecting to 127.0.0.1") == 3
    assert done.stderr.count(b"Trying again...") == 2


def test_connect_timeout_bounds_a_server_that_says_nothing(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client.aim_at_port(silent.getsockname()[1], "ConnectTimeout 1")
        done = client.run("box", "true")
    assert done.returncode == 255
    assert re.search(rb"Connection timed out during banner exchange", done.stderr)


# The class of service --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words", "field"),
    [
        ("IPQoS af21 cs1", ("-tt",), "0x48"),
        ("IPQoS af21 cs1", ("-T",), "0x20"),
        ("IPQoS af21", ("-T",), "0x48"),
        ("IPQoS none cs1", ("-T",), "0x20"),
        ("IPQoS none", ("-tt",), "0"),
        ("IPQoS 0x48 0x20", ("-T",), "0x20"),
    ],
)
def test_class_of_service_follows_the_kind_of_session(
    client: Client, openssh: Server, line: str, words: tuple[str, ...], field: str
) -> None:
    client.aim(openssh, line)
    with client.start(*words, "box", "echo up; cat") as process:
        assert process.stdout is not None
        process.stdout.readline()
        shown = sockets(openssh.port, "--tos")
    assert re.findall(r"\btos:(\w+)", shown) == [field]


def test_class_of_service_without_a_session_is_that_of_interactive_ones(client: Client, openssh: Server) -> None:
    client.aim(openssh, "IPQoS af21 cs1")
    with client.start("-N", "box"):
        wait_until(lambda: "tos:0x48" in sockets(openssh.port, "--tos"), "the class of interactive sessions")


def test_class_of_service_changes_with_the_channels(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, fake_server: Callable[..., FakeServer]
) -> None:
    pyssh.aim(openssh, "IPQoS af21 cs1")
    entrance, target = free_port(), fake_server(forwarded.echo)

    def is_field(wanted: str) -> bool:
        return re.findall(r"\btos:(\w+)", sockets(openssh.port, "--tos")) == [wanted]

    shown = terminal("-tt", "-L", f"{entrance}:127.0.0.1:{target.port}", "box", "echo up; cat")
    shown.expect("up\r?\n")
    assert is_field("0x48")
    for _ in range(2):
        with forwarded.connect(entrance) as connection:
            connection.sendall(b"through")
            assert connection.recv(100) == b"through"
            assert is_field("0x20")
        wait_until(lambda: is_field("0x48"), "the class of interactive sessions")
    shown.send("still\r")
    shown.expect("still\r\n")
