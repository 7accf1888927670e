"""Market data in files: where they are, and what is known of their layout."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from tapedeck_crds.base import (
    Exchange,
    Model,
    NonNegative,
    ObjectName,
    Rule,
    Symbol,
    TimeZone,
    exactly_one_of,
    no_own_secret,
)
from tapedeck_crds.file_presets import preset_names
from tapedeck_crds.intervals import Interval

SecurityType = Literal["equity", "forex", "cfd", "crypto", "cryptofuture"]
Kind = Literal["bars", "trades"]
TimeUnit = Literal["s", "ms", "us", "ns"]
AUTO, LEAN, MESSAGES = "auto", "lean", "binance-messages"
EVERY = "*"
COLUMN_MAX = 128
_NAME = r"^[^{}/]*(\{(symbol|interval|minutes|date|any)\}[^{}/]*)+$"
NUMBER_MAX = 1_000


def _checked_format(name: str) -> str:
    known = formats()
    if name not in known:
        raise ValueError(f"expected {', '.join(known)}")
    return name


def formats() -> tuple[str, ...]:
    """The names of the formats: auto, the presets, and those that have a reader of their own."""
    return (AUTO, LEAN, MESSAGES, *preset_names())


Format = Annotated[
    str, AfterValidator(_checked_format), Field(json_schema_extra=lambda schema: schema.update(enum=[*formats()]))
]


def _checked_column(value: object) -> str | int:
    if type(value) is int and 1 <= value <= NUMBER_MAX:
        return value
    if isinstance(value, str) and len(value) <= COLUMN_MAX:
        return value
    raise ValueError(f"expected a column's name, or its number from 1 to {NUMBER_MAX}")


def _checked_name(text: str) -> str:
    if re.fullmatch(_NAME, text) is None:
        raise ValueError("expected a name with {symbol}, {interval}, {minutes}, {date} or {any}")
    return text


FileName = Annotated[str, AfterValidator(_checked_name), Field(max_length=128, json_schema_extra={"pattern": _NAME})]
Column = Annotated[
    str | int,
    PlainValidator(_checked_column),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "minimum": 1, "maximum": NUMBER_MAX, "maxLength": COLUMN_MAX}),
]
"""A column's name in the header, or its number from 1."""


class FileVolume(Model):
    """A volume with files, mounted read-only."""

    config_map: ObjectName | None = Field(default=None, description="A ConfigMap of the namespace; each key is a file.")
    claim: ObjectName | None = Field(default=None, description="A PersistentVolumeClaim of the namespace.")
    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("config_map", "claim"),)


class FileSet(Model):
    """Files of one symbol, or of those that their rows or names say."""

    symbol: Symbol | None = Field(
        default=None,
        description="Unified symbol of all rows of these files; if omitted, that of each row (columns.symbol), else of "
        "each file's name (fileName): every symbol is a series of its own.",
    )
    path: str = Field(
        min_length=1,
        max_length=512,
        description="A file or a glob pattern below the folder of the applied file (embedded deck) or the data folder "
        "of the image or volume, or a URL (s3://bucket/key). Links may not lead out of that folder.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.path.startsWith('s3://') || !self.path.matches('^/|(^|/)[.][.](/|$)|://')",
            message="expected path to be relative without .. (a file below the folder of the files), or an s3:// URL",
            holds=lambda new, _old: (
                new.path.startswith("s3://") or re.search(r"^/|(^|/)[.][.](/|\Z)|://", new.path) is None
            ),
        ),
    )


class FileTime(Model):
    """How the times in files are written."""

    unit: TimeUnit | None = Field(
        default=None,
        description="Unit of times that are numbers: seconds, milliseconds, microseconds or nanoseconds since 1970.",
    )
    format: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Format of times that are text, with directives of strptime, such as %d/%m/%Y %H:%M.",
    )
    zone: TimeZone | None = Field(
        default=None, description="Zone of times without an offset, such as America/New_York; UTC if omitted."
    )
    stamp: Literal["open", "close"] | None = Field(
        default=None, description="Which end of its bar a time is of; the open if omitted."
    )
    columns: Annotated[list[Column], Field(min_length=1, max_length=2)] | None = Field(
        default=None, description="The columns of the time: one, or those of the date and of the time of day."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.unit) || !has(self.format)",
            message="expected unit, of numbers, or format, of text, not both",
            holds=lambda new, _old: new.unit is None or new.format is None,
        ),
    )


