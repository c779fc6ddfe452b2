"""Servers that are hostile, broken or in a hurry: nothing they do hangs the client, fills its memory, drives the
terminal or loses what it was told."""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import unicodedata
from collections.abc import Callable
from threading import Event

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, boolean, string, text, uint32
from tests.system.clients import Client
from tests.system.conftest import OpenTerminal, Payload
from tests.system.scripted_server import (
    CLOSE,
    EOF,
    ScriptedServer,
    Talk,
    channel_request,
    data,
    ending,
    error_data,
    exit_status,
    failure,
)
from tests.system.test_streams import MEMORY_KIB, MIB, peak_memory, wait_until_idle
from tests.system.waiting import PATIENCE, wait_until
from tests.unit.peer import HostKey, disconnect

pytestmark = pytest.mark.beyond_ssh

StartScripted = Callable[..., ScriptedServer]

UNASKED = bytes((m.CHANNEL_SUCCESS,)) + uint32(9)
"""The answer to a request on a channel that does not exist: a protocol error."""

EVIL = "first\nForged line\r\nForged too\x1b[31m\x07\x9b2J\u202e".encode() + b"\x9b5n\xff"
"""What a server would say to drive the terminal, or to pass for somebody else."""


def aim(pyssh: Client, server: ScriptedServer, *lines: str, keys: tuple[str, ...] = ()) -> None:
    """Let "box" be the server, its host key known."""
    pyssh.aim_at_port(server.port, *lines, keys=keys)
    pyssh.known_hosts.write_text(server.known_hosts_line)


def failed(done: subprocess.CompletedProcess[bytes], pattern: str) -> None:
    """Check that the client ended with 255 and one tame line that matches."""
    told = done.stderr.decode()
    assert done.returncode == 255, told
    assert len(told.splitlines()) == 1, told
    assert re.search(pattern, told), told
    tame(done.stderr)


def tame(told: bytes) -> None:
    """Check that nothing in there could drive a terminal, and that no line passes for another's."""
    shown = told.decode()
    wild = [char for char in shown if unicodedata.category(char) in {"Cc", "Cf"} and char not in "\n\t"]
    assert not wild, told
    assert "Traceback" not in shown


# Input and output -----------------------------------------------------------------------------------------------


