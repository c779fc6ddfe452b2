"""Network devices with a program for a wire: Linux's tun, for IP packets, and tap, for Ethernet frames.

The kernel's Documentation/networking/tuntap.rst has their interface.
"""

from __future__ import annotations

import os
import struct

from pyssh_cli.errors import NetworkError

CONTROL = "/dev/net/tun"
"""What is opened to get any of them."""

MAX_FRAME = 65536 + 18
"""Bytes that one read of a device may bring: the largest IP packet behind an Ethernet header with a VLAN's tag."""

_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x0001, 0x0002, 0x1000
_TUNSETIFF = 0x400454CA
_TUNSETIFF_ELSEWHERE = 0x800454CA
"""On the processors whose ioctls encode their direction in another way."""

_OTHER_IOCTLS = ("alpha", "mips", "ppc", "sparc")
_NAME_SIZE = 16
_REQUEST = struct.Struct(f"{_NAME_SIZE}sH22x")
"""struct ifreq with a name and flags."""


def open_device(*, ethernet: bool, number: int | None) -> tuple[int, str]:
    """Open tunN or tapN, or the first that is free for None: a non-blocking descriptor and the device's name.

    The device is made if it is not there, and such a one is gone with the descriptor. A read brings one packet or
    frame, a write takes one. Raises NetworkError, with the system's reason.
    """
    import fcntl

    name = "" if number is None else f"{'tap' if ethernet else 'tun'}{number}"
    pattern = name or ("tap%d" if ethernet else "tun%d")
    if len(name) >= _NAME_SIZE:
        raise NetworkError(f"{name}: no device can have such a number")
    flags = (_IFF_TAP if ethernet else _IFF_TUN) | _IFF_NO_PI
    set_name = _TUNSETIFF_ELSEWHERE if os.uname().machine.startswith(_OTHER_IOCTLS) else _TUNSETIFF
    try:
        fd = os.open(CONTROL, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"{CONTROL}: {error.strerror}") from None
    try:
        answer = fcntl.ioctl(fd, set_name, _REQUEST.pack(pattern.encode("ascii"), flags))
    except OSError as error:
        os.close(fd)
        raise NetworkError(f"{name or pattern[:3]}: {error.strerror}") from None
    return fd, answer[:_NAME_SIZE].partition(b"\0")[0].decode("ascii", "replace")
