"""What `--diagnose` calls weak, and which side it tells to change what."""

from __future__ import annotations

from typing import Any

import pytest

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.software import why_old
from pyssh_cli.client.diagnose.weaknesses import weaknesses

OPENSSH = "OpenSSH_9.9"
GOOD_KEX = "mlkem768x25519-sha256"
GOOD_CIPHER = "aes128-gcm@openssh.com"
GOOD_MAC = "hmac-sha2-256-etm@openssh.com"


def stage(name: str, found: object) -> f.Stage:
    return f.Stage(name, "ok", 1.0, None, None, None, found)


def lists(kex: str = GOOD_KEX, cipher: str = GOOD_CIPHER, mac: str = GOOD_MAC) -> f.Lists:
    """One side's offer; names with commas between."""
    kexes, ciphers, macs = (tuple(names.split(",")) for names in (kex, cipher, mac))
    return f.Lists(kexes, ("ssh-ed25519",), ciphers, ciphers, macs, macs, ("none",), ("none",))


def hop(
    software: str = OPENSSH,
    *,
    kex: str = GOOD_KEX,
    cipher: str = GOOD_CIPHER,
    mac: str | None = None,
    server: f.Lists | None = None,
    client: f.Lists | None = None,
    strict: bool = True,
    host_key: tuple[str, int, str] = ("ED25519", 256, "ssh-ed25519"),
    identities: tuple[f.IdentityFacts, ...] = (),
) -> f.Hop:
    """A hop on which these were agreed on; the server has only those if `server` does not say more."""
    agreed = f.Agreed(kex, host_key[2], cipher, cipher, mac, mac, "none", "none")
    theirs = server or lists(kex, cipher, mac or GOOD_MAC)
    exchange = f.KeyExchange(
        client or lists(), theirs, agreed, (), post_quantum=kex.startswith(("mlkem", "sntrup")), strict=strict
    )
    kind, bits, algorithm = host_key
    key = f.HostKey(kind, bits, algorithm, "SHA256:x", "known", "f", 1, None, (), "accepted", None, ())
    login = f.Authentication(("publickey",), False, None, None, (), identities, (), None, 1)
    stages = (
        stage("version", f.Version(f"SSH-2.0-{software}", software, why_old(f"SSH-2.0-{software}"))),
        stage("key_exchange", exchange),
        stage("host_key", key),
        stage("authentication", login),
    )
    return f.Hop("destination", "box", "ann", "box.test", 22, stages)


def identity(kind: str, bits: int, algorithm: str, answer: str | None = "accepted") -> f.IdentityFacts:
    return f.IdentityFacts(
        "k", "file", True, True, kind, bits, "SHA256:x", "nothing", None, algorithm, answer, True
    )


def told(*hops: f.Hop) -> list[tuple[str, str, str]]:
    return [(each.severity, each.where, each.change) for each in weaknesses(hops)]


def test_nothing_to_say_of_a_good_connection() -> None:
    assert told(hop()) == []
    assert told(hop(mac=GOOD_MAC, cipher="aes128-ctr")) == []


def test_nothing_is_said_of_what_was_not_reached() -> None:
    assert weaknesses((hop()._replace(stages=()),)) == ()
    said = f.KeyExchange(lists(), lists("a-cbc"), None, ("kex",), False, False)
    assert weaknesses((hop()._replace(stages=(stage("key_exchange", said),)),)) == ()


@pytest.mark.parametrize(("software", "change"), [
    ("OpenSSH_9.9p1 Debian-1", "KexAlgorithms ^mlkem768x25519-sha256"),
    ("OpenSSH_9.2", "KexAlgorithms ^sntrup761x25519-sha512@openssh.com"),
    ("OpenSSH_8.4", "update to OpenSSH 9.9 or later"),
    ("dropbear_2022.83", "update to Dropbear 2025.87 or later"),
    ("Cisco-1.25", "update its software"),
])  # fmt: skip
def test_a_key_exchange_that_is_not_post_quantum(software: str, change: str) -> None:
    assert ("weak", "server", change) in told(hop(software, kex="curve25519-sha256"))


