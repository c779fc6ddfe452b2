"""The command line: grammar, destinations, queries, exit codes, and what must not be imported on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyssh_cli import __version__
from pyssh_cli.cli import main
from pyssh_cli.cli.acts import Answered, Invocation
from pyssh_cli.cli.command import pyssh
from pyssh_cli.cli.destination import BadDestination, is_valid_host, is_valid_user, split_destination
from pyssh_cli.cli.flags import FLAGS, GROUPS, LONG_FLAGS, usage
from pyssh_cli.cli.invocation import UsageError
from pyssh_cli.client.way import HandedOn
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError, PysshError
from pyssh_cli.log import DEBUG3, FATAL, Log


def parsed(*arguments: str) -> Invocation:
    invocation = pyssh.make_context("pyssh", list(arguments), obj=Log()).obj
    assert isinstance(invocation, Invocation)
    return invocation


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("host", (None, "host", None)),
        ("me@host", ("me", "host", None)),
        ("me@corp@host", ("me@corp", "host", None)),
        ("::1", (None, "::1", None)),
        ("ssh://host", (None, "host", None)),
        ("SSH://me@host:2200/", ("me", "host", 2200)),
        ("ssh://m%40e;fingerprint=x@ho%2Dst", ("m@e", "ho-st", None)),
        ("ssh://me@[::1]:2200", ("me", "::1", 2200)),
        ("ssh://[fe80::1%25eth0]", (None, "fe80::1%eth0", None)),
    ],
)
def test_destinations(text: str, parts: tuple[str | None, str, int | None]) -> None:
    assert split_destination(text) == parts


@pytest.mark.parametrize(
    "text",
    ["@host", "ssh://", "ssh://host/x", "ssh://host:0", "ssh://host:x", "ssh://[::1", "ssh://[::1]x", "ssh://%zz@h",
     "ssh://a%00@h", "ssh://::1", "ssh://@h"],
)  # fmt: skip
def test_bad_destinations(text: str) -> None:
    with pytest.raises(BadDestination):
        split_destination(text)


def test_hosts_and_users_that_a_shell_could_act_on() -> None:
    assert all(is_valid_host(host) for host in ("a.b-c", "::1", "fe80::1%eth0", "[::1]", "bücher.example", ""))
    bad = ("-h", "a;b", "a b", "$(x)", "a'b", "a\nb", "a\x7fb", "a\\b", "a|b", "a`b", "a\x9bb")
    assert not any(is_valid_host(host) for host in bad)
    assert all(is_valid_user(user) for user in ("me", "a b", "CORP\\me", "me@corp", "x$"))
    assert not any(is_valid_user(user) for user in ("-x", "a;b", "a -b", "a\\", "a'b", "a\tb", "a\x1b"))


def test_flags_stand_on_both_sides_up_to_the_command() -> None:
    invocation = parsed("-vp22", "-oUser=me", "host", "-C", "-t", "ls", "-l", "-p", "5")
    settings = invocation.settings
    assert (invocation.host, invocation.command) == ("host", "ls -l -p 5")
    assert (settings.get("port"), settings.get("user"), settings.get("compression")) == (22, "me", True)
    assert settings.get("requesttty") == "yes"
    assert settings.origin("port") == "-p"
    assert settings.origin("user") == "-o User"


def test_double_dash_ends_the_flags() -> None:
    assert parsed("--", "host", "-v").command == "-v"
    assert parsed("host", "--", "-v").command == "-v"
    assert parsed("host", "ls", "--", "-v").command == "ls -- -v"


def test_an_argument_is_taken_whatever_it_looks_like() -> None:
    assert parsed("-E", "-v", "host").log_file == "-v"
    assert parsed("-Fnone", "host").config_file == "none"


def test_repeated_flags() -> None:
    invocation = parsed("-vvv", "-v", "-tt", "-oSendEnv=A", "-oSendEnv=B", "-i/", "-i", "/etc", "host")
    settings = invocation.settings
    assert settings.get("loglevel") == DEBUG3
    assert settings.get("requesttty") == "force"
    assert settings.get("sendenv") == ["A", "B"]
    assert settings.get("identityfile") == ["/", "/etc"]
    assert parsed("-vqv", "host").settings.get("loglevel") == FATAL


def test_missing_identity_is_said_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("-i", "/nonexistent", "host").settings.get("identityfile") is None
    expected = "Warning: Identity file /nonexistent not accessible: No such file or directory.\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], ""),
        (["-v"], ""),
        (["-@", "h"], "unknown option -- @"),
        (["h", "-v@"], "unknown option -- @"),
        (["--nope", "h"], "unknown option -- - (there is no --nope; --help lists all)"),
        (["--\x1b[m=x"], "unknown option -- - (there is no --\\033[m; --help lists all)"),
        (["-p"], "option requires an argument -- p"),
        (["h", "-vo"], "option requires an argument -- o"),
        (["@h"], ""),
        (["-s", "h"], "You must specify a subsystem to invoke."),
    ],
)
def test_usage_errors(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        parsed(*arguments)
    assert main(arguments) == 255
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (complaint + "\n" if complaint else "") + usage() + "\n"


@pytest.mark.parametrize("letter", [letter for letter, flag in FLAGS.items() if flag.act is None])
def test_flags_that_are_not_there_yet(letter: str, capsys: pytest.CaptureFixture[str]) -> None:
    argument = ["1"] if FLAGS[letter].argument else []
    assert main([f"-{letter}", *argument, "host"]) == 255
    assert capsys.readouterr().err == f"pyssh: -{letter} is not supported yet\n"


def test_table_of_flags_is_ssh_s() -> None:
    with_argument = {letter for letter, flag in FLAGS.items() if flag.argument}
    assert with_argument == set("BbcDEeFIiJLlmOoPpQRSWw")
    assert set(FLAGS) - with_argument == set("1246AaCfGgKkMNnqsTtVvXxYyZ")
    assert {flag.group for flag in (*FLAGS.values(), *LONG_FLAGS.values())} == set(GROUPS)
    assert max(map(len, usage().splitlines())) < 80
    assert usage().startswith("usage: pyssh [-46AaCfGgKkMNnqsTtVvXxYyZ] [-B bind_interface]")  # in ssh's order


def test_long_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Answered):
        parsed("-v", "--help")
    assert parsed("host", "ls", "--help").command == "ls --help"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pyssh {__version__}\n"
    assert main(["-V"]) == 0
    assert capsys.readouterr().err.startswith(f"pyssh_{__version__}, ")


def test_help_has_every_flag_under_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    captured = capsys.readouterr()
    out = captured.out
    assert captured.err == ""
    assert out.startswith("Usage: pyssh [option ...] destination [command [argument ...]]\n")
    assert max(map(len, out.splitlines())) < 80
    groups = dict(re.findall(r"^(\S.*):\n((?:  .*\n)+)", out, re.MULTILINE))
    groups.pop("The whole story", None)  # where the manual pages are, if man does not find them by itself
    assert list(groups) == list(GROUPS)
    for flag in (*FLAGS.values(), *LONG_FLAGS.values()):
        line = f"  {flag.spelled} {flag.argument}".rstrip()
        assert re.search(rf"^{re.escape(line)} +{re.escape(flag.help.split()[0])}", groups[flag.group], re.M), flag
    longest = [flag for flag in FLAGS.values() if f"  {flag.help}" not in out]
    assert not longest, "the help of a flag is one line"


def test_click_runs_the_same_command() -> None:
    result = CliRunner().invoke(pyssh, ["-F", "none", "-p", "2200", "-G", "host"])
    assert result.exit_code == 0
    assert "\nport 2200\n" in result.output
    assert {param.opts[0] for param in pyssh.params} == {
        *(f"--{name}" for name in LONG_FLAGS),
        *(f"-{letter}" for letter in FLAGS),
    }


def test_queries(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-Q", "help"]) == 0
    queries = capsys.readouterr().out.split()
    assert {"cipher", "mac", "kex", "key", "sig", "compression", "protocol-version"} <= set(queries)
    for query in queries:
        assert main(["-Q", query]) == 0
    out = capsys.readouterr().out
    assert {"aes128-gcm@openssh.com", "hmac-sha2-256", "curve25519-sha256", "ssh-ed25519"} <= set(out.split())
    main(["-Q", "Ciphers"])
    by_keyword = capsys.readouterr().out
    main(["-Q", "cipher"])
    assert capsys.readouterr().out == by_keyword
    for old in ("HostbasedAcceptedKeyTypes", "hostbasedkeytypes"):
        main(["-Q", old])
        theirs = capsys.readouterr().out
        main(["-Q", "HostbasedAcceptedAlgorithms"])
        assert theirs == capsys.readouterr().out != ""
    assert main(["-Q", "kex-gss"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["-Q", "nope"]) == 255
    assert capsys.readouterr().err == 'Unsupported query "nope"\n'


def run_with(monkeypatch: pytest.MonkeyPatch, behaviour: object) -> list[Options]:
    """Put `behaviour` (a status, or an exception to raise) where the connection would be made."""
    seen: list[Options] = []

    def run(options: Options, log: Log, handed_on: HandedOn) -> int:
        seen.append(options)
        if isinstance(behaviour, BaseException):
            raise behaviour
        assert isinstance(behaviour, int)
        return behaviour

    module = types.ModuleType("pyssh_cli.client.run")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyssh_cli.client.run", module)
    return seen


def test_options_reach_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = run_with(monkeypatch, 7)
    assert main(["-F", "none", "-4nT", "-p2200", "me@Host", "echo", "a  b"]) == 7
    (options,) = seen
    assert (options.user, options.hostname, options.original_host, options.port) == ("me", "host", "Host", 2200)
    assert (options.address_family, options.stdin_null, options.request_tty) == ("inet", True, "no")
    assert options.command == "echo a  b"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NetworkError("no route\x1b[2J"), "no route\\033[2J"),
        (OSError(28, "No space left on device"), "pyssh: No space left on device"),
        (RuntimeError("surprise"), "pyssh: internal error: RuntimeError: surprise"),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, line: str
) -> None:
    run_with(monkeypatch, error)
    assert main(["-F", "none", "host"]) == 255
    assert capsys.readouterr().err == line + "\n"


def test_quiet_hides_errors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run_with(monkeypatch, PysshError("x"))
    assert main(["-q", "-F", "none", "host"]) == 255
    assert capsys.readouterr().err == ""


def test_log_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_with(monkeypatch, PysshError("gone"))
    assert main(["-E", str(tmp_path / "log"), "-F", "none", "host"]) == 255
    assert capsys.readouterr().err == ""
    assert (tmp_path / "log").read_text() == "gone\n"
    assert main(["-E", str(tmp_path / "no" / "log"), "host"]) == 1


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the test runner's may be ignored
    )


def test_interrupt_ends_by_sigint(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Match exec 'echo > {tmp_path}/started; exec sleep 20'\n")
    process = start("-m", "pyssh_cli", "-F", str(config), "-G", "host")
    while not (tmp_path / "started").exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does at Ctrl-C
    out, err = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert (out, err) == ("", "")


def test_reader_that_is_gone() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "pyssh_cli", "-F", "none", "-G", "host"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (255, "")


def test_start_up_stays_lean(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Include {tmp_path}/*.conf\nHost *\nPort 22\n")
    _, err = start("-X", "importtime", "-m", "pyssh_cli", "-F", str(config), "-G", "host").communicate()
    loaded = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "pyssh_cli.config.resolve" in loaded
    heavy = {
        "cryptography", "prompt_toolkit", "asyncio", "logging", "subprocess", "pathlib", "glob", "shutil",
        "socket", "ssl", "hashlib", "traceback", "pyssh_cli.client.run", "locale", "difflib",
    }  # fmt: skip
    assert not loaded & heavy
