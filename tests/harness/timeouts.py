"""The time limit of a test counts seconds of an idle machine (see Deadline), not of the wall clock."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import pytest
import pytest_timeout

from tapedeck_deck.embedded.deadline import Deadline

_CHECK_SECONDS = 1.0


class _Timer:
    """Interrupts the main thread when the limit of a test has passed, as pytest-timeout does."""

    def __init__(self, item: pytest.Item, settings: Any) -> None:
        self._item, self._settings = item, settings
        self._deadline = Deadline(settings.timeout)
        self._cancelled = threading.Event()
        self._main = threading.get_ident()
        signal.signal(signal.SIGALRM, self._interrupt)
        self._thread = threading.Thread(target=self._watch, name="test-timeout", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        self._cancelled.set()
        self._thread.join()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _watch(self) -> None:
        while not self._cancelled.wait(_CHECK_SECONDS):
            if self._deadline.passed():
                signal.pthread_kill(self._main, signal.SIGALRM)
                return

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self._cancelled.is_set():
            pytest_timeout.timeout_sigalrm(self._item, self._settings)


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    if settings.method != "signal" or threading.current_thread() is not threading.main_thread():
        return None  # pytest-timeout's own timer
    item.cancel_timeout = _Timer(item, settings).cancel  # type: ignore[attr-defined]
    return True
