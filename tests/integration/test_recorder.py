"""The recorder with a real broker and both kinds of database, with the privileges of its role."""

from __future__ import annotations

import itertools
import json
import random
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
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
    Record,
    RecorderProcess,
    caught_up,
    eventually,
    publish,
    recorders,
    select,
)
from pods.services import EachStore, Services
from pods.signatures import RESULTS_KEY, signed
from tapedeck_common import records, topics
from tapedeck_common.market import Bar, Ticker, Trade, series_key
from tapedeck_common.result_signatures import ResultSigner
from tapedeck_common.store.schema_upgrade import upgrade_schema
from tapedeck_common.wire import Epoch, encode, replay_headers
from tapedeck_crds.run_key import run_key
from waits import idle_clock, within


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def bar(exchange: str, symbol: str, minute: int, close: float = 2.0, **other: Any) -> Bar:
    return Bar(exchange, symbol, "1m", T0 + minute * MINUTE, 2.0, 9.0, 1.0, close, 5.0, **other)


def on_bars(one: Bar, headers: Any = BACKFILL) -> Record:
    return (topics.MARKET_BARS, encode(one), series_key(one.exchange, one.symbol), headers)


class Stage:
    """A running recorder, its broker and its database."""

    def __init__(self, services: Services, dsn: str, recorder: RecorderProcess) -> None:
        self.bootstrap = services.broker.bootstrap
        self.dsn = dsn
        self.recorder = recorder

    def record(self, *published: Record) -> None:
        publish(self.bootstrap, published)
        caught_up(self.bootstrap, self.dsn)

    def rejected(self) -> dict[bytes, tuple[str, str]]:
        """Topic and reason of each rejected message, by payload."""
        rows = select(self.dsn, "SELECT payload, topic, reason FROM ingest_errors WHERE feed = ''")
        return {payload.encode(): (topic, reason) for payload, topic, reason in rows}


@pytest.fixture
def stage(services: Services, each_store: EachStore, tmp_path: Path) -> Iterator[Stage]:
    upgrade_schema(each_store.dsn("postgres"))
    with recorders(tmp_path, services.broker.bootstrap, each_store.dsn("tapedeck_recorder")) as (recorder,):
        recorder.start()
        yield Stage(services, each_store.dsn("postgres"), recorder)


@pytest.fixture
def exchange() -> str:
    """An exchange of this test alone: all tests share the topics."""
    return f"x{uuid.uuid4().hex[:8]}"


def test_every_kind_of_record_is_stored(stage: Stage, exchange: str) -> None:
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


def test_the_catalogue_is_updated_with_the_bars(stage: Stage, exchange: str) -> None:
    query = "SELECT symbol, interval, first_ts, last_ts FROM bar_series WHERE exchange = %s ORDER BY 1, 2"
    for minutes, span in (((5, 3), (3, 5)), ((4,), (3, 5)), ((9, 2, 5), (2, 9))):
        stage.record(*(on_bars(bar(exchange, "A/B", minute)) for minute in minutes))
        assert select(stage.dsn, query, exchange) == [("A/B", "1m", *(at(T0 + m * MINUTE) for m in span))]
    hourly = Bar(exchange, "A/B", "1h", T0, 2.0, 9.0, 1.0, 2.0, 5.0)
    stage.record(on_bars(hourly), on_bars(bar(exchange, "C/D", 7), LIVE))
    assert [(row[0], row[1]) for row in select(stage.dsn, query, exchange)] == [
        ("A/B", "1h"), ("A/B", "1m"), ("C/D", "1m")
    ]  # fmt: skip


def test_replayed_and_unclosed_bars_are_not_recorded(stage: Stage, exchange: str) -> None:
    stage.record()
    before = stage.recorder.metric("tapedeck_recorder_dropped_total")
    stage.record(
        on_bars(bar(exchange, "A/B", 0), replay_headers("uid", Epoch())),
        on_bars(bar(exchange, "A/B", 1, closed=False), LIVE),
        on_bars(bar(exchange, "A/B", 2)),
    )
    assert select(stage.dsn, "SELECT ts FROM bars WHERE exchange = %s", exchange) == [(at(T0 + 2 * MINUTE),)]
    eventually(
        lambda: stage.recorder.metric("tapedeck_recorder_dropped_total") >= before + 2
    )  # other tests publish too


