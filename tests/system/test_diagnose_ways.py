"""`--diagnose` where the way is longer or ends early: proxies, jump hosts, what is no SSH server; forwards."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import string, uint32
from tests.system.clients import Client
from tests.system.conftest import StartServer
from tests.system.diagnosed import diagnosis, failed, identities, report, run, stages
from tests.system.proxies import HttpProxy
from tests.system.relays import relay_command, relaying
from tests.system.scripted_server import ScriptedServer, Talk, failure
from tests.system.servers import PASSPHRASE, FakeServer, KeyRing, Server, free_port
from tests.unit.peer import PeerOptions

pytestmark = pytest.mark.beyond_ssh

NEW_KEYS = bytes([0, 0, 0, 12, 10, 21])
"""How SSH_MSG_NEWKEYS looks where nothing is sealed yet: lengths of packet and padding, and its number."""

StartFake = Callable[..., FakeServer]
StartScripted = Callable[..., ScriptedServer]

# Where it ends early ---------------------------------------------------------------------------------------------


def test_a_closed_port(pyssh: Client) -> None:
    pyssh.aim_at_port(free_port())
    found = diagnosis(pyssh, "box")
    assert failed(found)["facts"]["attempts"][0]["error"] == "Connection refused"
    assert report(pyssh, "box").verdict.endswith("the SSH server runs")


def test_a_name_that_is_none(pyssh: Client) -> None:
    pyssh.aim_at_port(22, "HostName no-such-host.invalid")
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == "names"
    assert "no-such-host.invalid" in failed(found)["problem"]


def silent(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def drop(connection: socket.socket) -> None:
    """Say nothing, and hang up."""
    connection.recv(1 << 16)


def web(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def page(connection: socket.socket) -> None:
    """What an HTTP server says that takes our version line for a request of HTTP 0.9."""
    connection.recv(1 << 16)
    connection.sendall(b"<!DOCTYPE HTML>\n<html>\n<body>\n<p>Bad request.</p>\n</body>\n</html>\n")


def noise(connection: socket.socket) -> None:
    connection.sendall(bytes(range(256)) * 400)
    silent(connection)


def greeting(connection: socket.socket) -> None:
    """Say a reason in place of a version, with what could drive a terminal."""
    connection.recv(1 << 16)
    connection.sendall(b"go away \x1b]0;owned\x07\xff\r\n")


def talkative(connection: socket.socket) -> None:
    """Say something, and then no more."""
    connection.sendall(b"220 mail.example.com ESMTP\r\n")
    silent(connection)


def only_a_version(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-Quiet_1\r\n")
    silent(connection)


def version_and_noise(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-\x1b[31mLoud\r\n" + bytes(range(255, -1, -1)) * 40)
    silent(connection)


def endless(connection: socket.socket) -> None:
    """Say one line after the other, none of them a version."""
    while True:
        connection.sendall(b"wait\r\n")
        time.sleep(0.02)


@pytest.mark.parametrize(("behave", "name", "said"), [
    (silent, "version", "said nothing within 2 seconds"),
    (endless, "version", ""),
    (talkative, "version", 'within 2 seconds (it said "220 mail.example.com ESMTP")'),
    (drop, "version", "Connection closed by remote host"),
    (web, "version", "HTTP"),
    (page, "version", '"Bad request.": an HTTP server listens there'),
    (noise, "version", ""),
    (greeting, "version", r"go away \033]0;owned\007\377"),
    (only_a_version, "key_exchange", "did not finish the key exchange within 2 seconds"),
    (version_and_noise, "", ""),
], ids=lambda value: getattr(value, "__name__", ""))  # fmt: skip
def test_what_is_no_ssh_server(
    pyssh: Client, fake_server: StartFake, behave: Callable[[socket.socket], None], name: str, said: str
) -> None:
    seconds = 2 if behave in {silent, endless, talkative, only_a_version} else 60
    pyssh.aim_at_port(fake_server(behave).port, f"ConnectTimeout {seconds}")
    done = run(pyssh, "--json", "box")
    found = json.loads(done.stdout)
    assert (done.returncode, found["login"]) == (255, "no")
    assert failed(found)["name"] in ({name} if name else {"version", "key_exchange"})
    assert said in failed(found)["problem"]
    assert found["advice"]


def test_a_server_that_never_answers_about_the_user(pyssh: Client, scripted: StartScripted) -> None:
    server = scripted(Talk.until_gone, stage="login")
    pyssh.aim_at_port(server.port, "ConnectTimeout 4")
    pyssh.known_hosts.write_text(server.known_hosts_line)
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == "authentication"


def test_a_server_that_stops_answering_about_keys(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(failure("publickey"))
        talk.until_gone()

    server = scripted(script, stage="login")
    pyssh.aim_at_port(server.port, "ConnectTimeout 2", keys=("ed25519",))
    pyssh.known_hosts.write_text(server.known_hosts_line)
    found = diagnosis(pyssh, "box")
    said = stages(found)["authentication"]
    assert (said["status"], said["facts"]["limit"]) == ("warning", None)
    assert identities(found) == [("ed25519", None)]
    assert (found["login"], found["command"]) == ("no", None)
    assert "did not answer" in found["summary"]  # which says nothing against our keys
    assert "log" in found["advice"]


def test_a_server_that_lets_in_whoever_names_a_key(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(failure("publickey"))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(bytes((m.USERAUTH_SUCCESS,)))
        talk.until_gone()

    server = scripted(script, stage="login")
    pyssh.aim_at_port(server.port, keys=("ed25519",))
    pyssh.known_hosts.write_text(server.known_hosts_line)
    found = diagnosis(pyssh, "box")
    assert stages(found)["authentication"]["facts"]["open"] is True
    assert (found["login"], identities(found)) == ("yes", [("ed25519", None)])


@pytest.mark.parametrize("message", [
    failure(*(f"method-{number}" for number in range(4000))),
    bytes((m.DISCONNECT,)) + uint32(2) + string(b"\x1b]0;owned\x07 and so on, " * 2000) + string(b""),
], ids=["methods", "goodbye"])  # fmt: skip
def test_a_server_that_says_too_much(message: bytes, pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        talk.expect(m.SERVICE_REQUEST)
        talk.say(bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth"))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(message)
        talk.until_gone()

    server = scripted(script, stage="login")
    pyssh.aim_at_port(server.port)
    pyssh.known_hosts.write_text(server.known_hosts_line)
    told = report(pyssh, "box")
    assert told.status == 255
    assert len(told.text) < 8000
    assert told.verdict.startswith("No: ")


@pytest.mark.parametrize(("offered", "command"), [
    (("mlkem768x25519-sha256", "curve25519-sha256"), "-o KexAlgorithms=curve25519-sha256"),
    (("mlkem768x25519-sha256",), None),
    (("curve25519-sha256",), None),
], ids=lambda value: "-".join(value) if isinstance(value, tuple) else "")  # fmt: skip
def test_a_key_exchange_that_does_not_go_on(
    offered: tuple[str, ...], command: str | None, pyssh: Client, scripted: StartScripted
) -> None:
    """What is to be tried is something else than what has just failed, and the server can do it."""
    server = scripted(Talk.until_gone, PeerOptions(kex=offered, answers_kex=False), stage="login")
    pyssh.aim_at_port(server.port, "ConnectTimeout 2")
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == "key_exchange"
    assert found["command"] == command
    assert "MTU" in found["advice"]


@pytest.mark.parametrize(("line", "name", "said", "advice"), [
    ("RevokedHostKeys /nonexistent/list", "host_key", "/nonexistent/list", "RevokedHostKeys"),
    ("UserKnownHostsFile none", "host_key", "UserKnownHostsFile none", "UserKnownHostsFile"),
    ("UserKnownHostsFile /dev/zero", "version", "/dev/zero", "UserKnownHostsFile"),
    ("KnownHostsCommand /bin/false", "version", "/bin/false failed", "KnownHostsCommand"),
    ("VersionAddendum " + 300 * "x", "version", "VersionAddendum", "nothing to do with the server"),
])  # fmt: skip
def test_what_is_wrong_here(line: str, name: str, said: str, advice: str, pyssh: Client, openssh: Server) -> None:
    """It is not put down to the server."""
    pyssh.aim(openssh)
    pyssh.config.write_text(f"{line}\n{pyssh.config.read_text()}")
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == name
    assert said in failed(found)["problem"]
    assert "revoked by" not in failed(found)["problem"]
    assert advice in found["advice"]


def test_an_agent_that_hangs_up_is_asked_once(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    """One that says nothing would be waited for again at each host, for as long as that takes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        asked = []

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()
                    asked.append(1)

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            pyssh.aim(openssh, f"IdentityAgent {tmp_path}/agent")
            found = diagnosis(pyssh, "box")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert (found["stages"]["agent"]["status"], found["login"], len(asked)) == ("warning", "yes", 1)


