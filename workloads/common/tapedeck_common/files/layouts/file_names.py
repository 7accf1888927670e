"""What the name of a file says of its rows: the symbol, as exchanges write it there, and the interval."""

from __future__ import annotations

import re
from typing import NamedTuple

from tapedeck_crds.intervals import BAR_LENGTHS

# Currencies in which markets are quoted, the longer before those that they end with.
QUOTES = (
    *("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDD", "DAI", "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD"),
    *("TRY", "BRL", "KRW", "INR", "RUB", "UAH", "PLN", "ZAR", "SEK", "NOK", "DKK", "SGD", "HKD", "MXN", "CNH"),
    *("BTC", "XBT", "ETH", "BNB", "SOL"),
)
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
_DATE = re.compile(r"\d{4}(-?\d{2}){1,2}|\d{4}")


class NameParts(NamedTuple):
    """What a file's name says; None where it says nothing. ``sure`` tells a symbol with a known quote currency."""

    symbol: str | None
    sure: bool
    interval: str | None


def name_parts(stem: str) -> NameParts:
    """The parts of a file's name, without folders."""
    plain = re.sub(r"(\.[A-Za-z][A-Za-z0-9]{1,8})+$", "", stem)
    interval = _interval(plain)
    pair = re.search(r"(?<![A-Za-z0-9])([A-Za-z0-9]{2,10})[-_/]([A-Za-z]{3,5})(?![A-Za-z0-9])", plain)
    if pair and pair[2].upper() in QUOTES and pair[1].upper() not in QUOTES and not _is_other(pair[1]):
        return NameParts(f"{_named(pair[1])}/{pair[2].upper()}", True, interval)
    words = [word for word in re.split(r"[-_. ]+", plain) if word and not _is_other(word)]
    for word in words:
        if split := _split(word.upper()):
            return NameParts(split, True, interval)
    ticker = next((word for word in words if re.fullmatch(r"[A-Z][A-Z0-9]{0,5}", word)), None)
    return NameParts(ticker, False, interval)


def unified(symbol: str) -> str:
    """A symbol as files write it, such as BTCUSDT or BTC-USD, with a slash; itself where no quote currency is known."""
    pair = re.fullmatch(r"([A-Za-z0-9]{2,10})[-_/]([A-Za-z0-9]{2,6})", symbol)
    if pair:
        return f"{_named(pair[1])}/{_named(pair[2])}"
    return _split(symbol.upper()) or symbol


def _interval(text: str) -> str | None:
    for word in re.split(r"[-_. ]+", text):
        found = _INTERVALS.get(word.lower(), word)
        if found in BAR_LENGTHS:
            return found
    return None


def _is_other(word: str) -> bool:
    """Whether a word is no symbol: a date, an interval, or what files are commonly called."""
    return word.lower() in _WORDS or _DATE.fullmatch(word) is not None or _interval(word) is not None or word.isdigit()


def _split(word: str) -> str | None:
    quote = next((each for each in QUOTES if word.endswith(each) and len(word) - len(each) >= 2), None)
    if quote is None or not re.fullmatch(r"[A-Z0-9]{5,16}", word):
        return None
    return f"{_named(word.removesuffix(quote))}/{_named(quote)}"


def _named(currency: str) -> str:
    upper = currency.upper()
    return _ALIASES.get(upper, upper)
