"""Bars from trades against an independent computation: by sorting and slicing."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand.samples import Ohlcv
from tapedeck_common.market import Bar, Trade
from tapedeck_feed.live import trade_sequencer
from tapedeck_feed.live.bar_series import Fill, Series
from tapedeck_feed.live.resume import Tail
from tapedeck_feed.live.symbol_state import resumed
from tapedeck_feed.live.trade_sequencer import Line

STEP = 1_000


def trade(number: int, ts: int, price: float, amount: float = 1.0) -> Trade:
    return Trade("x", "A/B", ts, str(number), price, amount, "buy")


def by_hand(trades: list[Trade], until: int, fill: Fill) -> dict[int, Ohlcv]:
    """ts → open, high, low, close, volume of each interval over at ``until``."""
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


# (time to the trade before, price, how far it is delayed behind others)
ticks = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(1, 50).map(float), st.integers(0, 6)), min_size=1, max_size=60
)


@settings(max_examples=300, deadline=None)
@given(ticks, st.sampled_from(["none", "previous"]), st.integers(0, 3_000))
def test_any_order_ends_in_the_same_bars(rows: list[tuple[int, float, int]], fill: Fill, lateness: int) -> None:
    """Whatever comes late is corrected: the highest revision of each bar is that of all trades."""
    ts = 100 * STEP
    trades: list[Trade] = []
    for number, (gap, price, _) in enumerate(rows):
        ts += gap
        trades.append(trade(number, ts, price, float(number % 7 + 1)))
    arrival = sorted(range(len(rows)), key=lambda i: (i + rows[i][2], i))
    series = Series("x", "A/B", "1s", fill=fill)
    series.prime((), {}, 0)
    newest: dict[int, Bar] = {}
    known = 0
    late = 0

    def publish(bars: list[Bar]) -> None:
        for bar in bars:
            before = newest.get(bar.ts)
            assert bar.closed
            assert bar.rev == (0 if before is None else before.rev + 1)
            newest[bar.ts] = bar

    closed_until = 0
    for i in arrival:
        late += trades[i].ts // STEP * STEP + STEP <= closed_until
        publish(series.add(trades[i]))
        known = max(known, trades[i].ts)
        closed = series.advance(known - lateness)
        assert [bar.ts for bar in closed] == sorted(bar.ts for bar in closed)
        publish(closed)
        if series._cells:
            closed_until = max(closed_until, (known - lateness) // STEP * STEP)
    end = ts // STEP * STEP + 5 * STEP
    publish(series.advance(end))
    if series.unseen:  # later than the first bar that it could know of
        first = min(newest, default=end)
        assert all(start < first for start in series.unseen)
        return
    assert {ts: values(bar) for ts, bar in newest.items()} == by_hand(trades, end, fill)
    assert series.late == late


def test_the_running_bar_and_then_the_closed_one() -> None:
    series = Series("x", "A/B", "1s")
    series.prime((), {}, 0)
    assert series.running() is None
    assert series.add(trade(1, 1_000, 5.0)) == []
    assert series.running() == Bar("x", "A/B", "1s", 1_000, 5.0, 5.0, 5.0, 5.0, 1.0, closed=False)
    assert series.running() is None, "nothing new"
    assert series.advance(1_999) == []
    assert series.advance(2_000) == [Bar("x", "A/B", "1s", 1_000, 5.0, 5.0, 5.0, 5.0, 1.0)]
    assert series.advance(9_000) == []


def test_a_bar_whose_beginning_was_not_seen_is_asked_for() -> None:
    series = Series("x", "A/B", "1s")
    series.add(trade(1, 1_500, 5.0))
    series.add(trade(2, 2_500, 6.0))
    assert [bar.ts for bar in series.advance(3_000)] == [2_000]
    assert series.unseen == {1_000}
    told = Bar("x", "A/B", "1s", 1_000, 4.0, 5.0, 4.0, 5.0, 3.0)
    assert series.corrected(told) == [told]
    assert series.corrected(told) == []


def test_what_the_exchange_tells_late_of_its_own_bars_is_asked_for_and_said() -> None:
    """A stream that fell silent before the end of a bar: the clock closes what is known of it."""
    series = Series("x", "A/B", "1m")

    def told(start: int, close: float, volume: float) -> list[tuple[int, float, float, int]]:
        bar = Bar("x", "A/B", "1m", start, 10.0, 20.0, 5.0, close, volume, False, 0)
        return [(bar.ts, bar.close, bar.volume, bar.rev) for bar in series.state(bar)]

    assert told(60_000, 11.0, 1.0) == []
    assert [(bar.ts, bar.volume) for bar in series.advance(240_000)] == [(60_000, 1.0)]
    assert series.wanted_from == 60_000
    assert told(60_000, 12.0, 3.0) == [(60_000, 12.0, 3.0, 1)]
    assert told(120_000, 13.0, 2.0) == [(120_000, 13.0, 2.0, 0)]
    assert told(180_000, 13.0, 2.0) == [(180_000, 13.0, 2.0, 0)]
    assert told(180_000, 13.0, 2.0) == []
    assert series.wanted_from == 180_000


def test_a_lost_trade_puts_its_bars_in_doubt() -> None:
    series = Series("x", "A/B", "1s")
    series.prime((), {}, 0)
    series.add(trade(1, 1_500, 5.0))
    series.doubt(1_500, 3_200)
    series.add(trade(9, 3_200, 6.0))
    series.add(trade(10, 4_200, 7.0))
    assert [bar.ts for bar in series.advance(5_000)] == [4_000]
    assert series.unseen == {1_000, 2_000, 3_000}, "2,000 too, of which nothing was seen"


@settings(max_examples=300, deadline=None)
@given(ticks, st.sampled_from(["none", "previous"]), st.data())
def test_bars_of_lost_trades_are_the_exchanges(
    rows: list[tuple[int, float, int]], fill: Fill, data: st.DataObject
) -> None:
    """A stretch of trades is lost for good: what the exchange says, and fills where it says nothing, make up for it."""
    ts = 100 * STEP
    trades: list[Trade] = []
    for number, (gap, price, _) in enumerate(rows):
        ts += gap
        trades.append(trade(number, ts, price, float(number % 7 + 1)))
    first = data.draw(st.integers(1, len(trades)))
    behind = data.draw(st.integers(first, len(trades)))
    end = ts // STEP * STEP + 5 * STEP
    series = Series("x", "A/B", "1s", fill=fill)
    series.prime((), {}, 0)
    newest: dict[int, Bar] = {}

    def publish(bars: list[Bar]) -> None:
        for bar in bars:
            assert bar.rev == (newest[bar.ts].rev + 1 if bar.ts in newest else 0)
            newest[bar.ts] = bar

    for one in trades[:first]:
        publish(series.advance(one.ts))
        publish(series.add(one))
    series.doubt(trades[first - 1].ts, trades[behind].ts if behind < len(trades) else ts + STEP)
    for one in trades[behind:]:
        publish(series.advance(one.ts))
        publish(series.add(one))
    assert all(bar.open > 0 for bar in filter(None, [series.running()]))
    publish(series.advance(end))
    kept = by_hand(trades, end, "none")
    asked = sorted(series.unseen)
    at_once = data.draw(st.integers(1, len(asked) or 1))
    for at in range(0, len(asked), at_once):
        part = data.draw(st.permutations(asked[at : at + at_once]))
        for start in part:
            if start in kept:
                publish(series.corrected(Bar("x", "A/B", "1s", start, *kept[start])))
        publish(series.untraded(start for start in part if start not in kept))
    assert {ts: values(bar) for ts, bar in newest.items()} == by_hand(trades, end, fill)


@given(ticks, st.integers(0, 59))
def test_a_restart_changes_nothing(rows: list[tuple[int, float, int]], cut: int) -> None:
    ts = 100 * STEP
    trades = []
    for number, (gap, price, _) in enumerate(rows):
        ts += gap
        trades.append(trade(number, ts, price))
    cut = min(cut, len(trades))
    first = Series("x", "A/B", "1s", fill="previous")
    first.prime((), {}, 0)
    out: list[Bar] = []

    def play(series: Series, some: list[Trade]) -> None:
        for one in some:
            out.extend(series.advance(one.ts))
            out.extend(series.add(one))

    play(first, trades[:cut])
    closed = {bar.ts: bar for bar in out}
    second = Series("x", "A/B", "1s", fill="previous")
    second.prime(trades[:cut], closed, 0)
    play(second, trades[cut:])
    out.extend(second.advance(ts + 2 * STEP))
    assert len({bar.ts for bar in out}) == len(out)
    end = (ts + 2 * STEP) // STEP * STEP
    assert {bar.ts: values(bar) for bar in out} == by_hand(trades, end, "previous")


@settings(max_examples=200)
@given(st.lists(st.integers(0, 80), max_size=120), st.booleans(), st.data())
def test_each_trade_once_in_order_without_holes(seen: list[int], contiguous: bool, data: st.DataObject) -> None:
    """Trades lost, repeated and out of order; the exchange's answer fills the rest."""
    line = Line(contiguous=contiguous, last=trade(100, 100, 1.0), known=["100"])
    out: list[Trade] = []
    for number in seen:
        if data.draw(st.booleans(), "lost"):
            line.hold()
            continue
        out += line.take(trade(101 + number, 101 + number, 1.0))
    line.hold()
    out += line.mend([trade(n, n, 1.0) for n in range(100, 182)])
    numbers = [int(t.id) for t in out]
    assert sorted(numbers) == list(range(101, 182))
    if contiguous:
        assert numbers == sorted(numbers)
    assert line.waiting == 0


