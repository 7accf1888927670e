"""What the name of a file says of its rows: the symbol, as exchanges write it there, and the interval."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from tapedeck_common.files.layouts.name_patterns import name_pattern
from tapedeck_crds.base import is_symbol
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.text import quoted

# Currencies in which markets are quoted: a market of two of them is quoted in the later.
QUOTES = (
    *("SOL", "BNB", "ETH", "XBT", "BTC", "EUR", "GBP", "AUD", "NZD"),
    *("DAI", "TUSD", "USDD", "BUSD", "FDUSD", "USDC", "USDT", "USD", "CAD", "CHF", "SGD", "HKD", "CNH", "JPY"),
    *("TRY", "BRL", "KRW", "INR", "RUB", "UAH", "PLN", "ZAR", "SEK", "NOK", "DKK", "MXN"),
)
_LONGEST_FIRST = sorted(QUOTES, key=len, reverse=True)
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
_WORDS = frozenset(
    (
        *("trades", "aggtrades", "klines", "candles", "ohlc", "ohlcv", "ohlcvt", "bars", "data", "prices", "history"),
        *("historical", "spot", "futures", "perp", "daily", "hourly", "minute", "minutes", "hour", "hours", "day"),
        *("days", "week", "month", "bid", "ask", "csv", "final", "clean", "binance", "kraken", "ascii"),
    )
)
_INTERVALS = {"1mo": "1M", "m1": "1m", "m5": "5m", "m15": "15m", "m30": "30m", "h1": "1h", "h4": "4h", "d1": "1d",
              "w1": "1w", "1min": "1m", "5min": "5m", "1hour": "1h", "1day": "1d", "daily": "1d", "hourly": "1h",
              "minute": "1m", "weekly": "1w", "monthly": "1M"}  # fmt: skip
_PAIR = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z0-9]{2,10})[-_/]([A-Za-z]{3,5})(?![A-Za-z0-9]))")
_DATE = re.compile(r"\d{4}(-?\d{2}){1,2}|\d{4}")
_CONTRACTS = frozenset(("PERP", "SWAP", "SPOT"))
"""What exchanges append to a symbol of another contract: no currency."""


class NameParts(NamedTuple):
    """What a file's name says; None where it says nothing. ``sure`` tells a symbol with a known quote currency."""

    symbol: str | None
    sure: bool
    interval: str | None


def name_parts(stem: str) -> NameParts:
    """The parts of a file's name, without folders."""
    plain = re.sub(r"(\.[A-Za-z][A-Za-z0-9]{1,8})+$", "", stem)
    interval = _interval(plain)
    pairs = [pair for pair in _PAIR.findall(plain) if _is_market(*pair)]
    if pairs:  # what is before may be an exchange
        return NameParts("/".join(map(_named, pairs[-1])), True, interval)
    words = [word for word in re.split(r"[-_. ]+", plain) if word and not _is_other(word)]
    for word in words:
        if split := _split(word.upper()):
            return NameParts(split, True, interval)
    ticker = next((word for word in words if re.fullmatch(r"[A-Z][A-Z0-9]{0,5}", word)), None)
    return NameParts(ticker, False, interval)


@lru_cache(maxsize=4_096)
def unified(symbol: str) -> str:
    """A symbol as files write it, such as BTCUSDT or BTC-USD, with a slash; itself where no quote currency is known."""
    pair = re.fullmatch(r"([A-Za-z0-9]{2,10})(?:/([A-Za-z0-9]{2,6})|[-_]([A-Za-z]{2,5}))", symbol)
    if pair and (quote := (pair[2] or pair[3]).upper()) not in _CONTRACTS:
        return f"{_named(pair[1])}/{_named(quote)}"
    return _split(symbol.upper()) or symbol


class DeclaredParts(NamedTuple):
    """What a name of a declared pattern says; None where the pattern does not have it."""

    symbol: str | None
    interval: str | None


def declared_parts(pattern: str, name: str) -> DeclaredParts:
    """The parts of a file's name by a pattern such as {symbol}-{interval}-{date}. Raises ValueError."""
    parts = name_pattern(pattern).match(name)
    if parts is None:
        raise ValueError(f"fileName: got {quoted(name)}, expected a name like {pattern}")
    symbol = unified(parts["symbol"]) if "symbol" in parts else None
    if symbol is not None and not is_symbol(symbol):
        raise ValueError(f"fileName: got {quoted(symbol)} in {quoted(name)}, expected a symbol")
    interval = parts.get("interval") or parts.get("minutes")
    if interval is None:
        return DeclaredParts(symbol, None)
    known = minute_interval(int(interval)) if interval.isdecimal() else interval_of(interval)
    if known is None:
        raise ValueError(
            f"fileName: got {quoted(interval)} in {quoted(name)}, expected one of {', '.join(BAR_LENGTHS)}"
        )
    return DeclaredParts(symbol, known)


def interval_of(text: str) -> str | None:
    """An interval as names of files have it: 1m, 1mo, m5, 1hour or daily; None for another text."""
    found = _INTERVALS.get(text.lower(), text)
    return found if found in BAR_LENGTHS else None


def minute_interval(minutes: int) -> str | None:
    """The interval of so many minutes; None where there is none."""
    return next((name for name, length in BAR_LENGTHS.items() if length.ms == minutes * 60_000), None)


def _interval(text: str) -> str | None:
    return next(filter(None, map(interval_of, re.split(r"[-_. ]+", text))), None)


def _is_other(word: str) -> bool:
    """Whether a word is no symbol: a date, an interval, or what files are commonly called."""
    return word.lower() in _WORDS or _DATE.fullmatch(word) is not None or _interval(word) is not None or word.isdigit()


def _is_market(base: str, quote: str) -> bool:
    """Whether two neighbouring words are a market, not two of a name such as Poloniex's USDT_BTC."""
    if _is_other(base) or quote.upper() not in QUOTES:
        return False
    base, quote = base.upper(), quote.upper()
    return base not in QUOTES or QUOTES.index(base) < QUOTES.index(quote)


def _split(word: str) -> str | None:
    quote = next((each for each in _LONGEST_FIRST if _ends_with(word, each)), None)
    if quote is None or not re.fullmatch(r"[A-Z0-9]{5,16}", word):
        return None
    return f"{_named(word.removesuffix(quote))}/{_named(quote)}"


def _ends_with(word: str, quote: str) -> bool:
    """Whether a word is a base and this quote. BNBUSD is quoted in USD, not in BUSD: no base has two letters there."""
    base = word.removesuffix(quote)
    return base != word and len(base) >= (3 if quote in ("BUSD", "TUSD") else 2) and (base, quote) != ("USD", "TUSD")


def _named(currency: str) -> str:
    upper = currency.upper()
    return _ALIASES.get(upper, upper)
