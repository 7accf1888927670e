"""Builds the source that a spec names, and the dataset that an earlier pod resolved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tapedeck_common import wire
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.replay import ReplaySpec
from tapedeck_replay.errors import InvalidReplay
from tapedeck_replay.source.dataset import BarSource, Dataset, RecordSource

if TYPE_CHECKING:
    from tapedeck_common.files import FilesAccess

# Sources are imported where they are built: a replay of the store needs neither pyarrow nor the market models.


def create_source(
    spec: ReplaySpec, connections: Connections, settings: PodSettings, topic: str, heartbeat: Callable[[], None]
) -> RecordSource:
    """The source that the spec names, with the changes of its scenario.

    ``topic`` is the one that the replay publishes to. ``heartbeat`` is called at intervals while the source reads
    before the first record; it raises ReplayStopped when the pod must stop.
    """
    if spec.source.channel == "trades":
        return _trade_source(spec, connections, settings, topic, heartbeat)
    source = _bar_source(spec, connections, settings, topic, heartbeat)
    if spec.scenario is None:
        return source
    from tapedeck_replay.scenario.source import ScenarioSource

    return ScenarioSource(source, spec.scenario, heartbeat)


def dataset_of(spec: ReplaySpec, start: wire.ReplayStart) -> Dataset:
    """The dataset that a topic's ``start`` record describes."""
    lateness = 0
    if spec.scenario is not None:
        from tapedeck_replay.scenario.schedule import max_lateness

        lateness = max_lateness(spec.scenario, BAR_LENGTHS[start.interval].ms)
    return Dataset(
        start.exchange,
        tuple(start.symbols),
        start.interval,
        start.range_from,
        start.range_to,
        start.rows,
        start.fingerprint,
        lateness,
        start.channel,
        start.built_from,
    )


def _files_access(settings: PodSettings) -> FilesAccess:
    from tapedeck_common.files import FilesAccess

    return FilesAccess(settings.files, settings.file_credentials, settings.endpoints, settings.deck_home)


def _trade_source(
    spec: ReplaySpec, connections: Connections, settings: PodSettings, topic: str, heartbeat: Callable[[], None]
) -> RecordSource:
    if spec.source.store is not None:
        from tapedeck_replay.source.store.trades import StoreTradeSource

        return StoreTradeSource(connections, spec.source.store, topic)
    if spec.source.files is not None:
        from tapedeck_replay.source.files.source import FileTradeSource

        return FileTradeSource(spec.source.files, _files_access(settings), heartbeat)
    if spec.source.topic is not None:
        from tapedeck_replay.source.topic.codec import TradeCodec
        from tapedeck_replay.source.topic.source import TopicSource

        codec = TradeCodec(spec.source.topic.interval or "1m")
        return TopicSource(connections, spec.source.topic, codec, topic, heartbeat)
    raise InvalidReplay("BadSpec", "source: got one without trades, expected store, files or topic")


def _bar_source(
    spec: ReplaySpec, connections: Connections, settings: PodSettings, topic: str, heartbeat: Callable[[], None]
) -> BarSource:
    if spec.source.store is not None:
        from tapedeck_replay.source.store.bars import StoreBarSource

        return StoreBarSource(connections, spec.source.store, topic)
    if spec.source.files is not None:
        from tapedeck_replay.source.files.source import FileBarSource

        return FileBarSource(spec.source.files, _files_access(settings), heartbeat)
    if spec.source.synthetic is not None:
        from tapedeck_replay.source.synthetic.source import SyntheticSource

        return SyntheticSource(spec.source.synthetic)
    if spec.source.topic is not None:
        from tapedeck_replay.source.topic.codec import BarCodec
        from tapedeck_replay.source.topic.source import TopicSource

        return TopicSource(connections, spec.source.topic, BarCodec(), topic, heartbeat)
    raise InvalidReplay("BadSpec", "source: got none, expected exactly one")
