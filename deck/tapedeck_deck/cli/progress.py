"""What a command says on standard error while it works: a status line on a terminal, else a line every two seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from tapedeck_deck.cli.printing import escaped, print_note

PROGRESS_SECONDS = 2.0


class ProgressLines:
    """Prints what is being done every two seconds, from a thread of its own; nothing where it takes less."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> ProgressLines:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def update(self, what: str) -> None:
        """Change what the next line says."""
        self._what = what

    def end(self) -> None:
        """Print no more lines."""
        self._ended.set()
        self._thread.join()

    def _print(self) -> None:
        started = time.monotonic()
        while not self._ended.wait(PROGRESS_SECONDS):
            print_note(f"{time.monotonic() - started:.0f} s: {self._what}")


@contextmanager
def shown_progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done, on a terminal from the first moment; yields a function that changes what is shown."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        with console.status(f"{escape(escaped(what))} …") as status:
            yield lambda text: status.update(f"{escape(escaped(text))} …")
    else:
        with ProgressLines(what) as lines:
            yield lines.update
