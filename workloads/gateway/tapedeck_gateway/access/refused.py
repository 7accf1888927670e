"""The requests for a change that were refused, in the audit log: one line for each client and minute.

Whoever reaches the gateway can send any number of them: a line for each would fill the disk.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from starlette.types import Scope

from tapedeck_common.logs import log

MINUTE = 60.0
MAX_CLIENTS = 100  # with a line of their own in a minute
OTHERS = "others"
MAX_CHARACTERS = 100  # of the path that a line shows


@dataclass
class _Refused:
    """What one client was refused: how often by status, and its first request."""

    method: str
    path: str
    statuses: Counter[int] = field(default_factory=Counter)


class RefusedRequests:
    """Counts refused requests, and logs the counts at the end of a minute. ``now`` is in seconds of any clock."""

    def __init__(self) -> None:
        self._began = 0.0
        self._refused: dict[tuple[str, str], _Refused] = {}

    def note(self, who: str, client: str, scope: Scope, status: int, now: float) -> None:
        """Count a request that was refused with a status."""
        self.log_due(now)
        if not self._refused:
            self._began = now
        key = (who, client)
        if key not in self._refused and len(self._refused) >= MAX_CLIENTS:
            key = (OTHERS, OTHERS)
        if key not in self._refused:
            self._refused[key] = _Refused(scope["method"][:MAX_CHARACTERS], scope["path"][:MAX_CHARACTERS])
        self._refused[key].statuses[status] += 1

    def log_due(self, now: float) -> None:
        """Log the counts if their minute is over."""
        if self._refused and now - self._began >= MINUTE:
            self.log_all()

    def log_all(self) -> None:
        """Log the counts, and begin again."""
        for (who, client), refused in self._refused.items():
            log.info(
                "refused changes",
                who=who,
                client=client,
                requests=refused.statuses.total(),
                statuses={str(status): count for status, count in sorted(refused.statuses.items())},
                first_method=refused.method,
                first_path=refused.path,
            )
        self._refused.clear()
