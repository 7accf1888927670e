"""Bars from trades against an independent computation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import by_hand.samples as by_hand
from tapedeck_common.files.trade_bars import TradeBars
from tapedeck_common.market import Bar, Trade, bar_problem, bars_from_trades
from tapedeck_crds.intervals import BAR_LENGTHS


@pytest.mark.parametrize(("symbol", "name"), [("BTC/USDT", "btcusdt"), ("ETH/USDT", "ethusdt")])
def test_recorded_trades(samples: Path, symbol: str, name: str) -> None:
    path = samples / "binance-trades" / f"{name}_20240808.jsonl.gz"
    messages = by_hand.binance_messages(path)
    trades = [Trade("binance", symbol, m["T"], str(m["t"]), float(m["p"]), float(m["q"]), "buy") for m in messages]
    assert len(trades) == by_hand.BINANCE_TRADES[symbol]
    bars = list(bars_from_trades(trades, "1m"))
    wanted = by_hand.binance_bars(path)
    assert [b.ts for b in bars] == list(wanted)
    for bar, values in zip(bars, wanted.values(), strict=True):
        assert (bar.open, bar.high, bar.low, bar.close) == values[:4]
        assert bar.volume == pytest.approx(values[4], rel=1e-12)
        assert (bar.exchange, bar.symbol, bar.interval, bar.closed) == ("binance", symbol, "1m", True)


ON_THE_EDGE = st.integers(0, 12).map(lambda n: n * 500) | st.integers(0, 8).map(lambda n: n * 60_000)


@given(
    times=st.lists(st.integers(0, 10_000_000) | ON_THE_EDGE, max_size=60).map(sorted),
    interval=st.sampled_from(["1s", "1m", "15m", "1h"]),
    data=st.data(),
)
def test_any_trades(times: list[int], interval: str, data: st.DataObject) -> None:
    # Eighths add up exactly, so volumes can be compared with ==.
    values = st.integers(1, 10_000).map(lambda n: n / 8)
    trades = [Trade("x", "A/B", ts, str(i), data.draw(values), data.draw(values), "buy") for i, ts in enumerate(times)]
    step = BAR_LENGTHS[interval].ms
    slots: dict[int, list[Trade]] = {}
    for trade in trades:
        slots.setdefault(trade.ts // step, []).append(trade)
    wanted = [
        Bar(
            "x",
            "A/B",
            interval,
            slot * step,
            inside[0].price,
            max(t.price for t in inside),
            min(t.price for t in inside),
            inside[-1].price,
            sum(t.amount for t in inside),
        )
        for slot, inside in sorted(slots.items())
    ]
    bars = list(bars_from_trades(trades, interval))
    assert bars == wanted
    assert not any(map(bar_problem, bars))


@given(
    st.lists(
        st.tuples(st.integers(100_000, 140_000), st.floats(-1e6, 1e6).filter(bool), st.floats(1e-9, 1e6)), max_size=60
    ).map(sorted),
    st.integers(1, 20),
    st.sampled_from(["1s", "1m", "1w", "1M"]),
)
def test_trades_in_columns_make_the_bars_of_trades_one_by_one(
    rows: list[tuple[int, float, float]], size: int, interval: str
) -> None:
    trades = [
        Trade("x", "A/B", ts * 50_000, str(n), price, amount, "buy") for n, (ts, price, amount) in enumerate(rows)
    ]
    made = TradeBars("x", "A/B", interval)
    bars: list[Bar] = []
    for start in range(0, len(trades), size):
        bars += made.add_trades(trades[start : start + size])
    assert [*bars, *made.end()] == list(bars_from_trades(trades, interval))
