"""A name server for the tests: it answers from a table, and notes what it was asked.

It runs as a program of its own, in a network namespace of its own: `dns_server.py ZONE ASKED [ADDRESS]`. Only what
the look-ups of a client need is here: questions by UDP for A, AAAA and SSHFP (RFC 1035, RFC 3596, RFC 4255),
chains of CNAMEs, the word that signatures were checked (RFC 4035), and the ways to fail.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from pathlib import Path

Zone = dict[str, list[tuple[str, str]]]
"""(type, value) by name in lower case, without the last dot. SERVFAIL, SILENT and SECURE are types without a
value; the value of an SSHFP is its two numbers, one digit each, and the fingerprint in hex."""

_TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SSHFP": 44}
_AUTHENTIC = 0x0020
_NO_SUCH_NAME, _SERVER_FAILURE = 3, 2
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8913, 0x8914, 0x8916, 1


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
    secure = ("SECURE", "") in zone.get(name.lower(), [])
    flags = 0x8580 | (_AUTHENTIC if secure else 0) | code  # a reply, authoritative, recursion there
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    return f"{name}. {kind}", head + question + b"".join(records)


def _record(name: str, kind: str, value: str) -> bytes:
    if kind == "CNAME":
        data = _name(value)
    elif kind == "SSHFP":
        data = bytes((int(value[0]), int(value[1]))) + bytes.fromhex(value[2:])
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


def add_address(address: str) -> None:
    """Give the loopback interface another IPv4 address, which is not one of 127.0.0.0/8."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        where = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, struct.pack("16s16s8x", b"lo:1", where))


def main(zone_file: str, asked_file: str, address: str = "") -> None:
    """Serve on 127.0.0.1 port 53 until killed; `asked_file` gets a line a question. Says "ready" when it is.

    `address` is one that this machine shall have too.
    """
    zone = read_zone(Path(zone_file).read_text())
    loopback(up=True)
    if address:
        add_address(address)
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
