"""Encoded terminal modes, against bytes that OpenSSH sent for the same terminal."""

from __future__ import annotations

import copy
import pty
import sys
import termios
from typing import Any

import pytest

from pyssh_cli.terminal.modes import NO_MODES, OPCODES, encode_modes

# A fresh pty of Linux, and what OpenSSH 9.2 put into its pty request there.
LINUX_PTY: list[Any] = [
    0x500, 0x5, 0xBF, 0x8A3B, 15, 15,
    [bytes([c]) for c in b"\x03\x1c\x7f\x15\x04\x00\x01\x00\x11\x13\x1a\x00\x12\x0f\x17\x16" + bytes(16)],
]  # fmt: skip
OPENSSH_MODES = bytes.fromhex(
    "8100009600800000960001000000030200" "00001c030000007f0400000015050000000406000000ff07000000ff0800000011"
    "09000000130a0000001a0c000000120d000000170e00000016120000000f1e000000001f00000000200000000021000000"
    "00220000000023000000002400000001250000000026000000012700000000280000000029000000002a00000000320000"
    "000133000000013400000000350000000136000000013700000001380000000039000000003a000000003b000000013c00"
    "0000013d000000013e0000000046000000014700000000480000000149000000004a000000004b000000005a000000015b"
    "000000015c000000005d0000000000"
)  # fmt: skip


def decoded(modes: bytes) -> dict[int, int]:
    """Opcode to value of a whole encoding that ends properly."""
    assert modes[-1] == 0
    assert len(modes) % 5 == 1
    return {modes[i]: int.from_bytes(modes[i + 1 : i + 5], "big") for i in range(0, len(modes) - 1, 5)}


@pytest.mark.skipif(sys.platform != "linux", reason="the constants are Linux's")
def test_bytes_equal_openssh() -> None:
    assert encode_modes(LINUX_PTY) == OPENSSH_MODES


@pytest.mark.skipif(sys.platform != "linux", reason="the constants are Linux's")
def test_speeds_are_bits_per_second() -> None:
    attributes = copy.deepcopy(LINUX_PTY)
    attributes[4], attributes[5] = termios.B115200, termios.B9600
    values = decoded(encode_modes(attributes))
    assert (values[128], values[129]) == (115200, 9600)


def test_an_unknown_speed_is_9600() -> None:
    attributes = copy.deepcopy(LINUX_PTY)
    attributes[4] = attributes[5] = 123457
    values = decoded(encode_modes(attributes))
    assert (values[128], values[129]) == (9600, 9600)


@pytest.mark.parametrize(
    ("opcode", "index", "name"),
    [(36, 0, "ICRNL"), (53, 3, "ECHO"), (72, 1, "ONLCR"), (92, 2, "PARENB"), (51, 3, "ICANON")],
)
def test_a_flag_set_on_a_real_pty_is_encoded(opcode: int, index: int, name: str) -> None:
    _, slave = pty.openpty()
    bit = getattr(termios, name)
    for value in (1, 0):
        attributes = termios.tcgetattr(slave)
        attributes[index] = attributes[index] | bit if value else attributes[index] & ~bit
        assert decoded(encode_modes(attributes))[opcode] == value


@pytest.mark.skipif(sys.platform not in {"linux", "darwin"}, reason="the bit is known there")
def test_iutf8_is_encoded() -> None:
    attributes = copy.deepcopy(LINUX_PTY)
    attributes[0] |= 0x4000
    assert decoded(encode_modes(attributes))[42] == 1


def test_control_characters_of_a_real_pty() -> None:
    _, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[6][termios.VINTR] = b"\x07"
    values = decoded(encode_modes(attributes))
    assert values[1] == 7
    assert values[6] == 255  # VEOL is switched off on a fresh pty


def test_every_name_in_the_table_is_a_field_of_its_kind() -> None:
    for name, field in OPCODES.values():
        assert name.startswith("V") == (field == "cc")
    assert list(OPCODES) == sorted(OPCODES)


def test_without_a_terminal_only_the_end_is_sent() -> None:
    assert NO_MODES == b"\x00"
