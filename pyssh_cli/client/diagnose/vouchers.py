"""Proofs of the user that no key file or agent gives: Kerberos tickets, and this host's own word. They are looked
at, and never given to the server.

For a ticket the KDC is asked as a login would ask it, but with copies of the tickets in memory, by a child process
that can write to no file: the libraries note in the cache what they get, and when they last tried.
"""

from __future__ import annotations

import json
import os
import select
from time import monotonic
from typing import TYPE_CHECKING, Any

from pyssh_cli.client.diagnose.facts import Voucher
from pyssh_cli.client.gssapi import NO_PACKAGE, Gssapi, is_likely, reason_of
from pyssh_cli.client.outcomes import Outcome
from pyssh_cli.client.refusal import ticket_cure
from pyssh_cli.log import QUIET, Log, printable

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from pyssh_cli.client.diagnose.trip import Trip
    from pyssh_cli.config.options import Options
    from pyssh_cli.protocol.userauth import UserAuth

_COPY = {"ccache": "MEMORY:pyssh-diagnose"}
_NO_KEYTAB = {"client_keytab": "MEMORY:none"}
"""Credential stores of MIT Kerberos: where the copy is, and that no ticket is to be got by a keytab."""

_MAX_SAID = 4096
"""Bytes that are taken of what the child says."""

NO_TICKET = Outcome("there is no ticket", "no ticket")
EXPIRED = Outcome("the ticket has expired", "expired ticket")

Said = tuple[str, int | None, Outcome | None]
"""What the child says: whose tickets, for how many seconds, and why there is no proof by them."""


def vouchers(trip: Trip, methods: Sequence[str], auth: UserAuth) -> tuple[Voucher, ...]:
    """What there is for those of the server's methods that may be used here."""
    o = trip.options
    allowed = {"gssapi-with-mic": o.gssapi_authentication, "hostbased": o.hostbased_authentication}
    found = []
    for name in o.preferred_authentications:
        if name in methods and allowed.get(name):
            found.append(_kerberos(trip, auth) if name == "gssapi-with-mic" else _this_host(trip))
    return tuple(found)


def _socket(trip: Trip) -> socket.socket | None:
    return trip.carrier.socket if trip.carrier else None


def _this_host(trip: Trip) -> Voucher:
    from pyssh_cli.client.hostbased import obstacle

    problem = obstacle(trip.options, trip.notes, _socket(trip))
    if not problem:
        return Voucher("hostbased", "this host's own key", None, None, None)
    advice = "let this host vouch for its users (ssh-keysign(8), EnableSSHKeysign), or log in by a key"
    return Voucher("hostbased", None, None, Outcome(problem), advice)


def _kerberos(trip: Trip, auth: UserAuth) -> Voucher:
    def voucher(by: str, seconds: int | None, problem: Outcome | None) -> Voucher:
        told = problem._replace(text=printable(problem.text)) if problem else None
        return Voucher("gssapi-with-mic", printable(by) or None, seconds, told, told and ticket_cure(told.kind))

    from importlib.util import find_spec

    if find_spec("gssapi") is None:
        return voucher("", None, NO_PACKAGE)
    if not is_likely(trip.options):
        return voucher("", None, NO_TICKET)
    said = _in_a_child(_Rehearsal(trip.options, auth, _socket(trip)), trip.limit)
    trip.notes.debug1(f"GSSAPI: {said}")
    if said is None:
        text = f"cannot contact any KDC: none has answered within {trip.limit:g} seconds"
        return voucher("", None, Outcome(text, "no KDC"))
    return voucher(*said)


class _Rehearsal(Gssapi):
    """Makes the first token that a login would send, and sends it nowhere."""

    def __init__(self, options: Options, auth: UserAuth, sock: socket.socket | None) -> None:
        # Nothing is said in the child, which can write to no file, should stderr be one.
        super().__init__(options, Log(QUIET), auth, b"", delegate=False, sock=sock)
        self._by = ""
        self._seconds: int | None = None

    def rehearse(self) -> Said:
        """Whose tickets there are, how long they last, and why there is no proof by them."""
        problem = self._obstacle()
        return self._by, self._seconds, problem

    def _obstacle(self) -> Outcome | None:
        mechanisms = self._gather()[:1]  # Kerberos, where there is any
        if not mechanisms:
            return self.problem
        errors = self._library.exceptions
        try:
            self._new_context(mechanisms[0]).step()
        except errors.ExpiredCredentialsError:
            return EXPIRED
        except errors.MissingCredentialsError:
            wanted = self._options.gssapi_client_identity
            of = f" of {wanted} (GSSAPIClientIdentity)" if wanted else ""
            return NO_TICKET._replace(text=f"{NO_TICKET.text}{of}")
        except (errors.GSSError, UnicodeError) as error:
            return reason_of(error)
        except NotImplementedError:  # not by this library: there may be one
            self._by = "whoever the ticket is of"
        return None

    def _credentials(self, mechanism: Any) -> Any:
        """Copies in memory, to which the host's ticket is added."""
        make = self._library.Credentials
        own = make(name=self._client(), mechs=[mechanism], usage="initiate", store=_NO_KEYTAB)
        self._by = str(own.name)
        self._seconds = own.lifetime
        own.store(store=_COPY, usage="initiate", overwrite=True)
        return make(mechs=[mechanism], usage="initiate", store=_COPY)


def _in_a_child(rehearsal: _Rehearsal, limit: float) -> Said | None:
    """What the rehearsal comes to, in a process of its own. None where it takes longer than `limit`."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        _child(rehearsal, write_end)
    os.close(write_end)
    said = b""
    deadline = monotonic() + limit
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    try:
        while poll.poll(max(0.0, deadline - monotonic()) * 1000):
            piece = os.read(read_end, _MAX_SAID)
            said += piece
            if not piece or len(said) > _MAX_SAID:
                break
        else:
            return None
    finally:
        import signal

        os.close(read_end)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        by, seconds, problem = json.loads(said)
    except ValueError:
        return "", None, Outcome("the Kerberos library has crashed")
    return by, seconds, problem and Outcome(*problem)


def _child(rehearsal: _Rehearsal, write_end: int) -> None:
    import resource
    import signal

    said: Said = "", None, Outcome("the Kerberos library cannot be used")
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # of files alone, not of pipes and sockets
        said = rehearsal.rehearse()
    except Exception as error:
        said = "", None, Outcome(f"the Kerberos library cannot be used: {error}")
    finally:
        os.write(write_end, json.dumps(said).encode()[:_MAX_SAID])
        os._exit(0)
