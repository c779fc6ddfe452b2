"""Certificates: what ssh-keygen signs, what it says of them, and why they are refused."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyssh_cli.errors import KeyFileError, ProtocolError
from pyssh_cli.keys.algorithms import (
    CERTIFICATE_TYPES,
    DEFAULT_CA_SIGNATURE_ALGORITHMS,
    PLAIN_KEY_ALGORITHMS,
    SK_ECDSA,
    algorithms_of,
)
from pyssh_cli.keys.certificates import (
    MAX_OPTIONS,
    MAX_PRINCIPALS,
    MAX_SIZE,
    Certificate,
    certificate_path,
    parse_certificate_file,
)
from pyssh_cli.keys.private import load_private_key
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.wire import string, text
from tests.unit.keygen import (
    KINDS,
    SECURITY_KEY_KINDS,
    Authenticator,
    certificate_body,
    certify,
    keygen,
    make,
    public,
)

NOW = time.time()
ALLOWED = DEFAULT_CA_SIGNATURE_ALGORITHMS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for kind in KINDS:
        make(folder / f"ca-{kind}", kind)
        make(folder / kind, kind)
    for kind in SECURITY_KEY_KINDS:
        (folder / f"{kind}.pub").write_text(Authenticator(kind).public.line() + "\n")
    return folder


def shown(path: Path) -> dict[str, str]:
    """What ssh-keygen -L says, a value a label; lists with newlines between."""
    found: dict[str, str] = {}
    label = ""
    for line in keygen("-L", "-f", f"{path}-cert.pub").splitlines()[1:]:
        if line.startswith(" " * 16):
            found[label] = (found[label] + "\n" + line.strip()).strip()
        else:
            label, _, value = line.strip().partition(":")
            found[label] = value.strip()
    return found


@pytest.mark.parametrize("kind", [*KINDS, *SECURITY_KEY_KINDS])
def test_what_a_certificate_says_is_what_ssh_keygen_says(folder: Path, kind: str) -> None:
    key = certify(
        folder / "ca-ed25519",
        folder / kind,
        *("-h", "-n", "a.example,*.example", "-z", "18446744073709551615", "-V", "20200102030405:20301231000000"),
        identity='an "identity"',
    )
    said = shown(folder / kind)
    certificate = key.certificate()
    assert said["Type"] == f"{key.type} host certificate"
    assert said["Public key"] == f"{key.short_name} {key.fingerprint()}"
    assert said["Signing CA"] == f"ED25519 {certificate.ca.fingerprint()} (using ssh-ed25519)"
    assert said["Key ID"] == f'"{certificate.key_id}"'
    assert said["Serial"] == str(certificate.serial)
    assert said["Valid"] == certificate.validity()
    assert said["Principals"].split("\n") == list(certificate.principals) == ["a.example", "*.example"]
    assert certificate.kind == "host"
    assert certificate.key == public(folder / kind) == key.plain
    assert key.fingerprint() == key.plain.fingerprint()
    assert CERTIFICATE_TYPES[key.type] == key.plain.type
    assert certificate.refusal("host", "x.example", NOW, ALLOWED) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "forever"),
        (("-V", "always:20301231000000"), "before 2030-12-31T00:00:00"),
        (("-V", "20200102030405:forever"), "after 2020-01-02T03:04:05"),
    ],
)
def test_validity(folder: Path, options: tuple[str, ...], expected: str) -> None:
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", *options, "-n", "u").certificate()
    assert certificate.validity() == expected == shown(folder / "ed25519")["Valid"]


def test_times_beyond_every_calendar_can_be_shown(folder: Path) -> None:
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", "-n", "u").certificate()
    assert certificate._replace(valid_before=(1 << 64) - 2).validity().startswith("before 9999-12-")


def test_options_and_extensions(folder: Path) -> None:
    options = ("-O", "force-command=/bin/x", "-O", "extension:a@b=value", "-O", "critical:c@d=x", "-O", "no-pty")
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", "-n", "u", *options).certificate()
    assert dict(certificate.critical_options) == {"force-command": string(b"/bin/x"), "c@d": string(b"x")}
    assert dict(certificate.extensions) == {
        "a@b": string(b"value"),
        **dict.fromkeys(
            ("permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-user-rc"), b""
        ),
    }
    assert certificate.refusal("user", "u", NOW, ALLOWED) is None


def test_description_is_that_of_ssh(folder: Path) -> None:
    certificate = certify(folder / "ca-rsa-2048", folder / "ed25519", "-h", "-n", "h", "-z", "9").certificate()
    assert certificate.describe() == (
        f'{certificate.key.fingerprint()}, serial 9 ID "identity" CA ssh-rsa {certificate.ca.fingerprint()}'
        " valid forever"
    )
    assert "MD5:" in certificate.describe("md5")


REFUSALS = [
    ((), "x", "Certificate invalid: not a host certificate"),
    (("-h", "-n", "x", "-V", "20300101000000:20310101000000"), "x", "Certificate invalid: not yet valid"),
    (("-h", "-n", "x", "-V", "20100101000000:20110101000000"), "x", "Certificate invalid: expired"),
    (("-h",), "x", "Certificate lacks principal list"),
    (("-h", "-n", "x,y"), "z", "Certificate invalid: name is not a listed principal"),
    (("-h", "-n", "*.x"), "x", "Certificate invalid: name is not a listed principal"),
    (("-h", "-n", "x,y"), "x,y", "Certificate invalid: name is not a listed principal"),
    (("-h", "-n", "x", "-O", "critical:a=b"), "x", "Certificate contains unsupported critical options"),
    (("-h", "-n", "x,y"), "y", None),
    (("-h", "-n", "x?.*"), "xy.z", None),
    (("-h", "-n", "x", "-O", "extension:a=b"), "x", None),
]


@pytest.mark.parametrize(("options", "name", "expected"), REFUSALS)
def test_refusals_of_hosts(folder: Path, options: tuple[str, ...], name: str, expected: str | None) -> None:
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", *options).certificate()
    assert certificate.refusal("host", name, NOW, ALLOWED) == expected
    if expected is None:
        assert certificate.refusal("host", name, certificate.valid_before, ALLOWED)
        assert certificate.refusal("user", name, NOW, ALLOWED) == "Certificate invalid: not a user certificate"


def test_the_window_is_open_at_its_end(folder: Path) -> None:
    options = ("-h", "-n", "x", "-V", "20200101000000:20300101000000")
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", *options).certificate()
    after, before = certificate.valid_after, certificate.valid_before
    reasons = [certificate.refusal("host", "x", now, ALLOWED) for now in (after - 1, after, before - 1, before)]
    assert [reason and reason.rpartition(" ")[2] for reason in reasons] == ["valid", None, None, "expired"]


def test_users_names_are_no_patterns(folder: Path) -> None:
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", "-n", "u*,root").certificate()
    assert certificate.refusal("user", "root", NOW, ALLOWED) is None
    assert certificate.refusal("user", "u*", NOW, ALLOWED) is None
    assert certificate.refusal("user", None, NOW, ALLOWED) is None
    assert certificate.refusal("user", "user", NOW, ALLOWED) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_authorities_of_every_kind(folder: Path, kind: str) -> None:
    certificate = certify(folder / f"ca-{kind}", folder / "ed25519", "-h", "-n", "h").certificate()
    assert certificate.signature_algorithm == algorithms_of(public(folder / f"ca-{kind}").type)[0]
    assert certificate.refusal("host", "h", NOW, ALLOWED) is None
    rest = [name for name in ALLOWED if name != certificate.signature_algorithm]
    assert certificate.refusal("host", "h", NOW, rest) == "Certificate signed with disallowed algorithm"


def test_a_sha1_signature_is_taken_only_when_it_is_asked_for(folder: Path) -> None:
    certificate = certify(
        folder / "ca-rsa-2048", folder / "ed25519", "-h", "-n", "h", "-t", "ssh-rsa"
    ).certificate()
    assert certificate.signature_algorithm == "ssh-rsa"
    assert certificate.refusal("host", "h", NOW, ALLOWED) == "Certificate signed with disallowed algorithm"
    assert certificate.refusal("host", "h", NOW, (*ALLOWED, "ssh-rsa")) is None


@pytest.mark.parametrize("kind", SECURITY_KEY_KINDS)
def test_authorities_in_an_authenticator(folder: Path, kind: str) -> None:
    """ssh-keygen -L judges the authority's signature too, and refuses to show what it does not hold for."""
    authenticator = Authenticator(kind)
    body = certificate_body(public(folder / "ed25519"), authenticator.public.blob)
    signatures = [authenticator.sign(body)] + ([authenticator.sign_webauthn(body)] if kind == SK_ECDSA else [])
    for signature in signatures:
        path = folder / "by-authenticator"
        key = PublicKey.parse(body + string(signature))
        Path(f"{path}-cert.pub").write_text(key.line() + "\n")
        said = shown(path)
        certificate = key.certificate()
        assert said["Signing CA"].split()[:2] == [certificate.ca.short_name, certificate.ca.fingerprint()]
        assert certificate.refusal("host", "host", NOW, PLAIN_KEY_ALGORITHMS) is None
        assert certificate._replace(signed=body + b"x").refusal("host", "host", NOW, PLAIN_KEY_ALGORITHMS)


