"""What -G prints: the settled values in ssh's words and order. It reads the keyword table and decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyssh_cli.config.algorithms import assemble
from pyssh_cli.config.keywords import ALGORITHM_LISTS, FORWARDS, KEYWORDS, settled
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import DEFAULT_IDENTITIES
from pyssh_cli.config.settings import Settings

_ORDER = (
    "addressfamily", "batchmode", "canonicalizefallbacklocal", "canonicalizehostname", "checkhostip",
    "compression", "controlmaster", "enablesshkeysign", "clearallforwardings", "exitonforwardfailure",
    "fingerprinthash", "forwardx11", "forwardx11trusted", "gatewayports", "gssapiauthentication",
    "gssapikeyexchange", "gssapidelegatecredentials", "gssapitrustdns", "gssapirenewalforcesrekey",
    "gssapiclientidentity", "gssapiserveridentity", "gssapikexalgorithms",
    "hashknownhosts", "hostbasedauthentication", "identitiesonly", "kbdinteractiveauthentication",
    "nohostauthenticationforlocalhost", "passwordauthentication", "permitlocalcommand", "proxyusefdpass",
    "pubkeyauthentication", "requesttty", "sessiontype", "stdinnull", "forkafterauthentication",
    "streamlocalbindunlink", "stricthostkeychecking", "tcpkeepalive", "tunnel", "verifyhostkeydns",
    "visualhostkey", "updatehostkeys", "enableescapecommandline", "warnweakcrypto",
    "canonicalizemaxdots", "connectionattempts", "forwardx11timeout", "numberofpasswordprompts",
    "serveralivecountmax", "serveraliveinterval", "requiredrsasize", "obscurekeystroketiming",
    "bindaddress", "bindinterface", "ciphers", "controlpath",
    "hostkeyalgorithms", "hostkeyalias", "hostbasedacceptedalgorithms", "identityagent", "ignoreunknown",
    "kbdinteractivedevices", "kexalgorithms", "casignaturealgorithms", "localcommand", "remotecommand",
    "loglevel", "macs", "pkcs11provider", "securitykeyprovider", "preferredauthentications",
    "pubkeyacceptedalgorithms", "revokedhostkeys", "xauthlocation", "knownhostscommand",
    "tag", "versionaddendum", *FORWARDS, "identityfile",
    "canonicaldomains", "certificatefile", "globalknownhostsfile", "userknownhostsfile", "sendenv",
    "setenv", "logverbose", "channeltimeout", "permitremoteopen", "addkeystoagent", "forwardagent",
    "connecttimeout", "tunneldevice", "canonicalizepermittedcnames", "controlpersist", "escapechar", "ipqos",
    "rekeylimit", "streamlocalbindmask", "syslogfacility", "proxy", "proxycommand", "proxyjump",
    "reconnect", "sessionrecord", "sessionrecordinput",
)  # fmt: skip

_ONE_A_LINE = frozenset(("identityfile", "certificatefile", "sendenv", "setenv", *FORWARDS))
_OURS = frozenset(("reconnect", "sessionrecord", "sessionrecordinput"))
"""Keywords that ssh has not: printed only when something gives them, so that -G is ssh's without them."""
_EVEN_WITHOUT = frozenset(("connecttimeout", "escapechar"))
"""Printed when their value is None, which is a word of its own; the others are left out."""
_SPELLING = {"canonicalizepermittedcnames": "canonicalizePermittedcnames"}


def lines(options: Options, settings: Settings) -> Iterator[str]:
    """The lines of -G, without their ends."""
    yield f"host {options.original_host}"
    yield f"user {options.user}"
    yield f"hostname {options.hostname}"
    yield f"port {options.port}"
    for keyword in _ORDER:
        value = _value(options, settings.values, keyword)
        label = _SPELLING.get(keyword, keyword)
        if keyword in _ONE_A_LINE:
            for item in value:
                yield f"{label} {item if isinstance(item, str) else '='.join(item)}"
            continue
        shown = "" if value is None and keyword not in _EVEN_WITHOUT else _shown(keyword, value)
        if shown:
            yield f"{label} {shown}"


def _value(options: Options, given: Mapping[str, Any], keyword: str) -> Any:
    """The value of a keyword: that of Options where it has been expanded there, else the settled one."""
    if keyword in ALGORITHM_LISTS:
        return ",".join(assemble(ALGORITHM_LISTS[keyword], given.get(keyword))[0])
    if keyword in _OURS:
        return options.session_record if keyword == "sessionrecord" else given.get(keyword)
    value = settled(given, keyword)
    if keyword in FORWARDS:
        held = options.remote_forwards if keyword == "remoteforward" else options.local_forwards
        return [forward.shown() for forward in held if keyword.startswith(forward.kind)]
    if keyword == "identityfile":
        return value or DEFAULT_IDENTITIES
    if keyword == "userknownhostsfile":
        return options.user_known_hosts_files or ("none",)
    if keyword == "globalknownhostsfile" and value[0].lower() == "none":
        return ("none",)
    if keyword == "controlpath":
        return options.control_path
    if keyword == "remotecommand":
        return value and options.command
    if keyword == "identityagent" and value is not None and not _is_word_for_agent(value):
        return options.identity_agent
    if keyword == "forwardagent" and value not in {"yes", "no"}:
        return options.forward_agent
    return value


def _is_word_for_agent(value: str) -> bool:
    """Whether IdentityAgent names no path, but a variable or nothing."""
    return value in {"none", "SSH_AUTH_SOCK"} or (value[0] == "$" and not value.startswith("${"))


def _shown(keyword: str, value: Any) -> str:
    show = KEYWORDS[keyword].show
    if show is not None:
        return show(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(value) if isinstance(value, tuple) else str(value)
