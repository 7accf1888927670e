"""Opening the channel that a client subscribes to. All of it runs in a thread: it asks the database and the broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tapedeck_common.market import Point, Ticker, Trade
from tapedeck_common.topics import MARKET_POINTS, MARKET_TICKERS, MARKET_TRADES
from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_gateway.charts.intervals import interval_length
from tapedeck_gateway.charts.symbols import ChartSymbol, parse_symbol
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.push.bar_channel import BarChannel
from tapedeck_gateway.push.bar_opening import BarOpening
from tapedeck_gateway.push.channel import Channel
from tapedeck_gateway.push.protocol.requests import (
    Subscribe,
    SubscribeBars,
    SubscribeEquity,
    SubscribeFills,
    SubscribePoints,
    SubscribeReplay,
    SubscribeRun,
    SubscribeTickers,
    SubscribeTrades,
)
from tapedeck_gateway.push.record_channels import (
    MarketPointChannel,
    MarketTradeChannel,
    ReplayPointChannel,
    ReplayTradeChannel,
    TickerChannel,
)
from tapedeck_gateway.push.replay_channel import ReplayChannel
from tapedeck_gateway.push.run_channel import RunChannel
from tapedeck_gateway.push.run_poller import RunPoller
from tapedeck_gateway.store import latest_records, points, runs
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.symbol_directory import SymbolDirectory
from tapedeck_gateway.topics.live_records import SERIES_RECORDS, RecordSeries, known_at
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader

_KINDS: dict[type, frozenset[str]] = {
    SubscribeBars: frozenset({"bars", "revise", "reset"}),
    SubscribeTrades: frozenset({"trades", "reset"}),
    SubscribeTickers: frozenset({"tickers", "reset"}),
    SubscribePoints: frozenset({"points", "reset"}),
    SubscribeRun: frozenset({"run", "reset"}),
    SubscribeFills: frozenset({"fills", "reset"}),
    SubscribeEquity: frozenset({"equity", "reset"}),
    SubscribeReplay: frozenset({"replay"}),
}


def kinds_of(request: Subscribe) -> frozenset[str]:
    """The types of messages that a subscription wants of its channel."""
    return _KINDS[type(request)]


@dataclass(frozen=True)
class ChannelSources:
    """What channels are made of."""

    pool: Pool
    reader: TopicReader
    replays: ReplayList
    symbols: SymbolDirectory

    def name_of(self, request: Subscribe) -> str:
        """The name of the channel: requests with one name share it. Raises InvalidInput, NotFound, Unavailable."""
        match request:
            case SubscribeBars(symbol=symbol, interval=interval):
                length = interval_length(interval)
                return f"bars {self._shown(symbol)} {length.interval}"
            case SubscribePoints(symbol=symbol, series=series):
                return f"points {self._new_or_known(symbol)}@{series}"
            case SubscribeTrades(symbol=symbol):
                return f"trades {self._new_or_known(symbol)}"
            case SubscribeTickers(symbol=symbol):
                return f"tickers {self._new_or_known(symbol)}"
            case SubscribeRun(run=run) | SubscribeFills(run=run) | SubscribeEquity(run=run):
                return f"run {run}"
            case SubscribeReplay(replay=replay):
                return f"replay {self._uid_of(replay)}"

    def open(self, request: Subscribe, name: str) -> Channel:
        """The channel of this name. Raises InvalidInput, NotFound, Unavailable."""
        limits = FutureLimits(self.replays, self.reader, request.future)
        match request:
            case SubscribeBars(symbol=symbol, interval=interval):
                opening = BarOpening(self.pool, self.reader, self.symbols.index.market)
                shown, length = self._shown(symbol), interval_length(interval)
                return BarChannel(name, opening.open(shown, length, limits), self.reader.on_pushed(shown, length))
            case SubscribeTrades(symbol=symbol):
                return self._trades(name, self._new_or_known(symbol), limits)
            case SubscribeTickers(symbol=symbol):
                return self._tickers(name, self._new_or_known(symbol), limits)
            case SubscribePoints(symbol=symbol, series=series):
                return self._points(name, self._new_or_known(symbol), series, limits)
            case SubscribeRun(run=run) | SubscribeFills(run=run) | SubscribeEquity(run=run):
                return self._run(name, run, limits)
            case SubscribeReplay(replay=replay):
                return ReplayChannel(name, self.reader.caught_up_replay(self._uid_of(replay)))

    def _uid_of(self, text: str) -> str:
        """The uid of the newest replay of a <namespace>/<name>; another text is a uid."""
        namespace, slash, name = text.partition("/")
        if not slash:
            return text
        for each in self.replays.last_known():
            if (each.namespace, each.name) == (namespace, name):
                return each.uid
        raise NotFound(f"replay: got {text[:80]!r}, expected <namespace>/<name> of one that has started, or a uid")

    def _shown(self, text: str) -> ChartSymbol:
        """The series that a chart shows, by the replay's uid: another may take its name while clients follow it."""
        return replace(self.symbols.resolve(text), replay_name="")

    def _series(self, text: str) -> ChartSymbol:
        symbol = self._shown(text)
        if symbol.series:
            raise InvalidInput(f"symbol: got {text[:80]!r}, expected one without @: the channel points has `series`")
        return symbol

    def _new_or_known(self, text: str) -> ChartSymbol:
        """The series, which may have no record yet if an exchange's symbol is written in full."""
        try:
            return self._series(text)
        except NotFound:
            written = parse_symbol(text)
            if written.replay is not None or not written.exchange or written.series:
                raise
            return ChartSymbol(written.exchange, written.symbol)

    def _trades(self, name: str, symbol: ChartSymbol, limits: FutureLimits) -> Channel:
        if symbol.replay:
            view = self.reader.caught_up_view(symbol)
            if not view.plays_trades:
                raise InvalidInput(f"symbol: got {str(symbol)!r}, expected one of a replay with channel: trades")
            return ReplayTradeChannel(name, view, symbol)
        series, pool = RecordSeries(MARKET_TRADES, symbol.exchange, symbol.symbol, future=limits.future), self.pool

        def stored(until: int) -> Sequence[Trade]:
            return latest_records.latest_trades(pool, symbol.exchange, symbol.symbol, until, SERIES_RECORDS)

        self.reader.start()
        return MarketTradeChannel(name, self.reader.records, series, limits, stored)

    def _tickers(self, name: str, symbol: ChartSymbol, limits: FutureLimits) -> Channel:
        if symbol.replay:
            raise InvalidInput(f"symbol: got {str(symbol)!r}, expected one of an exchange: replays play no tickers")
        series, pool = RecordSeries(MARKET_TICKERS, symbol.exchange, symbol.symbol, future=limits.future), self.pool

        def stored(until: int) -> Sequence[Ticker]:
            return latest_records.latest_tickers(pool, symbol.exchange, symbol.symbol, until, SERIES_RECORDS)

        self.reader.start()
        return TickerChannel(name, self.reader.records, series, limits, stored)

    def _points(self, name: str, symbol: ChartSymbol, transform: str, limits: FutureLimits) -> Channel:
        of_transform = ChartSymbol(symbol.exchange, symbol.symbol, symbol.replay, transform)
        if symbol.replay:
            view = self.reader.caught_up_view(symbol)
            return ReplayPointChannel(name, view, self.reader.caught_up_points(of_transform), of_transform)
        series, pool = RecordSeries(MARKET_POINTS, symbol.exchange, symbol.symbol, transform, limits.future), self.pool

        def stored(until: int) -> Sequence[Point]:
            return [
                point
                for interval in points.intervals_of(pool, of_transform)
                for point in latest_records.latest_points(
                    pool, symbol.exchange, symbol.symbol, transform, interval, until, SERIES_RECORDS
                )
                if known_at(point) <= until
            ]

        self.reader.start()
        return MarketPointChannel(name, self.reader.records, series, limits, stored)

    def _run(self, name: str, run_id: str, limits: FutureLimits) -> Channel:
        row = runs.run(self.pool, run_id)
        if row is None:
            raise NotFound(f"run: got {run_id[:80]!r}, expected the id of a stored run")
        return RunChannel(name, run_id, RunPoller(self.pool, row, limits))
