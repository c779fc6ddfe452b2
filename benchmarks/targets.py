"""What forwarded connections lead to in the measurements: a server whose clients say what they want of it.

Run as a script: it prints the free port of 127.0.0.1 that it listens on, and serves until it is killed. A client
sends one letter and eight bytes with a number: `D` has the number of bytes sent to it, `U` says that this many
will come, and has one byte sent back when they are there, `S` is `D` for short ones (a new connection each), `E`
sends everything back until the end.
"""

from __future__ import annotations

import socket
import threading

_PIECE = bytes(1 << 20)


def _serve(connection: socket.socket) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = connection.recv(9, socket.MSG_WAITALL)
        if len(head) < 9:
            return
        letter, count = head[:1], int.from_bytes(head[1:], "big")
        if letter in b"DS":
            while count:
                count -= connection.send(_PIECE[: min(count, len(_PIECE))])
            return
        buffer = bytearray(1 << 20)
        if letter == b"U":
            while count and (got := connection.recv_into(buffer)):
                count -= got
            connection.sendall(b"!")
        else:
            while got := connection.recv_into(buffer):
                connection.sendall(memoryview(buffer)[:got])


def _serve_quietly(connection: socket.socket) -> None:
    try:
        _serve(connection)
    except OSError:
        pass


def main() -> None:
    """Listen, say where, serve."""
    threading.stack_size(256 * 1024)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve_quietly, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