def test_an_upload_ends_although_room_comes_by_another_way(
    pyssh: Client, scripted: StartScripted, payload: Callable[[int], Payload]
) -> None:
    sent = payload(40 * MIB)

    def echo_a_byte_a_read(talk: Talk) -> str:
        digest, ended, passed = hashlib.sha256(), False, len(talk.peer.received)
        while not ended:
            assert talk.listen(32 * 1024)
            for message in talk.peer.received[passed:]:
                if message[0] == m.CHANNEL_DATA:
                    digest.update(memoryview(message)[9:])
                ended |= message[0] == m.CHANNEL_EOF
            del talk.peer.received[passed:]
            talk.say(data(b"."))
        talk.say(*ending(0))
        talk.until_gone()
        return digest.hexdigest()

    server = scripted(echo_a_byte_a_read, window=256 * MIB)
    aim(pyssh, server)
    done = pyssh.run("box", "take", send=sent.path.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert set(done.stdout) == {ord(".")}
    assert server.result() == sent.sha256


def test_empty_data_behind_output_that_waits(pyssh: Client, scripted: StartScripted) -> None:
    stalled = Event()

    def pad_with_nothing(talk: Talk) -> None:
        for _ in range(6):
            talk.say(data(b"x" * 30_000), data(b""), error_data(b""), data(b""))
        talk.say(*ending(0))
        talk.expect(m.CHANNEL_CLOSE)  # the client has seen all of it, and its reader nothing
        stalled.set()
        talk.until_gone()

    aim(pyssh, scripted(pad_with_nothing))
    with pyssh.start("box", "run", stdin=subprocess.DEVNULL) as client:
        assert stalled.wait(PATIENCE)
        wait_until_idle(client.pid)
        out, err = client.communicate(timeout=PATIENCE)
        assert (client.returncode, out, err) == (0, b"x" * 180_000, b"")


def test_tiny_packets_for_a_reader_that_stalls_cost_little_memory(pyssh: Client, scripted: StartScripted) -> None:
    count = MIB
    stalled = Event()

    def send_crumbs(talk: Talk) -> None:
        crumb = data(b"x")
        for _ in range(count // 4096):
            talk.say(*[crumb] * 4096)
        talk.say(bytes((m.PING,)) + string(b"seen all?"))
        talk.expect(m.PONG)
        stalled.set()
        talk.say(*ending(0))
        talk.until_gone()

    aim(pyssh, scripted(send_crumbs))
    with pyssh.start("box", "run", stdin=subprocess.DEVNULL) as client:
        assert stalled.wait(PATIENCE)
        assert peak_memory(client.pid) < MEMORY_KIB
        out, _ = client.communicate(timeout=PATIENCE)
        assert (client.returncode, len(out)) == (0, count)


# The end, and what came right before it -------------------------------------------------------------------------


def test_what_arrives_together_with_the_disconnect_counts(pyssh: Client, scripted: StartScripted) -> None:
    def hurry(talk: Talk) -> None:
        talk.say(data(b"all of it\n"), error_data(b"this too\n"), *ending(7), disconnect(11, "bye"))
        talk.until_gone()

    aim(pyssh, scripted(hurry))
    done = pyssh.run("box", "run")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"all of it\n", b"this too\n")


def test_a_disconnect_while_the_channel_is_open_is_told_behind_the_output(
    pyssh: Client, scripted: StartScripted
) -> None:
    def hurry(talk: Talk) -> None:
        talk.say(data(b"all of it\n"), exit_status(0), EOF, disconnect(11, "bye"))
        talk.until_gone()

    aim(pyssh, scripted(hurry))
    done = pyssh.run("box", "run")
    assert done.stdout == b"all of it\n"
    failed(done, "Received disconnect from .*bye")


def test_what_arrives_together_with_a_protocol_error_is_written(pyssh: Client, scripted: StartScripted) -> None:
    def err(talk: Talk) -> None:
        talk.say(data(b"all of it\n" * 1000), UNASKED)
        talk.until_gone()

    aim(pyssh, scripted(err))
    done = pyssh.run("box", "run")
    assert done.stdout == b"all of it\n" * 1000
    failed(done, "channel 9")


def test_an_exit_status_counts_although_the_connection_is_closed_early(
    pyssh: Client, scripted: StartScripted
) -> None:
    aim(pyssh, scripted(lambda talk: talk.say(data(b"out\n"), exit_status(7), EOF)))
    done = pyssh.run("box", "run")
    assert (done.returncode, done.stdout) == (7, b"out\n")
    # What was on its way to the server when it closed makes a reset of the close.
    assert done.stderr.splitlines() in (
        [b"Connection to 127.0.0.1 closed by remote host."],
        [b"Read from remote host 127.0.0.1: Connection reset by peer"],
    )


def show_another_key(talk: Talk) -> None:
    """Exchange keys again, and show another host key than before."""
    talk.peer.host_key = HostKey("ssh-ed25519")
    talk.peer.rekey()
    talk.flush()


def err_in_a_key_exchange(talk: Talk) -> None:
    """Begin a key exchange, and go on as if there were none once the client takes part."""
    talk.peer.options.answers_kex = False
    talk.peer.rekey()
    talk.flush()
    talk.expect(m.KEX_FIRST)
    talk.say(data(b"what?"))


def send_garbage(talk: Talk) -> None:
    """Send what cannot be opened."""
    talk.socket.sendall(b"\0\0\1\0" + bytes(1000))


@pytest.mark.parametrize(
    ("behave", "status", "reason"),
    [
        (lambda talk: talk.say(*ending(3)), 3, 11),
        (lambda talk: talk.say(disconnect(11, "bye")), 255, 11),
        (lambda talk: talk.say(UNASKED), 255, 2),
        (lambda talk: talk.say(*[UNASKED] * 50), 255, 2),
        (send_garbage, 255, 5),
        (show_another_key, 255, 9),
        (err_in_a_key_exchange, 255, 2),
    ],
    ids=["end", "disconnect", "error", "errors", "garbage", "host-key", "key-exchange"],
)
def test_the_server_is_told_once_that_it_is_over(
    pyssh: Client, scripted: StartScripted, behave: Callable[[Talk], None], status: int, reason: int
) -> None:
    def listen_to_the_end(talk: Talk) -> list[int]:
        behave(talk)
        messages = talk.until_gone()
        assert not talk.peer.unread
        reasons = []
        for message in messages:
            if message[0] == m.DISCONNECT:
                reader = Reader(message, 1)
                reasons.append(reader.uint32())
                assert reader.text().isprintable()
                assert reader.text() == ""
                reader.end()
        assert messages[-1][0] == m.DISCONNECT
        return reasons

    server = scripted(listen_to_the_end)
    aim(pyssh, server)
    assert pyssh.run("box", "run").returncode == status
    assert server.result() == [reason]


# Host keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "known"), [("no", False), ("no", True), ("accept-new", False), ("yes", True)])
def test_another_host_key_in_a_rekeying_is_refused(
    pyssh: Client, scripted: StartScripted, mode: str, known: bool
) -> None:
    def change_keys(talk: Talk) -> str:
        before = pyssh.known_hosts.read_text()
        show_another_key(talk)
        talk.until_gone()
        return before

    server = scripted(change_keys)
    aim(pyssh, server, f"StrictHostKeyChecking {mode}", "LogLevel ERROR")
    if not known:
        pyssh.known_hosts.unlink()
    failed(pyssh.run("box", "run"), "another host key")
    assert pyssh.known_hosts.read_text() == server.result() == server.known_hosts_line


def test_the_same_host_key_in_a_rekeying_is_taken(pyssh: Client, scripted: StartScripted) -> None:
    def rekey(talk: Talk) -> None:
        for _ in range(3):
            talk.peer.rekey()
            talk.flush()
            talk.expect(m.NEWKEYS)
        talk.say(data(b"still here\n"), *ending(0))
        talk.until_gone()

    aim(pyssh, scripted(rekey))
    done = pyssh.run("box", "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"still here\n", b"")


# Keep-alive -----------------------------------------------------------------------------------------------------


def test_a_server_that_talks_is_alive_although_it_never_answers(pyssh: Client, scripted: StartScripted) -> None:
    def talk_on(talk: Talk) -> None:
        never = Event()
        for _ in range(42):
            talk.say(data(b"tick\n"))
            never.wait(0.1)
        talk.say(*ending(0))
        talk.until_gone()

    aim(pyssh, scripted(talk_on), "ServerAliveInterval 1", "ServerAliveCountMax 2")
    done = pyssh.run("box", "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"tick\n" * 42, b"")


def test_a_silent_server_is_given_up_on(pyssh: Client, scripted: StartScripted) -> None:
    server = scripted(lambda talk: [message[0] for message in talk.until_gone()].count(m.GLOBAL_REQUEST))
    aim(pyssh, server, "ServerAliveInterval 1", "ServerAliveCountMax 2")
    failed(pyssh.run("box", "run"), r"Timeout, server 127\.0\.0\.1 not responding")
    assert server.result() == 2


# Floods ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (bytes((m.PING,)) + string(bytes(32 * 1024)), m.PONG),
        (bytes((m.GLOBAL_REQUEST,)) + text("x") + boolean(True), m.REQUEST_FAILURE),
        (channel_request("x", want_reply=True), m.CHANNEL_FAILURE),
    ],
    ids=["ping", "global-request", "channel-request"],
)
def test_a_server_that_asks_and_never_reads_is_waited_for(
    pyssh: Client, scripted: StartScripted, question: bytes, answer: int
) -> None:
    enough = Event()
    total = 96 * MIB // len(question)

    def ask_and_ask(talk: Talk) -> bool:
        passed = len(talk.peer.received)
        asked = talk.flood(question, enough, total)
        talk.settle()
        for _ in range(asked):
            talk.expect(answer)
        talk.say(data(b"done\n"), *ending(0))
        assert [message[0] for message in talk.until_gone()[passed:]].count(answer) == asked
        assert 0 < asked < total
        return True

    server = scripted(ask_and_ask)
    aim(pyssh, server)
    with pyssh.start("box", "run", stdin=subprocess.DEVNULL) as client:
        assert client.stdout is not None
        wait_until_idle(client.pid)
        assert client.poll() is None
        assert peak_memory(client.pid) < MEMORY_KIB
        enough.set()
        assert client.communicate(timeout=PATIENCE) == (b"done\n", b"")
        assert client.returncode == 0
    assert server.result() is True


def test_questions_without_end_in_an_endless_key_exchange_end_it(pyssh: Client, scripted: StartScripted) -> None:
    asked: list[int] = []
    peaks: list[int] = []
    enough = Event()
    total = 1_000_000

    def ask_and_ask(talk: Talk) -> None:
        # The client begins to exchange keys once it has heard a little, and the peer never looks at that.
        question = bytes((m.GLOBAL_REQUEST,)) + text("x") + boolean(True)
        while sum(asked) < total:
            asked.append(talk.flood(question, enough, 10_000))

    server = scripted(ask_and_ask)
    aim(pyssh, server, "RekeyLimit 1K")
    with pyssh.start("box", "run", stdin=subprocess.DEVNULL) as client:

        def ended() -> bool:
            with contextlib.suppress(StopIteration):  # it has ended, and holds nothing any more
                peaks.append(peak_memory(client.pid))
            return client.poll() is not None

        wait_until(ended, "the client to have enough")
        out, err = client.communicate()
    assert (client.returncode, out) == (255, b"")
    assert len(err.splitlines()) == 1
    assert b"key exchange" in err
    assert peaks[-1] < MEMORY_KIB
    assert server.result() is None
    assert sum(asked) < total


def test_a_ping_too_large_to_be_one_is_refused(pyssh: Client, scripted: StartScripted) -> None:
    def ask(talk: Talk) -> None:
        talk.say(bytes((m.PING,)) + string(bytes(200 * 1024)))
        assert m.PONG not in [message[0] for message in talk.until_gone()]

    server = scripted(ask)
    aim(pyssh, server)
    failed(pyssh.run("box", "run"), "ping")
    server.result()


def test_unknown_messages_are_answered_and_the_session_goes_on(pyssh: Client, scripted: StartScripted) -> None:
    numbers = [8, 19, 83, 89, 101, 127, 128, 191, 194, 255]

    def mumble(talk: Talk) -> bool:
        passed, first = len(talk.peer.received), talk.peer.send_sequence
        talk.say(*(bytes((number,)) + b"mumble" for number in numbers), data(b"well\n"), *ending(0))
        answers = [message for message in talk.until_gone()[passed:] if message[0] == m.UNIMPLEMENTED]
        return answers == [bytes((m.UNIMPLEMENTED,)) + uint32(first + at) for at in range(len(numbers))]

    server = scripted(mumble)
    aim(pyssh, server)
    done = pyssh.run("box", "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"well\n", b"")
    assert server.result() is True


# Logins without end ---------------------------------------------------------------------------------------------


def accept_service(talk: Talk) -> None:
    """Let the login begin."""
    talk.expect(m.SERVICE_REQUEST)
    talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))


