"""The client under test: pyssh in a home of its own, or the ssh that PYSSH_TEST_CLIENT names in its place.

`PYSSH_TEST_CLIENT=/usr/bin/ssh scripts/test` proves the tests themselves: what they ask of pyssh, ssh does.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.system.servers import KeyRing, Server, program
from tests.system.waiting import PATIENCE

STAND_IN = shlex.split(os.environ.get("PYSSH_TEST_CLIENT", ""))
PROGRAM = STAND_IN or [sys.executable, "-m", "pyssh_cli"]

File = int | IO[bytes]


@dataclass
class Client:
    """One person's client: a home directory, a configuration, known hosts and keys.

    `aim()` makes the host name "box" mean a server; the words given to `run()` and its kin follow
    `-F config` on the command line.
    """

    home: Path
    keys: KeyRing
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with an empty home and no agent."""
        (self.home / ".ssh").mkdir(mode=0o700, parents=True)
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        self.environment = {"LANG": "C.UTF-8", **inherited, "HOME": str(self.home), "TERM": "xterm"}

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.home / ".ssh" / "config"

    @property
    def known_hosts(self) -> Path:
        """The known hosts file."""
        return self.home / ".ssh" / "known_hosts"

    @property
    def argv(self) -> list[str]:
        """How the client is called."""
        return [*PROGRAM, "-F", str(self.config)]

    def aim(
        self, server: Server, *lines: str, keys: Sequence[str | Path] = ("ed25519",), trust: bool = True
    ) -> None:
        """Write a configuration in which "box" is this server.

        `lines` come first, where they win. `keys` are names of the ring or files; none leaves the client
        without. `trust` writes the server's host keys to the known hosts.
        """
        if trust:
            self.trust(server)
        self.aim_at_port(server.port, *lines, user=server.user, keys=keys)

    def aim_at_port(self, port: int, *lines: str, user: str = "nobody", keys: Sequence[str | Path] = ()) -> None:
        """Write a configuration in which "box" is this port of 127.0.0.1."""
        files = [self.keys.path(key) if isinstance(key, str) else key for key in keys] or [Path("none")]
        settings = [
            *lines,
            "HostName 127.0.0.1",
            f"Port {port}",
            f"User {user}",
            *(f"IdentityFile {path}" for path in files),
            "IdentitiesOnly yes",
        ]
        everywhere = [
            f"UserKnownHostsFile {self.known_hosts}",
            "GlobalKnownHostsFile /dev/null",
            "IgnoreUnknown WarnWeakCrypto",  # an ssh that stands in may be too old for it
            "WarnWeakCrypto no",
        ]
        text = ["Host box", *(f"    {line}" for line in settings), "Host *", *everywhere]
        self.config.write_text("".join(f"{line}\n" for line in text))
        self.config.chmod(0o600)

    def trust(self, server: Server) -> None:
        """Write the server's host keys, and only them, to the known hosts."""
        self.known_hosts.write_text("".join(f"[127.0.0.1]:{server.port} {key}\n" for key in server.host_keys))

    def run(
        self, *words: str, send: bytes | None = None, stdin: File | None = None, stdout: File = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the client to its end; `send` is its stdin, /dev/null when neither that nor `stdin` is given."""
        with self.start(*words, stdin=subprocess.PIPE if stdin is None else stdin, stdout=stdout) as process:
            out, err = process.communicate(send, timeout=4 * PATIENCE)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @contextlib.contextmanager
    def start(
        self,
        *words: str,
        stdin: File = subprocess.PIPE,
        stdout: File = subprocess.PIPE,
        stderr: File = subprocess.PIPE,
        argv: Sequence[str] = (),
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The client started, and killed if it still runs at the end of the block.

        `argv` goes before it, for a program that starts another.
        """
        process = subprocess.Popen(
            [*argv, *self.argv, *words],
            env=self.environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # no terminal to ask on, whoever runs the tests
        )
        try:
            yield process
        finally:
            process.kill()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            process.wait()

    def wrapper(self) -> Path:
        """A script that calls the client with its configuration, for programs that want one word."""
        path = self.home / "client"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(self.argv)} "$@"\n')
        path.chmod(0o755)
        return path


class OpenSSHClient(Client):
    """The same person with OpenSSH's ssh, for what both must do alike. `home` is the other client's."""

    def __post_init__(self) -> None:
        """The home is there already."""

    @property
    def argv(self) -> list[str]:
        """How ssh is called."""
        return [program("ssh"), "-F", str(self.config)]


def is_logged_in(pid: int) -> bool:
    """Whether a client is past its login: the last thing minded from then on is the window's size."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGWINCH - 1) & 1)