def test_a_connection_that_begins_with_known_trades_leaves_no_hole() -> None:
    line = Line(contiguous=False, last=trade(3, 3, 1.0), known=["1", "2", "3"])

    def overlaps() -> bool:
        return line.overlaps

    line.hold()
    assert [line.take(trade(n, n, 1.0)) for n in (2, 3, 4, 5)] == [[], [], [], []]
    assert overlaps()
    assert [t.id for t in line.mend([])] == ["4", "5"]
    line.hold(anew=False)  # a message that could not be read
    line.take(trade(5, 5, 1.0))
    assert not overlaps()
    line.mend([])
    line.hold()
    line.take(trade(9, 9, 1.0))
    assert not overlaps()


@pytest.mark.parametrize("contiguous", [True, False])
def test_a_hole_is_filled_in_parts(contiguous: bool) -> None:
    """What waits behind it comes when the last part is here."""
    line = Line(contiguous=contiguous, last=trade(1, 1, 1.0), known=["1"])
    line.hold()
    assert [line.take(trade(n, n, 1.0)) for n in (7, 8)] == [[], []]
    assert [t.id for t in line.follow([trade(n, n, 1.0) for n in (1, 2, 3)])] == ["2", "3"]
    assert line.take(trade(9, 9, 1.0)) == []
    assert [t.id for t in line.follow([trade(n, n, 1.0) for n in (3, 4)])] == ["4"]
    assert [t.id for t in line.mend([trade(n, n, 1.0) for n in (5, 6, 7)])] == ["5", "6", "7", "8", "9"]
    assert line.waiting == 0


