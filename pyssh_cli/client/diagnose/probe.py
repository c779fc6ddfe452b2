"""The layers of a connection as a diagnosis needs them: the ordinary ones, but for the places where those would
ask, write, prove, or go on by themselves.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.authenticate import Authenticator
from pyssh_cli.client.candidates import Candidate, Unusable
from pyssh_cli.client.connection import Connection
from pyssh_cli.client.diagnose.certified import flaw
from pyssh_cli.client.diagnose.facts import IdentityFacts, Sample
from pyssh_cli.client.handshake import Handshake
from pyssh_cli.client.host_key_warnings import shown_principals
from pyssh_cli.client.jump import JumpChannel
from pyssh_cli.client.outcomes import Outcome, Skipped
from pyssh_cli.client.trust import HostTrust, ListUnreadable
from pyssh_cli.client.user_certificates import suspicion
from pyssh_cli.config.options import Options
from pyssh_cli.errors import HostKeyError, NetworkError, PysshError
from pyssh_cli.keys.known_hosts import KnownHost, Verdict
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import INFO, Log, printable
from pyssh_cli.protocol import channels as ch
from pyssh_cli.protocol import userauth as ua
from pyssh_cli.protocol.transport import HostKeyOffered
from pyssh_cli.terminal.questions import Questions

if TYPE_CHECKING:
    from pyssh_cli.client.diagnose.facts import Voucher
    from pyssh_cli.client.diagnose.trip import Trip
    from pyssh_cli.client.link import Carrier
    from pyssh_cli.net.loop import Loop

MAX_BANNER = 8192
"""Characters of the server's banners that are kept."""

MAX_LINES = 100
"""Lines of a stage that are kept for its problem."""


class Notes(Log):
    """Keeps what is said to the person, for the report; debug output goes where it always goes."""

    def __init__(self, log: Log) -> None:
        super().__init__(log.level)
        self._log = log
        self.lines: list[str] = []

    def say(self, rank: int, message: str) -> None:
        """Keep it, or pass on what -v asks for."""
        if rank > INFO:
            self._log.say(rank, message)
        elif len(self.lines) < MAX_LINES:
            self.lines.append(message)

    def take(self) -> list[str]:
        """What was kept, which is then forgotten."""
        taken, self.lines = self.lines, []
        return taken


class Nobody(Questions):
    """Where a person would be asked, nobody is; but for a host key, "yes" is assumed and noted."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, batch_mode=True)
        self.confirmed = False
        """Whether a login would have asked to confirm the host key."""

    def confirm_host_key(self, text: str, fingerprint: str | None) -> bool:  # noqa: ARG002
        self.confirmed = True
        return True

    def ask_confirmation(self, question: str) -> bool:  # noqa: ARG002
        self.confirmed = True
        return True


class Examiner(HostTrust):
    """Judges a host key as a login would, writes nothing, and keeps what it found."""

    def __init__(self, options: Options, log: Log, questions: Questions, address: str) -> None:
        super().__init__(options, log, questions, address)
        self.known = "unchecked"
        self.entry: KnownHost | None = None
        self.address_entry: KnownHost | None = None
        self.names: list[str] = []
        self.flaw = ""
        """Why the host's certificate does not count."""
        self.adds = False
        """Whether a login would write to known_hosts."""

    def _check_revoked(self, key: PublicKey) -> None:
        try:
            super()._check_revoked(key)
        except ListUnreadable:
            raise
        except HostKeyError:
            self.known = "revoked"
            raise

    def _flaw_of(self, key: PublicKey) -> str | None:
        reason = super()._flaw_of(key)
        if reason:
            o = self._options
            self.flaw = flaw(key.certificate(), reason, o.host_key_alias or o.hostname)
        return reason

    def _is_trusted_by_dns(self, key: PublicKey) -> bool:
        trusted = super()._is_trusted_by_dns(key)
        if trusted:
            self.known = "dns"
        return trusted

    def _judge_without_port(self, key: PublicKey) -> Verdict | None:
        verdict = super()._judge_without_port(key)
        if verdict and verdict.status == "match" and verdict.entry:
            self.known, self.entry = "known", verdict.entry
        return verdict

    def _accept_known(self, key: PublicKey, verdict: Verdict, by_address: Verdict | None) -> None:
        self.known, self.entry = "certificate" if key.is_certificate else "known", verdict.entry
        super()._accept_known(key, verdict, by_address)

    def _judge_new(self, key: PublicKey, by_address: Verdict | None) -> None:
        self.known = "unknown"
        self.names = [entry.shown_names for entry in self.known_hosts.entries_of(key) if not entry.marker]
        super()._judge_new(key, by_address)

    def _judge_address(self, key: PublicKey, by_address: Verdict, own: KnownHost | None) -> None:
        self.address_entry = by_address.entry
        super()._judge_address(key, by_address, own)

    def _refuse_revoked(self, verdict: Verdict, key: PublicKey) -> None:
        self.known, self.entry = "revoked", verdict.entry
        super()._refuse_revoked(verdict, key)

    def _refuse_changed(self, verdict: Verdict, key: PublicKey, by_address: Verdict | None) -> None:
        self.known, self.entry = "changed", verdict.entry
        super()._refuse_changed(verdict, key, by_address)

    def _remember(self, key: PublicKey, *, with_address: bool) -> None:  # noqa: ARG002
        self.adds = True

    def _remember_address(self, key: PublicKey, *, read_only: bool) -> None:  # noqa: ARG002
        self.adds = True


