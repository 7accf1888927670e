"""The steps of `tapedeck import`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tapedeck_crds.files import FileColumns
from tapedeck_crds.json import Json
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.feed_runs import run_feeds
from tapedeck_deck.cli.imports import report
from tapedeck_deck.cli.imports.stored import wait_stored
from tapedeck_deck.cli.output import DOCUMENTS, as_text, as_yaml_stream
from tapedeck_deck.cli.printing import print_text
from tapedeck_deck.cli.progress import shown_progress
from tapedeck_deck.embedded.documents import Document
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_deck.inspection.document import document
from tapedeck_deck.inspection.feeds import feeds, new_name
from tapedeck_deck.inspection.inspect import Declared, Found, Looked, look
from tapedeck_deck.inspection.listed import Listed

SKIP = "-"


@dataclass(frozen=True)
class Import:
    """An import of files with what the user declares of them."""

    home: StateDir
    listed: Listed
    declared: Declared
    console: Console

    def look(self) -> Looked:
        """Read the files. Raises DeckError."""
        with shown_progress("reading the files") as show:
            return look(self.listed, self.declared, lambda path: show(f"reading {path}"))

    def described(self, looked: Looked, form: str) -> str:
        """What was found, as text, JSON or YAML."""
        return as_text(document(looked), form) if form in DOCUMENTS else "\n".join(report.lines(looked))

    def write(self, looked: Looked, target: Path) -> None:
        """Write the Feeds as YAML. Their paths are relative to the files' folder."""
        documents = feeds(looked.found, "import")
        text = as_yaml_stream(documents)
        if str(target) == "-":
            print_text(text, end="")
        else:
            target.write_text(f"# Apply it in, or mount, {self.listed.root}: paths are relative to it.\n{text}")

    def run(self, looked: Looked) -> str:
        """Import, and return a summary. Raises DeckError."""
        documents = feeds(looked.found, new_name())
        applied = [Document("import", self.listed.root, feed) for feed in documents]
        statuses = run_feeds(self.home, applied, self.console)
        with shown_progress("waiting for the recorder to store the last rows"):
            for feed, status in zip(documents, statuses, strict=True):
                found = _of(feed, looked.found)
                symbols = sorted({symbol for each in found for symbol in each.symbols})
                wait_stored(self.home, feed, status, symbols, _span(found))
        return report.summary(statuses, looked.found)


def parse_columns(order: str | None, mapping: Sequence[str]) -> dict[str, str | int]:
    """The columns of fields: by their order, and by single assignments. Raises WrongArgument."""
    known = list(FileColumns.model_fields)
    found: dict[str, str | int] = {}
    for number, name in enumerate((order or "").split(",") if order else (), 1):
        if name.strip() != SKIP:
            found[_field("--columns", name.strip(), known)] = number
    for each in mapping:
        name, equals, column = each.partition("=")
        if not equals or not column:
            raise WrongArgument(f"--map: got {each!r}, expected FIELD=COLUMN, such as ts=Date")
        found[_field("--map", name, known)] = int(column) if column.isdigit() else column
    return found


def _field(option: str, name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise WrongArgument(f"{option}: got {name!r}, expected {', '.join(known)} or {SKIP}")
    return name


def _of(feed: Json, found: Sequence[Found]) -> list[Found]:
    paths = {each["path"] for each in feed["spec"]["source"]["files"]["sets"]}
    return [each for each in found if each.path in paths]


def _span(found: Sequence[Found]) -> tuple[int, int]:
    """The first and the last time of the files' rows, milliseconds UTC."""
    times = [ts for each in found for ts in (each.counted.first, each.counted.last) if ts is not None]
    return (min(times), max(times)) if times else (0, 0)
