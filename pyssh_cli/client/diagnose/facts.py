"""What a diagnosis finds out: plain values, which the report and --json are both made of.

The object that --json prints has the fields of `Diagnosis`, by the names they have here; every nested value is an
object with the names of its own class, and a tuple is an array. What is not known is null. The stages of a hop,
and those that concern no hop, are one object, with each stage under its name, in the order they were gone through.
Times are milliseconds. All text is clean: what could drive a terminal is shown as an escape (`log.printable`). An
`Outcome` is its text, and what is `Skipped` is "NAME: REASON".
Fields may be added; those that are here keep their names and meanings.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pyssh_cli.client.outcomes import Outcome, Skipped

Status = Literal["ok", "warning", "asks", "failed"]
"""How a stage went. The way ends at one that "asks", which only a person gets past, and at one that "failed"."""


class File(NamedTuple):
    """A configuration file: `present` tells whether it could be read, `blocks` which Host and Match lines in it
    applied, each "LINE: TEXT"."""

    path: str
    present: bool
    blocks: tuple[str, ...]


class Configuration(NamedTuple):
    """The files that were read, included ones behind those that ask for them."""

    files: tuple[File, ...]


class Agent(NamedTuple):
    """The agent's socket, null for no agent, and how many keys it holds, null when it could not be asked."""

    path: str | None
    keys: int | None


class Forwarding(NamedTuple):
    """One forward as -G prints it. `kind` is "local", "remote" or "dynamic"; `possible` tells whether it can be
    listened for here, null for what only the server can tell; `problem` why not, or not at every address."""

    kind: str
    forward: str
    possible: bool | None
    problem: str | None


class Forwards(NamedTuple):
    """All forwards that are asked for."""

    forwards: tuple[Forwarding, ...]


class Address(NamedTuple):
    """A numeric address; `family` is AddressFamily's value, "inet" or "inet6"."""

    address: str
    family: str


class Names(NamedTuple):
    """What the name that is connected to comes to, in the order in which addresses are tried."""

    name: str
    addresses: tuple[Address, ...]


class Attempt(NamedTuple):
    """How connecting to one address went; `error` is null where it worked, `used` tells which a login takes."""

    address: str
    milliseconds: float
    error: str | None
    used: bool


class Way(NamedTuple):
    """What carries the connection. `by` is "tcp", "proxy", "command" or "jump"; `through` names the proxy, the
    ProxyCommand as configured, or the host that was jumped from; `attempts` are those of "tcp"."""

    by: str
    through: str | None
    attempts: tuple[Attempt, ...]


class Version(NamedTuple):
    """The server's version line. `software` is what it says of itself; `old` why that should be updated, null for
    no known reason."""

    line: str
    software: str
    old: str | None


class Lists(NamedTuple):
    """One side's offer, each list best first (RFC 4253 section 7.1). Marks that name no method are left out."""

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    ciphers_c2s: tuple[str, ...]
    ciphers_s2c: tuple[str, ...]
    macs_c2s: tuple[str, ...]
    macs_s2c: tuple[str, ...]
    compression_c2s: tuple[str, ...]
    compression_s2c: tuple[str, ...]


class Agreed(NamedTuple):
    """What both offers come to; a MAC is null where the cipher needs none."""

    kex: str
    host_key: str
    cipher_c2s: str
    cipher_s2c: str
    mac_c2s: str | None
    mac_s2c: str | None
    compression_c2s: str
    compression_s2c: str


class KeyExchange(NamedTuple):
    """Both offers, and what was agreed on: null where that is nothing, and `missing` are then those `Lists`
    that have nothing in common. `strict` is the server's part of strict key exchange."""

    client: Lists
    server: Lists
    agreed: Agreed | None
    missing: tuple[str, ...]
    post_quantum: bool
    strict: bool


class HostKey(NamedTuple):
    """The key that the host showed.

    `known` is "known", "certificate" (by an authority that is known), "dns", "unknown", "changed", "revoked", or
    "unchecked" (the configuration asks for no check, or it did not come to one). `file` and `line` say where.
    `address_line` is "FILE:LINE" of another key that is known for the address (CheckHostIP). `names` are other
    names that the key is known by. `outcome` is what a login would do: "accepted", "asked", "added" without a
    question, or "refused". `types` are the types of host key that the server has, as far as it says. `flaw` is why
    the certificate does not count, although its authority is known; null where it counts, or nobody asked that.
    """

    type: str
    bits: int
    algorithm: str
    fingerprint: str
    known: str
    file: str | None
    line: int | None
    address_line: str | None
    names: tuple[str, ...]
    outcome: str
    certificate: str | None
    types: tuple[str, ...]
    flaw: str | None = None


