"""Measures `true` behind two jump hosts, with pyssh and with ssh in turns (Linux).

    .venv/bin/python benchmarks/jumps.py             5 runs of each client
    .venv/bin/python benchmarks/jumps.py --runs 9

Each of the two hosts is 100 ms away from the one before it: every byte arrives 50 ms after it was sent. The table
shows medians, and what pyssh takes for every 1 that ssh takes.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.run import Samples, measure, relay_to, verdict  # noqa: E402
from tests.system.clients import Client  # noqa: E402
from tests.system.servers import KeyRing, Park, program, public_directory, throwaway_account  # noqa: E402

TARGET = 0.6
HOPS = {"near": True, "far": True, "box": False}
"""Each host's name, and whether a relay stands before it."""


@contextlib.contextmanager
def chain() -> Iterator[Client]:
    """A client for which "box" is behind the two hops, each an sshd of its own."""
    directory = public_directory()
    with contextlib.ExitStack() as opened:
        opened.callback(shutil.rmtree, directory, ignore_errors=True)
        account = opened.enter_context(throwaway_account(directory))
        keys = KeyRing(directory / "keys")
        account.authorize(keys.public_lines())
        park = Park(directory, account, KeyRing(directory / "host-keys"))
        opened.callback(park.stop)
        client = Client(directory / "client", keys)
        text = ""
        for name, delayed in HOPS.items():
            server = park.openssh("LogLevel ERROR")
            port = opened.enter_context(relay_to(server.port)) if delayed else server.port
            text += f"Host {name}\nPort {port}\nHostKeyAlias {name}\nUser {server.user}\n"
            with client.known_hosts.open("a") as known:
                known.writelines(f"{name} {key}\n" for key in server.host_keys)
        text += f"Host *\nHostName 127.0.0.1\nIdentityFile {keys.path('ed25519')}\nIdentitiesOnly yes\n"
        text += f"UserKnownHostsFile {client.known_hosts}\nKexAlgorithms curve25519-sha256\n"
        client.config.write_text(text)
        yield client


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure ProxyJump with pyssh beside ssh.")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each client (5)")
    runs = parser.parse_args().runs
    if runs < 1:
        parser.error("no runs")
    compileall.compile_dir(ROOT / "pyssh_cli", quiet=1)  # as pip does when it installs
    programs = {"pyssh": str(Path(sys.executable).with_name("pyssh")), "ssh": program("ssh")}
    samples = {name: Samples() for name in programs}
    with chain() as client:
        words = ["-F", str(client.config), "-J", "near,far", "box", "true"]
        for path in programs.values():  # let neither pay for a cold disk
            measure([path, *words], client.environment, Path(os.devnull), Samples())
        for _ in range(runs):
            for name, path in programs.items():
                measure([path, *words], client.environment, Path(os.devnull), samples[name])
    ours, theirs = (statistics.median(samples[name].wall) for name in programs)
    line = "{:<12} {:>8} {:>8} {:>6}  {}"
    print(line.format("scenario", "pyssh", "ssh", "ratio", "target"))
    ratio = ours / theirs
    shown = (f"{ours * 1000:.0f} ms", f"{theirs * 1000:.0f} ms", f"{ratio:.2f}", verdict(ratio, TARGET))
    print(line.format("true-2-hops", *shown))
    print(f"memory of pyssh: {max(samples['pyssh'].memory):.1f} MiB")


if __name__ == "__main__":
    main()
