"""The encoded terminal modes of a pty request (RFC 4254 section 8), made from what termios knows of a terminal.

Not for setting modes: that is `raw`. The table holds the opcodes in the order OpenSSH sends them.
"""

from __future__ import annotations

import sys
import termios
from typing import Any, Literal

Field = Literal["iflag", "oflag", "cflag", "lflag", "cc"]

TTY_OP_END = 0
TTY_OP_ISPEED = 128
TTY_OP_OSPEED = 129

OPCODES: dict[int, tuple[str, Field]] = {
    1: ("VINTR", "cc"),
    2: ("VQUIT", "cc"),
    3: ("VERASE", "cc"),
    4: ("VKILL", "cc"),
    5: ("VEOF", "cc"),
    6: ("VEOL", "cc"),
    7: ("VEOL2", "cc"),
    8: ("VSTART", "cc"),
    9: ("VSTOP", "cc"),
    10: ("VSUSP", "cc"),
    11: ("VDSUSP", "cc"),
    12: ("VREPRINT", "cc"),
    13: ("VWERASE", "cc"),
    14: ("VLNEXT", "cc"),
    15: ("VFLUSH", "cc"),
    17: ("VSTATUS", "cc"),
    18: ("VDISCARD", "cc"),
    30: ("IGNPAR", "iflag"),
    31: ("PARMRK", "iflag"),
    32: ("INPCK", "iflag"),
    33: ("ISTRIP", "iflag"),
    34: ("INLCR", "iflag"),
    35: ("IGNCR", "iflag"),
    36: ("ICRNL", "iflag"),
    37: ("IUCLC", "iflag"),
    38: ("IXON", "iflag"),
    39: ("IXANY", "iflag"),
    40: ("IXOFF", "iflag"),
    41: ("IMAXBEL", "iflag"),
    42: ("IUTF8", "iflag"),
    50: ("ISIG", "lflag"),
    51: ("ICANON", "lflag"),
    52: ("XCASE", "lflag"),
    53: ("ECHO", "lflag"),
    54: ("ECHOE", "lflag"),
    55: ("ECHOK", "lflag"),
    56: ("ECHONL", "lflag"),
    57: ("NOFLSH", "lflag"),
    58: ("TOSTOP", "lflag"),
    59: ("IEXTEN", "lflag"),
    60: ("ECHOCTL", "lflag"),
    61: ("ECHOKE", "lflag"),
    62: ("PENDIN", "lflag"),
    70: ("OPOST", "oflag"),
    71: ("OLCUC", "oflag"),
    72: ("ONLCR", "oflag"),
    73: ("OCRNL", "oflag"),
    74: ("ONOCR", "oflag"),
    75: ("ONLRET", "oflag"),
    90: ("CS7", "cflag"),
    91: ("CS8", "cflag"),
    92: ("PARENB", "cflag"),
    93: ("PARODD", "cflag"),
}
"""Opcode (RFC 4254 section 8; 42 is RFC 8160) to its name in termios and the field of struct termios it is in.

VSWTCH (16) is left out: neither Linux's nor macOS's C library has it (Python's name is an alias of its own for
VSWTC), so OpenSSH does not send it either.
"""

NO_MODES = bytes([TTY_OP_END])
"""What goes with a pty request when there is no local terminal: nothing but the end mark, as OpenSSH sends it."""

_ABSENT_FROM_PYTHON = {"IUTF8": 0x4000}  # the same bit on Linux and macOS; termios names it in newer Pythons only

_FIELD_INDEX: dict[Field, int] = {"iflag": 0, "oflag": 1, "cflag": 2, "lflag": 3, "cc": 6}  # in tcgetattr's list

_ISPEED_INDEX, _OSPEED_INDEX = 4, 5

_VDISABLE = 0x00 if sys.platform == "linux" else 0xFF  # _POSIX_VDISABLE; BSDs, macOS among them, have the latter

_UNKNOWN_BAUD = 9600  # what OpenSSH says of a speed it has no name for

_BAUD = {
    value: int(name[1:])
    for name, value in vars(termios).items()
    if name[0] == "B" and name[1:].isdigit() and isinstance(value, int)
}
"""The constants of tcgetattr to bits per second; on macOS they are the same numbers."""


def _constants() -> tuple[tuple[int, int, Field], ...]:
    """(opcode, bit or index, field) for every opcode this platform has."""
    rows = []
    for opcode, (name, field) in OPCODES.items():
        constant = getattr(termios, name, _ABSENT_FROM_PYTHON.get(name))
        if constant is not None:
            rows.append((opcode, constant, field))
    return tuple(rows)


_ROWS = _constants()


def encode_modes(attributes: list[Any]) -> bytes:
    """The value of "encoded terminal modes" (RFC 4254 section 6.2) for a terminal's attributes.

    `attributes` is what `termios.tcgetattr` returned. The result begins with the speeds in bits per second, has
    255 for a control character that is switched off, 1 or 0 for a flag, and ends with TTY_OP_END. It is not yet
    wrapped in a string. Where there is no terminal to ask, send `NO_MODES`.
    """
    encoded = bytearray()
    for opcode, index in ((TTY_OP_OSPEED, _OSPEED_INDEX), (TTY_OP_ISPEED, _ISPEED_INDEX)):
        encoded.append(opcode)
        encoded += _BAUD.get(attributes[index], _UNKNOWN_BAUD).to_bytes(4, "big")
    for opcode, constant, field in _ROWS:
        part = attributes[_FIELD_INDEX[field]]
        if field == "cc":
            code = part[constant][0]
            value = 255 if code == _VDISABLE else code
        else:
            value = int(part & constant != 0)
        encoded.append(opcode)
        encoded += value.to_bytes(4, "big")
    encoded.append(TTY_OP_END)
    return bytes(encoded)
