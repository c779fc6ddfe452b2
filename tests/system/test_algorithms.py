"""Each cipher, MAC, key exchange and host key that a server and pyssh both have, with data through it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from tests.system.clients import Client
from tests.system.conftest import Payload, StartServer
from tests.system.servers import Park, Server

MIB = 1 << 20

AEAD = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
CTR = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = (
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
)
SUITES = [(cipher, "hmac-sha2-256") for cipher in AEAD] + [(cipher, mac) for cipher in CTR for mac in MACS]
DROPBEAR_SUITES = [
    ("chacha20-poly1305@openssh.com", "hmac-sha2-256"),
    ("aes128-ctr", "hmac-sha2-256"),
    ("aes256-ctr", "hmac-sha2-256"),
]

KEX = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
)
DROPBEAR_KEX = tuple(name for name in KEX if "group16" not in name and "group18" not in name)

SIGNATURES = {
    "ssh-ed25519": "ed25519",
    "ecdsa-sha2-nistp256": "ecdsa-256",
    "ecdsa-sha2-nistp384": "ecdsa-384",
    "ecdsa-sha2-nistp521": "ecdsa-521",
    "rsa-sha2-256": "rsa-3072",
    "rsa-sha2-512": "rsa-3072",
}


def echo_through(pyssh: Client, payload: Payload, *words: str) -> None:
    """Send the payload to `cat` and see it come back whole."""
    with payload.path.open("rb") as stdin:
        done = pyssh.run(*words, "box", "cat", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).hexdigest() == payload.sha256


def log_since(server: Server, start: int) -> str:
    """What the server has logged after its first `start` characters."""
    return server.log_text()[start:]


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
def test_openssh_cipher_and_mac(
    pyssh: Client, openssh: Server, payload: Callable[[int], Payload], cipher: str, mac: str
) -> None:
    pyssh.aim(openssh)
    start = len(openssh.log_text())
    echo_through(pyssh, payload(8 * MIB), "-c", cipher, "-m", mac)
    shown = "<implicit>" if cipher in AEAD else mac
    for direction in ("client->server", "server->client"):
        assert f"kex: {direction} cipher: {cipher} MAC: {shown} " in log_since(openssh, start)


@pytest.mark.parametrize(("cipher", "mac"), SUITES)
def test_asyncssh_cipher_and_mac(
    pyssh: Client, asyncssh_server: Server, payload: Callable[[int], Payload], cipher: str, mac: str
) -> None:
    pyssh.aim(asyncssh_server)
    echo_through(pyssh, payload(MIB), "-c", cipher, "-m", mac)


@pytest.mark.parametrize(("cipher", "mac"), DROPBEAR_SUITES)
def test_dropbear_cipher_and_mac(
    pyssh: Client, dropbear: Server, payload: Callable[[int], Payload], cipher: str, mac: str
) -> None:
    pyssh.aim(dropbear)
    echo_through(pyssh, payload(8 * MIB), "-c", cipher, "-m", mac)


@pytest.mark.parametrize("kex", KEX)
def test_openssh_key_exchange(pyssh: Client, openssh: Server, kex: str) -> None:
    pyssh.aim(openssh)
    start = len(openssh.log_text())
    done = pyssh.run("-o", f"KexAlgorithms={kex}", "box", "cat", send=b"through")
    assert (done.returncode, done.stdout) == (0, b"through"), done.stderr
    assert f"kex: algorithm: {kex} " in log_since(openssh, start)


@pytest.mark.parametrize("kex", KEX)
def test_asyncssh_key_exchange(pyssh: Client, asyncssh_server: Server, kex: str) -> None:
    pyssh.aim(asyncssh_server)
    done = pyssh.run("-o", f"KexAlgorithms={kex}", "box", "cat", send=b"through")
    assert (done.returncode, done.stdout) == (0, b"through"), done.stderr


@pytest.mark.parametrize("kex", DROPBEAR_KEX)
def test_dropbear_key_exchange(pyssh: Client, dropbear: Server, kex: str) -> None:
    pyssh.aim(dropbear)
    done = pyssh.run("-o", f"KexAlgorithms={kex}", "box", "cat", send=b"through")
    assert (done.returncode, done.stdout) == (0, b"through"), done.stderr


@pytest.mark.beyond_ssh
def test_post_quantum_key_exchange(pyssh: Client, own_park: Park, payload: Callable[[int], Payload]) -> None:
    pyssh.aim(own_park.asyncssh(kex=["mlkem768x25519-sha256"]))
    echo_through(pyssh, payload(MIB))


@pytest.mark.parametrize("signature", SIGNATURES)
def test_openssh_host_key(pyssh: Client, openssh: Server, signature: str) -> None:
    pyssh.aim(openssh)
    start = len(openssh.log_text())
    done = pyssh.run("-o", f"HostKeyAlgorithms={signature}", "box", "true")
    assert done.returncode == 0, done.stderr
    assert f"kex: host key algorithm: {signature} " in log_since(openssh, start)


@pytest.mark.parametrize("signature", ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"])
def test_dropbear_host_key(pyssh: Client, dropbear: Server, signature: str) -> None:
    pyssh.aim(dropbear)
    done = pyssh.run("-o", f"HostKeyAlgorithms={signature}", "box", "true")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("signature", SIGNATURES)
def test_asyncssh_host_key(pyssh: Client, asyncssh_server: Server, signature: str) -> None:
    pyssh.aim(asyncssh_server)
    done = pyssh.run("-o", f"HostKeyAlgorithms={signature}", "box", "true")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", SIGNATURES.values())
def test_known_host_key_type_is_the_one_asked_for(pyssh: Client, openssh: Server, name: str, park: Park) -> None:
    pyssh.aim(openssh)
    pyssh.known_hosts.write_text(f"[127.0.0.1]:{openssh.port} {park.host_keys.public(name)}\n")
    done = pyssh.run("-o", "StrictHostKeyChecking=yes", "box", "true")
    assert done.returncode == 0, done.stderr


def test_compression_with_every_server_that_has_it(
    pyssh: Client, full_server: Server, payload: Callable[[int], Payload]
) -> None:
    pyssh.aim(full_server)
    echo_through(pyssh, payload(4 * MIB), "-C")
    lines = b"the same line over and over\n" * 100000
    assert pyssh.run("-C", "box", "cat", send=lines).stdout == lines


def test_compression_is_agreed_on(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    start = len(openssh.log_text())
    assert pyssh.run("-C", "box", "true").returncode == 0
    assert "compression: zlib@openssh.com" in log_since(openssh, start)


def test_server_that_takes_only_compression_is_served(pyssh: Client, own_park: Park) -> None:
    pyssh.aim(own_park.asyncssh(compression=["zlib@openssh.com"]))
    assert pyssh.run("-C", "box", "cat", send=b"squeezed").stdout == b"squeezed"


@pytest.mark.parametrize(("window", "packet"), [(1, 1), (100, 64), (65536, 512), (1 << 31, 1 << 20)])
def test_windows_and_packet_sizes_of_the_server_are_kept(
    pyssh: Client, own_park: Park, window: int, packet: int
) -> None:
    pyssh.aim(own_park.asyncssh(window=window, max_packet=packet))
    sent = bytes(range(256)) * (4 if window == 1 else 256)
    done = pyssh.run("box", "cat", send=sent)
    assert (done.returncode, done.stdout) == (0, sent)


def test_server_with_one_suite_only_is_met(pyssh: Client, sshd: StartServer) -> None:
    pyssh.aim(
        sshd(
            "Ciphers aes192-ctr",
            "MACs hmac-sha2-512",
            "KexAlgorithms ecdh-sha2-nistp521",
            "HostKeyAlgorithms ecdsa-sha2-nistp384",
        )
    )
    assert pyssh.run("box", "echo met").stdout == b"met\n"


def test_list_of_our_own_is_tried_in_order(pyssh: Client, openssh: Server) -> None:
    pyssh.aim(openssh)
    start = len(openssh.log_text())
    assert pyssh.run("-c", "aes256-ctr,aes128-ctr", "box", "true").returncode == 0
    assert "cipher: aes256-ctr" in log_since(openssh, start)
