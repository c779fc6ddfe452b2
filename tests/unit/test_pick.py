"""What `--pick` offers and finds: names from files, which of them fit, what was picked before, the look ahead."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from pyssh_cli.cli import fuzzy, pick, recent
from pyssh_cli.cli.acts import Invocation
from pyssh_cli.cli.command import pyssh
from pyssh_cli.cli.invocation import UsageError
from pyssh_cli.cli.pick import HostName, host_names
from pyssh_cli.config.host_names import MAX_LENGTH, Names
from pyssh_cli.log import DEBUG3, Log

KEY = "ssh-ed25519 AAAAC3Nz"


def parsed(*arguments: str) -> Invocation:
    invocation = pyssh.make_context("pyssh", list(arguments), obj=Log()).obj
    assert isinstance(invocation, Invocation)
    return invocation


def found(query: str, *names: str) -> list[str]:
    return [names[place] for place in fuzzy.Finder(names).find(query)]


# The command line -----------------------------------------------------------------------------------------------


def test_the_flag_stands_on_both_sides_and_needs_no_destination() -> None:
    assert (parsed("--pick").picks, parsed("--pick").host) == (True, "")
    for words in (("--pick", "-p", "2200", "we", "ls", "-l"), ("-p2200", "we", "--pick", "ls", "-l")):
        invocation = parsed(*words)
        assert (invocation.picks, invocation.host, invocation.command) == (True, "we", "ls -l")
        assert invocation.settings.get("port") == 2200
    assert parsed("me@we", "--pick").settings.get("user") == "me"
    assert not parsed("host").picks
    with pytest.raises(UsageError):
        parsed("-v")
    assert "--pick" in pyssh.get_help(pyssh.make_context("pyssh", ["host"], obj=Log()))


# What fits ------------------------------------------------------------------------------------------------------


def test_better_fits_come_first() -> None:
    names = ("a-xwxebx", "mywebs", "old-web", "web-two", "web", "wide-eel-boat", "x-w1e2b")
    assert found("web", *names) == ["web", "web-two", "old-web", "mywebs", "wide-eel-boat", "x-w1e2b", "a-xwxebx"]


def test_of_two_that_fit_alike_the_first_is_first_and_case_does_not_matter() -> None:
    assert found("W E", "web-2", "Web-1", "other") == ["web-2", "Web-1"]
    assert found("", "b", "a") == ["b", "a"]
    assert found("zz", "z", "zy") == []


def test_more_and_less_typed_come_to_the_same_as_typed_anew() -> None:
    names = [f"{kind}-{number}.example" for kind in ("web", "db", "mail") for number in range(40)]
    finder = fuzzy.Finder(names)
    for query in ("w", "we", "we1", "w", "", "m12", "m1", "a-1", "x"):
        assert finder.find(query) == fuzzy.Finder(names).find(query)


def test_the_typed_characters_are_marked() -> None:
    for query, name, marked in (
        ("eb", "web", {1, 2}),
        ("wp", "web-prod", {0, 4}),
        ("WD", "web-prod", {0, 7}),
        ("x", "web", set()),
        ("", "web", set()),
    ):
        assert fuzzy.positions(query, name) == marked


def test_names_made_to_take_long_do_not() -> None:
    names = ["a-" * 127] * 50
    expression = fuzzy._expression("a" * 60 + "b")
    assert not any(expression.match(name) for name in names)  # one pass; with backtracking this would never end
    assert found("a" * 60 + "b", *names) == []
    assert found("[^]-\\", "x[^]-\\", "[x^]-\\") == ["x[^]-\\", "[x^]-\\"]


# Names ----------------------------------------------------------------------------------------------------------


def test_names_of_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICKED", "more")
    (tmp_path / "more.conf").write_text(f"Host included\nInclude {tmp_path}/config\n")
    config = tmp_path / "config"
    config.write_text(
        '# Host comment\nHost one two *.wild !not w?ld\n\thost = three\nHost "four five" # six\nHostName seven\n'
        f'Host "open\nInclude {tmp_path}/${{PICKED}}.conf {tmp_path}/%h.conf {tmp_path}/${{PICKED_NOT}}\n'
        f"Match host eight\nHost one last\nHost {'x' * (MAX_LENGTH + 1)}\n"
    )
    names = [host.name for host in host_names(Names(str(config), [], []))]
    assert names == ["one", "two", "three", "included", "eight", "last"]
    assert not host_names(Names("/nonexistent", [], []))


def test_names_of_known_hosts(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(
        f"named,192.0.2.1,2001:db8::1 {KEY}\n192.0.2.2 {KEY}\n[box]:2200,[192.0.2.3]:2200 {KEY}\n[::1]:22 {KEY}\n"
        f"|1|x|y {KEY}\n*.wild,!no,yes {KEY}\n@cert-authority authority {KEY}\n@revoked revoked {KEY}\n"
        f"# comment {KEY}\n\nshort\n[bad]:x {KEY}\n[bad]:99999 {KEY}\n[]:22 {KEY}\n"
        f"named ssh-rsa AAAA\nbox {KEY}\n[box]:2200 {KEY}\n"
    )
    assert host_names(Names("none", [str(file)], [])) == [
        HostName("named"), HostName("192.0.2.2"), HostName("box"), HostName("box", 2200), HostName("::1"),
        HostName("yes"), HostName("authority"),
    ]  # fmt: skip
    assert not host_names(Names("none", [str(tmp_path)], []))


def test_names_that_could_drive_a_shell_or_a_terminal_are_no_choice() -> None:
    for name in ("web-1.example", "10.0.0.1", "fe80::1%eth0", "[::1]", "büro", "under_score"):
        assert pick.is_fit(name)
    for name in ("", "-oProxyCommand=x", "a;b", "a b", "a\x1b[31m", "a\u202eb", "b\udcfc", "$(x)", "a'b", "a\nb"):
        assert not pick.is_fit(name)


def test_labels() -> None:
    hosts = (HostName("a"), HostName("a", 2200), HostName("::1"), HostName("::1", 2200))
    assert [pick.label(host) for host in hosts] == ["a", "a:2200", "::1", "[::1]:2200"]


# What was picked before -----------------------------------------------------------------------------------------


def test_the_last_pick_is_first_and_old_ones_are_dropped(tmp_path: Path) -> None:
    file = str(tmp_path / "a" / "b" / "recent")
    assert recent.read(file) == []
    for number in range(recent.MAX_ENTRIES + 5):
        recent.note(file, f"h{number}")
    recent.note(file, "h100")
    entries = recent.read(file)
    assert entries[:3] == ["h100", f"h{recent.MAX_ENTRIES + 4}", f"h{recent.MAX_ENTRIES + 3}"]
    assert len(entries) == len(set(entries)) == recent.MAX_ENTRIES
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert os.listdir(os.path.dirname(file)) == ["recent"]


def test_two_that_write_at_once_harm_nothing(tmp_path: Path) -> None:
    file = str(tmp_path / "recent")
    threads = [threading.Thread(target=recent.note, args=(file, f"h{number}")) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(recent.read(file)) <= {f"h{number}" for number in range(20)}
    assert os.listdir(tmp_path) == ["recent"]


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.setenv("XDG_STATE_HOME", "/s")
    assert recent.path("/p") == "/s/pyssh/recent"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert recent.path("/p") == "/h/.local/state/pyssh/recent"
    monkeypatch.delenv("HOME")
    assert recent.path("/p") == "/p/.local/state/pyssh/recent"


# The look ahead -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "shown"), [
    ("User me\nHostName 10.0.0.1\nPort 2200\n", "me@10.0.0.1 port 2200"),
    ("User me\nProxyJump a,b@c:2\n", "me@web port 22 via a, b@c:2"),
    ("User me\nProxyCommand nc %h %p\n", "me@web port 22 by a ProxyCommand"),
    ("User me\nProxy socks5://u:secret@p:1080\n", "me@web port 22 by the proxy socks5://u:***@p:1080"),
    ("User me\nMatch exec true\nPort 9\n", "me@web port 22 (Match exec not asked)"),
    ("User me\nMatch !exec true\nPort 9\n", "me@web port 22 (Match exec not asked)"),
    ("User me\nMatch user other exec true\nPort 9\n", "me@web port 22"),
    ("User me\nLogLevel DEBUG3\nForwardAgent /no/such/socket\n", "me@web port 22"),
    ("CanonicalizeHostname yes\nCanonicalDomains x.test\nCanonicalizeFallbackLocal no\n",
     "the configuration looks its name up first"),
    ("User me\nCanonicalizeHostname yes\nCanonicalDomains x.test\n", "me@web port 22"),
    ("Nonsense \x1b[31m\n", "terminating, 1 bad configuration options"),
])  # fmt: skip
def test_nothing_is_run_or_looked_up_or_said(
    text: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def look_up(host: bytes, port: str, family: int, kind: int, protocol: int, flags: int) -> list[object]:
        assert flags & socket.AI_NUMERICHOST
        raise socket.gaierror(socket.EAI_NONAME, "no address")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(os, "posix_spawn", None)
    config = tmp_path / "config"
    config.write_text(text)
    invocation = parsed("--pick", "-F", str(config))
    before = dict(invocation.settings.values)
    assert pick.describe(invocation, HostName("web")).endswith(shown)
    assert invocation.settings.values == before
    assert capfd.readouterr() == ("", "")


def test_what_the_command_line_says_counts_in_the_look_ahead(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host box\nPort 99\nUser them\n")
    invocation = parsed("--pick", "-F", str(config), "-l", "me")
    assert pick.describe(invocation, HostName("box")) == "me@box port 99"
    assert pick.describe(invocation, HostName("box", 2200)) == "me@box port 2200"
    invocation.log.level = DEBUG3
    assert pick.describe(parsed("--pick", "-F", str(config), "-vvv", "-p1"), HostName("box", 2200)).endswith(
        "port 1"
    )