class Asked:
    """What the server has said of each key (by its blob), on all connections to it; `refusals` are those of the
    first connection, `limit` what they had come to when it hung up."""

    def __init__(self) -> None:
        self.answers: dict[bytes, str] = {}
        self.algorithms: dict[bytes, str] = {}
        self.order: list[bytes] = []
        self.refusals = 0
        self.limit: int | None = None
        self.connections = 0


class Inquiry(Authenticator):
    """Asks the server what it would take: "none", then a query for each key, without a signature (RFC 4252
    section 7). Only with `logs_in`, on a jump host, is a key that needs nobody proved.

    `done` is when there is nothing left to ask.
    """

    asked: Asked
    logs_in: bool

    def begin(self, asked: Asked, *, logs_in: bool) -> None:
        """To be called before anything else."""
        self.asked = asked
        self.logs_in = logs_in
        self.samples: list[Sample] = []
        self.methods: tuple[str, ...] | None = None
        self.banner = ""
        self.lets_anybody_in = False
        self.done = False
        self.partial = False
        self.gathered: list[Candidate] = []
        self._queue: list[Candidate] = []
        self._asked_at = 0.0
        self._on_first = asked.connections == 0
        self.heard = 0
        """How many messages have come."""
        asked.connections += 1

    def start(self) -> bool:
        if not self._auth.service_requested:
            self._asked_at = monotonic()
            self._auth.request_service()
        return False

    def receive(self, payload: memoryview) -> bool:
        event = self._auth.receive(payload)
        self.heard += 1
        if event is None:
            self.samples.append(Sample("service request", 1000 * (monotonic() - self._asked_at)))
            self._auth.none()
        elif isinstance(event, ua.Banner):
            self.banner = (self.banner + event.message)[:MAX_BANNER]
        elif isinstance(event, ua.Success):
            self._on_success()
            return True
        elif isinstance(event, ua.Failure):
            self._on_answer(event)
        elif isinstance(event, ua.KeyAccepted):
            self._on_accepted(event)
        return False

    def _on_success(self) -> None:
        if self._keys.has_proved:
            self._answered("logged in")
        else:  # "none" was enough, or the name of a key
            self.lets_anybody_in = True
            if self._keys.key is None:
                self._gather()
        self.done = True

    def _on_answer(self, failure: ua.Failure) -> None:
        self.methods = failure.methods
        if failure.method == "none":
            self._gather()
        elif failure.partial:
            self.partial = True
            self.done = True
            return
        else:
            self._answered("refused")
        self._ask_next()

    def _gather(self) -> None:
        """List the keys. Done here, for the agent is told the session before it lists them."""
        self.gathered = (
            [one for key in self._identities.candidates() for one in (*key.before, key)]
            if self._options.pubkey_authentication
            else []
        )
        if self.methods and "publickey" in self.methods and "publickey" in self._order:
            self._queue = [key for key in self.gathered if key.public and not isinstance(key, Unusable)]

    def _ask_next(self) -> None:
        while self._queue:
            key = self._queue.pop(0)
            assert key.public is not None
            blob = key.public.blob
            if blob in self.asked.answers:
                continue
            algorithm = self._keys.algorithm_for(key)
            if not algorithm:
                continue
            self.asked.algorithms[blob] = algorithm
            self._keys.query(key, algorithm)
            return
        self.done = True

    def _answered(self, answer: str) -> None:
        key = self._keys.key
        assert key is not None
        assert key.public is not None
        blob = key.public.blob
        if blob not in self.asked.answers:
            self.asked.order.append(blob)
        self.asked.answers[blob] = answer
        if answer == "refused" and self._on_first:
            self.asked.refusals += 1

    def _on_accepted(self, accepted: ua.KeyAccepted) -> None:
        key = self._keys.key
        if key is None or key.public is None or accepted.blob != key.public.blob:
            raise PysshError("the server accepts a key that was not offered to it")
        self._answered("accepted")
        if self.logs_in and key.needs == "nothing" and self._keys.prove():
            return
        self._ask_next()

    def disconnected(self, words: str) -> str:
        """The server hangs up: if that is for the keys, the one that was asked for last has been refused."""
        del words
        self.hung_up()
        return ""

    def hung_up(self) -> None:
        """The connection has ended while the answer to a query was due."""
        key = self._keys.key
        if key is None or key.public is None or not self._auth.is_waiting or self.done:
            return
        if key.public.blob not in self.asked.answers:
            self._answered("refused")
            if self._on_first:
                self.asked.limit = self.asked.refusals

    @property
    def hung_up_on_a_key(self) -> bool:
        """Whether the server gave up after a key, and others are left."""
        return self.asked.limit is not None and bool(self._queue)

    # What it came to ---------------------------------------------------------------------------------------------

    def identities(self) -> tuple[IdentityFacts, ...]:
        """All keys in order, with the server's answers."""
        return tuple(self._facts_of(key) for key in self.gathered)

    def skipped(self) -> tuple[Skipped, ...]:
        """Keys that are not tried, and why, clean."""
        named = {key.name for key in self.gathered}
        return tuple(
            Skipped(printable(name), outcome._replace(text=printable(outcome.text)))
            for name, outcome in dict.fromkeys(self._identities.skipped)
            if name not in named
        )

    def _facts_of(self, key: Candidate) -> IdentityFacts:
        public = key.public
        blob = public.blob if public else b""
        problem = key.problem
        answer = self.asked.answers.get(blob)
        if answer in {"accepted", "refused"} and not problem:
            problem = _why_unusable(key)
        if public is None and not problem:
            problem = "its public half is locked away, too"
        algorithm = self.asked.algorithms.get(blob) or (self._keys.algorithm_for(key) if public else "")
        if public and not algorithm and not problem:
            problem = "there is no signature for it that both sides take (PubkeyAcceptedAlgorithms)"
        before = self.asked.order.index(blob) if blob in self.asked.order else 0
        return IdentityFacts(
            name=printable(key.name),
            source=key.source,
            explicit=key.explicit,
            present=not isinstance(key, Unusable) or key.present,
            type=public.short_name if public else None,
            bits=public.bits or None if public else None,
            fingerprint=public.fingerprint(self._options.fingerprint_hash) if public else None,
            needs=key.needs,
            problem=printable(_told(problem, key.name)) or None,
            algorithm=algorithm or None,
            answer=answer,
            within_limit=self.asked.limit is None or before < self.asked.limit,
            certificate=_described(public) if public and public.is_certificate else None,
            suspicion=self._suspicion(public) if public and answer == "refused" else None,
        )

    def _suspicion(self, public: PublicKey) -> Outcome | None:
        return suspicion(public.certificate(), self._options.user) if public.is_certificate else None

    def vouchers(self, trip: Trip) -> tuple[Voucher, ...]:
        """What else there may be to prove the user."""
        from pyssh_cli.client.diagnose.vouchers import vouchers

        return vouchers(trip, self.methods or (), self._auth)


