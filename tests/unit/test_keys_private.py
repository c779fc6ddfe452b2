"""Private keys in every format, cipher and type that ssh-keygen and OpenSSL write; and damaged ones."""

from __future__ import annotations

import binascii
import os
import subprocess
import sys
import threading
from pathlib import Path

import asyncssh
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from pyssh_cli.errors import KeyFileError, PassphraseNeeded, WrongPassphrase
from pyssh_cli.keys import reading
from pyssh_cli.keys.numbers import EcdsaNumbers, RsaNumbers
from pyssh_cli.keys.openssh_format import KEY_FILE_CIPHERS, MAX_BCRYPT_ROUNDS
from pyssh_cli.keys.private import (
    MAX_KEY_FILE_SIZE,
    KeyFilePermissions,
    PrivateKey,
    load_private_key,
    peek_public,
    read_key_file,
)
from pyssh_cli.keys.public import parse_public_file
from pyssh_cli.wire import Reader, mpint, string, uint32

KINDS = ("ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048")
DATA = b"what is signed"
PASSPHRASE = "päss phrase"


def keygen(*arguments: str) -> str:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True, text=True).stdout


def make(path: Path, kind: str, *extra: str, passphrase: str = "") -> Path:
    """A new key of `kind` at `path`, with its .pub beside it."""
    name, _, bits = kind.partition("-")
    size = ("-b", bits) if bits else ()
    keygen("-q", "-t", name, *size, "-N", passphrase, "-C", "a comment", *extra, "-f", str(path))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("private")
    for kind in KINDS:
        make(folder / kind, kind)
    return folder


def load(path: Path, passphrase: str | None = None) -> PrivateKey:
    return load_private_key(path.read_bytes(), passphrase, str(path))


def assert_signs(key: PrivateKey, public: Path) -> None:
    """`key` is the private half of the .pub file `public`, and asyncssh takes all its signatures."""
    assert key.public == parse_public_file(public.read_bytes())[0]
    judge = asyncssh.read_public_key(public)
    assert key.algorithms()
    for algorithm in key.algorithms():
        signature = key.sign(algorithm, DATA)
        assert Reader(signature).text() == algorithm
        assert judge.verify(DATA, signature)
        assert key.public.verify(algorithm, DATA, signature)


@pytest.mark.parametrize("kind", KINDS)
def test_openssh_format_plain(folder: Path, kind: str) -> None:
    key = load(folder / kind)
    assert key.comment == "a comment"
    assert_signs(key, folder / f"{kind}.pub")
    assert peek_public((folder / kind).read_bytes()) == key.public
    with pytest.raises(KeyFileError, match="cannot sign with ssh-dss"):
        key.sign("ssh-dss", DATA)


@pytest.mark.parametrize("cipher", KEY_FILE_CIPHERS)
def test_openssh_format_with_every_cipher(tmp_path: Path, cipher: str) -> None:
    path = make(tmp_path / "key", "ed25519", "-a", "2", "-Z", cipher, passphrase=PASSPHRASE)
    data = path.read_bytes()
    public = peek_public(data)
    with pytest.raises(PassphraseNeeded):
        load(path)
    for wrong in ("", "wrong"):
        with pytest.raises(WrongPassphrase) as caught:
            load(path, wrong)
        assert str(path) in str(caught.value)
    key = load(path, PASSPHRASE)
    assert key.public == public
    assert_signs(key, tmp_path / "key.pub")


@pytest.mark.parametrize("kind", ["ecdsa-521", "rsa-2048"])
def test_openssh_format_encrypted(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "key", kind, "-a", "1", passphrase=PASSPHRASE)
    assert_signs(load(path, PASSPHRASE), tmp_path / "key.pub")


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
@pytest.mark.parametrize("file_format", ["PEM", "PKCS8"])
@pytest.mark.parametrize("kind", ["ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"])
def test_pem_and_pkcs8(tmp_path: Path, kind: str, file_format: str, passphrase: str) -> None:
    path = make(tmp_path / "key", kind, "-m", file_format, passphrase=passphrase)
    assert peek_public(path.read_bytes()) is None
    if passphrase:
        with pytest.raises(PassphraseNeeded):
            load(path)
        for wrong in ("", "wrong"):
            with pytest.raises(WrongPassphrase):
                load(path, wrong)
    assert_signs(load(path, passphrase), tmp_path / "key.pub")


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_pkcs8_ed25519(tmp_path: Path, passphrase: str) -> None:
    made = ed25519.Ed25519PrivateKey.generate()
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    data = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    key = load_private_key(data, passphrase or None, "key")
    assert key.public.blob == string(b"ssh-ed25519") + string(made.public_key().public_bytes_raw())
    made.public_key().verify(key.sign("ssh-ed25519", DATA)[-64:], DATA)


