"""The deck's reconciler over a store, without controllers, processes, broker or database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tapedeck_deck.embedded.deadline import Deadline
from tapedeck_deck.embedded.objects import Change, Objects
from tapedeck_deck.embedded.store_api import StoreApi, routed_to
from tapedeck_deck.embedded.store_watch import StoreWatch
from tapedeck_operator.plan import Settings
from tapedeck_operator.reconcile.controller import Controller
from tapedeck_operator.reconcile.status_throttle import StatusThrottle


@asynccontextmanager
async def reconciling(
    objects: Objects, settings: Settings, *handlers: Callable[[Change], None]
) -> AsyncIterator[Controller]:
    """Reconcile the store's resources inside the context; ``handlers`` learn of every change, too."""
    throttle = StatusThrottle(object_seconds=0.01, total_per_second=1_000)
    controller = Controller(StoreApi(objects), settings, poll_seconds=0.05, throttle=throttle, workers=2)
    watch = StoreWatch(objects)
    for handler in (routed_to(controller.router), *handlers):
        watch.subscribe(handler)
    tasks = [asyncio.create_task(loop()) for loop in (watch.run, *controller.loops())]
    try:
        yield controller
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(check: Callable[[], Any], seconds: float = 20) -> Any:
    """The first true value of ``check``; ``seconds`` are those of an idle machine. Raises TimeoutError."""
    deadline = Deadline(seconds)
    while not (value := check()):
        if deadline.passed():
            raise TimeoutError(f"waited {seconds:g} s; last value: {value!r}")
        await asyncio.sleep(0.01)
    return value
