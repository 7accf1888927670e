"""The controls of a Replay: from its spec to the anchor that its pods follow."""

from __future__ import annotations

import hmac
from hashlib import sha256

from tapedeck_crds import ReplaySpec
from tapedeck_crds.base import time_ms
from tapedeck_crds.clock import Anchor
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan.types import PodSeen, Push

LEAD_MS = 250  # pods get the anchor before it takes effect, and so switch together


def next_anchor(spec: ReplaySpec, last: Anchor | None, report: ReplayReport | None, now_ms: int) -> Anchor | None:
    """The anchor that the spec asks for: ``last`` where nothing changed, None while the range is not known."""
    speed = 0.0 if spec.paused else spec.speed
    jump = spec.seek if spec.seek is not None and (last is None or spec.seek.id != last.seek_id) else None
    if last is None:
        if report is None or report.range_from is None:
            return None
        last = Anchor(number=0, v0=report.range_from, w0=now_ms, speed=0.0)
    elif jump is None and (last.speed, last.unpaced) == (speed, spec.unpaced):
        return last
    start = now_ms + LEAD_MS
    return Anchor(
        number=last.number + 1,
        v0=time_ms(jump.to) if jump is not None else _reached(last, report, start),
        w0=start,
        speed=speed,
        unpaced=spec.unpaced,
        epoch=last.epoch + (1 if jump is not None else 0),
        seek_id=jump.id if jump is not None else last.seek_id,
    )


def _reached(last: Anchor, report: ReplayReport | None, wall_ms: int) -> int:
    """Where virtual time will be; an unpaced one is only known by the pod's own word."""
    if last.unpaced and not last.paused:
        return report.position if report is not None and report.position is not None else last.v0
    return round(last.at(wall_ms))


def pushes(anchor: Anchor | None, pods: tuple[PodSeen, ...], key: str) -> tuple[Push, ...]:
    """The anchor for each pod that does not follow it yet."""
    if anchor is None:
        return ()
    body = anchor.model_dump_json(by_alias=True).encode()
    signature = hmac.new(key.encode(), body, sha256).hexdigest()
    return tuple(
        Push(pod.name, f"{pod.url}/control", body, signature)
        for pod in pods
        if pod.phase == "Running" and pod.url is not None and _behind(pod, anchor)
    )


def _behind(pod: PodSeen, anchor: Anchor) -> bool:
    if not isinstance(pod.report, ReplayReport) or pod.report.range_from is None:
        return False
    known = pod.report.anchor
    return known is None or known.number < anchor.number
