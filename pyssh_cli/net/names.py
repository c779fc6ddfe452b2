"""Names and local addresses: what the system's resolver and the kernel's list of interfaces say.

For the configuration (`config.network.Network`) and for connecting alike. Nothing is connected here.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from time import monotonic
from typing import Any

from pyssh_cli.config.network import Found
from pyssh_cli.log import NEVER, Log

NAME_MAX = 1024
"""Bytes of a name: what NI_MAXHOST leaves. The DNS itself ends at 255."""

_INTERFACE_IS_UP = 1  # IFF_UP, on Linux and on macOS
_LINK_LOCAL = b"\xfe\x80"


def addresses_of(
    name: str,
    port: int,
    family: str,
    *,
    numeric: bool = False,
    canonical_name: bool = False,
    log: Log | None = None,
) -> Found:
    """Ask the resolver for the addresses of `name`, in the order in which they are to be tried.

    `family` is AddressFamily's value. An address of a link carries its scope ("fe80::1%eth0"). With `numeric` only
    an address is read, and nothing is asked. A trailing dot keeps the resolver from its search list. Ctrl-C ends
    the process at once, as it ends ssh: the resolver would wait on. By `log` a person is told of a long wait.
    Raises OSError (socket.gaierror).
    """
    import socket

    # Bytes, for text would go through IDNA, which ssh does not do, and which takes 4 ms to load.
    raw = name.encode("utf-8", "surrogateescape")
    if not raw or len(raw) > NAME_MAX or b"\0" in raw:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    families = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
    flags = socket.AI_NUMERICHOST if numeric else socket.AI_CANONNAME if canonical_name else 0

    def ask(flags: int) -> list[Any]:
        return socket.getaddrinfo(
            raw, str(port), families[family], socket.SOCK_STREAM, 0, flags | socket.AI_NUMERICSERV
        )

    def look_up() -> list[Any]:
        try:
            return ask(flags)
        except UnicodeDecodeError:  # a canonical name that is not even text
            return ask(0)

    def is_address() -> bool:
        try:
            return bool(ask(socket.AI_NUMERICHOST))
        except socket.gaierror:
            return False

    if numeric:
        answers = look_up()
    elif log is not None and log.tell_at() != NEVER and not is_address():
        answers = _aside(look_up, log, f"Looking up {name}")
    else:
        answers = _interruptibly(look_up)
    as_numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    addresses = tuple(socket.getnameinfo(answer[4], as_numbers)[0] for answer in answers)
    return Found(addresses, str(answers[0][3]))


def _interruptibly(look_up: Callable[[], list[Any]]) -> list[Any]:
    """What it returns; Ctrl-C ends the process meanwhile."""
    # Python's own handler runs when the resolver is done, which may take minutes. Any other is not ours to touch.
    waits = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if waits:
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        except ValueError:  # only the main thread has a say
            waits = False
    try:
        return look_up()
    finally:
        if waits:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _aside(look_up: Callable[[], list[Any]], log: Log, what: str) -> list[Any]:
    """What it returns, in a thread of its own: this one sees to it that whoever waits is told for what, and that
    Ctrl-C leaves a clean line behind. A thread that nobody waits for any more ends with the process."""
    from _thread import allocate_lock, start_new_thread  # the threading module takes longer to load

    done = allocate_lock()
    done.acquire()
    answers: list[list[Any]] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(look_up())
        except BaseException as error:
            failures.append(error)
        finally:
            done.release()

    try:
        start_new_thread(run, ())
    except RuntimeError:  # the system lets us have none
        return _interruptibly(look_up)
    while not done.acquire(timeout=max(0.0, log.tell_at() - monotonic())):
        log.waits_for(what)
    if failures:
        raise failures[0]
    return answers[0]


def why_not_found(error: OSError, where: str) -> str:
    """What the resolver says of a name that it does not find, and what to do about it; `where` is where the name
    comes from."""
    return f"{error.strerror} ({cure(error) or f'check the spelling, and {where}'})"


def cure(error: OSError) -> str:
    """What to do about the resolver's word, where that is more than to check the name; else nothing."""
    import socket

    return {
        socket.EAI_AGAIN: "no name server answers: check this machine's network, and /etc/resolv.conf",
        getattr(socket, "EAI_NODATA", None): "it has no address that is asked for: check -4, -6 and AddressFamily",
        getattr(socket, "EAI_ADDRFAMILY", None): "it is of another kind: check -4, -6 and AddressFamily",
    }.get(error.errno, "")


def socket_address(address: str, port: int) -> tuple[int, Any]:
    """The family of a numeric address, and what a socket's connect() takes for it: a scope in text would be lost.

    Raises OSError.
    """
    import socket

    raw = address.encode("utf-8", "surrogateescape")
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    family, _, _, _, where = socket.getaddrinfo(raw, str(port), 0, socket.SOCK_STREAM, 0, numeric)[0]
    return family, where


class SystemNetwork:
    """The network of this machine. By `log` a person is told of a long wait."""

    __slots__ = ("_log",)

    def __init__(self, log: Log | None = None) -> None:
        self._log = log

    def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
        """The addresses of `name`, and what the resolver calls it. Raises OSError."""
        return addresses_of(name, port, family, numeric=numeric, canonical_name=True, log=self._log)

    def local_addresses(self) -> list[str]:
        """The addresses of all interfaces that are up, without scope, each once. Raises OSError."""
        return local_addresses()


def local_addresses() -> list[str]:
    """What getifaddrs(3) tells of interfaces that are up: IPv4 and IPv6 addresses, without scope, each once.

    Raises OSError.
    """
    import ctypes
    import os
    import sys

    class Interface(ctypes.Structure):
        """The beginning of struct ifaddrs, which is the same on Linux and macOS."""

    Interface._fields_ = [
        ("next", ctypes.POINTER(Interface)),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_uint),
        ("address", ctypes.c_void_p),
    ]
    libc = ctypes.CDLL(None, use_errno=True)
    getifaddrs, freeifaddrs = libc.getifaddrs, libc.freeifaddrs
    getifaddrs.argtypes = [ctypes.POINTER(ctypes.POINTER(Interface))]
    freeifaddrs.argtypes = [ctypes.POINTER(Interface)]
    freeifaddrs.restype = None
    first = ctypes.POINTER(Interface)()
    if getifaddrs(ctypes.byref(first)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    addresses: list[str] = []
    try:
        at = first
        while at:
            interface = at.contents
            if interface.address and interface.flags & _INTERFACE_IS_UP:
                head = ctypes.string_at(interface.address, 2)
                # struct sockaddr: a two-byte family on Linux; on macOS a byte of length, then one of family.
                family = head[1] if sys.platform == "darwin" else int.from_bytes(head, sys.byteorder)
                text = _address(family, interface.address, ctypes.string_at)
                if text and text not in addresses:
                    addresses.append(text)
            at = interface.next
    finally:
        freeifaddrs(first)
    return addresses


def _address(family: int, at: int, read: Any) -> str:
    """The text of the sockaddr at `at`, or "" when it is of another family than IPv4 and IPv6."""
    import socket

    if family == socket.AF_INET:
        return socket.inet_ntop(family, read(at + 4, 4))  # after family and port
    if family == socket.AF_INET6:
        raw = read(at + 8, 16)  # after family, port and flow label
        if raw[:2] == _LINK_LOCAL:
            raw = _LINK_LOCAL + b"\0\0" + raw[4:]  # where BSD's kernels keep the scope
        return socket.inet_ntop(family, raw)
    return ""
