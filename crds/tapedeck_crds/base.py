"""The base model of all resources, and field types that several of them share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tapedeck_crds.intervals import Interval
from tapedeck_crds.secrets import OWN_SECRETS, is_own_secret
from tapedeck_crds.text import printable


@dataclass(frozen=True)
class Rule:
    """A check across fields, in CEL for the API server and in Python for everyone else.

    ``holds(new, old)`` gets two models of the class that has the rule; ``old`` is None on creation. A rule with
    ``transition`` is only checked on updates, like a CEL rule with ``oldSelf``.
    """

    cel: str
    message: str
    holds: Callable[[Any, Any], bool]
    transition: bool = False


ShownText = Annotated[str, AfterValidator(lambda text: printable(text, keep="\n\t"))]
"""Text that somebody else may have written, for a status or an event: without control characters."""


class Model(BaseModel):
    """Strict and frozen, with camelCase names in documents and no unknown fields."""

    model_config = ConfigDict(
        defer_build=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=False,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()


# The API server's format date-time, as a pattern, too: both sides then reject the same texts.
TIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_TIME = re.compile(TIME_PATTERN.replace("$", r"\Z"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> datetime:
    """RFC 3339 text with an offset → an aware datetime in UTC. Raises ValueError."""
    if not _TIME.match(text):
        raise ValueError("expected a time with an offset, like 2018-04-04T00:00:00Z or +02:00")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected an existing date, like 2018-04-04T00:00:00Z") from None


def time_ms(text: str) -> int:
    """RFC 3339 text → integer milliseconds UTC."""
    return round(parse_time(text).timestamp() * 1000)


def time_us(text: str) -> int:
    """RFC 3339 text → integer microseconds UTC; nanoseconds are cut off."""
    return (parse_time(text) - _EPOCH) // timedelta(microseconds=1)


def format_ms(ms: int) -> str:
    """Integer milliseconds UTC → RFC 3339 text, with milliseconds only where they are not 0."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def described_ms(ms: int) -> str:
    """As ``format_ms``; the number where calendars end."""
    try:
        return format_ms(ms)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms since 1970"


def _checked_time(text: str) -> str:
    parse_time(text)
    return text


Time = Annotated[
    str,
    AfterValidator(_checked_time),
    Field(json_schema_extra={"format": "date-time", "pattern": TIME_PATTERN}, max_length=40),
]


def _checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # KeyError: no such zone; OSError: a folder of zones
        raise ValueError("expected a time zone of the IANA database, like America/New_York") from None
    return name


TimeZone = Annotated[
    str,
    Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"),
    AfterValidator(_checked_zone),
]
Exchange = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
SYMBOL_MAX = 64
# Blanks, control characters and what is not visible; \ and [ ]; * and ? are wildcards; @ separates a transform's name.
_NOT_IN_SYMBOLS = r"\x00-\x20\x7f-\xa0\\\[\]@" + "\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
SYMBOL_CHARACTER = f"[^{_NOT_IN_SYMBOLS}*?]"
_SYMBOL = f"^@?{SYMBOL_CHARACTER}+$"
_SYMBOL_OR_WILDCARDS = f"^@?[^{_NOT_IN_SYMBOLS}]+$"
_SYMBOL_RULE = (
    f"expected the exchange's own text, 1 to {SYMBOL_MAX} characters: without blanks, control characters, \\, [ and ], "
    "with @ only at its start"
)


def is_symbol(text: str) -> bool:
    """Whether a text can be a symbol: an exchange's own text, with few exceptions."""
    return len(text) <= SYMBOL_MAX and re.fullmatch(_SYMBOL, text) is not None


def _checked_symbol(text: str) -> str:
    if not is_symbol(text):
        raise ValueError(f"{_SYMBOL_RULE}, and without * and ?")
    return text


def _checked_wildcards(text: str) -> str:
    if re.fullmatch(_SYMBOL_OR_WILDCARDS, text) is None:
        raise ValueError(_SYMBOL_RULE)
    return text


Symbol = Annotated[
    str,
    AfterValidator(_checked_symbol),
    Field(min_length=1, max_length=SYMBOL_MAX, json_schema_extra={"pattern": _SYMBOL}),
]
SymbolPattern = Annotated[
    str,
    AfterValidator(_checked_wildcards),
    Field(min_length=1, max_length=SYMBOL_MAX, json_schema_extra={"pattern": _SYMBOL_OR_WILDCARDS}),
]
"""A symbol, or a pattern of symbols: * is any text, ? any character."""


def checked_set(values: list[str]) -> list[str]:
    """The values, if each is given once. Raises ValueError otherwise."""
    repeated = sorted({value for value in values if values.count(value) > 1}) if len(set(values)) < len(values) else []
    if repeated:
        raise ValueError(f"expected each symbol once; repeated: {', '.join(repeated)}")
    return values


SymbolSet = Annotated[
    list[Symbol],
    AfterValidator(checked_set),
    Field(min_length=1, max_length=1000, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


def immutable(field: str) -> Rule:
    """The rule that a field of a spec keeps the value, or the absence, from creation."""
    name = to_camel(field)
    return Rule(
        cel=f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})",
        message=f"{name} is immutable: delete the resource and create a new one",
        holds=lambda new, old: getattr(new, field) == getattr(old, field),
        transition=True,
    )


def exactly_one_of(*fields: str) -> Rule:
    """The rule that exactly one of the fields is set."""
    names = [to_camel(f) for f in fields]
    return Rule(
        cel=" + ".join(f"(has(self.{n}) ? 1 : 0)" for n in names) + " == 1",
        message="expected exactly one of " + ", ".join(names),
        holds=lambda new, _old: sum(getattr(new, f) is not None for f in fields) == 1,
    )


RANGE_RULE = Rule(
    cel="!has(self.from) || !has(self.to) || self.from < self.to",
    message="expected from to be earlier than to",
    holds=lambda new, _old: new.from_ is None or new.to is None or parse_time(new.from_) < parse_time(new.to),
)


class StoreRange(Model):
    """Bars of the store: symbols of one exchange, with open times in [from, to)."""

    exchange: Exchange = Field(description="Exchange id as ccxt names it, such as coinbase.")
    symbols: SymbolSet = Field(description="Unified symbols, such as BTC/USD.")
    interval: Interval = Field(default="1m", description="Length of a bar.")
    from_: Time | None = Field(
        default=None, alias="from", description="First open time; that of the first stored bar if omitted."
    )
    to: Time | None = Field(default=None, description="Open time to stop before; after the last stored bar if omitted.")
    rules: ClassVar[tuple[Rule, ...]] = (RANGE_RULE,)

    def __eq__(self, other: object) -> bool:
        """Equality as in CEL: symbols are a set, and times with different offsets may be equal."""
        return isinstance(other, StoreRange) and self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        ends = (None if end is None else parse_time(end) for end in (self.from_, self.to))
        return (self.exchange, frozenset(self.symbols), self.interval, *ends)


ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]


def no_own_secret(field: str) -> Rule:
    """The rule that a field names no Secret of Tapedeck's own."""
    name = to_camel(field)
    return Rule(
        cel=f"!has(self.{name}) || !self.{name}.matches('{OWN_SECRETS}')",
        message=f"expected {name} to name a Secret of yours, not one of Tapedeck's own (tapedeck-…)",
        holds=lambda new, _old: getattr(new, field) is None or not is_own_secret(getattr(new, field)),
    )


NonNegative = Annotated[float, Field(ge=0)]
