"""The page with very many bars in a real browser: each can be panned to, and none is later than a replay's position."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from pods.browser import BROWSER_TESTS, shown, wait_for
from pods.gateway import MINUTE, Gateway, ReplayTopic, insert_bars, walk
from pods.panning import narrow_bars, pan_through
from tapedeck_common.market import Bar, event_time
from tapedeck_common.settings import Connections

T0 = 1_522_800_000_000
NARROWEST = 0.5  # pixels of a bar

pytestmark = BROWSER_TESTS


def bar_under_pointer(page: Page, bars: list[Bar]) -> Bar:
    """The bar that the charting library has under the pointer; its prices stand in the legend."""
    text = page.locator("#legend p").first.inner_text()
    told = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d)\s+O ([\d,.]+)", text)
    assert told is not None, text
    opened = datetime.strptime(told[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    bar = bars[(int(opened.timestamp() * 1_000) - bars[0].ts) // MINUTE]
    assert float(told[2].replace(",", "")) == bar.open
    return bar


def drag(page: Page, pixels: int) -> None:
    """Drag the chart to the right in small steps; the first two only begin the drag."""
    box = page.locator("#chart").bounding_box()
    assert box is not None
    left, y = box["x"] + 60, box["y"] + 120
    page.mouse.move(left, y)
    page.mouse.down()
    page.mouse.move(left + 10, y)
    page.mouse.move(left + 20, y)
    for step in range(1, 11):
        page.mouse.move(left + 20 + pixels * step / 10, y)
    page.mouse.up()
    page.wait_for_timeout(100)  # the chart draws other bars after it is let go


@pytest.mark.slow
def test_each_of_a_hundred_thousand_bars_can_be_panned_to(gateway: Gateway, page: Page, store: str) -> None:
    bars = walk(31, 100_000, T0, exchange="bitstamp", symbol="XRP/USD")
    insert_bars(store, bars)
    page.goto(f"{gateway.url}/?replay=&symbol=bitstamp:XRP/USD")
    wait_for(page, "last", bars[-1].ts)
    narrow_bars(page)
    panned = pan_through(page, bars[0].ts, bars[-1].ts)
    assert (panned.seen[0][0], panned.seen[-1][1]) == (bars[0].ts, bars[-1].ts)
    assert not panned.has_holes(MINUTE)
    assert shown(page, "bars") == len(bars)

    page.mouse.wheel(-1_000, 0)
    page.wait_for_timeout(100)
    for _ in range(8):  # what is in sight follows the hand, also where the chart draws others in between
        before = shown(page, "sight-first")
        drag(page, 800)
        moved = (before - shown(page, "sight-first")) / MINUTE
        assert moved == pytest.approx(800 / NARROWEST, abs=1)
        under = bar_under_pointer(page, bars)
        assert shown(page, "sight-first") <= under.ts <= shown(page, "sight-last")


@pytest.mark.slow
def test_no_bar_after_the_position_is_panned_to(
    gateway: Gateway, page: Page, store: str, connections: Connections
) -> None:
    bars = walk(32, 12_100, T0)
    replay = ReplayTopic(connections, name="long", range_from=T0, range_to=T0 + len(bars) * MINUTE)
    insert_bars(store, bars)
    for begin in range(0, 12_000, 2_000):
        replay.play(bars[begin : begin + 2_000])
    page.goto(f"{gateway.url}/?replay={replay.uid}")
    wait_for(page, "last", bars[11_999].ts)
    narrow_bars(page)
    panned = pan_through(page, bars[0].ts, bars[11_999].ts)
    assert not panned.has_holes(MINUTE)

    page.locator("#chart").hover()
    for _ in range(4):
        page.mouse.wheel(-1_500, 0)
        page.wait_for_timeout(50)
    replay.play(bars[12_000:12_050])  # right of what is in sight
    wait_for(page, "last", bars[12_049].ts)
    assert shown(page, "sight-last") < bars[12_000].ts

    replay.seek(event_time(bars[5_999]))
    replay.play(bars[6_000:6_010])
    wait_for(page, "last", bars[6_009].ts)
    wait_for(page, "latest", bars[6_009].ts)
    expect(page.locator("#chart")).to_have_attribute("data-sight-last", str(bars[6_009].ts))
    panned = pan_through(page, bars[0].ts, bars[6_009].ts)
    assert max(last for _, last in panned.seen) == bars[6_009].ts
    assert not panned.has_holes(MINUTE)
