"""Measures pyssh and ssh in turns, in the same run, against the same throwaway sshd (Linux).

    .venv/bin/python benchmarks/run.py                       all of it, a few minutes
    .venv/bin/python benchmarks/run.py --quick               less data and fewer runs, for a first look
    .venv/bin/python benchmarks/run.py --only true-delayed   one scenario (may be given again)
    .venv/bin/python benchmarks/run.py --runs 9 --json FILE  more runs; every sample kept in FILE

Each scenario runs pyssh, ssh, pyssh, ssh and so on; the table shows medians, and what pyssh takes for every 1 that
ssh takes. CPU is the client's own, user and system. Memory is the most that the client held in any run. Scenarios
through the relay have every byte arrive 50 ms after it was sent, each way.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.system.clients import Client  # noqa: E402
from tests.system.servers import (  # noqa: E402
    KeyRing,
    Park,
    program,
    public_directory,
    throwaway_account,
)

MIB = 1 << 20
PINNED = ("-o", "KexAlgorithms=curve25519-sha256")
MEMORY_LIMIT = 60.0
"""MiB that pyssh may hold, whatever it does."""

CIPHERS = {
    "aes128-gcm": ("-c", "aes128-gcm@openssh.com"),
    "aes256-gcm": ("-c", "aes256-gcm@openssh.com"),
    "chacha20-poly1305": ("-c", "chacha20-poly1305@openssh.com"),
    "aes128-ctr": ("-c", "aes128-ctr", "-m", "hmac-sha2-256-etm@openssh.com"),
}


@dataclass(frozen=True)
class Scenario:
    """One thing to measure: flags and command, the file that is stdin, and what the ratios should not pass."""

    name: str
    flags: Sequence[str]
    command: str
    upload_mib: int = 0
    delayed: bool = False
    wall_target: float | None = None
    cpu_target: float | None = None


@dataclass
class Samples:
    """What one client did in one scenario: seconds, seconds, MiB; an entry a run."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def scenarios(bulk_mib: int, delayed_mib: int) -> list[Scenario]:
    """All there are, with so much data."""
    made = [
        Scenario("true-pinned", PINNED, "true", wall_target=1.0),
        Scenario("true-default", (), "true"),
        Scenario("true-delayed", PINNED, "true", delayed=True, wall_target=0.6),
    ]
    for cipher, flags in CIPHERS.items():
        wall, cpu = (1.0, 1.1) if cipher == "aes128-gcm" else (None, None)
        down = f"head -c {bulk_mib * MIB} /dev/zero"
        made.append(Scenario(f"down-{cipher}", flags, down, wall_target=wall, cpu_target=cpu))
        made.append(Scenario(f"up-{cipher}", flags, "cat >/dev/null", bulk_mib, wall_target=wall, cpu_target=cpu))
    down = f"head -c {delayed_mib * MIB} /dev/zero"
    made.append(Scenario("down-delayed", CIPHERS["aes128-gcm"], down, delayed=True, wall_target=0.2))
    return made


