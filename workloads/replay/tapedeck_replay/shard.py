"""One shard of a replay: from its spec to a running player, and its report."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import msgspec
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tapedeck_common import wire
from tapedeck_common.kafka import admin, kafka_error
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_common.topics import replay_topic
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.report import ReplayReport, ReportState
from tapedeck_replay.clock.controls import ControlQueue
from tapedeck_replay.copy_losses import report_lost_copies
from tapedeck_replay.errors import InvalidReplay, ReplayStopped, describe_kafka_error
from tapedeck_replay.output.mirroring import market_topic, mirror_topics
from tapedeck_replay.output.partition_output import PartitionOutput
from tapedeck_replay.output.position import ReplayPosition
from tapedeck_replay.playback.cursor import position_after
from tapedeck_replay.playback.player import Player, PlayerState, wall_ms
from tapedeck_replay.recovery import RecoveredState, recover, release_mirrors, require_on_log, wait_for_start
from tapedeck_replay.source.dataset import Dataset, RecordSource
from tapedeck_replay.source_factory import create_source, dataset_of

RETENTION_MS = 7 * 24 * 3600 * 1000


class ReplayShard:
    """Plays one shard; the probe's thread reads its report, liveness and readiness at any time.

    ``on_hang`` is called, from a thread of its own, when a call of the Kafka client hangs.
    """

    def __init__(self, settings: PodSettings, controls: ControlQueue, on_hang: Callable[[], None]) -> None:
        self._on_hang = on_hang
        self._settings = settings
        self._controls = controls
        self._dataset: Dataset | None = None
        self._player: Player | None = None
        self._stopping = False
        self._last_heartbeat = time.monotonic()
        self.topic = replay_topic(settings.uid)

    @property
    def ready(self) -> bool:
        """Whether it accepts controls."""
        return self._player is not None

    @property
    def last_progress(self) -> float:
        """When the player's loop last began an iteration or, before that, a source read on; monotonic seconds."""
        if self._player is None:
            return self._last_heartbeat
        return max(self._last_heartbeat, self._player.last_iteration)

    def stop(self) -> None:
        """End soon. Safe in a signal handler."""
        self._stopping = True
        if self._player is not None:
            self._player.stop()

    def play(self, spec: ReplaySpec, connections: Connections) -> None:
        """Play to the end. Raises InvalidReplay, Fenced, Unavailable, and ReplayStopped after a stop before the end.

        The order guarantees exactly-once output: fence the predecessor, then read its position, then publish.
        """
        _check_identity(self._settings, spec.shards)
        source = create_source(spec, connections, self._settings, self.topic, self._heartbeat)
        _create_topic(connections, self.topic, spec.shards)
        mirrored = spec.record or spec.target is not None
        shared = _partitions(connections, market_topic(spec)) if mirrored else []
        shard, uid, wake = self._settings.shard, self._settings.uid, self._controls.wake.set
        output = PartitionOutput(connections, self.topic, shard, uid, self._on_hang, wake, shared)
        try:
            output.open()
            recovered = recover(connections, output)
            if recovered.position is not None:
                release_mirrors(connections, output)
            log.info("output opened", recovered=recovered.position is not None)
            start = self._start_record(recovered, spec, source, connections)
            self._dataset = dataset = dataset_of(spec, start).for_shard(shard, spec.shards)
            output.mirrors = mirror_topics(spec, self._settings.name, self._settings.uid, dataset.exchange)
            report_losses = partial(report_lost_copies, connections, output, self._settings.name)
            report_losses(recovered.copies)
            player = Player(
                source,
                dataset,
                output,
                self._controls,
                position=self._initial_position(recovered, dataset, source),
                start=start if recovered.position is None and recovered.start is None else None,
                require_on_log=partial(_check_log, connections, output, report_losses),
                skip=spec.clock is not None and spec.clock.catch_up == "skip",
            )
            self._player = player
            if self._stopping:
                player.stop()
            if not player.play():
                raise ReplayStopped("stopped before the end; the next pod resumes")
            release_mirrors(connections, output)
            report_losses()
        finally:
            output.close()

    def report(self) -> ReplayReport:
        """What /status and the termination message contain."""
        dataset, player = self._dataset, self._player
        if dataset is None or player is None:
            return ReplayReport(topic=self.topic)
        clock, committed = player.clock, player.committed
        wall = wall_ms()
        position = clock.position(wall)
        return ReplayReport(
            state=_report_state(player),
            message=player.message,
            topic=self.topic,
            range_from=dataset.virtual_start,
            range_to=dataset.end,
            rows=dataset.rows,
            passed=committed.passed or 0,
            published=committed.published,
            position=position,
            last_event=dataset.last_event,
            interval=dataset.interval,
            loop_round=clock.epoch.loop,
            stalled=clock.stalled,
            ahead=clock.is_ahead(wall),
            epoch=committed.epoch,
            anchor=clock.anchor,
        )

    def _start_record(
        self, recovered: RecoveredState, spec: ReplaySpec, source: RecordSource, connections: Connections
    ) -> wire.ReplayStart:
        """The record that describes the dataset: shard 0's first pod resolves it, for all shards and successors."""
        if recovered.start is None and self._settings.shard == 0:
            return _new_start_record(self._settings, spec, source.resolve())
        start = recovered.start or wait_for_start(connections, self._settings.uid, self._heartbeat)
        source.resume(dataset_of(spec, start))
        return start

    def _initial_position(self, recovered: RecoveredState, dataset: Dataset, source: RecordSource) -> ReplayPosition:
        position = recovered.position or ReplayPosition(v=dataset.virtual_start, passed=0)
        if position.passed is None:  # it is a watermark's, which does not contain the count
            position = msgspec.structs.replace(position, passed=source.count(dataset, position.v))
        return position_after(source, dataset, position, recovered.trailing, self._heartbeat)

    def _heartbeat(self) -> None:
        """Reading before the first record makes progress. Raises ReplayStopped after ``stop``."""
        self._last_heartbeat = time.monotonic()
        if self._stopping:
            raise ReplayStopped("stopped before the first record was published; the next pod starts again")


