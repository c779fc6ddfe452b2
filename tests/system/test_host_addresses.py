"""Trust that rests on addresses and the DNS: CheckHostIP and VerifyHostKeyDNS, in a network of the tests' own."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import OpenTerminal
from tests.system.sandbox import ADDRESS, POSSIBLE, Sandbox
from tests.system.servers import Account, KeyRing, Park, fingerprint
from tests.system.waiting import PATIENCE

pytestmark = pytest.mark.skipif(
    not POSSIBLE,
    reason="a network of the tests' own takes namespaces, which are Linux's and root's, and may be refused",
)

TYPES = "ed25519", "rsa-3072"


def record(line: str, algorithm: int, hash_type: int = 2) -> str:
    """The value of an SSHFP record of a key."""
    blob = binascii.a2b_base64(line.split()[1])
    return f"{algorithm} {hash_type} {hashlib.new({1: 'sha1', 2: 'sha256'}[hash_type], blob).hexdigest()}"


@pytest.fixture(scope="module")
def ring(park: Park) -> KeyRing:
    """The server's keys."""
    return park.host_keys


@pytest.fixture(scope="module")
def sandbox(
    tmp_path_factory: pytest.TempPathFactory, account: Account, ring: KeyRing, strange_keys: KeyRing
) -> Iterator[Sandbox]:
    """The network, the same for all."""
    own, rsa = ring.public("ed25519"), ring.public("rsa-3072")
    other = strange_keys.public("ed25519")
    hosts = "box", "good", "weak", "bad", "mixed", "rsa", "strange", "none"
    zone = [
        *(f"{name}.example A {ADDRESS}" for name in hosts),
        "local.example A 127.0.0.1",
        "alias.example CNAME good.example",
        *(f"{name}.example SECURE" for name in ("good", "alias", "bad", "mixed", "rsa", "strange")),
        f"good.example SSHFP {record(own, 4)}",
        f"good.example SSHFP {record(own, 4, 1)}",
        f"good.example SSHFP {record(rsa, 1)}",
        f"weak.example SSHFP {record(own, 4)}",
        f"bad.example SSHFP {record(other, 4)}",
        f"mixed.example SSHFP {record(own, 4)}",
        f"mixed.example SSHFP {record(other, 4)}",
        f"rsa.example SSHFP {record(rsa, 1)}",
        "strange.example SSHFP 4 9 abcd",
    ]
    directory = tmp_path_factory.mktemp("sandbox")
    made = Sandbox(directory, "\n".join(zone), account, [ring.path(name) for name in TYPES])
    yield made
    made.close()


class Inside:
    """The client in the network."""

    def __init__(self, client: Client, sandbox: Sandbox, account: Account) -> None:
        self.client = client
        self.enter = sandbox.enter
        self._user = account.name
        client.config.write_text("")

    def write(self, *options: str, known: str = "") -> None:
        """The configuration and known_hosts."""
        lines = [
            *options,
            f"User {self._user}",
            f"IdentityFile {self.client.keys.path('ed25519')}",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {self.client.known_hosts}",
            "GlobalKnownHostsFile /dev/null",
        ]
        self.client.config.write_text("".join(f"{line}\n" for line in lines))
        self.client.known_hosts.write_text(known)

    def run(self, *words: str, **environment: str) -> tuple[int, str, list[str]]:
        """Run the client: status, stdout, and lines of stderr."""
        self.client.environment |= environment
        with self.client.start(*words, "echo in", argv=self.enter) as process:
            out, err = process.communicate(timeout=4 * PATIENCE)
        return process.returncode, out.decode(), err.decode().splitlines()

    @property
    def known(self) -> str:
        """What known_hosts holds now."""
        return self.client.known_hosts.read_text()


@pytest.fixture
def inside(pyssh: Client, sandbox: Sandbox, account: Account) -> Inside:
    """The client in the network, without a configuration yet."""
    return Inside(pyssh, sandbox, account)


# CheckHostIP ----------------------------------------------------------------------------------------------------

NEW = "CheckHostIP yes", "StrictHostKeyChecking accept-new"
STRICT = "CheckHostIP yes", "StrictHostKeyChecking yes"


