"""ProxyJump's way to a host: which connections are made, one inside the other, and what each goes by.

Each hop goes by its own configuration, with what ssh hands on to the ssh that it would start for it: -l, -p, -F,
-v, and -J for the hops before it; no -o. Nothing is connected here; `jump` does that.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple

from pyssh_cli.config.jumps import Hop, parse_hops
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import refuse_unsupported, resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import TOKEN_RULES
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG1, INFO, Log
from pyssh_cli.net.names import SystemNetwork

MAX_HOPS = 32
"""Hops on one way: more of them come from a configuration that never ends."""


class HandedOn(NamedTuple):
    """What of the command line counts for jump hosts, too: -F, the level that -v asks for, and -o Proxy."""

    config_file: str | None = None
    log_level: int | None = None
    proxy: str | None = None


class Leg(NamedTuple):
    """One connection on the way; `name` is what the person calls the host."""

    options: Options
    log: Log
    name: str

    def is_named_in(self, message: str) -> bool:
        """Whether a message says that it is about this host."""
        return _is_named(self.name, message)


def _is_named(name: str, message: str) -> bool:
    import re

    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", message) is not None


class HopLog(Log):
    """What a hop's connection has to say: by its own LogLevel, and where its destination's connection says it.

    Each message says at the end of its first line which hop it is about, `name`: what programs look for are
    beginnings of lines. But for what people are told, where one of `names` stands in it already.
    """

    def __init__(self, log: Log, level: int, name: str) -> None:
        super().__init__(level)
        self._log = log
        self._name = name
        self.names: tuple[str, ...] = (name,)

    def say(self, rank: int, message: str) -> None:
        """Say it if the hop's level lets it through."""
        if rank <= self.level:
            if rank >= DEBUG1 or not (message.startswith("@") or self._names_itself(message)):
                message = self._at_hop(message)
            held, self._log.level = self._log.level, self.level
            self._log.say(rank, message)
            self._log.level = held

    def quote(self, message: str) -> None:
        """What the hop's server says is always marked: it may name whom it likes."""
        if self.level >= INFO:
            held, self._log.level = self._log.level, self.level
            self._log.quote(self._at_hop(message))
            self._log.level = held

    def _names_itself(self, message: str) -> bool:
        return any(_is_named(one, message) for one in self.names)

    def _at_hop(self, message: str) -> str:
        blank = len(message) - len(message.lstrip("\n"))
        first, newline, rest = message[blank:].partition("\n")
        return f"{message[:blank]}{first} (at {self._name}){newline}{rest}"

    # There is one terminal, and whether a person is told of waiting there is the destination's.

    def tell_at(self) -> float:
        """As the destination's log has it."""
        return self._log.tell_at()

    def waits_for(self, what: str) -> None:
        """Show it there."""
        self._log.waits_for(what)

    def clear(self) -> None:
        """Take it off there."""
        self._log.clear()


class Patience:
    """ConnectTimeout of all connections of a way: each runs from the beginning, for the connection inside waits
    for those around it, as ssh waits for its ProxyCommand. The time that a person takes to answer a hop is no part
    of it: `more(seconds)`."""

    def __init__(self, timeouts: Iterable[int | None]) -> None:
        self._timeouts = list(timeouts)
        self._began = monotonic()

    def deadline(self, judged: int = 0) -> float | None:
        """When the time is over, once the hosts of so many connections have shown who they are; None for never."""
        timeouts = [timeout for timeout in self._timeouts[judged:] if timeout]
        return self._began + min(timeouts) if timeouts else None

    def more(self, seconds: float) -> None:
        """Have so much more of it."""
        self._began += seconds


def way_to(destination: Leg, handed_on: HandedOn) -> list[Leg]:
    """All connections to make, one inside the other, the destination's last. Raises ConfigError.

    As with ssh, a hop of -J and of a ProxyJump that lists several passes by those before it, whatever its own
    configuration says; the first of them goes by its own. A way that leads back to where it was is refused.
    """
    way = [destination]
    seen: set[tuple[Hop, str]] = set()
    while jump := way[0].options.proxy_jump:
        before, _, _ = jump.rpartition(",")
        asked = _expanded(parse_hops(jump)[-1], way[0].options)
        before = _expand(before, way[0].options)
        if (asked, before) in seen or len(way) > MAX_HOPS:
            raise ConfigError(f"jumphost loop via {asked.host} (its own ProxyJump leads back to it)")
        seen.add((asked, before))
        way.insert(0, _leg(asked, before, destination.log, handed_on))
    first = way[0].options
    if len(way) > 1 and handed_on.proxy and not first.proxy and not first.proxy_command:
        way[0] = way[0]._replace(options=first._replace(proxy=handed_on.proxy))
    return way


def _expand(value: str, options: Options) -> str:
    return options.tokens.expand(value, allowed=TOKEN_RULES["proxyjump"].letters or "", where="ProxyJump")


def _expanded(hop: Hop, options: Options) -> Hop:
    """A hop with the tokens of the connection that goes by it."""
    user = None if hop.user is None else _expand(hop.user, options)
    return hop._replace(user=user, host=_expand(hop.host, options))


def _leg(hop: Hop, before: str, log: Log, handed_on: HandedOn) -> Leg:
    """The connection to a hop: what `ssh -l USER -p PORT -J BEFORE -F FILE -v -W TARGET HOST` would make."""
    settings = Settings()
    if hop.user is not None:
        settings.set_first("user", hop.user, "-l")
    if hop.port is not None:
        settings.set_first("port", hop.port, "-p")
    if before:
        try:
            parse_hops(before)
        except ValueError:
            raise ConfigError(f"Invalid -J argument: {before}") from None
        settings.set_first("proxyjump", before, "-J")
    if handed_on.log_level is not None:
        settings.replace("loglevel", handed_on.log_level, "-v")
    for keyword, value in (
        ("requesttty", "no"),
        ("sessiontype", "none"),
        ("exitonforwardfailure", True),
        ("clearallforwardings", True),
    ):
        settings.replace(keyword, value, "-W")
    name = hop.host if hop.port is None else f"{hop.host} port {hop.port}"
    hop_log = HopLog(log, INFO if handed_on.log_level is None else handed_on.log_level, name)
    hop_log.debug1(f"Settling the options of the jump host {hop.host}")
    options = resolve(settings, hop.host, SystemNetwork(hop_log), hop_log, config_file=handed_on.config_file)
    hop_log.names = (hop.host, options.hostname)
    refuse_unsupported(settings, hop_log)
    return Leg(options, hop_log, hop.host)
