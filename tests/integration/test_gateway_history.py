"""The gateway's HTTP responses: history, symbols, the catalogue, runs, and errors."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import numpy as np
import psycopg
import pytest

from by_hand.symbols import EXCHANGES_TEXT
from metrics_page.exposed import documented, exposed
from metrics_page.sections import GATEWAY
from pods.expected_bars import T0, assert_same_bars, days_of, rows
from pods.gateway import (
    MINUTE,
    Gateway,
    ReplayTopic,
    insert_bars,
    insert_equity,
    insert_run,
    running_gateway,
    walk,
)
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_common.store.schema_upgrade import upgrade_schema
from waits import eventually

WIDTHS = {
    "1": 1, "3": 3, "5": 5, "15": 15, "30": 30, "45": 45, "60": 60, "120": 120, "240": 240, "360": 360,
    "480": 480, "720": 720,
    "1D": 1440,
}  # fmt: skip
OPENS = {name: f"extract(epoch FROM ts)::int8 / {minutes * 60} * {minutes * 60}" for name, minutes in WIDTHS.items()}
OPENS |= {"3D": "extract(epoch FROM date_bin('3 days', ts, '2024-03-31Z'))::int8"}  # where one of Binance's opens
OPENS |= {"1W": "extract(epoch FROM date_trunc('week', ts, 'UTC'))::int8"}
OPENS |= {"1M": "extract(epoch FROM date_trunc('month', ts, 'UTC'))::int8"}
SECONDS = {"1S": "1s", "5S": "5s", "15S": "15s", "30S": "30s"}
INTERVALS = ["1m", "3m", "5m", "15m", "30m", "45m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]


def test_history_of_the_store_equals_plain_sql(gateway: Gateway, store: str) -> None:
    bars = walk(1, 3_000, T0 + 7 * MINUTE, gaps=0.1)
    insert_bars(store, [*bars, *walk(2, 500, T0, symbol="ETH/USD")])
    end = (T0 + 40 * 1_440 * MINUTE) // 1000
    with psycopg.connect(store) as connection:
        for resolution, opened in OPENS.items():
            expected = connection.execute(
                f"SELECT DISTINCT {opened} AS t,"  # noqa: S608
                " first_value(open) OVER w, max(high) OVER w, min(low) OVER w, last_value(close) OVER w,"
                " sum(volume) OVER w FROM bars WHERE symbol = 'BTC/USD'"
                f" WINDOW w AS (PARTITION BY {opened} ORDER BY ts"
                " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) ORDER BY t",
            ).fetchall()
            _, answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution=resolution, from_=0, to=end)
            assert_same_bars(rows(answer), expected)
            cut = expected[len(expected) // 2][0]
            _, answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution=resolution, from_=cut, to=end)
            assert_same_bars(rows(answer), [row for row in expected if row[0] >= cut])
            _, answer = gateway.get(
                "/history", symbol="coinbase:BTC/USD", resolution=resolution, from_=end - 1, to=end, countback=3
            )
            assert_same_bars(rows(answer), expected[-3:])


def test_any_symbol_and_prices_below_zero(gateway: Gateway, store: str) -> None:
    prices = (-37.63, -37.0, -40.32, -38.5)
    insert_bars(store, [Bar("x", symbol, "1m", T0, *prices, n + 1) for n, symbol in enumerate(EXCHANGES_TEXT)])
    for n, symbol in enumerate(EXCHANGES_TEXT):
        name = f"x:{symbol}"
        assert gateway.get("/symbols", symbol=name)[1]["ticker"] == name
        _, answer = gateway.get("/history", symbol=name, resolution="5", from_=0, to=T0 // 1000 + 60)
        assert_same_bars(rows(answer), [(T0 // 1000, *prices, n + 1)])
        assert name in [found["ticker"] for found in gateway.get("/search", query=symbol)[1]]
    listed = gateway.get("/api/symbols")[1]
    assert sorted(each["symbol"] for each in listed) == sorted(EXCHANGES_TEXT)


def test_days_are_those_stored_and_in_their_holes_those_of_minutes(gateway: Gateway, store: str) -> None:
    day = 1_440 * MINUTE
    days = [
        Bar("coinbase", "BTC/USD", "1d", T0 + n * day, 100.0 + n % 9, 120.0 + n % 7, 90.0 - n % 5, 101.0 + n % 9, 5.0)
        for n in range(-700, 30)
    ]
    minutes = [
        bar
        for bar in walk(61, 6 * 1_440, T0 + 600 * MINUTE)  # from the noon of a day to that of another
        if bar.ts // day != T0 // day + 3
    ]
    insert_bars(store, [*(bar for bar in days if (bar.ts - T0) // day not in (1, 4)), *minutes])
    stored = {bar.ts // 1000: (bar.ts // 1000, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in days}
    of_minutes = days_of(minutes)
    holes = {(T0 + n * day) // 1000 for n in (1, 4)}
    expected = [of_minutes[at] if at in holes else row for at, row in sorted(stored.items())]
    asked = {"symbol": "coinbase:BTC/USD", "resolution": "1D"}
    first, end = int(expected[0][0]), (T0 + 30 * day) // 1000
    assert_same_bars(rows(gateway.get("/history", **asked, from_=first, to=end)[1]), expected)
    assert_same_bars(rows(gateway.get("/history", **asked, to=end)[1]), expected)
    for count in (1, 26, 28, 30, 400, 5_000):
        assert_same_bars(rows(gateway.get("/history", **asked, to=end, countback=count)[1]), expected[-count:])
    inner = (T0 + 6 * day) // 1000
    assert_same_bars(rows(gateway.get("/history", **asked, to=inner, countback=2)[1]), expected[704:706])
    later = {"from_": end + 10 * 86_400, "to": end + 20 * 86_400}
    assert gateway.get("/history", **asked, **later)[1] == {"s": "no_data", "nextTime": (T0 + 29 * day) // 1000}
    api = gateway.get("/api/v1/bars", symbol="coinbase:BTC/USD", interval="1d", limit=10_000)[1]["bars"]
    names = ("open", "high", "low", "close", "volume")
    assert_same_bars([(bar["ts"] // 1000, *(bar[name] for name in names)) for bar in api], expected)

    weeks = rows(gateway.get("/history", **asked | {"resolution": "1W"}, to=end)[1])
    assert weeks[0][0] < first + 7 * 86_400
    assert [b[0] - a[0] for a, b in itertools.pairwise(weeks)] == [7 * 86_400] * (len(weeks) - 1)
    of_days = [row for row in expected if weeks[50][0] <= row[0] < weeks[51][0]]
    assert weeks[50][1:5] == (
        of_days[0][1], max(row[2] for row in of_days), min(row[3] for row in of_days), of_days[-1][4],
    )  # fmt: skip
    assert rows(gateway.get("/history", **asked | {"resolution": "60"}, to=end)[1])[0][0] == minutes[0].ts // 1000


def test_no_data_names_the_last_bar_before(gateway: Gateway, store: str) -> None:
    bars = walk(4, 100, T0)
    insert_bars(store, bars)
    late = (T0 + 900 * MINUTE) // 1000
    answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution="5", from_=late, to=late + 600)[1]
    assert answer == {"s": "no_data", "nextTime": (T0 + 95 * MINUTE) // 1000}
    early = T0 // 1000 - 900
    answer = gateway.get("/history", symbol="coinbase:BTC/USD", resolution="5", from_=early, to=early + 600)[1]
    assert answer == {"s": "no_data"}
    same = {"symbol": "coinbase:BTC/USD", "resolution": "5", "to": late}
    for from_ in (late, late + 1):
        answer = gateway.get("/history", **same, from_=from_)[1]
        assert answer == {"s": "no_data", "nextTime": (T0 + 95 * MINUTE) // 1000}
    assert len(gateway.get("/history", **same, from_=-5_000_000_000)[1]["t"]) == 20
    assert len(gateway.get("/history", **same)[1]["t"]) == 20
    assert gateway.get("/history", **same, from_=late - 1, countback=3)[1]["t"] == [
        (T0 + m * MINUTE) // 1000 for m in (85, 90, 95)
    ]
    before = {"symbol": "coinbase:BTC/USD", "resolution": "5", "to": T0 // 1000, "countback": 3}
    assert gateway.get("/history", **before)[1] == {"s": "no_data"}


def test_symbols_search_config_and_time(gateway: Gateway, store: str) -> None:
    insert_bars(store, [*walk(5, 30, T0), *walk(6, 30, T0, symbol="ETH/USD"), *walk(7, 5, T0, exchange="kraken")])
    assert gateway.get("/config")[1]["supported_resolutions"] == [*SECONDS, *OPENS]
    resolutions = gateway.get("/api/resolutions")[1]
    assert [(each["resolution"], each["interval"]) for each in resolutions] == [
        *SECONDS.items(),
        *zip(OPENS, INTERVALS, strict=True),
    ]
    assert [each["width_ms"] for each in resolutions] == [
        *(1_000, 5_000, 15_000, 30_000),
        *(width * MINUTE for width in WIDTHS.values()),
        *(259_200_000, 604_800_000, 2_678_400_000),
    ]
    assert [each["origin_ms"] // (1_440 * MINUTE) for each in resolutions] == [0] * (4 + len(WIDTHS)) + [1, 4, 0]
    exchanges = [each["value"] for each in gateway.get("/config")[1]["exchanges"]]
    assert exchanges == sorted(exchanges)
    assert {"", "coinbase", "kraken"} <= set(exchanges)  # replays of other tests have exchanges, too
    before = int(time.time())
    assert before <= int(gateway.get("/time")[1]) <= time.time()
    found = gateway.get("/symbols", symbol="coinbase:BTC/USD")[1]
    assert (found["ticker"], found["pricescale"], found["timezone"]) == ("coinbase:BTC/USD", 100, "Etc/UTC")
    assert gateway.stored_tickers(query="btc", exchange="kraken") == ["kraken:BTC/USD"]
    assert len(gateway.get("/search", query="", limit=2)[1]) == 2


def test_a_market_of_days_alone_has_a_chart(gateway: Gateway, store: str) -> None:
    day = 86_400_000
    insert_bars(store, [Bar("nyse", "AAPL", "1d", T0 + n * day, 1.0, 3.0, 1.0, 2.0 + n % 2, 5.0) for n in range(10)])
    assert gateway.stored_tickers(query="aapl") == ["nyse:AAPL"]
    assert gateway.get("/symbols", symbol="nyse:AAPL")[1]["supported_resolutions"] == ["1D", "3D", "1W", "1M"]
    asked = {"symbol": "nyse:AAPL", "from": 0, "to": (T0 + 20 * day) // 1000}
    days = gateway.get("/history", resolution="1D", **asked)[1]
    assert (days["s"], days["t"], days["c"]) == ("ok", [(T0 + n * day) // 1000 for n in range(10)], [2.0, 3.0] * 5)
    weeks = gateway.get("/history", resolution="1W", **asked)[1]
    assert weeks["v"] == [25.0, 25.0]
    status, said = gateway.get("/history", resolution="1", **asked)
    assert (status, said["errmsg"]) == (200, "resolution: got '1', expected one of 1D, 3D, 1W, 1M")


def test_a_replay_has_the_session_of_its_market(gateway: Gateway, store: str, connections: Connections) -> None:
    with psycopg.connect(store) as connection:
        connection.execute(
            "INSERT INTO sessions VALUES ('coinbase', 'COIN', 'America/New_York', '09:30', '16:00',"
            " '{Mon,Tue,Wed,Thu,Fri}', now())"
        )
    found = gateway.get("/symbols", symbol=ReplayTopic(connections, symbols=["COIN"]).ticker)[1]
    assert (found["session"], found["timezone"]) == ("0930-1600:23456", "America/New_York")


def test_history_of_results_of_a_transform(gateway: Gateway, store: str) -> None:
    values = {T0 + n * MINUTE: n * 7 % 23 + 0.5 for n in range(400) if n % 11}
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
            " VALUES ('coinbase', 'BTC/USD', %s, 'mine', to_timestamp(%s / 1000.0), '', %s, 0, 'live')",
            [*(("1m", ts, value) for ts, value in values.items()), ("5m", T0, 9.0), ("1m", T0 - MINUTE, None)],
        )
        cursor.executemany(  # of trades of one millisecond, whose ids sort the other way round
            "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source, seq)"
            " VALUES ('coinbase', 'BTC/USD', '', 'ticks', to_timestamp(%s / 1000.0), %s, %s, 0, 'live', %s)",
            [(T0 + 5, "f6", 8531.5, 1), (T0 + 5, "9e", 8532.0, 2), (T0 + 5, "0a", 8530.0, 3)],
        )
    query = {"symbol": "coinbase:BTC/USD@mine", "from_": 0, "to": T0 // 1000 + 86_400}
    minutes = [(ts // 1000, value, value, value, value, 0) for ts, value in values.items()]
    assert rows(gateway.get("/history", resolution="1", **query)[1]) == minutes
    quarters: dict[int, list[float]] = {}
    for ts, value in values.items():
        quarters.setdefault(ts // 900_000 * 900, []).append(value)
    aggregated_points = [(t, some[0], max(some), min(some), some[-1], 0) for t, some in quarters.items()]
    assert rows(gateway.get("/history", resolution="15", **query)[1]) == aggregated_points
    assert rows(gateway.get("/history", resolution="15", countback=3, **query)[1]) == aggregated_points[-3:]
    ticks = gateway.get("/history", resolution="1", **query | {"symbol": "coinbase:BTC/USD@ticks"})[1]
    assert rows(ticks) == [(T0 // 1000, 8531.5, 8532.0, 8530.0, 8530.0, 0)]
    assert gateway.get("/symbols", symbol="coinbase:BTC/USD@mine")[1]["name"] == "BTC/USD@mine"
    assert gateway.stored_tickers(query="btc/usd@") == ["coinbase:BTC/USD@mine", "coinbase:BTC/USD@ticks"]
    unknown = gateway.get("/history", resolution="1", **query | {"symbol": "coinbase:BTC/USD@yours"})
    assert (unknown[0], unknown[1]["s"]) == (200, "error")


def test_the_catalogue_and_the_latest_bar_of_each_series(gateway: Gateway, store: str) -> None:
    series = {
        ("coinbase", "BTC/USD"): walk(5, 30, T0, gaps=0.2),
        ("coinbase", "ETH/USD"): walk(6, 30, T0 + MINUTE, symbol="ETH/USD"),
        ("kraken", "BTC/USD"): walk(7, 5, T0, exchange="kraken"),
    }
    insert_bars(store, [bar for bars in series.values() for bar in bars])
    with psycopg.connect(store) as connection:
        new_york = ("kraken", "BTC/USD", "America/New_York", "09:30", "16:00", ["Mon", "Fri"])
        connection.execute("INSERT INTO sessions VALUES (%s, %s, %s, %s, %s, %s, now())", new_york)
        connection.execute("INSERT INTO listings VALUES ('kraken', 'BTC/USD', 'XBT', 'ZUSD', 0.05, 1e-8, now())")
    symbols = gateway.get("/api/symbols")[1]
    assert [
        (s["exchange"], s["symbol"], s["base"], s["quote"], s["price_step"], s["amount_step"]) for s in symbols
    ] == [
        ("coinbase", "BTC/USD", "BTC", "USD", None, None),
        ("coinbase", "ETH/USD", "ETH", "USD", None, None),
        ("kraken", "BTC/USD", "XBT", "ZUSD", 0.05, 1e-8),
    ]
    assert [s["series"] for s in symbols] == [
        [{"interval": "1m", "first": bars[0].ts, "last": bars[-1].ts}] for bars in series.values()
    ]
    found = gateway.get("/symbols", symbol="kraken:BTC/USD")[1]
    assert (found["minmov"], found["pricescale"]) == (5, 100)
    assert (found["session"], found["timezone"]) == ("0930-1600:26", "America/New_York")
    assert [s["session"]["timezone"] for s in symbols] == ["UTC", "UTC", "America/New_York"]
    always = gateway.get("/symbols", symbol="coinbase:BTC/USD")[1]
    assert (always["session"], always["timezone"]) == ("24x7", "Etc/UTC")
    latest = gateway.get("/api/latest")[1]
    names = ("exchange", "symbol", "interval", "ts", "open", "high", "low", "close", "volume", "rev")
    assert [tuple(bar[name] for name in names) for bar in latest] == [
        tuple(getattr(bars[-1], name) for name in names) for bars in series.values()
    ]
    assert gateway.get("/api/latest", exchange="kraken")[1] == latest[2:]
    assert gateway.get("/api/latest", limit=1)[1] == latest[:1]
    assert gateway.get("/api/symbols", exchange="kraken", limit=1)[1] == symbols[2:]


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("/history", {"symbol": "nonsense", "resolution": "1", "from_": 0, "to": 9}, "symbol: got 'nonsense'"),
        ("/marks", {"symbol": "a:b", "resolution": "7", "from_": 0, "to": 9}, "resolution: got '7'"),
        ("/timescale_marks", {"symbol": "a:b", "resolution": "7", "from_": 0, "to": 9}, "resolution: got '7'"),
        ("/history", {"symbol": "a b", "resolution": "1", "from_": 0, "to": 9}, "symbol: got 'a b'"),
        ("/quotes", {"symbols": ","}, "symbols: got none"),
        ("/symbol_info", {"group": "none"}, "group: got 'none'"),
        ("/symbol_info", {}, "group: missing"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": "x", "to": 9}, "from: got 'x'"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 0}, "to: missing"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 0, "to": 10**15}, "to: got"),
        ("/history", {"symbol": "a:b", "resolution": "1", "to": 9, "countback": 0}, "countback: got '0'"),
        ("/history", {"symbol": "a:b", "resolution": "1", "from_": 0, "to": 9}, "symbol: got 'a:b'"),
        (
            "/history",
            {"symbol": "replay/none/a:b", "resolution": "1", "from_": 0, "to": 9},
            "symbol: got 'replay/none/a:b'",
        ),
        ("/symbols", {"symbol": "a:b"}, "symbol: got 'a:b'"),
        ("/search", {"limit": 0}, "limit: got '0'"),
        ("/api/runs/none", {}, "run: got 'none'"),
        ("/api/runs", {"limit": "many"}, "limit: got 'many'"),
    ],
)
def test_an_invalid_parameter_is_named(
    shared_gateway: Gateway, path: str, query: dict[str, object], named: str
) -> None:
    status, answer = shared_gateway.get(path, **query)
    assert status in ((400, 404) if path.startswith("/api") else (200,))
    assert answer["s"] == "error"
    assert answer["errmsg"].startswith(named)


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory, services: Any) -> Iterator[Gateway]:
    upgrade_schema(services.postgres.dsn())
    with running_gateway(tmp_path_factory.mktemp("gateway"), services.connections()) as gateway:
        yield gateway


@pytest.mark.parametrize("limit", [6, 100, 5_000, 20_000])
def test_thinned_equity_keeps_the_extremes_of_each_stretch(gateway: Gateway, store: str, limit: int) -> None:
    insert_run(store, "long")
    values = (1_000 + np.random.default_rng(1).normal(0, 10, 5_000).cumsum()).tolist()
    insert_equity(store, "long", [(i * 3, T0 + i * MINUTE, v, 0.0) for i, v in enumerate(values)])
    points = gateway.get("/api/runs/long/equity", points=limit)[1]
    kept = [point[0] // 3 for point in points]
    assert [point[2] for point in points] == [values[i] for i in kept]
    drawdowns = (1 - values / np.maximum.accumulate(values)) * 100
    assert [point[5] for point in points] == pytest.approx(drawdowns[kept].tolist())
    if limit >= len(values):
        assert kept == list(range(len(values)))
        return
    assert len(kept) <= limit
    assert (kept[0], kept[-1]) == (0, len(values) - 1)
    stretches, inner = (limit - 2) // 4, len(values) - 2
    edges = [1 - (-inner * i // stretches) for i in range(stretches + 1)]
    for first, end in itertools.pairwise(edges):
        for curve in (np.array(values), drawdowns):
            assert {first + int(np.argmin(curve[first:end])), first + int(np.argmax(curve[first:end]))} <= set(kept)


def test_pod_contract(gateway: Gateway) -> None:
    assert gateway.get("/healthz") == (200, "ok")
    assert gateway.get("/status")[1]["state"] == "running"
    assert gateway.get("/no/such/page")[0] == 404
    assert gateway.get("/api/v1/runs/none")[0] == 404

    def counts() -> dict[str, float]:
        lines = (line.rsplit(" ", 1) for line in str(gateway.get("/metrics")[1]).splitlines() if line[0] != "#")
        return {name: float(count) for name, count in lines}

    def counted(code: int, route: str) -> bool:
        """A request is counted once its answer has been sent."""
        name = f'tapedeck_gateway_requests_total{{code="{code}",method="GET",route="{route}"}}'
        return counts().get(name, 0) >= 1

    eventually(lambda: counted(404, "/api/v1/runs/{run_id}") and counted(404, "other") and counted(200, "/healthz"))
    assert exposed(str(gateway.get("/metrics")[1])) == documented(GATEWAY)
    assert 'tapedeck_gateway_dependency_up{dependency="database"}' in counts()
    with urlopen(gateway.url + "/status", timeout=60) as answer:
        assert "script-src 'self'" in answer.headers["content-security-policy"]
