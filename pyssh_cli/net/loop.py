"""The event loop: waits for file descriptors and for points in time, and calls back. One thread, nothing else.

A descriptor that cannot be waited for, such as a regular file, counts as always ready. Signal handlers are
Python's own and run between two callbacks; a wake-up pipe sees to it that a wait ends for them.
"""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import socket
import stat
from collections.abc import Callable
from itertools import count
from time import monotonic

Callback = Callable[[], None]


class Timer:
    """Something to be called at a point in time, until it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Do not call any more."""
        self.callback = None


class Loop:
    """Waits for descriptors and timers. Times are seconds of `time.monotonic`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._always: dict[int, tuple[Callback | None, Callback | None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._wake_pipe: tuple[int, int] | None = None
        self._woken: list[Callback] = []

    def watch(
        self, fd: int | socket.socket, readable: Callback | None = None, writable: Callback | None = None
    ) -> None:
        """Call `readable` and `writable` whenever `fd` is so; None for neither stops watching."""
        number = fd if isinstance(fd, int) else fd.fileno()
        self._always.pop(number, None)
        events = (selectors.EVENT_READ if readable else 0) | (selectors.EVENT_WRITE if writable else 0)
        known = self._selector.get_map().get(number)
        if not events:
            if known:
                self._selector.unregister(number)
        elif known:
            self._selector.modify(number, events, (readable, writable))
        elif stat.S_ISREG(os.fstat(number).st_mode):
            self._always[number] = (readable, writable)
        else:
            try:
                self._selector.register(number, events, (readable, writable))
            except PermissionError:  # epoll's answer to /dev/null and its like
                self._always[number] = (readable, writable)

    def call_at(self, when: float, callback: Callback) -> Timer:
        """Call back at `when`, once."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_soon(self, callback: Callback) -> None:
        """Call back before the next wait: for what must not run inside the callback that finds it out."""
        self._woken.append(callback)

    def wake_on_signals(self) -> None:
        """Let arriving signals end a wait, so that their Python handlers run at once."""
        if self._wake_pipe is None:
            self._wake_pipe = reader, writer = os.pipe()
            for fd in self._wake_pipe:
                os.set_blocking(fd, False)
            signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            self.watch(reader, lambda: self._empty(reader))

    @staticmethod
    def _empty(reader: int) -> None:
        try:
            os.read(reader, 4096)
        except BlockingIOError:
            pass

    def run_once(self, deadline: float | None = None) -> None:
        """Wait until something is ready or due, at most until `deadline`, and call back for it."""
        if self._woken:
            woken, self._woken = self._woken, []
            for callback in woken:
                callback()
        timeout = self._timeout(deadline) if not (self._always or self._woken) else 0.0
        first = True
        for key, events in self._selector.select(timeout):
            readable, writable = key.data
            # A callback may have stopped the watch that a later one of the same batch stands for.
            if events & selectors.EVENT_WRITE and writable and (first or self._still(key.fd, 1, writable)):
                first = False
                writable()
            if events & selectors.EVENT_READ and readable and (first or self._still(key.fd, 0, readable)):
                first = False
                readable()
        if self._always:
            self._run_always()
        if self._timers:
            self._run_timers()

    def _run_always(self) -> None:
        for fd, (readable, writable) in tuple(self._always.items()):
            if readable and self._always.get(fd, (None, None))[0] is readable:
                readable()
            if writable and self._always.get(fd, (None, None))[1] is writable:
                writable()

    def _still(self, fd: int, which: int, callback: Callback) -> bool:
        key = self._selector.get_map().get(fd)
        return key is not None and key.data[which] == callback

    def _timeout(self, deadline: float | None) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        due = self._timers[0][0] if self._timers else None
        if deadline is not None:
            due = deadline if due is None else min(due, deadline)
        return None if due is None else max(0.0, due - monotonic())

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= monotonic():
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def renew(self) -> None:
        """Go on in a child process: a selector of its own, for kqueue's are not inherited (kqueue(2))."""
        old = self._selector
        self._selector = selectors.DefaultSelector()
        for key in old.get_map().values():
            self._selector.register(key.fd, key.events, key.data)
        old.close()

    def close(self) -> None:
        """Give back what the loop holds."""
        if self._wake_pipe is not None:
            signal.set_wakeup_fd(-1)
            for fd in self._wake_pipe:
                os.close(fd)
            self._wake_pipe = None
        self._selector.close()
