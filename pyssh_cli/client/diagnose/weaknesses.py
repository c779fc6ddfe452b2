"""What should be better, and on which side: a table of checks, each from a hop's facts to what it found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pyssh_cli.client.diagnose.facts import Authentication, Hop, HostKey, KeyExchange, Version, Weakness
from pyssh_cli.client.diagnose.software import openssh_number
from pyssh_cli.protocol.kex import KEX

SMALL_RSA = 2048
"""Bits of RSA below which a key is weak (NIST SP 800-131A)."""

_CHACHA = "chacha20-poly1305@openssh.com"
_BEST_KEX = "mlkem768x25519-sha256"
_OLDER_KEX = "sntrup761x25519-sha512@openssh.com"

_GOOD_CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr"
_GOOD_MACS = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"

Found = Iterator[Weakness]
Check = Callable[[Hop], Found]


def weaknesses(hops: tuple[Hop, ...]) -> tuple[Weakness, ...]:
    """All that is found on the way, what is weak ahead of notes. A note that asks for another value of what is to
    be changed for something weak is left out: that does away with both."""
    found = [each for hop in hops for check in CHECKS for each in check(hop)]
    weak = [each for each in found if each.severity == "weak"]
    changed = {_what_changes(each) for each in weak}
    return (*weak, *(each for each in found if each.severity != "weak" and _what_changes(each) not in changed))


def _what_changes(weakness: Weakness) -> tuple[str, str, str]:
    """The keyword, and whose."""
    return weakness.hop, weakness.where, weakness.change.split(" ", 1)[0]


def _kex(hop: Hop) -> KeyExchange | None:
    found: KeyExchange | None = hop.facts("key_exchange")
    return found


def _software(hop: Hop) -> str:
    found: Version | None = hop.facts("version")
    return found.software if found else ""


_NEEDED_VERSIONS = {
    "OpenSSH_": ("OpenSSH", "9.9", "9.6"),
    "dropbear_": ("Dropbear", "2025.87", "2024.84"),
    "AsyncSSH_": ("AsyncSSH", "2.24", "2.14.2"),
    "tinyssh_": ("TinySSH", "20190101", "20240101"),
}
"""What a software is called, and a version that has a post-quantum key exchange, and one that has a strict one."""


def _update(hop: Hop, feature: int) -> str:
    """How far to update: for post-quantum (0) or strict (1) key exchange."""
    software = _software(hop)
    known = next((row for name, row in _NEEDED_VERSIONS.items() if software.startswith(name)), None)
    return f"update to {known[0]} {known[1 + feature]} or later" if known else "update its software"


def _old_software(hop: Hop) -> Found:
    found: Version | None = hop.facts("version")
    if found and found.old:
        yield Weakness(hop.name, "weak", found.old, "server", "update its software")


def _key_exchange(hop: Hop) -> Found:
    said = _kex(hop)
    if said is None or said.agreed is None or said.post_quantum:
        return
    name = said.agreed.kex
    what = f"the key exchange {name} is not post-quantum: who records this may read it some day"
    if name.endswith("-sha1"):
        small = " and a prime of 1024 bits" if "group1-" in name else ""
        what = f"the key exchange {name} uses SHA-1{small}, and is not post-quantum"
    offered = [each for each in said.server.kex if each in KEX and KEX[each].post_quantum]
    if offered:
        yield Weakness(hop.name, "weak", what, "client", f"KexAlgorithms ^{offered[0]}")
        return
    number = openssh_number(_software(hop))
    if number is None or number < (8, 5):
        change = _update(hop, 0)
    else:
        change = f"KexAlgorithms ^{_BEST_KEX if number >= (9, 9) else _OLDER_KEX}"
    yield Weakness(hop.name, "weak", what, "server", change)


def _either_side(
    hop: Hop, what: str, keyword: str, name: str, ours: tuple[str, ...], theirs: tuple[str, ...]
) -> Weakness:
    """Whose list brought something weak about: ours where both have something better, else the server's."""
    better = [each for each in ours if each in theirs and each != name and not _is_weak_name(each)]
    if better:
        return Weakness(hop.name, "weak", what, "client", f"{keyword} -{name}")
    good = _GOOD_CIPHERS if keyword == "Ciphers" else _GOOD_MACS
    change = f"{keyword} {good}" if openssh_number(_software(hop)) else f"have it take {good}"
    return Weakness(hop.name, "weak", what, "server", change)


def _is_weak_name(name: str) -> bool:
    """Whether nobody should use that algorithm any more. What is no name (RFC 4251 section 6) is not, for it would
    be shown to be copied."""
    if not re.fullmatch(r"[A-Za-z0-9.@_-]{1,64}", name):
        return False
    plain = name.partition("@")[0].removesuffix("-etm")
    return (
        plain.endswith(("-sha1", "-cbc", "-96"))
        or plain.startswith(("arcfour", "3des", "blowfish", "cast128", "hmac-md5", "hmac-ripemd"))
        or plain == "none"
    )


