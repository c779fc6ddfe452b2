"""The command as click knows it: its options from the flags' table, its parser, its help.

ssh's grammar has flags before and behind the destination, and none in the command; so click's parser is run on
each of the two places, and `invocation` puts together what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from pyssh_cli.cli import perform
from pyssh_cli.cli.acts import Answered, Invocation, version_line
from pyssh_cli.cli.flags import FLAGS, GROUPS, OWN_FLAGS, Flag
from pyssh_cli.cli.invocation import UsageError, parse
from pyssh_cli.log import Log


class SshCommand(click.Command):
    """A click command with ssh's grammar and a help that goes by groups."""

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `args` and leave the Invocation in `ctx.obj`, where a Log may have been left for it."""
        log = ctx.obj if isinstance(ctx.obj, Log) else Log()
        parser = self.make_parser(ctx)
        ctx.obj = parse(args, log, lambda words: self._read_flags(ctx, parser, words))
        return []

    def _read_flags(
        self, ctx: click.Context, parser: Any, words: list[str]
    ) -> tuple[list[tuple[Flag, str]], list[str], bool]:
        """The flags at the front of `words` (see `invocation.ReadFlags`)."""
        try:
            values, rest, order = parser.parse_args(list(words))
        except click.NoSuchOption as error:
            raise UsageError(f"unknown option -- {error.option_name[1:2]}") from None
        except click.BadOptionUsage as error:
            raise UsageError(f"option requires an argument -- {error.option_name[1:2]}") from None
        found: list[tuple[Flag, str]] = []
        for option in order:
            if option.name == "help":
                raise Answered(self.get_help(ctx))
            if option.name == "version":
                raise Answered(version_line())
            kind, _, name = str(option.name).partition("_")
            flag = FLAGS[name] if kind == "flag" else OWN_FLAGS[name]
            found.append((flag, values[option.name].pop(0) if flag.argument else ""))
        taken = len(words) - len(rest)
        # A "--" that is the argument of the last flag does not end them.
        ended = taken > 0 and words[taken - 1] == "--" and not (found and found[-1][1] == "--")
        return found, rest, ended

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
                    f"{flag.spelled} {flag.argument}".rstrip(),
                    flag.help + ("" if flag.ready else " Not supported yet."),
                )
                for flag in (*FLAGS.values(), *OWN_FLAGS.values())
                if flag.group == group
            ]
            with formatter.section(group):
                formatter.write_dl(rows)
        with formatter.section("Help"):
            formatter.write_dl([("--help", "Show this and exit."), ("--version", "Show the version and exit.")])


def _option(flag: Flag) -> click.Option:
    """A flag as click declares it. All that take an argument may be repeated: which one counts is ssh's rule."""
    names = [f"{'flag' if len(flag.letter) == 1 else 'long'}_{flag.letter}", flag.spelled]
    if flag.argument:
        return click.Option(names, metavar=flag.argument, multiple=True, help=flag.help)
    return click.Option(names, count=True, help=flag.help)


pyssh = SshCommand(
    "pyssh",
    params=[
        *(_option(flag) for flag in (*FLAGS.values(), *OWN_FLAGS.values())),
        click.Option(["--help"], is_flag=True, help="Show this and exit."),
        click.Option(["--version"], is_flag=True, help="Show the version and exit."),
    ],
    help=(
        "Log in to a remote machine, or run a command on it, over SSH. The destination is [user@]host or "
        "ssh://[user@]host[:port]; without a command it is a login shell."
    ),
    epilog="Configuration is read from ~/.ssh/config and /etc/ssh/ssh_config, as ssh_config(5) describes.",
    add_help_option=False,
)


def read(arguments: Sequence[str], log: Log) -> Invocation:
    """What a command line says. Raises UsageError, Answered, other PysshErrors.

    Not `pyssh.main`: what happens after reading is not click's, which has ways of its own with signals and pipes.
    """
    invocation: Invocation = pyssh.make_context("pyssh", list(arguments), obj=log, max_content_width=100).obj
    return invocation
