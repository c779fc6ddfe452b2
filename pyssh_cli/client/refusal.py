"""What is told of a refusal, before ssh's line that ends it: what was tried, what the server takes, what may help.

Only words are made here; whether anybody wants to read them is the authenticator's to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyssh_cli.client.outcomes import REFUSALS, Attempt, Kind, Outcome, Skipped
from pyssh_cli.client.user_certificates import CURES
from pyssh_cli.config.options import Options
from pyssh_cli.log import printable

_SHOWN = 8
"""Lines of what was tried, and of what was skipped, before the rest is only counted."""

SWITCHES = {
    "gssapi-with-mic": "GSSAPIAuthentication",
    "hostbased": "HostbasedAuthentication",
    "publickey": "PubkeyAuthentication",
    "keyboard-interactive": "KbdInteractiveAuthentication",
    "password": "PasswordAuthentication",
}
"""What lets each method be used (ssh_config(5))."""


_SURE: dict[Kind, str] = {
    "expired": "have {name} renewed, unless the clock here is wrong",
    "not yet valid": "set the clock here, if it is wrong; else {name} is for later",
    "not a user's": "have {name} signed as a user's (ssh-keygen -s without -h)",
    "no certificate": "correct CertificateFile: there is no certificate in {name}",
    "no private key": "put the private key of {name} beside it, or into the agent",
}
"""What helps a key that was not tried and may be the right one, whatever became of others; the surest first."""

_CURES: dict[Kind, str] = {
    **_SURE,
    "open to others": "let nobody else read the key that was skipped (chmod 600)",
    "left out": "name the right one of them by IdentityFile, or set IdentitiesOnly no",
    "no provider": "set SecurityKeyProvider (internal, or a library) for {name}",
    "no token": "plug in the token that {name} is to find",
    "no PKCS#11 library": "correct PKCS11Provider",
    "no PKCS#11 package": "install the Python package python-pkcs11 where pyssh is (its extra pkcs11)",
    "PIN": "BatchMode asks for no PIN: give the token's keys to an agent (ssh-add -s)",
    "algorithm": "let PubkeyAcceptedAlgorithms have its type, or take another key",
    "too short": "take a longer RSA key, or an Ed25519 one",
    "no agent": "name a private key by -i or IdentityFile, or start the agent (ssh-agent) and ssh-add one",
    "empty agent": "name a private key by -i or IdentityFile, or ssh-add one (ssh-add -X unlocks an agent)",
    "sick agent": "name a private key by -i or IdentityFile, or start the agent anew",
}
"""The same where none that was tried has been refused."""


def cure(skipped: Sequence[Skipped], *, sure: bool) -> str:
    """What helps a key that was not tried; with `sure`, only where another that was tried tells nothing."""
    for kind, help_ in (_SURE if sure else _CURES).items():
        for each in skipped:
            if each.outcome.kind == kind:
                return help_.format(name=each.name)
    return ""


_ASKING = ("password", "keyboard-interactive")
"""Methods that ask the person."""

_KERBEROS = "gssapi-with-mic"

_TICKETS: dict[Kind, str] = {
    "no GSSAPI package": "install the Python package gssapi where pyssh is (its extra gssapi)",
    "no KDC": "see whether this machine reaches the realm's KDC (krb5.conf, network, VPN)",
    "host unknown to the KDC": (
        "the realm does not know the host by that name: GSSAPIServerIdentity gives another"
    ),
    "clock skew": "set the clock here: it and the KDC's differ too much",
    "expired ticket": "get a new Kerberos ticket with kinit",
}
"""What helps where there is no proof by Kerberos."""


def ticket_cure(kind: Kind) -> str:
    """What helps where there is no proof by Kerberos, for a reason of this kind."""
    return _TICKETS.get(kind, "get a Kerberos ticket with kinit")


class Refusal:
    """One refusal. `tried` is what was tried and what came of it each time, in order; `skipped` are keys that were
    not, and why; `offered` are the methods that the server would go on with, `enabled` those that we may use;
    `too_many` tells that the server hung up after too many failures. None of it is clean; the text is."""

    def __init__(
        self,
        options: Options,
        tried: Mapping[Attempt, Sequence[Outcome]],
        skipped: Sequence[Skipped],
        offered: Sequence[str],
        enabled: set[str],
        too_many: bool = False,
    ) -> None:
        self._options = options
        self._tried = tried
        self._skipped = skipped
        self._offered = offered
        self._enabled = enabled
        self._too_many = too_many

    def text(self) -> str:
        """The block, a few lines without an end of line."""
        # No "password:" among them: programs that answer for a person wait for that.
        lines = _listed("Tried", [f"{each.what} ({_told(outcomes)})" for each, outcomes in self._tried.items()])
        lines += _listed("Skipped", [f"{each.name} ({each.outcome.text})" for each in self._skipped])
        if not lines:
            lines = ["Nothing could be tried."]
        if self._offered:
            lines.append(f"The server takes: {printable(', '.join(self._offered))}")
        return "\n".join([*lines, f"What may help: {printable(self.advice())}"])

    def advice(self) -> str:
        """The likely next steps."""
        return "; ".join(self._steps())

    def hint(self) -> str:
        """The likeliest of them, for the end of ssh's line where nobody is there to read a block."""
        return f" ({printable(self._steps()[0])})"

    def _steps(self) -> list[str]:
        if self._too_many and self._offered and "publickey" not in self._offered:
            return [
                "the server counts the key that was sent ahead as a try, and takes no keys;"
                f" leave them out by PreferredAuthentications {printable(self._offered[0])}"
            ]
        keys = [each for each in self._tried if each.method == "publickey"]
        if self._too_many and len(keys) != 1 and not self._has_answered():
            return [
                "the server gives up after a few keys; name the right one by -i or IdentityFile,"
                " and set IdentitiesOnly yes so that no others are tried"
            ]
        if "wants more" in self._kinds():
            return ["the server wants another proof beside the one it took: another key (-i), or what it asks for"]
        steps = [step for step in (self._switched_off(), self._keys(), self._answers(), self._tickets()) if step]
        if any(step in {self._right_key(), self._right_password()} for step in steps):
            steps = [*steps[:3], "else the server's log says why: a locked account, AllowUsers, a missing shell"]
        return steps[:4] or [f"check that the user is right ({self._user()})"]

    def _kinds(self, *methods: str) -> set[Kind]:
        """What came of all that was tried by these methods; by none, of everything."""
        some = (said for each, said in self._tried.items() if not methods or each.method in methods)
        return {outcome.kind for said in some for outcome in said}

    def _user(self) -> str:
        return f"{self._options.user}; User or -l gives another"

    def _has_answered(self) -> bool:
        """Whether the person's own answers were refused."""
        return not self._kinds(*_ASKING).isdisjoint({"refused", "refused: account"})

    def _switched_off(self) -> str:
        names = [SWITCHES[name] for name in self._offered if name in SWITCHES and name not in self._enabled]
        if not names or any(name in self._enabled for name in self._offered):
            return ""
        return f"all that the server takes is switched off here ({', '.join(names)}, PreferredAuthentications)"

    def _keys(self) -> str:
        if "publickey" not in self._offered or "publickey" not in self._enabled:
            return ""
        o = self._options
        kinds = self._kinds("publickey")
        refused = not kinds.isdisjoint(REFUSALS)
        if surely := cure(self._skipped, sure=True):
            return f"{surely}; or {self._right_key()}" if refused else surely
        if help_ := next((text for kind, text in CURES.items() if kind in kinds), ""):
            return help_.format(user=o.user)
        if "refused: old server" in kinds:
            return (
                "a server this old may check RSA keys with SHA-1 only: PubkeyAcceptedAlgorithms +ssh-rsa lets it,"
                f" though SHA-1 is weak, and an Ed25519 or ECDSA key is better; {self._right_key()}"
            )
        if refused:
            return self._right_key()
        if "unreadable" in kinds:
            return "see whose the key file is (ls -l), and let yourself alone read it (chmod 600)"
        if "unusable" in kinds and not any(each.outcome.kind == "open to others" for each in self._skipped):
            otherwise = "go without BatchMode" if o.batch_mode else "run it on a terminal"
            return f"open the key once with ssh-add, so that an agent has it, or {otherwise}"
        otherwise = "name a private key by -i or IdentityFile, or make one with ssh-keygen"
        unfit = [
            Skipped(each.what, outcome)
            for each, outcomes in self._tried.items()
            for outcome in outcomes
            if each.method == "publickey"
        ]
        return cure([*unfit, *self._skipped], sure=False) or otherwise

    def _right_key(self) -> str:
        return (
            f"check the user ({self._user()}), and that the key's public half is in"
            f" ~/.ssh/authorized_keys there (ssh-copy-id puts it there){self._or_its_authority()}"
        )

    def _or_its_authority(self) -> str:
        certified = any(each.certified for each in self._tried)
        return ", or its certificate's authority in TrustedUserCAKeys" if certified else ""

    def _right_password(self) -> str:
        return f"check the password of {self._options.user}"

    def _answers(self) -> str:
        asked = [name for name in _ASKING if name in self._offered]
        if not asked or not self._enabled.intersection(asked):
            return ""
        kinds = self._kinds(*asked)
        last = [said[-1].kind for each, said in self._tried.items() if each.method in asked]
        if "refused: account" in last:
            from pyssh_cli.client.hints import ACCOUNT

            return f"the answer seems right, but {ACCOUNT}: the server's log says why"
        if "refused" in kinds:
            return self._right_password()
        if "nobody to ask" in kinds:
            return "to be asked for a password, run it on a terminal or set SSH_ASKPASS"
        return ""

    def _tickets(self) -> str:
        outcomes = [outcome for each, said in self._tried.items() if each.method == _KERBEROS for outcome in said]
        kinds = self._kinds(_KERBEROS)
        wanted = self._options.gssapi_delegate_credentials or self._offered == (_KERBEROS,)
        if not outcomes or not (wanted or "expired ticket" in kinds):
            return ""
        if "refused" in kinds:
            return f"the server does not let the ticket's owner in as {self._options.user}: see ~/.k5login there"
        return ticket_cure(outcomes[0].kind)


def _told(outcomes: Sequence[Outcome]) -> str:
    """Outcomes in order, those in a row that are the same as one."""
    parts: list[tuple[str, int]] = []
    for outcome in outcomes:
        if parts and parts[-1][0] == outcome.text:
            parts[-1] = (outcome.text, parts[-1][1] + 1)
        else:
            parts.append((outcome.text, 1))
    return ", ".join(f"{text} {count} times" if count > 1 else text for text, count in parts)


def _listed(title: str, items: list[str]) -> list[str]:
    """The items, cleaned, one on the title's line and the others below it."""
    if len(items) > _SHOWN:
        items = [*items[: _SHOWN - 1], f"... and {len(items) - _SHOWN + 1} more (-v tells all)"]
    indent = " " * (len(title) + 2)
    return [f"{indent if number else title + ': '}{printable(item)}" for number, item in enumerate(items)]
