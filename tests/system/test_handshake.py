"""The pipelined handshake: what leaves in one flight, however small the pieces are that the answers come in."""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pyssh_cli import __version__
from pyssh_cli.protocol import messages as m
from pyssh_cli.protocol.userauth import PUBLICKEY_HOST_BOUND
from pyssh_cli.wire import Reader, string
from tests.system.clients import Client
from tests.system.conftest import Agent
from tests.system.scripted_server import ScriptedServer, Talk, failure
from tests.system.servers import KeyRing, Server, program
from tests.system.test_bad_input import StartFake
from tests.unit.peer import PeerOptions, ext_info

pytestmark = pytest.mark.beyond_ssh

PIECE = 24

StartScripted = Callable[..., ScriptedServer]

OPENSSH = b"SSH-2.0-OpenSSH_10.0"
ANNOUNCED = {
    "server-sig-algs": b"ssh-ed25519,rsa-sha2-512",
    "publickey-hostbound@openssh.com": b"0",
}
ACCEPT = bytes((m.SERVICE_ACCEPT,)) + string(b"ssh-userauth")


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


def test_what_is_added_to_our_version(pyssh: Client, openssh: Server, fake_server: StartFake) -> None:
    """VersionAddendum, its tokens expanded; and the handshake, whose hash has it, succeeds."""
    said: list[bytes] = []
    aim_through(pyssh, openssh, fake_server(dribbling_relay(openssh, said)).port)
    assert pyssh.run("-o", "VersionAddendum=of %n", "box", "exit 3").returncode == 3
    assert said[0].partition(b"\r\n")[0] == f"SSH-2.0-pyssh_{__version__} of box".encode()


@pytest.mark.parametrize("addendum", ["x" * 250, "two\nlines"])
def test_what_fits_into_no_version_line_is_an_error(pyssh: Client, openssh: Server, addendum: str) -> None:
    pyssh.aim(openssh, "VersionAddendum ${ADDENDUM}", keys=("ed25519",))
    pyssh.environment["ADDENDUM"] = addendum
    done = pyssh.run("box", "true")
    assert (done.returncode, b"VersionAddendum does not fit" in done.stderr) == (255, True)


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


# The first proof, and what it waits for --------------------------------------------------------------------------


def proof(request: bytes) -> tuple[str, str]:
    """The method and the signature algorithm of a request that proves a key."""
    reader = Reader(request, 1)
    reader.string()
    reader.string()
    method = reader.text()
    assert reader.boolean()
    return method, reader.text()


def say_in_parts(talk: Talk, *held: int) -> None:
    """Go through the key exchange; of what the server says behind its reply, the packets from each number of
    `held` on (1 is NEWKEYS, 2 EXT_INFO) leave only once the client has asked for the service without a proof."""
    talk.expect_keys()
    start = talk.peer.packets[-3]  # the reply, NEWKEYS and EXT_INFO were the last
    edges = [talk.peer.packets[number - 3] - start for number in held]
    waiting = talk.peer.take()
    talk.socket.sendall(waiting[: edges[0]])
    talk.expect(m.SERVICE_REQUEST)
    for begin, end in zip(edges, [*edges[1:], len(waiting)], strict=True):
        assert m.USERAUTH_REQUEST not in talk.peer.numbers()
        talk.socket.sendall(waiting[begin:end])


def play(
    pyssh: Client,
    scripted: StartScripted,
    script: Callable[[Talk], object],
    *lines: str,
    keys: Sequence[str] = ("ed25519",),
    **options: object,
) -> object:
    """What the script returns."""
    server = scripted(script, PeerOptions(**options), stage="login")  # type: ignore[arg-type]
    pyssh.aim_at_port(server.port, "BatchMode yes", *lines, keys=keys)
    pyssh.known_hosts.write_text(server.known_hosts_line)
    assert pyssh.run("box", "true").returncode == 255
    return server.result()


@pytest.mark.parametrize("held", [(1,), (2,), (1, 2)], ids=str)
def test_proof_waits_for_what_openssh_says_without_being_asked(
    pyssh: Client, scripted: StartScripted, held: tuple[int, ...]
) -> None:
    def script(talk: Talk) -> object:
        say_in_parts(talk, *held)
        talk.expect(m.USERAUTH_REQUEST)  # "none", which OpenSSH does not count when it is the first
        return proof(talk.expect(m.USERAUTH_REQUEST))

    got = play(pyssh, scripted, script, version=OPENSSH, extensions=ANNOUNCED)
    assert got == (PUBLICKEY_HOST_BOUND, "ssh-ed25519")


