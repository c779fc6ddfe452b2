"""KnownHostsCommand (ssh_config(5)): a program of the person's that prints further lines of known_hosts."""

from __future__ import annotations

import binascii
import os
import select
import signal
import subprocess
import time
from typing import Literal

from pyssh_cli.config.options import Options
from pyssh_cli.config.reader import InvalidQuotesError, split_words
from pyssh_cli.config.tokens import TOKEN_RULES
from pyssh_cli.errors import HostKeyError
from pyssh_cli.keys.known_hosts import MAX_FILE_SIZE, HostFile
from pyssh_cli.keys.public import PublicKey
from pyssh_cli.log import Log

COMMAND_SECONDS = 60
"""How long the command may take where no ConnectTimeout says it."""

_GLANCE = 0.05
"""Seconds between looks at a silent command, whose end need not close a pipe that others hold."""

_PIECE = 1 << 16

Invocation = Literal["ORDER", "HOSTNAME", "ADDRESS"]
"""What is asked for: which keys there are before any is shown, those of a name, those of an address."""


def tag(invocation: Invocation) -> str:
    """What stands for a file's name where the lines came from the command."""
    return f"KnownHostsCommand-{invocation}"


def run(options: Options, log: Log, invocation: Invocation, host_name: str, key: PublicKey | None) -> HostFile:
    """What the command prints. `host_name` is looked for, `key` is the one the host shows, if it has.

    A command that is not there counts as one that prints nothing, as for ssh. Raises HostKeyError when it fails or
    takes longer than ConnectTimeout, or `COMMAND_SECONDS` without that; and ConfigError for a token that there is
    none of. Ctrl-C ends it. What it leaves running in the background is not waited for.
    """
    label = tag(invocation)
    argv = _argv(options, log, label, invocation, host_name, key)
    if not argv:
        return HostFile(label, b"")
    shown = " ".join(_quoted(word) for word in argv)
    log.debug3(f'{label} command "{shown}"')
    log.clear()  # it may have something to say on the terminal
    try:
        process = _started(argv)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "an argument holds a NUL"
        log.error(f'{label} execv "{shown}": {reason}')
        raise HostKeyError("KnownHostsCommand failed") from None
    seconds = options.connect_timeout or COMMAND_SECONDS
    try:
        end = time.monotonic() + seconds
        data = _output(process, end)
        status = process.wait(max(0.0, end - time.monotonic())) if len(data) <= MAX_FILE_SIZE else None
    except subprocess.TimeoutExpired:
        log.error(f"{label} {shown} did not end within {seconds} seconds")
        raise HostKeyError("KnownHostsCommand failed") from None
    finally:
        if process.returncode is None:  # Ctrl-C, or no end in sight
            process.kill()
            process.wait()
    if status is None:
        log.error(f"{label} {shown} prints more than 64 MiB")
    elif status < 0:
        log.error(f"{label} {shown} exited on signal {-status}")
    elif status:
        log.info(f"{label} {shown} failed, status {status}")
    if status != 0:
        raise HostKeyError("KnownHostsCommand failed")
    return HostFile(label, data)


def _started(argv: list[str]) -> subprocess.Popen[bytes]:
    """The command running. A Ctrl-C meanwhile counts when it is known whom it has to end."""
    found = signal.getsignal(signal.SIGINT)
    held: list[int] = []
    if found is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, found)
    if held:
        process.kill()
        process.wait()
        raise KeyboardInterrupt
    return process


def _output(process: subprocess.Popen[bytes], end: float) -> bytes:
    """What the command prints until it ends or closes its stdout, as far as beyond `MAX_FILE_SIZE`. Raises
    TimeoutExpired at the time `end`."""
    assert process.stdout is not None
    data = bytearray()
    with process.stdout as pipe:
        os.set_blocking(pipe.fileno(), False)
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        while len(data) <= MAX_FILE_SIZE:
            if (left := end - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            is_over = process.poll() is not None  # asked first: all that it printed is in the pipe then
            try:
                piece = os.read(pipe.fileno(), _PIECE)
            except BlockingIOError:
                if is_over:
                    break
                waiting.poll(min(left, _GLANCE) * 1000)
                continue
            if not piece:
                break
            data += piece
    return bytes(data)


def _argv(
    options: Options, log: Log, label: str, invocation: Invocation, host_name: str, key: PublicKey | None
) -> list[str]:
    """The program and its arguments, tokens expanded in the latter; nothing where it cannot be run at all."""
    configured = options.known_hosts_command or ""
    try:
        words = split_words(configured, comments=False)
    except InvalidQuotesError:
        log.error(f'{label} "{configured}" contains invalid quotes')
        return []
    if not words:
        log.error(f'{label} "{configured}" yielded no arguments')
        return []
    known = options.tokens.extended(
        H=host_name,
        I=invocation,
        t=key.type if key else "NONE",
        f=key.fingerprint(options.fingerprint_hash) if key else "NONE",
        K=binascii.b2a_base64(key.blob, newline=False).decode("ascii") if key else "NONE",
    )
    letters = TOKEN_RULES["knownhostscommand"].letters or ""
    program, *rest = words
    argv = [program]
    argv += (known.expand(word, allowed=letters, environment=True, where="KnownHostsCommand") for word in rest)
    if not program.startswith("/"):
        log.error(f"{label} path is not absolute")
        return []
    try:
        os.stat(program)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the path holds a NUL"
        log.error(f'Could not stat {label} "{program}": {reason}')
        return []
    return argv


def _quoted(word: str) -> str:
    """A word as ssh shows it in a command."""
    if word and not set(word) & set(" \t'\"\\"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
