"""Feed: market data onto the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from tapedeck_crds.backfill import Backfill, BackfillProgress
from tapedeck_crds.base import Exchange, Files, Model, Rule, exactly_one_of, immutable
from tapedeck_crds.exchange import ChannelSet, Endpoints, IntervalSet, SecretName, WantedSet
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    Column,
    Resource,
    Status,
    Suspend,
    TimeToLive,
)
from tapedeck_crds.transforms import NAMES_RULE, OptionalTransforms, TransformProgress, channels_rule

LIVE_FIELDS = (
    "symbols", "channels", "intervals", "fill", "lateness", "endpoints", "api_key_secret", "shards", "backfill",
)  # fmt: skip


def _needs(field: str, other: str) -> Rule:
    """The rule that a field is of no use without another."""
    name, needed = to_camel(field), to_camel(other)
    return Rule(
        cel=f"!has(self.{name}) || has(self.{needed})",
        message=f"expected {needed} beside {name}",
        holds=lambda new, _old: getattr(new, field) is None or getattr(new, other) is not None,
    )


def _brought(spec: FeedSpec) -> Sequence[str]:
    if spec.source is not None and spec.source.files is not None:
        return ("trades", "bars") if spec.source.files.of_trades else ("bars",)
    return spec.channels or ("trades", "bars")


class FeedSource(Model):
    """Where the data comes from."""

    files: Files | None = Field(default=None, description="Recorded or historical data in files.")
    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("files"),)


class FeedSpec(PodOptions):
    """What to bring in: files, or an exchange live."""

    source: FeedSource | None = Field(default=None, description="Data that is there already; this or exchange.")
    exchange: Exchange | None = Field(
        default=None,
        description="Id of an exchange of ccxt.pro, such as binance, or cryptocompare: its market is brought in live.",
    )
    symbols: WantedSet | None = Field(
        default=None,
        description="Unified symbols, such as BTC/USDT, or patterns, such as */USDT. A pattern means what the exchange "
        "trades when a pod starts; a market that opens later joins when the pods are started again. Live, one that is "
        "named and not traded is left out, which the status says; a backfill brings its past. Of cryptocompare "
        "BTC/USD is the index over all exchanges, which has bars and a ticker; BTC/USD:Coinbase is one exchange's.",
    )
    channels: ChannelSet | None = Field(
        default=None,
        description="What to bring of each symbol; trades and bars if left out. Bars are built from trades where "
        "these are brought too or the exchange sends no bars, else they are the exchange's own.",
    )
    intervals: IntervalSet | None = Field(default=None, description="Lengths of the bars; 1m if left out.")
    fill: Literal["none", "previous"] | None = Field(
        default=None,
        description="Bars of intervals without a trade. none (if left out): there is no bar. previous: a bar at the "
        "last close with volume 0.",
    )
    lateness: Annotated[float, Field(ge=0, le=3600)] | None = Field(
        default=None,
        description="Seconds that a bar waits for late trades after its end, by the exchange's clock; 2 if left out. "
        "What comes later still is published as a correction.",
    )
    endpoints: Endpoints | None = Field(default=None, description="Other hosts for the exchange's own.")
    api_key_secret: SecretName | None = Field(
        default=None,
        description="Name of a Secret with apiKey and, where the exchange has them, secret and password. Market data "
        "needs none on most exchanges.",
    )
    shards: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Number of pods that share the symbols; 1 if left out."
    )
    backfill: Backfill | None = Field(
        default=None, description="Bars of the past, brought by pods of their own beside those that listen live."
    )
    transforms: OptionalTransforms = None
    suspend: Suspend = False
    ttl_seconds_after_finished: TimeToLive = None
    rules: ClassVar[tuple[Rule, ...]] = (
        *PodOptions.rules,
        exactly_one_of("source", "exchange"),
        _needs("exchange", "symbols"),
        *(_needs(field, "exchange") for field in LIVE_FIELDS),
        immutable("source"),
        immutable("exchange"),
        immutable("backfill"),
        NAMES_RULE,
        channels_rule(
            "(has(self.channels) ? self.channels : has(self.source) && has(self.source.files) && "
            "!self.source.files.format.endsWith('-trades') ? ['bars'] : ['trades', 'bars'])",
            "of channels (trades and bars if left out), or what the files hold",
            _brought,
        ),
        Rule(
            cel="!has(self.transforms) || !has(self.backfill) || !has(self.backfill.only) || !self.backfill.only",
            message="expected transforms without backfill.only: they are computed from what comes live",
            holds=lambda new, _old: not new.transforms or new.backfill is None or not new.backfill.only,
        ),
    )


class FeedStatus(Status):
    """How far a Feed is."""

    bars: int | None = Field(default=None, description="Bars published.")
    trades: int | None = Field(default=None, description="Trades published.")
    duplicates: int | None = Field(default=None, description="Rows that repeated another and were dropped.")
    errors: int | None = Field(default=None, description="Rows that could not be read; see ingest_errors.")
    tickers: int | None = Field(default=None, description="Tickers published.")
    symbols: int | None = Field(default=None, description="Symbols that are brought in live.")
    late: int | None = Field(default=None, description="Trades that came after the close of their bar.")
    missing: int | None = Field(default=None, description="Trades that the exchange could not give any more.")
    reconnects: int | None = Field(default=None, description="Connections that broke and were made again.")
    clock_skew_ms: int | None = Field(
        default=None, description="Milliseconds by which the exchange's clock is ahead of the pod's."
    )
    backfill: list[BackfillProgress] | None = Field(default=None, description="How far each pod of a backfill is.")
    transforms: list[TransformProgress] | None = Field(default=None, description="What each transform has come to.")


class Feed(Resource[FeedSpec, FeedStatus]):
    """Brings trades and bars of an exchange onto the log."""

    kind: Literal["Feed"]

    status_type: ClassVar[type[Status]] = FeedStatus
    plural: ClassVar[str] = "feeds"
    short_names: ClassVar[tuple[str, ...]] = ("fd",)
    about: ClassVar[str] = "A Feed brings trades, bars and tickers of an exchange onto the log: live, or from files."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        Column(name="Exchange", type="string", json_path=".spec.exchange", priority=1),
        Column(name="Bars", type="integer", json_path=".status.bars"),
        Column(name="Errors", type="integer", json_path=".status.errors"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
