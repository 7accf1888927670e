"""A Feed from files as a pod's workload: one import and its report."""

from __future__ import annotations

from tapedeck_common.files import FilesAccess
from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.files import Files
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_crds.session import Session
from tapedeck_feed.from_files.importer import FileImporter
from tapedeck_feed.from_files.stats import ImportStats
from tapedeck_feed.output.publisher import MarketDataPublisher

LINGER_MS = 20  # nobody waits for one record: larger batches take less of the broker's time


class FileImportWorkload(Workload):
    """Imports the files of a Feed."""

    def __init__(self, settings: PodSettings, files: Files, session: Session | None) -> None:
        super().__init__()
        self._settings = settings
        self._files = files
        self._session = session
        self._state: ReportState = "running"
        self.stats = ImportStats()

    def report(self) -> FeedReport:
        """The counts so far."""
        if self._state == "complete":
            return self.stats.report("complete", "Complete", self.stats.summary())
        return self.stats.report(self._state)

    def run(self) -> None:
        """Import all files. Raises InvalidFiles, NoRowTaken, Unavailable and Interrupted."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        publisher = MarketDataPublisher(
            connections,
            f"feed-{settings.name}",
            self.stop_requested,
            linger_ms=LINGER_MS,
            failures_only=True,
        )
        access = FilesAccess(settings.files, settings.file_credentials, settings.endpoints, settings.deck_home)
        importer = FileImporter(
            settings.name, self._files, access, publisher, self.stats, self.stop_requested, self._session
        )
        try:
            importer.run()
        except BaseException:
            publisher.abort()
            raise
        self._state = "complete"
        stats = self.stats
        for refused in stats.refusals.reasons():
            log.warning("rows refused", reason=refused.reason, place=refused.place, rows=refused.rows)
        log.info("complete", message=stats.summary(), duplicates=stats.duplicates, out_of_order=stats.late)
