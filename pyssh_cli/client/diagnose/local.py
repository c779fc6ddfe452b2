"""The stages that no server has a part in: configuration, agent, forwards."""

from __future__ import annotations

import errno
import os

from pyssh_cli.client.diagnose.facts import Agent, Configuration, File, Forwarding, Forwards, Stage, Status
from pyssh_cli.client.outcomes import Outcome
from pyssh_cli.config.forwards import Forward
from pyssh_cli.config.options import Options
from pyssh_cli.config.settings import Settings
from pyssh_cli.errors import AgentError, NetworkError, NoAgent
from pyssh_cli.log import DEBUG3, Log, printable

AGENT_ADVICE = "start an agent and point SSH_AUTH_SOCK at it, or set IdentityAgent none"
SICK_AGENT_ADVICE = "start that agent anew, or set IdentityAgent none; a login waits for it, too"


class StageProblem(Exception):
    """A stage that did not go well: what is wrong, the one thing to do, what is known all the same, and what to
    type. Only with a warning the way goes on."""

    def __init__(
        self,
        problem: str,
        advice: str = "",
        facts: object = None,
        *,
        command: str = "",
        status: Status = "failed",
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.advice = advice
        self.facts = facts
        self.command = command
        self.status = status


def configuration(settings: Settings, config_file: str | None, home: str) -> Configuration:
    """The files that were read, once they have been."""
    from pyssh_cli.config.passes import SYSTEM_FILE

    usual = [f"{home}/.ssh/config", SYSTEM_FILE]
    if config_file is not None:
        usual = [] if config_file.lower() == "none" else [config_file]
    paths = [*usual, *(path for path in settings.includes if path not in usual)]
    files = []
    for path in paths:
        blocks = {b.line: b.text for b in settings.blocks if b.path == path and b.applies}
        shown = tuple(f"{line}: {printable(text)}" for line, text in sorted(blocks.items()))
        files.append(File(printable(path), os.access(path, os.R_OK), shown))
    found = Configuration(tuple(files))
    closed = next((path for path in paths if os.path.lexists(path) and not os.access(path, os.R_OK)), None)
    if closed:  # a login passes over it without a word
        raise StageProblem(
            f"{closed} is there, and cannot be read",
            "mend that: see whose it is (ls -lL)",
            found,
            status="warning",
        )
    return found


def agent(options: Options, log: Log) -> Agent:
    """Whether the agent answers. A warning where it is named and does not."""
    path = options.identity_agent
    if not path:
        return Agent(None, None)
    from pyssh_cli.client.agent_link import AgentLink

    link = AgentLink(path, log, None)
    try:
        return Agent(printable(path), len(link.keys()))
    except AgentError as error:
        advice = AGENT_ADVICE if isinstance(error, NoAgent) else SICK_AGENT_ADVICE
        raise StageProblem(str(error), advice, Agent(printable(path), None), status="warning") from None
    finally:
        link.close()


def agent_outcome(stage: Stage) -> Outcome:
    """Why no keys of the agent's are tried, where that stage had a warning."""
    return Outcome(stage.problem or "", "no agent" if stage.advice == AGENT_ADVICE else "sick agent")


def forwards(options: Options, log: Log) -> Forwards:
    """Whether there can be listened for -L and -D, tried for a moment; -R is the server's to say. What fails is
    fatal where ExitOnForwardFailure says so."""
    found = []
    for forward in (*options.local_forwards, *options.remote_forwards):
        possible, problem = (None, "") if forward.kind == "remote" else _try(forward, options, log)
        found.append(Forwarding(forward.kind, printable(forward.shown()), possible, printable(problem) or None))
    bad = sorted((each for each in found if each.problem), key=lambda each: each.possible is not False)
    if bad:
        fatal = options.exit_on_forward_failure and bad[0].possible is False
        raise StageProblem(
            f"{bad[0].forward}: {bad[0].problem}",
            "end the program that listens there, or forward another port",
            Forwards(tuple(found)),
            status="failed" if fatal else "warning",
        )
    return Forwards(tuple(found))


class _Words(Log):
    """Keeps what is said, whatever its rank."""

    def __init__(self) -> None:
        super().__init__(DEBUG3)
        self.lines: list[str] = []

    def say(self, rank: int, message: str) -> None:
        del rank
        self.lines.append(message)


def _try(forward: Forward, options: Options, log: Log) -> tuple[bool, str]:
    """Whether somebody could listen there, and what is wrong with it: with a part of the addresses, perhaps."""
    if forward.listen_path is not None:
        problem = _problem_with_path(forward.listen_path, unlink=options.stream_local_bind_unlink)
        return not problem, problem
    from pyssh_cli.client.forwarding.local import bind_host
    from pyssh_cli.net.listen import open_tcp

    host = bind_host(forward.listen_host, gateway_ports=options.gateway_ports)
    words = _Words()
    error = ""
    try:
        for sock in open_tcp(host, forward.listen_port, options.address_family, words, lambda _where, _port: None):
            sock.close()
    except NetworkError as failure:
        error = str(failure)
    for line in words.lines:
        log.debug1(line)
    refused = [line for line in words.lines if not line.endswith(os.strerror(errno.EADDRNOTAVAIL))]  # no IPv6, say
    if error:
        return False, refused[-1] if refused else error
    return True, f"only in part: {refused[-1]}" if refused else ""


def _problem_with_path(path: str, *, unlink: bool) -> str:
    """The same for a Unix socket, which is not made: that would leave a trace."""
    directory = os.path.dirname(path) or "."
    if os.path.lexists(path) and not unlink:
        return "the file is there already (StreamLocalBindUnlink yes would replace it)"
    if not os.path.isdir(directory):
        return f"there is no directory {directory}"
    if not os.access(directory, os.W_OK | os.X_OK):
        return f"nothing may be made in {directory}"
    return ""
