"""Throwaway servers on 127.0.0.1 (OpenSSH, Dropbear, TinySSH, AsyncSSH), their keys, and the account they serve.

Each runs in the foreground as our child, answers before it is handed out, and is gone with everything it
started when stopped. What a test writes on the server's side goes into the account's home.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.system.waiting import wait_until

HERE = Path(__file__).parent
IS_ROOT = os.geteuid() == 0

SERVER_KINDS = ("openssh", "dropbear", "tinyssh", "asyncssh") if IS_ROOT else ("openssh", "asyncssh")
"""Dropbear and TinySSH read only ~/.ssh/authorized_keys, so they need an account that root made for them."""

KEY_TYPES = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-3072")
PASSPHRASE = "a passphrase of the tests"


def program(name: str) -> str:
    """The path of a program that may live in an sbin directory. Raises FileNotFoundError."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; scripts/test installs what the tests need")
    return found


def public_directory() -> Path:
    """A new directory that any user may enter, with a path short enough for Unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="pyssh-"))
    path.chmod(0o755)
    return path


def fingerprint(public_key: str) -> str:
    """The SHA256: fingerprint of a public key line, as ssh shows it."""
    digest = hashlib.sha256(base64.b64decode(public_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _keygen_type(name: str) -> list[str]:
    kind, _, bits = name.partition("-")
    return ["-t", kind, *(["-b", bits] if bits else [])]


class KeyRing:
    """A directory with one key of every type, made once, and variants of them in other formats."""

    def __init__(self, directory: Path) -> None:
        """Make the keys. Raises CalledProcessError."""
        self.directory = directory
        directory.mkdir(mode=0o755)
        makers = [
            subprocess.Popen(
                ["ssh-keygen", "-q", "-N", "", "-C", name, "-f", str(directory / name), *_keygen_type(name)]
            )
            for name in KEY_TYPES
        ]
        for maker in makers:
            if maker.wait():
                raise subprocess.CalledProcessError(maker.returncode, maker.args)

    def path(self, name: str) -> Path:
        """The private key's file."""
        return self.directory / name

    def public(self, name: str) -> str:
        """The public key's line: type and base64, without the comment."""
        return " ".join((self.directory / f"{name}.pub").read_text().split()[:2])

    def public_lines(self) -> list[str]:
        """The public key of every type."""
        return [self.public(name) for name in KEY_TYPES]

    def variant(self, name: str, copy: str, *, passphrase: str = "", form: str = "RFC4716") -> Path:
        """A copy of a private key in another format (ssh-keygen's -m) or with a passphrase."""
        path = self.directory / copy
        if not path.exists():
            shutil.copy(self.path(name), path)
            subprocess.run(
                ["ssh-keygen", "-q", "-p", "-P", "", "-N", passphrase, "-m", form, "-f", path], check=True
            )
        return path


@dataclass(frozen=True)
class Account:
    """The user that commands run as on the servers."""

    name: str
    home: Path
    password: str | None
    """None when the account is not ours to have a password."""
    authorized_keys: Path

    def authorize(self, lines: list[str]) -> None:
        """Let these public keys in, and only these."""
        self.authorized_keys.write_text("".join(f"{line}\n" for line in lines))


@contextlib.contextmanager
def throwaway_account(directory: Path) -> Iterator[Account]:
    """An account for the tests: a new system user when root, the current user with files aside otherwise."""
    if not IS_ROOT:
        user = pwd.getpwuid(os.geteuid())
        yield Account(user.pw_name, Path(user.pw_dir), None, directory / "authorized_keys")
        return
    name = f"pyssh-{secrets.token_hex(6)}"
    password = secrets.token_urlsafe(12)
    home = Path("/home") / name  # TinySSH refuses a home below a directory like /tmp that all may write to
    (home / ".ssh").mkdir(parents=True)
    (home / ".bash_profile").write_text("PS1='ready> '\nPS2=\nPROMPT_COMMAND=\n")
    make = [program("useradd"), "--home-dir", str(home), "--no-create-home", "--shell", "/bin/bash", name]
    # useradd gives up at once while another worker holds the lock on the password file
    wait_until(lambda: subprocess.run(make, capture_output=True, check=False).returncode == 0, "useradd")
    try:
        set_password = [program("chpasswd")]
        wait_until(
            lambda: (
                subprocess.run(
                    set_password, input=f"{name}:{password}".encode(), capture_output=True, check=False
                ).returncode
                == 0
            ),
            "chpasswd",
        )
        account = Account(name, home, password, home / ".ssh" / "authorized_keys")
        account.authorize([])
        for path in (home, *home.rglob("*")):
            shutil.chown(path, name, name)
        yield account
    finally:
        uid = pwd.getpwnam(name).pw_uid
        _signal_all(_halt_all(lambda: _processes_of(uid)), signal.SIGKILL)
        remove = [program("userdel"), "--force", name]
        wait_until(
            lambda: subprocess.run(remove, capture_output=True, check=False).returncode in {0, 6},
            "userdel",
        )
        shutil.rmtree(home, ignore_errors=True)


