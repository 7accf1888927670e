"""Transforms: series that are computed from the records of a Feed or a Replay on arrival."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from tapedeck_crds.base import Model, ObjectName, Rule, exactly_one_of
from tapedeck_crds.exchange import Channel
from tapedeck_crds.intervals import Interval

PREVIOUS = "previous"
FIELDS: dict[str, tuple[str, ...]] = {
    "bars": ("close", "open", "high", "low", "volume"),
    "trades": ("price", "amount"),
    "ticker": ("price", "bid", "ask", "volume24h", "high24h", "low24h"),
}
MarketField = Literal[
    "close", "open", "high", "low", "volume", "price", "amount", "bid", "ask", "volume24h", "high24h", "low24h"
]
TransformName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$")]


class AverageTransform(Model):
    """A mean of the last values."""

    over: Annotated[int, Field(ge=1, le=1000)] = Field(default=5, description="Number of values.")


class DifferenceTransform(Model):
    """The difference to another value."""

    reference: TransformName = Field(
        default=PREVIOUS,
        description="The value to subtract: previous, or the name of a transform of the same records.",
    )


class FilterTransform(Model):
    """Passes some values and drops the others."""

    above: float | None = Field(default=None, description="Passes values greater than this.")
    below: float | None = Field(default=None, description="Passes values less than this.")
    by: TransformName | None = Field(
        default=None,
        description="Name of a transform of the same records whose value is compared; the value itself if omitted.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.above) || has(self.below)",
            message="expected above, below or both",
            holds=lambda new, _old: new.above is not None or new.below is not None,
        ),
    )


class ResampleTransform(Model):
    """Longer bars: open, high, low, close and the sum of the volumes."""

    interval: Interval = Field(
        description="Length of a bar; no results where it is not a multiple of the interval of the records."
    )


class FunctionTransform(Model):
    """A Python function from the last records, a list of dicts with the newest last, to a number or None.

    A record has its fields on the log. Where input names a transform, it has ts and value; records that a filter passes
    keep their fields.
    """

    module: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=253)] = Field(
        description="The function as package.module:name, in the image or in a ConfigMap."
    )
    config_map: ObjectName | None = Field(
        default=None, description="A ConfigMap of the namespace with the module; each key is a file, such as mine.py."
    )
    lookback: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="Number of records of a call; there are no calls before so many were received."
    )
    seconds: Annotated[float, Field(ge=0.01, le=60)] = Field(
        default=1.0,
        description="Time limit of a call, seconds. A call that takes longer is ended without a result; after five in "
        "a row the function is not called again.",
    )


def _field_fits(new: Any) -> bool:
    return new.field is None or new.field in FIELDS[new.channel or "bars"]


def _field_rule() -> Rule:
    names = {channel: "[" + ", ".join(f"'{name}'" for name in fields) + "]" for channel, fields in FIELDS.items()}
    return Rule(
        cel=f"!has(self.field) || (has(self.channel) && self.channel == 'trades' ? self.field in {names['trades']} : "
        f"has(self.channel) && self.channel == 'ticker' ? self.field in {names['ticker']} : "
        f"self.field in {names['bars']})",
        message="expected a field that the records have: "
        + "; ".join(f"{c}: {', '.join(f)}" for c, f in FIELDS.items()),
        holds=lambda new, _old: _field_fits(new),
    )


class Transform(Model):
    """One series, computed from records or from the results of another transform."""

    name: TransformName = Field(description="Name of the series.")
    channel: Channel | None = Field(default=None, description="The records to compute from; bars if omitted.")
    interval: Interval | None = Field(
        default=None, description="Only bars of this interval; every interval if omitted."
    )
    field: MarketField | None = Field(
        default=None, description="The field to compute from; close for bars, otherwise price, if omitted."
    )
    input: TransformName | None = Field(
        default=None, description="Name of a transform to compute from, instead of records."
    )
    sma: AverageTransform | None = Field(
        default=None, description="Simple moving average; no result before so many values."
    )
    ema: AverageTransform | None = Field(
        default=None,
        description="Exponential moving average with weight 2/(over+1), of the last 4·over values, which have 99.9 % "
        "of the weight; no result before over values.",
    )
    change: DifferenceTransform | None = Field(
        default=None, description="Difference to the previous value, or to that of a transform."
    )
    filter: FilterTransform | None = Field(default=None, description="Only the values in a range.")
    resample: ResampleTransform | None = Field(
        default=None,
        description="Bars of a longer interval, each after its close; an incomplete first one is left out.",
    )
    function: FunctionTransform | None = Field(
        default=None,
        description="Your Python function, run in a process of its own. A call that raises has no result, and its "
        "record is written to ingest_errors.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("sma", "ema", "change", "filter", "resample", "function"),
        Rule(
            cel=f"self.name != '{PREVIOUS}'",
            message=f"expected another name than {PREVIOUS}, which means the previous value",
            holds=lambda new, _old: new.name != PREVIOUS,
        ),
        Rule(
            cel="!has(self.input) || !(has(self.channel) || has(self.interval) || has(self.field))",
            message="expected either input, or channel, interval and field",
            holds=lambda new, _old: new.input is None or (new.channel, new.interval, new.field) == (None, None, None),
        ),
        Rule(
            cel="!has(self.interval) || !has(self.channel) || self.channel == 'bars'",
            message="expected interval only with bars",
            holds=lambda new, _old: new.interval is None or new.channel in (None, "bars"),
        ),
        _field_rule(),
    )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the transforms whose results it uses."""
        reference = self.change.reference if self.change is not None else PREVIOUS
        by = self.filter.by if self.filter is not None else None
        return tuple(n for n in (self.input, by, None if reference == PREVIOUS else reference) if n is not None)


