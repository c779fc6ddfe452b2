"""Conditions of Host and Match lines: which apply, what debug output says, and what bad ones are told."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli import __version__
from pyssh_cli.config.match import Conditions, Destination
from pyssh_cli.config.network import Found
from pyssh_cli.config.reader import split_words
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import Tokens
from pyssh_cli.config.values import BadValue
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG3, INFO, LONGEST, Log


class Interfaces:
    """A network with these local addresses, or one that cannot tell."""

    def __init__(self, *addresses: str, broken: bool = False) -> None:
        self.addresses = list(addresses)
        self.broken = broken

    def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
        raise NotImplementedError

    def local_addresses(self) -> list[str]:
        if self.broken:
            raise OSError(5, "Input/output error")
        return self.addresses


def conditions(
    given: dict[str, Any] | None = None,
    *,
    command: str | None = None,
    final_pass: bool = False,
    host: str = "host",
    network: Interfaces | None = None,
    level: int = INFO,
) -> Conditions:
    """Conditions for "host", as the local user "me", with these values settled."""
    settings = Settings()
    for keyword, value in (given or {}).items():
        settings.set_first(keyword, value, "test")

    def tokens(hostname: str, user: str) -> Tokens:
        return Tokens(
            {"h": hostname, "r": user, "n": "host", "k": "host", "u": "me", "j": "", "C": lambda: "hash"}
        )

    destination = Destination(host, "host", "me", command, final_pass)
    return Conditions(destination, settings, Log(level), tokens, network=network)


def judged(judge: Conditions, line: str, *, enabled: bool = True) -> bool:
    """Whether a Match line with these criteria applies."""
    return judge.match(split_words(line), "F line 1", enabled=enabled, text=line)


def complaint(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a bad line is told."""
    with pytest.raises(BadValue) as caught:
        judged(conditions(), line)
    return [*capsys.readouterr().err.splitlines(), str(caught.value)]


# --- Host ---


@pytest.mark.parametrize(
    ("patterns", "applies", "reason"),
    [
        ("host", True, ""),
        ("HOST", False, 'no pattern matches "host"'),
        ("a h*", True, ""),
        ("h?st", True, ""),
        ("host,b", False, 'no pattern matches "host"'),
        ("* !host", False, "negated pattern !host matches"),
        ("!h* *", False, "negated pattern !h* matches"),
        ("!other", False, 'no pattern matches "host"'),
        ("! *", True, ""),
        ("!!host *", True, ""),
        ("", False, 'no pattern matches "host"'),
    ],
)
def test_host_lines(patterns: str, applies: bool, reason: str) -> None:
    judge = conditions()
    assert judge.host(patterns.split(), "F line 1") is applies
    assert judge.reason == reason


def test_a_host_line_with_an_empty_word_is_refused() -> None:
    with pytest.raises(BadValue, match="keyword host empty argument"):
        conditions().host(["host", ""], "F line 1")
    assert not conditions().host(["!host", ""], "F line 1")  # nothing is read behind a negated match


def test_host_lines_say_what_applies(capsys: pytest.CaptureFixture[str]) -> None:
    judge = conditions(level=DEBUG3)
    judge.host(["x", "h*", "host"], "F line 1")
    judge.host(["*", "!host"], "F line 2")
    judge.host(["x"], "F line 3")
    assert capsys.readouterr().err.splitlines() == [
        "debug1: F line 1: Applying options for h*",
        "debug1: F line 2: Skipping Host block because of negated match for host",
    ]


# --- Match: what compares ---


@pytest.mark.parametrize(
    ("line", "applies"),
    [
        ("all", True),
        ("ALL", True),
        ("!all", False),
        ("host host", True),
        ("host HOST", True),
        ("HOST=h*", True),
        ("host = host", True),
        ("host =host", True),
        ("host= host", True),
        ('"host" "host"', True),
        ("host 'host'", True),
        ("host host,!host", False),
        ("!host host", False),
        ("!host=other", True),
        ("host x,h?st originalhost host", True),
        ("originalhost HOST", True),
        ("user me", True),
        ("user ME", False),
        ("user x,me", True),
        ("user *,!me", False),
        ("user ,", False),
        ("localuser me", True),
        ("localuser root", False),
        ("host host # user nobody", True),
        ('host host "#" user nobody', True),
        ("host nobody all", False),
        ("host host all", True),
        ("host host !all", False),
        ("canonical all", False),
        ("canonical", False),
        ("final", False),
        ("!final", True),
        ("!canonical", True),
        ("!final !canonical user me", True),
    ],
)
def test_criteria(line: str, applies: bool) -> None:
    assert judged(conditions(), line) is applies


