"""Measures how long a typed key takes until it is back on the screen, with pyssh and with ssh, in turns (Linux).

    .venv/bin/python benchmarks/keys.py                     against a throwaway sshd on this machine
    .venv/bin/python benchmarks/keys.py --keys 5000         more keys from each
    .venv/bin/python benchmarks/keys.py --json FILE         every sample kept in FILE

Both clients run a `cat` without a line discipline on a pty, and are given the same keys one by one, in turns of
some; a key counts when the same byte is read back. Obscuring is off: it would add up to its interval.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import select
import statistics
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.run import PINNED, bench, verdict  # noqa: E402
from tests.system.servers import program  # noqa: E402
from tests.system.terminals import Terminal  # noqa: E402
from tests.system.waiting import wait_until  # noqa: E402

TARGET = 1.2
"""What pyssh may take for every 1 that ssh takes, in the median."""

TURN = 50
"""Keys typed to one client before it is the other's turn."""

COMMAND = "stty raw -echo; echo up; exec cat"


def echo_time(shown: Terminal, key: bytes) -> float:
    """Seconds from typing the key to reading it back. Raises TimeoutError."""
    master = shown.master
    start = time.perf_counter()
    os.write(master, key)
    seen = b""
    while key not in seen:
        if not select.select([master], [], [], 10)[0]:
            raise TimeoutError(f"{key!r} did not come back; {seen!r} did")
        seen += os.read(master, 1024)
    return time.perf_counter() - start


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the echo of typed keys, pyssh beside ssh.")
    parser.add_argument("--keys", type=int, default=2000, metavar="N", help="keys for each client (2000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    chosen = parser.parse_args()

    compileall.compile_dir(ROOT / "pyssh_cli", quiet=1)  # as pip does when it installs
    programs = {
        "pyssh": [str(Path(sys.executable).with_name("pyssh")), "-o", "ObscureKeystrokeTiming=no"],
        "ssh": [program("ssh")],
    }
    samples: dict[str, list[float]] = {name: [] for name in programs}
    with bench() as (client, aim, _), ExitStack() as opened:
        aim(False)
        shown = {}
        for name, argv in programs.items():
            words = ["-F", str(client.config), *PINNED, "-e", "none", "-tt", "box", COMMAND]
            shown[name] = opened.enter_context(closing(Terminal([*argv, *words], client.environment)))
            shown[name].expect("up\r?\n")
            wait_until(shown[name].is_raw, "raw mode")
            for _ in range(TURN):  # let neither pay for a cold start
                echo_time(shown[name], b"-")
        while any(len(times) < chosen.keys for times in samples.values()):
            for name, times in samples.items():
                times += [echo_time(shown[name], b"%c" % (ord("a") + n % 26)) for n in range(TURN)]

    print(f"{'':<6} {'median':>9} {'p90':>9} {'p99':>9}")
    for name, times in samples.items():
        cuts = statistics.quantiles(times, n=100)
        print(f"{name:<6} {cuts[49] * 1000:>6.3f} ms {cuts[89] * 1000:>6.3f} ms {cuts[98] * 1000:>6.3f} ms")
    ratio = statistics.median(samples["pyssh"]) / statistics.median(samples["ssh"])
    print(f"ratio  {ratio:.2f}  {verdict(ratio, TARGET)}")
    if chosen.json:
        chosen.json.write_text(json.dumps({"seconds": samples}, indent=1) + "\n")


if __name__ == "__main__":
    main()
