"""Raw mode on real pseudo-terminals: what is set, that it is undone, and what happens where there is none."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyssh_cli.log import Log
from pyssh_cli.terminal import raw as raw_module
from pyssh_cli.terminal.raw import RawMode, raw_attributes, window_size


@pytest.fixture
def terminal() -> Iterator[int]:
    """The slave side of a fresh pseudo-terminal."""
    master, slave = pty.openpty()
    yield slave
    for fd in (master, slave):
        os.close(fd)


def test_raw_mode_is_set_and_undone(terminal: int) -> None:
    log = Log()
    before = termios.tcgetattr(terminal)
    raw = RawMode(terminal, log)
    raw.enter()
    iflag, oflag, cflag, lflag, _, _, characters = termios.tcgetattr(terminal)
    assert iflag & termios.IGNPAR
    assert not iflag & (termios.ICRNL | termios.IXON | termios.IXOFF | termios.ISTRIP | termios.INLCR)
    assert not oflag & termios.OPOST
    assert cflag == before[2]
    assert not lflag & (termios.ISIG | termios.ICANON | termios.ECHO | termios.IEXTEN)
    assert (characters[termios.VMIN], characters[termios.VTIME]) == (1, 0)
    assert (raw.active, log.raw) == (True, True)
    raw.leave()
    assert termios.tcgetattr(terminal) == before
    assert (raw.active, log.raw) == (False, False)


def test_flags_that_are_not_raw_modes_business_stay() -> None:
    found: list[Any] = [~0 & 0xFFFF, ~0 & 0xFFFF, 0xBF, ~0 & 0xFFFF, 15, 15, [b"\x03"] * 32]
    raw = raw_attributes(found)
    assert found[0] & termios.ICRNL
    assert found[6] == [b"\x03"] * 32
    assert raw[0] & termios.IGNBRK
    assert raw[3] & termios.TOSTOP
    assert raw[1] & termios.ONLCR
    assert raw[2] == 0xBF


def test_entering_twice_and_leaving_twice(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    raw = RawMode(terminal, Log())
    raw.leave()
    assert termios.tcgetattr(terminal) == before
    raw.enter()
    raw.enter()
    raw.leave()
    assert termios.tcgetattr(terminal) == before
    raw.leave()
    raw.enter()
    assert not termios.tcgetattr(terminal)[3] & termios.ECHO
    raw.leave()
    assert termios.tcgetattr(terminal) == before


def test_an_exception_restores(terminal: int) -> None:
    before = termios.tcgetattr(terminal)

    def fail() -> None:
        with RawMode(terminal, Log()):
            assert not termios.tcgetattr(terminal)[3] & termios.ICANON
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert termios.tcgetattr(terminal) == before


def test_the_interpreters_exit_restores(terminal: int) -> None:
    before = termios.tcgetattr(terminal)
    program = (
        "from pyssh_cli.log import Log; from pyssh_cli.terminal.raw import RawMode; import termios\n"
        "RawMode(0, Log()).enter(); assert not termios.tcgetattr(0)[3] & termios.ECHO; raise SystemExit(7)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdin=terminal, check=False)
    assert done.returncode == 7
    assert termios.tcgetattr(terminal) == before


def test_a_signal_handler_that_leaves_while_entering_wins(terminal: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = termios.tcgetattr(terminal)
    raw = RawMode(terminal, Log())
    set_attributes: Callable[[int, list[Any]], None] = raw_module.set_attributes

    def interrupted(fd: int, attributes: list[Any]) -> None:
        monkeypatch.setattr(raw_module, "set_attributes", set_attributes)
        signal.raise_signal(signal.SIGUSR1)
        set_attributes(fd, attributes)

    handler = signal.signal(signal.SIGUSR1, lambda *_: raw.leave())
    try:
        monkeypatch.setattr(raw_module, "set_attributes", interrupted)
        raw.enter()
    finally:
        signal.signal(signal.SIGUSR1, handler)
    assert termios.tcgetattr(terminal) == before
    assert not raw.active


def test_a_closed_terminal_ends_raw_mode_quietly() -> None:
    master, slave = pty.openpty()
    log = Log()
    raw = RawMode(slave, log)
    raw.enter()
    os.close(slave)
    os.close(master)
    raw.leave()
    assert not raw.active
    assert not log.raw


def test_no_terminal_is_no_raw_mode() -> None:
    read_end, write_end = os.pipe()
    log = Log()
    with RawMode(read_end, log) as raw:
        assert not raw.active
        assert not log.raw
    os.close(read_end)
    os.close(write_end)


def test_window_size_in_the_order_of_the_rfc(terminal: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 117, 640, 480))
    assert window_size(terminal) == (117, 31, 640, 480)


def test_window_size_unknown_is_zeros(terminal: int) -> None:
    assert window_size(terminal) == (0, 0, 0, 0)
    with open(os.devnull, "rb") as no_terminal:
        assert window_size(no_terminal.fileno()) == (0, 0, 0, 0)
    assert window_size(-1) == (0, 0, 0, 0)


def test_importing_the_room_stays_cheap() -> None:
    program = (
        "import sys\n"
        "from pyssh_cli.terminal import askpass, escapes, modes, prompt, questions, raw, signals\n"
        "heavy = {'asyncio', 'prompt_toolkit', 'subprocess', 'click', 'cryptography'} & set(sys.modules)\n"
        "raise SystemExit(', '.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
