"""Gaps and ingest errors in pages. ``recorded`` has the limits of markets that replays record: see ``catalogue``.

None of what lies beyond such a limit is given out; where the limits are not known, nothing of these markets is.
"""

from __future__ import annotations

from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_gateway.api_types.market import GapRow, IngestProblem
from tapedeck_gateway.store.catalogue import Markets
from tapedeck_gateway.store.page import Place, rows_of
from tapedeck_gateway.store.pool import Pool

_GAPS = """
SELECT exchange, symbol, interval, (extract(epoch FROM start_ts) * 1000)::int8,
       (extract(epoch FROM end_ts) * 1000)::int8, state, trades, ids
FROM gaps LEFT JOIN unnest(%(markets)s::text[], %(untils)s::int8[]) AS limits(exchange, until) USING (exchange)
WHERE (%(exchange)s::text = '' OR exchange = %(exchange)s) AND (%(symbol)s::text = '' OR symbol = %(symbol)s)
  AND (%(state)s::text = '' OR state = %(state)s)
  AND (%(recorded)s OR NOT starts_with(exchange, %(prefix)s))
  AND (until IS NULL OR end_ts <= to_timestamp(until / 1000.0))
  AND end_ts > to_timestamp(%(start)s::int8 / 1000.0) AND start_ts < to_timestamp(%(end)s::int8 / 1000.0)
  AND (exchange, symbol, interval, start_ts)
      > (%(after_exchange)s, %(after_symbol)s, %(after_interval)s, to_timestamp(%(after_start)s::int8 / 1000.0))
ORDER BY exchange, symbol, interval, start_ts LIMIT %(limit)s
"""
# The payload stays in the store: it is what somebody else wrote, and may be of a replay's future.
_ERRORS = """
SELECT (extract(epoch FROM at) * 1000000)::int8, feed, exchange, symbol, rows, place, reason, topic, partition, "offset"
FROM ingest_errors
WHERE (%(feed)s::text = '' OR feed = %(feed)s) AND (%(exchange)s::text = '' OR exchange = %(exchange)s)
  AND (%(recorded)s OR NOT starts_with(exchange, %(prefix)s)) AND exchange <> ALL(%(markets)s::text[])
  AND at >= to_timestamp(%(start)s::int8 / 1000.0) AND at < to_timestamp(%(end)s::int8 / 1000.0)
  AND (at, topic, partition, "offset")
      < (to_timestamp(%(after_at)s::int8 / 1000000.0), %(after_topic)s, %(after_partition)s::int8,
         %(after_offset)s::int8)
ORDER BY at DESC, topic DESC, partition DESC, "offset" DESC LIMIT %(limit)s
"""
_FIRST_GAP: Place = ("", "", "", -1)


def gaps(
    pool: Pool,
    recorded: Markets | None,
    chosen: dict[str, str],
    span: tuple[int, int],
    after: Place | None,
    limit: int,
) -> list[GapRow]:
    """The first ``limit`` gaps after one that overlap a range; ``chosen`` has exchange, symbol and state."""
    names = ("after_exchange", "after_symbol", "after_interval", "after_start")
    values = {**chosen, **_limits(recorded), **_range(span), **dict(zip(names, after or _FIRST_GAP, strict=True))}
    return [GapRow(*row) for row in rows_of(pool, _GAPS, {**values, "limit": limit})]


def gap_place(row: GapRow) -> Place:
    """The place of a gap in their order."""
    return (row.exchange, row.symbol, row.interval, row.start)


def ingest_errors(
    pool: Pool,
    recorded: Markets | None,
    chosen: dict[str, str],
    span: tuple[int, int],
    after: Place | None,
    limit: int,
) -> tuple[list[IngestProblem], Place | None]:
    """The newest ``limit`` errors before a place = (µs, topic, partition, offset), and that of the last.

    ``chosen`` has feed and exchange, empty for all. Errors of markets that replays record have no time on the market,
    and are left out while such a replay plays.
    """
    names = ("after_at", "after_topic", "after_partition", "after_offset")
    newest: Place = (span[1] * 1_000, "", 0, 0)
    values = {**chosen, **_limits(recorded), **_range(span), **dict(zip(names, after or newest, strict=True))}
    rows = rows_of(pool, _ERRORS, {**values, "limit": limit})
    place = (rows[-1][0], *rows[-1][7:]) if len(rows) == limit else None
    return [IngestProblem(row[0] // 1_000, *row[1:]) for row in rows], place


def _limits(recorded: Markets | None) -> dict[str, object]:
    known = recorded or {}
    return {
        "markets": list(known),
        "untils": list(known.values()),
        "recorded": recorded is not None,
        "prefix": RECORDED_PREFIX,
    }


def _range(span: tuple[int, int]) -> dict[str, object]:
    return {"start": span[0], "end": span[1]}
