"""known_hosts: the verdicts, what ssh-keygen -F finds in the same files, and what is appended."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path

import pytest

from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys import known_hosts, known_hosts_file, reading
from pyssh_cli.keys.host_patterns import hash_name, is_address, matches, wildcard_match
from pyssh_cli.keys.known_hosts import KnownHosts, known_hosts_name
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import mpint, string
from tests.unit.keygen import certify, make


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
        verdict = known.judge(name, OURS)
        assert verdict.status == "match"
        assert verdict.entry is not None
        assert (verdict.entry.file, verdict.entry.line, verdict.entry.names) == (
            str(tmp_path / "kh"),
            4,
            "Host,h2",
        )
    assert known.judge("hos", OURS).status == "new"
    assert known.judge("host,h2", OURS).status == "new"


def test_changed_names_the_last_line_that_differs(tmp_path: Path) -> None:
    known = hosts(
        tmp_path / "kh", f"h {THEIRS.line()}", f"h {RSA.line()}", f"* {ed25519(3).line()}", f"x {OURS.line()}"
    )
    verdict = known.judge("h", OURS)
    assert verdict.status == "changed"
    assert verdict.entry is not None
    assert (verdict.entry.line, verdict.entry.key) == (3, ed25519(3))
    assert [e.line for e in known.entries("h")] == [1, 2, 3]


def test_a_key_of_another_type_counts_as_changed_as_for_ssh(tmp_path: Path) -> None:
    verdict = hosts(tmp_path / "kh", f"h {RSA.line()}").judge("h", OURS)
    assert verdict.status == "changed"
    assert verdict.entry is not None
    assert verdict.entry.key.short_name == "RSA"


def test_a_type_that_ssh_does_not_know_never_counts_as_changed(tmp_path: Path) -> None:
    strange = PublicKey.parse(string(b"ssh-strange") + b"x")
    known = hosts(tmp_path / "kh", f"h {strange.line()}")
    assert known.judge("h", OURS).status == "new"
    assert known.judge("h", strange).status == "match"


def test_match_wins_over_lines_that_differ(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"h {THEIRS.line()}", f"h {OURS.line()}", f"h {RSA.line()}", f"h {OURS.line()}")
    verdict = known.judge("h", OURS)
    assert verdict.status == "match"
    assert verdict.entry is not None
    assert verdict.entry.line == 2


def test_revoked_wins_over_everything(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"h {OURS.line()}", f"@revoked * {OURS.line()}", f"@revoked g {THEIRS.line()}")
    verdict = known.judge("h", OURS)
    assert verdict.status == "revoked"
    assert verdict.entry is not None
    assert (verdict.entry.line, verdict.entry.marker) == (2, "@revoked")
    assert known.judge("unheard-of", OURS).status == "revoked"
    assert known.judge("unheard-of", THEIRS).status == "new"


def test_certificate_authorities_are_kept_but_do_not_speak_for_plain_keys(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"@cert-authority *.example.com {OURS.line()}")
    verdict = known.judge("a.example.com", OURS)
    assert verdict.status == "new"
    assert [e.marker for e in known.entries("a.example.com")] == ["@cert-authority"]
    assert known.judge("a.example.com", THEIRS).status == "new"


def test_several_files_and_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "b").write_text(f"h {OURS.line()}\n")
    (tmp_path / "c").write_text(f"h {THEIRS.line()}\n")
    known = KnownHosts([str(tmp_path / name) for name in ("missing", "b", "c")] + [str(tmp_path), "\0"])
    for key, name in ((OURS, "b"), (THEIRS, "c")):
        entry = known.judge("h", key).entry
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
    ids=lambda line: str(len(line)),
)
def test_lines_that_say_nothing(tmp_path: Path, line: str) -> None:
    known = hosts(tmp_path / "kh", line, f"h {THEIRS.line()}")
    verdict = known.judge("h", THEIRS)
    assert verdict.status == "match"
    assert [e.line for e in known.entries("h")] == [2]


def test_malformed_keys_are_noted_once(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", "h ssh-ed25519 AAAA")
    known.judge("h", OURS)
    known.judge("h", OURS)
    assert known.notes == [f"{tmp_path / 'kh'}:1: parse error in hostkeys file"]


def test_layout_that_ssh_allows(tmp_path: Path) -> None:
    spaced = "\t ".join(["", "@revoked", "h", *OURS.line().split(), "a", "b"])
    assert hosts(tmp_path / "kh", spaced).judge("h", OURS).status == "revoked"
    assert hosts(tmp_path / "kh", f"h, {OURS.line()}\r").judge("h", OURS).status == "match"
    (tmp_path / "kh").write_text(f"h {OURS.line()}")
    assert KnownHosts([str(tmp_path / "kh")]).judge("h", OURS).status == "match"
    assert hosts(tmp_path / "kh", f"@revoked {hash_name('h')} {OURS.line()}").judge("h", OURS).status == "revoked"


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
        verdict = known.judge(name, key)
        assert verdict.status == "match"
        assert verdict.entry is not None
        assert verdict.entry.shown_names == "[hashed name]"
    assert known.judge("three", THEIRS).status == "new"


def test_wildcards_take_time_in_proportion() -> None:
    assert not wildcard_match(b"*a" * 500 + b"b", b"a" * 1000)
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
    assert [(e.line, e.shown_names) for e in known.entries_of(OURS)] == [
        *((1, "a,b"), (2, "[hashed name]"), (4, "e")),
    ]


@pytest.mark.parametrize("hashed", [False, True])
def test_known_types_come_first(tmp_path: Path, hashed: bool) -> None:
    algorithms = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")
    rsa_first = ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256")

    def prefer(*keys: PublicKey, names: Sequence[str] = ("h",), offer: tuple[str, ...] = algorithms) -> object:
        known_as = [hash_name(name) if hashed else name for name in ("h", "h", "g", "i")]
        lines = [f"{name} {key.line()}" for name, key in zip(known_as, keys, strict=False)]
        return hosts(tmp_path / "kh", *lines).prefer_known(offer, names)

    assert prefer() == algorithms
    assert prefer(RSA, offer=()) == ()
    assert prefer(RSA, OURS) == algorithms
    assert prefer(RSA) == rsa_first
    assert prefer(OURS, OURS, RSA, names=["h", "g"]) == algorithms
    assert prefer(OURS, OURS, RSA, names=["f", "g"]) == rsa_first
    assert prefer(RSA, RSA, OURS, names=["h", "g"]) == rsa_first


def test_what_a_command_says_is_read_behind_the_files(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", f"h {THEIRS.line()}")
    more = known_hosts.HostFile("command", f"h {OURS.line()}\ng {RSA.line()}\n".encode())
    entry = known.judge("h", OURS, more).entry
    assert entry is not None
    assert (entry.file, entry.line) == ("command", 1)
    assert known.judge("h", OURS).status == "changed"
    assert known.prefer_known(("ssh-ed25519", "rsa-sha2-512"), ["g"], more) == ("rsa-sha2-512", "ssh-ed25519")
    revoked = known_hosts.HostFile("command", f"@revoked * {THEIRS.line()}\n".encode())
    assert known.judge("h", THEIRS, revoked).status == "revoked"


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
        assert known.judge(name, key).status == "match"
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


# Certificates


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[PublicKey, PublicKey, PublicKey]:
    """An authority, a host's key and its certificate."""
    folder = tmp_path_factory.mktemp("certified")
    authority, key = make(folder / "ca", "ed25519"), make(folder / "host", "ecdsa-256")
    return authority, key, certify(folder / "ca", folder / "host", "-h", "-n", "h")


