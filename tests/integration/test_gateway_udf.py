"""UDF as TradingView documents it: names of replays, series without bars, instruments, quotes and marks."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from pods.expected_bars import T0, aggregated, assert_same_bars, rows
from pods.gateway import (
    FILE_SPEC,
    MINUTE,
    Gateway,
    ReplayTopic,
    insert_bars,
    insert_fills,
    insert_run,
    insert_trades,
    walk,
)
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections
from waits import eventually

TO = T0 // 1000 + 86_400


def history(gateway: Gateway, symbol: str, resolution: str, **more: object) -> list[tuple[float, ...]]:
    status, answer = gateway.get("/history", symbol=symbol, resolution=resolution, **{"to": TO, **more})
    assert status == 200
    return rows(answer)


def test_a_replay_is_charted_by_its_name(gateway: Gateway, connections: Connections) -> None:
    bars = walk(41, 70, T0)
    replay = ReplayTopic(connections, name="by-name", spec=FILE_SPEC, range_from=T0)
    replay.play(bars)
    name = "replay/default/by-name:BTC/USD"
    found = gateway.get("/symbols", symbol=name)[1]
    assert (found["ticker"], found["full_name"], found["exchange"]) == (name, name, "coinbase")
    assert gateway.get("/symbols", symbol=replay.ticker)[1] == found  # the uid stands for the same
    assert [each["ticker"] for each in gateway.get("/search", query="by-name")[1]] == [name]
    for symbol in (name, name.upper(), "replay/default/by-name:BTCUSD", replay.ticker):
        assert_same_bars(history(gateway, symbol, "60"), aggregated(bars, 60, event_time(bars[-1])))
    replay.seek(T0 + 30 * MINUTE)
    expected = aggregated(bars, 60, T0 + 30 * MINUTE)
    eventually(lambda: history(gateway, name, "60")[0][:5] == expected[0][:5])
    assert_same_bars(history(gateway, name, "60"), expected)
    (quote,) = gateway.get("/quotes", symbols=name)[1]["d"]
    assert (quote["s"], quote["v"]["lp"], quote["v"]["open_price"]) == ("ok", bars[29].close, bars[0].open)

    newer = ReplayTopic(connections, name="by-name", spec=FILE_SPEC, range_from=T0)
    newer.play(bars[:10])
    eventually(lambda: len(history(gateway, name, "1")) == 10)
    assert len(history(gateway, replay.ticker, "1")) == 30
    tickers = {each["ticker"] for each in gateway.get("/search", query="BTCUSD", limit=1_000)[1]}
    assert {name, replay.ticker} <= tickers


def test_bars_are_made_of_trades_and_tickers(gateway: Gateway, store: str) -> None:
    trades = [(T0 + n * 700, f"{n % 7}", 100.0 + n * 37 % 11, 0.5 + n % 3) for n in range(200)]
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            "INSERT INTO trades (exchange, symbol, ts, id, price, amount, side, source)"
            " VALUES ('x', 'A/USD', to_timestamp(%s / 1000.0), %s, %s, %s, 'buy', 'live')",
            trades,
        )
        connection.cursor().executemany(
            "INSERT INTO tickers (exchange, symbol, ts, price, bid, ask, source)"
            " VALUES ('x', 'B/USD', to_timestamp(%s / 1000.0), %s, 1.5, 2.5, 'live')",
            [(ts, price) for ts, _, price, _ in trades],
        )

    def made(width: int, *, volume: bool) -> list[tuple[float, ...]]:
        groups: dict[int, list[tuple[float, float]]] = {}
        for ts, _, price, amount in trades:
            groups.setdefault(ts // 1000 // width * width, []).append((price, amount if volume else 0.0))
        return [
            (t, g[0][0], max(p for p, _ in g), min(p for p, _ in g), g[-1][0], sum(a for _, a in g))
            for t, g in groups.items()
        ]

    for symbol, volume in (("x:A/USD", True), ("busd", False)):
        for resolution, width in (("1S", 1), ("15S", 15), ("1", 60), ("1D", 86_400)):
            assert_same_bars(history(gateway, symbol, resolution), made(width, volume=volume))
        assert_same_bars(history(gateway, symbol, "5S", countback=4), made(5, volume=volume)[-4:])
    found = gateway.get("/symbols", symbol="AUSD")[1]
    assert (found["ticker"], found["has_seconds"], found["seconds_multipliers"]) == (
        "x:A/USD",
        True,
        ["1", "5", "15", "30"],
    )
    assert {"1S", "45", "240", "1D", "1W", "1M"} <= set(found["supported_resolutions"])
    assert gateway.stored_tickers(query="usd", exchange="x") == ["x:A/USD", "x:B/USD"]
    quotes = gateway.get("/quotes", symbols="x:A/USD,b-usd,none")[1]["d"]
    assert [(each["n"], each["s"]) for each in quotes] == [("x:A/USD", "ok"), ("b-usd", "ok"), ("none", "error")]
    last = trades[-1][2]
    assert (quotes[0]["v"]["lp"], quotes[1]["v"]["lp"]) == (last, last)
    assert (quotes[1]["v"]["bid"], quotes[1]["v"]["ask"], "bid" in quotes[0]["v"]) == (1.5, 2.5, False)
    assert quotes[2]["errmsg"].startswith("symbol: got 'none'")


def test_quotes_are_answered_symbol_by_symbol(gateway: Gateway, store: str) -> None:
    named = [f"S{n:03}/USD" for n in range(120)]
    insert_bars(store, [Bar("x", name, "1d", T0, 1.0, 2.0, 1.0, n + 1.0, 1.0) for n, name in enumerate(named)])
    asked = [f"x:{name}" for name in named] + ["none"] * 400
    found = gateway.get("/quotes", symbols=",".join(asked))[1]["d"]
    assert [each["n"] for each in found] == asked
    assert [each["v"]["lp"] for each in found[:120]] == [n + 1.0 for n in range(120)]
    assert [each["s"] for each in found[120:]] == ["error"] * 400
    assert found[499]["errmsg"].startswith("symbol: got 'none'")
    assert found[500]["errmsg"] == "symbols: got 520, expected 500 at most in a request"
    assert gateway.get("/quotes", symbols=",")[1]["errmsg"] == "symbols: got none, expected some, separated by commas"


def test_a_quote_may_be_of_a_symbol_with_a_comma(gateway: Gateway, store: str) -> None:
    insert_bars(
        store,
        [Bar("desk", name, "1d", T0, 1.0, 2.0, 1.0, close, 1.0) for name, close in (("GOLD,SPOT", 1.5), ("SPOT", 1.7))],
    )
    found = gateway.get("/quotes", symbols="desk:GOLD%2CSPOT,desk:SPOT,desk:GOLD,SPOT")[1]["d"]
    assert [(each["n"], each["v"].get("lp")) for each in found] == [
        ("desk:GOLD,SPOT", 1.5),
        ("desk:SPOT", 1.7),
        ("desk:GOLD", None),
        ("SPOT", 1.7),
    ]


def test_an_ambiguous_symbol_is_of_the_exchange_with_most_volume(gateway: Gateway, store: str) -> None:
    insert_bars(store, walk(42, 30, T0))
    more = [
        Bar("kraken", "BTC/USD", "1m", bar.ts, bar.open, bar.high, bar.low, bar.close, 1_000.0)
        for bar in walk(42, 9, T0)
    ]
    insert_bars(store, more)
    for text in ("BTCUSD", "BTC-USD", "BTC/USD"):
        assert gateway.get("/symbols", symbol=text)[1]["ticker"] == "kraken:BTC/USD"
    for text in ("COINBASE:BTCUSD", "coinbase:BTC/USD", "coinbase:btc-usd"):
        assert gateway.get("/symbols", symbol=text)[1]["ticker"] == "coinbase:BTC/USD"


def test_instruments_of_an_exchange_as_a_table(gateway: Gateway, store: str) -> None:
    day = 86_400_000

    def days(symbol: str, *prices: float) -> list[Bar]:
        return [Bar("x", symbol, "1d", T0 + n * day, p, p, p, p, 1.0) for n, p in enumerate(prices)]

    insert_bars(store, [*days("AAPL", 170.0, 171.55), *days("EUR/USD", 1.08, 1.08512), *days("ES", 4_000.0, 4_000.25)])
    with psycopg.connect(store) as connection:
        connection.execute("INSERT INTO listings VALUES ('x', 'ES', 'ES', 'USD', 0.25, 1, now())")
        connection.cursor().executemany(
            "INSERT INTO sessions VALUES ('x', %s, %s, %s, %s, '{Mon,Tue,Wed,Thu,Fri}', now())",
            [("AAPL", "America/New_York", "09:30", "16:00"), ("ES", "America/Chicago", "17:00", "16:00")],
        )
    table = gateway.get("/symbol_info", group="x")[1]
    names = ("ticker", "type", "session-regular", "timezone", "minmov", "pricescale", "minmovement2")
    found = {row[0]: row[1:] for row in zip(*(table[name] for name in names), strict=True)}
    assert found == {
        "x:AAPL": ("stock", "0930-1600:23456", "America/New_York", 1, 100, 0),
        "x:ES": ("futures", "1700-1600:23456", "America/Chicago", 25, 100, 0),
        "x:EUR/USD": ("forex", "24x7", "Etc/UTC", 1, 100_000, 10),
    }
    for ticker, expected in found.items():
        one = gateway.get("/symbols", symbol=ticker)[1]
        assert (one["type"], one["session"], one["timezone"]) == expected[:3]
        assert (one["minmov"], one["pricescale"], one["minmove2"]) == expected[3:]
        assert (one["has_intraday"], one["has_daily"], one["supported_resolutions"][0]) == (False, True, "1D")
    assert gateway.stored_tickers(type="stock", exchange="x") == ["x:AAPL"]


def test_marks_of_a_run_of_gaps_and_of_a_replay(gateway: Gateway, store: str, connections: Connections) -> None:
    shock = {"shock": {"percent": -20.0}, "from": "2018-04-04T00:20:00Z"}
    later = {"outage": {"percent": 100.0}, "from": "2018-04-04T01:30:00Z"}
    spec = FILE_SPEC | {"scenario": [shock, later]}
    replay = ReplayTopic(connections, name="marked", spec=spec, range_from=T0, range_to=T0 + 600 * MINUTE)
    replay.play(walk(43, 50, T0))
    replay.seek(T0 + 10 * MINUTE)
    replay.play(walk(44, 50, T0 + 10 * MINUTE))
    insert_run(store, "older", replay_uid=replay.uid, started=int(time.time()) - 100)
    insert_run(store, "run-1", replay_uid=replay.uid)
    insert_fills(store, "older", [(0, T0 + MINUTE, "buy", 9.0, 9.0)])
    insert_fills(
        store, "run-1", [(0, T0 + 5 * MINUTE, "buy", 0.5, 7_000.25), (1, T0 + 30 * MINUTE, "sell", 0.5, 7_100.0)]
    )
    insert_fills(store, "run-1", [(2, T0 + 100 * MINUTE, "buy", 1.0, 1.0)])  # beyond the position
    insert_trades(store, "run-1", [(0, 0.5, T0 + 5 * MINUTE, 7_000.25, T0 + 30 * MINUTE, 7_100.0)])
    insert_trades(store, "run-1", [(1, 1.0, T0 + 5 * MINUTE, 1.0, T0 + 100 * MINUTE, 1.0)])
    with psycopg.connect(store) as connection:
        connection.cursor().executemany(
            "INSERT INTO gaps (exchange, symbol, interval, start_ts, end_ts, state)"
            " VALUES ('coinbase', 'BTC/USD', '1m', to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0), 'unfillable')",
            [(T0 + 40 * MINUTE, T0 + 45 * MINUTE), (T0 + 50 * MINUTE, T0 + 90 * MINUTE)],
        )
    asked = {"symbol": "replay/default/marked:BTC/USD", "resolution": "1", "from": T0 // 1000, "to": TO}
    marks = gateway.get("/marks", **asked)[1]
    assert "errmsg" not in marks, marks
    columns: list[tuple[Any, ...]] = list(zip(*(marks[name] for name in ("id", "time", "color", "label")), strict=True))
    assert columns == [
        ("run-1:0", (T0 + 4 * MINUTE) // 1000, "green", "B"),  # on the bars that end at the fills' event times
        ("run-1:1", (T0 + 29 * MINUTE) // 1000, "red", "S"),
    ]
    assert marks["text"][0] == "bt-run-1: buy 0.5 at 7000.25"
    assert {len(column) for column in marks.values()} == {2}
    assert gateway.get("/marks", **asked, run="older")[1]["id"] == ["older:0"]
    assert gateway.get("/marks", **asked, run="none")[1]["s"] == "error"
    assert gateway.get("/marks", **asked | {"from": T0 // 1000 + 600})[1]["id"] == ["run-1:1"]
    found = gateway.get("/timescale_marks", **asked)[1]
    assert [(each["time"] - T0 // 1000, each["label"], each["tooltip"][0]) for each in found] == [
        (600, "S", "seek, epoch 1.0"),
        (1_200, "C", "scenario: shock"),
        (1_740, "T", "bt-run-1: long 0.5"),
        (2_400, "G", "missing bars of 1m"),
    ]
    assert [len(gateway.get(path, **asked, future=1)[1]) for path in ("/timescale_marks",)] == [7]
    no_run = {"symbol": "coinbase:BTC/USD", "resolution": "1", "from": T0 // 1000, "to": TO}
    insert_bars(store, walk(45, 5, T0))
    assert gateway.get("/marks", **no_run)[1]["id"] == []
    assert [each["label"] for each in gateway.get("/timescale_marks", **no_run)[1]] == ["G", "G"]
