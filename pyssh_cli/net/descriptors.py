"""How many descriptors connections may have (RLIMIT_NOFILE). The last few are kept from them: a module that is
first needed when nearly all are taken, a pipe or a look-up must not fail for somebody else's connection."""

from __future__ import annotations

import errno
import os

RESERVED = 8
"""Descriptors that no forwarded connection gets."""


def raise_descriptor_limit() -> None:
    """Let this process have as many descriptors as it may: a connection takes one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS has a limit above the limit
            pass


def left_for_connections(next_one: int) -> int:
    """How many more connections may be had when the next descriptor would be `next_one`: the system gives the
    lowest number that is free. 0 or less is none; OSError EMFILE is `out_of_descriptors`."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 1 << 30
    return limit - min(RESERVED, limit // 4) - next_one


def out_of_descriptors() -> OSError:
    """What the system says when there are none at all."""
    return OSError(errno.EMFILE, os.strerror(errno.EMFILE))
