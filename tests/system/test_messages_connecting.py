"""What a failure before the login says, from the name that is not found to the host that is not known: ssh's line,
and behind it what may be done."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.messages import as_ssh, change, says
from tests.system.namespaces import POSSIBLE, SERVER, Namespaces, NarrowPath
from tests.system.servers import FakeServer, KeyRing, Park, Server, fingerprint, free_port
from tests.system.test_bad_input import drain, kexinit, packet, read_line
from tests.system.waiting import wait_until
from tests.unit.keygen import certify

StartFake = Callable[[Callable[[socket.socket], None]], FakeServer]

pytestmark = pytest.mark.beyond_ssh
has_namespaces = pytest.mark.skipif(not POSSIBLE, reason="no network namespaces with veth devices here")


def run_in(client: Client, argv: list[str], *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run the client by another program, such as one that changes the network namespace."""
    with client.start(*words, argv=argv) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


# Names and addresses ---------------------------------------------------------------------------------------------


def test_a_name_that_nobody_knows(pyssh: Client) -> None:
    pyssh.aim_at_port(22)
    done = as_ssh(pyssh, "-o", "HostName=no-such-host.invalid", "box", "true")
    told = done.stderr.decode()
    assert told.startswith("ssh: Could not resolve hostname no-such-host.invalid: ")
    assert "(check the spelling, and HostName in the configuration)" in told or "(no name server answers" in told


@pytest.mark.parametrize(
    "environment", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["colour", "NO_COLOR", "dumb"]
)
def test_what_to_do_stands_out_on_a_terminal(
    pyssh: Client, terminal: OpenTerminal, environment: dict[str, str]
) -> None:
    pyssh.aim_at_port(free_port())
    pyssh.environment.update(environment)
    shown = terminal("box", "true")
    assert shown.wait() == 255
    told = shown.said
    before, _, hint = told.decode().partition("Connection refused ")
    assert "\x1b" not in before
    assert hint.startswith("(" if environment else "\x1b[1m(")
    assert hint.rstrip().endswith(")" if environment else ")\x1b[0m")


def test_an_address_of_another_family(pyssh: Client) -> None:
    pyssh.aim_at_port(22)
    done = as_ssh(pyssh, "-6", "-o", "HostName=127.0.0.1", "box", "true")
    says(
        done,
        "ssh: Could not resolve hostname 127.0.0.1: Address family for hostname not supported",
        "check -4, -6 and AddressFamily",
    )


@has_namespaces
def test_a_network_without_name_servers_and_routes(pyssh: Client) -> None:
    spaces = Namespaces("alone")
    try:
        pyssh.aim_at_port(22)
        alone = spaces.argv("alone")
        done = run_in(pyssh, alone, "-o", "HostName=host.example", "box", "true")
        line = "ssh: Could not resolve hostname host.example: Temporary failure in name resolution"
        says(done, line, "no name server answers")
        routes = {
            "192.0.2.1": ("Network is unreachable", "this machine has no route there"),
            "fe80::1": ("Invalid argument", "fe80::1%eth0"),
        }
        spaces.ip("alone", "route", "add", "prohibit", "198.51.100.1")
        routes["198.51.100.1"] = ("Permission denied", "this machine forbids it")
        spaces.ip("alone", "route", "add", "unreachable", "198.51.100.2")
        routes["198.51.100.2"] = ("No route to host", "the route to it")
        for address, (why, hint) in routes.items():
            done = run_in(pyssh, alone, "-o", f"HostName={address}", "box", "true")
            says(done, f"ssh: connect to host {address} port 22: {why}", hint)
    finally:
        spaces.close()


@has_namespaces
def test_a_machine_that_does_not_answer(pyssh: Client) -> None:
    spaces = Namespaces("here", "there")
    try:
        spaces.join("here", "10.83.30.1", "there", "10.83.30.2")
        spaces.ip("there", "route", "add", "blackhole", "10.83.30.1")  # it hears us, and no answer leaves
        pyssh.aim_at_port(22)
        words = ("-o", "ConnectTimeout=1", "-o", "HostName=10.83.30.2", "box", "true")
        done = run_in(pyssh, spaces.argv("here"), *words)
        says(done, "ssh: connect to host 10.83.30.2 port 22: Connection timed out", "no answer", "firewall")
    finally:
        spaces.close()


def test_a_closed_port(pyssh: Client) -> None:
    port = free_port()
    pyssh.aim_at_port(port)
    done = as_ssh(pyssh, "box", "true")
    says(done, f"ssh: connect to host 127.0.0.1 port {port}: Connection refused", "nothing listens there")


