"""The fields of a row of market data, and the names under which files have them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["bars", "trades"]
Field: TypeAlias = Literal[
    "ts", "open", "high", "low", "close", "volume", "id", "price", "amount", "side", "maker", "symbol", "interval"
]
"""``maker`` is whether the buyer was the maker: the taker's side, said the other way round."""
PRICES: tuple[Field, ...] = ("open", "high", "low", "close")

# In order of preference: of several columns, the first name in this list is taken.
NAMES: dict[Field, tuple[str, ...]] = {
    "ts": (
        *(
            "ts",
            "opentime",
            "opentimestamp",
            "starttime",
            "timestampstart",
            "timeperiodstart",
            "windowstart",
            "tsevent",
        ),
        *("unix", "unixtimestamp", "timestamp", "time", "datetime", "dateutc", "dateopen", "date", "transacttime"),
        *("gmttime", "utctime", "utc", "localtime", "begin", "bucket", "epoch", "mts", "createdtime", "t", "index", ""),
        *("participanttimestamp", "siptimestamp"),
    ),
    "open": ("open", "openprice", "priceopen", "o", "first", "op"),
    "high": ("high", "highprice", "pricehigh", "h", "max", "hi"),
    "low": ("low", "lowprice", "pricelow", "l", "min", "lo"),
    "close": ("close", "closeprice", "priceclose", "c", "last", "closelast", "cl", "price", "settle"),
    "volume": (
        *("volume", "vol", "volumetraded", "basevolume", "volumebase", "v", "quantity", "qty", "amount", "size"),
        *("tickvol", "tickvolume", "volumecoin", "volumebtc"),
    ),
    "id": (
        *("id", "tradeid", "aggtradeid", "aggregatetradeid", "trdmatchid", "tid", "execid", "matchid", "sequence"),
        *("trade", "tranid", "a"),
    ),
    "price": ("price", "px", "p", "rate", "tradeprice", "lastprice"),
    "amount": (
        *("amount", "qty", "quantity", "size", "volume", "vol", "basevolume", "lastsize", "sz", "q", "v", "tradesize"),
    ),
    "side": (
        "side",
        "takerside",
        "takersideofthetrade",
        "direction",
        "tradetype",
        "aggressorside",
        "type",
        "ordertype",
    ),
    "maker": ("isbuyermaker", "buyermaker", "m", "isbuyerthemaker", "wasthebuyerthemaker"),
    "symbol": (
        "symbol",
        "ticker",
        "instrument",
        "instrumentid",
        "pair",
        "market",
        "instid",
        "instrumentname",
        "symbolid",
        "code",
    ),
    "interval": ("interval", "timeframe", "resolution", "granularity"),
}
EVERY: tuple[Field, ...] = tuple(NAMES)
NUMBERED = ("instrumentid",)
"""Columns of symbols in which some have the numbers of instruments."""
CLOCK_NAMES = ("time", "timeofday", "hour", "clock")
"""A column with the time of day beside one with the date."""
CLOSE_TIME_NAMES = ("closetime", "closetimestamp", "timeclose", "endtime", "timestampend", "timeperiodend", "windowend")
"""A column with the time at which a bar closes."""
DATE_NAMES = ("date", "day", "tradedate", "dtyyyymmdd")
_ADJUSTED = re.compile(r"adj(usted)?close")
_KEYS: dict[Kind, tuple[Field, ...]] = {"bars": PRICES, "trades": ("price", "amount")}
FIELDS: dict[Kind, tuple[Field, ...]] = {
    "bars": ("ts", *PRICES, "volume", "symbol", "interval"),
    "trades": ("ts", "id", "price", "amount", "side", "maker", "symbol"),
}


_SENTENCES = re.compile(r"[a-z)]\. +[A-Z]")


def plain(name: str) -> str:
    """A column's name in lower case, with letters and digits alone: ``Open Time`` and ``open_time`` are the same."""
    numbered = re.sub(r"^\d+\. ?", "", name.strip(' "').lower())  # as in 1. open
    latin, slash, other = numbered.partition("/")
    if slash and latin.isascii() and not other.isascii():  # a name in two languages
        return plain(latin)
    return re.sub(r"[^0-9a-z]", "", numbered) if name.isascii() else numbered


def adjusted_close(names: Sequence[str]) -> int | None:
    """The column with closes that are adjusted for dividends and splits."""
    return next((n for n, name in enumerate(names) if _ADJUSTED.fullmatch(plain(name))), None)


def columns_of(names: Sequence[str], kind: Kind, base: str = "") -> dict[Field, int]:
    """The columns of the fields of a kind, by their names. ``base`` is the currency of which volumes are preferred."""
    found: dict[Field, int] = {}
    known = [plain(name) for name in names]
    for field in FIELDS[kind]:
        at = next((known.index(name) for name in NAMES[field] if name in known), None)
        if at is None and field in ("volume", "amount"):
            at = _volume(known, base)
        if at is not None:
            found[field] = at
    return found


def is_close_time(names: Sequence[str] | None, place: int) -> bool:
    """Whether a column has the times at which bars close, by its name."""
    return names is not None and plain(names[place]) in CLOSE_TIME_NAMES


def date_and_clock(names: Sequence[str]) -> tuple[int, int] | None:
    """The columns of the date and of the time of day, where they are two."""
    known = [plain(name) for name in names]
    date = next((known.index(name) for name in DATE_NAMES if name in known), None)
    clock = next((known.index(name) for name in CLOCK_NAMES if name in known), None)
    return None if date is None or clock is None else (date, clock)


def kinds_of(names: Sequence[str], given: Collection[Field] = ()) -> list[Kind]:
    """The kinds whose prices are all among the columns' names, or are ``given``, that of bars first."""
    found: list[Kind] = []
    for kind, keys in _KEYS.items():
        there = columns_of(names, kind)
        if all(key in there or key in given for key in keys):
            found.append(kind)
    return found


def is_prose(cells: Sequence[str]) -> bool:
    """Whether cells are of a sentence, such as one that lists the columns, and not their names."""
    return any(map(_SENTENCES.search, cells))


def is_header(cells: Sequence[str]) -> bool:
    """Whether cells are names of columns: at least two that are known of the prices of a kind."""
    names = [plain(cell) for cell in cells]
    if len(names) < 2 or is_prose(cells) or any(name.isdigit() for name in names):
        return False
    return any(_known(names, kind) >= 2 for kind in _KEYS)


def _known(names: Sequence[str], kind: Kind) -> int:
    return sum(any(each and each in names for each in NAMES[field]) for field in ("ts", *_KEYS[kind], "volume"))


def is_known(name: str) -> bool:
    """Whether a name is that of a field's column, or says that it is one of volumes, dates or adjusted closes."""
    known = plain(name)
    every = (*CLOCK_NAMES, *CLOSE_TIME_NAMES, *DATE_NAMES, *(each for names in NAMES.values() for each in names))
    return known in every or known.startswith("vol") or _ADJUSTED.fullmatch(known) is not None


def missing_of(found: Mapping[Field, int], kind: Kind, given: Collection[Field] = ()) -> list[Field]:
    """The fields that a kind cannot be read without, and that no column has; ``given`` need none."""
    return [field for field in ("ts", *_KEYS[kind]) if field not in found and field not in given]


def _volume(names: Sequence[str], base: str) -> int | None:
    """The first column whose name begins with volume: that of the base currency if the names say it."""
    places = [n for n, name in enumerate(names) if name.startswith(("volume", "vol"))]
    of_base = [n for n in places if base and names[n].endswith(plain(base))]
    return next(iter(of_base or places), None)
