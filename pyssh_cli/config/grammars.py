"""Parsers for arguments with a grammar of their own: agents, masks, devices, domains, forwards.

Values keep the words they were given wherever what acts on them reads them again; `values` has the common kinds.
"""

from __future__ import annotations

import os

from pyssh_cli.config.values import BOOLEAN, BadValue, Line, decimal, seconds

DSCP = (
    *(f"af{row}{column}" for row in range(1, 5) for column in range(1, 4)),
    *(f"cs{number}" for number in range(8)),
    "ef", "le", "none", "lowdelay", "throughput", "reliability",
)  # fmt: skip
"""Names that IPQoS takes; the last three are accepted for old files."""


def add_keys_to_agent(line: Line) -> tuple[str, int | None]:
    """AddKeysToAgent: yes, no, ask, confirm, or a life time; `confirm` may have a life time behind it."""
    word = line.next() or ""
    lifetime = seconds(word)
    if lifetime is not None:
        return "yes", lifetime
    mode = word.lower()
    if mode in BOOLEAN:
        mode = "yes" if BOOLEAN[mode] else "no"
    if mode not in {"yes", "no", "ask", "confirm"}:
        raise BadValue("unsupported option")
    following = line.next()
    if following is None:
        return mode, None
    lifetime = seconds(following)
    if mode != "confirm" or lifetime is None:
        raise BadValue("unsupported option")
    return mode, lifetime


def control_persist(line: Line) -> tuple[bool, int]:
    """ControlPersist: whether the master stays, and for how many idle seconds (0: without end)."""
    word = line.required("Missing ControlPersist argument.")
    if word.lower() in BOOLEAN:
        return BOOLEAN[word.lower()], 0
    value = seconds(word)
    if value is None:
        raise BadValue("Bad ControlPersist argument.")
    return True, value


def mask(line: Line) -> int:
    """StreamLocalBindMask: an octal number of 0 to 0777."""
    word = line.required("Missing StreamLocalBindMask argument.")
    try:
        value = int(word, 8)
    except ValueError:
        raise BadValue("Bad mask.") from None
    if not 0 <= value <= 0o777:
        raise BadValue("Bad mask.")
    return value


def tunnel_device(line: Line) -> str:
    """TunnelDevice: LOCAL[:REMOTE], each a number or `any`."""
    word = line.required()
    local, colon, remote = word.partition(":")
    for unit in (local, remote) if colon else (local,):
        if unit != "any" and not (unit.isascii() and unit.isdigit()):
            raise BadValue("Bad tun device.")
    return f"{local}:{remote or 'any'}"


def ip_qos(line: Line) -> tuple[str, str]:
    """IPQoS: one class for all traffic, or one for interactive and one for other sessions."""
    first = line.next() or ""
    second = line.next()
    for word in (first, first if second is None else second):
        known = word.lower() in DSCP
        if not known:
            try:
                known = int(word, 0) in range(256)
            except ValueError:
                pass
        if not known:
            raise BadValue(f"Bad IPQoS value: {word}")
    return first.lower(), (second or first).lower()


def domains(line: Line) -> tuple[str, ...]:
    """CanonicalDomains: suffixes of host names, or `none` alone."""
    names = line.rest()
    for name in names:
        if not name:
            raise BadValue(f"keyword {line.keyword} empty argument")
        if name.lower() == "none":
            if len(names) > 1:
                raise BadValue(f'keyword {line.keyword} "none" argument must appear alone.')
            continue
        if not (name[0].isalnum() and name.isascii()):
            raise BadValue(f'domain name "{name}" starts with invalid character')
        if not all(char.isalnum() or char in "-_." for char in name):
            raise BadValue(f'domain name "{name}" contains invalid characters')
        if ".." in name:
            raise BadValue(f'domain name "{name}" contains consecutive separators')
    return tuple(names)


def permitted_cnames(line: Line) -> tuple[str, ...]:
    """CanonicalizePermittedCNAMEs: SOURCE-LIST:TARGET-LIST pairs, or `none` or `*` alone."""
    rules = line.rest()
    for rule in rules:
        if rule.lower() == "none" or rule == "*":
            if len(rules) > 1:
                raise BadValue(f'keyword {line.keyword} "{rule}" argument must appear alone.')
            continue
        source, _, target = rule.partition(":")
        if not source or not target:
            raise BadValue(f'Invalid permitted CNAME "{rule}"')
    return tuple(rules)


def permit_remote_open(line: Line) -> tuple[str, ...]:
    """PermitRemoteOpen: HOST:PORT pairs, or `any` or `none` alone."""
    places = line.rest()
    if places and places[0].lower() in {"any", "none"}:
        if len(places) > 1:
            raise BadValue(f'keyword {line.keyword} "{places[0]}" argument must appear alone.')
        return (places[0].lower(),)
    for place in places:
        host, _, number = place.rpartition(":")
        try:
            valid = number == "*" or 0 < decimal(number) < 65536
        except BadValue:
            valid = False
        if not valid:
            raise BadValue(f"bad port number in {line.keyword}")
        if not host:
            raise BadValue(f"missing host in {line.keyword}")
    return tuple(places)


def identity_agent(line: Line) -> str:
    """IdentityAgent: a socket's path, `none`, SSH_AUTH_SOCK or $NAME; ${NAME} in it has to be set."""
    word = line.required()
    rest = word
    while "${" in rest:
        name, closed, rest = rest.partition("${")[2].partition("}")
        if not closed or name not in os.environ:
            raise BadValue(f"Invalid environment expansion {word}.")
    if word[0] == "$" and not word.startswith("${") and not _is_variable_name(word[1:]):
        raise BadValue(f"Invalid environment name {word}.")
    return word


def _is_variable_name(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("_", "a").isalnum()


def proxy_jump(line: Line) -> str:
    """ProxyJump: hops between commas, or `none`."""
    value = line.required()
    line.rest()
    if value.lower() == "none":
        return "none"
    for hop in value.split(","):
        if not hop.removeprefix("ssh://").rpartition("@")[2] or hop.startswith("-"):
            raise BadValue(f'Invalid ProxyJump "{value}"')
    return value


def forward_agent(line: Line) -> str:
    """ForwardAgent: yes, no, a socket's path, or $NAME."""
    word = line.required()
    return "yes" if word.lower() in {"yes", "true"} else "no" if word.lower() in {"no", "false"} else word


def forward(line: Line) -> tuple[str, ...]:
    """LocalForward and RemoteForward: where to listen, and the target; RemoteForward may leave the target out."""
    listen = line.required()
    target = line.next()
    if target is None:
        if line.keyword == "localforward" and "/" not in listen:
            raise BadValue("Missing target argument.")
        return (listen,)
    if not target or line.next() is not None or not (_is_place(listen) and _is_place(target)):
        raise BadValue("Bad forwarding specification.")
    return listen, target


def dynamic_forward(line: Line) -> str:
    """DynamicForward: [ADDRESS:]PORT."""
    word = line.required()
    if not _is_place(word):
        raise BadValue("Bad forwarding specification.")
    return word


def _is_place(word: str) -> bool:
    """Whether a word of a forward names a socket's path, or ends in a port."""
    if "/" in word and not word.rpartition("/")[2].isdigit():
        return True
    try:
        return decimal(word.replace("/", ":").rpartition(":")[2]) < 65536
    except BadValue:
        return False
