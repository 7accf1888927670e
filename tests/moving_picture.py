"""README's moving picture: a replay that plays, is paused, stepped and played on faster, as the page shows it."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

COLOURS = 128  # of a flat page; fewer of them lose its accent
FRAME_MS = 200
LAST_MS = 2_000
REPLAY = """\
apiVersion: tapedeck.dev/v1alpha1
kind: Replay
metadata: {name: tape}
spec:
  source: {store: {exchange: coinbase, symbols: [BTC/USD], interval: 1m}}
  paused: true
  speed: 7200
  atEnd: hold
---
apiVersion: tapedeck.dev/v1alpha1
kind: Backtest
metadata: {name: on-tape}
spec:
  strategy: {builtin: sma-cross, params: {fast: 10, slow: 30}}
  data: {replay: {name: tape, symbols: [BTC/USD]}}
  broker: {cash: 10000, commissionPercent: 0.1}
  sizer: {percent: 95}
"""


@dataclass
class Film:
    """Pictures of a page, and when each was taken, in seconds."""

    page: Page
    pictures: list[Image.Image] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def roll(self, seconds: float) -> None:
        """Take a picture every FRAME_MS, or as fast as the page gives them."""
        ends = time.monotonic() + seconds
        while (now := time.monotonic()) < ends:
            self.times.append(now)
            self.pictures.append(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
            self.page.wait_for_timeout(max(0.0, FRAME_MS - 1_000 * (time.monotonic() - now)))

    def save(self, path: Path) -> None:
        """Write them as a GIF that repeats, each shown as long as it took to the next one."""
        shown = [round(1_000 * (later - earlier)) for earlier, later in pairwise(self.times)] + [LAST_MS]
        palette = self.pictures[-1].quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
        frames = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in self.pictures]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown, loop=0, optimize=True)


def take_moving_picture(page: Page, path: Path) -> None:
    """Film the Deck, which shows the paused replay ``tape`` and the run on it."""
    film = Film(page)
    page.keyboard.press("Space")
    expect(page.locator("#deck-state")).to_have_attribute("data-state", "PLAYING")
    film.roll(6)
    page.keyboard.press("Space")
    expect(page.locator("#deck-state")).to_have_attribute("data-state", "PAUSED")
    for _ in range(3):
        film.roll(0.6)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    film.roll(0.6)
    page.keyboard.press("Space")
    film.roll(5)
    film.save(path)
