"""Proxy's grammar, and ProxyJump's way: who is passed by, with what."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyssh_cli.cli import main
from pyssh_cli.client.way import HandedOn, Leg, Patience, way_to
from pyssh_cli.config.proxies import ProxyServer, looks_up_names, parse_proxy, shown
from pyssh_cli.config.resolve import resolve
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG1, DEBUG3, INFO, Log
from pyssh_cli.net.names import SystemNetwork


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("http://p", ProxyServer("http", None, "", "p", 80)),
        ("HTTP://p:3128/", ProxyServer("http", None, "", "p", 3128)),
        ("socks5://[::1]", ProxyServer("socks5", None, "", "::1", 1080)),
        ("socks5h://[fe80::1%eth0]:9", ProxyServer("socks5h", None, "", "fe80::1%eth0", 9)),
        ("http://a@p", ProxyServer("http", "a", "", "p", 80)),
        ("http://a:b@c:d@p:1", ProxyServer("http", "a", "b@c:d", "p", 1)),
        ("http://%41%40:%3a%2F%ff@p", ProxyServer("http", "A@", ":/\udcff", "p", 80)),
        ("socks5://a%3Ab:@p", ProxyServer("socks5", "a:b", "", "p", 1080)),
    ],
)
def test_a_proxy_in_its_parts(text: str, server: ProxyServer) -> None:
    assert parse_proxy(text) == server


@pytest.mark.parametrize(
    "text",
    ["p", "https://p", "socks4://p", "http://", "http://p:0", "http://p:65536", "http://p:x", "http://[::1", "http://p/x",
     "http://[::1]x", "http://@p", "http://:b@p", "http://a:%4@p", "http://a:%zz@p", "http://a:%0a@p", "http://a%3ab:c@p",
     f"http://a:{'b' * 256}@p", f"socks5://{'ä' * 128}@p", "http://p q", "http:///"],
)  # fmt: skip
def test_what_is_no_proxy(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse_proxy(text)
    assert main(["-F", "none", "-G", "-o", f'Proxy="{text}"', "host"]) == 255
    told = capsys.readouterr().err
    assert told.startswith("command-line line 0: Bad proxy: ")
    assert "bbb" not in told


def test_what_g_prints_of_a_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("http://a:secret@p:1") == "http://a:***@p:1"
    assert shown("http://a@p") == "http://a@p"
    assert main(["-F", "none", "-G", "-o", "Proxy=socks5://u:pass@p", "host"]) == 0
    assert "\nproxy socks5://u:***@p\n" in capsys.readouterr().out
    assert main(["-F", "none", "-G", "host"]) == 0
    assert "\nproxy " not in capsys.readouterr().out


@pytest.mark.parametrize(("text", "far"), [("http://p", True), ("socks5h://p", True), ("SOCKS5://p", False)])
def test_who_looks_names_up(text: str, far: bool) -> None:
    assert looks_up_names(text) is far


def way(config: Path, text: str, *, flags: dict[str, object] | None = None, **handed_on: object) -> list[Leg]:
    """The way to "host" by a configuration of these lines."""
    config.write_text(text)
    settings = Settings()
    for keyword, value in (flags or {}).items():
        settings.set_first(keyword, value, "-o")
    log = Log()
    options = resolve(settings, "host", SystemNetwork(), log, config_file=str(config))
    destination = Leg(options, log, "host")
    return way_to(destination, HandedOn(config_file=str(config), **handed_on))  # type: ignore[arg-type]


def places(legs: list[Leg]) -> list[str]:
    return [f"{leg.options.user}@{leg.options.hostname}:{leg.options.port}" for leg in legs]


def test_each_hop_has_a_configuration_of_its_own(tmp_path: Path) -> None:
    text = """
Host a
    HostName alpha
    Port 1
    ForwardAgent yes
    LocalForward 1 b:1
Host b
    ProxyJump nobody
    HostName beta
Host host
    ProxyJump %r@a,u@b:7
    User person
Host *
    User anybody
