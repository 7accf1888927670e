"""Every kind of resource."""

from __future__ import annotations

from typing import TypeAlias

from tapedeck_crds.backtest import Backtest, BacktestSpec, BacktestStatus
from tapedeck_crds.feed import Feed, FeedSpec, FeedStatus
from tapedeck_crds.replay import Replay, ReplaySpec, ReplayStatus
from tapedeck_crds.resource import API_VERSION, GROUP, VERSION, Condition, Metadata, Phase

AnyResource: TypeAlias = Feed | Replay | Backtest
KINDS: dict[str, type[Feed] | type[Replay] | type[Backtest]] = {"Feed": Feed, "Replay": Replay, "Backtest": Backtest}

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "VERSION",
    "AnyResource",
    "Backtest",
    "BacktestSpec",
    "BacktestStatus",
    "Condition",
    "Feed",
    "FeedSpec",
    "FeedStatus",
    "Metadata",
    "Phase",
    "Replay",
    "ReplaySpec",
    "ReplayStatus",
]
