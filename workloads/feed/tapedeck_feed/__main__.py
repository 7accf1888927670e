"""``python -m tapedeck_feed``: one pod of a Feed. Exits 0 once all is on the log, or a live Feed was stopped."""

from __future__ import annotations

from prometheus_client import REGISTRY

from tapedeck_common.pod.shell import Workload, run_pod
from tapedeck_common.settings import PodSettings
from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.feed import FeedSpec


def make_workload(settings: PodSettings) -> Workload:
    """The workload that the spec describes: files, a backfill or a live market. Raises InvalidInput."""
    spec = settings.parse_spec(FeedSpec)
    if spec.source is not None and spec.source.files is not None:
        from tapedeck_feed.from_files.workload import FileImportWorkload

        files = FileImportWorkload(settings, spec.source.files, spec.session)
        REGISTRY.register(files.stats)
        return files
    if spec.exchange is None:
        raise InvalidInput(
            "TAPEDECK_SPEC: source.files: missing, expected the files to import, or an exchange", reason="BadSpec"
        )
    # These import asyncio and the exchange's client.
    if spec.backfill is not None and settings.backfill_until is not None:
        from tapedeck_feed.backfill.workload import BackfillWorkload

        backfill = BackfillWorkload(settings, spec, spec.backfill, settings.backfill_until)
        REGISTRY.register(backfill.stats)
        return backfill
    from tapedeck_feed.live.workload import LiveFeedWorkload

    live = LiveFeedWorkload(settings, spec)
    REGISTRY.register(live.stats)
    return live


if __name__ == "__main__":
    run_pod("feed", PodSettings, make_workload)
