"""Authentication by GSSAPI, which is Kerberos nearly everywhere (RFC 4462 section 3: gssapi-with-mic).

The library is the optional extra `gssapi`. It is imported only when the server offers the method and
GSSAPIAuthentication is on; without it the method is passed over with a debug line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyssh_cli.client.outcomes import Kind, Outcome
from pyssh_cli.config.options import Options
from pyssh_cli.log import Log
from pyssh_cli.protocol import userauth as ua

if TYPE_CHECKING:
    import socket

_KERBEROS = "1.2.840.113554.1.2.2"
_SPNEGO = "1.3.6.1.5.5.2"
"""The mechanism that negotiates mechanisms; RFC 4462 section 3.2 forbids it here."""

NO_PACKAGE = Outcome("the Python package gssapi is not installed", "no GSSAPI package")
"""Why GSSAPI is passed over without its library."""

_OID_TAG = 6
_MAX_OID = 127
"""Bytes of an OID whose length DER writes in one."""


def is_likely(options: Options) -> bool:
    """Whether GSSAPI may well succeed: it is asked for by name, or there are tickets, and the library is there.

    Looks at files at most; a place of tickets that is no file counts as tickets.
    """
    if not options.gssapi_delegate_credentials and not _may_have_tickets():
        return False
    from importlib.util import find_spec

    return find_spec("gssapi") is not None


def _may_have_tickets() -> bool:
    """Whether there is a credential cache, or may be one where that cannot be told (krb5.conf(5))."""
    if "KRB5_CLIENT_KTNAME" in os.environ:
        return True
    name = os.environ.get("KRB5CCNAME")
    if not name:
        if _names_other_cache(os.environ.get("KRB5_CONFIG", "/etc/krb5.conf").split(":")):
            return True
        name = f"/tmp/krb5cc_{os.getuid()}"  # noqa: S108
    kind, colon, path = name.partition(":")
    if not colon or kind in {"FILE", "DIR"}:
        return os.path.exists(path if colon else name)
    return True


def _names_other_cache(paths: Iterable[str]) -> bool:
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read(1 << 20)
        except OSError:
            continue
        if b"default_ccache_name" in content or b"include" in content:
            return True
    return False


class Gssapi:
    """gssapi-with-mic on one connection: one mechanism after the other, Kerberos first.

    `attempt()` begins, and what the server then says goes to `receive()`. `problem` tells why nothing was tried.
    With `delegate`, the server is given the person's tickets (GSSAPIDelegateCredentials).
    """

    def __init__(
        self,
        options: Options,
        log: Log,
        auth: ua.UserAuth,
        session_id: bytes,
        *,
        delegate: bool,
        sock: socket.socket | None,
    ) -> None:
        self._options = options
        self._log = log
        self._auth = auth
        self._session_id = session_id
        self._delegate = delegate
        self._socket = sock
        self._library: Any = None
        self._mechanisms: list[Any] | None = None
        self._mechanism = b""
        self._context: Any = None
        self._first_token = b""
        self.problem: Outcome | None = None

    def attempt(self) -> bool:
        """Ask for the next mechanism that has credentials; False when there is none."""
        self.problem = None
        if self._mechanisms is None:
            self._mechanisms = self._gather()
        while self._mechanisms:
            mechanism = self._mechanisms.pop(0)
            elements = bytes(mechanism)
            if len(elements) > _MAX_OID:
                continue
            try:
                self._context = self._new_context(mechanism)
                self._first_token = self._context.step() or b""
            except (self._library.exceptions.GSSError, UnicodeError) as error:  # a name may be no UTF-8
                self.problem = self.problem or reason_of(error)  # Kerberos's, which comes first
                self._log.debug1(f"GSSAPI: {_words(error)}")
                continue
            self._mechanism = bytes((_OID_TAG, len(elements))) + elements
            self._auth.gssapi(self._mechanism)
            return True
        return False

    def _gather(self) -> list[Any]:
        """The mechanisms there are; none without the library."""
        try:
            import gssapi
            import gssapi.exceptions
        except ImportError as error:  # not there, or the Kerberos library that it is built on is not
            self._log.debug1(f"GSSAPI is passed over: {error} (it is a Python package, and pyssh's extra)")
            self.problem = NO_PACKAGE
            return []
        self._library = gssapi
        try:
            found = {mechanism.dotted_form: mechanism for mechanism in gssapi.raw.indicate_mechs()}
        except gssapi.exceptions.GSSError as error:
            self.problem = reason_of(error)
            self._log.debug1(f"GSSAPI: {_words(error)}")
            return []
        found.pop(_SPNEGO, None)
        return [found[name] for name in sorted(found, key=lambda name: (name != _KERBEROS, name))]

    def _new_context(self, mechanism: Any) -> Any:
        """A context for the server's host, as the person GSSAPIClientIdentity names. Raises GSSError."""
        library = self._library
        server = library.Name(f"host@{self._server()}", library.NameType.hostbased_service)
        credentials = self._credentials(mechanism)
        need = library.RequirementFlag
        flags = [need.mutual_authentication, need.integrity]
        if self._delegate:
            flags.append(need.delegate_to_peer)
        context = library.SecurityContext(
            name=server, creds=credentials, mech=mechanism, flags=flags, usage="initiate"
        )
        context.__DEFER_STEP_ERRORS__ = False  # a failure is wanted at once, with its token
        return context

    def _credentials(self, mechanism: Any) -> Any:
        """Those of GSSAPIClientIdentity; None for the library's own choice. Raises GSSError."""
        name = self._client()
        return name and self._library.Credentials(name=name, mechs=[mechanism], usage="initiate")

    def _client(self) -> Any:
        """Who GSSAPIClientIdentity says we are; None for whoever there is a ticket of."""
        identity, library = self._options.gssapi_client_identity, self._library
        return None if identity is None else library.Name(identity, library.NameType.user)

    def _server(self) -> str:
        """The host that the ticket is for: by GSSAPIServerIdentity or GSSAPITrustDns, or as we connect to it."""
        if self._options.gssapi_server_identity is not None:
            return self._options.gssapi_server_identity
        if self._options.gssapi_trust_dns and self._socket is not None:
            return name_of_peer(self._socket) or self._options.hostname
        return self._options.hostname

    def receive(self, event: ua.Event) -> bool:
        """Take what the server says of the attempt; False if nothing can come of it, and it is to be given up."""
        if isinstance(event, ua.MechanismChosen):
            if event.mechanism != self._mechanism:
                self._log.debug1("The server chose a GSSAPI mechanism that was not offered to it")
                return False
            token, self._first_token = self._first_token, b""
            if token:
                self._auth.gssapi_token(token)
            return self._finish_if_complete()
        if isinstance(event, ua.GssapiError):
            self._log.debug1(f"Server GSSAPI Error: {event.message}")
            return True
        if isinstance(event, ua.TokenReceived):
            return self._on_token(event)
        return True

    def _on_token(self, received: ua.TokenReceived) -> bool:
        try:
            answer = self._context.step(received.token)
        except self._library.exceptions.GSSError as error:
            self._log.debug1(f"GSSAPI: {_words(error)}")
            if received.error:
                return True  # that was to be expected, and the server's refusal comes next
            if error.token:
                self._auth.gssapi_token(error.token, error=True)
            return False
        if received.error:
            return True
        if answer:
            self._auth.gssapi_token(answer)
        return self._finish_if_complete()

    def _finish_if_complete(self) -> bool:
        try:
            if not self._context.complete:
                return True
            flags = self._context.actual_flags
            mic = None
            if self._library.RequirementFlag.integrity in flags:
                mic = self._context.get_signature(self._auth.gssapi_signed(self._session_id))
            if self._delegate and self._library.RequirementFlag.delegate_to_peer not in flags:
                self._log.debug1("GSSAPI: the credentials are not delegated (are they forwardable?)")
        except self._library.exceptions.GSSError as error:
            self._log.debug1(f"GSSAPI: {_words(error)}")
            return False
        self._auth.gssapi_mic(mic)
        return True


