"""The client of one deck or cluster: market data, replays, backtests and sweeps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias, Unpack

from tapedeck import imports, market_data, resources
from tapedeck.answers import part_of
from tapedeck.discovery import TOKEN_VARIABLE, URL_VARIABLE, find_deck
from tapedeck.errors import BadRequest, DeckNotLocal
from tapedeck.imports import ImportOptions
from tapedeck.replays import ReplayHandle, replay_spec
from tapedeck.runs import RunHandle
from tapedeck.strategy_source import strategy_source
from tapedeck.sweeps import AxisLike, SweepHandle, is_minimized, sweep_spec
from tapedeck.sync_async import Blocking
from tapedeck.table import MarketTable
from tapedeck.times import SpanLike, TimeLike, to_iso
from tapedeck.transport import Transport

StrategyLike: TypeAlias = type | str
"""A backtrader.Strategy class, the name of a built-in strategy such as sma-cross, or module:Class of the image."""
DataLike: TypeAlias = str | Sequence[str] | ReplayHandle | Mapping[str, Any]
"""Symbols of the store such as coinbase:BTC/USD, a replay whose stream is traded, or ``spec.data`` of a Backtest."""
Symbols: TypeAlias = str | Sequence[str]
ParamValue: TypeAlias = bool | int | float | str


def connect(
    url: str | None = None, token: str | None = None, *, home: str | Path | None = None, verify: bool | str = True
) -> TapedeckClient:
    """A client of the deck on this machine, or of the gateway at ``url``.

    Without ``url`` it is that of TAPEDECK_URL, else the running deck in ``home``, in TAPEDECK_HOME, or in .tapedeck
    here or in a folder above. ``token`` must have the right to control for what changes something; that of TAPEDECK_URL
    is TAPEDECK_TOKEN by default, and a local deck's is found. ``verify`` is False, or the path of a file with a
    certificate authority.

    Raises DeckNotFound where no deck runs. A gateway that is unreachable shows at the first request.
    """
    if url is not None and home is not None:
        raise BadRequest("url: got it beside home, expected one of them")
    named = os.environ.get(URL_VARIABLE) if home is None else None
    if address := url or named:
        # The token of the environment is of its address: another one must not get it.
        known = token or (os.environ.get(TOKEN_VARIABLE) if address == named else None)
        return TapedeckClient(Transport(address, known, verify=verify))
    found = find_deck(home)
    return TapedeckClient(Transport(found.url, token or found.token, trust_environment=False), found.home)


class TapedeckClient:
    """A connection to a gateway. Threads may share it; ``close`` it, or use it in a ``with`` block.

    Every method has a form for asyncio: ``await td.bars.aio("coinbase:BTC/USD", "1h")``. Symbols are
    ``exchange:SYMBOL``, times ISO 8601, datetimes, dates or milliseconds UTC; ranges are ``start ≤ ts < end``. Methods
    raise the errors of ``tapedeck.errors``.
    """

    def __init__(self, transport: Transport, home: Path | None = None) -> None:
        self._transport = transport
        self.home = home
        """The folder of a deck on this machine; None for a gateway by its address."""

    @property
    def url(self) -> str:
        """The gateway's address, which is also that of the chart page."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> TapedeckClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TapedeckClient({self.url})"

    @Blocking
    def symbols(self, search: str | None = None, *, exchange: str | None = None, counts: bool = False) -> MarketTable:
        """The series of the store, a row each: symbol, name, exchange, interval, first, last.

        ``first`` and ``last`` are the opens of the first and the last bar. A symbol that has only trades or tickers
        has a row without an interval. ``counts`` adds ``bars``, their number, which takes a scan of the series.
        """
        return market_data.symbols(self._transport, search, exchange, counts=counts)

    @Blocking
    def bars(
        self,
        symbols: Symbols,
        interval: str = "1m",
        *,
        last: SpanLike | None = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
    ) -> MarketTable:
        """Bars: ts (open time), open, high, low, close (quote currency), volume (base currency).

        Where none of the interval itself are stored in the range, they are made of the finer ones that cover most of
        it, the longest of several. ``last="30d"`` are those of so long before the end of the series: the end of the
        newest bar that serves the interval, or a replay's position. Several symbols give one table with the column
        ``symbol``. A replay's symbol gives nothing beyond its position.
        """
        return market_data.bars(self._transport, symbols, interval, last, start, end)

    @Blocking
    def trades(self, symbols: Symbols, *, start: TimeLike | None = None, end: TimeLike | None = None) -> MarketTable:
        """Trades: ts, seq, id, price (quote currency), amount (base currency), side (buy, sell or unknown).

        ``seq`` orders the trades of one millisecond; ``id`` is the exchange's.
        """
        return market_data.rows(self._transport, "trades", symbols, start, end)

    @Blocking
    def points(
        self,
        symbols: Symbols,
        series: str,
        interval: str | None = None,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
    ) -> MarketTable:
        """Results of a transform: ts, id, value, open, high, low, volume.

        ``series`` is the transform's name, ``interval`` that of its results: by default the finest that it has, and
        empty for those of trades. ``ts`` is the open of a bar, or the time of the trade ``id``. A result that is a
        bar has its close in ``value``; of one that is a number, in the transform's unit, the other four are null.
        """
        query = {"series": series, "interval": interval}
        return market_data.rows(self._transport, "points", symbols, start, end, query)

    @Blocking
    def sql(self, query: str, *, limit: int = market_data.SQL_ROWS) -> MarketTable:
        """The rows of one SQL statement that reads, on the store's tables.

        It returns at most ``limit`` rows (50,000 at most), and what fits into 16 MiB of the gateway: some 26,000 rows
        of all columns of bars. A warning in the log ``tapedeck`` says where one of these has cut them.

        A timestamptz is a timestamp in UTC, a timestamp one without a zone, a date a date. A numeric is a text with
        all of its digits: cast it to float8 for a number. Arrays and documents are JSON texts, other types texts.

        It sees all that is stored, also what running replays have yet to play. The gateway limits its time. Raises
        BadRequest for what the database refuses, and NotAuthorized where the token has no right to control.
        """
        return market_data.sql(self._transport, query, limit)

    @Blocking
    def import_files(
        self, *paths: str | Path, dry_run: bool = False, **options: Unpack[ImportOptions]
    ) -> dict[str, Any]:
        """Import files of any layout, and wait until their rows are in the store; what they hold is recognized.

        Returns ``files`` (each with path, layout, kind, symbol, interval, rows, first, last), ``errors`` and
        ``skipped``. ``dry_run`` only looks at them. The options say what files do not (docs/guides/files.md). It works
        on the files of this machine: raises DeckNotLocal for a gateway by its address, CommandFailed for what
        `tapedeck import` refuses.
        """
        if not paths:
            raise BadRequest("paths: got none, expected at least one file or folder")
        return imports.import_files(self._local("import_files"), paths, options, dry_run=dry_run)

    @Blocking
    def fetch(
        self,
        exchange: str,
        symbols: Symbols,
        start: TimeLike,
        end: TimeLike | None = None,
        *,
        interval: str | Sequence[str] = "1m",
    ) -> dict[str, Any]:
        """Download an exchange's bars into the store; bars that are stored are not downloaded again.

        ``exchange`` is an id of ccxt, ``symbols`` its names or patterns such as */EUR. Returns bars, missing, errors
        and other counts. Raises DeckNotLocal for a gateway by its address, CommandFailed where the download fails.
        """
        home = self._local("fetch")
        return imports.fetch(home, exchange, _listed(symbols), start, end, _listed(interval))

    @Blocking
    def replay(
        self,
        symbols: Symbols,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        speed: float | str = 1.0,
        interval: str = "1m",
        paused: bool = False,
        loop: int | Literal["forever"] | None = None,
        hold: bool = False,
        name: str | None = None,
        namespace: str = "default",
    ) -> ReplayHandle:
        """Play a range of the store as if it were live, ``speed`` virtual seconds per second (or ``max``).

        The symbols are of one exchange. ``hold`` waits at the end for a seek. Returns at once; iterate over the replay
        for its bars. The resource is deleted a day after its end.
        """
        store = resources.store_range(_listed(symbols), interval, *_range(start, end))
        spec = replay_spec(store, speed, paused=paused, loop=loop, hold=hold)
        chosen = name or resources.new_name("replay")
        return ReplayHandle(self._transport, resources.create(self._transport, namespace, "Replay", chosen, spec))

    @Blocking
    def get_replay(self, name: str, namespace: str = "default") -> ReplayHandle:
        """A replay that exists. Raises UnknownName."""
        return ReplayHandle(self._transport, resources.read(self._transport, "replays", namespace, name))

    @Blocking
    def backtest(
        self,
        strategy: StrategyLike,
        data: DataLike,
        params: Mapping[str, ParamValue] | None = None,
        *,
        interval: str = "1m",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        broker: Mapping[str, Any] | None = None,
        sizer: Mapping[str, Any] | None = None,
        spec: Mapping[str, Any] | None = None,
        name: str | None = None,
        namespace: str = "default",
    ) -> RunHandle:
        """Run a strategy. Returns at once; the results of the run wait for its end.

        A class is sent as its source, with what it uses of the notebook: imports, functions, classes and plain values.
        ``data`` are symbols of the store with ``interval``, ``start`` and ``end``, or a replay. ``broker`` is
        ``spec.broker`` of a Backtest, such as {"cash": 10000, "commissionPercent": 0.1}, ``sizer`` is ``spec.sizer``,
        such as {"percent": 95}; ``spec`` has further fields. The resource is deleted a day after its end, its results
        are kept.

        Raises StrategySourceMissing where the source cannot be sent, BadRequest for a field that is refused.
        """
        document = self._backtest_spec(strategy, data, interval, start, end, namespace, broker, sizer, spec)
        document["strategy"]["params"] = dict(params or {})
        chosen = name or resources.new_name(_title(strategy))
        resources.create(self._transport, namespace, "Backtest", chosen, document)
        return RunHandle(self._transport, chosen, namespace)

    @Blocking
    def sweep(
        self,
        strategy: StrategyLike,
        data: DataLike,
        space: Mapping[str, AxisLike],
        *,
        objective: str = "return_percent",
        direction: Literal["maximize", "minimize"] = "maximize",
        trials: int | None = None,
        search: Literal["grid", "random", "tpe"] | None = None,
        pods: int = 1,
        params: Mapping[str, ParamValue] | None = None,
        interval: str = "1m",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        broker: Mapping[str, Any] | None = None,
        sizer: Mapping[str, Any] | None = None,
        spec: Mapping[str, Any] | None = None,
        name: str | None = None,
        namespace: str = "default",
    ) -> SweepHandle:
        """Try many values of a strategy's params. ``space`` has a list of values, or from, to and step, for each.

        Every combination is tried; with ``trials`` so many at random, or with ``search="tpe"`` by learning from
        earlier ones. ``objective`` is the metric that ranks trials, ``pods`` the number that work at the same time.
        The other arguments are those of ``backtest``.
        """
        document = self._backtest_spec(strategy, data, interval, start, end, namespace, broker, sizer, spec)
        document["strategy"]["params"] = dict(params or {})
        document["sweep"] = sweep_spec(space, objective, direction, trials, search, pods)
        chosen = name or resources.new_name(f"{_title(strategy)}-sweep")
        resources.create(self._transport, namespace, "Backtest", chosen, document)
        return SweepHandle(self._transport, chosen, namespace, minimize=direction == "minimize")

    @Blocking
    def runs(self, *, name: str | None = None, strategy: str | None = None) -> MarketTable:
        """The stored runs, the newest first: run_id, name, strategy, state, started_at and others."""
        entries = self._transport.pages("/runs", "runs", {"name": name, "strategy": strategy})
        plain = [
            {key: value for key, value in entry.items() if not isinstance(value, dict | list)} for entry in entries
        ]
        return MarketTable.from_rows(plain, "runs", ("started_at", "ended_at"))

    @Blocking
    def run(self, run_id: str) -> RunHandle:
        """A stored run; of a sweep a SweepHandle, which has its trials. Raises UnknownName."""
        path = f"/runs/{resources.quoted(run_id)}"
        found = self._transport.get(path)
        place = (part_of(found, "name"), part_of(found, "namespace"), part_of(found, "run_id"))
        if not found.get("trials"):
            return RunHandle(self._transport, *place, found)
        spec = part_of(self._transport.get(f"{path}/inputs"), "spec")
        return SweepHandle(self._transport, *place, found, minimize=is_minimized(spec))

    def _local(self, call: str) -> Path:
        if self.home is None:
            raise DeckNotLocal(
                f"{call}: got the gateway at {self.url}, expected a deck on this machine, whose files it reads: "
                "connect by home=…, or create a Feed there (docs/guides/feeds.md)"
            )
        return self.home

    def _backtest_spec(
        self,
        strategy: StrategyLike,
        data: DataLike,
        interval: str,
        start: TimeLike | None,
        end: TimeLike | None,
        namespace: str,
        broker: Mapping[str, Any] | None,
        sizer: Mapping[str, Any] | None,
        spec: Mapping[str, Any] | None,
    ) -> resources.Document:
        given = {"broker": broker, "sizer": sizer}
        return {
            "data": _data_spec(data, interval, start, end, namespace),
            "strategy": self._strategy_spec(strategy, namespace),
            "ttlSecondsAfterFinished": resources.KEPT_SECONDS,
            **{name: dict(value) for name, value in given.items() if value is not None},
            **(spec or {}),
        }

    def _strategy_spec(self, strategy: StrategyLike, namespace: str) -> resources.Document:
        """The strategy as a Backtest names it; a class's source is sent first."""
        if isinstance(strategy, str):
            return {"module": strategy} if ":" in strategy else {"builtin": strategy}
        if not isinstance(strategy, type):
            raise BadRequest(f"strategy: got {strategy!r}, expected a class, module:Class, or a name such as sma-cross")
        source = strategy_source(strategy)
        body = {"name": source.name, "source": source.text}
        made = self._transport.send("POST", f"/namespaces/{resources.quoted(namespace)}/strategies", body)
        module = str(part_of(made, "key")).removesuffix(".py")
        return {"module": f"{module}:{source.class_name}", "configMap": part_of(made, "name")}


def _data_spec(
    data: DataLike, interval: str, start: TimeLike | None, end: TimeLike | None, namespace: str
) -> resources.Document:
    if isinstance(data, ReplayHandle):
        if data.namespace != namespace:
            raise BadRequest(f"data: got a replay of namespace {data.namespace}, expected one of {namespace}")
        return {"replay": {"name": data.name}}
    if isinstance(data, Mapping):
        return dict(data)
    return {"store": resources.store_range(_listed(data), interval, *_range(start, end))}


def _range(start: TimeLike | None, end: TimeLike | None) -> tuple[str | None, str | None]:
    return None if start is None else to_iso(start, "start"), None if end is None else to_iso(end, "end")


def _listed(texts: Symbols) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


def _title(strategy: StrategyLike) -> str:
    return strategy.rpartition(":")[2] if isinstance(strategy, str) else strategy.__name__
