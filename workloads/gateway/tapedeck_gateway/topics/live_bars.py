"""The live market's last day of bars, for the series that somebody watches."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tapedeck_common.market import series_key
from tapedeck_common.wire import Received, decode_bar, origin_of
from tapedeck_gateway.charts.bar_columns import Candle, Series, coarser

BASE = "1m"
BASE_MS = 60_000
KEPT_BARS = 3_000  # two days: enough for a bar of one day and its predecessor


@dataclass
class _Watched:
    series: Series = field(default_factory=lambda: Series(KEPT_BARS))
    known: int = 0
    watchers: int = 0


class MarketView:
    """Bars of ``market.bars`` that no replay made, the unclosed one included."""

    def __init__(self) -> None:
        self._watched: dict[bytes, _Watched] = {}
        self._lock = threading.Lock()

    @property
    def watchers(self) -> int:
        """How many charts of the live market are open."""
        return sum(w.watchers for w in self._watched.values())

    def watch(self, exchange: str, symbol: str, seed: list[Candle]) -> None:
        """Keep a series from now on; ``seed`` is what the store has of its last days."""
        with self._lock:
            watched = self._watched.setdefault(series_key(exchange, symbol).encode(), _Watched())
            watched.watchers += 1
            for candle in seed:
                self._put(watched, candle, closed=True)

    def release(self, exchange: str, symbol: str) -> None:
        """One chart less; the last one's bars are forgotten."""
        key = series_key(exchange, symbol).encode()
        with self._lock:
            watched = self._watched[key]
            watched.watchers -= 1
            if not watched.watchers:
                del self._watched[key]

    def take(self, key: bytes | None, headers: Received, value: bytes) -> bool:
        """Apply a record; whether a watched series changed. Raises ValueError for a broken one."""
        watched = self._watched.get(key or b"")
        if watched is None or origin_of(headers).source == "replay":
            return False
        bar = decode_bar(value)
        if bar.interval != BASE:
            return False
        candle = Candle(bar.ts, bar.open, bar.high, bar.low, bar.close, bar.volume)
        with self._lock:
            return self._put(watched, candle, closed=bar.closed)

    @staticmethod
    def _put(watched: _Watched, candle: Candle, *, closed: bool) -> bool:
        if not closed and candle.ts < watched.known:
            return False  # late: the closed bar is there
        watched.series.put(candle.ts, (candle.open, candle.high, candle.low, candle.close, candle.volume))
        if closed:
            watched.known = max(watched.known, candle.ts + BASE_MS)
        return True

    def changed(self, exchange: str, symbol: str, width: int, since: int | None) -> tuple[int, list[Candle]]:
        """As ReplayView.changed; the live market never jumps."""
        with self._lock:
            watched = self._watched.get(series_key(exchange, symbol).encode())
            if watched is None:
                return 0, []
            end = watched.known + BASE_MS
            if since is None:
                last = watched.series.before(end)
                since = 0 if last is None else last - last % width
            return 0, coarser(watched.series.candles(since, end), width, watched.known)
