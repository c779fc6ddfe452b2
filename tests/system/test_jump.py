"""ProxyJump and -J: sshds chained on 127.0.0.1, each with a host key of its own, and one client process."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import STAND_IN, Client
from tests.system.conftest import OpenTerminal
from tests.system.relays import relay_command, relaying
from tests.system.servers import PASSPHRASE, FakeServer, KeyRing, Park, Server, fingerprint, free_port
from tests.system.waiting import wait_until

MIB = 1 << 20
KEYS = {"one": "ed25519", "two": "ecdsa-256", "box": "ecdsa-384"}
"""The type of each host's only key."""


@pytest.fixture(scope="module")
def hosts(park: Park) -> Iterator[dict[str, Server]]:
    """Three sshds, where nothing is forwarded but what is asked for."""
    made = Park(park.directory, park.account, park.host_keys)
    try:
        yield {name: made.openssh(host_keys=(key,)) for name, key in KEYS.items()}
    finally:
        made.stop()


def write_config(client: Client, hosts: dict[str, Server], lines: str = "", **more: str) -> None:
    """A configuration in which each name means its server, with `more` lines for some; `lines` come first.

    A name whose lines say IdentityFile has that one instead of the ring's.
    """
    text = lines
    own_keys = [name for name, said in more.items() if "IdentityFile" in said]
    for name, server in hosts.items():
        text += f"Host {name}\n{more.get(name, '')}\nHostName 127.0.0.1\nPort {server.port}\nUser {server.user}\n"
    others = " ".join(["*", *(f"!{name}" for name in own_keys)])
    text += f"Host {others}\nIdentityFile {client.keys.path('ed25519')}\n"
    text += f"Host *\nIdentitiesOnly yes\nUserKnownHostsFile {client.known_hosts}\n"
    text += "GlobalKnownHostsFile /dev/null\n"
    client.config.write_text(text)
    client.config.chmod(0o600)


def trust(client: Client, *servers: Server) -> None:
    client.known_hosts.write_text(
        "".join(f"[127.0.0.1]:{server.port} {key}\n" for server in servers for key in server.host_keys)
    )


@pytest.fixture
def ready(pyssh: Client, hosts: dict[str, Server]) -> Client:
    """The client, which knows all three hosts."""
    trust(pyssh, *hosts.values())
    write_config(pyssh, hosts)
    return pyssh


def came_from(server: Server) -> int:
    """How many connections have been let in."""
    return server.log_text().count("Accepted publickey")


@pytest.mark.parametrize("hops", ["one", "one,two", "two,one,two"])
def test_hops_are_passed_in_order(ready: Client, hosts: dict[str, Server], hops: str) -> None:
    before = {name: came_from(server) for name, server in hosts.items()}
    done = ready.run("-J", hops, "box", "echo $SSH_CONNECTION; echo err >&2; cat; exit 3", send=b"in")
    assert done.returncode == 3, done.stderr
    place, sent = done.stdout.decode().split("\n")
    assert (place.split()[3], sent) == (str(hosts["box"].port), "in")
    assert done.stderr == b"err\n"
    passed = {name: came_from(server) - before[name] for name, server in hosts.items()}
    assert passed == {name: hops.split(",").count(name) + (name == "box") for name in hosts}


def test_each_host_shows_its_own_key_under_its_own_name(pyssh: Client, hosts: dict[str, Server]) -> None:
    write_config(pyssh, hosts, "StrictHostKeyChecking accept-new\n")
    assert pyssh.run("-J", "one,two", "box", "exit 4").returncode == 4
    known = [line.split()[:2] for line in pyssh.known_hosts.read_text().splitlines()]
    assert known == [[f"[127.0.0.1]:{hosts[name].port}", hosts[name].host_keys[0].split()[0]] for name in KEYS]


def test_the_configurations_hops_have_hops_of_their_own(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, box="ProxyJump two", two="ProxyJump one")
    before = came_from(hosts["one"])
    assert ready.run("box", "exit 5").returncode == 5
    assert came_from(hosts["one"]) == before + 1


def test_a_hop_of_a_list_leaves_its_own_way_aside(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, two="ProxyJump nowhere.invalid", box="ProxyJump nowhere.invalid")
    assert ready.run("-J", "one,two", "box", "exit 6").returncode == 6
    done = ready.run("-J", "two", "box", "true")
    assert done.returncode == 255
    assert b"nowhere.invalid" in done.stderr


