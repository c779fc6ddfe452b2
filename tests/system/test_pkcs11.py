"""Keys on PKCS#11 tokens, which SoftHSM stands for."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal, StartServer
from tests.system.diagnosed import diagnosis, report, stages
from tests.system.servers import HERE, Server, public_directory

pkcs11 = pytest.importorskip("pkcs11")

LIBRARY = next(
    (path for path in map(Path, ("/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"))
     if path.exists()),
    None,
)  # fmt: skip
PIN = "1234"
LABEL = "a token"

ED25519 = pytest.param("ed25519", marks=pytest.mark.beyond_ssh)
"""Since OpenSSH 10.1 only."""

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="SoftHSM is not installed")

MAKER = HERE / "token_maker.py"


@pytest.fixture(scope="module")
def token() -> Iterator[Path]:
    """The configuration of SoftHSM with a token that holds a key of each kind."""
    assert LIBRARY is not None
    directory = public_directory()
    (directory / "tokens").mkdir()
    path = directory / "softhsm2.conf"
    path.write_text(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(path), "PATH": "/usr/bin:/bin"}
    initialize = ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--so-pin", "4321", "--pin", PIN]
    subprocess.run(initialize, env=environment, check=True, stdout=subprocess.DEVNULL)
    make = [sys.executable, str(MAKER), str(LIBRARY), LABEL, PIN]
    subprocess.run(make, env=environment, check=True)
    yield path
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def person(pyssh: Client, token: Path) -> Client:
    """The client, which sees the token."""
    pyssh.environment["SOFTHSM2_CONF"] = str(token)
    return pyssh


def public_keys(client: Client, directory: Path) -> dict[str, str]:
    """The token's public keys by their labels, as -Z lists them."""
    client.aim_at_port(9, "IdentitiesOnly no")
    listing = [sys.executable, "-m", "pyssh_cli", "-F", str(client.config), "-Z", "-I", str(LIBRARY), "box"]
    done = subprocess.run(listing, env=client.environment, check=True, capture_output=True)
    lines = [line.split(" ", 2) for line in done.stdout.decode().splitlines()]
    return {label: f"{kind} {blob}" for kind, blob, label in lines}


@pytest.fixture
def authorized(sshd: StartServer) -> Iterator[tuple[Path, Server]]:
    """A file of authorized keys, and the server that reads it."""
    directory = public_directory()
    path = directory / "authorized"
    path.touch(0o644)
    yield path, sshd(f"AuthorizedKeysFile {path}", "StrictModes no", "PasswordAuthentication no")
    shutil.rmtree(directory, ignore_errors=True)


def enter(shown: Any, pin: str = PIN) -> None:
    shown.expect(f"Enter PIN for '{LABEL}': ")
    assert not shown.echoes()
    shown.send(f"{pin}\n")


@pytest.mark.parametrize("label", ["rsa", "secp256r1", "secp384r1", "secp521r1", ED25519])
def test_token_signs(
    person: Client, authorized: tuple[Path, Server], tmp_path: Path, terminal: OpenTerminal, label: str
) -> None:
    path, server = authorized
    path.write_text(public_keys(person, tmp_path)[label] + "\n")
    person.aim(server, "IdentitiesOnly no", f"PKCS11Provider {LIBRARY}", keys=())
    shown = terminal("box", "echo in")
    enter(shown)
    shown.expect("in\r\n")
    assert shown.wait() == 0


@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_token_makes_rsa_signatures_of_each_hash(
    person: Client, authorized: tuple[Path, Server], tmp_path: Path, terminal: OpenTerminal, algorithm: str
) -> None:
    path, server = authorized
    path.write_text(public_keys(person, tmp_path)["rsa"] + "\n")
    person.aim(server, "IdentitiesOnly no", f"PubkeyAcceptedAlgorithms {algorithm}", keys=())
    shown = terminal("-I", str(LIBRARY), "box", "echo in")
    enter(shown)
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_pin_is_asked_for_only_if_the_server_takes_the_key(person: Client, openssh: Server) -> None:
    person.aim(openssh, f"PKCS11Provider {LIBRARY}", "PreferredAuthentications publickey", "IdentitiesOnly no")
    done = person.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert done.stderr.count(b" token") >= 5
    assert b"Enter PIN" not in done.stderr


def test_wrong_pin_is_told(
    person: Client, authorized: tuple[Path, Server], tmp_path: Path, terminal: OpenTerminal
) -> None:
    path, server = authorized
    path.write_text(public_keys(person, tmp_path)["secp256r1"] + "\n")
    person.aim(server, "IdentitiesOnly no", "PreferredAuthentications publickey", keys=())
    shown = terminal("-I", str(LIBRARY), "box", "true")
    enter(shown, "4711")
    shown.expect("PKCS#11 login failed: PIN incorrect")
    shown.expect(r"Permission denied \(publickey\)")
    assert shown.wait() == 255


def test_batch_mode_does_without_the_token(person: Client, openssh: Server) -> None:
    person.aim(openssh, f"PKCS11Provider {LIBRARY}", "BatchMode yes")
    done = person.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert b"pin required" in done.stderr


def test_public_half_in_a_file_chooses_the_tokens_key(
    person: Client, authorized: tuple[Path, Server], tmp_path: Path, terminal: OpenTerminal
) -> None:
    path, server = authorized
    line = public_keys(person, tmp_path)["secp384r1"]
    path.write_text(f"{line}\n")
    (tmp_path / "chosen.pub").write_text(f"{line}\n")
    person.aim(server, f"PKCS11Provider {LIBRARY}", "IdentitiesOnly yes", keys=[tmp_path / "chosen.pub"])
    shown = terminal("-v", "box", "echo in")
    shown.expect("Will attempt key: secp384r1 ECDSA ")
    enter(shown)
    shown.expect("in\r\n")
    assert shown.wait() == 0
    assert b"secp256r1" not in shown.seen


