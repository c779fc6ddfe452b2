"""The pipelined handshake: what leaves in one flight, however small the pieces are that the answers come in."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

import pytest

from tests.system.clients import Client
from tests.system.servers import KeyRing, Server
from tests.system.test_bad_input import StartFake

pytestmark = pytest.mark.beyond_ssh

PIECE = 24


def dribbling_relay(server: Server, said: list[bytes]) -> Callable[[socket.socket], None]:
    """A relay that hands on what the server says in segments of `PIECE` bytes, and keeps what the client says."""

    def behave(peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection(("127.0.0.1", server.port)) as upstream:
            while True:
                for ready in select.select([peer, upstream], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is peer:
                        said.append(data)
                        upstream.sendall(data)
                        continue
                    for start in range(0, len(data), PIECE):
                        peer.sendall(data[start : start + PIECE])
                        select.select([], [], [], 0.001)  # so that each is a segment of its own

    return behave


def aim_through(pyssh: Client, server: Server, port: int, *keys: str) -> None:
    pyssh.aim(server, f"HostKeyAlias [127.0.0.1]:{server.port}", f"Port {port}", keys=keys or ("ed25519",))


def test_answers_may_come_in_dribs(pyssh: Client, server: Server, fake_server: StartFake) -> None:
    fake = fake_server(dribbling_relay(server, []))
    aim_through(pyssh, server, fake.port)
    done = pyssh.run("box", "cat", send=bytes(range(256)) * 40)
    assert done.returncode == 0, done.stderr
    assert done.stdout == bytes(range(256)) * 40


def test_version_and_kexinit_leave_together(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    said: list[bytes] = []
    fake = fake_server(dribbling_relay(openssh, said))
    aim_through(pyssh, openssh, fake.port)
    assert pyssh.run("box", "exit 4").returncode == 4
    version, _, kexinit = said[0].partition(b"\r\n")
    assert version.startswith(b"SSH-2.0-pyssh_")
    assert kexinit[5] == 20
    assert int.from_bytes(kexinit[:4], "big") + 4 == len(kexinit)


def test_channel_is_asked_for_before_the_user_is_known(
    pyssh: Client, openssh: Server, fake_server: StartFake
) -> None:
    fake = fake_server(dribbling_relay(openssh, []))
    aim_through(pyssh, openssh, fake.port)
    lines = pyssh.run("-v", "box", "true").stderr.decode().splitlines()
    opened, known = (
        next(i for i, line in enumerate(lines) if text in line) for text in ("new session", "Authenticated to")
    )
    assert opened < known
    assert not any("none" in line and "Next authentication method" in line for line in lines)


def test_channel_that_came_too_early_is_asked_for_again(
    pyssh: Client, openssh: Server, strange_keys: KeyRing
) -> None:
    pyssh.aim(openssh, keys=[strange_keys.path("ed25519"), "ed25519"])
    done = pyssh.run("-v", "box", "exit 3")
    assert done.returncode == 3, done.stderr
    told = done.stderr.decode()
    assert (
        told.index("new session")
        < told.index("Authentications that can continue")
        < told.index("Authenticated to")
    )
