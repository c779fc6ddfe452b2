"""-A: the agent for programs on the server, whose it is, which hosts its keys are for, and servers that lie."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, string, text, uint32
from tests.system.clients import Client
from tests.system.conftest import Agent
from tests.system.scripted_server import ScriptedServer, Talk, ending
from tests.system.servers import SERVER_KINDS, KeyRing, Server, free_port, public_directory
from tests.system.waiting import wait_until
from tests.unit.peer import PeerOptions

SHOW = 'printf "%s\\n" "${SSH_AUTH_SOCK:-none}"'
LIST = "ssh-add -l 2>&1"
SUCCESS, FAILURE = b"\x06", b"\x05"
LIST_KEYS = string(b"\x0b")
NO_KEYS = string(b"\x0c" + uint32(0))


@pytest.fixture
def held(agent: Agent, keys: KeyRing) -> Agent:
    """An agent that holds one key, not the one that the client logs in with."""
    agent.add(keys.path("ecdsa-256"))
    return agent


@pytest.fixture
def other_agent() -> Iterator[Agent]:
    """An agent that no variable names."""
    directory = public_directory()
    made = Agent(directory)
    yield made
    made.stop()
    shutil.rmtree(directory, ignore_errors=True)


class FakeAgent:
    """Takes one connection after the other at `path`: reads the binding, answers it, and goes on by `behave`."""

    def __init__(self, answer: bytes | None, behave: Callable[[socket.socket], None]) -> None:
        self.directory = public_directory()
        self.path = self.directory / "agent"
        self.bindings: list[bytes] = []
        self._answer = answer
        self._behave = behave
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = connection.recv(4, socket.MSG_WAITALL)
            if len(head) < 4:
                return  # somebody looked whether we are there
            self.bindings.append(connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
            if self._answer is None:
                return
            connection.sendall(string(self._answer))
            if connection.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL) == LIST_KEYS:  # for the client's own login
                connection.sendall(NO_KEYS)
                return
            self._behave(connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture
def fake_agent(pyssh: Client) -> Iterator[Callable[..., FakeAgent]]:
    """Starts an agent that behaves as told, which the client finds at SSH_AUTH_SOCK."""
    with contextlib.ExitStack() as opened:

        def start(answer: bytes | None, behave: Callable[[socket.socket], None] = lambda _sock: None) -> FakeAgent:
            made = FakeAgent(answer, behave)
            opened.callback(made.close)
            pyssh.environment["SSH_AUTH_SOCK"] = str(made.path)
            return made

        yield start


# Whether, and whose ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in SERVER_KINDS if kind in {"openssh", "dropbear"}])
def test_keys_are_seen_from_the_server(
    pyssh: Client, standing: Callable[[str], Server], held: Agent, kind: str
) -> None:
    assert held
    pyssh.aim(standing(kind))
    done = pyssh.run("-A", "box", LIST)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"(ECDSA)") == 1


def test_a_key_in_the_agent_leads_to_the_next_host(pyssh: Client, openssh: Server, held: Agent) -> None:
    assert held
    pyssh.aim(openssh)
    options = (
        "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    )
    onward = f"ssh {options} -o IdentityFile=none -p {openssh.port} {openssh.user}@127.0.0.1 echo arrived"
    assert pyssh.run("-A", "box", onward).stdout == b"arrived\n"
    assert pyssh.run("-a", "box", onward).returncode != 0


def test_several_at_once(pyssh: Client, openssh: Server, held: Agent) -> None:
    assert held
    pyssh.aim(openssh)
    many = "for i in 1 2 3 4 5 6 7 8 9 10; do ssh-add -l & done; wait"
    assert pyssh.run("-A", "box", many).stdout.count(b"(ECDSA)") == 10


@pytest.mark.parametrize("words", [(), ("-a",), ("-A", "-a"), ("-o", "ForwardAgent=no", "-A"), ("-T",)])
def test_flags(pyssh: Client, openssh: Server, held: Agent, words: tuple[str, ...]) -> None:
    assert held
    pyssh.aim(openssh, "ForwardAgent no")
    forwarded = pyssh.run(*words, "box", SHOW).stdout != b"none\n"
    assert forwarded is (words[-1:] == ("-A",))


def test_the_agent_of_identity_agent_is_the_one(pyssh: Client, openssh: Server, agent: Agent, held: Agent) -> None:
    assert held
    del pyssh.environment["SSH_AUTH_SOCK"]
    pyssh.aim(openssh, "ForwardAgent yes", f"IdentityAgent {agent.socket}")
    assert b"(ECDSA)" in pyssh.run("box", LIST).stdout
    pyssh.aim(openssh, "ForwardAgent yes", "IdentityAgent none")
    pyssh.environment["SSH_AUTH_SOCK"] = str(agent.socket)
    assert pyssh.run("box", SHOW).stdout == b"none\n"


@pytest.mark.parametrize("form", ["{path}", "$OTHER", "${{DIRECTORY}}/agent"])
def test_another_agent_by_its_socket(
    pyssh: Client, openssh: Server, held: Agent, other_agent: Agent, keys: KeyRing, form: str
) -> None:
    assert held
    other_agent.add(keys.path("rsa-3072"))
    pyssh.environment |= {"OTHER": str(other_agent.socket), "DIRECTORY": str(other_agent.socket.parent)}
    pyssh.aim(openssh)
    done = pyssh.run("-o", f"ForwardAgent={form.format(path=other_agent.socket)}", "box", LIST)
    assert b"(RSA)" in done.stdout, done.stderr
    assert b"(ECDSA)" not in done.stdout


@pytest.mark.beyond_ssh
def test_another_agent_where_there_is_none_of_ours(
    pyssh: Client, openssh: Server, other_agent: Agent, keys: KeyRing
) -> None:
    # ssh 9.2 looks for an agent of ours all the same, and forwards none when there is none.
    other_agent.add(keys.path("rsa-3072"))
    pyssh.aim(openssh)
    done = pyssh.run("-o", f"ForwardAgent={other_agent.socket}", "box", LIST)
    assert b"(RSA)" in done.stdout, done.stderr


@pytest.mark.parametrize("path", [None, "/nonexistent/agent"])
def test_no_agent_here(pyssh: Client, openssh: Server, path: str | None) -> None:
    if path:
        pyssh.environment["SSH_AUTH_SOCK"] = path
    pyssh.aim(openssh)
    done = pyssh.run("-A", "box", SHOW)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"none\n", b"")


def test_a_socket_that_is_not_there(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    missing = pyssh.home / "missing"
    message = f'Cannot forward agent socket path "{missing}": No such file or directory'
    done = pyssh.run("-o", f"ForwardAgent={missing}", "box", SHOW)
    assert message in done.stderr.decode()
    done = pyssh.run("-o", f"ForwardAgent={missing}", "-o", "ExitOnForwardFailure=yes", "box", SHOW)
    assert message in done.stderr.decode()
    assert (done.returncode, done.stdout) == (255, b"")


def test_a_server_that_does_not_let_it_through(pyssh: Client, sshd: Callable[..., Server], held: Agent) -> None:
    assert held
    pyssh.aim(sshd("AllowAgentForwarding no"))
    done = pyssh.run("-A", "box", SHOW)
    assert (done.returncode, done.stdout) == (0, b"none\n")


# Restrictions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "seen"), [(("box",), False), (("box", "box>next"), True), (("next",), False)])
def test_keys_for_certain_hosts_only(
    pyssh: Client, openssh: Server, agent: Agent, keys: KeyRing, hops: tuple[str, ...], seen: bool
) -> None:
    """The agent shows a key to whom it may be forwarded: it has to be told who asks."""
    known = pyssh.home / "hosts"
    lines = [f"box {key}" for key in openssh.host_keys] + [f"next {keys.public('ecdsa-384')}"]
    known.write_text("".join(f"{line}\n" for line in lines))
    constraints = [word for hop in hops for word in ("-h", hop)]
    subprocess.run(
        ["ssh-add", "-q", "-H", known, *constraints, keys.path("ecdsa-256")],
        env={"SSH_AUTH_SOCK": str(agent.socket)},
        check=True,
    )
    pyssh.aim(openssh)
    done = pyssh.run("-A", "box", LIST)
    assert (b"(ECDSA)" in done.stdout) is seen
    assert seen or b"The agent has no identities." in done.stdout


def test_what_the_agent_is_told(pyssh: Client, openssh: Server, fake_agent: Callable[..., FakeAgent]) -> None:
    agent = fake_agent(SUCCESS)
    pyssh.aim(openssh)
    pyssh.run("-o", "IdentityAgent=none", "-o", f"ForwardAgent={agent.path}", "box", LIST)
    pyssh.run("-A", "box", LIST)
    reader = Reader(agent.bindings[-1], 1)
    assert reader.text() == "session-bind@openssh.com"
    host_key = reader.string()
    assert Reader(host_key).text() in {line.split()[0] for line in openssh.host_keys}
    assert len(reader.string()) in {20, 32, 48, 64}
    assert reader.string()
    assert reader.boolean()
    reader.end()


def count_until_the_end(sock: socket.socket) -> None:
    """Read until the other side has ended its half, then say how much it was."""
    total = 0
    while data := sock.recv(65536):
        total += len(data)
    sock.sendall(f"{total} bytes".encode())


HALF_CLOSE = """python3 -c '
import os, socket
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["SSH_AUTH_SOCK"])
s.sendall(bytes(300000))
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())'
"""


@pytest.mark.beyond_ssh  # which hangs up on the agent once the server's side has ended its half
@pytest.mark.parametrize("answer", [SUCCESS, FAILURE, b"\x1c"])
def test_half_closed_connections_and_agents_that_know_no_bindings(
    pyssh: Client, openssh: Server, fake_agent: Callable[..., FakeAgent], answer: bytes
) -> None:
    fake_agent(answer, count_until_the_end)
    pyssh.aim(openssh)
    done = pyssh.run("-A", "box", HALF_CLOSE)
    assert done.stdout == b"300000 bytes\n", done.stderr


@pytest.mark.beyond_ssh  # which does wait for ever, once in a while
def test_an_agent_that_never_hangs_up_holds_up_nothing(
    pyssh: Client, openssh: Server, fake_agent: Callable[..., FakeAgent]
) -> None:
    done = threading.Event()

    def stay(connection: socket.socket) -> None:
        count_until_the_end(connection)
        done.wait()

    agent = fake_agent(SUCCESS, stay)
    pyssh.environment["SSH_AUTH_SOCK"] = str(agent.path)
    pyssh.aim(openssh)
    try:
        ask = "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK'])"
        assert pyssh.run("-A", "box", f"python3 -c \"{ask}; s.sendall(b'x')\"; echo asked").stdout == b"asked\n"
        assert not done.is_set()
    finally:
        done.set()


@pytest.mark.beyond_ssh
def test_an_agent_that_hangs_up_on_the_binding_is_not_asked_unbound(
    pyssh: Client, openssh: Server, fake_agent: Callable[..., FakeAgent]
) -> None:
    agent = fake_agent(None)
    pyssh.aim(openssh)
    words = ["-o", "IdentityAgent=none", "-o", f"ForwardAgent={agent.path}"]
    done = pyssh.run("-v", *words, "box", f"{LIST}; echo $?")
    assert done.stdout.split()[-1] in {b"1", b"141"}  # ssh-add's own end, or that of SIGPIPE if it writes too late
    assert f"client_request_agent: {agent.path}: it hangs up" in done.stderr.decode()
    assert len(agent.bindings) == 1


# Servers that lie -----------------------------------------------------------------------------------------------


def open_channel(kind: str, number: int) -> bytes:
    """SSH_MSG_CHANNEL_OPEN of the server's."""
    fields = text("127.0.0.1") + uint32(6010) if kind == "x11" else b""
    return bytes((m.CHANNEL_OPEN,)) + text(kind) + uint32(number) + uint32(1 << 20) + uint32(1 << 15) + fields


