"""`import tapedeck` on a deck: tables, a replay with a seek, a class of a notebook, against files made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest

import tapedeck
from decks.process import Deck
from notebook.cells import NotebookCells
from tapedeck import errors

MINUTE, FIRST, BARS = 60_000, 1_522_800_000_000, 360  # from 2018-04-04 on
Prices: TypeAlias = tuple[float, float, float, float]
NAMES = ("BTC", "ETH")
SYMBOLS = [f"mine:{name}/USD" for name in NAMES]
STRATEGY = """
class BuyAndSell(bt.Strategy):
    params = (("first", 10),)

    def next(self):
        if len(self) == self.p.first:
            self.buy()
        if len(self) == self.p.first + HELD:
            self.close()
"""


def prices(name: str, number: int) -> Prices:
    """Open, high, low and close: each bar opens where the one before has closed."""
    base = {"BTC": 100.0, "ETH": 10.0}[name]
    opened, closed = (base + (n * n % 97) / 8 for n in (number, number + 1))
    return opened, max(opened, closed) + 0.5, min(opened, closed) - 0.25, closed


@pytest.fixture(scope="module")
def td(shared_deck: Deck, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tapedeck.TapedeckClient]:
    folder = tmp_path_factory.mktemp("files")
    for name in NAMES:
        rows = [f"{FIRST // 1000 + 60 * n},{','.join(map(repr, prices(name, n)))},2.0" for n in range(BARS)]
        (folder / f"{name}-USD.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows, ""]))
    with tapedeck.connect(home=shared_deck[0].root) as client:
        for name in NAMES:
            path: Path = folder / f"{name}-USD.csv"
            (found,) = client.import_files(path, exchange="mine", symbol=f"{name}/USD")["files"]
            assert found["rows"] == BARS
        yield client


def test_tables_have_the_rows_of_the_files(td: tapedeck.TapedeckClient) -> None:
    rows = td.bars("mine:BTC/USD").to_rows()
    assert [
        (round(row["ts"].timestamp() * 1000), row["open"], row["high"], row["low"], row["close"]) for row in rows
    ] == [(FIRST + n * MINUTE, *prices("BTC", n)) for n in range(BARS)]
    hours = td.bars(SYMBOLS, "1h", last="2h").to_rows()
    assert [(row["symbol"], row["open"], row["close"], row["volume"]) for row in hours] == [
        (f"mine:{name}/USD", prices(name, 60 * hour)[0], prices(name, 60 * hour + 59)[3], 120.0)
        for name in NAMES
        for hour in (4, 5)
    ]
    for spelling in ("MINE:BTC-USD", "mine:btcusd"):
        assert td.bars(spelling, "1h", last="2h").to_rows() == [
            {name: value for name, value in row.items() if name != "symbol"} for row in hours[:2]
        ]
    assert [row["interval"] for row in td.symbols(exchange="mine").to_rows()] == ["1m", "1m"]
    assert td.sql("SELECT count(*) AS n FROM bars WHERE exchange = 'mine'")["n"].to_pylist() == [2 * BARS]
    closes = td.sql("SELECT ts, ts::date AS day, close FROM bars WHERE exchange = 'mine' AND symbol = 'BTC/USD'")
    first = min(closes.to_rows(), key=lambda row: row["ts"])
    opened = datetime(2018, 4, 4, tzinfo=UTC)
    assert first == {"ts": opened, "day": opened.date(), "close": prices("BTC", 0)[3]}
    assert "<svg" in closes._repr_html_()
    with pytest.raises(errors.UnknownName, match="mine:XRP/USD"):
        td.bars("mine:XRP/USD")
    with pytest.raises(errors.BadRequest, match="DELETE"):
        td.sql("DELETE FROM bars")


def test_a_replay_gives_its_bars_in_order_and_follows_a_seek(td: tapedeck.TapedeckClient) -> None:
    with td.replay(SYMBOLS, "2018-04-04", "2018-04-04T06:00Z", speed=600, name="played") as replay:
        found: list[tuple[int, str]] = []
        for bar in replay:
            found.append(((bar.ts - FIRST) // MINUTE, bar.symbol.rpartition(":")[2]))
            assert (bar.open, bar.high, bar.low, bar.close) == prices(found[-1][1][:3], found[-1][0])
            if len(found) == 60:  # what is left takes half a minute: a busy machine's control comes before its end
                replay.control(seek="2018-04-04T00:10Z", speed="max")
        jump = next(n for n in range(1, len(found)) if found[n] <= found[n - 1])
        assert found[:jump] == [(n, f"{name}/USD") for n in range(jump // 2) for name in NAMES]
        assert found[jump:] == [(n, f"{name}/USD") for n in range(10, BARS) for name in NAMES]
        replay.wait(timeout=120)  # the topic's end comes before the status that says so
        assert replay.phase == "Complete"
        assert len(replay.bars()) == 2 * BARS
    with pytest.raises(errors.UnknownName):
        replay.refresh()


def test_a_class_of_a_notebook_trades_the_store_and_a_replay(td: tapedeck.TapedeckClient) -> None:
    cells = NotebookCells()
    cells.run("import backtrader as bt\nHELD = 10")
    strategy = cells.run(STRATEGY)["BuyAndSell"]
    first = td.backtest(strategy, "mine:BTC/USD")
    second = td.backtest(strategy, "mine:BTC/USD", {"first": 50})

    async def on_a_replay() -> tapedeck.RunHandle:
        replay = await td.replay.aio("mine:BTC/USD", "2018-04-04", speed="max")
        run = await td.backtest.aio(strategy, replay)
        await run.load.aio()
        return run

    streamed = asyncio.run(on_a_replay())
    for run, begin in ((first, 10), (second, 50), (streamed, 10)):
        (trade,) = run.trades.to_rows()
        entry, leave = prices("BTC", begin)[0], prices("BTC", begin + 10)[0]  # the opens after the decisions
        assert (trade["entry_price"], trade["exit_price"], trade["pnl"]) == (entry, leave, pytest.approx(leave - entry))
        assert run.metrics["final_value"] == pytest.approx(10_000 + leave - entry)
        assert run.equity["value"].to_pylist()[-1] == run.metrics["final_value"]
    rows = {row["metric"]: row for row in first.compare(second).table.to_rows()}
    profits = [prices("BTC", begin + 10)[0] - prices("BTC", begin)[0] for begin in (10, 50)]
    assert rows["final_value"]["difference"] == pytest.approx(profits[1] - profits[0])
    assert "<svg" in first._repr_html_()
    assert td.run(first.run_id).metrics == first.metrics


def test_a_sweep_has_all_trials(td: tapedeck.TapedeckClient) -> None:
    cells = NotebookCells()
    cells.run("import backtrader as bt\nHELD = 10")
    strategy = cells.run(STRATEGY)["BuyAndSell"]
    sweep = td.sweep(strategy, "mine:BTC/USD", {"first": [10, 50, 90]}, objective="final_value")
    profits = {begin: prices("BTC", begin + 10)[0] - prices("BTC", begin)[0] for begin in (10, 50, 90)}
    assert {row["first"]: row["objective"] for row in sweep.trials.to_rows()} == {
        begin: pytest.approx(10_000 + profit) for begin, profit in profits.items()
    }
    assert sweep.best[0]["first"] == max(profits, key=lambda begin: profits[begin])
    stored = td.run(sweep.run_id)
    assert isinstance(stored, tapedeck.SweepHandle)
    assert stored.best == sweep.best
    (row,) = stored.matrix("first", "first").to_rows()[:1]
    assert row["first=10"] == pytest.approx(10_000 + profits[10])
    with pytest.raises(errors.BadRequest, match="y: got 'frist', expected a param of the sweep: first"):
        sweep.matrix("first", "frist")
    with pytest.raises(errors.BadRequest, match="metric: got 'shrap', expected objective, or one of"):
        sweep.matrix("first", "first", "shrap")


def test_errors_say_what_is_wrong(td: tapedeck.TapedeckClient) -> None:
    with pytest.raises(errors.BadRequest, match=r"spec.strategy.builtin: got 'nope'"):
        td.backtest("nope", "mine:BTC/USD")
    with pytest.raises(errors.WorkFailed, match="other"):
        _ = td.backtest("sma-cross", "other:BTC/USD").metrics
    with tapedeck.connect(td.url) as reader, pytest.raises(errors.NotAuthorized, match="give connect\\(\\) a token"):
        reader.replay("mine:BTC/USD")
