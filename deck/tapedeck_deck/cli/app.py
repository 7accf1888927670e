"""The command line application: its commands, and how it reports errors."""

from __future__ import annotations

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from tapedeck_crds.errors import TapedeckError
from tapedeck_deck.cli import INTERRUPTED
from tapedeck_deck.cli.commands import deck, files, objects, runs, store
from tapedeck_deck.cli.context import HomeOption, print_note


class CommandGroup(TyperGroup):
    """Prints an error that the user can correct as one message on standard error, and exits with code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TapedeckError as error:
            print_note(f"error: {error}")
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of the output has left
            from tapedeck_deck.embedded.problems import describe

            print_note(f"error: {describe(error)}")
        except KeyboardInterrupt:
            print_note("")
            raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(1)


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback()
def root(context: typer.Context, home: HomeOption = None) -> None:
    """Market data with the controls of a tape deck, on this machine.

    \b
    Start here:
      tapedeck up                              start broker, database, recorder and page
      tapedeck apply -f examples/replay.yaml   apply the same YAML as with kubectl
      tapedeck get all -w                      watch the replay
      tapedeck patch replay coinbase-sample --speed 60
      tapedeck down
    """
    context.obj = home


for _command in (
    deck.up,
    deck.down,
    objects.apply,
    objects.get,
    objects.describe,
    objects.errors,
    objects.gaps,
    store.symbols,
    store.sql,
    store.psql,
    store.export,
    objects.patch,
    objects.delete,
    store.rm,
    runs.fetch,
    runs.rerun,
    objects.logs,
    deck.status,
    runs.check,
    runs.strategies,
    deck.migrate,
    deck.backup,
    deck.restore,
    deck.demo,
):
    app.command()(_command)
app.command("import")(files.import_files)
