"""Waits and time limits of the tests: they allow for a busy machine, and for a given sign of progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from tapedeck_deck.embedded.deadline import Deadline

T = TypeVar("T")
PROGRESS_LIMIT = 10  # however much progress there is, a wait lasts no longer than so many times its time limit


def eventually(
    check: Callable[[], T | Literal[False] | None],
    timeout: float = 60.0,
    *,
    progress: Callable[[], object] | None = None,
    what: str = "",
) -> T:
    """The first true value of ``check``.

    ``timeout`` is in seconds of an idle machine (see Deadline). Where ``progress`` is given, it limits the time during
    which that value does not change. Raises AssertionError with the last value.
    """
    deadline, over, pause = Deadline(timeout), Deadline(timeout * PROGRESS_LIMIT), 0.02
    seen = progress() if progress is not None else None
    while not (value := check()):
        if progress is not None and (now := progress()) != seen:
            seen = now
            deadline.restart()
        assert not deadline.passed(), f"waited {timeout:.0f} s for {what or 'a condition'}; last value: {value!r}"
        assert not over.passed(), f"waited {over.seconds:.0f} s for {what or 'a condition'}; last value: {value!r}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)  # a check may open a connection each time
    return value


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Assert that the block takes at most so many seconds of an idle machine."""
    with idle_clock() as clock:
        yield
    assert clock.spent <= seconds, f"took {clock.spent:.1f} s, expected at most {seconds:g} s"


@contextmanager
def idle_clock() -> Iterator[Deadline]:
    """Count in ``spent`` the seconds of an idle machine that the block takes."""
    clock, ended = Deadline(3600), threading.Event()

    def sample() -> None:
        while not clock.passed() and not ended.wait(0.1):
            pass

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield clock
    finally:
        ended.set()
        sampler.join()
        clock.passed()
