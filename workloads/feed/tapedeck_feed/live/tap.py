"""Where ccxt puts the trades it has read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ccxt.async_support.base.ws.cache import ArrayCache

Take = Callable[[dict[str, Any]], None]


class Tap(ArrayCache):  # type: ignore[misc]
    """Hands each trade on at once, in the order of the messages.

    ccxt's own cache wakes a waiting task instead, which sees what changed since it last looked: later, and
    less where many symbols share a task or more came than the cache holds.
    """

    def __init__(self, take: Take) -> None:
        super().__init__(1)
        self._take = take

    def append(self, item: dict[str, Any]) -> None:
        """What ccxt calls for each trade."""
        self._take(item)
