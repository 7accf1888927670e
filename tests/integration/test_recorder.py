"""The recorder with a real broker and both kinds of database, with the privileges of its role."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from pods.recorder import (
    BACKFILL,
    LIVE,
    MINUTE,
    T0,
    eventually,
    select,
)
from pods.recorder_stage import RecorderStage, bar, on_bars
from tapedeck_common import records, topics
from tapedeck_common.market import Bar, Ticker, Trade
from tapedeck_common.wire import Epoch, encode, replay_headers
from waits import idle_clock, within


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_every_kind_of_record_is_stored(stage: RecorderStage, exchange: str) -> None:
    run = f"run-{exchange}"
    trade = Trade(exchange, "A/B", T0 + 5, "t-1", 3.5, 0.25, "buy", 2)
    ticker = Ticker(exchange, "A/B", T0 + 7, 3.5, bid=3.4)
    started = records.RunStarted(
        run,
        "n",
        "default",
        "sma",
        Raw(b'{"fast":3}'),
        Raw(b'{"a":[1]}'),
        exchange,
        ["A/B"],
        "1m",
        "",
        10.0,
        T0,
    )
    key = f"{exchange}:A/B"
    results: list[Any] = [
        started,
        records.RunFill(run, 0, "A/B", T0, "buy", 1.5, 2.0),
        records.RunTrade(run, 0, "A/B", "long", 1.5, T0, 2.0, T0 + 60_000, 3.0, 1.5, 1.25, 0.25, "in", "out"),
        records.RunEquity(run, 10, [T0, T0 + 60_000, T0 + 120_000], [10.0, 11.0, 12.5], [8.0, 8.5, 12.5]),
        records.RunEquity(
            run, 20, [T0 + 180_000, T0 + 300_000], [9.0, 8.0], [9.0, 8.0], [0, 2], [1.0, None], [2.0, 3.0], [None, 4.0]
        ),
        records.RunEnded(
            run,
            "complete",
            "",
            3,
            {"sharpe": None, "return": 0.25},
            "abc",
            T0 + 9,
            [records.RunDrawdown(5.0, 50.0, T0, T0 + 1, None, 1.5)],
            [records.RunPeriod("2018-04", 10.0, 12.5, 25.0, 0.0, 1, 1, 1.25)],
            {"sharpe": "too short"},
            records.RunAnalyses({"SQN": {"sqn": 0.5}}, {"DrawDown": {"drawdown": [[T0, 5.0]]}}),
            [records.RunPosition("A/B", -2.0, 3.0, 4.0, -2.0)],
            [records.RunOrder("A/B", T0, "buy", "Limit", 1.0, 2.5, "dip")],
        ),
        records.RunEnded(run, "failed", "late", 0, {}, "zzz", T0 + 99),
        started,
    ]
    stage.record(
        on_bars(bar(exchange, "A/B", 0), LIVE),
        (topics.MARKET_TRADES, encode(trade), key, LIVE),
        (topics.MARKET_TRADES, encode(trade), key, LIVE),
        (topics.MARKET_TICKERS, encode(ticker), key, LIVE),
        (topics.MARKET_TICKERS, encode(ticker), key, LIVE),
        (topics.MARKET_INGEST, encode(records.Gap(exchange, "A/B", "1m", T0, T0 + 120_000, "open")), key, None),
        (topics.MARKET_INGEST, encode(records.Gap(exchange, "A/B", "1m", T0, T0 + 120_000, "filled")), key, None),
        (topics.MARKET_INGEST, encode(records.Gap(exchange, "A/B", "", T0, T0 + 5, "open", 3, "7, 9-10")), key, None),
        (topics.MARKET_INGEST, encode(records.Listing(exchange, "A/B", "A", "B", T0 + 5, 0.05)), key, None),
        (topics.MARKET_INGEST, encode(records.Listing(exchange, "A/B", "old", "B", T0)), key, None),
        (
            topics.MARKET_INGEST,
            encode(records.IngestError("f", exchange, "A/B", "a:3", "bad\0", "1,2", T0, 7)),
            key,
            None,
        ),
        *(
            (topics.MARKET_INGEST, encode(records.SymbolSession(exchange, "A/B", *said)), key, None)
            for said in (
                ("Asia/Tokyo", "09:00", "15:00", ["Mon"], T0 + 5),
                ("America/New_York", "09:30", "16:00", ["Mon"], T0),  # earlier
                ("America/Gotham", "09:30", "16:00", ["Mon"], T0 + 9),  # refused
            )
        ),
        *((topics.RESULTS, encode(result), run, None) for result in results),
    )
    assert select(stage.dsn, "SELECT * FROM bars WHERE exchange = %s", exchange) == [
        (exchange, "A/B", "1m", at(T0), 2.0, 9.0, 1.0, 2.0, 5.0, 0, "live")
    ]
    assert select(stage.dsn, "SELECT * FROM trades WHERE exchange = %s", exchange) == [
        (exchange, "A/B", at(T0 + 5), "t-1", 3.5, 0.25, "buy", "live", 2)
    ]
    assert select(stage.dsn, "SELECT * FROM tickers WHERE exchange = %s", exchange) == [
        (exchange, "A/B", at(T0 + 7), 3.5, None, None, None, 3.4, None, "live")
    ]
    assert select(stage.dsn, "SELECT * FROM gaps WHERE exchange = %s ORDER BY interval", exchange) == [
        (exchange, "A/B", "", at(T0), at(T0 + 5), "open", 3, "7, 9-10"),
        (exchange, "A/B", "1m", at(T0), at(T0 + 120_000), "filled", 0, ""),
    ]
    assert select(stage.dsn, "SELECT * FROM listings WHERE exchange = %s", exchange) == [
        (exchange, "A/B", "A", "B", 0.05, None, at(T0 + 5))
    ]
    assert select(stage.dsn, "SELECT * FROM sessions WHERE exchange = %s", exchange) == [
        (exchange, "A/B", "Asia/Tokyo", "09:00", "15:00", ["Mon"], at(T0 + 5))
    ]
    assert select(
        stage.dsn,
        "SELECT topic, at, feed, symbol, place, reason, payload, rows FROM ingest_errors WHERE exchange = %s",
        exchange,
    ) == [(topics.MARKET_INGEST, at(T0), "f", "A/B", "a:3", "bad�", "1,2", 7)]
    assert select(stage.dsn, "SELECT * FROM runs WHERE run_id = %s", run) == [
        (
            run, "n", "default", "sma", {"fast": 3}, {"a": [1]}, exchange, ["A/B"], "1m", "", 10.0, at(T0), "complete",
            "", 3, {"sharpe": None, "return": 0.25}, "abc", at(T0 + 9), 0,
            [{"percent": 5.0, "amount": 50.0, "peak": T0, "trough": T0 + 1, "end": None, "days": 1.5}],
            [{"period": "2018-04", "start_value": 10.0, "end_value": 12.5, "return_percent": 25.0,
              "max_drawdown_percent": 0.0, "trades": 1, "wins": 1, "profit": 1.25}],
            {"sharpe": "too short"},
            {"analyzers": {"SQN": {"sqn": 0.5}}, "observers": {"DrawDown": {"drawdown": [[T0, 5.0]]}}},
            [{"symbol": "A/B", "size": -2.0, "price": 3.0, "close": 4.0, "unrealised": -2.0}],
            [{"symbol": "A/B", "ts": T0, "side": "buy", "kind": "Limit", "size": 1.0, "price": 2.5, "reason": "dip"}],
        )
    ]  # fmt: skip
    assert select(stage.dsn, "SELECT * FROM run_fills WHERE run_id = %s", run) == [
        (run, 0, "A/B", at(T0), "buy", 1.5, 2.0)
    ]
    assert select(stage.dsn, "SELECT * FROM run_trades WHERE run_id = %s", run) == [
        (run, 0, "A/B", "long", 1.5, at(T0), 2.0, at(T0 + 60_000), 3.0, 1.5, 1.25, 0.25, "in", "out")
    ]
    assert select(stage.dsn, "SELECT * FROM run_equity WHERE run_id = %s ORDER BY seq", run) == [
        (run, 10, at(T0), 10.0, 8.0, None, None, None),
        (run, 11, at(T0 + 60_000), 11.0, 8.5, None, None, None),
        (run, 12, at(T0 + 120_000), 12.5, 12.5, None, None, None),
        (run, 20, at(T0 + 180_000), 9.0, 9.0, 1.0, 2.0, None),
        (run, 22, at(T0 + 300_000), 8.0, 8.0, None, 3.0, 4.0),
    ]  # fmt: skip


def test_the_catalogue_is_updated_with_the_bars(stage: RecorderStage, exchange: str) -> None:
    query = "SELECT symbol, interval, first_ts, last_ts FROM bar_series WHERE exchange = %s ORDER BY 1, 2"
    for minutes, span in (((5, 3), (3, 5)), ((4,), (3, 5)), ((9, 2, 5), (2, 9))):
        stage.record(*(on_bars(bar(exchange, "A/B", minute)) for minute in minutes))
        assert select(stage.dsn, query, exchange) == [("A/B", "1m", *(at(T0 + m * MINUTE) for m in span))]
    hourly = Bar(exchange, "A/B", "1h", T0, 2.0, 9.0, 1.0, 2.0, 5.0)
    stage.record(on_bars(hourly), on_bars(bar(exchange, "C/D", 7), LIVE))
    assert [(row[0], row[1]) for row in select(stage.dsn, query, exchange)] == [
        ("A/B", "1h"), ("A/B", "1m"), ("C/D", "1m")
    ]  # fmt: skip


def test_cycles_that_commits_leave_are_collected(stage: RecorderStage, exchange: str) -> None:
    def collected() -> float:
        return stage.recorder.metric('python_gc_objects_collected_total{generation="2"}')

    before, batches = collected(), 5
    for minute in range(batches):
        stage.record(on_bars(bar(exchange, "A/B", minute)))
    eventually(lambda: collected() > before + batches * 10)


def test_replayed_and_unclosed_bars_are_not_recorded(stage: RecorderStage, exchange: str) -> None:
    stage.record()
    before = stage.recorder.metric("tapedeck_recorder_dropped_records_total")
    stage.record(
        on_bars(bar(exchange, "A/B", 0), replay_headers("uid", Epoch())),
        on_bars(bar(exchange, "A/B", 1, closed=False), LIVE),
        on_bars(bar(exchange, "A/B", 2)),
    )
    assert select(stage.dsn, "SELECT ts FROM bars WHERE exchange = %s", exchange) == [(at(T0 + 2 * MINUTE),)]
    eventually(
        lambda: stage.recorder.metric("tapedeck_recorder_dropped_records_total") >= before + 2
    )  # other tests publish too


@pytest.mark.slow
def test_the_highest_revision_is_kept_and_live_wins_ties(stage: RecorderStage) -> None:
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(
            st.lists(
                st.tuples(st.integers(0, 3), st.integers(0, 2), st.booleans(), st.floats(1, 9)), min_size=1, max_size=8
            ),
            min_size=1,
            max_size=4,
        )
    )
    def check(parts: list[list[tuple[int, int, bool, float]]]) -> None:
        name = f"m{uuid.uuid4().hex[:8]}"
        model: dict[int, tuple[int, bool, float]] = {}
        for part in parts:
            for minute, rev, live, close in part:
                before = model.get(minute)
                if before is None or rev > before[0] or (rev == before[0] and live and not before[1]):
                    model[minute] = (rev, live, close)
            stage.record(
                *(on_bars(bar(name, "A/B", m, c, rev=r), LIVE if live else BACKFILL) for m, r, live, c in part)
            )
        found = select(stage.dsn, "SELECT ts, rev, source, close FROM bars WHERE exchange = %s ORDER BY ts", name)
        expected = [
            (at(T0 + m * MINUTE), r, "live" if lv else "backfill", c) for m, (r, lv, c) in sorted(model.items())
        ]
        assert found == expected

    check()


def test_a_row_that_is_stored_already_is_not_written(stage: RecorderStage, exchange: str) -> None:
    """Not even locked, which writes to it as well: importing the same files again costs no write."""
    query = "SELECT ts, ctid::text, xmax::text FROM bars WHERE exchange = %s ORDER BY ts"
    stage.record(*(on_bars(bar(exchange, "A/B", minute, rev=1)) for minute in range(10)))
    before = select(stage.dsn, query, exchange)
    for rev in (1, 0):
        stage.record(*(on_bars(bar(exchange, "A/B", minute, rev=rev)) for minute in range(10)))
        assert select(stage.dsn, query, exchange) == before
    stage.record(*(on_bars(bar(exchange, "A/B", minute, rev=2 if minute == 3 else 1)) for minute in range(1, 12)))
    after = select(stage.dsn, query, exchange)
    assert [row[0] for row in after if row not in before] == [at(T0 + minute * MINUTE) for minute in (3, 10, 11)]

    conflicts = stage.recorder.metric('tapedeck_recorder_conflicts_total{table="bars"}')
    for minute in (20, 21, 22):
        stage.record(on_bars(bar(exchange, "A/B", minute)))
    assert stage.recorder.metric('tapedeck_recorder_conflicts_total{table="bars"}') == conflicts
    assert len(select(stage.dsn, query, exchange)) == 15


def test_a_row_is_stored_within_a_second_and_sigterm_stops_the_recorder(stage: RecorderStage, exchange: str) -> None:
    durations = []
    for minute in range(10):
        one = on_bars(bar(exchange, "A/B", minute), LIVE)
        with idle_clock() as clock:
            stage.record(one)
        durations.append(clock.spent)
        time.sleep(random.Random(minute).random() * 0.05)
    assert min(durations) < 1.0
    assert "running" in stage.recorder.get("/status")
    with within(8):
        assert stage.recorder.stop() == 0
    assert '"complete"' in (stage.recorder.home / "termination").read_text()
