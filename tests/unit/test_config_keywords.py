"""The keyword table, its grammars, forwards and hops, without any ssh to compare with (see test_config_oracle)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyssh_cli.cli import main
from pyssh_cli.cli.query import QUERIES, answer
from pyssh_cli.config.algorithms import (
    CA_ALGORITHM,
    CIPHER,
    KEX_METHOD,
    KEY_ALGORITHM,
    MAC,
    assemble,
    is_valid_list,
)
from pyssh_cli.config.dump import _ORDER
from pyssh_cli.config.forwards import Forward, ForwardKind, parse_forward
from pyssh_cli.config.grammars import device_pair, timeouts
from pyssh_cli.config.jumps import Hop, parse_hops, shown
from pyssh_cli.config.keywords import (
    ALGORITHM_LISTS,
    ALIASES,
    DEPRECATED,
    FORWARDS,
    IGNORED,
    KEYWORDS,
    UNSUPPORTED,
    settled,
)
from pyssh_cli.config.options import Options
from pyssh_cli.config.reader import split_words
from pyssh_cli.config.values import BadValue, Line, c_number, expand_environment
from pyssh_cli.errors import PysshError
from tests.unit.hinted import bare


def read(keyword: str, text: str) -> Any:
    """The value that the arguments `text` give to a keyword."""
    line = Line(keyword, text, split_words(text))
    value = KEYWORDS[keyword].parse(line)
    line.end()
    return value


def printed(keyword: str, text: str) -> str:
    """What -G prints for that value."""
    show = KEYWORDS[keyword].show
    assert show is not None
    return show(read(keyword, text))


def dumped(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], *flags: str) -> list[str]:
    path = tmp_path / "config"
    path.write_text(text)
    assert main(["-F", str(path), "-G", *flags, "h"]) == 0
    return capsys.readouterr().out.splitlines()


# The table


def test_names_do_not_clash() -> None:
    groups = [set(KEYWORDS), set(ALIASES), IGNORED, DEPRECATED, UNSUPPORTED, {"host", "match", "include"}]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_every_field_of_a_row_is_one_of_options() -> None:
    fields = [row.field for row in KEYWORDS.values() if row.field]
    assert len(fields) == len(set(fields))
    assert set(fields) <= set(Options._fields)


def test_everything_with_a_value_is_printed() -> None:
    apart = {"host", "hostname", "user", "port", "refuseconnection"}  # the last ends the reading
    assert set(_ORDER) == set(KEYWORDS) - apart
    assert len(_ORDER) == len(set(_ORDER))


def test_defaults_print_like_values() -> None:
    for row in KEYWORDS.values():
        if row.show is not None and row.default is not None:
            assert isinstance(row.show(row.default), str), row.name


def test_algorithm_lists_are_keywords() -> None:
    assert set(ALGORITHM_LISTS) <= set(KEYWORDS)
    for kind in set(ALGORITHM_LISTS.values()):
        assert set(kind.default) <= set(kind.supported) <= set(kind.known)
        assert kind.default


# Values that depend on others


@pytest.mark.parametrize(
    ("given", "keyword", "value"),
    [
        ({}, "serveraliveinterval", 0),
        ({"batchmode": True}, "serveraliveinterval", 300),
        ({"batchmode": True, "serveraliveinterval": None}, "serveraliveinterval", 300),
        ({"batchmode": True, "serveraliveinterval": 0}, "serveraliveinterval", 0),
        ({}, "updatehostkeys", "yes"),
        ({"userknownhostsfile": ("~/.ssh/known_hosts",)}, "updatehostkeys", "yes"),
        ({"userknownhostsfile": ("/x",)}, "updatehostkeys", "no"),
        ({"verifyhostkeydns": "ask"}, "updatehostkeys", "no"),
        ({"userknownhostsfile": ("/x",), "updatehostkeys": "ask"}, "updatehostkeys", "ask"),
        ({"clearallforwardings": True, "localforward": [Forward("local")]}, "localforward", ()),
        ({"clearallforwardings": True, "tunnel": "ethernet"}, "tunnel", "no"),
        ({"tunnel": "ethernet"}, "tunnel", "ethernet"),
        ({"proxycommand": None}, "proxycommand", None),
        ({"globalknownhostsfile": ()}, "globalknownhostsfile", KEYWORDS["globalknownhostsfile"].default),
    ],
)
def test_settled(given: dict[str, Any], keyword: str, value: Any) -> None:
    assert settled(given, keyword) == value


@pytest.mark.parametrize(
    "keyword",
    ["controlpath", "knownhostscommand", "localcommand", "pkcs11provider", "proxycommand", "proxyjump",
     "remotecommand", "securitykeyprovider", "versionaddendum"],
)  # fmt: skip
def test_none_takes_the_value_away(keyword: str) -> None:
    assert read(keyword, "None") is None
    assert read(keyword, "other") == "other"


# Grammars of their own


@pytest.mark.parametrize(
    ("keyword", "text", "shows"),
    [
        ("addkeystoagent", "confirm 5m", "confirm 300"),
        ("addkeystoagent", "5m", "300"),
        ("addkeystoagent", "0", "true"),
        ("addkeystoagent", "ask", "ask"),
        ("controlpersist", "0", "yes"),
        ("controlpersist", "5m", "300"),
        ("channeltimeout", "none", "none"),
        ("channeltimeout", "session=5m *=1h", "session=5m *=1h"),
        ("escapechar", "none", "none"),
        ("escapechar", "^[", r"\^["),
        ("escapechar", "' '", r"\040"),
        ("escapechar", r"\\", r"\\"),
        ("escapechar", "\x7f", r"\^?"),
        ("escapechar", "\udce9", r"\M-i"),
        ("escapechar", "\udc81", r"\M^A"),
        ("escapechar", "\udca0", r"\240"),
        ("fingerprinthash", "md5", "MD5"),
        ("ipqos", "ef", "ef ef"),
        ("ipqos", "af11 CS1", "af11 cs1"),
        ("ipqos", "0 0x2e", "cs0 0x2e"),
        ("ipqos", "010 none", "0x08 none"),
        ("ipqos", "lowdelay throughput", "none none"),
        ("logverbose", "kex.c:* other", "kex.c:*"),
        ("obscurekeystroketiming", "yes", "yes"),
        ("obscurekeystroketiming", "no", "no"),
        ("obscurekeystroketiming", "interval:20", "yes"),
        ("obscurekeystroketiming", "interval:1000", "1000"),
        ("rekeylimit", "1K 1h", "1024 3600"),
        ("streamlocalbindmask", "0178", "017"),
        ("tunneldevice", "3:any", "3:any"),
        ("tunneldevice", "3", "3:any"),
        ("warnweakcrypto", "no-pq-kex", "no"),
        ("warnweakcrypto", "true", "yes"),
    ],
)
def test_printing(keyword: str, text: str, shows: str) -> None:
    assert printed(keyword, text) == shows


@pytest.mark.parametrize(
    ("keyword", "text", "complaint"),
    [
        ("addkeystoagent", "yes 5m", "unsupported option"),
        ("addkeystoagent", "confirm x", "invalid time value."),
        ("canonicaldomains", "a..b", 'domain name "a..b" contains consecutive separators'),
        ("canonicaldomains", "a none", 'keyword canonicaldomains "none" argument must appear alone.'),
        ("canonicalizepermittedcnames", "a:", 'Invalid permitted CNAME "a:"'),
        ("channeltimeout", "=5", "invalid channel timeout =5"),
        ("channeltimeout", "session=x", "invalid channel timeout session=x"),
        ("controlpersist", "True", "Bad ControlPersist argument."),
        ("fingerprinthash", "sha224", 'Invalid hash algorithm "sha224".'),
        ("forwardagent", "$a-b", "Invalid environment name $a-b."),
        ("gssapikexalgorithms", "gss-x-", "Bad GSSAPI KexAlgorithms 'gss-x-'."),
        ("identityagent", "${NOPE_X}/a", "Invalid environment expansion ${NOPE_X}/a."),
        ("ipqos", "256", "Bad IPQoS value: 256"),
        ("loglevel", "# c", "unsupported log level '<NONE>'"),
        ("obscurekeystroketiming", "interval:0", "value out of range."),
        ("obscurekeystroketiming", "yes no", "invalid arguments"),
        ("obscurekeystroketiming", "on", 'unsupported argument "on"'),
        ("proxyjump", "a,ssh://[::1]:22 # c", 'Invalid ProxyJump "a,ssh://[::1]:22 # c"'),
        ("permitremoteopen", "a", "bad port number in permitremoteopen"),
        ("permitremoteopen", "/a", "missing host in permitremoteopen"),
        ("permitremoteopen", "a:1 any", 'keyword permitremoteopen "any" argument must appear alone.'),
        ("rekeylimit", '1K ""', "missing time value."),
        ("revokedhostkeys", "# c", "Missing argument."),
        ("setenv", "# c", "no setenv specified"),
        ("streamlocalbindmask", "01000", "Bad mask."),
        ("tunneldevice", "2147483646", "Bad tun device."),
        ("userknownhostsfile", " ".join(["/f"] * 33), "too many userknownhostsfile entries."),
    ],
)
def test_bad_arguments(keyword: str, text: str, complaint: str) -> None:
    with pytest.raises(BadValue) as caught:
        read(keyword, text)
    assert bare(str(caught.value)) == complaint


def test_old_names_of_services_leave_a_note() -> None:
    line = Line("ipqos", "lowdelay", ["lowdelay"])
    assert KEYWORDS["ipqos"].parse(line) == (None, None)
    assert "lowdelay" in line.notes[0]


def test_several_files_may_be_revoked() -> None:
    assert read("revokedhostkeys", "/a /b") == ("/a", "/b")
    assert read("revokedhostkeys", "none") == ()


def test_domains_are_made_alike() -> None:
    assert read("canonicaldomains", "A.Example. b") == ("a.example", "b")
    assert read("canonicalizepermittedcnames", "*.A:*.B *") == ("*.a:*.b", "*:*")


def test_channel_timeouts_as_pairs() -> None:
    assert timeouts(read("channeltimeout", "session=5m x11-*=0")) == (("session", 300), ("x11-*", 0))


@pytest.mark.parametrize(("word", "pair"), [("any", (None, None)), ("1:any", (1, None)), ("ANY:02", (None, 2))])
def test_device_pairs(word: str, pair: tuple[int | None, int | None]) -> None:
    assert device_pair(word) == pair


@pytest.mark.parametrize("word", ["", "1:", ":1", "x", "-1", "1:2:3"])
def test_bad_device_pairs(word: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        device_pair(word)


@pytest.mark.parametrize(
    ("word", "base", "found"),
    [("0x1F", 0, (31, "")), ("017", 0, (15, "")), ("08", 0, (0, "8")), ("0xg", 0, (0, "xg")),
     (" -5x", 10, (-5, "x")), ("+7", 8, (7, "")), ("", 0, None), ("x", 10, None), ("1_0", 10, (1, "_0")),
     ("٣", 10, None)],
)  # fmt: skip
def test_numbers_as_in_c(word: str, base: int, found: tuple[int, str] | None) -> None:
    assert c_number(word, base) == found


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "${OTHER}")
    monkeypatch.delenv("OTHER", raising=False)
    assert expand_environment("a${PLACE}$b}") == "a${OTHER}$b}"
    for text in ("${OTHER}", "${", "${}", "${PLACE"):
        with pytest.raises(ValueError, match=r".*"):
            expand_environment(text)


# Forwards


@pytest.mark.parametrize(
    ("kind", "spec", "forward", "shows"),
    [
        ("local", "8080:host:80", Forward("local", None, 8080, None, "host", 80), "8080 [host]:80"),
        ("local", "*:8080:host:80", Forward("local", "*", 8080, None, "host", 80), "[*]:8080 [host]:80"),
        ("local", ":8080:host:80", Forward("local", "", 8080, None, "host", 80), "[]:8080 [host]:80"),
        ("local", "[::1]:022:[::2]:http", Forward("local", "::1", 22, None, "::2", 80), "[::1]:22 [::2]:80"),
        ("local", r"1:a\:b:2", Forward("local", None, 1, None, "a:b", 2), "1 [a:b]:2"),
        ("local", "/s:host:80", Forward("local", None, 0, "/s", "host", 80), "/s [host]:80"),
        ("local", "/s:/t", Forward("local", None, 0, "/s", None, 0, "/t"), "/s /t"),
        ("local", "8080:/t", Forward("local", None, 8080, None, None, 0, "/t"), "8080 /t"),
        ("local", "a:8080:/t", Forward("local", "a", 8080, None, None, 0, "/t"), "[a]:8080 /t"),
        ("dynamic", "1080", Forward("dynamic", None, 1080), "1080"),
        ("dynamic", "[::1]:1080", Forward("dynamic", "::1", 1080), "[::1]:1080"),
        ("dynamic", " 1080", Forward("dynamic", None, 1080), "1080"),
        ("dynamic", "/s", Forward("dynamic", None, 0, "/s"), "/s"),
        ("remote", "0", Forward("remote", None, 0), "0 [socks]:0"),
        ("remote", "a:8080", Forward("remote", "a", 8080), "[a]:8080 [socks]:0"),
        ("remote", "0:host:80", Forward("remote", None, 0, None, "host", 80), "0 [host]:80"),
        ("remote", "/s", Forward("remote", None, 0, "/s"), "/s [socks]:0"),
        ("remote", "/s:/t", Forward("remote", None, 0, "/s", None, 0, "/t"), "/s /t"),
        ("remote", "/s:host:80", Forward("remote", None, 0, "/s", "host", 80), "/s [host]:80"),
    ],
)
def test_forwards(kind: ForwardKind, spec: str, forward: Forward, shows: str) -> None:
    assert parse_forward(spec, kind=kind) == forward
    assert forward.shown() == shows
    assert forward.socks is (kind == "dynamic" or "socks" in shows)


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("local", ""), ("local", "80"), ("local", "a:80"), ("local", "0:a:80"), ("local", "80:a:0"),
        ("local", "80:a:b"), ("local", "65536:a:80"), ("local", "-1:a:80"), ("local", "80:a:80:90:1"),
        ("local", "[a:80:b:80"), ("local", "[a]b:80:c:80"), ("local", "80:[a]x:80"), ("local", "80:a\\"),
        ("local", "/" + "x" * 107 + ":a:80"), ("local", "80:" + "h" * 1025 + ":80"), ("local", "80:${NOPE_X}:80"),
        ("local", "80:${"), ("local", "/a:/b:c:80"), ("dynamic", "0"), ("dynamic", "x"), ("dynamic", "a:b:80"),
        ("dynamic", "a:/s"), ("remote", "x"), ("remote", "a:b:80"), ("remote", "80:a:0"), ("remote", "a:/s"),
    ],
)  # fmt: skip
def test_bad_forwards(kind: ForwardKind, spec: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_forward(spec, kind=kind)


def test_forwards_of_two_words() -> None:
    assert read("localforward", "[::1]:1 [::2]:2") == Forward("local", "::1", 1, None, "::2", 2)
    assert read("remoteforward", "1") == Forward("remote", None, 1)
    assert read("remoteforward", '1 ""') == Forward("remote", None, 1)
    assert read("dynamicforward", "1") == Forward("dynamic", None, 1)
    for keyword, text, complaint in (
        ("localforward", "1", "Missing target argument."),
        ("localforward", '1 ""', "Missing target argument."),
        ("localforward", "1 a:2 3", "keyword localforward extra arguments at end of line"),
        ("remoteforward", "1:a:2", "Bad forwarding specification."),
        ("remoteforward", '"" a:2', "Missing argument."),
        ("dynamicforward", "1 2", "keyword dynamicforward extra arguments at end of line"),
    ):
        with pytest.raises(BadValue) as caught:
            read(keyword, text)
        assert str(caught.value) == complaint


def test_paths_of_forwards_are_expanded() -> None:
    forward = Forward("local", None, 0, "/%h", None, 0, "/%p").expanded(lambda path: path.replace("%", "x"))
    assert (forward.listen_path, forward.path) == ("/xh", "/xp")
    plain = Forward("local", "%h", 1, None, "%h", 2)
    assert plain.expanded(str.upper) is plain


def test_forwards_are_printed_once_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "RemoteForward 1\nDynamicForward 5\nLocalForward 1 a:2\nLocalForward 1 a:2\nRemoteForward 1\n"
    lines = dumped(tmp_path, text, capsys)
    assert [line for line in lines if line.startswith(FORWARDS)] == [
        "dynamicforward 5", "localforward 1 [a]:2", "remoteforward 1 [socks]:0",
    ]  # fmt: skip
    lines = dumped(tmp_path, text + "ClearAllForwardings yes\nTunnel yes\n", capsys)
    assert not [line for line in lines if line.startswith(FORWARDS)]
    assert "tunnel false" in lines


# Hops


@pytest.mark.parametrize(
    ("text", "last", "shows"),
    [
        ("a", Hop(None, "a", None), "a"),
        ("u@v@a:022", Hop("u@v", "a", 22), "u@v@a:22"),
        ("1.2.3.4", Hop(None, "1.2.3.4", None), "[1.2.3.4]"),
        ("x,y:1,u@[fe80::1%eth0]:5", Hop("u", "fe80::1%eth0", 5), "x,y:1,u@[fe80::1%eth0]:5"),
        ("ssh://a,ssh://u%40v;fp=x@b:5/", Hop("u@v", "b", 5), "ssh://a,u@v@b:5"),
        ("a:", Hop(None, "a", None), "a"),
    ],
)
def test_hops(text: str, last: Hop, shows: str) -> None:
    assert parse_hops(text)[-1] == last
    assert len(parse_hops(text)) == text.count(",") + 1
    assert shown(text) == shows


@pytest.mark.parametrize(
    "text",
    ["", "a,", ",a", "a,,b", "@a", "u@", "a:0", "a:x", "::1", "[::1", "[a]x", "a/b", "ssh://", "ssh://a/b",
     "ssh://[::1]", "ssh://-a", "ssh://@a", "ssh://u%4@a", "ssh://u%00@a", "ssh://u@b@c"],
)  # fmt: skip
def test_bad_hops(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_hops(text)


def test_words_behind_the_hops_are_left_out() -> None:
    assert read("proxyjump", "a,b # c") == "a,b"
    assert read("proxyjump", "none # c") is None


# Lists of algorithms and -Q


def test_lists_keep_the_order_of_ssh() -> None:
    everything, dropped = assemble(KEY_ALGORITHM, "*")
    known = KEY_ALGORITHM.known
    assert [*everything] == sorted(everything, key=known.index)
    assert not set(everything) & set(dropped)
    assert assemble(CIPHER, "+aes128-ctr")[0] == CIPHER.default
    assert assemble(CIPHER, "^aes128-ctr,aes128-ctr")[0][0] == "aes128-ctr"
    assert assemble(MAC, "-*")[0] == ()


def test_certificates_are_not_signed_by_certificates() -> None:
    assert not is_valid_list(CA_ALGORITHM, "ssh-ed25519-cert-v01@openssh.com")
    assert is_valid_list(KEY_ALGORITHM, "ssh-ed25519-cert-v01@openssh.com")
    assert not [name for name in CA_ALGORITHM.supported if "-cert-" in name]


@pytest.mark.parametrize(("value", "valid"), [("+,", True), ("+", False), ("^", False), ("-", True), (",", False)])
def test_empty_names(value: str, valid: bool) -> None:
    assert is_valid_list(CIPHER, value) is valid


def test_queries() -> None:
    assert answer("help").splitlines() == [
        "cipher", "cipher-auth", "compression", "kex", "kex-gss", "key", "key-ca-sign", "key-cert", "key-plain",
        "key-sig", "mac", "protocol-version", "sig",
    ]  # fmt: skip
    assert answer("kex").splitlines() == list(KEX_METHOD.supported)
    assert set(QUERIES["key-cert"]).isdisjoint(QUERIES["key-plain"])
    for keyword, query in (
        ("CiPhErS", "cipher"), ("macs", "mac"), ("KexAlgorithms", "kex"), ("PubkeyAcceptedKeyTypes", "key-sig"),
        ("CASignatureAlgorithms", "key-ca-sign"), ("GSSAPIKexAlgorithms", "kex-gss"),
    ):  # fmt: skip
        assert answer(keyword) == answer(query)
    for query in ("Help", "CIPHER", "port", ""):
        with pytest.raises(PysshError, match=f'^Unsupported query "{query}"$'):
            answer(query)


# -G as a whole


def test_keys_newer_than_9_2_stand_where_openssh_10_has_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "Tag t\nVersionAddendum v w # c\nKnownHostsCommand k\nLogVerbose a\n"
    keys = [line.partition(" ")[0] for line in dumped(tmp_path, text, capsys)]
    for newer, before in (
        ("warnweakcrypto", "enableescapecommandline"), ("obscurekeystroketiming", "requiredrsasize"),
        ("tag", "knownhostscommand"), ("versionaddendum", "tag"), ("channeltimeout", "logverbose"),
    ):  # fmt: skip
        assert keys[keys.index(newer) - 1] == before


def test_keywords_that_ssh_has_not_are_printed_when_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T_DAY", "7")
    assert not [line for line in dumped(tmp_path, "Port 7\n", capsys) if line.startswith("sessionrecord")]
    text = "SessionRecord /r/%h-%p-${T_DAY}.cast\nSessionRecordInput no\n"
    assert dumped(tmp_path, text, capsys)[-2:] == ["sessionrecord /r/h-22-7.cast", "sessionrecordinput no"]
    shown = dumped(tmp_path, text, capsys, "-oSessionRecord=None", "-oSessionRecordInput=yes")
    assert shown[-1] == "sessionrecordinput yes"
    assert not [line for line in shown if line.startswith("sessionrecord ")]


def test_reconnect_is_off_and_has_keep_alive_messages_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert KEYWORDS["reconnect"].default is False

    def shown(text: str, *words: str) -> list[str]:
        found = dumped(tmp_path, text, capsys, *words)
        return [line for line in found if line.startswith(("reconnect", "serveraliveinterval"))]

    assert shown("Port 7\n") == ["serveraliveinterval 0"]
    assert shown("Reconnect yes\n") == ["serveraliveinterval 20", "reconnect yes"]
    assert shown("Reconnect yes\nBatchMode yes\n") == ["serveraliveinterval 20", "reconnect yes"]
    assert shown("Reconnect yes\nServerAliveInterval 0\n") == ["serveraliveinterval 0", "reconnect yes"]
    assert shown("Reconnect yes\n", "-oReconnect=no") == ["serveraliveinterval 0", "reconnect no"]


def test_printing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pyssh_cli.cli import main; main(['-F', 'none', '-G', 'h']); main(['-Q', 'key']);"
        "print(*{'cryptography', 'socket', 'hashlib', 'ctypes', 'asyncio'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