def test_a_path_that_garbles_what_is_sent(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    """What comes behind the key exchange is changed: the server's first sealed packets."""

    def garble(near: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", openssh.port)) as far:
            heard = b""
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is near:
                        far.sendall(data)
                        continue
                    heard += data
                    new_keys = heard.find(NEW_KEYS)
                    if new_keys >= 0:
                        data = data[: len(data) - (len(heard) - new_keys - len(NEW_KEYS))] + bytes(64)
                    near.sendall(data)

    pyssh.aim(openssh)
    port = fake_server(garble).port
    pyssh.config.write_text(pyssh.config.read_text().replace(f"Port {openssh.port}", f"Port {port}"))
    pyssh.known_hosts.write_text(pyssh.known_hosts.read_text().replace(f":{openssh.port} ", f":{port} "))
    found = diagnosis(pyssh, "box")
    assert stages(found)["host_key"]["status"] == "ok"
    assert failed(found)["name"] == "authentication"
    assert "garbles" in found["advice"]


def test_a_server_that_names_hostile_methods(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        talk.expect(5)
        talk.say(b"\x06\0\0\0\x0cssh-userauth")
        talk.expect(50)
        talk.say(failure("publickey", "\x1b[31mred"))
        talk.until_gone()

    server = scripted(script, PeerOptions(), stage="login")
    pyssh.aim_at_port(server.port, "ConnectTimeout 60")
    pyssh.known_hosts.write_text(server.known_hosts_line)
    told = report(pyssh, "box")  # which is clean
    assert told.status == 255


# Other ways there ------------------------------------------------------------------------------------------------


def block(name: str, server: Server, key: Path, *lines: str) -> str:
    """The part of a configuration in which `name` is a server."""
    settings = (
        *lines, "HostName 127.0.0.1", f"Port {server.port}", f"User {server.user}", f"IdentityFile {key}",
        "IdentitiesOnly yes",
    )  # fmt: skip
    return "".join(f"{line}\n" for line in (f"Host {name}", *settings))


def add_jump(pyssh: Client, server: Server, *lines: str, key: Path | None = None, trust: bool = True) -> None:
    """Let "gate" be this server, in front of what `aim` has written."""
    text = block("gate", server, key or pyssh.keys.path("ed25519"), *lines)
    pyssh.config.write_text(text + pyssh.config.read_text())
    if trust:
        known = "".join(f"[127.0.0.1]:{server.port} {line}\n" for line in server.host_keys)
        pyssh.known_hosts.write_text(pyssh.known_hosts.read_text() + known)


def test_through_a_jump_host(pyssh: Client, openssh: Server, sshd: StartServer, tmp_path: Path) -> None:
    gate = sshd()
    command = f"touch {tmp_path}/ran"
    pyssh.aim(openssh, f"LocalCommand {command}", "PermitLocalCommand yes")
    add_jump(pyssh, gate, "UpdateHostKeys yes", f"LocalCommand {command}", "PermitLocalCommand yes")
    # The gate has more keys than are known of it: a login there would learn them.
    lines = pyssh.known_hosts.read_text().splitlines(keepends=True)
    pyssh.known_hosts.write_text("".join(lines[: -len(gate.host_keys) + 1]))
    before = openssh.log_text()
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert found["login"] == "yes"
    assert [(hop["role"], hop["name"]) for hop in found["hops"]] == [("jump", "gate"), ("destination", "box")]
    assert stages(found, 0)["authentication"]["facts"]["identities"][0]["answer"] == "logged in"
    assert stages(found)["reach"]["facts"] == {"by": "jump", "through": "gate", "attempts": []}
    assert "names" not in stages(found)  # the gate looks it up
    assert "Accepted publickey" in gate.log_text()
    assert "Accepted publickey" not in openssh.log_text()[len(before) :]
    assert not (tmp_path / "ran").exists()


def test_little_patience_behind_a_jump_host(
    pyssh: Client, sshd: StartServer, openssh: Server, strange_keys: KeyRing
) -> None:
    """The rest of the keys is asked about on another channel."""
    pyssh.aim(sshd("MaxAuthTries 1"), keys=[strange_keys.path("ed25519"), "ed25519"])
    add_jump(pyssh, openssh)
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert identities(found) == [("ed25519", "refused"), ("ed25519", "accepted")]
    assert stages(found)["authentication"]["facts"]["connections"] == 2


def test_a_jump_host_that_does_not_forward(pyssh: Client, openssh: Server, sshd: StartServer) -> None:
    pyssh.aim(openssh)
    add_jump(pyssh, sshd("AllowTcpForwarding no"))
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert failed(found)["name"] == "reach"
    assert "AllowTcpForwarding" in found["advice"]
    assert "at box" in report(pyssh, "-J", "gate", "box").verdict


def test_a_jump_host_that_cannot_connect(pyssh: Client, openssh: Server, sshd: StartServer) -> None:
    pyssh.aim(openssh)
    add_jump(pyssh, sshd())
    found = diagnosis(pyssh, "-J", "gate", "-p", str(free_port()), "box")
    assert failed(found)["name"] == "reach"
    assert "gate cannot connect to 127.0.0.1" in failed(found)["problem"]


def test_a_jump_host_that_goes_away(pyssh: Client, openssh: Server, scripted: StartScripted) -> None:
    """It is not waited for."""

    def script(talk: Talk) -> None:
        talk.let_in()
        talk.expect(m.CHANNEL_OPEN)

    gate = scripted(script, stage="login")
    pyssh.aim(openssh, "ConnectTimeout 600")
    text = f"Host gate\nHostName 127.0.0.1\nPort {gate.port}\nUser nobody\n{pyssh.config.read_text()}"
    pyssh.config.write_text(text)
    pyssh.known_hosts.write_text(pyssh.known_hosts.read_text() + gate.known_hosts_line)
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert failed(found)["name"] == "reach"
    assert "gate closed the connection" in failed(found)["problem"]


def test_a_jump_host_that_asks(pyssh: Client, openssh: Server, sshd: StartServer, strange_keys: KeyRing) -> None:
    pyssh.aim(openssh)
    plain = pyssh.config.read_text()
    add_jump(pyssh, sshd(), key=strange_keys.path("ed25519"))
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert (found["login"], stages(found)["authentication"]["status"]) == ("perhaps", "asks")
    assert [hop["name"] for hop in found["hops"]] == ["gate"]
    assert "nothing is known" in report(pyssh, "-J", "gate", "box").verdict
    pyssh.config.write_text(plain)
    add_jump(pyssh, sshd(), "BatchMode yes", key=strange_keys.path("ed25519"))
    assert failed(diagnosis(pyssh, "-J", "gate", "box"))["name"] == "authentication"


def test_a_jump_host_that_wants_a_passphrase(pyssh: Client, openssh: Server, sshd: StartServer) -> None:
    path = pyssh.keys.variant("ed25519", "ed25519-for-a-gate", passphrase=PASSPHRASE)
    pyssh.aim(openssh)
    add_jump(pyssh, sshd(), key=path)
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert (found["login"], found["command"]) == ("perhaps", f"ssh-add {path}")


def test_a_jump_host_that_is_not_known(pyssh: Client, openssh: Server, sshd: StartServer) -> None:
    pyssh.aim(openssh)
    add_jump(pyssh, sshd(), trust=False)
    found = diagnosis(pyssh, "-J", "gate", "box")
    assert (found["login"], stages(found)["host_key"]["status"]) == ("perhaps", "asks")


def test_a_proxy_command(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    pyssh.aim(openssh, f"ProxyCommand sh -c 'echo %h %p >> {noted}; exec {relay_command()} %h %p'")
    found = diagnosis(pyssh, "box")
    assert found["login"] == "yes"
    assert stages(found)["reach"]["facts"]["by"] == "command"
    assert noted.read_text() == f"127.0.0.1 {openssh.port}\n"  # once, as a login would


def test_a_proxy_command_that_needs_our_stdout(pyssh: Client, openssh: Server) -> None:
    """The report goes there, and it can only be one of the two."""
    pyssh.aim(openssh, "ProxyCommand -")
    found = diagnosis(pyssh, "box")
    assert (found["login"], stages(found)["reach"]["status"]) == ("perhaps", "asks")
    assert "stdout" in found["summary"]


def test_a_proxy_command_that_fails(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "ProxyCommand sh -c 'exit 3' %h")
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == "version"
    assert "status 3" in failed(found)["problem"]
    assert found["command"] == "sh -c 'exit 3' 127.0.0.1"


def test_a_proxy(pyssh: Client, openssh: Server) -> None:
    proxy = HttpProxy()
    try:
        pyssh.aim(openssh, f"Proxy http://127.0.0.1:{proxy.port}")
        found = diagnosis(pyssh, "box")
        assert (found["login"], stages(found)["reach"]["facts"]["by"]) == ("yes", "proxy")
        assert proxy.asked == [("127.0.0.1", openssh.port)]
    finally:
        proxy.close()
    assert failed(diagnosis(pyssh, "box"))["name"] == "reach"


def test_match_exec_runs_as_in_a_login(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    text = pyssh.config.read_text()
    runs = []
    for words in (("box", "true"), ("--diagnose", "box", "true")):
        noted = tmp_path / words[0].strip("-")
        pyssh.config.write_text(f'Match exec "echo %n %h %r >> {noted}"\nUser {openssh.user}\n{text}')
        assert pyssh.run(*words).returncode == 0
        runs.append(noted.read_text())
    assert runs[0] == runs[1]


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_the_first_address_refuses(pyssh: Client, openssh: Server) -> None:
    with relaying(openssh.port, "127.0.0.1") as port:
        pyssh.aim(openssh, "HostName localhost", f"Port {port}", f"HostKeyAlias [127.0.0.1]:{openssh.port}")
        reached = stages(diagnosis(pyssh, "box"))["reach"]
    tried = {each["address"]: each for each in reached["facts"]["attempts"]}
    assert tried["127.0.0.1"]["used"]
    if "::1" in tried:
        assert tried["::1"]["error"]
        assert reached["status"] == ("warning" if next(iter(tried)) == "::1" else "ok")


# Forwards --------------------------------------------------------------------------------------------------------


def test_forwards(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    free = free_port()
    words = ("-L", f"127.0.0.1:{openssh.port}:web:80", "-L", f"{tmp_path}/socket:web:80", "-D", str(free))
    found = diagnosis(pyssh, *words, "-R", "0:db:5432", "box")
    listed = found["stages"]["forwards"]["facts"]["forwards"]
    assert [(each["kind"], each["possible"]) for each in listed] == [
        ("local", False), ("local", True), ("dynamic", True), ("remote", None),
    ]  # fmt: skip
    assert "Address already in use" in listed[0]["problem"]
    assert (found["stages"]["forwards"]["status"], found["login"]) == ("warning", "yes")
    assert not (tmp_path / "socket").exists()
    strict = diagnosis(pyssh, "-oExitOnForwardFailure=yes", *words, "box")
    assert (strict["stages"]["forwards"]["status"], strict["login"]) == ("failed", "no")


def test_a_port_that_is_taken_at_one_address_only(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    stage = diagnosis(pyssh, "-L", f"{openssh.port}:web:80", "box")["stages"]["forwards"]
    (forward,) = stage["facts"]["forwards"]
    assert stage["status"] == "warning"
    assert "127.0.0.1" in forward["problem"]
