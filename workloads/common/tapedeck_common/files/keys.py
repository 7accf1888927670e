"""What orders the rows of one series and tells them apart."""

from __future__ import annotations

from typing import TypeAlias

from tapedeck_common.market import Bar, Trade

Key: TypeAlias = tuple[int, int, str]


def bar_key(bar: Bar) -> Key:
    """A bar's open."""
    return (bar.ts, 0, "")


def trade_key(trade: Trade) -> Key:
    """A trade's time, then its id; ids of digits go by their value."""
    return (trade.ts, len(trade.id), trade.id)


def shown(key: Key) -> str:
    """The key for a message."""
    ts, _, name = key
    return f"{ts} (id {name})" if name else str(ts)
