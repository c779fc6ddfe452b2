"""What the tests of `--diagnose` share: how it is run, which changes no file, and how what it says is read."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from tests.system.clients import Client


def contents(home: Path) -> dict[str, tuple[int, bytes]]:
    """All files of a home: when they were changed, and what is in them."""
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(home.rglob("*"))
    }


def run(pyssh: Client, *words: str) -> subprocess.CompletedProcess[bytes]:
    """The client run with `--diagnose`, which changes no file and never fails by accident."""
    before = contents(pyssh.home)
    done = pyssh.run("--diagnose", *words)
    assert contents(pyssh.home) == before
    assert b"Traceback" not in done.stderr
    return done


class Told(NamedTuple):
    """The report and what the program exits with."""

    status: int
    text: str

    @property
    def verdict(self) -> str:
        """All behind the last empty line, on one."""
        return " ".join(self.text.rpartition("\n\n")[2].split())


def report(pyssh: Client, *words: str) -> Told:
    done = run(pyssh, *words)
    text = done.stdout.decode()
    assert done.returncode in {0, 255}
    assert not [char for char in text if not (char.isprintable() or char == "\n")]
    return Told(done.returncode, text)


def diagnosis(pyssh: Client, *words: str) -> dict[str, Any]:
    """The object that --json prints."""
    done = run(pyssh, "--json", *words)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["possible"] else 255)
    return found


def stages(found: dict[str, Any], number: int = -1) -> dict[str, Any]:
    """A hop's stages."""
    made: dict[str, Any] = found["hops"][number]["stages"]
    return made


def identities(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    """The names of the keys' files, and the server's answers."""
    listed = stages(found)["authentication"]["facts"]["identities"]
    return [(os.path.basename(each["name"]), each["answer"]) for each in listed]


def failed(found: dict[str, Any]) -> dict[str, Any]:
    """The stage that failed: the only one, and the last."""
    every: list[dict[str, Any]] = [
        *found["stages"].values(),
        *(each for hop in found["hops"] for each in hop["stages"].values()),
    ]
    assert [each for each in every if each["status"] == "failed"] == every[-1:]
    return every[-1]
