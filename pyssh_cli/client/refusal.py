"""What is told of a refusal, before ssh's line that ends it: what was tried, what the server takes, what may help.

Only words are made here; whether anybody wants to read them is the authenticator's to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


_CURES = (
    ("the certificate is expired", "have {name} renewed, unless the clock here is wrong"),
    ("the certificate is not yet valid", "set the clock here, if it is wrong; else {name} is for later"),
    ("the certificate is not a user", "have {name} signed as a user's (ssh-keygen -s without -h)"),
    ("holds no certificate", "correct CertificateFile: there is no certificate in {name}"),
    ("there is no private key", "put the private key of {name} beside it, or into the agent"),
    ("bad permissions", "let nobody else read the key that was skipped (chmod 600)"),
    ("IdentitiesOnly leaves", "name the right one of them by IdentityFile, or set IdentitiesOnly no"),
    ("no SecurityKeyProvider", "set SecurityKeyProvider (internal, or a library) for {name}"),
    ("it shows no key", "plug in the token that {name} is to find"),
    ("it is not a PKCS11", "correct PKCS11Provider"),
    ("it needs the Python", "install the Python package python-pkcs11 where pyssh is (its extra pkcs11)"),
    ("pin required", "BatchMode asks for no PIN: give the token's keys to an agent (ssh-add -s)"),
    ("PubkeyAcceptedAlgorithms", "let PubkeyAcceptedAlgorithms have its type, or take another key"),
    ("RequiredRSASize", "take a longer RSA key, or an Ed25519 one"),
    ("cannot connect", "name a private key by -i or IdentityFile, or start the agent (ssh-agent) and ssh-add one"),
    ("it holds no key", "name a private key by -i or IdentityFile, or ssh-add one (ssh-add -X unlocks an agent)"),
    ("agent", "name a private key by -i or IdentityFile, or start the agent anew"),
)
"""What stands in the reason why a key is not tried, and what helps, what is surest first."""

SURE = 5
"""How many of them come before what helps a key that is refused: it may be the certificate's own."""


def cure(skipped: Sequence[tuple[str, str]], *, sure: bool) -> str:
    """What helps a key that was not tried; with `sure`, only where another that was tried tells nothing."""
    for sign, help_ in _CURES[:SURE] if sure else _CURES:
        for name, reason in skipped:
            if sign in reason:
                return help_.format(name=name)
    return ""


_ASKING = ("password", "keyboard-interactive")
"""Methods that ask the person."""

_TICKETS = (
    ("package gssapi", "install the Python package gssapi where pyssh is (its extra gssapi)"),
    ("contact any KDC", "see whether this machine reaches the realm's KDC (krb5.conf, network, VPN)"),
    ("not found in Kerberos", "the realm does not know the host by that name: GSSAPIServerIdentity gives another"),
    ("lock skew", "set the clock here: it and the KDC's differ too much"),
    ("expired", "get a new Kerberos ticket with kinit"),
    ("", "get a Kerberos ticket with kinit"),
)
"""What stands in the reason why there is no proof by Kerberos, and what helps."""


def ticket_cure(reason: str) -> str:
    """What helps where there is no proof by Kerberos, for this reason."""
    return next(help_ for sign, help_ in _TICKETS if sign in reason)


