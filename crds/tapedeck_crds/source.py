"""The sources of a Replay: the store, files, a topic, or a synthetic market."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from tapedeck_crds.base import (
    RANGE_RULE,
    Exchange,
    Model,
    NonNegative,
    Rule,
    StoreRange,
    Symbol,
    SymbolPattern,
    Time,
    checked_set,
    exactly_one_of,
    parse_time,
)
from tapedeck_crds.exchange import Endpoints
from tapedeck_crds.files import Files
from tapedeck_crds.intervals import Interval

SEED_MAX = 2**53 - 1  # the largest integer that every JSON parser keeps exactly
BARS_MAX = 1_000_000_000
Played = Literal["bars", "trades"]
Seed = Annotated[int, Field(ge=0, le=SEED_MAX)]
Positive = Annotated[float, Field(gt=0, le=1e12)]


class SyntheticSymbol(Model):
    """One synthetic market."""

    symbol: Symbol = Field(description="Unified symbol, such as BTC/USD.")
    price: Positive = Field(default=100.0, description="Price before the first bar, in the quote currency.")
    drift: Annotated[float, Field(ge=-10, le=10)] = Field(
        default=0.0, description="Growth rate of the expected price per year of 365 days: 0.1 is about 10 %."
    )
    volatility: Annotated[float, Field(ge=0, le=10)] = Field(
        default=0.6, description="Standard deviation of log returns per year of 365 days: 0.6 is about 60 %."
    )
    volume: NonNegative = Field(default=1.0, description="Mean volume of a bar, in the base currency.")


class Jumps(Model):
    """Merton's jumps: a Poisson process with normally distributed log sizes."""

    per_year: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        description="Expected number of jumps of each symbol per year of 365 days."
    )
    mean: Annotated[float, Field(ge=-1, le=1)] = Field(default=0.0, description="Mean of a jump's log size.")
    deviation: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="Standard deviation of a jump's log size."
    )


class Regime(Model):
    """A regime of volatility: one state of a Markov chain."""

    volatility: Annotated[float, Field(ge=0, le=100)] = Field(
        description="Factor on the volatility of every symbol in this regime."
    )
    mean_bars: Annotated[float, Field(ge=1, le=BARS_MAX)] = Field(
        description="Mean number of bars in this regime; the next one is chosen uniformly among the others."
    )


Row = Annotated[list[Annotated[float, Field(ge=-1, le=1)]], Field(min_length=1, max_length=64)]


class Synthetic(Model):
    """A market generated from a seed: the same spec always gives the same bars."""

    exchange: Exchange = Field(default="synthetic", description="Exchange id of the published bars.")
    symbols: Annotated[list[SyntheticSymbol], Field(min_length=1, max_length=64)] = Field(description="The markets.")
    interval: Interval = Field(default="1m", description="Length of a bar.")
    from_: Time | None = Field(
        default=None,
        alias="from",
        description="Open of the first bar, a whole number of intervals; 2024-01-01T00:00:00Z if omitted.",
    )
    to: Time | None = Field(default=None, description="Open time to stop before.")
    bars: Annotated[int, Field(ge=1, le=BARS_MAX)] | None = Field(
        default=None, description="Number of bars of each symbol."
    )
    seed: Seed = Field(default=0, description="Seed of the random numbers.")
    correlation: Annotated[list[Row], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Correlation matrix of the symbols' diffusions, one row for each in their order: symmetric, 1 on "
        "the diagonal, positive semidefinite; uncorrelated if omitted.",
    )
    jumps: Jumps | None = Field(
        default=None, description="Jumps in addition to the diffusion (Merton); none if omitted."
    )
    regimes: Annotated[list[Regime], Field(min_length=2, max_length=8)] | None = Field(
        default=None,
        description="Volatility clusters: states of a Markov chain that all symbols share, starting in the first.",
    )
    volume_deviation: Annotated[float, Field(ge=0, le=3)] = Field(
        default=0.5, description="Standard deviation of the logarithm of a bar's volume."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("bars", "to"),
        RANGE_RULE,
        Rule(
            cel="self.symbols.all(a, self.symbols.exists_one(b, a.symbol == b.symbol))",
            message="expected each symbol once",
            holds=lambda new, _old: len({each.symbol for each in new.symbols}) == len(new.symbols),
        ),
        Rule(
            cel="!has(self.correlation) || size(self.correlation) == size(self.symbols)",
            message="expected correlation to have a row for each symbol",
            holds=lambda new, _old: new.correlation is None or len(new.correlation) == len(new.symbols),
        ),
        Rule(
            cel="self.interval != '1M'",
            message="expected an interval of bars of equal lengths, not 1M",
            holds=lambda new, _old: new.interval != "1M",
        ),
    )

    def __eq__(self, other: object) -> bool:
        """As in CEL: a point in time is the same in every offset."""
        return isinstance(other, Synthetic) and meaning(self) == meaning(other)


