"""Measures what goes through -L with pyssh and with ssh, in turns, against the same throwaway sshd (Linux).

    .venv/bin/python benchmarks/forwarding.py                       all of it, a few minutes
    .venv/bin/python benchmarks/forwarding.py --quick               less data and fewer rounds
    .venv/bin/python benchmarks/forwarding.py --only short          one scenario (may be given again)

Both clients stand as tunnels (-N) at the same time; each round measures one, then the other, so that what else the
machine does falls on both. The table shows medians. Rates are what programs at the two ends see; the ratio is
pyssh's rate by ssh's (more is better), or pyssh's time by ssh's (less is better).

Most of what a stream costs is sshd's CPU time, and much of that depends on the kernel's congestion control, which
is told: BBR paces loopback as well, so that everything takes half as long again as with reno or cubic, and more
where acknowledgements come in another rhythm.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.run import CIPHERS, MIB, bench, peak_memory  # noqa: E402
from tests.system.clients import Client  # noqa: E402
from tests.system.servers import free_port, program  # noqa: E402
from tests.system.waiting import wait_until  # noqa: E402

MEMORY_LIMIT = 150.0
"""MiB that pyssh may hold with a thousand connections open."""


class Tunnel:
    """One client with a forward to the target; `connect` goes through it."""

    def __init__(self, argv: list[str], client: Client, target: int) -> None:
        self.port = free_port()
        words = ["-F", str(client.config), *CIPHERS["aes128-gcm"], "-N", "-L", f"{self.port}:127.0.0.1:{target}"]
        self.process = subprocess.Popen([*argv, *words, "box"], env=client.environment, stdin=subprocess.DEVNULL)
        wait_until(self._listens, "the tunnel")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def connect(self, letter: bytes, count: int) -> socket.socket:
        """A connection to the target, which has been told what is wanted."""
        made = socket.create_connection(("127.0.0.1", self.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.sendall(letter + count.to_bytes(8, "big"))
        return made

    def cpu(self) -> float:
        """Seconds of the client's own, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the client."""
        self.process.kill()
        self.process.wait()


def _download(tunnel: Tunnel, size: int) -> None:
    left, buffer = size, bytearray(MIB)
    with tunnel.connect(b"D", size) as sock:
        while left and (got := sock.recv_into(buffer)):
            left -= got
    if left:
        raise RuntimeError(f"{left} bytes were lost")


def _upload(tunnel: Tunnel, size: int) -> None:
    left, piece = size, bytes(MIB)
    with tunnel.connect(b"U", size) as sock:
        while left:
            left -= sock.send(piece[: min(left, MIB)])
        if sock.recv(1) != b"!":
            raise RuntimeError("the upload did not arrive")


