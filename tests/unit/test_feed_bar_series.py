"""Bars from trades against an independent computation, by sorting and slicing."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand.samples import Ohlcv
from tapedeck_common.market import Bar, Trade
from tapedeck_feed.live.bar_series import BarSeries, Fill

STEP = 1_000


def trade(number: int, ts: int, price: float, amount: float = 1.0) -> Trade:
    return Trade("x", "A/B", ts, str(number), price, amount, "buy")


def by_hand(trades: list[Trade], until: int, fill: Fill) -> dict[int, Ohlcv]:
    """Open time → open, high, low, close, volume of each interval that has ended at ``until``."""
    made: dict[int, Ohlcv] = {}
    ordered = sorted(trades, key=lambda t: (t.ts, int(t.id)))
    for start, group in groupby(ordered, key=lambda t: t.ts // STEP * STEP):
        some = list(group)
        prices = [t.price for t in some]
        if start + STEP <= until:
            made[start] = (prices[0], max(prices), min(prices), prices[-1], sum(t.amount for t in some))
    if fill == "previous" and made:
        for start in range(min(made), until - STEP + 1, STEP):
            if start not in made:
                last = made[start - STEP][3]
                made[start] = (last, last, last, last, 0.0)
    return made


def values(bar: Bar) -> Ohlcv:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


# (time since the previous trade, price, how many trades it arrives behind its turn)
ticks = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(1, 50).map(float), st.integers(0, 6)), min_size=1, max_size=60
)


@settings(max_examples=300, deadline=None)
@given(ticks, st.sampled_from(["none", "previous"]), st.integers(0, 3_000))
def test_any_order_of_arrival_ends_in_the_same_bars(
    rows: list[tuple[int, float, int]], fill: Fill, lateness: int
) -> None:
    """Late trades are corrections: the highest revision of each bar is that of all trades."""
    ts = 100 * STEP
    trades: list[Trade] = []
    for number, (gap, price, _) in enumerate(rows):
        ts += gap
        trades.append(trade(number, ts, price, float(number % 7 + 1)))
    arrival = sorted(range(len(rows)), key=lambda i: (i + rows[i][2], i))
    series = BarSeries("x", "A/B", "1s", fill=fill)
    series.resume((), {}, 0)
    published: dict[int, Bar] = {}
    newest = 0
    late = 0

    def publish(bars: list[Bar]) -> None:
        for bar in bars:
            before = published.get(bar.ts)
            assert bar.closed
            assert bar.rev == (0 if before is None else before.rev + 1)
            published[bar.ts] = bar

    closed_until = 0
    for i in arrival:
        late += trades[i].ts // STEP * STEP + STEP <= closed_until
        publish(series.add(trades[i]))
        newest = max(newest, trades[i].ts)
        closed = series.close_until(newest - lateness)
        assert [bar.ts for bar in closed] == sorted(bar.ts for bar in closed)
        publish(closed)
        if series._builders:
            closed_until = max(closed_until, (newest - lateness) // STEP * STEP)
    end = ts // STEP * STEP + 5 * STEP
    publish(series.close_until(end))
    if series.to_recover:  # older than the first bar that it has
        first = min(published, default=end)
        assert all(start < first for start in series.to_recover)
        return
    assert {ts: values(bar) for ts, bar in published.items()} == by_hand(trades, end, fill)
    assert series.late == late


def test_the_running_bar_comes_before_the_closed_one() -> None:
    series = BarSeries("x", "A/B", "1s")
    series.resume((), {}, 0)
    assert series.running_bar() is None
    assert series.add(trade(1, 1_000, 5.0)) == []
    assert series.running_bar() == Bar("x", "A/B", "1s", 1_000, 5.0, 5.0, 5.0, 5.0, 1.0, closed=False)
    assert series.running_bar() is None, "it has not changed"
    assert series.close_until(1_999) == []
    assert series.close_until(2_000) == [Bar("x", "A/B", "1s", 1_000, 5.0, 5.0, 5.0, 5.0, 1.0)]
    assert series.close_until(9_000) == []


def test_a_bar_whose_beginning_was_not_seen_is_recovered() -> None:
    series = BarSeries("x", "A/B", "1s")
    series.add(trade(1, 1_500, 5.0))
    series.add(trade(2, 2_500, 6.0))
    assert [bar.ts for bar in series.close_until(3_000)] == [2_000]
    assert series.to_recover == {1_000}
    recovered = Bar("x", "A/B", "1s", 1_000, 4.0, 5.0, 4.0, 5.0, 3.0)
    assert series.replace(recovered) == [recovered]
    assert series.replace(recovered) == []


def test_late_changes_of_the_exchanges_own_bars_are_requested_and_published() -> None:
    """A stream that stops before the end of a bar: the clock closes the bar as it is known."""
    series = BarSeries("x", "A/B", "1m")

    def update(start: int, close: float, volume: float) -> list[tuple[int, float, float, int]]:
        bar = Bar("x", "A/B", "1m", start, 10.0, 20.0, 5.0, close, volume, False, 0)
        return [(bar.ts, bar.close, bar.volume, bar.rev) for bar in series.update(bar)]

    assert update(60_000, 11.0, 1.0) == []
    assert [(bar.ts, bar.volume) for bar in series.close_until(240_000)] == [(60_000, 1.0)]
    assert series.recovery_start == 60_000
    assert update(60_000, 12.0, 3.0) == [(60_000, 12.0, 3.0, 1)]
    assert update(120_000, 13.0, 2.0) == [(120_000, 13.0, 2.0, 0)]
    assert update(180_000, 13.0, 2.0) == [(180_000, 13.0, 2.0, 0)]
    assert update(180_000, 13.0, 2.0) == []
    assert series.recovery_start == 180_000


def test_the_bars_of_lost_trades_are_recovered() -> None:
    series = BarSeries("x", "A/B", "1s")
    series.resume((), {}, 0)
    series.add(trade(1, 1_500, 5.0))
    series.mark_lost(1_500, 3_200)
    series.add(trade(9, 3_200, 6.0))
    series.add(trade(10, 4_200, 7.0))
    assert [bar.ts for bar in series.close_until(5_000)] == [4_000]
    assert series.to_recover == {1_000, 2_000, 3_000}, "2,000 too, of which nothing was seen"


@settings(max_examples=300, deadline=None)
@given(ticks, st.sampled_from(["none", "previous"]), st.data())
def test_bars_of_lost_trades_are_the_exchanges(
    rows: list[tuple[int, float, int]], fill: Fill, data: st.DataObject
) -> None:
    """Some trades are lost for good: the exchange's bars, and filled bars where it has none, replace them."""
    ts = 100 * STEP
    trades: list[Trade] = []
    for number, (gap, price, _) in enumerate(rows):
        ts += gap
        trades.append(trade(number, ts, price, float(number % 7 + 1)))
    first = data.draw(st.integers(1, len(trades)))
    behind = data.draw(st.integers(first, len(trades)))
    end = ts // STEP * STEP + 5 * STEP
    series = BarSeries("x", "A/B", "1s", fill=fill)
    series.resume((), {}, 0)
    published: dict[int, Bar] = {}

    def publish(bars: list[Bar]) -> None:
        for bar in bars:
            assert bar.rev == (published[bar.ts].rev + 1 if bar.ts in published else 0)
            published[bar.ts] = bar

    for one in trades[:first]:
        publish(series.close_until(one.ts))
        publish(series.add(one))
    series.mark_lost(trades[first - 1].ts, trades[behind].ts if behind < len(trades) else ts + STEP)
    for one in trades[behind:]:
        publish(series.close_until(one.ts))
        publish(series.add(one))
    assert all(bar.open > 0 for bar in filter(None, [series.running_bar()]))
    publish(series.close_until(end))
    exchange_bars = by_hand(trades, end, "none")
    requested = sorted(series.to_recover)
    size = data.draw(st.integers(1, len(requested) or 1))
    for at in range(0, len(requested), size):
        part = data.draw(st.permutations(requested[at : at + size]))
        for start in part:
            if start in exchange_bars:
                publish(series.replace(Bar("x", "A/B", "1s", start, *exchange_bars[start])))
        publish(series.fill_untraded(start for start in part if start not in exchange_bars))
    assert {ts: values(bar) for ts, bar in published.items()} == by_hand(trades, end, fill)