@pytest.mark.parametrize(
    ("kind", "what"), [("auth-agent@openssh.com", "agent"), ("x11", "X11"), ("tun@openssh.com", None)]
)
@pytest.mark.parametrize("words", [("-a",), ("-x", "-a")])
def test_channels_that_nobody_asked_for_are_refused(
    pyssh: Client,
    scripted: Callable[..., ScriptedServer],
    held: Agent,
    kind: str,
    what: str | None,
    words: tuple[str, ...],
) -> None:
    assert held

    def attack(talk: Talk) -> int:
        talk.say(open_channel(kind, 40))
        refusal = Reader(talk.expect(m.CHANNEL_OPEN_FAILURE), 1)
        talk.say(*ending(0))
        return refusal.uint32()

    server = scripted(attack)
    pyssh.environment["DISPLAY"] = ":0"
    pyssh.aim_at_port(server.port, keys=("ed25519",))
    pyssh.known_hosts.write_text(server.known_hosts_line)
    done = pyssh.run(*words, "box", "run")
    assert (server.result(), done.returncode) == (40, 0)
    warning = re.findall(r"Warning: ssh server tried (\S+) forwarding\.\r?\n", done.stderr.decode())
    assert warning == ([what] if what else [])
    assert (b"break-in attempt" in done.stderr) is bool(what)


