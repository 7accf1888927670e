"""Which source a spec names, and the tape that an earlier life resolved it to."""

from __future__ import annotations

from collections.abc import Callable

from tapedeck_common import wire
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.base import INTERVAL_MS
from tapedeck_crds.replay import ReplaySpec
from tapedeck_replay.tape import BadInput, BarSource, Source, Tape

Pulse = Callable[[], None]


def source_of(spec: ReplaySpec, connections: Connections, settings: PodSettings, name: str, pulse: Pulse) -> Source:
    """The source that the spec names, changed as its scenario says.

    ``name`` is the topic it is played to; ``pulse`` is called now and then while much is read before the first bar.
    """
    if spec.source.channel == "trades":
        return _trade_source(spec, connections, settings, name, pulse)
    source = _bar_source(spec, connections, settings, name, pulse)
    if spec.scenario is None:
        return source
    from tapedeck_replay.scenario.source import ScenarioSource

    return ScenarioSource(source, spec.scenario, pulse)


def tape_of(spec: ReplaySpec, start: wire.Start) -> Tape:
    """The tape as the first record on the topic has it."""
    lateness = 0
    if spec.scenario is not None:
        from tapedeck_replay.scenario.schedule import lateness_of

        lateness = lateness_of(spec.scenario, INTERVAL_MS[start.interval])
    return Tape(
        start.exchange,
        tuple(start.symbols),
        start.interval,
        start.range_from,
        start.range_to,
        start.rows,
        start.fingerprint,
        lateness,
        start.channel,
    )


def _trade_source(spec: ReplaySpec, connections: Connections, settings: PodSettings, name: str, pulse: Pulse) -> Source:
    if spec.source.store is not None:
        from tapedeck_replay.store_trades import StoreTrades

        return StoreTrades(connections, spec.source.store, name)
    if spec.source.files is not None:
        from tapedeck_replay.file_trades import FileTrades

        return FileTrades(spec.source.files, settings.files, settings.file_credentials, pulse)
    if spec.source.topic is not None:
        from tapedeck_replay.topic_records import Trades
        from tapedeck_replay.topic_source import TopicSource

        return TopicSource(connections, spec.source.topic, Trades(spec.source.topic.interval or "1m"), name, pulse)
    raise BadInput("BadSpec", "source: got nothing that has trades, expected store, files or topic")


def _bar_source(
    spec: ReplaySpec, connections: Connections, settings: PodSettings, name: str, pulse: Pulse
) -> BarSource:
    if spec.source.store is not None:
        from tapedeck_replay.store_source import StoreSource

        return StoreSource(connections, spec.source.store, name)
    if spec.source.files is not None:
        from tapedeck_replay.file_source import FileSource

        return FileSource(spec.source.files, settings.files, settings.file_credentials, pulse)
    if spec.source.synthetic is not None:
        from tapedeck_replay.synthetic.source import SyntheticSource

        return SyntheticSource(spec.source.synthetic)
    if spec.source.topic is not None:
        from tapedeck_replay.topic_records import Bars
        from tapedeck_replay.topic_source import TopicSource

        return TopicSource(connections, spec.source.topic, Bars(), name, pulse)
    raise BadInput("BadSpec", "source: got none, expected exactly one")
