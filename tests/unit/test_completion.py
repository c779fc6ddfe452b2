"""Completion: what is offered at each place of a command line, where names come from, what may not be imported."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from pyssh_cli.cli.flags import FLAGS
from pyssh_cli.completion import SCRIPTS, answer, places, shells, tables
from pyssh_cli.config.host_names import MAX_DEPTH, Names, is_plain
from pyssh_cli.config.keywords import ALGORITHM_LISTS, KEYWORDS
from scripts import completion_tables

PYSSH = str(Path(sys.executable).with_name("pyssh"))

CONFIG = """\
# Host comment
Host web-1 web-2 !web-3 *.example.com web-? # Host behind
    HostName %h.corp.example.com
    User deploy
    Port 2222
host="quoted" plain#1 'single'
    User "quoted-user"
HOST = equals another
Match originalhost matched,other*,!not host=resolved user matchuser tagged work
    User token%u
Match exec "touch {directory}/ran" host afterexec
Host tagged
    Tag home
    UserKnownHostsFile {directory}/more_known_hosts
Include {directory}/conf.d/*.conf {directory}/missing ~nobody-at-all/x "{directory}/with space"
Host "open quote
Host last
"""

KNOWN_HOSTS = """\
plain.example.com,10.0.0.1 ssh-ed25519 AAAA
plain.example.com,10.0.0.1 ssh-rsa AAAA
[ported.example.com]:2200,[10.0.0.2]:2200 ssh-ed25519 AAAA
10.0.0.3 ssh-ed25519 AAAA
fe80::1%eth0 ssh-ed25519 AAAA
|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= ssh-ed25519 AAAA
# comment ssh-rsa AAAA
@cert-authority *.example.org,ca.example.org ssh-ed25519 AAAA
@revoked revoked.example.com ssh-ed25519 AAAA
 \tindented.example.com ssh-ed25519 AAAA
*.wild.example.com,!not.example.com,what? ssh-ed25519 AAAA
"""

HOSTILE = ["$(touch x)", "$(touch${IFS}x)", "`id`", "a;b", "a&b", "a|b", "a>b", "-oProxyCommand=x", "a'b", 'a"b',
           "a\\b", "a\x1b]0;b\x07", "a\rb", "a\tb", "~root", "=ls", "a*b", "{a,b}", "a!b", "\u202ea", "\x9bA",
           "a\u2028b", "(a)", "[a", "#a", "x" * 256, "", "%", "\udcff"]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a configuration and known_hosts files."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text("Host included-a\n\tHostname 10.1.1.1\n")
    (tmp_path / "conf.d" / "b.conf").write_text(f"Host included-b\nInclude {tmp_path}/config {tmp_path}/deep\n")
    (tmp_path / "conf.d" / "c.other").write_text("Host not-included\n")
    (tmp_path / "deep").write_text("Host=deep\n")
    (tmp_path / "with space").write_text("Host spaced\n")
    (tmp_path / "config").write_text(CONFIG.replace("{directory}", str(tmp_path)))
    (tmp_path / "known_hosts").write_text(KNOWN_HOSTS)
    (tmp_path / "more_known_hosts").write_text("more.example.com ssh-ed25519 AAAA\n")
    return tmp_path


def names(files: Path) -> Names:
    return Names(f"{files}/config", [f"{files}/known_hosts"], [])


def offered(files: Path, *words: str) -> list[str]:
    """What may stand as the last of the words, whole."""
    flags = [f"-F{files}/config", f"-oUserKnownHostsFile={files}/known_hosts", "-oGlobalKnownHostsFile=none"]
    found = places.reply(["pyssh", *flags, *words[:-1]], words[-1])
    return [words[-1][: found.start] + name for name, _ in found.words]


def test_the_tables_are_those_of_flags_and_keywords() -> None:
    assert completion_tables.TARGET.read_text() == completion_tables.text(), "run scripts/completion_tables.py"
    assert {f"-{letter}" for letter in FLAGS} <= set(tables.FLAGS)
    assert set(tables.KEYWORDS) == {row.name for row in KEYWORDS.values()}


def test_every_flag_with_an_argument_says_what_it_takes() -> None:
    taking = {name for name, (argument, _) in tables.FLAGS.items() if argument}
    assert taking == set(places.OF_FLAG)


@pytest.mark.parametrize("taken", sorted({*places.OF_FLAG.values(), *tables.KEYWORDS.values()}))
def test_every_kind_of_argument_can_be_found(taken: str, files: Path) -> None:
    before = places.Before()
    before.config_file = "none"
    assert places._taken(before, taken, "", "what").title


def test_hosts_of_the_configuration(files: Path) -> None:
    assert names(files).configured() == {
        "web-1": "web-1.corp.example.com",
        "web-2": "web-2.corp.example.com",
        "quoted": "",
        "single": "",
        "equals": "",
        "another": "",
        "matched": "",
        "resolved": "",
        "afterexec": "",
        "tagged": "",
        "included-a": "10.1.1.1",
        "included-b": "",
        "deep": "",
        "spaced": "",
        "last": "",
    }
    assert not (files / "ran").exists()


def test_users_tags_and_ports(files: Path) -> None:
    found = names(files)
    assert found.users() == {"deploy": "web-1", "quoted-user": "quoted", "matchuser": ""}
    assert found.tags() == {"work": "", "home": "tagged"}
    assert found.ports() == {"2222": "web-1", "2200": "ported.example.com"}
    assert list(found.ports("10.0.0.2")) == ["2200"]
    assert not found.ports("quoted")


def test_hosts_of_known_hosts(files: Path) -> None:
    rest = ["10.0.0.3", "fe80::1%eth0", "ca.example.org", "indented.example.com"]
    assert list(names(files).known(addresses=False)) == ["plain.example.com", "ported.example.com", *rest]
    everything = ["plain.example.com", "10.0.0.1", "ported.example.com", "10.0.0.2", *rest]
    assert list(names(files).known()) == everything
    configured = Names(f"{files}/config", None, [])
    assert "more.example.com" in configured.known()


def test_the_usual_files(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are where the password database has the person's home, as with ssh."""
    (files / ".ssh").mkdir()
    (files / ".ssh" / "config").write_text("Include relative/*\nHost own\n")
    (files / ".ssh" / "relative").mkdir()
    (files / ".ssh" / "relative" / "x").write_text("Host relative\n")
    (files / ".ssh" / "known_hosts").write_text("known ssh-ed25519 AAAA\n")
    person = pwd.getpwuid(os.getuid())
    changed = pwd.struct_passwd((*person[:5], str(files), person[6]))
    monkeypatch.setattr("pyssh_cli.config.host_names.getpwuid", lambda uid: changed)
    found = Names()
    assert {"own", "relative"} <= set(found.configured())
    assert "known" in found.known()
    assert not Names("none").configured()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_that_a_shell_could_act_on(name: str, tmp_path: Path) -> None:
    assert not is_plain(name)
    raw = name.encode("utf-8", "surrogateescape")
    quoted = raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"'", b"\\'")
    config, known_hosts = tmp_path / "config", tmp_path / "known_hosts"
    block = b'Host good "%s"\nHostName "%s"\nUser "%s"\nTag "%s"\nPort "%s"\nMatch host "%s" tagged "%s"\n'
    config.write_bytes(block.replace(b"%s", quoted))
    known_hosts.write_bytes(b"good,%s,[%s]:22,[good]:%s key AAAA\n%s key AAAA\n" % (raw, raw, raw, raw))
    found = Names(str(config), [str(known_hosts)], [])
    everything = [*found.configured(), *found.configured().values(), *found.users(), *found.tags(), *found.ports()]
    for word in (*everything, *found.known()):
        assert is_plain(word) or not word


@pytest.mark.parametrize(
    "name", ["a", "web-1", "web_1.example.com", "10.0.0.1", "::1", "fe80::1%eth0", "a/b", "büro", "_x"]
)
def test_plain_names(name: str) -> None:
    assert is_plain(name)


def test_odd_files(tmp_path: Path) -> None:
    """Nothing hangs, nothing is raised."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").write_text(
        f"Include {tmp_path}/loop {tmp_path}/./loop {tmp_path}/fifo {tmp_path}\nHost loop\n"
    )
    for number in range(MAX_DEPTH + 3):
        (tmp_path / f"deep{number}").write_text(f"Host deep{number}\nInclude {tmp_path}/deep{number + 1}\n")
    assert list(Names(f"{tmp_path}/loop").configured()) == ["loop"]
    assert len(Names(f"{tmp_path}/deep0").configured()) == MAX_DEPTH + 1
    for path in (f"{tmp_path}/fifo", str(tmp_path), f"{tmp_path}/none\0here", "/dev/zero", f"{tmp_path}/no"):
        found = Names(path, [path], [path])
        assert not found.configured()
        assert not found.known()
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 64)
    found = Names(f"{tmp_path}/bytes", [f"{tmp_path}/bytes"], [])
    assert all(is_plain(name) for name in (*found.configured(), *found.known()))


def test_includes_with_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path))
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "file%x").write_text("Host found\n")
    (tmp_path / "config").write_text("Include ${PLACE}/file%%x ${NOWHERE}/x ${PLACE %h ${PLACE}/%n\n")
    assert list(Names(f"{tmp_path}/config").configured()) == ["found"]


@pytest.mark.parametrize(
    ("words", "wanted", "unwanted"),
    [
        (["w"], ["web-1", "plain.example.com", "ported.example.com"], ["10.0.0.9", "[ported.example.com]:2200"]),
        ([""], ["web-1", "10.0.0.3"], ["10.0.0.1"]),
        (["1"], ["10.0.0.1"], []),
        (["me@"], ["me@web-1"], ["web-1"]),
        (["me@corp@w"], ["me@corp@web-1"], []),
        (["ssh://w"], ["ssh://web-1"], []),
        (["ssh://me@ported.example.com:"], ["ssh://me@ported.example.com:2200"], []),
        (["-v", "-p", "22", "w"], ["web-1"], []),
        (["-vp22", "w"], ["web-1"], []),
        (["--", "w"], ["web-1"], []),
        (["-J", "web-1,me@"], ["web-1,me@web-2"], ["web-1,me@fe80::1%eth0"]),
        (["-J", "ported.example.com:"], ["ported.example.com:2200"], ["ported.example.com:2222"]),
        (["-J", ""], ["none", "web-1"], []),
        (["-J", "web-1,"], ["web-1,web-2"], ["none", "web-1,none"]),
        (["-Jw"], ["-Jweb-1"], []),
        (["-o", "ProxyJump=w"], ["ProxyJump=web-1"], []),
        (["-L", "8080:"], ["8080:localhost:", "8080:web-1:"], []),
        (["-L", "[::1]:8080:"], ["[::1]:8080:web-1:"], []),
        (["-vL8080:"], ["-vL8080:web-1:"], []),
        (["-R", "/tmp/socket:"], ["/tmp/socket:web-1:"], []),
        (["-L", "8080:web-1:"], [], ["8080:web-1:localhost:"]),
        (["-L", ""], [], ["localhost:"]),
        (["-W", "w"], ["web-1:", "localhost:"], []),
        (["-W", "web-1:"], [], ["web-1:localhost:"]),
        (["-w", ""], ["any", "any:any"], []),
        (["-w", "0:"], ["0:any"], ["0:any:any"]),
        (["-l", ""], ["deploy", "root"], ["token%u"]),
        (["-P", ""], ["work", "home"], []),
        (["-p", ""], ["2222", "2200"], []),
        (["web-1", "-p", ""], ["2222"], ["2200"]),
        (["-c", ""], ["aes128-ctr", "3des-cbc"], []),
        (["-c", "+"], ["+3des-cbc"], ["+aes128-ctr"]),
        (["-c", "aes128-ctr,"], ["aes128-ctr,aes256-ctr"], ["aes128-ctr,aes128-ctr"]),
        (["-o", "Ciphers=-"], ["Ciphers=-aes128-ctr"], ["Ciphers=-3des-cbc"]),
        (["-oKexAlgorithms=^"], ["-oKexAlgorithms=^curve25519-sha256"], []),
        (["-m", ""], ["hmac-sha2-256"], []),
        (["-Q", ""], ["cipher", "help", "HostKeyAlgorithms"], []),
        (["-O", ""], ["check", "conninfo"], []),
        (["-e", ""], ["~", "none"], []),
        (["-S", ""], ["none"], []),
        (["-o", ""], ["StrictHostKeyChecking=", "Proxy="], ["Host=", "Match="]),
        (["-o", "stricthostkeychecking="], ["stricthostkeychecking=accept-new"], ["stricthostkeychecking=off"]),
        (["-o", "Compression "], ["Compression yes", "Compression no"], []),
        (["-o", "Compression = "], ["Compression = yes"], []),
        (["-o", "keepalive="], ["keepalive=yes"], []),
        (["-o", "PreferredAuthentications=publickey,"], ["PreferredAuthentications=publickey,password"], []),
        (["-o", "User="], ["User=deploy"], []),
        (["-o", "Nonsense="], [], []),
        (["-"], ["-4", "-o", "--help", "--version"], []),
        (["-v"], ["-v", "-vv", "-vN"], []),
        (["-vN"], ["-vN", "-vN4"], ["-vNN"]),
        (["-p"], ["-p"], []),
        (["web-1", "-"], ["-4"], []),
        (["-s", "web-1", ""], ["sftp"], []),
        (["-B", ""], ["lo"] if sys.platform == "linux" else [], []),
        (["-b", ""], ["127.0.0.1"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_places(words: list[str], wanted: list[str], unwanted: list[str], files: Path) -> None:
    found = offered(files, *words)
    assert set(wanted) <= set(found)
    assert not set(unwanted) & set(found)


@pytest.mark.parametrize(
    ("words", "at"),
    [
        (["pyssh", "host", ""], 2),
        (["pyssh", "host", "ls", ""], 2),
        (["pyssh", "-v", "host", "-p", "22", "ls", "-"], 5),
        (["pyssh", "--", "host", "-"], 3),
        (["pyssh", "host", "--", "-"], 3),
    ],
)
def test_remote_commands_are_the_shells_own_to_complete(words: list[str], at: int) -> None:
    assert places.reply(words[:-1], words[-1]).command == at


@pytest.mark.parametrize("words", [["-i", ""], ["-F", ""], ["-E", ""], ["-S", ""], ["-I", ""], ["-L", "/tmp"],
                                   ["-L", "8080:/tmp"], ["-o", "IdentityFile="], ["-i/tmp"]])  # fmt: skip
def test_files(words: list[str]) -> None:
    found = places.reply(["pyssh", *words[:-1]], words[-1])
    assert found.files
    assert not found.command


@pytest.mark.parametrize(
    ("word", "plain"),
    [
        ("a", ("a", "")),
        ("'a b'c", ("a bc", "")),
        ('"a b', ("a b", '"')),
        ("'a\\", ("a\\", "'")),
        (r"a\ b\'", ("a b'", "")),
        (r'"\$a\b\\"', (r"$a\b" + "\\", "")),
        ("a\\", ("a", "")),
        ("", ("", "")),
    ],
)
def test_quotes(word: str, plain: tuple[str, str]) -> None:
    assert shells.unquoted(word) == plain


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["", "pyssh", "-o", "stricth"], ["nospace", "StrictHostKeyChecking="]),
        (["Compression=", "pyssh", "-o", "Compression="], ["words", "yes", "no"]),
        (["Compression=", "pyssh", "-o", "Compression=y"], ["words", "yes"]),
        (["", "pyssh", "-o", "'Compression="], ["words", "Compression=yes", "Compression=no"]),
        (["", "pyssh", "-o", "sess"], ["words", "SessionRecord=", "SessionRecordInput=", "SessionType="]),
        (["", "pyssh", "-o", "cas"], ["nospace", "CASignatureAlgorithms="]),
        (["", "pyssh", "-c", "aes128-ctr,ch"], ["nospace", "aes128-ctr,chacha20-poly1305@openssh.com"]),
        (["8080:", "pyssh", "-L", "8080:localh"], ["nospace", "localhost:"]),
        (["", "pyssh", "-e", "~"], ["words", "\\~"]),
        (["", "pyssh", "-e", "'~"], ["words", "~"]),
        (["", "pyssh", "-v"], ["words", "-v"]),
        (["", "pyssh", "-i", "/etc/"], ["files"]),
        (["IdentityFile=", "pyssh", "-o", "IdentityFile=/e"], ["files"]),
        (["", "pyssh", "-F", "n"], ["mixed", "none"]),
        (["", "pyssh", "host", ""], ["command 2"]),
        (["", "pyssh", ">", "out", "host", "2>", "err", "ls"], ["command 6"]),
        (["", "pyssh", "host", ">", ""], ["files"]),
        (["", "pyssh", "-Q", "nothing"], ["nospace"]),
    ],
)  # fmt: skip
def test_what_bash_is_told(words: list[str], lines: list[str]) -> None:
    assert shells.bash(words).splitlines() == lines


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (r"a\$\(touch\ x\),localh", r"a\$\(touch\ x\),localhost"),
        (r'"a\$(touch x),localh', r"a\$(touch x),localhost"),
        ("'a$(touch x),localh", "a$(touch x),localhost"),
        ("$GATE,localh", "$GATE,localhost"),
        ('a,"localh', "localhost"),
        ("lo'calh", "calhost"),
        (r"""'a'\''b,localh""", r"""b,localhost"""),
        ('"a,l"ocalh', '"a,"localhost'),
        ('a,"l"ocalh', "a,localhost"),
    ],
)
def test_what_stands_before_stays_quoted_for_bash(typed: str, shown: str, tmp_path: Path) -> None:
    """What a person has kept a shell from acting on is not given back to it to act on."""
    config = tmp_path / "config"
    config.write_text("Host localhost\n")
    assert shells.bash(["", "pyssh", f"-F{config}", "-J", typed]).splitlines() == ["nospace", shown]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("-i{}/g", r"-i{}/g\`touch\ x\`"),
        ("-i{}/v", r"-i{}/v\$\(touch\ x\)"),
        ('"-i{}/v', r"-i{}/v\$(touch x)"),
        ("'-i{}/v", "-i{}/v$(touch x)"),
        ("'-i{}/m", r"""-i{}/m'\''q"""),
        (r"-i{}/\;", r"-i{}/\;\;touch\ x/"),
    ],
)
def test_names_of_files_behind_a_flag_are_quoted_for_bash(typed: str, shown: str, tmp_path: Path) -> None:
    """bash itself leaves alone what may be a variable or a command in a word that is no file's name."""
    for name in ("g`touch x`", "v$(touch x)", "m'q", "w\x1b[31m"):
        (tmp_path / name).touch()
    (tmp_path / ";;touch x").mkdir()
    first, *lines = shells.bash(["", "pyssh", typed.format(tmp_path)]).splitlines()
    assert (first, lines) == ("nospace" if shown.endswith("/") else "words", [shown.format(tmp_path)])
    assert len(shells.bash(["", "pyssh", f"-i{tmp_path}/"]).splitlines()) == 5


def test_case_of_what_was_typed_is_kept_for_bash() -> None:
    """Where the spellings differ in it, or bash would take back what they do not share."""
    lines = shells.bash(["", "pyssh", "-o", "ca"]).splitlines()
    assert "caSignatureAlgorithms=" in lines
    assert "canonicalDomains=" in lines


def test_what_zsh_is_told() -> None:
    lines = shells.zsh(["pyssh", "-o", "Compression="]).splitlines()
    assert lines == ["12", "words", "values", "Compression", "Compression", "2 0 0", "yes", "no"]
    assert shells.zsh(["pyssh", "-c", "aes128-ctr,"]).splitlines()[:2] == ["11", "joined"]
    assert shells.zsh(["pyssh", "-c", r"\aes128\-ctr,"]).splitlines()[0] == "13"  # as typed
    assert shells.zsh(["pyssh", "host", ""]) == "0\ncommand 2\n"
    lines = shells.zsh(["pyssh", "-o", ""]).splitlines()
    assert lines[5] == f"0 {len(tables.KEYWORDS)} 0"
    assert lines[6:] == [f"{name}=" for name in tables.KEYWORDS]


def test_zsh_is_told_whole_words_first_and_all_descriptions_last() -> None:
    lines = shells.zsh(["pyssh", "-o", "Proxy="]).splitlines()
    assert lines[5:] == ["1 3 0", "none", "http://", "socks5://", "socks5h://"]
    lines = shells.zsh(["pyssh", "-"]).splitlines()
    assert lines[2] == "options exact"
    assert lines[5] == f"{len(tables.FLAGS)} 0 1"
    assert lines[6 : 6 + len(tables.FLAGS)] == list(tables.FLAGS)
    shown = [line.split(" -- ") for line in lines[6 + len(tables.FLAGS) :]]
    assert [[flag.rstrip(), told] for flag, told in shown] == [
        [name, row[1]] for name, row in tables.FLAGS.items()
    ]
    assert len({len(flag) for flag, _ in shown}) == 1
    assert len(lines) == 6 + 2 * len(tables.FLAGS)


def test_what_fish_is_told() -> None:
    lines = shells.fish(["pyssh", "-o", "Compression="]).splitlines()
    assert lines == ["words", "Compression=yes", "Compression=no"]
    assert "-4\tUse IPv4 addresses only" in shells.fish(["pyssh", "-"]).splitlines()
    assert shells.fish(["pyssh", "-o", "IdentityFile=/e"]).splitlines()[0] == "files 13 IdentityFile=/e"
    assert shells.fish(["pyssh", "-i", "'a b"]).splitlines()[0] == "files 0 a b"
    assert shells.fish(["pyssh", "host", ""]) == "command 2\n"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_any_words_have_an_answer(shell: str) -> None:
    odd = ["", "-", "--", "---", "-o", "=", ":", "@", ",", "-o=", "-L:", "-W[", "ssh://", "ssh://@:",
           "\x00", "\udcff", "~", "'", '"', "\\",
           "-J,", "-c+", "--help", "-oPort", "-é", "ho\nst"]  # fmt: skip
    for first in odd:
        for second in odd:
            assert isinstance(answer(shell, ["", "pyssh", "-Fnone", first, second]), str)
        assert isinstance(answer(shell, [first]), str)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_mode_says_nothing_but_answers(shell: str, files: Path) -> None:
    lead = [""] if shell == "bash" else []
    words = [*lead, "pyssh", f"-F{files}/config", "web-"]
    done = subprocess.run([PYSSH, "--complete", shell, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert "web-1" in done.stdout
    assert not done.stderr
    for arguments in (words[:1], [], ["\udcff", "\udcff"], ["x"] * 1000):
        done = subprocess.run(
            [PYSSH, "--complete", shell, *arguments], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0
        assert not done.stderr
    closed = ["sh", "-c", '"$@" >&-', "sh", PYSSH, "--complete", shell, *words]
    done = subprocess.run(closed, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert not done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--complete"], ["--complete", "host"], ["-v", "--complete", "bash", "", "pyssh"], ["--complete=bash"]],
)
def test_the_mode_is_no_destination(arguments: list[str]) -> None:
    """It begins with the very words, or it is a flag that only says what it wants."""
    done = subprocess.run([PYSSH, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 255
    first = done.stderr.splitlines()[0]
    assert first in {
        "option requires an argument -- complete",
        "--complete takes bash, zsh or fish, and is the first word",
    }
    assert not done.stdout


@pytest.mark.parametrize("words", [["w"], ["-o", ""], ["-c", ""], ["-l", ""], ["-"]], ids=" ".join)
def test_nothing_heavy_is_imported(words: list[str], files: Path) -> None:
    """Each Tab starts Python anew, and the person waits."""
    script = (
        "import sys, os, pyssh_cli.__main__ as m\n"
        "def end(status): sys.stderr.write(' '.join(sys.modules)); sys.stderr.flush(); leave(status)\n"
        "leave, os._exit = os._exit, end\n"
        "m.main()"
    )
    flags = [f"-F{files}/config", f"-oUserKnownHostsFile={files}/known_hosts"]
    done = subprocess.run(
        [sys.executable, "-c", script, "--complete", "fish", "pyssh", *flags, *words],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(done.stderr.split())
    assert "pyssh_cli.completion.places" in loaded
    assert done.stdout.startswith("words\n")
    heavy = {"cryptography", "click", "prompt_toolkit", "bcrypt", "socket", "ctypes", "subprocess", "asyncio"}
    assert not loaded & {*heavy, "pyssh_cli.cli", "pyssh_cli.config.keywords", "pyssh_cli.net"}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_shells_own_part_is_printed(shell: str) -> None:
    path = Path(__file__).parents[2] / "completions" / SCRIPTS[shell][0]
    assert answer(shell, []) == path.read_text()


def test_lists_are_those_of_the_keywords() -> None:
    for keyword, kind in ALGORITHM_LISTS.items():
        name = tables.KEYWORDS[KEYWORDS[keyword].name].strip("<>+-^")
        assert tables.LISTS[name].split() == list(kind.supported)
