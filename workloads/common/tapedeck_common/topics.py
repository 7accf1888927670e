"""Names of topics and consumer groups."""

from __future__ import annotations

import zlib

MARKET_TRADES = "market.trades"
MARKET_TICKERS = "market.tickers"
MARKET_BARS = "market.bars"
MARKET_INGEST = "market.ingest"
MARKET_POINTS = "market.points"
RESULTS = "backtest.results"

# Created by `tapedeck migrate`. The number of partitions never changes: keys would move to other partitions.
PERMANENT_TOPICS = (MARKET_TRADES, MARKET_TICKERS, MARKET_BARS, MARKET_INGEST, MARKET_POINTS, RESULTS)
PERMANENT_PARTITIONS = 12

RECORDER_GROUP = "tapedeck-recorder"
SINK_GROUP_PREFIX = "tapedeck-sink-"

REPLAY_PREFIX = "tapedeck.replay."
POINTS_PREFIX = "tapedeck.points."
TRANSFORM_GROUP_PREFIX = "tapedeck-transform-"


def replay_topic(uid: str) -> str:
    """The topic of a replay. The consumer group that holds the replay's position has the same name."""
    return f"{REPLAY_PREFIX}{uid}"


def points_topic(uid: str) -> str:
    """The topic of the results of a replay's transforms."""
    return f"{POINTS_PREFIX}{uid}"


def shard_of(key: str, shards: int) -> int:
    """The partition of a replay's topic that holds a key: crc32(key) mod shards."""
    return zlib.crc32(key.encode()) % shards
