"""Trades in order, each once, from subscriptions that lose, repeat and disorder them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapedeck_common.market import Trade, trade_key
from tapedeck_feed.live import trade_sequencer
from tapedeck_feed.live.bar_series import BarSeries
from tapedeck_feed.live.resume import PublishedRecords
from tapedeck_feed.live.symbol_state import Continuity, resume_symbol
from tapedeck_feed.live.trade_sequencer import create_sequencer


def trade(number: int, ts: int, price: float, amount: float = 1.0) -> Trade:
    return Trade("x", "A/B", ts, str(number), price, amount, "buy")


@settings(max_examples=200)
@given(st.lists(st.integers(0, 80), max_size=120), st.booleans(), st.data())
def test_each_trade_goes_out_once_and_in_order(seen: list[int], contiguous_ids: bool, data: st.DataObject) -> None:
    """Trades are lost, repeated and out of order; the exchange's response fills the gaps."""
    sequencer = create_sequencer(contiguous_ids=contiguous_ids, last=trade(100, 100, 1.0), recent_ids=["100"])
    out: list[Trade] = []
    for number in seen:
        if data.draw(st.booleans(), "lost"):
            sequencer.expect_gap()
            continue
        out += sequencer.add(trade(101 + number, 101 + number, 1.0))
    sequencer.expect_gap()
    out += sequencer.add_recovered([trade(n, n, 1.0) for n in range(100, 182)])
    numbers = [int(t.id) for t in out]
    assert sorted(numbers) == list(range(101, 182))
    if contiguous_ids:
        assert numbers == sorted(numbers)
    assert sequencer.pending == 0


def test_a_connection_that_repeats_recent_trades_leaves_no_gap() -> None:
    sequencer = create_sequencer(contiguous_ids=False, last=trade(3, 3, 1.0), recent_ids=["1", "2", "3"])

    def overlaps() -> bool:
        return sequencer.overlaps_recent

    sequencer.expect_gap()
    assert [sequencer.add(trade(n, n, 1.0)) for n in (2, 3, 4, 5)] == [[], [], [], []]
    assert overlaps()
    assert [t.id for t in sequencer.add_recovered([])] == ["4", "5"]
    sequencer.expect_gap(reconnecting=False)  # a malformed message
    sequencer.add(trade(5, 5, 1.0))
    assert not overlaps()
    sequencer.add_recovered([])
    sequencer.expect_gap()
    sequencer.add(trade(9, 9, 1.0))
    assert not overlaps()


@pytest.mark.parametrize("contiguous_ids", [True, False])
def test_a_gap_is_filled_in_parts(contiguous_ids: bool) -> None:
    """Pending trades go out after the last part."""
    sequencer = create_sequencer(contiguous_ids=contiguous_ids, last=trade(1, 1, 1.0), recent_ids=["1"])
    sequencer.expect_gap()
    assert [sequencer.add(trade(n, n, 1.0)) for n in (7, 8)] == [[], []]
    assert [t.id for t in sequencer.add_partially_recovered([trade(n, n, 1.0) for n in (1, 2, 3)])] == ["2", "3"]
    assert sequencer.add(trade(9, 9, 1.0)) == []
    assert [t.id for t in sequencer.add_partially_recovered([trade(n, n, 1.0) for n in (3, 4)])] == ["4"]
    out = sequencer.add_recovered([trade(n, n, 1.0) for n in (5, 6, 7)])
    assert [t.id for t in out] == ["5", "6", "7", "8", "9"]
    assert sequencer.pending == 0


@pytest.mark.parametrize("contiguous_ids", [True, False])
def test_the_number_of_pending_trades_has_a_limit(contiguous_ids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_sequencer, "PENDING_MAX", 3)
    sequencer = create_sequencer(contiguous_ids=contiguous_ids, last=trade(1, 1, 1.0), recent_ids=["1"])
    sequencer.expect_gap()
    full = [(sequencer.add(trade(n, n, 1.0)), sequencer.is_full) for n in (5, 6, 7)]
    assert full == [([], False), ([], False), ([], True)]
    assert [t.id for t in sequencer.skip_gap()] == ["5", "6", "7"]
    assert (sequencer.is_full, sequencer.pending) == (False, 0)


def test_skipped_ids_are_counted_as_missing() -> None:
    sequencer = create_sequencer(contiguous_ids=True, last=trade(1, 1, 1.0))
    assert sequencer.add(trade(5, 5, 1.0)) == []
    assert sequencer.pending == 1
    assert [t.id for t in sequencer.add_recovered([trade(3, 3, 1.0)])] == []
    assert [t.id for t in sequencer.skip_gap()] == ["3", "5"]
    assert sequencer.missing == 2


