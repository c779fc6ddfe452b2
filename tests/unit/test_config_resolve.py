"""From files and flags to Options: precedence, blocks, Include, Match, expansion, and what errors say."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pyssh_cli.config import passes as passes_module
from pyssh_cli.config.options import Identity, Options
from pyssh_cli.config.resolve import DEFAULT_AUTHENTICATIONS, refuse_unsupported, resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG3, QUIET, Log
from pyssh_cli.net.names import SystemNetwork
from tests.unit.hinted import bare

HOME = pwd.getpwuid(os.getuid()).pw_dir


def options_of(tmp_path: Path, text: str, host: str = "host", command: str | None = None) -> Options:
    return resolved(tmp_path, text, host, command)[0]


def resolved(
    tmp_path: Path, text: str, host: str = "host", command: str | None = None
) -> tuple[Options, Settings]:
    path = tmp_path / "config"
    path.write_text(text)
    settings = Settings()
    return resolve(settings, host, SystemNetwork(), Log(), config_file=str(path), command=command), settings


def complaints(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        options_of(tmp_path, text)
    lines = [*capsys.readouterr().err.splitlines(), str(caught.value)]
    return [bare(line.replace(str(tmp_path / "config"), "F")) for line in lines]


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    options = options_of(tmp_path, "", "Example.ORG")
    assert (options.original_host, options.hostname, options.port) == ("Example.ORG", "example.org", 22)
    assert options.user == pwd.getpwuid(os.getuid()).pw_name
    assert options.identities[0] == Identity(f"{HOME}/.ssh/id_rsa", False)
    assert [Path(identity.path).name for identity in options.identities] == [
        "id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk",
    ]  # fmt: skip
    assert options.user_known_hosts_files == (f"{HOME}/.ssh/known_hosts", f"{HOME}/.ssh/known_hosts2")
    assert options.identity_agent is None
    assert options.strict_host_key_checking == "ask"
    assert options.preferred_authentications == DEFAULT_AUTHENTICATIONS
    assert options.escape_char == ord("~")
    assert options.connect_timeout is None
    assert options.host_key_algorithms_default
    assert options.command is None


def test_first_value_wins_and_lists_grow(tmp_path: Path) -> None:
    options, settings = resolved(
        tmp_path,
        "Host h*\nPort 1\nIdentityFile /a\nHost *\nPort 2\nUser u\nIdentityFile /b\nIdentityFile /a\n"
        "SendEnv A B1 B2\nSendEnv -B* C\n",
    )
    assert (options.port, options.user) == (1, "u")
    assert options.identities == (Identity("/a", True), Identity("/b", True))
    assert options.send_env == ("A", "C")
    assert settings.origin("port") == f"{tmp_path}/config:2"
    assert settings.origins["identityfile"] == [f"{tmp_path}/config:3", f"{tmp_path}/config:7"]


def test_command_line_beats_files(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Port 1\nIdentityFile /file\n")
    settings = Settings()
    settings.set_first("port", 2, "-p")
    settings.add("identityfile", ["/flag"], "-i")
    options = resolve(settings, "h", SystemNetwork(), Log(), config_file=str(tmp_path / "config"))
    assert options.port == 2
    assert [identity.path for identity in options.identities] == ["/flag", "/file"]


def test_user_file_beats_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    own = tmp_path / ".ssh" / "config"
    own.write_text("Port 1\nInclude more\n")
    own.chmod(0o600)
    (tmp_path / ".ssh" / "more").write_text("User included\n")
    system = tmp_path / "system"
    system.write_text("Port 2\nConnectTimeout 7\n")
    person = pwd.struct_passwd(("me", "x", os.getuid(), 0, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(passes_module, "local_person", lambda: person)
    monkeypatch.setattr(passes_module, "SYSTEM_FILE", str(system))
    monkeypatch.setenv("HOME", str(tmp_path))
    options = resolve(Settings(), "h", SystemNetwork(), Log())
    assert (options.port, options.connect_timeout, options.user) == (1, 7, "included")
    assert resolve(Settings(), "h", SystemNetwork(), Log(), config_file="none").port == 22
    own.chmod(0o666)
    with pytest.raises(ConfigError, match=r"Bad owner or permissions on \S+config \("):
        resolve(Settings(), "h", SystemNetwork(), Log())


def test_missing_file_of_f(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Can't open user config file /nonexistent: No such file or directory"):
        resolve(Settings(), "h", SystemNetwork(), Log(), config_file="/nonexistent")
    # a directory is an empty file
    assert resolve(Settings(), "h", SystemNetwork(), Log(), config_file=str(tmp_path)).port == 22


def test_include(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text("Host other\nUser wrong\nHost host\nUser included\n")
    (tmp_path / "a.conf").write_text("Port 7\n")
    options = options_of(
        tmp_path,
        f"Host nobody\nInclude {tmp_path}/a.conf\nHost *\nInclude {tmp_path}/nope {tmp_path}/*.conf\n"
        "ConnectTimeout 3\n",
    )
    assert (options.port, options.user, options.connect_timeout) == (7, "included", 3)


def test_include_in_a_block_that_does_not_apply(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("Host *\nUser wrong\nMatch all\nUser wrong\n")
    assert options_of(tmp_path, f"Host nobody\nInclude {tmp_path}/a\n").user != "wrong"


def test_include_of_itself_ends(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Too many recursive configuration includes"):
        options_of(tmp_path, f"Include {tmp_path}/config\n")


def test_mistakes_in_an_included_file_name_that_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad").write_text("Foo 1\n")
    with pytest.raises(ConfigError, match="bad: terminating, 1 bad configuration options"):
        options_of(tmp_path, f"Include {tmp_path}/bad\n")
    assert "bad: line 1: Bad configuration option: foo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("block", "applies"),
    [
        ("Host host", True),
        ("Host HOST", False),
        ("Host a host", True),
        ("Host * !host", False),
        ("Host !other", False),
        ("Match all", True),
        ("Match host HOST", True),
        ("Match !host host", False),
        ("Match host=host user=*", True),
        ("Match host x,host,!y originalhost host", True),
        ("Match exec true", True),
        ('Match exec "test %h = host -a %n = host"', True),
        ("Match !exec false", True),
        ("Match exec false", False),
        ("Match host nobody exec 'exit 0'", False),
        ("Match final", True),
        ("Match canonical", False),
        ("Match !final", True),
        ("Match tagged work", True),
        ("Match sessiontype exec command ls*", True),
        ("Match sessiontype shell", False),
        ("Match all # comment", True),
    ],
)
def test_blocks(tmp_path: Path, block: str, applies: bool) -> None:
    options = options_of(tmp_path, f"Tag work\n{block}\nPort 99\n", command="ls -l")
    assert (options.port == 99) is applies


def test_match_sees_what_is_settled_above(tmp_path: Path) -> None:
    text = "Hostname %h.example.org\nUser me\nMatch host host.example.org user me originalhost host\nPort 9\n"
    options = options_of(tmp_path, text)
    assert (options.hostname, options.port) == ("host.example.org", 9)


def test_final_pass_compares_the_new_name(tmp_path: Path) -> None:
    options = options_of(tmp_path, "Host host\nHostname real\nMatch final host real\nUser f\nHost real\nPort 9\n")
    assert (options.hostname, options.user, options.port) == ("real", "f", 9)


def test_exec_is_not_run_where_it_cannot_matter(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    options_of(tmp_path, f"Match host nobody exec 'touch {mark}'\nPort 9\n")
    assert not mark.exists()
    options_of(tmp_path, f"Match host host exec 'touch {mark}; echo out'\nPort 9\n")
    assert mark.exists()


def test_expansion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/env")
    options = options_of(
        tmp_path,
        "User me\nPort 44\nHostname %h.x\nHostKeyAlias Alias\nIdentityFile ~/%h-%n-%r-%p-%k\n"
        "IdentityFile ${WHERE}/%%\nUserKnownHostsFile ~/%n /k\nIdentityAgent ${WHERE}/agent\n"
        "RemoteCommand echo %h '%r'  ${WHERE}\nGlobalKnownHostsFile none\n",
    )
    assert options.identities == (Identity(f"{HOME}/host.x-host-me-44-alias", True), Identity("/env/%", True))
    assert options.user_known_hosts_files == (f"{HOME}/host", "/k")
    assert options.global_known_hosts_files == ()
    assert options.identity_agent == "/env/agent"
    assert options.command == "echo host.x 'me'  ${WHERE}"
    assert options.host_key_alias == "alias"


def test_connection_hash_is_ssh_s(tmp_path: Path) -> None:
    from hashlib import sha1

    options = options_of(tmp_path, "User me\nIdentityFile /%C\n")
    expected = sha1(f"{os.uname().nodename}host22me".encode()).hexdigest()
    assert options.identities[0].path == f"/{expected}"


@pytest.mark.parametrize(
    ("value", "agent"),
    [("none", None), ("SSH_AUTH_SOCK", "/sock"), ("$OTHER", "/other"), ("$UNSET_X", None), ("/a%%", "/a%")],
)
def test_identity_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, agent: str | None) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/sock")
    monkeypatch.setenv("OTHER", "/other")
    monkeypatch.delenv("UNSET_X", raising=False)
    assert options_of(tmp_path, f"IdentityAgent {value}\n").identity_agent == agent


def test_identity_file_none(tmp_path: Path) -> None:
    assert options_of(tmp_path, "IdentityFile none\n").identities == ()


def test_command_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Cannot execute command-line and remote command"):
        options_of(tmp_path, "RemoteCommand x\n", command="y")
    assert options_of(tmp_path, "RemoteCommand none\n", command="y").command == "y"


def test_values_of_many_kinds(tmp_path: Path) -> None:
    options = options_of(
        tmp_path,
        "RekeyLimit 1G 1h\nConnectTimeout 1m\nServerAliveInterval none\nSetEnv A=1 B='2 3' A=4\nSetEnv C=5\n"
        "EscapeChar ^B\nLogLevel quiet\nPreferredAuthentications password,publickey\nRequestTTY force\n"
        "Ciphers aes256-ctr,3des-cbc\nHostKeyAlgorithms ssh-dss,ssh-ed25519\nStrictHostKeyChecking off\n"
        "FingerprintHash MD5\nPubkeyAuthentication unbound\nAddressFamily INET6\n",
    )
    assert options.rekey_limit == (2**30, 3600)
    assert (options.connect_timeout, options.server_alive_interval) == (60, 0)
    assert options.set_env == (("A", "1"), ("B", "2 3"))
    assert (options.escape_char, options.log_level) == (2, QUIET)
    assert options.preferred_authentications == ("password", "publickey")
    assert (options.request_tty, options.strict_host_key_checking) == ("force", "no")
    assert options.ciphers == ("aes256-ctr", "3des-cbc")
    assert options.host_key_algorithms == ("ssh-ed25519",)
    assert not options.host_key_algorithms_default
    assert (options.fingerprint_hash, options.pubkey_authentication) == ("md5", True)
    assert options.address_family == "inet6"


def test_nothing_left_of_a_list_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config:2: HostKeyAlgorithms: pyssh has no .* of 'ssh-dss'"):
        options_of(tmp_path, "\nHostKeyAlgorithms ssh-dss\n")


def test_all_bad_lines_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'Foo 1\nHost nobody\nPort x\nBatchMode maybe\nUser "a\nPort 1 2\nMatch bogus x\nMatch host\n'
    assert complaints(tmp_path, text, capsys) == [
        "F: line 1: Bad configuration option: foo",
        "F line 3: Bad port 'x'.",
        'F line 4: unsupported option "maybe".',
        "F line 5: invalid quotes",
        "F line 6: keyword port extra arguments at end of line",
        "Unsupported Match attribute bogus",
        "F line 7: Bad Match condition",
        "Missing Match criteria for host",
        "F line 8: Bad Match condition",
        "F: terminating, 7 bad configuration options",
    ]


def test_ignore_unknown_and_old_keywords(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options_of(
        tmp_path, "IgnoreUnknown foo*,Bar\nFooX 1\nBAR 2\nProtocol 2\nCipher x\nRhostsRSAAuthentication no\n"
    )
    assert capsys.readouterr().err.splitlines() == [
        f'{tmp_path}/config line 6: Unsupported option "rhostsrsaauthentication"'
    ]


def test_binary_files_and_odd_ends(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"User a\0b\r\n\xff\xfe\nPort 9")
    with pytest.raises(ConfigError, match="terminating, 1 bad"):
        resolve(Settings(), "h", SystemNetwork(), Log(QUIET), config_file=str(path))
    path.write_bytes(b"User a\0b\r\nPort 9\r")
    options = resolve(Settings(), "h", SystemNetwork(), Log(), config_file=str(path))
    assert (options.user, options.port) == ("a", 9)


def test_refuse_connection_ends_the_reading(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config line 2: RefuseConnection: use the other one$"):
        options_of(tmp_path, 'Host host\nRefuseConnection "use the other one"\n')
    assert options_of(tmp_path, "Host other\nRefuseConnection no\nHost *\nPort 9\n").port == 9


def test_what_is_not_done_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, settings = resolved(
        tmp_path, "ProxyCommand none\nProxyJump x\nPermitLocalCommand yes\nControlPath /x\nForwardX11 no\n"
    )
    refuse_unsupported(settings, Log(DEBUG3))
    assert capsys.readouterr().err.splitlines() == [
        f"debug1: {tmp_path}/config:4: ControlPath is not supported yet and does nothing",
    ]


@pytest.mark.parametrize("origin", ["-l", "destination", "-o User"])
def test_users_of_the_command_line_hold_no_tokens(origin: str) -> None:
    settings = Settings()
    settings.set_first("user", "DOM%n", origin)
    options = resolve(settings, "host", SystemNetwork(), Log(), config_file="none")
    assert options.user == ("DOMhost" if origin == "-o User" else "DOM%n")
    assert options.tokens["r"] == options.user


def test_users_of_files_hold_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "there")
    assert options_of(tmp_path, "User %n-${WHERE}\n").user == "host-there"
