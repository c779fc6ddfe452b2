"""A listener that starts one program a connection, with the socket as its stdin and stdout, as inetd did.

Run as a script: `inetd.py PORT PROGRAM [ARGUMENT ...]`. It listens on 127.0.0.1 until it is killed.
"""

from __future__ import annotations

import socket
import subprocess
import sys


def serve(port: int, argv: list[str]) -> None:
    """Accept for ever; raises OSError when the port is taken."""
    children: list[subprocess.Popen[bytes]] = []
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                children = [child for child in children if child.poll() is None]
                children.append(subprocess.Popen(argv, stdin=connection.fileno(), stdout=connection.fileno()))


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2:])
