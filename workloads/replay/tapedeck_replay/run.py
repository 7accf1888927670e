"""One life of a replay's pod: from its spec to a playing deck, and what it reports meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from confluent_kafka import KafkaError, KafkaException

from tapedeck_common import wire
from tapedeck_common.kafka import admin, ensure_topics, error_of
from tapedeck_common.logs import log
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.topics import replay_topic
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.report import ReplayReport, ReportState
from tapedeck_replay import metrics
from tapedeck_replay.controls import Controls
from tapedeck_replay.copies import copies_of, market_topic
from tapedeck_replay.output import Output
from tapedeck_replay.player import Player, wall_ms
from tapedeck_replay.position import Position
from tapedeck_replay.recover import Past, recover, start_of_first
from tapedeck_replay.shard import shard_of_tape
from tapedeck_replay.sources import source_of, tape_of
from tapedeck_replay.tape import BadInput, Source, Stopped, Tape
from tapedeck_replay.writer import explain

RETENTION_MS = 7 * 24 * 3600 * 1000


class Run:
    """Holds what the probe's thread may ask at any time."""

    def __init__(self, settings: PodSettings, controls: Controls, on_hang: Callable[[], None]) -> None:
        self._on_hang = on_hang
        self._settings = settings
        self._controls = controls
        self._tape: Tape | None = None
        self._player: Player | None = None
        self._stopping = False
        self._pulsed = time.monotonic()
        self.topic = replay_topic(settings.uid)

    @property
    def ready(self) -> bool:
        """Whether it takes controls."""
        return self._player is not None

    @property
    def ticked(self) -> float:
        """When the loop last came around, or what it waits for went on; monotonic seconds."""
        return self._pulsed if self._player is None else max(self._pulsed, self._player.ticked)

    def stop(self) -> None:
        """End soon. Safe in a signal handler."""
        self._stopping = True
        if self._player is not None:
            self._player.stop()

    def play(self, spec: ReplaySpec, connections: Connections) -> None:
        """Play to the end. Raises BadInput, Fenced, Unavailable, and Stopped where a stop came before the end."""
        _check_identity(self._settings, spec.shards)
        source = source_of(spec, connections, self._settings, self.topic, self._pulse)
        _make_topic(connections, self.topic, spec.shards)
        shard, shared = self._settings.shard, spec.record or spec.target is not None
        if shared:
            _check_topic(connections, market_topic(spec))
        uid, wake = self._settings.uid, self._controls.wake.set
        output = Output(connections, self.topic, shard, uid, self._on_hang, wake, shared)
        try:
            output.open()
            past = recover(connections, output)
            log.info("opened", past=past.position is not None)
            start = self._resolved(past, spec, source, connections)
            self._tape = tape = shard_of_tape(tape_of(spec, start), shard, spec.shards)
            output.copies = copies_of(spec, self._settings.name, tape.exchange)
            player = Player(
                source,
                tape,
                output,
                self._controls,
                position=_position(past, tape, source),
                start=start if past.position is None and past.start is None else None,
                skip=spec.clock is not None and spec.clock.catch_up == "skip",
            )
            self._player = player
            if self._stopping:
                player.stop()
            if not player.play():
                raise Stopped("stopped before the end; the next start resumes")
        finally:
            output.close()

    def _resolved(self, past: Past, spec: ReplaySpec, source: Source, connections: Connections) -> wire.Start:
        """What is to be played: resolved by shard 0, for all shards and all their lives."""
        if past.start is None and self._settings.shard == 0:
            return self._start_record(spec, source.resolve())
        start = past.start or start_of_first(connections, self.topic, self._pulse)
        source.resume(tape_of(spec, start))
        return start

    def _pulse(self) -> None:
        self._pulsed = time.monotonic()
        if self._stopping:
            raise Stopped("stopped before the start; the next start begins again")

    def report(self) -> ReplayReport:
        tape, player = self._tape, self._player
        if tape is None or player is None:
            return ReplayReport(topic=self.topic)
        deck, committed = player.deck, player.committed
        position = deck.position(wall_ms())
        metrics.POSITION.set(position / 1000)
        return ReplayReport(
            state=self._state(player),
            message=player.message,
            topic=self.topic,
            range_from=tape.begin,
            range_to=tape.end,
            rows=tape.rows,
            passed=committed.passed or 0,
            published=committed.published,
            position=position,
            last_event=tape.last_event,
            interval_ms=tape.step,
            loop_round=deck.epoch.loop,
            stalled=deck.stalled,
            epoch=committed.epoch,
            anchor=deck.anchor,
        )

    def _state(self, player: Player) -> ReportState:
        if player.ended:
            return "complete" if player.over else "holding"
        if player.waiting:
            return "waiting"
        return "paused" if player.deck.held(wall_ms()) else "running"

    def _start_record(self, spec: ReplaySpec, tape: Tape) -> wire.Start:
        return wire.Start(
            uid=self._settings.uid,
            name=self._settings.name,
            namespace=self._settings.namespace,
            spec=msgspec.Raw(spec.model_dump_json(by_alias=True, exclude_none=True).encode()),
            exchange=tape.exchange,
            symbols=list(tape.symbols),
            interval=tape.interval,
            range_from=tape.start,
            range_to=tape.end,
            rows=tape.rows_of,
            fingerprint=tape.fingerprint,
            image=self._settings.image,
            channel=tape.channel,
        )


def _check_identity(settings: PodSettings, shards: int) -> None:
    if not settings.uid:
        raise BadInput("BadSettings", "TAPEDECK_UID: missing, expected the Replay's uid")
    if not 0 <= settings.shard < shards:
        raise BadInput("BadSettings", f"TAPEDECK_SHARD: got {settings.shard}, expected 0 to {shards - 1}")


def _make_topic(connections: Connections, topic: str, partitions: int) -> None:
    try:
        ensure_topics(admin(connections, topic), [topic], partitions, config={"retention.ms": str(RETENTION_MS)})
    except KafkaException as error:
        raise Unavailable(f"{topic}: {explain(error_of(error))}") from error


def _check_topic(connections: Connections, topic: str) -> None:
    try:
        fault = admin(connections, topic).list_topics(topic, timeout=10).topics[topic].error
    except KafkaException as error:
        raise Unavailable(f"{topic}: {explain(error_of(error))}") from error
    if fault is None:
        return
    if fault.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:  # such as no leader just now
        raise Unavailable(f"{topic}: {explain(fault)}")
    raise BadInput("NoTopic", f"{topic}: got {fault.str()}, expected the topic that `tapedeck migrate` makes")


def _position(past: Past, tape: Tape, source: Source) -> Position:
    if past.position is None:
        return Position(v=tape.begin, passed=0)
    if past.position.passed is None:  # the group had expired; its partition does not say this
        return msgspec.structs.replace(past.position, passed=source.count(tape, past.position.v))
    return past.position