@pytest.mark.beyond_ssh
def test_a_flood_of_connections_to_an_agent_that_does_not_answer(
    pyssh: Client, scripted: Callable[..., ScriptedServer]
) -> None:
    directory = public_directory()
    path = directory / "agent"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1000)

        def attack(talk: Talk) -> int:
            talk.say(*(open_channel("auth-agent@openssh.com", number) for number in range(100)))
            refused = 0
            while refused < 36:
                refusal = Reader(talk.expect(m.CHANNEL_OPEN_FAILURE), 5)
                assert refusal.uint32() == 4
                refused += 1
            talk.say(*ending(0))
            return refused

        server = scripted(attack)
        pyssh.aim_at_port(server.port, keys=("ed25519",))
        pyssh.known_hosts.write_text(server.known_hosts_line)
        done = pyssh.run("-o", "IdentityAgent=none", "-o", f"ForwardAgent={path}", "box", "run")
        assert (server.result(), done.returncode) == (36, 0)
    shutil.rmtree(directory)


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(
    ("extensions", "request_name", "kind"),
    [
        (None, "auth-agent-req@openssh.com", "auth-agent@openssh.com"),
        ({"agent-forward": b"1"}, "auth-agent-req@openssh.com", "auth-agent@openssh.com"),
        ({"agent-forward": b"0"}, "agent-req", "agent-connect"),
    ],
)
def test_the_names_of_the_standard_where_the_server_offers_them(
    pyssh: Client,
    scripted: Callable[..., ScriptedServer],
    held: Agent,
    extensions: dict[str, bytes] | None,
    request_name: str,
    kind: str,
) -> None:
    assert held

    def ask(talk: Talk) -> tuple[bool, bytes]:
        asked = any(
            payload[0] == m.CHANNEL_REQUEST and text(request_name) in payload for payload in talk.peer.received
        )
        talk.say(open_channel(kind, 9))
        reader = Reader(talk.expect(m.CHANNEL_OPEN_CONFIRMATION), 5)
        channel = reader.uint32()
        question = string(b"\x0b")
        talk.say(bytes((m.CHANNEL_DATA,)) + uint32(channel) + string(question))
        answer = Reader(talk.expect(m.CHANNEL_DATA), 5).string()
        talk.say(bytes((m.CHANNEL_EOF,)) + uint32(channel))
        talk.expect(m.CHANNEL_CLOSE)
        talk.say(bytes((m.CHANNEL_CLOSE,)) + uint32(channel), *ending(0))
        return asked, answer[4:9]

    server = scripted(ask, PeerOptions(extensions=extensions))
    pyssh.aim_at_port(server.port, keys=("ed25519",))
    pyssh.known_hosts.write_text(server.known_hosts_line)
    done = pyssh.run("-A", "box", "run")
    assert server.result() == (True, b"\x0c" + uint32(1)), done.stderr
    assert done.returncode == 0


