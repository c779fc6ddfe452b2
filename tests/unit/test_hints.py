"""What is said at the end of a message, where no server can easily be made to show it."""

from __future__ import annotations

import errno
import os
import socket
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from pyssh_cli.client import hints
from pyssh_cli.client.host_key_warnings import shown_principals
from pyssh_cli.config.files import meant
from pyssh_cli.errors import NegotiationError, NetworkError
from pyssh_cli.log import DEBUG1, Log
from pyssh_cli.net import names, tcp
from pyssh_cli.protocol.channels import OPEN_FAILURES


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("number", "silence", "interval", "told"),
    [
        (errno.ETIMEDOUT, 3600.0, 0, True),
        (errno.ECONNRESET, 61.0, 0, True),
        (errno.ECONNRESET, 1.0, 0, False),
        (errno.ECONNRESET, 3600.0, 30, False),
        (errno.EHOSTUNREACH, 3600.0, 0, False),
    ],
)
def test_a_lost_connection(number: int, silence: float, interval: int, told: bool) -> None:
    hint = hints.lost(failure(number), silence, interval)
    assert hint == "" or ("ServerAliveInterval" in hint and f"after {int(silence)} seconds" in hint)
    assert bool(hint) is told


@pytest.mark.parametrize(
    ("error", "stage", "wanted"),
    [
        (
            None,
            "banner",
            "kex_exchange_identification: Connection closed by remote host\nConnection closed by P (h)",
        ),
        (None, "key", "Connection closed by P (h)"),
        (failure(errno.ECONNRESET), "key", "Connection reset by P (h)"),
        (
            failure(errno.ETIMEDOUT),
            "banner",
            "kex_exchange_identification: read: Connection timed out\nConnection to P: Connection timed out (h)",
        ),
    ],
)
def test_hung_up(error: OSError | None, stage: str, wanted: str) -> None:
    assert hints.hung_up("P", error, stage, " (h)") == wanted


def test_what_is_said_in_place_of_a_version_is_cleaned_and_bounded() -> None:
    said = hints.in_place_of_a_version([b"first", b"\x1b[2J" + b"x" * 9999, b""], "otherwise")
    assert said.startswith(' (it said "\\033[2J')
    assert len(said) < 250
    assert hints.in_place_of_a_version([b"", b"  \r"], "otherwise") == "otherwise"
    assert "TLS" in hints.in_place_of_a_version([bytes.fromhex("15030300020246")], "")


def test_a_live_connection_is_not_stuck() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as near,
        listener.accept()[0] as far,
    ):
        near.sendall(b"x" * 1000)
        assert far.recv(1000)
        assert hints.unacknowledged(near) == 0
    assert hints.unacknowledged(None) == 0
    with socket.socketpair()[0] as pair:
        assert hints.unacknowledged(pair) == 0


def test_no_algorithm() -> None:
    weak = NegotiationError("", "key exchange method", ("nonsense", "diffie-hellman-group14-sha1"))
    assert hints.no_algorithm(weak).startswith(
        " (-o KexAlgorithms=+diffie-hellman-group14-sha1 allows it; but SHA-1"
    )
    assert "none of these" in hints.no_algorithm(NegotiationError("", "MAC", ("nonsense",)))
    assert hints.no_algorithm(NegotiationError("", "compression method", ("lzma",))) == ""


@pytest.mark.parametrize("reason", [*OPEN_FAILURES, 77])
def test_refused_channels(reason: int) -> None:
    event: Any = SimpleNamespace(reason=reason)
    hint = hints.channel_refused(event, "port 1 for there")
    assert hint.startswith(" (port 1 for there")
    assert ("does not allow" in hint) == (reason == 1)
    assert ("cannot connect" in hint) == (reason == 2)


def test_requests_without_a_hint() -> None:
    assert hints.request_refused("unheard-of") == ""
    assert "\x1b" not in hints.request_refused("subsystem", "\x1b[2J")


@pytest.mark.parametrize(
    ("keyword", "wanted"),
    [("prt", "Port"), ("hst", "Host"), ("proxyjmp", "ProxyJump"), ("matc", "Match"), ("xy", ""), ("frob", ""),
     ("\u017fort", ""), ("por\x1bt", ""), ("x" * 1000, "")],
)  # fmt: skip
def test_what_was_meant(keyword: str, wanted: str) -> None:
    assert meant(keyword) == (f" (did you mean {wanted}?)" if wanted else "")


def test_many_principals_are_counted() -> None:
    certificate: Any = SimpleNamespace(principals=("a\x1b", "b", "c", "d", "e", "f"))
    assert shown_principals(certificate) == "a\\033, b, c, d and 2 more"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (socket.EAI_AGAIN, "no name server answers"),
        (socket.EAI_NONAME, "check the spelling, and the place"),
        (getattr(socket, "EAI_NODATA", socket.EAI_NONAME), "check "),
    ],
)
def test_names_that_are_not_found(number: int, hint: str) -> None:
    told = names.why_not_found(socket.gaierror(number, "Said"), "the place")
    assert told.startswith("Said (")
    assert hint in told


def test_the_last_of_several_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options: Any = SimpleNamespace(
        connection_attempts=1,
        ip_qos=(None, None),
        bind_interface=None,
        bind_address=None,
        tcp_keep_alive=True,
    )
    place = tcp.Place("host", "both", port, ("::1", "127.0.0.1"))
    with pytest.raises(
        NetworkError, match=r"refused \(nothing listens there: .*; the last of 2 addresses, -v tells"
    ):
        tcp.connect_to(place, options, Log(DEBUG1), monotonic() + 60, lambda: None)
    assert "connect to address ::1 port" in capsys.readouterr().err
    with pytest.raises(NetworkError) as alone:
        tcp.connect_to(place._replace(addresses=("127.0.0.1",)), options, Log(), monotonic() + 60, lambda: None)
    assert "addresses" not in str(alone.value)
