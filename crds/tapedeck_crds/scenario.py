"""What a Replay may do to the market that it plays, and to the way it is published."""

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
    """A factor."""

    factor: Factor = Field(description="1 changes nothing.")


class Shock(Model):
    """A move of the price that was not there; straight in log prices."""

    percent: Annotated[float, Field(ge=-99, le=1000)] = Field(description="How far prices move: -20 is a fall by 20 %.")
    duration: Annotated[float, Field(ge=0, le=366 * DAY_SECONDS)] = Field(
        default=0.0, description="Seconds until it has moved all the way; 0 is at once."
    )
    recovery: Annotated[float, Field(ge=0, le=366 * DAY_SECONDS)] = Field(
        default=0.0, description="Seconds that the way back takes; it stays where it is if 0."
    )
    recovered: Share = Field(default=100.0, description="How much of the move the recovery takes back, percent.")


class Trend(Model):
    """A steady move on top."""

    percent_per_day: Annotated[float, Field(ge=-99, le=1000)] = Field(description="Growth in 24 hours, percent.")


class Outage(Model):
    """Bars that are missing."""

    percent: Share = Field(default=100.0, description="Share of bars lost, percent.")


class ShuffleOptions(Model):
    """Segments of the tape in another order: a block bootstrap."""

    seconds: Annotated[int, Field(ge=1, le=366 * DAY_SECONDS)] = Field(
        description="Length of a segment, a whole number of intervals."
    )
    replace: bool = Field(default=False, description="Draw with replacement, so that some repeat and others are left.")


class Delay(Model):
    """Bars that come late."""

    seconds: Seconds = Field(default=0.0, description="How late each is, virtual seconds.")
    jitter: Seconds = Field(default=0.0, description="Up to how many virtual seconds more, each as likely.")


class Duplicates(Model):
    """Bars that come twice."""

    percent: Share = Field(description="Share of bars that come again, percent.")
    after: Seconds = Field(default=0.0, description="How much later the copy comes, virtual seconds.")


class Disorder(Model):
    """Bars that come behind later ones of their symbol."""

    percent: Share = Field(description="Share of bars that are held back, percent.")
    bars: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=1, description="Behind up to how many later intervals each comes, each as likely."
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
    """One change, of bars opened at or after `from` and before `to`; all of the tape if left out."""

    volatility: Scaled | None = Field(
        default=None,
        description="Factor on log returns in the window; later prices keep the level that comes of it.",
    )
    shock: Shock | None = Field(default=None, description="A move that begins at `from`.")
    trend: Trend | None = Field(default=None, description="A steady move in the window; its result stays.")
    spread: Scaled | None = Field(
        default=None, description="Factor on how far high and low reach beyond open and close, in logs."
    )
    volume: Scaled | None = Field(default=None, description="Factor on volumes.")
    outage: Outage | None = Field(default=None, description="The exchange is away: bars are missing.")
    shuffle: ShuffleOptions | None = Field(
        default=None, description="Segments in another order, prices joined end to end."
    )
    delay: Delay | None = Field(default=None, description="Bars come late.")
    duplicates: Duplicates | None = Field(default=None, description="Bars come twice.")
    disorder: Disorder | None = Field(default=None, description="Bars come out of order.")
    from_: Time | None = Field(default=None, alias="from", description="First open time to change.")
    to: Time | None = Field(default=None, description="Open time to stop before.")
    symbols: SymbolSet | None = Field(default=None, description="Which symbols; all if left out.")
    seed: Seed = Field(default=0, description="Another seed chooses other bars.")
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
            message="expected neither from, to nor symbols with shuffle: it is of the whole tape",
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
