"""Stopping ourselves for a while, with the terminal as it was found meanwhile.

Not where signals are caught: `client/` decides what each one does.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyssh_cli.terminal.raw import RawMode


def suspend(raw: RawMode) -> None:
    """Leave raw mode, stop this process as Ctrl-Z would (SIGTSTP), and come back in the mode it was in.

    Returns when the process has been continued; the window may have another size by then. Returns at once when
    nobody is there to continue it (an orphaned process group, where the kernel drops SIGTSTP).
    """
    was_active = raw.active
    raw.leave()
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        signal.raise_signal(signal.SIGTSTP)
    finally:
        signal.signal(signal.SIGTSTP, handler)
        if was_active:
            raw.enter()
