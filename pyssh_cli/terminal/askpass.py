"""Asking through another program: SSH_ASKPASS and SSH_ASKPASS_REQUIRE (ssh(1), ENVIRONMENT).

For when there is no terminal, or the person prefers a window. When a question is due is up to `questions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pyssh_cli.log import printable

if TYPE_CHECKING:
    from pyssh_cli.log import Log

_DEFAULT_PROGRAM = "ssh-askpass"

CONFIRM = "confirm"
"""What SSH_ASKPASS_PROMPT tells a program that only a yes or a no is wanted of: its exit status can say that."""


def askpass_policy(environment: Mapping[str, str]) -> Literal["first", "fallback", "never"]:
    """When to ask by askpass: before the terminal is thought of, when there is no terminal, or never.

    SSH_ASKPASS_REQUIRE may be "force" (first), "prefer" (first where there is a display) or "never"; without it,
    and with anything else in it, a display makes askpass the fallback. An empty DISPLAY is none.
    """
    display = bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
    match environment.get("SSH_ASKPASS_REQUIRE", "").lower():
        case "force":
            return "first"
        case "prefer":
            return "first" if display else "never"
        case "never":
            return "never"
        case _:
            return "fallback" if display else "never"


def run_askpass(prompt: str, environment: Mapping[str, str], log: Log, hint: str = "") -> str | None:
    """What the askpass program prints up to its first line's end, when it is given `prompt` as its one argument.

    `hint` is SSH_ASKPASS_PROMPT, where there is one. None when it fails: it cannot be started, or not with this
    prompt (said as an error), or its exit status is not 0 (the person's "no").
    Bytes that are not UTF-8 come back as surrogate escapes. Ctrl-C ends the program and raises KeyboardInterrupt.
    """
    import subprocess

    if hint:
        environment = {**environment, "SSH_ASKPASS_PROMPT": hint}
    program = environment.get("SSH_ASKPASS") or _DEFAULT_PROGRAM
    log.clear()  # what there is may ask on the terminal
    try:
        argument = prompt.encode("utf-8", "surrogateescape")
        done = subprocess.run([program, argument], stdout=subprocess.PIPE, env=environment, check=False)
    except OSError as e:
        log.error(f"cannot run askpass program {program}: {e.strerror}")
        return None
    except ValueError as e:  # a NUL, or half a UTF-16 pair: no argument can hold them
        log.error(f"cannot run askpass program {program}: {printable(str(e))}")
        return None
    if done.returncode != 0:
        log.debug1(f"askpass program {program} gave no answer (status {done.returncode})")
        return None
    return done.stdout.replace(b"\r", b"\n").partition(b"\n")[0].decode("utf-8", "surrogateescape")