def changed(certificate: PublicKey) -> Iterator[bytes]:
    for index in range(len(certificate.blob)):
        blob = bytearray(certificate.blob)
        blob[index] ^= 1
        yield bytes(blob)


def test_no_changed_byte_is_passed_over(folder: Path) -> None:
    key = certify(folder / "ca-ed25519", folder / "ed25519", "-h", "-n", "h", "-O", "extension:a=b")
    assert key.certificate().refusal("host", "h", NOW, ALLOWED) is None
    for blob in changed(key):
        try:
            certificate = Certificate.parse(blob)
        except ProtocolError:
            continue
        assert certificate.refusal("host", "h", NOW, ALLOWED) is not None


def test_truncated_and_overlong_ones_are_refused(folder: Path) -> None:
    key = certify(folder / "ca-ecdsa-256", folder / "rsa-2048", "-h", "-n", "h")
    for end in range(len(key.blob)):
        with pytest.raises(ProtocolError):
            Certificate.parse(key.blob[:end])
    with pytest.raises(ProtocolError):
        PublicKey.parse(key.blob + b"\0")


def test_what_is_malformed_or_too_much(folder: Path) -> None:
    key, ca = public(folder / "ed25519"), public(folder / "ca-ed25519").blob
    signature = string(text("ssh-ed25519") + string(bytes(64)))
    option = string(b"a") + string(b"")

    def parse(body: bytes) -> Certificate:
        return Certificate.parse(body + signature)

    assert len(parse(certificate_body(key, ca, principals=(b"h",) * MAX_PRINCIPALS)).principals) == MAX_PRINCIPALS
    assert len(parse(certificate_body(key, ca, critical=option * MAX_OPTIONS)).critical_options) == MAX_OPTIONS
    nested = certify(folder / "ca-ed25519", folder / "ecdsa-256", "-n", "h").blob
    for body, words in (
        (certificate_body(key, ca, principals=(b"h",) * (MAX_PRINCIPALS + 1)), "principals"),
        (certificate_body(key, ca, critical=option * (MAX_OPTIONS + 1)), "options"),
        (certificate_body(key, ca, extensions=option * (MAX_OPTIONS + 1)), "options"),
        (certificate_body(key, ca, extensions=option + string(b"b")), "early"),
        (certificate_body(key, ca, kind=3), "neither"),
        (certificate_body(key, ca, principals=(b"h\0",)), "NUL"),
        (certificate_body(key, ca, key_id=b"\0"), "NUL"),
        (certificate_body(key, ca, key_id=bytes(MAX_SIZE).replace(b"\0", b"x")), "larger"),
        (certificate_body(key, nested), "cannot sign certificates"),
        (certificate_body(key, text("ssh-dss") + bytes(40)), "cannot sign certificates"),
        (certificate_body(key, b""), "early"),
        (certificate_body(key, ca, name="ssh-rsa-cert-v01@openssh.com"), "RSA|mpint"),
        (certificate_body(key, ca, name="ssh-ed25519"), "not a certificate"),
    ):
        with pytest.raises(ProtocolError, match=words):
            parse(body)
    with pytest.raises(ProtocolError, match="not a certificate"):
        key.certificate()


