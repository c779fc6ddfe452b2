"""What a Tab offers on a pyssh command line: from the words before the cursor to what a shell can show.

The shells' own parts are in completions/: they hand the words over and show the answer. Nothing is connected to
here, no command is run, and nothing goes wrong aloud. Each Tab starts Python anew, so that little may be imported:
loading the tables of `cli` and `config` would take longer than all of this.
"""

from __future__ import annotations

import os

SCRIPTS = {
    "bash": ("pyssh.bash", "bash-completion/completions/pyssh"),
    "zsh": ("_pyssh", "zsh/site-functions/_pyssh"),
    "fish": ("pyssh.fish", "fish/vendor_completions.d/pyssh.fish"),
}
"""The shells' own parts: their names in completions/, and below share/ where they are installed."""


def answer(shell: str, words: list[str]) -> str:
    """What `pyssh --complete SHELL WORD ...` prints.

    `words` are those of the command line with their quotes, from pyssh itself to the one at the cursor; for bash,
    which cuts words at more places than white space, the part of the last that it has cut off stands in front.
    Without any words, the shell's own part is printed, for people to load.
    """
    if not words:
        return script(shell)
    from pyssh_cli.completion import shells

    return shells.RENDERERS[shell](words)


def script(shell: str) -> str:
    """The shell's own part: of the source tree we are in, or of the installation."""
    above = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    prefix = os.path.dirname(os.path.dirname(os.path.dirname(above)))  # of PREFIX/lib/python3.11/site-packages
    here, installed = SCRIPTS[shell]
    for path in (f"{above}/completions/{here}", f"{above}/share/{installed}", f"{prefix}/share/{installed}"):
        try:
            with open(path, encoding="utf-8") as file:
                return file.read()
        except OSError:
            continue
    return ""
