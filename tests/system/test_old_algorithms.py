"""Ciphers and MACs that are not what pyssh and a server would choose by themselves: CBC, SHA-1, MD5 and UMAC, with
data through them; and that the weak ones are used only when asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.system.clients import Client
from tests.system.conftest import Payload, StartServer
from tests.system.servers import Park, Server
from tests.system.test_algorithms import MIB, echo_through, log_since

CBC = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
MACS = tuple(
    name
    for plain in (
        "hmac-sha1",
        "hmac-sha1-96",
        "hmac-md5",
        "hmac-md5-96",
        "umac-64@openssh.com",
        "umac-128@openssh.com",
    )
    for name in (plain, f"{plain.partition('@')[0]}-etm@openssh.com")
)
NEW_MACS = ("hmac-sha2-256", "hmac-sha2-512-etm@openssh.com")
SUITES = [
    *((cipher, mac) for cipher in CBC for mac in NEW_MACS),
    *(("aes128-ctr", mac) for mac in MACS),
    *(("aes256-cbc", mac) for mac in MACS),
]
ASYNCSSH_SUITES = [(cipher, mac) for cipher, mac in SUITES if not mac.startswith("umac")]  # those need a C library
LISTS = (f"Ciphers {','.join((*CBC, 'aes128-ctr'))}", f"MACs {','.join((*MACS, *NEW_MACS))}")


@pytest.fixture
def old_openssh(sshd: StartServer) -> Server:
    """One that still takes everything."""
    return sshd(*LISTS)


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
def test_openssh_cipher_and_mac(
    pyssh: Client, old_openssh: Server, payload: Callable[[int], Payload], cipher: str, mac: str
) -> None:
    pyssh.aim(old_openssh)
    start = len(old_openssh.log_text())
    echo_through(pyssh, payload(MIB), "-c", cipher, "-m", mac)
    for direction in ("client->server", "server->client"):
        assert f"kex: {direction} cipher: {cipher} MAC: {mac} " in log_since(old_openssh, start)


def test_asyncssh_cipher_and_mac(pyssh: Client, own_park: Park, payload: Callable[[int], Payload]) -> None:
    ciphers, macs = zip(*ASYNCSSH_SUITES, strict=True)
    server = own_park.asyncssh(ciphers=sorted(set(ciphers)), macs=sorted(set(macs)))
    pyssh.aim(server)
    for cipher, mac in ASYNCSSH_SUITES:
        echo_through(pyssh, payload(MIB), "-c", cipher, "-m", mac)


def test_dropbear_cipher_and_mac(pyssh: Client, dropbear: Server, payload: Callable[[int], Payload]) -> None:
    pyssh.aim(dropbear)
    echo_through(pyssh, payload(8 * MIB), "-c", "aes128-ctr", "-m", "hmac-sha1")


@pytest.mark.parametrize(
    ("cipher", "mac"), [("3des-cbc", "umac-128-etm@openssh.com"), ("aes192-cbc", "umac-64@openssh.com")]
)
def test_rekeying(
    pyssh: Client, old_openssh: Server, payload: Callable[[int], Payload], cipher: str, mac: str
) -> None:
    pyssh.aim(old_openssh)
    start = len(old_openssh.log_text())
    echo_through(pyssh, payload(4 * MIB), "-c", cipher, "-m", mac, "-o", "RekeyLimit=1M")
    assert log_since(old_openssh, start).count(f"kex: client->server cipher: {cipher} MAC: {mac} ") > 3


@pytest.mark.parametrize(
    ("line", "flag", "names"),
    [
        ("Ciphers", "-c", CBC),
        ("MACs", "-m", tuple(name for name in MACS if "md5" in name or "-96" in name)),
    ],
)
def test_weak_names_are_used_only_when_asked_for(
    pyssh: Client, sshd: StartServer, line: str, flag: str, names: tuple[str, ...]
) -> None:
    pyssh.aim(sshd(f"{line} {','.join(names)}"))
    cipher = ("-c", "aes128-ctr") if flag == "-m" else ()  # others need no MAC
    done = pyssh.run(*cipher, "box", "true")
    assert done.returncode == 255
    assert f"no matching {'cipher' if flag == '-c' else 'MAC'} found" in done.stderr.decode()
    for name in names:
        assert pyssh.run(*cipher, flag, name, "box", "echo met").stdout == b"met\n"
    assert pyssh.run(*cipher, "-o", f"{line}=+{names[0]}", "box", "echo met").stdout == b"met\n"


@pytest.mark.parametrize("mac", [name for name in MACS if "md5" not in name and "-96" not in name])
def test_other_macs_are_offered_unasked(pyssh: Client, sshd: StartServer, mac: str) -> None:
    pyssh.aim(sshd(f"MACs {mac}", "Ciphers aes128-ctr"))
    assert pyssh.run("box", "echo met").stdout == b"met\n"
