"""What `~#` and `~I` show of channels and of the connection."""

from __future__ import annotations

import pytest

from pyssh_cli.client.connection_info import ChannelList, folded, page, shown_seconds, shown_size
from pyssh_cli.protocol.channels import Channel


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (20 << 20, "20 MiB"),
        (3 << 50, "3072 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert shown_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00042, "0.42 ms"), (0.1, "100 ms"), (12, "12.0 s"), (125, "2 min"), (7500, "2 h 05 min")],
)
def test_times(seconds: float, text: str) -> None:
    assert shown_seconds(seconds) == text


def channel() -> Channel:
    """One that has carried something."""
    made = Channel(3, "session")
    made.remote_id, made.opened_at, made.last_used = 5, 10.0, 12.0
    made.bytes_sent, made.bytes_received, made.remote_window = 2048, 40960, 1 << 20
    return made


def test_bytes_rate_and_window_of_both_ways() -> None:
    first, second = ChannelList().lines([channel()], 14.0)
    assert first == "  #3 session (session r5), idle for 2.0 s"
    assert second == ("     sent 2.0 KiB, 512 B/s, window 1.0 MiB; received 40 KiB, 10 KiB/s, window 2.0 MiB")


def test_rate_is_that_since_the_last_look() -> None:
    one, looks = channel(), ChannelList()
    looks.lines([one], 14.0)
    one.bytes_sent += 4096
    assert "sent 6.0 KiB, 2.0 KiB/s" in looks.lines([one], 16.0)[1]
    assert "sent 6.0 KiB, 0 B/s" in looks.lines([one], 18.0)[1]


def test_hostile_names_cannot_drive_the_terminal() -> None:
    one = channel()
    one.told = "forwarded from \x1b]0;title\x07"
    assert "\x1b" not in "".join(ChannelList().lines([one], 14.0))


def test_state_is_told() -> None:
    one = Channel(0, "session")
    assert ", opening)" in ChannelList().lines([one], 14.0)[0]
    one.remote_id, one.close_sent = 1, True
    assert ", closing)" in ChannelList().lines([one], 14.0)[0]


def test_all_together() -> None:
    looks = ChannelList()
    looks.lines([channel(), channel()], 14.0)
    assert looks.total() == "  2 channels: sent 4.0 KiB, received 80 KiB"
    looks.lines([], 15.0)
    assert looks.total() == "  0 channels: sent 0 B, received 0 B"


@pytest.mark.parametrize(
    ("line", "columns", "parts"),
    [
        ("  sent 1 B, received 2 B", 80, ["  sent 1 B, received 2 B"]),
        ("  sent 1 B, received 2 B", 24, ["  sent 1 B, received 2 B"]),
        ("  sent 1 B, received 2 B", 23, ["  sent 1 B, received 2", "    B"]),
        ("  sent 1 B, received 2 B", 12, ["  sent 1 B,", "    received", "    2 B"]),
        ("  sent 1 B, received 2 B", 0, ["  sent 1 B, received 2 B"]),
        ("  sent 1 B", 1, ["  sent", "    1", "    B"]),
        ("  diffie-hellman-group-exchange", 10, ["  diffie-hellman-group-exchange"]),
        ("  to diffie-hellman-group-exchange here", 10, ["  to", "    diffie-hellman-group-exchange", "    here"]),
        ("", 10, [""]),
    ],
)
def test_lines_are_broken_at_spaces(line: str, columns: int, parts: list[str]) -> None:
    assert list(folded(line, columns)) == parts


@pytest.mark.parametrize("columns", range(12))
def test_nothing_is_lost_when_they_are_broken(columns: int) -> None:
    for line in ChannelList().lines([channel()], 14.0):
        assert " ".join(part.strip() for part in folded(line, columns)) == line.strip()


@pytest.mark.parametrize(("rows", "fits"), [(6, True), (5, False), (0, True), (1, False)])
def test_what_is_known_of_the_connection_does_not_scroll_away(rows: int, fits: bool) -> None:
    head, facts, channels = ["~I"], ["  to box"], ["  #0", "  #1", "  #2"]
    shown = page(head, facts, channels, "  3 channels", (80, rows))
    assert shown == (head + facts + channels if fits else [*head, *channels, "  3 channels", *facts])


def test_a_window_of_unknown_size() -> None:
    many = [f"  #{number}" for number in range(1000)]
    assert page(["~I"], ["  to box"], many, "  1000 channels", (0, 0)) == [
        "~I",
        *many,
        "  1000 channels",
        "  to box",
    ]
