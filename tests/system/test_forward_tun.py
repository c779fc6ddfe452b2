"""-w: packets and frames between two network namespaces, one of the client's and one of an sshd's."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.servers import IS_ROOT, Account, Park, program
from tests.system.waiting import PATIENCE, wait_until

ECHO = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family) as listener:
    listener.bind((sys.argv[1], 7000))
    listener.listen()
    print("ready", flush=True)
    connection, _ = listener.accept()
    while data := connection.recv(65536):
        connection.sendall(data)
"""

ASK = """
import random, socket, sys, threading
sent = random.Random(1).randbytes(1 << 20)
with socket.create_connection((sys.argv[1], 7000), timeout=60) as sock:
    def send():
        sock.sendall(sent)
        sock.shutdown(socket.SHUT_WR)
    threading.Thread(target=send, daemon=True).start()
    got = bytearray()
    while data := sock.recv(65536):
        got += data
print("same" if got == sent else f"{len(got)} bytes of {len(sent)}")
"""

ADDRESSES = {"IPv4": ("10.83.7.1/30", "10.83.7.2/30"), "IPv6": ("fd83:7::1/64", "fd83:7::2/64")}


def _ip(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program("ip"), *words], capture_output=True, check=False)


def _why_not() -> str:
    """What keeps us from making devices in namespaces of our own; empty for nothing."""
    if not IS_ROOT:
        return "only root may make network namespaces"
    if shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        return "ip (iproute2) is not installed"
    name = f"pyssh-{secrets.token_hex(4)}"
    made = _ip("netns", "add", name)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.decode().strip()}"
    try:
        device = _ip("-n", name, "tuntap", "add", "dev", "tun0", "mode", "tun")
        return f"no tun devices here: {device.stderr.decode().strip()}" if device.returncode else ""
    finally:
        _ip("netns", "del", name)


WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