def _processes_of(uid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                found.append(int(entry.name))
    return found


def _processes_served_by(pid: int, port: int) -> list[int]:
    """The server's descendants, and what it left behind: sessions carry its port in SSH_CONNECTION."""
    parents: dict[int, int] = {}
    served: set[int] = set()
    mark = f" 127.0.0.1 {port}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (entry / "environ").read_bytes().split(b"\0")
            if any(v.startswith(b"SSH_CONNECTION=") and v.endswith(mark) for v in variables):
                served.add(int(entry.name))
    for child in parents:
        above = child
        while above in parents and above != pid:
            above = parents[above]
        if above == pid and child != pid:
            served.add(child)
    return sorted(served - {os.getpid()})


def _halt_all(found: Callable[[], list[int]]) -> set[int]:
    """Stop all processes that are found, those among them that one has started meanwhile, as an sshd does when a
    user has just been let in. Killed afterwards, none sees that another has ended, and none is left over."""
    halted: set[int] = set()
    while new := set(found()) - halted:
        _signal_all(new, signal.SIGSTOP)
        halted |= new
    return halted


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def free_port() -> int:
    """A port that nobody listens on now.

    From below the range the kernel hands to outgoing connections, in a part that is this test worker's own,
    so that it can hardly be taken between here and the server's start.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    while True:
        port = 15000 + worker * 2000 + random.randrange(2000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


class Server:
    """One running server. `kind` is of SERVER_KINDS; `log` is what it said on stderr."""

    running: list[Server] = []  # noqa: RUF012
    """All that run now, for the logs of a failed test."""

    def __init__(
        self,
        kind: str,
        command: Callable[[int], list[str]],
        *,
        user: str,
        password: str | None,
        host_keys: list[str],
        directory: Path,
    ) -> None:
        """Start `command(port)` on a free port and wait until it answers with a version line.

        `host_keys` are public key lines. Raises RuntimeError with its log when it does not start.
        """
        self.kind = kind
        self.user = user
        self.password = password
        self.host_keys = host_keys
        self.directory = directory
        self._command = command
        for attempt in range(5):
            self.port = free_port()
            self.log = directory / f"{kind}-{self.port}-{secrets.token_hex(4)}.log"  # a port may come twice
            if self._starts():
                return
            if attempt == 4 or b"ddress already in use" not in self.log.read_bytes():
                break
        raise RuntimeError(f"{kind} does not start:\n{self.log_text()}")

    def _starts(self) -> bool:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(self.port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        answers = wait_until(self._answers_or_died, f"{self.kind} to start") == "answers"
        if answers:
            self.running.append(self)
        return answers

    def start_again(self) -> None:
        """Start the server, which was stopped, on the port that it had. Raises RuntimeError."""
        if not self._starts():
            raise RuntimeError(f"{self.kind} does not start again:\n{self.log_text()}")

    @property
    def pid(self) -> int:
        """The listening process."""
        return self._process.pid

    def log_text(self) -> str:
        """What the server has said so far."""
        return self.log.read_text(errors="replace")

    def sessions(self) -> list[int]:
        """The processes that serve connections now, and their commands."""
        return _processes_served_by(self.pid, self.port)

    def hang_up(self) -> None:
        """Kill what serves connections now; new ones are served."""
        _signal_all(_halt_all(self.sessions), signal.SIGKILL)

    def stop(self) -> None:
        """Kill the server and all it started; nothing happens when it is stopped already."""
        if self in self.running:
            self.running.remove(self)
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGSTOP)
        sessions = _halt_all(self.sessions)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        _signal_all(sessions, signal.SIGKILL)

    def _answers_or_died(self) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=10) as probe:
                if probe.recv(4) == b"SSH-" and self._process.poll() is None:
                    return "answers"
        except OSError:
            pass
        return "died" if self._process.poll() is not None else ""


class Park:
    """Starts servers for one account, with one set of host keys, and stops them all at the end."""

    def __init__(self, directory: Path, account: Account, host_keys: KeyRing) -> None:
        """`directory` must be one that the account can enter."""
        self.directory = directory
        self.account = account
        self.host_keys = host_keys
        self._servers: list[Server] = []

    def start(self, kind: str) -> Server:
        """A server of this kind with no special settings."""
        starters: dict[str, Callable[[], Server]] = {
            "openssh": self.openssh,
            "dropbear": self.dropbear,
            "tinyssh": self.tinyssh,
            "asyncssh": self.asyncssh,
        }
        return starters[kind]()

    def openssh(self, *lines: str, host_keys: tuple[str, ...] = KEY_TYPES) -> Server:
        """OpenSSH's sshd. `lines` go to the top of its configuration, where they win."""
        if IS_ROOT:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.directory / f"sshd_config-{secrets.token_hex(4)}"
        settings = [
            *lines,
            *(f"HostKey {self.host_keys.path(name)}" for name in host_keys),
            f"AuthorizedKeysFile {self.account.authorized_keys}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "PrintMotd no",
            "PrintLastLog no",
            "UseDNS no",
            "PasswordAuthentication yes",
            "KbdInteractiveAuthentication no",
            "LogLevel DEBUG1",
            "MaxStartups 100:30:200",
            "MaxSessions 100",
            "AcceptEnv LANG LC_*",
            "Subsystem sftp internal-sftp",
            *self._penalties(),
        ]
        config.write_text("".join(f"{line}\n" for line in settings))
        return self._started(
            "openssh",
            lambda port: [
                *(program("sshd"), "-D", "-e", "-f", str(config)),
                *("-o", f"ListenAddress=127.0.0.1:{port}"),
            ],
            host_keys=[self.host_keys.public(name) for name in host_keys],
        )

    def dropbear(self, *arguments: str) -> Server:
        """Dropbear, with host keys of the types it knows."""
        names = ("ed25519", "ecdsa-256", "rsa-3072")
        keys: list[str] = []
        for name in names:
            path = self.host_keys.directory / f"{name}.dropbear"
            if not path.exists():
                subprocess.run(
                    [program("dropbearconvert"), "openssh", "dropbear", self.host_keys.path(name), path],
                    check=True,
                    capture_output=True,
                )
            keys += ["-r", str(path)]
        return self._started(
            "dropbear",
            lambda port: [
                *(program("dropbear"), "-F", "-E", "-m", "-p", f"127.0.0.1:{port}"),
                *("-P", str(self.directory / f"dropbear-{port}.pid"), *keys, *arguments),
            ],
            host_keys=[self.host_keys.public(name) for name in names],
        )

    def tinyssh(self, *arguments: str) -> Server:
        """TinySSH behind a listener of our own; it knows one algorithm of each sort and public keys only."""
        keys = self.directory / "tinyssh-keys"
        if not keys.exists():
            subprocess.run([program("tinysshd-makekey"), "-q", keys], check=True)
        printed = subprocess.run([program("tinysshd-printkey"), keys], check=True, capture_output=True, text=True)
        lines = [" ".join(line.split()[:2]) for line in printed.stdout.splitlines() if line.startswith("ssh-")]
        server = program("tinysshd")
        return self._started(
            "tinyssh",
            lambda port: [
                *(sys.executable, str(HERE / "inetd.py"), str(port)),
                *(server, "-v", *arguments, str(keys)),
            ],
            host_keys=lines,
            has_password=False,
        )

    def asyncssh(self, **settings: object) -> Server:
        """The server of `asyncssh_server`, where "guest" has a password. `settings` are fields of `Settings`."""
        from tests.system.asyncssh_server import Settings  # not all who start servers have AsyncSSH

        password = "an easy password"
        names = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-3072")
        defaults = Settings(
            port=0,
            host_keys=[str(self.host_keys.path(name)) for name in names],
            authorized_keys=str(self.account.authorized_keys),
            passwords={"guest": password},
        )
        wanted = {**dataclasses.asdict(defaults), **settings}

        def command(port: int) -> list[str]:
            script = [sys.executable, str(HERE / "asyncssh_server.py")]
            return [*script, json.dumps({**wanted, "port": port})]

        server = self._started("asyncssh", command, host_keys=[self.host_keys.public(name) for name in names])
        server.user = "guest"
        server.password = password
        return server

    def stop(self) -> None:
        """Stop every server that was started here."""
        while self._servers:
            self._servers.pop().stop()

    def _started(
        self, kind: str, command: Callable[[int], list[str]], *, host_keys: list[str], has_password: bool = True
    ) -> Server:
        server = Server(
            kind,
            command,
            user=self.account.name,
            password=self.account.password if has_password else None,
            host_keys=host_keys,
            directory=self.directory,
        )
        self._servers.append(server)
        return server

    def _penalties(self) -> list[str]:
        """The line that lets many logins fail from one address, for sshd versions that would penalise it."""
        key = str(self.host_keys.path("ed25519"))
        probe = subprocess.run(
            [program("sshd"), "-t", "-f", "/dev/null", "-h", key, "-o", "PerSourcePenalties=no"],
            capture_output=True,
            check=False,
        )
        return [] if b"Bad configuration option" in probe.stderr else ["PerSourcePenalties no"]


class FakeServer:
    """A TCP listener that treats each connection as `behave` says, for peers no real server can play.

    `behave` gets the connected socket, which is closed when it returns; what it raises of OSError is the
    client having gone. `port` is where it listens; `accepted` counts connections.
    """

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and let behaviours that wait for `closing` end."""
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._behave(connection)
