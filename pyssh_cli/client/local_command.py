"""LocalCommand: a command that the person's own shell runs here once the user is in (ssh_config(5)).

When it is due is for `run`: after authentication, before anything of the session is asked for.
"""

from __future__ import annotations

import os
import signal

from pyssh_cli.config.options import Options
from pyssh_cli.config.tokens import TOKEN_RULES
from pyssh_cli.log import Log

NO_TUNNEL = "NONE"
"""What %T stands for when no tunnel was asked for."""


def run_local_command(options: Options, log: Log, tunnel_device: str = NO_TUNNEL, *, apart: bool = False) -> None:
    """Run it to its end, if there is one and PermitLocalCommand says so. Its exit status means nothing to us.

    It has our standard streams, which nothing else uses yet; with `apart`, for a jump host's, only stderr: what it
    read and said would be the next host's (to ssh it is). `tunnel_device` is %T: the local network device of -w.
    Raises ConfigError for tokens it may not have.
    """
    if options.local_command is None or not options.permit_local_command:
        return
    allowed = TOKEN_RULES["localcommand"].letters or ""
    tokens = options.tokens.extended(T=tunnel_device)
    command = tokens.expand(options.local_command, allowed=allowed, where="LocalCommand")
    log.debug3(f'Executing {person_s_shell()} -c "{command}"')
    log.clear()  # it may have something to say on the terminal
    try:
        status = run_in_shell(command, apart=apart)
    except OSError as error:
        log.error(f'Couldn\'t execute {person_s_shell()} -c "{command}": {error.strerror}')
        return
    log.debug3(f"LocalCommand ended with status {os.waitstatus_to_exitcode(status)}")


def person_s_shell() -> str:
    """The shell that the person uses."""
    return os.environ.get("SHELL") or "/bin/sh"


def run_in_shell(command: str, *, apart: bool = False) -> int:
    """Run a command with that shell on our standard streams, to its end; its status as wait(2) has it.

    With `apart` it has no stdin and stdout. Raises OSError when the shell cannot be run.
    """
    shell = person_s_shell()
    ignored = [signal.SIGPIPE, signal.SIGXFSZ]  # by Python; a command is to be told
    null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1) if apart]
    pid = os.posix_spawn(shell, [shell, "-c", command], os.environ, file_actions=null, setsigdef=ignored)
    return os.waitpid(pid, 0)[1]
