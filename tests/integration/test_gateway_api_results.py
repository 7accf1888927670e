"""The API /api/v1 over a real database: gaps and errors, runs and sweeps, analytics, and statements."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
import yaml

from pods.api_client import ApiClient
from pods.expected_bars import T0
from pods.gateway import (
    MINUTE,
    Gateway,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    running_gateway,
    walk,
)
from pods.services import as_role
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections

DAY = 1_440 * MINUTE
BTC, ETH = "coinbase:BTC/USD", "coinbase:ETH/USD"
READER, OWNER = "r" * 20, "c" * 20


@pytest.fixture
def api(gateway: Gateway) -> ApiClient:
    return ApiClient(gateway)


def test_gaps_and_errors_in_pages(api: ApiClient, store: str) -> None:
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO gaps (exchange, symbol, interval, start_ts, end_ts, state, trades, ids)"
            " VALUES (%s, 'BTC/USD', %s, to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0), %s, 3, '')",
            [
                ("coinbase", "1m", T0, T0 + MINUTE, "open"), ("coinbase", "", T0, T0 + 5, "filled"),
                ("coinbase", "1m", T0 + DAY, T0 + DAY + 1, "unfillable"), ("kraken", "1m", T0, T0 + 1, "open"),
            ],
        )  # fmt: skip
        cursor.executemany(
            'INSERT INTO ingest_errors (topic, partition, "offset", at, feed, exchange, reason, payload)'
            " VALUES ('market.bars', %s, %s, to_timestamp(%s / 1000.0), %s, 'coinbase', 'bad', 'x')",
            [(0, 1, T0, "a"), (0, 2, T0, "b"), (1, 1, T0, "a"), (0, 9, T0 + 1, "a")],
        )
    for limit in (1, 3, 100):
        gaps = list(chain(*api.pages("/gaps", "gaps", limit=limit)))
        assert [(g["exchange"], g["interval"], g["from"]) for g in gaps] == [
            ("coinbase", "", T0), ("coinbase", "1m", T0), ("coinbase", "1m", T0 + DAY), ("kraken", "1m", T0),
        ]  # fmt: skip
        errors = list(chain(*api.pages("/ingest-errors", "errors", limit=limit)))
        assert [(e["partition"], e["offset"]) for e in errors] == [(0, 9), (1, 1), (0, 2), (0, 1)]
    assert [g["from"] for g in api.get("/gaps", state="open", exchange="coinbase")["gaps"]] == [T0]
    assert [g["exchange"] for g in api.get("/gaps", from_=T0 + 5, to=T0 + 6)["gaps"]] == ["coinbase"]
    assert [e["offset"] for e in api.get("/ingest-errors", feed="a")["errors"]] == [9, 1, 1]
    assert "payload" not in errors[0]


def test_runs_their_rows_and_comparisons(api: ApiClient, store: str) -> None:
    for number, run in enumerate(("a", "b", "c")):
        insert_run(store, run, started=T0 // 1000 + number // 2)  # a and b of one second
    insert_equity(store, "a", [(n, T0 + n * MINUTE, 10_000.0 + n, 1.0) for n in range(50)])
    insert_fills(store, "a", [(n, T0 + n * MINUTE, "buy", 1.0, 7.5) for n in range(5)])
    insert_trades(store, "a", [(n, 1.0, T0, 1.0, T0 + n * MINUTE, 2.0) for n in range(5)])
    with psycopg.connect(store) as connection:
        connection.execute(
            "UPDATE runs SET state = 'complete', ended_at = now(), bars = 50, metrics = %s WHERE run_id = 'a'",
            (json.dumps({"sharpe": 1.5, "sqn": None}),),
        )
        connection.execute("UPDATE runs SET params = '{\"fast\": 20}', trials = 9, name = 'other' WHERE run_id = 'b'")
    for limit in (1, 2, 100):
        found = list(chain(*api.pages("/runs", "runs", limit=limit)))
        assert [run["run_id"] for run in found] == ["c", "a", "b"]
    assert (found[1]["metrics"], found[1]["trials"]) == ({"sharpe": 1.5, "sqn": None}, 0)
    assert [run["run_id"] for run in api.get("/runs", sweep=1)["runs"]] == ["b"]
    assert [run["run_id"] for run in api.get("/runs", sweep=0)["runs"]] == ["c", "a"]
    assert [run["run_id"] for run in api.get("/runs", name="other", strategy="sma-cross")["runs"]] == ["b"]
    assert api.get("/runs", namespace="none")["runs"] == []
    report = api.get("/runs/{run_id}", run_id="a")
    assert (report["bars"], report["drawdowns"], report["shown_until"]) == (50, None, None)
    assert api.get("/runs/{run_id}/metrics", run_id="a")["metrics"]["sharpe"] == 1.5
    for limit in (7, 100):
        curve = list(chain(*api.pages("/runs/{run_id}/equity", "equity", run_id="a", limit=limit)))
        assert [(p["seq"], p["value"]) for p in curve] == [(n, 10_000.0 + n) for n in range(50)]
    assert [f["price"] for f in api.get("/runs/{run_id}/fills", run_id="a")["fills"]] == [7.5] * 5
    assert [t["pnl"] for t in api.get("/runs/{run_id}/trades", run_id="a", limit=3)["trades"]] == [1.0] * 3
    table = api.send("GET", "/runs/a/equity", {"format": "arrow"}).table
    assert table.column("value").to_pylist() == [10_000.0 + n for n in range(50)]
    assert str(table.schema.field("ts").type) == "timestamp[ms, tz=UTC]"
    compared = api.get("/runs/compare", run=["a", "b"])
    assert compared["params"] == [{"name": "fast", "values": [10, 20]}]
    assert compared["metrics"] == [{"name": "sharpe", "values": [1.5, None]}, {"name": "sqn", "values": [None, None]}]
    assert api.get("/runs/compare", status=400, run=["a", "a"])["field"] == "run"
    assert api.get("/runs/compare", status=404, run=["a", "z"])["field"] == "run_id"
    strategies = {each["strategy"]: each for each in api.get("/strategies")["strategies"]}
    assert list(strategies) == sorted(BUILTINS)
    strategy = strategies["sma-cross"]
    assert (strategy["runs"], strategy["last_started_at"]) == (3, T0 + 1_000)
    for name, cls in BUILTINS.items():
        each = strategies[name]
        assert (cls.__doc__ or "").startswith(each["about"])
        if name != "sma-cross":
            assert (each["runs"], each["last_started_at"]) == (0, None)
            assert each["params"] == dict(cls.params._getpairs())


def test_what_the_market_did_beside_a_run(api: ApiClient, store: str) -> None:
    """A run of bars of 5 minutes, which are made of stored ones of a minute; computed from these by hand."""
    btc, eth = (walk(seed, 300, T0, symbol=symbol) for seed, symbol in ((3, "BTC/USD"), (4, "ETH/USD")))
    insert_bars(store, [*btc, *eth])
    insert_run(store, "m")
    times = [T0 + n * 5 * MINUTE for n in range(1, 61)]
    insert_equity(store, "m", [(n, ts, 10_000.0 + n, 1.0) for n, ts in enumerate(times)])
    entry, exit_ = T0 + 10 * MINUTE, T0 + 60 * MINUTE
    insert_trades(store, "m", [(0, 1.0, entry, 7_000.0, exit_, 7_001.0), (1, 1.0, entry, 7_000.0, entry, 7_010.0)])
    insert_trades(store, "m", [(2, 1.0, entry, 7_000.0, exit_, 7_001.0)])
    origin = {"replay": None, "data": "BTC/USD=60:0a", "images": {"backtest": "x@y"}, "version": "1", "path": "engine"}
    with psycopg.connect(store) as connection:
        connection.execute("UPDATE runs SET symbols = '{BTC/USD,ETH/USD}', interval = '5m', state = 'complete'")
        connection.execute('UPDATE runs SET spec = \'{"strategy": {"builtin": "sma-cross"}}\', metrics = \'{}\'')
        connection.execute("UPDATE run_trades SET side = 'short' WHERE seq = 2")
        connection.execute("INSERT INTO run_origins VALUES ('m', %s)", (json.dumps(origin),))

    closes = [{event_time(bar): bar.close for bar in bars} for bars in (btc, eth)]
    expected = [[ts, sum(5_000 * each[ts] / each[times[0]] for each in closes)] for ts in times]
    hold = api.get("/runs/{run_id}/buy-and-hold", run_id="m")
    assert hold["points"] == [[ts, pytest.approx(value)] for ts, value in expected]
    assert (hold["points"][0][1], hold["missing"]) == (10_000.0, "")
    thinned = api.get("/runs/{run_id}/buy-and-hold", run_id="m", points=20)["points"]
    assert 2 < len(thinned) <= 20
    assert all(point in hold["points"] for point in thinned)
    curve = api.get("/runs/{run_id}/equity", run_id="m", points=20)
    assert (curve["equity"][0]["ts"], curve["equity"][-1]["ts"], curve["next"]) == (times[0], times[-1], None)
    assert [point["ts"] for point in curve["equity"]] == [ts for ts, _ in thinned]

    held = [bar for bar in btc if entry - 5 * MINUTE <= bar.ts < exit_ - 5 * MINUTE]
    low, high = min(7_000.0, *(bar.low for bar in held)), max(7_001.0, *(bar.high for bar in held))
    for limit in (1, 100):
        rows = list(chain(*api.pages("/runs/{run_id}/excursions", "excursions", run_id="m", limit=limit)))
        assert [(row["seq"], row["lowest"], row["highest"]) for row in rows] == [
            (0, low, high), (1, 7_000.0, 7_010.0), (2, low, high),
        ]  # fmt: skip
    percents = [(row["adverse_percent"], row["favourable_percent"]) for row in rows]
    down, up = (low / 7_000 - 1) * 100, (high / 7_000 - 1) * 100
    assert percents == [pytest.approx((down, up)), pytest.approx((0, 1 / 7)), pytest.approx((-up, -down))]

    inputs = api.get("/runs/{run_id}/inputs", run_id="m")
    assert (inputs["data"], inputs["images"], inputs["obstacle"]) == ("BTC/USD=60:0a", {"backtest": "x@y"}, "")
    assert inputs["decimals"] == {"BTC/USD": 2, "ETH/USD": 2}
    assert yaml.safe_load(inputs["yaml"])["spec"] == {"strategy": {"builtin": "sma-cross"}} == inputs["spec"]
    with psycopg.connect(store) as connection:
        altered = json.dumps({"replay": {"source": {"synthetic": {}}}})
        connection.execute("UPDATE run_origins SET origin = origin || %s", (altered,))
    assert api.get("/runs/{run_id}/excursions", run_id="m")["missing"].startswith("the run's Replay plays bars that")
    assert api.get("/runs/{run_id}/buy-and-hold", run_id="m")["points"] == []
    assert api.send("POST", "/namespaces/default/runs/m/repeat").status == 403  # it may read alone


def test_trials_matrices_and_windows_of_a_sweep(api: ApiClient, store: str) -> None:
    insert_run(store, "s")
    grid = [(fast, slow, n) for n, (fast, slow) in enumerate((f, s) for f in (5, 10) for s in (20, 50, 100))]
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        for window in (0, 1):
            rows: list[tuple[int, int, dict[str, object], int, int, float | None]] = [
                (window, n, {"fast": fast, "slow": slow, "kind": "x"}, window * DAY, (window + 1) * DAY,
                 fast * slow + window if (fast, slow) != (10, 100) else None)
                for fast, slow, n in grid
            ]  # fmt: skip
            rows.append(
                (window, -1, {"fast": 10, "slow": 50, "kind": "x"}, (window + 1) * DAY, (window + 2) * DAY, 7.0)
            )
            cursor.executemany(
                "INSERT INTO run_trials VALUES ('s', %s, %s, %s, to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0),"
                " %s, %s, true, 'h', '')",
                [
                    (w, n, json.dumps(p), T0 + a, T0 + b, json.dumps({"max_drawdown_percent": v}), v)
                    for w, n, p, a, b, v in rows
                ],
            )
    for limit in (1, 5, 100):
        trials = list(chain(*api.pages("/sweeps/{run_id}/trials", "trials", run_id="s", limit=limit)))
        assert [(t["window"], t["trial"]) for t in trials] == [(w, n) for w in (0, 1) for n in range(-1, 6)]
    matrix = api.get("/sweeps/{run_id}/matrix", run_id="s", x="fast", y="slow", window=1)
    assert (matrix["xs"], matrix["ys"]) == ([5, 10], [20, 50, 100])
    assert matrix["values"] == [[101.0, 201.0], [251.0, 501.0], [501.0, None]]
    assert matrix["counts"] == [[1, 1], [1, 1], [1, 0]]
    mean = api.get("/sweeps/{run_id}/matrix", run_id="s", x="fast", y="kind", metric="maxDrawdownPercent")
    assert (mean["metric"], mean["values"], mean["counts"]) == ("max_drawdown_percent", [[850 / 3, 350.0]], [[3, 2]])
    for field, expected, query in (
        ("y", "got 'none', expected a param of the sweep: fast, kind, slow", {"y": "none"}),
        ("x", "got 'Fast', expected a param of the sweep: fast, kind, slow", {"x": "Fast"}),
        ("metric", "got 'sharpee', expected objective, or one of max_drawdown_percent", {"metric": "sharpee"}),
        ("window", "got 2, expected a window with trials: 0 to 1", {"window": 2}),
    ):
        asked: dict[str, Any] = {"x": "fast", "y": "slow", **query}
        refused = api.get("/sweeps/{run_id}/matrix", status=400, run_id="s", **asked)
        assert (refused["field"], refused["detail"]) == (field, f"{field}: {expected}")
    insert_run(store, "begun")  # none of its trials is stored
    assert api.get("/sweeps/{run_id}/matrix", run_id="begun", x="fast", y="none")["values"] == []
    windows = api.get("/runs/{run_id}/windows", run_id="s")["windows"]
    assert [(w["window"], w["in_sample"]["trial"], w["out_of_sample"]["start"]) for w in windows] == [
        (0, 4, T0 + DAY), (1, 4, T0 + 2 * DAY),
    ]  # fmt: skip


def day_bars(exchange: str, symbol: str, closes: list[float]) -> list[Bar]:
    return [Bar(exchange, symbol, "1d", T0 + n * DAY, c - 1, c + 2, c - 2, c, 10.0 + n) for n, c in enumerate(closes)]


def test_analytics_are_those_of_python(api: ApiClient, store: str) -> None:
    btc = [100.0 + (n * 37 % 11) - n % 3 for n in range(30)]
    eth = [50.0 + (n * 13 % 7) + 0.5 * (n % 5) for n in range(30)]
    xrp = [2.0, 1.0]
    prices = {"BTC/USD": btc, "ETH/USD": eth, "XRP/USD": xrp}
    insert_bars(store, [bar for name, closes in prices.items() for bar in day_bars("coinbase", name, closes)])
    first = api.get("/analytics/returns", symbol=[BTC, ETH])["symbols"][0]
    assert [each["return"] for each in first["returns"]] == [
        None, *(pytest.approx(b / a - 1) for a, b in pairwise(btc)),
    ]  # fmt: skip
    logs = {name: [math.log(b / a) for a, b in pairwise(closes)] for name, closes in prices.items()}
    found = api.get("/analytics/volatility", symbol=[BTC])["symbols"][0]
    assert found["volatility"] == pytest.approx(statistics.stdev(logs["BTC/USD"]))
    assert found["annualised"] == pytest.approx(statistics.stdev(logs["BTC/USD"]) * math.sqrt(365))
    week = api.get("/analytics/volume", symbol=[BTC], period="week")["symbols"][0]
    monday = 4 * DAY
    weeks: dict[int, float] = {}
    for n in range(30):
        opened = (T0 + n * DAY - monday) // (7 * DAY) * 7 * DAY + monday
        weeks[opened] = weeks.get(opened, 0.0) + 10.0 + n
    assert {each["ts"]: each["volume"] for each in week["periods"]} == weeks
    assert week["total"] == sum(10.0 + n for n in range(30))
    matrix = api.get("/analytics/correlation", symbol=[BTC, ETH], from_=T0, to=T0 + 20 * DAY)
    expected = statistics.correlation(logs["BTC/USD"][:19], logs["ETH/USD"][:19])
    assert matrix["matrix"][0][1] == pytest.approx(expected)
    assert matrix["counts"][0] == [19, 19]
    moved = api.get("/analytics/movers", exchange="coinbase", at=T0 + 2 * DAY)
    changes = {f"coinbase:{name}": closes[1] / closes[0] - 1 for name, closes in prices.items()}
    assert {each["symbol"]: each["change"] for each in [*moved["up"], *moved["down"]]} == pytest.approx(changes)
    assert moved["down"][0]["symbol"] == "coinbase:XRP/USD"
    newest = api.get("/analytics/movers", exchange="coinbase", period="week")
    assert (newest["at"], {each["symbol"] for each in [*newest["up"], *newest["down"]]}) == (T0 + 30 * DAY, {BTC, ETH})
    insert_bars(store, day_bars("coinbase", "USDC/USD", [1.0] * 30))
    still = api.get("/analytics/movers", exchange="coinbase", period="week")["flat"]
    assert [(each["symbol"], each["close"], each["change"]) for each in still] == [("coinbase:USDC/USD", 1.0, 0.0)]


def test_analytics_of_bars_that_are_years_old(api: ApiClient, store: str) -> None:
    """Made of finer bars, in a range without an end, with a hole."""
    bars = [bar for bar in walk(5, 600, T0) if not 200 <= (bar.ts - T0) // MINUTE < 320]
    insert_bars(store, bars)
    ends = {(bar.ts - T0) // (60 * MINUTE): bar.close for bar in bars}
    assert sorted(ends) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    expected = statistics.stdev([math.log(b / a) for a, b in pairwise(ends.values())])
    found = api.get("/analytics/volatility", symbol=[BTC], interval="1h", from_=T0 - 30 * DAY)["symbols"][0]
    assert (found["returns"], found["volatility"]) == (8, pytest.approx(expected))


@pytest.fixture
def owner(tmp_path: Path, connections: Connections) -> Iterator[ApiClient]:
    tokens = {"page.read": READER, "me.control": OWNER}
    with running_gateway(
        tmp_path, as_role(connections, "tapedeck_reader"), '{"limits": {"querySeconds": 2}}', tokens=tokens
    ) as gateway:
        yield ApiClient(gateway, OWNER)


TYPES = """
SELECT timestamptz '2018-04-04 12:00:00.123456+02' AS moment, timestamp '2018-04-04 12:00' AS local, date '2018-04-04',
       1234567890123456789.0123456789::numeric AS exact, 'NaN'::float8 AS nan, true AS flag, 7::int2 AS small,
       '[1, {"a": null}]'::jsonb AS document, ARRAY[1.5::numeric, NULL] AS several, interval '1 day' AS span,
       '\\x00ff'::bytea AS bytes, time '09:30' AS clock, 'a'::text AS word,
       ARRAY[1, NULL] AS numbers, ARRAY[true] AS flags, ARRAY[timestamptz '2018-04-04'] AS moments
UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
"""


@pytest.mark.parametrize("format_", ["arrow", "parquet"])
def test_a_table_of_a_statement_has_real_types(owner: ApiClient, format_: str) -> None:
    answer = owner.send("POST", "/sql", {"future": 1}, body={"query": TYPES, "format": format_})
    table = answer.table if format_ == "arrow" else pq.read_table(io.BytesIO(answer.body))
    assert {field.name: str(field.type) for field in table.schema} == {
        "moment": "timestamp[us, tz=UTC]", "local": "timestamp[us]", "date": "date32[day]", "exact": "string",
        "nan": "double", "flag": "bool", "small": "int64", "document": "string", "several": "string", "span": "string",
        "bytes": "string", "clock": "string", "word": "string", "numbers": "string", "flags": "string",
        "moments": "string",
    }  # fmt: skip
    first, second = table.to_pylist()
    assert math.isnan(first.pop("nan"))
    assert first == {
        "moment": datetime(2018, 4, 4, 10, 0, 0, 123456, tzinfo=UTC), "local": datetime(2018, 4, 4, 12),
        "date": date(2018, 4, 4), "exact": "1234567890123456789.0123456789", "flag": True, "small": 7,
        "document": '[1,{"a":null}]', "several": '["1.5",null]', "span": "1 day", "bytes": "\\x00ff",
        "clock": "09:30:00", "word": "a", "numbers": "[1,null]", "flags": "[true]",
        "moments": '["2018-04-04T00:00:00Z"]',
    }  # fmt: skip
    assert set(second.values()) == {None}


def test_json_and_csv_of_a_statement_have_the_documented_values(owner: ApiClient) -> None:
    answer = owner.send("POST", "/sql", {"future": 1}, body={"query": TYPES})
    owner.check("post", "/sql", answer)
    row = answer.json["rows"][0]
    assert row == [
        "2018-04-04T10:00:00.123456Z", "2018-04-04 12:00:00", "2018-04-04", "1234567890123456789.0123456789", None,
        True, 7, [1, {"a": None}], ["1.5", None], "1 day", "\\x00ff", "09:30:00", "a",
        [1, None], [True], ["2018-04-04T00:00:00Z"],
    ]  # fmt: skip
    body = owner.send("POST", "/sql", {"future": 1}, body={"query": TYPES, "format": "csv"}).body.decode()
    _, values, nothing = csv.reader(io.StringIO(body))
    assert values == [
        "2018-04-04T10:00:00.123456Z", "2018-04-04 12:00:00", "2018-04-04", "1234567890123456789.0123456789", "nan",
        "true", "7", '[1,{"a":null}]', '["1.5",null]', "1 day", "\\x00ff", "09:30:00", "a",
        "[1,null]", "[true]", '["2018-04-04T00:00:00Z"]',
    ]  # fmt: skip
    types = [column["type"] for column in answer.json["columns"]]
    assert types[8:9] + types[13:] == ["numeric[]", "int4[]", "bool[]", "timestamptz[]"]
    assert nothing == [""] * 16


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 'infinity'::timestamptz AS at", "query: column at: expected times in the years 1 to 9999"),
        ("SELECT '0044-03-15 BC'::date AS day", "query: column day: expected times in the years 1 to 9999"),
        ("SELECT 1 AS a, 2 AS a", "query: got the column a twice, expected distinct names; name them with AS"),
    ],
)
def test_what_a_table_cannot_hold_is_refused(owner: ApiClient, query: str, expected: str) -> None:
    refused = owner.send("POST", "/sql", {"future": 1}, body={"query": query, "format": "arrow"})
    assert (refused.status, refused.json["detail"][: len(expected)]) == (400, expected)
    assert owner.send("POST", "/sql", {"future": 1}, body={"query": query}).status == 200


def test_statements_read_within_their_limits(owner: ApiClient, store: str) -> None:
    insert_bars(store, day_bars("coinbase", "BTC/USD", [1.5, 2.5, 3.5]))

    def asked(query: str, status: int = 200, **options: Any) -> Any:
        body = {"query": query, **({"format": options.pop("format")} if "format" in options else {})}
        answer = owner.send("POST", "/sql", {"future": 1, **options}, body=body)
        assert answer.status == status, answer.body
        if answer.headers["content-type"] in ("application/json", "application/problem+json"):
            owner.check("post", "/sql", answer)
        return answer

    found = asked("SELECT symbol, ts, close, rev, 1.25::numeric AS n, '{\"a\": [1]}'::jsonb AS j FROM bars ORDER BY ts")
    assert [c["type"] for c in found.json["columns"]] == ["text", "timestamptz", "float8", "int4", "numeric", "jsonb"]
    assert found.json["rows"][0] == ["BTC/USD", "2018-04-04T00:00:00Z", 1.5, 0, "1.25", {"a": [1]}]
    assert (found.json["truncated"], found.headers.get("x-tapedeck-truncated")) == (False, None)
    cut = asked("SELECT close FROM bars ORDER BY ts", limit=2)
    assert (cut.json["rows"], cut.json["truncated"]) == ([[1.5], [2.5]], True)
    assert cut.headers["x-tapedeck-truncated"] == "rows"
    assert not asked("SELECT close FROM bars ORDER BY ts", limit=3).json["truncated"]
    for format_ in ("json", "csv", "arrow", "parquet"):
        large = asked("SELECT repeat('x', 9000000) AS text FROM generate_series(1, 3)", format=format_)
        assert large.headers["x-tapedeck-truncated"] == "bytes"
        assert large.body.count(b"x") < 18_000_000
    assert large.table.num_rows == 1
    table = asked("SELECT close, symbol, NULL::int4 AS nothing FROM bars ORDER BY ts", format="arrow").table
    assert [table.column(name).to_pylist() for name in table.column_names] == [
        [1.5, 2.5, 3.5], ["BTC/USD"] * 3, [None] * 3,
    ]  # fmt: skip
    assert asked("SELECT 1 AS a WHERE false", format="csv").body == b"a\n"
    for statement in (
        "DELETE FROM bars", "SET statement_timeout = 0", "SELECT 1; DELETE FROM bars", "SELEC 1", "SELECT x FROM bars",
        "WITH d AS (DELETE FROM bars RETURNING 1) SELECT * FROM d", "SELECT pg_read_file('/etc/passwd')", "",
        "SELECT 1/0", "SELECT array_fill(1, ARRAY[600000])", "SELECT to_jsonb(array_fill(true, ARRAY[600000]))",
    ):  # fmt: skip
        assert asked(statement, status=400).json["detail"].startswith(("query: ", "body: "))
    wrong = asked("SELECT close,\n  nothing FROM bars", status=400)
    assert wrong.json["detail"] == 'query: column "nothing" does not exist, at line 2, column 3'
    assert asked("SELECT pg_sleep(5)", status=504).json["reason"] == "QueryTooSlow"
    assert asked("SELECT set_config('statement_timeout', '0', false), pg_advisory_lock(7)").json["rows"] == [["0", ""]]
    unlimited = "SELECT set_config('statement_timeout', '0', false), CASE WHEN n > 150 THEN pg_sleep(9)::text END"
    assert asked(f"{unlimited} FROM generate_series(1, 200) AS n", status=504).json["status"] == 504
    assert owner.send("POST", "/sql", {}, body={"query": "SELECT 1"}).json["reason"] == "RequestDenied"
    for token, status in ((READER, 403), ("", 401)):
        refused = ApiClient(owner.gateway, token).send("POST", "/sql", {"future": 1}, body={"query": "SELECT 1"})
        assert (refused.status, refused.headers["content-type"]) == (status, "application/problem+json")
    for path in ("/openapi.json", "/docs", "/docs.css"):
        assert ApiClient(owner.gateway).send("GET", path).status == 200
    assert ApiClient(owner.gateway).send("GET", "/exchanges").status == 401
    with psycopg.connect(store) as connection:
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