@pytest.mark.parametrize("contiguous", [True, False])
def test_no_more_than_a_limit_waits(contiguous: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_sequencer, "HELD_MAX", 3)
    line = Line(contiguous=contiguous, last=trade(1, 1, 1.0), known=["1"])
    line.hold()
    assert [(line.take(trade(n, n, 1.0)), line.full) for n in (5, 6, 7)] == [([], False), ([], False), ([], True)]
    assert [t.id for t in line.give_up()] == ["5", "6", "7"]
    assert (line.full, line.waiting) == (False, 0)


def test_what_the_exchange_has_not_got_is_counted() -> None:
    line = Line(contiguous=True, last=trade(1, 1, 1.0))
    assert line.take(trade(5, 5, 1.0)) == []
    assert line.waiting == 1
    assert [t.id for t in line.mend([trade(3, 3, 1.0)])] == []
    assert [t.id for t in line.give_up()] == ["3", "5"]
    assert line.missing == 2


def test_a_lone_id_that_the_exchange_does_not_tell_is_doubted_until_one_follows_it() -> None:
    line = Line(contiguous=True, last=trade(1, 1, 1.0))
    assert [line.take(trade(n, n, 1.0)) for n in (10**6, 2)] == [[], [trade(2, 2, 1.0)]]
    assert line.mend([trade(n, n, 1.0) for n in (1, 2)]) == []
    assert line.unconfirmed
    assert line.give_up() == []
    assert ([t.id for t in line.wild], line.missing, line.waiting) == ([str(10**6)], 0, 0)
    assert [t.id for t in line.take(trade(3, 3, 1.0))] == ["3"]
    assert line.take(trade(10**6, 10**6, 1.0)) == []
    assert (line.duplicates, line.waiting) == (1, 0)
    assert line.take(trade(10**6 + 1, 10**6 + 1, 1.0)) == []
    assert [t.id for t in line.give_up()] == [str(10**6), str(10**6 + 1)]
    assert line.missing == 10**6 - 4


