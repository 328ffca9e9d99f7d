"""The entry point: which command was meant, and what happens when one fails."""

from __future__ import annotations

import re
import sys
import traceback
from difflib import get_close_matches
from importlib import import_module

import click

from chainrule.cli.terminal import write_utf8
from chainrule.errors import ChainruleError

COMMANDS = ("derive", "check", "train", "predict")  # each a function of that name in the module of that name
IN_OPTIONS = (("shapes=", "--shape"), ("names={…}", "--name"))  # what a hint calls an argument, and its option here
BUG = "chainrule: this is a bug in chainrule, not in your input. Please report it with the lines above."


class Refused(click.ClickException):
    """Input that a command cannot work with: the error's own words on standard error, exit code 2."""

    exit_code = 2

    def show(self, file: object = None) -> None:
        """Write the message, with what could drive a terminal taken out."""
        click.echo(printable(self.message), err=True)


class Commands(click.Group):
    """The commands, each imported when it is called, so that `derive` does not wait for what only `train` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"chainrule.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command named first, or say which one may have been meant."""
        if self.get_command(ctx, args[0]) is None:
            ctx.fail(f"There is no command {printable(args[0])[:60]!r}. {suggestion(args[0])}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what the user can put right becomes a message and exit code 2."""
        try:
            return super().invoke(ctx)
        except ChainruleError as error:
            raise Refused(in_options(str(error))) from None


def in_options(message: str) -> str:
    """Return a message with the options of the command line in place of Python's arguments."""
    for argument, option in IN_OPTIONS:
        message = message.replace(argument, option)
    return message


def suggestion(word: str) -> str:
    """Return what to try in place of a command that does not exist."""
    if not word.isidentifier():
        return "To derive a formula: chainrule derive FORMULA"
    near = get_close_matches(word.lower(), COMMANDS, 1)
    return f"Did you mean {near[0]!r}?" if near else f"The commands are {', '.join(COMMANDS)}."


def printable(text: str) -> str:
    """Return the text with control characters replaced: a formula must not drive the reader's terminal."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", "\ufffd", text)


def show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the version and end."""
    if wanted and not ctx.resilient_parsing:
        from chainrule import __version__

        click.echo(f"chainrule {__version__}")
        ctx.exit()


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
)
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Matrix calculus that shows its work.

    Without a command: the tour. It derives the gradient of a neuron's cost step by step, checks every step with
    numbers, trains the neuron on real data with the result, and writes the plot to chainrule-tour.png.

    \b
    chainrule derive "norm(A @ x - b)**2" --wrt x
    chainrule check homework.md
    chainrule train houses.csv --target price
    """
    if ctx.invoked_subcommand is None:
        from chainrule.cli.tour import tour

        tour()


def main() -> None:
    """Run the command line."""
    write_utf8()
    try:
        commands(prog_name="chainrule")
    except Exception:
        traceback.print_exc()
        click.echo(BUG, err=True)
        sys.exit(70)
