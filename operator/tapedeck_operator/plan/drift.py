"""Whether an object is as it was planned, whatever the server and others added to it."""

from __future__ import annotations

from typing import Any


def covers(live: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there: mappings may hold more, everything else is equal."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and covers(live[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(covers(one, other) for one, other in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)
