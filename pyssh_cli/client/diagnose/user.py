"""The stages behind the key exchange: what the server wants of the user, and how far away it is."""

from __future__ import annotations

import shlex
from time import monotonic

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.handshake import GARBLED
from pyssh_cli.client.diagnose.local import StageProblem
from pyssh_cli.client.diagnose.probe import Asked, Inquiry, Probe
from pyssh_cli.client.diagnose.reach import reach
from pyssh_cli.client.diagnose.trip import TooSlow, Trip
from pyssh_cli.client.diagnose.verdict import by_methods
from pyssh_cli.client.outcomes import Skipped
from pyssh_cli.errors import NetworkError, ProtocolError, PysshError
from pyssh_cli.log import printable

MAX_CONNECTIONS = 4
"""Connections to a server that hangs up after a few keys, to ask about the others."""

PATIENCES = 4
"""How many times a stage's limit all the questions of one connection may take."""


def authentication(trip: Trip) -> f.Authentication:
    """What the server wants, and which keys it would take."""
    probe = trip.probe
    assert probe is not None
    text = _ask(trip, probe)
    inquiry = trip.inquiry = probe.inquiry
    if inquiry is None or (inquiry.methods is None and not inquiry.lets_anybody_in):
        advice = f"{GARBLED}: try from elsewhere" if isinstance(trip.failure, ProtocolError) else "see its log"
        raise StageProblem(text or "the server does not say what it wants", advice)
    if trip.is_last:
        while _worth_asking_on(inquiry, trip.asked) and (more := _again(trip)) is not None:
            if not more.gathered:
                break
            inquiry = more
    found = _authentication_facts(trip)
    if not trip.is_last and not probe.authenticated:
        raise _no_way_in(trip, found, text)
    if text and found.limit is None:
        raise StageProblem(text, "see its log; not all keys could be asked about", found, status="warning")
    return found


def _ask(trip: Trip, probe: Probe) -> str:
    """Ask until nothing is left to ask, or the server hangs up: then its words."""
    if trip.failure:  # it ended behind the host's key
        return trip.words(trip.failure)
    last = monotonic() + PATIENCES * trip.limit
    heard = -1
    try:
        while monotonic() < last:
            inquiry = probe.inquiry
            if inquiry is not None and inquiry.done:
                return ""
            heard = inquiry.heard if inquiry else -1
            trip.run_until(lambda: probe.has_heard_more(heard), "the server did not answer")  # noqa: B023
    except PysshError as error:
        trip.failure = error
        if probe.inquiry and isinstance(error, NetworkError) and not isinstance(error, TooSlow):
            probe.inquiry.hung_up()  # else it has said nothing of the key, and gives up on none
        return trip.words(error)
    return "the server takes too long over its answers"


def _worth_asking_on(inquiry: Inquiry, asked: Asked) -> bool:
    """Whether keys are left that the server has not seen, and none that it takes has been found."""
    if asked.connections >= MAX_CONNECTIONS or "accepted" in asked.answers.values():
        return False
    return inquiry.hung_up_on_a_key


def _again(trip: Trip) -> Inquiry | None:
    """A fresh connection, for the keys that the last had no patience for. None where that does not come about."""
    trip.connections[-1].close()  # on a jump host its end would come as that of the next
    try:
        trip.failure = None
        if trip.carrier and trip.carrier.address in trip.addresses:
            trip.addresses = (trip.carrier.address,)
        reach(trip)
        probe = trip.started()
        trip.run_until(lambda: probe.offered is not None, "nothing came")
        probe.judge()
        probe.go_on()
        _ask(trip, probe)
    except (PysshError, StageProblem, OSError):
        return None
    return probe.inquiry


def _authentication_facts(trip: Trip) -> f.Authentication:
    probe, inquiry = trip.probe, trip.inquiry
    assert probe is not None
    assert inquiry is not None
    signatures = probe.transport.extensions.get("server-sig-algs")
    trip.samples += inquiry.samples
    return f.Authentication(
        methods=None if inquiry.methods is None else tuple(printable(name) for name in inquiry.methods),
        open=inquiry.lets_anybody_in,
        banner=printable(inquiry.banner.rstrip("\n").replace("\r", ""), newlines=True) or None,
        signatures=None if signatures is None else tuple(printable(signatures).split(",")),
        extensions=tuple(printable(name) for name in probe.transport.extensions),
        identities=inquiry.identities(),
        skipped=(*inquiry.skipped(), *((Skipped("agent", trip.agent_problem),) if trip.agent_problem else ())),
        limit=trip.asked.limit,
        connections=trip.asked.connections,
        vouchers=inquiry.vouchers(trip),
    )


def _no_way_in(trip: Trip, found: f.Authentication, text: str) -> StageProblem:
    """A jump host that does not let us through without asking anybody."""
    name, options = trip.leg.name, trip.leg.options
    said = by_methods(options, found)
    if trip.inquiry and trip.inquiry.partial:
        what = f"{name} wants another proof beside the key, and --diagnose gives none"
        return StageProblem(what, f"log in to {name} to see what it wants", found, status="asks")
    if said.asks:
        what = f"a login would ask {' and '.join(said.asks)}, and --diagnose asks nobody"
        advice, command = said.advice, said.command
        taken = next((each for each in found.identities if each.answer == "accepted" and not each.problem), None)
        if taken and taken.source != "agent":
            advice, command = "give the key to an agent, and this goes on:", shlex.join(["ssh-add", taken.name])
        return StageProblem(what, advice or "", found, command=command or "", status="asks")
    if not text and any(not each.problem for each in found.vouchers):
        return StageProblem(said.summary, f"log in to {name} to see whether it does", found, status="asks")
    what = text or "; ".join(trip.notes.take()) or f"{name} takes none of our keys"
    advice = "see its log, and with -v what the agent says" if said.possible else said.advice or ""
    return StageProblem(what, advice, found, command=said.command or "")


def round_trip(trip: Trip) -> f.RoundTrip | None:
    """How far the server is: from all that was measured, and on a jump host from a few questions more."""
    probe = trip.probe
    assert probe is not None
    if probe.authenticated and not trip.is_last:
        for _ in range(3):
            taken: list[float] = []
            probe.round_trip.measure(taken.append)
            probe.flush()
            try:
                trip.run_until(lambda: bool(taken), "no answer")  # noqa: B023
            except NetworkError:
                break
            trip.samples.append(f.Sample("keep-alive", 1000 * taken[0]))
    kernel = _kernel(trip)
    if not trip.samples:
        return None
    best = min(sample.milliseconds for sample in trip.samples)
    if kernel is None:
        return f.RoundTrip(best, tuple(trip.samples), None, None)
    smoothed, deviation, retransmitted = kernel
    samples = (*trip.samples, f.Sample("kernel", smoothed))
    return f.RoundTrip(min(best, smoothed), samples, deviation, retransmitted)


def _kernel(trip: Trip) -> tuple[float, float, int] | None:
    """The kernel's own measurement of a TCP connection (Linux, TCP_INFO): smoothed round trip and its deviation in
    milliseconds, and segments sent again."""
    import socket
    import struct
    import sys

    sock = trip.carrier.socket if trip.carrier else None
    if sock is None or not sys.platform.startswith("linux"):
        return None
    try:
        raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        # struct tcp_info: eight bytes, then words; the 16th and 17th are tcpi_rtt and tcpi_rttvar in microseconds,
        # the 24th is tcpi_total_retrans.
        words = struct.unpack("=24I", raw[8:104])
    except (OSError, struct.error):
        return None
    if not words[15]:
        return None
    return words[15] / 1000, words[16] / 1000, words[23]