def _told(problem: str, name: str) -> str:
    """Why a key cannot be used, without what stands beside it anyway."""
    line = problem.strip().rpartition("\n")[2].removeprefix(f'Load key "{name}": ')
    return line.removeprefix(f"private key {name} ")


def _described(public: PublicKey) -> str:
    """What a user's certificate says, clean."""
    certificate = public.certificate()
    whom = shown_principals(certificate) or "nobody"
    authority = f"{certificate.ca.short_name} {certificate.ca.fingerprint()}"
    return f"for {whom}, valid {certificate.validity()}, by {authority}"


def _why_unusable(key: Candidate) -> str:
    """Why a key cannot sign, as far as that shows without asking for anything."""
    try:
        key.examine()
    except PysshError as error:
        return str(error)
    return ""


class HaltedHandshake(Handshake):
    """Stops where that of a login would go on: at the host's key, and after what the server said of the user's."""

    asked: Asked
    logs_in: bool
    offered: HostKeyOffered | None = None
    inquiry: Inquiry | None = None

    def judge(self, offered: HostKeyOffered) -> None:
        if self.keys_judged:
            super().judge(offered)  # a rekeying, by the same key or by none
        else:
            self.offered = offered  # the transport waits

    def accept(self) -> None:
        """Go on with the key that was offered."""
        self._transport.accept_host_key()
        self.keys_judged = True

    def authenticate(self) -> bool:
        """Ask what the server would take of the user."""
        if self.inquiry is None:
            self._authenticator = self.inquiry = self._made(Inquiry)
            self.inquiry.begin(self.asked, logs_in=self.logs_in)
        return self.inquiry.start()


