"""The stages of the transport layer: version, key exchange, and the host's key."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterable, Sequence

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.certified import cure
from pyssh_cli.client.diagnose.local import StageProblem
from pyssh_cli.client.diagnose.software import why_old
from pyssh_cli.client.diagnose.trip import TooSlow, Trip, plain
from pyssh_cli.client.hints import in_place_of_a_version
from pyssh_cli.client.trust import ListUnreadable
from pyssh_cli.config.tokens import TOKEN_RULES
from pyssh_cli.errors import HostKeyError, KeyFileError, NegotiationError, ProtocolError, PysshError
from pyssh_cli.keys.algorithms import PLAIN_KEY_ALGORITHMS
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import printable
from pyssh_cli.protocol.ciphers import CIPHERS
from pyssh_cli.protocol.kex import KEX
from pyssh_cli.protocol.macs import MACS
from pyssh_cli.protocol.negotiation import (
    EXT_INFO_CLIENT,
    EXT_INFO_SERVER,
    STRICT_CLIENT,
    STRICT_SERVER,
    Proposal,
    agree,
)
from pyssh_cli.protocol.transport import State

GARBLED = "something in between garbles what is sent"

_MARKS = frozenset({EXT_INFO_CLIENT, EXT_INFO_SERVER, STRICT_CLIENT, STRICT_SERVER})


def version(trip: Trip) -> f.Version:
    """The server's version line (RFC 4253 section 4.2)."""
    try:
        trip.probe = probe = trip.started()
    except PysshError as error:
        raise _not_begun(trip, error) from None
    transport = probe.transport
    transport.prepare()
    try:
        trip.run_until(lambda: transport.state is not State.VERSION, "the server said nothing")
    except PysshError as error:
        if transport.state is State.VERSION:
            raise _no_version(trip, error) from None
        trip.failure = error  # what came behind the version is the next stage's
    line = printable(transport.server_version)
    software = line.split("-", 2)[2] if line.count("-") >= 2 else line
    return f.Version(line, software, why_old(line))


def _not_begun(trip: Trip, error: PysshError) -> StageProblem:
    """Something here keeps us from saying a word: what is known of hosts is read before that."""
    text = "; ".join([*trip.notes.take(), plain(error)])
    if isinstance(error, KeyFileError):
        return StageProblem(text, "mend that file: UserKnownHostsFile or GlobalKnownHostsFile names it")
    if isinstance(error, HostKeyError):
        return StageProblem(text, _BY_HAND)
    return StageProblem(text, "mend that here: it has nothing to do with the server")


_BY_HAND = "run the KnownHostsCommand by hand: it should print lines of known_hosts, and exit with 0"


def _no_version(trip: Trip, error: PysshError) -> StageProblem:
    """No version line comes: what that may mean."""
    o, said, command, heard = trip.options, trip.words(error), "", ""
    if isinstance(error, TooSlow) and trip.probe:
        heard = in_place_of_a_version(trip.probe.transport.lines_before_version, "")
    if heard:
        said = f"no version of the server's came within {trip.limit:g} seconds{heard}"
    if o.proxy_command:
        advice = "run the ProxyCommand by hand, it should print the server's version line:"
        letters = TOKEN_RULES["proxycommand"].letters or ""
        command = o.tokens.expand(o.proxy_command, allowed=letters, where="ProxyCommand")
    elif "HTTP" in said:
        advice = f"find out which port SSH listens on there; Port (-p) is {o.port} here"
    elif heard or "not an SSH server" in said or "but:" in said:
        advice = "check host and port: something else answers there, or says why it does not want us"
    elif "within" in said:
        advice = "something that is no SSH server may listen there, or sshd is stuck: look at its machine"
    else:
        advice = "see its log: sshd may be full (MaxStartups), or have us blocked (PerSourcePenalties)"
    return StageProblem(said, advice, command=command)


