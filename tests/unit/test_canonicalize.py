"""Names made canonical by a network that only the test knows; what `net.names` does with odd names and answers."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyssh_cli.config.canonicalize import (
    Canonical,
    canonicalize,
    domain_fault,
    lower,
    permitted_cnames,
    settle_defaults,
)
from pyssh_cli.config.network import Found
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import NetworkError
from pyssh_cli.log import DEBUG3, QUIET, Log
from pyssh_cli.net import names
from pyssh_cli.net.names import NAME_MAX, SystemNetwork, addresses_of, local_addresses, socket_address
from tests.system.dns_server import answer, read_zone


class Names:
    """A network of a few names: (address, canonical name) by name, and what it was asked."""

    def __init__(self, **known: tuple[str, str]) -> None:
        self.known = {name.replace("_", "."): found for name, found in known.items()}
        self.asked: list[tuple[str, int, str, bool]] = []

    def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
        self.asked.append((name, port, family, numeric))
        if numeric:
            return SystemNetwork().look_up(name, port, family, numeric=True)
        if name in self.known:
            address, canonical_name = self.known[name]
            return Found((address,), canonical_name)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    def local_addresses(self) -> list[str]:
        return []

    @property
    def looked_up(self) -> list[str]:
        """The names that a resolver would have been asked for."""
        return [name for name, _, _, numeric in self.asked if not numeric]


def settings(**values: Any) -> Settings:
    made = Settings()
    for keyword, value in values.items():
        made.set_first(keyword, value, "test")
    return made


def searching(*domains: str, **values: Any) -> Settings:
    return settings(canonicalizehostname="yes", canonicaldomains=domains, **values)


def canonical(host: str, given: Settings, network: Names) -> Canonical:
    return canonicalize(host, given, network, Log(QUIET))


def test_nothing_is_asked_for_a_name_without_canonicalization() -> None:
    network = Names()
    assert canonical("Web", settings(), network) == Canonical("web", None)
    assert network.asked == []


def test_the_first_domain_that_has_the_name_wins_and_its_addresses_are_kept() -> None:
    network = Names(web_b_=("192.0.2.2", ""), web_c_=("192.0.2.3", ""))
    found = canonical("WEB", searching("a", "B.", "c"), network)
    assert found == Canonical("web.b", Found(("192.0.2.2",), ""))
    assert network.looked_up == ["web.a.", "web.b."]


def test_port_and_family_go_into_the_look_up() -> None:
    network = Names(web_a_=("192.0.2.1", ""))
    canonical("web", searching("a", port=2222, addressfamily="inet"), network)
    assert network.asked[-1] == ("web.a.", 2222, "inet", False)


@pytest.mark.parametrize(
    ("values", "looked_up"),
    [
        ({}, ["web.a."]),
        ({"proxycommand": "nc %h"}, []),
        ({"proxyjump": "jump"}, []),
        ({"proxycommand": "None", "proxyjump": "NONE"}, ["web.a."]),
        ({"canonicalizemaxdots": -1}, []),
    ],
)
def test_who_else_resolves_the_name_decides(values: dict[str, Any], looked_up: list[str]) -> None:
    network = Names()
    canonical("web", searching("a", **values), network)
    assert network.looked_up == looked_up


def test_a_name_with_a_last_dot_is_looked_up_as_it_is() -> None:
    network = Names(web_a_=("192.0.2.1", ""))
    assert canonical("Web.A.", searching("b"), network).name == "web.a"
    assert network.looked_up == ["web.a."]


def test_fallback_may_be_forbidden() -> None:
    with pytest.raises(NetworkError, match=r'^ssh: Could not resolve host "web" \('):
        canonical("web", searching("a", canonicalizefallbacklocal=False), Names())
    assert canonical("web", searching("a", canonicalizefallbacklocal=True), Names()) == Canonical("web", None)


def test_cnames_are_followed_where_a_rule_says_so_and_one_step_only() -> None:
    network = Names(www_a_=("192.0.2.1", "web.b."), web_b_=("192.0.2.1", "other.c"))
    for rules, name in (
        (("none",), "www.a"),
        (("*",), "web.b"),
        (("*.A:*.B",), "web.b"),
        (("*.b:*.c",), "www.a"),
        (("*.b:*", "www.*:c,web.?"), "web.b"),
        (("*:!web.b,*",), "www.a"),
    ):
        assert canonical("www", searching("a", canonicalizepermittedcnames=rules), network).name == name


@pytest.mark.parametrize(
    "cname", ["-oProxyCommand=reboot", "-x.b", "a..b", "a b", "a;b", "a\nb", "b\xe4r", "_srv.b", ".", "\x1b[2J"]
)
def test_a_cname_that_is_no_domain_name_is_not_taken(cname: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = Names(www_a_=("192.0.2.1", cname))
    found = canonicalize("www", searching("a", canonicalizepermittedcnames=("*",)), network, Log())
    assert found == Canonical("www.a", Found(("192.0.2.1",), ""))
    said = capsys.readouterr().err
    assert said.startswith("ignoring bad CNAME ")
    assert "\x1b" not in said


def test_cnames_alone_need_the_name_to_be_there_unless_a_proxy_finds_it() -> None:
    rules = {"canonicalizepermittedcnames": ("*",)}
    with pytest.raises(NetworkError, match=r"^ssh: Could not resolve hostname web: no such name"):
        canonical("web", settings(**rules), Names())
    proxied = settings(**rules, proxycommand="nc %h %p", canonicalizehostname="always")
    assert canonical("web", proxied, Names()) == Canonical("web", None)
    network = Names(web=("192.0.2.1", "real.web"))
    assert canonical("web", settings(**rules), network) == Canonical("web", Found(("192.0.2.1",), "real.web"))


def test_only_a_resolver_that_fails_is_worth_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(Names):
        def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
            if name == "web.a.":
                raise socket.gaierror(socket.EAI_AGAIN, "try again")
            return super().look_up(name, port, family, numeric=numeric)

    found = canonicalize("web", searching("a", "b", "c"), Failing(web_c_=("192.0.2.1", "")), Log())
    assert found.name == "web.c"
    assert capsys.readouterr().err == "ssh: Could not resolve hostname web.a.: try again\n"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("::0:1", "::1"),
        ("::FFFF:1.2.3.4", "::FFFF:1.2.3.4"),  # only case differs: as it was given
        ("1.2.3.", "1.2.3."),
        ("A%b", "A%b"),
        ("0xyz", "0xyz"),
        ("AbC", "abc"),
        ("", ""),
    ],
)
def test_addresses_get_their_usual_form_whatever_is_configured(host: str, name: str) -> None:
    network = Names()
    assert canonical(host, settings(), network).name == name
    assert network.looked_up == []


def test_an_address_of_the_wrong_family_is_left_as_it_is() -> None:
    assert canonical("127.1", settings(addressfamily="inet6"), Names()) == Canonical("127.1", None)


def test_only_letters_of_ascii_change_case() -> None:
    assert lower("WEB-\xdc.Example") == "web-\xdc.example"
    assert lower("A\udcff") == "a\udcff"


def test_debug_lines_are_those_of_ssh(capsys: pytest.CaptureFixture[str]) -> None:
    network = Names(www_b_=("192.0.2.1", "web.b"))
    given = searching("a", "b", canonicalizepermittedcnames=("*",))
    canonicalize("www", given, network, Log(DEBUG3))
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("debug2: resolve_addr: could not resolve name www as address: ")
    assert rest == [
        'debug3: resolve_canonicalize: attempting "www" => "www.a."',
        "debug3: resolve_host: lookup www.a.:22",
        "debug1: ssh: Could not resolve hostname www.a.: no such name",
        'debug3: resolve_canonicalize: attempting "www" => "www.b."',
        "debug3: resolve_host: lookup www.b.:22",
        'debug3: check_follow_cname: check "www.b" CNAME "web.b"',
        'Canonicalized DNS aliased hostname "www.b" => "web.b"',
    ]


def test_rules_are_pairs_of_lists_in_lower_case() -> None:
    assert permitted_cnames(("none",)) == []
    assert permitted_cnames(("*",)) == [("*", "*")]
    assert permitted_cnames(("*:*",)) == [("*", "*")]
    assert permitted_cnames(("*.A,b:C", "d:e")) == [("*.a,b", "c"), ("d", "e")]


@pytest.mark.parametrize("name", ["a", "a.b-c_d.", "9", "xn--bcher-kva.example"])
def test_domain_names(name: str) -> None:
    assert domain_fault(name) == ""


def test_defaults_are_settled_once() -> None:
    given = settings(canonicalizemaxdots=3)
    settle_defaults(given)
    assert (given.get("canonicalizemaxdots"), given.get("canonicalizehostname")) == (3, "no")
    assert given.get("canonicalizefallbacklocal") is True


@pytest.mark.parametrize("name", ["", "a\0b", "a" * (NAME_MAX + 1), "\xfc" * NAME_MAX])
def test_no_resolver_hears_of_names_that_cannot_be(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked"))
    with pytest.raises(socket.gaierror) as raised:
        addresses_of(name, 22, "any")
    assert raised.value.errno == socket.EAI_NONAME


def resolver(*results: Any) -> tuple[list[tuple[Any, ...]], Callable[..., Any]]:
    """A stand-in for getaddrinfo: it gives, or raises, one result after the other, and keeps what it was asked."""
    asked: list[tuple[Any, ...]] = []
    left = list(results)

    def getaddrinfo(*arguments: Any) -> Any:
        asked.append(arguments)
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    return asked, getaddrinfo


def four(address: str, name: str = "") -> tuple[Any, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, name, (address, 22))


def test_names_go_to_the_resolver_as_bytes_without_idna(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, getaddrinfo = resolver([four("192.0.2.1", "canonical"), four("192.0.2.2")])
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = SystemNetwork().look_up("B\xdccher.\udcff", 2222, "inet")
    assert found == Found(("192.0.2.1", "192.0.2.2"), "canonical")
    assert asked[0][:3] == (b"B\xc3\x9ccher.\xff", "2222", socket.AF_INET)
    assert asked[0][5] & socket.AI_CANONNAME


def test_a_canonical_name_that_is_no_text_costs_the_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    garbled = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    asked, getaddrinfo = resolver(garbled, [four("192.0.2.1")])
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert SystemNetwork().look_up("web", 22, "any") == Found(("192.0.2.1",), "")
    assert not asked[1][5] & socket.AI_CANONNAME


def test_a_look_up_dies_of_ctrl_c_and_puts_the_handler_back(monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[Any] = []

    def getaddrinfo(*_: Any) -> Any:
        during.append(signal.getsignal(signal.SIGINT))
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, signal.SIG_IGN):
            signal.signal(signal.SIGINT, handler)
            with pytest.raises(socket.gaierror):
                addresses_of("web", 22, "any")
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert during == [signal.SIG_DFL, signal.SIG_IGN]


def test_a_thread_may_look_up_too() -> None:
    found: list[Found] = []
    thread = threading.Thread(target=lambda: found.append(addresses_of("127.0.0.1", 22, "any")))
    thread.start()
    thread.join()
    assert found == [Found(("127.0.0.1",), "")]


def test_addresses_keep_their_scope() -> None:
    scope = socket.if_nameindex()[0]
    address = f"fe80::1%{scope[1]}"
    assert addresses_of(address, 22, "any", numeric=True).addresses == (address,)
    assert socket_address(address, 22) == (socket.AF_INET6, ("fe80::1", 22, 0, scope[0]))
    assert socket_address("192.0.2.1", 2222) == (socket.AF_INET, ("192.0.2.1", 2222))


def test_local_addresses_are_bare_and_each_is_there_once() -> None:
    addresses = local_addresses()
    assert "127.0.0.1" in addresses
    assert len(set(addresses)) == len(addresses)
    for address in addresses:
        socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def test_a_link_local_address_loses_the_scope_that_a_kernel_keeps_inside() -> None:
    raw = {4: bytes((192, 0, 2, 1)), 8: b"\xfe\x80\0\4" + bytes(11) + b"\1"}
    read = lambda at, length: raw[at][:length]  # noqa: E731
    assert names._address(socket.AF_INET6, 0, read) == "fe80::1"
    assert names._address(socket.AF_INET, 0, read) == "192.0.2.1"
    assert names._address(socket.AF_UNIX, 0, read) == ""


def test_the_name_server_of_the_system_tests_follows_chains() -> None:
    zone = read_zone("a.b CNAME c.d\nc.d A 192.0.2.1\nmute SILENT\nbroken SERVFAIL\nempty NONE\n")

    def ask(name: str, kind: int) -> tuple[str, bytes | None]:
        labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
        return answer(zone, b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0" + bytes((kind, 0, 1)))

    asked, reply = ask("A.b", 1)
    assert asked == "A.b. A"
    assert reply is not None
    assert (reply[:2], reply[3] & 15, reply[6:8]) == (b"\x12\x34", 0, b"\0\2")
    assert reply.endswith(bytes((192, 0, 2, 1)))
    assert ask("mute", 28) == ("mute. AAAA", None)
    codes = {
        name: (reply or b"")[3] & 15 for name, (_, reply) in ((n, ask(n, 1)) for n in ("broken", "empty", "no"))
    }
    assert codes == {"broken": 2, "empty": 0, "no": 3}
