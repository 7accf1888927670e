"""The command line application: its commands, and how it reports errors."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tapedeck_crds.errors import TapedeckError
from tapedeck_deck.cli import INTERRUPTED
from tapedeck_deck.cli.commands import deck, files, objects, runs, show, store
from tapedeck_deck.cli.context import HomeOption, WrongArgument, resolve_home
from tapedeck_deck.cli.printing import print_note, print_text


class CommandGroup(TyperGroup):
    """Prints an error that the user can correct as one message on standard error, and exits with code 1 or 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except WrongArgument as error:
            print_note(f"error: {error}")
            raise typer.Exit(WRONG_ARGUMENTS) from None
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


WRONG_ARGUMENTS = 2
EXIT_CODES = """\b
Exit codes:
  0    done
  1    refused, failed, unhealthy or not found: the message says what to do
  2    wrong arguments
  130  Ctrl-C
"""


def _print_version(asked: bool) -> None:
    if asked:
        from tapedeck_common.version import VERSION

        print_text(f"tapedeck {VERSION}")
        raise typer.Exit


app = typer.Typer(
    cls=CommandGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def root(
    context: typer.Context,
    home: HomeOption = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Market data with the controls of a tape deck, on this machine.

    \b
    Start here:
      tapedeck up                    start broker, database, recorder and page
      tapedeck new examples          write ./examples, which a clone has
      tapedeck apply -f examples/    apply the same YAML as with kubectl
      tapedeck get all -w            watch the replay
      tapedeck patch replay coinbase-sample --speed 60
      tapedeck down
    """
    context.obj = home
    if context.invoked_subcommand is None:
        from tapedeck_deck.cli.next_steps import next_steps, step_lines

        print_text("\n".join(step_lines(next_steps(resolve_home(home)))))


for _command in (
    deck.up,
    deck.down,
    deck.prefetch,
    objects.new,
    objects.apply,
    show.get,
    show.describe,
    show.explain,
    show.errors,
    show.gaps,
    files.import_files,
    store.symbols,
    store.sql,
    store.psql,
    store.export,
    objects.patch,
    objects.delete,
    store.rm,
    runs.fetch,
    runs.rerun,
    runs.report,
    show.logs,
    deck.status,
    deck.doctor,
    deck.top,
    deck.page,
    runs.check,
    runs.strategies,
    deck.migrate,
    deck.backup,
    deck.restore,
    deck.reset,
    deck.demo,
):
    app.command("import" if _command is files.import_files else None)(_command)
