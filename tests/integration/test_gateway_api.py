"""The API /api/v1 over a real database: bars, trades, tickers and points in each form and in pages, and errors."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from itertools import chain
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from pods.api_client import ApiClient
from pods.expected_bars import T0, assert_same_bars
from pods.gateway import MINUTE, Gateway, insert_bars, walk
from tapedeck_common.market import Bar

HOUR, DAY = 60 * MINUTE, 1_440 * MINUTE
BTC = "coinbase:BTC/USD"
OPENS = {
    "1m": "ts", "5m": "date_bin('5 minutes', ts, 'epoch')", "45m": "date_bin('45 minutes', ts, 'epoch')",
    "1d": "date_trunc('day', ts, 'UTC')", "1w": "date_trunc('week', ts, 'UTC')", "1M": "date_trunc('month', ts, 'UTC')",
}  # fmt: skip
NAMES = ("ts", "open", "high", "low", "close", "volume")


@pytest.fixture
def api(gateway: Gateway) -> ApiClient:
    return ApiClient(gateway)


def bars_by_sql(store: str, interval: str) -> list[tuple[Any, ...]]:
    """The bars of BTC/USD, aggregated by window functions."""
    with psycopg.connect(store) as connection:
        return connection.execute(
            f"SELECT DISTINCT (extract(epoch FROM {OPENS[interval]}) * 1000)::int8 AS t,"  # noqa: S608
            " first_value(open) OVER w, max(high) OVER w, min(low) OVER w, last_value(close) OVER w,"
            f" sum(volume) OVER w FROM bars WHERE symbol = 'BTC/USD' WINDOW w AS (PARTITION BY {OPENS[interval]}"
            " ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) ORDER BY t"
        ).fetchall()


def insert_trades(store: str, trades: list[tuple[int, int, str]]) -> None:
    """Insert trades of BTC/USD by (time in ms, seq, id)."""
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO trades (exchange, symbol, ts, seq, id, price, amount, side, source)"
            " VALUES ('coinbase', 'BTC/USD', to_timestamp(%s / 1000.0), %s, %s, 7000.5, 0.25, 'buy', 'live')",
            trades,
        )


def test_bars_of_any_interval_in_pages_and_in_each_form(api: ApiClient, store: str) -> None:
    late = walk(2, 400, T0 + 20 * DAY, gaps=0.1)  # behind a hole of eighteen days
    insert_bars(store, [*walk(1, 3_000, T0 + 7 * MINUTE, gaps=0.1), *late, *walk(3, 50, T0, symbol="ETH/USD")])
    for interval in OPENS:
        expected = bars_by_sql(store, interval)
        query = {"symbol": BTC, "interval": interval}
        for limit in (7 if len(expected) < 100 else 700, 50_000):
            pages = list(api.pages("/bars", "bars", **query, limit=limit))
            assert all(len(page) <= limit for page in pages)
            assert_same_bars([tuple(row[name] for name in NAMES) for row in chain(*pages)], expected)
        arrow = api.send("GET", "/bars", query, {"accept": "application/vnd.apache.arrow.stream"}).table
        parquet = api.send("GET", "/bars", {**query, "format": "parquet"}).table
        assert arrow.schema == parquet.schema
        assert arrow.schema.field("ts").type == pa.timestamp("ms", "UTC")
        for table in (arrow, parquet):
            times = table.column("ts").cast(pa.int64()).to_pylist()
            columns = [times, *(table.column(name).to_pylist() for name in NAMES[1:])]
            assert_same_bars(list(zip(*columns, strict=True)), expected)
        text = api.send("GET", "/bars", query, {"accept": "text/csv"}).body.decode()
        header, *rows = csv.reader(io.StringIO(text))
        assert header == list(NAMES)
        assert_same_bars([(int(row[0]), *map(float, row[1:])) for row in rows], expected)


def test_a_range_is_that_of_opens_by_milliseconds_or_iso(api: ApiClient, store: str) -> None:
    insert_bars(store, walk(1, 300, T0))
    start, end = T0 + 61 * MINUTE + 1, T0 + 120 * MINUTE
    for first, last in [(start, end), ("2018-04-04T01:01:00.001Z", "2018-04-04T04:00:00+02:00")]:
        found = api.get("/bars", symbol=BTC, from_=first, to=last)["bars"]
        assert [bar["ts"] for bar in found] == list(range(T0 + 62 * MINUTE, end, MINUTE))
    hours = api.get("/bars", symbol=BTC, interval="1h", from_=start, to=T0 + 301 * MINUTE)["bars"]
    assert [bar["ts"] for bar in hours] == [T0 + n * HOUR for n in (2, 3, 4, 5)][: len(hours)]
    assert api.get("/bars", symbol=BTC, from_=T0 + DAY, to=T0 + 2 * DAY) == {
        "symbol": BTC, "interval": "1m", "bars": [], "next": None,
    }  # fmt: skip


def test_an_answer_may_be_kept_only_where_it_cannot_change(api: ApiClient, store: str) -> None:
    bars = walk(1, 300, T0)
    insert_bars(store, [bar for bar in bars if bar.ts != T0 + 250 * MINUTE])

    def asked(start: int, end: int | None, **headers: str) -> Any:
        query = {"symbol": BTC, "from": start, **({} if end is None else {"to": end})}
        return api.send("GET", "/bars", query, {name.replace("_", "-"): value for name, value in headers.items()})

    whole = asked(T0, T0 + 100 * MINUTE)
    assert whole.headers["cache-control"] == "private, max-age=300, immutable"
    again = asked(T0, T0 + 100 * MINUTE, if_none_match=whole.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", whole.headers["etag"])
    holed = asked(T0 + 200 * MINUTE, T0 + 290 * MINUTE)
    assert holed.headers["cache-control"] == "private, no-cache"
    insert_bars(store, [bar for bar in bars if bar.ts == T0 + 250 * MINUTE])
    filled = asked(T0 + 200 * MINUTE, T0 + 290 * MINUTE, if_none_match=holed.headers["etag"])
    assert (filled.status, len(filled.json["bars"])) == (200, 90)
    assert filled.headers["cache-control"] == "private, max-age=300, immutable"
    for start, end in [(T0, None), (T0, T0 + 301 * MINUTE), (T0 + DAY, T0 + 2 * DAY)]:
        assert (asked(start, end).headers["cache-control"], asked(start, end).headers["etag"]) == ("no-store", None)


def test_a_day_that_is_not_stored_is_made_of_minutes_beside_those_that_are(api: ApiClient, store: str) -> None:
    minutes = walk(10, 5 * 1_440, T0)
    days = [Bar("coinbase", "BTC/USD", "1d", T0 + n * DAY, 50.0, 60.0, 40.0, 55.0, 9.0) for n in (-3, -2, -1, 1, 2)]
    insert_bars(store, [*minutes, *days])
    of_day = [minutes[n * 1_440 : (n + 1) * 1_440] for n in (0, 3, 4)]
    made = [
        (g[0].ts, g[0].open, max(b.high for b in g), min(b.low for b in g), g[-1].close, sum(b.volume for b in g))
        for g in of_day
    ]
    expected = sorted([*((bar.ts, 50.0, 60.0, 40.0, 55.0, 9.0) for bar in days), *made])
    for query in ({}, {"from": T0 - 900 * DAY}, {"from": T0 - 900 * DAY, "to": T0 + 900 * DAY}):
        for limit in (1, 3, 5, 6, 1_000):
            pages = api.pages("/bars", "bars", symbol=BTC, interval="1d", limit=limit, **query)
            found = [tuple(row[name] for name in NAMES) for row in chain(*pages)]
            assert_same_bars(found, expected)
    table = api.send("GET", "/bars", {"symbol": BTC, "interval": "1d", "format": "arrow"}).table
    assert table.column("close").to_pylist() == [row[4] for row in expected]
    inner = api.get("/bars", symbol=BTC, interval="1d", from_=T0 + 4 * DAY)["bars"]
    assert [row["ts"] for row in inner] == [T0 + 4 * DAY]


def test_a_range_without_a_whole_bar_has_none_and_is_no_error(api: ApiClient, store: str) -> None:
    insert_bars(store, walk(10, 300, T0))
    assert api.get("/bars", symbol=BTC, interval="1d", from_=T0 + 60_000, to=T0 + DAY)["bars"] == []
    assert api.get("/bars", symbol=BTC, interval="1h", from_=T0 + DAY, to=T0 + 2 * DAY)["bars"] == []
    api.get("/bars", status=404, symbol=BTC, interval="1s")


def test_an_answer_that_begins_or_ends_with_a_hole_is_asked_for_again(api: ApiClient, store: str) -> None:
    """Also where the hole is between two pages, of stored bars and of aggregated ones."""
    bars = walk(8, 300, T0)
    missing = {T0 + n * MINUTE for n in (100, 150, *range(200, 210))}
    insert_bars(store, [bar for bar in bars if bar.ts not in missing])

    def kept(start: int, end: int, interval: str = "1m", limit: int = 1_000) -> list[bool]:
        """Whether each page is immutable."""
        query: dict[str, Any] = {"symbol": BTC, "from": T0 + start * MINUTE, "to": T0 + end * MINUTE}
        query |= {"interval": interval, "limit": limit}
        found: list[bool] = []
        while True:
            answer = api.send("GET", "/bars", query)
            found.append(answer.headers["cache-control"] == "private, max-age=300, immutable")
            if (cursor := answer.json["next"]) is None:
                return found
            query["cursor"] = cursor

    assert kept(101, 140) == [True]
    assert kept(100, 140) == [False]  # begins with a hole
    assert kept(101, 151) == [False]  # ends with one
    assert kept(130, 170, limit=20) == [True, False]  # the second page begins with one
    assert kept(190, 220, limit=10)[:2] == [True, False]
    assert kept(110, 140, limit=10)[:3] == [True, True, True]
    assert kept(0, 290, "5m", limit=20) == [True, True, False]
    assert kept(205, 290, "5m") == [False]
    assert kept(210, 290, "5m") == [True]
    assert kept(180, 220, "5m", limit=4) == [True, False]  # the first page is followed by the hole


def test_old_records_are_asked_for_again_by_their_etag(api: ApiClient, store: str) -> None:
    """Trades have no spacing that would show a hole: an import may add some to any range."""
    insert_trades(store, [(T0 + n, 0, str(n)) for n in range(5)])
    query = {"symbol": BTC, "from": T0, "to": T0 + 100}
    first = api.send("GET", "/trades", query)
    assert first.headers["cache-control"] == "private, no-cache"
    known = {"if-none-match": first.headers["etag"]}
    assert [api.send(method, "/trades", query, known).status for method in ("GET", "HEAD")] == [304, 304]
    insert_trades(store, [(T0 + 50, 0, "more")])
    again = api.send("GET", "/trades", query, known)
    assert (again.status, len(again.json["trades"])) == (200, 6)
    for open_end in ({"symbol": BTC}, {"symbol": BTC, "to": int(time.time() * 1000)}):
        assert api.send("GET", "/trades", open_end).headers["etag"] is None


def test_head_and_compression(api: ApiClient, store: str) -> None:
    insert_bars(store, walk(1, 300, T0))
    query = {"symbol": BTC, "to": T0 + 250 * MINUTE}
    plain = api.send("GET", "/bars", query)
    packed = api.send("GET", "/bars", query, {"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    zstd = api.send("GET", "/bars", query, {"accept-encoding": "gzip, zstd"})
    assert zstd.headers["content-encoding"] == "zstd"
    assert pa.CompressedInputStream(pa.BufferReader(zstd.body), "zstd").read() == plain.body
    text = api.send("GET", "/bars", {**query, "format": "csv"})
    packed_text = api.send("GET", "/bars", {**query, "format": "csv"}, {"accept-encoding": "gzip"})
    assert gzip.decompress(packed_text.body) == text.body
    assert len(packed.body) < len(plain.body)
    for headers in ({}, {"accept": "text/csv"}, {"accept": "application/vnd.apache.parquet"}):
        head = api.send("HEAD", "/bars", query, headers)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == api.send("GET", "/bars", query, headers).headers["content-type"]
    assert api.send("HEAD", "/bars", query).headers["etag"] == plain.headers["etag"]
    assert api.send("HEAD", "/bars", {"symbol": "a:b"}).status == 404


def test_trades_tickers_and_points_in_their_order(api: ApiClient, store: str) -> None:
    # Of one millisecond: seq before the length of the id before the id.
    trades = [(T0, 0, "9"), (T0, 0, "10"), (T0, 0, "11"), (T0, 1, "1"), (T0 + 1, 0, "2"), (T0 + 5, 0, "a b")]
    insert_trades(store, trades[::-1])
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO tickers (exchange, symbol, ts, price, volume24h, bid, source)"
            " VALUES ('coinbase', 'BTC/USD', to_timestamp(%s / 1000.0), %s, NULL, 1.5, 'live')",
            [(T0 + n, 7_000.0 + n) for n in range(5)],
        )
        cursor.executemany(
            "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
            " VALUES ('coinbase', 'BTC/USD', %s, 'mine', to_timestamp(%s / 1000.0), %s, %s, 0, 'live')",
            [*(("1m", T0 + n * MINUTE, "", n + 0.5) for n in range(5)), ("5m", T0, "", 9.0), ("1m", T0 - 1, "", None)],
        )
    for limit in (1, 2, 100):
        found = list(chain(*api.pages("/trades", "trades", symbol=BTC, limit=limit)))
        assert [(row["ts"], row["seq"], row["id"]) for row in found] == trades
        prices = [row["price"] for row in chain(*api.pages("/tickers", "tickers", symbol=BTC, limit=limit))]
        assert prices == [7_000.0, 7_001.0, 7_002.0, 7_003.0, 7_004.0]
        points = list(chain(*api.pages("/points", "points", symbol=BTC, series="mine", limit=limit)))
        assert [(row["ts"], row["value"]) for row in points] == [(T0 + n * MINUTE, n + 0.5) for n in range(5)]
    assert found[0] == {"ts": T0, "seq": 0, "id": "9", "price": 7000.5, "amount": 0.25, "side": "buy"}
    assert [row["ts"] for row in api.get("/trades", symbol=BTC, from_=T0 + 1, to=T0 + 5)["trades"]] == [T0 + 1]
    five = api.get("/points", symbol=f"{BTC}@mine", interval="5m")
    assert (five["interval"], [row["value"] for row in five["points"]]) == ("5m", [9.0])
    lacking = api.get("/points", status=404, symbol=f"{BTC}@mine", interval="1h")
    assert lacking["detail"] == f"interval: got '1h', expected one that {BTC + '@mine'!r} has results of: 1m, 5m"
    table = api.send("GET", "/tickers", {"symbol": BTC, "format": "arrow"}).table
    assert table.column("volume24h").to_pylist() == [None] * 5
    assert table.column("price").to_pylist() == prices
    assert api.send("GET", "/trades", {"symbol": BTC, "format": "parquet"}).table.column("id").to_pylist() == [
        "9", "10", "11", "1", "2", "a b",
    ]  # fmt: skip
    (listed,) = api.get("/symbols")["symbols"]  # it has no bar
    assert (listed["symbol"], listed["series"]) == (BTC, [])
    assert (listed["trades"], listed["tickers"]) == ({"first": T0, "last": T0 + 5}, {"first": T0, "last": T0 + 4})


def test_symbols_exchanges_and_coverage(api: ApiClient, store: str) -> None:
    bars = [bar for bar in walk(1, 3_000, T0) if not 600 * MINUTE <= bar.ts - T0 < 700 * MINUTE]
    friday = 1_709_251_200_000  # 2024-03-01
    stock = [
        Bar("nyse", "AAPL", "1h", friday + day * DAY + 14 * HOUR + 30 * MINUTE + n * HOUR, 1, 2, 1, 2, 5)
        for day in (0, 3)
        for n in range(7)
    ]
    insert_bars(store, [*bars, *walk(2, 10, T0, symbol="ETH/USD"), *walk(3, 5, T0, exchange="kraken")])
    insert_bars(store, [bar for bar in stock if bar.ts % HOUR == 30 * MINUTE])
    names = [f"coinbase:{name}" for name in ("BTC/USD", "ETH/USD")] + ["kraken:BTC/USD", "nyse:AAPL"]
    for limit in (1, 3, 10_000):
        found = list(chain(*api.pages("/symbols", "symbols", limit=limit)))
        assert [each["symbol"] for each in found] == names
    assert found[0]["series"] == [{"interval": "1m", "first": T0, "last": T0 + 2_999 * MINUTE, "bars": None}]
    assert api.get("/symbols", search="eth", counts=1)["symbols"][0]["series"][0]["bars"] == 10
    assert [each["symbol"] for each in api.get("/symbols", exchange="kraken")["symbols"]] == ["kraken:BTC/USD"]
    assert api.get("/exchanges")["exchanges"] == [
        {"exchange": "coinbase", "symbols": 2},
        {"exchange": "kraken", "symbols": 1},
        {"exchange": "nyse", "symbols": 1},
    ]  # fmt: skip
    coverage = api.get("/coverage", symbol=BTC)
    per_day: dict[int, int] = {}
    for bar in bars:
        per_day[bar.ts // DAY] = per_day.get(bar.ts // DAY, 0) + 1
    assert [day["bars"] for day in coverage["days"]] == list(per_day.values())
    assert sum(day["expected"] for day in coverage["days"]) == 3_000
    assert coverage["holes"] == [{"from": T0 + 600 * MINUTE, "to": T0 + 700 * MINUTE}]
    days = list(chain(*api.pages("/coverage", "days", symbol=BTC, limit=1)))
    assert days == coverage["days"]
    edges = api.get("/coverage", symbol=BTC, from_=T0 - HOUR, to=T0 + HOUR)
    assert edges["holes"] == [{"from": T0 - HOUR, "to": T0}]


def test_every_symbol_of_an_exchange_is_counted(api: ApiClient, store: str) -> None:
    insert_bars(store, walk(9, 2, T0))
    insert_trades(store, [(T0, 0, "a")])
    with psycopg.connect(store) as connection:
        connection.execute(
            "INSERT INTO bar_series SELECT 'kraken', 'S' || n || '/USD', i, to_timestamp(0), to_timestamp(60)"
            " FROM generate_series(1, 20100) AS n, unnest('{1m,1h}'::text[]) AS i"
        )
        connection.execute(
            "INSERT INTO tickers (exchange, symbol, ts, price, source)"
            " VALUES ('kraken', 'ONLY/TICKERS', now(), 1, 'live'), ('z', 'A/B', now(), 1, 'live')"
        )
    assert api.get("/exchanges") == {
        "exchanges": [
            {"exchange": "coinbase", "symbols": 1},
            {"exchange": "kraken", "symbols": 20_101},
            {"exchange": "z", "symbols": 1},
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("path", "query", "status", "field", "reason"),
    [
        ("/bars", {}, 400, "symbol", "InvalidInput"),
        ("/bars", {"symbol": " "}, 400, "symbol", "InvalidInput"),
        ("/bars", {"symbol": "nonsense"}, 404, "symbol", "NotFound"),
        ("/bars", {"symbol": BTC, "interval": "7x"}, 400, "interval", "InvalidInput"),
        ("/bars", {"symbol": BTC, "from": "yesterday"}, 400, "from", "InvalidInput"),
        ("/bars", {"symbol": BTC, "from": 9, "to": 9}, 400, "from", "InvalidInput"),
        ("/bars", {"symbol": BTC, "limit": 50_001}, 400, "limit", "InvalidInput"),
        ("/bars", {"symbol": BTC, "format": "xml"}, 400, "format", "InvalidInput"),
        ("/bars", {"symbol": "kraken:BTC/USD"}, 404, "symbol", "NotFound"),
        ("/bars", {"symbol": BTC, "interval": "5s"}, 404, "interval", "NotFound"),
        ("/bars", {"symbol": "replay/none/a:b"}, 404, "symbol", "NotFound"),
        ("/trades", {"symbol": BTC, "cursor": "x"}, 400, "cursor", "InvalidInput"),
        ("/points", {"symbol": BTC}, 400, "series", "InvalidInput"),
        ("/runs/none", {}, 404, "run_id", "NotFound"),
        ("/runs/compare", {"run": "a"}, 400, "run", "InvalidInput"),
        ("/analytics/movers", {"exchange": "none"}, 404, "exchange", "NotFound"),
        ("/nothing", {}, 404, "path", "NotFound"),
    ],
)
def test_an_error_is_a_problem_that_names_the_field(
    api: ApiClient, store: str, path: str, query: dict[str, Any], status: int, field: str, reason: str
) -> None:
    insert_bars(store, walk(1, 3, T0))
    answer = api.send("GET", path, query)
    problem = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, problem["status"], problem["field"], problem["reason"]) == (status, status, field, reason)
    assert problem["detail"].startswith(f"{field}: ")
