"""What a Replay plays: stored bars, files, or a synthetic market."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from tapedeck_crds.base import (
    RANGE_RULE,
    Exchange,
    Files,
    Interval,
    Model,
    NonNegative,
    Rule,
    StoreRange,
    Symbol,
    Time,
    checked_set,
    exactly_one_of,
    parse_time,
)
from tapedeck_crds.exchange import Endpoints

SEED_MAX = 2**53 - 1  # what JSON's readers keep exactly
BARS_MAX = 1_000_000_000
Played = Literal["bars", "trades"]
Seed = Annotated[int, Field(ge=0, le=SEED_MAX)]
Positive = Annotated[float, Field(gt=0, le=1e12)]


class SyntheticSymbol(Model):
    """One market that is made up."""

    symbol: Symbol = Field(description="Unified symbol, such as BTC/USD.")
    price: Positive = Field(default=100.0, description="Price before the first bar, in the quote currency.")
    drift: Annotated[float, Field(ge=-10, le=10)] = Field(
        default=0.0, description="Growth rate of the expected price, a year of 365 days: 0.1 is about 10 percent."
    )
    volatility: Annotated[float, Field(ge=0, le=10)] = Field(
        default=0.6, description="Standard deviation of log returns, a year of 365 days: 0.6 is about 60 percent."
    )
    volume: NonNegative = Field(default=1.0, description="Mean volume of a bar, in the base currency.")


class Jumps(Model):
    """Merton's jumps: they come by a Poisson process, their log sizes are normal."""

    per_year: Annotated[float, Field(ge=0, le=1_000_000)] = Field(
        description="Expected jumps of each symbol in a year of 365 days."
    )
    mean: Annotated[float, Field(ge=-1, le=1)] = Field(default=0.0, description="Mean of a jump's log size.")
    deviation: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="Standard deviation of a jump's log size."
    )


class Regime(Model):
    """A state of the market in which it stays for a while."""

    volatility: Annotated[float, Field(ge=0, le=100)] = Field(
        description="Factor on every symbol's volatility while it lasts."
    )
    mean_bars: Annotated[float, Field(ge=1, le=BARS_MAX)] = Field(
        description="Mean number of bars until it is left for one of the others, each as likely."
    )


Row = Annotated[list[Annotated[float, Field(ge=-1, le=1)]], Field(min_length=1, max_length=64)]


class Synthetic(Model):
    """A market made up from a seed: the same spec gives the same bars, always."""

    exchange: Exchange = Field(default="synthetic", description="Exchange id under which it is published.")
    symbols: Annotated[list[SyntheticSymbol], Field(min_length=1, max_length=64)] = Field(description="Its markets.")
    interval: Interval = Field(default="1m", description="Length of a bar.")
    from_: Time | None = Field(
        default=None,
        alias="from",
        description="Open of the first bar, a whole number of intervals; 2024-01-01T00:00:00Z if left out.",
    )
    to: Time | None = Field(default=None, description="Open time to stop before.")
    bars: Annotated[int, Field(ge=1, le=BARS_MAX)] | None = Field(
        default=None, description="Number of bars of each symbol."
    )
    seed: Seed = Field(default=0, description="Another seed gives another market.")
    correlation: Annotated[list[Row], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Correlation of the symbols' diffusions, a row each in their order: symmetric, 1 on the diagonal, "
        "positive semidefinite; none if left out.",
    )
    jumps: Jumps | None = Field(default=None, description="Jumps beside the diffusion (Merton); none if left out.")
    regimes: Annotated[list[Regime], Field(min_length=2, max_length=8)] | None = Field(
        default=None,
        description="Volatility in clusters: states of a Markov chain that all symbols share; begins in the first.",
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


SymbolPattern = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9*?][A-Za-z0-9._/:*?-]*$")]
SymbolPatterns = Annotated[
    list[SymbolPattern],
    AfterValidator(checked_set),
    Field(min_length=1, max_length=1000, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


def is_pattern(symbol: str) -> bool:
    """Whether it stands for all that match it."""
    return "*" in symbol or "?" in symbol


class StoredBars(StoreRange):
    """What is kept in the store: some series of one exchange, opened at or after `from` and before `to`."""

    symbols: SymbolPatterns = Field(
        description="Unified symbols, such as BTC/USD, or patterns, such as */USD: * is any text, ? any character. "
        "What matches when the Replay starts is played."
    )


class TopicRange(Model):
    """What is on a topic, as far as it goes when the Replay starts: a market's, or another Replay's topic."""

    name: Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")] = Field(
        description="Name of the topic; it has to be there."
    )
    exchange: Exchange | None = Field(
        default=None, description="Exchange id; may be left out where the topic has one alone."
    )
    symbols: SymbolPatterns | None = Field(
        default=None, description="Unified symbols or patterns, such as */USD; all if left out."
    )
    interval: Interval | None = Field(
        default=None, description="Length of a bar; may be left out where the topic has one alone."
    )
    from_: Time | None = Field(default=None, alias="from", description="First open time to include.")
    to: Time | None = Field(default=None, description="Open time to stop before.")
    from_offset: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="Offset to begin at in each partition; the first there is if left out."
    )
    rules: ClassVar[tuple[Rule, ...]] = (RANGE_RULE,)

    def __eq__(self, other: object) -> bool:
        """As in CEL: symbols are a set, and a point in time is the same in every offset."""
        return isinstance(other, TopicRange) and meaning(self) == meaning(other)


class ReplaySource(Model):
    """What is played."""

    channel: Played = Field(
        default="bars",
        description="bars, or trades as they came: each due at its own time, in the order of time, symbol and id. "
        "With trades from, to are their times, and an interval (1m if left out) only says how far a step goes.",
    )
    fill: bool = Field(
        default=False,
        description="Have a Feed ask the exchange for the bars of the range that the store lacks, before the first is "
        "played. What the exchange does not have either stays missing.",
    )
    endpoints: Endpoints | None = Field(
        default=None, description="Other hosts for the exchange's own, where it is asked with fill."
    )
    store: StoredBars | None = Field(
        default=None,
        description="What is kept in the store. Symbols and range are settled when the Replay starts; what the store "
        "gets later within them is played if it lies ahead of the position, and else left out.",
    )
    files: Files | None = Field(default=None, description="What is in files.")
    topic: TopicRange | None = Field(default=None, description="What is on a topic.")
    synthetic: Synthetic | None = Field(default=None, description="A market of bars made up from a seed.")
    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one_of("store", "files", "topic", "synthetic"),
        Rule(
            cel="self.channel == 'bars' || !has(self.synthetic)",
            message="expected channel: bars with synthetic: trades are not made up",
            holds=lambda new, _old: new.channel == "bars" or new.synthetic is None,
        ),
        Rule(
            cel="self.channel == 'bars' || !has(self.files) || self.files.format.endsWith('-trades')",
            message="expected files of format binance-trades, csv-trades or parquet-trades with channel: trades",
            holds=lambda new, _old: new.channel == "bars" or new.files is None or new.files.of_trades,
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
