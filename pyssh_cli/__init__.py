"""pyssh: ssh(1) again, in Python. The rooms of the house are described in ARCHITECTURE.md."""

__version__ = "0.1.0"

INHERITED: list[int] = []
"""Descriptors that we were started with, beside stdin, stdout and stderr (`__main__`)."""
