"""Reading the rows of an export from the store and writing them, a batch at a time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from tapedeck_deck.cli.exports.copied_rows import copied_rows
from tapedeck_deck.cli.exports.folder_writer import FolderWriter
from tapedeck_deck.cli.exports.format import RowWriter
from tapedeck_deck.cli.exports.kinds import ExportColumn
from tapedeck_deck.cli.exports.outputs import STDOUT, output_folder, standard_output, whole_file
from tapedeck_deck.cli.exports.request import ExportRequest
from tapedeck_deck.cli.exports.selection import run_id_of, statement
from tapedeck_deck.cli.object_store import is_object, upload
from tapedeck_deck.cli.printing import print_note
from tapedeck_deck.cli.store_query import snapshot, store_errors
from tapedeck_deck.embedded.errors import DeckError

PROGRESS_SECONDS = 2.0


def export(dsn: str, request: ExportRequest) -> int:
    """Write the rows as of one moment; returns their number. Raises DeckError where there are none."""
    kind = request.kind
    columns = request.format.columns(kind, request.selection)
    progress = _Progress()
    with store_errors(), snapshot(dsn) as connection:
        selection = request.selection
        if selection.run is not None:
            selection = replace(selection, run=run_id_of(connection, selection.run))
        query = statement(kind, columns, selection)
        with closing(copied_rows(connection, query, columns)) as batches:
            first = next(batches, None)
            if first is None:
                hint = "; `tapedeck symbols` lists what the store has" if kind.name in ("bars", "trades") else ""
                raise DeckError(f"no {kind.name} match{hint}")
            with _writer(request, columns) as writer:
                for batch in chain([first], batches):
                    writer.write(batch)
                    progress.add(len(batch))
                writer.close()
    where = "standard output" if request.output == STDOUT else request.output
    print_note(f"{progress.rows:,} {kind.name} exported to {where} as {request.format.name}")
    return progress.rows


@contextmanager
def _writer(request: ExportRequest, columns: tuple[ExportColumn, ...]) -> Iterator[RowWriter]:
    """The writer of a request, whose output appears at the end of the block."""
    open_writer = request.format.open_writer
    if is_object(request.output):
        with tempfile.TemporaryDirectory(prefix="tapedeck-export-") as folder:
            local = Path(folder) / PurePosixPath(request.output).name
            with _writer(replace(request, output=str(local)), columns) as writer:
                yield writer
            upload(local, request.output)
    elif request.layout is not None:
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
