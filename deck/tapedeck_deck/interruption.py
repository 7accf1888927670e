"""Signals that end a program, also where a library turns the exception of their handler into one of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(*signals: signal.Signals) -> Iterator[None]:
    """Raise KeyboardInterrupt when one of the signals arrives, and at the end of the block instead of another error.

    A library that builds validators in Rust, or calls back from C, reports what a handler raises as an error of its
    own. An exit with code 0 stays one.
    """
    arrived = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal arrived
        arrived = True
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield
    except BaseException as error:
        if arrived and not (isinstance(error, SystemExit) and error.code in (0, None)):
            raise KeyboardInterrupt from error
        raise
