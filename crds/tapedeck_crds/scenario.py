"""Scenarios: changes to the market data of a Replay and to its publication."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tapedeck_crds.base import RANGE_RULE, Model, Rule, SymbolSet, Time, exactly_one_of
from tapedeck_crds.source import Seed, meaning

DAY_SECONDS = 86_400
CHANGES_MAX = 20

Factor = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=100)]
Seconds = Annotated[float, Field(ge=0, le=DAY_SECONDS)]


class Scaled(Model):
    """A constant factor."""

    factor: Factor = Field(description="Factor; 1 changes nothing.")


class Shock(Model):
    """An additional move of the price, linear in log prices."""

    percent: Annotated[float, Field(ge=-99, le=1000)] = Field(description="Size of the move: -20 is a fall by 20 %.")
    duration: Annotated[float, Field(ge=0, le=366 * DAY_SECONDS)] = Field(
        default=0.0, description="Duration of the move, seconds; 0 is at once."
    )
    recovery: Annotated[float, Field(ge=0, le=366 * DAY_SECONDS)] = Field(
        default=0.0, description="Duration of the recovery, seconds; no recovery if 0."
    )
    recovered: Share = Field(default=100.0, description="Share of the move that the recovery reverses, percent.")


class Trend(Model):
    """An additional constant drift."""

    percent_per_day: Annotated[float, Field(ge=-99, le=1000)] = Field(description="Growth in 24 hours, percent.")


class Outage(Model):
    """Bars that are missing."""

    percent: Share = Field(default=100.0, description="Share of bars lost, percent.")


class ShuffleOptions(Model):
    """The segments of the range in another order: a block bootstrap."""

    seconds: Annotated[int, Field(ge=1, le=366 * DAY_SECONDS)] = Field(
        description="Length of a segment, a whole number of intervals."
    )
    replace: bool = Field(
        default=False, description="Draw with replacement: some segments repeat and others are left out."
    )


class Delay(Model):
    """Bars that are published late."""

    seconds: Seconds = Field(default=0.0, description="Delay of each bar, virtual seconds.")
    jitter: Seconds = Field(
        default=0.0, description="Maximum of an additional random delay (uniform), virtual seconds."
    )


class Duplicates(Model):
    """Bars that are published twice."""

    percent: Share = Field(description="Share of bars that are published twice, percent.")
    after: Seconds = Field(default=0.0, description="Delay of the copy, virtual seconds.")


class Disorder(Model):
    """Bars that are published after later bars of their symbol."""

    percent: Share = Field(description="Share of bars that are published out of order, percent.")
    bars: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="Maximum of the random (uniform) number of later intervals that precede such a bar."
    )


_KINDS = (
    "volatility",
    "shock",
    "trend",
    "spread",
    "volume",
    "outage",
    "shuffle",
    "delay",
    "duplicates",
    "disorder",
)


class ScenarioChange(Model):
    """One change of the bars with open times in [from, to); of the whole range if omitted."""

    volatility: Scaled | None = Field(
        default=None,
        description="Factor on log returns in the window; later prices keep the resulting level.",
    )
    shock: Shock | None = Field(default=None, description="A move that begins at `from`.")
    trend: Trend | None = Field(
        default=None, description="A constant drift in the window; later prices keep the resulting level."
    )
    spread: Scaled | None = Field(
        default=None, description="Factor on the distance of high and low from open and close, in log prices."
    )
    volume: Scaled | None = Field(default=None, description="Factor on volumes.")
    outage: Outage | None = Field(default=None, description="An outage of the exchange: bars are missing.")
    shuffle: ShuffleOptions | None = Field(
        default=None, description="Segments in another order, prices joined end to end."
    )
    delay: Delay | None = Field(default=None, description="Bars are published late.")
    duplicates: Duplicates | None = Field(default=None, description="Bars are published twice.")
    disorder: Disorder | None = Field(default=None, description="Bars are published out of order.")
    from_: Time | None = Field(default=None, alias="from", description="First open time to change.")
    to: Time | None = Field(default=None, description="Open time to stop before.")
    symbols: SymbolSet | None = Field(default=None, description="Symbols to change; all if omitted.")
    seed: Seed = Field(default=0, description="Seed of the random choice of bars.")
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of(*_KINDS),
        RANGE_RULE,
        Rule(
            cel="!has(self.shock) || (has(self.from) && !has(self.to))",
            message="expected from, and no to, with shock",
            holds=lambda new, _old: new.shock is None or (new.from_ is not None and new.to is None),
        ),
        Rule(
            cel="!has(self.shuffle) || !(has(self.from) || has(self.to) || has(self.symbols))",
            message="expected no from, to or symbols with shuffle: it changes the whole range",
            holds=lambda new, _old: new.shuffle is None or not (new.from_ or new.to or new.symbols),
        ),
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set, and a point in time is the same in every offset."""
        return isinstance(other, ScenarioChange) and meaning(self) == meaning(other)


Scenario = Annotated[list[ScenarioChange], Field(min_length=1, max_length=CHANGES_MAX)]
SHUFFLE_RULE = Rule(
    cel="!has(self.scenario) || self.scenario.filter(s, has(s.shuffle)).size() <= 1",
    message="expected at most one shuffle in scenario",
    holds=lambda new, _old: sum(each.shuffle is not None for each in new.scenario or ()) <= 1,
)
