"""What a failure says: ssh's own line, which programs know, and what pyssh puts behind it for people."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.system.clients import Client, OpenSSHClient
from tests.system.servers import Server


def says(done: subprocess.CompletedProcess[bytes], line: str, *hints: str, status: int = 255) -> str:
    """Check that there is a line that begins with `line`, and the hints in what follows on it; the whole line."""
    told = done.stderr.decode()
    assert done.returncode == status, told
    assert "Traceback" not in told
    found = next((one for one in told.splitlines() if one.startswith(line)), None)
    assert found is not None, f"no {line!r} in {told!r}"
    rest = found[len(line) :]
    assert not rest or rest.startswith(" ("), found
    for hint in hints:
        assert hint in rest, f"no {hint!r} in {found!r}"
    return found


def as_ssh(client: Client, *words: str, passing: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    """Run ssh and then pyssh: of all that ssh says, pyssh says each line, maybe with more behind it; what pyssh
    said. `passing` are beginnings of lines that only ssh has."""
    ssh = OpenSSHClient(client.home, client.keys, client.environment).run(*words)
    ours = client.run(*words)
    told = ours.stderr.decode().splitlines()
    for line in ssh.stderr.decode().replace("\r", "").splitlines():
        if line and not line.startswith(passing):
            assert any(one.startswith(line) for one in told), f"no {line!r} in {told!r}"
    assert ours.returncode == ssh.returncode
    return ours


def change(server: Server, old: str, new: str) -> None:
    """Start an sshd anew with `new` for `old` in its configuration, where a line at the top does not win."""
    command = server._command(server.port)
    config = Path(command[command.index("-f") + 1])
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    server.stop()
    server.start_again()


def bare(told: bytes) -> list[str]:
    """Lines without what pyssh puts in parentheses behind them."""
    return [re.sub(r" \(.*\)$", "", line) for line in told.decode().splitlines()]
