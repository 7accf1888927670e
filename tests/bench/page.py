"""The page in a real Chromium: what a reader waits for, how even its frames are, and what an hour leaves in memory.

``page-first-paint``: from the request of the Deck with an empty cache to its first content, ms; the reference is the
limit of 1,000. ``page-first-paint-empty`` is the same of a page with one word, ``page-first-bars`` until the chart has
bars. ``page-frame-p95``: the time between two frames while a replay publishes 100 bars a second, ms; the reference is
the limit of 16.7, a frame at 60 Hz. ``page-frame-p95-empty`` is that of an empty page in turn with it, under the same
load: on a machine without a GPU, or with other work, no page has better frames. ``page-history-100k``: a reader pans
back through 100,000 bars; from the arrival of the last of their history until a frame has the first of them in sight,
ms; the reference is the limit of 500. The chart draws the bars around what is in sight, others when they are panned to:
``page-history-100k-all`` is from the same arrival until frames have had each of the 100,000 in sight, panned from the
first to the last by less than a screen a frame, ms. ``page-memory-1h``: what the page keeps after an hour of a replay
at 60x, a bar a second, published faster, MB; the reference is the limit of 50.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect, sync_playwright

from bench.figures import Figure
from bench.replay_environment import SCALE, BenchEnvironment, bench_environment
from pods.browser import BUILT, CHROMIUM, QUIET, WIDE, wait_for
from pods.gateway import MINUTE, Gateway, ReplayTopic, insert_bars, running_gateway, walk
from pods.panning import narrow_bars, pan_through
from tapedeck_common.market import Bar

PAINT_MS, FRAME_MS, HISTORY_MS, MEMORY_MB = 1_000.0, 16.7, 500.0, 50.0
HISTORY_BARS = max(int(100_000 * SCALE), 10_000)
HOUR_BARS = max(int(3_600 * SCALE), 200)
SECOND_BARS, BATCHES = 100, 10  # a second
SHOWN_BARS = 1_000  # before a measurement
LOADS, HISTORIES, ROUNDS = 7, 3, 3
FRAMES_SECONDS, WARM_SECONDS = 6, 2
WAIT_MS, WAIT_SECONDS = 120_000, 120.0
T0 = 1_522_800_000_000
SPEC = '{"limits": {"requestsPerSecond": 100000, "requestBurst": 100000, "querySeconds": 120}}'
DECK = "/?indicators=sma:20,rsi:14"
HISTORY = "/?symbol=coinbase:BTC/USD&interval=1m"

# Notes when the first chart takes how many bars, and when the frame that draws them has ended.
WATCH = """\
window.takenAt = new Map();
window.drawnAt = new Map();
window.histories = [];
new PerformanceObserver((list) => {
  for (const { name, responseEnd } of list.getEntries()) if (name.includes("/history")) histories.push(responseEnd);
}).observe({ type: "resource", buffered: true });
const note = () => {
  const bars = Number(document.querySelector("#chart")?.dataset.bars ?? 0);
  if (bars === 0 || drawnAt.has(bars)) return;
  takenAt.set(bars, performance.now());
  drawnAt.set(bars, Infinity);
  requestAnimationFrame(() => setTimeout(() => drawnAt.set(bars, performance.now())));
};
new MutationObserver(note).observe(document, { subtree: true, childList: true, attributeFilter: ["data-bars"] });
"""
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
FIRST_BARS = "() => Math.min(...drawnAt.values())"
ARRIVED = "(bars) => Math.max(...histories.filter((end) => end < takenAt.get(bars)))"
INTERVALS = """(seconds) => new Promise((done) => {
  const times = [];
  const end = performance.now() + seconds * 1000;
  const frame = (now) => {
    times.push(now);
    if (now < end) requestAnimationFrame(frame);
    else done(times.slice(1).map((time, n) => time - times[n]));
  };
  requestAnimationFrame(frame);
})"""


def run() -> Iterator[Figure]:
    """All figures, with services and a browser of their own."""
    if CHROMIUM is None or not BUILT.exists():
        raise RuntimeError(f"chromium: got {CHROMIUM}, page: got {BUILT}; expected both: install chromium, `make page`")
    with bench_environment() as services, _gateway(services) as gateway, sync_playwright() as playwright:
        expect.set_options(timeout=WAIT_MS)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        try:
            yield from _history(services, gateway, browser)
            replay = _Replay(services)
            yield from _paints(gateway, browser)
            yield from _frames(gateway, browser, replay)
            yield _memory(gateway, browser, replay)
        finally:
            browser.close()


@contextmanager
def _gateway(services: BenchEnvironment) -> Iterator[Gateway]:
    folder = services.folder / "gateway"
    folder.mkdir()
    with running_gateway(folder, services.connections, SPEC) as gateway:
        yield gateway


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    """A page without a cache."""
    context = browser.new_context(viewport=WIDE)
    try:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(WATCH)
        yield page
    finally:
        context.close()


class _Replay:
    """A replay that a gateway shows; its bars follow one another."""

    def __init__(self, services: BenchEnvironment) -> None:
        self._topic = ReplayTopic(services.connections, range_from=T0, range_to=T0 + 100_000 * MINUTE)
        self._bars = walk(5, 50_000, T0)
        self.published = 0
        self.play(SHOWN_BARS)

    @property
    def last(self) -> Bar:
        return self._bars[self.published - 1]

    def play(self, count: int) -> None:
        """Publish that many bars at once."""
        self._topic.play(self._bars[self.published : self.published + count])
        self.published += count

    def pace(self, stop: threading.Event, most: int = 50_000) -> None:
        """Publish SECOND_BARS a second in BATCHES, until it is told to stop or has published ``most``."""
        begun, first = time.monotonic(), self.published
        while not stop.is_set() and self.published - first < most:
            self.play(min(SECOND_BARS // BATCHES, most - self.published + first))
            stop.wait(max(0.0, begun + (self.published - first) / SECOND_BARS - time.monotonic()))


def _paints(gateway: Gateway, browser: Browser) -> Iterator[Figure]:
    deck, bars, empty = [], [], []
    for _ in range(LOADS):
        with _page(browser) as page:
            page.goto(f"{gateway.url}/healthz")
            empty.append(_painted(page))
        with _page(browser) as page:
            page.goto(f"{gateway.url}{DECK}")
            page.wait_for_function("() => [...drawnAt.values()].some(Number.isFinite)")
            deck.append(_painted(page))
            bars.append(float(page.evaluate(FIRST_BARS)))
    paint = statistics.median(deck)
    yield Figure("page-first-paint", paint, "ms", PAINT_MS, paint / PAINT_MS)
    yield Figure("page-first-paint-empty", statistics.median(empty), "ms")
    yield Figure("page-first-bars", statistics.median(bars), "ms")


def _painted(page: Page) -> float:
    page.wait_for_function(PAINTED)
    return float(page.evaluate(PAINTED))


def _frames(gateway: Gateway, browser: Browser, replay: _Replay) -> Iterator[Figure]:
    """Intervals of the Deck and of an empty page in turn, while the replay plays."""
    deck: list[float] = []
    empty: list[float] = []
    stop = threading.Event()
    publisher = threading.Thread(target=replay.pace, args=(stop,))
    begun, first = time.monotonic(), replay.published
    publisher.start()
    try:
        with _page(browser) as page:
            for _ in range(ROUNDS):
                page.goto("about:blank")
                empty += page.evaluate(INTERVALS, FRAMES_SECONDS)
                page.goto(f"{gateway.url}{DECK}")
                page.wait_for_function("() => [...drawnAt.values()].some(Number.isFinite)")
                page.wait_for_timeout(WARM_SECONDS * 1_000)
                before = _shown(page)
                deck += page.evaluate(INTERVALS, FRAMES_SECONDS)
                _check_rate("the page drew", _shown(page) - before, FRAMES_SECONDS)
        _check_rate("the replay published", replay.published - first, time.monotonic() - begun)
    finally:
        stop.set()
        publisher.join(WAIT_SECONDS)
    value = _p95(deck)
    yield Figure("page-frame-p95", value, "ms", FRAME_MS, value / FRAME_MS)
    yield Figure("page-frame-p95-empty", _p95(empty), "ms", FRAME_MS, _p95(empty) / FRAME_MS)


def _shown(page: Page) -> int:
    return int(page.locator("#chart").get_attribute("data-bars") or 0)


def _check_rate(what: str, bars: int, seconds: float) -> None:
    if bars < 0.8 * SECOND_BARS * seconds:
        raise RuntimeError(f"{what} {bars} bars in {seconds:.0f} s, expected {SECOND_BARS} a second")


def _history(services: BenchEnvironment, gateway: Gateway, browser: Browser) -> Iterator[Figure]:
    insert_bars(services.connections.store_dsn.get_secret_value(), walk(7, HISTORY_BARS, T0))
    drawn, all_drawn = [], []
    last = T0 + (HISTORY_BARS - 1) * MINUTE
    for _ in range(HISTORIES):
        with _page(browser) as page:
            page.goto(f"{gateway.url}{HISTORY}")
            wait_for(page, "first", T0 + (HISTORY_BARS - SHOWN_BARS) * MINUTE)
            narrow_bars(page)
            panned = pan_through(page, T0, last)
            if panned.has_holes(MINUTE):
                raise RuntimeError(f"bars in sight: got {panned.seen}, expected no hole between two frames")
            arrived = float(page.evaluate(ARRIVED, HISTORY_BARS))
            drawn.append(panned.first_at - arrived)
            all_drawn.append(panned.last_at - arrived)
    value = statistics.median(drawn)
    yield Figure("page-history-100k", value, "ms", HISTORY_MS, value / HISTORY_MS)
    yield Figure("page-history-100k-all", statistics.median(all_drawn), "ms")


def _memory(gateway: Gateway, browser: Browser, replay: _Replay) -> Figure:
    with _page(browser) as page:
        page.goto(f"{gateway.url}{DECK}")
        replay.pace(threading.Event(), most=SHOWN_BARS)  # what the first bars load is not of each
        wait_for(page, "last", replay.last.ts)
        before = _heap(page)
        replay.pace(threading.Event(), most=HOUR_BARS)
        wait_for(page, "last", replay.last.ts)
        grown = (_heap(page) - before) / 1e6
    return Figure("page-memory-1h", grown, "MB", MEMORY_MB, grown / MEMORY_MB)


def _heap(page: Page) -> float:
    """Bytes of JavaScript objects that are in use, after what is not was collected."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return float(found["JSHeapUsedSize"])


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
