"""Writes pyssh_cli/completion/tables.py: what completions offer of flags, keywords and algorithms.

    .venv/bin/python scripts/completion_tables.py

Loading the tables themselves takes longer than a Tab may; so what completions need of them is written down as
text. A test compares the two, and names this script where they differ.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pyssh_cli.cli.acts import CONTROL_COMMANDS  # noqa: E402
from pyssh_cli.cli.flags import FLAGS, LONG_FLAGS  # noqa: E402
from pyssh_cli.cli.query import QUERIES  # noqa: E402
from pyssh_cli.config import grammars, keywords, proxies  # noqa: E402
from pyssh_cli.config.algorithms import (  # noqa: E402
    CA_ALGORITHM,
    CIPHER,
    KEX_METHOD,
    KEY_ALGORITHM,
    MAC,
    USER_KEY_ALGORITHM,
)
from pyssh_cli.config.keywords import ALGORITHM_LISTS, ALIASES, GSS_KEX_DEFAULT, KEYWORDS, Keyword  # noqa: E402
from pyssh_cli.config.resolve import DEFAULT_AUTHENTICATIONS  # noqa: E402
from pyssh_cli.config.values import Choice  # noqa: E402
from pyssh_cli.log import LOG_LEVELS  # noqa: E402

TARGET = ROOT / "pyssh_cli" / "completion" / "tables.py"

_LISTS = {
    "cipher": CIPHER,
    "mac": MAC,
    "kex": KEX_METHOD,
    "key": KEY_ALGORITHM,
    "user-key": USER_KEY_ALGORITHM,
    "ca-key": CA_ALGORITHM,
}

_OTHER_NAMES = {"true": "yes", "false": "no", "off": "no"}
"""Words of choices that say the same as others; they are taken, and not offered."""

_VALUES = {
    "AddKeysToAgent": "yes no ask confirm",
    "BindAddress": "<address>",
    "BindInterface": "<interface>",
    "CanonicalDomains": "none",
    "CanonicalizeMaxDots": "",
    "CanonicalizePermittedCNAMEs": "none",
    "CertificateFile": "none <file>",
    "ChannelTimeout": (
        "none global= session= direct-tcpip= direct-streamlocal@openssh.com= forwarded-tcpip= "
        "forwarded-streamlocal@openssh.com= agent-connection= tun-connection= x11-connection="
    ),
    "ConnectionAttempts": "",
    "ConnectTimeout": "none",
    "ControlPath": "none <file>",
    "ControlPersist": "yes no",
    "DynamicForward": "",
    "EscapeChar": "<escape>",
    "FingerprintHash": "sha256 md5",
    "ForwardAgent": "yes no <file>",
    "ForwardX11Timeout": "",
    "GlobalKnownHostsFile": "none <file>",
    "GSSAPIClientIdentity": "",
    "GSSAPIKexAlgorithms": "<gss-kex>",
    "GSSAPIServerIdentity": "",
    "HostKeyAlias": "<host>",
    "Hostname": "<host>",
    "IdentityAgent": "none SSH_AUTH_SOCK <file>",
    "IdentityFile": "none <file>",
    "IgnoreUnknown": "",
    "IPQoS": " ".join(grammars._DSCP),
    "KbdInteractiveDevices": "",
    "KnownHostsCommand": "none <file>",
    "LocalCommand": "none <file>",
    "LocalForward": "",
    "LogLevel": " ".join(LOG_LEVELS),
    "LogVerbose": "none",
    "NumberOfPasswordPrompts": "",
    "ObscureKeystrokeTiming": f"yes no interval:{grammars.KEYSTROKE_INTERVAL}",
    "PermitRemoteOpen": "any none <place>",
    "PKCS11Provider": "none <file>",
    "Port": "<port>",
    "PreferredAuthentications": "<authentication>",
    "Proxy": " ".join(["none", *(f"{scheme}://" for scheme in proxies._DEFAULT_PORTS)]),
    "ProxyCommand": "none <file>",
    "ProxyJump": "none <hops>",
    "RefuseConnection": "",
    "RekeyLimit": "default",
    "RemoteCommand": "none",
    "RemoteForward": "",
    "RequiredRSASize": "",
    "RevokedHostKeys": "none <file>",
    "SecurityKeyProvider": "internal none <file>",
    "SendEnv": "<variable>",
    "ServerAliveCountMax": "",
    "ServerAliveInterval": "none",
    "SessionRecord": "none <file>",
    "SetEnv": "<setting>",
    "StreamLocalBindMask": "",
    "SyslogFacility": " ".join(keywords._FACILITIES.values()),
    "Tag": "<tag>",
    "TunnelDevice": "<device>",
    "User": "<user>",
    "UserKnownHostsFile": "none <file>",
    "VersionAddendum": "none",
    "XAuthLocation": "<file>",
}
"""What keywords take whose parser does not say it: words, and in angle brackets what `completion.places` knows to
find. Nothing stands for numbers, times, sizes, and what only the person knows."""


WIDTH = 115
"""The longest line."""


def quoted(value: str) -> str:
    """`value` as Python writes it, in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def values(row: Keyword) -> str:
    """What may stand behind a keyword. Raises KeyError for a keyword that `_VALUES` does not know."""
    if row.name.lower() in ALGORITHM_LISTS:
        kind = ALGORITHM_LISTS[row.name.lower()]
        return next(f"<+-^{name}>" for name, held in _LISTS.items() if held is kind)
    if isinstance(row.parse, Choice):
        names = row.parse.names
        return " ".join(name for name in names if _OTHER_NAMES.get(name) not in names)
    return _VALUES[row.name]


