"""The command as click knows it: its options from the flags' table, its help, its way in for Python callers.

Reading arguments is ssh's own grammar (`invocation`), which click's parser cannot do: flags behind the
destination, and a command whose words are left alone. Loaded only when click is needed, for it costs more time
than reading the whole configuration.
"""

from __future__ import annotations

from typing import Any

import click

from pyssh_cli.cli import perform
from pyssh_cli.cli.flags import FLAGS, GROUPS
from pyssh_cli.cli.invocation import parse
from pyssh_cli.log import Log

_REPEATED = "iov"


class SshCommand(click.Command):
    """A click command with ssh's grammar and a help that goes by groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `args` and leave the Invocation in `ctx.obj`."""
        ctx.obj = parse(args, Log())
        return []

    def invoke(self, ctx: click.Context) -> Any:
        """Do what the command line says, and exit with its status."""
        ctx.exit(perform(ctx.obj))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """What stands behind the program's name in the usage."""
        return ["[OPTIONS]", "destination", "[command [argument ...]]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The flags, under the headings of the table."""
        for group in GROUPS:
            rows = [
                (
                    f"-{flag.letter} {flag.argument}".rstrip(),
                    flag.help + ("" if flag.act else " Not supported yet."),
                )
                for flag in FLAGS.values()
                if flag.group == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows)
        with formatter.section("Help"):
            formatter.write_dl([("--help", "Show this and exit."), ("--version", "Show the version and exit.")])


def _option(letter: str) -> click.Option:
    flag = FLAGS[letter]
    names = [f"flag_{letter}", f"-{letter}"]
    if flag.argument:
        return click.Option(names, metavar=flag.argument, multiple=letter in _REPEATED, help=flag.help)
    return click.Option(names, count=True, help=flag.help)


pyssh = SshCommand(
    "pyssh",
    params=[_option(letter) for letter in FLAGS],
    help=(
        "Log in to a remote machine, or run a command on it, over SSH. The destination is [user@]host or "
        "ssh://[user@]host[:port]; without a command it is a login shell."
    ),
    epilog="Configuration is read from ~/.ssh/config and /etc/ssh/ssh_config, as ssh_config(5) describes.",
    add_help_option=False,
)


def help_text() -> str:
    """What --help prints."""
    with click.Context(pyssh, info_name="pyssh", max_content_width=100) as ctx:
        return pyssh.get_help(ctx)
