"""A name server for the tests: it answers from a table, and notes what it was asked.

It runs as a program of its own, in a network namespace of its own: `dns_server.py ZONE ASKED`. Only what the
look-ups of a client need is here: questions by UDP for A and AAAA (RFC 1035, RFC 3596), chains of CNAMEs, and the
ways to fail.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from pathlib import Path

Zone = dict[str, list[tuple[str, str]]]
"""(type, value) by name in lower case, without the last dot. SERVFAIL and SILENT are types without a value."""

_TYPES = {"A": 1, "CNAME": 5, "AAAA": 28}
_NO_SUCH_NAME, _SERVER_FAILURE = 3, 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def read_zone(text: str) -> Zone:
    """Lines of `NAME TYPE VALUE`; `NAME NONE` is a name without any record."""
    zone: Zone = {}
    for line in text.splitlines():
        if line.strip():
            name, kind, *value = line.split()
            records = zone.setdefault(name.lower(), [])
            if kind != "NONE":
                records.append((kind, "".join(value)))
    return zone


def answer(zone: Zone, query: bytes) -> tuple[str, bytes | None]:
    """What was asked ("name. TYPE"), and the reply to it, or None for silence."""
    name, at = _read_name(query, 12)
    number = int.from_bytes(query[at : at + 2], "big")
    question = query[12 : at + 4]
    kind = next((kind for kind, value in _TYPES.items() if value == number), str(number))
    records: list[bytes] = []
    code = 0
    wanted = name
    for _ in range(16):  # as long as a chain of CNAMEs may be
        held = zone.get(wanted.lower())
        if held is None:
            code = _NO_SUCH_NAME
            break
        if ("SILENT", "") in held:
            return f"{name}. {kind}", None
        if ("SERVFAIL", "") in held:
            code = _SERVER_FAILURE
            break
        records += [_record(wanted, kind, value) for held_kind, value in held if held_kind == kind]
        target = next((value for held_kind, value in held if held_kind == "CNAME"), None)
        if target is None:
            break
        records.append(_record(wanted, "CNAME", target))
        wanted = target
    flags = 0x8580 | code  # a reply, authoritative, recursion there
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    return f"{name}. {kind}", head + question + b"".join(records)


def _record(name: str, kind: str, value: str) -> bytes:
    if kind == "CNAME":
        data = _name(value)
    else:
        data = socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, value)
    return _name(name) + struct.pack(">HHIH", _TYPES[kind], 1, 60, len(data)) + data


def _name(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    """The name at `at`, which a question has uncompressed, and where it ends."""
    labels = []
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "backslashreplace"))
        at += 1 + message[at]
    return ".".join(labels), at + 1


def loopback(*, up: bool) -> None:
    """Turn the loopback interface on or off; a new network namespace has it off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1] & ~_IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | (_IFF_UP if up else 0)))


def main(zone_file: str, asked_file: str) -> None:
    """Serve on 127.0.0.1 port 53 until killed; `asked_file` gets a line a question. Says "ready" when it is."""
    zone = read_zone(Path(zone_file).read_text())
    loopback(up=True)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        Path(asked_file).open("a", buffering=1) as asked,
    ):
        server.bind(("127.0.0.1", 53))
        print("ready", flush=True)
        while True:
            query, client = server.recvfrom(4096)
            question, reply = answer(zone, query)
            asked.write(question + "\n")  # first, so that who has the reply finds it there
            if reply is not None:
                server.sendto(reply, client)


if __name__ == "__main__":
    main(*sys.argv[1:])
