"""The controls of a Replay: from its spec to the anchor that its pods follow."""

from __future__ import annotations

import hmac
from hashlib import sha256

from tapedeck_crds.base import format_ms, time_ms
from tapedeck_crds.clock import Anchor
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import ReplaySpec
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.replay_shards import LoopPosition, ReplayShards
from tapedeck_operator.plan.types import ControlRequest, ObservedPod

LEAD_MS = 250  # pods get the anchor before it takes effect, and so switch together


def next_anchor(
    spec: ReplaySpec, last: Anchor | None, deck: ReplayShards, now_ms: int, stalled: LoopPosition | None
) -> Anchor | None:
    """The anchor that the spec asks for: ``last`` where nothing changed, None while the range is not known.

    ``stalled`` is where virtual time goes on after a stall, None without one.
    """
    tape = deck.together()
    if tape is None or tape.range_from is None or tape.last_event is None or (last is None and not deck.whole):
        return last
    asked = _asked(spec, tape)
    start = now_ms + LEAD_MS
    if last is None:
        last = Anchor(number=0, v0=tape.range_from, w0=now_ms, speed=0.0)
    elif not _news(spec, last, asked) and not last.settling and stalled is None:
        return last
    jump = spec.seek if spec.seek is not None and spec.seek.id != last.seek_id else None
    if last.free and jump is None:
        # Each pod is somewhere else: they stop, and go on together from where the first one is then.
        return last.model_copy(update={"number": last.number + 1, "w0": now_ms, "speed": 0.0, "settling": True})
    if last.settling and jump is None and not (deck.whole and deck.follows(last)):
        return last
    place = _place(last, deck, stalled, start)
    if asked["loop_rounds"] != 1:
        place = (place[0], min(place[1], tape.last_event))  # what waited at the end goes on with the next round
    if jump is not None:
        place = (place[0], _clamped(time_ms(jump.to), tape))
    step = spec.step if spec.step is not None and spec.step.id != last.step_id else None
    fresh = Anchor(
        number=last.number + 1,
        v0=place[1],
        w0=start,
        epoch=last.epoch + (jump is not None),
        seek_id=jump.id if jump is not None else last.seek_id,
        seek_to=place[1] if jump is not None else last.seek_to,
        seek_round=place[0] if jump is not None else last.seek_round,
        step_id=step.id if step is not None else last.step_id,
        loop_round=place[0],
        **asked,
    )
    return fresh if step is None else _stepped(fresh, step.intervals * tape.interval_ms, tape.last_event)


def clamp_note(spec: ReplaySpec, anchor: Anchor | None, tape: ReplayReport | None) -> str:
    """What to say of a seek outside the range once it is done; empty for one within."""
    if spec.seek is None or anchor is None or anchor.seek_id != spec.seek.id or tape is None:
        return ""
    to = time_ms(spec.seek.to)
    went = _clamped(to, tape)
    return "" if went == to else f"seek: got {format_ms(to)}, which is outside the range; went to {format_ms(went)}"


def control_requests(anchor: Anchor | None, pods: tuple[ObservedPod, ...], key: str) -> tuple[ControlRequest, ...]:
    """The anchor for each pod that does not follow it yet, or waits for its confirmation."""
    if anchor is None:
        return ()
    body = anchor.model_dump_json(by_alias=True).encode()
    signature = hmac.new(key.encode(), body, sha256).hexdigest()
    return tuple(
        ControlRequest(pod.name, f"{pod.url}/control", body, signature)
        for pod in pods
        if pod.phase == "Running" and pod.url is not None and _wants(pod, anchor)
    )


def _asked(spec: ReplaySpec, tape: ReplayReport) -> Json:
    """The fields of an anchor that follow from the spec alone."""
    rounds = 1 if spec.loop is None else spec.loop.times or 0
    until = None if spec.until is None else time_ms(spec.until)
    return {
        "speed": 0.0 if spec.paused else spec.speed,
        "unpaced": spec.unpaced,
        "until": None if until is None or until >= (tape.last_event or 0) else until,  # the end comes first
        "loop_rounds": rounds,
        "loop_from": tape.range_from,
        "loop_to": tape.last_event,
        "hold": spec.at_end == "hold",
    }


def _news(spec: ReplaySpec, last: Anchor, asked: Json) -> bool:
    return (
        any(getattr(last, name) != value for name, value in asked.items())
        or (spec.seek is not None and spec.seek.id != last.seek_id)
        or (spec.step is not None and spec.step.id != last.step_id)
    )


def _place(last: Anchor, deck: ReplayShards, stalled: LoopPosition | None, start: int) -> LoopPosition:
    """Where virtual time goes on."""
    if stalled is not None:
        return stalled
    if last.settling:
        return deck.furthest()
    loop_round, v = last.place(start)
    return loop_round, round(v) if not last.free else last.v0


def _clamped(v: int, tape: ReplayReport) -> int:
    low = tape.range_from or 0
    return min(max(v, low), max(tape.last_event or 0, low))


def _stepped(anchor: Anchor, by: int, last_event: int) -> Anchor:
    """The anchor further on, in the round that this leads to; at most at the end of the last."""
    loop_round, v = anchor.model_copy(update={"v0": anchor.v0 + by}).place(anchor.w0 - 1)
    return anchor.model_copy(update={"v0": min(int(v), last_event), "loop_round": loop_round})


def _wants(pod: ObservedPod, anchor: Anchor) -> bool:
    report = pod.report
    if not isinstance(report, ReplayReport) or report.range_from is None:
        return False
    return report.state == "waiting" or report.anchor is None or report.anchor.number < anchor.number
