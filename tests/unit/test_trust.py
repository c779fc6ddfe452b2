"""Judging a host's key without a connection: what no answer of the files can make good."""

from __future__ import annotations

import hashlib
import io
import os
import signal
from pathlib import Path

import pytest

from pyssh_cli.client import sshfp
from pyssh_cli.client.sshfp import Answer, Fingerprint
from pyssh_cli.client.trust import HostTrust
from pyssh_cli.client.update_host_keys import MAX_KEYS, UpdateHostKeys
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


# Names that a key is known by ------------------------------------------------------------------------------------


def strangers_certificate(tmp_path: Path, key: str = "host") -> PublicKey:
    """A certificate of the key by an authority that nobody knows."""
    return certify(tmp_path / "other", tmp_path / key, "-h", "-n", "box")


def test_a_strangers_certificate_does_not_do_away_with_the_key_of_the_port(tmp_path: Path) -> None:
    """For the bare name another key is known, which ssh would take then."""
    known = f"[box]:2222 {public(tmp_path / 'authority').line()}", f"box {public(tmp_path / 'host').line()}"
    cert = strangers_certificate(tmp_path)
    for blob, algorithm in ((cert.plain.blob, "ssh-ed25519"), (cert.blob, CERT)):
        with pytest.raises(HostKeyError):
            trust(tmp_path, *known, options="Port 2222").judge(offered(tmp_path / "host", blob, algorithm))


def test_an_authority_of_the_bare_name_does_not_either(tmp_path: Path) -> None:
    authority = public(tmp_path / "authority").line()
    judged = trust(tmp_path, f"@cert-authority box {authority}", options="Port 2222")
    judged.judge(offered(tmp_path / "host", certificate(tmp_path).blob, CERT))
    assert judged.update_host_keys == "no"
    known = f"[box]:2222 {public(tmp_path / 'other').line()}", f"@cert-authority box {authority}"
    with pytest.raises(HostKeyError):
        trust(tmp_path, *known, options="Port 2222").judge(
            offered(tmp_path / "host", certificate(tmp_path).blob, CERT)
        )


@pytest.mark.parametrize("marker", ["", "@revoked "])
@pytest.mark.parametrize("name", ["[box]:2222", "box"])
def test_a_strangers_certificate_is_as_good_as_its_key(tmp_path: Path, name: str, marker: str) -> None:
    options = "Port 2222\nUpdateHostKeys yes"
    judged = trust(tmp_path, f"{marker}{name} {public(tmp_path / 'host').line()}", options=options)
    offer = offered(tmp_path / "host", strangers_certificate(tmp_path).blob, CERT)
    if marker:
        with pytest.raises(HostKeyError):
            judged.judge(offer)
    else:
        judged.judge(offer)
        assert (judged.update_host_keys == "no") == (name == "box")


@pytest.mark.parametrize("address", ["{other}", "@revoked {host}"])
@pytest.mark.parametrize("certified", [False, True])
@pytest.mark.parametrize("port", ["", "Port 2222\n"])
def test_what_is_known_of_the_address_counts(tmp_path: Path, address: str, certified: bool, port: str) -> None:
    """Of a key, and of a certificate's whose authority nobody knows. With a port the name alone is known."""
    ours = public(tmp_path / "host")
    blob, algorithm = (strangers_certificate(tmp_path).blob, CERT) if certified else (ours.blob, "ssh-ed25519")
    marker, _, key = address.rpartition(" ")
    line = f"{marker} {'[192.0.2.1]:2222' if port else '192.0.2.1'} {{}}".strip()
    known = f"box {ours.line()}", line.format(public(tmp_path / key.strip("{}")).line())
    offer = offered(tmp_path / "host", blob, algorithm)
    with pytest.raises(HostKeyError):
        trust(tmp_path, *known, options=f"{port}CheckHostIP yes").judge(offer)
    trust(tmp_path, *known, options=f"{port}CheckHostIP no").judge(offer)
    trust(tmp_path, *known[:1], options=f"{port}CheckHostIP yes").judge(offer)


@pytest.mark.parametrize("revoked", ["host", "authority"])
def test_a_certificate_may_be_revoked_for_the_address(tmp_path: Path, revoked: str) -> None:
    known = (
        f"@cert-authority box {public(tmp_path / 'authority').line()}",
        f"@revoked 192.0.2.1 {public(tmp_path / revoked).line()}",
    )
    with pytest.raises(HostKeyError):
        trust(tmp_path, *known, options="CheckHostIP yes").judge(
            offered(tmp_path / "host", certificate(tmp_path).blob, CERT)
        )


