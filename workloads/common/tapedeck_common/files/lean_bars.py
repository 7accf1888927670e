"""The bars of QuantConnect LEAN: zips of one day of seconds or minutes, or of all hours or days of a symbol.

Prices of equities are in 1/10000 dollars; times are those of the market's data. Both depend on the security type, which
LEAN's folders name: ``equity/usa/minute/spy/20131007_trade.zip``. Described in LEAN's Data/readme.md, and the zones in
Data/market-hours/market-hours-database.json.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tapedeck_common.files.errors import InvalidFiles
from tapedeck_common.files.field_parsing import number, whole
from tapedeck_common.files.lean_paths import INTERVALS, LeanLayout, layout_of_folders
from tapedeck_common.files.source_files import SourceFile
from tapedeck_common.market import Bar
from tapedeck_crds.files import Files, SecurityType
from tapedeck_crds.text import quoted

DEFAULT_MARKETS: dict[SecurityType, str] = {"equity": "usa", "forex": "oanda", "cfd": "oanda"}
ZONES = {
    ("equity", "usa"): "America/New_York",
    ("equity", "india"): "Asia/Kolkata",
    ("forex", "oanda"): "UTC",
    ("forex", "fxcm"): "Etc/GMT+5",  # UTC-05 all year
    ("cfd", "oanda"): "UTC",
}
EQUITY_SCALE = 10_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
TRADE_COLUMNS = ("time", "open", "high", "low", "close", "volume")
_SIDES = tuple(f"{side} {field}" for side in ("bid", "ask") for field in ("open", "high", "low", "close", "size"))
QUOTE_COLUMNS = ("time", *_SIDES)
_DAY_IN_NAME = re.compile(r"(?:^|_)(\d{8})(?=[_.])")
_TIME = re.compile(r"\d{8} \d{2}:\d{2}")


def lean_parser(files: Files, file: SourceFile) -> Callable[[str], tuple[int, Bar]]:
    """A parser of the rows of a file: it returns the time in microseconds and the bar. Raises InvalidFiles.

    A bar of quotes is that of the middle of bid and ask, as LEAN's own QuoteBar, with volume 0.
    """
    layout = _layout(files, file)
    parse_time = _time_parser(layout, file)
    scale = EQUITY_SCALE if layout.security == "equity" else 1

    def parse(text: str) -> tuple[int, Bar]:
        time, *cells = (cell.strip() for cell in text.split(","))
        ts = parse_time(time)
        *prices, volume = _values(cells)
        open_, high, low, close = (price / scale for price in prices)
        return ts * 1_000, Bar(files.exchange, file.symbol, files.interval, ts, open_, high, low, close, volume)

    return parse


def _layout(files: Files, file: SourceFile) -> LeanLayout:
    """The layout of a file. Raises InvalidFiles where it is not known, not supported or not that of the spec."""
    found = layout_of_folders(file)
    security = files.security_type or (found.security if found else None)
    if security is None:
        raise InvalidFiles(
            f"{file.name}: cannot tell whether the prices are those of an equity, in 1/10000 dollars and New York's "
            "time; keep LEAN's folders (such as equity/usa/minute/spy) or set securityType (--security-type)"
        )
    if found is not None and found.security != security:
        raise InvalidFiles(f"securityType: got {security}, expected {found.security} as in the folders of {file.name}")
    expected = tuple(INTERVALS.values()) if found is None else (INTERVALS[found.resolution],)
    if files.interval not in expected:
        reason = "LEAN's resolutions" if found is None else f"the resolution of {file.name}"
        raise InvalidFiles(f"interval: got {files.interval}, expected {', '.join(expected)}, {reason}")
    if found is not None:
        return found
    resolution = next(name for name, interval in INTERVALS.items() if interval == files.interval)
    return LeanLayout(security, DEFAULT_MARKETS.get(security, ""), resolution)


def _time_parser(layout: LeanLayout, file: SourceFile) -> Callable[[str], int]:
    """A parser of a row's time to milliseconds UTC."""
    zone = zone_of(layout, file)
    hours: dict[datetime, int] = {}

    def to_utc(local: datetime) -> int:
        hour = local.replace(minute=0)
        if hour not in hours:
            hours[hour] = int(hour.replace(tzinfo=zone).timestamp() * 1_000)
        return hours[hour] + local.minute * 60_000

    if layout.resolution in ("hour", "daily"):
        return lambda text: to_utc(_moment(text))
    midnight = _day(file)

    def since_midnight(text: str) -> int:
        since = whole("milliseconds since midnight", text)
        if not 0 <= since < DAY_MS:
            raise ValueError(f"milliseconds since midnight: got {since}, expected 0 to {DAY_MS - 1}")
        return to_utc(midnight + timedelta(hours=since // HOUR_MS)) + since % HOUR_MS

    return since_midnight


def zone_of(layout: LeanLayout, file: SourceFile) -> ZoneInfo:
    """The zone of the times. A bar of a day is that of the date, in any zone. Raises InvalidFiles."""
    if layout.resolution == "daily" or layout.security in ("crypto", "cryptofuture"):
        return ZoneInfo("UTC")
    if (zone := ZONES.get((layout.security, layout.market))) is None:
        markets = ", ".join(market for security, market in ZONES if security == layout.security)
        raise InvalidFiles(f"{file.name}: got {layout.security} of the market {layout.market}, expected {markets}")
    return ZoneInfo(zone)


def _values(cells: list[str]) -> list[float]:
    """Open, high, low, close and volume of a row of trades or quotes."""
    count = len(cells) + 1
    if count == len(TRADE_COLUMNS):
        return [number(name, cell) for name, cell in zip(TRADE_COLUMNS[1:], cells, strict=True)]
    if count == len(QUOTE_COLUMNS):
        sides = [number(name, cell) if cell else None for name, cell in zip(_SIDES, cells, strict=True)]
        middles = map(_middle, QUOTE_COLUMNS[1:5], sides[:4], sides[5:9])
        return [*middles, 0.0]
    expected = f"{len(TRADE_COLUMNS)} ({', '.join(TRADE_COLUMNS)}) or {len(QUOTE_COLUMNS)} of quotes"
    raise ValueError(f"columns: got {count}, expected {expected}")


def _middle(name: str, bid: float | None, ask: float | None) -> float:
    """The middle of bid and ask, or the one that there is: LEAN writes nothing, or 0, for the other."""
    if bid and ask:
        return (bid + ask) / 2
    if not (bid or ask):
        raise ValueError(f"{name}: got no price, nor one of ask, expected at least one")
    return bid or ask or 0.0


def _moment(text: str) -> datetime:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return datetime.strptime(text, "%Y%m%d %H:%M")
    except ValueError:
        raise ValueError(f"time: got {quoted(text)}, expected one like 20131007 09:00") from None


def _day(file: SourceFile) -> datetime:
    found = _DAY_IN_NAME.search(file.path.name)
    try:
        if found is None:
            raise ValueError
        return datetime.strptime(found[1], "%Y%m%d")
    except ValueError:
        raise InvalidFiles(f"{file.name}: no day in its name, expected one like 20180404_trade.zip") from None