@pytest.mark.parametrize(
    "line", ["canonical", "final", "canonical all", "final all", "final=all", "final canonical"]
)
def test_the_second_pass_is_final_and_canonical(line: str) -> None:
    assert judged(conditions(final_pass=True), line)
    assert not judged(conditions(), line)


@pytest.mark.parametrize(
    ("line", "wanted"), [("final", True), ("!final", False), ("canonical", False), ("host x final", True)]
)
def test_which_lines_ask_for_a_second_pass(line: str, wanted: bool) -> None:
    judge = conditions()
    judged(judge, line)
    assert judge.final_wanted is wanted


def test_a_line_that_cannot_apply_asks_for_a_second_pass_all_the_same() -> None:
    judge = conditions()
    assert not judged(judge, "final", enabled=False)
    assert judge.final_wanted


def test_host_is_the_name_as_far_as_it_is_settled() -> None:
    assert judged(conditions({"hostname": "%h.example.org"}), "host host.example.org originalhost host")
    assert judged(conditions({"hostname": "real"}, host="real", final_pass=True), "host real originalhost host")
    with pytest.raises(ConfigError, match="Hostname: unknown key %n"):
        judged(conditions({"hostname": "%n"}), "host host")


def test_user_is_compared_as_it_stands() -> None:
    assert judged(conditions({"user": "%u"}), "user %u localuser me")
    assert not judged(conditions({"user": "bob"}), "user me")


@pytest.mark.parametrize(
    ("tag", "line", "applies"),
    [
        ("work", "tagged work", True),
        ("work", "tagged=w*,x", True),
        ("work", "tagged home", False),
        ("work", 'tagged ""', False),
        ("work", "tagged=", False),
        (None, 'tagged ""', True),
        (None, "tagged=", True),
        (None, "!tagged=", False),
        (None, "tagged *", False),
    ],
)
def test_tags(tag: str | None, line: str, applies: bool) -> None:
    assert judged(conditions({"tag": tag}), line) is applies


@pytest.mark.parametrize(
    ("command", "line", "applies"),
    [
        ("ls -l", "command ls*", True),
        ("ls -l", 'command "ls -l"', True),
        ("ls -l", 'command ""', False),
        ("sftp", "command=sftp", True),
        (None, 'command ""', True),
        (None, "command *", False),
    ],
)
def test_commands(command: str | None, line: str, applies: bool) -> None:
    assert judged(conditions({"remotecommand": "configured"}, command=command), line) is applies


@pytest.mark.parametrize(
    ("kind", "command", "shown"),
    [
        (None, None, "shell"),
        ("default", None, "shell"),
        (None, "ls", "exec"),
        ("subsystem", "sftp", "subsystem"),
        ("none", None, "none"),
        ("none", "ls", "none"),
    ],
)
def test_session_types(kind: str | None, command: str | None, shown: str) -> None:
    judge = conditions({"sessiontype": kind}, command=command)
    assert judged(judge, f"sessiontype {shown}")
    assert not judged(judge, f"sessiontype *,!{shown}")


@pytest.mark.parametrize(
    ("patterns", "applies"),
    [
        ("OpenSSH_10.*", True),
        ("OpenSSH_*", True),
        ("OpenSSH_9.*", False),
        (f"pyssh_{__version__}", True),
        ("pyssh_*,OpenSSH_9.*", True),
        ("*,!pyssh_*", False),
        ("*,!OpenSSH_*", False),
        ("*,!OpenSSH_9.*", True),
    ],
)
def test_versions(patterns: str, applies: bool) -> None:
    assert judged(conditions(), f"version {patterns}") is applies


@pytest.mark.parametrize(
    ("networks", "applies"),
    [
        ("10.0.0.0/8", True),
        ("192.0.2.0/24,10.1.0.0/16", True),
        ("10.1.2.3", True),
        ("10.1.2.4", False),
        ("192.0.2.0/24", False),
        ("fe80::/10", True),
        ("2001:DB8::/32", False),
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("FE80::1/128", True),
    ],
)
def test_local_networks(networks: str, applies: bool) -> None:
    judge = conditions(network=Interfaces("127.0.0.1", "10.1.2.3", "fe80::1"))
    assert judged(judge, f"localnetwork {networks}") is applies
    assert judged(judge, f"!localnetwork {networks}") is not applies