def test_an_interface_that_is_not_there(pyssh: Client) -> None:
    port = free_port()
    pyssh.aim_at_port(port)
    done = pyssh.run("-B", "no-such", "box", "true")
    says(done, f"ssh: connect to host 127.0.0.1 port {port}: No such device", "check -B and BindInterface")


def test_quiet_is_quiet(pyssh: Client) -> None:
    pyssh.aim_at_port(free_port())
    done = as_ssh(pyssh, "-q", "box", "true")
    assert (done.returncode, done.stderr) == (255, b"")


# Before the version ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (b"", "it may refuse us, or be too busy: see its log"),
        (b"Exceeded MaxStartups\r\n", 'it said "Exceeded MaxStartups": too many are logging in'),
        (b"Not allowed at this time\r\n", "PerSourcePenalties"),
        (b"go \x1b[31maway\r\n", 'it said "go \\033[31maway"'),
    ],
)
def test_hung_up_on_before_the_version(pyssh: Client, fake_server: StartFake, said: bytes, hint: str) -> None:
    def close(peer: socket.socket) -> None:
        read_line(peer)
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        drain(peer)

    port = fake_server(close).port
    pyssh.aim_at_port(port)
    done = as_ssh(pyssh, "box", "true")
    says(done, "kex_exchange_identification: Connection closed by remote host")
    says(done, f"Connection closed by 127.0.0.1 port {port}", hint)
    assert b"\x1b" not in done.stderr


def test_more_logins_than_sshd_takes_at_once(pyssh: Client, sshd: StartServer) -> None:
    server = sshd()
    change(server, "MaxStartups 100:30:200", "MaxStartups 1:100:1")
    pyssh.aim(server)
    with contextlib.ExitStack() as held:

        def takes_one() -> bool:  # the last to ask may still count
            place = ("127.0.0.1", server.port)
            return held.enter_context(socket.create_connection(place)).recv(4) == b"SSH-"

        wait_until(takes_one, "sshd to take somebody")
        done = pyssh.run("box", "true")
    assert done.returncode == 255
    told = done.stderr.decode()
    assert told.startswith("kex_exchange_identification: ")
    # What it says may be lost, for it resets the connection.
    assert f" by 127.0.0.1 port {server.port} (" in told
    assert 'it said "Exceeded MaxStartups": too many' in told or "too busy" in told


def test_a_reset(pyssh: Client, fake_server: StartFake) -> None:
    def reset(peer: socket.socket) -> None:
        peer.recv(1, socket.MSG_PEEK)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    port = fake_server(reset).port
    pyssh.aim_at_port(port)
    done = as_ssh(pyssh, "box", "true")
    says(done, "kex_exchange_identification: read: Connection reset by peer")
    says(done, f"Connection reset by 127.0.0.1 port {port}", "it may refuse us")


def test_a_web_server(pyssh: Client, fake_server: StartFake) -> None:
    def web(peer: socket.socket) -> None:
        read_line(peer)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        drain(peer)

    port = fake_server(web).port
    pyssh.aim_at_port(port)
    line = f"banner exchange: Connection to 127.0.0.1 port {port}: invalid format"
    says(pyssh.run("box", "true"), line, "answers in HTTP")


@pytest.mark.parametrize("alert", ["15030300020246", "1503010002020a"])
def test_a_server_of_tls(pyssh: Client, fake_server: StartFake, alert: str) -> None:
    def secure(peer: socket.socket) -> None:
        read_line(peer)
        peer.sendall(bytes.fromhex(alert))  # "protocol version", or "unexpected message", whose code is a newline
        drain(peer)

    port = fake_server(secure).port
    pyssh.aim_at_port(port)
    line = f"banner exchange: Connection to 127.0.0.1 port {port}: invalid format"
    says(as_ssh(pyssh, "box", "true", passing=("kex_exchange_identification: ",)), line, "answers in TLS")


def test_a_server_that_says_nothing(pyssh: Client, fake_server: StartFake) -> None:
    port = fake_server(drain).port
    pyssh.aim_at_port(port)
    done = as_ssh(pyssh, "-o", "ConnectTimeout=1", "box", "true")
    says(done, "Connection timed out during banner exchange")
    says(done, f"Connection to 127.0.0.1 port {port} timed out", "no SSH server")


# The key exchange ------------------------------------------------------------------------------------------------


