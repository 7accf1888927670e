"""The custom resources as types: the one place where a field of Feed, Replay and Backtest is defined.

The CRD YAML beside this package is generated from these types (``python -m tapedeck_crds``).
"""

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
