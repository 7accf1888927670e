"""``python -m tapedeck_feed``: one run, from the pod's settings to its exit code."""

from __future__ import annotations

import sqlite3
import sys
from threading import Event
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY
from pydantic import ValidationError

from tapedeck_common.files import BadFiles
from tapedeck_common.logs import configure, log
from tapedeck_common.probe import Probe, leave_report, on_stop
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.base import Files
from tapedeck_crds.errors import EXIT_BAD_INPUT, EXIT_FAILED, Interrupted
from tapedeck_crds.feed import FeedSpec
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.from_files.importer import Run
from tapedeck_feed.from_files.stats import Tally
from tapedeck_feed.output.publisher import Publisher, Undelivered

if TYPE_CHECKING:
    from tapedeck_feed.backfill.pod import BackfillPod
    from tapedeck_feed.live.pod import LivePod

_FAULTS: dict[type[Exception], tuple[str, int]] = {
    BadFiles: ("BadFiles", EXIT_BAD_INPUT),
    Interrupted: ("Interrupted", EXIT_FAILED),
    Undelivered: ("Unavailable", EXIT_FAILED),
    sqlite3.Error: ("CannotSort", EXIT_FAILED),  # no room left on the temporary disk
}


class BadSpec(ValueError):
    """The spec is none of a Feed."""


class Pod:
    """A run and what is said of it."""

    def __init__(self, settings: PodSettings) -> None:
        self._settings = settings
        self._state: ReportState = "running"
        self._reason = self._message = ""
        self._exchange: LivePod | BackfillPod | None = None
        self.tally = Tally()
        self.stop = Event()

    def report(self) -> FeedReport:
        """How it goes."""
        if self._exchange is not None:
            return self._exchange.report()
        return self.tally.report(self._state, self._reason, self._message)

    def work(self) -> int:
        """Do the run and leave the report; returns the exit code."""
        try:
            spec = _spec(self._settings)
            connections = Connections.read(self._settings.connections)
        except BadSpec as error:
            code = self._failed("BadSpec", str(error), EXIT_BAD_INPUT)
        except ValidationError as error:
            code = self._failed("BadConnections", str(error), EXIT_FAILED)
        else:
            code = self._ask(spec, connections) if spec.source is None else self._bring(_files(spec), connections)
        leave_report(self._settings, self.report())
        return code

    def _ask(self, spec: FeedSpec, connections: Connections) -> int:
        # These bring asyncio and all that an exchange takes.
        if spec.backfill is not None and self._settings.backfill_until is not None:
            from tapedeck_feed.backfill.pod import BackfillPod

            until = self._settings.backfill_until
            self._exchange = BackfillPod(self._settings, spec, spec.backfill, until, self.stop)
        else:
            from tapedeck_feed.live.pod import LivePod

            self._exchange = LivePod(self._settings, spec, self.stop)
        REGISTRY.register(self._exchange.tally)
        return self._exchange.work(connections, self._settings.exchange_keys)

    def _bring(self, files: Files, connections: Connections) -> int:
        REGISTRY.register(self.tally)
        publisher = Publisher(connections, f"feed-{self._settings.name}", self.stop)
        run = Run(self._settings.name, files, self._settings.files, publisher, self.tally, self.stop)
        try:
            run.execute()
        except tuple(_FAULTS) as error:
            publisher.abandon()
            reason, code = next(outcome for kind, outcome in _FAULTS.items() if isinstance(error, kind))
            return self._failed(reason, str(error), code)
        self._state, self._reason, self._message = "complete", "Complete", self.tally.summary()
        log.info("complete", message=self._message, duplicates=self.tally.duplicates, put_in_order=self.tally.late)
        return 0

    def _failed(self, reason: str, message: str, code: int) -> int:
        log.error("failed", reason=reason, message=message)
        self._state, self._reason, self._message = "failed", reason, message
        return code


def _spec(settings: PodSettings) -> FeedSpec:
    try:
        spec = FeedSpec.model_validate_json(settings.spec)
    except ValidationError as error:
        raise BadSpec(f"TAPEDECK_SPEC: {error}") from None
    if spec.exchange is None and (spec.source is None or spec.source.files is None):
        raise BadSpec("TAPEDECK_SPEC: source.files: missing, expected the files to bring in, or an exchange")
    return spec


def _files(spec: FeedSpec) -> Files:
    assert spec.source is not None and spec.source.files is not None
    return spec.source.files


def main() -> int:
    """Exit 0 when all is on the log."""
    settings = PodSettings()
    configure(settings.log_level, workload="feed", name=settings.name)
    pod = Pod(settings)
    on_stop(pod.stop.set)
    with Probe(settings, report=pod.report):
        return pod.work()


if __name__ == "__main__":
    sys.exit(main())