class Probe(Connection):
    """A connection with such a handshake."""

    def __init__(
        self, options: Options, log: Notes, loop: Loop, carrier: Carrier, asked: Asked, *, logs_in: bool
    ) -> None:
        self.nobody = Nobody(log)
        super().__init__(options, log, loop, carrier, self.nobody)
        self._trust = self.examiner = Examiner(options, log, self.nobody, carrier.address)
        self._halted = HaltedHandshake(options, log, self.nobody, self.transport, self.examiner, carrier)
        self._halted.asked, self._halted.logs_in = asked, logs_in
        self.handshake = self._halted
        self.began = monotonic()

    @property
    def offered(self) -> HostKeyOffered | None:
        """The host's key, once it has shown it."""
        return self._halted.offered

    @property
    def inquiry(self) -> Inquiry | None:
        """The questions about the user, once they have begun."""
        return self._halted.inquiry

    def judge(self) -> None:
        """Judge the key that was offered. Raises HostKeyError, and ProtocolError for what is no key."""
        assert self.offered is not None
        self.examiner.judge(self.offered)

    def go_on(self) -> None:
        """Accept the key, and begin with the user."""
        self._halted.accept()
        self._process()

    def has_heard_more(self, than: int) -> bool:
        """Whether the server has said more than so many messages about the user, or there is nothing to hear."""
        return self.inquiry is not None and (self.inquiry.heard > than or self.inquiry.done)

    def _watch_for_silence(self) -> None:
        """The stages have limits of their own."""


class WatchedChannel(JumpChannel):
    """The channel to the next host; `opened` tells that the host before has connected it, `refused` with which
    words it has not, and whether it may not (RFC 4254 section 5.1), `lost` that it has gone itself."""

    opened = False
    lost = False
    refused: tuple[str, bool] | None = None

    def _begin(self) -> None:
        self.opened = True
        super()._begin()

    def connection_ended(self) -> None:
        self.lost = True
        super().connection_ended()

    def _refused(self, event: ch.OpenRefused) -> NetworkError:
        self.refused = printable(event.message) or ch.OPEN_FAILURES.get(event.reason, ""), event.reason == 1
        return super()._refused(event)
