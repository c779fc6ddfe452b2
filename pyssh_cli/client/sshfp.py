"""Fingerprints of host keys in the DNS (VerifyHostKeyDNS in ssh_config(5); SSHFP records, RFC 4255).

The look-up is done by dnspython, which only those who ask for it need.
"""

from __future__ import annotations

import hmac
import os
from typing import NamedTuple

from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import Log

_ALGORITHMS = {
    "ssh-rsa": 1,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
    "ssh-ed25519": 4,
}
"""Key types by the numbers of RFC 4255, RFC 6594 and RFC 7479."""

_HASHES = {1: "sha1", 2: "sha256"}
"""Fingerprint types (RFC 4255, RFC 6594)."""

MAX_RECORDS = 256
"""More for one host are nobody's; 64 KiB of answer would hold thousands."""

RESOLV_CONF = "/etc/resolv.conf"


class Fingerprint(NamedTuple):
    """One SSHFP record."""

    algorithm: int
    hash_type: int
    digest: bytes


class Answer(NamedTuple):
    """What the DNS has for a host: nothing, where the look-up fails.

    `secure` tells that the resolver has checked its signatures (DNSSEC), and that resolv.conf(5) trusts the
    resolver to say so.
    """

    records: tuple[Fingerprint, ...] = ()
    secure: bool = False

    def matches(self, key: PublicKey) -> bool:
        """Whether a record is of this key, and none of its kind is of another."""
        import hashlib

        wanted = _ALGORITHMS.get(key.type)
        found = False
        for record in self.records:
            if record.algorithm != wanted:
                continue
            name = _HASHES[record.hash_type]
            digest = hashlib.new(name, key.blob, usedforsecurity=name != "sha1").digest()
            if not hmac.compare_digest(digest, record.digest):
                return False
            found = True
        return found


def look_up(host: str, log: Log) -> Answer:
    """Ask the DNS for the fingerprints of `host`, which is taken for a full name. Ctrl-C ends it."""
    if _is_numeric(host):
        log.debug1("skipped DNS lookup for numerical hostname")
        return Answer()
    try:
        import dns.exception
        import dns.flags
        import dns.resolver
    except ImportError:
        log.error("VerifyHostKeyDNS needs the Python package dnspython where pyssh is: nothing is asked.")
        return Answer()
    try:
        resolver = dns.resolver.Resolver(RESOLV_CONF)
        resolver.use_edns(0, dns.flags.DO, 1232)
        resolver.flags = dns.flags.RD | dns.flags.AD
        found = resolver.resolve(host, "SSHFP", search=False, raise_on_no_answer=False)
    except (dns.exception.DNSException, OSError, ValueError) as error:
        log.verbose(f"DNS lookup error: {error or type(error).__name__}")
        return Answer()
    records = tuple(
        Fingerprint(record.algorithm, record.fp_type, record.fingerprint)
        for record in tuple(found.rrset or ())[:MAX_RECORDS]
        if record.fp_type in _HASHES
    )
    secure = bool(found.response.flags & dns.flags.AD) and _trusts_resolver()
    log.debug1(f"found {len(records)} {'secure' if secure else 'insecure'} fingerprints in DNS")
    return Answer(records, secure)


def _is_numeric(host: str) -> bool:
    from pyssh_cli.net.names import addresses_of

    try:
        addresses_of(host, 0, "any", numeric=True)
    except OSError:
        return False
    return True


def _trusts_resolver() -> bool:
    """Whether the resolver, and the way to it, is trusted to have checked signatures: the option trust-ad, without
    which the C library hides that from ssh, too (resolv.conf(5))."""
    options = os.environ.get("RES_OPTIONS", "").split()
    try:
        with open(RESOLV_CONF, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, *words = line.split() or [""]
                if name == "options":
                    options += words
    except OSError:
        pass
    return "trust-ad" in options
