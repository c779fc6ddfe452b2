"""The keyword table: every keyword of ssh_config(5), how its arguments are read, and what holds when it is absent.

Reading files, -o, -G and the resolved `Options` all go by this table. What a keyword does is not here; whether
pyssh does it yet is, in `care`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from pyssh_cli.config import grammars, values
from pyssh_cli.config.algorithms import CIPHER, KEX_METHOD, KEY_ALGORITHM, MAC, AlgorithmKind
from pyssh_cli.config.values import Parser, choice, flag
from pyssh_cli.log import INFO, LOG_LEVELS, QUIET

Care = Literal["done", "note", "warn", "refuse"]


class Keyword(NamedTuple):
    """One row.

    `name` is the manual's spelling; `field` the field of Options that takes the value as it is, or empty where
    `resolve` has more to do. `default` is the value when nothing gives one. `adds` tells that each occurrence
    appends to a list instead of the first one winning. `show` prints a value for -G. `care` is what happens
    when a value other than the default reaches a connection: "done" is acted on; "note" is not yet, and a
    debug line says so; "warn" says it aloud; "refuse" ends, because to go on would connect elsewhere or leave
    the person less safe than the file asks for.
    """

    name: str
    parse: Parser
    default: Any = None
    field: str = ""
    adds: bool = False
    show: Callable[[Any], str] | None = None
    care: Care = "note"


def true_false(value: Any) -> str:
    """How -G prints the multiple-choice keywords that have `true` for yes."""
    return {True: "true", False: "false", "yes": "true", "no": "false"}.get(value, str(value))


def _shown_seconds(value: int | None) -> str:
    return "none" if value is None else str(value)


def _shown_escape(value: int | None) -> str:
    if value is None:
        return "none"
    return f"\\^{chr(value | 64)}" if value < 32 else chr(value) if value < 127 else f"\\{value:03o}"


def _shown_lifetime(value: tuple[str, int | None]) -> str:
    mode, lifetime = value
    return true_false(mode) if lifetime is None else f"{true_false(mode)} {lifetime}".removeprefix("true ")


def _shown_persist(value: tuple[bool, int]) -> str:
    stays, idle = value
    return str(idle) if idle else "yes" if stays else "no"


def _shown_level(value: int) -> str:
    return next(name.upper() for name, rank in _LEVELS.items() if rank == value)


def _shown_hash(value: str) -> str:
    return value.upper()


_CHECKING = {"yes": "yes", "true": "yes", "no": "no", "false": "no", "off": "no", "ask": "ask",
             "accept-new": "accept-new"}  # fmt: skip
_TTY = {"yes": "yes", "true": "yes", "no": "no", "false": "no", "force": "force", "auto": "auto"}
_SESSION = {"none": "none", "subsystem": "subsystem", "default": "default"}
_FAMILY = {"inet": "inet", "inet6": "inet6", "any": "any"}
_COMPRESSION = {"yes": True, "no": False}
_PUBKEY = {**values.BOOLEAN, "unbound": "unbound", "host-bound": "host-bound"}
_CANONICALIZE = {"true": "yes", "false": "no", "yes": "yes", "no": "no", "always": "always"}
_MASTER = {**values.YES_NO_ASK, "auto": "auto", "autoask": "autoask"}
_TUNNEL = {"ethernet": "ethernet", "point-to-point": "point-to-point", "true": "point-to-point",
           "yes": "point-to-point", "false": "no", "no": "no"}  # fmt: skip
_HASHES = {name: name for name in ("sha256", "md5", "sha1", "sha384", "sha512")}
_FACILITIES = {
    name.lower(): name
    for name in ("DAEMON", "USER", "AUTH", "AUTHPRIV", *(f"LOCAL{number}" for number in range(8)))
}
_LEVELS = {"silent": QUIET, **{name.lower(): rank for name, rank in LOG_LEVELS.items()}}
_WEAK = {**values.BOOLEAN, "no-pq-kex": "no-pq-kex"}


def _list(kind: AlgorithmKind) -> Parser:
    return values.algorithms(kind)


_ROWS = (
    Keyword("AddKeysToAgent", grammars.add_keys_to_agent, ("no", None), show=_shown_lifetime),
    Keyword("AddressFamily", choice(_FAMILY), "any", "address_family", care="done"),
    Keyword("BatchMode", flag, False, "batch_mode", care="done"),
    Keyword("BindAddress", values.text, None, "bind_address", care="done"),
    Keyword("BindInterface", values.text, None, "bind_interface", care="done"),
    Keyword("CanonicalDomains", grammars.domains, ("none",), care="done"),
    Keyword("CanonicalizeFallbackLocal", flag, True, care="done"),
    Keyword("CanonicalizeHostname", choice(_CANONICALIZE), "no", show=true_false, care="refuse"),
    Keyword("CanonicalizeMaxDots", values.integer, 1, care="done"),
    Keyword("CanonicalizePermittedCNAMEs", grammars.permitted_cnames, ("none",), care="done"),
    Keyword("CASignatureAlgorithms", _list(KEY_ALGORITHM)),
    Keyword("CertificateFile", values.text, (), adds=True),
    Keyword("ChannelTimeout", values.words),
    Keyword("CheckHostIP", flag, False),
    Keyword("Ciphers", _list(CIPHER), care="done"),
    Keyword("ClearAllForwardings", flag, False, care="done"),
    Keyword("Compression", choice(_COMPRESSION), False, "compression", care="done"),
    Keyword("ConnectionAttempts", values.integer, 1, "connection_attempts", care="done"),
    Keyword("ConnectTimeout", values.time, None, "connect_timeout", show=_shown_seconds, care="done"),
    Keyword("ControlMaster", choice(_MASTER), "no", show=true_false),
    Keyword("ControlPath", values.text),
    Keyword("ControlPersist", grammars.control_persist, (False, 0), show=_shown_persist),
    Keyword("DynamicForward", grammars.dynamic_forward, (), adds=True, care="warn"),
    Keyword("EnableEscapeCommandline", flag, False),
    Keyword("EnableSSHKeysign", flag, False),
    Keyword("EscapeChar", values.escape_char, ord("~"), "escape_char", show=_shown_escape, care="done"),
    Keyword("ExitOnForwardFailure", flag, False, care="done"),
    Keyword("FingerprintHash", values.named(_HASHES, 'Invalid hash algorithm "{}".'), "sha256",
            show=_shown_hash, care="done"),
    Keyword("ForkAfterAuthentication", flag, False, care="refuse"),
    Keyword("ForwardAgent", grammars.forward_agent, "no"),
    Keyword("ForwardX11", flag, False),
    Keyword("ForwardX11Timeout", values.time, 1200, show=_shown_seconds),
    Keyword("ForwardX11Trusted", flag, True),
    Keyword("GatewayPorts", flag, False),
    Keyword("GlobalKnownHostsFile", values.files,
            ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"), care="done"),
    Keyword("GSSAPIAuthentication", flag, False),
    Keyword("GSSAPIClientIdentity", values.text),
    Keyword("GSSAPIDelegateCredentials", flag, False),
    Keyword("GSSAPIKexAlgorithms", values.text),
    Keyword("GSSAPIKeyExchange", flag, False),
    Keyword("GSSAPIRenewalForcesRekey", flag, False),
    Keyword("GSSAPIServerIdentity", values.text),
    Keyword("GSSAPITrustDns", flag, False),
    Keyword("HashKnownHosts", flag, False, "hash_known_hosts", care="done"),
    Keyword("HostbasedAcceptedAlgorithms", _list(KEY_ALGORITHM)),
    Keyword("HostbasedAuthentication", flag, False),
    Keyword("HostKeyAlgorithms", _list(KEY_ALGORITHM), care="done"),
    Keyword("HostKeyAlias", values.lower_text, None, "host_key_alias", care="done"),
    Keyword("Hostname", values.text, care="done"),
    Keyword("IdentitiesOnly", flag, False, "identities_only", care="done"),
    Keyword("IdentityAgent", grammars.identity_agent, care="done"),
    Keyword("IdentityFile", values.text, (), adds=True, care="done"),
    Keyword("IgnoreUnknown", values.text, care="done"),
    Keyword("IPQoS", grammars.ip_qos, ("ef", "none"), show=" ".join),
    Keyword("KbdInteractiveAuthentication", flag, True, "kbd_interactive_authentication", care="done"),
    Keyword("KbdInteractiveDevices", values.text),
    Keyword("KexAlgorithms", _list(KEX_METHOD), care="done"),
    Keyword("KnownHostsCommand", values.command),
    Keyword("LocalCommand", values.command, care="done"),
    Keyword("LocalForward", grammars.forward, (), adds=True, care="warn"),
    Keyword("LogLevel", values.named(_LEVELS,
            "unsupported log level '{}'"), INFO, "log_level", show=_shown_level, care="done"),
    Keyword("LogVerbose", values.words, ("none",)),
    Keyword("MACs", _list(MAC), care="done"),
    Keyword("NoHostAuthenticationForLocalhost", flag, False),
    Keyword("NumberOfPasswordPrompts", values.integer, 3, "number_of_password_prompts", care="done"),
    Keyword("ObscureKeystrokeTiming", values.text),
    Keyword("PasswordAuthentication", flag, True, "password_authentication", care="done"),
    Keyword("PermitLocalCommand", flag, False, care="warn"),
    Keyword("PermitRemoteOpen", grammars.permit_remote_open, ("any",)),
    Keyword("PKCS11Provider", values.text),
    Keyword("Port", values.port, 22, "port", care="done"),
    Keyword("PreferredAuthentications", values.text, care="done"),
    Keyword("ProxyCommand", values.command, care="refuse"),
    Keyword("ProxyJump", grammars.proxy_jump, care="refuse"),
    Keyword("ProxyUseFdpass", flag, False),
    Keyword("PubkeyAcceptedAlgorithms", _list(KEY_ALGORITHM), care="done"),
    Keyword("PubkeyAuthentication", choice(_PUBKEY), True, show=true_false, care="done"),
    Keyword("RefuseConnection", values.text, care="done"),
    Keyword("RekeyLimit", values.rekey_limit, (0, 0), "rekey_limit", care="done",
            show=lambda limit: f"{limit[0]} {limit[1]}"),
    Keyword("RemoteCommand", values.command, care="done"),
    Keyword("RemoteForward", grammars.forward, (), adds=True, care="warn"),
    Keyword("RequestTTY", choice(_TTY), "auto", "request_tty", show=true_false, care="done"),
    Keyword("RequiredRSASize", values.integer, 1024, "required_rsa_size", care="done"),
    Keyword("RevokedHostKeys", values.files, care="refuse"),
    Keyword("SecurityKeyProvider", values.text, "internal"),
    Keyword("SendEnv", values.send_env, (), adds=True, care="done"),
    Keyword("ServerAliveCountMax", values.integer, 3, "server_alive_count_max", care="done"),
    Keyword("ServerAliveInterval", values.time, 0, care="done", show=lambda value: str(value or 0)),
    Keyword("SessionType", choice(_SESSION), "default", "session_type", care="done"),
    Keyword("SetEnv", values.set_env, (), "set_env", care="done"),
    Keyword("StdinNull", flag, False, "stdin_null", care="done"),
    Keyword("StreamLocalBindMask", grammars.mask, 0o177, show=lambda mask: f"0{mask:o}"),
    Keyword("StreamLocalBindUnlink", flag, False),
    Keyword("StrictHostKeyChecking", choice(_CHECKING), "ask", "strict_host_key_checking",
            show=true_false, care="done"),
    Keyword("SyslogFacility", values.named(_FACILITIES, "unsupported log facility '{}'"), "USER"),
    Keyword("Tag", values.text, care="done"),
    Keyword("TCPKeepAlive", flag, True, "tcp_keep_alive", care="done"),
    Keyword("Tunnel", choice(_TUNNEL), "no", show=true_false, care="warn"),
    Keyword("TunnelDevice", grammars.tunnel_device, "any:any"),
    Keyword("UpdateHostKeys", choice(values.YES_NO_ASK), "yes", show=true_false),
    Keyword("User", values.text, care="done"),
    Keyword("UserKnownHostsFile", values.files, ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"), care="done"),
    Keyword("VerifyHostKeyDNS", choice(values.YES_NO_ASK), "no", show=true_false),
    Keyword("VersionAddendum", values.command),
    Keyword("VisualHostKey", flag, False),
    Keyword("WarnWeakCrypto", choice(_WEAK)),
    Keyword("XAuthLocation", values.text, "/usr/bin/xauth"),
)  # fmt: skip

KEYWORDS: dict[str, Keyword] = {row.name.lower(): row for row in _ROWS}
"""Every keyword that has a value, by its name in lower case. Host, Match and Include steer the reading itself."""

ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "tisauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
    "identityfile2": "identityfile",
    "keepalive": "tcpkeepalive",
    "protocolkeepalives": "serveraliveinterval",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "setuptimeout": "connecttimeout",
    "smartcarddevice": "pkcs11provider",
}
"""Other names that ssh takes for a keyword."""

IGNORED = {"protocol"}
"""Accepted without a word."""

DEPRECATED = {"cipher", "fallbacktorsh", "globalknownhostsfile2", "rhostsauthentication", "useblacklistedkeys",
              "userknownhostsfile2", "useroaming", "usersh", "useprivilegedport"}  # fmt: skip
"""Accepted with a debug line."""

UNSUPPORTED = {"afstokenpassing", "compressionlevel", "kerberosauthentication", "kerberostgtpassing",
               "rhostsrsaauthentication", "rsaauthentication"}  # fmt: skip
"""Accepted with a warning: they belong to protocol version 1 and are gone."""
