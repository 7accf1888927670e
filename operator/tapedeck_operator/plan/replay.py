"""A Replay: one Job, and the anchor of its clock."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds import Replay
from tapedeck_crds.base import format_ms
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan import controls, names
from tapedeck_operator.plan.run import job_and_policy, newest_report, run_plan, waiting_for_feed
from tapedeck_operator.plan.status import judge_run, of_type
from tapedeck_operator.plan.types import Json, Observed, Plan, Settings


def plan_replay(replay: Replay, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """A Replay: one Job, and the anchor of its clock."""
    pod = observed.newest()
    report = of_type(newest_report(observed), ReplayReport)
    if (waiting := waiting_for_feed(replay.spec.source.store, observed)) is not None:
        return run_plan(replay, observed, waiting, now_ms, settings, ())
    before = replay.status.anchor if replay.status is not None else None
    if report is not None and report.anchor is not None and (before is None or report.anchor.number > before.number):
        before = report.anchor  # the status was lost or is older than the log
    verdict = judge_run(observed, replay.status)
    live = pod is not None and pod.phase == "Running"
    anchor = controls.next_anchor(replay.spec, before, report, now_ms) if live else before
    behind = anchor is not None and (report is None or report.anchor is None or report.anchor.number < anchor.number)
    if report is not None:
        verdict = replace(verdict, facts=_replay_facts(report) | {"anchor": anchor})
    told = replay.status.observed_generation if replay.status is not None else None
    plan = run_plan(
        replay,
        observed,
        verdict,
        now_ms,
        settings,
        job_and_policy(replay, observed, settings, controlled=True),
        observed_generation=(told or 0) if behind and live else replay.metadata.generation,
    )
    key = names.control_key(settings.operator_key, replay.metadata.uid)
    return replace(
        plan,
        pushes=controls.pushes(anchor, observed.pods, key) if live else (),
        eager=live and (anchor is None or behind),
    )


def _replay_facts(report: ReplayReport) -> Json:
    speed = None
    if report.anchor is not None:
        speed = "paused" if report.anchor.paused else "max" if report.anchor.unpaced else f"{report.anchor.speed:g}x"
    return {
        "position": format_ms(report.position) if report.position is not None else None,
        "published": report.published,
        "progress": f"{report.passed}/{report.rows}",
        "speed": speed,
        "topic": report.topic or None,
        "range_from": report.range_from,
        "range_to": report.range_to,
    }
