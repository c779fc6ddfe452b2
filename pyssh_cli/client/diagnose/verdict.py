"""Whether a login would work, by what the stages found: a sentence, what it would ask for, what to do first."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pyssh_cli.client.diagnose.facts import Authentication, Hop, HostKey, IdentityFacts, Stage, Verdict
from pyssh_cli.client.refusal import SWITCHES, cure
from pyssh_cli.client.user_certificates import CURES
from pyssh_cli.config.options import Options

_ASKS = {"passphrase": "for the passphrase of {}", "touch": "for a touch of {}", "pin": "for the PIN of {}"}

TITLES = {
    "configuration": "configuration",
    "agent": "agent",
    "forwards": "forwards",
    "names": "name look-up",
    "tcp": "TCP",
    "proxy": "proxy",
    "command": "ProxyCommand",
    "jump": "jump",
    "reach": "connecting",
    "version": "version",
    "key_exchange": "key exchange",
    "host_key": "host key",
    "authentication": "login",
    "round_trip": "round trip",
}
"""What a stage, or a way to connect, is called."""


def title_of(stage: Stage) -> str:
    """What a stage is called in the report."""
    by = getattr(stage.facts, "by", None)
    return TITLES[by or stage.name]


def judge(options: Options | None, stages: tuple[Stage, ...], hops: tuple[Hop, ...]) -> Verdict:
    """The verdict. `options` are the destination's, None where they could not be settled."""
    for where, stage in (*(("", s) for s in stages), *((hop.name, s) for hop in hops for s in hop.stages)):
        if stage.status == "failed":
            at = f", at {where}" if where and hops[0].role == "jump" else ""
            summary = f"a login would fail{at}: {title_of(stage)}: {stage.problem}"
            return Verdict("no", summary, (), stage.advice, stage.command)
        if stage.status == "asks":
            return Verdict(
                "perhaps", f"beyond {where} nothing is known: {stage.problem}", (), stage.advice, stage.command
            )
    if options is None or not hops:
        return Verdict("no", "nothing could be tried")
    hop = hops[-1]
    host_key: HostKey | None = hop.facts("host_key")
    found: Authentication | None = hop.facts("authentication")
    if found is None:
        return Verdict("no", "the server did not say what it wants", (), "see its log")
    asks = ["to confirm the host key"] if host_key and host_key.outcome == "asked" else []
    if host_key and host_key.known in {"changed", "revoked"}:  # StrictHostKeyChecking no: no secret goes there
        options = options._replace(password_authentication=False, kbd_interactive_authentication=False)
    verdict = by_methods(options, found, asks)
    stage = next(stage for stage in hop.stages if stage.name == "authentication")
    sure = verdict.login in {"yes", "asks"} or any(each.answer == "accepted" for each in found.identities)
    if stage.status == "warning" and not sure:  # what was not asked is not to be blamed
        may = "would" if verdict.login == "no" else "may"
        summary = f"a login {may} fail: {title_of(stage)}: {stage.problem}"
        verdict = verdict._replace(summary=summary, advice=stage.advice, command=stage.command)
    return verdict


def by_methods(options: Options, found: Authentication, asks: Sequence[str] = ()) -> Verdict:
    """The verdict on what the server wants of the user; `asks` is what would be asked before."""
    if found.open:
        summary, advice = "a login would work, as the server lets anybody in", "have that server ask for a proof"
        return Verdict("asks" if asks else "yes", summary, tuple(asks), advice)
    offered = found.methods or ()
    enabled = [name for name in options.preferred_authentications if name in offered and _may(options, name)]
    key = _best(found.identities, batch_mode=options.batch_mode) if "publickey" in enabled else None
    if key is not None:
        if question := _question(options, enabled[: enabled.index("publickey")]):
            asks = [*asks, question]
        elif key.needs in _ASKS:
            asks = [*asks, _ASKS[key.needs].format(key.name)]
        if key.answer is None:
            return Verdict("perhaps", f"{key.name} cannot be looked into without its passphrase", tuple(asks))
        # Whether root may log in at all, sshd looks at only when the key has been proved.
        unless = ", unless PermitRootLogin forbids it" if options.user == "root" else ""
        summary = f"a login would work, with {_called(key)}{unless}"
        return Verdict("asks" if asks else "yes", summary, tuple(asks))
    advice, command = _advice(options, found, enabled)
    ready = [each for each in found.vouchers if not each.problem and each.method in enabled]
    if found.limit is not None:  # only what comes before the keys comes to its turn
        ready = [each for each in ready if enabled.index(each.method) < enabled.index("publickey")]
    if ready:
        summary = f"a login may work {_BY[ready[0].method].format(ready[0].by)}"
        return Verdict("perhaps", summary, tuple(asks))
    if found.limit is None:
        if question := _question(options, enabled):
            what = "a password" if "password" in enabled else "an answer"
            if "publickey" not in enabled:
                return Verdict("perhaps", f"{what} decides, for no key is tried", (*asks, question))
            return Verdict("perhaps", f"no key gets in, but {what} may", (*asks, question), advice, command)
        return Verdict("no", "a login would fail: nothing that we have gets in", (), advice, command)
    return Verdict("no", "a login would fail: the server hangs up before anything gets in", (), advice, command)


