"""UpdateHostKeys: what known_hosts learns and forgets, when it is left alone, and servers that lie."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pyssh_cli.keys.host_patterns import hash_name
from pyssh_cli.protocol import messages as m
from pyssh_cli.wire import Reader, boolean, string, text
from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.scripted_server import ScriptedServer, Talk, data, ending
from tests.system.servers import KeyRing, Park, Server, fingerprint
from tests.system.test_known_hosts import host_field

OPTIONS = "StrictHostKeyChecking yes", "UpdateHostKeys yes"

TYPES = "ed25519", "ecdsa-256", "rsa-3072"


@pytest.fixture
def server(own_park: Park) -> Server:
    """An sshd with three keys."""
    return own_park.openssh(host_keys=TYPES)


def lines(name: str, *keys: str) -> str:
    return "".join(f"{name} {key}\n" for key in keys)


def aim(pyssh: Client, server: Server, known: str, *options: str) -> None:
    pyssh.aim(server, *options, *OPTIONS, trust=False)
    pyssh.known_hosts.write_text(known)


def test_keys_are_learned(pyssh: Client, server: Server) -> None:
    ours = lines(host_field(server), server.host_keys[0])
    aim(pyssh, server, f"# kept\n{ours}", "LogLevel VERBOSE")
    pyssh.known_hosts.chmod(0o640)
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == f"# kept\n{lines(host_field(server), *server.host_keys)}"
    told = done.stderr.decode().splitlines()
    for key, name in zip(server.host_keys[1:], ("ECDSA", "RSA"), strict=True):
        assert f"Learned new hostkey: {name} {fingerprint(key)}" in told
    before = pyssh.known_hosts.stat()
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.stat().st_mtime_ns == before.st_mtime_ns


def test_it_is_done_in_silence(pyssh: Client, server: Server) -> None:
    aim(pyssh, server, lines(host_field(server), server.host_keys[0]))
    done = pyssh.run("box", "exit 3")
    assert (done.returncode, done.stderr) == (3, b"")
    assert pyssh.known_hosts.read_text() == lines(host_field(server), *server.host_keys)


@pytest.mark.beyond_ssh
def test_keys_are_forgotten_and_all_else_stays(pyssh: Client, server: Server, strange_keys: KeyRing) -> None:
    """But for the file's mode, which ssh resets."""
    name = host_field(server)
    old = lines(name, strange_keys.public("ed25519"), strange_keys.public("rsa-3072"))
    rest = (
        f"# a comment\nother.example {server.host_keys[0][:-9]}\n\n@revoked z {strange_keys.public('ecdsa-256')}\n"
    )
    aim(pyssh, server, rest + old + lines(name, *server.host_keys))
    pyssh.known_hosts.chmod(0o640)
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == rest + lines(name, *server.host_keys)
    assert pyssh.known_hosts.stat().st_mode & 0o777 == 0o640


def test_hashed_names_are_written_where_they_are_wanted(pyssh: Client, server: Server) -> None:
    name = host_field(server)
    aim(pyssh, server, lines(hash_name(name), server.host_keys[0]), "HashKnownHosts yes")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    written = pyssh.known_hosts.read_text().splitlines()
    assert [line.partition(" ")[2] for line in written] == server.host_keys
    assert all(line.startswith("|1|") for line in written)


LEFT_ALONE = {
    "wildcard": "{wild} {key}\n",
    "three names": "a,b,{name} {key}\n",
    "authority": "{name} {key}\n@cert-authority * {strange}\n",
    "revoked": "{name} {key}\n@revoked {name} {strange}\n",
    "another name": "{name} {key}\nother.example {key}\n",
    "another name of a new key": "{name} {key}\nother.example {new}\n",
    "another hashed name": "{name} {key}\n{hashed} {new}\n",
    "another name of an old key": "{name} {key}\n{name} {strange}\nother.example {strange}\n",
    "the bare name": "127.0.0.1 {key}\n",
}


@pytest.mark.parametrize("known", LEFT_ALONE.values(), ids=list(LEFT_ALONE))
def test_what_is_not_plainly_ours_is_left_alone(
    pyssh: Client, server: Server, strange_keys: KeyRing, known: str
) -> None:
    names = {"name": host_field(server), "wild": f"[127.0.0.?]:{server.port}", "hashed": hash_name("o.example")}
    keys = {"key": server.host_keys[0], "new": server.host_keys[1], "strange": strange_keys.public("ed25519")}
    before = known.format(**names, **keys)
    aim(pyssh, server, before)
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == before