def test_invalid_messages_are_kept_with_their_reason(stage: Stage, exchange: str) -> None:
    key = f"{exchange}:A/B"

    def with_(topic: str, record: Any, **change: Any) -> bytes:
        return json.dumps({**json.loads(encode(record)), "symbol": f"{exchange}/{next(numbers)}", **change}).encode()

    numbers = itertools.count()
    good = bar(exchange, "A/B", 0)
    trade = Trade(exchange, "A/B", T0, "1", 1.0, 1.0, "buy")
    ticker = Ticker(exchange, "A/B", T0, 1.0)
    gap = records.Gap(exchange, "A/B", "1m", T0, T0 + MINUTE, "open")
    started = records.RunStarted(exchange, "n", "d", "s", Raw(b"{}"), Raw(b"{}"), "x", [], "1m", "", 1.0, T0)

    def run(**change: Any) -> bytes:
        return json.dumps({**json.loads(encode(started)), "name": f"{exchange}/{next(numbers)}", **change}).encode()

    b, t, k, i, r = (
        topics.MARKET_BARS,
        topics.MARKET_TRADES,
        topics.MARKET_TICKERS,
        topics.MARKET_INGEST,
        topics.RESULTS,
    )
    bad: list[tuple[str, bytes, Any, str]] = [
        (b, with_(b, good, volume=6), None, "header td"),
        (b, with_(b, good, volume=5), [("td", None)], "header td"),
        (b, with_(b, good, volume=7), [("td", b"9;live")], "version"),
        (b, with_(b, good, volume=8), [("td", b"1;dream")], "dream"),
        (b, f"{{no json {exchange}".encode(), LIVE, "JSON"),
        (b, with_(b, good) + b"\n" + encode(good), LIVE, "JSON"),
        (b, with_(b, good, high=0.5), LIVE, "high"),
        (b, with_(b, good, open="2.0"), LIVE, "open"),
        (b, with_(b, good, extra=1), LIVE, "extra"),
        (b, with_(b, good, ts=T0 + 1), LIVE, "ts"),
        (b, with_(b, good, ts=10**40), LIVE, "ts"),
        (b, with_(b, good, ts=10**15 * 60), LIVE, "time"),
        (b, with_(b, good, rev=2**40), LIVE, "rev"),
        (b, with_(b, good, interval="2m"), LIVE, "interval"),
        (b, with_(b, good, symbol=f"{exchange}\0"), LIVE, "NUL"),
        (b, with_(b, good, symbol=f"{exchange}" * 40), LIVE, "255 bytes"),
        (b, with_(b, good, symbol=f"{exchange}\ud800"), LIVE, ""),
        (t, with_(t, trade, price=None), LIVE, "price"),
        (t, with_(t, trade, side="up"), LIVE, "side"),
        (t, with_(t, trade, id="9" * 300), LIVE, "1 to 128"),
        (t, with_(t, trade, ts=-5), LIVE, "time"),
        (k, with_(k, ticker, price=None), LIVE, "price"),
        (k, with_(k, ticker, bid="1"), LIVE, "bid"),
        (i, with_(i, gap, end=T0), None, "end"),
        (i, with_(i, gap, state="lost"), None, "state"),
        (r, run(params={"a": "\0"}), None, "NUL"),
        (r, run(params={exchange: "\ud800"}), None, ""),
        (r, run(params=[1]), None, "object"),
        (r, run(started_at=10**17), None, "time"),
        (r, run(run_id="r" * 300), None, "255 bytes"),
        (r, json.dumps({"type": "equity", "run_id": exchange, "seq": 0, "ts": [1], "value": [], "cash": []}).encode(),
         None, "elements"),
        (r, json.dumps({"type": "mystery", "run_id": exchange}).encode(), None, "mystery"),
        (b, b"[" * 100_000 + exchange.encode(), LIVE, ""),
    ]  # fmt: skip
    valid = [on_bars(bar(exchange, "A/B", minute)) for minute in range(len(bad) + 1)]
    poisoned: list[Record] = [(topic, value, key, headers) for topic, value, headers, _ in bad]
    stage.record(*(one for pair in zip(valid, poisoned, strict=False) for one in pair), valid[-1], (b, None, key, LIVE))
    found = stage.rejected()
    for topic, value, _, words in bad:
        kept = value[:4_000].decode("utf-8", "replace").encode()
        assert kept in found, value[:200]
        assert found[kept][0] == topic
        assert words in found[kept][1], (value[:200], found[kept])
    assert select(stage.dsn, "SELECT count(*) FROM bars WHERE exchange = %s", exchange) == [(len(valid),)]
    assert select(stage.dsn, "SELECT count(*) FROM runs WHERE run_id = %s", exchange) == [(0,)]
    places = select(stage.dsn, 'SELECT topic, partition, "offset" FROM ingest_errors')
    assert len(places) == len(set(places))