def test_no_addresses_match_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert not judged(conditions(), "localnetwork 0.0.0.0/0")
    assert not judged(conditions(network=Interfaces(broken=True)), "localnetwork 0.0.0.0/0")
    assert capsys.readouterr().err == "match localnetwork: getifaddrs failed: Input/output error\n"


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        ("10.0.0.1/8", 'Inconsistent mask length for network "10.0.0.1/8"'),
        ("10.0.0.0/33", 'Inconsistent mask length for network "10.0.0.0/33"'),
        ("fe80::1/64", 'Inconsistent mask length for network "fe80::1/64"'),
        ("10.0.0.0/", 'Invalid network entry "10.0.0.0/"'),
        ("10.0.0.0/-1", 'Invalid network entry "10.0.0.0/-1"'),
        ("10.0.0.0/255.0.0.0", 'Invalid network entry "10.0.0.0/255.0.0.0"'),
        ("10.0.0", 'Invalid network entry "10.0.0"'),
        ("!10.0.0.0/8", 'Invalid network entry "!10.0.0.0/8"'),
        ("fe80::1%eth0", 'Invalid network entry "fe80::1%eth0"'),
        ("example.org", 'Invalid network entry "example.org"'),
        ("10.0.0.0/8,", 'empty entry in list "10.0.0.0/8,"'),
        ("10.0.0.0/" + "9" * 5000, f'Invalid network entry "10.0.0.0/{"9" * 5000}"'),
    ],
)
def test_bad_networks(networks: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(f"host nobody localnetwork {networks}", capsys) == [told[:LONGEST], "Bad Match condition"]


# --- Match: mistakes ---


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "One or more attributes required for Match"),
        ("# host", "One or more attributes required for Match"),
        ('""', "One or more attributes required for Match"),
        ("host", "Missing Match criteria for host"),
        ("Host", "Missing Match criteria for Host"),
        ('host ""', "Missing Match criteria for host"),
        ("host=", "Missing Match criteria for host"),
        ("host =", "Missing Match criteria for host"),
        ("host # x", "Missing Match criteria for host"),
        ('host "# x"', "Missing Match criteria for host"),
        ("!user", "Missing Match criteria for user"),
        ("exec", "Missing Match criteria for exec"),
        ('exec ""', "Missing Match criteria for exec"),
        ("tagged", "Missing Match criteria for tagged"),
        ("sessiontype=", "Missing Match criteria for sessiontype"),
        ("foo", "Missing Match criteria for foo"),
        ("Foo x", "Unsupported Match attribute Foo"),
        ("foo=x", "Unsupported Match attribute foo"),
        ("! host", "Unsupported Match attribute "),
        ("!!host host", "Unsupported Match attribute !host"),
        ("host nobody foo x", "Unsupported Match attribute foo"),
        ("all host host", "F line 1: 'all' cannot be combined with other Match attributes"),
        ("!All all", "F line 1: '!All' cannot be combined with other Match attributes"),
        ("all=x", "F line 1: 'all' cannot be combined with other Match attributes"),
        ("canonical final all", "F line 1: 'all' cannot be combined with other Match attributes"),
        ("user me host host all", "F line 1: 'all' cannot be combined with other Match attributes"),
        ("canonical=x", "Missing Match criteria for x"),
    ],
)
def test_mistakes(line: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(line, capsys) == [told, "Bad Match condition"]


def test_nothing_may_follow_an_empty_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint('host host "" user me', capsys) == ["keyword match extra arguments at end of line"]


# --- Match exec ---


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("line", "applies"),
    [
        ("exec true", True),
        ("exec=true", True),
        ("exec = true", True),
        ("EXEC 'exit 3'", False),
        ("!exec false", True),
        ('exec "test %h = real -a %n = host -a %r = bob -a %k = real -a %% = %%"', True),
        ('exec "test \\"a b\\" = \'a b\'"', True),
        ('exec "test ${PYSSH_X} = value"', True),
        ('exec "test $(cat | wc -c) = 0"', True),
    ],
)
def test_exec(line: str, applies: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSSH_X", "value")
    assert judged(conditions({"hostname": "real", "user": "bob"}), line) is applies


@pytest.mark.usefixtures("shell")
def test_exec_keeps_stdout_from_ours_and_leaves_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert judged(conditions(), 'exec "echo out; echo err >&2"')
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "err\n")


@pytest.mark.usefixtures("shell")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signals are read from /proc")
def test_exec_ignores_no_signal_that_python_ignores(tmp_path: Path) -> None:
    assert judged(conditions(), f'exec "cat /proc/self/status >{tmp_path}/status"')
    status = (tmp_path / "status").read_text()
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    assert not ignored & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


