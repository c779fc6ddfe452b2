"""Lines, words, patterns, tokens and algorithm lists: the small parts that configuration files are read with."""

from __future__ import annotations

import re

import pytest

from pyssh_cli.config.algorithms import CIPHER, KEX_METHOD, KEY_ALGORITHM, MAC, assemble, is_valid_list
from pyssh_cli.config.patterns import matches_list, matches_pattern
from pyssh_cli.config.reader import InvalidQuotesError, split_keyword, split_words
from pyssh_cli.config.tokens import MissingVariable, Tokens, expand_tilde, expand_value
from pyssh_cli.config.values import BadValue, escape_character, port_number, scaled, seconds
from pyssh_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "keyword", "text"),
    [
        ("Port 22", "port", "22"),
        ("  PORT\t22\r", "port", "22"),
        ("Port=22", "port", "22"),
        ("Port = 22", "port", "22"),
        ("Port == 22", "port", "= 22"),
        ('"Port" 22', "port", "22"),
        ("=22", "22", ""),
        ("Port", "port", ""),
        ("# Port 22", "", ""),
        ("", "", ""),
        ('"Port 22', "", ""),
        ("Port\f22", "port\f22", ""),
        ("Port 22\f \r\f", "port", "22"),
        ("\f", "\f", ""),
        ("\fPort 22", "\fport", "22"),
        ("Port 22\f5", "port", "22\f5"),
        ('Po"rt" 22', "port", "22"),
        ('"Port"22', "port", "22"),
        ('Port"22"', "port22", ""),
        ('"Port"=22', "port", "=22"),
        ('"Port x" 22', "port x", "22"),
        ("Port= =22", "port", "=22"),
        ("Port =22", "port", "22"),
        ("= Port 22", "port", "22"),
        (" =Port 22", "port", "22"),
        ("== Port 22", "", ""),
        ("= =Port 22", "", ""),
        ("=", "", ""),
        ('"" Port 22', "port", "22"),
        ('"" "" Port 22', "", ""),
        ('"#Port" 22', "", ""),
        ("\r Port 22", "port", "22"),
        ("Port 2\r2", "port", "2\r2"),
        ("\u00dcser a", "\u00dcser", "a"),
        ("\u212aeepAlive no", "\u212aeepalive", "no"),
    ],
)
def test_keyword_and_arguments(line: str, keyword: str, text: str) -> None:
    assert split_keyword(line) == (keyword, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc", ["a", "b", "c"]),
        ("a # b", ["a"]),
        ("a#b #c", ["a#b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b' c", ['a "b', "c"]),
        ('a"b c"d', ["ab cd"]),
        (r"a\ b", ["a b"]),
        (r'"a\ b"', [r"a\ b"]),
        (r"a\"b", ['a"b']),
        (r"a\nb\\c", ["a\\nb\\c"]),
        ('""', [""]),
        ('"# x" # y', ["# x"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ['"a', "a 'b", 'a"'])
def test_open_quotes_are_refused(text: str) -> None:
    with pytest.raises(InvalidQuotesError):
        split_words(text)


def test_a_comment_may_be_words_like_others() -> None:
    assert split_words("a #b c", comments=False) == ["a", "#b", "c"]
    assert split_words("'a' #b c", comments=False) == ["a", "#b", "c"]


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("host", "host", True),
        ("host", "HOST", False),
        ("host", "h?st", True),
        ("host", "h*", True),
        ("host", "*", True),
        ("", "*", True),
        ("", "?", False),
        ("a.b.example", "*.example", True),
        ("aXbXc", "a*X?", True),
        ("abc", "a*d", False),
        ("aaab", "*a?b", True),
        ("host", "host?", False),
        ("a" * 200, "a*" * 20 + "b", False),
        ("ab", "ab*b", False),
        ("abb", "ab*b", True),
        ("a", "a*a", False),
        ("abc", "a*b*c", True),
        ("abc", "b*", False),
        ("abc", "?bc", True),
        ("é", "??", True),
        ("é", "?", False),
        ("", "", True),
        ("a", "", False),
    ],
)
def test_patterns(text: str, pattern: str, fits: bool) -> None:
    assert matches_pattern(text, pattern) is fits


@pytest.mark.parametrize(
    ("text", "patterns", "fits"),
    [
        ("a", "a,b", True),
        ("c", "a,b", False),
        ("a", "*,!a", False),
        ("b", "*,!a", True),
        ("b", "!a", False),
        ("a", "!b,a,!a", False),
        ("", "", True),
        ("", "a,", True),
    ],
)
def test_pattern_lists(text: str, patterns: str, fits: bool) -> None:
    assert matches_list(text, patterns) is fits


def test_pattern_lists_fold_case_when_asked() -> None:
    assert matches_list("HOST", "host", fold_case=True)
    assert not matches_list("\u212a", "k", fold_case=True)
    assert not matches_list("HOST", "host")


@pytest.mark.parametrize(
    ("word", "value"),
    [("90", 90), ("1h30m", 5400), ("1w", 604800), ("5S", 5), ("1h30", 3630), ("", None), ("x", None), ("1x", None),
     ("-1", None), ("m", None), ("99999999999", None)],
)  # fmt: skip
def test_times(word: str, value: int | None) -> None:
    assert seconds(word) == value


@pytest.mark.parametrize(
    ("word", "size"), [("1K", 1024), ("1.5G", 3 * 2**29), (".5M", 2**19), ("20b", 20), ("7", 7), ("-1", -1)]
)
def test_sizes(word: str, size: int) -> None:
    assert scaled(word) == size


@pytest.mark.parametrize("word", ["x", "1.5x", "", "1..5", "9999999999999G", "²"])
def test_bad_sizes(word: str) -> None:
    with pytest.raises(BadValue, match="Bad number"):
        scaled(word)


@pytest.mark.parametrize(
    ("word", "number"),
    [("22", 22), ("022", 22), ("ssh", 22), ("0", None), ("65536", None), ("-1", None), ("5x", None), ("", None)],
)
def test_ports(word: str, number: int | None) -> None:
    assert port_number(word) == number


@pytest.mark.parametrize(
    ("word", "byte"), [("~", 126), ("none", None), ("^A", 1), ("^a", 1), ("^[", 27), ("^", 94), ("x", 120)]
)
def test_escape_characters(word: str, byte: int | None) -> None:
    assert escape_character(word) == byte


@pytest.mark.parametrize("word", ["", "xx", "^?", "é", "^é"])
def test_bad_escape_characters(word: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(word)}$"):
        escape_character(word)


def test_tokens_are_replaced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "%h")
    tokens = Tokens({"h": "host%n", "n": "name", "C": lambda: "hash"})
    assert tokens.expand("%h-%n-%%h-%C", where="x") == "host%n-name-%h-hash"
    assert tokens.expand("${PLACE}/%n", environment=True, where="x") == "%h/name"
    assert tokens.expand("${PLACE}/%n", where="x") == "${PLACE}/name"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("%z", "unknown key %z"),
        ("a%", "invalid format"),
        ("%T", "unknown key %T"),
        ("%\u00e9", "unknown key %\u00e9"),
        ("${NOPE_X}", "env var ${NOPE_X} has no value"),
        ("${", "environment variable '' missing closing '}'"),
        ("a${HOME", "environment variable 'HOME' missing closing '}'"),
        ("${}", "zero-length environment variable"),
    ],
)
def test_bad_tokens_name_the_place(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match="file:3") as caught:
        Tokens({"h": "x"}).expand(text, environment=True, where="file:3")
    assert complaint in str(caught.value)


