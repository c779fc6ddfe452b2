"""Parsers for arguments with a grammar of their own: agents, masks, devices, domains, service classes.

Values keep the words they were given wherever what acts on them reads them again; `values` has the common kinds.
"""

from __future__ import annotations

from pyssh_cli.config.values import (
    BOOLEAN,
    INT_MAX,
    BadValue,
    FatalValue,
    Line,
    c_number,
    decimal,
    expand_environment,
    port_number,
    seconds,
    some,
)

_DSCP: dict[str, int | None] = {
    "none": None,
    **{f"af{row}{column}": row << 5 | column << 3 for row in range(1, 5) for column in range(1, 4)},
    **{f"cs{number}": number << 5 for number in range(8)},
    "ef": 0xB8, "le": 0x04, "va": 0xB0,
}  # fmt: skip
"""The differentiated services field for each name that IPQoS takes (RFC 2474, 2597, 3246, 5865, 8622)."""
_OLD_SERVICES = frozenset(("lowdelay", "throughput", "reliability"))


def add_keys_to_agent(line: Line) -> tuple[str, int | None]:
    """AddKeysToAgent: yes, no, ask, confirm, or a life time; `confirm` may have a life time behind it."""
    word = line.required("missing argument.")
    following = line.next()
    mode = word.lower()
    if mode in BOOLEAN:
        mode = "yes" if BOOLEAN[mode] else "no"
    if mode == "confirm" and following is not None:
        lifetime = seconds(following)
        if lifetime is None:
            raise BadValue("invalid time value.")
        return mode, lifetime or None
    if following is not None:
        raise BadValue("unsupported option")
    if mode in {"yes", "no", "ask", "confirm"}:
        return mode, None
    lifetime = seconds(word)
    if lifetime is None:
        raise BadValue("unsupported option")
    return "yes", lifetime or None


def control_persist(line: Line) -> tuple[bool, int]:
    """ControlPersist: whether the master stays, and for how many idle seconds (0: without end)."""
    word = line.required("Missing ControlPersist argument.")
    if word in BOOLEAN:
        return BOOLEAN[word], 0
    value = seconds(word)
    if value is None:
        raise BadValue("Bad ControlPersist argument.")
    return True, value


def mask(line: Line) -> int:
    """StreamLocalBindMask: an octal number of 0 to 0777."""
    number = c_number(line.required("Missing StreamLocalBindMask argument."), 8)
    if number is None or not 0 <= number[0] <= 0o777:
        raise BadValue("Bad mask.")
    return number[0]


def tunnel_device(line: Line) -> tuple[int | None, int | None]:
    """TunnelDevice: LOCAL[:REMOTE]."""
    try:
        return device_pair(line.required())
    except ValueError:
        raise BadValue("Bad tun device.") from None


def device_pair(word: str) -> tuple[int | None, int | None]:
    """LOCAL[:REMOTE] of TunnelDevice and -w, each a number or `any`, which is None. ValueError for neither."""
    local, colon, remote = word.partition(":")
    return _device(local), _device(remote) if colon else None


def _device(word: str) -> int | None:
    if word.lower() == "any":
        return None
    try:
        number = decimal(word)
    except BadValue:
        raise ValueError(word) from None
    if number > INT_MAX - 2:
        raise ValueError(word)
    return number


def shown_devices(pair: tuple[int | None, int | None]) -> str:
    """What -G prints for TunnelDevice."""
    return ":".join("any" if device is None else str(device) for device in pair)


def ip_qos(line: Line) -> tuple[int | None, int | None]:
    """IPQoS: the differentiated services field of all sessions, or of interactive and of other ones.

    None leaves the system's; so do the names of before RFC 2474, which are taken with a note.
    """
    interactive = _service(line, line.next() or "")
    return interactive, _service(line, line.next() or "") if line.has_more() else interactive


def _service(line: Line, word: str) -> int | None:
    name = word.lower()
    if name in _DSCP:
        return _DSCP[name]
    if name in _OLD_SERVICES:
        line.notes.append(f'Deprecated IPQoS value "{word}" ignored, use DSCP values')
        return None
    number = c_number(word, 0)
    if number is None or number[1] or not 0 <= number[0] <= 255:
        raise BadValue(f"Bad IPQoS value: {word}")
    return number[0]


def shown_services(pair: tuple[int | None, int | None]) -> str:
    """What -G prints for IPQoS."""
    names = {value: name for name, value in _DSCP.items()}
    return " ".join(names.get(value, "none" if value is None else f"0x{value:02x}") for value in pair)


def domain(name: str) -> str:
    """`name` without the dot of a full name at its end; ValueError, with ssh's words, when it is no domain."""
    if not name:
        raise ValueError("empty domain name")
    if not (name[0].isascii() and name[0].isalnum()):
        raise ValueError(f'domain name "{name}" starts with invalid character')
    last = ""
    for char in name:
        if not (char.isascii() and (char.isalnum() or char in "-_.")):
            raise ValueError(f'domain name "{name}" contains invalid characters')
        if char == last == ".":
            raise ValueError(f'domain name "{name}" contains consecutive separators')
        last = char
    return name.removesuffix(".")


