"""Market data of the gateway as tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tapedeck.errors import BadRequest, UnknownName
from tapedeck.table import MarketTable, concatenated
from tapedeck.times import SpanLike, TimeLike, close_of, longest_ms, span_ms, to_ms
from tapedeck.transport import Transport

log = logging.getLogger("tapedeck")
SQL_ROWS = 50_000  # the most that a gateway answers
NO_SYMBOLS = "symbols: got none, expected at least one such as coinbase:BTC/USD"
REPLAY = "replay/"  # the beginning of a replay's symbols


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
    ends = {name: limit if limit is not None else _end_of(transport, name, interval) for name in given}
    tables = [
        (name, _table(transport, "bars", name, {"interval": interval, "from": ends[name] - span, "to": ends[name]}))
        for name in given
    ]
    title = f"{', '.join(given)} {interval}"
    return MarketTable(tables[0][1], title) if isinstance(names, str) else concatenated(tables, title)


def rows(
    transport: Transport,
    kind: Literal["bars", "trades", "points"],
    names: str | Sequence[str],
    start: TimeLike | None,
    end: TimeLike | None,
    query: Mapping[str, str] | None = None,
) -> MarketTable:
    """Rows of one symbol, or of several with the column ``symbol``. Raises ClientError."""
    asked: dict[str, Any] = dict(query or {})
    asked |= {
        "from": 0 if start is None else to_ms(start, "start"),
        "to": None if end is None else to_ms(end, "end"),
    }
    if isinstance(names, str):
        return MarketTable(_table(transport, kind, names, asked), " ".join([names, *(query or {}).values()]))
    if not names:
        raise BadRequest(NO_SYMBOLS)
    return concatenated([(name, _table(transport, kind, name, asked)) for name in names], ", ".join(names))


def sql(transport: Transport, query: str, limit: int) -> MarketTable:
    """The rows of a statement. Raises ClientError."""
    table = transport.query("/sql", {"query": query, "format": "arrow"}, {"future": 1, "limit": limit})
    if table.num_rows >= limit:
        log.warning("sql: the result has %s rows, the limit: there may be more; ask for a narrower range", f"{limit:,}")
    return MarketTable(table, "sql", times=())


def _table(transport: Transport, kind: str, name: str, query: Mapping[str, Any]) -> Any:
    return transport.table(f"/{kind}", {"symbol": name, **query})


def _end_of(transport: Transport, name: str, interval: str) -> int:
    """The time at which the newest bar of a symbol ends, milliseconds UTC. Raises UnknownName."""
    if name.startswith(REPLAY):
        position = transport.get("/bars", {"symbol": name, "interval": interval, "limit": 1})["replay"]["position"]
        return int(position or 0)
    exchange, _, symbol = name.rpartition(":")
    entries = transport.pages("/symbols", "symbols", {"search": symbol or name, "exchange": exchange or None})
    found = [entry for entry in entries if name in (entry["symbol"], entry.get("name"))]
    found = found or (entries if len(entries) == 1 else [])
    ends = [close_of(each["last"], each["interval"]) for entry in found for each in entry["series"]]
    ends += [entry["trades"]["last"] + 1 for entry in found if entry.get("trades")]
    if not ends:
        raise UnknownName(f"symbol: got {name!r}, expected one that is stored; td.symbols() lists them")
    return int(max(ends))


def _series_rows(entry: Mapping[str, Any], *, counts: bool) -> list[dict[str, Any]]:
    common = {name: entry.get(name) for name in ("symbol", "name", "exchange")}
    spans = entry["series"] or [entry.get("trades") or entry.get("tickers") or {}]
    rows = [{**common, "interval": span.get("interval"), **_ends(span)} for span in spans]
    return [{**row, "bars": span.get("bars")} for row, span in zip(rows, spans, strict=True)] if counts else rows


def _ends(span: Mapping[str, Any]) -> dict[str, Any]:
    return {"first": span.get("first"), "last": span.get("last")}