def test_tilde() -> None:
    assert expand_tilde("~/x", "/home/me", "k") == "/home/me/x"
    assert expand_tilde("~", "/home/me", "k") == "/home/me/"  # as ssh has it
    assert expand_tilde("~root/x", "/home/me", "k").endswith("/x")
    assert expand_tilde("a~/x", "/home/me", "k") == "a~/x"
    with pytest.raises(ConfigError, match="No such user nobody_of_that_name"):
        expand_tilde("~nobody_of_that_name/x", "/home/me", "k")


@pytest.mark.parametrize(
    ("keyword", "value", "expanded"),
    [
        ("identityfile", "~/%h-${PLACE}-%%", "/home/me/host-%h-%"),
        ("identityfile", "%h/~", "host/~"),
        ("remotecommand", "~/%h ${PLACE}", "~/host ${PLACE}"),
        ("globalknownhostsfile", "~/%h ${PLACE}", "/home/me/%h ${PLACE}"),
        ("localforward", "~/%h", "~/host"),
        ("user", "%h ${PLACE} ~", "host %h ~"),
        ("proxycommand", "nc %h ${PLACE}", "nc host ${PLACE}"),
    ],
)
def test_what_keywords_expand(keyword: str, value: str, expanded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "%h")
    assert expand_value(keyword, value, Tokens({"h": "host"}), "/home/me", "x") == expanded