def questions(name: bytes, instruction: bytes, *prompts: bytes) -> bytes:
    """SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256 section 3.2)."""
    asked = b"".join(string(prompt) + boolean(True) for prompt in prompts)
    head = bytes((m.USERAUTH_INFO_REQUEST,)) + string(name) + string(instruction) + string(b"")
    return head + uint32(len(prompts)) + asked


def test_partial_success_without_end_ends(pyssh: Client, scripted: StartScripted) -> None:
    def want_more(talk: Talk) -> None:
        accept_service(talk)
        while talk.expect(m.USERAUTH_REQUEST):
            talk.say(failure("publickey", partial=True))

    aim(pyssh, scripted(want_more, stage="login"), keys=("ed25519",))
    failed(pyssh.run("box", "run"), "partial success")


@pytest.mark.parametrize("refuses", [False, True])
def test_questions_that_ask_nothing_without_end_end(pyssh: Client, scripted: StartScripted, refuses: bool) -> None:
    def ask_nothing(talk: Talk) -> None:
        accept_service(talk)
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(failure("keyboard-interactive"))
        talk.expect(m.USERAUTH_REQUEST)
        while True:
            talk.say(questions(b"", b""))
            talk.expect(m.USERAUTH_INFO_RESPONSE)
            if refuses:
                talk.say(failure("keyboard-interactive", partial=True))
                talk.expect(m.USERAUTH_REQUEST)

    aim(pyssh, scripted(ask_nothing, stage="login"))
    failed(pyssh.run("box", "run"), "without end|no end")


