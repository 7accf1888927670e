"""A sweep: the params to try, the search, and the objective."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Model, Rule, immutable

TRIALS_MAX = 100_000
SHARDS_MAX = 256
DAY_MS = 86_400_000

# Metrics of a run that rank trials; the results have the same names in snake_case.
Metric = Literal[
    "finalValue", "returnPercent", "maxDrawdownPercent", "sharpe", "trades", "winRatePercent", "profitFactor",
    "averageTrade", "exposurePercent", "cagrPercent", "sortino", "calmar", "sqn", "expectancyRatio",
]  # fmt: skip

Number = Annotated[float, Field(ge=-1e12, le=1e12)]


class Axis(Model):
    """One param and its values: a list of numbers or texts, or a range of numbers."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)] = Field(
        description="Name of the param in the strategy's class."
    )
    values: Annotated[list[Number], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="Numbers to try; 0 and 1 for a boolean."
    )
    texts: Annotated[list[Annotated[str, Field(max_length=253)]], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="Texts to try."
    )
    from_: Number | None = Field(default=None, alias="from", description="Lower bound.")
    to: Number | None = Field(default=None, description="Upper bound.")
    step: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        default=None,
        description="Step between the numbers; any number in the range if omitted. The numbers are integers where "
        "from, to and step are.",
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.values) ? 1 : 0) + (has(self.texts) ? 1 : 0) + (has(self.from) ? 1 : 0) == 1 "
            "&& has(self.from) == has(self.to) && (!has(self.step) || has(self.from))",
            message="expected values, or texts, or from and to",
            holds=lambda new, _old: (
                sum(each is not None for each in (new.values, new.texts, new.from_)) == 1
                and (new.from_ is None) == (new.to is None)
                and (new.step is None or new.from_ is not None)
            ),
        ),
        Rule(
            cel="!has(self.from) || !has(self.to) || self.from < self.to",
            message="expected from to be less than to",
            holds=lambda new, _old: new.from_ is None or new.to is None or new.from_ < new.to,
        ),
    )


class Objective(Model):
    """The metric that ranks trials."""

    metric: Metric = Field(default="sharpe", description="Metric of the trial.")
    direction: Literal["maximize", "minimize"] = Field(
        default="maximize", description="Whether higher or lower is better."
    )


class Constraint(Model):
    """A condition for a trial to be feasible."""

    metric: Metric = Field(description="Metric of the trial.")
    min: Number | None = Field(default=None, description="Minimum.")
    max: Number | None = Field(default=None, description="Maximum.")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.min) || has(self.max)",
            message="expected min, max or both",
            holds=lambda new, _old: new.min is not None or new.max is not None,
        ),
    )


class WalkForward(Model):
    """Rolling windows: search in-sample, then trade the best out-of-sample."""

    train_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        description="Length of the in-sample part of a window, days."
    )
    test_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        description="Length of the out-of-sample part after it, days; also the step between windows."
    )
    warmup_bars: Annotated[int, Field(ge=0, le=100_000)] | None = Field(
        default=None,
        description="Number of bars of each symbol before an out-of-sample part to warm up indicators; as many as the "
        "indicators of the strategy need if omitted.",
    )


class Sweep(Model):
    """Many trials of one strategy over the same bars, distributed to several pods."""

    search: Literal["grid", "random", "tpe"] = Field(
        default="grid",
        description="grid: every combination. random: drawn at random. tpe: Optuna's tree-structured Parzen estimator, "
        "which learns from earlier trials.",
    )
    params: Annotated[list[Axis], Field(min_length=1, max_length=16)] = Field(description="The params to try.")
    trials: Annotated[int, Field(ge=1, le=TRIALS_MAX)] | None = Field(
        default=None, description="Number of trials of a random or tpe search; a grid has one for each combination."
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(default=0, description="Seed of the random numbers.")
    objective: Objective = Field(
        default_factory=Objective, description="The metric that ranks trials.", json_schema_extra={"default": {}}
    )
    constraints: Annotated[list[Constraint], Field(max_length=16)] = Field(
        default_factory=list,
        description="Conditions for a trial to be feasible: only feasible ones can be best.",
        json_schema_extra={"default": []},
    )
    shards: Annotated[int, Field(ge=1, le=SHARDS_MAX)] = Field(
        default=1, description="Number of parts of the trials, one pod for each."
    )
    parallelism: Annotated[int, Field(ge=1, le=SHARDS_MAX)] | None = Field(
        default=None,
        description="Maximum number of pods at the same time; all if omitted. May be changed during the run.",
    )
    keep: Annotated[int, Field(ge=1, le=10)] = Field(default=5, description="Number of best trials in the status.")
    walk_forward: WalkForward | None = Field(
        default=None, description="Search in rolling windows; over the whole range if omitted."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(self.search == 'grid') != has(self.trials)",
            message="expected trials with search random or tpe, and no trials with grid",
            holds=lambda new, _old: (new.search == "grid") != (new.trials is not None),
        ),
        Rule(
            cel="self.search != 'grid' || self.params.all(a, !has(a.from) || has(a.step))",
            message="expected values, texts or a step for each param of a grid",
            holds=lambda new, _old: (
                new.search != "grid" or all(a.from_ is None or a.step is not None for a in new.params)
            ),
        ),
        Rule(
            cel="self.params.all(a, self.params.exists_one(b, a.name == b.name))",
            message="expected each param once",
            holds=lambda new, _old: len({a.name for a in new.params}) == len(new.params),
        ),
        *map(
            immutable,
            ("search", "params", "trials", "seed", "objective", "constraints", "shards", "keep", "walk_forward"),
        ),
    )