@pytest.mark.parametrize(
    ("keyword", "value", "complaint"),
    [
        ("identityfile", "~%u/x", "No such user %u"),  # the ~ comes first
        ("hostname", "%n", "unknown key %n"),
        ("proxycommand", "%u", "unknown key %u"),
        ("user", "%r", "unknown key %r"),
        ("user", "%C", "unknown key %C"),
        ("remotecommand", "%T", "unknown key %T"),
        ("identityfile", "%K", "unknown key %K"),
    ],
)
def test_what_keywords_refuse(keyword: str, value: str, complaint: str) -> None:
    tokens = Tokens(dict.fromkeys("CdfHhIijKkLlnprTtu", "x"))
    with pytest.raises(ConfigError, match=f"^file:3: {complaint}"):
        expand_value(keyword, value, tokens, "/home/me", "file:3")


def test_more_tokens_for_one_keyword() -> None:
    known = Tokens({"h": "host"})
    more = known.extended(K="AAAA", h="other")
    assert expand_value("knownhostscommand", "%h %K", more, "/", "x") == "other AAAA"
    assert known.expand("%h", where="x") == "host"


def test_missing_variables_can_be_told_from_other_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOPE_X", raising=False)
    with pytest.raises(MissingVariable):
        Tokens({}).expand("${NOPE_X}", environment=True, where="x")
    monkeypatch.setenv("NOPE_X", "")
    assert Tokens({}).expand("${NOPE_X}", environment=True, where="x") == ""


def test_algorithm_lists() -> None:
    everything = CIPHER.default
    assert assemble(CIPHER, None) == (everything, ())
    fewer = CIPHER._replace(supported=tuple(name for name in CIPHER.supported if name != "3des-cbc"))
    assert assemble(fewer, "aes256-ctr,3des-cbc") == (("aes256-ctr",), ("3des-cbc",))
    assert assemble(fewer, "3des-cbc") == ((), ("3des-cbc",))
    assert assemble(CIPHER, "-*-ctr,chacha*") == (tuple(n for n in everything if "gcm" in n), ())
    first, _ = assemble(CIPHER, "^aes256-ctr")
    assert first[0] == "aes256-ctr"
    assert sorted(first) == sorted(everything)
    assert set(MAC.default) <= set(sum(assemble(MAC, "+hmac-md5"), ()))
    assert assemble(KEX_METHOD, "curve25519-sha256") == (("curve25519-sha256",), ())
    assert assemble(KEY_ALGORITHM, "ecdsa-*nistp256")[0] == ("ecdsa-sha2-nistp256",)
    assert assemble(CIPHER, "-*") == ((), ())


@pytest.mark.parametrize(
    ("value", "valid"),
    [("aes128-ctr", True), ("aes128-ctr,", True), ("3des-cbc", True), ("foo", False), ("+foo", False),
     ("-foo", True), ("aes*", False), ("^aes128-ctr,foo", False), (",", False)],
)  # fmt: skip
def test_names_nobody_knows_are_found(value: str, valid: bool) -> None:
    assert is_valid_list(CIPHER, value) is valid


def test_key_types_may_be_patterns() -> None:
    assert is_valid_list(KEY_ALGORITHM, "ssh-rsa*,!ssh-rsa-cert*")
    assert not is_valid_list(KEY_ALGORITHM, "ssh-*,zz*")
