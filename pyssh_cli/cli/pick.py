"""`--pick`: the person chooses the destination from the hosts that the configuration and known_hosts name.

The list and what stands below it come of files alone: nothing is looked up, and no command of Match exec is run,
before there is a choice. How one chooses is `terminal.picker`'s.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pyssh_cli.cli import fuzzy, recent
from pyssh_cli.cli.destination import is_valid_host
from pyssh_cli.config.host_names import Names
from pyssh_cli.config.network import Found
from pyssh_cli.config.passes import local_person
from pyssh_cli.config.resolve import resolve
from pyssh_cli.errors import ConfigError, PysshError
from pyssh_cli.log import INFO, Log, printable

if TYPE_CHECKING:
    from pyssh_cli.cli.acts import Invocation
    from pyssh_cli.config.options import Options

MAX_HOSTS = 100_000
"""More than anybody can choose from."""

_SURELY_FINE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:-]*")


class HostName(NamedTuple):
    """A name, and the port it is known under, None for the usual one."""

    name: str
    port: int | None = None


def pick(invocation: Invocation) -> bool:
    """Let the person choose, and make the choice the destination; False if they would rather not.

    What they have typed as the destination so far is what to look for. Raises PysshError where there is no
    terminal or nothing to choose from, and KeyboardInterrupt.
    """
    from pyssh_cli.terminal.picker import Choices, choose

    person = local_person()
    file = recent.path(person.pw_dir)
    hosts = _hosts(invocation, file)
    if not hosts:
        raise PysshError(
            "pyssh: there is no host to choose from: no Host line names one, and no line of known_hosts that can"
            " be read (ssh-keygen -H and HashKnownHosts hide them)"
        )
    names = [label(host) for host in hosts]
    choices = Choices(
        names, fuzzy.Finder(names).find, fuzzy.positions, lambda place: describe(invocation, hosts[place])
    )
    place = choose(choices, invocation.host)
    if place is None:
        return False
    host = hosts[place]
    invocation.host = host.name
    if host.port is not None:
        invocation.settings.set_first("port", host.port, "destination")
    try:
        recent.note(file, names[place])
    except OSError as error:
        invocation.log.debug1(f"{file} cannot be written: {error.strerror}")
    return True


def label(host: HostName) -> str:
    """How a host is called in the list, and in the file of those that were picked."""
    if host.port is None:
        return host.name
    return f"[{host.name}]:{host.port}" if ":" in host.name else f"{host.name}:{host.port}"


def is_fit(name: str) -> bool:
    """Whether a name from a file may be a destination, and can be shown as it is."""
    if _SURELY_FINE.fullmatch(name):
        return True
    return bool(name) and is_valid_host(name) and printable(name) == name


def host_names(names: Names) -> list[HostName]:
    """All hosts in the order of the files, each once."""
    known = names.known(addresses=False)
    found = dict.fromkeys(HostName(name) for name in names.configured())
    for name, usual in known.items():
        if usual:
            found[HostName(name)] = None
        for port in names.known_ports(name):
            found[HostName(name, int(port))] = None
    return list(found)


def _hosts(invocation: Invocation, file: str) -> list[HostName]:
    """The hosts to choose from, those that were picked last first."""
    try:
        anybody, _ = look_ahead(invocation, HostName(""), _Unheard())
    except ConfigError:
        anybody, _ = look_ahead(invocation, HostName(""), Log(min(invocation.log.level, INFO)))  # says it
    names = Names(
        invocation.config_file or "",
        list(anybody.user_known_hosts_files),
        list(anybody.global_known_hosts_files),
    )
    hosts = [host for host in host_names(names) if is_fit(host.name)][:MAX_HOSTS]
    order = {entry: rank for rank, entry in enumerate(recent.read(file))}
    return sorted(hosts, key=lambda host: order.get(label(host), len(order)))


class _NoNetwork:
    """Answers nothing but what needs no asking."""

    def look_up(self, name: str, port: int, family: str, *, numeric: bool = False) -> Found:
        """Addresses only."""
        from socket import EAI_NONAME, gaierror

        from pyssh_cli.net.names import addresses_of

        if not numeric:
            raise gaierror(EAI_NONAME, "names are not looked up for a preview")
        return addresses_of(name, port, family, numeric=True)

    def local_addresses(self) -> list[str]:
        """Those of this machine, which asks nobody."""
        from pyssh_cli.net.names import local_addresses

        return local_addresses()


class _Unheard(Log):
    """Says nothing, whatever LogLevel is: somebody is choosing on the terminal."""

    def say(self, rank: int, message: str) -> None:
        """Do not say it."""


def look_ahead(invocation: Invocation, host: HostName, log: Log) -> tuple[Options, bool]:
    """The options of a connection to the host, as far as files alone can tell, and whether a Match exec was left
    out. Raises PysshError."""
    settings = invocation.settings.preview()
    if host.port is not None:
        settings.set_first("port", host.port, "destination")
    options = resolve(
        settings,
        host.name,
        _NoNetwork(),
        log,
        config_file=invocation.config_file,
        command=invocation.command,
        stdio_forward=invocation.stdio_forward,
        printing=True,
    )
    return options, settings.exec_left_out


def describe(invocation: Invocation, host: HostName) -> str:
    """Where a connection to the host would go, in a line."""
    try:
        options, left_out = look_ahead(invocation, host, _Unheard())
    except ConfigError as error:
        return printable(str(error))
    except PysshError:  # CanonicalizeHostname insists on a name that is not looked up here
        return "the configuration looks its name up first"
    shown = f"{options.user}@{options.hostname} port {options.port}"
    if options.proxy_jump:
        shown += f" via {options.proxy_jump.replace(',', ', ')}"
    elif options.proxy_command:
        shown += " by a ProxyCommand"
    elif options.proxy:
        from pyssh_cli.config.proxies import shown as without_password

        shown += f" by the proxy {without_password(options.proxy)}"
    return printable(shown + (" (Match exec not asked)" if left_out else ""))
