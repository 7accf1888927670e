"""``python -m tapedeck_recorder``: the store's only writer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import stamina
from confluent_kafka import KafkaError, KafkaException
from pydantic import Field, ValidationError

from tapedeck_common.kafka import error_of, passing
from tapedeck_common.logs import configure, log
from tapedeck_common.probe import Probe, leave_report, on_stop
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FENCED
from tapedeck_crds.report import RecorderReport, ReportState
from tapedeck_crds.sink import RecorderOptions
from tapedeck_recorder.recorder import Recorder
from tapedeck_recorder.sinks.delivery import Delivery, join_all, start_all
from tapedeck_recorder.store.offsets import Fenced
from tapedeck_recorder.topic_gc import keep_sweeping

SINKS_STOP_SECONDS = 5.0


class Pod:
    """The recorder and what is said of it."""

    def __init__(self) -> None:
        self._state: ReportState = "starting"
        self._reason = self._message = ""
        self._recorder: Recorder | None = None
        self.deliveries: tuple[Delivery, ...] = ()
        self.stop = threading.Event()

    def report(self) -> RecorderReport:
        """How it goes."""
        state = "running" if self._state == "starting" and self.ready() else self._state
        sinks = tuple(delivery.report() for delivery in self.deliveries)
        return RecorderReport(state=state, reason=self._reason, message=self._message, sinks=sinks)

    def ready(self) -> bool:
        return self._recorder is not None and self._recorder.ready

    def work(self, connections: Connections) -> int:
        """Record until told to stop; returns the exit code."""
        try:
            self._recorder = _recorder(connections, self.stop, self._topics_made_anew)
            self._recorder.run()
        except Fenced as error:
            return self._failed("Fenced", str(error), EXIT_FENCED)
        except psycopg.Error as error:
            if not self.stop.is_set():
                return self._failed("StoreUnavailable", str(error), 1)
        except KafkaException as error:
            if not self.stop.is_set():
                return self._failed("BrokerUnavailable", str(error), 1)
        self._state = "complete"
        return 0

    def refuse(self, options: str) -> int:
        """The exit code for options that can't be followed."""
        return self._failed("BadOptions", options, EXIT_BAD_INPUT)

    def _topics_made_anew(self) -> None:
        for delivery in self.deliveries:
            delivery.begin_anew()

    def _failed(self, reason: str, message: str, code: int) -> int:
        log.error("failed", reason=reason, message=message)
        self._state, self._reason, self._message = "failed", reason, message
        return code


def _recorder(connections: Connections, stop: threading.Event, made_anew: Callable[[], None]) -> Recorder:
    """A recorder, once the broker is there and has the topics."""

    def may_come(error: Exception) -> bool:
        missing = isinstance(error, KafkaException) and error_of(error).code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        return (missing or passing(error)) and not stop.is_set()

    for attempt in stamina.retry_context(on=may_come, attempts=40, timeout=60.0, wait_max=3.0):
        with attempt:
            return Recorder(connections, stop, made_anew)
    raise AssertionError("unreachable: the last attempt raises")


class RecorderSettings(PodSettings):
    """``living_url`` tells the uids of all Replays, as a JSON list, every ``sweep_seconds``; where it is empty no topic
    is swept.

    ``sinks`` is the folder with what authorises the other stores, a folder each.
    """

    living_url: str = ""
    sweep_seconds: float = Field(default=300.0, gt=0)
    sinks: Path = Path("/etc/tapedeck/sinks")


def main() -> int:
    """Exit 0 after SIGTERM, 64 for options that can't be followed, 75 when another took over, 1 for what may pass."""
    settings = RecorderSettings()
    configure(settings.log_level, workload="recorder")
    pod = Pod()
    on_stop(pod.stop.set)
    with Probe(settings, report=pod.report, ready=pod.ready):
        try:
            options = RecorderOptions.model_validate_json(settings.spec)
        except ValidationError as error:
            code = pod.refuse(str(error))
        else:
            code = _work(pod, settings, options)
        leave_report(settings, pod.report())
    return code


def _work(pod: Pod, settings: RecorderSettings, options: RecorderOptions) -> int:
    try:
        connections = Connections.read(settings.connections)
    except ValidationError as error:
        log.error("bad connections", reason=str(error))
        return 1
    if settings.living_url:
        sweeping = (connections, settings.living_url, pod.stop, settings.sweep_seconds)
        threading.Thread(target=keep_sweeping, args=sweeping, name="sweep", daemon=True).start()
    pod.deliveries = start_all(connections, options.sinks, settings.sinks, pod.stop)
    code = pod.work(connections)
    join_all(pod.deliveries, SINKS_STOP_SECONDS if pod.stop.is_set() else 0.0)
    return code


if __name__ == "__main__":
    sys.exit(main())