@pytest.mark.parametrize("library", ["/nonexistent.so", "/bin/sh", "libc.so.6"])
def test_library_that_is_none_is_told_and_passed_over(pyssh: Client, openssh: Server, library: str) -> None:
    pyssh.aim(openssh, f"PKCS11Provider {library}")
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert f"provider {library} is not a PKCS11 library".encode() in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_empty_token_is_passed_over(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    pyssh.environment["SOFTHSM2_CONF"] = str(tmp_path / "conf")
    pyssh.aim(openssh, f"PKCS11Provider {LIBRARY}")
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n"
    assert b"returned no keys" in done.stderr


@pytest.mark.beyond_ssh
def test_missing_package_is_named(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    (tmp_path / "pkcs11.py").write_text("raise ImportError\n")
    pyssh.environment["PYTHONPATH"] = str(tmp_path)
    pyssh.aim(openssh, f"PKCS11Provider {LIBRARY}")
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n"
    assert b"python-pkcs11" in done.stderr


@pytest.mark.beyond_ssh
def test_key_of_an_x509_certificate_is_listed(person: Client, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a person")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2040))
    der = tmp_path / "certificate"
    der.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.DER))
    assert LIBRARY is not None
    add = [sys.executable, str(MAKER), str(LIBRARY), LABEL, PIN, str(der)]
    subprocess.run(add, env=person.environment, check=True)
    listed = public_keys(person, tmp_path)
    assert listed["x509"].encode() == key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


# What --diagnose finds -------------------------------------------------------------------------------------------


def listed(found: dict[str, Any]) -> dict[str, tuple[str, str, str | None]]:
    """Where each key is from, what it needs, and the server's answer."""
    every = stages(found)["authentication"]["facts"]["identities"]
    return {each["name"]: (each["source"], each["needs"], each["answer"]) for each in every}


@pytest.mark.beyond_ssh
def test_diagnosis_asks_for_no_pin(
    person: Client, authorized: tuple[Path, Server], tmp_path: Path, terminal: OpenTerminal
) -> None:
    path, server = authorized
    keys = public_keys(person, tmp_path)
    path.write_text(keys["secp384r1"] + "\n")
    person.aim(server, "IdentitiesOnly no", f"PKCS11Provider {LIBRARY}", keys=())
    found = diagnosis(person, "box")
    assert (found["login"], found["asks"]) == ("asks", ["for the PIN of secp384r1"])
    told = listed(found)
    assert {"rsa", "secp256r1", "secp384r1", "secp521r1", "ed25519"} <= set(told)
    for name, said in told.items():
        assert said == ("token", "pin", "accepted" if name == "secp384r1" else "refused")
    assert "accepted: secp384r1 (token, PIN needed)" in report(person, "box").text
    shown = terminal("--diagnose", "box")
    assert shown.wait() == 0
    assert b"PIN for" not in shown.seen
    assert "Accepted publickey" not in server.log_text()  # and given no signature


@pytest.mark.beyond_ssh
def test_diagnosis_of_keys_of_a_token_that_are_not_tried(
    person: Client, authorized: tuple[Path, Server], tmp_path: Path
) -> None:
    path, server = authorized
    keys = public_keys(person, tmp_path)
    (tmp_path / "chosen.pub").write_text(keys["secp256r1"] + "\n")
    path.write_text(keys["secp256r1"] + "\n")
    provider = f"PKCS11Provider {LIBRARY}"
    person.aim(server, provider, keys=[tmp_path / "chosen.pub"])
    found = diagnosis(person, "box")
    left_out = f"{len(keys) - 1} of the tokens' keys: IdentitiesOnly leaves out what no IdentityFile names"
    assert stages(found)["authentication"]["facts"]["skipped"] == [left_out]
    assert (found["login"], list(listed(found))) == ("asks", ["secp256r1"])
    person.aim(server, provider, keys=())
    found = diagnosis(person, "box")
    assert (found["login"], "set IdentitiesOnly no" in found["advice"]) == ("no", True)
    person.aim(server, provider, "IdentitiesOnly no", "BatchMode yes", keys=())
    found = diagnosis(person, "box")
    assert (found["login"], found["advice"].endswith("(ssh-add -s)")) == ("no", True)
    path.write_text("")
    one = "-oPubkeyAcceptedAlgorithms=ecdsa-sha2-nistp521"  # so that no server loses its patience
    found = diagnosis(person, "-oBatchMode=no", one, "box")
    assert (found["login"], found["command"]) == ("no", "pyssh -Z box")


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(("library", "said", "advice"), [
    ("/nonexistent.so", "it is not a PKCS11 library", "correct PKCS11Provider"),
    (str(LIBRARY), "it shows no key: no token is there, or an empty one", "plug in the token"),
])  # fmt: skip
def test_diagnosis_without_a_token(
    pyssh: Client, authorized: tuple[Path, Server], tmp_path: Path, library: str, said: str, advice: str
) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    pyssh.environment["SOFTHSM2_CONF"] = str(tmp_path / "conf")
    pyssh.aim(authorized[1], f"PKCS11Provider {library}", keys=())
    found = diagnosis(pyssh, "box")
    (skipped,) = stages(found)["authentication"]["facts"]["skipped"]
    assert skipped.startswith(f"{library}: {said}")
    assert (found["login"], found["advice"].startswith(advice)) == ("no", True)
    done = pyssh.run("box", "true")
    assert f"Skipped: {library} ({said}" in done.stderr.decode()
    assert f"What may help: {advice}" in done.stderr.decode()
