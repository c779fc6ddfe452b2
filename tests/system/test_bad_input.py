"""What goes wrong is told in one line on stderr that says what and where, with exit code 255."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.servers import FakeServer, Park, Server, free_port
from tests.system.waiting import wait_until

StartFake = Callable[[Callable[[socket.socket], None]], FakeServer]

LINES = 2
"""It sometimes takes a second line to say that the connection is closed."""


def refused(done: subprocess.CompletedProcess[bytes], *wanted: str) -> None:
    """Check that the client failed as it should, in a line that matches all these patterns."""
    told = done.stderr.decode()
    assert done.returncode == 255, told
    assert done.stdout == b""
    assert 1 <= len(told.splitlines()) <= LINES, told
    assert "Traceback" not in told
    for pattern in wanted:
        assert re.search(pattern, told, re.IGNORECASE), f"{pattern!r} not in {told!r}"


def read_line(peer: socket.socket) -> bytes:
    """The client's version line."""
    line = b""
    while not line.endswith(b"\n"):
        piece = peer.recv(1)
        if not piece:
            raise ConnectionResetError
        line += piece
    return line


def drain(peer: socket.socket) -> None:
    """Read until the client has gone."""
    while peer.recv(65536):
        pass


def packet(payload: bytes) -> bytes:
    """The payload in an unencrypted binary packet."""
    padding = 16 - (len(payload) + 5) % 8
    return struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)


def kexinit(**changes: str) -> bytes:
    """A KEXINIT that agrees with any client, but for `changes`."""
    lists = {
        "kex": "curve25519-sha256",
        "host_key": "ssh-ed25519",
        "cipher": "aes128-ctr",
        "mac": "hmac-sha2-256",
        "compression": "none",
    } | changes
    order = ["kex", "host_key", "cipher", "cipher", "mac", "mac", "compression", "compression"]
    names = [lists[name].encode() for name in order] + [b"", b""]
    body = b"".join(struct.pack(">I", len(name)) + name for name in names)
    return packet(b"\x14" + bytes(16) + body + b"\0" + bytes(4))


def test_host_that_does_not_exist(pyssh: Client) -> None:
    pyssh.aim_at_port(22)
    refused(pyssh.run("no-such-host.invalid", "true"), "Could not resolve hostname", "no-such-host.invalid")


def test_port_where_nobody_listens(pyssh: Client) -> None:
    port = free_port()
    pyssh.aim_at_port(port)
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1", f"port {port}", "Connection refused")


def test_connect_timeout_covers_connecting(pyssh: Client) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # a full backlog lets nobody else connect
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        pyssh.aim_at_port(port, "ConnectTimeout 1")
        refused(pyssh.run("box", "true"), r"127\.0\.0\.1", f"port {port}", "timed out")
        for one in waiting:
            one.close()


def test_connect_timeout_covers_the_version_exchange(pyssh: Client, fake_server: StartFake) -> None:
    port = fake_server(drain).port
    pyssh.aim_at_port(port, "ConnectTimeout 1")
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1", f"port {port}", "timed out")