class Refusal:
    """One refusal. `tried` is what was tried and what came of it each time, in order; `skipped` are keys that were
    not, and why; `offered` are the methods that the server would go on with, `enabled` those that we may use;
    `too_many` tells that the server hung up after too many failures. None of it is clean; the text is."""

    def __init__(
        self,
        options: Options,
        tried: Mapping[str, Sequence[str]],
        skipped: Sequence[tuple[str, str]],
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
        lines = _listed("Tried", [f"{what} ({_outcome(outcomes)})" for what, outcomes in self._tried.items()])
        lines += _listed("Skipped", [f"{name} ({reason})" for name, reason in self._skipped])
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
        if self._too_many and sum(map(_is_key, self._tried)) != 1 and not self._has_answered():
            return [
                "the server gives up after a few keys; name the right one by -i or IdentityFile,"
                " and set IdentitiesOnly yes so that no others are tried"
            ]
        if any("wants more" in outcome for outcomes in self._tried.values() for outcome in outcomes):
            return ["the server wants another proof beside the one it took: another key (-i), or what it asks for"]
        steps = [step for step in (self._switched_off(), self._keys(), self._answers(), self._tickets()) if step]
        if any(step.startswith("check the ") for step in steps):
            steps = [*steps[:3], "else the server's log says why: a locked account, AllowUsers, a missing shell"]
        return steps[:4] or [f"check that the user is right ({self._user()})"]

    def _user(self) -> str:
        return f"{self._options.user}; User or -l gives another"

    def _has_answered(self) -> bool:
        """Whether the person's own answers were refused."""
        return any("refused" in outcome for name in _ASKING for outcome in self._tried.get(name, ()))

    def _switched_off(self) -> str:
        names = [SWITCHES[name] for name in self._offered if name in SWITCHES and name not in self._enabled]
        if not names or any(name in self._enabled for name in self._offered):
            return ""
        return f"all that the server takes is switched off here ({', '.join(names)}, PreferredAuthentications)"

    def _keys(self) -> str:
        if "publickey" not in self._offered or "publickey" not in self._enabled:
            return ""
        o = self._options
        outcomes = {outcome for what, said in self._tried.items() if _is_key(what) for outcome in said}
        if surely := cure(self._skipped, sure=True):
            refused = any(outcome.startswith("refused") for outcome in outcomes)
            return f"{surely}; or {self._right_key()}" if refused else surely
        if any("its certificate is for" in outcome for outcome in outcomes):
            return f"log in as one of those the certificate is for (-l), or have {o.user} put into a new one"
        if any("clock may be" in outcome for outcome in outcomes):
            return "have the clock of the server set, or wait until its time fits the certificate's"
        if any("certificate is signed with SHA-1" in outcome for outcome in outcomes):
            return "have the certificate signed by something newer (ssh-keygen -s CA -t rsa-sha2-512)"
        if any("signed with SHA-2" in outcome for outcome in outcomes):
            return (
                "a server this old may check RSA keys with SHA-1 only: PubkeyAcceptedAlgorithms +ssh-rsa lets it,"
                f" though SHA-1 is weak, and an Ed25519 or ECDSA key is better; {self._right_key()}"
            )
        if any(outcome.startswith("refused") for outcome in outcomes):
            return self._right_key()
        if any("may not be read" in outcome for outcome in outcomes):
            return "see whose the key file is (ls -l), and let yourself alone read it (chmod 600)"
        if any("it could not" in outcome for outcome in outcomes) and not any(
            "bad permissions" in reason for _, reason in self._skipped
        ):
            otherwise = "go without BatchMode" if o.batch_mode else "run it on a terminal"
            return f"open the key once with ssh-add, so that an agent has it, or {otherwise}"
        otherwise = "name a private key by -i or IdentityFile, or make one with ssh-keygen"
        return cure(self._skipped, sure=False) or otherwise

    def _right_key(self) -> str:
        return (
            f"check the user ({self._user()}), and that the key's public half is in"
            f" ~/.ssh/authorized_keys there (ssh-copy-id puts it there){self._or_its_authority()}"
        )

    def _or_its_authority(self) -> str:
        certified = any("-CERT " in what for what in self._tried)
        return ", or its certificate's authority in TrustedUserCAKeys" if certified else ""

    def _answers(self) -> str:
        asked = [name for name in _ASKING if name in self._offered]
        if not asked or not self._enabled.intersection(asked):
            return ""
        outcomes = {outcome for name in asked for outcome in self._tried.get(name, ())}
        if any("without another question" in self._tried[name][-1] for name in asked if self._tried.get(name)):
            from pyssh_cli.client.hints import ACCOUNT

            return f"the answer seems right, but {ACCOUNT}: the server's log says why"
        if "refused" in outcomes:
            return f"check the password of {self._options.user}"
        if "nowhere to ask for it" in outcomes:
            return "to be asked for a password, run it on a terminal or set SSH_ASKPASS"
        return ""

    def _tickets(self) -> str:
        outcomes = self._tried.get("gssapi-with-mic", ())
        wanted = self._options.gssapi_delegate_credentials or self._offered == ("gssapi-with-mic",)
        if not outcomes or not (wanted or any("expired" in outcome for outcome in outcomes)):
            return ""
        if "refused" in outcomes:
            return f"the server does not let the ticket's owner in as {self._options.user}: see ~/.k5login there"
        return ticket_cure(outcomes[0])


def _is_key(what: str) -> bool:
    """Whether what was tried is a key of the person's."""
    return what not in SWITCHES and not what.startswith(("host key", "new password"))


def _outcome(outcomes: Sequence[str]) -> str:
    """Outcomes in order, those in a row that are the same as one."""
    parts: list[tuple[str, int]] = []
    for outcome in outcomes:
        if parts and parts[-1][0] == outcome:
            parts[-1] = (outcome, parts[-1][1] + 1)
        else:
            parts.append((outcome, 1))
    return ", ".join(f"{outcome} {count} times" if count > 1 else outcome for outcome, count in parts)


def _listed(title: str, items: list[str]) -> list[str]:
    """The items, cleaned, one on the title's line and the others below it."""
    if len(items) > _SHOWN:
        items = [*items[: _SHOWN - 1], f"... and {len(items) - _SHOWN + 1} more (-v tells all)"]
    indent = " " * (len(title) + 2)
    return [f"{indent if number else title + ': '}{printable(item)}" for number, item in enumerate(items)]
