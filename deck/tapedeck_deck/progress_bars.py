"""Progress bars of resources: lines where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich import progress as rich_progress
from rich.console import Console

from tapedeck_crds.json import Json

# If the output is not a terminal, a line is printed after such a step, or after so long if the figures have changed:
# a large file is one step.
PLAIN_STEP_PERCENT = 25
PLAIN_SECONDS = 10.0


class ProgressBars:
    """One progress bar for each resource, with the figures of its kind; plain lines if the output is no terminal."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.fields[title]:<26}"),
            rich_progress.BarColumn(bar_width=28),
            rich_progress.TextColumn("{task.percentage:>3.0f}%"),
            rich_progress.TextColumn("{task.fields[facts]}"),
            console=console,
            refresh_per_second=8,
        )
        self._tasks: dict[str, rich_progress.TaskID] = {}
        self._printed: dict[str, tuple[int, str, float]] = {}

    def __enter__(self) -> ProgressBars:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def update(self, document: Json) -> None:
        """Show the current progress of a resource."""
        title = f"{document['kind']} {document['metadata']['name']}"
        status = document.get("status", {})
        done, total = parse_progress(status.get("progress"))
        if not self._console.is_terminal:
            self._print_line(title, done, total, facts(document))
            return
        if title not in self._tasks:
            self._tasks[title] = self._bars.add_task("", total=None, title=title, facts="")
        self._bars.update(self._tasks[title], completed=done, total=total, facts=facts(document))

    def _print_line(self, title: str, done: int, total: int | None, text: str) -> None:
        step, now = done * 100 // total // PLAIN_STEP_PERCENT if total else -1, self._clock()
        printed_step, printed_text, printed_at = self._printed.setdefault(title, (-1, text, now))
        if step > printed_step or (text != printed_text and now - printed_at >= PLAIN_SECONDS):
            self._printed[title] = step, text, now
            self._console.print(f"{title}: {done}/{total or '?'} {text}", highlight=False)


def parse_progress(text: str | None) -> tuple[int, int | None]:
    """(N, M) of ``N/M``. M is None if it is not known."""
    done, _, total = (text or "0/?").partition("/")
    return int(done), int(total) if total.isdigit() and int(total) > 0 else None


def facts(document: Json) -> str:
    """The figures of a resource's status, as one line."""
    status = document.get("status", {})
    match document["kind"]:
        case "Feed":
            return f"{status.get('bars', 0):,} bars"
        case "Replay":
            moment = status.get("position", "").replace("T", " ").removesuffix("Z")
            return f"{status.get('published', 0):,} bars  {moment}  {status.get('speed', '')}"
        case "Backtest":
            value = status.get("value")
            return f"{status.get('trades', 0)} trades  equity {value:,.2f}" if value is not None else "waiting"
    return ""
