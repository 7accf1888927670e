"""Shared by all commands: their common options, the deck's state folder and its objects, and messages to the user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.state_dir import StateDir

if TYPE_CHECKING:
    from tapedeck_deck.embedded.objects import Objects

DEFAULT_HOME = ".tapedeck"
NOT_RUNNING = "the deck is not running: `tapedeck up` starts it"

FilesOption = Annotated[
    list[str],
    typer.Option("--filename", "-f", metavar="FILE", help="A file, a folder of files, or - for stdin (repeatable)."),
]
HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="FOLDER", help="The deck's folder. [env: TAPEDECK_HOME; default: ./.tapedeck]"),
]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Namespace of the resources.")]


def resolve_home(option: Path | None) -> StateDir:
    """The deck's folder: the option, else TAPEDECK_HOME, else .tapedeck in the current folder."""
    return StateDir.at(option or os.environ.get("TAPEDECK_HOME") or DEFAULT_HOME)


class WrongArgument(DeckError):
    """An argument or an option of the command line is none that the command takes: it exits with code 2."""


def print_errors(errors: Sequence[DeckError]) -> None:
    """Print the errors of those of several targets that failed."""
    for error in errors:
        print_note(f"error: {error}")


def fail_with(errors: Sequence[DeckError]) -> None:
    """Print errors and exit with code 1; without errors do nothing."""
    print_errors(errors)
    if errors:
        raise typer.Exit(1)


@contextmanager
def open_objects(home: StateDir, *, create: bool = False) -> Iterator[Objects]:
    """The objects of a deck's folder. Raises DeckError if the folder does not exist, unless ``create``."""
    from tapedeck_deck.embedded.objects import Objects

    if not create and not home.objects.exists():
        raise DeckError(f"no deck in {home.root}: `tapedeck up` creates one, --home selects another folder")
    home.prepare()
    objects = Objects(home.objects)
    try:
        yield objects
    finally:
        objects.close()


def note_if_not_running(home: StateDir) -> None:
    """Print a note if the deck does not run: changes take effect only when it does."""
    if home.running() is None:
        print_note("the deck is still starting" if home.locked() else NOT_RUNNING)
