"""Waiting for something to become true, with a deadline in place of a sleep that has to be long enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds after which a test gives up; far beyond what anything here takes on a loaded machine."""


def wait_until(probe: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """Ask `probe` again and again until it returns something true, and return that.

    Raises TimeoutError that says `what` did not come.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} seconds")
        time.sleep(0.01)
