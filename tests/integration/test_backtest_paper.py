"""Paper trading end to end: an exchange's trades → a live Feed's bars → Backtests, one of which is killed.

Their trades equal those of a stored range of the same bars, and those of stock Backtrader on bars that pandas computes
from the recorded trades.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from by_hand.backtrader import Outcome, run_stock
from by_hand.samples import binance_bars
from exchange import Exchange, Market, recorded, sped_up
from exchange.binance import Binance
from pods.backtest import BacktestPod, RunRecords, read_records
from pods.feed import FeedPod
from pods.replay import Record, committed
from pods.runs import BROKER, spec
from pods.store import insert_bars
from tapedeck_backtest.strategies import BUILTINS
from tapedeck_common.market import Bar
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, PERMANENT_PARTITIONS
from tapedeck_crds.base import format_ms
from tapedeck_deck.embedded.processes import wait_until

SECOND = 1_000
GRACE = 5_000  # ms after its close, in which a paper run counts a bar
ATTEMPTS = 3  # until the machine has not stood still during a recording
PRICES = ("open", "high", "low", "close")
SPEED = 8  # recorded seconds per second: a 1s bar contains their trades
BARS = 24
FILES = {"BTC": "btcusdt_20240808.jsonl.gz", "ETH": "ethusdt_20240808.jsonl.gz"}
SLIPPAGE, PERCENT = 0.05, 45.0
STRATEGIES: dict[str, dict[str, Any]] = {
    "sma-cross": {"fast": 2, "slow": 4},
    "rsi": {"period": 2, "lower": 45.0, "upper": 55.0},
    "donchian": {"entry": 2, "exit": 1},
}
KILLED = "sma-cross"


def spec_of(name: str, data: dict[str, Any]) -> dict[str, Any]:
    more = {"broker": BROKER | {"slippagePercent": SLIPPAGE}, "sizer": {"percent": PERCENT}}
    return spec(data, builtin=name, params=STRATEGIES[name]) | more


def bars_of_file(samples: Path, files: Mapping[str, str], origin: int, start: int) -> dict[str, list[Bar]]:
    """BARS bars of 1s by symbol from the second one on, as pandas computes them from the recorded trades."""
    by_symbol = {}
    for symbol, name in files.items():
        table = binance_bars(samples / "binance-trades" / name, seconds=SPEED)
        bars = [Bar("binance", symbol, "1s", start + (ts - origin) // SPEED, *row) for ts, row in table.items()]
        by_symbol[symbol] = [bar for bar in bars if SECOND <= bar.ts - start <= BARS * SECOND]
    return by_symbol


def assert_equal_to_stock(checked: RunRecords, stock: Outcome) -> None:
    def moment(ts: int) -> pd.Timestamp:
        return pd.Timestamp(ts, unit="ms")

    assert [
        (f["symbol"], moment(f["ts"]), f["size"] if f["side"] == "buy" else -f["size"], f["price"])
        for f in checked.fills.values()
    ] == stock.fills
    assert [
        (t["symbol"], moment(t["entry_ts"]), moment(t["exit_ts"]), t["entry_price"], t["pnl"], t["pnl_net"])
        for t in checked.trades.values()
    ] == stock.trades
    assert [(moment(ts), value) for ts, value, _ in checked.equity.values()] == stock.equity
    end = checked.ended["once"]
    assert (end["state"], end["metrics"]["final_value"]) == ("complete", stock.final)


@dataclass(frozen=True)
class Recording:
    """What was traded live: the paper runs by strategy, and the bars that the Feed published and pandas computes."""

    papers: dict[str, BacktestPod]
    symbols: list[str]
    since: str
    until: str
    published: list[Record]
    of_file: dict[str, list[Bar]]

    @property
    def is_in_time(self) -> bool:
        """Whether each bar had all its trades when it closed, and was written soon enough to be counted.

        Where the machine stood still for seconds, a paper run has rightly traded something else.
        """
        closed = {(each.value["symbol"], each.value["ts"]): each for each in self.published}
        wanted = {(bar.symbol, bar.ts): bar for bars in self.of_file.values() for bar in bars}
        return wanted.keys() <= closed.keys() and all(
            closed[key].stamp <= bar.ts + SECOND + GRACE
            and [closed[key].value[name] for name in PRICES] == [getattr(bar, name) for name in PRICES]
            for key, bar in wanted.items()
        )


def record_live(connections: Connections, samples: Path, tmp_path: Path) -> Recording:
    """Play recorded trades in time to a Feed that paper runs trade, one of which is killed."""
    tmp_path.mkdir()
    own = f"P{uuid.uuid4().hex[:6]}".upper()
    recordings = recorded()
    markets = [Market(own + each.base, each.quote, []) for each in recordings]
    symbols = [market.symbol for market in markets]
    origin = min(each.ticks[0].ts for each in recordings) // (SPEED * SECOND) * SPEED * SECOND
    papers: dict[str, BacktestPod] = {}
    with Exchange(Binance(), markets, live=True) as binance, ThreadPoolExecutor(1) as executor:
        endpoints = {"rest": binance.rest, "websocket": binance.websocket}
        feed_spec = {"exchange": "binance", "symbols": symbols, "intervals": ["1s"], "endpoints": endpoints}
        feed = FeedPod(connections.kafka_bootstrap, tmp_path / "feed", tmp_path, feed_spec)
        feed.start()
        try:
            binance.subscribed(channels=2)
            start = (time.time_ns() // 1_000_000_000 + 2) * SECOND
            for market, each in zip(markets, recordings, strict=True):
                market.ticks = sped_up(each.ticks, SPEED, origin, start)
            played = executor.submit(binance.play_in_time)
            since, until = format_ms(start + SECOND), format_ms(start + (1 + BARS) * SECOND)
            data = {"feed": {"name": "f", "symbols": symbols, "interval": "1s", "until": until}}
            for name in STRATEGIES:
                pod = BacktestPod(
                    connections, tmp_path / name, spec_of(name, data), feed_exchange="binance", since=since
                )
                papers[name] = pod
                pod.start()
            killed = papers[KILLED]
            assert wait_until(
                lambda: len(read_records(connections, killed.uid).equity) > BARS // 2, timeout=60, poll=0.5
            )
            killed.kill()
            killed.start()
            played.result()
            for pod in papers.values():
                assert pod.wait(30) == 0, pod.log.read_text()
        finally:
            for pod in papers.values():
                pod.kill()
            feed.stop()
    of_file = bars_of_file(samples, dict(zip(symbols, FILES.values(), strict=True)), origin, start)
    assert [len(bars) for bars in of_file.values()] == [BARS, BARS]
    records = chain.from_iterable(
        committed(connections.kafka_bootstrap, MARKET_BARS, partition, ["binance"])
        for partition in range(PERMANENT_PARTITIONS)
    )
    published = [r for r in records if r.value["symbol"] in symbols and r.value["closed"] and r.value["rev"] == 0]
    return Recording(papers, symbols, since, until, published, of_file)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_paper_trades_of_a_feed_equal_a_stored_range_and_stock_backtrader(
    connections: Connections, samples: Path, tmp_path: Path
) -> None:
    for attempt in range(ATTEMPTS):
        recording = record_live(connections, samples, tmp_path / str(attempt))
        if recording.is_in_time:
            break
    papers, of_file = recording.papers, recording.of_file
    bars = [msgspec.convert(record.value, Bar) for record in recording.published]
    insert_bars(connections.store_dsn.get_secret_value(), bars)
    ranged = {
        "exchange": "binance", "symbols": recording.symbols, "interval": "1s", "from": recording.since,
        "to": recording.until,
    }  # fmt: skip
    for name, paper in papers.items():
        ranging = BacktestPod(connections, tmp_path / f"range-{name}", spec_of(name, {"store": ranged}))
        assert ranging.run() == 0, ranging.log.read_text()
        stock = run_stock(
            BUILTINS[name], of_file, cash=10_000.0, commission_percent=0.1, slippage_percent=SLIPPAGE,
            percent=PERCENT, width=SECOND, **STRATEGIES[name],
        )  # fmt: skip
        assert len(stock.trades) > 3
        live, batch = read_records(connections, paper.uid), read_records(connections, ranging.uid)
        assert_equal_to_stock(live, stock)
        assert_equal_to_stock(batch, stock)
        assert replace(live, started={"once": None}).content == replace(batch, started={"once": None}).content
        assert (live.repeats > 0) == (name == KILLED)