def test_the_address_is_remembered_too(inside: Inside, ring: KeyRing) -> None:
    key = ring.public("ed25519")
    for port, names in ((22, f"box.example,{ADDRESS}"), (2222, f"[box.example]:2222,[{ADDRESS}]:2222")):
        inside.write(*NEW)
        _, out, told = inside.run("-p", str(port), "box.example")
        assert (out, told) == (
            "in\n",
            [f"Warning: Permanently added '{names}' (ED25519) to the list of known hosts."],
        )
        assert inside.known == f"{names} {key}\n"
        assert inside.run("-p", str(port), "box.example") == (0, "in\n", [])


def test_hashed_names_have_a_line_each(inside: Inside) -> None:
    inside.write(*NEW, "HashKnownHosts yes")
    assert inside.run("box.example")[1] == "in\n"
    assert [line[:3] for line in inside.known.splitlines()] == ["|1|", "|1|"]
    assert inside.run("box.example") == (0, "in\n", [])


def test_the_address_of_a_known_name_is_added(inside: Inside, ring: KeyRing) -> None:
    line = f"box.example {ring.public('ed25519')}\n"
    inside.write(*STRICT, known=line)
    told = (
        f"Warning: Permanently added the ED25519 host key for IP address '{ADDRESS}' to the list of known hosts."
    )
    assert inside.run("box.example") == (0, "in\n", [told])
    assert inside.known == line + line.replace("box.example", ADDRESS)


def test_the_name_of_a_known_address_is_added(inside: Inside, ring: KeyRing) -> None:
    line = f"{ADDRESS} {ring.public('ed25519')}\n"
    inside.write(*NEW, known=line)
    assert inside.run("box.example")[1] == "in\n"
    assert inside.known == line + line.replace(ADDRESS, "box.example")


def test_an_alias_has_an_address_too(inside: Inside, ring: KeyRing) -> None:
    inside.write(*NEW, "HostKeyAlias farm")
    assert inside.run("box.example")[1] == "in\n"
    assert inside.known == f"farm,{ADDRESS} {ring.public('ed25519')}\n"


@pytest.mark.parametrize("host", ["local.example", ADDRESS, "box.example"])
def test_no_address_is_looked_at(inside: Inside, ring: KeyRing, host: str) -> None:
    inside.write(*(NEW if host != "box.example" else NEW[1:]))
    assert inside.run(host)[1] == "in\n"
    assert inside.known == f"{host} {ring.public('ed25519')}\n"


def test_what_a_command_knows_is_not_written(inside: Inside, ring: KeyRing) -> None:
    inside.write(*STRICT, f"KnownHostsCommand /bin/echo box.example {ring.public('ed25519')}")
    told = f"ED25519 host key for IP address '{ADDRESS}' not in list of known hosts."
    assert inside.run("box.example") == (0, "in\n", [told])
    assert inside.known == ""


def test_the_command_is_asked_for_the_address(inside: Inside, ring: KeyRing, tmp_path: Path) -> None:
    key = ring.public("ed25519")
    script = tmp_path / "command"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho "box.example,{ADDRESS} {key}"\n')
    script.chmod(0o755)
    inside.write(*STRICT, f"KnownHostsCommand {script} %I %H")
    assert inside.run("box.example") == (0, "in\n", [])
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["ORDER box.example", "HOSTNAME box.example", f"ADDRESS {ADDRESS}"]


@pytest.mark.beyond_ssh
def test_a_key_revoked_for_the_address_is_refused(inside: Inside, ring: KeyRing) -> None:
    """ssh knows such a line, and goes on as if the address had none."""
    key = ring.public("ed25519")
    inside.write(*STRICT, known=f"box.example {key}\n@revoked {ADDRESS} {key}\n")
    status, out, told = inside.run("box.example")
    assert (status, out) == (255, "")
    assert f"The ED25519 host key for {ADDRESS} is marked as revoked." in told


