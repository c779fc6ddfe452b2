"""The command line: from arguments to an exit code. What is typed is read here and acted on in `client/`.

Errors become one line on stderr and an exit code here and nowhere else.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pyssh_cli.errors import PysshError
from pyssh_cli.log import DEBUG1, FATAL, Log

if TYPE_CHECKING:
    from pyssh_cli.cli.acts import Invocation

FAILED = 255
"""The exit code of our own failures; all others are the remote command's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, `argv` (without the program's name) or the process's own; the exit code.

    Never raises: whatever goes wrong becomes a line on stderr. An interrupt from the keyboard ends the process
    by SIGINT once everything is cleaned up, so that a calling shell knows.
    """
    log = Log()
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = partial(_lost, log)
        return _run(sys.argv[1:] if argv is None else argv, log)
    except PysshError as error:
        log.say(FATAL, str(error))
        return error.exit_status
    except KeyboardInterrupt:
        log.clear()
        return _die_interrupted()
    except BrokenPipeError:
        _drop_stdout()
        return FAILED
    except OSError as error:
        log.error(f"pyssh: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return FAILED
    except Exception as error:
        log.error(f"pyssh: internal error: {type(error).__name__}: {error}")
        if log.enabled(DEBUG1):
            import traceback

            log.debug1(traceback.format_exc())
        return FAILED


def _run(arguments: Sequence[str], log: Log) -> int:
    from pyssh_cli.cli.acts import Answered
    from pyssh_cli.cli.command import read
    from pyssh_cli.cli.invocation import UsageError

    try:
        invocation = read(arguments, log)
    except Answered as answered:
        if answered.text:
            _print(answered.text, to_stderr=answered.to_stderr)
        return 0
    except UsageError as error:
        _print(str(error), to_stderr=True)
        return FAILED
    return perform(invocation)


def perform(invocation: Invocation) -> int:
    """Do what a command line says: settle the options, then print them (-G) or connect. Raises PysshError."""
    from pyssh_cli.cli.acts import version_line
    from pyssh_cli.config.passes import local_person
    from pyssh_cli.config.resolve import refuse_unsupported, resolve
    from pyssh_cli.log import INFO
    from pyssh_cli.net.names import SystemNetwork

    log, settings = invocation.log, invocation.settings
    level = settings.get("loglevel")
    log.level = INFO if level is None else level
    if invocation.syslog:
        if invocation.log_file is not None:
            _print("Can't specify both -y and -E", to_stderr=True)
            return FAILED
        log.open_syslog(settings.get("syslogfacility") or "USER")
    if invocation.log_file is not None:
        try:
            log.open_file(invocation.log_file)
        except OSError as error:
            _print(f"Couldn't open logfile {invocation.log_file}: {error.strerror}", to_stderr=True)
            return 1  # as ssh does
    if invocation.debugging:
        log.info(version_line())
    if invocation.picks:
        from pyssh_cli.cli.pick import pick

        if not pick(invocation):
            return FAILED
    if invocation.diagnoses and not invocation.unsupported:
        return _diagnose(invocation)
    explaining = invocation.dump and invocation.debugging
    settings.wants_blocks = explaining
    options = resolve(
        settings,
        invocation.host,
        SystemNetwork(log),
        log,
        config_file=invocation.config_file,
        command=invocation.command,
        stdio_forward=invocation.stdio_forward,
        printing=invocation.dump,
    )
    log.level = options.log_level
    if invocation.syslog:
        log.open_syslog(options.syslog_facility)
    if options.log_verbose:
        from pyssh_cli.config.patterns import matches_list

        log.forced = lambda place: any(matches_list(place, patterns) for patterns in options.log_verbose)
    if invocation.dump:
        log.clear()
        from pyssh_cli.config.dump import lines

        shown = list(lines(options, settings))
        _print("\n".join(shown))
        if explaining:
            from pyssh_cli.config import provenance

            for line in provenance.lines(shown, settings, local_person().pw_dir):
                log.info(line)
        return 0
    if invocation.unsupported:
        raise PysshError(f"pyssh: -{invocation.unsupported} is not supported yet")
    refuse_unsupported(settings, log)
    if invocation.lists_keys:
        from pyssh_cli.client.identities import list_keys

        for line in list_keys(options, log):
            _print(line)
        return 0
    from pyssh_cli.client.run import run
    from pyssh_cli.client.way import HandedOn

    given = settings.origin("proxy") == "-o Proxy"
    handed_on = HandedOn(
        invocation.config_file,
        settings.get("loglevel") if settings.origin("loglevel") == "-v" else None,
        options.proxy if given else None,
    )
    return run(options, log, handed_on)


def _diagnose(invocation: Invocation) -> int:
    from pyssh_cli.client.diagnose import Request, diagnose
    from pyssh_cli.colour import wants_colour

    request = Request(invocation.host, invocation.settings, invocation.config_file, invocation.command)
    colour = wants_colour(sys.stdout)
    return diagnose(request, invocation.log, _print, as_json=invocation.json, colour=colour)


def _print(text: str, *, to_stderr: bool = False) -> None:
    """Print lines of our own. A reader of stdout that is gone raises BrokenPipeError."""
    stream = sys.stderr if to_stderr else sys.stdout
    if stream is None:  # it was closed before we were started
        return
    data = (text + "\n").encode("utf-8", "surrogateescape")
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(text + "\n")
    else:
        buffer.write(data)
    stream.flush()


def _drop_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere, for it would complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _lost(log: Log, unraisable: sys.UnraisableHookArgs) -> None:
    """An exception came where Python lets none through: in a finalizer, or while the import system lets go of a
    lock, as it does all the time until the user is in.

    Ctrl-C must not get lost there: it ends us here and now. Nothing is left to be put in order, for who changes a
    terminal's modes handles SIGINT meanwhile. What else ends a program has been seen to where it was raised.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        log.clear()
        _die_interrupted()
    elif issubclass(unraisable.exc_type, Exception):
        sys.__unraisablehook__(unraisable)


def _die_interrupted() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    return 130  # not reached unless SIGINT is blocked
