"""What came of proofs of the user: of those that were tried, and of keys that were not.

An outcome has words for the person and a kind for us. The words are free to change: what helps is chosen by the
kind, which is given where the failure is found. `refusal` and --diagnose choose.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

Refusal = Literal[
    "refused",
    "refused: other principals",
    "refused: edge of time",
    "refused: signed with SHA-1",
    "refused: old server",
    "refused: account",
]
"""Of a proof that was sent, with what the server may have had against it."""

Kind = Literal[
    Refusal,
    "wants more",
    # Of a key that is not tried: its certificate, its file, where it is kept, what is allowed.
    "expired",
    "not yet valid",
    "not a user's",
    "no certificate",
    "no private key",
    "open to others",
    "left out",
    "algorithm",
    "too short",
    "no agent",
    "empty agent",
    "sick agent",
    "no provider",
    "no token",
    "no PKCS#11 library",
    "no PKCS#11 package",
    "PIN",
    # Of a key that was to be tried, and could not be.
    "unreadable",
    "unusable",
    # Of questions that could not be put.
    "nobody to ask",
    # Of Kerberos.
    "no GSSAPI package",
    "no KDC",
    "host unknown to the KDC",
    "clock skew",
    "expired ticket",
    "no ticket",
    "other",
]

REFUSALS: frozenset[Kind] = frozenset(get_args(Refusal))


class Outcome(NamedTuple):
    """What came of one key or another proof. The words are not clean."""

    text: str
    kind: Kind = "other"


REFUSED = Outcome("refused", "refused")


class Skipped(NamedTuple):
    """A key, or where keys might have been, that is not tried, and why."""

    name: str
    outcome: Outcome


class Attempt(NamedTuple):
    """A proof that is tried: by which method (RFC 4252), and what: a key, mostly."""

    method: str
    what: str
    certified: bool = False
    """Whether it is a certificate."""


class Attempts:
    """What was tried on one connection, in order, and what came of it each time (`made`): for the person, should
    it all be in vain."""

    def __init__(self) -> None:
        self.made: dict[Attempt, list[Outcome]] = {}
        self._under_way: Attempt | None = None

    def begin(self, method: str, what: str = "", *, certified: bool = False) -> None:
        """This is tried from now on; `end` tells what came of it."""
        self._under_way = Attempt(method, what or method, certified)

    def end(self, outcome: Outcome) -> None:
        """What was begun, if anything was, has come to this."""
        if self._under_way:
            self.made.setdefault(self._under_way, []).append(outcome)
        self._under_way = None

    def fail(self, method: str, outcome: Outcome, what: str = "", *, certified: bool = False) -> None:
        """This could not even be begun."""
        self.begin(method, what, certified=certified)
        self.end(outcome)
