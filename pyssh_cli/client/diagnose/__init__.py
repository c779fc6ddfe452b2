"""`pyssh --diagnose`: goes the way of a login, stage by stage, and tells how it would go, without changing or
asking anything.

Nothing is written, no question put, no session opened, and no key proved to the destination: it is only asked
which it would take. A jump host is logged in to, for there is no way past it without, but only with keys that need
nobody. `facts` describes the object that --json prints; `report` makes the text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from pyssh_cli import __version__
from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose import local
from pyssh_cli.client.diagnose.local import StageProblem
from pyssh_cli.client.diagnose.probe import Notes
from pyssh_cli.client.diagnose.report import Report, shortened
from pyssh_cli.client.diagnose.stages import STAGES
from pyssh_cli.client.diagnose.trip import Trip
from pyssh_cli.client.diagnose.verdict import judge
from pyssh_cli.client.diagnose.weaknesses import weaknesses
from pyssh_cli.client.way import HandedOn, Leg, way_to
from pyssh_cli.colour import Paint
from pyssh_cli.config.passes import local_person
from pyssh_cli.config.resolve import refuse_unsupported, resolve
from pyssh_cli.errors import ConfigError, PysshError
from pyssh_cli.log import DEBUG1, printable
from pyssh_cli.net.names import SystemNetwork

if TYPE_CHECKING:
    from pyssh_cli.config.options import Options
    from pyssh_cli.config.settings import Settings
    from pyssh_cli.log import Log

Print = Callable[[str], None]

FAILED = 255

ENDS: frozenset[f.Status] = frozenset({"asks", "failed"})
"""How a stage ends that is the last of the way."""

_NEEDED = (
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "pyssh_cli.keys.signatures",
    "pyssh_cli.net.tcp",
    "hmac",
)
"""What most connections load in the end."""


class Request(NamedTuple):
    """What is to be diagnosed: what the command line says of it."""

    host: str
    settings: Settings
    config_file: str | None
    command: str | None


def diagnose(request: Request, log: Log, show: Print, *, as_json: bool, colour: bool) -> int:
    """Diagnose, and print what comes of it by `show`, some lines at a time; 0 if a login is possible, else 255."""
    examination = _Examination(request, log, None if as_json else show, colour=colour)
    found = examination.run()
    if as_json:
        show(json.dumps(f.as_json(found), indent=2))
    return 0 if found.possible else FAILED


class _Examination:
    """One run through all stages. `show` takes the report as it grows; None for no report."""

    def __init__(self, request: Request, log: Log, show: Print | None, *, colour: bool) -> None:
        self._request = request
        self._notes = Notes(log)
        self._show = show
        self._report = Report(Paint(colour), local_person().pw_dir)
        self._stages: list[f.Stage] = []
        self._hops: list[f.Hop] = []
        self._trips: list[Trip] = []

    def run(self) -> f.Diagnosis:
        began = monotonic()
        self._tell(self._report.heading(self._request.host))
        options = None
        try:
            way = self._local_stages()
            if way:
                options = way[-1].options
                self._go(way)
        finally:
            for trip in reversed(self._trips):
                trip.close()
        stages, hops = tuple(self._stages), tuple(self._hops)
        verdict = judge(options, stages, hops)
        found = f.Diagnosis(
            pyssh=__version__,
            destination=self._request.host,
            login=verdict.login,
            possible=verdict.possible,
            summary=verdict.summary,
            asks=verdict.asks,
            advice=verdict.advice,
            command=verdict.command,
            stages=stages,
            hops=hops,
            weaknesses=weaknesses(hops),
            milliseconds=1000 * (monotonic() - began),
        )
        self._tell(self._report.end(found))
        return found

    def _tell(self, lines: list[str]) -> None:
        if self._show and lines:
            self._show("\n".join(lines))

    def _stage(self, name: str, run: Callable[[], Any]) -> f.Stage | None:
        """Go through one stage, and tell of it. None when it had nothing to do."""
        self._notes.take()
        began = monotonic()
        status: f.Status = "ok"
        problem = ""
        advice = command = ""
        try:
            found = run()
            if found is None:
                return None
        except StageProblem as error:
            found, problem, advice, command = error.facts, error.problem, error.advice, error.command
            status = error.status
        except (PysshError, OSError) as error:
            said = [line for line in self._notes.take() if line]
            text = str(error) if isinstance(error, PysshError) else error.strerror or str(error)
            found, status = None, "failed"
            problem = " ".join("; ".join([*said[-3:], text]).split())
        except Exception as error:  # a mistake of ours: what has been found is worth telling all the same
            found, status, problem = None, "failed", f"internal error: {type(error).__name__}: {error}"
            if self._notes.enabled(DEBUG1):
                from traceback import format_exc

                self._notes.debug1(format_exc())
        took = 1000 * (monotonic() - began)
        typed = printable(command, newlines=True) or None  # whole: it is to be copied
        stage = f.Stage(name, status, took, _clean(problem), _clean(advice), typed, found)
        self._tell(self._report.stage(stage))
        return stage

    def _local_stages(self) -> list[Leg]:
        """Configuration, agent and forwards; the way to go, empty where there is none."""
        way: list[Leg] = []
        stage = self._stage("configuration", lambda: self._configuration(way))
        self._add(stage)
        if not way:
            return way
        options = way[-1].options
        self._add(self._stage("agent", lambda: local.agent(options, self._notes)))
        if options.local_forwards or options.remote_forwards:
            self._add(self._stage("forwards", lambda: local.forwards(options, self._notes)))
        return way

    def _add(self, stage: f.Stage | None) -> None:
        if stage:
            self._stages.append(stage)

    def _configuration(self, way: list[Leg]) -> f.Configuration:
        """Settle the options of all hops, into `way`."""
        request = self._request
        settings = request.settings
        settings.wants_blocks = True
        try:
            options = resolve(
                settings,
                request.host,
                SystemNetwork(self._notes),
                self._notes,
                config_file=request.config_file,
                command=request.command,
            )
            self._notes.level = max(self._notes.level, options.log_level)
            refuse_unsupported(settings, self._notes)
            legs = [Leg(options, self._notes, options.original_host)]
            if options.proxy_jump:
                given = settings.origin("proxy") == "-o Proxy"
                level = settings.get("loglevel") if settings.origin("loglevel") == "-v" else None
                handed_on = HandedOn(request.config_file, level, options.proxy if given else None)
                legs = way_to(legs[0], handed_on)
        except ConfigError as error:
            said = "; ".join(self._notes.take()) or str(error)
            advice = "mend that line: ssh_config(5) tells what may stand there"
            if said.startswith("Can't open"):
                advice = "check the name of that file (-F), and whose it is"
            raise StageProblem(said, advice) from None
        way += legs
        return local.configuration(settings, request.config_file, local_person().pw_dir)

    def _go(self, way: list[Leg]) -> None:
        """Go through the stages of all hops, until one fails."""
        for name in _NEEDED:
            import_module(name)  # what takes time here is not to be told of as the server's
        outer: Trip | None = None
        agent = next((stage for stage in self._stages if stage.name == "agent"), None)
        for number, leg in enumerate(way):
            is_last = number == len(way) - 1
            trip = Trip(leg, self._notes, outer, is_last=is_last, agent=agent)
            self._trips.append(trip)
            self._hops.append(self._hop(trip, alone=len(way) == 1))
            if self._hops[-1].stages[-1].status in ENDS:
                return
            outer = trip

    def _hop(self, trip: Trip, *, alone: bool) -> f.Hop:
        o: Options = trip.options
        role = "destination" if trip.is_last else "jump"
        hop = f.Hop(role, printable(trip.leg.name), printable(o.user), printable(o.hostname), o.port, ())
        self._tell(self._report.hop(hop, alone=alone))
        stages: list[f.Stage] = []
        for name, run in STAGES.items():
            stage = self._stage(name, lambda: run(trip))  # noqa: B023
            if stage is None:
                continue
            stages.append(stage)
            if stage.status in ENDS:
                break
        return hop._replace(stages=tuple(stages))


def _clean(text: str) -> str | None:
    return shortened(printable(text)) or None
