"""The stages from a name to something that carries a connection: names, and TCP, a proxy or a hop's channel."""

from __future__ import annotations

import errno
import os
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.local import StageProblem
from pyssh_cli.client.diagnose.probe import WatchedChannel
from pyssh_cli.client.diagnose.trip import Trip, plain
from pyssh_cli.client.way import Leg
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError, PysshError
from pyssh_cli.log import printable
from pyssh_cli.net.names import cure

if TYPE_CHECKING:
    from pyssh_cli.net.tcp import Attempt


def names(trip: Trip) -> f.Names | None:
    """The name look-up, in a thread of its own: a resolver may take minutes. None where others look it up."""
    o = trip.options
    if trip.outer or o.proxy_command or (o.proxy and not o.proxy.lower().startswith("socks5:")):
        return None
    from pyssh_cli.net.loop import Loop
    from pyssh_cli.net.resolve import Resolver

    answers: list[tuple[tuple[str, ...], OSError | None]] = []
    if o.addresses:
        answers.append((o.addresses, None))
    else:
        loop = Loop()
        try:
            Resolver(loop).look_up(o.hostname, o.port, o.address_family, lambda *said: answers.append(said))
            deadline = monotonic() + trip.limit
            while not answers and monotonic() < deadline:
                loop.run_once(deadline)
        finally:
            if answers:
                loop.close()  # else the thread, which may answer still, would write to who knows what
    if not answers:
        raise StageProblem(
            f"no answer from the name servers within {trip.limit:g} seconds",
            "check /etc/resolv.conf and the network; an address in HostName needs no look-up",
        )
    found, failure = answers[0]
    if failure is not None:
        kind = {"inet": "IPv4 ", "inet6": "IPv6 "}.get(o.address_family, "")
        otherwise = (
            "check the spelling, HostName in the configuration, and whether the name needs a VPN or a suffix"
        )
        raise StageProblem(f"{o.hostname} has no {kind}address: {failure.strerror}", cure(failure) or otherwise)
    trip.addresses = tuple(dict.fromkeys(found))
    return f.Names(printable(o.hostname), tuple(f.Address(a, _family(a)) for a in trip.addresses))


def _family(address: str) -> str:
    return "inet6" if ":" in address else "inet"


def reach(trip: Trip) -> f.Way:
    """TCP to each address; or what the proxy, the ProxyCommand or the hop before does in its place."""
    if trip.outer:
        return _by_jump(trip)
    if trip.options.proxy_command or trip.options.proxy:
        return _by_proxy(trip)
    return _by_tcp(trip)


def _by_tcp(trip: Trip) -> f.Way:
    from pyssh_cli.net.loop import Loop
    from pyssh_cli.net.tcp import Place, SocketCarrier, hint_for, try_each

    o = trip.options
    place = Place("host", o.hostname, o.port, trip.addresses)
    tried = try_each(place, o, trip.notes, monotonic() + trip.limit)
    used = next((attempt for attempt in tried if attempt.sock), None)
    shown = tuple(
        f.Attempt(
            each.address,
            1000 * each.seconds,
            os.strerror(each.error) if each.error else None,
            each is used,
        )
        for each in tried
    )
    way = f.Way("tcp", None, shown)
    for each in tried:
        if each.sock and each is not used:
            each.sock.close()
    if used is None or used.sock is None:
        last = tried[-1]
        raise StageProblem(
            f"{last.address} port {o.port}: {os.strerror(last.error)}",
            hint_for(last.error) or "check the address and the port",
            way,
        )
    trip.loop = Loop()
    trip.carrier = SocketCarrier(trip.loop, used.sock, used.address, f"{used.address} port {o.port}")
    trip.samples.append(f.Sample("TCP connect", 1000 * used.seconds))
    if tried[0] is not used:
        raise _late(tried[0], used.address, o.connect_timeout, way)
    return way


def _late(first: Attempt, used: str, timeout: int | None, way: f.Way) -> StageProblem:
    """The first address does not answer, and another does: a login tries one after the other."""
    what = f"{first.address}: {os.strerror(first.error)}; a login tries that first"
    if first.error == errno.ETIMEDOUT:
        what += f", and ConnectTimeout ({timeout} s) ends it there" if timeout else ", and waits long for it"
    if _family(used) != _family(first.address):
        advice = f"for this host, AddressFamily {_family(used)} leaves that address out; or mend it"
    else:
        advice = f"mend that address, or take it out of the DNS; until then, -o HostName={used}"
    return StageProblem(what, advice, way, status="warning")


def _by_proxy(trip: Trip) -> f.Way:
    from pyssh_cli.client.proxy import reach as connect

    o = trip.options
    if o.proxy_command == "-":
        raise StageProblem(
            "the connection would come by stdin and stdout (ProxyCommand -), and stdout is for what is found",
            "have ProxyCommand connect by itself, for the diagnosis",
            f.Way("command", "-", ()),
            status="asks",
        )
    if o.proxy_command:
        by, through = "command", printable(o.proxy_command)
        advice = "run the ProxyCommand by hand: it should print the server's version line"
    else:
        from pyssh_cli.config.proxies import parse_proxy

        proxy = parse_proxy(o.proxy or "")
        by, through = "proxy", printable(f"{proxy.scheme}://{proxy.host}:{proxy.port}")
        advice = "check Proxy: its kind, host, port, user and password, and whether it lets this port through"
    way = f.Way(by, through, ())
    try:
        trip.carrier, trip.loop = connect(o, trip.notes, monotonic() + trip.limit, lambda: None)
    except PysshError as error:
        raise StageProblem(plain(error).partition(" (")[0], advice, way) from None
    return way


def _by_jump(trip: Trip) -> f.Way:
    """The channel that the hop before opens for us."""
    outer, o = trip.outer, trip.options
    assert outer is not None
    assert outer.probe is not None
    assert trip.loop is not None
    name = outer.leg.name
    way = f.Way("jump", printable(name), ())
    channel = WatchedChannel(trip.loop, outer.probe, Leg(outer.options, trip.notes, name), o)
    outer.probe.owner = channel
    channel.authenticated()
    outer.probe.flush()
    try:
        trip.run_until(lambda: channel.opened or channel.lost, f"{name} did not connect us to {o.hostname}")
    except NetworkError as error:
        raise _not_passed_on(name, o, channel.refused, error, way) from None
    if not channel.opened:
        raise StageProblem(
            f"{name} closed the connection when asked for one to {o.hostname}", f"see the log of {name}", way
        )
    trip.carrier = channel
    return way


def _not_passed_on(
    by: str, target: Options, refused: tuple[str, bool] | None, error: NetworkError, way: f.Way
) -> StageProblem:
    """The hop before does not connect us."""
    where = f"{target.hostname} port {target.port}"
    if refused is None:
        return StageProblem(plain(error), f"on {by}: check that it can reach {where}", way)
    said, forbidden = refused
    if forbidden:
        return StageProblem(
            f"{by} may not connect us to {where}: {said}",
            f"on {by}, in sshd_config: AllowTcpForwarding yes (or local), and PermitOpen, where that is set",
            way,
        )
    return StageProblem(
        f"{by} cannot connect to {where}: {said}",
        f"log in to {by}, and look whether {target.hostname} has an address there, and an SSH server at port"
        f" {target.port}",
        way,
    )
