"""The page in a browser that Playwright does not drive, by the operations that all browsers' protocols have."""

from __future__ import annotations

import json
from typing import Any, Protocol

from tapedeck_crds.json import Json
from waits import eventually

# Keeps what the page's scripts complain of: of failed scripts, rejected promises, the console, and the page's policy.
KEEP_PROBLEMS = """() => {
  if (window.keptProblems) return;
  const keep = (...words) => window.keptProblems.push(words.map(String).join(" "));
  window.keptProblems = [];
  addEventListener("error", ({ message, target }) => keep(message ?? `not loaded: ${target.src ?? target.href}`), true);
  addEventListener("unhandledrejection", ({ reason }) => keep("rejected:", reason));
  document.addEventListener("securitypolicyviolation", ({ blockedURI }) => keep("blocked:", blockedURI));
  for (const level of ["error", "warn"]) console[level] = keep;
}"""
_KEYS = {"Shift": "\ue008", "Control": "\ue009", "Enter": "\ue007", "ArrowLeft": "\ue012", "ArrowRight": "\ue014"}
_LOAD_SECONDS = 60.0


class PageLeft(RuntimeError):
    """An expression was not evaluated: its document was unloaded."""


class Driver(Protocol):
    """What each browser's protocol does in its own way."""

    def open(self, url: str) -> None:
        """Begin to load a page, with KEEP_PROBLEMS before its own scripts where the protocol has a way to do that."""

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression: JSON. May raise PageLeft while a page is being loaded."""

    def perform(self, actions: list[Json]) -> None:
        """Perform the actions of input devices, as WebDriver writes them."""

    def resize(self, width: int, height: int) -> None:
        """Give the page's viewport a size."""

    def close(self) -> None: ...


class DrivenPage:
    """A page by CSS selectors: each names one element."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._former_problems: list[str] = []
        self.resize = driver.resize
        self.evaluate = driver.evaluate

    def open(self, url: str) -> None:
        """Load a page, until it has drawn something: one whose script fails at once draws nothing."""
        self._former_problems = self.problems()
        self.evaluate("window.isLeft = true")
        self._driver.open(url)
        eventually(self._is_loaded, _LOAD_SECONDS, what=f"the document of {url}")
        self.evaluate(f"({KEEP_PROBLEMS})()")
        eventually(lambda: self.count("#page > *") > 0, _LOAD_SECONDS, what=f"the page of {url}")

    def _is_loaded(self) -> bool:
        """Whether the document is another one than that which was marked."""
        try:
            return not self.evaluate("window.isLeft")
        except PageLeft:
            return False

    def of(self, selector: str, expression: str) -> Any:
        """The value of an expression of the element ``e``; None where there is no such element."""
        return self.evaluate(f"((e) => e && {expression})(document.querySelector({json.dumps(selector)}))")

    def count(self, selector: str) -> int:
        return int(self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def has(self, selector: str, text: str) -> None:
        """Wait until an element's text contains a text."""
        shown = "nothing"

        def contains() -> bool:
            nonlocal shown
            shown = str(self.of(selector, "e.textContent"))
            return text in shown

        try:
            eventually(contains)
        except AssertionError as error:
            raise AssertionError(f"{selector}: got {shown!r}, expected {text!r}") from error

    def chart(self, name: str) -> str:
        """What the chart says of itself: see exposed_state.ts."""
        return str(self.of("#chart", f"e.dataset.{name}"))

    def box(self, selector: str) -> Json:
        """Where an element is in the viewport: left, top, right, bottom, width, height."""
        found: Json = self.of(selector, "e.getBoundingClientRect().toJSON()")
        return found

    def click(self, selector: str) -> None:
        """Click the middle of an element that is shown, stands still and is not disabled or covered."""
        eventually(lambda: self.of(selector, "!e.disabled && e.checkVisibility()"), what=f"{selector} to click")
        self.of(selector, "void e.scrollIntoView({ block: 'nearest' })")
        x, y = eventually(lambda: self._steady_middle(selector), what=f"{selector} to stand still")
        steps = [
            {"type": "pointerMove", "x": int(x), "y": int(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self._driver.perform([{"type": "pointer", "id": "mouse", "actions": steps}])

    def _steady_middle(self, selector: str) -> tuple[float, float] | None:
        """The middle of an element; None where it moves, as a list does that is being loaded, or is covered."""
        before, after = self.box(selector), self.box(selector)
        x, y = (after["left"] + after["right"]) / 2, (after["top"] + after["bottom"]) / 2
        is_reached = self.of(selector, f"e.contains(document.elementFromPoint({x}, {y}))")
        return (x, y) if before == after and is_reached else None

    def press(self, keys: str) -> None:
        """Press a key, after those that are held meanwhile: ``Shift+ArrowRight``."""
        values = [_KEYS.get(key, key) for key in keys.split("+")]
        steps = [{"type": "keyDown", "value": value} for value in values]
        steps += [{"type": "keyUp", "value": value} for value in reversed(values)]
        self._driver.perform([{"type": "key", "id": "keys", "actions": steps}])

    def problems(self) -> list[str]:
        """What the pages have complained of since problems were forgotten."""
        return [*self._former_problems, *self.evaluate("window.keptProblems ?? []")]

    def forget_problems(self) -> None:
        self._former_problems = []
        self.evaluate("void (window.keptProblems = [])")