def test_a_key_exchange_that_only_we_do_not_want() -> None:
    found = hop(kex="curve25519-sha256", server=lists(f"curve25519-sha256,{GOOD_KEX}"))
    assert told(found) == [("weak", "client", f"KexAlgorithms ^{GOOD_KEX}")]


@pytest.mark.parametrize("kex", ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"])
def test_sha1_in_the_key_exchange(kex: str) -> None:
    (found,) = weaknesses((hop(kex=kex),))
    assert "SHA-1" in found.what
    assert ("1024 bits" in found.what) == ("group1-" in kex)


@pytest.mark.parametrize(("agreed", "said"), [
    ({"cipher": "aes128-cbc", "mac": GOOD_MAC}, "CBC"),
    ({"cipher": "3des-cbc", "mac": GOOD_MAC}, "3DES"),
    ({"cipher": "aes128-ctr", "mac": "hmac-md5"}, "MD5"),
    ({"cipher": "aes128-ctr", "mac": "hmac-sha1-96"}, "96 bits"),
    ({"cipher": "aes128-ctr", "mac": "hmac-sha1"}, "SHA-1"),
    ({"cipher": "aes128-ctr", "mac": "umac-64@openssh.com"}, "64 bits"),
    ({"cipher": "aes128-cbc", "mac": "hmac-sha2-256"}, "only after decrypting"),
])  # fmt: skip
def test_weak_ciphers_and_macs(agreed: dict[str, Any], said: str) -> None:
    found = [each for each in weaknesses((hop(**agreed),)) if said in each.what]
    assert [each.severity for each in found] == ["weak"]
    assert found[0].where == "server"
    keyword = "Ciphers" if "cipher" in found[0].what else "MACs"
    assert found[0].change.startswith(f"{keyword} ")
    assert agreed["cipher" if keyword == "Ciphers" else "mac"] not in found[0].change.split(" ")[1].split(",")


def test_a_weak_cipher_that_our_own_list_put_first() -> None:
    both = lists(cipher=f"aes128-cbc,{GOOD_CIPHER}")
    found = hop(cipher="aes128-cbc", mac=GOOD_MAC, client=both, server=both)
    assert ("weak", "client", "Ciphers -aes128-cbc") in told(found)


def test_other_software_is_given_no_line_of_sshd_config() -> None:
    found = told(
        hop("dropbear_2024.86", cipher="aes128-cbc", mac=GOOD_MAC, server=lists("x", "aes128-cbc,3des-cbc"))
    )
    changes = [change for _, where, change in found if where == "server"]
    assert changes
    assert not [change for change in changes if change.startswith(("Ciphers", "MACs", "KexAlgorithms"))]


@pytest.mark.parametrize(("cipher", "mac", "severity"), [
    ("chacha20-poly1305@openssh.com", None, "weak"),
    ("aes128-cbc", "hmac-sha2-256-etm@openssh.com", "weak"),
    ("aes128-ctr", GOOD_MAC, "note"),
    (GOOD_CIPHER, None, "note"),
])  # fmt: skip
def test_terrapin(cipher: str, mac: str | None, severity: str) -> None:
    found = weaknesses((hop(cipher=cipher, mac=mac, strict=False),))
    (about,) = [each for each in found if "Terrapin" in each.what]
    assert (about.severity, about.change) == (severity, "update to OpenSSH 9.6 or later")


def test_terrapin_can_be_kept_out_from_here() -> None:
    server = lists(cipher="chacha20-poly1305@openssh.com,aes128-ctr")
    found = told(hop(cipher="chacha20-poly1305@openssh.com", server=server, strict=False))
    assert ("weak", "client", "Ciphers -chacha20-poly1305@openssh.com") in found


def test_host_keys() -> None:
    assert told(hop(host_key=("RSA", 3072, "rsa-sha2-512"))) == []
    sha1 = weaknesses((hop(host_key=("RSA", 3072, "ssh-rsa")),))
    assert ["SHA-1" in each.what for each in sha1] == [True]
    small = weaknesses((hop(host_key=("RSA", 1024, "rsa-sha2-512")),))
    assert ["1024 bits" in each.what for each in small] == [True]


def test_our_own_keys() -> None:
    assert told(hop(identities=(identity("RSA", 3072, "rsa-sha2-512"),))) == []
    small, sha1 = weaknesses((hop(identities=(identity("RSA", 1024, "ssh-rsa"),)),))
    assert ("1024 bits" in small.what, "SHA-1" in sha1.what) == (True, True)
    assert {small.where, sha1.where} == {"client"}
    assert told(hop(identities=(identity("RSA", 3072, "ssh-rsa", None),))) == []  # nobody was asked about it


def test_what_the_server_would_also_take() -> None:
    server = lists(
        f"{GOOD_KEX},diffie-hellman-group1-sha1", f"{GOOD_CIPHER},3des-cbc", f"{GOOD_MAC},hmac-md5,hmac-sha1"
    )
    assert told(hop(server=server)) == [
        ("note", "server", "KexAlgorithms -diffie-hellman-group1-sha1"),
        ("note", "server", "Ciphers -3des-cbc"),
        ("note", "server", "MACs -hmac-md5"),  # hmac-sha1 is in OpenSSH's own default
    ]


def test_no_two_changes_of_the_same_keyword_contradict_each_other() -> None:
    found = told(hop(cipher="aes128-cbc", mac=GOOD_MAC, server=lists(cipher="aes128-cbc,3des-cbc")))
    assert len([change for _, _, change in found if change.startswith("Ciphers")]) == 1


@pytest.mark.parametrize("name", ["x\x1b[31m-cbc", "a b-cbc", "$(reboot)-cbc", "x" * 70 + "-cbc", ""])
def test_names_that_are_none_are_not_told_to_be_copied(name: str) -> None:
    assert told(hop(server=lists(cipher=f"{GOOD_CIPHER},{name}"))) == []


def test_each_hop_is_told_of_and_notes_come_last() -> None:
    server = lists(cipher=f"{GOOD_CIPHER},3des-cbc")
    found = weaknesses((hop(server=server), hop(kex="curve25519-sha256")._replace(name="two")))
    assert [(each.hop, each.severity) for each in found] == [("two", "weak"), ("box", "note")]


@pytest.mark.parametrize(("line", "old"), [
    ("SSH-2.0-OpenSSH_7.2p2 Ubuntu-4ubuntu2.10", True),
    ("SSH-2.0-OpenSSH_7.9", True),
    ("SSH-2.0-OpenSSH_8.0", False),
    ("SSH-2.0-OpenSSH_10.0p2 Debian-7", False),
    ("SSH-2.0-OpenSSH_for_Windows_7.7", True),
    ("SSH-2.0-OpenSSH_for_Windows_9.5", False),
    ("SSH-1.99-OpenSSH_9.9", True),
    ("SSH-2.0-dropbear_2015.67", True),
    ("SSH-2.0-dropbear_2022.83", False),
    ("SSH-2.0-libssh_0.7.3", True),
    ("SSH-2.0-libssh_0.8.4", False),
    ("SSH-2.0-libssh-0.8.1", True),
    ("SSH-2.0-AsyncSSH_2.14.0", True),
    ("SSH-2.0-AsyncSSH_2.24.1", False),
    ("SSH-2.0-OpenSSH_", False),
    ("SSH-2.0-", False),
    ("", False),
])  # fmt: skip
def test_old_software(line: str, old: bool) -> None:
    assert (why_old(line) is not None) == old


def test_old_software_is_weak() -> None:
    assert ("weak", "server", "update its software") in told(hop("OpenSSH_7.2p2"))
