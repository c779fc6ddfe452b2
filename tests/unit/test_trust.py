"""Judging a host's key without a connection: what no answer of the files can make good."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pyssh_cli.client.trust import HostTrust
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import HostKeyError, ProtocolError
from pyssh_cli.keys.private import PrivateKey, load_private_key
from pyssh_cli.keys.public import PublicKey, parse_public_file
from pyssh_cli.log import DEBUG1, Log
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.protocol.transport import HostKeyOffered
from pyssh_cli.terminal.questions import Questions
from pyssh_cli.wire import string
from tests.unit.keygen import certificate_body, certify, make, public

CERT = "ssh-ed25519-cert-v01@openssh.com"
HASH = bytes(range(32))


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> None:
    for name in ("authority", "host", "other"):
        make(tmp_path / name, "ed25519")
    certify(tmp_path / "authority", tmp_path / "host", "-h", "-n", "box")


def private(path: Path) -> PrivateKey:
    return load_private_key(path.read_bytes(), None, str(path))


def trust(tmp_path: Path, *known: str, options: str = "", address: str = "192.0.2.1") -> HostTrust:
    (tmp_path / "known").write_text("".join(f"{line}\n" for line in known))
    files = f"UserKnownHostsFile {tmp_path / 'known'}\nGlobalKnownHostsFile none\n"
    (tmp_path / "config").write_text(f"{options}\nStrictHostKeyChecking yes\n{files}")
    log = Log()
    found = resolve(Settings(), "box", SystemNetwork(), log, config_file=str(tmp_path / "config"))
    return HostTrust(found, log, Questions(log, batch_mode=True), address)


def offered(path: Path, blob: bytes, algorithm: str, *, signed: bytes = HASH) -> HostKeyOffered:
    return HostKeyOffered(blob, algorithm, HASH, private(path).sign("ssh-ed25519", signed))


def certificate(tmp_path: Path) -> PublicKey:
    return parse_public_file((tmp_path / "host-cert.pub").read_bytes())[0]


def test_a_certificate_and_its_key_are_judged(tmp_path: Path) -> None:
    authority, host = public(tmp_path / "authority"), public(tmp_path / "host")
    cert = certificate(tmp_path)
    judged = trust(tmp_path, f"@cert-authority box {authority.line()}")
    judged.judge(offered(tmp_path / "host", cert.blob, CERT))
    assert judged.update_host_keys == "no"
    judged.judge(offered(tmp_path / "host", cert.blob, CERT))  # a rekeying
    with pytest.raises(HostKeyError, match="another host key"):
        judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))


def test_a_certificate_that_its_authority_did_not_sign_is_fatal(tmp_path: Path) -> None:
    """However well known the key in it is: ssh ends the key exchange, too."""
    authority, host = public(tmp_path / "authority"), public(tmp_path / "host")
    body = certificate_body(host, authority.blob, principals=(b"box",))
    forged = body + string(private(tmp_path / "other").sign("ssh-ed25519", body))
    known = f"@cert-authority box {authority.line()}", f"box {host.line()}"
    with pytest.raises(HostKeyError, match="not signed by the authority"):
        trust(tmp_path, *known).judge(offered(tmp_path / "host", forged, CERT))


def test_an_authority_may_not_be_a_certificate(tmp_path: Path) -> None:
    host, cert = public(tmp_path / "host"), certificate(tmp_path)
    body = certificate_body(host, cert.blob, principals=(b"box",))
    nested = body + string(private(tmp_path / "host").sign("ssh-ed25519", body))
    with pytest.raises(ProtocolError, match="cannot sign certificates"):
        trust(tmp_path, f"box {host.line()}").judge(offered(tmp_path / "host", nested, CERT))


@pytest.mark.parametrize(("plain", "algorithm"), [(True, CERT), (False, "ssh-ed25519"), (True, "rsa-sha2-256")])
def test_key_and_algorithm_have_to_be_of_a_kind(tmp_path: Path, plain: bool, algorithm: str) -> None:
    authority, host = public(tmp_path / "authority"), public(tmp_path / "host")
    blob = host.blob if plain else certificate(tmp_path).blob
    known = f"@cert-authority box {authority.line()}", f"box {host.line()}"
    with pytest.raises(HostKeyError, match=r"not the .* agreed on"):
        trust(tmp_path, *known).judge(offered(tmp_path / "host", blob, algorithm))


@pytest.mark.parametrize("plain", [False, True])
def test_whoever_does_not_hold_the_key_is_refused(tmp_path: Path, plain: bool) -> None:
    authority, host = public(tmp_path / "authority"), public(tmp_path / "host")
    blob, algorithm = (host.blob, "ssh-ed25519") if plain else (certificate(tmp_path).blob, CERT)
    known = f"@cert-authority box {authority.line()}", f"box {host.line()}"
    for wrong in (
        offered(tmp_path / "other", blob, algorithm),
        offered(tmp_path / "host", blob, algorithm, signed=bytes(32)),
    ):
        with pytest.raises(HostKeyError, match="incorrect signature"):
            trust(tmp_path, *known, options="StrictHostKeyChecking no").judge(wrong)


def test_a_key_that_nobody_knows_by_a_proxy_has_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(_questions: Questions, text: str, _fingerprint: str) -> bool:
        asked.append(text)
        return False

    monkeypatch.setattr(Questions, "confirm_host_key", refuse)
    host = public(tmp_path / "host")
    judged = trust(tmp_path, options="CheckHostIP yes\nStrictHostKeyChecking ask", address="")
    assert not judged.checks_address
    with pytest.raises(HostKeyError):
        judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    assert "host 'box (<no hostip for proxy command>)' can't" in asked[0]


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", False)]
)
def test_localhost_is_told_by_the_address(tmp_path: Path, address: str, local: bool) -> None:
    host = public(tmp_path / "host")
    judged = trust(tmp_path, options="NoHostAuthenticationForLocalhost yes", address=address)
    if local:
        judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
        assert judged.update_host_keys == "no"
    else:
        with pytest.raises(HostKeyError):
            judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ("", "yes"),
        ("UpdateHostKeys ask", "ask"),
        ("UpdateHostKeys ask\nRemoteCommand x", "no"),
        ("UpdateHostKeys ask\nSessionType none", "no"),
        ("UpdateHostKeys ask\nRequestTTY no", "no"),
        ("UpdateHostKeys ask\nBatchMode yes", "no"),
        ("UpdateHostKeys no", "no"),
    ],
)
def test_who_may_be_asked_about_new_keys(tmp_path: Path, options: str, outcome: str) -> None:
    options = options or "UpdateHostKeys yes"
    assert trust(tmp_path, options=options).update_host_keys == outcome


def test_debug_output_tells_which_files_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    host = public(tmp_path / "host")
    judged = trust(tmp_path, f"box {host.line()}", options=f"GlobalKnownHostsFile {tmp_path}\nLogLevel DEBUG1")
    judged._log.level = DEBUG1
    judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    assert f"hostkeys file {tmp_path} not read: Is a directory" in said.getvalue()
