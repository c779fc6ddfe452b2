"""`--diagnose`: the verdict, the report and the JSON object, from facts that no server had to be asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.client.diagnose import Request, _Examination
from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.report import MAX_TEXT, WIDTH, Report
from pyssh_cli.client.diagnose.verdict import judge
from pyssh_cli.client.outcomes import Kind, Outcome, Skipped
from pyssh_cli.colour import Paint, wants_colour
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.log import Log
from pyssh_cli.net.names import SystemNetwork
from tests.unit.test_diagnose_weaknesses import hop as connected
from tests.unit.test_diagnose_weaknesses import stage

ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e\r"
HOME = "/home/ann"


@pytest.fixture
def options(tmp_path: Path) -> Options:
    config = tmp_path / "config"
    config.write_text("User ann\nGSSAPIAuthentication no\n")
    return resolve(Settings(), "box", SystemNetwork(), Log(), config_file=str(config))


def identity(name: str = "/k", **given: Any) -> f.IdentityFacts:
    usual = f.IdentityFacts(
        name, "file", True, True, "ED25519", 256, "SHA256:x", "nothing", None, "ssh-ed25519", "accepted", True
    )
    return usual._replace(**given)


def hop(*identities: f.IdentityFacts, methods: tuple[str, ...] = ("publickey", "password"), **given: Any) -> f.Hop:
    """A host that says this of the user; `given` is more of that, and `outcome` and `known` of its key."""
    outcome, known = given.pop("outcome", "accepted"), given.pop("known", "known")
    usual = f.Authentication(methods, False, None, None, (), identities, (), None, 1)._replace(**given)
    key = connected().facts("host_key")._replace(outcome=outcome, known=known)
    others = [each for each in connected().stages if each.name not in {"host_key", "authentication"}]
    stages = (*others, stage("host_key", key), stage("authentication", usual))
    return connected()._replace(stages=stages)


def verdict(options: Options, *identities: f.IdentityFacts, **given: Any) -> f.Verdict:
    return judge(options, (), (hop(*identities, **given),))


# The verdict -----------------------------------------------------------------------------------------------------


def test_a_key_that_is_taken(options: Options) -> None:
    found = verdict(options, identity("/a", answer="refused"), identity("/b"))
    assert (found.login, found.possible, found.asks) == ("yes", True, ())
    assert "/b" in found.summary


@pytest.mark.parametrize(("needs", "asks"), [
    ("passphrase", "for the passphrase of /k"),
    ("touch", "for a touch of /k"),
    ("pin", "for the PIN of /k"),
])  # fmt: skip
def test_a_key_that_needs_the_person(options: Options, needs: str, asks: str) -> None:
    found = verdict(options, identity(needs=needs))
    assert (found.login, found.asks) == ("asks", (asks,))


def test_an_unknown_host_is_asked_about_first(options: Options) -> None:
    found = verdict(options, identity(needs="passphrase"), outcome="asked")
    assert (found.login, found.asks) == ("asks", ("to confirm the host key", "for the passphrase of /k"))


@pytest.mark.parametrize(("needs", "login"), [("passphrase", "no"), ("pin", "no"), ("touch", "asks")])
def test_batch_mode_gives_no_passphrase(options: Options, needs: str, login: str) -> None:
    found = verdict(options._replace(batch_mode=True), identity(needs=needs))
    assert found.login == login
    if login == "no":
        assert found.command == "ssh-add /k"


def test_a_password_is_all_there_is(options: Options) -> None:
    found = verdict(options, methods=("password",))
    assert (found.login, found.asks, found.advice) == ("perhaps", ("for the password of ann",), None)
    assert verdict(options._replace(batch_mode=True), methods=("password",)).login == "no"
    assert verdict(options, methods=("keyboard-interactive",)).asks == ("what the server wants to know",)


def test_a_password_that_is_preferred_is_asked_for_first(options: Options) -> None:
    preferring = options._replace(preferred_authentications=("password", "publickey"))
    assert verdict(preferring, identity()).asks == ("for the password of ann",)


def test_no_password_goes_to_a_host_with_another_key(options: Options) -> None:
    assert verdict(options, identity(answer="refused"), known="changed").login == "no"
    assert verdict(options, identity(), known="changed").login == "yes"


def test_no_key_is_taken(options: Options) -> None:
    found = verdict(options, identity(answer="refused"))
    assert (found.login, found.command) == ("perhaps", "ssh-copy-id ann@box")
    found = verdict(options._replace(port=2222), identity(answer="refused"), methods=("publickey",))
    assert (found.login, found.possible) == ("no", False)
    assert found.command == "ssh-copy-id -p 2222 ann@box"


def test_there_is_no_key(options: Options) -> None:
    found = verdict(options, methods=("publickey",))
    assert found.login == "no"
    assert "ssh-keygen" in (found.advice or "")


def test_the_right_key_comes_too_late(options: Options) -> None:
    keys = [identity("/a", answer="refused"), identity("/my key", within_limit=False)]
    found = verdict(options, *keys, limit=1)
    assert (found.login, found.command) == ("no", "-o IdentitiesOnly=yes -i '/my key'")


def test_the_server_hangs_up_before_any_key_is_right(options: Options) -> None:
    found = verdict(options, identity(answer="refused"), identity("/b", answer=None), limit=1)
    assert found.login == "no"  # nor is the password asked for any more
    assert "IdentitiesOnly" in (found.advice or "")


def test_a_key_that_is_taken_and_cannot_be_used(options: Options) -> None:
    found = verdict(options, identity(problem="permissions 0644 are too open"), methods=("publickey",))
    assert found.login == "no"
    assert "permissions 0644" in (found.advice or "")


def test_a_key_whose_public_half_is_locked_away(options: Options) -> None:
    found = verdict(options, identity(answer=None, type=None, needs="passphrase"))
    assert (found.login, found.asks) == ("perhaps", ("for the passphrase of /k",))


def test_all_that_is_offered_is_switched_off_here(options: Options) -> None:
    found = verdict(options._replace(password_authentication=False), methods=("password",))
    assert found.login == "no"
    assert "PasswordAuthentication" in (found.advice or "")
    found = verdict(options._replace(pubkey_authentication=False), identity(), methods=("publickey",))
    assert "PubkeyAuthentication" in (found.advice or "")


def test_methods_that_nobody_knows(options: Options) -> None:
    for methods in (("pidgin",), ()):
        found = verdict(options, identity(), methods=methods)
        assert found.login == "no"
        assert "no way to log in that pyssh knows" in (found.advice or "")


def test_keys_that_could_not_be_asked_about(options: Options) -> None:
    """That a server falls silent says nothing against the keys that it was not asked about."""

    def with_warning(*identities: f.IdentityFacts, **given: Any) -> f.Verdict:
        one = hop(*identities, **given)
        silent = one.stages[-1]._replace(status="warning", problem="it fell silent", advice="see its log")
        return judge(options, (), (one._replace(stages=(*one.stages[:-1], silent)),))

    found = with_warning(identity(answer=None), methods=("publickey",))
    assert (found.login, found.advice, found.command) == ("no", "see its log", None)
    assert found.summary == "a login would fail: login: it fell silent"
    assert with_warning(identity(answer=None)).summary == "a login may fail: login: it fell silent"
    assert with_warning(identity()).login == "yes"


def test_root_may_be_kept_out_all_the_same(options: Options) -> None:
    assert "PermitRootLogin" in verdict(options._replace(user="root"), identity()).summary
    assert "PermitRootLogin" not in verdict(options, identity()).summary


def test_other_proofs_may_do(options: Options) -> None:
    on = options._replace(hostbased_authentication=True)
    ready = f.Voucher("hostbased", "this host's own key", None, None, None)
    assert verdict(on, methods=("hostbased",), vouchers=(ready,)).login == "perhaps"
    missing = f.Voucher("hostbased", None, None, Outcome("no host key"), "make one")
    found = verdict(on, methods=("hostbased",), vouchers=(missing,))
    assert (found.login, found.advice) == ("no", "no host key: make one")
    assert verdict(options, methods=("hostbased",)).login == "no"


TICKET = f.Voucher("gssapi-with-mic", "ann@R", 7300, None, None)


def test_kerberos(options: Options) -> None:
    on = options._replace(gssapi_authentication=True)
    methods = ("publickey", "gssapi-with-mic")
    found = verdict(on, identity(answer="refused"), methods=methods, vouchers=(TICKET,))
    assert (found.login, "as ann@R" in found.summary) == ("perhaps", True)
    assert verdict(on, identity(), methods=methods, vouchers=(TICKET,)).login == "yes"
    hung_up = verdict(on, identity(answer="refused"), methods=methods, vouchers=(TICKET,), limit=1)
    assert hung_up.login == "perhaps"  # it comes before the keys
    later = on._replace(preferred_authentications=("publickey", "gssapi-with-mic"))
    assert verdict(later, identity(answer="refused"), methods=methods, vouchers=(TICKET,), limit=1).login == "no"
    # Whoever has had a ticket means to use it; who has none may never have heard of it.
    expired = TICKET._replace(problem=Outcome("it has expired", "expired ticket"), advice="kinit")
    assert verdict(on, identity(answer="refused"), methods=methods, vouchers=(expired,)).advice == (
        "it has expired: kinit"
    )
    none = TICKET._replace(by=None, problem=Outcome("there is no ticket", "no ticket"), advice="kinit")
    found = verdict(on, identity(answer="refused"), methods=methods, vouchers=(none,))
    assert (found.command or "").startswith("ssh-copy-id")
    found = verdict(on, methods=("gssapi-with-mic",), vouchers=(none,))
    assert (found.login, found.advice) == ("no", "there is no ticket: kinit")


def skip(kind: Kind, name: str = "/k", text: str = "?") -> Skipped:
    return Skipped(name, Outcome(text, kind))


@pytest.mark.parametrize(("kind", "advice"), [
    ("expired", "have /k renewed, unless the clock"),
    ("not yet valid", "set the clock here"),
    ("no certificate", "correct CertificateFile"),
])  # fmt: skip
def test_a_certificate_that_is_not_tried(options: Options, kind: Kind, advice: str) -> None:
    refused = identity(answer="refused")
    found = verdict(options, refused, methods=("publickey",), skipped=(skip("sick agent"), skip(kind)))
    assert found.advice is not None
    assert found.advice.startswith(advice)


@pytest.mark.parametrize(("kind", "advice"), [
    ("left out", "IdentitiesOnly no"),
    ("no agent", "start the agent (ssh-agent)"),
    ("empty agent", "ssh-add -X"),
    ("sick agent", "start the agent anew"),
    ("no token", "plug in the token that /k is"),
    ("PIN", "ssh-add -s"),
    ("no provider", "set SecurityKeyProvider"),
])  # fmt: skip
def test_keys_that_are_not_tried(options: Options, kind: Kind, advice: str) -> None:
    found = verdict(options, methods=("publickey",), skipped=(skip(kind),))
    assert advice in (found.advice or "")
    refused = verdict(options, identity(answer="refused"), methods=("publickey",), skipped=(skip(kind),))
    assert (refused.command or "").startswith("ssh-copy-id")


@pytest.mark.parametrize(("kind", "advice"), [
    ("refused: other principals", "have ann put into a new one"),
    ("refused: edge of time", "set the clocks"),
    ("refused: signed with SHA-1", "rsa-sha2-512"),
    (None, "TrustedUserCAKeys"),
])  # fmt: skip
def test_a_certificate_that_is_refused(options: Options, kind: Kind | None, advice: str) -> None:
    suspicion = Outcome("?", kind) if kind else None
    keys = identity(answer="refused"), identity(answer="refused", certificate="for x", suspicion=suspicion)
    found = verdict(options, *keys, methods=("publickey",))
    assert (found.login, advice in (found.advice or "")) == ("no", True)


def test_keys_of_a_token(options: Options) -> None:
    found = verdict(options, identity("label", source="token", needs="pin"))
    assert (found.login, found.asks) == ("asks", ("for the PIN of label",))
    assert found.summary.endswith("label from its token")
    refused = identity("label", source="token", needs="pin", answer="refused")
    assert verdict(options, refused, methods=("publickey",)).command == "pyssh -Z box"
    batch = options._replace(batch_mode=True, pkcs11_provider="/lib.so")
    found = verdict(batch, identity("label", source="token", needs="pin"))
    assert (found.advice, found.command) == (
        "BatchMode asks for no PIN; give the key to an agent:", "ssh-add -s /lib.so"
    )  # fmt: skip


def test_a_key_file_that_is_not_there(options: Options) -> None:
    found = verdict(options, identity("/gone", present=False, type=None, answer=None), methods=("publickey",))
    assert (found.login, "there is no /gone" in (found.advice or "")) == ("no", True)


def test_a_server_that_lets_anybody_in(options: Options) -> None:
    found = verdict(options, open=True, methods=None)
    assert (found.login, found.advice) == ("yes", "have that server ask for a proof")


def failed(name: str, status: f.Status = "failed") -> f.Stage:
    return f.Stage(name, status, 5.0, "it is broken", "mend it", "mend --now", None)


def test_the_first_failure_is_the_verdict(options: Options) -> None:
    broken = connected()._replace(stages=(stage("names", f.Names("box", ())), failed("reach")))
    found = judge(options, (), (broken,))
    assert (found.login, found.advice, found.command) == ("no", "mend it", "mend --now")
    assert found.summary == "a login would fail: connecting: it is broken"
    found = judge(None, (failed("configuration"),), ())
    assert found.summary == "a login would fail: configuration: it is broken"
    assert judge(None, (), ()).login == "no"


def test_at_which_hop_it_is(options: Options) -> None:
    jump = connected()._replace(role="jump", name="gate", stages=(failed("version"),))
    assert judge(options, (), (jump,)).summary == "a login would fail, at gate: version: it is broken"
    waiting = jump._replace(stages=(failed("authentication", "asks"),))
    found = judge(options, (), (waiting,))
    assert (found.login, found.possible) == ("perhaps", True)
    assert found.summary == "beyond gate nothing is known: it is broken"


def test_a_warning_decides_nothing(options: Options) -> None:
    assert judge(options, (failed("agent", "warning"),), (hop(identity()),)).login == "yes"


# The report ------------------------------------------------------------------------------------------------------


def report(*, colour: bool = False) -> Report:
    return Report(Paint(colour), HOME)


def diagnosis(options: Options, *hops: f.Hop, weak: tuple[f.Weakness, ...] = ()) -> f.Diagnosis:
    found = judge(options, (), hops)
    asks, advice = found.asks, found.advice
    return f.Diagnosis(
        "1.0", "box", found.login, found.possible, found.summary, asks, advice, found.command, (), hops, weak, 5.0
    )


def whole(options: Options, *hops: f.Hop, stages: tuple[f.Stage, ...] = (), colour: bool = False) -> list[str]:
    """All lines of a report."""
    made = report(colour=colour)
    lines = made.heading("box")
    for each in stages:
        lines += made.stage(each)
    for one in hops:
        lines += made.hop(one, alone=len(hops) == 1)
        for each in one.stages:
            lines += made.stage(each)
    return lines + made.end(diagnosis(options, *hops))


MORE = (
    stage(
        "configuration", f.Configuration((f.File("/home/ann/.ssh/config", True, ("1: Host box", "3: Host *")),))
    ),
    stage("agent", f.Agent("/run/agent", 1)),
    stage("forwards", f.Forwards((f.Forwarding("local", "8080 [web]:80", True, None),))),
)
REACHED = (
    stage("names", f.Names("box.test", (f.Address("192.0.2.1", "inet"), f.Address("2001:db8::1", "inet6")))),
    stage("reach", f.Way("tcp", None, (
        f.Attempt("192.0.2.1", 20.0, "Connection refused", False), f.Attempt("2001:db8::1", 30.0, None, True),
    ))),
)  # fmt: skip
FAR = stage("round_trip", f.RoundTrip(12.3, (f.Sample("TCP connect", 12.3),), 1.0, 2))


def test_what_a_person_reads(options: Options) -> None:
    one = hop(
        identity("/home/ann/.ssh/id_ed25519"), identity("/home/ann/.ssh/id_rsa", present=False, explicit=False)
    )
    one = one._replace(stages=(*REACHED, *one.stages, FAR))
    text = "\n".join(whole(options, one, stages=MORE))
    for expected in (
        "Diagnosis of box",
        "~/.ssh/config",
        "line 1: Host box",
        "1 key at /run/agent",
        "local 8080 [web]:80: free",
        "ann@box (box.test port 22)",
        "192.0.2.1, 2001:db8::1",
        "2001:db8::1 (used)",
        "192.0.2.1: Connection refused",
        "mlkem768x25519-sha256, post-quantum",
        "ED25519, known: f:1",
        "accepted: ~/.ssh/id_ed25519",
        "2 segments had to be sent again",
        "Yes: a login would work, with ~/.ssh/id_ed25519.",
    ):
        assert expected in text
    assert "Host *" not in text
    assert "id_rsa" not in text  # nobody asked for it, and it is not there
    assert "\x1b" not in text


def test_no_line_is_too_wide_where_it_can_be_broken(options: Options) -> None:
    names = ["word " * 40, "/home/ann/" + "d/" * 20 + "k"]
    one = hop(*(identity(name, answer="refused", problem="what is wrong " * 10) for name in names))
    lines = whole(options, one._replace(stages=(*REACHED, *one.stages, FAR)), stages=MORE)
    too_wide = [line for line in lines if len(line) > WIDTH]
    assert all(len(line.split()) <= 3 for line in too_wide), too_wide


def test_what_is_wrong_is_said_once(options: Options) -> None:
    taken = f.Forwarding("local", "8080 [web]:80", False, "Address already in use")
    bad = f.Stage(
        "forwards", "warning", 1.0, "8080 [web]:80: Address already in use", "end it", None, f.Forwards((taken,))
    )
    lines = whole(options, hop(identity()), stages=(bad,))
    assert sum("Address already in use" in line for line in lines) == 1
    assert any(line.strip() == "-> end it" for line in lines)


def test_a_failure_and_what_to_do_first(options: Options) -> None:
    one = connected()._replace(stages=(failed("version"),))
    lines = whole(options, one)
    assert any(line.startswith(" NO version") and "it is broken" in line for line in lines)
    assert lines[-3:] == ["No: a login would fail: version: it is broken.", "First: mend it", "  mend --now"]


def test_commands_are_whole_lines_to_be_copied(options: Options) -> None:
    long = "ssh-keygen -f /home/ann/.ssh/" + "x" * 90 + " -R box"
    one = connected()._replace(stages=(failed("version")._replace(command=f"{long}\nCiphers +x"),))
    assert whole(options, one)[-2:] == [f"  {long}", "  Ciphers +x"]


def test_the_home_directory_is_shortened_where_a_path_begins(options: Options) -> None:
    keys = [identity(name, answer="refused") for name in (f"{HOME}/k", f"/mnt{HOME}/k", f"{HOME}-not/k")]
    text = "\n".join(whole(options, hop(*keys)))
    for expected in ("refused: ~/k", f"refused: /mnt{HOME}/k", f"refused: {HOME}-not/k"):
        assert expected in text


def test_no_end_of_words_buries_the_verdict(options: Options) -> None:
    much = "all this " * 10000
    one = hop(identity(much, problem=much), methods=("publickey", *much.split()), banner=much)
    one = one._replace(stages=(stage("version", f.Version(much, much, much)), *one.stages))
    assert len("\n".join(whole(options, one))) < 20 * MAX_TEXT


def test_a_mistake_of_our_own_fails_a_stage_and_nothing_else() -> None:
    examination = _Examination(Request("box", Settings(), None, None), Log(), None, colour=False)
    found = examination._stage("version", lambda: dict[str, str]()["it"])
    assert found is not None
    assert (found.status, found.problem) == ("failed", "internal error: KeyError: 'it'")
    assert json.loads(json.dumps(f.as_json((found,))))["version"]["facts"] is None


def test_weaknesses_and_their_changes(options: Options) -> None:
    weak = (
        f.Weakness("box", "weak", "the MAC x is weak", "server", "MACs " + "hmac-sha2-256," * 6 + "hmac-sha2-512"),
        f.Weakness("box", "note", "it could be better", "client", "make another"),
    )
    lines = report().end(diagnosis(options, hop(identity()), weak=weak))
    assert lines[:4] == ["", "Weak:", "  the MAC x is weak", "    -> server, sshd_config:"]
    assert lines[4] == f"       {weak[0].change}"
    assert lines[5:9] == ["", "Also:", "  it could be better", "    -> client: make another"]


def test_keys_that_come_too_late_or_are_not_there(options: Options) -> None:
    keys = [
        identity("/a", answer="refused", type="RSA", bits=3072),
        identity("/b", within_limit=False),
        identity("/c", present=False, answer=None, type=None, problem="no such identity: /c"),
        identity("/d", problem="permissions 0644 are too open"),
        identity("", source="agent", needs="touch", answer=None),
    ]
    skipped = skip("expired", "/e", "expired"), skip("sick agent", "agent", "no answer")
    text = "\n".join(whole(options, hop(*keys, limit=1, skipped=skipped)))
    for expected in (
        "refused: /a",
        "RSA 3072 SHA256:x",
        "accepted, too late: /b",
        "not there: /c",
        "accepted, but: /d",
        "permissions 0644",
        "not asked: a key without a name (agent, touch needed)",
        "not tried: /e: expired",
        "hangs up after 1 refused key",
    ):
        assert expected in text
    assert "agent: no answer" not in text


@pytest.mark.parametrize(("known", "outcome", "said"), [
    ("certificate", "accepted", "its authority is known: f:1"),
    ("dns", "accepted", "known by the DNS (SSHFP)"),
    ("unknown", "asked", "not known: a login would ask about it"),
    ("unknown", "added", "not known: a login would add it"),
    ("unchecked", "accepted", "not checked"),
])  # fmt: skip
def test_how_the_host_is_known(options: Options, known: str, outcome: str, said: str) -> None:
    assert said in "\n".join(whole(options, hop(identity(), known=known, outcome=outcome)))


def hostile() -> f.Hop:
    """A server and files that try to drive the terminal wherever they have a say."""
    key = identity(f"/k{ESCAPES}", problem=ESCAPES)
    one = hop(
        key,
        methods=("publickey", ESCAPES),
        banner=f"hello{ESCAPES}\nthere",
        skipped=(skip("other", "a", ESCAPES),),
    )
    version = stage("version", f.Version(ESCAPES, ESCAPES, None))
    others = [each for each in one.stages if each.name not in {"version"}]
    broken = f.Stage("round_trip", "warning", 1.0, ESCAPES, ESCAPES, ESCAPES, None)
    return one._replace(name=ESCAPES, user=ESCAPES, hostname=ESCAPES, stages=(version, *others, broken))


def drives_a_terminal(text: str) -> bool:
    return any(not (char.isprintable() or char == "\n") for char in text)


def test_nothing_hostile_reaches_the_terminal(options: Options) -> None:
    assert not drives_a_terminal("\n".join(whole(options, hostile())))


def test_nothing_hostile_is_in_the_json(options: Options) -> None:
    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for pair in value.items() for each in pair for text in texts(each)]
        if isinstance(value, list):
            return [text for each in value for text in texts(each)]
        return [value] if isinstance(value, str) else []

    found = f.as_json(diagnosis(options, hostile()))
    assert not [text for text in texts(found) if drives_a_terminal(text)]
    assert found["hops"][0]["stages"]["authentication"]["facts"]["banner"].endswith("\nthere")


def test_colour_wraps_and_changes_nothing_else(options: Options) -> None:
    one = hop(identity())
    plain, coloured = whole(options, one), whole(options, one, colour=True)
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == plain
    assert coloured != plain


class Tty:
    """A stream that says of itself that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_when_there_is_colour() -> None:
    stream: Any = Tty()
    assert wants_colour(stream, {"TERM": "xterm"})
    assert not wants_colour(stream, {"TERM": "xterm", "NO_COLOR": "1"})
    assert wants_colour(stream, {"TERM": "xterm", "NO_COLOR": ""})  # https://no-color.org: not when it is empty
    assert not wants_colour(stream, {"TERM": "dumb"})
    assert not wants_colour(stream, {})
    assert not wants_colour(None, {"TERM": "xterm"})


