"""Tokens (%h ...), ${ENV} and `~` in values, as ssh_config(5) sections TOKENS and ENVIRONMENT VARIABLES say.

Nothing here knows which keyword takes which tokens: the caller passes those that are allowed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pwd import getpwnam

from pyssh_cli.errors import ConfigError


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

    def expand(self, text: str, *, allowed: str = "CdhijkLlnpru", environment: bool = False, where: str) -> str:
        """`text` with %% and the tokens in `allowed` replaced, and ${NAME} too when `environment` is set.

        `where` names the keyword or the line in errors. Raises ConfigError for a token that is not allowed and
        for a variable that is not set.
        """
        if "%" not in text and not (environment and "${" in text):
            return text
        out: list[str] = []
        at = 0
        while at < len(text):
            char = text[at]
            if environment and text.startswith("${", at):
                name, closed, _ = text[at + 2 :].partition("}")
                if not closed:
                    raise ConfigError(f'{where}: ${{ without }} in "{text}"')
                if name not in os.environ:
                    raise ConfigError(f'{where}: environment variable {name} is not set, in "{text}"')
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
            elif letter and letter in allowed:
                out.append(self[letter])
            else:
                raise ConfigError(f'{where}: unknown token %{letter} in "{text}"')
            at += 2
        return "".join(out)


def expand_tilde(path: str, home: str, where: str) -> str:
    """`path` with a leading `~` or `~user` replaced by that user's home directory.

    `home` is the local user's. Raises ConfigError when there is no such user.
    """
    if not path.startswith("~"):
        return path
    name, slash, rest = path[1:].partition("/")
    if name:
        try:
            home = getpwnam(name).pw_dir
        except (KeyError, ValueError):
            raise ConfigError(f'{where}: no such user {name} in "{path}"') from None
    return home.rstrip("/") + slash + rest if home != "/" or slash else home
