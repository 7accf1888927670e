"""The index of symbols: every spelling of a symbol finds it, in a search and by itself."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from by_hand.symbols import EXCHANGES_TEXT
from tapedeck_crds.errors import InvalidInput, NotFound, Unavailable
from tapedeck_crds.session import Session, Weekday
from tapedeck_gateway import symbol_directory
from tapedeck_gateway.charts.instruments import format_of_prices, format_of_step, instrument_type, udf_session
from tapedeck_gateway.charts.symbol_index import MarketSymbol, ReplaySymbols, SymbolIndex
from tapedeck_gateway.charts.symbols import ChartSymbol, SymbolText, parse_symbol
from tapedeck_gateway.store.symbols import ListedSeries, market_symbols
from tapedeck_gateway.symbol_directory import SymbolDirectory, replay_symbols
from tapedeck_gateway.topics.replay_list import ReplayInfo
from waits import within

UID, OLD_UID = "0b5f0000-0000-4000-8000-00000000000a", "0b5f0000-0000-4000-8000-00000000000b"
WORKDAYS: list[Weekday] = ["Mon", "Tue", "Wed", "Thu", "Fri"]
NEW_YORK = Session(timezone="America/New_York", open="09:30", close="16:00", days=WORKDAYS)
CHICAGO = Session(timezone="America/Chicago", open="17:00", close="16:00", days=WORKDAYS)


def market(exchange: str, symbol: str, **more: Any) -> MarketSymbol:
    return MarketSymbol(exchange, symbol, ("1m",), **more)


def replay(uid: str = UID, name: str = "default/tape", symbols: tuple[str, ...] = ("BTC/USD",)) -> ReplaySymbols:
    return ReplaySymbols(uid, name, "coinbase", symbols, ("sma5",))


INDEX = SymbolIndex(
    [
        market("binance", "BTC/USDT:USDT"),
        market("coinbase", "BTC/USD", series=("sma5",)),
        market("coinbase", "ETH/USD"),
        MarketSymbol("files", "DOGE/USD", (), has_trades=True),
        MarketSymbol("files", "SHIB/USD", (), has_tickers=True),
        MarketSymbol("files", "NONE/USD"),
        market("kraken", "BTC/USD"),
        market("nyse", "AAPL", session=NEW_YORK),
    ],
    [replay(), replay(OLD_UID, "")],
)


def found(text: str) -> list[str]:
    return [str(each) for each in INDEX.candidates(parse_symbol(text))]


@pytest.mark.parametrize("text", ["COINBASE:BTCUSD", "coinbase:BTC/USD", "coinbase:btc-usd", "Coinbase:BTC_USD"])
def test_every_spelling_of_an_exchanges_symbol_is_the_same(text: str) -> None:
    assert found(text) == ["coinbase:BTC/USD"]


@pytest.mark.parametrize("text", ["BTCUSD", "BTC-USD", "BTC/USD", "btc/usd"])
def test_a_symbol_without_an_exchange_may_be_of_each(text: str) -> None:
    assert found(text) == ["coinbase:BTC/USD", "kraken:BTC/USD"]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTCUSDT:USDT", "binance:BTC/USDT:USDT"),
        ("binance:BTC/USDT:USDT", "binance:BTC/USDT:USDT"),
        ("AAPL", "nyse:AAPL"),
        ("dogeusd", "files:DOGE/USD"),
        ("files:SHIB/USD", "files:SHIB/USD"),
        ("BTCUSD@SMA5", "coinbase:BTC/USD@sma5"),
        ("replay/default/tape:BTC/USD", "replay/default/tape:BTC/USD"),
        ("REPLAY/DEFAULT/TAPE:BTCUSD", "replay/default/tape:BTC/USD"),
        ("replay/default/tape:BTC/USD@sma5", "replay/default/tape:BTC/USD@sma5"),
        (f"replay/{UID}/coinbase:BTC/USD", "replay/default/tape:BTC/USD"),
        (f"replay/{OLD_UID}/coinbase:BTC-USD", f"replay/{OLD_UID}/coinbase:BTC/USD"),
    ],
)
def test_a_text_stands_for_one_symbol(text: str, symbol: str) -> None:
    assert found(text) == [symbol]


@pytest.mark.parametrize(
    "text",
    [
        "nonsense", "BTC/USD@sma6", "kraken:ETH/USD", "files:NONE/USD", "replay/default/tape:ETH/USD", "replay//a:b",
        "replay/default/reel:BTC/USD", f"replay/{UID}/kraken:BTC/USD", "replay/default/tape:BTC/USD@sma6", "a:b:c",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("text", ["", "a b", "a:" + "b" * 65, "BTC/USD@", "a:B@1", "x\n", "a*"])
def test_what_no_symbol_can_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="symbol: got"):
        parse_symbol(text)


@pytest.mark.parametrize("symbol", EXCHANGES_TEXT)
def test_any_symbol_of_an_exchange_resolves_as_it_is_written(symbol: str) -> None:
    index = SymbolIndex([market("x", each) for each in EXCHANGES_TEXT])
    assert [str(each) for each in index.candidates(parse_symbol(f"x:{symbol}"))] == [f"x:{symbol}"]
    assert f"x:{symbol}" in [str(each.symbol) for each in index.search(symbol)]


def test_a_spelling_of_its_own_outranks_others() -> None:
    index = SymbolIndex([market("a", "BTC-USD"), market("b", "BTC/USD")])
    assert [str(each) for each in index.candidates(SymbolText("BTC-USD"))] == ["a:BTC-USD"]
    assert [str(each) for each in index.candidates(SymbolText("BTCUSD"))] == ["a:BTC-USD", "b:BTC/USD"]


def test_a_search_finds_symbols_by_each_spelling_replays_and_transforms() -> None:
    def searched(*query: Any) -> list[str]:
        return [str(each.symbol) for each in INDEX.search(*query)]

    bitcoin = [
        "coinbase:BTC/USD", "kraken:BTC/USD", "replay/default/tape:BTC/USD", f"replay/{OLD_UID}/coinbase:BTC/USD",
        "binance:BTC/USDT:USDT", "replay/default/tape:BTC/USD@sma5", f"replay/{OLD_UID}/coinbase:BTC/USD@sma5",
        "coinbase:BTC/USD@sma5",
    ]  # fmt: skip
    for text in ("BTCUSD", "btc-usd", "BTC/USD"):
        assert searched(text) == bitcoin  # the same first, then those that begin with it
    assert searched("COINBASE:BTCUSD")[0] == "coinbase:BTC/USD"
    assert searched("tape") == ["replay/default/tape:BTC/USD", "replay/default/tape:BTC/USD@sma5"]
    assert searched("@sma5") == bitcoin[-3:]
    assert searched("usd", "crypto", "files") == ["files:DOGE/USD", "files:SHIB/USD"]
    assert searched("", "stock") == ["nyse:AAPL"]
    assert searched("", "", "", 2) == ["binance:BTC/USDT:USDT", "coinbase:BTC/USD"]
    assert searched("nothing") == []
    assert INDEX.exchanges == ["binance", "coinbase", "files", "kraken", "nyse"]


def test_what_has_not_changed_is_taken_from_the_former_index() -> None:
    again = SymbolIndex([*INDEX.markets, market("x", "NEW")], [*INDEX.replays, replay("3", "default/reel")], INDEX)
    assert [str(each.symbol) for each in again.search("new")] == ["x:NEW"]
    assert str(again.candidates(parse_symbol("replay/default/reel:BTCUSD"))[0]) == "replay/default/reel:BTC/USD"
    assert [str(each.symbol) for each in SymbolIndex(INDEX.markets, [], again).search("tape")] == []


@pytest.mark.parametrize(
    ("symbol", "session", "kind"),
    [
        ("BTC/USD", None, "crypto"), ("BTCUSDT", None, "crypto"), ("BTC-USD", None, "crypto"),
        ("BTC/USDT:USDT", None, "futures"), ("ES=F", None, "futures"), ("ESZ24", None, "futures"),
        ("ES", CHICAGO, "futures"), ("EUR/USD", None, "forex"), ("EURUSD", None, "forex"), ("USDJPY=X", None, "forex"),
        ("^GSPC", None, "index"), (".BXBT", None, "index"), ("AAPL", None, "stock"), ("BRK-B", NEW_YORK, "stock"),
        ("A", NEW_YORK, "stock"), ("USD", NEW_YORK, "stock"),
    ],
)  # fmt: skip
def test_instruments(symbol: str, session: Session | None, kind: str) -> None:
    assert instrument_type(symbol, session) == kind


def test_sessions_as_udf_has_them() -> None:
    assert udf_session(NEW_YORK) == "0930-1600:23456"
    assert udf_session(CHICAGO) == "1700-1600:23456"
    assert udf_session(Session()) == "24x7"
    assert udf_session(Session(days=["Sun", "Sat"])) == "0000-0000:17"


def test_price_formats() -> None:
    assert [tuple(format_of_step(step)) for step in (0.01, 0.05, 1e-8, 1.0, 0.5, 25.0, 100.0)] == [
        (1, 100, 0), (5, 100, 0), (1, 10**8, 0), (1, 1, 0), (5, 10, 0), (25, 1, 0), (100, 1, 0)
    ]  # fmt: skip
    quarters = [4_000 + n * 0.25 for n in range(200)]
    assert tuple(format_of_prices(quarters, "futures")) == (25, 100, 0)
    assert tuple(format_of_prices(quarters, "stock")) == (1, 100, 0)
    assert tuple(format_of_prices([1.08512, 1.1], "forex")) == (1, 100_000, 10)
    assert tuple(format_of_prices([151.2, 151.25], "forex")) == (1, 1_000, 10)
    assert tuple(format_of_prices([0.00001234], "crypto")) == (1, 10**8, 0)
    assert tuple(format_of_prices([], "stock")) == (1, 100, 0)


def test_the_newest_of_several_replays_has_their_name() -> None:
    def info(uid: str, name: str) -> ReplayInfo:
        return ReplayInfo(uid, name, "default", "x", ["A"], "1m", 0, 0, 0, 0, None, "0.0", 0, False, "", [])

    names = [each.name for each in replay_symbols([info("3", "tape"), info("2", "reel"), info("1", "tape")])]
    assert names == ["default/tape", "default/reel", ""]


class Store:
    """The queries of the store, counted; ``listed`` is what they find."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: list[ListedSeries] = []
        self.volumes: dict[str, float] = {}
        self.error: Unavailable | None = None
        self.loads = 0
        self.seconds = 0.0
        monkeypatch.setattr(symbol_directory, "listed_series", lambda _pool: self.load())
        monkeypatch.setattr(symbol_directory, "tick_series", lambda *_: [])
        monkeypatch.setattr(symbol_directory, "point_series", lambda _pool: [])
        monkeypatch.setattr(symbol_directory, "traded_per_second", lambda _pool, each: self.volumes[each.exchange])

    def load(self) -> list[ListedSeries]:
        self.loads += 1
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return list(self.listed)