@pytest.mark.parametrize("flags", [("-J", "none"), ("-o", "ProxyJump=none"), ("-oProxyCommand=none",)])
def test_none_goes_straight(ready: Client, hosts: dict[str, Server], flags: tuple[str, ...]) -> None:
    write_config(ready, hosts, box="ProxyJump nowhere.invalid")
    assert ready.run(*flags, "box", "exit 7").returncode == 7


@pytest.mark.parametrize("form", ["{user}@127.0.0.1:{port}", "ssh://{user}@127.0.0.1:{port}", "{user}@one"])
def test_users_ports_and_uris(ready: Client, hosts: dict[str, Server], form: str) -> None:
    write_config(ready, hosts, "Host 127.0.0.1\nUser nobody\nPort 1\nHost *\n")
    hop = form.format(user=hosts["one"].user, port=hosts["one"].port)
    done = ready.run("-J", hop, "box", "exit 8")
    assert done.returncode == 8, done.stderr


def test_a_hop_by_its_ipv6_address(ready: Client, hosts: dict[str, Server]) -> None:
    with relaying(hosts["one"].port, "::1") as port:
        alias = f"HostKeyAlias [127.0.0.1]:{hosts['one'].port}"
        write_config(ready, hosts, f"Host ::1\nUser {hosts['one'].user}\n{alias}\nHost *\n")
        done = ready.run("-J", f"[::1]:{port}", "box", "exit 9")
    assert done.returncode == 9, done.stderr


def test_a_destination_by_its_ipv6_address(ready: Client, hosts: dict[str, Server]) -> None:
    with relaying(hosts["box"].port, "::1") as port:
        write_config(ready, hosts, f"Host ::1\nHostKeyAlias [127.0.0.1]:{hosts['box'].port}\nHost *\n")
        done = ready.run("-J", "one", "-p", str(port), "-l", hosts["box"].user, "::1", "exit 9")
    assert done.returncode == 9, done.stderr


def test_tokens_name_the_hop(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, {"gate-box": hosts["one"], **hosts}, box="ProxyJump %r@gate-%n")
    before = came_from(hosts["one"])
    assert ready.run("box", "exit 10").returncode == 10
    assert came_from(hosts["one"]) == before + 1


def test_options_of_the_command_line_are_for_the_destination(ready: Client, hosts: dict[str, Server]) -> None:
    trust(ready, hosts["box"])
    done = ready.run("-o", "StrictHostKeyChecking=no", "-J", "one", "box", "true")
    assert done.returncode == 255
    assert b"Host key verification failed." in done.stderr
    assert STAND_IN or b"(on the way, at one)" in done.stderr


def test_flags_that_hops_get(ready: Client) -> None:
    talking = ready.run("-v", "-J", "one", "box", "true")
    assert talking.returncode == 0
    assert len(re.findall(rb"debug1: Server host key: ", talking.stderr)) == 2
    assert ready.run("-J", "one", "box", "true").stderr == b""
    quiet = ready.run("-o", "LogLevel=DEBUG", "-J", "one", "box", "true")
    assert len(re.findall(rb"debug1: Server host key: ", quiet.stderr)) == 1


@pytest.mark.beyond_ssh
def test_lines_of_hops_say_whose_they_are(ready: Client) -> None:
    done = ready.run("-vv", "-J", "one,two", "box", "true")
    assert done.returncode == 0
    lines = done.stderr.decode().splitlines()
    for what in ("debug1: Server host key: ", "debug2: KEX algorithms: ", "debug1: Next authentication method: "):
        ends = [re.sub(r".*?( \(at \w+\))?$", r"\1", line) for line in lines if line.startswith(what)]
        assert set(ends) == {" (at one)", " (at two)", ""}, what
    # What people are told says so where it does not name the host anyway.
    told = [line for line in lines if line.startswith("Authenticated to ")]
    assert [line.endswith('using "publickey".') for line in told] == [True] * 3


