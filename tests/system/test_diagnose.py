"""`--diagnose`: what it finds at real servers, what it says of it, and that it leaves everything alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.system.clients import Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.diagnosed import contents, diagnosis, failed, identities, report, stages
from tests.system.scripted_server import ScriptedServer
from tests.system.servers import PASSPHRASE, KeyRing, Park, Server, fingerprint

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
