"""Parquet: one file, or a folder with the values of some columns in the names of its folders, as Hive has it.

DuckDB, polars, pyarrow and Spark read such a folder as one table, and only the files that a filter needs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import PurePath
from typing import BinaryIO
from urllib.parse import quote

import pyarrow.parquet as pq

from tapedeck_crds.intervals import DAY_MS
from tapedeck_deck.cli.context import WrongArgument
from tapedeck_deck.cli.exports.arrow_table import ArrowWriter
from tapedeck_deck.cli.exports.format import ExportFormat, FolderLayout
from tapedeck_deck.cli.exports.kinds import ExportColumn, ExportKind, Row

PERIODS = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d"}
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # an empty text: a name of a folder needs one


def parquet_writer(stream: BinaryIO, columns: Sequence[ExportColumn]) -> ArrowWriter:
    """A writer of one file with statistics for each group of rows."""
    return ArrowWriter(columns, lambda schema: pq.ParquetWriter(stream, schema, compression="zstd"))


def partition_names(kind: ExportKind) -> list[str]:
    """What a folder of the kind can be partitioned by: its short texts, and the periods of its time."""
    names = ("exchange", "symbol", "interval", "series", "run_id")
    return [name for name in names if kind.has(name)] + list(PERIODS)


def partitioned(kind: ExportKind, partition: Sequence[str]) -> Callable[[Sequence[ExportColumn]], FolderLayout]:
    """The layout of a folder like symbol=BTC%2FUSD/month=2018-04. Raises WrongArgument for an unknown name."""
    possible = partition_names(kind)
    for name in partition:
        if name not in possible:
            raise WrongArgument(f"--partition: got {name!r}, expected some of {', '.join(possible)}")
    if len(set(partition)) < len(partition):
        raise WrongArgument(f"--partition: got {','.join(partition)}, expected each name once")
    return lambda columns: _layout(kind, partition, columns)


def _layout(kind: ExportKind, partition: Sequence[str], columns: Sequence[ExportColumn]) -> FolderLayout:
    names = [column.name for column in columns]
    values = [_value_of(name, names, kind.time) for name in partition]
    number = count()

    def key(row: Row) -> Hashable:
        return tuple(value(row) for value in values)

    def path(row: Row) -> PurePath:
        folders = [f"{name}={_quoted(value(row))}" for name, value in zip(partition, values, strict=True)]
        return PurePath(*folders, f"part-{next(number):05}.parquet")

    return FolderLayout(key, path, tuple(column for column in columns if column.name not in partition))


def _value_of(name: str, names: Sequence[str], time: str) -> Callable[[Row], str]:
    if name in PERIODS:
        form, place = PERIODS[name], names.index(time)
        return lambda row: _period(form, row[place] // DAY_MS)
    place = names.index(name)
    return lambda row: str(row[place])


@lru_cache(maxsize=4_096)
def _period(form: str, day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS // 1000, UTC).strftime(form)


def _quoted(value: str) -> str:
    return quote(value, safe="") if value else _NO_VALUE


FORMAT = ExportFormat("parquet", parquet_writer, (".parquet",))
