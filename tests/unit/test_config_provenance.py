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
    assert values["batchmode yes"] == f"DIR/included:3 (Host real.example), included at {include}"


def test_blocks_say_whether_and_why(told: list[str]) -> None:
    start = told.index("Host and Match lines, in the order they were read:")
    second = told.index("Host and Match lines in the second pass:")
    joined, again = (
        "\n".join(" ".join(line.split()) for line in lines)
        for lines in (told[start + 1 : second], told[second + 1 :])
    )
    assert "DIR/config:1 Host web* !web9 applies\n" in joined
    assert 'DIR/config:4 Host db does not apply: no pattern matches "web1"\n' in joined
    assert 'DIR/config:6 Match host web1 user root does not apply: user "deploy" is not in "root"\n' in joined
    assert 'DIR/config:8 Match exec "exit 3" does not apply: exec failed with 3\n' in joined
    assert "DIR/config:10 Match final host real.example does not apply: only in the final pass\n" in joined
    assert "included:2 Host real.example does not apply: the enclosing block does not apply; included at" in joined
    assert "DIR/config:10 Match final host real.example applies\n" in again
    assert "DIR/included:2 Host real.example applies; included at DIR/config:11\n" in again


def test_blocks_are_shown_as_they_stand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config"
    config.write_text('host="a b"  c # mine\n User u\nMATCH user "x\\"y",z exec "exit 1"\n')
    assert main(["-F", str(config), "-G", "-v", "c"]) == 0
    err = capsys.readouterr().err
    assert f'{config}:2 (Host "a b"  c # mine)\n' in err
    assert f'{config}:1 Host "a b"  c # mine    ' in err
    assert f'{config}:3 Match user "x\\"y",z exec "exit 1"    does not apply: ' in err


def test_files_that_include_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one", tmp_path / "c"
    one.write_text(f"Include {tmp_path}/%k\nUser u\n")
    two.write_text(f"HostKeyAlias x\nInclude {one}\n")
    assert main(["-F", str(one), "-G", "-v", "c"]) == 0
    place = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("  user u"))
    assert place.count(", included at ") == 2
