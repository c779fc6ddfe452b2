"""The event loop: waits for file descriptors and for points in time, and calls back. One thread, nothing else.

A descriptor that cannot be waited for, such as a regular file, counts as always ready. Signal handlers are
Python's own and run between two callbacks; a wake-up pipe sees to it that a wait ends for them.
"""

from __future__ import annotations

import heapq
import math
import os
import select
import signal
import socket
import stat
from collections import deque
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Any

from pyssh_cli.net import LONGEST_WAIT

Callback = Callable[[], None]

_READ, _WRITE = 1, 4
"""POLLIN and POLLOUT, which epoll shares. What else is reported (errors, hang-ups) is news for both."""


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
        self._epoll = hasattr(select, "epoll")
        self._poll: Any = select.epoll() if self._epoll else select.poll()
        self._watched: dict[int, tuple[Callback | None, Callback | None]] = {}
        self._always: dict[int, tuple[Callback | None, Callback | None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._wake_pipe: tuple[int, int] | None = None
        self._woken: list[Callback] = []
        self._from_threads: deque[Callback] = deque()
        self._thread_pipe: tuple[int, int] | None = None

    def watch(
        self, fd: int | socket.socket, readable: Callback | None = None, writable: Callback | None = None
    ) -> None:
        """Call `readable` and `writable` whenever `fd` is so; None for neither stops watching."""
        number = fd if isinstance(fd, int) else fd.fileno()
        if self._always:
            self._always.pop(number, None)
        events = (_READ if readable else 0) | (_WRITE if writable else 0)
        known = self._watched.get(number)
        if not events:
            if known:
                del self._watched[number]
                self._poll.unregister(number)
        elif known:
            self._watched[number] = readable, writable
            if (known[0] is None, known[1] is None) != (readable is None, writable is None):
                self._poll.modify(number, events)
        elif stat.S_ISREG(os.fstat(number).st_mode):
            self._always[number] = readable, writable
        else:
            try:
                self._poll.register(number, events)
            except PermissionError:  # epoll's answer to /dev/null and its like
                self._always[number] = readable, writable
            else:
                self._watched[number] = readable, writable

    def call_at(self, when: float, callback: Callback) -> Timer:
        """Call back at `when`, once."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def call_soon(self, callback: Callback) -> None:
        """Call back when this round is over: for what must not run inside the callback that finds it out.

        What is asked for between two rounds, or by a signal's handler during a wait (see `wake_on_signals`), is
        called without waiting for anything else.
        """
        self._woken.append(callback)

    def prepare_for_threads(self) -> None:
        """Make `call_from_thread` possible."""
        if self._thread_pipe is None:
            self._thread_pipe = reader, _ = os.pipe()
            for fd in self._thread_pipe:
                os.set_blocking(fd, False)
            self.watch(reader, self._run_from_threads)

    def call_from_thread(self, callback: Callback) -> None:
        """Have the loop's own thread call back; the one method that other threads may use."""
        self._from_threads.append(callback)
        if self._thread_pipe is not None:
            try:
                os.write(self._thread_pipe[1], b"!")
            except OSError:  # full, so it is woken anyway; or closed, and nobody listens
                pass

    def _run_from_threads(self) -> None:
        assert self._thread_pipe is not None
        self._empty(self._thread_pipe[0])
        try:
            while self._from_threads:
                self._from_threads.popleft()()
        except BaseException:
            self.call_soon(self._run_from_threads)  # the pipe says nothing of the others any more
            raise

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
        """Wait until something is ready or due, at most until `deadline`, and call back for it.

        Nothing is waited for while `call_soon` has something to call. It is called last, so that whoever runs the
        loop can look at what has become of it before the next wait. What a callback raises comes out here; those
        that it kept from being called are called when the loop goes on.
        """
        if self._always or self._woken:
            timeout: float | None = 0.0
        elif self._timers or deadline is not None:
            timeout = self._timeout(deadline)
        else:
            timeout = None
        watched = self._watched
        for fd, events in self._wait(timeout):
            # A callback may have stopped the watch that a later one of the same batch stands for.
            if events & ~_READ:
                pair = watched.get(fd)
                if pair and pair[1]:
                    pair[1]()
            if events & ~_WRITE:
                pair = watched.get(fd)
                if pair and pair[0]:
                    pair[0]()
        if self._always:
            self._run_always()
        if self._timers:
            self._run_timers()
        if self._woken:
            woken, self._woken = self._woken, []
            left = iter(woken)
            try:
                for callback in left:
                    callback()
            except BaseException:
                self._woken[:0] = left
                raise

    def _run_always(self) -> None:
        for fd, (readable, writable) in tuple(self._always.items()):
            if readable and self._always.get(fd, (None, None))[0] is readable:
                readable()
            if writable and self._always.get(fd, (None, None))[1] is writable:
                writable()

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """What is ready, and how; a signal ends the wait with nothing."""
        if timeout is None:
            timeout = -1.0
        try:
            # Rounded up: a timer must not be found not to be due yet.
            ready: list[tuple[int, int]] = self._poll.poll(
                timeout if self._epoll or timeout < 0 else math.ceil(timeout * 1000)
            )
        except InterruptedError:
            return []
        return ready

    def _timeout(self, deadline: float | None) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        due = self._timers[0][0] if self._timers else None
        if deadline is not None:
            due = deadline if due is None else min(due, deadline)
        return None if due is None else min(max(0.0, due - monotonic()), LONGEST_WAIT)

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= monotonic():
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def renew(self) -> None:
        """Go on in a child process. poll(2) knows nothing of processes, and an epoll that is inherited is the
        parent's as well: what either stops watching, the other would, too."""
        if not self._epoll:
            return
        self._poll.close()
        self._poll = select.epoll()
        for number, (readable, writable) in self._watched.items():
            self._poll.register(number, (_READ if readable else 0) | (_WRITE if writable else 0))

    def close(self) -> None:
        """Give back what the loop holds."""
        if self._wake_pipe is not None:
            signal.set_wakeup_fd(-1)
            for fd in self._wake_pipe:
                os.close(fd)
            self._wake_pipe = None
        if self._thread_pipe is not None:
            pipe, self._thread_pipe = self._thread_pipe, None
            for fd in pipe:
                os.close(fd)
        if self._epoll:
            self._poll.close()