@pytest.mark.beyond_ssh
def test_a_warning_of_a_hop_says_whose_it_is(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, one="KexAlgorithms curve25519-sha256\nVisualHostKey yes")
    done = ready.run("-J", "one", "box", "true")
    assert done.returncode == 0
    shown, *_ = told = done.stderr.decode().splitlines()
    assert shown.startswith("Host key fingerprint is SHA256:")
    assert shown.endswith(" (at one)")
    warning = "** WARNING: connection is not using a post-quantum key exchange algorithm."
    assert [line for line in told if line.startswith("** WARNING")] == [f"{warning} (at one)"]


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("lines", ["Host one\nProxyJump two\nHost two\nProxyJump one\n", "ProxyJump one\n"])
def test_a_way_that_leads_back_is_refused(ready: Client, hosts: dict[str, Server], lines: str) -> None:
    write_config(ready, hosts, lines)
    done = ready.run("one", "true")
    assert done.returncode == 255
    assert done.stderr.startswith(b"jumphost loop via ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.beyond_ssh
def test_a_way_without_end_is_refused(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, "Host *.loop\nProxyJump x%h\n")
    done = ready.run("a.loop", "true")
    assert done.returncode == 255
    assert b"jumphost loop via x" in done.stderr


@pytest.mark.parametrize("line", ["AllowTcpForwarding no", "PermitOpen 127.0.0.1:1", "DisableForwarding yes"])
def test_a_hop_that_does_not_forward(
    pyssh: Client, hosts: dict[str, Server], sshd: Callable[..., Server], line: str
) -> None:
    strict = sshd(line)
    trust(pyssh, strict, hosts["box"])
    write_config(pyssh, {"one": strict, "box": hosts["box"]})
    done = pyssh.run("-J", "one", "box", "true")
    assert done.returncode == 255
    assert b"channel 0: open failed: administratively prohibited: open failed" in done.stderr
    assert b"stdio forwarding failed" in done.stderr
    assert STAND_IN or b"one does not let us connect to 127.0.0.1" in done.stderr


def test_a_hop_that_cannot_connect(ready: Client) -> None:
    done = ready.run("-J", "one", "-p", str(free_port()), "box", "true")
    assert done.returncode == 255
    assert b"channel 0: open failed: connect failed: Connection refused" in done.stderr
    assert STAND_IN or b"one cannot connect to 127.0.0.1 port" in done.stderr


def test_a_hop_that_lets_nobody_in(ready: Client, hosts: dict[str, Server], strange_keys: KeyRing) -> None:
    write_config(ready, hosts, two=f"IdentityFile {strange_keys.path('ed25519')}")
    before = came_from(hosts["box"])
    done = ready.run("-J", "one,two", "box", "true")
    assert done.returncode == 255
    assert f"{hosts['two'].user}@127.0.0.1: Permission denied".encode() in done.stderr
    assert came_from(hosts["box"]) == before


def test_a_hop_with_another_key_than_it_had(ready: Client, hosts: dict[str, Server]) -> None:
    known = ready.known_hosts.read_text().splitlines()
    place = f"[127.0.0.1]:{hosts['two'].port}"
    wrong = f"{place} {hosts['box'].host_keys[0]}"
    ready.known_hosts.write_text("\n".join([*(line for line in known if place not in line), wrong, ""]))
    write_config(ready, hosts, "HostKeyAlgorithms +ecdsa-sha2-nistp256\n")
    before = came_from(hosts["two"])
    done = ready.run("-J", "one,two", "box", "true")
    assert done.returncode == 255
    assert b"REMOTE HOST IDENTIFICATION HAS CHANGED!" in done.stderr
    assert b"Host key for " + place.encode() in done.stderr
    assert came_from(hosts["two"]) == before


@pytest.mark.beyond_ssh
def test_questions_say_which_host_asks(pyssh: Client, hosts: dict[str, Server], terminal: OpenTerminal) -> None:
    locked = pyssh.keys.variant("ed25519", "locked", passphrase=PASSPHRASE)
    write_config(pyssh, hosts, one=f"IdentityFile {locked}")
    screen = terminal("-J", "one", "box", "echo in; exit 11")
    for name in ("one", "box"):
        screen.expect(rf"The authenticity of host '\[127\.0\.0\.1\]:{hosts[name].port} \(")
        screen.expect(re.escape(fingerprint(hosts[name].host_keys[0])))
        screen.expect(r"\(yes/no/\[fingerprint\]\)\? ")
        screen.send("yes\r")
        if name == "one":
            screen.expect(rf"\(one\) Enter passphrase for key '{re.escape(str(locked))}': ")
            screen.send(PASSPHRASE + "\r")
    screen.expect("in\r\n")
    assert screen.wait() == 11
    assert b"<no hostip for proxy command>" in screen.seen


def test_a_terminal_behind_hops(ready: Client, terminal: OpenTerminal) -> None:
    screen = terminal("-tJ", "one,two", "box", "stty size; read line; echo got $line; exit 12")
    screen.expect("24 80\r\n")
    screen.send("keys\r")
    screen.expect("got keys\r\n")
    assert screen.wait() == 12


def test_every_layer_takes_new_keys_under_load(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, "RekeyLimit 1M\n")
    data = secrets.token_bytes(6 * MIB)
    marks = {name: len(server.log_text()) for name, server in hosts.items()}
    done = ready.run("-J", "one,two", "box", "cat", send=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout == data
    for name, server in hosts.items():
        assert (
            server.log_text()[marks[name] :].count("rekeying")
            + server.log_text()[marks[name] :].count("SSH2_MSG_KEXINIT received")
            > 4
        )


def test_bulk_with_a_reader_that_stops(ready: Client) -> None:
    """Nothing is lost while nobody reads, and what the hop holds back does not grow."""
    with ready.start("-J", "one", "box", f"head -c {40 * MIB} /dev/zero; exit 3") as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\0"
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGCONT)
        rest = process.stdout.read()
        assert process.wait() == 3
    assert len(rest) == 40 * MIB - 1
    assert not rest.strip(b"\0")


def test_compression_in_every_layer(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, "Compression yes\n")
    data = b"the same again " * 100_000
    done = ready.run("-J", "one,two", "box", "cat", send=data)
    assert (done.returncode, done.stdout == data) == (0, True)


@pytest.mark.beyond_ssh
def test_a_hop_that_falls_silent_is_noticed(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, one="ServerAliveInterval 1\nServerAliveCountMax 1")
    before = set(hosts["one"].sessions())
    with ready.start("-J", "one", "box", "echo up; cat") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"up\n"
        stopped = set(hosts["one"].sessions()) - before
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert process.wait() == 255
            assert b"Timeout, server 127.0.0.1 not responding" in process.stderr.read()
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("name", ["one", "two", "box"])
def test_a_host_on_the_way_that_dies(ready: Client, hosts: dict[str, Server], name: str) -> None:
    before = set(hosts[name].sessions())
    with ready.start("-J", "one,two", "box", "echo up; cat") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"up\n"
        for pid in sorted(set(hosts[name].sessions()) - before):  # the shell last
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert process.wait() == 255
        assert STAND_IN or b"closed by remote host" in process.stderr.read()  # ssh may end without a word


def is_left(server: Server, before: set[int]) -> bool:
    return set(server.sessions()) <= before


@pytest.mark.parametrize("ending", ["exit", "killed"])
def test_nothing_is_left_behind(ready: Client, hosts: dict[str, Server], ending: str) -> None:
    before = {name: set(server.sessions()) for name, server in hosts.items()}
    with ready.start("-J", "one,two", "box", "echo up; cat; exit 0") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        if ending == "killed":
            process.terminate()
        else:
            process.stdin.close()
        assert process.wait() == (255 if ending == "killed" and not STAND_IN else process.returncode)
    for name, server in hosts.items():
        left = functools.partial(is_left, server, before[name])
        wait_until(left, f"{name} to be left")


def test_git_clones_through_a_hop(ready: Client, hosts: dict[str, Server], park: Park, tmp_path: Path) -> None:
    there = f"{park.account.home}/jump-{secrets.token_hex(4)}"
    write_config(ready, hosts, box="ProxyJump one,two")
    script = (
        f"git init -q -b main {there} && cd {there} && head -c {MIB} /dev/urandom >blob && git add blob &&"
        " git -c user.name=A -c user.email=a@example.org commit -q -m One && sha256sum blob"
    )
    made = ready.run("box", script)
    assert made.returncode == 0, made.stderr
    environment = {**ready.environment, "GIT_SSH_COMMAND": str(ready.wrapper()), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "clone", "-q", f"box:{there}", tmp_path / "copy"], env=environment, check=True)
    digest = subprocess.run(["sha256sum", "blob"], cwd=tmp_path / "copy", capture_output=True, check=True)
    assert digest.stdout == made.stdout


