"""Market data of the gateway as tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tapedeck.answers import objects_of, part_of
from tapedeck.errors import BadRequest, UnknownName
from tapedeck.table import MarketTable, concatenated
from tapedeck.times import SpanLike, TimeLike, close_of, consists_of, longest_ms, span_ms, to_ms
from tapedeck.transport import Transport

log = logging.getLogger("tapedeck")
SQL_ROWS = 50_000  # the most that a gateway answers
_CUT_BY = {
    "rows": "the limit: ask for a narrower range, or raise limit (at most 50,000)",
    "bytes": "what fits into 16 MiB of the gateway: select fewer columns, or ask for a narrower range",
}
NO_SYMBOLS = "symbols: got none, expected at least one such as coinbase:BTC/USD"


def symbols(transport: Transport, search: str | None, exchange: str | None, *, counts: bool) -> MarketTable:
    """The series of the store, a row each. Raises ClientError."""
    query = {"search": search, "exchange": exchange, "counts": 1 if counts else None}
    entries = transport.pages("/symbols", "symbols", query)
    rows = [row for entry in entries for row in _series_rows(entry, counts=counts)]
    return MarketTable.from_rows(rows, "symbols", ("first", "last"))


def bars(
    transport: Transport,
    names: str | Sequence[str],
    interval: str,
    last: SpanLike | None,
    start: TimeLike | None,
    end: TimeLike | None,
) -> MarketTable:
    """Bars of one symbol or several. Raises ClientError."""
    longest_ms(interval)
    if last is None:
        return rows(transport, "bars", names, start, end, {"interval": interval})
    if start is not None:
        raise BadRequest("last: got it beside start, expected one of them")
    span = span_ms(last, "last")
    given = [names] if isinstance(names, str) else list(names)
    if not given:
        raise BadRequest(NO_SYMBOLS)
    limit = None if end is None else to_ms(end, "end")
    tables = []
    for name in given:
        chosen, until = (name, limit) if limit is not None else _end_of(transport, name, interval)
        # A gateway takes no time before 1970, and a range that has one: a replay that has not begun has no bar in it.
        query = {"interval": interval, "from": max(until - span, 0), "to": max(until, 1)}
        tables.append((name, _table(transport, "bars", chosen, query)))
    title = f"{', '.join(given)} {interval}"
    return MarketTable(tables[0][1], title) if isinstance(names, str) else concatenated(tables, title)


def rows(
    transport: Transport,
    kind: Literal["bars", "trades", "points"],
    names: str | Sequence[str],
    start: TimeLike | None,
    end: TimeLike | None,
    query: Mapping[str, str | None] | None = None,
) -> MarketTable:
    """Rows of one symbol, or of several with the column ``symbol``. Raises ClientError."""
    asked: dict[str, Any] = dict(query or {})
    asked |= {
        "from": 0 if start is None else to_ms(start, "start"),
        "to": None if end is None else to_ms(end, "end"),
    }
    if isinstance(names, str):
        title = " ".join(filter(None, [names, *(query or {}).values()]))
        return MarketTable(_table(transport, kind, names, asked), title)
    if not names:
        raise BadRequest(NO_SYMBOLS)
    return concatenated([(name, _table(transport, kind, name, asked)) for name in names], ", ".join(names))


def sql(transport: Transport, query: str, limit: int) -> MarketTable:
    """The rows of a statement. Raises ClientError."""
    table, cut = transport.query("/sql", {"query": query, "format": "arrow"}, {"future": 1, "limit": limit})
    if cut:
        reason = _CUT_BY.get(cut, f"a limit of {cut}")
        log.warning("sql: the result has more rows than these %s, %s", f"{table.num_rows:,}", reason)
    return MarketTable(table, "sql", times=())


def _table(transport: Transport, kind: str, name: str, query: Mapping[str, Any]) -> Any:
    return transport.table(f"/{kind}", {"symbol": name, **query})


def _end_of(transport: Transport, name: str, interval: str) -> tuple[str, int]:
    """The symbol that a text stands for, and the time at which the newest bar ends that serves an interval, ms UTC.

    The gateway says which symbol it is: it knows several spellings, and of an ambiguous one the exchange with most
    volume. Raises UnknownName.
    """
    found = transport.get("/bars", {"symbol": name, "interval": interval, "limit": 1})
    symbol = str(part_of(found, "symbol"))
    if found.get("replay") is not None:
        return symbol, int(part_of(found, "replay", "position") or 0)
    # A search has all symbols that contain the text; the exchange is what stands before the first colon.
    listed = transport.pages("/symbols", "symbols", {"search": symbol, "exchange": symbol.partition(":")[0]})
    series = [each for entry in listed if entry.get("symbol") == symbol for each in objects_of(entry, "series")]
    spans = [(part_of(each, "interval"), part_of(each, "last")) for each in series]
    ends = [close_of(newest, stored) for stored, newest in spans if consists_of(interval, stored)]
    if not ends:
        raise UnknownName(f"symbol: got {name!r}, expected one with stored bars; td.symbols() lists them")
    return symbol, max(ends)


def _series_rows(entry: Mapping[str, Any], *, counts: bool) -> list[dict[str, Any]]:
    common = {name: entry.get(name) for name in ("symbol", "name", "exchange")}
    spans = objects_of(entry, "series") or [entry.get("trades") or entry.get("tickers") or {}]
    rows = [{**common, "interval": span.get("interval"), **_ends(span)} for span in spans]
    return [{**row, "bars": span.get("bars")} for row, span in zip(rows, spans, strict=True)] if counts else rows


def _ends(span: Mapping[str, Any]) -> dict[str, Any]:
    return {"first": span.get("first"), "last": span.get("last")}
