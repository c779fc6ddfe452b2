"""Standard streams: kept apart, byte for byte, ended in either direction, and slow readers that cost no memory."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import Payload
from tests.system.servers import Server
from tests.system.waiting import PATIENCE, wait_until

MIB = 1 << 20
MEMORY_KIB = 80 * 1024
"""What a client may ever hold: little beside what the tests push at it."""


def peak_memory(pid: int) -> int:
    """The most memory the process ever held, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def wait_until_idle(pid: int) -> None:
    """Wait until the process has stopped using the CPU, as one that is held back does."""
    history: list[str] = []

    def looks_idle() -> bool:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        history.append(" ".join(fields[11:13]))
        time.sleep(0.05)
        return len(history) > 20 and len(set(history[-20:])) == 1

    wait_until(looks_idle, "the client to be held back")


def test_stdout_and_stderr_are_kept_apart_and_binary_safe(
    pyssh: Client, openssh: Server, payload: Callable[[int], Payload]
) -> None:
    pyssh.aim(openssh)
    out, err = payload(3 * MIB), payload(3 * MIB + 1)
    done = pyssh.run("box", f"cat {err.path} >&2 & cat {out.path}; wait")
    assert done.returncode == 0
    assert hashlib.sha256(done.stdout).hexdigest() == out.sha256
    assert hashlib.sha256(done.stderr).hexdigest() == err.sha256


def test_every_byte_value_passes_both_ways(pyssh: Client, server: Server) -> None:
    pyssh.aim(server)
    everything = bytes(range(256)) * 513
    done = pyssh.run("box", "cat", send=everything)
    assert (done.returncode, done.stdout, done.stderr) == (0, everything, b"")


def test_end_of_stdin_reaches_the_command_which_goes_on(pyssh: Client, server: Server) -> None:
    pyssh.aim(server)
    done = pyssh.run("box", "wc -c; echo after", send=b"12345")
    assert done.stdout.split() == [b"5", b"after"]


def test_command_that_ends_before_endless_stdin_ends_the_client(pyssh: Client, full_server: Server) -> None:
    pyssh.aim(full_server)
    with open("/dev/zero", "rb") as endless:
        done = pyssh.run("box", "head -c 10", stdin=endless)
    assert (done.returncode, done.stdout) == (0, bytes(10))


def test_command_that_ends_while_stdin_stays_open_ends_the_client(pyssh: Client, server: Server) -> None:
    pyssh.aim(server)
    with pyssh.start("box", "exit 3") as client:
        assert client.wait(PATIENCE) == 3


