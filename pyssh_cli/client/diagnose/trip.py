"""One hop while it is diagnosed: what its stages leave for each other, and how long they may take."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from pyssh_cli.client.diagnose import facts as f
from pyssh_cli.client.diagnose.local import agent_outcome
from pyssh_cli.client.diagnose.probe import Asked, Inquiry, Notes, Probe
from pyssh_cli.client.way import Leg
from pyssh_cli.config.options import Options
from pyssh_cli.errors import NetworkError, PysshError
from pyssh_cli.log import printable
from pyssh_cli.net.process import UNKNOWN_PEER

if TYPE_CHECKING:
    from pyssh_cli.client.link import Carrier
    from pyssh_cli.client.outcomes import Outcome
    from pyssh_cli.net.loop import Loop

PATIENCE = 10.0
"""Seconds for a stage where ConnectTimeout says nothing."""


class TooSlow(NetworkError):
    """A stage has taken all of its time."""


class Trip:
    """One hop while its stages are gone through: what they leave for each other. `outer` is the hop before,
    `agent` the stage of that name."""

    def __init__(
        self, leg: Leg, notes: Notes, outer: Trip | None, *, is_last: bool, agent: f.Stage | None = None
    ) -> None:
        self.leg = leg
        self.options: Options = leg.options._replace(
            add_keys_to_agent=("no", None), update_host_keys="no", permit_local_command=False
        )
        """What a login there would go by, but for what would write, or run something after the login; `Nobody` is
        who is asked."""
        self.agent_problem: Outcome | None = None
        """Why the agent is not asked: it has not answered before, and would be waited for again."""
        if agent and agent.status == "warning" and agent.facts.path == printable(leg.options.identity_agent or ""):
            self.agent_problem = agent_outcome(agent)
            self.options = self.options._replace(identity_agent=None)
        self.notes = notes
        self.outer = outer
        self.loop: Loop | None = outer.loop if outer else None
        self.is_last = is_last
        self.limit = float(leg.options.connect_timeout or PATIENCE)
        self.addresses: tuple[str, ...] = ()
        self.carrier: Carrier | None = None
        self.probe: Probe | None = None
        self.inquiry: Inquiry | None = None
        self.failure: PysshError | None = None
        """What ended the connection before the stage that it concerns had begun."""
        self.asked = Asked()
        self.samples: list[f.Sample] = []
        self.connections: list[Probe] = []

    def run_until(self, done: Callable[[], bool], what: str) -> None:
        """Let things happen until `done`. Raises PysshError, TooSlow with `what` when the time is up."""
        assert self.loop is not None
        deadline = monotonic() + self.limit
        while not done():
            if monotonic() >= deadline:
                raise TooSlow(f"{what} within {self.limit:g} seconds")
            self.loop.run_once(deadline)

    def started(self) -> Probe:
        """A connection on the carrier, which has said its first words."""
        assert self.loop is not None
        assert self.carrier is not None
        probe = Probe(self.options, self.notes, self.loop, self.carrier, self.asked, logs_in=not self.is_last)
        self.connections.append(probe)
        probe.start()
        return probe

    def words(self, error: PysshError) -> str:
        """An error on one line, without what the report says anyway: whose it is."""
        text = plain(error)
        return text.removeprefix(f"Connection to {self.carrier.peer}: ") if self.carrier else text

    def close(self) -> None:
        """Give back what is open."""
        for probe in reversed(self.connections):
            if probe.inquiry:
                probe.inquiry.close()
            probe.close()
        if self.carrier and not self.connections:
            self.carrier.close()


def plain(error: PysshError) -> str:
    """An error without the prefix that scripts look for, on one line."""
    text = str(error).removeprefix("ssh: ").replace(UNKNOWN_PEER, "the ProxyCommand")
    return "; ".join(text.split("\n"))
