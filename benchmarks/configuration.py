"""Measures `pyssh -G` and `ssh -G` in turns on configuration files with thousands of Host blocks.

    .venv/bin/python benchmarks/configuration.py                  all shapes of lines, a minute or two
    .venv/bin/python benchmarks/configuration.py --only quoted    one shape (may be given again)
    .venv/bin/python benchmarks/configuration.py --blocks 1000 --runs 15

Each shape runs pyssh, ssh, pyssh, ssh and so on; the table shows medians, what pyssh takes for every 1 that ssh
takes, and the same less our start-up (`pyssh -F none -G`), which should not pass 3.
"""

from __future__ import annotations

import argparse
import compileall
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.run import verdict  # noqa: E402
from tests.system.servers import program  # noqa: E402

TARGET = 3.0

SHAPES: dict[str, Sequence[str]] = {
    "plain": ("Hostname web-{}.corp", "User u", "Port 22"),
    "equals": ("Hostname = web-{}.corp", "User=u", "Port = 22"),
    "quoted": ('IdentityFile "~/.ssh/id {}"', 'User "u"'),
    "lists": ("SendEnv LANG LC_*", "ServerAliveInterval 1m", "SetEnv N={}"),
    "choices": ("StrictHostKeyChecking accept-new", "ProxyJump u@b{}:22"),
    "sharing": ("ControlMaster auto", "ControlPersist 10m", "ControlPath ~/.ssh/%r@%h:%p"),
    "algorithms": ("HostKeyAlgorithms +ssh-rsa", "Ciphers aes128-ctr,aes256-ctr", "LogLevel ERROR"),
    "commands": ("ProxyCommand ssh -W %h:%p gate{}", "LocalCommand echo %h"),
    "mixed": ("HostName 10.0.0.{}  # rack {}", "User deploy", "Port 2222", "IdentityFile ~/.ssh/id_{}",
              "IdentitiesOnly yes", "ForwardAgent no", "ServerAliveInterval 30", "UserKnownHostsFile /dev/null"),
}  # fmt: skip
"""The lines of a block; `{}` is its number."""

HOSTS = {"other": ("web-{}", "h"), "names": ("web-{}", "web-7"), "wildcards": ("web-{}*", "web-7")}
"""What stands behind Host, and the host that is asked for."""


def seconds(argv: Sequence[str]) -> float:
    """What one run takes. Raises CalledProcessError when it fails."""
    start = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    return time.perf_counter() - start


def write(path: Path, pattern: str, lines: Sequence[str], blocks: int) -> None:
    """A file with so many blocks."""
    block = "\n".join([f"Host {pattern}", *(f"  {line}" for line in lines), "\n"])
    path.write_text("".join(block.replace("{}", str(number)) for number in range(blocks)))


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure pyssh -G beside ssh -G on large files.")
    parser.add_argument("--only", action="append", choices=SHAPES, help="measure only this shape")
    parser.add_argument("--blocks", type=int, default=10_000, metavar="N", help="Host blocks a file (10,000)")
    parser.add_argument("--runs", type=int, default=9, metavar="N", help="runs of each client (9)")
    chosen = parser.parse_args()
    if chosen.runs < 1 or chosen.blocks < 1:
        parser.error("nothing to run")

    compileall.compile_dir(ROOT / "pyssh_cli", quiet=1)  # as pip does when it installs
    programs = {"pyssh": str(Path(sys.executable).with_name("pyssh")), "ssh": program("ssh")}
    line = "{:<12} {:<10} {:>9} {:>9} {:>6} {:>9}  {}"
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config"
        starts = [seconds([programs["pyssh"], "-F", "none", "-G", "h"]) for _ in range(2 * chosen.runs)]
        start_up = statistics.median(starts)
        print(f"{chosen.runs} runs each, in turns, {chosen.blocks} blocks; start-up {start_up * 1000:.0f} ms\n")
        print(line.format("shape", "hosts", "pyssh", "ssh", "ratio", "less start", "target"), flush=True)
        for shape in chosen.only or SHAPES:
            for hosts, (pattern, host) in HOSTS.items():
                write(config, pattern, SHAPES[shape], chosen.blocks)
                samples: dict[str, list[float]] = {name: [] for name in programs}
                for _ in range(chosen.runs):
                    for name, path in programs.items():
                        samples[name].append(seconds([path, "-F", str(config), "-G", host]))
                ours, theirs = (statistics.median(samples[name]) for name in ("pyssh", "ssh"))
                ratio = max(ours - start_up, 0) / theirs
                shown = (
                    f"{ours * 1000:.0f} ms",
                    f"{theirs * 1000:.0f} ms",
                    f"{ours / theirs:.2f}",
                    f"{ratio:.2f}",
                )
                print(line.format(shape, hosts, *shown, verdict(ratio, TARGET)), flush=True)


if __name__ == "__main__":
    main()
