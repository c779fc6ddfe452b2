"""Files of revoked keys: what ssh-keygen -k writes, ssh-keygen -Q as the judge of it, and what is malformed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys import reading
from pyssh_cli.keys.krl import MAX_BITMAP_SIZE, RevocationList
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import boolean, mpint, string, text, uint32, uint64
from tests.unit.keygen import KINDS, certify, keygen, make, public

SERIALS = (1, 2, 3, 5, 9, 10, 11, 12, 100, 1000, 1001, 5000, 1 << 40)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("krl")
    for name in ("ca", "other-ca", "a", "b", "c"):
        make(folder / name, "ed25519")
    for serial in (0, *SERIALS):
        certify(folder / "ca", folder / "a", "-z", str(serial), "-n", "h", "-h", identity=f"identity {serial}")
        (folder / "a-cert.pub").rename(folder / f"{serial}.pub")
    certify(folder / "other-ca", folder / "a", "-z", "5", "-n", "h", "-h", identity="identity 5")
    (folder / "a-cert.pub").rename(folder / "other.pub")
    return folder


def agreed(folder: Path, path: Path) -> dict[str, bool]:
    """Which keys in the folder the list at `path` revokes, by us; ssh-keygen has to say the same of each."""
    revoked = RevocationList.load(str(path))
    found: dict[str, bool] = {}
    for file in sorted(folder.glob("*.pub")):
        found[file.stem] = revoked.is_revoked(public(file.with_suffix("")))
        query = subprocess.run(["ssh-keygen", "-Q", "-f", path, file], capture_output=True, check=False, text=True)
        assert found[file.stem] == ("REVOKED" in query.stdout), (file, query)
        assert found[file.stem] == (query.returncode != 0)
    return found


def revoked_names(folder: Path, path: Path) -> set[str]:
    return {name for name, revoked in agreed(folder, path).items() if revoked}


def build(folder: Path, tmp_path: Path, specification: str, *options: str | Path) -> Path:
    """The list that ssh-keygen makes of a specification (ssh-keygen(1), KEY REVOCATION LISTS)."""
    (tmp_path / "specification").write_text(specification)
    keygen("-q", "-k", "-f", tmp_path / "krl", *options, tmp_path / "specification")
    return tmp_path / "krl"


OF_A = {"a", "other", *(str(serial) for serial in (0, *SERIALS))}
"""What falls with the key "a": it, and all its certificates."""


def test_an_empty_list(folder: Path, tmp_path: Path) -> None:
    path = build(folder, tmp_path, "", "-z", "77")
    assert revoked_names(folder, path) == set()
    revoked = RevocationList.load(str(path))
    assert (revoked.version, revoked.comment) == (77, "")
    assert revoked.generated > 1_700_000_000


@pytest.mark.parametrize("keyword", ["key", "sha1", "sha256"])
def test_keys_and_their_fingerprints(folder: Path, tmp_path: Path, keyword: str) -> None:
    path = build(folder, tmp_path, f"{keyword}: {public(folder / 'a').line()}\n")
    assert revoked_names(folder, path) == OF_A
    path = build(folder, tmp_path, f"{keyword}: {public(folder / 'other-ca').line()}\n")
    assert revoked_names(folder, path) == {"other-ca", "other"}


def test_a_fingerprint_by_hash(folder: Path, tmp_path: Path) -> None:
    path = build(folder, tmp_path, f"hash: {public(folder / 'b').fingerprint()}\n")
    assert revoked_names(folder, path) == {"b"}


@pytest.mark.parametrize(
    ("specification", "expected"),
    [
        ("serial: 5\n", {5}),
        ("serial: 1-10\n", {1, 2, 3, 5, 9, 10}),
        ("serial: 2\nserial: 1000\nserial: 1099511627776\n", {2, 1000, 1 << 40}),
        ("".join(f"serial: {n}\n" for n in range(1, 200, 2)), {1, 3, 5, 9, 11}),
        ("".join(f"serial: {n}\n" for n in range(902, 6000, 3)), {1001, 5000}),
        ("serial: 1-18446744073709551615\n", set(SERIALS)),
        ("id: identity 5\nid: identity 0\n", {0, 5}),
        ("id: identity\n", set()),
    ],
)
def test_certificates_of_an_authority(
    folder: Path, tmp_path: Path, specification: str, expected: set[int]
) -> None:
    path = build(folder, tmp_path, specification, "-s", folder / "ca.pub")
    assert revoked_names(folder, path) == {str(serial) for serial in expected}


@pytest.mark.parametrize("line", ["serial: 5", "id: identity 5"])
def test_certificates_of_any_authority(folder: Path, tmp_path: Path, line: str) -> None:
    assert revoked_names(folder, build(folder, tmp_path, line + "\n", "-s", "none")) == {"5", "other"}


def test_everything_in_one_list(folder: Path, tmp_path: Path) -> None:
    path = build(folder, tmp_path, "serial: 1-3\nid: identity 100\n", "-s", folder / "ca.pub")
    keygen("-q", "-k", "-u", "-f", path, folder / "b.pub")
    (tmp_path / "more").write_text("serial: 5\n")
    keygen("-q", "-k", "-u", "-f", path, "-s", folder / "other-ca.pub", tmp_path / "more")
    (tmp_path / "still").write_text(f"sha256: {public(folder / 'c').line()}\n")
    keygen("-q", "-k", "-u", "-f", path, tmp_path / "still")
    assert revoked_names(folder, path) == {"1", "2", "3", "100", "b", "c", "other"}


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_every_kind(folder: Path, tmp_path: Path, kind: str) -> None:
    key = make(tmp_path / "key", kind)
    path = build(folder, tmp_path, f"key: {key.line()}\n")
    revoked = RevocationList.load(str(path))
    assert revoked.is_revoked(key)
    assert revoked.is_revoked(certify(folder / "ca", tmp_path / "key", "-n", "u"))
    assert not revoked.is_revoked(public(folder / "a"))


def test_a_plain_list(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "list"
    lines = ["# comment", "", f" \t{public(folder / 'b').line('note')}", public(folder / "other-ca").line()]
    path.write_text("\n".join(lines))
    revoked = RevocationList.load(str(path))
    names = {file.stem for file in folder.glob("*.pub") if revoked.is_revoked(public(file.with_suffix("")))}
    assert names == {"b", "other-ca", "other"}
    path.write_text(public(folder / "a").line() + "\r\n")
    revoked = RevocationList.load(str(path))
    assert revoked.is_revoked(public(folder / "a"))
    assert revoked.is_revoked(public(folder / "5"))
    assert not RevocationList.parse(b"").is_revoked(public(folder / "a"))


@pytest.mark.parametrize("line", ["nonsense", "ssh-ed25519 AAAA", "h ssh-ed25519 AAAA", "SSHKRL", "\0"])
def test_a_plain_list_with_a_line_that_is_no_key(folder: Path, line: str) -> None:
    with pytest.raises(KeyFileError, match="line 2: "):
        RevocationList.parse(f"{public(folder / 'a').line()}\n{line}\n".encode())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "missing", "No such file"), (tmp_path, "directory"), ("/dev/zero", "64 MiB")):
        with pytest.raises(KeyFileError, match=words):
            RevocationList.load(str(path))
    with pytest.raises(KeyFileError, match="NUL"):
        RevocationList.load("\0")


def test_a_pipe_is_read_and_one_without_a_writer_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would revoke nothing, or hold us for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    late = threading.Timer(0.05, pipe.write_text, [f"{public(folder / 'a').line()}\n"])
    late.start()
    assert RevocationList.load(str(pipe)).is_revoked(public(folder / "a"))
    late.join()
    monkeypatch.setattr(reading, "SILENCE", 0.05)
    with pytest.raises(KeyFileError, match="end in time"):
        RevocationList.load(str(pipe))


HEAD = b"SSHKRL\n\0" + uint32(1) + uint64(3) + uint64(4) + uint64(0) + string(b"") + text("comment")


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + string(body)


def of_any_authority(*parts: bytes) -> bytes:
    return section(1, string(b"") * 2 + b"".join(parts))


def revokes_serial(data: bytes, folder: Path) -> Callable[[int], bool]:
    revoked = RevocationList.parse(data)
    return lambda serial: revoked.is_revoked(public(folder / str(serial)))


def test_bitmaps_count_from_their_offset(folder: Path) -> None:
    bits = 1 << 0 | 1 << 1 | 1 << 95
    revoked = revokes_serial(HEAD + of_any_authority(section(0x22, uint64(5) + mpint(bits))), folder)
    assert {serial for serial in SERIALS if revoked(serial)} == {5, 100}
    assert not revoked(0)
    last = section(0x22, uint64((1 << 64) - 1) + mpint(1))
    assert not revokes_serial(HEAD + of_any_authority(last), folder)(5)


def test_extensions_and_signatures_are_passed_over(folder: Path) -> None:
    extension = section(255, text("x@y") + boolean(False) + string(b"data"))
    inner = section(0x39, text("x@y") + boolean(False) + string(b"data"))
    signature = section(4, public(folder / "ca").blob) + string(b"signature")
    data = HEAD + extension + of_any_authority(inner, section(0x20, uint64(5))) + signature
    assert revokes_serial(data, folder)(5)
    assert RevocationList.parse(data)[:3] == (3, 4, "comment")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HEAD.replace(uint32(1), uint32(2), 1), "format version 2"),
        (HEAD + section(6, b""), "kind 6"),
        (HEAD + section(2, b"x"), "early"),
        (HEAD + section(3, string(bytes(19))), "19 bytes long, not 20"),
        (HEAD + section(5, string(bytes(33))), "33 bytes long, not 32"),
        (HEAD + section(255, text("x@y") + boolean(True) + string(b"")), 'critical extension "x@y"'),
        (HEAD + section(255, text("x@y") + boolean(False) + string(b"") + b"x"), "too many"),
        (HEAD + of_any_authority(section(0x39, text("x@y") + boolean(True) + string(b""))), "critical"),
        (HEAD + of_any_authority(section(0x20, uint64(0))), "serial number 0"),
        (HEAD + of_any_authority(section(0x20, uint64(1)[:-1])), "early"),
        (HEAD + of_any_authority(section(0x21, uint64(0) + uint64(5))), "serial number 0"),
        (HEAD + of_any_authority(section(0x21, uint64(6) + uint64(5))), "ends before"),
        (HEAD + of_any_authority(section(0x21, uint64(5) + uint64(6) + b"x")), "too many"),
        (HEAD + of_any_authority(section(0x22, uint64(0) + mpint(1))), "serial number 0"),
        (HEAD + of_any_authority(section(0x22, uint64((1 << 64) - 1) + mpint(2))), "beyond 64"),
        (HEAD + of_any_authority(section(0x22, uint64(5) + mpint(1 << 8 * (MAX_BITMAP_SIZE + 1)))), "larger"),
        (HEAD + of_any_authority(section(0x24, b"")), "kind 36"),
        (HEAD + section(1, string(text("ssh-dss")) + string(b"")), "cannot sign"),
        (HEAD + section(1, string(b"x") + string(b"")), "early"),
        (HEAD + section(4, b""), "early"),
    ],
)
def test_lists_that_are_malformed(data: bytes, words: str) -> None:
    with pytest.raises(KeyFileError, match=words):
        RevocationList.parse(data)


def test_every_truncation(folder: Path, tmp_path: Path) -> None:
    path = build(folder, tmp_path, "serial: 1-3\nserial: 7\nid: x\n", "-s", folder / "ca.pub")
    keygen("-q", "-k", "-u", "-f", path, folder / "b.pub")
    data = path.read_bytes()
    whole = RevocationList.parse(data)
    assert whole.is_revoked(public(folder / "1"))
    taken = 0
    for end in range(len(data)):
        try:
            RevocationList.parse(data[:end])
        except KeyFileError:
            continue
        taken += 1  # where a section ends, or nothing is left
    assert taken == 3


def test_any_changed_byte_is_survived(folder: Path, tmp_path: Path) -> None:
    path = build(folder, tmp_path, "serial: 1-3\nserial: 7\nid: x\n", "-s", folder / "ca.pub")
    data = path.read_bytes()
    key = public(folder / "1")
    outcomes: set[bool | None] = set()
    for index in range(len(data)):
        for bit in (1, 0x80):
            changed = bytearray(data)
            changed[index] ^= bit
            try:
                outcomes.add(RevocationList.parse(bytes(changed)).is_revoked(key))
            except KeyFileError:
                outcomes.add(None)
    assert outcomes == {True, False, None}


def test_digests_are_of_plain_keys(folder: Path) -> None:
    key = public(folder / "a")
    digest = hashlib.sha256(key.blob).digest()
    assert RevocationList.parse(HEAD + section(5, string(digest))).is_revoked(public(folder / "5"))
    strange = PublicKey.parse(text("ssh-strange") + b"x")
    assert not RevocationList.parse(HEAD + section(5, string(digest))).is_revoked(strange)