class Replays:
    error: Unavailable | None = None

    def load(self, *, fresh: bool = False) -> list[ReplayInfo]:
        if self.error is not None:
            raise self.error
        return []


def directory(monkeypatch: pytest.MonkeyPatch) -> tuple[SymbolDirectory, Store, Any]:
    store, replays = Store(monkeypatch), Replays()
    found: Any = replays
    missing: Any = None
    return SymbolDirectory(missing, found), store, replays


def test_an_ambiguous_symbol_is_of_the_exchange_with_most_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, store, _ = directory(monkeypatch)
    store.listed = [ListedSeries(each, "BTC/USD", ["1m"], None, None) for each in ("a", "b", "c", "replay.tape")]
    store.volumes = {"a": 1.0, "b": 5.0, "c": 2.0}
    assert symbols.resolve("BTCUSD") == ChartSymbol("b", "BTC/USD")
    assert symbols.resolve("c:BTCUSD") == ChartSymbol("c", "BTC/USD")
    symbols.close()


def test_a_new_symbol_is_found_at_once_and_an_unknown_one_costs_few_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, store, _ = directory(monkeypatch)
    with pytest.raises(NotFound, match=r"^symbol: got 'a:NEW', expected one that /search finds"):
        symbols.resolve("a:NEW")
    time.sleep(symbol_directory.MISSED_SECONDS)
    store.listed = [ListedSeries("a", "NEW", ["1m"], None, None)]
    assert symbols.resolve("new") == ChartSymbol("a", "NEW")
    before, began = store.loads, time.monotonic()
    for n in range(100):
        with pytest.raises(NotFound):
            symbols.resolve(f"a:NONE{n}")
    assert store.loads - before <= 3 + (time.monotonic() - began) / symbol_directory.MISSED_SECONDS
    symbols.close()