_NOUNS: dict[str, tuple[str, str, Iterable[str]]] = {
    "kex": ("key exchange method", "KexAlgorithms", KEX),
    "host_key": ("type of host key", "HostKeyAlgorithms", PLAIN_KEY_ALGORITHMS),
    "ciphers_c2s": ("cipher", "Ciphers", CIPHERS),
    "ciphers_s2c": ("cipher", "Ciphers", CIPHERS),
    "macs_c2s": ("MAC", "MACs", MACS),
    "macs_s2c": ("MAC", "MACs", MACS),
    "compression_c2s": ("compression", "Compression", ()),
    "compression_s2c": ("compression", "Compression", ()),
}
"""Each list of a KEXINIT: what it is of, the keyword for it on both sides, and what we can do, best first."""


def key_exchange(trip: Trip) -> f.KeyExchange:
    """Both offers, and the key exchange itself, up to the host's key."""
    probe = trip.probe
    assert probe is not None
    failure = trip.failure
    try:
        if failure is None:
            trip.run_until(lambda: probe.offered is not None, "the server did not finish the key exchange")
    except PysshError as error:
        failure = error
    transport = probe.transport
    if transport.server_offer is None:
        text = trip.words(failure) if failure else "no offer came"
        advice = "see the server's log"
        if isinstance(failure, ProtocolError):
            advice = f"{GARBLED}, or it is no SSH server: try from elsewhere"
        elif isinstance(failure, TooSlow):
            advice = _SMALLER_PACKETS
        raise StageProblem(text, advice) from None
    offer = probe.offer.proposal(first=True)
    ours, theirs = _lists(offer), _lists(transport.server_offer)
    said = f.KeyExchange(ours, theirs, None, (), post_quantum=False, strict=transport.strict)
    try:
        both = agree(offer, transport.server_offer)
    except NegotiationError as error:
        raise _nothing_in_common(trip, said, error) from None
    said = said._replace(agreed=f.Agreed(*both[:8]), post_quantum=KEX[both.kex].post_quantum)
    if failure:
        raise _not_finished(trip, said, both.kex, failure)
    return said


_SMALLER_PACKETS = "a path that loses large packets does this: try a smaller MTU, on a VPN above all"

