"""A Feed from files: one run of the importer as a pod's workload."""

from __future__ import annotations

import sqlite3

from tapedeck_common.logs import log
from tapedeck_common.pod.shell import Workload
from tapedeck_common.settings import Connections, PodSettings
from tapedeck_crds.base import Files
from tapedeck_crds.errors import Unavailable
from tapedeck_crds.report import FeedReport, ReportState
from tapedeck_feed.from_files.importer import Run
from tapedeck_feed.from_files.stats import Tally
from tapedeck_feed.output.publisher import Publisher


class FileFeed(Workload):
    """Imports the files of a Feed."""

    def __init__(self, settings: PodSettings, files: Files) -> None:
        super().__init__()
        self._settings = settings
        self._files = files
        self._state: ReportState = "running"
        self.tally = Tally()

    def report(self) -> FeedReport:
        """The counts so far."""
        if self._state == "complete":
            return self.tally.report("complete", "Complete", self.tally.summary())
        return self.tally.report(self._state)

    def run(self) -> None:
        """Import all files. Raises InvalidFiles, Unavailable and Interrupted."""
        settings = self._settings
        connections = Connections.read(settings.connections)
        publisher = Publisher(connections, f"feed-{settings.name}", self.stop_requested)
        run = Run(settings.name, self._files, settings.files, publisher, self.tally, self.stop_requested)
        try:
            run.execute()
        except sqlite3.Error as error:
            publisher.abandon()
            raise Unavailable(
                f"the temporary disk cannot hold the rows to sort: {error}", reason="CannotSort"
            ) from error
        except BaseException:
            publisher.abandon()
            raise
        self._state = "complete"
        tally = self.tally
        log.info("complete", message=tally.summary(), duplicates=tally.duplicates, put_in_order=tally.late)
