"""A Feed from files as a real process against a real broker, whose log is read raw."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import urllib.error
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

import by_hand.samples as by_hand
from metrics_page.exposed import documented, exposed
from metrics_page.sections import FILES
from pods.feed import FeedPod
from pods.services import Services
from pods.topic import read_topic
from tapedeck_deck.embedded import processes

ATTEMPTS = 5  # at killing an import that a busy machine may let end before
VALUES = ("open", "high", "low", "close", "volume")
MINUTE = 60_000


@pytest.fixture
def exchange() -> str:
    """An exchange id of the test's own: the broker is shared."""
    return f"x{uuid.uuid4().hex[:10]}"


def spec(exchange: str, sets: dict[str, str], format_: str = "auto") -> dict[str, Any]:
    chosen = [{"symbol": symbol, "path": path} for symbol, path in sets.items()]
    return {"source": {"files": {"format": format_, "exchange": exchange, "sets": chosen, "time": {"unit": "ms"}}}}


def test_the_sample_feed(services: Services, samples: Path, tmp_path: Path, exchange: str) -> None:
    feed = yaml.safe_load((samples.parent / "feed.yaml").read_text())
    feed["spec"]["source"]["files"]["exchange"] = exchange
    code, report = FeedPod(services.broker.bootstrap, tmp_path, samples.parent, feed["spec"]).run()
    assert (code, report) == (
        0,
        {
            "state": "complete",
            "reason": "Complete",
            "message": "13886 bars of 4 symbols",
            "sandbox": "",
            "done": 11,
            "total": 11,
            "bars": 13_886,
            "trades": 0,
            "duplicates": 0,
            "errors": 0,
            "taken": 13_886,
            "refused_rows": 0,
            "refused": [],
            "tickers": 0,
            "symbols": 0,
            "late": 0,
            "missing": 0,
            "gaps": 0,
            "reconnects": 0,
            "clock_skew_ms": None,
            "backfill": None,
            "transforms": None,
        },
    )
    records = read_topic(services.broker.bootstrap, "market.bars", exchange)
    table = by_hand.coinbase(samples / "coinbase-minute")
    assert Counter(key for key, _, _ in records) == {
        f"{exchange}:{symbol}": count for symbol, count in by_hand.COINBASE_BARS.items()
    }
    assert {(v["symbol"], v["ts"]): tuple(v[n] for n in VALUES) for _, v, _ in records} == table
    assert {header for _, _, header in records} == {"td=1;backfill"}
    assert all(v["exchange"] == exchange and v["closed"] and v["interval"] == "1m" for _, v, _ in records)
    for symbol in by_hand.COINBASE_BARS:
        opens = [v["ts"] for _, v, _ in records if v["symbol"] == symbol]
        assert opens == sorted(opens)


def test_recorded_trades(services: Services, samples: Path, tmp_path: Path, exchange: str) -> None:
    names = {"BTC/USDT": "btcusdt_20240808.jsonl.gz", "ETH/USDT": "ethusdt_20240808.jsonl.gz"}
    hours = {"timezone": "Europe/Madrid", "open": "09:00", "close": "17:30", "days": ["Mon", "Fri"]}
    expected = {**spec(exchange, names, "binance-messages"), "session": hours}
    code, report = FeedPod(services.broker.bootstrap, tmp_path, samples / "binance-trades", expected).run()
    assert (code, report["message"]) == (0, "14 bars and 15863 trades of 2 symbols")
    trades = read_topic(services.broker.bootstrap, "market.trades", exchange)
    bars = read_topic(services.broker.bootstrap, "market.bars", exchange)
    for symbol, name in names.items():
        path = samples / "binance-trades" / name
        got = [v for _, v, _ in trades if v["symbol"] == symbol]
        assert [(v["ts"], v["id"], v["price"], v["amount"], v["side"]) for v in got] == [
            (m["T"], str(m["t"]), float(m["p"]), float(m["q"]), ["buy", "sell"][m["m"]])
            for m in by_hand.binance_messages(path)
        ]
        ids = [int(v["id"]) for v in got]
        assert ids == list(range(ids[0], ids[0] + by_hand.BINANCE_TRADES[symbol]))
        by_pandas = by_hand.binance_bars(path)
        built = {v["ts"]: tuple(v[n] for n in VALUES) for _, v, _ in bars if v["symbol"] == symbol}
        assert built.keys() == by_pandas.keys()
        assert all(built[ts] == pytest.approx(by_pandas[ts], rel=1e-12) for ts in by_pandas)
    said = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.ingest", exchange)]
    assert sorted((v["type"], v["symbol"]) for v in said) == [("session", symbol) for symbol in sorted(names)]
    assert all({name: v[name] for name in hours} == hours for v in said)


