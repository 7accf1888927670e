"""Every kind of resource, and what they have in common."""

from tapedeck_crds.backtest import Backtest, BacktestSpec, BacktestStatus
from tapedeck_crds.feed import Feed, FeedSpec, FeedStatus
from tapedeck_crds.parse import InvalidResource, parse_resource, parse_update
from tapedeck_crds.replay import Replay, ReplaySpec, ReplayStatus
from tapedeck_crds.resource import API_VERSION, GROUP, VERSION, Condition, Metadata, Phase, Resource

KINDS: dict[str, type[Resource]] = {"Feed": Feed, "Replay": Replay, "Backtest": Backtest}

__all__ = [
    "API_VERSION",
    "GROUP",
    "KINDS",
    "VERSION",
    "Backtest",
    "BacktestSpec",
    "BacktestStatus",
    "Condition",
    "Feed",
    "FeedSpec",
    "FeedStatus",
    "InvalidResource",
    "Metadata",
    "Phase",
    "Replay",
    "ReplaySpec",
    "ReplayStatus",
    "Resource",
    "parse_resource",
    "parse_update",
]
