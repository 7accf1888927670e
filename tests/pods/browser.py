"""The page in a real Chromium, and what its charts say of themselves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import ConsoleMessage, Page, ViewportSize, expect, sync_playwright

import tapedeck_gateway

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BUILT = Path(tapedeck_gateway.__file__).parent / "page" / "index.html"
WIDE = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=375, height=812)
SHOTS = Path(__file__).parents[2] / "build" / "shots"
SHOT_SIZES = [(1280, 800), (375, 812)]
SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]
PATIENCE_MS = 120_000  # for a busy machine
# After a change of size or scheme, canvases are drawn in the next frame.
_TWO_FRAMES = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What a browser says by itself of a server that is stopped, or that refuses a request.
_EXPECTED = ("WebSocket connection", "Failed to load")

BROWSER_TESTS = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
    pytest.mark.skipif(not BUILT.exists(), reason="the page is not built: run `make page`"),
]


@contextmanager
def open_browser() -> Iterator[Page]:
    """A page; fails if its console has a warning or an error."""
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=PATIENCE_MS)
        page = browser.new_page(viewport=WIDE)
        page.context.set_default_timeout(PATIENCE_MS)
        page.on("console", on_console)
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        browser.close()
    unexpected = [text for text in problems if not any(part in text for part in _EXPECTED)]
    assert not unexpected, f"the console has {unexpected}"


def wait_for(page: Page, hook: str, value: object) -> None:
    """Wait until the chart says that it shows something: see exposed_state.ts."""
    expect(page.locator("#chart")).to_have_attribute(f"data-{hook}", str(value))


def shown(page: Page, hook: str) -> int:
    """A number that the chart says of itself; -1 where it has none."""
    return int(page.locator("#chart").get_attribute(f"data-{hook}") or -1)


def save_screenshot(page: Page, name: str) -> None:
    """Save the view as NAME-WIDTH-SCHEME.png: for a wide screen and a phone, light and dark.

    The folder is TAPEDECK_SHOTS; in CI, which keeps the pictures with its results, it is build/shots by default.
    """
    folder = os.environ.get("TAPEDECK_SHOTS") or (SHOTS if os.environ.get("CI") else None)
    if folder is None:
        return
    size = page.viewport_size or WIDE
    for width, height in SHOT_SIZES:
        page.set_viewport_size(ViewportSize(width=width, height=height))
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.evaluate(_TWO_FRAMES)
            page.screenshot(path=str(Path(folder) / f"{name}-{width}-{scheme}.png"))
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(size)