def domains(line: Line) -> tuple[str, ...]:
    """CanonicalDomains: suffixes of host names in lower case, or `none` alone."""
    try:
        return tuple(domain(name).lower() for name in some(line))
    except ValueError as problem:
        raise BadValue(str(problem)) from None


def permitted_cnames(line: Line) -> tuple[str, ...]:
    """CanonicalizePermittedCNAMEs: SOURCE-LIST:TARGET-LIST pairs, `*` for all, or `none` alone."""
    rules = [rule.lower() for rule in line.rest()]
    if not rules:
        raise FatalValue(f"no {line.keyword} specified")
    for rule in rules:
        if rule == "none" and len(rules) > 1:
            raise BadValue(f'keyword {line.keyword} "none" argument must appear alone.')
        if rule not in {"none", "*"} and not rule.partition(":")[2]:
            raise BadValue(f'Invalid permitted CNAME "{rule}"')
    return tuple("*:*" if rule == "*" else rule for rule in rules)


def permit_remote_open(line: Line) -> tuple[str, ...]:
    """PermitRemoteOpen: HOST:PORT pairs, or `any` or `none` alone. A host with colons stands in brackets."""
    places = line.rest()
    if not places:
        raise FatalValue(f"missing {line.keyword} specification")
    for place in places:
        if place.lower() in {"any", "none"}:
            if len(places) > 1:
                raise BadValue(f'keyword {line.keyword} "{place}" argument must appear alone.')
            return (place,)
        host, closed, rest = place.partition("]") if place.startswith("[") else (place.partition(":")[0], "", "")
        if (place.startswith("[") and (not closed or rest[:1] not in {"", ":"})) or "/" in host:
            raise FatalValue(f"missing host in {line.keyword}")
        number = place[len(host) + len(closed) + 1 :]
        if number != "*" and port_number(number) is None:
            raise FatalValue(f"bad port number in {line.keyword}")
    return tuple(places)


def identity_agent(line: Line) -> str:
    """IdentityAgent: a socket's path, `none`, SSH_AUTH_SOCK or $NAME; ${NAME} in it has to be set."""
    return _socket(line.required())


def forward_agent(line: Line) -> str:
    """ForwardAgent: yes, no, a socket's path, or $NAME."""
    word = line.required("missing argument.")
    if word.lower() in BOOLEAN:
        return "yes" if BOOLEAN[word.lower()] else "no"
    return _socket(word)


def _socket(word: str) -> str:
    try:
        expand_environment(word)
    except ValueError:
        raise BadValue(f"Invalid environment expansion {word}.") from None
    if word[0] == "$" and not word.startswith("${"):
        name = word[1:]
        if not (name.isascii() and name.replace("_", "a").isalnum()):
            raise BadValue(f"Invalid environment name {word}.")
    return word


def channel_timeout(line: Line) -> tuple[str, ...]:
    """ChannelTimeout: TYPE=INTERVAL pairs, where a type may hold wildcards, or `none` alone, which is no pair."""
    rules = some(line)
    if rules[0].lower() == "none":
        return ()
    for rule in rules:
        kind, _, interval = rule.partition("=")
        if not kind or seconds(interval) is None:
            raise FatalValue(f"invalid channel timeout {rule}")
    return tuple(rules)


def timeouts(rules: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """The pairs of ChannelTimeout as patterns of channel types and seconds."""
    return tuple((kind, seconds(interval) or 0) for kind, _, interval in (rule.partition("=") for rule in rules))


MAX_KEYSTROKE_INTERVAL = 1000
KEYSTROKE_INTERVAL = 20


def keystroke_timing(line: Line) -> int:
    """ObscureKeystrokeTiming: milliseconds between ticks, 0 for `no`. Words are yes, no and interval:NUMBER."""
    if not line.has_more():
        raise BadValue("missing argument")
    word = line.next() or ""
    name, colon, number = word.partition(":")
    if word in BOOLEAN:
        interval = KEYSTROKE_INTERVAL if BOOLEAN[word] else 0
    elif name == "interval" and colon:
        if not number:
            raise BadValue("integer value missing.")
        interval = decimal(number)
        if not 0 < interval <= MAX_KEYSTROKE_INTERVAL:
            raise BadValue("value out of range.")
    else:
        raise BadValue(f'unsupported argument "{word}"')
    if line.has_more():
        raise BadValue("invalid arguments")
    return interval


def version_addendum(line: Line) -> str | None:
    """VersionAddendum: the rest of the line as it stands, up to a `#`; None for `none`."""
    line.rest()
    text = line.text.partition("#")[0].strip(" \t\r\n")
    if "\r" in text:
        raise FatalValue(f"Invalid {line.keyword} argument")
    return None if not text or text.lower() == "none" else text


_GSS_KEX = ("gex-sha1", "group1-sha1", "group14-sha1", "group14-sha256", "group16-sha512", "nistp256-sha256",
            "curve25519-sha256")  # fmt: skip


def gss_kex_algorithms(line: Line) -> str:
    """GSSAPIKexAlgorithms: families of key exchanges (RFC 4462, RFC 8732), each with a `-` at the end."""
    value = line.required()
    for name in value.split(","):
        if not name:
            break
        if not name.startswith(tuple(f"gss-{family}-" for family in _GSS_KEX)):
            raise BadValue(f"Bad GSSAPI KexAlgorithms '{value}'.")
    return value