def test_a_hops_own_proxy_command(ready: Client, hosts: dict[str, Server], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = f"sh -c 'echo %h %p %n >{mark}; exec {relay_command()} %h %p'"
    write_config(ready, hosts, one=f"ProxyCommand {command}")
    assert ready.run("-J", "one,two", "box", "exit 13").returncode == 13
    assert mark.read_text() == f"127.0.0.1 {hosts['one'].port} one\n"


@pytest.mark.parametrize("permitted", ["yes", "no"])
def test_a_hops_local_command(
    client: Client, ready: Client, hosts: dict[str, Server], tmp_path: Path, permitted: str
) -> None:
    mark = tmp_path / "mark"
    command = f"LocalCommand echo %n %h %T >>{mark}; echo lost; echo told >&2"
    write_config(ready, hosts, one=f"{command}\nPermitLocalCommand {permitted}")
    done = client.run("-J", "one,two", "box", "cat; exit 14", send=b"kept")
    assert (done.returncode, done.stdout) == (14, b"kept")
    assert done.stderr == (b"told\n" if permitted == "yes" else b"")
    assert mark.exists() is (permitted == "yes")
    assert not mark.exists() or mark.read_text() == "one 127.0.0.1 NONE\n"


@pytest.mark.beyond_ssh  # where it takes the next connection's words for its own
def test_a_hops_local_command_reads_nothing(ready: Client, hosts: dict[str, Server]) -> None:
    write_config(ready, hosts, one="LocalCommand cat\nPermitLocalCommand yes")
    done = ready.run("-J", "one,two", "box", "cat; exit 14", send=b"kept")
    assert (done.returncode, done.stdout, done.stderr) == (14, b"kept", b"")


def test_the_destinations_patience_is_for_the_whole_way(
    ready: Client, hosts: dict[str, Server], fake_server: Callable[..., FakeServer]
) -> None:
    silent = fake_server(lambda peer: peer.recv(1 << 16) and peer.recv(1))
    write_config(ready, hosts, f"Host quiet\nHostName 127.0.0.1\nPort {silent.port}\nHost *\n")
    done = ready.run("-o", "ConnectTimeout=1", "-J", "quiet", "box", "true")
    assert done.returncode == 255
    assert b"timed out during banner exchange" in done.stderr


def test_a_hop_that_hangs_up(
    ready: Client, hosts: dict[str, Server], fake_server: Callable[..., FakeServer]
) -> None:
    rude = fake_server(lambda peer: None)
    write_config(ready, hosts, f"Host rude\nHostName 127.0.0.1\nPort {rude.port}\nHost *\n")
    done = ready.run("-J", "rude", "box", "true")
    assert done.returncode == 255
    assert b"closed" in done.stderr or b"reset" in done.stderr


def test_a_destination_that_hangs_up(
    ready: Client, hosts: dict[str, Server], fake_server: Callable[..., FakeServer]
) -> None:
    rude = fake_server(lambda peer: peer.sendall(b"go away\r\n"))
    write_config(ready, hosts, f"Host rude\nHostName 127.0.0.1\nPort {rude.port}\nHost *\n")
    done = ready.run("-J", "one", "rude", "true")
    assert done.returncode == 255
    assert b"Connection closed by" in done.stderr
    assert STAND_IN or b"by way of one" in done.stderr


def test_a_destination_that_is_no_ssh_server(
    ready: Client, hosts: dict[str, Server], fake_server: Callable[..., FakeServer]
) -> None:
    """What breaks the protocol inside is not taken for a fault of the hop's."""

    def babble(peer: socket.socket) -> None:
        peer.sendall(b"SSH-2.0-x\r\n" + b"\0" * 4096)
        while peer.recv(1 << 16):
            pass

    strange = fake_server(babble)
    write_config(ready, hosts, f"Host strange\nHostName 127.0.0.1\nPort {strange.port}\nHost *\n")
    done = ready.run("-J", "one", "strange", "true")
    assert done.returncode == 255
    assert STAND_IN or f"Connection to 127.0.0.1 port {strange.port} by way of one: ".encode() in done.stderr


def test_other_servers_as_hops(pyssh: Client, dropbear: Server, hosts: dict[str, Server]) -> None:
    if dropbear.kind != "dropbear":  # AsyncSSH's stand-in forwards nothing
        dropbear = hosts["two"]
    trust(pyssh, dropbear, hosts["box"])
    write_config(pyssh, {"one": dropbear, "box": hosts["box"]})
    data = secrets.token_bytes(MIB)
    done = pyssh.run("-J", "one", "box", "cat", send=data)
    assert (done.returncode, done.stdout == data) == (0, True), done.stderr
