"""The diagnosis as text, a stage as soon as it is over: what a person reads who has to get in somewhere."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.verdict import title_of
from pyssh_cli.colour import Paint, Role
from pyssh_cli.keys.algorithms import KEY_TYPES, key_type_of, plain_type
from pyssh_cli.log import printable

WIDTH = 80
_INDENT = 19
"""Columns before a stage's text: a mark and its title."""

_MARKS: dict[str, tuple[str, Role]] = {
    "ok": ("ok", "good"),
    "warning": ("!", "warning"),
    "asks": ("?", "warning"),
    "failed": ("NO", "bad"),
}

NOTABLE = 100.0
"""Milliseconds from which on it is told how long something took that is done here."""

_LOCAL = frozenset({"configuration", "agent", "forwards", "host_key", "round_trip"})

_SEVERITIES: tuple[tuple[str, str, Role], ...] = (("weak", "Weak", "warning"), ("note", "Also", "quiet"))

_VERDICTS: dict[str, tuple[Role, str]] = {
    "yes": ("good", "Yes"),
    "asks": ("good", "Yes"),
    "perhaps": ("warning", "Perhaps"),
    "no": ("bad", "No"),
}

MAX_MISSING = 6
"""Keys that are not there, by name; the rest is not told."""

MAX_TEXT = 1024
"""Characters of one thing that is told. A server can say so much that nobody would find the verdict."""