def _check_log(
    connections: Connections, output: PartitionOutput, report_losses: Callable[[], None], position: ReplayPosition
) -> None:
    """What to do where a transaction was aborted: the broker may have lost records. Raises Unavailable."""
    require_on_log(connections, output, position)
    report_losses()


def _report_state(player: Player) -> ReportState:
    if player.state is PlayerState.ENDED:
        return "complete" if player.complete else "holding"
    if player.state is PlayerState.WAITING:
        return "waiting"
    return "paused" if player.clock.is_held(wall_ms()) else "running"


def _new_start_record(settings: PodSettings, spec: ReplaySpec, dataset: Dataset) -> wire.ReplayStart:
    return wire.ReplayStart(
        uid=settings.uid,
        name=settings.name,
        namespace=settings.namespace,
        spec=msgspec.Raw(spec.model_dump_json(by_alias=True, exclude_none=True).encode()),
        exchange=dataset.exchange,
        symbols=list(dataset.symbols),
        interval=dataset.interval,
        range_from=dataset.start,
        range_to=dataset.end,
        rows=dataset.rows_by_symbol,
        fingerprint=dataset.fingerprint,
        image=settings.image,
        channel=dataset.channel,
        built_from=dict(dataset.built_from),
    )


def _check_identity(settings: PodSettings, shards: int) -> None:
    if not settings.uid:
        raise InvalidReplay("BadSettings", "TAPEDECK_UID: missing, expected the Replay's uid")
    if not 0 <= settings.shard < shards:
        raise InvalidReplay("BadSettings", f"TAPEDECK_SHARD: got {settings.shard}, expected 0 to {shards - 1}")


def _create_topic(connections: Connections, topic: str, partitions: int) -> None:
    try:
        ensure_topics(admin(connections, topic), [topic], partitions, config={"retention.ms": str(RETENTION_MS)})
    except KafkaException as error:
        raise Unavailable(f"{topic}: {describe_kafka_error(kafka_error(error))}") from error


def _partitions(connections: Connections, topic: str) -> list[TopicPartition]:
    """The partitions of a topic that must exist."""
    try:
        found = admin(connections, topic).list_topics(topic, timeout=10).topics[topic]
    except KafkaException as failure:
        raise Unavailable(f"{topic}: {describe_kafka_error(kafka_error(failure))}") from failure
    if found.error is None:
        return [TopicPartition(topic, number) for number in found.partitions]
    if found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:  # for example, its leader is being elected
        raise Unavailable(f"{topic}: {describe_kafka_error(found.error)}")
    problem = f"{topic}: got {found.error.str()}, expected the topic that `tapedeck migrate` creates"
    raise InvalidReplay("NoTopic", problem)
