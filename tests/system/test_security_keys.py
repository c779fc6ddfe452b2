"""Keys of FIDO authenticators, which a library of the tests' own stands for."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyssh_cli.client import security_keys
from pyssh_cli.client.security_keys import PinNeeded, helper_answer
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import KeyFileError
from pyssh_cli.keys.private import load_private_key
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork
from pyssh_cli.terminal.questions import Questions
from pyssh_cli.wire import string, uint32
from tests.system.clients import Client
from tests.system.conftest import Agent, OpenTerminal, StartServer
from tests.system.diagnosed import diagnosis, stages
from tests.system.servers import HERE, Server, program, public_directory
from tests.unit.keygen import certify, make

KINDS = ("ed25519-sk", "ecdsa-sk")
BATCH = ("BatchMode yes", "PreferredAuthentications publickey")
HELPER = Path("/usr/lib/openssh/ssh-sk-helper")

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or not HELPER.exists(), reason="there is no C compiler, or no ssh-sk-helper"
)


@pytest.fixture(scope="module")
def provider() -> Iterator[Path]:
    """The library, built."""
    directory = public_directory()
    path = directory / "sk_provider.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, HERE / "sk_provider.c", "-l:libcrypto.so.3"], check=True)
    yield path
    shutil.rmtree(directory, ignore_errors=True)


def make_security_key(provider: Path, path: Path, kind: str, *options: str) -> str:
    """A new key of the authenticator; its public line."""
    words = [word for option in options for word in ("-O", option)]
    make_it = [program("ssh-keygen"), "-q", "-t", kind, "-w", str(provider), *words, "-N", "", "-C", kind]
    make_it += ["-f", str(path)]
    subprocess.run(make_it, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


@pytest.fixture
def authorized(sshd: StartServer) -> Iterator[tuple[Path, Server]]:
    """A file of authorized keys, and the server that reads it."""
    directory = public_directory()
    path = directory / "authorized"
    path.touch(0o644)
    yield path, sshd(f"AuthorizedKeysFile {path}", "StrictModes no", "PasswordAuthentication no")
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("kind", KINDS)
def test_key_file_signs_by_its_provider(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path, kind: str
) -> None:
    path, server = authorized
    path.write_text(make_security_key(provider, tmp_path / "key", kind) + "\n")
    pyssh.aim(server, *BATCH, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")  # no terminal to ask for a touch on


@pytest.mark.parametrize("kind", KINDS)
def test_touch_is_asked_for(
    pyssh: Client,
    authorized: tuple[Path, Server],
    provider: Path,
    tmp_path: Path,
    terminal: OpenTerminal,
    kind: str,
) -> None:
    path, server = authorized
    path.write_text(make_security_key(provider, tmp_path / "key", kind) + "\n")
    pyssh.aim(server, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    shown = terminal("box", "echo in")
    shown.expect(f"Confirm user presence for key {kind.upper()} SHA256:")
    shown.expect(r"User presence confirmed\r\r?\n")
    shown.expect("in\r\n")
    assert shown.wait() == 0


def test_touch_is_asked_for_by_askpass(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path
) -> None:
    path, server = authorized
    askpass, asked = tmp_path / "askpass", tmp_path / "asked"
    askpass.write_text(f'#!/bin/sh\necho "$SSH_ASKPASS_PROMPT: $1" > {asked}\nexec sleep 600\n')
    askpass.chmod(0o755)
    path.write_text(make_security_key(provider, tmp_path / "key", "ed25519-sk") + "\n")
    pyssh.environment.update(SSH_ASKPASS=str(askpass), SSH_ASKPASS_REQUIRE="force")
    pyssh.aim(server, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    assert pyssh.run("box", "echo in").stdout == b"in\n"
    assert not asked.exists() or asked.read_text().startswith("none: Confirm user presence for key ED25519-SK")


@pytest.mark.parametrize("kind", KINDS)
def test_pin_is_asked_for(
    pyssh: Client,
    sshd: StartServer,
    authorized: tuple[Path, Server],
    provider: Path,
    tmp_path: Path,
    terminal: OpenTerminal,
    kind: str,
) -> None:
    path, server = authorized
    line = make_security_key(provider, tmp_path / "key", kind, "verify-required")
    path.write_text(f"verify-required {line}\n")
    pyssh.aim(server, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    for pin, status in (("1234", 0), ("4321", 255)):
        shown = terminal("box", "echo in")
        shown.expect("Confirm user presence for key ")
        shown.expect(f"Enter PIN for {kind.upper()} key {tmp_path / 'key'}: ")
        assert not shown.echoes()
        shown.send(f"{pin}\n")
        shown.expect("Confirm user presence for key ")
        shown.expect("in\r\n" if status == 0 else "signing failed for ")
        assert shown.wait() == status


@pytest.mark.parametrize("kind", KINDS)
def test_certificate_of_a_security_key(
    pyssh: Client, sshd: StartServer, provider: Path, tmp_path: Path, kind: str
) -> None:
    make(tmp_path / "ca", "ed25519")
    make_security_key(provider, tmp_path / "key", kind)
    server = sshd(f"TrustedUserCAKeys {tmp_path}/ca.pub", "AuthorizedKeysFile none")
    certify(tmp_path / "ca", tmp_path / "key", "-n", server.user)
    pyssh.aim(server, *BATCH, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("added_by", ["ssh-add", "AddKeysToAgent"])
def test_agent_has_the_authenticator_sign(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path, kind: str, added_by: str
) -> None:
    path, server = authorized
    directory = public_directory()
    agent = Agent(directory, "-P", f"{provider.parent}/*")
    try:
        environment = {"SSH_AUTH_SOCK": str(agent.socket)}
        pyssh.environment.update(environment)
        path.write_text(make_security_key(provider, tmp_path / "key", kind) + "\n")
        if added_by == "ssh-add":
            add = [program("ssh-add"), "-q", "-S", str(provider), str(tmp_path / "key")]
            subprocess.run(add, env=environment, check=True)
        else:
            pyssh.aim(
                server, *BATCH, f"SecurityKeyProvider {provider}", "AddKeysToAgent yes", keys=[tmp_path / "key"]
            )
            assert pyssh.run("box", "echo in").stdout == b"in\n"
        pyssh.aim(server, *BATCH, "IdentitiesOnly no", keys=())
        done = pyssh.run("box", "echo in")
        assert done.stdout == b"in\n", done.stderr
    finally:
        agent.stop()
        shutil.rmtree(directory)


def test_without_a_provider_the_key_is_passed_over(
    pyssh: Client, openssh: Server, provider: Path, tmp_path: Path
) -> None:
    make_security_key(provider, tmp_path / "key", "ed25519-sk")
    pyssh.aim(openssh, *BATCH, "SecurityKeyProvider none", keys=[tmp_path / "key", "ed25519"])
    done = pyssh.run("-v", "box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert b"as no SecurityKeyProvider has been specified" in done.stderr


@pytest.mark.parametrize("trouble", ["application=ssh:broken", "no such library", "no helper"])
def test_authenticator_that_fails_is_told_and_passed_over(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path, trouble: str
) -> None:
    path, server = authorized
    options = (trouble,) if "=" in trouble else ()
    line = make_security_key(provider, tmp_path / "key", "ed25519-sk", *options)
    path.write_text(f"{line}\n{pyssh.keys.public('ed25519')}\n")
    library = "/nonexistent.so" if trouble == "no such library" else provider
    if trouble == "no helper":
        pyssh.environment["SSH_SK_HELPER"] = "/nonexistent"
        library = "internal"
    pyssh.aim(server, *BATCH, f"SecurityKeyProvider {library}", keys=[tmp_path / "key", "ed25519"])
    done = pyssh.run("box", "echo in")
    assert done.stdout == b"in\n", done.stderr
    assert done.stderr
    assert b"Traceback" not in done.stderr


def test_ctrl_c_ends_the_waiting_for_a_touch(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path, terminal: OpenTerminal
) -> None:
    path, server = authorized
    path.write_text(make_security_key(provider, tmp_path / "key", "ed25519-sk", "application=ssh:silent") + "\n")
    pyssh.aim(server, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    for helper in (str(HELPER), "/bin/false"):  # by the library where the helper does not do
        pyssh.environment["SSH_SK_HELPER"] = helper
        shown = terminal("box", "echo in")
        shown.expect("Confirm user presence for key ")
        shown.send("\x03")
        assert shown.wait() in {-signal.SIGINT, 255}


@pytest.mark.beyond_ssh
@pytest.mark.parametrize("kind", KINDS)
def test_library_signs_where_there_is_no_helper(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path, kind: str
) -> None:
    path, server = authorized
    path.write_text(make_security_key(provider, tmp_path / "key", kind) + "\n")
    pyssh.environment["SSH_SK_HELPER"] = "/bin/false"
    pyssh.aim(server, *BATCH, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    done = pyssh.run("box", "echo in")
    assert (done.stdout, done.stderr) == (b"in\n", b"")


@pytest.fixture
def signer(provider: Path, monkeypatch: pytest.MonkeyPatch) -> security_keys.Signer:
    """Signs by the library, in a system without a helper."""
    monkeypatch.setattr(security_keys, "HELPERS", ())
    monkeypatch.delenv("SSH_SK_HELPER", raising=False)
    log, settings = Log(), Settings()
    settings.set_first("securitykeyprovider", str(provider), "test")
    settings.set_first("batchmode", True, "test")
    options = resolve(settings, "nowhere.invalid", SystemNetwork(), log, config_file="none")
    return security_keys.Signer(options, log, Questions(log, batch_mode=True))


def test_troubles_of_a_library(signer: security_keys.Signer, provider: Path, tmp_path: Path) -> None:
    for name, options, said in (
        ("good", (), ""),
        ("broken", ("application=ssh:broken",), "did not sign"),
        ("pin", ("verify-required",), "no PIN was given"),
    ):
        make_security_key(provider, tmp_path / name, "ecdsa-sk", *options)
        key = load_private_key((tmp_path / name).read_bytes(), None, name)
        if not said:
            assert key.public.verify(key.public.type, b"data", signer.sign(name, key, key.public.type, b"data"))
            continue
        with pytest.raises(KeyFileError, match=said):
            signer.sign(name, key, key.public.type, b"data")


def test_answers_of_a_helper() -> None:
    def answer(body: bytes) -> bytes:
        return string(b"\x05" + body)

    assert helper_answer(answer(uint32(1) + string(b"signature"))) == b"signature"
    with pytest.raises(PinNeeded):
        helper_answer(answer(uint32(0) + uint32(43)))
    with pytest.raises(KeyFileError, match="device not found"):
        helper_answer(answer(uint32(0) + uint32(60)))
    good = answer(uint32(1) + string(b"signature"))
    bad = [good[:end] for end in range(len(good))]
    bad += [good + b"x", string(b"\x06" + good[5:]), answer(uint32(7)), answer(uint32(0)), b"\xff" * 40]
    for reply in bad:
        with pytest.raises(KeyFileError):
            helper_answer(reply)


# What --diagnose finds -------------------------------------------------------------------------------------------


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(("options", "needs", "asks"), [
    ((), "touch", "for a touch of "), (("verify-required",), "pin", "for the PIN of "),
])  # fmt: skip
def test_diagnosis_signs_with_none(
    pyssh: Client,
    authorized: tuple[Path, Server],
    provider: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    needs: str,
    asks: str,
) -> None:
    """A key that never ends to wait for its touch is not even asked."""
    path, server = authorized
    application = "application=ssh:silent"
    path.write_text(make_security_key(provider, tmp_path / "key", "ed25519-sk", application, *options) + "\n")
    pyssh.aim(server, f"SecurityKeyProvider {provider}", keys=[tmp_path / "key"])
    found = diagnosis(pyssh, "box")
    (identity,) = stages(found)["authentication"]["facts"]["identities"]
    assert (identity["needs"], identity["answer"], identity["problem"]) == (needs, "accepted", None)
    assert (found["login"], found["asks"]) == ("asks", [f"{asks}{tmp_path / 'key'}"])
    batch = diagnosis(pyssh, "-oBatchMode=yes", "box")
    assert batch["login"] == ("asks" if needs == "touch" else "no")


@pytest.mark.beyond_ssh
@pytest.mark.parametrize(("library", "said"), [
    ("/nonexistent.so", "the library /nonexistent.so of SecurityKeyProvider is not there"),
    ("internal", "the helper /nonexistent of SSH_SK_HELPER cannot be run"),
    ("none", "set SecurityKeyProvider (internal, or a library) for "),
])  # fmt: skip
def test_diagnosis_without_a_provider(
    pyssh: Client, authorized: tuple[Path, Server], provider: Path, tmp_path: Path, library: str, said: str
) -> None:
    path, server = authorized
    path.write_text(make_security_key(provider, tmp_path / "key", "ed25519-sk") + "\n")
    pyssh.environment["SSH_SK_HELPER"] = "/nonexistent"
    pyssh.aim(server, f"SecurityKeyProvider {library}", keys=[tmp_path / "key"])
    found = diagnosis(pyssh, "box")
    assert (found["login"], said in found["advice"]) == ("no", True)
    assert pyssh.run("box", "true").returncode == 255
