"""Sessions of markets against pandas' calendar, over changes of the clock."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tapedeck_crds.session import ALWAYS_OPEN, WEEKDAYS, Session

STOCKS = {"days": ["Mon", "Tue", "Wed", "Thu", "Fri"]}


def _ms(text: str, zone: str = "UTC") -> int:
    return int(pd.Timestamp(text, tz=zone).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "opens", "closes", "changes"),
    [
        ("America/New_York", "09:30", "16:00", "2018-03-11"),
        ("America/New_York", "09:30", "16:00", "2018-11-04"),
        ("Europe/London", "08:00", "16:30", "2018-03-25"),
        ("Australia/Sydney", "10:00", "16:00", "2018-04-01"),
        ("Asia/Tokyo", "09:00", "15:00", "2018-04-01"),
    ],
)
def test_a_session_keeps_its_local_hours_when_the_clock_changes(
    zone: str, opens: str, closes: str, changes: str
) -> None:
    days = pd.date_range(pd.Timestamp(changes) - pd.Timedelta(days=9), periods=18, freq="B")
    expected = [(day.date(), _ms(f"{day.date()} {opens}", zone), _ms(f"{day.date()} {closes}", zone)) for day in days]
    session = Session.model_validate({"timezone": zone, "open": opens, "close": closes, **STOCKS})
    assert list(session.between(expected[0][1], expected[-1][2])) == expected
    assert not session.is_continuous


def test_a_session_over_midnight_is_that_of_the_day_on_which_it_closes() -> None:
    futures = Session.model_validate({"timezone": "America/New_York", "open": "18:00", "close": "17:00", **STOCKS})
    zone = "America/New_York"
    sunday, monday = _ms("2018-03-11 18:00", zone), _ms("2018-03-12 17:00", zone)
    (session,) = futures.between(sunday, monday)
    assert (str(session.date), session.open, session.close) == ("2018-03-12", sunday, monday)
    assert list(futures.between(_ms("2018-03-09 17:00", zone), sunday)) == []
    assert futures.length_ms == 23 * 3_600_000


@pytest.mark.parametrize(("day", "hours"), [("2018-03-25", 23), ("2018-10-28", 25), ("2018-06-01", 24)])
def test_a_day_has_the_hours_that_its_clock_gives_it(day: str, hours: int) -> None:
    session = Session(timezone="Europe/Berlin").on(pd.Timestamp(day).date())
    assert session.open == _ms(day, "Europe/Berlin")
    assert session.close - session.open == hours * 3_600_000


@pytest.mark.parametrize(
    ("fields", "continuous"),
    [({}, True), ({"timezone": "Asia/Tokyo"}, True), ({"open": "17:00", "close": "17:00"}, True), (STOCKS, False)],
)
def test_a_market_without_a_break(fields: dict[str, Any], continuous: bool) -> None:
    assert Session.model_validate(fields).is_continuous is continuous


def test_a_market_that_never_closes_has_a_session_each_day_in_utc() -> None:
    first, last = _ms("2018-04-04 13:37"), _ms("2018-04-07")
    found = [(str(day), opens, closes) for day, opens, closes in ALWAYS_OPEN.between(first, last)]
    names = ("2018-04-04", "2018-04-05", "2018-04-06")
    assert found == [(name, _ms(name), _ms(name) + 86_400_000) for name in names]


def test_days_are_a_set() -> None:
    assert Session(days=list(WEEKDAYS)) == Session(days=list(reversed(WEEKDAYS)))
    assert Session(days=["Mon"]) != Session(days=["Tue"])