def _at_once(count: int, work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _short(tunnel: Tunnel, count: int) -> None:
    for _ in range(count):
        with tunnel.connect(b"S", 100) as sock:
            got = 0
            while piece := sock.recv(200):
                got += len(piece)
        if got != 100:
            raise RuntimeError(f"{got} bytes of 100 came")


def _thousand(tunnel: Tunnel, count: int) -> None:
    """`count` connections open at once; ten rounds of 1 KiB through each, checked."""
    socks = [tunnel.connect(b"E", 0) for _ in range(count)]
    try:
        for number in range(10):
            for index, sock in enumerate(socks):
                sock.sendall((index * 10 + number).to_bytes(4, "big") * 256)
            for index, sock in enumerate(socks):
                if sock.recv(1024, socket.MSG_WAITALL) != (index * 10 + number).to_bytes(4, "big") * 256:
                    raise RuntimeError(f"connection {index} lost something")
    finally:
        for sock in socks:
            sock.close()


def _stalled(tunnel: Tunnel, size: int) -> None:
    """A download while 20 others have asked for much and read nothing."""
    stalled = [tunnel.connect(b"D", 1 << 40) for _ in range(20)]
    try:
        for sock in stalled:
            select.select([sock], [], [])
        _download(tunnel, size)
    finally:
        for sock in stalled:
            sock.close()


def congestion_control() -> str:
    """What new TCP connections use here, by the kernel's name."""
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


@contextlib.contextmanager
def target_server() -> Iterator[int]:
    """`targets.py` in a process of its own; yields its port."""
    process = subprocess.Popen([sys.executable, str(ROOT / "benchmarks" / "targets.py")], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure pyssh's forwarding beside ssh's.")
    parser.add_argument("--quick", action="store_true", help="128 MiB in place of 512, and 3 rounds")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure only this scenario")
    parser.add_argument("--runs", type=int, metavar="N", help="rounds (5, with --quick 3)")
    chosen = parser.parse_args()
    runs = chosen.runs or (3 if chosen.quick else 5)
    size = (128 if chosen.quick else 512) * MIB
    # name, work, what is shown (amount and unit of a rate, or None for a time), and the target of the ratio
    scenarios: list[tuple[str, Callable[[Tunnel], None], float | None, float, int]] = [
        ("down", lambda t: _download(t, size), size / MIB, 1.0, 1),
        ("up", lambda t: _upload(t, size), size / MIB, 1.0, 1),
        ("down-8", lambda t: _at_once(8, lambda: _download(t, size // 8)), size / MIB, 1.0, 1),
        ("up-8", lambda t: _at_once(8, lambda: _upload(t, size // 8)), size / MIB, 1.0, 1),
        ("both-ways", lambda t: _at_once_two(t, size // 2), size / MIB, 1.0, 1),
        ("short", lambda t: _short(t, 50), None, 1.0, 50),
        ("thousand", lambda t: _thousand(t, 1000), None, 1.0, 1),
        ("stalled-readers", lambda t: _stalled(t, size // 4), size / 4 / MIB, 1.0, 1),
    ]
    wanted = [one for one in scenarios if not chosen.only or one[0] in chosen.only]
    line = "{:<16} {:>14} {:>14} {:>6} {:>12} {:>12}  {}"
    with bench() as (client, aim, _), target_server() as target:
        aim(False)
        programs = {"pyssh": [str(Path(sys.executable).with_name("pyssh"))], "ssh": [program("ssh")]}
        print(f"congestion control: {congestion_control()}")
        print(line.format("scenario", "pyssh", "ssh", "ratio", "pyssh CPU", "ssh CPU", "target"), flush=True)
        for name, work, amount, goal, divisor in wanted:
            tunnels = {who: Tunnel(argv, client, target) for who, argv in programs.items()}
            took: dict[str, list[float]] = {who: [] for who in programs}
            cpu: dict[str, list[float]] = {who: [] for who in programs}
            try:
                for number in range(runs + 1):
                    for who, tunnel in tunnels.items():
                        begun, spent = time.perf_counter(), tunnel.cpu()
                        work(tunnel)
                        if number:  # the first round warms both up
                            took[who].append((time.perf_counter() - begun) / divisor)
                            cpu[who].append(tunnel.cpu() - spent)
                memory = peak_memory(tunnels["pyssh"].process.pid) / 1024
                other = peak_memory(tunnels["ssh"].process.pid) / 1024
            finally:
                for tunnel in tunnels.values():
                    tunnel.close()
            ours, theirs = statistics.median(took["pyssh"]), statistics.median(took["ssh"])
            burnt = [f"{statistics.median(cpu[who]) * 1000:.0f} ms" for who in programs]
            if amount is None:
                ratio, good = ours / theirs, ours <= goal * theirs
                shown = [f"{ours * 1000:.2f} ms", f"{theirs * 1000:.2f} ms"]
                told = f"<= {goal:g}"
            else:
                ratio, good = theirs / ours, theirs >= goal * ours
                shown = [f"{amount / ours:.0f} MiB/s", f"{amount / theirs:.0f} MiB/s"]
                told = f">= {goal:g}"
            verdict = f"{told} {'ok' if good else 'MISSED'}; memory {memory:.0f} and {other:.0f} MiB"
            if memory > MEMORY_LIMIT:
                verdict += f" OVER {MEMORY_LIMIT:.0f}"
            print(line.format(name, *shown, f"{ratio:.2f}", *burnt, verdict), flush=True)


def _at_once_two(tunnel: Tunnel, size: int) -> None:
    ways = iter((_download, _upload))
    lock = threading.Lock()

    def work() -> None:
        with lock:
            way = next(ways)
        way(tunnel, size)

    _at_once(2, work)


if __name__ == "__main__":
    main()
