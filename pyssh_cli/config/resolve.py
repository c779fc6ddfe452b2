"""From flags and files to `Options`: the passes over the files, and what the settled values come to.

Precedence is ssh's: command line, then the person's file, then the system's; the first value of a keyword wins.
Nothing here connects, and nothing is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pwd import getpwuid, struct_passwd
from typing import Any

from pyssh_cli.config.algorithms import CIPHER, KEX_METHOD, KEY_ALGORITHM, MAC, AlgorithmKind, assemble
from pyssh_cli.config.files import FileReader, UnreadableFile
from pyssh_cli.config.keywords import KEYWORDS
from pyssh_cli.config.match import Conditions, Destination
from pyssh_cli.config.options import Identity, Options
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import Tokens, expand_tilde
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import Log

SYSTEM_FILE = "/etc/ssh/ssh_config"
DEFAULT_IDENTITIES = tuple(
    f"~/.ssh/{name}" for name in ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
)
DEFAULT_AUTHENTICATIONS = ("publickey", "keyboard-interactive", "password")


def local_person() -> struct_passwd:
    """Who runs us, as the password database has them: ssh goes by that, not by $HOME and $USER.

    Raises ConfigError for a user number without an entry.
    """
    uid = os.getuid()
    try:
        return getpwuid(uid)
    except KeyError:
        raise ConfigError(f"No user exists for uid {uid}") from None


def resolve(
    settings: Settings, host: str, log: Log, *, config_file: str | None = None, command: str | None = None
) -> Options:
    """Read the files and settle every option for `host`.

    `settings` holds what the command line said; what the files say, and where, is added to it. `config_file` is
    -F: a file that takes the place of both usual ones, "none", or None. `command` is the remote command, or the
    subsystem, of the command line. Raises ConfigError.
    """
    person = local_person()
    destination = Destination(host, host, person.pw_name, command)
    wants_final = _read_files(settings, destination, person, log, config_file)
    hostname = _hostname(settings, host)
    if wants_final:
        log.debug1("configuration requests final Match pass")
        log.debug1("re-parsing configuration")
        settings.replace("hostname", hostname.replace("%", "%%"), settings.origin("hostname"))
        second = destination._replace(host=hostname, final_pass=True)
        _read_files(settings, second, person, log, config_file)
    return _options(settings, host, hostname, command, person, log)


def _read_files(
    settings: Settings, destination: Destination, person: struct_passwd, log: Log, config_file: str | None
) -> bool:
    """One pass over the files; whether a `Match final` in them asks for a second."""
    conditions = Conditions(
        destination,
        settings,
        log,
        lambda hostname, user: tokens(settings, destination.original_host, hostname, user, person),
    )
    reader = FileReader(settings, conditions, log, person.pw_dir)
    if config_file is not None:
        if config_file != "none":
            reader.read(config_file, user_file=True, check_owner=False)
        return conditions.final_wanted
    for path, own in ((f"{person.pw_dir}/.ssh/config", True), (SYSTEM_FILE, False)):
        try:
            reader.read(path, user_file=own, check_owner=own)
        except UnreadableFile:
            continue  # ssh passes over the usual files in silence
    return conditions.final_wanted


def _hostname(settings: Settings, host: str) -> str:
    """The name to look up: Hostname with its tokens, or the host; names in lower case, addresses as they are."""
    name = settings.get("hostname")
    if name is not None:
        host = Tokens({"h": host}).expand(name, allowed="h", where=_where(settings, "hostname"))
    return host if ":" in host else host.lower()


def tokens(settings: Settings, host: str, hostname: str, user: str, person: struct_passwd) -> Tokens:
    """The tokens of ssh_config(5) that are known before connecting."""
    port = str(settings.get("port") or KEYWORDS["port"].default)
    jump = settings.get("proxyjump") or ""
    here = os.uname().nodename

    def connection_hash() -> str:
        from hashlib import sha1

        jumps = "" if jump == "none" else jump
        text = f"{here}{hostname}{port}{user}{jumps}"
        return sha1(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    return Tokens({
        "C": connection_hash,
        "d": person.pw_dir,
        "h": hostname,
        "i": str(person.pw_uid),
        "j": "" if jump == "none" else jump,
        "k": settings.get("hostkeyalias") or host,
        "L": here.partition(".")[0],
        "l": here,
        "n": host,
        "p": port,
        "r": user,
        "u": person.pw_name,
    })  # fmt: skip


def _where(settings: Settings, keyword: str) -> str:
    """A keyword and the place of its value, for the beginning of an error."""
    origin, name = settings.origin(keyword), KEYWORDS[keyword].name
    return origin if origin.endswith(f" {name}") else f"{origin}: {name}"


def _options(
    settings: Settings, host: str, hostname: str, command: str | None, person: struct_passwd, log: Log
) -> Options:
    given = settings.values
    fields: dict[str, Any] = {
        row.field: given.get(keyword, row.default) for keyword, row in KEYWORDS.items() if row.field
    }
    user = person.pw_name if given.get("user") is None else given["user"]
    if "user" in given and ("%" in user or "${" in user):
        first = tokens(settings, host, hostname, person.pw_name, person)
        user = first.expand(user, allowed="dhijkLlnpu", environment=True, where=_where(settings, "user"))
    known = tokens(settings, host, hostname, user, person)

    def path(value: str, keyword: str) -> str:
        where = _where(settings, keyword)
        return expand_tilde(known.expand(value, environment=True, where=where), person.pw_dir, where)

    def paths(keyword: str) -> tuple[str, ...]:
        values = given.get(keyword, KEYWORDS[keyword].default)
        return () if values[0].lower() == "none" else tuple(path(value, keyword) for value in values)

    def algorithms(keyword: str, kind: AlgorithmKind) -> tuple[str, ...]:
        return _algorithms(settings, keyword, kind, log)

    authentications = given.get("preferredauthentications")
    return Options(**{
        **fields,
        "original_host": host,
        "hostname": hostname,
        "user": user,
        "server_alive_interval": given.get("serveraliveinterval") or 0,
        "ciphers": algorithms("ciphers", CIPHER),
        "macs": algorithms("macs", MAC),
        "kex_algorithms": algorithms("kexalgorithms", KEX_METHOD),
        "host_key_algorithms": algorithms("hostkeyalgorithms", KEY_ALGORITHM),
        "host_key_algorithms_default": "hostkeyalgorithms" not in given,
        "pubkey_accepted_algorithms": algorithms("pubkeyacceptedalgorithms", KEY_ALGORITHM),
        "user_known_hosts_files": paths("userknownhostsfile"),
        "global_known_hosts_files": _without_tokens(settings, "globalknownhostsfile", person),
        "fingerprint_hash": "md5" if given.get("fingerprinthash") == "md5" else "sha256",
        "pubkey_authentication": given.get("pubkeyauthentication", True) is not False,
        "identities": _identities(given.get("identityfile"), path),
        "identity_agent": _agent(given.get("identityagent"), path),
        "preferred_authentications": tuple(authentications.split(","))
        if authentications
        else DEFAULT_AUTHENTICATIONS,
        "command": _command(settings, command, known),
        "send_env": tuple(given.get("sendenv", ())),
    })  # fmt: skip


def _without_tokens(settings: Settings, keyword: str, person: struct_passwd) -> tuple[str, ...]:
    values = settings.values.get(keyword, KEYWORDS[keyword].default)
    if values[0].lower() == "none":
        return ()
    return tuple(expand_tilde(value, person.pw_dir, _where(settings, keyword)) for value in values)


def _algorithms(settings: Settings, keyword: str, kind: AlgorithmKind, log: Log) -> tuple[str, ...]:
    """A list of algorithms with what we cannot do taken out. Raises ConfigError when nothing remains."""
    value = settings.get(keyword)
    use, dropped = assemble(kind, value)
    where = _where(settings, keyword)
    if dropped:
        log.debug1(f"{where}: passing over what pyssh does not have: {','.join(dropped)}")
    if not use:
        raise ConfigError(f"{where}: pyssh has no {kind.noun} of '{value}'; it has {','.join(kind.supported)}")
    return use


def _identities(named: list[str] | None, path: Callable[[str, str], str]) -> tuple[Identity, ...]:
    if named is None:
        return tuple(Identity(path(name, "identityfile"), False) for name in DEFAULT_IDENTITIES)
    files = dict.fromkeys(path(name, "identityfile") for name in named if name.lower() != "none")
    return tuple(Identity(name, True) for name in files)


def _agent(value: str | None, path: Callable[[str, str], str]) -> str | None:
    """The agent's socket for IdentityAgent: SSH_AUTH_SOCK's unless it says otherwise."""
    if value is None or value == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK") or None
    if value == "none":
        return None
    if value[0] == "$" and not value.startswith("${"):
        return os.environ.get(value[1:]) or None
    return path(value, "identityagent")


def _command(settings: Settings, command: str | None, known: Tokens) -> str | None:
    """What to run: the command line's words, or RemoteCommand; both at once are refused, as by ssh."""
    configured = settings.get("remotecommand")
    if configured is None or configured.lower() == "none":
        configured = None
    if command is not None:
        if configured is not None:
            raise ConfigError("Cannot execute command-line and remote command.")
        return command
    if configured is None:
        if settings.get("sessiontype") == "subsystem":
            raise ConfigError("You must specify a subsystem to invoke.")
        return None
    return known.expand(configured, where=_where(settings, "remotecommand"))


def refuse_unsupported(settings: Settings, log: Log) -> None:
    """Say which settled values are not acted on, and end where going on would not be what was asked for.

    For the moment before connecting; -G does without. Raises ConfigError.
    """
    given = settings.values
    refusal = given.get("refuseconnection")
    if refusal is not None:
        raise ConfigError(f"{settings.origin('refuseconnection')}: connection refused: {refusal}")
    forwards = [name for name in ("localforward", "remoteforward", "dynamicforward") if given.get(name)]
    if given.get("clearallforwardings"):
        forwards = []
    elif forwards and given.get("exitonforwardfailure"):
        raise ConfigError(f"{_where(settings, forwards[0])} is not supported yet, and ExitOnForwardFailure is set")
    for keyword, value in given.items():
        row = KEYWORDS[keyword]
        if row.care == "done" or value in (row.default, "none", ("none",)):
            continue
        if keyword.endswith("forward") and row.adds and keyword not in forwards:
            continue
        if row.care == "refuse":
            raise ConfigError(f"{_where(settings, keyword)} is not supported yet")
        message = f"{_where(settings, keyword)} is not supported yet and does nothing"
        if row.care == "warn":
            log.info(f"Warning: {message}")
        else:
            log.debug1(message)