def flags() -> dict[str, tuple[str, str]]:
    """Every flag with its argument and its line of help: by its letter, then the long ones."""
    found = {row.spelled: (row.argument, row.help) for row in (*FLAGS.values(), *LONG_FLAGS.values())}
    return {name: (argument, told.removesuffix(".")) for name, (argument, told) in found.items()}


def _lists() -> dict[str, str]:
    found = {name: " ".join(kind.supported) for name, kind in _LISTS.items()}
    found["gss-kex"] = " ".join(GSS_KEX_DEFAULT.split(","))
    found["authentication"] = " ".join(DEFAULT_AUTHENTICATIONS)
    return found


def _assigned(name: str, kind: str, rows: dict[str, str], meaning: str) -> Iterator[str]:
    yield f"{name}: dict[str, {kind}] = {{"
    for key, value in rows.items():
        yield from _wrapped(f"    {quoted(key)}: ", value)
    yield "}"
    yield f'"""{meaning}"""'
    yield ""


def _wrapped(lead: str, value: str) -> Iterator[str]:
    line = f"{lead}{quoted(value)},"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"{lead}("
    pieces = textwrap.wrap(value, WIDTH - 15, break_long_words=False, break_on_hyphens=False)
    yield from (f"        {quoted(piece if piece is pieces[-1] else f'{piece} ')}" for piece in pieces)
    yield "    ),"


def text() -> str:
    """The module as it should be."""
    lines = [
        '"""What completions offer of flags, keywords and algorithms, as text that loads at once.',
        "",
        "Written by scripts/completion_tables.py from the tables themselves: change those, and run it.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "# fmt: off",
        "FLAGS: dict[str, tuple[str, str]] = {",
    ]
    for name, (argument, told) in flags().items():
        row = f"    {quoted(name)}: ({quoted(argument)}, {quoted(told)}),"
        broken = [f"    {quoted(name)}: (", f"        {quoted(argument)},", f"        {quoted(told)},", "    ),"]
        lines += [row] if len(row) <= WIDTH else broken
    lines += ["}", '"""Every flag: the name of its argument, empty for none, and what it is for."""', ""]
    rows = {row.name: values(row) for row in KEYWORDS.values()}
    meaning = "Every keyword in the manual's spelling: the words it takes; what is to be found, in angle brackets."
    lines += _assigned("KEYWORDS", "str", rows, meaning)
    aliases = {alias: KEYWORDS[keyword].name for alias, keyword in ALIASES.items()}
    lines += _assigned("ALIASES", "str", aliases, "Other names that are taken for a keyword, in lower case.")
    lines += _assigned("LISTS", "str", _lists(), "What stands in lists with commas.")
    defaults = {name: " ".join(sorted(kind.default)) for name, kind in _LISTS.items()}
    lines += _assigned("DEFAULTS", "str", defaults, "Those of them that a list has when nothing is said.")
    words = {
        "control": " ".join(CONTROL_COMMANDS),
        "query": " ".join([*QUERIES, "help", *(KEYWORDS[name].name for name in ALGORITHM_LISTS)]),
    }
    lines += _assigned("WORDS", "str", words, "What -O and -Q take.")
    return "\n".join(lines)


if __name__ == "__main__":
    TARGET.write_text(text())
