"""The end of a history: the bar under way, and bars that have ended and are not stored yet."""

from __future__ import annotations

import time

import pytest

from pods.expected_bars import aggregated, assert_same_bars, days_of, rows
from pods.gateway import (
    MINUTE,
    Gateway,
    insert_bars,
    walk,
)
from tapedeck_common.kafka import producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.settings import Connections
from tapedeck_common.topics import MARKET_BARS
from tapedeck_common.wire import encode, market_headers
from waits import eventually


def test_history_ends_in_the_running_bar(gateway: Gateway, store: str, connections: Connections) -> None:
    hour = 60 * MINUTE
    now = int(time.time() * 1000)
    opened, minute = now - now % hour, now - now % MINUTE
    bars = walk(3, 120 + (minute - opened) // MINUTE, opened - 2 * hour)
    insert_bars(store, bars)
    running = Bar("coinbase", "BTC/USD", "1m", minute, bars[-1].close, 9_999.0, 1.0, 5_000.0, 3.0, closed=False)
    kafka = producer(connections, "tests")
    key = series_key("coinbase", "BTC/USD").encode()
    kafka.produce(MARKET_BARS, encode(running), key=key, headers=market_headers("live"))
    assert kafka.flush(60) == 0

    def hours() -> list[tuple[float, ...]]:
        asked = {"resolution": "60", "from_": (opened - 2 * hour) // 1000, "to": now // 1000 + 7200}
        return rows(gateway.get("/history", symbol="BTCUSD", **asked)[1])

    expected = aggregated([*bars, running], 60, opened + 9 * hour)
    assert_same_bars(eventually(lambda: found if (found := hours())[-1][4] == 5_000.0 else None), expected)
    for resolution in ("1", "1D"):
        found = rows(
            gateway.get("/history", symbol="BTCUSD", resolution=resolution, to=now // 1000 + 1, countback=1)[1]
        )
        assert (found[0][2], found[0][3], found[0][4]) == (9_999.0, 1.0, 5_000.0)
    (quote,) = gateway.get("/quotes", symbols="COINBASE:BTCUSD")[1]["d"]
    assert (quote["n"], quote["v"]["lp"], quote["v"]["high_price"]) == ("COINBASE:BTCUSD", 5_000.0, 9_999.0)


@pytest.mark.parametrize(("symbol", "stored_hours"), [("ETH/USD", False), ("LTC/USD", True)])
def test_a_bar_that_has_ended_is_shown_before_it_is_stored(
    gateway: Gateway, store: str, connections: Connections, symbol: str, stored_hours: bool
) -> None:
    now = int(time.time() * 1000)
    ended = now - now % MINUTE - MINUTE
    hour = ended - ended % (60 * MINUTE)
    stored = walk(5, 120 + (ended - hour) // MINUTE, hour - 120 * MINUTE, symbol=symbol)
    insert_bars(store, stored)
    if stored_hours:
        whole = aggregated(stored[:120], 60, hour)
        insert_bars(
            store, [Bar("coinbase", symbol, "1h", int(t) * 1000, o, h, low, c, v) for t, o, h, low, c, v in whole]
        )
    kafka, key = producer(connections, "tests"), series_key("coinbase", symbol).encode()
    newest = Bar("coinbase", symbol, "1m", ended, 1_000.0, 9_999.0, 1.0, 5_000.0, 3.0, closed=not stored_hours)
    kafka.produce(MARKET_BARS, encode(newest), key=key, headers=market_headers("live"))
    assert kafka.flush(60) == 0

    def last(resolution: str) -> tuple[float, ...]:
        asked = {"resolution": resolution, "to": ended // 1000 + 1, "countback": 2}
        return rows(gateway.get("/history", symbol=symbol.replace("/", ""), **asked)[1])[-1]

    eventually(lambda: last("1") == (ended // 1000, 1_000.0, 9_999.0, 1.0, 5_000.0, 3.0), what=str(last("1")))
    assert_same_bars([last("60")], aggregated([*stored[120:], newest], 60, ended + MINUTE))


def test_the_running_day_is_of_minutes_and_the_days_before_of_days(gateway: Gateway, store: str) -> None:
    now = int(time.time() * 1000)
    day = 1_440 * MINUTE
    today = now - now % day
    minutes = walk(62, (now - today) // MINUTE, today, exchange="of-days")
    days = [Bar("of-days", "BTC/USD", "1d", today - n * day, 50.0, 60.0, 40.0, 55.0, 9.0) for n in range(30, 0, -1)]
    insert_bars(store, [*days, *minutes])
    found = rows(gateway.get("/history", symbol="of-days:BTC/USD", resolution="1D", to=now // 1000 + 1)[1])
    expected = [(bar.ts // 1000, 50.0, 60.0, 40.0, 55.0, 9.0) for bar in days] + list(days_of(minutes).values())
    assert_same_bars(found, expected)
