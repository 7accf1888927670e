"""The directory of symbols: an index of store and replays in memory, which answers at once and is kept fresh.

A request that finds it a little old starts a load and is answered from what there is; one that finds it older, or that
asks for a symbol which is not in it, waits for the load. Nothing is loaded while nobody asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from tapedeck_common.logs import log
from tapedeck_common.market import RECORDED_PREFIX
from tapedeck_crds.errors import NotFound, Unavailable
from tapedeck_gateway.charts.symbol_index import MarketSymbol, ReplaySymbols, SymbolIndex
from tapedeck_gateway.charts.symbols import ChartSymbol, SymbolText, parse_symbol
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.store.symbols import (
    Key,
    ListedSeries,
    listed_series,
    market_symbols,
    point_series,
    tick_series,
    traded_per_second,
)
from tapedeck_gateway.topics.replay_list import ReplayInfo, ReplayList

FRESH_SECONDS = 2.0
STALE_SECONDS = 10.0
MISSED_SECONDS = 0.5  # between two loads for symbols that are not there
SCAN_SECONDS = 30.0  # between two scans for series without bars
LOAD_SECONDS = 20.0
GLANCE_SECONDS = 1.0
VOLUME_SECONDS = 600.0
VOLUMES_MAX = 10_000

T = TypeVar("T")


class _StoredSeries(NamedTuple):
    """What the store has, as its queries return it: lists, which are compared in a millisecond."""

    listed: list[ListedSeries]
    trades: list[Key]
    tickers: list[Key]
    points: list[tuple[str, str, str]]


_NOTHING = _StoredSeries([], [], [], [])


class _Part(Generic[T]):
    """What one service said last. One load at a time; where the service does not answer, the former value stays."""

    def __init__(self, executor: Executor, load: Callable[[bool], T], on_change: Callable[[], None], empty: T) -> None:
        self._executor = executor
        self._load = load
        self._on_change = on_change
        self._lock = threading.Lock()
        self._loading: Future[None] | None = None
        self._missed: Future[None] | None = None  # the load for what was not there
        self._tried_at = self._missed_at = float("-inf")
        self._known = False
        self.value = empty
        self.error: Unavailable | None = None

    def keep_fresh(self, patience: float = LOAD_SECONDS) -> None:
        """Load if it is a little old; wait for it if it is older. Raises Unavailable where that takes too long."""
        age = time.monotonic() - self._tried_at
        if age > (FRESH_SECONDS if self.error is None else MISSED_SECONDS):
            loading = self._start()
            if age > STALE_SECONDS:
                _wait(loading, patience)

    def load_for_missing(self, begun_after: float) -> None:
        """Wait for a load of all of it that began after a monotonic time. Raises as ``keep_fresh``."""
        while True:
            with self._lock:
                if time.monotonic() - self._missed_at > MISSED_SECONDS:
                    self._missed_at = time.monotonic()
                    self._missed = self._loading = self._executor.submit(self._refresh, True)
                missed, began_at = self._missed, self._missed_at
            if missed is not None and began_at >= begun_after:
                return _wait(missed, LOAD_SECONDS)
            time.sleep(max(began_at + MISSED_SECONDS - time.monotonic(), 0.001))

    @property
    def unknown(self) -> Unavailable | None:
        """What the service's error was, where it has not answered yet."""
        return None if self._known else self.error

    def _start(self) -> Future[None]:
        with self._lock:
            if self._loading is None or self._loading.done():
                self._loading = self._executor.submit(self._refresh, False)
            return self._loading

    def _refresh(self, complete: bool) -> None:
        try:
            value = self._load(complete)
        except Unavailable as error:
            self.error = error
        except Exception:
            log.exception("the list of symbols was not loaded")
            raise
        else:
            changed = not self._known or value != self.value
            self.value, self.error, self._known = value, None, True
            if changed:
                self._on_change()
        self._tried_at = time.monotonic()


def _wait(loading: Future[None], patience: float) -> None:
    try:
        loading.result(patience)
    except TimeoutError:
        raise Unavailable(f"symbols: the list is not loaded after {patience:.0f} s; try again") from None


