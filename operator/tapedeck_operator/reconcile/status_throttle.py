"""Limits how often statuses are written: transitions at once, mere progress at a bounded rate."""

from __future__ import annotations

from tapedeck_crds.json import Json

OBJECT_SECONDS = 10.0
TOTAL_PER_SECOND = 20.0
URGENT_FIELDS = (
    "phase", "observedGeneration", "anchor", "stalled", "ahead", "speed", "replayUid", "runId", "startedAt",
    "finishedAt",
)  # fmt: skip


class StatusThrottle:
    """Progress of one object at most once in ``object_seconds``, of all together ``total_per_second`` times a second.

    The defaults spare the API server and its etcd.
    """

    def __init__(self, object_seconds: float = OBJECT_SECONDS, total_per_second: float = TOTAL_PER_SECOND) -> None:
        self._object_seconds = object_seconds
        self._total_interval = 1 / total_per_second
        self._written_at: dict[str, float] = {}
        self._free_at = 0.0

    def reserve(self, uid: str, old: Json, new: Json, now: float) -> float:
        """Seconds until the new status may be written; 0 counts it as written at ``now``, in seconds."""
        if is_urgent(old, new):
            self._written_at[uid] = now
            return 0.0
        object_free_at = self._written_at.get(uid, now - self._object_seconds) + self._object_seconds
        wait = max(object_free_at, self._free_at) - now
        if wait > 0:
            return wait
        self._written_at[uid] = now
        self._free_at = max(self._free_at, now - 1.0) + self._total_interval
        return 0.0

    def forget(self, uid: str) -> None:
        """The resource of this uid is gone."""
        self._written_at.pop(uid, None)


def is_urgent(old: Json, new: Json) -> bool:
    """Whether two statuses differ in more than progress."""
    return _transition_fields(old) != _transition_fields(new)


def _transition_fields(status: Json) -> Json:
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}
    return {**{name: status.get(name) for name in URGENT_FIELDS}, "conditions": conditions}
