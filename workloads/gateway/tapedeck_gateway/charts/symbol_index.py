"""The index of all symbols, in memory: finds those that a text stands for, and those that contain one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tapedeck_crds.session import Session
from tapedeck_gateway.charts.instruments import InstrumentType, instrument_type
from tapedeck_gateway.charts.symbols import ChartSymbol, SymbolText, compact


@dataclass(frozen=True, slots=True)
class MarketSymbol:
    """A symbol of the store: the intervals of its bars, whether it has trades and tickers, and its transforms' names.

    ``price_step`` is the smallest change of its price, ``session`` when it trades; None where nobody said so.
    """

    exchange: str
    symbol: str
    intervals: tuple[str, ...] = ()
    has_trades: bool = False
    has_tickers: bool = False
    series: tuple[str, ...] = ()
    price_step: float | None = None
    session: Session | None = None

    @property
    def type(self) -> InstrumentType:
        """What the symbol is."""
        return instrument_type(self.symbol, self.session)

    @property
    def has_prices(self) -> bool:
        """Whether it can be shown as bars: of its own, or made of trades or tickers."""
        return bool(self.intervals or self.has_trades or self.has_tickers)


@dataclass(frozen=True, slots=True)
class ReplaySymbols:
    """The symbols that a replay plays. ``name`` is namespace/name, empty where a newer replay has taken it."""

    uid: str
    name: str
    exchange: str
    symbols: tuple[str, ...]
    series: tuple[str, ...] = ()

    def symbol(self, symbol: str, series: str = "") -> ChartSymbol:
        """One of its symbols, or the results of a transform of it."""
        return ChartSymbol(self.exchange, symbol, self.uid, series, self.name)

    def find(self, wanted: SymbolText) -> ChartSymbol | None:
        """The symbol that a text stands for."""
        if wanted.series and wanted.series not in self.series:
            return None
        spelled = [each for each in self.symbols if each == wanted.symbol]
        found = spelled or [each for each in self.symbols if compact(each) == compact(wanted.symbol)]
        return self.symbol(found[0], wanted.series) if found else None


class _Block:
    """Symbols of one exchange and type, and one text of all their names that is searched at the speed of str.find.

    Each has a line: its compact name, and its whole name in compact form.
    """

    def __init__(self, exchange: str, type_: InstrumentType, symbols: Sequence[ChartSymbol]) -> None:
        self.exchange = exchange
        self.type = type_
        self.symbols = symbols
        lines = [f"\n{compact(each.display_name)}\t{compact(str(each))}\n" for each in symbols]
        self._text = "".join(lines)
        self._starts: list[int] = []
        start = 0
        for line in lines:
            self._starts.append(start)
            start += len(line)

    def find(self, text: str) -> Iterator[ChartSymbol]:
        """The symbols whose line contains a text, in order."""
        at = 0
        while at < len(self._text) and (found := self._text.find(text, at)) >= 0:
            number = bisect_right(self._starts, found) - 1
            yield self.symbols[number]
            at = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._text)


@dataclass(frozen=True, slots=True)
class FoundSymbol:
    """A result of a search."""

    symbol: ChartSymbol
    type: InstrumentType


class SymbolIndex:
    """All symbols at one time. What has not changed since ``former`` is taken from there."""

    def __init__(
        self,
        markets: Sequence[MarketSymbol] = (),
        replays: Sequence[ReplaySymbols] = (),
        former: SymbolIndex | None = None,
    ) -> None:
        self.markets = markets
        known: dict[ReplaySymbols, list[_Block]] = {} if former is None else former._of_replays
        self._of_markets: _Markets = (
            former._of_markets if former is not None and former.markets == markets else _Markets(markets)
        )
        self._of_replays: dict[ReplaySymbols, list[_Block]] = {
            each: known.get(each) or _replay_blocks(each, self._of_markets) for each in replays
        }
        self._blocks = [*self._of_markets.blocks, *chain(*self._of_replays.values()), *self._of_markets.transforms]

    @property
    def exchanges(self) -> list[str]:
        """The exchanges of all symbols, sorted."""
        return sorted({block.exchange for block in self._blocks})

    @property
    def replays(self) -> list[ReplaySymbols]:
        """The replays, the newest first."""
        return list(self._of_replays)

    def market(self, exchange: str, symbol: str) -> MarketSymbol | None:
        """What the store has of a symbol."""
        return self._of_markets.by_key.get((exchange, symbol))

    def candidates(self, wanted: SymbolText) -> list[ChartSymbol]:
        """The symbols that a text may stand for: one of a replay, or some of the store, those spelled like it first."""
        if wanted.replay is not None:
            replay = self._replay(*wanted.replay)
            found = replay.find(wanted) if replay is not None else None
            return [] if found is None else [found]
        return self._of_markets.candidates(wanted)

    def _replay(self, first: str, second: str) -> ReplaySymbols | None:
        for replay in self._of_replays:
            if (replay.uid, replay.exchange) == (first, second) or replay.name == f"{first}/{second}":
                return replay
        return None

    def search(self, query: str, type_: str = "", exchange: str = "", limit: int = 50) -> list[FoundSymbol]:
        """The symbols whose name contains ``query`` in any spelling: the same, then those that begin with it."""
        text = compact(query)
        blocks = [block for block in self._blocks if type_ in ("", block.type) and exchange in ("", block.exchange)]
        found: dict[ChartSymbol, InstrumentType] = {}
        for pattern in (f"\n{text}\t", f"\t{text}\n", f"\n{text}", text) if text else ("\n",):
            for block in blocks:
                for symbol in block.find(pattern):
                    found.setdefault(symbol, block.type)
                    if len(found) >= limit:
                        return [FoundSymbol(*each) for each in found.items()]
        return [FoundSymbol(*each) for each in found.items()]


class _Markets:
    """The symbols of the store by key and by compact name, and as blocks."""

    def __init__(self, markets: Sequence[MarketSymbol]) -> None:
        self.by_key = {(each.exchange, each.symbol): each for each in markets}
        self.exchanges = {each.exchange.lower() for each in markets}
        self._by_name: dict[str, list[ChartSymbol]] = {}
        bars: dict[tuple[str, InstrumentType], list[ChartSymbol]] = {}
        transforms: dict[str, list[ChartSymbol]] = {}
        for each in markets:
            if each.has_prices:
                symbol = ChartSymbol(each.exchange, each.symbol)
                bars.setdefault((each.exchange, each.type), []).append(symbol)
                self._by_name.setdefault(compact(each.symbol), []).append(symbol)
            for series in each.series:
                symbol = ChartSymbol(each.exchange, each.symbol, "", series)
                transforms.setdefault(each.exchange, []).append(symbol)
                self._by_name.setdefault(compact(symbol.display_name), []).append(symbol)
        self.blocks = [_Block(exchange, type_, symbols) for (exchange, type_), symbols in sorted(bars.items())]
        self.transforms = [_Block(exchange, "transform", symbols) for exchange, symbols in sorted(transforms.items())]

    def candidates(self, wanted: SymbolText) -> list[ChartSymbol]:
        """The symbols that a text may stand for."""
        name = wanted.symbol
        if wanted.exchange and wanted.exchange not in self.exchanges:
            name = f"{wanted.exchange}:{name}"  # a colon of the symbol's own
        display = f"{name}@{wanted.series}" if wanted.series else name
        found = [
            each
            for each in self._by_name.get(compact(display), ())
            if name != wanted.symbol or wanted.exchange in ("", each.exchange.lower())
        ]
        return [each for each in found if each.symbol == name] or found


def _replay_blocks(replay: ReplaySymbols, markets: _Markets) -> list[_Block]:
    def type_of(symbol: str) -> InstrumentType:
        stored = markets.by_key.get((replay.exchange, symbol))
        return instrument_type(symbol, None) if stored is None else stored.type

    by_type: dict[InstrumentType, list[ChartSymbol]] = {}
    for symbol in replay.symbols:
        by_type.setdefault(type_of(symbol), []).append(replay.symbol(symbol))
    transforms: Iterable[ChartSymbol] = (
        replay.symbol(symbol, series) for symbol in replay.symbols for series in replay.series
    )
    blocks = [_Block(replay.exchange, type_, symbols) for type_, symbols in by_type.items()]
    return [*blocks, _Block(replay.exchange, "transform", list(transforms))]
