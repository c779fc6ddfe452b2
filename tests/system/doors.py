"""AsyncSSH servers in this process, with doors that open by rules no other server can be told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh

from tests.system.waiting import PATIENCE


class Door(asyncssh.SSHServer):  # type: ignore[misc]
    """Nobody comes in, by no way; tests let them. `seen` is what the client has sent."""

    def __init__(self) -> None:
        self.seen: list[Any] = []


class DoorServer:
    """Listens on `port` of 127.0.0.1 until closed, and answers every command with its words. `doors` are those
    that clients stood at."""

    def __init__(self, door: Callable[[], Door], host_key: Path) -> None:
        self.doors: list[Door] = []
        self.port = 0
        self._door = door
        self._host_key = str(host_key)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        if not self._ready.wait(PATIENCE) or not self.port:
            raise RuntimeError("the AsyncSSH server does not start")

    def close(self) -> None:
        """Take no more clients and hang up on those that are there."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)

    def _make(self) -> Door:
        self.doors.append(self._door())
        return self.doors[-1]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            listener = self._loop.run_until_complete(
                asyncssh.listen(
                    "127.0.0.1",
                    0,
                    server_factory=self._make,
                    server_host_keys=[self._host_key],
                    process_factory=_echo,
                )
            )
            self.port = listener.get_port()
        finally:
            self._ready.set()
        self._loop.run_forever()
        listener.close()
        self._loop.close()


def _echo(process: Any) -> None:
    process.stdout.write(f"ran {process.command}\n")
    process.exit(0)
