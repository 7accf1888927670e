"""Every SQL statement of the dashboards runs on the migrated schema with their role and returns right rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import numpy as np
import psycopg
import pytest
from psycopg import sql

from charts import dashboards
from pods.services import EachStore
from tapedeck_common.store.roles import ROLES
from tapedeck_common.store.schema_upgrade import upgrade_schema

NOW = datetime.now(UTC)
T0 = datetime(2018, 4, 4, tzinfo=UTC)
VALUES = np.concatenate([np.linspace(100, 120, 40), np.linspace(120, 90, 40), np.linspace(90, 110, 40)])
DRAWDOWN = (1 - VALUES / np.maximum.accumulate(VALUES)) * 100
# As the recorder writes them: metrics are floats, undefined ones null.
METRICS = {
    "return_percent": 10.0,
    "max_drawdown_percent": 25.0,
    "sharpe": None,
    "win_rate_percent": 50.0,
    "trades": 2.0,
}
PERIODS = [{"period": "2018-04", "return_percent": 10.0, "trades": 2}, {"period": "2018", "return_percent": 10.0}]
CHOSEN = {"exchange": "x", "product": "A/B", "interval": "5m", "run": "r1", "compared": "r1", "parameter": "fast"}
Rows = list[tuple[Any, ...]]
Ask = Callable[..., Rows]


class Bar(NamedTuple):
    """A one-minute bar."""

    ts: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


def walk(seed: int, count: int, start: datetime, step: timedelta) -> list[Bar]:
    """Bars of a random walk, with a hole of seven."""
    rng = np.random.default_rng(seed)
    price, made = 100.0, []
    for number in range(count):
        path = price * np.exp(rng.normal(0, 0.01, 4).cumsum())
        if not 40 <= number < 47:
            volume = float(rng.integers(1, 100))
            made.append(
                Bar(
                    start + number * step,
                    price,
                    float(max(price, *path)),
                    float(min(price, *path)),
                    float(path[-1]),
                    volume,
                )
            )
        price = float(path[-1])
    return made


def aggregated(bars: list[Bar], width: timedelta) -> list[Bar]:
    """Bars aggregated by hand: from midnight on, whatever the width."""

    def start(bar: Bar) -> datetime:
        midnight = bar.ts.replace(hour=0, minute=0)
        return midnight + (bar.ts - midnight) // width * width

    made = []
    for at, group in groupby(bars, start):
        parts = list(group)
        high, low = max(part.high for part in parts), min(part.low for part in parts)
        made.append(Bar(at, parts[0].open, high, low, parts[-1].close, sum(part.volume for part in parts)))
    return made


# Three days of minutes, the same product an hour long elsewhere, and eleven weeks of days.
MINUTES = walk(1, 3 * 1440, T0, timedelta(minutes=1))
ELSEWHERE = walk(2, 60, T0, timedelta(minutes=1))
DAYS = walk(3, 77, datetime(2018, 1, 1, tzinfo=UTC), timedelta(days=1))
# A day of minutes and of hours of another product. The stored hours are told from those of its minutes by their volume.
BOTH = walk(4, 1440, T0, timedelta(minutes=1))
HOURS = [bar._replace(volume=bar.volume + 1) for bar in aggregated(BOTH, timedelta(hours=1))]
WORTHLESS = [Bar(T0, 0.0, 0.0, 0.0, 0.0, 1.0)]
SERIES = {
    ("x", "A/B", "1m"): MINUTES,
    ("y", "A/B", "1m"): ELSEWHERE,
    ("x", "C/D", "1d"): DAYS,
    ("x", "E/F", "1m"): BOTH,
    ("x", "E/F", "1h"): HOURS,
    ("x", "Z/Z", "1m"): WORTHLESS,
    ("y", "Z/Z", "1m"): WORTHLESS,
}
DAILY: dict[str, tuple[str, ...]] = {
    "product": ("A/B", "C/D")
}  # chosen on the dashboard of daily figures, where several can be


@pytest.fixture
def ask(each_store: EachStore) -> Ask:
    """Runs the statement of a panel with the role of dashboards, in a filled store."""
    upgrade_schema(each_store.dsn("postgres"))
    with psycopg.connect(each_store.dsn("postgres"), autocommit=True) as connection:
        _fill_market(connection)
        _fill_runs(connection)

    def rows(place: str, start: datetime = T0, end: datetime = NOW, **chosen: str | tuple[str, ...]) -> Rows:
        text = dashboards.as_sql(dashboards.statement(place), start.isoformat(), end.isoformat(), CHOSEN | chosen)
        with psycopg.connect(each_store.dsn(ROLES["dashboards"]), autocommit=True) as connection:
            connection.execute("SET statement_timeout = '15s'")
            return connection.execute(sql.SQL(text)).fetchall()

    return rows


def _fill_market(connection: psycopg.Connection[Any]) -> None:
    _store_bars(connection, SERIES)
    for number in range(3):
        at = T0 + timedelta(seconds=number)
        connection.execute(
            "INSERT INTO tickers VALUES ('x', 'A/B', %s, 10, 5, 11, 9, 10, %s, 'live')", (at, 10 + number / 10)
        )
        trade = (
            "INSERT INTO trades (exchange, symbol, ts, id, price, amount, side, source) "
            "VALUES ('x', 'A/B', %s, %s, 10, 1, 'buy', 'live')"
        )
        connection.execute(trade, (at, str(number)))
    connection.execute("INSERT INTO gaps VALUES ('x', 'A/B', '1m', %s, %s, 'open')", (T0, NOW))
    connection.execute(
        'INSERT INTO ingest_errors (topic, partition, "offset", at, reason, payload) '
        "VALUES ('t', 0, 0, %s, 'w', 'p')",
        (NOW - timedelta(minutes=5),),
    )
    connection.execute("INSERT INTO kafka_offsets VALUES ('c', 'i', 'market.bars', 0, 17)")


def _store_bars(connection: psycopg.Connection[Any], series: dict[tuple[str, str, str], list[Bar]]) -> None:
    for (exchange, symbol, interval), bars in series.items():
        with connection.cursor().copy("COPY bars FROM STDIN") as copy:
            for bar in bars:
                copy.write_row((exchange, symbol, interval, *bar, 0, "live"))
        row = (exchange, symbol, interval, bars[0].ts, bars[-1].ts)
        connection.execute("INSERT INTO bar_series VALUES (%s, %s, %s, %s, %s)", row)


def _fill_runs(connection: psycopg.Connection[Any]) -> None:
    for run, state, metrics, trials in (("r1", "complete", METRICS, 4), ("r2", "running", None, 0)):
        connection.execute(
            "INSERT INTO runs (run_id, name, namespace, strategy, params, spec, exchange, symbols, interval, "
            "replay_uid, cash, started_at, state, metrics, trials) VALUES "
            "(%s, 'n', 'd', 'sma', '{\"fast\": 5}', '{}', 'x', '{A/B,C/D}', '1m', '', 100, %s, %s, %s, %s)",
            (run, NOW - timedelta(hours=1), state, None if metrics is None else json.dumps(metrics), trials),
        )
    for seq, value in enumerate(VALUES):
        # like a long run, whose equity curve is thinned out
        connection.execute(
            "INSERT INTO run_equity VALUES ('r1', %s, %s, %s, 50, 0, %s, 1)",
            (seq * 997, T0 + timedelta(minutes=seq), float(value), float(DRAWDOWN[seq])),
        )
    connection.execute("UPDATE runs SET periods = %s WHERE run_id = 'r1'", (json.dumps(PERIODS),))
    for seq, net in enumerate((4.0, -1.0)):
        times = T0 + timedelta(minutes=seq), T0 + timedelta(minutes=seq + 10)
        connection.execute(
            "INSERT INTO run_trades VALUES ('r1', %s, 'A/B', 'buy', 1, %s, 10, %s, 14, %s, %s, 0.5)",
            (seq, times[0], times[1], net + 0.5, net),
        )
    for trial, fast, objective, feasible in (
        (0, 5, 1.5, True),
        (1, 5, 2.5, False),
        (2, 7, 2.0, True),
        (-1, 7, None, True),
    ):
        connection.execute(
            "INSERT INTO run_trials VALUES ('r1', 0, %s, %s, %s, %s, '{}', %s, %s, 'h', '')",
            (trial, json.dumps({"fast": fast}), T0, NOW, objective, feasible),
        )


def test_every_statement_returns_rows(ask: Ask) -> None:
    places = [each.place for each in dashboards.expressions("sql")]
    assert len(places) == len(set(places)) > 30
    start = T0 - timedelta(days=120)
    empty = [place for place in places if not ask(place, start, end=_end_of(place), **_chosen_on(place))]
    assert empty == []


def _chosen_on(place: str) -> dict[str, tuple[str, ...]]:
    return DAILY if place.startswith("analytics: ") else {}


@pytest.mark.parametrize("empty", ["compared", "product"])
def test_a_choice_of_nothing_is_no_error(ask: Ask, empty: str) -> None:
    """As in an empty store, whose variables have no value."""
    marked = f"ARRAY[${{{empty}:sqlstring}}]"
    places = [each.place for each in dashboards.expressions("sql") if marked in each.text]
    assert len(places) == {"compared": 2, "product": 3}[empty]
    assert [ask(place, T0 - timedelta(days=120), **{empty: ()}) for place in places] == [[]] * len(places)
    assert not [each.place for each in dashboards.expressions("sql") if f"IN (${{{empty}" in each.text]


def _end_of(place: str) -> datetime:
    """Tickers are those of the day before the end of the range."""
    return T0 + timedelta(hours=2) if place == "market: Tickers" else NOW


def candles(bars: list[Bar], width: timedelta) -> Rows:
    """Rows of bars aggregated by hand."""
    return [tuple(bar) for bar in aggregated(bars, width)]


def approximately(rows: Rows) -> Rows:
    return [(row[0], *(pytest.approx(number) for number in row[1:])) for row in rows]


def test_candles_are_bars_aggregated_by_hand(ask: Ask) -> None:
    start, end = T0 + timedelta(hours=1, minutes=2), T0 + timedelta(hours=5, minutes=33)
    within = [bar for bar in MINUTES if T0 + timedelta(hours=1) <= bar.ts < T0 + timedelta(hours=5, minutes=35)]
    found = ask("market: Candles", start, end)
    assert found == approximately(candles(within, timedelta(minutes=5)))  # whole ones, also the first and the last
    assert [row[:2] for row in ask("market: Volume", start, end)] == approximately([(row[0], row[5]) for row in found])
    stored = ask("market: Candles", start, end, interval="1m")
    assert stored == approximately([tuple(bar) for bar in MINUTES if start <= bar.ts <= end])
    daily = ask("market: Candles", T0, T0 + timedelta(days=3), interval="1d")
    assert daily[:3] == approximately(candles(MINUTES, timedelta(days=1)))


def test_candles_of_a_stored_interval_are_its_bars(ask: Ask) -> None:
    """Also at the end of the series, where the last minute opens after the last hour."""
    assert approximately([row[:5] for row in candles(BOTH, timedelta(hours=1))]) == [
        row[:5] for row in map(tuple, HOURS)
    ]
    for end in (T0 + timedelta(hours=9), T0 + timedelta(days=1), T0 + timedelta(days=2)):
        found = ask("market: Candles", T0, end, product="E/F", interval="1h")
        assert found == approximately([tuple(bar) for bar in HOURS if bar.ts <= end])
    minutes = ask("market: Candles", T0, T0 + timedelta(hours=9), product="E/F", interval="15m")
    within = [bar for bar in BOTH if bar.ts < T0 + timedelta(hours=9, minutes=15)]
    assert minutes == approximately(candles(within, timedelta(minutes=15)))


def test_a_long_range_has_wider_candles_rather_than_many(ask: Ask) -> None:
    found = ask("market: Candles", T0, T0 + timedelta(days=3), interval="1m")
    assert found == approximately(candles(MINUTES, timedelta(minutes=3)))  # 4,320 minutes in at most 1,500 candles


def test_the_timeline_keeps_the_extremes_and_the_ends(ask: Ask) -> None:
    found = ask("market: Timeline", T0, T0 + timedelta(days=3))
    closes = {bar.ts: bar.close for bar in MINUTES}
    assert len(found) <= 1000 < len(closes)
    assert all(closes[at] == close for at, close in found)
    assert [at for at, _ in found] == sorted({at for at, _ in found})
    assert (found[0][0], found[-1][0]) == (MINUTES[0].ts, MINUTES[-1].ts)
    assert {min(closes.values()), max(closes.values())} <= {close for _, close in found}
    few = ask("market: Timeline", T0, T0 + timedelta(minutes=30))
    assert few == [(bar.ts, bar.close) for bar in MINUTES[:31]]


def test_the_spread_is_that_to_the_mean_of_the_exchanges(ask: Ask) -> None:
    found = {
        (at, exchange): spread
        for at, exchange, spread in ask("market: Spread between exchanges", T0, T0 + timedelta(hours=1))
    }
    one, two = (candles(bars[:53], timedelta(minutes=5)) for bars in (MINUTES, ELSEWHERE))
    assert {at for at, _ in found} == {row[0] for row in two}  # where both have the product
    for own, other in zip(one, two, strict=False):
        mean = (own[4] + other[4]) / 2
        assert found[own[0], "x"] == pytest.approx(own[4] / mean - 1)
        assert found[own[0], "y"] == pytest.approx(other[4] / mean - 1)


def test_there_is_no_spread_to_a_mean_of_nothing(ask: Ask) -> None:
    found = ask("market: Spread between exchanges", T0, T0 + timedelta(hours=1), product="Z/Z")
    assert [row[1:] for row in found] == [("x", None), ("y", None)]
    assert ask("analytics: Weekly returns", T0, T0 + timedelta(days=30), product=("Z/Z",)) == []


def test_the_products_offered_are_those_with_the_greatest_volume(ask: Ask, each_store: EachStore) -> None:
    """On the last day in the range, whatever they had before and have later."""
    start = datetime(2019, 1, 1, tzinfo=UTC)
    volumes = {f"P{number:02}/Q": float((number * 7) % 25) for number in range(25)}

    def days(volume: float) -> list[Bar]:
        return [
            Bar(start + timedelta(days=day), 2.0, 2.0, 2.0, 2.0, each)
            for day, each in enumerate((100 - volume, volume, 100 - volume))
        ]

    with psycopg.connect(each_store.dsn("postgres"), autocommit=True) as connection:
        _store_bars(connection, {("many", symbol, "1d"): days(volume) for symbol, volume in volumes.items()})
    expected = sorted(volumes, key=lambda symbol: -volumes[symbol])[:20]
    chosen = {"exchange": "many"}
    found = [row[0] for row in ask("analytics: $product", start, start + timedelta(days=1, hours=1), **chosen)]
    assert found == expected
    assert ask("analytics: $product", start - timedelta(days=9), start - timedelta(days=1), **chosen) == []
    end = start + timedelta(days=3)
    drawn = ask("analytics: Weekly volume", start, end, product=tuple(expected[:2]), **chosen)
    assert {row[1] for row in drawn} == set(expected[:2])
    assert len(ask("analytics: Movers", start, end, product=(), **chosen)) == 25  # of all products


def test_analytics_are_those_of_daily_closes(ask: Ask) -> None:
    start, end = datetime(2018, 1, 1, tzinfo=UTC), T0 + timedelta(days=3)
    days = {bar.ts: bar for bar in DAYS}
    weeks: dict[datetime, list[Bar]] = {}
    for at, bar in days.items():
        weeks.setdefault(at - timedelta(days=at.weekday()), []).append(bar)
    closes = [(week, parts[-1].close) for week, parts in sorted(weeks.items())]
    expected = {later[0]: later[1] / earlier[1] - 1 for earlier, later in pairwise(closes)}
    returns = {
        at: value for at, symbol, value in ask("analytics: Weekly returns", start, end, **DAILY) if symbol == "C/D"
    }
    assert returns == {at: pytest.approx(value) for at, value in expected.items()}
    volume = {
        at: value for at, symbol, value in ask("analytics: Weekly volume", start, end, **DAILY) if symbol == "C/D"
    }
    assert volume == {
        week: pytest.approx(sum(bar.volume * bar.close for bar in parts)) for week, parts in weeks.items()
    }
    changes = np.diff(np.log([bar.close for bar in DAYS]))
    volatility = [value for _, symbol, value in ask("analytics: Volatility", start, end, **DAILY) if symbol == "C/D"]
    assert volatility[-1] == pytest.approx(np.std(changes[-30:], ddof=1) * np.sqrt(365))
    movers = {row[0]: row for row in ask("analytics: Movers", start, end, **DAILY)}
    assert movers["C/D"][1] == pytest.approx(DAYS[-1].close / DAYS[0].open - 1)
    assert movers["A/B"][1:6] == pytest.approx(
        (
            MINUTES[-1].close / MINUTES[0].open - 1,
            MINUTES[0].open,
            MINUTES[-1].close,
            max(bar.high for bar in MINUTES),
            min(bar.low for bar in MINUTES),
        )
    )


def test_a_run_is_shown_with_its_curves_trades_and_trials(ask: Ask) -> None:
    runs = ask("backtest: Runs")
    assert len(runs) == 2
    of_first = next(row for row in runs if row[-3] == "r1")
    assert of_first[-2:] == (T0.timestamp() * 1000 - 60_000, (T0.timestamp() + 119 * 60) * 1000 + 60_000)
    without_a_bar = next(row for row in runs if row[-3] == "r2")
    assert without_a_bar[-2] == pytest.approx((NOW - timedelta(hours=1)).timestamp() * 1000 - 60_000, abs=1)
    assert without_a_bar[-1] >= NOW.timestamp() * 1000
    assert [ask("backtest: Runs", run=run)[0][-3] for run in ("r1", "r2")] == ["r1", "r2"]  # the chosen one first
    assert {row[0] for row in ask("backtest: $run")} == {"r1", "r2"}
    equity = ask("backtest: Equity")
    assert [row[1] for row in equity] == pytest.approx(VALUES.tolist())
    assert equity[0][0] == T0
    assert [row[1] for row in ask("backtest: Drawdown")] == pytest.approx(DRAWDOWN)
    assert [row[1] for row in ask("backtest: Profit of closed trades")] == [4.0, 3.0]
    assert [row[:2] for row in ask("backtest: Returns")] == [("2018-04", 10.0), ("2018", 10.0)]
    assert len(ask("backtest: Rolling Sharpe ratio")) == len(VALUES)
    assert ask("backtest: Strategies")[0][2:5] == (1, 10.0, 10.0)
    compared = ask("backtest: Returns of the compared runs")
    assert [row[2] for row in compared] == pytest.approx((VALUES / 100 - 1).tolist())
    assert {row[0] for row in ask("sweep: $run")} == {"r1"}
    assert ask("sweep: $parameter") == [("fast",)]
    assert ask("sweep: Trials") == [(3, 4)]
    assert ask("sweep: Best objective") == [(2.0,)]
    assert [row[1] for row in ask("sweep: Trials of the sweep")] == [-1, 2, 0, 1]
    assert ask("sweep: Objective by parameter") == [(5.0, 2.5, 2.0, 1.5), (7.0, 2.0, 2.0, 2.0)]
    assert ask("sweep: Objective by trial") == [(0, 1.5, 1.5), (1, 2.5, 1.5), (2, 2.0, 2.0)]
    assert [row[4:6] for row in ask("sweep: Windows")] == [(2.0, None)]


def test_curves_of_a_long_run_keep_their_extremes_and_ends(ask: Ask, each_store: EachStore) -> None:
    """A run that loses from its start: the first value is below the cash, and the last is the lowest but one."""
    rng = np.random.default_rng(7)
    value, cash = (100 * np.exp(rng.normal(-0.00005, 0.004, 20_011).cumsum()) for _ in range(2))
    drawdown = (1 - value / np.maximum(np.maximum.accumulate(value), 100.5)) * 100
    sharpe = rng.normal(0, 1, len(value))
    curves = {"value": value, "cash": cash, "drawdown_percent": drawdown, "sharpe": sharpe}
    with psycopg.connect(each_store.dsn("postgres")) as connection:
        columns = ", ".join(["run_id, seq, ts", *curves])
        with connection.cursor().copy(f"COPY run_equity ({columns}) FROM STDIN") as copy:
            for seq, row in enumerate(zip(*curves.values(), strict=True)):
                copy.write_row(("long", seq, T0 + timedelta(minutes=seq), *map(float, row)))
    panels = {"Equity": (value, cash), "Drawdown": (drawdown,), "Rolling Sharpe ratio": (sharpe,)}
    for title, drawn in panels.items():
        rows = ask(f"backtest: {title}", run="long")
        seqs = [round((row[0] - T0).total_seconds() / 60) for row in rows]
        assert (seqs[0], seqs[-1]) == (0, len(value) - 1)
        for position, curve in enumerate(drawn, start=1):
            assert [row[position] for row in rows] == pytest.approx(curve[seqs].tolist())
            assert {int(np.argmin(curve)), int(np.argmax(curve))} <= set(seqs), title
        assert len(rows) <= 2_000


def test_the_profit_of_many_trades_keeps_its_extremes_and_ends(ask: Ask, each_store: EachStore) -> None:
    """Two trades end with each bar: the profit of a moment is that after both."""
    nets = np.random.default_rng(9).normal(0, 1, 20_000)
    profit = nets.cumsum()[1::2]
    with psycopg.connect(each_store.dsn("postgres"), autocommit=True) as connection:
        columns = (
            "run_id, seq, symbol, side, size, entry_ts, entry_price, exit_ts, exit_price, pnl, pnl_net, commission"
        )
        with connection.cursor().copy(f"COPY run_trades ({columns}) FROM STDIN") as copy:
            for seq, net in enumerate(nets.tolist()):
                at = T0 + timedelta(minutes=seq // 2 + 1)
                copy.write_row(("many", seq, "A/B", "buy", 1, T0, 10, at, 10, net, net, 0))
    end = T0 + timedelta(minutes=len(profit))
    rows = ask("backtest: Profit of closed trades", T0, end, run="many")
    bars = [round((row[0] - T0).total_seconds() / 60) - 1 for row in rows]
    assert len(rows) <= 1_000
    assert (bars[0], bars[-1]) == (0, len(profit) - 1)
    assert [row[1] for row in rows] == pytest.approx(profit[bars].tolist())
    assert {int(np.argmin(profit)), int(np.argmax(profit))} <= set(bars)
