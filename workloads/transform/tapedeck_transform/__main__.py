"""``python -m tapedeck_transform``: the pod that computes the transforms of a Feed or a Replay."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tapedeck_common import topics
from tapedeck_common.kafka import admin, consumer
from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload, log_failure, run_pod, with_failure
from tapedeck_common.sandbox.descendants import adopt_orphans, sweep
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_common.topic_admin import ensure_topics
from tapedeck_crds.base import time_ms
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.report import Report, ReportState
from tapedeck_crds.transforms import Transform
from tapedeck_transform.execution_plan import sort_by_dependency
from tapedeck_transform.functions import UserFunctions
from tapedeck_transform.offsets import GroupOffsets
from tapedeck_transform.pipeline import LogUncertain, TransformPipeline
from tapedeck_transform.publisher import PointPublisher
from tapedeck_transform.stats import TransformStats
from tapedeck_transform.topic_selection import TopicSelection, select_feed, select_replay
from tapedeck_transform.warmup import WarmupReader

POLL_SECONDS = 0.5
_FUNCTIONS = "TAPEDECK_FUNCTIONS_"


class TransformWorkload(Workload):
    """Computes the transforms of one Feed or Replay.

    Invalid transforms do not end the pod, since the Feed or the Replay continues: it reports them until the spec
    changes.
    """

    def __init__(self, settings: PodSettings) -> None:
        super().__init__()
        self._settings = settings
        self._state: ReportState = "starting"
        self._reason = self._message = ""
        self._stats = TransformStats(())
        self._transforms: Sequence[Transform] = ()
        self._functions: UserFunctions | None = None
        self._pipeline: TransformPipeline | None = None
        self._invalid: InvalidInput | None = None

    def report(self) -> Report:
        """The state, and each transform's counts."""
        names = [each.name for each in self._transforms]
        problems = {name: self._functions.problem(name) for name in names} if self._functions is not None else {}
        lookbacks = self._pipeline.lookbacks if self._pipeline is not None else {}
        transforms = self._stats.report(lookbacks, problems)
        report = Report(state=self._state, reason=self._reason, message=self._message, transforms=transforms)
        return report if self._invalid is None else with_failure(report, self._invalid)

    def ready(self) -> bool:
        """Whether transforms are computed."""
        return self._state in ("running", "complete")

    def run(self) -> None:
        """Compute until a stop. Raises KafkaException and psycopg.Error where a restart may help."""
        try:
            selection = self._read_spec()
            adopt_orphans()
            self._functions = functions = UserFunctions(
                self._transforms, _mounted_folders(), self._settings.hidden_folders, self._settings.files
            )
            functions.start()
        except InvalidInput as error:
            self._state = "failed"
            self._invalid = InvalidInput(str(error), reason="BadTransforms")
            log_failure(self._invalid)
            self.stop_requested.wait()
            return
        try:
            self._compute(selection, functions, Connections.read(self._settings.connections))
        finally:
            functions.close()
            sweep()

    def _read_spec(self) -> TopicSelection:
        settings = self._settings
        spec: FeedSpec | ReplaySpec
        spec = settings.parse_spec(ReplaySpec) if settings.kind == "Replay" else settings.parse_spec(FeedSpec)
        self._transforms = sort_by_dependency(spec.transforms or [])
        self._stats = TransformStats(spec.transforms or ())
        self.runs_foreign_code = any(each.function is not None for each in self._transforms)
        if isinstance(spec, FeedSpec):
            return select_feed(spec, self._transforms)
        return select_replay(spec, self._transforms, settings.uid, settings.name)

    def _compute(self, selection: TopicSelection, functions: UserFunctions, connections: Connections) -> None:
        settings = self._settings
        name = f"{topics.TRANSFORM_GROUP_PREFIX}{settings.uid}"
        # Not "earliest": a pod whose log no longer holds its position ends, and its successor finds what was lost.
        reader = consumer(connections, name, name, {"enable.partition.eof": True, "auto.offset.reset": "error"})
        warmup = WarmupReader(connections)
        try:
            if not self._wait_for_topic(connections, selection):
                return
            topic = _ensure_points_topic(connections, selection)
            while not self.stop_requested.is_set():
                publisher = PointPublisher(connections, settings.name, topic, selection.recorded_as)
                self._pipeline = TransformPipeline(
                    reader,
                    GroupOffsets(connections, name, reader, self._transforms, publisher.outputs),
                    publisher,
                    selection,
                    self._transforms,
                    functions.call,
                    warmup,
                    self._stats,
                    self.stop_requested,
                )
                self._run(self._pipeline, selection)
        finally:
            reader.close()
            warmup.close()

    def _run(self, pipeline: TransformPipeline, selection: TopicSelection) -> None:
        """Compute until a stop, or until the log may have lost something."""
        since = self._settings.since
        try:
            pipeline.open(None if selection.replay else time_ms(since) if since else 0)
            self._state, self._reason = "running", "Transforming"
            if pipeline.run():
                self._state, self._reason = "complete", "Complete"
                pipeline.hold()
        except LogUncertain as error:
            log.warning("resuming", reason=str(error))

    def _wait_for_topic(self, connections: Connections, selection: TopicSelection) -> bool:
        """Wait until the topics exist: a Replay creates its own. False after a stop. Raises KafkaException."""
        client = admin(connections, "tapedeck-transform")
        while missing := [n for n in selection.channels if n not in client.list_topics(timeout=10).topics]:
            self._state, self._reason = "waiting", "WaitingForTopic"
            self._message = f"topic {missing[0]} does not exist yet"
            if self.stop_requested.wait(POLL_SECONDS):
                return False
        self._message = ""
        return True


def _mounted_folders() -> list[Path]:
    """The folders of the functions' ConfigMaps."""
    return [Path(os.environ[name]) for name in sorted(os.environ) if name.startswith(_FUNCTIONS)]


def _ensure_points_topic(connections: Connections, selection: TopicSelection) -> str:
    """The topic for points. A Replay has its own, which is created with as many partitions as the Replay's."""
    if not selection.replay:
        return topics.MARKET_POINTS
    client = admin(connections, "tapedeck-transform")
    replayed = topics.replay_topic(selection.replay)
    topic = topics.points_topic(selection.replay)
    ensure_topics(client, [topic], len(client.list_topics(replayed, timeout=10).topics[replayed].partitions))
    return topic


if __name__ == "__main__":
    run_pod("transform", PodSettings, TransformWorkload)
