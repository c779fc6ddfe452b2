"""Public keys: blobs and lines as ssh-keygen writes them, fingerprints, signatures made by other programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import (
    CERTIFICATE_TYPES,
    DEFAULT_CA_SIGNATURE_ALGORITHMS,
    DEFAULT_HOST_KEY_ALGORITHMS,
    KEY_ALGORITHMS,
    KEY_TYPES,
    PLAIN_KEY_ALGORITHMS,
    algorithms_of,
    key_type_of,
)
from pyssh_cli.keys.public import PublicKey, decode_key, parse_public_file, parse_public_line
from pyssh_cli.wire import Reader, mpint, string

KINDS = {
    "ed25519": ("ssh-ed25519", "ED25519", 256),
    "ecdsa-256": ("ecdsa-sha2-nistp256", "ECDSA", 256),
    "ecdsa-384": ("ecdsa-sha2-nistp384", "ECDSA", 384),
    "ecdsa-521": ("ecdsa-sha2-nistp521", "ECDSA", 521),
    "rsa-2048": ("ssh-rsa", "RSA", 2048),
}
OF_FILES = [name for name in PLAIN_KEY_ALGORITHMS if key_type_of(name) in {row[0] for row in KINDS.values()}]
"""The algorithms of keys that ssh-keygen makes with nothing else at hand."""

DATA = b"what is signed"


def keygen(*arguments: str) -> str:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    for kind in KINDS:
        name, _, bits = kind.partition("-")
        keygen("-q", "-t", name, *(("-b", bits) if bits else ()), "-N", "", "-C", "a b", "-f", str(folder / kind))
    return folder


def load(folder: Path, kind: str) -> PublicKey:
    return parse_public_file((folder / f"{kind}.pub").read_bytes())[0]


@pytest.mark.parametrize("kind", KINDS)
def test_line_and_fingerprints_are_those_of_ssh_keygen(folder: Path, kind: str) -> None:
    path = folder / f"{kind}.pub"
    key, comment = parse_public_line(path.read_text())
    assert (key.type, key.short_name, key.bits) == KINDS[kind]
    assert comment == "a b"
    assert key.line(comment) == path.read_text().strip()
    for hash_name in ("sha256", "md5"):
        bits, fingerprint, *_ = keygen("-l", "-E", hash_name, "-f", str(path)).split()
        assert (int(bits), fingerprint) == (key.bits, key.fingerprint(hash_name))
    with pytest.raises(ValueError, match="sha1"):
        key.fingerprint("sha1")


@pytest.mark.parametrize("algorithm", OF_FILES)
def test_signatures_of_asyncssh_verify_and_damaged_ones_do_not(folder: Path, algorithm: str) -> None:
    kind = next(k for k, (key_type, _, _) in KINDS.items() if key_type == key_type_of(algorithm))
    key = load(folder, kind)
    other = PublicKey.parse(asyncssh.generate_private_key(algorithm_family(algorithm)).public_data)
    signature = asyncssh.read_private_key(folder / kind).sign(DATA, algorithm.encode())
    assert key.verify(algorithm, DATA, signature)
    assert not key.verify(algorithm, DATA + b"x", signature)
    assert not other.verify(algorithm, DATA, signature)
    for name in KEY_ALGORITHMS:
        assert key.verify(name, DATA, signature) == (name == algorithm)
    assert not key.verify("none", DATA, signature)
    for end in range(len(signature)):
        assert not key.verify(algorithm, DATA, signature[:end])
    assert not key.verify(algorithm, DATA, signature + b"\0")
    for index in range(len(signature)):
        damaged = bytearray(signature)
        damaged[index] ^= 0x40
        assert not key.verify(algorithm, DATA, bytes(damaged))


def algorithm_family(algorithm: str) -> str:
    return "ssh-rsa" if "rsa" in algorithm else algorithm


def test_ecdsa_signature_numbers_out_of_range(folder: Path) -> None:
    key = load(folder, "ecdsa-256")
    name = b"ecdsa-sha2-nistp256"
    for r, s in ((0, 1), (1, 0), (1 << 256, 1), (1, 1 << 4000)):
        assert not key.verify(name.decode(), DATA, string(name) + string(mpint(r) + mpint(s)))


def test_rsa_signature_may_lack_leading_zeros_but_not_be_longer(folder: Path) -> None:
    key = load(folder, "rsa-2048")
    signer = asyncssh.read_private_key(folder / "rsa-2048")
    name = b"rsa-sha2-256"
    for count in range(100_000):
        data = str(count).encode()
        reader = Reader(signer.sign(data, name))
        reader.string()
        bare = reader.string()
        if bare[0] == 0:
            break
    assert key.verify(name.decode(), data, string(name) + string(bare))
    assert key.verify(name.decode(), data, string(name) + string(bare[1:]))
    assert not key.verify(name.decode(), data, string(name) + string(b"\0" + bare))


def test_a_point_off_its_curve_verifies_nothing(folder: Path) -> None:
    good = load(folder, "ecdsa-256")
    signature = asyncssh.read_private_key(folder / "ecdsa-256").sign(DATA, b"ecdsa-sha2-nistp256")
    bad = PublicKey.parse(good.blob[:-1] + bytes([good.blob[-1] ^ 1]))
    assert not bad.verify("ecdsa-sha2-nistp256", DATA, signature)


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_and_overlong_blobs_are_refused(folder: Path, kind: str) -> None:
    blob = load(folder, kind).blob
    for end in range(4 + len(KINDS[kind][0]), len(blob)):
        with pytest.raises(ProtocolError):
            PublicKey.parse(blob[:end])
    for end in range(4 + len(KINDS[kind][0])):
        with pytest.raises(ProtocolError):
            PublicKey.parse(blob[:end])
    with pytest.raises(ProtocolError):
        PublicKey.parse(blob + b"\0")


N2048 = (1 << 2047) + 1


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        string(b""),
        string(b"a b") + b"x",
        string(b"\xff"),
        string(b"x" * 65),
        string(b"ssh-ed25519") + string(bytes(31)),
        string(b"ssh-rsa") + mpint(1) + mpint(N2048),
        string(b"ssh-rsa") + mpint(65536) + mpint(N2048),
        string(b"ssh-rsa") + mpint(N2048 + 2) + mpint(N2048),
        string(b"ssh-rsa") + mpint(65537) + mpint(N2048 + 1),
        string(b"ssh-rsa") + mpint(65537) + mpint((1 << 1022) + 1),
        string(b"ssh-rsa") + mpint(65537) + mpint((1 << 16384) + 1),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp384") + string(b"\x04" + bytes(96)),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\x02" + bytes(32)),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\x04" + bytes(63)),
        string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\0"),
    ],
)
def test_malformed_blobs_are_refused(blob: bytes) -> None:
    with pytest.raises(ProtocolError):
        PublicKey.parse(blob)


def test_rsa_sizes_at_the_bounds_are_taken() -> None:
    for bits in (1024, 16384):
        blob = string(b"ssh-rsa") + mpint(65537) + mpint((1 << (bits - 1)) + 1)
        assert PublicKey.parse(blob).bits == bits


def test_unknown_types_are_opaque() -> None:
    blob = string(b"ssh-new@example.com") + b"whatever follows"
    key = PublicKey.parse(blob)
    assert (key.type, key.short_name, key.bits) == ("ssh-new@example.com", "ssh-new@example.com", 0)
    assert key == PublicKey.parse(blob)
    assert key.fingerprint().startswith("SHA256:")
    assert not key.verify("ssh-new@example.com", DATA, string(b"ssh-new@example.com") + string(b"x"))


@pytest.mark.parametrize(
    "line",
    ["", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-ed25519 AAAA", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==", "a é"],
)
def test_malformed_lines_are_refused(line: str) -> None:
    with pytest.raises(KeyFileError):
        parse_public_line(line)


def test_line_of_another_type_than_its_blob(folder: Path) -> None:
    encoded = (folder / "ed25519.pub").read_bytes().split()[1]
    with pytest.raises(KeyFileError, match="type"):
        decode_key("ssh-rsa", encoded)
    with pytest.raises(KeyFileError, match="no public key"):
        parse_public_file(b"# only a comment\n\n")


def test_tables_agree_with_each_other() -> None:
    assert all(KEY_ALGORITHMS[name].key_type in KEY_TYPES for name in PLAIN_KEY_ALGORITHMS)
    certified = [row for name, row in KEY_ALGORITHMS.items() if name not in PLAIN_KEY_ALGORITHMS]
    assert all(row.key_type in CERTIFICATE_TYPES and row.signature in PLAIN_KEY_ALGORITHMS for row in certified)
    assert len(certified) == len(PLAIN_KEY_ALGORITHMS)
    assert algorithms_of("ssh-rsa") == ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")
    assert algorithms_of("ssh-rsa-cert-v01@openssh.com")[0] == "rsa-sha2-512-cert-v01@openssh.com"
    assert algorithms_of("unknown") == ()
    assert key_type_of("unknown") is None


def default_of_ssh(keyword: str) -> list[str]:
    dumped = subprocess.run(["ssh", "-G", "-F", "none", "x"], check=True, capture_output=True, text=True).stdout
    return next(line.split()[1] for line in dumped.splitlines() if line.startswith(keyword)).split(",")


def test_defaults_are_those_of_ssh() -> None:
    """ssh before 10 has no WebAuthn signatures among its defaults."""
    for keyword in ("hostkeyalgorithms", "pubkeyacceptedalgorithms", "hostbasedacceptedalgorithms"):
        theirs = default_of_ssh(keyword)
        ours = [name for name in DEFAULT_HOST_KEY_ALGORITHMS if not name.startswith("webauthn-") or name in theirs]
        assert ours == theirs
    assert list(DEFAULT_CA_SIGNATURE_ALGORITHMS) == default_of_ssh("casignaturealgorithms")


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after `code`."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_reading_and_comparing_keys_does_not_load_cryptography(folder: Path) -> None:
    line = (folder / "ecdsa-256.pub").read_text()
    modules = loaded_by(
        "import pyssh_cli.keys.algorithms, pyssh_cli.keys.known_hosts, pyssh_cli.keys.agent\n"
        "import pyssh_cli.keys.private\n"
        "from pyssh_cli.keys.public import parse_public_line\n"
        f"parse_public_line({line!r})[0].fingerprint()"
    )
    assert "cryptography" not in modules


@pytest.mark.parametrize("kind", KINDS)
def test_verifying_does_not_load_serialization(folder: Path, kind: str) -> None:
    algorithm = algorithms_of(KINDS[kind][0])[0]
    signature = asyncssh.read_private_key(folder / kind).sign(DATA, algorithm.encode())
    modules = loaded_by(
        "from pyssh_cli.keys.public import parse_public_line\n"
        f"key = parse_public_line({(folder / kind).with_suffix('.pub').read_text()!r})[0]\n"
        f"assert key.verify({algorithm!r}, {DATA!r}, {signature!r})"
    )
    assert "cryptography.hazmat.bindings._rust" in modules
    assert "cryptography.hazmat.primitives.serialization" not in modules