def test_requests_for_a_new_symbol_wait_for_one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, store, _ = directory(monkeypatch)
    store.seconds = 0.3
    with pytest.raises(NotFound):
        symbols.resolve("a:NONE")
    time.sleep(symbol_directory.MISSED_SECONDS)
    store.listed = [ListedSeries("a", "NEW", ["1m"], None, None)]
    before = store.loads
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: symbols.resolve("a:NEW"), range(8)))
    assert found == [ChartSymbol("a", "NEW")] * 8
    assert store.loads - before <= 2
    symbols.close()


def test_a_service_that_is_silent_takes_nothing_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, store, replays = directory(monkeypatch)
    store.error = Unavailable("the database does not answer; try again")
    with pytest.raises(Unavailable, match="the database does not answer"):
        symbols.resolve("BTCUSD")
    with pytest.raises(NotFound):
        symbols.resolve("replay/default/tape:BTC/USD")
    assert list(symbols.unknown) == ["database"]
    store.error, replays.error = None, Unavailable("the broker does not answer; try again")
    store.listed = [ListedSeries("a", "NEW", ["1m"], None, None)]
    time.sleep(symbol_directory.MISSED_SECONDS)
    assert symbols.resolve("new") == ChartSymbol("a", "NEW")
    store.error = Unavailable("the database does not answer; try again")
    with pytest.raises(NotFound):
        symbols.resolve("other")
    assert symbols.resolve("new") == ChartSymbol("a", "NEW")  # what is known stays
    symbols.close()