def test_windows_line_ends_and_text_around(folder: Path) -> None:
    data = (folder / "ed25519").read_bytes()
    for variant in (data.replace(b"\n", b"\r\n"), b"# mine\n" + data + b"\ntrailing", data.rstrip()):
        assert load_private_key(variant, None, "key").public == peek_public(data)


def test_keys_of_no_use_are_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP256K1()), dsa.generate_private_key(1024)):
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(KeyFileError, match="kind"):
            load_private_key(data, None, "key")


def test_repr_and_errors_show_no_secret(folder: Path) -> None:
    for kind in KINDS:
        key = load(folder / kind)
        assert repr(key) == f"PrivateKey({key.public.type}, {key.public.fingerprint()})"
        assert not hasattr(key, "__dict__")
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    ours = RsaNumbers(numbers.public_numbers.n, 65537, numbers.d, numbers.iqmp, numbers.p, numbers.q)
    assert repr(ours) == "RsaNumbers(...)"
    assert repr(EcdsaNumbers("nistp256", b"", 12345)) == "EcdsaNumbers(...)"


# Damage


def armoured(body: bytes) -> bytes:
    return (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + binascii.b2a_base64(body)
        + b"-----END OPENSSH PRIVATE KEY-----\n"
    )


def body_of(path: Path) -> bytes:
    return binascii.a2b_base64(b"".join(path.read_bytes().splitlines()[1:-1]))


