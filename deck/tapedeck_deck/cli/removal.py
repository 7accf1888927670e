"""`tapedeck rm`: remove stored bars or trades, after a question that says which."""

from __future__ import annotations

import sys

from tapedeck_common.market import recorded_market
from tapedeck_common.store.removal import RowSelection, SelectedRows, remove_rows, selected_rows
from tapedeck_crds.base import format_ms
from tapedeck_crds.json import Json
from tapedeck_crds.resource import is_finished
from tapedeck_deck.cli.context import open_objects
from tapedeck_deck.cli.printing import ask, print_note, print_text
from tapedeck_deck.cli.store_query import connect, reader_dsn, snapshot, store_errors
from tapedeck_deck.embedded.errors import DeckError
from tapedeck_deck.embedded.postgres import Postgres
from tapedeck_deck.embedded.state_dir import StateDir


def remove(home: StateDir, selection: RowSelection, *, confirmed: bool) -> None:
    """Say what is removed, ask unless it is ``confirmed``, and remove it. Raises DeckError where nothing is removed."""
    with store_errors(), snapshot(reader_dsn(home)) as connection:
        found = selected_rows(connection, selection)
    if not found:
        raise DeckError(f"no {selection.table} match: `tapedeck symbols` lists what the store has")
    for line in removal_lines(selection, found):
        print_note(line)
    writers = _writers(home, selection)
    if writers:
        print_note(f"still storing this exchange: {', '.join(writers)}; delete it first, else it may bring them back")
    if not confirmed:
        _ask(sum(each.rows for each in found), selection)
    # The owner of the tables: no workload's role may delete.
    with store_errors(), connect(Postgres(home.database).dsn()) as connection:
        removed = remove_rows(connection, selection)
    print_text(f"{_counted(removed, selection)} removed")
    print_note("results of runs and transforms stay, and so do records on topics; reload open charts of the page")


def removal_lines(selection: RowSelection, found: list[SelectedRows]) -> list[str]:
    """A line for each interval: how many rows of which time."""
    return [
        f"{_counted(each.rows, selection)} of {selection.exchange} {selection.symbol}"
        + (f" {each.interval}" if each.interval else "")
        + f", {format_ms(each.first)} to {format_ms(each.last)}"
        for each in found
    ]


def writes_to(document: Json, exchange: str) -> bool:
    """Whether a resource is not over and stores rows of an exchange."""
    if is_finished(document):
        return False
    spec = document["spec"]
    if document["kind"] == "Replay":
        return bool(spec.get("record")) and exchange == recorded_market(document["metadata"]["name"])
    files = (spec.get("source") or {}).get("files") or {}
    return exchange in (spec.get("exchange"), files.get("exchange"))


def _writers(home: StateDir, selection: RowSelection) -> list[str]:
    with open_objects(home) as objects:
        documents = [*objects.list("Feed"), *objects.list("Replay")]
    return [f"{each['kind']} {each['metadata']['name']}" for each in documents if writes_to(each, selection.exchange)]


def _ask(rows: int, selection: RowSelection) -> None:
    if not sys.stdin.isatty():
        raise DeckError("nothing was removed: standard input is no terminal to answer on; add --yes to remove them")
    if not ask(f"remove {_counted(rows, selection)}?"):
        raise DeckError("nothing was removed")


def _counted(rows: int, selection: RowSelection) -> str:
    return f"{rows:,} {selection.table if rows != 1 else selection.table.removesuffix('s')}"
