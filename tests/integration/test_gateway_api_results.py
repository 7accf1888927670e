"""The API /api/v1 over a real database: gaps and errors, runs and sweeps, analytics, and statements."""

from __future__ import annotations

import json
import math
import statistics
from itertools import chain, pairwise
from typing import Any

import psycopg
import pytest
import yaml

from pods.api_client import ApiClient
from pods.expected_bars import T0, day_bars
from pods.gateway import (
    MINUTE,
    Gateway,
    insert_bars,
    insert_equity,
    insert_fills,
    insert_run,
    insert_trades,
    walk,
)
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import event_time

DAY = 1_440 * MINUTE
BTC, ETH = "coinbase:BTC/USD", "coinbase:ETH/USD"


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
        assert (each["params"], each["given_in"]) == (dict(cls.params._getpairs()), {})
        if name != "sma-cross":
            assert (each["runs"], each["last_started_at"]) == (0, None)


def test_the_params_of_a_strategy_of_your_own_are_those_of_all_its_runs(api: ApiClient, store: str) -> None:
    """The newest run failed, the one before was given none; each param is that of the newest run that had it."""
    given: list[dict[str, object]] = [{"fast": 5, "slow": 20}, {"fast": 7}, {}, {"fast": "abc"}]
    for n, params in enumerate(given):
        insert_run(store, f"mine-{n}", started=T0 // 1_000 + n)
        with psycopg.connect(store) as connection:
            connection.execute(
                "UPDATE runs SET strategy = 'my:Mine', params = %s WHERE run_id = %s", (json.dumps(params), f"mine-{n}")
            )
            connection.execute("UPDATE runs SET state = 'failed' WHERE run_id = 'mine-3'")
    (mine,) = [each for each in api.get("/strategies")["strategies"] if each["strategy"] == "my:Mine"]
    assert (mine["runs"], mine["last_started_at"], mine["about"]) == (4, T0 + 3_000, None)
    assert mine["params"] == {"fast": 7, "slow": 20}
    assert mine["given_in"] == {"fast": "bt-mine-1", "slow": "bt-mine-0"}


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
