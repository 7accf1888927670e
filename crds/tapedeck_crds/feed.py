"""Feed: market data of an exchange or of files, published to the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from tapedeck_crds.backfill import Backfill, BackfillProgress
from tapedeck_crds.base import Exchange, Model, ObjectName, Rule, exactly_one_of, immutable, no_own_secret
from tapedeck_crds.exchange import ChannelSet, Endpoints, IntervalSet, WantedSet
from tapedeck_crds.files import Files
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.refusals import RefusedRows
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    ActiveDeadline,
    Column,
    Resource,
    Status,
    Suspend,
    TimeToLive,
)
from tapedeck_crds.session import Session
from tapedeck_crds.transforms import NAMES_RULE, OptionalTransforms, TransformProgress, channels_rule

LIVE_FIELDS = (
    "symbols", "channels", "intervals", "fill", "lateness", "endpoints", "api_key_secret", "shards", "backfill",
)  # fmt: skip


def _needs(field: str, other: str) -> Rule:
    """The rule that a field requires another."""
    name, needed = to_camel(field), to_camel(other)
    return Rule(
        cel=f"!has(self.{name}) || has(self.{needed})",
        message=f"expected {needed} beside {name}",
        holds=lambda new, _old: getattr(new, field) is None or getattr(new, other) is not None,
    )


def _channels(spec: FeedSpec) -> Sequence[str]:
    if spec.source is not None and spec.source.files is not None:
        return ("bars",) if spec.source.files.kind == "bars" else ("trades", "bars")
    return spec.channels or ("trades", "bars")


class FeedSource(Model):
    """A source of recorded data."""

    files: Files | None = Field(default=None, description="Recorded or historical data in files.")
    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("files"),)


class FeedSpec(PodOptions):
    """Files to import, or an exchange to subscribe to."""

    source: FeedSource | None = Field(default=None, description="Recorded data. Either source or exchange is required.")
    exchange: Exchange | None = Field(
        default=None,
        description="Id of an exchange of ccxt.pro, such as binance, or cryptocompare: its live market is ingested.",
    )
    symbols: WantedSet | None = Field(
        default=None,
        description="Unified symbols, such as BTC/USDT, or patterns, such as */USDT. A pattern selects the symbols "
        "that the exchange trades when a pod starts; symbols listed later, after a restart. A live Feed leaves "
        "out named symbols that are not traded, and the status lists them; a backfill downloads their history. On "
        "cryptocompare BTC/USD is the index over all exchanges, with bars and a ticker, and BTC/USD:Coinbase the "
        "market of one exchange.",
    )
    channels: ChannelSet | None = Field(
        default=None,
        description="Data to ingest of each symbol; trades and bars if omitted. Bars are built from trades where "
        "trades are ingested, too, or the exchange sends no bars; otherwise they are those of the exchange.",
    )
    intervals: IntervalSet | None = Field(default=None, description="Lengths of the bars; 1m if omitted.")
    fill: Literal["none", "previous"] | None = Field(
        default=None,
        description="Bars of intervals without a trade. none (the default): no bar. previous: a bar at the last close "
        "with volume 0.",
    )
    lateness: Annotated[float, Field(ge=0, le=3600)] | None = Field(
        default=None,
        description="Seconds after its close, by the exchange's clock, that a bar waits for late trades; 2 if omitted. "
        "Later trades are published as a correction of the bar.",
    )
    endpoints: Endpoints | None = Field(default=None, description="Hosts to use in place of the exchange's.")
    api_key_secret: ObjectName | None = Field(
        default=None,
        description="Name of a Secret with apiKey and, where the exchange needs them, secret and password. On most "
        "exchanges market data needs no key.",
    )
    shards: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Number of pods that share the symbols; 1 if omitted."
    )
    backfill: Backfill | None = Field(
        default=None, description="Historical bars, downloaded by pods of their own beside the live ones."
    )
    max_refused_percent: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None,
        description="Share of rows or messages, in percent, above which refused ones make the Feed Degraded; 1 if "
        "omitted. A Feed that takes no row fails.",
    )
    session: Session | None = Field(
        default=None,
        description="When the market trades, and its time zone, for the catalogue: Backtests and charts of these "
        "symbols use it. If omitted, the catalogue keeps what it has; a market without any trades without a break. In "
        "files, bars of a day or longer have their dates in its zone.",
    )
    transforms: OptionalTransforms = None
    suspend: Suspend = False
    active_deadline_seconds: ActiveDeadline = None
    ttl_seconds_after_finished: TimeToLive = None
    rules: ClassVar[tuple[Rule, ...]] = (
        *PodOptions.rules,
        exactly_one_of("source", "exchange"),
        _needs("exchange", "symbols"),
        *(_needs(field, "exchange") for field in LIVE_FIELDS),
        Rule(
            cel="!has(self.activeDeadlineSeconds) || has(self.source) || has(self.backfill)",
            message="expected source or backfill beside activeDeadlineSeconds: a live Feed has no end",
            holds=lambda new, _old: (
                new.active_deadline_seconds is None or new.source is not None or new.backfill is not None
            ),
        ),
        immutable("source"),
        immutable("exchange"),
        immutable("backfill"),
        no_own_secret("api_key_secret"),
        NAMES_RULE,
        channels_rule(
            "(has(self.channels) ? self.channels : has(self.source) && has(self.source.files) && "
            "has(self.source.files.kind) && self.source.files.kind == 'bars' ? ['bars'] : ['trades', 'bars'])",
            "one of channels (trades and bars if omitted), or of the files",
            _channels,
        ),
        Rule(
            cel="!has(self.transforms) || !has(self.backfill) || !has(self.backfill.only) || !self.backfill.only",
            message="expected no transforms with backfill.only: they are computed from live records",
            holds=lambda new, _old: not new.transforms or new.backfill is None or not new.backfill.only,
        ),
    )


class FeedStatus(Status):
    """The state and the progress of a Feed."""

    bars: int | None = Field(default=None, description="Bars published.")
    trades: int | None = Field(default=None, description="Trades published.")
    duplicates: int | None = Field(default=None, description="Duplicate rows, which were dropped.")
    errors: int | None = Field(
        default=None, description="Rows and messages that were refused or lost; see the table ingest_errors."
    )
    refused_rows: int | None = Field(
        default=None, description="Rows and messages that were refused, a part of the errors."
    )
    refused: list[RefusedRows] | None = Field(
        default=None, description="The first three distinct reasons for which rows were refused."
    )
    tickers: int | None = Field(default=None, description="Tickers published.")
    symbols: int | None = Field(default=None, description="Symbols that are ingested live.")
    late: int | None = Field(default=None, description="Trades received after the close of their bar.")
    missing: int | None = Field(
        default=None, description="Trades that are missing: lost, or absent from files by ids that count up."
    )
    gaps: int | None = Field(default=None, description="Gaps that the missing trades make; see the table gaps.")
    reconnects: int | None = Field(default=None, description="Reconnects after a lost connection.")
    clock_skew_ms: int | None = Field(
        default=None, description="Milliseconds by which the exchange's clock is ahead of the pod's."
    )
    backfill: list[BackfillProgress] | None = Field(default=None, description="Progress of each pod of a backfill.")
    transforms: list[TransformProgress] | None = Field(default=None, description="The results of each transform.")


class Feed(Resource[FeedSpec, FeedStatus]):
    """Publishes trades, bars and tickers of an exchange to the log."""

    kind: Literal["Feed"]

    status_type: ClassVar[type[Status]] = FeedStatus
    plural: ClassVar[str] = "feeds"
    short_names: ClassVar[tuple[str, ...]] = ("fd",)
    about: ClassVar[str] = "A Feed publishes trades, bars and tickers of an exchange to the log: live, or from files."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        Column(name="Exchange", type="string", json_path=".spec.exchange", priority=1),
        Column(name="Bars", type="integer", json_path=".status.bars"),
        Column(name="Errors", type="integer", json_path=".status.errors"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
