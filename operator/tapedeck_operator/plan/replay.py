"""The plan of a Replay: one Job with a pod for each shard, and the anchor of their virtual clock."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.clock import Anchor, ClockPosition
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Replay
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan import names, reasons
from tapedeck_operator.plan.controls import (
    clamp_note,
    control_requests,
    is_beyond,
    late_control_note,
    next_anchor,
    undelivered_note,
)
from tapedeck_operator.plan.fill import fill_before_start
from tapedeck_operator.plan.job_plan import job_children, job_plan, waiting_for_feed
from tapedeck_operator.plan.replay_shards import LoopPosition, ReplayShards, replay_shards
from tapedeck_operator.plan.run_status import RunStatus, sharded_run_status
from tapedeck_operator.plan.types import Event, Observed, Plan, Settings


def plan_replay(replay: Replay, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """The plan of a Replay."""
    if (fill := fill_before_start(replay, observed)) is not None:
        return job_plan(replay, observed, fill[0], now_ms, settings, fill[1])
    waiting = waiting_for_feed(replay.spec.source.store, observed) or _waiting_for_leader(replay, observed)
    if waiting is not None:
        return job_plan(replay, observed, waiting, now_ms, settings, ())
    return _plan_playback(replay, observed, now_ms, settings)


def _plan_playback(replay: Replay, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    count = replay.spec.shards
    shards = replay_shards(observed, count)
    anchor = _anchor(replay, observed, shards, now_ms)
    acknowledged = anchor is not None and not anchor.settling and shards.all_follow(anchor)
    state = _with_playback(sharded_run_status(observed, replay.status, count), replay, shards, anchor, now_ms)
    planned = job_plan(
        replay,
        observed,
        state,
        now_ms,
        settings,
        job_children(replay, observed, settings, keyed=True, completions=count, parallelism=count),
        observed_generation=_observed_generation(replay, state, anchor, shards, acknowledged),
        parallelism=count,
    )
    key = names.control_key(settings.operator_key, replay.metadata.uid)
    return replace(
        planned,
        control_requests=control_requests(anchor, shards.running, key),
        await_reports=shards.any_running and (not acknowledged or shards.stalled or shards.ahead is not None),
        events=planned.events + _late_control_event(replay, anchor),
    )


def _with_playback(
    state: RunStatus, replay: Replay, shards: ReplayShards, anchor: Anchor | None, now_ms: int
) -> RunStatus:
    """The state with the position and the anchor, once a shard knows its range."""
    report = shards.merged_report()
    if report is None:
        return state
    by_this_anchor = shards.newest_anchor == anchor
    notes = (
        undelivered_note(anchor, shards.running, now_ms),
        clamp_note(replay.spec, anchor, report),
        late_control_note(anchor),
    )
    message = state.message or next(filter(None, notes), "")
    clock = {
        "anchor": anchor,
        "stalled": shards.stalled and by_this_anchor,
        "ahead": _clock_position(shards.ahead) if by_this_anchor else None,
    }
    return replace(state, message=message, fields=_fields(report) | clock)


def _late_control_event(replay: Replay, anchor: Anchor | None) -> tuple[Event, ...]:
    """An event when virtual time is moved on because a control reached a pod late."""
    note = late_control_note(anchor)
    before = replay.status.anchor if replay.status is not None else None
    is_new = anchor is not None and (before is None or before.number < anchor.number)
    return (Event("Warning", reasons.LATE_CONTROL, note),) if note and is_new else ()


def _observed_generation(
    replay: Replay, state: RunStatus, anchor: Anchor | None, shards: ReplayShards, acknowledged: bool
) -> int:
    """The generation of the spec, or that of the last status while its controls are not in effect in all pods.

    A control requested while a pod restarts is not in effect either, although no running pod lags behind.
    """
    restarting = state.phase == "Pending" and anchor is not None
    if restarting or (shards.any_running and not acknowledged):
        return (replay.status.observed_generation if replay.status is not None else None) or 0
    return replay.metadata.generation


def _anchor(replay: Replay, observed: Observed, shards: ReplayShards, now_ms: int) -> Anchor | None:
    """The anchor in effect: the leader's for a follower, else the one that follows from the Replay's own controls."""
    last = _newer(replay.status.anchor if replay.status is not None else None, shards.newest_anchor)
    if (clock := replay.spec.clock) is not None and clock.follow is not None:
        leader = observed.replay
        return _newer(last, leader.status.anchor if leader is not None and leader.status is not None else None)
    if not shards.any_running:
        return last
    return next_anchor(replay.spec, last, shards, now_ms, _resume_at(observed, shards, last, now_ms))


def _resume_at(observed: Observed, shards: ReplayShards, anchor: Anchor | None, now_ms: int) -> LoopPosition | None:
    """Where the clock resumes if it has to be replaced although no control changed; None if it runs on."""
    if anchor is None:
        return None
    ahead = _ahead_at(observed, shards, anchor)
    if ahead is not None and is_beyond(ahead, anchor, now_ms):
        return ahead
    return _stalled_at(observed, shards, anchor)


def _ahead_at(observed: Observed, shards: ReplayShards, anchor: Anchor) -> LoopPosition | None:
    """The furthest position of all Replays that share the clock and were left ahead of it; None if none was."""
    positions = [shards.ahead] if shards.newest_anchor == anchor else []
    statuses = (follower.status for follower in observed.followers)
    positions += [
        (status.ahead.loop_round, status.ahead.virtual_ms)
        for status in statuses
        if status is not None and status.ahead is not None and status.anchor == anchor
    ]
    return max((position for position in positions if position is not None), default=None)


def _stalled_at(observed: Observed, shards: ReplayShards, anchor: Anchor) -> LoopPosition | None:
    """The rearmost position of all Replays that share the clock and have stalled; None if none has."""
    positions = [shards.rearmost()] if shards.stalled and shards.newest_anchor == anchor else []
    for follower in observed.followers:
        status = follower.status
        if status is not None and status.stalled and status.anchor == anchor and status.position is not None:
            loop_round = int((status.epoch or "0.0").split(".")[1])
            positions.append((loop_round, time_ms(status.position)))
    return min(positions, default=None)


def _clock_position(position: LoopPosition | None) -> ClockPosition | None:
    return None if position is None else ClockPosition(loop_round=position[0], virtual_ms=position[1])


def _newer(one: Anchor | None, other: Anchor | None) -> Anchor | None:
    """The anchor with the higher number. A status can be lost, or be older than what the pods follow."""
    if one is None or other is None:
        return one or other
    return other if other.number > one.number else one


def _waiting_for_leader(replay: Replay, observed: Observed) -> RunStatus | None:
    """The state of a follower whose leader does not exist, or has no clock of its own; None if it may start."""
    clock = replay.spec.clock
    if clock is None or clock.follow is None or observed.job is not None:
        return None
    leader = observed.replay
    if clock.follow == replay.metadata.name or (leader is not None and _is_follower(leader)):
        message = f"clock.follow: got {clock.follow}, which follows a clock itself; expected a Replay that does not"
        return RunStatus("Pending", reasons.INVALID_LEADER, message, warning=True)
    if leader is None:
        message = f"clock.follow: no Replay named {clock.follow} in this namespace yet"
        return RunStatus("Pending", reasons.WAITING_FOR_LEADER, message)
    return None


def _is_follower(replay: Replay) -> bool:
    return replay.spec.clock is not None and replay.spec.clock.follow is not None


def _fields(report: ReplayReport) -> Json:
    speed = None
    if report.anchor is not None:
        speed = "paused" if report.anchor.paused else "max" if report.anchor.free else f"{report.anchor.speed:g}x"
    fields = {
        "position": format_ms(report.position) if report.position is not None else None,
        "epoch": report.epoch,
        "published": report.published,
        "progress": f"{report.passed}/{report.rows}",
        "speed": speed,
        "topic": report.topic or None,
        "range_from": report.range_from,
        "range_to": report.range_to,
    }
    return {name: value for name, value in fields.items() if value is not None}  # a pod that starts knows less
