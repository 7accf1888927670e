"""How often a status is written: what people wait for at once, progress in measure."""

from __future__ import annotations

from tapedeck_crds.json import Json

OBJECT_SECONDS = 10.0
ALL_PER_SECOND = 20.0
URGENT = ("phase", "observedGeneration", "anchor", "stalled", "speed", "replayUid", "runId", "startedAt", "finishedAt")


class StatusPace:
    """Progress of an object at most every 10 s, of all at most 20 times a second."""

    def __init__(self) -> None:
        self._written: dict[str, float] = {}
        self._free_at = 0.0

    def wait(self, uid: str, old: Json, new: Json, now: float) -> float:
        """Seconds until the new status may be written; ``now`` in seconds. 0 takes the turn."""
        if urgent(old, new):
            self._written[uid] = now
            return 0.0
        wait = max(self._written.get(uid, now - OBJECT_SECONDS) + OBJECT_SECONDS, self._free_at) - now
        if wait > 0:
            return wait
        self._written[uid] = now
        self._free_at = max(self._free_at, now - 1.0) + 1 / ALL_PER_SECOND
        return 0.0

    def forget(self, uid: str) -> None:
        self._written.pop(uid, None)


def urgent(old: Json, new: Json) -> bool:
    """Whether two statuses differ in more than progress."""
    return _told(old) != _told(new)


def _told(status: Json) -> Json:
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}
    return {**{name: status.get(name) for name in URGENT}, "conditions": conditions}


def merge_diff(old: Json, new: Json) -> Json:
    """The JSON merge patch (RFC 7386) from one document to another."""
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_diff(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch
