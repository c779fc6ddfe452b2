"""The keyword table: every keyword of ssh_config(5), how its arguments are read, and what holds when it is absent.

Reading files, -o, -G and the resolved `Options` all go by this table. What a keyword does is not here; whether
pyssh does it yet is, in `care`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from pyssh_cli.config import forwards, grammars, jumps, proxies, values
from pyssh_cli.config.algorithms import (
    CA_ALGORITHM,
    CIPHER,
    KEX_METHOD,
    KEY_ALGORITHM,
    MAC,
    USER_KEY_ALGORITHM,
    AlgorithmKind,
)
from pyssh_cli.config.values import UNSET, Parser, choice, flag
from pyssh_cli.log import INFO, LOG_LEVELS, QUIET

Care = Literal["done", "note", "warn", "refuse"]


class Keyword(NamedTuple):
    """One row.

    `name` is the manual's spelling, `aliases` other names that ssh takes for it, in lower case. `field` is the
    field of Options that takes the value as it is, or empty where `resolve` has more to do. `default` is the value
    when nothing gives one (see `settled`). `adds` tells that each occurrence appends to a list instead of the
    first one winning. `show` prints a value for -G. `care` is what happens when a value other than the default
    reaches a connection: "done" is acted on; "note" is not yet, and a debug line says so; "warn" says it aloud;
    "refuse" ends, because to go on would connect elsewhere or leave the person less safe than the file asks for.
    """

    name: str
    parse: Parser
    default: Any = None
    field: str = ""
    adds: bool = False
    show: Callable[[Any], str] | None = None
    care: Care = "note"
    aliases: tuple[str, ...] = ()


def true_false(value: Any) -> str:
    """How -G prints the multiple-choice keywords that have `true` for yes."""
    return {True: "true", False: "false", "yes": "true", "no": "false"}.get(value, str(value))


def _shown_time(value: int | None) -> str:
    return "none" if value is None else str(value)


def _shown_escape(value: int | None) -> str:
    """The byte as vis(3) writes it, white space too."""
    if value is None:
        return "none"
    if value == ord("\\"):
        return "\\\\"
    if 32 < value < 127:
        return chr(value)
    low = value & 127
    if low == 32:
        return f"\\{value:03o}"
    shown = f"^{chr(low ^ 64)}" if low < 32 or low == 127 else f"-{chr(low)}"
    return f"\\{'M' if value > 127 else ''}{shown}"


def _shown_lifetime(value: tuple[str, int | None]) -> str:
    mode, lifetime = value
    return true_false(mode) if lifetime is None else f"{true_false(mode)} {lifetime}".removeprefix("true ")


def _shown_persist(value: tuple[bool, int]) -> str:
    stays, idle = value
    return str(idle) if stays and idle else "yes" if stays else "no"


def _shown_level(value: int) -> str:
    return next(name.upper() for name, rank in _LEVELS.items() if rank == value)


def _shown_hash(value: str) -> str:
    return value.upper()


def _shown_list(value: tuple[str, ...]) -> str:
    return " ".join(value) or "none"


def _shown_words(value: tuple[str, ...]) -> str:
    return " ".join(value)


def _shown_keystrokes(value: int) -> str:
    return {0: "no", grammars.KEYSTROKE_INTERVAL: "yes"}.get(value, str(value))


def _shown_weak(value: str) -> str:
    return "yes" if value == "yes" else "no"


def _first_word(line: values.Line) -> tuple[str, ...]:
    """LogVerbose: a pattern list, or `none`; more of them are looked at and left out, as by ssh."""
    return tuple(word for word in values.any_words(line)[:1] if word.lower() != "none")


def _files_or_none(line: values.Line) -> tuple[str, ...]:
    """File names, or `none`, which is no file."""
    if not line.has_more():
        raise values.BadValue("Missing argument.")
    files = values.files(line)
    return () if files[0].lower() == "none" else files


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
_FACILITIES = {
    name.lower(): name
    for name in ("DAEMON", "USER", "AUTH", "AUTHPRIV", *(f"LOCAL{number}" for number in range(8)))
}
_LEVELS = {"silent": QUIET, **{name.lower(): rank for name, rank in LOG_LEVELS.items()}}
_WEAK = {"true": "yes", "false": "no", "yes": "yes", "no": "no", "no-pq-kex": "no-pq-kex"}


ALGORITHM_LISTS: dict[str, AlgorithmKind] = {
    "casignaturealgorithms": CA_ALGORITHM,
    "ciphers": CIPHER,
    "hostbasedacceptedalgorithms": KEY_ALGORITHM,
    "hostkeyalgorithms": KEY_ALGORITHM,
    "kexalgorithms": KEX_METHOD,
    "macs": MAC,
    "pubkeyacceptedalgorithms": USER_KEY_ALGORITHM,
}
"""The keywords whose value is a list of algorithms; what it comes to is `algorithms.assemble`'s to say."""


def _list(keyword: str) -> Parser:
    return values.algorithms(ALGORITHM_LISTS[keyword])


GSS_KEX_DEFAULT = (
    "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,"
    "gss-group14-sha1-,gss-gex-sha1-"
)

_ROWS = (
    Keyword("AddKeysToAgent", grammars.add_keys_to_agent, ("no", None), "add_keys_to_agent", show=_shown_lifetime,
            care="done"),
    Keyword("AddressFamily", choice(_FAMILY), "any", "address_family", care="done"),
    Keyword("BatchMode", flag, False, "batch_mode", care="done"),
    Keyword("BindAddress", values.text, None, "bind_address", care="done"),
    Keyword("BindInterface", values.text, None, "bind_interface", care="done"),
    Keyword("CanonicalDomains", grammars.domains, ("none",), care="done"),
    Keyword("CanonicalizeFallbackLocal", flag, True, care="done"),
    Keyword("CanonicalizeHostname", choice(_CANONICALIZE), "no", show=true_false, care="done"),
    Keyword("CanonicalizeMaxDots", values.integer, 1, care="done"),
    Keyword("CanonicalizePermittedCNAMEs", grammars.permitted_cnames, ("none",), care="done"),
    Keyword("CASignatureAlgorithms", _list("casignaturealgorithms"), care="done"),
    Keyword("CertificateFile", values.text, (), adds=True, care="done"),
    Keyword("ChannelTimeout", grammars.channel_timeout, (), show=_shown_list, care="done"),
    Keyword("CheckHostIP", flag, False, "check_host_ip", care="done"),
    Keyword("Ciphers", _list("ciphers"), care="done"),
    Keyword("ClearAllForwardings", flag, False, care="done"),
    Keyword("Compression", choice(_COMPRESSION), False, "compression", care="done"),
    Keyword("ConnectionAttempts", values.integer, 1, "connection_attempts", care="done"),
    Keyword("ConnectTimeout", values.time, None, "connect_timeout", show=_shown_time, care="done"),
    Keyword("ControlMaster", choice(_MASTER), "no", "control_master", show=true_false),
    Keyword("ControlPath", values.text_or_none),
    Keyword("ControlPersist", grammars.control_persist, (False, 0), "control_persist", show=_shown_persist),
    Keyword("DynamicForward", forwards.argument("dynamic"), (), adds=True, care="done"),
    Keyword("EnableEscapeCommandline", flag, False, "enable_escape_commandline", care="done"),
    Keyword("EnableSSHKeysign", flag, False, "enable_ssh_keysign", care="done"),
    Keyword("EscapeChar", values.escape_char, ord("~"), "escape_char", show=_shown_escape, care="done"),
    Keyword("ExitOnForwardFailure", flag, False, "exit_on_forward_failure", care="done"),
    Keyword("FingerprintHash", values.hash_name, "sha256", show=_shown_hash, care="done"),
    Keyword("ForkAfterAuthentication", flag, False, "fork_after_authentication", care="done"),
    Keyword("ForwardAgent", grammars.forward_agent, "no", care="done"),
    Keyword("ForwardX11", flag, False, "forward_x11", care="done"),
    Keyword("ForwardX11Timeout", values.time, 1200, "forward_x11_timeout", care="done"),
    Keyword("ForwardX11Trusted", flag, True, "forward_x11_trusted", care="done"),
    Keyword("GatewayPorts", flag, False, "gateway_ports", care="done"),
    Keyword("GlobalKnownHostsFile", values.files,
            ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"), care="done"),
    Keyword("GSSAPIAuthentication", flag, False, "gssapi_authentication", care="done"),
    Keyword("GSSAPIClientIdentity", values.text, None, "gssapi_client_identity", care="done"),
    Keyword("GSSAPIDelegateCredentials", flag, False, "gssapi_delegate_credentials", care="done"),
    Keyword("GSSAPIKexAlgorithms", grammars.gss_kex_algorithms, GSS_KEX_DEFAULT),
    Keyword("GSSAPIKeyExchange", flag, False),
    Keyword("GSSAPIRenewalForcesRekey", flag, False),
    Keyword("GSSAPIServerIdentity", values.text, None, "gssapi_server_identity", care="done"),
    Keyword("GSSAPITrustDns", flag, False, "gssapi_trust_dns", care="done"),
    Keyword("HashKnownHosts", flag, False, "hash_known_hosts", care="done"),
    Keyword("HostbasedAcceptedAlgorithms", _list("hostbasedacceptedalgorithms"), care="done",
            aliases=("hostbasedkeytypes",)),
    Keyword("HostbasedAuthentication", flag, False, "hostbased_authentication", care="done"),
    Keyword("HostKeyAlgorithms", _list("hostkeyalgorithms"), care="done"),
    Keyword("HostKeyAlias", values.lower_text, None, "host_key_alias", care="done"),
    Keyword("Hostname", values.text, care="done"),
    Keyword("IdentitiesOnly", flag, False, "identities_only", care="done"),
    Keyword("IdentityAgent", grammars.identity_agent, care="done"),
    Keyword("IdentityFile", values.text, (), adds=True, care="done", aliases=("identityfile2",)),
    Keyword("IgnoreUnknown", values.text, care="done"),
    Keyword("IPQoS", grammars.ip_qos, (0xB8, 0), "ip_qos", show=grammars.shown_services, care="done"),
    Keyword("KbdInteractiveAuthentication", flag, True, "kbd_interactive_authentication", care="done",
            aliases=("challengeresponseauthentication", "skeyauthentication", "tisauthentication")),
    Keyword("KbdInteractiveDevices", values.text, "", "kbd_interactive_devices", care="done"),
    Keyword("KexAlgorithms", _list("kexalgorithms"), care="done"),
    Keyword("KnownHostsCommand", values.command, None, "known_hosts_command", care="done"),
    Keyword("LocalCommand", values.command, None, "local_command", care="done"),
    Keyword("LocalForward", forwards.argument("local"), (), adds=True, care="done"),
    Keyword("LogLevel", values.named(_LEVELS,
            "unsupported log level '{}'"), INFO, "log_level", show=_shown_level, care="done"),
    Keyword("LogVerbose", _first_word, (), "log_verbose", show=_shown_list, care="done"),
    Keyword("MACs", _list("macs"), care="done"),
    Keyword("NoHostAuthenticationForLocalhost", flag, False, "no_host_authentication_for_localhost",
            care="done"),
    Keyword("NumberOfPasswordPrompts", values.integer, 3, "number_of_password_prompts", care="done"),
    Keyword("ObscureKeystrokeTiming", grammars.keystroke_timing, grammars.KEYSTROKE_INTERVAL,
            "obscure_keystroke_timing", show=_shown_keystrokes, care="done"),
    Keyword("PasswordAuthentication", flag, True, "password_authentication", care="done"),
    Keyword("PermitLocalCommand", flag, False, "permit_local_command", care="done"),
    Keyword("PermitRemoteOpen", grammars.permit_remote_open, ("any",), "permit_remote_open", care="done"),
    Keyword("PKCS11Provider", values.text_or_none, None, "pkcs11_provider", care="done",
            aliases=("smartcarddevice",)),
    Keyword("Port", values.port, 22, "port", care="done"),
    Keyword("PreferredAuthentications", values.text, care="done"),
    Keyword("Proxy", proxies.proxy, None, "proxy", show=proxies.shown, care="done"),  # ours; ssh has none
    Keyword("ProxyCommand", values.command, None, "proxy_command", care="done"),
    Keyword("ProxyJump", jumps.proxy_jump, None, "proxy_jump", show=jumps.shown, care="done"),
    Keyword("ProxyUseFdpass", flag, False, "proxy_use_fdpass", care="done"),
    Keyword("PubkeyAcceptedAlgorithms", _list("pubkeyacceptedalgorithms"), care="done",
            aliases=("pubkeyacceptedkeytypes",)),
    Keyword("PubkeyAuthentication", choice(_PUBKEY), True, show=true_false, care="done",
            aliases=("dsaauthentication",)),
    Keyword("RefuseConnection", values.text, care="done"),
    Keyword("RekeyLimit", values.rekey_limit, (0, 0), "rekey_limit", care="done",
            show=lambda limit: f"{limit[0]} {limit[1]}"),
    Keyword("RemoteCommand", values.command, care="done"),
    Keyword("RemoteForward", forwards.argument("remote"), (), adds=True, care="done"),
    Keyword("RequestTTY", choice(_TTY), "auto", "request_tty", show=true_false, care="done"),
    Keyword("RequiredRSASize", values.integer, 1024, "required_rsa_size", care="done"),
    Keyword("RevokedHostKeys", _files_or_none, (), show=_shown_words, care="done"),
    Keyword("SecurityKeyProvider", values.text_or_none, "internal", "security_key_provider", care="done"),
    Keyword("SendEnv", values.send_env, (), adds=True, care="done"),
    Keyword("ServerAliveCountMax", values.integer, 3, "server_alive_count_max", care="done"),
    Keyword("ServerAliveInterval", values.time, None, care="done",
            aliases=("protocolkeepalives", "setuptimeout")),
    Keyword("SessionRecord", values.text_or_none, care="done"),
    Keyword("SessionRecordInput", flag, False, "session_record_input", care="done"),
    Keyword("SessionType", choice(_SESSION), "default", "session_type", care="done"),
    Keyword("SetEnv", values.set_env, (), "set_env", care="done"),
    Keyword("StdinNull", flag, False, "stdin_null", care="done"),
    Keyword("StreamLocalBindMask", grammars.mask, 0o177, "stream_local_bind_mask",
            show=lambda mask: f"0{mask:o}", care="done"),
    Keyword("StreamLocalBindUnlink", flag, False, "stream_local_bind_unlink", care="done"),
    Keyword("StrictHostKeyChecking", choice(_CHECKING), "ask", "strict_host_key_checking",
            show=true_false, care="done"),
    Keyword("SyslogFacility", values.named(_FACILITIES, "unsupported log facility '{}'"), "USER",
            "syslog_facility", care="done"),
    Keyword("Tag", values.text, "", "tag", care="done"),
    Keyword("TCPKeepAlive", flag, True, "tcp_keep_alive", care="done", aliases=("keepalive",)),
    Keyword("Tunnel", choice(_TUNNEL), "no", "tunnel", show=true_false, care="done"),
    Keyword("TunnelDevice", grammars.tunnel_device, (None, None), "tunnel_device", show=grammars.shown_devices,
            care="done"),
    Keyword("UpdateHostKeys", choice(values.YES_NO_ASK), None, show=true_false, care="done"),
    Keyword("User", values.text, care="done"),
    Keyword("UserKnownHostsFile", values.files, ("~/.ssh/known_hosts", "~/.ssh/known_hosts2"), care="done"),
    Keyword("VerifyHostKeyDNS", choice(values.YES_NO_ASK), "no", "verify_host_key_dns", show=true_false,
            care="done"),
    Keyword("VersionAddendum", grammars.version_addendum),
    Keyword("VisualHostKey", flag, False, "visual_host_key", care="done"),
    Keyword("WarnWeakCrypto", choice(_WEAK), "yes", "warn_weak_crypto", show=_shown_weak, care="done"),
    Keyword("XAuthLocation", values.text, "/usr/bin/xauth", "xauth_location", care="done"),
)  # fmt: skip

KEYWORDS: dict[str, Keyword] = {row.name.lower(): row for row in _ROWS}
"""Every keyword that has a value, by its name in lower case. Host, Match and Include steer the reading itself."""

ALIASES = {alias: keyword for keyword, row in KEYWORDS.items() for alias in row.aliases}
"""Other names that ssh takes for a keyword."""

IGNORED = {"protocol"}
"""Accepted without a word."""

DEPRECATED = {"cipher", "fallbacktorsh", "globalknownhostsfile2", "rhostsauthentication", "useblacklistedkeys",
              "userknownhostsfile2", "useroaming", "usersh", "useprivilegedport"}  # fmt: skip
"""Accepted with a debug line."""

UNSUPPORTED = {"afstokenpassing", "compressionlevel", "kerberosauthentication", "kerberostgtpassing",
               "rhostsrsaauthentication", "rsaauthentication"}  # fmt: skip
"""Accepted with a warning: they belong to protocol version 1 and are gone."""

BATCH_ALIVE_INTERVAL = 300
"""Seconds of ServerAliveInterval under BatchMode (Debian's ssh_config(5))."""


def settled(given: Mapping[str, Any], keyword: str) -> Any:
    """The value that holds when files and flags gave `given`, by keyword: the given one, or the default, which for
    a few keywords depends on others."""
    value = given.get(keyword)
    if keyword == "serveraliveinterval" and value is None:
        return BATCH_ALIVE_INTERVAL if given.get("batchmode") else 0
    if keyword == "updatehostkeys" and value is None:
        usual = given.get("userknownhostsfile", ()) in {(), ("~/.ssh/known_hosts",)}
        return "yes" if usual and given.get("verifyhostkeydns", "no") == "no" else "no"
    if keyword == "rekeylimit" and value is not None:
        return value[0], 0 if value[1] is UNSET else value[1]
    if given.get("clearallforwardings") and (keyword in FORWARDS or keyword == "tunnel"):
        return KEYWORDS[keyword].default
    if keyword in _NEVER_EMPTY and not value:
        return KEYWORDS[keyword].default
    return given[keyword] if keyword in given else KEYWORDS[keyword].default


_NEVER_EMPTY = frozenset(("globalknownhostsfile", "userknownhostsfile"))
FORWARDS = ("dynamicforward", "localforward", "remoteforward")
