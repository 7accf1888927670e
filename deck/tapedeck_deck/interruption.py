"""Signals that end a program, also where a library turns the exception of their handler into one of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_SECONDS = 0.02


class Interruption(KeyboardInterrupt):
    """Ctrl-C, or another signal that ends the program.

    A class of its own: a process in which a plain KeyboardInterrupt has left code that is executed from text, as the
    methods of dataclasses are, ends by SIGINT, even if it catches the exception and exits with 0.
    """


@contextmanager
def _redelivered(number: signal.Signals) -> Iterator[None]:
    """Send a signal again whose exception was raised where Python ignores exceptions.

    That is in finalizers and in callbacks of weak references, such as those of the import system.
    """
    before = sys.unraisablehook
    timers: list[threading.Timer] = []

    def report(lost: sys.UnraisableHookArgs) -> None:
        if issubclass(lost.exc_type, KeyboardInterrupt):
            again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
            again.daemon = True
            timers.append(again)
            again.start()
        else:
            before(lost)

    sys.unraisablehook = report
    try:
        yield
    finally:
        sys.unraisablehook = before
        for again in timers:  # a program that ends already must not be interrupted while it does
            again.cancel()


@contextmanager
def interruptible(*signals: signal.Signals) -> Iterator[None]:
    """Raise Interruption when one of the signals arrives, and at the end of the block instead of another error.

    Where Python ignores the exception, the first of the signals is sent again.

    A library that builds validators in Rust, or calls back from C, reports what a handler raises as an error of its
    own. An exit with code 0 stays one.
    """
    arrived = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal arrived
        arrived = True
        raise Interruption

    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        with _redelivered(signals[0]):
            yield
    except BaseException as error:
        if arrived and not (isinstance(error, SystemExit) and error.code in (0, None)):
            raise Interruption from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
