"""Bars and trades in Parquet files, read in batches."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, BinaryIO, Literal, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from tapedeck_common.files.bounds import BUFFER_BYTES, check_rows
from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import InvalidTrade, side
from tapedeck_common.files.parquet_limits import PageLimits, check_footer
from tapedeck_common.files.source_files import READ_ERRORS, SourceFile, open_file, read_error
from tapedeck_common.files.text_tables import COLUMNS, lacks
from tapedeck_common.files.timestamps import TIME_END, FileTimes, Stamp
from tapedeck_common.market import Bar, Trade
from tapedeck_crds.base import Files
from tapedeck_crds.text import excerpt

BATCH_ROWS = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RecordT = TypeVar("RecordT", Bar, Trade)
Parsed: TypeAlias = tuple[int, RecordT] | ValueError
"""A record with its time in microseconds, or what is wrong with its row."""
Kind: TypeAlias = Literal["time", "number", "text"]
_BARS: dict[str, Kind] = {"ts": "time", **dict.fromkeys(COLUMNS[1:], "number"), "interval": "text"}
_TRADES: dict[str, Kind] = {"ts": "time", "id": "text", "price": "number", "amount": "number", "side": "text"}


def parquet_bars(files: Files, file: SourceFile, times: FileTimes) -> Iterator[tuple[int, Parsed[Bar]]]:
    """(row number from 1, the bar with its time in microseconds, or what is wrong with the row). Raises InvalidFiles.

    The columns are ts (timestamp, date or integer) and open, high, low, close, volume as numbers, in any
    order. Other columns are ignored; an interval column must match the interval of the spec.
    """
    for number, row in enumerate(_rows(file, times, _BARS, {"interval": files.interval}), 1):
        yield number, _bar(files, file, row)


def parquet_trades(files: Files, file: SourceFile, times: FileTimes) -> Iterator[tuple[int, Parsed[Trade]]]:
    """As ``parquet_bars``, for columns ts, id (text or integer), price, amount and side (buy or sell)."""
    for number, row in enumerate(_rows(file, times, _TRADES, {}), 1):
        yield number, _trade(files, file, row)


def _bar(files: Files, file: SourceFile, row: tuple[Any, ...]) -> Parsed[Bar]:
    if None in row:
        return ValueError(_missing(_BARS, row))
    stamp, open_, high, low, close, volume, interval = row
    if isinstance(stamp, str):
        return ValueError(stamp)
    us, ts = stamp
    if interval != files.interval:
        return ValueError(f"interval: got {excerpt(interval)}, expected only {files.interval}")
    return us, Bar(files.exchange, file.symbol, files.interval, ts, open_, high, low, close, volume)


def _trade(files: Files, file: SourceFile, row: tuple[Any, ...]) -> Parsed[Trade]:
    stamp, id, price, amount, taker = row
    if None in row:
        return InvalidTrade(_missing(_TRADES, row), id or "")
    if isinstance(stamp, str):
        return InvalidTrade(stamp, id)
    us, ts = stamp
    try:
        return us, Trade(files.exchange, file.symbol, ts, id, price, amount, side("side", taker))
    except ValueError as error:
        return InvalidTrade(str(error), id)


def _missing(kinds: Mapping[str, Kind], row: tuple[Any, ...]) -> str:
    return f"{list(kinds)[row.index(None)]}: got nothing, expected a value"


def _rows(
    file: SourceFile, times: FileTimes, kinds: Mapping[str, Kind], defaults: Mapping[str, str]
) -> Iterator[tuple[Any, ...]]:
    """The values of each row: a stamp (or what is wrong with the time), floats and texts, None for null.

    A column that has a default may be missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_file(file) as stream:
            check_footer(file.name, stream)
            metadata = pq.read_metadata(stream)
            schema = metadata.schema.to_arrow_schema()
            names = _columns(file, schema, kinds, defaults)
            zone = _zone(schema.field(names["ts"]).type)
            texts = [
                own
                for name, own in names.items()
                if kinds[name] == "text" and not pa.types.is_integer(schema.field(own).type)
            ]
            for batch in _batches(file, stream, metadata, list(names.values()), texts):
                there = {name: batch.column(batch.schema.get_field_index(own)) for name, own in names.items()}
                yield from zip(
                    *(
                        _plain(there[name], kind, times, zone) if name in there else [defaults[name]] * len(batch)
                        for name, kind in kinds.items()
                    ),
                    strict=True,
                )
    except (*READ_ERRORS, pa.ArrowException) as error:
        raise read_error(file, error) from error


