"""The controls of a Replay: from its spec to the anchor that its pods follow.

An anchor fixes virtual time as a function of the wall clock. A changed control never edits it: it is replaced by one
with the next number, which takes effect ``LEAD_MS`` later in all pods at once.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from hashlib import sha256

from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.clock import Anchor
from tapedeck_crds.controls import FOREVER, Seek, Step
from tapedeck_crds.intervals import BAR_LENGTHS
from tapedeck_crds.kinds import ReplaySpec
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.replay_shards import LoopPosition, ReplayShards, follows, knows_range
from tapedeck_operator.plan.types import ControlRequest, ObservedPod

UNDELIVERED_MS = 2_000  # the pods of a control that is in effect are polled four times a second
LEAD_MS = 250  # an anchor reaches every pod before it takes effect, so that all switch at the same time


@dataclass(frozen=True)
class ReplayRange:
    """What a Replay plays: event times of its start and its last event (ms UTC), and the interval of its bars."""

    start: int
    end: int
    interval: str

    def clamp(self, virtual_ms: int) -> int:
        """The nearest virtual time within the range."""
        return min(max(virtual_ms, self.start), max(self.end, self.start))


def next_anchor(
    spec: ReplaySpec, last: Anchor | None, shards: ReplayShards, now_ms: int, resume_at: LoopPosition | None
) -> Anchor | None:
    """The anchor for the controls of a spec: ``last`` if nothing changed, None while the range is not known.

    ``resume_at`` is where virtual time resumes after a stall or a late control, None without one.
    """
    limits = _replay_range(shards.merged_report())
    if limits is None or (last is None and not shards.all_reported):
        return last
    if last is None:
        last = Anchor(number=0, v0=limits.start, w0=now_ms, speed=0.0)
    elif not (_changed(spec, last, limits) or last.settling or resume_at is not None):
        return last
    seek, step = _new_seek(spec, last), _new_step(spec, last)
    if last.free and seek is None:
        return _settle(last, now_ms)
    if last.settling and seek is None and not (shards.all_reported and shards.all_follow(last)):
        return last
    takes_effect = now_ms + LEAD_MS
    position = _resume_position(last, shards, resume_at, takes_effect)
    anchor = _resume(_with_playback(last, spec, limits), position, limits, takes_effect)
    if resume_at is not None:
        anchor = anchor.model_copy(update={"moved_ms": max(0, _distance(last, position, takes_effect))})
    if seek is not None:
        anchor = _seek(anchor, seek, limits)
    if step is not None:
        anchor = _step(anchor, step, limits)
    return anchor


def clamp_note(spec: ReplaySpec, anchor: Anchor | None, report: ReplayReport | None) -> str:
    """A message about the last seek if it was outside the range; empty if it was not, or has not happened yet."""
    limits = _replay_range(report)
    if spec.seek is None or anchor is None or anchor.seek_id != spec.seek.id or limits is None:
        return ""
    requested = time_ms(spec.seek.to)
    clamped = limits.clamp(requested)
    if clamped == requested:
        return ""
    return f"seek: got {format_ms(requested)}, which is outside the range; went to {format_ms(clamped)}"


def is_beyond(position: LoopPosition, anchor: Anchor, now_ms: int) -> bool:
    """Whether virtual time, by an anchor, will not have reached a position by the time that a new one takes effect."""
    return position > anchor.place(now_ms + LEAD_MS)


def late_control_note(anchor: Anchor | None) -> str:
    """A message about the control that reached a pod late, while its correction is in effect; empty without one."""
    if anchor is None or anchor.moved_ms == 0:
        return ""
    moved = f"{anchor.moved_ms / 1000:,g} s further"
    return f"a control reached a pod after its time: all pods continue from {format_ms(anchor.v0)}, {moved}"


def undelivered_note(anchor: Anchor | None, pods: tuple[ObservedPod, ...], now_ms: int) -> str:
    """A message about pods that do not follow an anchor long after its time; empty if there are none."""
    if anchor is None or now_ms < anchor.w0 + UNDELIVERED_MS:
        return ""
    shards = [str(pod.index) for pod in pods if knows_range(pod) and not follows(pod, anchor)]
    return f"the last control has not reached shard {', '.join(shards)} yet: it is sent again" if shards else ""


def control_requests(anchor: Anchor | None, pods: tuple[ObservedPod, ...], key: str) -> tuple[ControlRequest, ...]:
    """A request with the anchor for each running pod that knows its range and does not follow the anchor yet."""
    if anchor is None:
        return ()
    body = anchor.model_dump_json(by_alias=True).encode()
    signature = hmac.new(key.encode(), body, sha256).hexdigest()
    return tuple(
        ControlRequest(pod.name, f"{pod.url}/control", body, signature)
        for pod in pods
        if pod.phase == "Running" and pod.url is not None and knows_range(pod) and not follows(pod, anchor)
    )


def _replay_range(report: ReplayReport | None) -> ReplayRange | None:
    if report is None or report.range_from is None or report.last_event is None:
        return None
    return ReplayRange(report.range_from, report.last_event, report.interval)


def _changed(spec: ReplaySpec, last: Anchor, limits: ReplayRange) -> bool:
    """Whether the spec differs from the anchor: in how it plays, or by a seek or a step that was not done yet."""
    if _with_playback(last, spec, limits) != last:
        return True
    return _new_seek(spec, last) is not None or _new_step(spec, last) is not None


def _new_seek(spec: ReplaySpec, last: Anchor) -> Seek | None:
    return spec.seek if spec.seek is not None and spec.seek.id != last.seek_id else None


def _new_step(spec: ReplaySpec, last: Anchor) -> Step | None:
    return spec.step if spec.step is not None and spec.step.id != last.step_id else None


def _with_playback(anchor: Anchor, spec: ReplaySpec, limits: ReplayRange) -> Anchor:
    """The anchor with the spec's speed, pause, stop, loop and end; its place in time is unchanged."""
    until = None if spec.until is None else time_ms(spec.until)
    return anchor.model_copy(
        update={
            "speed": 0.0 if spec.paused else spec.speed,
            "unpaced": spec.unpaced,
            "until": None if until is None or until >= limits.end else until,  # the range ends first
            "loop_rounds": 0 if spec.loop == FOREVER else spec.loop or 1,
            "loop_from": limits.start,
            "loop_to": limits.end,
            "hold": spec.at_end == "hold",
        }
    )


