"""`make shots`: the pictures of the page in the documentation, of a deck with the demo's data.

`make shots HOME_OF_DECK=FOLDER` takes those of a running deck; else the demo runs on a deck of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from moving_picture import REPLAY, take_moving_picture
from panels import draw_panels
from pods.browser import CHROMIUM, QUIET
from tapedeck_deck.cli.deck import page_address
from tapedeck_deck.embedded.state_dir import StateDir

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
OF_README = PICTURES / "replay.gif"
SIZE = ViewportSize(width=1120, height=680)
OF_README_SIZE = ViewportSize(width=960, height=600)
BYTES_MAX = {".png": 150_000, ".svg": 60_000, ".gif": 1_500_000}
WAIT_MS = 60_000
# A second run of the crossover, to compare with the first one.
SLOWER = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: sma-slower}
spec:
  strategy: {builtin: sma-cross, params: {fast: 20, slow: 60}}
  data: {store: {exchange: coinbase, symbols: [BTC/USD]}}
  broker: {cash: 10000, commissionPercent: 0.1}
  sizer: {percent: 95}
"""


def main(given: str) -> int:
    """Write the pictures; returns the exit code."""
    with deck_home(given) as home:
        apply(home, ROOT / "examples" / "more" / "sweep.yaml", "--wait")
        apply_text(home, SLOWER, "--wait")
        apply_text(home, REPLAY)
        address = page_address(StateDir(home))
        take_pictures(address)
        draw_panels(home, runs(address.partition("#")[0].rstrip("/"))["sma-cross"], PICTURES / "panels")
    large = [path.name for path in PICTURES.rglob("*.*") if path.stat().st_size > BYTES_MAX[path.suffix]]
    if large:
        print(f"{', '.join(large)}: expected at most {BYTES_MAX} bytes: choose a smaller part of the page")
    return 1 if large else 0


@contextmanager
def deck_home(given: str) -> Iterator[Path]:
    """The folder of a running deck with the demo's data: the given one, or one that ends with the pictures."""
    if given:
        yield Path(given).absolute()
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "deck"
        tapedeck("demo", "--keep", "--home", str(home))
        try:
            yield home
        finally:
            tapedeck("--home", str(home), "down")


def tapedeck(*words: str) -> None:
    command = [sys.executable, "-c", "from tapedeck_deck.cli import main; main()", *words]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)


def apply(home: Path, file: Path, *words: str) -> None:
    tapedeck("--home", str(home), "apply", "-f", str(file), *words)


def apply_text(home: Path, text: str, *words: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "resources.yaml"
        path.write_text(text)
        apply(home, path, *words)


def take_pictures(address: str) -> None:
    """Each view once, and the moving picture of the README."""
    gateway, _, token = address.partition("#token=")
    found = runs(gateway.rstrip("/"))
    PICTURES.mkdir(exist_ok=True)
    views = {
        "deck": f"/?run={found['sma-cross']}&interval=15m",
        "run": f"/run/{found['sma-cross']}",
        "compare": f"/compare?run={found['sma-cross']}&run={found['sma-slower']}",
        "sweep": f"/run/{found['sma-sweep']}",
        "markets": "/markets",
        "new": "/new?kind=replay",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page(viewport=SIZE, color_scheme="dark")
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        for name, path in views.items():
            page.goto(f"{gateway.rstrip('/')}{path}#token={token}")
            page.reload()  # an address that differs by its fragment alone opens nothing
            settle(page, name)
            page.screenshot(path=PICTURES / f"{name}.png")
        page.set_viewport_size(OF_README_SIZE)
        page.goto(f"{gateway.rstrip('/')}/?run={running(gateway.rstrip('/'))}&interval=5m#token={token}")
        page.reload()
        settle(page, "paused")
        take_moving_picture(page, OF_README)
        browser.close()


def running(gateway: str) -> str:
    """The run of the Backtest on the replay, as soon as it has begun."""
    ends = time.monotonic() + WAIT_MS / 1_000
    while (found := runs(gateway).get("on-tape")) is None:
        if time.monotonic() > ends:
            raise TimeoutError(f"on-tape: expected a run within {WAIT_MS // 1_000} s")
        time.sleep(0.2)
    return found


def settle(page: Page, name: str) -> None:
    """Wait until a view shows all that it loads."""
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator(".loading")).to_have_count(0)
    if name == "deck":
        expect(page.locator("#chart")).not_to_have_attribute("data-markers", "0")
    if name == "sweep":
        page.locator(".panel[aria-label='Heat map']").scroll_into_view_if_needed()
    if name == "new":
        expect(page.locator("#outcome")).to_have_attribute("data-outcome", "fits")
    page.wait_for_timeout(1_000)  # fonts, and the last frame of a chart


def runs(gateway: str) -> dict[str, str]:
    """The newest run of each Backtest by its name."""
    query = urllib.parse.urlencode({"limit": 1_000})
    with urllib.request.urlopen(f"{gateway}/api/v1/runs?{query}", timeout=30) as answer:
        listed: list[dict[str, Any]] = json.load(answer)["runs"]
    return {run["name"]: run["run_id"] for run in reversed(listed)}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
