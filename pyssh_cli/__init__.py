"""pyssh: ssh(1) again, in Python. The rooms of the house are described in ARCHITECTURE.md."""

__version__ = "0.1.0"
