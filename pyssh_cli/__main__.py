"""`python -m pyssh_cli` and the console script `pyssh`: both are the command line of `cli`."""

from __future__ import annotations

import sys
from typing import NoReturn

from pyssh_cli.cli import main as run


def main() -> NoReturn:
    """Run the process's own command line and exit with its code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
