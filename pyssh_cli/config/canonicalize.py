"""From the name that was asked for to the one to connect to: CanonicalizeHostname and its kin, ssh_config(5).

An address is put in its usual form whatever the configuration says. Names are looked up only where it asks for
that; `Network` does it, and Host and Match blocks are not known here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pyssh_cli.config.keywords import KEYWORDS
from pyssh_cli.config.network import Found, Network
from pyssh_cli.config.patterns import matches_list
from pyssh_cli.config.proxies import looks_up_names
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import Log

_DIGITS_AND_DOTS = frozenset("0123456789.")
_IN_ADDRESSES = frozenset("0123456789abcdefxABCDEFX.")
_IN_DOMAINS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
_SETTLED_EARLY = ("canonicalizehostname", "canonicalizemaxdots", "canonicalizefallbacklocal")


class Canonical(NamedTuple):
    """`name` is the host to connect to. `found` has its addresses when they were looked up on the way.

    A connection goes to those: the name may mean something else, or nothing, without the dot that ended it when
    it was looked up.
    """

    name: str
    found: Found | None


def canonicalize(host: str, settings: Settings, network: Network, log: Log) -> Canonical:
    """What `host` comes to: an address in its usual form, or a name in lower case, canonical if that is wanted.

    `host` is Hostname with its tokens expanded, or the host as typed; `settings` is what the first pass over the
    files has settled. Raises NetworkError where ssh gives up: CanonicalizeFallbackLocal is off, or the look-up for
    CanonicalizePermittedCNAMEs fails on a host that is connected to directly.
    """
    search = _Search(settings, network, log)
    is_address = search.is_address(host)
    if not is_address:
        host = lower(host)
    canonical = Canonical(host, None)
    if is_address or search.mode != "no":
        canonical = search.canonical(host)
    if canonical.found is None and search.rules and search.allowed_for_proxy():
        canonical = search.follow_only(canonical.name)
    return canonical


def settle_defaults(settings: Settings) -> None:
    """Give the keywords that steer canonicalization their defaults, so that a second pass cannot change them."""
    for keyword in _SETTLED_EARLY:
        settings.set_first(keyword, KEYWORDS[keyword].default, "default")


def lower(name: str) -> str:
    """`name` with A to Z in lower case, and other letters as they are: the DNS folds no others."""
    if name.isascii():
        return name.lower()
    return name.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def permitted_cnames(values: tuple[str, ...]) -> list[tuple[str, str]]:
    """The rules of CanonicalizePermittedCNAMEs as pairs of pattern lists: names that may, what they may become."""
    rules = []
    for value in values:
        if value.lower() == "none":
            continue
        source, _, target = ("*", "", "*") if value == "*" else value.lower().partition(":")
        rules.append((source, target))
    return rules


def domain_fault(name: str) -> str:
    """What keeps `name` from being a domain name, in ssh's words, or "" if nothing does."""
    if not name:
        return "empty domain name"
    if name[0] in "-._" or name[0] not in _IN_DOMAINS:
        return f'domain name "{name:.100}" starts with invalid character'
    if ".." in name:
        return f'domain name "{name:.100}" contains consecutive separators'
    if not _IN_DOMAINS.issuperset(name):
        return f'domain name "{name:.100}" contains invalid characters'
    return ""