def test_a_refused_trade_is_not_missing_as_well(services: Services, tmp_path: Path, exchange: str) -> None:
    """100 trades, of which two in a row are absent; of three others a field is wrong, and one has no id."""
    wrong = {20: "20,0,2,buy", 21: "21,x,2,buy", 50: "50,1.5,2,up", 70: ",1.5,2,buy"}
    rows = {n: f"{n},1.5,2,buy" for n in range(1, 101) if n not in (40, 41)} | wrong
    rows[20] = "20,1.5,0,buy"  # an amount of 0
    lines = "".join(f"{n * 500},{row}\n" for n, row in sorted(rows.items()))
    (tmp_path / "a.csv").write_text("ts,id,price,amount,side\n" + lines)
    declared = spec(exchange, {"A/B": "a.csv"})
    _, report = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, declared).run()
    assert (report["trades"], report["refused_rows"], report["missing"], report["gaps"]) == (94, 4, 3, 2)
    records = [value for _, value, _ in read_topic(services.broker.bootstrap, "market.ingest", exchange)]
    assert [each["ids"] for each in records if each["type"] == "gap"] == ["40\N{EN DASH}41", "70"]
    reasons = [each["reason"] for each in records if each["type"] == "error"]
    assert "id: got none, expected the exchange's own; number the trades where it gives none" in reasons


def test_trades_that_are_absent_are_gaps(services: Services, tmp_path: Path, exchange: str) -> None:
    """500 trades, two a second, of which 31 in a row and 9 others are absent."""
    absent = {*range(11_025, 11_056), 11_100, 11_200, 11_201, *range(11_300, 11_306)}
    there = [n for n in range(11_000, 11_500) if n not in absent]
    rows = "".join(f"{n * 500},{n},1.5,2,buy\n" for n in there)
    (tmp_path / "a.csv").write_text("ts,id,price,amount,side\n" + rows)
    declared = spec(exchange, {"A/B": "a.csv"})
    code, report = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, declared).run()
    assert (code, report["trades"], report["missing"], report["gaps"]) == (0, 460, 40, 4)
    assert report["message"].endswith("460 trades of 1 symbol, 40 trades missing by their ids (see gaps)")
    records = [value for _, value, _ in read_topic(services.broker.bootstrap, "market.ingest", exchange)]
    assert [(each["ids"].replace("\N{EN DASH}", "-"), each["trades"], each["interval"]) for each in records] == [
        ("11025-11055", 31, ""), ("11100", 1, ""), ("11200-11201", 2, ""), ("11300-11305", 6, ""),
    ]  # fmt: skip
    assert [(each["start"], each["end"]) for each in records[:2]] == [
        (11_024 * 500, 11_056 * 500), (11_099 * 500, 11_101 * 500),
    ]  # fmt: skip


MESSY = """\
ts,open,high,low,close,volume
60000,1,1,1,1,1
180000,3,3,3,3,1
120000,2,2,2,2,1
60000,1,1,1,1,1
180000,3,4,3,4,1
not a row
240000,nan,4,4,4,1
noon,5,5,5,5,1
1970-01-01T01:05:00+01:00,5,5,5,5,1
360000,-6,6,6,6,1
"""


REFUSED_FIRST = [("a.csv:7", 1), ("a.csv:8", 1), ("a.csv:9", 1)]