def meaning(model: Model) -> dict[str, object]:
    """The fields as CEL compares them: points in time, and texts in a set (x-kubernetes-list-type)."""
    fields: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if name in ("from_", "to") and value is not None:
            value = parse_time(value)
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = frozenset(value)
        fields[name] = value
    return fields


SymbolPatterns = Annotated[
    list[SymbolPattern],
    AfterValidator(checked_set),
    Field(min_length=1, max_length=1000, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


def is_pattern(symbol: str) -> bool:
    """Whether the symbol is a pattern."""
    return "*" in symbol or "?" in symbol


def matching_symbols(symbols: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The symbols that match at least one pattern, in their order; * matches any text, ? any character."""
    return [symbol for symbol in symbols if any(fnmatchcase(symbol, pattern) for pattern in patterns)]


class StoredBars(StoreRange):
    """A range of the store: symbols of one exchange, with open times in [from, to)."""

    symbols: SymbolPatterns = Field(
        description="Unified symbols, such as BTC/USD, or patterns, such as */USD: * is any text, ? any character. "
        "Patterns are resolved when the Replay starts."
    )


class TopicRange(Model):
    """The records of a topic up to its end when the Replay starts: a market topic, or that of another Replay."""

    name: Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        description="Name of the topic, which must exist."
    )
    exchange: Exchange | None = Field(
        default=None, description="Exchange id; may be omitted if the topic has only one."
    )
    symbols: SymbolPatterns | None = Field(
        default=None, description="Unified symbols or patterns, such as */USD; all if omitted."
    )
    interval: Interval | None = Field(
        default=None, description="Length of a bar; may be omitted if the topic has only one."
    )
    from_: Time | None = Field(default=None, alias="from", description="First open time to include.")
    to: Time | None = Field(default=None, description="Open time to stop before.")
    from_offset: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="First offset in each partition; the earliest available if omitted."
    )
    rules: ClassVar[tuple[Rule, ...]] = (RANGE_RULE,)

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set, and a point in time is the same in every offset."""
        return isinstance(other, TopicRange) and meaning(self) == meaning(other)


class ReplaySource(Model):
    """The data to play: exactly one source."""

    channel: Played = Field(
        default="bars",
        description="bars, or single trades, each published at its own time in the order of time and symbol, then of "
        "ids that count up, or of arrival. With trades, from and to are times of trades, and interval (1m if omitted) "
        "is only the length of a step.",
    )
    fill: bool = Field(
        default=False,
        description="Before the start, download the bars of the range that the store lacks, by a Feed of its own. Bars "
        "that the exchange does not have stay missing.",
    )
    endpoints: Endpoints | None = Field(default=None, description="Hosts to use in place of the exchange's, with fill.")
    store: StoredBars | None = Field(
        default=None,
        description="A range of the store. Symbols and range are resolved when the Replay starts; rows that are stored "
        "later are played if they are ahead of the position.",
    )
    files: Files | None = Field(default=None, description="Data in files.")
    topic: TopicRange | None = Field(default=None, description="Records of a topic.")
    synthetic: Synthetic | None = Field(default=None, description="Bars of a market generated from a seed.")
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("store", "files", "topic", "synthetic"),
        Rule(
            cel="self.channel == 'bars' || !has(self.synthetic)",
            message="expected channel: bars with synthetic, which has no trades",
            holds=lambda new, _old: new.channel == "bars" or new.synthetic is None,
        ),
        Rule(
            cel="self.channel == 'bars' || !has(self.files) || !has(self.files.kind) || self.files.kind == 'trades'",
            message="expected files of kind trades with channel: trades",
            holds=lambda new, _old: new.channel == "bars" or new.files is None or new.files.kind != "bars",
        ),
        Rule(
            cel="!self.fill || (self.channel == 'bars' && has(self.store) && has(self.store.from))",
            message="expected a store with from, and channel: bars, with fill: true",
            holds=lambda new, _old: (
                not new.fill or (new.channel == "bars" and new.store is not None and new.store.from_ is not None)
            ),
        ),
        Rule(
            cel="!has(self.endpoints) || (has(self.fill) && self.fill)",
            message="expected fill: true beside endpoints",
            holds=lambda new, _old: new.endpoints is None or new.fill,
        ),
    )