def test_proof_waits_no_longer_than_for_the_service(pyssh: Client, scripted: StartScripted) -> None:
    """Somebody who says that it is OpenSSH, and is not, need not send EXT_INFO."""

    def script(talk: Talk) -> object:
        talk.expect(m.SERVICE_REQUEST)
        assert m.USERAUTH_REQUEST not in talk.peer.numbers()
        talk.say(ACCEPT)
        talk.expect(m.USERAUTH_REQUEST)
        return proof(talk.expect(m.USERAUTH_REQUEST))

    assert play(pyssh, scripted, script, version=OPENSSH) == ("publickey", "ssh-ed25519")


def test_proof_for_others_waits_for_their_newkeys_only(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> object:
        say_in_parts(talk, 1)
        first = proof(talk.expect(m.USERAUTH_REQUEST))
        talk.say(ACCEPT)
        return first

    assert play(pyssh, scripted, script, extensions={}) == ("publickey", "ssh-ed25519")


def test_key_is_proved_again_as_the_server_wants_it(pyssh: Client, scripted: StartScripted) -> None:
    """What is refused unbound, or by one algorithm, is tried once more after an EXT_INFO that asks for another."""

    def script(talk: Talk) -> object:
        proofs = []
        talk.expect(m.SERVICE_REQUEST)
        talk.say(ACCEPT)
        for said in (ANNOUNCED, {**ANNOUNCED, "server-sig-algs": b"rsa-sha2-256"}, ANNOUNCED):
            proofs.append(proof(talk.expect(m.USERAUTH_REQUEST)))
            talk.say(ext_info(said), failure("publickey"))
        talk.expect(m.USERAUTH_REQUEST)
        talk.say(failure("publickey"))
        talk.until_gone()
        asked = [request for request in talk.peer.received if request[0] == m.USERAUTH_REQUEST]
        return proofs, len(asked)

    lines = ("PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512",)
    got = play(pyssh, scripted, script, *lines, keys=("rsa-3072",))
    unbound, bound = ("publickey", "rsa-sha2-256"), (PUBLICKEY_HOST_BOUND, "rsa-sha2-512")
    # The third way is that of the second EXT_INFO; the last one is tried already, and "none" ends it.
    assert got == ([unbound, bound, (PUBLICKEY_HOST_BOUND, "rsa-sha2-256")], 4)


@pytest.mark.parametrize("announces", [True, False])
def test_sha1_is_not_used_before_the_server_can_have_asked_for_better(
    pyssh: Client, scripted: StartScripted, announces: bool
) -> None:
    def script(talk: Talk) -> object:
        if announces:
            say_in_parts(talk, 2)
        else:
            talk.expect(m.SERVICE_REQUEST)
            assert m.USERAUTH_REQUEST not in talk.peer.numbers()
            talk.say(ACCEPT)
        return proof(talk.expect(m.USERAUTH_REQUEST))[1]

    said = {"extensions": ANNOUNCED} if announces else {}
    got = play(pyssh, scripted, script, "PubkeyAcceptedAlgorithms +ssh-rsa", keys=("rsa-3072",), **said)
    assert got == ("rsa-sha2-512" if announces else "ssh-rsa")


def test_key_that_is_lent_for_this_host_only_is_used_whatever_the_segments(
    pyssh: Client, openssh: Server, agent: Agent, fake_server: StartFake, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.write_text("".join(f"here {key}\n" for key in openssh.host_keys))
    add = [program("ssh-add"), "-q", "-H", str(known), "-h", "here", str(pyssh.keys.path("ed25519"))]
    subprocess.run(add, env={"SSH_AUTH_SOCK": str(agent.socket)}, check=True)
    fake = fake_server(dribbling_relay(openssh, []))
    lines = ("BatchMode yes", f"HostKeyAlias [127.0.0.1]:{openssh.port}", f"Port {fake.port}", "IdentitiesOnly no")
    pyssh.aim(openssh, *lines, keys=())
    done = pyssh.run("-vvv", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert f"signing by {PUBLICKEY_HOST_BOUND}: ".encode() in done.stderr
