"""Relays for tests: a listener on another address, and a program for ProxyCommand that joins its stdin and stdout
to a TCP connection, or hands the connected socket on.

As a script: `relays.py [--pass] HOST PORT`.
"""

from __future__ import annotations

import contextlib
import select
import shlex
import socket
import sys
import threading
from collections.abc import Iterator


def relay_command(*flags: str) -> str:
    """How a shell calls the program; a host and a port follow."""
    return shlex.join([sys.executable, "-S", __file__, *flags])


def join(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either ends."""
    with contextlib.suppress(OSError):
        while True:
            for ready in select.select([one, other], [], [])[0]:
                data = ready.recv(1 << 16)
                if not data:
                    return
                (other if ready is one else one).sendall(data)


@contextlib.contextmanager
def relaying(port: int, address: str) -> Iterator[int]:
    """A relay that listens on `address`, on the port it yields, to `port` of 127.0.0.1."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    threading.Thread(target=serve, args=(near,), daemon=True).start()

        def serve(near: socket.socket) -> None:
            with near, socket.create_connection(("127.0.0.1", port)) as far:
                join(near, far)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """See the top."""
    *flags, host, port = sys.argv[1:]
    far = socket.create_connection((host, int(port)))
    if flags == ["--pass"]:
        with socket.socket(fileno=1) as out:
            socket.send_fds(out, [b"\0"], [far.fileno()])
            out.detach()
        return
    import os

    while True:
        for ready in select.select([0, far.fileno()], [], [])[0]:
            data = os.read(ready, 1 << 16)
            if not data:
                return
            if ready == far.fileno():
                while data:
                    data = data[os.write(1, data) :]
            else:
                far.sendall(data)


if __name__ == "__main__":
    main()