class FileColumns(Model):
    """Which column has which field: its name in the header, or its number from 1."""

    ts: Column | None = Field(default=None, description="Time of a bar or a trade; see time.columns for two columns.")
    open: Column | None = Field(default=None, description="Open price of a bar.")
    high: Column | None = Field(default=None, description="Highest price of a bar.")
    low: Column | None = Field(default=None, description="Lowest price of a bar.")
    close: Column | None = Field(default=None, description="Close price of a bar.")
    volume: Column | None = Field(default=None, description="Volume of a bar, in the base currency.")
    id: Column | None = Field(default=None, description="Id of a trade.")
    price: Column | None = Field(default=None, description="Price of a trade.")
    amount: Column | None = Field(default=None, description="Amount of a trade, in the base currency.")
    side: Column | None = Field(default=None, description="Side of a trade's taker: buy or sell, b or s, 1 or -1.")
    maker: Column | None = Field(default=None, description="Whether the buyer of a trade was the maker: true or false.")
    symbol: Column | None = Field(
        default=None, description="Symbol of a row, which must be that of its files where they have one."
    )
    interval: Column | None = Field(default=None, description="Interval of a row, which must be that of the source.")


class FileDefaults(Model):
    """Values of all rows, where no column has them."""

    volume: NonNegative | None = Field(default=None, description="Volume of a bar, in the base currency; 0 if omitted.")
    amount: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        default=None, description="Amount of a trade, in the base currency."
    )
    side: Literal["buy", "sell"] | None = Field(
        default=None, description="Side of a trade's taker; unknown if omitted."
    )


class Files(Model):
    """Market data in files."""

    format: Format = Field(
        default=AUTO,
        description="auto: what the files hold is recognized by their content: CSV with any delimiter, JSON, Parquet, "
        "Arrow; compressed or in archives. Else a preset, which says what such files do not, as the zone of their "
        "times. lean: QuantConnect LEAN's zips of seconds, minutes, hours or days; bars of quotes are those of the "
        "middle. binance-messages: trade messages of Binance's websocket, one per line.",
    )
    kind: Kind | None = Field(default=None, description="bars or trades; what the columns are of if omitted.")
    exchange: Exchange = Field(description="Exchange id of the published data.")
    interval: Interval = Field(default="1m", description="Length of a bar: in the files, or of bars built from trades.")
    sets: Annotated[list[FileSet], Field(min_length=1, max_length=1000)] = Field(
        description="The files of each symbol."
    )
    columns: FileColumns | None = Field(
        default=None, description="Columns whose names say nothing, or something else. The others are recognized."
    )
    time: FileTime | None = Field(
        default=None,
        description="How times are written. What is omitted is recognized: the unit of numbers is the one in "
        "which they are times from 2000 to the end of next year; earlier and later ones need time.unit.",
    )
    file_name: FileName | None = Field(
        default=None,
        description="How files are named, without suffixes, such as {symbol}-{interval}-{date}; {any} is any text. "
        "Files without a symbol have that of their name; an interval in it must be that of the source.",
    )
    defaults: FileDefaults | None = Field(default=None, description="Values that no column has.")
    signed: bool | None = Field(
        default=None,
        description="Whether trades with a negative amount are sales, and the others purchases; if omitted, where "
        "no column has the side and one of the first amounts is negative.",
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1, pattern=r"^[\t !#-~]$")] | None = Field(
        default=None, description="Delimiter of the cells of text; recognized if omitted."
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="Decimal sign; recognized if omitted.")
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(
        default=None, description="Sign between thousands; none if omitted."
    )
    header: bool | None = Field(
        default=None, description="Whether the first line has the names of the columns; recognized if omitted."
    )
    skip_rows: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None, description="Lines before the header or the first row; recognized if omitted."
    )
    comment: Annotated[str, Field(min_length=1, max_length=2)] | None = Field(
        default=None, description="Sign with which comments begin; # if omitted."
    )
    encoding: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_-]+$")] | None = Field(
        default=None, description="Encoding of text, such as latin-1; recognized if omitted."
    )
    scale: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        default=None, description="Number that prices are divided by, such as 10000 for LEAN's equities; 1 if omitted."
    )
    adjust: bool = Field(
        default=False,
        description="Whether prices are adjusted for dividends and splits, by the ratio of the adjusted close (Adj "
        "Close) to the close.",
    )
    security_type: SecurityType | None = Field(
        default=None,
        description="Security type of LEAN's files, on which zone and scale depend; that of the folders, such as "
        "equity/usa/minute, if omitted.",
    )
    volume: FileVolume | None = Field(
        default=None, description="The volume of relative paths; the image's data folder if omitted."
    )
    credentials_secret: ObjectName | None = Field(
        default=None,
        description="Secret of the namespace with access_key and secret_key for s3 URLs, and session_token, endpoint "
        "and region where needed; anonymous access if omitted.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.securityType) || self.format == 'lean'",
            message="expected format: lean beside securityType",
            holds=lambda new, _old: new.security_type is None or new.format == LEAN,
        ),
        no_own_secret("credentials_secret"),
        Rule(
            cel="!(self.format in ['lean', 'binance-messages']) || self.sets.all(each, has(each.symbol))",
            message="expected a symbol in each of sets with format: lean or binance-messages",
            holds=lambda new, _old: new.format not in (LEAN, MESSAGES) or all(each.symbol for each in new.sets),
        ),
    )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of the sets, each once; * for those that only the files say."""
        return tuple(dict.fromkeys(each.symbol or EVERY for each in self.sets))
