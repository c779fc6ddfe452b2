"""A network of the tests' own: a name server and an sshd in a namespace, where the client is run as well."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.system import dns_server
from tests.system.servers import IS_ROOT, Account, program

ROOT = Path(__file__).parents[2]

ADDRESS = "192.0.2.1"
"""The server's, which is not local, unlike 127.0.0.1."""

PORTS = (22, 2222)

_RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
_SERVICES = "passwd: files\ngroup: files\nhosts: dns\n"
_UNSHARE = ["unshare", "--net", "--mount"]

POSSIBLE = (
    IS_ROOT
    and shutil.which("unshare") is not None
    and subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode == 0
)


class Sandbox:
    """The namespace. `zone` is what the name server tells (`dns_server.read_zone`); the sshd is at `ADDRESS` and
    at 127.0.0.1, on all of `PORTS`, and shows `host_keys`, files of private keys."""

    def __init__(self, directory: Path, zone: str, account: Account, host_keys: Sequence[Path]) -> None:
        """Start both servers; `close()` ends them, and with them the namespace."""
        for name, text in (("zone", zone), ("resolv.conf", _RESOLVER), ("nsswitch.conf", _SERVICES)):
            (directory / name).write_text(text)
        script = (
            'mount --bind "$1/resolv.conf" /etc/resolv.conf && mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf'
            f' && exec "$2" "$3" "$1/zone" "$1/asked" {ADDRESS}'
        )
        words = ["sh", "-c", script, "sh", str(directory), sys.executable, dns_server.__file__]
        self._names = subprocess.Popen(
            [*_UNSHARE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._names.stdout is not None
        assert self._names.stdout.readline() == b"ready\n"
        self.enter = ["nsenter", f"--target={self._names.pid}", "--net", "--mount", f"--wd={ROOT}"]
        """What to put before a program that is to run in here."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = directory / "sshd_config"
        lines = [
            *(f"ListenAddress {address}:{port}" for address in (ADDRESS, "127.0.0.1") for port in PORTS),
            *(f"HostKey {path}" for path in host_keys),
            f"AuthorizedKeysFile {account.authorized_keys}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "UseDNS no",
            "MaxStartups 100:30:200",
        ]
        config.write_text("".join(f"{line}\n" for line in lines))
        self._sshd = subprocess.Popen(
            [*self.enter, program("sshd"), "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._sshd.stderr is not None
        for _ in range(2 * len(PORTS)):
            assert b"listening on" in self._sshd.stderr.readline()

    def close(self) -> None:
        """End the servers."""
        for process in (self._sshd, self._names):
            process.kill()
            process.communicate()