def measure(argv: Sequence[str], environment: dict[str, str], stdin: Path, samples: Samples) -> None:
    """Run a client once, to its end, and add what it took. Raises RuntimeError when it fails."""
    peak = 0
    with stdin.open("rb") as source:
        start = time.perf_counter()
        process = subprocess.Popen(
            argv, env=environment, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        with contextlib.closing(_Watch(process.pid)) as watch:
            while not watch.ended(0.01):
                peak = max(peak, peak_memory(process.pid))
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    told = process.stderr.read().decode(errors="replace")
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {process.returncode}: {told}")
    samples.wall.append(wall)
    samples.cpu.append(usage.ru_utime + usage.ru_stime)
    samples.memory.append(peak / 1024)


class _Watch:
    """Tells when a process ends, without taking its exit status."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def ended(self, seconds: float) -> bool:
        """Wait so long for the end; whether it came."""
        return bool(self._poll.poll(seconds * 1000))

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)


def peak_memory(pid: int) -> int:
    """The most memory the process ever held, in KiB; 0 when it has ended.

    Not the ru_maxrss of wait4(): that counts what this process held when it started the client.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


@contextlib.contextmanager
def relay_to(port: int) -> Iterator[int]:
    """A relay in a process of its own, 50 ms each way; yields its port."""
    script = str(ROOT / "benchmarks" / "relay.py")
    process = subprocess.Popen([sys.executable, script, "50", str(port)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def bench() -> Iterator[tuple[Client, Callable[[bool], None], Path]]:
    """A client aimed at a throwaway sshd, a way to aim it through the relay, and a directory for files."""
    directory = public_directory()
    try:
        with throwaway_account(directory) as account:
            keys = KeyRing(directory / "keys")
            account.authorize(keys.public_lines())
            park = Park(directory, account, KeyRing(directory / "host-keys"))
            try:
                server = park.openssh("LogLevel ERROR")
                client = Client(directory / "client", keys)
                with relay_to(server.port) as relay_port:

                    def aim(delayed: bool) -> None:
                        port = relay_port if delayed else server.port
                        client.aim(server, f"Port {port}", f"HostKeyAlias [127.0.0.1]:{server.port}")

                    yield client, aim, directory
            finally:
                park.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def rows(scenario: Scenario, ours: Samples, theirs: Samples) -> list[tuple[str, str, str, str, str]]:
    """The lines of the table for one scenario: measure, pyssh, ssh, ratio, and how that stands to the target."""
    made = []
    for label, mine, other, target in (
        ("wall", ours.wall, theirs.wall, scenario.wall_target),
        ("CPU", ours.cpu, theirs.cpu, scenario.cpu_target),
    ):
        a, b = statistics.median(mine), statistics.median(other)
        ratio = a / b if b else 0.0
        made.append((label, f"{a * 1000:.0f} ms", f"{b * 1000:.0f} ms", f"{ratio:.2f}", verdict(ratio, target)))
    a, b = max(ours.memory), max(theirs.memory)
    made.append(("memory", f"{a:.1f} MiB", f"{b:.1f} MiB", "", verdict(a, MEMORY_LIMIT, " MiB")))
    return made


def verdict(value: float, target: float | None, unit: str = "") -> str:
    """The target and whether it is met; nothing without one."""
    if target is None:
        return ""
    return f"<= {target:g}{unit}  {'ok' if value <= target else 'OVER'}"


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure pyssh beside ssh.")
    parser.add_argument("--quick", action="store_true", help="64 MiB in place of 512, 32 of 128, 3 runs")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure only this scenario")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each client (5, with --quick 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    chosen = parser.parse_args()
    runs = chosen.runs or (3 if chosen.quick else 5)
    everything = scenarios(64, 32) if chosen.quick else scenarios(512, 128)
    unknown = set(chosen.only or ()) - {scenario.name for scenario in everything}
    if unknown or runs < 1:
        names = ", ".join(scenario.name for scenario in everything)
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {names}" if unknown else "no runs")
    wanted = [scenario for scenario in everything if not chosen.only or scenario.name in chosen.only]

    compileall.compile_dir(ROOT / "pyssh_cli", quiet=1)  # as pip does when it installs
    kept = []
    line = "{:<24} {:<7} {:>11} {:>11} {:>6}  {}"
    with bench() as (client, aim, directory):
        pyssh = Path(sys.executable).with_name("pyssh")  # what pip put beside this interpreter
        programs = {"pyssh": [str(pyssh)], "ssh": [program("ssh")]}
        print(f"{runs} runs each, in turns; pyssh is {pyssh}\n")
        print(line.format("scenario", "", "pyssh", "ssh", "ratio", "target"), flush=True)
        for scenario in wanted:
            aim(scenario.delayed)
            stdin = Path(os.devnull)
            if scenario.upload_mib:
                stdin = directory / "upload"
                with stdin.open("wb") as file:
                    file.truncate(scenario.upload_mib * MIB)
                with stdin.open("rb") as file:  # nor should the first reader pay for filling the cache
                    while file.read(MIB):
                        pass
            words = ["-F", str(client.config), *scenario.flags, "box", scenario.command]
            samples = {name: Samples() for name in programs}
            if scenario.command == "true":  # let neither pay for a cold disk
                for argv in programs.values():
                    measure([*argv, *words], client.environment, stdin, Samples())
            for _ in range(runs):
                for name, argv in programs.items():
                    measure([*argv, *words], client.environment, stdin, samples[name])
            for number, row in enumerate(rows(scenario, samples["pyssh"], samples["ssh"])):
                print(line.format("" if number else scenario.name, *row).rstrip(), flush=True)
            kept.append({"scenario": scenario.name, **{name: asdict(s) for name, s in samples.items()}})
    if chosen.json:
        chosen.json.write_text(json.dumps({"runs": runs, "scenarios": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
