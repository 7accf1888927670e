"""How whole a series is, as `tapedeck symbols` draws it, and what `tapedeck rm` says of rows and resources."""

from __future__ import annotations

from datetime import date

import pytest

from tapedeck_common.store.removal import RowSelection, SelectedRows
from tapedeck_crds.json import Json
from tapedeck_crds.session import Session
from tapedeck_deck.cli.coverage import CELLS, Coverage, block, split, stretched, trading_days
from tapedeck_deck.cli.removal import removal_lines, writes_to


@pytest.mark.parametrize(
    ("share", "character"),
    [(0, "·"), (0.0001, "▁"), (0.15, "▂"), (0.5, "▄"), (0.86, "▇"), (0.9999, "▇"), (1, "█"), (1.2, "█")],
)
def test_a_block_is_full_or_empty_only_where_the_share_is(share: float, character: str) -> None:
    assert block(share) == character


@pytest.mark.parametrize("count", [1, 2, 23, 24, 25, 100, 527_040])
def test_groups_cover_every_place_once(count: int) -> None:
    groups = split(count)
    assert len(groups) == min(count, CELLS)
    assert [place for start, size in groups for place in range(start, start + size)] == list(range(count))
    assert max(size for _, size in groups) - min(size for _, size in groups) <= 1


def test_few_groups_are_stretched_over_all_cells() -> None:
    assert stretched([1.0, 0.0]) == (1.0,) * 12 + (0.0,) * 12
    assert stretched([0.5]) == (0.5,) * 24


def test_only_a_series_without_a_hole_has_a_hundred_percent() -> None:
    def percent(share: float) -> str:
        return Coverage(1, 0, 0, 0, "bars", share, (share,) * CELLS).percent

    assert [percent(share) for share in (1.0, 0.99999, 0.5, 0.0009)] == ["100.0%", "99.9%", "50.0%", "0.0%"]


def test_trading_days_are_the_weekdays_of_the_session() -> None:
    session = Session(timezone="America/New_York", open="09:30", close="16:00", days=["Mon", "Tue", "Fri"])
    found = trading_days(session, date(2023, 1, 5), date(2023, 1, 13))  # a Thursday to a Friday
    assert [day.day for day in found] == [6, 9, 10, 13]


def test_what_is_removed_is_said_by_interval() -> None:
    found = [SelectedRows("1m", 1440, 1522800000000, 1522886340000)]
    selection = RowSelection("bars", "coinbase", "BTC/USD")
    assert removal_lines(selection, found) == [
        "1,440 bars of coinbase BTC/USD 1m, 2018-04-04T00:00:00Z to 2018-04-04T23:59:00Z"
    ]
    trades = [SelectedRows("", 1, 0, 0)]
    assert removal_lines(RowSelection("trades", "x", "A/B"), trades) == [
        "1 trade of x A/B, 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z"
    ]


@pytest.mark.parametrize(
    ("kind", "spec", "phase", "writes"),
    [
        ("Feed", {"exchange": "x", "symbols": ["A/B"]}, "Running", True),
        ("Feed", {"exchange": "x", "symbols": ["A/B"]}, "Complete", False),
        ("Feed", {"exchange": "y", "symbols": ["A/B"]}, "Running", False),
        ("Feed", {"source": {"files": {"exchange": "x"}}}, "Pending", True),
        ("Replay", {"source": {"store": {"exchange": "x"}}}, "Running", False),
        ("Replay", {"record": True}, "Running", False),
    ],
)
def test_resources_that_may_store_removed_rows_again(kind: str, spec: Json, phase: str, writes: bool) -> None:
    document = {"kind": kind, "metadata": {"name": "one"}, "spec": spec, "status": {"phase": phase}}
    assert writes_to(document, "x") is writes
    assert writes_to(document, "replay.one") is (kind == "Replay" and "record" in spec)
