"""A Replay: one Job, and the anchor of its clock."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.clock import Anchor
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Replay
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan import names
from tapedeck_operator.plan.controls import clamp_note, control_requests, next_anchor
from tapedeck_operator.plan.fill import fill_of
from tapedeck_operator.plan.job_plan import job_and_policy, run_plan, waiting_for_feed
from tapedeck_operator.plan.replay_shards import LoopPosition, ReplayShards, judge_shards, replay_shards
from tapedeck_operator.plan.status import Verdict
from tapedeck_operator.plan.types import Observed, Plan, Settings


def plan_replay(replay: Replay, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """A Replay: one Job of a pod for each shard, and the anchor of their clock."""
    if (fill := fill_of(replay, observed)) is not None:
        return run_plan(replay, observed, fill[0], now_ms, settings, fill[1])
    if (
        waiting := waiting_for_feed(replay.spec.source.store, observed) or _waiting_for_leader(replay, observed)
    ) is not None:
        return run_plan(replay, observed, waiting, now_ms, settings, ())
    shards = replay.spec.shards
    deck = replay_shards(observed, shards)
    before = _newer(replay.status.anchor if replay.status is not None else None, deck.newest_anchor)
    anchor = _anchor(replay, observed, deck, before, now_ms)
    behind = anchor is None or anchor.settling or not deck.follows(anchor)
    verdict = judge_shards(observed, replay.status, shards)
    tape = deck.together()
    if tape is not None:
        stalled = deck.stalled and deck.newest_anchor == anchor
        note = verdict.message or clamp_note(replay.spec, anchor, tape)
        facts = _replay_facts(tape) | {"anchor": anchor, "stalled": stalled}
        verdict = replace(verdict, message=note, facts=facts)
    told = replay.status.observed_generation if replay.status is not None else None
    restarting = verdict.phase == "Pending" and anchor is not None
    plan = run_plan(
        replay,
        observed,
        verdict,
        now_ms,
        settings,
        job_and_policy(replay, observed, settings, controlled=True, completions=shards, parallelism=shards),
        # What is asked for between two lives of a pod has not come true yet.
        observed_generation=(told or 0) if restarting or (behind and deck.live) else replay.metadata.generation,
        parallelism=shards,
    )
    key = names.control_key(settings.operator_key, replay.metadata.uid)
    return replace(
        plan,
        control_requests=control_requests(anchor, deck.running, key),
        await_reports=deck.live and (behind or deck.stalled),
    )


def _anchor(
    replay: Replay, observed: Observed, deck: ReplayShards, before: Anchor | None, now_ms: int
) -> Anchor | None:
    """The anchor to go by: the leader's for one that follows, else what its own controls come to."""
    if (clock := replay.spec.clock) is not None and clock.follow is not None:
        leader = observed.replay
        return _newer(before, leader.status.anchor if leader is not None and leader.status is not None else None)
    if not deck.live:
        return before
    return next_anchor(replay.spec, before, deck, now_ms, _stalled(observed, deck, before))


def _stalled(observed: Observed, deck: ReplayShards, anchor: Anchor | None) -> LoopPosition | None:
    """Where to go on after a stall: where the one is that is furthest behind, of all that share the clock."""
    if anchor is None:
        return None
    places = [deck.lowest()] if deck.stalled and deck.newest_anchor == anchor else []
    for follower in observed.followers:
        status = follower.status
        if status is not None and status.stalled and status.anchor == anchor and status.position is not None:
            places.append((int((status.epoch or "0.0").split(".")[1]), time_ms(status.position)))
    return min(places, default=None)


def _newer(one: Anchor | None, other: Anchor | None) -> Anchor | None:
    """The one with the higher number: a status can be lost, or be older than the log."""
    if one is None or other is None:
        return one or other
    return other if other.number > one.number else one


def _waiting_for_leader(replay: Replay, observed: Observed) -> Verdict | None:
    """A Replay that follows another's clock begins when there is one with a clock of its own."""
    clock = replay.spec.clock
    if clock is None or clock.follow is None or observed.job is not None:
        return None
    leader = observed.replay
    if clock.follow == replay.metadata.name or (leader is not None and _follows(leader)):
        message = f"clock.follow: got {clock.follow}, which follows a clock itself; expected a Replay that does not"
        return Verdict("Pending", "BadLeader", message, trouble=True)
    if leader is None:
        return Verdict("Pending", "WaitingForLeader", f"no Replay named {clock.follow} in this namespace yet")
    return None


def _follows(replay: Replay) -> bool:
    return replay.spec.clock is not None and replay.spec.clock.follow is not None


def _replay_facts(report: ReplayReport) -> Json:
    speed = None
    if report.anchor is not None:
        speed = "paused" if report.anchor.paused else "max" if report.anchor.free else f"{report.anchor.speed:g}x"
    return {
        "position": format_ms(report.position) if report.position is not None else None,
        "epoch": report.epoch,
        "published": report.published,
        "progress": f"{report.passed}/{report.rows}",
        "speed": speed,
        "topic": report.topic or None,
        "range_from": report.range_from,
        "range_to": report.range_to,
    }