def assert_only_our_errors(data: bytes, passphrase: str | None) -> None:
    try:
        load_private_key(data, passphrase, "key")
    except KeyFileError as refusal:
        error = str(refusal)
    else:
        error = 'Load key "key": '
    assert error.startswith('Load key "key": ')
    assert "\n" not in error
    peek_public(data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_of_a_plain_key(folder: Path, kind: str) -> None:
    body = body_of(folder / kind)
    for end in range(len(body)):
        with pytest.raises(KeyFileError):
            load_private_key(armoured(body[:end]), None, "key")
    with pytest.raises(KeyFileError):
        load_private_key(armoured(body + bytes(8)), None, "key")
    data = (folder / kind).read_bytes()
    for end in range(len(data) - len("-----END OPENSSH PRIVATE KEY-----\n")):
        with pytest.raises(KeyFileError):
            load_private_key(data[:end], None, "key")


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_of_a_plain_key_matters(folder: Path, kind: str) -> None:
    """Each byte changed either breaks the key or leaves its public half as it was (comment, check integers)."""
    body = body_of(folder / kind)
    public = load(folder / kind).public
    survivors = 0
    for index in range(len(body)):
        damaged = bytearray(body)
        damaged[index] ^= 0x01
        try:
            key = load_private_key(armoured(bytes(damaged)), None, "key")
        except KeyFileError:
            continue
        survivors += 1
        assert key.public == public
        assert key.public.verify(key.algorithms()[0], DATA, key.sign(key.algorithms()[0], DATA))
    assert survivors <= len("a comment")


@pytest.mark.parametrize("kind", ["ecdsa-256", "rsa-2048"])
@pytest.mark.parametrize("file_format", ["PEM", "PKCS8"])
def test_every_truncation_of_pem(tmp_path: Path, kind: str, file_format: str) -> None:
    for passphrase in ("", "secret"):
        path = make(tmp_path / f"key{passphrase}", kind, "-m", file_format, passphrase=passphrase)
        data = path.read_bytes()
        body_start = data.index(b"\n") + 1
        step = 1 if not passphrase else 23  # an encrypted PKCS#8 derives its key each time
        for end in range(0, len(data), step):
            assert_only_our_errors(data[:end], passphrase or None)
        for index in range(body_start, len(data), step):
            damaged = bytearray(data)
            damaged[index] = 0x41 if damaged[index] != 0x41 else 0x42
            assert_only_our_errors(bytes(damaged), passphrase or None)


@pytest.mark.parametrize("cipher", ["aes256-ctr", "aes256-cbc", "aes256-gcm@openssh.com"])
def test_every_truncation_of_an_encrypted_key(tmp_path: Path, cipher: str) -> None:
    body = body_of(make(tmp_path / "key", "ed25519", "-a", "1", "-Z", cipher, passphrase="secret"))
    for end in range(len(body)):
        with pytest.raises(KeyFileError):
            load_private_key(armoured(body[:end]), "secret", "key")


def container(
    private: bytes, public: bytes, kdf: bytes = b"none", cipher: bytes = b"none", options: bytes = b""
) -> bytes:
    head = b"openssh-key-v1\0" + string(cipher) + string(kdf) + string(options) + uint32(1)
    return armoured(head + string(public) + string(private))


def padded(section: bytes) -> bytes:
    return section + bytes(range(1, 1 + -len(section) % 8))


def test_halves_of_different_keys_are_refused(folder: Path, tmp_path: Path) -> None:
    for kind in KINDS:
        other = make(tmp_path / kind, kind)
        mine, theirs = load(folder / kind).public.blob, load(other).public.blob
        with pytest.raises(KeyFileError, match="different keys"):
            load_private_key(armoured(body_of(folder / kind).replace(mine, theirs, 1)), None, "key")


def test_public_point_inside_that_is_not_the_seeds() -> None:
    seed, point = bytes(32), bytes([7]) * 32
    blob = string(b"ssh-ed25519") + string(point)
    section = padded(uint32(1) * 2 + blob + string(seed + point) + string(b""))
    with pytest.raises(KeyFileError, match="belong"):
        load_private_key(container(section, blob), None, "key")


@pytest.mark.parametrize("scalar", [0, (1 << 256) - 1, 1 << 256, 1 << 10_000])
def test_scalar_out_of_range(folder: Path, scalar: int) -> None:
    public = load(folder / "ecdsa-256").public.blob
    section = padded(uint32(1) * 2 + public + mpint(scalar) + string(b""))
    with pytest.raises(KeyFileError):
        load_private_key(container(section, public), None, "key")


def test_rsa_numbers_that_do_not_belong_together() -> None:
    made = rsa.generate_private_key(65537, 2048).private_numbers()
    n, d, i, p, q = made.public_numbers.n, made.d, made.iqmp, made.p, made.q
    PrivateKey(RsaNumbers(n, 65537, d, i, p, q))
    for numbers in (
        RsaNumbers(n + 2, 65537, d, i, p, q),
        RsaNumbers(n, 65539, d, i, p, q),
        RsaNumbers(n, 65537, d + 2, i, p, q),
        RsaNumbers(n, 65537, d + n, i, p, q),
        RsaNumbers(n, 65537, d, i + 1, p, q),
        RsaNumbers(n, 65537, d, 0, p, q),
        RsaNumbers(n, 65537, d, i + p, p, q),
        RsaNumbers(n, 65537, d, i, 1, n),
        RsaNumbers(n, 65537, d, i, n, 1),
        RsaNumbers(n, 65537, d, i, 0, 0),
        RsaNumbers(n, 65537, d, i, q, p),
    ):
        with pytest.raises(KeyFileError):
            PrivateKey(numbers)


@pytest.mark.parametrize(
    ("kdf", "cipher", "options", "words"),
    [
        (b"none", b"aes256-ctr", b"", "none"),
        (b"bcrypt", b"none", b"", "bcrypt"),
        (b"scrypt", b"aes256-ctr", b"", "scrypt"),
        (b"bcrypt", b"rot13", b"", "rot13"),
        (b"bcrypt", b"aes256-ctr", b"", "malformed"),
        (b"bcrypt", b"aes256-ctr", string(bytes(16)) + uint32(0), "range"),
        (b"bcrypt", b"aes256-ctr", string(bytes(16)) + uint32(MAX_BCRYPT_ROUNDS + 1), "range"),
        (b"bcrypt", b"aes256-ctr", string(b"") + uint32(16), "range"),
        (b"bcrypt", b"aes256-ctr", string(bytes(16)) + uint32(1) + b"x", "malformed"),
    ],
)
def test_outer_layer_that_is_wrong(kdf: bytes, cipher: bytes, options: bytes, words: str) -> None:
    public = string(b"ssh-ed25519") + string(bytes(32))
    with pytest.raises(KeyFileError, match=words):
        load_private_key(container(bytes(32), public, kdf, cipher, options), "secret", "key")


def test_a_type_that_is_not_ours_is_named() -> None:
    public = string(b"ssh-dss") + string(bytes(32))
    section = padded(uint32(1) * 2 + public + string(b"comment"))
    with pytest.raises(KeyFileError, match=r"ssh-dss are not supported"):
        load_private_key(container(section, public), None, "key")


@pytest.mark.parametrize(
    "data", [b"", b"hello", bytes(1000), b"-----BEGIN OPENSSH PRIVATE KEY-----", b"\xff" * 99]
)
def test_files_that_are_no_keys(data: bytes) -> None:
    with pytest.raises(KeyFileError, match=r'^Load key "junk": '):
        load_private_key(data, None, "junk")
    assert peek_public(data) is None


# Reading files


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o777, 0o601])
def test_files_that_others_may_open_get_the_warning_of_ssh_keygen(folder: Path, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "open"
    path.write_bytes((folder / "ed25519").read_bytes())
    path.chmod(mode)
    with pytest.raises(KeyFilePermissions) as caught:
        read_key_file(str(path))
    done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=False)
    cure = f" (chmod 600 {path})"
    assert done.stderr.replace("\r", "").strip() + cure == str(caught.value)