def test_a_key_of_the_system_file_is_the_systems_to_keep(pyssh: Client, server: Server) -> None:
    system = pyssh.home / "system"
    system.write_text(lines(host_field(server), server.host_keys[0]))
    aim(pyssh, server, "", f"GlobalKnownHostsFile {system}")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == ""
    assert system.read_text() == lines(host_field(server), server.host_keys[0])


def test_a_key_that_nobody_confirmed_teaches_nothing(pyssh: Client, server: Server) -> None:
    aim(pyssh, server, "", "StrictHostKeyChecking accept-new")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert len(pyssh.known_hosts.read_text().splitlines()) == 1


def test_a_key_that_the_person_confirmed_teaches_the_others(
    pyssh: Client, server: Server, terminal: OpenTerminal
) -> None:
    aim(pyssh, server, "", "StrictHostKeyChecking ask")
    shown = terminal("box", "echo in")
    shown.expect(r"\(yes/no/\[fingerprint\]\)\? ")
    shown.send("yes\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert pyssh.known_hosts.read_text() == lines(host_field(server), *server.host_keys)


def test_the_first_file_takes_it_all(pyssh: Client, server: Server, strange_keys: KeyRing) -> None:
    name = host_field(server)
    second = pyssh.home / "second"
    other = lines("other.example", strange_keys.public("ecdsa-256"))
    second.write_text(lines(name, server.host_keys[0], strange_keys.public("ed25519")) + other)
    aim(pyssh, server, "", f"UserKnownHostsFile {pyssh.known_hosts} {second}")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == lines(name, *server.host_keys)
    assert second.read_text() == other


@pytest.mark.beyond_ssh
def test_keys_of_the_second_file_are_not_lost_where_the_first_is_missing(pyssh: Client, server: Server) -> None:
    name = host_field(server)
    first, second = pyssh.home / "first", pyssh.home / "second"
    second.write_text(lines(name, server.host_keys[0]))
    aim(pyssh, server, "", f"UserKnownHostsFile {first} {second}")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert first.read_text() == lines(name, *server.host_keys)
    first.unlink()
    (pyssh.home / "nowhere").mkdir()
    second.write_text(lines(name, server.host_keys[0]))
    aim(pyssh, server, "", f"UserKnownHostsFile {pyssh.home / 'nowhere'} {second}")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert second.read_text() == lines(name, server.host_keys[0])


@pytest.mark.beyond_ssh
def test_keys_that_we_do_not_ask_for_are_neither_learned_nor_forgotten(pyssh: Client, server: Server) -> None:
    """ssh forgets them."""
    known = lines(host_field(server), server.host_keys[0], server.host_keys[1])
    aim(pyssh, server, known, "HostKeyAlgorithms ssh-ed25519", "RequiredRSASize 3072")
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert pyssh.known_hosts.read_text() == known


def test_what_the_person_is_asked_may_be_refused(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    before = lines(host_field(server), server.host_keys[0])
    aim(pyssh, server, before, "UpdateHostKeys ask")
    for answers, changed in ((["no"], False), (["what", "yes"], True)):
        shown = terminal("box")
        shown.expect("The server has updated its host keys.")
        shown.expect(f"Learned new hostkey: ECDSA {fingerprint(server.host_keys[1])}".replace("+", r"\+"))
        for answer in answers:
            shown.expect(r"Accept updated hostkeys\? \(yes/no\): ")
            assert pyssh.known_hosts.read_text() == before
            shown.send(f"{answer}\n")
        shown.expect("ready> ")
        shown.send("exit 4\r")
        assert shown.wait() == 4
        after = lines(host_field(server), *server.host_keys) if changed else before
        assert pyssh.known_hosts.read_text() == after


def test_what_was_typed_before_the_question_is_no_answer(
    pyssh: Client, server: Server, terminal: OpenTerminal
) -> None:
    before = lines(host_field(server), server.host_keys[0])
    aim(pyssh, server, before, "UpdateHostKeys ask")
    shown = terminal("box")
    shown.send("yes\n")
    shown.expect(r"Accept updated hostkeys\? \(yes/no\): ")
    shown.send("no\n")
    shown.expect("ready> ")
    shown.send("\x03\rexit 4\r")  # it may have been for the shell
    assert shown.wait() == 4
    assert pyssh.known_hosts.read_text() == before


def test_nobody_is_asked_about_a_command(pyssh: Client, server: Server, terminal: OpenTerminal) -> None:
    before = lines(host_field(server), server.host_keys[0])
    aim(pyssh, server, before, "UpdateHostKeys ask")
    shown = terminal("box", "echo in")
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert b"Accept" not in shown.seen
    assert pyssh.known_hosts.read_text() == before


def test_two_that_update_at_once_lose_nothing(pyssh: Client, server: Server, strange_keys: KeyRing) -> None:
    name = host_field(server)
    others = "".join(f"host{number}.example {server.host_keys[0][:-9]}\n" for number in range(1000))
    aim(pyssh, server, others + lines(name, strange_keys.public("ed25519"), server.host_keys[0]))
    done: list[subprocess.CompletedProcess[bytes]] = []
    clients = [threading.Thread(target=lambda: done.append(pyssh.run("box", "echo in"))) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert [one.stdout for one in done] == [b"in\n"] * 4
    written = pyssh.known_hosts.read_text().splitlines()
    assert "".join(f"{line}\n" for line in written if line.startswith("host")) == others
    assert {line for line in written if not line.startswith("host")} == set(
        lines(name, *server.host_keys).splitlines()
    )
    assert not [path for path in os.listdir(pyssh.known_hosts.parent) if path.startswith("known_hosts.1")]


# Servers that lie -----------------------------------------------------------------------------------------------

StartScripted = Callable[..., ScriptedServer]


def global_request(name: str, fields: bytes) -> bytes:
    return bytes((m.GLOBAL_REQUEST,)) + text(name) + boolean(False) + fields


class Offered:
    """A key that a server says it has."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.blob = text("ssh-ed25519") + string(self._private.public_key().public_bytes_raw())

    def sign(self, session_id: bytes, *, what: str = "hostkeys-prove-00@openssh.com") -> bytes:
        signed = text(what) + string(session_id) + string(self.blob)
        return string(text("ssh-ed25519") + string(self._private.sign(signed)))


def told(talk: Talk, *blobs: bytes) -> None:
    """Tell the client the keys, the one of this connection first."""
    keys = (talk.peer.host_key.blob, *blobs)
    talk.say(global_request("hostkeys-00@openssh.com", b"".join(map(string, keys))))


def asked(talk: Talk) -> list[bytes]:
    """The keys that the client wants proved."""
    while True:
        reader = Reader(talk.expect(m.GLOBAL_REQUEST), 1)
        if reader.text() == "hostkeys-prove-00@openssh.com":
            assert reader.boolean()
            keys = []
            while reader.remaining():
                keys.append(reader.string())
            return keys


def answer(talk: Talk, success: bool, fields: bytes = b"") -> None:
    number = m.REQUEST_SUCCESS if success else m.REQUEST_FAILURE
    talk.say(bytes((number,)) + fields, data(b"in\n"), *ending(0))
    talk.until_gone()


def learned(pyssh: Client, server: ScriptedServer, *options: str) -> tuple[bytes, list[bytes]]:
    """Run a session that goes well: what it says on stderr, and the keys that known_hosts has then."""
    pyssh.aim_at_port(server.port, *OPTIONS, *options)
    pyssh.known_hosts.write_text(server.known_hosts_line)
    done = pyssh.run("box", "echo in")
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
    assert pyssh.known_hosts.read_text().startswith(server.known_hosts_line)
    return done.stderr, [line.split()[2].encode() for line in pyssh.known_hosts.read_text().splitlines()[1:]]


@pytest.mark.beyond_ssh
def test_proved_keys_are_taken(pyssh: Client, scripted: StartScripted) -> None:
    offered = [Offered(), Offered()]

    def script(talk: Talk) -> None:
        told(talk, *(key.blob for key in offered))
        assert asked(talk) == [key.blob for key in offered]
        answer(talk, True, b"".join(key.sign(talk.peer.session_id) for key in offered))

    server = scripted(script)
    error, keys = learned(pyssh, server)
    server.result()
    assert (error, len(keys)) == (b"", 2)


LIES: dict[str, Callable[[Offered, Offered, bytes], bytes]] = {
    "another session": lambda key, _other, _session: key.sign(bytes(32)),
    "another key": lambda _key, other, session: other.sign(session),
    "another request": lambda key, _other, session: key.sign(session, what="publickey"),
    "nothing": lambda _key, _other, _session: b"",
    "too little": lambda key, _other, session: key.sign(session)[:-1],
    "too much": lambda key, _other, session: key.sign(session) + b"\0",
    "an empty signature": lambda _key, _other, _session: string(b""),
    "a signature without a name": lambda _key, _other, _session: string(bytes(100)),
}


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_what_is_not_proved_is_not_written(
    pyssh: Client, scripted: StartScripted, lie: Callable[[Offered, Offered, bytes], bytes]
) -> None:
    key, other = Offered(), Offered()

    def script(talk: Talk) -> None:
        told(talk, key.blob)
        asked(talk)
        answer(talk, True, lie(key, other, talk.peer.session_id))

    server = scripted(script)
    error, keys = learned(pyssh, server)
    server.result()
    assert keys == []
    assert len(error.splitlines()) == 1


@pytest.mark.beyond_ssh
def test_a_refusal_is_told(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        told(talk, Offered().blob)
        asked(talk)
        answer(talk, False)

    assert learned(pyssh, scripted(script)) == (
        os.linesep.encode().join([b"Server failed to confirm ownership of private host keys", b""]),
        [],
    )


@pytest.mark.beyond_ssh
def test_the_end_of_the_session_waits_for_no_proof(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        told(talk, Offered().blob)
        asked(talk)
        talk.say(data(b"in\n"), *ending(0))
        talk.until_gone()

    assert learned(pyssh, scripted(script)) == (b"", [])


def unasked(talk: Talk) -> None:
    """End the session; the client must not have asked for proof."""
    talk.say(data(b"in\n"), *ending(0))
    for payload in talk.until_gone():
        assert payload[0] != m.GLOBAL_REQUEST or b"hostkeys-prove" not in payload


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("count", [64, 3000])
def test_absurdly_many_keys_are_passed_over(pyssh: Client, scripted: StartScripted, count: int) -> None:
    blobs = [text("ssh-ed25519") + string(number.to_bytes(32, "big")) for number in range(count)]

    def script(talk: Talk) -> None:
        told(talk, *blobs)
        unasked(talk)

    server = scripted(script)
    assert learned(pyssh, server) == (b"", [])
    server.result()


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(
    "blobs",
    [
        [],
        [b""],
        [text("ssh-ed25519") + string(bytes(31))],
        [text("ssh-strange") + string(bytes(31))],
        [text("ssh-ed25519-cert-v01@openssh.com") + bytes(100)],
        [text("ssh-ed25519") + string(bytes(32)), text("ssh-ed25519") + string(bytes(31))],
    ],
)
def test_keys_that_are_none_are_passed_over(pyssh: Client, scripted: StartScripted, blobs: list[bytes]) -> None:
    def script(talk: Talk) -> None:
        told(talk, *blobs)
        unasked(talk)

    server = scripted(script)
    assert learned(pyssh, server)[1] == []
    server.result()


@pytest.mark.beyond_ssh
def test_keys_told_twice_are_passed_over(pyssh: Client, scripted: StartScripted) -> None:
    key = Offered()

    def script(talk: Talk) -> None:
        told(talk, key.blob, key.blob)
        unasked(talk)

    assert learned(pyssh, scripted(script))[1] == []


@pytest.mark.beyond_ssh
def test_a_list_that_ends_too_early_is_passed_over(pyssh: Client, scripted: StartScripted) -> None:
    def script(talk: Talk) -> None:
        fields = string(talk.peer.host_key.blob) + string(Offered().blob)[:-1]
        talk.say(global_request("hostkeys-00@openssh.com", fields))
        unasked(talk)

    server = scripted(script)
    assert learned(pyssh, server) == (b"", [])
    server.result()


@pytest.mark.beyond_ssh
def test_only_the_first_list_counts(pyssh: Client, scripted: StartScripted) -> None:
    first, second = Offered(), Offered()

    def script(talk: Talk) -> None:
        told(talk, first.blob)
        told(talk, second.blob)
        assert asked(talk) == [first.blob]
        answer(talk, True, first.sign(talk.peer.session_id))

    server = scripted(script)
    assert len(learned(pyssh, server)[1]) == 1
    server.result()
