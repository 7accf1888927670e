"""What every command starts from: the deck's home, its objects, and how to talk to people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.home import Home

if TYPE_CHECKING:
    from tapedeck_deck.embedded.objects import Objects

DEFAULT_HOME = ".tapedeck"
DOWN = "the deck is not running: `tapedeck up` starts it"

FilesOption = Annotated[
    list[str], typer.Option("--filename", "-f", metavar="FILE", help="A file, a folder of them, or - (repeatable).")
]
HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="FOLDER", help="The deck's folder. [env: TAPEDECK_HOME; default: .tapedeck here]"),
]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Namespace of the resources.")]


def home_of(option: Path | None) -> Home:
    """The home that is meant: the option, else TAPEDECK_HOME, else .tapedeck in the current folder."""
    return Home.at(option or os.environ.get("TAPEDECK_HOME") or DEFAULT_HOME)


def say(text: str) -> None:
    """A line for people: on standard error, so that standard output holds data alone."""
    print(text, file=sys.stderr)


@contextmanager
def opened(home: Home, *, make: bool = False) -> Iterator[Objects]:
    """The home's objects. With ``make`` a new home is made; else DeckError where there is none."""
    from tapedeck_deck.embedded.objects import Objects

    if not make and not home.objects.exists():
        raise DeckError(f"no deck in {home.root}: `tapedeck up` makes one, --home names another")
    home.prepare()
    objects = Objects(home.objects)
    try:
        yield objects
    finally:
        objects.close()


def note_if_down(home: Home) -> None:
    """Say so where the deck does not run: nothing acts on what is written until it does."""
    if home.running() is None:
        say("the deck is still starting" if home.locked() else DOWN)