class _Search:
    """The settings that matter here, and the look-ups that go by them."""

    __slots__ = ("_direct", "_family", "_log", "_network", "_port", "_settings", "mode", "rules")

    def __init__(self, settings: Settings, network: Network, log: Log) -> None:
        self._settings = settings
        self._network = network
        self._log = log
        self._family: str = self._value("addressfamily")
        self._port: int = self._value("port")
        self._direct = all((settings.get(by) or "none").lower() == "none" for by in ("proxycommand", "proxyjump"))
        self._direct = self._direct and not looks_up_names(settings.get("proxy") or "socks5:")
        self.mode: str = self._value("canonicalizehostname")
        self.rules = permitted_cnames(self._value("canonicalizepermittedcnames"))

    def _value(self, keyword: str) -> Any:
        value = self._settings.get(keyword)
        return KEYWORDS[keyword].default if value is None else value

    def allowed_for_proxy(self) -> bool:
        """Whether names are ours to look up: a proxy looks them up itself, unless `always` is said."""
        return self._direct or self.mode == "always"

    def is_address(self, host: str) -> bool:
        """Whether `host` can be nothing but an address, of the family wanted or not."""
        if _looks_like_address(host):
            return True
        if not (host[0].isdigit() and _IN_ADDRESSES.issuperset(host)):  # 0x7f.1, and hardly ever anything else
            return False
        try:
            return len(self._network.look_up(host, self._port, "any", numeric=True).addresses) == 1
        except OSError:
            return False

    def canonical(self, host: str) -> Canonical:
        """`host` as the address that it is, or under one of CanonicalDomains."""
        address = self._address(host)
        if address is not None:
            return address
        if _looks_like_address(host):
            self._log.debug1(f"resolve_canonicalize: hostname {host} is an unrecognised address")
            return Canonical(host, None)
        if self.mode == "no" or not self.allowed_for_proxy():
            return Canonical(host, None)
        if host.endswith("."):
            self._log.debug3("resolve_canonicalize: name is fully qualified")
            candidates = [host]
        else:
            most = self._value("canonicalizemaxdots")
            if host.count(".") > most:
                self._log.debug3(f'resolve_canonicalize: not canonicalizing hostname "{host}" (max dots {most})')
                return Canonical(host, None)
            domains = [lower(domain).removesuffix(".") for domain in self._value("canonicaldomains")]
            candidates = [f"{host}.{domain}." for domain in domains if domain != "none"]
        for full in candidates:
            if full != host:
                self._log.debug3(f'resolve_canonicalize: attempting "{host}" => "{full}"')
            found = self._look_up(full)
            if found is None:
                continue
            name = full[:-1]
            followed = self._follow(name, found.canonical_name)
            if followed is None:
                self._log.debug1(f'Canonicalized hostname "{host}" => "{name}"')
            return Canonical(followed or name, found)
        if not self._value("canonicalizefallbacklocal"):
            raise NetworkError(
                f'ssh: Could not resolve host "{host}" (check the spelling, and CanonicalDomains;'
                " CanonicalizeFallbackLocal keeps the system from searching)"
            )
        self._log.debug2(f"resolve_canonicalize: host {host} not found in any suffix")
        return Canonical(host, None)

    def follow_only(self, host: str) -> Canonical:
        """`host` by the system's own search, only to follow the CNAMEs that CanonicalizePermittedCNAMEs allows."""
        found = self._look_up(host, required=self._direct)
        if found is None:
            return Canonical(host, None)
        return Canonical(self._follow(host, found.canonical_name) or host, found)

    def _address(self, host: str) -> Canonical | None:
        """`host` as an address of the family wanted, in its usual form, or None."""
        try:
            found = self._network.look_up(host, self._port, self._family, numeric=True)
        except OSError as error:
            reason = error.strerror
            self._log.debug2(f"resolve_addr: could not resolve name {host} as address: {reason}")
            return None
        if len(found.addresses) != 1:
            self._log.debug1(f"resolve_addr: getaddrinfo {host} returned multiple addresses")
            return None
        address = found.addresses[0]
        self._log.debug2(f"resolve_canonicalize: hostname {host} is address")
        if lower(host) == lower(address):
            return Canonical(host, found)
        self._log.debug2(f'resolve_canonicalize: canonicalised address "{host}" => "{address}"')
        return Canonical(address, found)

    def _look_up(self, name: str, *, required: bool = False) -> Found | None:
        """The addresses of `name`, or None after saying why there are none; NetworkError when they are `required`.

        What the resolver calls canonical is kept only when it is a domain name: anything can come from the DNS.
        """
        self._log.debug3(f"resolve_host: lookup {name}:{self._port}")
        try:
            found = self._network.look_up(name, self._port, self._family)
        except OSError as error:
            message = f"ssh: Could not resolve hostname {name}: {error.strerror}"
            if required:
                raise NetworkError(f"{message} (check the spelling, and HostName in the configuration)") from None
            if _is_absent(error):
                self._log.debug1(message)
            else:
                self._log.error(message)
            return None
        called = found.canonical_name
        fault = domain_fault(called) if called else ""
        if fault:
            self._log.error(f'ignoring bad CNAME "{called:.256}" for host "{name}": {fault}')
            called = ""
        return found._replace(canonical_name=called.removesuffix("."))

    def _follow(self, name: str, called: str) -> str | None:
        """`called`, the name's CNAME, when a rule lets `name` become it."""
        if not called or called == name or not self.rules or self.mode == "no":
            return None
        self._log.debug3(f'check_follow_cname: check "{name}" CNAME "{called}"')
        for source, target in self.rules:
            if matches_list(name, source) and matches_list(called, target):
                self._log.verbose(f'Canonicalized DNS aliased hostname "{name}" => "{called}"')
                return called
        return None


def _looks_like_address(host: str) -> bool:
    """Whether no name is written like this."""
    return "%" in host or ":" in host or _DIGITS_AND_DOTS.issuperset(host)


def _is_absent(error: OSError) -> bool:
    """Whether the resolver is sure that there is nothing, which is no reason to speak up."""
    import socket

    return error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
