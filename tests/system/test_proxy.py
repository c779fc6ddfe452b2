"""ProxyCommand with and without a passed descriptor, and Proxy, our own keyword for HTTP and SOCKS proxies."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import PROGRAM, STAND_IN, Client
from tests.system.conftest import OpenTerminal
from tests.system.proxies import HttpProxy, Proxy, SocksProxy
from tests.system.relays import relay_command
from tests.system.servers import FakeServer, Server, free_port, program
from tests.system.waiting import wait_until

MIB = 1 << 20


def command(text: str, pyssh: Client) -> str:
    """A ProxyCommand that is a script of these lines; `$@` is host, port, user, name and a %."""
    path = pyssh.home / "command"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"ProxyCommand {path} %h %p %r %n %%"


RELAY = f'exec {relay_command()} "$1" "$2"'


def test_a_command_carries_the_connection(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, command(RELAY, pyssh))
    data = os.urandom(4 * MIB)
    done = pyssh.run("box", "cat; exit 3", send=data)
    assert (done.returncode, done.stdout == data) == (3, True), done.stderr


def test_tokens_and_what_the_command_finds(pyssh: Client, openssh: Server) -> None:
    told = pyssh.home / "told"
    script = (
        f'{{ echo "$@"; grep SigIgn /proc/self/status; ls -l /proc/self/fd; }} >{told}\necho said >&2\n{RELAY}'
    )
    pyssh.aim(openssh, command(script, pyssh))
    done = pyssh.run("box", "exit 4")
    assert (done.returncode, done.stderr) == (4, b"said\n")
    first, ignored, *files = told.read_text().splitlines()
    assert first == f"127.0.0.1 {openssh.port} {openssh.user} box %"
    assert not int(ignored.split()[1], 16) & 1 << (signal.SIGPIPE - 1)
    # stdin, stdout (the file), stderr, and what ls itself has open: nothing of ours
    assert len([line for line in files if "->" in line]) == 4


def test_the_persons_shell_runs_it_by_exec(pyssh: Client, openssh: Server) -> None:
    shell = pyssh.home / "shell"
    shell.write_text(f'#!/bin/sh\necho "$1|$2" >{pyssh.home}/ran\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    pyssh.environment["SHELL"] = str(shell)
    line = command(RELAY, pyssh)
    pyssh.aim(openssh, line)
    assert pyssh.run("box", "exit 5").returncode == 5
    ran = (pyssh.home / "ran").read_text()
    assert ran == f"-c|exec {pyssh.home}/command 127.0.0.1 {openssh.port} {openssh.user} box %\n"


def test_no_shell(pyssh: Client, openssh: Server) -> None:
    pyssh.environment["SHELL"] = "/no/such/shell"
    pyssh.aim(openssh, "ProxyCommand cat")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"/no/such/shell: No such file or directory" in done.stderr


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("echo no way >&2; exit 3", "ended with exit status 3"),
        ("kill -9 $$", "was killed by signal 9"),
        ("exit 0", "ended with exit status 0"),
    ],
)
def test_a_command_that_fails(pyssh: Client, openssh: Server, text: str, how: str) -> None:
    pyssh.aim(openssh, command(text, pyssh))
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Connection closed by UNKNOWN port 65535" in done.stderr
    assert STAND_IN or how.encode() in done.stderr
    assert (b"no way\n" in done.stderr) == ("no way" in text)


def test_a_command_that_ends_later(pyssh: Client, openssh: Server) -> None:
    pid = pyssh.home / "pid"
    pyssh.aim(openssh, command(f"echo $$ >{pid}\n{RELAY}", pyssh))
    with pyssh.start("box", "echo up; cat") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"up\n"
        os.kill(int(pid.read_text()), signal.SIGKILL)
        assert process.wait() == 255
        assert STAND_IN or b"Connection to 127.0.0.1 closed by remote host." in process.stderr.read()


@pytest.mark.parametrize("text", [RELAY, f"(trap '' TERM; {RELAY.removeprefix('exec ')})"])
def test_the_command_ends_with_us(pyssh: Client, openssh: Server, text: str) -> None:
    pid = pyssh.home / "pid"
    pyssh.aim(openssh, command(f"echo $$ >{pid}\n{text}", pyssh))
    assert pyssh.run("box", "exit 6").returncode == 6
    running = Path(f"/proc/{int(pid.read_text())}/stat")

    def gone() -> bool:
        with contextlib.suppress(OSError):
            return running.read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    wait_until(gone, "the command to end")


def test_a_bad_token(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ProxyCommand cat %u")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"unknown key %u" in done.stderr


def test_a_silent_command_meets_the_timeout(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ProxyCommand sleep 60", "ConnectTimeout 1")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Connection timed out during banner exchange" in done.stderr
    assert b"UNKNOWN port 65535" in done.stderr


def test_the_host_is_known_by_its_name_alone(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    line = command(RELAY.replace('"$1"', "127.0.0.1"), pyssh)
    lines = (line, "HostName db.example", "CheckHostIP yes", "HostKeyAlgorithms ssh-ed25519")
    pyssh.aim(openssh, *lines, trust=False)
    screen = terminal("box", "exit 7")
    name = re.escape(f"[db.example]:{openssh.port}")
    screen.expect(rf"The authenticity of host '{name} \(<no hostip for proxy command>\)' can't be established")
    screen.expect(r"\(yes/no/\[fingerprint\]\)\? ")
    screen.send("yes\r")
    assert screen.wait() == 7
    names = {line.split()[0] for line in pyssh.known_hosts.read_text().splitlines()}
    assert names == {f"[db.example]:{openssh.port}"}


def test_a_passed_descriptor(pyssh: Client, openssh: Server) -> None:
    line = f"ProxyCommand {relay_command('--pass')} %h %p"
    pyssh.aim(openssh, line, "ProxyUseFdpass yes")
    data = os.urandom(MIB)
    done = pyssh.run("box", "cat; exit 8", send=data)
    assert (done.returncode, done.stdout == data) == (8, True), done.stderr


@pytest.mark.parametrize("text", ["exit 3", "echo"])
def test_no_descriptor_is_passed(pyssh: Client, openssh: Server, text: str) -> None:
    pyssh.aim(openssh, f"ProxyCommand sh -c '{text}'", "ProxyUseFdpass yes")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert STAND_IN or b"proxy dialer did not pass back a connection" in done.stderr


@pytest.mark.beyond_ssh
def test_a_descriptor_that_is_late(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ProxyCommand sleep 60", "ProxyUseFdpass yes", "ConnectTimeout 1")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Connection timed out: the ProxyCommand passed no descriptor back" in done.stderr


@pytest.mark.beyond_ssh  # whose session reads the same stdin
def test_our_own_stdin_and_stdout(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ProxyCommand -")
    with socket.create_connection(("127.0.0.1", openssh.port)) as far:
        with pyssh.start("box", "cat; echo lost; exit 9", stdin=far.fileno(), stdout=far.fileno()) as process:
            _, told = process.communicate(timeout=60)
        assert process.returncode == 9, told
    assert told == b""


def test_ssh_carries_pyssh(pyssh: Client, openssh: Server) -> None:
    ssh = shlex.join([program("ssh"), "-F", str(pyssh.config), "-o", "ProxyCommand=none"])
    pyssh.aim(openssh, f"ProxyCommand {ssh} -W [%h]:%p box")
    data = os.urandom(2 * MIB)
    done = pyssh.run("box", "cat; exit 10", send=data)
    assert (done.returncode, done.stdout == data) == (10, True), done.stderr


def test_pyssh_carries_ssh(pyssh: Client, openssh: Server) -> None:
    ours = shlex.join([*PROGRAM, "-F", str(pyssh.config), "-o", "ProxyCommand=none"])
    pyssh.aim(openssh, f"ProxyCommand {ours} -W [%h]:%p box")
    data = os.urandom(2 * MIB)
    done = subprocess.run(
        [program("ssh"), "-F", pyssh.config, "box", "cat; exit 11"],
        input=data,
        env={**pyssh.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout == data) == (11, True), done.stderr


# Proxy ----------------------------------------------------------------------------------------------------------

ours_alone = pytest.mark.beyond_ssh
START = Callable[..., Proxy]


@pytest.fixture
def start() -> Iterator[START]:
    """Starts a proxy of a class."""
    with contextlib.ExitStack() as opened:

        def start_one(kind: type[Proxy], *arguments: object) -> Proxy:
            made = kind(*arguments)  # type: ignore[arg-type]
            opened.callback(made.close)
            return made

        yield start_one


NAME = "db.nowhere.invalid"


def aim_at_name(pyssh: Client, server: Server, *lines: str) -> None:
    """Have "box" be a name that only the proxy knows."""
    pyssh.aim(server, *lines, f"HostName {NAME}", f"HostKeyAlias [127.0.0.1]:{server.port}", "Port 22")


@ours_alone
@pytest.mark.parametrize(
    ("scheme", "kind"), [("http", HttpProxy), ("socks5h", SocksProxy), ("SOCKS5H", SocksProxy)]
)
@pytest.mark.parametrize("login", [None, ("ann", "p:@%/ä")])
def test_the_proxy_looks_up_the_name(
    pyssh: Client, openssh: Server, start: START, scheme: str, kind: type[Proxy], login: tuple[str, str] | None
) -> None:
    proxy = start(kind, {NAME: openssh.port}, login)
    who = "ann:p%3A%40%25%2f%C3%A4@" if login else ""
    aim_at_name(pyssh, openssh)
    data = os.urandom(2 * MIB)
    flag = f"Proxy={scheme}://{who}127.0.0.1:{proxy.port}"
    done = pyssh.run("-o", flag, "box", "cat; exit 3", send=data)
    assert (done.returncode, done.stdout == data) == (3, True), done.stderr
    assert proxy.asked == [(NAME, 22)]
    talk = pyssh.run("-vvv", "-o", flag, "box", "true").stderr
    assert b"proxy 127.0.0.1" in talk
    for secret in (b"p%3A", b"p:@", b"YW5uOnA6QCU"):
        assert secret not in talk
        assert secret not in pyssh.run("-G", "-v", "-o", flag, "box").stdout


@ours_alone
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("scheme", "kind"), [("http", HttpProxy), ("socks5h", SocksProxy), ("socks5", SocksProxy)]
)
def test_an_address_is_taken_as_it_is(
    pyssh: Client, openssh: Server, start: START, scheme: str, kind: type[Proxy], host: str
) -> None:
    proxy = start(kind)
    alias = f"HostKeyAlias [127.0.0.1]:{openssh.port}"
    pyssh.aim(openssh, f"HostName {host}", alias, f"Proxy {scheme}://127.0.0.1:{proxy.port}/")
    assert pyssh.run("box", "exit 4").returncode == 4
    assert proxy.asked == [(host, openssh.port)]


@ours_alone
def test_names_are_looked_up_here_for_socks5(pyssh: Client, openssh: Server, start: START) -> None:
    proxy = start(SocksProxy)
    alias = f"HostKeyAlias [127.0.0.1]:{openssh.port}"
    lines = ("HostName localhost", alias, f"Proxy socks5://127.0.0.1:{proxy.port}", "AddressFamily inet")
    pyssh.aim(openssh, *lines)
    assert pyssh.run("box", "exit 5").returncode == 5
    assert proxy.asked == [("127.0.0.1", openssh.port)]


@ours_alone
def test_socks5_tries_address_after_address(pyssh: Client, openssh: Server, start: START) -> None:
    class Picky(SocksProxy):
        def connect(self, host: str, port: int) -> socket.socket:
            if host == "::1":
                self.asked.append((host, port))
                raise OSError
            return super().connect(host, port)

    proxy = start(Picky)
    alias = f"HostKeyAlias [127.0.0.1]:{openssh.port}"
    pyssh.aim(openssh, "HostName localhost", alias, f"Proxy socks5://127.0.0.1:{proxy.port}")
    assert pyssh.run("box", "exit 6").returncode == 6
    assert proxy.asked[-1] == ("127.0.0.1", openssh.port)


def says(page: bytes) -> type[HttpProxy]:
    """A proxy that answers with this."""
    return type("Saying", (HttpProxy,), {"page": page})


PORTAL = b"""HTTP/1.1 302 Found\r\nLocation: http://portal.example/login\x1b[2J\r\n\r\n<html><head>
<title>Welcome to the &quot;Grand&quot;
Hotel</title><style>x{}</style></head><body onload="x()">Log in</body></html>"""


@ours_alone
@pytest.mark.parametrize(
    ("page", "wanted"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", ["403 Forbidden", "does not connect to port 22", "443"]),
        (
            b"HTTP/1.1 401 Unauthorized\r\n\r\n401 Unauthorized",
            ["401 Unauthorized \\(it wants to know who asks.*\\)$"],
        ),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n<p>DNS <b>fails</b></p><script>x</script>", ["502", ": DNS fails$"]),
        (PORTAL, ["302 Found", r"portal\.example/login\\033\[2J", 'Welcome to the "Grand" Hotel$']),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", ["no HTTP proxy", "SSH-2.0-OpenSSH"]),
        (b"HTTP/1.1 2x0 Fine\r\n\r\n", ["no HTTP proxy"]),
        (b"HTTP/1.1 200 Fine\r\n" + b"X: " + b"y" * 70_000, ["no end within 65536 bytes"]),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, ["no end within 65536 bytes"]),
        (b"", ["closed the connection"]),
        (b"HTTP/1.1 200 Fi", ["closed the connection"]),
        (b"HTTP/1.1 200 Fine\r\n\r\n<html>Log in</html>\r\n", ["Connection closed by", "Log in"]),
        (b"HTTP/1.1 503 \x1b]0;x\x07\r\n\r\n", [r"503 \\033\]0;x\\007"]),
    ],
)
def test_what_an_http_proxy_may_say_instead(
    pyssh: Client, openssh: Server, start: START, page: bytes, wanted: list[str]
) -> None:
    proxy = start(says(page))
    aim_at_name(pyssh, openssh, f"Proxy http://127.0.0.1:{proxy.port}")
    done = pyssh.run("box", "true")
    told = done.stderr.decode()
    assert done.returncode == 255
    assert len(told.splitlines()) == (2 if b" 200 Fine\r\n\r\n" in page else 1), told
    assert "\x1b" not in told
    for pattern in (NAME, *wanted):
        assert re.search(pattern, told), f"{pattern!r} not in {told!r}"


@ours_alone
def test_interim_responses_are_passed_over(pyssh: Client, openssh: Server, start: START) -> None:
    class Slow(HttpProxy):
        answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + HttpProxy.answer

    proxy = start(Slow, {NAME: openssh.port})
    aim_at_name(pyssh, openssh, f"Proxy http://127.0.0.1:{proxy.port}")
    assert pyssh.run("box", "exit 7").returncode == 7


@ours_alone
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.0 200 OK\n\n", b"HTTP/1.1 200 OK\r\nX: y\n\n", b"HTTP/1.1 200\nX: y\n\r\n"]
)
def test_lines_that_end_without_a_carriage_return(
    pyssh: Client, openssh: Server, start: START, answer: bytes
) -> None:
    class Plain(HttpProxy):
        pass

    Plain.answer = answer
    proxy = start(Plain, {NAME: openssh.port})
    aim_at_name(pyssh, openssh, f"Proxy http://127.0.0.1:{proxy.port}", "ConnectTimeout 20")
    assert pyssh.run("box", "exit 7").returncode == 7


@ours_alone
@pytest.mark.parametrize("who", ["", "ann:wrong@"])
@pytest.mark.parametrize(("scheme", "kind"), [("http", HttpProxy), ("socks5h", SocksProxy)])
def test_a_proxy_that_wants_another_login(
    pyssh: Client, openssh: Server, start: START, scheme: str, kind: type[Proxy], who: str
) -> None:
    proxy = start(kind, {NAME: openssh.port}, ("ann", "right"))
    aim_at_name(pyssh, openssh, f"Proxy {scheme}://{who}127.0.0.1:{proxy.port}")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    wanted = "does not take this user and password" if who else "wants to know who asks"
    assert wanted.encode() in done.stderr
    assert b"wrong" not in done.stderr
    assert f"proxy 127.0.0.1 port {proxy.port}".encode() in done.stderr


@ours_alone
@pytest.mark.parametrize(
    ("reply", "wanted"), [(1, "general failure"), (2, "not allowed"), (5, "Connection refused"), (99, "reason 99")]
)
def test_what_a_socks_proxy_refuses(pyssh: Client, openssh: Server, start: START, reply: int, wanted: str) -> None:
    proxy = start(type("Refusing", (SocksProxy,), {"reply": reply}))
    aim_at_name(pyssh, openssh, f"Proxy socks5h://127.0.0.1:{proxy.port}")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert re.search(rf"^ssh: connect to host {NAME} port 22: proxy .*{wanted}", done.stderr.decode())


@ours_alone
@pytest.mark.parametrize("choice", [1, 2, 0xFF])
def test_a_method_that_was_not_offered(pyssh: Client, openssh: Server, start: START, choice: int) -> None:
    proxy = start(type("Strange", (SocksProxy,), {"choice": choice}))
    aim_at_name(pyssh, openssh, f"Proxy socks5h://127.0.0.1:{proxy.port}")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert len(done.stderr.splitlines()) == 1


@ours_alone
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@pytest.mark.parametrize("speaks", [b"", b"\x04\x5a", b"HTTP", b"SSH-2.0-x\r\n"])
def test_a_proxy_that_falls_silent(
    pyssh: Client, openssh: Server, fake_server: Callable[..., FakeServer], scheme: str, speaks: bytes
) -> None:
    def behave(peer: socket.socket) -> None:
        peer.sendall(speaks)
        while peer.recv(1 << 16):
            pass

    silent = fake_server(behave)
    aim_at_name(pyssh, openssh, f"Proxy {scheme}://127.0.0.1:{silent.port}", "ConnectTimeout 1")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    known = speaks and (scheme != "http" or not speaks.startswith(b"HTTP"))
    wanted = rb"no (HTTP proxy: it says|SOCKS proxy of version 5)" if known else rb"Connection timed out"
    assert re.search(wanted, done.stderr)


@ours_alone
def test_a_proxy_that_is_not_there(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    aim_at_name(pyssh, openssh, f"Proxy http://127.0.0.1:{port}")
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert f"ssh: connect to proxy 127.0.0.1 port {port}: Connection refused".encode() in done.stderr
    assert b"that the proxy runs" in done.stderr
    done = pyssh.run("-o", "Proxy=http://nowhere.invalid:1", "box", "true")
    assert b"Could not resolve hostname nowhere.invalid" in done.stderr


@ours_alone
@pytest.mark.parametrize(
    "flags", [("-o", "Proxy=none"), ("-o", "ProxyCommand=" + RELAY.replace('"$1" "$2"', "%h %p"))]
)
def test_what_comes_first_holds(pyssh: Client, openssh: Server, flags: tuple[str, str]) -> None:
    pyssh.aim(openssh, "Proxy http://nowhere.invalid:1")
    assert pyssh.run(flags[0], flags[1].replace("=exec ", "="), "box", "exit 8").returncode == 8


@ours_alone
def test_the_first_hop_begins_at_the_proxy(pyssh: Client, openssh: Server, start: START) -> None:
    proxy = start(HttpProxy, {"gate.invalid": openssh.port})
    pyssh.aim(openssh)
    text = pyssh.config.read_text()
    gate = f"Host gate\nHostName gate.invalid\nPort 2222\nUser {openssh.user}\n"
    keys = f"HostKeyAlias [127.0.0.1]:{openssh.port}\nIdentityFile {pyssh.keys.path('ed25519')}\n"
    pyssh.config.write_text(gate + keys + text)
    flag = f"Proxy=http://127.0.0.1:{proxy.port}"
    done = pyssh.run("-o", flag, "-J", "gate", "box", "exit 9")
    assert done.returncode == 9, done.stderr
    assert proxy.asked == [("gate.invalid", 2222)]
    assert pyssh.run("-J", "gate", "box", "exit 9").returncode == 255
    pyssh.config.write_text(gate + keys + flag.replace("=", " ") + "\n" + text)
    assert pyssh.run("-J", "gate", "box", "exit 9").returncode == 9
