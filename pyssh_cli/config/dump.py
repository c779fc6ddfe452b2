"""What -G prints: the settled values in ssh's words and order. It reads the keyword table and decides nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyssh_cli.config.keywords import KEYWORDS
from pyssh_cli.config.options import Options
from pyssh_cli.config.resolve import DEFAULT_IDENTITIES
from pyssh_cli.config.settings import Settings

_ORDER = (
    "addressfamily", "batchmode", "canonicalizefallbacklocal", "canonicalizehostname", "checkhostip",
    "compression", "controlmaster", "enablesshkeysign", "clearallforwardings", "exitonforwardfailure",
    "fingerprinthash", "forwardx11", "forwardx11trusted", "gatewayports", "gssapiauthentication",
    "gssapikeyexchange", "gssapidelegatecredentials", "gssapitrustdns", "gssapirenewalforcesrekey",
    "hashknownhosts", "hostbasedauthentication", "identitiesonly", "kbdinteractiveauthentication",
    "nohostauthenticationforlocalhost", "passwordauthentication", "permitlocalcommand", "proxyusefdpass",
    "pubkeyauthentication", "requesttty", "sessiontype", "stdinnull", "forkafterauthentication",
    "streamlocalbindunlink", "stricthostkeychecking", "tcpkeepalive", "tunnel", "verifyhostkeydns",
    "visualhostkey", "updatehostkeys", "enableescapecommandline", "canonicalizemaxdots",
    "connectionattempts", "forwardx11timeout", "numberofpasswordprompts", "serveralivecountmax",
    "serveraliveinterval", "requiredrsasize", "bindaddress", "bindinterface", "ciphers", "controlpath",
    "hostkeyalgorithms", "hostkeyalias", "hostbasedacceptedalgorithms", "identityagent", "ignoreunknown",
    "kbdinteractivedevices", "kexalgorithms", "casignaturealgorithms", "localcommand", "remotecommand",
    "loglevel", "macs", "pkcs11provider", "securitykeyprovider", "preferredauthentications",
    "pubkeyacceptedalgorithms", "revokedhostkeys", "xauthlocation", "knownhostscommand", "identityfile",
    "canonicaldomains", "certificatefile", "globalknownhostsfile", "userknownhostsfile", "sendenv",
    "setenv", "logverbose", "permitremoteopen", "addkeystoagent", "forwardagent", "connecttimeout",
    "tunneldevice", "canonicalizepermittedcnames", "controlpersist", "escapechar", "ipqos", "rekeylimit",
    "streamlocalbindmask", "syslogfacility", "proxycommand", "proxyjump",
)  # fmt: skip

_ONE_A_LINE = {"identityfile", "certificatefile", "sendenv", "setenv"}
_LISTS = {
    "ciphers": "ciphers",
    "macs": "macs",
    "kexalgorithms": "kex_algorithms",
    "hostkeyalgorithms": "host_key_algorithms",
    "pubkeyacceptedalgorithms": "pubkey_accepted_algorithms",
    "hostbasedacceptedalgorithms": "",
    "casignaturealgorithms": "",
}
_SPELLING = {"canonicalizepermittedcnames": "canonicalizePermittedcnames"}


def lines(options: Options, settings: Settings) -> Iterator[str]:
    """The lines of -G, without their ends."""
    yield f"host {options.original_host}"
    yield f"user {options.user}"
    yield f"hostname {options.hostname}"
    yield f"port {options.port}"
    for keyword in _ORDER:
        value = _value(options, settings.values, keyword)
        if value is None and KEYWORDS[keyword].show is None:
            continue
        label = _SPELLING.get(keyword, keyword)
        if keyword in _ONE_A_LINE:
            for item in value:
                yield f"{label} {item if isinstance(item, str) else '='.join(item)}"
        else:
            yield f"{label} {_shown(keyword, value)}"


def _value(options: Options, given: dict[str, Any], keyword: str) -> Any:
    if keyword in _LISTS:
        return getattr(options, _LISTS[keyword]) if _LISTS[keyword] else given.get(keyword)
    if keyword == "identityfile":
        return given.get(keyword, DEFAULT_IDENTITIES)
    if keyword == "userknownhostsfile":
        return options.user_known_hosts_files or ("none",)
    if keyword == "remotecommand" and given.get(keyword):
        return options.command if given[keyword].lower() != "none" else None
    if keyword == "updatehostkeys" and keyword not in given:
        return "no" if "userknownhostsfile" in given else "yes"
    if keyword == "identityagent" and "/" in (given.get(keyword) or ""):
        return options.identity_agent
    if keyword in {"proxycommand", "proxyjump", "localcommand", "controlpath"}:
        value = given.get(keyword)
        return None if value is None or value.lower() == "none" else value
    return given.get(keyword, KEYWORDS[keyword].default)


def _shown(keyword: str, value: Any) -> str:
    show = KEYWORDS[keyword].show
    if show is not None:
        return show(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        separator = "," if keyword in _LISTS or keyword == "logverbose" else " "
        return separator.join(value)
    return str(value)
