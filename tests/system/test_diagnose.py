"""`--diagnose`: what it finds at real servers, what it says of it, and that it leaves everything alone."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.diagnosed import contents, diagnosis, failed, identities, report, stages
from tests.system.scripted_server import ScriptedServer
from tests.system.servers import PASSPHRASE, KeyRing, Park, Server, fingerprint
from tests.unit.keygen import certify, keygen

pytestmark = pytest.mark.beyond_ssh

StartScripted = Callable[..., ScriptedServer]

# Servers as they should be ---------------------------------------------------------------------------------------


def test_each_kind_of_server(pyssh: Client, server: Server) -> None:
    pyssh.aim(server)
    before = server.log_text()
    found = diagnosis(pyssh, "box")
    assert (found["login"], found["possible"], found["asks"]) == ("yes", True, [])
    assert list(stages(found)) == [
        "names", "reach", "version", "key_exchange", "host_key", "authentication", "round_trip",
    ]  # fmt: skip
    assert all(stage["status"] == "ok" for stage in stages(found).values())
    host_key = stages(found)["host_key"]["facts"]
    assert host_key["fingerprint"] in {fingerprint(line) for line in server.host_keys}
    assert (host_key["known"], host_key["file"]) == ("known", str(pyssh.known_hosts))
    assert pyssh.known_hosts.read_text().splitlines()[host_key["line"] - 1].split()[1] == host_key["algorithm"]
    assert identities(found) == [("ed25519", "accepted")]
    assert "publickey" in stages(found)["authentication"]["facts"]["methods"]
    said = server.log_text()[len(before) :]
    assert not re.search(r"Accepted publickey|auth succeeded", said)  # nobody has logged in


def test_what_a_person_reads(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    told = report(pyssh, "box")
    assert told.status == 0
    for expected in (
        f"{openssh.user}@box (127.0.0.1 port {openssh.port})",
        "ok TCP            127.0.0.1",
        "ok version        OpenSSH_",
        "strict key exchange",
        "ok host key       ED25519, known:",
        "offered: publickey, password",
        "accepted: ",
        fingerprint(pyssh.keys.public("ed25519")),
    ):
        assert expected in told.text
    assert told.verdict == f"Yes: a login would work, with {pyssh.keys.path('ed25519')}."


def test_old_algorithms_and_what_to_change(pyssh: Client, sshd: StartServer) -> None:
    server = sshd(
        "KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc", "MACs hmac-sha1",
        "HostKeyAlgorithms ssh-rsa", host_keys=("rsa-3072",),
    )  # fmt: skip
    lines = (
        "KexAlgorithms +diffie-hellman-group14-sha1", "Ciphers +aes128-cbc", "HostKeyAlgorithms +ssh-rsa",
    )  # fmt: skip
    pyssh.aim(server, *lines)
    found = diagnosis(pyssh, "box")
    assert found["login"] == "yes"
    weak = [each["change"].split()[0] for each in found["weaknesses"] if each["severity"] == "weak"]
    assert weak[:3] == ["KexAlgorithms", "Ciphers", "MACs"]
    assert any("SHA-1 (ssh-rsa)" in each["what"] for each in found["weaknesses"])
    assert "Weak:\n" in report(pyssh, "box").text
    # What it says to change on the server does away with all of it.
    changes = [each["change"] for each in found["weaknesses"][:3]]
    better = sshd(*changes, host_keys=("ed25519",))
    pyssh.aim(better)
    assert [each for each in diagnosis(pyssh, "box")["weaknesses"] if each["severity"] == "weak"] == []


def test_nothing_in_common_and_what_helps(pyssh: Client, sshd: StartServer) -> None:
    server = sshd("KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc")
    pyssh.aim(server)
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == "key_exchange"
    assert failed(found)["facts"]["missing"] == ["kex", "ciphers_c2s", "ciphers_s2c"]
    assert diagnosis(pyssh, *found["command"].split(), "box")["login"] == "yes"


def test_it_is_our_lists_that_are_old(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes128-cbc")
    found = diagnosis(pyssh, "box")
    assert failed(found)["name"] == "key_exchange"
    assert found["command"] is None
    assert failed(found)["advice"].startswith("take KexAlgorithms and Ciphers out of the configuration")


# The host's key --------------------------------------------------------------------------------------------------


def test_a_host_that_is_not_known(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, trust=False)
    found = diagnosis(pyssh, "box")
    assert (found["login"], found["asks"]) == ("asks", ["to confirm the host key"])
    host_key = stages(found)["host_key"]["facts"]
    assert (host_key["known"], host_key["outcome"], host_key["file"]) == ("unknown", "asked", None)
    assert not pyssh.known_hosts.exists()
    added = stages(diagnosis(pyssh, "-oStrictHostKeyChecking=accept-new", "box"))["host_key"]["facts"]
    assert (added["known"], added["outcome"]) == ("unknown", "added")
    assert failed(diagnosis(pyssh, "-oStrictHostKeyChecking=yes", "box"))["name"] == "host_key"
    assert failed(diagnosis(pyssh, "-oBatchMode=yes", "box"))["name"] == "host_key"
    assert not pyssh.known_hosts.exists()


def test_a_host_whose_key_has_changed(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    pyssh.aim(openssh)
    other = f"[127.0.0.1]:{openssh.port} {strange_keys.public('ed25519')}\n"
    pyssh.known_hosts.write_text(f"# a comment\n{other}")
    found = diagnosis(pyssh, "box")
    host_key = failed(found)["facts"]
    assert (host_key["known"], host_key["line"], host_key["outcome"]) == ("changed", 2, "refused")
    told = report(pyssh, "box")
    assert told.status == 255
    assert f"{pyssh.known_hosts}:2 has another" in told.verdict
    # What it says to do makes it known no more.
    subprocess.run(["sh", "-c", found["command"]], check=True, capture_output=True)
    (pyssh.known_hosts.with_suffix(".old")).unlink()
    assert diagnosis(pyssh, "box")["login"] == "asks"


def test_a_changed_key_that_is_gone_on_with(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    pyssh.aim(openssh, "StrictHostKeyChecking no", keys=[strange_keys.path("ed25519")])
    pyssh.known_hosts.write_text(f"[127.0.0.1]:{openssh.port} {strange_keys.public('ed25519')}\n")
    found = diagnosis(pyssh, "box")
    assert stages(found)["host_key"]["status"] == "warning"
    assert found["login"] == "no"  # no password is sent to such a host


def test_a_host_whose_key_is_revoked(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    lines = [f"@revoked [127.0.0.1]:{openssh.port} {key}\n" for key in openssh.host_keys]
    pyssh.known_hosts.write_text("".join(lines))
    found = diagnosis(pyssh, "box")
    assert failed(found)["facts"]["known"] == "revoked"
    assert "do not connect" in found["advice"]


# Who we are ------------------------------------------------------------------------------------------------------


def test_no_key_is_taken(pyssh: Client, openssh: Server, strange_keys: KeyRing) -> None:
    names = ("ed25519", "ecdsa-256")
    pyssh.aim(openssh, keys=[strange_keys.path(name) for name in names])
    found = diagnosis(pyssh, "box")
    assert identities(found) == [(name, "refused") for name in names]
    assert (found["login"], found["asks"]) == ("perhaps", [f"for the password of {openssh.user}"])
    assert found["command"] == f"ssh-copy-id -p {openssh.port} {openssh.user}@box"
    batch = diagnosis(pyssh, "-oBatchMode=yes", "box")
    assert (batch["login"], batch["possible"]) == ("no", False)


def test_only_a_password(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(sshd("PubkeyAuthentication no"))
    found = diagnosis(pyssh, "box")
    assert stages(found)["authentication"]["facts"]["methods"] == ["password"]
    assert (found["login"], identities(found)) == ("perhaps", [("ed25519", None)])
    told = report(pyssh, "-oPasswordAuthentication=no", "box")
    assert told.status == 255
    assert "switched off here" in told.verdict


def test_a_server_with_little_patience(pyssh: Client, sshd: StartServer, strange_keys: KeyRing) -> None:
    server = sshd("MaxAuthTries 1")
    strange = [strange_keys.path(name) for name in ("ed25519", "ecdsa-256")]
    pyssh.aim(server, keys=[*strange, "rsa-3072"])
    found = diagnosis(pyssh, "box")
    assert identities(found) == [("ed25519", "refused"), ("ecdsa-256", "refused"), ("rsa-3072", "accepted")]
    said = stages(found)["authentication"]["facts"]
    assert (said["limit"], [each["within_limit"] for each in said["identities"]][-1]) == (1, False)
    assert found["login"] == "no"
    assert pyssh.run("-oBatchMode=yes", "box", "true").returncode == 255  # and that is so
    # With what it says to add, it would work, and does.
    pyssh.aim(server, keys=[])
    pyssh.config.write_text(pyssh.config.read_text().replace("IdentityFile none", ""))
    assert diagnosis(pyssh, *found["command"].split(), "box")["login"] == "yes"
    assert pyssh.run(*found["command"].split(), "box", "true").returncode == 0


@pytest.mark.parametrize("lines", [
    (), ("MaxAuthTries 2",), ("MaxAuthTries 3",), ("PubkeyAcceptedAlgorithms rsa-sha2-256",),
    ("PubkeyAuthentication no",), ("AllowUsers somebody",), ("KexAlgorithms diffie-hellman-group14-sha1",),
], ids=lambda lines: " ".join(lines))  # fmt: skip
def test_what_is_foretold_comes_true(
    pyssh: Client, sshd: StartServer, strange_keys: KeyRing, lines: tuple[str, ...]
) -> None:
    server = sshd(*lines)
    locked = pyssh.keys.variant("ed25519", "ed25519-foretold", passphrase=PASSPHRASE)
    strange = strange_keys.path("ecdsa-256")
    attempts: list[list[str | Path]] = [
        [strange],
        [strange, strange_keys.path("ed25519"), "rsa-3072"],
        [locked],
        [locked, "rsa-3072"],
    ]
    for keys in attempts:
        pyssh.aim(server, "BatchMode yes", keys=keys)
        found = diagnosis(pyssh, "box")
        assert found["login"] in {"yes", "no"}
        status = pyssh.run("box", "true").returncode
        assert (found["login"], status) in {("yes", 0), ("no", 255)}, (keys, found["summary"])


def test_the_first_key_is_in_time(pyssh: Client, sshd: StartServer, strange_keys: KeyRing) -> None:
    pyssh.aim(sshd("MaxAuthTries 1"), keys=["ed25519", strange_keys.path("ecdsa-256")])
    found = diagnosis(pyssh, "box")
    assert (found["login"], identities(found)[0]) == ("yes", ("ed25519", "accepted"))


def test_an_encrypted_key(pyssh: Client, openssh: Server) -> None:
    path = pyssh.keys.variant("ed25519", "ed25519-diagnosed", passphrase=PASSPHRASE)
    pyssh.aim(openssh, keys=[path])
    found = diagnosis(pyssh, "box")
    assert (found["login"], found["asks"]) == ("asks", [f"for the passphrase of {path}"])
    assert "(passphrase needed)" in " ".join(report(pyssh, "box").text.split())
    assert (
        diagnosis(pyssh, "-oBatchMode=yes", "-oPasswordAuthentication=no", "box")["command"] == f"ssh-add {path}"
    )


def test_a_key_file_that_others_may_read(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.write_bytes(pyssh.keys.path("ed25519").read_bytes())
    path.chmod(0o644)
    pyssh.aim(openssh, "PasswordAuthentication no", keys=[path])
    found = diagnosis(pyssh, "box")
    assert found["login"] == "no"
    assert "bad permissions (chmod 600 " in found["advice"]


def test_a_key_of_the_agents_that_comes_too_late(
    pyssh: Client, sshd: StartServer, agent: Agent, strange_keys: KeyRing
) -> None:
    agent.add(strange_keys.path("ed25519"), pyssh.keys.path("rsa-3072"))
    pyssh.aim(sshd("MaxAuthTries 1"))
    found = diagnosis(pyssh, "-oIdentitiesOnly=no", "-oIdentityFile=none", "box")
    assert found["login"] == "no"
    assert "its public half as IdentityFile" in found["advice"]
    assert found["command"] is None


def test_the_agents_keys(pyssh: Client, openssh: Server, agent: Agent, strange_keys: KeyRing) -> None:
    agent.add(strange_keys.path("ecdsa-256"), pyssh.keys.path("ed25519"))
    pyssh.aim(openssh, "IdentitiesOnly no", keys=[])
    found = diagnosis(pyssh, "box")
    assert found["stages"]["agent"]["facts"] == {"path": str(agent.socket), "keys": 2}
    listed = stages(found)["authentication"]["facts"]["identities"]
    assert [(each["source"], each["answer"]) for each in listed] == [("agent", "refused"), ("agent", "accepted")]
    assert "from the agent" in found["summary"]


def test_an_agent_that_is_gone(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh, "IdentityAgent /nonexistent/agent")
    found = diagnosis(pyssh, "box")
    assert (found["stages"]["agent"]["status"], found["login"]) == ("warning", "yes")
    assert report(pyssh, "box").text.count("/nonexistent/agent") == 1


def test_keys_that_identities_only_leaves_out(pyssh: Client, openssh: Server, agent: Agent) -> None:
    agent.add(pyssh.keys.path("ed25519"), pyssh.keys.path("ecdsa-256"))
    pyssh.aim(openssh, "PasswordAuthentication no", keys=())
    found = diagnosis(pyssh, "box")
    assert (found["login"], "set IdentitiesOnly no" in found["advice"]) == ("no", True)
    left_out = "2 of the agent's keys: IdentitiesOnly leaves out what no IdentityFile names"
    assert stages(found)["authentication"]["facts"]["skipped"] == [left_out]
    assert diagnosis(pyssh, "-oIdentitiesOnly=no", "-oIdentityFile=none", "box")["login"] == "yes"


def test_an_agent_that_is_empty_or_locked(pyssh: Client, openssh: Server, agent: Agent) -> None:
    pyssh.aim(openssh, "IdentitiesOnly no", "PasswordAuthentication no", keys=())
    for locked in (False, True):
        if locked:
            agent.add(pyssh.keys.path("ed25519"))
            assert diagnosis(pyssh, "box")["login"] == "yes"
            agent.lock()
        found = diagnosis(pyssh, "box")
        assert (found["stages"]["agent"]["facts"]["keys"], found["login"]) == (0, "no")
        assert "ssh-add -X unlocks an agent" in found["advice"]
        assert f"0 keys at {agent.socket} (it is empty, or locked)" in report(pyssh, "box").text


def test_an_agent_that_hangs_up_is_asked_once(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    asked: list[bytes] = []
    path = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                with contextlib.suppress(OSError), listener.accept()[0] as peer:
                    asked.append(peer.recv(1 << 16))
                    if asked[-1] == b"":
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        pyssh.aim(openssh, "PasswordAuthentication no", f"IdentityAgent {path}", keys=())
        found = diagnosis(pyssh, "box")
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(path))
        thread.join()
    assert asked == [bytes.fromhex("000000010b"), b""]
    assert (found["stages"]["agent"]["status"], found["login"]) == ("warning", "no")
    assert found["stages"]["agent"]["advice"].startswith("start that agent anew")
    assert found["advice"].endswith("or start the agent anew")


def test_key_files_that_are_none(pyssh: Client, openssh: Server, strange_keys: KeyRing, tmp_path: Path) -> None:
    """Of a key whose two halves differ, the server is asked about one, and the other would sign."""
    pair = tmp_path / "pair"
    pair.write_bytes(pyssh.keys.path("ed25519").read_bytes())
    pair.chmod(0o600)
    Path(f"{pair}.pub").write_text(strange_keys.public("ed25519"))
    (tmp_path / "words").write_text("no key\n")
    (tmp_path / "words").chmod(0o600)
    for name, said in (
        ("pair", "contents do not match public"), ("words", "it does not hold a private key"),
        ("gone", f"there is no {tmp_path / 'gone'}"),
    ):  # fmt: skip
        pyssh.aim(openssh, "PasswordAuthentication no", keys=[tmp_path / name])
        found = diagnosis(pyssh, "box")
        assert (found["login"], said in found["advice"]) == ("no", True)
        assert pyssh.run("box", "true").returncode == 255


def test_this_hosts_own_word(pyssh: Client, sshd: StartServer) -> None:
    """Whether this host may vouch for us is its own affair; what is foretold of it is not both."""
    pyssh.aim(sshd("HostbasedAuthentication yes", "PubkeyAuthentication no"), "HostbasedAuthentication yes")
    found = diagnosis(pyssh, "-oPasswordAuthentication=no", "box")
    (voucher,) = stages(found)["authentication"]["facts"]["vouchers"]
    assert voucher["method"] == "hostbased"
    if voucher["problem"]:
        assert (found["login"], voucher["by"]) == ("no", None)
        assert found["advice"].startswith(voucher["problem"])
    else:
        assert (found["login"], voucher["by"]) == ("perhaps", "this host's own key")


# Certificates of ours --------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path, sshd: StartServer, pyssh: Client) -> tuple[Path, Server]:
    """A key that only its certificate lets in, and the sshd that trusts the authority beside it."""
    for name in ("ca", "id"):
        keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    server = sshd(f"TrustedUserCAKeys {tmp_path / 'ca.pub'}", "PasswordAuthentication no")
    pyssh.aim(server, keys=[tmp_path / "id"])
    return tmp_path, server


def test_a_certificate_that_is_taken(pyssh: Client, certified: tuple[Path, Server]) -> None:
    directory, server = certified
    certify(directory / "ca", directory / "id", "-n", f"{server.user},ann")
    by_file = ("-oIdentityFile=none", f"-oCertificateFile={directory / 'named.pub'}", "-i", str(directory / "id"))
    for words in ((), by_file):
        if words:
            (directory / "id-cert.pub").rename(directory / "named.pub")
        found = diagnosis(pyssh, *words, "box")
        assert (found["login"], "with the certificate of" in found["summary"]) == ("yes", True)
        taken = [
            each for each in stages(found)["authentication"]["facts"]["identities"] if each["answer"] == "accepted"
        ]
        assert [each["source"] for each in taken] == ["certificate"]
        assert taken[0]["certificate"].startswith(f"for {server.user}, ann, valid forever, by ED25519 SHA256:")
        assert pyssh.run(*words, "box", "echo in").stdout == b"in\n"


@pytest.mark.parametrize(("options", "advice"), [
    (("-V", "20200101:20200102"), "id-cert.pub renewed, unless the clock here is wrong"),
    (("-V", "20900101:20910102"), "set the clock here, if it is wrong"),
    (("-h",), "signed as a user's"),
    (("-n", "ann"), "log in as one of those the certificate is for"),
    (("-n", "USER", "-O", "source-address=192.0.2.1"), "this address not allowed"),
    (("-n", "USER", "-V", "-1h:+1m", "-O", "source-address=192.0.2.1"), "set the clocks of both sides"),
])  # fmt: skip
def test_a_certificate_that_is_not_taken(
    pyssh: Client, certified: tuple[Path, Server], options: tuple[str, ...], advice: str
) -> None:
    directory, server = certified
    certify(directory / "ca", directory / "id", *(word.replace("USER", server.user) for word in options))
    found = diagnosis(pyssh, "box")
    assert found["login"] == "no"
    assert advice in found["advice"]
    assert pyssh.run("box", "true").returncode == 255


def test_a_certificate_whose_key_is_not_there(pyssh: Client, certified: tuple[Path, Server]) -> None:
    directory, server = certified
    certify(directory / "ca", directory / "id", "-n", server.user)
    (directory / "id").unlink()
    found = diagnosis(pyssh, "box")
    assert (found["login"], found["advice"]) == (
        "no", f"put the private key of {directory / 'id'} beside it, or into the agent"
    )  # fmt: skip
    assert len(stages(found)["authentication"]["facts"]["skipped"]) == 1


def test_a_server_that_lets_anybody_in(pyssh: Client, scripted: StartScripted) -> None:
    server = scripted(lambda talk: (talk.let_in(), talk.until_gone())[1], stage="login")
    pyssh.aim_at_port(server.port)
    pyssh.known_hosts.write_text(server.known_hosts_line)
    found = diagnosis(pyssh, "box")
    assert stages(found)["authentication"]["facts"]["open"] is True
    assert found["login"] == "yes"


# Nothing is asked, and nothing else happens ----------------------------------------------------------------------


def test_nothing_is_asked(
    pyssh: Client, openssh: Server, terminal: OpenTerminal, strange_keys: KeyRing, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho yes\n")
    program.chmod(0o755)
    locked = pyssh.keys.variant("ed25519", "ed25519-unasked", passphrase=PASSPHRASE)
    pyssh.aim(openssh, keys=[strange_keys.path("ecdsa-256"), locked], trust=False)
    for required in ("never", "force"):
        pyssh.environment.update(SSH_ASKPASS=str(program), SSH_ASKPASS_REQUIRE=required, DISPLAY=":0")
        before = contents(pyssh.home)
        shown = terminal("--diagnose", "box")
        modes = shown.modes()
        assert shown.wait() == 0
        assert (shown.modes(), contents(pyssh.home)) == (modes, before)
        assert b"\x1b[" in shown.seen  # it is coloured there
        for question in (b"(yes/no", b"Enter passphrase", b"assword: "):
            assert question not in shown.seen
        assert not asked.exists()


def test_no_colour(pyssh: Client, openssh: Server, terminal: OpenTerminal) -> None:
    pyssh.aim(openssh)
    pyssh.environment["NO_COLOR"] = "1"
    shown = terminal("--diagnose", "box")
    assert shown.wait() == 0
    assert b"\x1b" not in shown.seen


def test_the_banner_is_shown_and_is_clean(pyssh: Client, own_park: Park) -> None:
    server = own_park.asyncssh(banner="Hello\x1b[31m\nto all")
    pyssh.aim(server)
    assert stages(diagnosis(pyssh, "box"))["authentication"]["facts"]["banner"] == "Hello\\033[31m\nto all"
    assert "its banner: Hello\\033[31m ... (1 lines more)" in report(pyssh, "box").text


def test_a_broken_configuration(pyssh: Client) -> None:
    pyssh.aim_at_port(1)
    pyssh.config.write_text("Host *\n    Bogus \x1b[31m\n")
    found = diagnosis(pyssh, "box")
    assert (found["login"], found["hops"]) == ("no", [])
    assert "line 2: Bad configuration option: bogus" in failed(found)["problem"]
    assert report(pyssh, "box").status == 255


def test_files_that_cannot_be_read(pyssh: Client, openssh: Server, tmp_path: Path) -> None:
    pyssh.aim(openssh)
    missing = diagnosis(pyssh, "-F", "/nonexistent", "box")
    assert failed(missing)["name"] == "configuration"
    assert "-F" in missing["advice"]
    (tmp_path / "included").symlink_to("/nonexistent")  # as good as one that is another's, even for root
    known = pyssh.known_hosts.read_text()
    pyssh.known_hosts.write_text(known.replace(" ssh-", " ssh-nonsense-").replace(" ecdsa-", " ecdsa-nonsense-"))
    pyssh.config.write_text(f"Include {tmp_path}/included\n{pyssh.config.read_text()}")
    found = diagnosis(pyssh, "box")
    assert found["stages"]["configuration"]["status"] == "warning"
    assert f"{tmp_path}/included is there" in found["stages"]["configuration"]["problem"]
    host_key = stages(found)["host_key"]
    assert (host_key["status"], found["login"]) == ("warning", "asks")
    assert f"{pyssh.known_hosts}:1: parse error" in host_key["problem"]


@pytest.mark.parametrize(("words", "said"), [
    (("--diagnose",), b"usage: "),
    (("--json", "box"), b"--json goes with --diagnose"),
])  # fmt: skip
def test_usage(pyssh: Client, words: Sequence[str], said: bytes) -> None:
    pyssh.aim_at_port(1)
    done = pyssh.run(*words)
    assert (done.returncode, done.stdout) == (255, b"")
    assert said in done.stderr


def test_a_reader_that_has_had_enough(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = pyssh.run("--diagnose", "box", stdout=writer)
    finally:
        os.close(writer)
    assert done.stderr == b""


@pytest.mark.parametrize("words", [("-G", "box"), ("box", "true")], ids=["dump", "login"])
def test_other_uses_load_none_of_it(pyssh: Client, openssh: Server, words: Sequence[str]) -> None:
    pyssh.aim(openssh)
    argv = [sys.executable, "-X", "importtime", "-m", "pyssh_cli", *pyssh.argv[3:], *words]
    done = subprocess.run(argv, env=pyssh.environment, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    loaded = done.stderr.decode()
    assert "pyssh_cli.cli.flags" in loaded
    assert not re.search(r"diagnose|terminal\.colour|\bjson\b|textwrap", loaded)
