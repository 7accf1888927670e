"""Feed: market data onto the log."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from tapedeck_crds.base import Files, Model, Rule, exactly_one_of, immutable
from tapedeck_crds.pod import PodOptions
from tapedeck_crds.resource import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    PHASE_COLUMN,
    PROGRESS_COLUMN,
    SUSPEND_FIELD,
    TTL_FIELD,
    Column,
    Resource,
    Status,
)


class FeedSource(Model):
    """Where the data comes from."""

    files: Files | None = Field(default=None, description="Recorded or historical data in files.")
    rules: ClassVar[tuple[Rule, ...]] = (exactly_one_of("files"),)


class FeedSpec(PodOptions):
    """What to bring in."""

    source: FeedSource = Field(description="Where the data comes from.")
    suspend: bool = SUSPEND_FIELD
    ttl_seconds_after_finished: int | None = TTL_FIELD
    rules: ClassVar[tuple[Rule, ...]] = (*PodOptions.rules, immutable("source"))


class FeedStatus(Status):
    """How far a Feed is."""

    bars: int | None = Field(default=None, description="Bars published.")
    trades: int | None = Field(default=None, description="Trades published.")
    duplicates: int | None = Field(default=None, description="Rows that repeated another and were dropped.")
    errors: int | None = Field(default=None, description="Rows that could not be read; see ingest_errors.")


class Feed(Resource):
    """Brings trades and bars of an exchange onto the log."""

    kind: Literal["Feed"]
    spec: FeedSpec
    status: FeedStatus | None = None

    plural: ClassVar[str] = "feeds"
    short_names: ClassVar[tuple[str, ...]] = ("fd",)
    about: ClassVar[str] = "A Feed brings trades and bars of an exchange onto the log, from where they are stored."
    columns: ClassVar[tuple[Column, ...]] = (
        PHASE_COLUMN,
        Column(name="Bars", type="integer", json_path=".status.bars"),
        Column(name="Errors", type="integer", json_path=".status.errors"),
        PROGRESS_COLUMN,
        AGE_COLUMN,
        MESSAGE_COLUMN,
    )
