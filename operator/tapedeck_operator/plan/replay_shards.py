"""A Replay's shards seen as one: what they reported, how they fare, and whether all follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tapedeck_crds.clock import Anchor
from tapedeck_crds.report import ReplayReport
from tapedeck_crds.resource import Status
from tapedeck_operator.plan.status import Verdict, judge_run
from tapedeck_operator.plan.types import Observed, ObservedPod

LoopPosition = tuple[int, int]
"""Round of the loop, and virtual time in it."""

_WORST_FIRST = ("Failed", "Pending", "Paused", "Running", "Complete")


@dataclass(frozen=True)
class ReplayShards:
    """All shards together. ``reports`` has one of each shard that has said where it is, ``shards`` their number."""

    shards: int
    reports: tuple[ReplayReport, ...]
    running: tuple[ObservedPod, ...]

    @property
    def live(self) -> bool:
        """Whether any shard runs."""
        return bool(self.running)

    @property
    def whole(self) -> bool:
        """Whether every shard has said where it is."""
        return len(self.reports) == self.shards

    @property
    def newest_anchor(self) -> Anchor | None:
        """The newest that any shard follows."""
        known = [report.anchor for report in self.reports if report.anchor is not None]
        return max(known, key=lambda anchor: anchor.number, default=None)

    @property
    def stalled(self) -> bool:
        """Whether any stands still after a stall."""
        return any(report.stalled for report in self.reports)

    def follows(self, anchor: Anchor) -> bool:
        """Whether every shard that runs goes by the anchor."""
        return all(not _behind(pod, anchor) for pod in self.running)

    def lowest(self) -> LoopPosition:
        """Where the shard is that is furthest behind."""
        return min(map(_place, self.reports))

    def furthest(self) -> LoopPosition:
        """Where the shard is that is furthest ahead."""
        return max(map(_place, self.reports))

    def together(self) -> ReplayReport | None:
        """One report of all: sums of bars, and the shard that is furthest behind for the rest."""
        if not self.reports:
            return None
        last = min(self.reports, key=_place)
        return last.model_copy(
            update={
                "rows": sum(report.rows for report in self.reports),
                "passed": sum(report.passed for report in self.reports),
                "published": sum(report.published for report in self.reports),
                "message": next((report.message for report in self.reports if report.message), ""),
                "stalled": self.stalled,
            }
        )


def replay_shards(observed: Observed, shards: int) -> ReplayShards:
    """The shards by their newest pods; by the word of an earlier pod while its successor is still starting."""
    found = (_newest_report(observed, index) for index in range(shards))
    newest = (observed.newest(index) for index in range(shards))
    return ReplayShards(
        shards,
        tuple(report for report in found if report is not None),
        tuple(pod for pod in newest if pod is not None and pod.phase == "Running"),
    )


def judge_shards(observed: Observed, before: Status | None, shards: int) -> Verdict:
    """The state of a run of several pods: that of the one that is worst off."""
    if shards == 1:
        return judge_run(observed, before)
    verdicts = []
    for index in range(shards):
        mine = tuple(replace(pod, index=0) for pod in observed.pods if pod.index == index)
        verdict = judge_run(replace(observed, pods=mine), before)
        named = (
            f"shard {index}: {verdict.message}" if verdict.message and verdict.phase in ("Pending", "Failed") else ""
        )
        verdicts.append(replace(verdict, message=named or verdict.message))
    failures = [v for v in verdicts if v.phase == "Failed" and v.reason not in ("JobFailed", "PodFailed")]
    return failures[0] if failures else min(verdicts, key=lambda verdict: _WORST_FIRST.index(verdict.phase))


def _newest_report(observed: Observed, index: int) -> ReplayReport | None:
    said = (pod.report for pod in reversed(observed.pods) if pod.index == index)
    return next((r for r in said if isinstance(r, ReplayReport) and r.range_from is not None), None)


def _place(report: ReplayReport) -> LoopPosition:
    return report.loop_round, report.position or 0


def _behind(pod: ObservedPod, anchor: Anchor) -> bool:
    report = pod.report
    if not isinstance(report, ReplayReport) or report.range_from is None:
        return True
    return report.state == "waiting" or report.anchor is None or report.anchor.number < anchor.number
