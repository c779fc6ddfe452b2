"""-X and -Y with a real X server (Xvfb) and real clients: cookies, displays, trust, time, and refusals."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, string, text, uint32
from tests.system.clients import Client
from tests.system.messages import bare
from tests.system.scripted_server import ScriptedServer, Talk, ending
from tests.system.servers import FakeServer, Park, Server, program, public_directory

MAGIC = "MIT-MAGIC-COOKIE-1"
SHOW = 'printf "%s\\n" "${DISPLAY:-none}"'
VENDOR = "xdpyinfo 2>&1 | grep vendor.string"
FOUND = b"vendor string:    The X.Org Foundation\n"
NO_DATA = "Warning: No xauth data; using fake authentication data for X11 forwarding.\n"
WRONG = "X11 connection rejected because of wrong authentication.\n"


def said(done: subprocess.CompletedProcess[bytes]) -> str:
    """What the client said; not what the server's xauth says when it makes a new file."""
    lines = [line for line in done.stderr.decode().splitlines() if "xauth:" not in line]
    return "".join(f"{line}\n" for line in lines)


class XServer:
    """Xvfb on a free display, `number`, which `cookie` opens; with no cookie everybody may come."""

    def __init__(self, *, open_to_all: bool = False, tcp: bool = False) -> None:
        self.directory = public_directory()
        self.cookie = secrets.token_hex(16)
        authority = self.directory / "server"
        self.add_cookie(authority, ":0")  # the server does not mind the display's number
        reader, writer = os.pipe()
        words = ["-ac"] if open_to_all else ["-auth", str(authority)]
        words += ["-listen" if tcp else "-nolisten", "tcp", "-noreset", "-screen", "0", "64x64x24"]
        with os.fdopen(reader) as told:
            self._process = subprocess.Popen(
                [program("Xvfb"), "-displayfd", str(writer), *words],
                stderr=(self.directory / "log").open("wb"),
                pass_fds=[writer],
                start_new_session=True,
            )
            os.close(writer)
            line = told.readline()
        assert line, (self.directory / "log").read_text()
        self.number = int(line)

    def add_cookie(self, file: Path, display: str) -> None:
        """Write the cookie to a file of xauth's."""
        command = ["xauth", "-q", "-f", str(file), "add", display, MAGIC, self.cookie]
        subprocess.run(command, check=True, env={"HOME": str(self.directory), "PATH": os.environ["PATH"]})

    def stop(self) -> None:
        """End it; nothing happens when it has ended."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def x_server() -> Iterator[XServer]:
    """An X server that its cookie opens."""
    made = XServer()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def open_x_server() -> Iterator[XServer]:
    """An X server that anybody may use, by TCP too."""
    made = XServer(open_to_all=True, tcp=True)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def x_sshd(park: Park) -> Iterator[Server]:
    """An sshd that forwards X11."""
    server = park.openssh("X11Forwarding yes", "XAuthLocation /usr/bin/xauth")
    yield server
    server.stop()


@pytest.fixture
def at_display(pyssh: Client, x_server: XServer, x_sshd: Server) -> Client:
    """The client in front of the X server, with its cookie."""
    authority = pyssh.home / ".Xauthority"
    x_server.add_cookie(authority, f":{x_server.number}")
    pyssh.environment |= {"DISPLAY": f":{x_server.number}", "XAUTHORITY": str(authority)}
    pyssh.aim(x_sshd)
    return pyssh


@pytest.fixture
def without_cookie(pyssh: Client, open_x_server: XServer, x_sshd: Server) -> Client:
    """The client in front of the X server that is open to all."""
    pyssh.environment["DISPLAY"] = f":{open_x_server.number}"
    pyssh.aim(x_sshd)
    return pyssh


# What works -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("-X",), ("-Y",), ("-x", "-X"), ("-o", "ForwardX11=yes"), ("-X", "-T")])
def test_windows_come_here(at_display: Client, words: tuple[str, ...]) -> None:
    done = at_display.run(*words, "box", f"{VENDOR}; xwininfo -root 2>&1 | grep -c Width")
    assert done.stdout == FOUND + b"1\n"
    assert said(done) == ""


@pytest.mark.parametrize("words", [("-x",), ("-X", "-x"), ("-Y", "-x"), ("-o", "ForwardX11=no", "-T"), ()])
def test_windows_stay_there(at_display: Client, words: tuple[str, ...]) -> None:
    assert at_display.run(*words, "box", SHOW).stdout == b"none\n"


def test_the_cookie_stays_here(at_display: Client, x_server: XServer) -> None:
    done = at_display.run("-X", "box", 'xauth list "${DISPLAY#localhost}"; xauth list')
    assert MAGIC.encode() in done.stdout
    assert x_server.cookie.encode() not in done.stdout


def test_several_clients_at_once(at_display: Client) -> None:
    many = f"for i in 1 2 3 4 5 6 7 8; do {VENDOR} & done; wait"
    assert at_display.run("-X", "box", many).stdout == FOUND * 8


@pytest.mark.parametrize("display", [":{}", ":{}.0", "unix:{}", "unix:{}.0"])
def test_displays_of_this_machine(at_display: Client, x_server: XServer, display: str) -> None:
    at_display.environment["DISPLAY"] = display.format(x_server.number)
    assert at_display.run("-X", "box", VENDOR).stdout == FOUND


@pytest.mark.parametrize("display", ["localhost:{}", "127.0.0.1:{}.0"])
def test_displays_by_tcp(without_cookie: Client, open_x_server: XServer, display: str) -> None:
    without_cookie.environment["DISPLAY"] = display.format(open_x_server.number)
    done = without_cookie.run("-X", "box", VENDOR)
    assert (done.stdout, bare(said(done).encode())) == (FOUND, NO_DATA.splitlines())


@pytest.mark.beyond_ssh  # which knows such displays on macOS only
@pytest.mark.parametrize("screen", ["", ".0"])
def test_a_display_that_is_a_socket(without_cookie: Client, open_x_server: XServer, screen: str) -> None:
    path = without_cookie.home / "org.xquartz:0"
    path.symlink_to(f"/tmp/.X11-unix/X{open_x_server.number}")
    without_cookie.environment["DISPLAY"] = f"{path}{screen}"
    assert without_cookie.run("-X", "box", VENDOR).stdout == FOUND


def test_screens(at_display: Client, x_server: XServer) -> None:
    at_display.environment["DISPLAY"] = f":{x_server.number}.3"
    done = at_display.run("-X", "box", SHOW)
    assert done.stdout.rstrip().endswith(b".3")


@pytest.mark.parametrize("line", ["XAuthLocation /nonexistent", "XAuthLocation /bin/false", "LogLevel INFO"])
def test_a_display_without_a_cookie(without_cookie: Client, line: str) -> None:
    done = without_cookie.run("-X", "-o", line.replace(" ", "="), "box", VENDOR)
    assert (done.stdout, bare(said(done).encode())) == (FOUND, NO_DATA.splitlines())


def test_xauth_is_asked_as_ssh_asks_it(at_display: Client, x_server: XServer) -> None:
    asked, script = at_display.home / "asked", at_display.home / "xauth"
    script.write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexec /usr/bin/xauth "$@"\n')
    script.chmod(0o755)
    at_display.environment["DISPLAY"] = f"localhost:{x_server.number}.0"
    at_display.run("-X", "-o", f"XAuthLocation={script}", "box", "true")
    at_display.environment["DISPLAY"] = f":{x_server.number}"
    for timeout in ("0", "100", "5m"):
        words = ["-o", "ForwardX11Trusted=no", "-o", f"ForwardX11Timeout={timeout}"]
        at_display.run("-X", *words, "-o", f"XAuthLocation={script}", "box", "true")
    lines = asked.read_text().splitlines()
    assert lines[0] == f"list unix:{x_server.number}.0"
    generated, listed = lines[1::2], lines[2::2]
    files = [line.split()[1] for line in generated]
    start = f"generate :{x_server.number} {MAGIC} untrusted"
    assert generated == [
        f"-f {file} {start}{rest}" for file, rest in zip(files, ("", " timeout 160", " timeout 360"), strict=True)
    ]
    assert listed == [f"-f {file} list :{x_server.number}" for file in files]
    assert not any(Path(file).parent.exists() for file in files)


# Trust and time -------------------------------------------------------------------------------------------------


def extensions(client: Client, *words: str) -> set[bytes]:
    """The extensions that the X server lets a forwarded client use."""
    out = client.run("-X", *words, "box", "xdpyinfo").stdout
    assert FOUND in out
    listed = out.partition(b"number of extensions")[2].partition(b"default screen")[0]
    return {line.strip() for line in listed.splitlines()[1:]}


def test_untrusted_clients_may_do_less(at_display: Client) -> None:
    trusted = extensions(at_display)
    untrusted = extensions(at_display, "-o", "ForwardX11Trusted=no")
    assert untrusted < trusted
    assert b"XTEST" in trusted - untrusted


def test_untrusted_clients_get_nothing_where_no_cookie_can_be_made(at_display: Client) -> None:
    words = ["-X", "-o", "ForwardX11Trusted=no", "-o", "XAuthLocation=/bin/false"]
    done = at_display.run(*words, "box", SHOW)
    assert done.stdout == b"none\n"
    assert bare(said(done).encode()) == [
        "Warning: untrusted X11 forwarding setup failed: xauth key data not generated"
    ]


def test_untrusted_clients_are_refused_after_a_time(at_display: Client) -> None:
    words = ["-v", "-X", "-o", "ForwardX11Trusted=no", "-o", "ForwardX11Timeout=1"]
    done = at_display.run(*words, "box", "xdpyinfo > first; while xdpyinfo >/dev/null 2>&1; do :; done; echo over")
    assert done.stdout == b"over\n"
    assert b"Rejected X11 connection after ForwardX11Timeout expired" in done.stderr


@pytest.mark.parametrize("rule", ["x11-connection=1", "session=0 *=1"])
def test_idle_windows_are_closed(at_display: Client, rule: str) -> None:
    """xprop waits for news and hears none; the display stays for others, and the session goes on."""
    words = ["-v", "-X", "-o", f"ChannelTimeout={rule}"]
    done = at_display.run(*words, "box", f"xprop -root -spy >/dev/null 2>&1; echo gone; {VENDOR}; echo still here")
    assert done.stdout == b"gone\n" + FOUND + b"still here\n"
    assert done.stderr.count(b"closing after 1 seconds of inactivity") == 1


# What does not work ---------------------------------------------------------------------------------------------


def test_whoever_has_no_cookie_is_rejected(at_display: Client) -> None:
    done = at_display.run("-X", "box", 'xauth remove "$DISPLAY"; xdpyinfo >/dev/null 2>&1; echo $?')
    assert (done.stdout, said(done)) == (b"1\n", WRONG)


def test_no_display(at_display: Client) -> None:
    del at_display.environment["DISPLAY"]
    done = at_display.run("-X", "box", SHOW)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"none\n", b"")


def test_a_display_that_cannot_be(at_display: Client) -> None:
    at_display.environment["DISPLAY"] = ":0;touch x"
    done = at_display.run("-X", "box", SHOW)
    assert done.stdout == b"none\n"
    assert said(done) == 'DISPLAY ":0;touch x" invalid; disabling X11 forwarding\n'


def test_a_server_that_forwards_none(at_display: Client, openssh: Server) -> None:
    at_display.aim(openssh)
    done = at_display.run("-X", "box", SHOW)
    assert (done.returncode, done.stdout) == (0, b"none\n")
    assert bare(said(done).encode()) == ["X11 forwarding request failed on channel 0"]


@pytest.mark.parametrize("display", [":7531", "127.0.0.1:7531", "host.invalid:0"])
def test_an_x_server_that_is_not_there(at_display: Client, display: str) -> None:
    at_display.environment["DISPLAY"] = display
    done = at_display.run("-X", "box", "xdpyinfo >/dev/null 2>&1; echo $?")
    assert done.stdout == b"1\n"
    assert done.returncode == 0


def test_an_x_server_that_goes(pyssh: Client, x_sshd: Server) -> None:
    server = XServer(open_to_all=True)
    pyssh.environment["DISPLAY"] = f":{server.number}"
    pyssh.aim(x_sshd)
    with contextlib.ExitStack() as opened:
        opened.callback(server.stop)
        process = opened.enter_context(pyssh.start("-X", "box", "xprop -root -spy 2>/dev/null; echo gone"))
        assert process.stdout is not None
        assert process.stdout.readline()
        server.stop()
        assert process.stdout.read().endswith(b"gone\n")


# Servers that lie -----------------------------------------------------------------------------------------------


def connection_start(order: str, name: bytes, data: bytes) -> bytes:
    """What an X client begins with."""
    byte_order = "big" if order == "B" else "little"
    numbers = (11, 0, len(name), len(data), 0)
    head = b"".join(number.to_bytes(2, byte_order) for number in numbers)  # type: ignore[arg-type]
    return order.encode() + b"\0" + head + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)


def fake_cookie(talk: Talk) -> bytes:
    """The cookie that the client gave the server."""
    for payload in talk.peer.received:
        reader = Reader(payload, 1)
        if payload[0] == m.CHANNEL_REQUEST and (reader.uint32(), reader.text()) == (0, "x11-req"):
            assert reader.boolean()
            assert not reader.boolean()  # not for a single connection
            assert reader.text() == MAGIC
            return bytes.fromhex(reader.text())
    raise AssertionError("no x11-req")


def connected(talk: Talk, *pieces: bytes) -> bytes:
    """Open a channel to the display, send these pieces, and return what comes back."""
    talk.say(
        bytes((m.CHANNEL_OPEN,)) + text("x11") + uint32(9) + uint32(1 << 20) + uint32(1 << 15)
        + text("127.0.0.1") + uint32(6010)
    )  # fmt: skip
    channel = Reader(talk.expect(m.CHANNEL_OPEN_CONFIRMATION), 5).uint32()
    for piece in pieces:
        talk.say(bytes((m.CHANNEL_DATA,)) + uint32(channel) + string(piece))
    while True:
        if not any(p[0] in {m.CHANNEL_DATA, m.CHANNEL_CLOSE} for p in talk.peer.received):
            talk.listen()
            continue
        first = next(p for p in talk.peer.received if p[0] in {m.CHANNEL_DATA, m.CHANNEL_CLOSE})
        if first[0] == m.CHANNEL_DATA:
            talk.say(bytes((m.CHANNEL_EOF,)) + uint32(channel))
            talk.expect(m.CHANNEL_CLOSE)
        talk.say(bytes((m.CHANNEL_CLOSE,)) + uint32(channel), *ending(0))
        return Reader(first, 5).string() if first[0] == m.CHANNEL_DATA else b""


ATTACKS: dict[str, tuple[Callable[[bytes], list[bytes]], bool]] = {
    "whole, most significant byte first": (lambda c: [connection_start("B", MAGIC.encode(), c)], True),
    "whole, least significant byte first": (lambda c: [connection_start("l", MAGIC.encode(), c)], True),
    "byte by byte": (lambda c: [bytes((b,)) for b in connection_start("l", MAGIC.encode(), c)], True),
    "another cookie": (lambda c: [connection_start("l", MAGIC.encode(), bytes(len(c)))], False),
    "a longer cookie": (lambda c: [connection_start("l", MAGIC.encode(), c + c)], False),
    "no cookie": (lambda _: [connection_start("l", b"", b"")], False),
    "another order": (lambda c: [b"x" + connection_start("l", MAGIC.encode(), c)[1:]], False),
    "rubbish": (lambda _: [bytes(10000)], False),
}


ABSURD = "absurd lengths"
ATTACKS[ABSURD] = (lambda _: [b"l\0\x0b\0\0\0\xff\xff\xff\xff\0\0", bytes(10000)], False)
"""ssh waits for as much as they say."""


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=[pytest.mark.beyond_ssh] if how == ABSURD else []) for how in ATTACKS]
)
def test_first_bytes(at_display: Client, scripted: Callable[..., ScriptedServer], how: str) -> None:
    pieces, passes = ATTACKS[how]
    server = scripted(lambda talk: connected(talk, *pieces(fake_cookie(talk))))
    at_display.aim_at_port(server.port, keys=("ed25519",))
    at_display.known_hosts.write_text(server.known_hosts_line)
    done = at_display.run("-X", "box", "run")
    answer = server.result()
    assert isinstance(answer, bytes)
    assert (answer[:1] == b"\x01") is passes  # the X server's word for success
    assert (WRONG in said(done)) is not passes
    assert done.returncode == 0


def test_a_display_that_never_hangs_up_holds_up_nothing(
    client: Client, scripted: Callable[..., ScriptedServer], fake_server: Callable[..., FakeServer]
) -> None:
    done = threading.Event()

    def stay(connection: socket.socket) -> None:
        connection.sendall(connection.recv(1000)[:1])
        done.wait()

    display = fake_server(stay)
    client.environment["DISPLAY"] = f"127.0.0.1:{display.port - 6000}"
    server = scripted(lambda talk: connected(talk, connection_start("l", MAGIC.encode(), fake_cookie(talk))))
    client.aim_at_port(server.port, keys=("ed25519",))
    client.known_hosts.write_text(server.known_hosts_line)
    try:
        assert client.run("-Y", "box", "run").returncode == 0
        assert server.result() == b"l"
        assert not done.is_set()
    finally:
        done.set()