def _words(error: Any) -> str:
    """What the library says of its failure, in one line."""
    return " ".join(str(error).split())


_SIGNS: tuple[tuple[str, Kind], ...] = (
    ("contact any KDC", "no KDC"),
    ("not found in Kerberos", "host unknown to the KDC"),
    ("lock skew", "clock skew"),
    ("expired", "expired ticket"),
)
"""What stands in the words of Kerberos libraries, and what is the matter then."""


def reason_of(error: Any) -> Outcome:
    """The same without its numbers: what the mechanism says, which knows more, or else the library."""
    general, _, particular = _words(error).partition(", Minor (")
    particular = particular.partition("): ")[2]
    text = particular if particular not in {"", "Success"} else general.rpartition("): ")[2]
    return Outcome(text, next((kind for sign, kind in _SIGNS if sign in text), "no ticket"))


def name_of_peer(sock: socket.socket) -> str:
    """The name that the peer's address has in the DNS, if that name has the address too; else the address.

    In lower case; empty when the socket has no such peer (GSSAPITrustDns).
    """
    import socket

    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return ""
    try:
        where = sock.getpeername()
        address = socket.getnameinfo(where, socket.NI_NUMERICHOST)[0]
    except OSError:
        return ""
    try:
        name = socket.getnameinfo(where, socket.NI_NAMEREQD)[0].lower()
        found = socket.getaddrinfo(name, None, sock.family, socket.SOCK_STREAM)
    except OSError:
        return address
    return name if any(where[0] == there[4][0] for there in found) else address
