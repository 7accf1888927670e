"""Stock Backtrader over CSV files that it reads itself, with its own datetimes of bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import backtrader as bt
import pandas as pd

from tapedeck_common.market import Bar

Hours: TypeAlias = tuple[time, time]


class _LikePytz(ZoneInfo):
    def localize(self, naive: datetime) -> datetime:
        return naive.replace(tzinfo=self)


@dataclass(frozen=True)
class CsvMarket:
    """Bars with the dates or times that a data vendor's file gives them, local and without a zone.

    ``opens`` are the opens of the same bars, in UTC; ``hours`` those of the market: without them it closes at midnight.
    """

    interval: str
    stamps: Sequence[str]
    opens: pd.DatetimeIndex
    zone: str = "UTC"
    hours: Hours | None = None

    @property
    def is_daily(self) -> bool:
        """Whether the file has dates."""
        return self.interval == "1d"

    @property
    def midnight(self) -> time:
        """The last time of a day. Backtrader reads its own, .999990, as midnight in some time zones."""
        return time(23, 59, 59, 999_990 if self.zone == "UTC" else 999_980)

    def bars(self) -> list[Bar]:
        """The product's bars: a random walk with a volume."""
        prices = [100 + 10 * ((i * 7919) % 101) / 101 for i in range(len(self.stamps))]
        return [
            Bar("x", "A", self.interval, int(opens.value) // 1_000_000, price, price + 1, price - 1, price + 0.5, 9.0)
            for opens, price in zip(self.opens, prices, strict=True)
        ]

    def run_stock(self, strategy: type[Any], folder: Path, resampled: Sequence[int] = ()) -> Any:
        """The strategy after its run over the file, and over bars of these time frames that stock makes of it."""
        path = folder / "bars.csv"
        path.write_text(
            "".join(
                f"{stamp},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.volume!r}\n"
                for stamp, bar in zip(self.stamps, self.bars(), strict=True)
            )
        )
        local = None if self.zone == "UTC" else _LikePytz(self.zone)
        minutes = {"1m": 1, "1h": 60}.get(self.interval, 1)
        cerebro = bt.Cerebro(stdstats=False, tz=0)
        data = bt.feeds.GenericCSVData(
            dataname=str(path),
            headers=False,
            dtformat="%Y-%m-%d" if self.is_daily else "%Y-%m-%d %H:%M:%S.%f",
            openinterest=-1,
            timeframe=bt.TimeFrame.Days if self.is_daily else bt.TimeFrame.Minutes,
            compression=minutes,
            tz=local,
            tzinput=None if self.is_daily else local,  # Backtrader would convert a date twice
            sessionstart=self.hours[0] if self.hours else None,
            sessionend=self.hours[1] if self.hours else self.midnight,
        )
        cerebro.adddata(data)
        for timeframe in resampled:
            cerebro.resampledata(data, timeframe=timeframe)
        cerebro.addstrategy(strategy)
        cerebro.broker.setcash(10_000.0)
        return cerebro.run()[0]


def daily(
    first: str, count: int, opens_at: str, zone: str = "UTC", hours: Hours | None = None, days: str = "B"
) -> CsvMarket:
    """Daily bars of a file with dates, which the product has with an open at a local time."""
    dates = pd.date_range(first, periods=count, freq=days)
    opens = pd.DatetimeIndex([pd.Timestamp(f"{date.date()} {opens_at}", tz=zone) for date in dates])
    return CsvMarket("1d", [str(date.date()) for date in dates], opens.tz_convert("UTC"), zone, hours)


def intraday(interval: str, closes: pd.DatetimeIndex, zone: str = "UTC", hours: Hours | None = None) -> CsvMarket:
    """Bars of a file that stamps them with their local closes; that at midnight is the last time of the day."""
    width = pd.Timedelta(interval.replace("m", "min"))
    in_zone = closes.tz_localize(zone) if closes.tz is None else closes.tz_convert(ZoneInfo(zone))
    market = CsvMarket(interval, [], in_zone.tz_convert("UTC") - width, zone, hours)
    stamps = [
        pd.Timestamp.combine((stamp - width).date(), market.midnight) if stamp == stamp.normalize() else stamp
        for stamp in (each.tz_localize(None) for each in in_zone)
    ]
    return replace(market, stamps=[stamp.strftime("%Y-%m-%d %H:%M:%S.%f") for stamp in stamps])
