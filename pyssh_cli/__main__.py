"""`python -m pyssh_cli` and the console script `pyssh`: both are the command line of `cli`."""

from __future__ import annotations

import signal

# Until `cli` can tell it in a line, Ctrl-C ends us as it ends any program: at once, and with nothing to clean up.
# So nothing that takes time to load stands above this.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import gc
import os
import sys

import pyssh_cli

# Collecting garbage while modules load finds none and costs milliseconds; the session turns it on again.
gc.disable()


def _open_standard_descriptors() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed: no file or socket of ours may take their place."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _keep_to_ourselves() -> None:
    """Hand on nothing of what whoever started us has open beside the standard three; the background gives it up.

    A lock or the end of a pipe would be held by whatever we start for as long as that lives. ssh closes all at
    once; we may still be told to read one (`-F <(...)`).
    """
    try:
        open_now = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        return
    for fd in open_now:
        try:
            if fd > 2 and os.get_inheritable(fd):  # what Python opens is not (PEP 446)
                os.set_inheritable(fd, False)
                if not any(word.endswith(f"/fd/{fd}") for word in sys.argv):  # Reconnect reads it again
                    pyssh_cli.INHERITED.append(fd)
        except OSError:  # it was the directory's
            pass


def _forget_coerced_locale() -> None:
    """Take out the LC_CTYPE that Python gives itself in a C locale (PEP 538): SendEnv would send it, and what we
    start would have it. Where the environment that we were given cannot be read, it stays."""
    if os.environ.get("LC_CTYPE") not in {"C.UTF-8", "C.utf8", "UTF-8"}:
        return
    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read().split(b"\0")
    except OSError:
        return
    if not any(variable.startswith(b"LC_CTYPE=") for variable in given):
        del os.environ["LC_CTYPE"]


def _complete(shell: str, words: list[str]) -> None:
    """Print what a Tab offers (see `completion`) and exit; without a word when something goes wrong."""
    try:
        from pyssh_cli.completion import answer

        data = memoryview(answer(shell, words).encode("utf-8", "surrogateescape"))
        while data:
            data = data[os.write(1, data) :]
    except Exception:
        pass
    os._exit(0)


def main() -> None:
    """Run the process's own command line and exit with its code.

    The interpreter is not taken down piece by piece: that takes longer than many a remote command, and all that
    must be put back in order (the terminal, descriptors, files) has been by now.
    """
    if sys.argv[1:2] == ["--complete"] and sys.argv[2:3] in (["bash"], ["zsh"], ["fish"]):
        _complete(sys.argv[2], sys.argv[3:])
    _open_standard_descriptors()
    _keep_to_ourselves()
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # then nobody could tell how what we start has ended
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _forget_coerced_locale()
    from pyssh_cli.cli import main as run

    status = run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or never there
            pass
    os._exit(status)


if __name__ == "__main__":
    main()
