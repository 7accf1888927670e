"""What `-f` names: files, folders and standard input; it refuses what is none of them, and says what to do."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.examples import hint_of_missing
from tapedeck_deck.embedded import documents
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.errors import DeckError

STDIN = "-"
_FETCHED = ("http://", "https://")


def read_sources(command: str, sources: Sequence[str], *, recursive: bool = False) -> list[Document]:
    """The documents of all sources of a command such as `apply`, as ``documents.read``.

    Raises WrongArgument for a URL, DeckError for what cannot be read.
    """
    for source in sources:
        _refuse_url(command, source)
        if source != STDIN and not Path(source).exists() and (hint := hint_of_missing(source)):
            raise DeckError(f"{source}: no such file or folder; {hint}")
    return documents.read(list(sources), recursive=recursive)


def _refuse_url(command: str, source: str) -> None:
    if "://" not in source:
        return
    piped = f"`curl -fsSL {shlex.quote(source)} | tapedeck {command} -f -` reads it"
    hint = piped if source.lower().startswith(_FETCHED) else "copy it into a file first"
    raise WrongArgument(f"--filename: got the URL {source}, expected a file, a folder or -; {hint}")