def test_without_strict_checking_a_key_revoked_for_the_address_is_unsafe(tmp_path: Path) -> None:
    host = public(tmp_path / "host")
    known = f"box {host.line()}", f"@revoked 192.0.2.1 {host.line()}"
    judged = trust(tmp_path, *known, options="CheckHostIP yes\nStrictHostKeyChecking no\nUpdateHostKeys yes")
    judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    assert judged.unsafe
    assert judged.update_host_keys == "no"


# The DNS ---------------------------------------------------------------------------------------------------------

REVOKED = {
    "the name": ("@revoked box {key}", "", ""),
    "the address": ("@revoked 192.0.2.1 {key}", "CheckHostIP yes", ""),
    "the command": ("", "", "@revoked box {key}"),
    "the command of the address": ("", "CheckHostIP yes", "@revoked 192.0.2.1 {key}"),
}


@pytest.fixture
def signed_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The DNS has the host's key, and says so with DNSSEC."""
    digest = hashlib.sha256(public(tmp_path / "host").blob).digest()
    answer = Answer((Fingerprint(4, 2, digest),), secure=True)
    monkeypatch.setattr(sshfp, "look_up", lambda _host, _log: answer)


@pytest.mark.usefixtures("signed_answer")
@pytest.mark.parametrize("certified", [False, True])
@pytest.mark.parametrize(("line", "options", "printed"), REVOKED.values(), ids=list(REVOKED))
def test_the_dns_does_not_bring_back_what_is_revoked(
    tmp_path: Path, line: str, options: str, printed: str, certified: bool
) -> None:
    host = public(tmp_path / "host")
    (tmp_path / "printed").write_text(printed.format(key=host.line()) + "\n")
    options = f"VerifyHostKeyDNS yes\nKnownHostsCommand /bin/cat {tmp_path / 'printed'}\n{options}"
    blob, algorithm = (certificate(tmp_path).blob, CERT) if certified else (host.blob, "ssh-ed25519")
    with pytest.raises(HostKeyError):
        trust(tmp_path, line.format(key=host.line()), options=options).judge(
            offered(tmp_path / "host", blob, algorithm)
        )


@pytest.mark.usefixtures("signed_answer")
def test_where_the_dns_alone_decides_no_keys_are_learned(tmp_path: Path) -> None:
    host = public(tmp_path / "host")
    judged = trust(tmp_path, options="VerifyHostKeyDNS yes\nUpdateHostKeys yes")
    before = judged.update_host_keys
    judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    assert (before, judged.update_host_keys) == ("yes", "no")


# A command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["exec sleep 1000", "exec >&-; exec sleep 1000", "while :; do echo '#'; done"])
def test_a_command_that_does_not_end_ends_it_all(tmp_path: Path, script: str) -> None:
    (tmp_path / "script").write_text(f"echo $$ > {tmp_path / 'ran'}; {script}\n")
    options = f"ConnectTimeout 1\nKnownHostsCommand /bin/sh {tmp_path / 'script'}"
    host = public(tmp_path / "host")
    with pytest.raises(HostKeyError, match="KnownHostsCommand failed"):
        trust(tmp_path, options=options).judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "ran").read_text()), 0)


def test_what_a_command_leaves_behind_does_not_hold_us(tmp_path: Path) -> None:
    """It has our pipe, which stays open until it is told to go."""
    host = public(tmp_path / "host")
    hold, ran = tmp_path / "hold", tmp_path / "ran"
    os.mkfifo(hold)
    lines = f"read x < {hold} &", f"echo $! > {ran}", f"echo 'box {host.line()}'"
    (tmp_path / "script").write_text("\n".join(lines) + "\n")
    judged = trust(tmp_path, options=f"KnownHostsCommand /bin/sh {tmp_path / 'script'}")
    judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    os.kill(int(ran.read_text()), signal.SIGKILL)  # it waited all the time


# UpdateHostKeys --------------------------------------------------------------------------------------------------


def updater(tmp_path: Path, *known: str, options: str = "") -> tuple[UpdateHostKeys, list[bytes]]:
    """One for a server that has shown its key "host", and what it asks the server to prove."""
    options += "\nUpdateHostKeys yes"
    judged = trust(tmp_path, *known, options=options)
    judged.judge(offered(tmp_path / "host", public(tmp_path / "host").blob, "ssh-ed25519"))
    assert judged.update_host_keys == "yes"
    asked: list[bytes] = []

    def ask(name: str, blobs: bytes, _answered: object) -> None:
        assert name == "hostkeys-prove-00@openssh.com"
        asked.append(blobs)

    log = Log()
    questions = Questions(log, batch_mode=True)
    return UpdateHostKeys(judged._options, log, questions, judged, HASH, ask), asked


