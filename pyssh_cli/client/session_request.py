"""What a session asks the server for: a terminal, an environment, and what is to run (RFC 4254 section 6)."""

from __future__ import annotations

import os
import termios

from pyssh_cli.config.options import Options
from pyssh_cli.config.patterns import matches_pattern
from pyssh_cli.log import Log
from pyssh_cli.protocol.channels import Channel, Channels
from pyssh_cli.terminal.modes import NO_MODES, encode_modes
from pyssh_cli.terminal.raw import window_size
from pyssh_cli.wire import string, text, uint32

STDIN = 0


def wants_tty(options: Options, log: Log) -> bool:
    """Whether to ask for a pty (RequestTTY, -t, -T)."""
    if options.session_type == "none":
        return False
    if options.request_tty == "force":
        return True
    wants = options.request_tty == "yes" or (
        options.request_tty == "auto" and options.command is None and options.session_type == "default"
    )
    if wants and (options.stdin_null or not os.isatty(STDIN)):
        log.info("Pseudo-terminal will not be allocated because stdin is not a terminal.")
        return False
    return wants


def purpose_of(options: Options) -> str:
    """What ChannelTimeout may call the session's channel more closely."""
    if options.session_type == "subsystem":
        return f"session:subsystem:{options.command}"
    return "session:shell" if options.command is None else "session:command"


def terminal_type(options: Options) -> str:
    """What kind of terminal the remote side is to write for (TERM)."""
    return dict(options.set_env).get("TERM") or os.environ.get("TERM", "")


def environment(options: Options) -> list[tuple[str, str]]:
    """What SendEnv lets through, then what SetEnv says: the later one counts."""
    sent = [
        (name, value)
        for name, value in os.environ.items()
        if any(matches_pattern(name, pattern) for pattern in options.send_env)
    ]
    return [*sent, *options.set_env]


def request_pty(options: Options, channels: Channels, channel: Channel) -> tuple[int, int, int, int]:
    """Ask for a pty (section 6.2), and return the size told; without a terminal of ours the modes are the
    server's own."""
    try:
        modes = encode_modes(termios.tcgetattr(STDIN))
    except termios.error:
        modes = NO_MODES
    size = window_size(STDIN)
    fields = text(terminal_type(options)) + b"".join(map(uint32, size)) + string(modes)
    channels.request(channel, "pty-req", fields, want_reply=True)
    return size


def request_program(options: Options, log: Log, channels: Channels, channel: Channel) -> None:
    """Ask for the environment and for what is to run in it: a shell, a command or a subsystem (6.4, 6.5)."""
    for name, value in environment(options):
        log.debug1(f'channel 0: setting env {name} = "{value}"')
        channels.request(channel, "env", text(name) + text(value))
    if options.command is None:
        log.debug1("Requesting a shell")
        channels.request(channel, "shell", want_reply=True)
    elif options.session_type == "subsystem":
        log.debug1(f"Sending subsystem: {options.command}")
        channels.request(channel, "subsystem", text(options.command), want_reply=True)
    else:
        log.debug1(f"Sending command: {options.command}")
        channels.request(channel, "exec", text(options.command), want_reply=True)
