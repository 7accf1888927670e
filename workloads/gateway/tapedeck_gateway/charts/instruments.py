"""What kind of instrument a symbol is, and UDF's text of its session and of the scale of its prices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from math import gcd
from typing import Literal, NamedTuple

from tapedeck_crds.session import MIDNIGHT, WEEKDAYS, Session

InstrumentType = Literal["crypto", "stock", "forex", "futures", "index", "transform"]
"""UDF's types, and one of results of transforms."""

MAX_DECIMALS = 15  # a double has no more
TICK_SAMPLE = 100  # so many different prices tell the smallest change of a future's price
_CURRENCIES = frozenset({
    "USD", "EUR", "JPY", "GBP", "AUD", "CAD", "CHF", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF",
    "RON", "BGN", "TRY", "ZAR", "MXN", "BRL", "CLP", "COP", "SGD", "HKD", "CNY", "CNH", "INR", "KRW",
    "TWD", "THB", "IDR", "MYR", "PHP", "ILS", "RUB", "UAH", "AED", "SAR", "XAU", "XAG", "XPT", "XPD",
})  # fmt: skip
_CRYPTO_PAIR = re.compile(r"[A-Z0-9]{2,12}[-_]?(USDT|USDC|USD|EUR|GBP|JPY|KRW|TRY|BTC|ETH|BNB|DAI|FDUSD)")
_CONTRACT = re.compile(r"[A-Z0-9]{1,4}[FGHJKMNQUVXZ]\d{1,2}")  # root, month's letter, year


class PriceFormat(NamedTuple):
    """UDF's minmov / pricescale is the smallest change of a price; minmove2 is the number of those in a pip, or 0."""

    minmov: int
    pricescale: int
    minmove2: int = 0


def instrument_type(symbol: str, session: Session | None) -> InstrumentType:
    """What a symbol is, by its exchange's text and by its session, where one is known."""
    pair, _, settled = symbol.upper().partition(":")  # ccxt's unified names are BASE/QUOTE:SETTLE
    base, is_pair, quote = pair.partition("/")
    if pair.startswith(("^", ".")):
        return "index"
    if settled or pair.endswith("=F"):
        return "futures"
    if is_pair:
        return "forex" if {base, quote} <= _CURRENCIES else "crypto"
    name = pair.removesuffix("=X")
    if name != pair or (len(name) == 6 and {name[:3], name[3:]} <= _CURRENCIES):
        return "forex"
    if _CONTRACT.fullmatch(name):
        return "futures"
    if session is not None and not session.is_continuous:
        return "futures" if session.close <= session.open else "stock"  # futures trade over night
    return "crypto" if len(name) >= 6 and _CRYPTO_PAIR.fullmatch(name) else "stock"


def udf_session(session: Session) -> str:
    """UDF's text of a session, such as 0930-1600:23456: local hours, and days from 1 for Sunday."""
    if session.is_continuous:
        return "24x7"
    closes = "00:00" if session.close == MIDNIGHT else session.close
    hours = f"{session.open}-{closes}".replace(":", "")
    days = sorted((WEEKDAYS.index(day) + 1) % 7 + 1 for day in session.days)
    return f"{hours}:{''.join(map(str, days))}"


def udf_timezone(session: Session) -> str:
    """UDF's name of a session's time zone."""
    return "Etc/UTC" if session.timezone == "UTC" else session.timezone


def format_of_step(step: float) -> PriceFormat:
    """The format of prices whose smallest change is ``step``: 0.05 is (5, 100)."""
    digits = Decimal(repr(step)).normalize().as_tuple()
    exponent = digits.exponent if isinstance(digits.exponent, int) else 0
    minmov = int("".join(map(str, digits.digits)))
    return PriceFormat(minmov * 10**exponent, 1) if exponent >= 0 else PriceFormat(minmov, 10**-exponent)


def format_of_prices(prices: Sequence[float], kind: InstrumentType) -> PriceFormat:
    """The format of prices of which these are some: by the decimals that they use, and their usual least number."""
    decimals = _decimals(prices)
    if kind == "forex":
        pips = max(3 if prices and max(prices) > 20 else 5, min(decimals, 5))  # yen have 3 decimals
        return PriceFormat(1, 10**pips, 10)
    scale = 10 ** max(2, decimals)
    different = {round(abs(price) * scale) for price in prices}
    if kind == "futures" and len(different) >= TICK_SAMPLE and (tick := gcd(*different)) > 1:
        return PriceFormat(tick, scale)
    return PriceFormat(1, scale)


def _decimals(prices: Sequence[float]) -> int:
    """The number of decimals that prices use."""
    # Ten significant digits: more are the noise of arithmetic.
    exponents = [Decimal(f"{price:.10g}").normalize().as_tuple().exponent for price in prices]
    return min(MAX_DECIMALS, max([0, *(-exponent for exponent in exponents if isinstance(exponent, int))]))