def _named_once(values: list[Transform]) -> list[Transform]:
    names = [value.name for value in values]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each name once; repeated: {', '.join(repeated)}")
    return values


Transforms = Annotated[
    list[Transform],
    AfterValidator(_named_once),
    Field(
        min_length=1,
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]
OptionalTransforms = Annotated[
    Transforms | None,
    Field(
        description="Series that a pod of their own computes from the records on arrival. Results go to the topic "
        "market.points and the table points; those of a Replay go to tapedeck.points.<uid>, and to the table with "
        "record: true. Backfilled bars get no results, but count as earlier records.",
    ),
]


def _known(path: str, plain: str = "") -> str:
    parts = path.split(".")
    missing = " || ".join(f"!has(t.{'.'.join(parts[:n])})" for n in range(1, len(parts) + 1))
    return f"({missing}{plain} || self.transforms.exists(o, o.name == t.{path} && o.name != t.name))"


def _all_known(new: Any) -> bool:
    given = new.transforms or []
    names = {each.name for each in given}
    return all(name in names and name != each.name for each in given for name in each.names)


NAMES_RULE = Rule(
    cel="!has(self.transforms) || self.transforms.all(t, "
    + " && ".join(
        (_known("input"), _known("filter.by"), _known("change.reference", f" || t.change.reference == '{PREVIOUS}'"))
    )
    + ")",
    message="expected input, by and reference of transforms to be names of other transforms",
    holds=lambda new, _old: _all_known(new),
)


def channels_rule(available: str, message: str, channels: Callable[[Any], Sequence[str]]) -> Rule:
    """The rule that transforms use available channels: ``available`` is a list in CEL, ``channels`` the same here."""
    return Rule(
        cel="!has(self.transforms) || self.transforms.all(t, has(t.input) || "
        f"(has(t.channel) ? t.channel : 'bars') in {available})",
        message=f"expected the channel of transforms (bars if omitted) to be available: {message}",
        holds=lambda new, _old: all(
            each.input is not None or (each.channel or "bars") in channels(new) for each in new.transforms or ()
        ),
    )


class TransformProgress(Model):
    """The results of a transform."""

    name: str = Field(description="Name of the transform.")
    points: int = Field(default=0, description="Results published since the start of its pod.")
    errors: int = Field(default=0, description="Calls that failed; see the table ingest_errors.")
    lookback: int = Field(default=0, description="Number of earlier records that a result depends on.")
    message: str | None = Field(default=None, description="The current problem, if any.")
