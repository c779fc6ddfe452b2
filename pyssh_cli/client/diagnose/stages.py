"""The stages of one hop, a table: each is a function that fills in its facts.

They are gone through in this order; a `StageProblem` that is more than a warning ends the way. Each has the whole
of a hop's time limit (ConnectTimeout, or `trip.PATIENCE`) for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyssh_cli.client.diagnose.handshake import host_key, key_exchange, version
from pyssh_cli.client.diagnose.reach import names, reach
from pyssh_cli.client.diagnose.trip import Trip
from pyssh_cli.client.diagnose.user import authentication, round_trip

STAGES: dict[str, Callable[[Trip], Any]] = {
    "names": names,
    "reach": reach,
    "version": version,
    "key_exchange": key_exchange,
    "host_key": host_key,
    "authentication": authentication,
    "round_trip": round_trip,
}
"""The stages of a hop by name, in order. One that gives None had nothing to do, and is not told of."""
