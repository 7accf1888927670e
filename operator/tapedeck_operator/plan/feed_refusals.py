"""What the pods of a Feed refused, as the Feed's state shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tapedeck_crds.kinds import Feed
from tapedeck_crds.refusals import describe_refused, is_degraded, merge_refused
from tapedeck_crds.report import FeedReport
from tapedeck_operator.plan.run_status import RunStatus


def status_with_refused(feed: Feed, state: RunStatus, reports: Sequence[FeedReport]) -> RunStatus:
    """The state with the reasons for refused rows; degraded where their share exceeds ``spec.maxRefusedPercent``."""
    rows, taken = sum(report.refused_rows for report in reports), sum(report.taken for report in reports)
    reasons = merge_refused(report.refused for report in reports)
    if reasons or (reports and feed.status is not None and feed.status.refused):
        state = replace(state, fields=state.fields | {"refused": [each.model_dump() for each in reasons]})
    if not is_degraded(rows, taken, feed.spec.max_refused_percent):
        return state
    return replace(state, degraded=describe_refused(rows, taken, reasons), warning=True)