def test_a_certificate_is_known_by_its_authority(
    tmp_path: Path, certified: tuple[PublicKey, PublicKey, PublicKey]
) -> None:
    authority, key, certificate = certified
    known = hosts(
        tmp_path / "kh",
        f"h {THEIRS.line()}",
        f"@cert-authority * {RSA.line()}",
        f"@cert-authority *.x,h {authority.line()}",
    )
    verdict = known.judge("h", certificate)
    assert verdict.status == "match"
    assert verdict.entry is not None
    assert (verdict.entry.line, verdict.entry.key) == (3, authority)
    assert known.judge("a.x", certificate).status == "match"
    assert known.judge("g", certificate).status == "new"
    assert known.judge("h", key).status == "changed"


def test_a_plain_line_speaks_for_no_certificate(
    tmp_path: Path, certified: tuple[PublicKey, PublicKey, PublicKey]
) -> None:
    authority, key, certificate = certified
    known = hosts(tmp_path / "kh", f"h {authority.line()}", f"h {key.line()}", f"h {certificate.line()}")
    assert known.judge("h", certificate).status == "new"
    assert known.judge("h", certificate.plain).status == "match"


def test_the_key_of_a_certificate_and_its_authoritys_may_be_revoked(
    tmp_path: Path, certified: tuple[PublicKey, PublicKey, PublicKey]
) -> None:
    authority, key, certificate = certified
    trust = f"@cert-authority * {authority.line()}"
    for revoked in (authority, key, certificate):
        verdict = hosts(tmp_path / "kh", trust, f"@revoked * {revoked.line()}").judge("h", certificate)
        assert verdict.status == "revoked"
        assert verdict.entry is not None
        assert verdict.entry.line == 2
    assert hosts(tmp_path / "kh", trust, f"@revoked * {OURS.line()}").judge("h", certificate).status == "match"


