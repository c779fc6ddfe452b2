"""Measures what a Tab takes: `pyssh --complete bash` on a configuration and known_hosts of 2,000 hosts each.

    .venv/bin/python benchmarks/completion.py               a few seconds
    .venv/bin/python benchmarks/completion.py --hosts 20000 --runs 31

Beside the medians stands what Python alone takes to start. A Tab should not pass 50 ms.
"""

from __future__ import annotations

import argparse
import compileall
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.configuration import seconds  # noqa: E402

TARGET = 0.050
"""Seconds."""

LINES = {
    "a host": ["web-19"],
    "any host": [""],
    "user@host": ["me@web-19"],
    "a jump": ["-J", "web-1,web-19"],
    "a forward": ["-L", "8080:web-19"],
    "a keyword": ["-o", "strict"],
    "a cipher": ["-c", "aes"],
    "a flag": ["-"],
}
"""What stands on the line, the last word at the cursor."""


def main() -> None:
    """Run all of it and print the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--hosts", type=int, default=2000, help="hosts in each of the files")
    options.add_argument("--runs", type=int, default=15, help="how often each is measured")
    given = options.parse_args()
    compileall.compile_dir(ROOT / "pyssh_cli", quiet=1)
    pyssh = str(Path(sys.executable).with_name("pyssh"))
    with tempfile.TemporaryDirectory() as directory:
        config, known = Path(directory, "config"), Path(directory, "known_hosts")
        hosts = range(given.hosts)
        config.write_text("".join(f"Host web-{n}\n  Hostname 192.0.2.{n % 256}\n  User u\n" for n in hosts))
        known.write_text("".join(f"db-{n},198.51.100.{n % 256} ssh-ed25519 AAAA\n" for n in hosts))
        flags = ["-F", str(config), "-o", f"UserKnownHostsFile={known}"]
        rows = {"python -c pass": [sys.executable, "-c", "pass"]}
        rows |= {name: [pyssh, "--complete", "bash", "", "pyssh", *flags, *words] for name, words in LINES.items()}
        for name, argv in rows.items():
            median = statistics.median(seconds(argv) for _ in range(given.runs))
            over = "  OVER" if median > TARGET else ""
            print(f"{name:16} {1000 * median:6.1f} ms{over}")


if __name__ == "__main__":
    main()