def test_a_feed_that_takes_no_row_fails(services: Services, tmp_path: Path, exchange: str) -> None:
    header = "ts,open,high,low,close,volume\n"
    (tmp_path / "a.csv").write_text(header + "".join(f"{n * MINUTE},z{n},1,1,1,1\n" for n in range(9)))
    (tmp_path / "b.csv").write_text(header + "0,1,1\n0,1,1,1\n")  # too few columns
    code, report = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, spec(exchange, {"A/B": "*.csv"})).run()
    assert (code, report["state"], report["reason"]) == (64, "failed", "NoRows")
    counts = "11 of 11 rows (100 %) refused"
    assert report["message"].startswith(f"no row was taken: {counts}: open: got 'z0', expected a number ")
    assert "(a.csv:2; 9 rows); columns: got 3, expected 6 as in the first rows (b.csv:2; 2 rows)" in report["message"]
    records = [value for _, value, _ in read_topic(services.broker.bootstrap, "market.ingest", exchange)]
    assert [(value["place"], value["rows"]) for value in records] == [("a.csv:2", 9), ("b.csv:2", 2)]
    log = (tmp_path / "log").read_text()
    assert "no row was taken" in log


def test_invalid_rows_are_reported_and_none_is_lost(services: Services, tmp_path: Path, exchange: str) -> None:
    (tmp_path / "a.csv").write_text(MESSY)
    (tmp_path / "b.csv").write_text(f"ts,open,high,low,close,volume\n{'420000,' + 'z' * 2000},1,1,1,1\n0,9,9,9,9,1\n")
    code, report = FeedPod(services.broker.bootstrap, tmp_path, tmp_path, spec(exchange, {"A/B": "*.csv"})).run()
    assert code == 0
    assert report["message"] == "5 bars of 1 symbol, 6 rows refused"
    assert (report["taken"], report["refused_rows"]) == (6, 6)
    assert [(each["place"], each["rows"]) for each in report["refused"]] == REFUSED_FIRST
    assert (report["bars"], report["duplicates"], report["errors"], report["done"]) == (5, 1, 6, 2)
    bars = [v for _, v, _ in read_topic(services.broker.bootstrap, "market.bars", exchange)]
    assert [(v["ts"] // MINUTE, v["open"]) for v in bars] == [(0, 9.0), (1, 1.0), (2, 2.0), (3, 3.0), (5, 5.0)]
    errors = read_topic(services.broker.bootstrap, "market.ingest", exchange)
    assert {key for key, _, _ in errors} == {f"{exchange}:A/B"}
    by_place = {v["place"]: v for _, v, _ in errors}
    rows = {"a.csv:6": 1, "a.csv:7": 1, "a.csv:8": 1, "a.csv:9": 1, "a.csv:11": 1, "b.csv:2": 1}
    assert {place: value["rows"] for place, value in by_place.items()} == rows, "one record a reason and file"
    assert all(
        (v["type"], v["feed"], v["exchange"], v["symbol"]) == ("error", "feed", exchange, "A/B")
        for v in by_place.values()
    )
    assert "1970-01-01T00:03:00Z has other values than at a.csv:3" in by_place["a.csv:6"]["reason"]
    assert json.loads(by_place["a.csv:6"]["payload"])["high"] == 4.0
    assert by_place["a.csv:7"]["payload"] == "not a row"
    assert "expected a finite price" in by_place["a.csv:8"]["reason"]
    assert "expected a time like 2018-04-25 13:30:00" in by_place["a.csv:9"]["reason"]
    assert "around open -6.0" in by_place["a.csv:11"]["reason"]
    assert len(by_place["b.csv:2"]["payload"]) == 500 and len(by_place["b.csv:2"]["reason"]) < 300
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    # After a later row: 120000, the repeat of 60000, and 0.
    assert [line["out_of_order"] for line in lines if line["event"] == "symbol imported"] == [3]


@pytest.mark.parametrize(
    ("wrong", "reason", "message"),
    [
        (spec("x", {"A/B": "none.csv"}), "BadFiles", "'none.csv', which matches no file below"),
        (spec("x", {"A/B": "short.csv"}), "BadFiles", "short.csv: header lacks close of bars; found ts, open"),
        (spec("x", {"A/B": "empty.csv"}), "BadFiles", "empty.csv: is empty"),
        (spec("x", {"A/B": "no.zip"}), "BadFiles", "no.zip: got 1 columns without a header"),
        (
            spec("x", {"A/B": "*.csv"}, "xml"),
            "BadSpec",
            "source.files.format: got 'xml', expected auto, lean, binance-messages",
        ),
        ({"source": {}}, "BadSpec", "source.files: missing"),
    ],
)
def test_input_that_no_restart_can_correct(
    services: Services, tmp_path: Path, wrong: dict[str, Any], reason: str, message: str
) -> None:
    (tmp_path / "short.csv").write_text("ts,open,high,low\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "no.zip").write_text("no zip")
    code, report = FeedPod(services.broker.bootstrap, tmp_path / "pod", tmp_path, wrong).run()
    assert (code, report["state"], report["reason"]) == (64, "failed", reason)
    assert message in report["message"]


def test_sigterm_while_the_broker_is_unreachable(tmp_path: Path, samples: Path) -> None:
    pod = FeedPod(
        "127.0.0.1:1", tmp_path, samples.parent, yaml.safe_load((samples.parent / "feed.yaml").read_text())["spec"]
    )
    pod.start()
    assert json.loads(pod.get("/status"))["state"] == "running"
    assert pod.get("/healthz") == pod.get("/readyz") == "ok"
    metrics = pod.get("/metrics")
    for name in ("duplicates", "errors", "refused_rows", "unsorted_rows", "imported_files"):
        assert f"tapedeck_feed_{name}_total 0.0" in metrics
    assert 'tapedeck_feed_records_total{channel="bars"} 0.0' in metrics
    assert "_created" not in metrics
    assert exposed(metrics) == documented(FILES)
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)
    assert pod.wait(15) == 1
    assert pod.last_report()["reason"] == "Interrupted"
    assert pod.last_report()["done"] == 0


@pytest.mark.slow
@pytest.mark.faults
def test_killed_during_the_import_and_started_again(services: Services, tmp_path: Path, exchange: str) -> None:
    """SIGKILL at random instants; afterwards exactly the bars of the files are on the log."""
    count = 30_000
    symbols = {"A/B": "a.csv", "C/D": "c.csv"}
    rng = random.Random(7)
    expected: set[tuple[str, int, float]] = set()
    for symbol, name in symbols.items():
        prices = [round(rng.uniform(1, 1000), 2) for _ in range(count)]
        lines = [f"{i * MINUTE},{p},{p},{p},{p},1" for i, p in enumerate(prices)]
        (tmp_path / name).write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
        expected |= {(symbol, i * MINUTE, p) for i, p in enumerate(prices)}
    for attempt in range(ATTEMPTS):
        its = f"{exchange}{attempt}"  # the log keeps the bars of an attempt that came to its end
        pod = FeedPod(services.broker.bootstrap, tmp_path / its, tmp_path, spec(its, symbols))
        instants = [rng.randrange(1, count) for _ in range(3)]
        if all(kill_after(pod, bars) and on_the_log(services, its) < expected for bars in instants):
            break
    else:
        pytest.fail(f"in {ATTEMPTS} attempts some kill came after the end, when no bar was missing")
    code, report = pod.run()
    assert (code, report["bars"]) == (0, len(expected))
    assert on_the_log(services, its) == expected


def kill_after(pod: FeedPod, bars: int) -> bool:
    """SIGKILL once the pod reports so many acknowledged bars; whether it had not ended before."""
    pod.start()
    process = pod.process
    assert process is not None

    def reached() -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return bool(json.loads(pod.get("/status"))["bars"] >= bars)
        return process.poll() is not None

    assert processes.wait_until(reached, timeout=60, poll=0.002)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    code = pod.wait(30)
    assert code in (0, -signal.SIGKILL), pod.log_tail()
    return code == -signal.SIGKILL


def on_the_log(services: Services, exchange: str) -> set[tuple[str, int, float]]:
    records = read_topic(services.broker.bootstrap, "market.bars", exchange)
    return {(v["symbol"], v["ts"], v["close"]) for _, v, _ in records}