def test_a_server_that_stops_after_its_version(pyssh: Client, fake_server: StartFake) -> None:
    def stop(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-stopped\r\n")
        drain(peer)

    port = fake_server(stop).port
    pyssh.aim_at_port(port, "ConnectTimeout 1")
    says(pyssh.run("box", "true"), f"Connection to 127.0.0.1 port {port} timed out", "its version has come", "MTU")


@has_namespaces
def test_a_path_that_swallows_large_packets(pyssh: Client, park: Park, tmp_path: Path) -> None:
    path = NarrowPath(tmp_path, park.host_keys.path("ed25519"))
    try:
        pyssh.aim_at_port(22)
        words = ("-o", "ConnectTimeout=4", "-o", f"HostName={SERVER}", "box", "true")
        done = run_in(pyssh, path.argv, *words)
        says(done, "Connection timed out during key exchange")
        says(done, f"Connection to {SERVER} port 22 timed out", "up to 1500 bytes are not acknowledged", "MTU")
    finally:
        path.close()


def test_hung_up_on_in_the_key_exchange(pyssh: Client, fake_server: StartFake) -> None:
    def close(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-unkind\r\n")
        read_line(peer)
        peer.shutdown(socket.SHUT_WR)
        drain(peer)

    port = fake_server(close).port
    pyssh.aim_at_port(port)
    done = as_ssh(pyssh, "box", "true")
    says(done, f"Connection closed by 127.0.0.1 port {port}", "in the key exchange")


@pytest.mark.parametrize(
    ("lines", "what", "option", "price"),
    [
        (("KexAlgorithms diffie-hellman-group14-sha1",), "key exchange method", "KexAlgorithms", "SHA-1 is weak"),
        (("KexAlgorithms diffie-hellman-group1-sha1",), "key exchange method", "KexAlgorithms", "1024 bits"),
        (("HostKeyAlgorithms ssh-rsa",), "host key type", "HostKeyAlgorithms", "SHA-1 is weak"),
        (("Ciphers aes256-cbc",), "cipher", "Ciphers", "CBC is weaker"),
        (("Ciphers 3des-cbc",), "cipher", "Ciphers", "3DES is weak"),
        (("Ciphers aes128-ctr", "MACs hmac-md5"), "MAC", "MACs", "MD5 is weak"),
    ],
)
def test_an_old_server(
    pyssh: Client, sshd: StartServer, lines: tuple[str, ...], what: str, option: str, price: str
) -> None:
    server = sshd(*lines)
    pyssh.aim(server)
    name = lines[-1].split()[1]
    done = as_ssh(pyssh, "box", "true")
    line = f"Unable to negotiate with 127.0.0.1 port {server.port}: no matching {what} found. Their offer: {name}"
    told = next(one for one in done.stderr.decode().splitlines() if one.startswith(line))
    assert told.endswith(": better update the server)")
    assert f" (-o {option}=+{name} allows it; but {price}" in told
    # What it proposes works.
    assert pyssh.run("-o", f"{option}=+{name}", "box", "echo in").stdout == b"in\n"


def test_what_the_configuration_leaves_out_has_no_price(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("Ciphers aes128-ctr"))
    done = pyssh.run("-c", "aes256-ctr", "box", "true")
    assert done.stderr.decode().endswith("Their offer: aes128-ctr (-o Ciphers=+aes128-ctr allows it)\n")


def test_a_server_that_has_nothing_of_ours(pyssh: Client, fake_server: StartFake) -> None:
    def offer(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-strange\r\n" + kexinit(cipher="strange-one"))
        drain(peer)

    pyssh.aim_at_port(fake_server(offer).port)
    assert b"Their offer: strange-one (pyssh has none of these" in pyssh.run("box", "true").stderr


def test_a_server_that_takes_its_leave(pyssh: Client, fake_server: StartFake) -> None:
    def leave(peer: socket.socket) -> None:
        words = b"the machine goes down"
        peer.sendall(
            b"SSH-2.0-leaving\r\n" + packet(b"\x01" + struct.pack(">II", 7, len(words)) + words + bytes(4))
        )
        drain(peer)

    port = fake_server(leave).port
    pyssh.aim_at_port(port)
    done = as_ssh(pyssh, "box", "true", passing=("Disconnected from",))
    says(done, f"Received disconnect from 127.0.0.1 port {port}:7: the machine goes down")


# Proxies and jump hosts ------------------------------------------------------------------------------------------


GONE = (
    "banner exchange: Connection to UNKNOWN port 65535: ",
    "kex_exchange_identification: ",
    "Connection closed by UNKNOWN",
)
"""What ssh says when its ProxyCommand has ended: whichever it sees first."""

AFTER = (*GONE, "Permission denied, please")
"""What ssh says besides when the ssh that it jumps by has failed."""


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("/nonexistent/nc %h %p", "exit status 127: there is no such program"),
        ("false", "ended with exit status 1)"),
        ("kill -TERM $$", "was killed by signal 15"),
    ],
)
def test_a_proxy_command_that_dies(pyssh: Client, openssh: Server, command: str, hint: str) -> None:
    pyssh.environment["SHELL"] = "/bin/sh"
    pyssh.aim(openssh)
    command = f"sh -c '{command}'" if "kill" in command else command
    done = as_ssh(pyssh, "-o", f"ProxyCommand={command}", "box", "true", passing=GONE)
    says(done, "kex_exchange_identification: Connection closed by remote host")
    says(done, "Connection closed by UNKNOWN port 65535", hint)


def aim_over(client: Client, hop: Server, *lines: str, hop_lines: tuple[str, ...] = ()) -> None:
    """A configuration in which "box" is behind the jump host "gate"; the host's address is nobody's name."""
    client.known_hosts.write_text("".join(f"[127.0.0.1]:{hop.port} {key}\n" for key in hop.host_keys))
    common = [f"User {hop.user}", f"IdentityFile {client.keys.path('ed25519')}", "IdentitiesOnly yes"]
    files = [f"UserKnownHostsFile {client.known_hosts}", "GlobalKnownHostsFile /dev/null"]
    quiet = ["IgnoreUnknown WarnWeakCrypto", "WarnWeakCrypto no"]
    text = ["Host gate", *hop_lines, "HostName 127.0.0.1", f"Port {hop.port}"]
    text += ["Host box", *lines, "HostName 127.0.0.1", f"Port {hop.port}", "ProxyJump gate"]
    client.config.write_text("\n".join([*text, "Host *", *common, *files, *quiet]) + "\n")
    client.config.chmod(0o600)


def test_a_jump_host_that_is_not_there(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    aim_over(pyssh, openssh, hop_lines=(f"Port {port}",))
    done = as_ssh(pyssh, "box", "true", passing=AFTER)
    line = says(done, f"ssh: connect to host 127.0.0.1 port {port}: Connection refused", "nothing listens")
    assert line.endswith("(on the way, at gate)")
    aim_over(pyssh, openssh, hop_lines=("HostName no-such-gate.invalid",))
    done = as_ssh(pyssh, "box", "true", passing=AFTER)
    assert b"Could not resolve hostname no-such-gate.invalid" in done.stderr
    assert done.stderr.endswith(b"(on the way, at gate)\n")


def test_a_jump_host_that_does_not_let_us_in(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    lines = (f"IdentityFile {strange_keys.path('ed25519')}", "PasswordAuthentication no")
    aim_over(pyssh, openssh, hop_lines=lines)
    text = pyssh.config.read_text().replace(f"\nIdentityFile {pyssh.keys.path('ed25519')}", "")
    pyssh.config.write_text(text)
    done = as_ssh(pyssh, "box", "true", passing=AFTER)
    line = says(done, f"{openssh.user}@127.0.0.1: Permission denied (publickey,password).")
    assert line.endswith(" (on the way, at gate)")


def test_a_jump_host_that_is_not_known(pyssh: Client, openssh: Server) -> None:
    aim_over(pyssh, openssh)
    pyssh.known_hosts.write_text("")
    done = as_ssh(pyssh, "-o", "BatchMode=yes", "box", "true", passing=AFTER)
    assert b"(no terminal)" in done.stderr or b"(BatchMode)" in done.stderr
    says(done, "Host key verification failed.", "on the way, at gate")


@pytest.mark.parametrize(
    ("target", "why"), [("no-such-box.invalid", "Name or service not known"), ("127.0.0.1", "Connection refused")]
)
def test_a_target_that_the_jump_host_cannot_reach(pyssh: Client, openssh: Server, target: str, why: str) -> None:
    port = free_port()
    aim_over(pyssh, openssh, f"HostName {target}", f"Port {port}")
    done = as_ssh(pyssh, "box", "true", passing=AFTER)
    says(done, f"channel 0: open failed: connect failed: {why}")
    says(done, "stdio forwarding failed", f"gate cannot connect to {target} port {port}, which it looks up")


def test_a_target_that_says_nothing_behind_a_jump_host(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    port = fake_server(drain).port
    aim_over(pyssh, openssh, f"Port {port}", "ConnectTimeout 4")
    done = pyssh.run("box", "true")
    says(done, "Connection timed out during banner exchange")
    says(done, f"Connection to 127.0.0.1 port {port} by way of gate timed out", "no SSH server")


# The host's key --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [True, False])
def test_an_unknown_host_and_nobody_to_ask(pyssh: Client, openssh: Server, batch: bool) -> None:
    pyssh.aim(openssh, trust=False)
    words = ("-o", "BatchMode=yes") if batch else ()
    done = as_ssh(pyssh, *words, "box", "true")
    why = "BatchMode" if batch else "no terminal"
    shown = next(fingerprint(key) for key in openssh.host_keys if key.startswith("ssh-ed25519"))
    assert done.stderr.decode().splitlines() == [
        f"No ED25519 host key is known for [127.0.0.1]:{openssh.port}, and nobody can be asked ({why}).",
        f"It shows {shown}:",
        "connect once on a terminal and compare that, or let StrictHostKeyChecking accept-new take it unseen.",
        "Host key verification failed.",
    ]


def test_a_person_who_says_no_is_told_nothing_more(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh, trust=False)
    shown = terminal("box", "true")
    shown.expect(r"\(yes/no/\[fingerprint\]\)\? ")
    shown.send("no\n")
    assert shown.wait() == 255
    assert shown.seen.endswith(b"? no\r\nHost key verification failed.\r\n")


def test_strict_checking_shows_the_fingerprint(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, trust=False)
    done = as_ssh(pyssh, "-o", "StrictHostKeyChecking=yes", "box", "true")
    line = f"No ED25519 host key is known for [127.0.0.1]:{openssh.port} and you have requested strict checking."
    says(done, line, "the host shows SHA256:")


def test_a_changed_key_names_the_line_and_what_removes_it(
    pyssh: Client, openssh: Server, strange_keys: KeyRing
) -> None:
    pyssh.aim(openssh, trust=False)
    name = f"[127.0.0.1]:{openssh.port}"
    pyssh.known_hosts.write_text(f"# a comment\n{name} {strange_keys.public('ed25519')}\n")
    done = as_ssh(
        pyssh, "box", "true", passing=("Someone could", "It is also", "Please contact", "  remove with:")
    )
    told = done.stderr.decode()
    assert "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!" in told
    assert f"Offending ED25519 key in {pyssh.known_hosts}:2\n" in told
    command = f'ssh-keygen -f "{pyssh.known_hosts}" -R "{name}"'
    assert f"  {command}\n" in told
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert pyssh.known_hosts.read_text() == "# a comment\n"
    assert pyssh.run("-o", "StrictHostKeyChecking=accept-new", "box", "echo in").stdout == b"in\n"


@pytest.mark.parametrize(
    ("options", "reason", "hints"),
    [
        (
            ("-n", "127.0.0.1", "-V", "20200101:20200102"),
            "Certificate invalid: expired",
            ("to 2020-01-02T", "renewed"),
        ),
        (
            ("-n", "127.0.0.1", "-V", "20900101:20910102"),
            "Certificate invalid: not yet valid",
            ("2090-01-01T", "wait"),
        ),
        (
            ("-n", "one.example,two.example"),
            "Certificate invalid: name is not a listed principal",
            ("it is for one.example, two.example, not for 127.0.0.1",),
        ),
    ],
)
def test_a_host_certificate_that_does_not_hold(
    pyssh: Client,
    own_park: Park,
    strange_keys: KeyRing,
    tmp_path: Path,
    options: tuple[str, ...],
    reason: str,
    hints: tuple[str, ...],
) -> None:
    shutil.copy(f"{own_park.host_keys.path('ed25519')}.pub", tmp_path / "host.pub")
    certify(strange_keys.path("ed25519"), tmp_path / "host", "-h", *options)
    server = own_park.openssh(f"HostCertificate {tmp_path / 'host-cert.pub'}", host_keys=("ed25519",))
    pyssh.aim(server, "BatchMode yes", trust=False)
    pyssh.known_hosts.write_text(f"@cert-authority * {strange_keys.public('ed25519')}\n")
    done = pyssh.run("box", "true")
    line = says(done, reason, *hints)
    assert ("the clock here says 20" in line) == ("-V" in options)
    says(done, "Host key verification failed.")


def test_a_revoked_key_names_the_line(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, trust=False)
    pyssh.known_hosts.write_text("".join(f"@revoked * {key}\n" for key in openssh.host_keys))
    done = as_ssh(pyssh, "box", "true", passing=("This could mean", "impersonate"))
    assert f"Revoked by {pyssh.known_hosts}:1\n" in done.stderr.decode()
