"""-D, and -R without a target: SOCKS of every version, names of the far side, refusals, garbage and silence."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.forwarded import connect, ended, fetch, free_port, greet, listens, read_all, tunnel, website
from tests.system.servers import FakeServer, Park, Server
from tests.system.waiting import wait_until

StartFake = Callable[..., FakeServer]

VERSIONS = ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"]


@pytest.mark.parametrize("version", VERSIONS)
def test_curl_through_a_dynamic_forward(pyssh: Client, openssh: Server, version: str) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with website() as web, tunnel(pyssh, "-D", str(port), ready=port):
        assert fetch(version, f"127.0.0.1:{port}", f"http://localhost:{web}/x") == "found /x"


def test_ipv6_by_socks_5(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as target:
        target_port = target.getsockname()[1]
        with tunnel(pyssh, "-D", str(port), ready=port), connect(port) as sock:
            request = b"\x05\x01\x00\x04" + bytes(15) + b"\x01" + target_port.to_bytes(2, "big")
            sock.sendall(b"\x05\x01\x00" + request + b"early")
            peer, _ = target.accept()
            with peer:
                assert peer.recv(5, socket.MSG_WAITALL) == b"early"
            assert read_all(sock) == b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6)


@pytest.mark.parametrize("version", ["--socks4a", "--socks5-hostname"])
def test_names_that_only_the_far_side_knows(pyssh: Client, own_park: Park, version: str) -> None:
    port = free_port()
    pyssh.aim(own_park.asyncssh(names={"inner.test": "127.0.0.1"}))
    with website() as web, tunnel(pyssh, "-D", str(port), ready=port):
        assert fetch(version, f"127.0.0.1:{port}", f"http://inner.test:{web}/x") == "found /x"
        assert fetch("--socks5", f"127.0.0.1:{port}", f"http://inner.test:{web}/x") == ""  # curl's own look-up


@pytest.mark.beyond_ssh  # ssh says yes before it has tried
def test_the_reply_says_why_a_connection_was_not_made(pyssh: Client, sshd: Callable[..., Server]) -> None:
    port, nobody = free_port(), free_port()
    pyssh.aim(sshd(f"PermitOpen 127.0.0.1:{nobody}"))
    with tunnel(pyssh, "-D", str(port), ready=port):
        replies = []
        for target in (nobody, free_port()):
            with connect(port) as sock:
                sock.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x01\x7f\x00\x00\x01" + target.to_bytes(2, "big"))
                replies.append(read_all(sock)[2:])
        assert replies == [b"\x05\x05\x00\x01" + bytes(6), b"\x05\x02\x00\x01" + bytes(6)]
        with connect(port) as sock:
            sock.sendall(b"\x04\x01" + nobody.to_bytes(2, "big") + b"\x7f\x00\x00\x01\x00")
            assert read_all(sock) == b"\x00\x5b" + bytes(6)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b""),
        (b"\x05\x01\x02", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x00\x05\x07\x00\x01" + bytes(6)),
    ],
)
@pytest.mark.beyond_ssh  # ssh hangs up without a word
def test_what_is_not_a_request_is_answered_and_closed(
    pyssh: Client, openssh: Server, request_: bytes, answer: bytes
) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-D", str(port), ready=port), connect(port) as sock:
        sock.sendall(request_)
        assert read_all(sock) == answer


@pytest.mark.beyond_ssh  # ssh waits without end
def test_half_a_request_is_not_waited_for_without_end(pyssh: Client, openssh: Server) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-D", str(port), ready=port), connect(port) as sock:
        sock.sendall(b"\x05")
        assert read_all(sock) == b""


def test_a_socks_server_on_a_unix_socket(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    here = tmp_path / "socks"
    pyssh.aim(openssh)
    with website() as web, tunnel(pyssh, "-D", str(here), ready=here), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(here))
        sock.sendall(b"\x04\x01" + web.to_bytes(2, "big") + b"\x7f\x00\x00\x01\x00" + b"GET /y HTTP/1.0\r\n\r\n")
        assert read_all(sock).endswith(b"found /y")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_far_side_uses_our_network_by_socks(pyssh: Client, openssh: Server, version: str) -> None:
    port = free_port()
    pyssh.aim(openssh)
    with website() as web, tunnel(pyssh, "-R", str(port), ready=port):
        assert fetch(version, f"127.0.0.1:{port}", f"http://localhost:{web}/x") == "found /x"


def test_permit_remote_open(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    allowed, other, port = fake_server(greet), fake_server(greet), free_port()
    pyssh.aim(openssh, f"PermitRemoteOpen localhost:{allowed.port}")
    with tunnel(pyssh, "-R", str(port), ready=port) as process:
        answers = []
        for name, target in (("localhost", allowed.port), ("localhost", other.port), ("127.0.0.1", allowed.port)):
            with connect(port) as sock:
                place = bytes((3, len(name))) + name.encode() + target.to_bytes(2, "big")
                sock.sendall(b"\x05\x01\x00" + b"\x05\x01\x00" + place)
                answers.append(read_all(sock).endswith(b"hello"))
        assert answers == [True, False, False]
        assert other.accepted == 0
        ended(process)


def test_malformed_dynamic_forwards(pyssh: Client) -> None:
    pyssh.aim_at_port(1)
    done = pyssh.run("-D", "a:b:c", "box", "true")
    assert done.returncode == 255
    assert b"Bad dynamic forwarding specification 'a:b:c'" in done.stderr


def test_a_slow_name_holds_up_nothing(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    target, socks, port = fake_server(greet), free_port(), free_port()
    pyssh.aim(openssh)
    with tunnel(pyssh, "-R", str(socks), "-L", f"{port}:127.0.0.1:{target.port}", ready=port):
        wait_until(lambda: listens(socks), "the forward of the server's")
        with connect(socks) as asking, connect(port) as sock:
            name = b"no-such-name.invalid"
            asking.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes((len(name),)) + name + b"\x00\x50")
            assert read_all(sock) == b"hello"
            assert not read_all(asking).endswith(b"\x05\x00\x00\x01" + bytes(6))
