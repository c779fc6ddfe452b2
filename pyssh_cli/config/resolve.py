"""From settled values to `Options`: defaults, tokens, `~`, algorithm lists, and checks across keywords.

Which value counts is settled in `passes`. Nothing here connects, and nothing is asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pwd import struct_passwd
from typing import Any

from pyssh_cli.config.algorithms import (
    CA_ALGORITHM,
    CIPHER,
    KEX_METHOD,
    KEY_ALGORITHM,
    MAC,
    USER_KEY_ALGORITHM,
    AlgorithmKind,
    assemble,
)
from pyssh_cli.config.canonicalize import Canonical
from pyssh_cli.config.forwards import Forward
from pyssh_cli.config.grammars import timeouts
from pyssh_cli.config.jumps import parse_hops
from pyssh_cli.config.keywords import KEYWORDS, settled
from pyssh_cli.config.match import Destination
from pyssh_cli.config.network import Network
from pyssh_cli.config.options import Identity, Options
from pyssh_cli.config.passes import Passes, local_person, place, tokens
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import expand_value
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import INFO, Log

DEFAULT_IDENTITIES = tuple(
    f"~/.ssh/{name}" for name in ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
)
_LITERAL = {"destination", "-l"}
"""Where a user comes from whose name holds no tokens: people log in as DOMAIN%name."""
DEFAULT_AUTHENTICATIONS = ("gssapi-with-mic", "hostbased", "publickey", "keyboard-interactive", "password")


def resolve(
    settings: Settings,
    host: str,
    network: Network,
    log: Log,
    *,
    config_file: str | None = None,
    command: str | None = None,
    stdio_forward: Forward | None = None,
    printing: bool = False,
) -> Options:
    """Read the files and settle every option for `host`.

    `settings` holds what the command line said; what the files say, and where, is added to it. `config_file` is
    -F: a file that takes the place of both usual ones, "none", or None. `command` is the remote command, or the
    subsystem, of the command line, `stdio_forward` is -W's. With `printing`, for -G, the values that ssh expands
    only when it connects stay as they are. Raises ConfigError, and NetworkError from canonicalization.
    """
    destination = Destination(host, host, local_person().pw_name, command)
    passes = Passes(settings, destination, network, log, config_file)
    canonical = passes.run()
    if stdio_forward is not None:
        settings.set_first("exitonforwardfailure", True, "-W")
        settings.set_first("clearallforwardings", True, "-W")
    _check_together(settings, canonical.name, command, printing, log)
    log.level = settled(settings.values, "loglevel")
    return _Resolution(settings, host, canonical, passes.person, printing).options(command, stdio_forward, log)


def _check_together(settings: Settings, hostname: str, command: str | None, printing: bool, log: Log) -> None:
    """The checks across keywords that ssh makes, in its order. Raises ConfigError."""
    given = settings.values
    if given.get("updatehostkeys") == "ask":
        reason = _why_nobody_can_be_asked(given, command)
        if reason:
            log.debug1(f"UpdateHostKeys=ask is incompatible with {reason}; disabling")
            settings.replace("updatehostkeys", "no", settings.origin("updatehostkeys"))
    jump = given.get("proxyjump")
    if jump:
        hop = parse_hops(jump)[-1]
        here = (None, hostname, settled(given, "port"))
        if (hop.user, hop.host, hop.port or KEYWORDS["port"].default) == here:
            raise ConfigError(f"jumphost loop via {hop.host}")
        if given.get("proxyusefdpass"):
            settings.replace("proxyusefdpass", False, settings.origin("proxyjump"))
    if given.get("proxycommand") == "-" and given.get("proxyusefdpass"):
        raise ConfigError("ProxyCommand=- and ProxyUseFDPass are incompatible")
    if given.get("connectionattempts") == 0:
        raise ConfigError("Invalid number of ConnectionAttempts")
    configured, kind = given.get("remotecommand"), given.get("sessiontype")
    if command is not None:
        if configured is not None:
            raise ConfigError("Cannot execute command-line and remote command.")
    elif configured is None:
        if given.get("forkafterauthentication") and kind != "none":
            raise ConfigError("Cannot fork into background without a command to execute.")
        if kind == "subsystem" and not printing:
            raise ConfigError("You must specify a subsystem to invoke.")


def _why_nobody_can_be_asked(given: Mapping[str, Any], command: str | None) -> str:
    """What keeps UpdateHostKeys from asking, or "": the terminal is not for that."""
    if given.get("controlpersist", (False, 0))[0] and given.get("controlpath"):
        return "ControlPersist"
    if command or given.get("remotecommand") or given.get("requesttty") == "no":
        return "remote command execution"
    return "a quiet LogLevel" if settled(given, "loglevel") < INFO else ""


class _Resolution:
    """The settled values of one connection on their way into Options."""

    def __init__(
        self, settings: Settings, host: str, canonical: Canonical, person: struct_passwd, printing: bool
    ) -> None:
        self._settings = settings
        self._given = settings.values
        self._host = host
        self._hostname = canonical.name
        self._found = canonical.found
        self._person = person
        self._printing = printing
        self._user = self._expanded_user()
        self._tokens = tokens(settings, host, canonical.name, self._user, person)

    def options(self, command: str | None, stdio_forward: Forward | None, log: Log) -> Options:
        """All of them."""
        given = self._given
        fields: dict[str, Any] = {
            row.field: settled(given, keyword) for keyword, row in KEYWORDS.items() if row.field
        }

        def algorithms(keyword: str, kind: AlgorithmKind) -> tuple[str, ...]:
            return _algorithms(self._settings, keyword, kind, log)

        authentications = given.get("preferredauthentications")
        return Options(**{
            **fields,
            "original_host": self._host,
            "hostname": self._hostname,
            "addresses": self._found.addresses if self._found else (),
            "user": self._user,
            "server_alive_interval": settled(given, "serveraliveinterval"),
            "ciphers": algorithms("ciphers", CIPHER),
            "macs": algorithms("macs", MAC),
            "kex_algorithms": algorithms("kexalgorithms", KEX_METHOD),
            "host_key_algorithms": algorithms("hostkeyalgorithms", KEY_ALGORITHM),
            "host_key_algorithms_default": (given.get("hostkeyalgorithms") or "+")[0] in "+-",
            "ca_signature_algorithms": algorithms("casignaturealgorithms", CA_ALGORITHM),
            "hostbased_accepted_algorithms": algorithms("hostbasedacceptedalgorithms", KEY_ALGORITHM),
            "pubkey_accepted_algorithms": algorithms("pubkeyacceptedalgorithms", USER_KEY_ALGORITHM),
            "user_known_hosts_files": self._paths("userknownhostsfile"),
            "global_known_hosts_files": self._paths("globalknownhostsfile", late=True),
            "revoked_host_keys": self._paths("revokedhostkeys", late=True),
            "update_host_keys": settled(given, "updatehostkeys"),
            "fingerprint_hash": "md5" if given.get("fingerprinthash") == "md5" else "sha256",
            "pubkey_authentication": given.get("pubkeyauthentication", True) is not False,
            "pubkey_host_bound": given.get("pubkeyauthentication", True) != "unbound",
            "identities": self._identities(),
            "certificate_files": tuple(
                self._expanded(name, "certificatefile", late=True)
                for name in given.get("certificatefile", ())
                if name.lower() != "none"
            ),
            "identity_agent": self._agent(),
            "preferred_authentications": (
                tuple(authentications.split(",")) if authentications else DEFAULT_AUTHENTICATIONS
            ),
            "version_addendum": self._one("versionaddendum"),
            "command": self._command(command),
            "send_env": tuple(given.get("sendenv", ())),
            "set_env": tuple(
                (name, self._expanded(value, "setenv", late=True)) for name, value in given.get("setenv", ())
            ),
            "local_forwards": self._forwards("localforward") + self._forwards("dynamicforward"),
            "remote_forwards": self._forwards("remoteforward"),
            "stdio_forward": stdio_forward,
            "session_record": self._one("sessionrecord", late=False),
            "channel_timeouts": timeouts(settled(given, "channeltimeout")),
            "control_path": self._one("controlpath", late=False),
            "forward_agent": self._forward_agent(log),
            "tokens": self._tokens,
        })  # fmt: skip

    def _expanded_user(self) -> str:
        """The user, with the tokens that do not depend on the user; one of the command line is taken literally."""
        user = self._given.get("user")
        if user is None:
            return self._person.pw_name
        if self._settings.origin("user") in _LITERAL or ("%" not in user and "${" not in user):
            return str(user)
        known = tokens(self._settings, self._host, self._hostname, self._person.pw_name, self._person)
        return expand_value("user", user, known, self._person.pw_dir, place(self._settings, "user"))

    def _expanded(self, value: str, keyword: str, *, late: bool = False) -> str:
        """A value with what it may hold of `~`, tokens and ${ENV} expanded, unless ssh does so only to connect."""
        if late and self._printing:
            return value
        return expand_value(keyword, value, self._tokens, self._person.pw_dir, place(self._settings, keyword))

    def _paths(self, keyword: str, *, late: bool = False) -> tuple[str, ...]:
        values = settled(self._given, keyword)
        if not values or values[0].lower() == "none":
            return ()
        return tuple(self._expanded(value, keyword, late=late) for value in values)

    def _one(self, keyword: str, *, late: bool = True) -> str | None:
        """An expanded value, None when it is absent or `none`."""
        value = self._given.get(keyword)
        return None if value is None else self._expanded(value, keyword, late=late)

    def _identities(self) -> tuple[Identity, ...]:
        named = self._given.get("identityfile")
        names = [name for name in named if name.lower() != "none"] if named else DEFAULT_IDENTITIES
        paths = dict.fromkeys(self._expanded(name, "identityfile", late=True) for name in names)
        return tuple(Identity(path, bool(named)) for path in paths)

    def _agent(self) -> str | None:
        """The agent's socket for IdentityAgent: SSH_AUTH_SOCK's unless it says otherwise."""
        value = self._given.get("identityagent")
        if value is None or value == "SSH_AUTH_SOCK":
            return os.environ.get("SSH_AUTH_SOCK") or None
        if value == "none":
            return None
        if value[0] == "$" and not value.startswith("${"):
            return value if self._printing else os.environ.get(value[1:]) or None
        return self._expanded(value, "identityagent")

    def _forward_agent(self, log: Log) -> str | None:
        """ForwardAgent; a socket that is not there is told, and nothing is forwarded."""
        value = self._given.get("forwardagent", "no")
        if value in {"yes", "no"}:
            return None if value == "no" else "yes"
        named = value[0] == "$" and not value.startswith("${")
        shown = value if named else self._expanded(value, "forwardagent")
        path = os.environ.get(value[1:], "") if named else shown
        try:
            os.stat(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            message = f'Cannot forward agent socket path "{shown}": {reason}'
            if self._given.get("exitonforwardfailure"):
                raise ConfigError(message) from None
            log.error(message)
            path = None
        return shown if self._printing else path

    def _forwards(self, keyword: str) -> tuple[Forward, ...]:
        """Forwards with the tokens in their sockets' paths expanded."""
        side = "remoteforward" if keyword == "remoteforward" else "localforward"
        forwards = settled(self._given, keyword)
        return tuple(forward.expanded(lambda path: self._expanded(path, side)) for forward in forwards)

    def _command(self, command: str | None) -> str | None:
        """What to run: the command line's words, or RemoteCommand; it is checked that there is only one."""
        configured = self._given.get("remotecommand")
        return command if configured is None else self._expanded(configured, "remotecommand")


def _algorithms(settings: Settings, keyword: str, kind: AlgorithmKind, log: Log) -> tuple[str, ...]:
    """A list of algorithms with what we cannot do taken out. Raises ConfigError when nothing remains."""
    value = settings.get(keyword)
    use, dropped = assemble(kind, value)
    where = place(settings, keyword)
    if dropped:
        log.debug1(f"{where}: passing over what pyssh does not have: {','.join(dropped)}")
    if not use:
        raise ConfigError(f"{where}: pyssh has no {kind.noun} of '{value}'; it has {','.join(kind.supported)}")
    return use


def refuse_unsupported(settings: Settings, log: Log) -> None:
    """Say which settled values are not acted on, and end where going on would not be what was asked for.

    For the moment before connecting; -G does without. Raises ConfigError.
    """
    given = settings.values
    for keyword, value in given.items():
        row = KEYWORDS[keyword]
        if row.care == "done" or value in (row.default, "none", ("none",)):
            continue
        if row.care == "refuse":
            raise ConfigError(f"{place(settings, keyword)} is not supported yet")
        message = f"{place(settings, keyword)} is not supported yet and does nothing"
        if row.care == "warn":
            log.info(f"Warning: {message}")
        else:
            log.debug1(message)
