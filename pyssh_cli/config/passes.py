"""The passes over the configuration files, and the name they settle: Hostname, canonicalization, the second pass.

Precedence is ssh's: command line, then the person's file, then the system's; the first value of a keyword wins.
What the values come to is `resolve`'s.
"""

from __future__ import annotations

import os
from pwd import getpwuid, struct_passwd

from pyssh_cli.config.canonicalize import Canonical, canonicalize, settle_defaults
from pyssh_cli.config.files import FileReader, UnreadableFile
from pyssh_cli.config.jumps import parse_hops
from pyssh_cli.config.keywords import KEYWORDS, settled
from pyssh_cli.config.match import Conditions, Destination
from pyssh_cli.config.network import Network
from pyssh_cli.config.settings import Settings
from pyssh_cli.config.tokens import Tokens
from pyssh_cli.errors import ConfigError
from pyssh_cli.log import DEBUG1, INFO, Log

SYSTEM_FILE = "/etc/ssh/ssh_config"


def local_person() -> struct_passwd:
    """Who runs us, as the password database has them: ssh goes by that, not by $HOME and $USER.

    Raises ConfigError for a user number without an entry.
    """
    uid = os.getuid()
    try:
        return getpwuid(uid)
    except KeyError:
        raise ConfigError(f"No user exists for uid {uid}") from None


class Passes:
    """Reads the files for one destination, as often as it takes, and settles the name to connect to.

    `settings` holds what the command line said; what the files say, and where, is added to it. `config_file` is
    -F: a file that takes the place of both usual ones, "none" in any case, or None.
    """

    def __init__(
        self, settings: Settings, destination: Destination, network: Network, log: Log, config_file: str | None
    ) -> None:
        self.settings = settings
        self.person = local_person()
        self._destination = destination
        self._network = network
        self._log = log
        self._config_file = config_file

    def run(self) -> Canonical:
        """Read everything; the name to connect to. Raises ConfigError, and NetworkError from canonicalization."""
        settings, destination, log = self.settings, self._destination, self._log
        again = self._read(destination)
        if again:
            log.debug1("configuration requests final Match pass")
        settle_defaults(settings)
        asked = self._hostname()
        log.tells_waits = not settings.get("batchmode") and INFO <= settled(settings.values, "loglevel") < DEBUG1
        canonical = canonicalize(asked, settings, self._network, log)
        if not again and settings.get("canonicalizehostname") != "no":
            log.debug1("hostname canonicalisation enabled, will re-parse configuration")
            again = True
        if again:
            log.debug1("re-parsing configuration")
            origin = settings.origin("hostname") if canonical.name == asked else "canonicalization"
            settings.replace("hostname", canonical.name.replace("%", "%%"), origin)
            self._read(destination._replace(host=canonical.name, final_pass=True))
        return canonical

    def _read(self, destination: Destination) -> bool:
        """One pass over the files; whether a `Match final` in them asks for a second."""
        settings, person, log = self.settings, self.person, self._log
        conditions = Conditions(
            destination,
            settings,
            log,
            lambda hostname, user: tokens(settings, destination.original_host, hostname, user, person),
            network=self._network,
        )
        reader = FileReader(settings, conditions, log, person.pw_dir)
        if self._config_file is not None:
            if self._config_file.lower() != "none":
                reader.read(self._config_file, user_file=True, check_owner=False)
            return conditions.final_wanted
        for path, own in ((f"{person.pw_dir}/.ssh/config", True), (SYSTEM_FILE, False)):
            try:
                reader.read(path, user_file=own, check_owner=own)
            except UnreadableFile:
                continue  # ssh passes over the usual files in silence
        return conditions.final_wanted

    def _hostname(self) -> str:
        """The name as configured: Hostname with its token, or the host as typed."""
        name, host = self.settings.get("hostname"), self._destination.original_host
        if name is not None:
            host = Tokens({"h": host}).expand(name, allowed="h", where=place(self.settings, "hostname"))
        return host


def tokens(settings: Settings, host: str, hostname: str, user: str, person: struct_passwd) -> Tokens:
    """The tokens of ssh_config(5) that are known before connecting."""
    port = str(settings.get("port") or KEYWORDS["port"].default)
    here = os.uname().nodename
    jump = _jump_host(settings)

    def connection_hash() -> str:
        from hashlib import sha1

        text = f"{here}{hostname}{port}{user}{jump}"
        return sha1(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    return Tokens({
        "C": connection_hash,
        "d": person.pw_dir,
        "h": hostname,
        "i": str(person.pw_uid),
        "j": jump,
        "k": settings.get("hostkeyalias") or host,
        "L": here.partition(".")[0],
        "l": here,
        "n": host,
        "p": port,
        "r": user,
        "u": person.pw_name,
    })  # fmt: skip


def _jump_host(settings: Settings) -> str:
    """The host of the last hop, as ssh has it for %j: without user, port and the hops before it."""
    hops = settings.get("proxyjump")
    return parse_hops(hops)[-1].host if hops else ""


def place(settings: Settings, keyword: str) -> str:
    """A keyword and the place of its value, for the beginning of an error."""
    origin, name = settings.origin(keyword), KEYWORDS[keyword].name
    return origin if origin.endswith(f" {name}") else f"{origin}: {name}"