def test_a_lone_id_that_the_exchange_does_not_return_is_rejected_until_another_follows_it() -> None:
    sequencer = create_sequencer(contiguous_ids=True, last=trade(1, 1, 1.0))
    assert [sequencer.add(trade(n, n, 1.0)) for n in (10**6, 2)] == [[], [trade(2, 2, 1.0)]]
    assert sequencer.add_recovered([trade(n, n, 1.0) for n in (1, 2)]) == []
    assert sequencer.is_unconfirmed
    assert sequencer.skip_gap() == []
    assert ([t.id for t in sequencer.rejected], sequencer.missing, sequencer.pending) == ([str(10**6)], 0, 0)
    assert [t.id for t in sequencer.add(trade(3, 3, 1.0))] == ["3"]
    assert sequencer.add(trade(10**6, 10**6, 1.0)) == []
    assert (sequencer.duplicates, sequencer.pending) == (1, 0)
    assert sequencer.add(trade(10**6 + 1, 10**6 + 1, 1.0)) == []
    assert [t.id for t in sequencer.skip_gap()] == [str(10**6), str(10**6 + 1)]
    assert sequencer.missing == 10**6 - 4


def test_an_id_that_the_exchange_returns_is_believed() -> None:
    sequencer = create_sequencer(contiguous_ids=True, last=trade(1, 1, 1.0))
    sequencer.add(trade(10**6, 10**6, 1.0))
    assert sequencer.add_recovered([trade(10**6, 10**6, 1.0)]) == []
    assert not sequencer.is_unconfirmed
    assert [t.id for t in sequencer.skip_gap()] == [str(10**6)]


def test_a_first_id_far_above_the_others_is_rejected() -> None:
    sequencer = create_sequencer(contiguous_ids=True)
    assert len(sequencer.add(trade(10**6, 10, 1.0))) == 1
    newer = [trade(n, n, 1.0) for n in (8, 9, 10, 11, 12, 13, 14)]
    sizes = [len(sequencer.add(one)) for one in newer]
    assert sizes == [0, 0, 0, 0, 0, 3, 1], "not before newer trades have arrived"
    assert ([t.id for t in sequencer.rejected], sequencer.duplicates) == ([str(10**6)], 3)


@pytest.mark.parametrize("contiguous_ids", [True, False])
def test_repeats_are_counted(contiguous_ids: bool) -> None:
    sequencer = create_sequencer(contiguous_ids=contiguous_ids)
    assert len(sequencer.add(trade(1, 1, 1.0))) == 1
    assert sequencer.add(trade(1, 1, 1.0)) == []
    assert sequencer.duplicates == 1


def test_a_successors_first_trades_are_pending_until_the_gap_before_them_is_closed() -> None:
    published = PublishedRecords([trade(1, 1, 1.0), trade(2, 2, 1.0)])
    state = resume_symbol("x", "A/B", ["1s"], "none", published, contiguous_ids=False)
    assert state.continuity is Continuity.RECONNECTING
    assert state.sequencer.add(trade(9, 9, 1.0)) == []
    assert [t.id for t in state.sequencer.add_recovered([trade(2, 2, 1.0), trade(5, 5, 1.0)])] == ["5", "9"]


def uuid_trade(id_: str, ts: int, price: float) -> Trade:
    return Trade("x", "A/B", ts, id_, price, 1.0, "buy")


def test_trades_without_counting_ids_keep_the_order_of_their_arrival() -> None:
    """Four trades of one millisecond, whose ids sort the other way round; after a restart two more."""
    ids, prices = ["f63e", "9e1c", "44c8", "0a1b"], [8531.5, 8530.5, 8531.0, 8530.0]
    arrived = [uuid_trade(id_, 60_000, price) for id_, price in zip(ids, prices, strict=True)]
    sequencer = create_sequencer(contiguous_ids=False)
    out = [each for trade in arrived for each in sequencer.add(trade)]
    assert [t.id for t in out] == ids and out == sorted(out, key=trade_key)
    series = BarSeries("x", "A/B", "1m")
    for trade in reversed(out):  # the bar is the same in any order
        series.add(trade)
    bar = series.running_bar()
    assert bar is not None and (bar.open, bar.close) == (8531.5, 8530.0)
    successor = create_sequencer(contiguous_ids=False, last=out[-1], recent_ids=ids)
    successor.expect_gap()
    assert successor.add(uuid_trade("2b00", 60_000, 2.0)) == []
    more = successor.add_recovered([uuid_trade("3c00", 60_000, 3.0)])
    assert [t.id for t in more] == ["3c00", "2b00"]
    assert [*out, *more] == sorted([*out, *more], key=trade_key)


def test_ids_that_count_up_give_the_order_of_recovered_trades() -> None:
    sequencer = create_sequencer(contiguous_ids=False, last=trade(1, 1, 1.0))
    sequencer.expect_gap()
    out = sequencer.add_recovered([trade(n, 60_000, 1.0) for n in (14, 12, 9, 10)])
    assert [(t.id, t.seq) for t in out] == [("9", 0), ("10", 0), ("12", 0), ("14", 0)]
    assert sequencer.add(trade(7, 60_000, 1.0))[0].seq == 1  # a number that does not count up
