"""How the rows of one table are read, with nothing left to guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Literal, TypeAlias

from tapedeck_common.files.layouts.fields import Field, Kind
from tapedeck_common.files.layouts.time_text import ParseTime
from tapedeck_common.market import Side
from tapedeck_crds.files import TimeUnit

Stamp: TypeAlias = Literal["open", "close"]


@dataclass(frozen=True)
class TimeReading:
    """How times are written: numbers of a unit, or text that ``parse`` reads; of columns with types neither is needed.

    ``columns`` are those of the time, more than one where date and time of day are apart. Times without an offset are
    in ``zone``; None where the file's market says it. ``stamp`` is which end of a bar the times are of, None where it
    is not declared.
    """

    columns: tuple[int, ...]
    unit: TimeUnit | None = None
    parse: ParseTime | None = None
    zone: tzinfo | None = None
    stamp: Stamp | None = None


@dataclass(frozen=True)
class RowDefaults:
    """Values of rows whose columns lack them; None where a row without one is refused."""

    volume: float = 0.0
    amount: float | None = None
    side: Side = "unknown"


@dataclass(frozen=True)
class Reading:
    """Which column has which field, and how its values are written. ``assumed`` tells what the file does not say.

    It is ``confirmed`` where the file itself shows that it holds market data, not only the user's declaration. Amounts
    that are ``signed`` are negative where the trade is a sale. ``instrument`` is the number that the column of symbols
    has in place of one.
    """

    layout: str
    kind: Kind
    columns: Mapping[Field, int]
    time: TimeReading
    scale: float = 1.0
    adjusted: int | None = None
    confirmed: bool = True
    assumed: tuple[str, ...] = field(default=())
    signed: bool = False
    defaults: RowDefaults = RowDefaults()
    instrument: str | None = None
