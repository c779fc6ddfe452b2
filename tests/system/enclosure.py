"""A private /etc for a server or a client: a copy in a mount namespace of its own, for tests of what only root's
files there decide (PAM, host-based authentication). The machine's own /etc is never written to."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.system.servers import IS_ROOT, Account, KeyRing, Park, Server

_SCRIPT = 'mount --bind "$0" /etc && exec "$@"'


def _can_enclose() -> bool:
    if not IS_ROOT or shutil.which("unshare") is None:
        return False
    probe = [*_unshare(), "sh", "-c", "mount --bind /etc /etc"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _copy_if_there(source: str, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _unshare() -> list[str]:
    return ["unshare", "--mount", "--propagation", "private"]


CAN_ENCLOSE = _can_enclose()
"""Whether we may make mount namespaces: some containers let not even root."""


class Enclosure:
    """A copy of /etc in `directory`, to be changed at will; `argv` goes before a program that is to see it."""

    def __init__(self, directory: Path) -> None:
        self.etc = directory / "etc"
        # Accounts of other tests come and go meanwhile: their locks stay out, and files that vanish do not matter.
        locks = shutil.ignore_patterns("*.lock", "nshadow", "npasswd", "*+")
        shutil.copytree("/etc", self.etc, symlinks=True, ignore=locks, copy_function=_copy_if_there)
        self.argv = [*_unshare(), "sh", "-c", _SCRIPT, str(self.etc)]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file; `path` is relative to /etc."""
        target = self.etc / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def change_shadow(self, user: str, number: int, value: str) -> None:
        """Set a field of the user's line in shadow(5)."""
        self._change("shadow", user, number, value, 0o640)

    def change_passwd(self, user: str, number: int, value: str) -> None:
        """Set a field of the user's line in passwd(5)."""
        self._change("passwd", user, number, value, 0o644)

    def _change(self, path: str, user: str, number: int, value: str, mode: int) -> None:
        lines = (self.etc / path).read_text().splitlines()
        for index, line in enumerate(lines):
            fields = line.split(":")
            if fields[0] == user:
                fields[number] = value
                lines[index] = ":".join(fields)
        self.write(path, "\n".join(lines) + "\n", mode)


class EnclosedPark(Park):
    """Starts servers by `prefix`, a program and arguments that run what follows them."""

    def __init__(self, directory: Path, account: Account, host_keys: KeyRing, prefix: list[str]) -> None:
        super().__init__(directory, account, host_keys)
        self._prefix = prefix

    def _started(
        self, kind: str, command: Callable[[int], list[str]], *, host_keys: list[str], has_password: bool = True
    ) -> Server:
        return super()._started(
            kind,
            lambda port: [*self._prefix, *command(port)],
            host_keys=host_keys,
            has_password=has_password,
        )
