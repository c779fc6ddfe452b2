"""Large files, where lines that mean nothing are passed over in runs: nothing may come of it but speed."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from pyssh_cli.config import files as files_module
from pyssh_cli.config import skipping
from pyssh_cli.config.files import assign
from pyssh_cli.config.patterns import matches_pattern
from pyssh_cli.config.reader import split_keyword, split_words
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG3, Log
from tests.unit.config_generator import VALUES
from tests.unit.test_config_files import Reading

LINES = (
    "Host host", "Host other", "Host a b c", "Host *", "Host !host *", "Host h*t", "Host *x *t", "Host !a other",
    "Host other host", "Host xhost hostx", "HOST HOST", "Host hos?", "Host ?ost", "Host *.example", "Host * !h*",
    "Host=host", "Host 'host'", "Host x # host", 'Host "', "Host", "Match host host", "Match all", "Match foo x",
    "User u", "  User  v  # c", "Port 5", "Port 0", "Port 70000", "Port 5x", "Compression yes",
    "Compression maybe", "Hostname %h.x", "Hostname a b", "TCPKeepAlive no", "TCPKeepAlive", "Foo 1", "# comment",
    "", "\t", "Bind\fX 1", "IdentityFile ~/a", "IdentityFile=~/b", "BatchMode  yes\r", "BatchMode yes no",
    "Include /nonexistent/x", 'User "a b"', 'User "a', "Protocol 2", "IgnoreUnknown Foo",
    "Hostname = x", "User=u", "Port =22", "Port = = 22", "Port==22", "User = ", "Port=\t2 # c", "User u#c",
    'User "u"', 'User "u" # "', 'User "u"v', 'User ""', 'User "u\\"', "User 'u'", "User u\\", 'Port "22"',
    'IdentityFile "~/.ssh/id 1" # c', 'IdentityFile "a" "b"', 'User "a\fb"', "User a # b\fc", "User a # b\rc",
    "ServerAliveInterval 1m", "ServerAliveInterval 1h30", "ServerAliveInterval none", "ConnectTimeout NONE",
    "ServerAliveInterval 999w999w999w", "ServerAliveInterval 9999999999", "ServerAliveInterval 1x",
    "ServerAliveInterval 3 # c", "ServerAliveInterval 3#c", "SetupTimeout 5", "ProtocolKeepAlives x",
    "ControlPersist 10m", "ControlPersist YES", "ControlPersist none", "ControlMaster Auto", "ControlMaster x",
    "StrictHostKeyChecking accept-new", "StrictHostKeyChecking accept", "WarnWeakCrypto no-pq-kex",
    "PubkeyAuthentication host-bound", "Compression true", "RequestTTY force yes", "ForwardAgent YES",
    "ForwardAgent $a-b", "IdentityAgent none", "IdentityAgent ${NO_SUCH}", "AddKeysToAgent confirm 5m",
    "AddKeysToAgent 5x", "SendEnv LANG LC_*", "SendEnv LANG A=B", "SendEnv -LC_*", 'SendEnv A ""', "SendEnv # c",
    "SetEnv A=b", "SetEnv A", "SetEnv =b", "SetEnv A= # c", "SetEnv A=b C", "ProxyJump a,u@b:22", "ProxyJump a,,b",
    "ProxyJump a:0", "ProxyJump a:99999", "ProxyJump a b", "ProxyJump none", "ProxyCommand nc  %h # x",
    "ProxyCommand nc 'a", "ProxyCommand = # x", "LocalCommand  =a", "LocalForward 8080 a:80", "LocalForward 1 a",
    "LocalForward 80000 a:80", "LocalForward 1 a:80 b", "RemoteForward 1 a:70000", "DynamicForward 59999",
    "DynamicForward 65536", "ConnectionAttempts 0", "ConnectionAttempts 9999999999", "RequiredRSASize -1",
    "UserKnownHostsFile /dev/null", 'UserKnownHostsFile ""', "UserKnownHostsFile a none", "CertificateFile a=b",
    "HostKeyAlgorithms +ssh-rsa", "HostKeyAlgorithms +x", "Ciphers aes128-ctr", "LogLevel quiet", "IPQoS lowdelay",
    "Host ho*", "Host hox*", "Host h*x", "Host host*", "Host host?", "Host h?st", "Host hos", "Host hosts",
    "Host *t", "Host x*t", "Host *x*", "Host ?", "Host !ho*", "Host !hox* x", "Host !!host", "Host x !*st",
    'Host "host"', 'Host "hosts" "ho*"', 'Host "x" "y*"', 'Host "x"y', 'Host ""', "Host = host", "Host =x",
    "Host x=host", "Host == host", "Host x#y host", "Host x #y host", "Host #host", "Host x\\ host", "Host a,host",
    "Host x\r", "Host\thost", "host ho\u017ft", "Host h\u00f6st", "Hostx y", "\fHost x", "Host x\f", "  # c\f",
    "=User u",
)  # fmt: skip


AROUND = (("", ""), (" \t", " "), ("", "\r"), ("", " # c"), ("", "#c"), ("", '"'), ("", " x"), ("", "\f"))


@pytest.mark.parametrize("seed", range(150))
def test_skipping_changes_nothing(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(seed)
    text = "\n".join(["Host other", *random.choices(LINES, k=60)]) + random.choice(["", "\n"])
    host = random.choice(["host", "host", "ho", "hox1", "!host", "h" * 300])
    outcomes = []
    for large in (0, 1 << 30):
        monkeypatch.setattr(files_module, "LARGE", large)
        one = Reading(tmp_path, host=host, level=DEBUG3)
        try:
            one.read(text)
            end = ""
        except ConfigError as error:
            end = str(error)
        outcomes.append((one.settings.values, one.settings.origins, end, capsys.readouterr().err))
    assert outcomes[0] == outcomes[1]


def test_what_is_skipped_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line that may be skipped, by itself, and with what may stand around a line."""
    skippable = skipping.skippable("host")
    lines = [*LINES, *(f"{name} {value}" for name, both in VALUES.items() for value in "|".join(both).split("|"))]
    skipped = 0
    for line in (f"{before}{line}{after}\n" for line in lines for before, after in AROUND):
        found = skippable.match(line)
        if found is None or found.end() != len(line):
            continue
        skipped += 1
        keyword, text = split_keyword(line[:-1])
        if keyword == "host":
            assert not any(matches_pattern("host", word.removeprefix("!")) for word in split_words(text)), line
            assert all(split_words(text)), line
        elif keyword:
            assert assign(Settings(), Log(DEBUG3), keyword, text, ("file", 1), active=False), line
    assert skipped > 500
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "line",
    ["Hostname = a", "Port=22", 'IdentityFile "~/.ssh/id 1"', "SendEnv LANG LC_*", "ServerAliveInterval 1m # c",
     "StrictHostKeyChecking accept-new", "ProxyJump u@b1:22,b2", "ControlPersist 10m", "LocalForward 80 a:80",
     "Host web-12*", "Host web-8 web-9*", "Host *.example", 'Host "web-1" !web-2', "  HOST web\r", "# c", ""],
)  # fmt: skip
def test_what_files_are_full_of_is_skipped(line: str) -> None:
    skipped = skipping.skippable("web-7").match(f"{line}\n" * 3)
    assert skipped is not None
    assert skipped.end() == 3 * len(line) + 3


def test_large_files_are_read_to_the_end(tmp_path: Path) -> None:
    blocks = "".join(f"Host h{number}\n  Hostname 10.0.0.1\n  User u{number % 5}\n" for number in range(10_000))
    settings = Reading(tmp_path).read(f"{blocks}Host ho*\n  Port 5\n  User last")
    assert (settings.get("port"), settings.get("user"), settings.get("hostname")) == (5, "last", None)
    assert settings.origin("user").endswith("/config:30003")


def test_mistakes_deep_in_large_files_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = "".join(f"Host h{number}\n  Hostname 10.0.0.1\n" for number in range(10_000))
    with pytest.raises(ConfigError, match="terminating, 1 bad"):
        Reading(tmp_path).read(f"{blocks}  Port 0\n")
    assert capsys.readouterr().err.endswith("config line 20001: Bad port '0'.\n")