# What a server says ---------------------------------------------------------------------------------------------


def refuse_the_channel(talk: Talk) -> None:
    """Refuse to open the session's channel."""
    talk.expect(m.CHANNEL_OPEN)
    talk.say(bytes((m.CHANNEL_OPEN_FAILURE,)) + uint32(0) + uint32(1) + string(EVIL) + string(b""))


def say_goodbye(talk: Talk) -> None:
    """Disconnect."""
    talk.say(bytes((m.DISCONNECT,)) + uint32(2) + string(EVIL) + string(b""))


def refuse_the_user(talk: Talk) -> None:
    """Let nobody in, and name methods that nobody knows."""
    accept_service(talk)
    talk.expect(m.USERAUTH_REQUEST)
    talk.say(bytes((m.USERAUTH_FAILURE,)) + string(EVIL.decode("ascii", "ignore").encode()) + boolean(False))


@pytest.mark.parametrize(
    ("behave", "stage"),
    [
        (refuse_the_channel, "channel"),
        (say_goodbye, "login"),
        (say_goodbye, "session"),
        (refuse_the_user, "login"),
    ],
)
def test_a_servers_reason_is_one_tame_line(
    pyssh: Client, scripted: StartScripted, behave: Callable[[Talk], None], stage: str
) -> None:
    def complain(talk: Talk) -> None:
        behave(talk)
        talk.until_gone()

    aim(pyssh, scripted(complain, stage=stage))
    failed(pyssh.run("-o", "BatchMode=yes", "box", "run"), r"first.*Forged line.*Forged too")


