"""What the configuration asks of the network: names and local addresses. `net.names` has the answers."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Found(NamedTuple):
    """What a look-up came to: numeric addresses, and the name that the resolver calls canonical ("" if none)."""

    addresses: tuple[str, ...]
    canonical_name: str


class Network(Protocol):
    """The two questions that ssh_config(5) has for the network (CanonicalizeHostname, Match localnetwork)."""

    def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
        """The addresses of `name`; `family` is AddressFamily's value. With `numeric` a name is not looked up.

        A trailing dot keeps the resolver from trying its search list. Raises OSError (socket.gaierror) with the
        resolver's words when there is nothing.
        """

    def local_addresses(self) -> list[str]:
        """The addresses of all interfaces that are up, IPv4 and IPv6, without scope. Raises OSError."""
