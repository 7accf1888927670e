"""From the log to the picture: ``gateway-bar-to-page``.

A live market publishes a bar BARS_A_SECOND times a second, and a page in a real Chromium follows it. Timed from the
broker's acknowledgement of a bar, which is its commit, until the frame that draws its candle has been made, ms: the
95th percentile; the reference is the limit of 100. ``gateway-bar-to-page-p50`` is the median.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Message
from playwright.sync_api import Browser, Page, sync_playwright

from bench.figures import Figure
from bench.page import WAIT_MS, WATCH
from bench.replay_environment import SCALE, BenchEnvironment, bench_environment
from pods.browser import CHROMIUM, QUIET, WIDE, wait_for
from pods.gateway import MINUTE, Gateway, insert_bars, running_gateway, walk
from tapedeck_common.kafka import admin, producer
from tapedeck_common.market import Bar, series_key
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import MARKET_BARS, PERMANENT_PARTITIONS
from tapedeck_common.wire import encode, market_headers

LIMIT_MS = 100.0
BARS_A_SECOND = 5
PUBLISHED = max(int(200 * SCALE), 40)
WARM = 10  # bars that are not counted: the subscription begins with them
STORED = 500
EXCHANGE = "bench"
T0 = 1_522_800_000_000
DRAWN = "() => [...drawnAt].map(([bars, at]) => [bars, performance.timeOrigin + at])"


def run() -> Iterator[Figure]:
    """Both figures, with services and a browser of their own."""
    with bench_environment() as services, sync_playwright() as playwright:
        ensure_topics(admin(services.connections, "bench"), [MARKET_BARS], PERMANENT_PARTITIONS)
        bars = walk(9, STORED + WARM + PUBLISHED, T0, exchange=EXCHANGE)
        insert_bars(services.connections.store_dsn.get_secret_value(), bars[:STORED])
        folder = services.folder / "gateway"
        folder.mkdir()
        with running_gateway(folder, services.connections) as gateway:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            took = _measured(services, gateway, browser, bars[STORED:])
            browser.close()
    value = statistics.quantiles(took, n=20)[-1]
    yield Figure("gateway-bar-to-page", value, "ms", LIMIT_MS, value / LIMIT_MS)
    yield Figure("gateway-bar-to-page-p50", statistics.median(took), "ms")


def _measured(services: BenchEnvironment, gateway: Gateway, browser: Browser, bars: list[Bar]) -> list[float]:
    """The milliseconds from the commit of each bar until it is drawn."""
    page: Page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(WATCH)
    page.goto(f"{gateway.url}/?symbol={EXCHANGE}:BTC/USD&interval=1m")
    wait_for(page, "last", bars[0].ts - MINUTE)
    shown = int(page.locator("#chart").get_attribute("data-bars") or 0)
    committed = _published(services, bars)
    wait_for(page, "last", bars[-1].ts)
    page.wait_for_function("(bars) => Number.isFinite(drawnAt.get(bars))", arg=shown + len(bars))
    drawn = {int(count): float(at) for count, at in page.evaluate(DRAWN)}
    waits = [drawn[shown + n + 1] - at for n, at in enumerate(committed) if n >= WARM and shown + n + 1 in drawn]
    if len(waits) < 0.9 * PUBLISHED:  # several bars in one frame are noted as one
        raise RuntimeError(f"the page drew {len(waits)} of {PUBLISHED} bars by themselves, expected nearly all")
    return waits


def _published(services: BenchEnvironment, bars: list[Bar]) -> list[float]:
    """Publish the bars one by one; returns when each was acknowledged, in milliseconds since 1970."""
    client = producer(services.connections, "bench")
    committed: list[float] = []

    def note(error: Any, _: Message) -> None:
        if error is not None:
            raise RuntimeError(f"{MARKET_BARS}: {error}")
        committed.append(time.time() * 1_000)

    begun = time.monotonic()
    for number, bar in enumerate(bars, 1):
        key = series_key(bar.exchange, bar.symbol)
        client.produce(MARKET_BARS, encode(bar), key=key, headers=market_headers("live"), on_delivery=note)
        if client.flush(WAIT_MS / 1_000):
            raise RuntimeError(f"{MARKET_BARS}: got no acknowledgement, expected one of the broker")
        time.sleep(max(0.0, begun + number / BARS_A_SECOND - time.monotonic()))
    return committed
