"""``python -m tapedeck_recorder``: the only writer of the store. Exits 0 after a stop, 75 once another took over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import stamina
from confluent_kafka import KafkaError, KafkaException
from pydantic import Field

from tapedeck_common.kafka import is_transient, kafka_error
from tapedeck_common.pod.shell import Workload, exit_at_once, expected_error, run_pod
from tapedeck_common.result_signatures import ResultVerifier, read_key
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.report import RecorderReport, ReportState
from tapedeck_crds.sink import RecorderOptions
from tapedeck_recorder.kafka.hanging_transactions import end_hanging_transactions
from tapedeck_recorder.metrics import WANTED_REPLICAS
from tapedeck_recorder.recorder import Recorder
from tapedeck_recorder.sinks.sink_delivery import SinkDelivery, join_all, start_all
from tapedeck_recorder.topic_gc import run_topic_gc

SINKS_STOP_SECONDS = 5.0


class RecorderSettings(PodSettings):
    """``replay_uids_url`` returns the uids of all Replays as a JSON list. Topics of deleted replays are deleted every
    ``topic_gc_seconds``; if the URL is empty, none is deleted.

    ``results_key_file`` has the key of all results: records that their run did not sign are refused. ``sinks`` is the
    folder with the credentials of the sinks, one folder each. ``replicas`` is how many recorders shall run.
    """

    results_key_file: Path | None = None
    replay_uids_url: str = ""
    topic_gc_seconds: float = Field(default=300.0, gt=0)
    sinks: Path = Path("/etc/tapedeck/sinks")
    replicas: int = Field(default=1, ge=0)


class RecorderWorkload(Workload):
    """Records the log in the store, and delivers it to the sinks."""

    def __init__(self, settings: RecorderSettings) -> None:
        super().__init__()
        self._settings = settings
        self._state: ReportState = "starting"
        self._recorder: Recorder | None = None
        self._deliveries: tuple[SinkDelivery, ...] = ()

    def report(self) -> RecorderReport:
        """The state, and that of each sink."""
        state = "running" if self._state == "starting" and self.ready() else self._state
        return RecorderReport(state=state, sinks=tuple(delivery.report() for delivery in self._deliveries))

    def ready(self) -> bool:
        """Whether partitions are assigned."""
        return self._recorder is not None and self._recorder.ready

    def run(self) -> None:
        """Record until a stop is requested. Raises InvalidInput, Fenced, psycopg.Error and KafkaException."""
        settings, stop = self._settings, self.stop_requested
        WANTED_REPLICAS.set(settings.replicas)
        options = settings.parse_spec(RecorderOptions)
        connections = Connections.read(settings.connections)
        verifier = ResultVerifier(read_key(settings.results_key_file, "TAPEDECK_RESULTS_KEY_FILE"))
        if settings.replay_uids_url:
            url, period = settings.replay_uids_url, settings.topic_gc_seconds
            self._start_beside("topic-gc", lambda: run_topic_gc(connections, url, stop, period))
        self._start_beside("hanging", lambda: end_hanging_transactions(connections, stop))
        self._deliveries = start_all(connections, verifier, options.sinks, settings.sinks, stop)
        try:
            self._record(connections, verifier)
        finally:
            join_all(self._deliveries, SINKS_STOP_SECONDS if stop.is_set() else 0.0)

    def _record(self, connections: Connections, verifier: ResultVerifier) -> None:
        try:
            self._recorder = _recorder(connections, verifier, self.stop_requested, self._restart_deliveries)
            self._recorder.run()
        except (psycopg.Error, KafkaException):
            if not self.stop_requested.is_set():  # errors of clients that are being closed
                raise
        self._state = "complete"

    def _start_beside(self, name: str, run: Callable[[], None]) -> None:
        """Run something in a thread of its own. A bug ends the pod: nobody would notice that the thread has ended."""

        def run_or_end() -> None:
            try:
                run()
            except Exception as error:
                exit_at_once(self._settings, self.report(), expected_error(error))

        threading.Thread(target=run_or_end, name=name, daemon=True).start()

    def _restart_deliveries(self) -> None:
        for delivery in self._deliveries:
            delivery.request_restart()


def _recorder(
    connections: Connections,
    verifier: ResultVerifier,
    stop: threading.Event,
    on_topics_recreated: Callable[[], None],
) -> Recorder:
    """A recorder, once the broker answers and has the topics."""

    def retriable(error: Exception) -> bool:
        missing = isinstance(error, KafkaException) and kafka_error(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        return (missing or is_transient(error)) and not stop.is_set()

    for attempt in stamina.retry_context(on=retriable, attempts=40, timeout=60.0, wait_max=3.0):
        with attempt:
            return Recorder(connections, verifier, stop, on_topics_recreated)
    raise AssertionError("unreachable: the last attempt raises")


if __name__ == "__main__":
    run_pod("recorder", RecorderSettings, RecorderWorkload)