@given(ticks, st.integers(0, 59))
def test_a_restart_changes_nothing(rows: list[tuple[int, float, int]], cut: int) -> None:
    ts = 100 * STEP
    trades = []
    for number, (gap, price, _) in enumerate(rows):
        ts += gap
        trades.append(trade(number, ts, price))
    cut = min(cut, len(trades))
    first = BarSeries("x", "A/B", "1s", fill="previous")
    first.resume((), {}, 0)
    out: list[Bar] = []

    def play(series: BarSeries, some: list[Trade]) -> None:
        for one in some:
            out.extend(series.close_until(one.ts))
            out.extend(series.add(one))

    play(first, trades[:cut])
    closed = {bar.ts: bar for bar in out}
    second = BarSeries("x", "A/B", "1s", fill="previous")
    second.resume(trades[:cut], closed, 0)
    play(second, trades[cut:])
    out.extend(second.close_until(ts + 2 * STEP))
    assert len({bar.ts for bar in out}) == len(out)
    end = (ts + 2 * STEP) // STEP * STEP
    assert {bar.ts: values(bar) for bar in out} == by_hand(trades, end, "previous")


def test_a_successor_recovers_bars_that_its_predecessor_did_not_publish() -> None:
    """The beginning of bar 0 was not seen, so it was requested; the pod ended before the response."""
    trades = [trade(n, ts, 5.0) for n, ts in enumerate((500, 1_200, 2_400, 3_100))]
    closed = {1_000: Bar("x", "A/B", "1s", 1_000, 5.0, 5.0, 5.0, 5.0, 1.0)}
    series = BarSeries("x", "A/B", "1s", fill="previous")
    series.resume(trades, closed, 501)
    assert series.to_recover == {0}
    assert series.with_trades([0, 1_000, 7_000]) == [0, 1_000]
    (recovered,) = series.replace(Bar("x", "A/B", "1s", 0, 4.0, 6.0, 4.0, 5.0, 3.0))
    assert (recovered.rev, recovered.closed, values(recovered)) == (0, True, (4.0, 6.0, 4.0, 5.0, 3.0))
    assert [bar.ts for bar in series.close_until(4_000)] == [2_000, 3_000], "and continues after the published bar"