def test_certificates_come_first_where_an_authority_is_known(tmp_path: Path) -> None:
    cert, rsa_cert = "ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com"
    algorithms = ("ecdsa-sha2-nistp256", cert, rsa_cert, "ssh-ed25519", "rsa-sha2-512")
    authority = f"@cert-authority * {THEIRS.line()}"
    assert hosts(tmp_path / "kh", authority).prefer_known(algorithms, ["h"]) == (
        *(cert, rsa_cert),
        *("ecdsa-sha2-nistp256", "ssh-ed25519", "rsa-sha2-512"),
    )
    ordered = hosts(tmp_path / "kh", f"h {RSA.line()}").prefer_known(algorithms, ["h"])
    assert ordered[:2] == (rsa_cert, "rsa-sha2-512")
    both = hosts(tmp_path / "kh", authority, f"h {OURS.line()}")
    assert both.prefer_known(algorithms[1:], ["h"]) == algorithms[1:]


# Bringing a host's lines up to date


OTHERS = (
    b"# comment\r\n",
    b"  h \t" + RSA.line().encode() + b"  note\r\n",
    b"@cert-authority h " + OURS.line().encode() + b"\n",
    b"@revoked h " + OURS.line().encode() + b"\n",
    b"\xff\0 broken\n",
    b"\n",
    b"g,h " + OURS.line().encode() + b"\n",
    b"* " + OURS.line().encode() + b"\n",
)


@pytest.mark.parametrize("hashed", [False, True])
def test_keys_are_added_and_taken_out_and_all_else_stays(tmp_path: Path, hashed: bool) -> None:
    path = tmp_path / "kh"
    gone = f"H {OURS.line()}\n".encode()
    hashed_gone = f"{hash_name('h')} {OURS.line('x')}\n".encode()
    path.write_bytes(OTHERS[0] + gone + b"".join(OTHERS[1:]) + hashed_gone)
    path.chmod(0o640)
    done = known_hosts.update(str(path), ["h"], [RSA, THEIRS, THEIRS], [OURS], hashed)
    assert done.added == (THEIRS,)
    assert [e.line for e in done.removed] == [2, 10]
    assert [e.line for e in done.kept] == [8, 9]
    content = path.read_bytes()
    assert content.startswith(b"".join(OTHERS))
    line = content[len(b"".join(OTHERS)) :].decode()
    assert line.endswith(f" {THEIRS.line()}\n")
    assert line.startswith("|1|" if hashed else "h ")
    assert path.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "kh.old").read_bytes() == OTHERS[0] + gone + b"".join(OTHERS[1:]) + hashed_gone
    assert sorted(os.listdir(tmp_path)) == ["kh", "kh.old"]
    assert KnownHosts([str(path)]).judge("h", THEIRS).status == "match"


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"h {OURS.line()}")
    before = path.stat()
    assert known_hosts.update(str(path), ["h"], [OURS], [THEIRS], hashed=False) == ((), (), ())
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_additions_alone_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"h {OURS.line()}")
    inode = path.stat().st_ino
    known_hosts.update(str(path), ["h", "10.0.0.1"], [OURS, THEIRS], [], hashed=False)
    assert path.read_text() == f"h {OURS.line()}\nh,10.0.0.1 {THEIRS.line()}\n"
    assert path.stat().st_ino == inode