def test_a_key_of_the_address_alone_has_to_be_proved_for_the_name(tmp_path: Path) -> None:
    """A key of the host's that went is reason to write, but not one to trust what the name does not have."""
    host, gone, other = (public(tmp_path / name) for name in ("host", "authority", "other"))
    known = [f"box {host.line()}", f"box {gone.line()}", f"192.0.2.1 {host.line()}", f"192.0.2.1 {other.line()}"]
    for proved in (False, True):
        update, asked = updater(tmp_path, *known, options="CheckHostIP yes")
        update.server_has(string(host.blob) + string(other.blob))
        assert asked == [string(other.blob)]
        assert (tmp_path / "known").read_text().splitlines() == known
        signed = string(b"hostkeys-prove-00@openssh.com") + string(HASH) + string(other.blob)
        by = private(tmp_path / ("other" if proved else "host"))
        update.server_proves(True, string(by.sign("ssh-ed25519", signed)))
        after = [known[0], known[2], known[3], f"box,192.0.2.1 {other.line()}"] if proved else known
        assert (tmp_path / "known").read_text().splitlines() == after


def strange(name: bytes) -> PublicKey:
    return PublicKey.parse(string(name) + string(bytes(100)))


@pytest.mark.parametrize("announced", [False, True])
def test_keys_of_types_that_we_lack_are_the_servers_to_have(tmp_path: Path, announced: bool) -> None:
    host, gone, dss = public(tmp_path / "host"), public(tmp_path / "other"), strange(b"ssh-dss")
    update, asked = updater(tmp_path, *(f"box {key.line()}" for key in (host, gone, dss)))
    update.server_has(string(host.blob) + (string(dss.blob) if announced else b""))
    assert asked == []
    assert (tmp_path / "known").read_text() == f"box {host.line()}\nbox {dss.line()}\n"


@pytest.mark.parametrize("blob", [b"", string(b"ssh-ed25519") + string(bytes(31)), string(b"ssh-rsa")])
def test_a_malformed_key_is_reason_to_do_nothing(tmp_path: Path, blob: bytes) -> None:
    host, gone, new = (public(tmp_path / name) for name in ("host", "other", "authority"))
    for told in ((host.blob, blob), (blob, host.blob), (host.blob, new.blob, blob)):
        update, asked = updater(tmp_path, f"box {host.line()}", f"box {gone.line()}")
        update.server_has(b"".join(map(string, told)))
        assert asked == []
        assert (tmp_path / "known").read_text() == f"box {host.line()}\nbox {gone.line()}\n"


def test_an_alias_in_upper_case_is_a_name_like_others(tmp_path: Path) -> None:
    host, gone = public(tmp_path / "host"), public(tmp_path / "other")
    known = f"farm {host.line()}", f"farm {gone.line()}"
    update, asked = updater(tmp_path, *known, options="HostKeyAlias Farm")
    update.server_has(string(host.blob))
    assert asked == []
    assert (tmp_path / "known").read_text() == f"{known[0]}\n"


@pytest.mark.parametrize("strangers", [64, 65])
def test_keys_of_all_types_are_counted(tmp_path: Path, strangers: int) -> None:
    host = public(tmp_path / "host")
    blobs = [host.blob, *(strange(f"x{number}".encode()).blob for number in range(strangers - 1))]
    gone = f"box {public(tmp_path / 'other').line()}\n"
    update, _asked = updater(tmp_path, f"box {host.line()}", gone.strip())
    update.server_has(b"".join(map(string, blobs)))
    assert (gone in (tmp_path / "known").read_text()) == (strangers > MAX_KEYS)


# A file that is written ------------------------------------------------------------------------------------------


def test_a_pipe_is_not_asked_again_when_a_line_was_added(tmp_path: Path) -> None:
    host = public(tmp_path / "host")
    reader, writer = os.pipe()
    os.write(writer, f"@revoked box {public(tmp_path / 'other').line()}\n".encode())
    os.close(writer)
    with os.fdopen(reader, "rb"):
        options = f"StrictHostKeyChecking accept-new\nGlobalKnownHostsFile /dev/fd/{reader}"
        judged = trust(tmp_path, options=options)
        judged.judge(offered(tmp_path / "host", host.blob, "ssh-ed25519"))
    assert [entry.key for entry in judged.known_hosts.entries("box")] == [host, public(tmp_path / "other")]