"""
    legs = way(tmp_path / "config", text)
    assert places(legs) == ["person@alpha:1", "u@beta:7", "person@host:22"]
    assert [leg.name for leg in legs] == ["a", "b", "host"]
    for leg in legs[:-1]:
        assert leg.options.session_type == "none"
        assert leg.options.local_forwards == ()
        assert leg.options.request_tty == "no"


def test_the_first_of_a_list_may_have_hops_before_it(tmp_path: Path) -> None:
    text = "Host host\nProxyJump b,c\nHost b\nProxyJump a\nHost *\nUser u\n"
    assert places(way(tmp_path / "config", text)) == ["u@a:22", "u@b:22", "u@c:22", "u@host:22"]


def test_levels_of_hops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "Host host\nLogLevel QUIET\nProxyJump a\nHost a\nLogLevel DEBUG3\n"
    hop, destination = way(tmp_path / "config", text)
    assert (hop.log.level, destination.log.level) == (DEBUG3, -1)
    capsys.readouterr()
    hop.log.debug3("seen")
    destination.log.error("not seen")
    assert capsys.readouterr().err == "debug3: seen (at a)\n"
    destination.log.forced = lambda place: place.startswith("test_proxies.py:test_levels_of_hops():")
    hop.log.debug1("placed")
    assert capsys.readouterr().err.endswith("): placed (at a)\n")
    hop, _ = way(tmp_path / "config", "Host host\nProxyJump a:2222\nHost a\nLogLevel DEBUG\n")
    capsys.readouterr()
    hop.log.debug1("seen")
    hop.log.info("the host a is named")
    hop.log.info("several\nlines, none of them")
    told = "debug1: seen (at a port 2222)\nthe host a is named\nseveral (at a port 2222)\nlines, none of them\n"
    assert capsys.readouterr().err == told
    hop, _ = way(tmp_path / "config", "Host host\nProxyJump a\nHost a\nLogLevel QUIET\n", log_level=DEBUG1)
    assert hop.log.level == DEBUG1
    hop, _ = way(tmp_path / "config", "", flags={"loglevel": -1, "proxyjump": "a"})
    assert hop.log.level == INFO


def test_a_proxy_is_handed_on_to_the_first_hop(tmp_path: Path) -> None:
    config = tmp_path / "config"
    legs = way(config, "Host host\nProxyJump a,b\n", proxy="http://p")
    assert [leg.options.proxy for leg in legs] == ["http://p", None, None]
    legs = way(config, "Host host\nProxyJump a\nHost a\nProxy http://own\n", proxy="http://p")
    assert legs[0].options.proxy == "http://own"
    legs = way(config, "Host host\nProxyJump a\nHost a\nProxyCommand nc\n", proxy="http://p")
    assert legs[0].options.proxy is None


@pytest.mark.parametrize(
    ("given", "proxy", "command"),
    [
        ("Proxy http://p\nProxyCommand nc", "http://p", None),
        ("ProxyCommand nc\nProxy http://p", None, "nc"),
        ("ProxyCommand none\nProxy http://p", "http://p", None),
        ("Proxy none\nProxyCommand nc\nProxy http://p", None, "nc"),
    ],
)
def test_whoever_comes_first(tmp_path: Path, given: str, proxy: str | None, command: str | None) -> None:
    (leg,) = way(tmp_path / "config", given + "\n")
    assert (leg.options.proxy, leg.options.proxy_command) == (proxy, command)


@pytest.mark.parametrize(
    "text",
    [
        "Host host\nProxyJump a\nHost a\nProxyJump b\nHost b\nProxyJump a\n",
        "ProxyJump x%h\n",
        "Host host\nProxyJump a\nHost a\nProxyJump a\nHostName alpha\n",
    ],
)
def test_ways_without_an_end(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"^jumphost loop via "):
        way(tmp_path / "config", text)


def test_patience() -> None:
    none = Patience([None, None])
    assert none.deadline() is None
    some = Patience([None, 10, 5])
    before = some.deadline()
    assert before is not None
    assert some.deadline(2) == before
    assert some.deadline(3) is None
    some.more(3)
    assert some.deadline() == before + 3


def test_a_message_that_names_the_host(tmp_path: Path) -> None:
    (leg,) = way(tmp_path / "config", "HostName box.example\n")
    assert not leg.is_named_in("ann@box.example: Permission denied")  # which nobody has typed
    assert leg.is_named_in("ssh: connect to host host port 22: Connection refused")
    assert leg.is_named_in("Connection to host closed.")
    assert not leg.is_named_in("ghost, hosts and my.box.example")