def test_a_line_for_several_names_of_the_same_host_may_go(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"h,10.0.0.1 {OURS.line()}\n10.0.0.1 {OURS.line()}\nh,!g {OURS.line()}\n")
    done = known_hosts.update(str(path), ["h", "10.0.0.1"], [], [OURS], hashed=False)
    assert [e.line for e in done.removed] == [1, 2]
    assert path.read_text() == f"h,!g {OURS.line()}\n"


def test_a_file_behind_symbolic_links_is_replaced_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "kh", tmp_path / "kh"
    real.write_text(f"h {OURS.line()}\n")
    (tmp_path / "middle").symlink_to("real/kh")
    link.symlink_to("middle")
    known_hosts.update(str(link), ["h"], [THEIRS], [OURS], hashed=False)
    assert link.is_symlink()
    assert real.read_text() == f"h {THEIRS.line()}\n"


def test_a_file_that_is_missing_is_made(tmp_path: Path) -> None:
    path = tmp_path / ".ssh" / "kh"
    assert known_hosts.update(str(path), ["h"], [OURS], [], hashed=False).added == (OURS,)
    assert path.read_text() == f"h {OURS.line()}\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_updates_that_cannot_be_written(tmp_path: Path) -> None:
    assert known_hosts.update("/dev/null", ["h"], [OURS], [OURS], hashed=False).removed == ()
    for path in (tmp_path, tmp_path / "missing" / "kh", Path("/dev/full")):
        with pytest.raises(KeyFileError, match="cannot be updated"):
            known_hosts.update(str(path), ["h"], [OURS], [], hashed=False)
    path = tmp_path / "kh"
    with pytest.raises(KeyFileError, match="cannot be written"):
        known_hosts.update(str(path), ["*"], [OURS], [], hashed=False)
    path.write_text(f"h {OURS.line()}\n")
    (tmp_path / "kh.old").mkdir()  # nothing that could be unlinked
    with pytest.raises(KeyFileError, match="cannot be updated"):
        known_hosts.update(str(path), ["h"], [], [OURS], hashed=False)
    assert path.read_text() == f"h {OURS.line()}\n"
    assert sorted(os.listdir(tmp_path)) == ["kh", "kh.old"]


WRITER = """
import sys
from pyssh_cli.keys import known_hosts
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import string
path, own = sys.argv[1], int(sys.argv[2])
keys = [PublicKey.parse(string(b"ssh-ed25519") + string(bytes([own, n]) * 16)) for n in range(50)]
for number, key in enumerate(keys):
    known_hosts.add(path, [f"h{own}-{number}"], key, False)
    known_hosts.update(path, [f"u{own}"], [key], keys[:number], False)
"""


def test_several_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"first {OURS.line()}\n")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(own)]) for own in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    names = [line.split()[0] for line in lines]
    expected = ["first", *(f"h{own}-{n}" for own in range(3) for n in range(50)), *(f"u{own}" for own in range(3))]
    assert sorted(names) == sorted(expected)
    assert all(len(line.split()) >= 3 for line in lines)