@pytest.mark.parametrize("checking", ["yes", "accept-new", "no"])
def test_another_key_of_the_address_is_told(
    inside: Inside, ring: KeyRing, strange_keys: KeyRing, checking: str
) -> None:
    known = f"box.example {ring.public('ed25519')}\n{ADDRESS} {strange_keys.public('ed25519')}\n"
    inside.write("CheckHostIP yes", f"StrictHostKeyChecking {checking}", known=known)
    status, out, told = inside.run("box.example")
    file = inside.client.known_hosts
    assert told[:3] == [
        f"Warning: the ED25519 host key for 'box.example' differs from the key for the IP address '{ADDRESS}'",
        f"Offending key for IP in {file}:2",
        f"Matching host key in {file}:1",
    ]
    if checking == "no":
        assert (status, out, told[3:]) == (0, "in\n", [])
    else:
        refused = ["Exiting, you have requested strict checking.", "Host key verification failed."]
        assert (status, out, told[3:]) == (255, "", refused)
    assert inside.known == known


def test_another_key_of_the_address_is_asked_about(
    inside: Inside, ring: KeyRing, strange_keys: KeyRing, terminal: OpenTerminal
) -> None:
    known = f"box.example {ring.public('ed25519')}\n{ADDRESS} {strange_keys.public('ed25519')}\n"
    inside.write("CheckHostIP yes", known=known)
    for answer, status in (("no", 255), ("yes", 0)):
        shown = terminal(argv=[*inside.enter, *inside.client.argv, "box.example", "echo in"])
        shown.expect("differs from the key for the IP address")
        shown.expect(r"Are you sure you want to continue connecting \(yes/no\)\? ")
        shown.send(f"{answer}\n")
        assert shown.wait() == status


@pytest.mark.parametrize(
    ("address_key", "spoofing"), [(None, True), ("own", True), ("same", False), ("third", True)]
)
def test_a_changed_key_whose_address_has_another_story_smells_of_spoofing(
    inside: Inside, ring: KeyRing, strange_keys: KeyRing, address_key: str | None, spoofing: bool
) -> None:
    keys = {"own": ring.public("ed25519"), "same": strange_keys.public("ed25519")}
    keys["third"] = strange_keys.public("ecdsa-256")
    known = f"box.example {keys['same']}\n" + (f"{ADDRESS} {keys[address_key]}\n" if address_key else "")
    inside.write(*STRICT, known=known)
    status, out, told = inside.run("box.example")
    assert (status, out) == (255, "")
    assert ("@       WARNING: POSSIBLE DNS SPOOFING DETECTED!          @" in told) == spoofing
    assert "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @" in told
    file = inside.client.known_hosts
    assert (f"Offending key for IP in {file}:2" in told) == (spoofing and address_key is not None)
    assert f"Offending ED25519 key in {file}:1" in told


@pytest.mark.parametrize(
    ("known", "after"),
    [
        ("box.example,{ip} {key}\n", "box.example,{ip} {key}\nbox.example,{ip} {rsa}\n"),
        ("box.example {key}\n{ip} {key}\n", "box.example {key}\n{ip} {key}\nbox.example,{ip} {rsa}\n"),
        ("box.example,{ip} {key}\nbox.example,{ip} {other}\n", "box.example,{ip} {key}\nbox.example,{ip} {rsa}\n"),
        ("box.example,foo {key}\n{ip} {key}\n", None),
    ],
)
def test_keys_are_updated_for_the_address_too(
    inside: Inside, ring: KeyRing, strange_keys: KeyRing, known: str, after: str | None
) -> None:
    words = {"ip": ADDRESS, "key": ring.public("ed25519"), "rsa": ring.public("rsa-3072")}
    words["other"] = strange_keys.public("ed25519")
    inside.write(*STRICT, "UpdateHostKeys yes", known=known.format(**words))
    assert inside.run("box.example") == (0, "in\n", [])
    assert inside.known == (after or known).format(**words)


def test_an_old_line_with_an_address_may_go_without_it(
    inside: Inside, ring: KeyRing, strange_keys: KeyRing
) -> None:
    """ssh wrote such lines until CheckHostIP was no longer the default."""
    key, rsa, names = ring.public("ed25519"), ring.public("rsa-3072"), f"box.example,{ADDRESS}"
    inside.write("UpdateHostKeys yes", known=f"{names} {key}\n{names} {strange_keys.public('ed25519')}\n")
    assert inside.run("box.example") == (0, "in\n", [])
    assert inside.known == f"{names} {key}\nbox.example {rsa}\n"


# VerifyHostKeyDNS -----------------------------------------------------------------------------------------------

TRUSTED = {"RES_OPTIONS": "edns0 trust-ad"}
DNS = "VerifyHostKeyDNS yes", "StrictHostKeyChecking yes"