# JSON ------------------------------------------------------------------------------------------------------------

KEYS: dict[type, str] = {
    f.Diagnosis: (
        "pyssh destination login possible summary asks advice command stages hops weaknesses milliseconds"
    ),
    f.Hop: "role name user hostname port stages",
    f.Stage: "name status milliseconds problem advice command facts",
    f.Weakness: "hop severity what where change",
    f.Configuration: "files",
    f.File: "path present blocks",
    f.Agent: "path keys",
    f.Forwards: "forwards",
    f.Forwarding: "kind forward possible problem",
    f.Names: "name addresses",
    f.Address: "address family",
    f.Way: "by through attempts",
    f.Attempt: "address milliseconds error used",
    f.Version: "line software old",
    f.KeyExchange: "client server agreed missing post_quantum strict",
    f.Lists: "kex host_key ciphers_c2s ciphers_s2c macs_c2s macs_s2c compression_c2s compression_s2c",
    f.Agreed: "kex host_key cipher_c2s cipher_s2c mac_c2s mac_s2c compression_c2s compression_s2c",
    f.HostKey: "type bits algorithm fingerprint known file line address_line names outcome certificate types",
    f.Authentication: "methods open banner signatures extensions identities skipped limit connections",
    f.IdentityFacts: (
        "name source explicit present type bits fingerprint needs problem algorithm answer within_limit"
    ),
    f.RoundTrip: "milliseconds samples deviation retransmitted",
    f.Sample: "what milliseconds",
}
"""What programs rely on: keys may be added, none may go."""


