"""Rows of files as bars and trades, in file order; invalid rows go to a callback and reading continues."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from tapedeck_common.files.binance import trade_parser
from tapedeck_common.files.layouts.reading import TimeReading
from tapedeck_common.files.lean_bars import lean_parser
from tapedeck_common.files.row_checks import OnInvalid, ParsedRow, RecordT, Row, RowChecks
from tapedeck_common.files.source_files import Lines, SourceFile, read_lines
from tapedeck_common.files.source_rows import ValidBlock
from tapedeck_common.files.spacing import SymbolSpacings
from tapedeck_common.files.table_rows import ReadingNotes, TableRows, errors_of, tables_of
from tapedeck_common.files.timestamps import FileTimes, format_us
from tapedeck_common.files.valid_bars import ValidBars
from tapedeck_common.market import Bar, Trade, bar_problem, trade_problem
from tapedeck_crds.base import format_ms
from tapedeck_crds.files import LEAN, MESSAGES, Files, Kind
from tapedeck_crds.intervals import BAR_LENGTHS, DAY_MS
from tapedeck_crds.session import Session

# Rows of files without a header, by which files of these formats are told from what is no market data.
_LEAN_SHAPE = re.compile(r"[-+0-9.,:eE ]*")
_MESSAGE_SHAPE = re.compile(r'[^{]*\{.*"e" ?:.*')
_OF_DAYS = frozenset(interval for interval, length in BAR_LENGTHS.items() if length.ms >= DAY_MS)


def read_bars(
    files: Files,
    sources: Sequence[SourceFile],
    on_invalid: OnInvalid,
    session: Session | None = None,
    notes: ReadingNotes | None = None,
) -> Iterator[Row[Bar] | ValidBlock]:
    """The bars of files, in file order, as columns where many in a row are valid.

    ``session`` is that of the market: the dates of bars of a day or longer are in its zone. ``notes`` is completed.
    Raises InvalidFiles, at the latest after the last row: the rows before are to be used only if it does not.
    """
    tables: TableRows[Bar] = TableRows(files, "bars", session, notes or ReadingNotes())
    series = SymbolSpacings(files.interval, f"{len(sources)} files")
    for file in sources:
        spacings = SymbolSpacings(files.interval, file.name)

        def problem(us: int, bar: Bar, spacings: SymbolSpacings = spacings) -> str | None:
            spacings.add(bar.symbol, us // 1_000)
            return _bar_problem(us, bar)

        checks: RowChecks[Bar] = RowChecks(file.name, file.symbol, problem, on_invalid)
        if files.format == LEAN:
            yield from checks.rows(file.name, _text_rows(read_lines(file), lean_parser(files, file)), _LEAN_SHAPE)
        else:
            for item in tables.rows(file, checks):
                if isinstance(item, ValidBars):
                    spacings.add_block(item)
                yield item
        spacings.check()
        checks.check()
        series.include(spacings)
    series.check()


def read_trades(
    files: Files,
    sources: Sequence[SourceFile],
    on_invalid: OnInvalid,
    session: Session | None = None,
    notes: ReadingNotes | None = None,
) -> Iterator[Row[Trade] | ValidBlock]:
    """As ``read_bars``, for files of trades."""
    tables: TableRows[Trade] = TableRows(files, "trades", session, notes or ReadingNotes())
    for file in sources:
        checks: RowChecks[Trade] = RowChecks(file.name, file.symbol, _trade_problem, on_invalid)
        if files.format == MESSAGES:
            times = FileTimes(file.name, _of_messages(files), session)
            rows = _text_rows(read_lines(file), trade_parser(files, file, times))
            yield from checks.rows(file.name, rows, _MESSAGE_SHAPE)
            times.check()
        else:
            yield from tables.rows(file, checks)
        checks.check()


def kind_of(files: Files, sources: Sequence[SourceFile]) -> Kind:
    """What the rows of files are, by the first table that they hold. Raises InvalidFiles and FilesUnavailable."""
    if files.format in (LEAN, MESSAGES):
        return "bars" if files.format == LEAN else "trades"
    if files.kind is not None:
        return files.kind
    for file in sources:
        with errors_of(file):
            for _, reading in tables_of(files, file, file.symbol, lambda _: None):
                return reading.kind
    return "bars"


def _of_messages(files: Files) -> TimeReading:
    return TimeReading((), None if files.time is None else files.time.unit)


def _text_rows(lines: Lines, parse: Callable[[str], tuple[int, RecordT]]) -> Iterator[ParsedRow[RecordT]]:
    for number, text in lines:
        try:
            yield ParsedRow(number, text, parse(text))
        except ValueError as error:
            yield ParsedRow(number, text, error)


def _bar_problem(us: int, bar: Bar) -> str | None:
    if bar.ts % DAY_MS and bar.interval in _OF_DAYS:
        return (
            f"ts: got {format_ms(bar.ts)}, which is the open of no day in UTC, expected the date of a bar of "
            f"{bar.interval}; write it alone or with the market's offset, or set session in a Feed"
        )
    if bar.ts == us // 1_000 and us % 1_000:
        return f"ts: got {format_us(us)}, expected the open of a bar of {bar.interval}"
    return bar_problem(bar)


def _trade_problem(_us: int, trade: Trade) -> str | None:
    return trade_problem(trade)