class Namespace:
    """A network namespace with nothing but a loopback device."""

    def __init__(self) -> None:
        self.name = f"pyssh-{secrets.token_hex(4)}"
        assert _ip("netns", "add", self.name).returncode == 0
        self.ip("link", "set", "lo", "up")

    @property
    def argv(self) -> list[str]:
        """What goes before a command that is to run in it."""
        return [program("ip"), "netns", "exec", self.name]

    def ip(self, *words: str) -> str:
        """Run ip(8) in it. Raises CalledProcessError."""
        done = _ip("-n", self.name, *words)
        done.check_returncode()
        return done.stdout.decode()

    def pids(self) -> list[int]:
        """The processes in it."""
        return [int(word) for word in _ip("netns", "pids", self.name).stdout.split()]

    def has(self, device: str) -> bool:
        """Whether there is such a device."""
        return _ip("-n", self.name, "link", "show", device).returncode == 0

    def addresses(self, device: str) -> str:
        """What the device is and has; not whether the kernel is still trying an address out."""
        return self.ip("addr", "show", device).replace(" tentative", "")

    def set_up(self, device: str, address: str) -> None:
        """Give a device an address, and switch it on."""
        self.ip("addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        self.ip("link", "set", device, "up")

    def remove(self) -> None:
        """Let it go."""
        _ip("netns", "del", self.name)


@pytest.fixture
def here() -> Iterator[Namespace]:
    """The client's namespace."""
    made = Namespace()
    yield made
    made.remove()


@pytest.fixture
def there() -> Iterator[Namespace]:
    """The server's."""
    made = Namespace()
    yield made
    made.remove()


Aim = Callable[..., None]


@pytest.fixture
def aim(pyssh: Client, park: Park, account: Account, there: Namespace, tmp_path: Path) -> Aim:
    """Makes "box" an sshd of root's in the other namespace, with these lines in its configuration first."""

    def do(*lines: str, options: tuple[str, ...] = ()) -> None:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = tmp_path / "sshd_config"
        settings = [
            *lines,
            "PermitTunnel yes",
            "PermitRootLogin prohibit-password",
            f"HostKey {park.host_keys.path('ed25519')}",
            f"AuthorizedKeysFile {account.authorized_keys}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
        ]
        config.write_text("".join(f"{line}\n" for line in settings))
        sshd = [*there.argv, program("sshd"), "-i", "-f", str(config)]
        pyssh.aim_at_port(
            22, *options, f"ProxyCommand {shlex.join(sshd)}", "HostKeyAlias box", user="root", keys=("ed25519",)
        )
        pyssh.known_hosts.write_text(f"box {park.host_keys.public('ed25519')}\n")

    return do


@contextlib.contextmanager
def tunnel(
    client: Client, here: Namespace, there: Namespace, *words: str, ours: str, theirs: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The client in its namespace, once both devices are there."""
    with client.start("-N", *words, "box", argv=here.argv, stdin=subprocess.DEVNULL) as process:
        wait_until(
            lambda: process.poll() is not None or (here.has(ours) and there.has(theirs)), "the tunnel's devices"
        )
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield process


def echoed(here: Namespace, there: Namespace, address: str) -> str:
    """What became of a mebibyte that goes to the server's side and back by TCP."""
    with subprocess.Popen([*there.argv, sys.executable, "-c", ECHO, address], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            command = [*here.argv, sys.executable, "-c", ASK, address]
            done = subprocess.run(command, capture_output=True, check=False, timeout=2 * PATIENCE)
            return (done.stdout + done.stderr).decode().strip()
        finally:
            server.kill()


@pytest.mark.parametrize("version", ADDRESSES)
@pytest.mark.parametrize(
    ("words", "ours", "theirs"),
    [
        (("-w", "3:5"), "tun3", "tun5"),
        (("-w", "any"), "tun0", "tun0"),
        (("-w", "any:4"), "tun0", "tun4"),
        (("-o", "Tunnel=yes", "-o", "TunnelDevice=2:any"), "tun2", "tun0"),
        (("-o", "Tunnel=ethernet", "-w", "1:2"), "tap1", "tap2"),
        (("-o", "Tunnel=ethernet"), "tap0", "tap0"),
    ],
)
def test_packets_arrive(
    pyssh: Client,
    aim: Aim,
    here: Namespace,
    there: Namespace,
    words: tuple[str, ...],
    ours: str,
    theirs: str,
    version: str,
) -> None:
    aim()
    with tunnel(pyssh, here, there, *words, ours=ours, theirs=theirs):
        mine, their_own = ADDRESSES[version]
        here.set_up(ours, mine)
        there.set_up(theirs, their_own)
        assert echoed(here, there, their_own.partition("/")[0]) == "same"
    wait_until(lambda: not here.has(ours), "the device to go with the client")


@pytest.mark.beyond_ssh
def test_the_device_stays_when_the_connection_is_lost(
    pyssh: Client, aim: Aim, here: Namespace, there: Namespace
) -> None:
    aim(options=("Reconnect yes",))
    mine, their_own = ADDRESSES["IPv4"]
    with tunnel(pyssh, here, there, "-w", "3:5", ours="tun3", theirs="tun5") as process:
        here.set_up("tun3", mine)
        before = here.addresses("tun3")
        for pid in there.pids():
            os.kill(pid, signal.SIGKILL)
        assert process.stderr is not None
        assert b" again in " in process.stderr.readline()
        assert here.addresses("tun3") == before
        wait_until(lambda: there.has("tun5"), "the server's device to come back")
        there.set_up("tun5", their_own)
        assert echoed(here, there, their_own.partition("/")[0]) == "same"
        assert here.addresses("tun3") == before
    wait_until(lambda: not here.has("tun3"), "the device to go with the client")


def test_a_session_beside_it(pyssh: Client, aim: Aim, here: Namespace, there: Namespace, tmp_path: Path) -> None:
    """As with ssh, the tunnel holds the connection up when the session has ended."""
    aim()
    log = tmp_path / "log"
    with pyssh.start("-v", "-E", str(log), "-w", "6:7", "box", "ip link; cat", argv=here.argv) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        while b"tun7" not in (line := process.stdout.readline()):
            assert line
        process.stdin.close()
        wait_until(lambda: "rtype exit-status" in log.read_text(), "the session to end")
        mine, their_own = ADDRESSES["IPv4"]
        here.set_up("tun6", mine)
        there.set_up("tun7", their_own)
        assert echoed(here, there, their_own.partition("/")[0]) == "same"


@pytest.mark.parametrize("words", [("-o", "Tunnel=no"), ("-w", "1", "-o", "ClearAllForwardings=yes")])
def test_no_tunnel(pyssh: Client, aim: Aim, here: Namespace, words: tuple[str, ...]) -> None:
    aim()
    with pyssh.start(*words, "-o", "TunnelDevice=1", "box", "ip link", argv=here.argv) as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert b"tun" not in out
    assert process.returncode == 0


def test_a_device_that_is_in_use(pyssh: Client, aim: Aim, here: Namespace, there: Namespace) -> None:
    aim()
    with tunnel(pyssh, here, there, "-w", "3:3", ours="tun3", theirs="tun3"):
        for words, status in (((), 0), (("-o", "ExitOnForwardFailure=yes"), 255)):
            with pyssh.start(*words, "-w", "3:4", "box", "true", argv=here.argv) as process:
                _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == status
            assert "Tunnel device open failed." in err.decode()
            assert "Could not request tunnel forwarding." in err.decode()


@pytest.mark.parametrize(("words", "status"), [((), 0), (("-o", "ExitOnForwardFailure=yes"), 255)])
@pytest.mark.parametrize("line", ["PermitTunnel no", "PermitTunnel ethernet"])
def test_a_server_that_permits_none(
    pyssh: Client, aim: Aim, here: Namespace, line: str, words: tuple[str, ...], status: int
) -> None:
    aim(line)
    with pyssh.start(*words, "-w", "3:3", "box", "echo ran", argv=here.argv) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert out == (b"" if status else b"ran\n")
    assert "Tunnel forwarding failed" in err.decode()
    assert not here.has("tun3")


@pytest.mark.beyond_ssh  # which then spins
def test_a_device_that_is_deleted(pyssh: Client, aim: Aim, here: Namespace, there: Namespace) -> None:
    aim()
    with tunnel(pyssh, here, there, "-w", "3:3", ours="tun3", theirs="tun3"):
        here.ip("link", "del", "tun3")
        wait_until(lambda: not there.has("tun3"), "the other device to go")


@pytest.mark.parametrize("rule", ["tun-connection=1", "tun-*=1", "global=1"])
def test_a_tunnel_that_carries_nothing(
    pyssh: Client, aim: Aim, here: Namespace, there: Namespace, tmp_path: Path, rule: str
) -> None:
    """ChannelTimeout takes the devices back on both sides, and -N stays."""
    aim(options=(f"ChannelTimeout {rule}",))
    log = tmp_path / "log"
    log.touch()
    words = ("-v", "-E", str(log), "-N", "-w", "3:5", "box")
    with pyssh.start(*words, argv=here.argv, stdin=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or "closing after 1 seconds" in log.read_text(), "its end")
        assert "tunnel forward established" in log.read_text()
        wait_until(lambda: not (here.has("tun3") or there.has("tun5")), "the devices to go")
        assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE) == 0