def test_an_id_that_the_exchange_tells_is_followed() -> None:
    line = Line(contiguous=True, last=trade(1, 1, 1.0))
    line.take(trade(10**6, 10**6, 1.0))
    assert line.mend([trade(10**6, 10**6, 1.0)]) == []
    assert not line.unconfirmed
    assert [t.id for t in line.give_up()] == [str(10**6)]


def test_a_first_id_far_beyond_the_others_is_given_up() -> None:
    line = Line(contiguous=True)
    assert len(line.take(trade(10**6, 10, 1.0))) == 1
    told = [trade(n, n, 1.0) for n in (8, 9, 10, 11, 12, 13, 14)]
    assert [len(line.take(one)) for one in told] == [0, 0, 0, 0, 0, 3, 1], "not before younger ones have come"
    assert ([t.id for t in line.wild], line.duplicates) == ([str(10**6)], 3)


def test_what_a_successor_hears_waits_for_what_happened_meanwhile() -> None:
    state = resumed("x", "A/B", ["1s"], "none", Tail([trade(1, 1, 1.0), trade(2, 2, 1.0)]), contiguous=False)
    assert state.suspect
    assert state.line.take(trade(9, 9, 1.0)) == []
    assert [t.id for t in state.line.mend([trade(2, 2, 1.0), trade(5, 5, 1.0)])] == ["5", "9"]


@pytest.mark.parametrize("contiguous", [True, False])
def test_repeats_are_counted(contiguous: bool) -> None:
    line = Line(contiguous=contiguous)
    assert len(line.take(trade(1, 1, 1.0))) == 1
    assert line.take(trade(1, 1, 1.0)) == []
    assert line.duplicates == 1


def test_a_successor_asks_for_what_its_predecessor_did_not_publish() -> None:
    """The beginning of bar 0 was not seen, so the exchange was asked; the pod ended before the answer."""
    trades = [trade(n, ts, 5.0) for n, ts in enumerate((500, 1_200, 2_400, 3_100))]
    closed = {1_000: Bar("x", "A/B", "1s", 1_000, 5.0, 5.0, 5.0, 5.0, 1.0)}
    series = Series("x", "A/B", "1s", fill="previous")
    series.prime(trades, closed, 501)
    assert series.unseen == {0}
    assert series.traded([0, 1_000, 7_000]) == [0, 1_000]
    (said,) = series.corrected(Bar("x", "A/B", "1s", 0, 4.0, 6.0, 4.0, 5.0, 3.0))
    assert (said.rev, said.closed, values(said)) == (0, True, (4.0, 6.0, 4.0, 5.0, 3.0))
    assert [bar.ts for bar in series.advance(4_000)] == [2_000, 3_000], "and goes on behind what was published"
