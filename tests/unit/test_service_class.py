"""IPQoS on a socket: the field is set for both versions of IP, one that cannot be set is no error, and it changes
with the channels that are open."""

from __future__ import annotations

import socket

import pytest

from pyssh_cli.client.service_class import ServiceClass
from pyssh_cli.log import Log
from pyssh_cli.net.tcp import set_service_class
from pyssh_cli.protocol.channels import Channel


@pytest.mark.parametrize(
    ("family", "level", "option"),
    [
        (socket.AF_INET, socket.IPPROTO_IP, socket.IP_TOS),
        (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
    ],
)
def test_field_of_both_versions_of_ip(family: int, level: int, option: int) -> None:
    with socket.socket(family) as sock:
        before = sock.getsockopt(level, option)
        set_service_class(sock, None, Log())
        assert sock.getsockopt(level, option) == before
        set_service_class(sock, 0x48, Log())
        assert sock.getsockopt(level, option) == 0x48
        set_service_class(sock, 0, Log())
        assert sock.getsockopt(level, option) == 0


def test_other_sockets_and_refusals_do_no_harm(capfd: pytest.CaptureFixture[str]) -> None:
    one, other = socket.socketpair()
    set_service_class(one, 0x48, Log())
    other.close()
    one.close()
    sock = socket.socket(socket.AF_INET)
    sock.close()
    set_service_class(sock, 0x48, Log())
    assert capfd.readouterr().err == ""


def channel(kind: str, *, interactive: bool | None = None) -> Channel:
    """One that is open."""
    made = Channel(0, kind)
    made.remote_id = 0
    if interactive is not None:
        made.interactive = interactive
    return made


def closed(one: Channel) -> Channel:
    """The same, which is not open any more."""
    one.close_sent = True
    return one


def test_the_field_follows_the_channels_that_are_open() -> None:
    with socket.socket() as sock:

        def field() -> int:
            return sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)

        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x48)
        service = ServiceClass(sock, (0x48, 0x20), Log())
        shell = channel("session", interactive=True)
        forwarded, display = channel("direct-tcpip"), channel("x11")
        service.consider(shell)
        service.consider(channel("auth-agent@openssh.com"))
        service.consider(channel("agent-connect"))
        assert field() == 0x48
        service.consider(forwarded)
        assert field() == 0x20
        service.consider(display)
        service.consider(closed(forwarded))
        assert field() == 0x20
        service.consider(closed(display))
        assert field() == 0x48
        shell.interactive = False  # the server gives it no terminal
        service.consider(shell)
        assert field() == 0x20


@pytest.mark.parametrize(
    ("fields", "bulk"), [((0x48, None), 0), ((None, 0x20), 0x20), ((None, None), 0x10), ((0x48, 0x48), 0x10)]
)
def test_a_class_that_is_the_system_s(fields: tuple[int | None, int | None], bulk: int) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
        ServiceClass(sock, fields, Log()).consider(channel("session"))
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == bulk


def test_without_a_socket_there_is_nothing_to_set() -> None:
    ServiceClass(None, (0x48, 0x20), Log()).consider(channel("session"))
