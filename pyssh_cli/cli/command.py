"""The command as click knows it: its options from the flags' table, its parser.

ssh's grammar has flags before and behind the destination, and none in the command; so click's parser is run on
each of the two places, and `invocation` puts together what it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from pyssh_cli.cli import perform
from pyssh_cli.cli.acts import Invocation
from pyssh_cli.cli.flags import FLAGS, LONG_FLAGS, Flag
from pyssh_cli.cli.invocation import UsageError, parse
from pyssh_cli.log import Log, printable


class SshCommand(click.Command):
    """A click command with ssh's grammar, and our own help."""

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `args` and leave the Invocation in `ctx.obj`, where a Log may have been left for it."""
        log = ctx.obj if isinstance(ctx.obj, Log) else Log()
        parser = self.make_parser(ctx)
        _spare_errors(parser)
        ctx.obj = parse(args, log, lambda words: self._read_flags(parser, words))
        return []

    @staticmethod
    def _read_flags(parser: Any, words: list[str]) -> tuple[list[tuple[Flag, str]], list[str], bool]:
        """The flags at the front of `words` (see `invocation.ReadFlags`)."""
        try:
            values, rest, order = parser.parse_args(list(words))
        except click.NoSuchOption as error:
            name = error.option_name
            told = f" (there is no {printable(name)}; --help lists all)" if name.startswith("--") else ""
            raise UsageError(f"unknown option -- {name[1:2]}{told}") from None
        except click.BadOptionUsage as error:
            name = error.option_name
            raise UsageError(
                f"option requires an argument -- {name[2:] if name.startswith('--') else name[1:2]}"
            ) from None
        found: list[tuple[Flag, str]] = []
        for option in order:
            kind, _, name = str(option.name).partition("_")
            flag = FLAGS[name] if kind == "flag" else LONG_FLAGS[name]
            found.append((flag, values[option.name].pop(0) if flag.argument else ""))
        taken = len(words) - len(rest)
        # A "--" that is the argument of the last flag does not end them.
        ended = taken > 0 and words[taken - 1] == "--" and not (found and found[-1][1] == "--")
        return found, rest, ended

    def invoke(self, ctx: click.Context) -> Any:
        """Do what the command line says, and exit with its status."""
        ctx.exit(perform(ctx.obj))

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        """What --help prints: ours, by groups."""
        from pyssh_cli.cli.help import help_text

        return help_text()


def _spare_errors(parser: Any) -> None:
    """Have letters looked up as letters at once: click takes each flag for a long one first, and before it tries
    the letters it makes an error, for which it asks for the person's language and for similar names. That imports
    for 2 ms. A click that has no such method does without."""
    match_long = getattr(parser, "_match_long_opt", None)
    if match_long is None:
        return

    def match(name: str, value: str | None, state: Any) -> None:
        if not name.startswith("--"):
            raise click.NoSuchOption(name, "")
        match_long(name, value, state)

    parser._match_long_opt = match


def _option(flag: Flag) -> click.Option:
    """A flag as click declares it. All that take an argument may be repeated: which one counts is ssh's rule."""
    names = [f"{'flag' if len(flag.letter) == 1 else 'long'}_{flag.letter}", flag.spelled]
    if flag.argument:
        return click.Option(names, metavar=flag.argument, multiple=True, help=flag.help)
    return click.Option(names, count=True, help=flag.help)


pyssh = SshCommand(
    "pyssh",
    params=[_option(flag) for flag in (*FLAGS.values(), *LONG_FLAGS.values())],
    add_help_option=False,
)


def read(arguments: Sequence[str], log: Log) -> Invocation:
    """What a command line says. Raises UsageError, Answered, other PysshErrors.

    Not `pyssh.main`: what happens after reading is not click's, which has ways of its own with signals and pipes.
    """
    invocation: Invocation = pyssh.make_context("pyssh", list(arguments), obj=log).obj
    return invocation
