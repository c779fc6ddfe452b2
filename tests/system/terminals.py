"""Terminals for programs under test: a bare pseudo-terminal read byte by byte, and a screen drawn by tmux."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.system.waiting import PATIENCE, wait_until

_LEADER = Path(__file__).parent / "session_leader.py"

JOB = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
os.write(1, b"job %d\\n" % job)
os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
"""
"""Runs a program as a shell runs a job: in a process group of its own, which somebody is there to continue."""


class Terminal:
    """A program that runs on a pseudo-terminal of its own, and the person in front of it."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], *, rows: int = 24, columns: int = 80
    ) -> None:
        """Start the program in the foreground of a new session."""
        self._master, slave = os.openpty()
        self.resize(rows, columns)
        self._report, report = os.pipe()
        self._reported = b""
        self._leader = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LEADER), str(report), *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            pass_fds=[report],
            start_new_session=True,
        )
        os.close(slave)
        os.close(report)
        self.seen = b""
        """Everything the program has written."""
        self._matched = 0
        self.pid = int(self._next_report("pid"))

    @property
    def master(self) -> int:
        """The descriptor on the person's side, for who types and reads in a way of their own."""
        return self._master

    def expect(self, pattern: str, timeout: float = PATIENCE) -> re.Match[bytes]:
        """Read on until the regular expression matches after the last match. Raises TimeoutError."""
        expression = re.compile(pattern.encode(), re.DOTALL)
        deadline = time.monotonic() + timeout
        while True:
            ended = b"exit" in self._reported
            if ended:
                self._drain()
            found = expression.search(self.seen, self._matched)
            if found:
                self._matched = found.end()
                return found
            if ended or not self._read(deadline):
                raise TimeoutError(f"no {pattern!r} in {self.seen[self._matched :]!r}")

    def send(self, keys: str | bytes) -> None:
        """Type these keys."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def type_all(self, keys: bytes) -> None:
        """Type more than fits into a terminal, reading what is shown meanwhile. Raises TimeoutError."""
        left = memoryview(keys)
        deadline = time.monotonic() + 4 * PATIENCE
        os.set_blocking(self._master, False)
        pieces = []
        while left:
            ready, room, _ = select.select([self._master], [self._master], [], max(deadline - time.monotonic(), 0))
            if not ready and not room:
                raise TimeoutError(f"{len(left)} bytes of {len(keys)} are not taken")
            if ready:
                pieces.append(os.read(self._master, 65536))
            if room:
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(self._master, left[:4096]) :]
        os.set_blocking(self._master, True)
        self.seen += b"".join(pieces)

    @property
    def said(self) -> bytes:
        """The same without the line that says what is waited for, which a busy machine makes come and go."""
        return re.sub(rb"(?:\r\x1b\[K[ -~]+)+\r\x1b\[K", b"", self.seen)

    def unread(self) -> int:
        """How many bytes the program has written that nobody has read yet, as far as the terminal holds them."""
        return int.from_bytes(fcntl.ioctl(self._master, termios.FIONREAD, bytes(4)), sys.byteorder)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size; the foreground program gets SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        """The terminal's modes now, as termios.tcgetattr() tells them."""
        return termios.tcgetattr(self._master)

    def set_modes(self, modes: list[Any]) -> None:
        """Set the terminal's modes, as stty would."""
        termios.tcsetattr(self._master, termios.TCSANOW, modes)

    def echoes(self) -> bool:
        """Whether what is typed shows."""
        return bool(self.modes()[3] & termios.ECHO)

    def is_raw(self) -> bool:
        """Whether keys go to the program one by one, Ctrl-C among them."""
        return not self.modes()[3] & (termios.ICANON | termios.ISIG | termios.ECHO)

    def kill(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Read on until the program ends; its exit code, negative for a signal. Raises TimeoutError."""
        return int(self._next_report("exit", timeout))

    def close(self) -> None:
        """End what still runs and give the terminal back."""
        if b"exit" not in self._reported:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._leader.kill()
        self._leader.wait()
        os.close(self._master)
        os.close(self._report)

    def _next_report(self, word: str, timeout: float = PATIENCE) -> str:
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(rf"{word} (-?\d+)\n".encode(), self._reported)
            if found:
                self._drain()
                return found[1].decode()
            if not self._read(deadline):
                raise TimeoutError(f"no {word} of the program; it wrote {self.seen[-2000:]!r}")

    def _read(self, deadline: float) -> bool:
        """Wait for more from the program or the leader; False when the deadline has passed."""
        remaining = deadline - time.monotonic()
        ready, _, _ = select.select([self._master, self._report], [], [], max(remaining, 0))
        if self._master in ready:
            self.seen += os.read(self._master, 65536)
        if self._report in ready:
            data = os.read(self._report, 4096)
            if not data:
                raise TimeoutError(f"the terminal is gone; the program wrote {self.seen[-2000:]!r}")
            self._reported += data
        return bool(ready)

    def _drain(self) -> None:
        while select.select([self._master], [], [], 0)[0]:
            self.seen += os.read(self._master, 65536)


_PANE_MODES = (
    "alternate_on cursor_flag insert_flag keypad_cursor_flag keypad_flag mouse_any_flag mouse_sgr_flag origin_flag"
    " scroll_region_lower scroll_region_upper wrap_flag"
)
"""What tmux can tell of a terminal's modes (tmux(1), FORMATS)."""


class Screen:
    """A program in a tmux window, for what a person would see after all escape sequences have been obeyed."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], *, rows: int = 24, columns: int = 80
    ) -> None:
        """Start a tmux server of our own with the program in its only window, which stays when it ends."""
        self._directory = tempfile.mkdtemp(prefix="pyssh-tmux-")
        self._environment = {**environment, "TMUX_TMPDIR": self._directory}
        config = Path(self._directory, "tmux.conf")
        config.write_text("set -g status off\nset -g remain-on-exit on\n")
        size = ["-x", str(columns), "-y", str(rows)]
        try:
            self._tmux("-f", str(config), "new-session", "-d", *size, *argv)
        except RuntimeError:
            self.close()
            raise

    def text(self) -> str:
        """The screen's lines as they look now."""
        return self._tmux("capture-pane", "-p")

    def coloured(self) -> str:
        """The same with the escape sequences of their colours."""
        return self._tmux("capture-pane", "-p", "-e")

    def modes(self) -> dict[str, str]:
        """The modes that the program has set, by tmux's names for them."""
        told = self._tmux("display-message", "-p", " ".join(f"{name}=#{{{name}}}" for name in _PANE_MODES.split()))
        return dict(word.split("=") for word in told.split())

    def wait_for(self, wanted: str) -> str:
        """Wait until the screen shows this text; the whole screen then."""

        def look() -> str:
            shown = self.text()
            return shown if wanted in shown else ""

        try:
            return wait_until(look, f"{wanted!r} on the screen")
        except TimeoutError as problem:
            raise TimeoutError(f"{problem}; it shows\n{self.text()}") from None

    def type(self, *keys: str) -> None:
        """Press keys by tmux's names for them; other words are typed as they are."""
        self._tmux("send-keys", *keys)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def close(self) -> None:
        """End tmux with all in it."""
        with contextlib.suppress(RuntimeError):
            self._tmux("kill-server")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", "tests", *arguments],
            env=self._environment,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"tmux {' '.join(arguments)}: {done.stderr}")
        return done.stdout
