"""The page of a front end that the documentation has a reader write, in a real browser: it follows a replay."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Route

from pages.blocks import script
from pods.browser import BROWSER_TESTS, open_browser
from pods.expected_bars import T0
from pods.gateway import MINUTE, ReplayTopic, running_gateway, walk
from tapedeck_common.settings import Connections
from waits import eventually

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/start/your-chart.md"
LIBRARY = (
    ROOT / "workloads/gateway/web/node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.mjs"
)
pytestmark = BROWSER_TESTS


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server, and its folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", folder
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _library(route: Route) -> None:
    """What the page takes from the internet."""
    name = route.request.url.rpartition("/")[2]
    assert name == LIBRARY.name
    headers = {"content-type": "text/javascript", "access-control-allow-origin": "*"}
    route.fulfill(path=LIBRARY, headers=headers)


def test_the_chart_of_the_documentation_follows_a_replay(
    site: tuple[str, Path], connections: Connections, tmp_path: Path
) -> None:
    url, folder = site
    bars = walk(21, 300, T0)
    replay = ReplayTopic(connections, range_from=T0, range_to=T0 + 300 * MINUTE)
    replay.play(bars[:150])
    files, _ = script(PAGE)
    with running_gateway(tmp_path, connections, f'{{"origins": ["{url}"]}}') as gateway, open_browser() as page:
        text = files["index.html"].replace("http://127.0.0.1:8750", gateway.url)
        assert text.count(gateway.url) == 2
        (folder / "index.html").write_text(text.replace("replay/default/coinbase-sample:BTC/USD", replay.ticker))
        page.route("https://unpkg.com/**", _library)
        page.goto(url)
        chart = page.locator("#chart")
        eventually(lambda: page.locator("#chart canvas").count() > 0, what="a chart")
        empty = chart.screenshot()
        eventually(lambda: chart.screenshot() != empty, what="candles")
        page.wait_for_timeout(500)
        before = chart.screenshot()
        replay.play(bars[150:200])
        eventually(lambda: chart.screenshot() != before, what="the new bars in the picture")
        page.wait_for_timeout(500)
        before = chart.screenshot()
        replay.seek(T0 + 60 * MINUTE)
        replay.play(bars[60:70])
        eventually(lambda: chart.screenshot() != before, what="the picture after a seek")
