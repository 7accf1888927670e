"""A market of which several series are stored, each with holes: every interface makes the same bars of them.

The expected bars are chosen by a dictionary: a stored hour where there is one, else the hour of its minutes.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

import tapedeck
from pods.api_client import ApiClient
from pods.channel_client import OpenSocket
from pods.expected_bars import T0, aggregated, assert_same_bars, rows
from pods.gateway import MINUTE, Gateway, insert_bars, walk
from pods.market import Market
from tapedeck_common.market import Bar
from tapedeck_common.topics import MARKET_BARS

HOUR = 60 * MINUTE
NAMES = ("ts", "open", "high", "low", "close", "volume")
INTERVALS = {"15m": 15, "1h": 60, "2h": 120, "4h": 240, "1d": 1_440}
RESOLUTIONS = {"15m": "15", "1h": "60", "2h": "120", "4h": "240", "1d": "1D"}
BTC = "coinbase:BTC/USD"


def hours_of(minutes: list[Bar]) -> list[Bar]:
    """Hours of minutes, as one who has all of these computes them."""
    return [
        Bar(minutes[0].exchange, "BTC/USD", "1h", int(at) * 1_000, opened, high, low, close, volume)
        for at, opened, high, low, close, volume in aggregated(minutes, 60, 2**60)
    ]


def without(bars: list[Bar], *holes: tuple[float, float]) -> list[Bar]:
    """Bars less those that open in holes, given in hours from T0."""
    return [b for b in bars if not any(T0 + first * HOUR <= b.ts < T0 + end * HOUR for first, end in holes)]


def expected(minutes: list[Bar], hours: list[Bar], interval: str) -> list[tuple[float, ...]]:
    """The bars of an interval, times in seconds."""
    if INTERVALS[interval] < 60:
        return aggregated(minutes, INTERVALS[interval], 2**60)
    chosen = {bar.ts: bar for bar in hours_of(minutes)} | {bar.ts: bar for bar in hours}
    return aggregated([chosen[opened] for opened in sorted(chosen)], INTERVALS[interval], 2**60)


MINUTES = walk(71, 24 * 60, T0)  # all that a live chart keeps of a series
HOURS = [replace(bar, volume=bar.volume + 1.0) for bar in hours_of(MINUTES)]  # to tell them from those of minutes


@pytest.mark.parametrize(
    ("minutes", "hours"),
    [
        pytest.param(without(MINUTES, (3 + 1 / 3, 6 + 2 / 3), (12, 18)), HOURS, id="minutes with holes"),
        pytest.param(MINUTES, without(HOURS, (4, 6), (10, 11), (23, 24)), id="hours with holes"),
        pytest.param(
            without(MINUTES, (0, 2.5), (9, 12), (19.25, 24)), without(HOURS, (1, 8), (11, 14), (16, 17)),
            id="both with holes",
        ),
        pytest.param(MINUTES, HOURS[::2], id="every other hour missing"),
        pytest.param(without(MINUTES, (0, 12)), without(HOURS, (18, 24)), id="one before the other"),
    ],
)  # fmt: skip
def test_every_interface_has_the_same_bars(
    gateway: Gateway, store: str, open_socket: OpenSocket, minutes: list[Bar], hours: list[Bar]
) -> None:
    insert_bars(store, [*minutes, *hours])
    end = T0 // 1000 + 24 * 3_600
    client, api, socket = tapedeck.connect(gateway.url), ApiClient(gateway), open_socket()
    for interval, resolution in RESOLUTIONS.items():
        wanted = expected(minutes, hours, interval)
        asked: dict[str, Any] = {"symbol": BTC, "resolution": resolution, "to": end}
        assert_same_bars(rows(gateway.get("/history", **asked)[1]), wanted)
        assert_same_bars(rows(gateway.get("/history", **asked, from_=T0 // 1000)[1]), wanted)
        for count in (1, 5, len(wanted), 4_000):
            assert_same_bars(rows(gateway.get("/history", **asked, countback=count)[1]), wanted[-count:])
        inner = [row for row in wanted if T0 // 1000 + 18_000 <= row[0] < T0 // 1000 + 54_000]
        some = asked | {"from_": T0 // 1000 + 18_000, "to": T0 // 1000 + 54_000}
        assert_same_bars(rows(gateway.get("/history", **some)[1]), inner)

        table = client.bars(BTC, interval).to_rows()
        assert_same_bars(in_seconds({**row, "ts": int(row["ts"].timestamp() * 1_000)} for row in table), wanted)
        pages = api.pages("/bars", "bars", symbol=BTC, interval=interval, limit=7)
        assert_same_bars(in_seconds(row for page in pages for row in page), wanted)

        socket.subscribe(interval, "bars", symbol=BTC, interval=interval, snapshot=1_000)
        socket.until(lambda interval=interval: socket.bars(interval))
        assert_same_bars(in_seconds(socket.bars(interval).values()), wanted)


def in_seconds(bars: Any) -> list[tuple[float, ...]]:
    """Bars as /history has them."""
    return sorted((bar["ts"] // 1000, *(bar[name] for name in NAMES[1:])) for bar in bars)


def test_a_stored_hour_replaces_the_hour_of_minutes_on_a_live_chart(
    gateway: Gateway, store: str, open_socket: OpenSocket, market: Market, exchange: str
) -> None:
    opened = int(time.time() * 1000) // HOUR * HOUR - 3 * HOUR
    minutes = walk(72, 121, opened, exchange=exchange)
    hours = [replace(bar, volume=bar.volume + 1.0) for bar in hours_of(minutes)[:2]]
    insert_bars(store, [*minutes[:100], hours[0]])
    socket = open_socket()
    socket.subscribe("h", "bars", symbol=f"{exchange}:BTC/USD", interval="1h")
    of_minutes = aggregated(minutes[:100], 60, 2**60)
    first = (hours[0].ts // 1000, *(getattr(hours[0], name) for name in NAMES[1:]))
    socket.until(lambda: len(socket.bars("h")) == 2)
    assert_same_bars(in_seconds(socket.bars("h").values()), [first, of_minutes[1]])

    market.send(MARKET_BARS, *minutes[100:])
    socket.until(lambda: len(socket.bars("h")) == 3)
    of_minutes = aggregated(minutes, 60, 2**60)
    assert_same_bars(in_seconds(socket.bars("h").values()), [first, *of_minutes[1:]])

    market.send(MARKET_BARS, hours[1])
    socket.until(lambda: socket.bars("h")[hours[1].ts]["volume"] == pytest.approx(hours[1].volume))
    second = (hours[1].ts // 1000, *(getattr(hours[1], name) for name in NAMES[1:]))
    assert_same_bars(in_seconds(socket.bars("h").values()), [first, second, of_minutes[2]])
    assert [each["type"] for each in socket.of("revise")] == ["revise"]


def test_the_running_day_is_of_stored_hours_and_of_minutes(gateway: Gateway, store: str) -> None:
    now = int(time.time() * 1000)
    day = now - now % (24 * HOUR)
    minutes = walk(73, (now - day) // MINUTE + 1_440, day - 24 * HOUR, exchange="of-hours")
    hours = [replace(bar, volume=bar.volume + 1.0) for bar in hours_of(minutes) if bar.ts + HOUR <= now]
    known = [bar for bar in minutes if not day + HOUR / 3 <= bar.ts < day + HOUR / 2]
    days = [Bar("of-hours", "BTC/USD", "1d", day - n * 24 * HOUR, 50.0, 60.0, 40.0, 55.0, 9.0) for n in range(5, 1, -1)]
    insert_bars(store, [*known, *hours, *days])
    found = rows(gateway.get("/history", symbol="of-hours:BTC/USD", resolution="1D", to=now // 1000 + 1)[1])
    of_hours = expected(known, hours, "1d")
    assert_same_bars(found, [*((bar.ts // 1000, 50.0, 60.0, 40.0, 55.0, 9.0) for bar in days), *of_hours])


def test_many_holes_are_read_as_one(gateway: Gateway, store: str) -> None:
    minutes = [bar for n, bar in enumerate(walk(74, 60 * 60, T0)) if n % 3 or n < 9]
    hours = [replace(bar, volume=bar.volume + 1.0) for bar in hours_of(minutes)[1::2]]
    later = [replace(bar, ts=bar.ts + 72 * HOUR) for bar in hours]  # the minutes do not reach their holes
    insert_bars(store, [*minutes, *hours, *later])
    found = rows(gateway.get("/history", symbol=BTC, resolution="60", to=T0 // 1000 + 200 * 3_600)[1])
    assert_same_bars(found, expected(minutes, [*hours, *later], "1h"))
