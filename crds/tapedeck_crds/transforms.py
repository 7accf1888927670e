"""What a Feed or a Replay says of series that are computed from its records as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from tapedeck_crds.base import Interval, Model, ObjectName, Rule, exactly_one_of
from tapedeck_crds.exchange import Channel

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

    over: Annotated[int, Field(ge=1, le=1000)] = Field(default=5, description="How many values it is over.")


class DifferenceTransform(Model):
    """The value less another."""

    reference: TransformName = Field(
        default=PREVIOUS,
        description="What is taken away: previous, the value before, or the name of a transform of the same records.",
    )


class FilterTransform(Model):
    """Lets values pass, and drops the others."""

    above: float | None = Field(default=None, description="Pass what is greater than this.")
    below: float | None = Field(default=None, description="Pass what is less than this.")
    by: TransformName | None = Field(
        default=None,
        description="Name of a transform of the same records whose value decides; the value itself if left out.",
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
        description="Length of a bar. Where it is no multiple of the records' own there is no result."
    )


class FunctionTransform(Model):
    """A Python function of the last records, oldest first: a list of dicts, the newest last, to a number or None.

    A record has the fields that it has on the log; where input names a transform it has ts and value
    (what a filter lets pass stays what it is).
    """

    module: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$", max_length=253)] = Field(
        description="The function as package.module:name, in the image or in a ConfigMap."
    )
    config_map: ObjectName | None = Field(
        default=None, description="A ConfigMap of the namespace with the module: a file a key, such as mine.py."
    )
    lookback: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="How many records it is given; it is not called before there are as many."
    )
    seconds: Annotated[float, Field(ge=0.01, le=60)] = Field(
        default=1.0,
        description="The longest that a call may take, seconds. One that takes longer is ended and has no result; "
        "after five in a row the function is not called any more.",
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
    """One series computed from the records, or from another transform's results."""

    name: TransformName = Field(description="Name of the series.")
    channel: Channel | None = Field(default=None, description="Which records it is computed from; bars if left out.")
    interval: Interval | None = Field(default=None, description="Only bars of this length; each length if left out.")
    field: MarketField | None = Field(
        default=None, description="Which of their fields is the value; close of bars, else price, if left out."
    )
    input: TransformName | None = Field(
        default=None, description="Name of the transform whose results it is computed from, in place of records."
    )
    sma: AverageTransform | None = Field(
        default=None, description="The simple mean. There is none before there are as many."
    )
    ema: AverageTransform | None = Field(
        default=None,
        description="The exponential mean with weight 2/(over+1), of the last 4·over values, which have 99.9 % of it. "
        "There is none before there are over of them.",
    )
    change: DifferenceTransform | None = Field(
        default=None, description="The value less the one before, or less a transform's."
    )
    filter: FilterTransform | None = Field(default=None, description="Only values in a range.")
    resample: ResampleTransform | None = Field(
        default=None, description="Bars of a longer interval, each once it is over; one that began earlier is left out."
    )
    function: FunctionTransform | None = Field(
        default=None,
        description="A Python function of yours, run by a process of its own. One that raises has no result for that "
        "record, which is kept in ingest_errors.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("sma", "ema", "change", "filter", "resample", "function"),
        Rule(
            cel=f"self.name != '{PREVIOUS}'",
            message=f"expected another name than {PREVIOUS}, which is the value before",
            holds=lambda new, _old: new.name != PREVIOUS,
        ),
        Rule(
            cel="!has(self.input) || !(has(self.channel) || has(self.interval) || has(self.field))",
            message="expected input, or channel, interval and field: not both",
            holds=lambda new, _old: new.input is None or (new.channel, new.interval, new.field) == (None, None, None),
        ),
        Rule(
            cel="!has(self.interval) || !has(self.channel) || self.channel == 'bars'",
            message="expected interval with bars alone",
            holds=lambda new, _old: new.interval is None or new.channel in (None, "bars"),
        ),
        _field_rule(),
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The transforms that it builds on."""
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
    message="expected input, by and reference of transforms to name others of them",
    holds=lambda new, _old: _all_known(new),
)


def channels_rule(brought: str, message: str, channels: Callable[[Any], Sequence[str]]) -> Rule:
    """The rule that transforms are of records that there are: ``brought`` is a list in CEL, ``channels`` the same."""
    return Rule(
        cel="!has(self.transforms) || self.transforms.all(t, has(t.input) || "
        f"(has(t.channel) ? t.channel : 'bars') in {brought})",
        message=f"expected the channel of transforms (bars if left out) to be one that comes: {message}",
        holds=lambda new, _old: all(
            each.input is not None or (each.channel or "bars") in channels(new) for each in new.transforms or ()
        ),
    )


class TransformProgress(Model):
    """What a transform has come to."""

    name: str = Field(description="Name of the transform.")
    points: int = Field(default=0, description="Results published since its pod was started.")
    errors: int = Field(
        default=0, description="Records without a result because the function failed; see ingest_errors."
    )
    lookback: int = Field(default=0, description="Records before a result that it depends on, where none are left out.")
    message: str | None = Field(default=None, description="What is wrong with it.")