def _batches(file: SourceFile, stream: BinaryIO, metadata: Any, columns: list[str], texts: list[str]) -> Iterator[Any]:
    """The columns' rows, at most BATCH_ROWS at a time. Columns of text are dictionaries, so that no text is copied.

    Raises InvalidFiles where a limit is exceeded, before the memory is taken.
    """
    import pyarrow.parquet as pq

    size = stream.seek(0, io.SEEK_END)
    check_rows(file.name, metadata.num_rows, size)
    limits = PageLimits(file.name, stream, columns, texts)
    table = pq.ParquetFile(stream, metadata=metadata, read_dictionary=texts, buffer_size=BUFFER_BYTES)
    rows = 0
    for group in range(metadata.num_row_groups):
        limits.check(metadata, group)
        for batch in table.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
            rows += len(batch)  # the directory may claim fewer
            check_rows(file.name, rows, size)
            for name in texts:
                limits.check_texts(name, batch.column(batch.schema.get_field_index(name)))
            yield batch


def _plain(column: Any, kind: Kind, times: FileTimes, zone: tzinfo | None) -> list[Any]:
    import pyarrow as pa

    if kind == "time":
        if pa.types.is_integer(column.type):
            return [None if number is None else _of_number(times, number) for number in column.to_pylist()]
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        return [None if us is None else _of_timestamp(times, us, zone) for us in column.cast(pa.int64()).to_pylist()]
    return list(column.cast(pa.float64() if kind == "number" else pa.string()).to_pylist())


def _of_number(times: FileTimes, number: int) -> Stamp | str:
    try:
        return times.of_number("ts", number)
    except ValueError as error:
        return str(error)


def _of_timestamp(times: FileTimes, us: int, zone: tzinfo | None) -> Stamp | str:
    """``us`` is microseconds UTC, or local ones where the column has no zone."""
    if not 0 <= us < TIME_END * 1_000_000:
        return f"ts: got a timestamp of {us} microseconds, expected a time between 1970 and 2100"
    moment = _EPOCH + timedelta(microseconds=us)
    try:
        return times.of_moment("ts", moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone))
    except ValueError as error:
        return str(error)


def _zone(type_: Any) -> tzinfo | None:
    """The zone of a column of times: of a name or an offset; None if it has none. Raises InvalidFiles."""
    name = getattr(type_, "tz", None)
    if name is None:
        return None
    return datetime.strptime(name, "%z").tzinfo if name[0] in "+-" else ZoneInfo(name)


def _columns(file: SourceFile, schema: Any, kinds: Mapping[str, Kind], defaults: Mapping[str, str]) -> dict[str, str]:
    """Name of a column → its name in the file, for the columns that the file has."""
    there = {name.lower(): name for name in schema.names}
    missing = [name for name in kinds if name not in there and name not in defaults]
    if missing:
        expected = [name for name in kinds if name not in defaults]
        raise InvalidFiles(f"{file.name}: {lacks(missing, schema.names, expected)}")
    names = {name: there[name] for name in kinds if name in there}
    for name, own in names.items():
        if problem := _unfit(schema.field(own).type, kinds[name]):
            raise InvalidFiles(f"{file.name}: {name}: got {problem}")
    return names


def _unfit(type_: Any, kind: Kind) -> str | None:
    from pyarrow import types

    whole = types.is_integer(type_)
    if kind == "time":
        fit, expected = whole or types.is_timestamp(type_) or types.is_date(type_), "timestamps, dates or integers"
    elif kind == "number":
        fit, expected = whole or types.is_floating(type_) or types.is_decimal(type_), "numbers"
    else:
        inner = type_.value_type if types.is_dictionary(type_) else type_
        fit, expected = whole or types.is_string(inner) or types.is_large_string(inner), "text"
    return None if fit else f"{type_}, expected {expected}"
