"""Records that the recorder rejects: each is kept with its reason, and those beside it are stored."""

from __future__ import annotations

import itertools
import json
from typing import Any

from msgspec import Raw

from pods.recorder import LIVE, MINUTE, T0, Record, select
from pods.recorder_stage import RecorderStage, bar, on_bars
from pods.signatures import RESULTS_KEY, signed
from tapedeck_common import records, topics
from tapedeck_common.market import Ticker, Trade
from tapedeck_common.result_signatures import ResultSigner
from tapedeck_common.wire import encode
from tapedeck_crds.run_key import run_key


def test_invalid_messages_are_kept_with_their_reason(stage: RecorderStage, exchange: str) -> None:
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
    stage: RecorderStage, exchange: str
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


def test_a_message_that_only_the_database_rejects_is_kept_too(stage: RecorderStage, exchange: str) -> None:
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
