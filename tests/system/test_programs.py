"""The programs that people run over ssh, with the client in its place: sftp, scp, rsync, git."""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import Payload
from tests.system.servers import Account, Server
from tests.system.waiting import PATIENCE

MIB = 1 << 20


@pytest.fixture
def remote_directory(account: Account, pyssh: Client, openssh: Server) -> Iterator[str]:
    """The name of an empty directory in the account's home, gone afterwards."""
    pyssh.aim(openssh)
    name = f"pyssh-test-{secrets.token_hex(6)}"
    assert pyssh.run("box", f"mkdir {name}").returncode == 0
    yield name
    pyssh.run("box", f"rm -rf {name}")


def call(pyssh: Client, *argv: str | Path, **variables: str) -> bytes:
    """Run a program in the client's environment and return its stdout."""
    done = subprocess.run(
        [str(word) for word in argv],
        env={**pyssh.environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sftp(pyssh: Client, remote_directory: str, payload: Callable[[int], Payload], tmp_path: Path) -> None:
    sent = payload(8 * MIB)
    batch = tmp_path / "batch"
    batch.write_text(f"put {sent.path} {remote_directory}/a\nget {remote_directory}/a {tmp_path}/a\n")
    call(pyssh, "sftp", "-q", "-S", pyssh.wrapper(), "-b", batch, "box")
    assert hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest() == sent.sha256


def test_subsystem_by_flag(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    version_3 = b"\0\0\0\5\1\0\0\0\3"
    with pyssh.start("-s", "box", "sftp") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(version_3)
        client.stdin.flush()
        assert client.stdout.read(9)[4:] == b"\2\0\0\0\3"
        client.stdin.close()
        assert client.wait(PATIENCE) == 0


def test_unknown_subsystem_is_refused(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    done = pyssh.run("-s", "box", "no-such-subsystem")
    assert done.returncode == 255
    assert b"subsystem request failed" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("mode", ["-s", "-O"])
def test_scp(
    pyssh: Client, remote_directory: str, payload: Callable[[int], Payload], tmp_path: Path, mode: str
) -> None:
    sent = payload(8 * MIB)
    wrapper = pyssh.wrapper()
    call(pyssh, "scp", "-q", mode, "-S", wrapper, sent.path, f"box:{remote_directory}/b")
    call(pyssh, "scp", "-q", mode, "-S", wrapper, f"box:{remote_directory}/b", tmp_path / "b")
    assert hashlib.sha256((tmp_path / "b").read_bytes()).hexdigest() == sent.sha256


def test_rsync(pyssh: Client, remote_directory: str, payload: Callable[[int], Payload], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    for number in range(50):
        (tree / "deep" / f"file {number}").write_bytes(secrets.token_bytes(number * 97))
    (tree / "deep" / "er" / "large").write_bytes(payload(8 * MIB).path.read_bytes())
    wrapper = str(pyssh.wrapper())
    call(pyssh, "rsync", "-a", "-e", wrapper, f"{tree}/", f"box:{remote_directory}/")
    call(pyssh, "rsync", "-a", "-e", wrapper, f"box:{remote_directory}/", f"{tmp_path}/back/")
    call(pyssh, "diff", "-r", tree, tmp_path / "back")


def test_git_clone_and_push(pyssh: Client, remote_directory: str, tmp_path: Path) -> None:
    assert pyssh.run("box", f"git init -q --bare -b main {remote_directory}").returncode == 0
    git = {"GIT_SSH_COMMAND": str(pyssh.wrapper()), "GIT_CONFIG_NOSYSTEM": "1"}
    person = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    source, copy = tmp_path / "source", tmp_path / "copy"
    call(pyssh, "git", "init", "-q", "-b", "main", source, **git)
    (source / "blob").write_bytes(secrets.token_bytes(MIB))
    call(pyssh, "git", "-C", source, "add", "blob", **git)
    call(pyssh, "git", "-C", source, *person, "commit", "-q", "-m", "One", **git)
    call(pyssh, "git", "-C", source, "push", "-q", f"box:{remote_directory}", "main", **git)
    call(pyssh, "git", "clone", "-q", f"box:{remote_directory}", copy, **git)
    assert (copy / "blob").read_bytes() == (source / "blob").read_bytes()


def test_tar_through_a_pipe(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_bytes(secrets.token_bytes(MIB))
    script = f'tar -C {tmp_path} -cf - in | {pyssh.wrapper()} box "tar -tf - | sort"'
    assert call(pyssh, "sh", "-c", script) == b"in/\nin/file\n"
