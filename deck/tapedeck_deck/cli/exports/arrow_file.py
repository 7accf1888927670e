"""Arrow's IPC file, which is Feather version 2: pandas, polars and pyarrow map it into memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa

from tapedeck_deck.cli.exports.arrow_table import ArrowWriter
from tapedeck_deck.cli.exports.format import ExportFormat
from tapedeck_deck.cli.exports.kinds import ExportColumn


def arrow_writer(stream: BinaryIO, columns: Sequence[ExportColumn]) -> ArrowWriter:
    """A writer of one file, compressed by LZ4."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    return ArrowWriter(columns, lambda schema: pa.ipc.new_file(stream, schema, options=options))


FORMAT = ExportFormat("arrow", arrow_writer, (".arrow", ".feather"))