class Report:
    """Makes lines, without their ends. `home` is shortened to `~`."""

    def __init__(self, paint: Paint, home: str) -> None:
        self._paint = paint
        self._home = home.rstrip("/")

    def heading(self, destination: str) -> list[str]:
        """The first line."""
        return [self._paint("strong", f"Diagnosis of {printable(destination)}"), ""]

    def hop(self, hop: f.Hop, *, alone: bool) -> list[str]:
        """The line above a hop's stages."""
        role = "" if alone else f", {'jump host' if hop.role == 'jump' else 'destination'}"
        port = f" port {hop.port}"
        name = "" if hop.name == hop.hostname else f" ({hop.hostname}{port})"
        shown = f"{hop.user}@{hop.name}{name or port}{role}"
        return ["", self._paint("strong", printable(shown))]

    def stage(self, stage: f.Stage) -> list[str]:
        """One stage: what was found and what is wrong. What to do about a failure is told at the end."""
        body: list[tuple[Role | None, str]] = []
        if stage.facts is not None:
            body += [(None, line) for line in _BODIES[stage.name](self, stage.facts)]
        mark, role = _MARKS[stage.status]
        if stage.problem and (said := next((row for row in body if row[1].endswith(stage.problem)), None)):
            body[body.index(said)] = role, said[1]
        elif stage.problem:
            body.insert(len(body) if stage.status == "warning" else 0, (role, stage.problem))
        if stage.status == "warning":
            body += [("strong", f"-> {each}") for each in (stage.advice, stage.command) if each]
        hidden = stage.name in _LOCAL and stage.milliseconds < NOTABLE
        time = "" if hidden else _time(stage.milliseconds)
        head = f" {self._paint(role, f'{mark:<3}')}{title_of(stage):<{_INDENT - 4}}"
        lines: list[str] = []
        for colour, text in body or [(None, "none")]:
            room = WIDTH - _INDENT - (len(time) + 2 if time and not lines else 0)
            for row in _wrapped(self._short(text), room):
                painted = self._paint(colour, row)
                if not lines and time:
                    painted += " " * max(2, WIDTH - _INDENT - len(row) - len(time)) + self._paint("quiet", time)
                lines.append(f"{' ' * _INDENT if lines else head}{painted}")
        return lines

    def end(self, found: f.Diagnosis) -> list[str]:
        """What is weak, and the verdict."""
        lines: list[str] = []
        for severity, title, colour in _SEVERITIES:
            some = [each for each in found.weaknesses if each.severity == severity]
            if some:
                lines += ["", self._paint(colour, f"{title}:")]
            for each in some:
                at = f"{each.hop}: " if found.hops[0].role == "jump" else ""
                lines += _wrapped(self._short(f"{at}{each.what}"), WIDTH, "  ", "    ")
                lines += self._change(each)
        colour, word = _VERDICTS[found.login]
        verdict = [f"{word}: {found.summary.rstrip('.')}."]
        if found.asks:
            verdict.append(f"It would ask {' and '.join(found.asks)}.")
        lines += ["", *(self._paint(colour, row) for row in _wrapped(self._short(" ".join(verdict)), WIDTH))]
        if found.advice:
            title = "First" if found.login == "no" else "Better"
            lines += [
                self._paint("strong", row) for row in _wrapped(self._short(f"{title}: {found.advice}"), WIDTH)
            ]
        if found.command:
            # Whole, and with its paths, to be copied.
            lines += [self._paint("strong", f"  {printable(row)}") for row in found.command.split("\n")]
        return lines

    def _change(self, weakness: f.Weakness) -> list[str]:
        """What to change; a line of configuration in one piece, to be copied."""
        change = self._short(weakness.change)
        if not _is_setting(change):
            return _wrapped(f"-> {weakness.where}: {change}", WIDTH, "    ", "       ")
        place = f"    -> {_PLACES[weakness.where]}:"
        if len(place) + 1 + len(change) <= WIDTH:
            return [f"{place} {change}"]
        return [place, f"       {change}"]

    def _short(self, text: str) -> str:
        """Text, clean, with the home directory as `~`."""
        text = shortened(printable(text))
        if len(self._home) < 2:
            return text
        # Where a path begins, not where the same names stand in the middle of one.
        return re.sub(rf"(?<![^\s\"'(=,:]){re.escape(self._home)}/", "~/", text)

    # The stages' bodies ------------------------------------------------------------------------------------------

    def configuration(self, found: f.Configuration) -> Iterator[str]:
        for file in found.files:
            if not file.present:
                continue
            blocks = [block for block in file.blocks if not block.endswith((": Host *", ": Match all"))]
            yield file.path
            yield from (f"  line {block}" for block in blocks)
        if not any(file.present for file in found.files):
            yield "no file"

    def agent(self, found: f.Agent) -> Iterator[str]:
        if found.path is None:
            yield "none (no SSH_AUTH_SOCK, no IdentityAgent)"
        elif found.keys is not None:
            none = " (it is empty, or locked)" if found.keys == 0 else ""
            yield f"{found.keys} {'key' if found.keys == 1 else 'keys'} at {found.path}{none}"

    def forwards(self, found: f.Forwards) -> Iterator[str]:
        for each in found.forwards:
            said = "the server decides" if each.possible is None else each.problem or "free"
            yield f"{each.kind} {each.forward}: {said}"

    def names(self, found: f.Names) -> Iterator[str]:
        yield ", ".join(each.address for each in found.addresses)

    def reach(self, found: f.Way) -> Iterator[str]:
        if found.by == "jump":
            yield f"by way of {found.through}"
        elif found.through:
            yield found.through
        for each in found.attempts:
            if each.used:
                yield each.address + (" (used)" if len(found.attempts) > 1 else "")
        for each in found.attempts if len(found.attempts) > 1 else ():
            if not each.used:
                yield f"{each.address}: {each.error or 'connects'}, {_time(each.milliseconds)}"

    def version(self, found: f.Version) -> Iterator[str]:
        yield found.software

    def key_exchange(self, found: f.KeyExchange) -> Iterator[str]:
        agreed = found.agreed
        if agreed is None:
            return
        kind = "post-quantum" if found.post_quantum else "not post-quantum"
        yield f"{agreed.kex}, {kind}"
        ways = dict.fromkeys(((agreed.cipher_c2s, agreed.mac_c2s), (agreed.cipher_s2c, agreed.mac_s2c)))
        for (cipher, mac), way in zip(ways, ("to", "from"), strict=False):
            direction = f" ({way} the server)" if len(ways) > 1 else ""
            yield f"{cipher}{f' with {mac}' if mac else ''}{direction}"
        yield f"{'strict key exchange' if found.strict else 'no strict key exchange'}"

    def host_key(self, found: f.HostKey) -> Iterator[str]:
        size = f" {found.bits}" if found.type.startswith("RSA") else ""
        yield f"{found.type}{size}{_how_known(found)}"
        yield found.fingerprint
        if found.certificate:
            whose = ", its authority is not known here" if found.known == "unknown" and not found.flaw else ""
            yield f"certificate: {found.certificate}{whose}"
        if found.flaw:
            yield found.flaw
        if found.names:
            yield f"known by other names: {', '.join(found.names)}"
        rows = [KEY_TYPES.get(plain_type(key_type_of(name) or "")) for name in found.types]
        others = dict.fromkeys(row.short_name for row in rows if row)
        others.pop(found.type.removesuffix("-CERT"), None)
        if others:
            yield f"the server also has: {', '.join(others)}"

    def authentication(self, found: f.Authentication) -> Iterator[str]:
        if found.open:
            yield "the server lets anybody in, without a proof"
        elif found.methods is not None:
            yield f"offered: {', '.join(found.methods) or 'nothing'}"
        if found.banner:
            first, *more = found.banner.split("\n")
            yield f"its banner: {first}{f' ... ({len(more)} lines more)' if more else ''}"
        for each in found.identities:
            if each.present or each.explicit:
                yield from self._identity(each)
        missing = [each.name for each in found.identities if not (each.present or each.explicit)]
        if missing and len(missing) == len(found.identities):
            yield f"no key: none of {', '.join(os.path.basename(name) for name in missing[:MAX_MISSING])} is there"
        elif not found.identities:
            yield "no key to try"
        for skipped in found.skipped:
            if skipped.outcome.kind not in _OF_THE_AGENT:
                yield f"not tried: {skipped.name}: {skipped.outcome.text}"
        for voucher in found.vouchers:
            lasts = "" if voucher.seconds is None else f", for {_span(voucher.seconds)} more"
            said = voucher.problem.text if voucher.problem else f"{voucher.by}{lasts}"
            yield f"{_VOUCHERS[voucher.method]}: {said}"
        if found.limit is not None:
            yield f"the server hangs up after {found.limit} refused {'key' if found.limit == 1 else 'keys'}"

    def _identity(self, each: f.IdentityFacts) -> Iterator[str]:
        said = _ANSWERS.get(each.answer, "not asked")
        if not each.present:
            said = "not there"
        elif each.answer == "accepted" and each.problem:
            said = "accepted, but"
        elif each.answer == "accepted" and not each.within_limit:
            said = "accepted, too late"
        extra = [word for word in (_SOURCES[each.source], _NEEDS[each.needs]) if word]
        size = f" {each.bits}" if each.type and each.type.startswith("RSA") else ""
        note = f" ({', '.join(extra)})" if extra else ""
        yield f"{said}: {each.name or 'a key without a name'}{note}"
        if each.type:
            yield f"  {each.type}{size} {each.fingerprint}"
        if each.certificate:
            yield f"  {each.certificate}"
        if each.suspicion and each.suspicion.kind != "refused: other principals":  # that stands there already
            yield f"  {each.suspicion.text}"
        if each.problem and each.present:
            yield f"  {each.problem}"

    def round_trip(self, found: f.RoundTrip) -> Iterator[str]:
        best: dict[str, float] = {}
        for each in found.samples:
            best[each.what] = min(each.milliseconds, best.get(each.what, each.milliseconds))
        shown = ", ".join(f"{what} {_time(milliseconds)}" for what, milliseconds in best.items())
        yield f"{_time(found.milliseconds)} ({shown})"
        if found.retransmitted:
            yield f"{found.retransmitted} segments had to be sent again: the path loses packets"


