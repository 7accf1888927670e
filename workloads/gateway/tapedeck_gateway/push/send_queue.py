"""What waits to be sent to one socket: bounded, and the newest of each thing alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from tapedeck_gateway.charts.bar_columns import Candle

MAX_BARS = 20_000
MAX_MESSAGES = 200
MESSAGE_BARS = 5_000

_encode = msgspec.json.Encoder().encode
Key = tuple[str, str]


class Outbox:
    """A slow reader gets each bar once, in its latest state; one that is too slow even for that is ``overfull``."""

    def __init__(self) -> None:
        self._bars: dict[Key, dict[int, Candle]] = {}
        self._resets: set[Key] = set()
        self._latest: dict[str, dict[str, Any]] = {}
        self._messages: list[dict[str, Any]] = []
        self._waiting = 0
        self._something = asyncio.Event()
        self.overfull = False

    def bars(self, key: Key, candles: Sequence[Candle]) -> None:
        """Bars of a subscription (symbol, resolution); a later state of a bar replaces an earlier one."""
        waiting = self._bars.setdefault(key, {})
        before = len(waiting)
        waiting.update((candle.ts, candle) for candle in candles)
        self._waiting += len(waiting) - before
        self._check()

    def reset(self, key: Key) -> None:
        """What was sent of a subscription no longer holds."""
        self.forget(key)
        self._resets.add(key)
        self._something.set()

    def forget(self, key: Key) -> None:
        """Send no more of what waits for a subscription."""
        self._waiting -= len(self._bars.pop(key, {}))
        self._resets.discard(key)

    def latest(self, about: str, message: dict[str, Any]) -> None:
        """A state of which only the newest counts."""
        self._latest[about] = message
        self._something.set()

    def message(self, message: dict[str, Any]) -> None:
        """Something of which every one counts."""
        self._messages.append(message)
        self._check()

    def _check(self) -> None:
        self.overfull = self._waiting > MAX_BARS or len(self._messages) > MAX_MESSAGES
        self._something.set()

    async def wait(self, seconds: float) -> bool:
        """Whether something came within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._something.wait()
        except TimeoutError:
            return False
        return True

    def drain(self) -> list[bytes]:
        """All that waits, as messages: resets and acknowledgements before bars, bars in order of time."""
        self._something.clear()
        ready: list[dict[str, Any]] = [
            {"type": "reset", "symbol": symbol, "resolution": resolution} for symbol, resolution in sorted(self._resets)
        ]
        ready.extend(self._messages)  # an acknowledgement before the bars that it announces
        for (symbol, resolution), waiting in self._bars.items():
            ordered = [waiting[ts] for ts in sorted(waiting)]
            ready.extend(
                {"type": "bars", "symbol": symbol, "resolution": resolution, "bars": ordered[i : i + MESSAGE_BARS]}
                for i in range(0, len(ordered), MESSAGE_BARS)
            )
        ready.extend(self._latest.values())
        self._bars, self._latest, self._messages, self._waiting = {}, {}, [], 0
        self._resets.clear()
        return [_encode(message) for message in ready]