class IdentityFacts(NamedTuple):
    """A key that a login would try, in its order.

    `source` is "file", "agent", "certificate" or "token"; `explicit` tells that the configuration names it.
    `needs` is what the person has to give for it: "nothing", "passphrase", "touch" or "pin". `problem` tells why
    it cannot be used. `algorithm` is what it would be proved by. `answer` is the server's: "accepted" (it would
    take a signature), "refused", "logged in" (on a jump host), or null when it was not asked; `within_limit` tells
    whether a login gets as far as this key before the server hangs up. `certificate` is whom it is for, how long,
    and by which authority, null for a plain key; `suspicion` what the server may have had against it.
    """

    name: str
    source: str
    explicit: bool
    present: bool
    type: str | None
    bits: int | None
    fingerprint: str | None
    needs: str
    problem: str | None
    algorithm: str | None
    answer: str | None
    within_limit: bool
    certificate: str | None = None
    suspicion: Outcome | None = None


class Voucher(NamedTuple):
    """A proof by `method`, "gssapi-with-mic" or "hostbased", which is looked at and not given. `by` is whose it
    would be, null where there is none; `seconds` how long tickets hold; `problem` why there is no proof, and
    `advice` what to do about that."""

    method: str
    by: str | None
    seconds: int | None
    problem: Outcome | None
    advice: str | None


class Authentication(NamedTuple):
    """What the server wants of a user. `methods` are those it offers, null when it did not say; `open` tells
    that it lets anybody in. `signatures` is its server-sig-algs, null where it sent none, `extensions` the names
    of all that its EXT_INFO told. `vouchers` are proofs that are neither keys nor passwords, for methods that
    both sides have. `skipped` are keys that are not tried. `limit` is how many
    refused keys make it hang up, null when that did not happen, `connections` how many were made to ask."""

    methods: tuple[str, ...] | None
    open: bool
    banner: str | None
    signatures: tuple[str, ...] | None
    extensions: tuple[str, ...]
    identities: tuple[IdentityFacts, ...]
    skipped: tuple[Skipped, ...]
    limit: int | None
    connections: int
    vouchers: tuple[Voucher, ...] = ()


class Sample(NamedTuple):
    """One measurement, by what was measured."""

    what: str
    milliseconds: float


class RoundTrip(NamedTuple):
    """How far away the server is: the shortest of the samples. `deviation` and `retransmitted` (segments) are the
    kernel's own count, null where it keeps none."""

    milliseconds: float
    samples: tuple[Sample, ...]
    deviation: float | None
    retransmitted: int | None


class Stage(NamedTuple):
    """One step of the way. `facts` is null where it failed before there were any; `problem` says what is wrong,
    `advice` the one thing to do about it, and `command` what to type for that, as it is or behind `pyssh`, or the
    lines to put into a file."""

    name: str
    status: Status
    milliseconds: float
    problem: str | None
    advice: str | None
    command: str | None
    facts: Any


class Hop(NamedTuple):
    """One connection on the way, the destination's last; `role` is "jump" or "destination"."""

    role: str
    name: str
    user: str
    hostname: str
    port: int
    stages: tuple[Stage, ...]

    def facts(self, name: str) -> Any:
        """The facts of a stage, or None."""
        return next((stage.facts for stage in self.stages if stage.name == name), None)


class Weakness(NamedTuple):
    """Something that should be better. `where` is "server" or "client", whose `change` it takes; `hop` is the
    host's name. A "note" is less urgent than what is "weak"."""

    hop: str
    severity: Literal["weak", "note"]
    what: str
    where: Literal["server", "client"]
    change: str


class Verdict(NamedTuple):
    """Whether a login would work: "yes", "asks" (it would, once the person has answered), "perhaps" (it would come
    to what cannot be tried: a password, or a jump host that asks for something) or "no". `asks` is what it would
    ask, each after "It would ask"; `advice` is what to do first, and `command` what to type for that.

    A server that wants two proofs of a user does not say so before it has had the first: "yes" is about that one.
    """

    login: Literal["yes", "asks", "perhaps", "no"]
    summary: str
    asks: tuple[str, ...] = ()
    advice: str | None = None
    command: str | None = None

    @property
    def possible(self) -> bool:
        """Whether it may come to a login."""
        return self.login != "no"


class Diagnosis(NamedTuple):
    """All of it. `pyssh` is our version, `destination` what was typed, `possible` whether the exit status is 0.
    `login` to `command` are the `Verdict`'s."""

    pyssh: str
    destination: str
    login: str
    possible: bool
    summary: str
    asks: tuple[str, ...]
    advice: str | None
    command: str | None
    stages: tuple[Stage, ...]
    hops: tuple[Hop, ...]
    weaknesses: tuple[Weakness, ...]
    milliseconds: float


def as_json(value: Any) -> Any:
    """A value of these classes as what `json` takes, its text clean."""
    from pyssh_cli.log import printable

    if isinstance(value, Skipped):
        value = f"{value.name}: {value.outcome.text}"
    elif isinstance(value, Outcome):
        value = value.text
    if isinstance(value, str):
        return printable(value, newlines=True)
    if isinstance(value, float):
        return round(value, 3)
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], Stage):
        return {stage.name: as_json(stage) for stage in value}
    fields = getattr(value, "_fields", None)
    if fields is None:
        return [as_json(each) for each in value]
    made = {name: as_json(each) for name, each in zip(fields, value, strict=True)}
    if made.get("stages") == []:
        made["stages"] = {}  # an object, whatever there is in it
    return made
