"""`python -m pyssh_cli` and the console script `pyssh`: both are the command line of `cli`."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

# Collecting garbage while modules load finds none and costs milliseconds; the session turns it on again.
gc.disable()

from pyssh_cli.cli import main as run  # noqa: E402


def main() -> NoReturn:
    """Run the process's own command line and exit with its code.

    The interpreter is not taken down piece by piece: that takes longer than many a remote command, and all that
    must be put back in order (the terminal, descriptors, files) has been by now.
    """
    status = run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or never there
            pass
    os._exit(status)


if __name__ == "__main__":
    main()