@pytest.mark.usefixtures("shell")
def test_exec_is_not_run_when_it_cannot_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "mark"
    assert not judged(conditions(level=DEBUG3), f'host nobody exec "touch {mark}"')
    assert f'debug3: F line 1: skipped exec "touch {mark}"' in capsys.readouterr().err.splitlines()
    assert not judged(conditions(), f'exec "touch {mark}"', enabled=False)
    assert not mark.exists()


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_that_a_signal_ends_is_an_error(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"kill -{number:d} $$"
    with pytest.raises(ConfigError) as caught:
        judged(conditions(), f'exec "{command}"')
    assert str(caught.value) == f"F line 1: match exec '{command}' error"
    assert capsys.readouterr().err == f"command '{command}' exited abnormally\n"


@pytest.mark.parametrize(
    ("shell", "why"),
    [("/nonexistent", "No such file or directory"), ("", "No such file or directory"), ("/", None),
     ("/etc/passwd", "Permission denied")],
)  # fmt: skip
def test_a_shell_that_cannot_be_run(shell: str, why: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", shell)
    with pytest.raises(ConfigError) as caught:
        judged(conditions(), "exec true")
    if why is None:
        assert "Unable to execute 'true'" in str(caught.value)
    else:
        assert str(caught.value) == f'F line 1: Shell "{shell}" is not executable: {why}'


def test_without_shell_it_is_bin_sh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHELL", raising=False)
    assert judged(conditions(), 'exec "test $0 = /bin/sh"')


@pytest.mark.parametrize(
    ("command", "told"), [("%z", "unknown key %z"), ("x%", "invalid format"), ("%T", "unknown key %T")]
)
def test_bad_tokens_of_exec_end_the_reading(command: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^F line 1: Match exec: {told}"):
        judged(conditions(), f"host nobody exec {command}")  # even where the command is not run


# --- What is said ---


@pytest.mark.usefixtures("shell")
def test_debug_output_is_ssh_s(capsys: pytest.CaptureFixture[str]) -> None:
    line = 'host h* !User "root" exec "exit 3" localuser x final'
    assert not judged(conditions({"hostname": "real"}, level=DEBUG3), line)
    assert capsys.readouterr().err.splitlines() == [
        f"debug2: checking match for '{line}' host real originally host",
        "debug3: F line 1: not matched 'host \"real\"' ",
        "debug3: F line 1: matched '!User \"me\"' ",
        'debug3: F line 1: skipped exec "exit 3"',
        "debug3: F line 1: not matched 'localuser \"me\"' ",
        "debug3: F line 1: not matched 'final' ",
        "debug2: match not found",
    ]
    assert judged(conditions(level=DEBUG3), "!exec false")
    assert capsys.readouterr().err.splitlines() == [
        "debug2: checking match for '!exec false' host host originally host",
        "debug1: Executing command: 'false'",
        "debug3: command returned status 1",
        "debug3: F line 1: matched '!exec \"false\"' ",
        "debug2: match found",
    ]


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("host host", ""),
        ("user bob,alice", 'user "me" is not in "bob,alice"'),
        ("!user me", 'user "me" is in "me"'),
        ("host host user bob host nobody", 'user "me" is not in "bob"'),
        ('exec "exit 3"', "exec failed with 3"),
        ("!exec true", "exec succeeded"),
        ("final", "only in the final pass"),
        ("canonical host x", "only in the final pass"),
        ("!all", "!all never applies"),
        ("localnetwork 192.0.2.0/24", 'no local address is in "192.0.2.0/24"'),
        ("!localnetwork 10.0.0.0/8", 'a local address is in "10.0.0.0/8"'),
        ("tagged x", 'tagged "" is not in "x"'),
    ],
)
def test_reasons(line: str, reason: str) -> None:
    judge = conditions(network=Interfaces("10.1.2.3"))
    assert judged(judge, line) is (not reason)
    assert judge.reason == reason


def test_reasons_of_the_final_pass_and_of_outer_blocks() -> None:
    judge = conditions(final_pass=True)
    assert not judged(judge, "!final")
    assert judge.reason == "not in the final pass"
    assert not judged(judge, "host host", enabled=False)
    assert judge.reason == "the enclosing block does not apply"


def test_include_knows_the_tokens_of_exec() -> None:
    known = conditions({"hostname": "%h.x", "hostkeyalias": "alias"}).tokens()
    assert known.expand("%h %k %n %r %j", where="x") == "host.x alias host me "
