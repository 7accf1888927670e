"""The shards of a Replay seen as one: their reports, their position, and whether all follow the same anchor."""

from __future__ import annotations

from dataclasses import dataclass

from tapedeck_crds.clock import Anchor
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.run_status import reports_of_index
from tapedeck_operator.plan.types import Observed, ObservedPod

LoopPosition = tuple[int, int]
"""The round of the loop, and the virtual time within it (ms UTC). Compares in the order in which they are played."""


@dataclass(frozen=True)
class ReplayShards:
    """All shards of a Replay.

    ``reports`` holds the newest report of each shard that knows its range, ``running`` the running pods, ``count`` the
    number of shards in the spec.
    """

    count: int
    reports: tuple[ReplayReport, ...]
    running: tuple[ObservedPod, ...]

    @property
    def any_running(self) -> bool:
        """Whether at least one pod runs."""
        return bool(self.running)

    @property
    def all_reported(self) -> bool:
        """Whether every shard has reported its range."""
        return len(self.reports) == self.count

    @property
    def newest_anchor(self) -> Anchor | None:
        """The newest anchor that any shard follows."""
        anchors = [report.anchor for report in self.reports if report.anchor is not None]
        return max(anchors, key=lambda anchor: anchor.number, default=None)

    @property
    def stalled(self) -> bool:
        """Whether any shard holds its virtual time after a stall (``catchUp: skip``)."""
        return any(report.stalled for report in self.reports)

    @property
    def ahead(self) -> LoopPosition | None:
        """The position of the furthest shard that a late control left ahead of the clock; None if there is none."""
        return max((_loop_position(report) for report in self.reports if report.ahead), default=None)

    def all_follow(self, anchor: Anchor) -> bool:
        """Whether every running pod follows the anchor."""
        return all(follows(pod, anchor) for pod in self.running)

    def rearmost(self) -> LoopPosition:
        """The position of the shard that is furthest behind."""
        return min(map(_loop_position, self.reports))

    def foremost(self) -> LoopPosition:
        """The position of the shard that is furthest ahead."""
        return max(map(_loop_position, self.reports))

    def merged_report(self) -> ReplayReport | None:
        """One report of all shards: sums of the counts, and the rest from the shard that is furthest behind."""
        if not self.reports:
            return None
        rearmost = min(self.reports, key=_loop_position)
        return rearmost.model_copy(
            update={
                "rows": sum(report.rows for report in self.reports),
                "passed": sum(report.passed for report in self.reports),
                "published": sum(report.published for report in self.reports),
                "message": next((report.message for report in self.reports if report.message), ""),
                "stalled": self.stalled,
                "ahead": self.ahead is not None,
            }
        )


def replay_shards(observed: Observed, count: int) -> ReplayShards:
    """The shards as observed. While a new pod starts, its predecessor's report counts."""
    reports = (_newest_report(observed, index) for index in range(count))
    newest = (observed.newest(index) for index in range(count))
    return ReplayShards(
        count,
        tuple(report for report in reports if report is not None),
        tuple(pod for pod in newest if pod is not None and pod.phase == "Running"),
    )


def knows_range(pod: ObservedPod) -> bool:
    """Whether the pod has reported the range that it plays."""
    return isinstance(pod.report, ReplayReport) and pod.report.range_from is not None


def follows(pod: ObservedPod, anchor: Anchor) -> bool:
    """Whether the pod plays by this anchor or a newer one."""
    report = pod.report
    if not isinstance(report, ReplayReport) or report.range_from is None or report.state == "waiting":
        return False
    return report.anchor is not None and report.anchor.number >= anchor.number


def _newest_report(observed: Observed, index: int) -> ReplayReport | None:
    reports = reports_of_index(observed, index, ReplayReport)
    return next((report for report in reports if report.range_from is not None), None)


def _loop_position(report: ReplayReport) -> LoopPosition:
    return report.loop_round, report.position or 0
