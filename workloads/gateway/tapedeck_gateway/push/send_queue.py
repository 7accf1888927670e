"""Messages that wait to be sent to one WebSocket: bounded, and deduplicated where only the latest state counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from tapedeck_crds.json import Json
from tapedeck_gateway.charts.bar_columns import Candle

MAX_BARS = 20_000
MAX_MESSAGES = 200
MESSAGE_BARS = 5_000

_encode = msgspec.json.Encoder().encode
SubscriptionKey: TypeAlias = tuple[str, str]
"""Symbol and resolution, as the client wrote them."""


class SendQueue:
    """A slow client gets each bar once, in its latest state. ``overflowed`` is set if it is too slow even for that."""

    def __init__(self) -> None:
        self._bars: dict[SubscriptionKey, dict[int, Candle]] = {}
        self._resets: set[SubscriptionKey] = set()
        self._states: dict[str, Json] = {}
        self._messages: list[Json] = []
        self._bar_count = 0
        self._not_empty = asyncio.Event()
        self.overflowed = False

    def add_bars(self, key: SubscriptionKey, candles: Sequence[Candle]) -> None:
        """Queue bars of a subscription; a later state of a bar replaces an earlier one."""
        queued = self._bars.setdefault(key, {})
        before = len(queued)
        queued.update((candle.ts, candle) for candle in candles)
        self._bar_count += len(queued) - before
        self._check_limits()

    def add_reset(self, key: SubscriptionKey) -> None:
        """Tell the client that the bars of a subscription are no longer valid."""
        self.discard(key)
        self._resets.add(key)
        self._not_empty.set()

    def discard(self, key: SubscriptionKey) -> None:
        """Drop what is queued for a subscription."""
        self._bar_count -= len(self._bars.pop(key, {}))
        self._resets.discard(key)

    def set_state(self, name: str, message: Json) -> None:
        """Queue a message that replaces an unsent one of the same name."""
        self._states[name] = message
        self._not_empty.set()

    def add_message(self, message: Json) -> None:
        """Queue a message that must be sent in any case."""
        self._messages.append(message)
        self._check_limits()

    def _check_limits(self) -> None:
        self.overflowed = self._bar_count > MAX_BARS or len(self._messages) > MAX_MESSAGES
        self._not_empty.set()

    async def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; returns whether something is queued."""
        try:
            async with asyncio.timeout(seconds):
                await self._not_empty.wait()
        except TimeoutError:
            return False
        return True

    def drain(self) -> list[bytes]:
        """Remove everything, encoded: resets, messages, bars in order of time, then states."""
        self._not_empty.clear()
        ready: list[Json] = [
            {"type": "reset", "symbol": symbol, "resolution": resolution, "run": ""}
            for symbol, resolution in sorted(self._resets)
        ]
        ready.extend(self._messages)  # the acknowledgement of a subscription comes before its bars
        for (symbol, resolution), queued in self._bars.items():
            ordered = [queued[ts] for ts in sorted(queued)]
            ready.extend(
                {"type": "bars", "symbol": symbol, "resolution": resolution, "bars": ordered[i : i + MESSAGE_BARS]}
                for i in range(0, len(ordered), MESSAGE_BARS)
            )
        ready.extend(self._states.values())
        self._bars, self._states, self._messages, self._bar_count = {}, {}, [], 0
        self._resets.clear()
        return [_encode(message) for message in ready]
