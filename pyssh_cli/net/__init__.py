"""The event loop and all sockets. Nobody else opens one."""

LONGEST_WAIT = float(1 << 20)
"""Seconds of one wait: the system counts milliseconds in 31 bits. Who has to wait longer waits again."""
