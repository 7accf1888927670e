"""Waits for what a deck does, which survive a gateway that is unreachable for a while."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from tapedeck.errors import GatewayUnavailable, WaitTimeout
from tapedeck.sync_async import pause

log = logging.getLogger("tapedeck")
T = TypeVar("T")
PATIENCE_SECONDS = 120.0


def until(condition: Callable[[], T | None], every: float, timeout: float | None, what: str) -> T:
    """The first result of ``condition`` that is not None, asked for ``every`` so many seconds.

    An unreachable gateway is survived for PATIENCE_SECONDS, and logged once. Raises WaitTimeout after ``timeout``
    seconds, and what ``condition`` raises.
    """
    began = time.monotonic()
    patience = Patience()
    while True:
        found = patience.survive(condition)
        if found is not None:
            return found
        waited = time.monotonic() - began
        if timeout is not None and waited >= timeout:
            raise WaitTimeout(f"{what}: not so after {timeout:g} s; it continues, wait again or allow more time")
        pause(every if timeout is None else max(min(every, timeout - waited), 0.01))


class Patience:
    """Lets a wait survive a gateway that is unreachable for a while."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def survive(self, call: Callable[[], T]) -> T | None:
        """What ``call`` returns; None while the gateway is unreachable. Raises GatewayUnavailable after a while."""
        try:
            found = call()
        except GatewayUnavailable as error:
            now = time.monotonic()
            if self._since is None:
                self._since = now
                log.warning("%s; waiting for up to %.0f s", error, self._seconds)
            if now - self._since > self._seconds:
                raise
            return None
        if self._since is not None:
            log.warning("the gateway answers again after %.0f s", time.monotonic() - self._since)
            self._since = None
        return found