@pytest.mark.beyond_ssh
def test_connect_timeout_covers_the_key_exchange(pyssh: Client, fake_server: StartFake) -> None:
    def stop_after_kexinit(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-stopped\r\n" + kexinit())
        drain(peer)

    port = fake_server(stop_after_kexinit).port
    pyssh.aim_at_port(port, "ConnectTimeout 1")
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1", f"port {port}", "timed out")


def test_peer_that_closes_at_once(pyssh: Client, fake_server: StartFake) -> None:
    fake = fake_server(lambda peer: None)
    pyssh.aim_at_port(fake.port)
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1", "closed|reset")


def test_peer_that_resets_the_connection(pyssh: Client, fake_server: StartFake) -> None:
    def reset(peer: socket.socket) -> None:
        read_line(peer)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    pyssh.aim_at_port(fake_server(reset).port)
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1", "reset|closed")


def test_peer_that_is_a_web_server(pyssh: Client, fake_server: StartFake) -> None:
    def web(peer: socket.socket) -> None:
        read_line(peer)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    pyssh.aim_at_port(fake_server(web).port)
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1")


def test_peer_that_sends_garbage(pyssh: Client, fake_server: StartFake) -> None:
    def garbage(peer: socket.socket) -> None:
        peer.sendall(os.urandom(64) + b"\n" + b"\x1b]0;x\x07" + b"A" * 100000)
        drain(peer)

    pyssh.aim_at_port(fake_server(garbage).port)
    done = pyssh.run("box", "true")
    refused(done, r"127\.0\.0\.1")
    assert b"\x1b" not in done.stderr


def test_peer_that_sends_lines_without_end(pyssh: Client, fake_server: StartFake) -> None:
    def chatter(peer: socket.socket) -> None:
        while True:
            peer.sendall(b"welcome to this place\r\n" * 1000)

    pyssh.aim_at_port(fake_server(chatter).port)
    refused(pyssh.run("box", "true"), r"127\.0\.0\.1")


def test_lines_before_the_version_are_let_pass(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    def greet_then_relay(peer: socket.socket) -> None:
        peer.sendall(b"Hello there\r\nand welcome\r\n")
        with socket.create_connection(("127.0.0.1", openssh.port)) as upstream:
            relay_both_ways(peer, upstream)

    fake = fake_server(greet_then_relay)
    pyssh.aim(openssh, f"HostKeyAlias [127.0.0.1]:{openssh.port}", f"Port {fake.port}")
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


def relay_both_ways(one: socket.socket, other: socket.socket) -> None:
    """Copy between two sockets until either ends."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)


def test_ssh_1_peer(pyssh: Client, fake_server: StartFake) -> None:
    def old(peer: socket.socket) -> None:
        peer.sendall(b"SSH-1.5-OldServer\r\n")
        drain(peer)

    pyssh.aim_at_port(fake_server(old).port)
    refused(pyssh.run("box", "true"), "version")


def test_ssh_1_99_peer_is_an_ssh_2_peer(pyssh: Client, fake_server: StartFake) -> None:
    def both(peer: socket.socket) -> None:
        peer.sendall(b"SSH-1.99-Both\r\n" + kexinit(cipher="none-of-ours"))
        drain(peer)

    pyssh.aim_at_port(fake_server(both).port)
    refused(pyssh.run("box", "true"), "no matching cipher found")


def test_version_then_garbage(pyssh: Client, fake_server: StartFake) -> None:
    def garbage(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-garbage\r\n" + bytes(range(128, 256)) * 64)
        drain(peer)

    pyssh.aim_at_port(fake_server(garbage).port)
    refused(pyssh.run("box", "true"), "packet|length")


@pytest.mark.parametrize("length", [0, 1, 11, 1 << 20, 0xFFFFFFFF])
def test_packet_of_a_size_that_cannot_be(pyssh: Client, fake_server: StartFake, length: int) -> None:
    def wrong(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-sizes\r\n" + struct.pack(">I", length) + bytes(64))
        drain(peer)

    pyssh.aim_at_port(fake_server(wrong).port)
    refused(pyssh.run("box", "true"), "packet|length|padding")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("kex", "key exchange"),
        ("host_key", "host key"),
        ("cipher", "cipher"),
        ("mac", "MAC"),
        ("compression", "compression"),
    ],
)
def test_no_common_algorithm_names_the_list_and_the_offer(
    pyssh: Client, fake_server: StartFake, what: str, name: str
) -> None:
    def offer(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-strange\r\n" + kexinit(**{what: "strange-one,stranger-two"}))
        drain(peer)

    fake = fake_server(offer)
    pyssh.aim_at_port(fake.port)
    refused(
        pyssh.run("box", "true"),
        rf"127\.0\.0\.1 port {fake.port}",
        f"no matching {name}.* found",
        "Their offer: strange-one,stranger-two",
    )


def test_sshd_without_a_common_cipher(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("Ciphers aes128-ctr"))
    refused(pyssh.run("-c", "aes256-ctr", "box", "true"), "no matching cipher found", "Their offer: aes128-ctr")


def test_server_that_disconnects_with_a_message(pyssh: Client, fake_server: StartFake) -> None:
    def disconnect(peer: socket.socket) -> None:
        message = b"go away \x1b[31mnow"
        payload = b"\x01" + struct.pack(">II", 2, len(message)) + message + bytes(4)
        peer.sendall(b"SSH-2.0-unkind\r\n" + packet(payload))
        drain(peer)

    pyssh.aim_at_port(fake_server(disconnect).port)
    done = pyssh.run("box", "true")
    refused(done, "go away")
    assert b"\x1b" not in done.stderr


def flipping_relay(server: Server, after: int) -> Callable[[socket.socket], None]:
    """A relay to the server that flips one bit of what the server says, `after` bytes on."""

    def behave(peer: socket.socket) -> None:
        seen = 0
        with socket.create_connection(("127.0.0.1", server.port)) as upstream:
            while True:
                for ready in select.select([peer, upstream], [], [])[0]:
                    data = bytearray(ready.recv(65536))
                    if not data:
                        return
                    if ready is upstream:
                        if seen <= after < seen + len(data):
                            data[after - seen] ^= 1
                        seen += len(data)
                    (upstream if ready is peer else peer).sendall(data)

    return behave


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
def test_corrupted_packet_is_caught(pyssh: Client, openssh: Server, fake_server: StartFake, cipher: str) -> None:
    fake = fake_server(flipping_relay(openssh, 100_000))
    pyssh.aim(openssh, f"HostKeyAlias [127.0.0.1]:{openssh.port}", f"Port {fake.port}")
    done = pyssh.run("-c", cipher, "box", "head -c 1000000 /dev/zero")
    assert done.returncode == 255
    assert set(done.stdout) <= {0}
    assert len(done.stdout) < 1000000
    assert 1 <= len(done.stderr.splitlines()) <= LINES + 1
    assert re.search(r"MAC|packet|integrity|message authentication", done.stderr.decode())
    assert b"Traceback" not in done.stderr


def test_tampered_key_exchange_is_caught(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    def tamper(peer: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", openssh.port)) as upstream:
            while True:
                for ready in select.select([peer, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is upstream:  # an algorithm that nobody picks, but both sides sign
                        data = data.replace(b"umac-64@openssh.com", b"umac-65@openssh.com")
                    (upstream if ready is peer else peer).sendall(data)

    fake = fake_server(tamper)
    pyssh.aim(openssh, f"HostKeyAlias [127.0.0.1]:{openssh.port}", f"Port {fake.port}")
    refused(pyssh.run("box", "true"), "signature")


@pytest.mark.parametrize(
    "option", ["NoSuchOption=1", "Port=many", "Port=70000", "ConnectTimeout=never", "BatchMode=perhaps"]
)
def test_option_that_cannot_be_read(pyssh: Client, openssh: Server, option: str) -> None:
    pyssh.aim(openssh)
    refused(pyssh.run("-o", option, "box", "true"), "command-line")


@pytest.mark.parametrize("line", ["NoSuchOption 1", "Port many", "BatchMode", "Port"])
def test_config_line_that_cannot_be_read_is_named(pyssh: Client, openssh: Server, line: str) -> None:
    pyssh.aim(openssh)
    with pyssh.config.open("a") as config:
        config.write(f"{line}\n")
    number = len(pyssh.config.read_text().splitlines())
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert f"{pyssh.config}" in done.stderr.decode()
    assert f"line {number}" in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_config_that_is_missing(pyssh: Client, tmp_path: Path) -> None:
    pyssh.aim_at_port(22)
    pyssh.config.unlink()
    refused(pyssh.run("box", "true"), re.escape(str(pyssh.config)), "No such file or directory")


def test_config_that_is_a_directory_is_told(pyssh: Client) -> None:
    pyssh.config.mkdir()
    done = pyssh.run("-o", "Port=1", "127.0.0.1", "true")
    assert done.returncode == 255
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["-z", "box"], ["--no-such-flag", "box"], []])
def test_wrong_usage_prints_the_usage(pyssh: Client, words: list[str]) -> None:
    pyssh.aim_at_port(22)
    done = pyssh.run(*words)
    assert done.returncode == 255
    assert b"usage: " in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["0", "65536", "many", "-1"])
def test_port_that_cannot_be(pyssh: Client, port: str) -> None:
    pyssh.aim_at_port(22)
    refused(pyssh.run("-p", port, "box", "true"), "Bad port", re.escape(port))


@pytest.mark.parametrize("name", ["-oProxyCommand=x@box", "a b", "user@"])
def test_destination_that_cannot_be(pyssh: Client, name: str) -> None:
    pyssh.aim_at_port(free_port())
    done = pyssh.run("--", name, "true")
    assert done.returncode == 255
    assert b"Traceback" not in done.stderr


def test_cipher_that_nobody_knows(pyssh: Client) -> None:
    pyssh.aim_at_port(22)
    refused(pyssh.run("-c", "no-such-cipher", "box", "true"), "no-such-cipher")


def test_bind_address_that_is_not_ours(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    refused(pyssh.run("-b", "192.0.2.1", "box", "true"), r"192\.0\.2\.1|127\.0\.0\.1")


@pytest.mark.parametrize("flag", ["-b", "-B"])
@pytest.mark.parametrize("value", ["", "\udcff"])
def test_no_place_to_connect_from(client: Client, openssh: Server, flag: str, value: str) -> None:
    """A variable that is not set must not lead through any interface there is."""
    client.aim(openssh)
    refused(client.run(flag, value, "box", "true"), r"127\.0\.0\.1|getaddrinfo")


def test_ctrl_c_while_connecting_ends_cleanly(
    pyssh: Client, fake_server: StartFake, terminal: OpenTerminal
) -> None:
    fake = fake_server(drain)
    pyssh.aim_at_port(fake.port)
    shown = terminal("box", "true")
    wait_until(lambda: fake.accepted, "the connection")
    shown.send("\x03")
    assert shown.wait() in {-signal.SIGINT, 130, 255}
    assert shown.echoes()
    assert b"Traceback" not in shown.seen


def test_server_that_hangs_up_before_a_session(pyssh: Client, own_park: Park) -> None:
    server = own_park.openssh("MaxSessions 0")
    pyssh.aim(server)
    done = pyssh.run("box", "true")
    assert done.returncode == 255
    assert b"Traceback" not in done.stderr
    assert done.stderr
