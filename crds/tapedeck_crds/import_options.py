"""What a user says of files that they do not say themselves, by the names of `tapedeck import`'s options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tapedeck_crds.base import Exchange, Model, Symbol, TimeZone
from tapedeck_crds.files import FileColumns, FileName, Format, Kind, SecurityType, TimeUnit
from tapedeck_crds.intervals import Interval


class FileOptions(Model):
    """What is said of all files of an import. What is left out is recognized."""

    exchange: Exchange | None = Field(default=None, description="Exchange id of the rows.")
    symbol: Symbol | None = Field(default=None, description="Symbol of all files, such as BTC/USD.")
    interval: Interval | None = Field(default=None, description="Length of the bars, or of those made of trades.")
    kind: Kind | None = Field(default=None, description="bars or trades.")
    layout: Format | None = Field(default=None, description="The name of a preset, such as binance-klines.")
    security_type: SecurityType | None = Field(default=None, description="That of LEAN's files outside its folders.")
    file_name: FileName | None = Field(default=None, description="How files are named: {symbol}-{interval}-{date}.")
    columns: FileColumns | None = Field(
        default=None, description="The fields' columns: their names, or numbers from 1."
    )
    zone: TimeZone | None = Field(default=None, description="Zone of times without an offset, as America/New_York.")
    unit: TimeUnit | None = Field(default=None, description="Unit of times that are numbers.")
    time_format: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Format of times, as %d/%m/%Y."
    )
    stamp: Literal["open", "close"] | None = Field(default=None, description="Which end of its bar a time is of.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="Delimiter of the cells."
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="Decimal sign.")
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(default=None, description="Sign between thousands.")
    encoding: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+$")] | None = Field(
        default=None, description="Encoding of text, such as latin-1."
    )
    scale: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        default=None, description="Number that prices are divided by."
    )
    adjust: bool = Field(default=False, description="Adjust prices by the column Adj Close.")
