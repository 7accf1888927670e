"""Writing the rows of many files, one after the other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from itertools import groupby

from tapedeck_deck.cli.exports.batch import Batch, rows_of
from tapedeck_deck.cli.exports.format import FolderLayout, OpenWriter, RowWriter
from tapedeck_deck.cli.exports.kinds import ExportColumn, Row
from tapedeck_deck.cli.exports.outputs import OutputFolder
from tapedeck_deck.embedded.errors import DeckError


class FolderWriter(RowWriter):
    """Writes each row to its file; one file is open at a time."""

    def __init__(
        self, folder: OutputFolder, columns: Sequence[ExportColumn], layout: FolderLayout, open_writer: OpenWriter
    ) -> None:
        self._folder = folder
        self._layout = layout
        self._open_writer = open_writer
        self._kept = [list(columns).index(column) for column in layout.kept]
        self._current: Hashable = None
        self._writer: RowWriter | None = None
        self._file = ExitStack()

    def write(self, batch: Batch) -> None:
        """Write rows to their files. Raises DeckError where two series would share one."""
        kept, start = batch.select(self._kept), 0
        for key, group in groupby(rows_of(batch), self._layout.key):
            own = list(group)
            if self._writer is None or key != self._current:
                self.close()
                self._writer, self._current = self._open(own[0]), key
            self._writer.write(kept.slice(start, len(own)))
            start += len(own)

    def close(self) -> None:
        """End the last file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._file.close()

    def _open(self, first: Row) -> RowWriter:
        path = self._layout.path(first)
        try:
            stream = self._file.enter_context(self._folder.file(path))
        except FileExistsError:
            raise DeckError(
                f"{path}: got rows of two series, whose files have one name in this format; export them one by one, "
                "by --exchange, --symbol and --interval"
            ) from None
        return self._open_writer(stream, self._layout.kept)