def test_a_banner_is_shown_tamely(pyssh: Client, scripted: StartScripted) -> None:
    def greet(talk: Talk) -> None:
        accept_service(talk)
        talk.say(bytes((m.USERAUTH_BANNER,)) + string(EVIL) + string(b""))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(failure("none-of-yours"))
        talk.until_gone()

    aim(pyssh, scripted(greet, stage="login"))
    done = pyssh.run("box", "run")
    assert done.returncode == 255
    assert done.stderr.startswith(b"first\nForged line\nForged too\\033[31m")
    tame(done.stderr)


@pytest.mark.parametrize("name", [b"TERM", EVIL])
def test_an_exit_signal_is_told_in_one_tame_line(pyssh: Client, scripted: StartScripted, name: bytes) -> None:
    def die(talk: Talk) -> None:
        fields = string(name) + boolean(False) + string(EVIL) + string(b"")
        talk.say(channel_request("exit-signal", fields), EOF, CLOSE)
        talk.until_gone()

    aim(pyssh, scripted(die))
    done = pyssh.run("-v", "box", "run")
    assert done.returncode == 255
    assert b"first" in done.stderr
    tame(done.stderr)
    assert not [line for line in done.stderr.splitlines() if line.startswith(b"Forged")]


def test_every_line_of_a_question_says_who_asks(
    pyssh: Client, scripted: StartScripted, terminal: OpenTerminal
) -> None:
    def pretend(talk: Talk) -> None:
        accept_service(talk)
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(failure("keyboard-interactive"))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(questions(EVIL, EVIL, EVIL + b"\nEnter passphrase for key 'x': "))
        talk.expect(m.USERAUTH_INFO_RESPONSE)
        talk.say(failure())
        talk.until_gone()

    aim(pyssh, scripted(pretend, stage="login"))
    shown = terminal("box", "run")
    shown.expect(r"Enter passphrase for key 'x': ")
    asked = shown.said
    shown.send("no\n")
    assert shown.wait() == 255
    question = [line for line in asked.replace(b"\r", b"\n").split(b"\n") if line][-4:]
    assert [line[:19] for line in question] == [b"(nobody@127.0.0.1) "] * 4, asked
    tame(shown.said.replace(b"\r", b""))


def test_the_scripted_server_tells_what_a_script_finds_wrong(pyssh: Client, scripted: StartScripted) -> None:
    def find_fault(talk: Talk) -> None:
        raise AssertionError("a fault")

    server = scripted(find_fault)
    aim(pyssh, server)
    assert pyssh.run("box", "run").returncode == 255
    with pytest.raises(AssertionError, match="a fault"):
        server.result()