def _how_known(found: f.HostKey) -> str:
    if found.known in {"known", "certificate"}:
        return f", {'its authority is ' if found.known == 'certificate' else ''}known: {found.file}:{found.line}"
    if found.known == "unknown":
        then = {"asked": "a login would ask about it", "added": "a login would add it"}.get(found.outcome)
        return f", not known{f': {then}' if then else ''}"
    return {"dns": ", known by the DNS (SSHFP)", "unchecked": ", not checked"}.get(found.known, "")


_ANSWERS: dict[str | None, str] = {"accepted": "accepted", "refused": "refused", "logged in": "logged in with"}
_SOURCES = {"file": "", "agent": "agent", "certificate": "certificate", "token": "token"}
_NEEDS = {"nothing": "", "passphrase": "passphrase needed", "touch": "touch needed", "pin": "PIN needed"}
_VOUCHERS = {"gssapi-with-mic": "Kerberos", "hostbased": "hostbased"}
_OF_THE_AGENT = frozenset({"no agent", "empty agent", "sick agent"})
"""Why there is no key of the agent's: that was a stage of its own."""
_PLACES = {"server": "server, sshd_config", "client": "here, ssh_config"}

_BODIES: dict[str, Callable[[Report, Any], Iterator[str]]] = {
    "configuration": Report.configuration,
    "agent": Report.agent,
    "forwards": Report.forwards,
    "names": Report.names,
    "reach": Report.reach,
    "version": Report.version,
    "key_exchange": Report.key_exchange,
    "host_key": Report.host_key,
    "authentication": Report.authentication,
    "round_trip": Report.round_trip,
}


def shortened(text: str) -> str:
    """As much of a text as is told of one thing."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 4]} ..."


def _is_setting(change: str) -> bool:
    """Whether a change is a line of configuration."""
    return change.startswith(("KexAlgorithms ", "Ciphers ", "MACs ", "HostKeyAlgorithms "))


def _time(milliseconds: float) -> str:
    if milliseconds >= 10000:
        return f"{milliseconds / 1000:.0f} s"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _span(seconds: int) -> str:
    return f"{round(seconds / 3600)} h" if seconds >= 7200 else f"{seconds // 60} min"


def _wrapped(text: str, width: int, first: str = "", later: str = "  ") -> list[str]:
    """Rows of at most `width` columns where there are blanks to break at."""
    rows = textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return rows or [""]