def _settle(last: Anchor, now_ms: int) -> Anchor:
    """Stop unpaced pods at once: each is at another position. When all have stopped, they resume from the foremost."""
    return last.model_copy(update={"number": last.number + 1, "w0": now_ms, "speed": 0.0, "settling": True})


def _resume_position(
    last: Anchor, shards: ReplayShards, resume_at: LoopPosition | None, takes_effect: int
) -> LoopPosition:
    """Where virtual time is when the next anchor takes effect, if no seek moves it."""
    if resume_at is not None:
        return resume_at
    if last.settling:
        return shards.foremost()
    loop_round, virtual_ms = last.place(takes_effect)
    return loop_round, last.v0 if last.free else round(virtual_ms)


def _resume(anchor: Anchor, position: LoopPosition, limits: ReplayRange, takes_effect: int) -> Anchor:
    """The next anchor, from a position on."""
    loop_round, virtual_ms = position
    if anchor.loop_rounds != 1:
        virtual_ms = min(virtual_ms, limits.end)  # time that waited at the end resumes with the next round
    return anchor.model_copy(
        update={
            "number": anchor.number + 1,
            "v0": virtual_ms,
            "w0": takes_effect,
            "loop_round": loop_round,
            "settling": False,
            "moved_ms": 0,
        }
    )


def _distance(last: Anchor, position: LoopPosition, takes_effect: int) -> int:
    """Virtual time from where an anchor would be at a wall time to a position, over all rounds, milliseconds."""
    loop_round, virtual_ms = last.place(takes_effect)
    return round(position[1] - virtual_ms) + (position[0] - loop_round) * last.round_length


def _seek(anchor: Anchor, seek: Seek, limits: ReplayRange) -> Anchor:
    """The anchor moved within its round of the loop, in a new epoch."""
    target = limits.clamp(time_ms(seek.to))
    return anchor.model_copy(
        update={
            "v0": target,
            "moved_ms": 0,
            "epoch": anchor.epoch + 1,
            "seek_id": seek.id,
            "seek_to": target,
            "seek_round": anchor.loop_round,
        }
    )


def _step(anchor: Anchor, step: Step, limits: ReplayRange) -> Anchor:
    """The anchor moved on by N intervals, into a later round if the loop has one, at most to the end of the last."""
    moved = anchor.model_copy(
        update={"v0": BAR_LENGTHS[limits.interval].shifted(anchor.v0, step.intervals), "step_id": step.id}
    )
    loop_round, virtual_ms = moved.place(moved.w0 - 1)
    return moved.model_copy(update={"v0": min(int(virtual_ms), limits.end), "loop_round": loop_round})
