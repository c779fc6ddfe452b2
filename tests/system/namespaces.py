"""Networks of the tests' own, in network namespaces, for what no server on 127.0.0.1 shows: routes that lead
nowhere, and a path that swallows large packets."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from pathlib import Path

from tests.system.servers import IS_ROOT, program

SERVER = "10.83.22.2"


def _ip(*words: str) -> None:
    subprocess.run([program("ip"), *words], check=True, capture_output=True)


def _possible() -> bool:
    if not IS_ROOT or shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
        return False
    name = f"pyssh-{secrets.token_hex(4)}"
    made = [program("ip"), "netns", "add", name]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        return False
    try:
        pair = ["link", "add", "veth0", "type", "veth", "peer", "name", "veth1"]
        return subprocess.run([program("ip"), "-n", name, *pair], capture_output=True, check=False).returncode == 0
    finally:
        _ip("netns", "del", name)


POSSIBLE = _possible()


class Namespaces:
    """Some network namespaces, each with its loopback device up, until closed."""

    def __init__(self, *names: str) -> None:
        self._mark = f"pyssh-{secrets.token_hex(4)}"
        self._names = names
        for name in names:
            _ip("netns", "add", self.called(name))
            self.ip(name, "link", "set", "lo", "up")

    def called(self, name: str) -> str:
        """What the system calls it."""
        return f"{self._mark}-{name}"

    def argv(self, name: str) -> list[str]:
        """What goes before a command that is to run in it."""
        return [program("ip"), "netns", "exec", self.called(name)]

    def ip(self, name: str, *words: str) -> None:
        """Run ip(8) in it."""
        _ip("-n", self.called(name), *words)

    def set(self, name: str, setting: str) -> None:
        """Switch a setting of sysctl(8) below net.ipv4 on."""
        command = f"echo 1 > /proc/sys/net/ipv4/{setting}"
        subprocess.run([*self.argv(name), "sh", "-c", command], check=True)

    def join(self, one: str, address: str, other: str, other_address: str) -> None:
        """A cable between two. Nothing longer than a packet goes over it in one piece."""
        ends = ((one, f"to-{other}", address), (other, f"to-{one}", other_address))
        (_, near, _), (_, far, _) = ends
        self.ip(one, "link", "add", near, "type", "veth", "peer", "name", far, "netns", self.called(other))
        for name, device, where in ends:
            self.ip(name, "addr", "add", f"{where}/24", "dev", device)
            self.ip(name, "link", "set", device, "gso_max_segs", "1", "up")

    def close(self) -> None:
        """Remove them all."""
        for name in self._names:
            _ip("netns", "del", self.called(name))


class NarrowPath:
    """A client, two routers and an sshd at `SERVER`. The second router takes only packets of up to 800 bytes from
    the first, which drops all others without a word; towards the client everything passes."""

    def __init__(self, directory: Path, host_key: Path) -> None:
        self._spaces = spaces = Namespaces("client", "near", "far", "server")
        spaces.join("client", "10.83.19.2", "near", "10.83.19.1")
        spaces.join("near", "10.83.20.1", "far", "10.83.20.2")
        spaces.join("far", "10.83.22.1", "server", SERVER)
        routes = {"client": "10.83.19.1", "near": "10.83.20.2", "far": "10.83.20.1", "server": "10.83.22.1"}
        for name, way in routes.items():
            spaces.ip(name, "route", "add", "default", "via", way)
        for name in ("near", "far"):
            spaces.set(name, "ip_forward")
        spaces.set("server", "ip_no_pmtu_disc")  # what it sends may be cut into pieces
        spaces.ip("far", "link", "set", "to-near", "mtu", "800")
        self.argv = spaces.argv("client")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = directory / "narrow_sshd_config"
        # For the grace a connection that never comes to a login outlives its server, and `close` waits for it.
        lines = ("PidFile none", "UseDNS no", "StrictModes no", "LoginGraceTime 6")
        config.write_text("\n".join((f"ListenAddress {SERVER}", f"HostKey {host_key}", *lines, "")))
        self._sshd = subprocess.Popen(
            [*spaces.argv("server"), program("sshd"), "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._sshd.stderr is not None
        assert b"listening on" in self._sshd.stderr.readline()

    def close(self) -> None:
        """End the server and remove it all."""
        self._sshd.kill()
        self._sshd.communicate()
        self._spaces.close()