def test_a_result_of_another_run_is_refused_although_its_sender_may_write_the_topic(
    stage: Stage, exchange: str
) -> None:
    """Two tenants: the run ``theirs`` of one knows its own key alone, and writes in the name of the other's run."""
    mine, theirs = f"mine-{exchange}", f"theirs-{exchange}"

    def started(run: str, namespace: str, name: str = "n") -> bytes:
        empty = Raw(b"{}")
        return encode(records.RunStarted(run, name, namespace, "s", empty, empty, "x", [], "1m", "", 1.0, T0))

    def trade(run: str, seq: int, pnl: float) -> bytes:
        return encode(records.RunTrade(run, seq, "A/B", "long", 1.0, T0, 1.0, T0 + 1, 1.0 + pnl, pnl, pnl, 0.0))

    key = run_key(RESULTS_KEY, "tenant-b", theirs).encode()
    by_b = ResultSigner(key, "tenant-b")
    as_a = ResultSigner(key, "tenant-a")
    end = encode(records.RunEnded(mine, "failed", "forged", 0, {}, "", T0))
    own = trade(theirs, 0, 2.0)
    forged: list[tuple[bytes, Any]] = [
        (trade(mine, 1, 1e6), by_b.headers(trade(mine, 1, 1e6))),
        (trade(mine, 2, 1e6), as_a.headers(trade(mine, 2, 1e6))),
        (trade(mine, 3, 1e6), [("td", b"1;live")]),
        (trade(mine, 4, 1e6), [("td", b"1;result;tenant-a;" + b"0" * 32)]),
        (trade(mine, 5, 1e6), [("td", b"1;result;tenant-a;" + "é".encode())]),
        (trade(mine, 6, 1e6), []),
        (trade(mine, 7, 1e6), signed(trade(mine, 0, 1.0), namespace="tenant-a")),  # of another record of the run
        (end, by_b.headers(end)),
        (started(theirs, "tenant-a", "as-a"), by_b.headers(started(theirs, "tenant-a", "as-a"))),
    ]
    own_records: list[Record] = [
        (topics.RESULTS, started(mine, "tenant-a"), mine, None),
        (topics.RESULTS, trade(mine, 0, 1.0), mine, signed(trade(mine, 0, 1.0), namespace="tenant-a")),
        (topics.RESULTS, started(theirs, "tenant-b"), theirs, None),
        (topics.RESULTS, own, theirs, by_b.headers(own)),
    ]
    stage.record(
        *own_records,
        *((topics.RESULTS, value, mine, headers) for value, headers in forged),
        on_bars(bar(exchange, "A/B", 0), LIVE),
    )
    runs = select(
        stage.dsn, "SELECT run_id, namespace, name, state FROM runs WHERE run_id LIKE %s ORDER BY 1", f"%{exchange}"
    )
    assert runs == [(mine, "tenant-a", "n", "running"), (theirs, "tenant-b", "n", "running")]
    trades = select(
        stage.dsn, "SELECT run_id, seq, pnl FROM run_trades WHERE run_id LIKE %s ORDER BY 1, 2", f"%{exchange}"
    )
    assert trades == [(mine, 0, 1.0), (theirs, 0, 2.0)]
    assert select(stage.dsn, "SELECT count(*) FROM bars WHERE exchange = %s", exchange) == [(1,)]
    found = stage.rejected()
    for value, _ in forged:
        topic, reason = found[value]
        assert topic == topics.RESULTS
        assert "the run's own key" in reason or "that of the run's signature" in reason


def test_a_message_that_only_the_database_rejects_is_kept_too(stage: Stage, exchange: str) -> None:
    spec = b'{"tiny": 1e-30000}'  # valid JSON, but out of range for Postgres' numeric
    runs = [
        records.RunStarted(f"{exchange}-{n}", "n", "d", "s", Raw(b"{}"), Raw(raw), "x", [], "1m", "", 1.0, T0)
        for n, raw in enumerate([b"{}", b"{}", spec, b"{}"])
    ]
    stage.record(*((topics.RESULTS, encode(run), "one", None) for run in runs))
    kept = select(stage.dsn, "SELECT run_id FROM runs WHERE run_id LIKE %s ORDER BY 1", f"{exchange}%")
    assert kept == [(f"{exchange}-{n}",) for n in (0, 1, 3)]
    assert any(
        exchange in payload.decode() and "numeric" in reason for payload, (_, reason) in stage.rejected().items()
    )


@pytest.mark.slow
def test_the_highest_revision_is_kept_and_live_wins_ties(stage: Stage) -> None:
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


def test_a_row_is_stored_within_a_second_and_sigterm_stops_the_recorder(stage: Stage, exchange: str) -> None:
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