def test_nobody_is_told_to_change_the_mode_of_what_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n")
    path.chmod(0o644)
    with pytest.raises(KeyFilePermissions, match=r"bad permissions \(it does not look like a private key\)"):
        read_key_file(str(path))


def test_private_modes_are_read(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes((folder / "ed25519").read_bytes())
    for mode in (0o600, 0o400, 0o700):
        path.chmod(mode)
        assert read_key_file(str(path)) == path.read_bytes()


def test_a_fifo_is_read(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o600)
    data = (folder / "ed25519").read_bytes()
    writer = threading.Thread(target=path.write_bytes, args=(data,))
    writer.start()
    assert read_key_file(str(path)) == data
    writer.join()


def test_a_fifo_that_nobody_writes_to_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SILENCE", 0.05)
    path = tmp_path / "fifo"
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError, match="end in time"):
        read_key_file(str(path))


def test_only_regular_files_are_taken_where_a_pipe_must_not_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert reading.read_regular_file(str(tmp_path / "file"), MAX_KEY_FILE_SIZE) == b"content"
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", ".", "missing", "nul\0"):
        with pytest.raises(OSError, match=r"regular|directory|No such|NUL"):
            reading.read_regular_file(f"{tmp_path}/{name}", MAX_KEY_FILE_SIZE)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(MAX_KEY_FILE_SIZE + 1))
    large.chmod(0o600)
    for path, words in (
        (tmp_path / "missing", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (large, "larger than 1 MiB"),
        (Path("nul\0nul"), "NUL"),
    ):
        with pytest.raises(KeyFileError, match=words):
            read_key_file(str(path))


@pytest.mark.parametrize("kind", KINDS)
def test_loading_and_signing_does_not_load_serialization(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "key", kind, "-a", "1", passphrase="secret")
    code = (
        "import sys\n"
        "from pyssh_cli.keys.private import load_private_key, read_key_file\n"
        f"key = load_private_key(read_key_file({str(path)!r}), 'secret', 'key')\n"
        "key.sign(key.algorithms()[0], b'data')\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    modules = set(done.stdout.split())
    assert "cryptography.hazmat.bindings._rust" in modules
    assert "cryptography.hazmat.primitives.serialization" not in modules


def test_names_that_a_file_makes_up_are_cleaned(folder: Path) -> None:
    blob = load(folder / "ed25519").public.blob
    strange = string(b"ssh-\x1b[2J\nann's password: ")
    inside = padded(uint32(1) * 2 + strange + bytes(64))
    for data in (
        container(inside, blob, cipher=b"none\nPermission denied"),
        container(inside, blob, kdf=b"none\x1b[2J"),
        container(inside, blob),
    ):
        with pytest.raises(KeyFileError) as refused:
            load_private_key(data, "", "key")
        assert str(refused.value).isprintable()
        assert "\\0" in str(refused.value)
