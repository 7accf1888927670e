"""A control as a person sends it, a patch of the spec, and as the model takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

from by_hand.deck import Model

_ids = count()


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def change_of(what: str, value: Any) -> dict[str, Any]:
    """The patch of a spec for a control; None takes a field away."""
    name = str(next(_ids))
    patches: dict[str, dict[str, Any]] = {
        "speed": {"speed": float(value or 1), "paused": False},
        "pause": {"paused": True},
        "seek": {"seek": {"to": iso(value or 0), "id": name}},
        "step": {"paused": True, "step": {"intervals": value, "id": name}},
        "loop": {"loop": None if value == 1 else {"times": value} if value else {}},
        "until": {"until": iso(value) if value else None},
    }
    return patches[what]


def tell(model: Model, at: int, what: str, value: Any) -> None:
    """The same for a model, from a wall time on."""
    changes = model.changes.setdefault(at, [])
    if what in ("pause", "step"):
        changes.append(("speed", 0))
    if what != "pause":
        changes.append((what, value or 0))