def _cipher(hop: Hop) -> Found:
    said = _kex(hop)
    if said is None or said.agreed is None:
        return
    for name in dict.fromkeys((said.agreed.cipher_c2s, said.agreed.cipher_s2c)):
        if name.endswith("-cbc"):
            blocks = ", and 3DES's blocks are too small for much data" if name.startswith("3des") else ""
            what = f"the cipher {name}: CBC lets somebody in between guess at text{blocks}"
            yield _either_side(hop, what, "Ciphers", name, said.client.ciphers_c2s, said.server.ciphers_c2s)


def _mac(hop: Hop) -> Found:
    said = _kex(hop)
    if said is None or said.agreed is None:
        return
    agreed = said.agreed
    for cipher, name in dict.fromkeys(((agreed.cipher_c2s, agreed.mac_c2s), (agreed.cipher_s2c, agreed.mac_s2c))):
        if name is None:
            continue
        plain = name.partition("@")[0]
        why = ""
        if "md5" in plain:
            why = "uses MD5"
        elif plain.removesuffix("-etm").endswith("-96"):
            why = "has only 96 bits"
        elif plain.startswith("umac-64"):
            why = "has only 64 bits"
        elif "sha1" in plain:
            why = "uses SHA-1"
        elif cipher.endswith("-cbc") and not plain.endswith("-etm"):
            why = f"with {cipher} is checked only after decrypting"
        if why:
            what = f"the MAC {name} {why}"
            yield _either_side(hop, what, "MACs", name, said.client.macs_c2s, said.server.macs_c2s)


def _terrapin(hop: Hop) -> Found:
    """CVE-2023-48795: without strict key exchange, packets may be cut out at the beginning of a connection."""
    said = _kex(hop)
    if said is None or said.agreed is None or said.strict:
        return
    agreed = said.agreed
    for cipher, mac in ((agreed.cipher_c2s, agreed.mac_c2s), (agreed.cipher_s2c, agreed.mac_s2c)):
        if cipher == _CHACHA or (cipher.endswith("-cbc") and mac and "-etm@" in mac):
            what = f"no strict key exchange, and {cipher}: open to Terrapin (CVE-2023-48795)"
            yield Weakness(hop.name, "weak", what, "server", _update(hop, 1))
            if any(each in said.server.ciphers_c2s for each in ("aes128-gcm@openssh.com", "aes128-ctr")):
                yield Weakness(hop.name, "weak", "until that is done", "client", f"Ciphers -{cipher}")
            return
    what = f"no strict key exchange; {agreed.cipher_c2s} is not open to Terrapin all the same"
    yield Weakness(hop.name, "note", what, "server", _update(hop, 1))


def _host_key(hop: Hop) -> Found:
    found: HostKey | None = hop.facts("host_key")
    if found is None:
        return
    if found.algorithm in {"ssh-rsa", "ssh-rsa-cert-v01@openssh.com"}:
        what = "the host key signs with SHA-1 (ssh-rsa)"
        yield Weakness(hop.name, "weak", what, "server", "update it, or make an Ed25519 host key: ssh-keygen -A")
    if found.type.startswith("RSA") and found.bits < SMALL_RSA:
        what = f"the host key is RSA of {found.bits} bits"
        yield Weakness(
            hop.name, "weak", what, "server", "make a new one: ssh-keygen -t ed25519, and a HostKey line"
        )


def _identities(hop: Hop) -> Found:
    found: Authentication | None = hop.facts("authentication")
    for each in found.identities if found else ():
        if each.type and each.type.startswith("RSA") and each.bits and each.bits < SMALL_RSA:
            what = f"your key {each.name} is RSA of {each.bits} bits"
            yield Weakness(hop.name, "weak", what, "client", "make another: ssh-keygen -t ed25519")
        if each.algorithm in {"ssh-rsa", "ssh-rsa-cert-v01@openssh.com"} and each.answer:
            what = f"your key {each.name} signs with SHA-1: the server takes nothing better of RSA"
            yield Weakness(hop.name, "weak", what, "client", "use an Ed25519 key, if the server takes it")


def _offered(hop: Hop) -> Found:
    """What the server would agree to with a weaker client than this one."""
    said = _kex(hop)
    if said is None or said.agreed is None:
        return
    used = set(said.agreed)
    for keyword, names in (
        ("KexAlgorithms", said.server.kex),
        ("Ciphers", (*said.server.ciphers_c2s, *said.server.ciphers_s2c)),
        ("MACs", (*said.server.macs_c2s, *said.server.macs_s2c)),
    ):
        old = [n for n in dict.fromkeys(names) if _is_weak_name(n) and n not in used | _USUAL]
        if old:
            shown = ", ".join(old[:4]) + (f" and {len(old) - 4} more" if len(old) > 4 else "")
            change = f"{keyword} -{','.join(old)}" if openssh_number(_software(hop)) else "turn that off"
            yield Weakness(hop.name, "note", f"the server would also take {shown}", "server", change)


_USUAL = {"hmac-sha1", "hmac-sha1-etm@openssh.com"}
"""MACs that OpenSSH has in its own default: nothing to act on where they are not used."""


CHECKS: tuple[Check, ...] = (
    _old_software,
    _key_exchange,
    _cipher,
    _mac,
    _terrapin,
    _host_key,
    _identities,
    _offered,
)
"""In the order in which they are told."""