def test_command_that_closes_stdin_early_still_writes_and_exits(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with open("/dev/zero", "rb") as endless:
        done = pyssh.run("box", "exec <&-; head -c 3000000 /dev/zero | wc -c; exit 9", stdin=endless)
    assert (done.returncode, done.stdout.strip()) == (9, b"3000000")


def test_stdout_closed_by_the_command_is_an_end_while_it_runs_on(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with pyssh.start("box", "echo first; exec >&- 2>&-; cat; exit 4") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == b"first\n"
        client.stdin.close()
        assert client.wait(PATIENCE) == 4


def test_background_process_that_keeps_stdout_is_waited_for(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with pyssh.start("box", "{ read line <&3; echo late; } 3<&0 & exit 0") as client:
        out, _ = client.communicate(b"go\n", timeout=PATIENCE)
    assert (client.returncode, out) == (0, b"late\n")


def test_n_leaves_stdin_alone(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    lines = tmp_path / "lines"
    lines.write_bytes(b"one\ntwo\n")
    script = f"{shlex.join(pyssh.argv)} -n box cat; cat"
    with lines.open("rb") as stdin:
        out = subprocess.run(
            ["sh", "-c", script], env=pyssh.environment, stdin=stdin, stdout=subprocess.PIPE, check=True
        ).stdout
    assert out == b"one\ntwo\n"


def test_while_read_loop_is_drained_without_n(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    script = f"while read line; do echo got $line; {shlex.join(pyssh.argv)} box cat; done"
    out = subprocess.run(
        ["sh", "-c", script], env=pyssh.environment, input=b"one\ntwo\n", stdout=subprocess.PIPE, check=True
    ).stdout
    assert out == b"got one\ntwo\n"


def test_stdin_may_be_a_file(pyssh: Client, openssh: Server, payload: Callable[[int], Payload]) -> None:
    pyssh.aim(openssh)
    sent = payload(MIB + 7)
    with sent.path.open("rb") as stdin:
        done = pyssh.run("box", "sha256sum", stdin=stdin)
    assert done.stdout.split()[0].decode() == sent.sha256


def test_stdout_may_be_a_file_opened_for_appending(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    kept = tmp_path / "kept"
    kept.write_bytes(b"before\n")
    with kept.open("ab") as stdout:
        assert pyssh.run("box", "echo after", stdout=stdout).returncode == 0
    assert kept.read_bytes() == b"before\nafter\n"


def test_stdin_and_stdout_closed_from_the_start_do_no_harm(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    script = f"exec {shlex.join(pyssh.argv)} box 'exit 6' <&- >&-"
    done = subprocess.run(["sh", "-c", script], env=pyssh.environment, capture_output=True, check=False)
    assert done.returncode == 6
    assert b"Traceback" not in done.stderr


def test_nonblocking_pipes_are_served_and_left_as_they_were(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with pyssh.start("box", f"head -c {8 * MIB} /dev/zero; cat") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        os.set_blocking(client.stdin.fileno(), False)
        client.stdin.close()
        total = 0
        while data := client.stdout.read(65536):
            total += len(data)
        assert client.wait(PATIENCE) == 0
    assert total == 8 * MIB


def test_reader_that_goes_away_ends_the_client(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with pyssh.start("box", "yes") as client:
        assert client.stdout is not None
        assert client.stderr is not None
        assert client.stdout.readline() == b"y\n"
        client.stdout.close()
        assert client.wait(PATIENCE) != 0
        assert b"Traceback" not in client.stderr.read()


@pytest.mark.beyond_ssh
def test_full_disk_is_told_in_one_line(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    with open("/dev/full", "wb") as full:
        done = pyssh.run("box", "echo one; echo two; sleep 1; echo three", stdout=full)
    assert done.returncode == 255
    assert len(done.stderr.splitlines()) == 1
    assert b"No space left on device" in done.stderr


def test_slow_reader_holds_the_server_back_instead_of_filling_memory(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    size = 400 * MIB
    with pyssh.start("box", f"head -c {size} /dev/zero") as client:
        assert client.stdout is not None
        got = len(client.stdout.read(1))
        wait_until_idle(client.pid)
        assert peak_memory(client.pid) < MEMORY_KIB
        while data := client.stdout.read(MIB):
            got += len(data)
            if got < size - MIB:  # more than a pipe holds is to come, so the client is there to be asked
                peak = peak_memory(client.pid)
        assert client.wait(PATIENCE) == 0
    assert got == size
    assert peak < MEMORY_KIB


def test_command_that_does_not_read_holds_stdin_back(
    pyssh: Client, openssh: Server, shared_directory: Path, tmp_path: Path
) -> None:
    pyssh.aim(openssh)
    size = 300 * MIB
    go = shared_directory / f"go-{os.getpid()}"
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(size)
    wait = f"while ! test -e {go}; do sleep 0.02; done"
    with sparse.open("rb") as stdin, pyssh.start("box", f"echo up; {wait}; wc -c", stdin=stdin) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"up\n"
        wait_until_idle(client.pid)
        assert peak_memory(client.pid) < MEMORY_KIB
        go.touch()
        assert int(client.stdout.readline()) == size
        assert client.wait(PATIENCE) == 0
    go.unlink()


def test_verbose_output_goes_to_stderr_or_the_file_of_E(  # noqa: N802
    pyssh: Client, openssh: Server, tmp_path: Path
) -> None:
    pyssh.aim(openssh)
    told = pyssh.run("-v", "box", "echo hello")
    assert told.stdout == b"hello\n"
    assert b"debug1: " in told.stderr
    log = tmp_path / "log"
    silent = pyssh.run("-v", "-E", str(log), "box", "echo hello")
    assert (silent.stdout, silent.stderr) == (b"hello\n", b"")
    assert "debug1: " in log.read_text()