@pytest.mark.parametrize(
    "words",
    [["good.example"], ["alias.example"], ["-p", "2222", "good.example"], ["-oHostKeyAlias=a", "good.example"]],
)
def test_a_signed_answer_is_enough(inside: Inside, words: list[str]) -> None:
    inside.write(*DNS)
    assert inside.run(*words, **TRUSTED) == (0, "in\n", [])
    assert inside.known == ""


def test_a_signed_answer_outweighs_the_files(inside: Inside, strange_keys: KeyRing) -> None:
    inside.write(*DNS, known=f"good.example {strange_keys.public('ed25519')}\n")
    assert inside.run("good.example", **TRUSTED) == (0, "in\n", [])


@pytest.mark.beyond_ssh
def test_a_signed_answer_does_not_bring_back_what_is_revoked(inside: Inside, ring: KeyRing) -> None:
    inside.write(*DNS, known=f"@revoked * {ring.public('ed25519')}\n")
    status, out, told = inside.run("good.example", **TRUSTED)
    assert (status, out) == (255, "")
    assert "@       WARNING: REVOKED HOST KEY DETECTED!               @" in told


@pytest.mark.parametrize(
    ("setting", "host", "environment"),
    [
        ("yes", "good.example", {}),  # who says that signatures were checked is not trusted
        ("yes", "weak.example", TRUSTED),
        ("ask", "good.example", TRUSTED),
        ("yes", "none.example", TRUSTED),
    ],
)
def test_an_answer_that_is_not_enough_leaves_it_to_the_files(
    inside: Inside, ring: KeyRing, setting: str, host: str, environment: dict[str, str]
) -> None:
    inside.write(f"VerifyHostKeyDNS {setting}", "StrictHostKeyChecking yes")
    told = f"No ED25519 host key is known for {host} and you have requested strict checking."
    status, out, said = inside.run(host, **environment)
    assert (status, out, len(said), said[-1]) == (255, "", 2, "Host key verification failed.")
    assert said[0] == f"{told} (the host shows {fingerprint(ring.public('ed25519'))})"
    inside.write(f"VerifyHostKeyDNS {setting}", known=f"{host} {ring.public('ed25519')}\n")
    assert inside.run(host, **environment) == (0, "in\n", [])


@pytest.mark.parametrize("host", ["bad.example", "mixed.example", "rsa.example"])
def test_an_answer_of_another_key_is_warned_of(inside: Inside, ring: KeyRing, host: str) -> None:
    inside.write(*DNS, known=f"{host} {ring.public('ed25519')}\n")
    status, out, told = inside.run(host, **TRUSTED)
    assert (status, out) == (0, "in\n")
    assert "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @" in told
    assert f"{fingerprint(ring.public('ed25519'))}." in told
    assert told[-1] == "Update the SSHFP RR in DNS with the new host key to get rid of this message."


@pytest.mark.parametrize(
    ("host", "note"),
    [
        ("weak.example", "Matching"),
        ("bad.example", "No matching"),
        ("none.example", "No matching"),
        ("strange.example", "No matching"),
        (ADDRESS, "No matching"),
    ],
)
@pytest.mark.parametrize("setting", ["yes", "ask"])
def test_the_question_tells_what_the_dns_said(
    inside: Inside, terminal: OpenTerminal, setting: str, host: str, note: str
) -> None:
    inside.write(f"VerifyHostKeyDNS {setting}")
    inside.client.environment |= TRUSTED
    shown = terminal(argv=[*inside.enter, *inside.client.argv, host, "echo in"])
    shown.expect(rf"fingerprint is SHA256:\S+\.\r\n{note} host key fingerprint found in DNS\.\r\n")
    shown.expect(r"\(yes/no/\[fingerprint\]\)\? ")
    shown.send("yes\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


@pytest.mark.beyond_ssh
def test_without_dnspython_nothing_is_asked(inside: Inside, ring: KeyRing, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "dns.py").write_text("raise ImportError\n")
    inside.write(*DNS, known=f"good.example {ring.public('ed25519')}\n")
    status, out, told = inside.run("good.example", PYTHONPATH=str(tmp_path / "hidden"), **TRUSTED)
    assert (status, out, len(told)) == (0, "in\n", 1)
    assert "dnspython" in told[0]