_SMALL_KEX = ("curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
"""Key exchange methods with messages that fit into any packet."""


def _not_finished(trip: Trip, said: f.KeyExchange, kex: str, failure: PysshError) -> StageProblem:
    """Both sides have agreed, and then it does not go on. A smaller method may, if there is one."""
    slow = isinstance(failure, TooSlow)
    small = None if kex in _SMALL_KEX else next((name for name in _SMALL_KEX if name in said.server.kex), None)
    if small is None:
        return StageProblem(trip.words(failure), _SMALLER_PACKETS if slow else "see the server's log", said)
    why = "large packets may be lost on the way (MTU)" if slow else "see the server's log"
    add, command = "by adding", f"-o KexAlgorithms={small}"
    if not trip.is_last:  # -o is not for hops
        add, command = f"in ssh_config, for Host {trip.leg.name} alone", f"KexAlgorithms {small}"
    return StageProblem(
        trip.words(failure), f"{why}; try a method with small messages, {add}:", said, command=command
    )


def _lists(offer: Proposal) -> f.Lists:
    return f.Lists(*(tuple(printable(name) for name in names if name not in _MARKS) for names in offer[:8]))


def _nothing_in_common(trip: Trip, said: f.KeyExchange, failure: PysshError) -> StageProblem:
    """Which lists they are, and what would put something in common there."""
    missing = tuple(
        name
        for name, ours, theirs in zip(f.Lists._fields, said.client, said.server, strict=True)
        if not set(ours) & set(theirs)
    )
    problems: dict[str, str] = {}
    usable: dict[str, str | None] = {}
    for name in missing:
        noun, keyword, table = _NOUNS[name]
        theirs = getattr(said.server, name)
        problems[noun] = f"no {noun} in common: the server has only {', '.join(theirs) or 'none'}"
        usable[keyword] = next((each for each in table if each in theirs), None)
    said = said._replace(missing=missing)
    strange = [keyword for keyword, name in usable.items() if name not in _defaults(keyword)]
    if usable and not strange:
        return StageProblem(
            "; ".join(problems.values()),
            f"take {' and '.join(usable)} out of the configuration or the command line here, which leave out what"
            " the server has (pyssh -G -v shows where they are set)",
            said,
        )
    problem = "; ".join(problems.values()) or trip.words(failure)
    if not usable or None in usable.values():
        return StageProblem(problem, "update the server: it has nothing that pyssh has", said)
    if trip.is_last:
        command = " ".join(f"-o {keyword}=+{name}" for keyword, name in usable.items())
        return StageProblem(
            problem, "update the server; until then, for this host alone, add:", said, command=command
        )
    command = "\n".join(f"{keyword} +{name}" for keyword, name in usable.items())  # -o is not for hops
    advice = f"update the server; until then, in ssh_config, for Host {trip.leg.name} alone:"
    return StageProblem(problem, advice, said, command=command)


def _defaults(keyword: str) -> Sequence[str]:
    """What that list has when nobody sets it."""
    from pyssh_cli.config.algorithms import CIPHER, KEX_METHOD, KEY_ALGORITHM, MAC

    kinds = {"KexAlgorithms": KEX_METHOD, "HostKeyAlgorithms": KEY_ALGORITHM, "Ciphers": CIPHER, "MACs": MAC}
    return kinds[keyword].default if keyword in kinds else ()


def host_key(trip: Trip) -> f.HostKey:
    """What is known of the key that the host showed, and what a login would do about it."""
    probe = trip.probe
    assert probe is not None
    assert probe.offered is not None
    trip.notes.take()
    try:
        key = PublicKey.parse(probe.offered.host_key)
    except PysshError as error:
        raise StageProblem(trip.words(error), "update the server's software: its host key is broken") from None
    failure: PysshError | None = None
    try:
        probe.judge()
    except PysshError as error:
        failure = error
    found = _host_key_facts(trip, key, refused=failure is not None)
    if failure:
        raise _refused(trip, found, failure)
    batch = trip.leg.options.batch_mode
    if found.outcome == "asked" and found.flaw and batch:
        raise _flawed(trip, found)
    if found.outcome == "asked" and (batch or not trip.is_last):
        why = "BatchMode asks nobody" if batch else "a login would ask about it, and --diagnose asks nobody"
        raise StageProblem(
            f"the key is not known, and {why}{_not_read(trip)}",
            f"compare the fingerprint with the host's own, then log in to {trip.leg.name} once and answer yes",
            found,
            status="failed" if batch else "asks",
        )
    try:
        probe.go_on()
    except PysshError as error:
        trip.failure = error
    if found.known in {"changed", "revoked"}:
        what = "has changed" if found.known == "changed" else "is revoked"
        raise StageProblem(
            f"the key {what} ({found.file}:{found.line}), and StrictHostKeyChecking no goes on all the same",
            "find out whether the host was set up anew, and take StrictHostKeyChecking no out",
            found,
            status="warning",
        )
    if found.flaw:
        raise _flawed(trip, found, "warning")
    if found.known == "unknown" and (said := _not_read(trip)):
        raise StageProblem(
            f"the key is not known{said}", "mend that: the host may well be known there", found, status="warning"
        )
    return found


def _not_read(trip: Trip) -> str:
    """What is there of the files of known hosts and could not be read, in a parenthesis behind a blank."""
    notes = trip.probe.examiner.known_hosts.notes if trip.probe else []
    notes = [note for note in notes if not note.endswith(os.strerror(errno.ENOENT))]
    return f" ({notes[0]})" if notes else ""


def _flawed(trip: Trip, found: f.HostKey, status: f.Status = "failed") -> StageProblem:
    """The host's certificate, which should speak for its key, does not."""
    name = trip.options.host_key_alias or trip.options.hostname
    return StageProblem(found.flaw or "", cure(found.flaw or "", name), found, status=status)


def _host_key_facts(trip: Trip, key: PublicKey, *, refused: bool) -> f.HostKey:
    probe = trip.probe
    assert probe is not None
    assert probe.offered is not None
    examiner = probe.examiner
    asks = probe.nobody.confirmed
    outcome = "refused" if refused else "asked" if asks else "added" if examiner.adds else "accepted"
    certificate = None
    if key.is_certificate:
        said = printable(key.certificate().describe(trip.options.fingerprint_hash))
        certificate = said.removeprefix(f"{key.fingerprint(trip.options.fingerprint_hash)}, ")
    other = examiner.address_entry
    offered = probe.transport.server_offer
    return f.HostKey(
        type=key.short_name,
        bits=key.bits,
        algorithm=printable(probe.offered.algorithm),
        fingerprint=key.fingerprint(trip.options.fingerprint_hash),
        known=examiner.known,
        file=printable(examiner.entry.file) if examiner.entry else None,
        line=examiner.entry.line if examiner.entry else None,
        address_line=f"{printable(other.file)}:{other.line}" if other else None,
        names=tuple(printable(name) for name in examiner.names[:8]),
        outcome=outcome,
        certificate=certificate,
        types=tuple(printable(name) for name in offered.host_key) if offered else (),
        flaw=printable(examiner.flaw) or None,
    )


def _refused(trip: Trip, found: f.HostKey, failure: PysshError) -> StageProblem:
    """In words what a login would end with."""
    place = f"{found.file}:{found.line}"
    name = trip.probe.examiner.name if trip.probe else ""
    if found.known == "changed":
        return StageProblem(
            f"the key has changed: {place} has another. The host was set up anew, or somebody is in between",
            "compare the fingerprint with what whoever runs the host says; if it is right:",
            found,
            command=_forget(name, found.file),
        )
    if found.known == "revoked":
        where = f"by {place}" if found.file else "by RevokedHostKeys"
        advice = "do not connect; ask whoever runs the host for its new key"
        return StageProblem(f"{_whose(trip)} is revoked {where}", advice, found)
    if isinstance(failure, ListUnreadable):
        why = " ".join(trip.notes.take()).rpartition(" in revoked keys file ")[2]
        return StageProblem(
            f"a list of RevokedHostKeys cannot be read, which refuses every host: {why}",
            "mend that file here, or take it out of RevokedHostKeys",
            found,
        )
    if found.address_line:
        return StageProblem(
            f"{found.address_line} has another key for the host's address",
            "the address may have been another host's; if so:",
            found,
            command=_forget(trip.probe.examiner.address if trip.probe else "", _file_of_address(trip)),
        )
    if found.known == "unknown" and not trip.options.user_known_hosts_files:
        return StageProblem(
            "the key is not known, and UserKnownHostsFile none lets no host become known",
            f"get the host's key from who runs it, and add it for {name} to a file that UserKnownHostsFile names",
            found,
        )
    if found.known == "unknown" and found.flaw:
        return _flawed(trip, found)
    if found.known == "unknown":
        return StageProblem(
            "the key is not known, and the configuration has unknown ones refused (StrictHostKeyChecking)"
            + _not_read(trip),
            f"get the host's key from who runs it, and add it for {name} to known_hosts"
            + (" (or its authority's, behind @cert-authority)" if found.certificate else ""),
            found,
        )
    said = trip.notes.take()
    text = str(failure)
    if isinstance(failure, HostKeyError) and said:
        text = said[-1].split("\n", 1)[0]
    advice = "ask whoever runs the host"
    if trip.options.known_hosts_command and "KnownHostsCommand" in str(failure):
        advice = _BY_HAND
    return StageProblem(" ".join(text.split()), advice, found)


def _file_of_address(trip: Trip) -> str | None:
    """Where the key is that is known for the address."""
    entry = trip.probe.examiner.address_entry if trip.probe else None
    return entry.file if entry else None


def _whose(trip: Trip) -> str:
    """What a revocation is of: the host's key, or the authority of its certificate."""
    entry = trip.probe.examiner.entry if trip.probe else None
    offered = trip.probe.offered if trip.probe else None
    key = PublicKey.parse(offered.host_key) if offered else None
    if key is None or not key.is_certificate:
        return "the key"
    if entry is None:
        return "the key, or the authority of its certificate,"
    return "the authority of its certificate" if entry.key == key.certificate().ca else "the key"


def _forget(name: str, file: str | None) -> str:
    """The command that takes a name out of known_hosts."""
    return shlex.join(["ssh-keygen", *(("-f", file) if file else ()), "-R", name])
