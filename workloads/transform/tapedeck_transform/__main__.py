"""``python -m tapedeck_transform``: the pod that computes a Feed's or a Replay's series."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tapedeck_common import topics
from tapedeck_common.kafka import admin, consumer, ensure_topics
from tapedeck_common.pod.shell import Workload, log_failure, run_pod, with_failure
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.base import time_ms
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.replay import ReplaySpec
from tapedeck_crds.report import Report, ReportState
from tapedeck_crds.transforms import Transform
from tapedeck_transform import market_of
from tapedeck_transform.functions import Functions
from tapedeck_transform.layout import BadTransforms, channels_of, ordered
from tapedeck_transform.market_of import Market
from tapedeck_transform.output import Output
from tapedeck_transform.prime import Past
from tapedeck_transform.run import Run
from tapedeck_transform.tally import Tally

LOOK_SECONDS = 0.5
_FUNCTIONS = "TAPEDECK_FUNCTIONS_"


class TransformSettings(PodSettings):
    """``kind`` says what the spec is. Variables TAPEDECK_FUNCTIONS_<n> name the folders of ConfigMaps."""

    kind: Literal["Feed", "Replay"] = "Feed"


class TransformWorkload(Workload):
    """Computes the transforms of one Feed or Replay.

    Transforms that cannot be computed do not end the pod: it reports them until the spec changes.
    """

    def __init__(self, settings: TransformSettings) -> None:
        super().__init__()
        self._settings = settings
        self._state: ReportState = "starting"
        self._reason = self._message = ""
        self._tally = Tally(())
        self._transforms: Sequence[Transform] = ()
        self._functions: Functions | None = None
        self._run: Run | None = None
        self._invalid: InvalidInput | None = None

    def report(self) -> Report:
        """The state, and each transform's counts."""
        names = [each.name for each in self._transforms]
        problems = {name: self._functions.problem(name) for name in names} if self._functions is not None else {}
        lookbacks = self._run.lookbacks if self._run is not None else {}
        told = self._tally.report(lookbacks, problems)
        report = Report(state=self._state, reason=self._reason, message=self._message, transforms=told)
        return report if self._invalid is None else with_failure(report, self._invalid)

    def ready(self) -> bool:
        """Whether transforms are computed."""
        return self._state in ("running", "complete")

    def run(self) -> None:
        """Compute until a stop. Raises KafkaException and psycopg.Error where a restart may help."""
        try:
            market = self._read_spec()
            self._functions = Functions(self._transforms, self._folders())
            self._functions.start()
        except InvalidInput as error:
            self._state = "failed"
            self._invalid = InvalidInput(str(error), reason="BadTransforms")
            log_failure(self._invalid)
            self.stop_requested.wait()
            return
        try:
            self._compute(market, Connections.read(self._settings.connections))
        finally:
            self._functions.close()

    def _read_spec(self) -> Market:
        settings = self._settings
        spec: FeedSpec | ReplaySpec
        spec = settings.parse_spec(FeedSpec) if settings.kind == "Feed" else settings.parse_spec(ReplaySpec)
        self._transforms = ordered(spec.transforms or [])
        self._tally = Tally(spec.transforms or ())
        if isinstance(spec, FeedSpec):
            return market_of.of_feed(spec, self._transforms)
        market = market_of.of_replay(spec, settings.uid, settings.name)
        played = next(iter(market.channels.values()))
        if others := [name for name, channel in channels_of(self._transforms).items() if channel != played]:
            raise BadTransforms(f"transforms: {', '.join(others)}: not of {played}, which is what the Replay plays")
        return market

    def _folders(self) -> list[Path]:
        told = sorted(name for name in os.environ if name.startswith(_FUNCTIONS))
        return [*(Path(os.environ[name]) for name in told), self._settings.files]

    def _compute(self, market: Market, connections: Connections) -> None:
        settings = self._settings
        name = f"{topics.TRANSFORM_GROUP_PREFIX}{settings.uid}"
        reader = consumer(connections, name, name, {"enable.partition.eof": True})
        past = Past(connections)
        try:
            if not self._wait_for_topic(connections, market):
                return
            topic = self._made_topic(connections, market)
            output = Output(connections, settings.name, topic, market.recorded_as)
            functions = self._functions
            if functions is None:
                raise TypeError("unreachable: functions are started first")
            self._run = Run(
                reader, output, market, self._transforms, functions.call, past, self._tally, self.stop_requested
            )
            self._run.open(None if market.replay else time_ms(settings.since) if settings.since else 0)
            self._state, self._reason = "running", "Transforming"
            if self._run.execute():
                self._state, self._reason = "complete", "Complete"
                self.stop_requested.wait()
        finally:
            reader.close()
            past.close()

    def _wait_for_topic(self, connections: Connections, market: Market) -> bool:
        """Until a Replay has made its topic. False where the pod has to end first. Raises KafkaException."""
        client = admin(connections, "tapedeck-transform")
        while missing := [n for n in market.channels if n not in client.list_topics(timeout=10).topics]:
            self._state, self._reason, self._message = "waiting", "WaitingForTopic", f"no topic {missing[0]} yet"
            if self.stop_requested.wait(LOOK_SECONDS):
                return False
        self._message = ""
        return True

    def _made_topic(self, connections: Connections, market: Market) -> str:
        """The topic for points; a Replay's has one of its own, with as many partitions."""
        if not market.replay:
            return topics.MARKET_POINTS
        client = admin(connections, "tapedeck-transform")
        played = topics.replay_topic(market.replay)
        topic = topics.points_topic(market.replay)
        ensure_topics(client, [topic], len(client.list_topics(played, timeout=10).topics[played].partitions))
        return topic


if __name__ == "__main__":
    sys.exit(run_pod("transform", TransformSettings, TransformWorkload))