def test_a_search_does_not_wait_for_a_slow_database(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, store, _ = directory(monkeypatch)
    store.listed = [ListedSeries("a", "NEW", ["1m"], None, None)]
    assert len(symbols.index.search("")) == 1
    released = threading.Event()
    monkeypatch.setattr(symbol_directory, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(symbol_directory, "listed_series", lambda _pool: [released.wait(600)] and store.listed)
    try:
        with within(30):
            assert len(symbols.index.search("")) == 1
    finally:
        released.set()
    symbols.close()


def test_what_the_store_has_is_put_together() -> None:
    listed = [
        ListedSeries("a", "X", ["1d", "1m"], 0.01, ("America/New_York", "09:30", "16:00", list(WORKDAYS))),
        ListedSeries("a", "Y", [], None, None),
    ]
    found = market_symbols(
        listed, [("a", "Z")], [("a", "X")], [("a", "X", "sma"), ("b", "P", "ema"), ("a", "X", "ema")]
    )
    assert found == [
        MarketSymbol("a", "X", ("1d", "1m"), False, True, ("ema", "sma"), 0.01, NEW_YORK),
        MarketSymbol("a", "Y"),
        MarketSymbol("a", "Z", (), True),
        MarketSymbol("b", "P", (), False, False, ("ema",)),
    ]
