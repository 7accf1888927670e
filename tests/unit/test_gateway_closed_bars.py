"""Which bars of the store have closed: an hour whose last minute is about to be stored has not."""

from __future__ import annotations

import pytest

from tapedeck_gateway.charts.intervals import interval_length
from tapedeck_gateway.routes.v1.series import closed_until

NOON, SECOND, MINUTE, HOUR = 1_700_049_600_000, 1_000, 60_000, 3_600_000


@pytest.mark.parametrize(
    ("interval", "now", "stored_until", "expected"),
    [
        ("1h", NOON + SECOND, NOON, NOON),
        ("1h", NOON + SECOND, NOON - MINUTE, NOON - HOUR),
        ("1h", NOON + SECOND, NOON + HOUR, NOON),  # of a market whose bars are ahead of the position
        ("1h", NOON + MINUTE, NOON - MINUTE, NOON),  # nothing was traded in the last minute
        ("1h", NOON + 30 * MINUTE, NOON - 5 * HOUR, NOON - 5 * HOUR),  # later ones have nothing
        ("1h", NOON + SECOND, NOON - 61 * MINUTE, NOON - HOUR),  # it ended an hour ago
        ("1m", NOON + SECOND, NOON - MINUTE, NOON - MINUTE),
        ("15s", NOON + SECOND, NOON - 40 * SECOND, NOON - 45 * SECOND),  # the recorder is two bars behind
        ("15s", NOON + SECOND, NOON - 30 * SECOND, NOON - 30 * SECOND),
    ],
)
def test_a_bar_has_closed_once_its_last_part_is_stored(
    interval: str, now: int, stored_until: int, expected: int
) -> None:
    assert closed_until(interval_length(interval), now, stored_until) == expected
