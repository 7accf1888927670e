"""What a request may see of a resource: nothing that its replay played beyond its position, before it went back."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends

from tapedeck_crds.json import Json
from tapedeck_gateway.access.errors import RequestDenied
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.future import NO_LIMIT, FutureLimits
from tapedeck_gateway.resources.shown import has_gone_back, without_outcome
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.store import runs


class ResourceVisibility:
    """The rule about the future for the resources of one request. Methods raise Unavailable, as FutureLimits do."""

    def __init__(self, context: GatewayContext, limits: FutureLimits) -> None:
        self._context = context
        self._limits = limits

    def seen(self, resource: Json) -> Json:
        """The resource: of a Backtest without its outcome where its replay has yet to play that again."""
        return without_outcome(resource) if self.hides_outcome(resource) else resource

    def hides_outcome(self, resource: Json) -> bool:
        """Whether a Backtest has traded beyond the present position of its replay."""
        uid = _replay_of(resource)
        if resource["kind"] != "Backtest" or not self._has_played_later(uid):
            return False
        status = resource.get("status") or {}
        run = runs.run(self._context.pool, str(status.get("runId") or ""))
        # The status may be newer than the store: what is not stored, yet or at all, may be of any time.
        if run is None or run["last_event"] is None or run["bars"] != status.get("bars"):
            return True
        return bool(run["last_event"] > self._limits.of_replay(uid))

    def require_log(self, resource: Json) -> None:
        """Raise RequestDenied where the log of a resource may tell of what lies beyond the replay's position."""
        if self._has_played_later(_replay_of(resource)):
            raise RequestDenied(
                f"log: {resource['kind']} {resource['metadata']['name']} has played beyond its replay's position "
                "before a seek or a round, and may have logged what lies there; future=1 asks for it"
            )

    def _has_played_later(self, uid: str) -> bool:
        if self._limits.of_replay(uid) == NO_LIMIT:
            return False
        epochs = [each.epoch for each in self._context.replays.last_known() if each.uid == uid]
        return any(has_gone_back(epoch) for epoch in epochs)


def _replay_of(resource: Json) -> str:
    """The uid of the replay that a resource plays or trades; empty where there is none."""
    if resource["kind"] == "Replay":
        return str(resource["metadata"]["uid"])
    return str((resource.get("status") or {}).get("replayUid") or "")


async def _visibility(context: Context, limits: Limits) -> ResourceVisibility:
    return ResourceVisibility(context, limits)


Visibility: TypeAlias = Annotated[ResourceVisibility, Depends(_visibility)]
