"""Methods that block, each with a form for asyncio: ``td.bars(…)`` and ``await td.bars.aio(…)``.

There is one implementation. The form for asyncio runs it in a thread, and ends its waits when the task is cancelled.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

Owner = TypeVar("Owner")
P = ParamSpec("P")
R = TypeVar("R")

THREADS = 64  # calls of one program that block at the same time; others wait for a thread
_threads = ThreadPoolExecutor(THREADS, "tapedeck")
_cancelled: contextvars.ContextVar[threading.Event | None] = contextvars.ContextVar("cancelled", default=None)


class CallCancelled(Exception):
    """The task that waited for this call was cancelled. It ends the call's thread and reaches nobody."""


def pause(seconds: float) -> None:
    """Sleep. Raises CallCancelled as soon as the task of a call by ``aio`` is cancelled."""
    event = _cancelled.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        raise CallCancelled


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of a function that blocks, which runs in a thread."""
    event = threading.Event()

    def call() -> R:
        _cancelled.set(event)
        return function(*args, **kwargs)

    context = contextvars.copy_context()
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, context.run, call)
    finally:
        event.set()


class BoundMethod(Generic[P, R]):
    """A method of an object: call it, or await its ``aio``."""

    def __init__(self, function: Callable[P, R], method: Callable[..., Any]) -> None:
        self._function = function
        self.__wrapped__ = method
        self.__doc__ = method.__doc__
        self.__name__ = method.__name__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for asyncio."""
        return await in_thread(self._function, *args, **kwargs)


class Blocking(Generic[Owner, P, R]):
    """Decorator of a method that blocks: it gets an ``aio``."""

    def __init__(self, function: Callable[Concatenate[Owner, P], R]) -> None:
        self._function = function
        self.__wrapped__ = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Owner]) -> Blocking[Owner, P, R]: ...

    @overload
    def __get__(self, instance: Owner, owner: type[Owner]) -> BoundMethod[P, R]: ...

    def __get__(self, instance: Owner | None, owner: type[Owner]) -> Blocking[Owner, P, R] | BoundMethod[P, R]:
        if instance is None:
            return self

        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            return self._function(instance, *args, **kwargs)

        return BoundMethod(bound, self._function)

    def __call__(self, instance: Owner, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(instance, *args, **kwargs)