@pytest.mark.parametrize("kind", KEYS, ids=lambda kind: kind.__name__)
def test_the_keys_of_the_json_object_stay(kind: Any) -> None:
    assert set(KEYS[kind].split()) <= set(kind._fields)
    assert kind.__doc__


def test_the_json_object(options: Options) -> None:
    one = hop(identity())
    found = json.loads(
        json.dumps(f.as_json(diagnosis(options, one._replace(stages=(*REACHED, *one.stages, FAR)))))
    )
    assert (found["login"], found["possible"], found["asks"], found["advice"]) == ("yes", True, [], None)
    stages = found["hops"][0]["stages"]
    assert list(stages)[:2] == ["names", "reach"]
    assert stages["reach"]["facts"]["attempts"][1]["used"] is True
    assert stages["key_exchange"]["facts"]["agreed"]["mac_c2s"] is None
    assert stages["authentication"]["facts"]["identities"][0]["answer"] == "accepted"
    assert stages["round_trip"]["facts"]["milliseconds"] == 12.3


def test_programs_are_given_the_words_of_outcomes() -> None:
    certified = identity(answer="refused", suspicion=Outcome("it is for bob", "refused: other principals"))
    voucher = f.Voucher("hostbased", None, None, Outcome("no host key"), "make one")
    one = hop(certified, skipped=(skip("expired", "/e", "it is old"),), vouchers=(voucher,))
    found = json.loads(json.dumps(f.as_json(one.facts("authentication"))))
    assert found["identities"][0]["suspicion"] == "it is for bob"
    assert found["skipped"] == ["/e: it is old"]
    assert found["vouchers"][0]["problem"] == "no host key"