def test_whoever_keeps_the_lock_does_not_keep_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kh"
    path.write_text(f"h {OURS.line()}\n")
    monkeypatch.setattr(known_hosts_file, "LOCK_PATIENCE", 0.05)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        known_hosts.add(str(path), ["g"], OURS, hashed=False)
    assert len(path.read_text().splitlines()) == 2


# Large files


LAYOUTS = (
    f"x {THEIRS.line()}",
    f"a,H {THEIRS.line('h')}",
    f"{hash_name('h')} {THEIRS.line()}",
    f"\t@revoked  {hash_name('h')} {THEIRS.line()}",
    f"h* {THEIRS.line()} ** ? h",
)


def test_lines_are_found_whatever_stands_around_them(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    for lines in permutations(LAYOUTS):
        path.write_text("\n".join(lines))
        found = {e.line for e in KnownHosts([str(path)]).entries("h")}
        assert found == {lines.index(line) + 1 for line in LAYOUTS[1:]}


def test_a_hundred_thousand_plain_lines(tmp_path: Path) -> None:
    known = hosts(tmp_path / "kh", *(f"host{i}.example,10.0.0.{i} {OURS.line()}" for i in range(100_000)))
    verdict = known.judge("host99999.example", OURS)
    assert verdict.entry is not None
    assert verdict.entry.line == 100_000


def test_ten_thousand_hashed_lines(tmp_path: Path) -> None:
    lines = [f"{hash_name(f'host{i}')} {OURS.line()}" for i in range(10_000)]
    known = hosts(tmp_path / "kh", *lines)
    verdict = known.judge("host9999", OURS)
    assert verdict.status == "match"
    assert verdict.entry is not None
    assert verdict.entry.line == 10_000


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(KeyFileError, match="64 MiB"):
        KnownHosts(["/dev/zero"]).judge("h", OURS)


def test_any_bytes_are_survived(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_bytes(os.urandom(200_000) + f"\nh {OURS.line()}\n".encode())
    assert KnownHosts([str(path)]).judge("h", OURS).status == "match"


def test_pipes_are_read_to_their_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    text = b"x " * 100_000 + f"\nh {OURS.line()}\n".encode()

    def write() -> None:
        with os.fdopen(writer, "wb") as end:
            end.write(text)

    late = threading.Timer(0.05, write)
    late.start()
    with os.fdopen(reader, "rb"):
        assert KnownHosts([f"/dev/fd/{reader}"]).judge("h", OURS).status == "match"
    late.join()


def test_what_comes_late_through_a_pipe_counts(tmp_path: Path) -> None:
    """A pipe that nobody has opened yet is no empty file: what it revokes would count for nothing."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    late = threading.Timer(0.05, path.write_text, [f"@revoked h {OURS.line()}\n"])
    late.start()
    known = hosts(tmp_path / "kh", f"h {OURS.line()}")
    assert KnownHosts([*known.files, str(path)]).judge("h", OURS).status == "revoked"
    late.join()


@pytest.mark.parametrize("held", [False, True])
def test_a_pipe_that_never_ends_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    """Whether nobody writes to it, or somebody keeps it open."""
    monkeypatch.setattr(reading, "SILENCE", 0.05)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    known = hosts(tmp_path / "kh", f"h {OURS.line()}")
    known = KnownHosts([*known.files, str(path)])
    holder = os.open(path, os.O_RDWR) if held else None
    if holder is not None:
        os.write(holder, f"h {OURS.line()}\n".encode())
    for _ in range(2):  # nor does it count as read the next time
        with pytest.raises(KeyFileError, match="end in time"):
            known.judge("h", OURS)
    if holder is not None:
        os.close(holder)


def test_a_pipe_that_trickles_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PATIENCE", 0.2)
    script = "import os, time\nwhile True: os.write(1, b'#'); time.sleep(0.01)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as trickling:
        try:
            assert trickling.stdout
            with pytest.raises(KeyFileError, match="end in time"):
                KnownHosts([f"/dev/fd/{trickling.stdout.fileno()}"]).judge("h", OURS)
        finally:
            trickling.kill()


def test_an_empty_pipe_that_was_closed_is_empty() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with os.fdopen(reader, "rb"):
        assert KnownHosts([f"/dev/fd/{reader}"]).judge("h", OURS).status == "new"


def test_descriptors_of_any_number_are_waited_for() -> None:
    """select(2) knows none above 1023."""
    reader, writer = os.pipe()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    taken = [os.dup(reader) for _ in range(1100)]
    try:
        assert max(taken) > 1024
        threading.Timer(0.05, os.close, [writer]).start()
        assert KnownHosts([f"/dev/fd/{reader}"]).judge("h", OURS).status == "new"
    finally:
        for fd in (*taken, reader):
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_was_written_to_is_read_again_and_a_pipe_is_not(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, f"p {OURS.line()}\n".encode())
    os.close(writer)
    path = tmp_path / "kh"
    with os.fdopen(reader, "rb"):
        known = KnownHosts([f"/dev/fd/{reader}", str(path)])
        assert known.judge("h", THEIRS).status == "new"
        known_hosts.add(str(path), ["h"], THEIRS, hashed=False)
        for changed in known.files:
            known.read_again(changed)
        assert known.judge("h", THEIRS).status == "match"
        assert known.judge("p", OURS).status == "match"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("192.0.2.1", "[192.0.2.1]:22", "::1", "[2001:db8::1]:2222", "fe80::1%eth0")),
        *((name, False) for name in ("", "1234", "1.2.3", "1.2.3.4.5", "box", "[box]:22", "a:b", "!192.0.2.1")),
        ("|1|a|b", True),
    ],
)
def test_what_an_address_is(name: str, expected: bool) -> None:
    assert is_address(name) == expected


def test_a_line_for_a_host_whose_name_is_a_number_is_not_anybodys(tmp_path: Path) -> None:
    path = tmp_path / "kh"
    path.write_text(f"h,1234 {OURS.line()}\nh,192.0.2.1 {OURS.line()}\nİ,h {OURS.line()}\n")
    done = known_hosts.update(str(path), ["H", "İ"], [], [OURS], hashed=False)
    assert [entry.line for entry in done.removed] == [2, 3]
    assert [entry.line for entry in done.kept] == [1]


def test_a_line_of_a_megabyte_is_no_hindrance(tmp_path: Path) -> None:
    names = ",".join(f"host{i}" for i in range(150_000))
    known = hosts(tmp_path / "kh", f"{names} {OURS.line()}", f"h {THEIRS.line()} {'x' * 1_000_000}")
    assert known.judge("host149999", OURS).status == "match"
    assert known.judge("h", THEIRS).status == "match"


def test_a_directory_and_what_may_not_be_read_are_noted(tmp_path: Path) -> None:
    known = KnownHosts([str(tmp_path), str(tmp_path / "missing"), "/dev/null", "\0"])
    assert known.judge("h", OURS).status == "new"
    assert [note.rpartition(": ")[2] for note in known.notes] == [
        *("Is a directory", "No such file or directory", "the path holds a NUL"),
    ]


@pytest.mark.parametrize("kinds", [(ed25519,), (ed25519, rsa, rsa)])
def test_a_hundred_thousand_hashed_lines(tmp_path: Path, kinds: Sequence[Callable[[int], PublicKey]]) -> None:
    types = len(kinds)
    lines = [f"{hash_name(f'host{i // types}')} {kinds[i % types](i).line()}" for i in range(99_999)]
    known = hosts(tmp_path / "kh", *lines, f"@cert-authority x {RSA.line()}")
    offer = known.prefer_known(("ssh-ed25519", "rsa-sha2-512"), [f"host{99_000 // types}"])
    verdict = known.judge(f"host{99_000 // types}", ed25519(99_000))
    assert offer == ("ssh-ed25519", "rsa-sha2-512")
    assert verdict.entry is not None
    assert verdict.entry.line == 99_001
