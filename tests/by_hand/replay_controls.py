"""Controls of a replay in two forms: as a patch of the spec, and as changes of the model."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from by_hand.replay_model import ReplayModel

_ids = count()


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def spec_patch(what: str, value: Any) -> dict[str, Any]:
    """The patch of a spec for a control; None removes a field."""
    name = str(next(_ids))
    patches: dict[str, dict[str, Any]] = {
        "speed": {"speed": float(value or 1), "paused": False},
        "pause": {"paused": True},
        "seek": {"seek": {"to": iso(value or 0), "id": name}},
        "step": {"paused": True, "step": {"intervals": value, "id": name}},
        "loop": {"loop": None if value == 1 else value or "forever"},
        "until": {"until": iso(value) if value else None},
    }
    return patches[what]


def change_model(model: ReplayModel, at: int, what: str, value: Any) -> None:
    """Apply the same control to the model at a wall time, milliseconds UTC."""
    changes = model.changes.setdefault(at, [])
    if what in ("pause", "step"):
        changes.append(("speed", 0))
    if what != "pause":
        changes.append((what, value or 0))