def test_an_authority_that_names_another_algorithm_than_its_key_has(folder: Path) -> None:
    body = certificate_body(public(folder / "ed25519"), public(folder / "ca-ed25519").blob)
    for signature in (b"", string(b"rsa-sha2-512") + string(bytes(256)), string(b"\xff")):
        certificate = Certificate.parse(body + string(signature))
        assert certificate.signature_algorithm == ""
        reason = certificate.refusal("host", "host", NOW, ALLOWED)
        assert reason == "Certificate invalid: the signature is not its authority's"


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_signs_for_its_certificate(folder: Path, kind: str) -> None:
    key = load_private_key((folder / kind).read_bytes(), None, kind)
    certificate = certify(folder / "ca-ed25519", folder / kind, "-n", "u")
    assert certificate.bits == key.public.bits
    algorithms = algorithms_of(certificate.type)
    assert len(algorithms) == len(key.algorithms())
    for algorithm, plain in zip(algorithms, key.algorithms(), strict=True):
        signature = key.sign(algorithm, b"data")
        assert certificate.verify(algorithm, b"data", signature)
        assert key.public.verify(plain, b"data", signature)
        assert not certificate.verify(plain, b"data", signature)
        assert not certificate.verify(algorithm, b"other", signature)


def test_certificate_files(folder: Path) -> None:
    certificate = certify(folder / "ca-ed25519", folder / "ed25519", "-n", "u")
    path = Path(certificate_path(str(folder / "ed25519")))
    assert parse_certificate_file(path.read_bytes()) == (certificate, "a comment")
    with pytest.raises(KeyFileError, match="not a certificate"):
        parse_certificate_file((folder / "ed25519.pub").read_bytes())


def test_small_rsa_keys_are_told_behind_a_certificate(folder: Path) -> None:
    certificate = certify(folder / "ca-ed25519", folder / "rsa-2048", "-n", "u")
    assert certificate.is_smaller_rsa_than(2049)
    assert not certificate.is_smaller_rsa_than(2048)
    assert not certify(folder / "ca-ed25519", folder / "ed25519", "-n", "u").is_smaller_rsa_than(2048)


def test_ssh_keygen_agrees_that_a_broken_signature_is_none(folder: Path) -> None:
    key = certify(folder / "ca-ed25519", folder / "ed25519", "-n", "u")
    broken = PublicKey.parse(key.blob[:-1] + bytes([key.blob[-1] ^ 1]))
    assert not broken.certificate().is_signed()
    reason = "Certificate invalid: the signature is not its authority's"
    assert broken.certificate().refusal("user", "u", NOW, ALLOWED) == reason
    (folder / "broken-cert.pub").write_text(broken.line() + "\n")
    done = subprocess.run(["ssh-keygen", "-L", "-f", folder / "broken-cert.pub"], capture_output=True, check=False)
    assert done.returncode != 0