class SymbolDirectory:
    """Used by many threads at once."""

    def __init__(self, pool: Pool, replays: ReplayList) -> None:
        self._pool = pool
        self._replays = replays
        self._executor = ThreadPoolExecutor(2, "symbols")
        self._stored = _Part(self._executor, self._load_stored, self._rebuild, _NOTHING)
        self._played = _Part[list[ReplaySymbols]](self._executor, self._load_played, self._rebuild, [])
        self._scanned_at = float("-inf")
        self._markets: tuple[_StoredSeries, Sequence[MarketSymbol]] = (_NOTHING, [])
        self._rebuilding = threading.Lock()
        self._index = SymbolIndex()
        self._volumes: dict[ChartSymbol, tuple[float, float]] = {}

    @property
    def index(self) -> SymbolIndex:
        """All symbols; those of a service that is silent now stay, those of one that never answered are missing."""
        self._stored.keep_fresh()
        self._played.keep_fresh()
        return self._index

    def exchanges(self) -> list[str]:
        """The exchanges of all symbols, sorted; those that are known where a service does not answer at once."""
        for part in (self._stored, self._played):
            with suppress(Unavailable):
                part.keep_fresh(GLANCE_SECONDS)
        return self._index.exchanges

    @property
    def unknown(self) -> dict[str, Unavailable]:
        """The services that have not answered yet, with what to tell of them."""
        told = {"database": self._stored.unknown, "broker": self._played.unknown}
        return {service: error for service, error in told.items() if error is not None}

    def resolve(self, text: str) -> ChartSymbol:
        """The symbol that a client's text stands for; an ambiguous one is of the exchange with most volume.

        Raises InvalidInput for what no symbol can be, NotFound for one that is not there, Unavailable where the service
        that may know it has not answered yet.
        """
        wanted = parse_symbol(text)
        part: _Part[_StoredSeries] | _Part[list[ReplaySymbols]]
        part = self._stored if wanted.replay is None else self._played
        part.keep_fresh()
        found = self._index.candidates(wanted)
        if not found:
            # A replay is asked for as soon as it has started; any text may be asked for as a symbol of the store.
            part.load_for_missing(time.monotonic() - (MISSED_SECONDS if wanted.replay is None else 0.0))
            found = self._index.candidates(wanted)
        if not found:
            if part.unknown is not None:
                raise part.unknown
            raise NotFound(_unknown(text, wanted))
        return found[0] if len(found) == 1 else max(found, key=self._volume)

    def close(self) -> None:
        """Load no more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _volume(self, symbol: ChartSymbol) -> float:
        """How much of a symbol is traded, in its base currency; less than nothing where a replay records it."""
        if symbol.exchange.startswith(RECORDED_PREFIX):
            return -1.0
        known = self._volumes.get(symbol)
        if known is None or time.monotonic() - known[1] > VOLUME_SECONDS:
            if len(self._volumes) >= VOLUMES_MAX:
                self._volumes.clear()
            known = self._volumes[symbol] = (traded_per_second(self._pool, symbol), time.monotonic())
        return known[0]

    def _load_stored(self, complete: bool) -> _StoredSeries:
        listed = listed_series(self._pool)
        if not complete and time.monotonic() - self._scanned_at < SCAN_SECONDS:
            return self._stored.value._replace(listed=listed)
        trades, tickers = tick_series(self._pool, "trades"), tick_series(self._pool, "tickers")
        points = point_series(self._pool)
        self._scanned_at = time.monotonic()
        return _StoredSeries(listed, trades, tickers, points)

    def _load_played(self, complete: bool) -> list[ReplaySymbols]:
        return replay_symbols(self._replays.load(fresh=complete))

    def _rebuild(self) -> None:
        """Build the index of what the parts have. Called by the thread that loaded one of them."""
        with self._rebuilding:
            stored = self._stored.value
            if stored != self._markets[0]:
                self._markets = (stored, market_symbols(*stored))
            self._index = SymbolIndex(self._markets[1], self._played.value, self._index)


def _unknown(text: str, wanted: SymbolText) -> str:
    if wanted.replay is None:
        return f"symbol: got {text[:80]!r}, expected one that /search finds"
    return f"symbol: got {text[:80]!r}, expected the name or the uid of a replay that has started, and a symbol of it"


def replay_symbols(replays: Sequence[ReplayInfo]) -> list[ReplaySymbols]:
    """What replays play. ``replays`` are the newest first: of several with one name the newest has it."""
    taken: set[str] = set()
    found = []
    for each in replays:
        name = f"{each.namespace}/{each.name}"
        found.append(
            ReplaySymbols(
                each.uid,
                "" if name in taken else name,
                each.exchange,
                tuple(each.symbols),
                tuple(each.transforms),
            )
        )
        taken.add(name)
    return found
