"""Reading the rows of an export from the store and writing them, a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tapedeck_deck.cli.context import print_note
from tapedeck_deck.cli.exports.folder_writer import FolderWriter
from tapedeck_deck.cli.exports.format import RowWriter
from tapedeck_deck.cli.exports.kinds import ExportColumn
from tapedeck_deck.cli.exports.outputs import STDOUT, output_folder, standard_output, whole_file
from tapedeck_deck.cli.exports.request import ExportRequest
from tapedeck_deck.cli.exports.selection import run_id_of, statement
from tapedeck_deck.cli.store_query import snapshot, store_errors
from tapedeck_deck.embedded.errors import DeckError

BATCH_ROWS = 20_000
PROGRESS_SECONDS = 2.0


def export(dsn: str, request: ExportRequest) -> int:
    """Write the rows as of one moment, and say how many; returns their number. Raises DeckError where there are none.

    A cursor of the server gives batches, so that memory is bounded whatever the number of rows.
    """
    kind = request.kind
    columns = request.format.columns(kind, request.selection)
    progress = _Progress()
    with store_errors(), snapshot(dsn) as connection, connection.cursor(name="export", binary=True) as cursor:
        selection = request.selection
        if selection.run is not None:
            selection = replace(selection, run=run_id_of(connection, selection.run))
        cursor.execute(statement(kind, columns, selection))
        rows = cursor.fetchmany(BATCH_ROWS)
        if not rows:
            hint = "; `tapedeck symbols` lists what the store has" if kind.name in ("bars", "trades") else ""
            raise DeckError(f"no {kind.name} match{hint}")
        with _writer(request, columns) as writer:
            while rows:
                writer.write(rows)
                progress.add(len(rows))
                rows = cursor.fetchmany(BATCH_ROWS)
            writer.close()
    where = "standard output" if request.output == STDOUT else request.output
    print_note(f"{progress.rows:,} {kind.name} exported to {where} as {request.format.name}")
    return progress.rows


@contextmanager
def _writer(request: ExportRequest, columns: tuple[ExportColumn, ...]) -> Iterator[RowWriter]:
    """The writer of a request, whose output appears at the end of the block."""
    open_writer = request.format.open_writer
    if request.layout is not None:
        with output_folder(Path(request.output), empty=request.empty) as folder:
            yield FolderWriter(folder, columns, request.layout(columns), open_writer)
    elif request.output == STDOUT:
        with standard_output(binary=request.format.binary) as stream:
            yield open_writer(stream, columns)
    else:
        with whole_file(Path(request.output)) as stream:
            yield open_writer(stream, columns)


class _Progress:
    """Counts rows, and prints their number every two seconds; nothing where it takes less."""

    def __init__(self) -> None:
        self.rows = 0
        self._started = self._printed = time.monotonic()

    def add(self, rows: int) -> None:
        self.rows += rows
        now = time.monotonic()
        if now - self._printed >= PROGRESS_SECONDS:
            self._printed = now
            print_note(f"{now - self._started:.0f} s: {self.rows:,} rows")
