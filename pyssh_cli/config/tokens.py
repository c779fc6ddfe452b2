"""Tokens (%h ...), ${ENV} and `~` in values, as ssh_config(5) sections TOKENS and ENVIRONMENT VARIABLES say.

Which keyword takes which is the table `TOKEN_RULES`; what the tokens stand for, the caller knows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pwd import getpwnam
from typing import NamedTuple

from pyssh_cli.errors import ConfigError

BEFORE_CONNECTING = "CdhijkLlnpru"
"""The letters whose values are known as soon as the options are settled."""


class TokenRule(NamedTuple):
    """What of a value is replaced: the %-tokens of `letters` and %%, ${ENV}, and a `~` at the beginning.

    `letters` is None where a `%` is nothing special.
    """

    letters: str | None
    environment: bool = False
    tilde: bool = False


_PATH = TokenRule(BEFORE_CONNECTING, environment=True, tilde=True)
_TEXT = TokenRule(BEFORE_CONNECTING, environment=True)
_SHELL = TokenRule(BEFORE_CONNECTING)

TOKEN_RULES: dict[str, TokenRule] = {
    "certificatefile": _PATH,
    "controlpath": _PATH,
    "forwardagent": _PATH,
    "globalknownhostsfile": TokenRule(None, tilde=True),
    "hostname": TokenRule("h"),
    "identityagent": _PATH,
    "identityfile": _PATH,
    "include": _TEXT,  # a ~ in it is the pattern's: who may write one depends on the file
    "knownhostscommand": _TEXT._replace(letters=BEFORE_CONNECTING + "fHIKt"),
    "localcommand": _SHELL._replace(letters=BEFORE_CONNECTING + "T"),
    "localforward": _TEXT,
    "match exec": _SHELL,
    "proxycommand": TokenRule("hknpr"),
    "proxyjump": TokenRule("hknpr"),
    "remotecommand": _SHELL,
    "remoteforward": _TEXT,
    "revokedhostkeys": _PATH,
    "sessionrecord": _PATH,
    "setenv": _TEXT,
    "user": TokenRule("dhijkLlnpu", environment=True),
    "userknownhostsfile": _PATH,
    "versionaddendum": _TEXT,
}
"""Rules by keyword, in lower case. A keyword that is not here takes its value as it stands.

Of the two forwards it is the paths of sockets that are expanded, of KnownHostsCommand and SetEnv each word by
itself. What is for a shell has no ${ENV} here: the shell sees to that.
"""


class MissingVariable(ConfigError):
    """${NAME} where no such variable is set."""


class Tokens:
    """The values of %-tokens, where one that costs something (%C is a hash) is made only when asked for."""

    __slots__ = ("_made", "_values")

    def __init__(self, values: Mapping[str, str | Callable[[], str]]) -> None:
        self._values = values
        self._made: dict[str, str] = {}

    def __getitem__(self, letter: str) -> str:
        made = self._made.get(letter)
        if made is None:
            value = self._values[letter]
            made = self._made[letter] = value if isinstance(value, str) else value()
        return made

    def extended(self, **values: str) -> Tokens:
        """These tokens with some more, or with other values for some: `known.extended(k=alias)`."""
        return Tokens({**self._values, **values})

    def expand(self, text: str, *, allowed: str = BEFORE_CONNECTING, environment: bool = False, where: str) -> str:
        """`text` with %% and the tokens in `allowed` replaced, and ${NAME} too when `environment` is set.

        `where` names the keyword or the line in errors. Raises ConfigError for a token that is not allowed, and
        MissingVariable for a variable that is not set.
        """
        if "%" not in text and not (environment and "${" in text):
            return text
        out: list[str] = []
        at = 0
        while at < len(text):
            char = text[at]
            if environment and text.startswith("${", at):
                name = _variable(text, at, where)
                out.append(os.environ[name])
                at += len(name) + 3
                continue
            if char != "%":
                out.append(char)
                at += 1
                continue
            letter = text[at + 1 : at + 2]
            if letter == "%":
                out.append("%")
            elif not letter:
                raise ConfigError(f'{where}: invalid format: nothing follows the last % of "{text}"')
            elif letter in allowed and letter in self._values:
                out.append(self[letter])
            else:
                raise ConfigError(f'{where}: unknown key %{letter} in "{text}"')
            at += 2
        return "".join(out)


def _variable(text: str, at: int, where: str) -> str:
    """The name in the ${NAME} that begins at `at`, once it is sure to be set."""
    name, closed, _ = text[at + 2 :].partition("}")
    if not closed:
        raise ConfigError(f"{where}: environment variable '{name}' missing closing '}}'")
    if not name:
        raise ConfigError(f'{where}: zero-length environment variable in "{text}"')
    if name not in os.environ:
        raise MissingVariable(f'{where}: env var ${{{name}}} has no value, in "{text}"')
    return name


def expand_value(keyword: str, value: str, tokens: Tokens, home: str, where: str) -> str:
    """`value` with all replaced that `TOKEN_RULES` has for `keyword`, the `~` first, as ssh does it.

    `home` is the local user's home directory. Raises ConfigError.
    """
    rule = TOKEN_RULES[keyword]
    if rule.tilde:
        value = expand_tilde(value, home, where)
    if rule.letters is None:
        return value
    return tokens.expand(value, allowed=rule.letters, environment=rule.environment, where=where)


def expand_tilde(path: str, home: str, where: str) -> str:
    """`path` with a leading `~` or `~user` replaced by that user's home directory.

    `home` is the local user's. Raises ConfigError when there is no such user.
    """
    if not path.startswith("~"):
        return path
    name, _, rest = path[1:].partition("/")
    if name:
        try:
            home = getpwnam(name).pw_dir
        except (KeyError, ValueError):
            raise ConfigError(f'{where}: No such user {name} in "{path}"') from None
    return f"{home.rstrip('/')}/{rest}"
