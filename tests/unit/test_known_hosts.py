"""known_hosts: the verdicts, what ssh-keygen -F finds in the same files, and what is appended."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys import known_hosts
from pyssh_cli.keys.host_patterns import hash_name, matches, wildcard_match
from pyssh_cli.keys.known_hosts import KnownHosts, known_hosts_name
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import mpint, string


def ed25519(number: int) -> PublicKey:
    return PublicKey.parse(string(b"ssh-ed25519") + string(number.to_bytes(32, "big")))


def rsa(number: int) -> PublicKey:
    return PublicKey.parse(string(b"ssh-rsa") + mpint(65537) + mpint((1 << 2047) + 2 * number + 1))


OURS, THEIRS, RSA = ed25519(1), ed25519(2), rsa(1)


def hosts(path: Path, *lines: str) -> KnownHosts:
    path.write_text("".join(line + "\n" for line in lines))
    return KnownHosts([str(path)])


def test_names() -> None:
    assert known_hosts_name("Example.COM", 22) == "example.com"
    assert known_hosts_name("Example.com", 2222) == "[example.com]:2222"
    assert known_hosts_name("::1", 22) == "::1"
    assert known_hosts_name("ÄÖ", 22) == "ÄÖ"  # ssh lowers A to Z alone


def test_match_names_file_and_line(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", "# comment", "", f"other {THEIRS.line()}", f"  Host,h2 {OURS.line('me')}")
    for name in ("host", "HOST", "h2"):
        verdict = known.lookup([name], OURS)
        assert verdict.status == "match"
        assert verdict.entry is not None
        assert (verdict.entry.file, verdict.entry.line, verdict.entry.names) == (
            str(tmp_path / "kh"),
            4,
            "Host,h2",
        )
    assert known.lookup(["hos"], OURS).status == "new"
    assert known.lookup(["host,h2"], OURS).status == "new"


def test_changed_names_the_last_line_that_differs(tmp_path: Path) -> None:
    known = hosts(
        tmp_path / "kh", f"h {THEIRS.line()}", f"h {RSA.line()}", f"* {ed25519(3).line()}", f"x {OURS.line()}"
    )
    verdict = known.lookup(["h"], OURS)
    assert verdict.status == "changed"
    assert verdict.entry is not None
    assert (verdict.entry.line, verdict.entry.key) == (3, ed25519(3))
    assert [e.line for e in verdict.entries] == [1, 2, 3]
    assert [e.line for e in verdict.other_types] == [2]


def test_a_key_of_another_type_counts_as_changed_as_for_ssh(tmp_path: Path) -> None:
    verdict = hosts(tmp_path / "kh", f"h {RSA.line()}").lookup(["h"], OURS)
    assert verdict.status == "changed"
    assert verdict.entry is not None
    assert verdict.entry.key.short_name == "RSA"


def test_a_type_that_ssh_does_not_know_never_counts_as_changed(tmp_path: Path) -> None:
    strange = PublicKey.parse(string(b"ssh-strange") + b"x")
    known = hosts(tmp_path / "kh", f"h {strange.line()}")
    assert known.lookup(["h"], OURS).status == "new"
    assert known.lookup(["h"], strange).status == "match"


def test_match_wins_over_lines_that_differ(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"h {THEIRS.line()}", f"h {OURS.line()}", f"h {RSA.line()}", f"h {OURS.line()}")
    verdict = known.lookup(["h"], OURS)
    assert verdict.status == "match"
    assert verdict.entry is not None
    assert verdict.entry.line == 2
    assert known.key_types("h") == ("ssh-ed25519", "ssh-rsa")


def test_revoked_wins_over_everything(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"h {OURS.line()}", f"@revoked * {OURS.line()}", f"@revoked g {THEIRS.line()}")
    verdict = known.lookup(["h"], OURS)
    assert verdict.status == "revoked"
    assert verdict.entry is not None
    assert (verdict.entry.line, verdict.entry.marker) == (2, "@revoked")
    assert known.lookup(["unheard-of"], OURS).status == "revoked"
    assert known.lookup(["unheard-of"], THEIRS).status == "new"
    assert known.key_types("unheard-of") == ()


def test_certificate_authorities_are_kept_but_do_not_speak_for_plain_keys(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"@cert-authority *.example.com {OURS.line()}")
    verdict = known.lookup(["a.example.com"], OURS)
    assert verdict.status == "new"
    assert [e.marker for e in verdict.entries] == ["@cert-authority"]
    assert known.lookup(["a.example.com"], THEIRS).status == "new"


def test_the_bare_name_may_only_add_trust(tmp_path: Path) -> None:
    names = ["[h]:2222", "h"]
    path = tmp_path / "kh"
    assert hosts(path, f"h {OURS.line()}").lookup(names, OURS).name == "h"
    assert hosts(path, f"h {OURS.line()}").lookup(names, OURS).status == "match"
    assert hosts(path, f"h {THEIRS.line()}").lookup(names, OURS).status == "new"
    assert hosts(path, f"@revoked h {OURS.line()}").lookup(names, OURS).status == "revoked"
    both = hosts(path, f"h {OURS.line()}", f"[h]:2222 {THEIRS.line()}")
    assert both.lookup(names, OURS).status == "changed"


def test_several_files_and_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(f"h {OURS.line()}\n")
    (tmp_path / "c").write_text(f"h {THEIRS.line()}\n")
    known = KnownHosts([str(tmp_path / name) for name in ("missing", "b", "c")] + [str(tmp_path), "\0"])
    for key, name in ((OURS, "b"), (THEIRS, "c")):
        entry = known.lookup(["h"], key).entry
        assert entry is not None
        assert entry.file == str(tmp_path / name)
    assert len(known.notes) == 3
    assert "No such file" in known.notes[0]
    assert "directory" in known.notes[1]


@pytest.mark.parametrize(
    "line",
    [
        "h",
        "h ssh-ed25519",
        "h ssh-ed25519 #",
        f"#h {OURS.line()}",
        f"@foo h {OURS.line()}",
        f"@revoked @cert-authority h {OURS.line()}",
        f"@ h {OURS.line()}",
        f"h ssh-rsa {OURS.line().split()[1]}",
        f"h {OURS.line()[:-4]}",
        f"h {OURS.line()}AAAA",
        "h ssh-ed25519 AAAA====",
        f"h 1024 35 {OURS.line()}",
        "h ssh-ed25519 \x01\x02",
        f"h\0 {OURS.line()}",
        f"h é {OURS.line()}",
        f"h,!h {OURS.line()}",
        f"|1|h|h {OURS.line()}",
        f"|2{hash_name('h')[2:]} {OURS.line()}",
        f"{hash_name('h')}, {OURS.line()}",
    ],
)
def test_lines_that_say_nothing(tmp_path: Path, line: str) -> None:
    known = hosts(tmp_path / "kh", line, f"h {THEIRS.line()}")
    verdict = known.lookup(["h"], THEIRS)
    assert verdict.status == "match"
    assert [e.line for e in verdict.entries] == [2]


def test_malformed_keys_are_noted_once(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", "h ssh-ed25519 AAAA")
    known.lookup(["h"], OURS)
    known.lookup(["h"], OURS)
    assert known.notes == [f"{tmp_path / 'kh'}:1: parse error in hostkeys file"]


def test_layout_that_ssh_allows(tmp_path: Path) -> None:
    spaced = "\t ".join(["", "@revoked", "h", *OURS.line().split(), "a", "b"])
    assert hosts(tmp_path / "kh", spaced).lookup(["h"], OURS).status == "revoked"
    assert hosts(tmp_path / "kh", f"h, {OURS.line()}\r").lookup(["h"], OURS).status == "match"
    (tmp_path / "kh").write_text(f"h {OURS.line()}")
    assert KnownHosts([str(tmp_path / "kh")]).lookup(["h"], OURS).status == "match"
    assert (
        hosts(tmp_path / "kh", f"@revoked {hash_name('h')} {OURS.line()}").lookup(["h"], OURS).status == "revoked"
    )


PATTERNS = [
    "*",
    "*.example.com",
    "a?.example.com",
    "*,!b.example.com",
    "!b.example.com,*",
    "[*.example.com]:22??",
    "[a.example.com]:*",
    "A.EXAMPLE.com",
    "a.example.com,10.0.0.*",
    "!*",
    "*a*b*c*",
    "?",
    ",",
    "a.example.com,",
    "::1",
    "*\xe9*",
]
NAMES = [
    "a.example.com",
    "b.example.com",
    "ab.example.com",
    "[a.example.com]:2222",
    "[b.example.com]:22",
    "10.0.0.1",
    "::1",
    "xaxbxc",
    "x",
    "a,b",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_as_ssh_keygen_finds_them(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "kh"
    known = hosts(path, f"{pattern} {OURS.line()}")
    for name in NAMES:
        done = subprocess.run(["ssh-keygen", "-F", name, "-f", path], capture_output=True, check=False)
        found = b"found: line 1" in done.stdout
        assert bool(known.entries(name)) == found, name


def test_hashed_entries_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"one.example.com,two {OURS.line()}\n[three]:2222 {THEIRS.line()}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", path], check=True, capture_output=True)
    assert "example" not in path.read_text()
    known = KnownHosts([str(path)])
    for name, key in (("one.example.com", OURS), ("TWO", OURS), ("[three]:2222", THEIRS)):
        verdict = known.lookup([name], key)
        assert verdict.status == "match"
        assert verdict.entry is not None
        assert verdict.entry.shown_names == "[hashed name]"
    assert known.lookup(["three"], THEIRS).status == "new"


def test_wildcards_take_time_in_proportion() -> None:
    started = time.perf_counter()
    assert not wildcard_match(b"*a" * 500 + b"b", b"a" * 1000)
    assert time.perf_counter() - started < 2
    assert wildcard_match(b"", b"")
    assert wildcard_match(b"***", b"")
    assert not wildcard_match(b"?", b"")
    assert not wildcard_match(b"a", b"ab")
    assert not matches(b"", b"h")


def test_other_names_of_a_key(tmp_path: Path) -> None:
    known = hosts(
        tmp_path / "kh",
        f"a,b {OURS.line()}",
        f"{hash_name('c')} {OURS.line()} note",
        f"d {THEIRS.line()}",
        f"@revoked e {OURS.line()}",
        f"f {THEIRS.line(OURS.line())}",
    )
    assert [(e.line, e.shown_names) for e in known.entries_of(OURS)] == [(1, "a,b"), (2, "[hashed name]")]


def test_known_types_come_first() -> None:
    algorithms = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")
    prefer = known_hosts.prefer_known
    assert prefer(algorithms, ()) == algorithms
    assert prefer((), ["ssh-rsa"]) == ()
    assert prefer(algorithms, ["ssh-rsa", "ssh-ed25519"]) == algorithms
    assert prefer(algorithms, ["ssh-rsa"]) == (
        "rsa-sha2-512",
        "rsa-sha2-256",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
    )


@pytest.mark.parametrize("hashed", [False, True])
def test_added_lines_are_found_by_ssh_keygen_and_by_us(tmp_path: Path, hashed: bool) -> None:
    path = tmp_path / ".ssh" / "known_hosts"
    known_hosts.add(str(path), ["Host.example", "10.0.0.1"], OURS, hashed)
    known_hosts.add(str(path), ["[h]:2222"], THEIRS, hashed)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == (3 if hashed else 2)
    assert ("example" in path.read_text()) != hashed
    known = KnownHosts([str(path)])
    for name, key in (("host.example", OURS), ("10.0.0.1", OURS), ("[h]:2222", THEIRS)):
        assert known.lookup([name], key).status == "match"
        found = subprocess.run(["ssh-keygen", "-F", name, "-f", path], check=True, capture_output=True).stdout
        assert key.line().encode() in found


def test_a_last_line_without_newline_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"h {OURS.line()}")
    path.chmod(0o644)
    known_hosts.add(str(path), ["g"], THEIRS, hashed=False)
    assert path.read_text() == f"h {OURS.line()}\ng {THEIRS.line()}\n"
    assert path.stat().st_mode & 0o777 == 0o644


def test_adding_where_nothing_can_be_written(tmp_path: Path) -> None:
    known_hosts.add("/dev/null", ["h"], OURS, hashed=False)
    for path in (tmp_path, tmp_path / "missing" / "kh", Path("/dev/full")):
        with pytest.raises(KeyFileError, match="Failed to add the host"):
            known_hosts.add(str(path), ["h"], OURS, hashed=False)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "*", "h,i", "!h", "|1|", "@revoked", "#h", "h\0"])
def test_names_that_would_mean_more_than_themselves_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError):
        known_hosts.add(str(tmp_path / "kh"), [name], OURS, hashed=False)
    assert not (tmp_path / "kh").exists()


def test_ten_thousand_hashed_lines_are_quick(tmp_path: Path) -> None:
    lines = [f"{hash_name(f'host{i}')} {OURS.line()}" for i in range(10_000)]
    known = hosts(tmp_path / "kh", *lines)
    started = time.process_time()
    verdict = known.lookup(["host9999"], OURS)
    spent = time.process_time() - started
    assert verdict.status == "match"
    assert verdict.entry is not None
    assert verdict.entry.line == 10_000
    assert spent < 0.1


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(KeyFileError, match="64 MiB"):
        KnownHosts(["/dev/zero"]).lookup(["h"], OURS)


def test_any_bytes_are_survived(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_bytes(os.urandom(200_000) + f"\nh {OURS.line()}\n".encode())
    assert KnownHosts([str(path)]).lookup(["h"], OURS).status == "match"
