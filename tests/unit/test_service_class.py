"""IPQoS on a socket: the field is set for both versions of IP, and one that cannot be set is no error."""

from __future__ import annotations

import socket

import pytest

from pyssh_cli.log import Log
from pyssh_cli.net.tcp import set_service_class


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
