"""Pans a page's chart through its bars, as a wheel does, and notes which of them each frame has in sight."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from playwright.sync_api import Page

NARROWING = 40  # turns of the wheel

# A wheel's delta of 100 pans by 80 pixels: the width of the chart less its scale is more than a step.
_PAN = """async ({ first, last }) => {
  const chart = document.querySelector("#chart");
  const { left, top, width, height } = chart.getBoundingClientRect();
  const place = { clientX: left + width / 2, clientY: top + height / 4 };
  const canvas = document.elementFromPoint(place.clientX, place.clientY);
  const seen = [];
  const pan = async (deltaX) => {
    canvas.dispatchEvent(new WheelEvent("wheel", { deltaX, ...place, bubbles: true, cancelable: true }));
    await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    seen.push([Number(chart.dataset.sightFirst), Number(chart.dataset.sightLast)]);
  };
  while (seen.at(-1)?.[0] !== first) await pan(-width);
  const firstAt = performance.now();
  seen.splice(0, seen.length - 1);
  while (seen.at(-1)?.[1] !== last) await pan(width);
  return { firstAt, lastAt: performance.now(), seen };
}"""


@dataclass(frozen=True)
class Panned:
    """The opens of the first and last bar in sight by frame, from the first bar of all to the last; when each was."""

    seen: list[tuple[int, int]]
    first_at: float
    last_at: float

    def has_holes(self, interval_ms: int) -> bool:
        """Whether bars were passed that no frame had in sight."""
        return any(later[0] > earlier[1] + interval_ms for earlier, later in pairwise(self.seen))


def narrow_bars(page: Page) -> None:
    """Make the bars as narrow as they can be."""
    page.locator("#chart").hover()
    for _ in range(NARROWING):
        page.mouse.wheel(0, 100)


def pan_through(page: Page, first: int, last: int) -> Panned:
    """Pan back until the bar that opens at ``first`` is in sight, loading what is not there, then to ``last``."""
    found = page.evaluate(_PAN, {"first": first, "last": last})
    return Panned([(begin, end) for begin, end in found["seen"]], found["firstAt"], found["lastAt"])
