"""What -G -v says on stderr: where each value came from, and which Host and Match lines applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyssh_cli.cli import main

CONFIG = """\
Host web* !web9
  User deploy
  SendEnv A B
Host db
  User other
Match host web1 user root
  Compression yes
Match exec "exit 3"
  Port 5
Match final host real.example
  Include {included}
Host *
  Hostname real.example
  SendEnv C
"""


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The report for a configuration with blocks, an Include and flags; the directory of its files is DIR."""
    included = tmp_path / "included"
    included.write_text("ServerAliveInterval 30\nHost real.example\nBatchMode yes\n")
    path = tmp_path / "config"
    path.write_text(CONFIG.format(included=included))
    assert main(["-F", str(path), "-G", "-v", "-p", "2222", "-o", "LogVerbose=a.c:*", "web1"]) == 0
    captured = capsys.readouterr()
    assert "\nuser deploy\n" in captured.out
    assert "Values that are not" not in captured.out
    lines = captured.err.replace(str(tmp_path), "DIR").splitlines()
    return lines[lines.index("Values that are not defaults, and where they come from:") :]


def value_lines(told: list[str]) -> dict[str, str]:
    end = told.index("Host and Match lines, in the order they were read:")
    pairs = [line.strip().rsplit("    ", 1) for line in told[1:end]]
    return {left.strip(): right.strip() for left, right in pairs}


def test_values_name_their_place(told: list[str]) -> None:
    values = value_lines(told)
    assert values["user deploy"] == "DIR/config:2 (Host web* !web9)"
    assert values["port 2222"] == "-p"
    assert values["logverbose a.c:*"] == "-o LogVerbose"
    assert values["hostname real.example"] == "DIR/config:13 (Host *)"
    assert values["sendenv A"] == "DIR/config:3 (Host web* !web9)"
    assert values["sendenv C"] == "DIR/config:14 (Host *)"


def test_defaults_are_left_out(told: list[str]) -> None:
    assert set(value_lines(told)) == {
        "user deploy", "hostname real.example", "port 2222", "serveraliveinterval 30", "loglevel DEBUG",
        "sendenv A", "sendenv B", "sendenv C", "logverbose a.c:*", "batchmode yes",
    }  # fmt: skip


def test_included_files_name_the_include(told: list[str]) -> None:
    values = value_lines(told)
    include = "DIR/config:11 (Match final host real.example)"
    assert values["serveraliveinterval 30"] == f"DIR/included:1, included at {include}"
    assert values["batchmode yes"] == "DIR/included:3 (Host real.example)"


def test_blocks_say_whether_and_why(told: list[str]) -> None:
    start = told.index("Host and Match lines, in the order they were read:")
    joined = "\n".join(" ".join(line.split()) for line in told[start + 1 :])
    assert "DIR/config:1 Host web* !web9 applies\n" in joined
    assert 'DIR/config:4 Host db does not apply: no pattern matches "web1"\n' in joined
    assert 'DIR/config:6 Match host web1 user root does not apply: user "deploy" is not in "root"\n' in joined
    assert 'DIR/config:8 Match exec "exit 3" does not apply: exec failed with 3\n' in joined
    assert "DIR/config:10 Match final host real.example does not apply: only in the final pass\n" in joined
    assert "DIR/config:10 Match final host real.example applies (second pass)\n" in joined