# Hosts that may be another --------------------------------------------------------------------------------------


def test_nothing_is_forwarded_to_a_host_whose_key_has_changed(
    pyssh: Client, openssh: Server, held: Agent, strange_keys: KeyRing
) -> None:
    assert held
    port = free_port()
    forwards = ["-A", "-X", "-L", f"{port}:127.0.0.1:{openssh.port}", "-w", "any"]
    pyssh.environment["DISPLAY"] = ":0"
    pyssh.aim(openssh, "StrictHostKeyChecking no")
    line = f"[127.0.0.1]:{openssh.port} {strange_keys.public('ed25519')}\n"
    for words, status in (((), 0), (("-o", "ExitOnForwardFailure=yes"), 255)):
        pyssh.known_hosts.write_text(line)
        done = pyssh.run(*forwards, *words, "box", f"{SHOW}; echo ${{DISPLAY:-none}}")
        told = done.stderr.decode()
        for what in ("Agent", "X11", "Port", "Tunnel"):
            assert f"{what} forwarding is disabled to avoid man-in-the-middle attacks." in told
        assert ("Error: forwarding disabled due to host key check failure" in told) is bool(status)
        assert (done.returncode, done.stdout) == (status, b"" if status else b"none\nnone\n")


# Time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["agent-connection=1", "agent-*=1 session=0"])
def test_an_idle_connection_is_closed(
    pyssh: Client, openssh: Server, fake_agent: Callable[..., FakeAgent], rule: str
) -> None:
    """The agent does not answer, and whoever asked it hears that it has gone; the session goes on."""
    ends: list[bytes] = []

    def stay_silent(connection: socket.socket) -> None:
        connection.recv(5, socket.MSG_WAITALL)
        ends.append(connection.recv(1))

    agent = fake_agent(SUCCESS, stay_silent)
    pyssh.aim(openssh, f"ChannelTimeout {rule}")
    done = pyssh.run("-v", "-A", "box", "for i in 1 2; do ssh-add -D; done 2>&1; echo still here")
    assert done.returncode == 0
    assert done.stdout.endswith(b"still here\n")
    assert done.stderr.count(b"closing after 1 seconds of inactivity") == 2
    wait_until(lambda: ends == [b"", b""], "the agent to hear of both ends")
    assert len(agent.bindings) >= 2