def _may(options: Options, method: str) -> bool:
    return {
        "publickey": options.pubkey_authentication,
        "password": options.password_authentication,
        "keyboard-interactive": options.kbd_interactive_authentication,
        "gssapi-with-mic": options.gssapi_authentication,
        "hostbased": options.hostbased_authentication,
    }.get(method, False)


def _question(options: Options, enabled: list[str]) -> str:
    """What a login by these methods would ask for; empty for nothing."""
    if options.batch_mode or not {"password", "keyboard-interactive"}.intersection(enabled):
        return ""
    return f"for the password of {options.user}" if "password" in enabled else "what the server wants to know"


_BY = {
    "gssapi-with-mic": "by Kerberos, as {}: whether the server lets that one in is not tried here",
    "hostbased": "by {} (hostbased): whether the server believes that is not tried here",
}


def _best(identities: tuple[IdentityFacts, ...], *, batch_mode: bool) -> IdentityFacts | None:
    """The key that a login gets in with: the first that is taken and can be used; or one that cannot be looked
    into."""
    for each in identities:
        if each.answer != "accepted" or not each.within_limit or each.problem:
            continue
        if batch_mode and each.needs in {"passphrase", "pin"}:
            continue
        return each
    return next((e for e in identities if not e.type and e.needs == "passphrase" and not batch_mode), None)


def _called(key: IdentityFacts) -> str:
    whose = {"agent": " from the agent", "token": " from its token"}.get(key.source, "")
    return f"{'the certificate of ' if key.certificate else ''}{key.name or key.fingerprint}{whose}"


def copy_key(options: Options) -> str:
    """The command that puts a key where the server looks for it."""
    port = ("-p", str(options.port)) if options.port != 22 else ()
    return shlex.join(["ssh-copy-id", *port, f"{options.user}@{options.original_host}"])


def _advice(options: Options, found: Authentication, enabled: list[str]) -> tuple[str, str | None]:
    """The one thing to do first, and what to type for it."""
    accepted = [each for each in found.identities if each.answer == "accepted"]
    if late := next((each for each in accepted if not each.within_limit), None):
        times = "one refused key" if found.limit == 1 else f"{found.limit} refused keys"
        advice = f"{late.name} would do, but the server hangs up after {times}: offer it alone"
        if late.source == "agent" and not late.explicit:  # its name is a comment, and no file's
            return f"{advice}: its public half as IdentityFile, and IdentitiesOnly yes", None
        return f"{advice}, by adding:", shlex.join(["-o", "IdentitiesOnly=yes", "-i", late.name])
    if broken := next((each for each in accepted if each.problem), None):
        return f"the server would take {broken.name}, but: {broken.problem}", None
    if locked := next((each for each in accepted if each.needs != "nothing"), None):
        words = ["-s", options.pkcs11_provider or ""] if locked.source == "token" else [locked.name]
        needs = "PIN" if locked.needs == "pin" else locked.needs
        return f"BatchMode asks for no {needs}; give the key to an agent:", shlex.join(["ssh-add", *words])
    unable = [(each.problem, each) for each in found.vouchers if each.problem and each.advice]
    offered = found.methods or ()
    if not enabled:
        switched = ", ".join(SWITCHES[name] for name in offered if name in SWITCHES)
        if not switched:
            return "the server offers no way to log in that pyssh knows: ask whoever runs it", None
        return f"what the server offers is switched off here: see PreferredAuthentications, {switched}", None
    if found.limit is not None:
        return "offer only the right key: name it by IdentityFile or -i, and set IdentitiesOnly yes", None
    if "publickey" not in enabled and unable:
        problem, first = unable[0]
        return f"{problem.text}: {first.advice}", None
    if "publickey" not in enabled:
        return f"the server takes no keys: ask whoever runs it how {options.user} is to log in", None
    for problem, each in unable:
        if each.by or problem.kind == "expired ticket":  # who has had a ticket means to use it
            return f"{problem.text}: {each.advice}", None
    if surely := cure(found.skipped, sure=True):
        return surely, None
    if unusable := next((each for each in found.identities if each.present and each.problem), None):
        return f"{unusable.name}: {unusable.problem}", None
    if refused := next((each for each in found.identities if each.answer == "refused" and each.certificate), None):
        return _of_certificate(options, refused), None
    refusals = [each for each in found.identities if each.answer == "refused"]
    if refusals and all(each.source == "token" for each in refusals):
        advice = "put a key of the token into ~/.ssh/authorized_keys there; this prints them:"
        return advice, shlex.join(["pyssh", "-Z", options.original_host])
    if refusals:
        return f"check that the user is {options.user}; if so, put your key there:", copy_key(options)
    if help_ := cure(found.skipped, sure=False):
        return help_, None
    if missing := next((each for each in found.identities if each.explicit and not each.present), None):
        return f"there is no {missing.name}: correct IdentityFile or -i, or make that key with ssh-keygen", None
    return "make a key with ssh-keygen (or name yours by -i), and put it there:", copy_key(options)


def _of_certificate(options: Options, refused: IdentityFacts) -> str:
    """What helps a certificate that the server does not take."""
    kind = refused.suspicion.kind if refused.suspicion else "refused"
    if kind == "refused: edge of time":
        return "set the clocks of both sides: the certificate begins or ends just now"
    if kind in CURES:
        return CURES[kind].format(user=options.user)
    return (
        "ask whoever runs the server why it refuses the certificate: its log tells (another authority in"
        f" TrustedUserCAKeys, its clock, {options.user} or this address not allowed)"
    )
