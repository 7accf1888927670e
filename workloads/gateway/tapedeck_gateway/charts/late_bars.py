"""Bars that changed behind newer ones: late ones and corrections, which clients must be told of."""

from __future__ import annotations

from collections import deque

KEPT = 1_000


class LateBars:
    """The opens of late bars of one series, numbered from 1; the latest KEPT are known."""

    def __init__(self) -> None:
        self.number = 0
        self._opens: deque[int] = deque(maxlen=KEPT)

    def note(self, opened: int) -> None:
        """A bar that opens at ``opened`` has changed, and newer bars exist."""
        self.number += 1
        self._opens.append(opened)

    def after(self, number: int) -> list[int] | None:
        """The opens that were noted after this number; None where some of them are no longer known."""
        count = self.number - number
        if count > len(self._opens):
            return None
        return list(self._opens)[-count:] if count else []
