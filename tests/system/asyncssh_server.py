"""An SSH server on AsyncSSH, for what Debian's servers cannot be made to do: rounds of questions, odd windows.

Run as a script: `asyncssh_server.py SETTINGS`, where SETTINGS is the JSON of `Settings`. It serves 127.0.0.1
until it is killed, and runs each command with /bin/sh as the user who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import sys
import termios
from dataclasses import dataclass, field
from typing import Any

import asyncssh

_CHUNK = 65536


@dataclass
class Settings:
    """How one server behaves; the algorithm lists are AsyncSSH's own defaults when empty."""

    port: int
    host_keys: list[str]
    """Files with private keys."""
    authorized_keys: str = ""
    """A file of public keys that may log in; none may when empty."""
    passwords: dict[str, str] = field(default_factory=dict)
    """User to password."""
    rounds: list[list[list[Any]]] = field(default_factory=list)
    """Keyboard-interactive: each round is a list of [prompt, echo, right answer]."""
    instructions: str = ""
    banner: str = ""
    kex: list[str] = field(default_factory=list)
    ciphers: list[str] = field(default_factory=list)
    macs: list[str] = field(default_factory=list)
    compression: list[str] = field(default_factory=list)
    rekey_bytes: int = 1 << 30
    rekey_seconds: int = 3600
    window: int = 2 << 20
    max_packet: int = 32768
    names: dict[str, str] = field(default_factory=dict)
    """Hosts that only this server knows, and their addresses: where forwarded connections may go."""


class Door(asyncssh.SSHServer):  # type: ignore[misc]
    """Who may come in, by `Settings`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._round = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection: the banner goes out on it."""
        self._connection = conn

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """Connect to the hosts that only we know, and to no other."""
        address = self._settings.names.get(dest_host)
        return self._connection.forward_connection(address, dest_port) if address else False

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        """Anybody may have us listen."""
        return True

    def begin_auth(self, username: str) -> bool:
        """Everybody has to show something."""
        if self._settings.banner:
            self._connection.send_auth_banner(self._settings.banner)
        return True

    def password_auth_supported(self) -> bool:
        """Whether there are passwords at all."""
        return bool(self._settings.passwords)

    def validate_password(self, username: str, password: str) -> bool:
        """Whether the password is the user's."""
        return self._settings.passwords.get(username) == password

    def kbdint_auth_supported(self) -> bool:
        """Whether there are questions at all."""
        return bool(self._settings.rounds)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """The first round."""
        self._round = 0
        return self._challenge()

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        """The next round after right answers, an end after wrong ones or the last round."""
        expected = [answer for _, _, answer in self._settings.rounds[self._round]]
        if list(responses) != expected:
            return False
        self._round += 1
        return True if self._round == len(self._settings.rounds) else self._challenge()

    def _challenge(self) -> Any:
        prompts = [(prompt, echo) for prompt, echo, _ in self._settings.rounds[self._round]]
        return f"Round {self._round + 1}", self._settings.instructions, "", prompts


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run the command, or a shell, and report how it ended."""
    command = process.command
    argv = ["/bin/sh", "-c", command] if command is not None else ["/bin/sh"]
    if process.subsystem is not None:
        argv = ["/bin/sh", "-c", f"exec subsystem-{process.subsystem}"]
    host, port = process.get_extra_info("sockname")[:2]
    peer_host, peer_port = process.get_extra_info("peername")[:2]
    environment = dict(os.environ, SSH_CONNECTION=f"{peer_host} {peer_port} {host} {port}")
    environment.update(
        (name.decode(), value.decode()) for name, value in process.channel.get_environment_bytes().items()
    )
    if process.term_type is not None:
        environment["TERM"] = process.term_type
        code = await _with_terminal(process, argv, environment)
    else:
        code = await _with_pipes(process, argv, environment)
    if code < 0:
        name = signal.Signals(-code).name.removeprefix("SIG")
        process.exit_with_signal(name, False, f"ended by SIG{name}")
    else:
        process.exit(code)


async def _with_pipes(
    process: asyncssh.SSHServerProcess[bytes], argv: list[str], environment: dict[str, str]
) -> int:
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None

    async def feed(stdin: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await process.stdin.read(_CHUNK):
                stdin.write(data)
                await stdin.drain()
        stdin.close()

    async def copy(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while data := await reader.read(_CHUNK):
                writer.write(data)
                await writer.drain()

    feeder = asyncio.create_task(feed(child.stdin))
    watcher = asyncio.create_task(_hang_up_with(process, child))
    await asyncio.gather(copy(child.stdout, process.stdout), copy(child.stderr, process.stderr))
    code = await child.wait()
    feeder.cancel()
    watcher.cancel()
    return code


async def _hang_up_with(process: asyncssh.SSHServerProcess[bytes], child: asyncio.subprocess.Process) -> None:
    """Send the child SIGHUP when its channel is gone, as a server with a terminal would."""
    await process.channel.wait_closed()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGHUP)


async def _with_terminal(
    process: asyncssh.SSHServerProcess[bytes], argv: list[str], environment: dict[str, str]
) -> int:
    loop = asyncio.get_running_loop()
    master, slave = pty.openpty()

    def resize() -> None:
        columns, rows, x_pixels, y_pixels = process.term_size
        size = b"".join(n.to_bytes(2, sys.byteorder) for n in (rows, columns, x_pixels, y_pixels))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)

    resize()
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)

    async def feed() -> None:
        while True:
            try:
                data = await process.stdin.read(_CHUNK)
            except asyncssh.TerminalSizeChanged:
                resize()
                continue
            except (asyncssh.BreakReceived, asyncssh.SignalReceived):
                continue
            if not data:
                return
            os.write(master, data)

    feeder = asyncio.create_task(feed())
    watcher = asyncio.create_task(_hang_up_with(process, child))
    with contextlib.suppress(OSError):  # EIO: the last holder of the other side is gone
        while data := await loop.run_in_executor(None, os.read, master, _CHUNK):
            process.stdout.write(data)
            await process.stdout.drain()
    code = await child.wait()
    feeder.cancel()
    watcher.cancel()
    os.close(master)
    return code


async def serve(settings: Settings) -> None:
    """Listen and serve until killed; raises OSError when the port is taken."""
    chosen: dict[str, Any] = {
        "kex_algs": settings.kex,
        "encryption_algs": settings.ciphers,
        "mac_algs": settings.macs,
        "compression_algs": settings.compression,
        "authorized_client_keys": settings.authorized_keys,
    }
    await asyncssh.listen(
        "127.0.0.1",
        settings.port,
        server_factory=lambda: Door(settings),
        server_host_keys=settings.host_keys,
        process_factory=run_command,
        encoding=None,
        line_editor=False,
        rekey_bytes=settings.rekey_bytes,
        rekey_seconds=settings.rekey_seconds,
        window=settings.window,
        max_pktsize=settings.max_packet,
        **{name: value for name, value in chosen.items() if value},
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Settings(**json.loads(sys.argv[1]))))
