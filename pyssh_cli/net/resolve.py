"""Name look-ups that hold up nothing: the system's resolver, asked in threads of its own."""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

from pyssh_cli.net.loop import Loop
from pyssh_cli.net.names import addresses_of

MAX_THREADS = 16
"""Look-ups under way at once; more wait for one to end."""

Found = Callable[[tuple[str, ...], OSError | None], None]
"""Told the numeric addresses, or why there are none."""


class Resolver:
    """Looks up names for one loop. Threads that wait for a dead name server end with the process."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._running = 0
        self._waiting: deque[tuple[str, int, str, Found]] = deque()
        loop.prepare_for_threads()

    def look_up(self, name: str, port: int, family: str, found: Found) -> None:
        """Ask for the addresses of `name`; `found` is called by the loop. `family` is AddressFamily's value."""
        try:
            numeric = addresses_of(name, port, family, numeric=True)
        except OSError:
            self._waiting.append((name, port, family, found))
            self._start()
        else:
            found(numeric.addresses, None)

    def _start(self) -> None:
        while self._waiting and self._running < MAX_THREADS:
            asked = self._waiting.popleft()
            try:
                threading.Thread(target=self._ask, args=asked, daemon=True).start()
            except RuntimeError as error:  # RLIMIT_NPROC, or no memory for its stack
                failure = OSError(errno.EAGAIN, str(error))
                self._loop.call_soon(partial(asked[3], (), failure))
            else:
                self._running += 1

    def _ask(self, name: str, port: int, family: str, found: Found) -> None:
        addresses: tuple[str, ...] = ()
        failure: OSError | None = None
        try:
            addresses = addresses_of(name, port, family).addresses
        except OSError as error:
            failure = error

        def tell() -> None:
            self._running -= 1
            self._start()
            found(addresses, failure)

        self._loop.call_from_thread(tell)
