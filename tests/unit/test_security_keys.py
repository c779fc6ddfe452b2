"""Signing by an authenticator where what it needs from the system goes wrong."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from pyssh_cli.client import security_keys
from pyssh_cli.client.security_keys import Notice
from pyssh_cli.errors import KeyFileError
from tests.system.waiting import wait_until


def test_a_notice_that_does_not_go_away_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, ready = tmp_path / "askpass", tmp_path / "ready"
    program.write_text(
        f"#!{sys.executable}\nimport os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(ready)!r} + '.new', 'w').write(str(os.getpid()))\n"
        f"os.rename({str(ready)!r} + '.new', {str(ready)!r})\nsignal.pause()\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(program))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setattr(security_keys, "NOTICE_SECONDS", 0.05)
    notice = Notice("touch it", batch_mode=True)
    wait_until(ready.exists, "the notice to be shown")
    notice.done("")
    with pytest.raises(ProcessLookupError):
        os.kill(int(ready.read_text()), 0)


def test_no_process_to_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(KeyFileError, match="no process for the security key's library: Resource temporarily"):
        security_keys._in_a_child(bytes)
    assert len(os.listdir("/proc/self/fd")) == len(before)
